/* topk, bottomk, limitk and quantile over ranges: at each step what one heap, or one sort, gives of
 * the values of that step in the order of labels; and the same with any number of threads. */
#include "tests/support/check_err.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query/quantile.h"
#include "query/query.h"
#include "query/script/fake_storage.h"
#include "tests/support/fake_clock.h"

enum { SERIES = 150, GROUPS = 3, STEPS = 150, STEP_MS = 10000 };

struct fixture {
    struct fake_clock clock;
    struct fake_storage *fs;
    struct query_engine *engine;
    struct arena arena;
    struct labels labels[SERIES]; /* in order */
    double values[SERIES][STEPS];
    bool there[SERIES][STEPS];
    double got[SERIES][STEPS];
    bool got_there[SERIES][STEPS];
    struct err err;
};

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return *state >> 33;
}

/* Many are equal, some are no numbers, some missing; the first series grow, so that heaps change. */
static double make_value(uint64_t *random, int series, int step) {
    const uint64_t pick = next_random(random) % 20;
    return pick == 0   ? NAN
           : pick == 1 ? -0.0
           : pick < 8  ? (double)(next_random(random) % 4)
                       : (double)(series % 7) * step + (double)(next_random(random) % 5);
}

static void make_engine(struct fixture *f, uint32_t workers) {
    struct query_options options;
    query_options_default(&options);
    options.clock = &f->clock.clock;
    options.workers = workers;
    options.experimental_functions = true;
    query_engine_free(f->engine);
    f->engine = query_engine_new(&options);
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    uint64_t random = 1;
    fake_clock_init(&f->clock, 0);
    f->fs = fake_storage_new();
    arena_init(&f->arena, 0);
    make_engine(f, 0);
    for (int s = 0; s < SERIES; s++) {
        const struct label labels[] = {
            {STR("__name__"), STR("a")},
            {STR("g"), arena_printf(&f->arena, "%d", s / (SERIES / GROUPS))},
            {STR("n"), arena_printf(&f->arena, "%03d", s)}};
        f->labels[s] = labels_of(&f->arena, labels, 3);
        for (int i = 0; i < STEPS; i++) {
            f->values[s][i] = make_value(&random, s, i);
            f->there[s][i] = s % 5 == 0 || next_random(&random) % 9 != 0;
            if (f->there[s][i]) {
                fake_storage_put(f->fs, f->labels[s], (int64_t)i * STEP_MS, f->values[s][i]);
            }
        }
    }
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    query_engine_free(f->engine);
    fake_storage_free(f->fs);
    arena_release(&f->arena);
    free(f);
    return 0;
}

/* ---- expected ---- */

struct heap {
    int rows[SERIES];
    int count;
};

static bool less(const struct fixture *f, int step, bool smallest, int a, int b) {
    const double x = f->values[a][step];
    const double y = f->values[b][step];
    return isnan(x) || (smallest ? x > y : x < y);
}

static void swap(struct heap *h, int i, int j) {
    const int row = h->rows[i];
    h->rows[i] = h->rows[j];
    h->rows[j] = row;
}

static void up(const struct fixture *f, struct heap *h, int step, bool smallest) {
    for (int at = h->count - 1;
         at > 0 && less(f, step, smallest, h->rows[at], h->rows[(at - 1) / 2]); at = (at - 1) / 2) {
        swap(h, at, (at - 1) / 2);
    }
}

static void down(const struct fixture *f, struct heap *h, int step, bool smallest) {
    for (int at = 0, child = 1; child < h->count; child = 2 * at + 1) {
        if (child + 1 < h->count && less(f, step, smallest, h->rows[child + 1], h->rows[child])) {
            child++;
        }
        if (!less(f, step, smallest, h->rows[child], h->rows[at])) {
            return;
        }
        swap(h, at, child);
        at = child;
    }
}

enum choice { LARGEST, SMALLEST, FIRST };

/* In chosen: the rows of [from, to) that are chosen at a step. */
static void choose(const struct fixture *f, int from, int to, int step, int k, enum choice choice,
                   bool *chosen) {
    struct heap h = {.count = 0};
    for (int s = from; s < to; s++) {
        if (!f->there[s][step] || k < 1) {
            continue;
        }
        const double v = f->values[s][step];
        const double top = h.count > 0 ? f->values[h.rows[0]][step] : 0;
        if (h.count < k) {
            h.rows[h.count++] = s;
            up(f, &h, step, choice == SMALLEST);
        } else if (choice != FIRST &&
                   ((choice == SMALLEST ? top > v : top < v) || (isnan(top) && !isnan(v)))) {
            h.rows[0] = s;
            down(f, &h, step, choice == SMALLEST);
        }
    }
    for (int i = 0; i < h.count; i++) {
        chosen[h.rows[i]] = true;
    }
}

/* ---- running ---- */

static struct query_result run(struct fixture *f, const char *text) {
    const struct query query = {.text = str_of(text),
                                .start_ms = 0,
                                .end_ms = (int64_t)(STEPS - 1) * STEP_MS,
                                .step_ms = STEP_MS,
                                .lookback_ms = STEP_MS / 2};
    struct query_result result;
    assert_ok(
        query_run(f->engine, fake_storage_as_storage(f->fs), &query, &f->arena, &result, &f->err),
        &f->err);
    return result;
}

