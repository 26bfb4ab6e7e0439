/* ingest: native histograms, exemplars and start timestamps on their way into the row: limits,
 * refusals, staleness, conversion, and pages in protobuf that are wrong. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/labels.h"
#include "base/mem.h"
#include "scrape/histogram_make.h"
#include "scrape/metadata.h"
#include "tests/support/check_err.h"
#include "tests/support/proto_writer.h"
#include "tests/unit/scrape/ingest_world.h"

#define TEXT EXPO_FORMAT_TEXT
#define OM EXPO_FORMAT_OPENMETRICS
#define PROTO EXPO_FORMAT_PROTOBUF

enum { COUNTER = 0, GAUGE = 1, SUMMARY = 2, HISTOGRAM = 4, GAUGE_HISTOGRAM = 5 };

struct fixture {
    struct ingest_world w;
    struct err err;
    /* the page being written */
    struct buf page, family, metric, value, inner;
};

static int setup(void **state) {
    struct fixture *const f = mem_zalloc(sizeof(*f));
    ingest_world_init(&f->w);
    f->w.target = (struct labels){NULL, 0};
    f->w.histograms.native = true;
    f->w.features = SCRAPE_EXEMPLARS;
    buf_init(&f->page, 1 << 20);
    buf_init(&f->family, 1 << 20);
    buf_init(&f->metric, 1 << 20);
    buf_init(&f->value, 1 << 20);
    buf_init(&f->inner, 1 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *const f = *state;
    ingest_world_release(&f->w);
    buf_release(&f->page);
    buf_release(&f->family);
    buf_release(&f->metric);
    buf_release(&f->value);
    buf_release(&f->inner);
    mem_free(f);
    return 0;
}

/* ---- pages ---- */

static void add_label(struct fixture *f, struct str name, struct str value) {
    pb_bytes(&f->inner, 1, name);
    pb_bytes(&f->inner, 2, value);
    pb_message(&f->metric, 1, &f->inner);
}

static uint64_t zigzag(int64_t v) {
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

/* One span and its differences. side: 'p' or 'n' */
static void add_side(struct fixture *f, char side, int32_t offset, const int64_t *deltas,
                     uint32_t n) {
    pb_uint(&f->inner, 1, zigzag(offset));
    pb_uint(&f->inner, 2, n);
    pb_message(&f->value, side == 'p' ? 12 : 9, &f->inner);
    for (uint32_t i = 0; i < n; i++) {
        pb_varint(&f->inner, zigzag(deltas[i]));
    }
    pb_message(&f->value, side == 'p' ? 13 : 10, &f->inner);
}

/* f->value becomes the metric's, the metric the family's. */
static void add_metric(struct fixture *f, uint32_t value_field) {
    pb_message(&f->metric, value_field, &f->value);
    pb_message(&f->family, 4, &f->metric);
}

static void end_family(struct fixture *f, const char *name, unsigned type) {
    pb_bytes(&f->family, 1, str_of(name));
    pb_uint(&f->family, 3, type);
    pb_varint(&f->page, f->family.len);
    buf_append_str(&f->page, buf_str(&f->family));
    buf_clear(&f->family);
}

/* A histogram of counts 1 .. n in the buckets from offset on. */
static void native_page(struct fixture *f, int32_t schema, int32_t offset, uint32_t n) {
    int64_t deltas[32];
    uint64_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        deltas[i] = 1;
        count += i + 1;
    }
    pb_uint(&f->value, 1, count);
    pb_double(&f->value, 2, 2.5);
    pb_uint(&f->value, 5, zigzag(schema));
    pb_double(&f->value, 6, 0.001);
    add_side(f, 'p', offset, deltas, n);
    add_metric(f, 7);
    end_family(f, "h", HISTOGRAM);
}

static void counter_page(struct fixture *f, double value) {
    pb_double(&f->value, 1, value);
    add_metric(f, 3);
    end_family(f, "c_total", COUNTER);
}

static enum err_code feed(struct fixture *f, enum expo_format format, struct str page) {
    const struct ingest_report report = {.up = true};
    ingest_world_begin(&f->w, format);
    f->err = (struct err){0};
    char *const copy = malloc(page.len + 1);
    memcpy(copy, page.ptr, page.len);
    ingest_begin(f->w.ingest, f->w.scratch);
    const enum err_code code = ingest_page(f->w.ingest, f->w.scratch, &f->w.scrape,
                                           (struct str){copy, page.len}, 1, &f->err);
    free(copy);
    ingest_world_commit(&f->w, f->w.ingest, &report);
    return code;
}

/* The rows since the last call, without the time where it is that of the last scrape. */
static void expect_rows(struct fixture *f, const char *want, const char *file, int line) {
    ingest_world_expect(&f->w, want, file, line);
}

#define ROWS(want) expect_rows(f, (want), __FILE__, __LINE__)

/* Reads the page that was written, which is empty then. */
static enum err_code feed_page(struct fixture *f) {
    const enum err_code code = feed(f, PROTO, buf_str(&f->page));
    buf_clear(&f->page);
    return code;
}

#define GOOD_PAGE() assert_ok(feed_page(f), &f->err)
#define GOOD(format, page) assert_ok(feed(f, (format), str_of(page)), &f->err)

static void expect_fail(struct fixture *f, const char *text, const char *file, int line) {
    const enum err_code code = feed_page(f);
    check_err(code, code == ERR_LIMIT ? ERR_LIMIT : ERR_INVALID, text, &f->err, file, line);
    (void)row_storage_take(f->w.rows, false);
}

#define FAIL_PAGE(text) expect_fail(f, (text), __FILE__, __LINE__)

/* ---- limits ---- */

static void too_many_buckets_lower_the_resolution(void **state) {
    struct fixture *const f = *state;
    f->w.config.native_histogram_bucket_limit = 3;
    native_page(f, 2, 1, 8);
    GOOD_PAGE();
    ROWS("h {schema:0 count:36 sum:2.5 zero:0@0.001 +1:[10 26]}\n");
    assert_false(f->w.scrape.bucket_limit_hit);
    native_page(f, 0, 1, 3);
    GOOD_PAGE();
    ROWS("h {schema:0 count:6 sum:2.5 zero:0@0.001 +1:[1 2 3]}\n");
}

static void too_many_buckets_of_the_lowest_schema_fail_the_scrape(void **state) {
    struct fixture *const f = *state;
    counter_page(f, 1);
    GOOD_PAGE();
    ROWS("c_total 1\n");
    f->w.config.native_histogram_bucket_limit = 3;
    native_page(f, -4, -3, 7);
    counter_page(f, 2);
    FAIL_PAGE("histogram bucket limit exceeded");
    assert_true(f->w.scrape.bucket_limit_hit);
    assert_int_equal(f->w.scrape.scraped, 2); /* it was read to its end */
    assert_int_equal(f->w.scrape.added, 2);
    counter_page(f, 3);
    GOOD_PAGE();
    ROWS("c_total 3\n");
}

static void a_dropped_histogram_is_not_looked_at(void **state) {
    struct fixture *const f = *state;
    static const struct str names[] = {STR_INIT("__name__")};
    struct regex *regex = NULL;
    assert_ok(regex_new(STR("h"), REGEX_ANCHORED, &regex, &f->err), &f->err);
    const struct relabel_rule drop = {.action = RELABEL_DROP,
                                      .source_labels = names,
                                      .source_count = 1,
                                      .separator = STR(";"),
                                      .regex = regex};
    f->w.config.metric_relabel = (struct relabel_rules){&drop, 1};
    f->w.config.native_histogram_bucket_limit = 3;
    native_page(f, -4, -3, 7); /* beyond the limit */
    native_page(f, 20, -3, 2); /* of no known schema */
    counter_page(f, 1);
    GOOD_PAGE();
    ROWS("c_total 1\n");
    regex_free(regex);
}

static void the_bucket_factor_chooses_the_schema(void **state) {
    (void)state;
    static const struct {
        double factor;
        int schema;
    } cases[] = {{0, 8},   {1, 8},     {1.002, 8},  {1.00271, 8},   {1.0028, 7},
                 {1.1, 2}, {1.09, 3},  {1.5, 0},    {2, 0},         {4, -1},
                 {17, -3}, {1e30, -4}, {65536, -4}, {INFINITY, -4}, {NAN, 8}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(histogram_max_schema(cases[i].factor), cases[i].schema);
    }
}

static void a_higher_schema_than_wanted_is_lowered(void **state) {
    struct fixture *const f = *state;
    f->w.config.native_histogram_min_bucket_factor = 2;
    native_page(f, 2, -3, 8);
    GOOD_PAGE();
    ROWS("h {schema:0 count:36 sum:2.5 zero:0@0.001 +0:[10 26]}\n");
    native_page(f, 10, -3, 8); /* which the storage would not take */
    GOOD_PAGE();
    ROWS("h {schema:0 count:36 sum:2.5 zero:0@0.001 +0:[10 26]}\n");
    f->w.config.native_histogram_min_bucket_factor = 0;
    native_page(f, 10, -3, 8);
    FAIL_PAGE("histogram has unknown schema 10");
}

/* ---- what the storage would refuse ---- */

static void counts_that_do_not_add_up_fail_the_scrape(void **state) {
    struct fixture *const f = *state;
    const int64_t deltas[] = {1, 2};
    const int64_t falling[] = {1, -2};
    pb_uint(&f->value, 1, 5);
    pb_double(&f->value, 6, 0.001);
    add_side(f, 'p', 0, deltas, 2);
    add_metric(f, 7);
    end_family(f, "h", HISTOGRAM);
    FAIL_PAGE("4 observations found in buckets, but the Count field is 5: histogram's observation "
              "count should equal the number of observations found in the buckets (in absence of "
              "NaN)");
    pb_uint(&f->value, 1, 5);
    pb_double(&f->value, 2, NAN);
    pb_double(&f->value, 6, 0.001);
    add_side(f, 'n', 0, deltas, 2);
    add_metric(f, 7);
    end_family(f, "h", HISTOGRAM);
    GOOD_PAGE(); /* with a NaN sum some observations may be in no bucket */
    ROWS("h {schema:0 count:5 sum:NaN zero:0@0.001 -0:[1 3]}\n");
    pb_uint(&f->value, 1, 0);
    pb_double(&f->value, 6, 0.001);
    add_side(f, 'n', 0, falling, 2);
    add_metric(f, 7);
    end_family(f, "h", HISTOGRAM);
    FAIL_PAGE("negative side: bucket number 2 has observation count of -1: histogram has a bucket "
              "whose observation count is negative");
}

static void spans_must_fit_their_buckets(void **state) {
    struct fixture *const f = *state;
    const int64_t deltas[] = {1, 2};
    add_side(f, 'p', 0, deltas, 2);
    pb_uint(&f->inner, 2, 3); /* one more span, of three */
    pb_message(&f->value, 12, &f->inner);
    add_metric(f, 7);
    end_family(f, "h\"", HISTOGRAM);
    FAIL_PAGE("histogram \"h\\\"\": positive side: spans require 5 buckets, have 2");
    pb_double(&f->value, 6, 0.1);
    pb_uint(&f->value, 10, 2);
    add_metric(f, 7);
    end_family(f, "h", HISTOGRAM);
    FAIL_PAGE("histogram \"h\": negative side: spans require 0 buckets, have 1");
    add_side(f, 'p', INT32_MAX, deltas, 2);
    add_metric(f, 7);
    end_family(f, "h", HISTOGRAM);
    FAIL_PAGE("histogram has a bucket too far from zero");
}

/* ---- pages that are wrong ---- */

static void wrong_pages_say_what_is_wrong(void **state) {
    struct fixture *const f = *state;
    static const struct {
        struct str page;
        const char *text;
    } cases[] = {
        {STR_INIT("\xff\xff\xff\xff\xff\x01"), "clientpb: invalid varint encountered"},
        {STR_INIT("\x80"), "clientpb: invalid varint encountered"},
        {STR_INIT("\x05\x0a"),
         "clientpb: insufficient length of buffer, expected at least 6 bytes, got 2 bytes"},
        {STR_INIT("\x02\x22\x00"), "invalid metric name: "},
        {STR_INIT("\x05\x0a\x01\xff\x22\x00"), "invalid metric name: \xff"},
        {STR_INIT("\x08\x0a\x01"
                  "a"
                  "\x12\x01\xff\x22\x00"),
         "invalid help for metric \"a\": \xff"},
        {STR_INIT("\x07\x0a\x01"
                  "a"
                  "\x18\x09\x22\x00"),
         "unknown metric type for metric \"a\": 9"},
        {STR_INIT("\x03\x0a\x05"
                  "a"),
         "unexpected EOF"},
        {STR_INIT("\x05\x08\x01\x22\x01\x0a"), "proto: wrong wire type for a field"},
        {STR_INIT("\x07\x0a\x01"
                  "a"
                  "\x22\x02\x0a\x00"),
         "invalid label name: "},
        {STR_INIT("\x0d\x0a\x01"
                  "a"
                  "\x22\x08\x0a\x06\x0a\x01"
                  "l"
                  "\x12\x01\xff"),
         "invalid label value: \xff"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buf_append_str(&f->page, cases[i].page);
        FAIL_PAGE(cases[i].text);
        assert_int_equal(f->w.scrape.scraped, 0);
    }
}

static void families_without_metrics_are_skipped(void **state) {
    struct fixture *const f = *state;
    end_family(f, "", 99); /* nor is anything else of them looked at */
    counter_page(f, 1);
    end_family(f, "e", COUNTER);
    GOOD_PAGE();
    ROWS("c_total 1\n");
    assert_int_equal(f->w.scrape.scraped, 1);
}

static void labels_may_come_in_any_order_and_twice_is_a_duplicate(void **state) {
    struct fixture *const f = *state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++) { /* b,a then a,b then a,b again */
            add_label(f, i == 0 ? STR("b") : STR("a"), i == 0 ? STR("2") : STR("1"));
            add_label(f, i == 0 ? STR("a") : STR("b"), i == 0 ? STR("1") : STR("2"));
            pb_double(&f->value, 1, i);
            add_metric(f, 2);
        }
        end_family(f, "g", GAUGE);
        GOOD_PAGE();
        ROWS("g{a=\"1\", b=\"2\"} 0\n");
        assert_int_equal(f->w.scrape.duplicates, 2);
    }
}

