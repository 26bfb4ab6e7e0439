/* Equal parts of a query are evaluated once, and nobody can tell: the same values, counts and
 * warnings as of the same query with the name of one part written as a regular expression, which
 * makes it another selector with the same series. */
#include "tests/support/check_err.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/histogram.h"
#include "query/kept_samples.h"
#include "query/query.h"
#include "query/script/fake_storage.h"
#include "tests/support/fake_clock.h"

enum { SERIES = 40, STEP_MS = 10000, STEPS = 30 };

/* ---- a storage that counts what is read ---- */

static struct {
    const struct storage_ops *real;
    struct storage_ops ops;
    size_t series; /* read, each time again */
} reads;

static enum err_code counting_read(struct storage_querier *q, const struct storage_selection *sel,
                                   size_t first, size_t count, int64_t mint, int64_t maxt,
                                   struct arena *scratch, struct storage_samples *out,
                                   struct err *err) {
    reads.series += count;
    return reads.real->read(q, sel, first, count, mint, maxt, scratch, out, err);
}

struct fixture {
    struct fake_clock clock;
    struct fake_storage *fs;
    struct query_engine *engine;
    struct arena arena;
    int64_t step_ms;
    struct err err;
};

static void make_engine(struct fixture *f, uint64_t max_memory_bytes) {
    struct query_options options;
    query_options_default(&options);
    options.clock = &f->clock.clock;
    options.workers = 0; /* reads are counted by one thread */
    options.per_step_stats = true;
    options.max_memory_bytes = max_memory_bytes;
    query_engine_free(f->engine);
    f->engine = query_engine_new(&options);
}

static void load_histograms(struct fixture *f) {
    struct histogram_span span = {.offset = 0, .length = 2};
    double counts[2] = {1, 2};
    struct histogram h = {
        .count = 3,
        .sum = 5,
        .positive = {.spans = &span, .span_count = 1, .counts = counts, .count = 2}};
    const struct label labels[] = {{STR("__name__"), STR("h")}};
    for (int i = 0; i < 60; i++) {
        counts[1]++;
        h.count++;
        h.sum += 2;
        fake_storage_put_histogram(f->fs, labels_of(&f->arena, labels, 1), i * STEP_MS, &h, 0);
    }
}

