/* Cutting and merging on disks that lose what was not synced, are full or fail: a crash at any
 * operation, each call that fails. ctest runs the crashes in several parts. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "compact_world.h"
#include "tests/support/check_err.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/mem_vfs.h"
#include "tests/support/test_part.h"
#include "tests/support/thread_check.h"
#include "tsdb/compactor.h"
#include "tsdb/head.h"

struct on_disk {
    struct world w;
    struct mem_vfs *disk;
};

static void open_on(struct on_disk *d, struct mem_vfs *disk) {
    compact_world_init(&d->w);
    d->disk = disk;
    d->w.options.vfs = mem_vfs_base(disk);
    d->w.options.path = "db";
    world_open(&d->w);
}

static void close_disk(struct on_disk *d) {
    world_release(&d->w);
    mem_vfs_free(d->disk);
}

/* A database with several windows to be cut, synced. */
static const char *fill_disk(struct on_disk *d, uint64_t seed, int windows) {
    struct compact_play p;
    d->w.options.no_compaction = true;
    open_on(d, mem_vfs_new());
    compact_play_begin(&p, &d->w, seed);
    p.step_ms = 400; /* some 100 rows a group: sealed runs and open rows */
    compact_play_for(&p, windows * COMPACT_WINDOW_MS);
    compact_play_end(&p);
    world_close(&d->w);
    world_open(&d->w);
    return compact_dump(&d->w);
}

static void check_after_crash(struct mem_vfs *disk, size_t op, enum mem_crash crash,
                              const char *want) {
    struct on_disk after;
    struct err err;
    open_on(&after, mem_vfs_after_crash(disk, op, crash, op * 7 + crash));
    const char *got = compact_dump(&after.w);
    const bool damaged = crash == MEM_CRASH_KEEP && after.w.replayed.damaged_records != 0;
    if (strcmp(got, want) != 0 || damaged) {
        struct buf text;
        buf_init(&text, 1 << 12);
        mem_vfs_describe_op(disk, op == 0 ? 0 : op - 1, &text);
        print_message("op %zu crash %d, behind %.*s\n", op, (int)crash, (int)text.len, text.ptr);
        buf_release(&text);
    }
    compact_assert_same(got, want);
    assert_false(damaged);
    assert_ok(tsdb_compact(after.w.db, true, &err), &err);
    compact_assert_same(compact_dump(&after.w), want);
    size_t n;
    compact_assert_same(compact_dump_partitions(&after.w, &n), want);
    world_close(&after.w);
    world_open(&after.w);
    compact_assert_same(compact_dump(&after.w), want);
    close_disk(&after);
}

/* A sync changes only what is there when the unsynced is lost, all else only what is there when it is
 * kept. */
static bool is_sync(struct mem_vfs *disk, size_t op) {
    struct buf text;
    buf_init(&text, 1 << 12);
    mem_vfs_describe_op(disk, op, &text);
    buf_append(&text, "", 1);
    const bool sync = strstr(text.ptr, ": sync") != NULL;
    buf_release(&text);
    return sync;
}

static void a_crash_at_any_operation_loses_nothing(void **state) {
    struct on_disk d;
    const char *want = fill_disk(&d, 9, 4);
    struct err err;
    const size_t first = mem_vfs_op_count(d.disk);
    assert_ok(tsdb_compact(d.w.db, true, &err), &err);
    compact_assert_same(compact_dump(&d.w), want);
    const size_t last = mem_vfs_op_count(d.disk);
    print_message("%zu operations\n", last - first);
    assert_true(last > first + 20);
    size_t syncs = 0;
    for (size_t op = first; op <= last; op += THREAD_CHECK ? 40 : 1) {
        const enum mem_crash crash = (enum mem_crash)(op % MEM_CRASH_COUNT);
        const bool sync = op != first && is_sync(d.disk, op - 1);
        syncs += sync;
        if (!test_part_has(*state, op)) {
            continue;
        }
        if (!sync) {
            check_after_crash(d.disk, op, MEM_CRASH_KEEP, want);
        }
        if (sync || op == first) {
            check_after_crash(d.disk, op, MEM_CRASH_LOSE, want);
        }
        if (crash != MEM_CRASH_KEEP && crash != MEM_CRASH_LOSE) {
            check_after_crash(d.disk, op, crash, want);
        }
    }
    assert_true(THREAD_CHECK || (syncs > 20 && syncs < last - first));
    close_disk(&d);
}

static void flip(struct mem_vfs *disk, const char *path, uint64_t offset) {
    struct vfs_file *f;
    struct err err;
    uint8_t byte;
    assert_ok(vfs_open(mem_vfs_base(disk), path, VFS_WRITE, &f, &err), &err);
    assert_ok(vfs_file_pread(f, &byte, 1, offset, NULL, &err), &err);
    byte ^= 1;
    assert_ok(vfs_file_pwrite(f, &byte, 1, offset, &err), &err);
    vfs_file_close(f);
}

