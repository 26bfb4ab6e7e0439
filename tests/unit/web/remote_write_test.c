/* The remote write receiver: what it takes, messages of version 1, and what a refusal answers. */
#include "tests/support/check_err.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "tests/unit/web/remote_write_world.h"

/* ---- before the message ---- */

static void a_receiver_that_is_off_says_how_to_turn_it_on(void **state) {
    struct write_world *f = *state;
    f->web.options.enable_remote_write = false;
    world_v1(f, "__name__=a", NOW_MS, 1);
    world_send_v1(f);
    expect_answer(
        f, 404,
        "remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n");
    expect_stored(f, "");
}

static void only_snappy_is_taken(void **state) {
    struct write_world *f = *state;
    world_v1(f, "__name__=a", NOW_MS, 1);
    world_send_as(f, "text/plain", "gzip"); /* the encoding comes first */
    expect_answer(f, 415,
                  "gzip encoding (compression) is not accepted by this server; only snappy is "
                  "acceptable\n");
    world_v1(f, "__name__=a", NOW_MS, 1);
    world_send_as(f, "", "");
    expect_answer(f, 204, "");
    expect_stored(f, "{__name__=\"a\"} 1700000000000 3ff0000000000000\n");
}

static void a_body_over_the_limit_is_413(void **state) {
    struct write_world *f = *state;
    f->in.body_too_large = true;
    world_send_as(f, "text/plain", "snappy");
    expect_answer(f, 413, "request body exceeds the 33554432 bytes limit\n");
}

static void a_decoded_size_over_the_limit_is_400(void **state) {
    struct write_world *f = *state;
    world_send_body(f, STR("\x81\x80\x80\x10\x00z")); /* 32 MiB + 1 */
    expect_answer(f, 400, "decoded size exceeds the 33554432 bytes limit\n");
    world_send_body(f, STR("\xff\xff\xff\xff\x0f\x00z"));
    expect_answer(f, 400, "decoded size exceeds the 33554432 bytes limit\n");
}

static void what_is_not_snappy_is_400(void **state) {
    struct write_world *f = *state;
    world_send_body(f, STR(""));
    expect_answer(f, 400, "snappy: corrupt input\n");
    world_send_body(f, STR("hello"));
    expect_answer(f, 400, "snappy: corrupt input\n");
    world_send_body(f, STR("\x80\x80\x80\x10\x00z")); /* says 32 MiB in six bytes */
    expect_answer(f, 400, "snappy: corrupt input\n");
}

static void other_content_types_are_415(void **state) {
    static const struct {
        const char *type;
        const char *text;
    } cases[] = {
        {"text/plain", "expected application/x-protobuf as the first (media) part, got text/plain "
                       "content-type\n"},
        {"application/x-protobuf ;proto=prometheus.WriteRequest",
         "expected application/x-protobuf as the first (media) part, got application/x-protobuf "
         ";proto=prometheus.WriteRequest content-type\n"},
        {"Application/x-protobuf", "expected application/x-protobuf as the first (media) part, got "
                                   "Application/x-protobuf content-type\n"},
        {"application/x-protobuf;proto",
         "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be "
         "key-values, got proto in application/x-protobuf;proto content-type\n"},
        {"application/x-protobuf;proto=a=b",
         "as per https://www.rfc-editor.org/rfc/rfc9110#parameter expected parameters to be "
         "key-values, got proto=a=b in application/x-protobuf;proto=a=b content-type\n"},
        {"application/x-protobuf;proto=prometheus.writerequest",
         "got application/x-protobuf;proto=prometheus.writerequest content type; unknown type for "
         "remote write protobuf message prometheus.writerequest, supported: "
         "prometheus.WriteRequest, io.prometheus.write.v2.Request\n"},
    };
    struct write_world *f = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        world_v1(f, "__name__=a", NOW_MS, 1);
        world_send_as(f, cases[i].type, "snappy");
        expect_answer(f, 415, cases[i].text);
        assert_int_equal(f->out.header_count, 0);
    }
    expect_stored(f, "");
}

static void content_types_without_a_message_are_v1(void **state) {
    static const char *const types[] = {"", "application/x-protobuf",
                                        "application/x-protobuf;charset=utf-8",
                                        "application/x-protobuf;proto=prometheus.WriteRequest"};
    struct write_world *f = *state;
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        world_v1(f, "__name__=a", NOW_MS + (int64_t)i, 1);
        world_send_as(f, types[i], "snappy");
        expect_answer(f, 204, "");
        assert_int_equal(f->out.header_count, 0);
    }
}

/* ---- v1 ---- */

