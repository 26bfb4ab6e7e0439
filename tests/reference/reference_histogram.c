/* Arithmetic of native histograms (spec section 18). */
#include "tests/reference/reference_histogram.h"

#include <float.h>
#include <math.h>

#include "base/number.h"
#include "base/value.h"
#include "tests/reference/reference.h"

bool ref_is_custom(const struct ref_histogram *h) {
    return h->schema == REF_CUSTOM;
}

/* ---- bounds ---- */

/* The specification's table, by its recursion. */
static double table(int schema, int j) {
    if (j == 0 || schema == 0) {
        return 0.5;
    }
    if (j % 2 == 0) {
        return table(schema - 1, j / 2);
    }
    const double q = schema == 1 ? 1.414213562373095 : exp2(exp2(-schema));
    return table(schema, j - 1) * q;
}

double ref_bound(const struct ref_histogram *h, int index) {
    if (ref_is_custom(h)) {
        return index < 0 ? -INFINITY : (size_t)index < h->bound_count ? h->bounds[index] : INFINITY;
    }
    if (h->schema <= 0) {
        const double exponent = (double)index * exp2(-h->schema);
        return exponent == 1024 ? DBL_MAX : exp2(exponent);
    }
    const int n = 1 << h->schema;
    const int m = ((index % n) + n) % n;
    const int e = (index - m) / n + 1;
    const double v = ldexp(table(h->schema, m), e);
    return isinf(v) && e == 1025 && m == 0 ? DBL_MAX : v;
}

static int coarser(int index, int shift) {
    return (int)ceil((double)index / exp2(shift));
}

/* ---- cells ---- */

static void cells_room(struct ref *r, struct ref_cells *cells, size_t more) {
    struct ref_cell *items = arena_zalloc(r->arena, (cells->count + more + 1) * sizeof(*items));
    if (cells->count > 0) {
        memcpy(items, cells->items, cells->count * sizeof(*items));
    }
    cells->items = items;
}

static void number_add(struct ref_sum *to, double x, enum ref_adding how) {
    switch (how) {
    case REF_ADD:
        to->s += x;
        break;
    case REF_SUBTRACT:
        to->s -= x;
        break;
    case REF_COMPENSATE:
        ref_sum_add(to, x);
        break;
    }
}

/* There is room. */
static void cells_add(struct ref_cells *cells, int index, struct ref_sum n, enum ref_adding how) {
    size_t at = 0;
    while (at < cells->count && cells->items[at].index < index) {
        at++;
    }
    if (at < cells->count && cells->items[at].index == index) {
        number_add(&cells->items[at].n, n.s, how);
        cells->items[at].n.c += n.c;
        return;
    }
    for (size_t i = cells->count; i > at; i--) {
        cells->items[i] = cells->items[i - 1];
    }
    const struct ref_sum fresh = {how == REF_SUBTRACT ? -n.s : n.s, n.c};
    cells->items[at] = (struct ref_cell){index, fresh};
    cells->count++;
}

static struct ref_cells cells_reduce(struct ref *r, const struct ref_cells *cells, int shift) {
    struct ref_cells out = {0};
    cells_room(r, &out, cells->count);
    for (size_t i = 0; i < cells->count; i++) {
        const size_t before = out.count;
        cells_add(&out, coarser(cells->items[i].index, shift), cells->items[i].n, REF_ADD);
        r->inexact |= out.count == before && cells->items[i].n.c != 0;
    }
    return out;
}

static struct ref_cells cells_compact(struct ref *r, const struct ref_cells *cells) {
    struct ref_cells out = {0};
    cells_room(r, &out, cells->count);
    for (size_t i = 0; i < cells->count; i++) {
        if (cells->items[i].n.s != 0) {
            out.items[out.count++] = cells->items[i];
        }
    }
    return out;
}

struct ref_histogram *ref_histogram_copy(struct ref *r, const struct ref_histogram *h) {
    struct ref_histogram *out = arena_zalloc(r->arena, sizeof(*out));
    *out = *h;
    cells_room(r, &out->positive, 0);
    cells_room(r, &out->negative, 0);
    return out;
}

struct ref_histogram *ref_histogram_compact(struct ref *r, const struct ref_histogram *h) {
    struct ref_histogram *out = ref_histogram_copy(r, h);
    out->positive = cells_compact(r, &h->positive);
    out->negative = cells_compact(r, &h->negative);
    return out;
}

struct ref_histogram *ref_histogram_reduce(struct ref *r, const struct ref_histogram *h,
                                           int schema) {
    struct ref_histogram *out = ref_histogram_copy(r, h);
    if (!ref_is_custom(h) && schema < h->schema) {
        out->positive = cells_reduce(r, &h->positive, h->schema - schema);
        out->negative = cells_reduce(r, &h->negative, h->schema - schema);
        out->schema = schema;
    }
    return out;
}

