/* bucket_stats: the numbers of populated buckets of classic and native histograms, counted by hand,
 * and the lines that say them. */
#include "bucket_stats.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/check_err.h"

#define MATRIX(series) "{\"resultType\":\"matrix\",\"result\":[" series "]}"
#define BUCKET(labels, le, values)                                                                 \
    "{\"metric\":{\"__name__\":\"h_bucket\"," labels "\"le\":\"" le "\"},\"values\":[" values "]}"
#define NATIVE(ts, buckets) "[" ts ",{\"count\":\"9\",\"sum\":\"1\",\"buckets\":[" buckets "]}]"

/* What stands between the head and the aggregates, and behind them. */
static void analyze(const char *json, enum err_code want_code, const char *want_lines,
                    const char *want_totals) {
    static const char line_end[] = "\nEach line is min/avg/max over the series above.\n";
    struct arena arena;
    struct answer answer;
    struct bucket_stats stats;
    struct json_doc *doc = NULL;
    struct err err;
    struct buf text;
    arena_init(&arena, 0);
    buf_init(&text, 1 << 20);
    assert_ok(json_parse(str_of(json), &doc, &err), &err);
    assert_ok(answer_read(&arena, json_root(doc), &answer, &err), &err);
    bucket_stats_begin(&stats, &arena, &text);
    buf_clear(&text);
    assert_int_equal(bucket_stats_add(&stats, &answer, &err), want_code);
    buf_append_char(&text, '\0');
    assert_string_equal(text.ptr, want_lines);
    buf_clear(&text);
    bucket_stats_end(&stats);
    buf_append_char(&text, '\0');
    const char *totals = strstr(text.ptr, line_end);
    assert_non_null(totals);
    assert_string_equal(totals + strlen(line_end), want_totals);
    json_doc_free(doc);
    buf_release(&text);
    arena_release(&arena);
}

static void classic_buckets_are_counted_between_their_bounds(void **state) {
    (void)state;
    /* at 1: 2, 0, 3, 0; at 2: 2, 1, 3, 0; bounds in no order */
    analyze(MATRIX(BUCKET("", "+Inf", "[1,\"5\"],[2,\"6\"]") "," BUCKET(
                "", "1",
                "[1,\"2\"],[2,\"2\"]") "," BUCKET("", "10",
                                                  "[1,\"5\"],[2,\"6\"]") "," BUCKET("", "5",
                                                                                    "[1,\"2\"],[2,"
                                                                                    "\"3\"]")),
            ERR_OK, "- h_bucket{} (classic): 2/2.500/3/4\n",
            "\nClassic histogram series (1 in total):\n- min populated: 2/2.000/2\n"
            "- avg populated: 2/2.000/2\n- max populated: 3/3.000/3\n- total: 4/4.000/4\n");
}

static void each_label_set_is_a_histogram(void **state) {
    (void)state;
    analyze(MATRIX(BUCKET("\"a\":\"2\",", "1", "[1,\"1\"],[2,\"1\"]") "," BUCKET(
                "\"a\":\"1\",", "1", "[1,\"0\"],[2,\"0\"]") "," BUCKET("\"a\":\"2\",", "+Inf",
                                                                       "[1,\"2\"],[2,\"2\"]")),
            ERR_OK,
            "- h_bucket{a=\"1\"} (classic): 0/0.000/0/1\n- h_bucket{a=\"2\"} (classic): "
            "2/2.000/2\n",
            "\nClassic histogram series (2 in total):\n- min populated: 0/1.000/2\n"
            "- avg populated: 0/1.000/2\n- max populated: 0/1.000/2\n- total: 1/1.500/2\n");
}

static void native_buckets_are_counted_and_their_union_is_the_total(void **state) {
    (void)state;
    analyze(
        MATRIX("{\"metric\":{\"__name__\":\"n\",\"b\":\"c\"},\"histograms\":[" NATIVE(
            "1",
            "[0,\"1\",\"2\",\"3\"]") "," NATIVE("2",
                                                "[0,\"1\",\"2\",\"3\"],[0,\"2\",\"4\","
                                                "\"1\"]") "]},"
                                                          "{\"metric\":{\"__name__\":"
                                                          "\"m\"},\"histograms\":"
                                                          "[" NATIVE(
                                                              "1",
                                                              "[0,\"1\","
                                                              "\"2\","
                                                              "\"3\"]") "," NATIVE("2",
                                                                                   "[0,\"2\",\"4\","
                                                                                   "\"1\"]") "]}"),
        ERR_OK, "- n{b=\"c\"} (native): 1/1.500/2\n- m (native): 1/1.000/1/2\n",
        "\nNative histogram series (2 in total):\n- min populated: 1/1.000/1\n"
        "- avg populated: 1/1.000/1\n- max populated: 1/1.500/2\n- total: 2/2.000/2\n");
}

static void what_is_no_histogram_or_too_short_is_left_out(void **state) {
    (void)state;
    analyze(MATRIX(BUCKET(
                "", "1",
                "[1,\"1\"]") ","
                             "{\"metric\":{\"__name__\":\"up\"},\"values\":[[1,\"1\"],[2,\"1\"]]},"
                             "{\"metric\":{\"__name__\":\"x_bucket\"},\"values\":[[1,\"1\"],[2,"
                             "\"1\"]]},"
                             "{\"metric\":{\"__name__\":\"up\",\"le\":\"1\"},\"values\":[[1,\"1\"],"
                             "[2,\"1\"]"
                             "]},{\"metric\":{\"__name__\":\"n\"},\"histograms\":[" NATIVE(
                                 "1", "") "]}"),
            ERR_OK, "", "");
}

static void buckets_of_different_times_are_refused(void **state) {
    (void)state;
    analyze(
        MATRIX(BUCKET("", "1", "[1,\"1\"],[2,\"1\"]") "," BUCKET("", "2", "[1,\"1\"],[3,\"1\"]")),
        ERR_INVALID, "", "");
}

static void a_bucket_with_fewer_samples_counts_as_empty_where_it_has_none(void **state) {
    (void)state;
    analyze(MATRIX(BUCKET("", "1", "[1,\"1\"],[2,\"1\"]") "," BUCKET("", "2", "[1,\"3\"]")), ERR_OK,
            "- h_bucket{} (classic): 1/1.500/2\n",
            "\nClassic histogram series (1 in total):\n- min populated: 1/1.000/1\n"
            "- avg populated: 1/1.000/1\n- max populated: 2/2.000/2\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classic_buckets_are_counted_between_their_bounds),
        cmocka_unit_test(each_label_set_is_a_histogram),
        cmocka_unit_test(native_buckets_are_counted_and_their_union_is_the_total),
        cmocka_unit_test(what_is_no_histogram_or_too_short_is_left_out),
        cmocka_unit_test(buckets_of_different_times_are_refused),
        cmocka_unit_test(a_bucket_with_fewer_samples_counts_as_empty_where_it_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
