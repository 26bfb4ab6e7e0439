/* YAML trees: positions, go-yaml's scalars and error texts, the limits, and that what is written
 * reads back as the same tree. */
#include "base/yaml_node.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/yaml_scalar.h"
#include "tests/support/check_err.h"

static int setup(void **state) {
    struct arena *arena = mem_alloc(sizeof(*arena));
    arena_init(arena, 512 * 1024 * 1024);
    *state = arena;
    return 0;
}

static int teardown(void **state) {
    arena_release(*state);
    mem_free(*state);
    return 0;
}

static struct yaml_node *parse(struct arena *arena, const char *text) {
    struct err err;
    struct yaml_node *node = NULL;
    assert_ok(yaml_parse(arena, str_of(text), &node, NULL, &err), &err);
    return node;
}

static void a_tree_knows_positions_and_styles(void **state) {
    const struct yaml_node *root = parse(*state, "a: 1\nb:\n  - x\n  - 'y'\nc: {k: \"v\"}\n");
    assert_int_equal(root->kind, YAML_MAPPING);
    assert_int_equal(root->count, 6);
    const struct yaml_node *list = yaml_get(root, "b");
    assert_int_equal(list->kind, YAML_SEQUENCE);
    assert_false(list->flow);
    assert_int_equal(list->items[1]->line, 4);
    assert_int_equal(list->items[1]->column, 5);
    assert_true(list->items[0]->plain);
    assert_false(list->items[1]->plain);
    assert_true(yaml_get(root, "c")->flow);
    assert_null(yaml_get(root, "d"));
}

static void an_empty_document_is_no_node(void **state) {
    assert_null(parse(*state, ""));
    assert_null(parse(*state, "# nothing\n"));
}

static void only_the_first_document_counts_and_more_are_told(void **state) {
    struct err err;
    struct yaml_node *node = NULL;
    bool more = false;
    assert_ok(yaml_parse(*state, STR("a: 1\n---\nb: 2\n"), &node, &more, &err), &err);
    assert_true(more);
    assert_non_null(yaml_get(node, "a"));
    assert_ok(yaml_parse(*state, STR("a: 1\n"), &node, &more, &err), &err);
    assert_false(more);
}

static void scalars_resolve_as_yaml_1_1(void **state) {
    static const struct {
        const char *text;
        enum yaml_type type;
        double number;
    } cases[] = {
        {"yes", YAML_TYPE_BOOL, 1},
        {"off", YAML_TYPE_BOOL, 0},
        {"y", YAML_TYPE_BOOL, 1},
        {"yEs", YAML_TYPE_STR, 0},
        {"~", YAML_TYPE_NULL, 0},
        {"Null", YAML_TYPE_NULL, 0},
        {"12", YAML_TYPE_INT, 12},
        {"-0x1F", YAML_TYPE_INT, -31},
        {"017", YAML_TYPE_INT, 15},
        {"0o17", YAML_TYPE_INT, 15},
        {"0b101", YAML_TYPE_INT, 5},
        {"1_000", YAML_TYPE_INT, 1000},
        {"+3", YAML_TYPE_INT, 3},
        {"1.5", YAML_TYPE_FLOAT, 1.5},
        {"1e3", YAML_TYPE_FLOAT, 1000},
        {"1e+3", YAML_TYPE_FLOAT, 1000},
        {".5", YAML_TYPE_FLOAT, 0.5},
        {"1.", YAML_TYPE_FLOAT, 1},
        {"-.inf", YAML_TYPE_FLOAT, -INFINITY},
        {"08", YAML_TYPE_FLOAT, 8},
        {"2026-01-02", YAML_TYPE_TIMESTAMP, 0},
        {"2026-01-02T03:04:05Z", YAML_TYPE_TIMESTAMP, 0},
        {"2026-13-02", YAML_TYPE_STR, 0},
        {"1m", YAML_TYPE_STR, 0},
        {"<<", YAML_TYPE_MERGE, 0},
        {"-", YAML_TYPE_STR, 0},
        {"18446744073709551615", YAML_TYPE_UINT, 18446744073709551615.0},
        {"-9223372036854775808", YAML_TYPE_INT, -9223372036854775808.0},
        {"18446744073709551616", YAML_TYPE_FLOAT, 18446744073709551616.0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct yaml_value value = yaml_resolve_plain(str_of(cases[i].text));
        if (value.type != cases[i].type) {
            print_error("%s: got type %d\n", cases[i].text, value.type);
        }
        assert_int_equal(value.type, cases[i].type);
        const double got = value.type == YAML_TYPE_BOOL    ? value.as.b
                           : value.type == YAML_TYPE_INT   ? (double)value.as.i
                           : value.type == YAML_TYPE_UINT  ? (double)value.as.u
                           : value.type == YAML_TYPE_FLOAT ? value.as.f
                                                           : cases[i].number;
        assert_true(got == cases[i].number);
    }
}

static void a_tag_decides_what_a_scalar_is(void **state) {
    struct err err;
    struct str text;
    const struct yaml_node *root =
        parse(*state, "- !!str 12\n- !!binary /w==\n- '12'\n- !!binary '*'\n- !!float 3\n");
    assert_int_equal(yaml_resolve(root->items[0]).type, YAML_TYPE_STR);
    assert_string_equal(yaml_tag_name(root->items[0]), "!!str");
    assert_ok(yaml_string(*state, root->items[1], &text, &err), &err);
    assert_str(text, "\xff");
    assert_int_equal(yaml_resolve(root->items[2]).type, YAML_TYPE_STR);
    assert_err(yaml_string(*state, root->items[3], &text, &err), ERR_INVALID,
               "!!binary value contains invalid base64 data", &err);
    assert_int_equal(yaml_resolve(root->items[4]).type, YAML_TYPE_FLOAT);
}

static void an_alias_is_the_node_of_its_anchor(void **state) {
    const struct yaml_node *root = parse(*state, "a: &x [1, 2]\nb: *x\n");
    assert_ptr_equal(yaml_get(root, "a"), yaml_get(root, "b"));
}

static void errors_have_go_yamls_texts(void **state) {
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"a: b: c\n", "yaml: mapping values are not allowed in this context"},
        {"x: 1\na: b: c\n", "yaml: line 2: mapping values are not allowed in this context"},
        {"a:\n  - b\n c: d\n", "yaml: line 2: did not find expected key"},
        {"a: [1, 2\nb: 3\n", "yaml: line 1: did not find expected ',' or ']'"},
        {"a: *nope\n", "yaml: unknown anchor 'nope' referenced"},
        {"a: &x [*x]\n", "yaml: anchor 'x' value contains itself"},
        {"a: \"\\q\"\n", "yaml: found unknown escape character"},
        {"\x01", "yaml: control characters are not allowed"},
        {"a: \xff\n", "yaml: invalid leading UTF-8 octet"},
        {"a: 'x\n", "found unexpected end of stream"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        struct yaml_node *node = NULL;
        assert_err(yaml_parse(*state, str_of(cases[i].text), &node, NULL, &err), ERR_INVALID,
                   cases[i].want, &err);
        assert_null(node);
    }
}

