/* expo_openmetrics: pages are read as Prometheus reads them, quirks and error texts included.
 *
 * Each case is a page and what comes of it: a line per entry, or the error. */
#include <stdio.h>
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
    size_t size;
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

static void print_entry(struct buf *to, const struct expo_parser *p,
                        const struct expo_entry *entry) {
    static const char *const kinds[] = {
        [EXPO_END] = "END",   [EXPO_SAMPLE] = "SAMPLE", [EXPO_HELP] = "HELP",
        [EXPO_TYPE] = "TYPE", [EXPO_UNIT] = "UNIT",     [EXPO_COMMENT] = "COMMENT",
    };
    if (entry->kind == EXPO_SAMPLE) {
        print_sample(to, p, entry);
    } else {
        buf_printf(to, "%s [%.*s] [%.*s]\n", kinds[entry->kind], STR_ARG(entry->family),
                   STR_ARG(entry->text));
    }
}

/* All entries, or "error: <text>" behind those before it. */
static void read_page(struct str page, struct buf *to) {
    struct expo_parser *const p = mem_alloc(sizeof(*p));
    struct expo_entry entry;
    struct err err = {0};
    expo_init(p, EXPO_FORMAT_OPENMETRICS, page);
    for (;;) {
        if (expo_next(p, &entry, &err) != ERR_OK) {
            buf_printf(to, "error: %s", err.text);
            break;
        }
        if (entry.kind == EXPO_END) {
            assert_int_equal(p->at, page.len);
            break;
        }
        print_entry(to, p, &entry);
    }
    mem_free(p);
}

