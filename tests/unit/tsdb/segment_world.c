#include "tests/unit/tsdb/segment_world.h"

#include "tests/support/check_err.h"

#include "base/mem.h"
#include "tsdb/storage.h"

const char world_dir[] = "/segments";

struct page_cache *world_cache;

uint8_t world_state(uint32_t group, uint64_t row, uint32_t slot) {
    if (slot % 7 == 3) {
        return SLOT_ABSENT;
    }
    return (group + row + slot) % 29 == 0 ? SLOT_STALE : SLOT_VALUE;
}

struct num world_value(uint32_t group, uint64_t row, uint32_t slot) {
    if (slot % 5 == 1) {
        return num_of_i64((int64_t)slot); /* constant */
    }
    if (slot % 11 == 2) {
        return num_raw((double)(row + group) / 3.0);
    }
    return num_of_i64((int64_t)(group * 1000 + row * 17 + slot * slot + (row * 31 + slot) % 13));
}

int64_t world_ts(uint32_t group, uint64_t row) {
    return 1795344000000 + (int64_t)row * 15000 + group % 10;
}

void world_build_run(struct segment_store *store, uint32_t group, uint64_t first_row, uint32_t rows,
                     uint32_t slots) {
    int64_t ts[BLOCK_ROWS_MAX];
    struct num *values = mem_array(rows, sizeof(*values));
    uint8_t *states = mem_alloc(rows);
    for (uint32_t r = 0; r < rows; r++) {
        ts[r] = world_ts(group, first_row + r);
    }
    segment_begin(store, group, first_row, ts, rows);
    for (uint32_t slot = 0; slot < slots; slot++) {
        for (uint32_t r = 0; r < rows; r++) {
            values[r] = world_value(group, first_row + r, slot);
            states[r] = world_state(group, first_row + r, slot);
        }
        segment_add_column(store, values, states);
    }
    mem_free(values);
    mem_free(states);
}

struct segment_run_info world_add_run(struct segment_store *store, uint32_t group,
                                      uint64_t first_row, uint32_t rows, uint32_t slots) {
    struct err err;
    struct segment_run_info info;
    world_build_run(store, group, first_row, rows, slots);
    assert_ok(segment_commit(store, &info, &err), &err);
    return info;
}

static enum err_code note_run(void *ctx, const struct segment_run_info *run, struct err *err) {
    struct world_found *found = ctx;
    (void)err;
    assert_true(found->count < RUNS_MAX);
    found->runs[found->count++] = *run;
    return ERR_OK;
}

static void note_damage(void *ctx, const struct record_damage *damage) {
    struct world_found *found = ctx;
    found->damages += !damage->torn;
    found->torn += damage->torn;
    found->damage_offset = damage->offset;
}

struct segment_store *world_open(struct vfs *vfs, struct world_found *found) {
    struct err err;
    struct segment_store *store = NULL;
    *found = (struct world_found){0};
    const struct segment_options options = {.vfs = vfs,
                                            .dir = world_dir,
                                            .shard = 1,
                                            .file_bytes = 20000,
                                            .quarantine_dir = "/quarantine",
                                            .cache = world_cache,
                                            .damage = note_damage,
                                            .damage_ctx = found};
    assert_ok(segment_store_open(&options, note_run, found, &store, NULL, &err), &err);
    return store;
}

void world_sync(struct segment_store *store) {
    struct err err;
    assert_ok(segment_sync(store, &err), &err);
}

enum err_code world_check_slot(struct segment_run *run, uint32_t slot, struct err *err) {
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
        const uint8_t want = world_state(info->group, row, slot);
        if (want == SLOT_ABSENT) {
            continue;
        }
        assert_true(at < column.count);
        assert_int_equal(column.dense ? at : rows[at], r);
        assert_int_equal(f64_bits(values[at]),
                         want == SLOT_STALE
                             ? STALE_NAN_BITS
                             : f64_bits(num_double(world_value(info->group, row, slot))));
        at++;
    }
    assert_int_equal(at, column.count);
    return ERR_OK;
}

uint32_t world_count_readable(struct segment_store *store, struct segment_location at,
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
            assert_int_equal(segment_run_ts(run)[r], world_ts(info->group, info->first_row + r));
        }
        for (uint32_t slot = 0; slot < slots; slot++) {
            const enum err_code code = world_check_slot(run, slot, &err);
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

uint32_t world_readable_slots(struct segment_store *store, struct segment_location at,
                              uint32_t slots) {
    const uint32_t good = world_count_readable(store, at, slots, segment_run_open);
    assert_int_equal(world_count_readable(store, at, slots, segment_run_open_cached), good);
    assert_int_equal(world_count_readable(store, at, slots, segment_run_open_cached), good);
    return good;
}

struct vfs_file *world_file(struct mem_vfs *disk, const char *path) {
    struct err err;
    struct vfs_file *f = NULL;
    assert_ok(vfs_open(mem_vfs_base(disk), path, VFS_WRITE, &f, &err), &err);
    return f;
}

void world_xor_byte(struct vfs_file *f, uint64_t offset, uint8_t with) {
    uint8_t byte = 0;
    assert_int_equal(vfs_file_pread(f, &byte, 1, offset, NULL, NULL), ERR_OK);
    byte ^= with;
    assert_int_equal(vfs_file_pwrite(f, &byte, 1, offset, NULL), ERR_OK);
}

int world_make_cache(void **state) {
    (void)state;
    world_cache = page_cache_new(256 << 10);
    return 0;
}

int world_free_cache(void **state) {
    (void)state;
    page_cache_free(world_cache);
    return 0;
}
