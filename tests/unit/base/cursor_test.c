/* cursor: no read passes the end, and a failed one is seen later. */
#include "base/cursor.h"

#include "base/bytes.h"
#include "tests/support/check_err.h"

static void reads_integers_of_all_widths(void **state) {
    (void)state;
    uint8_t bytes[64];
    uint8_t *to = put_u8(bytes, 0xAB);
    to = put_u16(to, 0x1234);
    to = put_u32(to, 0xDEADBEEF);
    to = put_u64(to, 0x0123456789ABCDEFULL);
    to = put_uvarint(to, UINT64_MAX);
    to = put_varint(to, INT64_MIN);
    to = put_u32(to, 0x04030201);
    struct cursor c = cursor_of(bytes, (size_t)(to - bytes));
    assert_int_equal(cursor_u8(&c), 0xAB);
    assert_int_equal(cursor_u16(&c), 0x1234);
    assert_int_equal(cursor_u32(&c), 0xDEADBEEF);
    assert_true(cursor_u64(&c) == 0x0123456789ABCDEFULL);
    assert_true(cursor_uvarint(&c) == UINT64_MAX);
    assert_true(cursor_varint(&c) == INT64_MIN);
    assert_int_equal(cursor_u32be(&c), 0x01020304);
    assert_false(c.failed);
    assert_int_equal(cursor_left(&c), 0);
}

static void a_read_past_the_end_fails_and_moves_nothing(void **state) {
    (void)state;
    const uint8_t bytes[3] = {1, 2, 3};
    struct cursor c = cursor_of(bytes, 3);
    assert_int_equal(cursor_u32(&c), 0);
    assert_true(c.failed);
    assert_int_equal(cursor_offset(&c), 0);
    assert_int_equal(cursor_u8(&c), 0); /* and stays failed */
    assert_null(cursor_bytes(&c, 1));
    struct cursor empty = cursor_of(NULL, 0);
    assert_int_equal(cursor_peek(&empty), -1);
    assert_int_equal(cursor_take_until(&empty, ',').len, 0);
    assert_int_equal(cursor_uvarint(&empty), 0);
    assert_true(empty.failed);
}

static void a_varint_over_64_bits_fails(void **state) {
    (void)state;
    static const uint8_t too_big[10] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2};
    static const uint8_t too_long[11] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                         0x80, 0x80, 0x80, 0x80, 0};
    struct cursor c = cursor_of(too_big, sizeof(too_big));
    assert_int_equal(cursor_uvarint(&c), 0);
    assert_true(c.failed);
    c = cursor_of(too_long, sizeof(too_long));
    assert_int_equal(cursor_uvarint(&c), 0);
    assert_true(c.failed);
}

static void a_string_longer_than_the_rest_fails(void **state) {
    (void)state;
    static const uint8_t good[] = {2, 'h', 'i', 9, 'x'};
    struct cursor c = cursor_of(good, sizeof(good));
    assert_str(cursor_str(&c), "hi");
    assert_int_equal(cursor_str(&c).len, 0);
    assert_true(c.failed);
    assert_int_equal(cursor_offset(&c), 3);
}

static void takes_text_by_pieces(void **state) {
    (void)state;
    static const uint8_t lower[256] = {['a'] = 1, ['b'] = 1};
    struct cursor c = cursor_of("abba \t=x,rest", 13);
    assert_str(cursor_take_class(&c, lower), "abba");
    cursor_skip_blanks(&c);
    assert_false(cursor_take_char(&c, 'x'));
    assert_true(cursor_take_char(&c, '='));
    assert_str(cursor_take_until(&c, ','), "x");
    assert_true(cursor_take_str(&c, STR(",re")));
    assert_false(cursor_take_str(&c, STR("stop")));
    assert_str(cursor_take_until(&c, ','), "st");
    assert_false(c.failed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_integers_of_all_widths),
        cmocka_unit_test(a_read_past_the_end_fails_and_moves_nothing),
        cmocka_unit_test(a_varint_over_64_bits_fails),
        cmocka_unit_test(a_string_longer_than_the_rest_fails),
        cmocka_unit_test(takes_text_by_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
