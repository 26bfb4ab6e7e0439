/* ingest: what a page becomes in the storage, scrape after scrape.
 *
 * Cases feed pages to one target and compare the rows that a recording storage saw. The property
 * test feeds randomly changed pages to a target with a template and, each time, to one that has
 * never seen a page: what the storage gets must be the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "scrape/metadata.h"
#include "tests/support/check_err.h"
#include "tests/unit/scrape/ingest_world.h"

struct fixture {
    struct ingest_world w;
    struct blob_store *blobs;
};

static int setup(void **state) {
    struct fixture *const f = mem_zalloc(sizeof(*f));
    ingest_world_init(&f->w);
    f->blobs = blob_store_new();
    ingest_use_blobs(f->w.ingest, f->blobs);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *const f = *state;
    ingest_world_release(&f->w);
    blob_store_free(f->blobs);
    mem_free(f);
    return 0;
}

/* One scrape; NULL: the fetch failed. Returns what reading the page said. */
static enum err_code feed(struct fixture *f, struct ingest *ingest, const char *page, size_t size,
                          struct err *err) {
    const struct ingest_report report = {.up = true, .duration_ns = 1500000};
    ingest_world_begin(&f->w, EXPO_FORMAT_TEXT);
    ingest_begin(ingest, f->w.scratch);
    enum err_code code = ERR_OK;
    if (page != NULL && size > 0) {
        /* Every other time there is room behind the page, full of what looks like more of it. */
        const size_t room = f->w.now_ms / 1000 % 2 == 0 ? 0 : 64;
        char *const copy = malloc(size + room);
        memcpy(copy, page, size);
        for (size_t i = 0; i < room; i++) {
            copy[size + i] = page[i % size];
        }
        code = ingest_page(ingest, f->w.scratch, &f->w.scrape, (struct str){copy, size}, room, err);
        free(copy);
    }
    ingest_world_commit(&f->w, ingest, &report);
    return code;
}

/* Feeds a page that must be read, and compares the rows with times relative to the scrape. */
static void expect(struct fixture *f, const char *page, const char *want, const char *file,
                   int line) {
    struct err err = {0};
    const enum err_code code = feed(f, f->w.ingest, page, page != NULL ? strlen(page) : 0, &err);
    check_ok(code, &err, file, line);
    ingest_world_expect(&f->w, want, file, line);
}

#define EXPECT(page, want) expect(f, (page), (want), __FILE__, __LINE__)

static void expect_fail(struct fixture *f, const char *page, enum err_code want, const char *text) {
    struct err err = {0};
    assert_err(feed(f, f->w.ingest, page, strlen(page), &err), want, text, &err);
}

static void a_page_becomes_a_row_in_page_order(void **state) {
    struct fixture *const f = *state;
    EXPECT("# TYPE a counter\na 1\nb{x=\"y\"} 2.5\n",
           "a{job=\"j\"} 1\nb{job=\"j\", x=\"y\"} 2.5\n");
    EXPECT("# TYPE a counter\na 2\nb{x=\"y\"} 2.5\n",
           "a{job=\"j\"} 2\nb{job=\"j\", x=\"y\"} 2.5\n");
    assert_int_equal(f->w.scrape.scraped, 2);
    assert_int_equal(f->w.scrape.added, 2);
    assert_int_equal(f->w.scrape.series_added, 0);
}

static void report_series_are_in_the_row(void **state) {
    struct fixture *const f = *state;
    struct err err;
    f->w.config.extra_metrics = true;
    assert_ok(feed(f, f->w.ingest, "a 1\nb 2\n", 8, &err), &err);
    assert_true(row_storage_last(f->w.rows, "up{job=\"j\"}") == 1);
    assert_true(row_storage_last(f->w.rows, "scrape_duration_seconds{job=\"j\"}") == 0.0015);
    assert_true(row_storage_last(f->w.rows, "scrape_samples_scraped{job=\"j\"}") == 2);
    assert_true(row_storage_last(f->w.rows, "scrape_samples_post_metric_relabeling{job=\"j\"}") ==
                2);
    assert_true(row_storage_last(f->w.rows, "scrape_series_added{job=\"j\"}") == 2);
    assert_true(row_storage_last(f->w.rows, "scrape_sample_limit{job=\"j\"}") == 0);
    assert_true(row_storage_last(f->w.rows, "scrape_body_size_bytes{job=\"j\"}") == 0);
    assert_int_equal(row_storage_row_count(f->w.rows), 1);
}

