/* snappy: what was packed comes back, damage is refused, and a declared size costs nothing before
 * it is believed. */
#include "base/mem.h"
#include "base/rng.h"
#include "base/snappy.h"
#include "tests/support/check_err.h"

static void packed_bytes_come_back(void **state) {
    (void)state;
    struct rng rng = rng_seeded(3);
    static const size_t sizes[] = {0, 1, 60, 61, 4096, 100000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct buf in;
        struct buf packed;
        struct buf out;
        struct err err;
        buf_init(&in, 1 << 20);
        buf_init(&packed, 1 << 20);
        buf_init(&out, 1 << 20);
        for (size_t k = 0; k < sizes[i]; k++) {
            buf_append_char(&in, (char)(k % 64 < 32 ? 'a' : (int)(rng_u64(&rng) & 0xFF)));
        }
        snappy_pack(buf_str(&in), &packed);
        buf_append_cstr(&out, "before ");
        assert_ok(snappy_unpack(buf_str(&packed), &out, &err), &err);
        assert_true(str_eq(str_from(buf_str(&out), 7), buf_str(&in)));
        assert_int_equal(out.ptr[out.len], '\0');
        buf_release(&in);
        buf_release(&packed);
        buf_release(&out);
    }
}

static void every_cut_is_corrupt_and_leaves_the_buffer_alone(void **state) {
    (void)state;
    struct buf packed;
    struct buf out;
    struct err err;
    buf_init(&packed, 4096);
    buf_init(&out, 4096);
    snappy_pack(STR("abcabcabcabcabcabcabcabcabcabcabcabc and more"), &packed);
    buf_append_cstr(&out, "kept");
    for (size_t cut = 0; cut < packed.len; cut++) {
        assert_err(snappy_unpack(str_sub(buf_str(&packed), 0, cut), &out, &err), ERR_INVALID,
                   "snappy: corrupt input", &err);
        assert_string_equal(buf_str(&out).ptr, "kept");
    }
    buf_release(&packed);
    buf_release(&out);
}

static void a_declared_size_above_the_limit_takes_no_memory(void **state) {
    (void)state;
    struct buf out;
    struct err err;
    buf_init(&out, 32 << 20);
    assert_err(snappy_unpack(STR("\x81\x80\x80\x10\x00z"), &out, &err), ERR_LIMIT, NULL, &err);
    assert_err(snappy_unpack(STR("\xff\xff\xff\xff\x0f\x00z"), &out, &err), ERR_LIMIT, NULL, &err);
    assert_int_equal(out.capacity, 0);
    buf_release(&out);
}

static void a_size_that_so_few_bytes_cannot_have_takes_no_memory(void **state) {
    (void)state;
    struct buf out;
    struct err err;
    buf_init(&out, 32 << 20);
    assert_err(snappy_unpack(STR("\x80\x80\x80\x10\x00z"), &out, &err), ERR_INVALID,
               "snappy: corrupt input", &err);
    assert_int_equal(out.capacity, 0);
    buf_release(&out);
}

static void the_densest_content_is_not_taken_for_a_lie(void **state) {
    (void)state;
    struct buf in;
    struct buf packed;
    struct buf out;
    struct err err;
    buf_init(&in, 8 << 20);
    buf_init(&packed, 8 << 20);
    buf_init(&out, 8 << 20);
    char *zeros = buf_reserve(&in, 4 << 20);
    memset(zeros, 0, 4 << 20);
    in.len = 4 << 20;
    snappy_pack(buf_str(&in), &packed);
    assert_ok(snappy_unpack(buf_str(&packed), &out, &err), &err);
    assert_true(str_eq(buf_str(&out), buf_str(&in)));
    buf_release(&in);
    buf_release(&packed);
    buf_release(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_bytes_come_back),
        cmocka_unit_test(every_cut_is_corrupt_and_leaves_the_buffer_alone),
        cmocka_unit_test(a_declared_size_above_the_limit_takes_no_memory),
        cmocka_unit_test(a_size_that_so_few_bytes_cannot_have_takes_no_memory),
        cmocka_unit_test(the_densest_content_is_not_taken_for_a_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
