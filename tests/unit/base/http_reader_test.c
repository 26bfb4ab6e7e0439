/* http_reader: one response in pieces of any size; what is not plain is a surprise. */
#include <stdio.h>
#include <string.h>

#include "base/http_reader.h"
#include "tests/support/check_err.h"

struct reading {
    struct http_reply reply;
    struct http_reader reader;
    struct buf buf;
    enum http_read result;
};

/* Feeds text in pieces of piece bytes until it is no longer MORE. */
static void feed(struct reading *r, const char *text, size_t piece, size_t max_body_bytes) {
    const size_t len = strlen(text);
    http_reply_init(&r->reply);
    http_reader_init(&r->reader, &r->reply, max_body_bytes);
    buf_init(&r->buf, max_body_bytes + 2 * HTTP_HEAD_BYTES_MAX);
    r->result = HTTP_READ_MORE;
    for (size_t at = 0; at < len && r->result == HTTP_READ_MORE; at += piece) {
        buf_append(&r->buf, text + at, piece < len - at ? piece : len - at);
        r->result = http_reader_feed(&r->reader, &r->buf);
    }
}

static void release(struct reading *r) {
    http_reply_release(&r->reply);
    buf_release(&r->buf);
}

static void a_body_of_known_length_ends_with_its_last_byte(void **state) {
    (void)state;
    const char *const text = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                             "Content-Length: 5\r\n\r\nup 1\n";
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct reading r;
        feed(&r, text, piece, 100);
        assert_int_equal(r.result, HTTP_READ_DONE);
        assert_str(buf_str(&r.buf), "up 1\n");
        assert_string_equal(r.buf.ptr, "up 1\n");
        assert_int_equal(r.reply.status, 200);
        assert_str(http_reply_get(&r.reply, REPLY_CONTENT_TYPE), "text/plain");
        assert_false(r.reader.excess);
        assert_false(r.reply.closes);
        release(&r);
    }
}

static void chunks_are_joined_in_pieces_of_any_size(void **state) {
    (void)state;
    const char *const text = "HTTP/1.1 503 Busy\r\ntransfer-encoding: Chunked\r\n\r\n"
                             "3\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n";
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct reading r;
        feed(&r, text, piece, 13);
        assert_int_equal(r.result, HTTP_READ_DONE);
        assert_str(buf_str(&r.buf), "abc0123456789");
        assert_int_equal(r.reply.status, 503);
        assert_false(r.reader.excess);
        release(&r);
    }
}

static void an_empty_body_is_whole_at_once(void **state) {
    (void)state;
    static const char *const texts[] = {
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct reading r;
        feed(&r, texts[i], 7, 0);
        assert_int_equal(r.result, HTTP_READ_DONE);
        assert_int_equal(r.buf.len, 0);
        assert_false(r.reader.excess);
        release(&r);
    }
}

static void a_body_of_a_status_without_one_is_not_waited_for_nor_trusted(void **state) {
    (void)state;
    static const char *const texts[] = {
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 99999\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct reading r;
        feed(&r, texts[i], 1000, 10);
        assert_int_equal(r.result, HTTP_READ_DONE);
        assert_int_equal(r.buf.len, 0);
        assert_true(r.reader.excess); /* the connection is not used again */
        release(&r);
    }
}

