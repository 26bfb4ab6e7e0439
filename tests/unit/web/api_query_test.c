/* /api/v1/query and its kin: exact answers of a small storage, limits, warnings, errors, times. */
#include <stdio.h>
#include <string.h>

#include "base/histogram.h"
#include "tests/support/check_err.h"
#include "tests/unit/web/web_world.h"

static struct web_world world;

static int setup(void **state) {
    web_world_init(&world);
    fake_storage_load(world.fs, 10000, "m{a=\"1\"}", "1 2 3");
    fake_storage_load(world.fs, 10000, "m{a=\"2\"}", "0.5 NaN Inf");
    *state = &world;
    return 0;
}

static int teardown(void **state) {
    web_world_release(*state);
    return 0;
}

#define OK(data) "{\"status\":\"success\",\"data\":" data "}"
#define FAILED(type, text)                                                                         \
    "{\"status\":\"error\",\"errorType\":\"" type "\",\"error\":\"" text "\"}"

struct row {
    const char *target;
    int status;
    const char *want;
};

static void check_rows(struct web_world *w, const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *got = web_world_get(w, rows[i].target);
        if (strcmp(got, rows[i].want) != 0 || w->out.status != rows[i].status) {
            fail_msg("%s\n got  %d %s\n want %d %s", rows[i].target, w->out.status, got,
                     rows[i].status, rows[i].want);
        }
        assert_string_equal(w->out.content_type, "application/json");
    }
}

#define CHECK(w, rows) check_rows(w, rows, sizeof(rows) / sizeof(rows[0]))

static void each_type_of_result_has_its_shape(void **state) {
    static const struct row rows[] = {
        {"/api/v1/query?query=m&time=10", 200,
         OK("{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"__name__\":\"m\",\"a\":\"1\"},"
            "\"value\":[10,\"2\"]},{\"metric\":{\"__name__\":\"m\",\"a\":\"2\"},\"value\":[10,"
            "\"NaN\"]}]}")},
        {"/api/v1/query?query=m%7Ba%3D%222%22%7D&time=20.5", 200,
         OK("{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"__name__\":\"m\",\"a\":\"2\"},"
            "\"value\":[20.500,\"+Inf\"]}]}")},
        {"/api/v1/query?query=m%7Ba%3D%221%22%7D%5B15s%5D&time=20", 200,
         OK("{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"__name__\":\"m\",\"a\":\"1\"},"
            "\"values\":[[10,\"2\"],[20,\"3\"]]}]}")},
        {"/api/v1/query?query=1e21&time=1435781451.781", 200,
         OK("{\"resultType\":\"scalar\",\"result\":[1435781451.781,\"1000000000000000000000\"]}")},
        {"/api/v1/query?query=vector(1e21)&time=-1.05", 200,
         OK("{\"resultType\":\"vector\",\"result\":[{\"metric\":{},\"value\":[-1.050,\"1e+21\"]}]"
            "}")},
        {"/api/v1/query?query=%22a%3Cb%22&time=1.5", 200,
         OK("{\"resultType\":\"string\",\"result\":[1.5,\"a\\u003cb\"]}")},
        {"/api/v1/query?query=none&time=1", 200, OK("{\"resultType\":\"vector\",\"result\":[]}")},
        {"/api/v1/query?query=1", 200,
         OK("{\"resultType\":\"scalar\",\"result\":[1435781451,\"1\"]}")},
        {"/api/v1/query_range?query=m%7Ba%3D%221%22%7D&start=0&end=20&step=10", 200,
         OK("{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"__name__\":\"m\",\"a\":\"1\"},"
            "\"values\":[[0,\"1\"],[10,\"2\"],[20,\"3\"]]}]}")},
        {"/api/v1/query_range?query=2&start=1970-01-01T00:00:00Z&end=1970-01-01T00:00:01Z&step=1s",
         200,
         OK("{\"resultType\":\"matrix\",\"result\":[{\"metric\":{},\"values\":[[0,\"2\"],[1,\"2\"]]"
            "}]}")},
    };
    CHECK(*state, rows);
}

