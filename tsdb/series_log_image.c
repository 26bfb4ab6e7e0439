/* An image of what lives takes the place of the series log. */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "tsdb/series_batch.h"
#include "tsdb/series_log_file.h"

/* Writes the records of the image to the file. */
static enum err_code write_image(struct log_file *file, const struct buf *list, struct err *err) {
    const struct record_file_id id = {SERIES_MAGIC, 0, file->number};
    struct buf out;
    buf_init(&out, 2 * SCAN_READ_BYTES + RECORD_HEADER_BYTES + ((size_t)1 << 24));
    record_file_header((uint8_t *)buf_reserve(&out, RECORD_FILE_HEADER_BYTES), &id);
    out.len += RECORD_FILE_HEADER_BYTES;
    record_write((uint8_t *)buf_reserve(&out, RECORD_HEADER_BYTES), file->seed, SERIES_RECORD_IMAGE,
                 file->next++, NULL, 0);
    out.len += RECORD_HEADER_BYTES;
    struct series_copy_queue copies;
    series_copy_queue_init(&copies);
    struct series_framer framer = {.to = &out, .seed = file->seed, .number = file->next};
    enum err_code code = ERR_OK;
    for (size_t at = 0; code == ERR_OK && (at < list->len || out.len != 0);) {
        if (at < list->len && out.len < SCAN_READ_BYTES) {
            const size_t bytes = sizeof(uint32_t) + load_u32((const uint8_t *)list->ptr + at);
            series_log_frame(&copies, &framer, (const uint8_t *)list->ptr + at, bytes, true);
            at += bytes;
            if (at == list->len) {
                series_copy_frame(&copies, &framer, true);
            }
            ASSERT(buf_ok(&out));
        } else {
            code = vfs_file_pwrite(file->f, out.ptr, out.len, file->end, err);
            file->end += out.len;
            framer.base = file->end;
            buf_clear(&out);
        }
    }
    file->next = framer.number;
    series_copy_queue_release(&copies);
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
    series_log_drop_older(log);
    log->failed = false;
    log->fresh = false;
    log->next = next;
    series_copy_queue_clear(&log->copies); /* the image has them */
    log->filler_bytes = SERIES_COPY_DISTANCE;
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
    struct log_file *file = NULL;
    uint32_t number = 0; /* also when it fails it is gone: the name may be there after all */
    code = code != ERR_OK ? code : record_file_take_number(&log->next_file, log->dir, &number, err);
    if (code == ERR_OK) {
        file = series_log_file_new(log, number);
        code = make_image(log, file, &list, err);
    }
    if (code == ERR_OK) {
        use_image_locked(log, file, next);
    } else {
        log->stats.writes_failed++;
        series_log_file_free(file);
    }
    mutex_unlock(&log->mu);
    buf_release(&list);
    return code;
}
