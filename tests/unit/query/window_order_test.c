/* Windows in order of value: however they slide, their bits are those of a stable sort of a copy,
 * NaNs first, both zeros as they came. */
#include "tests/support/check_err.h"

#include <math.h>
#include <string.h>

#include "query/window_order.h"

enum { VALUES = 2500, WINDOW_MAX = 200, ROUNDS = 16 };

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return *state >> 33;
}

static double any_value(uint64_t *state) {
    const uint64_t pick = next_random(state) % 10;
    if (pick == 0) {
        const uint64_t bits = 0x7ff8000000000000U | next_random(state); /* NaNs are told apart */
        double nan;
        memcpy(&nan, &bits, sizeof(nan));
        return nan;
    }
    const double zeros[] = {0.0, -0.0};
    return pick < 3   ? zeros[pick - 1]
           : pick < 5 ? (pick == 3 ? INFINITY : -INFINITY)
           : pick < 8 ? (double)(next_random(state) % 3)
                      : (double)next_random(state);
}

static void stable_sort(double *v, size_t n) {
    for (size_t i = 1; i < n; i++) {
        const double x = v[i];
        size_t at = i;
        while (at > 0 && !isnan(v[at - 1]) && (isnan(x) || v[at - 1] > x)) {
            v[at] = v[at - 1];
            at--;
        }
        v[at] = x;
    }
}

/* Each rank's value, and the one behind it. */
static void assert_order(const struct window_order *order, const double *expected, size_t n) {
    for (size_t rank = 0; rank < n; rank++) {
        double got[2];
        window_order_at(order, rank, got);
        assert_memory_equal(&got[0], &expected[rank], sizeof(got[0]));
        assert_memory_equal(&got[1], &expected[rank + 1 < n ? rank + 1 : rank], sizeof(got[1]));
    }
}

static void slide(uint64_t *state, const double *column, size_t stride, size_t widest) {
    struct work_budget budget = {.max_bytes = 0};
    struct work work;
    struct window_order order;
    struct err err;
    double expected[WINDOW_MAX];
    work_begin(&work, &budget);
    assert_ok(window_order_init(&order, &work, column, VALUES, widest, NULL, &err), &err);
    size_t low = 0;
    for (size_t high = 1; high <= VALUES; high += 1 + next_random(state) % stride) {
        low += next_random(state) % stride;
        low = low < high ? low : high - 1;
        low = high - low > widest ? high - widest : low;
        assert_int_equal(window_order_slide(&order, low, high), ERR_OK);
        memcpy(expected, column + low, (high - low) * sizeof(*expected));
        stable_sort(expected, high - low);
        assert_order(&order, expected, high - low);
    }
    work_end(&work);
}

static void slid_windows_have_the_bits_of_a_stable_sort(void **state) {
    (void)state;
    uint64_t random = 1;
    for (size_t round = 0; round < ROUNDS; round++) {
        static double column[VALUES];
        for (size_t i = 0; i < VALUES; i++) {
            column[i] = any_value(&random);
        }
        slide(&random, column, 1 + round % 40, 1 + round * 5 % WINDOW_MAX);
    }
}

static void ranking_is_stopped_by_a_cancelled_query(void **state) {
    (void)state;
    enum { MANY = 200000 };
    struct work_budget budget = {.max_bytes = 0};
    struct work work;
    struct window_order order;
    struct err err;
    struct cancel cancel;
    cancel_init(&cancel, NULL, 0);
    cancel_raise(&cancel);
    work_begin(&work, &budget);
    double *column = work_alloc(&work, MANY, sizeof(*column), &err);
    assert_non_null(column);
    for (size_t i = 0; i < MANY; i++) {
        column[i] = (double)(MANY - i);
    }
    assert_ok(window_order_init(&order, &work, column, MANY, MANY, &cancel, &err), &err);
    assert_int_equal(window_order_slide(&order, 0, MANY), ERR_CANCELED);
    work_end(&work);
}

static void a_budget_that_is_passed_is_an_error(void **state) {
    (void)state;
    struct work_budget budget = {.max_bytes = 1000};
    struct work work;
    struct window_order order;
    struct err err;
    static const double column[5000];
    work_begin(&work, &budget);
    assert_err(window_order_init(&order, &work, column, 5000, 300, NULL, &err), ERR_LIMIT,
               "query needs more than its limit of 1000 bytes of memory (--query.max-memory)",
               &err);
    work_end(&work);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slid_windows_have_the_bits_of_a_stable_sort),
        cmocka_unit_test(ranking_is_stopped_by_a_cancelled_query),
        cmocka_unit_test(a_budget_that_is_passed_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
