/* duration: Prometheus' and Go's texts for spans and times, and the calendar under them. */
#include "base/duration.h"

#include <time.h>

#include "tests/support/check_err.h"

static void durations_are_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {{"0", 0},
                 {"0s", 0},
                 {"1ms", 1},
                 {"5m", 300000},
                 {"1h30m", 5400000},
                 {"1y2w3d4h5m6s7ms", 33019506007},
                 {"292y", 9208512000000}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        int64_t ms = -1;
        assert_ok(duration_parse_ms(str_of(cases[i].text), &ms, &err), &err);
        assert_int_equal(ms, cases[i].ms);
    }
}

static void bad_durations_say_why(void **state) {
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", "empty duration string"},
        {"1", "not a valid duration string: \"1\""},
        {"-1s", "not a valid duration string: \"-1s\""},
        {"5m1h", "not a valid duration string: \"5m1h\""},
        {"1s1s", "not a valid duration string: \"1s1s\""},
        {"1.5h", "unknown unit \".\" in duration \"1.5h\""},
        {"5hs", "unknown unit \"hs\" in duration \"5hs\""},
        {"99999999999999999999s", "not a valid duration string: \"99999999999999999999s\""},
        {"293y", "duration out of range"},
        {"292y365d", "duration out of range"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        int64_t ns = 42;
        assert_err(duration_parse_ns(str_of(cases[i].text), &ns, &err), ERR_INVALID, cases[i].want,
                   &err);
        assert_int_equal(ns, 42);
    }
}

static void durations_are_printed(void **state) {
    (void)state;
    static const struct {
        int64_t ms;
        const char *want;
    } cases[] = {{0, "0s"},
                 {1, "1ms"},
                 {300000, "5m"},
                 {5400000, "1h30m"},
                 {604800000, "1w"},
                 {777600000, "9d"},
                 {31536000000, "1y"},
                 {31536000001, "365d1ms"},
                 {-5400000, "-1h30m"},
                 {32140800000, "372d"}};
    struct buf b;
    buf_init(&b, 100);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buf_clear(&b);
        duration_format_ms(&b, cases[i].ms);
        assert_str(buf_str(&b), cases[i].want);
    }
    buf_release(&b);
}

static void go_durations_are_printed(void **state) {
    (void)state;
    static const struct {
        int64_t ns;
        const char *want;
    } cases[] = {{0, "0s"},
                 {-1, "-1ns"},
                 {1100, "1.1\xC2\xB5s"},
                 {1500000, "1.5ms"},
                 {3723500000000, "1h2m3.5s"},
                 {60000000000, "1m0s"},
                 {3600000000000, "1h0m0s"},
                 {INT64_MIN, "-2562047h47m16.854775808s"},
                 {INT64_MAX, "2562047h47m16.854775807s"}};
    struct buf b;
    buf_init(&b, 100);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buf_clear(&b);
        duration_format_go_ns(&b, cases[i].ns);
        assert_str(buf_str(&b), cases[i].want);
    }
    buf_release(&b);
}

static void api_times_are_read(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1435781451.781", 1435781451781},
        {"1435781451", 1435781451000},
        {"-1.5", -1500},
        {"1e9", 1000000000000},
        {"2015-07-01T20:10:51.781Z", 1435781451781},
        {"2015-07-01T20:10:51Z", 1435781451000},
        {"2015-07-01T22:10:51.5+02:00", 1435781451500},
        {"1969-12-31T23:59:59.999999999Z", -1},
        {"2000-02-29T00:00:00-00:30", 951784200000},
        {"-292273086-05-16T16:47:06Z", -9223309901257974000},
        {"292277025-08-18T07:12:54.999999999Z", 9223309901257974999},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        int64_t ms = 0;
        assert_ok(time_parse_api_ms(str_of(cases[i].text), &ms, &err), &err);
        if (ms != cases[i].ms) {
            fail_msg("%s: %lld", cases[i].text, (long long)ms);
        }
    }
}

