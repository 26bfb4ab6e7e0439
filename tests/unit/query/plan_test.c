/* Plan: what is resolved before any data is read. Subquery steps against spec/promql.md section 3,
 * folding, invariance, time ranges, errors of durations with their place. */
#include "tests/support/check_err.h"

#include "query/parse.h"
#include "query/plan.h"

static struct arena arena;

static int setup(void **state) {
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    arena_release(&arena);
    return 0;
}

static enum err_code plan_of(const char *text, int64_t start_ms, int64_t end_ms, int64_t step_ms,
                             struct plan *out, struct err *err) {
    const struct parse_options parse = {.experimental_functions = true};
    const struct plan_options options = {.start_ms = start_ms,
                                         .end_ms = end_ms,
                                         .step_ms = step_ms,
                                         .lookback_ms = 300000,
                                         .default_step_ms = 60000};
    struct node *ast = NULL;
    assert_ok(parse_expr(&arena, str_of(text), &parse, &ast, err), err);
    return plan_build(&arena, ast, &options, out, err);
}

static void subquery_steps_are_multiples_of_its_step(void **state) {
    (void)state;
    static const struct {
        int64_t range, step, offset, outer_start, outer_step;
        size_t outer_count;
        int64_t first, last;
    } CASES[] = {
        {50000, 10000, 0, 10000, 0, 1, -30000, 10000}, /* left-open: not -40000 */
        {50000, 10000, 0, 12345, 0, 1, -30000, 10000}, /* truncated toward zero */
        {30000, 10000, 9000, 1010000, 0, 1, 980000, 1000000},
        {30000, 10000, 0, 1000000, 7000, 4, 980000, 1020000}, /* outer steps to 1021000 */
        {60000, 60000, -1000, 59000, 0, 1, 60000, 60000},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        const struct plan_subquery sub = {.range_ms = CASES[i].range,
                                          .step_ms = CASES[i].step,
                                          .time = {.offset_ms = CASES[i].offset}};
        const struct grid outer = {CASES[i].outer_start, CASES[i].outer_step, CASES[i].outer_count};
        const struct grid inner = plan_subquery_grid(&sub, &outer);
        assert_true(inner.start_ms == CASES[i].first);
        assert_true(grid_last(&inner) == CASES[i].last);
    }
}

static void times_of_the_query_become_numbers(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double value;
    } CASES[] = {{"start()", 100}, {"end()", 200.5}, {"range()", 100.5}, {"step()", 10}};
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct plan plan;
        struct err err;
        assert_ok(plan_of(CASES[i].text, 100000, 200500, 10000, &plan, &err), &err);
        assert_int_equal(plan.root->type, PLAN_NUMBER);
        assert_true(plan.root->number == CASES[i].value);
    }
}

static void what_does_not_depend_on_the_step_is_marked(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool invariant;
    } CASES[] = {
        {"m", false},
        {"m @ 5", true},
        {"m @ 5 + n", false},
        {"sum(m @ start()) / sum(n @ end())", true},
        {"rate(m[5m] @ 5)", true},
        {"timestamp(m @ 5)", true},
        {"timestamp(abs(m @ 5))", false},
        {"predict_linear(m[5m] @ 5, 1)", false},
        {"max_over_time(m[5m:1m] @ 5)", true},
        {"topk(scalar(m), n @ 5)", true}, /* judged by its vector */
        {"vector(time())", false},
        {"-(m @ 5)", true},
        {"minute()", false},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct plan plan;
        struct err err;
        assert_ok(plan_of(CASES[i].text, 0, 100000, 10000, &plan, &err), &err);
        assert_int_equal(plan.root->invariant, CASES[i].invariant);
    }
}

static void durations_are_computed_once(void **state) {
    (void)state;
    struct plan plan;
    struct err err;
    assert_ok(plan_of("sum_over_time(m[step() * 3 + 500ms] offset -max_of(2, 3s))", 0, 100000,
                      10000, &plan, &err),
              &err);
    const struct plan_selector *s = &plan.root->call.args[0]->selector;
    assert_true(s->range_ms == 30500);
    assert_true(s->time.offset_ms == -3000);
    assert_true(plan.mint == 3000 - 30500 + 1 && plan.maxt == 103000);
}

static void a_bad_duration_names_its_bytes(void **state) {
    (void)state;
    struct plan plan;
    struct err err;
    assert_err(plan_of("m offset (5 / step())", 0, 0, 0, &plan, &err), ERR_INVALID,
               "division by zero", &err);
    assert_err(plan_of("sum_over_time(m[step()])", 0, 0, 0, &plan, &err), ERR_INVALID,
               "16:22: duration must be greater than 0", &err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subquery_steps_are_multiples_of_its_step),
        cmocka_unit_test_setup_teardown(times_of_the_query_become_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(what_does_not_depend_on_the_step_is_marked, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(durations_are_computed_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_duration_names_its_bytes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
