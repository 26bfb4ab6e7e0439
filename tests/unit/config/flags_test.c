/* The command line: kingpin's syntax and texts, Prometheus' defaults, and what /status/flags
 * lists. Error texts agree with those of Prometheus 2.42, which also has this parser. */
#include "flags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/support/check_err.h"

enum { ARGS_LONGEST = 8 };

static int setup(void **state) {
    struct arena *arena = mem_alloc(sizeof(*arena));
    arena_init(arena, 0);
    *state = arena;
    return 0;
}

static int teardown(void **state) {
    arena_release(*state);
    mem_free(*state);
    return 0;
}

/* line is split at single spaces */
static enum err_code parse(struct arena *arena, const char *line, struct flags *out,
                           enum flags_wish *wish, struct err *err) {
    char *args[ARGS_LONGEST];
    int count = 0;
    char *rest = arena_cstr(arena, str_of(line));
    for (char *word = strsep(&rest, " "); word != NULL && word[0] != '\0';
         word = strsep(&rest, " ")) {
        assert_true(count < ARGS_LONGEST);
        args[count++] = word;
    }
    return flags_parse(arena, vfs_system(), count, args, out, wish, err);
}

static struct flags ok(struct arena *arena, const char *line) {
    struct flags flags;
    enum flags_wish wish = FLAGS_HELP;
    struct err err;
    assert_ok(parse(arena, line, &flags, &wish, &err), &err);
    assert_int_equal(wish, FLAGS_RUN);
    return flags;
}

static void without_arguments_prometheus_defaults_hold(void **state) {
    const struct flags f = ok(*state, "");
    assert_str(f.config_file, "prometheus.yml");
    assert_str(f.web_listen_address.items[0], "0.0.0.0:9090");
    assert_int_equal(f.web_listen_address.count, 1);
    assert_str(f.storage_path, "data/");
    assert_int_equal(f.web_read_timeout_ms, 300000);
    assert_int_equal(f.query_lookback_ms, 300000);
    assert_int_equal(f.query_max_samples, 50000000);
    assert_int_equal(f.remote_read_sample_limit, 50000000);
    assert_int_equal(f.scrape_timestamp_tolerance_ns, 2000000);
    assert_int_equal(f.scrape_max_body_bytes, 256 << 20);
    assert_int_equal(f.storage_wal_sync_interval_ms, 1000);
    assert_int_equal(f.storage_retention_ms, 0);
    assert_true(f.scrape_adjust_timestamps && f.alertmanager_drain_on_shutdown);
    assert_false(f.web_enable_lifecycle || f.agent);
    assert_int_equal(f.log_level, LOG_INFO);
    assert_int_equal(f.log_format, LOG_LOGFMT);
    assert_int_equal(f.without_effect.count, 0);
}

static void values_come_after_an_equals_sign_or_as_the_next_argument(void **state) {
    const struct flags f =
        ok(*state, "--config.file=a.yml --query.timeout 30s --web.enable-lifecycle "
                   "--no-scrape.adjust-timestamps --storage.tsdb.retention.size=1GB "
                   "--log.level=debug --query.max-samples=5e7");
    assert_str(f.config_file, "a.yml");
    assert_int_equal(f.query_timeout_ms, 30000);
    assert_true(f.web_enable_lifecycle);
    assert_false(f.scrape_adjust_timestamps);
    assert_int_equal(f.storage_retention_bytes, 1 << 30);
    assert_int_equal(f.log_level, LOG_DEBUG);
}

static void repeatable_flags_collect_and_replace_their_default(void **state) {
    const struct flags f = ok(*state, "--web.listen-address=a:1 --web.listen-address b:2 "
                                      "--enable-feature=x,y --enable-feature=z");
    assert_int_equal(f.web_listen_address.count, 2);
    assert_str(f.web_listen_address.items[1], "b:2");
    assert_int_equal(f.features.count, 3);
    assert_str(f.features.items[2], "z");
}

static void mistakes_have_kingpins_texts(void **state) {
    static const struct {
        const char *line, *want;
    } cases[] = {
        {"--foo", "unknown long flag '--foo'"},
        {"--no-foo", "unknown long flag '--no-foo'"},
        {"--no-config.file=x", "unknown long flag '--no-config.file'"},
        {"-x", "unknown short flag '-x'"},
        {"xyz", "unexpected xyz"},
        {"-- --config.file=x", "unexpected --config.file=x"},
        {"--web.enable-lifecycle=true", "unexpected true"},
        {"--config.file", "expected argument for flag '--config.file'"},
        {"--query.max-samples -5", "expected argument for flag '--query.max-samples'"},
        {"--config.file=a --config.file=b", "flag 'config.file' cannot be repeated"},
        {"--query.timeout=abc", "--query.timeout: not a valid duration string: \"abc\""},
        {"--query.max-samples=abc", "strconv.ParseFloat: parsing \"abc\": invalid syntax"},
        {"--query.max-samples=1e300", "out of range"},
        {"--log.level=foo", "unrecognized log level \"foo\""},
        {"--log.format=foo", "unrecognized log format \"foo\""},
        {"--storage.tsdb.retention.size=10", "units: unknown unit  in 10"},
        {"--storage.tsdb.wal-compression-type=x", "enum value must be one of snappy,zstd"},
        {"@/nonexistent/args", "failed to open arguments file \"/nonexistent/args\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct flags flags;
        enum flags_wish wish = FLAGS_RUN;
        struct err err;
        const enum err_code code = parse(*state, cases[i].line, &flags, &wish, &err);
        assert_true(code != ERR_OK);
        assert_err(code, code, cases[i].want, &err);
    }
}

static void a_flag_that_cannot_be_ignored_is_refused_and_others_are_named(void **state) {
    struct flags flags;
    enum flags_wish wish = FLAGS_RUN;
    struct err err;
    static const char *const refused[] = {"--web.config.file=x", "--agent"};
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        assert_err(parse(*state, refused[i], &flags, &wish, &err), ERR_UNSUPPORTED,
                   "is not supported by this version of Brasa", &err);
    }
    flags = ok(*state, "--web.config.file= --no-agent --web.console.templates=x");
    assert_int_equal(flags.without_effect.count, 1);
    assert_str(flags.without_effect.items[0], "--web.console.templates");
}

