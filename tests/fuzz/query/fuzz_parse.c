/* Any bytes as a PromQL expression, selector and metric. What parses prints as text that parses
 * again and prints the same, on one line and pretty; the depth and JSON contracts hold. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/json_out.h"
#include "base/labels.h"
#include "query/parse.h"
#include "query/tree_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PRINT_MAX = 1 << 24, NS_PER_MS = 1000000 };

/* Text keeps ms, so what is below (or beyond a double's 53 bits) is not printed as it was. */
static bool exact_ns(int64_t ns) {
    return ns % NS_PER_MS == 0 && ns < ((int64_t)1 << 53) && ns > -((int64_t)1 << 53);
}

static bool exact_seconds(const struct duration_expr *literal) {
    return !literal->literal_is_duration || fabs(literal->seconds) < 1e6;
}

static bool exact_duration(const struct node *node) {
    if (node == NULL) {
        return true;
    }
    const struct duration_expr *expr = &node->duration;
    return (expr->op != DUR_LITERAL || exact_seconds(expr)) && exact_duration(expr->lhs) &&
           exact_duration(expr->rhs);
}

static bool exact_time(const struct time_modifiers *time) {
    const double limit = 9007199254740992.0;
    return exact_ns(time->offset_ns) && exact_duration(time->offset_expr) &&
           fabs((double)time->at_ms) < limit;
}

static bool exact(const struct node *node) {
    switch (node->type) {
    case NODE_NUMBER: /* "+Inf ^ 2" reads as +(Inf ^ 2) */
        return isfinite(node->number.value) &&
               (!node->number.is_duration || fabs(node->number.value) < 1e6);
    case NODE_VECTOR_SELECTOR:
        return exact_time(&node->vector.time);
    case NODE_MATRIX_SELECTOR:
        return exact(node->matrix.selector) && exact_ns(node->matrix.range_ns) &&
               exact_duration(node->matrix.range_expr);
    case NODE_SUBQUERY:
        return exact(node->subquery.expr) && exact_ns(node->subquery.range_ns) &&
               exact_ns(node->subquery.step_ns) && exact_duration(node->subquery.range_expr) &&
               exact_duration(node->subquery.step_expr) && exact_time(&node->subquery.time);
    case NODE_CALL:
        for (size_t i = 0; i < node->call.arg_count; i++) {
            if (!exact(node->call.args[i])) {
                return false;
            }
        }
        return true;
    case NODE_AGGREGATE:
        return exact(node->aggregate.expr) &&
               (node->aggregate.param == NULL || exact(node->aggregate.param));
    case NODE_BINARY:
        return exact(node->binary.lhs) && exact(node->binary.rhs);
    case NODE_UNARY:
        return exact(node->unary.expr);
    case NODE_PAREN:
        return exact(node->paren);
    case NODE_STRING:
    case NODE_DURATION:
        break;
    }
    return true;
}

static void check_print(const struct node *node, const struct parse_options *options,
                        void (*print)(struct buf *to, const struct node *node)) {
    struct arena arena;
    struct buf first;
    struct buf second;
    arena_init(&arena, 0);
    buf_init(&first, PRINT_MAX);
    buf_init(&second, PRINT_MAX);
    print(&first, node);
    if (buf_ok(&first) && first.len <= PARSE_TEXT_MAX) {
        struct node *again = NULL;
        struct err err;
        ASSERT(parse_expr(&arena, buf_str(&first), options, &again, &err) == ERR_OK);
        ASSERT(again->value_type == node->value_type);
        print(&second, again);
        ASSERT(str_eq(buf_str(&first), buf_str(&second)));
    }
    buf_release(&second);
    buf_release(&first);
    arena_release(&arena);
}

static void check_json(const struct node *node) {
    struct buf json;
    struct json_out j;
    buf_init(&json, PRINT_MAX);
    json_out_init(&j, &json);
    tree_json(&j, node);
    ASSERT(j.depth == 0);
    buf_release(&json);
}

static void check_expr(struct str text, const struct parse_options *options) {
    struct arena arena;
    arena_init(&arena, 0);
    struct node *node = NULL;
    struct err err;
    if (parse_expr(&arena, text, options, &node, &err) == ERR_OK) {
        ASSERT(node->depth <= PARSE_DEPTH_MAX);
        ASSERT(node->pos.start <= node->pos.end);
        ASSERT(node->pos.end <= text.len);
        check_json(node);
        if (exact(node)) {
            check_print(node, options, print_expr);
            check_print(node, options, print_pretty);
        }
    } else {
        ASSERT(node == NULL);
        ASSERT(err.text[0] != '\0');
    }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct parse_options ALL = {true, true, true};
    static const struct parse_options PLAIN = {false, false, false};
    const struct str text = {size > 0 ? (const char *)data : "", size};
    check_expr(text, &ALL);
    check_expr(text, &PLAIN);

    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct err err;
    struct matcher *matchers = NULL;
    size_t count = 0;
    struct labels labels;
    (void)!parse_metric_selector(&arena, text, &matchers, &count, &err);
    if (parse_metric(&arena, text, &labels, &err) == ERR_OK) {
        ASSERT(labels_check(labels.data, labels.size, &err) == ERR_OK);
    }
    arena_release(&arena);
    return 0;
}
