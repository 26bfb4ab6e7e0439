/* The tombstones' two copies: what one of them can lose, what both can, and what is said of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tests/support/check_err.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/tombstone_file.h"

enum { MANY = 4000 };

struct disk {
    struct mem_vfs *mem;
    struct vfs *vfs;
    struct arena arena;
    size_t reports;
    char last[256]; /* "path@offset: reason" */
};

static void begin(struct disk *d) {
    *d = (struct disk){.mem = mem_vfs_new()};
    d->vfs = mem_vfs_base(d->mem);
    arena_init(&d->arena, 0);
    assert_int_equal(vfs_make_dir(d->vfs, "db", NULL), ERR_OK);
}

static void end(struct disk *d) {
    arena_release(&d->arena);
    mem_vfs_free(d->mem);
}

static void note_damage(void *ctx, const struct record_damage *damage) {
    struct disk *d = ctx;
    d->reports++;
    (void)snprintf(d->last, sizeof(d->last), "%s@%u: %s", damage->path, (unsigned)damage->offset,
                   damage->reason);
}

/* n series with two intervals each: enough for several records. */
static struct tombstones *make(struct disk *d, int n) {
    struct tombstone_addition *more = mem_array((size_t)n * 2 + 1, sizeof(*more));
    struct tombstones *t = NULL;
    struct err err;
    for (int i = 0; i < n; i++) {
        const struct label pair[] = {
            {STR("__name__"), STR("metric")},
            {STR("instance"), arena_printf(&d->arena, "a-rather-long-name-%d", i)}};
        more[2 * i] = (struct tombstone_addition){labels_of(&d->arena, pair, 2), {i, i + 5}};
        more[2 * i + 1] =
            (struct tombstone_addition){labels_of(&d->arena, pair, 2), {i + 7, INT64_MAX}};
    }
    assert_ok(tombstones_with(NULL, more, (size_t)n * 2, &t, &err), &err);
    mem_free(more);
    return t;
}

static struct tombstones *load_from(struct disk *d, struct vfs *vfs,
                                    struct tombstone_file_found *found) {
    struct tombstones *t = NULL;
    struct err err;
    d->reports = 0;
    d->last[0] = '\0';
    const struct tombstone_file_options options = {.vfs = vfs,
                                                   .dir = "db",
                                                   .quarantine_dir = "db/quarantine",
                                                   .damage = note_damage,
                                                   .damage_ctx = d};
    assert_ok(tombstone_file_load(&options, &t, found, &err), &err);
    assert_int_equal(found->damaged, d->reports);
    return t;
}

static struct tombstones *load(struct disk *d, struct tombstone_file_found *found) {
    return load_from(d, d->vfs, found);
}

static size_t interval_count(const struct tombstones *t) {
    size_t n = 0;
    for (size_t i = 0; i < tombstones_count(t); i++) {
        n += tombstones_at(t, i)->count;
    }
    return n;
}

static void store(struct disk *d, const struct tombstones *t, uint64_t serial) {
    struct err err;
    assert_ok(tombstone_file_store(d->vfs, "db", t, serial, &err), &err);
}

static void what_was_stored_is_read_again(void **state) {
    (void)state;
    struct disk d;
    struct tombstone_file_found found;
    begin(&d);
    assert_null(load(&d, &found));
    assert_false(found.wants_writing);
    struct tombstones *t = make(&d, MANY);
    store(&d, t, 3);
    struct tombstones *again = load(&d, &found);
    assert_int_equal(tombstones_count(again), MANY);
    assert_int_equal(interval_count(again), 2 * MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_true(labels_eq(tombstones_at(t, i)->labels, tombstones_at(again, i)->labels));
    }
    assert_int_equal(found.serial, 3);
    assert_false(found.wants_writing);
    tombstones_unref(again);
    store(&d, NULL, 4);
    assert_null(load(&d, &found));
    assert_int_equal(found.serial, 4);
    tombstones_unref(t);
    end(&d);
}

static void a_series_with_very_many_intervals_is_whole(void **state) {
    (void)state;
    enum { N = 10000 };
    struct disk d;
    struct tombstone_file_found found;
    struct tombstones *t = NULL;
    struct err err;
    begin(&d);
    const struct label pair[] = {{STR("__name__"), STR("metric")}};
    struct tombstone_addition *more = mem_array(N, sizeof(*more));
    for (int64_t i = 0; i < N; i++) {
        more[i] = (struct tombstone_addition){labels_of(&d.arena, pair, 1), {i * 10, i * 10 + 3}};
    }
    assert_ok(tombstones_with(NULL, more, N, &t, &err), &err);
    store(&d, t, 1);
    struct tombstones *again = load(&d, &found);
    assert_int_equal(tombstones_count(again), 1);
    assert_int_equal(interval_count(again), N);
    mem_free(more);
    tombstones_unref(t);
    tombstones_unref(again);
    end(&d);
}

static uint64_t size_of(struct disk *d, const char *path) {
    struct vfs_file *f = NULL;
    uint64_t size = 0;
    assert_int_equal(vfs_open(d->vfs, path, VFS_READ, &f, NULL), ERR_OK);
    assert_int_equal(vfs_file_size(f, &size, NULL), ERR_OK);
    vfs_file_close(f);
    return size;
}