/* ---- the zero bucket ---- */

/* Of h with a larger threshold, which grows when it would cut a populated bucket. */
static struct ref_sum zero_at(const struct ref_histogram *h, double *threshold) {
    struct ref_sum zero = h->zero;
    bool again = *threshold != h->zero_threshold;
    while (again) {
        again = false;
        zero = h->zero;
        for (int side = 0; side < 2 && !again; side++) {
            const struct ref_cells *cells = side == 0 ? &h->positive : &h->negative;
            for (size_t i = 0; i < cells->count; i++) {
                const struct ref_cell *cell = &cells->items[i];
                if (ref_bound(h, cell->index - 1) >= *threshold) {
                    break;
                }
                if (cell->n.c != 0 || zero.c != 0) {
                    ref_sum_add(&zero, cell->n.s);
                    zero.c += cell->n.c;
                } else {
                    zero.s += cell->n.s;
                }
                if (ref_bound(h, cell->index) > *threshold) {
                    if (cell->n.s != 0) {
                        *threshold = ref_bound(h, cell->index);
                        again = side == 1;
                    }
                    break;
                }
            }
        }
    }
    return zero;
}

static void grow_zero(struct ref *r, struct ref_histogram *h, double threshold) {
    h->zero = zero_at(h, &threshold);
    h->zero_threshold = threshold;
    for (int side = 0; side < 2; side++) {
        struct ref_cells *cells = side == 0 ? &h->positive : &h->negative;
        for (size_t i = 0; i < cells->count; i++) {
            if (ref_bound(h, cells->items[i].index - 1) < threshold) {
                cells->items[i].n = (struct ref_sum){0};
            }
        }
        *cells = cells_compact(r, cells);
    }
}

/* ---- custom bounds ---- */

static bool same_bounds(const struct ref_histogram *a, const struct ref_histogram *b) {
    bool same = a->bound_count == b->bound_count;
    for (size_t i = 0; same && i < a->bound_count; i++) {
        same = a->bounds[i] == b->bounds[i];
    }
    return same;
}

static size_t common_bounds(struct ref *r, const struct ref_histogram *a,
                            const struct ref_histogram *b, const double **out) {
    double *bounds = arena_alloc(r->arena, (a->bound_count + 1) * sizeof(*bounds));
    size_t n = 0;
    for (size_t i = 0; i < a->bound_count; i++) {
        for (size_t k = 0; k < b->bound_count; k++) {
            if (a->bounds[i] == b->bounds[k]) {
                bounds[n++] = a->bounds[i];
            }
        }
    }
    *out = bounds;
    return n;
}

/* Compensated per target, whatever the operation; empty targets are left out. */
static struct ref_cells map_cells(struct ref *r, const struct ref_histogram *h,
                                  const double *bounds, size_t n) {
    struct ref_cells out = {0};
    cells_room(r, &out, h->positive.count);
    for (size_t i = 0; i < h->positive.count; i++) {
        const double own = ref_bound(h, h->positive.items[i].index);
        int to = 0;
        while ((size_t)to < n && bounds[to] < own) {
            to++;
        }
        cells_add(&out, to, h->positive.items[i].n, REF_COMPENSATE);
    }
    return out;
}

static void reconcile(struct ref *r, struct ref_histogram *a, struct ref_histogram *b,
                      enum ref_adding how) {
    const double *bounds = NULL;
    const size_t n = common_bounds(r, a, b, &bounds);
    a->positive = map_cells(r, a, bounds, n);
    b->positive = map_cells(r, b, bounds, n);
    a->bounds = b->bounds = bounds;
    a->bound_count = b->bound_count = n;
    for (size_t i = 0; how != REF_COMPENSATE && i < a->positive.count; i++) {
        a->positive.items[i].n.s += a->positive.items[i].n.c;
        a->positive.items[i].n.c = 0;
    }
    for (size_t i = 0; i < b->positive.count; i++) {
        b->positive.items[i].n.s += b->positive.items[i].n.c;
        b->positive.items[i].n.c = 0;
    }
}

/* ---- sums ---- */

static enum ref_hint hint_of_sum(enum ref_hint a, enum ref_hint b, bool *conflict) {
    if (a == b) {
        return a;
    }
    if (a == REF_GAUGE || b == REF_GAUGE) {
        return REF_GAUGE;
    }
    *conflict = a != REF_UNKNOWN && b != REF_UNKNOWN;
    return REF_UNKNOWN;
}

