/* json_out: what it writes is what Prometheus' API writes, byte for byte. */
#include <math.h>

#include "base/json_out.h"
#include "tests/support/check_err.h"

struct fixture {
    struct buf buf;
    struct json_out j;
};

static void begin(struct fixture *f) {
    buf_init(&f->buf, 1 << 20);
    json_out_init(&f->j, &f->buf);
}

static void end(struct fixture *f, const char *want) {
    assert_str(buf_str(&f->buf), want);
    buf_release(&f->buf);
}

static void commas_and_colons_are_kept_by_the_writer(void **state) {
    (void)state;
    struct fixture f;
    begin(&f);
    json_object_begin(&f.j);
    json_key(&f.j, "a");
    json_array_begin(&f.j);
    json_i64(&f.j, -1);
    json_array_begin(&f.j);
    json_array_end(&f.j);
    json_object_begin(&f.j);
    json_object_end(&f.j);
    json_bool(&f.j, true);
    json_array_end(&f.j);
    json_key(&f.j, "b");
    json_null(&f.j);
    json_key_str(&f.j, STR("c\"<"));
    json_raw(&f.j, STR("[0]"));
    json_key(&f.j, "d");
    json_u64(&f.j, UINT64_MAX);
    json_object_end(&f.j);
    end(&f, "{\"a\":[-1,[],{},true],\"b\":null,\"c\\\"\\u003c\":[0],\"d\":18446744073709551615}");
}

