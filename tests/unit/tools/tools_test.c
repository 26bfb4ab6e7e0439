/* tools: which command a line names, its flags, arguments, usage errors and help. Error texts are
 * those of Prometheus' promtool for the same mistake. */
#include "tools.h"

#include <string.h>

#include "tests/support/check_err.h"
#include "tests/unit/tools/tool_run.h"

static void a_mistake_in_the_arguments_is_named(void **state) {
    (void)state;
    static const struct {
        const char *args[6];
        const char *err;
    } cases[] = {
        {{"promql", "format"}, "required argument 'query' not provided"},
        {{"promql", "format", "up", "zz"}, "unexpected zz"},
        {{"promql", "format", "--bla", "up"}, "unknown long flag '--bla'"},
        {{"promql", "format", "-x", "up"}, "unknown short flag '-x'"},
        {{"promql", "format", "up", "--enable-feature"},
         "expected argument for flag '--enable-feature'"},
        {{"promql", "format", "up", "--experimental=1"}, "unexpected 1"},
        {{"promql", "label-matchers", "set", "-t", "=="},
         "enum value must be one of =,!=,=~,!~, got '=='"},
        {{"promql", "label-matchers", "set", "-t=", "--type=!="}, "flag 'type' cannot be repeated"},
        {{"test", "promql", "/nonexistent"}, "path '/nonexistent' does not exist"},
        {{"query", "instant", "--header=a", "x", "up"}, "expected KEY=VALUE got 'a'"},
        {{"query", "series", "x"}, "required flag --match not provided"},
        {{"test", "promql", "/"}, "'/' is a directory"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char want[256];
        (void)snprintf(want, sizeof(want), "brasa: error: %s, try --help\n", cases[i].err);
        tool_expect(cases[i].args, TOOL_FAILED, "", want);
    }
}

static void flags_may_stand_anywhere(void **state) {
    (void)state;
    tool_expect(TOOL_ARGV("--experimental", "promql", "format", "1+1"), 0, "1 + 1\n", "");
    tool_expect(TOOL_ARGV("promql", "--experimental", "format", "1+1"), 0, "1 + 1\n", "");
    tool_expect(TOOL_ARGV("promql", "format", "1+1", "--experimental"), 0, "1 + 1\n", "");
    tool_expect(TOOL_ARGV("promql", "format", "--experimental", "--", "-up"), 0, "-up\n", "");
    tool_expect(TOOL_ARGV("--enable-feature", "x", "promql", "format", "up", "--experimental"), 0,
                "up\n", "");
    tool_expect(TOOL_ARGV("promql", "format", "up", "--experimental", "--no-experimental"),
                TOOL_FAILED, "",
                "This command is experimental and requires the --experimental flag to be set.\n");
}

static void a_wrong_subcommand_lists_the_right_ones(void **state) {
    (void)state;
    static const char list[] = "commands:\n  promql format\n  promql label-matchers set\n"
                               "  promql label-matchers delete\n";
    char want[512];
    (void)snprintf(want, sizeof(want), "%s%s",
                   "brasa: error: expected command but got \"bla\", try --help\n", list);
    tool_expect(TOOL_ARGV("promql", "bla"), TOOL_FAILED, "", want);
    (void)snprintf(want, sizeof(want), "%s%s",
                   "brasa: error: must select a subcommand of 'promql', try --help\n", list);
    tool_expect(TOOL_ARGV("promql"), TOOL_FAILED, "", want);
}

static void flags_of_the_server_are_left_to_main(void **state) {
    (void)state;
    static const char *const lines[][3] = {{"serve"}, {"--config.file=x"}, {"promq"}, {"-h"}};
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct tool_run run = tool_run(lines[i]);
        assert_false(run.known);
        assert_string_equal(run.err, "");
        tool_run_free(&run);
    }
}

static void help_is_of_all_of_a_group_or_of_one_command(void **state) {
    (void)state;
    struct tool_run all = tool_run(TOOL_ARGV("help"));
    struct tool_run group = tool_run(TOOL_ARGV("help", "promql"));
    struct tool_run one = tool_run(TOOL_ARGV("help", "promql", "label-matchers", "set"));
    struct tool_run flag = tool_run(TOOL_ARGV("promql", "label-matchers", "set", "--help"));
    struct tool_run check = tool_run(TOOL_ARGV("check", "rules", "--help"));
    assert_non_null(strstr(all.out, "check config"));
    assert_non_null(strstr(all.out, "promql format"));
    assert_non_null(strstr(group.out, "promql format"));
    assert_null(strstr(group.out, "check config"));
    assert_non_null(strstr(one.out, "-t, --type="));
    assert_string_equal(one.out, flag.out);
    assert_non_null(strstr(check.out, "usage: brasa check rules [<flags>] <rule-files>...\n"));
    assert_int_equal(all.code + group.code + one.code + flag.code + check.code, 0);
    tool_run_free(&all);
    tool_run_free(&group);
    tool_run_free(&one);
    tool_run_free(&flag);
    tool_run_free(&check);
}

static void durations_are_read_as_go_reads_them(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ns;
        const char *err;
    } cases[] = {
        {"0", 0, NULL},
        {"1h2m3.5s", INT64_C(3723500000000), NULL},
        {"-1.5h", INT64_C(-5400000000000), NULL},
        {"250ms", 250000000, NULL},
        {".5us1ns", 501, NULL},
        {"", 0, "time: invalid duration \"\""},
        {"-", 0, "time: invalid duration \"-\""},
        {"abc", 0, "time: invalid duration \"abc\""},
        {".s", 0, "time: invalid duration \".s\""},
        {"5", 0, "time: missing unit in duration \"5\""},
        {"1h0", 0, "time: missing unit in duration \"1h0\""},
        {"5d", 0, "time: unknown unit \"d\" in duration \"5d\""},
        {"9999999999h", 0, "time: invalid duration \"9999999999h\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        int64_t ns = 0;
        const enum err_code code = tool_parse_go_duration(str_of(cases[i].text), &ns, &err);
        if (cases[i].err != NULL) {
            assert_err(code, ERR_INVALID, cases[i].err, &err);
        } else {
            assert_ok(code, &err);
            assert_int_equal(ns, cases[i].ns);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mistake_in_the_arguments_is_named),
        cmocka_unit_test(flags_may_stand_anywhere),
        cmocka_unit_test(a_wrong_subcommand_lists_the_right_ones),
        cmocka_unit_test(flags_of_the_server_are_left_to_main),
        cmocka_unit_test(help_is_of_all_of_a_group_or_of_one_command),
        cmocka_unit_test(durations_are_read_as_go_reads_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
