/* Selectors, subqueries, their times, and what is evaluated once (spec sections 2, 3, 15 and 22). */
#include <math.h>

#include "base/value.h"
#include "tests/reference/reference.h"

struct ref_kept {
    const struct node *node;
    struct ref_value value;  /* of an invariant part */
    struct ref_matrix whole; /* of a subquery: all its steps */
    const struct ref_series **selected;
    size_t selected_count;
    const struct ref_value *steps; /* of info's series */
    struct ref_kept *next;
};

static struct ref_kept *kept_of(struct ref *r, const struct node *n, bool *fresh) {
    for (struct ref_kept *k = r->kept; k != NULL; k = k->next) {
        if (k->node == n) {
            *fresh = false;
            return k;
        }
    }
    struct ref_kept *k = arena_zalloc(r->arena, sizeof(*k));
    k->node = n;
    k->next = r->kept;
    r->kept = k;
    *fresh = true;
    return k;
}

/* ---- invariant parts ---- */

static bool tells_time(enum function_id id) {
    switch ((int)id) {
    case FN_DAYS_IN_MONTH:
    case FN_DAY_OF_MONTH:
    case FN_DAY_OF_WEEK:
    case FN_DAY_OF_YEAR:
    case FN_HOUR:
    case FN_MINUTE:
    case FN_MONTH:
    case FN_YEAR:
    case FN_PREDICT_LINEAR:
    case FN_TIME:
    case FN_TIMESTAMP:
        return true;
    default:
        return false;
    }
}

bool ref_invariant(const struct node *n) {
    switch (n->type) {
    case NODE_NUMBER:
    case NODE_STRING:
        return true;
    case NODE_VECTOR_SELECTOR:
        return n->vector.time.at != AT_NONE;
    case NODE_MATRIX_SELECTOR:
        return n->matrix.selector->vector.time.at != AT_NONE;
    case NODE_SUBQUERY:
        return n->subquery.time.at != AT_NONE;
    case NODE_AGGREGATE:
        return ref_invariant(n->aggregate.expr);
    case NODE_BINARY:
        return ref_invariant(n->binary.lhs) && ref_invariant(n->binary.rhs);
    case NODE_UNARY:
        return ref_invariant(n->unary.expr);
    case NODE_PAREN:
        return ref_invariant(n->paren);
    case NODE_CALL: {
        const enum function_id id = (enum function_id)n->call.function->id;
        bool all = true;
        for (size_t i = 0; i < n->call.arg_count; i++) {
            all = all && ref_invariant(n->call.args[i]);
        }
        if (all && id == FN_TIMESTAMP) {
            return ref_bare(n->call.args[0])->type == NODE_VECTOR_SELECTOR;
        }
        return all && !tells_time(id);
    }
    case NODE_DURATION:
        break;
    }
    return false;
}

struct ref_value ref_keep_invariant(struct ref *r, const struct node *n) {
    bool fresh = false;
    struct ref_kept *k = kept_of(r, n, &fresh);
    if (fresh) {
        const struct ref_grid grid = r->grid;
        r->grid.end_ms = r->grid.start_ms;
        k->value = ref_eval(r, n, r->grid.start_ms);
        r->grid = grid;
    }
    return k->value;
}

const struct ref_value *ref_keep_steps(struct ref *r, const struct node *call, size_t *out_count) {
    bool fresh = false;
    struct ref_kept *k = kept_of(r, call, &fresh);
    const int64_t step = r->grid.step_ms > 0 ? r->grid.step_ms : 1;
    *out_count = (size_t)((r->grid.end_ms - r->grid.start_ms) / step) + 1;
    if (k->steps == NULL) {
        struct ref_value *values = arena_zalloc(r->arena, *out_count * sizeof(*values));
        for (size_t i = 0; i < *out_count; i++) {
            values[i] = ref_eval(r, call->call.args[0], r->grid.start_ms + (int64_t)i * step);
        }
        k->steps = values;
    }
    return k->steps;
}

const struct ref_series *ref_keep_param(struct ref *r, const struct node *param) {
    bool fresh = false;
    struct ref_kept *k = kept_of(r, param, &fresh);
    if (fresh) {
        const int64_t step = r->grid.step_ms > 0 ? r->grid.step_ms : 1;
        const size_t most = (size_t)((r->grid.end_ms - r->grid.start_ms) / step) + 1;
        struct ref_series all = {.points = arena_zalloc(r->arena, most * sizeof(*all.points))};
        const bool outer = r->in_param;
        r->in_param = true;
        for (int64_t t = r->grid.start_ms; t <= r->grid.end_ms; t += step) {
            const double v = ref_eval(r, param, t).scalar;
            all.points[all.count++] = (struct ref_point){.t = t, .v = v};
        }
        r->in_param = outer;
        ref_push_window(r, &k->whole, all);
    }
    return &k->whole.items[0];
}

