/* ingest with features: labels of type and unit, start timestamps that the target does not give,
 * and the reason a target fails for as a series. The rules are those of Prometheus (spec/scrape.md
 * 5.5 and 6); expected rows are what its scrape loop appends for the same pages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/labels.h"
#include "base/mem.h"
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

static enum err_code feed(struct ingest_world *f, enum expo_format format, struct str page,
                          enum scrape_failure failure, struct err *err) {
    enum { ROOM = 64 };
    struct ingest_report report = {.up = failure == FAILURE_NONE, .failure = failure};
    ingest_world_begin(f, format);
    enum err_code code = ERR_OK;
    ingest_begin(f->ingest, f->scratch);
    if (failure == FAILURE_NONE) {
        char *const copy = malloc(page.len + ROOM);
        memcpy(copy, page.ptr, page.len);
        memset(copy + page.len, '7', ROOM);
        code =
            ingest_page(f->ingest, f->scratch, &f->scrape, (struct str){copy, page.len}, ROOM, err);
        free(copy);
        report.up = code == ERR_OK;
        report.failure = report.up ? FAILURE_NONE : FAILURE_PARSE;
    }
    ingest_world_commit(f, f->ingest, &report);
    return code;
}

static bool is_report(struct str row) {
    static const char *const names[] = {"up{", "scrape_duration_", "scrape_samples_",
                                        "scrape_series_"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (str_starts(row, str_of(names[i]))) {
            return true;
        }
    }
    return false;
}

/* What was stored but for the report series; the time of the scrape is not shown. */
static void check_rows(struct ingest_world *f, const char *want, const char *file, int line) {
    struct buf rows;
    struct buf text;
    buf_init(&rows, 1 << 20);
    buf_init(&text, 1 << 20);
    ingest_world_rows(f, true, &rows);
    for (struct str rest = buf_str(&rows); rest.len > 0;) {
        const struct str row = str_sub(rest, 0, (size_t)str_find_char(rest, '\n') + 1);
        buf_append_str(&text, is_report(row) ? STR("") : row);
        rest = str_from(rest, row.len);
    }
    check_str(buf_str(&text), want, file, line);
    buf_release(&text);
    buf_release(&rows);
}

static void expect(struct ingest_world *f, enum expo_format format, const char *page,
                   const char *want, const char *file, int line) {
    struct err err = {0};
    check_ok(feed(f, format, str_of(page), FAILURE_NONE, &err), &err, file, line);
    check_rows(f, want, file, line);
}

#define EXPECT(format, page, want) expect(f, (format), (page), (want), __FILE__, __LINE__)

/* ---- type and unit ---- */

static void types_and_units_become_labels(void **state) {
    struct ingest_world *const f = *state;
    f->features = SCRAPE_META_LABELS;
    EXPECT(OM,
           "bare 1\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total 2\n"
           "other 3\n# TYPE b gauge\nb 4\n# TYPE c unknown\n# UNIT \"c\" \nc 5\n# EOF\n",
           "bare{job=\"j\"} 1\n"
           "a_seconds_total{__type__=\"counter\", __unit__=\"seconds\", job=\"j\"} 2\n"
           "other{__type__=\"counter\", __unit__=\"seconds\", job=\"j\"} 3\n"
           "b{__type__=\"gauge\", __unit__=\"seconds\", job=\"j\"} 4\n"
           "c{job=\"j\"} 5\n");
}

