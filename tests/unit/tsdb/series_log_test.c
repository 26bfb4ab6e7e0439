/* Series log: definitions come back in order with their numbers; a crash loses only what was not
 * synced, a bad byte one record, a failure nothing.
 *
 * Labels are a function of their number, so that a definition can be told right from wrong alone. */
#include "tests/support/check_err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/series_log.h"
#include "tsdb/series_log_copy.h"

enum { THINGS_MAX = 512 };

static const char dir[] = "/series";

/* ---- definitions ---- */

static struct labels target_labels(struct arena *arena, uint32_t set) {
    char instance[40];
    (void)snprintf(instance, sizeof(instance), "host-%u:9100", set);
    const struct label pairs[] = {{STR("instance"), arena_str(arena, str_of(instance))},
                                  {STR("job"), STR("node")}};
    return labels_of(arena, pairs, 2);
}

static struct labels metric_labels(struct arena *arena, uint32_t set) {
    char cpu[40];
    (void)snprintf(cpu, sizeof(cpu), "%u", set);
    const struct label pairs[] = {{LABEL_NAME, STR("node_cpu_seconds_total")},
                                  {STR("cpu"), arena_str(arena, str_of(cpu))},
                                  {STR("mode"), set % 2 == 0 ? STR("idle") : STR("user")}};
    return labels_of(arena, pairs, 3);
}

/* Target i: one target set, two metric sets, one group, three series in two runs. */
static enum err_code define_target(struct series_log *log, struct err *err) {
    struct arena arena;
    arena_init(&arena, 0);
    const struct series_log_next next = series_log_next(log);
    const struct labels target = target_labels(&arena, next.target_set);
    const struct labels metrics[] = {metric_labels(&arena, next.metric_set),
                                     metric_labels(&arena, next.metric_set + 1)};
    const uint32_t group_target = next.target_set;
    const struct series_run series[] = {
        {next.series, next.group, 0, next.target_set, next.metric_set, 2},
        {next.series + 2, next.group, 2, 0, next.metric_set, 1},
    };
    const struct series_log_batch batch = {.first_target_set = next.target_set,
                                           .target_sets = &target,
                                           .target_set_count = 1,
                                           .first_metric_set = next.metric_set,
                                           .metric_sets = metrics,
                                           .metric_set_count = 2,
                                           .first_group = next.group,
                                           .group_target_sets = &group_target,
                                           .group_count = 1,
                                           .series = series,
                                           .series_run_count = 2};
    const enum err_code code = series_log_append(log, &batch, err);
    arena_release(&arena);
    return code;
}

/* ---- what a replay saw ---- */

struct seen {
    bool targets[THINGS_MAX];
    bool metrics[THINGS_MAX];
    bool groups[THINGS_MAX];
    bool series[THINGS_MAX];
    uint32_t group_count;
    size_t gaps;  /* groups that came before the one below them */
    size_t again; /* groups that were defined before */
    size_t damages;
    size_t torn;
};

static enum err_code see_target(void *ctx, uint32_t set, struct labels labels, struct err *err) {
    struct seen *seen = ctx;
    struct arena arena;
    (void)err;
    arena_init(&arena, 0);
    assert_in_range(set, 1, THINGS_MAX - 1);
    assert_true(labels_eq(labels, target_labels(&arena, set)));
    seen->targets[set] = true;
    arena_release(&arena);
    return ERR_OK;
}

static enum err_code see_metric(void *ctx, uint32_t set, struct labels labels, struct err *err) {
    struct seen *seen = ctx;
    struct arena arena;
    (void)err;
    arena_init(&arena, 0);
    assert_in_range(set, 1, THINGS_MAX - 1);
    assert_true(labels_eq(labels, metric_labels(&arena, set)));
    seen->metrics[set] = true;
    arena_release(&arena);
    return ERR_OK;
}

static enum err_code see_group(void *ctx, uint32_t group, uint32_t target_set, struct err *err) {
    struct seen *seen = ctx;
    (void)err;
    assert_in_range(group, 1, THINGS_MAX - 1);
    assert_int_equal(target_set, group);
    assert_true(seen->targets[target_set]); /* a set before its group */
    seen->group_count += !seen->groups[group];
    seen->again += seen->groups[group];
    seen->gaps += group > 1 && !seen->groups[group - 1];
    seen->groups[group] = true;
    return ERR_OK;
}

