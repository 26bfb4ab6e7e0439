/* Runs of L0 segments that were not known to be durable are checked at opening; those that fail do not
 * count, then and later. Others are believed. */
#include "tests/support/check_err.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/segment.h"
#include "tsdb/segment_mark.h"
#include "tsdb/storage.h"

enum { RUNS_MAX = 64, ROWS = 8, SLOTS = 40 };

static const char dir[] = "/l0";

struct found {
    uint32_t groups[RUNS_MAX];
    size_t count;
    size_t damages;
    uint64_t damage_offset;
    struct record_scan_stats stats;
};

static enum err_code note_run(void *ctx, const struct segment_run_info *run, struct err *err) {
    struct found *found = ctx;
    (void)err;
    assert_true(found->count < RUNS_MAX);
    found->groups[found->count++] = run->group;
    return ERR_OK;
}

static void note_damage(void *ctx, const struct record_damage *damage) {
    struct found *found = ctx;
    assert_false(damage->torn);
    found->damages++;
    found->damage_offset = damage->offset;
}

static enum err_code try_open(struct vfs *vfs, bool check, struct found *found,
                              struct segment_store **out, struct err *err) {
    *found = (struct found){.count = 0};
    const struct segment_options options = {.vfs = vfs,
                                            .dir = dir,
                                            .file_bytes = 1000,
                                            .check_unsynced = check,
                                            .damage = note_damage,
                                            .damage_ctx = found};
    return segment_store_open(&options, note_run, found, out, &found->stats, err);
}

static struct segment_store *open_store(struct mem_vfs *disk, bool check, struct found *found) {
    struct segment_store *store = NULL;
    struct err err;
    assert_ok(try_open(mem_vfs_base(disk), check, found, &store, &err), &err);
    return store;
}

static struct segment_location add_run(struct segment_store *store, uint32_t group) {
    int64_t ts[ROWS];
    struct num values[ROWS];
    uint8_t states[ROWS];
    struct segment_run_info info;
    struct err err;
    for (int i = 0; i < ROWS; i++) {
        ts[i] = 1000 + i;
    }
    segment_begin(store, group, 0, ts, ROWS);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        for (uint32_t i = 0; i < ROWS; i++) {
            values[i] = num_of_i64((int64_t)(i * i * slot + group));
            states[i] = SLOT_VALUE;
        }
        segment_add_column(store, values, states);
    }
    assert_ok(segment_commit(store, &info, &err), &err);
    return info.at;
}

static void sync_now(struct segment_store *store) {
    struct err err;
    assert_ok(segment_sync(store, &err), &err);
}

/* The last byte of a run is one of its page. */
static void lose_page(struct mem_vfs *disk, struct segment_location at) {
    char *path = record_file_path(dir, at.file);
    struct vfs_file *f = NULL;
    struct err err;
    assert_ok(vfs_open(mem_vfs_base(disk), path, VFS_WRITE, &f, &err), &err);
    uint8_t byte = 0;
    const uint64_t offset = (uint64_t)at.offset + at.bytes - 1;
    assert_ok(vfs_file_pread(f, &byte, 1, offset, NULL, &err), &err);
    byte ^= 1;
    assert_ok(vfs_file_pwrite(f, &byte, 1, offset, &err), &err);
    vfs_file_close(f);
    mem_free(path);
}

static void check_groups(const struct found *found, const uint32_t *groups, size_t n) {
    assert_int_equal(found->count, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(found->groups[i], groups[i]);
    }
}

/* ---- stores ---- */

