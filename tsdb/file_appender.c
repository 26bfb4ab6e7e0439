#include "tsdb/file_appender.h"

enum { FLOW_BYTES = 1 << 20, PENDING_BYTES_MAX = 256 << 20 };

enum err_code file_appender_begin(struct file_appender *f, struct vfs *vfs, const char *path,
                                  struct err *err) {
    *f = (struct file_appender){0};
    buf_init(&f->pending, PENDING_BYTES_MAX);
    return vfs_open(vfs, path, VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &f->file, err);
}

static enum err_code write_out(struct file_appender *f, struct err *err) {
    const struct str text = buf_str(&f->pending);
    if (!buf_ok(&f->pending)) {
        return err_set(err, ERR_LIMIT, "an entry of a file is too large");
    }
    const enum err_code code =
        text.len != 0 ? vfs_file_pwrite(f->file, text.ptr, text.len, f->written, err) : ERR_OK;
    f->written += text.len;
    buf_clear(&f->pending);
    return code;
}

enum err_code file_appender_flow(struct file_appender *f, struct err *err) {
    return f->pending.len >= FLOW_BYTES || !buf_ok(&f->pending) ? write_out(f, err) : ERR_OK;
}

enum err_code file_appender_sync(struct file_appender *f, struct err *err) {
    const enum err_code code = write_out(f, err);
    return code == ERR_OK ? vfs_file_sync(f->file, err) : code;
}

void file_appender_end(struct file_appender *f) {
    vfs_file_close(f->file);
    buf_release(&f->pending);
    f->file = NULL;
}
