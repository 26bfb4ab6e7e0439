/* Loops over columns: every set does the same as the plain one. */
#include "tests/support/check_err.h"

#include <stdlib.h>

#include "tests/unit/tsdb/block_world.h"
#include "tsdb/chunk/column_kernels.h"
#include "tsdb/storage.h"

static void every_set_of_loops_does_the_same(void **state) {
    (void)state;
    uint64_t seed = 77;
    const struct column_kernels *plain = &column_kernels_portable;
    for (uint32_t i = 0; i < 3000; i++) {
        const size_t n = world_below(&seed, 140);
        const unsigned width = 1 + world_below(&seed, KERNEL_WIDTH_MAX);
        const size_t bit = world_below(&seed, 30);
        const size_t size = (bit + n * width + 7) / 8 + world_below(&seed, 3);
        uint8_t *packed = malloc(size + 1);
        uint64_t *a = malloc((n + 1) * sizeof(*a));
        uint64_t *b = malloc((n + 1) * sizeof(*b));
        double *x = malloc((n + 1) * sizeof(*x));
        double *y = malloc((n + 1) * sizeof(*y));
        assert_true(packed != NULL && a != NULL && b != NULL && x != NULL && y != NULL);
        for (size_t k = 0; k < size; k++) {
            packed[k] = (uint8_t)world_random(&seed);
        }
        const struct placement p = {world_random(&seed), (uint8_t)world_below(&seed, 64)};
        const uint64_t base = world_random(&seed) >> world_below(&seed, 64);
        const double power = num_power_of_ten[world_below(&seed, NUM_SCALE_MAX + 1)];
        const struct column_kernels *other;
        for (size_t k = 1; (other = column_kernels_at(k)) != NULL; k++) {
            plain->unpack(packed, size, bit, width, n, a);
            other->unpack(packed, size, bit, width, n, b);
            assert_memory_equal(a, b, n * sizeof(*a));
            plain->sum(a, n, i % 2 == 0, base, p.first);
            other->sum(b, n, i % 2 == 0, base, p.first);
            assert_memory_equal(a, b, n * sizeof(*a));
            plain->divide(a, n, p, power, x);
            other->divide(b, n, p, power, y);
            assert_memory_equal(x, y, n * sizeof(*x));
            plain->place(a, n, p, a);
            other->place(b, n, p, b);
            assert_memory_equal(a, b, n * sizeof(*a));
            plain->ramp(a, n, p.first, base);
            other->ramp(b, n, p.first, base);
            assert_memory_equal(a, b, n * sizeof(*a));
            assert_int_equal(plain->ascends((int64_t *)a, n), other->ascends((int64_t *)b, n));
            other->fill(b, n, base);
            for (size_t row = 0; row < n; row++) {
                assert_true(b[row] == base);
            }
        }
        free(packed);
        free(a);
        free(b);
        free(x);
        free(y);
    }
}

static void a_step_that_does_not_ascend_is_seen_wherever_it_is(void **state) {
    (void)state;
    enum { ROWS = 23 };
    const struct column_kernels *set;
    for (size_t k = 0; (set = column_kernels_at(k)) != NULL; k++) {
        for (size_t n = 0; n <= ROWS; n++) {
            int64_t v[ROWS];
            for (size_t i = 0; i < n; i++) {
                v[i] = i == 0 ? INT64_MIN : (int64_t)i * 15000 - 100000;
            }
            assert_true(set->ascends(v, n));
            for (size_t i = 1; i < n; i++) {
                const int64_t was = v[i];
                v[i] = v[i - 1];
                assert_false(set->ascends(v, n));
                v[i] = was;
            }
        }
    }
}

static void the_plain_loops_unpack_sum_and_divide(void **state) {
    (void)state;
    const struct column_kernels *plain = column_kernels_at(0);
    const uint8_t packed[] = {0x0d, 0xf8, 0x03}; /* behind one bit, 5 bits each: 6, 0, 31, 3 */
    uint64_t v[4];
    double doubles[4];
    assert_ptr_equal(plain, &column_kernels_portable);
    plain->unpack(packed, sizeof(packed), 1, 5, 4, v);
    assert_true(v[0] == 6 && v[1] == 0 && v[2] == 31 && v[3] == 3);
    plain->sum(v, 4, true, 0, 100); /* 3, 0, -16, -2 */
    assert_true(v[0] == 103 && v[1] == 103 && v[2] == 87 && v[3] == 85);
    plain->divide(v, 4, (struct placement){(uint64_t)-200, 1}, 10, doubles);
    assert_true(doubles[0] == 0.6 && doubles[2] == -2.6 && doubles[3] == -3.0);
    plain->ramp(v, 4, 1000, 10);
    assert_true(v[0] == 1103 && v[1] == 1113 && v[2] == 1107 && v[3] == 1115);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_of_loops_does_the_same),
        cmocka_unit_test(a_step_that_does_not_ascend_is_seen_wherever_it_is),
        cmocka_unit_test(the_plain_loops_unpack_sum_and_divide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
