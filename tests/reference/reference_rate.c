/* rate and its relatives: extrapolated, of the last two samples, anchored and smoothed (spec
 * sections 7, 15 and 16). */
#include <math.h>

#include "tests/reference/reference.h"

/* Start timestamps between consecutive samples. */
bool ref_start_reset(const struct ref *r, const struct ref_point *p, const struct ref_point *c) {
    if (!r->start_timestamps || c->start == 0 || c->start >= c->t || c->start < p->t) {
        return false;
    }
    if (c->start > p->t) {
        return true;
    }
    return p->start != 0 && p->start < p->t;
}

static void warn_overlaps(struct ref *r, const struct node *call, const struct ref_series *w) {
    for (size_t i = 1; r->start_timestamps && i < w->count; i++) {
        const struct ref_point *p = &w->points[i - 1];
        const struct ref_point *c = &w->points[i];
        if (c->start != 0 && c->start < p->t && c->start != p->start) {
            const struct str text = arena_printf(
                r->arena,
                "sample has start time that overlaps with previous sample timestamp for metric %s",
                ref_name(r, w->labels));
            struct ref_note *old = NULL;
            for (size_t k = 0; k < r->note_count; k++) {
                old = str_eq(r->notes[k].text, text) ? &r->notes[k] : old;
            }
            if (old == NULL) {
                ref_warn(r, ref_range_pos(call->call.args[0]), "%.*s", STR_ARG(text));
                old = &r->notes[r->note_count - 1];
            }
            old->count++;
            return;
        }
    }
}

/* ---- extrapolation ---- */

struct growth {
    const struct ref_series *w;
    bool counter;
    double first; /* of the first sample: what a counter cannot have been below when it started */
    double grown;
    bool started; /* inside of the range, at the first sample's start timestamp */
};

static bool extrapolate(const struct growth *g, double *factor) {
    const struct ref_series *w = g->w;
    const int64_t first_t = w->points[0].t;
    const int64_t last_t = w->points[w->count - 1].t;
    double to_start = (double)(first_t - w->from) / 1000;
    double to_end = (double)(w->to - last_t) / 1000;
    double sampled = (double)(last_t - first_t) / 1000;
    const double average = w->count > 1 ? sampled / ((double)w->count - 1) : 0;
    const double threshold = average * 1.1;
    if (g->started) {
        to_start = 0;
        sampled = (double)(last_t - w->points[0].start) / 1000;
    } else if (w->count == 1) {
        return false;
    } else {
        if (to_start >= threshold) {
            to_start = average / 2;
        }
        if (g->counter && g->grown > 0 && g->first >= 0) {
            const double to_zero = sampled * (g->first / g->grown);
            to_start = to_zero < to_start ? to_zero : to_start;
        }
    }
    if (to_end >= threshold) {
        to_end = average / 2;
    }
    *factor = sampled != 0 ? (sampled + to_start + to_end) / sampled : 1;
    return true;
}

static double range_seconds(const struct ref_series *w) {
    return (double)(w->to - w->from) / 1000;
}

static bool started_inside(const struct ref *r, const struct ref_series *w, bool counter) {
    const struct ref_point *p = &w->points[0];
    return r->start_timestamps && counter && p->start != 0 && w->from < p->start && p->start < p->t;
}

static void inform_reconciled(struct ref *r, uint32_t pos, const char *operation) {
    ref_inform(r, pos, "mismatched custom buckets were reconciled during %s", operation);
}

static void warn_hints(struct ref *r, uint32_t pos, const struct ref_series *w, bool counter) {
    const struct ref_histogram *first = w->points[0].h;
    const struct ref_histogram *last = w->points[w->count - 1].h;
    bool gauge = first->hint == REF_GAUGE || last->hint == REF_GAUGE;
    for (size_t i = 1; counter && i + 1 < w->count; i++) {
        gauge |= w->points[i].h->hint == REF_GAUGE;
    }
    if (counter && gauge) {
        ref_warn(r, pos, "this native histogram metric is not a counter: %s",
                 ref_name(r, w->labels));
    }
    if (!counter && (first->hint != REF_GAUGE || last->hint != REF_GAUGE)) {
        ref_warn(r, pos, "this native histogram metric is not a gauge: %s", ref_name(r, w->labels));
    }
}

/* Resets added back; before: what the first sample counts as. */
static const struct ref_histogram *add_resets(struct ref *r, uint32_t pos,
                                              const struct ref_series *w,
                                              const struct ref_histogram *before,
                                              const struct ref_histogram *grown) {
    struct ref_added added = {0};
    for (size_t i = 1; i < w->count; i++) {
        const bool reset = ref_start_reset(r, &w->points[i - 1], &w->points[i]) ||
                           ref_histogram_reset(r, w->points[i].h, before);
        if (reset) {
            grown = ref_histogram_add(r, grown, before, REF_ADD, &added);
        }
        before = w->points[i].h;
    }
    if (added.reconciled) {
        inform_reconciled(r, pos, "addition");
    }
    return grown;
}

