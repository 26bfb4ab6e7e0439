/* Cutting and merging change where samples are and nothing else: a database that compacts has what
 * one that does not has, after any history and restart. What disks do: compact_disk_test.c. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/mutex.h"
#include "compact_world.h"
#include "tests/support/check_err.h"
#include "tsdb/compactor.h"
#include "tsdb/head.h"

static size_t partition_count(struct world *w) {
    struct view *view = view_ref_newest(&w->db->views);
    const size_t n = view->partition_count;
    view_unref(view);
    return n;
}

static uint64_t run_count(struct world *w) {
    uint64_t n = 0;
    for (uint32_t id = 1; id < w->db->group_count; id++) {
        n += w->db->groups[id] != NULL ? w->db->groups[id]->run_count : 0;
    }
    return n;
}

static uint64_t file_count(struct world *w) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < w->db->shard_count; i++) {
        struct segment_stats stats = {0};
        segment_stats_get(w->db->shards[i]->store, &stats);
        n += stats.files;
    }
    return n;
}

static void a_history_with_compactions_reads_as_without(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct world with;
        struct world without;
        struct compact_play p;
        struct compact_play q;
        compact_world_init(&with);
        compact_world_init(&without);
        without.options.no_compaction = true;
        world_open(&with);
        world_open(&without);
        compact_play_begin(&p, &with, seed);
        compact_play_begin(&q, &without, seed);
        for (int i = 0; i < 16; i++) {
            compact_play_for(&p, COMPACT_WINDOW_MS / 2);
            compact_play_for(&q, COMPACT_WINDOW_MS / 2);
            tsdb_maintain(with.db);
            compact_assert_same(compact_dump(&with), compact_dump(&without));
        }
        assert_true(partition_count(&with) >= 1);
        assert_int_equal(partition_count(&without), 0);
        compact_play_end(&p);
        compact_play_end(&q);
        world_close(&with);
        world_open(&with);
        assert_int_equal(with.replayed.damaged_records, 0);
        compact_assert_same(compact_dump(&with), compact_dump(&without));
        struct err err;
        assert_ok(tsdb_compact(with.db, true, &err), &err);
        compact_assert_same(compact_dump(&with), compact_dump(&without));
        size_t n;
        compact_assert_same(compact_dump_partitions(&with, &n), compact_dump(&without));
        assert_int_equal(run_count(&with), 0);
        world_release(&with);
        world_release(&without);
    }
}

static void a_window_is_cut_when_the_newest_sample_is_an_eighth_of_it_behind_its_end(void **state) {
    (void)state;
    struct world w;
    compact_world_init(&w);
    world_open(&w);
    struct storage_group *g = world_group(&w, "job=a");
    world_slot(&w, g, "m job=a");
    const double v = 1;
    world_row(&w, g, COMPACT_BASE_MS, &v, 1);
    world_row(&w, g, COMPACT_BASE_MS + COMPACT_WINDOW_MS * 9 / 8, &v, 1);
    tsdb_maintain(w.db);
    assert_int_equal(partition_count(&w), 0);
    world_row(&w, g, COMPACT_BASE_MS + COMPACT_WINDOW_MS * 9 / 8 + 1, &v, 1);
    tsdb_maintain(w.db);
    assert_int_equal(partition_count(&w), 1);
    size_t n;
    assert_string_equal(compact_dump_partitions(&w, &n), "m{job=\"a\"} 1000000000:1");
    storage_group_close(w.st, g);
    world_release(&w);
}

static void runs_of_a_window_share_no_file_with_those_of_the_next(void **state) {
    (void)state;
    enum { ROWS = 64, STEP_MS = 300 };
    struct world w;
    compact_world_init(&w);
    world_open(&w);
    struct storage_group *g = world_group(&w, "job=a");
    world_slot(&w, g, "m job=a");
    for (int window = 0; window < 2; window++) {
        for (int i = 0; i < ROWS; i++) {
            const double v = i;
            world_row(&w, g, COMPACT_BASE_MS + window * COMPACT_WINDOW_MS + i * STEP_MS, &v, 1);
        }
    }
    assert_int_equal(file_count(&w), 2);
    tsdb_maintain(w.db);
    assert_int_equal(partition_count(&w), 1);
    assert_int_equal(file_count(&w), 1);
    storage_group_close(w.st, g);
    world_release(&w);
}

static void data_that_is_old_is_cut_without_newer_samples(void **state) {
    (void)state;
    struct world w;
    compact_world_init(&w);
    world_open(&w);
    struct storage_group *g = world_group(&w, "job=a");
    world_slot(&w, g, "m job=a");
    const double v = 1;
    world_row(&w, g, COMPACT_BASE_MS, &v, 1);
    tsdb_maintain(w.db);
    assert_int_equal(partition_count(&w), 0);
    fake_clock_advance_ns(&w.clock, 16 * 60 * NS_PER_S);
    tsdb_maintain(w.db);
    assert_int_equal(partition_count(&w), 1);
    storage_group_close(w.st, g);
    world_release(&w);
}

static void the_memory_of_a_cut_is_bounded(void **state) {
    (void)state;
    enum { SERIES = 1000, ROWS = 70, MEMORY = 32 << 10 };
    struct world w;
    compact_world_init(&w);
    w.options.compact_memory_bytes = MEMORY;
    world_open(&w);
    struct storage_group *g = world_group(&w, "job=a");
    double *values = mem_array(SERIES, sizeof(*values));
    struct rng rng = rng_seeded(5);
    for (int i = 0; i < SERIES; i++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "m%d job=a", i);
        world_slot(&w, g, text);
    }
    for (int row = 0; row < ROWS; row++) {
        for (int i = 0; i < SERIES; i++) {
            values[i] = i < SERIES / 2 ? i : f64_of_bits(rng_u64(&rng) >> 2);
        }
        world_row(&w, g, COMPACT_BASE_MS + row * 100, values, SERIES);
    }
    const char *before = compact_dump(&w);
    struct err err;
    assert_ok(tsdb_compact(w.db, true, &err), &err);
    compact_assert_same(compact_dump(&w), before);
    const size_t peak = compactor_memory_peak(w.db->compactor);
    print_message("most memory for samples: %zu of %d asked for\n", peak, (int)MEMORY);
    assert_true(peak > 0 && peak <= 3 * MEMORY);
    mem_free(values);
    storage_group_close(w.st, g);
    world_release(&w);
}

/* ---- which partitions there are ---- */

