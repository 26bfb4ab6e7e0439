/* Functions of a range: what they make of one window (spec sections 7, 13, 16, 17 and 19). */
#include <math.h>
#include <stdlib.h>

#include "tests/reference/reference.h"

bool ref_is_over_time(enum function_id id) {
    switch ((int)id) {
    case FN_AVG_OVER_TIME:
    case FN_CHANGES:
    case FN_COUNT_OVER_TIME:
    case FN_DELTA:
    case FN_DERIV:
    case FN_DOUBLE_EXPONENTIAL_SMOOTHING:
    case FN_FIRST_OVER_TIME:
    case FN_IDELTA:
    case FN_INCREASE:
    case FN_IRATE:
    case FN_LAST_OVER_TIME:
    case FN_MAD_OVER_TIME:
    case FN_MAX_OVER_TIME:
    case FN_MIN_OVER_TIME:
    case FN_PREDICT_LINEAR:
    case FN_PRESENT_OVER_TIME:
    case FN_QUANTILE_OVER_TIME:
    case FN_RATE:
    case FN_RESETS:
    case FN_STDDEV_OVER_TIME:
    case FN_STDVAR_OVER_TIME:
    case FN_SUM_OVER_TIME:
    case FN_TS_OF_FIRST_OVER_TIME:
    case FN_TS_OF_LAST_OVER_TIME:
    case FN_TS_OF_MAX_OVER_TIME:
    case FN_TS_OF_MIN_OVER_TIME:
        return true;
    default:
        return false;
    }
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    if (isnan(x) || isnan(y)) {
        return (isnan(y) != 0) - (isnan(x) != 0);
    }
    return (x > y) - (x < y);
}

double ref_quantile(struct ref *r, double phi, const double *values, size_t n) {
    if (n == 0 || isnan(phi)) {
        return NAN;
    }
    if (phi < 0 || phi > 1) {
        return phi < 0 ? -INFINITY : INFINITY;
    }
    double *sorted = arena_alloc(r->arena, n * sizeof(*sorted));
    memcpy(sorted, values, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_value);
    const double rank = phi * ((double)n - 1);
    const double low = fmax(0, floor(rank));
    const double high = fmin((double)n - 1, low + 1);
    const double weight = rank - floor(rank);
    return sorted[(size_t)low] * (1 - weight) + sorted[(size_t)high] * weight;
}

/* ---- rate, increase, delta ---- */

/* Section 16, of the window's first and last sample; first is the value that a counter cannot have
 * been below when it started. */
static double extrapolation(const struct ref_series *w, bool counter, double first, double grown) {
    const int64_t first_t = w->points[0].t;
    const int64_t last_t = w->points[w->count - 1].t;
    double to_start = (double)(first_t - w->from) / 1000;
    double to_end = (double)(w->to - last_t) / 1000;
    const double sampled = (double)(last_t - first_t) / 1000;
    const double average = sampled / ((double)w->count - 1);
    const double threshold = average * 1.1;
    if (to_start >= threshold) {
        to_start = average / 2;
    }
    if (counter && grown > 0 && first >= 0) {
        const double to_zero = sampled * (first / grown);
        to_start = to_zero < to_start ? to_zero : to_start;
    }
    if (to_end >= threshold) {
        to_end = average / 2;
    }
    return sampled != 0 ? (sampled + to_start + to_end) / sampled : 1;
}

static double range_seconds(const struct ref_series *w) {
    return (double)(w->to - w->from) / 1000;
}

static bool rate_of_histograms(struct ref *r, enum function_id id, const struct ref_series *w,
                               struct ref_sample *out) {
    const bool counter = id != FN_DELTA;
    const struct ref_histogram *first = w->points[0].h;
    struct ref_histogram empty = {.schema = w->points[1].h->schema,
                                  .zero_threshold = w->points[1].h->zero_threshold};
    if (counter && ref_histogram_reset(w->points[1].h, first)) {
        first = &empty;
    }
    struct ref_histogram *grown = ref_histogram_add(r, w->points[w->count - 1].h, first, -1);
    const struct ref_histogram *before = first;
    for (size_t i = 1; counter && i < w->count; i++) {
        if (ref_histogram_reset(w->points[i].h, before)) {
            grown = ref_histogram_add(r, grown, before, 1);
        }
        before = w->points[i].h;
    }
    double factor = extrapolation(w, counter, w->points[0].h->count, grown->count);
    if (id == FN_RATE) {
        factor /= range_seconds(w);
    }
    out->h = ref_histogram_scale(r, grown, factor, false);
    return true;
}