static void a_label_twice_fails_the_scrape(void **state) {
    struct fixture *const f = *state;
    add_label(f, STR("a"), STR("1"));
    add_label(f, STR("a"), STR("2"));
    add_metric(f, 2);
    end_family(f, "g", GAUGE);
    FAIL_PAGE("label name \"a\" is not unique: invalid sample");
}

/* ---- staleness ---- */

static void a_histogram_that_is_gone_ends_with_a_marker(void **state) {
    struct fixture *const f = *state;
    native_page(f, 0, 0, 2);
    counter_page(f, 1);
    GOOD_PAGE();
    ROWS("h {schema:0 count:3 sum:2.5 zero:0@0.001 +0:[1 2]}\nc_total 1\n");
    counter_page(f, 2);
    GOOD_PAGE();
    ROWS("h stale\nc_total 2\n");
    counter_page(f, 2);
    GOOD_PAGE();
    ROWS("c_total 2\n");
}

static void a_failed_page_is_taken_back_with_all_it_has(void **state) {
    struct fixture *const f = *state;
    f->w.features |= SCRAPE_START_ZERO;
    pb_uint(&f->inner, 1, 1000);
    pb_message(&f->value, 3, &f->inner); /* created */
    pb_double(&f->inner, 2, 1);
    pb_message(&f->value, 2, &f->inner); /* an exemplar */
    counter_page(f, 1);
    native_page(f, 0, 0, 2);
    buf_append_cstr(&f->page, "\x05");
    FAIL_PAGE("clientpb: insufficient length of buffer, expected at least 6 bytes, got 1 bytes");
    counter_page(f, 1);
    GOOD_PAGE();
    ROWS("c_total 1\nh stale\n");
}

