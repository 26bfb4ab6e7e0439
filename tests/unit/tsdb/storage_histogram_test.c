/* Native histograms and start timestamps through the storage's interface: what comes back, by
 * Prometheus' rules, from open rows, from the log and from sealed runs. */
#include <math.h>
#include <string.h>

#include "storage_world.h"
#include "tests/support/check_err.h"
#include "tsdb/group_columns.h"

enum { S = 1000000000 };

static int setup(void **state) {
    static struct world w;
    world_init(&w);
    world_open(&w);
    *state = &w;
    return 0;
}

static int teardown(void **state) {
    world_release(*state);
    return 0;
}

/* A histogram of schema 0 with positive buckets from first on. */
static struct histogram *make(struct world *w, enum histogram_hint hint, int32_t first,
                              const double *counts, uint32_t n) {
    struct histogram *h = arena_zalloc(&w->arena, sizeof(*h));
    h->hint = hint;
    h->zero_threshold = 0.001;
    h->zero_count = 2;
    h->count = 2;
    h->sum = 1.5;
    h->positive.spans = arena_zalloc(&w->arena, sizeof(*h->positive.spans));
    h->positive.counts = arena_zalloc(&w->arena, (n + (size_t)1) * sizeof(double));
    h->positive.spans[0] = (struct histogram_span){.offset = first, .length = n};
    h->positive.span_count = 1;
    h->positive.count = n;
    for (uint32_t i = 0; i < n; i++) {
        h->positive.counts[i] = counts[i];
        h->count += counts[i];
    }
    return h;
}

static struct histogram *custom(struct world *w, const double *bounds, uint32_t bound_count,
                                const double *counts, uint32_t n) {
    struct histogram *h = make(w, HINT_UNKNOWN, 0, counts, n);
    h->schema = HISTOGRAM_SCHEMA_CUSTOM;
    h->zero_threshold = 0;
    h->zero_count = 0;
    h->count -= 2;
    h->bounds = arena_zalloc(&w->arena, bound_count * sizeof(double));
    memcpy(h->bounds, bounds, bound_count * sizeof(double));
    h->bound_count = bound_count;
    return h;
}

/* One series in a row: a histogram, or a float when h is NULL. */
static struct storage_row_result commit(struct world *w, struct storage_group *g, int64_t ts_ms,
                                        uint8_t state, const struct histogram *h, double value,
                                        int64_t start_ts_ms, uint8_t *reject) {
    const struct num num = num_of_double(value);
    const struct storage_row row = {
        .ts_ms = ts_ms,
        .slot_count = 1,
        .values = &num,
        .states = &state,
        .histograms = &h,
        .start_ts_ms = &start_ts_ms,
        .rejects = reject,
    };
    struct storage_row_result result;
    struct err err;
    assert_ok(storage_group_commit(w->st, g, &row, &result, &err), &err);
    return result;
}

static void put(struct world *w, struct storage_group *g, int64_t ts_ms,
                const struct histogram *h) {
    assert_int_equal(commit(w, g, ts_ms, SLOT_HISTOGRAM, h, 0, 0, NULL).accepted, 1);
}

static enum err_code push(struct world *w, int64_t ts_ms, const struct histogram *h, double value,
                          int64_t start_ts_ms) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    const struct storage_sample sample = {
        .ts_ms = ts_ms, .value = value, .histogram = h, .start_ts_ms = start_ts_ms};
    const enum err_code code = storage_append_sample(w->st, a, world_labels(w, "h job=p"), &sample);
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
    return code;
}

static void assert_dump(struct world *w, const char *want) {
    assert_string_equal(world_dump(w, "__name__=h", INT64_MIN, INT64_MAX), want);
}

static void assert_dump_also_after_restart(struct world *w, struct storage_group *g,
                                           const char *want) {
    assert_dump(w, want);
    storage_group_close(w->st, g);
    world_crash(w);
    world_open(w);
    assert_dump(w, want);
}

