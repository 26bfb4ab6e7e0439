#include "query/parse.h"

#include <assert.h>
#include <string.h>

#include "base/check.h"
#include "base/labels.h"
#include "base/utf8.h"
#include "query/parser.h"

/* ---- operators ---- */

enum precedence {
    PREC_NONE,
    PREC_OR,
    PREC_AND,
    PREC_COMPARE,
    PREC_ADD,
    PREC_MUL,
    PREC_POW,
};

struct operator_row {
    enum token_type token;
    enum binary_op op;
    enum precedence precedence;
    const char *text;
};

/* By enum binary_op. */
static const struct operator_row OPERATORS[] = {
    {TOKEN_ADD, OP_ADD, PREC_ADD, "+"},
    {TOKEN_SUB, OP_SUB, PREC_ADD, "-"},
    {TOKEN_MUL, OP_MUL, PREC_MUL, "*"},
    {TOKEN_DIV, OP_DIV, PREC_MUL, "/"},
    {TOKEN_MOD, OP_MOD, PREC_MUL, "%"},
    {TOKEN_POW, OP_POW, PREC_POW, "^"},
    {TOKEN_ATAN2, OP_ATAN2, PREC_MUL, "atan2"},
    {TOKEN_EQLC, OP_EQL, PREC_COMPARE, "=="},
    {TOKEN_NEQ, OP_NEQ, PREC_COMPARE, "!="},
    {TOKEN_GTR, OP_GTR, PREC_COMPARE, ">"},
    {TOKEN_LSS, OP_LSS, PREC_COMPARE, "<"},
    {TOKEN_GTE, OP_GTE, PREC_COMPARE, ">="},
    {TOKEN_LTE, OP_LTE, PREC_COMPARE, "<="},
    {TOKEN_AND, OP_AND, PREC_AND, "and"},
    {TOKEN_OR, OP_OR, PREC_OR, "or"},
    {TOKEN_UNLESS, OP_UNLESS, PREC_AND, "unless"},
    {TOKEN_TRIM_UPPER, OP_TRIM_UPPER, PREC_COMPARE, "</"},
    {TOKEN_TRIM_LOWER, OP_TRIM_LOWER, PREC_COMPARE, ">/"},
};

static_assert(TOKEN_TRIM_LOWER - TOKEN_ADD == OP_TRIM_LOWER,
              "tokens are in the order of operators");

static const struct operator_row *operator_of(enum token_type type) {
    return type >= TOKEN_ADD && type <= TOKEN_TRIM_LOWER ? &OPERATORS[type - TOKEN_ADD] : NULL;
}

const char *binary_op_text(enum binary_op op) {
    return OPERATORS[op].text;
}

const char *value_type_name(enum value_type type) {
    switch (type) {
    case VALUE_NONE:
        return "none";
    case VALUE_SCALAR:
        return "scalar";
    case VALUE_VECTOR:
        return "instant vector";
    case VALUE_MATRIX:
        return "range vector";
    case VALUE_STRING:
        return "string";
    }
    UNREACHABLE("value type");
}

/* ---- primaries ---- */

static struct node *parse_number_node(struct parser *p) {
    const struct token token = parse_take(p);
    double value = 0;
    if (!parse_number(p, token, &value)) {
        return NULL;
    }
    struct node *node =
        parse_node(p, NODE_NUMBER, VALUE_SCALAR, (struct pos_range){token.start, p->last_end});
    if (node != NULL) {
        node->number.value = value;
        node->number.is_duration = token.type == TOKEN_DURATION;
    }
    return node;
}

static struct node *parse_string_node(struct parser *p) {
    const struct token token = parse_take(p);
    struct str value = {NULL, 0};
    if (!parse_string(p, token, &value)) {
        return NULL;
    }
    struct node *node =
        parse_node(p, NODE_STRING, VALUE_STRING, (struct pos_range){token.start, p->last_end});
    if (node != NULL) {
        node->string = value;
    }
    return node;
}

