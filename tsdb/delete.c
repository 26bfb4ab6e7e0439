/* Deleting series, and taking what is deleted out of partitions (tombstones.h).
 *
 * A deletion reads what is visible of the series, and covers that: from the first to the last sample
 * in the range. So a series that comes again shows its new samples, and one without a sample costs
 * nothing. Both files are replaced before readers see the new set. When that fails the deletion failed, and
 * rounds of the compactor write the old set until it is in both: else damage to one of them would decide
 * what is deleted. */
#include "base/log.h"
#include "base/mem.h"
#include "tsdb/compactor.h"
#include "tsdb/head.h"
#include "tsdb/tombstone_file.h"
#include "tsdb/tsdb_ops.h"

enum { BATCH = 128, SELECT_BYTES_MAX = 1 << 30 };

struct additions {
    struct tombstone_addition *items;
    size_t count;
    size_t capacity;
};

static void add(struct additions *a, struct labels labels, struct tombstone_interval interval) {
    if (a->count == a->capacity) {
        a->capacity = mem_grow(a->capacity, a->count + 1);
        a->items = mem_resize(a->items, a->capacity, sizeof(*a->items));
    }
    a->items[a->count++] = (struct tombstone_addition){labels, interval};
}

struct tombstones *tsdb_tombstones(struct tsdb *db) {
    mutex_lock(&db->tombstones_mu);
    struct tombstones *t = tombstones_ref(db->tombstones);
    mutex_unlock(&db->tombstones_mu);
    return t;
}

static void publish(struct tsdb *db, struct tombstones *t) {
    mutex_lock(&db->tombstones_mu);
    struct tombstones *old = db->tombstones;
    db->tombstones = t;
    mutex_unlock(&db->tombstones_mu);
    tombstones_unref(old);
}

/* ---- the file ---- */

static void on_damage(void *ctx, const struct record_damage *damage) {
    struct tsdb *db = ctx;
    atomic_fetch_add(&db->damage_count, 1);
    metric_inc(db->metrics.wal_corruptions);
    log_error(db->options.log, "tsdb", "tombstones are damaged", log_text("file", damage->path),
              log_u64("offset", damage->offset), log_u64("bytes", damage->size),
              log_text("why", damage->reason));
}

static enum err_code store(struct tsdb *db, const struct tombstones *t, struct err *err)
    REQUIRES(db->delete_mu) {
    const enum err_code code =
        tombstone_file_store(db->options.vfs, db->options.path, t, ++db->tombstones_serial, err);
    db->tombstones_unwritten = code != ERR_OK;
    return code;
}

enum err_code tsdb_tombstones_open(struct tsdb *db, const char *quarantine_dir, struct err *err) {
    struct tombstone_file_found found;
    struct err failure;
    enum err_code code =
        tombstone_file_load(&(struct tombstone_file_options){.vfs = db->options.vfs,
                                                             .dir = db->options.path,
                                                             .quarantine_dir = quarantine_dir,
                                                             .damage = on_damage,
                                                             .damage_ctx = db},
                            &db->tombstones, &found, err);
    if (code != ERR_OK) {
        return code;
    }
    db->tombstones_serial = found.serial;
    if (db->tombstones != NULL) {
        tombstones_set_number(db->tombstones, ++db->deletions);
    }
    if (found.wants_writing) {
        mutex_lock(&db->delete_mu);
        code = store(db, db->tombstones, &failure);
        mutex_unlock(&db->delete_mu);
        if (code != ERR_OK) { /* what was read holds, and rounds of the compactor try again */
            log_warn(db->options.log, "tsdb", "tombstones could not be repaired",
                     log_err(&failure));
        }
    }
    return ERR_OK;
}

enum err_code tsdb_tombstones_repair(struct tsdb *db, struct err *err) {
    mutex_lock(&db->delete_mu);
    const bool due = db->tombstones_unwritten;
    const enum err_code code = due ? store(db, db->tombstones, err) : ERR_OK;
    mutex_unlock(&db->delete_mu);
    if (due && code == ERR_OK) {
        log_info(db->options.log, "tsdb", "tombstones are written again");
    }
    return code != ERR_OK ? err_wrap(err, "writing tombstones again") : ERR_OK;
}

/* The set on disk, then for readers. next may be empty. */
static enum err_code replace(struct tsdb *db, struct tombstones *next, struct err *err)
    REQUIRES(db->delete_mu) {
    const enum err_code code = store(db, next, err);
    if (code == ERR_OK && tombstones_count(next) == 0) {
        tombstones_unref(next);
        next = NULL;
    }
    if (code == ERR_OK) {
        publish(db, next);
    } else {
        tombstones_unref(next);
    }
    return code;
}