/* ---- durations and times ---- */

static double larger(double a, double b) {
    return isnan(a) || isnan(b) ? (double)NAN : a > b ? a : b;
}

static double seconds_of(struct ref *r, const struct duration_expr *d) {
    const double a = d->lhs != NULL ? seconds_of(r, &d->lhs->duration) : 0;
    const double b = d->rhs != NULL ? seconds_of(r, &d->rhs->duration) : 0;
    switch (d->op) {
    case DUR_LITERAL:
        return d->seconds;
    case DUR_ADD:
        return a + b;
    case DUR_SUB:
        return a - b;
    case DUR_MUL:
        return a * b;
    case DUR_DIV:
        if (b == 0) {
            ref_fail(r, "division by zero");
        }
        return a / b;
    case DUR_MOD:
        if (b == 0) {
            ref_fail(r, "modulo by zero");
        }
        return fmod(a, b);
    case DUR_POW:
        return pow(a, b);
    case DUR_STEP:
        return (double)r->step_ms / 1000;
    case DUR_RANGE:
        return (double)(r->end_ms - r->start_ms) / 1000;
    case DUR_MIN_OF:
        return -larger(-a, -b);
    case DUR_MAX_OF:
        return larger(a, b);
    case DUR_NEGATE:
        return -a;
    }
    return 0;
}

int64_t ref_duration_ms(struct ref *r, int64_t ns, const struct node *expr, bool positive) {
    if (expr == NULL) {
        return ns / 1000000;
    }
    const double s = seconds_of(r, &expr->duration);
    if (isnan(s) || isinf(s)) {
        ref_fail(r, "duration is NaN or infinite");
    } else if (fabs(s) > 9223372036.0) {
        ref_fail(r, "duration is out of range");
    } else if (positive && s <= 0) {
        ref_fail(r, "duration must be greater than 0");
    } else {
        return (int64_t)(s * 1000);
    }
    return 0;
}

int64_t ref_time_of(struct ref *r, const struct time_modifiers *m, int64_t t) {
    if (r->in_param) { /* a quirk of its own: T is that of the first step, the others follow */
        t = m->at == AT_TIME ? m->at_ms + (t - r->grid.start_ms) : t;
        return t - ref_duration_ms(r, m->offset_ns, m->offset_expr, false);
    }
    switch (m->at) {
    case AT_NONE:
        break;
    case AT_TIME:
        t = m->at_ms;
        break;
    case AT_START:
        t = r->start_ms;
        break;
    case AT_END:
        t = r->end_ms;
        break;
    }
    return t - ref_duration_ms(r, m->offset_ns, m->offset_expr, false);
}

/* ---- samples ---- */

bool ref_selected(struct ref *r, const struct vector_selector *s, struct labels labels) {
    bool yes = false;
    struct err err;
    if (matchers_match(s->matchers, s->matcher_count, labels, &yes, &err) != ERR_OK) {
        ref_beyond(r, true, "a pattern");
    }
    return yes;
}

static const struct ref_kept *select_series(struct ref *r, const struct node *n) {
    bool fresh = false;
    struct ref_kept *k = kept_of(r, n, &fresh);
    if (fresh) {
        k->selected = arena_alloc(r->arena, (r->series_count + 1) * sizeof(void *));
        for (size_t i = 0; i < r->series_count; i++) {
            if (ref_selected(r, &n->vector, r->series[i].labels)) {
                k->selected[k->selected_count++] = &r->series[i];
            }
        }
    }
    return k;
}

static bool is_stale(const struct ref_point *p) {
    return p->h == NULL && f64_is_stale(p->v);
}

/* From where on the series is read in one pass that reaches the step t: each step reads from its
 * window's start to the first sample at or behind its end, and goes on from what was read before
 * unless its window starts behind all of that. */
