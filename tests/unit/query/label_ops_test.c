/* Label work: interned rows and spelled-out rows get the same groups, the index finds equal sets
 * through its growth, names are dropped from either set; Kahan sums and quantiles beside them. */
#include "tests/support/check_err.h"

#include <math.h>
#include <stdio.h>

#include "query/bits.h"
#include "query/kahan.h"
#include "query/label_ops.h"
#include "query/quantile.h"

static struct work_budget budget;
static struct work work;

static int setup(void **state) {
    (void)state;
    budget = (struct work_budget){.max_bytes = 0};
    work_begin(&work, &budget);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    work_end(&work);
    return 0;
}

static struct labels set_of(const char *name, const char *value, const char *name2,
                            const char *value2) {
    const struct label pairs[] = {{str_of(name), str_of(value)}, {str_of(name2), str_of(value2)}};
    return labels_of(&work.arena, pairs, name2 != NULL ? 2 : 1);
}

static void the_index_finds_what_was_added(void **state) {
    (void)state;
    enum { SETS = 1000 };
    struct label_index index;
    struct labels sets[SETS];
    struct err err;
    assert_ok(label_index_init(&index, &work, 4, &err), &err);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < SETS; i++) {
            char value[16];
            (void)snprintf(value, sizeof(value), "%u", i);
            sets[i] = set_of("n", value, NULL, NULL);
            uint32_t at = 0;
            assert_ok(label_index_find_or_add(&index, sets[i], &at, &err), &err);
            assert_int_equal(at, i);
            assert_true(label_index_find(&index, sets[i], &at) && at == i);
        }
    }
    assert_int_equal(index.count, SETS);
    uint32_t at = 0;
    assert_false(label_index_find(&index, set_of("n", "1000", NULL, NULL), &at));
    assert_ok(label_index_find_or_add(&index, (struct labels){0}, &at, &err), &err);
    assert_int_equal(at, SETS);
}

static struct label_set interned(uint32_t number, struct labels labels) {
    return (struct label_set){
        .number = number, .all = labels, .plain = labels_plain(&work.arena, labels)};
}

static void check_grouping(enum group_mode mode, const char *const *names, size_t count,
                           bool plain) {
    struct label_set targets[2] = {interned(0, set_of("instance", "a", "job", "x")),
                                   interned(1, set_of("instance", "b", "job", "x"))};
    struct label_set metrics[3] = {interned(2, set_of("__name__", "m", "n", "1")),
                                   interned(3, set_of("__name__", "m", "n", "2")),
                                   interned(4, set_of("__name__", "k", "n", "1"))};
    struct str list[4];
    for (size_t i = 0; i < count; i++) {
        list[i] = str_of(names[i]);
    }
    struct label_groups groups;
    struct label_groups spelled;
    struct err err;
    assert_ok(label_groups_init(&groups, &work, list, count, mode, &err), &err);
    assert_ok(label_groups_init(&spelled, &work, list, count, mode, &err), &err);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < 6; i++) {
            struct row row = {.target = &targets[i % 2], .metric = &metrics[i / 2], .plain = plain};
            uint32_t a = 0;
            uint32_t b = 0;
            assert_ok(label_groups_of(&groups, &row, &a, &err), &err);
            row_spell(&row, &work.arena);
            assert_ok(label_groups_of(&spelled, &row, &b, &err), &err);
            assert_int_equal(a, b);
            assert_true(labels_eq(groups.keys.sets[a], spelled.keys.sets[b]));
        }
    }
}

static void interned_and_spelled_rows_get_the_same_groups(void **state) {
    (void)state;
    static const char *const NAMES[] = {"n", "job", "__name__", "missing"};
    for (size_t count = 0; count <= 4; count++) {
        for (int plain = 0; plain < 2; plain++) {
            check_grouping(GROUP_BY, NAMES, count, plain != 0);
            check_grouping(GROUP_WITHOUT, NAMES, count, plain != 0);
            check_grouping(GROUP_DROP, NAMES, count, plain != 0);
        }
    }
}

static void names_are_dropped_now_or_marked(void **state) {
    (void)state;
    struct label_set target = interned(0, set_of("job", "x", NULL, NULL));
    struct label_set metric = interned(1, set_of("__name__", "m", "__unit__", "s"));
    struct row row = {.target = &target, .metric = &metric};
    assert_str(row_name(&row), "m");
    struct row delayed = row;
    row_drop_name(&row, false, &work.arena);
    row_spell(&row, &work.arena);
    assert_true(labels_eq(row.labels, target.all));
    assert_str(row_name(&row), "");
    row_drop_name(&delayed, true, &work.arena);
    assert_true(delayed.drop_name);
    assert_str(row_name(&delayed), "m");
}

static void sums_are_compensated(void **state) {
    (void)state;
    struct kahan k = {0};
    static const double VALUES[] = {1, 1e100, 1, -1e100};
    for (size_t i = 0; i < COUNT_OF(VALUES); i++) {
        kahan_add(&k, VALUES[i]);
    }
    assert_true(k.sum + k.c == 2);
    k = (struct kahan){.sum = 1e308, .c = 5};
    kahan_add(&k, 1e308);
    assert_true(isinf(k.sum) && k.c == 0);
    struct kahan_mean mean = {.n = 0};
    for (int i = 0; i < 10; i++) {
        kahan_mean_add(&mean, 1.5e308);
    }
    assert_true(mean.incremental);
    assert_true(fabs(kahan_mean_value(&mean) / 1.5e308 - 1) < 1e-15);
}

static void quantiles_interpolate(void **state) {
    (void)state;
    double values[] = {3, NAN, 1, 2};
    assert_true(isnan(quantile_of(0, values, 4)));
    assert_true(quantile_of(1, values, 4) == 3);
    assert_true(quantile_of(0.5, values, 4) == 1.5);
    assert_true(isinf(quantile_of(-0.1, values, 4)) && quantile_of(-0.1, values, 4) < 0);
    assert_true(isinf(quantile_of(1.1, values, 4)) && isnan(quantile_of(NAN, values, 4)));
    assert_true(isnan(quantile_of(0.5, values, 0)));
}

static void bits_are_found_across_words(void **state) {
    (void)state;
    uint64_t bits[4];
    bits_zero(bits, 200);
    assert_int_equal(bits_next(bits, 200, 0), 200);
    bits_set(bits, 0);
    bits_set(bits, 63);
    bits_set(bits, 64);
    bits_set(bits, 199);
    assert_int_equal(bits_next(bits, 200, 1), 63);
    assert_int_equal(bits_next(bits, 200, 64), 64);
    assert_int_equal(bits_next(bits, 200, 65), 199);
    assert_int_equal(bits_next(bits, 200, 200), 200);
    bits_fill(bits, 130);
    assert_int_equal(bits_count(bits, 130), 130);
    assert_int_equal(bits[2], 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_index_finds_what_was_added, setup, teardown),
        cmocka_unit_test_setup_teardown(interned_and_spelled_rows_get_the_same_groups, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(names_are_dropped_now_or_marked, setup, teardown),
        cmocka_unit_test(sums_are_compensated),
        cmocka_unit_test(quantiles_interpolate),
        cmocka_unit_test(bits_are_found_across_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
