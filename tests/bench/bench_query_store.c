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
#include "base/clock.h"
#include "base/mem.h"
#include "base/value.h"
#include "base/vfs.h"
#include "query/query.h"
#include "tsdb/storage.h"
#include "tsdb/tsdb.h"

enum { JOBS = 10, RANGE_S = 6 * 3600, PROC_BYTES_MAX = 1 << 16 };

struct bench_clock {
    struct clock clock;
    int64_t unix_ns;
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
        (void)fprintf(stderr, "bench_query_store: %s\n", err->text);
        exit(1);
    }
}

/* ---- memory as the system sees it ---- */

static double status_bytes(const char *key) {
    char *text = NULL;
    size_t len = 0;
    struct err err;
    must(vfs_read_file(vfs_system(), "/proc/self/status", PROC_BYTES_MAX, &text, &len, &err), &err);
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

struct bench {
    struct bench_clock clock;
    struct tsdb *db;
    uint32_t targets, per_target;
    int64_t step_s;
    struct storage_group **groups;
    struct num *values;
    uint8_t *states;
    uint64_t samples;
};

static void open_groups(struct bench *b) {
    struct storage *st = tsdb_storage(b->db);
    struct err err;
    b->groups = mem_array(b->targets, sizeof(*b->groups));
    for (uint32_t t = 0; t < b->targets; t++) {
        struct arena scratch;
        arena_init(&scratch, 0);
        const struct label target[] = {{STR("instance"), arena_printf(&scratch, "node-%u:9100", t)},
                                       {STR("job"), arena_printf(&scratch, "job-%u", t % JOBS)}};
        must(storage_group_open(st, 0, labels_of(&scratch, target, 2), &b->groups[t], &err), &err);
        for (uint32_t i = 0; i < b->per_target; i++) {
            const struct label all[] = {{STR("__name__"), STR("requests_total")},
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

/* Four in ten never change, as those of real pages. */
static void write_rows(struct bench *b) {
    struct err err;
    uint64_t seed = 1;
    for (int64_t row = 0; row < RANGE_S / b->step_s; row++) {
        b->clock.unix_ns += b->step_s * NS_PER_S;
        for (uint32_t i = 0; i < b->per_target; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            b->values[i].m += i % 10 < 4 ? 0 : (int64_t)(seed >> 58);
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

static void measure(struct bench *b, struct query_engine *engine, const char *text) {
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
        must(query_run(engine, tsdb_storage(b->db), &query, &arena, &result, &err), &err);
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

static void measure_all(struct bench *b, const char *where) {
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
    static const struct clock_ops clock_ops = {bench_unix, bench_mono};
    struct bench b = {.clock = {.clock.ops = &clock_ops, .unix_ns = INT64_C(1795344000) * NS_PER_S},
                      .targets = argc > 2 ? (uint32_t)atoi(argv[2]) : 100,
                      .per_target = argc > 3 ? (uint32_t)atoi(argv[3]) : 1000,
                      .step_s = argc > 4 ? atoi(argv[4]) : 15};
    if (argc < 2 || b.targets < 1 || b.per_target < 1 || b.step_s < 1) {
        (void)fprintf(stderr,
                      "usage: bench_query_store DATA [TARGETS [SERIES A TARGET [STEP SECONDS]]]\n");
        return 2;
    }
    struct tsdb_options options;
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
    write_rows(&b);
    (void)printf("%u series, %" PRIu64 " samples, RSS %.1f MB\n", b.targets * b.per_target,
                 b.samples, status_bytes("VmRSS:") / 1e6);
    measure_all(&b, "head:");
    must(tsdb_compact(b.db, false, &err), &err);
    tsdb_maintain(b.db);
    measure_all(&b, "partitions and head:");
    for (uint32_t t = 0; t < b.targets; t++) {
        storage_group_close(tsdb_storage(b.db), b.groups[t]);
    }
    tsdb_close(b.db);
    mem_free(b.groups);
    mem_free(b.values);
    mem_free(b.states);
    return 0;
}
