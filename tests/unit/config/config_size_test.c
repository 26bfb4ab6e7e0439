/* Sizes: Go's units package in both of its spellings, and back to text. */
#include "config_size.h"

#include "tests/support/check_err.h"

static void sizes_are_sums_of_powers_of_1024(void **state) {
    static const struct {
        const char *text;
        int64_t bytes;
        const char *printed;
    } cases[] = {
        {"0", 0, "0B"},
        {"5B", 5, "5B"},
        {"1KB", 1024, "1KiB"},
        {"1KiB", 1024, "1KiB"},
        {"1.5KB", 1536, "1KiB512B"},
        {"1GB512MB", 1610612736, "1GiB512MiB"},
        {"1GiB512MiB", 1610612736, "1GiB512MiB"},
        {"-1GB", -1073741824, "-1GiB"},
        {"+2EB", 2305843009213693952, "2EiB"},
        {".5KB", 512, "512B"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        struct buf text;
        int64_t bytes = -1;
        assert_ok(size_parse(str_of(cases[i].text), &bytes, &err), &err);
        assert_int_equal(bytes, cases[i].bytes);
        buf_init(&text, 128);
        size_format(&text, bytes);
        assert_str(buf_str(&text), cases[i].printed);
        buf_release(&text);
    }
}

static void bad_sizes_have_gos_texts(void **state) {
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", "units: invalid "},
        {"-", "units: invalid -"},
        {"MB", "units: invalid MB"},
        {"100", "units: unknown unit  in 100"},
        {"1kB", "units: unknown unit kB in 1kB"},
        {"1KB1KiB", "units: unknown unit KiB in 1KB1KiB"},
        {"9999999999999999999B", "units: invalid 9999999999999999999B"},
        {"9000000000EB", "units: overflow parsing unit"},
        {".KB", "units: invalid .KB"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        int64_t bytes = 77;
        assert_err(size_parse(str_of(cases[i].text), &bytes, &err), ERR_INVALID, cases[i].want,
                   &err);
        assert_int_equal(bytes, 77);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_sums_of_powers_of_1024),
        cmocka_unit_test(bad_sizes_have_gos_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
