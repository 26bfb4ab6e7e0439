/* The remote write receiver against a storage that writes down what it commits: both messages,
 * every check with its status and text, and what is stored after each. */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/snappy.h"
#include "tests/support/check_err.h"
#include "tests/support/fake_clock.h"
#include "tests/support/proto_writer.h"
#include "tests/support/push_storage.h"
#include "web/handlers.h"
#include "web/remote_write.h"

#define NOW_MS INT64_C(1700000000000)

struct fixture {
    struct web web;
    struct fake_clock clock;
    struct push_storage *storage;
    struct metric_registry *registry;
    struct http_incoming in;
    struct http_outgoing out;
    struct buf message; /* the request, not packed */
    struct buf series, part;
};

static int setup(void **state) {
    struct fixture *f = mem_zalloc(sizeof(*f));
    fake_clock_init(&f->clock, NOW_MS * NS_PER_MS);
    f->storage = push_storage_new();
    f->registry = metric_registry_new();
    f->web.options = (struct web_options){
        .enable_remote_write = true,
        .clock = &f->clock.clock,
        .registry = f->registry,
        .storage = push_storage_as_storage(f->storage),
    };
    f->web.remote_write = remote_write_new(f->registry);
    buf_init(&f->message, 64 << 20);
    buf_init(&f->series, 64 << 20);
    buf_init(&f->part, 64 << 20);
    buf_init(&f->in.body, HTTP_DATA_MAX);
    buf_init(&f->out.body, 4 << 20);
    arena_init(&f->in.arena, 0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    assert_int_equal(push_storage_open_transactions(f->storage), 0);
    remote_write_free(f->web.remote_write);
    push_storage_free(f->storage);
    metric_registry_free(f->registry);
    buf_release(&f->message);
    buf_release(&f->series);
    buf_release(&f->part);
    buf_release(&f->in.body);
    buf_release(&f->out.body);
    arena_release(&f->in.arena);
    mem_free(f);
    return 0;
}

/* ---- building requests ---- */

static void label(struct fixture *f, struct str name, struct str value) {
    pb_bytes(&f->part, 1, name);
    pb_bytes(&f->part, 2, value);
    pb_message(&f->series, 1, &f->part);
}

/* "a=b c=d" */
static void labels(struct fixture *f, const char *text) {
    for (struct str rest = str_of(text); rest.len != 0;) {
        const ptrdiff_t space = str_find_char(rest, ' ');
        const struct str pair = space < 0 ? rest : str_sub(rest, 0, (size_t)space);
        rest = space < 0 ? STR("") : str_from(rest, (size_t)space + 1);
        const size_t equals = (size_t)str_find_char(pair, '=');
        label(f, str_sub(pair, 0, equals), str_from(pair, equals + 1));
    }
}

static void sample(struct fixture *f, int64_t ts_ms, double value) {
    pb_double(&f->part, 1, value);
    pb_uint(&f->part, 2, (uint64_t)ts_ms);
    pb_message(&f->series, 2, &f->part);
}

static void end_series(struct fixture *f) {
    pb_message(&f->message, 1, &f->series);
}

static void v1(struct fixture *f, const char *text, int64_t ts_ms, double value) {
    labels(f, text);
    sample(f, ts_ms, value);
    end_series(f);
}

static void symbols(struct fixture *f, const char *text) { /* separated by blanks, "" first */
    pb_bytes(&f->message, 4, STR(""));
    for (struct str rest = str_of(text); rest.len != 0;) {
        const ptrdiff_t space = str_find_char(rest, ' ');
        pb_bytes(&f->message, 4, space < 0 ? rest : str_sub(rest, 0, (size_t)space));
        rest = space < 0 ? STR("") : str_from(rest, (size_t)space + 1);
    }
}

static void refs(struct fixture *f, const uint32_t *list, size_t n) {
    for (size_t i = 0; i < n; i++) {
        pb_varint(&f->part, list[i]);
    }
    pb_message(&f->series, 1, &f->part);
}
#define REFS(f, ...)                                                                               \
    refs(f, (const uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void end_series_v2(struct fixture *f) {
    pb_message(&f->message, 5, &f->series);
}

static void send_as(struct fixture *f, const char *content_type, const char *encoding) {
    buf_clear(&f->in.body);
    snappy_pack(buf_str(&f->message), &f->in.body);
    f->in.content_type = str_of(content_type);
    f->in.content_encoding = str_of(encoding);
    f->out.header_count = 0;
    remote_write(&f->web, &f->in, &f->out);
    buf_clear(&f->message);
}

static void send_v1(struct fixture *f) {
    send_as(f, "application/x-protobuf", "snappy");
}

static void send_v2(struct fixture *f) {
    send_as(f, "application/x-protobuf;proto=io.prometheus.write.v2.Request", "snappy");
}

/* Without packing. */
static void send_body(struct fixture *f, struct str body) {
    buf_clear(&f->in.body);
    buf_append_str(&f->in.body, body);
    f->in.content_type = STR("application/x-protobuf");
    f->in.content_encoding = STR("snappy");
    f->out.header_count = 0;
    remote_write(&f->web, &f->in, &f->out);
}

static void expect(struct fixture *f, int status, const char *text) {
    assert_str(buf_str(&f->out.body), text);
    assert_int_equal(f->out.status, status);
}

/* Lines "<labels> <ts> <value>" */
static void expect_stored(struct fixture *f, const char *want) {
    assert_string_equal(push_storage_take(f->storage), want);
}

static void expect_counts(struct fixture *f, const char *samples) {
    assert_int_equal(f->out.header_count, 3);
    assert_string_equal(f->out.headers[0].name, "X-Prometheus-Remote-Write-Samples-Written");
    assert_str(f->out.headers[0].value, samples);
    assert_string_equal(f->out.headers[1].name, "X-Prometheus-Remote-Write-Histograms-Written");
    assert_str(f->out.headers[1].value, "0");
    assert_string_equal(f->out.headers[2].name, "X-Prometheus-Remote-Write-Exemplars-Written");
    assert_str(f->out.headers[2].value, "0");
}

static double invalid_count(struct fixture *f) {
    return metric_get(metric_counter(
        f->registry, "prometheus_api_remote_write_invalid_labels_samples_total", "", NULL, 0));
}

/* ---- before the message ---- */

static void a_receiver_that_is_off_says_how_to_turn_it_on(void **state) {
    struct fixture *f = *state;
    f->web.options.enable_remote_write = false;
    v1(f, "__name__=a", NOW_MS, 1);
    send_v1(f);
    expect(f, 404,
           "remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n");
    expect_stored(f, "");
}

static void only_snappy_is_taken(void **state) {
    struct fixture *f = *state;
    v1(f, "__name__=a", NOW_MS, 1);
    send_as(f, "text/plain", "gzip"); /* the encoding comes first */
    expect(f, 415,
           "gzip encoding (compression) is not accepted by this server; only snappy is "
           "acceptable\n");
    v1(f, "__name__=a", NOW_MS, 1);
    send_as(f, "", "");
    expect(f, 204, "");
    expect_stored(f, "{__name__=\"a\"} 1700000000000 3ff0000000000000\n");
}

static void a_body_over_the_limit_is_413(void **state) {
    struct fixture *f = *state;
    f->in.body_too_large = true;
    send_as(f, "text/plain", "snappy");
    expect(f, 413, "request body exceeds the 33554432 bytes limit\n");
}

static void a_decoded_size_over_the_limit_is_400(void **state) {
    struct fixture *f = *state;
    send_body(f, STR("\x81\x80\x80\x10\x00z")); /* 32 MiB + 1 */
    expect(f, 400, "decoded size exceeds the 33554432 bytes limit\n");
    send_body(f, STR("\xff\xff\xff\xff\x0f\x00z"));
    expect(f, 400, "decoded size exceeds the 33554432 bytes limit\n");
}

static void what_is_not_snappy_is_400(void **state) {
    struct fixture *f = *state;
    send_body(f, STR(""));
    expect(f, 400, "snappy: corrupt input\n");
    send_body(f, STR("hello"));
    expect(f, 400, "snappy: corrupt input\n");
    send_body(f, STR("\x80\x80\x80\x10\x00z")); /* says 32 MiB in six bytes */
    expect(f, 400, "snappy: corrupt input\n");
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
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        v1(f, "__name__=a", NOW_MS, 1);
        send_as(f, cases[i].type, "snappy");
        expect(f, 415, cases[i].text);
        assert_int_equal(f->out.header_count, 0);
    }
    expect_stored(f, "");
}

static void content_types_without_a_message_are_v1(void **state) {
    static const char *const types[] = {"", "application/x-protobuf",
                                        "application/x-protobuf;charset=utf-8",
                                        "application/x-protobuf;proto=prometheus.WriteRequest"};
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        v1(f, "__name__=a", NOW_MS + (int64_t)i, 1);
        send_as(f, types[i], "snappy");
        expect(f, 204, "");
        assert_int_equal(f->out.header_count, 0);
    }
}

/* ---- v1 ---- */

static void v1_stores_samples_bit_for_bit(void **state) {
    struct fixture *f = *state;
    const uint64_t stale_bits = UINT64_C(0x7ff0000000000002);
    double stale;
    memcpy(&stale, &stale_bits, sizeof(stale));
    labels(f, "__name__=up instance=i job=j");
    sample(f, NOW_MS, 1.5);
    sample(f, NOW_MS + 1, -0.0);
    sample(f, NOW_MS + 2, stale);
    end_series(f);
    v1(f, "__name__=old", -5, INFINITY);
    send_v1(f);
    expect(f, 204, "");
    expect_stored(f, "{__name__=\"up\", instance=\"i\", job=\"j\"} 1700000000000 3ff8000000000000\n"
                     "{__name__=\"up\", instance=\"i\", job=\"j\"} 1700000000001 8000000000000000\n"
                     "{__name__=\"up\", instance=\"i\", job=\"j\"} 1700000000002 7ff0000000000002\n"
                     "{__name__=\"old\"} -5 7ff0000000000000\n");
}

static void v1_sorts_labels_and_drops_empty_ones(void **state) {
    struct fixture *f = *state;
    v1(f, "z=1 a= __name__=m b=2", NOW_MS, 0);
    send_v1(f);
    expect(f, 204, "");
    expect_stored(f, "{__name__=\"m\", b=\"2\", z=\"1\"} 1700000000000 0000000000000000\n");
}

static void v1_takes_labels_that_come_behind_samples(void **state) {
    struct fixture *f = *state;
    labels(f, "b=1");
    sample(f, NOW_MS, 0);
    labels(f, "__name__=m");
    sample(f, NOW_MS + 1, 0);
    end_series(f);
    send_v1(f);
    expect_stored(f, "{__name__=\"m\", b=\"1\"} 1700000000000 0000000000000000\n"
                     "{__name__=\"m\", b=\"1\"} 1700000000001 0000000000000000\n");
}

static void v1_skips_series_with_invalid_labels_and_counts_them(void **state) {
    struct fixture *f = *state;
    v1(f, "a=1", NOW_MS, 0);           /* no name */
    v1(f, "__name__= a=1", NOW_MS, 0); /* empty name */
    v1(f, "__name__=m a=1 a=2", NOW_MS, 0);
    v1(f, "__name__=m a= a=2", NOW_MS, 0); /* twice, though one is empty */
    v1(f, "__name__=m =x", NOW_MS, 0);
    v1(f, "__name__=m a=\xff", NOW_MS, 0);
    v1(f, "__name__=m \xc0\x80=a", NOW_MS, 0);
    v1(f, "", NOW_MS, 0);
    v1(f, "__name__=good \xc3\xa4=\xe2\x82\xac", NOW_MS, 0);
    send_v1(f);
    expect(f, 204, "");
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
    struct fixture *f = *state;
    v1(f, "__name__=m", NOW_MS, 1);
    send_v1(f);
    (void)push_storage_take(f->storage);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        v1(f, "__name__=before", NOW_MS, 1);
        v1(f, "__name__=m", cases[i].ts_ms, cases[i].value);
        v1(f, "__name__=behind", NOW_MS, 1);
        send_v1(f);
        expect(f, 400, cases[i].text);
        expect_stored(f, "");
    }
    v1(f, "__name__=m", NOW_MS, 1); /* the same again is fine */
    v1(f, "__name__=m", NOW_MS + 600000, 1);
    send_v1(f);
    expect(f, 204, "");
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
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        push_storage_fail_append(f->storage, 1, cases[i].code);
        v1(f, "__name__=a", NOW_MS, 1);
        v1(f, "__name__=b", NOW_MS, 1);
        v1(f, "__name__=c", NOW_MS, 1);
        send_v1(f);
        expect(f, cases[i].status, cases[i].text);
        expect_stored(f, "");
    }
}

