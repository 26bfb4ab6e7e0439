/* Queries over head and partitions: what a query sees does not change when windows of the head become
 * partitions, nor when the database is opened again, nor for a query that was there before.
 *
 * Hours of rows of several targets are dumped by many selectors and ranges, before and after. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check_err.h"
#include "tests/unit/tsdb/storage_world.h"
#include "tsdb/compactor.h"
#include "tsdb/head.h"
#include "tsdb/partition.h"
#include "tsdb/querier_impl.h"
#include "tsdb/storage_dump.h"

enum { STEP_MS = 60000, ROWS = 7 * 60, TARGETS = 5 };
static const int64_t start_ms = INT64_C(7200000) * 140;

static const char *const selectors[] = {
    "__name__=up",     "__name__=~.+", "instance=h1", "instance!=h1 __name__=~m.*", "pushed=yes",
    "__name__=m_once", "zone=",        "zone=z3",     "__name__!~m.* __name__!=up", "none=x"};

static void fill(struct world *w) {
    struct storage_group *groups[TARGETS];
    struct err err;
    for (uint32_t t = 0; t < TARGETS; t++) {
        char target[64];
        (void)snprintf(target, sizeof(target),
                       t == 3 ? "T instance=h%u job=j zone=z3" : "T instance=h%u job=j", t);
        groups[t] = world_group(w, strchr(target, ' ') + 1);
        for (int m = 0; m < 4; m++) {
            static const char *const names[] = {"up", "m_bytes", "m_once", "m_gap"};
            char labels[96];
            (void)snprintf(labels, sizeof(labels), "%s %s", names[m], target + 2);
            assert_int_equal(world_slot(w, groups[t], labels), m);
        }
    }
    for (int i = 0; i < ROWS; i++) {
        const int64_t ts = start_ms + (int64_t)i * STEP_MS;
        fake_clock_set_unix_ns(&w->clock, ts * 1000000);
        for (uint32_t t = 0; t < TARGETS; t++) {
            const double values[] = {1, (double)i * 1.5 + t,
                                     i < 100    ? i
                                     : i == 100 ? f64_stale()
                                                : ABSENT,
                                     i % 7 == 0 ? ABSENT : (double)(i % 11)};
            (void)world_row(w, groups[t], ts + t, values, 4);
        }
        if (i % 3 == 0) {
            struct storage_appender *a;
            assert_ok(storage_appender_begin(w->st, &a, &err), &err);
            (void)world_append(w, a, "rule pushed=yes instance=h1", ts, i);
            (void)world_append(w, a, "up instance=h2 job=j", ts + 30000, 7); /* another place */
            assert_ok(storage_appender_commit(w->st, a, &err), &err);
        }
    }
    for (uint32_t t = 0; t < TARGETS; t++) {
        storage_group_close(w->st, groups[t]);
    }
}

struct range {
    int64_t from;
    int64_t to;
};
static const struct range ranges[] = {
    {INT64_MIN, INT64_MAX},         {0, 90 * STEP_MS},          {119 * STEP_MS, 121 * STEP_MS},
    {100 * STEP_MS, 300 * STEP_MS}, {400 * STEP_MS, INT64_MAX}, {130 * STEP_MS, 130 * STEP_MS}};

static const char *dump(struct world *w, size_t selector, size_t range) {
    const struct range *r = &ranges[range];
    return world_dump(w, selectors[selector], r->from == INT64_MIN ? r->from : start_ms + r->from,
                      r->to == INT64_MAX ? r->to : start_ms + r->to);
}

struct dumps {
    char *text[COUNT_OF(selectors)][COUNT_OF(ranges)];
};

static void take(struct world *w, struct dumps *to) {
    for (size_t s = 0; s < COUNT_OF(selectors); s++) {
        for (size_t r = 0; r < COUNT_OF(ranges); r++) {
            to->text[s][r] = strdup(dump(w, s, r));
        }
    }
}

static void compare_and_free(struct world *w, struct dumps *want, bool last) {
    for (size_t s = 0; s < COUNT_OF(selectors); s++) {
        for (size_t r = 0; r < COUNT_OF(ranges); r++) {
            assert_string_equal(dump(w, s, r), want->text[s][r]);
            if (last) {
                free(want->text[s][r]);
            }
        }
    }
}

static size_t partition_count(struct world *w) {
    struct view *view = view_ref_newest(&w->db->views);
    const size_t n = view->partition_count;
    view_unref(view);
    return n;
}

static void a_query_sees_the_same_before_and_after_a_cut(void **state) {
    (void)state;
    struct world w;
    struct dumps before;
    struct err err;
    world_init(&w);
    world_open(&w);
    fill(&w);
    take(&w, &before);
    assert_non_null(strstr(before.text[0][0], "up"));
    assert_ok(compactor_round(w.db->compactor, false, &err), &err);
    assert_true(partition_count(&w) >= 2);
    compare_and_free(&w, &before, false);
    assert_ok(compactor_round(w.db->compactor, true, &err), &err);
    compare_and_free(&w, &before, false);
    world_close(&w);
    world_open(&w);
    assert_true(partition_count(&w) >= 2);
    compare_and_free(&w, &before, true);
    world_close(&w);
    world_release(&w);
}

