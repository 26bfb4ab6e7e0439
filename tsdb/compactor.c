/* The compactor's rounds, its state on disk and in memory, its thread.
 *
 * INVARIANTS
 *   C1  A partition's folder has its name only when all of it is durable.
 *   C2  A folder is removed only when the newest manifest that a restart can find does not name it.
 *   C3  Marks are in the same manifest as the partition that they stand for: a run is read either
 *       from L0 or from the partition.
 *
 * LOCKS. mu is above all locks of the head. A round holds it throughout. */
#include "tsdb/compactor.h"

#include <inttypes.h>
#include <sys/resource.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "tsdb/compactor_impl.h"

enum {
    ROUND_S = 60, /* Prometheus' block-reload-interval */
    NICE = 10,
    WORK_NS = 20 * 1000 * 1000, /* work so long, then pause for a quarter of it */
    PAUSE_PARTS = 4,
};

enum err_code compactor_open(struct tsdb *db, struct compactor **out, struct err *err) {
    struct compactor *c = mem_zalloc(sizeof(*c));
    c->db = db;
    c->vfs = db->options.vfs;
    c->dir = compactor_path(db->options.path, "partitions");
    c->memory_bytes = db->options.compact_memory_bytes;
    c->first_round_unix_ms = clock_unix_ms(db->options.clock);
    manifest_init(&c->manifest);
    cancel_init(&c->cancel, db->options.clock, 0);
    mutex_init(&c->mu);
    mutex_init(&c->limits_mu);
    mutex_init(&c->wake_mu);
    cond_init(&c->wake);
    compactor_metrics_init(c);
    compactor_set_retention(c, &db->options.retention);
    const enum err_code code = compactor_load(c, err);
    if (code != ERR_OK) {
        compactor_free(c);
        return err_wrap(err, "opening partitions");
    }
    *out = c;
    return ERR_OK;
}

void compactor_free(struct compactor *c) {
    if (c == NULL) {
        return;
    }
    for (size_t i = 0; i < c->live_count; i++) {
        view_partition_unref(c->live[i]);
    }
    mem_free(c->live);
    manifest_release(&c->manifest);
    mutex_release(&c->mu);
    mutex_release(&c->limits_mu);
    mutex_release(&c->wake_mu);
    cond_release(&c->wake);
    mem_free(c->dir);
    mem_free(c);
}

struct manifest_floor compactor_floor(const struct compactor *c, uint32_t shard) {
    return c->manifest.floors[shard];
}

bool compactor_has_run(const struct compactor *c, uint32_t shard, int64_t min_ts_ms,
                       uint32_t l0_file) {
    const struct manifest_mark *mark =
        manifest_mark_at(c->manifest.marks, c->manifest.mark_count, shard, min_ts_ms);
    return mark != NULL && l0_file < mark->l0_file;
}

bool compactor_has_row(const struct compactor *c, uint32_t shard, int64_t ts_ms,
                       uint32_t wal_segment) {
    const struct manifest_mark *mark =
        manifest_mark_at(c->manifest.marks, c->manifest.mark_count, shard, ts_ms);
    return mark != NULL && wal_segment < mark->wal_segment;
}

/* ---- rounds ---- */

enum err_code compactor_breathe(struct compactor *c, int64_t *io_since_ns, struct err *err) {
    if (cancel_check(&c->cancel) != ERR_OK) {
        return err_set(err, ERR_CANCELED, "the database is being closed");
    }
    if (!c->has_thread) {
        return ERR_OK;
    }
    const int64_t now_ns = clock_mono_ns(clock_system());
    if (now_ns - *io_since_ns >= WORK_NS) {
        const int64_t worked_ns = now_ns - *io_since_ns;
        const int64_t deadline_ns =
            now_ns + (worked_ns < NS_PER_S ? worked_ns : NS_PER_S) / PAUSE_PARTS;
        mutex_lock(&c->wake_mu);
        while (!c->stopping && cond_wait_until(&c->wake, &c->wake_mu, deadline_ns)) {
        }
        mutex_unlock(&c->wake_mu);
        *io_since_ns = clock_mono_ns(clock_system());
    }
    return ERR_OK;
}