static void fill_windows(struct world *w, int first, int windows) {
    struct storage_group *g = world_group(w, "job=a");
    world_slot(w, g, "m job=a");
    for (int i = 0; i < windows * 4; i++) {
        const double v = i;
        world_row(w, g,
                  COMPACT_BASE_MS + (int64_t)first * COMPACT_WINDOW_MS +
                      (int64_t)i * COMPACT_WINDOW_MS / 4,
                  &v, 1);
    }
    storage_group_close(w->st, g);
}

/* "1:0-3 2:3-4": level and windows of the partitions, in the order of time. */
static const char *layout(struct world *w) {
    struct buf text;
    buf_init(&text, 1 << 12);
    struct view *view = view_ref_newest(&w->db->views);
    int64_t at = INT64_MIN;
    for (;;) {
        const struct manifest_partition *next = NULL;
        for (size_t i = 0; i < view->partition_count; i++) {
            const struct manifest_partition *p = &view->partitions[i]->info;
            if (p->start_ms > at && (next == NULL || p->start_ms < next->start_ms)) {
                next = p;
            }
        }
        if (next == NULL) {
            break;
        }
        at = next->start_ms;
        buf_printf(&text, "%s%u:%lld-%lld", text.len != 0 ? " " : "", next->level,
                   (long long)(next->start_ms - COMPACT_BASE_MS) / COMPACT_WINDOW_MS,
                   (long long)(next->end_ms - COMPACT_BASE_MS) / COMPACT_WINDOW_MS);
    }
    view_unref(view);
    const char *out = arena_cstr(&w->arena, buf_str(&text));
    buf_release(&text);
    return out;
}

