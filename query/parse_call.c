/* Function calls and aggregations. */
#include <assert.h>

#include "query/function.h"
#include "query/parser.h"

struct node_list {
    struct node **items;
    size_t count, capacity;
};

static bool parse_argument(struct parser *p, struct node_list *list) {
    struct node *arg = parse_operators(p, 0);
    if (arg == NULL) {
        return false;
    }
    struct node **items =
        parse_grow(p, list->items, list->count, &list->capacity, sizeof(struct node *));
    if (items == NULL) {
        return false;
    }
    items[list->count++] = arg;
    list->items = items;
    return true;
}

/* "(a, b)", the parentheses included. */
static bool parse_arguments(struct parser *p, struct node_list *out) {
    *out = (struct node_list){NULL, 0, 0};
    if (!parse_expect(p, TOKEN_LEFT_PAREN)) {
        return false;
    }
    if (parse_accept(p, TOKEN_RIGHT_PAREN)) {
        return true;
    }
    for (;;) {
        if (!parse_argument(p, out)) {
            return false;
        }
        if (parse_peek(p) != TOKEN_COMMA) {
            return parse_expect(p, TOKEN_RIGHT_PAREN);
        }
        const struct token comma = parse_take(p);
        const enum token_type next = parse_peek(p);
        if (next == TOKEN_ERROR) {
            return false;
        }
        if (!token_starts_expression(next)) {
            return parse_fail(p, comma.start, "trailing commas not allowed in function call args");
        }
    }
}

struct node *parse_call(struct parser *p, struct token name) {
    struct node_list args;
    if (!parse_arguments(p, &args)) {
        return NULL;
    }
    const struct function *function = function_find(name.text);
    if (function == NULL) {
        (void)parse_fail_quoted(p, name.start, "unknown function with name ", name.text, "");
        return NULL;
    }
    if (function->experimental && !p->options->experimental_functions) {
        (void)parse_fail(p, name.start, "function \"%s\" is not enabled", function->name);
        return NULL;
    }
    struct node *node =
        parse_node(p, NODE_CALL, function->returns, (struct pos_range){name.start, p->last_end});
    if (node == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < args.count; i++) {
        if (!parse_link(p, node, args.items[i], NULL)) {
            return NULL;
        }
    }
    node->call = (struct call){function, args.items, args.count};
    return node;
}

/* ---- aggregations ---- */

static const char *const AGGREGATE_TEXTS[] = {
    "sum",    "avg",  "count",   "min",          "max",      "group",  "stddev",
    "stdvar", "topk", "bottomk", "count_values", "quantile", "limitk", "limit_ratio",
};

static_assert(COUNT_OF(AGGREGATE_TEXTS) == AGG_LIMIT_RATIO + 1, "one text an operator");
static_assert(TOKEN_LIMIT_RATIO - TOKEN_SUM == AGG_LIMIT_RATIO,
              "tokens are in the order of operators");

const char *aggregate_op_text(enum aggregate_op op) {
    return AGGREGATE_TEXTS[op];
}

static bool has_param(enum aggregate_op op) {
    return op >= AGG_TOPK;
}

/* The arguments' number, and what they are. */
static bool set_arguments(struct parser *p, struct node *node, const struct node_list *args) {
    struct aggregate *aggregate = &node->aggregate;
    const size_t want = has_param(aggregate->op) ? 2 : 1;
    if (args->count == 0) {
        return parse_fail(p, node->pos.start, "no arguments for aggregate expression provided");
    }
    if ((aggregate->op == AGG_LIMITK || aggregate->op == AGG_LIMIT_RATIO) &&
        !p->options->experimental_functions) {
        return parse_fail(p, node->pos.start,
                          "%s() is experimental and must be enabled with "
                          "--enable-feature=promql-experimental-functions",
                          aggregate_op_text(aggregate->op));
    }
    if (args->count != want) {
        return parse_fail(p, node->pos.start,
                          "wrong number of arguments for aggregate expression provided, "
                          "expected %zu, got %zu",
                          want, args->count);
    }
    aggregate->param = want == 2 ? args->items[0] : NULL;
    aggregate->expr = args->items[want - 1];
    return parse_link(p, node, aggregate->expr, aggregate->param);
}

/* by (...) or without (...), if it is there. */
static bool parse_aggregate_modifier(struct parser *p, struct aggregate *aggregate) {
    const enum token_type type = parse_peek(p);
    if (type != TOKEN_BY && type != TOKEN_WITHOUT) {
        return type != TOKEN_ERROR;
    }
    (void)parse_take(p);
    struct str_list labels;
    if (!parse_grouping(p, &labels)) {
        return false;
    }
    aggregate->without = type == TOKEN_WITHOUT;
    aggregate->has_modifier = true;
    aggregate->grouping = labels.items;
    aggregate->grouping_count = labels.count;
    return true;
}

struct node *parse_aggregate(struct parser *p, struct token op) {
    const struct parse_context outer = p->context;
    p->context = (struct parse_context){"aggregation", NULL};
    struct aggregate aggregate = {.op = (enum aggregate_op)(op.type - TOKEN_SUM)};
    struct node_list args;
    if (!parse_aggregate_modifier(p, &aggregate) || !parse_arguments(p, &args)) {
        return NULL;
    }
    if (!aggregate.has_modifier && !parse_aggregate_modifier(p, &aggregate)) {
        return NULL;
    }
    p->context = outer;
    struct node *node =
        parse_node(p, NODE_AGGREGATE, VALUE_VECTOR, (struct pos_range){op.start, p->last_end});
    if (node == NULL) {
        return NULL;
    }
    node->aggregate = aggregate;
    return set_arguments(p, node, &args) ? node : NULL;
}