static void add_cells(struct ref *r, const struct ref_histogram *h, struct ref_cells *to,
                      const struct ref_cells *from, enum ref_adding how) {
    cells_room(r, to, from->count);
    for (size_t i = 0; i < from->count; i++) {
        const struct ref_cell *cell = &from->items[i];
        if (ref_is_custom(h) || h->zero_threshold == 0 ||
            ref_bound(h, cell->index) > h->zero_threshold) {
            cells_add(to, cell->index, cell->n, how);
        }
    }
}

struct ref_histogram *ref_histogram_add(struct ref *r, const struct ref_histogram *a,
                                        const struct ref_histogram *b, enum ref_adding how,
                                        struct ref_added *out) {
    if (ref_is_custom(a) != ref_is_custom(b)) {
        out->incompatible = true;
        return NULL;
    }
    struct ref_histogram *h = ref_histogram_copy(r, a);
    struct ref_histogram *o = ref_histogram_copy(r, b);
    bool conflict = false;
    h->hint = hint_of_sum(a->hint, b->hint, &conflict);
    out->conflict |= conflict;
    if (ref_is_custom(h) && !same_bounds(a, b)) {
        out->reconciled = true;
        reconcile(r, h, o, how);
    }
    double other_threshold = o->zero_threshold;
    r->inexact |=
        how == REF_COMPENSATE && (h->zero_threshold != o->zero_threshold || h->schema != o->schema);
    while (!ref_is_custom(h) && h->zero_threshold != other_threshold) {
        if (h->zero_threshold > other_threshold) {
            other_threshold = h->zero_threshold;
            o->zero = zero_at(b, &other_threshold);
        }
        if (other_threshold > h->zero_threshold) {
            grow_zero(r, h, other_threshold);
        }
    }
    number_add(&h->zero, o->zero.s, how);
    number_add(&h->count, o->count.s, how);
    number_add(&h->sum, o->sum.s, how);
    const int schema = h->schema < o->schema ? h->schema : o->schema;
    h = ref_histogram_reduce(r, h, schema);
    o = ref_histogram_reduce(r, o, schema);
    add_cells(r, h, &h->positive, &o->positive, how);
    add_cells(r, h, &h->negative, &o->negative, how);
    return h;
}

static void each_number(struct ref_histogram *h, void (*fn)(struct ref_sum *n, double x, bool flag),
                        double x, bool flag) {
    fn(&h->count, x, flag);
    fn(&h->sum, x, flag);
    fn(&h->zero, x, flag);
    for (size_t i = 0; i < h->positive.count; i++) {
        fn(&h->positive.items[i].n, x, flag);
    }
    for (size_t i = 0; i < h->negative.count; i++) {
        fn(&h->negative.items[i].n, x, flag);
    }
}

static void settle(struct ref_sum *n, double x, bool flag) {
    (void)x;
    (void)flag;
    n->s += n->c;
    n->c = 0;
}

static void scale(struct ref_sum *n, double factor, bool divide) {
    n->s = divide ? n->s / factor : n->s * factor;
    if (n->c != 0) { /* outside of sums there is none, for an infinite factor either */
        n->c = divide ? n->c / factor : n->c * factor;
    }
}

struct ref_histogram *ref_histogram_settle(struct ref *r, const struct ref_histogram *h) {
    struct ref_histogram *out = ref_histogram_copy(r, h);
    each_number(out, settle, 0, false);
    return out;
}

struct ref_histogram *ref_histogram_scale(struct ref *r, const struct ref_histogram *h,
                                          double factor, bool divide) {
    struct ref_histogram *out = ref_histogram_copy(r, h);
    each_number(out, scale, factor, divide);
    if (factor < 0) {
        out->hint = REF_GAUGE;
    }
    if (divide && factor == 0) {
        out->positive.count = 0;
        out->negative.count = 0;
    }
    return out;
}

static bool overflows(const struct ref_cells *cells) {
    for (size_t i = 0; i < cells->count; i++) {
        if (isinf(cells->items[i].n.s)) {
            return true;
        }
    }
    return false;
}

bool ref_histogram_overflows(const struct ref_histogram *h) {
    return isinf(h->zero.s) || isinf(h->count.s) || isinf(h->sum.s) || overflows(&h->positive) ||
           overflows(&h->negative);
}

/* ---- comparing ---- */

static double cell_at(const struct ref_cells *cells, int index) {
    for (size_t i = 0; i < cells->count; i++) {
        if (cells->items[i].index == index) {
            return cells->items[i].n.s;
        }
    }
    return 0;
}

static bool has_cell(const struct ref_cells *cells, int index) {
    for (size_t i = 0; i < cells->count; i++) {
        if (cells->items[i].index == index) {
            return true;
        }
    }
    return false;
}

