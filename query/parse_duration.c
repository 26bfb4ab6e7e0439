/* Durations in brackets and behind offset: literals and the small language of duration
 * expressions (+ - * / % ^, parentheses, step(), range(), min_of, max_of). */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "query/parser.h"

enum { DUR_PREC_ADD = 1, DUR_PREC_MUL, DUR_PREC_POW };

/* Beyond what nanoseconds hold in 63 bits. */
static bool out_of_range(double seconds) {
    return seconds > 9223372036854775808.0 / 1e9 || seconds < -9223372036854775808.0 / 1e9;
}

static struct node *duration_node(struct parser *p, enum duration_op op, struct pos_range pos,
                                  struct node *lhs, struct node *rhs) {
    struct node *node = parse_node(p, NODE_DURATION, VALUE_SCALAR, pos);
    if (node == NULL || !parse_link(p, node, lhs, rhs)) {
        return NULL;
    }
    node->duration.op = op;
    node->duration.lhs = lhs;
    node->duration.rhs = rhs;
    return node;
}

/* A number that stands alone folds signs and is checked at once; one in parentheses does not. */
static bool is_bare_literal(const struct node *node) {
    return node->duration.op == DUR_LITERAL && !node->duration.wrapped;
}

static struct node *parse_literal(struct parser *p) {
    const struct token token = parse_take(p);
    double seconds = 0;
    if (!parse_number(p, token, &seconds)) {
        return NULL;
    }
    struct node *node =
        duration_node(p, DUR_LITERAL, (struct pos_range){token.start, p->last_end}, NULL, NULL);
    if (node == NULL) {
        return NULL;
    }
    node->duration.seconds = seconds;
    node->duration.literal_is_duration = token.type == TOKEN_DURATION;
    return node;
}

static struct node *check_range(struct parser *p, struct node *node, uint32_t offset) {
    if (out_of_range(node->duration.seconds)) {
        (void)parse_fail(p, offset, "duration out of range");
        return NULL;
    }
    return node;
}

static struct node *parse_duration(struct parser *p, int min_precedence);

/* step() or range() */
static struct node *parse_variable(struct parser *p) {
    const struct token word = parse_take(p);
    if (!parse_expect(p, TOKEN_LEFT_PAREN) || !parse_expect(p, TOKEN_RIGHT_PAREN)) {
        return NULL;
    }
    return duration_node(p, word.type == TOKEN_STEP ? DUR_STEP : DUR_RANGE,
                         (struct pos_range){word.start, p->last_end}, NULL, NULL);
}

/* min_of(a, b) or max_of(a, b); its position is that of the arguments. */
static struct node *parse_extremum(struct parser *p) {
    const struct token word = parse_take(p);
    if (!parse_expect(p, TOKEN_LEFT_PAREN)) {
        return NULL;
    }
    struct node *lhs = parse_duration(p, DUR_PREC_ADD);
    if (lhs == NULL || !parse_expect(p, TOKEN_COMMA)) {
        return NULL;
    }
    struct node *rhs = parse_duration(p, DUR_PREC_ADD);
    if (rhs == NULL || !parse_expect(p, TOKEN_RIGHT_PAREN)) {
        return NULL;
    }
    return duration_node(p, word.type == TOKEN_MIN_OF ? DUR_MIN_OF : DUR_MAX_OF,
                         (struct pos_range){lhs->pos.start, rhs->pos.end}, lhs, rhs);
}

static struct node *parse_parens(struct parser *p) {
    const uint32_t start = parse_take(p).start;
    struct node *node = parse_duration(p, DUR_PREC_ADD);
    if (node == NULL || !parse_expect(p, TOKEN_RIGHT_PAREN)) {
        return NULL;
    }
    if (is_bare_literal(node)) {
        node->pos.start = start;
    }
    node->duration.wrapped = true;
    return node;
}

static struct node *apply_sign(struct parser *p, struct token sign, struct node *operand) {
    if (is_bare_literal(operand)) {
        if (sign.type == TOKEN_SUB) {
            operand->duration.seconds = -operand->duration.seconds;
        }
        operand->pos.start = sign.start;
        return check_range(p, operand, sign.start);
    }
    if (sign.type != TOKEN_SUB) {
        return operand;
    }
    return duration_node(p, DUR_NEGATE, (struct pos_range){sign.start, operand->pos.end}, operand,
                         NULL);
}

static struct node *parse_duration_operand(struct parser *p) {
    const enum token_type type = parse_peek(p);
    switch ((int)type) {
    case TOKEN_NUMBER:
    case TOKEN_DURATION: {
        struct node *literal = parse_literal(p);
        return literal != NULL ? check_range(p, literal, literal->pos.start) : NULL;
    }
    case TOKEN_STEP:
    case TOKEN_RANGE:
        return parse_variable(p);
    case TOKEN_MIN_OF:
    case TOKEN_MAX_OF:
        return parse_extremum(p);
    case TOKEN_LEFT_PAREN:
        return parse_parens(p);
    case TOKEN_ADD:
    case TOKEN_SUB: {
        const struct token sign = parse_take(p);
        struct node *operand = parse_duration(p, DUR_PREC_POW);
        return operand != NULL ? apply_sign(p, sign, operand) : NULL;
    }
    default:
        (void)parse_unexpected(p);
        return NULL;
    }
}

