/* Series without their names: told apart by numbers where targets split off the same names, and by
 * nobody here where they do not. */
#include "tests/support/check_err.h"

#include "query/plain_sets.h"

struct set {
    const char *name;
    const char *value;
    const char *name2;
    const char *value2;
};

/* 1 and 2 are targets, 3 is one with another name. */
static const struct set SETS[] = {
    {NULL, NULL, NULL, NULL},      {"instance", "a", NULL, NULL},
    {"instance", "b", NULL, NULL}, {"host", "a", NULL, NULL},
    {"__name__", "x", "le", "1"},  {"__name__", "y", "le", "1"},
    {"__name__", "x", "le", "2"},  {"__name__", "x", "instance", "a"},
    {"__name__", "x", NULL, NULL}, {"__name__", "y", "host", "a"},
};

struct fixture {
    struct storage storage;
    struct arena arena;
    struct eval ev;
};

static struct fixture the;

static struct labels labels_of_set(struct storage_querier *q, uint32_t id) {
    (void)q;
    const struct set *s = &SETS[id];
    struct label pairs[2];
    size_t n = 0;
    if (s->name != NULL) {
        pairs[n++] = (struct label){str_of(s->name), str_of(s->value)};
    }
    if (s->name2 != NULL) {
        pairs[n++] = (struct label){str_of(s->name2), str_of(s->value2)};
    }
    return labels_of(&the.arena, pairs, n);
}

static int setup(void **state) {
    static const struct storage_ops ops = {.set_labels = labels_of_set};
    (void)state;
    the = (struct fixture){.storage.ops = &ops};
    arena_init(&the.arena, 0);
    work_begin(&the.ev.base, &the.ev.budget);
    label_space_init(&the.ev.sets, &the.ev.base, &the.storage, NULL);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    work_end(&the.ev.base);
    arena_release(&the.arena);
    return 0;
}

/* Pairs of a target and a metric. */
static enum plain_sets compare(const uint32_t (*pairs)[2], size_t n) {
    struct storage_series series[8];
    enum plain_sets out = PLAIN_SETS_UNLIKE;
    struct err err;
    for (size_t i = 0; i < n; i++) {
        series[i] = (struct storage_series){.target_set = pairs[i][0], .metric_set = pairs[i][1]};
        assert_non_null(label_space_get(&the.ev.sets, pairs[i][0], &err));
        assert_non_null(label_space_get(&the.ev.sets, pairs[i][1], &err));
    }
    assert_ok(plain_sets_compare(&the.ev, series, n, &out, &err), &err);
    return out;
}

static void series_of_one_name_differ(void **state) {
    (void)state;
    static const uint32_t SERIES[][2] = {{1, 4}, {1, 6}, {2, 4}, {2, 6}, {1, 8}};
    assert_int_equal(compare(SERIES, COUNT_OF(SERIES)), PLAIN_SETS_DIFFER);
}

static void names_that_go_make_series_equal(void **state) {
    (void)state;
    static const uint32_t SERIES[][2] = {{1, 4}, {2, 5}, {1, 6}, {1, 5}};
    assert_int_equal(compare(SERIES, COUNT_OF(SERIES)), PLAIN_SETS_REPEAT);
}

static void targets_with_other_names_are_unlike(void **state) {
    (void)state;
    static const uint32_t SERIES[][2] = {{1, 4}, {3, 6}};
    assert_int_equal(compare(SERIES, COUNT_OF(SERIES)), PLAIN_SETS_UNLIKE);
}

/* {instance="a"} + {} and {} + {instance="a"} are equal, their pairs are not. */
static void a_target_without_labels_beside_others_is_unlike(void **state) {
    (void)state;
    static const uint32_t SERIES[][2] = {{1, 8}, {0, 7}};
    assert_int_equal(compare(SERIES, COUNT_OF(SERIES)), PLAIN_SETS_UNLIKE);
    static const uint32_t TURNED[][2] = {{0, 7}, {1, 8}};
    assert_int_equal(compare(TURNED, COUNT_OF(TURNED)), PLAIN_SETS_UNLIKE);
}

static void a_metric_with_a_name_of_the_targets_is_unlike(void **state) {
    (void)state;
    static const uint32_t SERIES[][2] = {{2, 4}, {2, 7}};
    assert_int_equal(compare(SERIES, COUNT_OF(SERIES)), PLAIN_SETS_UNLIKE);
}

static void without_any_target_the_metrics_count(void **state) {
    (void)state;
    static const uint32_t DIFFERENT[][2] = {{0, 4}, {0, 6}, {0, 8}, {0, 9}};
    assert_int_equal(compare(DIFFERENT, COUNT_OF(DIFFERENT)), PLAIN_SETS_DIFFER);
    static const uint32_t EQUAL[][2] = {{0, 4}, {0, 5}};
    assert_int_equal(compare(EQUAL, COUNT_OF(EQUAL)), PLAIN_SETS_REPEAT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(series_of_one_name_differ, setup, teardown),
        cmocka_unit_test_setup_teardown(names_that_go_make_series_equal, setup, teardown),
        cmocka_unit_test_setup_teardown(targets_with_other_names_are_unlike, setup, teardown),
        cmocka_unit_test_setup_teardown(a_target_without_labels_beside_others_is_unlike, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_metric_with_a_name_of_the_targets_is_unlike, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_any_target_the_metrics_count, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
