/* Any query text over generated data: no crash, and a range query equals instant queries at each of
 * its steps (sums in another order may differ in the last bits).
 *
 * Input: one byte of seed for the data, one for the number of steps, the rest is the query. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/histogram.h"
#include "base/value.h"
#include "query/query.h"
#include "query/script/fake_storage.h"

enum { STEPS_MAX = 5, STEP_MS = 7000, START_MS = 40000, QUERY_MAX = 200 };

/* Series in the order of their labels: then sums are made in the same order by range queries,
 * which take the storage's order, and instant ones, which ask for the labels'. */
static void load(struct fake_storage *fs, unsigned seed) {
    static const char *const NAMES[] = {"a_total", "b", "h_bucket"};
    static const char *const BOUNDS[] = {"+Inf", "0.5", "1"};
    uint32_t random = seed * 2654435761U + 1;
    for (unsigned i = 0; i < 18; i++) {
        char metric[128];
        (void)snprintf(metric, sizeof(metric), "%s{job=\"j%u\",le=\"%s\",n=\"%u\"}", NAMES[i / 6],
                       i / 3 % 2, BOUNDS[i % 3], i % 3 / 2);
        char values[512] = "";
        size_t len = 0;
        for (unsigned k = 0; k < 20; k++) {
            random = random * 1664525U + 1013904223U;
            const unsigned kind = random >> 28;
            const char *text = kind == 0 ? "_" : kind == 1 ? "stale" : kind == 2 ? "NaN" : "";
            char number[32];
            if (text[0] == '\0') {
                (void)snprintf(number, sizeof(number), "%u", (random >> 16) % 100);
                text = kind == 3 ? "-Inf" : number;
            }
            len += (size_t)snprintf(values + len, sizeof(values) - len, "%s ", text);
        }
        fake_storage_load(fs, 5000, metric, values);
    }
}

/* n: histograms of two schemas, floats between them, start times now and then. */
static void load_histograms(struct fake_storage *fs, unsigned seed) {
    uint32_t random = seed * 2654435761U + 7;
    double counts[4] = {0};
    struct histogram_span span = {.offset = -1, .length = 4};
    struct arena arena;
    arena_init(&arena, 0);
    for (unsigned i = 0; i < 40; i++) {
        random = random * 1664525U + 1013904223U;
        const struct label labels[] = {{LABEL_NAME, STR("n")},
                                       {STR("job"), i % 2 == 0 ? STR("j0") : STR("j1")}};
        const struct labels set = labels_of(&arena, labels, COUNT_OF(labels));
        const int64_t ts_ms = (int64_t)(i / 2) * 5000;
        const int64_t start_ms = (random >> 27) == 0 ? ts_ms - 1000 : 0;
        if ((random >> 28) == 1) {
            fake_storage_put_started(fs, set, ts_ms, i, start_ms);
            continue;
        }
        counts[(random >> 20) % 4] += (random >> 16) % 8;
        if ((random >> 28) == 2) {
            counts[0] = counts[1] = 0;
        }
        const struct histogram h = {
            .schema = (random >> 28) == 3 ? 1 : 0,
            .hint = (random >> 28) == 4 ? HINT_GAUGE : HINT_UNKNOWN,
            .count = counts[0] + counts[1] + counts[2] + counts[3],
            .sum = i,
            .zero_threshold = (random >> 28) == 5 ? 0.6 : 0.001,
            .positive = {.spans = &span, .counts = counts, .span_count = 1, .count = 4}};
        fake_storage_put_histogram(fs, set, ts_ms, &h, start_ms);
    }
    arena_release(&arena);
}

static bool same(double a, double b) {
    if ((isnan(a) && isnan(b)) || a == b) {
        return true;
    }
    return fabs(a - b) <= 1e-9 * (fabs(a) + fabs(b));
}

/* The point of the range result for these labels at ts, or NULL. */
static const double *point_at(const struct query_result *range, struct labels labels,
                              int64_t ts_ms) {
    for (size_t i = 0; i < range->series_count; i++) {
        const struct result_series *s = &range->series[i];
        if (labels_eq(s->labels, labels)) {
            for (size_t k = 0; k < s->count; k++) {
                if (s->ts[k] == ts_ms) {
                    return &s->values[k];
                }
            }
        }
    }
    return NULL;
}

