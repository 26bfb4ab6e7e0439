#include "tests/support/mem_vfs.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "base/rng.h"
#include "tests/support/mem_tree.h"

struct mem_vfs {
    struct vfs base;
    struct mutex mu;
    /* guarded by mu */
    struct mem_tree start; /* the disk before the first operation */
    struct mem_tree now;
    struct mem_op *ops;
    size_t op_count;
    size_t op_capacity;
    uint64_t capacity_bytes;
};

struct mem_file {
    struct vfs_file base;
    struct mem_vfs *v;
    size_t node;
    bool holds_lock;
    bool writable;
    char *path;
};

/* Takes the strings and bytes of op. */
static void record_locked(struct mem_vfs *v, struct mem_op op) REQUIRES(v->mu) {
    if (v->op_count == v->op_capacity) {
        v->op_capacity = mem_grow(v->op_capacity, v->op_count + 1);
        v->ops = mem_resize(v->ops, v->op_capacity, sizeof(*v->ops));
    }
    v->ops[v->op_count++] = op;
    mem_tree_apply(&v->now, &op, v->op_count);
}

/* ---- crashes ---- */

struct crash {
    enum mem_crash how;
    struct rng rng;
    bool names_in_order; /* a journal: a name survives only if all earlier ones did */
    bool names_cut;
    size_t last_write;
};

static bool name_survives(struct crash *c) {
    switch (c->how) {
    case MEM_CRASH_KEEP:
    case MEM_CRASH_KEEP_NAMES:
    case MEM_CRASH_TORN:
        return true;
    case MEM_CRASH_RANDOM: {
        const bool kept = !c->names_cut && rng_below(&c->rng, 2) == 0;
        c->names_cut = c->names_cut || (c->names_in_order && !kept);
        return kept;
    }
    case MEM_CRASH_LOSE:
    case MEM_CRASH_KEEP_DATA:
    case MEM_CRASH_COUNT:
        break;
    }
    return false;
}

static bool data_survives(struct crash *c) {
    switch (c->how) {
    case MEM_CRASH_KEEP:
    case MEM_CRASH_KEEP_DATA:
    case MEM_CRASH_TORN:
        return true;
    case MEM_CRASH_RANDOM:
        return rng_below(&c->rng, 2) == 0;
    case MEM_CRASH_LOSE:
    case MEM_CRASH_KEEP_NAMES:
    case MEM_CRASH_COUNT:
        break;
    }
    return false;
}

/* The sectors of a write that survive. */
static void apply_torn_write(struct mem_tree *t, const struct mem_op *op, struct crash *c,
                             bool half) {
    struct mem_node *node = &t->nodes[op->node];
    const uint64_t end = op->offset + op->size;
    const uint64_t middle = op->offset + op->size / 2;
    uint64_t at = op->offset;
    while (at < end) {
        uint64_t next = (at / MEM_VFS_SECTOR_BYTES + 1) * MEM_VFS_SECTOR_BYTES;
        next = next < end ? next : end;
        const bool kept = half ? next <= middle : rng_below(&c->rng, 2) == 0;
        if (kept) {
            mem_node_write(node, at, op->bytes + (at - op->offset), (size_t)(next - at));
        }
        at = next;
    }
}

static void apply_unsynced(struct mem_tree *t, const struct mem_op *op, size_t index,
                           struct crash *c) {
    if (mem_op_is_name(op)) {
        if (name_survives(c)) {
            mem_tree_apply(t, op, index);
        }
    } else if (mem_op_is_data(op)) {
        if (op->kind == OP_WRITE && c->how == MEM_CRASH_TORN && index == c->last_write) {
            apply_torn_write(t, op, c, true);
        } else if (op->kind == OP_WRITE && c->how == MEM_CRASH_RANDOM &&
                   rng_below(&c->rng, 4) == 0) {
            apply_torn_write(t, op, c, false);
        } else if (data_survives(c)) {
            mem_tree_apply(t, op, index);
        }
    }
}