static int64_t pass_start(struct ref *r, const struct ref_series *s, const struct time_modifiers *m,
                          int64_t range_ms, int64_t t) {
    int64_t from = INT64_MIN;
    int64_t read = INT64_MIN;
    const int64_t step = r->grid.step_ms > 0 ? r->grid.step_ms : 1;
    for (int64_t at = r->grid.start_ms; at <= t; at += step) {
        const int64_t end = ref_time_of(r, m, at);
        size_t next = 0;
        if (end - range_ms > read) {
            from = end - range_ms;
        }
        while (next < s->count && s->points[next].t < (end > from ? end : from)) {
            next++;
        }
        read = next == s->count ? INT64_MAX : read > s->points[next].t ? read : s->points[next].t;
    }
    return from;
}

/* Count and sum alone, with a hint that is known when an earlier sample was read (section 22). */
static const struct ref_histogram *statistics_of(struct ref *r, const struct ref_series *s,
                                                 size_t at, int64_t pass_ms) {
    const struct ref_histogram *h = s->points[at].h;
    struct ref_histogram *out = arena_zalloc(r->arena, sizeof(*out));
    out->schema = h->schema;
    out->hint = h->hint;
    out->count = h->count;
    out->sum = h->sum;
    for (size_t i = at; h->hint == REF_UNKNOWN && i > 0 && s->points[i - 1].t >= pass_ms; i--) {
        const struct ref_histogram *before = s->points[i - 1].h;
        if (before != NULL) {
            out->hint = ref_histogram_shrank(r, h, before) ? REF_RESET : REF_NOT_RESET;
            break;
        }
    }
    return out;
}

static struct ref_point point_at(struct ref *r, const struct ref_series *s, size_t at,
                                 int64_t pass_ms) {
    struct ref_point p = s->points[at];
    if (p.h != NULL && r->statistics > 0 && r->buckets == 0) {
        p.h = statistics_of(r, s, at, pass_ms);
    }
    return p;
}

/* ---- instant selectors ---- */

static const struct ref_histogram *with_hint(struct ref *r, const struct ref_histogram *h,
                                             enum ref_hint hint) {
    struct ref_histogram *out = ref_histogram_copy(r, h);
    out->hint = hint;
    return out;
}

static const struct ref_histogram *between(struct ref *r, uint32_t pos, const struct ref_point *a,
                                           const struct ref_point *b, int64_t t) {
    const bool counter = a->h->hint != REF_GAUGE || b->h->hint != REF_GAUGE;
    const double f = (double)(t - a->t) / (double)(b->t - a->t);
    struct ref_added sub = {0};
    struct ref_added add = {0};
    if (counter && ref_histogram_reset(r, b->h, a->h)) {
        return ref_histogram_scale(r, b->h, f, false);
    }
    const struct ref_histogram *h = ref_histogram_add(r, b->h, a->h, REF_SUBTRACT, &sub);
    h = ref_histogram_scale(r, h, f, false);
    h = ref_histogram_add(r, h, a->h, REF_ADD, &add);
    if (sub.reconciled) {
        ref_inform(r, pos, "mismatched custom buckets were reconciled during subtraction");
    }
    if (add.reconciled) {
        ref_inform(r, pos, "mismatched custom buckets were reconciled during addition");
    }
    return h;
}

/* x smoothed: samples on both sides of t. */
static bool smoothed_at(struct ref *r, const struct node *n, const struct ref_series *s, int64_t t,
                        struct ref_sample *out) {
    const struct ref_point *before = NULL;
    const struct ref_point *after = NULL;
    bool floats = false;
    bool histograms = false;
    for (size_t i = 0; i < s->count; i++) {
        const struct ref_point *p = &s->points[i];
        if (is_stale(p) || p->t <= t - r->lookback_ms || p->t > t + r->lookback_ms) {
            continue;
        }
        floats |= p->h == NULL;
        histograms |= p->h != NULL;
        if (p->t <= t) {
            before = p;
        } else if (after == NULL) {
            after = p;
        }
    }
    ref_beyond(r, histograms && r->statistics > 0 && r->buckets == 0,
               "statistics of smoothed histograms");
    if (floats && histograms) {
        ref_warn_mixed_samples(r, n->pos.start, s->labels);
        return false;
    }
    if (before == NULL) {
        return false;
    }
    out->v = before->v;
    out->h = before->h;
    if (before->t == t) {
        return true;
    }
    if (after == NULL) {
        out->h = before->h != NULL ? with_hint(r, before->h, REF_UNKNOWN) : NULL;
        return true;
    }
    if (before->h != NULL) {
        if (ref_is_custom(before->h) != ref_is_custom(after->h)) {
            ref_warn_mixed_buckets(r, n->pos.start, s->labels);
            return false;
        }
        out->h = between(r, n->pos.start, before, after, t);
        return true;
    }
    out->v = before->v +
             (after->v - before->v) * (double)(t - before->t) / (double)(after->t - before->t);
    r->inexact = true;
    return true;
}