static void a_histogram_comes_back_with_the_buckets_of_its_spans(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "h job=j");
    put(w, g, S, make(w, HINT_UNKNOWN, -2, (double[]){1, 0, 3}, 3));
    put(w, g, S + 1, make(w, HINT_UNKNOWN, -2, (double[]){1, 0, 3, 1}, 4));
    put(w, g, S + 2, make(w, HINT_UNKNOWN, -4, (double[]){1, 0, 1, 0, 3, 1}, 6));
    put(w, g, S + 3, make(w, HINT_UNKNOWN, 0, (double[]){3}, 1));
    assert_dump_also_after_restart(
        w, g,
        "h{job=\"j\"} "
        "1000000000:{s0,,n6,sum1.5,zt0.001,z2,+-2=1,+-1=0,+0=3} "
        "1000000001:{s0,same,n7,sum1.5,zt0.001,z2,+-2=1,+-1=0,+0=3,+1=1} "
        "1000000002:{s0,same,n8,sum1.5,zt0.001,z2,+-4=1,+-3=0,+-2=1,+-1=0,+0=3,+1=1} "
        "1000000003:{s0,,n5,sum1.5,zt0.001,z2,+0=3}\n");
}

static void hints_are_those_of_a_reader(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "h job=j");
    put(w, g, S, make(w, HINT_UNKNOWN, 0, (double[]){5}, 1));
    put(w, g, S + 1, make(w, HINT_NOT_RESET, 0, (double[]){4}, 1)); /* it says so, but it fell */
    put(w, g, S + 2, make(w, HINT_RESET, 0, (double[]){6}, 1));
    put(w, g, S + 3, make(w, HINT_UNKNOWN, 0, (double[]){6}, 1));
    put(w, g, S + 4, make(w, HINT_GAUGE, 0, (double[]){3}, 1));
    put(w, g, S + 5, make(w, HINT_UNKNOWN, 0, (double[]){7}, 1)); /* behind a gauge */
    assert_dump_also_after_restart(w, g,
                                   "h{job=\"j\"} 1000000000:{s0,,n7,sum1.5,zt0.001,z2,+0=5} "
                                   "1000000001:{s0,,n6,sum1.5,zt0.001,z2,+0=4} "
                                   "1000000002:{s0,reset,n8,sum1.5,zt0.001,z2,+0=6} "
                                   "1000000003:{s0,same,n8,sum1.5,zt0.001,z2,+0=6} "
                                   "1000000004:{s0,gauge,n5,sum1.5,zt0.001,z2,+0=3} "
                                   "1000000005:{s0,,n9,sum1.5,zt0.001,z2,+0=7}\n");
}

static void custom_bounds_come_back(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "h job=j");
    put(w, g, S, custom(w, (double[]){0.5, 1}, 2, (double[]){1, 2, 3}, 3));
    put(w, g, S + 1, custom(w, (double[]){0.5, 1}, 2, (double[]){1, 2, 4}, 3));
    put(w, g, S + 2, custom(w, (double[]){0.5, 2}, 2, (double[]){1, 2, 4}, 3));
    assert_dump_also_after_restart(
        w, g,
        "h{job=\"j\"} 1000000000:{s-53,,n6,sum1.5,zt0,z0,+0=1,+1=2,+2=3,b0.5,b1} "
        "1000000001:{s-53,same,n7,sum1.5,zt0,z0,+0=1,+1=2,+2=4,b0.5,b1} "
        "1000000002:{s-53,,n7,sum1.5,zt0,z0,+0=1,+1=2,+2=4,b0.5,b2}\n");
}