static void report_series_lack_exported_labels_whose_name_a_later_label_has(void **state) {
    struct fixture *const f = *state;
    const struct label labels[] = {{STR("env"), STR("e")},
                                   {STR("exported_env"), STR("kept")},
                                   {STR("exported_job"), STR("gone")},
                                   {STR("job"), STR("j")}};
    struct err err;
    f->w.target = labels_of(&f->w.arena, labels, COUNT_OF(labels));
    assert_ok(feed(f, f->w.ingest, "a 1\n", 4, &err), &err);
    assert_true(row_storage_last(f->w.rows, "up{env=\"e\", exported_env=\"kept\", job=\"j\"}") ==
                1);
    assert_true(row_storage_last(f->w.rows, "a{env=\"e\", exported_env=\"kept\", "
                                            "exported_job=\"gone\", job=\"j\"}") == 1);
}

static void a_series_that_vanishes_gets_a_marker_once(void **state) {
    struct fixture *const f = *state;
    EXPECT("a 1\nb 2\nc 3\n", "a{job=\"j\"} 1\nb{job=\"j\"} 2\nc{job=\"j\"} 3\n");
    EXPECT("a 1\nc 3\n", "a{job=\"j\"} 1\nb{job=\"j\"} stale\nc{job=\"j\"} 3\n");
    EXPECT("a 1\nc 3\n", "a{job=\"j\"} 1\nc{job=\"j\"} 3\n");
    assert_int_equal(f->w.scrape.series_added, 0);
    EXPECT("a 1\nb 4\nc 3\n", "a{job=\"j\"} 1\nb{job=\"j\"} 4\nc{job=\"j\"} 3\n");
    assert_int_equal(f->w.scrape.series_added, 1); /* it had left the cache */
}

static void a_failed_fetch_ends_all_series_and_they_come_back(void **state) {
    struct fixture *const f = *state;
    EXPECT("a 1\nb 2\n", "a{job=\"j\"} 1\nb{job=\"j\"} 2\n");
    EXPECT(NULL, "a{job=\"j\"} stale\nb{job=\"j\"} stale\n");
    EXPECT(NULL, "");
    EXPECT("a 1\nb 2\n", "a{job=\"j\"} 1\nb{job=\"j\"} 2\n");
    assert_int_equal(f->w.scrape.series_added, 0); /* still cached */
}

static void a_parse_error_rolls_back_and_ends_only_what_was_not_reached(void **state) {
    struct fixture *const f = *state;
    EXPECT("a 1\nb 2\nc 3\n", "a{job=\"j\"} 1\nb{job=\"j\"} 2\nc{job=\"j\"} 3\n");
    expect_fail(f, "a 5\nnew 1\nb bad\nc 3\n", ERR_INVALID, "parsing \"bad\"");
    assert_string_equal(row_storage_take(f->w.rows, false),
                        "1700001000 b{job=\"j\"} stale\n1700001000 c{job=\"j\"} stale\n");
    assert_int_equal(f->w.scrape.scraped, 2);
    EXPECT("c 3\n", "a{job=\"j\"} stale\nc{job=\"j\"} 3\nnew{job=\"j\"} stale\n");
}