static void flip(struct disk *d, const char *path, uint64_t bit) {
    struct vfs_file *f = NULL;
    uint8_t byte;
    assert_int_equal(vfs_open(d->vfs, path, VFS_WRITE, &f, NULL), ERR_OK);
    assert_int_equal(vfs_file_pread(f, &byte, 1, bit / 8, NULL, NULL), ERR_OK);
    byte ^= (uint8_t)(1 << bit % 8);
    assert_int_equal(vfs_file_pwrite(f, &byte, 1, bit / 8, NULL), ERR_OK);
    vfs_file_close(f);
}

static void cut_off(struct disk *d, const char *path, uint64_t size) {
    struct vfs_file *f = NULL;
    assert_int_equal(vfs_open(d->vfs, path, VFS_WRITE, &f, NULL), ERR_OK);
    assert_int_equal(vfs_file_truncate(f, size, NULL), ERR_OK);
    vfs_file_close(f);
}

static const char *const paths[2] = {"db/" TOMBSTONE_FILE_NAME, "db/" TOMBSTONE_COPY_NAME};

static void any_damage_of_one_copy_costs_nothing_and_is_reported(void **state) {
    (void)state;
    struct disk d;
    struct tombstone_file_found found;
    begin(&d);
    struct tombstones *t = make(&d, 3);
    for (int copy = 0; copy < 2; copy++) {
        store(&d, t, 5);
        const uint64_t size = size_of(&d, paths[copy]);
        for (uint64_t bit = 0; bit < size * 8; bit++) {
            flip(&d, paths[copy], bit);
            struct tombstones *again = load(&d, &found);
            assert_int_equal(interval_count(again), 6);
            assert_true(found.damaged != 0 && found.wants_writing);
            assert_int_equal(strncmp(d.last, paths[copy], strlen(paths[copy])), 0);
            tombstones_unref(again);
            flip(&d, paths[copy], bit);
        }
        for (uint64_t left = 0; left < size; left++) {
            store(&d, t, 5);
            cut_off(&d, paths[copy], left);
            struct tombstones *again = load(&d, &found);
            assert_int_equal(interval_count(again), 6);
            assert_true(found.damaged != 0);
            tombstones_unref(again);
        }
        store(&d, t, 5);
        assert_int_equal(vfs_unlink(d.vfs, paths[copy], NULL), ERR_OK);
        struct tombstones *again = load(&d, &found);
        assert_int_equal(interval_count(again), 6);
        assert_true(found.wants_writing);
        assert_int_equal(found.damaged, copy == 0); /* the copy may not have been written yet */
        tombstones_unref(again);
    }
    tombstones_unref(t);
    end(&d);
}

static void damage_of_both_copies_costs_what_is_damaged_in_both(void **state) {
    (void)state;
    struct disk d;
    struct tombstone_file_found found;
    begin(&d);
    struct tombstones *t = make(&d, MANY);
    const uint64_t all = 2 * MANY;
    store(&d, t, 5);
    const uint64_t size = size_of(&d, paths[0]);
    assert_true(size > 3 * 65536);
    flip(&d, paths[0], 8 * 1000); /* in the first record here, in the last but one there */
    flip(&d, paths[1], 8 * (size - 1000));
    struct tombstones *again = load(&d, &found);
    assert_int_equal(interval_count(again), all);
    assert_int_equal(found.damaged, 2);
    tombstones_unref(again);
    store(&d, t, 6);
    flip(&d, paths[0], 8 * 1000);
    flip(&d, paths[1], 8 * 2000);
    again = load(&d, &found);
    assert_true(interval_count(again) < all && interval_count(again) > all / 2);
    assert_string_equal(d.last, "db/" TOMBSTONE_COPY_NAME "@32: damaged record");
    assert_true(found.wants_writing);
    tombstones_unref(again);
    tombstones_unref(t);
    end(&d);
}

static void a_crash_at_any_operation_leaves_one_of_the_two_states(void **state) {
    (void)state;
    struct disk d;
    struct tombstone_file_found found;
    begin(&d);
    struct tombstones *old = make(&d, 2);
    struct tombstones *next = make(&d, 5);
    store(&d, old, 1);
    const size_t first = mem_vfs_op_count(d.mem);
    store(&d, next, 2);
    const size_t last = mem_vfs_op_count(d.mem);
    for (size_t op = first; op <= last; op++) {
        for (int crash = 0; crash < MEM_CRASH_COUNT; crash++) {
            struct mem_vfs *after = mem_vfs_after_crash(d.mem, op, (enum mem_crash)crash, op);
            struct tombstones *t = load_from(&d, mem_vfs_base(after), &found);
            assert_true(tombstones_count(t) == 5 || (tombstones_count(t) == 2 && op < last));
            assert_int_equal(found.damaged, 0);
            assert_int_equal(found.serial, tombstones_count(t) == 5 ? 2 : 1);
            tombstones_unref(t);
            mem_vfs_free(after);
        }
    }
    tombstones_unref(old);
    tombstones_unref(next);
    end(&d);
}

