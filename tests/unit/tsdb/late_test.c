/* Samples behind the newest of their series, within the window for late ones: which are taken, that they
 * are read in the order of time before and after crashes, sealing and cutting, and which of two samples of
 * one time counts. A model with all samples by series and time says what random histories must give. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rng.h"
#include "base/value.h"
#include "storage_world.h"
#include "tests/support/check_err.h"

enum { S = 1000000000, WINDOW_MS = 60000 }; /* ms: the clock of the world starts at S */

static int setup(void **state) {
    static struct world w;
    world_init(&w);
    w.options.late_window_ms = WINDOW_MS;
    world_open(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state) {
    world_release(*state);
    return 0;
}

static void assert_dump(struct world *w, const char *want) {
    assert_string_equal(world_dump(w, "job=j", INT64_MIN, INT64_MAX), want);
}

static void crash(struct world *w) {
    world_crash(w);
    world_open(w);
}

static enum err_code push(struct world *w, const char *labels, int64_t ts_ms, double value) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    const enum err_code code = world_append(w, a, labels, ts_ms, value);
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
    return code;
}

static void a_late_sample_is_taken_within_the_window_of_the_newest_of_all(void **state) {
    struct world *w = *state;
    assert_int_equal(push(w, "x job=j", S, 1), ERR_OK);
    assert_int_equal(push(w, "y job=j", S + 100000, 1), ERR_OK);
    assert_int_equal(push(w, "y job=j", S + 40000, 2), ERR_OK);
    assert_int_equal(push(w, "y job=j", S + 39999, 2), ERR_TOO_OLD);
    assert_int_equal(push(w, "x job=j", S - 1, 2), ERR_TOO_OLD);
    assert_int_equal(push(w, "x job=j", S + 5, 3), ERR_OK); /* in order, however old */
    assert_int_equal(push(w, "y job=j", S + 90000, 9), ERR_OK);
    const char *want = "x{job=\"j\"} 1000000000:1 1000000005:3\n"
                       "y{job=\"j\"} 1000040000:2 1000090000:9 1000100000:1\n";
    assert_dump(w, want);
    crash(w);
    assert_dump(w, want);
}

static void samples_before_the_bound_of_the_head_are_late_whatever_the_series_has(void **state) {
    struct world *w = *state;
    tsdb_set_late_window(w->db, 7200000);
    assert_int_equal(push(w, "x job=j", S, 1), ERR_OK);
    assert_int_equal(push(w, "new job=j", S - 3600001, 4), ERR_OK);
    assert_int_equal(push(w, "new job=j", S - 7200000, 5), ERR_OK);
    assert_int_equal(push(w, "new job=j", S - 7200001, 6), ERR_TOO_OLD);
    assert_int_equal(push(w, "new job=j", S - 3600000, 7), ERR_OK);
    assert_int_equal(push(w, "new job=j", S - 3600000, 8), ERR_DUPLICATE); /* in order */
    assert_int_equal(push(w, "new job=j", S - 3600001, 9), ERR_OK); /* late: the first one stays */
    const char *want = "new{job=\"j\"} 992800000:5 996399999:4 996400000:7\n"
                       "x{job=\"j\"} 1000000000:1\n";
    assert_dump(w, want);
    crash(w);
    assert_dump(w, want);
}

static void the_first_transaction_is_late_to_its_first_sample(void **state) {
    struct world *w = *state;
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    assert_int_equal(world_append(w, a, "x job=j", S, 1), ERR_OK);
    assert_int_equal(world_append(w, a, "x job=j", S - 10, 2), ERR_OK);
    assert_int_equal(world_append(w, a, "x job=j", S - 60001, 3), ERR_TOO_OLD);
    assert_int_equal(world_append(w, a, "x job=j", S - 60000, 4), ERR_OK);
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
    assert_dump(w, "x{job=\"j\"} 999940000:4 999999990:2 1000000000:1\n");
}

