/* Nanoseconds per sample of the query engine's kernels, on series of a storage in memory whose
 * reads cost next to nothing: what is measured is windows, functions, aggregation, joins.
 *
 *   bench_query [SERIES [ROUNDS [PART]]]
 *
 * 6 h of samples every 15 s, steps of 1 m, one thread. Per line the best of the rounds: ns per
 * stored sample and ns per sample in a window, as samples in windows are what queries ask for; and
 * the memory of the query. With PART only queries that contain it run, with =TEXT one query alone;
 * query_instructions.py counts instructions, which do not depend on the machine's load. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "query/query.h"

enum { STEP_MS = 15000, SAMPLES = 6 * 3600 / 15, TARGETS = 20, BUCKETS = 10, COLUMNS = 1000 };

/* Series s is of target s / per_target; values are counters or wander, as the name says. */
struct bench_store {
    struct storage storage;
    size_t per_target;
    size_t count;
    int64_t ts[SAMPLES];
    double *counters; /* [series % COLUMNS][SAMPLES] */
    double *gauges;
    struct arena labels_arena;
    struct labels *metric_sets; /* of the three names, [name][series] */
    struct labels target_sets[TARGETS];
};

enum bench_name { NAME_COUNTER, NAME_GAUGE, NAME_BUCKET, NAME_COUNT };
static const char *const NAMES[NAME_COUNT] = {"requests_total", "load", "took_seconds_bucket"};

struct storage_querier {
    struct bench_store *store;
    struct arena *arena;
};

struct storage_selection {
    struct storage_series *series;
    size_t count;
    enum bench_name name;
};

static enum err_code open_querier(struct storage *st, int64_t mint, int64_t maxt,
                                  struct arena *arena, const struct cancel *cancel,
                                  struct storage_querier **out, struct err *err) {
    (void)mint;
    (void)maxt;
    (void)cancel;
    (void)err;
    *out = arena_alloc(arena, sizeof(**out));
    **out = (struct storage_querier){.store = (struct bench_store *)st, .arena = arena};
    return ERR_OK;
}

static enum err_code select_name(struct storage_querier *q, const struct matcher *matchers,
                                 size_t n, const struct storage_select_hints *hints,
                                 struct storage_selection **out, struct err *err) {
    (void)hints;
    (void)err;
    struct storage_selection *sel = arena_zalloc(q->arena, sizeof(*sel));
    sel->count = q->store->count;
    for (size_t name = 0; name < NAME_COUNT; name++) {
        for (size_t i = 0; i < n; i++) {
            sel->name =
                str_eq(matchers[i].value, str_of(NAMES[name])) ? (enum bench_name)name : sel->name;
        }
    }
    sel->series = arena_alloc(q->arena, sel->count * sizeof(*sel->series));
    for (size_t i = 0; i < sel->count; i++) {
        sel->series[i] = (struct storage_series){
            .target_set = (uint32_t)(i / q->store->per_target % TARGETS) + 1,
            .metric_set = (uint32_t)(TARGETS + 1 + (size_t)sel->name * sel->count + i),
            .ref = i};
    }
    *out = sel;
    return ERR_OK;
}

static const struct storage_series *series_of(const struct storage_selection *sel, size_t *count) {
    *count = sel->count;
    return sel->series;
}

static struct labels labels_of_set(struct storage_querier *q, uint32_t set) {
    return set <= TARGETS ? q->store->target_sets[set - 1]
                          : q->store->metric_sets[set - TARGETS - 1];
}

static enum err_code read_columns(struct storage_querier *q, const struct storage_selection *sel,
                                  size_t first, size_t count, int64_t mint, int64_t maxt,
                                  struct arena *scratch, struct storage_samples *out,
                                  struct err *err) {
    (void)scratch;
    (void)err;
    const struct bench_store *s = q->store;
    size_t from = 0;
    size_t to = SAMPLES;
    while (from < to && s->ts[from] < mint) {
        from++;
    }
    while (to > from && s->ts[to - 1] > maxt) {
        to--;
    }
    const double *const columns = sel->name == NAME_GAUGE ? s->gauges : s->counters;
    for (size_t i = 0; i < count; i++) {
        out[i] =
            (struct storage_samples){.ts = s->ts + from,
                                     .values = columns + (first + i) % COLUMNS * SAMPLES + from,
                                     .count = to - from};
    }
    return ERR_OK;
}

static const struct storage_ops OPS = {.querier_open = open_querier,
                                       .select = select_name,
                                       .selection_series = series_of,
                                       .set_labels = labels_of_set,
                                       .read = read_columns};

static struct labels metric_labels(struct arena *arena, enum bench_name name, size_t i) {
    const struct label pairs[] = {
        {STR("__name__"), str_of(NAMES[name])},
        {STR("le"), arena_printf(arena, "%zu", i % BUCKETS + 1)},
        {STR("n"), arena_printf(arena, "%zu", i)},
    };
    const struct label plain[] = {pairs[0], pairs[2]};
    return name == NAME_BUCKET ? labels_of(arena, pairs, COUNT_OF(pairs))
                               : labels_of(arena, plain, COUNT_OF(plain));
}

