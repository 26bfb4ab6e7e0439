/* Engine: what scripts in tests/golden/promql cannot say: limits, cancellation, memory, storage
 * errors, types of results, immediate name removal, statistics. All on a fake storage. */
#include "tests/support/check_err.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mutex.h"
#include "query/query.h"
#include "query/script/fake_storage.h"
#include "tests/support/fake_clock.h"

struct fixture {
    struct fake_clock clock;
    struct fake_storage *fs;
    struct query_engine *engine;
    struct arena arena;
    struct query_result result;
    struct err err;
};

static void make_engine(struct fixture *f, void (*change)(struct query_options *options)) {
    struct query_options options;
    query_options_default(&options);
    options.clock = &f->clock.clock;
    if (change != NULL) {
        change(&options);
    }
    query_engine_free(f->engine);
    f->engine = query_engine_new(&options);
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    fake_clock_init(&f->clock, 0);
    f->fs = fake_storage_new();
    arena_init(&f->arena, 0);
    make_engine(f, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    query_engine_free(f->engine);
    fake_storage_free(f->fs);
    arena_release(&f->arena);
    free(f);
    return 0;
}

static enum err_code run(struct fixture *f, const struct query *query) {
    return query_run(f->engine, fake_storage_as_storage(f->fs), query, &f->arena, &f->result,
                     &f->err);
}

static enum err_code instant(struct fixture *f, const char *text, int64_t ts_ms) {
    const struct query query = {.text = str_of(text), .start_ms = ts_ms, .end_ms = ts_ms};
    return run(f, &query);
}

static enum err_code range(struct fixture *f, const char *text, int64_t start_ms, int64_t end_ms,
                           int64_t step_ms) {
    const struct query query = {
        .text = str_of(text), .start_ms = start_ms, .end_ms = end_ms, .step_ms = step_ms};
    return run(f, &query);
}

static void assert_series(struct fixture *f, size_t i, const char *labels, size_t count) {
    assert_true(i < f->result.series_count);
    struct buf text;
    buf_init(&text, 4096);
    labels_format(&text, f->result.series[i].labels);
    assert_str(buf_str(&text), labels);
    buf_release(&text);
    assert_int_equal(f->result.series[i].count, count);
}

static void load_many(struct fixture *f, size_t series) {
    char metric[128];
    for (size_t i = 0; i < series; i++) {
        (void)snprintf(metric, sizeof(metric), "m_total{instance=\"%zu\",n=\"%zu\"}", i % 10, i);
        fake_storage_load(f->fs, 10000, metric, "0 1 2 3 4 5 6 7 8 9 10 11");
    }
}

/* ---- types of results ---- */

static void results_have_the_type_of_the_expression(void **state) {
    struct fixture *f = *state;
    fake_storage_load(f->fs, 1000, "m{a=\"1\"}", "1 2 3");
    assert_ok(instant(f, "m", 1000), &f->err);
    assert_int_equal(f->result.type, RESULT_VECTOR);
    assert_series(f, 0, "{__name__=\"m\", a=\"1\"}", 1);
    assert_true(f->result.series[0].ts[0] == 1000 && f->result.series[0].values[0] == 2);
    assert_ok(instant(f, "m[2s]", 2000), &f->err);
    assert_int_equal(f->result.type, RESULT_MATRIX);
    assert_series(f, 0, "{__name__=\"m\", a=\"1\"}", 2);
    assert_ok(instant(f, "1 + 1", 5000), &f->err);
    assert_int_equal(f->result.type, RESULT_SCALAR);
    assert_true(f->result.scalar == 2 && f->result.ts_ms == 5000);
    assert_ok(instant(f, "'text'", 5000), &f->err);
    assert_int_equal(f->result.type, RESULT_STRING);
    assert_str(f->result.string, "text");
    assert_ok(range(f, "time()", 0, 2000, 1000), &f->err);
    assert_int_equal(f->result.type, RESULT_MATRIX);
    assert_series(f, 0, "{}", 3);
    assert_true(f->result.series[0].values[2] == 2);
}

static void a_range_that_ends_before_it_starts_is_empty(void **state) {
    struct fixture *f = *state;
    fake_storage_load(f->fs, 1000, "m", "1 2 3");
    assert_ok(range(f, "m", 2000, 1000, 1000), &f->err);
    assert_int_equal(f->result.series_count, 0);
    assert_ok(range(f, "time()", 2000, 1000, 1000), &f->err);
    assert_int_equal(f->result.series_count, 0);
}

static void a_range_query_refuses_ranges_and_strings(void **state) {
    struct fixture *f = *state;
    assert_err(range(f, "m[1m]", 0, 1000, 1000), ERR_INVALID,
               "invalid expression type \"range vector\" for range query, must be Scalar or "
               "instant Vector",
               &f->err);
    assert_err(range(f, "'x'", 0, 1000, 1000), ERR_INVALID, "\"string\"", &f->err);
}

static void a_syntax_error_names_its_place(void **state) {
    struct fixture *f = *state;
    assert_err(instant(f, "sum(", 0), ERR_INVALID, "1:5: parse error: unclosed left parenthesis",
               &f->err);
}

/* ---- names ---- */

static void names_go_at_once_by_default(void **state) {
    struct fixture *f = *state;
    fake_storage_load(f->fs, 1000, "a_total{n=\"1\"}", "1 2 3");
    fake_storage_load(f->fs, 1000, "b_total{n=\"1\"}", "1 2 3");
    assert_ok(instant(f, "sum by (__name__) (rate(a_total[3s]))", 2000), &f->err);
    assert_series(f, 0, "{}", 1);
    const char *same = "vector cannot contain metrics with the same labelset";
    assert_err(instant(f, "rate({__name__=~\"._total\"}[3s])", 2000), ERR_EXECUTION, same, &f->err);
    assert_err(instant(f, "sum(rate({__name__=~\"._total\"}[3s]))", 2000), ERR_EXECUTION, same,
               &f->err);
    assert_err(instant(f, "abs({__name__=~\"._total\"})", 2000), ERR_EXECUTION, same, &f->err);
    assert_err(instant(f, "sum({__name__=~\"._total\"} * 2)", 2000), ERR_EXECUTION, same, &f->err);
    assert_ok(instant(f, "sum({__name__=~\"._total\"} > 0)", 2000), &f->err);
    assert_true(f->result.series[0].values[0] == 6);
}

static void type_and_unit_go_with_the_name(void **state) {
    struct fixture *f = *state;
    fake_storage_load(f->fs, 1000, "m{__type__=\"gauge\",__unit__=\"s\",n=\"1\"}", "1 2 3");
    assert_ok(instant(f, "m + 1", 2000), &f->err);
    assert_series(f, 0, "{n=\"1\"}", 1);
    fake_storage_load(f->fs, 1000, "m{__type__=\"counter\",__unit__=\"s\",n=\"1\"}", "1 2 3");
    assert_err(instant(f, "sum(m + 1)", 2000), ERR_EXECUTION, "same labelset", &f->err);
}

static void equal_rows_merge_when_they_share_no_step(void **state) {
    struct fixture *f = *state;
    fake_storage_load(f->fs, 1000, "a", "1 stale");
    fake_storage_load(f->fs, 1000, "b", "_ 7");
    assert_ok(range(f, "abs({__name__=~\"a|b\"})", 0, 1000, 1000), &f->err);
    assert_int_equal(f->result.series_count, 1);
    assert_series(f, 0, "{}", 2);
    assert_true(f->result.series[0].values[0] == 1 && f->result.series[0].values[1] == 7);
    /* functions of ranges never merge */
    assert_err(range(f, "sum_over_time({__name__=~\"a|b\"}[1s])", 0, 1000, 1000), ERR_EXECUTION,
               "same labelset", &f->err);
}

/* ---- limits ---- */

static void limit_samples(struct query_options *options) {
    options->max_samples = 100;
}

static void too_many_samples_are_an_error(void **state) {
    struct fixture *f = *state;
    make_engine(f, limit_samples);
    load_many(f, 20);
    const char *text =
        "query processing would load too many samples into memory in query execution";
    assert_ok(range(f, "m_total", 0, 40000, 10000), &f->err);
    assert_int_equal(f->result.stats.peak_samples, 100);
    assert_err(range(f, "m_total", 0, 50000, 10000), ERR_LIMIT, text, &f->err);
    assert_err(range(f, "sum(m_total)", 0, 50000, 10000), ERR_LIMIT, text, &f->err);
    assert_err(instant(f, "m_total[2m]", 110000), ERR_LIMIT, text, &f->err);
    assert_err(range(f, "vector(1)", 0, 200000, 1000), ERR_LIMIT, text, &f->err);
    /* nothing is held by series that were aggregated before: 20 samples and a window of 12 */
    assert_ok(instant(f, "sum(rate(m_total[2m]))", 110000), &f->err);
    assert_int_equal(f->result.stats.samples_read, 240);
}

static void limit_memory(struct query_options *options) {
    options->max_memory_bytes = 6 * 1024 * 1024;
}

static void too_much_memory_is_an_error_that_names_the_limit(void **state) {
    struct fixture *f = *state;
    make_engine(f, limit_memory);
    load_many(f, 10);
    assert_err(instant(f, "m_total[1d:1ms]", 60000), ERR_LIMIT, "6291456 bytes", &f->err);
    assert_err(range(f, "m_total", 0, INT64_C(10) * 1000 * 1000, 10), ERR_LIMIT, "6291456 bytes",
               &f->err);
    assert_err(instant(f, "count_over_time(vector(1)[100y:1ms])", INT64_MAX / 2), ERR_LIMIT,
               "6291456 bytes", &f->err);
}

static void what_the_caller_gets_counts_as_memory_too(void **state) {
    struct fixture *f = *state;
    make_engine(f, limit_memory);
    char values[6000] = "";
    for (size_t i = 0; i < 2900; i++) {
        values[2 * i] = '1';
        values[2 * i + 1] = ' ';
    }
    for (int i = 0; i < 150; i++) {
        char metric[64];
        (void)snprintf(metric, sizeof(metric), "long{n=\"%d\"}", i);
        fake_storage_load(f->fs, 10, metric, values);
    }
    assert_err(instant(f, "long[1m]", 60000), ERR_LIMIT, "6291456 bytes", &f->err);
    assert_true(f->arena.used_bytes < 8 * 1024 * 1024);
    assert_ok(instant(f, "count(last_over_time(long[1m]))", 60000), &f->err);
}

static size_t peak_of(struct fixture *f, size_t series) {
    fake_storage_clear(f->fs);
    load_many(f, series);
    assert_ok(range(f, "sum by (instance) (rate(m_total[1m]))", 0, 100000, 100), &f->err);
    assert_int_equal(f->result.series_count, 10);
    return f->result.stats.peak_bytes;
}

/* What remains is the list of found series and their sets, some hundred bytes for each. */
static void memory_of_an_aggregation_does_not_grow_with_its_series(void **state) {
    struct fixture *f = *state;
    const size_t few = peak_of(f, 300);
    const size_t many = peak_of(f, 1500);
    const size_t column_bytes = 1001 * sizeof(double);
    assert_true(many < few + 1200 * 400);
    assert_true(many < few + 1200 * column_bytes / 10);
}

/* ---- time and errors ---- */

static void a_raised_flag_stops_the_query(void **state) {
    struct fixture *f = *state;
    load_many(f, 200);
    struct cancel cancel;
    cancel_init(&cancel, &f->clock.clock, 0);
    fake_storage_cancel_at_read(f->fs, 1, &cancel);
    const struct query query = {.text = STR("sum(m_total)"), .cancel = &cancel};
    assert_err(run(f, &query), ERR_CANCELED, "query was canceled in expression evaluation",
               &f->err);
    assert_true(cancel.deadline_mono_ns == 0);
}

static void a_passed_deadline_stops_the_query(void **state) {
    struct fixture *f = *state;
    struct cancel cancel;
    cancel_init(&cancel, &f->clock.clock, 1);
    const struct query query = {.text = STR("1"), .cancel = &cancel};
    assert_err(run(f, &query), ERR_TIMEOUT, "query timed out in query execution", &f->err);
}

static void no_time_at_all_is_not_no_limit(void **state) {
    struct fixture *f = *state;
    const struct query query = {.text = STR("1"), .timeout_ms = -1};
    assert_err(run(f, &query), ERR_TIMEOUT, "query timed out in query execution", &f->err);
}

static void one_at_a_time(struct query_options *options) {
    options->max_concurrency = 1;
}

static void the_gate_opens_again_after_every_outcome(void **state) {
    struct fixture *f = *state;
    make_engine(f, one_at_a_time);
    for (int i = 0; i < 3; i++) {
        assert_err(instant(f, "(", 0), ERR_INVALID, NULL, &f->err);
        assert_err(instant(f, "label_replace(vector(1), '', '', '', '')", 0), ERR_EXECUTION,
                   "invalid destination label name in label_replace(): ", &f->err);
        assert_ok(instant(f, "1", 0), &f->err);
    }
}

struct client {
    struct fixture *f;
    struct thread thread;
    enum err_code code;
    double answer;
};

static void ask_often(void *ctx) {
    struct client *c = ctx;
    const struct query query = {.text = STR("sum(sum_over_time(vector(1)[1000s:1s]))")};
    for (int i = 0; i < 20 && c->code == ERR_OK; i++) {
        struct arena arena;
        struct query_result result;
        struct err err;
        arena_init(&arena, 0);
        c->code = query_run(c->f->engine, fake_storage_as_storage(c->f->fs), &query, &arena,
                            &result, &err);
        if (c->code == ERR_OK) {
            c->answer = result.series[0].values[0];
        }
        arena_release(&arena);
    }
}

static void threads_may_ask_at_once_and_wait_at_the_gate(void **state) {
    struct fixture *f = *state;
    make_engine(f, one_at_a_time);
    struct client clients[4];
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        clients[i] = (struct client){.f = f, .code = ERR_OK};
        thread_start(&clients[i].thread, "client", ask_often, &clients[i]);
    }
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        thread_join(&clients[i].thread);
        assert_int_equal(clients[i].code, ERR_OK);
        assert_true(clients[i].answer == 1000);
    }
}

