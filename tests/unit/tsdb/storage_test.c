/* The database through its public interface: what was written comes back, by Prometheus' rules for
 * samples that do not fit, before and after sealing and restarts. Expected results are written out. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "storage_world.h"
#include "tests/support/check_err.h"

enum { S = 1000000000 }; /* ms: the clock of the world starts here */

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

/* After a crash and, in the second round, after sealing nothing else must be seen. */
static void assert_dump(struct world *w, const char *matchers, const char *want) {
    assert_string_equal(world_dump(w, matchers, INT64_MIN, INT64_MAX), want);
}

static void reopen(struct world *w) {
    world_crash(w);
    world_open(w);
}

static void rows_come_back(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "instance=a job=j");
    assert_int_equal(world_slot(w, g, "up instance=a job=j"), 0);
    assert_int_equal(world_slot(w, g, "temp instance=a job=j room=x"), 1);
    assert_int_equal(world_slot(w, g, "up instance=a job=j"), 0);
    world_row(w, g, S, (double[]){1, 20.5}, 2);
    world_row(w, g, S + 15000, (double[]){1, 20.25}, 2);
    world_row(w, g, S + 30000, (double[]){1, 1e300}, 2);
    world_row(w, g, S + 45000, (double[]){0, -0.0}, 2);
    const char *want = "temp{instance=\"a\", job=\"j\", room=\"x\"} 1000000000:20.5 "
                       "1000015000:20.25 1000030000:1e+300 1000045000:-0\n"
                       "up{instance=\"a\", job=\"j\"} 1000000000:1 1000015000:1 1000030000:1 "
                       "1000045000:0\n";
    assert_dump(w, "job=j", want);
    storage_group_close(w->st, g);
    reopen(w);
    assert_dump(w, "job=j", want);
}

static void absent_and_stale_end_a_series(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "a job=j");
    world_slot(w, g, "b job=j");
    world_slot(w, g, "c job=j");
    const double stale = f64_stale();
    world_row(w, g, S, (double[]){1, 2, ABSENT}, 3);
    world_row(w, g, S + 1, (double[]){1, stale, 5}, 3);
    world_row(w, g, S + 2, (double[]){ABSENT, ABSENT, 5}, 3);
    world_row(w, g, S + 3, (double[]){1, 2, 5}, 2);
    world_row(w, g, S + 4, (double[]){1, 2, 5}, 3);
    const char *want = "a{job=\"j\"} 1000000000:1 1000000001:1 1000000003:1 1000000004:1\n"
                       "b{job=\"j\"} 1000000000:2 1000000001:stale 1000000003:2 1000000004:2\n"
                       "c{job=\"j\"} 1000000001:5 1000000002:5 1000000004:5\n";
    assert_dump(w, "job=j", want);
    storage_group_close(w->st, g);
    reopen(w);
    assert_dump(w, "job=j", want);
}

static void values_keep_their_bits(void **state) {
    struct world *w = *state;
    static const double values[] = {
        0.1, 0.30000000000000004, 1e22, 1e23, 5e-324, INFINITY, 9007199254740994, 1e-7,
        0.1, 123456789.125,       -1.5, 0,    1e15,   0.001};
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "a job=j");
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        world_row(w, g, S + (int64_t)i, &values[i], 1);
    }
    for (int round = 0; round < 2; round++) {
        struct arena arena;
        struct err err;
        struct storage_querier *q;
        struct storage_selection *sel;
        struct storage_samples samples;
        arena_init(&arena, 0);
        assert_ok(storage_querier_open(w->st, 0, INT64_MAX, &arena, NULL, &q, &err), &err);
        assert_ok(storage_select(w->st, q, NULL, 0, NULL, &sel, &err), &err);
        assert_ok(storage_read(w->st, q, sel, 0, 1, 0, INT64_MAX, &arena, &samples, &err), &err);
        assert_int_equal(samples.count, COUNT_OF(values));
        for (size_t i = 0; i < COUNT_OF(values); i++) {
            assert_true(f64_same_bits(samples.values[i], values[i]));
        }
        arena_release(&arena);
        if (round == 0) {
            storage_group_close(w->st, g);
            reopen(w);
        }
    }
}

