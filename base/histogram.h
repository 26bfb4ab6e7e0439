/* Native histograms with float counts: buckets of exponential or custom bounds, mostly sparse
 * (spec/promql.md section 18). Counts of one side are dense over the buckets that its spans name.
 *
 * Ownership: a struct histogram is a plain value that points into an arena; once handed on it and
 * all behind it is constant and may be shared. Functions that make one take the arena and return
 * NULL when its budget is passed. What comes from outside goes through histogram_check once;
 * everything else relies on its rules. Sums of many are in histogram_sum.h, texts in
 * histogram_text.h. Pure. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"

enum {
    HISTOGRAM_SCHEMA_MIN = -4,
    HISTOGRAM_SCHEMA_MAX = 8,
    HISTOGRAM_SCHEMA_CUSTOM = -53,
    /* Bounds on what histogram_check lets in; every index computed from it fits int32_t. */
    HISTOGRAM_BUCKETS_MAX = 1 << 20,
    HISTOGRAM_INDEX_MAX = 1 << 28,
};

/* Whether the counter started anew at this histogram. */
enum histogram_hint { HINT_UNKNOWN, HINT_RESET, HINT_NOT_RESET, HINT_GAUGE };

struct histogram_span {
    int32_t offset; /* of the first span: its first index; else the gap to the span before */
    uint32_t length;
};

struct histogram_side {
    struct histogram_span *spans;
    double *counts; /* as many as the spans are long together */
    uint32_t span_count;
    uint32_t count;
};

struct histogram {
    int32_t schema;
    enum histogram_hint hint;
    double zero_threshold, zero_count; /* 0 with custom bounds */
    double count, sum;
    struct histogram_side positive;
    struct histogram_side negative; /* empty with custom bounds */
    double *bounds;                 /* custom, ascending, without +Inf */
    uint32_t bound_count;
    bool float_counts; /* read from a store as one of float counts; means nothing to arithmetic */
};

static inline bool histogram_is_custom(const struct histogram *h) {
    return h->schema == HISTOGRAM_SCHEMA_CUSTOM;
}

/* Both exponential or both custom: only such two can be added, subtracted and compared in order. */
static inline bool histogram_same_kind(const struct histogram *a, const struct histogram *b) {
    return histogram_is_custom(a) == histogram_is_custom(b);
}

/* ERR_INVALID when schema, spans, counts or bounds do not fit together. */
MUST_CHECK enum err_code histogram_check(const struct histogram *h, struct err *err);

/* ---- bounds ---- */

/* Upper bound of the positive bucket index of an exponential schema; the largest double stands for
 * 2^1024. */
double histogram_exponential_bound(int32_t schema, int64_t index);
/* Of any schema: bucket index covers (bound(index - 1), bound(index)]. */
double histogram_bound(const struct histogram *h, int64_t index);
/* The index into which a bucket goes when the schema is lowered by shift. */
static inline int32_t histogram_coarser_index(int32_t index, int32_t shift) {
    return (int32_t)((((int64_t)index - 1) >> shift) + 1);
}
bool histogram_same_bounds(const struct histogram *a, const struct histogram *b);

/* ---- walking ---- */

/* The buckets of one side by ascending index, empty ones included. */
struct histogram_cursor {
    const struct histogram_span *spans;
    const int32_t *indices; /* instead of spans, of a list of buckets */
    const double *counts;
    uint32_t left; /* counts not yet given */
    uint32_t left_in_span;
    int32_t next_index;
};

struct histogram_cursor histogram_cursor_of(const struct histogram_side *side);
bool histogram_cursor_next(struct histogram_cursor *c, int32_t *index, double *count);

struct histogram_bucket {
    double lower, upper, count;
    bool lower_inclusive, upper_inclusive;
};

/* All buckets in ascending order of bounds, or descending: negative, zero (if its count is above 0;
 * without cut: not 0), positive; empty ones included. */
struct histogram_walk {
    const struct histogram *h;
    bool descending;
    bool cut;      /* inner bounds end at the zero threshold */
    int part;      /* 0 .. 2 in walking order, 3: done */
    uint32_t span; /* of the side at hand; from its far end when walking down */
    uint32_t at;   /* within the span */
    uint32_t number;
    int64_t index; /* of the span's edge where the walk enters it */
    bool entered;
};

struct histogram_walk histogram_walk_up(const struct histogram *h);
struct histogram_walk histogram_walk_down(const struct histogram *h);
bool histogram_walk_next(struct histogram_walk *w, struct histogram_bucket *out);

/* ---- making ---- */

MUST_CHECK struct histogram *histogram_copy(struct arena *arena, const struct histogram *h);
/* Without empty buckets and empty spans, adjacent spans merged. */
MUST_CHECK struct histogram *histogram_compact(struct arena *arena, const struct histogram *h);
/* Every count and the sum times factor; a negative factor makes it a gauge. */
MUST_CHECK struct histogram *histogram_multiply(struct arena *arena, const struct histogram *h,
                                                double factor);
/* By 0 the buckets go away. */
MUST_CHECK struct histogram *histogram_divide(struct arena *arena, const struct histogram *h,
                                              double divisor);
/* The observations at or below limit (upper), or at or above it; h itself when nothing changes. */
MUST_CHECK const struct histogram *histogram_trim(struct arena *arena, const struct histogram *h,
                                                  double limit, bool keep_below);
/* The part of a bucket's observations below v, which is inside (lower, upper), both finite. */
double histogram_part_below(const struct histogram_bucket *b, bool linear, double v);

/* ---- comparing ---- */

/* Same bits everywhere, same layout of buckets; hints do not count. */
bool histogram_equal(const struct histogram *a, const struct histogram *b);
/* Whether a counter was reset between prev and h: h's hint, or else any count that fell. */
bool histogram_detect_reset(const struct histogram *h, const struct histogram *prev);
/* The hint under which a store keeps h behind prev, the sample before (NULL: none, a float, or the
 * series had ended): what reading it back then says. */
enum histogram_hint histogram_stored_hint(const struct histogram *h, const struct histogram *prev);
/* The hint of a sum. *conflict is set when one says reset and the other not. */
enum histogram_hint histogram_sum_hint(enum histogram_hint a, enum histogram_hint b,
                                       bool *conflict);
/* Zero count when the zero bucket grows to threshold, which grows further when it would cut a
 * populated bucket. Cursors by value: they start at the sides' beginnings. */
double histogram_zero_count(int32_t schema, double zero_count, double *threshold,
                            struct histogram_cursor positive, struct histogram_cursor negative);

/* Bytes as Prometheus counts them for its limit on samples. */
size_t histogram_size_bytes(const struct histogram *h);

#endif
