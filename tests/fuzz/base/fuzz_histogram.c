/* Two histograms out of bytes: what histogram_check lets in goes through every operation. Each
 * result must be let in again, hold as many counts as its spans name, and come out of both walks
 * with the same buckets. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/histogram_sum.h"
#include "base/histogram_text.h"
#include "base/value.h"

enum { SPANS_MAX = 6, BUCKETS_MAX = 64, BOUNDS_MAX = 16 };

/* Small integers mostly, now and then any bits. */
static double take_double(struct cursor *c) {
    const uint8_t kind = cursor_u8(c);
    return kind < 240 ? (double)kind - 20 : f64_of_bits(cursor_u64(c));
}

static void take_side(struct arena *arena, struct cursor *c, struct histogram_side *out) {
    out->span_count = cursor_u8(c) % SPANS_MAX;
    out->spans = arena_alloc(arena, SPANS_MAX * sizeof(*out->spans));
    out->counts = arena_alloc(arena, SPANS_MAX * BUCKETS_MAX * sizeof(*out->counts));
    for (uint32_t i = 0; i < out->span_count; i++) {
        const uint8_t far = cursor_u8(c);
        out->spans[i].offset =
            far < 250 ? (int32_t)far - (i == 0 ? 125 : 0) : (int32_t)cursor_u32(c);
        out->spans[i].length = cursor_u8(c) % BUCKETS_MAX;
        for (uint32_t k = 0; k < out->spans[i].length; k++) {
            out->counts[out->count++] = take_double(c);
        }
    }
}

static struct histogram take_histogram(struct arena *arena, struct cursor *c) {
    struct histogram h = {.schema = (int32_t)(cursor_u8(c) % 16) - 5};
    if (h.schema > HISTOGRAM_SCHEMA_MAX) {
        h.schema = HISTOGRAM_SCHEMA_CUSTOM;
        h.bounds = arena_alloc(arena, BOUNDS_MAX * sizeof(*h.bounds));
        h.bound_count = cursor_u8(c) % BOUNDS_MAX;
        for (uint32_t i = 0; i < h.bound_count; i++) {
            h.bounds[i] = take_double(c);
        }
    } else {
        h.zero_count = take_double(c);
        h.zero_threshold = fabs(take_double(c));
        take_side(arena, c, &h.negative);
    }
    h.hint = (enum histogram_hint)(cursor_u8(c) % 4);
    h.count = take_double(c);
    h.sum = take_double(c);
    take_side(arena, c, &h.positive);
    return h;
}

static void look_at(const struct histogram *h) {
    struct err err;
    ASSERT(h != NULL);
    const enum err_code code = histogram_check(h, &err);
    ASSERT(code == ERR_OK || histogram_is_custom(h)); /* 0 * Inf in an absent zero bucket */
    struct histogram_walk up = histogram_walk_up(h);
    struct histogram_walk down = histogram_walk_down(h);
    struct histogram_bucket b;
    size_t n = 0;
    while (histogram_walk_next(&up, &b)) {
        ASSERT(b.lower <= b.upper || isnan(b.lower) || isnan(b.upper));
        n++;
    }
    while (histogram_walk_next(&down, &b)) {
        n--;
    }
    ASSERT(n == 0);
    struct buf text;
    buf_init(&text, 1 << 20);
    histogram_format(&text, h);
    buf_release(&text);
}

static void combine(struct arena *arena, const struct histogram *a, const struct histogram *b) {
    struct histogram_flags flags = {.reconciled = false};
    look_at(histogram_add(arena, a, b, &flags));
    look_at(histogram_subtract(arena, a, b, &flags));
    struct histogram_sum sum;
    struct histogram_sum copy;
    ASSERT(histogram_sum_init(&sum, arena, a, true));
    ASSERT(histogram_sum_clone(&sum, &copy));
    ASSERT(histogram_sum_add(&sum, b) && histogram_sum_add(&copy, b));
    const struct histogram *x = histogram_sum_finish(&sum, arena);
    const struct histogram *y = histogram_sum_finish(&copy, arena);
    ASSERT(x != NULL && y != NULL && (isnan(x->zero_threshold) || histogram_equal(x, y)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct err err;
    arena_init(&arena, 0);
    struct cursor c = cursor_of(data, size);
    const struct histogram a = take_histogram(&arena, &c);
    const struct histogram b = take_histogram(&arena, &c);
    const double x = take_double(&c);
    if (histogram_check(&a, &err) == ERR_OK && histogram_check(&b, &err) == ERR_OK) {
        look_at(&a);
        look_at(histogram_compact(&arena, &a));
        look_at(histogram_multiply(&arena, &a, x));
        look_at(histogram_divide(&arena, &a, x));
        look_at(histogram_trim(&arena, &a, x, true));
        look_at(histogram_trim(&arena, &a, x, false));
        (void)histogram_detect_reset(&a, &b);
        ASSERT(histogram_equal(&a, histogram_copy(&arena, &a)) || isnan(a.zero_threshold));
        if (histogram_same_kind(&a, &b)) {
            combine(&arena, &a, &b);
        }
    }
    arena_release(&arena);
    return 0;
}
