/* Condensed samples: a query over windows of days gives the same bits, counts and notes whether the
 * storage gives summaries or samples.
 *
 * Seven days of series of every kind that has a rule of its own are cut and merged as a server does; then each
 * query runs twice, once with the storage's read_windows taken away. What of it was condensed is
 * counted, so that the test cannot pass by condensing nothing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/value.h"
#include "query/query.h"
#include "tests/support/check_err.h"
#include "tests/support/fake_clock.h"
#include "tsdb/storage.h"
#include "tsdb/tsdb.h"

enum { STEP_S = 60, HOUR_S = 3600, DAY_S = 24 * HOUR_S, DAYS = 7, SERIES = 16 };
static const int64_t BEGIN_MS = INT64_C(1795046400000);

struct world {
    char dir[64];
    struct fake_clock clock;
    struct tsdb *db;
    struct storage_group *group;
    uint32_t slots[SERIES];
    struct rng rng;
    double state[SERIES];
    uint32_t row;
    struct query_engine *engine;
    const struct storage_ops *ops;
    struct storage_ops plain;
    struct storage_ops counting;
};

static const struct storage_ops *real_ops;
static uint64_t condensed; /* samples that did not come as elements */

static enum err_code count_condensed(struct storage_querier *q, const struct storage_selection *sel,
                                     size_t first, size_t count, int64_t mint, int64_t maxt,
                                     const struct storage_windows *windows, struct arena *scratch,
                                     struct storage_samples *out, struct err *err) {
    const enum err_code code =
        real_ops->read_windows(q, sel, first, count, mint, maxt, windows, scratch, out, err);
    for (size_t i = 0; code == ERR_OK && i < count; i++) {
        condensed += out[i].rank != NULL ? out[i].rank[out[i].count] - out[i].count : 0;
    }
    return code;
}

/* ---- what is stored ---- */

static int64_t below(struct world *w, uint64_t n) {
    return (int64_t)rng_below(&w->rng, n);
}

/* The value of series i in this row; *out_state is absent or stale where it has none. */
static struct num value_of(struct world *w, uint32_t i, uint8_t *out_state) {
    double *s = &w->state[i];
    const uint32_t row = w->row;
    *out_state = SLOT_VALUE;
    switch (i) {
    case 0: /* constants: an integer, a fraction */
        return num_of_i64(7);
    case 1:
        return (struct num){.m = 25, .scale = 1};
    case 2: /* counters: that only rises, with resets, resets between blocks too, of fractions */
        return num_of_i64((int64_t)(*s += (double)below(w, 50)));
    case 3:
        *s = below(w, 3000) == 0 ? 0 : *s + (double)below(w, 9);
        return num_of_i64((int64_t)*s);
    case 4:
        *s = row % (2 * HOUR_S / STEP_S) == 0 ? 1 : *s + 1;
        return num_of_i64((int64_t)*s);
    case 5:
        *s += (double)below(w, 1000) / 7;
        return num_of_double(*s);
    case 6: /* gauges: above zero, across it, of decimals, of any doubles */
        return num_of_i64(1000000 + 4096 * below(w, 5000));
    case 7:
        return num_of_i64(below(w, 2001) - 1000);
    case 8:
        return (struct num){.m = below(w, 900), .scale = (uint8_t)(1 + row / 700 % 3)};
    case 9: {
        static const double odd[] = {NAN, -0.0, 0.0, INFINITY, -INFINITY, 1.0 / 3, 1e300, 5};
        return below(w, 400) == 0 ? num_of_double(odd[below(w, COUNT_OF(odd))])
                                  : num_of_i64(below(w, 100));
    }
    case 10: /* sums of a day pass 2^53 */
        return num_of_i64((INT64_C(1) << 43) + below(w, 1 << 20));
    case 11: /* integers for five days, then a fraction */
        return row < 5 * DAY_S / STEP_S ? num_of_i64(below(w, 300))
                                        : (struct num){.m = 5 + below(w, 300), .scale = 1};
    case 12: /* gaps, and rows that only some have */
        *out_state = row / 500 % 4 == 1 || row % 97 == 3 ? SLOT_ABSENT : SLOT_VALUE;
        return num_of_i64((int64_t)(*s += (double)below(w, 20)));
    case 13: /* ends for an hour every second day */
        *out_state = row % (2 * DAY_S / STEP_S) == 1000       ? SLOT_STALE
                     : row % (2 * DAY_S / STEP_S) - 1001 < 60 ? SLOT_ABSENT
                                                              : SLOT_VALUE;
        return num_of_i64(500 + below(w, 64));
    case 14: /* begins on the fourth day */
        *out_state = row < 3 * DAY_S / STEP_S + 77 ? SLOT_ABSENT : SLOT_VALUE;
        return num_of_i64((int64_t)(*s += (double)below(w, 20)));
    default: /* seldom changes */
        *s = below(w, 700) == 0 ? (double)below(w, 10) : *s;
        return num_of_i64((int64_t)*s);
    }
}

