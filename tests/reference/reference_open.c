#include "tests/reference/reference_open.h"

#include <string.h>

#include "query/function.h"
#include "tests/reference/reference.h"

static bool fills(const struct node *n) {
    const struct vector_matching *m = n->binary.matching;
    return m != NULL && (m->has_fill_left || m->has_fill_right);
}

bool order_is_open(const struct node *n, bool steps) {
    switch (n->type) {
    case NODE_SUBQUERY:
        return true;
    case NODE_AGGREGATE:
        return steps || n->aggregate.op == AGG_LIMIT_RATIO || n->aggregate.op == AGG_COUNT_VALUES ||
               order_is_open(n->aggregate.expr, steps);
    case NODE_BINARY:
        return (steps && (n->binary.op == OP_OR || fills(n))) ||
               order_is_open(n->binary.lhs, steps) || order_is_open(n->binary.rhs, steps);
    case NODE_CALL:
        for (size_t i = 0; i < n->call.arg_count; i++) {
            if (order_is_open(n->call.args[i], steps)) {
                return true;
            }
        }
        return (steps && strncmp(n->call.function->name, "sort", 4) == 0) ||
               strncmp(n->call.function->name, "histogram_quant", 15) == 0 ||
               strncmp(n->call.function->name, "histogram_frac", 14) == 0 ||
               strncmp(n->call.function->name, "label_", 6) == 0 ||
               strcmp(n->call.function->name, "info") == 0;
    case NODE_UNARY:
        return order_is_open(n->unary.expr, steps);
    case NODE_PAREN:
        return order_is_open(n->paren, steps);
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_VECTOR_SELECTOR:
    case NODE_MATRIX_SELECTOR:
    case NODE_DURATION:
        break;
    }
    return false;
}

bool depends_on_open_order(const struct node *n, bool steps) {
    bool depends = false;
    switch (n->type) {
    case NODE_SUBQUERY:
        return depends_on_open_order(n->subquery.expr, true);
    case NODE_AGGREGATE:
        depends = n->aggregate.op == AGG_SUM || n->aggregate.op == AGG_AVG ||
                  n->aggregate.op == AGG_STDDEV || n->aggregate.op == AGG_STDVAR ||
                  n->aggregate.op == AGG_TOPK || n->aggregate.op == AGG_BOTTOMK ||
                  n->aggregate.op == AGG_LIMITK;
        return (depends && order_is_open(n->aggregate.expr, steps)) ||
               depends_on_open_order(n->aggregate.expr, steps);
    case NODE_BINARY:
        return depends_on_open_order(n->binary.lhs, steps) ||
               depends_on_open_order(n->binary.rhs, steps);
    case NODE_CALL:
        for (size_t i = 0; i < n->call.arg_count; i++) {
            depends |= depends_on_open_order(n->call.args[i], steps);
        }
        return depends;
    case NODE_UNARY:
        return depends_on_open_order(n->unary.expr, steps);
    case NODE_PAREN:
        return depends_on_open_order(n->paren, steps);
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_VECTOR_SELECTOR:
    case NODE_MATRIX_SELECTOR:
    case NODE_DURATION:
        break;
    }
    return false;
}

bool single_path(const struct node *n) {
    size_t parts = 0;
    n = ref_bare(n);
    switch (n->type) {
    case NODE_CALL:
        for (size_t i = 0; i < n->call.arg_count; i++) {
            const enum node_type type = ref_bare(n->call.args[i])->type;
            parts += type != NODE_NUMBER && type != NODE_STRING;
            if (!single_path(n->call.args[i])) {
                return false;
            }
        }
        return parts < 2;
    case NODE_AGGREGATE:
        return (n->aggregate.param == NULL || n->aggregate.param->type == NODE_NUMBER ||
                n->aggregate.param->type == NODE_STRING) &&
               single_path(n->aggregate.expr);
    case NODE_UNARY:
        return single_path(n->unary.expr);
    case NODE_SUBQUERY:
    case NODE_BINARY:
        return false;
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_VECTOR_SELECTOR:
    case NODE_MATRIX_SELECTOR:
    case NODE_PAREN:
    case NODE_DURATION:
        break;
    }
    return true;
}