static void units_of_lines_that_were_known_hold_for_new_ones(void **state) {
    struct ingest_world *const f = *state;
    f->features = SCRAPE_META_LABELS;
    EXPECT(OM, "# TYPE a_s gauge\n# UNIT a_s s\na_s 1\n# TYPE b gauge\nb 1\n# EOF\n",
           "a_s{__type__=\"gauge\", __unit__=\"s\", job=\"j\"} 1\n"
           "b{__type__=\"gauge\", __unit__=\"s\", job=\"j\"} 1\n");
    EXPECT(OM, "# TYPE a_s gauge\n# UNIT a_s s\na_s 2\n# TYPE b gauge\nb 2\nb{n=\"1\"} 3\n# EOF\n",
           "a_s{__type__=\"gauge\", __unit__=\"s\", job=\"j\"} 2\n"
           "b{__type__=\"gauge\", __unit__=\"s\", job=\"j\"} 2\n"
           "b{__type__=\"gauge\", __unit__=\"s\", job=\"j\", n=\"1\"} 3\n");
    EXPECT(OM,
           "# TYPE a_s gauge\n# UNIT a_s s\na_s 2\n# TYPE b gauge\nb 2\nb{n=\"1\"} 3\n"
           "# UNIT \"q\\\"x y_m\" m\nb{n=\"2\"} 4\n# EOF\n",
           "a_s{__type__=\"gauge\", __unit__=\"s\", job=\"j\"} 2\n"
           "b{__type__=\"gauge\", __unit__=\"s\", job=\"j\"} 2\n"
           "b{__type__=\"gauge\", __unit__=\"s\", job=\"j\", n=\"1\"} 3\n"
           "b{__type__=\"gauge\", __unit__=\"m\", job=\"j\", n=\"2\"} 4\n");
}

static void exposed_labels_give_way_to_those_of_the_family(void **state) {
    struct ingest_world *const f = *state;
    f->features = SCRAPE_META_LABELS;
    EXPECT(TEXT,
           "a{__type__=\"mine\",__unit__=\"m\"} 1\n# TYPE b counter\nb{__type__=\"mine\"} 2\n",
           "a{__type__=\"mine\", __unit__=\"m\", job=\"j\"} 1\n"
           "b{__type__=\"counter\", job=\"j\"} 2\n");
}

static void without_the_feature_there_are_no_labels_of_type(void **state) {
    struct ingest_world *const f = *state;
    EXPECT(TEXT, "# TYPE b counter\nb{__type__=\"mine\"} 2\n",
           "b{__type__=\"mine\", job=\"j\"} 2\n");
}

static void converted_histograms_carry_their_type(void **state) {
    struct ingest_world *const f = *state;
    f->features = SCRAPE_META_LABELS;
    f->histograms.convert = true;
    EXPECT(
        TEXT,
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
        "h{__type__=\"histogram\", job=\"j\"} "
        "{schema:-53 count:2 sum:3 bounds:[1] +0:[1 1]}\n");
}

/* ---- start timestamps ---- */

static void counters_count_from_their_first_sample(void **state) {
    struct ingest_world *const f = *state;
    f->features = SCRAPE_START_MAKE | SCRAPE_START_STORE;
    EXPECT(TEXT, "# TYPE c counter\nc 100\n# TYPE g gauge\ng 7\n", "g{job=\"j\"} 7\n");
    assert_int_equal(f->scrape.added, 2);
    assert_int_equal(f->scrape.series_added, 2);
    EXPECT(TEXT, "# TYPE c counter\nc 105\n# TYPE g gauge\ng 7\n",
           "c{job=\"j\"} 5 @1700000000\ng{job=\"j\"} 7\n");
    EXPECT(TEXT, "# TYPE c counter\nc 105.5\n# TYPE g gauge\ng 6\n",
           "c{job=\"j\"} 5.5 @1700000000\ng{job=\"j\"} 6\n");
    /* a reset */
    EXPECT(TEXT, "# TYPE c counter\nc 3\n", "c{job=\"j\"} 3 @1700002999\ng{job=\"j\"} stale\n");
    EXPECT(TEXT, "# TYPE c counter\nc 4\n", "c{job=\"j\"} 4 @1700002999\n");
}