static const struct ref_histogram *histogram_growth(struct ref *r, uint32_t pos,
                                                    const struct ref_series *w, bool counter) {
    const struct ref_histogram *first = w->points[0].h;
    const struct ref_histogram *last = w->points[w->count - 1].h;
    struct ref_added added = {0};
    if (w->count == 1) {
        struct ref_histogram *empty = arena_zalloc(r->arena, sizeof(*empty));
        *empty = *first;
        empty->count = empty->sum = empty->zero = (struct ref_sum){0};
        empty->positive.count = empty->negative.count = 0;
        return empty;
    }
    warn_hints(r, pos, w, counter);
    const struct ref_point *second = &w->points[1];
    if (counter &&
        (ref_start_reset(r, &w->points[0], second) || ref_histogram_reset(r, second->h, first))) {
        struct ref_histogram *empty = arena_zalloc(r->arena, sizeof(*empty));
        empty->schema = second->h->schema;
        empty->bounds = second->h->bounds;
        empty->bound_count = second->h->bound_count;
        first = empty;
    }
    bool mixed = ref_is_custom(first) != ref_is_custom(last);
    int schema = first->schema < last->schema ? first->schema : last->schema;
    for (size_t i = 1; counter && i + 1 < w->count; i++) {
        mixed |= ref_is_custom(w->points[i].h) != ref_is_custom(last);
        schema = w->points[i].h->schema < schema ? w->points[i].h->schema : schema;
    }
    if (mixed) {
        ref_warn_mixed_buckets(r, pos, w->labels);
        return NULL;
    }
    const struct ref_histogram *grown = ref_histogram_reduce(r, last, schema);
    grown = ref_histogram_add(r, grown, first, REF_SUBTRACT, &added);
    if (added.reconciled) {
        inform_reconciled(r, pos, "subtraction");
    }
    return counter ? add_resets(r, pos, w, first, grown) : grown;
}

static bool histogram_rate(struct ref *r, const struct node *call, const struct ref_series *w,
                           struct growth *g, struct ref_sample *out) {
    const uint32_t pos = ref_range_pos(call->call.args[0]);
    double factor = 0;
    const struct ref_histogram *first = w->points[0].h;
    if (w->count == 1 && !g->started) {
        return false;
    }
    const struct ref_histogram *grown = histogram_growth(r, pos, w, g->counter);
    if (grown == NULL) {
        return false;
    }
    if (g->started) {
        struct ref_added added = {0};
        grown = ref_histogram_add(r, grown, first, REF_ADD, &added);
    }
    g->first = first->count.s;
    g->grown = grown->count.s;
    if (!extrapolate(g, &factor)) {
        return false;
    }
    if ((enum function_id)call->call.function->id == FN_RATE) {
        factor /= range_seconds(w);
    }
    struct ref_histogram *h = ref_histogram_compact(r, grown);
    h->hint = REF_GAUGE;
    out->h = ref_histogram_scale(r, h, factor, false);
    return true;
}

bool ref_rate(struct ref *r, const struct node *call, const struct ref_series *w,
              struct ref_sample *out) {
    const enum function_id id = (enum function_id)call->call.function->id;
    const uint32_t pos = ref_range_pos(call->call.args[0]);
    size_t histograms = 0;
    for (size_t i = 0; i < w->count; i++) {
        histograms += w->points[i].h != NULL;
    }
    struct growth g = {.w = w, .counter = id != FN_DELTA};
    g.started = started_inside(r, w, g.counter);
    if (histograms > 0 && histograms < w->count) {
        ref_warn_mixed_samples(r, pos, w->labels);
        return false;
    }
    if (g.counter) {
        warn_overlaps(r, call, w);
    }
    if (histograms > 0) {
        return histogram_rate(r, call, w, &g, out);
    }
    g.first = w->points[0].v;
    g.grown = w->points[w->count - 1].v - w->points[0].v;
    for (size_t i = 1; g.counter && i < w->count; i++) {
        if (w->points[i].v < w->points[i - 1].v ||
            ref_start_reset(r, &w->points[i - 1], &w->points[i])) {
            g.grown += w->points[i - 1].v;
        }
    }
    if (w->count == 1) {
        g.grown = 0;
    }
    if (g.started) {
        g.grown += g.first;
    }
    double factor = 0;
    if (!extrapolate(&g, &factor)) {
        return false;
    }
    factor = id == FN_RATE ? factor / range_seconds(w) : factor;
    out->v = g.grown * factor;
    return true;
}

/* ---- the last two samples ---- */