static void sealed_rows_read_like_open_ones(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "a job=j");
    world_slot(w, g, "b job=j");
    for (int i = 0; i < 300; i++) {
        world_row(w, g, S + i * 10, (double[]){i * 0.5, i % 7 == 0 ? ABSENT : 3}, 2);
    }
    char before[1 << 14];
    snprintf(before, sizeof(before), "%s", world_dump(w, "job=j", S + 500, S + 2500));
    assert_non_null(strstr(before, "a{job=\"j\"} 1000000500:25 1000000510:25.5"));
    assert_non_null(strstr(before, "1000002490:124.5 1000002500:125\nb"));
    assert_non_null(strstr(before, "1000000550:3 1000000570:3"));
    storage_group_close(w->st, g);
    reopen(w);
    assert_string_equal(world_dump(w, "job=j", S + 500, S + 2500), before);
    g = world_group(w, "job=j");
    assert_int_equal(world_slot(w, g, "b job=j"), 1);
    assert_int_equal(world_slot(w, g, "a job=j"), 0);
    world_row(w, g, S + 3000, (double[]){1, 2}, 2);
    assert_dump(w, "__name__=zz", "");
    assert_string_equal(world_dump(w, "job=j", S + 2990, INT64_MAX),
                        "a{job=\"j\"} 1000002990:149.5 1000003000:1\n"
                        "b{job=\"j\"} 1000002990:3 1000003000:2\n");
    storage_group_close(w->st, g);
}

static void late_rows_are_judged_sample_by_sample(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "a job=j");
    world_slot(w, g, "b job=j");
    world_slot(w, g, "c job=j");
    world_row(w, g, S, (double[]){1, 2, ABSENT}, 3);
    world_row(w, g, S + 10, (double[]){1, ABSENT, ABSENT}, 3);
    struct storage_row_result r = world_row(w, g, S + 10, (double[]){1, 7, 8}, 3);
    assert_int_equal(r.accepted, 3); /* the same again, and two that were not there */
    r = world_row(w, g, S + 10, (double[]){3, 7, 9}, 3);
    assert_int_equal(r.accepted, 1);
    assert_int_equal(r.duplicate, 2);
    r = world_row(w, g, S + 5, (double[]){1, 7, 9}, 3);
    assert_int_equal(r.out_of_order, 3);
    r = world_row(w, g, S + 700000, (double[]){1, 7, 9}, 3);
    assert_int_equal(r.out_of_bounds, 3);
    const char *want = "a{job=\"j\"} 1000000000:1 1000000010:1\n"
                       "b{job=\"j\"} 1000000000:2 1000000010:7\n"
                       "c{job=\"j\"} 1000000010:8\n";
    assert_dump(w, "job=j", want);
    storage_group_close(w->st, g);
    reopen(w);
    assert_dump(w, "job=j", want);
}

static void own_times_make_columns_of_their_own(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "a job=j");
    world_slot(w, g, "b job=j");
    for (int i = 0; i < 3; i++) {
        const struct storage_own_time own[] = {
            {.slot = 1, .state = SLOT_VALUE, .ts_ms = S + i * 7 - 100, .value = num_of_i64(i)},
        };
        const struct num value = num_of_i64(4);
        const struct storage_row row = {
            .ts_ms = S + i * 10,
            .slot_count = 1,
            .values = &value,
            .states = (uint8_t[]){SLOT_VALUE},
            .own_times = own,
            .own_time_count = 1,
        };
        struct storage_row_result r;
        struct err err;
        assert_ok(storage_group_commit(w->st, g, &row, &r, &err), &err);
        assert_int_equal(r.accepted, 2);
        assert_ok(storage_group_commit(w->st, g, &row, &r, &err), &err);
        assert_int_equal(r.accepted, 2); /* the same again is no error */
    }
    const char *want = "a{job=\"j\"} 1000000000:4 1000000010:4 1000000020:4\n"
                       "b{job=\"j\"} 999999900:0 999999907:1 999999914:2\n";
    assert_dump(w, "job=j", want);
    storage_group_close(w->st, g);
    reopen(w);
    assert_dump(w, "job=j", want);
}

