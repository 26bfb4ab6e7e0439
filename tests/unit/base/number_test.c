/* number: text and doubles meet exactly. Facts are those of Go's strconv; the C library, in the C
 * locale, is the oracle for rounding. */
#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"
#include "base/value.h"
#include "tests/support/check_err.h"

static uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static double parsed(const char *text) {
    double v = 0;
    assert_int_equal(number_parse_double(str_of(text), &v), NUMBER_OK);
    return v;
}

static void reads_what_strtod_reads(void **state) {
    (void)state;
    static const char *const texts[] = {
        "0",
        "1",
        "-1",
        "+1",
        ".5",
        "5.",
        "1e5",
        "1E+05",
        "1.073741824e+09",
        "0.1",
        "3.14159265358979",
        "1e22",
        "1e23",
        "9007199254740993",
        "9007199254740992.5",
        "9007199254740993.0000000001",
        "2.2250738585072011e-308",
        "2.2250738585072014e-308",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "123456789012345678901234567890",
        "0.000000000000000000000000000000000000001234567890123456789012345",
        "179769313486231570000000000000000000000e270",
        "1e-400",
        "0e99999999999999999999",
        "00000000000000000000001.5",
        "8.98846567431158e307",
        "6.631236846766476e-316",
        "3."
        "237883913302901289588352412501532174863037669423108059901297049552301970670676565786835742"
        "587799557860615776559838283435514391084153169252689190564396459577394618038928365305143463"
        "955100356696665629202017331344031730044369360205258345803431471660032699580731300954848363"
        "975548690010751530018881758184174569652173110473696022749934638425380623369774736560008997"
        "404060967498028389191878963968575439222206416981462690113342524002724385941651051293552601"
        "421155333430225237291523843322331326138431477823591142408800030775170625915670728657003151"
        "953664260769822494937951845801530895238439819708403389937873241463484205608000027270531106"
        "827387907791444918534771598750162812548862768493201518991668028251730299953143924168545708"
        "663913273994694463908672332763671875E-319"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (!f64_same_bits(parsed(texts[i]), strtod(texts[i], NULL))) {
            fail_msg("%s", texts[i]);
        }
    }
}

static void reads_halfway_texts_of_random_doubles_to_even(void **state) {
    (void)state;
    uint64_t random = 0x9E3779B97F4A7C15ULL;
    for (int i = 0; i < 3000; i++) {
        const uint64_t bits = next_random(&random) >> 12 | (uint64_t)(900 + i % 240) << 52;
        const long double middle =
            ((long double)f64_of_bits(bits) + (long double)f64_of_bits(bits + 1)) / 2;
        char text[1200];
        (void)snprintf(text, sizeof(text), "%.*Le", i % 2 == 0 ? 1100 : 17 + i % 60, middle);
        if (!f64_same_bits(parsed(text), strtod(text, NULL))) {
            fail_msg("%s", text);
        }
    }
}

static void reads_infinities_and_nan_in_any_case(void **state) {
    (void)state;
    assert_true(f64_same_bits(parsed("iNf"), __builtin_inf()));
    assert_true(f64_same_bits(parsed("+Infinity"), __builtin_inf()));
    assert_true(f64_same_bits(parsed("-inf"), -__builtin_inf()));
    assert_true(f64_bits(parsed("NaN")) == NORMAL_NAN_BITS);
    assert_true(f64_same_bits(parsed("-0"), -0.0));
}

static void refuses_what_is_no_number(void **state) {
    (void)state;
    static const char *const texts[] = {"",    " 1",  "1 ",   "e5",  ".",    "+",    "1e", "1e+",
                                        "0x1", "1_0", "1.2.", "--1", "+nan", "infi", "1f", "1e5.5"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        double v = 42;
        if (number_parse_double(str_of(texts[i]), &v) != NUMBER_SYNTAX || v != 42) {
            fail_msg("%s", texts[i]);
        }
    }
}

