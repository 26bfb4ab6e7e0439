/* series_values: what each item of the sequence language stands for, and what is refused. */
#include "series_values.h"

#include "base/value.h"
#include "tests/support/check_err.h"

/* "1 _ stale" of what was parsed. */
static void expect(const char *text, const char *want) {
    struct arena arena;
    struct err err;
    struct series_values values = {.count = 0};
    struct buf got;
    arena_init(&arena, 0);
    buf_init(&got, 1024 * 1024);
    assert_ok(series_values_parse(&arena, str_of(text), &values, &err), &err);
    for (size_t i = 0; i < values.count; i++) {
        buf_append_cstr(&got, i > 0 ? " " : "");
        if (!values.items[i].present) {
            buf_append_char(&got, '_');
        } else if (f64_is_stale(values.items[i].value)) {
            buf_append_cstr(&got, "stale");
        } else {
            buf_append_number_g(&got, values.items[i].value);
        }
    }
    assert_str(buf_str(&got), want);
    buf_release(&got);
    arena_release(&arena);
}

static void items_become_values(void **state) {
    (void)state;
    expect("", "");
    expect(" 1  2\t3\n", "1 2 3");
    expect("-1.5 +2 1e3 1E-3 .5", "-1.5 2 1000 0.001 0.5");
    expect("NaN Inf -inf +INF", "NaN +Inf -Inf +Inf");
    expect("_ _x3 stale", "_ _ _ _ stale");
    expect("7x2", "7 7 7");
    expect("7x0", "7");
    expect("1+2x3", "1 3 5 7");
    expect("1-2x3", "1 -1 -3 -5");
    expect("-1+0.5x2 1e2+1e1x1", "-1 -0.5 0 100 110");
}

static void what_is_no_item_is_refused(void **state) {
    (void)state;
    static const char *const items[] = {"a",   "1x",  "1+2",  "1x-1", "_x",    "_x0", "__", "1+x2",
                                        "--1", "1,2", "stal", "1e",   "1.2.3", "x3",  "{1}"};
    for (size_t i = 0; i < COUNT_OF(items); i++) {
        struct arena arena;
        struct err err;
        struct series_values values = {.count = 0};
        arena_init(&arena, 0);
        assert_err(series_values_parse(&arena, str_of(items[i]), &values, &err), ERR_INVALID,
                   "bad series value", &err);
        arena_release(&arena);
    }
}

static void limits_and_histograms_are_named(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum err_code code;
        const char *err;
    } cases[] = {
        {"1x999999999", ERR_LIMIT, "more than 1000000 values in a series"},
        {"_x18446744073709551615", ERR_LIMIT, "more than 1000000 values in a series"},
        {"1x999998 1 1", ERR_LIMIT, "more than 1000000 values in a series"},
        {"1 {{schema:0}}x3", ERR_UNSUPPORTED,
         "histograms in series values are not supported by this version"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena arena;
        struct err err;
        struct series_values values = {.count = 0};
        arena_init(&arena, 0);
        assert_err(series_values_parse(&arena, str_of(cases[i].text), &values, &err), cases[i].code,
                   cases[i].err, &err);
        arena_release(&arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_become_values),
        cmocka_unit_test(what_is_no_item_is_refused),
        cmocka_unit_test(limits_and_histograms_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
