/* The tree as /api/v1/parse_query shows it (spec/http-api.md section 2). Keys are written in the
 * order of their names, as Go's encoder does with maps. */
#include <math.h>

#include "base/check.h"
#include "base/number.h"
#include "query/function.h"
#include "query/parse.h"
#include "query/tree_json.h"

enum { NS_PER_MS = 1000000 };

static void write_cstr(struct json_out *j, const char *key, const char *value) {
    json_key(j, key);
    json_str(j, str_of(value));
}

static void write_flag(struct json_out *j, const char *key, bool value) {
    json_key(j, key);
    json_bool(j, value);
}

static void write_ms(struct json_out *j, const char *key, int64_t ns) {
    json_key(j, key);
    json_i64(j, ns / NS_PER_MS);
}

static void write_node(struct json_out *j, const char *key, const struct node *node) {
    json_key(j, key);
    if (node != NULL) {
        tree_json(j, node);
    } else {
        json_null(j);
    }
}

static void write_strs(struct json_out *j, const char *key, const struct str *items, size_t count) {
    json_key(j, key);
    json_array_begin(j);
    for (size_t i = 0; i < count; i++) {
        json_str(j, items[i]);
    }
    json_array_end(j);
}

static void write_number_text(struct json_out *j, double value) {
    char text[NUMBER_TEXT_MAX];
    json_key(j, "val");
    json_str(j, (struct str){text, number_format_f(value, text)});
}

/* ---- selectors ---- */

static void write_start_or_end(struct json_out *j, const struct time_modifiers *time) {
    json_key(j, "startOrEnd");
    if (time->at == AT_START || time->at == AT_END) {
        json_str(j, time->at == AT_START ? STR("start") : STR("end"));
    } else {
        json_null(j);
    }
}

static void write_timestamp(struct json_out *j, const struct time_modifiers *time) {
    json_key(j, "timestamp");
    if (time->at == AT_TIME) {
        json_i64(j, time->at_ms);
    } else {
        json_null(j);
    }
}

static const char *match_sign(enum matcher_type type) {
    switch (type) {
    case MATCH_EQUAL:
        return "=";
    case MATCH_NOT_EQUAL:
        return "!=";
    case MATCH_REGEX:
        return "=~";
    case MATCH_NOT_REGEX:
        return "!~";
    }
    UNREACHABLE("matcher type");
}

static void write_matchers(struct json_out *j, const struct vector_selector *selector) {
    json_key(j, "matchers");
    json_array_begin(j);
    for (size_t i = 0; i < selector->matcher_count; i++) {
        const struct matcher *m = &selector->matchers[i];
        json_object_begin(j);
        json_key(j, "name");
        json_str(j, m->name);
        write_cstr(j, "type", match_sign(m->type));
        json_key(j, "value");
        json_str(j, m->value);
        json_object_end(j);
    }
    json_array_end(j);
}

/* matrix is NULL for an instant selector. */
static void write_selector(struct json_out *j, const struct vector_selector *selector,
                           const struct matrix_selector *matrix) {
    write_flag(j, "anchored", selector->anchored);
    write_matchers(j, selector);
    json_key(j, "name");
    json_str(j, selector->name);
    write_ms(j, "offset", selector->time.offset_ns);
    write_node(j, "offsetExpr", selector->time.offset_expr);
    if (matrix != NULL) {
        write_ms(j, "range", matrix->range_ns);
        write_node(j, "rangeExpr", matrix->range_expr);
    }
    write_flag(j, "smoothed", selector->smoothed);
    write_start_or_end(j, &selector->time);
    write_timestamp(j, &selector->time);
    write_cstr(j, "type", matrix != NULL ? "matrixSelector" : "vectorSelector");
}

