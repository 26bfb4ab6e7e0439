/* L0 segments: sealed runs come back slot by slot; a bad byte costs the page or run it is in and is
 * named; a crash loses only runs that were not synced.
 *
 * Every sample is a function of (group, row, slot), so that any value read can be told right from
 * wrong alone. */
#include "tests/support/check_err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/page_cache.h"
#include "tsdb/segment.h"
#include "tsdb/storage.h"

enum { RUNS_MAX = 256, ROWS = 16 };

static const char dir[] = "/segments";
/* Of all stores here: small, so that runs are read from it, partly from it, and without it. */
static struct page_cache *cache;

/* ---- samples ---- */

static uint8_t state_of(uint32_t group, uint64_t row, uint32_t slot) {
    if (slot % 7 == 3) {
        return SLOT_ABSENT;
    }
    return (group + row + slot) % 29 == 0 ? SLOT_STALE : SLOT_VALUE;
}

static struct num value_of(uint32_t group, uint64_t row, uint32_t slot) {
    if (slot % 5 == 1) {
        return num_of_i64((int64_t)slot); /* constant */
    }
    if (slot % 11 == 2) {
        return num_raw((double)(row + group) / 3.0);
    }
    return num_of_i64((int64_t)(group * 1000 + row * 17 + slot * slot + (row * 31 + slot) % 13));
}

static int64_t ts_of(uint32_t group, uint64_t row) {
    return 1795344000000 + (int64_t)row * 15000 + group % 10;
}

static void build_run(struct segment_store *store, uint32_t group, uint64_t first_row,
                      uint32_t rows, uint32_t slots) {
    int64_t ts[BLOCK_ROWS_MAX];
    struct num *values = mem_array(rows, sizeof(*values));
    uint8_t *states = mem_alloc(rows);
    for (uint32_t r = 0; r < rows; r++) {
        ts[r] = ts_of(group, first_row + r);
    }
    segment_begin(store, group, first_row, ts, rows);
    for (uint32_t slot = 0; slot < slots; slot++) {
        for (uint32_t r = 0; r < rows; r++) {
            values[r] = value_of(group, first_row + r, slot);
            states[r] = state_of(group, first_row + r, slot);
        }
        segment_add_column(store, values, states);
    }
    mem_free(values);
    mem_free(states);
}

static struct segment_run_info add_run(struct segment_store *store, uint32_t group,
                                       uint64_t first_row, uint32_t rows, uint32_t slots) {
    struct err err;
    struct segment_run_info info;
    build_run(store, group, first_row, rows, slots);
    assert_ok(segment_commit(store, &info, &err), &err);
    return info;
}

/* ---- the store ---- */

struct found {
    struct segment_run_info runs[RUNS_MAX];
    size_t count;
    size_t damages;
    size_t torn;
    uint64_t damage_offset;
};

static enum err_code note_run(void *ctx, const struct segment_run_info *run, struct err *err) {
    struct found *found = ctx;
    (void)err;
    assert_true(found->count < RUNS_MAX);
    found->runs[found->count++] = *run;
    return ERR_OK;
}

static void note_damage(void *ctx, const struct record_damage *damage) {
    struct found *found = ctx;
    found->damages += !damage->torn;
    found->torn += damage->torn;
    found->damage_offset = damage->offset;
}

static struct segment_store *open_store(struct vfs *vfs, struct found *found) {
    struct err err;
    struct segment_store *store = NULL;
    *found = (struct found){0};
    const struct segment_options options = {.vfs = vfs,
                                            .dir = dir,
                                            .shard = 1,
                                            .file_bytes = 20000,
                                            .quarantine_dir = "/quarantine",
                                            .cache = cache,
                                            .damage = note_damage,
                                            .damage_ctx = found};
    assert_ok(segment_store_open(&options, note_run, found, &store, NULL, &err), &err);
    return store;
}

static void sync_now(struct segment_store *store) {
    struct err err;
    assert_ok(segment_sync(store, &err), &err);
}

