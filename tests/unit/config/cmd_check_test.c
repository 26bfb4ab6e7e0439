/* brasa check config: what it prints where, and the exit code. Expected output is that of
 * Prometheus' promtool for the same files. */
#include "cmd_check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/check_err.h"

struct run {
    char *out, *err;
    int exit_code;
};

static char start_folder[4096];
static char folder[] = "/tmp/brasa_check_XXXXXX";

static void write_file(const char *name, const char *text) {
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state) {
    (void)state;
    memcpy(folder + sizeof(folder) - 7, "XXXXXX", 6);
    return getcwd(start_folder, sizeof(start_folder)) == NULL || mkdtemp(folder) == NULL ||
           chdir(folder) != 0 || mkdir("rules", 0700) != 0 || mkdir("t", 0700) != 0;
}

static int teardown(void **state) {
    (void)state;
    static const char *const names[] = {
        "a.yml", "rules/1.yml", "rules/2.yml", "t/x.yml", "t/y.json", "rules", "t"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        (void)remove(names[i]);
    }
    return chdir(start_folder) != 0 || rmdir(folder) != 0;
}

static enum check_result fake_rule_check(const struct tool_io *io,
                                         const struct check_options *options, const char *path) {
    (void)options;
    (void)fprintf(io->out, "rules %s\n", path);
    return strstr(path, "2.yml") == NULL ? CHECK_OK : CHECK_FAILED;
}

static struct run check_with(const struct check_options *options, const char *file) {
    struct run run = {0};
    size_t out_len = 0;
    size_t err_len = 0;
    struct tool_io io = {.vfs = vfs_system()};
    io.out = open_memstream(&run.out, &out_len);
    io.err = open_memstream(&run.err, &err_len);
    run.exit_code = check_config(&io, options, &file, 1, fake_rule_check);
    (void)fclose(io.out);
    (void)fclose(io.err);
    return run;
}

static struct run check(const char *file) {
    const struct check_options none = {.syntax_only = false};
    return check_with(&none, file);
}

static void expect(struct run run, int exit_code, const char *out, const char *err) {
    assert_string_equal(run.out, out);
    assert_string_equal(run.err, err);
    assert_int_equal(run.exit_code, exit_code);
    free(run.out);
    free(run.err);
}

static void a_good_file_names_its_rule_files(void **state) {
    (void)state;
    write_file("a.yml", "rule_files: [rules/*.yml]\n");
    write_file("rules/1.yml", "groups: []\n");
    expect(check("a.yml"), TOOL_OK,
           "Checking a.yml\n  SUCCESS: 1 rule files found\n"
           " SUCCESS: a.yml is valid prometheus config file syntax\n\nrules rules/1.yml\n",
           "");
    write_file("rules/2.yml", "groups: []\n");
    expect(check("a.yml"), TOOL_FAILED,
           "Checking a.yml\n  SUCCESS: 2 rule files found\n"
           " SUCCESS: a.yml is valid prometheus config file syntax\n\nrules rules/1.yml\n"
           "rules rules/2.yml\n",
           "");
}

static void a_bad_file_fails_with_its_error(void **state) {
    (void)state;
    write_file("a.yml", "scrape_configs: [{}]\n");
    expect(check("a.yml"), TOOL_FAILED, "Checking a.yml\n\n",
           "  FAILED: parsing YAML file a.yml: job_name is empty\n");
}

static void missing_files_are_errors_or_warnings(void **state) {
    (void)state;
    write_file("a.yml", "rule_files: [nope.yml]\n");
    expect(check("a.yml"), TOOL_FAILED, "Checking a.yml\n\n",
           "  FAILED: \"nope.yml\" does not point to an existing file\n");
    const struct check_options syntax_only = {.syntax_only = true};
    expect(check_with(&syntax_only, "a.yml"), TOOL_OK,
           "Checking a.yml\n SUCCESS: a.yml is valid prometheus config file syntax\n\n", "");
    write_file("a.yml", "scrape_configs:\n- job_name: j\n  file_sd_configs: [{files: [u.json]}]\n");
    expect(check("a.yml"), TOOL_OK,
           "Checking a.yml\n"
           "  WARNING: file \"u.json\" for file_sd in scrape job \"j\" does not exist\n"
           " SUCCESS: a.yml is valid prometheus config file syntax\n\n",
           "");
}