static void write_subquery(struct json_out *j, const struct subquery *subquery) {
    write_node(j, "expr", subquery->expr);
    write_ms(j, "offset", subquery->time.offset_ns);
    write_node(j, "offsetExpr", subquery->time.offset_expr);
    write_ms(j, "range", subquery->range_ns);
    write_node(j, "rangeExpr", subquery->range_expr);
    write_start_or_end(j, &subquery->time);
    write_ms(j, "step", subquery->step_ns);
    write_node(j, "stepExpr", subquery->step_expr);
    write_timestamp(j, &subquery->time);
    write_cstr(j, "type", "subquery");
}

/* ---- duration expressions ---- */

static const char *duration_op_name(enum duration_op op) {
    switch (op) {
    case DUR_LITERAL:
    case DUR_ADD:
        return "+";
    case DUR_SUB:
    case DUR_NEGATE:
        return "-";
    case DUR_MUL:
        return "*";
    case DUR_DIV:
        return "/";
    case DUR_MOD:
        return "%";
    case DUR_POW:
        return "^";
    case DUR_STEP:
        return "step";
    case DUR_RANGE:
        return "range";
    case DUR_MIN_OF:
        return "min_of";
    case DUR_MAX_OF:
        return "max_of";
    }
    UNREACHABLE("duration operator");
}

static void write_duration_literal(struct json_out *j, const struct duration_expr *literal) {
    json_object_begin(j);
    write_flag(j, "duration", literal->literal_is_duration);
    write_cstr(j, "type", "numberLiteral");
    write_number_text(j, literal->seconds);
    json_object_end(j);
}

static void write_duration_object(struct json_out *j, const struct duration_expr *expr) {
    json_object_begin(j);
    if (expr->op == DUR_LITERAL || expr->op == DUR_NEGATE) {
        json_key(j, "lhs");
        json_null(j);
    } else {
        write_node(j, "lhs", expr->lhs);
    }
    write_cstr(j, "op", duration_op_name(expr->op));
    if (expr->op == DUR_LITERAL) {
        json_key(j, "rhs");
        write_duration_literal(j, expr);
    } else {
        write_node(j, "rhs", expr->op == DUR_NEGATE ? expr->lhs : expr->rhs);
    }
    write_cstr(j, "type", "durationExpr");
    write_flag(j, "wrapped", expr->wrapped);
    json_object_end(j);
}

/* Prometheus' tree has unary plus nodes: around a literal in parentheses, and where one was
 * written before a named operand of offset. */
static void write_duration(struct json_out *j, const struct duration_expr *expr) {
    if (expr->op == DUR_LITERAL && !expr->wrapped) {
        write_duration_literal(j, expr);
        return;
    }
    if (expr->explicit_plus) {
        json_object_begin(j);
        json_key(j, "lhs");
        json_null(j);
        write_cstr(j, "op", "+");
        json_key(j, "rhs");
        write_duration_object(j, expr);
        write_cstr(j, "type", "durationExpr");
        write_flag(j, "wrapped", false);
        json_object_end(j);
        return;
    }
    write_duration_object(j, expr);
}

/* ---- calls, aggregations, operators ---- */

/* Prometheus' inner names of the types. */
static const char *type_key(enum value_type type) {
    switch (type) {
    case VALUE_NONE:
        return "none";
    case VALUE_SCALAR:
        return "scalar";
    case VALUE_VECTOR:
        return "vector";
    case VALUE_MATRIX:
        return "matrix";
    case VALUE_STRING:
        return "string";
    }
    UNREACHABLE("value type");
}

static void write_call(struct json_out *j, const struct call *call) {
    const struct function *function = call->function;
    json_key(j, "args");
    json_array_begin(j);
    for (size_t i = 0; i < call->arg_count; i++) {
        tree_json(j, call->args[i]);
    }
    json_array_end(j);
    json_key(j, "func");
    json_object_begin(j);
    json_key(j, "argTypes");
    json_array_begin(j);
    for (int i = 0; i < function->arg_count; i++) {
        json_str(j, str_of(type_key(function->args[i])));
    }
    json_array_end(j);
    write_cstr(j, "name", function->name);
    write_cstr(j, "returnType", type_key(function->returns));
    json_key(j, "variadic");
    json_i64(j, function->variadic);
    json_object_end(j);
    write_cstr(j, "type", "call");
}