/* Checks one slot; ERR_CORRUPT is returned, a wrong value fails the test. */
static enum err_code check_slot(struct segment_run *run, uint32_t slot, struct err *err) {
    const struct segment_run_info *info = segment_run_info(run);
    double values[BLOCK_ROWS_MAX + 8];
    uint16_t rows[BLOCK_ROWS_MAX + 8];
    struct block_column column = {.values = values, .rows = rows};
    const enum err_code code = segment_run_column(run, slot, &column, err);
    if (code != ERR_OK) {
        return code;
    }
    uint32_t at = 0;
    for (uint32_t r = 0; r < info->rows; r++) {
        const uint64_t row = info->first_row + r;
        const uint8_t want = state_of(info->group, row, slot);
        if (want == SLOT_ABSENT) {
            continue;
        }
        assert_true(at < column.count);
        assert_int_equal(column.dense ? at : rows[at], r);
        assert_int_equal(f64_bits(values[at]),
                         want == SLOT_STALE
                             ? STALE_NAN_BITS
                             : f64_bits(num_double(value_of(info->group, row, slot))));
        at++;
    }
    assert_int_equal(at, column.count);
    return ERR_OK;
}

typedef enum err_code open_run_fn(struct segment_store *store, struct segment_location at,
                                  struct arena *arena, struct segment_run **out, struct err *err);

static uint32_t count_readable(struct segment_store *store, struct segment_location at,
                               uint32_t slots, open_run_fn *open) {
    struct err err;
    struct arena arena;
    struct segment_run *run = NULL;
    uint32_t good = 0;
    arena_init(&arena, 0);
    const enum err_code opened = open(store, at, &arena, &run, &err);
    if (opened == ERR_OK) {
        const struct segment_run_info *info = segment_run_info(run);
        for (uint32_t r = 0; r < info->rows; r++) {
            assert_int_equal(segment_run_ts(run)[r], ts_of(info->group, info->first_row + r));
        }
        for (uint32_t slot = 0; slot < slots; slot++) {
            const enum err_code code = check_slot(run, slot, &err);
            assert_true(code == ERR_OK || code == ERR_CORRUPT);
            good += code == ERR_OK;
        }
    } else {
        assert_int_equal(opened, ERR_CORRUPT);
    }
    segment_run_close(run);
    arena_release(&arena);
    return good;
}

/* How many slots of a run can be read; the others must be ERR_CORRUPT. With the cache, filled or not,
 * they are the same. */
static uint32_t readable_slots(struct segment_store *store, struct segment_location at,
                               uint32_t slots) {
    const uint32_t good = count_readable(store, at, slots, segment_run_open);
    assert_int_equal(count_readable(store, at, slots, segment_run_open_cached), good);
    assert_int_equal(count_readable(store, at, slots, segment_run_open_cached), good);
    return good;
}

static struct vfs_file *open_file(struct mem_vfs *disk, const char *path) {
    struct err err;
    struct vfs_file *f = NULL;
    assert_ok(vfs_open(mem_vfs_base(disk), path, VFS_WRITE, &f, &err), &err);
    return f;
}

static void xor_byte(struct vfs_file *f, uint64_t offset, uint8_t with) {
    uint8_t byte = 0;
    assert_int_equal(vfs_file_pread(f, &byte, 1, offset, NULL, NULL), ERR_OK);
    byte ^= with;
    assert_int_equal(vfs_file_pwrite(f, &byte, 1, offset, NULL), ERR_OK);
}

/* ---- tests ---- */

static void runs_come_back_slot_by_slot_before_and_after_a_restart(void **state) {
    (void)state;
    struct found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct segment_store *store = open_store(mem_vfs_base(disk), found);
    struct segment_run_info infos[30];
    static const uint32_t slots[] = {1, 3, 40, 700, 4000};
    for (uint32_t i = 0; i < 30; i++) {
        infos[i] = add_run(store, i, i * 64, i == 0 ? 1 : ROWS, slots[i % 5]);
        assert_int_equal(readable_slots(store, infos[i].at, slots[i % 5]), slots[i % 5]);
    }
    segment_store_close(store);
    store = open_store(mem_vfs_base(disk), found);
    assert_int_equal(found->count, 30);
    assert_int_equal(found->damages + found->torn, 0);
    for (uint32_t i = 0; i < 30; i++) {
        const struct segment_run_info *run = &found->runs[i];
        assert_memory_equal(&run->at, &infos[i].at, sizeof(run->at));
        assert_int_equal(run->group, i);
        assert_int_equal(run->first_row, i * 64);
        assert_int_equal(run->rows, i == 0 ? 1 : ROWS);
        assert_int_equal(run->min_ts_ms, ts_of(i, i * 64));
        assert_int_equal(run->max_ts_ms, ts_of(i, i * 64 + run->rows - 1));
        assert_int_equal(readable_slots(store, run->at, slots[i % 5]), slots[i % 5]);
        struct err err;
        assert_ok(segment_verify(store, run->at, &err), &err);
    }
    struct segment_stats stats;
    segment_stats_get(store, &stats);
    assert_true(stats.files > 2);
    segment_store_close(store);
    mem_vfs_free(disk);
    mem_free(found);
}

