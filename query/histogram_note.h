/* What operators on native histograms warn about (spec/promql.md section 14), and the histogram
 * between two samples, which warns too. */
#ifndef QUERY_HISTOGRAM_NOTE_H
#define QUERY_HISTOGRAM_NOTE_H

#include "base/histogram.h"
#include "query/eval.h"

/* Floats and histograms in one range, or (name "") in one group of an aggregation. */
void note_mixed_samples(struct eval *ev, struct pos_range pos, struct str name);
void note_mixed_aggregation(struct eval *ev, struct pos_range pos);
/* Exponential and custom buckets. */
void note_mixed_buckets(struct eval *ev, struct pos_range pos, struct str name);
void note_not_counter(struct eval *ev, struct pos_range pos, struct str name);
void note_not_gauge(struct eval *ev, struct pos_range pos, struct str name);
/* operation: addition, subtraction, aggregation */
void note_hint_conflict(struct eval *ev, struct pos_range pos, const char *operation);
void note_reconciled(struct eval *ev, struct pos_range pos, const char *operation);
void note_ignored_in_aggregation(struct eval *ev, struct pos_range pos, const char *aggregation);
void note_ignored_in_range(struct eval *ev, struct pos_range pos, struct str name);

/* Between h[0] at ts[0] and h[1] at ts[1], which are of one kind. */
struct interpolation {
    const int64_t *ts;
    const struct histogram *const *h;
    int64_t at_ms;
    bool counter;
};
MUST_CHECK enum err_code interpolate_histograms(struct eval *ev, struct pos_range pos,
                                                struct work *work,
                                                const struct interpolation *between,
                                                const struct histogram **out, struct err *err);

#endif