static enum err_code see_series(void *ctx, const struct series_run *run, struct err *err) {
    struct seen *seen = ctx;
    (void)err;
    assert_true(seen->groups[run->group]);
    assert_int_equal(run->first_series, (run->group - 1) * 3 + 1 + run->first_slot);
    assert_int_equal(run->first_metric_set, (run->group - 1) * 2 + 1);
    assert_int_equal(run->target_set, run->first_slot == 0 ? run->group : 0);
    assert_int_equal(run->count, run->first_slot == 0 ? 2 : 1);
    for (uint32_t i = 0; i < run->count; i++) {
        seen->series[run->first_series + i] = true;
    }
    return ERR_OK;
}

static const struct series_log_handler handler = {
    .target_set = see_target, .metric_set = see_metric, .group = see_group, .series = see_series};

static void note_damage(void *ctx, const struct record_damage *damage) {
    struct seen *seen = ctx;
    seen->damages += !damage->torn;
    seen->torn += damage->torn;
}

static struct series_log *open_log(struct vfs *vfs, struct seen *seen) {
    struct err err;
    struct series_log *log = NULL;
    *seen = (struct seen){0};
    const struct series_log_options options = {
        .vfs = vfs, .dir = dir, .damage = note_damage, .damage_ctx = seen};
    assert_ok(series_log_open(&options, &handler, seen, &log, NULL, &err), &err);
    return log;
}

static void define(struct series_log *log, uint32_t count) {
    struct err err;
    for (uint32_t i = 0; i < count; i++) {
        assert_ok(define_target(log, &err), &err);
    }
}

static void assert_whole(const struct seen *seen, uint32_t count) {
    assert_int_equal(seen->group_count, count);
    for (uint32_t i = 1; i <= count; i++) {
        assert_true(seen->targets[i] && seen->groups[i]);
        assert_true(seen->metrics[2 * i - 1] && seen->metrics[2 * i]);
        assert_true(seen->series[3 * i - 2] && seen->series[3 * i - 1] && seen->series[3 * i]);
    }
}

static struct mem_vfs *disk_with(uint32_t count) {
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct series_log *log = open_log(mem_vfs_base(disk), seen);
    define(log, count);
    series_log_close(log);
    mem_free(seen);
    return disk;
}

static struct vfs_file *open_file(struct mem_vfs *disk, const char *path) {
    struct err err;
    struct vfs_file *f = NULL;
    assert_ok(vfs_open(mem_vfs_base(disk), path, VFS_WRITE, &f, &err), &err);
    return f;
}

/* ---- tests ---- */