static void writing_goes_on_in_the_newest_file_after_a_restart(void **state) {
    (void)state;
    struct found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    for (uint32_t i = 0; i < 5; i++) {
        struct segment_store *store = open_store(mem_vfs_base(disk), found);
        assert_int_equal(found->count, i);
        assert_int_equal(add_run(store, i, 0, ROWS, 10).at.file, 1);
        segment_store_close(store);
    }
    mem_vfs_free(disk);
    mem_free(found);
}

static void encoded_blocks_can_be_added_as_they_are(void **state) {
    (void)state;
    struct err err;
    struct found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct segment_store *store = open_store(mem_vfs_base(disk), found);
    struct block_encoder *e = block_encoder_new();
    int64_t ts[ROWS];
    for (uint32_t r = 0; r < ROWS; r++) {
        ts[r] = ts_of(8, r);
    }
    segment_begin(store, 8, 0, ts, ROWS);
    for (uint32_t slot = 0; slot < 20; slot++) {
        struct num values[ROWS];
        uint8_t states[ROWS];
        uint8_t bytes[BLOCK_BYTES_FIXED_MAX + ROWS * BLOCK_BYTES_PER_ROW_MAX];
        for (uint32_t r = 0; r < ROWS; r++) {
            values[r] = value_of(8, r, slot);
            states[r] = state_of(8, r, slot);
        }
        segment_add_block(store, bytes, block_encode(e, values, states, ROWS, bytes));
    }
    struct segment_run_info info;
    assert_ok(segment_commit(store, &info, &err), &err);
    assert_int_equal(readable_slots(store, info.at, 20), 20);
    block_encoder_free(e);
    segment_store_close(store);
    mem_vfs_free(disk);
    mem_free(found);
}

static void slots_behind_the_last_sample_are_absent(void **state) {
    (void)state;
    struct err err;
    struct found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct segment_store *store = open_store(mem_vfs_base(disk), found);
    int64_t ts[1] = {5};
    segment_begin(store, 1, 0, ts, 1);
    for (int i = 0; i < 100000; i++) {
        segment_add_block(store, NULL, 0);
    }
    struct segment_run_info info;
    assert_ok(segment_commit(store, &info, &err), &err);
    assert_int_equal(info.slot_count, 0);
    assert_true(info.at.bytes < 64);
    struct arena arena;
    struct segment_run *run = NULL;
    const uint8_t *bytes = NULL;
    size_t n = 1;
    arena_init(&arena, 0);
    assert_ok(segment_run_open(store, info.at, &arena, &run, &err), &err);
    assert_ok(segment_run_block(run, 99, &bytes, &n, &err), &err);
    assert_int_equal(n, 0);
    segment_run_close(run);
    arena_release(&arena);
    segment_store_close(store);
    mem_vfs_free(disk);
    mem_free(found);
}

static void pages_of_a_range_are_read_together(void **state) {
    (void)state;
    struct err err;
    struct found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
    struct segment_store *store = open_store(fault_vfs_base(faults), found);
    const struct segment_run_info info = add_run(store, 1, 0, ROWS, 2000);
    struct arena arena;
    struct segment_run *run = NULL;
    arena_init(&arena, 0);
    fault_vfs_plan(faults, (struct fault_plan){.ops = FAULT_READ, .after = SIZE_MAX});
    assert_ok(segment_run_open(store, info.at, &arena, &run, &err), &err);
    assert_ok(segment_run_load(run, 100, 1500, &err), &err);
    for (uint32_t slot = 100; slot < 1600; slot++) {
        assert_ok(check_slot(run, slot, &err), &err);
    }
    assert_int_equal(fault_vfs_calls(faults), 2);
    assert_ok(check_slot(run, 0, &err), &err);
    assert_ok(check_slot(run, 1999, &err), &err);
    segment_run_close(run);
    arena_release(&arena);
    segment_store_close(store);
    fault_vfs_free(faults);
    mem_vfs_free(disk);
    mem_free(found);
}

