/* Series log.
 *
 * FORMAT. Record files (record_file.c) with magic "BRASASER", shard 0. Records: type 1, a batch of
 * definitions (series_batch.c); type 2, only as the first of a file: u32 file, u32 records, u32 copies:
 * of the older file only so many records count, what followed stands in this file or never was; files
 * between the two do not count. That
 * holds once so many records behind it, the copies of what followed, are intact: a file that was cut
 * short while it began takes nothing away. Type 3, as the first of a file: an image; older files do not
 * count any more. Such a file gets its name when all of it is durable.
 *
 * INVARIANTS
 *   L1  Bytes of the current file before end are whole records.
 *   L2  unsynced holds the payload of every record that is not known to be durable.
 *   L3  A number is never defined twice with different content: a write that failed half-way is
 *       made void by the type 2 record of the file that takes its place.
 *   L4  Of two definitions of a group or a slot the later one counts: copies stand in the order of what
 *       they are copies of, with nothing of it behind them.
 *   L5  A file of which nothing is known to be durable may vanish with what it says of the one before:
 *       its successor says that itself, and files between do not count.
 *
 * CONCURRENCY. mu guards everything. Appends write under it: definitions are rare and only a sync
 * can wait for them. A sync takes the file and a mark under mu and syncs without it; files stay
 * open until the log is closed, so a file that is replaced meanwhile does no harm.
 *
 * WHY one log: label sets are interned across shards; per shard every set would be stored, read and
 * numbered as often as there are cores. */
#include "tsdb/series_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "tsdb/series_batch.h"

#define SERIES_MAGIC "BRASASER"

enum {
    RECORD_BATCH = 1,
    RECORD_CONTINUE = 2,
    RECORD_IMAGE = 3,
    CONTINUE_BYTES = 12,
    SCAN_READ_BYTES = 256 << 10,
    UNSYNCED_SOON_BYTES = 32 << 20, /* an append that passes this syncs by itself */
    BATCH_BYTES_MAX = 512 << 20,
    SYNC_ATTEMPTS = 3,
};

struct log_file {
    struct log_file *older;
    uint32_t number;
    uint32_t seed;
    char *path;
    struct vfs_file *f;
    uint64_t end;               /* L1 */
    uint32_t next;              /* record number */
    uint32_t continued_file;    /* what it says of an older one; 0 = nothing */
    uint32_t continued_records; /* of that one that count */
    uint32_t synced;            /* records known to be durable */
    uint64_t synced_end;
    bool name_synced;
    bool is_image;
};

struct series_log {
    struct vfs *vfs;
    char *dir;

    struct mutex mu;
    /* guarded by mu: */
    struct log_file *file; /* newest; NULL: none yet */
    uint32_t next_file;
    uint32_t syncs_running; /* without mu: their file stays open */
    bool failed;            /* file is poisoned, or none can be made */
    bool fresh;             /* the next append begins a file, nothing failed */
    struct series_log_next next;
    struct buf unsynced;        /* u32 size, payload ... (L2) */
    uint64_t unsynced_position; /* of its first byte in the sequence of all payloads */
    struct buf frame;           /* scratch */
    struct series_log_stats stats;
};

/* ---- files ---- */

static struct log_file *file_new(const struct series_log *log, uint32_t number) {
    const struct record_file_id id = {SERIES_MAGIC, 0, number};
    struct log_file *file = mem_zalloc(sizeof(*file));
    file->number = number;
    file->seed = record_file_seed(&id);
    file->path = record_file_path(log->dir, number);
    return file;
}

static void file_free(struct log_file *file) {
    vfs_file_close(file->f);
    mem_free(file->path);
    mem_free(file);
}

