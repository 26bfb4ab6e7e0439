/* Rule files: each message of the specification with its position, and all errors of a file in order.
 * The texts of YAML and expression errors are those that promtool prints for the same file. */
#include "alert/rule_file.h"
#include "base/generation.h"
#include "tests/support/check_err.h"
#include "tests/support/mem_vfs.h"

struct errors {
    struct buf text; /* lines */
};

static void note(void *ctx, struct str text) {
    struct errors *e = ctx;
    if (e->text.len > 0) {
        buf_append_char(&e->text, '\n');
    }
    buf_append_str(&e->text, text);
}

struct file {
    struct arena arena;
    struct errors errors;
    struct rule_group_spec *groups;
    size_t count;
    bool ok, more;
};

static void file_read(struct file *f, const char *text) {
    *f = (struct file){.count = 0};
    arena_init(&f->arena, 0);
    buf_init(&f->errors.text, 64 * 1024);
    f->ok = rule_file_parse(&f->arena, NULL, STR("r.yml"), str_of(text), note, &f->errors,
                            &f->groups, &f->count, &f->more);
}

static void file_release(struct file *f) {
    buf_release(&f->errors.text);
    arena_release(&f->arena);
}

static void check_refused(const char *text, const char *want) {
    struct file f;
    file_read(&f, text);
    assert_false(f.ok);
    assert_str(buf_str(&f.errors.text), want);
    file_release(&f);
}

#define G "groups:\n- name: g\n  rules:\n"

static void errors_say_where_and_what(void **state) {
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"groups:\n- rules: []\n", "r.yml: 0:0: Groupname must not be empty"},
        {"groups:\n- name: a\n- name: b\n- name: a\n",
         "r.yml: 0:0: groupname: \"a\" is repeated in the same file"},
        {"groups:\n- name: g\n  labels: {__name__: x, ok: y}\n",
         "r.yml: invalid label name: __name__"},
        {G "  - record: r\n    alert: a\n    expr: up\n",
         "r.yml: 4:13: 5:12: group \"g\", rule 1, \"a\": only one of 'record' and 'alert' must be "
         "set"},
        {G "  - expr: up\n",
         "r.yml: 0:0: 0:0: group \"g\", rule 1, \"\": one of 'record' or 'alert' must be set"},
        {G "  - alert: a\n",
         "r.yml: 0:0: group \"g\", rule 1, \"a\": field 'expr' must be set in rule"},
        {G "  - alert: a\n    expr: ''\n",
         "r.yml: 5:11: group \"g\", rule 1, \"a\": field 'expr' must be set in rule"},
        {G "  - alert: a\n    expr: up ==\n",
         "r.yml: 5:11: group \"g\", rule 1, \"a\": could not parse expression: 1:6: parse error: "
         "unexpected end of input"},
        {G "  - record: r\n    expr: up\n    annotations: {a: b}\n    for: 1m\n    "
           "keep_firing_for: 1m\n",
         "r.yml: 4:13: group \"g\", rule 1, \"r\": invalid field 'annotations' in recording rule\n"
         "r.yml: 4:13: group \"g\", rule 1, \"r\": invalid field 'for' in recording rule\n"
         "r.yml: 4:13: group \"g\", rule 1, \"r\": invalid field 'keep_firing_for' in recording "
         "rule"},
        {G "  - record: ''\n    alert: ''\n    expr: up\n",
         "r.yml: 4:13: 5:12: group \"g\", rule 1, \"\": one of 'record' or 'alert' must be set"},
        {G "  - record: 'sum{a}'\n    expr: up\n",
         "r.yml: 4:13: group \"g\", rule 1, \"sum{a}\": braces present in the recording rule name; "
         "should it be in expr?: sum{a}"},
        {G "  - alert: a\n    expr: up\n    labels: {'': x, __name__: y}\n    annotations: {'': "
           "z}\n",
         "r.yml: group \"g\", rule 1, \"a\": invalid label name: \n"
         "r.yml: group \"g\", rule 1, \"a\": invalid label name: __name__\n"
         "r.yml: group \"g\", rule 1, \"a\": invalid annotation name: "},
        {G "  - alert: a\n    expr: up\n    labels: {l: '{{ $labels.x'}\n    annotations: {s: '{{ "
           "nope }}'}\n",
         "r.yml: group \"g\", rule 1, \"a\": label \"l\": template: __alert_a:1: unclosed action\n"
         "r.yml: group \"g\", rule 1, \"a\": annotation \"s\": template: __alert_a:1: function "
         "\"nope\" not defined"},
        /* templates of recording rules are not looked at */
        {G "  - record: r\n    expr: 1 +\n    labels: {l: '{{'}\n",
         "r.yml: 5:11: group \"g\", rule 1, \"r\": could not parse expression: 1:4: parse error: "
         "unexpected end of input"},
        /* all of one rule, in the order of the checks; then the next rule */
        {G "  - record: 'a{'\n    alert: b\n    expr: (\n    for: 1m\n    labels: {__name__: x, t: "
           "'{{'}\n  - expr: ''\n",
         "r.yml: 4:13: 5:12: group \"g\", rule 1, \"b\": only one of 'record' and 'alert' must be "
         "set\n"
         "r.yml: 6:11: group \"g\", rule 1, \"b\": could not parse expression: 1:2: parse error: "
         "unclosed left parenthesis\n"
         "r.yml: 4:13: group \"g\", rule 1, \"b\": invalid field 'for' in recording rule\n"
         "r.yml: 4:13: group \"g\", rule 1, \"b\": braces present in the recording rule name; "
         "should it be in expr?: a{\n"
         "r.yml: group \"g\", rule 1, \"b\": invalid label name: __name__\n"
         "r.yml: group \"g\", rule 1, \"b\": label \"t\": template: __alert_b:1: unclosed "
         "action\n"
         "r.yml: 0:0: 0:0: group \"g\", rule 2, \"\": one of 'record' or 'alert' must be set\n"
         "r.yml: 9:11: group \"g\", rule 2, \"\": field 'expr' must be set in rule"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_refused(rows[i].text, rows[i].want);
    }
}