static void floats_and_histograms_take_turns_and_end(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "h job=j");
    const struct histogram *h = make(w, HINT_UNKNOWN, 0, (double[]){5}, 1);
    commit(w, g, S, SLOT_VALUE, NULL, 3, 0, NULL);
    put(w, g, S + 1, h);
    commit(w, g, S + 2, SLOT_STALE, NULL, 0, 0, NULL);
    put(w, g, S + 3, h);
    commit(w, g, S + 4, SLOT_VALUE, NULL, 4, 0, NULL);
    commit(w, g, S + 5, SLOT_STALE, NULL, 0, 0, NULL);
    commit(w, g, S + 6, SLOT_ABSENT, NULL, 0, 0, NULL);
    put(w, g, S + 7, h);
    assert_dump_also_after_restart(w, g,
                                   "h{job=\"j\"} 1000000000:3 "
                                   "1000000001:{s0,,n7,sum1.5,zt0.001,z2,+0=5} "
                                   "1000000002:{stale} "
                                   "1000000003:{s0,,n7,sum1.5,zt0.001,z2,+0=5} 1000000004:4 "
                                   "1000000005:stale "
                                   "1000000007:{s0,,n7,sum1.5,zt0.001,z2,+0=5}\n");
}

static void a_marker_behind_a_histogram_is_one_in_a_partition_too(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    struct err err;
    world_slot(w, g, "h job=j");
    put(w, g, S, make(w, HINT_UNKNOWN, 0, (double[]){5}, 1));
    commit(w, g, S + 1, SLOT_STALE, NULL, 0, 0, NULL);
    const char *want = "h{job=\"j\"} 1000000000:{s0,,n7,sum1.5,zt0.001,z2,+0=5} "
                       "1000000001:{stale}\n";
    assert_dump(w, want);
    storage_group_close(w->st, g);
    assert_ok(tsdb_compact(w->db, true, &err), &err);
    assert_dump(w, want);
}

static void start_timestamps_come_back_with_their_samples(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "h job=j");
    const struct histogram *h = make(w, HINT_UNKNOWN, 0, (double[]){5}, 1);
    commit(w, g, S, SLOT_VALUE, NULL, 3, S - 500, NULL);
    commit(w, g, S + 1, SLOT_VALUE, NULL, 4, S - 500, NULL);
    commit(w, g, S + 2, SLOT_VALUE, NULL, 5, 0, NULL);
    commit(w, g, S + 3, SLOT_HISTOGRAM, h, 0, S, NULL);
    commit(w, g, S + 4, SLOT_STALE, NULL, 0, S, NULL);
    assert_dump_also_after_restart(w, g,
                                   "h{job=\"j\"} 1000000000:3@999999500 1000000001:4@999999500 "
                                   "1000000002:5 "
                                   "1000000003:{s0,,n7,sum1.5,zt0.001,z2,+0=5}@1000000000 "
                                   "1000000004:{stale}\n");
}

static void sealed_histograms_read_like_open_ones(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "h job=j");
    for (int i = 0; i < 200; i++) {
        struct histogram *h = make(w, HINT_UNKNOWN, i / 50, (double[]){i, 2 * i, 7}, 3);
        h->sum = i * 0.1;
        commit(w, g, S + i, i % 60 < 55 ? SLOT_FLOAT_HISTOGRAM : SLOT_HISTOGRAM, h, 0, S - i / 64,
               NULL);
    }
    const char *open = world_dump(w, "__name__=h", INT64_MIN, INT64_MAX);
    const char *part = world_dump(w, "__name__=h", S + 70, S + 131);
    assert_non_null(strstr(open, "1000000199:{s0,same,n606,sum19.9"));
    assert_non_null(strstr(open, "1000000057:{s0,same,n180,sum5.7"));
    assert_non_null(strstr(open, "@999999997"));
    assert_non_null(strstr(part, "h{job=\"j\"} 1000000070:"));
    storage_group_close(w->st, g);
    for (int round = 0; round < 2; round++) {
        world_close(w);
        world_open(w);
        assert_dump(w, open);
        assert_string_equal(world_dump(w, "__name__=h", S + 70, S + 131), part);
    }
}