static void a_series_may_turn_from_float_to_histogram_and_back(void **state) {
    struct fixture *const f = *state;
    for (int i = 0; i < 2; i++) {
        pb_double(&f->value, 1, 5);
        add_metric(f, 2);
        end_family(f, "h", GAUGE);
        GOOD_PAGE();
        ROWS("h 5\n");
        native_page(f, 0, 0, 1);
        GOOD_PAGE();
        ROWS("h {schema:0 count:1 sum:2.5 zero:0@0.001 +0:[1]}\n");
        GOOD(TEXT, "h 7\n");
        ROWS("h 7\n");
    }
}

static void formats_may_change_from_page_to_page(void **state) {
    struct fixture *const f = *state;
    for (int i = 0; i < 2; i++) {
        GOOD(TEXT, "# TYPE c counter\nc_total 1\nx{a=\"b\"} 2\n");
        ROWS(i == 0 ? "c_total 1\nx{a=\"b\"} 2\n" : "c_total 1\nx{a=\"b\"} 2\n");
        counter_page(f, 3);
        GOOD_PAGE();
        ROWS("c_total 3\nx{a=\"b\"} stale\n");
        counter_page(f, 4);
        GOOD_PAGE();
        ROWS("c_total 4\n");
        GOOD(OM, "# TYPE c counter\nc_total 5\n# EOF\n");
        ROWS("c_total 5\n");
    }
}

