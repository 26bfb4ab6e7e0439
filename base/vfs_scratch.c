/* Names of files and folders; their bytes are in vfs_scratch_file.c. */
#include "base/vfs_scratch_impl.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { NAMES_BYTES_MAX = 64 << 20 };

static struct vfs_scratch *scratch_of(struct vfs *vfs) {
    return (struct vfs_scratch *)vfs;
}

/* ---- the table ---- */

/* One slash between names, none at the end: callers join paths as they like. */
static char *tidy_path(const char *path) {
    char *out = mem_strdup(path);
    size_t n = 0;
    for (const char *p = path; *p != '\0'; p++) {
        if (*p != '/' || n == 0 || out[n - 1] != '/') {
            out[n++] = *p;
        }
    }
    n -= n > 1 && out[n - 1] == '/' ? 1 : 0;
    out[n] = '\0';
    return out;
}

/* Where the path is, or would be. */
static size_t place_of_locked(const struct vfs_scratch *v, const char *path, bool *out_there)
    REQUIRES(v->mu) {
    size_t low = 0;
    size_t high = v->count;
    *out_there = false;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(v->nodes[middle]->path, path);
        if (order == 0) {
            *out_there = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct scratch_node *find_locked(const struct vfs_scratch *v, const char *path)
    REQUIRES(v->mu) {
    bool is_there;
    const size_t at = place_of_locked(v, path, &is_there);
    return is_there ? v->nodes[at] : NULL;
}

/* Of a path that is not there; the node owns a copy of it. */
static struct scratch_node *insert_locked(struct vfs_scratch *v, const char *path, bool is_dir)
    REQUIRES(v->mu) {
    bool is_there;
    const size_t at = place_of_locked(v, path, &is_there);
    struct scratch_node *node = mem_zalloc(sizeof(*node));
    if (v->count == v->capacity) {
        v->capacity = mem_grow(v->capacity, v->count + 1);
        v->nodes = mem_resize(v->nodes, v->capacity, sizeof(struct scratch_node *));
    }
    memmove(v->nodes + at + 1, v->nodes + at, (v->count - at) * sizeof(struct scratch_node *));
    v->nodes[at] = node;
    v->count++;
    node->path = mem_strdup(path);
    node->is_dir = is_dir;
    return node;
}

static void remove_at_locked(struct vfs_scratch *v, size_t at) REQUIRES(v->mu) {
    struct scratch_node *node = v->nodes[at];
    v->count--;
    memmove(v->nodes + at, v->nodes + at + 1, (v->count - at) * sizeof(struct scratch_node *));
    mem_free(node->path);
    node->path = NULL;
    vfs_scratch_unused_locked(v, node);
}

/* What the path has behind the folder's and a slash; NULL: it is not in there. */
static const char *inside(const char *path, const char *dir) {
    const size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

static bool is_empty_locked(const struct vfs_scratch *v, const char *dir) REQUIRES(v->mu) {
    for (size_t i = 0; i < v->count; i++) {
        if (inside(v->nodes[i]->path, dir) != NULL) {
            return false;
        }
    }
    return true;
}

/* ---- names ---- */

static enum err_code missing(struct err *err, const char *call, const char *path) {
    return err_set(err, ERR_NOT_FOUND, "%s %s: No such file or directory", call, path);
}

/* Is there a folder for the path? What is at the top has one. */
static bool has_folder_locked(const struct vfs_scratch *v, const char *path) REQUIRES(v->mu) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) {
        return true;
    }
    char *dir = mem_strndup(path, (size_t)(slash - path));
    const struct scratch_node *node = find_locked(v, dir);
    mem_free(dir);
    return node != NULL && node->is_dir;
}

static enum err_code open_locked(struct vfs_scratch *v, const char *path, unsigned flags,
                                 struct vfs_file **out, struct err *err) REQUIRES(v->mu) {
    struct scratch_node *node = find_locked(v, path);
    if (node == NULL && ((flags & VFS_CREATE) == 0 || !has_folder_locked(v, path))) {
        return missing(err, "open", path);
    }
    if (node != NULL && (flags & VFS_EXCLUSIVE) != 0) {
        return err_set(err, ERR_EXISTS, "open %s: File exists", path);
    }
    if (node != NULL && node->is_dir) {
        return err_set(err, ERR_IO, "open %s: Is a directory", path);
    }
    node = node != NULL ? node : insert_locked(v, path, false);
    if ((flags & VFS_TRUNCATE) != 0) {
        vfs_scratch_cut(node, 0);
    }
    *out = vfs_scratch_open_node(v, node, (flags & VFS_WRITE) != 0);
    return ERR_OK;
}

static enum err_code scratch_open(struct vfs *vfs, const char *path, unsigned flags,
                                  struct vfs_file **out, struct err *err) {
    struct vfs_scratch *v = scratch_of(vfs);
    char *tidy = tidy_path(path);
    mutex_lock(&v->mu);
    const enum err_code code = open_locked(v, tidy, flags, out, err);
    mutex_unlock(&v->mu);
    mem_free(tidy);
    return code;
}

static enum err_code scratch_stat(struct vfs *vfs, const char *path, struct vfs_stat *out,
                                  struct err *err) {
    struct vfs_scratch *v = scratch_of(vfs);
    char *tidy = tidy_path(path);
    mutex_lock(&v->mu);
    const struct scratch_node *node = find_locked(v, tidy);
    if (node != NULL) {
        *out = (struct vfs_stat){node->size, node->mtime_ns, node->is_dir};
    }
    mutex_unlock(&v->mu);
    mem_free(tidy);
    return node != NULL ? ERR_OK : missing(err, "stat", path);
}

/* Names are copied: fn may change what is listed. */
static enum err_code scratch_list(struct vfs *vfs, const char *path, vfs_list_fn *fn, void *ctx,
                                  struct err *err) {
    struct vfs_scratch *v = scratch_of(vfs);
    char *tidy = tidy_path(path);
    struct buf names;
    buf_init(&names, NAMES_BYTES_MAX);
    mutex_lock(&v->mu);
    const struct scratch_node *dir = find_locked(v, tidy);
    const bool is_dir = dir != NULL && dir->is_dir;
    for (size_t i = 0; is_dir && i < v->count; i++) {
        const char *name = inside(v->nodes[i]->path, tidy);
        if (name != NULL && strchr(name, '/') == NULL) {
            buf_append(&names, name, strlen(name) + 1);
        }
    }
    mutex_unlock(&v->mu);
    mem_free(tidy);
    const bool failed = names.failed;
    for (size_t at = 0; !failed && at < names.len; at += strlen(names.ptr + at) + 1) {
        if (!fn(ctx, names.ptr + at)) {
            break;
        }
    }
    buf_release(&names);
    if (failed) {
        return err_set(err, ERR_LIMIT, "list %s: too many names", path);
    }
    return is_dir ? ERR_OK : missing(err, "open", path);
}

static enum err_code make_dir(struct vfs_scratch *v, const char *path, bool anywhere,
                              struct err *err) {
    enum err_code code = ERR_OK;
    char *tidy = tidy_path(path);
    mutex_lock(&v->mu);
    const struct scratch_node *node = find_locked(v, tidy);
    if (node != NULL) {
        code = node->is_dir ? ERR_OK : err_set(err, ERR_EXISTS, "mkdir %s: File exists", path);
    } else if (!anywhere && !has_folder_locked(v, tidy)) {
        code = missing(err, "mkdir", path);
    } else {
        (void)insert_locked(v, tidy, true);
    }
    mutex_unlock(&v->mu);
    mem_free(tidy);
    return code;
}

static enum err_code scratch_mkdir(struct vfs *vfs, const char *path, struct err *err) {
    return make_dir(scratch_of(vfs), path, false, err);
}

static int by_path(const void *a, const void *b) {
    return strcmp((*(struct scratch_node *const *)a)->path,
                  (*(struct scratch_node *const *)b)->path);
}

static enum err_code rename_locked(struct vfs_scratch *v, const char *from, const char *to,
                                   struct err *err) REQUIRES(v->mu) {
    bool is_there;
    const struct scratch_node *node = find_locked(v, from);
    const size_t target = place_of_locked(v, to, &is_there);
    if (node == NULL) {
        return missing(err, "rename", from);
    }
    if (is_there && v->nodes[target] == node) {
        return ERR_OK;
    }
    if (is_there && (v->nodes[target]->is_dir != node->is_dir || !is_empty_locked(v, to))) {
        return err_set(err, ERR_EXISTS, "rename %s: %s is in the way", from, to);
    }
    if (is_there) {
        remove_at_locked(v, target);
    }
    for (size_t i = 0; i < v->count; i++) {
        struct scratch_node *moved = v->nodes[i];
        const char *rest = inside(moved->path, from);
        if (rest != NULL || strcmp(moved->path, from) == 0) {
            struct buf path;
            buf_init(&path, SIZE_MAX);
            buf_append_cstr(&path, to);
            if (rest != NULL) {
                buf_append_cstr(&path, "/");
                buf_append_cstr(&path, rest);
            }
            mem_free(moved->path);
            moved->path = mem_strndup(path.ptr, path.len);
            buf_release(&path);
        }
    }
    qsort(v->nodes, v->count, sizeof(struct scratch_node *), by_path);
    return ERR_OK;
}

static enum err_code scratch_rename(struct vfs *vfs, const char *from, const char *to,
                                    struct err *err) {
    struct vfs_scratch *v = scratch_of(vfs);
    char *tidy_from = tidy_path(from);
    char *tidy_to = tidy_path(to);
    mutex_lock(&v->mu);
    const enum err_code code = rename_locked(v, tidy_from, tidy_to, err);
    mutex_unlock(&v->mu);
    mem_free(tidy_from);
    mem_free(tidy_to);
    return code;
}

static enum err_code remove_name(struct vfs *vfs, const char *path, bool is_dir, const char *call,
                                 struct err *err) {
    struct vfs_scratch *v = scratch_of(vfs);
    char *tidy = tidy_path(path);
    bool is_there;
    enum err_code code = ERR_OK;
    mutex_lock(&v->mu);
    const size_t at = place_of_locked(v, tidy, &is_there);
    if (!is_there) {
        code = missing(err, call, path);
    } else if (v->nodes[at]->is_dir != is_dir) {
        code = err_set(err, ERR_IO, "%s %s: %s", call, path,
                       is_dir ? "Not a directory" : "Is a directory");
    } else if (is_dir && !is_empty_locked(v, tidy)) {
        code = err_set(err, ERR_EXISTS, "%s %s: Directory not empty", call, path);
    } else {
        remove_at_locked(v, at);
    }
    mutex_unlock(&v->mu);
    mem_free(tidy);
    return code;
}

static enum err_code scratch_unlink(struct vfs *vfs, const char *path, struct err *err) {
    return remove_name(vfs, path, false, "unlink", err);
}

static enum err_code scratch_rmdir(struct vfs *vfs, const char *path, struct err *err) {
    return remove_name(vfs, path, true, "rmdir", err);
}

static enum err_code scratch_link(struct vfs *vfs, const char *from, const char *to,
                                  struct err *err) {
    (void)vfs;
    (void)from;
    return err_set(err, ERR_UNSUPPORTED, "link %s: opened for reading only", to);
}

static enum err_code scratch_sync_dir(struct vfs *vfs, const char *path, struct err *err) {
    struct vfs_stat st;
    const bool is_top =
        strcmp(path, ".") == 0 || strcmp(path, "/") == 0; /* has no name of its own */
    return is_top ? ERR_OK : scratch_stat(vfs, path, &st, err);
}

static enum err_code scratch_lock(struct vfs *vfs, const char *path, struct vfs_file **out,
                                  struct err *err) {
    struct vfs_scratch *v = scratch_of(vfs);
    struct vfs_file *f = NULL;
    char *tidy = tidy_path(path);
    mutex_lock(&v->mu);
    const struct scratch_node *node = find_locked(v, tidy);
    enum err_code code = node != NULL && node->is_locked
                             ? err_set(err, ERR_EXISTS, "lock %s: held by this process", path)
                             : open_locked(v, tidy, VFS_WRITE | VFS_CREATE, &f, err);
    if (code == ERR_OK) {
        ((struct scratch_file *)f)->is_lock = true;
        ((struct scratch_file *)f)->node->is_locked = true;
        *out = f;
    }
    mutex_unlock(&v->mu);
    mem_free(tidy);
    return code;
}

static enum err_code scratch_free_bytes(struct vfs *vfs, const char *path, uint64_t *out,
                                        struct err *err) {
    struct vfs_scratch *v = scratch_of(vfs);
    (void)path;
    (void)err;
    mutex_lock(&v->mu);
    *out = v->max_bytes - v->used_bytes;
    mutex_unlock(&v->mu);
    return ERR_OK;
}

/* ---- taking over, life ---- */

enum err_code vfs_scratch_add(struct vfs_scratch *v, const char *path, struct err *err) {
    struct vfs_file *below = NULL;
    struct vfs_stat stat;
    uint64_t size = 0;
    enum err_code code = vfs_stat(v->inner, path, &stat, err);
    if (code != ERR_OK || stat.is_dir) {
        return code == ERR_OK ? make_dir(v, path, true, err) : code;
    }
    code = vfs_open(v->inner, path, VFS_READ, &below, err);
    code = code == ERR_OK ? vfs_file_size(below, &size, err) : code;
    if (code != ERR_OK) {
        vfs_file_close(below);
        return code;
    }
    char *tidy = tidy_path(path);
    bool is_there;
    mutex_lock(&v->mu);
    const size_t at = place_of_locked(v, tidy, &is_there);
    if (is_there) {
        remove_at_locked(v, at);
    }
    struct scratch_node *node = insert_locked(v, tidy, false);
    node->below = below;
    node->below_end = node->size = size;
    node->mtime_ns = stat.mtime_ns;
    v->file_ops.unmap = below->ops->unmap; /* all files of inner have the same */
    mutex_unlock(&v->mu);
    mem_free(tidy);
    return ERR_OK;
}

/* One past the last byte that is not zero. */
static enum err_code find_end(struct vfs_file *f, uint64_t size, uint64_t *out, struct err *err) {
    uint8_t block[4096];
    while (size > 0) {
        const size_t n = size < sizeof(block) ? (size_t)size : sizeof(block);
        size_t got = 0;
        const enum err_code code = vfs_file_pread(f, block, n, size - n, &got, err);
        if (code != ERR_OK) {
            return code;
        }
        while (got > 0 && block[got - 1] == 0) {
            got--;
        }
        size -= n;
        if (got > 0) {
            *out = size + got;
            return ERR_OK;
        }
    }
    *out = 0;
    return ERR_OK;
}

enum err_code vfs_scratch_end(struct vfs_scratch *v, const char *path, struct err *err) {
    struct vfs_file *f = NULL;
    uint64_t end = 0;
    enum err_code code = vfs_open(&v->base, path, VFS_READ, &f, err);
    if (code != ERR_OK) {
        return code;
    }
    struct scratch_node *node = ((struct scratch_file *)f)->node;
    code = find_end(f, node->size, &end, err);
    if (code == ERR_OK) {
        mutex_lock(&v->mu);
        if (node->len == 0 && end < node->below_end) {
            node->below_end = end;
        }
        mutex_unlock(&v->mu);
    }
    vfs_file_close(f);
    return code;
}

void vfs_scratch_forget(struct vfs_scratch *v, const char *dir) {
    char *tidy = tidy_path(dir);
    mutex_lock(&v->mu);
    for (size_t i = v->count; i > 0; i--) {
        if (inside(v->nodes[i - 1]->path, tidy) != NULL) {
            remove_at_locked(v, i - 1);
        }
    }
    mutex_unlock(&v->mu);
    mem_free(tidy);
}

struct vfs *vfs_scratch_base(struct vfs_scratch *v) {
    return &v->base;
}

struct vfs_scratch *vfs_scratch_new(struct vfs *inner, size_t max_bytes) {
    static const struct vfs_ops ops = {
        .open = scratch_open,
        .stat = scratch_stat,
        .list = scratch_list,
        .mkdir = scratch_mkdir,
        .rename = scratch_rename,
        .unlink = scratch_unlink,
        .rmdir = scratch_rmdir,
        .link = scratch_link,
        .sync_dir = scratch_sync_dir,
        .lock = scratch_lock,
        .free_bytes = scratch_free_bytes,
    };
    struct vfs_scratch *v = mem_zalloc(sizeof(*v));
    v->base.ops = &ops;
    v->inner = inner;
    v->file_ops = vfs_scratch_file_ops;
    v->max_bytes = max_bytes;
    mutex_init(&v->mu);
    return v;
}

void vfs_scratch_free(struct vfs_scratch *v) {
    if (v == NULL) {
        return;
    }
    mutex_lock(&v->mu);
    while (v->count != 0) {
        remove_at_locked(v, v->count - 1);
    }
    mutex_unlock(&v->mu);
    mutex_release(&v->mu);
    mem_free(v->nodes);
    mem_free(v);
}