static void an_error_of_the_storage_comes_through(void **state) {
    struct fixture *f = *state;
    load_many(f, 100);
    static const char *const QUERIES[] = {
        "m_total",           "m_total[1m]",      "sum(rate(m_total[1m]))",
        "m_total + m_total", "topk(3, m_total)", "max_over_time(m_total[1m:10s])",
        "absent(m_total)",   "scalar(m_total)",  "label_join(m_total, 'x', ',', 'n')",
    };
    for (size_t i = 0; i < COUNT_OF(QUERIES); i++) {
        fake_storage_fail_read(f->fs, 1, ERR_CORRUPT);
        assert_err(instant(f, QUERIES[i], 60000), ERR_CORRUPT, "reading failed as asked", &f->err);
    }
}

static void extended_ranges(struct query_options *options) {
    options->extended_range_selectors = true;
    options->experimental_functions = true;
}

static void floats_have_no_histogram_values(void **state) {
    struct fixture *f = *state;
    make_engine(f, extended_ranges);
    fake_storage_load(f->fs, 1000, "m", "1 2 3");
    assert_ok(instant(f, "histogram_count(m)", 1000), &f->err);
    assert_int_equal(f->result.series_count, 0);
}

static void start_timestamps_need_their_option(void **state) {
    struct fixture *f = *state;
    make_engine(f, extended_ranges);
    const struct label name = {LABEL_NAME, STR("m")};
    fake_storage_put_started(f->fs, labels_of(&f->arena, &name, 1), 1000, 1, 500);
    assert_ok(instant(f, "start_timestamp(m)", 1000), &f->err);
    assert_int_equal(f->result.series_count, 0);
}

