/* The index against brute force: every combination of matchers from a table, on sets of series that
 * mix targets, shared metric sets, whole slots and missing labels, gives exactly the series whose
 * labels match one by one. Label names and values likewise. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tests/support/check_err.h"
#include "tsdb/index.h"

enum { TARGETS = 5, SERIES_MAX = 400 };

struct fixture {
    struct arena arena;
    struct index index;
    struct labels series[SERIES_MAX]; /* by number of creation */
    uint32_t groups[SERIES_MAX];
    uint32_t slots[SERIES_MAX];
    size_t count;
};

static struct labels pairs(struct arena *arena, const struct label *p, size_t n) {
    return labels_of(arena, p, n);
}

static void add_series(struct fixture *f, uint32_t group, struct labels target,
                       struct labels metric, bool whole) {
    mutex_lock(&f->index.mu);
    const uint32_t set = index_metric_locked(&f->index, metric);
    assert_int_not_equal(set, INDEX_NONE);
    const uint32_t slot =
        index_add_series_locked(&f->index, group, whole ? set | INDEX_SLOT_WHOLE : set);
    assert_int_equal(
        index_find_series_locked(&f->index, group, whole ? set | INDEX_SLOT_WHOLE : set, 0), slot);
    mutex_unlock(&f->index.mu);
    f->series[f->count] = whole ? metric : labels_merge(&f->arena, target, metric);
    f->groups[f->count] = group;
    f->slots[f->count++] = slot;
}

static void build(struct fixture *f) {
    static const char *const zones[] = {"", "z1", "z2"};
    struct rng rng = rng_seeded(5);
    for (uint32_t t = 0; t < TARGETS; t++) {
        char instance[16];
        snprintf(instance, sizeof(instance), "i%u", t);
        struct label target_pairs[] = {{STR("job"), t < 3 ? STR("node") : STR("db")},
                                       {STR("instance"), str_of(instance)},
                                       {STR("zone"), str_of(zones[t % 3])}};
        const struct labels target = pairs(&f->arena, target_pairs, t % 3 == 0 ? 2 : 3);
        mutex_lock(&f->index.mu);
        const uint32_t set = index_target_locked(&f->index, target);
        const uint32_t group = index_add_group_locked(&f->index, set);
        mutex_unlock(&f->index.mu);
        for (uint32_t i = 0; i < 60; i++) {
            char name[16];
            char cpu[16];
            snprintf(name, sizeof(name), "m%u", i / 6);
            snprintf(cpu, sizeof(cpu), "c%u", i % 6);
            struct label p[] = {{LABEL_NAME, str_of(name)},
                                {STR("cpu"), str_of(cpu)},
                                {STR("mode"), rng_below(&rng, 2) == 0 ? STR("idle") : STR("user")}};
            const bool whole = rng_below(&rng, 15) == 0;
            if (whole) {
                p[2] = (struct label){STR("job"), STR("other")};
            }
            add_series(f, group, target,
                       pairs(&f->arena, p, 2 + (whole || rng_below(&rng, 3) == 0 ? 1 : 0)), whole);
        }
    }
}

