/* Trees: precedence, fields of the nodes, positions, limits; selectors and metrics on their own. */
#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attr.h"
#include "base/labels.h"
#include "query/function.h"
#include "tests/unit/query/parse_fixture.h"

/* ---- precedence ---- */

/* Every operator with its operands in parentheses. */
static void print_grouped(struct buf *to, const struct node *node) {
    switch ((int)node->type) {
    case NODE_BINARY:
        buf_append_char(to, '(');
        print_grouped(to, node->binary.lhs);
        buf_printf(to, " %s ", binary_op_text(node->binary.op));
        print_grouped(to, node->binary.rhs);
        buf_append_char(to, ')');
        return;
    case NODE_UNARY:
        buf_append_cstr(to, node->unary.negative ? "(-" : "(+");
        print_grouped(to, node->unary.expr);
        buf_append_char(to, ')');
        return;
    default:
        print_expr(to, node);
        return;
    }
}

static void operators_bind_by_precedence(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } CASES[] = {
        {"a + b * c", "(a + (b * c))"},
        {"a * b + c", "((a * b) + c)"},
        {"a - b - c", "((a - b) - c)"},
        {"a / b % c * d atan2 e", "((((a / b) % c) * d) atan2 e)"},
        {"a ^ b ^ c", "(a ^ (b ^ c))"},
        {"a ^ b * c", "((a ^ b) * c)"},
        {"-a ^ b", "(-(a ^ b))"},
        {"-a * b", "((-a) * b)"},
        {"a ^ -b ^ c", "(a ^ (-(b ^ c)))"},
        {"a ^ -b * c", "((a ^ (-b)) * c)"},
        {"--a", "(-(-a))"},
        {"a == b + c", "(a == (b + c))"},
        {"a == b != c < d </ e", "((((a == b) != c) < d) </ e)"},
        {"a and b == c", "(a and (b == c))"},
        {"a or b and c", "(a or (b and c))"},
        {"a and b or c", "((a and b) or c)"},
        {"a and b unless c and d", "(((a and b) unless c) and d)"},
        {"a or b or c", "((a or b) or c)"},
        {"-a offset 5m", "(-a offset 5m)"},
        {"a + b offset 5m @ 1", "(a + b @ 1.000 offset 5m)"},
        {"a offset -2 ^ b", "(a offset -2s ^ b)"},
        {"a ^ b[5m:] @ 1", NULL},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct parsed p;
        parsed_init(&p, str_of(CASES[i].text), &ALL);
        if (CASES[i].want == NULL) { /* the subquery takes only its neighbour, so types clash */
            assert_err(p.code, ERR_INVALID, "1:5: parse error: binary expression must contain",
                       &p.err);
        } else {
            assert_ok(p.code, &p.err);
            struct buf text;
            buf_init(&text, TEST_PRINT_MAX);
            print_grouped(&text, p.node);
            assert_str(buf_str(&text), CASES[i].want);
            buf_release(&text);
        }
        parsed_release(&p);
    }
}

/* ---- literals ---- */

static void numbers_have_their_value(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double want;
        bool is_duration;
    } CASES[] = {
        {"1", 1, false},
        {"-1", -1, false},
        {"+1.5", 1.5, false},
        {"0x1F", 31, false},
        {"0X_ff", 255, false},
        {"017", 15, false},
        {"089", 89, false},
        {"0_7", 7, false},
        {"1_000.5", 1000.5, false},
        {"1_0e1_0", 1e11, false},
        {"5m", 300, true},
        {"-1h30m", -5400, true},
        {"1ms", 0.001, true},
        {"1y", 31536000, true},
        {"0x7fffffffffffffff", 0x1p63, false},
        {"0777777777777777777777", 0x1p63, false},
        {"0777777777777777777778", 777777777777777777778.0, false},
        {"1e-400", 0, false},
        {"- -2", 2, false},
        {"-Inf", -INFINITY, false},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct parsed p;
        parsed_ok(&p, str_of(CASES[i].text));
        assert_int_equal(p.node->type, NODE_NUMBER);
        assert_true(p.node->number.value == CASES[i].want);
        assert_int_equal(p.node->number.is_duration, CASES[i].is_duration);
        parsed_release(&p);
    }
}