/* Index behind the last sync of each node among the first operations; 0 = none. */
static size_t *last_syncs(const struct mem_vfs *v, size_t op_count) {
    size_t *synced = mem_zalloc(v->now.count * sizeof(*synced));
    for (size_t i = 0; i < op_count; i++) {
        if (v->ops[i].kind == OP_SYNC || v->ops[i].kind == OP_SYNC_DIR) {
            synced[v->ops[i].node] = i + 1;
        }
    }
    return synced;
}

struct mem_vfs *mem_vfs_after_crash(struct mem_vfs *v, size_t op_count, enum mem_crash crash,
                                    uint64_t seed) {
    struct mem_vfs *after = mem_vfs_new();
    mutex_lock(&v->mu);
    ASSERT(op_count <= v->op_count);
    struct crash c = {.how = crash, .rng = rng_seeded(seed), .last_write = SIZE_MAX};
    c.names_in_order = rng_below(&c.rng, 2) == 0;
    for (size_t i = 0; i < op_count; i++) {
        c.last_write = v->ops[i].kind == OP_WRITE ? i : c.last_write;
    }
    size_t *synced = last_syncs(v, op_count);
    struct mem_tree disk = mem_tree_copy(&v->start);
    while (disk.count < v->now.count) { /* the nodes themselves, still without names */
        (void)mem_tree_add(&disk, v->now.nodes[disk.count].is_dir);
    }
    for (size_t i = 0; i < op_count; i++) {
        const struct mem_op *op = &v->ops[i];
        const bool durable = mem_op_is_name(op) ? i < synced[op->dir] || (op->kind == OP_RENAME &&
                                                                          i < synced[op->dir2])
                                                : i < synced[op->node];
        if (durable) {
            mem_tree_apply(&disk, op, i);
        } else {
            apply_unsynced(&disk, op, i, &c);
        }
    }
    mem_free(synced);
    after->capacity_bytes = v->capacity_bytes;
    mutex_unlock(&v->mu);
    mem_tree_release(&after->start);
    mem_tree_release(&after->now);
    after->start = mem_tree_copy(&disk);
    after->now = disk;
    return after;
}

/* ---- files ---- */

static struct mem_file *file_of(struct vfs_file *f) {
    return (struct mem_file *)f;
}

static enum err_code no_space(struct err *err, const char *call, const char *path) {
    return err_set(err, ERR_NO_SPACE, "%s %s: No space left on device", call, path);
}

static bool fits_locked(const struct mem_vfs *v, const struct mem_node *node, uint64_t size)
    REQUIRES(v->mu) {
    uint64_t used = 0;
    for (size_t i = 0; i < v->now.count; i++) {
        used += v->now.nodes[i].size;
    }
    return size <= node->size || used + (size - node->size) <= v->capacity_bytes;
}

static enum err_code mem_pread(struct vfs_file *f, void *to, size_t n, uint64_t offset,
                               size_t *out_read, struct err *err) {
    struct mem_file *file = file_of(f);
    mutex_lock(&file->v->mu);
    const struct mem_node *node = &file->v->now.nodes[file->node];
    enum err_code code = ERR_OK;
    if (node->is_dir) {
        code = err_set(err, ERR_IO, "read %s: Is a directory", file->path);
    } else {
        size_t got = offset < node->size ? node->size - (size_t)offset : 0;
        got = got < n ? got : n;
        if (got > 0) {
            memcpy(to, node->bytes + offset, got);
        }
        if (out_read != NULL) {
            *out_read = got;
        }
    }
    mutex_unlock(&file->v->mu);
    return code;
}

static enum err_code mem_pwrite(struct vfs_file *f, const void *from, size_t n, uint64_t offset,
                                struct err *err) {
    struct mem_file *file = file_of(f);
    if (!file->writable) {
        return err_set(err, ERR_IO, "write %s: Bad file descriptor", file->path);
    }
    mutex_lock(&file->v->mu);
    enum err_code code = ERR_OK;
    if (!fits_locked(file->v, &file->v->now.nodes[file->node], offset + n)) {
        code = no_space(err, "write", file->path);
    } else if (n > 0) {
        record_locked(file->v, (struct mem_op){.kind = OP_WRITE,
                                               .node = file->node,
                                               .offset = offset,
                                               .bytes = mem_strndup(from, n),
                                               .size = n});
    }
    mutex_unlock(&file->v->mu);
    return code;
}