static bool duration_op_of(enum token_type type, enum duration_op *out, int *out_precedence) {
    static const struct {
        enum duration_op op;
        int precedence;
    } OPS[] = {
        {DUR_ADD, DUR_PREC_ADD}, {DUR_SUB, DUR_PREC_ADD}, {DUR_MUL, DUR_PREC_MUL},
        {DUR_DIV, DUR_PREC_MUL}, {DUR_MOD, DUR_PREC_MUL}, {DUR_POW, DUR_PREC_POW},
    };
    static_assert(TOKEN_POW - TOKEN_ADD == 5, "arithmetic tokens come first");
    if (type < TOKEN_ADD || type > TOKEN_POW) {
        return false;
    }
    *out = OPS[type - TOKEN_ADD].op;
    *out_precedence = OPS[type - TOKEN_ADD].precedence;
    return true;
}

/* What follows an operand: operators of at least the given precedence. */
static struct node *parse_duration_rest(struct parser *p, struct node *node, int min_precedence) {
    while (node != NULL) {
        enum duration_op op = DUR_ADD;
        int precedence = 0;
        if (!duration_op_of(parse_peek(p), &op, &precedence) || precedence < min_precedence) {
            break;
        }
        const struct token token = parse_take(p);
        struct node *rhs = parse_duration(p, op == DUR_POW ? DUR_PREC_POW : precedence + 1);
        if (rhs == NULL) {
            return NULL;
        }
        if ((op == DUR_DIV || op == DUR_MOD) && is_bare_literal(rhs) &&
            rhs->duration.seconds == 0) {
            (void)parse_fail(p, token.start, op == DUR_DIV ? "division by zero" : "modulo by zero");
            return NULL;
        }
        node = duration_node(p, op, (struct pos_range){node->pos.start, rhs->pos.end}, node, rhs);
    }
    return p->code == ERR_OK ? node : NULL;
}

static struct node *parse_duration(struct parser *p, int min_precedence) {
    if (!parse_enter(p)) {
        return NULL;
    }
    struct node *node = parse_duration_rest(p, parse_duration_operand(p), min_precedence);
    parse_leave(p);
    return node;
}

struct node *parse_duration_positive(struct parser *p) {
    struct node *node = parse_duration(p, DUR_PREC_ADD);
    if (node != NULL && is_bare_literal(node) && node->duration.seconds <= 0) {
        (void)parse_fail(p, node->pos.start, "duration must be greater than 0");
        return NULL;
    }
    return node;
}

/* Behind offset and a sign. A parenthesised or named operand ends the offset; another sign opens
 * a whole expression. */
static struct node *parse_offset_signed(struct parser *p, bool *out_more) {
    const struct token sign = parse_take(p);
    const enum token_type type = parse_peek(p);
    const bool nested = type == TOKEN_ADD || type == TOKEN_SUB;
    *out_more = nested;
    struct node *operand = type == TOKEN_NUMBER || type == TOKEN_DURATION ? parse_literal(p)
                           : nested ? parse_duration(p, DUR_PREC_POW)
                                    : parse_duration_operand(p);
    if (operand == NULL) {
        return NULL;
    }
    const bool named =
        type == TOKEN_STEP || type == TOKEN_RANGE || type == TOKEN_MIN_OF || type == TOKEN_MAX_OF;
    if (named && sign.type == TOKEN_ADD) {
        operand->duration.explicit_plus = true;
        return operand;
    }
    return apply_sign(p, sign, operand);
}

/* offset binds tighter than any operator behind it, so that "x offset -2^2" is "(x offset -2)^2":
 * only an operand in parentheses, or one with two signs, goes on as an expression. */
struct node *parse_duration_offset(struct parser *p) {
    const enum token_type type = parse_peek(p);
    bool more = type == TOKEN_LEFT_PAREN;
    struct node *node = type == TOKEN_ADD || type == TOKEN_SUB ? parse_offset_signed(p, &more)
                                                               : parse_duration_operand(p);
    if (node != NULL && more) {
        node = parse_duration_rest(p, node, DUR_PREC_ADD);
    }
    if (node != NULL && is_bare_literal(node) && isnan(node->duration.seconds)) {
        (void)parse_fail(p, node->pos.start, "duration out of range");
        return NULL;
    }
    return node;
}

int64_t parse_duration_ns(struct node *duration, struct node **out_expr) {
    if (!is_bare_literal(duration)) {
        *out_expr = duration;
        return 0;
    }
    *out_expr = NULL;
    const double ns = round(duration->duration.seconds * 1e9);
    if (ns >= 9223372036854775808.0) {
        return INT64_MAX;
    }
    return ns <= -9223372036854775808.0 ? INT64_MIN : (int64_t)ns;
}
