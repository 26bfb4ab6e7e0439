#include "tests/support/fault_vfs.h"

#include <string.h>

#include "base/mem.h"
#include "base/mutex.h"

struct fault_vfs {
    struct vfs base;
    struct vfs *inner;
    struct mutex mu;
    /* guarded by mu */
    struct fault_plan plan;
    size_t call_count;
    size_t failure_count;
    size_t repeated_sync_count;
};

struct fault_file {
    struct vfs_file base;
    struct fault_vfs *f;
    struct vfs_file *inner;
    bool sync_failed; /* guarded by f->mu */
    char *path;
};

/* The errno to fail with, or 0. */
static int next_fault(struct fault_vfs *f, enum fault_op op) {
    int sys_errno = 0;
    mutex_lock(&f->mu);
    if ((f->plan.ops & (unsigned)op) != 0) {
        const size_t call = f->call_count++;
        if (call == f->plan.after || (f->plan.sticky && call > f->plan.after)) {
            f->failure_count++;
            sys_errno = f->plan.sys_errno;
        }
    }
    mutex_unlock(&f->mu);
    return sys_errno;
}

static struct fault_vfs *vfs_of(struct vfs *vfs) {
    return (struct fault_vfs *)vfs;
}

static struct fault_file *file_of(struct vfs_file *f) {
    return (struct fault_file *)f;
}

static enum err_code injected(struct err *err, int sys_errno, const char *call, const char *path) {
    struct err text;
    const enum err_code code = err_set_errno(&text, sys_errno, "%s %s (injected)", call, path);
    if (err != NULL) {
        *err = text;
    }
    return code;
}

static enum err_code fault_pread(struct vfs_file *f, void *to, size_t n, uint64_t offset,
                                 size_t *out_read, struct err *err) {
    struct fault_file *file = file_of(f);
    const int sys_errno = next_fault(file->f, FAULT_READ);
    return sys_errno != 0 ? injected(err, sys_errno, "read", file->path)
                          : file->inner->ops->pread(file->inner, to, n, offset, out_read, err);
}

