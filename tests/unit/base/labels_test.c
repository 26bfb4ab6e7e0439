/* labels: one encoding for a set, Prometheus' order and hash, and no trust in foreign blobs. */
#include "base/labels.h"

#include "base/hash.h"
#include "tests/support/check_err.h"

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

#define LABELS(...)                                                                                \
    labels_of(&arena, (const struct label[]){__VA_ARGS__},                                         \
              COUNT_OF(((const struct label[]){__VA_ARGS__})))
#define PAIR(n, v)                                                                                 \
    { STR_INIT(n), STR_INIT(v) }

static void check_format(struct labels labels, const char *want) {
    struct buf b;
    buf_init(&b, 4096);
    labels_format(&b, labels);
    assert_str(buf_str(&b), want);
    buf_release(&b);
}

static void the_builder_sorts_replaces_and_deletes(void **state) {
    (void)state;
    struct labels_builder b;
    struct labels labels;
    struct err err;
    labels_builder_init(&b, &arena);
    labels_builder_reset(&b, LABELS(PAIR("b", "1"), PAIR("a", "2")));
    labels_builder_set(&b, STR("c"), STR("3"));
    labels_builder_set(&b, STR("a"), STR("4"));
    labels_builder_set(&b, STR("b"), STR(""));
    labels_builder_set(&b, STR("__name__"), STR("up"));
    labels_builder_del(&b, STR("missing"));
    assert_str(labels_builder_get(&b, STR("c")), "3");
    assert_str(labels_builder_get(&b, STR("b")), "");
    assert_ok(labels_builder_finish(&b, &labels, &err), &err);
    check_format(labels, "{__name__=\"up\", a=\"4\", c=\"3\"}");
    assert_ok(labels_check(labels.data, labels.size, &err), &err);
}

static void long_strings_have_a_length_of_four_bytes(void **state) {
    (void)state;
    char text[600];
    memset(text, 'x', sizeof(text));
    for (size_t n = 253; n < 600; n += n < 258 ? 1 : 100) {
        const struct label pair = {STR("n"), {text, n}};
        const struct labels labels = labels_of(&arena, &pair, 1);
        struct err err;
        assert_int_equal(labels.size, 2 + n + (n < 255 ? 1 : 4));
        assert_int_equal(labels_get(labels, STR("n")).len, n);
        assert_ok(labels_check(labels.data, labels.size, &err), &err);
    }
}

static void a_string_over_the_limit_is_refused(void **state) {
    (void)state;
    struct labels_builder b;
    struct labels labels;
    struct err err;
    labels_builder_init(&b, &arena);
    char *text = arena_zalloc(&arena, LABEL_STRING_MAX + 1);
    labels_builder_set(&b, STR("a"), (struct str){text, LABEL_STRING_MAX + 1});
    assert_err(labels_builder_finish(&b, &labels, &err), ERR_LIMIT, "label a is longer", &err);
}

static void a_budget_that_is_used_up_is_an_error(void **state) {
    (void)state;
    struct arena small;
    arena_init(&small, 8192);
    struct labels_builder b;
    struct labels labels;
    struct err err;
    char text[9000];
    memset(text, 'x', sizeof(text));
    labels_builder_init(&b, &small);
    labels_builder_set(&b, STR("a"), (struct str){text, sizeof(text)});
    assert_err(labels_builder_finish(&b, &labels, &err), ERR_LIMIT, "no memory left", &err);
    arena_release(&small);
}

static void the_hash_is_over_the_packed_pairs(void **state) {
    (void)state;
    const struct labels labels = LABELS(PAIR("a", "1"), PAIR("bc", "23"));
    assert_int_equal(labels.size, 10);
    assert_memory_equal(labels.data, "\1a\0011\2bc\00223", 10);
    assert_true(labels_hash(labels) == hash_xxh64("\1a\0011\2bc\00223", 10));
    assert_true(labels_hash((struct labels){NULL, 0}) == 0xEF46DB3751D8E999ULL);
}

static void order_is_by_name_then_value_and_a_prefix_is_first(void **state) {
    (void)state;
    const struct labels sorted[] = {
        {NULL, 0},
        LABELS(PAIR("a", "1")),
        LABELS(PAIR("a", "1"), PAIR("b", "1")),
        LABELS(PAIR("a", "10")),
        LABELS(PAIR("a", "2")),
        LABELS(PAIR("aa", "1")),
        LABELS(PAIR("b", "1")),
    };
    for (size_t i = 0; i < COUNT_OF(sorted); i++) {
        for (size_t j = 0; j < COUNT_OF(sorted); j++) {
            const int c = labels_cmp(sorted[i], sorted[j]);
            assert_int_equal((c > 0) - (c < 0), (i > j) - (i < j));
            assert_int_equal(labels_eq(sorted[i], sorted[j]), i == j);
        }
    }
}

