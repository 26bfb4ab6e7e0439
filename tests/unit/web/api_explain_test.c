/* /api/v1/explain and the list of running queries: shapes, numbers that can be counted by hand, who
 * may see and end what. */
#include <stdio.h>
#include <string.h>

#include "base/json_in.h"
#include "tests/support/check_err.h"
#include "tests/unit/web/web_world.h"

static struct web_world world;

static int setup(void **state) {
    web_world_init(&world);
    for (int i = 0; i < 6; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "m_total{job=\"%d\",n=\"%d\"}", i % 2, i);
        fake_storage_load(world.fs, 10000, name, "0 1 2 3 4 5 6 7 8 9 10 11");
    }
    *state = &world;
    return 0;
}

static int teardown(void **state) {
    web_world_release(*state);
    return 0;
}

struct reading {
    struct json_doc *doc;
    const struct json *data;
};

static struct reading get(const char *target) {
    struct reading r = {.doc = NULL};
    struct err err;
    const char *text = web_world_get(&world, target);
    assert_ok(json_parse(str_of(text), &r.doc, &err), &err);
    r.data = json_get(json_root(r.doc), "data");
    if (world.out.status != 200) {
        fail_msg("%s: %d %s", target, world.out.status, text);
    }
    return r;
}

static int64_t number(const struct json *object, const char *part, const char *key) {
    return json_int(json_get(json_get(object, part), key), -1);
}

static const struct json *child(const struct json *node, size_t i) {
    return json_at(json_get(node, "children"), i);
}

static void check_node(const struct json *node, const char *type, const char *text) {
    assert_str(json_string(json_get(node, "type")), type);
    assert_str(json_string(json_get(node, "text")), text);
}

#define RANGE "&start=60&end=110&step=10"
#define SUM "sum%20by%20(job)%20(rate(m_total%5B30s%5D))%20%2B%201"

static void the_plan_says_what_it_expects_without_running(void **state) {
    (void)state;
    const struct reading r = get("/api/v1/explain?query=" SUM RANGE);
    const struct json *plan = json_get(r.data, "plan");
    assert_str(json_string(json_get(r.data, "query")), "sum by (job) (rate(m_total[30s])) + 1");
    assert_int_equal(json_int(json_get(r.data, "steps"), 0), 6);
    assert_null(json_get(r.data, "stats"));
    check_node(plan, "binaryExpr", "sum by (job) (rate(m_total[30s])) + 1");
    assert_str(json_string(json_get(plan, "op")), "+");
    assert_null(json_get(plan, "actual"));
    const struct json *sum = child(plan, 0);
    check_node(sum, "aggregation", "sum by (job) (rate(m_total[30s]))");
    assert_int_equal(number(sum, "expected", "maxSeries"), 6);
    const struct json *range = child(child(sum, 0), 0);
    check_node(range, "matrixSelector", "m_total[30s]");
    assert_int_equal(number(range, "expected", "maxSeries"), 6);
    /* 12 samples in the 15 minutes that are probed: an underestimate that is not nothing */
    assert_true(number(range, "expected", "samples") > 0);
    check_node(child(plan, 1), "numberLiteral", "1");
    json_doc_free(r.doc);
}

static void analyze_counts_what_each_node_did(void **state) {
    (void)state;
    const struct reading r = get("/api/v1/explain?analyze=true&query=" SUM RANGE);
    const struct json *plan = json_get(r.data, "plan");
    const struct json *sum = child(plan, 0);
    const struct json *range = child(child(sum, 0), 0);
    assert_int_equal(number(plan, "actual", "series"), 2);
    assert_int_equal(number(plan, "actual", "samples"), 12);
    assert_int_equal(number(sum, "actual", "series"), 2);
    assert_int_equal(number(child(sum, 0), "actual", "series"), 6);
    assert_int_equal(number(child(sum, 0), "actual", "samples"), 36);
    assert_int_equal(number(range, "actual", "samples"), 6 * 6 * 3);
    assert_true(number(range, "actual", "peakBytes") > 0);
    const struct json *samples = json_get(json_get(r.data, "stats"), "samples");
    assert_int_equal(json_int(json_get(samples, "totalQueryableSamples"), 0), 6 * 6 * 3);
    json_doc_free(r.doc);
}

static void equal_parts_have_a_number_and_one_of_them_is_evaluated(void **state) {
    (void)state;
    const struct reading r =
        get("/api/v1/explain?analyze=1&time=100&query=sum(m_total)%2F(1%2Bsum(m_total))");
    const struct json *plan = json_get(r.data, "plan");
    const struct json *first = child(plan, 0);
    const struct json *again = child(child(plan, 1), 1);
    assert_null(json_get(plan, "share"));
    assert_int_equal(json_int(json_get(first, "share"), 0), 1);
    assert_int_equal(json_int(json_get(again, "share"), 0), 1);
    assert_int_equal(number(first, "actual", "series"), 1);
    assert_int_equal(number(again, "actual", "series"), 1);
    assert_int_equal(number(child(first, 0), "actual", "calls"), 1);
    assert_int_equal(number(child(again, 0), "actual", "calls"), 0);
    json_doc_free(r.doc);
}