static void expect_limit(struct arena *arena, struct str text, const char *want) {
    struct err err;
    struct yaml_node *node = NULL;
    assert_err(yaml_parse(arena, text, &node, NULL, &err), ERR_LIMIT, want, &err);
}

static void nesting_beyond_64_is_refused_in_flow_and_in_blocks(void **state) {
    static char flow[200000];
    static char blocks[200000];
    memset(flow, '[', sizeof(flow));
    for (size_t i = 0; i < sizeof(blocks); i++) {
        blocks[i] = i % 2 == 0 ? '-' : ' ';
    }
    expect_limit(*state, (struct str){flow, sizeof(flow)}, "line 1: exceeded max depth of 64");
    expect_limit(*state, (struct str){blocks, sizeof(blocks)}, "line 1: exceeded max depth of 64");

    char edge[2 * YAML_DEPTH_MAX + 1];
    memset(edge, '[', YAML_DEPTH_MAX);
    memset(edge + YAML_DEPTH_MAX, ']', YAML_DEPTH_MAX);
    edge[sizeof(edge) - 1] = '\0';
    assert_non_null(parse(*state, edge));
}

static void aliases_cannot_multiply_nodes_or_depth(void **state) {
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_append_cstr(&text, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 8; i++) {
        buf_printf(&text, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i,
                   i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    }
    expect_limit(*state, buf_str(&text), "excessive aliasing");
    buf_clear(&text);
    buf_append_cstr(&text, "a0: &a0 [x]\n");
    for (int i = 1; i < 70; i++) {
        buf_printf(&text, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    }
    expect_limit(*state, buf_str(&text), "exceeded max depth of 64");
    buf_release(&text);
}

static void floods_of_directives_anchors_and_bytes_are_refused(void **state) {
    struct buf text;
    buf_init(&text, 32 << 20);
    for (int i = 0; i <= YAML_DIRECTIVES_MAX; i++) {
        buf_printf(&text, "%%TAG !t%d! x\n", i);
    }
    expect_limit(*state, buf_str(&text), "too many directives");
    buf_clear(&text);
    for (int i = 0; i <= YAML_ANCHORS_MAX; i++) {
        buf_printf(&text, "- &a%d x\n", i);
    }
    expect_limit(*state, buf_str(&text), "too many anchors");
    buf_clear(&text);
    for (int i = 0; i <= YAML_NODES_MAX; i++) {
        buf_append_cstr(&text, "-\n");
    }
    expect_limit(*state, buf_str(&text), "too many nodes");
    while (text.len <= YAML_TEXT_MAX) {
        buf_append_cstr(&text, "# a comment of some length that fills the text\n");
    }
    expect_limit(*state, buf_str(&text), "is larger than");
    buf_release(&text);
}

static void the_budget_of_the_arena_is_kept(void **state) {
    (void)state;
    struct arena small;
    arena_init(&small, 256 * 1024);
    struct buf text;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 20000; i++) {
        buf_append_cstr(&text, "- some text\n");
    }
    expect_limit(&small, buf_str(&text), "needs too much memory");
    assert_true(small.used_bytes <= 512 * 1024);
    buf_release(&text);
    arena_release(&small);
}

static struct yaml_node *scalar(struct arena *arena, struct str text, bool plain) {
    struct yaml_node *node = arena_zalloc(arena, sizeof(*node));
    *node = (struct yaml_node){.kind = YAML_SCALAR, .text = text, .plain = plain, .tag = STR("")};
    return node;
}

static void written_strings_stay_strings(void **state) {
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"plain", "- plain\n"},
        {"12", "- \"12\"\n"},
        {"yes", "- \"yes\"\n"},
        {"", "- \"\"\n"},
        {"1:20", "- \"1:20\"\n"},
        {"2026-01-02", "- \"2026-01-02\"\n"},
        {"a: b", "- 'a: b'\n"},
        {"#no comment", "- '#no comment'\n"},
        {"(.*);(.+)", "- (.*);(.+)\n"},
        {"$1", "- $1\n"},
        {";", "- ;\n"},
        {"two\nlines", "- |-\n  two\n  lines\n"},
        {"tab\there", "- \"tab\\there\"\n"},
        {"\xff", "- !!binary /w==\n"},
        {"h\xc3\xa9", "- h\xc3\xa9\n"},
        {"<secret>", "- <secret>\n"},
        {"http://user:xxxxx@h:1/", "- http://user:xxxxx@h:1/\n"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        struct buf text;
        struct yaml_node *items[1] = {scalar(*state, str_of(cases[i].text), false)};
        const struct yaml_node list = {
            .kind = YAML_SEQUENCE, .items = items, .count = 1, .tag = STR("")};
        buf_init(&text, 4096);
        assert_ok(yaml_format(&text, &list, &err), &err);
        assert_str(buf_str(&text), cases[i].want);
        struct str back;
        const struct yaml_node *again = parse(*state, buf_str(&text).ptr);
        assert_ok(yaml_string(*state, again->items[0], &back, &err), &err);
        assert_str(back, cases[i].text);
        buf_release(&text);
    }
}

