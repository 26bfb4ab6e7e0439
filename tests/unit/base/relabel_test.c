/* relabel: every action on a small set, and the texts for rules that make no sense. */
#include "base/relabel.h"

#include "tests/support/check_err.h"

struct fixture {
    struct arena arena;
    struct labels_builder b;
    struct regex *regex;
};

static int setup(void **state) {
    struct fixture *f = test_calloc(1, sizeof(*f));
    arena_init(&f->arena, 0);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    regex_free(f->regex);
    arena_release(&f->arena);
    test_free(f);
    return 0;
}

static const struct str a_label[] = {STR_INIT("a")};
static const struct str ab_labels[] = {STR_INIT("a"), STR_INIT("b")};

static struct relabel_rule rule_of(struct fixture *f, enum relabel_action action,
                                   const char *regex) {
    struct err err;
    regex_free(f->regex);
    f->regex = NULL;
    assert_ok(regex_new(str_of(regex), REGEX_WRAPPED, &f->regex, &err), &err);
    return (struct relabel_rule){
        .action = action,
        .source_labels = a_label,
        .source_count = 1,
        .separator = STR(";"),
        .regex = f->regex,
        .target_label = STR(""),
        .replacement = STR("$1"),
    };
}

/* Runs the rule over {a="foo", b="bar", c="baz"}; NULL: the set is dropped. */
static void check_run(struct fixture *f, const struct relabel_rule *rule, const char *want) {
    const struct label pairs[] = {
        {STR("a"), STR("foo")}, {STR("b"), STR("bar")}, {STR("c"), STR("baz")}};
    struct labels labels = labels_of(&f->arena, pairs, 3);
    struct err err;
    bool keep = false;
    labels_builder_init(&f->b, &f->arena);
    labels_builder_reset(&f->b, labels);
    const struct relabel_rules rules = {rule, 1};
    assert_ok(relabel_run(&rules, &f->b, &keep, &err), &err);
    assert_int_equal(keep, want != NULL);
    if (want != NULL) {
        assert_ok(labels_builder_finish(&f->b, &labels, &err), &err);
        struct buf text;
        buf_init(&text, 4096);
        labels_format(&text, labels);
        assert_str(buf_str(&text), want);
        buf_release(&text);
    }
}

static void replace_fills_target_and_replacement(void **state) {
    struct fixture *f = *state;
    struct relabel_rule rule = rule_of(f, RELABEL_REPLACE, "f(.*)");
    rule.target_label = STR("d");
    rule.replacement = STR("ch${1}-ch${1}");
    check_run(f, &rule, "{a=\"foo\", b=\"bar\", c=\"baz\", d=\"choo-choo\"}");
    rule.target_label = STR("x_$1");
    rule.replacement = STR("v");
    check_run(f, &rule, "{a=\"foo\", b=\"bar\", c=\"baz\", x_oo=\"v\"}");
    rule.target_label = STR("b");
    rule.replacement = STR("$2"); /* no such group: empty deletes */
    check_run(f, &rule, "{a=\"foo\", c=\"baz\"}");
    rule.scheme = NAMES_LEGACY;
    rule.target_label = STR("0$1"); /* no legal name: nothing happens */
    check_run(f, &rule, "{a=\"foo\", b=\"bar\", c=\"baz\"}");
}

static void replace_without_a_match_does_nothing(void **state) {
    struct fixture *f = *state;
    struct relabel_rule rule = rule_of(f, RELABEL_REPLACE, "oo");
    rule.target_label = STR("b");
    rule.replacement = STR("x");
    check_run(f, &rule, "{a=\"foo\", b=\"bar\", c=\"baz\"}");
}

static void source_labels_are_joined(void **state) {
    struct fixture *f = *state;
    struct relabel_rule rule = rule_of(f, RELABEL_REPLACE, "(.*)");
    rule.source_labels = ab_labels;
    rule.source_count = 2;
    rule.separator = STR("--");
    rule.target_label = STR("d");
    check_run(f, &rule, "{a=\"foo\", b=\"bar\", c=\"baz\", d=\"foo--bar\"}");
    rule.source_count = 0;
    rule.replacement = STR("const");
    check_run(f, &rule, "{a=\"foo\", b=\"bar\", c=\"baz\", d=\"const\"}");
}

static void keep_and_drop_decide_by_the_regex(void **state) {
    struct fixture *f = *state;
    const char *all = "{a=\"foo\", b=\"bar\", c=\"baz\"}";
    struct relabel_rule rule = rule_of(f, RELABEL_KEEP, "fo+");
    check_run(f, &rule, all);
    rule.action = RELABEL_DROP;
    check_run(f, &rule, NULL);
    rule = rule_of(f, RELABEL_KEEP, "fo");
    check_run(f, &rule, NULL);
    rule.action = RELABEL_DROP;
    check_run(f, &rule, all);
}

static void keepequal_and_dropequal_compare_labels(void **state) {
    struct fixture *f = *state;
    const char *all = "{a=\"foo\", b=\"bar\", c=\"baz\"}";
    struct relabel_rule rule = rule_of(f, RELABEL_KEEP_EQUAL, "(.*)");
    rule.target_label = STR("b");
    check_run(f, &rule, NULL);
    rule.action = RELABEL_DROP_EQUAL;
    check_run(f, &rule, all);
    rule.target_label = STR("a");
    check_run(f, &rule, NULL);
}

