/* promqltest_sequence: what each item of the sequence language stands for, and what is refused. */
#include "query/script/promqltest_sequence.h"

#include "base/mem.h"
#include "base/value.h"
#include "tests/support/check_err.h"

/* "1 _ stale" of what was parsed. */
static void expect(const char *text, const char *want) {
    struct arena arena;
    struct sequence values = {.count = 0};
    struct buf got;
    arena_init(&arena, 0);
    buf_init(&got, 1024 * 1024);
    assert_true(sequence_parse(&arena, str_of(text), &values));
    for (size_t i = 0; i < values.count; i++) {
        buf_append_cstr(&got, i > 0 ? " " : "");
        if (values.points[i].kind == POINT_NONE) {
            buf_append_char(&got, '_');
        } else if (values.points[i].kind == POINT_HISTOGRAM) {
            buf_append_char(&got, 'h');
        } else if (f64_is_stale(values.points[i].value)) {
            buf_append_cstr(&got, "stale");
        } else {
            buf_append_number_g(&got, values.points[i].value);
        }
    }
    assert_str(buf_str(&got), want);
    mem_free(values.points);
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
    static const char *const items[] = {"a",
                                        "1x-1",
                                        "__",
                                        "1+x2",
                                        "--1",
                                        "1,2",
                                        "stal",
                                        "1e",
                                        "1.2.3",
                                        "x3",
                                        "{1}",
                                        "{{bla:1}}",
                                        "1x99999999",
                                        "1x",
                                        "_x",
                                        "1+2",
                                        "1-2",
                                        "1+x3",
                                        "{{}}x",
                                        "{{}}+{{}}",
                                        "{{count:1 count:1}}",
                                        "{{schema:0.5}}",
                                        "{{offset:1.5}}",
                                        "{{offset:1e300}}",
                                        "{{count:1sum:2}}",
                                        "{{buckets:[1]sum:2}}",
                                        "{{schema:NaN}}"};
    for (size_t i = 0; i < COUNT_OF(items); i++) {
        struct arena arena;
        struct sequence values = {.count = 0};
        arena_init(&arena, 0);
        if (sequence_parse(&arena, str_of(items[i]), &values)) {
            fail_msg("%s was read", items[i]);
        }
        mem_free(values.points);
        arena_release(&arena);
    }
}

static void histograms_have_their_place(void **state) {
    (void)state;
    expect("1 {{schema:0 count:2 sum:3 buckets:[1 1]}}x1 _", "1 h h _");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_become_values),
        cmocka_unit_test(what_is_no_item_is_refused),
        cmocka_unit_test(histograms_have_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