static void a_series_that_is_refused_gets_no_marker(void **state) {
    struct fixture *const f = *state;
    GOOD(TEXT, "a 1\nb 1\n");
    ROWS("a 1\nb 1\n");
    row_storage_refuse(f->w.rows, "a", ERR_DUPLICATE);
    GOOD(TEXT, "a 2\nb 2\n");
    ROWS("b 2\n");
    assert_int_equal(f->w.scrape.duplicates, 1);
    row_storage_refuse(f->w.rows, "a", ERR_OK);
    GOOD(TEXT, "b 3\n");
    ROWS("b 3\n"); /* it was not tracked any more */
}

/* ---- exemplars ---- */

static void exemplars_reach_the_row(void **state) {
    struct fixture *const f = *state;
    static const char page[] = "# TYPE a counter\na_total 1 # {b=\"2\",a=\"x\\\"y\"} 0.5 12.5\n"
                               "b 2 # {} 3\nc 3 7 # {id=\"z\"} 4\n# EOF\n";
    for (int i = 0; i < 3; i++) { /* the known lines, too */
        GOOD(OM, page);
        ROWS("a_total 1\nb 2\n7000 c 3\n"
             "12500 a_total # {a=\"x\\\\\\\"y\", b=\"2\"} 0.5\nb # {} 3\n7000 c # {id=\"z\"} 4\n");
    }
    f->w.features = 0;
    GOOD(OM, page);
    ROWS("a_total 1\nb 2\n7000 c 3\n");
}

