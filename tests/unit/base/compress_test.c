/* compress: what was compressed comes back, damage is refused, and a bomb is stopped by the
 * limits before it costs memory. */
#include <string.h>
#include <zstd.h>

#include "base/compress.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/check_err.h"

typedef enum err_code inflate_fn(struct inflater *inflater, struct str in, struct buf *to,
                                 struct err *err);

static void gzip(struct str in, struct buf *to) {
    struct err err;
    buf_init(to, 1 << 30);
    assert_ok(deflate_gzip(in, 6, to, &err), &err);
}

static void zstd(struct str in, struct buf *to, bool with_size) {
    buf_init(to, 1 << 30);
    const size_t room = ZSTD_compressBound(in.len);
    char *at = buf_reserve(to, room);
    ZSTD_CCtx *c = ZSTD_createCCtx();
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, with_size)));
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1)));
    to->len = ZSTD_compress2(c, at, room, in.ptr, in.len);
    assert_false(ZSTD_isError(to->len));
    (void)ZSTD_freeCCtx(c);
}

/* Half text, half noise. */
static char *sample(size_t n) {
    struct rng rng = rng_seeded(7);
    char *bytes = mem_alloc(n);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = i % 64 < 32 ? (char)('a' + i % 7) : (char)rng_u64(&rng);
    }
    return bytes;
}

static void assert_inflates(inflate_fn *inflate, struct str in, struct str want) {
    struct err err;
    struct buf out;
    struct inflater *inflater = inflater_new();
    for (int again = 0; again < 2; again++) { /* scratch memory is used again */
        buf_init(&out, want.len + 3);
        buf_append_cstr(&out, "had");
        assert_ok(inflate(inflater, in, &out, &err), &err);
        assert_int_equal(out.len, want.len + 3);
        assert_memory_equal(out.ptr, "had", 3);
        assert_memory_equal(out.ptr + 3, want.ptr, want.len);
        buf_release(&out);
    }
    inflater_free(inflater);
}

static void what_was_compressed_comes_back(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 100, 4096, 65537, 3000000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char *bytes = sample(sizes[i]);
        const struct str in = {bytes, sizes[i]};
        struct buf packed;
        gzip(in, &packed);
        assert_inflates(inflate_gzip, buf_str(&packed), in);
        buf_release(&packed);
        for (int with_size = 0; with_size <= 1; with_size++) {
            zstd(in, &packed, with_size != 0);
            assert_inflates(inflate_zstd, buf_str(&packed), in);
            buf_release(&packed);
        }
        mem_free(bytes);
    }
}

static void members_and_frames_are_joined(void **state) {
    (void)state;
    struct buf one;
    struct buf two;
    gzip(STR("abc"), &one);
    gzip(STR("defg"), &two);
    buf_append_str(&one, buf_str(&two));
    assert_inflates(inflate_gzip, buf_str(&one), STR("abcdefg"));
    buf_release(&one);
    buf_release(&two);
    zstd(STR("abc"), &one, true);
    zstd(STR("defg"), &two, false);
    buf_append_str(&one, buf_str(&two));
    assert_inflates(inflate_zstd, buf_str(&one), STR("abcdefg"));
    buf_release(&one);
    buf_release(&two);
}

static void assert_refused(inflate_fn *inflate, struct str in, enum err_code code,
                           const char *text) {
    struct err err;
    struct buf out;
    struct inflater *inflater = inflater_new();
    buf_init(&out, 1 << 20);
    buf_append_cstr(&out, "had");
    assert_err(inflate(inflater, in, &out, &err), code, text, &err);
    assert_str(buf_str(&out), "had");
    buf_release(&out);
    inflater_free(inflater);
}

