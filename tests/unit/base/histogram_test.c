/* histogram: tables of the specification, and properties over random histograms: what is added and
 * taken away again changes nothing, a coarser schema keeps all observations, resets follow counts. */
#include "tests/support/check_err.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/histogram_sum.h"
#include "base/histogram_text.h"
#include "base/rng.h"

static int setup(void **state) {
    struct arena *arena = calloc(1, sizeof(*arena));
    arena_init(arena, 0);
    *state = arena;
    return 0;
}

static int teardown(void **state) {
    struct arena *arena = *state;
    arena_release(arena);
    free(arena);
    return 0;
}

static struct histogram_side side_of(struct arena *arena, int32_t offset, uint32_t n,
                                     const double *counts) {
    struct histogram_side side = {.span_count = 1, .count = n};
    side.spans = arena_alloc(arena, sizeof(*side.spans));
    side.spans[0] = (struct histogram_span){.offset = offset, .length = n};
    side.counts = arena_alloc(arena, n * sizeof(*counts) + 1);
    memcpy(side.counts, counts, n * sizeof(*counts));
    return side;
}

static void assert_text(const struct histogram *h, const char *want) {
    struct buf text;
    buf_init(&text, 4096);
    assert_non_null(h);
    histogram_format_expression(&text, h);
    assert_string_equal(text.ptr, want);
    buf_release(&text);
}

/* ---- bounds ---- */

static void bounds_are_powers_of_the_schema(void **state) {
    (void)state;
    static const struct {
        int32_t schema;
        int64_t index;
        double want;
    } cases[] = {
        {0, 0, 1},
        {0, 1, 2},
        {0, -1, 0.5},
        {-1, 1, 4},
        {-4, 1, 65536},
        {1, 2, 2},
        {2, 4, 2},
        {8, 256, 2},
        {8, -256, 0.5},
        {0, 1023, 0x1p1023},
        {0, 1024, DBL_MAX},
        {0, 1025, INFINITY},
        {8, 262144, DBL_MAX},
        {8, 262145, INFINITY},
        {-4, 64, DBL_MAX},
        {-4, 65, INFINITY},
        {1, 1, 1.414213562373095},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(histogram_exponential_bound(cases[i].schema, cases[i].index) == cases[i].want);
    }
}

static void bounds_ascend_in_every_schema(void **state) {
    (void)state;
    for (int32_t schema = HISTOGRAM_SCHEMA_MIN; schema <= HISTOGRAM_SCHEMA_MAX; schema++) {
        for (int64_t i = -600; i < 600; i++) {
            const double bound = histogram_exponential_bound(schema, i);
            const double next = histogram_exponential_bound(schema, i + 1);
            assert_true(bound < next || (bound == 0 && next == 0) || isinf(bound));
            /* each second bound of a schema is one of the next coarser */
            if (schema > HISTOGRAM_SCHEMA_MIN && i % 2 == 0) {
                assert_true(bound == histogram_exponential_bound(schema - 1, i / 2));
            }
        }
    }
}

/* ---- checking ---- */

static void what_does_not_fit_together_is_refused(void **state) {
    struct arena *arena = *state;
    struct err err;
    const double counts[] = {1, 2};
    struct histogram h = {.schema = 9};
    assert_err(histogram_check(&h, &err), ERR_INVALID, "histogram has unknown schema 9", &err);
    h = (struct histogram){.positive = side_of(arena, 0, 2, counts)};
    assert_ok(histogram_check(&h, &err), &err);
    h.positive.count = 1;
    assert_err(histogram_check(&h, &err), ERR_INVALID,
               "histogram has 1 positive buckets, its spans name 2", &err);
    h.positive = side_of(arena, INT32_MAX, 2, counts);
    assert_err(histogram_check(&h, &err), ERR_INVALID,
               "histogram has a positive bucket too far from zero", &err);
    double bounds[] = {5, 5};
    h = (struct histogram){.schema = HISTOGRAM_SCHEMA_CUSTOM, .bounds = bounds, .bound_count = 2};
    assert_err(histogram_check(&h, &err), ERR_INVALID,
               "histogram has custom bounds that do not ascend at 1", &err);
    bounds[1] = 10;
    h.positive = side_of(arena, 2, 2, counts);
    assert_err(histogram_check(&h, &err), ERR_INVALID,
               "histogram has a bucket 3 without a custom bound", &err);
}

/* ---- sums ---- */

