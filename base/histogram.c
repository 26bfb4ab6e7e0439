#include "base/histogram.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/value.h"

/* ---- bounds ---- */

/* 2^(2^-s) for s = 1 .. 8; the first is one step below the correctly rounded value, as in the
 * table that all of Prometheus agrees on (spec section 18). */
static const double ROOTS[HISTOGRAM_SCHEMA_MAX + 1] = {
    2,
    0x1.6a09e667f3bccp+0,
    0x1.306fe0a31b715p+0,
    0x1.172b83c7d517bp+0,
    0x1.0b5586cf9890fp+0,
    0x1.059b0d3158574p+0,
    0x1.02c9a3e778061p+0,
    0x1.0163da9fb3335p+0,
    0x1.00b1afa5abcbfp+0,
};

/* Entry m of the table of 2^schema bounds in [0.5, 1): each bit of m from the highest down multiplies
 * by the root of its level, rounded each time. */
static double bound_fraction(int32_t schema, uint32_t m) {
    double fraction = 0.5;
    for (int32_t level = 1; level <= schema; level++) {
        if ((m >> (schema - level) & 1) != 0) {
            fraction *= ROOTS[level];
        }
    }
    return fraction;
}

double histogram_exponential_bound(int32_t schema, int64_t index) {
    /* beyond this ldexp gives 0 or Inf anyway, and nothing overflows below it */
    const int64_t far = INT64_C(1) << 40;
    index = index > far ? far : (index < -far ? -far : index);
    int64_t exponent = 0;
    double fraction = 0.5;
    if (schema <= 0) {
        exponent = index * (INT64_C(1) << -schema) + 1;
    } else {
        exponent = (index >> schema) + 1;
        fraction = bound_fraction(schema, (uint32_t)(index & ((INT64_C(1) << schema) - 1)));
    }
    if (fraction == 0.5 && exponent == 1025) {
        return DBL_MAX;
    }
    const int64_t most = 4000;
    exponent = exponent > most ? most : (exponent < -most ? -most : exponent);
    return ldexp(fraction, (int)exponent);
}

double histogram_bound(const struct histogram *h, int64_t index) {
    if (!histogram_is_custom(h)) {
        return histogram_exponential_bound(h->schema, index);
    }
    if (index < 0) {
        return -INFINITY;
    }
    return index < (int64_t)h->bound_count ? h->bounds[index] : INFINITY;
}

bool histogram_same_bounds(const struct histogram *a, const struct histogram *b) {
    if (a->bound_count != b->bound_count) {
        return false;
    }
    for (uint32_t i = 0; i < a->bound_count; i++) {
        if (a->bounds[i] != b->bounds[i]) {
            return false;
        }
    }
    return true;
}

/* ---- checking ---- */

static enum err_code check_side(const struct histogram_side *side, const char *name,
                                struct err *err) {
    int64_t index = 0;
    uint64_t total = 0;
    for (uint32_t i = 0; i < side->span_count; i++) {
        const struct histogram_span *span = &side->spans[i];
        if (i > 0 && span->offset < 0) {
            return err_set(err, ERR_INVALID, "histogram has %s span %u with negative offset %d",
                           name, i, span->offset);
        }
        index += (int64_t)span->offset + span->length;
        total += span->length;
        if (index > HISTOGRAM_INDEX_MAX || index < -HISTOGRAM_INDEX_MAX ||
            span->offset < -HISTOGRAM_INDEX_MAX) {
            return err_set(err, ERR_INVALID, "histogram has a %s bucket too far from zero", name);
        }
    }
    if (total != side->count || total > HISTOGRAM_BUCKETS_MAX) {
        return err_set(err, ERR_INVALID, "histogram has %u %s buckets, its spans name %llu",
                       side->count, name, (unsigned long long)total);
    }
    return ERR_OK;
}