static void v1_stores_samples_bit_for_bit(void **state) {
    struct write_world *f = *state;
    const uint64_t stale_bits = UINT64_C(0x7ff0000000000002);
    double stale;
    memcpy(&stale, &stale_bits, sizeof(stale));
    world_labels(f, "__name__=up instance=i job=j");
    world_sample(f, NOW_MS, 1.5);
    world_sample(f, NOW_MS + 1, -0.0);
    world_sample(f, NOW_MS + 2, stale);
    world_end_series(f);
    world_v1(f, "__name__=old", -5, INFINITY);
    world_send_v1(f);
    expect_answer(f, 204, "");
    expect_stored(f, "{__name__=\"up\", instance=\"i\", job=\"j\"} 1700000000000 3ff8000000000000\n"
                     "{__name__=\"up\", instance=\"i\", job=\"j\"} 1700000000001 8000000000000000\n"
                     "{__name__=\"up\", instance=\"i\", job=\"j\"} 1700000000002 7ff0000000000002\n"
                     "{__name__=\"old\"} -5 7ff0000000000000\n");
}

static void v1_sorts_labels_and_drops_empty_ones(void **state) {
    struct write_world *f = *state;
    world_v1(f, "z=1 a= __name__=m b=2", NOW_MS, 0);
    world_send_v1(f);
    expect_answer(f, 204, "");
    expect_stored(f, "{__name__=\"m\", b=\"2\", z=\"1\"} 1700000000000 0000000000000000\n");
}

static void v1_takes_labels_that_come_behind_samples(void **state) {
    struct write_world *f = *state;
    world_labels(f, "b=1");
    world_sample(f, NOW_MS, 0);
    world_labels(f, "__name__=m");
    world_sample(f, NOW_MS + 1, 0);
    world_end_series(f);
    world_send_v1(f);
    expect_stored(f, "{__name__=\"m\", b=\"1\"} 1700000000000 0000000000000000\n"
                     "{__name__=\"m\", b=\"1\"} 1700000000001 0000000000000000\n");
}

static void v1_skips_series_with_invalid_labels_and_counts_them(void **state) {
    struct write_world *f = *state;
    world_v1(f, "a=1", NOW_MS, 0);           /* no name */
    world_v1(f, "__name__= a=1", NOW_MS, 0); /* empty name */
    world_v1(f, "__name__=m a=1 a=2", NOW_MS, 0);
    world_v1(f, "__name__=m a= a=2", NOW_MS, 0); /* twice, though one is empty */
    world_v1(f, "__name__=m =x", NOW_MS, 0);
    world_v1(f, "__name__=m a=\xff", NOW_MS, 0);
    world_v1(f, "__name__=m \xc0\x80=a", NOW_MS, 0);
    world_v1(f, "", NOW_MS, 0);
    world_v1(f, "__name__=good \xc3\xa4=\xe2\x82\xac", NOW_MS, 0);
    world_send_v1(f);
    expect_answer(f, 204, "");
    expect_stored(f, "{__name__=\"good\", \"\xc3\xa4\"=\"\xe2\x82\xac\"} 1700000000000 "
                     "0000000000000000\n");
    assert_true(invalid_count(f) == 8);
}

static void v1_rolls_everything_back_for_one_refused_sample(void **state) {
    static const struct {
        int64_t ts_ms;
        double value;
        const char *text;
    } cases[] = {
        {NOW_MS - 1, 1, "out of order sample\n"},
        {NOW_MS, 2, "duplicate sample for timestamp\n"},
        {NOW_MS + 600001, 1, "out of bounds: timestamp is too far in the future\n"},
    };
    struct write_world *f = *state;
    world_v1(f, "__name__=m", NOW_MS, 1);
    world_send_v1(f);
    (void)push_storage_take(f->storage);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        world_v1(f, "__name__=before", NOW_MS, 1);
        world_v1(f, "__name__=m", cases[i].ts_ms, cases[i].value);
        world_v1(f, "__name__=behind", NOW_MS, 1);
        world_send_v1(f);
        expect_answer(f, 400, cases[i].text);
        expect_stored(f, "");
    }
    world_v1(f, "__name__=m", NOW_MS, 1); /* the same again is fine */
    world_v1(f, "__name__=m", NOW_MS + 600000, 1);
    world_send_v1(f);
    expect_answer(f, 204, "");
    expect_stored(f, "{__name__=\"m\"} 1700000600000 3ff0000000000000\n");
}

static void refusals_of_the_storage_have_a_status(void **state) {
    static const struct {
        enum err_code code;
        int status;
        const char *text;
    } cases[] = {
        {ERR_TOO_OLD, 400, "too old sample\n"},
        {ERR_OUT_OF_BOUNDS, 400, "out of bounds\n"},
        {ERR_LIMIT, 500, "the limit of active series is reached\n"},
        {ERR_IO, 500, "the storage failed\n"},
    };
    struct write_world *f = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        push_storage_fail_append(f->storage, 1, cases[i].code);
        world_v1(f, "__name__=a", NOW_MS, 1);
        world_v1(f, "__name__=b", NOW_MS, 1);
        world_v1(f, "__name__=c", NOW_MS, 1);
        world_send_v1(f);
        expect_answer(f, cases[i].status, cases[i].text);
        expect_stored(f, "");
    }
}

