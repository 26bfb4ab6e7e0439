/* ingest: pages in OpenMetrics become the rows that the text format gives, known lines included,
 * and a target may change its format from page to page. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/labels.h"
#include "base/mem.h"
#include "scrape/metadata.h"
#include "tests/support/check_err.h"
#include "tests/unit/scrape/ingest_world.h"

#define TEXT EXPO_FORMAT_TEXT
#define OM EXPO_FORMAT_OPENMETRICS

static int setup(void **state) {
    struct ingest_world *const f = mem_zalloc(sizeof(*f));
    ingest_world_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct ingest_world *const f = *state;
    ingest_world_release(f);
    mem_free(f);
    return 0;
}

/* One scrape. room: readable bytes behind the page, full of what looks like more of it; with
 * enough of them even the last line may be known. */
static enum err_code feed(struct ingest_world *f, enum expo_format format, struct str page,
                          size_t room, struct err *err) {
    const struct ingest_report report = {.up = true};
    ingest_world_begin(f, format);
    char *const copy = malloc(page.len + room);
    memcpy(copy, page.ptr, page.len);
    for (size_t i = 0; i < room; i++) {
        copy[page.len + i] = page.ptr[i % page.len];
    }
    ingest_begin(f->ingest, f->scratch);
    const enum err_code code =
        ingest_page(f->ingest, f->scratch, &f->scrape, (struct str){copy, page.len}, room, err);
    free(copy);
    ingest_world_commit(f, f->ingest, &report);
    return code;
}

/* The row of a page that must be read; samples with the time of the scrape show none. */
static void expect(struct ingest_world *f, enum expo_format format, const char *page,
                   const char *want, const char *file, int line) {
    struct err err = {0};
    check_ok(feed(f, format, str_of(page), 64, &err), &err, file, line);
    ingest_world_expect(f, want, file, line);
}

#define EXPECT(format, page, want) expect(f, (format), (page), (want), __FILE__, __LINE__)

static void expect_fail(struct ingest_world *f, enum expo_format format, const char *page,
                        const char *text) {
    struct err err = {0};
    assert_err(feed(f, format, str_of(page), 64, &err), ERR_INVALID, text, &err);
    (void)row_storage_take(f->rows, false);
}

static void known_lines_give_the_same_rows(void **state) {
    struct ingest_world *const f = *state;
    for (int i = 0; i < 3; i++) {
        EXPECT(OM,
               "# TYPE a counter\na_total 1 # {id=\"x\"} 1\na_created 1.5e9\n"
               "# TYPE h histogram\n# UNIT h \nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\n"
               "# EOF\n",
               "a_total{job=\"j\"} 1\na_created{job=\"j\"} 1.5e+09\n"
               "h_bucket{job=\"j\", le=\"1.0\"} 2\nh_bucket{job=\"j\", le=\"+Inf\"} 3\n");
        assert_int_equal(f->scrape.scraped, 4);
        assert_int_equal(f->scrape.series_added, i == 0 ? 4 : 0);
    }
}

static void own_times_of_known_lines_are_seconds(void **state) {
    struct ingest_world *const f = *state;
    EXPECT(OM, "a 1 1000.5\nb 2 1001 # {} 1\n# EOF\n",
           "1000500 a{job=\"j\"} 1\n1001000 b{job=\"j\"} 2\n");
    EXPECT(OM, "a 3 1002.25\nb 4 1e3\n# EOF\n", "1002250 a{job=\"j\"} 3\n1000000 b{job=\"j\"} 4\n");
    expect_fail(f, OM, "a 3 1e999\nb 4 1e3\n# EOF\n", "value out of range");
    expect_fail(f, OM, "a 3 NaN\nb 4 1e3\n# EOF\n", "invalid timestamp NaN");
    expect_fail(f, OM, "a 3 \nb 4 1e3\n# EOF\n", "expected a valid start token");
}

static void exemplars_of_known_lines_are_checked(void **state) {
    struct ingest_world *const f = *state;
    EXPECT(OM, "a_total 1\nb_total 2\n# EOF\n", "a_total{job=\"j\"} 1\nb_total{job=\"j\"} 2\n");
    EXPECT(OM, "a_total 2 # {x=\"y\"} 1 5\nb_total 3 7 # {} 1\n# EOF\n",
           "a_total{job=\"j\"} 2\nb_total{job=\"j\"} stale\n7000 b_total{job=\"j\"} 3\n");
    expect_fail(f, OM, "a_total 1 # {x} 1\nb_total 2\n# EOF\n", "expected label name, got \"} \"");
    expect_fail(f, OM, "a_total 1 # {x=\"y\"}\nb_total 2\n# EOF\n",
                "expected value after exemplar labels");
    expect_fail(f, OM, "a_total 1 # {} 1 NaN\nb_total 2\n# EOF\n",
                "invalid exemplar timestamp NaN");
    expect_fail(f, OM, "a_total 1\nb_total 2 # {} 1", "data does not end with # EOF");
    EXPECT(OM, "a_total 4\nb_total 5 # {x=\"\\\"\"} 1\n# EOF\n",
           "a_total{job=\"j\"} 4\nb_total{job=\"j\"} 5\n");
}