static void a_passed_sample_limit_counts_to_the_end(void **state) {
    struct fixture *const f = *state;
    f->w.config.sample_limit = 2;
    EXPECT("a 1\nb 2\n", "a{job=\"j\"} 1\nb{job=\"j\"} 2\n");
    expect_fail(f, "a 1\nb 2\nc 3\nd 4\n", ERR_LIMIT, "sample limit exceeded");
    assert_int_equal(f->w.scrape.scraped, 4);
    assert_int_equal(f->w.scrape.added, 4);
    assert_int_equal(f->w.scrape.series_added, 0);
    assert_true(f->w.scrape.sample_limit_hit);
    /* The two that were reached fade without a marker. */
    assert_string_equal(row_storage_take(f->w.rows, false), "");
    EXPECT("a 1\nb 2\n", "a{job=\"j\"} 1\nb{job=\"j\"} 2\n");
}

static void the_same_series_twice_counts_as_duplicate(void **state) {
    struct fixture *const f = *state;
    for (int i = 0; i < 3; i++) { /* first sight, template, template again */
        EXPECT("a 1\na 1\nb 2\n", "a{job=\"j\"} 1\nb{job=\"j\"} 2\n");
        assert_int_equal(f->w.scrape.duplicates, 1);
        assert_int_equal(f->w.scrape.added, 3);
    }
}

static void two_texts_for_one_series_conflict_only_with_other_values(void **state) {
    struct fixture *const f = *state;
    for (int i = 0; i < 2; i++) {
        EXPECT("a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 1\n",
               "a{job=\"j\", x=\"1\", y=\"2\"} 1\n");
        assert_int_equal(f->w.scrape.duplicates, 0);
    }
    EXPECT("a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\n", "a{job=\"j\", x=\"1\", y=\"2\"} 1\n");
    assert_int_equal(f->w.scrape.duplicates, 1);
}

static void own_timestamps_are_kept_and_not_tracked(void **state) {
    struct fixture *const f = *state;
    EXPECT("a 1 1699999000\nb 2\n", "b{job=\"j\"} 2\n1699999000 a{job=\"j\"} 1\n");
    EXPECT("b 2\n", "b{job=\"j\"} 2\n");
    EXPECT("a 3\nb 2\n", "a{job=\"j\"} 3\nb{job=\"j\"} 2\n");
    /* Tracked, and now with a timestamp of its own: a marker though it is exposed. */
    EXPECT("a 4 1700000500\nb 2\n",
           "a{job=\"j\"} stale\nb{job=\"j\"} 2\n1700000500 a{job=\"j\"} 4\n");
}

static void own_timestamps_can_be_tracked_or_ignored(void **state) {
    struct fixture *const f = *state;
    f->w.config.track_timestamps_staleness = true;
    EXPECT("a 1 1699999000\n", "1699999000 a{job=\"j\"} 1\n");
    EXPECT("", "a{job=\"j\"} stale\n");
    f->w.config.honor_timestamps = false;
    EXPECT("a 1 1699999000\n", "a{job=\"j\"} 1\n");
}

static void samples_from_the_future_are_dropped(void **state) {
    struct fixture *const f = *state;
    EXPECT("a 1 1700600001\nb 1 1700600000\n", "1700600000 b{job=\"j\"} 1\n");
    assert_int_equal(f->w.scrape.out_of_bounds, 1);
    EXPECT("a 1\n", "a{job=\"j\"} 1\n");
    assert_int_equal(f->w.scrape.series_added, 1); /* it had not been cached */
}

static void target_labels_win_and_push_exposed_ones_aside(void **state) {
    struct fixture *const f = *state;
    EXPECT("a{job=\"x\"} 1\nb{job=\"\"} 1\nc{job=\"x\",exported_job=\"y\"} 1\n",
           "a{exported_job=\"x\", job=\"j\"} 1\nb{job=\"j\"} 1\n"
           "c{exported_exported_job=\"x\", exported_job=\"y\", job=\"j\"} 1\n");
}

static void honored_labels_win_even_when_empty(void **state) {
    struct fixture *const f = *state;
    f->w.config.honor_labels = true;
    EXPECT("a{job=\"x\"} 1\nb{job=\"\"} 1\nc 1\n", "a{job=\"x\"} 1\nb 1\nc{job=\"j\"} 1\n");
}