static void failures_to_begin_and_commit_are_500(void **state) {
    struct fixture *f = *state;
    push_storage_fail_begin(f->storage, ERR_UNAVAILABLE);
    v1(f, "__name__=a", NOW_MS, 1);
    send_v1(f);
    expect(f, 500, "no transaction today\n");
    push_storage_fail_begin(f->storage, ERR_OK);
    push_storage_fail_commit(f->storage, ERR_NO_SPACE);
    v1(f, "__name__=a", NOW_MS, 1);
    send_v1(f);
    expect(f, 500, "no commit today\n");
    expect_stored(f, "");
}

static void v1_stores_the_samples_of_a_request_with_histograms(void **state) {
    struct fixture *f = *state;
    v1(f, "__name__=a", NOW_MS, 1);
    labels(f, "__name__=h");
    pb_bytes(&f->series, 4, STR("whatever it says"));
    end_series(f);
    send_v1(f);
    expect(f, 400, "native histograms are not supported by this storage\n");
    expect_stored(f, "{__name__=\"a\"} 1700000000000 3ff0000000000000\n");
}

static void exemplars_and_metadata_are_left_out(void **state) {
    struct fixture *f = *state;
    labels(f, "__name__=a");
    pb_bytes(&f->series, 3, STR("an exemplar"));
    sample(f, NOW_MS, 1);
    end_series(f);
    pb_bytes(&f->message, 3, STR("metadata"));
    pb_uint(&f->message, 99, 1);
    send_v1(f);
    expect(f, 204, "");
    expect_stored(f, "{__name__=\"a\"} 1700000000000 3ff0000000000000\n");
}

