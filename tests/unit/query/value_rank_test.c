/* The value of a rank is, to the bit, the one a stable sort puts there, for values of every shape. */
#include "tests/support/check_err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "query/quantile.h"
#include "query/value_rank.h"

enum { VALUES_MAX = 20000, SORTED_BY_HAND = 3000, BIG = 200000 };

static double column[BIG];
static double copy[BIG];
static double sorted[BIG];

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return *state >> 33;
}

static int nan_first(const void *left, const void *right) {
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    if (isnan(a) || isnan(b)) {
        return (isnan(b) != 0) - (isnan(a) != 0);
    }
    return (a > b) - (a < b);
}

enum kind { WIDE, FEW_VALUES, ASCENDING, DESCENDING, SAW, INFINITE, ALL_EQUAL, STEEP, KIND_COUNT };

static double value_of(enum kind kind, size_t i, size_t n, uint64_t *random) {
    switch (kind) {
    case WIDE:
        return (double)next_random(random) - 1e9;
    case FEW_VALUES:
        return (double)(next_random(random) % 3) - 1;
    case ASCENDING:
        return (double)i;
    case DESCENDING:
        return (double)(n - i);
    case SAW:
        return (double)(i % 7) * 1e-300;
    case INFINITE:
        return next_random(random) % 2 == 0 ? INFINITY : -INFINITY;
    case ALL_EQUAL:
        return 42;
    case STEEP:
        return (next_random(random) % 2 == 0 ? 1 : -1) *
               ldexp(1, (int)(next_random(random) % 2000) - 1000);
    case KIND_COUNT:
        break;
    }
    return 0;
}

static void fill(enum kind kind, size_t n, uint64_t *random) {
    for (size_t i = 0; i < n; i++) {
        column[i] = value_of(kind, i, n, random) + 0.0; /* never -0 */
    }
    memcpy(sorted, column, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), nan_first);
}

static void assert_rank(size_t n, size_t rank) {
    double got[2];
    memcpy(copy, column, n * sizeof(*copy));
    assert_int_equal(value_rank_find(copy, n, rank, NULL, got), VALUE_RANK_FOUND);
    assert_memory_equal(&got[0], &sorted[rank], sizeof(got[0]));
    assert_memory_equal(&got[1], &sorted[rank + 1 < n ? rank + 1 : rank], sizeof(got[1]));
}

static void any_rank_has_the_value_that_sorting_gives(void **state) {
    (void)state;
    static const size_t SIZES[] = {1, 2, 24, 25, 26, 100, 511, 512, 2000, 8192, VALUES_MAX};
    uint64_t random = 7;
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        for (size_t s = 0; s < sizeof(SIZES) / sizeof(*SIZES); s++) {
            const size_t n = SIZES[s];
            fill((enum kind)kind, n, &random);
            assert_rank(n, 0);
            assert_rank(n, n - 1);
            assert_rank(n, n / 2);
            for (int i = 0; i < 40; i++) {
                assert_rank(n, next_random(&random) % n);
            }
        }
    }
}

static void every_rank_of_a_hundred_values_is_found(void **state) {
    (void)state;
    uint64_t random = 3;
    for (int round = 0; round < 300; round++) {
        const size_t n = 25 + next_random(&random) % 100;
        fill((enum kind)(round % KIND_COUNT), n, &random);
        for (size_t rank = 0; rank < n; rank++) {
            assert_rank(n, rank);
        }
    }
}

static void nans_are_less_than_all(void **state) {
    (void)state;
    uint64_t random = 5;
    double got[2];
    for (size_t n = 30; n < 300; n += 9) {
        fill(WIDE, n, &random);
        size_t nans = 0;
        for (size_t i = 0; i < n; i += 1 + next_random(&random) % 9) {
            column[i] = NAN;
            nans++;
        }
        memcpy(sorted, column, n * sizeof(*sorted));
        qsort(sorted, n, sizeof(*sorted), nan_first);
        for (size_t rank = nans; rank < n; rank++) {
            assert_rank(n, rank);
        }
        memcpy(copy, column, n * sizeof(*copy));
        assert_int_equal(value_rank_find(copy, n, nans - 1, NULL, got), VALUE_RANK_SORT);
        assert_memory_equal(copy, column, n * sizeof(*copy));
    }
}

static void zeros_of_both_signs_are_left_to_the_sort(void **state) {
    (void)state;
    uint64_t random = 11;
    double got[2];
    fill(FEW_VALUES, 100, &random);
    column[50] = -0.0;
    memcpy(copy, column, 100 * sizeof(*copy));
    assert_int_equal(value_rank_find(copy, 100, 50, NULL, got), VALUE_RANK_SORT);
    assert_memory_equal(copy, column, 100 * sizeof(*copy));
}

static void equal_least_values_among_steep_ones_are_found(void **state) {
    (void)state;
    enum { N = 8000 };
    for (size_t i = 0; i < N; i++) {
        column[i] = i % 250 == 0 ? -1e300 : ldexp(1, (int)(i % 1000)) * (double)(1 + i);
    }
    memcpy(sorted, column, N * sizeof(*sorted));
    qsort(sorted, N, sizeof(*sorted), nan_first);
    for (size_t rank = 0; rank < N; rank += 97) {
        assert_rank(N, rank);
    }
}

static void a_search_ends_with_its_cancel(void **state) {
    (void)state;
    struct cancel cancel;
    uint64_t random = 1;
    double got[2];
    cancel_init(&cancel, clock_system(), 0);
    cancel_raise(&cancel);
    fill(WIDE, BIG, &random);
    assert_int_equal(value_rank_find(column, BIG, 3, &cancel, got), VALUE_RANK_STOPPED);
}

/* ---- quantile_of_many ---- */

static double by_sorting(double phi, const double *values, size_t n) {
    memcpy(sorted, values, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), nan_first);
    return quantile_of_sorted(phi, sorted, n);
}

static void quantiles_have_the_bits_of_a_sort(void **state) {
    (void)state;
    static const double PHIS[] = {0, 0.001, 0.25, 0.5, 0.9, 0.99, 1, -1, 2, NAN};
    struct work_budget budget = {.max_bytes = 0};
    struct work work;
    struct err err;
    uint64_t random = 17;
    work_begin(&work, &budget);
    for (int round = 0; round < 400; round++) {
        const size_t n = 1 + next_random(&random) % SORTED_BY_HAND;
        fill((enum kind)(round % KIND_COUNT), n, &random);
        for (size_t i = 0; i < n && round % 3 == 0; i += 1 + next_random(&random) % 50) {
            column[i] = round % 2 == 0 ? NAN : -0.0;
        }
        for (size_t i = 0; i < sizeof(PHIS) / sizeof(*PHIS); i++) {
            double got = 0;
            const double want = by_sorting(PHIS[i], column, n);
            memcpy(copy, column, n * sizeof(*copy));
            assert_ok(quantile_of_many(PHIS[i], copy, n, &work, NULL, &got, &err), &err);
            assert_memory_equal(&got, &want, sizeof(got));
        }
        work_reset(&work);
    }
    work_end(&work);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_rank_has_the_value_that_sorting_gives),
        cmocka_unit_test(every_rank_of_a_hundred_values_is_found),
        cmocka_unit_test(nans_are_less_than_all),
        cmocka_unit_test(zeros_of_both_signs_are_left_to_the_sort),
        cmocka_unit_test(equal_least_values_among_steep_ones_are_found),
        cmocka_unit_test(a_search_ends_with_its_cancel),
        cmocka_unit_test(quantiles_have_the_bits_of_a_sort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
