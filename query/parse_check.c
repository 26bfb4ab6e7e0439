/* Types of the whole tree, once its syntax is right. Children are checked before their parent's
 * own rules, as Prometheus does: the first error is the one that is reported. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/labels.h"
#include "base/utf8.h"
#include "query/function.h"
#include "query/parser.h"

static bool expect_type(struct parser *p, struct node *node, enum value_type want,
                        const char *context) {
    if (!parse_check(p, node)) {
        return false;
    }
    return node->value_type == want ||
           parse_fail(p, node->pos.start, "expected type %s in %s, got %s", value_type_name(want),
                      context, value_type_name(node->value_type));
}

static bool check_aggregate(struct parser *p, struct aggregate *aggregate) {
    if (!expect_type(p, aggregate->expr, VALUE_VECTOR, "aggregation expression")) {
        return false;
    }
    return aggregate->param == NULL ||
           expect_type(p, aggregate->param,
                       aggregate->op == AGG_COUNT_VALUES ? VALUE_STRING : VALUE_SCALAR,
                       "aggregation parameter");
}

/* ---- binary operators ---- */

static bool is_comparison(enum binary_op op) {
    return op >= OP_EQL && op <= OP_LTE;
}

static bool is_set_operator(enum binary_op op) {
    return op == OP_AND || op == OP_OR || op == OP_UNLESS;
}

/* Where the operator (or a comment before it) starts. */
static uint32_t operator_offset(const struct parser *p, const struct binary *binary) {
    const struct str text = p->lex.input;
    uint32_t at = binary->lhs->pos.end;
    while (at < text.len && strchr(" \t\n\r", text.ptr[at]) != NULL) {
        at++;
    }
    return at;
}

static bool check_bool(struct parser *p, const struct binary *binary) {
    if (binary->return_bool && !is_comparison(binary->op)) {
        return parse_fail(p, operator_offset(p, binary),
                          "bool modifier can only be used on comparison operators");
    }
    if (is_comparison(binary->op) && !binary->return_bool &&
        binary->lhs->value_type == VALUE_SCALAR && binary->rhs->value_type == VALUE_SCALAR) {
        return parse_fail(p, operator_offset(p, binary),
                          "comparisons between scalars must use BOOL modifier");
    }
    return true;
}

