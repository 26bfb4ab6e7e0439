/* Windows: bounds at every step equal a plain search, for columns, grids and ranges that touch the
 * edges; columns are told apart by their pointer; the shape is that of the extrapolation rules. */
#include "tests/support/check_err.h"

#include <string.h>

#include "query/kahan.h"
#include "query/window.h"

struct fixture {
    struct work_budget budget;
    struct work work;
    struct window_cache cache;
};

static int setup(void **state) {
    static struct fixture f;
    f = (struct fixture){.budget = {.max_bytes = 0}};
    work_begin(&f.work, &f.budget);
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    work_end(&f->work);
    return 0;
}

static void check_bounds(const struct window_spec *spec, const struct window_bounds *b) {
    uint64_t total = 0;
    for (size_t i = 0; i < spec->grid->count; i++) {
        const int64_t end = window_end(spec, i);
        size_t n = 0;
        for (size_t k = 0; k < b->count; k++) {
            const bool inside = b->ts[k] > end - spec->range_ms && b->ts[k] <= end;
            assert_int_equal(inside, k >= b->low[i] && k < b->high[i]);
            n += inside;
        }
        assert_int_equal(b->high[i] - b->low[i], n);
        assert_true(n <= b->widest);
        total += n;
    }
    assert_int_equal(total, b->total);
}

static void bounds_equal_a_plain_search(void **state) {
    struct fixture *f = *state;
    static const int64_t COLUMNS[][8] = {
        {10, 20, 30, 40, 50, 60, 70, 80},
        {0, 1, 2, 3, 100, 101, 102, 103},
        {-50, -40, 5, 6, 7, 60, 61, 300},
        {1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007},
    };
    static const int64_t STEPS[] = {1, 7, 10, 25, 500};
    static const int64_t RANGES[] = {1, 9, 10, 11, 45, 2000};
    static const int64_t OFFSETS[] = {0, 10, -13};
    for (size_t c = 0; c < COUNT_OF(COLUMNS); c++) {
        for (size_t s = 0; s < COUNT_OF(STEPS); s++) {
            const struct grid grid = grid_of(-20, 400, STEPS[s]);
            for (size_t r = 0; r < COUNT_OF(RANGES) * COUNT_OF(OFFSETS); r++) {
                const struct window_spec spec = {.grid = &grid,
                                                 .range_ms = RANGES[r % COUNT_OF(RANGES)],
                                                 .offset_ms = OFFSETS[r / COUNT_OF(RANGES)]};
                window_cache_init(&f->cache, &f->work, &spec);
                for (size_t n = 0; n <= 8; n += 4) {
                    struct err err;
                    const struct window_bounds *b =
                        window_cache_get(&f->cache, COLUMNS[c], n, &err);
                    assert_non_null(b);
                    check_bounds(&spec, b);
                }
            }
        }
        work_reset(&f->work);
    }
}

static void with_at_all_steps_have_the_same_window(void **state) {
    struct fixture *f = *state;
    static const int64_t TS[] = {10, 20, 30, 40};
    const struct grid grid = grid_of(0, 1000, 100);
    const struct window_spec spec = {.grid = &grid, .range_ms = 20, .fixed = true, .fixed_ms = 30};
    window_cache_init(&f->cache, &f->work, &spec);
    struct err err;
    const struct window_bounds *b = window_cache_get(&f->cache, TS, 4, &err);
    assert_non_null(b);
    for (size_t i = 0; i < grid.count; i++) {
        assert_int_equal(b->low[i], 1);
        assert_int_equal(b->high[i], 3);
    }
}

static void one_column_has_its_bounds_once(void **state) {
    struct fixture *f = *state;
    enum { COLUMNS = 3 * WINDOW_CACHE_SLOTS };
    static int64_t ts[COLUMNS][2];
    const struct grid grid = grid_of(0, 10, 5);
    const struct window_spec spec = {.grid = &grid, .range_ms = 100};
    window_cache_init(&f->cache, &f->work, &spec);
    struct err err;
    for (size_t i = 0; i < COLUMNS; i++) {
        ts[i][0] = (int64_t)i;
        ts[i][1] = (int64_t)i + 5;
        const struct window_bounds *b = window_cache_get(&f->cache, ts[i], 2, &err);
        assert_non_null(b);
        assert_ptr_equal(window_cache_get(&f->cache, ts[i], 2, &err), b);
        check_bounds(&spec, b);
    }
}