/* Sixteen at a time have one column of times, of one length: a batch may put one where another was. */
static void load_shifted(struct fixture *f) {
    for (int i = 0; i < SERIES; i++) {
        const struct label labels[] = {{STR("__name__"), STR("c")},
                                       {STR("n"), arena_printf(&f->arena, "%02d", i)}};
        for (int k = 0; k < 60; k++) {
            fake_storage_put(f->fs, labels_of(&f->arena, labels, 2), k * STEP_MS + 200 * (i / 16),
                             k % 2 == 0 ? k : 2 * k);
        }
    }
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    f->step_ms = STEP_MS;
    fake_clock_init(&f->clock, 0);
    f->fs = fake_storage_new();
    arena_init(&f->arena, 0);
    make_engine(f, 64 * 1024 * 1024);
    struct storage *st = fake_storage_as_storage(f->fs);
    reads.real = st->ops;
    reads.ops = *st->ops;
    reads.ops.read = counting_read;
    st->ops = &reads.ops;
    for (int i = 0; i < SERIES; i++) {
        char metric[64];
        char values[512] = "";
        size_t n = 0;
        for (int k = 0; k < 60; k++) {
            n += (size_t)snprintf(values + n, sizeof(values) - n, "%d ", (k * (i + 3)) % 97);
        }
        for (const char *name = "ab"; *name != '\0'; name++) {
            (void)snprintf(metric, sizeof(metric), "%c{n=\"%d\",g=\"%d\"}", *name, i, i % 4);
            fake_storage_load(f->fs, STEP_MS, metric, values);
        }
    }
    load_histograms(f);
    load_shifted(f);
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

/* ---- running ---- */

static struct query_result run(struct fixture *f, const char *text, bool by_step,
                               size_t *out_reads) {
    const struct query query = {.text = str_of(text),
                                .start_ms = 20 * STEP_MS,
                                .end_ms = (20 + STEPS - 1) * STEP_MS,
                                .step_ms = f->step_ms,
                                .per_step_stats = by_step};
    struct query_result result;
    reads.series = 0;
    assert_ok(
        query_run(f->engine, fake_storage_as_storage(f->fs), &query, &f->arena, &result, &f->err),
        &f->err);
    *out_reads = reads.series;
    return result;
}

static void check_same_series(const struct query_result *a, const struct query_result *b) {
    assert_int_equal(a->series_count, b->series_count);
    for (size_t i = 0; i < a->series_count; i++) {
        const struct result_series *x = &a->series[i];
        const struct result_series *y = &b->series[i];
        assert_true(labels_eq(x->labels, y->labels));
        assert_int_equal(x->count, y->count);
        assert_memory_equal(x->ts, y->ts, x->count * sizeof(*x->ts));
        for (size_t k = 0; k < x->count; k++) {
            const struct histogram *hx = x->histograms != NULL ? x->histograms[k] : NULL;
            const struct histogram *hy = y->histograms != NULL ? y->histograms[k] : NULL;
            assert_true((hx != NULL) == (hy != NULL));
            if (hx == NULL) {
                assert_memory_equal(&x->values[k], &y->values[k], sizeof(double));
            } else {
                assert_true(hx->count == hy->count && hx->sum == hy->sum);
            }
        }
    }
}

static void check_same_stats(const struct query_stats *a, const struct query_stats *b) {
    assert_int_equal(a->samples_read, b->samples_read);
    assert_int_equal(a->samples_fetched, b->samples_fetched);
    assert_int_equal(a->peak_samples, b->peak_samples);
    assert_int_equal(a->step_count, b->step_count);
    for (size_t i = 0; i < a->step_count; i++) {
        assert_int_equal(a->step_samples[i], b->step_samples[i]);
        assert_int_equal(a->step_fetched[i], b->step_fetched[i]);
    }
}

static void check(struct fixture *f, const char *shared, const char *apart, size_t want,
                  size_t want_apart) {
    for (int by_step = 0; by_step < 2; by_step++) {
        size_t n = 0;
        const struct query_result a = run(f, shared, by_step != 0, &n);
        if (n != want || a.series_count == 0) {
            fail_msg("%s: %zu series read, want %zu; %zu of the result", shared, n, want,
                     a.series_count);
        }
        const struct query_result b = run(f, apart, by_step != 0, &n);
        if (n != want_apart) {
            fail_msg("%s: %zu series read, want %zu", apart, n, want_apart);
        }
        check_same_series(&a, &b);
        check_same_stats(&a.stats, &b.stats);
    }
}

static void equal_parts_are_evaluated_once(void **state) {
    static const struct {
        const char *shared, *apart;
        size_t want, want_apart;
    } CASES[] = {
        {"a / (a + b)", "a / ({__name__=~\"a\"} + b)", 2 * SERIES, 3 * SERIES},
        {"sum by (g) (delta(a[1m])) / (1 + sum by (g) (delta(a[1m])))",
         "sum by (g) (delta(a[1m])) / (1 + sum by (g) (delta({__name__=~\"a\"}[1m])))", SERIES,
         2 * SERIES},
        {"a + a + a", "a + {__name__=~\"a\"} + {__name__=~\"a.*\"}", SERIES, 3 * SERIES},
        {"-a * -a", "-a * -{__name__=~\"a\"}", SERIES, 2 * SERIES},
        {"topk(3, a) or topk(3, a)", "topk(3, a) or topk(3, {__name__=~\"a\"})", SERIES,
         2 * SERIES},
        {"max_over_time((a + a)[1m:20s]) - on () group_left () sum(b)",
         "max_over_time((a + {__name__=~\"a\"})[1m:20s]) - on () group_left () sum(b)", 2 * SERIES,
         3 * SERIES},
        {"sum(a @ 250) + sum(a @ 250)", "sum(a @ 250) + sum({__name__=~\"a\"} @ 250)", SERIES,
         2 * SERIES},
        {"count(a) + on () sum(a) + on () max(a)",
         "count(a) + on () sum({__name__=~\"a\"}) + on () max({__name__=~\"a.*\"})", SERIES,
         3 * SERIES},
        {"h + h", "h + {__name__=~\"h\"}", 1, 2},
        {"histogram_sum(-h) + histogram_count(h) + histogram_sum(-h)",
         "histogram_sum(-h) + histogram_count({__name__=~\"h\"}) + "
         "histogram_sum(-{__name__=~\"h|h\"})",
         1, 3},
        {"max_over_time(a[1m]) - min_over_time(a[1m])",
         "max_over_time(a[1m]) - min_over_time({__name__=~\"a\"}[1m])", SERIES, 2 * SERIES},
        {"sum(max_over_time(a[5m])) - on () sum(a) + on () count(count_over_time(a[5m]))",
         "sum(max_over_time({__name__=~\"a\"}[5m])) - on () sum(a) + on () "
         "count(count_over_time({__name__=~\"a|a\"}[5m]))",
         SERIES, 3 * SERIES},
        {"max_over_time(c[1m]) + delta(c[1m])",
         "max_over_time(c[1m]) + delta({__name__=~\"c\"}[1m])", SERIES, 2 * SERIES},
        {"count(delta(h[1m])) + count(last_over_time(h[1m]))",
         "count(delta(h[1m])) + count(last_over_time({__name__=~\"h\"}[1m]))", 2, 2},
        {"scalar(sum(a)) * b", "scalar(sum(a)) * b", 2 * SERIES, 2 * SERIES},
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        check(*state, CASES[i].shared, CASES[i].apart, CASES[i].want, CASES[i].want_apart);
    }
}

static void what_differs_in_anything_is_evaluated_apart(void **state) {
    static const char *const CASES[] = {
        "a + a offset 10s",
        "rate(a[1m]) + rate(a[2m])",
        "max_over_time(a[1m]) - max_over_time(a[1m] offset 1s)",
        "a + a @ 250",
        "sum by (g) (a) + sum by (g) (a offset 1s)",
        "max_over_time(sum(a)[1m:10s]) + max_over_time(sum(a)[1m:20s])",
    };
    for (size_t i = 0; i < COUNT_OF(CASES); i++) {
        size_t n = 0;
        (void)run(*state, CASES[i], false, &n);
        if (n != 2 * SERIES) {
            fail_msg("%s: %zu series read", CASES[i], n);
        }
    }
}

static void a_part_that_warns_is_evaluated_each_time(void **state) {
    struct fixture *f = *state;
    size_t n = 0;
    struct query_result r = run(f, "quantile(2, a) + quantile(2, a)", false, &n);
    assert_int_equal(n, 2 * SERIES);
    assert_int_equal(r.warning_count, 1);
    const struct query_result apart =
        run(f, "quantile(2, a) + quantile(2, a{n=~\".*\"})", false, &n);
    assert_str(r.warnings[0],
               "PromQL warning: quantile value should be between 0 and 1, got 2 (1:27)");
    assert_str(apart.warnings[0],
               "PromQL warning: quantile value should be between 0 and 1, got 2 (1:27)");
}

/* 40 rows of 2901 steps are 0.9 MiB: more than an eighth of 4 MiB. */
static void large_parts_are_not_kept(void **state) {
    struct fixture *f = *state;
    size_t n = 0;
    f->step_ms = STEP_MS / 100;
    const struct query_result all = run(f, "count(a) + on () sum(a)", false, &n);
    assert_int_equal(n, SERIES);
    make_engine(f, 4 * 1024 * 1024);
    const struct query_result little = run(f, "count(a) + on () sum(a)", false, &n);
    assert_int_equal(n, 2 * SERIES);
    check_same_series(&all, &little);
    check_same_stats(&all.stats, &little.stats);
}

static void times_that_lie_where_others_lay_are_kept_apart(void **state) {
    (void)state;
    struct work_budget budget = {.max_bytes = 0};
    struct kept_samples k = {.state = KEPT_NOTHING};
    int64_t ts[2] = {1, 2};
    double values[2] = {10, 20};
    const struct storage_samples samples = {.ts = ts, .values = values, .count = 2};
    work_begin(&k.work, &budget);
    kept_samples_begin(&k, 3, 0, 9);
    kept_samples_next_batch(&k);
    kept_samples_add(&k, &samples);
    values[0] = 11;
    kept_samples_add(&k, &samples);
    kept_samples_next_batch(&k);
    ts[0] = 0;
    kept_samples_add(&k, &samples);
    assert_false(kept_samples_have(&k, 0, 9));
    kept_samples_end(&k, true);
    assert_true(kept_samples_have(&k, 0, 9));
    assert_false(kept_samples_have(&k, 1, 9));
    assert_ptr_equal(k.samples[0].ts, k.samples[1].ts);
    assert_true(k.samples[0].ts[0] == 1 && k.samples[2].ts[0] == 0);
    assert_true(k.samples[0].values[0] == 10 && k.samples[1].values[0] == 11);
    work_end(&k.work);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(equal_parts_are_evaluated_once),
        T(what_differs_in_anything_is_evaluated_apart),
        T(a_part_that_warns_is_evaluated_each_time),
        T(large_parts_are_not_kept),
        cmocka_unit_test(times_that_lie_where_others_lay_are_kept_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
