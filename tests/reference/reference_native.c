/* What is told of one native histogram: quantiles, fractions, moments; and trimming (spec sections
 * 17 and 18). */
#include <math.h>

#include "tests/reference/reference.h"

/* ---- buckets in order ---- */

static void add_bucket(struct ref_bucket *out, size_t *n, struct ref_bucket b, bool empty_too) {
    if (b.count != 0 || empty_too) {
        out[(*n)++] = b;
    }
}

static size_t all_buckets(struct ref *r, const struct ref_histogram *h, bool cut, bool empty_too,
                          struct ref_bucket **out) {
    struct ref_bucket *b =
        arena_alloc(r->arena, (h->positive.count + h->negative.count + 2) * sizeof(*b));
    const double inner = cut && !ref_is_custom(h) ? h->zero_threshold : -INFINITY;
    size_t n = 0;
    for (size_t i = h->negative.count; i-- > 0;) {
        const struct ref_cell *c = &h->negative.items[i];
        const double near = -ref_bound(h, c->index - 1);
        add_bucket(b, &n,
                   (struct ref_bucket){-ref_bound(h, c->index),
                                       cut && near > -inner ? -inner : near, c->n.s, -1},
                   empty_too);
    }
    if (!ref_is_custom(h) && h->zero.s > 0) {
        add_bucket(b, &n, (struct ref_bucket){-h->zero_threshold, h->zero_threshold, h->zero.s, 0},
                   empty_too);
    }
    for (size_t i = 0; i < h->positive.count; i++) {
        const struct ref_cell *c = &h->positive.items[i];
        const double near = ref_bound(h, c->index - 1);
        add_bucket(
            b, &n,
            (struct ref_bucket){near < inner ? inner : near, ref_bound(h, c->index), c->n.s, 1},
            empty_too);
    }
    *out = b;
    return n;
}

size_t ref_buckets(struct ref *r, const struct ref_histogram *h, bool cut,
                   struct ref_bucket **out) {
    return all_buckets(r, h, cut, false, out);
}

/* The zero bucket reaches only to where observations are. */
static void narrow_zero(const struct ref_histogram *h, struct ref_bucket *b) {
    if (b->low <= 0 && b->high >= 0) {
        if (h->negative.count == 0 && h->positive.count > 0) {
            b->low = 0;
        } else if (h->positive.count == 0 && h->negative.count > 0) {
            b->high = 0;
        }
    }
}

/* ---- quantile ---- */

static double within(const struct ref_histogram *h, const struct ref_bucket *b, double f) {
    if (ref_is_custom(h) || (b->low <= 0 && b->high >= 0)) {
        return b->low + (b->high - b->low) * f;
    }
    if (b->low > 0) {
        const double low = log2(fabs(b->low));
        const double high = log2(fabs(b->high));
        return exp2(low + (high - low) * f);
    }
    const double low = log2(fabs(b->low));
    const double high = log2(fabs(b->high));
    return -exp2(high + (low - high) * (1 - f));
}

/* The bucket of the rank; *seen up to and with it. */
static struct ref_bucket bucket_of(const struct ref_histogram *h, const struct ref_bucket *all,
                                   size_t n, bool forward, double rank, double *seen,
                                   size_t *behind) {
    struct ref_bucket b = {0};
    size_t k = 0;
    *seen = 0;
    while (k < n) {
        const struct ref_bucket next = forward ? all[k] : all[n - 1 - k];
        k++;
        if (next.count == 0) {
            continue;
        }
        b = next;
        *seen += b.count;
        if (*seen >= rank) {
            break;
        }
    }
    *behind = k;
    if (b.low < 0 && b.high > 0 && !ref_is_custom(h)) {
        narrow_zero(h, &b);
    }
    return b;
}