static void a_known_page_must_have_its_end(void **state) {
    struct ingest_world *const f = *state;
    EXPECT(OM, "a 1\nb 2\n# EOF\n", "a{job=\"j\"} 1\nb{job=\"j\"} 2\n");
    expect_fail(f, OM, "a 1\nb 2\n", "data does not end with # EOF");
    expect_fail(f, OM, "a 1\nb 2\n# EOF\na 1\n", "unexpected data after # EOF");
    EXPECT(OM, "a 1\nb 3\n# EOF", "a{job=\"j\"} 1\nb{job=\"j\"} 3\n");
}

static void series_are_known_in_either_format(void **state) {
    struct ingest_world *const f = *state;
    EXPECT(TEXT, "# HELP a x\na 1\nb 2 7\n", "a{job=\"j\"} 1\n7 b{job=\"j\"} 2\n");
    EXPECT(OM, "# HELP a x\na 1\nb 2 7\n# EOF\n", "a{job=\"j\"} 1\n7000 b{job=\"j\"} 2\n");
    assert_int_equal(f->scrape.series_added, 0);
    EXPECT(OM, "# HELP a x\na 3\nb 2 8\n# EOF\n", "a{job=\"j\"} 3\n8000 b{job=\"j\"} 2\n");
    EXPECT(TEXT, "# HELP a x\na 4\nb 2 9\n", "a{job=\"j\"} 4\n9 b{job=\"j\"} 2\n");
    assert_int_equal(f->scrape.series_added, 0);
    assert_int_equal(ingest_line_count(f->ingest), 2);
}

static void what_one_format_allows_is_not_known_to_the_other(void **state) {
    struct ingest_world *const f = *state;
    EXPECT(TEXT, "# a note\na 1\n", "a{job=\"j\"} 1\n");
    expect_fail(f, OM, "# a note\na 1\n# EOF\n", "expected a valid start token, got \"# a\"");
    expect_fail(f, OM, "# TYPE b info\nb 1\nc\n# EOF\n", "expected value after metric");
    expect_fail(f, TEXT, "# a note\na 1\n# TYPE b info\nb 1\n", "invalid metric type \"info\"");
    EXPECT(TEXT, "# a note\na 1\nb 1\n", "a{job=\"j\"} 1\nb{job=\"j\"} 1\n");
    EXPECT(TEXT, "# a note\na 1\nb 2\n", "a{job=\"j\"} 1\nb{job=\"j\"} 2\n");
}

static bool print_metadata(void *ctx, const struct metric_metadata *md) {
    buf_printf(ctx, "%.*s|%.*s|%.*s|%.*s\n", STR_ARG(md->family), STR_ARG(md->type),
               STR_ARG(md->unit), STR_ARG(md->help));
    return true;
}

static void metadata_has_units_and_all_kinds(void **state) {
    struct ingest_world *const f = *state;
    struct buf comments;
    struct buf got;
    struct err err;
    const struct str page = STR("# HELP g_seconds say \\\"hi\\\"\n# TYPE g_seconds gaugehistogram\n"
                                "# UNIT g_seconds seconds\ng_seconds_gcount 1\n"
                                "# TYPE i info\ni_info{v=\"1\"} 1\n# TYPE s stateset\n# EOF\n");
    buf_init(&comments, 1 << 20);
    buf_init(&got, 1 << 20);
    assert_ok(feed(f, OM, page, 0, &err), &err);
    const enum expo_format format = ingest_copy_comments(f->ingest, &comments);
    assert_int_equal(format, OM);
    assert_true(metadata_each(buf_str(&comments), format, f->target, STR(""), &f->arena,
                              print_metadata, &got));
    assert_string_equal(got.ptr, "g_seconds|gaugehistogram|seconds|say \"hi\"\ni|info||\n"
                                 "s|stateset||\n");
    buf_release(&got);
    buf_release(&comments);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(known_lines_give_the_same_rows),
        CASE(own_times_of_known_lines_are_seconds),
        CASE(exemplars_of_known_lines_are_checked),
        CASE(a_known_page_must_have_its_end),
        CASE(series_are_known_in_either_format),
        CASE(what_one_format_allows_is_not_known_to_the_other),
        CASE(metadata_has_units_and_all_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