static void strings_are_unquoted(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *want;
    } CASES[] = {
        {"\"a\\\"b\"", "a\"b"},
        {"'a\\'b\"c'", "a'b\"c"},
        {"`a\\n\"b'c`", "a\\n\"b'c"},
        {"\"\\a\\b\\f\\n\\r\\t\\v\\\\\"", "\a\b\f\n\r\t\v\\"},
        {"\"\\x41\\101\\u0041\\U00000041\"", "AAAA"},
        {"\"\\u00e9\\xff\\377\"", "\xc3\xa9\xff\xff"},
        {"\"\\U0001F600!\"", "\xf0\x9f\x98\x80!"},
        {"\"\"", ""},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        struct parsed p;
        parsed_ok(&p, str_of(CASES[i].text));
        assert_str(p.node->string, CASES[i].want);
        parsed_release(&p);
    }
}

/* ---- fields ---- */

static void a_selector_holds_matchers_in_order_and_its_modifiers(void **state) {
    (void)state;
    struct parsed p;
    parsed_ok(&p, STR("up{b=\"1\",a=~\"2\"} offset -90s @ 1.0005 anchored"));
    const struct vector_selector *selector = &p.node->vector;
    assert_str(selector->name, "up");
    assert_int_equal(selector->matcher_count, 3);
    assert_str(selector->matchers[0].name, "b");
    assert_str(selector->matchers[1].name, "a");
    assert_int_equal(selector->matchers[1].type, MATCH_REGEX);
    assert_non_null(selector->matchers[1].regex);
    assert_str(selector->matchers[2].name, "__name__");
    assert_int_equal(selector->time.offset_ns, -90000000000);
    assert_int_equal(selector->time.at, AT_TIME);
    assert_int_equal(selector->time.at_ms, 1001); /* half away from zero */
    assert_true(selector->anchored);
    assert_int_equal(p.node->pos.start, 0);
    assert_int_equal(p.node->pos.end, 37);
    parsed_release(&p);
}

static void a_quoted_name_is_only_a_matcher(void **state) {
    (void)state;
    struct parsed p;
    parsed_ok(&p, STR("{\"a.b\",c=\"d\"}"));
    assert_int_equal(p.node->vector.name.len, 0);
    assert_int_equal(p.node->vector.matcher_count, 2);
    assert_str(p.node->vector.matchers[0].name, "__name__");
    assert_str(p.node->vector.matchers[0].value, "a.b");
    parsed_release(&p);
}

static void ranges_are_rounded_to_ns_and_expressions_kept(void **state) {
    (void)state;
    struct parsed p;
    parsed_ok(&p, STR("up[0.0000000015:step()*2] offset (1m+5s)"));
    const struct subquery *subquery = &p.node->subquery;
    assert_int_equal(p.node->type, NODE_SUBQUERY);
    assert_int_equal(subquery->range_ns, 2);
    assert_null(subquery->range_expr);
    assert_int_equal(subquery->step_ns, 0);
    assert_int_equal(subquery->step_expr->duration.op, DUR_MUL);
    assert_int_equal(subquery->step_expr->duration.lhs->duration.op, DUR_STEP);
    assert_int_equal(subquery->time.offset_ns, 0);
    assert_true(subquery->time.offset_expr->duration.wrapped);
    assert_int_equal(p.node->value_type, VALUE_MATRIX);
    parsed_release(&p);
}