static void windows_are_merged_by_three(void **state) {
    (void)state;
    struct world w;
    compact_world_init(&w);
    world_open(&w);
    assert_int_equal(COMPACT_BASE_MS / COMPACT_WINDOW_MS % 9, 5); /* aligned: -5 is, and 4 */
    fill_windows(&w, -5, 3);
    fill_windows(&w, -2, 2);
    tsdb_maintain(w.db);
    assert_string_equal(layout(&w), "2:-5--2 1:-2--1");
    fill_windows(&w, 0, 6);
    tsdb_maintain(w.db);
    const char *before = compact_dump(&w);
    assert_string_equal(layout(&w), "3:-5-4 1:4-5");
    world_close(&w);
    world_open(&w);
    assert_string_equal(layout(&w), "3:-5-4 1:4-5");
    compact_assert_same(compact_dump(&w), before);
    world_release(&w);
}

static void old_partitions_go_by_time_and_by_size(void **state) {
    (void)state;
    struct world w;
    compact_world_init(&w);
    w.options.partition_max_ms = COMPACT_WINDOW_MS; /* nothing is merged */
    world_open(&w);
    fill_windows(&w, 0, 6);
    tsdb_maintain(w.db);
    assert_string_equal(layout(&w), "1:0-1 1:1-2 1:2-3 1:3-4 1:4-5");
    tsdb_set_retention(w.db, &(struct retention_limits){.time_ms = 3 * COMPACT_WINDOW_MS});
    tsdb_maintain(w.db);
    assert_string_equal(layout(&w), "1:2-3 1:3-4 1:4-5");
    assert_non_null(strstr(compact_dump(&w), "{job=\"a\"} 1000040000:8 "));
    struct storage_stats stats;
    storage_stats(w.st, &stats);
    tsdb_set_retention(w.db, &(struct retention_limits){.size_bytes = (int64_t)stats.disk_bytes});
    tsdb_maintain(w.db);
    assert_string_equal(layout(&w), "1:2-3 1:3-4 1:4-5");
    storage_stats(w.st, &stats);
    tsdb_set_retention(w.db,
                       &(struct retention_limits){.size_bytes = (int64_t)stats.disk_bytes - 1});
    tsdb_maintain(w.db);
    assert_string_equal(layout(&w), "1:3-4 1:4-5");
    world_close(&w);
    world_open(&w);
    assert_string_equal(layout(&w), "1:3-4 1:4-5");
    world_release(&w);
}

static void a_snapshot_has_the_partitions(void **state) {
    (void)state;
    struct world w;
    struct world s;
    struct compact_play p;
    struct err err;
    char name[TSDB_SNAPSHOT_NAME_MAX];
    char path[256];
    compact_world_init(&w);
    world_open(&w);
    compact_play_begin(&p, &w, 21);
    compact_play_for(&p, 5 * COMPACT_WINDOW_MS);
    tsdb_maintain(w.db);
    compact_play_for(&p, COMPACT_WINDOW_MS / 2);
    const char *want = compact_dump(&w);
    assert_ok(tsdb_snapshot(w.db, false, name, &err), &err);
    const size_t count = partition_count(&w);
    assert_true(count > 0);
    assert_ok(tsdb_compact(w.db, true, &err), &err);
    compact_world_init(&s);
    (void)snprintf(path, sizeof(path), "%s/snapshots/%s", w.dir, name);
    s.options.path = path;
    world_open(&s);
    assert_int_equal(partition_count(&s), count);
    compact_assert_same(compact_dump(&s), want);
    compact_assert_same(compact_dump(&w), want);
    assert_ok(tsdb_compact(s.db, true, &err), &err);
    compact_assert_same(compact_dump(&s), want);
    world_close(&s);
    world_open(&s);
    compact_assert_same(compact_dump(&s), want);
    world_release(&s);
    compact_play_end(&p);
    world_release(&w);
}

/* ---- queries meanwhile ---- */

struct reader {
    struct world *w;
    int64_t maxt;
    size_t want;
    atomic_bool *stop;
    size_t rounds;
    size_t wrong;
    struct thread thread;
};

