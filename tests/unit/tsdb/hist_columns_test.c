/* Histograms taken apart and put together, layouts and their numbers and bytes. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/check_err.h"
#include "tsdb/hist_columns.h"

enum { ROWS = 40, COLUMNS_MAX = 400 };

/* Rows of random histograms in the columns that a storage would have. */
struct table {
    struct arena arena;
    struct rng rng;
    struct hist_layouts *layouts;
    struct histogram *rows[ROWS]; /* NULL: none; a stale sum: the end */
    struct hist_column columns[COLUMNS_MAX];
    double values[COLUMNS_MAX][ROWS];
    uint32_t at[COLUMNS_MAX][ROWS];
    size_t count;
};

static void random_side(struct table *t, struct histogram_side *side, int32_t from, uint32_t room) {
    side->spans = arena_zalloc(&t->arena, 3 * sizeof(*side->spans));
    side->counts = arena_zalloc(&t->arena, 3 * room * sizeof(double));
    side->span_count = (uint32_t)rng_below(&t->rng, 4);
    for (uint32_t i = 0; i < side->span_count; i++) {
        side->spans[i].offset = i == 0 ? from : (int32_t)rng_below(&t->rng, 3);
        side->spans[i].length = (uint32_t)rng_below(&t->rng, room);
        for (uint32_t k = 0; k < side->spans[i].length; k++) {
            side->counts[side->count++] = (double)rng_below(&t->rng, 5);
        }
    }
}

static struct histogram *random_histogram(struct table *t) {
    struct histogram *h = arena_zalloc(&t->arena, sizeof(*h));
    h->hint = rng_below(&t->rng, 6) == 0 ? HINT_GAUGE : HINT_NOT_RESET;
    h->count = (double)rng_below(&t->rng, 1000);
    h->sum = (double)rng_below(&t->rng, 1000) / 8;
    if (rng_below(&t->rng, 3) == 0) {
        h->schema = HISTOGRAM_SCHEMA_CUSTOM;
        h->bound_count = 30 + (uint32_t)rng_below(&t->rng, 2);
        h->bounds = arena_zalloc(&t->arena, h->bound_count * sizeof(double));
        for (uint32_t i = 0; i < h->bound_count; i++) {
            h->bounds[i] = i;
        }
        random_side(t, &h->positive, (int32_t)rng_below(&t->rng, 3), 6);
        return h;
    }
    h->schema = (int32_t)rng_below(&t->rng, 2);
    h->zero_threshold = 0.5;
    h->zero_count = 1;
    random_side(t, &h->positive, (int32_t)rng_below(&t->rng, 10) - 5, 6);
    random_side(t, &h->negative, (int32_t)rng_below(&t->rng, 10) - 5, 6);
    return h;
}

static struct hist_column *column_of(struct table *t, struct column_key key) {
    size_t at = 0;
    while (at < t->count && column_key_cmp(t->columns[at].key, key) < 0) {
        at++;
    }
    if (at == t->count || column_key_cmp(t->columns[at].key, key) != 0) {
        assert_true(t->count < COLUMNS_MAX);
        memmove(t->columns + at + 1, t->columns + at, (t->count - at) * sizeof(t->columns[0]));
        t->columns[at] = (struct hist_column){.key = key,
                                              .layout = hist_layouts_get(t->layouts, key.layout),
                                              .values = t->values[t->count],
                                              .rows = t->at[t->count]};
        t->count++;
    }
    return &t->columns[at];
}

static void put_cell(struct table *t, struct column_key key, uint32_t row, double v) {
    struct hist_column *c = column_of(t, key);
    ((double *)(uintptr_t)c->values)[c->count] = v;
    ((uint32_t *)(uintptr_t)c->rows)[c->count++] = row;
}

