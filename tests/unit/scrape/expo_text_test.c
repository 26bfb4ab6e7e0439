/* expo_text: pages are read as Prometheus reads them, quirks and error texts included.
 *
 * Each case is a page and what comes of it: a line per entry, or the error. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/number.h"
#include "scrape/expo.h"
#include "tests/support/check_err.h"

struct page_case {
    const char *page;
    size_t size; /* 0: strlen */
    const char *want;
};

static void print_sample(struct buf *to, const struct expo_parser *p,
                         const struct expo_entry *entry) {
    struct arena arena;
    size_t n = 0;
    arena_init(&arena, 0);
    const struct label *const labels = expo_labels(p, &arena, &n);
    for (size_t i = 0; i < n; i++) {
        buf_printf(to, "%s%.*s=%.*s", i == 0 ? "" : ",", STR_ARG(labels[i].name),
                   STR_ARG(labels[i].value));
    }
    buf_append_char(to, ' ');
    buf_append_number_g(to, num_double(entry->value));
    if (entry->has_timestamp) {
        buf_printf(to, " @%lld", (long long)entry->timestamp_ms);
    }
    buf_append_char(to, '\n');
    arena_release(&arena);
}

/* All entries, or "error: <text>" behind those before it. */
static void read_page(struct str page, struct buf *to) {
    struct expo_parser *const p = mem_alloc(sizeof(*p));
    struct expo_entry entry;
    struct err err = {0};
    expo_init(p, EXPO_FORMAT_TEXT, page);
    for (;;) {
        if (expo_next(p, &entry, &err) != ERR_OK) {
            buf_printf(to, "error: %s", err.text);
            break;
        }
        if (entry.kind == EXPO_END) {
            break;
        }
        if (entry.kind == EXPO_SAMPLE) {
            print_sample(to, p, &entry);
        } else if (entry.kind == EXPO_COMMENT) {
            buf_append_cstr(to, "comment\n");
        } else {
            buf_printf(to, "%s [%.*s] [%.*s]\n", entry.kind == EXPO_HELP ? "HELP" : "TYPE",
                       STR_ARG(entry.family), STR_ARG(entry.text));
        }
    }
    mem_free(p);
}

static void check_cases(const struct page_case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct buf got;
        buf_init(&got, 1 << 20);
        const size_t size = cases[i].size != 0 ? cases[i].size : strlen(cases[i].page);
        /* A copy of exact size: a read beyond it is seen by the sanitizer. */
        char *const page = malloc(size + (size == 0));
        memcpy(page, cases[i].page, size);
        read_page((struct str){page, size}, &got);
        if (strcmp(got.ptr != NULL ? got.ptr : "", cases[i].want) != 0) {
            print_error("page: %s\n got: %s\nwant: %s\n", cases[i].page, got.ptr, cases[i].want);
            fail();
        }
        free(page);
        buf_release(&got);
    }
}

#define PAGE(text) (text), sizeof(text) - 1

