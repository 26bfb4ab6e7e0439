/* Tokens: where they end, what kind they are, and the three places with their own rules. */
#include <string.h>

#include "base/attr.h"
#include "query/lex.h"
#include "tests/support/check_err.h"

/* Kinds by letter: i identifier, m metric identifier, n number, d duration, s string, o operator,
 * a aggregator, k keyword, w function word, p punctuation. */
static char kind_of(enum token_type type) {
    if (token_is_operator(type)) {
        return 'o';
    }
    if (token_is_aggregator(type)) {
        return 'a';
    }
    if (token_is_keyword(type)) {
        return 'k';
    }
    switch ((int)type) {
    case TOKEN_IDENTIFIER:
        return 'i';
    case TOKEN_METRIC_IDENTIFIER:
        return 'm';
    case TOKEN_NUMBER:
        return 'n';
    case TOKEN_DURATION:
        return 'd';
    case TOKEN_STRING:
        return 's';
    default:
        return type >= TOKEN_START ? 'w' : 'p';
    }
}

static void assert_tokens(const char *text, const char *want) {
    struct lexer lex;
    lex_init(&lex, str_of(text));
    struct buf got;
    buf_init(&got, 4096);
    for (;;) {
        struct token token;
        lex_next(&lex, &token);
        if (token.type == TOKEN_EOF) {
            break;
        }
        if (token.type == TOKEN_ERROR) {
            buf_printf(&got, "%s!%s", got.len > 0 ? " " : "", lex.message);
            break;
        }
        assert_true(token.text.ptr == text + token.start);
        buf_printf(&got, "%s%c:%.*s", got.len > 0 ? " " : "", kind_of(token.type),
                   STR_ARG(token.text));
    }
    assert_str(buf_str(&got), want);
    buf_release(&got);
}

struct lex_case {
    const char *text;
    const char *want;
};

static void assert_all(const struct lex_case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        assert_tokens(cases[i].text, cases[i].want);
    }
}

static void numbers_and_durations_end_where_they_should(void **state) {
    (void)state;
    static const struct lex_case CASES[] = {
        {"1 1. .5 1.5 1e3 1E-3 1e+3", "n:1 n:1. n:.5 n:1.5 n:1e3 n:1E-3 n:1e+3"},
        {"0x1F 0X_a 017 1_000_000", "n:0x1F n:0X_a n:017 n:1_000_000"},
        {"inf Inf INF nan NaN infx", "n:inf n:Inf n:INF n:nan n:NaN i:infx"},
        {"5m 1h30m 1y2w3d4h5m6s7ms 5ms", "d:5m d:1h30m d:1y2w3d4h5m6s7ms d:5ms"},
        {"5m1h 5hs", "d:5m1h d:5hs"}, /* refused later, by name */
        {"1-1", "n:1 o:- n:1"},
        {"1y1y", "!bad number or duration syntax: \"1y1\""},
        {"5mm", "!bad number or duration syntax: \"5mm\""},
        {"1a", "!bad number or duration syntax: \"1\""},
        {"1__0", "!bad number or duration syntax: \"1__\""},
        {"0x1.0", "!bad number or duration syntax: \"0x1.\""},
    };
    assert_all(CASES, COUNT_OF(CASES));
}

static void words_are_keywords_in_any_case(void **state) {
    (void)state;
    static const struct lex_case CASES[] = {
        {"sum SUM Sum summ", "a:sum a:SUM a:Sum i:summ"},
        {"and OR unless ATAN2", "o:and o:OR o:unless o:ATAN2"},
        {"by BY without on ignoring offset bool",
         "k:by k:BY k:without k:on k:ignoring k:offset k:bool"},
        {"group_left group_right anchored smoothed",
         "k:group_left k:group_right k:anchored k:smoothed"},
        {"start end step range max_of MIN_OF", "w:start w:end w:step w:range w:max_of w:MIN_OF"},
        {"a:b :c sum:x", "m:a:b m::c m:sum:x"},
        {"fill fill( fill_left (", "i:fill k:fill p:( k:fill_left p:( !unclosed left parenthesis"},
    };
    assert_all(CASES, COUNT_OF(CASES));
}