static void hashmod_takes_the_last_eight_bytes_of_md5(void **state) {
    struct fixture *f = *state;
    struct relabel_rule rule = rule_of(f, RELABEL_HASHMOD, "(.*)");
    rule.source_labels = (const struct str[]){STR_INIT("c")};
    rule.target_label = STR("d");
    rule.modulus = 1000;
    check_run(f, &rule, "{a=\"foo\", b=\"bar\", c=\"baz\", d=\"976\"}");
}

static void labelmap_copies_names_that_match(void **state) {
    struct fixture *f = *state;
    struct relabel_rule rule = rule_of(f, RELABEL_LABELMAP, "([ab])");
    rule.replacement = STR("bar_$1");
    check_run(f, &rule, "{a=\"foo\", b=\"bar\", bar_a=\"foo\", bar_b=\"bar\", c=\"baz\"}");
}

static void labeldrop_and_labelkeep_go_by_name(void **state) {
    struct fixture *f = *state;
    struct relabel_rule rule = rule_of(f, RELABEL_LABELDROP, "a|c");
    check_run(f, &rule, "{b=\"bar\"}");
    rule.action = RELABEL_LABELKEEP;
    check_run(f, &rule, "{a=\"foo\", c=\"baz\"}");
}

static void case_actions_map_the_value(void **state) {
    struct fixture *f = *state;
    struct relabel_rule rule = rule_of(f, RELABEL_UPPERCASE, "(.*)");
    rule.target_label = STR("b");
    check_run(f, &rule, "{a=\"foo\", b=\"FOO\", c=\"baz\"}");
    rule.action = RELABEL_LOWERCASE;
    check_run(f, &rule, "{a=\"foo\", b=\"foo\", c=\"baz\"}");
}

static void a_value_that_grows_without_end_is_refused(void **state) {
    struct fixture *f = *state;
    struct relabel_rule rule = rule_of(f, RELABEL_REPLACE, "(.*)");
    rule.target_label = STR("a");
    rule.replacement = STR("$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1$1");
    struct relabel_rule rules[8];
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        rules[i] = rule;
    }
    struct err err;
    bool keep = false;
    labels_builder_init(&f->b, &f->arena);
    labels_builder_set(&f->b, STR("a"), STR("0123456789"));
    const struct relabel_rules all = {rules, COUNT_OF(rules)};
    assert_err(relabel_run(&all, &f->b, &keep, &err), ERR_LIMIT, NULL, &err);
}

static void actions_are_read_in_any_case(void **state) {
    (void)state;
    enum relabel_action action = RELABEL_KEEP;
    struct err err;
    assert_ok(relabel_action_parse(STR("KeepEqual"), &action, &err), &err);
    assert_int_equal(action, RELABEL_KEEP_EQUAL);
    assert_string_equal(relabel_action_name(action), "keepequal");
    assert_err(relabel_action_parse(STR("x"), &action, &err), ERR_INVALID,
               "unknown relabel action \"x\"", &err);
    assert_err(relabel_action_parse(STR(""), &action, &err), ERR_INVALID,
               "relabel action cannot be empty", &err);
}

static void check_refused(const struct relabel_rule *rule, const char *text) {
    struct err err;
    assert_err(relabel_rule_check(rule, &err), ERR_INVALID, text, &err);
}

static void rules_that_make_no_sense_are_refused(void **state) {
    struct fixture *f = *state;
    struct err err;
    struct relabel_rule rule = rule_of(f, RELABEL_HASHMOD, "(.*)");
    check_refused(&rule, "relabel configuration for hashmod requires non-zero modulus");
    rule.action = RELABEL_LOWERCASE;
    check_refused(&rule,
                  "relabel configuration for lowercase action requires 'target_label' value");
    rule.action = RELABEL_REPLACE;
    rule.scheme = NAMES_LEGACY;
    rule.target_label = STR("a-b");
    check_refused(&rule, "\"a-b\" is invalid 'target_label' for replace action");
    rule.target_label = STR("0${1}");
    check_refused(&rule, "\"0${1}\" is invalid 'target_label' for replace action");
    rule.target_label = STR("a${1}_$2b9");
    assert_ok(relabel_rule_check(&rule, &err), &err);
    rule.action = RELABEL_UPPERCASE;
    check_refused(&rule, "\"a${1}_$2b9\" is invalid 'target_label' for uppercase action");
    rule.target_label = STR("a");
    rule.replacement = STR("x");
    check_refused(&rule, "'replacement' can not be set for uppercase action");
    rule.action = RELABEL_LABELMAP;
    rule.replacement = STR("a.b");
    check_refused(&rule, "\"a.b\" is invalid 'replacement' for labelmap action");
    rule.replacement = STR("$1");
    rule.action = RELABEL_KEEP_EQUAL;
    rule.has_regex = true;
    check_refused(&rule,
                  "keepequal action requires only 'source_labels' and `target_label`, and no "
                  "other fields");
    rule.action = RELABEL_LABELDROP;
    check_refused(&rule, "labeldrop action requires only 'regex', and no other fields");
    rule.target_label = STR("");
    assert_ok(relabel_rule_check(&rule, &err), &err);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(replace_fills_target_and_replacement),
        TEST(replace_without_a_match_does_nothing),
        TEST(source_labels_are_joined),
        TEST(keep_and_drop_decide_by_the_regex),
        TEST(keepequal_and_dropequal_compare_labels),
        TEST(hashmod_takes_the_last_eight_bytes_of_md5),
        TEST(labelmap_copies_names_that_match),
        TEST(labeldrop_and_labelkeep_go_by_name),
        TEST(case_actions_map_the_value),
        TEST(a_value_that_grows_without_end_is_refused),
        TEST(actions_are_read_in_any_case),
        TEST(rules_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
