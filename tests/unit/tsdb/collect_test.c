/* Series that end leave memory and the series log, and what is stored of them stays: a database that
 * collects has what one that never does has, after any churn, with restarts, and does not grow. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "compact_world.h"
#include "tests/support/check_err.h"
#include "tsdb/head.h"

enum { TARGETS = 4, SERIES = 6 };

/* Targets that come and go, whose series come and go. */
struct churn {
    struct world *w;
    struct rng rng;
    int64_t now_ms;
    uint32_t next;
    uint32_t target[TARGETS];
    struct storage_group *groups[TARGETS];
    uint32_t series[TARGETS][SERIES];
    uint32_t slots[TARGETS][SERIES];
};

static uint32_t new_series(struct churn *c, int t, uint32_t number) {
    char text[96];
    (void)snprintf(text, sizeof(text), "m%u job=x pod=%u id=%u", number % 3, c->target[t], number);
    return world_slot(c->w, c->groups[t], text);
}

static void open_target(struct churn *c, int t) {
    char text[64];
    (void)snprintf(text, sizeof(text), "job=x pod=%u", c->target[t]);
    c->groups[t] = world_group(c->w, text);
    for (int i = 0; i < SERIES; i++) {
        c->slots[t][i] = new_series(c, t, c->series[t][i]);
    }
}

static void begin_target(struct churn *c, int t) {
    c->target[t] = c->next++;
    for (int i = 0; i < SERIES; i++) {
        c->series[t][i] = c->next++;
    }
    open_target(c, t);
}

static void churn_begin(struct churn *c, struct world *w, uint64_t seed) {
    *c = (struct churn){.w = w, .rng = rng_seeded(seed), .now_ms = COMPACT_BASE_MS, .next = 1};
    for (int t = 0; t < TARGETS; t++) {
        begin_target(c, t);
    }
}

static void churn_close(struct churn *c) {
    for (int t = 0; t < TARGETS; t++) {
        storage_group_close(c->w->st, c->groups[t]);
        c->groups[t] = NULL;
    }
}

static void churn_open(struct churn *c) {
    for (int t = 0; t < TARGETS; t++) {
        open_target(c, t);
    }
}

/* One row; the series that ended is stale in it. */
static void churn_row(struct churn *c, int t, int ended) {
    double values[256];
    uint32_t n = storage_group_slot_count(c->w->st, c->groups[t]);
    assert_true(n <= 256);
    for (uint32_t i = 0; i < n; i++) {
        values[i] = ABSENT;
    }
    for (int i = 0; i < SERIES; i++) {
        values[c->slots[t][i]] =
            i == ended ? f64_stale() : (double)(c->series[t][i] * 10 + rng_below(&c->rng, 3));
    }
    world_row(c->w, c->groups[t], c->now_ms, values, n);
}

static void churn_push(struct churn *c) {
    struct storage_appender *a;
    struct err err;
    char text[64];
    assert_ok(storage_appender_begin(c->w->st, &a, &err), &err);
    for (uint32_t i = 0; i < 3; i++) {
        (void)snprintf(text, sizeof(text), "p job=push n=%u", c->next / 8 + i);
        (void)!world_append(c->w, a, text, c->now_ms, c->next);
    }
    assert_ok(storage_appender_commit(c->w->st, a, &err), &err);
}

static void churn_for(struct churn *c, int64_t ms) {
    const int64_t end_ms = c->now_ms + ms;
    while (c->now_ms < end_ms) {
        c->now_ms += 1 + (int64_t)rng_below(&c->rng, 200);
        const int t = (int)rng_below(&c->rng, TARGETS);
        const uint64_t what = rng_below(&c->rng, 20);
        if (what == 0) { /* another instance */
            storage_group_close(c->w->st, c->groups[t]);
            begin_target(c, t);
        } else if (what < 4) { /* another series in its place */
            const int i = (int)rng_below(&c->rng, SERIES);
            churn_row(c, t, i);
            storage_group_release(c->w->st, c->groups[t], c->slots[t][i]);
            c->series[t][i] = c->next++;
            c->slots[t][i] = new_series(c, t, c->series[t][i]);
        } else if (what < 6) {
            churn_push(c);
        } else {
            churn_row(c, t, -1);
        }
    }
}

static void assert_same(struct world *a, struct world *b) {
    const char *got = compact_dump(a);
    const char *want = compact_dump(b);
    size_t at = 0;
    while (got[at] != 0 && got[at] == want[at]) {
        at++;
    }
    if (got[at] != want[at]) {
        const size_t from = at < 200 ? 0 : at - 200;
        print_message("got  ...%.400s\nwant ...%.400s\n", got + from, want + from);
        fail();
    }
}

