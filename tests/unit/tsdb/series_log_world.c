#include "tests/unit/tsdb/series_log_world.h"

#include "tests/support/check_err.h"

#include <stdio.h>

#include "base/mem.h"

const char world_dir[] = "/series";

struct labels world_target(struct arena *arena, uint32_t set) {
    char instance[40];
    (void)snprintf(instance, sizeof(instance), "host-%u:9100", set);
    const struct label pairs[] = {{STR("instance"), arena_str(arena, str_of(instance))},
                                  {STR("job"), STR("node")}};
    return labels_of(arena, pairs, 2);
}

struct labels world_metric(struct arena *arena, uint32_t set) {
    char cpu[40];
    (void)snprintf(cpu, sizeof(cpu), "%u", set);
    const struct label pairs[] = {{LABEL_NAME, STR("node_cpu_seconds_total")},
                                  {STR("cpu"), arena_str(arena, str_of(cpu))},
                                  {STR("mode"), set % 2 == 0 ? STR("idle") : STR("user")}};
    return labels_of(arena, pairs, 3);
}

enum err_code world_define_target(struct series_log *log, struct err *err) {
    struct arena arena;
    arena_init(&arena, 0);
    const struct series_log_next next = series_log_next(log);
    const struct labels target = world_target(&arena, next.target_set);
    const struct labels metrics[] = {world_metric(&arena, next.metric_set),
                                     world_metric(&arena, next.metric_set + 1)};
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

static enum err_code see_target(void *ctx, uint32_t set, struct labels labels, struct err *err) {
    struct world_seen *seen = ctx;
    struct arena arena;
    (void)err;
    arena_init(&arena, 0);
    assert_in_range(set, 1, THINGS_MAX - 1);
    assert_true(labels_eq(labels, world_target(&arena, set)));
    seen->targets[set] = true;
    arena_release(&arena);
    return ERR_OK;
}

static enum err_code see_metric(void *ctx, uint32_t set, struct labels labels, struct err *err) {
    struct world_seen *seen = ctx;
    struct arena arena;
    (void)err;
    arena_init(&arena, 0);
    assert_in_range(set, 1, THINGS_MAX - 1);
    assert_true(labels_eq(labels, world_metric(&arena, set)));
    seen->metrics[set] = true;
    arena_release(&arena);
    return ERR_OK;
}

static enum err_code see_group(void *ctx, uint32_t group, uint32_t target_set, struct err *err) {
    struct world_seen *seen = ctx;
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
    struct world_seen *seen = ctx;
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

const struct series_log_handler world_handler = {
    .target_set = see_target, .metric_set = see_metric, .group = see_group, .series = see_series};

static void note_damage(void *ctx, const struct record_damage *damage) {
    struct world_seen *seen = ctx;
    seen->damages += !damage->torn;
    seen->torn += damage->torn;
}

struct series_log *world_open(struct vfs *vfs, struct world_seen *seen) {
    struct err err;
    struct series_log *log = NULL;
    *seen = (struct world_seen){0};
    const struct series_log_options options = {
        .vfs = vfs, .dir = world_dir, .damage = note_damage, .damage_ctx = seen};
    assert_ok(series_log_open(&options, &world_handler, seen, &log, NULL, &err), &err);
    return log;
}

void world_define(struct series_log *log, uint32_t count) {
    struct err err;
    for (uint32_t i = 0; i < count; i++) {
        assert_ok(world_define_target(log, &err), &err);
    }
}

void assert_whole(const struct world_seen *seen, uint32_t count) {
    assert_int_equal(seen->group_count, count);
    for (uint32_t i = 1; i <= count; i++) {
        assert_true(seen->targets[i] && seen->groups[i]);
        assert_true(seen->metrics[2 * i - 1] && seen->metrics[2 * i]);
        assert_true(seen->series[3 * i - 2] && seen->series[3 * i - 1] && seen->series[3 * i]);
    }
}

struct mem_vfs *world_disk(uint32_t count) {
    struct world_seen *seen = mem_zalloc(sizeof(*seen));
    struct mem_vfs *disk = mem_vfs_new();
    struct series_log *log = world_open(mem_vfs_base(disk), seen);
    world_define(log, count);
    series_log_close(log);
    mem_free(seen);
    return disk;
}

struct vfs_file *world_file(struct mem_vfs *disk, const char *path) {
    struct err err;
    struct vfs_file *f = NULL;
    assert_ok(vfs_open(mem_vfs_base(disk), path, VFS_WRITE, &f, &err), &err);
    return f;
}

void world_sync_twice(struct series_log *log) {
    struct err err;
    for (int i = 0; i < 2; i++) {
        assert_ok(series_log_sync(log, &err), &err);
    }
}
