/* Queries over a month: windows of days over partitions as the compactor leaves them.
 *
 *     bench_month DATA [TARGETS [SERIES A TARGET [DAYS]]]
 *
 * DATA is an empty folder. 4 targets of 25 series, a sample every 15 s for 30 days; every other
 * series is a counter, the others go up and down, four in ten of both never change. What is complete
 * is cut and merged once a day. Per query: the best CPU time of three, one thread, and by sample of
 * the metric. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/value.h"
#include "query/query.h"
#include "tsdb/storage.h"
#include "tsdb/tsdb.h"

enum { INTERVAL_S = 15, DAY_S = 24 * 3600 };

struct bench_clock {
    struct clock clock;
    int64_t unix_ns;
};

struct bench {
    struct bench_clock clock;
    struct tsdb *db;
    uint32_t targets, per_target, days;
    struct storage_group **groups;
    struct num *values;
    uint8_t *states;
    uint64_t samples;
};

static int64_t bench_unix(struct clock *clock) {
    return ((struct bench_clock *)clock)->unix_ns;
}

static int64_t bench_mono(struct clock *clock) {
    (void)clock;
    return clock_mono_ns(clock_system());
}

static void must(enum err_code code, const struct err *err) {
    if (code != ERR_OK) {
        (void)fprintf(stderr, "bench_month: %s\n", err->text);
        exit(1);
    }
}

/* Of this thread, so that other work on the machine does not count. */
static int64_t cpu_ns(void) {
    struct timespec ts;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* ---- the store ---- */

static void open_groups(struct bench *b) {
    struct storage *st = tsdb_storage(b->db);
    struct err err;
    b->groups = mem_array(b->targets, sizeof(*b->groups));
    for (uint32_t t = 0; t < b->targets; t++) {
        struct arena scratch;
        arena_init(&scratch, 0);
        const struct label target[] = {{STR("instance"), arena_printf(&scratch, "node-%u:9100", t)},
                                       {STR("job"), STR("node")}};
        must(storage_group_open(st, 0, labels_of(&scratch, target, 2), &b->groups[t], &err), &err);
        for (uint32_t i = 0; i < b->per_target; i++) {
            const struct label all[] = {
                {STR("__name__"), i % 2 == 0 ? STR("requests_total") : STR("level")},
                target[0],
                target[1],
                {STR("n"), arena_printf(&scratch, "%u", i)}};
            uint32_t slot = 0;
            must(storage_group_series(st, b->groups[t], labels_of(&scratch, all, 4), &slot, &err),
                 &err);
        }
        arena_release(&scratch);
    }
}

static void write_row(struct bench *b, uint64_t *seed) {
    struct err err;
    b->clock.unix_ns += INTERVAL_S * NS_PER_S;
    for (uint32_t i = 0; i < b->per_target; i++) {
        *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const int64_t step = (int64_t)(*seed >> 58);
        b->values[i].m += i % 10 < 4 ? 0 : i % 2 == 0 ? step : step - 32;
    }
    for (uint32_t t = 0; t < b->targets; t++) {
        const struct storage_row r = {.ts_ms = b->clock.unix_ns / NS_PER_MS + t,
                                      .slot_count = b->per_target,
                                      .values = b->values,
                                      .states = b->states};
        struct storage_row_result result;
        must(storage_group_commit(tsdb_storage(b->db), b->groups[t], &r, &result, &err), &err);
        b->samples += result.accepted;
    }
}

static void write_days(struct bench *b) {
    struct err err;
    uint64_t seed = 1;
    for (uint32_t day = 0; day < b->days; day++) {
        for (int64_t row = 0; row < DAY_S / INTERVAL_S; row++) {
            write_row(b, &seed);
            if (row % 16 == 15) {
                tsdb_maintain(b->db);
            }
        }
        must(tsdb_compact(b->db, false, &err), &err);
    }
}

/* ---- queries ---- */

struct month_query {
    const char *text;
    uint32_t step_s; /* 0: one step, at the end */
};

static const struct month_query QUERIES[] = {
    {"max_over_time(level[30d])", 0},    {"increase(requests_total[30d])", 0},
    {"max_over_time(level[1d])", DAY_S}, {"increase(requests_total[1d])", DAY_S},
    {"avg_over_time(level[1d])", DAY_S}, {"max_over_time(level[1d])", 6 * 3600},
    {"max_over_time(level[1d])", 3600},  {"increase(requests_total[1d])", 3600},
};

static void measure(struct bench *b, struct query_engine *engine, const struct month_query *q) {
    const int64_t end_ms = b->clock.unix_ns / NS_PER_MS;
    const struct query query = {
        .text = str_of(q->text),
        .start_ms = q->step_s == 0 ? end_ms : end_ms - (int64_t)(b->days - 1) * DAY_S * 1000,
        .end_ms = end_ms,
        .step_ms = q->step_s == 0 ? 60000 : (int64_t)q->step_s * 1000};
    double best_ms = 1e300;
    for (int round = 0; round < 3; round++) {
        struct arena arena;
        struct query_result result;
        struct err err;
        arena_init(&arena, 0);
        const int64_t from_ns = cpu_ns();
        must(query_run(engine, tsdb_storage(b->db), &query, &arena, &result, &err), &err);
        const double ms = (double)(cpu_ns() - from_ns) / 1e6;
        best_ms = ms < best_ms ? ms : best_ms;
        arena_release(&arena);
    }
    (void)printf("%-36s step %6u s %10.2f ms %6.2f ns/sample\n", q->text, q->step_s, best_ms,
                 best_ms * 1e6 / (double)(b->samples / 2));
}

static void measure_all(struct bench *b) {
    struct query_options options;
    query_options_default(&options);
    options.workers = 0;
    struct query_engine *engine = query_engine_new(&options);
    for (size_t i = 0; i < COUNT_OF(QUERIES); i++) {
        measure(b, engine, &QUERIES[i]);
    }
    query_engine_free(engine);
}

int main(int argc, char **argv) {
    static const struct clock_ops clock_ops = {bench_unix, bench_mono};
    struct bench b = {.clock = {.clock.ops = &clock_ops, .unix_ns = INT64_C(1795344000) * NS_PER_S},
                      .targets = argc > 2 ? (uint32_t)atoi(argv[2]) : 4,
                      .per_target = argc > 3 ? (uint32_t)atoi(argv[3]) : 25,
                      .days = argc > 4 ? (uint32_t)atoi(argv[4]) : 30};
    if (argc < 2 || b.targets < 1 || b.per_target < 1 || b.days < 1) {
        (void)fprintf(stderr, "usage: bench_month DATA [TARGETS [SERIES A TARGET [DAYS]]]\n");
        return 2;
    }
    struct tsdb_options options;
    struct storage_stats stats;
    struct err err;
    tsdb_options_default(&options);
    options.path = argv[1];
    options.clock = &b.clock.clock;
    options.shard_count = 1;
    options.no_background = true;
    must(tsdb_open(&options, &b.db, NULL, &err), &err);
    b.values = mem_zalloc(b.per_target * sizeof(*b.values));
    b.states = mem_zalloc(b.per_target);
    memset(b.states, SLOT_VALUE, b.per_target);
    open_groups(&b);
    write_days(&b);
    storage_stats(tsdb_storage(b.db), &stats);
    (void)printf("%u series, %" PRIu64 " samples, %.3f B/sample\n", b.targets * b.per_target,
                 b.samples, (double)stats.disk_bytes / (double)b.samples);
    measure_all(&b);
    for (uint32_t t = 0; t < b.targets; t++) {
        storage_group_close(tsdb_storage(b.db), b.groups[t]);
    }
    tsdb_close(b.db);
    mem_free(b.groups);
    mem_free(b.values);
    mem_free(b.states);
    return 0;
}
