/* Deleting series, and taking what is deleted out of partitions (tombstones.h).
 *
 * A deletion reads what is visible of the series, and covers that: from the first to the last sample
 * in the range. So a series that comes again shows its new samples, and one without a sample costs
 * nothing. The file is replaced before readers see the new set. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/compactor.h"
#include "tsdb/head.h"
#include "tsdb/tombstones.h"

enum { BATCH = 128, PATH_BYTES = 4096, SELECT_BYTES_MAX = 1 << 30 };

struct additions {
    struct tombstone_addition *items;
    size_t count;
    size_t capacity;
};

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

static enum err_code file_path(const char *dir, char to[PATH_BYTES], struct err *err) {
    const int n = snprintf(to, PATH_BYTES, "%s/tombstones", dir);
    return n > 0 && n < PATH_BYTES ? ERR_OK : err_set(err, ERR_INVALID, "path %s is too long", dir);
}

enum err_code tsdb_tombstones_write(struct tsdb *db, const struct tombstones *t, const char *dir,
                                    struct err *err) {
    char path[PATH_BYTES];
    struct buf bytes;
    buf_init(&bytes, TOMBSTONES_BYTES_MAX);
    tombstones_encode(t, &bytes);
    enum err_code code = file_path(dir, path, err);
    if (code == ERR_OK && !buf_ok(&bytes)) {
        code = err_set(err, ERR_LIMIT, "too many deleted series");
    }
    code =
        code != ERR_OK ? code : vfs_replace_file(db->options.vfs, path, bytes.ptr, bytes.len, err);
    buf_release(&bytes);
    return code;
}

enum err_code tsdb_tombstones_open(struct tsdb *db, struct err *err) {
    char path[PATH_BYTES];
    struct vfs_stat st;
    char *bytes = NULL;
    size_t n = 0;
    struct err missing;
    enum err_code code = file_path(db->options.path, path, err);
    if (code != ERR_OK) {
        return code;
    }
    code = vfs_stat(db->options.vfs, path, &st, &missing);
    if (code == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    code = vfs_read_file(db->options.vfs, path, TOMBSTONES_BYTES_MAX, &bytes, &n, err);
    if (code == ERR_OK) {
        code = tombstones_decode(bytes, n, &db->tombstones, err);
    }
    mem_free(bytes);
    /* Going on without it would bring back what was deleted. */
    return code != ERR_OK ? err_wrap(err, "%s", path) : ERR_OK;
}

/* ---- deleting ---- */

static void add(struct additions *a, struct labels labels, struct tombstone_interval interval) {
    if (a->count == a->capacity) {
        a->capacity = mem_grow(a->capacity, a->count + 1);
        a->items = mem_resize(a->items, a->capacity, sizeof(*a->items));
    }
    a->items[a->count++] = (struct tombstone_addition){labels, interval};
}

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
        code = code != ERR_OK ? code : tsdb_tombstones_write(db, next, db->options.path, err);
        if (code == ERR_OK) {
            publish(db, next);
        } else {
            tombstones_unref(next);
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