static void sums_take_the_coarser_schema(void **state) {
    struct arena *arena = *state;
    const double fine[] = {1, 2, 3, 4};
    const double coarse[] = {10, 20};
    const struct histogram a = {
        .schema = 1, .count = 10, .sum = 1, .positive = side_of(arena, 1, 4, fine)};
    const struct histogram b = {
        .schema = 0, .count = 30, .sum = 2, .positive = side_of(arena, 1, 2, coarse)};
    struct histogram_flags flags = {.reconciled = false};
    assert_text(histogram_add(arena, &a, &b, &flags),
                "{{count:40 sum:3 offset:1 buckets:[13 27]}}");
    assert_text(histogram_add(arena, &b, &a, &flags),
                "{{count:40 sum:3 offset:1 buckets:[13 27]}}");
}

static void a_zero_bucket_swallows_up_to_a_populated_bound(void **state) {
    struct arena *arena = *state;
    const double counts[] = {1, 2, 3};
    const struct histogram a = {.count = 6,
                                .positive = side_of(arena, 0, 3, counts)}; /* (0.5,1] (1,2] (2,4] */
    const struct histogram b = {.zero_threshold = 1.5, .zero_count = 5, .count = 5};
    struct histogram_flags flags = {.reconciled = false};
    assert_text(histogram_add(arena, &a, &b, &flags),
                "{{count:11 z_bucket:8 z_bucket_w:2 offset:2 buckets:[3]}}");
}

static void custom_bounds_meet_in_their_intersection(void **state) {
    struct arena *arena = *state;
    const double counts[] = {1, 2, 3, 4};
    double three[] = {1, 2, 3};
    double one[] = {2};
    const struct histogram a = {.schema = HISTOGRAM_SCHEMA_CUSTOM,
                                .count = 10,
                                .positive = side_of(arena, 0, 4, counts),
                                .bounds = three,
                                .bound_count = 3};
    const struct histogram b = {.schema = HISTOGRAM_SCHEMA_CUSTOM,
                                .count = 3,
                                .positive = side_of(arena, 0, 2, counts),
                                .bounds = one,
                                .bound_count = 1};
    struct histogram_flags flags = {.reconciled = false};
    assert_text(histogram_add(arena, &a, &b, &flags),
                "{{schema:-53 count:13 custom_values:[2] buckets:[4 9]}}");
    assert_true(flags.reconciled);
}

static struct histogram random_histogram(struct arena *arena, struct rng *rng) {
    double counts[12];
    const uint32_t n = 1 + (uint32_t)rng_below(rng, 12);
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        counts[i] = (double)rng_below(rng, 100);
        sum += counts[i];
    }
    struct histogram h = {.schema = (int32_t)rng_below(rng, 4) - 1, .sum = sum * 2};
    h.positive = side_of(arena, (int32_t)rng_below(rng, 20) - 10, n, counts);
    h.negative = side_of(arena, (int32_t)rng_below(rng, 20) - 10, n, counts);
    h.count = 2 * sum;
    return h;
}

static double observations(const struct histogram *h) {
    struct histogram_walk walk = histogram_walk_up(h);
    struct histogram_bucket b;
    double sum = 0;
    while (histogram_walk_next(&walk, &b)) {
        sum += b.count;
    }
    return sum;
}

static void what_is_added_and_taken_away_changes_nothing(void **state) {
    struct arena *arena = *state;
    struct rng rng = rng_seeded(17);
    for (int i = 0; i < 500; i++) {
        const struct histogram a = random_histogram(arena, &rng);
        const struct histogram b = random_histogram(arena, &rng);
        struct histogram_flags flags = {.reconciled = false};
        const struct histogram *sum = histogram_add(arena, &a, &b, &flags);
        const struct histogram *back = histogram_subtract(arena, sum, &b, &flags);
        const struct histogram *want =
            a.schema > back->schema ? histogram_reduce(arena, &a, back->schema) : &a;
        assert_true(
            histogram_equal(histogram_compact(arena, back), histogram_compact(arena, want)));
        assert_true(observations(sum) == sum->count);
        assert_false(histogram_detect_reset(sum, histogram_reduce(arena, &a, sum->schema)));
        arena_reset(arena);
    }
}

static void both_walks_see_the_same_buckets(void **state) {
    struct arena *arena = *state;
    struct rng rng = rng_seeded(18);
    for (int i = 0; i < 100; i++) {
        const struct histogram a = random_histogram(arena, &rng);
        struct histogram_bucket up[64];
        size_t n = 0;
        struct histogram_walk walk = histogram_walk_up(&a);
        while (histogram_walk_next(&walk, &up[n])) {
            assert_true(n == 0 || up[n - 1].upper <= up[n].lower);
            n++;
        }
        walk = histogram_walk_down(&a);
        struct histogram_bucket b;
        while (histogram_walk_next(&walk, &b)) {
            n--;
            assert_true(b.lower == up[n].lower && b.upper == up[n].upper && b.count == up[n].count);
        }
        assert_int_equal(n, 0);
        arena_reset(arena);
    }
}

/* ---- resets ---- */

