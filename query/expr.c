#include "query/expr.h"

#include "query/engine_options.h"
#include "query/parse.h"
#include "query/tree_json.h"

/* Bounds of printed text. Quoting makes at most ten bytes of four. A pretty line holds at least
 * one byte of the canonical text behind its indentation, which the depth limits. */
enum {
    PRINT_MAX = 16 * PARSE_TEXT_MAX,
    PRETTY_MAX = PARSE_TEXT_MAX * 2 * (PARSE_DEPTH_MAX + 16),
};

enum err_code query_parse(struct query_engine *engine, struct arena *arena, struct str text,
                          struct query_expr **out, struct err *err) {
    const struct parse_options options = engine_parse_options(engine);
    struct node *node = NULL;
    const enum err_code code = parse_expr(arena, text, &options, &node, err);
    if (code != ERR_OK) {
        return code;
    }
    struct query_expr *expr = arena_alloc(arena, sizeof(*expr));
    *expr = (struct query_expr){node, arena, arena_str(arena, text)};
    *out = expr;
    return ERR_OK;
}

static struct str print_with(struct arena *arena, const struct query_expr *expr, size_t max_bytes,
                             void (*print)(struct buf *to, const struct node *node)) {
    struct buf text;
    buf_init(&text, max_bytes);
    print(&text, expr->node);
    const struct str copy = arena_str(arena, buf_str(&text));
    buf_release(&text);
    return copy;
}

struct str query_print(struct arena *arena, const struct query_expr *expr) {
    return print_with(arena, expr, PRINT_MAX, print_expr);
}

struct str query_format(struct arena *arena, const struct query_expr *expr) {
    return print_with(arena, expr, PRETTY_MAX, print_pretty);
}

void query_tree_json(struct json_out *j, const struct query_expr *expr) {
    tree_json(j, expr->node);
}

enum err_code query_parse_selector(struct arena *arena, struct str text, struct matcher **out,
                                   size_t *out_count, struct err *err) {
    return parse_metric_selector(arena, text, out, out_count, err);
}

enum err_code query_parse_metric(struct arena *arena, struct str text, struct labels *out,
                                 struct err *err) {
    return parse_metric(arena, text, out, err);
}

typedef void selector_fn(void *ctx, const struct matcher *m, size_t n);

static void each_selector(const struct node *node, selector_fn *fn, void *ctx) {
    switch (node->type) {
    case NODE_VECTOR_SELECTOR:
        fn(ctx, node->vector.matchers, node->vector.matcher_count);
        return;
    case NODE_MATRIX_SELECTOR:
        each_selector(node->matrix.selector, fn, ctx);
        return;
    case NODE_SUBQUERY:
        each_selector(node->subquery.expr, fn, ctx);
        return;
    case NODE_CALL:
        for (size_t i = 0; i < node->call.arg_count; i++) {
            each_selector(node->call.args[i], fn, ctx);
        }
        return;
    case NODE_AGGREGATE:
        each_selector(node->aggregate.expr, fn, ctx);
        if (node->aggregate.param != NULL) {
            each_selector(node->aggregate.param, fn, ctx);
        }
        return;
    case NODE_BINARY:
        each_selector(node->binary.lhs, fn, ctx);
        each_selector(node->binary.rhs, fn, ctx);
        return;
    case NODE_UNARY:
        each_selector(node->unary.expr, fn, ctx);
        return;
    case NODE_PAREN:
        each_selector(node->paren, fn, ctx);
        return;
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_DURATION:
        return;
    }
}

void query_each_selector(const struct query_expr *expr, selector_fn *fn, void *ctx) {
    each_selector(expr->node, fn, ctx);
}