static int setup(void **state) {
    static struct fixture f;
    memset(&f, 0, sizeof(f));
    arena_init(&f.arena, 0);
    index_init(&f.index, 42);
    build(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    index_release(&f->index);
    arena_release(&f->arena);
    return 0;
}

static const struct {
    const char *name;
    enum matcher_type type;
    const char *value;
} table[] = {
    {"__name__", MATCH_EQUAL, "m3"},
    {"__name__", MATCH_REGEX, "m[2-4]"},
    {"__name__", MATCH_REGEX, "m1|m2|nope"},
    {"__name__", MATCH_NOT_EQUAL, "m3"},
    {"__name__", MATCH_NOT_REGEX, "m.*"},
    {"job", MATCH_EQUAL, "node"},
    {"job", MATCH_EQUAL, "nope"},
    {"job", MATCH_EQUAL, ""},
    {"job", MATCH_NOT_EQUAL, "node"},
    {"job", MATCH_NOT_EQUAL, ""},
    {"job", MATCH_REGEX, ".*o.*"},
    {"instance", MATCH_EQUAL, "i1"},
    {"instance", MATCH_REGEX, "i.+"},
    {"instance", MATCH_NOT_REGEX, "i[0-3]"},
    {"zone", MATCH_EQUAL, ""},
    {"zone", MATCH_REGEX, "z1|"},
    {"zone", MATCH_REGEX, ".+"},
    {"zone", MATCH_REGEX, ".*"},
    {"zone", MATCH_NOT_REGEX, ".+"},
    {"zone", MATCH_NOT_REGEX, ".*"},
    {"zone", MATCH_NOT_REGEX, "z1|"},
    {"mode", MATCH_EQUAL, "idle"},
    {"mode", MATCH_NOT_EQUAL, "idle"},
    {"mode", MATCH_REGEX, "(idle|user)?"},
    {"mode", MATCH_NOT_REGEX, "idle|user"},
    {"mode", MATCH_NOT_EQUAL, ""},
    {"cpu", MATCH_REGEX, "c1"},
    {"absent", MATCH_EQUAL, ""},
    {"absent", MATCH_EQUAL, "x"},
    {"absent", MATCH_NOT_EQUAL, "x"},
    {"absent", MATCH_REGEX, "x.*"},
};

static void compare(struct fixture *f, const struct matcher *m, size_t n, const char *what) {
    struct arena arena;
    struct err err;
    struct index_hit *hits = NULL;
    size_t count = 0;
    bool seen[SERIES_MAX] = {false};
    arena_init(&arena, 0);
    assert_ok(index_select(&f->index, f->index.live, m, n, &arena, NULL, &hits, &count, &err),
              &err);
    for (size_t i = 0; i < count; i++) {
        size_t s = 0;
        while (f->groups[s] != hits[i].group || f->slots[s] != hits[i].slot) {
            s++;
            assert_true(s < f->count);
        }
        assert_false(seen[s]);
        seen[s] = true;
        mutex_lock(&f->index.mu);
        const struct labels labels =
            labels_merge(&arena, label_sets_get(&f->index.live->targets.sets, hits[i].target_set),
                         label_sets_get(&f->index.live->metrics.sets, hits[i].metric_set));
        mutex_unlock(&f->index.mu);
        assert_true(labels_eq(labels, f->series[s]));
    }
    for (size_t s = 0; s < f->count; s++) {
        bool want;
        assert_ok(matchers_match(m, n, f->series[s], &want, &err), &err);
        if (want != seen[s]) {
            print_message("matchers %s, series %zu\n", what, s);
        }
        assert_int_equal(want, seen[s]);
    }
    arena_release(&arena);
}

static void make(struct fixture *f, size_t i, struct matcher *out) {
    struct err err;
    assert_ok(matcher_init(&f->arena, table[i].type, str_of(table[i].name), str_of(table[i].value),
                           out, &err),
              &err);
}

static void no_matcher_selects_everything(void **state) {
    compare(*state, NULL, 0, "none");
}

static void single_matchers_equal_brute_force(void **state) {
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct matcher m;
        make(*state, i, &m);
        compare(*state, &m, 1, table[i].value);
    }
}

static void pairs_of_matchers_equal_brute_force(void **state) {
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        for (size_t k = 0; k < COUNT_OF(table); k++) {
            struct matcher m[2];
            char what[64];
            make(*state, i, &m[0]);
            make(*state, k, &m[1]);
            snprintf(what, sizeof(what), "%zu and %zu", i, k);
            compare(*state, m, 2, what);
        }
    }
}

static void triples_of_matchers_equal_brute_force(void **state) {
    struct rng rng = rng_seeded(3);
    for (int round = 0; round < 300; round++) {
        struct matcher m[3];
        for (size_t i = 0; i < 3; i++) {
            make(*state, rng_below(&rng, COUNT_OF(table)), &m[i]);
        }
        compare(*state, m, 3, "triple");
    }
}

static void expect(const struct str *got, size_t n, const char *want) {
    char text[512] = "";
    for (size_t i = 0; i < n; i++) {
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%.*s", i == 0 ? "" : " ",
                 STR_ARG(got[i]));
    }
    assert_string_equal(text, want);
}