double ref_native_quantile(struct ref *r, double phi, const struct ref_histogram *h,
                           enum ref_nan_effect *effect) {
    *effect = REF_NAN_NONE;
    if (phi < 0 || phi > 1) {
        return phi < 0 ? -INFINITY : INFINITY;
    }
    if (h->count.s == 0 || isnan(phi)) {
        return NAN;
    }
    const bool forward = isnan(h->sum.s) || phi < 0.5;
    const double rank = forward ? phi * h->count.s : (1 - phi) * h->count.s;
    struct ref_bucket *all = NULL;
    const size_t n = all_buckets(r, h, true, true, &all);
    double seen = 0;
    size_t behind = 0;
    struct ref_bucket b = bucket_of(h, all, n, forward, rank, &seen, &behind);
    if (ref_is_custom(h) && isinf(b.low)) {
        if (b.high <= 0) {
            return b.high;
        }
        b.low = 0;
    } else if (ref_is_custom(h) && isinf(b.high)) {
        return b.low;
    }
    seen = seen > h->count.s ? h->count.s : seen;
    if (seen < rank) {
        *effect = isnan(h->sum.s) ? REF_NAN_RESULT : REF_NAN_NONE;
        return isnan(h->sum.s) ? (double)NAN : b.high;
    }
    const double left = forward ? rank - (seen - b.count) : seen - rank;
    if (isnan(h->sum.s)) {
        double total = seen;
        for (; behind < n; behind++) { /* each in turn becomes the one at hand */
            b = all[behind];
            total += b.count;
        }
        *effect = total < h->count.s ? REF_NAN_SKEWED : REF_NAN_NONE;
    }
    return within(h, &b, left / b.count);
}

/* ---- fraction ---- */

/* The part of a bucket that lies below v, which is inside. */
static double part_below(const struct ref_histogram *h, const struct ref_bucket *b, double v) {
    if (ref_is_custom(h) || b->side == 0 || (b->low <= 0 && b->high >= 0)) {
        return (v - b->low) / (b->high - b->low);
    }
    const double low = log2(fabs(b->low));
    const double high = log2(fabs(b->high));
    const double at = log2(fabs(v));
    return v > 0 ? (at - low) / (high - low) : 1 - (at - high) / (low - high);
}

double ref_native_fraction(struct ref *r, double lower, double upper, const struct ref_histogram *h,
                           bool *excluded) {
    *excluded = false;
    if (h->count.s == 0 || isnan(lower) || isnan(upper)) {
        return NAN;
    }
    if (lower >= upper) {
        return 0;
    }
    struct ref_bucket *all = NULL;
    const size_t n = ref_buckets(r, h, true, &all);
    const double wanted[2] = {lower, upper};
    double rank[2] = {0, 0};
    bool set[2] = {false, false};
    double seen = 0;
    double total = 0;
    for (size_t i = 0; i < n; i++) {
        struct ref_bucket b = all[i];
        narrow_zero(h, &b);
        const bool linear = ref_is_custom(h) || (b.low <= 0 && b.high >= 0);
        for (int k = 0; k < 2; k++) {
            if (!set[k] && b.low >= wanted[k]) {
                rank[k] = seen;
                set[k] = true;
            } else if (!set[k] && b.high > wanted[k]) {
                rank[k] = linear && isinf(b.low) ? seen + b.count
                                                 : seen + b.count * part_below(h, &b, wanted[k]);
                set[k] = true;
            }
        }
        seen += b.count;
        total += b.count;
    }
    *excluded = isnan(h->sum.s) && total < h->count.s;
    const double most = isnan(h->sum.s) ? total : h->count.s;
    for (int k = 0; k < 2; k++) {
        rank[k] = !set[k] || rank[k] > most ? most : rank[k];
    }
    return (rank[1] - rank[0]) / h->count.s;
}

double ref_native_variance(struct ref *r, const struct ref_histogram *h) {
    struct ref_bucket *all = NULL;
    const size_t n = ref_buckets(r, h, true, &all);
    const double mean = h->sum.s / h->count.s;
    struct ref_sum k = {0};
    for (size_t i = 0; i < n; i++) {
        const struct ref_bucket *b = &all[i];
        double mid = 0;
        if (ref_is_custom(h)) {
            mid = (b->low + b->high) / 2;
        } else if (b->low > 0 || b->high < 0) {
            mid = sqrt(b->low * b->high);
            mid = b->high < 0 ? -mid : mid;
        }
        const double delta = mid - mean;
        ref_sum_add(&k, b->count * delta * delta);
    }
    return (k.s + k.c) / h->count.s;
}

