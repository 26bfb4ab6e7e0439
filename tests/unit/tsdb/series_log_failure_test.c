/* Series log: a crash loses only what was not synced, a call that fails nothing. */
#include "tests/support/check_err.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "tests/support/fault_vfs.h"
#include "tests/unit/tsdb/series_log_world.h"

/* The first file fails, so does the one that takes its place, before anything of it is durable; only
 * the third one is there after a loss of power, and remains of the first. */
static void what_a_lost_file_said_of_an_older_one_is_said_again(void **state) {
    (void)state;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
    struct series_log *log = world_open(fault_vfs_base(faults), seen);
    struct err err;
    world_define(log, 3);
    for (int i = 0; i < 2; i++) {
        fault_vfs_plan(faults, (struct fault_plan){.ops = FAULT_SYNC, .sys_errno = EIO});
        assert_int_equal(series_log_sync(log, &err), ERR_IO);
        fault_vfs_plan(faults, (struct fault_plan){0});
        world_define(log, 1);
    }
    assert_ok(series_log_sync(log, &err), &err);
    series_log_close(log);
    fault_vfs_free(faults);
    struct vfs_file *f = world_file(disk, "/series/00000001"); /* the first record is gone */
    const uint8_t bad = 0xee;
    const uint64_t first_payload = RECORD_FILE_HEADER_BYTES + RECORD_HEADER_BYTES;
    assert_int_equal(vfs_file_pwrite(f, &bad, 1, first_payload, NULL), ERR_OK);
    vfs_file_close(f);
    f = world_file(disk, "/series/00000002"); /* and all of this */
    assert_int_equal(vfs_file_truncate(f, 0, NULL), ERR_OK);
    vfs_file_close(f);
    log = world_open(mem_vfs_base(disk), seen);
    assert_whole(seen, 5);
    assert_int_equal(seen->gaps, 0); /* what remains of the first file does not count */
    series_log_close(log);
    mem_vfs_free(disk);
    mem_free(seen);
}

/* A durable file cannot be synced at opening, so a second one begins with what is in it. */
static struct mem_vfs *disk_with_carried(struct world_seen *seen) {
    struct mem_vfs *disk = mem_vfs_new();
    struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
    struct series_log *log = world_open(fault_vfs_base(faults), seen);
    struct err err;
    world_define(log, 1);
    assert_ok(series_log_sync(log, &err), &err);
    world_define(log, 1);
    assert_ok(series_log_sync(log, &err), &err);
    series_log_close(log);
    fault_vfs_plan(faults, (struct fault_plan){.ops = FAULT_SYNC, .sys_errno = EIO});
    log = world_open(fault_vfs_base(faults), seen);
    fault_vfs_plan(faults, (struct fault_plan){0});
    world_define(log, 1);
    series_log_close(log);
    fault_vfs_free(faults);
    return disk;
}

/* Groups that are defined once more are empty. Each set of the first records of the second file is lost. */
static void what_is_left_of_carried_definitions_is_not_new(void **state) {
    (void)state;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    for (unsigned lost = 0; lost < 8; lost++) {
        struct mem_vfs *disk = disk_with_carried(seen);
        struct vfs_file *f = world_file(disk, "/series/00000002");
        uint64_t at = RECORD_FILE_HEADER_BYTES;
        for (unsigned i = 0; i < 3; i++) {
            uint8_t head[RECORD_HEADER_BYTES + 1];
            size_t got = 0;
            assert_int_equal(vfs_file_pread(f, head, sizeof(head), at, &got, NULL), ERR_OK);
            const uint8_t bad = (uint8_t)~head[RECORD_HEADER_BYTES];
            if ((lost >> i & 1) != 0) {
                assert_int_equal(vfs_file_pwrite(f, &bad, 1, at + RECORD_HEADER_BYTES, NULL),
                                 ERR_OK);
            }
            at += RECORD_HEADER_BYTES + (load_u32(head) >> 8);
        }
        vfs_file_close(f);
        struct series_log *log = world_open(mem_vfs_base(disk), seen);
        assert_whole(seen, 3);
        assert_int_equal(seen->again, 0);
        series_log_close(log);
        mem_vfs_free(disk);
    }
    mem_free(seen);
}