static void exemplars_of_native_histograms_need_a_time_and_are_sorted(void **state) {
    struct fixture *const f = *state;
    static const int seconds[] = {3, 0, 2};
    for (size_t i = 0; i < COUNT_OF(seconds); i++) {
        struct buf ts;
        buf_init(&ts, 64);
        pb_double(&f->inner, 2, (double)i);
        if (seconds[i] != 0) {
            pb_uint(&ts, 1, (uint64_t)seconds[i]);
            pb_uint(&ts, 2, 7999999);
            pb_message(&f->inner, 3, &ts);
        }
        pb_message(&f->value, 16, &f->inner);
        buf_release(&ts);
    }
    native_page(f, 0, 0, 1);
    GOOD_PAGE();
    ROWS("h {schema:0 count:1 sum:2.5 zero:0@0.001 +0:[1]}\n2007 h # {} 2\n3007 h # {} 0\n");
}

/* ---- start timestamps ---- */

static void a_new_start_timestamp_brings_a_zero_before_the_sample(void **state) {
    struct fixture *const f = *state;
    f->w.features |= SCRAPE_START_ZERO;
    for (int i = 0; i < 2; i++) { /* each scrape brings it again */
        pb_uint(&f->inner, 1, 1000);
        pb_uint(&f->inner, 2, 5000000);
        pb_message(&f->value, 3, &f->inner);
        counter_page(f, 4);
        GOOD_PAGE();
        ROWS(i == 0 ? "1000005 c_total 0\nc_total 4\n" : "c_total 4\n");
        assert_int_equal(f->w.scrape.scraped, 1);
        assert_int_equal(f->w.scrape.added, 1);
    }
    pb_uint(&f->inner, 1, 1001);
    pb_message(&f->value, 3, &f->inner);
    counter_page(f, 1);
    GOOD_PAGE();
    ROWS("1001000 c_total 0\nc_total 1\n");
    pb_uint(&f->inner, 1, 99999999); /* after the sample */
    pb_message(&f->value, 3, &f->inner);
    counter_page(f, 1);
    GOOD_PAGE();
    ROWS("c_total 1\n");
}