static void an_aggregation_holds_param_and_labels(void **state) {
    (void)state;
    struct parsed p;
    parsed_ok(&p, STR("topk without (a, \"b c\") (3, up)"));
    const struct aggregate *aggregate = &p.node->aggregate;
    assert_int_equal(aggregate->op, AGG_TOPK);
    assert_true(aggregate->without);
    assert_int_equal(aggregate->grouping_count, 2);
    assert_str(aggregate->grouping[1], "b c");
    assert_true(aggregate->param->number.value == 3);
    assert_str(aggregate->expr->vector.name, "up");
    parsed_release(&p);
}

static void matching_is_kept_between_vectors_only(void **state) {
    (void)state;
    struct parsed p;
    parsed_ok(&p, STR("a * on (x) group_left (y) fill_right (2) b"));
    const struct vector_matching *matching = p.node->binary.matching;
    assert_int_equal(matching->card, CARD_MANY_TO_ONE);
    assert_true(matching->on && matching->has_modifier);
    assert_str(matching->labels[0], "x");
    assert_str(matching->include[0], "y");
    assert_true(!matching->has_fill_left && matching->has_fill_right && matching->fill_right == 2);
    parsed_release(&p);

    parsed_ok(&p, STR("a and b"));
    assert_int_equal(p.node->binary.matching->card, CARD_MANY_TO_MANY);
    parsed_release(&p);

    parsed_ok(&p, STR("a * on () 1"));
    assert_null(p.node->binary.matching);
    parsed_release(&p);
}

static void a_call_knows_its_function(void **state) {
    (void)state;
    struct parsed p;
    parsed_ok(&p, STR("info(up, {a=\"\"})"));
    assert_string_equal(p.node->call.function->name, "info");
    assert_int_equal(p.node->call.arg_count, 2);
    assert_true(p.node->call.args[1]->vector.label_selector_only);
    assert_int_equal(p.node->value_type, VALUE_VECTOR);
    parsed_release(&p);
}

static void the_tree_does_not_need_the_text(void **state) {
    (void)state;
    char text[] = "sum by (aa) (up{bb=\"cc\"} + on (dd) {\"ee\"}) > bool 1 or vector(2)";
    struct parsed p;
    parsed_ok(&p, str_of(text));
    memset(text, '?', strlen(text));
    struct buf printed;
    buf_init(&printed, TEST_PRINT_MAX);
    print_expr(&printed, p.node);
    assert_str(buf_str(&printed),
               "sum by (aa) (up{bb=\"cc\"} + on (dd) {__name__=\"ee\"}) > bool 1 or vector(2)");
    buf_release(&printed);
    parsed_release(&p);
}

/* ---- limits ---- */

static void fill(struct buf *text, const char *before, int count, const char *middle,
                 const char *after) {
    buf_init(text, 1 << 20);
    for (int i = 0; i < count; i++) {
        buf_append_cstr(text, before);
    }
    buf_append_cstr(text, middle);
    for (int i = 0; i < count; i++) {
        buf_append_cstr(text, after);
    }
}

static void depth_is_limited_in_every_direction(void **state) {
    (void)state;
    static const struct {
        const char *before, *middle, *after;
    } CASES[] = {
        {"(", "up", ")"},    {"-", "up", ""},     {"up^", "up", ""},   {"", "up", "+up"},
        {"abs(", "up", ")"}, {"sum(", "up", ")"}, {"", "up", "[1m:]"},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        const bool typed = CASES[i].after[0] != '[';
        struct buf text;
        struct parsed p;
        fill(&text, CASES[i].before, PARSE_DEPTH_MAX - 1, CASES[i].middle, CASES[i].after);
        parsed_init(&p, buf_str(&text), &ALL);
        if (typed) {
            assert_ok(p.code, &p.err);
            assert_int_equal(p.node->depth, PARSE_DEPTH_MAX);
        }
        buf_release(&text);
        parsed_release(&p);

        fill(&text, CASES[i].before, 30000 / 5, CASES[i].middle, CASES[i].after);
        parsed_init(&p, buf_str(&text), &ALL);
        assert_err(p.code, ERR_INVALID, "expression is nested deeper than 250 levels", &p.err);
        buf_release(&text);
        parsed_release(&p);
    }
    struct buf text;
    struct parsed p;
    fill(&text, "(", 1000, "5m", ")");
    struct buf selector;
    buf_init(&selector, 1 << 20);
    buf_printf(&selector, "up[%.*s]", STR_ARG(buf_str(&text)));
    parsed_init(&p, buf_str(&selector), &ALL);
    assert_err(p.code, ERR_INVALID, "nested deeper", &p.err);
    parsed_release(&p);
    buf_release(&selector);
    buf_release(&text);
}