static void a_crash_at_any_operation_keeps_what_was_synced(void **state) {
    (void)state;
    struct err err;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *work = mem_vfs_new();
    assert_int_equal(vfs_mkdir(mem_vfs_base(work), world_dir, NULL), ERR_OK);
    assert_int_equal(vfs_sync_dir(mem_vfs_base(work), "/", NULL), ERR_OK);
    struct series_log *log = world_open(mem_vfs_base(work), seen);
    size_t ops_at[16];
    for (uint32_t i = 0; i < 16; i++) {
        world_define(log, 1);
        ops_at[i] = SIZE_MAX;
        if (i % 3 == 2) {
            assert_ok(series_log_sync(log, &err), &err);
            for (uint32_t k = 0; k <= i; k++) {
                const size_t now = mem_vfs_op_count(work);
                ops_at[k] = ops_at[k] < now ? ops_at[k] : now;
            }
        }
    }
    series_log_close(log);
    for (size_t ops = 0; ops <= mem_vfs_op_count(work); ops++) {
        for (int crash = 0; crash < MEM_CRASH_COUNT; crash++) {
            struct mem_vfs *disk =
                mem_vfs_after_crash(work, ops, (enum mem_crash)crash, ops * 8 + (uint64_t)crash);
            log = world_open(mem_vfs_base(disk), seen);
            for (uint32_t i = 0; i < 16; i++) {
                assert_true(ops_at[i] > ops || seen->groups[i + 1]);
            }
            series_log_close(log);
            mem_vfs_free(disk);
        }
    }
    mem_vfs_free(work);
    mem_free(seen);
}

static void any_call_may_fail_once_and_no_number_changes_its_meaning(void **state) {
    (void)state;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    bool all_failed_once = false;
    for (size_t n = 0; !all_failed_once; n++) {
        struct err err;
        struct mem_vfs *disk = mem_vfs_new();
        struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
        struct series_log *log = world_open(fault_vfs_base(faults), seen);
        fault_vfs_plan(faults, (struct fault_plan){.ops = FAULT_OPEN | FAULT_CHANGES,
                                                   .after = n,
                                                   .sys_errno = n % 2 == 0 ? EIO : ENOSPC,
                                                   .short_write = n % 3 == 0});
        for (uint32_t i = 0; i < 12; i++) {
            for (int attempt = 0; world_define_target(log, &err) != ERR_OK; attempt++) {
                assert_true(attempt < 3);
            }
            for (int attempt = 0; i % 2 == 0 && series_log_sync(log, &err) != ERR_OK; attempt++) {
                assert_true(attempt < 3);
            }
        }
        if (series_log_sync(log, &err) != ERR_OK) {
            assert_ok(series_log_sync(log, &err), &err);
        }
        struct series_log_stats stats;
        series_log_stats_get(log, &stats);
        assert_int_equal(stats.unsynced_bytes, 0);
        assert_false(stats.failed);
        all_failed_once = fault_vfs_failures(faults) == 0;
        assert_int_equal(fault_vfs_repeated_syncs(faults), 0);
        series_log_close(log);
        for (int crash = 0; crash < 2; crash++) { /* kill -9; power loss */
            struct mem_vfs *after = mem_vfs_after_crash(
                disk, mem_vfs_op_count(disk), crash == 0 ? MEM_CRASH_KEEP : MEM_CRASH_TORN, n);
            log = world_open(mem_vfs_base(after), seen);
            assert_whole(seen, 12);
            assert_int_equal(series_log_next(log).group, 13);
            series_log_close(log);
            mem_vfs_free(after);
        }
        fault_vfs_free(faults);
        mem_vfs_free(disk);
    }
    mem_free(seen);
}

/* What a failed write left behind must not come back when other content takes its numbers. */
static void a_write_that_failed_halfway_is_void(void **state) {
    (void)state;
    struct err err;
    struct arena arena;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(1);
    struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
    struct series_log *log = world_open(fault_vfs_base(faults), seen);
    arena_init(&arena, 0);
    /* Two records, of which the failing write stores the first in full. */
    char *text = mem_alloc(600000);
    struct labels sets[4];
    for (size_t i = 0; i < 4; i++) {
        memset(text, (int)('a' + i), 600000);
        const struct label pair = {STR("ghost"), {text, 600000}};
        sets[i] = labels_of(&arena, &pair, 1);
    }
    const struct series_log_batch ghost = {
        .first_metric_set = 3, .metric_sets = sets, .metric_set_count = 4};
    fault_vfs_plan(faults,
                   (struct fault_plan){.ops = FAULT_WRITE, .sys_errno = EIO, .short_write = true});
    assert_err(series_log_append(log, &ghost, &err), ERR_IO, "/series/00000001", &err);
    world_define(log, 2); /* metric sets 3 .. 6 are something else now */
    series_log_close(log);
    fault_vfs_free(faults);
    series_log_close(world_open(mem_vfs_base(disk), seen));
    assert_whole(seen, 3);
    mem_free(text);
    arena_release(&arena);
    mem_vfs_free(disk);
    mem_free(seen);
}

