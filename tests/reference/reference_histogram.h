/* Native histograms of the reference evaluator (spec section 18): cells by index, of either sign,
 * each with the compensation of its sum. */
#ifndef TESTS_REFERENCE_REFERENCE_HISTOGRAM_H
#define TESTS_REFERENCE_REFERENCE_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct ref;

/* Neumaier's sum. */
struct ref_sum {
    double s, c;
};
void ref_sum_add(struct ref_sum *k, double x);

enum ref_hint { REF_UNKNOWN, REF_RESET, REF_NOT_RESET, REF_GAUGE };
enum { REF_CUSTOM = -53 };

struct ref_cell {
    int index;
    struct ref_sum n; /* n.c is 0 outside of sums */
};

struct ref_cells {
    struct ref_cell *items; /* by index; also empty ones that a sample names */
    size_t count;
};

struct ref_histogram {
    int schema;
    enum ref_hint hint;
    struct ref_sum count, sum, zero;
    double zero_threshold;
    struct ref_cells positive, negative;
    const double *bounds; /* of schema REF_CUSTOM */
    size_t bound_count;
};

/* What adding two found: kinds of buckets that do not go together (the result is NULL), bounds that
 * were mapped to common ones, hints that contradict. */
struct ref_added {
    bool incompatible, reconciled, conflict;
};
enum ref_adding { REF_ADD, REF_SUBTRACT, REF_COMPENSATE };

bool ref_is_custom(const struct ref_histogram *h);
struct ref_histogram *ref_histogram_copy(struct ref *r, const struct ref_histogram *h);
struct ref_histogram *ref_histogram_add(struct ref *r, const struct ref_histogram *a,
                                        const struct ref_histogram *b, enum ref_adding how,
                                        struct ref_added *out);
/* The compensations of a sum added to it. */
struct ref_histogram *ref_histogram_settle(struct ref *r, const struct ref_histogram *h);
struct ref_histogram *ref_histogram_compact(struct ref *r, const struct ref_histogram *h);
struct ref_histogram *ref_histogram_scale(struct ref *r, const struct ref_histogram *h,
                                          double factor, bool divide);
struct ref_histogram *ref_histogram_reduce(struct ref *r, const struct ref_histogram *h,
                                           int schema);
/* Any of its numbers is infinite. */
bool ref_histogram_overflows(const struct ref_histogram *h);
bool ref_histogram_reset(struct ref *r, const struct ref_histogram *h,
                         const struct ref_histogram *before);
/* By value alone: the newer one's hint does not count. */
bool ref_histogram_shrank(struct ref *r, const struct ref_histogram *h,
                          const struct ref_histogram *before);
bool ref_histogram_same(const struct ref_histogram *a, const struct ref_histogram *b);
struct ref_histogram *ref_histogram_trim(struct ref *r, const struct ref_histogram *h, double x,
                                         bool below);
void ref_histogram_text(struct buf *to, const struct ref_histogram *h);
double ref_bound(const struct ref_histogram *h, int index);

/* ---- buckets in order ---- */

struct ref_bucket {
    double low, high, count;
    int side; /* -1, 0 (zero bucket), 1 */
};

/* Ascending, without empty ones. cut: inner bounds end at the zero threshold. */
size_t ref_buckets(struct ref *r, const struct ref_histogram *h, bool cut, struct ref_bucket **out);

enum ref_nan_effect { REF_NAN_NONE, REF_NAN_RESULT, REF_NAN_SKEWED };
double ref_native_quantile(struct ref *r, double phi, const struct ref_histogram *h,
                           enum ref_nan_effect *effect);
double ref_native_fraction(struct ref *r, double lower, double upper, const struct ref_histogram *h,
                           bool *excluded);
double ref_native_variance(struct ref *r, const struct ref_histogram *h);

#endif