static struct node *parse_paren(struct parser *p) {
    const uint32_t start = parse_take(p).start;
    struct node *inner = parse_operators(p, PREC_OR);
    if (inner == NULL || !parse_expect(p, TOKEN_RIGHT_PAREN)) {
        return NULL;
    }
    struct node *node =
        parse_node(p, NODE_PAREN, inner->value_type, (struct pos_range){start, p->last_end});
    if (node == NULL || !parse_link(p, node, inner, NULL)) {
        return NULL;
    }
    node->paren = inner;
    return node;
}

/* A word: a call or an aggregation when the token behind it says so, else a metric. */
static struct node *parse_word(struct parser *p) {
    const struct token word = parse_take(p);
    const enum token_type next = parse_peek(p);
    if (token_is_aggregator(word.type)) {
        if (next == TOKEN_LEFT_PAREN || next == TOKEN_BY || next == TOKEN_WITHOUT) {
            return parse_aggregate(p, word);
        }
    } else if (next == TOKEN_LEFT_PAREN &&
               (word.type == TOKEN_IDENTIFIER || word.type == TOKEN_START ||
                word.type == TOKEN_END || word.type == TOKEN_STEP || word.type == TOKEN_RANGE ||
                word.type == TOKEN_MAX_OF || word.type == TOKEN_MIN_OF)) {
        return parse_call(p, word);
    }
    return parse_selector(p, &word);
}

static struct node *parse_primary(struct parser *p) {
    const enum token_type type = parse_peek(p);
    if (type == TOKEN_NUMBER || type == TOKEN_DURATION) {
        return parse_number_node(p);
    }
    if (type == TOKEN_STRING) {
        return parse_string_node(p);
    }
    if (type == TOKEN_LEFT_PAREN) {
        return parse_paren(p);
    }
    if (type == TOKEN_LEFT_BRACE) {
        return parse_selector(p, NULL);
    }
    if (token_is_metric_name(type)) {
        return parse_word(p);
    }
    (void)parse_unexpected(p);
    return NULL;
}

/* ---- unary and binary ---- */

/* A sign binds like *: its operand takes only ^ and what stands behind an expression. */
static struct node *parse_unary(struct parser *p) {
    const struct token sign = parse_take(p);
    struct node *operand = parse_operators(p, PREC_POW);
    if (operand == NULL) {
        return NULL;
    }
    if (operand->type == NODE_NUMBER) {
        operand->number.value =
            sign.type == TOKEN_SUB ? -operand->number.value : operand->number.value;
        operand->pos.start = sign.start;
        return operand;
    }
    struct node *node = parse_node(p, NODE_UNARY, operand->value_type,
                                   (struct pos_range){sign.start, operand->pos.end});
    if (node == NULL || !parse_link(p, node, operand, NULL)) {
        return NULL;
    }
    node->unary.negative = sign.type == TOKEN_SUB;
    node->unary.expr = operand;
    return node;
}

static struct node *parse_operand(struct parser *p) {
    const enum token_type type = parse_peek(p);
    if (type == TOKEN_ADD || type == TOKEN_SUB) {
        return parse_unary(p);
    }
    struct node *node = parse_primary(p);
    return node != NULL ? parse_modifiers(p, node) : NULL;
}

/* The operator is the lookahead. */
static struct node *parse_binary(struct parser *p, struct node *lhs,
                                 const struct operator_row *operator_row) {
    (void)parse_take(p);
    bool return_bool = false;
    struct vector_matching *matching = NULL;
    if (!parse_matching(p, &return_bool, &matching)) {
        return NULL;
    }
    const int right = operator_row->op == OP_POW ? PREC_POW : operator_row->precedence + 1;
    struct node *rhs = parse_operators(p, right);
    if (rhs == NULL) {
        return NULL;
    }
    const bool scalar = lhs->value_type == VALUE_SCALAR && rhs->value_type == VALUE_SCALAR;
    struct node *node = parse_node(p, NODE_BINARY, scalar ? VALUE_SCALAR : VALUE_VECTOR,
                                   (struct pos_range){lhs->pos.start, rhs->pos.end});
    if (node == NULL || !parse_link(p, node, lhs, rhs)) {
        return NULL;
    }
    node->binary = (struct binary){operator_row->op, lhs, rhs, return_bool, matching};
    if ((matching->has_fill_left || matching->has_fill_right) &&
        !p->options->binop_fill_modifiers) {
        (void)parse_fail(p, node->pos.start,
                         "binop fill modifiers are experimental and not enabled");
        return NULL;
    }
    return node;
}