static void the_same_time_again(void **state) {
    struct world *w = *state;
    assert_int_equal(push(w, "x job=j", S + 10, 1), ERR_OK);
    assert_int_equal(push(w, "x job=j", S + 10, 1), ERR_OK);
    assert_int_equal(push(w, "x job=j", S + 10, 2), ERR_DUPLICATE); /* of the newest */
    assert_int_equal(push(w, "x job=j", S + 20, 3), ERR_OK);
    assert_int_equal(push(w, "x job=j", S + 10, 7), ERR_OK); /* late: the sample in order counts */
    assert_int_equal(push(w, "x job=j", S + 15, 4), ERR_OK);
    assert_int_equal(push(w, "x job=j", S + 15, 5), ERR_OK); /* late: the first one counts */
    assert_int_equal(push(w, "x job=j", S + 5, 6), ERR_OK);
    assert_int_equal(push(w, "x job=j", S + 15, 8), ERR_OK);
    const char *want = "x{job=\"j\"} 1000000005:6 1000000010:1 1000000015:4 1000000020:3\n";
    assert_dump(w, want);
    crash(w);
    assert_int_equal(push(w, "x job=j", S + 15, 9), ERR_OK);
    assert_dump(w, want);
}

static void series_share_late_rows_in_any_order(void **state) {
    struct world *w = *state;
    const char *want = "a{job=\"j\"} 1000000001:11 1000000002:12 1000000003:13 1000000100:0\n"
                       "b{job=\"j\"} 1000000001:21 1000000002:22 1000000003:stale 1000000100:0\n"
                       "c{job=\"j\", other=\"1\"} 1000000002:32 1000000100:0\n";
    assert_int_equal(push(w, "a job=j", S + 100, 0), ERR_OK);
    assert_int_equal(push(w, "b job=j", S + 100, 0), ERR_OK);
    assert_int_equal(push(w, "c job=j other=1", S + 100, 0), ERR_OK);
    assert_int_equal(push(w, "a job=j", S + 2, 12), ERR_OK);
    assert_int_equal(push(w, "a job=j", S + 1, 11), ERR_OK);
    assert_int_equal(push(w, "b job=j", S + 1, 21), ERR_OK);
    assert_int_equal(push(w, "b job=j", S + 2, 22), ERR_OK); /* a row before its newest one */
    assert_int_equal(push(w, "b job=j", S + 3, f64_stale()), ERR_OK);
    assert_int_equal(push(w, "a job=j", S + 3, 13), ERR_OK);
    assert_int_equal(push(w, "c job=j other=1", S + 2, 32), ERR_OK);
    assert_dump(w, want);
    for (int round = 0; round < 2; round++) {
        crash(w);
        assert_dump(w, want);
        assert_string_equal(world_dump(w, "__name__=a", S + 2, S + 3),
                            "a{job=\"j\"} 1000000002:12 1000000003:13\n");
    }
    struct err err;
    assert_ok(tsdb_compact(w->db, true, &err), &err);
    assert_dump(w, want);
    crash(w);
    assert_dump(w, want);
}

static void a_lowered_window_refuses_and_keeps_what_is_there(void **state) {
    struct world *w = *state;
    assert_int_equal(push(w, "x job=j", S + 50000, 1), ERR_OK);
    assert_int_equal(push(w, "x job=j", S, 2), ERR_OK);
    tsdb_set_late_window(w->db, 1000);
    assert_int_equal(push(w, "x job=j", S + 48999, 3), ERR_TOO_OLD);
    assert_int_equal(push(w, "x job=j", S + 49000, 4), ERR_OK);
    tsdb_set_late_window(w->db, 0);
    assert_int_equal(push(w, "x job=j", S + 49001, 5), ERR_OUT_OF_ORDER);
    assert_int_equal(push(w, "x job=j", S - 3600001 + 50000, 5), ERR_OUT_OF_BOUNDS);
    const char *want = "x{job=\"j\"} 1000000000:2 1000049000:4 1000050000:1\n";
    assert_dump(w, want);
    w->options.late_window_ms = 0;
    crash(w);
    assert_dump(w, want);
    assert_int_equal(push(w, "x job=j", S + 49001, 5), ERR_OUT_OF_ORDER);
    assert_int_equal(push(w, "x job=j", S + 50001, 6), ERR_OK);
    w->options.late_window_ms = WINDOW_MS;
}

