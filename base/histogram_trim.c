/* Cutting a histogram at a value (spec/promql.md section 18, trim). */
#include <math.h>

#include "base/histogram.h"

double histogram_part_below(const struct histogram_bucket *b, bool linear, double v) {
    if (linear) {
        return (v - b->lower) / (b->upper - b->lower);
    }
    const double lower = log2(fabs(b->lower));
    const double upper = log2(fabs(b->upper));
    const double at = log2(fabs(v));
    return v > 0 ? (at - lower) / (upper - lower) : 1 - (at - upper) / (lower - upper);
}

struct trim {
    double limit;
    bool keep_below;
    bool custom;
    double count, sum; /* of what is kept */
    bool changed;
};

static double middle(bool custom, bool negative, double lower, double upper) {
    if (isinf(lower) && isinf(upper)) {
        return 0;
    }
    if (isinf(lower)) {
        return upper > 0 ? upper / 2 : upper;
    }
    if (isinf(upper)) {
        return lower;
    }
    if (custom) {
        return (lower + upper) / 2;
    }
    const double root = sqrt(fabs(lower * upper));
    return negative ? -root : root;
}

/* Of a bucket without a lower bound that contains the limit. */
static double keep_of_lowest(const struct trim *t, double upper, double count, double *mid) {
    const double x = t->limit;
    if (t->keep_below) {
        if (x > 0 && isfinite(upper)) {
            *mid = x / 2;
            return count * x / upper;
        }
        *mid = x;
        return upper <= 0 ? count : 0;
    }
    if (x >= 0 && isfinite(upper)) {
        *mid = (x + upper) / 2;
        return count * (1 - x / upper);
    }
    return 0;
}

static double keep_of(const struct trim *t, const struct histogram_bucket *b, bool negative,
                      double *mid) {
    const double x = t->limit;
    *mid = 0;
    if (t->keep_below ? b->upper <= x : b->lower >= x) {
        *mid = middle(t->custom, negative, b->lower, b->upper);
        return b->count;
    }
    if (isnan(x) || (t->keep_below ? b->lower >= x : b->upper <= x)) {
        return 0;
    }
    if (isinf(b->lower)) {
        return keep_of_lowest(t, b->upper, b->count, mid);
    }
    if (isinf(b->upper)) {
        *mid = x;
        return t->keep_below ? 0 : b->count;
    }
    const double below = b->count * histogram_part_below(b, t->custom, x);
    *mid = t->keep_below ? middle(t->custom, negative, b->lower, x)
                         : middle(t->custom, negative, x, b->upper);
    return t->keep_below ? below : b->count - below;
}

static bool populated(const struct histogram_side *side) {
    for (uint32_t i = 0; i < side->count; i++) {
        if (side->counts[i] != 0) {
            return true;
        }
    }
    return false;
}

static void account(struct trim *t, double *count, double kept, double mid) {
    t->changed = t->changed || kept != *count;
    t->count += kept;
    t->sum += kept * mid;
    *count = kept;
}

static void trim_side(struct trim *t, const struct histogram *h, struct histogram_side *side,
                      bool negative) {
    struct histogram_cursor c = histogram_cursor_of(side);
    int32_t index = 0;
    double count = 0;
    for (uint32_t i = 0; histogram_cursor_next(&c, &index, &count); i++) {
        if (count == 0) {
            continue;
        }
        const double inner = histogram_bound(h, (int64_t)index - 1);
        const double outer = histogram_bound(h, index);
        const struct histogram_bucket b = {
            .lower = negative ? -outer : inner, .upper = negative ? -inner : outer, .count = count};
        double mid = 0;
        const double kept = keep_of(t, &b, negative, &mid);
        account(t, &side->counts[i], kept, mid);
    }
}

static void trim_zero(struct trim *t, struct histogram *h) {
    if (!(h->zero_count > 0)) {
        return;
    }
    const bool above = populated(&h->positive);
    const bool below = populated(&h->negative);
    const double lower = above && !below ? 0 : -h->zero_threshold;
    const double upper = below && !above ? 0 : h->zero_threshold;
    const double x = t->limit;
    double kept = 0;
    double mid = 0;
    if (t->keep_below ? x >= upper : x <= lower) {
        kept = h->zero_count;
        mid = (lower + upper) / 2;
    } else if (isnan(x) || (x > lower && x < upper)) { /* NaN: of nothing else, as in Prometheus */
        const double part = (x - lower) / (upper - lower);
        kept = h->zero_count * (t->keep_below ? part : 1 - part);
        mid = t->keep_below ? (lower + x) / 2 : (x + upper) / 2;
    }
    account(t, &h->zero_count, kept, mid);
}

const struct histogram *histogram_trim(struct arena *arena, const struct histogram *h, double limit,
                                       bool keep_below) {
    struct trim t = {.limit = limit, .keep_below = keep_below, .custom = histogram_is_custom(h)};
    struct histogram *out = histogram_copy(arena, h);
    if (out == NULL) {
        return NULL;
    }
    trim_zero(&t, out); /* looks at which sides are populated: first */
    trim_side(&t, h, &out->positive, false);
    trim_side(&t, h, &out->negative, true);
    if (!t.changed) {
        return h;
    }
    out->count = t.count;
    out->sum = t.sum;
    return histogram_compact(arena, out);
}
