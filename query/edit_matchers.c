/* Setting and deleting a label's matchers in every selector of an expression. */
#include "query/expr.h"

struct edit {
    struct arena *arena;
    struct str name;
    const struct matcher *set; /* NULL: delete */
};

static void edit_selector(const struct edit *e, struct vector_selector *s) {
    struct matcher *list = arena_alloc(e->arena, (s->matcher_count + 1) * sizeof(*list));
    size_t count = 0;
    bool found = false;
    for (size_t i = 0; i < s->matcher_count; i++) {
        const bool same = str_eq(s->matchers[i].name, e->name);
        found = found || same;
        if (!same) {
            list[count++] = s->matchers[i];
        } else if (e->set != NULL) {
            list[count++] = *e->set;
        }
    }
    if (e->set != NULL && !found) {
        list[count++] = *e->set;
    }
    s->matchers = list;
    s->matcher_count = count;
}

static void edit_node(const struct edit *e, struct node *node) {
    switch (node->type) {
    case NODE_VECTOR_SELECTOR:
        edit_selector(e, &node->vector);
        return;
    case NODE_MATRIX_SELECTOR:
        edit_node(e, node->matrix.selector);
        return;
    case NODE_SUBQUERY:
        edit_node(e, node->subquery.expr);
        return;
    case NODE_CALL:
        for (size_t i = 0; i < node->call.arg_count; i++) {
            edit_node(e, node->call.args[i]);
        }
        return;
    case NODE_AGGREGATE:
        edit_node(e, node->aggregate.expr);
        if (node->aggregate.param != NULL) {
            edit_node(e, node->aggregate.param);
        }
        return;
    case NODE_BINARY:
        edit_node(e, node->binary.lhs);
        edit_node(e, node->binary.rhs);
        return;
    case NODE_UNARY:
        edit_node(e, node->unary.expr);
        return;
    case NODE_PAREN:
        edit_node(e, node->paren);
        return;
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_DURATION:
        return;
    }
}

enum err_code query_set_matcher(struct query_expr *expr, enum matcher_type type, struct str name,
                                struct str value, struct err *err) {
    struct matcher matcher;
    const enum err_code code = matcher_init(expr->arena, type, name, value, &matcher, err);
    if (code == ERR_OK) {
        const struct edit e = {.arena = expr->arena, .name = name, .set = &matcher};
        edit_node(&e, expr->node);
    }
    return code;
}

void query_delete_matchers(struct query_expr *expr, struct str name) {
    const struct edit e = {.arena = expr->arena, .name = name};
    edit_node(&e, expr->node);
}