static void a_series_that_ended_starts_again(void **state) {
    struct ingest_world *const f = *state;
    f->features = SCRAPE_START_MAKE | SCRAPE_START_STORE;
    EXPECT(TEXT, "# TYPE c counter\nc 100\n", "");
    EXPECT(TEXT, "# TYPE c counter\nc 101\n", "c{job=\"j\"} 1 @1700000000\n");
    EXPECT(TEXT, "# TYPE c counter\n", "c{job=\"j\"} stale\n");
    EXPECT(TEXT, "# TYPE c counter\nc 102\n", "");
    EXPECT(TEXT, "# TYPE c counter\nc 104\n", "c{job=\"j\"} 2 @1700003000\n");
}

static void only_what_counts_has_a_start(void **state) {
    struct ingest_world *const f = *state;
    static const char page[] = "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3\n"
                               "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 4\nh_sum 5\nh_count 4\n"
                               "# TYPE c_total counter\nc_total 6\nx_total 7\n# HELP y z\ny 8\n";
    f->features = SCRAPE_START_MAKE | SCRAPE_START_STORE;
    EXPECT(TEXT, page, "s{job=\"j\", quantile=\"0.5\"} 1\nx_total{job=\"j\"} 7\ny{job=\"j\"} 8\n");
    EXPECT(TEXT, page,
           "s{job=\"j\", quantile=\"0.5\"} 1\n"
           "s_sum{job=\"j\"} 0 @1700000000\n"
           "s_count{job=\"j\"} 0 @1700000000\n"
           "h_bucket{job=\"j\", le=\"+Inf\"} 0 @1700000000\n"
           "h_sum{job=\"j\"} 0 @1700000000\n"
           "h_count{job=\"j\"} 0 @1700000000\n"
           "c_total{job=\"j\"} 0 @1700000000\n"
           "x_total{job=\"j\"} 7\n"
           "y{job=\"j\"} 8\n");
}

static void a_given_start_is_kept(void **state) {
    struct ingest_world *const f = *state;
    static const char page[] = "# TYPE c counter\nc_total 6\nc_created 1600000\n# EOF\n";
    f->features = SCRAPE_START_MAKE | SCRAPE_START_STORE;
    EXPECT(OM, page, "c_total{job=\"j\"} 6 @1600000000\n");
    f->features = SCRAPE_START_MAKE; /* not looked for: the line of the start is a sample */
    EXPECT(OM, page, "c_created{job=\"j\"} 1.6e+06\n");
}

static void own_times_count_as_well(void **state) {
    struct ingest_world *const f = *state;
    f->features = SCRAPE_START_MAKE | SCRAPE_START_STORE;
    EXPECT(TEXT, "# TYPE c counter\nc 100 1699990000\n", "");
    EXPECT(TEXT, "# TYPE c counter\nc 104 1699995000\n", "1699995000 c{job=\"j\"} 4 @1699990000\n");
    /* tracked, although it has times of its own */
    EXPECT(TEXT, "# TYPE d counter\n", "c{job=\"j\"} stale\n");
}

static void a_second_sample_in_a_page_takes_the_start_away(void **state) {
    struct ingest_world *const f = *state;
    f->features = SCRAPE_START_MAKE | SCRAPE_START_STORE;
    EXPECT(TEXT, "# TYPE c counter\nc 100\n", "");
    EXPECT(TEXT, "# TYPE c counter\nc 101\nc 101\n", "c{job=\"j\"} 1 @1700000000\n");
    assert_int_equal(f->scrape.duplicates, 1);
    EXPECT(TEXT, "# TYPE c counter\nc 103\n", "");
    EXPECT(TEXT, "# TYPE c counter\nc 104\n", "c{job=\"j\"} 1 @1700002000\n");
}

