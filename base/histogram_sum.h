/* Sum of histograms, one after the other, in place: the first is unpacked to lists of buckets, the
 * others are added to it, the result is packed again. Reconciles schemas, zero buckets and custom
 * bounds on the way (spec/promql.md section 18).
 *
 * Owner: whoever sums; memory is the arena's, and grows with the number of different buckets, not
 * with the number of histograms. Functions return false when the arena's budget is passed; the sum
 * is of no use then. */
#ifndef BASE_HISTOGRAM_SUM_H
#define BASE_HISTOGRAM_SUM_H

#include "base/histogram.h"

struct histogram_list {
    int32_t *index;
    double *count;
    double *lost; /* compensation of count */
    uint32_t n, capacity;
};

struct histogram_sum {
    struct arena *arena;
    int32_t schema;
    enum histogram_hint hint;
    double zero_threshold;
    double zero_count, zero_lost;
    double count, count_lost;
    double sum, sum_lost;
    struct histogram_list positive, negative;
    struct histogram_list scratch;
    double *bounds;
    uint32_t bound_count;
    bool compensated;
    bool combined;      /* with any other */
    bool reconciled;    /* custom bounds differed */
    bool hint_conflict; /* reset met not-reset */
};

/* compensated: additions use the Kahan increment (aggregations), else plain (operators). */
MUST_CHECK bool histogram_sum_init(struct histogram_sum *s, struct arena *arena,
                                   const struct histogram *first, bool compensated);
/* Of the same kind as the first. */
MUST_CHECK bool histogram_sum_add(struct histogram_sum *s, const struct histogram *h);
MUST_CHECK bool histogram_sum_subtract(struct histogram_sum *s, const struct histogram *h);
/* Counts and compensations times factor. */
void histogram_sum_multiply(struct histogram_sum *s, double factor);
void histogram_sum_divide(struct histogram_sum *s, double divisor);
/* Another sum of the same content in the same arena. */
MUST_CHECK bool histogram_sum_clone(const struct histogram_sum *s, struct histogram_sum *out);
/* Any field is infinite. */
bool histogram_sum_overflowed(const struct histogram_sum *s);
/* Adding h cannot make any field infinite: no trial is needed. */
bool histogram_sum_has_room(const struct histogram_sum *s, const struct histogram *h);
/* The sum with its compensations added, in arena. NULL: no memory. */
MUST_CHECK struct histogram *histogram_sum_finish(const struct histogram_sum *s,
                                                  struct arena *arena);

/* a + b and a - b of the same kind; flags say what was found. NULL: no memory. */
struct histogram_flags {
    bool reconciled;
    bool hint_conflict;
};
MUST_CHECK struct histogram *histogram_add(struct arena *arena, const struct histogram *a,
                                           const struct histogram *b,
                                           struct histogram_flags *flags);
MUST_CHECK struct histogram *histogram_subtract(struct arena *arena, const struct histogram *a,
                                                const struct histogram *b,
                                                struct histogram_flags *flags);
/* h at the lower schema. */
MUST_CHECK struct histogram *histogram_reduce(struct arena *arena, const struct histogram *h,
                                              int32_t schema);

#endif
