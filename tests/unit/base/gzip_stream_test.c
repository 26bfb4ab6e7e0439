/* gzip_stream: whatever the pieces, one member comes out that inflates to the whole text. */
#include "base/gzip_stream.h"

#include <stdlib.h>

#include "base/compress.h"
#include "tests/support/check_err.h"

enum { TEXT_BYTES = 300 * 1000 };

static char text[TEXT_BYTES];

static void make_text(unsigned noise) {
    unsigned state = 1;
    for (size_t i = 0; i < TEXT_BYTES; i++) {
        state = state * 1664525 + 1013904223;
        text[i] = (char)('a' + (state >> 16) % noise);
    }
}

static void check(size_t piece_bytes) {
    struct gzip_stream *stream = gzip_stream_new(1);
    struct buf packed;
    struct buf out;
    struct err err;
    buf_init(&packed, 2 * TEXT_BYTES);
    buf_init(&out, 2 * TEXT_BYTES);
    for (size_t at = 0; at < TEXT_BYTES; at += piece_bytes) {
        const struct str all = {text, TEXT_BYTES};
        gzip_stream_write(stream, str_sub(all, at, piece_bytes), false, &packed);
    }
    gzip_stream_write(stream, STR(""), true, &packed);
    gzip_stream_free(stream);
    struct inflater *inflater = inflater_new();
    assert_ok(inflate_gzip(inflater, buf_str(&packed), &out, &err), &err);
    assert_true(str_eq(buf_str(&out), (struct str){text, TEXT_BYTES}));
    inflater_free(inflater);
    buf_release(&out);
    buf_release(&packed);
}

static void any_pieces_give_the_whole_text(void **state) {
    (void)state;
    static const size_t SIZES[] = {997, 4096, 65536, TEXT_BYTES};
    for (size_t i = 0; i < COUNT_OF(SIZES); i++) {
        make_text(3);
        check(SIZES[i]);
        make_text(25);
        check(SIZES[i]);
    }
}

static void an_empty_text_is_a_member(void **state) {
    (void)state;
    struct gzip_stream *stream = gzip_stream_new(1);
    struct inflater *inflater = inflater_new();
    struct buf packed;
    struct buf out;
    struct err err;
    buf_init(&packed, 1 << 20);
    buf_init(&out, 1024);
    gzip_stream_write(stream, STR(""), true, &packed);
    assert_ok(inflate_gzip(inflater, buf_str(&packed), &out, &err), &err);
    assert_int_equal(out.len, 0);
    inflater_free(inflater);
    gzip_stream_free(stream);
    gzip_stream_free(NULL);
    buf_release(&out);
    buf_release(&packed);
}

static void the_output_fails_at_its_maximum(void **state) {
    (void)state;
    make_text(25);
    struct gzip_stream *stream = gzip_stream_new(1);
    struct buf packed;
    buf_init(&packed, 70 * 1000);
    gzip_stream_write(stream, (struct str){text, TEXT_BYTES}, true, &packed);
    assert_false(buf_ok(&packed));
    gzip_stream_free(stream);
    buf_release(&packed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_pieces_give_the_whole_text),
        cmocka_unit_test(an_empty_text_is_a_member),
        cmocka_unit_test(the_output_fails_at_its_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