static void files_of_targets_are_read(void **state) {
    (void)state;
    write_file("a.yml", "scrape_configs:\n- job_name: j\n  file_sd_configs: [{files: ['t/*.yml', "
                        "t/y.json]}]\n");
    write_file("t/x.yml", "- targets: [a]\n  labels: {b: c}\n");
    write_file("t/y.json", "[{\"targets\": [\"a\"]}]\n");
    expect(check("a.yml"), TOOL_OK,
           "Checking a.yml\n SUCCESS: a.yml is valid prometheus config file syntax\n\n", "");
    write_file("t/x.yml", "- targets: [a]\n- ~\n");
    expect(check("a.yml"), TOOL_FAILED, "Checking a.yml\n\n",
           "  FAILED: checking SD file \"t/*.yml\": nil target group item found (index 1)\n");
    write_file("t/x.yml", "- foo: [a]\n");
    struct run run = check("a.yml");
    assert_non_null(strstr(run.err, "checking SD file \"t/*.yml\": yaml: unmarshal errors:\n"
                                    "  line 1: field foo not found in type struct"));
    free(run.out);
    free(run.err);
}

static const char OK_TEXT[] =
    "Checking a.yml\n SUCCESS: a.yml is valid prometheus config file syntax\n\n";

static void a_scrape_rarer_than_queries_look_back_is_linted(void **state) {
    (void)state;
    static const char lint[] =
        "  FAILED: too long scrape interval found, data point will be marked "
        "as stale - job: b, interval: 5m\n";
    write_file("a.yml", "scrape_configs:\n- {job_name: a, scrape_interval: 4m}\n"
                        "- {job_name: b, scrape_interval: 300s}\n"
                        "- {job_name: c, scrape_interval: 9m}\n");
    struct check_options options = {.lookback_ms = 300000};
    expect(check_with(&options, "a.yml"), TOOL_OK, OK_TEXT, "");
    options.lint_intervals = true;
    expect(check_with(&options, "a.yml"), TOOL_OK, OK_TEXT, lint);
    options.lint_fatal = true;
    expect(check_with(&options, "a.yml"), TOOL_LINT, OK_TEXT, lint);
    options.lookback_ms = 600000;
    expect(check_with(&options, "a.yml"), TOOL_OK, OK_TEXT, "");
    options.lookback_ms = 1;
    options.syntax_only = true;
    expect(check_with(&options, "a.yml"), TOOL_OK, OK_TEXT, "");
}

static void an_error_weighs_more_than_lint(void **state) {
    (void)state;
    const struct check_options options = {
        .lint_intervals = true, .lint_fatal = true, .lookback_ms = 1};
    write_file("a.yml", "rule_files: [rules/2.yml]\nscrape_configs: [{job_name: a}]\n");
    write_file("rules/2.yml", "groups: []\n");
    struct run run = check_with(&options, "a.yml");
    assert_int_equal(run.exit_code, TOOL_FAILED);
    free(run.out);
    free(run.err);
}

static void an_agent_has_neither_rules_nor_alerting(void **state) {
    (void)state;
    const struct check_options options = {.agent = true};
    write_file("a.yml", "scrape_configs: [{job_name: a}]\n");
    expect(check_with(&options, "a.yml"), TOOL_OK, OK_TEXT, "");
    write_file("a.yml", "rule_files: ['*.x']\n");
    expect(check_with(&options, "a.yml"), TOOL_FAILED, "Checking a.yml\n\n",
           "  FAILED: field rule_files is not allowed in agent mode\n");
    write_file("a.yml", "alerting: {alertmanagers: [{static_configs: [{targets: [a]}]}]}\n");
    expect(check_with(&options, "a.yml"), TOOL_FAILED, "Checking a.yml\n\n",
           "  FAILED: field alerting is not allowed in agent mode\n");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_good_file_names_its_rule_files),
        IN_FOLDER(a_bad_file_fails_with_its_error),
        IN_FOLDER(missing_files_are_errors_or_warnings),
        IN_FOLDER(files_of_targets_are_read),
        IN_FOLDER(a_scrape_rarer_than_queries_look_back_is_linted),
        IN_FOLDER(an_error_weighs_more_than_lint),
        IN_FOLDER(an_agent_has_neither_rules_nor_alerting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