static void fill(struct bench_store *s, size_t series) {
    s->storage.ops = &OPS;
    s->count = series;
    s->per_target = (series + TARGETS - 1) / TARGETS;
    const size_t columns = series < COLUMNS ? series : COLUMNS;
    s->counters = mem_array(columns * SAMPLES, sizeof(double));
    s->gauges = mem_array(columns * SAMPLES, sizeof(double));
    s->metric_sets = mem_array(series * NAME_COUNT, sizeof(struct labels));
    arena_init(&s->labels_arena, 0);
    for (size_t i = 0; i < SAMPLES; i++) {
        s->ts[i] = (int64_t)i * STEP_MS;
    }
    for (size_t t = 0; t < TARGETS; t++) {
        const struct label pairs[] = {
            {STR("instance"), arena_printf(&s->labels_arena, "node-%zu:9100", t)},
            {STR("job"), STR("bench")}};
        s->target_sets[t] = labels_of(&s->labels_arena, pairs, COUNT_OF(pairs));
    }
    for (size_t name = 0; name < NAME_COUNT; name++) {
        for (size_t i = 0; i < series; i++) {
            s->metric_sets[name * series + i] =
                metric_labels(&s->labels_arena, (enum bench_name)name, i);
        }
    }
    uint64_t seed = 1;
    for (size_t i = 0; i < columns * SAMPLES; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        const double noise = (double)(seed >> 44);
        const bool first = i % SAMPLES == 0;
        const bool constant = i / SAMPLES % 10 < 4; /* as many as real series have */
        s->counters[i] = first ? 1e6 + noise : s->counters[i - 1] + (constant ? 0 : noise / 1e4);
        s->gauges[i] = noise / 1024 + 1e3;
    }
}

static void release(struct bench_store *s) {
    mem_free(s->counters);
    mem_free(s->gauges);
    mem_free(s->metric_sets);
    arena_release(&s->labels_arena);
    mem_free(s);
}

static const char *const QUERIES[] = {
    "rate(requests_total[5m])",
    "sum by (instance) (rate(requests_total[5m]))",
    "sum by (instance) (load)",
    "avg by (instance) (load)",
    "max by (instance) (load)",
    "stddev(load)",
    "topk(5, load)",
    "quantile by (instance) (0.9, load)",
    "load / requests_total",
    "requests_total / (requests_total + load)",
    "load > bool on (n, instance) requests_total",
    "histogram_quantile(0.99, sum by (le, instance) (rate(took_seconds_bucket[5m])))",
    ("histogram_quantile(0.99, sum by (le, instance) (rate(took_seconds_bucket[5m]))) - "
     "histogram_quantile(0.5, sum by (le, instance) (rate(took_seconds_bucket[5m])))"),
    "max_over_time(sum by (instance) (rate(requests_total[5m]))[30m:1m])",
    "sum_over_time(load[1h])",
    "avg_over_time(load[1h])",
    "min_over_time(load[1h])",
    "max_over_time(load[1h])",
    "count_over_time(load[1h])",
    "last_over_time(load[1h])",
    "stddev_over_time(load[1h])",
    "quantile_over_time(0.95, load[1h])",
    "changes(load[1h])",
    "deriv(load[1h])",
    "predict_linear(load[1h], 3600)",
};

struct timing {
    double ns;
    uint64_t peak_bytes;
    uint64_t window_samples;
};

static struct timing run_once(struct query_engine *engine, struct bench_store *s,
                              const char *text) {
    struct arena arena;
    struct query_result result;
    struct err err;
    const struct query query = {
        .text = str_of(text), .start_ms = 0, .end_ms = s->ts[SAMPLES - 1], .step_ms = 60000};
    arena_init(&arena, 0);
    const int64_t from_ns = clock_mono_ns(clock_system());
    if (query_run(engine, &s->storage, &query, &arena, &result, &err) != ERR_OK) {
        (void)fprintf(stderr, "bench_query: %s: %s\n", text, err.text);
        exit(1);
    }
    const struct timing t = {(double)(clock_mono_ns(clock_system()) - from_ns),
                             result.stats.peak_bytes, result.stats.samples_read};
    arena_release(&arena);
    return t;
}

static bool is_wanted(const char *text, const char *part) {
    return part[0] == '=' ? strcmp(text, part + 1) == 0 : strstr(text, part) != NULL;
}

int main(int argc, char **argv) {
    const size_t series = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    const int rounds = argc > 2 ? atoi(argv[2]) : 7;
    if (series < 1 || series > 100000 || rounds < 1) {
        (void)fprintf(stderr, "usage: bench_query [SERIES [ROUNDS [PART]]]\n");
        return 2;
    }
    struct bench_store *s = mem_zalloc(sizeof(*s));
    struct query_options options;
    fill(s, series);
    query_options_default(&options);
    options.workers = 0;
    options.max_memory_bytes = 0;
    struct query_engine *engine = query_engine_new(&options);
    (void)printf("%-84s %9s %9s %9s\n", "", "ns/stored", "ns/window", "peak MB");
    for (size_t q = 0; q < COUNT_OF(QUERIES); q++) {
        if (argc > 3 && !is_wanted(QUERIES[q], argv[3])) {
            continue;
        }
        struct timing best = {.ns = INFINITY};
        for (int r = 0; r < rounds; r++) {
            const struct timing t = run_once(engine, s, QUERIES[q]);
            best = t.ns < best.ns ? t : best;
        }
        (void)printf("%-84s %9.2f %9.3f %9.1f\n", QUERIES[q], best.ns / (double)(series * SAMPLES),
                     best.ns / (double)best.window_samples, (double)best.peak_bytes / 1e6);
    }
    query_engine_free(engine);
    release(s);
    return 0;
}