static void a_bad_byte_costs_at_most_its_page_or_run_and_no_value_is_wrong(void **state) {
    (void)state;
    enum { SLOTS = 1000 };
    struct found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct segment_store *store = open_store(mem_vfs_base(disk), found);
    struct segment_run_info infos[3];
    infos[0] = add_run(store, 1, 0, ROWS, 20);
    infos[1] = add_run(store, 2, 0, ROWS, SLOTS);
    infos[2] = add_run(store, 3, 0, ROWS, 20);
    segment_store_close(store);
    struct vfs_file *f = open_file(disk, "/segments/00000001");
    const uint32_t begin = infos[1].at.offset;
    const uint32_t end = infos[2].at.offset;
    for (uint32_t offset = begin; offset < end; offset += offset < begin + 200 ? 1 : 97) {
        const uint8_t with = (uint8_t)(1U << offset % 8);
        xor_byte(f, offset, with);
        store = open_store(mem_vfs_base(disk), found);
        struct err err;
        assert_in_range(found->count, 2, 3);
        assert_int_equal(found->damages, 3 - found->count);
        assert_true(found->count == 3 || found->damage_offset == begin);
        assert_int_equal(readable_slots(store, infos[0].at, 20), 20);
        assert_int_equal(readable_slots(store, infos[2].at, 20), 20);
        const uint32_t good = readable_slots(store, infos[1].at, SLOTS);
        assert_true(good < SLOTS && (found->count == 2 || good > SLOTS / 2));
        assert_err(segment_verify(store, infos[1].at, &err), ERR_CORRUPT, "/segments/00000001",
                   &err);
        segment_store_close(store);
        xor_byte(f, offset, with);
    }
    vfs_file_close(f);
    mem_vfs_free(disk);
    mem_free(found);
}

static void a_file_torn_at_any_length_keeps_its_whole_runs(void **state) {
    (void)state;
    struct found *found = mem_zalloc(sizeof(*found));
    uint64_t size = 0;
    for (uint64_t cut = 0; cut == 0 || cut < size; cut++) {
        struct mem_vfs *disk = mem_vfs_new();
        struct segment_store *store = open_store(mem_vfs_base(disk), found);
        const struct segment_run_info first = add_run(store, 1, 0, 4, 5);
        const struct segment_run_info second = add_run(store, 2, 0, 4, 5);
        segment_store_close(store);
        struct vfs_file *f = open_file(disk, "/segments/00000001");
        assert_int_equal(vfs_file_size(f, &size, NULL), ERR_OK);
        assert_int_equal(vfs_file_truncate(f, cut, NULL), ERR_OK);
        vfs_file_close(f);
        store = open_store(mem_vfs_base(disk), found);
        assert_int_equal(found->count, (cut >= first.at.offset + first.at.bytes) +
                                           (cut >= second.at.offset + second.at.bytes));
        assert_int_equal(found->damages, 0);
        const struct segment_run_info again = add_run(store, 3, 0, 4, 5);
        assert_int_equal(readable_slots(store, again.at, 5), 5);
        segment_store_close(store);
        mem_vfs_free(disk);
    }
    mem_free(found);
}