/* Of targets; pushed ones stay for an hour of samples. */
static uint64_t live_groups(const struct world *w) {
    uint64_t n = 0;
    for (uint32_t id = 1; id < w->db->group_count; id++) {
        const struct head_group *g = w->db->groups[id];
        n += g != NULL && !g->dead && g->kind != GROUP_PUSHED;
    }
    return n;
}

static void a_churning_head_reads_as_one_that_keeps_all(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct world with;
        struct world without;
        struct churn c;
        struct churn d;
        compact_world_init(&with);
        compact_world_init(&without);
        without.options.no_compaction = true;
        world_open(&with);
        world_open(&without);
        churn_begin(&c, &with, seed);
        churn_begin(&d, &without, seed);
        struct rng rng = rng_seeded(seed);
        for (int i = 0; i < 24; i++) {
            churn_for(&c, COMPACT_WINDOW_MS / 2);
            churn_for(&d, COMPACT_WINDOW_MS / 2);
            tsdb_maintain(with.db);
            if (i % 3 == 2) {
                assert_same(&with, &without);
            }
            const uint64_t what = rng_below(&rng, 5);
            if (what == 0) {
                churn_close(&c);
                world_close(&with);
                world_open(&with);
                assert_int_equal(with.replayed.damaged_records, 0);
                churn_open(&c);
            }
        }
        for (int i = 0; i < 3; i++) {
            tsdb_maintain(with.db);
        }
        assert_same(&with, &without);
        const uint32_t kept = with.db->group_count;
        print_message("series %llu of %llu, groups %llu (%u numbers) of %llu\n",
                      (unsigned long long)with.db->series_count,
                      (unsigned long long)without.db->series_count,
                      (unsigned long long)live_groups(&with), kept,
                      (unsigned long long)live_groups(&without));
        assert_true(with.db->series_count * 2 < without.db->series_count);
        assert_true(live_groups(&with) * 2 < live_groups(&without));
        churn_close(&c);
        churn_close(&d);
        world_release(&with);
        world_release(&without);
    }
}

static void a_slot_is_given_again_when_its_rows_are_cut_and_no_older_query_is_open(void **state) {
    (void)state;
    struct world w;
    struct err err;
    compact_world_init(&w);
    world_open(&w);
    struct storage_group *g = world_group(&w, "job=a");
    assert_int_equal(world_slot(&w, g, "m job=a n=1"), 0);
    assert_int_equal(world_slot(&w, g, "m job=a n=2"), 1);
    const double both[] = {1, 2};
    const double ends[] = {1, f64_stale()};
    const double one[] = {1, ABSENT};
    world_row(&w, g, COMPACT_BASE_MS, both, 2);
    world_row(&w, g, COMPACT_BASE_MS + 1, ends, 2);
    storage_group_release(w.st, g, 1);
    tsdb_maintain(w.db);
    assert_int_equal(world_slot(&w, g, "m job=a n=3"), 2);
    for (int i = 1; i <= 3; i++) {
        world_row(&w, g, COMPACT_BASE_MS + i * COMPACT_WINDOW_MS, one, 2);
    }
    struct arena arena;
    struct storage_querier *q;
    arena_init(&arena, 0);
    tsdb_maintain(w.db); /* cuts, and finds the slot idle */
    world_row(&w, g, COMPACT_BASE_MS + 4 * COMPACT_WINDOW_MS, one, 2);
    assert_ok(storage_querier_open(w.st, INT64_MIN, INT64_MAX, &arena, NULL, &q, &err), &err);
    for (int i = 5; i <= 8; i++) {
        world_row(&w, g, COMPACT_BASE_MS + i * COMPACT_WINDOW_MS, one, 2);
    }
    tsdb_maintain(w.db);
    tsdb_maintain(w.db);
    assert_int_equal(world_slot(&w, g, "m job=a n=4"), 3);
    arena_release(&arena);
    const char *before = compact_dump(&w);
    for (int i = 0; i < 3; i++) {
        tsdb_maintain(w.db);
    }
    assert_int_equal(world_slot(&w, g, "m job=a n=5"), 1);
    assert_string_equal(compact_dump(&w), before);
    const double again[] = {1, 5};
    world_row(&w, g, COMPACT_BASE_MS + 9 * COMPACT_WINDOW_MS, again, 2);
    before = compact_dump(&w);
    storage_group_close(w.st, g);
    world_close(&w);
    world_open(&w);
    assert_int_equal(w.replayed.damaged_records, 0);
    assert_string_equal(compact_dump(&w), before);
    world_release(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_churning_head_reads_as_one_that_keeps_all),
        cmocka_unit_test(a_slot_is_given_again_when_its_rows_are_cut_and_no_older_query_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
