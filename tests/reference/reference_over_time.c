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
        ref_beyond(r, true, "a function");
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

/* Start timestamps do not count in anchored ranges, as they do not in the rates of those. */
static double resets(struct ref *r, const struct ref_series *w, bool anchored) {
    double n = 0;
    for (size_t i = 1; i < w->count; i++) {
        const struct ref_point *a = &w->points[i - 1];
        const struct ref_point *b = &w->points[i];
        if ((a->h != NULL) != (b->h != NULL) || (!anchored && ref_start_reset(r, a, b))) {
            n += 1;
        } else if (a->h != NULL) {
            n += ref_histogram_reset(r, b->h, a->h);
        } else {
            n += b->v < a->v;
        }
    }
    return n;
}

/* anchored: the newest sample at or before the range's start, and those of the range. */
static struct ref_series anchored(const struct ref_series *w) {
    struct ref_series out = *w;
    while (out.count > 1 && out.points[1].t <= w->from) {
        out.points++;
        out.count--;
    }
    if (out.points[out.count - 1].t <= w->from) {
        out.count = 0;
    }
    return out;
}

/* ---- sums ---- */

/* Compensated, and a running mean from where that would overflow (section 19). */
static bool histogram_sums(struct ref *r, uint32_t pos, bool mean, const struct ref_series *w,
                           struct ref_sample *out) {
    struct ref_added added = {0};
    struct ref_histogram *sum = ref_histogram_copy(r, w->points[0].h);
    bool running = false;
    bool reset = sum->hint == REF_RESET;
    bool not_reset = sum->hint == REF_NOT_RESET;
    for (size_t i = 1; i < w->count; i++) {
        const struct ref_histogram *h = w->points[i].h;
        const double n = (double)i + 1;
        reset |= h->hint == REF_RESET;
        not_reset |= h->hint == REF_NOT_RESET;
        if (!running) {
            struct ref_histogram *next = ref_histogram_add(r, sum, h, REF_COMPENSATE, &added);
            if (next == NULL) {
                ref_warn_mixed_buckets(r, pos, w->labels);
                return false;
            }
            if (!mean || !ref_histogram_overflows(next)) {
                sum = next;
                continue;
            }
            running = true;
            sum = ref_histogram_scale(r, sum, n - 1, true);
        }
        sum = ref_histogram_scale(r, sum, (n - 1) / n, false);
        sum = ref_histogram_add(r, sum, ref_histogram_scale(r, h, n, true), REF_COMPENSATE, &added);
        r->inexact = true;
        if (sum == NULL) {
            ref_warn_mixed_buckets(r, pos, w->labels);
            return false;
        }
    }
    if (mean && !running) {
        sum = ref_histogram_scale(r, sum, (double)w->count, true);
    }
    out->h = w->count > 1 ? ref_histogram_settle(r, sum) : sum;
    if (added.reconciled) {
        ref_inform(r, pos, "mismatched custom buckets were reconciled during aggregation");
    }
    if (reset && not_reset) {
        ref_warn(r, pos, "conflicting counter resets during histogram aggregation");
    }
    return true;
}

static bool sums(struct ref *r, const struct node *call, const struct ref_series *w,
                 const double *v, size_t histograms, struct ref_sample *out) {
    const bool mean = (enum function_id)call->call.function->id == FN_AVG_OVER_TIME;
    const uint32_t pos = ref_range_pos(call->call.args[0]);
    if (histograms > 0 && histograms < w->count) {
        ref_warn_mixed_samples(r, pos, w->labels);
        return false;
    }
    if (histograms > 0) {
        return histogram_sums(r, pos, mean, w, out);
    }
    if (mean) {
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

static const struct vector_selector *selector_of(const struct node *call) {
    for (size_t i = 0; i < call->call.arg_count; i++) {
        const struct node *arg = ref_bare(call->call.args[i]);
        if (arg->type == NODE_MATRIX_SELECTOR) {
            return &arg->matrix.selector->vector;
        }
    }
    return NULL;
}

/* Functions of floats pass over histograms, and say so where there are both. */
static void inform_ignored(struct ref *r, const struct node *call, const struct ref_series *w,
                           size_t floats, size_t histograms) {
    const enum function_id id = (enum function_id)call->call.function->id;
    const uint32_t pos = ref_range_pos(call->call.args[id == FN_QUANTILE_OVER_TIME ? 1 : 0]);
    if (floats > 0 && histograms > 0) {
        ref_inform(r, pos,
                   "ignored histograms in a range containing both floats and histograms for metric "
                   "name %s",
                   ref_name(r, w->labels));
    }
}

bool ref_over_time(struct ref *r, const struct node *call, const struct ref_series *w,
                   const double *params, int64_t t, struct ref_sample *out) {
    const enum function_id id = (enum function_id)call->call.function->id;
    const struct vector_selector *s = selector_of(call);
    struct ref_series narrow;
    if (s != NULL && (s->anchored || s->smoothed)) {
        if (id == FN_RATE || id == FN_INCREASE || id == FN_DELTA) {
            return ref_extended_rate(r, call, w, s->smoothed, out);
        }
        narrow = anchored(w);
        w = &narrow;
        if (w->count == 0) {
            return false;
        }
    }
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
        return ref_rate(r, call, w, out);
    case FN_IRATE:
    case FN_IDELTA:
        return ref_instant_rate(r, call, w, out);
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
        out->v = resets(r, w, w == &narrow);
        return true;
    case FN_SUM_OVER_TIME:
    case FN_AVG_OVER_TIME:
        return sums(r, call, w, v, histograms, out);
    default:
        inform_ignored(r, call, w, n, histograms);
        return floats_alone(r, id, ts, v, n, params, t, out);
    }
}