static void a_query_that_was_open_during_a_cut_sees_all(void **state) {
    (void)state;
    struct world w;
    struct err err;
    struct arena arena;
    struct storage_querier *q;
    struct storage_selection *sel;
    struct storage_samples samples[32];
    struct matcher matchers[2];
    size_t count;
    world_init(&w);
    world_open(&w);
    fill(&w);
    arena_init(&arena, 0);
    assert_ok(storage_querier_open(w.st, INT64_MIN, INT64_MAX, &arena, NULL, &q, &err), &err);
    const size_t n = world_matchers(&w, "__name__=m_bytes", matchers, 2);
    assert_ok(storage_select(w.st, q, matchers, n, NULL, &sel, &err), &err);
    (void)storage_selection_series(w.st, sel, &count);
    assert_int_equal(count, TARGETS);
    for (int round = 0; round < 3; round++) {
        assert_ok(storage_read(w.st, q, sel, 0, count, INT64_MIN, INT64_MAX, &arena, samples, &err),
                  &err);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(samples[i].count, ROWS);
        }
        assert_ok(compactor_round(w.db->compactor, round == 1, &err), &err);
    }
    assert_true(partition_count(&w) >= 2);
    arena_release(&arena);
    world_close(&w);
    world_release(&w);
}

static void places_in_line_share_the_joined_times(void **state) {
    (void)state;
    struct world w;
    struct err err;
    struct arena arena;
    struct storage_querier *q;
    struct storage_selection *sel;
    struct storage_samples samples[8];
    struct matcher matchers[2];
    size_t count;
    world_init(&w);
    world_open(&w);
    fill(&w);
    assert_ok(compactor_round(w.db->compactor, false, &err), &err);
    arena_init(&arena, 0);
    assert_ok(storage_querier_open(w.st, INT64_MIN, INT64_MAX, &arena, NULL, &q, &err), &err);
    const size_t n = world_matchers(&w, "instance=h1 __name__=~up|m_bytes", matchers, 2);
    assert_ok(storage_select(w.st, q, matchers, n, NULL, &sel, &err), &err);
    const struct storage_series *series = storage_selection_series(w.st, sel, &count);
    assert_int_equal(count, 2);
    assert_int_equal(series[0].target_set, series[1].target_set);
    assert_ok(storage_read(w.st, q, sel, 0, count, INT64_MIN, INT64_MAX, &arena, samples, &err),
              &err);
    assert_int_equal(samples[0].count, ROWS);
    assert_ptr_equal(samples[0].ts, samples[1].ts);
    arena_release(&arena);
    world_close(&w);
    world_release(&w);
}

static void places_that_come_out_of_order_are_laid_in_the_order_of_time(void **state) {
    (void)state;
    const int64_t ts[] = {10, 20, 30, 40, 50, 60, 70};
    const double values[] = {1, 2, 3, 4, 5, 6, 7};
    struct querier_joins joins = {0};
    struct storage_samples out[2];
    struct arena arena;
    struct err err;
    arena_init(&arena, 0);
    for (size_t i = 0; i < 2; i++) { /* an older partition has a newer number than the next ones */
        struct storage_samples parts[] = {{.ts = ts + 3, .values = values + 3, .count = 2},
                                          {.ts = ts, .values = values, .count = 3},
                                          {.count = 0},
                                          {.ts = ts + 5, .values = values + 5, .count = 2}};
        assert_ok(querier_join(&joins, &arena, parts, COUNT_OF(parts), &out[i], &err), &err);
        assert_int_equal(out[i].count, 7);
        assert_memory_equal(out[i].ts, ts, sizeof(ts));
        assert_memory_equal(out[i].values, values, sizeof(values));
    }
    assert_ptr_equal(out[0].ts, out[1].ts); /* nothing was merged sample by sample */
    struct storage_samples late[] = {{.ts = ts + 3, .values = values, .count = 2},
                                     {.ts = ts, .values = values, .count = 5}};
    assert_ok(querier_join(&joins, &arena, late, 2, &out[0], &err), &err);
    assert_int_equal(out[0].count, 5);
    assert_memory_equal(out[0].ts, ts, 5 * sizeof(*ts));
    assert_true(out[0].values[3] == 1 && out[0].values[4] == 2); /* the first place counts */
    arena_release(&arena);
}

