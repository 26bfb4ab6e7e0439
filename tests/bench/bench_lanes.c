/* What the kernels over windows cost: nanoseconds of eight windows, per set that this machine can run.
 *
 *     bench_lanes [SAMPLES [STRIDE]]
 *
 * Windows of SAMPLES (20) values each, whose steps are STRIDE (4) samples apart, over a counter of 480
 * samples that stays in the cache; the best of some rounds. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/attr.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/rng.h"
#include "query/lanes.h"

enum { COLUMN = 480, ROUNDS = 200, CALLS = 2000 };

struct work {
    int64_t ts[COLUMN];
    double v[COLUMN];
    uint32_t low[COLUMN], high[COLUMN];
    double sampled[LANES], to_start[LANES], factor[LANES];
    int64_t reference_ms[LANES];
    size_t eights;
    double seen; /* so that nothing is left out */
};

enum kind { SUM, MEAN, VARIANCE, LINE, RATE, NEXT_DROP, ADD, KINDS };

static const char *const NAMES[] = {"sum",  "mean",           "variance", "line",
                                    "rate", "next drop, 480", "add, 480"};

static int64_t cpu_ns(void) {
    struct timespec ts;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

NOINLINE static void call(const struct lane_kernels *set, enum kind kind, struct work *k,
                          size_t eight) {
    const size_t at = eight * LANES;
    const struct lane_windows w = {k->v, k->low + at, k->high + at};
    struct lane_sums sums = {.sum = {0}};
    struct lane_line line;
    double out[LANES] = {0};
    switch (kind) {
    case SUM:
    case MEAN:
        set->sum(&w, kind == MEAN, &sums);
        k->seen += sums.sum[0];
        break;
    case VARIANCE:
        set->variance(&w, out);
        break;
    case LINE:
        set->line(&w, k->ts, k->reference_ms, &line);
        k->seen += line.xy[0];
        break;
    case RATE:
        k->seen += (double)set->rate(
            &w, &(struct lane_rate){k->sampled, k->to_start, k->factor, true}, 1, out);
        break;
    case NEXT_DROP:
        k->seen += (double)set->next_drop(k->v, COLUMN, 0);
        break;
    case ADD: {
        static double sum[COLUMN];
        static double c[COLUMN];
        set->add(sum, c, k->v, COLUMN);
        k->seen += sum[0];
        break;
    }
    case KINDS:
        break;
    }
    k->seen += out[0];
}

static double best_ns(const struct lane_kernels *set, enum kind kind, struct work *k) {
    int64_t best = INT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        const int64_t begin = cpu_ns();
        for (size_t i = 0; i < CALLS; i++) {
            call(set, kind, k, i % k->eights);
        }
        const int64_t took = cpu_ns() - begin;
        best = took < best ? took : best;
    }
    return (double)best / CALLS;
}

static void fill(struct work *k, uint32_t samples, uint32_t stride) {
    struct rng rng = rng_seeded(1);
    double v = 1e6;
    for (size_t i = 0; i < COLUMN; i++) {
        k->ts[i] = (int64_t)i * 15000;
        k->v[i] = v;
        v += (double)rng_below(&rng, 1000) / 8;
    }
    size_t windows = 0;
    for (uint32_t low = 0; low + samples <= COLUMN; low += stride) {
        k->low[windows] = low;
        k->high[windows++] = low + samples;
    }
    k->eights = windows / LANES;
    ASSERT(k->eights > 0);
    for (size_t l = 0; l < LANES; l++) {
        k->sampled[l] = 285;
        k->to_start[l] = 7.5;
        k->factor[l] = 0.0033;
        k->reference_ms[l] = 300000;
    }
}

int main(int argc, char **argv) {
    static struct work k;
    const long samples = argc > 1 ? strtol(argv[1], NULL, 10) : 20;
    const long stride = argc > 2 ? strtol(argv[2], NULL, 10) : 4;
    if (samples < 2 || samples > COLUMN / 2 || stride < 1 || stride > COLUMN / 16) {
        fprintf(stderr, "usage: bench_lanes [SAMPLES 2-%d [STRIDE 1-%d]]\n", COLUMN / 2,
                COLUMN / 16);
        return 2;
    }
    fill(&k, (uint32_t)samples, (uint32_t)stride);
    printf("%-16s", "ns, 8 windows");
    for (size_t s = 0; lane_kernels_at(s) != NULL; s++) {
        printf("%10s", lane_kernels_at(s)->name);
    }
    printf("\n");
    for (enum kind kind = SUM; kind < KINDS; kind++) {
        printf("%-16s", NAMES[kind]);
        for (size_t s = 0; lane_kernels_at(s) != NULL; s++) {
            printf("%10.1f", best_ns(lane_kernels_at(s), kind, &k));
        }
        printf("\n");
    }
    return k.seen == 0 ? 1 : 0;
}
