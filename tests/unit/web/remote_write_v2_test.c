/* The remote write receiver: messages of version 2, whose labels are references to symbols. */
#include "tests/support/check_err.h"

#include "base/mem.h"
#include "tests/unit/web/remote_write_world.h"

static void v2_sample(struct write_world *f, int64_t ts_ms, double value) {
    pb_uint(&f->part, 3, 77); /* start timestamp: not kept */
    world_sample(f, ts_ms, value);
}

static void v2_stores_samples_and_counts_them(void **state) {
    struct write_world *f = *state;
    world_symbols(f, "__name__ up job j zone");
    REFS(f, 3, 4, 1, 2); /* job, then the name: unsorted */
    v2_sample(f, NOW_MS, 1);
    v2_sample(f, NOW_MS + 1, 2);
    world_end_series_v2(f);
    REFS(f, 1, 2, 5, 0); /* zone is empty */
    v2_sample(f, NOW_MS, 3);
    pb_bytes(&f->series, 4, STR("exemplar"));
    world_end_series_v2(f);
    world_send_v2(f);
    expect_answer(f, 204, "");
    expect_counts(f, "3");
    expect_stored(f, "{__name__=\"up\", job=\"j\"} 1700000000000 3ff0000000000000\n"
                     "{__name__=\"up\", job=\"j\"} 1700000000001 4000000000000000\n"
                     "{__name__=\"up\"} 1700000000000 4008000000000000\n");
}

static void v2_takes_symbols_behind_series_and_references_that_are_not_packed(void **state) {
    struct write_world *f = *state;
    pb_uint(&f->series, 1, 1);
    pb_uint(&f->series, 1, 2);
    v2_sample(f, NOW_MS, 1);
    world_end_series_v2(f);
    world_symbols(f, "__name__ up");
    world_send_v2(f);
    expect_answer(f, 204, "");
    expect_stored(f, "{__name__=\"up\"} 1700000000000 3ff0000000000000\n");
}

static void v2_stores_the_good_and_names_the_bad(void **state) {
    struct write_world *f = *state;
    world_symbols(f, "__name__ up a b");
    REFS(f, 1, 2);
    v2_sample(f, NOW_MS, 1);
    v2_sample(f, NOW_MS - 1, 1);
    v2_sample(f, NOW_MS, 2);
    v2_sample(f, NOW_MS + 600001, 2);
    v2_sample(f, NOW_MS + 1, 2);
    world_end_series_v2(f);
    REFS(f, 1, 2, 3);
    v2_sample(f, NOW_MS, 1);
    world_end_series_v2(f);
    REFS(f, 1, 9);
    v2_sample(f, NOW_MS, 1);
    world_end_series_v2(f);
    REFS(f, 3, 4);
    v2_sample(f, NOW_MS, 1);
    world_end_series_v2(f);
    REFS(f, 1, 2, 3, 4, 3, 3);
    v2_sample(f, NOW_MS, 1);
    v2_sample(f, NOW_MS + 1, 1);
    world_end_series_v2(f);
    REFS(f, 1, 2, 4, 4);
    world_end_series_v2(f);
    REFS(f, 1, 2, 4, 4);
    pb_bytes(&f->series, 3, STR("a histogram"));
    world_end_series_v2(f);
    REFS(f, 1, 2, 4, 3);
    pb_uint(&f->part, 3, 50);
    pb_message(&f->series, 5, &f->part);
    v2_sample(f, NOW_MS, 1);
    world_end_series_v2(f);
    world_send_v2(f);
    expect_answer(
        f, 400,
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
    struct write_world *f = *state;
    struct metric *m = metric_counter(
        f->registry, "prometheus_api_remote_write_without_metadata_appended_samples_total", "",
        NULL, 0);
    world_symbols(f, "__name__ up help");
    REFS(f, 1, 2);
    v2_sample(f, NOW_MS, 1);
    v2_sample(f, NOW_MS + 1, 1);
    world_end_series_v2(f);
    for (uint32_t field = 1; field <= 4; field++) {
        if (field != 2) {
            REFS(f, 1, 2);
            pb_uint(&f->part, field, 3);
            pb_message(&f->series, 5, &f->part);
            v2_sample(f, NOW_MS + 1 + field, 1);
            world_end_series_v2(f);
        }
    }
    world_send_v2(f);
    expect_answer(f, 204, "");
    expect_counts(f, "5");
    assert_true(metric_get(m) == 2);
}

static void v2_with_metadata(struct write_world *f, uint64_t type, uint64_t unit, int64_t ts_ms) {
    REFS(f, 1, 2, 5, 6);
    pb_uint(&f->part, 1, type);
    pb_uint(&f->part, 4, unit);
    pb_message(&f->series, 5, &f->part);
    v2_sample(f, ts_ms, 1);
    world_end_series_v2(f);
}

static void v2_type_and_unit_become_labels_when_asked_for(void **state) {
    struct write_world *f = *state;
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
        world_symbols(f, "__name__ up seconds gone __type__ mine");
        v2_with_metadata(f, 1, 3, ts_ms);
        v2_with_metadata(f, 0, 3, ts_ms);
        v2_with_metadata(f, 5, 0, ts_ms);
        v2_with_metadata(f, 0, 0, ts_ms + 1);
        v2_with_metadata(f, 99, 0, ts_ms + 2);
        world_send_v2(f);
        expect_answer(f, 204, "");
        expect_stored(f, want[asked]);
    }
}