static void a_series_that_comes_twice_with_own_times_is_judged_against_itself(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "a job=j");
    world_slot(w, g, "b job=j");
    const struct storage_own_time own[] = {
        {.slot = 1, .state = SLOT_VALUE, .ts_ms = S + 5, .value = num_of_i64(1)},
        {.slot = 0, .state = SLOT_VALUE, .ts_ms = S + 5, .value = num_of_i64(9)},
        {.slot = 1, .state = SLOT_VALUE, .ts_ms = S + 5, .value = num_of_i64(1)}, /* the same */
        {.slot = 1,
         .state = SLOT_VALUE,
         .ts_ms = S + 5,
         .value = num_of_i64(2)}, /* another value */
        {.slot = 1, .state = SLOT_VALUE, .ts_ms = S + 3, .value = num_of_i64(3)}, /* back */
        {.slot = 1, .state = SLOT_VALUE, .ts_ms = S + 7, .value = num_of_i64(4)},
        {.slot = 1, .state = SLOT_VALUE, .ts_ms = S + 6, .value = num_of_i64(5)}, /* back again */
    };
    uint8_t rejects[2] = {ERR_OK, ERR_OK};
    const struct num value = num_of_i64(0);
    const struct storage_row row = {
        .ts_ms = S + 10,
        .slot_count = 2,
        .values = (struct num[]){value, value},
        .states = (uint8_t[]){SLOT_ABSENT, SLOT_ABSENT},
        .own_times = own,
        .own_time_count = COUNT_OF(own),
        .rejects = rejects,
    };
    struct storage_row_result r;
    struct err err;
    assert_ok(storage_group_commit(w->st, g, &row, &r, &err), &err);
    assert_int_equal(r.accepted, 4);
    assert_int_equal(r.duplicate, 1);
    assert_int_equal(r.out_of_order, 2);
    assert_int_equal(rejects[1], ERR_OK);
    /* in the row and, too late, with a time of its own: the row's sample says what became of it */
    const struct storage_row both = {
        .ts_ms = S + 20,
        .slot_count = 2,
        .values = (struct num[]){value, num_of_i64(6)},
        .states = (uint8_t[]){SLOT_ABSENT, SLOT_VALUE},
        .own_times = own,
        .own_time_count = 1,
        .rejects = rejects,
    };
    assert_ok(storage_group_commit(w->st, g, &both, &r, &err), &err);
    assert_int_equal(r.accepted, 1);
    assert_int_equal(r.out_of_order, 1);
    assert_int_equal(rejects[1], ERR_OK);
    const char *want = "a{job=\"j\"} 1000000005:9\n"
                       "b{job=\"j\"} 1000000005:1 1000000007:4 1000000020:6\n";
    assert_dump(w, "job=j", want);
    storage_group_close(w->st, g);
    reopen(w);
    assert_dump(w, "job=j", want);
}

static struct storage_appender *begin(struct world *w) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    return a;
}

static void commit(struct world *w, struct storage_appender *a) {
    struct err err;
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
}

static void appender_follows_prometheus_rules(void **state) {
    struct world *w = *state;
    struct storage_appender *a = begin(w);
    assert_int_equal(world_append(w, a, "x job=j", S, 1), ERR_OK);
    assert_int_equal(world_append(w, a, "x job=j", S, 1), ERR_OK);
    assert_int_equal(world_append(w, a, "x job=j", S, 2), ERR_DUPLICATE);
    assert_int_equal(world_append(w, a, "x job=j", S - 1, 2), ERR_OUT_OF_ORDER);
    assert_int_equal(world_append(w, a, "y job=j", S - 1, 2), ERR_OK);
    assert_int_equal(world_append(w, a, "y job=j", S + 601000, 2), ERR_OUT_OF_BOUNDS);
    assert_int_equal(world_append(w, a, "", S, 2), ERR_INVALID);
    commit(w, a);
    a = begin(w);
    assert_int_equal(world_append(w, a, "x job=j", S, 1), ERR_OK);
    assert_int_equal(world_append(w, a, "x job=j", S, 5), ERR_DUPLICATE);
    assert_int_equal(world_append(w, a, "x job=j", S - 1, 5), ERR_OUT_OF_ORDER);
    assert_int_equal(world_append(w, a, "x job=j", S - 3600001, 5), ERR_OUT_OF_BOUNDS);
    assert_int_equal(world_append(w, a, "x job=j", S + 5, 5), ERR_OK);
    storage_appender_rollback(w->st, a);
    a = begin(w);
    assert_int_equal(world_append(w, a, "x job=j", S + 4, f64_stale()), ERR_OK);
    assert_int_equal(world_append(w, a, "x job=j", S + 6, 7), ERR_OK);
    commit(w, a);
    const char *want = "x{job=\"j\"} 1000000000:1 1000000004:stale 1000000006:7\n"
                       "y{job=\"j\"} 999999999:2\n";
    assert_dump(w, "job=j", want);
    reopen(w);
    assert_dump(w, "job=j", want);
}