/* Frames the payloads of a list (u32 size, bytes, ...) behind what log->frame holds. */
static uint32_t frame_payloads(struct series_log *log, const struct log_file *file, uint32_t number,
                               const uint8_t *list, size_t list_bytes) {
    for (size_t at = 0; at < list_bytes;) {
        const uint32_t size = load_u32(list + at);
        char *to = buf_reserve(&log->frame, RECORD_HEADER_BYTES + (size_t)size);
        if (to == NULL) {
            break; /* the caller asks buf_ok */
        }
        record_write((uint8_t *)to, file->seed, RECORD_BATCH, number++,
                     list + at + sizeof(uint32_t), size);
        log->frame.len += RECORD_HEADER_BYTES + size;
        at += sizeof(uint32_t) + size;
    }
    return number;
}

static uint32_t count_payloads(const struct buf *list) {
    uint32_t count = 0;
    for (size_t at = 0; at < list->len; count++) {
        at += sizeof(uint32_t) + load_u32((const uint8_t *)list->ptr + at);
    }
    return count;
}

/* The content of a fresh file: header, what it replaces, and all that is not durable. */
static enum err_code frame_file(struct series_log *log, struct log_file *file, struct err *err) {
    const struct record_file_id id = {SERIES_MAGIC, 0, file->number};
    uint8_t header[RECORD_FILE_HEADER_BYTES];
    record_file_header(header, &id);
    buf_clear(&log->frame);
    buf_append(&log->frame, header, sizeof(header));
    if (log->file != NULL) {
        uint8_t record[RECORD_HEADER_BYTES + CONTINUE_BYTES];
        uint8_t payload[CONTINUE_BYTES];
        const struct log_file *older = log->file;
        const bool is_void = older->synced == 0 && older->continued_file != 0; /* L5 */
        file->continued_file = is_void ? older->continued_file : older->number;
        file->continued_records = is_void ? older->continued_records : older->synced;
        uint8_t *to = put_u32(payload, file->continued_file);
        put_u32(put_u32(to, file->continued_records), count_payloads(&log->unsynced));
        record_write(record, file->seed, RECORD_CONTINUE, file->next++, payload, sizeof(payload));
        buf_append(&log->frame, record, sizeof(record));
    }
    file->next = frame_payloads(log, file, file->next, (const uint8_t *)log->unsynced.ptr,
                                log->unsynced.len);
    file->end = log->frame.len;
    return buf_ok(&log->frame) ? ERR_OK
                               : err_set(err, ERR_LIMIT, "series log %s is too large", log->dir);
}

/* Begins a fresh file; on success the log is no longer failed. */
static enum err_code begin_file_locked(struct series_log *log, struct err *err) REQUIRES(&log->mu) {
    struct log_file *file = file_new(log, log->next_file++);
    enum err_code code = frame_file(log, file, err);
    if (code == ERR_OK) {
        code =
            vfs_open(log->vfs, file->path, VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &file->f, err);
    }
    if (code == ERR_OK) {
        code = vfs_file_pwrite(file->f, log->frame.ptr, log->frame.len, 0, err);
        if (code != ERR_OK) {
            (void)!vfs_unlink(log->vfs, file->path, NULL);
        }
    }
    if (code != ERR_OK) {
        (void)err_wrap(err, "beginning series log file %s", file->path);
        log->stats.writes_failed++;
        file_free(file);
        return code;
    }
    file->older = log->file;
    log->file = file;
    log->failed = false;
    log->fresh = false;
    return ERR_OK;
}

static enum err_code repair_locked(struct series_log *log, struct err *err) REQUIRES(&log->mu) {
    return log->failed || log->fresh ? begin_file_locked(log, err) : ERR_OK;
}

/* ---- appending ---- */

static void check_numbers_locked(const struct series_log *log, const struct series_log_batch *batch)
    REQUIRES(&log->mu) {
    ASSERT(batch->target_set_count == 0 || batch->first_target_set == log->next.target_set);
    ASSERT(batch->metric_set_count == 0 || batch->first_metric_set == log->next.metric_set);
    ASSERT(batch->group_count == 0 || batch->first_group == log->next.group);
    ASSERT(batch->layout_count == 0 || batch->first_layout == log->next.layout);
    uint32_t series = log->next.series;
    for (size_t i = 0; i < batch->series_run_count; i++) {
        ASSERT(batch->series[i].first_series == series && batch->series[i].count > 0);
        series += batch->series[i].count;
    }
}