static int compare_labels(const void *a, const void *b) {
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Both lists may be thousands long, so one is sorted. */
static bool check_label_clauses(struct parser *p, const struct binary *binary) {
    const struct vector_matching *matching = binary->matching;
    if (!matching->on || matching->label_count == 0 || matching->include_count == 0) {
        return true;
    }
    const size_t count = matching->include_count;
    struct str *include = arena_try_alloc(p->arena, count, sizeof(*include));
    if (include == NULL) {
        return parse_fail_memory(p);
    }
    memcpy(include, matching->include, count * sizeof(*include));
    qsort(include, count, sizeof(*include), compare_labels);
    for (size_t i = 0; i < matching->label_count; i++) {
        const struct str *label = &matching->labels[i];
        if (bsearch(label, include, count, sizeof(*include), compare_labels) != NULL) {
            return parse_fail_quoted(p, operator_offset(p, binary), "label ", *label,
                                     " must not occur in ON and GROUP clause at once");
        }
    }
    return true;
}

static bool is_operand_type(enum value_type type) {
    return type == VALUE_SCALAR || type == VALUE_VECTOR;
}

static bool check_operand(struct parser *p, const struct node *operand) {
    return is_operand_type(operand->value_type) ||
           parse_fail(p, operand->pos.start,
                      "binary expression must contain only scalar and instant vector types");
}

/* With a scalar on one side there is nothing to match. */
static bool check_no_matching(struct parser *p, const struct node *node) {
    const struct vector_matching *matching = node->binary.matching;
    if (matching->label_count > 0) {
        return parse_fail(p, node->pos.start,
                          "vector matching only allowed between instant vectors");
    }
    if (matching->has_fill_left || matching->has_fill_right) {
        return parse_fail(p, node->pos.start,
                          "filling in missing series only allowed between instant vectors");
    }
    if (is_set_operator(node->binary.op)) {
        return parse_fail(p, node->pos.start,
                          "set operator \"%s\" not allowed in binary scalar expression",
                          binary_op_text(node->binary.op));
    }
    return true;
}

static bool check_set_matching(struct parser *p, const struct node *node) {
    const struct vector_matching *matching = node->binary.matching;
    if (matching->card == CARD_ONE_TO_MANY || matching->card == CARD_MANY_TO_ONE) {
        return parse_fail(p, node->pos.start, "no grouping allowed for \"%s\" operation",
                          binary_op_text(node->binary.op));
    }
    if (matching->has_fill_left || matching->has_fill_right) {
        return parse_fail(p, node->pos.start,
                          "filling in missing series not allowed for set operators");
    }
    return true;
}

static bool check_binary(struct parser *p, struct node *node) {
    struct binary *binary = &node->binary;
    if (!parse_check(p, binary->lhs) || !parse_check(p, binary->rhs) || !check_bool(p, binary)) {
        return false;
    }
    const bool set = is_set_operator(binary->op);
    if (set && binary->matching->card == CARD_ONE_TO_ONE) {
        binary->matching->card = CARD_MANY_TO_MANY;
    }
    if (!check_label_clauses(p, binary) || !check_operand(p, binary->lhs) ||
        !check_operand(p, binary->rhs)) {
        return false;
    }
    if (binary->lhs->value_type == VALUE_VECTOR && binary->rhs->value_type == VALUE_VECTOR) {
        return !set || check_set_matching(p, node);
    }
    if (!check_no_matching(p, node)) {
        return false;
    }
    binary->matching = NULL;
    return true;
}

/* ---- calls ---- */

static bool check_argument_count(struct parser *p, const struct node *node) {
    const struct function *function = node->call.function;
    const int got = (int)node->call.arg_count;
    const int count = function->arg_count;
    if (function->variadic == 0) {
        return got == count ||
               parse_fail(p, node->pos.start, "expected %d argument(s) in call to \"%s\", got %d",
                          count, function->name, got);
    }
    const int least = count - 1;
    if (got < least) {
        return parse_fail(p, node->pos.start,
                          "expected at least %d argument(s) in call to \"%s\", got %d", least,
                          function->name, got);
    }
    const int most = least + function->variadic;
    return function->variadic < 0 || got <= most ||
           parse_fail(p, node->pos.start,
                      "expected at most %d argument(s) in call to \"%s\", got %d", most,
                      function->name, got);
}

/* info()'s second argument only carries label matchers. */
static bool check_info_selector(struct parser *p, const struct node *node) {
    struct node *arg = node->call.args[1];
    if (arg->value_type != VALUE_VECTOR) {
        return parse_fail(p, node->pos.start,
                          "expected type instant vector in call to function \"info\", got %s",
                          value_type_name(arg->value_type));
    }
    if (arg->type != NODE_VECTOR_SELECTOR) {
        return parse_fail(p, arg->pos.start, "expected label selectors only");
    }
    if (arg->vector.name.len > 0) {
        return parse_fail(p, arg->pos.start,
                          "expected label selectors only, got vector selector instead");
    }
    arg->vector.label_selector_only = true;
    return true;
}

static bool check_call(struct parser *p, struct node *node) {
    const struct call *call = &node->call;
    const struct function *function = call->function;
    if (!check_argument_count(p, node)) {
        return false;
    }
    if (strcmp(function->name, "info") == 0 && call->arg_count > 1 &&
        !check_info_selector(p, node)) {
        return false;
    }
    for (size_t i = 0; i < call->arg_count; i++) {
        const size_t last = (size_t)function->arg_count - 1;
        const enum value_type want = function->args[i < last ? i : last];
        struct node *arg = call->args[i];
        if (!parse_check(p, arg)) {
            return false;
        }
        if (arg->value_type != want) {
            return parse_fail(
                p, arg->pos.start, "expected type %s in call to function \"%s\", got %s",
                value_type_name(want), function->name, value_type_name(arg->value_type));
        }
    }
    return true;
}

/* ---- selectors ---- */

static bool fail_name_twice(struct parser *p, const struct node *node, struct str second) {
    struct buf quoted;
    buf_init(&quoted, PARSE_TEXT_MAX);
    buf_append_cstr(&quoted, "metric name must not be set twice: ");
    utf8_quote(&quoted, node->vector.name);
    buf_append_cstr(&quoted, " or ");
    (void)parse_fail_quoted(p, node->pos.start, buf_ok(&quoted) ? quoted.ptr : "", second, "");
    buf_release(&quoted);
    return false;
}

static bool check_selector(struct parser *p, const struct node *node) {
    const struct vector_selector *selector = &node->vector;
    if (selector->name.len > 0) {
        for (size_t i = 0; i + 1 < selector->matcher_count; i++) {
            if (str_eq(selector->matchers[i].name, LABEL_NAME)) {
                return fail_name_twice(p, node, selector->matchers[i].value);
            }
        }
        return true;
    }
    if (selector->label_selector_only) {
        return true;
    }
    for (size_t i = 0; i < selector->matcher_count; i++) {
        if (!matcher_accepts_empty(&selector->matchers[i])) {
            return true;
        }
    }
    return parse_fail(p, node->pos.start,
                      "vector selector must contain at least one non-empty matcher");
}

/* ---- the rest ---- */

static bool check_unary(struct parser *p, const struct node *node) {
    struct node *operand = node->unary.expr;
    if (!parse_check(p, operand)) {
        return false;
    }
    return is_operand_type(operand->value_type) ||
           parse_fail(p, node->pos.start,
                      "unary expression only allowed on expressions of type scalar or instant "
                      "vector, got \"%s\"",
                      value_type_name(operand->value_type));
}

static bool check_subquery(struct parser *p, const struct node *node) {
    struct node *inner = node->subquery.expr;
    if (!parse_check(p, inner)) {
        return false;
    }
    /* Here Prometheus shows its inner name of the type. */
    return inner->value_type == VALUE_VECTOR ||
           parse_fail(
               p, node->pos.start, "subquery is only allowed on instant vector, got %s instead",
               inner->value_type == VALUE_MATRIX ? "matrix" : value_type_name(inner->value_type));
}

bool parse_check(struct parser *p, struct node *node) {
    switch (node->type) {
    case NODE_AGGREGATE:
        return check_aggregate(p, &node->aggregate);
    case NODE_BINARY:
        return check_binary(p, node);
    case NODE_CALL:
        return check_call(p, node);
    case NODE_UNARY:
        return check_unary(p, node);
    case NODE_SUBQUERY:
        return check_subquery(p, node);
    case NODE_PAREN:
        return parse_check(p, node->paren);
    case NODE_MATRIX_SELECTOR:
        return parse_check(p, node->matrix.selector);
    case NODE_VECTOR_SELECTOR:
        return check_selector(p, node);
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_DURATION:
        return true;
    }
    UNREACHABLE("node type");
}