static void who_wants_order_gets_it(void **state) {
    struct world *w = *state;
    struct storage_appender *a;
    struct err err;
    assert_int_equal(push(w, "x job=j", S, 1), ERR_OK);
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    storage_appender_in_order_only(w->st, a);
    assert_int_equal(world_append(w, a, "x job=j", S - 1, 2), ERR_OUT_OF_ORDER);
    assert_int_equal(world_append(w, a, "x job=j", S - 60001, 2), ERR_TOO_OLD);
    assert_int_equal(world_append(w, a, "x job=j", S + 1, 3), ERR_OK);
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
    assert_dump(w, "x{job=\"j\"} 1000000000:1 1000000001:3\n");
}

static void one_of_two_transactions_comes_late(void **state) {
    struct world *w = *state;
    struct storage_appender *a;
    struct storage_appender *b;
    struct err err;
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    assert_ok(storage_appender_begin(w->st, &b, &err), &err);
    assert_int_equal(world_append(w, a, "x job=j", S + 1, 1), ERR_OK);
    assert_int_equal(world_append(w, b, "x job=j", S + 2, 2), ERR_OK);
    assert_ok(storage_appender_commit(w->st, b, &err), &err);
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
    assert_dump(w, "x{job=\"j\"} 1000000001:1 1000000002:2\n");
}

/* ---- scrapes ---- */

static struct storage_row_result own_time(struct world *w, struct storage_group *g, int64_t row_ms,
                                          int64_t ts_ms, double value) {
    const struct storage_own_time own = {
        .slot = 0, .state = SLOT_VALUE, .ts_ms = ts_ms, .value = num_of_double(value)};
    const uint8_t states[] = {SLOT_ABSENT};
    const struct num values[] = {{0}};
    const struct storage_row row = {.ts_ms = row_ms,
                                    .slot_count = 1,
                                    .values = values,
                                    .states = states,
                                    .own_times = &own,
                                    .own_time_count = 1};
    struct storage_row_result r;
    struct err err;
    assert_ok(storage_group_commit(w->st, g, &row, &r, &err), &err);
    return r;
}

static void scraped_samples_may_be_late(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "x job=j");
    world_slot(w, g, "y job=j");
    world_row(w, g, S + 50000, (double[]){1, 2}, 2);
    struct storage_row_result r = world_row(w, g, S + 20000, (double[]){3, f64_stale()}, 2);
    assert_int_equal(r.accepted, 1); /* the end of y is none: y went on */
    assert_int_equal(r.out_of_order, 1);
    r = world_row(w, g, S - 10001, (double[]){4, 5}, 2);
    assert_int_equal(r.too_old, 2);
    r = world_row(w, g, S + 50000, (double[]){1, 9}, 2);
    assert_int_equal(r.accepted, 1);
    assert_int_equal(r.duplicate, 1);
    r = own_time(w, g, S + 51000, S + 10000, 7);
    assert_int_equal(r.accepted, 1);
    r = own_time(w, g, S + 52000, S - 20000, 7);
    assert_int_equal(r.too_old, 1);
    const char *want = "x{job=\"j\"} 1000010000:7 1000020000:3 1000050000:1\n"
                       "y{job=\"j\"} 1000050000:2\n";
    assert_dump(w, want);
    storage_group_close(w->st, g);
    crash(w);
    assert_dump(w, want);
}

