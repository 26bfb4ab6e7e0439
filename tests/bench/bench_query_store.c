/* Queries over a whole store: what `sum by (job) (rate(x[5m]))` and its kin take of memory and time
 * when 100,000 series of six hours are read from the head and from partitions.
 *
 *     bench_query_store DATA [TARGETS [SERIES A TARGET [STEP SECONDS]]]
 *
 * DATA is an empty folder. 100 targets of 1000 counters, a sample every 15 s; steps of 1 m, one
 * thread. Per query: what it counted against its budget at most (which --query.max-memory limits),
 * how much the resident set grew at most, and the best time of three. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/vfs.h"
#include "query/query.h"
#include "tests/bench/bench_store.h"

enum { JOBS = 10, RANGE_S = 6 * 3600, PROC_BYTES_MAX = 1 << 16 };

/* ---- memory as the system sees it ---- */

static double status_bytes(const char *key) {
    char *text = NULL;
    size_t len = 0;
    struct err err;
    bench_must(vfs_read_file(vfs_system(), "/proc/self/status", PROC_BYTES_MAX, &text, &len, &err),
               &err);
    const char *at = strstr(text, key);
    const double kib = at != NULL ? (double)strtoul(at + strlen(key), NULL, 10) : 0;
    mem_free(text);
    return kib * 1024;
}

/* VmHWM begins anew. */
static void forget_peak(void) {
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (f != NULL) {
        (void)fputs("5", f);
        (void)fclose(f);
    }
}

/* ---- the store ---- */

/* Four in ten never change, as those of real pages. */
static void write_rows(struct bench_store *b, int64_t step_s) {
    uint64_t seed = 1;
    for (int64_t row = 0; row < RANGE_S / step_s; row++) {
        for (uint32_t i = 0; i < b->shape.per_target; i++) {
            const int64_t step = (int64_t)(bench_store_random(&seed) >> 58);
            b->values[i].m += i % 10 < 4 ? 0 : step;
        }
        bench_store_row(b, step_s);
        if (row % 16 == 15) {
            tsdb_maintain(b->db);
        }
    }
}

/* ---- queries ---- */

static const char *const QUERIES[] = {
    "sum by (job) (rate(requests_total[5m]))",
    "max by (job) (max_over_time(requests_total[1h]))",
    "count by (instance) (requests_total)",
    "histogram_quantile(0.9, sum by (job, n) (rate(requests_total[5m])))",
};

static void measure(struct bench_store *b, struct query_engine *engine, const char *text) {
    const int64_t end_ms = b->clock.unix_ns / NS_PER_MS;
    const struct query query = {.text = str_of(text),
                                .start_ms = end_ms - (int64_t)RANGE_S * 1000,
                                .end_ms = end_ms,
                                .step_ms = 60000};
    double best_ms = 1e300;
    double grew = 0;
    struct query_stats stats = {0};
    for (int round = 0; round < 3; round++) {
        struct arena arena;
        struct query_result result;
        struct err err;
        arena_init(&arena, 0);
        forget_peak();
        const double before = status_bytes("VmRSS:");
        const int64_t from_ns = clock_mono_ns(clock_system());
        bench_must(query_run(engine, b->st, &query, &arena, &result, &err), &err);
        const double ms = (double)(clock_mono_ns(clock_system()) - from_ns) / 1e6;
        const double more = status_bytes("VmHWM:") - before;
        best_ms = ms < best_ms ? ms : best_ms;
        grew = more > grew ? more : grew;
        stats = result.stats;
        arena_release(&arena);
    }
    (void)printf("%-70s %10.1f %10.1f %10.1f %10.2f\n", text, (double)stats.peak_bytes / 1e6,
                 grew / 1e6, best_ms, best_ms * 1e6 / (double)b->samples);
}

static void measure_all(struct bench_store *b, const char *where) {
    struct query_options options;
    query_options_default(&options);
    options.workers = 0;
    struct query_engine *engine = query_engine_new(&options);
    (void)printf("%-70s %10s %10s %10s %10s\n", where, "budget MB", "RSS +MB", "ms", "ns/stored");
    for (size_t i = 0; i < COUNT_OF(QUERIES); i++) {
        measure(b, engine, QUERIES[i]);
    }
    query_engine_free(engine);
}

int main(int argc, char **argv) {
    const struct bench_shape shape = {.targets = argc > 2 ? (uint32_t)atoi(argv[2]) : 100,
                                      .per_target = argc > 3 ? (uint32_t)atoi(argv[3]) : 1000,
                                      .jobs = JOBS,
                                      .names = {"requests_total", "requests_total"}};
    const int64_t step_s = argc > 4 ? atoi(argv[4]) : 15;
    if (argc < 2 || shape.targets < 1 || shape.per_target < 1 || step_s < 1) {
        (void)fprintf(stderr,
                      "usage: bench_query_store DATA [TARGETS [SERIES A TARGET [STEP SECONDS]]]\n");
        return 2;
    }
    struct bench_store b;
    struct err err;
    bench_store_open(&b, argv[1], &shape);
    write_rows(&b, step_s);
    (void)printf("%u series, %" PRIu64 " samples, RSS %.1f MB\n", shape.targets * shape.per_target,
                 b.samples, status_bytes("VmRSS:") / 1e6);
    measure_all(&b, "head:");
    bench_must(tsdb_compact(b.db, false, &err), &err);
    tsdb_maintain(b.db);
    measure_all(&b, "partitions and head:");
    bench_store_close(&b);
    return 0;
}