static void bad_api_times_are_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        "foo",
                                        "NaN",
                                        "Inf",
                                        "1e300",
                                        "2015-02-29T00:00:00Z",
                                        "2015-07-01T24:00:00Z",
                                        "2015-07-01T20:10:60Z",
                                        "2015-07-01T20:10:51",
                                        "2015-07-01 20:10:51Z",
                                        "2015-07-01T20:10:51.Z",
                                        "2015-07-01T20:10:51+25:00",
                                        "2015-7-1T20:10:51Z",
                                        "2015-07-01T20:10:51Zx"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct err err;
        int64_t ms = 0;
        assert_err(time_parse_api_ms(str_of(texts[i]), &ms, &err), ERR_INVALID,
                   "to a valid timestamp", &err);
    }
}

static void api_durations_are_seconds_or_durations(void **state) {
    (void)state;
    struct err err;
    int64_t ms = 0;
    assert_ok(duration_parse_api_ms(STR("1.5"), &ms, &err), &err);
    assert_int_equal(ms, 1500);
    assert_ok(duration_parse_api_ms(STR("1h"), &ms, &err), &err);
    assert_int_equal(ms, 3600000);
    assert_ok(duration_parse_api_ms(STR("-2"), &ms, &err), &err);
    assert_int_equal(ms, -2000);
    assert_err(duration_parse_api_ms(STR("1e10"), &ms, &err), ERR_INVALID,
               "cannot parse \"1e10\" to a valid duration. It overflows int64", &err);
    assert_err(duration_parse_api_ms(STR("x"), &ms, &err), ERR_INVALID,
               "cannot parse \"x\" to a valid duration", &err);
    assert_err(duration_parse_api_ms(STR("NaN"), &ms, &err), ERR_INVALID, "valid duration", &err);
}

static void times_are_printed(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 200);
    time_format_rfc3339_ns(&b, 1435781451781000000);
    buf_append_char(&b, ' ');
    time_format_rfc3339_ns(&b, -1);
    buf_append_char(&b, ' ');
    time_format_rfc3339_ns(&b, 0);
    buf_append_char(&b, ' ');
    time_format_rfc3339_ms(&b, -1);
    buf_append_char(&b, ' ');
    time_format_rfc3339_ns(&b, INT64_MIN);
    assert_str(buf_str(&b), "2015-07-01T20:10:51.781Z 1969-12-31T23:59:59.999999999Z "
                            "1970-01-01T00:00:00Z 1969-12-31T23:59:59.999Z "
                            "1677-09-21T00:12:43.145224192Z");
    buf_release(&b);
}

static void the_calendar_agrees_with_the_system(void **state) {
    (void)state;
    for (int64_t s = -62135596800; s < 253402300800; s += 86400 * 11 + 12345) {
        const struct civil c = civil_of_unix(s);
        const time_t t = s;
        struct tm tm;
        (void)gmtime_r(&t, &tm);
        assert_int_equal(c.year, tm.tm_year + 1900);
        assert_int_equal(c.month, tm.tm_mon + 1);
        assert_int_equal(c.day, tm.tm_mday);
        assert_int_equal(c.hour, tm.tm_hour);
        assert_int_equal(c.minute, tm.tm_min);
        assert_int_equal(c.second, tm.tm_sec);
        assert_int_equal(c.weekday, tm.tm_wday);
        assert_int_equal(c.yearday, tm.tm_yday + 1);
        assert_int_equal(unix_of_civil(&c), s);
    }
    assert_int_equal(days_in_month(1900, 2), 28);
    assert_int_equal(days_in_month(2000, 2), 29);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(bad_durations_say_why),
        cmocka_unit_test(durations_are_printed),
        cmocka_unit_test(go_durations_are_printed),
        cmocka_unit_test(api_times_are_read),
        cmocka_unit_test(bad_api_times_are_refused),
        cmocka_unit_test(api_durations_are_seconds_or_durations),
        cmocka_unit_test(times_are_printed),
        cmocka_unit_test(the_calendar_agrees_with_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