static void the_zero_of_a_histogram_has_its_shape(void **state) {
    struct fixture *const f = *state;
    f->w.features |= SCRAPE_START_ZERO | SCRAPE_START_STORE;
    pb_uint(&f->inner, 1, 1000);
    pb_message(&f->value, 15, &f->inner);
    native_page(f, 3, 0, 2);
    GOOD_PAGE();
    ROWS("1000000 h reset {schema:3 count:0 sum:0 zero:0@0.001}\n"
         "h {schema:3 count:3 sum:2.5 zero:0@0.001 +0:[1 2]} @1000000\n");
}

static void created_lines_become_start_timestamps(void **state) {
    struct fixture *const f = *state;
    f->w.features = SCRAPE_START_STORE;
    for (int i = 0; i < 2; i++) {
        GOOD(OM, "# TYPE a counter\na_total{x=\"1\"} 1\na_created{x=\"1\"} 10.5\n"
                 "a_total{x=\"2\"} 2\na_total{x=\"3\"} 3\na_created{x=\"3\"} 20\n"
                 "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_created 30\ns_count 3\n"
                 "# TYPE g gauge\ng_created 7\n# TYPE z counter\nz_created 5\nz_total 1\n# EOF\n");
        ROWS("a_total{x=\"1\"} 1 @10500\na_total{x=\"2\"} 2\na_total{x=\"3\"} 3 @20000\n"
             "s{quantile=\"0.5\"} 1 @30000\ns_sum 2 @30000\ns_count 3 @30000\ng_created 7\n"
             "z_total 1\n");
    }
    f->w.features = 0;
    GOOD(OM, "# TYPE a counter\na_total 1\na_created 10.5\n# EOF\n");
    assert_non_null(strstr(row_storage_take(f->w.rows, false), "a_created 10.5\n"));
}

/* ---- conversion ---- */

static void classic_histograms_become_native_ones(void **state) {
    struct fixture *const f = *state;
    f->w.histograms.convert = true;
    for (int i = 0; i < 3; i++) {
        GOOD(TEXT, "# HELP h x\n# TYPE h histogram\nh_bucket{a=\"1\",le=\"1\"} 1\n"
                   "h_bucket{a=\"1\",le=\"+Inf\"} 3\nh_sum{a=\"1\"} 4\nh_count{a=\"1\"} 3\n"
                   "h_bucket{a=\"2\",le=\"1\"} 2\nh_bucket{a=\"2\",le=\"+Inf\"} 2\n"
                   "g 1\n# TYPE i histogram\ni_count 2.5\n");
        ROWS("h{a=\"1\"} {schema:-53 count:3 sum:4 bounds:[1] +0:[1 2]}\n"
             "h{a=\"2\"} {schema:-53 count:2 sum:0 bounds:[1] +0:[2]}\n"
             "g 1\ni float {schema:-53 count:2.5 sum:0 bounds:[] +0:[2.5]}\n");
        assert_int_equal(f->w.scrape.scraped, 4);
    }
    f->w.histograms.classic_too = true;
    GOOD(OM, "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_count 3\n# EOF\n");
    ROWS("h{a=\"1\"} stale\nh{a=\"2\"} stale\ng stale\ni stale\nh_bucket{le=\"1.0\"} 1\nh_count 3\n"
         "h {schema:-53 count:3 sum:0 bounds:[1] +0:[1 2]}\n");
}

