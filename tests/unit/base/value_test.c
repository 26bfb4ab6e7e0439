/* value: a decimal stands for its double bit for bit, and what is no such decimal keeps its bits. */
#include "base/value.h"

#include "tests/support/check_err.h"

static struct num num_of(const char *text) {
    struct num n = {0};
    assert_int_equal(num_parse(str_of(text), &n), NUMBER_OK);
    double v = 0;
    assert_int_equal(number_parse_double(str_of(text), &v), NUMBER_OK);
    assert_true(f64_same_bits(num_double(n), v));
    return n;
}

static void check_decimal(const char *text, int64_t m, int scale) {
    const struct num n = num_of(text);
    if (n.kind != NUM_DECIMAL || n.m != m || n.scale != scale) {
        fail_msg("%s: kind %d %lld / 10^%d", text, n.kind, (long long)n.m, n.scale);
    }
}

static void texts_become_mantissa_and_scale(void **state) {
    (void)state;
    check_decimal("0", 0, 0);
    check_decimal("42", 42, 0);
    check_decimal("-17.25", -1725, 2);
    check_decimal("1.073741824e+09", 1073741824, 0);
    check_decimal("1.5e3", 1500, 0);
    check_decimal("1.50", 150, 2); /* two digits keep one scale */
    check_decimal("2.5e-07", 25, 8);
    check_decimal("9007199254740991", 9007199254740991, 0);
    check_decimal("1e15", 1000000000000000, 0);
    check_decimal("5.000000000000000000", 5000000000000000, 15); /* shrunk until it fits */
    check_decimal("0.1000000000000000055", 1, 1); /* more digits than a double holds */
}

static void what_is_no_decimal_keeps_its_bits(void **state) {
    (void)state;
    static const char *const texts[] = {"-0",    "-0.000", "NaN",
                                        "+Inf",  "-Inf",   "9007199254740992",
                                        "1e300", "1e-300", "0.12345678901234567"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_int_equal(num_of(texts[i]).kind, NUM_RAW);
    }
    assert_true(f64_bits(num_double(num_of("nan"))) == NORMAL_NAN_BITS);
}

static void bad_texts_are_refused(void **state) {
    (void)state;
    struct num n = num_of_i64(7);
    assert_int_equal(num_parse(STR("0x10"), &n), NUMBER_SYNTAX);
    assert_int_equal(num_parse(STR("1_000"), &n), NUMBER_SYNTAX);
    assert_int_equal(num_parse(STR(""), &n), NUMBER_SYNTAX);
    assert_int_equal(num_parse(STR("1e400"), &n), NUMBER_RANGE);
    assert_true(n.m == 7);
}

static void doubles_become_their_shortest_decimal(void **state) {
    (void)state;
    static const struct {
        double v;
        int64_t m;
        int scale;
    } cases[] = {{0, 0, 0},        {-3, -3, 0},
                 {0.1, 1, 1},      {1.5, 15, 1},
                 {-2.25, -225, 2}, {1e15, 1000000000000000, 0},
                 {1e-22, 1, 22},   {123456.789, 123456789, 3}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct num n = num_of_double(cases[i].v);
        assert_int_equal(n.kind, NUM_DECIMAL);
        assert_true(n.m == cases[i].m && n.scale == cases[i].scale);
    }
    static const double raw[] = {-0.0, 1e300, 1e-23, 0.1 + 0.2, 9007199254740992.0};
    for (size_t i = 0; i < COUNT_OF(raw); i++) {
        const struct num n = num_of_double(raw[i]);
        assert_int_equal(n.kind, NUM_RAW);
        assert_true(f64_same_bits(num_double(n), raw[i]));
    }
    assert_true(f64_is_stale(num_double(num_of_double(f64_stale()))));
}

static void every_double_comes_back_bit_for_bit(void **state) {
    (void)state;
    uint64_t x = 1;
    for (int i = 0; i < 100000; i++) {
        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
        const double v = i % 2 == 0 ? f64_of_bits(x) : (double)(x >> 40) / (double)(1 + (x & 1023));
        assert_true(f64_same_bits(num_double(num_of_double(v)), v));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_become_mantissa_and_scale),
        cmocka_unit_test(what_is_no_decimal_keeps_its_bits),
        cmocka_unit_test(bad_texts_are_refused),
        cmocka_unit_test(doubles_become_their_shortest_decimal),
        cmocka_unit_test(every_double_comes_back_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
