/* L0 segments: sealed runs come back slot by slot, however they are read. */
#include "tests/support/check_err.h"

#include "base/mem.h"
#include "tests/support/fault_vfs.h"
#include "tests/unit/tsdb/segment_world.h"
#include "tsdb/storage.h"

static void runs_come_back_slot_by_slot_before_and_after_a_restart(void **state) {
    (void)state;
    struct world_found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct segment_store *store = world_open(mem_vfs_base(disk), found);
    struct segment_run_info infos[30];
    static const uint32_t slots[] = {1, 3, 40, 700, 4000};
    for (uint32_t i = 0; i < 30; i++) {
        infos[i] = world_add_run(store, i, i * 64, i == 0 ? 1 : ROWS, slots[i % 5]);
        assert_int_equal(world_readable_slots(store, infos[i].at, slots[i % 5]), slots[i % 5]);
    }
    segment_store_close(store);
    store = world_open(mem_vfs_base(disk), found);
    assert_int_equal(found->count, 30);
    assert_int_equal(found->damages + found->torn, 0);
    for (uint32_t i = 0; i < 30; i++) {
        const struct segment_run_info *run = &found->runs[i];
        assert_memory_equal(&run->at, &infos[i].at, sizeof(run->at));
        assert_int_equal(run->group, i);
        assert_int_equal(run->first_row, i * 64);
        assert_int_equal(run->rows, i == 0 ? 1 : ROWS);
        assert_int_equal(run->min_ts_ms, world_ts(i, i * 64));
        assert_int_equal(run->max_ts_ms, world_ts(i, i * 64 + run->rows - 1));
        assert_int_equal(world_readable_slots(store, run->at, slots[i % 5]), slots[i % 5]);
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
    struct world_found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    for (uint32_t i = 0; i < 5; i++) {
        struct segment_store *store = world_open(mem_vfs_base(disk), found);
        assert_int_equal(found->count, i);
        assert_int_equal(world_add_run(store, i, 0, ROWS, 10).at.file, 1);
        segment_store_close(store);
    }
    mem_vfs_free(disk);
    mem_free(found);
}

static void encoded_blocks_can_be_added_as_they_are(void **state) {
    (void)state;
    struct err err;
    struct world_found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct segment_store *store = world_open(mem_vfs_base(disk), found);
    struct block_encoder *e = block_encoder_new();
    int64_t ts[ROWS];
    for (uint32_t r = 0; r < ROWS; r++) {
        ts[r] = world_ts(8, r);
    }
    segment_begin(store, 8, 0, ts, ROWS);
    for (uint32_t slot = 0; slot < 20; slot++) {
        struct num values[ROWS];
        uint8_t states[ROWS];
        uint8_t bytes[BLOCK_BYTES_FIXED_MAX + ROWS * BLOCK_BYTES_PER_ROW_MAX];
        for (uint32_t r = 0; r < ROWS; r++) {
            values[r] = world_value(8, r, slot);
            states[r] = world_state(8, r, slot);
        }
        segment_add_block(store, bytes, block_encode(e, values, states, ROWS, bytes));
    }
    struct segment_run_info info;
    assert_ok(segment_commit(store, &info, &err), &err);
    assert_int_equal(world_readable_slots(store, info.at, 20), 20);
    block_encoder_free(e);
    segment_store_close(store);
    mem_vfs_free(disk);
    mem_free(found);
}

static void slots_behind_the_last_sample_are_absent(void **state) {
    (void)state;
    struct err err;
    struct world_found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct segment_store *store = world_open(mem_vfs_base(disk), found);
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
    struct world_found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
    struct segment_store *store = world_open(fault_vfs_base(faults), found);
    const struct segment_run_info info = world_add_run(store, 1, 0, ROWS, 2000);
    struct arena arena;
    struct segment_run *run = NULL;
    arena_init(&arena, 0);
    fault_vfs_plan(faults, (struct fault_plan){.ops = FAULT_READ, .after = SIZE_MAX});
    assert_ok(segment_run_open(store, info.at, &arena, &run, &err), &err);
    assert_ok(segment_run_load(run, 100, 1500, &err), &err);
    for (uint32_t slot = 100; slot < 1600; slot++) {
        assert_ok(world_check_slot(run, slot, &err), &err);
    }
    assert_int_equal(fault_vfs_calls(faults), 2);
    assert_ok(world_check_slot(run, 0, &err), &err);
    assert_ok(world_check_slot(run, 1999, &err), &err);
    segment_run_close(run);
    arena_release(&arena);
    segment_store_close(store);
    fault_vfs_free(faults);
    mem_vfs_free(disk);
    mem_free(found);
}

static void an_open_run_outlives_its_file(void **state) {
    (void)state;
    struct err err;
    struct world_found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct segment_store *store = world_open(mem_vfs_base(disk), found);
    const struct segment_run_info info = world_add_run(store, 4, 0, ROWS, 900);
    struct arena arena;
    struct segment_run *run = NULL;
    arena_init(&arena, 0);
    assert_ok(segment_run_open(store, info.at, &arena, &run, &err), &err);
    assert_ok(segment_drop_file(store, 1, &err), &err);
    assert_err(segment_drop_file(store, 1, &err), ERR_NOT_FOUND, "no segment 1", &err);
    assert_ok(world_check_slot(run, 500, &err), &err);
    segment_run_close(run);
    assert_err(segment_run_open(store, info.at, &arena, &run, &err), ERR_NOT_FOUND, "gone", &err);
    assert_int_equal(world_add_run(store, 5, 0, ROWS, 3).at.file, 2);
    arena_release(&arena);
    segment_store_close(store);
    mem_vfs_free(disk);
    mem_free(found);
}

static void reading_stays_within_the_budget_of_the_query(void **state) {
    (void)state;
    struct err err;
    struct world_found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct segment_store *store = world_open(mem_vfs_base(disk), found);
    const struct segment_run_info info = world_add_run(store, 4, 0, ROWS, 4000);
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
        ts[r] = world_ts(1, r);
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
    struct world_found *found = mem_alloc(sizeof(*found));
    struct segment_store *store = world_open(mem_vfs_base(disk), found);
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
    struct world_found *found = mem_alloc(sizeof(*found));
    struct segment_store *store = world_open(mem_vfs_base(disk), found);
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
    struct world_found *found = mem_alloc(sizeof(*found));
    struct segment_store *store = world_open(mem_vfs_base(disk), found);
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
    struct world_found *found = mem_zalloc(sizeof(*found));
    struct mem_vfs *disk = mem_vfs_new();
    struct segment_store *store = world_open(mem_vfs_base(disk), found);
    const struct segment_run_info info = world_add_run(store, 4, 0, ROWS, 900);
    assert_int_equal(world_count_readable(store, info.at, 900, segment_run_open_cached), 900);
    struct vfs_file *f = world_file(disk, "/segments/00000001");
    const uint8_t zeros[100] = {0};
    assert_ok(vfs_file_pwrite(f, zeros, sizeof(zeros), info.at.offset + info.at.bytes - 100U, &err),
              &err);
    vfs_file_close(f);
    assert_int_equal(world_count_readable(store, info.at, 900, segment_run_open_cached), 900);
    assert_true(world_count_readable(store, info.at, 900, segment_run_open) < 900);
    segment_store_close(store);
    struct page_cache_stats stats;
    page_cache_stats_get(world_cache, &stats);
    assert_int_equal(stats.items, 0); /* they went with their files */
    mem_vfs_free(disk);
    mem_free(found);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_come_back_slot_by_slot_before_and_after_a_restart),
        cmocka_unit_test(writing_goes_on_in_the_newest_file_after_a_restart),
        cmocka_unit_test(encoded_blocks_can_be_added_as_they_are),
        cmocka_unit_test(slots_behind_the_last_sample_are_absent),
        cmocka_unit_test(pages_of_a_range_are_read_together),
        cmocka_unit_test(an_open_run_outlives_its_file),
        cmocka_unit_test(reading_stays_within_the_budget_of_the_query),
        cmocka_unit_test(slots_that_refer_to_others_read_in_any_order),
        cmocka_unit_test(a_small_constant_takes_one_byte_of_its_page),
        cmocka_unit_test(a_block_that_refers_to_what_is_not_there_is_an_error),
        cmocka_unit_test(a_page_that_was_read_well_is_not_read_again),
    };
    return cmocka_run_group_tests(tests, world_make_cache, world_free_cache);
}