static void label_names_and_values_are_sorted_and_unique(void **state) {
    struct fixture *f = *state;
    struct err err;
    struct str *got;
    size_t n;
    assert_ok(
        index_label_names(&f->index, f->index.live, NULL, 0, 0, &f->arena, NULL, &got, &n, &err),
        &err);
    expect(got, n, "__name__ cpu instance job mode zone");
    assert_ok(
        index_label_names(&f->index, f->index.live, NULL, 0, 3, &f->arena, NULL, &got, &n, &err),
        &err);
    expect(got, n, "__name__ cpu instance");
    assert_ok(index_label_values(&f->index, f->index.live, STR("job"), NULL, 0, 0, &f->arena, NULL,
                                 &got, &n, &err),
              &err);
    expect(got, n, "db node other");
    assert_ok(index_label_values(&f->index, f->index.live, STR("nope"), NULL, 0, 0, &f->arena, NULL,
                                 &got, &n, &err),
              &err);
    assert_int_equal(n, 0);
    struct matcher m;
    assert_ok(matcher_init(&f->arena, MATCH_EQUAL, STR("zone"), STR("z1"), &m, &err), &err);
    assert_ok(index_label_values(&f->index, f->index.live, STR("instance"), &m, 1, 0, &f->arena,
                                 NULL, &got, &n, &err),
              &err);
    expect(got, n, "i1 i4");
    assert_ok(
        index_label_names(&f->index, f->index.live, &m, 1, 0, &f->arena, NULL, &got, &n, &err),
        &err);
    expect(got, n, "__name__ cpu instance job mode zone");
}

static void a_query_over_its_budget_is_refused(void **state) {
    struct fixture *f = *state;
    struct arena small;
    struct index_hit *hits;
    size_t n;
    struct err err;
    arena_init(&small, 1000);
    assert_err(index_select(&f->index, f->index.live, NULL, 0, &small, NULL, &hits, &n, &err),
               ERR_LIMIT, "budget", &err);
    arena_release(&small);
}

static void a_raised_cancel_stops_the_query(void **state) {
    struct fixture *f = *state;
    struct cancel cancel;
    struct arena arena;
    struct index_hit *hits;
    size_t n;
    struct err err;
    arena_init(&arena, 0);
    cancel_init(&cancel, NULL, 0);
    cancel_raise(&cancel);
    assert_err(index_select(&f->index, f->index.live, NULL, 0, &arena, &cancel, &hits, &n, &err),
               ERR_CANCELED, NULL, &err);
    arena_release(&arena);
}

static void postings_come_back_as_runs(void **state) {
    (void)state;
    struct postings p = {0};
    struct rng rng = rng_seeded(11);
    uint32_t ids[2000];
    uint32_t next = 0;
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        next += rng_below(&rng, 3) == 0 ? 1 + (uint32_t)rng_below(&rng, 1000) : 0;
        ids[i] = next++;
        postings_add(&p, ids[i]);
        postings_add(&p, ids[i]);
    }
    struct postings_iter it = postings_begin(&p);
    uint32_t start;
    uint32_t end;
    size_t n = 0;
    while (postings_next_run(&it, &start, &end)) {
        for (; start < end; start++) {
            assert_int_equal(start, ids[n++]);
        }
    }
    assert_int_equal(n, COUNT_OF(ids));
    postings_release(&p);
}

static void label_sets_keep_numbers_and_survive_holes(void **state) {
    (void)state;
    struct arena arena;
    struct label_sets sets;
    arena_init(&arena, 0);
    label_sets_init(&sets, 1);
    char *big = arena_alloc(&arena, 300000);
    memset(big, 'x', 300000);
    const struct label one[] = {{STR("a"), STR("b")}};
    const struct label two[] = {{STR("a"), {big, 300000}}};
    const struct label three[] = {{STR("c"), STR("d")}};
    const struct labels a = labels_of(&arena, one, 1);
    const struct labels b = labels_of(&arena, two, 1);
    const struct labels c = labels_of(&arena, three, 1);
    assert_int_equal(label_sets_intern(&sets, (struct labels){(const uint8_t *)"", 0}), 0);
    assert_int_equal(label_sets_intern(&sets, a), 1);
    assert_true(label_sets_define(&sets, 5, b));
    assert_false(label_sets_define(&sets, 9, b));
    assert_false(label_sets_define(&sets, 3, c));
    assert_int_equal(label_sets_intern(&sets, c), 6);
    assert_int_equal(label_sets_intern(&sets, a), 1);
    assert_int_equal(label_sets_find(&sets, b), 5);
    assert_true(labels_eq(label_sets_get(&sets, 5), b));
    assert_int_equal(label_sets_get(&sets, 3).size, 0);
    for (uint32_t i = 0; i < 1000; i++) { /* grows the table over the holes */
        char text[16];
        snprintf(text, sizeof(text), "%u", i);
        const struct label p[] = {{STR("n"), str_of(text)}};
        assert_int_equal(label_sets_intern(&sets, labels_of(&arena, p, 1)), 7 + i);
    }
    assert_int_equal(label_sets_find(&sets, c), 6);
    label_sets_release(&sets);
    arena_release(&arena);
}

