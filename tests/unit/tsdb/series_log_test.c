/* Series log: definitions come back in order with their numbers. */
#include "tests/support/check_err.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/tsdb/series_log_world.h"
#include "tsdb/series_log_copy.h"

static void definitions_come_back_and_numbers_go_on(void **state) {
    (void)state;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(5);
    for (uint32_t count = 5; count < 8; count++) {
        struct series_log *log = world_open(mem_vfs_base(disk), seen);
        assert_whole(seen, count);
        assert_int_equal(seen->damages + seen->torn, 0);
        const struct series_log_next next = series_log_next(log);
        assert_int_equal(next.target_set, count + 1);
        assert_int_equal(next.metric_set, 2 * count + 1);
        assert_int_equal(next.group, count + 1);
        assert_int_equal(next.series, 3 * count + 1);
        world_define(log, 1);
        series_log_close(log);
    }
    mem_vfs_free(disk);
    mem_free(seen);
}

static void a_batch_larger_than_a_record_is_split(void **state) {
    (void)state;
    enum { SETS = 400 };
    struct err err;
    struct arena arena;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct series_log *log = world_open(mem_vfs_base(disk), seen);
    arena_init(&arena, 0);
    struct labels *sets = mem_array(SETS, sizeof(*sets));
    char *text = mem_alloc(20001);
    memset(text, 'x', 20000);
    for (uint32_t i = 0; i < SETS; i++) { /* differ at the front: nothing is shared */
        (void)snprintf(text, 20001, "%05u", i);
        text[5] = 'x';
        const struct label pair = {STR("a"), {text, 20000}};
        sets[i] = labels_of(&arena, &pair, 1);
    }
    const struct series_log_batch batch = {
        .first_metric_set = 1, .metric_sets = sets, .metric_set_count = SETS};
    assert_ok(series_log_append(log, &batch, &err), &err);
    assert_int_equal(series_log_next(log).metric_set, SETS + 1);
    series_log_close(log);
    struct vfs_file *f = world_file(disk, "/series/00000001");
    uint64_t size = 0;
    assert_int_equal(vfs_file_size(f, &size, NULL), ERR_OK);
    /* with a copy of each but the last record */
    assert_in_range(size, 2 * SETS * 20000 - (2 << 20), 2 * (SETS * 20000 + SETS * 8 + 400));
    vfs_file_close(f);
    mem_free(text);
    mem_free(sets);
    arena_release(&arena);
    mem_vfs_free(disk);
    mem_free(seen);
}

static void label_sets_share_what_they_begin_with(void **state) {
    (void)state;
    struct mem_vfs *disk = world_disk(100);
    struct vfs_file *f = world_file(disk, "/series/00000001");
    uint64_t size = 0;
    assert_int_equal(vfs_file_size(f, &size, NULL), ERR_OK);
    vfs_file_close(f);
    assert_true(size < 2 * 100 * 150); /* 54 bytes of each second metric set are not repeated */
    mem_vfs_free(disk);
}

static void slow_growth_costs_little_filler(void **state) {
    (void)state;
    enum { COUNT = 150 };
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct series_log_stats plain;
    struct series_log_stats slow;
    struct mem_vfs *disk = world_disk(COUNT); /* one after the other: copies, no filler */
    struct series_log *log = world_open(mem_vfs_base(disk), seen);
    series_log_stats_get(log, &plain);
    series_log_close(log);
    mem_vfs_free(disk);
    disk = mem_vfs_new();
    log = world_open(mem_vfs_base(disk), seen);
    for (uint32_t i = 0; i < COUNT; i++) {
        world_define(log, 1);
        world_sync_twice(log);
    }
    series_log_stats_get(log, &slow);
    assert_in_range(slow.disk_bytes, plain.disk_bytes,
                    plain.disk_bytes + 2 * SERIES_COPY_DISTANCE + plain.disk_bytes / 32);
    series_log_close(log);
    mem_vfs_free(disk);
    mem_free(seen);
}

static void numbers_found_in_use_are_skipped(void **state) {
    (void)state;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = world_disk(2);
    struct series_log *log = world_open(mem_vfs_base(disk), seen);
    series_log_skip_to(log, (struct series_log_next){.group = 40, .series = 20, .layout = 7});
    const struct series_log_next next = series_log_next(log);
    assert_int_equal(next.target_set, 3);
    assert_int_equal(next.metric_set, 5);
    assert_int_equal(next.group, 40);
    assert_int_equal(next.series, 20);
    assert_int_equal(next.layout, 7);
    series_log_close(log);
    mem_vfs_free(disk);
    mem_free(seen);
}

static void a_label_set_too_large_changes_nothing(void **state) {
    (void)state;
    struct err err;
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct series_log *log = world_open(mem_vfs_base(disk), seen);
    uint8_t *bytes = mem_zalloc(SERIES_LOG_LABELS_MAX + 1);
    const struct labels large = {bytes, SERIES_LOG_LABELS_MAX + 1};
    const struct series_log_batch batch = {
        .first_metric_set = 1, .metric_sets = &large, .metric_set_count = 1};
    assert_err(series_log_append(log, &batch, &err), ERR_LIMIT, "too large", &err);
    assert_int_equal(series_log_next(log).metric_set, 1);
    world_define(log, 1);
    mem_free(bytes);
    series_log_close(log);
    mem_vfs_free(disk);
    mem_free(seen);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(definitions_come_back_and_numbers_go_on),
        cmocka_unit_test(a_batch_larger_than_a_record_is_split),
        cmocka_unit_test(label_sets_share_what_they_begin_with),
        cmocka_unit_test(slow_growth_costs_little_filler),
        cmocka_unit_test(numbers_found_in_use_are_skipped),
        cmocka_unit_test(a_label_set_too_large_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