static void damage_is_refused(void **state) {
    (void)state;
    struct buf packed;
    assert_refused(inflate_gzip, STR(""), ERR_INVALID, "EOF");
    assert_refused(inflate_gzip, STR("\x1f\x8b"), ERR_INVALID, "unexpected EOF");
    assert_refused(inflate_gzip, STR("this is not gzip at all"), ERR_INVALID,
                   "gzip: invalid header");
    gzip(STR("some text that is long enough"), &packed);
    for (size_t n = 1; n < packed.len; n++) {
        assert_refused(inflate_gzip, str_sub(buf_str(&packed), 0, n), ERR_INVALID, NULL);
    }
    packed.ptr[packed.len - 6] ^= 1; /* in the checksum */
    assert_refused(inflate_gzip, buf_str(&packed), ERR_INVALID, "gzip: corrupt");
    packed.ptr[packed.len - 6] ^= 1;
    buf_append_cstr(&packed, "trailing garbage");
    assert_refused(inflate_gzip, buf_str(&packed), ERR_INVALID, "gzip: invalid header");
    buf_release(&packed);

    assert_refused(inflate_zstd, STR(""), ERR_INVALID, "unexpected EOF");
    assert_refused(inflate_zstd, STR("this is not zstd"), ERR_INVALID, "zstd: ");
    zstd(STR("some text that is long enough"), &packed, true);
    for (size_t n = 1; n < packed.len; n++) {
        assert_refused(inflate_zstd, str_sub(buf_str(&packed), 0, n), ERR_INVALID, "zstd: ");
    }
    packed.ptr[packed.len - 1] ^= 1;
    assert_refused(inflate_zstd, buf_str(&packed), ERR_INVALID, "zstd: ");
    buf_release(&packed);
}

static void output_is_limited_by_the_buffer(void **state) {
    (void)state;
    char *bytes = sample(100000);
    struct buf packed;
    struct buf out;
    struct err err;
    struct inflater *inflater = inflater_new();
    for (int kind = 0; kind < 3; kind++) {
        inflate_fn *inflate = kind == 0 ? inflate_gzip : inflate_zstd;
        if (kind == 0) {
            gzip((struct str){bytes, 100000}, &packed);
        } else {
            zstd((struct str){bytes, 100000}, &packed, kind == 1);
        }
        buf_init(&out, 100000);
        assert_ok(inflate(inflater, buf_str(&packed), &out, &err), &err);
        buf_release(&out);
        buf_init(&out, 99999);
        assert_err(inflate(inflater, buf_str(&packed), &out, &err), ERR_LIMIT,
                   "larger than 99999 bytes", &err);
        assert_true(out.capacity <= 100000);
        buf_release(&out);
        buf_release(&packed);
    }
    inflater_free(inflater);
    mem_free(bytes);
}

static void a_bomb_is_stopped_by_its_ratio(void **state) {
    (void)state;
    enum { BOMB_BYTES = 200 * 1024 * 1024 };
    char *zeros = mem_zalloc(BOMB_BYTES);
    struct buf packed;
    struct buf out;
    struct err err;
    struct inflater *inflater = inflater_new();
    for (int kind = 0; kind < 2; kind++) {
        if (kind == 0) {
            gzip((struct str){zeros, BOMB_BYTES}, &packed);
        } else {
            zstd((struct str){zeros, BOMB_BYTES}, &packed, true);
        }
        const size_t most = packed.len * 200 > 1048576 ? packed.len * 200 : 1048576;
        assert_true(most < BOMB_BYTES);
        buf_init(&out, 1 << 30);
        assert_err(
            (kind == 0 ? inflate_gzip : inflate_zstd)(inflater, buf_str(&packed), &out, &err),
            ERR_LIMIT, "content is larger", &err);
        assert_true(out.capacity <= most + 1);
        buf_release(&out);
        buf_release(&packed);
        /* Up to 1 MiB any ratio is fine. */
        if (kind == 0) {
            gzip((struct str){zeros, 1048576}, &packed);
        } else {
            zstd((struct str){zeros, 1048576}, &packed, false);
        }
        buf_init(&out, 1 << 30);
        assert_ok((kind == 0 ? inflate_gzip : inflate_zstd)(inflater, buf_str(&packed), &out, &err),
                  &err);
        assert_int_equal(out.len, 1048576);
        buf_release(&out);
        buf_release(&packed);
    }
    inflater_free(inflater);
    mem_free(zeros);
}