static void v1_stores_nothing_of_a_damaged_message(void **state) {
    struct fixture *f = *state;
    struct buf whole;
    buf_init(&whole, 4096);
    v1(f, "__name__=a", NOW_MS, 1);
    const size_t first = f->message.len;
    v1(f, "__name__=b c=d", NOW_MS, 1);
    buf_append_str(&whole, buf_str(&f->message));
    for (size_t cut = 1; cut < whole.len; cut++) {
        if (cut != first) {
            buf_clear(&f->message);
            buf_append_str(&f->message, str_sub(buf_str(&whole), 0, cut));
            send_v1(f);
            expect(f, 400, "unexpected EOF\n");
            expect_stored(f, "");
        }
    }
    buf_release(&whole);
}

static void v1_prefers_the_error_of_the_message_to_that_of_a_sample(void **state) {
    struct fixture *f = *state;
    v1(f, "__name__=a", NOW_MS + 700000, 1);
    buf_append_char(&f->message, '\x0a');
    send_v1(f);
    expect(f, 400, "unexpected EOF\n");
}

static void wrong_wire_types_are_400(void **state) {
    struct fixture *f = *state;
    pb_uint(&f->message, 1, 5);
    send_v1(f);
    expect(f, 400, "proto: wrong wire type for a field\n");
    labels(f, "__name__=a");
    pb_uint(&f->part, 1, 5); /* a value that is no double */
    pb_message(&f->series, 2, &f->part);
    end_series(f);
    send_v1(f);
    expect(f, 400, "proto: wrong wire type for a field\n");
    pb_uint(&f->series, 1, 1); /* a label that is no message */
    end_series(f);
    send_v1(f);
    expect(f, 400, "proto: wrong wire type for a field\n");
    expect_stored(f, "");
}

