/* Functions of change: rate and its kin (spec/promql.md section 16), the last-two-samples forms,
 * least squares, changes and resets. */
#include <math.h>
#include <string.h>

#include "base/value.h"
#include "query/bits.h"
#include "query/eval_call.h"
#include "query/kahan.h"
#include "query/lanes.h"
#include "query/steady.h"

/* ---- extrapolated ---- */

enum rate_kind { KIND_DELTA, KIND_INCREASE, KIND_RATE };

/* Where a counter was reset: the first index at or behind from whose successor is smaller; or
 * count. */
static size_t next_reset(const double *v, size_t count, size_t from) {
    return lane_kernels_best()->next_drop(v, count, from);
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

/* The factor of extrapolation depends on times alone unless the counter would start below
 * zero; a product with some slack tells so without a division, then the exact one decides. */
static ALWAYS_INLINE double extrapolated(const struct window_shape *shape, size_t step,
                                         double value, double first, enum rate_kind kind,
                                         double range_s) {
    const double sampled = shape->sampled[step];
    const double to_start = shape->to_start[step];
    if (kind != KIND_DELTA && value > 0 && first >= 0 &&
        first * sampled <= to_start * value * (1 + 1e-9)) {
        const double to_zero = sampled * (first / value);
        if (to_zero < to_start) {
            double factor = sampled != 0 ? (sampled + to_zero + shape->to_end[step]) / sampled : 1;
            if (kind == KIND_RATE) {
                factor /= range_s;
            }
            return value * factor;
        }
    }
    return value * (kind == KIND_RATE ? shape->per_second[step] : shape->factor[step]);
}

struct rate_run {
    const struct window_bounds *bounds;
    const double *v;
    size_t steps;
    enum rate_kind kind;
    double range_s;
    size_t
        reset; /* the first one at or behind the window looked at last; SIZE_MAX: of no interest */
};

/* Behind the last of the eights from step on (a multiple of eight) whose windows all have two samples
 * or more and no reset. */
static size_t plain_until(const struct rate_run *r, size_t step) {
    const struct window_bounds *b = r->bounds;
    while (r->steps - step >= LANES && b->fewest[step / LANES] >= 2 &&
           r->reset >= b->high[step + LANES - 1] - 1) {
        step += LANES;
    }
    return step;
}

/* As many of the steps [from, to) as eight side by side can do; returns the first not done. */
static size_t rate_lanes(const struct rate_run *r, size_t from, size_t to, struct row *out) {
    const struct window_bounds *b = r->bounds;
    const double *factors = r->kind == KIND_RATE ? b->shape.per_second : b->shape.factor;
    const struct lane_windows w = {r->v, b->low + from, b->high + from};
    const struct lane_rate rate = {b->shape.sampled + from, b->shape.to_start + from,
                                   factors + from, r->kind != KIND_DELTA};
    const size_t done =
        lane_kernels_best()->rate(&w, &rate, (to - from) / LANES, out->values + from);
    for (size_t i = 0; i < done; i++) {
        bits_set_lanes(out->present, from + i * LANES);
    }
    return from + done * LANES;
}

static ALWAYS_INLINE void rate_one(struct rate_run *r, size_t step, struct row *out) {
    const struct window_bounds *b = r->bounds;
    const size_t low = b->low[step];
    const size_t high = b->high[step];
    if (high < low + 2) {
        return;
    }
    double value = r->v[high - 1] - r->v[low];
    if (r->reset < high - 1) {
        value = with_resets(r->v, b->count, low, high, value, &r->reset);
    }
    out->values[step] = extrapolated(&b->shape, step, value, r->v[low], r->kind, r->range_s);
    bits_set(out->present, step);
}

static ALWAYS_INLINE void rate_all(const struct range_call *call, const struct range_series *series,
                                   struct row *out, enum rate_kind kind) {
    struct rate_run r = {
        .bounds = series->bounds,
        .v = series->values,
        .steps = call->grid->count,
        .kind = kind,
        .range_s = (double)call->spec->range_ms / 1000,
        .reset =
            kind != KIND_DELTA ? next_reset(series->values, series->bounds->count, 0) : SIZE_MAX,
    };
    size_t until = 0;
    for (size_t i = 0; i < r.steps;) {
        until = i < until ? until : plain_until(&r, i);
        if (i < until) {
            i = rate_lanes(&r, i, until, out);
            if (i == until) {
                continue;
            }
        }
        for (size_t end = i + LANES < r.steps ? i + LANES : r.steps; i < end; i++) {
            rate_one(&r, i, out);
        }
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

/* The sums over one window. Those of times alone are the column's, made once for all series. */
struct line_sums {
    double n, x, x2, y, xy;
    double first;
    bool varies; /* some value differs from the first */
};

static struct line line_of(const struct line_sums *s) {
    if (!s->varies) {
        const bool inf = isinf(s->first);
        return (struct line){.slope = inf ? NAN : 0, .intercept = inf ? NAN : s->first};
    }
    const double covariance = s->xy - s->x * s->y / s->n;
    const double variance = s->x2 - s->x * s->x / s->n;
    const double slope = covariance / variance;
    return (struct line){.slope = slope, .intercept = s->y / s->n - slope * s->x / s->n};
}

static void add_values(struct line_sums *s, const int64_t *ts, const double *v, size_t n,
                       int64_t reference_ms) {
    struct kahan y = {0};
    struct kahan xy = {0};
    for (size_t i = 0; i < n; i++) {
        s->varies = s->varies || v[i] != v[0];
        kahan_add(&y, v[i]);
        kahan_add(&xy, (double)time_sub(ts[i], reference_ms) / 1000 * v[i]);
    }
    s->y = y.sum + y.c;
    s->xy = xy.sum + xy.c;
}

struct line_fit {
    const struct range_call *call;
    const struct window_bounds *bounds;
    const double *v;
    struct row *out;
    bool predicts;
};

static void put_line(const struct line_fit *f, size_t step, struct line_sums *sums) {
    const struct window_bounds *b = f->bounds;
    sums->n = (double)(b->high[step] - b->low[step]);
    sums->x = b->times.x[step];
    sums->x2 = b->times.x2[step];
    sums->first = f->v[b->low[step]];
    const struct line line = line_of(sums);
    f->out->values[step] = f->predicts
                               ? line.slope * scalar_at(&f->call->params[0], step) + line.intercept
                               : line.slope;
    bits_set(f->out->present, step);
}

/* Whether differences of the column's times and the references cannot overflow: the loops over
 * lanes do not saturate. */
static bool times_are_small(const struct window_bounds *b, const struct grid *grid) {
    const int64_t most = INT64_MAX / 4;
    return b->ts[0] > -most && b->ts[b->count - 1] < most && grid->start_ms > -most &&
           grid_last(grid) < most;
}

/* The windows [i, end) hold nothing but one number: flat lines. */
static void put_flat_lines(const struct line_fit *f, size_t i, size_t end) {
    for (; i < end; i++) {
        if (f->bounds->high[i] - f->bounds->low[i] >= 2) {
            put_line(f, i, &(struct line_sums){.varies = false});
        }
    }
}

static enum err_code fit_lines(const struct line_fit *f, struct err *err) {
    const struct window_bounds *b = f->bounds;
    const size_t steps = f->call->grid->count;
    const struct lane_kernels *lanes = lane_kernels_best();
    const bool by_lanes = times_are_small(b, f->call->grid);
    struct steady steady = steady_of(f->v);
    for (size_t i = 0; i < steps;) {
        const enum err_code code = eval_worked(f->call->ev, b->high[i] - b->low[i], err);
        if (code != ERR_OK) {
            return code;
        }
        const size_t next = steps - i < LANES ? steps : i + LANES;
        if (b->high[next - 1] > b->low[i] && !isnan(f->v[b->low[i]]) &&
            steady_within(&steady, b->low[i], b->high[next - 1])) {
            put_flat_lines(f, i, next);
            i = next;
            continue;
        }
        if (by_lanes && window_all_hold(b, 2, i, steps)) {
            const struct lane_windows w = {f->v, b->low + i, b->high + i};
            struct lane_line line;
            lanes->line(&w, b->ts, b->times.reference_ms + i, &line);
            for (size_t l = 0; l < LANES; l++) {
                put_line(f, i + l,
                         &(struct line_sums){
                             .y = line.y[l], .xy = line.xy[l], .varies = line.varies[l]});
            }
            i += LANES;
            continue;
        }
        const size_t n = b->high[i] - b->low[i];
        if (n >= 2) {
            struct line_sums sums = {0};
            add_values(&sums, b->ts + b->low[i], f->v + b->low[i], n, b->times.reference_ms[i]);
            put_line(f, i, &sums);
        }
        i++;
    }
    return ERR_OK;
}

static enum err_code lines(const struct range_call *call, const struct range_series *series,
                           struct row *out, bool predicts, struct err *err) {
    const struct line_fit f = {.call = call,
                               .bounds = series->bounds,
                               .v = series->values,
                               .out = out,
                               .predicts = predicts};
    const enum err_code code = window_times_of(series->cache, series->bounds, predicts, err);
    return code == ERR_OK ? fit_lines(&f, err) : code;
}

enum err_code range_deriv(const struct range_call *call, const struct range_series *series,
                          struct row *out, struct err *err) {
    return lines(call, series, out, false, err);
}

enum err_code range_predict_linear(const struct range_call *call, const struct range_series *series,
                                   struct row *out, struct err *err) {
    return lines(call, series, out, true, err);
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

/* They must fit where there are samples, of whatever kind. */
static enum err_code check_factors(const struct range_call *call, const struct window_bounds *b,
                                   struct err *err) {
    for (size_t i = 0; i < call->grid->count; i++) {
        if (b->high[i] == b->low[i]) {
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
    }
    return ERR_OK;
}

enum err_code range_double_exponential_smoothing(const struct range_call *call,
                                                 const struct range_series *series, struct row *out,
                                                 struct err *err) {
    const struct window_bounds *b = series->bounds;
    enum err_code code = check_factors(call, b, err);
    for (size_t i = 0; i < call->grid->count && code == ERR_OK; i++) {
        const size_t n = b->high[i] - b->low[i];
        if (n >= 2) {
            out->values[i] = smooth(series->values + b->low[i], n, scalar_at(&call->params[0], i),
                                    scalar_at(&call->params[1], i));
            bits_set(out->present, i);
        }
        code = eval_worked(call->ev, n, err);
    }
    return code;
}

enum err_code mixed_double_exponential_smoothing(const struct range_call *call,
                                                 const struct range_series *series, struct row *out,
                                                 struct err *err) {
    const enum err_code code = check_factors(call, series->bounds, err);
    return code == ERR_OK
               ? range_floats_only(call, series, range_double_exponential_smoothing, out, err)
               : code;
}