static void merge_prefers_the_second_set(void **state) {
    (void)state;
    check_format(labels_merge(&arena, LABELS(PAIR("a", "1"), PAIR("c", "1"), PAIR("d", "1")),
                              LABELS(PAIR("b", "2"), PAIR("c", "2"))),
                 "{a=\"1\", b=\"2\", c=\"2\", d=\"1\"}");
    check_format(labels_merge(&arena, (struct labels){NULL, 0}, (struct labels){NULL, 0}), "{}");
}

static void keep_and_drop_split_a_set(void **state) {
    (void)state;
    const struct labels labels = LABELS(PAIR("a", "1"), PAIR("b", "2"), PAIR("c", "3"));
    const struct str names[] = {STR_INIT("a"), STR_INIT("bb"), STR_INIT("c")};
    check_format(labels_keep(&arena, labels, names, 3), "{a=\"1\", c=\"3\"}");
    check_format(labels_drop(&arena, labels, names, 3), "{b=\"2\"}");
    check_format(labels_drop(&arena, labels, NULL, 0), "{a=\"1\", b=\"2\", c=\"3\"}");
    assert_int_equal(labels_count(labels), 3);
    assert_true(labels_has(labels, STR("b")));
    assert_false(labels_has(labels, STR("bb")));
}

static void damaged_blobs_are_found(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *want;
    } cases[] = {
        {"\1a", 2, "bad length"},
        {"\1a\5xy", 5, "bad length"},
        {"\377\1", 2, "bad length"},
        {"\1a\377\3\0\0xyz", 9, "bad length"}, /* a short string in the long form */
        {"\1a\0", 3, "empty value"},
        {"\0\1a", 3, "empty name"},
        {"\1b\1x\1a\1x", 8, "out of order"},
        {"\1a\1x\1a\1y", 8, "out of order"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct err err;
        assert_err(labels_check((const uint8_t *)cases[i].bytes, cases[i].n, &err), ERR_CORRUPT,
                   cases[i].want, &err);
    }
}

static void prints_as_prometheus_does(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    labels_format_metric(&b, LABELS(PAIR("__name__", "up"), PAIR("a", "x\"y"), PAIR("b.c", "1")));
    assert_str(buf_str(&b), "up{a=\"x\\\"y\", \"b.c\"=\"1\"}");
    buf_clear(&b);
    labels_format_metric(&b, LABELS(PAIR("__name__", "up")));
    assert_str(buf_str(&b), "up");
    buf_clear(&b);
    labels_format_metric(&b, LABELS(PAIR("__name__", "my.metric"), PAIR("a", "1")));
    assert_str(buf_str(&b), "{\"my.metric\", a=\"1\"}");
    buf_clear(&b);
    labels_format_metric(&b, (struct labels){NULL, 0});
    assert_str(buf_str(&b), "{}");
    buf_release(&b);
}

static void names_are_checked_by_scheme(void **state) {
    (void)state;
    assert_true(label_name_legacy(STR("_a9")));
    assert_false(label_name_legacy(STR("9a")));
    assert_false(label_name_legacy(STR("a:b")));
    assert_false(label_name_legacy(STR("")));
    assert_true(metric_name_legacy(STR(":a:9")));
    assert_true(label_name_valid(STR("a.b \xC3\xA9"), NAMES_UTF8));
    assert_false(label_name_valid(STR("a\xFF"), NAMES_UTF8));
    assert_false(label_name_valid(STR(""), NAMES_UTF8));
    assert_false(metric_name_valid(STR("a.b"), NAMES_LEGACY));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(the_builder_sorts_replaces_and_deletes),
        TEST(long_strings_have_a_length_of_four_bytes),
        TEST(a_string_over_the_limit_is_refused),
        TEST(a_budget_that_is_used_up_is_an_error),
        TEST(the_hash_is_over_the_packed_pairs),
        TEST(order_is_by_name_then_value_and_a_prefix_is_first),
        TEST(merge_prefers_the_second_set),
        TEST(keep_and_drop_split_a_set),
        TEST(damaged_blobs_are_found),
        TEST(prints_as_prometheus_does),
        TEST(names_are_checked_by_scheme),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