/* The numbers after the batch; ERR_LIMIT when one does not fit into 32 bits. */
static enum err_code advance(const struct series_log_batch *batch, struct series_log_next *next,
                             struct err *err) {
    uint64_t series = next->series;
    for (size_t i = 0; i < batch->series_run_count; i++) {
        series += batch->series[i].count;
    }
    const uint64_t target_set = next->target_set + (uint64_t)batch->target_set_count;
    const uint64_t metric_set = next->metric_set + (uint64_t)batch->metric_set_count;
    const uint64_t group = next->group + (uint64_t)batch->group_count;
    const uint64_t layout = next->layout + (uint64_t)batch->layout_count;
    if (series >= UINT32_MAX || layout >= UINT32_MAX || target_set >= UINT32_MAX ||
        metric_set >= UINT32_MAX || group >= UINT32_MAX) {
        return err_set(err, ERR_LIMIT, "series log: more than 2^32 series or label sets");
    }
    *next = (struct series_log_next){
        .target_set = (uint32_t)target_set,
        .metric_set = (uint32_t)metric_set,
        .group = (uint32_t)group,
        .series = (uint32_t)series,
        .layout = (uint32_t)layout,
    };
    return ERR_OK;
}

/* Writes the payloads of list behind the current file. */
static enum err_code write_list_locked(struct series_log *log, const struct buf *list,
                                       struct err *err) REQUIRES(&log->mu) {
    enum err_code code = repair_locked(log, err);
    if (code != ERR_OK) {
        return code;
    }
    struct log_file *file = log->file;
    buf_clear(&log->frame);
    const uint32_t next =
        frame_payloads(log, file, file->next, (const uint8_t *)list->ptr, list->len);
    buf_append(&log->unsynced, list->ptr, list->len);
    if (!buf_ok(&log->frame) || !buf_ok(&log->unsynced)) {
        UNREACHABLE("the caller kept the budgets");
    }
    code = vfs_file_pwrite(file->f, log->frame.ptr, log->frame.len, file->end, err);
    if (code != ERR_OK) {
        log->unsynced.len -= list->len;
        log->failed = true;
        log->stats.writes_failed++;
        return err_wrap(err, "writing series log file %s at offset %" PRIu64, file->path,
                        file->end);
    }
    file->next = next;
    file->end += log->frame.len;
    return ERR_OK;
}

enum err_code series_log_append(struct series_log *log, const struct series_log_batch *batch,
                                struct err *err) {
    struct buf list;
    buf_init(&list, BATCH_BYTES_MAX);
    enum err_code code = series_batch_encode(batch, &list, err);
    if (code != ERR_OK || list.len == 0) {
        buf_release(&list);
        return code;
    }
    mutex_lock(&log->mu);
    check_numbers_locked(log, batch);
    struct series_log_next next = log->next;
    code = advance(batch, &next, err);
    const bool crowded =
        log->unsynced.len > 0 && log->unsynced.len + list.len > UNSYNCED_SOON_BYTES;
    mutex_unlock(&log->mu);
    if (code == ERR_OK && crowded) {
        code = series_log_sync(log, err);
    }
    if (code == ERR_OK) {
        mutex_lock(&log->mu);
        code = write_list_locked(log, &list, err);
        if (code == ERR_OK) {
            log->next = next;
        }
        mutex_unlock(&log->mu);
    }
    buf_release(&list);
    return code;
}

/* ---- images ---- */