static void a_damaged_manifest_costs_nothing(void **state) {
    (void)state;
    struct on_disk d;
    struct err err;
    const char *want = fill_disk(&d, 17, 5);
    assert_ok(tsdb_compact(d.w.db, true, &err), &err);
    char path[64];
    for (unsigned i = 0; i < 20; i++) {
        struct vfs_stat st;
        const unsigned newest = 20 - i;
        (void)snprintf(path, sizeof(path), "db/partitions/MANIFEST-%08u", newest);
        if (vfs_stat(d.w.options.vfs, path, &st, NULL) == ERR_OK) {
            break;
        }
    }
    world_close(&d.w);
    flip(d.disk, path, 60);
    world_open(&d.w);
    compact_assert_same(compact_dump(&d.w), want);
    assert_ok(tsdb_compact(d.w.db, true, &err), &err);
    world_close(&d.w);
    world_open(&d.w);
    compact_assert_same(compact_dump(&d.w), want);
    close_disk(&d);
}

static void a_full_disk_leaves_the_head_and_is_tried_again(void **state) {
    (void)state;
    struct on_disk d;
    struct err err;
    const char *want = fill_disk(&d, 11, 4);
    uint64_t free_bytes;
    uint64_t total;
    assert_ok(vfs_total_bytes(d.w.options.vfs, "db", &total, &err), &err);
    size_t failures = 0;
    for (uint64_t room = 0;; room += 4000) {
        mem_vfs_set_capacity(d.disk, total); /* files that are removed still count there */
        assert_ok(vfs_free_bytes(d.w.options.vfs, "db", &free_bytes, &err), &err);
        mem_vfs_set_capacity(d.disk, total - free_bytes + room);
        const enum err_code code = tsdb_compact(d.w.db, true, &err);
        compact_assert_same(compact_dump(&d.w), want);
        if (code == ERR_OK) {
            break;
        }
        assert_true(code == ERR_NO_SPACE || code == ERR_UNAVAILABLE);
        failures++;
    }
    assert_true(failures > 2);
    size_t n;
    compact_assert_same(compact_dump_partitions(&d.w, &n), want);
    mem_vfs_set_capacity(d.disk, total);
    world_close(&d.w);
    world_open(&d.w);
    compact_assert_same(compact_dump(&d.w), want);
    close_disk(&d);
}

static void each_call_of_the_disk_fails_once(void **state) {
    (void)state;
    const unsigned kinds[] = {FAULT_CHANGES, FAULT_OPEN | FAULT_STAT | FAULT_LIST | FAULT_SIZE};
    for (size_t kind = 0; kind < COUNT_OF(kinds); kind++) {
        for (size_t n = 0;; n += THREAD_CHECK ? 10 + n / 4 : 1 + n / 40) {
            struct on_disk d;
            struct err err;
            const char *want = fill_disk(&d, 13, 3);
            world_close(&d.w);
            struct fault_vfs *faulty = fault_vfs_new(mem_vfs_base(d.disk));
            d.w.options.vfs = fault_vfs_base(faulty);
            world_open(&d.w);
            fault_vfs_plan(faulty,
                           (struct fault_plan){.ops = kinds[kind], .after = n, .sys_errno = EIO});
            (void)!tsdb_compact(d.w.db, true, &err);
            const size_t failures = fault_vfs_failures(faulty);
            fault_vfs_plan(faulty, (struct fault_plan){0});
            compact_assert_same(compact_dump(&d.w), want);
            /* Runs of a file whose sync failed are written again first, a run each time. */
            enum err_code code = ERR_UNAVAILABLE;
            for (int i = 0; i < 50 && code == ERR_UNAVAILABLE; i++) {
                code = tsdb_compact(d.w.db, true, &err);
            }
            assert_ok(code, &err);
            compact_assert_same(compact_dump(&d.w), want);
            world_close(&d.w);
            world_open(&d.w);
            compact_assert_same(compact_dump(&d.w), want);
            close_disk(&d);
            fault_vfs_free(faulty);
            if (failures == 0) {
                assert_true(n > 5);
                break;
            }
        }
    }
}

int main(int argc, char **argv) {
    struct test_part part = test_part_of(argc, argv);
    const struct CMUnitTest crashes[] = {
        cmocka_unit_test_prestate(a_crash_at_any_operation_loses_nothing, &part),
    };
    const struct CMUnitTest others[] = {
        cmocka_unit_test(a_damaged_manifest_costs_nothing),
        cmocka_unit_test(a_full_disk_leaves_the_head_and_is_tried_again),
        cmocka_unit_test(each_call_of_the_disk_fails_once),
    };
    const int failed = cmocka_run_group_tests(crashes, NULL, NULL);
    return failed + (part.number == 1 ? cmocka_run_group_tests(others, NULL, NULL) : 0);
}