static void binding_is_strict(void **state) {
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"groups:\n- name: g\n  foo: 1\n",
         "r.yml: yaml: unmarshal errors:\n  line 3: field foo not found in type rulefmt.RuleGroup"},
        {"bar: 1\n", "r.yml: yaml: unmarshal errors:\n  line 1: field bar not found in type "
                     "rulefmt.RuleGroups"},
        {G "  - alert: a\n    exprr: up\n",
         "r.yml: yaml: unmarshal errors:\n  line 5: field exprr not found in type rulefmt.Rule"},
        {G "  - alert: a\n    expr: up\n    for: abc\n",
         "r.yml: not a valid duration string: \"abc\""},
        {"groups:\n- name: g\n  interval: 5\n", "r.yml: not a valid duration string: \"5\""},
        {"groups:\n- name: g\n  limit: many\n",
         "r.yml: yaml: unmarshal errors:\n  line 3: cannot unmarshal !!str `many` into int"},
        {"groups: 5\n", "r.yml: yaml: unmarshal errors:\n  line 1: cannot unmarshal !!int `5` into "
                        "[]rulefmt.RuleGroup"},
        {G "  - alert: a\n    expr: up\n    labels: [x]\n",
         "r.yml: yaml: unmarshal errors:\n  line 6: cannot unmarshal !!seq into map[string]string"},
        {"groups:\n- name: g\n  name: h\n", "r.yml: yaml: unmarshal errors:\n  line 3: mapping key "
                                            "\"name\" already defined at line 2"},
        {"groups: [\n", "r.yml: yaml: line 1: did not find expected node content"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        check_refused(rows[i].text, rows[i].want);
    }
}