static void pushed_series_have_gaps_and_may_interleave(void **state) {
    struct world *w = *state;
    struct storage_appender *a = begin(w);
    assert_int_equal(world_append(w, a, "x job=j", S, 1), ERR_OK);
    assert_int_equal(world_append(w, a, "y job=j", S, 1), ERR_OK);
    commit(w, a);
    a = begin(w);
    assert_int_equal(world_append(w, a, "x job=j", S + 10, 1), ERR_OK);
    assert_int_equal(world_append(w, a, "x job=j", S + 20, 1), ERR_OK);
    commit(w, a);
    a = begin(w); /* into an open row, then between two rows, then after */
    assert_int_equal(world_append(w, a, "y job=j", S + 10, 1), ERR_OK);
    assert_int_equal(world_append(w, a, "y job=j", S + 15, 2), ERR_OK);
    assert_int_equal(world_append(w, a, "y job=j", S + 30, 3), ERR_OK);
    commit(w, a);
    a = begin(w);
    assert_int_equal(world_append(w, a, "y job=j", S + 29, 3), ERR_OUT_OF_ORDER);
    assert_int_equal(world_append(w, a, "x job=j", S + 30, 1), ERR_OK);
    assert_int_equal(world_append(w, a, "y job=j", S + 40, 4), ERR_OK);
    commit(w, a);
    const char *want =
        "x{job=\"j\"} 1000000000:1 1000000010:1 1000000020:1 1000000030:1\n"
        "y{job=\"j\"} 1000000000:1 1000000010:1 1000000015:2 1000000030:3 1000000040:4\n";
    assert_dump(w, "job=j", want);
    reopen(w);
    assert_dump(w, "job=j", want);
}

static void pushed_series_know_their_newest_sample_after_sealing_and_restart(void **state) {
    struct world *w = *state;
    for (int i = 0; i < 150; i++) {
        struct storage_appender *a = begin(w);
        assert_int_equal(world_append(w, a, "x job=j", S + i, i), ERR_OK);
        if (i < 10) {
            assert_int_equal(world_append(w, a, "y job=j", S + i, 5), ERR_OK);
        }
        commit(w, a);
    }
    for (int round = 0; round < 2; round++) {
        struct storage_appender *a = begin(w);
        assert_int_equal(world_append(w, a, "y job=j", S + 8, 5), ERR_OUT_OF_ORDER);
        assert_int_equal(world_append(w, a, "y job=j", S + 9, 5), ERR_OK);
        assert_int_equal(world_append(w, a, "y job=j", S + 9, 6), ERR_DUPLICATE);
        assert_int_equal(world_append(w, a, "x job=j", S + 148, 6), ERR_OUT_OF_ORDER);
        assert_int_equal(world_append(w, a, "x job=j", S + 149, 149), ERR_OK);
        storage_appender_rollback(w->st, a);
        if (round == 0) {
            reopen(w);
        }
    }
}

