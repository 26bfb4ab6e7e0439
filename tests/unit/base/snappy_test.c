/* snappy: what was packed comes back, damage is refused, and a declared size costs nothing before
 * it is believed. */
#include <snappy-c.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/snappy.h"
#include "tests/support/check_err.h"
#include "tests/support/snappy_pack.h"

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

/* How many bytes elements stand for, sound or not. */
static size_t content_bytes(const uint8_t *at, size_t n) {
    size_t total = 0;
    for (size_t i = 0; i < n;) {
        const unsigned kind = at[i] & 3;
        const size_t upper = at[i] >> 2;
        const size_t bytes = kind == 1 ? 4 + (upper & 7) : upper + 1;
        total += bytes;
        i += 1 + (kind == 0 ? bytes : kind == 3 ? 4 : kind);
    }
    return total;
}

/* Elements of any kind, sound and unsound, in a message of any size: libsnappy is asked what they are. */
static size_t random_message(struct rng *rng, uint8_t *to, size_t max) {
    size_t n = 0;
    to[n++] = (uint8_t)(0x80 | (rng_u64(rng) & 0x7F));
    to[n++] = (uint8_t)(rng_u64(rng) % 16);
    while (n + 80 < max) {
        const uint64_t r = rng_u64(rng);
        const unsigned kind = r % 8 < 3 ? 0 : r % 8 < 5 ? 1 : r % 8 < 7 ? 2 : 3;
        const size_t bytes = 1 + (r >> 8) % (kind == 0 ? 60 : 64);
        to[n++] = (uint8_t)((bytes - 1) << 2 | kind);
        if (kind == 0) {
            memset(to + n, 'a' + (int)(r >> 20 & 0xF), bytes);
            to[n] = (uint8_t)(r >> 32);
            n += bytes;
        } else {
            const uint32_t before = 1 + (uint32_t)(r >> 24) % (r % 64 == 0 ? 5000 : 40);
            memcpy(to + n, &before, sizeof(before));
            n += kind == 3 ? 4 : kind;
        }
        if ((r >> 60) == 0) {
            break;
        }
    }
    return n;
}

static void any_elements_are_what_the_library_says(void **state) {
    (void)state;
    struct rng rng = rng_seeded(29);
    uint8_t message[2048];
    size_t good_count = 0;
    for (size_t round = 0; round < 20000; round++) {
        const size_t n = random_message(&rng, message, 100 + round % 1900);
        /* The size that is right mostly, so that the elements decide. */
        struct buf ours;
        struct err err;
        buf_init(&ours, 64 << 10);
        for (size_t size = 0; size < 2; size++) {
            size_t expected = 0;
            char theirs[4096];
            assert_int_equal(snappy_uncompressed_length((char *)message, n, &expected), SNAPPY_OK);
            const bool good = snappy_uncompress((char *)message, n, theirs, &expected) == SNAPPY_OK;
            const enum err_code code = snappy_unpack((struct str){(char *)message, n}, &ours, &err);
            assert_int_equal(code, good ? ERR_OK : ERR_INVALID);
            assert_int_equal(ours.len, good ? expected : 0);
            assert_true(!good || memcmp(ours.ptr, theirs, expected) == 0);
            good_count += good ? 1 : 0;
            const size_t right = content_bytes(message + 2, n - 2);
            message[0] = (uint8_t)(0x80 | (right & 0x7F));
            message[1] = (uint8_t)(right >> 7);
            buf_clear(&ours);
            if (right > sizeof(theirs)) {
                break;
            }
        }
        buf_release(&ours);
    }
    assert_true(good_count > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_bytes_come_back),
        cmocka_unit_test(every_cut_is_corrupt_and_leaves_the_buffer_alone),
        cmocka_unit_test(a_declared_size_above_the_limit_takes_no_memory),
        cmocka_unit_test(a_size_that_so_few_bytes_cannot_have_takes_no_memory),
        cmocka_unit_test(any_elements_are_what_the_library_says),
        cmocka_unit_test(the_densest_content_is_not_taken_for_a_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
