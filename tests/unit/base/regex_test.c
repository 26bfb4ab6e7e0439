/* regex: RE2's language with Go's error texts, the literal analysis, and limits that are errors. */
#include "base/regex.h"

#include <stdio.h>
#include <string.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/mem.h"
#include "tests/support/check_err.h"

static struct regex *made(const char *pattern, enum regex_mode mode) {
    struct regex *re = NULL;
    struct err err;
    assert_ok(regex_new(str_of(pattern), mode, &re, &err), &err);
    return re;
}

static bool matches(const char *pattern, struct str subject) {
    struct regex *re = made(pattern, REGEX_ANCHORED);
    struct err err;
    bool out = false;
    assert_ok(regex_match(re, subject, &out, &err), &err);
    regex_free(re);
    return out;
}

static void bad_patterns_get_the_texts_of_go(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *what;
    } cases[] = {
        {"(", "missing closing ): `(`"},
        {")", "unexpected ): `)`"},
        {"[a", "missing closing ]: `[a`"},
        {"a**", "invalid nested repetition operator: `**`"},
        {"a*?+", "invalid nested repetition operator: `*?+`"},
        {"a++", "invalid nested repetition operator: `++`"},
        {"*", "missing argument to repetition operator: `*`"},
        {"(|*)", "missing argument to repetition operator: `*`"},
        {"a{1001}", "invalid repeat count: `{1001}`"},
        {"(a{500}){3}", "invalid repeat count: `{3}`"},
        {"a{2,1}", "invalid repeat count: `{2,1}`"},
        {"[z-a]", "invalid character class range: `z-a`"},
        {"[[:foo:]]", "invalid character class range: `[:foo:]`"},
        {"\\p{Foo}", "invalid character class range: `\\p{Foo}`"},
        {"\\", "trailing backslash at end of expression: ``"},
        {"\\8", "invalid escape sequence: `\\8`"},
        {"\\C", "invalid escape sequence: `\\C`"},
        {"\\1", "invalid escape sequence: `\\1`"},
        {"\\K", "invalid escape sequence: `\\K`"},
        {"\\x{110000}", "invalid escape sequence: `\\x{110000`"},
        {"[\\b]", "invalid escape sequence: `\\b`"},
        {"(?=a)", "invalid or unsupported Perl syntax: `(?=`"},
        {"(?!a)", "invalid or unsupported Perl syntax: `(?!`"},
        {"(?>a)", "invalid or unsupported Perl syntax: `(?>`"},
        {"(?#c)", "invalid or unsupported Perl syntax: `(?#`"},
        {"(?P>n)", "invalid or unsupported Perl syntax: `(?P`"},
        {"(?i-)", "invalid or unsupported Perl syntax: `(?i-)`"},
        {"(?<=a)", "invalid named capture: `(?<=a)`"},
        {"(?P<1+>a)", "invalid named capture: `(?P<1+>`"},
        {"a\xFF", "invalid UTF-8: `\xFF`"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char want[200];
        struct regex *re = NULL;
        struct err err;
        (void)snprintf(want, sizeof(want), "error parsing regexp: %s", cases[i].what);
        assert_err(regex_new(str_of(cases[i].pattern), REGEX_ANCHORED, &re, &err), ERR_INVALID,
                   want, &err);
        assert_null(re);
    }
    struct err err;
    struct regex *re = NULL;
    assert_err(regex_new(STR("("), REGEX_WRAPPED, &re, &err), ERR_INVALID,
               "error parsing regexp: missing closing ): `^(?s:()$`", &err);
}

static void patterns_over_our_limits_are_refused(void **state) {
    (void)state;
    struct regex *re = NULL;
    struct err err;
    static char text[REGEX_PATTERN_MAX + 2];
    memset(text, 'a', REGEX_PATTERN_MAX + 1);
    assert_err(regex_new(str_of(text), REGEX_ANCHORED, &re, &err), ERR_LIMIT, "is longer than",
               &err);
    text[0] = '\0';
    for (int i = 0; i < 300; i++) {
        strcat(text, "(?:");
    }
    assert_err(regex_new(str_of(text), REGEX_ANCHORED, &re, &err), ERR_INVALID,
               "expression nests too deeply", &err);
    text[0] = '\0';
    for (int i = 0; i <= REGEX_GROUPS_MAX; i++) {
        strcat(text, "()");
    }
    assert_err(regex_new(str_of(text), REGEX_ANCHORED, &re, &err), ERR_LIMIT, "more than", &err);
    text[0] = '\0';
    for (int i = 0; i < 200; i++) {
        strcat(text, "(?:ab){1000}");
    }
    assert_err(regex_new(str_of(text), REGEX_ANCHORED, &re, &err), ERR_INVALID,
               "expression too large", &err);
}

