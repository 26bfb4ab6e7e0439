/* matcher: the four operators, absent labels and how a matcher is written. */
#include "base/matcher.h"

#include "tests/support/check_err.h"

static void operators_compare_with_the_value_or_its_absence(void **state) {
    (void)state;
    static const struct {
        enum matcher_type type;
        const char *value;
        bool foo, empty;
        const char *text;
    } cases[] = {
        {MATCH_EQUAL, "foo", true, false, "l=\"foo\""},
        {MATCH_EQUAL, "", false, true, "l=\"\""},
        {MATCH_NOT_EQUAL, "foo", false, true, "l!=\"foo\""},
        {MATCH_REGEX, "fo+", true, false, "l=~\"fo+\""},
        {MATCH_REGEX, ".*", true, true, "l=~\".*\""},
        {MATCH_REGEX, "f", false, false, "l=~\"f\""},
        {MATCH_NOT_REGEX, "fo+|", false, false, "l!~\"fo+|\""},
        {MATCH_NOT_REGEX, "b.r", true, true, "l!~\"b.r\""},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena arena;
        struct matcher m;
        struct err err;
        bool matched = false;
        arena_init(&arena, 0);
        assert_ok(matcher_init(&arena, cases[i].type, STR("l"), str_of(cases[i].value), &m, &err),
                  &err);
        assert_ok(matcher_match(&m, STR("foo"), &matched, &err), &err);
        assert_int_equal(matched, cases[i].foo);
        assert_int_equal(matcher_accepts_empty(&m), cases[i].empty);
        struct buf b;
        buf_init(&b, 100);
        matcher_format(&b, &m);
        assert_str(buf_str(&b), cases[i].text);
        buf_release(&b);
        arena_release(&arena);
    }
}

static void all_matchers_must_accept_the_labels(void **state) {
    (void)state;
    struct arena arena;
    struct matcher m[2];
    struct err err;
    bool matched = false;
    arena_init(&arena, 0);
    const struct label pairs[] = {{STR("a"), STR("1")}, {STR("b.c"), STR("2")}};
    const struct labels labels = labels_of(&arena, pairs, 2);
    assert_ok(matcher_init(&arena, MATCH_EQUAL, STR("a"), STR("1"), &m[0], &err), &err);
    assert_ok(matcher_init(&arena, MATCH_REGEX, STR("b.c"), STR("[23]"), &m[1], &err), &err);
    assert_ok(matchers_match(m, 2, labels, &matched, &err), &err);
    assert_true(matched);
    assert_ok(matcher_init(&arena, MATCH_NOT_EQUAL, STR("x"), STR(""), &m[1], &err), &err);
    assert_ok(matchers_match(m, 2, labels, &matched, &err), &err);
    assert_false(matched);
    assert_ok(matchers_match(m, 0, labels, &matched, &err), &err);
    assert_true(matched);
    arena_release(&arena);
}

static void a_bad_regex_makes_no_matcher(void **state) {
    (void)state;
    struct arena arena;
    struct matcher m;
    struct err err;
    arena_init(&arena, 0);
    assert_err(matcher_init(&arena, MATCH_REGEX, STR("a"), STR("("), &m, &err), ERR_INVALID,
               "error parsing regexp: missing closing ): `(`", &err);
    arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_compare_with_the_value_or_its_absence),
        cmocka_unit_test(all_matchers_must_accept_the_labels),
        cmocka_unit_test(a_bad_regex_makes_no_matcher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