static enum err_code record_on(struct vfs_file *f, enum mem_op_kind kind, uint64_t size,
                               const char *call, struct err *err) {
    struct mem_file *file = file_of(f);
    mutex_lock(&file->v->mu);
    enum err_code code = ERR_OK;
    if (kind != OP_SYNC && !file->writable) {
        code = err_set(err, ERR_IO, "%s %s: Bad file descriptor", call, file->path);
    } else if (kind != OP_SYNC && !fits_locked(file->v, &file->v->now.nodes[file->node], size)) {
        code = no_space(err, call, file->path);
    } else {
        record_locked(file->v, (struct mem_op){.kind = kind, .node = file->node, .offset = size});
    }
    mutex_unlock(&file->v->mu);
    return code;
}

static enum err_code mem_sync(struct vfs_file *f, struct err *err) {
    return record_on(f, OP_SYNC, 0, "sync", err);
}

static enum err_code mem_truncate(struct vfs_file *f, uint64_t size, struct err *err) {
    return record_on(f, OP_TRUNCATE, size, "truncate", err);
}

static enum err_code mem_allocate(struct vfs_file *f, uint64_t size, struct err *err) {
    return record_on(f, OP_ALLOCATE, size, "allocate", err);
}

static enum err_code mem_size(struct vfs_file *f, uint64_t *out, struct err *err) {
    (void)err;
    struct mem_file *file = file_of(f);
    mutex_lock(&file->v->mu);
    *out = file->v->now.nodes[file->node].size;
    mutex_unlock(&file->v->mu);
    return ERR_OK;
}

static void mem_drop_cache(struct vfs_file *f, uint64_t offset, uint64_t n) {
    (void)f;
    (void)offset;
    (void)n;
}

static void mem_close(struct vfs_file *f) {
    struct mem_file *file = file_of(f);
    mutex_lock(&file->v->mu);
    if (file->holds_lock) {
        file->v->now.nodes[file->node].locked = false;
    }
    mutex_unlock(&file->v->mu);
    mem_free(file->path);
    mem_free(file);
}

static struct vfs_file *file_new(struct mem_vfs *v, size_t node, const char *path, bool writable) {
    static const struct vfs_file_ops ops = {
        .pread = mem_pread,
        .pwrite = mem_pwrite,
        .sync = mem_sync,
        .truncate = mem_truncate,
        .allocate = mem_allocate,
        .size = mem_size,
        .drop_cache = mem_drop_cache,
        .close = mem_close,
    };
    struct mem_file *file = mem_zalloc(sizeof(*file));
    file->base.ops = &ops;
    file->v = v;
    file->node = node;
    file->writable = writable;
    file->path = mem_strdup(path);
    return &file->base;
}

/* ---- names ---- */

static struct mem_vfs *vfs_of(struct vfs *vfs) {
    return (struct mem_vfs *)vfs;
}

static enum err_code not_found(struct err *err, const char *call, const char *path) {
    return err_set(err, ERR_NOT_FOUND, "%s %s: No such file or directory", call, path);
}

static char *copy(struct str s) {
    return mem_strndup(s.ptr, s.len);
}

static enum err_code open_locked(struct mem_vfs *v, const char *path, unsigned flags,
                                 struct vfs_file **out, struct err *err) REQUIRES(v->mu) {
    ptrdiff_t dir = MEM_NOWHERE;
    struct str name;
    ptrdiff_t node = mem_tree_walk(&v->now, path, &dir, &name);
    if (node < 0) {
        if ((flags & VFS_CREATE) == 0 || dir < 0) {
            return not_found(err, "open", path);
        }
        node = (ptrdiff_t)mem_tree_add(&v->now, false);
        record_locked(v, (struct mem_op){.kind = OP_CREATE,
                                         .node = (size_t)node,
                                         .dir = (size_t)dir,
                                         .name = copy(name)});
    } else if ((flags & VFS_CREATE) != 0 && (flags & VFS_EXCLUSIVE) != 0) {
        return err_set(err, ERR_EXISTS, "open %s: File exists", path);
    } else if (v->now.nodes[node].is_dir && (flags & VFS_WRITE) != 0) {
        return err_set(err, ERR_IO, "open %s: Is a directory", path);
    } else if ((flags & VFS_TRUNCATE) != 0 && v->now.nodes[node].size > 0) {
        record_locked(v, (struct mem_op){.kind = OP_TRUNCATE, .node = (size_t)node});
    }
    *out = file_new(v, (size_t)node, path, (flags & VFS_WRITE) != 0);
    return ERR_OK;
}