static void a_series_with_too_many_labels_is_invalid(void **state) {
    struct fixture *f = *state;
    labels(f, "__name__=m");
    for (int i = 0; i < WRITE_LABELS_MAX; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "l%06d", i);
        label(f, str_of(name), STR("v"));
    }
    sample(f, NOW_MS, 1);
    end_series(f);
    v1(f, "__name__=good", NOW_MS, 1);
    send_v1(f);
    expect(f, 204, "");
    expect_stored(f, "{__name__=\"good\"} 1700000000000 3ff0000000000000\n");
    assert_true(invalid_count(f) == 1);
}

static void long_labels_are_stored_up_to_the_limit(void **state) {
    struct fixture *f = *state;
    static const size_t sizes[] = {254, 255, 256, 65536, WRITE_LABEL_BYTES_MAX};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char *text = mem_alloc(sizes[i]);
        memset(text, 'v', sizes[i]);
        labels(f, "__name__=m");
        label(f, STR("long"), (struct str){text, sizes[i]});
        sample(f, NOW_MS, 1);
        end_series(f);
        send_v1(f);
        expect(f, 204, "");
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
    struct fixture *f = *state;
    for (size_t i = 0; i < COUNT_OF(texts) * COUNT_OF(times); i++) {
        const char *text = texts[i / COUNT_OF(times)];
        const int64_t ts_ms = times[i % COUNT_OF(times)];
        char want[512];
        v1(f, text, ts_ms, (double)i);
        send_v1(f);
        const int status = f->out.status;
        (void)snprintf(want, sizeof(want), "%s", push_storage_take(f->storage));
        push_storage_free(f->storage); /* forget the sample */
        f->storage = push_storage_new();
        f->web.options.storage = push_storage_as_storage(f->storage);
        v1(f, text, ts_ms, (double)i);
        pb_bytes(&f->message, 99, STR("more than sixteen bytes"));
        send_v1(f);
        assert_int_equal(f->out.status, status);
        expect_stored(f, want);
        push_storage_free(f->storage);
        f->storage = push_storage_new();
        f->web.options.storage = push_storage_as_storage(f->storage);
    }
}

