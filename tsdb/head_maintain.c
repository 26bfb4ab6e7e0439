/* Background work: syncing, repairing, sealing what nobody writes to any more, dropping WAL.
 *
 * ORDER. The series log is synced before the WALs that use its numbers. A WAL segment is dropped
 * when no group needs it: no open row is in it and no sealed run that is not durable yet.
 *
 * COST. A round looks at the groups that have work, which their shard lists: those that were sealed and
 * synced cost nothing. The list has numbers, for a group can be gone before it is looked at. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "tsdb/head.h"
#include "tsdb/head_recover.h"
#include "tsdb/tsdb_ops.h"

/* A group that was not written to for so long is sealed, whatever its rows. */
#define IDLE_SEAL_NS (INT64_C(15) * 60 * NS_PER_S)

static enum err_code sync_wal(struct head_shard *shard, struct err *err) {
    struct tsdb *db = shard->db;
    const int64_t begin_ns = clock_mono_ns(db->options.clock);
    const enum err_code code = wal_sync(shard->wal, err);
    metric_summarize(db->metrics.wal_fsync_s,
                     (double)(clock_mono_ns(db->options.clock) - begin_ns) / 1e9);
    return code;
}

static enum err_code sync_definitions(struct tsdb *db, struct err *err) {
    mutex_lock(&db->define_mu);
    const enum err_code code = series_log_sync(db->series_log, err);
    mutex_unlock(&db->define_mu);
    return code;
}

enum err_code head_sync_shard(struct head_shard *shard, struct err *err) {
    enum err_code code = sync_definitions(shard->db, err);
    if (code == ERR_OK) {
        code = sync_wal(shard, err);
    }
    return code;
}

static void report(struct tsdb *db, const struct head_shard *shard, const char *what,
                   const struct err *err) {
    log_error(db->options.log, "tsdb", what, log_u64("shard", shard->number), log_err(err));
}

static uint32_t count_groups(struct tsdb *db) {
    mutex_lock(&db->index.mu);
    const uint32_t n = db->group_count;
    mutex_unlock(&db->index.mu);
    return n;
}

/* ---- who has something to do ---- */

void head_note_busy(struct head_group *g) {
    struct head_shard *shard = g->shard;
    head_shard_held(shard);
    if (!g->busy) {
        if (shard->busy_count == shard->busy_capacity) {
            shard->busy_capacity = mem_grow(shard->busy_capacity, shard->busy_count + 1);
            shard->busy = mem_resize(shard->busy, shard->busy_capacity, sizeof(*shard->busy));
        }
        shard->busy[shard->busy_count++] = g->id;
        g->busy = true;
    }
}

static bool has_work(const struct head_group *g) REQUIRES(g->shard->mu) {
    return g->rows != 0 || g->wal_gap || g->replay_count != 0 || g->synced_runs < g->run_count;
}

/* Entry i of the list; NULL: it has no work any more, or its number means another group now, and the
 * entry was taken out (the last one is at its place). */
static struct head_group *busy_group(struct head_shard *shard, size_t i) REQUIRES(shard->mu) {
    struct head_group *g = head_group_get(shard->db, shard->busy[i]);
    const bool ours = g != NULL && g->shard == shard && g->busy;
    if (ours) {
        head_shard_held(g->shard);
        if (has_work(g)) {
            return g;
        }
        g->busy = false;
    }
    shard->busy[i] = shard->busy[--shard->busy_count];
    return NULL;
}

/* After opening; until all of it worked, in each round. */
static void replay_all(struct tsdb *db) REQUIRES(db->walk_mu) {
    const uint32_t count = count_groups(db);
    bool all = true;
    for (uint32_t id = 1; id < count && !db->all_replayed; id++) {
        struct head_group *g = head_group_get(db, id);
        struct err err;
        if (g == NULL) {
            continue;
        }
        mutex_lock(&g->shard->mu);
        if (head_replay_locked(g, &err) != ERR_OK) {
            all = false;
            log_error(db->options.log, "tsdb", "rows cannot be read, it is tried again",
                      log_err(&err));
        }
        if (has_work(g)) {
            head_note_busy(g);
        }
        mutex_unlock(&g->shard->mu);
    }
    db->all_replayed = all;
}

/* ---- one shard, its lock held ---- */