static void a_crash_at_any_operation_keeps_the_runs_that_were_synced(void **state) {
    (void)state;
    struct found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *work = mem_vfs_new();
    assert_int_equal(vfs_mkdir(mem_vfs_base(work), dir, NULL), ERR_OK);
    assert_int_equal(vfs_sync_dir(mem_vfs_base(work), "/", NULL), ERR_OK);
    struct segment_store *store = open_store(mem_vfs_base(work), found);
    size_t ops_at[8];
    struct segment_run_info infos[8];
    for (uint32_t i = 0; i < 8; i++) {
        infos[i] = add_run(store, i, 0, ROWS, 300);
        assert_false(segment_is_durable(store, infos[i].at));
        sync_now(store);
        assert_true(segment_is_durable(store, infos[i].at));
        ops_at[i] = mem_vfs_op_count(work);
    }
    segment_store_close(store);
    for (size_t ops = 0; ops <= mem_vfs_op_count(work); ops++) {
        for (int crash = 0; crash < MEM_CRASH_COUNT; crash++) {
            struct mem_vfs *disk =
                mem_vfs_after_crash(work, ops, (enum mem_crash)crash, ops * 8 + (uint64_t)crash);
            store = open_store(mem_vfs_base(disk), found);
            for (uint32_t i = 0; i < 8; i++) {
                if (ops_at[i] <= ops) {
                    assert_int_equal(readable_slots(store, infos[i].at, 300), 300);
                }
            }
            for (size_t i = 0; i < found->count; i++) { /* the others: right, or refused */
                struct err err;
                const uint32_t good = readable_slots(store, found->runs[i].at, 300);
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
    struct found *found = mem_zalloc(sizeof(*found));
    bool all_failed_once = false;
    for (size_t n = 0; !all_failed_once; n++) {
        struct err err;
        struct mem_vfs *disk = mem_vfs_new();
        struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
        struct segment_store *store = open_store(fault_vfs_base(faults), found);
        fault_vfs_plan(faults, (struct fault_plan){.ops = FAULT_OPEN | FAULT_CHANGES,
                                                   .after = n,
                                                   .sys_errno = n % 2 == 0 ? EIO : ENOSPC,
                                                   .short_write = n % 3 == 0});
        for (uint32_t i = 0; i < 6; i++) {
            struct segment_run_info info;
            bool durable = false;
            for (int attempt = 0; !durable; attempt++) {
                assert_true(attempt < 4);
                build_run(store, i, 0, ROWS, 300);
                durable = segment_commit(store, &info, &err) == ERR_OK &&
                          segment_sync(store, &err) == ERR_OK;
                assert_true(!durable || segment_is_durable(store, info.at));
            }
            assert_int_equal(readable_slots(store, info.at, 300), 300);
        }
        all_failed_once = fault_vfs_failures(faults) == 0;
        assert_int_equal(fault_vfs_repeated_syncs(faults), 0);
        segment_store_close(store);
        store = open_store(mem_vfs_base(disk), found);
        bool seen[6] = {false};
        for (size_t i = 0; i < found->count; i++) {
            seen[found->runs[i].group] = true;
            assert_int_equal(readable_slots(store, found->runs[i].at, 300), 300);
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

static void an_open_run_outlives_its_file(void **state) {
    (void)state;
    struct err err;
    struct found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct segment_store *store = open_store(mem_vfs_base(disk), found);
    const struct segment_run_info info = add_run(store, 4, 0, ROWS, 900);
    struct arena arena;
    struct segment_run *run = NULL;
    arena_init(&arena, 0);
    assert_ok(segment_run_open(store, info.at, &arena, &run, &err), &err);
    assert_ok(segment_drop_file(store, 1, &err), &err);
    assert_err(segment_drop_file(store, 1, &err), ERR_NOT_FOUND, "no segment 1", &err);
    assert_ok(check_slot(run, 500, &err), &err);
    segment_run_close(run);
    assert_err(segment_run_open(store, info.at, &arena, &run, &err), ERR_NOT_FOUND, "gone", &err);
    assert_int_equal(add_run(store, 5, 0, ROWS, 3).at.file, 2);
    arena_release(&arena);
    segment_store_close(store);
    mem_vfs_free(disk);
    mem_free(found);
}

static void reading_stays_within_the_budget_of_the_query(void **state) {
    (void)state;
    struct err err;
    struct found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct segment_store *store = open_store(mem_vfs_base(disk), found);
    const struct segment_run_info info = add_run(store, 4, 0, ROWS, 4000);
    struct arena arena;
    struct segment_run *run = NULL;
    arena_init(&arena, 40000);
    enum err_code code = segment_run_open(store, info.at, &arena, &run, &err);
    if (code == ERR_OK) {
        code = segment_run_load(run, 0, 4000, &err);
    }
    assert_int_equal(code, ERR_LIMIT);
    segment_run_close(run);
    arena_release(&arena);
    segment_store_close(store);
    mem_vfs_free(disk);
    mem_free(found);
}

/* Slot s of a family of counters that rise together. */
static struct num family_value(uint32_t row, uint32_t slot) {
    const uint64_t course = (uint64_t)(row + 1) * (row + 7) * 2654435761U % 1000003;
    return num_of_i64((int64_t)(course * 1000 + (uint64_t)row * slot));
}

static void add_family(struct segment_store *store, uint32_t slots, struct segment_run_info *out) {
    struct num values[ROWS];
    uint8_t states[ROWS];
    int64_t ts[ROWS];
    struct err err;
    for (uint32_t r = 0; r < ROWS; r++) {
        ts[r] = ts_of(1, r);
        states[r] = SLOT_VALUE;
    }
    segment_begin(store, 1, 0, ts, ROWS);
    for (uint32_t slot = 0; slot < slots; slot++) {
        for (uint32_t r = 0; r < ROWS; r++) {
            values[r] = family_value(r, slot);
        }
        segment_add_column(store, values, states);
    }
    assert_ok(segment_commit(store, out, &err), &err);
}

static void slots_that_refer_to_others_read_in_any_order(void **state) {
    (void)state;
    enum { SLOTS = 1500 };
    struct mem_vfs *disk = mem_vfs_new();
    struct found *found = mem_alloc(sizeof(*found));
    struct segment_store *store = open_store(mem_vfs_base(disk), found);
    struct segment_run_info info;
    add_family(store, SLOTS, &info);
    for (uint32_t stride = 1; stride < SLOTS; stride += 97) {
        struct arena arena;
        struct segment_run *run = NULL;
        struct err err;
        uint32_t referring = 0;
        arena_init(&arena, 0);
        assert_ok(segment_run_open(store, info.at, &arena, &run, &err), &err);
        for (uint32_t i = 0, slot = SLOTS - 1; i < SLOTS; i++, slot = (slot + stride) % SLOTS) {
            double values[BLOCK_ROWS_MAX + 8];
            uint16_t rows[BLOCK_ROWS_MAX + 8];
            int64_t m[BLOCK_ROWS_MAX + 8];
            uint8_t stale[BLOCK_ROWS_MAX + 8];
            struct block_column column = {.values = values, .rows = rows};
            struct block_ints ints = {.m = m, .stale = stale, .rows = rows};
            const uint8_t *bytes;
            size_t n;
            assert_ok(segment_run_block(run, slot, &bytes, &n, &err), &err);
            referring += block_reference(bytes, n) != 0;
            assert_ok(segment_run_column(run, slot, &column, &err), &err);
            assert_ok(segment_run_ints(run, slot, &ints, &err), &err);
            assert_true(column.count == ROWS && ints.count == ROWS);
            for (uint32_t r = 0; r < ROWS; r++) {
                const struct num want = family_value(r, slot);
                assert_true(f64_same_bits(values[r], num_double(want)) && m[r] == want.m);
            }
        }
        assert_true(referring > SLOTS / 2);
        segment_run_close(run);
        arena_release(&arena);
    }
    segment_store_close(store);
    mem_free(found);
    mem_vfs_free(disk);
}

static void a_small_constant_takes_one_byte_of_its_page(void **state) {
    (void)state;
    enum { SLOTS = 3000, VALUES = BLOCK_ONE_BYTE_VALUES + 2 };
    struct mem_vfs *disk = mem_vfs_new();
    struct found *found = mem_alloc(sizeof(*found));
    struct segment_store *store = open_store(mem_vfs_base(disk), found);
    const int64_t ts[] = {1, 2, 3};
    const uint8_t states[] = {SLOT_VALUE, SLOT_VALUE, SLOT_VALUE};
    const uint8_t absent[] = {SLOT_ABSENT, SLOT_ABSENT, SLOT_ABSENT};
    struct segment_run_info info;
    struct segment_run *run = NULL;
    struct arena arena;
    struct err err;
    segment_begin(store, 1, 0, ts, 3);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        const struct num v = num_of_i64(slot % VALUES);
        segment_add_column(store, (struct num[]){v, v, v}, slot % 5 == 3 ? absent : states);
    }
    assert_ok(segment_commit(store, &info, &err), &err);
    assert_in_range(info.at.bytes, SLOTS, SLOTS + SLOTS * 2 * 2 / VALUES + 100);
    arena_init(&arena, 0);
    assert_ok(segment_run_open(store, info.at, &arena, &run, &err), &err);
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        double values[8] = {0};
        uint16_t rows[8];
        struct block_column column = {.values = values, .rows = rows};
        assert_ok(segment_run_column(run, slot, &column, &err), &err);
        assert_int_equal(column.count, slot % 5 == 3 ? 0 : 3);
        assert_true(column.count == 0 || values[2] == slot % VALUES);
    }
    segment_run_close(run);
    arena_release(&arena);
    segment_store_close(store);
    mem_free(found);
    mem_vfs_free(disk);
}

static void a_block_that_refers_to_what_is_not_there_is_an_error(void **state) {
    (void)state;
    struct mem_vfs *disk = mem_vfs_new();
    struct found *found = mem_alloc(sizeof(*found));
    struct segment_store *store = open_store(mem_vfs_base(disk), found);
    static const uint8_t before_first[] = {BLOCK_CONST | 0x80, 0, 2};
    static const uint8_t chained[] = {BLOCK_CONST | 0x80, 1, 2};
    const int64_t ts[] = {1, 2, 3};
    struct segment_run_info info;
    struct segment_run *run = NULL;
    struct arena arena;
    struct err err;
    double values[8];
    uint16_t rows[8];
    struct block_column column = {.values = values, .rows = rows};
    segment_begin(store, 1, 0, ts, 3);
    segment_add_block(store, before_first, sizeof(before_first));
    segment_add_block(store, NULL, 0);
    segment_add_block(store, chained, sizeof(chained));
    segment_add_block(store, chained, sizeof(chained)); /* to the absent one */
    assert_ok(segment_commit(store, &info, &err), &err);
    arena_init(&arena, 0);
    assert_ok(segment_run_open(store, info.at, &arena, &run, &err), &err);
    assert_err(segment_run_column(run, 0, &column, &err), ERR_CORRUPT, "damaged block of slot 0",
               &err);
    assert_int_equal(segment_run_column(run, 2, &column, &err), ERR_CORRUPT);
    assert_int_equal(segment_run_column(run, 3, &column, &err), ERR_CORRUPT);
    segment_run_close(run);
    arena_release(&arena);
    segment_store_close(store);
    mem_free(found);
    mem_vfs_free(disk);
}

static void a_page_that_was_read_well_is_not_read_again(void **state) {
    (void)state;
    struct err err;
    struct found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct segment_store *store = open_store(mem_vfs_base(disk), found);
    const struct segment_run_info info = add_run(store, 4, 0, ROWS, 900);
    assert_int_equal(count_readable(store, info.at, 900, segment_run_open_cached), 900);
    struct vfs_file *f = open_file(disk, "/segments/00000001");
    const uint8_t zeros[100] = {0};
    assert_ok(vfs_file_pwrite(f, zeros, sizeof(zeros), info.at.offset + info.at.bytes - 100U, &err),
              &err);
    vfs_file_close(f);
    assert_int_equal(count_readable(store, info.at, 900, segment_run_open_cached), 900);
    assert_true(count_readable(store, info.at, 900, segment_run_open) < 900);
    segment_store_close(store);
    struct page_cache_stats stats;
    page_cache_stats_get(cache, &stats);
    assert_int_equal(stats.items, 0); /* they went with their files */
    mem_vfs_free(disk);
    mem_free(found);
}

static int make_cache(void **state) {
    (void)state;
    cache = page_cache_new(256 << 10);
    return 0;
}

static int free_cache(void **state) {
    (void)state;
    page_cache_free(cache);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_come_back_slot_by_slot_before_and_after_a_restart),
        cmocka_unit_test(writing_goes_on_in_the_newest_file_after_a_restart),
        cmocka_unit_test(encoded_blocks_can_be_added_as_they_are),
        cmocka_unit_test(slots_behind_the_last_sample_are_absent),
        cmocka_unit_test(pages_of_a_range_are_read_together),
        cmocka_unit_test(a_bad_byte_costs_at_most_its_page_or_run_and_no_value_is_wrong),
        cmocka_unit_test(a_file_torn_at_any_length_keeps_its_whole_runs),
        cmocka_unit_test(a_crash_at_any_operation_keeps_the_runs_that_were_synced),
        cmocka_unit_test(any_write_or_sync_may_fail_once_and_the_run_can_be_committed_again),
        cmocka_unit_test(an_open_run_outlives_its_file),
        cmocka_unit_test(reading_stays_within_the_budget_of_the_query),
        cmocka_unit_test(slots_that_refer_to_others_read_in_any_order),
        cmocka_unit_test(a_small_constant_takes_one_byte_of_its_page),
        cmocka_unit_test(a_block_that_refers_to_what_is_not_there_is_an_error),
        cmocka_unit_test(a_page_that_was_read_well_is_not_read_again),
    };
    return cmocka_run_group_tests(tests, make_cache, free_cache);
}