static void v1_strings_around_the_short_form_are_stored(void **state) {
    struct fixture *f = *state;
    char text[300];
    memset(text, 'v', sizeof(text));
    for (size_t n = 100; n <= 300; n++) {
        labels(f, "__name__=m");
        label(f, STR("long"), (struct str){text, n});
        sample(f, NOW_MS, 1);
        end_series(f);
        pb_bytes(&f->message, 99, STR("more than sixteen bytes"));
        send_v1(f);
        expect(f, 204, "");
        assert_int_equal(strlen(push_storage_take(f->storage)), n + 55);
    }
}

/* ---- v2 ---- */

static void v2_sample(struct fixture *f, int64_t ts_ms, double value) {
    pb_uint(&f->part, 3, 77); /* start timestamp: not kept */
    sample(f, ts_ms, value);
}

static void v2_stores_samples_and_counts_them(void **state) {
    struct fixture *f = *state;
    symbols(f, "__name__ up job j zone");
    REFS(f, 3, 4, 1, 2); /* job, then the name: unsorted */
    v2_sample(f, NOW_MS, 1);
    v2_sample(f, NOW_MS + 1, 2);
    end_series_v2(f);
    REFS(f, 1, 2, 5, 0); /* zone is empty */
    v2_sample(f, NOW_MS, 3);
    pb_bytes(&f->series, 4, STR("exemplar"));
    end_series_v2(f);
    send_v2(f);
    expect(f, 204, "");
    expect_counts(f, "3");
    expect_stored(f, "{__name__=\"up\", job=\"j\"} 1700000000000 3ff0000000000000\n"
                     "{__name__=\"up\", job=\"j\"} 1700000000001 4000000000000000\n"
                     "{__name__=\"up\"} 1700000000000 4008000000000000\n");
}

static void v2_takes_symbols_behind_series_and_references_that_are_not_packed(void **state) {
    struct fixture *f = *state;
    pb_uint(&f->series, 1, 1);
    pb_uint(&f->series, 1, 2);
    v2_sample(f, NOW_MS, 1);
    end_series_v2(f);
    symbols(f, "__name__ up");
    send_v2(f);
    expect(f, 204, "");
    expect_stored(f, "{__name__=\"up\"} 1700000000000 3ff0000000000000\n");
}