static void equal_times_of_a_later_batch_have_their_bounds_already(void **state) {
    struct fixture *f = *state;
    enum { BATCHES = 4, SAMPLES = 40 };
    int64_t ts[2][SAMPLES];
    const struct grid grid = grid_of(0, 400, 20);
    const struct window_spec spec = {.grid = &grid, .range_ms = 100};
    struct work scratch;
    struct err err;
    const struct window_bounds *first[2] = {NULL, NULL};
    work_begin(&scratch, &f->budget);
    window_cache_init(&f->cache, &scratch, &spec);
    window_cache_keep(&f->cache, &f->work);
    for (size_t batch = 0; batch < BATCHES; batch++) {
        for (size_t c = 0; c < 2; c++) {
            for (size_t i = 0; i < SAMPLES; i++) { /* the second differs in its middle alone */
                ts[c][i] = (int64_t)i * 10 + (c == 1 && i > 5 && i < 9 ? 3 : 0);
            }
            struct window_bounds *b = window_cache_get(&f->cache, ts[c], SAMPLES, &err);
            assert_non_null(b);
            assert_memory_equal(b->ts, ts[c], sizeof(ts[c]));
            check_bounds(&spec, b);
            assert_ok(window_shape_of(&f->cache, b, &err), &err);
            assert_true(b->shape.sampled[10] == 0.09);
            first[c] = batch == 1 ? b : first[c];
            assert_true(batch < 2 || c == 1 || b == first[c]);
        }
        memset(ts, 0xA5, sizeof(ts)); /* a batch's columns are gone with it */
        work_reset(&scratch);
        window_cache_clear(&f->cache);
    }
    work_end(&scratch);
}

static void a_small_budget_keeps_no_bounds_and_is_enough_as_before(void **state) {
    struct fixture *f = *state;
    enum { SAMPLES = 1000 };
    static int64_t ts[SAMPLES];
    const struct grid grid = grid_of(0, 1000, 10);
    const struct window_spec spec = {.grid = &grid, .range_ms = 100};
    struct work scratch;
    struct err err;
    f->budget.max_bytes = 20 * 1000;
    work_begin(&scratch, &f->budget);
    window_cache_init(&f->cache, &scratch, &spec);
    window_cache_keep(&f->cache, &f->work);
    for (int64_t batch = 0; batch < 50; batch++) {
        for (int64_t i = 0; i < SAMPLES; i++) {
            ts[i] = i + batch;
        }
        const struct window_bounds *b = window_cache_get(&f->cache, ts, SAMPLES, &err);
        assert_non_null(b);
        check_bounds(&spec, b);
        work_reset(&scratch);
        window_cache_clear(&f->cache);
    }
    assert_int_equal(f->work.arena.used_bytes, 0);
    work_end(&scratch);
    f->budget.max_bytes = 0;
}

static void the_shape_cuts_far_borders_to_half_an_interval(void **state) {
    struct fixture *f = *state;
    static const int64_t TS[] = {100000, 110000, 120000};
    const struct grid grid = grid_of(125000, 125000, 0);
    const struct window_spec spec = {.grid = &grid, .range_ms = 100000};
    window_cache_init(&f->cache, &f->work, &spec);
    struct err err;
    struct window_bounds *b = window_cache_get(&f->cache, TS, 3, &err);
    assert_non_null(b);
    assert_ok(window_shape_of(&f->cache, b, &err), &err);
    assert_true(b->shape.sampled[0] == 20);
    assert_true(b->shape.to_start[0] == 5); /* 75 s away */
    assert_true(b->shape.to_end[0] == 5);   /* really 5 s */
    assert_true(b->shape.factor[0] == 1.5);
}

static void plain_sums(const struct window_bounds *b, size_t step, struct kahan *x,
                       struct kahan *x2) {
    for (size_t k = b->low[step]; k < b->high[step]; k++) {
        const double at = (double)time_sub(b->ts[k], b->times.reference_ms[step]) / 1000;
        kahan_add(x, at);
        kahan_add(x2, at * at);
    }
}