static void a_classic_histogram_that_is_wrong_is_lost(void **state) {
    struct fixture *const f = *state;
    f->w.histograms.convert = true;
    GOOD(TEXT, "# TYPE h histogram\nh_bucket{a=\"1\",le=\"1\"} 5\nh_bucket{a=\"1\",le=\"2\"} 3\n"
               "h_bucket{a=\"2\",le=\"1\"} -1\nh_count{a=\"3\"} -1\n"
               "h_bucket{a=\"4\",le=\"+Inf\"} 2\nh_count{a=\"4\"} 3\n"
               "h_bucket{a=\"5\",le=\"1\"} 4\nh_count{a=\"5\"} 3\n"
               "h_bucket{a=\"6\",le=\"x\"} 1\nh_bucket{a=\"6\",le=\"NaN\"} 1\nh_bucket{a=\"6\"} 1\n"
               "h 1\nother_count 2\n");
    ROWS(
        "h_bucket{a=\"6\", le=\"x\"} 1\nh_bucket{a=\"6\", le=\"NaN\"} 1\nh_bucket{a=\"6\"} 1\nh 1\n"
        "other_count 2\n");
}

static void buckets_may_come_in_any_order(void **state) {
    struct fixture *const f = *state;
    f->w.histograms.convert = true;
    GOOD(TEXT, "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 9\nh_bucket{le=\"1\"} 1\n"
               "h_bucket{le=\"4\"} 9\nh_bucket{le=\"2\"} 5\nh_bucket{le=\"2.0\"} 4\n"
               "h_bucket{le=\"3\"} 5\n");
    ROWS("h {schema:-53 count:9 sum:0 bounds:[1 2 3 4] +0:[1 4 0 4]}\n");
    struct buf page;
    buf_init(&page, 1 << 20);
    buf_append_cstr(&page, "# TYPE h histogram\n");
    for (int i = 1000; i > 0; i--) { /* more than are put into their place one by one */
        buf_printf(&page, "h_bucket{le=\"%d\"} %d\n", i, i);
    }
    assert_ok(feed(f, TEXT, buf_str(&page)), &f->err);
    const char *const got = row_storage_take(f->w.rows, false);
    assert_non_null(strstr(got, "h {schema:-53 count:1000 sum:0 bounds:[1 2 3 "));
    buf_release(&page);
}

static void times_of_converted_histograms_are_as_in_prometheus(void **state) {
    struct fixture *const f = *state;
    f->w.histograms.convert = true;
    GOOD(TEXT, "# TYPE h histogram\nh_bucket{a=\"1\",le=\"1\"} 1 10\nh_count{a=\"1\"} 1 11\n"
               "h_count{a=\"2\"} 1 12\n# TYPE i histogram\ni_count 1 13\ng 1\n");
    ROWS("i {schema:-53 count:1 sum:0 bounds:[] +0:[1]}\ng 1\n"
         "12 h{a=\"1\"} {schema:-53 count:1 sum:0 bounds:[1] +0:[1]}\n"
         "12 h{a=\"2\"} {schema:-53 count:1 sum:0 bounds:[] +0:[1]}\n");
}