static void
a_table_of_sets_that_is_made_at_once_finds_what_one_made_set_by_set_finds(void **state) {
    enum { SETS = 3000, TWICE = SETS + 7 };
    (void)state;
    struct arena arena;
    struct label_sets slow;
    struct label_sets fast;
    arena_init(&arena, 0);
    label_sets_init(&slow, 3);
    label_sets_init(&fast, 3);
    label_sets_defer(&fast);
    for (uint32_t i = 1; i < SETS; i++) {
        char text[16];
        snprintf(text, sizeof(text), "%u", i * 7919);
        const struct label p[] = {{STR("n"), str_of(text)}};
        if (i % 10 != 0) { /* numbers left out */
            assert_true(label_sets_define(&slow, i, labels_of(&arena, p, 1)));
            assert_true(label_sets_define(&fast, i, labels_of(&arena, p, 1)));
        }
    }
    const struct labels again = label_sets_get(&slow, 11);
    assert_true(label_sets_define(&fast, TWICE, again));
    assert_int_equal(label_sets_finish(&fast), 1);
    for (uint32_t i = 0; i < SETS; i++) {
        const struct labels set = label_sets_get(&slow, i);
        assert_true(labels_eq(set, label_sets_get(&fast, i)));
        assert_int_equal(label_sets_find(&fast, set), label_sets_find(&slow, set));
    }
    assert_true(labels_eq(label_sets_get(&fast, TWICE), again));
    const struct label p[] = {{STR("n"), STR("new")}};
    assert_int_equal(label_sets_find(&fast, labels_of(&arena, p, 1)), LABEL_SET_NONE);
    assert_int_equal(label_sets_intern(&fast, labels_of(&arena, p, 1)), TWICE + 1);
    label_sets_release(&slow);
    label_sets_release(&fast);
    arena_release(&arena);
}

/* Guesses are right, wrong by one place, and wrong altogether. */
static void labels_in_any_order_get_the_same_postings(void **state) {
    static const char *const orders[] = {"abcabcabc", "abccbaabc", "aaabbbccc", "cabbcaacb"};
    (void)state;
    for (size_t o = 0; o < sizeof(orders) / sizeof(orders[0]); o++) {
        struct arena arena;
        struct index_space space;
        arena_init(&arena, 0);
        index_space_init(&space, 5);
        for (uint32_t i = 0; i < 9; i++) {
            const char number[2] = {(char)('0' + i), 0};
            const char value[2] = {orders[o][i], 0};
            const struct label odd[] = {{STR("n"), str_of(number)}, {STR("v"), str_of(value)}};
            const struct label even[] = {{STR("v"), str_of(value)}, {STR("w"), str_of(number)}};
            const struct labels set = labels_of(&arena, i % 2 != 0 ? odd : even, 2);
            assert_int_equal(index_space_intern(&space, set), i + 1);
        }
        assert_int_equal(space.value_count, 3 + 9);
        const uint32_t name = index_space_find_name(&space, STR("v"));
        for (char letter = 'a'; letter <= 'c'; letter++) {
            const uint32_t id = index_space_find_value(&space, name, (struct str){&letter, 1});
            struct postings_iter it = postings_begin(&space.values[id].sets);
            uint32_t seen = 0;
            uint32_t start;
            uint32_t end;
            while (postings_next_run(&it, &start, &end)) {
                for (uint32_t set = start; set < end; set++, seen++) {
                    assert_int_equal(orders[o][set - 1], letter);
                }
            }
            assert_int_equal(seen, 3);
        }
        index_space_release(&space);
        arena_release(&arena);
    }
}