static void relabelling_drops_and_renames_once_per_series(void **state) {
    struct fixture *const f = *state;
    struct err err;
    struct regex *drop = NULL;
    struct regex *any = NULL;
    assert_ok(regex_new(STR("go_.*"), REGEX_ANCHORED, &drop, &err), &err);
    assert_ok(regex_new(STR("(.*)"), REGEX_ANCHORED, &any, &err), &err);
    const struct str name = LABEL_NAME;
    const struct relabel_rule rules[] = {
        {.action = RELABEL_DROP,
         .source_labels = &name,
         .source_count = 1,
         .separator = STR(";"),
         .regex = drop,
         .replacement = STR("$1")},
        {.action = RELABEL_REPLACE,
         .source_labels = &name,
         .source_count = 1,
         .separator = STR(";"),
         .regex = any,
         .target_label = STR("was"),
         .replacement = STR("$1")},
    };
    f->w.config.metric_relabel = (struct relabel_rules){rules, COUNT_OF(rules)};
    for (int i = 0; i < 3; i++) {
        EXPECT("go_gc 1\na 1\ngo_x{y=\"z\"} 2\n", "a{job=\"j\", was=\"a\"} 1\n");
        assert_int_equal(f->w.scrape.scraped, 3);
        assert_int_equal(f->w.scrape.added, 1);
    }
    expect_fail(f, "go_gc bad\n", ERR_INVALID, "bad"); /* dropped lines are read all the same */
    regex_free(any);
    regex_free(drop);
}

static void label_limits_fail_the_scrape_with_their_text(void **state) {
    struct fixture *const f = *state;
    f->w.config.label_limit = 3;
    EXPECT("a{x=\"1\"} 1\n", "a{job=\"j\", x=\"1\"} 1\n");
    expect_fail(f, "a{x=\"1\",y=\"2\"} 1\n", ERR_LIMIT,
                "label_limit exceeded (metric: a, number of labels: 4, limit: 3)");
    assert_true(f->w.scrape.label_limit_hit);
    f->w.config.label_limit = 0;
    f->w.config.label_name_length_limit = 8;
    expect_fail(f, "a{x23456789=\"1\"} 1\n", ERR_LIMIT,
                "label_name_length_limit exceeded (metric: a, label name: x23456789, length: 9, "
                "limit: 8)");
    f->w.config.label_name_length_limit = 0;
    f->w.config.label_value_length_limit = 4;
    expect_fail(f, "a{x=\"12345\"} 1\n", ERR_LIMIT,
                "label_value_length_limit exceeded (metric: a, label name: x, value: \"12345\", "
                "length: 5, limit: 4)");
}

static void bad_label_sets_fail_the_scrape(void **state) {
    struct fixture *const f = *state;
    expect_fail(f, "a{x=\"1\",x=\"2\"} 1\n", ERR_INVALID,
                "label name \"x\" is not unique: invalid sample");
    f->w.config.name_scheme = NAMES_LEGACY;
    expect_fail(f, "  a 1\n", ERR_INVALID, "invalid metric name or label names: ");
    expect_fail(f, "{\"a.b\"} 1\n", ERR_INVALID, "invalid metric name or label names: ");
}

static void a_full_storage_keeps_known_series_going(void **state) {
    struct fixture *const f = *state;
    EXPECT("a 1\n", "a{job=\"j\"} 1\n");
    row_storage_set_series_max(f->w.rows, row_storage_series_count(f->w.rows));
    EXPECT("new 1\na 2\nnew 1\n", "a{job=\"j\"} 2\n");
    assert_int_equal(f->w.scrape.refused, 2);
    row_storage_set_series_max(f->w.rows, SIZE_MAX);
    EXPECT("new 1\na 2\n", "a{job=\"j\"} 2\nnew{job=\"j\"} 1\n");
    assert_int_equal(f->w.scrape.refused, 0);
}