static void open_series(struct world *w) {
    struct arena scratch;
    struct err err;
    arena_init(&scratch, 0);
    const struct label target[] = {{STR("job"), STR("node")}};
    assert_ok(
        storage_group_open(tsdb_storage(w->db), 0, labels_of(&scratch, target, 1), &w->group, &err),
        &err);
    for (uint32_t i = 0; i < SERIES; i++) {
        const struct label all[] = {{STR("__name__"), STR("x_total")},
                                    {STR("i"), arena_printf(&scratch, "%u", i)},
                                    target[0]};
        assert_ok(storage_group_series(tsdb_storage(w->db), w->group, labels_of(&scratch, all, 3),
                                       &w->slots[i], &err),
                  &err);
    }
    arena_release(&scratch);
}

static int64_t now_ms(const struct world *w) {
    return BEGIN_MS + (int64_t)w->row * STEP_S * 1000;
}

static void write_row(struct world *w) {
    struct num values[SERIES];
    uint8_t states[SERIES];
    struct storage_row_result result;
    struct err err;
    for (uint32_t i = 0; i < SERIES; i++) {
        values[w->slots[i]] = value_of(w, i, &states[w->slots[i]]);
    }
    fake_clock_advance_ns(&w->clock, STEP_S * NS_PER_S);
    const struct storage_row row = {.ts_ms = now_ms(w) + below(w, 30),
                                    .slot_count = SERIES,
                                    .values = values,
                                    .states = states};
    assert_ok(storage_group_commit(tsdb_storage(w->db), w->group, &row, &result, &err), &err);
    w->row++;
}

static int begin(void **state) {
    struct world *w = mem_zalloc(sizeof(*w));
    struct tsdb_options options;
    struct query_options q;
    struct err err;
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/brasa-condensed-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    fake_clock_init(&w->clock, BEGIN_MS * NS_PER_MS);
    w->rng = rng_seeded(7);
    tsdb_options_default(&options);
    options.path = w->dir;
    options.rng = rng_seeded(7);
    options.clock = &w->clock.clock;
    options.shard_count = 1;
    options.no_background = true;
    options.late_window_ms = INT64_C(3) * DAY_S * 1000;
    assert_ok(tsdb_open(&options, &w->db, NULL, &err), &err);
    open_series(w);
    while (w->row < DAYS * DAY_S / STEP_S) {
        write_row(w);
        if (w->row % 30 == 0) {
            tsdb_maintain(w->db);
        }
        if (w->row % (DAY_S / STEP_S) == 0) {
            assert_ok(tsdb_compact(w->db, false, &err), &err);
        }
    }
    query_options_default(&q);
    q.workers = 0;
    w->engine = query_engine_new(&q);
    struct storage *st = tsdb_storage(w->db);
    real_ops = w->ops = st->ops;
    w->plain = w->counting = *st->ops;
    w->plain.read_windows = NULL;
    w->counting.read_windows = count_condensed;
    *state = w;
    return 0;
}

