/* How many samples a query looked at, as Prometheus counts them, in total and by step:
 *   queryable  each step counts what is in its window; a step-invariant part counts at every step
 *   fetched    what neighbouring windows share counts once; a step-invariant part once
 * A subquery's own samples count at its parent's last step (fetched: where they are first needed),
 * and then again as what the parent's windows hold. Private to query/. */
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
/* The part is a subquery's expression on inner; its results are used offset_ms later. */
void step_scope_end_subquery(struct eval *ev, const struct step_scope *scope,
                             const struct grid *inner, const struct grid *outer, int64_t offset_ms);

#endif
