/* Histograms reduced to what histogram_count, histogram_sum and histogram_avg look at (spec/promql.md
 * section 22). */
#ifndef QUERY_HISTOGRAM_STATS_H
#define QUERY_HISTOGRAM_STATS_H

#include "query/window.h"
#include "tsdb/storage.h"

/* The same samples, whose histograms have hint, schema, count and sum alone; unknown hints are
 * found out from the full histograms, in the order in which the windows of spec read them. */
MUST_CHECK enum err_code histogram_statistics(struct work *scratch,
                                              const struct storage_samples *samples,
                                              const struct window_spec *spec,
                                              struct storage_samples *out, struct err *err);

#endif
