/* Expression tree of PromQL, as the parser makes it. Nodes live in the parse's arena. Positions
 * are byte offsets in the query text (half-open). Durations are kept in ns as written; sub-ms
 * parts are cut where they are used. See spec/promql.md sections 1-3 and 23. */
#ifndef QUERY_AST_H
#define QUERY_AST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/matcher.h"
#include "base/str.h"

enum node_type {
    NODE_NUMBER,
    NODE_STRING,
    NODE_VECTOR_SELECTOR,
    NODE_MATRIX_SELECTOR, /* a vector selector with a range */
    NODE_SUBQUERY,
    NODE_CALL,
    NODE_AGGREGATE,
    NODE_BINARY,
    NODE_UNARY,
    NODE_PAREN,
    NODE_DURATION, /* duration expression; only below selector ranges, offsets, steps */
};

enum value_type { VALUE_NONE, VALUE_SCALAR, VALUE_VECTOR, VALUE_MATRIX, VALUE_STRING };

enum binary_op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_MOD,
    OP_POW,
    OP_ATAN2,
    OP_EQL,
    OP_NEQ,
    OP_GTR,
    OP_LSS,
    OP_GTE,
    OP_LTE,
    OP_AND,
    OP_OR,
    OP_UNLESS,
    OP_TRIM_UPPER,
    OP_TRIM_LOWER, /* </ and >/ */
};

enum aggregate_op {
    AGG_SUM,
    AGG_AVG,
    AGG_COUNT,
    AGG_MIN,
    AGG_MAX,
    AGG_GROUP,
    AGG_STDDEV,
    AGG_STDVAR,
    AGG_TOPK,
    AGG_BOTTOMK,
    AGG_COUNT_VALUES,
    AGG_QUANTILE,
    AGG_LIMITK,
    AGG_LIMIT_RATIO,
};

enum match_card { CARD_ONE_TO_ONE, CARD_MANY_TO_ONE, CARD_ONE_TO_MANY, CARD_MANY_TO_MANY };

enum at_kind { AT_NONE, AT_TIME, AT_START, AT_END };

struct pos_range {
    uint32_t start, end;
};

/* @ and offset, shared by selectors and subqueries */
struct time_modifiers {
    enum at_kind at;
    int64_t at_ms;            /* AT_TIME */
    int64_t offset_ns;        /* as written: positive looks back */
    struct node *offset_expr; /* NODE_DURATION, or NULL; resolved into offset_ns before execution */
};

struct vector_selector {
    struct str name;          /* the bare metric name, "" if none: a quoted one is only a matcher */
    struct matcher *matchers; /* as written, then __name__ = name when name is given */
    size_t matcher_count;
    struct time_modifiers time;
    bool anchored, smoothed;
    bool label_selector_only; /* info()'s second argument: the non-empty rule does not apply */
};

struct matrix_selector {
    struct node *selector; /* NODE_VECTOR_SELECTOR; carries @, offset, anchored, smoothed */
    int64_t range_ns;
    struct node *range_expr; /* NODE_DURATION or NULL */
};

struct subquery {
    struct node *expr;
    int64_t range_ns;
    struct node *range_expr;
    int64_t step_ns; /* 0 = default evaluation interval */
    struct node *step_expr;
    struct time_modifiers time;
};

struct function; /* query/function.h */

struct call {
    const struct function *function;
    struct node **args;
    size_t arg_count;
};

struct aggregate {
    enum aggregate_op op;
    struct node *expr;
    struct node *param; /* or NULL */
    struct str *grouping;
    size_t grouping_count;
    bool without;
    bool has_modifier; /* by () or without () was written */
};

struct vector_matching {
    enum match_card card;
    bool on;           /* on (...) was written, else ignoring */
    bool has_modifier; /* on or ignoring was written */
    struct str *labels;
    size_t label_count;
    struct str *include; /* group_left/right (...) */
    size_t include_count;
    bool has_fill_left, has_fill_right;
    double fill_left, fill_right;
};

struct binary {
    enum binary_op op;
    struct node *lhs, *rhs;
    bool return_bool;
    struct vector_matching *matching; /* NULL unless both sides are vectors */
};

struct unary {
    bool negative;
    struct node *expr;
};

enum duration_op {
    DUR_LITERAL,
    DUR_ADD,
    DUR_SUB,
    DUR_MUL,
    DUR_DIV,
    DUR_MOD,
    DUR_POW,
    DUR_STEP,
    DUR_RANGE,
    DUR_MIN_OF,
    DUR_MAX_OF,
    DUR_NEGATE
};

struct duration_expr {
    enum duration_op op;
    double seconds;           /* DUR_LITERAL */
    bool literal_is_duration; /* written 5m rather than 300 */
    struct node *lhs, *rhs;   /* NODE_DURATION; DUR_NEGATE has lhs only */
    bool wrapped;             /* in parentheses */
    bool explicit_plus;       /* "offset +step()": only the JSON tree tells it from "step()" */
};

struct node {
    enum node_type type;
    enum value_type value_type;
    uint16_t depth; /* of the tree from here on, a leaf is 1; at most PARSE_DEPTH_MAX */
    struct pos_range pos;
    union {
        struct {
            double value;
            bool is_duration; /* written as 5m: prints so */
        } number;
        struct str string;
        struct vector_selector vector;
        struct matrix_selector matrix;
        struct subquery subquery;
        struct call call;
        struct aggregate aggregate;
        struct binary binary;
        struct unary unary;
        struct node *paren;
        struct duration_expr duration;
    };
};

#endif