/* Writes the records of the image to the file. */
static enum err_code write_image(struct log_file *file, const struct buf *list, struct err *err) {
    const struct record_file_id id = {SERIES_MAGIC, 0, file->number};
    struct buf out;
    buf_init(&out, 2 * SCAN_READ_BYTES + RECORD_HEADER_BYTES + ((size_t)1 << 24));
    record_file_header((uint8_t *)buf_reserve(&out, RECORD_FILE_HEADER_BYTES), &id);
    out.len += RECORD_FILE_HEADER_BYTES;
    record_write((uint8_t *)buf_reserve(&out, RECORD_HEADER_BYTES), file->seed, RECORD_IMAGE,
                 file->next++, NULL, 0);
    out.len += RECORD_HEADER_BYTES;
    enum err_code code = ERR_OK;
    for (size_t at = 0; code == ERR_OK && (at < list->len || out.len != 0);) {
        if (at < list->len && out.len < SCAN_READ_BYTES) {
            const uint32_t size = load_u32((const uint8_t *)list->ptr + at);
            char *to = buf_reserve(&out, RECORD_HEADER_BYTES + (size_t)size);
            ASSERT(to != NULL);
            at += sizeof(uint32_t);
            record_write((uint8_t *)to, file->seed, RECORD_BATCH, file->next++, list->ptr + at,
                         size);
            out.len += RECORD_HEADER_BYTES + size;
            at += size;
        } else {
            code = vfs_file_pwrite(file->f, out.ptr, out.len, file->end, err);
            file->end += out.len;
            buf_clear(&out);
        }
    }
    buf_release(&out);
    return code == ERR_OK ? vfs_file_sync(file->f, err) : code;
}

/* Makes the file under another name, then gives it its own. */
static enum err_code make_image(struct series_log *log, struct log_file *file,
                                const struct buf *list, struct err *err) {
    const size_t size = strlen(file->path) + sizeof(".tmp");
    char *path = mem_alloc(size);
    (void)snprintf(path, size, "%s.tmp", file->path);
    enum err_code code =
        vfs_open(log->vfs, path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &file->f, err);
    code = code == ERR_OK ? write_image(file, list, err) : code;
    code = code == ERR_OK ? vfs_rename(log->vfs, path, file->path, err) : code;
    if (code != ERR_OK) {
        (void)!vfs_unlink(log->vfs, path, NULL);
        (void)err_wrap(err, "writing an image of the series to %s", path);
    }
    mem_free(path);
    return code;
}

/* What was before an image goes when its name is durable. */
static void drop_older_locked(struct series_log *log) REQUIRES(&log->mu) {
    struct log_file *image = log->file;
    while (image != NULL && !image->is_image) {
        image = image->older;
    }
    const bool can = log->syncs_running == 0 && log->file != NULL && log->file->name_synced;
    while (image != NULL && can && image->older != NULL) {
        struct log_file *file = image->older;
        (void)!vfs_unlink(log->vfs, file->path, NULL);
        image->older = file->older;
        file_free(file);
    }
}

/* The image is the log. */
static void use_image_locked(struct series_log *log, struct log_file *file,
                             struct series_log_next next) REQUIRES(&log->mu) {
    file->is_image = true;
    file->synced = file->next;
    file->synced_end = file->end;
    /* If not, syncs fail until it worked, and a crash leaves what was before. */
    file->name_synced = vfs_sync_dir(log->vfs, log->dir, NULL) == ERR_OK;
    file->older = log->file;
    log->file = file;
    drop_older_locked(log);
    log->failed = false;
    log->fresh = false;
    log->next = next;
    log->unsynced_position += log->unsynced.len;
    buf_clear(&log->unsynced);
}

enum err_code series_log_replace(struct series_log *log, const struct series_log_batch *batches,
                                 size_t n, struct series_log_next next, struct err *err) {
    struct buf list;
    enum err_code code = ERR_OK;
    buf_init(&list, 2 * (size_t)BATCH_BYTES_MAX);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        code = series_batch_encode(&batches[i], &list, err);
    }
    mutex_lock(&log->mu);
    struct log_file *file = file_new(log, log->next_file);
    if (code == ERR_OK) {
        log->next_file++; /* also when it fails: the name may be there after all */
        code = make_image(log, file, &list, err);
    }
    if (code == ERR_OK) {
        use_image_locked(log, file, next);
    } else {
        log->stats.writes_failed++;
        file_free(file);
    }
    mutex_unlock(&log->mu);
    buf_release(&list);
    return code;
}

