/* page_report: pages good and bad, in each format; every error has its line and column, and what
 * a job's relabelling does is told series by series. */
#include "scrape/page_report.h"

#include "base/buf.h"
#include "base/mem.h"
#include "tests/support/check_err.h"

struct fixture {
    struct arena arena;
    struct scrape_config config;
    struct page_report report;
};

static int setup(void **state) {
    struct fixture *const f = mem_zalloc(sizeof(*f));
    arena_init(&f->arena, 0);
    f->config = (struct scrape_config){.job_name = STR("j"),
                                       .interval_ms = 10000,
                                       .timeout_ms = 10000,
                                       .metrics_path = STR("/metrics"),
                                       .scheme = STR("http"),
                                       .honor_timestamps = true};
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *const f = *state;
    arena_release(&f->arena);
    mem_free(f);
    return 0;
}

static const struct page_report *look_at(struct fixture *f, const char *type, const char *body) {
    const struct label job = {STR("job"), STR("j")};
    struct err err;
    assert_ok(page_report_make(&f->config, labels_of(&f->arena, &job, 1), str_of(type),
                               str_of(body), &f->arena, &f->report, &err),
              &err);
    return &f->report;
}

static void a_good_page_is_counted(void **state) {
    const struct page_report *const r =
        look_at(*state, "text/plain", "# HELP a h\n# TYPE a counter\n# so\na 1 5\nb{x=\"1\"} 2\n");
    assert_str(r->format, "text");
    assert_int_equal(r->samples, 2);
    assert_int_equal(r->helps, 1);
    assert_int_equal(r->types, 1);
    assert_int_equal(r->by_type[1], 1);
    assert_string_equal(page_type_name(1), "counter");
    assert_int_equal(r->comments, 1);
    assert_int_equal(r->timestamps, 1);
    assert_int_equal(r->error_count, 0);
    assert_int_equal(r->kept, 2);
    assert_int_equal(r->series_count, 2);
}

static void every_error_has_its_place(void **state) {
    static const struct {
        const char *body;
        size_t line, column;
    } cases[] = {
        {"a 1\nb{ 3\n", 2, 4},       {"a 4 # no\n", 1, 5},        {"a\n", 1, 2},
        {"\n\nx{a=\"1\" 2\n", 3, 9}, {"a 1\nb one\nc 2\n", 2, 3},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct page_report *const r = look_at(*state, "text/plain", cases[i].body);
        assert_int_equal(r->error_count, 1);
        assert_int_equal(r->errors[0].line, cases[i].line);
        assert_int_equal(r->errors[0].column, cases[i].column);
        assert_true(r->errors[0].text.len > 0);
    }
}

static void a_bad_page_is_read_on_behind_its_errors_up_to_a_number(void **state) {
    const struct page_report *r = look_at(*state, "text/plain", "a{ 1\ngood 1\nb{ 1\nfine 2\nc\n");
    assert_int_equal(r->error_count, 3);
    assert_int_equal(r->samples, 2);
    assert_int_equal(r->errors[2].line, 5);
    r = look_at(*state, "text/plain", "{\n{\n{\n{\n{\n{\n{\n{\n");
    assert_int_equal(r->error_count, PAGE_ERRORS_MAX);
}

static void open_metrics_must_end(void **state) {
    const struct page_report *const r =
        look_at(*state, "application/openmetrics-text", "# TYPE a gauge\na 1 # {t=\"x\"} 2\n");
    assert_str(r->format, "OpenMetrics");
    assert_int_equal(r->exemplars, 1);
    assert_int_equal(r->error_count, 1);
    assert_str(r->errors[0].text, "data does not end with # EOF");
}

static void protobuf_errors_have_no_line(void **state) {
    const struct page_report *const r =
        look_at(*state, "application/vnd.google.protobuf", "\x7fnot enough");
    assert_str(r->format, "protobuf");
    assert_int_equal(r->error_count, 1);
    assert_int_equal(r->errors[0].line, 0);
}

static void relabelled_series_come_first(void **state) {
    struct fixture *const f = *state;
    struct regex *regex = NULL;
    struct err err;
    assert_ok(regex_new(STR("d.*"), REGEX_WRAPPED, &regex, &err), &err);
    const struct str source[] = {LABEL_NAME};
    const struct relabel_rule drop = {.action = RELABEL_DROP,
                                      .source_labels = source,
                                      .source_count = 1,
                                      .separator = STR(";"),
                                      .regex = regex};
    f->config.metric_relabel = (struct relabel_rules){&drop, 1};
    const struct page_report *const r = look_at(f, "text/plain", "a 1\nb 2\ndrop_me 3\nc 4\n");
    assert_int_equal(r->kept, 3);
    assert_int_equal(r->dropped, 1);
    assert_int_equal(r->series_count, 4);
    assert_str(labels_get(r->series[0].exposed, LABEL_NAME), "drop_me");
    assert_false(r->series[0].kept);
    assert_true(r->series[0].relabelled);
    assert_str(labels_get(r->series[1].stored, STR("job")), "j");
    regex_free(regex);
}

static void a_limit_on_labels_refuses_series_by_name(void **state) {
    struct fixture *const f = *state;
    f->config.label_limit = 2;
    const struct page_report *const r = look_at(f, "text/plain", "a 1\nb{x=\"1\",y=\"2\"} 2\n");
    assert_int_equal(r->kept, 1);
    assert_int_equal(r->refused, 1);
    assert_str(labels_get(r->series[0].exposed, LABEL_NAME), "b");
    assert_true(r->series[0].error.len > 0);
}

static void a_page_without_a_type_cannot_be_read(void **state) {
    struct fixture *const f = *state;
    struct err err;
    assert_err(page_report_make(&f->config, (struct labels){NULL, 0}, STR(""), STR("a 1\n"),
                                &f->arena, &f->report, &err),
               ERR_INVALID, "non-compliant scrape target sending blank Content-Type", &err);
}

static void many_series_are_counted_and_a_few_kept(void **state) {
    struct buf body;
    buf_init(&body, 1 << 20);
    for (int i = 0; i < 1000; i++) {
        buf_printf(&body, "a{i=\"%d\"} 1\n", i);
    }
    buf_append(&body, "", 1);
    const struct page_report *const r = look_at(*state, "text/plain", body.ptr);
    assert_int_equal(r->kept, 1000);
    assert_int_equal(r->series_count, PAGE_SERIES_MAX);
    buf_release(&body);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_good_page_is_counted),
        CASE(every_error_has_its_place),
        CASE(a_bad_page_is_read_on_behind_its_errors_up_to_a_number),
        CASE(open_metrics_must_end),
        CASE(protobuf_errors_have_no_line),
        CASE(relabelled_series_come_first),
        CASE(a_limit_on_labels_refuses_series_by_name),
        CASE(a_page_without_a_type_cannot_be_read),
        CASE(many_series_are_counted_and_a_few_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