static void failures_to_begin_and_commit_are_500(void **state) {
    struct write_world *f = *state;
    push_storage_fail_begin(f->storage, ERR_UNAVAILABLE);
    world_v1(f, "__name__=a", NOW_MS, 1);
    world_send_v1(f);
    expect_answer(f, 500, "no transaction today\n");
    push_storage_fail_begin(f->storage, ERR_OK);
    push_storage_fail_commit(f->storage, ERR_NO_SPACE);
    world_v1(f, "__name__=a", NOW_MS, 1);
    world_send_v1(f);
    expect_answer(f, 500, "no commit today\n");
    expect_stored(f, "");
}

static void v1_stores_the_samples_of_a_request_with_histograms(void **state) {
    struct write_world *f = *state;
    world_v1(f, "__name__=a", NOW_MS, 1);
    world_labels(f, "__name__=h");
    pb_bytes(&f->series, 4, STR("whatever it says"));
    world_end_series(f);
    world_send_v1(f);
    expect_answer(f, 400, "native histograms are not supported by this storage\n");
    expect_stored(f, "{__name__=\"a\"} 1700000000000 3ff0000000000000\n");
}

static void exemplars_and_metadata_are_left_out(void **state) {
    struct write_world *f = *state;
    world_labels(f, "__name__=a");
    pb_bytes(&f->series, 3, STR("an exemplar"));
    world_sample(f, NOW_MS, 1);
    world_end_series(f);
    pb_bytes(&f->message, 3, STR("metadata"));
    pb_uint(&f->message, 99, 1);
    world_send_v1(f);
    expect_answer(f, 204, "");
    expect_stored(f, "{__name__=\"a\"} 1700000000000 3ff0000000000000\n");
}

static void v1_stores_nothing_of_a_damaged_message(void **state) {
    struct write_world *f = *state;
    struct buf whole;
    buf_init(&whole, 4096);
    world_v1(f, "__name__=a", NOW_MS, 1);
    const size_t first = f->message.len;
    world_v1(f, "__name__=b c=d", NOW_MS, 1);
    buf_append_str(&whole, buf_str(&f->message));
    for (size_t cut = 1; cut < whole.len; cut++) {
        if (cut != first) {
            buf_clear(&f->message);
            buf_append_str(&f->message, str_sub(buf_str(&whole), 0, cut));
            world_send_v1(f);
            expect_answer(f, 400, "unexpected EOF\n");
            expect_stored(f, "");
        }
    }
    buf_release(&whole);
}

static void v1_prefers_the_error_of_the_message_to_that_of_a_sample(void **state) {
    struct write_world *f = *state;
    world_v1(f, "__name__=a", NOW_MS + 700000, 1);
    buf_append_char(&f->message, '\x0a');
    world_send_v1(f);
    expect_answer(f, 400, "unexpected EOF\n");
}

static void wrong_wire_types_are_400(void **state) {
    struct write_world *f = *state;
    pb_uint(&f->message, 1, 5);
    world_send_v1(f);
    expect_answer(f, 400, "proto: wrong wire type for a field\n");
    world_labels(f, "__name__=a");
    pb_uint(&f->part, 1, 5); /* a value that is no double */
    pb_message(&f->series, 2, &f->part);
    world_end_series(f);
    world_send_v1(f);
    expect_answer(f, 400, "proto: wrong wire type for a field\n");
    pb_uint(&f->series, 1, 1); /* a label that is no message */
    world_end_series(f);
    world_send_v1(f);
    expect_answer(f, 400, "proto: wrong wire type for a field\n");
    expect_stored(f, "");
}

static void a_series_with_too_many_labels_is_invalid(void **state) {
    struct write_world *f = *state;
    world_labels(f, "__name__=m");
    for (int i = 0; i < WRITE_LABELS_MAX; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "l%06d", i);
        world_label(f, str_of(name), STR("v"));
    }
    world_sample(f, NOW_MS, 1);
    world_end_series(f);
    world_v1(f, "__name__=good", NOW_MS, 1);
    world_send_v1(f);
    expect_answer(f, 204, "");
    expect_stored(f, "{__name__=\"good\"} 1700000000000 3ff0000000000000\n");
    assert_true(invalid_count(f) == 1);
}