static int end(void **state) {
    struct world *w = *state;
    tsdb_storage(w->db)->ops = w->ops;
    query_engine_free(w->engine);
    storage_group_close(tsdb_storage(w->db), w->group);
    tsdb_close(w->db);
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf %s", w->dir);
    const int code = system(command);
    mem_free(w);
    return code;
}

/* ---- both ways ---- */

static void run(struct world *w, const struct storage_ops *ops, const struct query *query,
                struct arena *arena, struct query_result *out) {
    struct err err;
    struct storage *st = tsdb_storage(w->db);
    st->ops = ops;
    assert_ok(query_run(w->engine, st, query, arena, out, &err), &err);
    st->ops = w->ops;
}

static void assert_same_result(const char *text, const struct query_result *a,
                               const struct query_result *b) {
    bool same = a->series_count == b->series_count && a->warning_count == b->warning_count &&
                a->info_count == b->info_count && a->stats.samples_read == b->stats.samples_read &&
                a->stats.samples_fetched == b->stats.samples_fetched &&
                a->stats.peak_samples == b->stats.peak_samples;
    for (size_t i = 0; same && i < a->series_count; i++) {
        const struct result_series *x = &a->series[i];
        const struct result_series *y = &b->series[i];
        same = labels_eq(x->labels, y->labels) && x->count == y->count;
        for (size_t k = 0; same && k < x->count; k++) {
            same = x->ts[k] == y->ts[k] && f64_same_bits(x->values[k], y->values[k]);
            if (!same) {
                (void)fprintf(stderr, "series %zu step %zu: %.17g, not %.17g\n", i, k, x->values[k],
                              y->values[k]);
            }
        }
    }
    if (!same) {
        fail_msg("%s: other results with summaries (%zu, %zu series; %llu, %llu samples)", text,
                 a->series_count, b->series_count, (unsigned long long)a->stats.samples_read,
                 (unsigned long long)b->stats.samples_read);
    }
}

static void ask_both_ways(struct world *w, const char *text, int64_t start_ms, int64_t end_ms,
                          int64_t step_ms) {
    const struct query query = {
        .text = str_of(text), .start_ms = start_ms, .end_ms = end_ms, .step_ms = step_ms};
    struct arena arena;
    struct query_result with;
    struct query_result without;
    arena_init(&arena, 0);
    run(w, &w->counting, &query, &arena, &with);
    run(w, &w->plain, &query, &arena, &without);
    assert_same_result(text, &with, &without);
    arena_release(&arena);
}

static const char *const FUNCTIONS[] = {
    "min_over_time",   "max_over_time",     "sum_over_time",    "avg_over_time", "count_over_time",
    "first_over_time", "present_over_time", "last_over_time",   "rate",          "increase",
    "delta",           "changes",           "stddev_over_time", "resets",
};

/* Samples that did not come as elements, of all queries about function f. */
static uint64_t ask_about(struct world *w, const char *function) {
    static const char *const windows[] = {"[7h]", "[1d]", "[30h13m]", "[5d]", "[7d]"};
    static const char *const moved[] = {"", " offset 41m", " @ 1795500000", " offset -3m"};
    static const int64_t steps_s[] = {DAY_S, 6 * HOUR_S, HOUR_S, 37 * 60};
    const int64_t end_ms = now_ms(w);
    const uint64_t before = condensed;
    for (size_t i = 0; i < COUNT_OF(windows); i++) {
        for (size_t k = 0; k < COUNT_OF(moved); k++) {
            char text[128];
            (void)snprintf(text, sizeof(text), "%s(x_total%s%s)", function, windows[i], moved[k]);
            ask_both_ways(w, text, end_ms - below(w, DAY_S * 1000), end_ms, 0);
            const int64_t step_ms = steps_s[below(w, COUNT_OF(steps_s))] * 1000;
            ask_both_ways(w, text, end_ms - 2 * INT64_C(1000) * DAY_S + below(w, 1000) * 60, end_ms,
                          step_ms);
        }
    }
    return condensed - before;
}

