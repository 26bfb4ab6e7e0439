/* log: one line a call, quoted as Go's slog does, in logfmt or JSON. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/json_in.h"
#include "base/log.h"
#include "tests/support/check_err.h"
#include "tests/support/fake_clock.h"

struct fixture {
    struct fake_clock clock;
    struct log *log;
    int fds[2];
    char line[65536];
};

static void open_log(struct fixture *f, enum log_level level, enum log_format format) {
    fake_clock_init(&f->clock, INT64_C(1780506219621) * NS_PER_MS);
    assert_int_equal(pipe2(f->fds, O_CLOEXEC | O_NONBLOCK), 0);
    f->log = log_new(&f->clock.clock, f->fds[1], level, format);
}

static const char *read_line(struct fixture *f) {
    const ssize_t n = read(f->fds[0], f->line, sizeof(f->line) - 1);
    f->line[n > 0 ? n : 0] = '\0';
    return f->line;
}

static void close_log(struct fixture *f) {
    log_free(f->log);
    (void)close(f->fds[0]);
    (void)close(f->fds[1]);
}

static void a_line_has_time_level_component_message_and_fields(void **state) {
    (void)state;
    struct fixture f;
    open_log(&f, LOG_INFO, LOG_LOGFMT);
    struct err err;
    (void)err_set(&err, ERR_IO, "disk on fire");
    log_warn(f.log, "tsdb", "wal tail dropped", log_text("segment", "00000002"),
             log_u64("bytes", 17), log_i64("delta", -3), log_f64("ratio", 0.25),
             log_bool("ok", false), log_duration_ns("took", 1500000000), log_err(&err));
    assert_string_equal(read_line(&f),
                        "time=2026-06-03T17:03:39.621Z level=WARN component=tsdb "
                        "msg=\"wal tail dropped\" segment=00000002 bytes=17 delta=-3 ratio=0.25 "
                        "ok=false took=1.5s err=\"disk on fire\"\n");
    log_error(f.log, NULL, "short");
    assert_string_equal(read_line(&f), "time=2026-06-03T17:03:39.621Z level=ERROR msg=short\n");
    close_log(&f);
}

static void json_lines_are_json(void **state) {
    (void)state;
    struct fixture f;
    open_log(&f, LOG_DEBUG, LOG_JSON);
    log_debug(f.log, "web", "a \"b\"", log_text("url", "/x?a=1&b=2"), log_i64("n", -1),
              log_bool("ok", true), log_duration_ns("took", 1000000), log_f64("x", 1.5));
    assert_string_equal(read_line(&f),
                        "{\"time\":\"2026-06-03T17:03:39.621Z\",\"level\":\"DEBUG\","
                        "\"component\":\"web\",\"msg\":\"a \\\"b\\\"\",\"url\":\"/x?a=1&b=2\","
                        "\"n\":-1,\"ok\":true,\"took\":\"1ms\",\"x\":1.5}\n");
    log_info(f.log, "web", "m", log_str("bad", STR("\xff\n")));
    struct json_doc *doc = NULL;
    struct err err;
    assert_ok(json_parse(str_of(read_line(&f)), &doc, &err), &err);
    assert_str(json_string(json_get(json_root(doc), "bad")), "\xef\xbf\xbd\n");
    json_doc_free(doc);
    close_log(&f);
}

static void values_are_quoted_only_when_they_must(void **state) {
    (void)state;
    static const struct {
        struct str value;
        const char *want;
    } cases[] = {
        {STR_INIT(""), "\"\""},
        {STR_INIT("plain-1.5/x:y,z"), "plain-1.5/x:y,z"},
        {STR_INIT("a b"), "\"a b\""},
        {STR_INIT("a=b"), "\"a=b\""},
        {STR_INIT("a\"b"), "\"a\\\"b\""},
        {STR_INIT("a\\b"), "a\\b"},
        {STR_INIT("a\nb"), "\"a\\nb\""},
        {STR_INIT("\xc3\xa4"), "\xc3\xa4"},
        {STR_INIT("\xff"), "\"\\xff\""},
        {STR_INIT("\xe2\x80\xa8"), "\"\\u2028\""},
        {STR_INIT("\x1b[31m"), "\"\\x1b[31m\""},
    };
    struct fixture f;
    open_log(&f, LOG_INFO, LOG_LOGFMT);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        log_info(f.log, NULL, "m", log_str("k", cases[i].value));
        const char *line = read_line(&f);
        const char *at = strstr(line, " k=");
        assert_non_null(at);
        assert_str(((struct str){at + 3, strlen(at) - 4}), cases[i].want);
    }
    close_log(&f);
}

static void levels_below_the_limit_are_silent(void **state) {
    (void)state;
    struct fixture f;
    open_log(&f, LOG_WARN, LOG_LOGFMT);
    log_info(f.log, "x", "not shown");
    assert_string_equal(read_line(&f), "");
    assert_false(log_enabled(f.log, LOG_INFO));
    assert_true(log_enabled(f.log, LOG_ERROR));
    assert_false(log_enabled(NULL, LOG_ERROR));
    log_error(NULL, "x", "nobody listens");
    close_log(&f);
}

static void a_value_that_a_peer_made_long_is_cut(void **state) {
    (void)state;
    struct fixture f;
    static char text[20000];
    memset(text, 'a', sizeof(text));
    memcpy(text + 8191, "\xc3\xa4", 2); /* the cut would be in the middle of it */
    open_log(&f, LOG_INFO, LOG_LOGFMT);
    log_info(f.log, NULL, "m", log_str("k", (struct str){text, sizeof(text)}),
             log_text("after", "x"));
    const char *line = read_line(&f);
    assert_true(strlen(line) < 8400);
    assert_non_null(strstr(line, "aaa after=x\n"));
    close_log(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_has_time_level_component_message_and_fields),
        cmocka_unit_test(json_lines_are_json),
        cmocka_unit_test(values_are_quoted_only_when_they_must),
        cmocka_unit_test(levels_below_the_limit_are_silent),
        cmocka_unit_test(a_value_that_a_peer_made_long_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
