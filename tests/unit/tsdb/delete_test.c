/* Deleting series: what is gone, what stays, and after which ends of the process. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "compact_world.h"
#include "tests/support/check_err.h"
#include "tests/support/fault_vfs.h"
#include "tsdb/tombstone_file.h"
#include "tsdb/tombstones.h"

enum { S = COMPACT_BASE_MS };

static void append(struct world *w, const char *labels, int64_t ts_ms, double value) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    assert_int_equal(world_append(w, a, labels, ts_ms, value), ERR_OK);
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
}

static void delete_in(struct world *w, const char *matchers, int64_t mint, int64_t maxt) {
    struct matcher m[4];
    struct err err;
    const size_t n = world_matchers(w, matchers, m, 4);
    assert_ok(storage_delete_series(w->st, m, n, mint, maxt, &err), &err);
}

static size_t series_count(struct world *w, const char *matchers) {
    struct arena arena;
    struct storage_querier *q;
    struct storage_selection *sel;
    struct matcher m[4];
    struct err err;
    size_t count;
    arena_init(&arena, 0);
    const size_t n = world_matchers(w, matchers, m, 4);
    assert_ok(storage_querier_open(w->st, INT64_MIN, INT64_MAX, &arena, NULL, &q, &err), &err);
    const struct storage_select_hints hints = {.sorted = true, .series_only = true};
    assert_ok(storage_select(w->st, q, m, n, &hints, &sel, &err), &err);
    (void)storage_selection_series(w->st, sel, &count);
    arena_release(&arena);
    return count;
}

static void reopen(struct world *w) {
    world_close(w);
    world_open(w);
}

static void begin(struct world *w) {
    compact_world_init(w);
    world_open(w);
    for (int i = 0; i < 5; i++) {
        append(w, "a job=j", S + i * 1000, i);
        append(w, "b job=j", S + i * 1000, 10 + i);
    }
}

#define ALL "__name__=~.+"

static void what_is_deleted_is_gone_at_once_and_after_a_restart(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    delete_in(&w, "__name__=a", S + 1000, S + 2000);
    const char *want = "a{job=\"j\"} 1000000000:0 1000003000:3 1000004000:4\n"
                       "b{job=\"j\"} 1000000000:10 1000001000:11 1000002000:12 1000003000:13 "
                       "1000004000:14\n";
    assert_string_equal(world_dump(&w, ALL, INT64_MIN, INT64_MAX), want);
    reopen(&w);
    assert_string_equal(world_dump(&w, ALL, INT64_MIN, INT64_MAX), want);
    world_crash(&w);
    world_open(&w);
    assert_string_equal(world_dump(&w, ALL, INT64_MIN, INT64_MAX), want);
    world_close(&w);
    world_release(&w);
}

static void a_series_that_comes_again_shows_new_samples_only(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    delete_in(&w, "__name__=a", INT64_MIN, INT64_MAX);
    assert_int_equal(series_count(&w, ALL), 1);
    append(&w, "a job=j", S + 5000, 5);
    assert_int_equal(series_count(&w, ALL), 2);
    assert_string_equal(world_dump(&w, "__name__=a", INT64_MIN, INT64_MAX),
                        "a{job=\"j\"} 1000005000:5\n");
    reopen(&w);
    assert_string_equal(world_dump(&w, "__name__=a", INT64_MIN, INT64_MAX),
                        "a{job=\"j\"} 1000005000:5\n");
    world_close(&w);
    world_release(&w);
}

static void a_range_without_samples_deletes_nothing(void **state) {
    (void)state;
    struct world w;
    begin(&w);
    const char *before = world_dump(&w, ALL, INT64_MIN, INT64_MAX);
    delete_in(&w, ALL, S + 4001, INT64_MAX);
    delete_in(&w, ALL, S + 10, S);
    delete_in(&w, "__name__=c", INT64_MIN, INT64_MAX);
    assert_string_equal(world_dump(&w, ALL, INT64_MIN, INT64_MAX), before);
    world_close(&w);
    world_release(&w);
}

/* Deletes by chance; the same must be seen before and after cuts, merges, cleaning and restarts. */
static void partitions_and_cleaning_keep_what_is_left(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct world w;
        struct compact_play play;
        struct err err;
        compact_world_init(&w);
        world_open(&w);
        compact_play_begin(&play, &w, seed);
        compact_play_for(&play, 3 * COMPACT_WINDOW_MS);
        delete_in(&w, "__name__=~.*[13579].*", COMPACT_BASE_MS + 7000, COMPACT_BASE_MS + 30000);
        const char *first = compact_dump(&w);
        assert_ok(tsdb_compact(w.db, true, &err), &err);
        assert_string_equal(compact_dump(&w), first);
        compact_play_for(&play, 2 * COMPACT_WINDOW_MS);
        const size_t before = strlen(compact_dump(&w));
        delete_in(&w, "__name__=~.*[02468].*", COMPACT_BASE_MS, COMPACT_BASE_MS + 15000);
        delete_in(&w, "__name__=~.*1.*", INT64_MIN, INT64_MAX);
        compact_play_end(&play);
        const char *want = compact_dump(&w);
        assert_true(strlen(want) < before);
        assert_ok(storage_clean_tombstones(w.st, &err), &err);
        assert_string_equal(compact_dump(&w), want);
        reopen(&w);
        assert_string_equal(compact_dump(&w), want);
        assert_ok(tsdb_compact(w.db, true, &err), &err);
        assert_string_equal(compact_dump(&w), want);
        assert_ok(storage_clean_tombstones(w.st, &err), &err);
        assert_string_equal(compact_dump(&w), want);
        size_t partitions;
        assert_string_equal(compact_dump_partitions(&w, &partitions), want);
        world_close(&w);
        world_release(&w);
    }
}