static void strings_are_escaped_as_go_does(void **state) {
    (void)state;
    static const struct {
        struct str in;
        const char *html;  /* json_str */
        const char *label; /* json_label_str */
    } cases[] = {
        {STR_INIT(""), "\"\"", "\"\""},
        {STR_INIT("plain"), "\"plain\"", "\"plain\""},
        {STR_INIT("a\"b\\c"), "\"a\\\"b\\\\c\"", "\"a\\\"b\\\\c\""},
        {STR_INIT("\n\r\t\b\f\0\x1f\x7f"), "\"\\n\\r\\t\\u0008\\u000c\\u0000\\u001f\x7f\"",
         "\"\\n\\r\\t\\u0008\\u000c\\u0000\\u001f\x7f\""},
        {STR_INIT("<a&b>"), "\"\\u003ca\\u0026b\\u003e\"", "\"<a&b>\""},
        {STR_INIT("\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\xa5"),
         "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\xa5\"", "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\xa5\""},
        {STR_INIT("\xe2\x80\xa8\xe2\x80\xa9"), "\"\\u2028\\u2029\"",
         "\"\xe2\x80\xa8\xe2\x80\xa9\""},
        {STR_INIT("a\xff\xfe"
                  "b\xe2\x82"),
         "\"a\\ufffd\\ufffdb\\ufffd\\ufffd\"",
         "\"a\xff\xfe"
         "b\xe2\x82\""},
        {STR_INIT("\xef\xbf\xbd"), "\"\xef\xbf\xbd\"", "\"\xef\xbf\xbd\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fixture f;
        begin(&f);
        json_str(&f.j, cases[i].in);
        end(&f, cases[i].html);
        begin(&f);
        json_label_str(&f.j, cases[i].in);
        end(&f, cases[i].label);
    }
}

static void timestamps_have_three_decimals_or_none(void **state) {
    (void)state;
    static const struct {
        int64_t ms;
        const char *want;
    } cases[] = {
        {0, "0"},
        {1435781451000, "1435781451"},
        {1435781451781, "1435781451.781"},
        {50, "0.050"},
        {100, "0.100"},
        {-1, "-0.001"},
        {-1500, "-1.500"},
        {-2000, "-2"},
        {INT64_MAX, "9223372036854775.807"},
        {INT64_MIN, "-9223372036854775.808"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fixture f;
        begin(&f);
        json_timestamp_ms(&f.j, cases[i].ms);
        end(&f, cases[i].want);
    }
}

static void numbers_are_the_shortest_that_read_back(void **state) {
    (void)state;
    static const struct {
        double v;
        const char *plain;
        const char *sample;
    } cases[] = {
        {0, "0", "\"0\""},
        {-0.0, "-0", "\"-0\""},
        {1.5, "1.5", "\"1.5\""},
        {0.1, "0.1", "\"0.1\""},
        {123456789, "123456789", "\"123456789\""},
        {1e20, "100000000000000000000", "\"100000000000000000000\""},
        {1e21, "1e+21", "\"1e+21\""},
        {1e-6, "0.000001", "\"0.000001\""},
        {1e-7, "1e-7", "\"1e-07\""},
        {1e-10, "1e-10", "\"1e-10\""},
        {NAN, "null", "\"NaN\""},
        {INFINITY, "null", "\"+Inf\""},
        {-INFINITY, "null", "\"-Inf\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct fixture f;
        begin(&f);
        json_f64(&f.j, cases[i].v);
        end(&f, cases[i].plain);
        begin(&f);
        json_sample_value(&f.j, cases[i].v);
        end(&f, cases[i].sample);
    }
}

static void a_label_set_is_an_object(void **state) {
    (void)state;
    struct arena arena;
    struct fixture f;
    arena_init(&arena, 0);
    const struct label pairs[] = {{STR("job"), STR("<a>")}, {STR("__name__"), STR("up")}};
    begin(&f);
    json_array_begin(&f.j);
    json_labels(&f.j, labels_of(&arena, pairs, 2));
    json_labels(&f.j, (struct labels){NULL, 0});
    json_array_end(&f.j);
    end(&f, "[{\"__name__\":\"up\",\"job\":\"<a>\"},{}]");
    arena_release(&arena);
}

static void a_full_buffer_is_seen_at_the_end(void **state) {
    (void)state;
    struct buf buf;
    struct json_out j;
    buf_init(&buf, 8);
    json_out_init(&j, &buf);
    json_array_begin(&j);
    json_str(&j, STR("longer than that"));
    json_array_end(&j);
    assert_false(buf_ok(&buf));
    buf_release(&buf);
}

/* As one by one, whatever the slots hold: times of the series before, of others, of two slots
 * that are one. */
static void samples_are_written_as_their_parts_are(void **state) {
    (void)state;
    static const double values[] = {0,
                                    -0.0,
                                    1,
                                    1,
                                    1,
                                    1.5,
                                    1.5,
                                    NAN,
                                    NAN,
                                    -1.5,
                                    1e-6,
                                    -1e-7,
                                    1e20,
                                    -1e21,
                                    1e22,
                                    0.1,
                                    1 / 3.0,
                                    -2.2250738585072014e-308,
                                    5e-324,
                                    1e308,
                                    123456,
                                    4e15,
                                    9007199254740993.0,
                                    -1.2345678901234567e-5,
                                    INFINITY,
                                    -INFINITY,
                                    0,
                                    0};
    enum { COUNT = sizeof(values) / sizeof(values[0]) };
    static const int64_t bases[] = {0, 1795373897123, -1795373897123, INT64_MIN, INT64_MAX - 60000};
    static struct json_times times;
    for (size_t round = 0; round < 2 * sizeof(bases) / sizeof(bases[0]); round++) {
        int64_t ts[COUNT];
        struct fixture f;
        struct fixture want;
        begin(&f);
        begin(&want);
        json_array_begin(&f.j);
        json_array_begin(&want.j);
        for (size_t i = 0; i < COUNT; i++) {
            ts[i] = bases[round / 2] + (int64_t)i * 1000 + (int64_t)(round % 2 + i % 2 * 7);
            json_array_begin(&want.j);
            json_timestamp_ms(&want.j, ts[i]);
            json_sample_value(&want.j, values[i]);
            json_array_end(&want.j);
        }
        const size_t first = JSON_TIMES_MAX - 2; /* the slots are a ring */
        json_samples(&f.j, ts, values, 3, &times, first);
        json_samples(&f.j, ts + 3, values + 3, 0, &times, first + 3);
        json_samples(&f.j, ts + 3, values + 3, COUNT - 3, &times, first + 3);
        json_array_end(&f.j);
        json_array_end(&want.j);
        assert_true(buf_ok(&want.buf));
        end(&f, want.buf.ptr);
        buf_release(&want.buf);
    }
}

static void samples_that_do_not_fit_are_seen_at_the_end(void **state) {
    (void)state;
    static const double values[100] = {0};
    static const int64_t ts[100] = {0};
    static struct json_times times;
    struct fixture f;
    buf_init(&f.buf, 500);
    json_out_init(&f.j, &f.buf);
    json_array_begin(&f.j);
    json_samples(&f.j, ts, values, 100, &times, 0);
    json_array_end(&f.j);
    assert_false(buf_ok(&f.buf));
    buf_release(&f.buf);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_and_colons_are_kept_by_the_writer),
        cmocka_unit_test(strings_are_escaped_as_go_does),
        cmocka_unit_test(timestamps_have_three_decimals_or_none),
        cmocka_unit_test(numbers_are_the_shortest_that_read_back),
        cmocka_unit_test(a_label_set_is_an_object),
        cmocka_unit_test(a_full_buffer_is_seen_at_the_end),
        cmocka_unit_test(samples_are_written_as_their_parts_are),
        cmocka_unit_test(samples_that_do_not_fit_are_seen_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