static enum err_code check_bounds(const struct histogram *h, struct err *err) {
    for (uint32_t i = 0; i < h->bound_count; i++) {
        if (!isfinite(h->bounds[i]) || (i > 0 && h->bounds[i] <= h->bounds[i - 1])) {
            return err_set(err, ERR_INVALID, "histogram has custom bounds that do not ascend at %u",
                           i);
        }
    }
    if (h->negative.count != 0 || h->zero_count != 0) {
        return err_set(err, ERR_INVALID,
                       "histogram with custom bounds has a zero bucket or negative buckets");
    }
    struct histogram_cursor c = histogram_cursor_of(&h->positive);
    int32_t index = 0;
    double count = 0;
    while (histogram_cursor_next(&c, &index, &count)) {
        if (index < 0 || (uint32_t)index > h->bound_count) {
            return err_set(err, ERR_INVALID, "histogram has a bucket %d without a custom bound",
                           index);
        }
    }
    return ERR_OK;
}

enum err_code histogram_check(const struct histogram *h, struct err *err) {
    const bool custom = histogram_is_custom(h);
    if (!custom && (h->schema < HISTOGRAM_SCHEMA_MIN || h->schema > HISTOGRAM_SCHEMA_MAX)) {
        return err_set(err, ERR_INVALID, "histogram has unknown schema %d", h->schema);
    }
    if (!custom && h->bound_count > 0) {
        return err_set(err, ERR_INVALID, "histogram with exponential buckets has custom bounds");
    }
    enum err_code code = check_side(&h->positive, "positive", err);
    if (code == ERR_OK) {
        code = check_side(&h->negative, "negative", err);
    }
    return code == ERR_OK && custom ? check_bounds(h, err) : code;
}

/* ---- walking ---- */

struct histogram_cursor histogram_cursor_of(const struct histogram_side *side) {
    struct histogram_cursor c = {.spans = side->spans, .counts = side->counts, .left = side->count};
    if (side->span_count > 0) {
        c.next_index = side->spans[0].offset;
        c.left_in_span = side->spans[0].length;
    }
    return c;
}

bool histogram_cursor_next(struct histogram_cursor *c, int32_t *index, double *count) {
    if (c->left == 0) {
        return false;
    }
    if (c->indices != NULL) {
        *index = *c->indices++;
    } else {
        while (c->left_in_span == 0) {
            c->spans++;
            c->next_index += c->spans->offset;
            c->left_in_span = c->spans->length;
        }
        *index = c->next_index++;
        c->left_in_span--;
    }
    *count = *c->counts++;
    c->left--;
    return true;
}

static const struct histogram_side *walked_side(const struct histogram_walk *w) {
    return (w->part == 0) == w->descending ? &w->h->positive : &w->h->negative;
}

struct histogram_walk histogram_walk_up(const struct histogram *h) {
    return (struct histogram_walk){.h = h, .cut = true};
}

struct histogram_walk histogram_walk_down(const struct histogram *h) {
    return (struct histogram_walk){.h = h, .descending = true, .cut = true};
}

/* Towards zero, from the highest index down. */
static bool step_inwards(struct histogram_walk *w, const struct histogram_side *side,
                         int64_t *index, double *count) {
    if (!w->entered) {
        w->entered = true;
        w->span = side->span_count;
        w->number = side->count;
        w->index = 0;
        w->at = 0;
        for (uint32_t i = 0; i < side->span_count; i++) {
            w->index += (int64_t)side->spans[i].offset + side->spans[i].length;
        }
    }
    while (w->at == 0) {
        if (w->span < side->span_count) {
            w->index -= side->spans[w->span].offset;
        }
        if (w->span == 0) {
            return false;
        }
        w->at = side->spans[--w->span].length;
    }
    w->at--;
    *index = --w->index;
    *count = side->counts[--w->number];
    return true;
}