static size_t points_at(const struct query_result *range, int64_t ts_ms) {
    size_t n = 0;
    for (size_t i = 0; i < range->series_count; i++) {
        for (size_t k = 0; k < range->series[i].count; k++) {
            n += range->series[i].ts[k] == ts_ms;
        }
    }
    return n;
}

static void die(struct str text, const char *why) {
    (void)fprintf(stderr, "%s: %.*s\n", why, STR_ARG(text));
    abort();
}

static void compare(struct str text, const struct query_result *range,
                    const struct query_result *instant, int64_t ts_ms) {
    if (instant->type == RESULT_SCALAR) {
        const double *v = point_at(range, (struct labels){0}, ts_ms);
        if (v == NULL || !same(*v, instant->scalar)) {
            die(text, "scalar differs");
        }
        return;
    }
    if (points_at(range, ts_ms) != instant->series_count) {
        die(text, "number of samples differs");
    }
    for (size_t i = 0; i < instant->series_count; i++) {
        const double *v = point_at(range, instant->series[i].labels, ts_ms);
        const struct histogram *const *h = instant->series[i].histograms;
        const bool native = h != NULL && h[0] != NULL;
        if (v == NULL || (!native && !same(*v, instant->series[i].values[0]))) {
            die(text, "sample differs");
        }
    }
}

/* These look at the whole query's times, so an instant query is another question; or they choose
 * among equals by the order of groups, which in a range depends on all steps. */
static bool depends_on_range(struct str text) {
    static const char *const WORDS[] = {"start", "end", "range", "step", "@", "topk", "bottomk",
                                        "limitk",
                                        /* hints of statistics depend on what was read before */
                                        "histogram_"};
    for (size_t i = 0; i < sizeof(WORDS) / sizeof(WORDS[0]); i++) {
        if (str_find(text, str_of(WORDS[i])) >= 0) {
            return true;
        }
    }
    return false;
}

static void run_both(struct query_engine *engine, struct fake_storage *fs, struct str text,
                     unsigned steps) {
    struct storage *storage = fake_storage_as_storage(fs);
    struct arena arena;
    arena_init(&arena, 0);
    struct query_result range;
    struct err err;
    struct query q = {.text = text,
                      .start_ms = START_MS,
                      .end_ms = START_MS + (int64_t)steps * STEP_MS,
                      .step_ms = STEP_MS};
    const enum err_code range_code = query_run(engine, storage, &q, &arena, &range, &err);
    for (unsigned i = 0; i <= steps && !depends_on_range(text); i++) {
        struct query_result instant;
        const int64_t ts_ms = START_MS + (int64_t)i * STEP_MS;
        const struct query at = {.text = text, .start_ms = ts_ms, .end_ms = ts_ms};
        const enum err_code code = query_run(engine, storage, &at, &arena, &instant, &err);
        if (range_code == ERR_OK && code == ERR_OK) {
            compare(text, &range, &instant, ts_ms);
        } else if (range_code == ERR_OK) {
            die(text, "only the instant query failed");
        }
    }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3 || size > QUERY_MAX) {
        return 0;
    }
    struct query_options options;
    query_options_default(&options);
    options.experimental_functions = true;
    options.extended_range_selectors = true;
    options.binop_fill_modifiers = true;
    options.max_samples = 100000;
    options.max_memory_bytes = 16 * 1024 * 1024;
    options.timeout_ms = 2000;
    options.use_start_timestamps = true;
    options.delayed_name_removal = (data[1] & 0x80) != 0;
    struct query_engine *engine = query_engine_new(&options);
    struct fake_storage *fs = fake_storage_new();
    load(fs, data[0]);
    load_histograms(fs, data[0]);
    run_both(engine, fs, (struct str){(const char *)data + 2, size - 2}, data[1] % STEPS_MAX);
    fake_storage_free(fs);
    query_engine_free(engine);
    return 0;
}
