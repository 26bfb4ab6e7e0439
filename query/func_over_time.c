/* Aggregation over a window: *_over_time (spec/promql.md sections 7 and 19). */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "query/bits.h"
#include "query/eval_call.h"
#include "query/kahan.h"
#include "query/lanes.h"
#include "query/quantile.h"
#include "query/steady.h"
#include "query/window_order.h"

/* ---- plain functions of a window ---- */

struct window {
    const int64_t *ts;
    const double *v;
    size_t n; /* > 0 */
};

static double window_last(const struct window *w) {
    return w->v[w->n - 1];
}

static double window_first(const struct window *w) {
    return w->v[0];
}

static double window_present(const struct window *w) {
    (void)w;
    return 1;
}

static double window_ts_of_first(const struct window *w) {
    return (double)w->ts[0] / 1000;
}

static double window_ts_of_last(const struct window *w) {
    return (double)w->ts[w->n - 1] / 1000;
}

static ALWAYS_INLINE enum err_code each_window(const struct range_call *call,
                                               const struct range_series *series, struct row *out,
                                               double (*fn)(const struct window *w),
                                               struct err *err) {
    const struct window_bounds *b = series->bounds;
    for (size_t i = 0; i < call->grid->count; i++) {
        const size_t low = b->low[i];
        const size_t high = b->high[i];
        if (high > low) {
            const struct window w = {b->ts + low, series->values + low, high - low};
            out->values[i] = fn(&w);
        }
    }
    memcpy(out->present, b->present, bits_words(call->grid->count) * sizeof(*out->present));
    return eval_worked(call->ev, call->grid->count, err);
}

