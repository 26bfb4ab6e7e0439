/* What makes the head large, against a count series by series: targets and metrics that share label
 * names and values, groups of one target, slots with all labels of their own, slots that were lost, sets
 * that nobody uses. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "tests/support/check_err.h"
#include "tsdb/index_stats.h"

enum { GROUPS = 12, SERIES = 40, LABELS_MAX = GROUPS * SERIES * 6 };

struct fixture {
    struct arena arena;
    struct index index;
    struct label labels[LABELS_MAX]; /* of all series */
    size_t label_count;
    uint64_t series_count;
};

static struct str text(struct fixture *f, const char *kind, uint64_t n) {
    char buffer[32];
    snprintf(buffer, sizeof(buffer), "%s%" PRIu64, kind, n);
    return arena_str(&f->arena, str_of(buffer));
}

static void expect_labels(struct fixture *f, struct labels labels) {
    struct labels_iter it = labels_begin(labels);
    struct label pair;
    while (labels_next(&it, &pair)) {
        assert_true(f->label_count < LABELS_MAX);
        f->labels[f->label_count++] = pair;
    }
}

/* Some metrics have the label "zone", which some targets have, and with values of theirs. */
static struct labels metric_of(struct fixture *f, struct rng *rng, bool has_zone, bool whole) {
    struct label p[4] = {{LABEL_NAME, text(f, "metric_", rng_below(rng, 7))},
                         {STR("mode"), text(f, "m", rng_below(rng, 5))}};
    size_t n = 2;
    if (!has_zone || whole) {
        p[n++] = (struct label){STR("zone"), text(f, "z", rng_below(rng, 3))};
    }
    if (whole) {
        p[n++] = (struct label){STR("own"), text(f, "o", rng_below(rng, 4))};
    }
    return labels_of(&f->arena, p, n);
}

static void add_group(struct fixture *f, struct rng *rng, uint32_t number) {
    const bool has_zone = number % 3 != 0;
    struct label p[3] = {
        {STR("job"), number < 5 ? STR("node") : STR("a longer name")},
        {STR("instance"), text(f, "i", number / 2)}, /* two groups of each target */
        {STR("zone"), text(f, "z", number / 2 % 4)}};
    const struct labels target = labels_of(&f->arena, p, has_zone ? 3 : 2);
    mutex_lock(&f->index.mu);
    const uint32_t set = index_target_locked(&f->index, target);
    const uint32_t group = index_add_group_locked(&f->index, set);
    for (uint32_t i = 0; i < SERIES; i++) {
        const bool whole = rng_below(rng, 9) == 0;
        const struct labels metric = metric_of(f, rng, has_zone, whole);
        const uint32_t metric_set = index_metric_locked(&f->index, metric);
        if (rng_below(rng, 10) == 0) {
            index_add_lost_slot_locked(&f->index, group);
            continue;
        }
        index_add_series_locked(&f->index, group, metric_set | (whole ? INDEX_SLOT_WHOLE : 0));
        expect_labels(f, metric);
        if (!whole) {
            expect_labels(f, target);
        }
        f->series_count++;
    }
    mutex_unlock(&f->index.mu);
}

static int by_pair(const void *a, const void *b) {
    const struct label *x = a;
    const struct label *y = b;
    const int names = str_cmp(x->name, y->name);
    return names != 0 ? names : str_cmp(x->value, y->value);
}

static int setup(void **state) {
    static struct fixture f;
    struct rng rng = rng_seeded(11);
    memset(&f, 0, sizeof(f));
    arena_init(&f.arena, 0);
    index_init(&f.index, 42);
    for (uint32_t i = 0; i < GROUPS; i++) {
        add_group(&f, &rng, i);
    }
    struct label unused = {STR("nobody"), STR("has it")};
    mutex_lock(&f.index.mu);
    (void)index_metric_locked(&f.index, labels_of(&f.arena, &unused, 1));
    mutex_unlock(&f.index.mu);
    qsort(f.labels, f.label_count, sizeof(f.labels[0]), by_pair);
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    index_release(&f->index);
    arena_release(&f->arena);
    return 0;
}

static void get(struct fixture *f, size_t limit, struct storage_cardinality *out) {
    struct err err;
    assert_ok(index_cardinality(&f->index, f->index.live, limit, &f->arena, NULL, out, &err), &err);
}

static uint64_t count_of(const struct storage_top *top, struct str name, struct str value) {
    for (size_t i = 0; i < top->count; i++) {
        if (str_eq(top->items[i].name, name) && str_eq(top->items[i].value, value)) {
            return top->items[i].count;
        }
    }
    return 0;
}