static void collections_are_written_as_go_yaml_does(void **state) {
    static const char text[] = "a:\n- x: 1\n  y: [p, q]\n- z: {}\nb: []\nc:\n  d: \"5\"\n";
    struct err err;
    struct buf out;
    buf_init(&out, 4096);
    assert_ok(yaml_format(&out, parse(*state, text), &err), &err);
    assert_str(buf_str(&out), text);
    buf_release(&out);
}

static void null_stays_null_in_brackets(void **state) {
    struct err err;
    struct buf out;
    buf_init(&out, 4096);
    assert_ok(yaml_format(&out, parse(*state, "a: {k: }\nb:\n"), &err), &err);
    assert_str(buf_str(&out), "a: {k: null}\nb: null\n");
    buf_release(&out);
}

static void writing_stops_at_the_buffers_maximum(void **state) {
    struct err err;
    struct buf out;
    buf_init(&out, 8);
    assert_err(yaml_format(&out, parse(*state, "some: long text that does not fit\n"), &err),
               ERR_LIMIT, "too large", &err);
    buf_release(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_tree_knows_positions_and_styles, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_document_is_no_node, setup, teardown),
        cmocka_unit_test_setup_teardown(only_the_first_document_counts_and_more_are_told, setup,
                                        teardown),
        cmocka_unit_test(scalars_resolve_as_yaml_1_1),
        cmocka_unit_test_setup_teardown(a_tag_decides_what_a_scalar_is, setup, teardown),
        cmocka_unit_test_setup_teardown(an_alias_is_the_node_of_its_anchor, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_have_go_yamls_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(nesting_beyond_64_is_refused_in_flow_and_in_blocks, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(aliases_cannot_multiply_nodes_or_depth, setup, teardown),
        cmocka_unit_test_setup_teardown(floods_of_directives_anchors_and_bytes_are_refused, setup,
                                        teardown),
        cmocka_unit_test(the_budget_of_the_arena_is_kept),
        cmocka_unit_test_setup_teardown(written_strings_stay_strings, setup, teardown),
        cmocka_unit_test_setup_teardown(collections_are_written_as_go_yaml_does, setup, teardown),
        cmocka_unit_test_setup_teardown(null_stays_null_in_brackets, setup, teardown),
        cmocka_unit_test_setup_teardown(writing_stops_at_the_buffers_maximum, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