static bool rate(struct ref *r, enum function_id id, const struct ref_series *w, size_t histograms,
                 struct ref_sample *out) {
    if (w->count < 2 || (histograms > 0 && histograms < w->count)) {
        return false;
    }
    if (histograms > 0) {
        return rate_of_histograms(r, id, w, out);
    }
    double grown = w->points[w->count - 1].v - w->points[0].v;
    for (size_t i = 1; id != FN_DELTA && i < w->count; i++) {
        if (w->points[i].v < w->points[i - 1].v) {
            grown += w->points[i - 1].v;
        }
    }
    double factor = extrapolation(w, id != FN_DELTA, w->points[0].v, grown);
    if (id == FN_RATE) {
        factor /= range_seconds(w);
    }
    out->v = grown * factor;
    return true;
}

static bool instant_rate(struct ref *r, enum function_id id, const struct ref_series *w,
                         struct ref_sample *out) {
    if (w->count < 2) {
        return false;
    }
    const struct ref_point *a = &w->points[w->count - 2];
    const struct ref_point *b = &w->points[w->count - 1];
    const double seconds = (double)(b->t - a->t) / 1000;
    if ((a->h != NULL) != (b->h != NULL)) {
        return false;
    }
    if (b->h != NULL) {
        const struct ref_histogram empty = {.schema = b->h->schema,
                                            .zero_threshold = b->h->zero_threshold};
        const bool alone = id == FN_IRATE && ref_histogram_reset(b->h, a->h);
        out->h = ref_histogram_add(r, b->h, alone ? &empty : a->h, -1);
        if (id == FN_IRATE) {
            out->h = ref_histogram_scale(r, out->h, seconds, true);
        }
        return true;
    }
    out->v = id == FN_IRATE && b->v < a->v ? b->v : b->v - a->v;
    if (id == FN_IRATE) {
        out->v /= seconds;
    }
    return true;
}

/* ---- floats alone ---- */

static void regression(const int64_t *ts, const double *v, size_t n, int64_t reference,
                       double *slope, double *intercept) {
    struct ref_sum x = {0};
    struct ref_sum y = {0};
    struct ref_sum xy = {0};
    struct ref_sum x2 = {0};
    bool constant = true;
    for (size_t i = 0; i < n; i++) {
        constant = constant && v[i] == v[0];
        const double at = (double)(ts[i] - reference) / 1000;
        ref_sum_add(&x, at);
        ref_sum_add(&y, v[i]);
        ref_sum_add(&xy, at * v[i]);
        ref_sum_add(&x2, at * at);
    }
    if (constant) {
        *slope = isinf(v[0]) ? NAN : 0;
        *intercept = isinf(v[0]) ? NAN : v[0];
        return;
    }
    const double count = (double)n;
    const double sx = x.s + x.c;
    const double sy = y.s + y.c;
    const double cov = (xy.s + xy.c) - sx * sy / count;
    const double var = (x2.s + x2.c) - sx * sx / count;
    *slope = cov / var;
    *intercept = sy / count - *slope * sx / count;
}

static double variance(const double *v, size_t n) {
    struct ref_sum mean = {0};
    struct ref_sum aux = {0};
    for (size_t i = 0; i < n; i++) {
        const double delta = v[i] - (mean.s + mean.c);
        ref_sum_add(&mean, delta / ((double)i + 1));
        ref_sum_add(&aux, delta * (v[i] - (mean.s + mean.c)));
    }
    return (aux.s + aux.c) / (double)n;
}

static double smoothed(const double *v, size_t n, double sf, double tf) {
    double s0 = 0;
    double s1 = v[0];
    double b = v[1] - v[0];
    for (size_t i = 1; i < n; i++) {
        const double x = sf * v[i];
        b = i == 1 ? b : tf * (s1 - s0) + (1 - tf) * b;
        s0 = s1;
        s1 = x + (1 - sf) * (s0 + b);
    }
    return s1;
}

/* The index of the extreme, the last of equal ones. strict: the first. */
static size_t extreme(const double *v, size_t n, bool max, bool strict) {
    size_t at = 0;
    for (size_t i = 1; i < n; i++) {
        const bool better = max ? v[i] > v[at] : v[i] < v[at];
        const bool equal = v[i] == v[at];
        if (better || (equal && !strict) || isnan(v[at])) {
            at = i;
        }
    }
    return at;
}