struct ref_value ref_vector_selector(struct ref *r, const struct node *n, int64_t t) {
    struct ref_value out = {.type = VALUE_VECTOR};
    const int64_t end = ref_time_of(r, &n->vector.time, t);
    const struct ref_kept *k = select_series(r, n);
    for (size_t i = 0; i < k->selected_count; i++) {
        const struct ref_series *s = k->selected[i];
        struct ref_sample sample = {.labels = s->labels};
        if (n->vector.smoothed) {
            if (smoothed_at(r, n, s, end, &sample)) {
                sample.own_t = t;
                ref_push(r, &out.vector, sample);
            }
            continue;
        }
        size_t at = s->count;
        while (at > 0 && s->points[at - 1].t > end) {
            at--;
        }
        if (at == 0 || s->points[at - 1].t <= end - r->lookback_ms ||
            is_stale(&s->points[at - 1])) {
            continue;
        }
        const bool counts = s->points[at - 1].h != NULL && r->statistics > 0 && r->buckets == 0;
        const int64_t pass_ms = counts ? pass_start(r, s, &n->vector.time, r->lookback_ms, t) : 0;
        const struct ref_point p = point_at(r, s, at - 1, pass_ms);
        ref_push(r, &out.vector,
                 (struct ref_sample){
                     .labels = s->labels, .v = p.v, .h = p.h, .own_t = p.t, .own_start = p.start});
    }
    return out;
}

/* ---- range selectors ---- */

struct ref_value ref_matrix_selector(struct ref *r, const struct node *n, int64_t t) {
    struct ref_value out = {.type = VALUE_MATRIX};
    const struct vector_selector *s = &n->matrix.selector->vector;
    const int64_t range = ref_duration_ms(r, n->matrix.range_ns, n->matrix.range_expr, true);
    const int64_t to = ref_time_of(r, &s->time, t);
    const int64_t before = s->anchored || s->smoothed ? r->lookback_ms : 0;
    const int64_t behind = s->smoothed ? r->lookback_ms : 0;
    const struct ref_kept *k = select_series(r, n->matrix.selector);
    for (size_t i = 0; i < k->selected_count; i++) {
        const struct ref_series *all = k->selected[i];
        struct ref_series window = {.labels = all->labels, .from = to - range, .to = to};
        const int64_t pass_ms = r->statistics > 0 && r->buckets == 0
                                    ? pass_start(r, all, &s->time, range + before, t)
                                    : 0;
        window.points = arena_alloc(r->arena, (all->count + 1) * sizeof(*window.points));
        for (size_t at = 0; at < all->count; at++) {
            const struct ref_point *p = &all->points[at];
            if (p->t > window.from - before && p->t <= to + behind && !is_stale(p)) {
                window.points[window.count++] = point_at(r, all, at, pass_ms);
            }
        }
        if (window.count > 0) {
            ref_push_window(r, &out.matrix, window);
        }
    }
    return out;
}

/* x[r] anchored, of an instant query: the edges of the range have values of their own. */
struct ref_value ref_extended_points(struct ref *r, const struct node *n, int64_t t) {
    struct ref_value in = ref_matrix_selector(r, n, t);
    struct ref_value out = {.type = VALUE_MATRIX};
    const bool smoothed = n->matrix.selector->vector.smoothed;
    for (size_t i = 0; i < in.matrix.count; i++) {
        const struct ref_series *w = &in.matrix.items[i];
        const size_t n_last = w->count - 1;
        size_t first = 0;
        size_t last = 0;
        while (first < n_last && w->points[first].t <= w->from) {
            first++;
        }
        first = first > 0 ? first - 1 : 0;
        while (last < n_last && !(smoothed && w->points[last].t >= w->to)) {
            last++;
        }
        struct ref_point left = w->points[first];
        struct ref_point right = w->points[last];
        for (size_t k = 0; k < w->count; k++) {
            if (w->points[k].h != NULL) {
                ref_fail(r, smoothed ? "smoothed modifier is not supported with histograms"
                                     : "anchored modifier is not supported with histograms");
            }
        }
        if (right.t <= w->from) {
            continue;
        }
        if (smoothed && left.t < w->from) {
            const struct ref_point *b = &w->points[first + 1];
            left.v += (b->v - left.v) * (double)(w->from - left.t) / (double)(b->t - left.t);
        }
        if (smoothed && last > 0 && right.t > w->to) {
            const struct ref_point *a = &w->points[last - 1];
            right.v = a->v + (right.v - a->v) * (double)(w->to - a->t) / (double)(right.t - a->t);
        }
        struct ref_series made = {.labels = w->labels};
        made.points = arena_alloc(r->arena, (w->count + 2) * sizeof(*made.points));
        made.points[made.count++] = (struct ref_point){.t = w->from, .v = left.v};
        for (size_t k = first; k <= last; k++) {
            if (w->points[k].t > w->from && w->points[k].t < w->to) {
                made.points[made.count++] = w->points[k];
            }
        }
        made.points[made.count++] = (struct ref_point){.t = w->to, .v = right.v};
        ref_push_window(r, &out.matrix, made);
    }
    r->inexact |= smoothed;
    return out;
}