static void write_aggregate(struct json_out *j, const struct aggregate *aggregate) {
    write_node(j, "expr", aggregate->expr);
    write_strs(j, "grouping", aggregate->grouping, aggregate->grouping_count);
    write_cstr(j, "op", aggregate_op_text(aggregate->op));
    write_node(j, "param", aggregate->param);
    write_cstr(j, "type", "aggregation");
    write_flag(j, "without", aggregate->without);
}

/* JSON has no NaN and no infinity; null then. */
static void write_fill(struct json_out *j, const char *key, bool has, double value) {
    json_key(j, key);
    if (has && isfinite(value)) {
        json_f64(j, value);
    } else {
        json_null(j);
    }
}

static const char *card_text(enum match_card card) {
    switch (card) {
    case CARD_ONE_TO_ONE:
        return "one-to-one";
    case CARD_MANY_TO_ONE:
        return "many-to-one";
    case CARD_ONE_TO_MANY:
        return "one-to-many";
    case CARD_MANY_TO_MANY:
        return "many-to-many";
    }
    UNREACHABLE("cardinality");
}

static void write_matching(struct json_out *j, const struct vector_matching *matching) {
    json_key(j, "matching");
    if (matching == NULL) {
        json_null(j);
        return;
    }
    json_object_begin(j);
    write_cstr(j, "card", card_text(matching->card));
    json_key(j, "fillValues");
    json_object_begin(j);
    write_fill(j, "lhs", matching->has_fill_left, matching->fill_left);
    write_fill(j, "rhs", matching->has_fill_right, matching->fill_right);
    json_object_end(j);
    write_strs(j, "include", matching->include, matching->include_count);
    write_strs(j, "labels", matching->labels, matching->label_count);
    write_flag(j, "on", matching->on);
    json_object_end(j);
}

static void write_binary(struct json_out *j, const struct binary *binary) {
    write_flag(j, "bool", binary->return_bool);
    write_node(j, "lhs", binary->lhs);
    write_matching(j, binary->matching);
    write_cstr(j, "op", binary_op_text(binary->op));
    write_node(j, "rhs", binary->rhs);
    write_cstr(j, "type", "binaryExpr");
}

static void write_members(struct json_out *j, const struct node *node) {
    switch (node->type) {
    case NODE_NUMBER:
        write_cstr(j, "type", "numberLiteral");
        write_number_text(j, node->number.value);
        return;
    case NODE_STRING:
        write_cstr(j, "type", "stringLiteral");
        json_key(j, "val");
        json_str(j, node->string);
        return;
    case NODE_VECTOR_SELECTOR:
        write_selector(j, &node->vector, NULL);
        return;
    case NODE_MATRIX_SELECTOR:
        write_selector(j, &node->matrix.selector->vector, &node->matrix);
        return;
    case NODE_SUBQUERY:
        write_subquery(j, &node->subquery);
        return;
    case NODE_CALL:
        write_call(j, &node->call);
        return;
    case NODE_AGGREGATE:
        write_aggregate(j, &node->aggregate);
        return;
    case NODE_BINARY:
        write_binary(j, &node->binary);
        return;
    case NODE_UNARY:
        write_node(j, "expr", node->unary.expr);
        write_cstr(j, "op", node->unary.negative ? "-" : "+");
        write_cstr(j, "type", "unaryExpr");
        return;
    case NODE_PAREN:
        write_node(j, "expr", node->paren);
        write_cstr(j, "type", "parenExpr");
        return;
    case NODE_DURATION:
        break;
    }
    UNREACHABLE("node type");
}

void tree_json(struct json_out *j, const struct node *node) {
    if (node->type == NODE_DURATION) {
        write_duration(j, &node->duration);
        return;
    }
    json_object_begin(j);
    write_members(j, node);
    json_object_end(j);
}