static void bad_parameters_say_which_and_why(void **state) {
    static const struct row rows[] = {
        {"/api/v1/query?query=up(", 400,
         FAILED("bad_data", "invalid parameter \\\"query\\\": 1:4: parse error: unclosed left "
                            "parenthesis")},
        {"/api/v1/query?query=1&time=x%3C", 400,
         FAILED("bad_data", "invalid parameter \\\"time\\\": invalid time value for 'time': cannot "
                            "parse \\\"x\\u003c\\\" to a valid timestamp")},
        {"/api/v1/query?query=1&limit=x", 400,
         FAILED(
             "bad_data",
             "invalid parameter \\\"limit\\\": strconv.Atoi: parsing \\\"x\\\": invalid syntax")},
        {"/api/v1/query?query=1&limit=-1", 400,
         FAILED("bad_data", "invalid parameter \\\"limit\\\": limit must be non-negative")},
        {"/api/v1/query?query=1&timeout=x", 400,
         FAILED("bad_data", "invalid parameter \\\"timeout\\\": cannot parse \\\"x\\\" to a valid "
                            "duration")},
        {"/api/v1/query?query=1&lookback_delta=x", 400,
         FAILED("bad_data", "error parsing lookback delta duration: cannot parse \\\"x\\\" to a "
                            "valid duration")},
        {"/api/v1/query_range?query=1", 400,
         FAILED("bad_data",
                "invalid parameter \\\"start\\\": cannot parse \\\"\\\" to a valid timestamp")},
        {"/api/v1/query_range?query=1&start=2&end=1&step=1", 400,
         FAILED("bad_data",
                "invalid parameter \\\"end\\\": end timestamp must not be before start time")},
        {"/api/v1/query_range?query=1&start=1&end=2&step=x", 400,
         FAILED("bad_data",
                "invalid parameter \\\"step\\\": cannot parse \\\"x\\\" to a valid duration")},
        {"/api/v1/query_range?query=1&start=1&end=2&step=0", 400,
         FAILED("bad_data",
                "invalid parameter \\\"step\\\": zero or negative query resolution step "
                "widths are not accepted. Try a positive integer")},
        {"/api/v1/query_range?query=1&start=0&end=11001&step=1", 400,
         FAILED("bad_data", "exceeded maximum resolution of 11,000 points per timeseries. Try "
                            "decreasing the query resolution (?step=XX)")},
        /* checked in this order: limit, start, end, step, resolution, timeout, query */
        {"/api/v1/query_range?query=(&start=x&end=y&step=z&limit=q", 400,
         FAILED(
             "bad_data",
             "invalid parameter \\\"limit\\\": strconv.Atoi: parsing \\\"q\\\": invalid syntax")},
    };
    CHECK(*state, rows);
}

static void a_limit_cuts_and_warns(void **state) {
    static const struct row rows[] = {
        {"/api/v1/query?query=m&time=0&limit=1", 200,
         "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{"
         "\"__name__\":\"m\",\"a\":\"1\"},\"value\":[0,\"1\"]}]},\"warnings\":[\"results truncated "
         "due to limit\"]}"},
        {"/api/v1/query_range?query=m&start=0&end=0&step=1&limit=1", 200,
         "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[{\"metric\":{"
         "\"__name__\":\"m\",\"a\":\"1\"},\"values\":[[0,\"1\"]]}]},\"warnings\":[\"results "
         "truncated due to limit\"]}"},
    };
    CHECK(*state, rows);
    assert_null(strstr(web_world_get(*state, "/api/v1/query?query=m&time=0&limit=2"), "warnings"));
    assert_null(strstr(web_world_get(*state, "/api/v1/query?query=m&time=0&limit=0"), "warnings"));
}