static bool instant_histograms(struct ref *r, const struct node *call, const struct ref_series *w,
                               struct ref_sample *out) {
    const bool rate = (enum function_id)call->call.function->id == FN_IRATE;
    const uint32_t pos = ref_range_pos(call->call.args[0]);
    const struct ref_point *a = &w->points[w->count - 2];
    const struct ref_point *b = &w->points[w->count - 1];
    const double seconds = (double)(b->t - a->t) / 1000;
    struct ref_added added = {0};
    const bool gauge_a = a->h->hint == REF_GAUGE;
    const bool gauge_b = b->h->hint == REF_GAUGE;
    if (rate && (gauge_a || gauge_b)) {
        ref_warn(r, pos, "this native histogram metric is not a counter: %s",
                 ref_name(r, w->labels));
    }
    if (!rate && !(gauge_a && gauge_b)) {
        ref_warn(r, pos, "this native histogram metric is not a gauge: %s", ref_name(r, w->labels));
    }
    const struct ref_histogram *h = b->h;
    if (!(rate && (ref_start_reset(r, a, b) || ref_histogram_reset(r, b->h, a->h)))) {
        h = ref_histogram_add(r, b->h, a->h, REF_SUBTRACT, &added);
        if (h == NULL) {
            ref_warn_mixed_buckets(r, pos, w->labels);
            return false;
        }
        if (added.reconciled) {
            inform_reconciled(r, pos, "subtraction");
        }
    }
    struct ref_histogram *made = ref_histogram_compact(r, h);
    made->hint = REF_GAUGE;
    out->h = rate ? ref_histogram_scale(r, made, seconds, true) : made;
    return true;
}

bool ref_instant_rate(struct ref *r, const struct node *call, const struct ref_series *w,
                      struct ref_sample *out) {
    const bool rate = (enum function_id)call->call.function->id == FN_IRATE;
    if (w->count < 2) {
        return false;
    }
    const struct ref_point *a = &w->points[w->count - 2];
    const struct ref_point *b = &w->points[w->count - 1];
    const double seconds = (double)(b->t - a->t) / 1000;
    if ((a->h != NULL) != (b->h != NULL)) {
        ref_warn_mixed_samples(r, ref_range_pos(call->call.args[0]), w->labels);
        return false;
    }
    if (b->h != NULL) {
        return instant_histograms(r, call, w, out);
    }
    out->v = rate && (b->v < a->v || ref_start_reset(r, a, b)) ? b->v : b->v - a->v;
    if (rate) {
        out->v /= seconds;
    }
    return true;
}

/* ---- anchored and smoothed ---- */

struct extended {
    struct ref *r;
    uint32_t pos;
    const struct ref_series *w;
    bool smoothed, counter;
    size_t first, last;
};

static double at_edge(const struct extended *x, size_t a, int64_t t) {
    const struct ref_point *p = &x->w->points[a];
    const double from = x->counter && p[1].v < p[0].v ? 0 : p[0].v;
    return from + (p[1].v - from) * (double)(t - p[0].t) / (double)(p[1].t - p[0].t);
}

static double extended_floats(const struct extended *x) {
    const struct ref_point *p = x->w->points;
    const bool cut_left = x->smoothed && p[x->first].t < x->w->from;
    const bool cut_right = x->smoothed && x->last > 0 && p[x->last].t > x->w->to;
    const double left = cut_left ? at_edge(x, x->first, x->w->from) : p[x->first].v;
    const double right = cut_right ? at_edge(x, x->last - 1, x->w->to) : p[x->last].v;
    double result = right - left;
    double before = left;
    for (size_t i = x->first; x->counter && i <= x->last; i++) {
        if ((i == x->first && p[i].t <= x->w->from) || (i == x->last && p[i].t >= x->w->to)) {
            continue;
        }
        if (p[i].v < before) {
            result += before;
        }
        before = p[i].v;
    }
    if (x->counter && right < before) {
        result += before;
    }
    x->r->inexact |= cut_left || cut_right;
    return result;
}

static const struct ref_histogram *histogram_at_edge(const struct extended *x, size_t a,
                                                     int64_t t) {
    const struct ref_point *p = &x->w->points[a];
    struct ref *r = x->r;
    struct ref_added sub = {0};
    struct ref_added add = {0};
    if (t == p[0].t || t == p[1].t) {
        return t == p[0].t ? p[0].h : p[1].h;
    }
    const double f = (double)(t - p[0].t) / (double)(p[1].t - p[0].t);
    if (x->counter && ref_histogram_reset(r, p[1].h, p[0].h)) {
        return ref_histogram_scale(r, p[1].h, f, false);
    }
    const struct ref_histogram *h = ref_histogram_add(r, p[1].h, p[0].h, REF_SUBTRACT, &sub);
    h = ref_histogram_add(r, ref_histogram_scale(r, h, f, false), p[0].h, REF_ADD, &add);
    if (sub.reconciled) {
        inform_reconciled(r, x->pos, "subtraction");
    }
    if (add.reconciled) {
        inform_reconciled(r, x->pos, "addition");
    }
    return h;
}