/* What a result has of each series and step. */
static void spread(struct fixture *f, const struct query_result *r) {
    memset(f->got_there, 0, sizeof(f->got_there));
    for (size_t i = 0; i < r->series_count; i++) {
        const struct result_series *series = &r->series[i];
        int s = 0;
        while (s < SERIES && !labels_eq(series->labels, f->labels[s])) {
            s++;
        }
        assert_true(s < SERIES);
        for (size_t k = 0; k < series->count; k++) {
            const int64_t step = series->ts[k] / STEP_MS;
            f->got[s][step] = series->values[k];
            f->got_there[s][step] = true;
        }
    }
}

static int k_of(int k, int step) {
    return k >= 0 ? k : step % 9 - 1;
}

/* k < 0: it changes with the step. */
static void check(struct fixture *f, const char *op, int k, bool grouped, enum choice choice) {
    char text[128];
    char param[64];
    (void)snprintf(param, sizeof(param), k >= 0 ? "%d" : "scalar(vector(time() / 10 %% 9 - 1))", k);
    (void)snprintf(text, sizeof(text), "%s %s (%s, a)", op, grouped ? "by (g)" : "", param);
    const struct query_result result = run(f, text);
    const int size = grouped ? SERIES / GROUPS : SERIES;
    spread(f, &result);
    for (int step = 0; step < STEPS; step++) {
        bool chosen[SERIES] = {false};
        for (int from = 0; from < SERIES; from += size) {
            choose(f, from, from + size, step, k_of(k, step), choice, chosen);
        }
        for (int s = 0; s < SERIES; s++) {
            if (f->got_there[s][step] != chosen[s]) {
                fail_msg("%s: series %d at step %d is %schosen", text, s, step,
                         chosen[s] ? "not " : "");
            }
            if (chosen[s]) {
                assert_memory_equal(&f->got[s][step], &f->values[s][step], sizeof(double));
            }
        }
    }
}

static void check_each(struct fixture *f, const char *op, enum choice choice) {
    static const int KS[] = {0, 1, 2, 5, 49, 50, 66, 149, 150, 1000, -1};
    for (size_t i = 0; i < sizeof(KS) / sizeof(*KS); i++) {
        check(f, op, KS[i], false, choice);
        check(f, op, KS[i], true, choice);
    }
}

static void topk_chooses_what_a_heap_per_step_does(void **state) {
    check_each(*state, "topk", LARGEST);
}

static void bottomk_chooses_what_a_heap_per_step_does(void **state) {
    check_each(*state, "bottomk", SMALLEST);
}

static void limitk_chooses_the_first_of_each_step(void **state) {
    check_each(*state, "limitk", FIRST);
}

static void quantiles_have_the_bits_of_a_sort_of_each_step(void **state) {
    static const char *const PHIS[] = {"0", "0.1", "0.5", "0.9", "1"};
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(PHIS) / sizeof(*PHIS); i++) {
        char text[64];
        (void)snprintf(text, sizeof(text), "quantile(%s, a)", PHIS[i]);
        const struct query_result result = run(f, text);
        assert_int_equal(result.series_count, 1);
        assert_int_equal(result.series[0].count, STEPS);
        for (int step = 0; step < STEPS; step++) {
            double sorted[SERIES];
            size_t n = 0;
            for (int s = 0; s < SERIES; s++) {
                if (f->there[s][step]) {
                    /* as an insertion sort leaves them: stable */
                    size_t at = n++;
                    const double x = f->values[s][step];
                    for (; at > 0 && !isnan(sorted[at - 1]) && (isnan(x) || sorted[at - 1] > x);
                         at--) {
                        sorted[at] = sorted[at - 1];
                    }
                    sorted[at] = x;
                }
            }
            const double want = quantile_of_sorted(strtod(PHIS[i], NULL), sorted, n);
            assert_memory_equal(&result.series[0].values[step], &want, sizeof(want));
        }
    }
}

static void threads_do_not_change_a_bit(void **state) {
    static const char *const QUERIES[] = {"topk(3, a)",
                                          "bottomk by (g) (2, a)",
                                          "limitk(7, a)",
                                          "quantile by (g) (0.7, a)",
                                          "count_values(\"v\", a)",
                                          "a - on (g, n) a offset 20s",
                                          "sum by (g) (a * on (g) group_left () count by (g) (a))",
                                          "deriv(a[2m])",
                                          "predict_linear(a[2m], 60)",
                                          "quantile_over_time(0.9, a[2m])"};
    struct fixture *f = *state;
    for (size_t q = 0; q < sizeof(QUERIES) / sizeof(*QUERIES); q++) {
        make_engine(f, 0);
        const struct query_result want = run(f, QUERIES[q]);
        assert_true(want.series_count > 0);
        for (uint32_t workers = 1; workers <= 3; workers++) {
            make_engine(f, workers);
            const struct query_result got = run(f, QUERIES[q]);
            assert_int_equal(got.series_count, want.series_count);
            for (size_t i = 0; i < want.series_count; i++) {
                const struct result_series *a = &want.series[i];
                const struct result_series *b = &got.series[i];
                assert_true(labels_eq(a->labels, b->labels));
                assert_int_equal(a->count, b->count);
                assert_memory_equal(a->ts, b->ts, a->count * sizeof(*a->ts));
                assert_memory_equal(a->values, b->values, a->count * sizeof(*a->values));
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(topk_chooses_what_a_heap_per_step_does, setup, teardown),
        cmocka_unit_test_setup_teardown(bottomk_chooses_what_a_heap_per_step_does, setup, teardown),
        cmocka_unit_test_setup_teardown(limitk_chooses_the_first_of_each_step, setup, teardown),
        cmocka_unit_test_setup_teardown(quantiles_have_the_bits_of_a_sort_of_each_step, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(threads_do_not_change_a_bit, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
