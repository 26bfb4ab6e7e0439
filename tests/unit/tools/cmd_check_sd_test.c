/* check service-discovery: output and exit codes are promtool's for the same files. */
#include "cmd_check_sd.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/check_err.h"
#include "tests/unit/tools/tool_run.h"

static char *config; /* name of the file */

static int setup(void **state) {
    (void)state;
    config = tool_temp_file("scrape_configs:\n"
                            "- job_name: j\n"
                            "  static_configs:\n"
                            "  - targets: [a:1, a:1, b:2]\n"
                            "    labels: {env: <p>}\n"
                            "  - targets: [drop:1]\n"
                            "  relabel_configs:\n"
                            "  - {source_labels: [__address__], regex: drop.*, action: drop}\n"
                            "  - {source_labels: [__address__], regex: b.*, replacement: '',\n"
                            "     target_label: __address__}\n"
                            "- job_name: none\n");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    const int code = unlink(config);
    free(config);
    return code;
}

#define COMMON(address)                                                                            \
    "      \"__address__\": \"" address "\",\n"                                                    \
    "      \"__always_scrape_classic_histograms__\": \"false\",\n"                                 \
    "      \"__convert_classic_histograms_to_nhcb__\": \"false\",\n"                               \
    "      \"__metrics_path__\": \"/metrics\",\n"                                                  \
    "      \"__scheme__\": \"http\",\n"                                                            \
    "      \"__scrape_interval__\": \"1m\",\n"                                                     \
    "      \"__scrape_native_histograms__\": \"false\",\n"                                         \
    "      \"__scrape_timeout__\": \"10s\",\n"

static void each_target_is_shown_before_and_after_relabelling(void **state) {
    (void)state;
    tool_expect(TOOL_ARGV("check", "service-discovery", config, "j"), TOOL_OK,
                "[\n"
                "  {\n"
                "    \"discoveredLabels\": {\n" COMMON(
                    "a:1") "      \"env\": \"\\u003cp\\u003e\",\n"
                           "      \"job\": \"j\"\n"
                           "    },\n"
                           "    \"labels\": {\n" COMMON(
                               "a:1") "      \"env\": \"\\u003cp\\u003e\",\n"
                                      "      \"instance\": \"a:1\",\n"
                                      "      \"job\": \"j\"\n"
                                      "    }\n"
                                      "  },\n"
                                      "  {\n"
                                      "    \"discoveredLabels\": {\n" COMMON(
                                          "b:2") "      \"env\": \"\\u003cp\\u003e\",\n"
                                                 "      \"job\": \"j\"\n"
                                                 "    },\n"
                                                 "    \"labels\": {},\n"
                                                 "    \"error\": {}\n"
                                                 "  },\n"
                                                 "  {\n"
                                                 "    \"discoveredLabels\": {\n" COMMON(
                                                     "drop:1") "      \"job\": \"j\"\n"
                                                               "    },\n"
                                                               "    \"labels\": {}\n"
                                                               "  }\n"
                                                               "]",
                "target \"b:2\": no address\n");
}

static void a_job_without_targets_is_an_empty_array(void **state) {
    (void)state;
    tool_expect(TOOL_ARGV("check", "service-discovery", config, "none"), TOOL_OK, "[]", "");
}

static void files_are_read_for_the_whole_time(void **state) {
    (void)state;
    char folder[] = "/tmp/brasa_sd_XXXXXX";
    char path[64];
    char text[256];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/t.json", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs("[{\"targets\":[\"f:1\"],\"labels\":{\"q\":\"w\"}}]", f) >= 0);
    assert_int_equal(fclose(f), 0);
    (void)snprintf(text, sizeof(text),
                   "scrape_configs:\n- job_name: f\n  file_sd_configs: [{files: ['%s']}]\n", path);
    char *own = tool_temp_file(text);
    struct tool_run run =
        tool_run(TOOL_ARGV("check", "service-discovery", own, "f", "--timeout=4s"));
    assert_int_equal(run.code, TOOL_OK);
    assert_non_null(strstr(run.out, "\"__meta_filepath\": \""));
    assert_non_null(strstr(run.out, "\"instance\": \"f:1\",\n      \"job\": \"f\",\n"
                                    "      \"q\": \"w\"\n    }\n  }\n]"));
    tool_run_free(&run);
    (void)unlink(own);
    free(own);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void mistakes_are_named(void **state) {
    (void)state;
    tool_expect(TOOL_ARGV("check", "service-discovery", config, "nope"), TOOL_FAILED, "",
                "Job nope not found. Select one of:\n\tj\n\tnone\n");
    tool_expect(TOOL_ARGV("check", "service-discovery", config, "j", "--timeout=1x"), TOOL_FAILED,
                "", "brasa: error: time: unknown unit \"x\" in duration \"1x\", try --help\n");
    tool_expect(TOOL_ARGV("check", "service-discovery", config), TOOL_FAILED, "",
                "brasa: error: required argument 'job' not provided, try --help\n");
    char *bad = tool_temp_file("foo: 1\n");
    char want[256];
    (void)snprintf(want, sizeof(want),
                   "Cannot load config parsing YAML file %s: yaml: unmarshal errors:\n"
                   "  line 1: field foo not found in type config.plain\n",
                   bad);
    tool_expect(TOOL_ARGV("check", "service-discovery", bad, "j"), TOOL_FAILED, "", want);
    (void)unlink(bad);
    free(bad);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_target_is_shown_before_and_after_relabelling),
        cmocka_unit_test(a_job_without_targets_is_an_empty_array),
        cmocka_unit_test(files_are_read_for_the_whole_time),
        cmocka_unit_test(mistakes_are_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
