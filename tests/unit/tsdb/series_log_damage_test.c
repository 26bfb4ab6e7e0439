/* Series log: damage costs at most the record it is in, nothing once there are copies, and changes no
 * number. */
#include "tests/support/check_err.h"

#include "base/mem.h"
#include "tests/unit/tsdb/series_log_world.h"

static void a_bad_byte_costs_one_record_and_renumbers_nothing(void **state) {
    (void)state;
    enum { COUNT = 6 };
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(COUNT);
    struct vfs_file *f = world_file(disk, "/series/00000001");
    uint64_t size = 0;
    assert_int_equal(vfs_file_size(f, &size, NULL), ERR_OK);
    for (uint64_t offset = 0; offset < size; offset += 1) {
        uint8_t byte = 0;
        assert_int_equal(vfs_file_pread(f, &byte, 1, offset, NULL, NULL), ERR_OK);
        const uint8_t bad = byte ^ 0x10;
        assert_int_equal(vfs_file_pwrite(f, &bad, 1, offset, NULL), ERR_OK);
        /* A copy of the disk: opening may cut a tail that looks torn. */
        struct mem_vfs *copy = mem_vfs_after_crash(disk, mem_vfs_op_count(disk), MEM_CRASH_KEEP, 0);
        struct series_log *log = world_open(mem_vfs_base(copy), seen);
        assert_int_equal(seen->damages + seen->torn, 1);
        assert_int_equal(seen->group_count, offset < RECORD_FILE_HEADER_BYTES ? COUNT : COUNT - 1);
        series_log_close(log);
        mem_vfs_free(copy);
        assert_int_equal(vfs_file_pwrite(f, &byte, 1, offset, NULL), ERR_OK);
    }
    vfs_file_close(f);
    mem_vfs_free(disk);
    mem_free(seen);
}

static void after_damage_appends_go_to_a_fresh_file(void **state) {
    (void)state;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(4);
    struct vfs_file *f = world_file(disk, "/series/00000001");
    const uint8_t bad = 0xee;
    assert_int_equal(vfs_file_pwrite(f, &bad, 1, 80, NULL), ERR_OK);
    vfs_file_close(f);
    struct series_log *log = world_open(mem_vfs_base(disk), seen);
    assert_int_equal(seen->group_count, 3);
    assert_int_equal(series_log_next(log).group, 5);
    world_define(log, 2);
    series_log_close(log);
    struct vfs_stat stat;
    assert_int_equal(vfs_stat(mem_vfs_base(disk), "/series/00000002", &stat, NULL), ERR_OK);
    log = world_open(mem_vfs_base(disk), seen);
    assert_int_equal(seen->group_count, 5);
    assert_int_equal(series_log_next(log).group, 7);
    series_log_close(log);
    mem_vfs_free(disk);
    mem_free(seen);
}

static struct mem_vfs *disk_with_copies(uint32_t count) {
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct series_log *log = world_open(mem_vfs_base(disk), seen);
    world_define(log, count);
    world_sync_twice(log);
    series_log_close(log);
    mem_free(seen);
    return disk;
}

/* Overwrites n bytes at each place of a file that step leads to; nothing may be missing or come in
 * another order, and somebody must be told. */
static void assert_damage_costs_nothing(struct mem_vfs *disk, const char *path, uint64_t step,
                                        size_t n, uint32_t count) {
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct vfs_file *f = world_file(disk, path);
    uint8_t *kept = mem_alloc(n);
    uint8_t *bad = mem_alloc(n);
    uint64_t size = 0;
    assert_int_equal(vfs_file_size(f, &size, NULL), ERR_OK);
    for (uint64_t offset = 0; offset < size; offset += step) {
        size_t got = 0;
        assert_int_equal(vfs_file_pread(f, kept, n, offset, &got, NULL), ERR_OK);
        for (size_t i = 0; i < got; i++) {
            bad[i] = kept[i] ^ 0x10;
        }
        assert_int_equal(vfs_file_pwrite(f, bad, got, offset, NULL), ERR_OK);
        struct mem_vfs *copy = mem_vfs_after_crash(disk, mem_vfs_op_count(disk), MEM_CRASH_KEEP, 0);
        struct series_log *log = world_open(mem_vfs_base(copy), seen);
        assert_whole(seen, count);
        assert_int_equal(seen->gaps, 0);
        assert_true(seen->damages + seen->torn > 0);
        assert_int_equal(series_log_next(log).series, 3 * count + 1);
        world_define(log, 2);
        world_sync_twice(log);
        series_log_close(log);
        log = world_open(mem_vfs_base(copy), seen);
        assert_whole(seen, count + 2);
        series_log_close(log);
        mem_vfs_free(copy);
        assert_int_equal(vfs_file_pwrite(f, kept, got, offset, NULL), ERR_OK);
    }
    vfs_file_close(f);
    mem_free(kept);
    mem_free(bad);
    mem_free(seen);
}