static void a_peer_that_will_close_is_noticed(void **state) {
    (void)state;
    struct reading r;
    feed(&r, "HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx", 100, 10);
    assert_int_equal(r.result, HTTP_READ_DONE);
    assert_true(r.reply.closes);
    release(&r);
    feed(&r, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx", 100, 10);
    assert_false(r.reply.closes);
    release(&r);
}

static void bytes_behind_the_body_are_noticed_and_not_part_of_it(void **state) {
    (void)state;
    struct reading r;
    feed(&r, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", 1000, 10);
    assert_int_equal(r.result, HTTP_READ_DONE);
    assert_str(buf_str(&r.buf), "ok");
    assert_true(r.reader.excess);
    release(&r);
}

static void a_body_beyond_the_limit_is_refused_before_it_is_read(void **state) {
    (void)state;
    static const char *const texts[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n5\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct reading r;
        feed(&r, texts[i], 3, 10);
        assert_int_equal(r.result, HTTP_READ_TOO_LARGE);
        assert_true(http_reader_has_head(&r.reader));
        release(&r);
    }
}

static void a_body_of_unknown_length_goes_up_to_the_end(void **state) {
    (void)state;
    static const char *const heads[] = {"HTTP/1.1 200 OK\r\n\r\n",
                                        "HTTP/1.0 200 OK\r\nA: b\r\n\r\n"};
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        char text[100];
        (void)snprintf(text, sizeof(text), "%s%s", heads[i], "that is all");
        for (size_t piece = 1; piece <= strlen(text); piece++) {
            struct reading r;
            feed(&r, text, piece, 11);
            assert_int_equal(r.result, HTTP_READ_MORE);
            assert_true(http_reader_may_end(&r.reader));
            assert_str(buf_str(&r.buf), "that is all");
            assert_string_equal(r.buf.ptr, "that is all");
            release(&r);
            feed(&r, text, piece, 10);
            assert_int_equal(r.result, HTTP_READ_TOO_LARGE);
            release(&r);
        }
        struct reading r;
        feed(&r, heads[i], 1, 0);
        assert_int_equal(r.result, HTTP_READ_MORE);
        assert_true(http_reader_may_end(&r.reader));
        assert_int_equal(r.buf.len, 0);
        release(&r);
    }
}

static void an_old_peer_closes_whatever_it_says(void **state) {
    (void)state;
    struct reading r;
    feed(&r, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nold", 7, 100);
    assert_int_equal(r.result, HTTP_READ_DONE);
    assert_false(http_reader_may_end(&r.reader));
    assert_str(buf_str(&r.buf), "old");
    assert_true(r.reply.closes);
    release(&r);
}

static void what_is_not_plain_is_a_surprise(void **state) {
    (void)state;
#define OK_LINE "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK_LINE "Transfer-Encoding: chunked\r\n\r\n"
    static const char *const texts[] = {
        "this is not HTTP\n\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nno colon\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n",
        OK_LINE "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
        OK_LINE "Content-Length: 1, 1\r\n\r\n",
        OK_LINE "Content-Length: -1\r\n\r\n",
        OK_LINE "Content-Length: +1\r\n\r\n",
        OK_LINE "Content-Length: \r\n\r\n",
        OK_LINE "Content-Length: 9999999999999999999\r\n\r\n",
        OK_LINE "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK_LINE "Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK_LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK_LINE "Content-Length : 1\r\n\r\n",
        OK_LINE "Content-Length: 1\r\n folded\r\n\r\n",
        OK_LINE "Content-Length: 1\nA: b\r\n\r\n",
        OK_LINE "A: b\rContent-Length: 1\r\n\r\n",
        OK_LINE "HTTP/1.1 500: x\r\nContent-Length: 1\r\n\r\n",
        OK_LINE "HTTP/1.1: x\r\nContent-Length: 1\r\n\r\n",
        OK_LINE ": x\r\nContent-Length: 1\r\n\r\n",
        OK_LINE "no colon\r\nContent-Length: 1\r\n\r\n",
        CHUNKED "\r\n",
        CHUNKED "g\r\n",
        CHUNKED "1;ext=1\r\n",
        CHUNKED "0000000000000000001\r\n",
        CHUNKED "-1\r\n",
        CHUNKED "1\r\nabc",
        CHUNKED "1\na\n0123456789abcdef",
    };
#undef CHUNKED
#undef OK_LINE
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        for (size_t piece = 1; piece < 200; piece += 66) {
            struct reading r;
            feed(&r, texts[i], piece, 100);
            assert_int_equal(r.result, HTTP_READ_SURPRISE);
            release(&r);
        }
    }
}

static void interim_responses_are_passed_over(void **state) {
    (void)state;
    const char *const text = "HTTP/1.1 100 Continue\r\n\r\n"
                             "HTTP/1.1 103 Early Hints\r\nConnection: close\r\n"
                             "Content-Type: text/css\r\nRetry-After: 7\r\n\r\n"
                             "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                             "Content-Length: 5\r\n\r\nup 1\n";
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct reading r;
        feed(&r, text, piece, 5);
        assert_int_equal(r.result, HTTP_READ_DONE);
        assert_str(buf_str(&r.buf), "up 1\n");
        assert_int_equal(r.reply.status, 200);
        assert_str(http_reply_get(&r.reply, REPLY_CONTENT_TYPE), "text/plain");
        assert_str(http_reply_get(&r.reply, REPLY_RETRY_AFTER), "");
        assert_false(r.reply.closes);
        assert_false(r.reader.excess);
        release(&r);
    }
}