static void text_length_is_limited(void **state) {
    (void)state;
    struct buf text;
    struct parsed p;
    fill(&text, " ", PARSE_TEXT_MAX - 2, "up", "");
    parsed_init(&p, buf_str(&text), &ALL);
    assert_ok(p.code, &p.err);
    parsed_release(&p);
    buf_append_char(&text, ' ');
    parsed_init(&p, buf_str(&text), &ALL);
    assert_err(p.code, ERR_LIMIT, "query of 65537 bytes is longer than 65536", &p.err);
    parsed_release(&p);
    buf_release(&text);
}

static void memory_is_budgeted(void **state) {
    (void)state;
    const struct str text =
        STR("sum by (a, b) (up{c=\"\\x41\"} + on (d) vector(1_0)) or x[step()+1:2m]");
    bool refused = false;
    for (size_t budget = 64; budget < 65536; budget += 64) {
        struct arena arena;
        arena_init(&arena, budget);
        struct node *node = NULL;
        struct err err;
        const enum err_code code = parse_expr(&arena, text, &ALL, &node, &err);
        if (code == ERR_LIMIT) {
            refused = true;
            assert_null(node);
        } else {
            /* range vector in "or": the tree is complete, its types are not right */
            assert_err(code, ERR_INVALID, "binary expression must contain", &err);
        }
        arena_release(&arena);
    }
    assert_true(refused);
}

/* ---- selectors and metrics alone ---- */

struct text_case {
    const char *text;
    const char *want;     /* or NULL, and then: */
    const char *want_err; /* the error's whole text */
};

/* clang-format off */
static const struct text_case METRICS[] = {
    {"", "{}", NULL},
    {"up", "{__name__=\"up\"}", NULL},
    {"up{}", "{__name__=\"up\"}", NULL},
    {"{}", "{}", NULL},
    {"{a=\"b\"}", "{a=\"b\"}", NULL},
    {"up{a=\"b\",c=\"d\"}", "{__name__=\"up\", a=\"b\", c=\"d\"}", NULL},
    {"up{a=\"b\",}", "{__name__=\"up\", a=\"b\"}", NULL},
    {"{\"up\"}", "{__name__=\"up\"}", NULL},
    {"{\"up\",a=\"b\"}", "{__name__=\"up\", a=\"b\"}", NULL},
    {"{\"a.b\"=\"c\"}", "{\"a.b\"=\"c\"}", NULL},
    {"sum{by=\"x\"}", "{__name__=\"sum\", by=\"x\"}", NULL},
    {"up{b=\"2\",a=\"1\"}", "{__name__=\"up\", a=\"1\", b=\"2\"}", NULL},
    {"up # c", "{__name__=\"up\"}", NULL},
    {"up{", NULL, "1:4: parse error: unexpected end of input inside braces"},
    {"up{a}", NULL, "1:5: parse error: unexpected \"}\" in label set, expected \"=\""},
    {"up{a=}", NULL, "1:6: parse error: unexpected \"}\" in label set, expected string"},
    {"up{a=b}", NULL, "1:6: parse error: unexpected identifier \"b\" in label set, expected string"},
    {"up{a!=\"b\"}", NULL, "1:5: parse error: unexpected <op:!=> in label set, expected \"=\""},
    {"up{a=\"b\" c=\"d\"}", NULL, "1:10: parse error: unexpected identifier \"c\" in label set, expected \",\" or \"}\""},
    {"up{,}", NULL, "1:4: parse error: unexpected \",\" in label set, expected identifier or \"}\""},
    {"up up", NULL, "1:4: parse error: unexpected identifier \"up\""},
    {"1", NULL, "1:1: parse error: unexpected number \"1\""},
    {"up{a=\"b\",,}", NULL, "1:10: parse error: unexpected \",\" in label set, expected identifier or \"}\""},
    {"up[5m]", NULL, "1:3: parse error: unexpected \"[\""},
    {"up{a=\"b\"} 1", NULL, "1:11: parse error: unexpected number \"1\""},
    {"{a==\"b\"}", NULL, "1:4: parse error: unexpected \"=\" in label set, expected string"},
    {"up{\"a\"=}", NULL, "1:8: parse error: unexpected \"}\" in label set, expected string"},
    {"up{1}", NULL, "1:4: parse error: unexpected character inside braces: '1'"},
    {"bool", NULL, "1:1: parse error: unexpected <bool>"},
    {"up offset 5m", NULL, "1:4: parse error: unexpected <offset>"},
};