static void definitions_come_back_and_numbers_go_on(void **state) {
    (void)state;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = disk_with(5);
    for (uint32_t count = 5; count < 8; count++) {
        struct series_log *log = open_log(mem_vfs_base(disk), seen);
        assert_whole(seen, count);
        assert_int_equal(seen->damages + seen->torn, 0);
        const struct series_log_next next = series_log_next(log);
        assert_int_equal(next.target_set, count + 1);
        assert_int_equal(next.metric_set, 2 * count + 1);
        assert_int_equal(next.group, count + 1);
        assert_int_equal(next.series, 3 * count + 1);
        define(log, 1);
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
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct series_log *log = open_log(mem_vfs_base(disk), seen);
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
    struct vfs_file *f = open_file(disk, "/series/00000001");
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
    struct mem_vfs *disk = disk_with(100);
    struct vfs_file *f = open_file(disk, "/series/00000001");
    uint64_t size = 0;
    assert_int_equal(vfs_file_size(f, &size, NULL), ERR_OK);
    vfs_file_close(f);
    assert_true(size < 2 * 100 * 150); /* 54 bytes of each second metric set are not repeated */
    mem_vfs_free(disk);
}

static void a_bad_byte_costs_one_record_and_renumbers_nothing(void **state) {
    (void)state;
    enum { COUNT = 6 };
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = disk_with(COUNT);
    struct vfs_file *f = open_file(disk, "/series/00000001");
    uint64_t size = 0;
    assert_int_equal(vfs_file_size(f, &size, NULL), ERR_OK);
    for (uint64_t offset = 0; offset < size; offset += 1) {
        uint8_t byte = 0;
        assert_int_equal(vfs_file_pread(f, &byte, 1, offset, NULL, NULL), ERR_OK);
        const uint8_t bad = byte ^ 0x10;
        assert_int_equal(vfs_file_pwrite(f, &bad, 1, offset, NULL), ERR_OK);
        /* A copy of the disk: opening may cut a tail that looks torn. */
        struct mem_vfs *copy = mem_vfs_after_crash(disk, mem_vfs_op_count(disk), MEM_CRASH_KEEP, 0);
        struct series_log *log = open_log(mem_vfs_base(copy), seen);
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
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = disk_with(4);
    struct vfs_file *f = open_file(disk, "/series/00000001");
    const uint8_t bad = 0xee;
    assert_int_equal(vfs_file_pwrite(f, &bad, 1, 80, NULL), ERR_OK);
    vfs_file_close(f);
    struct series_log *log = open_log(mem_vfs_base(disk), seen);
    assert_int_equal(seen->group_count, 3);
    assert_int_equal(series_log_next(log).group, 5);
    define(log, 2);
    series_log_close(log);
    struct vfs_stat stat;
    assert_int_equal(vfs_stat(mem_vfs_base(disk), "/series/00000002", &stat, NULL), ERR_OK);
    log = open_log(mem_vfs_base(disk), seen);
    assert_int_equal(seen->group_count, 5);
    assert_int_equal(series_log_next(log).group, 7);
    series_log_close(log);
    mem_vfs_free(disk);
    mem_free(seen);
}

/* A sync that finds nothing new writes the copies that wait. */
static void sync_twice(struct series_log *log) {
    struct err err;
    for (int i = 0; i < 2; i++) {
        assert_ok(series_log_sync(log, &err), &err);
    }
}

static struct mem_vfs *disk_with_copies(uint32_t count) {
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct series_log *log = open_log(mem_vfs_base(disk), seen);
    define(log, count);
    sync_twice(log);
    series_log_close(log);
    mem_free(seen);
    return disk;
}

/* Overwrites n bytes at each place of a file that step leads to; nothing may be missing or come in
 * another order, and somebody must be told. */
static void assert_damage_costs_nothing(struct mem_vfs *disk, const char *path, uint64_t step,
                                        size_t n, uint32_t count) {
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct vfs_file *f = open_file(disk, path);
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
        struct series_log *log = open_log(mem_vfs_base(copy), seen);
        assert_whole(seen, count);
        assert_int_equal(seen->gaps, 0);
        assert_true(seen->damages + seen->torn > 0);
        assert_int_equal(series_log_next(log).series, 3 * count + 1);
        define(log, 2);
        sync_twice(log);
        series_log_close(log);
        log = open_log(mem_vfs_base(copy), seen);
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
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = disk_with(3);
    struct series_log *log = open_log(mem_vfs_base(disk), seen);
    define(log, 1);
    sync_twice(log);
    series_log_close(log);
    assert_damage_costs_nothing(disk, "/series/00000001", 61, 1, 4);
    log = open_log(mem_vfs_base(disk), seen); /* nothing waits now */
    struct series_log_stats before;
    struct series_log_stats after;
    series_log_stats_get(log, &before);
    sync_twice(log);
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
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = disk_with(1);
    struct series_log *log = open_log(mem_vfs_base(disk), seen);
    struct series_log_batch batches[COUNT];
    struct labels targets[COUNT];
    struct labels metrics[COUNT][2];
    struct series_run runs[COUNT][2];
    uint32_t numbers[COUNT];
    arena_init(&arena, 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        numbers[i] = i + 1;
        targets[i] = target_labels(&arena, i + 1);
        metrics[i][0] = metric_labels(&arena, 2 * i + 1);
        metrics[i][1] = metric_labels(&arena, 2 * i + 2);
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

static void slow_growth_costs_little_filler(void **state) {
    (void)state;
    enum { COUNT = 150 };
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct series_log_stats plain;
    struct series_log_stats slow;
    struct mem_vfs *disk = disk_with(COUNT); /* one after the other: copies, no filler */
    struct series_log *log = open_log(mem_vfs_base(disk), seen);
    series_log_stats_get(log, &plain);
    series_log_close(log);
    mem_vfs_free(disk);
    disk = mem_vfs_new();
    log = open_log(mem_vfs_base(disk), seen);
    for (uint32_t i = 0; i < COUNT; i++) {
        define(log, 1);
        sync_twice(log);
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
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = disk_with(2);
    struct series_log *log = open_log(mem_vfs_base(disk), seen);
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

/* Sets alone, then a group and a series that refer to them. */
static void define_in_two_records(struct series_log *log) {
    struct arena arena;
    struct err err;
    arena_init(&arena, 0);
    const struct series_log_next next = series_log_next(log);
    const struct labels target = target_labels(&arena, next.target_set);
    const struct labels metrics[] = {metric_labels(&arena, next.metric_set),
                                     metric_labels(&arena, next.metric_set + 1)};
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
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct series_log *log = open_log(mem_vfs_base(disk), seen);
    define_in_two_records(log);
    const struct series_log_next next = series_log_next(log);
    series_log_close(log);
    struct vfs_file *f = open_file(disk, "/series/00000001");
    const uint8_t bad = 0xee;
    const uint64_t first_payload = RECORD_FILE_HEADER_BYTES + RECORD_HEADER_BYTES;
    assert_int_equal(vfs_file_pwrite(f, &bad, 1, first_payload, NULL), ERR_OK);
    vfs_file_close(f);
    struct series_log_handler any = handler;
    any.group = ignore_group;
    any.series = ignore_series;
    struct err err;
    const struct series_log_options options = {.vfs = mem_vfs_base(disk), .dir = dir};
    assert_ok(series_log_open(&options, &any, seen, &log, NULL, &err), &err);
    assert_int_equal(series_log_next(log).target_set, next.target_set);
    assert_int_equal(series_log_next(log).metric_set, next.metric_set);
    series_log_close(log);
    mem_vfs_free(disk);
    mem_free(seen);
}

static void a_torn_end_behind_damage_is_no_damage_later(void **state) {
    (void)state;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = disk_with(4);
    struct vfs_file *f = open_file(disk, "/series/00000001");
    uint64_t size = 0;
    const uint8_t bad = 0xee;
    assert_int_equal(vfs_file_size(f, &size, NULL), ERR_OK);
    assert_int_equal(vfs_file_pwrite(f, &bad, 1, 80, NULL), ERR_OK);
    assert_int_equal(vfs_file_pwrite(f, "torn", 4, size, NULL), ERR_OK);
    vfs_file_close(f);
    struct series_log *log = open_log(mem_vfs_base(disk), seen);
    assert_int_equal(seen->damages, 1);
    assert_int_equal(seen->torn, 1);
    define(log, 1); /* to a fresh file */
    series_log_close(log);
    log = open_log(mem_vfs_base(disk), seen);
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
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = disk_with(1);
    struct vfs_file *f = open_file(disk, "/series/00000001");
    assert_int_equal(vfs_file_truncate(f, sizeof(zeros), NULL), ERR_OK);
    assert_int_equal(vfs_file_pwrite(f, zeros, sizeof(zeros), 0, NULL), ERR_OK);
    vfs_file_close(f);
    struct series_log *log = open_log(mem_vfs_base(disk), seen);
    define(log, 2);
    series_log_close(log);
    log = open_log(mem_vfs_base(disk), seen);
    assert_int_equal(seen->damages, 0);
    assert_int_equal(seen->torn, 0);
    assert_int_equal(seen->group_count, 2);
    series_log_close(log);
    mem_vfs_free(disk);
    mem_free(seen);
}

/* The first file fails, so does the one that takes its place, before anything of it is durable; only
 * the third one is there after a loss of power, and remains of the first. */
static void what_a_lost_file_said_of_an_older_one_is_said_again(void **state) {
    (void)state;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
    struct series_log *log = open_log(fault_vfs_base(faults), seen);
    struct err err;
    define(log, 3);
    for (int i = 0; i < 2; i++) {
        fault_vfs_plan(faults, (struct fault_plan){.ops = FAULT_SYNC, .sys_errno = EIO});
        assert_int_equal(series_log_sync(log, &err), ERR_IO);
        fault_vfs_plan(faults, (struct fault_plan){0});
        define(log, 1);
    }
    assert_ok(series_log_sync(log, &err), &err);
    series_log_close(log);
    fault_vfs_free(faults);
    struct vfs_file *f = open_file(disk, "/series/00000001"); /* the first record is gone */
    const uint8_t bad = 0xee;
    const uint64_t first_payload = RECORD_FILE_HEADER_BYTES + RECORD_HEADER_BYTES;
    assert_int_equal(vfs_file_pwrite(f, &bad, 1, first_payload, NULL), ERR_OK);
    vfs_file_close(f);
    f = open_file(disk, "/series/00000002"); /* and all of this */
    assert_int_equal(vfs_file_truncate(f, 0, NULL), ERR_OK);
    vfs_file_close(f);
    log = open_log(mem_vfs_base(disk), seen);
    assert_whole(seen, 5);
    assert_int_equal(seen->gaps, 0); /* what remains of the first file does not count */
    series_log_close(log);
    mem_vfs_free(disk);
    mem_free(seen);
}

/* A durable file cannot be synced at opening, so a second one begins with what is in it. */
static struct mem_vfs *disk_with_carried(struct seen *seen) {
    struct mem_vfs *disk = mem_vfs_new();
    struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
    struct series_log *log = open_log(fault_vfs_base(faults), seen);
    struct err err;
    define(log, 1);
    assert_ok(series_log_sync(log, &err), &err);
    define(log, 1);
    assert_ok(series_log_sync(log, &err), &err);
    series_log_close(log);
    fault_vfs_plan(faults, (struct fault_plan){.ops = FAULT_SYNC, .sys_errno = EIO});
    log = open_log(fault_vfs_base(faults), seen);
    fault_vfs_plan(faults, (struct fault_plan){0});
    define(log, 1);
    series_log_close(log);
    fault_vfs_free(faults);
    return disk;
}

/* Groups that are defined once more are empty. Each set of the first records of the second file is lost. */
static void what_is_left_of_carried_definitions_is_not_new(void **state) {
    (void)state;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    for (unsigned lost = 0; lost < 8; lost++) {
        struct mem_vfs *disk = disk_with_carried(seen);
        struct vfs_file *f = open_file(disk, "/series/00000002");
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
        struct series_log *log = open_log(mem_vfs_base(disk), seen);
        assert_whole(seen, 3);
        assert_int_equal(seen->again, 0);
        series_log_close(log);
        mem_vfs_free(disk);
    }
    mem_free(seen);
}

static void a_label_set_too_large_changes_nothing(void **state) {
    (void)state;
    struct err err;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct series_log *log = open_log(mem_vfs_base(disk), seen);
    uint8_t *bytes = mem_zalloc(SERIES_LOG_LABELS_MAX + 1);
    const struct labels large = {bytes, SERIES_LOG_LABELS_MAX + 1};
    const struct series_log_batch batch = {
        .first_metric_set = 1, .metric_sets = &large, .metric_set_count = 1};
    assert_err(series_log_append(log, &batch, &err), ERR_LIMIT, "too large", &err);
    assert_int_equal(series_log_next(log).metric_set, 1);
    define(log, 1);
    mem_free(bytes);
    series_log_close(log);
    mem_vfs_free(disk);
    mem_free(seen);
}

static void a_crash_at_any_operation_keeps_what_was_synced(void **state) {
    (void)state;
    struct err err;
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *work = mem_vfs_new();
    assert_int_equal(vfs_mkdir(mem_vfs_base(work), dir, NULL), ERR_OK);
    assert_int_equal(vfs_sync_dir(mem_vfs_base(work), "/", NULL), ERR_OK);
    struct series_log *log = open_log(mem_vfs_base(work), seen);
    size_t ops_at[16];
    for (uint32_t i = 0; i < 16; i++) {
        define(log, 1);
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
            log = open_log(mem_vfs_base(disk), seen);
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
    struct seen *seen = mem_zalloc(sizeof(*seen));
    bool all_failed_once = false;
    for (size_t n = 0; !all_failed_once; n++) {
        struct err err;
        struct mem_vfs *disk = mem_vfs_new();
        struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
        struct series_log *log = open_log(fault_vfs_base(faults), seen);
        fault_vfs_plan(faults, (struct fault_plan){.ops = FAULT_OPEN | FAULT_CHANGES,
                                                   .after = n,
                                                   .sys_errno = n % 2 == 0 ? EIO : ENOSPC,
                                                   .short_write = n % 3 == 0});
        for (uint32_t i = 0; i < 12; i++) {
            for (int attempt = 0; define_target(log, &err) != ERR_OK; attempt++) {
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
            log = open_log(mem_vfs_base(after), seen);
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
    struct seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = disk_with(1);
    struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
    struct series_log *log = open_log(fault_vfs_base(faults), seen);
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
    define(log, 2); /* metric sets 3 .. 6 are something else now */
    series_log_close(log);
    fault_vfs_free(faults);
    series_log_close(open_log(mem_vfs_base(disk), seen));
    assert_whole(seen, 3);
    mem_free(text);
    arena_release(&arena);
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
    struct seen *seen = mem_zalloc(sizeof(*seen));
    for (size_t n = 0; n < 12; n++) {
        struct err err;
        struct mem_vfs *disk = mem_vfs_new();
        struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
        struct syncer syncer = {.log = open_log(fault_vfs_base(faults), seen)};
        struct thread threads[2];
        mutex_init(&syncer.mu);
        fault_vfs_plan(faults,
                       (struct fault_plan){.ops = FAULT_SYNC, .after = n, .sys_errno = EIO});
        for (int i = 0; i < 2; i++) {
            thread_start(&threads[i], "syncer", sync_until_told, &syncer);
        }
        define(syncer.log, COUNT);
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
        series_log_close(open_log(mem_vfs_base(after), seen));
        assert_whole(seen, COUNT);
        mem_vfs_free(after);
        fault_vfs_free(faults);
        mem_vfs_free(disk);
    }
    mem_free(seen);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(definitions_come_back_and_numbers_go_on),
        cmocka_unit_test(a_batch_larger_than_a_record_is_split),
        cmocka_unit_test(label_sets_share_what_they_begin_with),
        cmocka_unit_test(a_bad_byte_costs_one_record_and_renumbers_nothing),
        cmocka_unit_test(after_damage_appends_go_to_a_fresh_file),
        cmocka_unit_test(a_bad_byte_costs_nothing_once_there_are_copies),
        cmocka_unit_test(a_bad_page_costs_nothing_once_there_are_copies),
        cmocka_unit_test(records_from_before_a_restart_get_copies_after_it),
        cmocka_unit_test(an_image_has_copies_too),
        cmocka_unit_test(slow_growth_costs_little_filler),
        cmocka_unit_test(numbers_found_in_use_are_skipped),
        cmocka_unit_test(a_number_that_is_referred_to_is_taken_though_its_definition_is_lost),
        cmocka_unit_test(a_torn_end_behind_damage_is_no_damage_later),
        cmocka_unit_test(nothing_is_written_behind_a_header_that_is_lost),
        cmocka_unit_test(what_a_lost_file_said_of_an_older_one_is_said_again),
        cmocka_unit_test(what_is_left_of_carried_definitions_is_not_new),
        cmocka_unit_test(a_label_set_too_large_changes_nothing),
        cmocka_unit_test(a_crash_at_any_operation_keeps_what_was_synced),
        cmocka_unit_test(any_call_may_fail_once_and_no_number_changes_its_meaning),
        cmocka_unit_test(a_write_that_failed_halfway_is_void),
        cmocka_unit_test(appends_during_a_sync_that_fails_are_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