/* A number that would wrap around would stand before all others, and 0 is no file's. */
static void a_log_without_numbers_of_files_takes_no_more_and_keeps_what_it_has(void **state) {
    (void)state;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(3);
    struct vfs *vfs = mem_vfs_base(disk);
    struct vfs_file *f = NULL;
    struct err err;
    assert_ok(vfs_open(vfs, "/series/4294967294", VFS_WRITE | VFS_CREATE, &f, &err), &err);
    vfs_file_close(f);
    struct series_log *log = world_open(vfs, seen);
    assert_whole(seen, 3);
    const struct series_log_next next = series_log_next(log);
    assert_err(world_define_target(log, &err), ERR_NO_SPACE,
               "beginning a series log file: /series: no number is left for a file", &err);
    const struct series_log_batch nothing = {.first_group = 1};
    assert_err(series_log_replace(log, &nothing, 1, next, &err), ERR_NO_SPACE,
               "/series: no number is left for a file", &err);
    series_log_close(log);
    log = world_open(vfs, seen);
    assert_whole(seen, 3);
    assert_int_equal(seen->damages, 0);
    series_log_close(log);
    mem_vfs_free(disk);
    mem_free(seen);
}

struct syncer {
    struct series_log *log;
    struct mutex mu;
    bool stop;
};

static void sync_until_told(void *ctx) {
    struct syncer *s = ctx;
    bool stop = false;
    while (!stop) {
        (void)!series_log_sync(s->log, NULL); /* fails once, by plan */
        mutex_lock(&s->mu);
        stop = s->stop;
        mutex_unlock(&s->mu);
    }
}

static void appends_during_a_sync_that_fails_are_not_lost(void **state) {
    (void)state;
    enum { COUNT = 150 };
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    for (size_t n = 0; n < 12; n++) {
        struct err err;
        struct mem_vfs *disk = mem_vfs_new();
        struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
        struct syncer syncer = {.log = world_open(fault_vfs_base(faults), seen)};
        struct thread threads[2];
        mutex_init(&syncer.mu);
        fault_vfs_plan(faults,
                       (struct fault_plan){.ops = FAULT_SYNC, .after = n, .sys_errno = EIO});
        for (int i = 0; i < 2; i++) {
            thread_start(&threads[i], "syncer", sync_until_told, &syncer);
        }
        world_define(syncer.log, COUNT);
        mutex_lock(&syncer.mu);
        syncer.stop = true;
        mutex_unlock(&syncer.mu);
        thread_join(&threads[0]);
        thread_join(&threads[1]);
        if (series_log_sync(syncer.log, &err) != ERR_OK) {
            assert_ok(series_log_sync(syncer.log, &err), &err);
        }
        series_log_close(syncer.log);
        mutex_release(&syncer.mu);
        struct mem_vfs *after =
            mem_vfs_after_crash(disk, mem_vfs_op_count(disk), MEM_CRASH_KEEP_NAMES, n);
        series_log_close(world_open(mem_vfs_base(after), seen));
        assert_whole(seen, COUNT);
        mem_vfs_free(after);
        fault_vfs_free(faults);
        mem_vfs_free(disk);
    }
    mem_free(seen);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_lost_file_said_of_an_older_one_is_said_again),
        cmocka_unit_test(what_is_left_of_carried_definitions_is_not_new),
        cmocka_unit_test(a_crash_at_any_operation_keeps_what_was_synced),
        cmocka_unit_test(any_call_may_fail_once_and_no_number_changes_its_meaning),
        cmocka_unit_test(a_write_that_failed_halfway_is_void),
        cmocka_unit_test(a_log_without_numbers_of_files_takes_no_more_and_keeps_what_it_has),
        cmocka_unit_test(appends_during_a_sync_that_fails_are_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