static void pairs_and_names_are_counted_by_series(void **state) {
    struct fixture *f = *state;
    struct storage_cardinality c;
    size_t pairs = 0;
    size_t names = 0;
    size_t metrics = 0;
    get(f, 1000, &c);
    for (size_t i = 0, name_end; i < f->label_count; i = name_end) {
        const struct str name = f->labels[i].name;
        uint64_t values = 0;
        uint64_t bytes = 0;
        size_t at = i;
        while (at < f->label_count && str_eq(f->labels[at].name, name)) {
            const struct label *pair = &f->labels[at];
            const size_t first = at;
            while (at < f->label_count && by_pair(&f->labels[at], pair) == 0) {
                bytes += name.len + pair->value.len + 2;
                at++;
            }
            assert_int_equal(count_of(&c.series_by_pair, name, pair->value), at - first);
            if (str_eq(name, LABEL_NAME)) {
                assert_int_equal(count_of(&c.series_by_metric, pair->value, STR("")), at - first);
                metrics++;
            }
            values++;
        }
        name_end = at;
        assert_int_equal(count_of(&c.values_by_name, name, STR("")), values);
        assert_int_equal(count_of(&c.bytes_by_name, name, STR("")), bytes);
        pairs += values;
        names++;
    }
    assert_int_equal(c.pair_count, pairs);
    assert_int_equal(c.series_by_pair.count, pairs);
    assert_int_equal(c.series_by_metric.count, metrics);
    assert_int_equal(c.values_by_name.count, names);
    assert_int_equal(c.bytes_by_name.count, names);
}

static void the_largest_come_first_and_no_more_than_asked(void **state) {
    struct fixture *f = *state;
    struct storage_cardinality all;
    get(f, 1000, &all);
    for (size_t i = 1; i < all.series_by_pair.count; i++) {
        const struct storage_count *a = &all.series_by_pair.items[i - 1];
        const struct storage_count *b = &all.series_by_pair.items[i];
        const int names = str_cmp(a->name, b->name);
        const bool text_first = names < 0 || (names == 0 && str_cmp(a->value, b->value) < 0);
        assert_true(a->count > b->count || (a->count == b->count && text_first));
    }
    for (size_t limit = 1; limit < 12; limit++) {
        struct storage_cardinality some;
        get(f, limit, &some);
        assert_int_equal(some.pair_count, all.pair_count);
        assert_int_equal(some.series_by_pair.count, limit);
        for (size_t i = 0; i < limit; i++) {
            const struct storage_count *a = &some.series_by_pair.items[i];
            const struct storage_count *b = &all.series_by_pair.items[i];
            assert_true(str_eq(a->name, b->name) && str_eq(a->value, b->value));
            assert_int_equal(a->count, b->count);
        }
    }
}

static void a_long_value_has_four_bytes_of_length(void **state) {
    struct fixture *f = *state;
    struct storage_cardinality c;
    char value[300];
    memset(value, 'v', sizeof(value));
    struct label pair = {STR("long"), {value, sizeof(value)}};
    mutex_lock(&f->index.mu);
    const uint32_t group = index_add_group_locked(&f->index, 0);
    const uint32_t set = index_metric_locked(&f->index, labels_of(&f->arena, &pair, 1));
    index_add_series_locked(&f->index, group, set);
    mutex_unlock(&f->index.mu);
    get(f, 1000, &c);
    assert_int_equal(count_of(&c.bytes_by_name, STR("long"), STR("")), 5 + 304);
}

static void an_empty_head_has_nothing(void **state) {
    (void)state;
    struct index index;
    struct arena arena;
    struct storage_cardinality c;
    struct err err;
    index_init(&index, 1);
    arena_init(&arena, 0);
    assert_ok(index_cardinality(&index, index.live, 10, &arena, NULL, &c, &err), &err);
    assert_int_equal(c.pair_count + c.series_by_pair.count + c.values_by_name.count, 0);
    arena_release(&arena);
    index_release(&index);
}

static void a_small_budget_and_a_client_that_left_end_it(void **state) {
    struct fixture *f = *state;
    struct storage_cardinality c;
    struct arena small;
    struct cancel cancel;
    struct err err;
    arena_init(&small, 1024);
    assert_err(index_cardinality(&f->index, f->index.live, 1000, &small, NULL, &c, &err), ERR_LIMIT,
               "budget", &err);
    arena_release(&small);
    cancel_init(&cancel, NULL, 0);
    cancel_raise(&cancel);
    assert_err(index_cardinality(&f->index, f->index.live, 10, &f->arena, &cancel, &c, &err),
               ERR_CANCELED, "stopped", &err);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(pairs_and_names_are_counted_by_series),
        CASE(the_largest_come_first_and_no_more_than_asked),
        CASE(a_long_value_has_four_bytes_of_length),
        CASE(an_empty_head_has_nothing),
        CASE(a_small_budget_and_a_client_that_left_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