static void execution_errors_have_their_own_types(void **state) {
    struct web_world *w = *state;
    static const struct row rows[] = {
        {"/api/v1/query?query=m%2Bon()m&time=0", 422, NULL},
    };
    const char *body = web_world_get(w, rows[0].target);
    assert_int_equal(w->out.status, 422);
    assert_non_null(strstr(body, "\"errorType\":\"execution\""));
    fake_storage_fail_read(w->fs, 0, ERR_IO);
    body = web_world_get(w, "/api/v1/query?query=m&time=0");
    assert_int_equal(w->out.status, 500);
    assert_non_null(strstr(body, "\"errorType\":\"internal\""));
    web_world_request(w, HTTP_GET, "/api/v1/query?query=m&time=0", STR(""));
    cancel_raise(&w->in.cancel);
    assert_int_equal(web_world_run(w), 499);
    assert_non_null(strstr(w->out.body.ptr, "\"errorType\":\"canceled\""));
}

static void stats_come_when_asked_for(void **state) {
    struct web_world *w = *state;
    const char *body = web_world_get(w, "/api/v1/query?query=m&time=0&stats=true");
    assert_non_null(strstr(body, "\"stats\":{\"timings\":{\"evalTotalTime\":"));
    assert_non_null(strstr(body, "},\"samples\":{\"totalQueryableSamples\":2,\"samplesRead\":"));
    assert_null(strstr(body, "warnings"));
    body = web_world_get(w, "/api/v1/query?query=m&time=0&stats=yes");
    assert_non_null(strstr(body, "\"warnings\":[\"value \\\"yes\\\" for parameter \\\"stats\\\" is "
                                 "deprecated and will be rejected in the next major release, use "
                                 "\\\"true\\\" or \\\"all\\\"\"]"));
}

/* Each rate of what does not look like a counter gives one of its own. */
static void more_than_ten_annotations_are_counted(void **state) {
    struct web_world *w = *state;
    struct buf query;
    buf_init(&query, 64 * 1024);
    buf_append_cstr(&query, "/api/v1/query?time=20&query=");
    for (int i = 0; i < 12; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "n%d", i);
        fake_storage_load(w->fs, 10000, name, "1 2 3");
        buf_printf(&query, "%srate(%s%%5B30s%%5D)", i > 0 ? "%20or%20" : "", name);
    }
    const char *body = web_world_get(w, query.ptr);
    buf_release(&query);
    assert_int_equal(w->out.status, 200);
    assert_non_null(strstr(body, "\"infos\":[\"PromQL info: "));
    assert_non_null(strstr(body, ",\"2 more info annotations omitted\"]}"));
}

static void forms_are_read_as_parameters(void **state) {
    struct web_world *w = *state;
    web_world_request(w, HTTP_POST, "/api/v1/query?query=2", STR("query=3&time=1"));
    assert_int_equal(web_world_run(w), 200);
    assert_string_equal(w->out.body.ptr, OK("{\"resultType\":\"scalar\",\"result\":[1,\"3\"]}"));
}

static void labels_are_not_escaped_for_html_and_other_texts_are(void **state) {
    struct web_world *w = *state;
    const struct label l[] = {{LABEL_NAME, STR("x")}, {STR("v"), STR("<&>\"\\\n\x01")}};
    struct arena arena;
    arena_init(&arena, 0);
    fake_storage_put(w->fs, labels_of(&arena, l, 2), 0, 1);
    arena_release(&arena);
    static const struct row rows[] = {
        {"/api/v1/query?query=x&time=0", 200,
         OK("{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"__name__\":\"x\",\"v\":\"<&>\\\""
            "\\\\\\n\\u0001\"},\"value\":[0,\"1\"]}]}")},
        {"/api/v1/series?match[]=x", 200,
         OK("[{\"__name__\":\"x\",\"v\":\"<&>\\\"\\\\\\n\\u0001\"}]")},
        {"/api/v1/label/v/values", 200, OK("[\"\\u003c\\u0026\\u003e\\\"\\\\\\n\\u0001\"]")},
    };
    CHECK(w, rows);
}