static void matches_the_whole_subject(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *subject;
        bool want;
    } cases[] = {
        {"a|b", "ab", false},
        {"a.c", "a\nc", true},
        {"(?-s)a.c", "a\nc", false},
        {"(?i)stra\xC3\x9F"
         "e",
         "STRA\xE1\xBA\x9E"
         "E",
         true},
        {"(?i)k", "\xE2\x84\xAA", true}, /* Kelvin sign */
        {"[\\d-z]+", "1-z", true},
        {"[]a]", "]", true},
        {"[^\\x00-\\x{10FFFF}]", "a", false},
        {"\\pL+", "\xC3\xA9\xD0\xB6", true},
        {"\\p{^Greek}", "\xCE\xB1", false},
        {"[[:word:]]+", "a_9", true},
        {"\\Qa.b\\E*", "a.bbb", true},
        {"a{,2}", "a{,2}", true},
        {"\\x41\\101\\t", "AA\t", true},
        {"a\\z", "a", true},
        {"(?m)^a$\\nb", "a\nb", true},
        {"\\bfoo\\b.*", "foo bar", true},
        {"(a*)*b", "aaab", true},
        {"x{2,3}", "xxxx", false},
        {"(?i)\\W", "\xE2\x84\xAA", false}, /* Kelvin sign, a k */
        {"(?i)[[:^lower:]]", "A", false},
        {"(?i)\\W", "-", true},
        {"ab.*ba", "aba", false}, /* prefix and suffix must not overlap */
        {"ab.*ba", "abba", true},
        {"ab.+ba", "abba", false},
        {"ab.+ba", "ab\nba", true},
        {"ab.*ba.*", "ab-ba-", true},
        {"", "", true},
        {"\\x{FFFD}", "\xFF", true}, /* an invalid byte reads as U+FFFD */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (matches(cases[i].pattern, str_of(cases[i].subject)) != cases[i].want) {
            fail_msg("%s on %s", cases[i].pattern, cases[i].subject);
        }
    }
}

static void literal_analysis_sees_what_needs_no_engine(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        enum regex_shape shape;
        const char *literal;
        size_t set_count, min_rest;
    } cases[] = {
        {".*", REGEX_SHAPE_ANY, "", 0, 0},
        {"(.*)", REGEX_SHAPE_ANY, "", 0, 0},
        {".+", REGEX_SHAPE_NONEMPTY, "", 0, 0},
        {"", REGEX_SHAPE_SET, "", 1, 0},
        {"foo", REGEX_SHAPE_SET, "", 1, 0},
        {"^foo$", REGEX_SHAPE_SET, "", 1, 0},
        {"foo|bar|foo", REGEX_SHAPE_SET, "", 2, 0},
        {"(?:GET|POST)/v[12]", REGEX_SHAPE_SET, "", 4, 0},
        {"https?", REGEX_SHAPE_SET, "", 2, 0},
        {"a{2,4}", REGEX_SHAPE_SET, "", 3, 0},
        {"foo.*", REGEX_SHAPE_PREFIX, "foo", 0, 0},
        {"foo.+", REGEX_SHAPE_PREFIX, "foo", 0, 1},
        {".*foo", REGEX_SHAPE_SUFFIX, "foo", 0, 0},
        {".+\\.go", REGEX_SHAPE_SUFFIX, ".go", 0, 1},
        {".*foo.*", REGEX_SHAPE_CONTAINS, "foo", 0, 0},
        {"foo[0-9]+", REGEX_SHAPE_ENGINE, "foo", 0, 0},
        {"(?i)foo", REGEX_SHAPE_ENGINE, "", 0, 0},
        {"foo(?-s:.)*", REGEX_SHAPE_ENGINE, "foo", 0, 0},
        {".+foo.*", REGEX_SHAPE_ENGINE, "", 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct regex *re = made(cases[i].pattern, REGEX_ANCHORED);
        const struct regex_analysis *a = regex_analyze(re);
        if (a->shape != cases[i].shape || a->set_count != cases[i].set_count ||
            a->min_rest != cases[i].min_rest) {
            fail_msg("%s: shape %d, set of %zu", cases[i].pattern, a->shape, a->set_count);
        }
        assert_str(a->literal, cases[i].literal);
        regex_free(re);
    }
}