static bool step_outwards(struct histogram_walk *w, const struct histogram_side *side,
                          int64_t *index, double *count) {
    if (!w->entered) {
        w->entered = true;
        w->span = 0;
        w->number = 0;
        w->at = 0;
        w->index = side->span_count > 0 ? side->spans[0].offset : 0;
    }
    while (w->span < side->span_count && w->at == side->spans[w->span].length) {
        w->at = 0;
        if (++w->span < side->span_count) {
            w->index += side->spans[w->span].offset;
        }
    }
    if (w->span == side->span_count) {
        return false;
    }
    w->at++;
    *index = w->index++;
    *count = side->counts[w->number++];
    return true;
}

static void fill_bucket(const struct histogram_walk *w, int64_t index, double count,
                        struct histogram_bucket *out) {
    const struct histogram *h = w->h;
    const bool positive = walked_side(w) == &h->positive;
    double inner = histogram_bound(h, index - 1);
    const double outer = histogram_bound(h, index);
    const bool custom = histogram_is_custom(h);
    if (w->cut && !custom && inner < h->zero_threshold && outer > h->zero_threshold) {
        inner = h->zero_threshold;
    }
    *out = (struct histogram_bucket){
        .lower = positive ? inner : -outer, .upper = positive ? outer : -inner, .count = count};
    out->lower_inclusive = custom ? index == 0 : out->lower < 0;
    out->upper_inclusive = custom || out->upper > 0;
}

bool histogram_walk_next(struct histogram_walk *w, struct histogram_bucket *out) {
    for (; w->part < 3; w->part++, w->entered = false) {
        if (w->part == 1) {
            const double zero = w->h->zero_count;
            if (!w->entered && (w->cut ? zero > 0 : zero != 0)) {
                w->entered = true;
                *out = (struct histogram_bucket){.lower = -w->h->zero_threshold,
                                                 .upper = w->h->zero_threshold,
                                                 .count = w->h->zero_count,
                                                 .lower_inclusive = true,
                                                 .upper_inclusive = true};
                return true;
            }
            continue;
        }
        const struct histogram_side *side = walked_side(w);
        int64_t index = 0;
        double count = 0;
        if (w->part == 0 ? step_inwards(w, side, &index, &count)
                         : step_outwards(w, side, &index, &count)) {
            fill_bucket(w, index, count, out);
            return true;
        }
    }
    return false;
}

/* ---- making ---- */

static bool copy_side(struct arena *arena, const struct histogram_side *from,
                      struct histogram_side *to) {
    *to = (struct histogram_side){.span_count = from->span_count, .count = from->count};
    if (from->span_count == 0) {
        return true;
    }
    to->spans = arena_try_alloc(arena, from->span_count, sizeof(*to->spans));
    to->counts = arena_try_alloc(arena, (size_t)from->count + 1, sizeof(*to->counts));
    if (to->spans == NULL || to->counts == NULL) {
        return false;
    }
    memcpy(to->spans, from->spans, from->span_count * sizeof(*to->spans));
    if (from->count > 0) {
        memcpy(to->counts, from->counts, from->count * sizeof(*to->counts));
    }
    return true;
}

struct histogram *histogram_copy(struct arena *arena, const struct histogram *h) {
    struct histogram *copy = arena_try_alloc(arena, 1, sizeof(*copy));
    if (copy == NULL) {
        return NULL;
    }
    *copy = *h;
    if (!copy_side(arena, &h->positive, &copy->positive) ||
        !copy_side(arena, &h->negative, &copy->negative)) {
        return NULL;
    }
    if (h->bound_count > 0) {
        copy->bounds = arena_try_alloc(arena, h->bound_count, sizeof(*copy->bounds));
        if (copy->bounds == NULL) {
            return NULL;
        }
        memcpy(copy->bounds, h->bounds, h->bound_count * sizeof(*copy->bounds));
    }
    return copy;
}

/* In place: spans never grow, and a kept bucket moves towards the front. Splitting at empty buckets
 * needs a span per kept run, at most one per kept bucket. */