/* ---- what is read ---- */

static void the_storage_is_opened_for_what_is_read(void **state) {
    struct fixture *f = *state;
    int64_t mint = 0;
    int64_t maxt = 0;
    assert_ok(range(f, "m offset 1m + sum_over_time(n[10m])", 1000000, 2000000, 1000), &f->err);
    fake_storage_seen_range(f->fs, &mint, &maxt);
    assert_true(mint == 1000000 - 600000 + 1 && maxt == 2000000);
    assert_ok(instant(f, "m @ 100 offset 10s", 1000000), &f->err);
    fake_storage_seen_range(f->fs, &mint, &maxt);
    assert_true(mint == 90000 - 300000 + 1 && maxt == 90000);
    assert_ok(instant(f, "max_over_time(m[1m:30s])", 1000000), &f->err);
    fake_storage_seen_range(f->fs, &mint, &maxt);
    assert_true(mint == 960000 - 300000 + 1 && maxt == 990000);
}

static void the_query_may_choose_its_lookback(void **state) {
    struct fixture *f = *state;
    fake_storage_load(f->fs, 1000, "m", "1");
    struct query query = {.text = STR("m"), .start_ms = 10000, .lookback_ms = 10001};
    assert_ok(run(f, &query), &f->err);
    assert_int_equal(f->result.series_count, 1);
    query.lookback_ms = 10000;
    assert_ok(run(f, &query), &f->err);
    assert_int_equal(f->result.series_count, 0);
}