static void an_ended_target_marks_series_and_reports(void **state) {
    struct fixture *const f = *state;
    struct err err;
    EXPECT("a 1\n", "a{job=\"j\"} 1\n");
    assert_ok(ingest_end(f->w.ingest, f->w.scratch, f->w.now_ms, &err), &err);
    assert_string_equal(row_storage_take(f->w.rows, true),
                        "1700001000 a{job=\"j\"} stale\n1700001000 up{job=\"j\"} stale\n"
                        "1700001000 scrape_duration_seconds{job=\"j\"} stale\n"
                        "1700001000 scrape_samples_scraped{job=\"j\"} stale\n"
                        "1700001000 scrape_samples_post_metric_relabeling{job=\"j\"} stale\n"
                        "1700001000 scrape_series_added{job=\"j\"} stale\n");
}

static void forgotten_lines_are_resolved_anew_and_renamed_series_end(void **state) {
    struct fixture *const f = *state;
    EXPECT("a{job=\"x\"} 1\n", "a{exported_job=\"x\", job=\"j\"} 1\n");
    f->w.config.honor_labels = true;
    ingest_forget_lines(f->w.ingest);
    EXPECT("a{job=\"x\"} 1\n", "a{exported_job=\"x\", job=\"j\"} stale\na{job=\"x\"} 1\n");
}

static void targets_with_equal_labels_get_groups_of_their_own(void **state) {
    struct fixture *const f = *state;
    struct err err;
    struct ingest *const twin = ingest_new(row_storage_as_storage(f->w.rows), 0);
    EXPECT("a 1\n", "a{job=\"j\"} 1\n");
    assert_ok(feed(f, twin, "a 2\n", 4, &err), &err);
    assert_int_equal(row_storage_open_groups(f->w.rows), 2);
    ingest_free(twin);
    assert_int_equal(row_storage_open_groups(f->w.rows), 1);
}

/* ---- metadata ---- */

static bool print_metadata(void *ctx, const struct metric_metadata *md) {
    buf_printf(ctx, "%.*s|%.*s|%.*s\n", STR_ARG(md->family), STR_ARG(md->type), STR_ARG(md->help));
    return true;
}

static void metadata_is_what_the_last_page_said(void **state) {
    struct fixture *const f = *state;
    struct buf comments;
    struct buf got;
    buf_init(&comments, 1 << 20);
    buf_init(&got, 1 << 20);
    EXPECT("# HELP b old\n# TYPE b gauge\nb 1\n# HELP a lone\n", "b{job=\"j\"} 1\n");
    EXPECT("# HELP b new\\n\n# TYPE b gauge\nb 1\n# HELP a lone\n", "b{job=\"j\"} 1\n");
    const enum expo_format format = ingest_copy_comments(f->w.ingest, &comments);
    assert_true(metadata_each(buf_str(&comments), format, f->w.target, STR(""), &f->w.arena,
                              print_metadata, &got));
    assert_string_equal(got.ptr, "a|unknown|lone\nb|gauge|new\n\n");
    buf_release(&got);
    buf_release(&comments);
}

/* ---- the template and the parser agree ---- */

enum { LINES_MAX = 60 };

struct page_line {
    char text[96];
    bool number; /* a value follows */
};

static void random_line(struct rng *rng, struct page_line *line) {
    static const char *const comments[] = {"# TYPE h histogram", "# HELP g y", "# HELP g x",
                                           "# just a comment", ""};
    const uint64_t kind = rng_below(rng, 6);
    line->number = kind > 0;
    if (kind == 0) {
        (void)snprintf(line->text, sizeof(line->text), "%s",
                       comments[rng_below(rng, COUNT_OF(comments))]);
    } else if (kind == 1) {
        (void)snprintf(line->text, sizeof(line->text), "h_bucket{le=\"%d\"}",
                       (int)rng_below(rng, 12));
    } else {
        (void)snprintf(line->text, sizeof(line->text), "m%d%s", (int)rng_below(rng, 25),
                       rng_below(rng, 2) == 0 ? "" : "{a=\"b\"}");
    }
}