static void braces_know_identifiers_only(void **state) {
    (void)state;
    static const struct lex_case CASES[] = {
        {"{sum=\"a\",by!='b'}", "p:{ i:sum p:= s:\"a\" p:, i:by o:!= s:'b' p:}"},
        {"{a=~\"x\",b!~`y`}", "p:{ i:a o:=~ s:\"x\" p:, i:b o:!~ s:`y` p:}"},
        {"{a # x\n=\"b\"}", "p:{ i:a p:= s:\"b\" p:}"},
        {"x{} sum", "i:x p:{ p:} a:sum"},
        {"{1}", "p:{ !unexpected character inside braces: '1'"},
        {"{a:b}", "p:{ i:a !unexpected character inside braces: ':'"},
        {"{a+b}", "p:{ i:a !unexpected character inside braces: '+'"},
    };
    assert_all(CASES, COUNT_OF(CASES));
}

static void brackets_know_duration_expressions_only(void **state) {
    (void)state;
    static const struct lex_case CASES[] = {
        {"x[5m]", "i:x p:[ d:5m p:]"},
        {"x[ 5m : 1m ] y", "i:x p:[ d:5m p:: d:1m p:] i:y"},
        {"x[step()*2:range()]", "i:x p:[ w:step p:( p:) o:* n:2 p:: w:range p:( p:) p:]"},
        {"x[min_of(1,2)^3]", "i:x p:[ w:min_of p:( n:1 p:, n:2 p:) o:^ n:3 p:]"},
        {"x[5m:step()+1]", "i:x p:[ d:5m p:: w:step p:( p:) o:+ n:1 p:]"},
        {"x[y]", "i:x p:[ !unexpected character in duration expression: 'y'"},
        {"x[5m y]", "i:x p:[ d:5m !unexpected character: 'y', expected ':'"},
        {"x[#]", "i:x p:[ !unexpected character in duration expression: '#'"},
        {"x[5m # y\n]", "i:x p:[ d:5m p:]"},
        {"x[5m][5m]", "i:x p:[ d:5m p:] p:[ d:5m p:]"},
    };
    assert_all(CASES, COUNT_OF(CASES));
}

static void strings_keep_their_quotes_and_escapes(void **state) {
    (void)state;
    static const struct lex_case CASES[] = {
        {"\"a\\\"b\" 'a\\'b' `a\\`", "s:\"a\\\"b\" s:'a\\'b' s:`a\\`"},
        {"\"\\x41\\101\\u0041\\U00000041\"", "s:\"\\x41\\101\\u0041\\U00000041\""},
        {"\"#\" # \"", "s:\"#\""},
        {"\"\xff\"", "!invalid UTF-8 rune"},
        {"`\xff`", "!invalid UTF-8 rune"},
        {"\"\xef\xbf\xbd\"", "!invalid UTF-8 rune"}, /* the replacement character itself */
    };
    assert_all(CASES, COUNT_OF(CASES));
}

static void a_nul_byte_is_a_character_like_any_other(void **state) {
    (void)state;
    struct lexer lex;
    struct token token;
    lex_init(&lex, (struct str){"a\0b", 3});
    lex_next(&lex, &token);
    assert_int_equal(token.type, TOKEN_IDENTIFIER);
    lex_next(&lex, &token);
    assert_int_equal(token.type, TOKEN_ERROR);
    assert_string_equal(lex.message, "unexpected character: '\\x00'");
}

static void a_description_names_kind_and_text(void **state) {
    (void)state;
    static const struct lex_case CASES[] = {
        {"abc", "identifier \"abc\""},
        {"a:b", "metric identifier \"a:b\""},
        {"5m", "duration \"5m\""},
        {"12345678901", "number \"1234567890\"..."},
        {"\"foo\"", "string \"\\\"foo\\\"\""},
        {"AND", "<op:AND>"},
        {"by", "<by>"},
        {"sum", "<aggr:sum>"},
        {"start", "\"start\""},
        {",", "\",\""},
        {"", "end of input"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct lexer lex;
        struct token token;
        lex_init(&lex, str_of(CASES[i].text));
        lex_next(&lex, &token);
        struct buf text;
        buf_init(&text, 256);
        token_describe(&text, &token);
        assert_str(buf_str(&text), CASES[i].want);
        buf_release(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_durations_end_where_they_should),
        cmocka_unit_test(words_are_keywords_in_any_case),
        cmocka_unit_test(braces_know_identifiers_only),
        cmocka_unit_test(brackets_know_duration_expressions_only),
        cmocka_unit_test(strings_keep_their_quotes_and_escapes),
        cmocka_unit_test(a_nul_byte_is_a_character_like_any_other),
        cmocka_unit_test(a_description_names_kind_and_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