static void put_row(struct table *t, uint32_t row) {
    struct histogram *h = t->rows[row];
    struct hist_cell cells[64];
    const struct hist_layout layout = hist_layout_of(h, false);
    const uint32_t number = hist_layouts_intern(t->layouts, &layout);
    assert_int_not_equal(number, 0);
    if (hist_is_stale(h)) {
        put_cell(t, (struct column_key){.layout = number, .kind = COLUMN_COUNT}, row, f64_stale());
        return;
    }
    assert_true(hist_cell_count_max(h) <= COUNT_OF(cells));
    const size_t n = hist_split(h, number, h->hint, cells);
    for (size_t i = 0; i < n; i++) {
        assert_true(column_key_valid(cells[i].key));
        assert_true(i == 0 || column_key_cmp(cells[i - 1].key, cells[i].key) < 0);
        put_cell(t, cells[i].key, row, num_double(cells[i].value));
    }
}

static void what_was_taken_apart_is_put_together_again(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct table *t = mem_zalloc(sizeof(*t));
        arena_init(&t->arena, 0);
        t->rng = rng_seeded(seed);
        t->layouts = hist_layouts_new();
        const struct histogram *last = random_histogram(t);
        for (uint32_t row = 0; row < ROWS; row++) {
            const uint64_t kind = rng_below(&t->rng, 8);
            if (kind == 0) {
                continue;
            }
            t->rows[row] = kind < 5 ? random_histogram(t) : histogram_copy(&t->arena, last);
            if (kind == 7) {
                t->rows[row]->sum = f64_stale();
            } else {
                last = t->rows[row];
            }
            put_row(t, row);
        }
        struct histogram *got[ROWS];
        struct err err;
        assert_ok(hist_assemble(&t->arena, t->columns, t->count, ROWS, got, &err), &err);
        for (uint32_t row = 0; row < ROWS; row++) {
            assert_int_equal(got[row] != NULL, t->rows[row] != NULL);
            if (got[row] != NULL && hist_is_stale(t->rows[row])) {
                assert_true(hist_is_stale(got[row]));
                assert_int_equal(got[row]->positive.count, 0);
            } else if (got[row] != NULL) {
                assert_true(histogram_equal(got[row], t->rows[row]));
                assert_int_equal(got[row]->hint, t->rows[row]->hint);
                assert_ok(histogram_check(got[row], &err), &err);
            }
        }
        hist_layouts_free(t->layouts);
        arena_release(&t->arena);
        mem_free(t);
    }
}

static void columns_that_do_not_fit_are_corrupt(void **state) {
    (void)state;
    const struct hist_layout layout = {.schema = 0};
    const double one[2] = {1, 1};
    const double seven[2] = {7, 7};
    struct hist_column c[4] = {
        {.key = {.layout = 1, .kind = COLUMN_COUNT}, .layout = &layout, .values = one, .count = 2},
        {.key = {.layout = 1, .kind = COLUMN_SUM}, .layout = &layout, .values = one, .count = 2},
        {.key = {.layout = 1, .kind = COLUMN_HINT}, .layout = &layout, .values = seven, .count = 2},
        {.key = {.layout = 2, .kind = COLUMN_COUNT}, .layout = &layout, .values = one, .count = 1},
    };
    struct arena arena;
    struct histogram *out[2];
    struct err err;
    arena_init(&arena, 0);
    assert_ok(hist_assemble(&arena, c, 2, 2, out, &err), &err);
    assert_err(hist_assemble(&arena, c, 1, 2, out, &err), ERR_CORRUPT,
               "a histogram lacks its sum or has an unknown hint", &err);
    assert_err(hist_assemble(&arena, c, 3, 2, out, &err), ERR_CORRUPT,
               "a histogram lacks its sum or has an unknown hint", &err);
    assert_err(hist_assemble(&arena, c + 1, 1, 2, out, &err), ERR_CORRUPT,
               "columns of a histogram lack the one of its count", &err);
    assert_err(hist_assemble(&arena, c, 2, 1, out, &err), ERR_CORRUPT, "a row has two histograms",
               &err);
    const struct hist_column both[3] = {c[0], c[1], c[3]};
    assert_err(hist_assemble(&arena, both, 3, 2, out, &err), ERR_CORRUPT,
               "a row has two histograms", &err);
    arena_release(&arena);
    arena_init(&arena, 64);
    assert_err(hist_assemble(&arena, c, 2, 2, out, &err), ERR_LIMIT,
               "the histograms of a series pass the memory limit of the query", &err);
    arena_release(&arena);
}

