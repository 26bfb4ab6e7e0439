/* Compensated sum or mean of histograms, the mean incremental once the sum overflows (spec/promql.md
 * section 19). Owner: an aggregation or one window; memory is the work's. */
#ifndef QUERY_NATIVE_SUM_H
#define QUERY_NATIVE_SUM_H

#include "base/histogram_sum.h"
#include "query/eval.h"

struct native_sum {
    struct histogram_sum sum;
    struct work *work;
    double n;
    bool mean;
    bool incremental;
    bool reset, not_reset; /* hints seen */
};

MUST_CHECK enum err_code native_sum_init(struct native_sum *s, struct work *work,
                                         const struct histogram *first, bool mean, struct err *err);
/* Exponential and custom buckets cannot be added. */
bool native_sum_fits(const struct native_sum *s, const struct histogram *h);
MUST_CHECK enum err_code native_sum_add(struct native_sum *s, const struct histogram *h,
                                        struct err *err);
/* What was found on the way. */
void native_sum_note(const struct native_sum *s, struct eval *ev, struct pos_range pos);
/* NULL: no memory. */
MUST_CHECK struct histogram *native_sum_finish(struct native_sum *s, struct arena *arena);

#endif