static void a_row_does_not_pass_a_newer_sample_with_its_own_time(void **state) {
    struct world *w = *state;
    tsdb_set_late_window(w->db, 0);
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "x job=j");
    world_slot(w, g, "y job=j");
    world_row(w, g, S, (double[]){1, 1}, 2);
    assert_int_equal(own_time(w, g, S + 1, S + 60000, 9).accepted, 1);
    struct storage_row_result r = world_row(w, g, S + 15000, (double[]){2, 2}, 2);
    assert_int_equal(r.accepted, 1);
    assert_int_equal(r.out_of_order, 1);
    storage_group_close(w->st, g);
    w->options.late_window_ms = 0;
    crash(w); /* what is at the side is known again */
    g = world_group(w, "job=j");
    r = world_row(w, g, S + 30000, (double[]){3, 3}, 2);
    assert_int_equal(r.accepted, 1);
    assert_int_equal(r.out_of_order, 1);
    r = world_row(w, g, S + 60000, (double[]){9, 4}, 2);
    assert_int_equal(r.accepted, 2);
    r = world_row(w, g, S + 75000, (double[]){5, 5}, 2);
    assert_int_equal(r.accepted, 2);
    assert_dump(w, "x{job=\"j\"} 1000000000:1 1000060000:9 1000075000:5\n"
                   "y{job=\"j\"} 1000000000:1 1000015000:2 1000030000:3 1000060000:4 "
                   "1000075000:5\n");
    storage_group_close(w->st, g);
    w->options.late_window_ms = WINDOW_MS;
}

static void a_row_behind_a_newer_sample_with_its_own_time_is_late(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "x job=j");
    world_row(w, g, S, (double[]){1}, 1);
    assert_int_equal(own_time(w, g, S + 1, S + 30000, 9).accepted, 1);
    assert_int_equal(world_row(w, g, S + 15000, (double[]){2}, 1).accepted, 1);
    assert_dump(w, "x{job=\"j\"} 1000000000:1 1000015000:2 1000030000:9\n");
    storage_group_close(w->st, g);
}

/* ---- histograms ---- */

static const struct histogram *make(struct world *w, double count) {
    struct histogram *h = arena_alloc(&w->arena, sizeof(*h));
    static struct histogram_span spans[] = {{.offset = 0, .length = 1}};
    double *buckets = arena_alloc(&w->arena, sizeof(*buckets));
    buckets[0] = count;
    *h = (struct histogram){.count = count, .sum = count * 2};
    h->positive = (struct histogram_side){spans, buckets, 1, 1};
    return h;
}

static enum err_code push_histogram(struct world *w, int64_t ts_ms, double count) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    const struct storage_sample sample = {.ts_ms = ts_ms, .histogram = make(w, count)};
    const enum err_code code = storage_append_sample(w->st, a, world_labels(w, "h job=j"), &sample);
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
    return code;
}

static void late_histograms_come_back_in_order(void **state) {
    struct world *w = *state;
    const int order[] = {50, 10, 40, 20, 30, 20, 10};
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        const double count = i >= 5 ? 1 : order[i]; /* again: the first one stays */
        assert_int_equal(push_histogram(w, S + order[i], count), ERR_OK);
    }
    assert_int_equal(push(w, "h job=j", S + 15, 5), ERR_OK);
    assert_int_equal(push(w, "h job=j", S + 20, 5), ERR_OK);
    char *before = arena_cstr(&w->arena, str_of(world_dump(w, "job=j", INT64_MIN, INT64_MAX)));
    const char *at = before;
    const char *want[] = {
        "1000000010:", "1000000015:5", "1000000020:", "1000000030:", "1000000040:", "1000000050:"};
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        at = strstr(at, want[i]);
        assert_non_null(at);
    }
    assert_null(strstr(before, "1000000020:5")); /* the histogram was first */
    assert_null(strstr(before, "same"));         /* no hint across samples that came later */
    crash(w);
    assert_dump(w, before);
    struct err err;
    assert_ok(tsdb_compact(w->db, true, &err), &err);
    assert_dump(w, before);
}

/* ---- what is counted ---- */

