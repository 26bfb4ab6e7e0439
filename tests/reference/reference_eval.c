/* Selectors, subqueries, and what belongs to no other file of the reference evaluator. */
#include <math.h>

#include "base/value.h"
#include "tests/reference/reference.h"

void ref_fail(struct ref *r, const char *error) {
    if (r->error == NULL) {
        r->error = error;
    }
}

void ref_push(struct ref *r, struct ref_vector *v, struct ref_sample sample) {
    if (v->count == v->capacity) {
        struct ref_sample *grown =
            arena_alloc(r->arena, (2 * v->capacity + 8) * sizeof(struct ref_sample));
        if (v->count > 0) {
            memcpy(grown, v->items, v->count * sizeof(*grown));
        }
        v->items = grown;
        v->capacity = 2 * v->capacity + 8;
    }
    v->items[v->count++] = sample;
}

static void push_window(struct ref *r, struct ref_matrix *m, struct ref_series series) {
    if (m->count == m->capacity) {
        struct ref_series *grown =
            arena_alloc(r->arena, (2 * m->capacity + 8) * sizeof(struct ref_series));
        if (m->count > 0) {
            memcpy(grown, m->items, m->count * sizeof(*grown));
        }
        m->items = grown;
        m->capacity = 2 * m->capacity + 8;
    }
    m->items[m->count++] = series;
}

struct labels ref_drop_name(struct ref *r, struct labels labels) {
    const struct str names[] = {STR("__name__"), STR("__type__"), STR("__unit__")};
    return labels_drop(r->arena, labels, names, 3);
}

void ref_check_unique(struct ref *r, const struct ref_vector *v) {
    for (size_t i = 0; i < v->count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (labels_eq(v->items[i].labels, v->items[k].labels)) {
                ref_fail(r, "vector cannot contain metrics with the same labelset");
            }
        }
    }
}

/* ---- sums, used by several files ---- */

void ref_sum_add(struct ref_sum *k, double x) {
    const double t = k->s + x;
    if (isinf(t)) {
        k->c = 0;
    } else if (fabs(k->s) >= fabs(x)) {
        k->c += (k->s - t) + x;
    } else {
        k->c += (x - t) + k->s;
    }
    k->s = t;
}

/* Section 19: a sum, and a running mean from where that would overflow. */
double ref_mean(const double *values, size_t n) {
    struct ref_sum k = {values[0], 0};
    bool running = false;
    for (size_t i = 1; i < n; i++) {
        const double count = (double)i + 1;
        if (!running) {
            struct ref_sum next = k;
            ref_sum_add(&next, values[i]);
            if (!isinf(next.s)) {
                k = next;
                continue;
            }
            running = true;
            k.s = k.s / (count - 1);
            k.c = k.c / (count - 1);
        }
        const double q = (count - 1) / count;
        k.s = k.s * q;
        k.c = k.c * q;
        ref_sum_add(&k, values[i] / count);
    }
    return running ? k.s + k.c : k.s / (double)n + k.c / (double)n;
}

/* ---- selectors ---- */