static void good_pages_are_read_entry_by_entry(void **state) {
    static const struct page_case cases[] = {
        {PAGE(""), ""},
        {PAGE("\n\n \t\n"), ""},
        {PAGE("foo 1"), "__name__=foo 1\n"},
        {PAGE("foo 1\n"), "__name__=foo 1\n"},
        {PAGE("foo{} 1\n"), "__name__=foo 1\n"},
        {PAGE("foo{a=\"b\"} 1.5 1234\n"), "__name__=foo,a=b 1.5 @1234\n"},
        {PAGE("foo{ b = \"2\" , a=\"1\", }\t-3e2\n"), "__name__=foo,a=1,b=2 -300\n"},
        {PAGE("foo{a=\"1\"b=\"2\"} 1\n"), "__name__=foo,a=1,b=2 1\n"},
        {PAGE("foo:bar_1{a=\"\"} NaN\n"), "__name__=foo:bar_1,a= NaN\n"},
        {PAGE("a +Inf\nb -inf\nc infinity\nd .5\ne 5.\n"),
         "__name__=a +Inf\n__name__=b -Inf\n__name__=c +Inf\n__name__=d 0.5\n__name__=e 5\n"},
        {PAGE("a 1e-400\n"), "__name__=a 0\n"},
        {PAGE("{\"foo\"} 1\n"), "__name__=foo 1\n"},
        {PAGE("{\"f.o o\",a=\"b\"} 1\n"), "__name__=f.o o,a=b 1\n"},
        {PAGE("{a=\"b\",\"foo\"} 1\n"), "__name__=foo,a=b 1\n"},
        {PAGE("foo{\"l.x\"=\"v\"} 1\n"), "__name__=foo,l.x=v 1\n"},
        {PAGE("foo{a=\"q\\\"b\\\\s\\nn\\tt\"} 1\n"), "__name__=foo,a=q\"b\\s\nn\\tt 1\n"},
        {PAGE("foo{a=\"x\ny\"} 1\n"), "__name__=foo,a=x\ny 1\n"},
        {PAGE("# a comment\n#\n#x\nfoo 1\n"), "comment\ncomment\ncomment\n__name__=foo 1\n"},
        {PAGE("# HELP foo  two blanks \n"), "HELP [foo] [ two blanks ]\n"},
        {PAGE("# HELP foo\n# HELP bar   \n#\tHELP\tbaz\tx\n"),
         "HELP [foo] []\nHELP [bar] []\nHELP [baz] [x]\n"},
        {PAGE("# TYPE \"f.o\" counter\n"), "TYPE [f.o] [counter]\n"},
        {PAGE("# HELP\n# TYPE\n# HELPX foo\n# UNIT foo s\n# EOF\n"),
         "comment\ncomment\ncomment\ncomment\ncomment\n"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void quirks_are_kept(void **state) {
    static const struct page_case cases[] = {
        {PAGE("  foo 1\n"), "__name__=  foo 1\n"},
        {PAGE("  {\"foo\"} 1\n"), "__name__=foo 1\n"},
        {PAGE("foo {a=\"b\"}1\n"), "__name__=foo,a=b 1\n"},
        {PAGE("foo-1\n"), "__name__=foo -1\n"},
        {PAGE("foo+Inf\n"), "__name__=foo +Inf\n"},
        {PAGE("foo 1\n\0bar\n"), "__name__=foo 1\n"},
        {PAGE("foo 1\n#x\0y\nbar 2\n"), "__name__=foo 1\n"},
        {PAGE("# x\0y\nbar 2\n"), "comment\n__name__=bar 2\n"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void a_nul_in_a_label_value_is_data(void **state) {
    (void)state;
    struct expo_parser *const p = mem_alloc(sizeof(*p));
    struct expo_entry entry;
    struct arena arena;
    struct err err;
    size_t n = 0;
    arena_init(&arena, 0);
    expo_init(p, EXPO_FORMAT_TEXT, (struct str){PAGE("foo{a=\"x\0y\"} 1\n")});
    assert_ok(expo_next(p, &entry, &err), &err);
    const struct label *const labels = expo_labels(p, &arena, &n);
    assert_int_equal(n, 2);
    assert_int_equal(labels[1].value.len, 3);
    assert_memory_equal(labels[1].value.ptr, "x\0y", 3);
    arena_release(&arena);
    mem_free(p);
}

static void bounds_and_quantiles_are_written_one_way(void **state) {
    static const struct page_case cases[] = {
        {PAGE("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"inf\"} 1\n"
              "x{quantile=\"1\"} 1\n"),
         "TYPE [h] [histogram]\n__name__=h_bucket,le=1.0 1\n__name__=h_bucket,le=+Inf 1\n"
         "__name__=x,quantile=1 1\n"},
        {PAGE("# TYPE s summary\ns{quantile=\"0\"} 1\ns{quantile=\"1000000\"} 1\n"
              "s{quantile=\"100000\"} 1\ns{quantile=\"0.00001\"} 1\ns{quantile=\"x\"} 1\n"),
         "TYPE [s] [summary]\n__name__=s,quantile=0.0 1\n__name__=s,quantile=1e+06 1\n"
         "__name__=s,quantile=100000.0 1\n__name__=s,quantile=1e-05 1\n"
         "__name__=s,quantile=x 1\n"},
        {PAGE("# TYPE g gauge\ng{le=\"1\",quantile=\"1\"} 1\n"),
         "TYPE [g] [gauge]\n__name__=g,le=1,quantile=1 1\n"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void bad_pages_are_refused_with_the_text_of_prometheus(void **state) {
    static const struct page_case cases[] = {
        {PAGE("a"),
         "error: expected value after metric, got \"\\n\" (\"INVALID\") while parsing: \"a\\n\""},
        {PAGE("a{b='c'} 1\n"),
         "error: expected label value, got \"'\" (\"INVALID\") while parsing: \"a{b='\""},
        {PAGE("a{b=\n"),
         "error: expected label value, got \"\\n\" (\"INVALID\") while parsing: \"a{b=\\n\""},
        {PAGE("a{\xff=\"foo\"} 1\n"),
         "error: expected label name, got \"\\xff\" (\"INVALID\") while parsing: \"a{\\xff\""},
        {PAGE("a{b=\"\xff\"} 1\n"), "error: invalid UTF-8 label value: \"\\\"\\xff\\\"\""},
        {PAGE("{\"a\", \"b = \"c\"}"),
         "error: expected equal, got \"c\\\"\" (\"LNAME\") while parsing: \"{\\\"a\\\", \\\"b = "
         "\\\"c\\\"\""},
        {PAGE("{\"a\",b\\nc=\"d\"} 1"),
         "error: expected equal, got \"\\\\\" (\"INVALID\") while parsing: \"{\\\"a\\\",b\\\\\""},
        {PAGE("a true\n"),
         "error: strconv.ParseFloat: parsing \"true\": invalid syntax while parsing: \"a true\""},
        {PAGE("something_weird{problem=\""),
         "error: expected label value, got \"\\\"\\n\" (\"INVALID\") while parsing: "
         "\"something_weird{problem=\\\"\\n\""},
        {PAGE("empty_label_name{=\"\"} 0"),
         "error: expected label name, got \"=\\\"\" (\"EQUAL\") while parsing: "
         "\"empty_label_name{=\\\"\""},
        {PAGE("foo 1_2\n"), "error: unsupported character in float while parsing: \"foo 1_2\""},
        {PAGE("foo 0x1p-3\n"),
         "error: unsupported character in float while parsing: \"foo 0x1p-3\""},
        {PAGE("foo 0x1\n"),
         "error: strconv.ParseFloat: parsing \"0x1\": invalid syntax while parsing: \"foo 0x1\""},
        {PAGE("foo 1e400\n"), "error: strconv.ParseFloat: parsing \"1e400\": value out of range "
                              "while parsing: \"foo 1e400\""},
        {PAGE("foo 0 1_2\n"), "error: expected next entry after timestamp, got \"_\" "
                              "(\"INVALID\") while parsing: \"foo 0 1_\""},
        {PAGE("foo 1 -5\n"), "error: expected timestamp or new record, got \"-\" (\"INVALID\") "
                             "while parsing: \"foo 1 -\""},
        {PAGE("foo 1 2 3\n"), "error: expected next entry after timestamp, got \"3\\n\" "
                              "(\"TIMESTAMP\") while parsing: \"foo 1 2 3\\n\""},
        {PAGE("foo 1 9223372036854775808\n"),
         "error: strconv.ParseInt: parsing \"9223372036854775808\": value out of range while "
         "parsing: \"foo 1 9223372036854775808\""},
        {PAGE("{a=\"ok\"} 1"), "error: metric name not set while parsing: \"{a=\\\"ok\\\"} 1\""},
        {PAGE("foo{\"bar\"} 1\n"),
         "error: metric name already set while parsing: \"foo{\\\"bar\\\"}\""},
        {PAGE("foo{a} 1\n"),
         "error: expected equal, got \"} \" (\"BCLOSE\") while parsing: \"foo{a} \""},
        {PAGE("foo{,} 1\n"),
         "error: expected label name, got \",}\" (\"COMMA\") while parsing: \"foo{,}\""},
        {PAGE("foo{a=\"b\",,} 1\n"),
         "error: expected label name, got \",}\" (\"COMMA\") while parsing: "
         "\"foo{a=\\\"b\\\",,}\""},
        {PAGE("{\"foo\" \"bar\"} 1\n"), "error: expected equal, got \"\\\"bar\\\"}\" "
                                        "(\"QSTRING\") while parsing: \"{\\\"foo\\\" "
                                        "\\\"bar\\\"}\""},
        {PAGE("1foo 1\n"), "error: expected a valid start token, got \"1\" (\"INVALID\") while "
                           "parsing: \"1\""},
        {PAGE("foo 1\r\n"), "error: strconv.ParseFloat: parsing \"1\\r\": invalid syntax while "
                            "parsing: \"foo 1\\r\""},
        {PAGE("# TYPE foo unknown\n"), "error: invalid metric type \"unknown\""},
        {PAGE("# TYPE foo\n"), "error: invalid metric type \"\""},
        {PAGE("# HELP foo \xff\n"), "error: help text \"\\xff\" is not a valid utf8 string"},
        {PAGE("# HELP  \n"), "error: expected metric name after HELP, got \"\\n\" (\"INVALID\") "
                             "while parsing: \"# HELP  \\n\""},
        {PAGE("# TYPE 1x counter\n"), "error: expected metric name after TYPE, got \"1\" "
                                      "(\"INVALID\") while parsing: \"# TYPE 1\""},
        {PAGE("foo \0 1\n"), "error: expected value after metric, got \"\\x00\" (\"INVALID\") "
                             "while parsing: \"foo \\x00\""},
        {PAGE("good 1\nbad\n"), "__name__=good 1\nerror: expected value after metric, got "
                                "\"\\n\" (\"INVALID\") while parsing: \"bad\\n\""},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void entries_are_bounded(void **state) {
    (void)state;
    struct expo_parser *const p = mem_alloc(sizeof(*p));
    struct expo_entry entry;
    struct err err;
    struct buf page;
    buf_init(&page, 4 * EXPO_LINE_MAX);
    buf_append_cstr(&page, "# HELP foo ");
    for (int i = 0; i <= EXPO_LINE_MAX; i++) {
        buf_append_char(&page, 'x');
    }
    expo_init(p, EXPO_FORMAT_TEXT, buf_str(&page));
    assert_err(expo_next(p, &entry, &err), ERR_LIMIT, "exceeds the limit of 1048576 bytes", &err);
    buf_clear(&page);
    buf_append_cstr(&page, "foo{");
    for (int i = 0; i <= EXPO_LABELS_MAX; i++) {
        buf_printf(&page, "l%d=\"\",", i);
    }
    buf_append_cstr(&page, "} 1\n");
    expo_init(p, EXPO_FORMAT_TEXT, buf_str(&page));
    assert_err(expo_next(p, &entry, &err), ERR_LIMIT, "more than 1024 labels", &err);
    buf_release(&page);
    mem_free(p);
}

static void many_labels_come_sorted(void **state) {
    (void)state;
    struct expo_parser *const p = mem_alloc(sizeof(*p));
    struct expo_entry entry;
    struct err err;
    struct buf page;
    struct arena arena;
    size_t n = 0;
    arena_init(&arena, 0);
    buf_init(&page, 1 << 20);
    buf_append_cstr(&page, "foo{");
    for (int i = 100; i > 0; i--) {
        buf_printf(&page, "l%03d=\"v\"", i);
    }
    buf_append_cstr(&page, "} 1\n");
    expo_init(p, EXPO_FORMAT_TEXT, buf_str(&page));
    assert_ok(expo_next(p, &entry, &err), &err);
    const struct label *const labels = expo_labels(p, &arena, &n);
    assert_int_equal(n, 101);
    for (size_t i = 1; i < n; i++) {
        assert_true(str_cmp(labels[i - 1].name, labels[i].name) < 0);
    }
    arena_release(&arena);
    buf_release(&page);
    mem_free(p);
}

static void help_has_two_escapes(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    assert_str(expo_help_unescape(&arena, EXPO_FORMAT_TEXT, STR("a\\nb\\\\c\\\"d")),
               "a\nb\\c\\\"d");
    arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_pages_are_read_entry_by_entry),
        cmocka_unit_test(quirks_are_kept),
        cmocka_unit_test(a_nul_in_a_label_value_is_data),
        cmocka_unit_test(bounds_and_quantiles_are_written_one_way),
        cmocka_unit_test(bad_pages_are_refused_with_the_text_of_prometheus),
        cmocka_unit_test(entries_are_bounded),
        cmocka_unit_test(many_labels_come_sorted),
        cmocka_unit_test(help_has_two_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
