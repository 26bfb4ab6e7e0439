/* What stands behind an expression: [range], [range:step], offset, @, anchored, smoothed. */
#include <math.h>

#include "base/check.h"
#include "query/parser.h"

#define DURATION_FORMS "number, duration, step(), or range()"

/* ---- [range] and [range:step] ---- */

static struct node *make_matrix(struct parser *p, struct node *inner, struct node *range,
                                uint32_t bracket) {
    if (inner->type != NODE_VECTOR_SELECTOR) {
        (void)parse_fail(p, bracket, "ranges only allowed for vector selectors");
        return NULL;
    }
    const struct time_modifiers *time = &inner->vector.time;
    if (time->offset_ns != 0 || time->offset_expr != NULL) {
        (void)parse_fail(p, bracket, "no offset modifiers allowed before range");
        return NULL;
    }
    if (time->at != AT_NONE) {
        (void)parse_fail(p, bracket, "no @ modifiers allowed before range");
        return NULL;
    }
    struct node *node = parse_node(p, NODE_MATRIX_SELECTOR, VALUE_MATRIX,
                                   (struct pos_range){inner->pos.start, p->last_end});
    if (node == NULL || !parse_link(p, node, inner, range)) {
        return NULL;
    }
    node->matrix.selector = inner;
    node->matrix.range_ns = parse_duration_ns(range, &node->matrix.range_expr);
    return node;
}

static struct node *make_subquery(struct parser *p, struct node *inner, struct node *range,
                                  struct node *step) {
    struct node *node = parse_node(p, NODE_SUBQUERY, VALUE_MATRIX,
                                   (struct pos_range){inner->pos.start, p->last_end});
    if (node == NULL || !parse_link(p, node, inner, range) || !parse_link(p, node, step, NULL)) {
        return NULL;
    }
    node->subquery.expr = inner;
    node->subquery.range_ns = parse_duration_ns(range, &node->subquery.range_expr);
    if (step != NULL) {
        node->subquery.step_ns = parse_duration_ns(step, &node->subquery.step_expr);
    }
    return node;
}

static struct node *parse_bracket(struct parser *p, struct node *inner) {
    const uint32_t bracket = parse_take(p).start;
    const struct parse_context outer = p->context;
    p->context = (struct parse_context){"subquery or range selector", DURATION_FORMS};
    struct node *range = parse_duration_positive(p);
    if (range == NULL) {
        return NULL;
    }
    if (parse_accept(p, TOKEN_RIGHT_BRACKET)) {
        p->context = outer;
        return make_matrix(p, inner, range, bracket);
    }
    p->context = (struct parse_context){"subquery or range", "\":\" or \"]\""};
    if (!parse_expect(p, TOKEN_COLON)) {
        return NULL;
    }
    struct node *step = NULL;
    if (!parse_accept(p, TOKEN_RIGHT_BRACKET)) {
        p->context = (struct parse_context){"subquery selector",
                                            "number, duration, step(), range(), or \"]\""};
        step = parse_duration_positive(p);
        p->context = (struct parse_context){"subquery selector", "\"]\""};
        if (step == NULL || !parse_expect(p, TOKEN_RIGHT_BRACKET)) {
            return NULL;
        }
    }
    p->context = outer;
    return make_subquery(p, inner, range, step);
}

/* ---- offset and @ ---- */

/* Where the expression keeps them, or NULL when it has none. */
static struct time_modifiers *time_of(struct node *node) {
    switch (node->type) {
    case NODE_VECTOR_SELECTOR:
        return &node->vector.time;
    case NODE_MATRIX_SELECTOR:
        return &node->matrix.selector->vector.time;
    case NODE_SUBQUERY:
        return &node->subquery.time;
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_CALL:
    case NODE_AGGREGATE:
    case NODE_BINARY:
    case NODE_UNARY:
    case NODE_PAREN:
    case NODE_DURATION:
        break;
    }
    return NULL;
}

static bool apply_offset(struct parser *p, struct node *node, struct node *duration) {
    struct time_modifiers *time = time_of(node);
    if (time == NULL) {
        return parse_fail(p, node->pos.start,
                          "offset modifier must be preceded by an instant vector selector or "
                          "range vector selector or a subquery");
    }
    if (time->offset_ns != 0 || time->offset_expr != NULL) {
        return parse_fail(p, node->pos.start, "offset may not be set multiple times");
    }
    time->offset_ns = parse_duration_ns(duration, &time->offset_expr);
    node->pos.end = p->last_end;
    return parse_link(p, node, time->offset_expr, NULL);
}

static bool parse_offset(struct parser *p, struct node *node) {
    (void)parse_take(p);
    const struct parse_context outer = p->context;
    p->context = (struct parse_context){"offset", DURATION_FORMS};
    struct node *duration = parse_duration_offset(p);
    p->context = outer;
    return duration != NULL && apply_offset(p, node, duration);
}

