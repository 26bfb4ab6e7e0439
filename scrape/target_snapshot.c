#include "scrape/target_snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "scrape/loop.h"

static struct target_info info_of(const struct target *target, struct str pool,
                                  struct arena *arena) {
    return (struct target_info){
        .pool = pool,
        .discovered = labels_copy(arena, target->discovered),
        .labels = labels_copy(arena, target->labels),
        .url = arena_str(arena, target->url),
        .last_error = STR(""),
        .interval_ms = target->interval_ms,
        .timeout_ms = target->timeout_ms,
    };
}

static struct target_info active_info(const struct loop *loop, struct str pool,
                                      struct arena *arena) {
    const struct target_report *const report = &loop->report;
    const struct scrape_config *const config = loop->pool->config;
    const uint64_t most = loop->pool->io->max_body_bytes;
    struct target_info info = info_of(loop->target, pool, arena);
    if (report->last_error != NULL) {
        info.last_error = arena_str(arena, str_of(report->last_error));
    }
    info.health = report->health;
    info.last_scrape_unix_ns = report->last_scrape_unix_ns;
    info.last_duration_ns = report->last_duration_ns;
    info.failure = report->failure;
    info.failure_reason = scrape_failure_name(report->failure);
    info.since_unix_ns = report->since_unix_ns;
    info.counts = report->counts;
    info.sample_limit = config->sample_limit;
    info.body_limit_bytes = config->body_size_limit != 0 && config->body_size_limit < most
                                ? config->body_size_limit
                                : most;
    info.errors = target_report_errors(report, arena, &info.error_count);
    return info;
}

static struct target_info *grow(struct arena *arena, const struct target_info *old, size_t n,
                                size_t more) {
    struct target_info *const grown = arena_alloc(arena, (n + more + 1) * sizeof(old[0]));
    if (n > 0) {
        memcpy(grown, old, n * sizeof(old[0]));
    }
    return grown;
}

static void snapshot_pool(struct pool *pool, struct arena *arena, struct targets_snapshot *out) {
    mutex_lock(&pool->mu);
    const struct str name = arena_str(arena, pool->job);
    out->active = grow(arena, out->active, out->active_count, pool->loop_count);
    for (size_t i = 0; i < pool->loop_count; i++) {
        out->active[out->active_count++] = active_info(pool->loops[i], name, arena);
    }
    out->dropped = grow(arena, out->dropped, out->dropped_count, pool->dropped_kept);
    for (size_t i = 0; i < pool->dropped_kept; i++) {
        out->dropped[out->dropped_count++] = info_of(pool->dropped[i], name, arena);
    }
    out->pools[out->pool_count] = name;
    out->dropped_counts[out->pool_count++] = pool->dropped_count;
    mutex_unlock(&pool->mu);
}

static int by_job(const void *a, const void *b) {
    const struct pool *const x = *(struct pool *const *)a;
    const struct pool *const y = *(struct pool *const *)b;
    return str_cmp(x->job, y->job);
}

static struct pool **sorted_pools(struct pool *const *pools, size_t count, struct arena *arena) {
    struct pool **const sorted = arena_alloc(arena, (count + 1) * sizeof(struct pool *));
    if (count > 0) {
        memcpy(sorted, pools, count * sizeof(struct pool *));
        qsort(sorted, count, sizeof(struct pool *), by_job);
    }
    return sorted;
}

void target_snapshot_take(struct pool *const *pools, size_t count, struct arena *arena,
                          struct targets_snapshot *out) {
    struct pool **const sorted = sorted_pools(pools, count, arena);
    *out = (struct targets_snapshot){
        .pools = arena_alloc(arena, (count + 1) * sizeof(out->pools[0])),
        .dropped_counts = arena_alloc(arena, (count + 1) * sizeof(out->dropped_counts[0])),
    };
    for (size_t i = 0; i < count; i++) {
        snapshot_pool(sorted[i], arena, out);
    }
}
