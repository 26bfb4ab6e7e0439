#include "base/vfs.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { READ_CHUNK_MIN_BYTES = 4096 };

enum err_code vfs_open(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **out,
                       struct err *err) {
    return vfs->ops->open(vfs, path, flags, out, err);
}

enum err_code vfs_stat(struct vfs *vfs, const char *path, struct vfs_stat *out, struct err *err) {
    return vfs->ops->stat(vfs, path, out, err);
}

enum err_code vfs_list(struct vfs *vfs, const char *path, vfs_list_fn *fn, void *ctx,
                       struct err *err) {
    return vfs->ops->list(vfs, path, fn, ctx, err);
}

enum err_code vfs_mkdir(struct vfs *vfs, const char *path, struct err *err) {
    return vfs->ops->mkdir(vfs, path, err);
}

enum err_code vfs_rename(struct vfs *vfs, const char *from, const char *to, struct err *err) {
    return vfs->ops->rename(vfs, from, to, err);
}

enum err_code vfs_unlink(struct vfs *vfs, const char *path, struct err *err) {
    return vfs->ops->unlink(vfs, path, err);
}

enum err_code vfs_rmdir(struct vfs *vfs, const char *path, struct err *err) {
    return vfs->ops->rmdir(vfs, path, err);
}

enum err_code vfs_link(struct vfs *vfs, const char *from, const char *to, struct err *err) {
    return vfs->ops->link(vfs, from, to, err);
}

enum err_code vfs_sync_dir(struct vfs *vfs, const char *path, struct err *err) {
    return vfs->ops->sync_dir(vfs, path, err);
}

enum err_code vfs_lock(struct vfs *vfs, const char *path, struct vfs_file **out, struct err *err) {
    return vfs->ops->lock(vfs, path, out, err);
}

enum err_code vfs_free_bytes(struct vfs *vfs, const char *path, uint64_t *out, struct err *err) {
    return vfs->ops->free_bytes(vfs, path, out, err);
}

enum err_code vfs_total_bytes(struct vfs *vfs, const char *path, uint64_t *out, struct err *err) {
    return vfs->ops->total_bytes != NULL
               ? vfs->ops->total_bytes(vfs, path, out, err)
               : err_set(err, ERR_UNSUPPORTED, "the size of the file system of %s is unknown",
                         path);
}

enum err_code vfs_file_pread(struct vfs_file *f, void *to, size_t n, uint64_t offset,
                             size_t *out_read, struct err *err) {
    size_t got = 0;
    const enum err_code code = f->ops->pread(f, to, n, offset, &got, err);
    if (code != ERR_OK) {
        return code;
    }
    if (out_read != NULL) {
        *out_read = got;
    } else if (got < n) {
        return err_set(err, ERR_CORRUPT, "file ends at byte %llu, %zu bytes wanted at %llu",
                       (unsigned long long)(offset + got), n, (unsigned long long)offset);
    }
    return ERR_OK;
}

enum err_code vfs_file_pwrite(struct vfs_file *f, const void *from, size_t n, uint64_t offset,
                              struct err *err) {
    return f->ops->pwrite(f, from, n, offset, err);
}

enum err_code vfs_file_sync(struct vfs_file *f, struct err *err) {
    return f->ops->sync(f, err);
}

enum err_code vfs_file_truncate(struct vfs_file *f, uint64_t size, struct err *err) {
    return f->ops->truncate(f, size, err);
}

enum err_code vfs_file_allocate(struct vfs_file *f, uint64_t size, struct err *err) {
    return f->ops->allocate(f, size, err);
}

enum err_code vfs_file_size(struct vfs_file *f, uint64_t *out, struct err *err) {
    return f->ops->size(f, out, err);
}

void vfs_file_drop_cache(struct vfs_file *f, uint64_t offset, uint64_t n) {
    f->ops->drop_cache(f, offset, n);
}

void vfs_file_close(struct vfs_file *f) {
    if (f != NULL) {
        f->ops->close(f);
    }
}

enum err_code vfs_view_open(struct vfs_file *f, size_t n, struct vfs_view *out, struct err *err) {
    const uint8_t *mapped = f->ops->map != NULL && n != 0 ? f->ops->map(f, n) : NULL;
    if (mapped != NULL) {
        *out = (struct vfs_view){mapped, n, f->ops->unmap};
        return ERR_OK;
    }
    uint8_t *bytes = mem_alloc(n == 0 ? 1 : n);
    const enum err_code code = vfs_file_pread(f, bytes, n, 0, NULL, err);
    if (code != ERR_OK) {
        mem_free(bytes);
        return code;
    }
    *out = (struct vfs_view){bytes, n, NULL};
    return ERR_OK;
}

