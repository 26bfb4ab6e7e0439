/* Writes a new file front to back through a buffer. One thread. */
#ifndef TSDB_FILE_APPENDER_H
#define TSDB_FILE_APPENDER_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/vfs.h"

/* Appends go to pending; file_appender_flow writes it out from time to time. */
struct file_appender {
    struct vfs_file *file;
    uint64_t written;
    struct buf pending;
};

/* Until file_appender_end. ERR_EXISTS: it is there. */
MUST_CHECK enum err_code file_appender_begin(struct file_appender *f, struct vfs *vfs,
                                             const char *path, struct err *err);
static inline uint64_t file_appender_offset(const struct file_appender *f) {
    return f->written + f->pending.len;
}
/* To be called behind each item of at most 64 MiB. */
MUST_CHECK enum err_code file_appender_flow(struct file_appender *f, struct err *err);
/* Writes and syncs what is left. */
MUST_CHECK enum err_code file_appender_sync(struct file_appender *f, struct err *err);
void file_appender_end(struct file_appender *f);

#endif