static void a_group_keeps_what_the_file_says(void **state) {
    (void)state;
    struct file f;
    file_read(&f, "groups:\n"
                  "- name: g\n"
                  "  interval: 30s\n"
                  "  query_offset: 1m\n"
                  "  limit: 7\n"
                  "  labels: {team: db, sev: low}\n"
                  "  rules:\n"
                  "  - record: job:up\n"
                  "    expr: sum( up )  by(job)\n"
                  "    labels: {sev: high}\n"
                  "  - alert: Down\n"
                  "    expr: 1\n"
                  "    for: 5m\n"
                  "    keep_firing_for: 1h\n"
                  "    annotations: {summary: 'at {{ $value }}'}\n"
                  "- name: empty\n"
                  "---\n"
                  "groups: []\n");
    assert_str(buf_str(&f.errors.text), "");
    assert_true(f.ok);
    assert_true(f.more);
    assert_int_equal(f.count, 2);
    const struct rule_group_spec *g = &f.groups[0];
    assert_str(g->name, "g");
    assert_str(g->file, "r.yml");
    assert_int_equal(g->interval_ms, 30000);
    assert_int_equal(g->query_offset_ms, 60000);
    assert_int_equal(g->limit, 7);
    assert_int_equal(g->rule_count, 2);
    assert_false(g->rules[0].alerting);
    assert_str(g->rules[0].expr, "sum by (job) (up)");
    assert_str(labels_get(g->rules[0].labels, STR("sev")), "high");
    assert_str(labels_get(g->rules[0].labels, STR("team")), "db");
    assert_true(g->rules[1].alerting);
    assert_str(g->rules[1].expr, "1");
    assert_int_equal(g->rules[1].for_ms, 300000);
    assert_int_equal(g->rules[1].keep_firing_for_ms, 3600000);
    assert_str(labels_get(g->rules[1].labels, STR("sev")), "low");
    assert_non_null(g->rules[1].annotation_templates[0].parsed);
    assert_int_equal(f.groups[1].query_offset_ms, -1);
    assert_int_equal(f.groups[1].rule_count, 0);
    file_release(&f);
}

static void an_empty_file_has_no_groups(void **state) {
    (void)state;
    static const char *const texts[] = {"", "# nothing\n", "groups:\n", "groups: []\n", "---\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct file f;
        file_read(&f, texts[i]);
        assert_str(buf_str(&f.errors.text), "");
        assert_true(f.ok);
        assert_int_equal(f.count, 0);
        file_release(&f);
    }
}

static void a_groups_label_with_a_bad_template_is_no_error(void **state) {
    (void)state;
    struct file f;
    file_read(&f, "groups:\n- name: g\n  labels: {l: '{{ nope }}'}\n  rules:\n  - alert: a\n    "
                  "expr: up\n");
    assert_true(f.ok);
    assert_true(str_find(f.groups[0].rules[0].label_templates[0].parse_error, STR("not defined")) >=
                0);
    file_release(&f);
}

static void a_missing_file_is_an_error_that_names_it(void **state) {
    (void)state;
    struct mem_vfs *mem = mem_vfs_new();
    struct file f = {.count = 0};
    arena_init(&f.arena, 0);
    buf_init(&f.errors.text, 4096);
    assert_false(rule_file_load(&f.arena, NULL, mem_vfs_base(mem), "/rules/x.yml", note, &f.errors,
                                &f.groups, &f.count, NULL));
    assert_true(str_starts(buf_str(&f.errors.text), STR("/rules/x.yml: ")));
    file_release(&f);
    mem_vfs_free(mem);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_say_where_and_what),
        cmocka_unit_test(binding_is_strict),
        cmocka_unit_test(a_group_keeps_what_the_file_says),
        cmocka_unit_test(an_empty_file_has_no_groups),
        cmocka_unit_test(a_groups_label_with_a_bad_template_is_no_error),
        cmocka_unit_test(a_missing_file_is_an_error_that_names_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