static const struct text_case SELECTORS[] = {
    {"up", "__name__=\"up\"", NULL},
    {"up{}", "__name__=\"up\"", NULL},
    {"{}", "", NULL},
    {"{a=\"\"}", "a=\"\"", NULL},
    {"up{a=\"b\",c=~\"d.*\"}", "a=\"b\",c=~\"d.*\",__name__=\"up\"", NULL},
    {"{\"up\"}", "__name__=\"up\"", NULL},
    {"{__name__=\"up\"}", "__name__=\"up\"", NULL},
    {"up{__name__=\"x\"}", "__name__=\"x\",__name__=\"up\"", NULL},
    {"sum", "__name__=\"sum\"", NULL},
    {"{a!=\"b\",c!~\"d\",}", "a!=\"b\",c!~\"d\"", NULL},
    {"", NULL, "unknown position: parse error: unexpected end of input"},
    {"  ", NULL, "1:3: parse error: unexpected end of input"},
    {"1", NULL, "1:1: parse error: unexpected number \"1\""},
    {"up + 1", NULL, "1:4: parse error: unexpected <op:+>"},
    {"up[5m]", NULL, "1:3: parse error: unexpected \"[\""},
    {"up offset 5m", NULL, "1:4: parse error: unexpected <offset>"},
    {"up @ 1", NULL, "1:4: parse error: unexpected <op:@>"},
    {"sum(up)", NULL, "1:4: parse error: unexpected \"(\""},
    {"up{a}", NULL, "1:5: parse error: unexpected \"}\" in label matching, expected label matching operator"},
    {"up{a=~\"(\"}", NULL, "1:4: parse error: error parsing regexp: missing closing ): `(`"},
    {"(up)", NULL, "1:1: parse error: unexpected \"(\""},
    {"up up", NULL, "1:4: parse error: unexpected identifier \"up\""},
    {"{", NULL, "1:2: parse error: unexpected end of input inside braces"},
    {"-up", NULL, "1:1: parse error: unexpected <op:->"},
    {"abs(up)", NULL, "1:4: parse error: unexpected \"(\""},
    {"up{a=\"b\"", NULL, "1:9: parse error: unexpected end of input inside braces"},
};
/* clang-format on */

static void assert_text(const struct text_case *want, enum err_code code, const struct err *err,
                        const struct buf *got) {
    if (want->want_err != NULL) {
        assert_err(code, ERR_INVALID, NULL, err);
        assert_string_equal(err->text, want->want_err);
    } else {
        assert_ok(code, err);
        assert_str(buf_str(got), want->want);
    }
}