static size_t count_samples(struct storage *st, int64_t maxt) {
    struct arena arena;
    struct err err;
    struct storage_querier *q;
    struct storage_selection *sel;
    size_t count;
    size_t n = 0;
    arena_init(&arena, 0);
    if (storage_querier_open(st, INT64_MIN, maxt, &arena, NULL, &q, &err) == ERR_OK &&
        storage_select(st, q, NULL, 0, NULL, &sel, &err) == ERR_OK) {
        (void)storage_selection_series(st, sel, &count);
        struct storage_samples *samples = arena_try_alloc(&arena, count + 1, sizeof(*samples));
        if (storage_read(st, q, sel, 0, count, INT64_MIN, maxt, &arena, samples, &err) == ERR_OK) {
            for (size_t i = 0; i < count; i++) {
                n += samples[i].count;
            }
        }
    }
    arena_release(&arena);
    return n;
}

static void read_on(void *ctx) {
    struct reader *r = ctx;
    while (!atomic_load(r->stop) || r->rounds == 0) {
        r->wrong += count_samples(r->w->st, r->maxt) != r->want;
        r->rounds++;
    }
}

static void queries_see_each_sample_once_while_partitions_come(void **state) {
    (void)state;
    enum { READERS = 2 };
    struct world w;
    struct reader readers[READERS];
    atomic_bool stop;
    atomic_init(&stop, false);
    compact_world_init(&w);
    w.options.partition_max_ms = 9 * COMPACT_WINDOW_MS;
    world_open(&w);
    fill_windows(&w, -5, 1);
    const int64_t maxt = COMPACT_BASE_MS + 2 * COMPACT_WINDOW_MS;
    fill_windows(&w, -4, 9);
    const size_t want = count_samples(w.st, maxt);
    assert_true(want > 20);
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.w = &w, .maxt = maxt, .want = want, .stop = &stop};
        thread_start(&readers[i].thread, "reader", read_on, &readers[i]);
    }
    for (int i = 5; i < 20; i++) {
        fill_windows(&w, i, 1);
        tsdb_maintain(w.db);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++) {
        thread_join(&readers[i].thread);
        assert_true(readers[i].rounds > 0);
        assert_int_equal(readers[i].wrong, 0);
    }
    tsdb_maintain(w.db);
    assert_true(run_count(&w) < 12);
    world_release(&w);
}

/* As a name that a person or another program left, or that a damaged folder has. */
static void a_folder_with_the_last_number_does_not_end_compaction(void **state) {
    (void)state;
    struct world w;
    struct err err;
    char path[256];
    compact_world_init(&w);
    world_open(&w);
    fill_windows(&w, -5, 1);
    world_close(&w);
    (void)snprintf(path, sizeof(path), "%s/partitions/4294967294", w.dir);
    assert_ok(vfs_mkdir(vfs_system(), path, &err), &err);
    world_open(&w);
    const char *before = compact_dump(&w);
    assert_ok(tsdb_compact(w.db, true, &err), &err);
    assert_true(partition_count(&w) > 0);
    compact_assert_same(compact_dump(&w), before);
    world_close(&w);
    world_open(&w);
    assert_true(partition_count(&w) > 0);
    compact_assert_same(compact_dump(&w), before);
    world_release(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_are_merged_by_three),
        cmocka_unit_test(old_partitions_go_by_time_and_by_size),
        cmocka_unit_test(a_snapshot_has_the_partitions),
        cmocka_unit_test(queries_see_each_sample_once_while_partitions_come),
        cmocka_unit_test(a_window_is_cut_when_the_newest_sample_is_an_eighth_of_it_behind_its_end),
        cmocka_unit_test(runs_of_a_window_share_no_file_with_those_of_the_next),
        cmocka_unit_test(data_that_is_old_is_cut_without_newer_samples),
        cmocka_unit_test(a_history_with_compactions_reads_as_without),
        cmocka_unit_test(a_folder_with_the_last_number_does_not_end_compaction),
        cmocka_unit_test(the_memory_of_a_cut_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