/* Even columns, with gaps and jitter at places that windows begin, end and lie around. */
static void sums_over_times_are_those_of_every_window(void **state) {
    struct fixture *f = *state;
    enum { SAMPLES = 300 };
    static int64_t ts[SAMPLES];
    for (unsigned round = 0; round < 24; round++) {
        const int64_t step_ms = round % 3 == 0 ? 60000 : round % 3 == 1 ? 45000 : 20000;
        for (size_t i = 0; i < SAMPLES; i++) {
            const int64_t gap = i > 100 && round % 4 == 1 ? 47000 : 0;
            const int64_t jitter = round % 4 == 2 && i % 50 == 7 ? 3 : 0;
            const int64_t other = round % 4 == 3 && i >= 150 ? (int64_t)(i - 150) * 5000 : 0;
            ts[i] = 1000003 + (int64_t)i * 15000 + gap + jitter + other;
        }
        const struct grid grid = grid_of(900000, 7000000, step_ms);
        const struct window_spec spec = {
            .grid = &grid, .range_ms = 300000 + (int64_t)round * 10000, .offset_ms = round};
        window_cache_init(&f->cache, &f->work, &spec);
        struct err err;
        struct window_bounds *b = window_cache_get(&f->cache, ts, SAMPLES, &err);
        assert_non_null(b);
        check_bounds(&spec, b);
        assert_ok(window_times_of(&f->cache, b, round < 12, &err), &err);
        for (size_t i = 0; i < grid.count; i++) {
            struct kahan x = {0};
            struct kahan x2 = {0};
            plain_sums(b, i, &x, &x2);
            if (b->high[i] > b->low[i]) {
                assert_true(x.sum + x.c == b->times.x[i]);
                assert_true(x2.sum + x2.c == b->times.x2[i]);
            }
        }
        work_reset(&f->work);
    }
}

static void a_budget_that_is_passed_is_an_error(void **state) {
    struct fixture *f = *state;
    static const int64_t TS[] = {1};
    const struct grid grid = grid_of(0, 1000000, 1);
    const struct window_spec spec = {.grid = &grid, .range_ms = 10};
    f->budget.max_bytes = 1000 * 1000;
    window_cache_init(&f->cache, &f->work, &spec);
    struct err err;
    assert_null(window_cache_get(&f->cache, TS, 1, &err));
    assert_int_equal(err.code, ERR_LIMIT);
}

static void grids_count_their_steps(void **state) {
    (void)state;
    assert_int_equal(grid_of(0, 10, 5).count, 3);
    assert_int_equal(grid_of(0, 9, 5).count, 2);
    assert_int_equal(grid_of(7, 7, 5).count, 1);
    assert_int_equal(grid_of(7, 7, 0).count, 1);
    assert_int_equal(grid_of(8, 7, 5).count, 0);
    assert_true(grid_of(INT64_MIN, INT64_MAX, 1).count == GRID_COUNT_MAX);
    assert_true(time_add(INT64_MAX, 1) == INT64_MAX && time_sub(INT64_MIN, 1) == INT64_MIN);
    const struct grid wide = grid_of(INT64_MIN, INT64_MAX, INT64_MAX);
    assert_true(grid_last(&wide) == INT64_MAX - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bounds_equal_a_plain_search, setup, teardown),
        cmocka_unit_test_setup_teardown(with_at_all_steps_have_the_same_window, setup, teardown),
        cmocka_unit_test_setup_teardown(one_column_has_its_bounds_once, setup, teardown),
        cmocka_unit_test_setup_teardown(equal_times_of_a_later_batch_have_their_bounds_already,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_small_budget_keeps_no_bounds_and_is_enough_as_before,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(the_shape_cuts_far_borders_to_half_an_interval, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(sums_over_times_are_those_of_every_window, setup, teardown),
        cmocka_unit_test_setup_teardown(a_budget_that_is_passed_is_an_error, setup, teardown),
        cmocka_unit_test(grids_count_their_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
