/* What a query is expected to cost and what it did cost, by node of its plan: for explain. A query
 * without a profile pays one test of a pointer a node.
 *
 * Owner: query_explain; everything lives in its arena, beyond the end of the query. The nodes'
 * counters are written by the query's own thread: a node that is evaluated by several threads must
 * count through one of them. Who evaluates a node without eval_rows, eval_scalar or
 * eval_range_series calls profile_note. Private to query/. */
#ifndef QUERY_PROFILE_H
#define QUERY_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "query/eval.h"
#include "query/plan.h"

struct profile_node {
    const struct plan_node *plan; /* only an address once the query has ended */
    enum plan_type type;
    struct pos_range pos;
    struct str what; /* name of the function, aggregation or operator; "" for others */
    bool invariant;
    uint32_t share; /* of the plan's node */
    struct profile_node **children;
    size_t child_count;
    /* before */
    uint64_t max_series;
    uint64_t expected_samples; /* of selectors: what they will read */
    /* after; all evaluations together */
    uint64_t calls, series, samples;
    int64_t ns; /* with its children */
    size_t peak_bytes;
};

struct query_profile {
    struct arena *arena;
    bool analyze; /* evaluate it, too */
    struct profile_node *root;
    struct profile_node **by_plan; /* sorted by address of plan */
    size_t count;
    size_t step_count;
};

/* Builds the tree and looks at the storage for what to expect. ERR_LIMIT, ERR_CANCELED, ... */
MUST_CHECK enum err_code profile_make(struct query_profile *profile, struct eval *ev,
                                      const struct plan *plan, struct err *err);

/* One evaluation of a node, done elsewhere. */
void profile_note(struct eval *ev, const struct plan_node *node, uint64_t series, uint64_t samples,
                  int64_t ns);

/* ---- around an evaluation ---- */

struct profile_span {
    struct profile_node *node; /* NULL: not profiled */
    struct eval *ev;
    int64_t start_ns;
    int64_t elsewhere_ns; /* in the sink or visitor: not this node's */
};
struct profile_span profile_begin(struct eval *ev, const struct plan_node *node);
void profile_end(struct profile_span *span);

/* Rows that pass through count for the span's node. */
struct profile_sink {
    struct row_sink sink;
    struct row_sink *down;
    struct profile_span span;
    size_t steps;
};
void profile_sink_init(struct profile_sink *s, struct eval *ev, const struct plan_node *node,
                       size_t steps, struct row_sink *down);

struct profile_visitor {
    struct range_visitor visitor;
    struct range_visitor *down;
    struct profile_span span;
};
void profile_visitor_init(struct profile_visitor *v, struct eval *ev, const struct plan_node *node,
                          struct range_visitor *down);

#endif
