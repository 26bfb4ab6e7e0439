/* tsdb/partition_series_table.h: what was added is read again, by blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/attr.h"
#include "base/cursor.h"
#include "tsdb/partition_numbers.h"
#include "tsdb/partition_series_table.h"

enum { MOST = 3 * PARTITION_SERIES_GROUP };

static void check_table(const uint32_t (*rows)[SERIES_COLUMNS], size_t count) {
    struct series_table table;
    uint32_t sets[PARTITION_SERIES_GROUP];
    series_table_init(&table);
    for (size_t i = 0; i < count; i++) {
        series_table_add(&table, rows[i][0], rows[i][1], rows[i][2]);
    }
    series_table_finish(&table);
    assert_true(buf_ok(&table.bytes));
    assert_int_equal(table.block_count,
                     (count + PARTITION_SERIES_GROUP - 1) / PARTITION_SERIES_GROUP);
    for (enum series_column column = SERIES_TARGET; column <= SERIES_METRIC; column++) {
        size_t at = 0;
        for (size_t block = 0; block < table.block_count; block++) {
            const size_t n = series_table_sets(&table, block, column, sets);
            for (size_t i = 0; i < n; i++) {
                assert_int_equal(sets[i], rows[at++][column]);
            }
        }
        assert_int_equal(at, count);
    }
    series_table_release(&table);
}

static void sets_of_any_number_of_series_come_back(void **state) {
    static const size_t counts[] = {0,
                                    1,
                                    PARTITION_SERIES_GROUP - 1,
                                    PARTITION_SERIES_GROUP,
                                    PARTITION_SERIES_GROUP + 1,
                                    MOST - 1,
                                    MOST};
    uint32_t rows[MOST][SERIES_COLUMNS];
    uint64_t x = 88172645463325252;
    (void)state;
    for (size_t i = 0; i < MOST; i++) {
        for (size_t column = 0; column < SERIES_COLUMNS; column++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            rows[i][column] = (uint32_t)(x >> (i % 33 + 31)); /* of any size */
        }
    }
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        check_table(rows, counts[i]);
    }
}

static void numbers_that_are_cut_off_are_refused(void **state) {
    static const int64_t numbers[] = {7, 1 << 20, 3, 900, 12, 5};
    struct buf bytes;
    int64_t out[COUNT_OF(numbers)];
    (void)state;
    buf_init(&bytes, 1 << 10);
    partition_numbers_append(&bytes, numbers, COUNT_OF(numbers));
    for (size_t n = 0; n < bytes.len; n++) {
        struct cursor c = cursor_of(bytes.ptr, n);
        assert_false(partition_numbers_take(&c, COUNT_OF(numbers), out));
    }
    struct cursor c = cursor_of(bytes.ptr, bytes.len);
    assert_true(partition_numbers_take(&c, COUNT_OF(numbers), out));
    assert_int_equal(cursor_left(&c), 0);
    assert_memory_equal(out, numbers, sizeof(numbers));
    buf_release(&bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_of_any_number_of_series_come_back),
        cmocka_unit_test(numbers_that_are_cut_off_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