static void expressions_are_formatted_and_parsed(void **state) {
    static const struct row rows[] = {
        {"/api/v1/format_query?query=foo%2Fbar", 200, OK("\"foo / bar\"")},
        {"/api/v1/parse_query?query=1", 200, OK("{\"type\":\"numberLiteral\",\"val\":\"1\"}")},
        {"/api/v1/parse_query?query=", 400,
         FAILED("bad_data", "invalid parameter \\\"query\\\": unknown position: parse error: no "
                            "expression found in input")},
    };
    CHECK(*state, rows);
}

static void label_lists_are_sorted_limited_and_filtered(void **state) {
    static const struct row rows[] = {
        {"/api/v1/labels", 200, OK("[\"__name__\",\"a\"]")},
        {"/api/v1/labels?match[]=none", 200, OK("[]")},
        {"/api/v1/labels?limit=1", 200,
         "{\"status\":\"success\",\"data\":[\"__name__\"],\"warnings\":[\"results truncated due to "
         "limit\"]}"},
        {"/api/v1/label/a/values", 200, OK("[\"1\",\"2\"]")},
        {"/api/v1/label/U__a/values", 200, OK("[\"1\",\"2\"]")},
        {"/api/v1/label/a/values?match[]=m%7Ba%3D%222%22%7D&match[]=m%7Ba%3D%221%22%7D", 200,
         OK("[\"1\",\"2\"]")},
        {"/api/v1/label/%FF/values", 400,
         FAILED("bad_data", "invalid label name: \\\"\\\\xff\\\"")},
        {"/api/v1/labels?match[]=%7Ba%3D%22%22%7D", 400,
         FAILED("bad_data", "match[] must contain at least one non-empty matcher")},
        {"/api/v1/labels?match[]=%7B", 400,
         FAILED("bad_data", "1:2: parse error: unexpected end of input inside braces")},
        {"/api/v1/series", 400, FAILED("bad_data", "no match[] parameter provided")},
        {"/api/v1/series?match[]=%7B", 400,
         FAILED("bad_data",
                "invalid parameter \\\"match[]\\\": 1:2: parse error: unexpected end of "
                "input inside braces")},
        {"/api/v1/series?match[]=m&match[]=m%7Ba%3D%221%22%7D", 200,
         OK("[{\"__name__\":\"m\",\"a\":\"1\"},{\"__name__\":\"m\",\"a\":\"2\"}]")},
        {"/api/v1/series?match[]=m&limit=1", 200,
         "{\"status\":\"success\",\"data\":[{\"__name__\":\"m\",\"a\":\"1\"}],\"warnings\":["
         "\"results truncated due to limit\"]}"},
        {"/api/v1/labels?start=x", 400,
         FAILED("bad_data", "invalid parameter \\\"start\\\": invalid time value for 'start': "
                            "cannot parse \\\"x\\\" to a valid timestamp")},
    };
    CHECK(*state, rows);
}

static struct histogram_span span_of(int32_t offset, uint32_t length) {
    return (struct histogram_span){.offset = offset, .length = length};
}