static enum err_code mem_open(struct vfs *vfs, const char *path, unsigned flags,
                              struct vfs_file **out, struct err *err) {
    struct mem_vfs *v = vfs_of(vfs);
    mutex_lock(&v->mu);
    const enum err_code code = open_locked(v, path, flags, out, err);
    mutex_unlock(&v->mu);
    return code;
}

static enum err_code mem_lock(struct vfs *vfs, const char *path, struct vfs_file **out,
                              struct err *err) {
    struct mem_vfs *v = vfs_of(vfs);
    mutex_lock(&v->mu);
    struct vfs_file *f = NULL;
    enum err_code code = open_locked(v, path, VFS_WRITE | VFS_CREATE, &f, err);
    if (code == ERR_OK && v->now.nodes[file_of(f)->node].locked) {
        code = err_set(err, ERR_EXISTS, "lock %s: held by another process", path);
    } else if (code == ERR_OK) {
        v->now.nodes[file_of(f)->node].locked = true;
        file_of(f)->holds_lock = true;
        *out = f;
        f = NULL;
    }
    mutex_unlock(&v->mu);
    vfs_file_close(f);
    return code;
}

static enum err_code mem_stat(struct vfs *vfs, const char *path, struct vfs_stat *out,
                              struct err *err) {
    struct mem_vfs *v = vfs_of(vfs);
    mutex_lock(&v->mu);
    const ptrdiff_t at = mem_tree_walk(&v->now, path, NULL, NULL);
    enum err_code code = ERR_OK;
    if (at < 0) {
        code = not_found(err, "stat", path);
    } else {
        const struct mem_node *node = &v->now.nodes[at];
        *out = (struct vfs_stat){node->size, node->mtime_ns, node->is_dir};
    }
    mutex_unlock(&v->mu);
    return code;
}

/* fn runs without the lock, on a copy of the names: it may use the vfs. */
static enum err_code mem_list(struct vfs *vfs, const char *path, vfs_list_fn *fn, void *ctx,
                              struct err *err) {
    struct mem_vfs *v = vfs_of(vfs);
    mutex_lock(&v->mu);
    const ptrdiff_t at = mem_tree_walk(&v->now, path, NULL, NULL);
    if (at < 0 || !v->now.nodes[at].is_dir) {
        mutex_unlock(&v->mu);
        return not_found(err, "open", path);
    }
    const struct mem_node *dir = &v->now.nodes[at];
    const size_t count = dir->entry_count;
    char **names = mem_array(count, sizeof(*names));
    for (size_t i = 0; i < count; i++) {
        names[i] = mem_strdup(dir->entries[i].name);
    }
    mutex_unlock(&v->mu);
    bool more = true;
    for (size_t i = 0; i < count; i++) {
        more = more && fn(ctx, names[i]);
        mem_free(names[i]);
    }
    mem_free(names);
    return ERR_OK;
}

static enum err_code mem_mkdir(struct vfs *vfs, const char *path, struct err *err) {
    struct mem_vfs *v = vfs_of(vfs);
    mutex_lock(&v->mu);
    ptrdiff_t dir = MEM_NOWHERE;
    struct str name;
    const ptrdiff_t at = mem_tree_walk(&v->now, path, &dir, &name);
    enum err_code code = ERR_OK;
    if (at >= 0) {
        if (!v->now.nodes[at].is_dir) {
            code = err_set(err, ERR_EXISTS, "mkdir %s: File exists", path);
        }
    } else if (dir < 0) {
        code = not_found(err, "mkdir", path);
    } else {
        const size_t node = mem_tree_add(&v->now, true);
        record_locked(v,
                      (struct mem_op){
                          .kind = OP_MKDIR, .node = node, .dir = (size_t)dir, .name = copy(name)});
    }
    mutex_unlock(&v->mu);
    return code;
}