static void print_page(struct rng *rng, const struct page_line *lines, size_t n, struct buf *page) {
    static const char *const values[] = {"0",     "1",    "NaN",
                                         "1.5e9", "-0",   "123456.789",
                                         "+Inf",  "1e-7", "12345678901234567890123456789012345"};
    buf_clear(page);
    /* One type throughout: a known text keeps the labels that its first type gave it. */
    buf_append_cstr(page, "# TYPE h histogram\n");
    for (size_t i = 0; i < n; i++) {
        buf_append_cstr(page, lines[i].text);
        if (lines[i].number) {
            buf_append_cstr(page, rng_below(rng, 40) == 0 ? "  " : " ");
            buf_append_cstr(page, values[rng_below(rng, COUNT_OF(values))]);
            if (rng_below(rng, 15) == 0) {
                buf_printf(page, " %d", 1699990000 + (int)rng_below(rng, 10));
            }
        }
        if (i + 1 < n || rng_below(rng, 8) != 0) {
            buf_append_char(page, '\n');
        }
    }
    if (rng_below(rng, 60) == 0) {
        buf_append_cstr(page, "broken{ 1\n");
    }
}

static void change_lines(struct rng *rng, struct page_line *lines, size_t *n) {
    const uint64_t what = rng_below(rng, 8);
    const size_t at = *n > 0 ? rng_below(rng, *n) : 0;
    if (what == 0 && *n > 0) {
        memmove(&lines[at], &lines[at + 1], (*n - at - 1) * sizeof(lines[0]));
        (*n)--;
    } else if (what == 1 && *n < LINES_MAX) {
        memmove(&lines[at + 1], &lines[at], (*n - at) * sizeof(lines[0]));
        random_line(rng, &lines[at]);
        (*n)++;
    } else if (what == 2 && *n > 1) {
        const size_t other = rng_below(rng, *n);
        const struct page_line line = lines[at];
        lines[at] = lines[other];
        lines[other] = line;
    } /* else only values change */
}