static void many_targets_push_the_same_metrics(void **state) {
    enum { TARGETS = 30, METRICS = 12 };
    struct world *w = *state;
    char text[64];
    for (int round = 0; round < 3; round++) {
        for (int t = 0; t < TARGETS; t++) {
            struct storage_appender *a = begin(w);
            for (int m = 0; m < METRICS; m++) {
                snprintf(text, sizeof(text), "m%d instance=i%d job=j", m, t);
                assert_int_equal(world_append(w, a, text, S + round, m * t), ERR_OK);
            }
            commit(w, a);
        }
        if (round == 1) {
            reopen(w);
        }
    }
    struct storage_stats stats;
    storage_stats(w->st, &stats);
    assert_int_equal(stats.series_count, TARGETS * METRICS);
    assert_dump(w, "instance=i7 __name__=m11",
                "m11{instance=\"i7\", job=\"j\"} 1000000000:77 1000000001:77 1000000002:77\n");
}

static void series_with_equal_labels_are_one(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "instance=a job=j");
    struct storage_group *h = world_group(w, "instance=b job=j");
    world_slot(w, g, "m instance=b job=j"); /* honor_labels: not the target's own */
    world_slot(w, h, "m instance=b job=j");
    world_row(w, g, S, (double[]){1}, 1);
    world_row(w, g, S + 20, (double[]){3}, 1);
    world_row(w, h, S + 10, (double[]){2}, 1);
    world_row(w, h, S + 20, (double[]){9}, 1);
    world_row(w, h, S + 30, (double[]){4}, 1);
    assert_dump(w, "__name__=m",
                "m{instance=\"b\", job=\"j\"} 1000000000:1 1000000010:2 1000000020:3 "
                "1000000030:4\n");
    storage_group_close(w->st, g);
    storage_group_close(w->st, h);
}

static void an_open_group_cannot_be_opened_twice(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    struct storage_group *other;
    struct err err;
    assert_err(storage_group_open(w->st, 0, world_labels(w, "job=j"), &other, &err), ERR_EXISTS,
               NULL, &err);
    storage_group_close(w->st, g);
    g = world_group(w, "job=j");
    storage_group_close(w->st, g);
}

static void series_limit_is_refused(void **state) {
    struct world *w = *state;
    world_close(w);
    w->options.max_series = 2;
    world_open(w);
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "a job=j");
    world_slot(w, g, "b job=j");
    uint32_t slot;
    struct err err;
    assert_err(storage_group_series(w->st, g, world_labels(w, "c job=j"), &slot, &err), ERR_LIMIT,
               NULL, &err);
    assert_int_equal(world_slot(w, g, "b job=j"), 1);
    struct storage_appender *a = begin(w);
    assert_int_equal(world_append(w, a, "z job=k", S, 1), ERR_LIMIT);
    storage_appender_rollback(w->st, a);
    storage_group_close(w->st, g);
}

/* New series are refused and counted, by scrape or push, before and after a restart; known ones go on. */
static void a_full_storage_counts_what_it_refuses_and_takes_what_it_knows(void **state) {
    struct world *w = *state;
    const double values[] = {1, 2};
    struct err err;
    uint32_t slot;
    world_close(w);
    w->options.max_series = 3;
    w->options.registry = metric_registry_new();
    world_open(w);
    struct storage_appender *a = begin(w);
    assert_int_equal(world_append(w, a, "p job=k", S, 1), ERR_OK);
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
    for (int start = 0; start < 2; start++) {
        struct storage_group *g = world_group(w, "job=j");
        world_slot(w, g, "a job=j");
        world_slot(w, g, "b job=j");
        assert_int_equal(storage_group_series(w->st, g, world_labels(w, "c job=j"), &slot, &err),
                         ERR_LIMIT);
        const int64_t ts = S + 1 + start;
        assert_int_equal(world_row(w, g, ts, values, 2).accepted, 2);
        a = begin(w);
        assert_int_equal(world_append(w, a, "z job=k", ts, 1), ERR_LIMIT);
        assert_int_equal(world_append(w, a, "a job=k", ts, 1), ERR_LIMIT); /* both sets are known */
        assert_int_equal(world_append(w, a, "p job=k", ts, 2), ERR_OK);
        assert_ok(storage_appender_commit(w->st, a, &err), &err);
        storage_group_close(w->st, g);
        if (start == 0) {
            world_close(w);
            world_open(w);
        }
    }
    assert_string_equal(world_dump(w, "job=~.+", S, S + 2),
                        "a{job=\"j\"} 1000000001:1 1000000002:1\n"
                        "b{job=\"j\"} 1000000001:2 1000000002:2\n"
                        "p{job=\"k\"} 1000000000:1 1000000001:2 1000000002:2\n");
    struct buf text;
    buf_init(&text, 1 << 20);
    metric_render(w->options.registry, &text);
    buf_append(&text, "", 1);
    assert_non_null(strstr(text.ptr, "\nbrasa_tsdb_refused_series_total{reason=\"limit\"} 6\n"));
    buf_release(&text);
    world_close(w);
    metric_registry_free(w->options.registry);
    w->options.registry = NULL;
    world_open(w);
}