static enum err_code mem_rename(struct vfs *vfs, const char *from, const char *to,
                                struct err *err) {
    struct mem_vfs *v = vfs_of(vfs);
    mutex_lock(&v->mu);
    ptrdiff_t dir = MEM_NOWHERE;
    ptrdiff_t dir2 = MEM_NOWHERE;
    struct str name;
    struct str name2;
    const ptrdiff_t node = mem_tree_walk(&v->now, from, &dir, &name);
    const ptrdiff_t target = mem_tree_walk(&v->now, to, &dir2, &name2);
    enum err_code code = ERR_OK;
    if (node < 0 || dir < 0 || dir2 < 0) {
        code = not_found(err, "rename", from);
    } else if (target >= 0 && v->now.nodes[target].entry_count > 0) {
        code = err_set(err, ERR_EXISTS, "rename %s: Directory not empty", from);
    } else if (target != node) {
        record_locked(v, (struct mem_op){.kind = OP_RENAME,
                                         .node = (size_t)node,
                                         .dir = (size_t)dir,
                                         .name = copy(name),
                                         .dir2 = (size_t)dir2,
                                         .name2 = copy(name2)});
    }
    mutex_unlock(&v->mu);
    return code;
}

static enum err_code remove_at(struct vfs *vfs, const char *path, bool want_dir, const char *call,
                               struct err *err) {
    struct mem_vfs *v = vfs_of(vfs);
    mutex_lock(&v->mu);
    ptrdiff_t dir = MEM_NOWHERE;
    struct str name;
    const ptrdiff_t node = mem_tree_walk(&v->now, path, &dir, &name);
    enum err_code code = ERR_OK;
    if (node < 0 || dir < 0) {
        code = not_found(err, call, path);
    } else if (v->now.nodes[node].is_dir != want_dir) {
        code = err_set(err, ERR_IO, "%s %s: %s", call, path,
                       want_dir ? "Not a directory" : "Is a directory");
    } else if (v->now.nodes[node].entry_count > 0) {
        code = err_set(err, ERR_EXISTS, "%s %s: Directory not empty", call, path);
    } else {
        record_locked(v, (struct mem_op){.kind = OP_UNLINK,
                                         .node = (size_t)node,
                                         .dir = (size_t)dir,
                                         .name = copy(name)});
    }
    mutex_unlock(&v->mu);
    return code;
}

static enum err_code mem_unlink(struct vfs *vfs, const char *path, struct err *err) {
    return remove_at(vfs, path, false, "unlink", err);
}

static enum err_code mem_rmdir(struct vfs *vfs, const char *path, struct err *err) {
    return remove_at(vfs, path, true, "rmdir", err);
}

static enum err_code mem_link(struct vfs *vfs, const char *from, const char *to, struct err *err) {
    struct mem_vfs *v = vfs_of(vfs);
    mutex_lock(&v->mu);
    ptrdiff_t dir = MEM_NOWHERE;
    struct str name;
    const ptrdiff_t node = mem_tree_walk(&v->now, from, NULL, NULL);
    const ptrdiff_t target = mem_tree_walk(&v->now, to, &dir, &name);
    enum err_code code = ERR_OK;
    if (node < 0 || dir < 0) {
        code = not_found(err, "link", to);
    } else if (target >= 0) {
        code = err_set(err, ERR_EXISTS, "link %s: File exists", to);
    } else {
        record_locked(
            v, (struct mem_op){
                   .kind = OP_LINK, .node = (size_t)node, .dir = (size_t)dir, .name = copy(name)});
    }
    mutex_unlock(&v->mu);
    return code;
}

static enum err_code mem_sync_dir(struct vfs *vfs, const char *path, struct err *err) {
    struct mem_vfs *v = vfs_of(vfs);
    mutex_lock(&v->mu);
    const ptrdiff_t node = mem_tree_walk(&v->now, path, NULL, NULL);
    enum err_code code = ERR_OK;
    if (node < 0 || !v->now.nodes[node].is_dir) {
        code = not_found(err, "open", path);
    } else {
        record_locked(v, (struct mem_op){.kind = OP_SYNC_DIR, .node = (size_t)node});
    }
    mutex_unlock(&v->mu);
    return code;
}