static enum err_code fault_pwrite(struct vfs_file *f, const void *from, size_t n, uint64_t offset,
                                  struct err *err) {
    struct fault_file *file = file_of(f);
    const int sys_errno = next_fault(file->f, FAULT_WRITE);
    if (sys_errno == 0) {
        return vfs_file_pwrite(file->inner, from, n, offset, err);
    }
    mutex_lock(&file->f->mu);
    const bool short_write = file->f->plan.short_write;
    mutex_unlock(&file->f->mu);
    if (short_write && n > 1) {
        const enum err_code code = vfs_file_pwrite(file->inner, from, n / 2, offset, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return injected(err, sys_errno, "write", file->path);
}

static enum err_code fault_sync(struct vfs_file *f, struct err *err) {
    struct fault_file *file = file_of(f);
    mutex_lock(&file->f->mu);
    file->f->repeated_sync_count += file->sync_failed ? 1 : 0;
    mutex_unlock(&file->f->mu);
    const int sys_errno = next_fault(file->f, FAULT_SYNC);
    const enum err_code code = sys_errno != 0 ? injected(err, sys_errno, "sync", file->path)
                                              : vfs_file_sync(file->inner, err);
    if (code != ERR_OK) {
        mutex_lock(&file->f->mu);
        file->sync_failed = true;
        mutex_unlock(&file->f->mu);
    }
    return code;
}

static enum err_code fault_truncate(struct vfs_file *f, uint64_t size, struct err *err) {
    struct fault_file *file = file_of(f);
    const int sys_errno = next_fault(file->f, FAULT_TRUNCATE);
    return sys_errno != 0 ? injected(err, sys_errno, "truncate", file->path)
                          : vfs_file_truncate(file->inner, size, err);
}

static enum err_code fault_allocate(struct vfs_file *f, uint64_t size, struct err *err) {
    struct fault_file *file = file_of(f);
    const int sys_errno = next_fault(file->f, FAULT_ALLOCATE);
    return sys_errno != 0 ? injected(err, sys_errno, "allocate", file->path)
                          : vfs_file_allocate(file->inner, size, err);
}

static enum err_code fault_size(struct vfs_file *f, uint64_t *out, struct err *err) {
    struct fault_file *file = file_of(f);
    const int sys_errno = next_fault(file->f, FAULT_SIZE);
    return sys_errno != 0 ? injected(err, sys_errno, "stat", file->path)
                          : vfs_file_size(file->inner, out, err);
}

static void fault_drop_cache(struct vfs_file *f, uint64_t offset, uint64_t n) {
    vfs_file_drop_cache(file_of(f)->inner, offset, n);
}

static void fault_close(struct vfs_file *f) {
    struct fault_file *file = file_of(f);
    vfs_file_close(file->inner);
    mem_free(file->path);
    mem_free(file);
}

static struct vfs_file *wrap_file(struct fault_vfs *f, struct vfs_file *inner, const char *path) {
    static const struct vfs_file_ops ops = {
        .pread = fault_pread,
        .pwrite = fault_pwrite,
        .sync = fault_sync,
        .truncate = fault_truncate,
        .allocate = fault_allocate,
        .size = fault_size,
        .drop_cache = fault_drop_cache,
        .close = fault_close,
    };
    struct fault_file *file = mem_zalloc(sizeof(*file));
    file->base.ops = &ops;
    file->f = f;
    file->inner = inner;
    file->path = mem_strdup(path);
    return &file->base;
}

static enum err_code fault_open(struct vfs *vfs, const char *path, unsigned flags,
                                struct vfs_file **out, struct err *err) {
    struct fault_vfs *f = vfs_of(vfs);
    const int sys_errno = next_fault(f, FAULT_OPEN);
    struct vfs_file *inner = NULL;
    const enum err_code code = sys_errno != 0 ? injected(err, sys_errno, "open", path)
                                              : vfs_open(f->inner, path, flags, &inner, err);
    if (code == ERR_OK) {
        *out = wrap_file(f, inner, path);
    }
    return code;
}

static enum err_code fault_lock(struct vfs *vfs, const char *path, struct vfs_file **out,
                                struct err *err) {
    struct fault_vfs *f = vfs_of(vfs);
    const int sys_errno = next_fault(f, FAULT_LOCK);
    struct vfs_file *inner = NULL;
    const enum err_code code = sys_errno != 0 ? injected(err, sys_errno, "lock", path)
                                              : vfs_lock(f->inner, path, &inner, err);
    if (code == ERR_OK) {
        *out = wrap_file(f, inner, path);
    }
    return code;
}

static enum err_code fault_stat(struct vfs *vfs, const char *path, struct vfs_stat *out,
                                struct err *err) {
    const int sys_errno = next_fault(vfs_of(vfs), FAULT_STAT);
    return sys_errno != 0 ? injected(err, sys_errno, "stat", path)
                          : vfs_stat(vfs_of(vfs)->inner, path, out, err);
}

static enum err_code fault_list(struct vfs *vfs, const char *path, vfs_list_fn *fn, void *ctx,
                                struct err *err) {
    const int sys_errno = next_fault(vfs_of(vfs), FAULT_LIST);
    return sys_errno != 0 ? injected(err, sys_errno, "list", path)
                          : vfs_list(vfs_of(vfs)->inner, path, fn, ctx, err);
}

static enum err_code fault_mkdir(struct vfs *vfs, const char *path, struct err *err) {
    const int sys_errno = next_fault(vfs_of(vfs), FAULT_MKDIR);
    return sys_errno != 0 ? injected(err, sys_errno, "mkdir", path)
                          : vfs_mkdir(vfs_of(vfs)->inner, path, err);
}

static enum err_code fault_rename(struct vfs *vfs, const char *from, const char *to,
                                  struct err *err) {
    const int sys_errno = next_fault(vfs_of(vfs), FAULT_RENAME);
    return sys_errno != 0 ? injected(err, sys_errno, "rename", from)
                          : vfs_rename(vfs_of(vfs)->inner, from, to, err);
}

static enum err_code fault_unlink(struct vfs *vfs, const char *path, struct err *err) {
    const int sys_errno = next_fault(vfs_of(vfs), FAULT_UNLINK);
    return sys_errno != 0 ? injected(err, sys_errno, "unlink", path)
                          : vfs_unlink(vfs_of(vfs)->inner, path, err);
}

static enum err_code fault_rmdir(struct vfs *vfs, const char *path, struct err *err) {
    const int sys_errno = next_fault(vfs_of(vfs), FAULT_RMDIR);
    return sys_errno != 0 ? injected(err, sys_errno, "rmdir", path)
                          : vfs_rmdir(vfs_of(vfs)->inner, path, err);
}

static enum err_code fault_link(struct vfs *vfs, const char *from, const char *to,
                                struct err *err) {
    const int sys_errno = next_fault(vfs_of(vfs), FAULT_LINK);
    return sys_errno != 0 ? injected(err, sys_errno, "link", to)
                          : vfs_link(vfs_of(vfs)->inner, from, to, err);
}

static enum err_code fault_sync_dir(struct vfs *vfs, const char *path, struct err *err) {
    const int sys_errno = next_fault(vfs_of(vfs), FAULT_SYNC_DIR);
    return sys_errno != 0 ? injected(err, sys_errno, "sync", path)
                          : vfs_sync_dir(vfs_of(vfs)->inner, path, err);
}

static enum err_code fault_free_bytes(struct vfs *vfs, const char *path, uint64_t *out,
                                      struct err *err) {
    const int sys_errno = next_fault(vfs_of(vfs), FAULT_FREE_BYTES);
    return sys_errno != 0 ? injected(err, sys_errno, "statvfs", path)
                          : vfs_free_bytes(vfs_of(vfs)->inner, path, out, err);
}

struct fault_vfs *fault_vfs_new(struct vfs *inner) {
    static const struct vfs_ops ops = {
        .open = fault_open,
        .stat = fault_stat,
        .list = fault_list,
        .mkdir = fault_mkdir,
        .rename = fault_rename,
        .unlink = fault_unlink,
        .rmdir = fault_rmdir,
        .link = fault_link,
        .sync_dir = fault_sync_dir,
        .lock = fault_lock,
        .free_bytes = fault_free_bytes,
    };
    struct fault_vfs *f = mem_zalloc(sizeof(*f));
    f->base.ops = &ops;
    f->inner = inner;
    mutex_init(&f->mu);
    return f;
}

void fault_vfs_free(struct fault_vfs *f) {
    if (f != NULL) {
        mutex_release(&f->mu);
        mem_free(f);
    }
}

struct vfs *fault_vfs_base(struct fault_vfs *f) {
    return &f->base;
}

void fault_vfs_plan(struct fault_vfs *f, struct fault_plan plan) {
    mutex_lock(&f->mu);
    f->plan = plan;
    f->call_count = 0;
    f->failure_count = 0;
    mutex_unlock(&f->mu);
}

static size_t read_count(struct fault_vfs *f, const size_t *count) {
    mutex_lock(&f->mu);
    const size_t value = *count;
    mutex_unlock(&f->mu);
    return value;
}

size_t fault_vfs_calls(struct fault_vfs *f) {
    return read_count(f, &f->call_count);
}

size_t fault_vfs_failures(struct fault_vfs *f) {
    return read_count(f, &f->failure_count);
}

size_t fault_vfs_repeated_syncs(struct fault_vfs *f) {
    return read_count(f, &f->repeated_sync_count);
}