static void what_was_not_synced_and_lost_a_page_does_not_count_then_and_later(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct found found;
    struct segment_store *store = open_store(disk, true, &found);
    const struct segment_location durable = add_run(store, 1);
    sync_now(store);
    const struct segment_location torn = add_run(store, 2); /* behind the mark that 1 is durable */
    (void)add_run(store, 3);
    segment_store_close(store);
    lose_page(disk, durable); /* rots: queries of it fail, nobody looks at opening */
    lose_page(disk, torn);

    store = open_store(disk, true, &found);
    check_groups(&found, (uint32_t[]){1, 3}, 2);
    assert_int_equal(found.damages, 1);
    assert_int_equal(found.damage_offset, torn.offset);
    assert_int_equal(found.stats.damaged_records, 1);
    segment_store_close(store);

    store = open_store(disk, true, &found); /* nothing was written: it is found once more */
    check_groups(&found, (uint32_t[]){1, 3}, 2);
    assert_int_equal(found.damages, 1);
    (void)add_run(store, 4);
    sync_now(store);
    (void)add_run(store, 5); /* all before is durable now */
    segment_store_close(store);

    store = open_store(disk, true, &found);
    check_groups(&found, (uint32_t[]){1, 3, 4, 5}, 4);
    assert_int_equal(found.damages, 0);
    segment_store_close(store);
    store = open_store(disk, false, &found); /* who looks at each run himself gets them all */
    check_groups(&found, (uint32_t[]){1, 2, 3, 4, 5}, 5);
    segment_store_close(store);
    mem_vfs_free(disk);
}

static void without_a_mark_all_runs_are_checked(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct found found;
    struct segment_store *store = open_store(disk, true, &found);
    const struct segment_location at = add_run(store, 1);
    sync_now(store);
    segment_store_close(store);
    lose_page(disk, at);
    store = open_store(disk, true, &found);
    check_groups(&found, NULL, 0);
    assert_int_equal(found.damages, 1);
    segment_store_close(store);
    mem_vfs_free(disk);
}