static void pushed_histograms_are_judged_like_floats(void **state) {
    struct world *w = *state;
    const struct histogram *h = make(w, HINT_UNKNOWN, 0, (double[]){5, 1}, 2);
    const struct histogram *other = make(w, HINT_UNKNOWN, 0, (double[]){5, 2}, 2);
    const struct histogram *fewer = make(w, HINT_UNKNOWN, 0, (double[]){6}, 1);
    struct histogram *stale = make(w, HINT_UNKNOWN, 0, NULL, 0);
    stale->sum = f64_stale();
    assert_int_equal(push(w, S, h, 0, S - 5), ERR_OK);
    assert_int_equal(push(w, S, h, 0, S - 5), ERR_OK);
    assert_int_equal(push(w, S, other, 0, 0), ERR_DUPLICATE);
    assert_int_equal(push(w, S, fewer, 0, 0), ERR_DUPLICATE);
    assert_int_equal(push(w, S, NULL, 1, 0), ERR_DUPLICATE);
    assert_int_equal(push(w, S - 1, h, 0, 0), ERR_OUT_OF_ORDER);
    assert_int_equal(push(w, S - 1, NULL, 3, 0), ERR_OUT_OF_ORDER);
    assert_int_equal(push(w, S + 1, other, 0, 0), ERR_OK);
    assert_int_equal(push(w, S + 2, NULL, f64_stale(), 0), ERR_OK);
    assert_int_equal(push(w, S + 2, stale, 0, 0), ERR_OK);
    assert_int_equal(push(w, S + 2, h, 0, 0), ERR_DUPLICATE);
    assert_int_equal(push(w, S + 3, NULL, 8, S), ERR_OK);
    assert_int_equal(push(w, S + 3, h, 0, 0), ERR_DUPLICATE);
    assert_int_equal(push(w, S + 4, stale, 0, 0), ERR_OK);
    const char *want = "h{job=\"p\"} "
                       "1000000000:{s0,,n8,sum1.5,zt0.001,z2,+0=5,+1=1}@999999995 "
                       "1000000001:{s0,same,n9,sum1.5,zt0.001,z2,+0=5,+1=2} 1000000002:{stale} "
                       "1000000003:8@1000000000 1000000004:{stale}\n";
    assert_dump(w, want);
    world_close(w);
    world_open(w);
    assert_dump(w, want);
    assert_int_equal(push(w, S + 4, stale, 0, 0), ERR_OK);
    assert_int_equal(push(w, S + 3, h, 0, 0), ERR_OUT_OF_ORDER);
    assert_int_equal(push(w, S + 5, h, 0, 0), ERR_OK);
    world_crash(w);
    world_open(w);
    assert_int_equal(push(w, S + 5, h, 0, 0), ERR_OK);
    assert_int_equal(push(w, S + 5, other, 0, 0), ERR_DUPLICATE);
}

static void late_rows_of_histograms_are_refused_or_known(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "h job=j");
    const struct histogram *h = make(w, HINT_UNKNOWN, 0, (double[]){5, 1}, 2);
    const struct histogram *other = make(w, HINT_UNKNOWN, 0, (double[]){5, 2}, 2);
    uint8_t reject = 99;
    put(w, g, S, h);
    put(w, g, S + 10, h);
    assert_int_equal(commit(w, g, S + 10, SLOT_HISTOGRAM, h, 0, 0, &reject).accepted, 1);
    assert_int_equal(reject, ERR_OK);
    assert_int_equal(commit(w, g, S + 10, SLOT_HISTOGRAM, other, 0, 0, &reject).duplicate, 1);
    assert_int_equal(reject, ERR_DUPLICATE);
    assert_int_equal(commit(w, g, S + 10, SLOT_VALUE, NULL, 5, 0, &reject).duplicate, 1);
    assert_int_equal(commit(w, g, S + 5, SLOT_HISTOGRAM, h, 0, 0, &reject).out_of_order, 1);
    assert_int_equal(reject, ERR_OUT_OF_ORDER);
    assert_int_equal(commit(w, g, S + 3600000 * 2, SLOT_HISTOGRAM, h, 0, 0, &reject).out_of_bounds,
                     1);
    assert_int_equal(reject, ERR_OUT_OF_BOUNDS);
    storage_group_close(w->st, g);
}