static void an_interim_response_alone_is_not_an_answer(void **state) {
    (void)state;
    struct reading r;
    feed(&r, "HTTP/1.1 100 Continue\r\n\r\n", 1, 5);
    assert_int_equal(r.result, HTTP_READ_MORE);
    assert_false(http_reader_has_head(&r.reader));
    assert_int_equal(r.buf.len, 0);
    release(&r);
}

static void interim_responses_without_end_are_a_surprise(void **state) {
    (void)state;
    static const char *const interims[] = {
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(interims); i++) {
        struct reading r;
        int count = 0;
        feed(&r, interims[i], 1000, 100);
        for (; count < 100 && r.result == HTTP_READ_MORE; count++) {
            assert_int_equal(r.buf.len, 0);
            buf_append_cstr(&r.buf, interims[i]);
            r.result = http_reader_feed(&r.reader, &r.buf);
        }
        assert_int_equal(r.result, HTTP_READ_SURPRISE);
        assert_int_equal(count, 16);
        release(&r);
    }
}

static void interim_heads_count_towards_the_limit_of_heads(void **state) {
    (void)state;
    struct reading r;
    feed(&r, "HTTP/1.1 103 Early Hints\r\n", 1000, 100);
    for (int k = 0; k < 4000 && r.result == HTTP_READ_MORE; k++) {
        buf_append_cstr(&r.buf, k % 1000 == 999 ? "\r\nHTTP/1.1 103 Early Hints\r\n"
                                                : "X-Filler: 0123456789\r\n");
        r.result = http_reader_feed(&r.reader, &r.buf);
    }
    assert_int_equal(r.result, HTTP_READ_SURPRISE);
    assert_true(r.buf.len <= HTTP_HEAD_BYTES_MAX);
    release(&r);
}

static void a_head_or_trailer_without_end_is_a_surprise(void **state) {
    (void)state;
    static const char *const starts[] = {
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(starts); i++) {
        struct reading r;
        feed(&r, starts[i], 1000, 100);
        for (int k = 0; k < 4000 && r.result == HTTP_READ_MORE; k++) {
            buf_append_cstr(&r.buf, "X-Filler: 0123456789\r\n");
            r.result = http_reader_feed(&r.reader, &r.buf);
        }
        assert_int_equal(r.result, HTTP_READ_SURPRISE);
        release(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_of_known_length_ends_with_its_last_byte),
        cmocka_unit_test(chunks_are_joined_in_pieces_of_any_size),
        cmocka_unit_test(an_empty_body_is_whole_at_once),
        cmocka_unit_test(a_body_of_a_status_without_one_is_not_waited_for_nor_trusted),
        cmocka_unit_test(a_peer_that_will_close_is_noticed),
        cmocka_unit_test(bytes_behind_the_body_are_noticed_and_not_part_of_it),
        cmocka_unit_test(a_body_beyond_the_limit_is_refused_before_it_is_read),
        cmocka_unit_test(a_body_of_unknown_length_goes_up_to_the_end),
        cmocka_unit_test(an_old_peer_closes_whatever_it_says),
        cmocka_unit_test(what_is_not_plain_is_a_surprise),
        cmocka_unit_test(interim_responses_are_passed_over),
        cmocka_unit_test(an_interim_response_alone_is_not_an_answer),
        cmocka_unit_test(interim_responses_without_end_are_a_surprise),
        cmocka_unit_test(interim_heads_count_towards_the_limit_of_heads),
        cmocka_unit_test(a_head_or_trailer_without_end_is_a_surprise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