static bool compact_side(struct arena *arena, struct histogram_side *side) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < side->count; i++) {
        kept += side->counts[i] != 0;
    }
    struct histogram_side out = {.counts = side->counts};
    out.spans = arena_try_alloc(arena, (size_t)kept + 1, sizeof(*out.spans));
    if (out.spans == NULL) {
        return false;
    }
    struct histogram_cursor c = histogram_cursor_of(side);
    int32_t index = 0;
    int32_t behind = 0; /* index behind the last kept bucket */
    double count = 0;
    while (histogram_cursor_next(&c, &index, &count)) {
        if (count == 0) {
            continue;
        }
        if (out.span_count == 0 || index != behind) {
            out.spans[out.span_count++] = (struct histogram_span){.offset = index - behind};
        }
        out.spans[out.span_count - 1].length++;
        out.counts[out.count++] = count;
        behind = index + 1;
    }
    *side = out;
    return true;
}

struct histogram *histogram_compact(struct arena *arena, const struct histogram *h) {
    struct histogram *out = histogram_copy(arena, h);
    if (out == NULL || !compact_side(arena, &out->positive) ||
        !compact_side(arena, &out->negative)) {
        return NULL;
    }
    return out;
}

struct histogram *histogram_multiply(struct arena *arena, const struct histogram *h,
                                     double factor) {
    struct histogram *out = histogram_copy(arena, h);
    if (out == NULL) {
        return NULL;
    }
    out->zero_count *= factor;
    out->count *= factor;
    out->sum *= factor;
    for (uint32_t i = 0; i < out->positive.count; i++) {
        out->positive.counts[i] *= factor;
    }
    for (uint32_t i = 0; i < out->negative.count; i++) {
        out->negative.counts[i] *= factor;
    }
    if (factor < 0) {
        out->hint = HINT_GAUGE;
    }
    return out;
}

struct histogram *histogram_divide(struct arena *arena, const struct histogram *h, double divisor) {
    struct histogram *out = histogram_copy(arena, h);
    if (out == NULL) {
        return NULL;
    }
    out->zero_count /= divisor;
    out->count /= divisor;
    out->sum /= divisor;
    if (divisor < 0) {
        out->hint = HINT_GAUGE;
    }
    if (divisor == 0) {
        out->positive = out->negative = (struct histogram_side){.count = 0};
        return out;
    }
    for (uint32_t i = 0; i < out->positive.count; i++) {
        out->positive.counts[i] /= divisor;
    }
    for (uint32_t i = 0; i < out->negative.count; i++) {
        out->negative.counts[i] /= divisor;
    }
    return out;
}

/* ---- comparing ---- */

static bool side_equal(const struct histogram_side *a, const struct histogram_side *b) {
    if (a->count != b->count) {
        return false;
    }
    struct histogram_cursor at_a = histogram_cursor_of(a);
    struct histogram_cursor at_b = histogram_cursor_of(b);
    int32_t index_a = 0;
    int32_t index_b = 0;
    double count_a = 0;
    double count_b = 0;
    while (histogram_cursor_next(&at_a, &index_a, &count_a)) {
        if (!histogram_cursor_next(&at_b, &index_b, &count_b) || index_a != index_b ||
            !f64_same_bits(count_a, count_b)) {
            return false;
        }
    }
    return true;
}

bool histogram_equal(const struct histogram *a, const struct histogram *b) {
    return a->schema == b->schema && f64_same_bits(a->count, b->count) &&
           f64_same_bits(a->sum, b->sum) && a->zero_threshold == b->zero_threshold &&
           f64_same_bits(a->zero_count, b->zero_count) && histogram_same_bounds(a, b) &&
           side_equal(&a->positive, &b->positive) && side_equal(&a->negative, &b->negative);
}

size_t histogram_size_bytes(const struct histogram *h) {
    const size_t items = (size_t)h->positive.span_count + h->negative.span_count +
                         h->positive.count + h->negative.count + h->bound_count;
    return 168 + 8 * items;
}