static void a_converted_histogram_in_protobuf_must_be_sound(void **state) {
    struct fixture *const f = *state;
    static const struct {
        uint64_t count, first, second;
        double bound;
        const char *text;
    } cases[] = {
        {5, 4, 3, 2, "count is not cumulative: 3 < 4"},
        {5, 4, 4, NAN, "bucket boundary must not be NaN"},
        {5, 4, 4, INFINITY, "count mismatch: count=5 != le=+Inf count=4"},
    };
    f->w.histograms.convert = true;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        pb_uint(&f->value, 1, cases[i].count);
        pb_uint(&f->inner, 1, cases[i].first);
        pb_double(&f->inner, 2, 1);
        pb_message(&f->value, 3, &f->inner);
        pb_uint(&f->inner, 1, cases[i].second);
        pb_double(&f->inner, 2, cases[i].bound);
        pb_message(&f->value, 3, &f->inner);
        add_metric(f, 7);
        end_family(f, "h", HISTOGRAM);
        FAIL_PAGE(cases[i].text);
    }
    pb_double(&f->value, 4, -1); /* float count */
    add_metric(f, 7);
    end_family(f, "h", HISTOGRAM);
    FAIL_PAGE("count must be non-negative: count=-1");
    pb_uint(&f->value, 1, 3);
    add_metric(f, 7);
    end_family(f, "h", GAUGE_HISTOGRAM);
    GOOD_PAGE();
    ROWS("h gauge {schema:-53 count:3 sum:0 bounds:[] +0:[3]}\n");
}

/* ---- metadata ---- */

static bool print_metadata(void *ctx, const struct metric_metadata *md) {
    buf_printf(ctx, "%.*s|%.*s|%.*s|%.*s\n", STR_ARG(md->family), STR_ARG(md->type),
               STR_ARG(md->unit), STR_ARG(md->help));
    return true;
}

static void metadata_of_protobuf_pages_can_be_asked(void **state) {
    struct fixture *const f = *state;
    pb_bytes(&f->family, 2, STR("one\\ \"two\"\nthree"));
    pb_bytes(&f->family, 5, STR("parsecs"));
    add_metric(f, 7);
    end_family(f, "h", GAUGE_HISTOGRAM);
    add_metric(f, 5);
    end_family(f, "odd name", 3);
    for (int i = 0; i < 2; i++) {
        assert_ok(feed(f, PROTO, buf_str(&f->page)), &f->err);
        struct buf comments;
        struct buf got;
        buf_init(&comments, 1 << 16);
        buf_init(&got, 1 << 16);
        const enum expo_format format = ingest_copy_comments(f->w.ingest, &comments);
        assert_true(metadata_each(buf_str(&comments), format, (struct labels){NULL, 0}, STR(""),
                                  &f->w.arena, print_metadata, &got));
        assert_str(buf_str(&got), "h|gaugehistogram|parsecs|one\\ \"two\"\nthree\n"
                                  "odd name|unknown||\n");
        buf_release(&got);
        buf_release(&comments);
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(too_many_buckets_lower_the_resolution),
        CASE(too_many_buckets_of_the_lowest_schema_fail_the_scrape),
        CASE(a_dropped_histogram_is_not_looked_at),
        CASE(the_bucket_factor_chooses_the_schema),
        CASE(a_higher_schema_than_wanted_is_lowered),
        CASE(counts_that_do_not_add_up_fail_the_scrape),
        CASE(spans_must_fit_their_buckets),
        CASE(wrong_pages_say_what_is_wrong),
        CASE(families_without_metrics_are_skipped),
        CASE(labels_may_come_in_any_order_and_twice_is_a_duplicate),
        CASE(a_label_twice_fails_the_scrape),
        CASE(a_histogram_that_is_gone_ends_with_a_marker),
        CASE(a_failed_page_is_taken_back_with_all_it_has),
        CASE(a_series_may_turn_from_float_to_histogram_and_back),
        CASE(formats_may_change_from_page_to_page),
        CASE(a_series_that_is_refused_gets_no_marker),
        CASE(exemplars_reach_the_row),
        CASE(exemplars_of_native_histograms_need_a_time_and_are_sorted),
        CASE(a_new_start_timestamp_brings_a_zero_before_the_sample),
        CASE(the_zero_of_a_histogram_has_its_shape),
        CASE(created_lines_become_start_timestamps),
        CASE(classic_histograms_become_native_ones),
        CASE(a_classic_histogram_that_is_wrong_is_lost),
        CASE(buckets_may_come_in_any_order),
        CASE(times_of_converted_histograms_are_as_in_prometheus),
        CASE(a_converted_histogram_in_protobuf_must_be_sound),
        CASE(metadata_of_protobuf_pages_can_be_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