static bool floats_alone(struct ref *r, enum function_id id, const int64_t *ts, const double *v,
                         size_t n, const double *params, int64_t t, struct ref_sample *out) {
    double slope = 0;
    double intercept = 0;
    double *distance = NULL;
    if (n == 0) {
        return false;
    }
    switch ((int)id) {
    case FN_MIN_OVER_TIME:
        out->v = v[extreme(v, n, false, true)];
        return true;
    case FN_MAX_OVER_TIME:
        out->v = v[extreme(v, n, true, true)];
        return true;
    case FN_TS_OF_MIN_OVER_TIME:
        out->v = (double)ts[extreme(v, n, false, false)] / 1000;
        return true;
    case FN_TS_OF_MAX_OVER_TIME:
        out->v = (double)ts[extreme(v, n, true, false)] / 1000;
        return true;
    case FN_STDVAR_OVER_TIME:
        out->v = variance(v, n);
        return true;
    case FN_STDDEV_OVER_TIME:
        out->v = sqrt(variance(v, n));
        return true;
    case FN_QUANTILE_OVER_TIME:
        out->v = ref_quantile(r, params[0], v, n);
        return true;
    case FN_MAD_OVER_TIME:
        distance = arena_alloc(r->arena, n * sizeof(*distance));
        out->v = ref_quantile(r, 0.5, v, n);
        for (size_t i = 0; i < n; i++) {
            distance[i] = fabs(v[i] - out->v);
            if (isnan(v[i])) {
                out->v = NAN;
                return true;
            }
        }
        out->v = ref_quantile(r, 0.5, distance, n);
        return true;
    default:
        break;
    }
    if (n < 2) {
        return false;
    }
    switch ((int)id) {
    case FN_DERIV:
        regression(ts, v, n, ts[0], &slope, &intercept);
        out->v = slope;
        return true;
    case FN_PREDICT_LINEAR:
        regression(ts, v, n, t, &slope, &intercept);
        out->v = slope * params[0] + intercept;
        return true;
    case FN_DOUBLE_EXPONENTIAL_SMOOTHING:
        out->v = smoothed(v, n, params[0], params[1]);
        return true;
    default:
        r->unsupported = true;
        return false;
    }
}

/* ---- both kinds ---- */

static double changes(const struct ref_series *w) {
    double n = 0;
    for (size_t i = 1; i < w->count; i++) {
        const struct ref_point *a = &w->points[i - 1];
        const struct ref_point *b = &w->points[i];
        if (a->h != NULL && b->h != NULL) {
            n += !ref_histogram_same(a->h, b->h);
        } else if (a->h != NULL || b->h != NULL) {
            n += 1;
        } else {
            n += a->v != b->v && !(isnan(a->v) && isnan(b->v));
        }
    }
    return n;
}

static double resets(const struct ref_series *w) {
    double n = 0;
    for (size_t i = 1; i < w->count; i++) {
        const struct ref_point *a = &w->points[i - 1];
        const struct ref_point *b = &w->points[i];
        if (a->h != NULL && b->h != NULL) {
            n += ref_histogram_reset(b->h, a->h);
        } else if (a->h != NULL || b->h != NULL) {
            n += 1;
        } else {
            n += b->v < a->v;
        }
    }
    return n;
}

static bool sums(struct ref *r, enum function_id id, const struct ref_series *w, const double *v,
                 size_t histograms, struct ref_sample *out) {
    if (histograms > 0) { /* compensated sums of histograms are left to others */
        r->unsupported |= histograms == w->count;
        return false;
    }
    if (id == FN_AVG_OVER_TIME) {
        out->v = ref_mean(v, w->count);
        return true;
    }
    struct ref_sum k = {0};
    for (size_t i = 0; i < w->count; i++) {
        ref_sum_add(&k, v[i]);
    }
    out->v = isinf(k.s) ? k.s : k.s + k.c;
    return true;
}

bool ref_over_time(struct ref *r, const struct node *call, const struct ref_series *w,
                   const double *params, int64_t t, struct ref_sample *out) {
    const enum function_id id = (enum function_id)call->call.function->id;
    double *v = arena_alloc(r->arena, (w->count + 1) * sizeof(*v));
    int64_t *ts = arena_alloc(r->arena, (w->count + 1) * sizeof(*ts));
    size_t n = 0;
    for (size_t i = 0; i < w->count; i++) {
        if (w->points[i].h == NULL) {
            v[n] = w->points[i].v;
            ts[n++] = w->points[i].t;
        }
    }
    const size_t histograms = w->count - n;
    const struct ref_point *first = &w->points[0];
    const struct ref_point *last = &w->points[w->count - 1];
    switch ((int)id) {
    case FN_RATE:
    case FN_INCREASE:
    case FN_DELTA:
        return rate(r, id, w, histograms, out);
    case FN_IRATE:
    case FN_IDELTA:
        return instant_rate(r, id, w, out);
    case FN_COUNT_OVER_TIME:
        out->v = (double)w->count;
        return true;
    case FN_PRESENT_OVER_TIME:
        out->v = 1;
        return true;
    case FN_FIRST_OVER_TIME:
        out->v = first->v, out->h = first->h;
        return true;
    case FN_LAST_OVER_TIME:
        out->v = last->v, out->h = last->h;
        return true;
    case FN_TS_OF_FIRST_OVER_TIME:
        out->v = (double)first->t / 1000;
        return true;
    case FN_TS_OF_LAST_OVER_TIME:
        out->v = (double)last->t / 1000;
        return true;
    case FN_CHANGES:
        out->v = changes(w);
        return true;
    case FN_RESETS:
        out->v = resets(w);
        return true;
    case FN_SUM_OVER_TIME:
    case FN_AVG_OVER_TIME:
        return sums(r, id, w, v, histograms, out);
    default:
        return floats_alone(r, id, ts, v, n, params, t, out);
    }
}