static void a_bad_byte_costs_nothing_once_there_are_copies(void **state) {
    (void)state;
    struct mem_vfs *disk = disk_with_copies(4);
    assert_damage_costs_nothing(disk, "/series/00000001", 7, 1, 4);
    mem_vfs_free(disk);
}

static void a_bad_page_costs_nothing_once_there_are_copies(void **state) {
    (void)state;
    enum { COUNT = 150, PAGE = 4096 };
    struct mem_vfs *disk = disk_with_copies(COUNT);
    assert_damage_costs_nothing(disk, "/series/00000001", PAGE, PAGE, COUNT);
    assert_damage_costs_nothing(disk, "/series/00000001", 1500, PAGE, COUNT);
    mem_vfs_free(disk);
}

static void records_from_before_a_restart_get_copies_after_it(void **state) {
    (void)state;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(3);
    struct series_log *log = world_open(mem_vfs_base(disk), seen);
    world_define(log, 1);
    world_sync_twice(log);
    series_log_close(log);
    assert_damage_costs_nothing(disk, "/series/00000001", 61, 1, 4);
    log = world_open(mem_vfs_base(disk), seen); /* nothing waits now */
    struct series_log_stats before;
    struct series_log_stats after;
    series_log_stats_get(log, &before);
    world_sync_twice(log);
    series_log_stats_get(log, &after);
    assert_int_equal(after.disk_bytes, before.disk_bytes);
    series_log_close(log);
    mem_vfs_free(disk);
    mem_free(seen);
}

static void an_image_has_copies_too(void **state) {
    (void)state;
    enum { COUNT = 40 };
    struct err err;
    struct arena arena;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(1);
    struct series_log *log = world_open(mem_vfs_base(disk), seen);
    struct series_log_batch batches[COUNT];
    struct labels targets[COUNT];
    struct labels metrics[COUNT][2];
    struct series_run runs[COUNT][2];
    uint32_t numbers[COUNT];
    arena_init(&arena, 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        numbers[i] = i + 1;
        targets[i] = world_target(&arena, i + 1);
        metrics[i][0] = world_metric(&arena, 2 * i + 1);
        metrics[i][1] = world_metric(&arena, 2 * i + 2);
        runs[i][0] = (struct series_run){3 * i + 1, i + 1, 0, i + 1, 2 * i + 1, 2};
        runs[i][1] = (struct series_run){3 * i + 3, i + 1, 2, 0, 2 * i + 1, 1};
        batches[i] = (struct series_log_batch){.first_target_set = i + 1,
                                               .target_sets = &targets[i],
                                               .target_set_count = 1,
                                               .first_metric_set = 2 * i + 1,
                                               .metric_sets = metrics[i],
                                               .metric_set_count = 2,
                                               .first_group = i + 1,
                                               .group_target_sets = &numbers[i],
                                               .group_count = 1,
                                               .series = runs[i],
                                               .series_run_count = 2};
    }
    const struct series_log_next next = {COUNT + 1, 2 * COUNT + 1, COUNT + 1, 3 * COUNT + 1, 1};
    assert_ok(series_log_replace(log, batches, COUNT, next, &err), &err);
    series_log_close(log);
    assert_damage_costs_nothing(disk, "/series/00000002", 4096, 4096, COUNT);
    arena_release(&arena);
    mem_vfs_free(disk);
    mem_free(seen);
}

/* Sets alone, then a group and a series that refer to them. */
static void define_in_two_records(struct series_log *log) {
    struct arena arena;
    struct err err;
    arena_init(&arena, 0);
    const struct series_log_next next = series_log_next(log);
    const struct labels target = world_target(&arena, next.target_set);
    const struct labels metrics[] = {world_metric(&arena, next.metric_set),
                                     world_metric(&arena, next.metric_set + 1)};
    const struct series_log_batch sets = {.first_target_set = next.target_set,
                                          .target_sets = &target,
                                          .target_set_count = 1,
                                          .first_metric_set = next.metric_set,
                                          .metric_sets = metrics,
                                          .metric_set_count = 2};
    const uint32_t group_target = next.target_set;
    const struct series_run series = {next.series,     next.group,      0,
                                      next.target_set, next.metric_set, 2};
    const struct series_log_batch users = {.first_group = next.group,
                                           .group_target_sets = &group_target,
                                           .group_count = 1,
                                           .series = &series,
                                           .series_run_count = 1};
    assert_ok(series_log_append(log, &sets, &err), &err);
    assert_ok(series_log_append(log, &users, &err), &err);
    arena_release(&arena);
}

