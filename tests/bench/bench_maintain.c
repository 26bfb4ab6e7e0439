/* What a round of background work costs when nothing happens: microseconds of a round with many pushed
 * groups, of which none was written to since it was sealed, and with a few that are.
 *
 *     bench_maintain DATA [GROUPS] [ROUNDS]
 *
 * DATA is an empty folder; GROUPS is 100000, ROUNDS 20. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/number.h"
#include "base/vfs.h"
#include "tsdb/storage.h"
#include "tsdb/tsdb.h"

enum { GROUPS = 100000, ROUNDS = 20, BUSY = 100, IDLE_S = 16 * 60 };

struct bench_clock {
    struct clock clock;
    int64_t now_ns;
};

static int64_t bench_now(struct clock *clock) {
    return ((struct bench_clock *)clock)->now_ns;
}

static void must(enum err_code code, const struct err *err) {
    if (code != ERR_OK) {
        (void)fprintf(stderr, "bench_maintain: %s\n", err->text);
        exit(1);
    }
}

static void push(struct storage *st, size_t groups, int64_t ts_ms) {
    struct storage_appender *a;
    struct arena arena;
    struct err err;
    arena_init(&arena, 0);
    must(storage_appender_begin(st, &a, &err), &err);
    for (size_t i = 0; i < groups; i++) {
        const struct label pairs[] = {{STR("__name__"), STR("m")},
                                      {STR("instance"), arena_printf(&arena, "host-%zu", i)},
                                      {STR("job"), STR("pushed")}};
        must(storage_append(st, a, labels_of(&arena, pairs, COUNT_OF(pairs)), ts_ms, 1), &err);
    }
    must(storage_appender_commit(st, a, &err), &err);
    arena_release(&arena);
}

static double cpu_us(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double round_us(struct tsdb *db, struct bench_clock *clock, size_t rounds) {
    const double begin = cpu_us();
    for (size_t i = 0; i < rounds; i++) {
        clock->now_ns += NS_PER_S;
        tsdb_maintain(db);
    }
    return (cpu_us() - begin) / (double)rounds;
}

static size_t number(int argc, char **argv, int at, size_t standard) {
    uint64_t v = standard;
    return at < argc && number_parse_u64(str_of(argv[at]), &v) == NUMBER_OK ? (size_t)v : standard;
}

int main(int argc, char **argv) {
    static const struct clock_ops ops = {.unix_ns = bench_now, .mono_ns = bench_now};
    struct bench_clock clock = {.clock = {.ops = &ops}, .now_ns = INT64_C(1700000000) * NS_PER_S};
    struct tsdb_options options;
    struct tsdb *db = NULL;
    struct err err;
    if (argc < 2) {
        (void)fprintf(stderr, "usage: bench_maintain DATA [GROUPS] [ROUNDS]\n");
        return 2;
    }
    const size_t groups = number(argc, argv, 2, GROUPS);
    const size_t rounds = number(argc, argv, 3, ROUNDS);
    tsdb_options_default(&options);
    options.path = argv[1];
    options.clock = &clock.clock;
    options.no_background = true;
    options.no_compaction = true;
    must(tsdb_open(&options, &db, NULL, &err), &err);
    struct storage *st = tsdb_storage(db);
    push(st, groups, clock.now_ns / 1000000);
    (void)printf("%zu groups with an open row: %.0f us a round\n", groups,
                 round_us(db, &clock, rounds));
    clock.now_ns += IDLE_S * NS_PER_S;
    (void)round_us(db, &clock, 4);
    (void)printf("all sealed and idle: %.0f us a round\n", round_us(db, &clock, rounds));
    push(st, BUSY, clock.now_ns / 1000000);
    (void)printf("%d of them written to: %.0f us a round\n", BUSY, round_us(db, &clock, rounds));
    tsdb_close(db);
    return 0;
}
