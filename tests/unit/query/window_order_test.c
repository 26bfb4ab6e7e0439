/* Windows in order of value: however they slide, their bits are those of a stable sort of a copy,
 * NaNs first, both zeros as they came. */
#include "tests/support/check_err.h"

#include <math.h>
#include <string.h>

#include "query/window_order.h"

enum { VALUES = 400, ROUNDS = 300 };

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

static void slide(uint64_t *state, const double *column, size_t stride) {
    struct work_budget budget = {.max_bytes = 0};
    struct work work;
    struct window_order order;
    struct err err;
    double expected[VALUES];
    work_begin(&work, &budget);
    assert_ok(window_order_init(&order, &work, column, VALUES, &err), &err);
    size_t low = 0;
    for (size_t high = 1; high <= VALUES; high += 1 + next_random(state) % stride) {
        low += next_random(state) % stride;
        low = low < high ? low : high - 1;
        const double *sorted = window_order_slide(&order, low, high);
        memcpy(expected, column + low, (high - low) * sizeof(*expected));
        stable_sort(expected, high - low);
        assert_memory_equal(sorted, expected, (high - low) * sizeof(*expected));
    }
    work_end(&work);
}

static void slid_windows_have_the_bits_of_a_stable_sort(void **state) {
    (void)state;
    uint64_t random = 1;
    for (size_t round = 0; round < ROUNDS; round++) {
        double column[VALUES];
        for (size_t i = 0; i < VALUES; i++) {
            column[i] = any_value(&random);
        }
        slide(&random, column, 1 + round % 40);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slid_windows_have_the_bits_of_a_stable_sort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
