/* BYTES of a file: [0, below_end) are those of the file below, then len bytes in memory, then zeros up
 * to its size. A write before below_end first takes what is behind it into memory. */
#include <string.h>

#include "base/mem.h"
#include "base/vfs_scratch_impl.h"

static enum err_code reserve_locked(struct vfs_scratch *v, struct scratch_node *node, uint64_t need,
                                    struct err *err) REQUIRES(v->mu) {
    if (need <= node->capacity) {
        return ERR_OK;
    }
    const size_t left = v->max_bytes - v->used_bytes + node->capacity;
    if (need > left) {
        return err_set(err, ERR_NO_SPACE,
                       "write %s: changes to what is only read take more than %zu bytes",
                       node->path != NULL ? node->path : "a removed file", v->max_bytes);
    }
    size_t capacity = mem_grow(node->capacity, (size_t)need);
    capacity = capacity < left ? capacity : left;
    v->used_bytes += capacity - node->capacity;
    node->bytes = mem_resize(node->bytes, capacity, 1);
    node->capacity = capacity;
    return ERR_OK;
}

/* Its owner may have cut the file since: zeros then. */
static enum err_code read_below(const struct scratch_node *node, uint8_t *to, size_t n,
                                uint64_t offset, struct err *err) {
    size_t got = 0;
    const enum err_code code = vfs_file_pread(node->below, to, n, offset, &got, err);
    if (code == ERR_OK) {
        memset(to + got, 0, n - got);
    }
    return code;
}

/* Afterwards the bytes from offset on are in memory. */
static enum err_code take_below_locked(struct vfs_scratch *v, struct scratch_node *node,
                                       uint64_t offset, struct err *err) REQUIRES(v->mu) {
    if (offset >= node->below_end) {
        return ERR_OK;
    }
    const uint64_t n = node->below_end - offset;
    if (n > v->max_bytes) {
        return reserve_locked(v, node, n, err);
    }
    enum err_code code = reserve_locked(v, node, n + node->len, err);
    if (code != ERR_OK) {
        return code;
    }
    memmove(node->bytes + n, node->bytes, node->len);
    code = read_below(node, node->bytes, (size_t)n, offset, err);
    if (code != ERR_OK) {
        memmove(node->bytes, node->bytes + n, node->len);
        return code;
    }
    node->len += (size_t)n;
    node->below_end = offset;
    return ERR_OK;
}

void vfs_scratch_cut(struct scratch_node *node, uint64_t size) {
    if (size < node->below_end) {
        node->below_end = size;
    }
    if (size - node->below_end < node->len) {
        node->len = (size_t)(size - node->below_end);
    }
    node->size = size;
}

static enum err_code file_pread(struct vfs_file *f, void *to, size_t n, uint64_t offset,
                                size_t *out_read, struct err *err) {
    struct scratch_file *file = (struct scratch_file *)f;
    const struct scratch_node *node = file->node;
    uint8_t *at = to;
    mutex_lock(&file->v->mu);
    const uint64_t left = offset < node->size ? node->size - offset : 0;
    n = n < left ? n : (size_t)left;
    size_t below = 0;
    if (offset < node->below_end) {
        below = n < node->below_end - offset ? n : (size_t)(node->below_end - offset);
    }
    if (below < n) {
        const uint64_t from = offset + below - node->below_end;
        const size_t kept = from < node->len ? node->len - (size_t)from : 0;
        const size_t copied = n - below < kept ? n - below : kept;
        if (copied != 0) {
            memcpy(at + below, node->bytes + from, copied);
        }
        memset(at + below + copied, 0, n - below - copied);
    }
    mutex_unlock(&file->v->mu);
    if (out_read != NULL) {
        *out_read = n;
    }
    return below != 0 ? read_below(node, to, below, offset, err) : ERR_OK;
}

