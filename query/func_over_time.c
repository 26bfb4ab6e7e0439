/* Aggregation over a window: *_over_time (spec/promql.md sections 7 and 19). */
#include <math.h>
#include <string.h>

#include "query/bits.h"
#include "query/eval_call.h"
#include "query/kahan.h"
#include "query/quantile.h"

/* ---- plain functions of a window ---- */

struct window {
    const int64_t *ts;
    const double *v;
    size_t n; /* > 0 */
};

static double window_sum(const struct window *w) {
    struct kahan k = {0};
    for (size_t i = 0; i < w->n; i++) {
        kahan_add(&k, w->v[i]);
    }
    return isinf(k.sum) ? k.sum : k.sum + k.c;
}

static double window_avg(const struct window *w) {
    struct kahan_mean mean = {.n = 0};
    for (size_t i = 0; i < w->n; i++) {
        kahan_mean_add(&mean, w->v[i]);
    }
    return kahan_mean_value(&mean);
}

static double window_stdvar(const struct window *w) {
    struct kahan mean = {0};
    struct kahan aux = {0};
    double n = 0;
    for (size_t i = 0; i < w->n; i++) {
        n += 1;
        const double delta = w->v[i] - (mean.sum + mean.c);
        kahan_add(&mean, delta / n);
        kahan_add(&aux, delta * (w->v[i] - (mean.sum + mean.c)));
    }
    return (aux.sum + aux.c) / n;
}

static double window_stddev(const struct window *w) {
    return sqrt(window_stdvar(w));
}

static double window_count(const struct window *w) {
    return (double)w->n;
}

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

static double window_min(const struct window *w) {
    double best = w->v[0];
    for (size_t i = 1; i < w->n; i++) {
        if (w->v[i] < best || isnan(best)) {
            best = w->v[i];
        }
    }
    return best;
}

static double window_max(const struct window *w) {
    double best = w->v[0];
    for (size_t i = 1; i < w->n; i++) {
        if (w->v[i] > best || isnan(best)) {
            best = w->v[i];
        }
    }
    return best;
}

/* Among equals the last occurrence. */
static double window_ts_of_min(const struct window *w) {
    size_t best = 0;
    for (size_t i = 1; i < w->n; i++) {
        if (w->v[i] <= w->v[best] || isnan(w->v[best])) {
            best = i;
        }
    }
    return (double)w->ts[best] / 1000;
}

static double window_ts_of_max(const struct window *w) {
    size_t best = 0;
    for (size_t i = 1; i < w->n; i++) {
        if (w->v[i] >= w->v[best] || isnan(w->v[best])) {
            best = i;
        }
    }
    return (double)w->ts[best] / 1000;
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
            bits_set(out->present, i);
        }
    }
    return eval_worked(call->ev, b->total, err);
}

#define RANGE_KERNEL(name)                                                                         \
    enum err_code range_##name(const struct range_call *call, const struct range_series *series,   \
                               struct row *out, struct err *err) {                                 \
        return each_window(call, series, out, window_##name, err);                                 \
    }
RANGE_KERNEL(avg)
RANGE_KERNEL(sum)
RANGE_KERNEL(min)
RANGE_KERNEL(max)
RANGE_KERNEL(count)
RANGE_KERNEL(last)
RANGE_KERNEL(first)
RANGE_KERNEL(present)
RANGE_KERNEL(stddev)
RANGE_KERNEL(stdvar)
RANGE_KERNEL(ts_of_first)
RANGE_KERNEL(ts_of_last)
RANGE_KERNEL(ts_of_min)
RANGE_KERNEL(ts_of_max)
#undef RANGE_KERNEL

/* ---- with a sorted copy of the window ---- */

static void note_bad_phi(const struct range_call *call, double phi) {
    if (isnan(phi) || phi < 0 || phi > 1) {
        eval_note_quantile(call->ev, call->node->call.args[0]->pos, phi);
    }
}

enum err_code range_quantile(const struct range_call *call, const struct range_series *series,
                             struct row *out, struct err *err) {
    const struct window_bounds *b = series->bounds;
    struct work tmp;
    work_begin(&tmp, &call->ev->budget);
    double *sorted = work_alloc(&tmp, b->widest, sizeof(*sorted), err);
    for (size_t i = 0; i < call->grid->count && sorted != NULL; i++) {
        const size_t n = b->high[i] - b->low[i];
        if (n > 0) {
            const double phi = scalar_at(&call->params[0], i);
            note_bad_phi(call, phi);
            memcpy(sorted, series->values + b->low[i], n * sizeof(*sorted));
            out->values[i] = quantile_of(phi, sorted, n);
            bits_set(out->present, i);
        }
    }
    work_end(&tmp);
    return sorted != NULL ? eval_worked(call->ev, b->total, err) : ERR_LIMIT;
}

/* Median of the distances from the median; NaN when any sample is NaN. */
static double mad_of(const double *v, size_t n, double *sorted) {
    for (size_t i = 0; i < n; i++) {
        if (isnan(v[i])) {
            return NAN;
        }
        sorted[i] = v[i];
    }
    const double median = quantile_of(0.5, sorted, n);
    for (size_t i = 0; i < n; i++) {
        sorted[i] = fabs(v[i] - median);
    }
    return quantile_of(0.5, sorted, n);
}

enum err_code range_mad(const struct range_call *call, const struct range_series *series,
                        struct row *out, struct err *err) {
    const struct window_bounds *b = series->bounds;
    struct work tmp;
    work_begin(&tmp, &call->ev->budget);
    double *sorted = work_alloc(&tmp, b->widest, sizeof(*sorted), err);
    for (size_t i = 0; i < call->grid->count && sorted != NULL; i++) {
        const size_t n = b->high[i] - b->low[i];
        if (n > 0) {
            out->values[i] = mad_of(series->values + b->low[i], n, sorted);
            bits_set(out->present, i);
        }
    }
    work_end(&tmp);
    return sorted != NULL ? eval_worked(call->ev, b->total, err) : ERR_LIMIT;
}