static void equal_layouts_have_one_number(void **state) {
    (void)state;
    struct hist_layouts *layouts = hist_layouts_new();
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 100; i++) {
            const double bounds[2] = {i, i + 0.5};
            const struct hist_layout custom = {
                .schema = HISTOGRAM_SCHEMA_CUSTOM, .bounds = bounds, .bound_count = 2};
            const struct hist_layout plain = {
                .schema = 3, .zero_threshold = i / 2, .gauge = i % 2 != 0};
            assert_int_equal(hist_layouts_intern(layouts, &custom), 2 * i + 1);
            assert_int_equal(hist_layouts_intern(layouts, &plain), 2 * i + 2);
            assert_true(hist_layout_equal(hist_layouts_get(layouts, 2 * i + 1), &custom));
        }
    }
    assert_null(hist_layouts_get(layouts, 0));
    assert_null(hist_layouts_get(layouts, 201));
    const struct hist_layout late = {.schema = 5};
    assert_true(hist_layouts_define(layouts, 210, &late));
    assert_false(hist_layouts_define(layouts, 211, &late));
    assert_null(hist_layouts_get(layouts, 205));
    assert_int_equal(hist_layouts_intern(layouts, &late), 210);
    hist_layouts_free(layouts);
}

static void layouts_keep_their_content_in_bytes(void **state) {
    (void)state;
    const double bounds[3] = {-1, 0, 2.5};
    const struct hist_layout layouts[] = {
        {.schema = -4, .zero_threshold = 1e-128, .gauge = true},
        {.schema = 8, .float_counts = true},
        {.schema = HISTOGRAM_SCHEMA_CUSTOM, .bounds = bounds, .bound_count = 3},
        {.schema = HISTOGRAM_SCHEMA_CUSTOM},
    };
    struct arena arena;
    arena_init(&arena, 0);
    for (size_t i = 0; i < COUNT_OF(layouts); i++) {
        struct buf bytes;
        struct hist_layout got;
        buf_init(&bytes, 1 << 20);
        hist_layout_encode(&bytes, &layouts[i]);
        struct cursor from = cursor_of(bytes.ptr, bytes.len);
        assert_int_equal(hist_layout_decode(&from, &arena, &got), ERR_OK);
        assert_true(hist_layout_equal(&got, &layouts[i]));
        assert_int_equal(cursor_left(&from), 0);
        for (size_t cut = 0; cut < bytes.len; cut++) {
            from = cursor_of(bytes.ptr, cut);
            assert_int_equal(hist_layout_decode(&from, &arena, &got), ERR_CORRUPT);
        }
        buf_release(&bytes);
    }
    const double fall[2] = {1, 1};
    const struct hist_layout bad[] = {
        {.schema = 9},
        {.schema = HISTOGRAM_SCHEMA_CUSTOM, .zero_threshold = 1},
        {.schema = 0, .bounds = bounds, .bound_count = 3},
        {.schema = HISTOGRAM_SCHEMA_CUSTOM, .bounds = fall, .bound_count = 2},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct buf bytes;
        struct hist_layout got;
        buf_init(&bytes, 1 << 20);
        hist_layout_encode(&bytes, &bad[i]);
        struct cursor from = cursor_of(bytes.ptr, bytes.len);
        assert_int_equal(hist_layout_decode(&from, &arena, &got), ERR_CORRUPT);
        buf_release(&bytes);
    }
    arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_taken_apart_is_put_together_again),
        cmocka_unit_test(columns_that_do_not_fit_are_corrupt),
        cmocka_unit_test(equal_layouts_have_one_number),
        cmocka_unit_test(layouts_keep_their_content_in_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
