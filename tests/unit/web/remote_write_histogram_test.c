/* The remote write receiver: native histograms, whose messages are checked field by field. */
#include "tests/support/check_err.h"

#include <stdio.h>

#include "base/bytes.h"
#include "base/histogram.h"
#include "base/mem.h"
#include "tests/unit/web/remote_write_world.h"

/* Fields of a histogram. */
enum {
    COUNT = 1,
    COUNT_FLOAT = 2,
    SUM = 3,
    SCHEMA = 4,
    POSITIVE_SPANS = 11,
    POSITIVE_DELTAS = 12,
    POSITIVE_COUNTS = 13,
    TIMESTAMP = 15,
};

static int set_up(void **state) {
    const int code = world_setup(state);
    push_storage_take_histograms(((struct write_world *)*state)->storage);
    return code;
}

static void put_span(struct write_world *f, int32_t offset, uint32_t length) {
    struct buf span;
    buf_init(&span, 64);
    pb_uint(&span, 1, (uint32_t)zigzag_encode(offset));
    pb_uint(&span, 2, length);
    pb_message(&f->part, POSITIVE_SPANS, &span);
    buf_release(&span);
}

static void put_delta(struct write_world *f, int64_t delta) {
    pb_uint(&f->part, POSITIVE_DELTAS, zigzag_encode(delta));
}

/* Two buckets of a histogram with this schema. */
static void put_histogram(struct write_world *f, int32_t schema) {
    pb_uint(&f->part, COUNT, 3);
    pb_double(&f->part, SUM, 2.5);
    pb_uint(&f->part, SCHEMA, (uint32_t)zigzag_encode(schema));
    put_span(f, 0, 2);
    put_delta(f, 1);
    put_delta(f, 1);
    pb_uint(&f->part, TIMESTAMP, NOW_MS);
}

/* The message in part as that of a series h. */
static void send(struct write_world *f) {
    struct buf message;
    buf_init(&message, 64 << 20);
    buf_append_str(&message, buf_str(&f->part));
    buf_clear(&f->part);
    world_labels(f, "__name__=h");
    pb_message(&f->series, 4, &message);
    world_end_series(f);
    world_send_v1(f);
    buf_release(&message);
}

static void histograms_of_whole_and_of_float_counts_are_stored(void **state) {
    struct write_world *f = *state;
    put_histogram(f, 0);
    send(f);
    expect_answer(f, 204, "");
    expect_stored(f, "{__name__=\"h\"} 1700000000000 {count:3, sum:2.5, (0.5,1]:1, (1,2]:2}\n");
    pb_double(&f->part, COUNT_FLOAT, 0.5);
    pb_double(&f->part, SUM, 1);
    put_span(f, 1, 1);
    pb_double(&f->part, POSITIVE_COUNTS, 0.5);
    pb_uint(&f->part, TIMESTAMP, NOW_MS + 1);
    send(f);
    expect_answer(f, 204, "");
    expect_stored(f, "{__name__=\"h\"} 1700000000001 {count:0.5, sum:1, (1,2]:0.5}\n");
}

static void schemas_above_8_become_8(void **state) {
    struct write_world *f = *state;
    put_histogram(f, 52);
    send(f);
    expect_answer(f, 204, "");
    expect_stored(f, "{__name__=\"h\"} 1700000000000 {count:3, sum:2.5, "
                     "(0.9972960560854698,1]:1, (1,1.0027112750502025]:2}\n");
}

/* The lowest ones are so far below 8 that the difference does not fit. */
static void schemas_that_do_not_exist_are_refused(void **state) {
    static const int32_t schemas[] = {-5,        -54,           53,           INT32_MAX,
                                      INT32_MIN, INT32_MIN + 7, INT32_MIN + 8};
    struct write_world *f = *state;
    for (size_t i = 0; i < COUNT_OF(schemas); i++) {
        char text[64];
        put_histogram(f, schemas[i]);
        send(f);
        (void)snprintf(text, sizeof(text), "histogram has unknown schema %d\n", schemas[i]);
        expect_answer(f, 400, text);
        expect_stored(f, "");
    }
}

static void spans_that_name_more_or_fewer_buckets_than_there_are_are_refused(void **state) {
    struct write_world *f = *state;
    for (int32_t schema = 8; schema < 11; schema += 2) {
        for (uint32_t more = 0; more < 3; more++) {
            put_histogram(f, schema);
            put_span(f, 1, more == 2 ? UINT32_MAX : more);
            if (more == 0) {
                put_delta(f, 1);
            }
            send(f);
            assert_int_equal(f->out.status, 400);
            expect_stored(f, "");
        }
    }
}

static void more_buckets_than_a_histogram_may_have_are_refused(void **state) {
    struct write_world *f = *state;
    put_span(f, 0, HISTOGRAM_BUCKETS_MAX + 1);
    for (uint32_t i = 0; i <= HISTOGRAM_BUCKETS_MAX; i++) {
        put_delta(f, i == 0);
    }
    send(f);
    expect_answer(f, 400, "a histogram has too many buckets\n");
    expect_stored(f, "");
}

static void a_count_that_does_not_fit_is_refused(void **state) {
    struct write_world *f = *state;
    put_span(f, 0, 2);
    put_delta(f, INT64_MAX);
    put_delta(f, 1);
    send(f);
    expect_answer(f, 400, "a histogram has a bucket count that is too large\n");
    expect_stored(f, "");
}

static void a_message_cut_at_any_length_is_refused_or_is_a_histogram(void **state) {
    struct write_world *f = *state;
    put_histogram(f, 3);
    const size_t bytes = f->part.len;
    size_t refused = 0;
    buf_clear(&f->part);
    for (size_t n = 0; n < bytes; n++) {
        put_histogram(f, 3);
        f->part.len = n;
        send(f);
        assert_true(f->out.status == 204 || f->out.status == 400);
        refused += f->out.status == 400;
    }
    assert_true(refused > bytes / 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, world_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(histograms_of_whole_and_of_float_counts_are_stored),
        T(schemas_above_8_become_8),
        T(schemas_that_do_not_exist_are_refused),
        T(spans_that_name_more_or_fewer_buckets_than_there_are_are_refused),
        T(more_buckets_than_a_histogram_may_have_are_refused),
        T(a_count_that_does_not_fit_is_refused),
        T(a_message_cut_at_any_length_is_refused_or_is_a_histogram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