static void v2_rolls_back_when_the_storage_fails(void **state) {
    struct write_world *f = *state;
    push_storage_fail_append(f->storage, 1, ERR_IO);
    world_symbols(f, "__name__ up");
    REFS(f, 1, 2);
    v2_sample(f, NOW_MS, 1);
    v2_sample(f, NOW_MS + 1, 1);
    world_end_series_v2(f);
    world_send_v2(f);
    expect_answer(f, 500, "the storage failed\n");
    expect_counts(f, "0");
    expect_stored(f, "");
}

static void v2_stores_nothing_of_a_damaged_message(void **state) {
    struct write_world *f = *state;
    world_symbols(f, "__name__ up");
    REFS(f, 1, 2);
    v2_sample(f, NOW_MS, 1);
    world_end_series_v2(f);
    buf_append_cstr(&f->message, "\x2a\x05zz");
    world_send_v2(f);
    expect_answer(f, 400, "unexpected EOF\n");
    expect_counts(f, "0");
    world_symbols(f, "__name__ up");
    pb_bytes(&f->series, 1, STR("\x01\x80")); /* references cut off */
    v2_sample(f, NOW_MS, 1);
    world_end_series_v2(f);
    world_send_v2(f);
    expect_answer(f, 400, "unexpected EOF\n");
    expect_stored(f, "");
}

static void v2_references_cannot_make_much_of_little(void **state) {
    struct write_world *f = *state;
    char *text = mem_alloc(1 << 20);
    memset(text, 'v', 1 << 20);
    world_symbols(f, "__name__ up");
    pb_bytes(&f->message, 4, (struct str){text, 1 << 20});
    for (int i = 0; i < 300; i++) {
        REFS(f, 1, 2, 2, 3);
        v2_sample(f, NOW_MS, 1);
        world_end_series_v2(f);
    }
    world_send_v2(f);
    expect_answer(f, 400, "the labels of the request are too large\n");
    expect_stored(f, "");
    mem_free(text);
}

static void v2_answers_with_a_bounded_list_of_errors(void **state) {
    struct write_world *f = *state;
    world_symbols(f, "a b");
    for (int i = 0; i < 50000; i++) {
        REFS(f, 1, 2);
        v2_sample(f, NOW_MS, 1);
        world_end_series_v2(f);
    }
    world_send_v2(f);
    assert_int_equal(f->out.status, 400);
    assert_true(f->out.body.len < WRITE_ERRORS_BYTES_MAX);
    assert_true(str_ends(buf_str(&f->out.body), STR(" more errors\n")));
    assert_true(invalid_count(f) == 50000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(v2_stores_samples_and_counts_them),
        TEST(v2_takes_symbols_behind_series_and_references_that_are_not_packed),
        TEST(v2_stores_the_good_and_names_the_bad),
        TEST(v2_counts_samples_without_metadata),
        TEST(v2_type_and_unit_become_labels_when_asked_for),
        TEST(v2_rolls_back_when_the_storage_fails),
        TEST(v2_stores_nothing_of_a_damaged_message),
        TEST(v2_references_cannot_make_much_of_little),
        TEST(v2_answers_with_a_bounded_list_of_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
