/* Files of the series log: their names and what is written to them. */
#include "tsdb/series_log_file.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"

struct log_file *series_log_file_new(const struct series_log *log, uint32_t number) {
    const struct record_file_id id = {SERIES_MAGIC, 0, number};
    struct log_file *file = mem_zalloc(sizeof(*file));
    file->number = number;
    file->seed = record_file_seed(&id);
    file->path = record_file_path(log->dir, number);
    return file;
}

void series_log_file_free(struct log_file *file) {
    vfs_file_close(file->f);
    mem_free(file->path);
    mem_free(file);
}

void series_log_frame(struct series_copy_queue *waiting, struct series_framer *to,
                      const uint8_t *list, size_t list_bytes, bool copies) {
    for (size_t at = 0; at < list_bytes;) {
        const uint32_t size = load_u32(list + at);
        uint8_t *record = (uint8_t *)buf_reserve(to->to, RECORD_HEADER_BYTES + (size_t)size);
        if (record == NULL) {
            return; /* the caller asks buf_ok */
        }
        const uint8_t *payload = list + at + sizeof(uint32_t);
        record_write(record, to->seed, SERIES_RECORD_BATCH, to->number, payload, size);
        to->to->len += RECORD_HEADER_BYTES + size;
        series_copy_queue_add(waiting, to->number++, to->base + to->to->len, payload, size);
        if (copies) {
            series_copy_frame(waiting, to, false);
        }
        at += sizeof(uint32_t) + size;
    }
}

void series_log_drop_older(struct series_log *log) {
    struct log_file *image = log->file;
    while (image != NULL && !image->is_image) {
        image = image->older;
    }
    const bool can = log->syncs_running == 0 && log->file != NULL && log->file->name_synced;
    while (image != NULL && can && image->older != NULL) {
        struct log_file *file = image->older;
        (void)!vfs_unlink(log->vfs, file->path, NULL);
        image->older = file->older;
        series_log_file_free(file);
    }
}