enum err_code tsdb_tombstones_retire(struct tsdb *db, const struct tombstones *known,
                                     const bool *used, size_t *out_count, struct err *err) {
    struct additions kept = {0};
    struct tombstones *next = NULL;
    size_t at = 0;
    *out_count = 0;
    mutex_lock(&db->delete_mu);
    enum err_code code = ERR_OK;
    if (db->tombstones == known) { /* else there are new ones: not this time */
        for (size_t i = 0; i < tombstones_count(known); i++) {
            const struct tombstone *series = tombstones_at(known, i);
            for (uint32_t k = 0; k < series->count; k++, at++) {
                if (used[at]) {
                    add(&kept, series->labels, series->intervals[k]);
                }
            }
        }
        code = tombstones_with(NULL, kept.items, kept.count, &next, err);
        if (code == ERR_OK && kept.count != at) {
            tombstones_set_number(next, tombstones_number(known));
            code = replace(db, next, err);
            *out_count = code == ERR_OK ? at - kept.count : 0;
        } else {
            tombstones_unref(next);
        }
    }
    mutex_unlock(&db->delete_mu);
    mem_free(kept.items);
    return code != ERR_OK ? err_wrap(err, "tombstones that hide nothing any more") : ERR_OK;
}

/* ---- deleting ---- */

/* What there is to delete; labels in the querier's arena. */
static enum err_code find_samples(struct storage_querier *q, const struct storage_selection *sel,
                                  const struct tombstone_interval *range, struct arena *arena,
                                  struct additions *out, struct err *err) {
    struct storage_samples samples[BATCH];
    struct arena scratch;
    size_t count;
    enum err_code code = ERR_OK;
    const struct storage_series *series = tsdb_selection_series(sel, &count);
    arena_init(&scratch, SELECT_BYTES_MAX);
    for (size_t at = 0; at < count && code == ERR_OK; at += BATCH) {
        const size_t n = count - at < BATCH ? count - at : BATCH;
        code = tsdb_read(q, sel, at, n, range->min_ts_ms, range->max_ts_ms, &scratch, samples, err);
        for (size_t i = 0; i < n && code == ERR_OK; i++) {
            const struct storage_samples *s = &samples[i];
            if (s->count != 0) {
                const struct labels labels =
                    labels_merge(arena, tsdb_set_labels(q, series[at + i].target_set),
                                 tsdb_set_labels(q, series[at + i].metric_set));
                add(out, labels, (struct tombstone_interval){s->ts[0], s->ts[s->count - 1]});
            }
        }
        arena_reset(&scratch);
    }
    arena_release(&scratch);
    return code;
}

static enum err_code delete_locked(struct tsdb *db, const struct matcher *matchers, size_t n,
                                   const struct tombstone_interval *range, struct err *err)
    REQUIRES(db->delete_mu) {
    struct arena arena;
    struct storage_querier *q;
    struct storage_selection *sel;
    struct additions found = {0};
    struct tombstones *next = NULL;
    arena_init(&arena, SELECT_BYTES_MAX);
    enum err_code code =
        tsdb_querier_open(&db->storage, range->min_ts_ms, range->max_ts_ms, &arena, NULL, &q, err);
    code = code != ERR_OK ? code : tsdb_select(q, matchers, n, NULL, &sel, err);
    code = code != ERR_OK ? code : find_samples(q, sel, range, &arena, &found, err);
    if (code == ERR_OK && found.count != 0) {
        code = tombstones_with(db->tombstones, found.items, found.count, &next, err);
        if (code == ERR_OK) {
            tombstones_set_number(next, ++db->deletions);
            code = replace(db, next, err);
        }
    }
    mem_free(found.items);
    arena_release(&arena);
    return code;
}

enum err_code tsdb_delete_series(struct storage *st, const struct matcher *matchers, size_t n,
                                 int64_t mint, int64_t maxt, struct err *err) {
    struct tsdb *db = (struct tsdb *)st;
    if (mint > maxt) {
        return ERR_OK;
    }
    mutex_lock(&db->delete_mu);
    const enum err_code code =
        delete_locked(db, matchers, n, &(struct tombstone_interval){mint, maxt}, err);
    mutex_unlock(&db->delete_mu);
    return code != ERR_OK ? err_wrap(err, "delete series") : ERR_OK;
}

enum err_code tsdb_clean_tombstones(struct storage *st, struct err *err) {
    struct tsdb *db = (struct tsdb *)st;
    const enum err_code code = compactor_clean_tombstones(db->compactor, err);
    return code != ERR_OK ? err_wrap(err, "clean tombstones") : ERR_OK;
}