static int compare_lines(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The samples of a row, markers left out (a fresh target has none to give), sorted. */
static void sorted_rows(const char *log, struct buf *to) {
    char *const copy = mem_strdup(log);
    char *lines[LINES_MAX * 4];
    size_t n = 0;
    for (char *save = NULL, *line = strtok_r(copy, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (strstr(line, " stale") == NULL) {
            assert_true(n < COUNT_OF(lines));
            lines[n++] = line;
        }
    }
    if (n > 0) {
        qsort(lines, n, sizeof(lines[0]), compare_lines);
    }
    buf_clear(to);
    for (size_t i = 0; i < n; i++) {
        buf_printf(to, "%s\n", lines[i]);
    }
    mem_free(copy);
}

static void check_against_fresh(struct fixture *f, struct str page) {
    struct err err = {0};
    struct err fresh_err = {0};
    struct buf got;
    struct buf want;
    buf_init(&got, 1 << 20);
    buf_init(&want, 1 << 20);
    const enum err_code code = feed(f, f->w.ingest, page.ptr, page.len, &err);
    const struct ingest_scrape scrape = f->w.scrape;
    sorted_rows(row_storage_take(f->w.rows, false), &got);
    f->w.now_ms -= 1000;
    struct row_storage *const other = row_storage_new(true);
    struct ingest *const fresh = ingest_new(row_storage_as_storage(other), 0);
    const enum err_code fresh_code = feed(f, fresh, page.ptr, page.len, &fresh_err);
    sorted_rows(row_storage_take(other, false), &want);
    ingest_free(fresh);
    row_storage_free(other);
    assert_int_equal(code, fresh_code);
    assert_string_equal(err.text, fresh_err.text);
    assert_string_equal(got.ptr != NULL ? got.ptr : "", want.ptr != NULL ? want.ptr : "");
    assert_int_equal(scrape.scraped, f->w.scrape.scraped);
    assert_int_equal(scrape.added, f->w.scrape.added);
    assert_int_equal(scrape.duplicates, f->w.scrape.duplicates);
    buf_release(&got);
    buf_release(&want);
}

static void a_template_gives_what_a_first_reading_gives(void **state) {
    struct fixture *const f = *state;
    const uint64_t seed = 20260101;
    struct rng rng = rng_seeded(seed);
    struct page_line lines[LINES_MAX];
    struct buf page;
    buf_init(&page, 1 << 20);
    size_t n = 0;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (; n < 20; n++) {
        random_line(&rng, &lines[n]);
    }
    for (int round = 0; round < 3000; round++) {
        print_page(&rng, lines, n, &page);
        check_against_fresh(f, buf_str(&page));
        change_lines(&rng, lines, &n);
    }
    buf_release(&page);
}

static void a_page_of_constant_shape_is_never_rebuilt(void **state) {
    struct fixture *const f = *state;
    struct buf page;
    struct err err;
    buf_init(&page, 1 << 20);
    for (int round = 0; round < 3; round++) {
        buf_clear(&page);
        for (int i = 0; i < 1000; i++) {
            buf_printf(&page, "# HELP metric_%d Help of it\n# TYPE metric_%d gauge\n", i, i);
            buf_printf(&page, "metric_%d{label=\"value\"} %d\n", i, round * i);
        }
        assert_ok(feed(f, f->w.ingest, page.ptr, page.len, &err), &err);
    }
    assert_int_equal(ingest_line_count(f->w.ingest), 1000);
    const size_t text = page.len / 1000; /* the numbers' bytes are slack enough */
    assert_true(ingest_memory_bytes(f->w.ingest) / 1000 <= text + 20);
    buf_release(&page);
}

static void a_failing_target_does_not_collect_lines_for_ever(void **state) {
    struct fixture *const f = *state;
    for (int round = 0; round < 40; round++) {
        struct buf page;
        struct err err;
        buf_init(&page, 1 << 20);
        for (int i = 0; i < 100; i++) {
            buf_printf(&page, "m_%d_%d 1\n", round, i);
        }
        buf_append_cstr(&page, "oops\n");
        assert_int_equal(feed(f, f->w.ingest, page.ptr, page.len, &err), ERR_INVALID);
        buf_release(&page);
    }
    assert_true(ingest_line_count(f->w.ingest) < 1500);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(a_page_becomes_a_row_in_page_order),
        CASE(report_series_are_in_the_row),
        CASE(report_series_lack_exported_labels_whose_name_a_later_label_has),
        CASE(a_series_that_vanishes_gets_a_marker_once),
        CASE(a_failed_fetch_ends_all_series_and_they_come_back),
        CASE(a_parse_error_rolls_back_and_ends_only_what_was_not_reached),
        CASE(a_passed_sample_limit_counts_to_the_end),
        CASE(the_same_series_twice_counts_as_duplicate),
        CASE(two_texts_for_one_series_conflict_only_with_other_values),
        CASE(own_timestamps_are_kept_and_not_tracked),
        CASE(own_timestamps_can_be_tracked_or_ignored),
        CASE(samples_from_the_future_are_dropped),
        CASE(target_labels_win_and_push_exposed_ones_aside),
        CASE(honored_labels_win_even_when_empty),
        CASE(relabelling_drops_and_renames_once_per_series),
        CASE(label_limits_fail_the_scrape_with_their_text),
        CASE(bad_label_sets_fail_the_scrape),
        CASE(a_full_storage_keeps_known_series_going),
        CASE(an_ended_target_marks_series_and_reports),
        CASE(forgotten_lines_are_resolved_anew_and_renamed_series_end),
        CASE(targets_with_equal_labels_get_groups_of_their_own),
        CASE(metadata_is_what_the_last_page_said),
        CASE(a_template_gives_what_a_first_reading_gives),
        CASE(a_page_of_constant_shape_is_never_rebuilt),
        CASE(a_failing_target_does_not_collect_lines_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
