/* An expression that gives the same at any time: @ at every selector and subquery that has none. */
#include "query/expr.h"
#include "query/function.h"

static void pin(struct time_modifiers *time, int64_t at_ms) {
    if (time->at != AT_TIME) {
        time->at = AT_TIME;
        time->at_ms = at_ms;
    }
}

/* Functions that tell the time of the evaluation (spec/promql.md sections 3 and 12). */
static bool tells_time(const char *name) {
    static const char *const NAMES[] = {
        "days_in_month", "day_of_month", "day_of_week", "day_of_year",    "hour",
        "minute",        "month",        "year",        "predict_linear", "time",
        "timestamp",     "start",        "end",         "range",          "step"};
    for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
        if (str_eq(str_of(name), str_of(NAMES[i]))) {
            return true;
        }
    }
    return false;
}

static bool pin_node(struct node *node, int64_t at_ms) {
    bool same = true;
    switch (node->type) {
    case NODE_VECTOR_SELECTOR:
        pin(&node->vector.time, at_ms);
        return true;
    case NODE_MATRIX_SELECTOR:
        return pin_node(node->matrix.selector, at_ms);
    case NODE_SUBQUERY:
        pin(&node->subquery.time, at_ms);
        return true;
    case NODE_CALL:
        for (size_t i = 0; i < node->call.arg_count; i++) {
            same = pin_node(node->call.args[i], at_ms) && same;
        }
        return same && !tells_time(node->call.function->name);
    case NODE_AGGREGATE:
        same = pin_node(node->aggregate.expr, at_ms);
        return (node->aggregate.param == NULL || pin_node(node->aggregate.param, at_ms)) && same;
    case NODE_BINARY:
        same = pin_node(node->binary.lhs, at_ms);
        return pin_node(node->binary.rhs, at_ms) && same;
    case NODE_UNARY:
        return pin_node(node->unary.expr, at_ms);
    case NODE_PAREN:
        return pin_node(node->paren, at_ms);
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_DURATION:
        break;
    }
    return true;
}

bool query_pin_times(struct query_expr *expr, int64_t at_ms) {
    return pin_node(expr->node, at_ms);
}