static enum err_code ignore_group(void *ctx, uint32_t group, uint32_t target_set, struct err *err) {
    (void)ctx;
    (void)group;
    (void)target_set;
    (void)err;
    return ERR_OK;
}

static enum err_code ignore_series(void *ctx, const struct series_run *run, struct err *err) {
    (void)ctx;
    (void)run;
    (void)err;
    return ERR_OK;
}

static void a_number_that_is_referred_to_is_taken_though_its_definition_is_lost(void **state) {
    (void)state;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct series_log *log = world_open(mem_vfs_base(disk), seen);
    define_in_two_records(log);
    const struct series_log_next next = series_log_next(log);
    series_log_close(log);
    struct vfs_file *f = world_file(disk, "/series/00000001");
    const uint8_t bad = 0xee;
    const uint64_t first_payload = RECORD_FILE_HEADER_BYTES + RECORD_HEADER_BYTES;
    assert_int_equal(vfs_file_pwrite(f, &bad, 1, first_payload, NULL), ERR_OK);
    vfs_file_close(f);
    struct series_log_handler any = world_handler;
    any.group = ignore_group;
    any.series = ignore_series;
    struct err err;
    const struct series_log_options options = {.vfs = mem_vfs_base(disk), .dir = world_dir};
    assert_ok(series_log_open(&options, &any, seen, &log, NULL, &err), &err);
    assert_int_equal(series_log_next(log).target_set, next.target_set);
    assert_int_equal(series_log_next(log).metric_set, next.metric_set);
    series_log_close(log);
    mem_vfs_free(disk);
    mem_free(seen);
}

static void a_torn_end_behind_damage_is_no_damage_later(void **state) {
    (void)state;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(4);
    struct vfs_file *f = world_file(disk, "/series/00000001");
    uint64_t size = 0;
    const uint8_t bad = 0xee;
    assert_int_equal(vfs_file_size(f, &size, NULL), ERR_OK);
    assert_int_equal(vfs_file_pwrite(f, &bad, 1, 80, NULL), ERR_OK);
    assert_int_equal(vfs_file_pwrite(f, "torn", 4, size, NULL), ERR_OK);
    vfs_file_close(f);
    struct series_log *log = world_open(mem_vfs_base(disk), seen);
    assert_int_equal(seen->damages, 1);
    assert_int_equal(seen->torn, 1);
    world_define(log, 1); /* to a fresh file */
    series_log_close(log);
    log = world_open(mem_vfs_base(disk), seen);
    assert_int_equal(seen->damages, 1);
    assert_int_equal(seen->torn, 0);
    assert_int_equal(seen->group_count, 4);
    series_log_close(log);
    mem_vfs_free(disk);
    mem_free(seen);
}

/* A loss of power took the header, opening cut off the rest, and power was lost again. */
static void nothing_is_written_behind_a_header_that_is_lost(void **state) {
    (void)state;
    static const uint8_t zeros[RECORD_FILE_HEADER_BYTES];
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(1);
    struct vfs_file *f = world_file(disk, "/series/00000001");
    assert_int_equal(vfs_file_truncate(f, sizeof(zeros), NULL), ERR_OK);
    assert_int_equal(vfs_file_pwrite(f, zeros, sizeof(zeros), 0, NULL), ERR_OK);
    vfs_file_close(f);
    struct series_log *log = world_open(mem_vfs_base(disk), seen);
    world_define(log, 2);
    series_log_close(log);
    log = world_open(mem_vfs_base(disk), seen);
    assert_int_equal(seen->damages, 0);
    assert_int_equal(seen->torn, 0);
    assert_int_equal(seen->group_count, 2);
    series_log_close(log);
    mem_vfs_free(disk);
    mem_free(seen);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_byte_costs_one_record_and_renumbers_nothing),
        cmocka_unit_test(after_damage_appends_go_to_a_fresh_file),
        cmocka_unit_test(a_bad_byte_costs_nothing_once_there_are_copies),
        cmocka_unit_test(a_bad_page_costs_nothing_once_there_are_copies),
        cmocka_unit_test(records_from_before_a_restart_get_copies_after_it),
        cmocka_unit_test(an_image_has_copies_too),
        cmocka_unit_test(a_number_that_is_referred_to_is_taken_though_its_definition_is_lost),
        cmocka_unit_test(a_torn_end_behind_damage_is_no_damage_later),
        cmocka_unit_test(nothing_is_written_behind_a_header_that_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
