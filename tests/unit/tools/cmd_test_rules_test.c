/* brasa test rules: the files of tests/golden/rule_tests print what stands beside them, which is
 * what Prometheus' promtool prints. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/support/check_err.h"
#include "tests/unit/tools/tool_run.h"
#include "tools.h"

static int enter_folder(void **state) {
    (void)state;
    return chdir("tests/golden/rule_tests");
}

static char *read_want(const char *name) {
    char *text = NULL;
    size_t len = 0;
    struct err err;
    assert_ok(vfs_read_file(vfs_system(), name, 1024 * 1024, &text, &len, &err), &err);
    return text;
}

static void a_file_that_passes_says_so(void **state) {
    (void)state;
    tool_expect(TOOL_ARGV("test", "rules", "ok.yml"), TOOL_OK, "  SUCCESS\n\n",
                "  WARNING: no file match pattern none*.yml\n");
}

static void histograms_are_compared_as_text(void **state) {
    (void)state;
    tool_expect(TOOL_ARGV("test", "rules", "histograms.yml"), TOOL_OK, "  SUCCESS\n\n", "");
}

static void differences_read_as_promtools(void **state) {
    (void)state;
    static const struct {
        const char *file, *want;
        int errors;
    } cases[] = {
        {"bad.yml", "bad.want", 13},
        {"noname.yml", "noname.want", 1},
        {"fields.yml", "fields.want", 1},
        {"order.yml", "order.want", 1},
        {"evaluation.yml", "evaluation.want", 1},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *want = read_want(cases[i].want);
        struct tool_run run = tool_run(TOOL_ARGV("test", "rules", cases[i].file));
        assert_string_equal(run.err, want);
        assert_int_equal(run.code, TOOL_FAILED);
        assert_int_equal(strlen(run.out), cases[i].errors + 1); /* empty lines */
        tool_run_free(&run);
        mem_free(want);
    }
}

static void each_file_is_reported(void **state) {
    (void)state;
    tool_expect(TOOL_ARGV("test", "rules", "order.yml", "ok.yml"), TOOL_FAILED, "\n\n  SUCCESS\n\n",
                NULL);
}

static void run_chooses_groups_by_name(void **state) {
    (void)state;
    tool_expect(TOOL_ARGV("test", "rules", "--run=nothing", "bad.yml"), TOOL_OK, "  SUCCESS\n\n",
                "");
    tool_expect(TOOL_ARGV("test", "rules", "--run=x", "--run=^$", "bad.yml"), TOOL_FAILED, "\n\n",
                NULL);
    struct tool_run bad = tool_run(TOOL_ARGV("test", "rules", "--run=(", "bad.yml"));
    assert_int_equal(bad.code, TOOL_FAILED);
    assert_non_null(strstr(bad.err, "error parsing regexp: missing closing )"));
    tool_run_free(&bad);
}

static void what_cannot_run_is_an_error_of_the_file(void **state) {
    (void)state;
    static const struct {
        const char *text, *err;
    } cases[] = {
        {"tests: [{input_series: [{series: 'm{', values: 1}]}]",
         "error in input series \"m{\": 1:3"},
        {"tests: [{input_series: [{series: m, values: '1 y'}]}]",
         "error in input series \"m\": bad values \"1 y\""},
        {"tests: [{input_series: [{series: m, values: '{{bla:1}}'}]}]", "bad values \"{{bla:1}}\""},
        {"tests: [{promql_expr_test: [{expr: m, exp_samples: [{labels: m, histogram: '1'}]}]}]",
         "expected one histogram, got \"1\""},
        {"tests: [{input_series: [{series: m, values: '{{count:1 sum:2 buckets:[1]}}'}],"
         " promql_expr_test: [{expr: m, exp_samples: [{labels: m, histogram: '{{count:3}}'}]}]}]",
         "        exp: {__name__=\"m\"} {{count:3}}\n"
         "        got: {__name__=\"m\"} {{count:1 sum:2 buckets:[1]}}\n"},
        {"tests: [{start_timestamp: x}]", "cannot parse \"x\" to a valid timestamp"},
        {"tests: [{start_timestamp: 9e12}]", "start_timestamp or eval_time is too far from 1970"},
        {"rule_files: [failing_rules.yml]\ntests: [{alert_rule_test: [{eval_time: 1x}]}]",
         "unknown unit \"x\" in duration \"1x\""},
        {"a: [", "yaml: line 1"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *file = tool_temp_file(cases[i].text);
        struct tool_run run = tool_run(TOOL_ARGV("test", "rules", file));
        assert_int_equal(run.code, TOOL_FAILED);
        if (strstr(run.err, cases[i].err) == NULL) {
            fail_msg("%s: got %s", cases[i].text, run.err);
        }
        tool_run_free(&run);
        assert_int_equal(unlink(file), 0);
        free(file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_passes_says_so),
        cmocka_unit_test(histograms_are_compared_as_text),
        cmocka_unit_test(differences_read_as_promtools),
        cmocka_unit_test(each_file_is_reported),
        cmocka_unit_test(run_chooses_groups_by_name),
        cmocka_unit_test(what_cannot_run_is_an_error_of_the_file),
    };
    return cmocka_run_group_tests(tests, enter_folder, NULL);
}