#define RANGE_KERNEL(name)                                                                         \
    enum err_code range_##name(const struct range_call *call, const struct range_series *series,   \
                               struct row *out, struct err *err) {                                 \
        return each_window(call, series, out, window_##name, err);                                 \
    }
RANGE_KERNEL(last)
RANGE_KERNEL(first)
RANGE_KERNEL(present)
RANGE_KERNEL(ts_of_first)
RANGE_KERNEL(ts_of_last)
#undef RANGE_KERNEL

enum err_code range_count(const struct range_call *call, const struct range_series *series,
                          struct row *out, struct err *err) {
    const struct window_bounds *b = series->bounds;
    for (size_t i = 0; i < call->grid->count; i++) {
        out->values[i] = window_samples(b, i);
    }
    memcpy(out->present, b->present, bits_words(call->grid->count) * sizeof(*out->present));
    return eval_worked(call->ev, call->grid->count, err);
}

/* ---- sums ---- */

/* prefix[i] = sum of the first i values, when any window's sum is exact in every order: all values
 * are integers and their magnitudes add up to at most 2^53, so no partial sum is ever rounded, the
 * compensations stay 0, and a difference of prefixes is the compensated sum to the bit. (No sum
 * is -0: it would begin with +0, and a mean adds its compensation of +0.) */
static bool integer_prefix(const double *v, size_t n, double *prefix) {
    const double most = 9007199254740992; /* 2^53 */
    double sum = 0;
    double magnitude = 0;
    prefix[0] = 0;
    for (size_t i = 0; i < n; i++) {
        if (!(fabs(v[i]) <= most) || (double)(int64_t)v[i] != v[i]) {
            return false;
        }
        sum += v[i];
        magnitude += fabs(v[i]);
        prefix[i + 1] = sum;
    }
    return magnitude <= most;
}

static double sum_of(const double *v, size_t n) {
    struct kahan k = {0};
    for (size_t i = 0; i < n; i++) {
        kahan_add(&k, v[i]);
    }
    return isinf(k.sum) ? k.sum : k.sum + k.c;
}

static double mean_of(const double *v, size_t n) {
    struct kahan_mean mean = {.n = 0};
    for (size_t i = 0; i < n; i++) {
        kahan_mean_add(&mean, v[i]);
    }
    return kahan_mean_value(&mean);
}

static double variance_of(const double *v, size_t count) {
    struct kahan mean = {0};
    struct kahan aux = {0};
    double n = 0;
    for (size_t i = 0; i < count; i++) {
        n += 1;
        const double delta = v[i] - (mean.sum + mean.c);
        kahan_add(&mean, delta / n);
        kahan_add(&aux, delta * (v[i] - (mean.sum + mean.c)));
    }
    return (aux.sum + aux.c) / n;
}

enum sum_kind { SUM_PLAIN, SUM_MEAN, SUM_VARIANCE, SUM_DEVIATION };

/* One window, as the reference goes through it. */
static double value_of(enum sum_kind kind, const double *v, size_t n) {
    switch (kind) {
    case SUM_PLAIN:
        return sum_of(v, n);
    case SUM_MEAN:
        return mean_of(v, n);
    case SUM_VARIANCE:
        return variance_of(v, n);
    case SUM_DEVIATION:
        return sqrt(variance_of(v, n));
    }
    UNREACHABLE("kind of sum");
}

/* Eight windows side by side. Sums on the way to infinity have rules of their own, one by one. */
static void values_of_lanes(enum sum_kind kind, const struct lane_kernels *lanes,
                            const struct lane_windows *w, double *out) {
    if (kind == SUM_VARIANCE || kind == SUM_DEVIATION) {
        lanes->variance(w, out);
        for (size_t l = 0; l < LANES && kind == SUM_DEVIATION; l++) {
            out[l] = sqrt(out[l]);
        }
        return;
    }
    struct lane_sums sums;
    lanes->sum(w, kind == SUM_MEAN, &sums);
    for (size_t l = 0; l < LANES; l++) {
        const size_t n = w->high[l] - w->low[l];
        if (sums.overflowed) {
            out[l] = value_of(kind, w->v + w->low[l], n);
        } else if (kind == SUM_MEAN) {
            out[l] = sums.sum[l] / (double)n + sums.c[l] / (double)n;
        } else {
            out[l] = sums.sum[l] + sums.c[l];
        }
    }
}

static void sums_by_prefix(const struct window_bounds *b, const double *prefix, bool mean,
                           size_t steps, struct row *out) {
    for (size_t i = 0; i < steps; i++) {
        const uint32_t n = window_samples(b, i);
        if (n > 0) {
            const double sum = prefix[b->high[i]] - prefix[b->low[i]];
            out->values[i] = mean ? sum / (double)n : sum;
            bits_set(out->present, i);
        }
    }
}

static enum err_code sums_by_window(struct eval *ev, const struct window_bounds *b, const double *v,
                                    enum sum_kind kind, size_t steps, struct row *out,
                                    struct err *err) {
    const struct lane_kernels *lanes = lane_kernels_best();
    for (size_t i = 0; i < steps;) {
        const enum err_code code = eval_worked(ev, b->high[i] - b->low[i], err);
        if (code != ERR_OK) {
            return code;
        }
        if (window_all_hold(b, 1, i, steps)) {
            const struct lane_windows w = {v, b->low + i, b->high + i};
            values_of_lanes(kind, lanes, &w, out->values + i);
            bits_set_lanes(out->present, i);
            i += LANES;
            continue;
        }
        const size_t n = b->high[i] - b->low[i];
        if (n > 0) {
            out->values[i] = value_of(kind, v + b->low[i], n);
            bits_set(out->present, i);
        }
        i++;
    }
    return ERR_OK;
}

static enum err_code sums(const struct range_call *call, const struct range_series *series,
                          struct row *out, enum sum_kind kind, struct err *err) {
    const struct window_bounds *b = series->bounds;
    const size_t steps = call->grid->count;
    bool done = false;
    /* condensed samples are integers, promises the storage */
    if ((kind == SUM_PLAIN || kind == SUM_MEAN) && (b->total > b->count || b->rank != NULL)) {
        struct work tmp;
        work_begin(&tmp, &call->ev->budget);
        double *prefix = work_alloc(&tmp, b->count + 1, sizeof(*prefix), err);
        if (prefix != NULL && integer_prefix(series->values, b->count, prefix)) {
            sums_by_prefix(b, prefix, kind == SUM_MEAN, steps, out);
            done = true;
        }
        work_end(&tmp);
        if (prefix == NULL) {
            return ERR_LIMIT;
        }
        ASSERT(done || b->rank == NULL);
    }
    return done ? eval_worked(call->ev, b->count, err)
                : sums_by_window(call->ev, b, series->values, kind, steps, out, err);
}

enum err_code range_sum(const struct range_call *call, const struct range_series *series,
                        struct row *out, struct err *err) {
    return sums(call, series, out, SUM_PLAIN, err);
}

enum err_code range_avg(const struct range_call *call, const struct range_series *series,
                        struct row *out, struct err *err) {
    return sums(call, series, out, SUM_MEAN, err);
}

enum err_code range_stdvar(const struct range_call *call, const struct range_series *series,
                           struct row *out, struct err *err) {
    return sums(call, series, out, SUM_VARIANCE, err);
}

enum err_code range_stddev(const struct range_call *call, const struct range_series *series,
                           struct row *out, struct err *err) {
    return sums(call, series, out, SUM_DEVIATION, err);
}

/* ---- extremes ---- */

struct extreme {
    bool largest;
    bool newest; /* among equals the last, else the first */
    bool time;   /* of the sample, instead of its value */
};

/* The old candidate cannot win any more once the new one is in the window. */
static ALWAYS_INLINE bool retires(struct extreme e, double old, double now) {
    if (old == now) {
        return e.newest;
    }
    return e.largest ? old < now : old > now;
}

/* The candidates of a window are a queue, best first: one that is older and worse than another
 * never wins again. Every sample enters and leaves once. NaN is no candidate; a window of nothing
 * else gives its last. */
static ALWAYS_INLINE enum err_code extremes(const struct range_call *call,
                                            const struct range_series *series, struct row *out,
                                            struct extreme e, struct err *err) {
    const struct window_bounds *b = series->bounds;
    const double *v = series->values;
    struct work tmp;
    work_begin(&tmp, &call->ev->budget);
    uint32_t *queue = work_alloc(&tmp, b->count, sizeof(*queue), err);
    size_t head = 0;
    size_t tail = 0;
    size_t next = 0;
    for (size_t i = 0; i < call->grid->count && queue != NULL; i++) {
        const size_t low = b->low[i];
        const size_t high = b->high[i];
        if (high == low) {
            continue;
        }
        for (next = next < low ? low : next; next < high; next++) {
            if (isnan(v[next])) {
                continue;
            }
            while (tail > head && retires(e, v[queue[tail - 1]], v[next])) {
                tail--;
            }
            queue[tail++] = (uint32_t)next;
        }
        while (head < tail && queue[head] < low) {
            head++;
        }
        const size_t best = head < tail ? queue[head] : high - 1;
        out->values[i] = e.time ? (double)b->ts[best] / 1000 : v[best];
        bits_set(out->present, i);
    }
    work_end(&tmp);
    return queue != NULL ? eval_worked(call->ev, b->count, err) : ERR_LIMIT;
}

enum err_code range_min(const struct range_call *call, const struct range_series *series,
                        struct row *out, struct err *err) {
    return extremes(call, series, out, (struct extreme){.largest = false}, err);
}

enum err_code range_max(const struct range_call *call, const struct range_series *series,
                        struct row *out, struct err *err) {
    return extremes(call, series, out, (struct extreme){.largest = true}, err);
}

enum err_code range_ts_of_min(const struct range_call *call, const struct range_series *series,
                              struct row *out, struct err *err) {
    return extremes(call, series, out, (struct extreme){.newest = true, .time = true}, err);
}

enum err_code range_ts_of_max(const struct range_call *call, const struct range_series *series,
                              struct row *out, struct err *err) {
    return extremes(call, series, out,
                    (struct extreme){.largest = true, .newest = true, .time = true}, err);
}

/* ---- in order of value ---- */

static void note_bad_phi(const struct range_call *call, double phi) {
    if (isnan(phi) || phi < 0 || phi > 1) {
        eval_note_quantile(call->ev, call->node->call.args[0]->pos, phi);
    }
}

struct quantile_run {
    const struct range_call *call;
    const struct window_bounds *bounds;
    const double *v;
    struct work *work;
    struct steady steady;
    struct window_order order;
    bool ordered; /* some window so far was put in order */
    double phi;   /* of the place, with n */
    size_t n;
    struct quantile_place place;
    bool placed; /* false: value is the quantile of n values whatever they are */
    double value;
};

/* Windows mostly have one size and one phi. */
static void find_place(struct quantile_run *r, double phi, size_t n) {
    if (n != r->n || !f64_same_bits(phi, r->phi)) {
        r->n = n;
        r->phi = phi;
        r->placed = quantile_find(phi, n, &r->place, &r->value);
    }
}

static enum err_code slide(struct quantile_run *r, size_t low, size_t high, struct err *err) {
    struct eval *ev = r->call->ev;
    if (!r->ordered) {
        const struct window_bounds *b = r->bounds;
        const enum err_code code =
            window_order_init(&r->order, r->work, r->v, b->count, b->widest, ev->cancel, err);
        if (code != ERR_OK) {
            return code;
        }
        r->ordered = true;
    }
    const enum err_code code = window_order_slide(&r->order, low, high);
    return code == ERR_OK ? ERR_OK : eval_check_cancel(ev->cancel, "expression evaluation", err);
}

static enum err_code quantile_at(struct quantile_run *r, size_t step, double *out,
                                 struct err *err) {
    const size_t low = r->bounds->low[step];
    const size_t high = r->bounds->high[step];
    double next[2] = {r->v[low], r->v[low]};
    enum err_code code = ERR_OK;
    find_place(r, scalar_at(&r->call->params[0], step), high - low);
    if (r->placed && !steady_within(&r->steady, low, high)) {
        code = slide(r, low, high, err);
        if (code != ERR_OK) {
            return code;
        }
        window_order_at(&r->order, r->place.low, next);
        code = eval_worked(r->call->ev, high - low, err);
    }
    note_bad_phi(r->call, r->phi);
    *out = r->placed ? next[0] * (1 - r->place.weight) + next[1] * r->place.weight : r->value;
    return code;
}

enum err_code range_quantile(const struct range_call *call, const struct range_series *series,
                             struct row *out, struct err *err) {
    const struct window_bounds *b = series->bounds;
    struct work tmp;
    work_begin(&tmp, &call->ev->budget);
    struct quantile_run r = {.call = call,
                             .bounds = b,
                             .v = series->values,
                             .work = &tmp,
                             .steady = steady_of(series->values)};
    enum err_code code = eval_worked(call->ev, b->count + call->grid->count, err);
    for (size_t i = 0; i < call->grid->count && code == ERR_OK; i++) {
        if (b->high[i] > b->low[i]) {
            code = quantile_at(&r, i, &out->values[i], err);
            bits_set(out->present, i);
        }
    }
    work_end(&tmp);
    return code;
}

/* Median of the distances from the median; NaN when any sample is NaN. */
static enum err_code mad_of(struct eval *ev, struct work *tmp, const double *v, size_t n,
                            double *sorted, double *out, struct err *err) {
    *out = NAN;
    for (size_t i = 0; i < n; i++) {
        if (isnan(v[i])) {
            return ERR_OK;
        }
        sorted[i] = v[i];
    }
    double median = NAN;
    const enum err_code code = quantile_of_many(0.5, sorted, n, tmp, ev->cancel, &median, err);
    for (size_t i = 0; i < n; i++) {
        sorted[i] = fabs(v[i] - median);
    }
    return code == ERR_OK ? quantile_of_many(0.5, sorted, n, tmp, ev->cancel, out, err) : code;
}

/* What a sample of it costs in samples of a sum. */
enum { SORTED_TWICE = 64 };

enum err_code range_mad(const struct range_call *call, const struct range_series *series,
                        struct row *out, struct err *err) {
    const struct window_bounds *b = series->bounds;
    struct work tmp;
    work_begin(&tmp, &call->ev->budget);
    double *sorted = work_alloc(&tmp, b->widest, sizeof(*sorted), err);
    enum err_code code = sorted != NULL ? ERR_OK : ERR_LIMIT;
    for (size_t i = 0; i < call->grid->count && code == ERR_OK; i++) {
        const size_t n = b->high[i] - b->low[i];
        if (n > 0) {
            code =
                mad_of(call->ev, &tmp, series->values + b->low[i], n, sorted, &out->values[i], err);
            bits_set(out->present, i);
            if (code == ERR_OK) {
                code = eval_worked(call->ev, SORTED_TWICE * n, err);
            }
        }
    }
    work_end(&tmp);
    return code;
}