static void a_metric_alone_is_a_label_set(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(METRICS); i++) {
        struct arena arena;
        arena_init(&arena, 0);
        struct labels labels;
        struct err err;
        struct buf got;
        buf_init(&got, TEST_PRINT_MAX);
        const enum err_code code = parse_metric(&arena, str_of(METRICS[i].text), &labels, &err);
        if (code == ERR_OK) {
            labels_format(&got, labels);
        }
        assert_text(&METRICS[i], code, &err, &got);
        buf_release(&got);
        arena_release(&arena);
    }
}

static void a_selector_alone_is_its_matchers(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(SELECTORS); i++) {
        struct arena arena;
        arena_init(&arena, 0);
        struct matcher *matchers = NULL;
        size_t count = 0;
        struct err err;
        struct buf got;
        buf_init(&got, TEST_PRINT_MAX);
        const enum err_code code =
            parse_metric_selector(&arena, str_of(SELECTORS[i].text), &matchers, &count, &err);
        for (size_t m = 0; code == ERR_OK && m < count; m++) {
            buf_append_cstr(&got, m > 0 ? "," : "");
            matcher_format(&got, &matchers[m]);
        }
        assert_text(&SELECTORS[i], code, &err, &got);
        buf_release(&got);
        arena_release(&arena);
    }
}

/* ---- the queries of Prometheus' own tests, where they are at hand ---- */

/* The query of an eval line, or an empty slice. */
static struct str query_of(struct str line) {
    line = str_trim(line);
    if (!str_starts(line, STR("eval"))) {
        return STR("");
    }
    const bool range = str_find(line, STR(" range ")) > 0 && str_find(line, STR(" step ")) > 0;
    int words = range ? 8 : 4; /* eval range from a to b step c, eval instant at t */
    for (; words > 0 && line.len > 0; words--) {
        const ptrdiff_t space = str_find_char(line, ' ');
        line = space < 0 ? STR("") : str_trim(str_from(line, (size_t)space));
    }
    return line;
}

static size_t check_script(const char *path) {
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    char line[16384];
    size_t count = 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        const struct str query = query_of(str_of(line));
        if (query.len > 0) {
            assert_prints(query, NULL, print_expr);
            assert_prints(query, NULL, print_pretty);
            count++;
        }
    }
    (void)fclose(file);
    return count;
}

static void every_query_of_the_scripts_parses_and_prints_stably(void **state) {
    (void)state;
    glob_t scripts;
    if (glob("../shared/promqltest/*.test", 0, NULL, &scripts) != 0) {
        skip();
    }
    size_t count = 0;
    for (size_t i = 0; i < scripts.gl_pathc; i++) {
        count += check_script(scripts.gl_pathv[i]);
    }
    globfree(&scripts);
    assert_true(count > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operators_bind_by_precedence),
        cmocka_unit_test(numbers_have_their_value),
        cmocka_unit_test(strings_are_unquoted),
        cmocka_unit_test(a_selector_holds_matchers_in_order_and_its_modifiers),
        cmocka_unit_test(a_quoted_name_is_only_a_matcher),
        cmocka_unit_test(ranges_are_rounded_to_ns_and_expressions_kept),
        cmocka_unit_test(an_aggregation_holds_param_and_labels),
        cmocka_unit_test(matching_is_kept_between_vectors_only),
        cmocka_unit_test(a_call_knows_its_function),
        cmocka_unit_test(the_tree_does_not_need_the_text),
        cmocka_unit_test(depth_is_limited_in_every_direction),
        cmocka_unit_test(text_length_is_limited),
        cmocka_unit_test(memory_is_budgeted),
        cmocka_unit_test(a_metric_alone_is_a_label_set),
        cmocka_unit_test(a_selector_alone_is_its_matchers),
        cmocka_unit_test(every_query_of_the_scripts_parses_and_prints_stably),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