static bool fail_timestamp(struct parser *p, const struct node *node, double seconds) {
    static const char FORMAT[] = "timestamp out of bounds for @ modifier: %s";
    if (isnan(seconds)) {
        return parse_fail(p, node->pos.start, FORMAT, "NaN");
    }
    if (isinf(seconds)) {
        return parse_fail(p, node->pos.start, FORMAT, seconds > 0 ? "+Inf" : "-Inf");
    }
    return parse_fail(p, node->pos.start, "timestamp out of bounds for @ modifier: %f", seconds);
}

/* Seconds to ms, half away from zero; what int64 cannot hold saturates. */
static int64_t round_to_ms(double seconds) {
    const double ms = round(seconds * 1000);
    if (ms >= 9223372036854775808.0) {
        return INT64_MAX;
    }
    return ms <= -9223372036854775808.0 ? INT64_MIN : (int64_t)ms;
}

static bool apply_at(struct parser *p, struct node *node, enum at_kind kind, double seconds) {
    if (kind == AT_TIME &&
        (isnan(seconds) || seconds >= 9223372036854775808.0 || seconds <= -9223372036854775808.0)) {
        return fail_timestamp(p, node, seconds);
    }
    struct time_modifiers *time = time_of(node);
    if (time == NULL) {
        return parse_fail(p, node->pos.start,
                          "@ modifier must be preceded by an instant vector selector or "
                          "range vector selector or a subquery");
    }
    if (time->at != AT_NONE) {
        return parse_fail(p, node->pos.start, "@ <timestamp> may not be set multiple times");
    }
    time->at = kind;
    time->at_ms = kind == AT_TIME ? round_to_ms(seconds) : 0;
    node->pos.end = p->last_end;
    return true;
}

/* A signed number or duration, start() or end(). */
static bool parse_at(struct parser *p, struct node *node) {
    (void)parse_take(p);
    const struct parse_context outer = p->context;
    p->context = (struct parse_context){"@", "timestamp"};
    enum at_kind kind = AT_TIME;
    double seconds = 0;
    enum token_type type = parse_peek(p);
    if (type == TOKEN_START || type == TOKEN_END) {
        (void)parse_take(p);
        kind = type == TOKEN_START ? AT_START : AT_END;
        if (!parse_expect(p, TOKEN_LEFT_PAREN) || !parse_expect(p, TOKEN_RIGHT_PAREN)) {
            return false;
        }
    } else {
        const bool negative = type == TOKEN_SUB;
        if (type == TOKEN_SUB || type == TOKEN_ADD) {
            (void)parse_take(p);
            type = parse_peek(p);
        }
        if (type != TOKEN_NUMBER && type != TOKEN_DURATION) {
            return parse_unexpected(p);
        }
        if (!parse_number(p, parse_take(p), &seconds)) {
            return false;
        }
        seconds = negative ? -seconds : seconds;
    }
    p->context = outer;
    return apply_at(p, node, kind, seconds);
}

/* ---- anchored and smoothed ---- */

static bool parse_extended(struct parser *p, struct node *node) {
    const bool anchored = parse_take(p).type == TOKEN_ANCHORED;
    const char *name = anchored ? "anchored" : "smoothed";
    if (!p->options->extended_range_selectors) {
        return parse_fail(p, node->pos.start, "%s modifier is experimental and not enabled", name);
    }
    if (node->type == NODE_SUBQUERY) {
        return parse_fail(p, node->pos.start, "%s modifier is not supported for subqueries", name);
    }
    if (node->type != NODE_VECTOR_SELECTOR && node->type != NODE_MATRIX_SELECTOR) {
        return parse_fail(p, node->pos.start, "%s modifier not implemented", name);
    }
    struct vector_selector *selector =
        node->type == NODE_VECTOR_SELECTOR ? &node->vector : &node->matrix.selector->vector;
    *(anchored ? &selector->anchored : &selector->smoothed) = true;
    if (selector->anchored && selector->smoothed) {
        return parse_fail(p, node->pos.start,
                          "anchored and smoothed modifiers cannot be used together");
    }
    return true;
}

struct node *parse_modifiers(struct parser *p, struct node *node) {
    for (;;) {
        bool ok = true;
        switch ((int)parse_peek(p)) {
        case TOKEN_LEFT_BRACKET:
            node = parse_bracket(p, node);
            ok = node != NULL;
            break;
        case TOKEN_OFFSET:
            ok = parse_offset(p, node);
            break;
        case TOKEN_AT:
            ok = parse_at(p, node);
            break;
        case TOKEN_ANCHORED:
        case TOKEN_SMOOTHED:
            ok = parse_extended(p, node);
            break;
        case TOKEN_ERROR:
            return NULL;
        default:
            return node;
        }
        if (!ok) {
            return NULL;
        }
    }
}