static void v2_stores_the_good_and_names_the_bad(void **state) {
    struct fixture *f = *state;
    symbols(f, "__name__ up a b");
    REFS(f, 1, 2);
    v2_sample(f, NOW_MS, 1);
    v2_sample(f, NOW_MS - 1, 1);
    v2_sample(f, NOW_MS, 2);
    v2_sample(f, NOW_MS + 600001, 2);
    v2_sample(f, NOW_MS + 1, 2);
    end_series_v2(f);
    REFS(f, 1, 2, 3);
    v2_sample(f, NOW_MS, 1);
    end_series_v2(f);
    REFS(f, 1, 9);
    v2_sample(f, NOW_MS, 1);
    end_series_v2(f);
    REFS(f, 3, 4);
    v2_sample(f, NOW_MS, 1);
    end_series_v2(f);
    REFS(f, 1, 2, 3, 4, 3, 3);
    v2_sample(f, NOW_MS, 1);
    v2_sample(f, NOW_MS + 1, 1);
    end_series_v2(f);
    REFS(f, 1, 2, 4, 4);
    end_series_v2(f);
    REFS(f, 1, 2, 4, 4);
    pb_bytes(&f->series, 3, STR("a histogram"));
    end_series_v2(f);
    REFS(f, 1, 2, 4, 3);
    pb_uint(&f->part, 3, 50);
    pb_message(&f->series, 5, &f->part);
    v2_sample(f, NOW_MS, 1);
    end_series_v2(f);
    send_v2(f);
    expect(f, 400,
           "out of order sample for series {__name__=\"up\"}\n"
           "duplicate sample for timestamp for series {__name__=\"up\"}\n"
           "out of bounds: timestamp is too far in the future for series {__name__=\"up\"}\n"
           "parsing labels for series [1 2 3]: invalid labelRefs length 3\n"
           "parsing labels for series [1 9]: labelRefs 1 (name) = 9 (value) outside of symbols "
           "table (size 5)\n"
           "invalid metric name or labels, got {a=\"b\"}\n"
           "invalid labels for series, labels {__name__=\"up\", a=\"b\", a=\"a\"}, duplicated "
           "label a\n"
           "TimeSeries must contain at least one sample or histogram for series {__name__=\"up\", "
           "b=\"b\"}\n"
           "native histograms are not supported by this storage for series "
           "{__name__=\"up\", b=\"b\"}\n"
           "parsing metadata for series [1 2 4 3]: help reference 50 outside of symbols table "
           "(size 5)\n");
    expect_counts(f, "2");
    expect_stored(f, "{__name__=\"up\"} 1700000000000 3ff0000000000000\n"
                     "{__name__=\"up\"} 1700000000001 4000000000000000\n");
    assert_true(invalid_count(f) == 6);
}

static void v2_counts_samples_without_metadata(void **state) {
    struct fixture *f = *state;
    struct metric *m = metric_counter(
        f->registry, "prometheus_api_remote_write_without_metadata_appended_samples_total", "",
        NULL, 0);
    symbols(f, "__name__ up help");
    REFS(f, 1, 2);
    v2_sample(f, NOW_MS, 1);
    v2_sample(f, NOW_MS + 1, 1);
    end_series_v2(f);
    for (uint32_t field = 1; field <= 4; field++) {
        if (field != 2) {
            REFS(f, 1, 2);
            pb_uint(&f->part, field, 3);
            pb_message(&f->series, 5, &f->part);
            v2_sample(f, NOW_MS + 1 + field, 1);
            end_series_v2(f);
        }
    }
    send_v2(f);
    expect(f, 204, "");
    expect_counts(f, "5");
    assert_true(metric_get(m) == 2);
}

static void v2_with_metadata(struct fixture *f, uint64_t type, uint64_t unit, int64_t ts_ms) {
    REFS(f, 1, 2, 5, 6);
    pb_uint(&f->part, 1, type);
    pb_uint(&f->part, 4, unit);
    pb_message(&f->series, 5, &f->part);
    v2_sample(f, ts_ms, 1);
    end_series_v2(f);
}

