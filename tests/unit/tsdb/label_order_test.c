/* label_order_sort: the order of a stable sort of the merged labels, for any sets. */
#include "tsdb/label_order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sort.h"
#include "tests/support/check_err.h"

enum { SETS = 400, SERIES_MAX = 6000 };

struct world {
    struct arena arena;
    struct labels sets[SETS];
    struct storage_series series[SERIES_MAX];
    size_t count;
    uint64_t random;
    uint32_t order[SERIES_MAX];
};

static uint32_t below(struct world *w, uint32_t n) {
    w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(w->random >> 33) % n;
}

static int setup(void **state) {
    struct world *w = calloc(1, sizeof(*w));
    arena_init(&w->arena, 0);
    w->random = 7;
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    arena_release(&w->arena);
    free(w);
    return 0;
}

static struct labels set_labels(void *ctx, uint32_t set) {
    const struct world *w = ctx;
    return w->sets[set];
}

/* Values that are prefixes of each other, have zeros and high bytes, and are alike for long. */
static struct str value_of(struct world *w, uint32_t values) {
    static const char *const HEADS[] = {"", "a", "same_for_eight_bytes_and_more_", "\xff\x01"};
    char text[64];
    const uint32_t v = below(w, values);
    const int n = snprintf(text, sizeof(text), "%s%u", HEADS[v % COUNT_OF(HEADS)], v / 3);
    struct str s = arena_str(&w->arena, (struct str){text, (size_t)n});
    if (v % 7 == 0) {
        ((char *)s.ptr)[s.len - 1] = '\0';
    }
    return s;
}

static void make_set(struct world *w, uint32_t set, uint32_t names, uint32_t values) {
    static const char *const NAMES[] = {"__name__", "a",   "ab", "b",  "cpu",
                                        "instance", "job", "le", "zz", "\xc3\xa4"};
    struct labels_builder b;
    labels_builder_init(&b, &w->arena);
    for (uint32_t i = 0; i < names; i++) {
        const char *name = NAMES[below(w, COUNT_OF(NAMES))];
        labels_builder_set(&b, (struct str){name, strlen(name)}, value_of(w, values));
    }
    struct err err;
    assert_ok(labels_builder_finish(&b, &w->sets[set], &err), &err);
}

static void make_world(struct world *w, size_t count, uint32_t sets, uint32_t names,
                       uint32_t values) {
    for (uint32_t i = 1; i < SETS; i++) {
        make_set(w, i, below(w, names + 1), values);
    }
    w->count = count;
    for (size_t i = 0; i < count; i++) {
        w->series[i] =
            (struct storage_series){.target_set = below(w, sets), .metric_set = below(w, sets)};
    }
}

static enum err_code sort_world(struct world *w, size_t budget, const struct cancel *cancel) {
    struct arena scratch;
    arena_init(&scratch, budget);
    const struct label_order_source source = {
        .series = w->series, .count = w->count, .set_labels = set_labels, .ctx = w, .seed = 42};
    const enum err_code code = label_order_sort(&source, &scratch, cancel, w->order);
    arena_release(&scratch);
    return code;
}

struct spelled {
    struct labels labels;
    uint32_t series;
};

static int by_labels(const void *a, const void *b) {
    return labels_cmp(((const struct spelled *)a)->labels, ((const struct spelled *)b)->labels);
}

static void assert_sorted(struct world *w) {
    struct spelled *items = calloc(w->count + 1, sizeof(*items));
    void **pointers = calloc(2 * w->count + 1, sizeof(void *));
    for (size_t i = 0; i < w->count; i++) {
        items[i].labels = labels_merge(&w->arena, w->sets[w->series[i].target_set],
                                       w->sets[w->series[i].metric_set]);
        items[i].series = (uint32_t)i;
    }
    assert_int_equal(sort_items(items, w->count, sizeof(*items), by_labels, pointers, NULL),
                     ERR_OK);
    for (size_t i = 0; i < w->count; i++) {
        assert_int_equal(w->order[i], items[i].series);
    }
    free(pointers);
    free(items);
}

static void any_sets_are_sorted_as_their_unions(void **state) {
    struct world *w = *state;
    static const uint32_t COUNTS[] = {0, 1, 2, 31, 33, 70, 500, 3000, SERIES_MAX};
    static const uint32_t VALUES[] = {2, 20, 5000};
    for (size_t c = 0; c < COUNT_OF(COUNTS); c++) {
        for (size_t v = 0; v < COUNT_OF(VALUES); v++) {
            for (uint32_t names = 0; names <= 8; names += 4) {
                make_world(w, COUNTS[c], c % 2 == 0 ? SETS : 9, names, VALUES[v]);
                assert_int_equal(sort_world(w, 0, NULL), ERR_OK);
                assert_sorted(w);
                arena_reset(&w->arena);
            }
        }
    }
}

static void more_pairs_than_a_digit_counts_are_sorted(void **state) {
    struct world *w = *state;
    make_world(w, SERIES_MAX, SETS, 10, 1000000); /* some 2,500 of them */
    assert_int_equal(sort_world(w, 0, NULL), ERR_OK);
    assert_sorted(w);
}

static void a_long_list_among_short_ones_is_sorted(void **state) {
    struct world *w = *state;
    make_world(w, 300, SETS, 3, 20);
    struct labels_builder b;
    labels_builder_init(&b, &w->arena);
    for (int i = 0; i < 700; i++) {
        labels_builder_set(&b, arena_printf(&w->arena, "n%03d", i), STR("v"));
    }
    struct err err;
    assert_ok(labels_builder_finish(&b, &w->sets[5], &err), &err);
    assert_int_equal(sort_world(w, 0, NULL), ERR_OK);
    assert_sorted(w);
}

static void a_budget_that_is_too_small_is_an_error(void **state) {
    struct world *w = *state;
    make_world(w, SERIES_MAX, SETS, 8, 5000);
    size_t budget = 1;
    enum err_code code = ERR_LIMIT;
    for (; code == ERR_LIMIT; budget = budget * 5 / 4 + 1) {
        assert_true(budget < SERIES_MAX * 200);
        code = sort_world(w, budget, NULL);
    }
    assert_int_equal(code, ERR_OK);
    assert_true(budget > SERIES_MAX * 8);
    assert_sorted(w);
}

static void a_raised_flag_ends_it(void **state) {
    struct world *w = *state;
    make_world(w, SERIES_MAX, SETS, 8, 5000);
    struct cancel cancel;
    cancel_init(&cancel, NULL, 0);
    cancel_raise(&cancel);
    assert_int_equal(sort_world(w, 0, &cancel), ERR_CANCELED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(any_sets_are_sorted_as_their_unions, setup, teardown),
        cmocka_unit_test_setup_teardown(more_pairs_than_a_digit_counts_are_sorted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_list_among_short_ones_is_sorted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_budget_that_is_too_small_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(a_raised_flag_ends_it, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