static enum err_code mem_free_bytes(struct vfs *vfs, const char *path, uint64_t *out,
                                    struct err *err) {
    (void)path;
    (void)err;
    struct mem_vfs *v = vfs_of(vfs);
    mutex_lock(&v->mu);
    uint64_t used = 0;
    for (size_t i = 0; i < v->now.count; i++) {
        used += v->now.nodes[i].size;
    }
    *out = used < v->capacity_bytes ? v->capacity_bytes - used : 0;
    mutex_unlock(&v->mu);
    return ERR_OK;
}

static enum err_code mem_total_bytes(struct vfs *vfs, const char *path, uint64_t *out,
                                     struct err *err) {
    (void)path;
    (void)err;
    struct mem_vfs *v = vfs_of(vfs);
    mutex_lock(&v->mu);
    *out = v->capacity_bytes;
    mutex_unlock(&v->mu);
    return ERR_OK;
}

/* ---- the whole ---- */

struct mem_vfs *mem_vfs_new(void) {
    static const struct vfs_ops ops = {
        .open = mem_open,
        .stat = mem_stat,
        .list = mem_list,
        .mkdir = mem_mkdir,
        .rename = mem_rename,
        .unlink = mem_unlink,
        .rmdir = mem_rmdir,
        .link = mem_link,
        .sync_dir = mem_sync_dir,
        .lock = mem_lock,
        .free_bytes = mem_free_bytes,
        .total_bytes = mem_total_bytes,
    };
    struct mem_vfs *v = mem_zalloc(sizeof(*v));
    v->base.ops = &ops;
    v->capacity_bytes = UINT64_C(1) << 40;
    mutex_init(&v->mu);
    (void)mem_tree_add(&v->start, true);
    (void)mem_tree_add(&v->now, true);
    return v;
}

void mem_vfs_free(struct mem_vfs *v) {
    if (v == NULL) {
        return;
    }
    for (size_t i = 0; i < v->op_count; i++) {
        mem_free(v->ops[i].name);
        mem_free(v->ops[i].name2);
        mem_free(v->ops[i].bytes);
    }
    mem_free(v->ops);
    mem_tree_release(&v->start);
    mem_tree_release(&v->now);
    mutex_release(&v->mu);
    mem_free(v);
}

struct vfs *mem_vfs_base(struct mem_vfs *v) {
    return &v->base;
}

void mem_vfs_set_capacity(struct mem_vfs *v, uint64_t bytes) {
    mutex_lock(&v->mu);
    v->capacity_bytes = bytes;
    mutex_unlock(&v->mu);
}

size_t mem_vfs_op_count(struct mem_vfs *v) {
    mutex_lock(&v->mu);
    const size_t count = v->op_count;
    mutex_unlock(&v->mu);
    return count;
}

void mem_vfs_describe_op(struct mem_vfs *v, size_t index, struct buf *to) {
    static const char *const kinds[] = {
        [OP_CREATE] = "create",     [OP_MKDIR] = "mkdir",       [OP_LINK] = "link",
        [OP_UNLINK] = "unlink",     [OP_RENAME] = "rename",     [OP_WRITE] = "write",
        [OP_TRUNCATE] = "truncate", [OP_ALLOCATE] = "allocate", [OP_SYNC] = "sync",
        [OP_SYNC_DIR] = "sync_dir",
    };
    mutex_lock(&v->mu);
    ASSERT(index < v->op_count);
    const struct mem_op *op = &v->ops[index];
    buf_printf(to, "%zu: %s node %zu", index, kinds[op->kind], op->node);
    if (op->name != NULL) {
        buf_printf(to, " %s", op->name);
    }
    if (op->name2 != NULL) {
        buf_printf(to, " to %s", op->name2);
    }
    if (mem_op_is_data(op)) {
        buf_printf(to, " at %llu, %zu bytes", (unsigned long long)op->offset, op->size);
    }
    mutex_unlock(&v->mu);
}
