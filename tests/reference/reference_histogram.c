/* Native histograms with exponential buckets: positive ones and the zero bucket (spec section 18). */
#include <math.h>
#include <stdlib.h>

#include "base/value.h"
#include "tests/reference/reference.h"

static int coarser(int index, int shift) {
    return (int)ceil((double)index / exp2(shift));
}

static double count_at(const struct ref_histogram *h, int shift, int index) {
    double sum = 0;
    bool any = false;
    for (size_t i = 0; i < h->n; i++) {
        if (coarser(h->index[i], shift) == index) {
            sum = any ? sum + h->counts[i] : h->counts[i];
            any = true;
        }
    }
    return sum;
}

/* Without empty buckets. */
struct ref_histogram *ref_histogram_add(struct ref *r, const struct ref_histogram *a,
                                        const struct ref_histogram *b, double sign) {
    struct ref_histogram *out = arena_zalloc(r->arena, sizeof(*out));
    if (a->zero_threshold != b->zero_threshold) {
        r->unsupported = true; /* zero buckets that have to be reconciled */
    }
    out->schema = a->schema < b->schema ? a->schema : b->schema;
    out->gauge = a->gauge || b->gauge || sign < 0;
    out->zero_threshold = a->zero_threshold;
    out->zero_count = a->zero_count + sign * b->zero_count;
    out->count = a->count + sign * b->count;
    out->sum = a->sum + sign * b->sum;
    const size_t most = a->n + b->n + 1;
    out->index = arena_alloc(r->arena, most * sizeof(*out->index));
    out->counts = arena_alloc(r->arena, most * sizeof(*out->counts));
    for (int index = -40; index < 80; index++) {
        const double sum = count_at(a, a->schema - out->schema, index) +
                           sign * count_at(b, b->schema - out->schema, index);
        if (sum != 0) {
            out->index[out->n] = index;
            out->counts[out->n++] = sum;
        }
    }
    return out;
}

struct ref_histogram *ref_histogram_scale(struct ref *r, const struct ref_histogram *a,
                                          double factor, bool divide) {
    struct ref_histogram *out = arena_zalloc(r->arena, sizeof(*out));
    *out = *a;
    out->gauge = a->gauge || signbit(factor);
    out->count = divide ? a->count / factor : a->count * factor;
    out->sum = divide ? a->sum / factor : a->sum * factor;
    out->zero_count = divide ? a->zero_count / factor : a->zero_count * factor;
    out->index = arena_alloc(r->arena, (a->n + 1) * sizeof(*out->index));
    out->counts = arena_alloc(r->arena, (a->n + 1) * sizeof(*out->counts));
    out->n = 0;
    for (size_t i = 0; i < a->n && !(divide && factor == 0); i++) {
        const double count = divide ? a->counts[i] / factor : a->counts[i] * factor;
        if (count != 0) {
            out->index[out->n] = a->index[i];
            out->counts[out->n++] = count;
        }
    }
    return out;
}

bool ref_histogram_reset(const struct ref_histogram *h, const struct ref_histogram *before) {
    if (h->count < before->count || h->schema > before->schema ||
        h->zero_threshold < before->zero_threshold || h->zero_count < before->zero_count) {
        return true;
    }
    const int shift = before->schema - h->schema;
    for (int index = -40; index < 80; index++) {
        const double was = count_at(before, shift, index);
        const double is = count_at(h, 0, index);
        if (was != 0 && (is == 0 || is < was)) { /* a populated bucket that went or shrank */
            return true;
        }
    }
    return false;
}

bool ref_histogram_same(const struct ref_histogram *a, const struct ref_histogram *b) {
    bool same = a->schema == b->schema && a->n == b->n && f64_same_bits(a->count, b->count) &&
                f64_same_bits(a->sum, b->sum) && f64_same_bits(a->zero_count, b->zero_count) &&
                f64_same_bits(a->zero_threshold, b->zero_threshold);
    for (size_t i = 0; same && i < a->n; i++) {
        same = a->index[i] == b->index[i] && f64_same_bits(a->counts[i], b->counts[i]);
    }
    return same;
}

/* ---- quantiles ---- */

struct ref_bucket {
    double low, high, count;
};

/* Schemas 0 and 1: the latter's odd bounds are those of the specification's table. */
static double bound(const struct ref_histogram *h, int index) {
    if (h->schema == 0) {
        return exp2(index);
    }
    const int half = (int)floor((double)index / 2);
    return index % 2 == 0 ? exp2(half) : ldexp(0.7071067811865475, half + 1);
}

static struct ref_bucket bucket_at(const struct ref_histogram *h, size_t i) {
    if (i == 0) {
        const double low = h->n > 0 ? 0 : -h->zero_threshold;
        return (struct ref_bucket){low, h->zero_threshold, h->zero_count};
    }
    const int index = h->index[i - 1];
    struct ref_bucket b = {bound(h, index - 1), bound(h, index), h->counts[i - 1]};
    b.low = b.low < h->zero_threshold ? h->zero_threshold : b.low;
    return b;
}

double ref_native_quantile(double phi, const struct ref_histogram *h) {
    if (phi < 0 || phi > 1) {
        return phi < 0 ? -INFINITY : INFINITY;
    }
    if (h->count == 0 || isnan(phi)) {
        return NAN;
    }
    const bool forward = isnan(h->sum) || phi < 0.5;
    double rank = forward ? phi * h->count : (1 - phi) * h->count;
    double seen = 0;
    struct ref_bucket b = {0};
    for (size_t k = 0; k <= h->n; k++) {
        const struct ref_bucket next = bucket_at(h, forward ? k : h->n - k);
        if (next.count == 0) {
            continue;
        }
        b = next;
        seen += b.count;
        if (seen >= rank) {
            break;
        }
    }
    seen = seen > h->count ? h->count : seen;
    if (seen < rank) {
        return isnan(h->sum) ? NAN : b.high;
    }
    rank = forward ? rank - (seen - b.count) : seen - rank;
    const double part = rank / b.count;
    if (b.low <= 0 && b.high >= 0) {
        return b.low + (b.high - b.low) * part;
    }
    return exp2(log2(b.low) + (log2(b.high) - log2(b.low)) * part);
}