struct series_log_next series_log_next(struct series_log *log) {
    mutex_lock(&log->mu);
    const struct series_log_next next = log->next;
    mutex_unlock(&log->mu);
    return next;
}

static uint32_t greater(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

void series_log_skip_to(struct series_log *log, struct series_log_next at_least) {
    mutex_lock(&log->mu);
    log->next.target_set = greater(log->next.target_set, at_least.target_set);
    log->next.metric_set = greater(log->next.metric_set, at_least.metric_set);
    log->next.group = greater(log->next.group, at_least.group);
    log->next.series = greater(log->next.series, at_least.series);
    log->next.layout = greater(log->next.layout, at_least.layout);
    mutex_unlock(&log->mu);
}

/* ---- syncing ---- */

/* How far a sync under way will have come. */
struct sync_mark {
    struct log_file *file;
    uint64_t end;
    uint32_t records;
    uint64_t position; /* of the payloads */
    bool name_synced;
    bool reached; /* all of it is durable already */
};

static struct sync_mark take_mark_locked(const struct series_log *log) REQUIRES(&log->mu) {
    return (struct sync_mark){.file = log->file,
                              .end = log->file->end,
                              .records = log->file->next,
                              .position = log->unsynced_position + log->unsynced.len,
                              .name_synced = log->file->name_synced,
                              .reached = log->file->name_synced &&
                                         log->file->synced_end == log->file->end};
}

static void forget_synced_locked(struct series_log *log, uint64_t position) REQUIRES(&log->mu) {
    if (position > log->unsynced_position) {
        const size_t n = (size_t)(position - log->unsynced_position);
        memmove(log->unsynced.ptr, log->unsynced.ptr + n, log->unsynced.len - n);
        log->unsynced.len -= n;
        log->unsynced_position = position;
    }
}

/* One attempt; *out_again when the file was replaced meanwhile and the new one has to be synced. */
static enum err_code sync_once(struct series_log *log, bool *out_again, struct err *err) {
    *out_again = false;
    mutex_lock(&log->mu);
    enum err_code code = log->failed ? begin_file_locked(log, err) : ERR_OK;
    struct sync_mark mark = {0};
    if (code == ERR_OK && log->file != NULL) {
        mark = take_mark_locked(log);
    }
    const bool syncs = code == ERR_OK && mark.file != NULL && !mark.reached;
    log->syncs_running += syncs ? 1 : 0;
    mutex_unlock(&log->mu);
    if (!syncs) {
        return code;
    }

    code = mark.name_synced ? ERR_OK : vfs_sync_dir(log->vfs, log->dir, err);
    if (code == ERR_OK) {
        code = vfs_file_sync(mark.file->f, err);
    }
    mutex_lock(&log->mu);
    log->syncs_running--;
    if (log->file != mark.file || log->failed) {
        *out_again = true;
        code = ERR_OK;
    } else if (code == ERR_OK) {
        mark.file->name_synced = true;
        mark.file->synced_end = mark.end > mark.file->synced_end ? mark.end : mark.file->synced_end;
        mark.file->synced = greater(mark.file->synced, mark.records);
        forget_synced_locked(log, mark.position);
    } else {
        log->failed = true;
        log->stats.syncs_failed++;
        (void)err_wrap(err, "syncing series log file %s", mark.file->path);
    }
    drop_older_locked(log);
    mutex_unlock(&log->mu);
    return code;
}

enum err_code series_log_sync(struct series_log *log, struct err *err) {
    for (int attempt = 0; attempt < SYNC_ATTEMPTS; attempt++) {
        bool again = false;
        const enum err_code code = sync_once(log, &again, err);
        if (code != ERR_OK || !again) {
            return code;
        }
    }
    return err_set(err, ERR_UNAVAILABLE, "series log %s fails again and again", log->dir);
}

void series_log_stats_get(struct series_log *log, struct series_log_stats *out) {
    mutex_lock(&log->mu);
    *out = log->stats;
    out->unsynced_bytes = log->unsynced.len;
    out->failed = log->failed;
    out->disk_bytes = 0;
    for (const struct log_file *file = log->file; file != NULL; file = file->older) {
        out->disk_bytes += file->end;
    }
    mutex_unlock(&log->mu);
}

/* ---- opening ---- */

struct replay {
    const struct series_log_handler *handler;
    void *ctx;
    struct series_log_next next;
    uint32_t limit; /* records of this file that count */
    uint32_t continued_file;
    uint32_t continued_records;
    uint32_t copies;     /* still to come */
    uint32_t copies_end; /* the number behind theirs */
    uint32_t first;      /* records of this file before it are copies that do not count */
};

static enum err_code replay_record(void *ctx, const struct record_view *record, uint64_t *out_extra,
                                   struct err *err) {
    struct replay *replay = ctx;
    if (record->type != RECORD_BATCH || record->number < replay->first ||
        record->number >= replay->limit) {
        return ERR_OK;
    }
    const enum err_code code = series_batch_decode(record->payload, record->size, replay->handler,
                                                   replay->ctx, &replay->next, err);
    if (code == ERR_CORRUPT) {
        *out_extra = UINT64_MAX; /* a good checksum over nonsense: damaged before it was written */
        return ERR_OK;
    }
    return code;
}

static enum err_code peek_continue(void *ctx, const struct record_view *record, uint64_t *out_extra,
                                   struct err *err) {
    struct replay *replay = ctx;
    (void)out_extra;
    if (record->number == 0 && record->type == RECORD_CONTINUE && record->size == CONTINUE_BYTES) {
        replay->continued_file = load_u32(record->payload);
        replay->continued_records = load_u32(record->payload + 4);
        replay->copies = load_u32(record->payload + 8);
        replay->copies_end = replay->copies < UINT32_MAX ? replay->copies + 1 : UINT32_MAX;
    } else if (replay->copies != 0 && record->type == RECORD_BATCH) {
        replay->copies--;
    }
    return replay->continued_file != 0 && replay->copies != 0
               ? ERR_OK
               : err_set(err, ERR_CANCELED, "seen enough");
}

/* What cannot be read for now is not damage: without what a file begins with, older ones would count
 * that do not, or too much of them. */
static enum err_code peek(const struct series_log *log, struct log_file *file,
                          const struct record_scan_options *scan, record_scan_fn *fn, void *ctx,
                          struct err *err) {
    struct record_scan_stats stats = {0};
    uint64_t end = 0;
    uint32_t next = 0;
    enum err_code code = vfs_open(log->vfs, file->path, VFS_READ, &file->f, err);
    if (code == ERR_OK) {
        code = record_scan(file->f, scan, fn, ctx, &end, &next, &stats, err);
    }
    return code == ERR_CANCELED ? ERR_OK : code;
}

/* What a file says in its first record about an older one. */
static enum err_code read_continue(const struct series_log *log, uint32_t number,
                                   struct replay *replay, struct err *err) {
    struct log_file *file = file_new(log, number);
    const struct record_scan_options scan = {
        .id = {SERIES_MAGIC, 0, number}, .path = file->path, .read_ahead_bytes = 4096};
    replay->continued_file = 0;
    replay->copies = 0;
    const enum err_code code = peek(log, file, &scan, peek_continue, replay, err);
    if (replay->copies != 0) {
        replay->continued_file = 0; /* nor may the file go on: what comes would pass for copies */
    }
    file_free(file);
    return code;
}

/* How many records of the first of these files count. Any later one may say so: a file that could
 * not be begun may have been left between. There is more than one only after failures. */
static enum err_code find_limit(const struct series_log *log, const uint32_t *numbers, size_t count,
                                struct replay *replay, struct err *err) {
    uint32_t limit = UINT32_MAX;
    enum err_code code = ERR_OK;
    for (size_t i = 1; i < count && code == ERR_OK; i++) {
        code = read_continue(log, numbers[i], replay, err);
        if (replay->continued_file != 0 && replay->continued_file < numbers[0]) {
            limit = 0; /* L5 */
        } else if (replay->continued_file == numbers[0] && replay->continued_records < limit) {
            limit = replay->continued_records;
        }
    }
    replay->limit = limit;
    return code;
}

/* The newest file takes more when it is whole. A torn end is cut off in any case: in an older file it
 * would count as damage. */
static bool can_go_on(struct log_file *file, bool damaged) {
    uint64_t size = 0;
    const bool whole = file->end >= RECORD_FILE_HEADER_BYTES &&
                       vfs_file_size(file->f, &size, NULL) == ERR_OK &&
                       (size == file->end || vfs_file_truncate(file->f, file->end, NULL) == ERR_OK);
    return whole && !damaged;
}

struct keeping {
    struct buf *list;
    uint32_t first;
    uint32_t limit;
};

static enum err_code keep_payload(void *ctx, const struct record_view *record, uint64_t *out_extra,
                                  struct err *err) {
    struct keeping *keeping = ctx;
    uint8_t size[sizeof(uint32_t)];
    (void)out_extra;
    if (record->type == RECORD_BATCH && record->number >= keeping->first &&
        record->number < keeping->limit) {
        put_u32(size, record->size);
        buf_append(keeping->list, size, sizeof(size));
        buf_append(keeping->list, record->payload, record->size);
    }
    return buf_ok(keeping->list) ? ERR_OK
                                 : err_set(err, ERR_LIMIT, "series log is too large to be copied");
}

/* Whether the last process synced a file is not known. When that fails now, all that counts of it goes
 * to a fresh file (L2), and all that counts of the files behind it: of two definitions the later one
 * counts, so their order must stay. */
static enum err_code sync_found(struct series_log *log, struct log_file *file,
                                const struct replay *replay, const struct record_scan_options *scan,
                                struct err *err) {
    struct record_scan_stats stats = {0};
    struct record_scan_options again = *scan;
    struct keeping keeping = {&log->unsynced, replay->first, replay->limit};
    uint64_t end = 0;
    uint32_t next = 0;
    if (!log->failed && vfs_file_sync(file->f, NULL) == ERR_OK) {
        return ERR_OK;
    }
    again.damage = NULL;
    again.quarantine_dir = NULL;
    file->synced = 0;
    log->failed = true;
    log->stats.syncs_failed++;
    return record_scan(file->f, &again, keep_payload, &keeping, &end, &next, &stats, err);
}

static enum err_code open_file(struct series_log *log, const struct series_log_options *options,
                               uint32_t number, bool newest, struct replay *replay,
                               struct record_scan_stats *stats, struct err *err) {
    struct log_file *file = file_new(log, number);
    const struct record_scan_options scan = {
        .id = {SERIES_MAGIC, 0, number},
        .path = file->path,
        .quarantine_dir = options->quarantine_dir,
        .vfs = log->vfs,
        .read_ahead_bytes = SCAN_READ_BYTES,
        .closed = !newest,
        .damage = options->damage,
        .damage_ctx = options->damage_ctx,
    };
    const uint64_t damage_before = stats->damaged_records;
    enum err_code code = read_continue(log, number, replay, err);
    if (code != ERR_OK) {
        file_free(file);
        return code;
    }
    /* The older file counts whole then. To define its first groups once more, behind its last ones,
     * would empty them. */
    file->continued_file = replay->continued_file;
    file->continued_records = replay->continued_records;
    replay->first = replay->copies != 0 ? replay->copies_end : 0;
    code = vfs_open(log->vfs, file->path, newest ? VFS_WRITE : VFS_READ, &file->f, err);
    if (code == ERR_OK) {
        code =
            record_scan(file->f, &scan, replay_record, replay, &file->end, &file->next, stats, err);
    }
    if (code != ERR_OK) {
        file_free(file);
        return err_wrap(err, "opening series log file %" PRIu32 " of %s", number, log->dir);
    }
    file->synced = file->next;
    file->synced_end = file->end;
    if (newest) {
        log->fresh =
            replay->copies != 0 || !can_go_on(file, stats->damaged_records > damage_before);
    }
    code = code == ERR_OK ? sync_found(log, file, replay, &scan, err) : code;
    file->older = log->file;
    log->file = file;
    return code;
}

static enum err_code peek_image(void *ctx, const struct record_view *record, uint64_t *out_extra,
                                struct err *err) {
    (void)out_extra;
    *(bool *)ctx = record->number == 0 && record->type == RECORD_IMAGE;
    return err_set(err, ERR_CANCELED, "seen enough");
}

static enum err_code is_image(const struct series_log *log, uint32_t number, bool *out,
                              struct err *err) {
    struct log_file *file = file_new(log, number);
    const struct record_scan_options scan = {
        .id = {SERIES_MAGIC, 0, number}, .path = file->path, .read_ahead_bytes = 4096};
    *out = false;
    const enum err_code code = peek(log, file, &scan, peek_image, out, err);
    file_free(file);
    return code;
}

/* Removes the files before the newest image; the index of the first that counts. */
static enum err_code drop_replaced(const struct series_log *log, const uint32_t *numbers,
                                   size_t count, size_t *out_first, struct err *err) {
    size_t first = count;
    enum err_code code = ERR_OK;
    for (bool image = false; first > 0 && !image && code == ERR_OK;) {
        first--;
        code = is_image(log, numbers[first], &image, err);
    }
    *out_first = first;
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; i < first; i++) {
        char *path = record_file_path(log->dir, numbers[i]);
        (void)!vfs_unlink(log->vfs, path, NULL);
        mem_free(path);
    }
    return ERR_OK;
}

