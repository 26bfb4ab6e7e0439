/* brasa promql and brasa test promql: what they print, and the exit code. */
#include "tests/support/check_err.h"
#include "tests/unit/tools/tool_run.h"
#include "tools.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void format_prints_prettily(void **state) {
    (void)state;
    static const struct {
        const char *query, *want;
    } cases[] = {
        {"sum(up)by(job)", "sum by (job) (up)\n"},
        {"a+b", "a + b\n"},
        {"sum(rate(a_long_metric_name_total{code=\"500\",path=\"/one\"}[5m])) / "
         "sum(rate(a_long_metric_name_total{path=\"/one\"}[5m]))",
         "  sum(rate(a_long_metric_name_total{code=\"500\",path=\"/one\"}[5m]))\n/\n"
         "  sum(rate(a_long_metric_name_total{path=\"/one\"}[5m]))\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        tool_expect(TOOL_ARGV("promql", "format", "--experimental", cases[i].query), 0,
                    cases[i].want, "");
    }
    tool_expect(TOOL_ARGV("promql", "format", "--experimental", "sum("), TOOL_FAILED, "",
                "1:5: parse error: unclosed left parenthesis\n");
}

static void experimental_functions_need_their_feature(void **state) {
    (void)state;
    struct tool_run off =
        tool_run(TOOL_ARGV("promql", "format", "--experimental", "mad_over_time(x[5m])"));
    assert_int_equal(off.code, TOOL_FAILED);
    assert_non_null(strstr(off.err, "mad_over_time"));
    tool_run_free(&off);
    tool_expect(TOOL_ARGV("promql", "format", "--experimental",
                          "--enable-feature=a,promql-experimental-functions",
                          "mad_over_time(x[5m])"),
                0, "mad_over_time(x[5m])\n", "");
}

static void matchers_are_set_and_deleted_in_every_selector(void **state) {
    (void)state;
    static const struct {
        const char *type, *query, *want;
    } cases[] = {
        {"=", "foo", "foo{a=\"v\"}\n"},
        {"=~", "sum(foo{a=\"b\"}) + bar", "sum(foo{a=~\"v\"}) + bar{a=~\"v\"}\n"},
        {"!=", "rate(foo{x=\"y\"}[5m])", "rate(foo{a!=\"v\",x=\"y\"}[5m])\n"},
        {"!~", "foo{a!=\"1\",a!=\"2\"}", "foo{a!~\"v\",a!~\"v\"}\n"},
        {"=", "max_over_time((topk(scalar(n), foo))[5m:1m]) > 1",
         "max_over_time((topk(scalar(n{a=\"v\"}), foo{a=\"v\"}))[5m:1m]) > 1\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        tool_expect(TOOL_ARGV("promql", "label-matchers", "set", "--experimental", "-t",
                              cases[i].type, cases[i].query, "a", "v"),
                    0, cases[i].want, "");
    }
    tool_expect(TOOL_ARGV("promql", "label-matchers", "delete", "--experimental",
                          "foo{a=\"1\",b=\"2\",a!=\"3\"} / -(bar{a=\"1\"} or vector(1))", "a"),
                0, "foo{b=\"2\"} / -(bar or vector(1))\n", "");
    struct tool_run bad = tool_run(TOOL_ARGV("promql", "label-matchers", "set", "--experimental",
                                             "--type==~", "up", "a", "("));
    assert_int_equal(bad.code, TOOL_FAILED);
    assert_non_null(strstr(bad.err, "error parsing regexp: missing closing )"));
    tool_run_free(&bad);
}

static void a_script_counts_what_passed_and_failed(void **state) {
    (void)state;
    char *good = tool_temp_file("load 1m\n  m 1 2 3\n\neval instant at 1m m\n  m 2\n");
    char *bad = tool_temp_file("load 1m\n  m 1 2 3\n\neval instant at 1m m\n  m 7\n\n"
                               "eval instant at 2m m\n  m 3\n");
    tool_expect(TOOL_ARGV("test", "promql", good), 0, "1 passed, 0 failed\n", "");
    tool_expect(TOOL_ARGV("test", "promql", good, bad), TOOL_FAILED, "2 passed, 1 failed\n", NULL);
    tool_expect(TOOL_ARGV("test", "promql", "--storage=tsdb", good), 0, "1 passed, 0 failed\n", "");
    tool_expect(TOOL_ARGV("test", "promql", "--storage=tsdb", good, bad), TOOL_FAILED,
                "2 passed, 1 failed\n", NULL);
    assert_int_equal(setenv("TMPDIR", "/tmp/no/such/folder", 1), 0);
    tool_expect(TOOL_ARGV("test", "promql", "--storage=tsdb", good), TOOL_FAILED, "", NULL);
    assert_int_equal(unsetenv("TMPDIR"), 0);
    tool_expect(TOOL_ARGV("test", "promql", "--storage=x", good), TOOL_FAILED, "",
                "brasa: error: enum value must be one of memory,tsdb, got 'x', try --help\n");
    assert_int_equal(unlink(good), 0);
    assert_int_equal(unlink(bad), 0);
    free(good);
    free(bad);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format_prints_prettily),
        cmocka_unit_test(experimental_functions_need_their_feature),
        cmocka_unit_test(matchers_are_set_and_deleted_in_every_selector),
        cmocka_unit_test(a_script_counts_what_passed_and_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