void vfs_view_close(struct vfs_view *view) {
    if (view->unmap != NULL) {
        view->unmap(view->bytes, view->n);
    } else {
        mem_free((void *)(uintptr_t)view->bytes);
    }
    *view = (struct vfs_view){0};
}

/* The size is only a hint: files of /proc say 0, and others grow while they are read. */
static enum err_code read_to_end(struct vfs_file *f, const char *path, struct buf *to,
                                 struct err *err) {
    uint64_t hint = 0;
    enum err_code code = vfs_file_size(f, &hint, err);
    if (code != ERR_OK) {
        return code;
    }
    if (hint > to->max_bytes) {
        return err_set(err, ERR_LIMIT, "%s: %llu bytes, more than %zu", path,
                       (unsigned long long)hint, to->max_bytes);
    }
    size_t chunk = (size_t)hint + 1; /* one more, so that the end is seen by the first read */
    for (;;) {
        if (chunk < READ_CHUNK_MIN_BYTES) {
            chunk = READ_CHUNK_MIN_BYTES;
        }
        const size_t room = to->max_bytes - to->len;
        if (chunk > room) {
            chunk = room;
        }
        if (chunk == 0) { /* full: it must end here */
            char extra = 0;
            size_t got = 0;
            code = vfs_file_pread(f, &extra, 1, to->len, &got, err);
            if (code == ERR_OK && got > 0) {
                code = err_set(err, ERR_LIMIT, "%s: more than %zu bytes", path, to->max_bytes);
            }
            return code;
        }
        char *at = buf_reserve(to, chunk);
        size_t got = 0;
        code = vfs_file_pread(f, at, chunk, to->len, &got, err);
        if (code != ERR_OK) {
            return code;
        }
        to->len += got;
        if (got < chunk) {
            return ERR_OK;
        }
        chunk = to->len;
    }
}

enum err_code vfs_read_file(struct vfs *vfs, const char *path, size_t max_bytes, char **out,
                            size_t *out_len, struct err *err) {
    struct vfs_file *f = NULL;
    enum err_code code = vfs_open(vfs, path, VFS_READ, &f, err);
    if (code != ERR_OK) {
        return code;
    }
    struct buf content;
    buf_init(&content, max_bytes);
    code = read_to_end(f, path, &content, err);
    vfs_file_close(f);
    if (code == ERR_OK) {
        buf_append(&content, "", 0); /* the NUL */
        char *bytes = buf_take(&content, out_len);
        *out = bytes;
    }
    buf_release(&content);
    return code;
}

static enum err_code write_synced(struct vfs *vfs, const char *path, const void *bytes, size_t n,
                                  struct err *err) {
    struct vfs_file *f = NULL;
    enum err_code code = vfs_open(vfs, path, VFS_WRITE | VFS_CREATE | VFS_TRUNCATE, &f, err);
    if (code != ERR_OK) {
        return code;
    }
    code = n > 0 ? vfs_file_pwrite(f, bytes, n, 0, err) : ERR_OK;
    if (code == ERR_OK) {
        code = vfs_file_sync(f, err);
    }
    vfs_file_close(f);
    return code;
}

static char *folder_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        return mem_strdup(".");
    }
    return mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

enum err_code vfs_make_dir(struct vfs *vfs, const char *path, struct err *err) {
    char *folder = folder_of(path);
    enum err_code code = vfs_mkdir(vfs, path, err);
    if (code == ERR_OK) {
        code = vfs_sync_dir(vfs, folder, err);
    }
    if (code == ERR_OK) {
        code = vfs_sync_dir(vfs, path, err);
    }
    mem_free(folder);
    return code;
}

enum err_code vfs_replace_file(struct vfs *vfs, const char *path, const void *bytes, size_t n,
                               struct err *err) {
    const size_t path_len = strlen(path);
    char *temporary = mem_alloc(path_len + sizeof(".tmp"));
    memcpy(temporary, path, path_len);
    memcpy(temporary + path_len, ".tmp", sizeof(".tmp"));
    char *folder = folder_of(path);

    enum err_code code = write_synced(vfs, temporary, bytes, n, err);
    if (code == ERR_OK) {
        code = vfs_rename(vfs, temporary, path, err);
    }
    if (code == ERR_OK) {
        code = vfs_sync_dir(vfs, folder, err);
    } else if (vfs_unlink(vfs, temporary, NULL) != ERR_OK) {
        /* Left behind, and overwritten by the next attempt. */
    }
    mem_free(folder);
    mem_free(temporary);
    return code;
}