static void help_and_version_win_over_what_follows(void **state) {
    static const struct {
        const char *line;
        enum flags_wish wish;
    } cases[] = {
        {"--help --foo", FLAGS_HELP},
        {"-h", FLAGS_HELP},
        {"--web.enable-lifecycle --version x", FLAGS_VERSION},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct flags flags;
        enum flags_wish wish = FLAGS_RUN;
        struct err err;
        assert_ok(parse(*state, cases[i].line, &flags, &wish, &err), &err);
        assert_int_equal(wish, cases[i].wish);
    }
}

static void arguments_are_read_from_files_which_may_name_themselves(void **state) {
    char path[] = "/tmp/brasa_args_XXXXXX";
    char line[64];
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "--config.file\na b.yml\n# comment\n";
    assert_int_equal(write(fd, text, sizeof(text) - 1), (ssize_t)sizeof(text) - 1);
    (void)snprintf(line, sizeof(line), "@%s --web.enable-lifecycle", path);
    const struct flags f = ok(*state, line);
    assert_str(f.config_file, "a b.yml");
    assert_true(f.web_enable_lifecycle);

    assert_int_equal(ftruncate(fd, 0), 0);
    (void)snprintf(line, sizeof(line), "@%s\n", path);
    assert_int_equal(pwrite(fd, line, strlen(line), 0), (ssize_t)strlen(line));
    struct flags flags;
    enum flags_wish wish = FLAGS_RUN;
    struct err err;
    line[strlen(line) - 1] = '\0';
    assert_err(parse(*state, line, &flags, &wish, &err), ERR_LIMIT, "more than", &err);
    (void)close(fd);
    (void)unlink(path);
}

static const char *value_of(const struct flag_value *values, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (str_eq(values[i].name, str_of(name))) {
            return values[i].value.ptr;
        }
    }
    return NULL;
}

static void the_list_is_sorted_and_shows_values_as_prometheus_does(void **state) {
    const struct flags f = ok(*state, "--query.timeout=90s --web.listen-address=a:1 "
                                      "--web.listen-address=b:2");
    size_t count = 0;
    const struct flag_value *v = flags_list(&f, *state, &count);
    for (size_t i = 1; i < count; i++) {
        assert_true(str_cmp(v[i - 1].name, v[i].name) < 0);
    }
    static const struct {
        const char *name, *value;
    } cases[] = {
        {"query.timeout", "1m30s"},
        {"web.listen-address", "a:1,b:2"},
        {"web.enable-lifecycle", "false"},
        {"storage.tsdb.retention.time", "0s"},
        {"storage.tsdb.retention.size", "0B"},
        {"storage.tsdb.wal-segment-size", "0B"},
        {"query.max-samples", "50000000"},
        {"storage.remote.read-sample-limit", "50000000"},
        {"auto-gomemlimit.ratio", "0.9"},
        {"scrape.timestamp-tolerance", "2ms"},
        {"log.level", "info"},
        {"enable-feature", ""},
        {"web.external-url", ""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *value = value_of(v, count, cases[i].name);
        assert_non_null(value);
        assert_string_equal(value, cases[i].value);
    }
}

static void the_help_names_every_visible_flag_within_80_columns(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, 1 << 20);
    flags_usage(&text);
    assert_non_null(strstr(text.ptr, "--config.file=\"prometheus.yml\""));
    assert_non_null(strstr(text.ptr, "--[no-]web.enable-lifecycle"));
    assert_non_null(strstr(text.ptr, "--memory.limit=<bytes>"));
    assert_null(strstr(text.ptr, "--scrape.timestamp-tolerance"));
    size_t column = 0;
    for (size_t i = 0; i < text.len; i++) {
        column = text.ptr[i] == '\n' ? 0 : column + 1;
        if (column > 80 && strncmp(text.ptr + i + 1 - column, "      --", 8) != 0) {
            fail_msg("line too long near: %.40s", text.ptr + i - 40);
        }
    }
    buf_release(&text);
}

#define WITH_ARENA(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_ARENA(without_arguments_prometheus_defaults_hold),
        WITH_ARENA(values_come_after_an_equals_sign_or_as_the_next_argument),
        WITH_ARENA(repeatable_flags_collect_and_replace_their_default),
        WITH_ARENA(mistakes_have_kingpins_texts),
        WITH_ARENA(a_flag_that_cannot_be_ignored_is_refused_and_others_are_named),
        WITH_ARENA(help_and_version_win_over_what_follows),
        WITH_ARENA(arguments_are_read_from_files_which_may_name_themselves),
        WITH_ARENA(the_list_is_sorted_and_shows_values_as_prometheus_does),
        WITH_ARENA(the_help_names_every_visible_flag_within_80_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