static bool files_are_the_same(struct world *w) {
    struct tombstones *t;
    struct tombstone_file_found found;
    struct err err;
    const struct tombstone_file_options options = {.vfs = vfs_system(), .dir = w->dir};
    assert_ok(tombstone_file_load(&options, &t, &found, &err), &err);
    tombstones_unref(t);
    return !found.wants_writing;
}

/* The first file has the deletion, the second has not. */
static void a_deletion_that_failed_half_way_is_undone_in_both_files(void **state) {
    (void)state;
    struct world w;
    struct matcher m[4];
    struct err err;
    char path[128];
    compact_world_init(&w);
    struct fault_vfs *faults = fault_vfs_new(vfs_system());
    w.options.vfs = fault_vfs_base(faults);
    world_open(&w);
    append(&w, "a job=j", S, 1);
    append(&w, "a job=j", S + 1000, 2);
    append(&w, "a job=j", S + 2000, 3);
    delete_in(&w, "__name__=a", S, S);
    const char *want = "a{job=\"j\"} 1000001000:2 1000002000:3\n";
    const size_t n = world_matchers(&w, "__name__=a", m, 4);
    fault_vfs_plan(
        faults,
        (struct fault_plan){.ops = FAULT_WRITE, .after = 1, .sys_errno = ENOSPC, .sticky = true});
    assert_err(storage_delete_series(w.st, m, n, S + 1000, S + 1000, &err), ERR_NO_SPACE, NULL,
               &err);
    assert_false(files_are_the_same(&w));
    tsdb_maintain(w.db);
    assert_false(files_are_the_same(&w));
    fault_vfs_plan(faults, (struct fault_plan){0});
    tsdb_maintain(w.db);
    assert_true(files_are_the_same(&w));
    assert_string_equal(world_dump(&w, ALL, INT64_MIN, INT64_MAX), want);
    world_close(&w);
    (void)snprintf(path, sizeof(path), "%s/" TOMBSTONE_FILE_NAME, w.dir);
    assert_ok(vfs_unlink(vfs_system(), path, &err), &err);
    world_open(&w);
    assert_string_equal(world_dump(&w, ALL, INT64_MIN, INT64_MAX), want);
    world_close(&w);
    world_release(&w);
    fault_vfs_free(faults);
}

/* Opening finds the one and the other, and has no space. */
static void what_opening_could_not_write_is_written_later(void **state) {
    (void)state;
    struct world w;
    struct err err;
    char path[128];
    begin(&w);
    delete_in(&w, "__name__=a", INT64_MIN, INT64_MAX);
    world_close(&w);
    (void)snprintf(path, sizeof(path), "%s/" TOMBSTONE_COPY_NAME, w.dir);
    assert_ok(vfs_unlink(vfs_system(), path, &err), &err);
    struct fault_vfs *faults = fault_vfs_new(vfs_system());
    w.options.vfs = fault_vfs_base(faults);
    fault_vfs_plan(faults,
                   (struct fault_plan){.ops = FAULT_WRITE, .sys_errno = ENOSPC, .sticky = true});
    world_open(&w);
    assert_int_equal(series_count(&w, ALL), 1);
    assert_false(files_are_the_same(&w));
    fault_vfs_plan(faults, (struct fault_plan){0});
    tsdb_maintain(w.db);
    assert_true(files_are_the_same(&w));
    world_close(&w);
    world_release(&w);
    fault_vfs_free(faults);
}

static struct tombstones *some(struct arena *arena) {
    struct tombstones *t = NULL;
    struct err err;
    const struct label a[] = {{STR("__name__"), STR("a")}, {STR("job"), STR("j")}};
    const struct label b[] = {{STR("__name__"), STR("b")}};
    const struct tombstone_addition more[] = {
        {labels_of(arena, a, 2), {5, 9}},         {labels_of(arena, b, 1), {INT64_MIN, -1}},
        {labels_of(arena, a, 2), {10, 12}},       {labels_of(arena, a, 2), {20, 20}},
        {labels_of(arena, b, 1), {0, INT64_MAX}},
    };
    assert_ok(tombstones_with(NULL, more, 5, &t, &err), &err);
    return t;
}

static void neighbouring_intervals_become_one(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena, 0);
    struct tombstones *t = some(&arena);
    const struct label pair[] = {{STR("__name__"), STR("a")}, {STR("job"), STR("j")}};
    const struct tombstone *a = tombstones_find(t, labels_of(&arena, pair, 2));
    const struct tombstone *b =
        tombstones_find(t, labels_of(&arena, (struct label[]){{STR("__name__"), STR("b")}}, 1));
    assert_non_null(a);
    assert_int_equal(a->count, 2);
    assert_int_equal(a->intervals[0].max_ts_ms, 12);
    assert_false(tombstone_covers(a, 4));
    assert_true(tombstone_covers(a, 12));
    assert_false(tombstone_covers(a, 13));
    assert_true(tombstone_covers(a, 20));
    assert_false(tombstone_covers(a, 21));
    assert_int_equal(b->count, 1);
    assert_true(tombstone_covers(b, INT64_MAX));
    tombstones_unref(t);
    arena_release(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_deleted_is_gone_at_once_and_after_a_restart),
        cmocka_unit_test(a_series_that_comes_again_shows_new_samples_only),
        cmocka_unit_test(a_range_without_samples_deletes_nothing),
        cmocka_unit_test(partitions_and_cleaning_keep_what_is_left),
        cmocka_unit_test(a_deletion_that_failed_half_way_is_undone_in_both_files),
        cmocka_unit_test(what_opening_could_not_write_is_written_later),
        cmocka_unit_test(neighbouring_intervals_become_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