static void v2_type_and_unit_become_labels_when_asked_for(void **state) {
    struct fixture *f = *state;
    static const char *const want[] = {
        "{__name__=\"up\", __type__=\"mine\"} 1700000000000 3ff0000000000000\n"
        "{__name__=\"up\", __type__=\"mine\"} 1700000000001 3ff0000000000000\n"
        "{__name__=\"up\", __type__=\"mine\"} 1700000000002 3ff0000000000000\n",
        "{__name__=\"up\", __type__=\"counter\", __unit__=\"seconds\"} 1700000000010 "
        "3ff0000000000000\n"
        "{__name__=\"up\", __unit__=\"seconds\"} 1700000000010 3ff0000000000000\n"
        "{__name__=\"up\", __type__=\"summary\"} 1700000000010 3ff0000000000000\n"
        "{__name__=\"up\", __type__=\"mine\"} 1700000000011 3ff0000000000000\n"
        "{__name__=\"up\", __type__=\"mine\"} 1700000000012 3ff0000000000000\n",
    };
    for (size_t asked = 0; asked < COUNT_OF(want); asked++) {
        f->web.options.type_and_unit_labels = asked != 0;
        const int64_t ts_ms = NOW_MS + (int64_t)asked * 10;
        symbols(f, "__name__ up seconds gone __type__ mine");
        v2_with_metadata(f, 1, 3, ts_ms);
        v2_with_metadata(f, 0, 3, ts_ms);
        v2_with_metadata(f, 5, 0, ts_ms);
        v2_with_metadata(f, 0, 0, ts_ms + 1);
        v2_with_metadata(f, 99, 0, ts_ms + 2);
        send_v2(f);
        expect(f, 204, "");
        expect_stored(f, want[asked]);
    }
}

static void v2_rolls_back_when_the_storage_fails(void **state) {
    struct fixture *f = *state;
    push_storage_fail_append(f->storage, 1, ERR_IO);
    symbols(f, "__name__ up");
    REFS(f, 1, 2);
    v2_sample(f, NOW_MS, 1);
    v2_sample(f, NOW_MS + 1, 1);
    end_series_v2(f);
    send_v2(f);
    expect(f, 500, "the storage failed\n");
    expect_counts(f, "0");
    expect_stored(f, "");
}

static void v2_stores_nothing_of_a_damaged_message(void **state) {
    struct fixture *f = *state;
    symbols(f, "__name__ up");
    REFS(f, 1, 2);
    v2_sample(f, NOW_MS, 1);
    end_series_v2(f);
    buf_append_cstr(&f->message, "\x2a\x05zz");
    send_v2(f);
    expect(f, 400, "unexpected EOF\n");
    expect_counts(f, "0");
    symbols(f, "__name__ up");
    pb_bytes(&f->series, 1, STR("\x01\x80")); /* references cut off */
    v2_sample(f, NOW_MS, 1);
    end_series_v2(f);
    send_v2(f);
    expect(f, 400, "unexpected EOF\n");
    expect_stored(f, "");
}

static void v2_references_cannot_make_much_of_little(void **state) {
    struct fixture *f = *state;
    char *text = mem_alloc(1 << 20);
    memset(text, 'v', 1 << 20);
    symbols(f, "__name__ up");
    pb_bytes(&f->message, 4, (struct str){text, 1 << 20});
    for (int i = 0; i < 300; i++) {
        REFS(f, 1, 2, 2, 3);
        v2_sample(f, NOW_MS, 1);
        end_series_v2(f);
    }
    send_v2(f);
    expect(f, 400, "the labels of the request are too large\n");
    expect_stored(f, "");
    mem_free(text);
}

static void v2_answers_with_a_bounded_list_of_errors(void **state) {
    struct fixture *f = *state;
    symbols(f, "a b");
    for (int i = 0; i < 50000; i++) {
        REFS(f, 1, 2);
        v2_sample(f, NOW_MS, 1);
        end_series_v2(f);
    }
    send_v2(f);
    assert_int_equal(f->out.status, 400);
    assert_true(f->out.body.len < WRITE_ERRORS_BYTES_MAX);
    assert_true(str_ends(buf_str(&f->out.body), STR(" more errors\n")));
    assert_true(invalid_count(f) == 50000);
}

static void an_empty_request_is_fine(void **state) {
    struct fixture *f = *state;
    send_v1(f);
    expect(f, 204, "");
    send_v2(f);
    expect(f, 204, "");
    expect_counts(f, "0");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
        TEST(v2_stores_samples_and_counts_them),
        TEST(v2_takes_symbols_behind_series_and_references_that_are_not_packed),
        TEST(v2_stores_the_good_and_names_the_bad),
        TEST(v2_counts_samples_without_metadata),
        TEST(v2_type_and_unit_become_labels_when_asked_for),
        TEST(v2_rolls_back_when_the_storage_fails),
        TEST(v2_stores_nothing_of_a_damaged_message),
        TEST(v2_references_cannot_make_much_of_little),
        TEST(v2_answers_with_a_bounded_list_of_errors),
        TEST(an_empty_request_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