static void marks_are_over_all_files(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct found found;
    struct segment_store *store = open_store(disk, true, &found);
    struct segment_location at[12];
    for (uint32_t i = 0; i < 12; i++) {
        at[i] = add_run(store, i);
        if (i == 9) {
            sync_now(store);
        }
    }
    assert_true(at[9].file > at[0].file);
    segment_store_close(store);
    lose_page(disk, at[0]);
    lose_page(disk, at[9]);
    lose_page(disk, at[11]);
    store = open_store(disk, true, &found);
    check_groups(&found, (uint32_t[]){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 11);
    segment_store_close(store);
    mem_vfs_free(disk);
}

static void a_run_of_a_file_that_failed_stays_in_doubt(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
    struct found found;
    struct segment_store *store = NULL;
    struct err err;
    assert_ok(try_open(fault_vfs_base(faults), true, &found, &store, &err), &err);
    const struct segment_location at = add_run(store, 1);
    fault_vfs_plan(faults, (struct fault_plan){.ops = FAULT_SYNC, .sys_errno = EIO});
    assert_int_equal(segment_sync(store, &err), ERR_IO);
    fault_vfs_plan(faults, (struct fault_plan){0});
    (void)add_run(store, 2);
    sync_now(store); /* the second file */
    (void)add_run(store, 3);
    segment_store_close(store);
    lose_page(disk, at);
    store = open_store(disk, true, &found);
    check_groups(&found, (uint32_t[]){2, 3}, 2);
    segment_store_close(store);
    fault_vfs_free(faults);
    mem_vfs_free(disk);
}

static void a_run_that_cannot_be_read_now_ends_the_opening(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct found found;
    struct segment_store *store = open_store(disk, true, &found);
    (void)add_run(store, 1);
    segment_store_close(store);
    struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
    struct err err;
    size_t n = 0;
    for (bool failed = true; failed; n++) {
        fault_vfs_plan(faults,
                       (struct fault_plan){.ops = FAULT_READ, .after = n, .sys_errno = EIO});
        const enum err_code code = try_open(fault_vfs_base(faults), true, &found, &store, &err);
        failed = fault_vfs_failures(faults) != 0;
        assert_int_equal(code, failed ? ERR_IO : ERR_OK);
        if (code == ERR_OK) {
            check_groups(&found, (uint32_t[]){1}, 1);
            segment_store_close(store);
        }
    }
    assert_true(n > 2); /* of the file's header and of the run, at least */
    fault_vfs_free(faults);
    mem_vfs_free(disk);
}

/* ---- bytes ---- */

static void a_mark_comes_back_as_it_was(void **state) {
    (void)state;
    struct segment_mark mark = {.place = {7, 900}};
    struct segment_mark read = {.place = {1, 1}};
    uint8_t bytes[256];
    segment_mark_add_void(&mark, (struct segment_place){5, 60});
    segment_mark_add_void(&mark, (struct segment_place){2, 4000000000});
    segment_mark_add_void(&mark, (struct segment_place){5, 60});
    segment_mark_add_void(&mark, (struct segment_place){5, 61});
    assert_int_equal(mark.void_count, 3);
    assert_true(segment_mark_bytes_max(&mark) <= sizeof(bytes));
    const size_t size = (size_t)(segment_mark_write(&mark, bytes) - bytes);
    assert_int_equal(segment_mark_parse(&read, (struct segment_place){7, 900}, bytes, size),
                     ERR_OK);
    assert_int_equal(read.place.file, 7);
    assert_int_equal(read.place.offset, 900);
    assert_int_equal(read.void_count, 3);
    assert_true(segment_mark_is_void(&read, (struct segment_place){2, 4000000000}));
    assert_true(segment_mark_is_void(&read, (struct segment_place){5, 61}));
    assert_false(segment_mark_is_void(&read, (struct segment_place){5, 62}));
    assert_false(segment_mark_is_void(&read, (struct segment_place){8, 0}));
    segment_mark_forget(&read, 5);
    assert_int_equal(read.void_count, 2);
    assert_false(segment_mark_is_void(&read, (struct segment_place){2, 4000000000}));
    for (size_t n = 0; n < size; n++) { /* cut short: between two places it is another mark */
        struct segment_mark cut = {.place = {1, 2}};
        const enum err_code code =
            segment_mark_parse(&cut, (struct segment_place){7, 900}, bytes, n);
        assert_true(code == ERR_CORRUPT ? cut.place.offset == 2 : cut.place.offset == 900);
        segment_mark_release(&cut);
    }
    segment_mark_release(&read);
    segment_mark_release(&mark);
}

static void check_refused(const uint64_t *numbers, size_t n) {
    struct segment_mark mark = {.place = {1, 2}};
    uint8_t bytes[128];
    uint8_t *to = bytes;
    for (size_t i = 0; i < n; i++) {
        to = put_uvarint(to, numbers[i]);
    }
    assert_int_equal(
        segment_mark_parse(&mark, (struct segment_place){7, 900}, bytes, (size_t)(to - bytes)),
        ERR_CORRUPT);
    assert_int_equal(mark.place.file, 1);
    assert_int_equal(mark.place.offset, 2);
    segment_mark_release(&mark);
}

static void a_mark_that_cannot_be_is_refused(void **state) {
    (void)state;
    check_refused((uint64_t[]){7, 901}, 2); /* speaks of what comes later */
    check_refused((uint64_t[]){8, 0}, 2);
    check_refused((uint64_t[]){7, 10, 3, 20, 3, 20}, 6); /* one twice */
    check_refused((uint64_t[]){7, 10, 3, 20, 2, 20}, 6); /* not in order */
    check_refused((uint64_t[]){7, 10, 7, 900}, 4);       /* not written yet */
    check_refused((uint64_t[]){7, UINT64_C(1) << 32}, 2);
    check_refused((uint64_t[]){(UINT64_C(1) << 32) + 1, 0}, 2);
    check_refused((uint64_t[]){7, 10, 3}, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_not_synced_and_lost_a_page_does_not_count_then_and_later),
        cmocka_unit_test(without_a_mark_all_runs_are_checked),
        cmocka_unit_test(marks_are_over_all_files),
        cmocka_unit_test(a_run_of_a_file_that_failed_stays_in_doubt),
        cmocka_unit_test(a_run_that_cannot_be_read_now_ends_the_opening),
        cmocka_unit_test(a_mark_comes_back_as_it_was),
        cmocka_unit_test(a_mark_that_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