static void every_kind_of_node_is_told(void **state) {
    (void)state;
    static const struct {
        const char *query, *type;
        int64_t series;
    } CASES[] = {
        {"m_total", "vectorSelector", 6},
        {"-m_total", "unaryExpr", 6},
        {"sum(m_total)", "aggregation", 1},
        {"topk(2,m_total)", "aggregation", 2},
        {"max_over_time(m_total%5B50s:10s%5D)", "call", 6},
        {"timestamp(m_total)", "call", 6},
        {"vector(scalar(sum(m_total)))", "call", 1},
        {"m_total%20and%20m_total", "binaryExpr", 6},
        {"m_total%20or%20m_total", "binaryExpr", 6},
        {"m_total%20%2F%20on(n)%20m_total", "binaryExpr", 6},
        {"absent(none)", "call", 1},
        {"m_total%5B20s%5D", "matrixSelector", 6},
        {"%22text%22", "stringLiteral", 0},
        {"time()", "call", 0},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        char target[256];
        (void)snprintf(target, sizeof(target), "/api/v1/explain?analyze=1&time=100&query=%s",
                       CASES[i].query);
        const struct reading r = get(target);
        const struct json *plan = json_get(r.data, "plan");
        assert_str(json_string(json_get(plan, "type")), CASES[i].type);
        assert_int_equal(number(plan, "actual", "series"), CASES[i].series);
        json_doc_free(r.doc);
    }
}

static void errors_are_those_of_a_query(void **state) {
    (void)state;
    assert_non_null(strstr(web_world_get(&world, "/api/v1/explain?query=sum("), "\"bad_data\""));
    assert_int_equal(world.out.status, 400);
    (void)web_world_get(&world, "/api/v1/explain?query=1&analyze=perhaps");
    assert_int_equal(world.out.status, 400);
    (void)web_world_get(&world, "/api/v1/explain?query=1&start=0&end=1&step=-1");
    assert_int_equal(world.out.status, 400);
    fake_storage_fail_read(world.fs, 0, ERR_IO);
    (void)web_world_get(&world, "/api/v1/explain?query=m_total&time=100&analyze=1");
    assert_int_equal(world.out.status, 500);
}

static void steps_have_statistics_with_the_feature_only(void **state) {
    (void)state;
    const char *off = web_world_get(&world, "/api/v1/query?query=m_total&time=100&stats=all");
    assert_null(strstr(off, "PerStep"));
    assert_non_null(strstr(off, "\"samples\":{\"totalQueryableSamples\":6,\"samplesRead\":6,"
                                "\"peakSamples\":6}"));
    query_engine_free(world.engine);
    struct query_options options;
    query_options_default(&options);
    options.per_step_stats = true;
    world.engine = query_engine_new(&options);
    world.web.options.engine = world.engine;
    const char *on = web_world_get(
        &world, "/api/v1/query_range?query=m_total&start=99.5&end=101.5&step=1&stats=all");
    assert_non_null(strstr(on, "\"samples\":{\"totalQueryableSamplesPerStep\":[[99.5,6],[100.5,6],"
                               "[101.5,6]],\"totalQueryableSamples\":18,\"samplesReadPerStep\":[["
                               "99.5,6],[100.5,6],[101.5,6]],\"samplesRead\":18,"));
    assert_null(strstr(web_world_get(&world, "/api/v1/query?query=m_total&time=100&stats=true"),
                       "PerStep"));
}

/* ---- the list ---- */

static void the_list_and_the_kill_need_the_admin_flag(void **state) {
    (void)state;
    const char *closed = "{\"status\":\"error\",\"errorType\":\"unavailable\",\"error\":\"admin "
                         "APIs disabled\"}";
    assert_string_equal(web_world_get(&world, "/api/v1/admin/queries"), closed);
    web_world_request(&world, HTTP_POST, "/api/v1/admin/queries/kill?id=1", STR(""));
    assert_int_equal(web_world_run(&world), 500);
    assert_string_equal(world.out.body.ptr, closed);
    world.web.options.enable_admin_api = true;
    assert_string_equal(
        web_world_get(&world, "/api/v1/admin/queries"),
        "{\"status\":\"success\",\"data\":{\"queries\":[],\"memory\":{\"usedBytes\":"
        "0,\"limitBytes\":0}}}");
    static const struct {
        const char *target;
        int status;
    } CASES[] = {{"/api/v1/admin/queries/kill", 400},
                 {"/api/v1/admin/queries/kill?id=x", 400},
                 {"/api/v1/admin/queries/kill?id=99999999999999999999", 400},
                 {"/api/v1/admin/queries/kill?id=7", 404}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        web_world_request(&world, HTTP_POST, CASES[i].target, STR(""));
        assert_int_equal(web_world_run(&world), CASES[i].status);
    }
    (void)web_world_get(&world, "/api/v1/admin/queries/kill?id=7");
    assert_int_equal(world.out.status, 405);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_plan_says_what_it_expects_without_running),
        T(analyze_counts_what_each_node_did),
        T(equal_parts_have_a_number_and_one_of_them_is_evaluated),
        T(every_kind_of_node_is_told),
        T(errors_are_those_of_a_query),
        T(steps_have_statistics_with_the_feature_only),
        T(the_list_and_the_kill_need_the_admin_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
