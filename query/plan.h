/* A query made ready to run: the checked tree with everything resolved that does not depend on
 * data (spec/promql.md section 3): start(), end(), range(), step() folded to numbers, duration
 * expressions to ms, @ to times, parentheses gone, step-invariant parts marked, the time range to
 * read. What this version cannot evaluate is refused here, before any data is touched.
 *
 * Owner: one query; nodes live in the arena given to plan_build. */
#ifndef QUERY_PLAN_H
#define QUERY_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "query/ast.h"
#include "query/grid.h"

enum plan_type {
    PLAN_NUMBER,
    PLAN_STRING,
    PLAN_SELECTOR, /* instant */
    PLAN_RANGE,    /* range selector */
    PLAN_SUBQUERY,
    PLAN_CALL,
    PLAN_AGGREGATE,
    PLAN_BINARY,
    PLAN_UNARY,
};

struct plan_node;

/* When a selector or subquery reads, seen from step t: at ts (with @) or t, minus offset. */
struct plan_time {
    bool has_at;
    int64_t at_ms;
    int64_t offset_ms;
};

/* anchored and smoothed look beyond the range's borders (spec section 15). */
enum plan_border { BORDER_PLAIN, BORDER_ANCHORED, BORDER_SMOOTHED };

struct plan_selector {
    const struct matcher *matchers;
    size_t matcher_count;
    /* The samples to look at: (t - offset - range, t - offset]. PLAN_SELECTOR: range is the
     * lookback. With other borders this is the widened window, */
    struct plan_time time;
    int64_t range_ms;
    enum plan_border border;
    int64_t inner_range_ms; /* and this the range as written, */
    int64_t after_ms;       /* which ends so long before the window */
    bool statistics_only;   /* of histograms nothing but hint, schema, count and sum is used */
    uint32_t read;          /* selectors that read the same samples have one; 0: alone */
    uint32_t number;        /* dense, one for equal matchers: the evaluator keeps its state by it */
};

struct plan_subquery {
    struct plan_node *expr;
    struct plan_time time;
    int64_t range_ms;
    int64_t step_ms;
};

struct plan_call {
    const struct function *function;
    struct plan_node **args;
    size_t arg_count;
    struct plan_info *info; /* of info(), whose second argument is no operand; else NULL */
};

/* The info series that info() joins (spec section 21). */
struct plan_info {
    struct plan_node *series;    /* PLAN_SELECTOR */
    const struct matcher *names; /* on __name__ */
    size_t name_count;
    const struct matcher *data; /* on other labels, as written */
    size_t data_count;
};

struct plan_aggregate {
    const struct aggregate *ast; /* op, grouping */
    struct plan_node *expr;
    struct plan_node *param; /* or NULL */
};

struct plan_binary {
    const struct binary *ast; /* op, matching, return_bool */
    struct plan_node *lhs, *rhs;
};

struct plan_node {
    enum plan_type type;
    enum value_type value_type;
    struct pos_range pos;
    bool invariant; /* the value at the first step holds for all */
    uint32_t share; /* equal nodes have one; 0: none is equal (plan_share.h) */
    uint64_t hash;  /* of what it is, wherever it stands */
    union {
        double number;
        struct str string;
        struct plan_selector selector;
        struct plan_subquery subquery;
        struct plan_call call;
        struct plan_aggregate aggregate;
        struct plan_binary binary;
        struct plan_node *negated; /* PLAN_UNARY: always a minus */
    };
};

struct plan_options {
    int64_t start_ms, end_ms, step_ms; /* step 0: instant */
    int64_t lookback_ms;
    int64_t default_step_ms;
};

struct plan {
    struct plan_node *root;
    struct grid grid;
    uint32_t selector_count;
    uint32_t share_count;
    uint32_t *share_uses; /* [share - 1]: nodes that have it */
    uint32_t read_count;  /* of plan_selector.read */
    int64_t mint, maxt;   /* what all selectors read together; mint > maxt: nothing */
};

/* The steps at which a subquery's inner expression is evaluated for these outer steps. */
struct grid plan_subquery_grid(const struct plan_subquery *sub, const struct grid *outer);

/* ERR_INVALID (durations, result type), ERR_UNSUPPORTED, ERR_LIMIT. ast must outlive the plan. */
MUST_CHECK enum err_code plan_build(struct arena *arena, struct node *ast,
                                    const struct plan_options *options, struct plan *out,
                                    struct err *err);

#endif