static void samples_with_own_times_keep_their_histograms(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    const uint32_t slot = world_slot(w, g, "h job=j");
    const struct histogram *h = make(w, HINT_UNKNOWN, 0, (double[]){5, 1}, 2);
    uint8_t absent = SLOT_ABSENT;
    const struct num zero = {0};
    for (int i = 0; i < 3; i++) {
        const struct storage_own_time own = {.slot = slot,
                                             .state = SLOT_FLOAT_HISTOGRAM,
                                             .ts_ms = S - 100 + i * 10,
                                             .histogram = h,
                                             .start_ts_ms = 77};
        const struct storage_row row = {.ts_ms = S + i,
                                        .slot_count = 1,
                                        .values = &zero,
                                        .states = &absent,
                                        .own_times = &own,
                                        .own_time_count = 1};
        struct storage_row_result result;
        struct err err;
        assert_ok(storage_group_commit(w->st, g, &row, &result, &err), &err);
        assert_int_equal(result.accepted, 1);
    }
    assert_dump_also_after_restart(w, g,
                                   "h{job=\"j\"} 999999900:{s0,,n8,sum1.5,zt0.001,z2,+0=5,+1=1}@77 "
                                   "999999910:{s0,same,n8,sum1.5,zt0.001,z2,+0=5,+1=1}@77 "
                                   "999999920:{s0,same,n8,sum1.5,zt0.001,z2,+0=5,+1=1}@77\n");
}

static void too_many_different_buckets_are_refused(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "h job=j");
    const double one[1] = {1};
    uint8_t reject = 0;
    int accepted = 0;
    for (int i = 0; i < GROUP_COLUMNS_MAX + 100; i++) {
        const struct histogram *h = make(w, HINT_UNKNOWN, i, one, 1);
        const struct storage_row_result r = commit(w, g, S + i, SLOT_HISTOGRAM, h, 0, 0, &reject);
        assert_int_equal(reject, r.accepted == 1 ? ERR_OK : ERR_LIMIT);
        accepted += (int)r.accepted;
        assert_int_equal(push(w, S + i, h, 0, 0), r.accepted == 1 ? ERR_OK : ERR_LIMIT);
        if (r.accepted == 0) {
            break;
        }
    }
    assert_int_equal(accepted, GROUP_COLUMNS_MAX - 4);
    put(w, g, S + 100000, make(w, HINT_UNKNOWN, 3, one, 1)); /* known buckets go on */
    storage_group_close(w->st, g);
}

static void columns_are_no_series(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "h job=j");
    put(w, g, S, make(w, HINT_UNKNOWN, 0, (double[]){5, 1}, 2));
    const uint32_t next = world_slot(w, g, "other job=j");
    const double values[16] = {ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT,
                               ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT};
    double row[16];
    memcpy(row, values, sizeof(row));
    assert_true(next < 16);
    row[next] = 4;
    assert_int_equal(world_row(w, g, S + 1, row, next + 1).accepted, 1);
    struct storage_stats stats;
    storage_stats(w->st, &stats);
    assert_int_equal(stats.series_count, 2);
    storage_group_close(w->st, g);
    world_crash(w);
    world_open(w);
    storage_stats(w->st, &stats);
    assert_int_equal(stats.series_count, 2);
    assert_string_equal(world_dump(w, "job=j", INT64_MIN, INT64_MAX),
                        "h{job=\"j\"} 1000000000:{s0,,n8,sum1.5,zt0.001,z2,+0=5,+1=1}\n"
                        "other{job=\"j\"} 1000000001:4\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_histogram_comes_back_with_the_buckets_of_its_spans, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(hints_are_those_of_a_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(custom_bounds_come_back, setup, teardown),
        cmocka_unit_test_setup_teardown(floats_and_histograms_take_turns_and_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_marker_behind_a_histogram_is_one_in_a_partition_too,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(start_timestamps_come_back_with_their_samples, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(sealed_histograms_read_like_open_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(pushed_histograms_are_judged_like_floats, setup, teardown),
        cmocka_unit_test_setup_teardown(late_rows_of_histograms_are_refused_or_known, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(samples_with_own_times_keep_their_histograms, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(too_many_different_buckets_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(columns_are_no_series, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
