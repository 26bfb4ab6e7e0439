/* What is in partitions leaves the head: entries of runs, then the files of which none is needed. */
#include "base/log.h"
#include "base/mem.h"
#include "tsdb/compactor_impl.h"

/* ---- afterwards ---- */

static bool is_cut(const struct compactor *c, const struct head_group *g,
                   const struct head_run *run) {
    return compactor_has_run(c, g->shard->number, run->min_ts_ms, run->at.file);
}

static void forget_runs(struct compactor *c, struct head_group *g) REQUIRES(g->shard->mu) {
    uint32_t kept = 0;
    uint32_t synced = 0;
    uint32_t upto = 0;
    mutex_lock(&g->mu);
    for (uint32_t i = 0; i < g->run_count; i++) {
        if (!is_cut(c, g, &g->runs[i])) {
            synced += i < g->synced_runs;
            upto += i < g->synced_upto;
            g->runs[kept++] = g->runs[i];
        }
    }
    if (kept != g->run_count) {
        g->run_count = kept;
        g->synced_runs = synced;
        g->synced_upto = upto;
        int64_t min_ts_ms = INT64_MAX; /* rows of a late group are in the order of arrival */
        for (uint32_t i = 0; i < g->rows; i++) {
            min_ts_ms = g->row_ts_ms[i] < min_ts_ms ? g->row_ts_ms[i] : min_ts_ms;
        }
        for (uint32_t i = 0; i < kept; i++) {
            min_ts_ms = g->runs[i].min_ts_ms < min_ts_ms ? g->runs[i].min_ts_ms : min_ts_ms;
        }
        atomic_store_explicit(&g->min_ts_ms, min_ts_ms, memory_order_relaxed);
        if (g->run_capacity > 2 * kept + 8) {
            g->run_capacity = kept + 4;
            g->runs = mem_resize(g->runs, g->run_capacity, sizeof(*g->runs));
        }
    }
    mutex_unlock(&g->mu);
}

static void mark_files(const struct head_group *g, const uint32_t *files, size_t n, bool *used)
    REQUIRES(g->shard->mu) {
    for (uint32_t i = 0; i < g->run_count; i++) {
        size_t low = 0;
        size_t high = n;
        while (high - low > 1) {
            const size_t middle = low + (high - low) / 2;
            if (files[middle] <= g->runs[i].at.file) {
                low = middle;
            } else {
                high = middle;
            }
        }
        used[low] |= n != 0 && files[low] == g->runs[i].at.file;
    }
}

/* Files below the shard's floor without a run that somebody needs. */
static enum err_code drop_files(struct compactor *c, struct head_shard *shard, uint32_t groups,
                                struct err *err) REQUIRES(shard->mu) {
    uint32_t *files;
    const size_t n = segment_files(shard->store, &files);
    bool *used = mem_zalloc(n + 1);
    enum err_code code = ERR_OK;
    for (uint32_t id = 1; id < groups; id++) {
        struct head_group *g = head_group_get(c->db, id);
        if (g != NULL && g->shard == shard) {
            head_shard_held(g->shard);
            forget_runs(c, g);
            mark_files(g, files, n, used);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!used[i] && files[i] < c->manifest.floors[shard->number].l0_file) {
            struct err failure;
            const enum err_code dropped = segment_drop_file(shard->store, files[i], &failure);
            if (dropped != ERR_OK && code == ERR_OK) {
                code = dropped;
                *err = failure;
            }
        }
    }
    mem_free(used);
    mem_free(files);
    return code;
}

static void note_oldest(struct compactor *c, uint32_t groups) {
    int64_t oldest_ms = INT64_MAX;
    for (uint32_t id = 1; id < groups; id++) {
        struct head_group *g = head_group_get(c->db, id);
        const int64_t ts_ms = g != NULL ? atomic_load(&g->min_ts_ms) : INT64_MAX;
        oldest_ms = ts_ms < oldest_ms ? ts_ms : oldest_ms;
    }
    if (oldest_ms != INT64_MAX) {
        atomic_store(&c->db->min_ts_ms, oldest_ms);
    }
}

void compactor_clean_head(struct compactor *c) {
    if (!c->head_is_full || !view_is_oldest(&c->db->views, c->cleanup_view)) {
        return;
    }
    const uint32_t groups = compactor_count_groups(c->db);
    bool all_gone = true;
    for (uint32_t i = 0; i < c->db->shard_count; i++) {
        struct head_shard *shard = c->db->shards[i];
        struct err err;
        mutex_lock(&shard->mu);
        const enum err_code code = drop_files(c, shard, groups, &err);
        mutex_unlock(&shard->mu);
        if (code != ERR_OK) {
            all_gone = false;
            metric_inc(c->metrics.truncations_failed);
            log_warn(c->db->options.log, "tsdb", "sealed runs that are in partitions stay on disk",
                     log_u64("shard", i), log_err(&err));
        }
    }
    note_oldest(c, groups);
    metric_inc(c->metrics.truncations);
    c->head_is_full = !all_gone;
}
