/* L0 segments: a bad byte costs the page or run it is in and is never a wrong value; a crash loses only
 * what was not synced, a call that fails nothing. */
#include "tests/support/check_err.h"

#include <errno.h>

#include "base/mem.h"
#include "tests/support/fault_vfs.h"
#include "tests/unit/tsdb/segment_world.h"
#include "tsdb/storage.h"

static void a_bad_byte_costs_at_most_its_page_or_run_and_no_value_is_wrong(void **state) {
    (void)state;
    enum { SLOTS = 1000 };
    struct world_found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct segment_store *store = world_open(mem_vfs_base(disk), found);
    struct segment_run_info infos[3];
    infos[0] = world_add_run(store, 1, 0, ROWS, 20);
    infos[1] = world_add_run(store, 2, 0, ROWS, SLOTS);
    infos[2] = world_add_run(store, 3, 0, ROWS, 20);
    segment_store_close(store);
    struct vfs_file *f = world_file(disk, "/segments/00000001");
    const uint32_t begin = infos[1].at.offset;
    const uint32_t end = infos[2].at.offset;
    for (uint32_t offset = begin; offset < end; offset += offset < begin + 200 ? 1 : 97) {
        const uint8_t with = (uint8_t)(1U << offset % 8);
        world_xor_byte(f, offset, with);
        store = world_open(mem_vfs_base(disk), found);
        struct err err;
        assert_in_range(found->count, 2, 3);
        assert_int_equal(found->damages, 3 - found->count);
        assert_true(found->count == 3 || found->damage_offset == begin);
        assert_int_equal(world_readable_slots(store, infos[0].at, 20), 20);
        assert_int_equal(world_readable_slots(store, infos[2].at, 20), 20);
        const uint32_t good = world_readable_slots(store, infos[1].at, SLOTS);
        assert_true(good < SLOTS && (found->count == 2 || good > SLOTS / 2));
        assert_err(segment_verify(store, infos[1].at, &err), ERR_CORRUPT, "/segments/00000001",
                   &err);
        segment_store_close(store);
        world_xor_byte(f, offset, with);
    }
    vfs_file_close(f);
    mem_vfs_free(disk);
    mem_free(found);
}

static void a_file_torn_at_any_length_keeps_its_whole_runs(void **state) {
    (void)state;
    struct world_found *found = mem_zalloc(sizeof(*found));
    uint64_t size = 0;
    for (uint64_t cut = 0; cut == 0 || cut < size; cut++) {
        struct mem_vfs *disk = mem_vfs_new();
        struct segment_store *store = world_open(mem_vfs_base(disk), found);
        const struct segment_run_info first = world_add_run(store, 1, 0, 4, 5);
        const struct segment_run_info second = world_add_run(store, 2, 0, 4, 5);
        segment_store_close(store);
        struct vfs_file *f = world_file(disk, "/segments/00000001");
        assert_int_equal(vfs_file_size(f, &size, NULL), ERR_OK);
        assert_int_equal(vfs_file_truncate(f, cut, NULL), ERR_OK);
        vfs_file_close(f);
        store = world_open(mem_vfs_base(disk), found);
        assert_int_equal(found->count, (cut >= first.at.offset + first.at.bytes) +
                                           (cut >= second.at.offset + second.at.bytes));
        assert_int_equal(found->damages, 0);
        const struct segment_run_info again = world_add_run(store, 3, 0, 4, 5);
        assert_int_equal(world_readable_slots(store, again.at, 5), 5);
        segment_store_close(store);
        mem_vfs_free(disk);
    }
    mem_free(found);
}

static void a_crash_at_any_operation_keeps_the_runs_that_were_synced(void **state) {
    (void)state;
    struct world_found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *work = mem_vfs_new();
    assert_int_equal(vfs_mkdir(mem_vfs_base(work), world_dir, NULL), ERR_OK);
    assert_int_equal(vfs_sync_dir(mem_vfs_base(work), "/", NULL), ERR_OK);
    struct segment_store *store = world_open(mem_vfs_base(work), found);
    size_t ops_at[8];
    struct segment_run_info infos[8];
    for (uint32_t i = 0; i < 8; i++) {
        infos[i] = world_add_run(store, i, 0, ROWS, 300);
        assert_false(segment_is_durable(store, infos[i].at));
        world_sync(store);
        assert_true(segment_is_durable(store, infos[i].at));
        ops_at[i] = mem_vfs_op_count(work);
    }
    segment_store_close(store);
    for (size_t ops = 0; ops <= mem_vfs_op_count(work); ops++) {
        for (int crash = 0; crash < MEM_CRASH_COUNT; crash++) {
            struct mem_vfs *disk =
                mem_vfs_after_crash(work, ops, (enum mem_crash)crash, ops * 8 + (uint64_t)crash);
            store = world_open(mem_vfs_base(disk), found);
            for (uint32_t i = 0; i < 8; i++) {
                if (ops_at[i] <= ops) {
                    assert_int_equal(world_readable_slots(store, infos[i].at, 300), 300);
                }
            }
            for (size_t i = 0; i < found->count; i++) { /* the others: right, or refused */
                struct err err;
                const uint32_t good = world_readable_slots(store, found->runs[i].at, 300);
                assert_int_equal(segment_verify(store, found->runs[i].at, &err) == ERR_OK,
                                 good == 300);
            }
            segment_store_close(store);
            mem_vfs_free(disk);
        }
    }
    mem_vfs_free(work);
    mem_free(found);
}