static void a_refused_sample_takes_the_start_away(void **state) {
    struct ingest_world *const f = *state;
    f->features = SCRAPE_START_MAKE | SCRAPE_START_STORE;
    EXPECT(TEXT, "# TYPE c counter\nc 100\n", "");
    EXPECT(TEXT, "# TYPE c counter\nc 101\n", "c{job=\"j\"} 1 @1700000000\n");
    row_storage_refuse(f->rows, "c{job=\"j\"}", ERR_OUT_OF_ORDER);
    EXPECT(TEXT, "# TYPE c counter\nc 102\n", "");
    row_storage_refuse(f->rows, "c{job=\"j\"}", ERR_OK);
    EXPECT(TEXT, "# TYPE c counter\nc 103\n", "");
    EXPECT(TEXT, "# TYPE c counter\nc 110\n", "c{job=\"j\"} 7 @1700003000\n");
}

static void first_samples_do_not_count_for_the_sample_limit(void **state) {
    struct ingest_world *const f = *state;
    f->features = SCRAPE_START_MAKE;
    f->config.sample_limit = 1;
    EXPECT(TEXT, "# TYPE c counter\nc{n=\"1\"} 1\nc{n=\"2\"} 2\n", "");
    struct err err;
    assert_err(
        feed(f, TEXT, STR("# TYPE c counter\nc{n=\"1\"} 1\nc{n=\"2\"} 2\n"), FAILURE_NONE, &err),
        ERR_LIMIT, "sample limit exceeded", &err);
}

static void converted_histograms_count_from_their_first(void **state) {
    struct ingest_world *const f = *state;
    f->features = SCRAPE_START_MAKE | SCRAPE_START_STORE;
    f->histograms.convert = true;
#define HISTOGRAM(a, b, sum)                                                                       \
    "# TYPE h histogram\nh_bucket{le=\"1\"} " a "\nh_bucket{le=\"+Inf\"} " b "\nh_sum " sum        \
    "\nh_count " b "\n"
    EXPECT(TEXT, HISTOGRAM("1", "2", "3"), "");
    EXPECT(TEXT, HISTOGRAM("4", "6", "9"),
           "h{job=\"j\"} {schema:-53 count:4 sum:6 bounds:[1] +0:[3 1]} @1700000000\n");
    /* a reset: nothing is subtracted any more */
    EXPECT(TEXT, HISTOGRAM("1", "1", "1"),
           "h{job=\"j\"} {schema:-53 count:1 sum:1 bounds:[1] +0:[1]} @1700001999\n");
    EXPECT(TEXT, HISTOGRAM("2", "2", "2"),
           "h{job=\"j\"} {schema:-53 count:2 sum:2 bounds:[1] +0:[2]} @1700001999\n");
    EXPECT(TEXT, "", "h{job=\"j\"} stale\n");
#undef HISTOGRAM
}

/* ---- why a target fails ---- */

static void fail_with(struct ingest_world *f, enum scrape_failure failure) {
    struct err err;
    (void)feed(f, TEXT, STR(""), failure, &err);
}

static void the_reason_is_a_series_while_the_target_fails(void **state) {
    struct ingest_world *const f = *state;
    f->features = SCRAPE_REASONS;
    EXPECT(TEXT, "a 1\n", "a{job=\"j\"} 1\n");
    fail_with(f, FAILURE_TIMEOUT);
    check_rows(f, "a{job=\"j\"} stale\nscrape_failure_reason{job=\"j\", reason=\"timeout\"} 1\n",
               __FILE__, __LINE__);
    fail_with(f, FAILURE_TIMEOUT);
    check_rows(f, "scrape_failure_reason{job=\"j\", reason=\"timeout\"} 1\n", __FILE__, __LINE__);
    fail_with(f, FAILURE_CONNECT);
    check_rows(f,
               "scrape_failure_reason{job=\"j\", reason=\"timeout\"} stale\n"
               "scrape_failure_reason{job=\"j\", reason=\"connect\"} 1\n",
               __FILE__, __LINE__);
    EXPECT(TEXT, "a 2\n",
           "a{job=\"j\"} 2\nscrape_failure_reason{job=\"j\", reason=\"connect\"} stale\n");
    EXPECT(TEXT, "a 3\n", "a{job=\"j\"} 3\n");
}