static void repair_wal(struct head_shard *shard) REQUIRES(shard->mu) {
    struct err err;
    if (wal_state_get(shard->wal) != WAL_FAILED) {
        return;
    }
    /* The windows are durable then; so must be what their slots mean. */
    enum err_code code = head_flush_definitions(shard->db, &err);
    code = code != ERR_OK ? code : sync_definitions(shard->db, &err);
    if (code == ERR_OK) {
        code = wal_rotate_after_failure(shard->wal, head_rewrite_windows, shard, &err);
    }
    if (code == ERR_OK) {
        head_windows_rewritten(shard);
        log_info(shard->db->options.log, "tsdb", "write-ahead log works again",
                 log_u64("shard", shard->number));
    } else {
        head_shard_failed(shard, &err);
        report(shard->db, shard, "write-ahead log still fails, rows are in memory only", &err);
    }
}

/* Rows that could not be logged, of a group that nobody writes to any more. */
static void repair_gap(struct head_group *g) REQUIRES(g->shard->mu) {
    struct err err;
    if (!g->wal_gap || wal_state_get(g->shard->wal) != WAL_OK) {
        return;
    }
    enum err_code code = head_flush_definitions(g->shard->db, &err);
    if (code == ERR_OK) {
        code = head_log_window(g, &err);
    }
    if (code != ERR_OK) {
        report(g->shard->db, g->shard, "rows are still in memory only", &err);
    }
}

void head_repair_shard(struct head_shard *shard) {
    struct tsdb *db = shard->db;
    const uint32_t count = count_groups(db);
    mutex_lock(&shard->mu);
    repair_wal(shard);
    for (uint32_t id = 1; id < count; id++) {
        struct head_group *g = head_group_get(db, id);
        if (g != NULL && g->shard == shard) {
            head_shard_held(g->shard);
            repair_gap(g);
        }
    }
    mutex_unlock(&shard->mu);
}

/* Notes which runs are durable now; those whose file failed are written again. */
static void settle_runs(struct head_group *g) REQUIRES(g->shard->mu) {
    struct segment_store *store = g->shard->store;
    while (g->synced_runs < g->run_count && segment_is_durable(store, g->runs[g->synced_runs].at)) {
        g->synced_runs++;
    }
    if (g->synced_runs == g->run_count) {
        g->unsynced_wal = 0;
        return;
    }
    /* Those sealed since the sync began are for the next one. */
    for (uint32_t i = g->synced_runs; i < g->synced_upto && i < g->run_count; i++) {
        struct err err;
        if (!segment_is_durable(store, g->runs[i].at) && head_reseal(g, i, &err) != ERR_OK) {
            report(g->shard->db, g->shard, "a run could not be written again", &err);
            return;
        }
    }
}

static void seal_if_idle(struct head_group *g, int64_t now_ns) REQUIRES(g->shard->mu) {
    if (g->rows == 0) {
        return;
    }
    if (g->last_commit_ns == 0) {
        g->last_commit_ns = now_ns; /* found at opening: idle from now on */
    }
    if (g->rows < g->seal_at && now_ns - g->last_commit_ns > IDLE_SEAL_NS) {
        struct err err;
        if (head_seal(g, &err) != ERR_OK) {
            report(g->shard->db, g->shard, "an idle group could not be sealed", &err);
        }
        return;
    }
    head_seal_if_due(g);
}

/* Oldest WAL segment that the group needs; UINT32_MAX = none, 0 = unknown. */
static uint32_t needed_wal(const struct head_group *g) REQUIRES(g->shard->mu) {
    if (g->replay_count != 0) {
        return g->replay[0].segment;
    }
    const uint32_t rows = g->rows != 0 ? g->wal_segment : UINT32_MAX;
    const uint32_t runs = g->synced_runs < g->run_count ? g->unsynced_wal : UINT32_MAX;
    return rows < runs ? rows : runs;
}