/* ---- subqueries ---- */

static struct ref_series *series_of(struct ref *r, struct ref_matrix *m, const struct ref_sample *s,
                                    size_t points_max) {
    for (size_t i = 0; i < m->count; i++) {
        if (labels_eq(m->items[i].labels, s->labels)) {
            ref_beyond(r, m->items[i].drops_name != s->drops_name,
                       "a name to be removed at some steps");
            return &m->items[i];
        }
    }
    struct ref_series fresh = {.labels = s->labels, .drops_name = s->drops_name};
    fresh.points = arena_alloc(r->arena, (points_max + 1) * sizeof(*fresh.points));
    ref_push_window(r, m, fresh);
    return &m->items[m->count - 1];
}

static void evaluate_all(struct ref *r, const struct subquery *q, int64_t range, int64_t step,
                         struct ref_matrix *out) {
    const struct ref_grid outer = r->grid;
    const int64_t from = ref_time_of(r, &q->time, outer.start_ms) - range;
    const int64_t to = ref_time_of(r, &q->time, outer.end_ms);
    int64_t start = step * (from / step);
    start += start <= from ? step : 0;
    const size_t most = to >= start ? (size_t)((to - start) / step) + 1 : 0;
    if (most > 2000) {
        ref_beyond(r, true, "a long subquery");
        return;
    }
    r->grid = (struct ref_grid){start, start + (int64_t)(most > 0 ? most - 1 : 0) * step, step};
    r->buckets++;
    r->subqueries++;
    for (int64_t at = start; at <= to && !ref_over(r); at += step) {
        struct ref_value v = ref_eval(r, q->expr, at);
        for (size_t i = 0; i < v.vector.count && r->error == NULL; i++) {
            const struct ref_sample *s = &v.vector.items[i];
            struct ref_series *all = series_of(r, out, s, most);
            const struct ref_histogram *h = s->h;
            if (h != NULL && (h->hint == REF_RESET || h->hint == REF_NOT_RESET)) {
                h = with_hint(r, h, REF_UNKNOWN);
            }
            all->points[all->count++] = (struct ref_point){.t = at, .v = s->v, .h = h};
        }
    }
    r->subqueries--;
    r->buckets--;
    r->grid = outer;
}

struct ref_value ref_subquery(struct ref *r, const struct node *n, int64_t t) {
    const struct subquery *q = &n->subquery;
    struct ref_value out = {.type = VALUE_MATRIX};
    const int64_t range = ref_duration_ms(r, q->range_ns, q->range_expr, true);
    const bool has_step = q->step_ns != 0 || q->step_expr != NULL;
    const int64_t step =
        has_step ? ref_duration_ms(r, q->step_ns, q->step_expr, true) : r->default_step_ms;
    bool fresh = false;
    if (r->error != NULL || step <= 0) {
        ref_beyond(r, step <= 0, "a subquery without steps");
        return out;
    }
    struct ref_kept *k = kept_of(r, n, &fresh);
    if (fresh) {
        evaluate_all(r, q, range, step, &k->whole);
    }
    const int64_t to = ref_time_of(r, &q->time, t);
    for (size_t i = 0; i < k->whole.count; i++) {
        const struct ref_series *all = &k->whole.items[i];
        struct ref_series window = {
            .labels = all->labels, .drops_name = all->drops_name, .from = to - range, .to = to};
        size_t at = 0;
        while (at < all->count && all->points[at].t <= window.from) {
            at++;
        }
        window.points = all->points + at;
        while (at + window.count < all->count && window.points[window.count].t <= to) {
            window.count++;
        }
        if (window.count > 0) {
            ref_push_window(r, &out.matrix, window);
        }
    }
    return out;
}