static void many_places_take_no_more_memory_than_their_samples(void **state) {
    (void)state;
    enum { PLACES = 500, EACH = 20, SERIES_OF_ONE_TARGET = 3 };
    static int64_t ts[PLACES * EACH];
    static double values[PLACES * EACH];
    static struct storage_samples parts[PLACES];
    struct querier_joins joins = {0};
    struct storage_samples out[SERIES_OF_ONE_TARGET];
    struct arena arena;
    struct err err;
    for (size_t i = 0; i < PLACES * EACH; i++) {
        ts[i] = (int64_t)i * 15000;
        values[i] = (double)i;
    }
    arena_init(&arena, 2 * sizeof(ts)); /* times once, and what names the places */
    for (size_t s = 0; s < SERIES_OF_ONE_TARGET; s++) {
        for (size_t i = 0; i < PLACES; i++) {
            parts[i] = (struct storage_samples){
                .ts = ts + i * EACH, .values = values + i * EACH, .count = EACH};
        }
        assert_ok(querier_join(&joins, &arena, parts, PLACES, &out[s], &err), &err);
        assert_int_equal(out[s].count, PLACES * EACH);
        assert_memory_equal(out[s].ts, ts, sizeof(ts));
        assert_ptr_equal(out[s].values, values);
        assert_ptr_equal(out[s].ts, out[0].ts);
    }
    /* One place less is another list. */
    for (size_t i = 0; i + 1 < PLACES; i++) {
        parts[i] = (struct storage_samples){
            .ts = ts + i * EACH, .values = values + i * EACH, .count = EACH};
    }
    arena.budget_bytes *= 2;
    assert_ok(querier_join(&joins, &arena, parts, PLACES - 1, &out[1], &err), &err);
    assert_int_equal(out[1].count, (PLACES - 1) * EACH);
    assert_memory_equal(out[1].ts, ts, sizeof(ts) - EACH * sizeof(*ts));
    arena_release(&arena);
}

static void labels_of_head_and_partitions_are_one_list(void **state) {
    (void)state;
    struct world w;
    struct err err;
    struct arena arena;
    struct storage_querier *q;
    struct str *got;
    size_t count;
    world_init(&w);
    world_open(&w);
    fill(&w);
    assert_ok(compactor_round(w.db->compactor, false, &err), &err);
    arena_init(&arena, 0);
    assert_ok(storage_querier_open(w.st, INT64_MIN, INT64_MAX, &arena, NULL, &q, &err), &err);
    assert_ok(storage_label_values(w.st, q, STR("instance"), NULL, 0, 0, &got, &count, &err), &err);
    assert_int_equal(count, TARGETS);
    for (size_t i = 0; i < count; i++) {
        const char want[] = {'h', (char)('0' + i), '\0'};
        assert_str(got[i], want);
    }
    assert_ok(storage_label_values(w.st, q, STR("instance"), NULL, 0, 2, &got, &count, &err), &err);
    assert_int_equal(count, 2);
    struct matcher matchers[2];
    const size_t n = world_matchers(&w, "zone=z3", matchers, 2);
    assert_ok(storage_label_names(w.st, q, matchers, n, 0, &got, &count, &err), &err);
    assert_int_equal(count, 4);
    assert_str(got[0], "__name__");
    assert_str(got[3], "zone");
    arena_release(&arena);
    world_close(&w);
    world_release(&w);
}

static void dump_and_list_show_partitions(void **state) {
    (void)state;
    struct world w;
    struct err err;
    struct buf text;
    struct prom_dump_result result;
    struct matcher matchers[1];
    world_init(&w);
    world_open(&w);
    fill(&w);
    const struct prom_selector selector = {matchers,
                                           world_matchers(&w, "__name__=m_bytes", matchers, 1)};
    const struct prom_dump_options options = {
        .mint = INT64_MIN, .maxt = INT64_MAX, .selectors = &selector, .selector_count = 1};
    buf_init(&text, 1 << 20);
    assert_ok(storage_list_partitions(vfs_system(), w.dir, false, &text, &err), &err);
    assert_null(strstr(text.ptr, "00000001"));
    assert_ok(compactor_round(w.db->compactor, false, &err), &err);
    buf_clear(&text);
    assert_true(storage_is_database(vfs_system(), w.dir));
    assert_false(storage_is_database(vfs_system(), "/"));
    assert_ok(storage_list_partitions(vfs_system(), w.dir, false, &text, &err), &err);
    assert_non_null(strstr(text.ptr, "PARTITION"));
    assert_non_null(strstr(text.ptr, "1008000000")); /* where the first window begins */
    buf_release(&text);
    FILE *file = tmpfile();
    assert_ok(storage_dump(w.st, &options, file, &result, &err), &err);
    assert_int_equal(result.samples, TARGETS * ROWS);
    rewind(file);
    char line[256];
    assert_non_null(fgets(line, sizeof(line), file));
    assert_string_equal(line, "{__name__=\"m_bytes\", instance=\"h0\", job=\"j\"} 0 1008000000\n");
    (void)fclose(file);
    world_close(&w);
    world_release(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_query_sees_the_same_before_and_after_a_cut),
        cmocka_unit_test(a_query_that_was_open_during_a_cut_sees_all),
        cmocka_unit_test(places_in_line_share_the_joined_times),
        cmocka_unit_test(places_that_come_out_of_order_are_laid_in_the_order_of_time),
        cmocka_unit_test(many_places_take_no_more_memory_than_their_samples),
        cmocka_unit_test(labels_of_head_and_partitions_are_one_list),
        cmocka_unit_test(dump_and_list_show_partitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