/* Ids of a value's sets, as text. */
static void print_sets(const struct postings *p, struct buf *out) {
    struct postings_iter it = postings_begin(p);
    uint32_t start;
    uint32_t end;
    buf_clear(out);
    while (postings_next_run(&it, &start, &end)) {
        buf_printf(out, "%u-%u ", start, end);
    }
}

/* Sets of labels of which some repeat and some do not, in the order of no field. */
static struct labels mixed_set(struct arena *arena, struct rng *rng, uint32_t i) {
    char text[4][16];
    snprintf(text[0], sizeof(text[0]), "m%u", (uint32_t)rng_below(rng, 7));
    snprintf(text[1], sizeof(text[1]), "u%u", i);
    snprintf(text[2], sizeof(text[2]), "r%u", (uint32_t)rng_below(rng, 300));
    snprintf(text[3], sizeof(text[3]), "r%u", (uint32_t)rng_below(rng, 300));
    const struct label p[] = {{LABEL_NAME, str_of(text[0])},
                              {STR("a"), str_of(text[2])},
                              {STR("b"), str_of(text[3])},
                              {STR("u"), str_of(text[1])}};
    const size_t skip = (size_t)rng_below(rng, 2);
    return labels_of(arena, p + skip, 4 - skip);
}

static void
sets_that_are_entered_at_once_get_the_postings_of_those_entered_one_by_one(void **state) {
    enum { SETS = 3000, ONE_BY_ONE = SETS / 2, HOLE = 77 };
    (void)state;
    struct arena arena;
    struct index_space slow;
    struct index_space fast;
    struct buf a;
    struct buf b;
    struct rng rng = rng_seeded(9);
    arena_init(&arena, 0);
    buf_init(&a, 1 << 20);
    buf_init(&b, 1 << 20);
    index_space_init(&slow, 5);
    index_space_init(&fast, 5);
    label_sets_defer(&fast.sets);
    for (uint32_t i = 1; i < SETS; i++) {
        const struct labels set = mixed_set(&arena, &rng, i);
        if (i == HOLE) {
            label_sets_skip(&slow.sets, HOLE + 1);
            assert_false(index_space_cover(&slow, 0));
            assert_true(index_space_cover(&slow, 1));
            continue;
        }
        assert_int_equal(index_space_intern(&slow, set), i);
        if (i < ONE_BY_ONE) {
            assert_true(index_space_define(&fast, i, set));
            continue;
        }
        if (i == ONE_BY_ONE) {
            (void)label_sets_finish(&fast.sets);
            assert_int_equal(fast.value_count, 0);
            assert_false(index_space_cover(&fast, 501));
        }
        assert_int_equal(index_space_intern(&fast, set), i); /* behind those that wait */
        assert_int_equal(fast.covered, 502);
    }
    while (!index_space_cover(&fast, 501)) {
    }
    assert_int_equal(fast.covered, SETS);
    assert_int_equal(fast.value_count, slow.value_count);
    assert_int_equal(fast.name_count, slow.name_count);
    for (uint32_t i = 0; i < slow.name_count; i++) {
        const uint32_t name = index_space_find_name(&fast, slow.names[i].name);
        assert_int_not_equal(name, INDEX_NONE);
        assert_int_equal(fast.names[name].value_count, slow.names[i].value_count);
        print_sets(&fast.names[name].sets, &a);
        print_sets(&slow.names[i].sets, &b);
        assert_str(buf_str(&a), buf_str(&b).ptr);
    }
    for (uint32_t i = 0; i < slow.value_count; i++) {
        const uint32_t name = index_space_find_name(&fast, slow.names[slow.values[i].name].name);
        const uint32_t id = index_space_find_value(&fast, name, index_space_text(&slow, i));
        assert_int_not_equal(id, INDEX_NONE);
        print_sets(&fast.values[id].sets, &a);
        print_sets(&slow.values[i].sets, &b);
        assert_str(buf_str(&a), buf_str(&b).ptr);
    }
    index_space_release(&slow);
    index_space_release(&fast);
    buf_release(&a);
    buf_release(&b);
    arena_release(&arena);
}

