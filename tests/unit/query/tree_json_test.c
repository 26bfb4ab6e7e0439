/* The tree of /api/v1/parse_query: keys, order, nulls, duration expressions. */
#include "base/attr.h"
#include "query/tree_json.h"
#include "tests/unit/query/parse_fixture.h"

struct tree_case {
    const char *text;
    const char *want;
};

/* clang-format off */
static const struct tree_case CASES[] = {
    {"1", "{\"type\":\"numberLiteral\",\"val\":\"1\"}"},
    {"5m", "{\"type\":\"numberLiteral\",\"val\":\"300\"}"},
    {"-Inf", "{\"type\":\"numberLiteral\",\"val\":\"-Inf\"}"},
    {"\"a<b>&\"", "{\"type\":\"stringLiteral\",\"val\":\"a\\u003cb\\u003e\\u0026\"}"},
    {"up", "{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"}"},
    {"{\"up\"}", "{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"}"},
    {"up{a=~\"b\",c!=\"d\"} @ 1.5 offset -5m", "{\"anchored\":false,\"matchers\":[{\"name\":\"a\",\"type\":\"=~\",\"value\":\"b\"},{\"name\":\"c\",\"type\":\"!=\",\"value\":\"d\"},{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":-300000,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":1500,\"type\":\"vectorSelector\"}"},
    {"up @ start() anchored", "{\"anchored\":true,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":\"start\",\"timestamp\":null,\"type\":\"vectorSelector\"}"},
    {"up[5m] smoothed @ end() offset step()", "{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":{\"lhs\":null,\"op\":\"step\",\"rhs\":null,\"type\":\"durationExpr\",\"wrapped\":false},\"range\":300000,\"rangeExpr\":null,\"smoothed\":true,\"startOrEnd\":\"end\",\"timestamp\":null,\"type\":\"matrixSelector\"}"},
    {"up[step()+(5m)]", "{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":null,\"range\":0,\"rangeExpr\":{\"lhs\":{\"lhs\":null,\"op\":\"step\",\"rhs\":null,\"type\":\"durationExpr\",\"wrapped\":false},\"op\":\"+\",\"rhs\":{\"lhs\":null,\"op\":\"+\",\"rhs\":{\"duration\":true,\"type\":\"numberLiteral\",\"val\":\"300\"},\"type\":\"durationExpr\",\"wrapped\":true},\"type\":\"durationExpr\",\"wrapped\":false},\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"matrixSelector\"}"},
    {"up[5m:1m] @ 3 offset 1h", "{\"expr\":{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},\"offset\":3600000,\"offsetExpr\":null,\"range\":300000,\"rangeExpr\":null,\"startOrEnd\":null,\"step\":60000,\"stepExpr\":null,\"timestamp\":3000,\"type\":\"subquery\"}"},
    {"sum(up)", "{\"expr\":{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},\"grouping\":[],\"op\":\"sum\",\"param\":null,\"type\":\"aggregation\",\"without\":false}"},
    {"topk by (a) (1, up)", "{\"expr\":{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},\"grouping\":[\"a\"],\"op\":\"topk\",\"param\":{\"type\":\"numberLiteral\",\"val\":\"1\"},\"type\":\"aggregation\",\"without\":false}"},
    {"sum without (\"x y\") (up)", "{\"expr\":{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},\"grouping\":[\"x y\"],\"op\":\"sum\",\"param\":null,\"type\":\"aggregation\",\"without\":true}"},
    {"label_join(up, \"a\", \",\")", "{\"args\":[{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},{\"type\":\"stringLiteral\",\"val\":\"a\"},{\"type\":\"stringLiteral\",\"val\":\",\"}],\"func\":{\"argTypes\":[\"vector\",\"string\",\"string\",\"string\"],\"name\":\"label_join\",\"returnType\":\"vector\",\"variadic\":-1},\"type\":\"call\"}"},
    {"histogram_quantiles(up, \"q\", 1)", "{\"args\":[{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},{\"type\":\"stringLiteral\",\"val\":\"q\"},{\"type\":\"numberLiteral\",\"val\":\"1\"}],\"func\":{\"argTypes\":[\"vector\",\"string\",\"scalar\",\"scalar\"],\"name\":\"histogram_quantiles\",\"returnType\":\"vector\",\"variadic\":9},\"type\":\"call\"}"},
    {"time()", "{\"args\":[],\"func\":{\"argTypes\":[],\"name\":\"time\",\"returnType\":\"scalar\",\"variadic\":0},\"type\":\"call\"}"},
    {"round(up)", "{\"args\":[{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"}],\"func\":{\"argTypes\":[\"vector\",\"scalar\"],\"name\":\"round\",\"returnType\":\"vector\",\"variadic\":1},\"type\":\"call\"}"},
    {"-up", "{\"expr\":{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},\"op\":\"-\",\"type\":\"unaryExpr\"}"},
    {"+(up)", "{\"expr\":{\"expr\":{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},\"type\":\"parenExpr\"},\"op\":\"+\",\"type\":\"unaryExpr\"}"},
    {"a > bool 1", "{\"bool\":true,\"lhs\":{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"a\"}],\"name\":\"a\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},\"matching\":null,\"op\":\"\\u003e\",\"rhs\":{\"type\":\"numberLiteral\",\"val\":\"1\"},\"type\":\"binaryExpr\"}"},
    {"1 + 1", "{\"bool\":false,\"lhs\":{\"type\":\"numberLiteral\",\"val\":\"1\"},\"matching\":null,\"op\":\"+\",\"rhs\":{\"type\":\"numberLiteral\",\"val\":\"1\"},\"type\":\"binaryExpr\"}"},
    {"a and on(b) c", "{\"bool\":false,\"lhs\":{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"a\"}],\"name\":\"a\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},\"matching\":{\"card\":\"many-to-many\",\"fillValues\":{\"lhs\":null,\"rhs\":null},\"include\":[],\"labels\":[\"b\"],\"on\":true},\"op\":\"and\",\"rhs\":{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"c\"}],\"name\":\"c\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},\"type\":\"binaryExpr\"}"},
    {"a * ignoring(b, c) group_right(d) fill_left(1.5) e", "{\"bool\":false,\"lhs\":{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"a\"}],\"name\":\"a\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},\"matching\":{\"card\":\"one-to-many\",\"fillValues\":{\"lhs\":1.5,\"rhs\":null},\"include\":[\"d\"],\"labels\":[\"b\",\"c\"],\"on\":false},\"op\":\"*\",\"rhs\":{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"e\"}],\"name\":\"e\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},\"type\":\"binaryExpr\"}"},
    {"a + fill(2) b", "{\"bool\":false,\"lhs\":{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"a\"}],\"name\":\"a\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},\"matching\":{\"card\":\"one-to-one\",\"fillValues\":{\"lhs\":2,\"rhs\":2},\"include\":[],\"labels\":[],\"on\":false},\"op\":\"+\",\"rhs\":{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"b\"}],\"name\":\"b\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},\"type\":\"binaryExpr\"}"},
    {"up offset +step()", "{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":{\"lhs\":null,\"op\":\"+\",\"rhs\":{\"lhs\":null,\"op\":\"step\",\"rhs\":null,\"type\":\"durationExpr\",\"wrapped\":false},\"type\":\"durationExpr\",\"wrapped\":false},\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"}"},
    {"up offset -(5)", "{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":{\"lhs\":null,\"op\":\"-\",\"rhs\":{\"lhs\":null,\"op\":\"+\",\"rhs\":{\"duration\":false,\"type\":\"numberLiteral\",\"val\":\"5\"},\"type\":\"durationExpr\",\"wrapped\":true},\"type\":\"durationExpr\",\"wrapped\":false},\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"}"},
    {"info(up, {})", "{\"args\":[{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},{\"anchored\":false,\"matchers\":[],\"name\":\"\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"}],\"func\":{\"argTypes\":[\"vector\",\"vector\"],\"name\":\"info\",\"returnType\":\"vector\",\"variadic\":1},\"type\":\"call\"}"},
    {"up[-step()^2:(max_of(1m,2))]", "{\"expr\":{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"offsetExpr\":null,\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"},\"offset\":0,\"offsetExpr\":null,\"range\":0,\"rangeExpr\":{\"lhs\":null,\"op\":\"-\",\"rhs\":{\"lhs\":{\"lhs\":null,\"op\":\"step\",\"rhs\":null,\"type\":\"durationExpr\",\"wrapped\":false},\"op\":\"^\",\"rhs\":{\"duration\":false,\"type\":\"numberLiteral\",\"val\":\"2\"},\"type\":\"durationExpr\",\"wrapped\":false},\"type\":\"durationExpr\",\"wrapped\":false},\"startOrEnd\":null,\"step\":0,\"stepExpr\":{\"lhs\":{\"duration\":true,\"type\":\"numberLiteral\",\"val\":\"60\"},\"op\":\"max_of\",\"rhs\":{\"duration\":false,\"type\":\"numberLiteral\",\"val\":\"2\"},\"type\":\"durationExpr\",\"wrapped\":true},\"timestamp\":null,\"type\":\"subquery\"}"},
};
/* clang-format on */

