/* Series log.
 *
 * FORMAT. Record files (record_file.c) with magic "BRASASER", shard 0. Types of records:
 *
 *   1  A batch of definitions (series_batch.c).
 *   2  Only as the first of a file: u32 file, u32 records, u32 copies. Of that older file only so many
 *      records count, for what followed stands in this file or never was; files between the two do not
 *      count. That holds once so many records behind it, the copies of what followed (type 6), are
 *      intact: a file that was cut short while it began takes nothing away. Behind that, what older
 *      files say in theirs: u32 of which file, u32 of which it says it (0, by an image: of all), u32
 *      records; so a file that is gone does not leave void records of the one before it to count.
 *   3  Only as the first of a file: an image. Older files do not count any more. Such a file gets its
 *      name when all of it is durable.
 *   4  A copy of an earlier record of type 1 (series_log_copy.h).
 *   5  Filler before it.
 *   6  One of the copies that a record of type 2 tells of: what that says, then the payload of type 1.
 *      So no part of such a file passes for new definitions when its beginning is lost.
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
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "tsdb/series_batch.h"
#include "tsdb/series_log_file.h"

/* ---- beginning files ---- */

static uint32_t count_payloads(const struct buf *list) {
    uint32_t count = 0;
    for (size_t at = 0; at < list->len; count++) {
        at += sizeof(uint32_t) + load_u32((const uint8_t *)list->ptr + at);
    }
    return count;
}

/* The payload of the record of type 2 of a file that follows the newest; its size. */
static uint32_t put_continue(const struct series_log *log, const struct log_file *file,
                             uint8_t to[CONTINUE_BYTES + CLAIMS_MAX * CLAIM_BYTES]) {
    uint8_t *at = put_u32(to, file->continued_file);
    at = put_u32(put_u32(at, file->continued_records), count_payloads(&log->unsynced));
    uint32_t claims = 0;
    for (const struct log_file *f = log->file; f != NULL && claims < CLAIMS_MAX; f = f->older) {
        if (f->continued_file != 0 || f->is_image) {
            at = put_u32(put_u32(put_u32(at, f->number), f->continued_file), f->continued_records);
            claims++;
        }
    }
    return (uint32_t)(at - to);
}

/* The content of a fresh file: header, what it replaces, and all that is not durable. */
static enum err_code frame_file(struct series_log *log, struct log_file *file, struct err *err) {
    const struct record_file_id id = {SERIES_MAGIC, 0, file->number};
    uint8_t header[RECORD_FILE_HEADER_BYTES];
    record_file_header(header, &id);
    buf_clear(&log->frame);
    buf_append(&log->frame, header, sizeof(header));
    uint8_t payload[CONTINUE_BYTES + CLAIMS_MAX * CLAIM_BYTES];
    const bool continues = log->file != NULL;
    if (continues) {
        uint8_t record[RECORD_HEADER_BYTES + sizeof(payload)];
        const struct log_file *older = log->file;
        const bool is_void = older->synced == 0 && older->continued_file != 0; /* L5 */
        file->continued_file = is_void ? older->continued_file : older->number;
        file->continued_records = is_void ? older->continued_records : older->synced;
        const uint32_t size = put_continue(log, file, payload);
        record_write(record, file->seed, SERIES_RECORD_CONTINUE, file->next++, payload, size);
        buf_append(&log->frame, record, RECORD_HEADER_BYTES + size);
    }
    struct series_framer framer = {.to = &log->frame, .seed = file->seed, .number = file->next};
    series_copy_queue_clear(&log->copies);
    const uint8_t *unsynced = (const uint8_t *)log->unsynced.ptr;
    if (continues) {
        series_log_frame_carried(&log->copies, &framer, payload, unsynced, log->unsynced.len);
    } else {
        series_log_frame(&log->copies, &framer, unsynced, log->unsynced.len, false);
    }
    series_copy_frame(&log->copies, &framer, false);
    log->filler_bytes = 0;
    file->next = framer.number;
    file->end = log->frame.len;
    return buf_ok(&log->frame) ? ERR_OK
                               : err_set(err, ERR_LIMIT, "series log %s is too large", log->dir);
}

/* Begins a fresh file; on success the log is no longer failed. */
static enum err_code begin_file_locked(struct series_log *log, struct err *err) REQUIRES(&log->mu) {
    uint32_t number = 0;
    enum err_code code = record_file_take_number(&log->next_file, log->dir, &number, err);
    if (code != ERR_OK) {
        log->stats.writes_failed++;
        return err_wrap(err, "beginning a series log file");
    }
    struct log_file *file = series_log_file_new(log, number);
    code = frame_file(log, file, err);
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
        series_log_file_free(file);
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
    struct series_framer framer = {
        .to = &log->frame, .base = file->end, .seed = file->seed, .number = file->next};
    series_log_frame(&log->copies, &framer, (const uint8_t *)list->ptr, list->len, true);
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
    file->next = framer.number;
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

/* All is durable and nothing new came: records whose copies wait get them now, if filler is cheap. A
 * failure costs the file, no definition. */
static void write_waiting_locked(struct series_log *log) REQUIRES(&log->mu) {
    struct log_file *file = log->file;
    const uint64_t filler = series_copy_filler(&log->copies, file->end);
    const uint64_t spent = log->filler_bytes;
    if (series_copy_queue_empty(&log->copies) || log->failed || log->fresh ||
        (spent != 0 && spent + filler > file->end / FILLER_SHARE)) {
        return;
    }
    struct series_framer framer = {
        .to = &log->frame, .base = file->end, .seed = file->seed, .number = file->next};
    buf_clear(&log->frame);
    series_copy_frame(&log->copies, &framer, true);
    ASSERT(buf_ok(&log->frame));
    if (vfs_file_pwrite(file->f, log->frame.ptr, log->frame.len, file->end, NULL) != ERR_OK) {
        log->failed = true;
        log->stats.writes_failed++;
        return;
    }
    log->filler_bytes += filler;
    file->next = framer.number;
    file->end += log->frame.len;
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
    if (code == ERR_OK && mark.file != NULL && mark.reached) {
        write_waiting_locked(log);
    }
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
    series_log_drop_older(log);
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

void series_log_close(struct series_log *log) {
    if (log == NULL) {
        return;
    }
    while (log->file != NULL) {
        struct log_file *older = log->file->older;
        series_log_file_free(log->file);
        log->file = older;
    }
    buf_release(&log->unsynced);
    buf_release(&log->frame);
    series_copy_queue_release(&log->copies);
    mem_free(log->dir);
    mutex_release(&log->mu);
    mem_free(log);
}