static enum err_code open_files(struct series_log *log, const struct series_log_options *options,
                                struct replay *replay, struct record_scan_stats *stats,
                                struct err *err) {
    uint32_t *numbers = NULL;
    size_t count = 0;
    enum err_code code = vfs_make_dir(log->vfs, log->dir, err);
    if (code == ERR_OK) {
        code = record_file_list(log->vfs, log->dir, &numbers, &count, err);
    }
    size_t first = 0;
    if (code == ERR_OK) {
        code = drop_replaced(log, numbers, count, &first, err);
    }
    for (size_t i = first; i < count && code == ERR_OK; i++) {
        if (numbers[i] == UINT32_MAX) {
            code = err_set(err, ERR_CORRUPT, "%s has a file with an impossible number", log->dir);
            break;
        }
        code = find_limit(log, numbers + i, count - i, replay, err);
        code = code == ERR_OK
                   ? open_file(log, options, numbers[i], i + 1 == count, replay, stats, err)
                   : code;
        log->next_file = numbers[i] + 1;
    }
    mem_free(numbers);
    return code;
}

enum err_code series_log_open(const struct series_log_options *options,
                              const struct series_log_handler *handler, void *ctx,
                              struct series_log **out, struct record_scan_stats *out_stats,
                              struct err *err) {
    struct series_log *log = mem_zalloc(sizeof(*log));
    struct record_scan_stats stats = {0};
    struct replay replay = {.handler = handler, .ctx = ctx, .next = {1, 1, 1, 1, 1}};
    log->vfs = options->vfs;
    log->dir = mem_strdup(options->dir);
    log->next_file = 1;
    log->fresh = true;
    buf_init(&log->unsynced, 2 * (size_t)BATCH_BYTES_MAX);
    buf_init(&log->frame, 3 * (size_t)BATCH_BYTES_MAX);
    mutex_init(&log->mu);
    const enum err_code code = open_files(log, options, &replay, &stats, err);
    if (code != ERR_OK) {
        series_log_close(log);
        return code;
    }
    log->next = replay.next;
    *out = log;
    if (out_stats != NULL) {
        *out_stats = stats;
    }
    return ERR_OK;
}

void series_log_close(struct series_log *log) {
    if (log == NULL) {
        return;
    }
    while (log->file != NULL) {
        struct log_file *older = log->file->older;
        file_free(log->file);
        log->file = older;
    }
    buf_release(&log->unsynced);
    buf_release(&log->frame);
    mem_free(log->dir);
    mutex_release(&log->mu);
    mem_free(log);
}