static double metric_of(struct metric_registry *r, const char *line) {
    struct buf text;
    buf_init(&text, 1 << 20);
    metric_render(r, &text);
    buf_append_char(&text, '\0');
    const char *all = buf_str(&text).ptr;
    const char *at = strstr(all, line);
    assert_non_null(at);
    const double v = (double)strtol(at + strlen(line), NULL, 10);
    buf_release(&text);
    return v;
}

static void late_samples_are_counted_as_in_prometheus(void **state) {
    struct world *w = *state;
    world_close(w);
    w->options.registry = metric_registry_new();
    world_open(w);
    assert_int_equal(push(w, "x job=j", S + 1000000 - 500000, 1), ERR_OK);
    assert_int_equal(push(w, "x job=j", S + 499000, 1), ERR_OK);
    assert_int_equal(push(w, "x job=j", S + 499000, 2), ERR_OK); /* the same time: not stored */
    assert_int_equal(push(w, "x job=j", S + 439999, 1), ERR_TOO_OLD);
    assert_int_equal(push_histogram(w, S + 500000, 1), ERR_OK);
    assert_int_equal(push_histogram(w, S + 499999, 1), ERR_OK);
    struct metric_registry *r = w->options.registry;
    assert_true(metric_of(r, "head_out_of_order_samples_appended_total{type=\"float\"} ") == 1);
    assert_true(metric_of(r, "head_out_of_order_samples_appended_total{type=\"histogram\"} ") == 1);
    assert_true(metric_of(r, "tsdb_too_old_samples_total{type=\"float\"} ") == 1);
    assert_true(metric_of(r, "tsdb_sample_ooo_delta_bucket{le=\"600\"} ") == 4);
    assert_true(metric_of(r, "tsdb_sample_ooo_delta_count ") == 4);
    tsdb_set_late_window(w->db, 0);
    assert_int_equal(push(w, "x job=j", S + 499000, 3), ERR_OUT_OF_ORDER);
    assert_true(metric_of(r, "tsdb_out_of_order_samples_total{type=\"float\"} ") == 1);
    assert_true(metric_of(r, "tsdb_sample_ooo_delta_count ") == 5);
    world_close(w);
    metric_registry_free(w->options.registry);
    w->options.registry = NULL;
}

static uint64_t count_series(struct world *w) {
    struct storage_stats stats;
    storage_stats(w->st, &stats);
    return stats.series_count;
}

static void a_series_with_late_samples_is_one(void **state) {
    struct world *w = *state;
    assert_int_equal(push(w, "x job=j", S + 10, 1), ERR_OK);
    assert_int_equal(push(w, "x job=j", S, 2), ERR_OK);
    assert_int_equal(push(w, "y job=j", S + 10, 1), ERR_OK);
    assert_int_equal(count_series(w), 2);
    crash(w);
    assert_int_equal(count_series(w), 2);
    assert_int_equal(w->replayed.series, 2);
}

/* ---- random histories against a model ---- */

enum { SERIES = 9, TIMES = 1200, STEP_MS = 100, CUT_MS = 20000 };

struct model { /* per series, the times that were stored */
    struct world *w;
    struct rng rng;
    bool has[SERIES][TIMES];
    char labels[SERIES][40];
    int64_t newest_ms;
};

static double value_at(int series, int64_t i) {
    return i % 5 == 0 ? (double)series : (double)(i * 3 + series) / 4;
}

static void play_transaction(struct model *m) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(m->w->st, &a, &err), &err);
    const int64_t newest_ms = m->newest_ms;
    const int64_t now = (newest_ms - S) / STEP_MS + (int64_t)rng_below(&m->rng, 4);
    const size_t n = 1 + rng_below(&m->rng, 20);
    for (size_t i = 0; i < n && now < TIMES; i++) {
        const int series = (int)rng_below(&m->rng, SERIES);
        const uint64_t back = rng_below(&m->rng, 3) == 0 ? rng_below(&m->rng, 700) : 0;
        const int64_t at = now - (int64_t)back;
        if (at < 0) {
            continue;
        }
        const enum err_code code =
            world_append(m->w, a, m->labels[series], S + at * STEP_MS, value_at(series, at));
        if (code == ERR_OK) {
            m->has[series][at] = true;
            m->newest_ms = S + at * STEP_MS > m->newest_ms ? S + at * STEP_MS : m->newest_ms;
        } else {
            assert_int_equal(code, ERR_TOO_OLD);
            assert_true(S + at * STEP_MS < newest_ms - WINDOW_MS);
        }
    }
    assert_ok(storage_appender_commit(m->w->st, a, &err), &err);
}