static void says_when_a_number_is_out_of_range(void **state) {
    (void)state;
    double v = 42;
    assert_int_equal(number_parse_double(STR("1e400"), &v), NUMBER_RANGE);
    assert_int_equal(number_parse_double(STR("-1.8e308"), &v), NUMBER_RANGE);
    assert_int_equal(number_parse_double(STR("1.7976931348623159e308"), &v), NUMBER_RANGE);
    assert_true(v == 42);
}

static void reads_integers_to_their_limits(void **state) {
    (void)state;
    int64_t i = 0;
    uint64_t u = 0;
    assert_int_equal(number_parse_i64(STR("-9223372036854775808"), &i), NUMBER_OK);
    assert_true(i == INT64_MIN);
    assert_int_equal(number_parse_i64(STR("+9223372036854775807"), &i), NUMBER_OK);
    assert_true(i == INT64_MAX);
    assert_int_equal(number_parse_i64(STR("9223372036854775808"), &i), NUMBER_RANGE);
    assert_int_equal(number_parse_i64(STR("-9223372036854775809"), &i), NUMBER_RANGE);
    assert_int_equal(number_parse_i64(STR("1.0"), &i), NUMBER_SYNTAX);
    assert_int_equal(number_parse_i64(STR("-"), &i), NUMBER_SYNTAX);
    assert_int_equal(number_parse_u64(STR("18446744073709551615"), &u), NUMBER_OK);
    assert_true(u == UINT64_MAX);
    assert_int_equal(number_parse_u64(STR("18446744073709551616"), &u), NUMBER_RANGE);
    assert_int_equal(number_parse_u64(STR("+1"), &u), NUMBER_SYNTAX);
}

