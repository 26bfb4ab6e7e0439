/* Functions of change: rate and its kin (spec/promql.md section 16), the last-two-samples forms,
 * least squares, changes and resets. */
#include <math.h>
#include <string.h>

#include "base/value.h"
#include "query/bits.h"
#include "query/eval_call.h"
#include "query/kahan.h"

/* ---- extrapolated ---- */

enum rate_kind { KIND_DELTA, KIND_INCREASE, KIND_RATE };

/* First index in [from, count - 1] whose successor is smaller: where a counter was reset; or
 * count. */
static size_t next_reset(const double *v, size_t count, size_t from) {
    for (size_t i = from; i + 1 < count; i++) {
        if (v[i + 1] < v[i]) {
            return i;
        }
    }
    return count;
}

/* What the counter lost at resets in [low, high), added in time order. *reset is the first reset
 * at or behind an earlier window's start. */
static double with_resets(const double *v, size_t count, size_t low, size_t high, double value,
                          size_t *reset) {
    if (*reset < low) {
        *reset = next_reset(v, count, low);
    }
    for (size_t i = *reset; i + 1 < high; i = next_reset(v, high, i + 1)) {
        value += v[i];
    }
    return value;
}

/* The factor of extrapolation. It depends on times alone unless the counter would start below
 * zero; a product with some slack tells so without a division, then the exact one decides. */
static ALWAYS_INLINE double extrapolation(const struct window_shape *shape, size_t step,
                                          double value, double first, bool counter) {
    const double sampled = shape->sampled[step];
    const double to_start = shape->to_start[step];
    if (counter && value > 0 && first >= 0 && first * sampled <= to_start * value * (1 + 1e-9)) {
        const double to_zero = sampled * (first / value);
        if (to_zero < to_start) {
            return sampled != 0 ? (sampled + to_zero + shape->to_end[step]) / sampled : 1;
        }
    }
    return shape->factor[step];
}

static ALWAYS_INLINE void rate_all(const struct range_call *call, const struct range_series *series,
                                   struct row *out, enum rate_kind kind) {
    const struct window_bounds *b = series->bounds;
    const double *v = series->values;
    const double range_s = (double)call->spec->range_ms / 1000;
    const bool counter = kind != KIND_DELTA;
    size_t reset = counter ? next_reset(v, b->count, 0) : 0;
    for (size_t i = 0; i < call->grid->count; i++) {
        const size_t low = b->low[i];
        const size_t high = b->high[i];
        if (high < low + 2) {
            continue;
        }
        double value = v[high - 1] - v[low];
        if (counter && reset + 1 < high) {
            value = with_resets(v, b->count, low, high, value, &reset);
        }
        double factor = extrapolation(&b->shape, i, value, v[low], counter);
        if (kind == KIND_RATE) {
            factor /= range_s;
        }
        out->values[i] = value * factor;
        bits_set(out->present, i);
    }
}

enum err_code range_rate(const struct range_call *call, const struct range_series *series,
                         struct row *out, struct err *err) {
    (void)err;
    rate_all(call, series, out, KIND_RATE);
    return ERR_OK;
}

enum err_code range_increase(const struct range_call *call, const struct range_series *series,
                             struct row *out, struct err *err) {
    (void)err;
    rate_all(call, series, out, KIND_INCREASE);
    return ERR_OK;
}

enum err_code range_delta(const struct range_call *call, const struct range_series *series,
                          struct row *out, struct err *err) {
    (void)err;
    rate_all(call, series, out, KIND_DELTA);
    return ERR_OK;
}

/* ---- the last two samples ---- */

static void last_two(const struct range_call *call, const struct range_series *series,
                     struct row *out, bool rate) {
    const struct window_bounds *b = series->bounds;
    for (size_t i = 0; i < call->grid->count; i++) {
        const size_t high = b->high[i];
        if (high < b->low[i] + 2) {
            continue;
        }
        const double last = series->values[high - 1];
        const double before = series->values[high - 2];
        const int64_t gap_ms = time_sub(b->ts[high - 1], b->ts[high - 2]);
        if (gap_ms == 0) {
            continue;
        }
        const double value = rate && last < before ? last : last - before;
        out->values[i] = rate ? value / ((double)gap_ms / 1000) : value;
        bits_set(out->present, i);
    }
}

enum err_code range_irate(const struct range_call *call, const struct range_series *series,
                          struct row *out, struct err *err) {
    (void)err;
    last_two(call, series, out, true);
    return ERR_OK;
}

enum err_code range_idelta(const struct range_call *call, const struct range_series *series,
                           struct row *out, struct err *err) {
    (void)err;
    last_two(call, series, out, false);
    return ERR_OK;
}

/* ---- least squares ---- */

struct line {
    double slope;
    double intercept; /* at the reference time */
};

static bool all_equal(const double *v, size_t n) {
    for (size_t i = 1; i < n; i++) {
        if (v[i] != v[0]) {
            return false;
        }
    }
    return true;
}