static void a_large_alternation_is_a_set(void **state) {
    (void)state;
    static char text[REGEX_PATTERN_MAX];
    size_t n = 0;
    for (int i = 0; i < 9000; i++) {
        n += (size_t)sprintf(text + n, "%s%d", i > 0 ? "|" : "", 10000 + i);
    }
    struct regex *re = made(text, REGEX_ANCHORED);
    assert_int_equal(regex_analyze(re)->set_count, 9000);
    struct err err;
    bool matched = false;
    assert_ok(regex_match(re, STR("18999"), &matched, &err), &err);
    assert_true(matched);
    assert_ok(regex_match(re, STR("19000"), &matched, &err), &err);
    assert_false(matched);
    regex_free(re);
}

static void check_expand(const char *pattern, const char *subject, const char *template_text,
                         const char *want) {
    struct regex *re = made(pattern, REGEX_ANCHORED);
    struct err err;
    struct buf b;
    bool matched = false;
    buf_init(&b, 1000);
    assert_ok(regex_expand(re, str_of(subject), str_of(template_text), &b, &matched, &err), &err);
    assert_int_equal(matched, want != NULL);
    assert_str(buf_str(&b), want != NULL ? want : "");
    buf_release(&b);
    regex_free(re);
}

static void expands_templates_as_go_does(void **state) {
    (void)state;
    check_expand("(.*)", "abc", "$1", "abc");
    check_expand("(.+):(\\d+)", "host:90", "${2}-$1!", "90-host!");
    check_expand("(?P<n>a)(b)?", "a", "[$n][$2][$3][$nope]", "[a][][][]");
    check_expand("(a)", "a", "$1x", "");
    check_expand("(a)", "a", "$$1 $ ${ ${1 $-", "$1 $ ${ ${1 $-");
    check_expand("a|b", "b", "<$0>", "<b>");
    check_expand("(a)", "a", "$01${\xC3\xA9}", "");
    check_expand("(?P<n>a)|(?P<n>b)", "b", "$n", "b");
    check_expand("a(b)", "ac", "$1", NULL);
}