static enum err_code file_pwrite(struct vfs_file *f, const void *from, size_t n, uint64_t offset,
                                 struct err *err) {
    struct scratch_file *file = (struct scratch_file *)f;
    struct scratch_node *node = file->node;
    if (!file->may_write) {
        return err_set(err, ERR_IO, "write to a file that is opened for reading");
    }
    if (n == 0) {
        return ERR_OK;
    }
    mutex_lock(&file->v->mu);
    enum err_code code = take_below_locked(file->v, node, offset, err);
    const uint64_t at = offset - (code == ERR_OK ? node->below_end : 0);
    if (code == ERR_OK) {
        code = at > file->v->max_bytes ? reserve_locked(file->v, node, at, err)
                                       : reserve_locked(file->v, node, at + n, err);
    }
    if (code == ERR_OK) {
        if (at > node->len) {
            memset(node->bytes + node->len, 0, (size_t)at - node->len);
        }
        memcpy(node->bytes + at, from, n);
        node->len = at + n > node->len ? (size_t)at + n : node->len;
        node->size = offset + n > node->size ? offset + n : node->size;
    }
    mutex_unlock(&file->v->mu);
    return code;
}

static enum err_code file_sync(struct vfs_file *f, struct err *err) {
    (void)f;
    (void)err;
    return ERR_OK;
}

static enum err_code file_truncate(struct vfs_file *f, uint64_t size, struct err *err) {
    struct scratch_file *file = (struct scratch_file *)f;
    (void)err;
    mutex_lock(&file->v->mu);
    vfs_scratch_cut(file->node, size);
    mutex_unlock(&file->v->mu);
    return ERR_OK;
}

/* Zeros take no memory. */
static enum err_code file_allocate(struct vfs_file *f, uint64_t size, struct err *err) {
    struct scratch_file *file = (struct scratch_file *)f;
    (void)err;
    mutex_lock(&file->v->mu);
    file->node->size = size > file->node->size ? size : file->node->size;
    mutex_unlock(&file->v->mu);
    return ERR_OK;
}

static enum err_code file_size(struct vfs_file *f, uint64_t *out, struct err *err) {
    struct scratch_file *file = (struct scratch_file *)f;
    (void)err;
    mutex_lock(&file->v->mu);
    *out = file->node->size;
    mutex_unlock(&file->v->mu);
    return ERR_OK;
}

static void file_drop_cache(struct vfs_file *f, uint64_t offset, uint64_t n) {
    (void)f; /* whose cache it is, others know */
    (void)offset;
    (void)n;
}

static const uint8_t *file_map(struct vfs_file *f, size_t n) {
    struct scratch_file *file = (struct scratch_file *)f;
    mutex_lock(&file->v->mu);
    struct vfs_file *below = n <= file->node->below_end ? file->node->below : NULL;
    mutex_unlock(&file->v->mu);
    return below != NULL && below->ops->map != NULL ? below->ops->map(below, n) : NULL;
}

static void file_close(struct vfs_file *f) {
    struct scratch_file *file = (struct scratch_file *)f;
    struct vfs_scratch *v = file->v;
    mutex_lock(&v->mu);
    file->node->is_locked = file->node->is_locked && !file->is_lock;
    file->node->open_count--;
    vfs_scratch_unused_locked(v, file->node);
    mutex_unlock(&v->mu);
    mem_free(file);
}

struct vfs_file *vfs_scratch_open_node(struct vfs_scratch *v, struct scratch_node *node,
                                       bool may_write) {
    struct scratch_file *file = mem_zalloc(sizeof(*file));
    node->open_count++;
    file->base.ops = &v->file_ops;
    file->v = v;
    file->node = node;
    file->may_write = may_write;
    return &file->base;
}

void vfs_scratch_unused_locked(struct vfs_scratch *v, struct scratch_node *node) {
    if (node->path == NULL && node->open_count == 0) {
        v->used_bytes -= node->capacity;
        vfs_file_close(node->below);
        mem_free(node->bytes);
        mem_free(node);
    }
}

const struct vfs_file_ops vfs_scratch_file_ops = {
    .pread = file_pread,
    .pwrite = file_pwrite,
    .sync = file_sync,
    .truncate = file_truncate,
    .allocate = file_allocate,
    .size = file_size,
    .drop_cache = file_drop_cache,
    .close = file_close,
    .map = file_map,
};
