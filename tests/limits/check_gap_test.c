/* How much a query does between two looks at its deadline: never more than WORK_MAX basic blocks of
 * our own code, whatever it is evaluated over. The code under test is built with the compiler's hook
 * at each basic block, so that this counts work and not time: the same on every machine and under any
 * load. A block takes about a nanosecond.
 *
 *     check_gap_test [-v [QUERY NUMBER]]     -v: every query's most, and where it was passed */
#include <execinfo.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "tests/limits/hostile_world.h"

/* About a millisecond. A function of one window runs whole: its samples times what one costs. */
enum { WORK_MAX = 1000 * 1000, FRAMES_MAX = 24 };

static struct {
    uint64_t work; /* since the last look */
    uint64_t most;
    uint64_t looks;
    bool on;
    void *frames[FRAMES_MAX]; /* where WORK_MAX / 2 was passed in the longest stretch */
    int frame_count;
    void *candidates[FRAMES_MAX];
    int candidate_count;
} gap;

void __sanitizer_cov_trace_pc(void);

void __sanitizer_cov_trace_pc(void) {
    if (++gap.work == WORK_MAX / 2 && gap.on) {
        gap.candidate_count = backtrace(gap.candidates, FRAMES_MAX);
    }
}

static void end_stretch(void) {
    if (gap.on && gap.work > gap.most) {
        gap.most = gap.work;
        memcpy(gap.frames, gap.candidates, sizeof(gap.frames));
        gap.frame_count = gap.work > WORK_MAX / 2 ? gap.candidate_count : 0;
    }
    gap.looks++;
    gap.work = 0;
}

static int64_t counting_mono(struct clock *clock) {
    (void)clock;
    end_stretch();
    return 3600 * NS_PER_S;
}

static int64_t counting_unix(struct clock *clock) {
    (void)clock;
    return HOSTILE_END_S * NS_PER_S;
}

static bool measure(struct hostile_world *w, const struct hostile_query *q, bool verbose) {
    struct arena arena;
    struct query_result result;
    struct err err;
    arena_init(&arena, 0);
    memset(&gap, 0, sizeof(gap));
    gap.on = true;
    const enum err_code code = hostile_query_run(w, q, NULL, &arena, &result, &err);
    end_stretch();
    gap.on = false;
    const bool expected = code == ERR_OK || code == ERR_EXECUTION || code == ERR_LIMIT;
    const bool late = gap.most > WORK_MAX;
    if (verbose || late || !expected) {
        printf("%-4s %9" PRIu64 " blocks at most, %7" PRIu64 " looks, %6zu series  %s%s%s\n",
               late || !expected ? "FAIL" : "ok", gap.most, gap.looks,
               code == ERR_OK ? result.series_count : 0, q->text, code != ERR_OK ? ": " : "",
               code != ERR_OK ? err.text : "");
        (void)fflush(stdout);
    }
    if ((late || verbose) && gap.frame_count > 0) {
        backtrace_symbols_fd(gap.frames + 1, gap.frame_count - 1, 1);
    }
    arena_release(&arena);
    return expected && !late;
}

int main(int argc, char **argv) {
    static const struct clock_ops ops = {counting_unix, counting_mono};
    static const struct hostile_size size = {.series = 12000, .rows = 6, .long_rows = 60000};
    struct clock counting = {&ops};
    struct hostile_world world;
    const bool verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
    size_t failed = 0;
    size_t done = 0;
    hostile_world_begin(&world, &size, &counting);
    if (verbose) {
        printf("filled after %.1f s of CPU\n", (double)clock() / CLOCKS_PER_SEC);
    }
    for (size_t i = 0; i < hostile_query_count(); i++) {
        if (argc > 2 && (size_t)atoi(argv[2]) != i) {
            continue;
        }
        if (verbose) {
            printf("%3zu ", i);
        }
        done++;
        failed += !measure(&world, hostile_query_at(i), verbose);
    }
    hostile_world_end(&world);
    printf("%zu queries, %zu failed\n", done, failed);
    return failed != 0;
}
