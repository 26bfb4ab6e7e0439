#include "base/vfs_read_only.h"

static struct vfs *inner_of(struct vfs *vfs) {
    return ((struct vfs_read_only *)vfs)->inner;
}

static enum err_code refuse(struct err *err, const char *call, const char *path) {
    return err_set(err, ERR_UNSUPPORTED, "%s %s: opened for reading only", call, path);
}

static enum err_code read_only_open(struct vfs *vfs, const char *path, unsigned flags,
                                    struct vfs_file **out, struct err *err) {
    return (flags & VFS_EXCLUSIVE) != 0 ? refuse(err, "create", path)
                                        : vfs_open(inner_of(vfs), path, VFS_READ, out, err);
}

static enum err_code read_only_stat(struct vfs *vfs, const char *path, struct vfs_stat *out,
                                    struct err *err) {
    return vfs_stat(inner_of(vfs), path, out, err);
}

static enum err_code read_only_list(struct vfs *vfs, const char *path, vfs_list_fn *fn, void *ctx,
                                    struct err *err) {
    return vfs_list(inner_of(vfs), path, fn, ctx, err);
}

static enum err_code read_only_mkdir(struct vfs *vfs, const char *path, struct err *err) {
    struct vfs_stat st;
    return vfs_stat(inner_of(vfs), path, &st, err);
}

static enum err_code read_only_rename(struct vfs *vfs, const char *from, const char *to,
                                      struct err *err) {
    (void)vfs;
    (void)to;
    return refuse(err, "rename", from);
}

static enum err_code read_only_unlink(struct vfs *vfs, const char *path, struct err *err) {
    (void)vfs;
    return refuse(err, "unlink", path);
}

static enum err_code read_only_rmdir(struct vfs *vfs, const char *path, struct err *err) {
    (void)vfs;
    return refuse(err, "rmdir", path);
}

static enum err_code read_only_link(struct vfs *vfs, const char *from, const char *to,
                                    struct err *err) {
    (void)vfs;
    (void)from;
    return refuse(err, "link", to);
}

static enum err_code read_only_sync_dir(struct vfs *vfs, const char *path, struct err *err) {
    (void)vfs;
    (void)path;
    (void)err;
    return ERR_OK;
}

static enum err_code read_only_lock(struct vfs *vfs, const char *path, struct vfs_file **out,
                                    struct err *err) {
    (void)vfs;
    (void)out;
    return refuse(err, "lock", path);
}

static enum err_code read_only_free_bytes(struct vfs *vfs, const char *path, uint64_t *out,
                                          struct err *err) {
    return vfs_free_bytes(inner_of(vfs), path, out, err);
}

void vfs_read_only_init(struct vfs_read_only *v, struct vfs *inner) {
    static const struct vfs_ops ops = {
        .open = read_only_open,
        .stat = read_only_stat,
        .list = read_only_list,
        .mkdir = read_only_mkdir,
        .rename = read_only_rename,
        .unlink = read_only_unlink,
        .rmdir = read_only_rmdir,
        .link = read_only_link,
        .sync_dir = read_only_sync_dir,
        .lock = read_only_lock,
        .free_bytes = read_only_free_bytes,
    };
    *v = (struct vfs_read_only){.base.ops = &ops, .inner = inner};
}
