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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_and_colons_are_kept_by_the_writer),
        cmocka_unit_test(strings_are_escaped_as_go_does),
        cmocka_unit_test(timestamps_have_three_decimals_or_none),
        cmocka_unit_test(numbers_are_the_shortest_that_read_back),
        cmocka_unit_test(a_label_set_is_an_object),
        cmocka_unit_test(a_full_buffer_is_seen_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