/* Precedence climbing: operators of at least the given precedence. */
struct node *parse_operators(struct parser *p, int min_precedence) {
    if (!parse_enter(p)) {
        return NULL;
    }
    struct node *node = parse_operand(p);
    while (node != NULL) {
        const struct operator_row *row = operator_of(parse_peek(p));
        if (row == NULL || (int)row->precedence < min_precedence) {
            break;
        }
        node = parse_binary(p, node, row);
    }
    parse_leave(p);
    return p->code == ERR_OK ? node : NULL;
}

/* ---- grouping lists ---- */

static bool parse_grouping_label(struct parser *p, struct str_list *out) {
    const enum token_type type = parse_peek(p);
    if (token_is_grouping_label(type)) {
        return parse_list_add(p, out, parse_take(p).text);
    }
    if (type != TOKEN_STRING) {
        return parse_unexpected_in(p, (struct parse_context){"grouping opts", "label"});
    }
    const struct token token = parse_take(p);
    struct str name = {NULL, 0};
    if (!parse_string(p, token, &name)) {
        return false;
    }
    if (!label_name_valid(name, NAMES_UTF8)) {
        return parse_fail_quoted(p, token.start, "invalid label name for grouping: ", name, "");
    }
    return parse_list_add(p, out, name);
}

bool parse_grouping(struct parser *p, struct str_list *out) {
    *out = (struct str_list){NULL, 0, 0};
    if (!parse_accept(p, TOKEN_LEFT_PAREN)) {
        return parse_unexpected_in(p, (struct parse_context){"grouping opts", "\"(\""});
    }
    if (parse_accept(p, TOKEN_RIGHT_PAREN)) {
        return true;
    }
    do {
        if (!parse_grouping_label(p, out)) {
            return false;
        }
        if (parse_accept(p, TOKEN_RIGHT_PAREN)) {
            return true;
        }
        if (!parse_accept(p, TOKEN_COMMA)) {
            return parse_unexpected_in(p,
                                       (struct parse_context){"grouping opts", "\",\" or \")\""});
        }
    } while (!parse_accept(p, TOKEN_RIGHT_PAREN)); /* behind a trailing comma */
    return true;
}

/* ---- entry ---- */

static enum err_code check_size(struct str text, struct err *err) {
    if (text.len > PARSE_TEXT_MAX) {
        return err_set(err, ERR_LIMIT, "query of %zu bytes is longer than %d", text.len,
                       PARSE_TEXT_MAX);
    }
    return ERR_OK;
}

enum err_code parse_expr(struct arena *arena, struct str text, const struct parse_options *options,
                         struct node **out, struct err *err) {
    const enum err_code size = check_size(text, err);
    if (size != ERR_OK) {
        return size;
    }
    struct parser p;
    parser_init(&p, arena, text, options, err);
    if (parse_peek(&p) == TOKEN_EOF) {
        (void)parse_fail(&p, 0, "no expression found in input");
        return p.code;
    }
    struct node *node = parse_operators(&p, PREC_OR);
    if (node == NULL || !parse_expect(&p, TOKEN_EOF) || !parse_check(&p, node)) {
        return p.code;
    }
    *out = node;
    return ERR_OK;
}

enum err_code parse_metric_selector(struct arena *arena, struct str text, struct matcher **out,
                                    size_t *out_count, struct err *err) {
    static const struct parse_options OPTIONS = {false, false, false};
    const enum err_code size = check_size(text, err);
    if (size != ERR_OK) {
        return size;
    }
    struct parser p;
    parser_init(&p, arena, text, &OPTIONS, err);
    struct token name;
    struct node *node = NULL;
    if (token_is_metric_name(parse_peek(&p))) {
        name = parse_take(&p);
        node = parse_selector(&p, &name);
    } else if (parse_peek(&p) == TOKEN_LEFT_BRACE) {
        node = parse_selector(&p, NULL);
    } else {
        (void)parse_unexpected(&p);
    }
    if (node == NULL || !parse_expect(&p, TOKEN_EOF)) {
        return p.code;
    }
    *out = node->vector.matchers;
    *out_count = node->vector.matcher_count;
    return ERR_OK;
}