static void any_write_or_sync_may_fail_once_and_the_run_can_be_committed_again(void **state) {
    (void)state;
    struct world_found *found = mem_zalloc(sizeof(*found));
    bool all_failed_once = false;
    for (size_t n = 0; !all_failed_once; n++) {
        struct err err;
        struct mem_vfs *disk = mem_vfs_new();
        struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
        struct segment_store *store = world_open(fault_vfs_base(faults), found);
        fault_vfs_plan(faults, (struct fault_plan){.ops = FAULT_OPEN | FAULT_CHANGES,
                                                   .after = n,
                                                   .sys_errno = n % 2 == 0 ? EIO : ENOSPC,
                                                   .short_write = n % 3 == 0});
        for (uint32_t i = 0; i < 6; i++) {
            struct segment_run_info info;
            bool durable = false;
            for (int attempt = 0; !durable; attempt++) {
                assert_true(attempt < 4);
                world_build_run(store, i, 0, ROWS, 300);
                durable = segment_commit(store, &info, &err) == ERR_OK &&
                          segment_sync(store, &err) == ERR_OK;
                assert_true(!durable || segment_is_durable(store, info.at));
            }
            assert_int_equal(world_readable_slots(store, info.at, 300), 300);
        }
        all_failed_once = fault_vfs_failures(faults) == 0;
        assert_int_equal(fault_vfs_repeated_syncs(faults), 0);
        segment_store_close(store);
        store = world_open(mem_vfs_base(disk), found);
        bool seen[6] = {false};
        for (size_t i = 0; i < found->count; i++) {
            seen[found->runs[i].group] = true;
            assert_int_equal(world_readable_slots(store, found->runs[i].at, 300), 300);
        }
        for (int i = 0; i < 6; i++) {
            assert_true(seen[i]);
        }
        segment_store_close(store);
        fault_vfs_free(faults);
        mem_vfs_free(disk);
    }
    mem_free(found);
}

/* A number that would wrap around would stand before all others. */
static void a_store_without_numbers_of_files_takes_no_more_and_keeps_what_it_has(void **state) {
    (void)state;
    struct world_found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs_file *f = NULL;
    struct err err;
    segment_store_close(world_open(mem_vfs_base(disk), found));
    assert_ok(
        vfs_open(mem_vfs_base(disk), "/segments/4294967294", VFS_WRITE | VFS_CREATE, &f, &err),
        &err);
    vfs_file_close(f);
    struct segment_store *store = world_open(mem_vfs_base(disk), found);
    struct segment_run_info info;
    world_build_run(store, 1, 0, ROWS, 3);
    assert_err(segment_commit(store, &info, &err), ERR_NO_SPACE,
               "/segments: no number is left for a file", &err);
    segment_store_close(store);
    store = world_open(mem_vfs_base(disk), found);
    assert_int_equal(found->count + found->damages, 0);
    segment_store_close(store);
    mem_vfs_free(disk);
    mem_free(found);
}

static void add_constant(struct segment_store *store, uint32_t group, uint64_t first_row) {
    static const int64_t ts_ms[] = {1000, 2000, 3000};
    struct segment_run_info info;
    struct err err;
    segment_begin(store, group, first_row, ts_ms, COUNT_OF(ts_ms));
    segment_add_constant(store, num_of_i64(7));
    assert_ok(segment_commit(store, &info, &err), &err);
}

/* Behind it, the numbers of rows would wrap around. */
static void a_run_with_a_row_that_no_group_reaches_is_damage(void **state) {
    (void)state;
    struct world_found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct segment_store *store = world_open(mem_vfs_base(disk), found);
    add_constant(store, 1, UINT64_MAX / 2 - 1);
    add_constant(store, 2, UINT64_MAX / 2);
    add_constant(store, 3, UINT64_MAX - 3);
    add_constant(store, 4, 0);
    segment_store_close(store);
    store = world_open(mem_vfs_base(disk), found);
    assert_int_equal(found->count, 2);
    assert_int_equal(found->runs[0].group, 1);
    assert_int_equal(found->runs[1].group, 4);
    assert_int_equal(found->damages, 2);
    segment_store_close(store);
    mem_vfs_free(disk);
    mem_free(found);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_byte_costs_at_most_its_page_or_run_and_no_value_is_wrong),
        cmocka_unit_test(a_file_torn_at_any_length_keeps_its_whole_runs),
        cmocka_unit_test(a_crash_at_any_operation_keeps_the_runs_that_were_synced),
        cmocka_unit_test(a_store_without_numbers_of_files_takes_no_more_and_keeps_what_it_has),
        cmocka_unit_test(a_run_with_a_row_that_no_group_reaches_is_damage),
        cmocka_unit_test(any_write_or_sync_may_fail_once_and_the_run_can_be_committed_again),
    };
    return cmocka_run_group_tests(tests, world_make_cache, world_free_cache);
}
