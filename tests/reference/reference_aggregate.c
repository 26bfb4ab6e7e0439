/* Aggregations: groups in the order of their first members (spec sections 6 and 19). */
#include <math.h>

#include "base/number.h"
#include "base/value.h"
#include "tests/reference/reference.h"

struct ref_group {
    struct labels labels;
    struct ref_vector members;
};

static struct labels group_labels(struct ref *r, const struct aggregate *a, struct labels labels) {
    struct str *names = arena_alloc(r->arena, (a->grouping_count + 1) * sizeof(*names));
    size_t n = a->grouping_count;
    if (n > 0) {
        memcpy(names, a->grouping, n * sizeof(*names));
    }
    if (a->without) {
        names[n++] = LABEL_NAME;
    }
    size_t unique = 0;
    for (size_t i = 0; i < n; i++) { /* sorted, once each */
        size_t at = 0;
        while (at < unique && str_cmp(names[at], names[i]) < 0) {
            at++;
        }
        const struct str name = names[i];
        if (at < unique && str_eq(names[at], name)) {
            continue;
        }
        memmove(&names[at + 1], &names[at], (unique - at) * sizeof(*names));
        names[at] = name;
        unique++;
    }
    return a->without ? labels_drop(r->arena, labels, names, unique)
                      : labels_keep(r->arena, labels, names, unique);
}

static size_t float_values(struct ref *r, const struct ref_vector *members, double **out) {
    size_t n = 0;
    *out = arena_alloc(r->arena, (members->count + 1) * sizeof(**out));
    for (size_t i = 0; i < members->count; i++) {
        if (members->items[i].h == NULL) {
            (*out)[n++] = members->items[i].v;
        }
    }
    return n;
}

static double welford(const double *v, size_t n) {
    double mean = v[0];
    double m2 = isfinite(v[0]) ? 0 : (double)NAN;
    for (size_t i = 1; i < n; i++) {
        const double delta = v[i] - mean;
        mean += delta / ((double)i + 1);
        m2 += delta * (v[i] - mean);
    }
    return m2 / (double)n;
}

/* One value of a group; false: none. */
static bool reduce(struct ref *r, enum aggregate_op op, const struct ref_vector *members,
                   double param, struct ref_sample *out) {
    double *v = NULL;
    const size_t n = float_values(r, members, &v);
    const size_t histograms = members->count - n;
    if (op == AGG_COUNT || op == AGG_GROUP) {
        out->v = op == AGG_GROUP ? 1 : (double)members->count;
        return true;
    }
    if (op == AGG_SUM || op == AGG_AVG) {
        if (histograms > 0) {
            r->unsupported |= n == 0;
            return false; /* mixed: a warning */
        }
        struct ref_sum k = {v[0], 0};
        for (size_t i = 1; i < n; i++) {
            ref_sum_add(&k, v[i]);
        }
        out->v = op == AGG_SUM ? k.s + k.c : ref_mean(v, n);
        return true;
    }
    if (n == 0) {
        return false;
    }
    if (op == AGG_QUANTILE) {
        out->v = ref_quantile(r, param, v, n);
    } else if (op == AGG_STDVAR || op == AGG_STDDEV) {
        out->v = op == AGG_STDVAR ? welford(v, n) : sqrt(welford(v, n));
    } else {
        out->v = v[0];
        for (size_t i = 1; i < n; i++) {
            if (isnan(out->v) || (op == AGG_MIN ? v[i] < out->v : v[i] > out->v)) {
                out->v = v[i];
            }
        }
    }
    return true;
}

/* ---- topk: the heap of Go's library, since it decides which of equal values stay ---- */

static bool heap_less(const struct ref_sample *h, size_t a, size_t b, bool top) {
    if (isnan(h[a].v)) {
        return true;
    }
    return top ? h[a].v < h[b].v : h[a].v > h[b].v;
}

static void heap_swap(struct ref_sample *h, size_t a, size_t b) {
    const struct ref_sample s = h[a];
    h[a] = h[b];
    h[b] = s;
}

static void heap_down(struct ref_sample *h, size_t n, bool top) {
    for (size_t at = 0; 2 * at + 1 < n;) {
        size_t child = 2 * at + 1;
        if (child + 1 < n && heap_less(h, child + 1, child, top)) {
            child++;
        }
        if (!heap_less(h, child, at, top)) {
            break;
        }
        heap_swap(h, child, at);
        at = child;
    }
}