static void check_cases(const struct page_case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct buf got;
        buf_init(&got, 1 << 20);
        /* A copy of exact size: a read beyond it is seen by the sanitizer. */
        char *const page = malloc(cases[i].size + (cases[i].size == 0));
        memcpy(page, cases[i].page, cases[i].size);
        read_page((struct str){page, cases[i].size}, &got);
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
        {PAGE("# EOF"), ""},
        {PAGE("# EOF\n"), ""},
        {PAGE("foo 1\n# EOF\n"), "__name__=foo 1\n"},
        {PAGE("foo{} 1\n# EOF\n"), "__name__=foo 1\n"},
        {PAGE("foo_total{b=\"2\",a=\"1\",} -3e2\n# EOF\n"), "__name__=foo_total,a=1,b=2 -300\n"},
        {PAGE("foo:bar_1{a=\"\"} NaN\n# EOF\n"), "__name__=foo:bar_1,a= NaN\n"},
        {PAGE("a +Inf\nb -inf\nc infinity\nd .5\ne 5.\nf 1e-400\n# EOF\n"),
         "__name__=a +Inf\n__name__=b -Inf\n__name__=c +Inf\n__name__=d 0.5\n__name__=e 5\n"
         "__name__=f 0\n"},
        {PAGE("{\"foo\"} 1\n{\"f.o o\",a=\"b\"} 1\n{a=\"b\",\"foo\"} 1\nfoo{\"l.x\"=\"v\"} 1\n"
              "# EOF\n"),
         "__name__=foo 1\n__name__=f.o o,a=b 1\n__name__=foo,a=b 1\n__name__=foo,l.x=v 1\n"},
        {PAGE("{\"li\nne\"} 1\n# EOF\n"), "__name__=li\nne 1\n"},
        {PAGE("foo{a=\"q\\\"b\\\\s\\nn\\tt\"} 1\n# EOF\n"), "__name__=foo,a=q\"b\\s\nn\\tt 1\n"},
        {PAGE("# HELP foo  two \n# HELP bar \n# HELP \"b.z\" x\n# EOF\n"),
         "HELP [foo] [ two ]\nHELP [bar] []\nHELP [b.z] [x]\n"},
        {PAGE("# UNIT foo_seconds seconds\n# UNIT none \n# EOF\n"),
         "UNIT [foo_seconds] [seconds]\nUNIT [none] []\n"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void every_kind_of_family_has_its_name(void **state) {
    static const struct {
        const char *name;
        enum expo_type type;
    } kinds[] = {{"counter", EXPO_COUNTER},     {"gauge", EXPO_GAUGE},
                 {"histogram", EXPO_HISTOGRAM}, {"gaugehistogram", EXPO_GAUGEHISTOGRAM},
                 {"summary", EXPO_SUMMARY},     {"info", EXPO_INFO},
                 {"stateset", EXPO_STATESET},   {"unknown", EXPO_UNKNOWN}};
    (void)state;
    struct expo_parser *const p = mem_alloc(sizeof(*p));
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        char page[64];
        struct expo_entry entry;
        struct err err;
        const int n = snprintf(page, sizeof(page), "# TYPE x %s\n# EOF\n", kinds[i].name);
        expo_init(p, EXPO_FORMAT_OPENMETRICS, (struct str){page, (size_t)n});
        assert_ok(expo_next(p, &entry, &err), &err);
        assert_int_equal(entry.kind, EXPO_TYPE);
        assert_int_equal(p->type, kinds[i].type);
        assert_string_equal(expo_type_name(p->type), kinds[i].name);
        assert_ok(expo_next(p, &entry, &err), &err);
        assert_int_equal(entry.kind, EXPO_END);
    }
    mem_free(p);
}

static void timestamps_are_seconds_cut_to_milliseconds(void **state) {
    static const struct page_case cases[] = {
        {PAGE("a 1 1520879607.789\n# EOF\n"), "__name__=a 1 @1520879607789\n"},
        {PAGE("a 1 123.1239\n# EOF\n"), "__name__=a 1 @123123\n"},
        {PAGE("a 1 -1.9999\n# EOF\n"), "__name__=a 1 @-1999\n"},
        {PAGE("a 1 +1e3\n# EOF\n"), "__name__=a 1 @1000000\n"},
        {PAGE("a 1 0\n# EOF\n"), "__name__=a 1 @0\n"},
        {PAGE("a 1 1e300\n# EOF\n"), "__name__=a 1 @-9223372036854775808\n"},
        {PAGE("a 1 -1e300\n# EOF\n"), "__name__=a 1 @-9223372036854775808\n"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void exemplars_are_checked_and_left_out(void **state) {
    static const struct page_case cases[] = {
        {PAGE("a_total 1 # {id=\"x\"} 4\n# EOF\n"), "__name__=a_total 1\n"},
        {PAGE("a_total{b=\"c\"} 1 # {} 4 1.5\n# EOF\n"), "__name__=a_total,b=c 1\n"},
        {PAGE("a_total 1 2.5 # {id=\"x\",\"o.k\"=\"\\\"\",} 4e-3 -7\n# EOF\n"),
         "__name__=a_total 1 @2500\n"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void created_series_are_samples_like_others(void **state) {
    static const struct page_case cases[] = {
        {PAGE("# TYPE a counter\na_total 1\na_created 1520872607.123\n# EOF\n"),
         "TYPE [a] [counter]\n__name__=a_total 1\n__name__=a_created 1.520872607123e+09\n"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void bounds_and_quantiles_are_written_one_way(void **state) {
    static const struct page_case cases[] = {
        {PAGE("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"inf\"} 1\n# EOF\n"),
         "TYPE [h] [histogram]\n__name__=h_bucket,le=1.0 1\n__name__=h_bucket,le=+Inf 1\n"},
        {PAGE("# TYPE s summary\ns{quantile=\"0\"} 1\n# EOF\n"),
         "TYPE [s] [summary]\n__name__=s,quantile=0.0 1\n"},
        {PAGE("# TYPE g gaugehistogram\ng_bucket{le=\"1\"} 1\n# EOF\n"),
         "TYPE [g] [gaugehistogram]\n__name__=g_bucket,le=1 1\n"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void quirks_are_kept(void **state) {
    static const struct page_case cases[] = {
        /* NUL is data in help texts and label values, and skipped inside and behind words. */
        {PAGE("# H\0ELP \0foo x\n# EO\0F\0\n\0"), "HELP [foo] [x]\n"},
        {PAGE("# HELP a x\n\0b 1\n# EOF\n"), "HELP [a] [x\n]\n__name__=b 1\n"},
        {PAGE("{\"a\",} 1\n# EOF\n"), "__name__=a 1\n"},
        {PAGE("foo{a=\"x\"} 1\nfoo{\"a\"=\"y\"} 1\n# EOF\n"),
         "__name__=foo,a=x 1\n__name__=foo,a=y 1\n"},
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
    expo_init(p, EXPO_FORMAT_OPENMETRICS, (struct str){PAGE("foo{a=\"x\0y\"} 1\n# EOF\n")});
    assert_ok(expo_next(p, &entry, &err), &err);
    const struct label *const labels = expo_labels(p, &arena, &n);
    assert_int_equal(n, 2);
    assert_int_equal(labels[1].value.len, 3);
    assert_memory_equal(labels[1].value.ptr, "x\0y", 3);
    arena_release(&arena);
    mem_free(p);
}

#define START(got, token, line)                                                                    \
    "error: expected a valid start token, got \"" got "\" (\"" token "\") while parsing: \"" line  \
    "\""

static void a_page_that_does_not_end_well_is_refused(void **state) {
    static const struct page_case cases[] = {
        {PAGE(""), "error: data does not end with # EOF"},
        {PAGE("metric 1"), "error: data does not end with # EOF"},
        {PAGE("metric 1 2"), "error: expected next entry after timestamp, got \" 2\" (\"EOF\") "
                             "while parsing: \"metric 1 2\""},
        {PAGE("metric 1\n"), "__name__=metric 1\nerror: data does not end with # EOF"},
        {PAGE("metric_total 1 # {aa=\"bb\"} 4"), "error: data does not end with # EOF"},
        {PAGE("metric 1 # "), "error: data does not end with # EOF"},
        {PAGE("# EOF\na 1"), "error: unexpected data after # EOF"},
        {PAGE("# EOF\n\n"), "error: unexpected data after # EOF"},
        {PAGE("# EOFa 1"), "error: unexpected data after # EOF"},
        {PAGE("\n"), START("\\n", "INVALID", "\\n")},
        {PAGE("\n\n#EOF\n"), START("\\n", "INVALID", "\\n")},
        {PAGE(" a 1\n#EOF\n"), START(" ", "INVALID", " ")},
        {PAGE(" # EOF\n"), START(" ", "INVALID", " ")},
        {PAGE("9\n#EOF\n"), START("9", "INVALID", "9")},
        {PAGE("# foo\n# EOF\n"), START("# f", "INVALID", "# f")},
        {PAGE("#"), START("#", "INVALID", "#")},
        {PAGE("# H"), START("# H", "INVALID", "# H")},
        {PAGE("#\tTYPE c counter\n"), START("#\\t", "INVALID", "#\\t")},
        {PAGE("#  TYPE c counter\n#EOF\n"), START("#  ", "INVALID", "#  ")},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void bad_metadata_is_refused(void **state) {
    static const struct page_case cases[] = {
        {PAGE("# TYPE u untyped\n#EOF\n"), "error: invalid metric type \"untyped\""},
        {PAGE("# TYPE c counter \n#EOF\n"), "error: invalid metric type \"counter \""},
        {PAGE("# TYPE c  counter\n"), "error: invalid metric type \" counter\""},
        {PAGE("# TYPE \n#EOF\n"), "error: expected metric name after TYPE, got \"\\n\" "
                                  "(\"INVALID\") while parsing: \"# TYPE \\n\""},
        {PAGE("# TYPE m\n#EOF\n"), "error: expected text in TYPE"},
        {PAGE("# TYPE m counter"), "error: expected text in TYPE"},
        {PAGE("# UNIT metric suffix\n#EOF\n"),
         "error: unit \"suffix\" not a suffix of metric \"metric\""},
        {PAGE("# UNIT metricsuffix suffix\n#EOF\n"),
         "error: unit \"suffix\" not a suffix of metric \"metricsuffix\""},
        {PAGE("# UNIT m suffix\n#EOF\n"), "error: unit \"suffix\" not a suffix of metric \"m\""},
        {PAGE("# UNIT m m\n#EOF\n"), "error: unit \"m\" not a suffix of metric \"m\""},
        {PAGE("# UNIT \n#EOF\n"), "error: expected metric name after UNIT, got \"\\n\" "
                                  "(\"INVALID\") while parsing: \"# UNIT \\n\""},
        {PAGE("# UNIT m\n#EOF\n"), "error: expected text in UNIT"},
        {PAGE("# HELP \n#EOF\n"), "error: expected metric name after HELP, got \"\\n\" "
                                  "(\"INVALID\") while parsing: \"# HELP \\n\""},
        {PAGE("# HELP m\n#EOF\n"), "error: expected text in HELP"},
        {PAGE("# HELP m\tx\n#EOF\n"), "error: expected text in HELP"},
        {PAGE("# HELP foo \xff\n"), "error: help text \"\\xff\" is not a valid utf8 string"},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void bad_series_are_refused(void **state) {
    static const struct page_case cases[] = {
        {PAGE("a{b='c'} 1\n# EOF\n"),
         "error: expected label value, got \"'\" (\"INVALID\") while parsing: \"a{b='\""},
        {PAGE("a{,b=\"c\"} 1\n# EOF\n"),
         "error: expected label name, got \",b\" (\"COMMA\") while parsing: \"a{,b\""},
        {PAGE("a{ b=\"c\"} 1\n# EOF\n"),
         "error: expected label name, got \" \" (\"INVALID\") while parsing: \"a{ \""},
        {PAGE("a{b=\"c\"d=\"e\"} 1\n# EOF\n"),
         "error: expected comma or brace close, got \"d=\" (\"LNAME\") while parsing: "
         "\"a{b=\\\"c\\\"d=\""},
        {PAGE("a{b=\"c\",,d=\"e\"} 1\n# EOF\n"),
         "error: expected label name, got \",d\" (\"COMMA\") while parsing: \"a{b=\\\"c\\\",,d\""},
        {PAGE("a{b=\n# EOF\n"),
         "error: expected label value, got \"\\n\" (\"INVALID\") while parsing: \"a{b=\\n\""},
        {PAGE("a{b=\"x\ny\"} 1\n# EOF\n"),
         "error: expected label value, got \"\\\"x\\n\" (\"INVALID\") while parsing: "
         "\"a{b=\\\"x\\n\""},
        {PAGE("a{\xff=\"foo\"} 1\n# EOF\n"),
         "error: expected label name, got \"\\xff\" (\"INVALID\") while parsing: \"a{\\xff\""},
        {PAGE("a{b=\"\xff\"} 1\n# EOF\n"), "error: invalid UTF-8 label value: \"\\\"\\xff\\\"\""},
        {PAGE("{\"a\",\"b = \"c\"}\n# EOF\n"),
         "error: expected equal, got \"c\\\"\" (\"LNAME\") while parsing: "
         "\"{\\\"a\\\",\\\"b = \\\"c\\\"\""},
        {PAGE("{\"a\",b\\nc=\"d\"} 1\n# EOF\n"),
         "error: expected equal, got \"\\\\\" (\"INVALID\") while parsing: \"{\\\"a\\\",b\\\\\""},
        {PAGE("foo{a} 1\n# EOF\n"),
         "error: expected equal, got \"} \" (\"BCLOSE\") while parsing: \"foo{a} \""},
        {PAGE("foo{\"bar\"} 1\n# EOF\n"),
         "error: metric name already set while parsing: \"foo{\\\"bar\\\"}\""},
        {PAGE("{b=\"c\",} 1"), "error: metric name not set while parsing: \"{b=\\\"c\\\",} 1\""},
        {PAGE("something_weird{problem=\"\n# EOF\n"),
         "error: expected label value, got \"\\\"\\n\" (\"INVALID\") while parsing: "
         "\"something_weird{problem=\\\"\\n\""},
        {PAGE("empty_label_name{=\"\"} 0\n# EOF\n"),
         "error: expected label name, got \"=\\\"\" (\"EQUAL\") while parsing: "
         "\"empty_label_name{=\\\"\""},
        {PAGE("a{b=\0\"ssss\"} 1\n# EOF\n"),
         "error: expected label value, got \"\\x00\" (\"INVALID\") while parsing: \"a{b=\\x00\""},
        {PAGE("a{b=\"\0"), "error: expected label value, got \"\\\"\\x00\" (\"INVALID\") while "
                           "parsing: \"a{b=\\\"\\x00\""},
        {PAGE("a{b\0=\"hiih\"}\t1"),
         "error: expected equal, got \"\\x00\" (\"INVALID\") while parsing: \"a{b\\x00\""},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

static void bad_values_and_timestamps_are_refused(void **state) {
    static const struct page_case cases[] = {
        {PAGE("metric"), "error: expected value after metric, got \"metric\" (\"EOF\") while "
                         "parsing: \"metric\""},
        {PAGE("a\n#EOF\n"),
         "error: expected value after metric, got \"\\n\" (\"INVALID\") while parsing: \"a\\n\""},
        {PAGE("a\t1\n#EOF\n"),
         "error: expected value after metric, got \"\\t\" (\"INVALID\") while parsing: \"a\\t\""},
        {PAGE("a  1\n#EOF\n"),
         "error: expected value after metric, got \"  \" (\"INVALID\") while parsing: \"a  \""},
        {PAGE("a\0{b=\"ddd\"} 1"), "error: expected value after metric, got \"\\x00\" "
                                   "(\"INVALID\") while parsing: \"a\\x00\""},
        {PAGE("a true\n"),
         "error: strconv.ParseFloat: parsing \"true\": invalid syntax while parsing: \"a true\""},
        {PAGE("a 1\t2\n#EOF\n"), "error: strconv.ParseFloat: parsing \"1\\t2\": invalid syntax "
                                 "while parsing: \"a 1\\t2\""},
        {PAGE("a 1e400\n"), "error: strconv.ParseFloat: parsing \"1e400\": value out of range "
                            "while parsing: \"a 1e400\""},
        {PAGE("foo 1_2\n"), "error: unsupported character in float while parsing: \"foo 1_2\""},
        {PAGE("foo 0x1p-3\n"),
         "error: unsupported character in float while parsing: \"foo 0x1p-3\""},
        {PAGE("foo 0 1_2\n"), "error: unsupported character in float while parsing: \"foo 0 1_2\""},
        {PAGE("a 1 1z\n#EOF\n"),
         "error: strconv.ParseFloat: parsing \"1z\": invalid syntax while parsing: \"a 1 1z\""},
        {PAGE("a 1 #\n#EOF\n"),
         "error: strconv.ParseFloat: parsing \"#\": invalid syntax while parsing: \"a 1 #\""},
        {PAGE("a 1 1e400\n"), "error: strconv.ParseFloat: parsing \"1e400\": value out of range "
                              "while parsing: \"a 1 1e400\""},
        {PAGE("a 1 2 \n#EOF\n"), "error: expected next entry after timestamp, got \" \\n\" "
                                 "(\"INVALID\") while parsing: \"a 1 2 \\n\""},
        {PAGE("a 1 2 #\n#EOF\n"), "error: expected next entry after timestamp, got \" #\\n\" "
                                  "(\"TIMESTAMP\") while parsing: \"a 1 2 #\\n\""},
        {PAGE("a 1 1 1\n# EOF\n"), "error: expected next entry after timestamp, got \" 1\\n\" "
                                   "(\"TIMESTAMP\") while parsing: \"a 1 1 1\\n\""},
        {PAGE("a 1 NaN"), "error: invalid timestamp NaN"},
        {PAGE("a 1 -Inf"), "error: invalid timestamp -Inf"},
        {PAGE("a 1 Inf"), "error: invalid timestamp +Inf"},
        /* What is no token behind a value is the next entry's error. */
        {PAGE("a 1 \n# EOF\n"), START("\\n#", "LINEBREAK", "\\n#")},
        {PAGE("a 1 # x 5\n# EOF\n"), START("x", "INVALID", "x")},
        {PAGE("a 1 #  5\n# EOF\n"), START(" 5\\n", "TIMESTAMP", " 5\\n")},
        {PAGE("a 1  # {\n# EOF\n"), START(" # {\\n", "COMMENT", " # {\\n")},
        {PAGE("a 1\0\n# EOF\n"), START("\\x00", "INVALID", "\\x00")},
    };
    (void)state;
    check_cases(cases, COUNT_OF(cases));
}

#define EXEMPLAR "custom_metric_total 1 # {"

static void bad_exemplars_are_refused(void **state) {
    static const struct page_case cases[] = {
        {PAGE(EXEMPLAR "aa=bb}\n# EOF\n"),
         "error: expected label value, got \"b\" (\"INVALID\") while parsing: \"" EXEMPLAR
         "aa=b\""},
        {PAGE(EXEMPLAR "aa=\"bb\"}\n# EOF\n"),
         "error: expected value after exemplar labels, got \"\\n\" (\"INVALID\") while parsing: "
         "\"" EXEMPLAR "aa=\\\"bb\\\"}\\n\""},
        {PAGE(EXEMPLAR "aa=\"bb\"}"),
         "error: expected value after exemplar labels, got \"}\" (\"EOF\") while parsing: "
         "\"" EXEMPLAR "aa=\\\"bb\\\"}\""},
        {PAGE(EXEMPLAR "bb}"),
         "error: expected label name, got \"}\" (\"BCLOSE\") while parsing: \"" EXEMPLAR "bb}\""},
        {PAGE(EXEMPLAR "bb, a=\"dd\"}"),
         "error: expected label name, got \", \" (\"COMMA\") while parsing: \"" EXEMPLAR "bb, \""},
        {PAGE(EXEMPLAR "\"bb\"} 1\n"),
         "error: expected label name, got \"} \" (\"BCLOSE\") while parsing: \"" EXEMPLAR
         "\\\"bb\\\"} \""},
        {PAGE(EXEMPLAR "aa=\"bb\",,cc=\"dd\"} 1"),
         "error: expected label name, got \",c\" (\"COMMA\") while parsing: \"" EXEMPLAR
         "aa=\\\"bb\\\",,c\""},
        {PAGE(EXEMPLAR "aa=\"bb\"} 1_2"),
         "error: unsupported character in float while parsing: \"" EXEMPLAR "aa=\\\"bb\\\"} 1_2\""},
        {PAGE(EXEMPLAR "aa=\"bb\"} true"),
         "error: strconv.ParseFloat: parsing \"true\": invalid syntax while parsing: \"" EXEMPLAR
         "aa=\\\"bb\\\"} true\""},
        {PAGE(EXEMPLAR "aa=\"bb\",cc=}"),
         "error: expected label value, got \"}\" (\"INVALID\") while parsing: \"" EXEMPLAR
         "aa=\\\"bb\\\",cc=}\""},
        {PAGE(EXEMPLAR "aa=\"\xff\"} 9.0"), "error: invalid UTF-8 label value: \"\\\"\\xff\\\"\""},
        {PAGE(EXEMPLAR "b=\0\"ssss\"} 1\n"),
         "error: expected label value, got \"\\x00\" (\"INVALID\") while parsing: \"" EXEMPLAR
         "b=\\x00\""},
        {PAGE(EXEMPLAR "b=\"\0ss\"} 1\n"),
         "error: expected label value, got \"\\\"\\x00\" (\"INVALID\") while parsing: \"" EXEMPLAR
         "b=\\\"\\x00\""},
        {PAGE(EXEMPLAR "} 4 NaN"), "error: invalid exemplar timestamp NaN"},
        {PAGE(EXEMPLAR "} 4 -Inf"), "error: invalid exemplar timestamp -Inf"},
        {PAGE(EXEMPLAR "} 4 5 6\n"),
         "error: expected next entry after exemplar timestamp, got \" 6\\n\" (\"TIMESTAMP\") while "
         "parsing: \"" EXEMPLAR "} 4 5 6\\n\""},
        {PAGE(EXEMPLAR "} 4 \n"),
         "error: expected timestamp or comment, got \" \\n\" (\"INVALID\") while parsing: "
         "\"" EXEMPLAR "} 4 \\n\""},
        {PAGE(EXEMPLAR "} 4 # {} 5\n"),
         "error: strconv.ParseFloat: parsing \"#\": invalid syntax while parsing: \"" EXEMPLAR
         "} 4 #\""},
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
    buf_append_cstr(&page, "foo 1 # {a=\"");
    for (int i = 0; i <= EXPO_LINE_MAX; i++) {
        buf_append_char(&page, 'x');
    }
    buf_append_cstr(&page, "\"} 1\n# EOF\n");
    expo_init(p, EXPO_FORMAT_OPENMETRICS, buf_str(&page));
    assert_err(expo_next(p, &entry, &err), ERR_LIMIT, "exceeds the limit of 1048576 bytes", &err);
    buf_clear(&page);
    buf_append_cstr(&page, "foo{");
    for (int i = 0; i <= EXPO_LABELS_MAX; i++) {
        buf_printf(&page, "l%d=\"\",", i);
    }
    buf_append_cstr(&page, "} 1\n# EOF\n");
    expo_init(p, EXPO_FORMAT_OPENMETRICS, buf_str(&page));
    assert_err(expo_next(p, &entry, &err), ERR_LIMIT, "more than 1024 labels", &err);
    buf_release(&page);
    mem_free(p);
}

static void help_has_three_escapes(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    assert_str(expo_help_unescape(&arena, EXPO_FORMAT_OPENMETRICS, STR("a\\nb\\\\c\\\"d\\x")),
               "a\nb\\c\"d\\x");
    arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_pages_are_read_entry_by_entry),
        cmocka_unit_test(every_kind_of_family_has_its_name),
        cmocka_unit_test(timestamps_are_seconds_cut_to_milliseconds),
        cmocka_unit_test(exemplars_are_checked_and_left_out),
        cmocka_unit_test(created_series_are_samples_like_others),
        cmocka_unit_test(bounds_and_quantiles_are_written_one_way),
        cmocka_unit_test(quirks_are_kept),
        cmocka_unit_test(a_nul_in_a_label_value_is_data),
        cmocka_unit_test(a_page_that_does_not_end_well_is_refused),
        cmocka_unit_test(bad_metadata_is_refused),
        cmocka_unit_test(bad_series_are_refused),
        cmocka_unit_test(bad_values_and_timestamps_are_refused),
        cmocka_unit_test(bad_exemplars_are_refused),
        cmocka_unit_test(entries_are_bounded),
        cmocka_unit_test(help_has_three_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