void compactor_note_memory(struct compactor *c, size_t bytes) {
    size_t peak = atomic_load_explicit(&c->memory_peak, memory_order_relaxed);
    while (bytes > peak &&
           !atomic_compare_exchange_weak_explicit(&c->memory_peak, &peak, bytes,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

static enum err_code count_work(struct compactor *c, enum err_code code, int64_t start_ns) {
    metric_set(c->metrics.populating, 0);
    if (code == ERR_OK) {
        metric_inc(c->metrics.compactions);
        metric_observe(c->metrics.duration_s,
                       (double)(clock_mono_ns(c->db->options.clock) - start_ns) / 1e9);
    } else if (code != ERR_CANCELED) {
        metric_inc(c->metrics.failed);
    }
    return code;
}

static enum err_code cut_windows(struct compactor *c, enum compactor_extent extent, struct err *err)
    REQUIRES(c->mu) {
    bool late = extent != COMPACT_DUE;
    for (;;) {
        int64_t start_ms;
        if (!compactor_find_window(c, extent, late, &start_ms)) {
            return ERR_OK;
        }
        late = true; /* with a window that is new, what is left of older ones */
        const int64_t start_ns = clock_mono_ns(c->db->options.clock);
        metric_set(c->metrics.populating, 1);
        const enum err_code code = count_work(c, compactor_cut(c, start_ms, err), start_ns);
        if (code != ERR_OK) {
            return err_wrap(err, "cutting the window from %" PRId64, start_ms);
        }
        compactor_clean_head(c);
    }
}

static enum err_code merge_partitions(struct compactor *c, struct err *err) REQUIRES(c->mu) {
    for (bool merged = true; merged;) {
        int64_t start_ms;
        if (compactor_find_window(c, COMPACT_DUE, false, &start_ms)) {
            return ERR_OK; /* that is more urgent */
        }
        const int64_t start_ns = clock_mono_ns(c->db->options.clock);
        enum err_code code = compactor_merge(c, &merged, err);
        if (code != ERR_OK || merged) {
            code = count_work(c, code, start_ns);
        }
        if (code != ERR_OK) {
            return err_wrap(err, "merging partitions");
        }
    }
    return ERR_OK;
}

static struct retention_limits limits_of(struct compactor *c) {
    mutex_lock(&c->limits_mu);
    const struct retention_limits limits = c->limits;
    mutex_unlock(&c->limits_mu);
    return limits;
}

int64_t compactor_retention_ms(struct compactor *c) {
    return limits_of(c).time_ms;
}

static uint64_t head_bytes(struct tsdb *db) {
    struct storage_stats stats;
    db->storage.ops->stats(&db->storage, &stats);
    const uint64_t partitions = compactor_disk_bytes(db->compactor);
    return stats.disk_bytes > partitions ? stats.disk_bytes - partitions : 0;
}

static enum err_code remove_old(struct compactor *c, struct err *err) REQUIRES(c->mu) {
    const struct retention_limits limits = limits_of(c);
    const size_t n = c->manifest.partition_count;
    if (n == 0) {
        return ERR_OK;
    }
    struct retention_disk disk = {.head_bytes = head_bytes(c->db)};
    if (limits.percent > 0 && vfs_total_bytes(c->vfs, c->dir, &disk.total_bytes, err) != ERR_OK) {
        log_warn(c->db->options.log, "tsdb", "the size of the file system is not known",
                 log_err(err));
    }
    enum retention_reason *reasons = mem_array(n, sizeof(*reasons));
    uint32_t *numbers = mem_array(n, sizeof(*numbers));
    size_t count = 0;
    bool by_reason[RETENTION_SIZE + 1] = {false};
    enum err_code code = ERR_OK;
    if (retention_plan(&limits, &disk, c->manifest.partitions, n, reasons) != 0) {
        for (size_t i = 0; i < n; i++) {
            if (reasons[i] != RETENTION_KEEP) {
                numbers[count++] = c->manifest.partitions[i].number;
                by_reason[reasons[i]] = true;
            }
        }
        code = compactor_commit(
            c, &(struct compactor_change){.replaced = numbers, .replaced_count = count}, err);
    }
    if (code == ERR_OK && count != 0) {
        metric_add(c->metrics.time_retentions, by_reason[RETENTION_TIME]);
        metric_add(c->metrics.size_retentions, by_reason[RETENTION_SIZE]);
        log_info(c->db->options.log, "tsdb", "old partitions are removed",
                 log_u64("partitions", count));
    }
    mem_free(reasons);
    mem_free(numbers);
    return code;
}

/* Series that ended leave the head. The marks that cut them are in both manifests that are kept before
 * their numbers can come again. */
static enum err_code collect_head(struct compactor *c, bool all, struct err *err) REQUIRES(c->mu) {
    if (!head_collect_due(c->db, all)) {
        return ERR_OK;
    }
    enum err_code code = compactor_commit(c, &(struct compactor_change){0}, err);
    const int64_t start_ns = clock_mono_ns(c->db->options.clock);
    code = code != ERR_OK ? code : head_collect(c->db, err);
    metric_summarize(c->db->metrics.gc_s,
                     (double)(clock_mono_ns(c->db->options.clock) - start_ns) / 1e9);
    return code != ERR_OK ? err_wrap(err, "removing series that ended") : ERR_OK;
}

/* Damage to the only file of the newest manifest would make an older one count. */
static enum err_code double_manifest(struct compactor *c, struct err *err) REQUIRES(c->mu) {
    return c->manifest_is_single ? compactor_commit(c, &(struct compactor_change){0}, err) : ERR_OK;
}

static enum err_code round_locked(struct compactor *c, enum compactor_extent extent,
                                  struct err *err) REQUIRES(c->mu) {
    metric_inc(c->metrics.triggered);
    compactor_clean_head(c);
    enum err_code code = cut_windows(c, extent, err);
    code = code != ERR_OK ? code : merge_partitions(c, err);
    struct err failure;
    const enum err_code removed = remove_old(c, &failure); /* also on a disk that is full */
    if (code == ERR_OK && removed != ERR_OK) {
        code = removed;
        *err = failure;
    }
    const enum err_code doubled = double_manifest(c, &failure);
    if (code == ERR_OK && doubled != ERR_OK) {
        code = doubled;
        *err = failure;
    }
    const enum err_code repaired = tsdb_tombstones_repair(c->db, &failure);
    if (code == ERR_OK && repaired != ERR_OK) {
        code = repaired;
        *err = failure;
    }
    compactor_clean_head(c);
    code = code != ERR_OK ? code : compactor_survey(c, err);
    if (code == ERR_OK) {
        code = collect_head(c, extent == COMPACT_ALL, err);
    }
    return code;
}

enum err_code compactor_round(struct compactor *c, enum compactor_extent extent, struct err *err) {
    struct err unused;
    err = err != NULL ? err : &unused;
    mutex_lock(&c->mu);
    const enum err_code code = round_locked(c, extent, err);
    mutex_unlock(&c->mu);
    if (code != ERR_OK && code != ERR_CANCELED) {
        log_error(c->db->options.log, "tsdb", "compaction failed, it is tried again", log_err(err));
    }
    return code;
}

enum err_code compactor_clean_tombstones(struct compactor *c, struct err *err) {
    const int64_t start_ns = clock_mono_ns(c->db->options.clock);
    mutex_lock(&c->mu);
    compactor_clean_head(c);
    const enum err_code code = compactor_clean_partitions(c, err);
    mutex_unlock(&c->mu);
    metric_observe(c->metrics.cleanup_s,
                   (double)(clock_mono_ns(c->db->options.clock) - start_ns) / 1e9);
    return code;
}

void compactor_set_retention(struct compactor *c, const struct retention_limits *limits) {
    mutex_lock(&c->limits_mu);
    c->limits = *limits;
    mutex_unlock(&c->limits_mu);
    metric_set(c->metrics.limit_bytes, (double)limits->size_bytes);
    metric_set(c->metrics.limit_s, (double)limits->time_ms / 1000);
    metric_set(c->metrics.limit_percent, limits->percent);
}

void compactor_hold(struct compactor *c) NO_THREAD_SAFETY {
    mutex_lock(&c->mu);
}

void compactor_let_go(struct compactor *c) NO_THREAD_SAFETY {
    mutex_unlock(&c->mu);
}

uint64_t compactor_disk_bytes(const struct compactor *c) {
    return c != NULL ? atomic_load(&c->disk_bytes) : 0;
}

size_t compactor_memory_peak(const struct compactor *c) {
    return atomic_load(&c->memory_peak);
}

/* ---- the thread ---- */

/* From a second to a minute after failures, else a minute. */
static int64_t next_pause(enum err_code code, int64_t last_s) {
    if (code == ERR_OK) {
        return ROUND_S;
    }
    const int64_t pause_s = last_s >= ROUND_S ? 1 : last_s * 2;
    return pause_s < ROUND_S ? pause_s : ROUND_S - 1;
}

static void run(void *ctx) {
    struct compactor *c = ctx;
    int64_t pause_s = ROUND_S;
    (void)setpriority(PRIO_PROCESS, 0, NICE); /* of this thread alone, on Linux */
    mutex_lock(&c->wake_mu);
    while (!c->stopping) {
        const int64_t deadline_ns = clock_mono_ns(clock_system()) + pause_s * NS_PER_S;
        while (!c->stopping && cond_wait_until(&c->wake, &c->wake_mu, deadline_ns)) {
        }
        if (c->stopping) {
            break;
        }
        mutex_unlock(&c->wake_mu);
        struct err err;
        pause_s = next_pause(compactor_round(c, COMPACT_DUE, &err), pause_s);
        mutex_lock(&c->wake_mu);
    }
    mutex_unlock(&c->wake_mu);
}

void compactor_start(struct compactor *c) {
    c->has_thread = true;
    thread_start(&c->thread, "compactor", run, c);
}

void compactor_stop(struct compactor *c) {
    cancel_raise(&c->cancel);
    if (c->has_thread) {
        mutex_lock(&c->wake_mu);
        c->stopping = true;
        cond_signal(&c->wake);
        mutex_unlock(&c->wake_mu);
        thread_join(&c->thread);
        c->has_thread = false;
    }
}