static void a_query_finds_what_was_replayed_and_is_in_no_dictionary_yet(void **state) {
    enum { SETS = 9000 }; /* more than a step of the background */
    struct fixture *f = *state;
    struct index index;
    struct cancel cancel;
    index_init(&index, 3);
    index_begin_replay(&index);
    mutex_lock(&index.mu);
    const uint32_t group = index_add_group_locked(&index, 0);
    for (uint32_t i = 1; i < SETS; i++) {
        char text[16];
        snprintf(text, sizeof(text), "u%u", i);
        const struct label p[] = {{LABEL_NAME, STR("m")}, {STR("u"), str_of(text)}};
        assert_true(index_define_metric_locked(&index, i, labels_of(&f->arena, p, 2)));
        assert_int_equal(index_add_series_locked(&index, group, i), i - 1);
    }
    mutex_unlock(&index.mu);
    assert_int_equal(index_finish_replay(&index), 0);
    assert_true(index_cover_some(&index));
    const struct matcher m = {.type = MATCH_EQUAL, .name = STR("u"), .value = STR("u8999")};
    struct index_hit *hits = NULL;
    struct str *values = NULL;
    size_t count = 0;
    struct err err;
    cancel_init(&cancel, clock_system(), 0);
    cancel_raise(&cancel);
    assert_err(index_select(&index, index.live, &m, 1, &f->arena, &cancel, &hits, &count, &err),
               ERR_CANCELED, "query stopped while the index was made", &err);
    assert_ok(index_select(&index, index.live, &m, 1, &f->arena, NULL, &hits, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_int_equal(hits[0].slot, 8998);
    assert_ok(index_label_values(&index, index.live, STR("u"), NULL, 0, 0, &f->arena, NULL, &values,
                                 &count, &err),
              &err);
    assert_int_equal(count, SETS - 1);
    assert_false(index_cover_some(&index));
    index_release(&index);
}

static void many_label_sets_are_found_in_pages_of_any_size(void **state) {
    enum { LARGE = 17, LARGE_BYTES = 1000000, SMALL = 40000 };
    (void)state;
    struct arena arena;
    struct label_sets sets;
    char *text = mem_zalloc(LARGE_BYTES + 1);
    memset(text, 'x', LARGE_BYTES);
    label_sets_init(&sets, 3);
    arena_init(&arena, 0);
    for (uint32_t i = 1; i < SMALL; i++) {
        const bool large = i % 1000 == 0 && i / 1000 <= LARGE;
        arena_reset(&arena);
        (void)snprintf(text, 16, "%015u", i);
        const struct label p[] = {{STR("n"), (struct str){text, large ? LARGE_BYTES : 80}}};
        assert_int_equal(label_sets_intern(&sets, labels_of(&arena, p, 1)), i);
    }
    for (uint32_t i = 1; i < SMALL; i++) {
        assert_int_equal(label_sets_find(&sets, label_sets_get(&sets, i)), i);
    }
    assert_true(sets.block_count < sets.page_count); /* some pages are parts of a huge one */
    label_sets_release(&sets);
    arena_release(&arena);
    mem_free(text);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(no_matcher_selects_everything),
        CASE(single_matchers_equal_brute_force),
        CASE(pairs_of_matchers_equal_brute_force),
        CASE(triples_of_matchers_equal_brute_force),
        CASE(label_names_and_values_are_sorted_and_unique),
        CASE(a_query_over_its_budget_is_refused),
        CASE(a_raised_cancel_stops_the_query),
        CASE(a_query_finds_what_was_replayed_and_is_in_no_dictionary_yet),
        cmocka_unit_test(
            sets_that_are_entered_at_once_get_the_postings_of_those_entered_one_by_one),
        cmocka_unit_test(many_label_sets_are_found_in_pages_of_any_size),
        cmocka_unit_test(postings_come_back_as_runs),
        cmocka_unit_test(label_sets_keep_numbers_and_survive_holes),
        cmocka_unit_test(a_table_of_sets_that_is_made_at_once_finds_what_one_made_set_by_set_finds),
        cmocka_unit_test(labels_in_any_order_get_the_same_postings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