static const struct ref_histogram *correction(const struct extended *x, bool cut_left,
                                              const struct ref_histogram *left,
                                              const struct ref_histogram *right,
                                              const struct ref_histogram *result) {
    const struct ref_point *p = x->w->points;
    struct ref *r = x->r;
    struct ref_added added = {0};
    const struct ref_histogram *before = left;
    const struct ref_histogram *sum = NULL;
    size_t i = x->first + 1;
    if (cut_left && ref_histogram_reset(r, p[i].h, p[x->first].h)) {
        before = p[i].h;
        i++;
    }
    if (i > x->last) {
        return result;
    }
    for (; i <= x->last; i++) {
        const struct ref_histogram *h = i < x->last ? p[i].h : right;
        if (ref_histogram_reset(r, h, before)) {
            sum = sum == NULL ? before : ref_histogram_add(r, sum, before, REF_ADD, &added);
        }
        before = h;
    }
    result = sum != NULL ? ref_histogram_add(r, result, sum, REF_ADD, &added) : result;
    if (added.reconciled) {
        inform_reconciled(r, x->pos, "addition");
    }
    return result;
}

static bool extended_histograms(const struct extended *x, struct ref_sample *out) {
    const struct ref_point *p = x->w->points;
    struct ref *r = x->r;
    struct ref_added added = {0};
    for (size_t i = x->first; i <= x->last; i++) {
        if (ref_is_custom(p[i].h) != ref_is_custom(p[x->first].h)) {
            ref_warn_mixed_buckets(r, x->pos, x->w->labels);
            return false;
        }
    }
    for (size_t i = x->first; x->counter && i <= x->last; i++) {
        if (p[i].h->hint == REF_GAUGE) {
            ref_warn(r, x->pos, "this native histogram metric is not a counter: %s",
                     ref_name(r, x->w->labels));
        }
    }
    const bool cut_left = x->smoothed && p[x->first].t < x->w->from;
    const bool cut_right = x->smoothed && x->last > 0 && p[x->last].t > x->w->to;
    const struct ref_histogram *left =
        cut_left ? histogram_at_edge(x, x->first, x->w->from) : p[x->first].h;
    const struct ref_histogram *right =
        cut_right ? histogram_at_edge(x, x->last - 1, x->w->to) : p[x->last].h;
    if (!x->counter && (left->hint != REF_GAUGE || right->hint != REF_GAUGE)) {
        ref_warn(r, x->pos, "this native histogram metric is not a gauge: %s",
                 ref_name(r, x->w->labels));
    }
    const struct ref_histogram *result = ref_histogram_add(r, right, left, REF_SUBTRACT, &added);
    if (added.reconciled) {
        inform_reconciled(r, x->pos, "subtraction");
    }
    if (x->counter) {
        result = correction(x, cut_left, left, right, result);
    }
    out->h = result;
    return true;
}

bool ref_extended_rate(struct ref *r, const struct node *call, const struct ref_series *w,
                       bool smoothed, struct ref_sample *out) {
    const enum function_id id = (enum function_id)call->call.function->id;
    struct extended x = {.r = r, .pos = ref_range_pos(call->call.args[0]), .w = w};
    const size_t n = w->count - 1;
    size_t histograms = 0;
    x.smoothed = smoothed;
    x.counter = id != FN_DELTA;
    while (x.first < n && w->points[x.first].t <= w->from) {
        x.first++;
    }
    x.first = x.first > 0 ? x.first - 1 : 0;
    while (x.last < n && !(smoothed && w->points[x.last].t >= w->to)) {
        x.last++;
    }
    for (size_t i = 0; i < w->count; i++) {
        histograms += w->points[i].h != NULL;
    }
    if (histograms > 0 && histograms < w->count) {
        ref_warn_mixed_samples(r, x.pos, w->labels);
        return false;
    }
    if (w->points[x.last].t <= w->from || (smoothed && w->points[x.first].t > w->to)) {
        return false;
    }
    if (histograms == 0) {
        out->v = extended_floats(&x);
        out->v = id == FN_RATE ? out->v / range_seconds(w) : out->v;
        return true;
    }
    if (!extended_histograms(&x, out)) {
        return false;
    }
    struct ref_histogram *h = ref_histogram_compact(
        r, id == FN_RATE ? ref_histogram_scale(r, out->h, range_seconds(w), true) : out->h);
    h->hint = REF_GAUGE;
    out->h = h;
    return true;
}
