/* Native histograms from what a page exposes: their layout put in order, their resolution lowered
 * to what a target may have, and classic histograms made into native ones with custom bounds
 * (spec/scrape.md 5.3, 5.4 and 6).
 *
 * What comes in may be anything: spans and counts are trusted only after histogram_tidy, the whole
 * only after histogram_validate. Results live in the arena given. Pure. */
#ifndef SCRAPE_HISTOGRAM_MAKE_H
#define SCRAPE_HISTOGRAM_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/histogram.h"
#include "base/histogram_tidy.h"

/* Empty buckets that may stand between two others rather than start a new span. */
enum { HISTOGRAM_DENSE_GAP = 2 };

/* The highest schema by native_histogram_min_bucket_factor; HISTOGRAM_SCHEMA_MAX is no limit. */
int histogram_max_schema(double min_bucket_factor);

/* Lowers the resolution until the schema is at most max_schema and no more than bucket_limit
 * buckets (0: any number) remain. *out_over: that is not possible. *h may be replaced. */
MUST_CHECK enum err_code histogram_limit(struct arena *arena, int max_schema, uint64_t bucket_limit,
                                         const struct histogram **h, bool *out_over,
                                         struct err *err);

/* ---- classic histograms ---- */

struct classic_bucket {
    double le, count; /* cumulative */
};

/* Collects the series of one classic histogram. Owner: a page's reader, which reuses it. */
struct classic_histogram {
    struct classic_bucket *buckets;
    size_t bucket_count, capacity;
    double count, sum;
    bool has_count;
    bool unsorted;
    enum err_code code; /* the first error; then nothing is taken any more */
    struct err err;
};

void classic_release(struct classic_histogram *c);
void classic_reset(struct classic_histogram *c);
void classic_bucket(struct classic_histogram *c, double le, double count);
void classic_count(struct classic_histogram *c, double count);
void classic_sum(struct classic_histogram *c, double sum);
/* ERR_INVALID with Prometheus' text: negative, not cumulative, or not adding up. */
MUST_CHECK enum err_code classic_convert(struct classic_histogram *c, struct arena *arena,
                                         struct histogram **out, bool *out_floats, struct err *err);

#endif
