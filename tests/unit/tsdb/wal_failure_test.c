/* WAL: what a failed call costs, and what rewriting from memory mends. */
#include "tests/support/check_err.h"

#include <errno.h>

#include "base/mem.h"
#include "base/mutex.h"
#include "tests/support/fault_vfs.h"
#include "tests/unit/tsdb/wal_world.h"

struct needed {
    uint32_t first;
    uint32_t end;
    struct wal_position first_at;
};

static enum err_code rewrite_needed(void *ctx, struct wal_rewriter *to, struct err *err) {
    struct needed *needed = ctx;
    for (uint32_t i = needed->first; i < needed->end; i++) {
        uint8_t bytes[PAYLOAD_MAX];
        struct wal_position at;
        const enum err_code code = wal_rewrite(to, world_payload(i, bytes), &at, err);
        needed->first_at = i == needed->first ? at : needed->first_at;
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static void a_full_disk_fails_the_log_until_memory_is_rewritten(void **state) {
    (void)state;
    struct err err;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    for (uint64_t capacity = 0; capacity < 9000; capacity += 333) {
        struct mem_vfs *disk = mem_vfs_new();
        struct wal *wal = world_open(disk, seen, NULL);
        uint8_t bytes[PAYLOAD_MAX];
        uint32_t next = 0;
        mem_vfs_set_capacity(disk, capacity);
        enum err_code code = ERR_OK;
        while ((code = wal_append(wal, world_payload(next, bytes), NULL, &err)) == ERR_OK) {
            next++;
        }
        assert_int_equal(code, ERR_NO_SPACE);
        assert_int_equal(wal_state_get(wal), WAL_FAILED);
        assert_err(wal_append(wal, world_payload(next, bytes), NULL, &err), ERR_UNAVAILABLE, NULL,
                   &err);
        assert_err(wal_sync(wal, &err), ERR_UNAVAILABLE, NULL, &err);
        struct needed needed = {.first = next / 2, .end = next + 3};
        assert_err(wal_rotate_after_failure(wal, rewrite_needed, &needed, &err), ERR_NO_SPACE, NULL,
                   &err);
        assert_int_equal(wal_state_get(wal), WAL_FAILED);

        mem_vfs_set_capacity(disk, UINT64_MAX);
        assert_ok(wal_rotate_after_failure(wal, rewrite_needed, &needed, &err), &err);
        assert_int_equal(wal_state_get(wal), WAL_OK);
        assert_ok(wal_drop_before(wal, needed.first_at.segment, &err), &err);
        (void)world_append(wal, next + 3);
        wal_close(wal);
        wal_close(world_open(disk, seen, NULL));
        assert_int_equal(seen->count, next + 4 - needed.first);
        assert_int_equal(seen->ids[0], needed.first);
        mem_vfs_free(disk);
    }
    mem_free(seen);
}

static void opening_works_on_a_full_disk(void **state) {
    (void)state;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(20);
    mem_vfs_set_capacity(disk, 0);
    wal_close(world_open(disk, seen, NULL));
    assert_int_equal(seen->count, 20);
    mem_vfs_free(disk);
    mem_free(seen);
}

static void after_a_failure_old_records_can_still_be_read(void **state) {
    (void)state;
    struct err err;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(10);
    struct wal *wal = world_open(disk, seen, NULL);
    uint8_t bytes[PAYLOAD_MAX];
    mem_vfs_set_capacity(disk, 1);
    assert_err(wal_append(wal, world_payload(10, bytes), NULL, &err), ERR_NO_SPACE, NULL, &err);
    uint8_t *read = NULL;
    size_t capacity = 0;
    struct wal_record record;
    assert_ok(wal_read(wal, seen->at[4], &read, &capacity, &record, &err), &err);
    assert_int_equal(world_check(&record), 4);
    mem_free(read);
    wal_close(wal);
    mem_vfs_free(disk);
    mem_free(seen);
}

/* A number that would wrap around would stand before all others. */
static void a_log_without_numbers_takes_no_more_and_keeps_what_it_has(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct wal_options options = world_options(disk, seen);
    struct wal *wal = NULL;
    struct err err;
    uint8_t bytes[PAYLOAD_MAX];
    options.first_segment = UINT32_MAX - 1;
    assert_ok(wal_open(&options, world_remember, seen, &wal, NULL, &err), &err);
    assert_int_equal(world_append(wal, 0).segment, UINT32_MAX - 1);
    wal_cut(wal);
    assert_err(wal_append(wal, world_payload(1, bytes), NULL, &err), ERR_NO_SPACE,
               "/wal: no number is left for a file", &err);
    assert_int_equal(wal_state_get(wal), WAL_FAILED);
    wal_close(wal);
    *seen = (struct world_seen){0};
    assert_ok(wal_open(&options, world_remember, seen, &wal, NULL, &err), &err);
    assert_int_equal(seen->count, 1);
    assert_int_equal(seen->damages + seen->torn, 0);
    wal_close(wal);
    mem_vfs_free(disk);
    mem_free(seen);
}

/* Appends and syncs with one planned failure, repairing as the head does. */
static void append_and_repair(struct wal *wal, uint32_t count) {
    struct err err;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t bytes[PAYLOAD_MAX];
        const enum err_code code = wal_append(wal, world_payload(i, bytes), NULL, &err);
        const bool synced = code == ERR_OK && (i % 3 != 0 || wal_sync(wal, &err) == ERR_OK);
        if (code != ERR_OK || !synced) {
            assert_int_equal(wal_state_get(wal), WAL_FAILED);
            struct needed needed = {.first = 0, .end = i + 1};
            for (int attempt = 0; wal_state_get(wal) != WAL_OK; attempt++) {
                assert_true(attempt < 3);
                (void)!wal_rotate_after_failure(wal, rewrite_needed, &needed, &err);
            }
        }
    }
}

static void any_call_may_fail_once_and_nothing_that_memory_holds_is_lost(void **state) {
    (void)state;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    bool all_failed_once = false;
    for (size_t n = 0; !all_failed_once; n++) {
        struct err err;
        struct mem_vfs *disk = mem_vfs_new();
        struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
        struct wal_options options = world_options(disk, seen);
        options.vfs = fault_vfs_base(faults);
        struct wal *wal = NULL;
        *seen = (struct world_seen){0};
        assert_ok(wal_open(&options, world_remember, seen, &wal, NULL, &err), &err);
        fault_vfs_plan(faults, (struct fault_plan){.ops = FAULT_OPEN | FAULT_CHANGES,
                                                   .after = n,
                                                   .sys_errno = n % 2 == 0 ? EIO : ENOSPC,
                                                   .short_write = n % 3 == 0});
        append_and_repair(wal, 40);
        all_failed_once = fault_vfs_failures(faults) == 0;
        assert_int_equal(fault_vfs_repeated_syncs(faults), 0);
        wal_close(wal);
        wal_close(world_open(disk, seen, NULL));
        bool found[40] = {false};
        for (size_t i = 0; i < seen->count; i++) { /* twice is allowed: old segments may stay */
            found[seen->ids[i]] = true;
        }
        for (uint32_t i = 0; i < 40; i++) {
            assert_true(found[i]);
        }
        fault_vfs_free(faults);
        mem_vfs_free(disk);
    }
    mem_free(seen);
}

struct syncer {
    struct wal *wal;
    struct mutex mu;
    bool stop;
    uint32_t rounds;
};

static void sync_until_told(void *ctx) {
    struct syncer *s = ctx;
    bool stop = false;
    while (!stop) {
        struct err err;
        assert_ok(wal_sync(s->wal, &err), &err);
        mutex_lock(&s->mu);
        stop = s->stop;
        s->rounds++;
        mutex_unlock(&s->mu);
    }
}

static void another_thread_may_sync_while_the_writer_works(void **state) {
    (void)state;
    struct err err;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct syncer syncer = {.wal = world_open(disk, seen, NULL)};
    struct thread thread;
    mutex_init(&syncer.mu);
    thread_start(&thread, "syncer", sync_until_told, &syncer);
    for (uint32_t i = 0; i < 500; i++) {
        const struct wal_position at = world_append(syncer.wal, i);
        if (i % 50 == 49) {
            assert_ok(wal_drop_before(syncer.wal, at.segment, &err), &err);
        }
    }
    mutex_lock(&syncer.mu);
    syncer.stop = true;
    mutex_unlock(&syncer.mu);
    thread_join(&thread);
    mutex_release(&syncer.mu);
    wal_close(syncer.wal);
    wal_close(world_open(disk, seen, NULL));
    assert_int_equal(seen->ids[seen->count - 1], 499);
    mem_vfs_free(disk);
    mem_free(seen);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_fails_the_log_until_memory_is_rewritten),
        cmocka_unit_test(opening_works_on_a_full_disk),
        cmocka_unit_test(after_a_failure_old_records_can_still_be_read),
        cmocka_unit_test(a_log_without_numbers_takes_no_more_and_keeps_what_it_has),
        cmocka_unit_test(any_call_may_fail_once_and_nothing_that_memory_holds_is_lost),
        cmocka_unit_test(another_thread_may_sync_while_the_writer_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