static void replaces_all_matches_as_go_does(void **state) {
    (void)state;
    static const struct {
        enum regex_mode mode;
        const char *pattern, *subject, *template_text, *want;
    } cases[] = {
        {REGEX_SEARCH, "a*", "baac", "x", "xbxcx"},
        {REGEX_SEARCH, "",
         "\xC3\xA9"
         "b",
         "-", "-\xC3\xA9-b-"},
        {REGEX_SEARCH, "(\\w)(\\w)", "abcd e", "$2$1", "badc e"},
        {REGEX_ANCHORED, "__meta_(.+)", "__meta_x", "$1", "x"},
        {REGEX_ANCHORED, "a", "aa", "b", "aa"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct regex *re = made(cases[i].pattern, cases[i].mode);
        struct err err;
        struct buf b;
        buf_init(&b, 1000);
        assert_ok(regex_replace_all(re, str_of(cases[i].subject), str_of(cases[i].template_text),
                                    &b, &err),
                  &err);
        assert_str(buf_str(&b), cases[i].want);
        buf_release(&b);
        regex_free(re);
    }
}

static void a_pattern_that_explodes_when_backtracking_is_answered(void **state) {
    (void)state;
    char text[34];
    memset(text, 'a', 33);
    text[33] = '!';
    assert_false(matches("(?:(a+)+)", (struct str){text, 34}));
    assert_true(matches("(?:(a+)+)", (struct str){text, 33}));
    assert_false(matches("(a|a)*(a|aa)+b", (struct str){text, 33}));
}

static void captures_of_a_pattern_that_explodes_are_those_of_re2(void **state) {
    (void)state;
    char text[40];
    memset(text, 'a', sizeof(text));
    text[39] = '!';
    struct regex *re = made("(a+)+[b!]c?", REGEX_ANCHORED);
    struct regex *bomb = made("(a+)+b|(x)", REGEX_SEARCH);
    struct err err;
    struct buf b;
    bool matched = false;
    buf_init(&b, 1000);
    assert_ok(regex_expand(re, (struct str){text, 40}, STR("$1"), &b, &matched, &err), &err);
    assert_true(matched);
    assert_int_equal(b.len, 39);
    buf_clear(&b);
    text[38] = 'x';
    assert_ok(regex_replace_all(bomb, (struct str){text, 40}, STR("<$2>"), &b, &err), &err);
    text[38] = '\0';
    char want[48];
    (void)snprintf(want, sizeof(want), "%s<x>!", text);
    assert_str(buf_str(&b), want);
    buf_release(&b);
    regex_free(re);
    regex_free(bomb);
}

/* Long texts of one letter for a pattern with thousands of states, all alive at each byte. */
static void costly(struct regex **out_re, struct str *out_subject, size_t bytes) {
    char *text = mem_alloc(bytes);
    memset(text, 'a', bytes);
    *out_subject = (struct str){text, bytes};
    *out_re = made(".*(a|aa){1,900}b((a|aa){1,900})*c", REGEX_ANCHORED);
}

static void a_costly_match_ends_with_its_deadline(void **state) {
    (void)state;
    struct regex *re;
    struct str subject;
    costly(&re, &subject, 4 * 1024 * 1024);
    struct clock *clock = clock_system();
    struct cancel cancel;
    struct err err;
    struct buf b;
    bool matched = true;
    buf_init(&b, 1000);
    const int64_t began_ns = clock_mono_ns(clock);
    cancel_init(&cancel, clock, began_ns + 20 * NS_PER_MS);
    assert_err(regex_match_until(re, subject, &cancel, &matched, &err), ERR_TIMEOUT,
               "stopped in a regexp", &err);
    assert_err(regex_expand_until(re, subject, STR("$1"), &cancel, &b, &matched, &err), ERR_TIMEOUT,
               "stopped in a regexp", &err);
    cancel.deadline_mono_ns = 0;
    cancel_raise(&cancel);
    assert_err(regex_match_until(re, subject, &cancel, &matched, &err), ERR_CANCELED,
               "stopped in a regexp", &err);
    assert_true(clock_mono_ns(clock) - began_ns < 5 * NS_PER_S); /* a minute to its end */
    buf_release(&b);
    mem_free((char *)subject.ptr);
    regex_free(re);
}

static void a_costly_match_without_a_deadline_is_refused(void **state) {
    (void)state;
    struct regex *re;
    struct str subject;
    costly(&re, &subject, 1024 * 1024);
    struct err err;
    bool matched = true;
    assert_err(regex_match(re, subject, &matched, &err), ERR_LIMIT,
               "regexp is too expensive: `.*(a|aa){1,900}b", &err);
    mem_free((char *)subject.ptr);
    regex_free(re);
}

static void counted_repeats_on_a_long_text_are_answered(void **state) {
    (void)state;
    char text[2000];
    memset(text, 'a', sizeof(text));
    const struct str all = {text, sizeof(text)};
    assert_true(matches("(a|b){1,1000}(a|aa){1,1000}", all));
    assert_false(matches("(a|b){1,1000}(a|c){1,999}", all));
    assert_true(matches(".*(aba|a){1,500}", all));
    assert_false(matches("(?:[ab]{0,30}){0,30}(?:[ab]{0,30}){0,30}[^a]", all));
}

static void a_replacement_over_the_budget_is_an_error(void **state) {
    (void)state;
    struct regex *re = made("(.*)", REGEX_ANCHORED);
    struct err err;
    struct buf b;
    bool matched = false;
    buf_init(&b, 10);
    assert_err(regex_expand(re, STR("123456"), STR("$1$1"), &b, &matched, &err), ERR_LIMIT,
               "replacement", &err);
    buf_release(&b);
    regex_free(re);
}

static void a_wrapped_pattern_may_hold_nul_bytes(void **state) {
    (void)state;
    struct regex *re = NULL;
    struct err err;
    bool matched = false;
    assert_ok(regex_new((struct str){"a\0b", 3}, REGEX_WRAPPED, &re, &err), &err);
    assert_ok(regex_match(re, (struct str){"a\0b", 3}, &matched, &err), &err);
    assert_true(matched);
    assert_ok(regex_match(re, STR("a"), &matched, &err), &err);
    assert_false(matched);
    regex_free(re);
    assert_int_equal(regex_new((struct str){"(?\0)", 4}, REGEX_WRAPPED, &re, &err), ERR_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_patterns_get_the_texts_of_go),
        cmocka_unit_test(patterns_over_our_limits_are_refused),
        cmocka_unit_test(a_wrapped_pattern_may_hold_nul_bytes),
        cmocka_unit_test(matches_the_whole_subject),
        cmocka_unit_test(literal_analysis_sees_what_needs_no_engine),
        cmocka_unit_test(a_large_alternation_is_a_set),
        cmocka_unit_test(expands_templates_as_go_does),
        cmocka_unit_test(replaces_all_matches_as_go_does),
        cmocka_unit_test(a_pattern_that_explodes_when_backtracking_is_answered),
        cmocka_unit_test(captures_of_a_pattern_that_explodes_are_those_of_re2),
        cmocka_unit_test(a_costly_match_ends_with_its_deadline),
        cmocka_unit_test(a_costly_match_without_a_deadline_is_refused),
        cmocka_unit_test(counted_repeats_on_a_long_text_are_answered),
        cmocka_unit_test(a_replacement_over_the_budget_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
