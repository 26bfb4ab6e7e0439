/* Tokens of PromQL (spec/promql.md section 1).
 *
 * The lexer knows three places: ordinary text, the inside of braces (where keywords are plain
 * identifiers) and the start of a bracket (where only duration expressions are legal); error
 * texts differ between them. It keeps no copy of the input, reads every byte once and never
 * allocates. One thread at a time. */
#ifndef QUERY_LEX_H
#define QUERY_LEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum token_type {
    TOKEN_ERROR, /* message is in the lexer */
    TOKEN_EOF,

    /* described by kind and text in error messages */
    TOKEN_IDENTIFIER,
    TOKEN_METRIC_IDENTIFIER, /* with a ':' */
    TOKEN_NUMBER,
    TOKEN_DURATION,
    TOKEN_STRING,

    TOKEN_LEFT_PAREN,
    TOKEN_RIGHT_PAREN,
    TOKEN_LEFT_BRACE,
    TOKEN_RIGHT_BRACE,
    TOKEN_LEFT_BRACKET,
    TOKEN_RIGHT_BRACKET,
    TOKEN_COMMA,
    TOKEN_COLON,
    TOKEN_EQL, /* = */

    TOKEN_OPERATOR_FIRST,
    TOKEN_ADD = TOKEN_OPERATOR_FIRST,
    TOKEN_SUB,
    TOKEN_MUL,
    TOKEN_DIV,
    TOKEN_MOD,
    TOKEN_POW,
    TOKEN_ATAN2,
    TOKEN_EQLC, /* == */
    TOKEN_NEQ,
    TOKEN_GTR,
    TOKEN_LSS,
    TOKEN_GTE,
    TOKEN_LTE,
    TOKEN_AND,
    TOKEN_OR,
    TOKEN_UNLESS,
    TOKEN_TRIM_UPPER, /* </ */
    TOKEN_TRIM_LOWER, /* >/ */
    TOKEN_EQL_REGEX,
    TOKEN_NEQ_REGEX,
    TOKEN_AT,
    TOKEN_OPERATOR_LAST = TOKEN_AT,

    TOKEN_AGGREGATOR_FIRST, /* in the order of enum aggregate_op */
    TOKEN_SUM = TOKEN_AGGREGATOR_FIRST,
    TOKEN_AVG,
    TOKEN_COUNT,
    TOKEN_MIN,
    TOKEN_MAX,
    TOKEN_GROUP,
    TOKEN_STDDEV,
    TOKEN_STDVAR,
    TOKEN_TOPK,
    TOKEN_BOTTOMK,
    TOKEN_COUNT_VALUES,
    TOKEN_QUANTILE,
    TOKEN_LIMITK,
    TOKEN_LIMIT_RATIO,
    TOKEN_AGGREGATOR_LAST = TOKEN_LIMIT_RATIO,

    TOKEN_KEYWORD_FIRST,
    TOKEN_BOOL = TOKEN_KEYWORD_FIRST,
    TOKEN_BY,
    TOKEN_GROUP_LEFT,
    TOKEN_GROUP_RIGHT,
    TOKEN_FILL,
    TOKEN_FILL_LEFT,
    TOKEN_FILL_RIGHT,
    TOKEN_IGNORING,
    TOKEN_OFFSET,
    TOKEN_SMOOTHED,
    TOKEN_ANCHORED,
    TOKEN_ON,
    TOKEN_WITHOUT,
    TOKEN_KEYWORD_LAST = TOKEN_WITHOUT,

    /* words that are functions too */
    TOKEN_START,
    TOKEN_END,
    TOKEN_STEP,
    TOKEN_RANGE,
    TOKEN_MAX_OF,
    TOKEN_MIN_OF,
};

/* text is a slice of the input, start its offset there. */
struct token {
    enum token_type type;
    uint32_t start;
    struct str text;
};

enum lex_place { LEX_ORDINARY, LEX_BRACES, LEX_BRACKET };

struct lexer {
    struct str input;
    uint32_t pos;
    uint32_t start; /* of the token being read: where its error is reported */
    enum lex_place place;
    int paren_depth;
    bool bracket_open;
    bool got_colon;    /* since the bracket was opened */
    bool got_duration; /* likewise */
    char message[ERR_TEXT_MAX];
};

/* input is borrowed as long as lexer and tokens are used; at most UINT32_MAX bytes. */
void lex_init(struct lexer *lex, struct str input);
/* The next token, comments skipped. After TOKEN_ERROR or TOKEN_EOF the lexer is not used again. */
void lex_next(struct lexer *lex, struct token *out);

static inline bool token_is_operator(enum token_type type) {
    return type >= TOKEN_OPERATOR_FIRST && type <= TOKEN_OPERATOR_LAST;
}

static inline bool token_is_aggregator(enum token_type type) {
    return type >= TOKEN_AGGREGATOR_FIRST && type <= TOKEN_AGGREGATOR_LAST;
}

static inline bool token_is_keyword(enum token_type type) {
    return type >= TOKEN_KEYWORD_FIRST && type <= TOKEN_KEYWORD_LAST;
}

/* Whether the token may stand as a metric name / as a label in a grouping list / first in an
 * expression. */
bool token_is_metric_name(enum token_type type);
bool token_is_grouping_label(enum token_type type);
bool token_starts_expression(enum token_type type);

/* As error texts name a token: `identifier "x"`, `<op:and>`, `"{"`, `end of input`. */
void token_describe(struct buf *to, const struct token *token);

#endif