static void a_second_process_is_refused(void **state) {
    struct world *w = *state;
    struct tsdb *db;
    struct err err;
    assert_err(tsdb_open(&w->options, &db, NULL, &err), ERR_EXISTS, NULL, &err);
}

static void equal_presence_shares_the_time_column(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "a job=j");
    world_slot(w, g, "b job=j");
    world_slot(w, g, "c job=j");
    world_slot(w, g, "d job=j");
    for (int i = 0; i < 100; i++) {
        const double gap = i % 3 == 0 ? ABSENT : i;
        world_row(w, g, S + i, (double[]){i, gap, 5, gap}, 4);
    }
    struct arena arena;
    struct err err;
    struct storage_querier *q;
    struct storage_selection *sel;
    struct storage_samples s[4];
    arena_init(&arena, 0);
    assert_ok(storage_querier_open(w->st, 0, INT64_MAX, &arena, NULL, &q, &err), &err);
    assert_ok(storage_select(w->st, q, NULL, 0, NULL, &sel, &err), &err);
    assert_ok(storage_read(w->st, q, sel, 0, 4, 0, INT64_MAX, &arena, s, &err), &err);
    assert_int_equal(s[0].count, 100);
    assert_ptr_equal(s[0].ts, s[2].ts);
    assert_int_equal(s[1].count, 66);
    assert_ptr_equal(s[1].ts, s[3].ts);
    arena_release(&arena);
    storage_group_close(w->st, g);
}

static void wal_is_dropped_once_rows_are_sealed_and_durable(void **state) {
    struct world *w = *state;
    struct storage_group *g = world_group(w, "job=j");
    world_slot(w, g, "a job=j");
    for (int i = 0; i < 200; i++) {
        world_row(w, g, S + i, (double[]){i}, 1);
        tsdb_maintain(w->db);
    }
    struct storage_stats stats;
    storage_stats(w->st, &stats);
    assert_int_equal(stats.series_count, 1);
    assert_int_equal(stats.min_time_ms, S);
    assert_int_equal(stats.max_time_ms, S + 199);
    storage_group_close(w->st, g);
    reopen(w);
    assert_true(w->replayed.series == 1);
    assert_non_null(strstr(world_dump(w, "job=j", S, S + 1000), "1000000199:199\n"));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(rows_come_back),
        CASE(absent_and_stale_end_a_series),
        CASE(values_keep_their_bits),
        CASE(sealed_rows_read_like_open_ones),
        CASE(late_rows_are_judged_sample_by_sample),
        CASE(own_times_make_columns_of_their_own),
        CASE(a_series_that_comes_twice_with_own_times_is_judged_against_itself),
        CASE(appender_follows_prometheus_rules),
        CASE(pushed_series_have_gaps_and_may_interleave),
        CASE(pushed_series_know_their_newest_sample_after_sealing_and_restart),
        CASE(many_targets_push_the_same_metrics),
        CASE(series_with_equal_labels_are_one),
        CASE(an_open_group_cannot_be_opened_twice),
        CASE(series_limit_is_refused),
        CASE(a_full_storage_counts_what_it_refuses_and_takes_what_it_knows),
        CASE(a_second_process_is_refused),
        CASE(equal_presence_shares_the_time_column),
        CASE(wal_is_dropped_once_rows_are_sealed_and_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
