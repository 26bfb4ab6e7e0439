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
#include <time.h>

#include "base/arena.h"
#include "base/check.h"
#include "query/query.h"
#include "tests/bench/bench_store.h"

enum { INTERVAL_S = 15, DAY_S = 24 * 3600 };

/* Of this thread, so that other work on the machine does not count. */
static int64_t cpu_ns(void) {
    struct timespec ts;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* ---- the store ---- */

static void write_days(struct bench_store *b, uint32_t days) {
    struct err err;
    uint64_t seed = 1;
    for (uint32_t day = 0; day < days; day++) {
        for (int64_t row = 0; row < DAY_S / INTERVAL_S; row++) {
            for (uint32_t i = 0; i < b->shape.per_target; i++) {
                const int64_t step = (int64_t)(bench_store_random(&seed) >> 58);
                b->values[i].m += i % 10 < 4 ? 0 : i % 2 == 0 ? step : step - 32;
            }
            bench_store_row(b, INTERVAL_S);
            if (row % 16 == 15) {
                tsdb_maintain(b->db);
            }
        }
        bench_must(tsdb_compact(b->db, false, &err), &err);
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

static void measure(struct bench_store *b, uint32_t days, struct query_engine *engine,
                    const struct month_query *q) {
    const int64_t end_ms = b->clock.unix_ns / NS_PER_MS;
    const struct query query = {
        .text = str_of(q->text),
        .start_ms = q->step_s == 0 ? end_ms : end_ms - (int64_t)(days - 1) * DAY_S * 1000,
        .end_ms = end_ms,
        .step_ms = q->step_s == 0 ? 60000 : (int64_t)q->step_s * 1000};
    double best_ms = 1e300;
    for (int round = 0; round < 3; round++) {
        struct arena arena;
        struct query_result result;
        struct err err;
        arena_init(&arena, 0);
        const int64_t from_ns = cpu_ns();
        bench_must(query_run(engine, b->st, &query, &arena, &result, &err), &err);
        const double ms = (double)(cpu_ns() - from_ns) / 1e6;
        best_ms = ms < best_ms ? ms : best_ms;
        arena_release(&arena);
    }
    (void)printf("%-36s step %6u s %10.2f ms %6.2f ns/sample\n", q->text, q->step_s, best_ms,
                 best_ms * 1e6 / (double)(b->samples / 2));
}

static void measure_all(struct bench_store *b, uint32_t days) {
    struct query_options options;
    query_options_default(&options);
    options.workers = 0;
    struct query_engine *engine = query_engine_new(&options);
    for (size_t i = 0; i < COUNT_OF(QUERIES); i++) {
        measure(b, days, engine, &QUERIES[i]);
    }
    query_engine_free(engine);
}

int main(int argc, char **argv) {
    const struct bench_shape shape = {.targets = argc > 2 ? (uint32_t)atoi(argv[2]) : 4,
                                      .per_target = argc > 3 ? (uint32_t)atoi(argv[3]) : 25,
                                      .jobs = 1,
                                      .names = {"requests_total", "level"}};
    const uint32_t days = argc > 4 ? (uint32_t)atoi(argv[4]) : 30;
    if (argc < 2 || shape.targets < 1 || shape.per_target < 1 || days < 1) {
        (void)fprintf(stderr, "usage: bench_month DATA [TARGETS [SERIES A TARGET [DAYS]]]\n");
        return 2;
    }
    struct bench_store b;
    struct storage_stats stats;
    bench_store_open(&b, argv[1], &shape);
    write_days(&b, days);
    storage_stats(b.st, &stats);
    (void)printf("%u series, %" PRIu64 " samples, %.3f B/sample\n",
                 shape.targets * shape.per_target, b.samples,
                 (double)stats.disk_bytes / (double)b.samples);
    measure_all(&b, days);
    bench_store_close(&b);
    return 0;
}
