#include "scrape/metric_lint.h"

#include "base/buf.h"
#include "tests/support/check_err.h"

struct lint_case {
    const char *page;
    const char *expected; /* problems, a line each */
};

static void assert_problems(const char *page, const char *expected) {
    struct arena arena;
    struct buf lines;
    struct metric_lint lint;
    struct err err;
    arena_init(&arena, 0);
    buf_init(&lines, 1 << 20);
    assert_ok(metric_lint(str_of(page), &arena, &lint, &err), &err);
    for (size_t i = 0; i < lint.problem_count; i++) {
        buf_printf(&lines, "%.*s %.*s\n", STR_ARG(lint.problems[i].metric),
                   STR_ARG(lint.problems[i].text));
    }
    assert_string_equal(buf_str(&lines).ptr, expected);
    buf_release(&lines);
    arena_release(&arena);
}

static void each_rule_has_its_problem(void **state) {
    (void)state;
    static const struct lint_case CASES[] = {
        {"", ""},
        {"# HELP good_total fine\n# TYPE good_total counter\ngood_total 1\n", ""},
        {"a 1\n", "a no help text\n"},
        {"# HELP a\na 1\n", ""},
        {"# HELP a x\n# TYPE a counter\na 1\n",
         "a counter metrics should have \"_total\" suffix\n"},
        {"# HELP a_total x\n# TYPE a_total gauge\na_total 1\n",
         "a_total non-counter metrics should not have \"_total\" suffix\n"},
        {"# HELP a_total x\na_total 1\n", ""},
        {"# HELP a_bucket x\n# TYPE a_bucket gauge\na_bucket{le=\"1\",quantile=\"1\"} 1\n",
         "a_bucket non-histogram metrics should not have \"_bucket\" suffix\n"
         "a_bucket non-histogram metrics should not have \"le\" label\n"
         "a_bucket non-summary metrics should not have \"quantile\" label\n"},
        {"# HELP a_sum x\n# TYPE a_sum gauge\na_sum 1\n# HELP b_count x\n# TYPE b_count gauge\n"
         "b_count 1\n",
         "a_sum non-histogram and non-summary metrics should not have \"_sum\" suffix\n"
         "b_count non-histogram and non-summary metrics should not have \"_count\" suffix\n"},
        {"# HELP a_gauge x\n# TYPE a_gauge gauge\na_gauge 1\n",
         "a_gauge metric name should not include type 'gauge'\n"},
        {"# HELP a:b x\na:b 1\n", "a:b metric names should not contain ':'\n"},
        {"# HELP aB x\naB{cD=\"1\"} 1\n",
         "aB label names should be written in 'snake_case' not 'camelCase'\n"
         "aB metric names should be written in 'snake_case' not 'camelCase'\n"},
        {"# HELP a_ms x\na_ms 1\n", "a_ms metric names should not contain abbreviated units\n"},
        {"# HELP a_kilometers x\na_kilometers 1\n",
         "a_kilometers use base unit \"meters\" instead of \"kilometers\"\n"},
        {"# HELP bytes_per_hours x\nbytes_per_hours 1\n", ""},
        {"# HELP a x\na{b=\"1\"} 1\na{b=\"2\"} 1\na{b=\"1\"} 2\n",
         "a metric not unique\na metric not unique\n"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        assert_problems(CASES[i].page, CASES[i].expected);
    }
}

static void buckets_and_quantiles_belong_to_their_family(void **state) {
    (void)state;
    struct arena arena;
    struct metric_lint lint;
    struct err err;
    arena_init(&arena, 0);
    assert_ok(metric_lint(STR("# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\n"
                              "h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n"
                              "h_bucket{a=\"b\",le=\"1\"} 1\n"
                              "# HELP s x\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\n"
                              "# HELP none x\n# TYPE none gauge\n"
                              "# HELP up x\nup 1\n"),
                          &arena, &lint, &err),
              &err);
    assert_int_equal(lint.problem_count, 0);
    assert_int_equal(lint.family_count, 3);
    assert_str(lint.families[0].metric, "h");
    assert_int_equal(lint.families[0].series, 8);
    assert_str(lint.families[1].metric, "s");
    assert_int_equal(lint.families[1].series, 3);
    assert_int_equal(lint.series_count, 12);
    arena_release(&arena);
}

static void a_bad_line_is_named(void **state) {
    (void)state;
    struct arena arena;
    struct metric_lint lint;
    struct err err;
    arena_init(&arena, 0);
    assert_err(metric_lint(STR("a 1\nb{ 2\n"), &arena, &lint, &err), ERR_INVALID, "line 2", &err);
    arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_has_its_problem),
        cmocka_unit_test(buckets_and_quantiles_belong_to_their_family),
        cmocka_unit_test(a_bad_line_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