static void prints_as_go_does(void **state) {
    (void)state;
    static const struct {
        double v;
        const char *f, *e, *g, *json, *openmetrics;
    } cases[] = {
        {0, "0", "0e+00", "0", "0", "0.0"},
        {-0.0, "-0", "-0e+00", "-0", "-0", "0.0"},
        {1, "1", "1e+00", "1", "1", "1.0"},
        {-1.5, "-1.5", "-1.5e+00", "-1.5", "-1.5", "-1.5"},
        {123456, "123456", "1.23456e+05", "123456", "123456", "123456.0"},
        {1e6, "1000000", "1e+06", "1e+06", "1000000", "1e+06"},
        {1234567.5, "1234567.5", "1.2345675e+06", "1.2345675e+06", "1234567.5", "1.2345675e+06"},
        {1e21, "1000000000000000000000", "1e+21", "1e+21", "1e+21", "1e+21"},
        {1e20, "100000000000000000000", "1e+20", "1e+20", "100000000000000000000", "1e+20"},
        {0.0001, "0.0001", "1e-04", "0.0001", "0.0001", "0.0001"},
        {1e-5, "0.00001", "1e-05", "1e-05", "0.00001", "1e-05"},
        {1e-6, "0.000001", "1e-06", "1e-06", "0.000001", "1e-06"},
        {1e-7, "0.0000001", "1e-07", "1e-07", "1e-07", "1e-07"},
        {0.1 + 0.2, "0.30000000000000004", "3.0000000000000004e-01", "0.30000000000000004",
         "0.30000000000000004", "0.30000000000000004"},
        {__builtin_inf(), "+Inf", "+Inf", "+Inf", "+Inf", "+Inf"},
        {-__builtin_inf(), "-Inf", "-Inf", "-Inf", "-Inf", "-Inf"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char t[NUMBER_TEXT_MAX];
        assert_str(((struct str){t, number_format_f(cases[i].v, t)}), cases[i].f);
        assert_str(((struct str){t, number_format_e(cases[i].v, t)}), cases[i].e);
        assert_str(((struct str){t, number_format_g(cases[i].v, t)}), cases[i].g);
        assert_str(((struct str){t, number_format_json(cases[i].v, t)}), cases[i].json);
        assert_str(((struct str){t, number_format_openmetrics(cases[i].v, t)}),
                   cases[i].openmetrics);
    }
    char t[NUMBER_TEXT_MAX];
    assert_str(((struct str){t, number_format_f(f64_stale(), t)}), "NaN");
    assert_str(((struct str){t, number_format_e(5e-324, t)}), "5e-324");
    assert_str(((struct str){t, number_format_e(1.7976931348623157e308, t)}),
               "1.7976931348623157e+308");
    assert_int_equal(number_format_f(-5e-324, t), 1 + 2 + 324);
}

static void prints_with_a_precision_as_go_does(void **state) {
    (void)state;
    static const struct {
        double v;
        int precision;
        const char *want;
    } cases[] = {{123456789, 4, "1.235e+08"},
                 {100000, 3, "1e+05"},
                 {1234567.5, 4, "1.235e+06"},
                 {5e-324, 3, "4.94e-324"},
                 {0.0001, 3, "0.0001"},
                 {0.00001, 3, "1e-05"},
                 {100, 3, "100"},
                 {2.5, 1, "2"},
                 {3.5, 1, "4"},
                 {9.9999, 3, "10"},
                 {999.9, 3, "1e+03"},
                 {0, 4, "0"},
                 {-1.2345, 4, "-1.234"},
                 {0.5, 20, "0.5"},
                 {0.1, 20, "0.10000000000000000555"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char t[NUMBER_TEXT_MAX];
        assert_str(((struct str){t, number_format_g_prec(cases[i].v, cases[i].precision, t)}),
                   cases[i].want);
    }
}

static void prints_the_fewest_digits_that_read_back(void **state) {
    (void)state;
    uint64_t random = 88172645463325252ULL;
    for (int i = 0; i < 20000; i++) {
        const uint64_t bits = next_random(&random);
        const double v = f64_of_bits(i % 3 == 0   ? bits
                                     : i % 3 == 1 ? bits & 0xFFF0000000000000ULL
                                                  : bits >> 12 | (uint64_t)(bits & 1) << 52);
        if (v - v != 0 || v == 0) {
            continue;
        }
        char text[NUMBER_TEXT_MAX + 1];
        const size_t n = number_format_e(v, text);
        text[n] = '\0';
        assert_true(f64_same_bits(parsed(text), v));
        int digits = 0;
        for (const char *c = text; *c != 'e'; c++) {
            digits += *c >= '0' && *c <= '9';
        }
        char other[64];
        (void)snprintf(other, sizeof(other), "%.*e", digits - 1, v);
        if (f64_same_bits(strtod(other, NULL), v)) {
            assert_string_equal(text, other); /* the nearest of that length */
        }
        if (digits > 1) {
            (void)snprintf(other, sizeof(other), "%.*e", digits - 2, v);
            assert_false(f64_same_bits(strtod(other, NULL), v));
        }
    }
}

static void prints_integers(void **state) {
    (void)state;
    char t[20];
    assert_str(((struct str){t, number_format_u64(UINT64_MAX, t)}), "18446744073709551615");
    assert_str(((struct str){t, number_format_u64(0, t)}), "0");
    assert_str(((struct str){t, number_format_i64(INT64_MIN, t)}), "-9223372036854775808");
    assert_str(((struct str){t, number_format_i64(-7, t)}), "-7");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_strtod_reads),
        cmocka_unit_test(reads_halfway_texts_of_random_doubles_to_even),
        cmocka_unit_test(reads_infinities_and_nan_in_any_case),
        cmocka_unit_test(refuses_what_is_no_number),
        cmocka_unit_test(says_when_a_number_is_out_of_range),
        cmocka_unit_test(reads_integers_to_their_limits),
        cmocka_unit_test(prints_as_go_does),
        cmocka_unit_test(prints_with_a_precision_as_go_does),
        cmocka_unit_test(prints_the_fewest_digits_that_read_back),
        cmocka_unit_test(prints_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