static void the_reason_ends_with_the_target(void **state) {
    struct ingest_world *const f = *state;
    struct err err;
    f->features = SCRAPE_REASONS;
    fail_with(f, FAILURE_STATUS);
    check_rows(f, "scrape_failure_reason{job=\"j\", reason=\"status\"} 1\n", __FILE__, __LINE__);
    assert_ok(ingest_end(f->ingest, f->scratch, f->now_ms, &err), &err);
    f->now_ms += 1000;
    check_rows(f, "scrape_failure_reason{job=\"j\", reason=\"status\"} stale\n", __FILE__,
               __LINE__);
}

static void a_page_that_does_not_parse_has_a_reason(void **state) {
    struct ingest_world *const f = *state;
    struct err err;
    f->features = SCRAPE_REASONS;
    assert_true(feed(f, TEXT, STR("}\n"), FAILURE_NONE, &err) != ERR_OK);
    check_rows(f, "scrape_failure_reason{job=\"j\", reason=\"parse\"} 1\n", __FILE__, __LINE__);
}

static void a_label_of_the_target_gives_way_to_the_reason(void **state) {
    struct ingest_world *const f = *state;
    const struct label label = {STR("reason"), STR("mine")};
    f->features = SCRAPE_REASONS;
    f->target = labels_of(&f->arena, &label, 1);
    fail_with(f, FAILURE_TLS);
    check_rows(f, "scrape_failure_reason{reason=\"tls\"} 1\n", __FILE__, __LINE__);
}

static void without_the_switch_there_is_no_reason(void **state) {
    struct ingest_world *const f = *state;
    fail_with(f, FAILURE_TIMEOUT);
    check_rows(f, "", __FILE__, __LINE__);
}

static void a_full_storage_goes_without_the_reason(void **state) {
    struct ingest_world *const f = *state;
    f->features = SCRAPE_REASONS;
    EXPECT(TEXT, "a 1\n", "a{job=\"j\"} 1\n");
    row_storage_set_series_max(f->rows, row_storage_series_count(f->rows));
    fail_with(f, FAILURE_TIMEOUT);
    check_rows(f, "a{job=\"j\"} stale\n", __FILE__, __LINE__);
}

static void the_feature_adds_report_series_where_nobody_chose(void **state) {
    struct ingest_world *const f = *state;
    f->features = SCRAPE_EXTRA_METRICS;
    EXPECT(TEXT, "a 1\n", "a{job=\"j\"} 1\n");
    f->config.default_extra_metrics = true;
    EXPECT(TEXT, "a 1\n",
           "a{job=\"j\"} 1\nscrape_timeout_seconds{job=\"j\"} 0\n"
           "scrape_sample_limit{job=\"j\"} 0\nscrape_body_size_bytes{job=\"j\"} 0\n");
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(types_and_units_become_labels),
        CASE(units_of_lines_that_were_known_hold_for_new_ones),
        CASE(exposed_labels_give_way_to_those_of_the_family),
        CASE(without_the_feature_there_are_no_labels_of_type),
        CASE(converted_histograms_carry_their_type),
        CASE(counters_count_from_their_first_sample),
        CASE(a_series_that_ended_starts_again),
        CASE(only_what_counts_has_a_start),
        CASE(a_given_start_is_kept),
        CASE(own_times_count_as_well),
        CASE(a_second_sample_in_a_page_takes_the_start_away),
        CASE(a_refused_sample_takes_the_start_away),
        CASE(first_samples_do_not_count_for_the_sample_limit),
        CASE(converted_histograms_count_from_their_first),
        CASE(the_reason_is_a_series_while_the_target_fails),
        CASE(the_reason_ends_with_the_target),
        CASE(a_page_that_does_not_parse_has_a_reason),
        CASE(a_label_of_the_target_gives_way_to_the_reason),
        CASE(without_the_switch_there_is_no_reason),
        CASE(the_feature_adds_report_series_where_nobody_chose),
        CASE(a_full_storage_goes_without_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