static void assert_tree(struct str text, const char *want) {
    struct parsed p;
    parsed_ok(&p, text);
    struct buf json;
    buf_init(&json, TEST_PRINT_MAX);
    struct json_out j;
    json_out_init(&j, &json);
    tree_json(&j, p.node);
    if (want != NULL) {
        assert_str(buf_str(&json), want);
    }
    assert_true(buf_ok(&json));
    assert_int_equal(j.depth, 0);
    buf_release(&json);
    parsed_release(&p);
}

static void each_node_type_has_its_keys_in_order(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        assert_tree(str_of(CASES[i].text), CASES[i].want);
    }
}

static void a_fill_value_that_json_cannot_hold_is_null(void **state) {
    (void)state;
    struct parsed p;
    parsed_ok(&p, STR("a + fill(NaN) b"));
    struct buf json;
    buf_init(&json, TEST_PRINT_MAX);
    struct json_out j;
    json_out_init(&j, &json);
    tree_json(&j, p.node);
    assert_true(str_find(buf_str(&json), STR("\"fillValues\":{\"lhs\":null,\"rhs\":null}")) > 0);
    buf_release(&json);
    parsed_release(&p);
}

static void the_deepest_tree_fits_the_writer(void **state) {
    (void)state;
    struct buf text;
    buf_init(&text, PARSE_TEXT_MAX);
    for (int i = 0; i < PARSE_DEPTH_MAX - 1; i++) {
        buf_append_cstr(&text, "abs(");
    }
    buf_append_cstr(&text, "up");
    for (int i = 0; i < PARSE_DEPTH_MAX - 1; i++) {
        buf_append_char(&text, ')');
    }
    assert_tree(buf_str(&text), NULL);
    buf_release(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_node_type_has_its_keys_in_order),
        cmocka_unit_test(a_fill_value_that_json_cannot_hold_is_null),
        cmocka_unit_test(the_deepest_tree_fits_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
