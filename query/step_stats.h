/* How many samples a query looked at, as Prometheus counts them, in total and by step:
 *   queryable  each step counts what is in its window; a step-invariant part counts at every step
 *   fetched    what neighbouring windows share counts once; a step-invariant part once
 * Of a subquery the parent's windows over its results are queryable, and what its expression fetched
 * is fetched, where it is first needed; of one that is the query's result, what its expression
 * looked at is queryable, at the last step. Private to query/. */
#ifndef QUERY_STEP_STATS_H
#define QUERY_STEP_STATS_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "query/eval.h"

/* By step of one grid; in the query's lasting memory. */
struct step_stats {
    uint64_t *samples;
    uint64_t *fetched;
    size_t count;
};

/* *out is NULL when by-step counting is off. */
MUST_CHECK enum err_code step_stats_new(struct eval *ev, size_t steps, struct step_stats **out,
                                        struct err *err);

/* Around the evaluation of a part on a grid of its own. */
struct step_scope {
    struct step_stats *outer;
    uint64_t samples_before, fetched_before;
};
struct step_scope step_scope_begin(struct eval *ev, struct step_stats *inner);
/* The part is step-invariant: what it counted counts at all of these steps. */
void step_scope_end_invariant(struct eval *ev, const struct step_scope *scope, size_t steps);
/* How the results of a subquery's expression on inner are used by outer's steps. */
struct subquery_use {
    const struct grid *inner, *outer;
    int64_t offset_ms; /* they are used so much later */
    int64_t range_ms;
    bool whole; /* they are the query's result; else windows are laid over them */
};
/* Do some of them lie between the windows? Then what they fetched does not count, and ev->steps
 * must be there while they are made. */
bool subquery_use_has_gaps(const struct subquery_use *use);
void step_scope_end_subquery(struct eval *ev, const struct step_scope *scope,
                             const struct subquery_use *use);

#endif