static void any_count_that_falls_is_a_reset(void **state) {
    struct arena *arena = *state;
    const double before[] = {1, 2, 3};
    const double moved[] = {1, 1, 4};
    const double more[] = {1, 2, 4};
    const struct histogram prev = {.count = 6, .positive = side_of(arena, 0, 3, before)};
    struct histogram h = {.count = 6, .positive = side_of(arena, 0, 3, moved)};
    assert_true(histogram_detect_reset(&h, &prev));
    h = (struct histogram){.count = 7, .positive = side_of(arena, 0, 3, more)};
    assert_false(histogram_detect_reset(&h, &prev));
    h.hint = HINT_RESET;
    assert_true(histogram_detect_reset(&h, &prev));
    h.hint = HINT_UNKNOWN;
    h.schema = 1; /* finer */
    assert_true(histogram_detect_reset(&h, &prev));
    h = (struct histogram){.count = 7, .zero_count = 7, .zero_threshold = 4};
    assert_false(histogram_detect_reset(&h, &prev)); /* all moved into the zero bucket */
    h.zero_threshold = 3;
    assert_true(histogram_detect_reset(&h, &prev)); /* which would cut a bucket */
}

static void hints_of_sums(void **state) {
    (void)state;
    bool conflict = false;
    assert_int_equal(histogram_sum_hint(HINT_RESET, HINT_RESET, &conflict), HINT_RESET);
    assert_int_equal(histogram_sum_hint(HINT_RESET, HINT_GAUGE, &conflict), HINT_GAUGE);
    assert_int_equal(histogram_sum_hint(HINT_RESET, HINT_UNKNOWN, &conflict), HINT_UNKNOWN);
    assert_false(conflict);
    assert_int_equal(histogram_sum_hint(HINT_RESET, HINT_NOT_RESET, &conflict), HINT_UNKNOWN);
    assert_true(conflict);
}

/* ---- trimming, texts ---- */

static void trimming_cuts_a_bucket_in_proportion(void **state) {
    struct arena *arena = *state;
    const double counts[] = {4, 8};
    double bounds[] = {10, 20};
    const struct histogram h = {.schema = HISTOGRAM_SCHEMA_CUSTOM,
                                .count = 12,
                                .sum = 100,
                                .positive = side_of(arena, 0, 2, counts),
                                .bounds = bounds,
                                .bound_count = 2};
    assert_text(histogram_trim(arena, &h, 15, true),
                "{{schema:-53 count:8 sum:70 custom_values:[10 20] buckets:[4 4]}}");
    assert_text(histogram_trim(arena, &h, 15, false),
                "{{schema:-53 count:4 sum:70 custom_values:[10 20] offset:1 buckets:[4]}}");
    assert_ptr_equal(histogram_trim(arena, &h, 30, true), &h);
}

static void the_text_lists_populated_buckets(void **state) {
    struct arena *arena = *state;
    const double counts[] = {1, 0, 2};
    const struct histogram h = {.count = 7,
                                .sum = 3.5,
                                .zero_threshold = 0.001,
                                .zero_count = 1,
                                .positive = side_of(arena, 0, 3, counts),
                                .negative = side_of(arena, 1, 3, counts)};
    struct buf text;
    buf_init(&text, 4096);
    histogram_format(&text, &h);
    assert_string_equal(text.ptr, "{count:7, sum:3.5, [-8,-4):2, [-2,-1):1, [-0.001,0.001]:1, "
                                  "(0.5,1]:1, (2,4]:2}");
    buf_release(&text);
}

static void a_full_arena_gives_nothing(void **state) {
    struct arena *arena = *state;
    const double counts[] = {1, 2};
    const struct histogram h = {.count = 3, .positive = side_of(arena, 0, 2, counts)};
    struct arena full;
    arena_init(&full, 1);
    struct histogram_flags flags = {.reconciled = false};
    assert_null(histogram_copy(&full, &h));
    assert_null(histogram_add(&full, &h, &h, &flags));
    assert_null(histogram_trim(&full, &h, 1, true));
    arena_release(&full);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(bounds_are_powers_of_the_schema),
        TEST(bounds_ascend_in_every_schema),
        TEST(what_does_not_fit_together_is_refused),
        TEST(sums_take_the_coarser_schema),
        TEST(a_zero_bucket_swallows_up_to_a_populated_bound),
        TEST(custom_bounds_meet_in_their_intersection),
        TEST(what_is_added_and_taken_away_changes_nothing),
        TEST(both_walks_see_the_same_buckets),
        TEST(any_count_that_falls_is_a_reset),
        TEST(hints_of_sums),
        TEST(trimming_cuts_a_bucket_in_proportion),
        TEST(the_text_lists_populated_buckets),
        TEST(a_full_arena_gives_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
