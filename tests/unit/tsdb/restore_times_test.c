/* Pushed series know their newest sample after a restart, wherever it is stored by then. */
#include <stdio.h>
#include <string.h>

#include "compact_world.h"
#include "tests/support/check_err.h"

enum { S = COMPACT_BASE_MS };

static enum err_code append(struct world *w, const char *labels, int64_t ts_ms, double value) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    const enum err_code code = world_append(w, a, labels, ts_ms, value);
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
    return code;
}

static void restart(struct world *w) {
    world_close(w);
    world_open(w);
}

static void check_refusals(struct world *w, const char *labels, int64_t newest_ms, double value) {
    assert_int_equal(append(w, labels, newest_ms - 1, value), ERR_OUT_OF_ORDER);
    assert_int_equal(append(w, labels, newest_ms, value + 1), ERR_DUPLICATE);
    assert_int_equal(append(w, labels, newest_ms, value), ERR_OK); /* the same again */
    assert_int_equal(append(w, labels, newest_ms + 1, value), ERR_OK);
    assert_int_equal(append(w, labels, newest_ms, value), ERR_OUT_OF_ORDER);
}

static void after_a_cut_and_a_restart_older_samples_are_refused(void **state) {
    (void)state;
    struct world w;
    struct err err;
    compact_world_init(&w);
    world_open(&w);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(append(&w, "a job=j instance=i", S + i * 1000, i), ERR_OK);
        assert_int_equal(append(&w, "b job=j instance=i", S + i * 1000, i / 3.0), ERR_OK);
        assert_int_equal(append(&w, "no_target x=y", S + i * 1000, i), ERR_OK);
    }
    assert_int_equal(append(&w, "a job=j instance=i", S + 10000, 10), ERR_OK);
    assert_ok(tsdb_compact(w.db, true, &err), &err);
    restart(&w);
    check_refusals(&w, "a job=j instance=i", S + 10000, 10);
    check_refusals(&w, "b job=j instance=i", S + 9000, 3);
    check_refusals(&w, "no_target x=y", S + 9000, 9);
    assert_int_equal(append(&w, "c job=j instance=i", S + 1000, 1), ERR_OK); /* is new */
    world_close(&w);
    world_release(&w);
}

static enum err_code append_buckets(struct world *w, int64_t ts_ms, double a, double b) {
    struct storage_appender *appender;
    struct err err;
    struct histogram_span span = {.offset = 1, .length = 2};
    double counts[] = {a, b};
    const struct histogram h = {
        .schema = 2,
        .zero_threshold = 0.001,
        .zero_count = 2,
        .count = a + b + 2,
        .sum = 1.5,
        .positive = {.spans = &span, .counts = counts, .span_count = 1, .count = 2}};
    const struct storage_sample sample = {.ts_ms = ts_ms, .histogram = &h};
    assert_ok(storage_appender_begin(w->st, &appender, &err), &err);
    const enum err_code code =
        storage_append_sample(w->st, appender, world_labels(w, "h job=j instance=i"), &sample);
    assert_ok(storage_appender_commit(w->st, appender, &err), &err);
    return code;
}

static void after_a_cut_and_a_restart_the_newest_histogram_is_known(void **state) {
    (void)state;
    struct world w;
    struct err err;
    compact_world_init(&w);
    world_open(&w);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(append_buckets(&w, S + i * 1000, i, 3 * i), ERR_OK);
    }
    assert_ok(tsdb_compact(w.db, true, &err), &err);
    restart(&w);
    assert_int_equal(append_buckets(&w, S + 8000, 8, 24), ERR_OUT_OF_ORDER);
    assert_int_equal(append_buckets(&w, S + 9000, 9, 28), ERR_DUPLICATE);
    assert_int_equal(append_buckets(&w, S + 9000, 9, 27), ERR_OK); /* the same again */
    assert_int_equal(append(&w, "h job=j instance=i", S + 9000, 9), ERR_DUPLICATE);
    assert_int_equal(append_buckets(&w, S + 10000, 9, 27), ERR_OK);
    assert_int_equal(append_buckets(&w, S + 9000, 9, 27), ERR_OUT_OF_ORDER);
    world_close(&w);
    world_release(&w);
}

static void a_newest_sample_many_runs_back_is_found(void **state) {
    (void)state;
    struct world w;
    compact_world_init(&w);
    w.options.no_compaction = true;
    world_open(&w);
    assert_int_equal(append(&w, "a job=j", S + 500, 1), ERR_OK);
    for (int i = 0; i < 64 * 9; i++) {
        assert_int_equal(append(&w, "b job=j", S + i * 1000, i), ERR_OK);
    }
    restart(&w);
    check_refusals(&w, "a job=j", S + 500, 1);
    world_close(&w);
    world_release(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_cut_and_a_restart_older_samples_are_refused),
        cmocka_unit_test(after_a_cut_and_a_restart_the_newest_histogram_is_known),
        cmocka_unit_test(a_newest_sample_many_runs_back_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