/* ---- trimming ---- */

/* Infinite ends stand for the finite one. */
static double middle(const struct ref_histogram *h, double low, double high, int side) {
    if (isinf(low) || isinf(high)) {
        return isinf(low) && isinf(high) ? 0 : isinf(high) ? low : high > 0 ? high / 2 : high;
    }
    if (ref_is_custom(h) || side == 0) {
        return (low + high) / 2;
    }
    const double mid = sqrt(fabs(low * high));
    return side < 0 ? -mid : mid;
}

/* What stays of a bucket without a finite end around x, and where its middle is then. */
static double keep_open(const struct ref_bucket *b, double x, bool below, double *mid) {
    if (isinf(b->low) && isinf(b->high)) {
        return 0;
    }
    if (isinf(b->high)) {
        *mid = x;
        return below ? 0 : b->count;
    }
    if (!below) {
        *mid = (x + b->high) / 2;
        return x >= 0 ? b->count * (1 - x / b->high) : 0;
    }
    *mid = x > 0 ? x / 2 : x;
    return x > 0 ? b->count * x / b->high : b->high <= 0 ? b->count : 0;
}

static double keep_part(const struct ref_histogram *h, const struct ref_bucket *b, double x,
                        bool below, double *mid) {
    *mid = middle(h, b->low, b->high, b->side);
    if (below ? b->high <= x : b->low >= x) {
        return b->count;
    }
    if (isnan(x) || (below ? b->low >= x : b->high <= x)) {
        return 0;
    }
    if (isinf(b->low) || isinf(b->high)) {
        return keep_open(b, x, below, mid);
    }
    const double under = b->count * part_below(h, b, x);
    *mid = below ? middle(h, b->low, x, b->side) : middle(h, x, b->high, b->side);
    return below ? under : b->count - under;
}

static bool trim_cells(struct ref_histogram *h, struct ref_cells *cells, int side, double x,
                       bool below, struct ref_sum *count, struct ref_sum *sum) {
    bool changed = false;
    for (size_t i = 0; i < cells->count; i++) {
        struct ref_cell *c = &cells->items[i];
        const double far = ref_bound(h, c->index);
        const double near = ref_bound(h, c->index - 1);
        const struct ref_bucket b = {side < 0 ? -far : near, side < 0 ? -near : far, c->n.s, side};
        double mid = 0;
        const double kept = c->n.s != 0 ? keep_part(h, &b, x, below, &mid) : 0;
        changed |= kept != c->n.s;
        c->n.s = kept;
        if (kept != 0) {
            count->s += kept;
            sum->s += kept * mid;
        }
    }
    return changed;
}

struct ref_histogram *ref_histogram_trim(struct ref *r, const struct ref_histogram *h, double x,
                                         bool below) {
    struct ref_histogram *out = ref_histogram_copy(r, h);
    struct ref_sum count = {0};
    struct ref_sum sum = {0};
    struct ref_bucket zero = {-h->zero_threshold, h->zero_threshold, h->zero.s, 0};
    bool any_low = false;
    bool any_high = false;
    for (size_t i = 0; i < h->negative.count; i++) {
        any_low |= h->negative.items[i].n.s != 0;
    }
    for (size_t i = 0; i < h->positive.count; i++) {
        any_high |= h->positive.items[i].n.s != 0;
    }
    zero.low = any_high && !any_low ? 0 : zero.low;
    zero.high = any_low && !any_high ? 0 : zero.high;
    bool changed = trim_cells(out, &out->negative, -1, x, below, &count, &sum);
    if (!ref_is_custom(h) && h->zero.s > 0) {
        double mid = 0;
        out->zero.s = isnan(x) ? x : keep_part(h, &zero, x, below, &mid);
        changed |= out->zero.s != h->zero.s;
        if (out->zero.s != 0) {
            count.s += out->zero.s;
            sum.s += out->zero.s * mid;
        }
    }
    changed |= trim_cells(out, &out->positive, 1, x, below, &count, &sum);
    if (!changed) {
        return ref_histogram_copy(r, h);
    }
    r->inexact = true; /* in which order the sums are made */
    out->count = count;
    out->sum = sum;
    return ref_histogram_compact(r, out);
}
