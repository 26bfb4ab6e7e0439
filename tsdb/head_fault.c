/* When the disk fails: what is said of it, and how much memory rows may take that it should have.
 *
 * A shard fails from a write, a sync or a sealing that did not work until the maintenance round in
 * which all of that works again, so for a second at least. Rows are taken meanwhile, up to a budget
 * of bytes for what they add to the open chunks, and of rows per group. */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "tsdb/head.h"

enum { FAULT_MEMORY_BYTES = 256 << 20 };

/* ---- what is said ---- */

void head_fault_note(struct tsdb *db, const struct err *err) {
    struct head_fault *f = &db->fault;
    mutex_lock(&f->mu);
    const bool first = !f->failing;
    f->failing = true;
    f->count++;
    f->last_unix_ms = clock_unix_ms(db->options.clock);
    memcpy(f->last, err->text, sizeof(f->last));
    mutex_unlock(&f->mu);
    metric_inc(db->metrics.faults);
    metric_set(db->metrics.failing, 1);
    if (first) {
        log_error(db->options.log, "tsdb",
                  "the disk fails: rows are kept in memory, and written when it works again",
                  log_err(err));
    }
}

void head_fault_get(struct tsdb *db, struct storage_stats *to) {
    struct head_fault *f = &db->fault;
    mutex_lock(&f->mu);
    to->is_failing = f->failing;
    to->fault_count = f->count;
    to->last_fault_unix_ms = f->last_unix_ms;
    memcpy(to->last_fault, f->last, sizeof(to->last_fault));
    mutex_unlock(&f->mu);
    to->damage_count = atomic_load(&db->damage_count);
}

void head_fault_settle(struct tsdb *db, bool failing) {
    struct head_fault *f = &db->fault;
    mutex_lock(&f->mu);
    const bool over = f->failing && !failing;
    f->failing = f->failing && failing;
    mutex_unlock(&f->mu);
    if (over) {
        metric_set(db->metrics.failing, 0);
        log_info(db->options.log, "tsdb", "the disk works again, all rows are written");
    }
}

/* ---- a shard ---- */

void head_shard_failed(struct head_shard *shard, const struct err *err) {
    if (!shard->is_failing) {
        shard->is_failing = true;
        shard->bytes_before = shard->slab.live_bytes;
    }
    if (err != NULL) {
        head_fault_note(shard->db, err);
    }
}

static enum err_code refuse(struct head_group *g, struct metric *reason, struct err *err)
    REQUIRES(g->shard->mu) {
    metric_inc(reason);
    return err_wrap(err, "%u rows wait to be written, no more are taken", g->rows);
}

enum err_code head_make_room(struct head_group *g, bool is_full, struct err *err) {
    struct head_shard *shard = g->shard;
    struct tsdb *db = shard->db;
    head_shard_held(shard);
    if (is_full) {
        const enum err_code code = head_seal(g, err);
        return code == ERR_OK ? ERR_OK : refuse(g, db->metrics.refused_rows, err);
    }
    const size_t all = db->options.fault_memory_bytes != 0 ? db->options.fault_memory_bytes
                                                           : (size_t)FAULT_MEMORY_BYTES;
    if (shard->is_failing &&
        shard->slab.live_bytes > shard->bytes_before + all / db->writer_count) {
        (void)err_set(err, ERR_NO_SPACE, "%zu bytes of memory for rows are full", all);
        (void)refuse(g, db->metrics.refused_memory, err);
        return ERR_NO_SPACE;
    }
    return ERR_OK;
}