static struct line fit_line(const int64_t *ts, const double *v, size_t n, int64_t reference_ms) {
    if (all_equal(v, n)) {
        return (struct line){.slope = isinf(v[0]) ? NAN : 0, .intercept = isinf(v[0]) ? NAN : v[0]};
    }
    struct kahan x = {0};
    struct kahan y = {0};
    struct kahan xy = {0};
    struct kahan x2 = {0};
    double count = 0;
    for (size_t i = 0; i < n; i++) {
        count += 1;
        const double at = (double)time_sub(ts[i], reference_ms) / 1000;
        kahan_add(&x, at);
        kahan_add(&y, v[i]);
        kahan_add(&xy, at * v[i]);
        kahan_add(&x2, at * at);
    }
    const double sum_x = x.sum + x.c;
    const double sum_y = y.sum + y.c;
    const double sum_xy = xy.sum + xy.c;
    const double sum_x2 = x2.sum + x2.c;
    const double covariance = sum_xy - sum_x * sum_y / count;
    const double variance = sum_x2 - sum_x * sum_x / count;
    const double slope = covariance / variance;
    return (struct line){.slope = slope, .intercept = sum_y / count - slope * sum_x / count};
}

enum err_code range_deriv(const struct range_call *call, const struct range_series *series,
                          struct row *out, struct err *err) {
    const struct window_bounds *b = series->bounds;
    for (size_t i = 0; i < call->grid->count; i++) {
        const size_t low = b->low[i];
        const size_t n = b->high[i] - low;
        if (n >= 2) {
            out->values[i] = fit_line(b->ts + low, series->values + low, n, b->ts[low]).slope;
            bits_set(out->present, i);
        }
    }
    return eval_worked(call->ev, b->total, err);
}

enum err_code range_predict_linear(const struct range_call *call, const struct range_series *series,
                                   struct row *out, struct err *err) {
    const struct window_bounds *b = series->bounds;
    for (size_t i = 0; i < call->grid->count; i++) {
        const size_t low = b->low[i];
        const size_t n = b->high[i] - low;
        if (n >= 2) {
            const struct line line =
                fit_line(b->ts + low, series->values + low, n, grid_time(call->grid, i));
            out->values[i] = line.slope * scalar_at(&call->params[0], i) + line.intercept;
            bits_set(out->present, i);
        }
    }
    return eval_worked(call->ev, b->total, err);
}

/* ---- counting ---- */

static bool differs(double before, double now) {
    return now != before && !(isnan(now) && isnan(before));
}

static bool drops(double before, double now) {
    return now < before;
}

/* How many neighbours in the window are as asked: by a prefix sum over the whole column. */
static enum err_code count_pairs(const struct range_call *call, const struct range_series *series,
                                 bool (*counts)(double before, double now), struct row *out,
                                 struct err *err) {
    const struct window_bounds *b = series->bounds;
    struct work tmp;
    work_begin(&tmp, &call->ev->budget);
    uint32_t *before = work_alloc(&tmp, b->count, sizeof(*before), err);
    if (before != NULL) {
        before[0] = 0;
        for (size_t i = 1; i < b->count; i++) {
            before[i] = before[i - 1] + (counts(series->values[i - 1], series->values[i]) ? 1 : 0);
        }
        for (size_t i = 0; i < call->grid->count; i++) {
            if (b->high[i] > b->low[i]) {
                out->values[i] = before[b->high[i] - 1] - before[b->low[i]];
                bits_set(out->present, i);
            }
        }
    }
    work_end(&tmp);
    return before != NULL ? ERR_OK : ERR_LIMIT;
}

enum err_code range_changes(const struct range_call *call, const struct range_series *series,
                            struct row *out, struct err *err) {
    return count_pairs(call, series, differs, out, err);
}

enum err_code range_resets(const struct range_call *call, const struct range_series *series,
                           struct row *out, struct err *err) {
    return count_pairs(call, series, drops, out, err);
}

/* ---- double exponential smoothing ---- */

static double smooth(const double *v, size_t n, double sf, double tf) {
    double s0 = 0;
    double s1 = v[0];
    double trend = v[1] - v[0];
    for (size_t i = 1; i < n; i++) {
        if (i > 1) {
            trend = tf * (s1 - s0) + (1 - tf) * trend;
        }
        const double x = sf * v[i];
        const double y = (1 - sf) * (s1 + trend);
        s0 = s1;
        s1 = x + y;
    }
    return s1;
}

enum err_code range_double_exponential_smoothing(const struct range_call *call,
                                                 const struct range_series *series, struct row *out,
                                                 struct err *err) {
    const struct window_bounds *b = series->bounds;
    for (size_t i = 0; i < call->grid->count; i++) {
        const size_t n = b->high[i] - b->low[i];
        if (n == 0) {
            continue;
        }
        const double sf = scalar_at(&call->params[0], i);
        const double tf = scalar_at(&call->params[1], i);
        if (sf <= 0 || sf >= 1) {
            return err_set(err, ERR_EXECUTION,
                           "invalid smoothing factor. Expected: 0 < sf < 1, got: %f", sf);
        }
        if (tf <= 0 || tf >= 1) {
            return err_set(err, ERR_EXECUTION,
                           "invalid trend factor. Expected: 0 < tf < 1, got: %f", tf);
        }
        if (n >= 2) {
            out->values[i] = smooth(series->values + b->low[i], n, sf, tf);
            bits_set(out->present, i);
        }
    }
    return eval_worked(call->ev, b->total, err);
}
