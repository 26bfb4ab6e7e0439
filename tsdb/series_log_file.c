/* Files of the series log: their names and what is written to them. */
#include "tsdb/series_log_file.h"

#include <string.h>

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
    if (file == NULL) {
        return;
    }
    vfs_file_close(file->f);
    mem_free(file->path);
    mem_free(file);
}

/* One payload behind a head, which may be empty; false: there is no room, the caller asks buf_ok. */
static bool frame_one(struct series_copy_queue *waiting, struct series_framer *to, uint8_t type,
                      const uint8_t *head, uint32_t head_bytes, const uint8_t *payload,
                      uint32_t size) {
    uint8_t *at = (uint8_t *)buf_reserve(to->to, RECORD_HEADER_BYTES + (size_t)head_bytes + size);
    if (at == NULL) {
        return false;
    }
    if (head_bytes != 0) {
        memcpy(at + RECORD_HEADER_BYTES, head, head_bytes);
        memcpy(at + RECORD_HEADER_BYTES + head_bytes, payload, size);
        payload = at + RECORD_HEADER_BYTES;
    }
    record_write(at, to->seed, type, to->number, payload, head_bytes + size);
    to->to->len += RECORD_HEADER_BYTES + (size_t)head_bytes + size;
    series_copy_queue_add(waiting, to->number++, to->base + to->to->len, payload + head_bytes,
                          size);
    return true;
}

void series_log_frame(struct series_copy_queue *waiting, struct series_framer *to,
                      const uint8_t *list, size_t list_bytes, bool copies) {
    for (size_t at = 0; at < list_bytes;) {
        const uint32_t size = load_u32(list + at);
        if (!frame_one(waiting, to, SERIES_RECORD_BATCH, NULL, 0, list + at + sizeof(uint32_t),
                       size)) {
            return;
        }
        if (copies) {
            series_copy_frame(waiting, to, false);
        }
        at += sizeof(uint32_t) + size;
    }
}

void series_log_frame_carried(struct series_copy_queue *waiting, struct series_framer *to,
                              const uint8_t head[CONTINUE_BYTES], const uint8_t *list,
                              size_t list_bytes) {
    for (size_t at = 0; at < list_bytes;) {
        const uint32_t size = load_u32(list + at);
        if (!frame_one(waiting, to, SERIES_RECORD_CARRIED, head, CONTINUE_BYTES,
                       list + at + sizeof(uint32_t), size)) {
            return;
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