static void long_labels_are_stored_up_to_the_limit(void **state) {
    struct write_world *f = *state;
    static const size_t sizes[] = {254, 255, 256, 65536, WRITE_LABEL_BYTES_MAX};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char *text = mem_alloc(sizes[i]);
        memset(text, 'v', sizes[i]);
        world_labels(f, "__name__=m");
        world_label(f, STR("long"), (struct str){text, sizes[i]});
        world_sample(f, NOW_MS, 1);
        world_end_series(f);
        world_send_v1(f);
        expect_answer(f, 204, "");
        const size_t got = strlen(push_storage_take(f->storage));
        assert_int_equal(got, i + 1 < COUNT_OF(sizes) ? sizes[i] + 55 : 0);
        mem_free(text);
    }
    assert_true(invalid_count(f) == 1);
}

/* Most series are read by a second decoder, which needs a few bytes behind them. */
static void v1_reads_a_series_alike_wherever_it_stands(void **state) {
    static const char *const texts[] = {
        "__name__=m",
        "A=1 __name__=m",
        "__name__=m a=1 aa=2 ab=3 b=4",
        "__name__=m b=1 a=2",
        "__name__=m a=1 a=2",
        "a=1",
        "__name__=m a=",
        "__name__= a=1",
        "__name__=m =1",
        "__name__=m a=\xc3\xa4",
        "__name__=m a=\xff",
        "__name__=m \xff=a",
        "__name_=m",
        "__name___=m",
        "__name__=m abcdefgh=1 abcdefgi=2",
        "__name__=m abcdefghi=1 abcdefgh=2",
        "__name__=m abcdefgh1=1 abcdefgh1=2",
    };
    static const int64_t times[] = {0, 127, 128, NOW_MS, NOW_MS + 600001, -1, INT64_MIN};
    struct write_world *f = *state;
    for (size_t i = 0; i < COUNT_OF(texts) * COUNT_OF(times); i++) {
        const char *text = texts[i / COUNT_OF(times)];
        const int64_t ts_ms = times[i % COUNT_OF(times)];
        char want[512];
        world_v1(f, text, ts_ms, (double)i);
        world_send_v1(f);
        const int status = f->out.status;
        (void)snprintf(want, sizeof(want), "%s", push_storage_take(f->storage));
        push_storage_free(f->storage); /* forget the sample */
        f->storage = push_storage_new();
        f->web.options.storage = push_storage_as_storage(f->storage);
        world_v1(f, text, ts_ms, (double)i);
        pb_bytes(&f->message, 99, STR("more than sixteen bytes"));
        world_send_v1(f);
        assert_int_equal(f->out.status, status);
        expect_stored(f, want);
        push_storage_free(f->storage);
        f->storage = push_storage_new();
        f->web.options.storage = push_storage_as_storage(f->storage);
    }
}

static void v1_strings_around_the_short_form_are_stored(void **state) {
    struct write_world *f = *state;
    char text[300];
    memset(text, 'v', sizeof(text));
    for (size_t n = 100; n <= 300; n++) {
        world_labels(f, "__name__=m");
        world_label(f, STR("long"), (struct str){text, n});
        world_sample(f, NOW_MS, 1);
        world_end_series(f);
        pb_bytes(&f->message, 99, STR("more than sixteen bytes"));
        world_send_v1(f);
        expect_answer(f, 204, "");
        assert_int_equal(strlen(push_storage_take(f->storage)), n + 55);
    }
}

static void an_empty_request_is_fine(void **state) {
    struct write_world *f = *state;
    world_send_v1(f);
    expect_answer(f, 204, "");
    world_send_v2(f);
    expect_answer(f, 204, "");
    expect_counts(f, "0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_receiver_that_is_off_says_how_to_turn_it_on),
        TEST(only_snappy_is_taken),
        TEST(a_body_over_the_limit_is_413),
        TEST(a_decoded_size_over_the_limit_is_400),
        TEST(what_is_not_snappy_is_400),
        TEST(other_content_types_are_415),
        TEST(content_types_without_a_message_are_v1),
        TEST(v1_stores_samples_bit_for_bit),
        TEST(v1_sorts_labels_and_drops_empty_ones),
        TEST(v1_takes_labels_that_come_behind_samples),
        TEST(v1_skips_series_with_invalid_labels_and_counts_them),
        TEST(v1_rolls_everything_back_for_one_refused_sample),
        TEST(refusals_of_the_storage_have_a_status),
        TEST(failures_to_begin_and_commit_are_500),
        TEST(v1_stores_the_samples_of_a_request_with_histograms),
        TEST(exemplars_and_metadata_are_left_out),
        TEST(v1_stores_nothing_of_a_damaged_message),
        TEST(v1_prefers_the_error_of_the_message_to_that_of_a_sample),
        TEST(wrong_wire_types_are_400),
        TEST(a_series_with_too_many_labels_is_invalid),
        TEST(long_labels_are_stored_up_to_the_limit),
        TEST(v1_reads_a_series_alike_wherever_it_stands),
        TEST(v1_strings_around_the_short_form_are_stored),
        TEST(an_empty_request_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
