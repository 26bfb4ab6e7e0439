/* Buffers stay within their most bytes, whatever that is, and say so when something did not fit. */
#include <string.h>

#include "base/buf.h"
#include "tests/support/check_err.h"

static void a_buffer_without_a_limit_grows(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, SIZE_MAX);
    for (int i = 0; i < 1000; i++) {
        buf_append(&b, "0123456789", 10);
    }
    assert_true(buf_ok(&b));
    assert_int_equal(b.len, 10000);
    assert_memory_equal(b.ptr + 9990, "0123456789", 10);
    assert_int_equal(b.ptr[b.len], '\0');
    buf_release(&b);
}

static void a_full_buffer_takes_its_last_byte_and_refuses_the_next(void **state) {
    (void)state;
    for (size_t max = 0; max < 70; max++) {
        struct buf b;
        buf_init(&b, max);
        for (size_t i = 0; i < max; i++) {
            buf_append(&b, "x", 1);
        }
        assert_true(buf_ok(&b));
        assert_int_equal(b.len, max);
        buf_append(&b, "y", 1);
        assert_false(buf_ok(&b));
        buf_append(&b, "", 0); /* stays failed */
        assert_false(buf_ok(&b));
        buf_release(&b);
    }
}

static void more_bytes_than_there_can_be_are_refused(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 100);
    buf_append(&b, "abc", 3);
    assert_null(buf_reserve(&b, SIZE_MAX));
    assert_false(buf_ok(&b));
    buf_clear(&b);
    assert_true(buf_ok(&b));
    assert_null(buf_reserve(&b, 101));
    buf_release(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_without_a_limit_grows),
        cmocka_unit_test(a_full_buffer_takes_its_last_byte_and_refuses_the_next),
        cmocka_unit_test(more_bytes_than_there_can_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