static void windows_over_summaries_give_the_bits_of_those_over_samples(void **state) {
    struct world *w = *state;
    for (size_t i = 0; i < COUNT_OF(FUNCTIONS); i++) {
        const uint64_t n = ask_about(w, FUNCTIONS[i]);
        const bool takes_all = strcmp(FUNCTIONS[i], "changes") == 0 ||
                               strcmp(FUNCTIONS[i], "stddev_over_time") == 0 ||
                               strcmp(FUNCTIONS[i], "resets") == 0;
        if ((n == 0) != takes_all) {
            fail_msg("%s: %llu samples were condensed", FUNCTIONS[i], (unsigned long long)n);
        }
    }
}

static uint64_t condensed_of(struct world *w, const char *text) {
    const uint64_t before = condensed;
    ask_both_ways(w, text, now_ms(w), now_ms(w), 0);
    return condensed - before;
}

static void sums_that_may_be_rounded_are_added_sample_by_sample(void **state) {
    struct world *w = *state;
    assert_true(condensed_of(w, "sum_over_time(x_total{i=\"6\"}[6d])") > 0);
    assert_true(condensed_of(w, "sum_over_time(x_total{i=\"0\"}[6d])") > 0);
    assert_int_equal(condensed_of(w, "sum_over_time(x_total{i=\"1\"}[6d])"), 0);
    assert_int_equal(condensed_of(w, "sum_over_time(x_total{i=\"8\"}[6d])"), 0);
    assert_int_equal(condensed_of(w, "sum_over_time(x_total{i=\"10\"}[6d])"), 0);
    assert_int_equal(condensed_of(w, "sum_over_time(x_total{i=\"11\"}[6d])"), 0);
}

static void a_counter_with_resets_is_read_around_them_only(void **state) {
    struct world *w = *state;
    const uint64_t rising = condensed_of(w, "increase(x_total{i=\"2\"}[6d])");
    const uint64_t resets = condensed_of(w, "increase(x_total{i=\"3\"}[6d])");
    assert_true(resets > 0);
    assert_true(resets < rising);
    assert_int_equal(condensed_of(w, "increase(x_total{i=\"4\"}[6d])"), 0);
}

static void late_samples_and_deletions_are_seen(void **state) {
    struct world *w = *state;
    struct storage *st = tsdb_storage(w->db);
    struct storage_appender *a = NULL;
    struct arena scratch;
    struct err err;
    static const char *const text[] = {"max_over_time(x_total{i=\"6\"}[6d])",
                                       "count_over_time(x_total{i=\"6\"}[6d])"};
    arena_init(&scratch, 0);
    const struct label labels[] = {
        {STR("__name__"), STR("x_total")}, {STR("i"), STR("6")}, {STR("job"), STR("node")}};
    assert_true(condensed_of(w, text[0]) > 0);
    assert_ok(storage_appender_begin(st, &a, &err), &err);
    assert_int_equal(storage_append(st, a, labels_of(&scratch, labels, 3),
                                    now_ms(w) - INT64_C(1500) * DAY_S + 31337, 1e12),
                     ERR_OK);
    assert_ok(storage_appender_commit(st, a, &err), &err);
    assert_int_equal(condensed_of(w, text[0]), 0);
    assert_int_equal(condensed_of(w, text[1]), 0);
    struct matcher m;
    assert_ok(matcher_init(&scratch, MATCH_EQUAL, STR("i"), STR("2"), &m, &err), &err);
    assert_ok(storage_delete_series(st, &m, 1, now_ms(w) - INT64_C(3000) * DAY_S,
                                    now_ms(w) - INT64_C(2900) * DAY_S, &err),
              &err);
    assert_int_equal(condensed_of(w, "increase(x_total{i=\"2\"}[6d])"), 0);
    arena_release(&scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_over_summaries_give_the_bits_of_those_over_samples),
        cmocka_unit_test(sums_that_may_be_rounded_are_added_sample_by_sample),
        cmocka_unit_test(a_counter_with_resets_is_read_around_them_only),
        cmocka_unit_test(late_samples_and_deletions_are_seen),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
