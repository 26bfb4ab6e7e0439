/* utf8: strict decoding, Go's quoting and simple case mapping. */
#include "base/utf8.h"

#include "base/attr.h"
#include "tests/support/check_err.h"

static void every_rune_survives_encoding(void **state) {
    (void)state;
    for (uint32_t rune = 0; rune <= 0x10FFFF; rune++) {
        char bytes[4];
        const size_t n = utf8_encode(rune, bytes);
        size_t taken = 0;
        const uint32_t got = utf8_rune((struct str){bytes, n}, &taken);
        const bool surrogate = rune >= 0xD800 && rune < 0xE000;
        if (got != (surrogate ? 0xFFFD : rune) || taken != n) {
            fail_msg("U+%04X", rune);
        }
    }
}

static void malformed_bytes_are_not_valid(void **state) {
    (void)state;
    static const char *const texts[] = {"\x80",
                                        "\xC0\x80",
                                        "\xC1\xBF",
                                        "\xE0\x9F\xBF",
                                        "\xED\xA0\x80",
                                        "\xF0\x8F\xBF\xBF",
                                        "\xF4\x90\x80\x80",
                                        "\xF5\x80\x80\x80",
                                        "\xE2\x82",
                                        "abcdefgh\xFF",
                                        "\xC3",
                                        "\xC3(",
                                        "\xE2\x82("};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (utf8_valid(str_of(texts[i]))) {
            fail_msg("case %zu", i);
        }
        size_t n = 0;
        if (texts[i][0] != 'a') {
            assert_int_equal(utf8_rune(str_of(texts[i]), &n), 0xFFFD);
            assert_int_equal(n, 1);
        }
    }
    assert_true(utf8_valid(STR("")));
    assert_true(utf8_valid(STR("plain ascii text and \xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80")));
    assert_true(utf8_valid((struct str){"a\0b", 3}));
}

static void quotes_as_go_does(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    utf8_quote(&b, STR("a\"\\\n\t\x01\x7F\xFF\xC3\xA9\xC2\xA0\xE2\x80\xA8\xF3\xA0\x80\x81\xF0\x9F"
                       "\x98\x80\a\v"));
    assert_str(buf_str(&b), "\"a\\\"\\\\\\n\\t\\x01\\x7f\\xff\xC3\xA9\\u00a0\\u2028\\U000e0001"
                            "\xF0\x9F\x98\x80\\a\\v\"");
    buf_release(&b);
}

static void maps_case_rune_by_rune(void **state) {
    (void)state;
    static const struct {
        const char *text, *lower, *upper;
    } cases[] = {
        {"MiXed 9_", "mixed 9_", "MIXED 9_"},
        {"\xC3\x89t\xC3\xA9", "\xC3\xA9t\xC3\xA9", "\xC3\x89T\xC3\x89"}, /* Latin */
        {"\xCE\xA3\xCF\x83\xCF\x82", "\xCF\x83\xCF\x83\xCF\x82",
         "\xCE\xA3\xCE\xA3\xCE\xA3"},                                 /* Greek */
        {"\xD0\x96\xD0\xB6", "\xD0\xB6\xD0\xB6", "\xD0\x96\xD0\x96"}, /* Cyrillic */
        {"\xC3\x9F", "\xC3\x9F", "\xC3\x9F"},                         /* no one-to-many mapping */
        {"\xC4\xB0", "i", "\xC4\xB0"},                                /* dotted capital I */
        {"\xE1\xBE\xB3", "\xE1\xBE\xB3", "\xE1\xBE\xBC"},
        {"a\xFF", "a\xEF\xBF\xBD", "A\xEF\xBF\xBD"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf b;
        buf_init(&b, 100);
        utf8_lower(&b, str_of(cases[i].text));
        assert_str(buf_str(&b), cases[i].lower);
        buf_clear(&b);
        utf8_upper(&b, str_of(cases[i].text));
        assert_str(buf_str(&b), cases[i].upper);
        buf_release(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rune_survives_encoding),
        cmocka_unit_test(malformed_bytes_are_not_valid),
        cmocka_unit_test(quotes_as_go_does),
        cmocka_unit_test(maps_case_rune_by_rune),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
