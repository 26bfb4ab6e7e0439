/* What queries that read many series and keep few hold at most: a sum of rates is to cost its groups
 * and a little for each series, never the series' samples. Bytes as the budget of queries counts
 * them, so it is the same on every machine; bench_query_store measures 100,000 series and the
 * resident set. */
#include <stdio.h>

#include "base/arena.h"
#include "base/labels.h"
#include "base/mem.h"
#include "query/query.h"
#include "tests/support/check_err.h"
#include "tests/support/fake_clock.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/tsdb.h"

enum { TARGETS = 10, JOBS = 5, RANGE_S = 6 * 3600, ROW_S = 120, BEGIN_S = 1700000000 };
enum { FEW = 400, MANY = 800 };                      /* series a target */
enum { LARGE_FLEET = 100 * 1000, MB = 1000 * 1000 }; /* for which a bound is set */

struct store {
    struct mem_vfs *vfs;
    struct fake_clock clock;
    struct tsdb *db;
    struct query_engine *engine;
    struct storage_group *groups[TARGETS];
    uint32_t per_target;
};

static void define_series(struct store *s) {
    struct storage *st = tsdb_storage(s->db);
    struct err err;
    for (uint32_t t = 0; t < TARGETS; t++) {
        struct arena scratch;
        arena_init(&scratch, 0);
        const struct label target[] = {{STR("instance"), arena_printf(&scratch, "node-%u:9100", t)},
                                       {STR("job"), arena_printf(&scratch, "job-%u", t % JOBS)}};
        assert_ok(storage_group_open(st, 0, labels_of(&scratch, target, 2), &s->groups[t], &err),
                  &err);
        for (uint32_t i = 0; i < s->per_target; i++) {
            const struct label all[] = {{STR("__name__"), STR("requests_total")},
                                        target[0],
                                        target[1],
                                        {STR("n"), arena_printf(&scratch, "%u", i)}};
            uint32_t slot = 0;
            assert_ok(
                storage_group_series(st, s->groups[t], labels_of(&scratch, all, 4), &slot, &err),
                &err);
        }
        arena_release(&scratch);
    }
}

static void write_rows(struct store *s) {
    struct err err;
    struct num *values = mem_zalloc(s->per_target * sizeof(*values));
    uint8_t *states = mem_alloc(s->per_target);
    memset(states, SLOT_VALUE, s->per_target);
    for (int64_t at_s = 0; at_s <= RANGE_S; at_s += ROW_S) {
        fake_clock_set_unix_ns(&s->clock, (BEGIN_S + at_s) * NS_PER_S);
        for (uint32_t i = 0; i < s->per_target; i++) {
            values[i].m += (at_s * 7 + i) % 13;
        }
        for (uint32_t t = 0; t < TARGETS; t++) {
            const struct storage_row row = {.ts_ms = (BEGIN_S + at_s) * 1000 + t,
                                            .slot_count = s->per_target,
                                            .values = values,
                                            .states = states};
            struct storage_row_result result;
            assert_ok(storage_group_commit(tsdb_storage(s->db), s->groups[t], &row, &result, &err),
                      &err);
            assert_int_equal(result.accepted, s->per_target);
        }
    }
    mem_free(values);
    mem_free(states);
}

static void store_begin(struct store *s, uint32_t per_target) {
    struct tsdb_options options;
    struct tsdb_replay_stats stats;
    struct err err;
    s->per_target = per_target;
    s->vfs = mem_vfs_new();
    fake_clock_init(&s->clock, BEGIN_S * NS_PER_S);
    tsdb_options_default(&options);
    options.path = "data";
    options.vfs = mem_vfs_base(s->vfs);
    options.clock = &s->clock.clock;
    options.rng = rng_seeded(1);
    options.shard_count = 1;
    options.no_background = true;
    assert_ok(tsdb_open(&options, &s->db, &stats, &err), &err);
    define_series(s);
    write_rows(s);
    struct query_options query;
    query_options_default(&query);
    query.clock = &s->clock.clock;
    query.workers = 0;
    s->engine = query_engine_new(&query);
}

static void store_end(struct store *s) {
    query_engine_free(s->engine);
    for (uint32_t t = 0; t < TARGETS; t++) {
        storage_group_close(tsdb_storage(s->db), s->groups[t]);
    }
    tsdb_close(s->db);
    mem_vfs_free(s->vfs);
}

static uint64_t peak_bytes(struct store *s, const char *text, size_t expected_series) {
    const struct query query = {.text = str_of(text),
                                .start_ms = BEGIN_S * INT64_C(1000),
                                .end_ms = (BEGIN_S + RANGE_S) * INT64_C(1000),
                                .step_ms = 60000};
    struct arena arena;
    struct query_result result;
    struct err err;
    arena_init(&arena, 0);
    assert_ok(query_run(s->engine, tsdb_storage(s->db), &query, &arena, &result, &err), &err);
    assert_int_equal(result.series_count, expected_series);
    const uint64_t peak = result.stats.peak_bytes;
    arena_release(&arena);
    return peak;
}

struct bound {
    const char *text;
    size_t groups;
    uint64_t large_fleet_max_bytes;
};

static const struct bound BOUNDS[] = {
    {"sum by (job) (rate(requests_total[5m]))", JOBS, 10 * MB},
    {"max by (job) (max_over_time(requests_total[1h]))", JOBS, 10 * MB},
    {"count by (instance) (requests_total)", TARGETS, 10 * MB},
};

static void sums_of_many_series_hold_little_for_each(void **state) {
    (void)state;
    struct store few;
    struct store many;
    store_begin(&few, FEW);
    store_begin(&many, MANY);
    for (size_t i = 0; i < COUNT_OF(BOUNDS); i++) {
        const struct bound *b = &BOUNDS[i];
        const uint64_t small = peak_bytes(&few, b->text, b->groups);
        const uint64_t large = peak_bytes(&many, b->text, b->groups);
        const uint64_t more = large > small ? large - small : 0;
        const uint64_t expected =
            large + more * (LARGE_FLEET - MANY * TARGETS) / ((MANY - FEW) * TARGETS);
        print_message("%-50s %llu bytes for %d series, %llu for %d: %.1f MB for %d\n", b->text,
                      (unsigned long long)small, FEW * TARGETS, (unsigned long long)large,
                      MANY * TARGETS, (double)expected / MB, LARGE_FLEET);
        assert_true(small > 0);
        assert_true(expected <= b->large_fleet_max_bytes);
    }
    /* the same samples, kept: what a query must not hold */
    assert_true(peak_bytes(&many, "rate(requests_total[5m])", (size_t)MANY * TARGETS) >
                (uint64_t)MANY * TARGETS * (RANGE_S / ROW_S) * sizeof(double));
    store_end(&few);
    store_end(&many);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_many_series_hold_little_for_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