static void each_failing_call_leaves_one_of_the_two_states(void **state) {
    (void)state;
    for (size_t n = 0;; n++) {
        struct disk d;
        struct tombstone_file_found found;
        struct err err;
        begin(&d);
        struct fault_vfs *faulty = fault_vfs_new(d.vfs);
        struct tombstones *old = make(&d, 2);
        struct tombstones *next = make(&d, 5);
        store(&d, old, 1);
        fault_vfs_plan(faulty, (struct fault_plan){.ops = FAULT_CHANGES | FAULT_OPEN,
                                                   .after = n,
                                                   .sys_errno = n % 2 == 0 ? EIO : ENOSPC,
                                                   .short_write = true});
        const enum err_code code =
            tombstone_file_store(fault_vfs_base(faulty), "db", next, 2, &err);
        const size_t failures = fault_vfs_failures(faulty);
        struct tombstones *t = load(&d, &found);
        assert_int_equal(found.damaged, 0);
        assert_true(tombstones_count(t) == (code == ERR_OK ? 5 : tombstones_count(t)));
        assert_true(tombstones_count(t) == 5 || tombstones_count(t) == 2);
        store(&d, next, 3);
        tombstones_unref(t);
        t = load(&d, &found);
        assert_int_equal(tombstones_count(t), 5);
        assert_false(found.wants_writing);
        tombstones_unref(t);
        tombstones_unref(old);
        tombstones_unref(next);
        fault_vfs_free(faulty);
        end(&d);
        if (failures == 0) {
            assert_true(n > 6);
            break;
        }
    }
}

static void a_copy_that_cannot_be_read_is_enough_reason_to_use_the_other_one(void **state) {
    (void)state;
    struct disk d;
    struct tombstone_file_found found;
    struct err err;
    begin(&d);
    struct fault_vfs *faulty = fault_vfs_new(d.vfs);
    struct tombstones *t = make(&d, 2);
    store(&d, t, 1);
    fault_vfs_plan(faulty, (struct fault_plan){.ops = FAULT_READ, .after = 1, .sys_errno = EIO});
    struct tombstones *again = load_from(&d, fault_vfs_base(faulty), &found);
    assert_int_equal(tombstones_count(again), 2);
    assert_int_equal(found.damaged, 1);
    tombstones_unref(again);
    fault_vfs_plan(faulty,
                   (struct fault_plan){.ops = FAULT_READ, .sys_errno = EIO, .sticky = true});
    const struct tombstone_file_options options = {.vfs = fault_vfs_base(faulty), .dir = "db"};
    assert_err(tombstone_file_load(&options, &again, &found, &err), ERR_IO, NULL, &err);
    tombstones_unref(t);
    fault_vfs_free(faulty);
    end(&d);
}

/* Version 1: magic, version, series, each with labels and intervals, and a checksum. */
static void a_file_of_the_first_version_is_read_and_wants_writing(void **state) {
    (void)state;
    struct disk d;
    struct tombstone_file_found found;
    struct buf bytes;
    uint8_t word[4];
    struct err err;
    begin(&d);
    const struct label pair[] = {{STR("__name__"), STR("m")}};
    const struct labels labels = labels_of(&d.arena, pair, 1);
    buf_init(&bytes, 1 << 10);
    buf_append(&bytes, "BRASATMB\1\0\0\0\1", 13);
    word[0] = (uint8_t)labels.size;
    buf_append(&bytes, word, 1);
    buf_append(&bytes, labels.data, labels.size);
    buf_append(&bytes, "\1\4\3", 3); /* one interval: [2, 5] */
    put_u32(word, hash_crc32c(0, bytes.ptr, bytes.len));
    buf_append(&bytes, word, 4);
    assert_ok(vfs_replace_file(d.vfs, paths[0], bytes.ptr, bytes.len, &err), &err);
    struct tombstones *t = load(&d, &found);
    assert_int_equal(tombstones_count(t), 1);
    assert_int_equal(tombstones_at(t, 0)->intervals[0].min_ts_ms, 2);
    assert_int_equal(tombstones_at(t, 0)->intervals[0].max_ts_ms, 5);
    assert_true(found.wants_writing);
    assert_int_equal(found.damaged, 0);
    tombstones_unref(t);
    flip(&d, paths[0], 8 * 15);
    assert_null(load(&d, &found));
    assert_true(found.damaged != 0);
    buf_release(&bytes);
    end(&d);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_stored_is_read_again),
        cmocka_unit_test(a_series_with_very_many_intervals_is_whole),
        cmocka_unit_test(any_damage_of_one_copy_costs_nothing_and_is_reported),
        cmocka_unit_test(damage_of_both_copies_costs_what_is_damaged_in_both),
        cmocka_unit_test(a_crash_at_any_operation_leaves_one_of_the_two_states),
        cmocka_unit_test(each_failing_call_leaves_one_of_the_two_states),
        cmocka_unit_test(a_copy_that_cannot_be_read_is_enough_reason_to_use_the_other_one),
        cmocka_unit_test(a_file_of_the_first_version_is_read_and_wants_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