static void drop_wal(struct head_shard *shard, uint32_t first_needed) REQUIRES(shard->mu) {
    struct tsdb *db = shard->db;
    const uint32_t current = wal_current_segment(shard->wal);
    const uint32_t before = first_needed < current ? first_needed : current;
    const int64_t begin_ns = clock_mono_ns(db->options.clock);
    struct err err;
    if (wal_oldest_segment(shard->wal) >= before) {
        return;
    }
    const enum err_code code = wal_drop_before(shard->wal, before, &err);
    metric_inc(db->metrics.wal_truncations);
    metric_summarize(db->metrics.wal_truncate_s,
                     (double)(clock_mono_ns(db->options.clock) - begin_ns) / 1e9);
    if (code != ERR_OK) {
        metric_inc(db->metrics.wal_truncations_failed);
        report(db, shard, "old write-ahead log could not be removed", &err);
    }
}

struct synced { /* of a shard, in this round */
    bool wal;
    bool runs;
};

/* What is sealed before the sync must be durable after it. So is what was logged again: a window that
 * is logged during the sync or after it is not, and the segments that it replaces stay. */
static void note_state(struct head_shard *shard) {
    mutex_lock(&shard->mu);
    shard->needed_before = UINT32_MAX;
    for (size_t i = 0; i < shard->busy_count;) {
        struct head_group *g = busy_group(shard, i);
        if (g != NULL) {
            head_shard_held(g->shard);
            const uint32_t needed = needed_wal(g);
            shard->needed_before = needed < shard->needed_before ? needed : shard->needed_before;
            g->synced_upto = g->run_count;
            i++;
        }
    }
    mutex_unlock(&shard->mu);
}

/* Does the disk do for it all that is due? */
static bool maintain_shard(struct head_shard *shard, struct synced synced) {
    struct tsdb *db = shard->db;
    const int64_t now_ns = clock_mono_ns(db->options.clock);
    mutex_lock(&shard->mu);
    uint32_t first_needed = shard->needed_before;
    repair_wal(shard);
    shard->seal_failed = false;
    for (size_t i = 0; i < shard->busy_count;) {
        struct head_group *g = busy_group(shard, i);
        if (g == NULL) {
            continue;
        }
        i++;
        head_shard_held(g->shard);
        repair_gap(g);
        seal_if_idle(g, now_ns);
        if (synced.runs) {
            settle_runs(g);
        }
        const uint32_t needed = needed_wal(g);
        first_needed = needed < first_needed ? needed : first_needed;
    }
    if (synced.wal) {
        drop_wal(shard, first_needed);
    }
    const bool works = wal_state_get(shard->wal) == WAL_OK && !shard->seal_failed;
    shard->is_failing = shard->is_failing && !works;
    mutex_unlock(&shard->mu);
    return works;
}

/* Everything that was acknowledged becomes durable. */
static void sync_all(struct tsdb *db, struct synced *synced) {
    struct err err;
    const enum err_code log_code = sync_definitions(db, &err);
    if (log_code != ERR_OK) {
        head_fault_note(db, &err);
        log_error(db->options.log, "tsdb", "series log could not be synced", log_err(&err));
    }
    for (uint32_t i = 0; i < db->shard_count; i++) {
        struct head_shard *shard = db->shards[i];
        synced[i] = (struct synced){false, false};
        if (log_code != ERR_OK) {
            continue;
        }
        if (wal_state_get(shard->wal) == WAL_OK) {
            synced[i].wal = sync_wal(shard, &err) == ERR_OK;
            if (!synced[i].wal) {
                metric_inc(db->metrics.wal_writes_failed);
                head_fault_note(db, &err);
                report(db, shard, "write-ahead log could not be synced", &err);
            }
        }
        synced[i].runs = segment_sync(shard->store, &err) == ERR_OK;
        if (!synced[i].runs) {
            head_fault_note(db, &err);
            report(db, shard, "sealed runs could not be synced", &err);
        }
    }
}

void head_maintain(struct tsdb *db) {
    struct synced synced[HEAD_SHARDS_MAX];
    while (index_cover_some(&db->index)) { /* after opening */
    }
    mutex_lock(&db->walk_mu);
    replay_all(db);
    for (uint32_t i = 0; i < db->shard_count; i++) {
        note_state(db->shards[i]);
    }
    sync_all(db, synced);
    bool works = true;
    for (uint32_t i = 0; i < db->shard_count; i++) {
        works &= maintain_shard(db->shards[i], synced[i]) && synced[i].wal && synced[i].runs;
    }
    head_fault_settle(db, !works);
    mutex_unlock(&db->walk_mu);
    notes_maintain(db->notes);
    tsdb_metrics_update(db);
}