static void a_window_beyond_8_mib_is_refused(void **state) {
    (void)state;
    enum { CONTENT_BYTES = 20 * 1024 * 1024 };
    char *bytes = sample(CONTENT_BYTES);
    struct buf packed;
    buf_init(&packed, 1 << 30);
    const size_t room = ZSTD_compressBound(CONTENT_BYTES);
    char *at = buf_reserve(&packed, room);
    ZSTD_CCtx *c = ZSTD_createCCtx();
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 24)));
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0)));
    packed.len = ZSTD_compress2(c, at, room, bytes, CONTENT_BYTES);
    (void)ZSTD_freeCCtx(c);
    struct err err;
    struct buf out;
    struct inflater *inflater = inflater_new();
    buf_init(&out, 1 << 30);
    assert_err(inflate_zstd(inflater, buf_str(&packed), &out, &err), ERR_INVALID, "zstd: ", &err);
    buf_release(&out);
    buf_release(&packed);
    inflater_free(inflater);
    mem_free(bytes);
}

static void a_packed_piece_comes_back_with_the_size_that_was_said(void **state) {
    (void)state;
    enum { SIZE = 5000 };
    uint8_t plain[SIZE];
    uint8_t packed[SIZE];
    uint8_t out[SIZE + 1];
    struct err err;
    struct packer *packer = packer_new(3);
    struct inflater *inflater = inflater_new();
    for (size_t i = 0; i < SIZE; i++) {
        plain[i] = (uint8_t)(i % 97 * (i / 97 % 3));
    }
    const size_t n = pack_zstd(packer, plain, SIZE, packed, SIZE);
    assert_true(n != 0 && n < SIZE);
    out[SIZE] = 7;
    assert_ok(unpack_zstd(inflater, packed, n, out, SIZE, &err), &err);
    assert_memory_equal(out, plain, SIZE);
    assert_err(unpack_zstd(inflater, packed, n, out, SIZE - 1, &err), ERR_CORRUPT, "zstd", &err);
    assert_err(unpack_zstd(inflater, packed, n, out, SIZE + 1, &err), ERR_CORRUPT,
               "5000 bytes instead of 5001", &err);
    assert_err(unpack_zstd(inflater, packed, n - 1, out, SIZE, &err), ERR_CORRUPT, "zstd", &err);
    assert_err(unpack_zstd(inflater, packed, 0, out, SIZE, &err), ERR_CORRUPT, "zstd", &err);
    assert_int_equal(pack_zstd(packer, plain, SIZE, packed, n - 1), 0);
    assert_int_equal(pack_zstd(packer, plain, SIZE, packed, SIZE), n); /* no trace of the failure */
    packer_free(packer);
    inflater_free(inflater);
    packer_free(NULL);
}

static void compressing_into_too_little_room_fails(void **state) {
    (void)state;
    char *bytes = sample(10000);
    struct err err;
    struct buf out;
    for (int level = 1; level <= 12; level++) {
        buf_init(&out, 100);
        assert_err(deflate_gzip((struct str){bytes, 10000}, level, &out, &err), ERR_LIMIT, "gzip",
                   &err);
        buf_release(&out);
    }
    mem_free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_compressed_comes_back),
        cmocka_unit_test(members_and_frames_are_joined),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(output_is_limited_by_the_buffer),
        cmocka_unit_test(a_bomb_is_stopped_by_its_ratio),
        cmocka_unit_test(a_window_beyond_8_mib_is_refused),
        cmocka_unit_test(a_packed_piece_comes_back_with_the_size_that_was_said),
        cmocka_unit_test(compressing_into_too_little_room_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