static void check_against_model(struct model *m) {
    struct buf want;
    buf_init(&want, 8 << 20);
    const int64_t from = (int64_t)rng_below(&m->rng, TIMES);
    for (int series = 0; series < SERIES; series++) {
        bool any = false;
        for (int64_t i = from; i < TIMES; i++) {
            if (m->has[series][i]) {
                if (!any) {
                    buf_printf(&want, "m%d{job=\"j%d\"}", series, series % 2);
                }
                any = true;
                buf_printf(&want, " %lld:%.15g", (long long)(S + i * STEP_MS), value_at(series, i));
            }
        }
        if (any) {
            buf_append_char(&want, '\n');
        }
    }
    buf_append_char(&want, '\0');
    assert_string_equal(world_dump(m->w, "__name__=~m.*", S + from * STEP_MS, INT64_MAX),
                        buf_str(&want).ptr);
    buf_release(&want);
    arena_reset(&m->w->arena);
}

static void play_history(struct model *m) {
    struct err err;
    while (m->newest_ms < S + (TIMES - 10) * STEP_MS) {
        play_transaction(m);
        switch (rng_below(&m->rng, 80)) {
        case 0:
            crash(m->w);
            break;
        case 1:
            world_close(m->w);
            world_open(m->w);
            break;
        case 2:
            tsdb_maintain(m->w->db);
            break;
        case 3:
            assert_ok(tsdb_compact(m->w->db, rng_below(&m->rng, 4) == 0, &err), &err);
            break;
        case 4:
            check_against_model(m);
            break;
        default:
            break;
        }
    }
    check_against_model(m);
    assert_ok(tsdb_compact(m->w->db, true, &err), &err);
    check_against_model(m);
    crash(m->w);
    check_against_model(m);
}

static void random_histories_read_as_the_model_says(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        struct world w;
        struct model *m = mem_zalloc(sizeof(*m));
        world_init(&w);
        w.options.late_window_ms = WINDOW_MS;
        w.options.partition_ms = CUT_MS;
        w.options.shard_count = 2;
        world_open(&w);
        *m = (struct model){.w = &w, .rng = rng_seeded(seed), .newest_ms = S};
        for (int i = 0; i < SERIES; i++) {
            (void)snprintf(m->labels[i], sizeof(m->labels[i]), "m%d job=j%d", i, i % 2);
        }
        play_history(m);
        world_release(&w);
        mem_free(m);
    }
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_late_sample_is_taken_within_the_window_of_the_newest_of_all),
        CASE(samples_before_the_bound_of_the_head_are_late_whatever_the_series_has),
        CASE(the_first_transaction_is_late_to_its_first_sample),
        CASE(the_same_time_again),
        CASE(series_share_late_rows_in_any_order),
        CASE(a_lowered_window_refuses_and_keeps_what_is_there),
        CASE(who_wants_order_gets_it),
        CASE(one_of_two_transactions_comes_late),
        CASE(scraped_samples_may_be_late),
        CASE(a_row_does_not_pass_a_newer_sample_with_its_own_time),
        CASE(a_row_behind_a_newer_sample_with_its_own_time_is_late),
        CASE(late_histograms_come_back_in_order),
        CASE(late_samples_are_counted_as_in_prometheus),
        CASE(a_series_with_late_samples_is_one),
        cmocka_unit_test(random_histories_read_as_the_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