static void histograms_have_count_sum_and_populated_buckets(void **state) {
    struct web_world *w = *state;
    const struct label name = {LABEL_NAME, STR("h")};
    struct histogram_span spans[] = {span_of(0, 3)};
    struct histogram_span negative_spans[] = {span_of(0, 1)};
    double counts[] = {1, 0, 2.5};
    double negative_counts[] = {4};
    const struct histogram h = {
        .schema = 0,
        .zero_threshold = 0.5,
        .zero_count = 3,
        .count = 10.5,
        .sum = -1.25,
        .positive = {.spans = spans, .counts = counts, .span_count = 1, .count = 3},
        .negative = {
            .spans = negative_spans, .counts = negative_counts, .span_count = 1, .count = 1}};
    const struct histogram empty = {.schema = 0};
    struct arena arena;
    arena_init(&arena, 0);
    fake_storage_put_histogram(w->fs, labels_of(&arena, &name, 1), 1000, &h, 0);
    fake_storage_put_histogram(w->fs, labels_of(&arena, &name, 1), 2000, &empty, 0);
    fake_storage_put(w->fs, labels_of(&arena, &name, 1), 3000, 7);
    arena_release(&arena);
#define H                                                                                          \
    "{\"count\":\"10.5\",\"sum\":\"-1.25\",\"buckets\":[[1,\"-1\",\"-0.5\",\"4\"],[3,\"-0.5\","    \
    "\"0.5\","                                                                                     \
    "\"3\"],[0,\"0.5\",\"1\",\"1\"],[0,\"2\",\"4\",\"2.5\"]]}"
    static const struct row rows[] = {
        {"/api/v1/query?query=h&time=1", 200,
         OK("{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"__name__\":\"h\"},\"histogram\":"
            "[1," H "]}]}")},
        {"/api/v1/query?query=h&time=2", 200,
         OK("{\"resultType\":\"vector\",\"result\":[{\"metric\":{\"__name__\":\"h\"},\"histogram\":"
            "[2,{\"count\":\"0\",\"sum\":\"0\"}]}]}")},
        {"/api/v1/query?query=h%5B5s%5D&time=3", 200,
         OK("{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"__name__\":\"h\"},\"values\":[["
            "3,"
            "\"7\"]],\"histograms\":[[1," H "],[2,{\"count\":\"0\",\"sum\":\"0\"}]]}]}")},
        {"/api/v1/query_range?query=h&start=1&end=2&step=1", 200,
         OK("{\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"__name__\":\"h\"},"
            "\"histograms\":["
            "[1," H "],[2,{\"count\":\"0\",\"sum\":\"0\"}]]}]}")},
    };
    CHECK(w, rows);
#undef H
}

/* The text of a result by the simplest writer there could be. */
static void write_plainly(struct buf *to, size_t series, size_t steps) {
    buf_append_cstr(to, "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[");
    for (size_t i = 0; i < series; i++) {
        buf_printf(to, "%s{\"metric\":{\"n\":\"%03zu\"},\"values\":[", i > 0 ? "," : "", i);
        for (size_t t = 0; t < steps; t++) {
            buf_printf(to, "%s[%zu,\"%zu\"]", t > 0 ? "," : "", t, t + i);
        }
        buf_append_cstr(to, "]}");
    }
    buf_append_cstr(to, "]}}");
}

static void a_large_result_is_made_in_pieces_of_the_same_text(void **state) {
    struct web_world *w = *state;
    enum { SERIES = 40, STEPS = 3000 };
    for (int i = 0; i < SERIES; i++) {
        char name[40];
        char value[8];
        (void)snprintf(name, sizeof(name), "big{n=\"%03d\"}", i);
        (void)snprintf(value, sizeof(value), "%d", i);
        fake_storage_load(w->fs, 1000, name, value);
    }
    struct buf want;
    buf_init(&want, 64 * 1024 * 1024);
    write_plainly(&want, SERIES, STEPS);
    const char *got = web_world_get(
        w, "/api/v1/query_range?query=big%20%40%200%20%2B%20time()&start=0&end=2999&step=1");
    assert_true(want.len > 4 * HTTP_PIECE_BYTES);
    assert_true(w->piece_count >= 5 && w->piece_count <= want.len / HTTP_PIECE_BYTES + 1);
    assert_int_equal(w->out.body.len, want.len);
    assert_string_equal(got, want.ptr);
    buf_release(&want);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(each_type_of_result_has_its_shape),
        T(bad_parameters_say_which_and_why),
        T(a_limit_cuts_and_warns),
        T(execution_errors_have_their_own_types),
        T(stats_come_when_asked_for),
        T(more_than_ten_annotations_are_counted),
        T(forms_are_read_as_parameters),
        T(labels_are_not_escaped_for_html_and_other_texts_are),
        T(expressions_are_formatted_and_parsed),
        T(label_lists_are_sorted_limited_and_filtered),
        T(histograms_have_count_sum_and_populated_buckets),
        T(a_large_result_is_made_in_pieces_of_the_same_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
