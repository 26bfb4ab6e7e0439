/* Aggregations: groups in the order of their first members (spec sections 6 and 19). */
#include <math.h>

#include "base/number.h"
#include "base/value.h"
#include "tests/reference/reference.h"

struct ref_group {
    struct labels labels;
    struct ref_vector members;
    bool drops_name; /* one of them does */
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

/* With several steps a database may give the series in an order of its own. */
static bool unordered(const struct ref *r) {
    return r->in_database && (r->step_ms != 0 || r->subqueries > 0);
}

static bool both_zeros(const double *v, size_t n) {
    bool positive = false;
    bool negative = false;
    for (size_t i = 0; i < n; i++) {
        positive |= v[i] == 0 && !signbit(v[i]);
        negative |= v[i] == 0 && signbit(v[i]);
    }
    return positive && negative;
}

/* Numbers of few bits: sums of them are not rounded. */
static bool exact_in_any_order(const double *v, size_t n) {
    bool exact = true;
    for (size_t i = 0; i < n; i++) {
        exact = exact && fabs(v[i]) < 0x1p30 && v[i] * 1024 == floor(v[i] * 1024) &&
                !(v[i] == 0 && signbit(v[i]));
    }
    return exact || n < 2;
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

static bool histogram_sum(struct ref *r, const struct aggregate *a,
                          const struct ref_vector *members, struct ref_sample *out) {
    const uint32_t pos = a->expr->pos.start;
    const bool mean = a->op == AGG_AVG;
    struct ref_added added = {0};
    struct ref_histogram *sum = ref_histogram_copy(r, members->items[0].h);
    bool running = false;
    bool reset = sum->hint == REF_RESET;
    bool not_reset = sum->hint == REF_NOT_RESET;
    for (size_t i = 1; i < members->count; i++) {
        const struct ref_histogram *h = members->items[i].h;
        const double n = (double)i + 1;
        reset |= h->hint == REF_RESET;
        not_reset |= h->hint == REF_NOT_RESET;
        r->inexact |= unordered(r);
        r->order_open |= unordered(r) && h->zero_threshold != sum->zero_threshold;
        struct ref_histogram *next =
            running ? NULL : ref_histogram_add(r, sum, h, REF_COMPENSATE, &added);
        if (!running && next != NULL && (!mean || !ref_histogram_overflows(next))) {
            sum = next;
            continue;
        }
        if (!running && next != NULL) {
            running = true;
            r->inexact = true;
            sum = ref_histogram_scale(r, sum, n - 1, true);
        }
        if (running) {
            sum = ref_histogram_scale(r, sum, (n - 1) / n, false);
            next = ref_histogram_add(r, sum, ref_histogram_scale(r, h, n, true), REF_COMPENSATE,
                                     &added);
        }
        if (next == NULL) {
            ref_warn_mixed_buckets(r, pos, members->items[i].labels);
            return false;
        }
        sum = next;
    }
    if (mean && !running) {
        sum = ref_histogram_scale(r, sum, (double)members->count, true);
    }
    sum = members->count > 1 ? ref_histogram_settle(r, sum) : sum;
    out->h = ref_histogram_compact(r, sum);
    if (added.reconciled) {
        ref_inform(r, pos, "mismatched custom buckets were reconciled during aggregation");
    }
    if (reset && not_reset) {
        ref_warn(r, pos, "conflicting counter resets during histogram aggregation");
    }
    return true;
}

static const char *name_of(enum aggregate_op op) {
    return op == AGG_MIN        ? "min"
           : op == AGG_MAX      ? "max"
           : op == AGG_STDDEV   ? "stddev"
           : op == AGG_STDVAR   ? "stdvar"
           : op == AGG_QUANTILE ? "quantile"
           : op == AGG_TOPK     ? "topk"
                                : "bottomk";
}

/* One value of a group; false: none. */
static bool reduce(struct ref *r, const struct aggregate *a, const struct ref_vector *members,
                   double param, struct ref_sample *out) {
    const enum aggregate_op op = a->op;
    double *v = NULL;
    const size_t n = float_values(r, members, &v);
    const size_t histograms = members->count - n;
    if (op == AGG_COUNT || op == AGG_GROUP) {
        out->v = op == AGG_GROUP ? 1 : (double)members->count;
        return true;
    }
    if (op == AGG_SUM || op == AGG_AVG) {
        if (histograms > 0 && n > 0) {
            r->notes_open |= histograms > 1; /* whether they are added all the same */
            ref_warn(r, a->expr->pos.start,
                     "encountered a mix of histograms and floats for aggregation");
            return false;
        }
        if (histograms > 0) {
            return histogram_sum(r, a, members, out);
        }
        r->order_open |= unordered(r) && !exact_in_any_order(v, n);
        r->inexact |= unordered(r) && !exact_in_any_order(v, n);
        struct ref_sum k = {v[0], 0};
        for (size_t i = 1; i < n; i++) {
            ref_sum_add(&k, v[i]);
        }
        out->v = op == AGG_SUM ? k.s + k.c : ref_mean(v, n);
        return true;
    }
    if (histograms > 0) {
        ref_inform(r, a->expr->pos.start, "ignored histogram in %s aggregation", name_of(op));
    }
    if (n == 0) {
        return false;
    }
    r->inexact |= r->step_ms != 0 && both_zeros(v, n); /* which it is depends on the order */
    if (op == AGG_QUANTILE) {
        out->v = ref_quantile(r, param, v, n);
    } else if (op == AGG_STDVAR || op == AGG_STDDEV) {
        for (size_t i = 0; i < n; i++) { /* whether it is a number depends on the first of them */
            r->order_open |= unordered(r) && !isfinite(v[i]);
        }
        r->order_open |= unordered(r) && n > 1;
        r->inexact |= unordered(r) && n > 1;
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
    r->order_open |= unordered(r) && (double)members->count > k; /* which of equals */
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

static void choose(struct ref *r, const struct node *n, const struct ref_vector *members,
                   double param, struct ref_vector *out) {
    const enum aggregate_op op = n->aggregate.op;
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
    if (k >= 1 && op == AGG_LIMITK) {
        struct ref_vector heap = {0}; /* the first ones, as a heap has them */
        r->order_open |= unordered(r) && (double)members->count > k;
        for (size_t i = 0; i < members->count && (double)i < k; i++) {
            ref_push(r, &heap, members->items[i]);
            heap_up(heap.items, heap.count - 1, true);
        }
        for (size_t i = 0; i < heap.count; i++) {
            ref_push(r, out, heap.items[i]);
        }
    } else if (k >= 1) {
        for (size_t i = 0; i < members->count; i++) {
            if (members->items[i].h != NULL) {
                ref_inform(r, n->pos.start, "ignored histogram in %s aggregation", name_of(op));
            }
        }
        pick(r, members, k, op == AGG_TOPK, out);
    }
}

/* What a parameter is at any of the steps. */
struct ref_extent {
    double min, max;
    bool nan;
};

static struct ref_extent param_extent(const struct ref_series *param) {
    struct ref_extent out = {INFINITY, -INFINITY, false};
    for (size_t i = 0; i < param->count; i++) {
        const double v = param->points[i].v;
        out.nan |= isnan(v);
        out.min = v < out.min ? v : out.min;
        out.max = v > out.max ? v : out.max;
    }
    return out;
}

/* False: the result is empty. */
static bool check_param(struct ref *r, const struct node *n, const struct ref_series *param) {
    const struct aggregate *a = &n->aggregate;
    const uint32_t pos = a->param->pos.start;
    const struct ref_extent e = param_extent(param);
    if (a->op == AGG_QUANTILE) {
        if (e.nan) {
            ref_warn_phi(r, pos, NAN);
        }
        if (e.max > 1) {
            ref_warn_phi(r, pos, e.max);
        }
        if (e.min < 0) {
            ref_warn_phi(r, pos, e.min);
        }
        return true;
    }
    if (a->op == AGG_LIMIT_RATIO) {
        if (e.nan) {
            ref_fail(r, "Ratio value is NaN");
        } else if (e.max > 1) {
            ref_warn(r, pos, "ratio value should be between -1 and 1, got %s, capping to 1",
                     ref_g(r, e.max));
        }
        if (!e.nan && e.min < -1) {
            ref_warn(r, pos, "ratio value should be between -1 and 1, got %s, capping to -1",
                     ref_g(r, e.min));
        }
        return !e.nan;
    }
    if (e.max < 1 && !e.nan) {
        return false;
    }
    if (e.nan) {
        ref_fail(r, "Parameter value is NaN");
    } else if (e.min <= -9223372036854775808.0) {
        ref_fail(r, "underflows int64");
    } else if (e.max >= 9223372036854774784.0) {
        ref_fail(r, "overflows int64");
    }
    return r->error == NULL;
}

static struct str value_text(struct ref *r, const struct ref_sample *s) {
    struct buf text;
    buf_init(&text, 4096);
    if (s->h != NULL) {
        ref_beyond(r, r->inexact, "last digits in labels");
        /* not a number: what Prometheus does is fail */
        ref_beyond(r, ref_is_custom(s->h) && s->h->zero.s != 0, "a zero bucket of custom bounds");
        ref_histogram_text(&text, s->h);
    } else if (r->inexact) {
        ref_beyond(r, true, "last digits in labels");
    } else if (isinf(s->v) || isnan(s->v)) {
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
        struct labels labels =
            ref_set_label(r, in->items[i].labels, name, value_text(r, &in->items[i]));
        labels = group_labels(r, &by, labels);
        size_t at = 0;
        while (at < out.vector.count && !labels_eq(out.vector.items[at].labels, labels)) {
            at++;
        }
        if (at == out.vector.count) {
            ref_push(r, &out.vector, (struct ref_sample){.labels = labels});
        }
        out.vector.items[at].drops_name |= in->items[i].drops_name;
        out.vector.items[at].v += 1;
    }
    return out;
}

struct ref_value ref_aggregate(struct ref *r, const struct node *n, int64_t t) {
    const struct aggregate *a = &n->aggregate;
    struct ref_value param = {0};
    struct ref_value out = {.type = VALUE_VECTOR};
    const struct ref_series *numbers = NULL;
    if (a->op == AGG_COUNT_VALUES) {
        param = ref_eval(r, a->param, t);
    } else if (a->param != NULL) {
        numbers = ref_keep_param(r, a->param);
    }
    const struct ref_value in = ref_eval(r, a->expr, t);
    if (ref_over(r)) {
        return out;
    }
    for (size_t i = 0; numbers != NULL && i < numbers->count; i++) {
        param.scalar = numbers->points[i].t == t ? numbers->points[i].v : param.scalar;
    }
    const bool some = numbers == NULL || check_param(r, n, numbers);
    if (!some) {
        return out;
    }
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
        groups[g].drops_name |= in.vector.items[i].drops_name;
        ref_push(r, &groups[g].members, in.vector.items[i]);
    }
    for (size_t g = 0; g < count; g++) {
        struct ref_sample s = {.labels = groups[g].labels, .drops_name = groups[g].drops_name};
        if (a->op == AGG_TOPK || a->op == AGG_BOTTOMK || a->op == AGG_LIMITK ||
            a->op == AGG_LIMIT_RATIO) {
            choose(r, n, &groups[g].members, param.scalar, &out.vector);
        } else if (reduce(r, a, &groups[g].members, param.scalar, &s)) {
            ref_push(r, &out.vector, s);
        }
    }
    return out;
}