/* Observations between common bounds: fewer anywhere? */
static bool custom_shrank(struct ref *r, const struct ref_histogram *h,
                          const struct ref_histogram *before) {
    const double *bounds = NULL;
    const size_t n = common_bounds(r, h, before, &bounds);
    const struct ref_cells is = map_cells(r, h, bounds, n);
    const struct ref_cells was = map_cells(r, before, bounds, n);
    for (int i = 0; i <= (int)n; i++) {
        if (cell_at(&is, i) < cell_at(&was, i)) {
            return true;
        }
    }
    return false;
}

static bool cells_shrank(const struct ref_histogram *h, const struct ref_cells *is,
                         const struct ref_cells *was) {
    for (size_t i = 0; i < was->count; i++) {
        const struct ref_cell *cell = &was->items[i];
        const bool skipped = !ref_is_custom(h) && ref_bound(h, cell->index) <= h->zero_threshold;
        if (!skipped && cell->n.s != 0 &&
            (!has_cell(is, cell->index) || cell_at(is, cell->index) < cell->n.s)) {
            return true;
        }
    }
    return false;
}

bool ref_histogram_shrank(struct ref *r, const struct ref_histogram *h,
                          const struct ref_histogram *before) {
    if (h->count.s < before->count.s) {
        return true;
    }
    if (ref_is_custom(h)) {
        if (!ref_is_custom(before)) {
            return true;
        }
        if (!same_bounds(h, before)) {
            return custom_shrank(r, h, before);
        }
        return cells_shrank(h, &h->positive, &before->positive);
    }
    if (h->schema > before->schema || h->zero_threshold < before->zero_threshold) {
        return true;
    }
    double threshold = h->zero_threshold;
    const struct ref_sum zero = zero_at(before, &threshold);
    if (threshold != h->zero_threshold || h->zero.s < zero.s) {
        return true;
    }
    before = ref_histogram_reduce(r, before, h->schema);
    return cells_shrank(h, &h->positive, &before->positive) ||
           cells_shrank(h, &h->negative, &before->negative);
}

bool ref_histogram_reset(struct ref *r, const struct ref_histogram *h,
                         const struct ref_histogram *before) {
    if (h->hint == REF_RESET || h->hint == REF_NOT_RESET) {
        return h->hint == REF_RESET;
    }
    return ref_histogram_shrank(r, h, before);
}

static bool cells_same(const struct ref_cells *a, const struct ref_cells *b) {
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        same = a->items[i].index == b->items[i].index &&
               f64_same_bits(a->items[i].n.s, b->items[i].n.s);
    }
    return same;
}

bool ref_histogram_same(const struct ref_histogram *a, const struct ref_histogram *b) {
    return a->schema == b->schema && f64_same_bits(a->count.s, b->count.s) &&
           f64_same_bits(a->sum.s, b->sum.s) && f64_same_bits(a->zero.s, b->zero.s) &&
           f64_same_bits(a->zero_threshold, b->zero_threshold) &&
           cells_same(&a->positive, &b->positive) && cells_same(&a->negative, &b->negative) &&
           (!ref_is_custom(a) || same_bounds(a, b));
}

/* ---- text ---- */

static void text_cell(struct buf *to, const struct ref_histogram *h, double low, double high,
                      double count, int index) {
    const bool custom = ref_is_custom(h);
    const bool zero = low == -high; /* both ends belong to it */
    const bool low_in = custom ? index == 0 : zero || low < 0;
    const bool high_in = custom || zero || high > 0;
    buf_append_cstr(to, low_in ? ", [" : ", (");
    buf_append_number_g(to, low);
    buf_append_char(to, ',');
    buf_append_number_g(to, high);
    buf_append_cstr(to, high_in ? "]:" : "):");
    buf_append_number_g(to, count);
}

void ref_histogram_text(struct buf *to, const struct ref_histogram *h) {
    buf_append_cstr(to, "{count:");
    buf_append_number_g(to, h->count.s);
    buf_append_cstr(to, ", sum:");
    buf_append_number_g(to, h->sum.s);
    for (size_t i = h->negative.count; i-- > 0;) {
        const struct ref_cell *c = &h->negative.items[i];
        if (c->n.s != 0) {
            text_cell(to, h, -ref_bound(h, c->index), -ref_bound(h, c->index - 1), c->n.s, 1);
        }
    }
    if (h->zero.s != 0 && !ref_is_custom(h)) {
        text_cell(to, h, -h->zero_threshold, h->zero_threshold, h->zero.s, 1);
    }
    for (size_t i = 0; i < h->positive.count; i++) {
        const struct ref_cell *c = &h->positive.items[i];
        if (c->n.s != 0) {
            text_cell(to, h, ref_bound(h, c->index - 1), ref_bound(h, c->index), c->n.s, c->index);
        }
    }
    buf_append_char(to, '}');
}