static int64_t time_of(struct ref *r, const struct time_modifiers *m, int64_t t) {
    if (m->offset_expr != NULL) {
        r->unsupported = true;
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
    return t - m->offset_ns / 1000000;
}

static bool selected(struct ref *r, const struct vector_selector *s, struct labels labels) {
    bool yes = false;
    struct err err;
    if (s->anchored || s->smoothed ||
        matchers_match(s->matchers, s->matcher_count, labels, &yes, &err) != ERR_OK) {
        r->unsupported = true;
    }
    return yes;
}

static struct ref_value instant(struct ref *r, const struct vector_selector *s, int64_t t) {
    struct ref_value out = {.type = VALUE_VECTOR};
    const int64_t end = time_of(r, &s->time, t);
    for (size_t i = 0; i < r->series_count; i++) {
        const struct ref_series *series = &r->series[i];
        const struct ref_point *newest = NULL;
        for (size_t k = 0; k < series->count; k++) {
            const struct ref_point *p = &series->points[k];
            newest = p->t <= end && p->t > end - r->lookback_ms ? p : newest;
        }
        if (newest != NULL && (newest->h != NULL || !f64_is_stale(newest->v)) &&
            selected(r, s, series->labels)) {
            ref_push(r, &out.vector,
                     (struct ref_sample){series->labels, newest->v, newest->h, newest->t});
        }
    }
    return out;
}

static struct ref_value range(struct ref *r, const struct matrix_selector *m, int64_t t) {
    struct ref_value out = {.type = VALUE_MATRIX};
    const struct vector_selector *s = &m->selector->vector;
    const int64_t to = time_of(r, &s->time, t);
    const int64_t from = to - m->range_ns / 1000000;
    r->unsupported |= m->range_expr != NULL;
    for (size_t i = 0; i < r->series_count; i++) {
        const struct ref_series *all = &r->series[i];
        struct ref_series window = {.labels = all->labels, .from = from, .to = to};
        window.points = arena_alloc(r->arena, (all->count + 1) * sizeof(*window.points));
        for (size_t k = 0; k < all->count; k++) {
            const struct ref_point *p = &all->points[k];
            if (p->t > from && p->t <= to && (p->h != NULL || !f64_is_stale(p->v))) {
                window.points[window.count++] = *p;
            }
        }
        if (window.count > 0 && selected(r, s, all->labels)) {
            push_window(r, &out.matrix, window);
        }
    }
    return out;
}

/* ---- subqueries ---- */

static struct ref_series *window_of(struct ref *r, struct ref_matrix *m, struct labels labels,
                                    size_t points_max) {
    for (size_t i = 0; i < m->count; i++) {
        if (labels_eq(m->items[i].labels, labels)) {
            return &m->items[i];
        }
    }
    struct ref_series fresh = {.labels = labels};
    fresh.points = arena_alloc(r->arena, (points_max + 1) * sizeof(*fresh.points));
    push_window(r, m, fresh);
    return &m->items[m->count - 1];
}

static struct ref_value subquery(struct ref *r, const struct subquery *q, int64_t t) {
    struct ref_value out = {.type = VALUE_MATRIX};
    const int64_t step = q->step_ns == 0 ? r->default_step_ms : q->step_ns / 1000000;
    const int64_t to = time_of(r, &q->time, t);
    const int64_t from = to - q->range_ns / 1000000;
    if (q->range_expr != NULL || q->step_expr != NULL || step <= 0 || from < 0) {
        r->unsupported = true;
        return out;
    }
    const size_t most = (size_t)((to - from) / step) + 2;
    for (int64_t at = (from / step + 1) * step; at <= to; at += step) {
        struct ref_value v = ref_eval(r, q->expr, at);
        if (v.type == VALUE_SCALAR) {
            ref_push(r, &v.vector, (struct ref_sample){.v = v.scalar});
        }
        for (size_t i = 0; i < v.vector.count && r->error == NULL; i++) {
            const struct ref_sample *s = &v.vector.items[i];
            struct ref_series *w = window_of(r, &out.matrix, s->labels, most);
            w->from = from;
            w->to = to;
            w->points[w->count++] = (struct ref_point){at, s->v, s->h};
        }
    }
    return out;
}

/* ---- the tree ---- */

static struct ref_value negate(struct ref *r, const struct unary *u, int64_t t) {
    struct ref_value v = ref_eval(r, u->expr, t);
    v.scalar = u->negative ? -v.scalar : v.scalar;
    for (size_t i = 0; u->negative && i < v.vector.count; i++) {
        struct ref_sample *s = &v.vector.items[i];
        s->labels = ref_drop_name(r, s->labels);
        s->v = -s->v;
        s->h = s->h != NULL ? ref_histogram_scale(r, s->h, -1, false) : NULL;
    }
    if (u->negative) {
        ref_check_unique(r, &v.vector);
    }
    return v;
}

struct ref_value ref_eval(struct ref *r, const struct node *n, int64_t t) {
    switch (n->type) {
    case NODE_NUMBER:
        return (struct ref_value){.type = VALUE_SCALAR, .scalar = n->number.value};
    case NODE_STRING:
        return (struct ref_value){.type = VALUE_STRING, .string = n->string};
    case NODE_VECTOR_SELECTOR:
        return instant(r, &n->vector, t);
    case NODE_MATRIX_SELECTOR:
        return range(r, &n->matrix, t);
    case NODE_SUBQUERY:
        return subquery(r, &n->subquery, t);
    case NODE_CALL:
        return ref_call(r, n, t);
    case NODE_AGGREGATE:
        return ref_aggregate(r, n, t);
    case NODE_BINARY:
        return ref_binary(r, n, t);
    case NODE_UNARY:
        return negate(r, &n->unary, t);
    case NODE_PAREN:
        return ref_eval(r, n->paren, t);
    case NODE_DURATION:
        break;
    }
    r->unsupported = true;
    return (struct ref_value){.type = VALUE_NONE};
}