static void heap_up(struct ref_sample *h, size_t at, bool top) {
    while (at > 0 && heap_less(h, at, (at - 1) / 2, top)) {
        heap_swap(h, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

static void pick(struct ref *r, const struct ref_vector *members, double k, bool top,
                 struct ref_vector *out) {
    struct ref_vector heap = {0};
    for (size_t i = 0; i < members->count; i++) {
        const struct ref_sample *s = &members->items[i];
        if (s->h != NULL) {
            continue;
        }
        if ((double)heap.count < k) {
            ref_push(r, &heap, *s);
            heap_up(heap.items, heap.count - 1, top);
            continue;
        }
        const double worst = heap.items[0].v;
        if ((top ? worst < s->v : worst > s->v) || (isnan(worst) && !isnan(s->v))) {
            heap.items[0] = *s;
            heap_down(heap.items, heap.count, top);
        }
    }
    for (size_t i = 1; r->step_ms == 0 && i < heap.count; i++) { /* the best first */
        for (size_t at = i; at > 0 && heap_less(heap.items, at - 1, at, top); at--) {
            heap_swap(heap.items, at - 1, at);
        }
    }
    for (size_t i = 0; i < heap.count; i++) {
        ref_push(r, out, heap.items[i]);
    }
}

static void choose(struct ref *r, enum aggregate_op op, const struct ref_vector *members,
                   double param, struct ref_vector *out) {
    if (op == AGG_LIMIT_RATIO) {
        const double ratio = fmax(-1, fmin(1, param));
        for (size_t i = 0; i < members->count; i++) {
            const double at = (double)labels_hash(members->items[i].labels) / (double)UINT64_MAX;
            if (ratio != 0 && (ratio > 0 ? at < ratio : at >= 1 + ratio)) {
                ref_push(r, out, members->items[i]);
            }
        }
        return;
    }
    const double k = trunc(param);
    if (isnan(param)) {
        ref_fail(r, "Parameter value is NaN");
    } else if (!(fabs(param) < 1e6)) {
        r->unsupported = true;
    } else if (k >= 1 && op == AGG_LIMITK) {
        for (size_t i = 0; i < members->count && (double)i < k; i++) {
            ref_push(r, out, members->items[i]);
        }
    } else if (k >= 1) {
        pick(r, members, k, op == AGG_TOPK, out);
    }
}

static struct str value_text(struct ref *r, const struct ref_sample *s) {
    struct buf text;
    r->unsupported |= s->h != NULL;
    buf_init(&text, 4096);
    if (isinf(s->v) || isnan(s->v)) {
        buf_append_cstr(&text, isnan(s->v) ? "NaN" : s->v > 0 ? "+Inf" : "-Inf");
    } else {
        buf_append_number_f(&text, s->v);
    }
    const struct str out = arena_str(r->arena, buf_str(&text));
    buf_release(&text);
    return out;
}

/* The value becomes a label first, then groups are made: by that label too, or without it when it
 * is one of those left out. */
static struct ref_value count_values(struct ref *r, const struct aggregate *a, struct str name,
                                     const struct ref_vector *in) {
    struct ref_value out = {.type = VALUE_VECTOR};
    struct aggregate by = *a;
    by.grouping = arena_alloc(r->arena, (a->grouping_count + 1) * sizeof(*by.grouping));
    for (size_t i = 0; i < a->grouping_count; i++) {
        by.grouping[i] = a->grouping[i];
    }
    if (!a->without) {
        by.grouping[by.grouping_count++] = name;
    }
    for (size_t i = 0; i < in->count; i++) {
        struct labels_builder b;
        struct labels labels;
        struct err err;
        labels_builder_init(&b, r->arena);
        labels_builder_reset(&b, in->items[i].labels);
        labels_builder_set(&b, name, value_text(r, &in->items[i]));
        r->unsupported |= labels_builder_finish(&b, &labels, &err) != ERR_OK;
        labels = group_labels(r, &by, labels);
        size_t at = 0;
        while (at < out.vector.count && !labels_eq(out.vector.items[at].labels, labels)) {
            at++;
        }
        if (at == out.vector.count) {
            ref_push(r, &out.vector, (struct ref_sample){.labels = labels});
        }
        out.vector.items[at].v += 1;
    }
    return out;
}

struct ref_value ref_aggregate(struct ref *r, const struct node *n, int64_t t) {
    const struct aggregate *a = &n->aggregate;
    struct ref_value param = {0};
    struct ref_value out = {.type = VALUE_VECTOR};
    if (a->param != NULL) {
        param = ref_eval(r, a->param, t);
    }
    const struct ref_value in = ref_eval(r, a->expr, t);
    if (a->op == AGG_COUNT_VALUES) {
        return count_values(r, a, param.string, &in.vector);
    }
    struct ref_group *groups =
        arena_zalloc(r->arena, (in.vector.count + 1) * sizeof(struct ref_group));
    size_t count = 0;
    for (size_t i = 0; i < in.vector.count; i++) {
        const struct labels labels = group_labels(r, a, in.vector.items[i].labels);
        size_t g = 0;
        while (g < count && !labels_eq(groups[g].labels, labels)) {
            g++;
        }
        groups[g].labels = labels;
        count = g == count ? count + 1 : count;
        ref_push(r, &groups[g].members, in.vector.items[i]);
    }
    for (size_t g = 0; g < count; g++) {
        struct ref_sample s = {.labels = groups[g].labels};
        if (a->op == AGG_TOPK || a->op == AGG_BOTTOMK || a->op == AGG_LIMITK ||
            a->op == AGG_LIMIT_RATIO) {
            choose(r, a->op, &groups[g].members, param.scalar, &out.vector);
        } else if (reduce(r, a->op, &groups[g].members, param.scalar, &s)) {
            ref_push(r, &out.vector, s);
        }
    }
    return out;
}
