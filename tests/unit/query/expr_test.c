/* The text tools of query.h: parse with the engine's options, print, format, list selectors. */
#include "query/query.h"
#include "tests/support/check_err.h"

struct fixture {
    struct query_engine *engine;
    struct arena arena;
};

static int set_up(void **state) {
    static struct fixture fixture;
    struct query_options options;
    query_options_default(&options);
    options.binop_fill_modifiers = true;
    fixture.engine = query_engine_new(&options);
    arena_init(&fixture.arena, 0);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    arena_release(&f->arena);
    query_engine_free(f->engine);
    return 0;
}

static struct query_expr *parse_ok(struct fixture *f, const char *text) {
    struct query_expr *expr = NULL;
    struct err err;
    assert_ok(query_parse(f->engine, &f->arena, str_of(text), &expr, &err), &err);
    return expr;
}

static void the_engine_decides_which_language_is_on(void **state) {
    struct fixture *f = *state;
    struct query_expr *expr = NULL;
    struct err err;
    (void)parse_ok(f, "a + fill(1) b");
    assert_err(query_parse(f->engine, &f->arena, STR("info(a)"), &expr, &err), ERR_INVALID,
               "1:1: parse error: function \"info\" is not enabled", &err);
    assert_err(query_parse(f->engine, &f->arena, STR("a anchored"), &expr, &err), ERR_INVALID,
               "1:1: parse error: anchored modifier is experimental and not enabled", &err);
    assert_null(expr);
}

static void an_expression_prints_canonically_and_pretty(void **state) {
    struct fixture *f = *state;
    const struct query_expr *expr = parse_ok(
        f, "sum(rate(a_metric_with_a_long_name{label=~'value',other!='thing'}[5m]))by(job) "
           "/ sum(rate(b_metric[300]))by(job)");
    assert_str(query_print(&f->arena, expr),
               "sum by (job) (rate(a_metric_with_a_long_name{label=~\"value\",other!=\"thing\"}[5m]"
               ")) / sum by (job) (rate(b_metric[5m]))");
    assert_str(query_format(&f->arena, expr),
               "  sum by (job) "
               "(rate(a_metric_with_a_long_name{label=~\"value\",other!=\"thing\"}[5m]))\n"
               "/\n"
               "  sum by (job) (rate(b_metric[5m]))");
}

static void count_selector(void *ctx, const struct matcher *m, size_t n) {
    struct buf *seen = ctx;
    for (size_t i = 0; i < n; i++) {
        buf_append_char(seen, ' ');
        matcher_format(seen, &m[i]);
    }
    buf_append_char(seen, ';');
}

static void every_selector_is_visited_once(void **state) {
    struct fixture *f = *state;
    const struct query_expr *expr =
        parse_ok(f, "topk(scalar(a), -rate((b{x=\"1\"})[5m:1m])) + on(x) (c or abs(d) ^ 1)");
    struct buf seen;
    buf_init(&seen, 4096);
    query_each_selector(expr, count_selector, &seen);
    assert_str(buf_str(&seen),
               " x=\"1\" __name__=\"b\"; __name__=\"a\"; __name__=\"c\"; __name__=\"d\";");
    buf_release(&seen);
}

static void the_tree_is_written_as_json(void **state) {
    struct fixture *f = *state;
    struct buf json;
    buf_init(&json, 4096);
    struct json_out j;
    json_out_init(&j, &json);
    query_tree_json(&j, parse_ok(f, "-time()"));
    assert_str(buf_str(&json),
               "{\"expr\":{\"args\":[],\"func\":{\"argTypes\":[],\"name\":\"time\","
               "\"returnType\":\"scalar\",\"variadic\":0},\"type\":\"call\"},\"op\":\"-\","
               "\"type\":\"unaryExpr\"}");
    buf_release(&json);
}

static void selectors_and_metrics_parse_alone(void **state) {
    struct fixture *f = *state;
    struct matcher *matchers = NULL;
    size_t count = 0;
    struct labels labels;
    struct err err;
    assert_ok(query_parse_selector(&f->arena, STR("up{a!=\"b\"}"), &matchers, &count, &err), &err);
    assert_int_equal(count, 2);
    assert_ok(query_parse_metric(&f->arena, STR("up{a=\"b\"}"), &labels, &err), &err);
    assert_str(labels_get(labels, STR("a")), "b");
    assert_err(query_parse_metric(&f->arena, STR("up{a=\"b\"} 1"), &labels, &err), ERR_INVALID,
               "1:11: parse error: unexpected number \"1\"", &err);
}

static void times_are_pinned_where_there_are_none(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *text, *want;
        bool same;
    } CASES[] = {
        {"a + b @ 3", "a @ 12.500 + b @ 3.000", true},
        {"rate(a[5m] offset 1m)", "rate(a[5m] @ 12.500 offset 1m)", true},
        {"sum by (x) (-(a @ start()))", "sum by (x) (-(a @ 12.500))", true},
        {"max_over_time(a[5m:1m])", "max_over_time(a[5m:1m] @ 12.500)", true},
        {"sum_over_time(vector(time())[5m:1m])", "sum_over_time(vector(time())[5m:1m] @ 12.500)",
         true},
        {"topk(scalar(a), b)", "topk(scalar(a @ 12.500), b @ 12.500)", true},
        {"a + time()", "a @ 12.500 + time()", false},
        {"timestamp(a)", "timestamp(a @ 12.500)", false},
        {"1", "1", true},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct query_expr *expr = parse_ok(f, CASES[i].text);
        assert_int_equal(query_pin_times(expr, 12500), CASES[i].same);
        assert_str(query_print(&f->arena, expr), CASES[i].want);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_engine_decides_which_language_is_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_expression_prints_canonically_and_pretty, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(every_selector_is_visited_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_tree_is_written_as_json, set_up, tear_down),
        cmocka_unit_test_setup_teardown(selectors_and_metrics_parse_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times_are_pinned_where_there_are_none, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