static void extreme_times_do_no_harm(void **state) {
    struct fixture *f = *state;
    fake_storage_load(f->fs, 1000, "m", "1 2 3");
    static const int64_t TIMES[] = {INT64_MIN, INT64_MIN + 1, -1, 0, INT64_MAX - 1, INT64_MAX};
    static const char *const QUERIES[] = {
        "m",
        "rate(m[100y])",
        "m offset 200y",
        "m offset -200y",
        "m @ 9e15",
        "sum_over_time(m[1y:1y] offset -250y)",
        "timestamp(m)",
        "minute()",
        "predict_linear(m[100y], 1e300)",
    };
    for (size_t t = 0; t < COUNT_OF(TIMES); t++) {
        for (size_t q = 0; q < COUNT_OF(QUERIES); q++) {
            assert_ok(instant(f, QUERIES[q], TIMES[t]), &f->err);
        }
    }
    assert_ok(range(f, "m", INT64_MIN, INT64_MAX, INT64_MAX), &f->err);
}

/* ---- annotations ---- */

static void delayed_names(struct query_options *options) {
    options->delayed_name_removal = true;
}

static void annotations_carry_their_place(void **state) {
    struct fixture *f = *state;
    fake_storage_load(f->fs, 1000, "m", "1 2 3");
    assert_ok(range(f, "\n  rate(m[5s]) + sort(m)", 0, 2000, 1000), &f->err);
    assert_int_equal(f->result.info_count, 1);
    assert_str(f->result.infos[0],
               "PromQL info: metric might not be a counter, name does not end in "
               "_total/_sum/_count/_bucket: \"m\" (2:8)");
    assert_int_equal(f->result.warning_count, 1);
    assert_str(f->result.warnings[0],
               "PromQL warning: sort is ineffective for range queries since results are always "
               "ordered by labels (2:17)");
}

