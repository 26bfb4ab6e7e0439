/* Timestamp columns: strictly ascending times come back, even ones cost nothing, hostile bytes are
 * refused. */
#include "tests/support/check_err.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tsdb/chunk/ts_column.h"

static int64_t decoded[TS_COLUMN_ROWS_MAX + 8];

static size_t round_trip(const int64_t *ts, uint32_t count) {
    uint8_t *bytes = mem_alloc(ts_column_bytes_max(count));
    const size_t n = ts_column_encode(ts, count, bytes);
    uint8_t *exact = malloc(n);
    assert_non_null(exact);
    memcpy(exact, bytes, n);
    assert_int_equal(ts_column_decode(exact, n, count, decoded), ERR_OK);
    assert_memory_equal(decoded, ts, count * sizeof(*ts));
    for (size_t cut = 0; cut < n; cut++) {
        uint8_t *part = malloc(cut + 1);
        assert_non_null(part);
        memcpy(part, exact, cut);
        assert_int_not_equal(ts_column_decode(part, cut, count, decoded), ERR_OK);
        free(part);
    }
    free(exact);
    mem_free(bytes);
    return n;
}

static void an_even_column_costs_the_same_whatever_its_length(void **state) {
    (void)state;
    int64_t ts[2048];
    for (uint32_t i = 0; i < 2048; i++) {
        ts[i] = 1795344006535 + (int64_t)i * 15000;
    }
    assert_in_range(round_trip(ts, 64), 1, 12);
    assert_int_equal(round_trip(ts, 64), round_trip(ts, 2048));
}

static void one_late_scrape_costs_little(void **state) {
    (void)state;
    int64_t ts[64];
    for (uint32_t i = 0; i < 64; i++) {
        ts[i] = 1795344006535 + (int64_t)i * 15000 + (i == 30 ? 900 : 0);
    }
    assert_in_range(round_trip(ts, 64), 1, 20);
}

static void jitter_costs_its_bits(void **state) {
    (void)state;
    int64_t ts[64];
    for (uint32_t i = 0; i < 64; i++) {
        ts[i] = 1795344006535 + (int64_t)i * 5000 + (i * i * 7 + i) % 8; /* 3 bits */
    }
    assert_in_range(round_trip(ts, 64), 1, 20 + 64 * 4 / 8);
}

static void short_and_extreme_columns_come_back(void **state) {
    (void)state;
    const int64_t extreme[] = {INT64_MIN, -1, 0, 1, INT64_MAX};
    const int64_t wide[] = {INT64_MIN, INT64_MAX};
    const int64_t one[] = {-5};
    (void)round_trip(extreme, 5);
    (void)round_trip(extreme, 4);
    (void)round_trip(extreme + 1, 3);
    (void)round_trip(wide, 2);
    (void)round_trip(one, 1);
    int64_t growing[100];
    for (int64_t i = 0; i < 100; i++) {
        growing[i] = i * i * i;
    }
    (void)round_trip(growing, 100);
}

static void times_that_do_not_ascend_are_corrupt(void **state) {
    (void)state;
    const uint8_t standing[] = {0, 10, 0};  /* even, interval 0 */
    const uint8_t backwards[] = {0, 10, 3}; /* interval -2 */
    const uint8_t unknown[] = {9, 10, 2};
    assert_int_equal(ts_column_decode(standing, 3, 2, decoded), ERR_CORRUPT);
    assert_int_equal(ts_column_decode(standing, 3, 1, decoded), ERR_OK);
    assert_int_equal(ts_column_decode(backwards, 3, 2, decoded), ERR_CORRUPT);
    assert_int_equal(ts_column_decode(unknown, 3, 2, decoded), ERR_UNSUPPORTED);
}

static void flipped_bits_give_ascending_times_or_an_error(void **state) {
    (void)state;
    int64_t ts[40];
    uint8_t bytes[1024];
    for (uint32_t i = 0; i < 40; i++) {
        ts[i] = (int64_t)i * 15000 + (i * 37) % 11;
    }
    const size_t n = ts_column_encode(ts, 40, bytes);
    for (size_t bit = 0; bit < n * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
        if (ts_column_decode(bytes, n, 40, decoded) == ERR_OK) {
            for (uint32_t i = 1; i < 40; i++) {
                assert_true(decoded[i] > decoded[i - 1]);
            }
        }
        bytes[bit / 8] ^= (uint8_t)(1U << (bit % 8));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_even_column_costs_the_same_whatever_its_length),
        cmocka_unit_test(one_late_scrape_costs_little),
        cmocka_unit_test(jitter_costs_its_bits),
        cmocka_unit_test(short_and_extreme_columns_come_back),
        cmocka_unit_test(times_that_do_not_ascend_are_corrupt),
        cmocka_unit_test(flipped_bits_give_ascending_times_or_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
