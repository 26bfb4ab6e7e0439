/* load_with_nhcb of the PromQL test language: classic histograms of one load, series x_bucket,
 * x_sum and x_count, as native ones with custom bounds (spec/promql.md section 12). */
#ifndef QUERY_SCRIPT_PROMQLTEST_NHCB_H
#define QUERY_SCRIPT_PROMQLTEST_NHCB_H

#include "base/arena.h"
#include "base/labels.h"
#include "query/script/fake_storage.h"
#include "query/script/promqltest_sequence.h"

struct nhcb;

/* Lives in arena. */
struct nhcb *nhcb_new(struct arena *arena);
/* Takes note of the series if it is one of a classic histogram. */
bool nhcb_add(struct nhcb *nhcb, struct labels labels, const struct sequence *values);
/* False when counts fall, are negative or do not fit. */
bool nhcb_put(struct nhcb *nhcb, struct fake_storage *fs, int64_t step_ms);

#endif
