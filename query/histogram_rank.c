#include "query/histogram_rank.h"

#include <math.h>

#include "query/kahan.h"

/* The zero bucket ends at zero on the side that has no buckets. */
static void narrow(const struct histogram *h, struct histogram_bucket *b) {
    if (h->negative.count == 0 && h->positive.count > 0) {
        b->lower = 0;
    } else if (h->positive.count == 0 && h->negative.count > 0) {
        b->upper = 0;
    }
}

/* At the part f of the bucket. */
static double value_in(const struct histogram_bucket *b, bool linear, double f) {
    if (linear || (b->lower <= 0 && b->upper >= 0)) {
        return b->lower + (b->upper - b->lower) * f;
    }
    const double lower = log2(fabs(b->lower));
    const double upper = log2(fabs(b->upper));
    if (b->lower > 0) {
        return exp2(lower + (upper - lower) * f);
    }
    return -exp2(upper + (lower - upper) * (1 - f));
}

double histogram_quantile_of(double phi, const struct histogram *h, enum nan_effect *effect) {
    *effect = NAN_NONE;
    if (phi < 0) {
        return -INFINITY;
    }
    if (phi > 1) {
        return INFINITY;
    }
    if (h->count == 0 || isnan(phi)) {
        return NAN;
    }
    const bool forward = isnan(h->sum) || phi < 0.5;
    const double wanted = (forward ? phi : 1 - phi) * h->count;
    struct histogram_walk walk = forward ? histogram_walk_up(h) : histogram_walk_down(h);
    struct histogram_bucket b = {.count = 0};
    struct histogram_bucket next;
    double seen = 0;
    while (histogram_walk_next(&walk, &next)) {
        if (next.count == 0) {
            continue;
        }
        b = next;
        seen += b.count;
        if (seen >= wanted) {
            break;
        }
    }
    const bool custom = histogram_is_custom(h);
    if (!custom && b.lower < 0 && b.upper > 0) {
        narrow(h, &b);
    } else if (custom && isinf(b.lower)) {
        if (b.upper <= 0) {
            return b.upper;
        }
        b.lower = 0;
    } else if (custom && isinf(b.upper)) {
        return b.lower;
    }
    seen = fmin(seen, h->count);
    if (seen < wanted) {
        if (isnan(h->sum)) {
            *effect = NAN_RESULT_IS_NAN;
            return NAN;
        }
        return b.upper;
    }
    const double rank = forward ? wanted - (seen - b.count) : seen - wanted;
    if (isnan(h->sum)) {
        /* the buckets behind stand for the one at hand, as the reference does it */
        double all = seen;
        while (histogram_walk_next(&walk, &next)) {
            b = next;
            all += next.count;
        }
        if (all < h->count) {
            *effect = NAN_SKEWS_HIGHER;
        }
    }
    return value_in(&b, custom, rank / b.count);
}

/* The rank of v when this bucket decides it. */
static bool rank_in(const struct histogram_bucket *b, bool linear, double v, double rank,
                    double *out) {
    if (b->lower >= v) {
        *out = rank;
        return true;
    }
    if (!(v < b->upper)) {
        return false;
    }
    if (linear && isinf(b->lower)) {
        *out = rank + b->count;
        return true;
    }
    *out = rank + b->count * histogram_part_below(b, linear, v);
    return true;
}

double histogram_fraction_of(double lower, double upper, const struct histogram *h,
                             enum nan_effect *effect) {
    *effect = NAN_NONE;
    if (h->count == 0 || isnan(lower) || isnan(upper)) {
        return NAN;
    }
    if (lower >= upper) {
        return 0;
    }
    struct histogram_walk walk = histogram_walk_up(h);
    struct histogram_bucket b;
    double rank = 0;
    double low = 0;
    double high = 0;
    bool has_low = false;
    bool has_high = false;
    while (histogram_walk_next(&walk, &b)) {
        const bool zero = b.lower <= 0 && b.upper >= 0;
        if (zero) {
            narrow(h, &b);
        }
        const bool linear = zero || histogram_is_custom(h);
        has_low = has_low || rank_in(&b, linear, lower, rank, &low);
        has_high = has_high || rank_in(&b, linear, upper, rank, &high);
        rank += b.count;
        if (has_low && has_high) {
            break;
        }
    }
    double total = h->count;
    if (isnan(h->sum)) {
        while (histogram_walk_next(&walk, &b)) {
            rank += b.count;
        }
        total = rank;
        if (total < h->count) {
            *effect = NAN_EXCLUDED;
        }
    }
    low = !has_low || low > total ? total : low;
    high = !has_high || high > total ? total : high;
    return (high - low) / h->count;
}

double histogram_variance_of(const struct histogram *h) {
    const double mean = h->sum / h->count;
    struct histogram_walk walk = histogram_walk_up(h);
    struct histogram_bucket b;
    struct kahan variance = {.sum = 0};
    while (histogram_walk_next(&walk, &b)) {
        if (b.count == 0) {
            continue;
        }
        double mid = 0;
        if (histogram_is_custom(h)) {
            mid = (b.lower + b.upper) / 2;
        } else if (b.lower > 0 || b.upper < 0) {
            mid = sqrt(b.lower * b.upper);
            mid = b.upper < 0 ? -mid : mid;
        }
        const double distance = mid - mean;
        kahan_add(&variance, b.count * distance * distance);
    }
    return (variance.sum + variance.c) / h->count;
}