static void warnings_of_quantiles_name_what_still_has_a_name(void **state) {
    struct fixture *f = *state;
    fake_storage_load(f->fs, 1000, "m_bucket{le=\"x\"}", "1 2 3");
    assert_ok(instant(f, "histogram_quantile(0.5, m_bucket)", 1000), &f->err);
    assert_int_equal(f->result.warning_count, 1);
    assert_str(f->result.warnings[0],
               "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"x\" "
               "(1:25)");
    make_engine(f, delayed_names);
    assert_ok(instant(f, "histogram_quantile(0.5, m_bucket)", 1000), &f->err);
    assert_int_equal(f->result.warning_count, 1);
    assert_str(f->result.warnings[0],
               "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"x\" "
               "for metric name \"m_bucket\" (1:25)");
}

/* ---- bits ---- */

static void values_between_samples_have_the_bits_of_prometheus(void **state) {
    struct fixture *f = *state;
    make_engine(f, extended_ranges);
    fake_storage_load(f->fs, 15000, "m", "1 4");
    assert_ok(instant(f, "m smoothed", 11000), &f->err);
    assert_series(f, 0, "{__name__=\"m\"}", 1);
    assert_true(f->result.series[0].values[0] == 3.2); /* 1 + 3 * (11.0 / 15) is less */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(results_have_the_type_of_the_expression, setup, teardown),
        cmocka_unit_test_setup_teardown(a_range_that_ends_before_it_starts_is_empty, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_range_query_refuses_ranges_and_strings, setup, teardown),
        cmocka_unit_test_setup_teardown(a_syntax_error_names_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(names_go_at_once_by_default, setup, teardown),
        cmocka_unit_test_setup_teardown(type_and_unit_go_with_the_name, setup, teardown),
        cmocka_unit_test_setup_teardown(equal_rows_merge_when_they_share_no_step, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_samples_are_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(too_much_memory_is_an_error_that_names_the_limit, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_the_caller_gets_counts_as_memory_too, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_of_an_aggregation_does_not_grow_with_its_series,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_raised_flag_stops_the_query, setup, teardown),
        cmocka_unit_test_setup_teardown(a_passed_deadline_stops_the_query, setup, teardown),
        cmocka_unit_test_setup_teardown(no_time_at_all_is_not_no_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(the_gate_opens_again_after_every_outcome, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_may_ask_at_once_and_wait_at_the_gate, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_error_of_the_storage_comes_through, setup, teardown),
        cmocka_unit_test_setup_teardown(floats_have_no_histogram_values, setup, teardown),
        cmocka_unit_test_setup_teardown(start_timestamps_need_their_option, setup, teardown),
        cmocka_unit_test_setup_teardown(the_storage_is_opened_for_what_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(the_query_may_choose_its_lookback, setup, teardown),
        cmocka_unit_test_setup_teardown(extreme_times_do_no_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(annotations_carry_their_place, setup, teardown),
        cmocka_unit_test_setup_teardown(warnings_of_quantiles_name_what_still_has_a_name, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(values_between_samples_have_the_bits_of_prometheus, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
