/* ORDER. Rows move from the log to L0, from there to partitions, and what they leave is removed only when
 * they have arrived. So these are taken over in this order: what moves meanwhile is found twice,
 * which every opening has to understand, and never missed. Definitions are written before the rows
 * that need them and are taken behind them. Tombstones go when what they hide is out of the
 * partitions, which are taken behind them too.
 *
 * A FOLDER is taken over when its names are the same behind it as before: with an image of the
 * series log the files come that it stands for, and with a manifest the partitions that it names. */
#include "tsdb/frozen.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { PATH_BYTES = 4096, NAMES_BYTES_MAX = 64 << 20, TRIES = 100, DEPTH_MAX = 2 };

static const struct part {
    const char *name;
    bool is_log; /* its files are longer than what was written to them */
} parts[] = {
    {"wal", true},         {"l0", false},         {"notes", true},
    {"series", false},     {"tombstones", false}, {"tombstones.copy", false},
    {"partitions", false},
};

struct freeze {
    struct vfs *vfs;
    struct vfs_scratch *to;
    bool is_log;
};

static enum err_code join(char to[PATH_BYTES], const char *dir, const char *name, struct err *err) {
    const int n = snprintf(to, PATH_BYTES, "%s/%s", dir, name);
    return n > 0 && n < PATH_BYTES ? ERR_OK : err_set(err, ERR_INVALID, "path %s is too long", dir);
}

/* Unfinished files count for nobody. */
static bool note_name(void *ctx, const char *name) {
    struct buf *names = ctx;
    if (!str_ends(str_of(name), STR(".tmp"))) {
        buf_append(names, name, strlen(name) + 1);
    }
    return !names->failed;
}

static enum err_code list_names(struct vfs *vfs, const char *dir, struct buf *to, struct err *err) {
    buf_clear(to);
    const enum err_code code = vfs_list(vfs, dir, note_name, to, err);
    return code == ERR_OK && to->failed ? err_set(err, ERR_LIMIT, "%s has too many files", dir)
                                        : code;
}

static bool has_name(const struct buf *names, const char *name) {
    for (size_t at = 0; at < names->len; at += strlen(names->ptr + at) + 1) {
        if (strcmp(names->ptr + at, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Each has a name once; folders are listed in any order, and in the same one when they did not change. */
static bool same_names(const struct buf *a, const struct buf *b) {
    if (a->len != b->len) {
        return false;
    }
    if (a->len == 0 || memcmp(a->ptr, b->ptr, a->len) == 0) {
        return true;
    }
    for (size_t at = 0; at < a->len; at += strlen(a->ptr + at) + 1) {
        if (!has_name(b, a->ptr + at)) {
            return false;
        }
    }
    return true;
}

static enum err_code take(const struct freeze *f, const char *path, int depth, struct err *err);

/* ERR_NOT_FOUND: something that was listed went meanwhile. */
static enum err_code take_all(const struct freeze *f, const char *dir, const struct buf *names,
                              int depth, struct err *err) {
    char *path = mem_alloc(PATH_BYTES);
    enum err_code code = ERR_OK;
    for (size_t at = 0; at < names->len && code == ERR_OK; at += strlen(names->ptr + at) + 1) {
        code = join(path, dir, names->ptr + at, err);
        code = code == ERR_OK ? take(f, path, depth, err) : code;
    }
    mem_free(path);
    return code;
}

static enum err_code take_folder(const struct freeze *f, const char *dir, int depth,
                                 struct err *err) {
    struct buf before;
    struct buf after;
    buf_init(&before, NAMES_BYTES_MAX);
    buf_init(&after, NAMES_BYTES_MAX);
    bool done = false;
    enum err_code code = list_names(f->vfs, dir, &before, err);
    for (int i = 0; i < TRIES && code == ERR_OK && !done; i++) {
        vfs_scratch_forget(f->to, dir);
        const enum err_code taken = take_all(f, dir, &before, depth - 1, err);
        code = taken == ERR_NOT_FOUND ? ERR_OK : taken;
        code = code == ERR_OK ? list_names(f->vfs, dir, &after, err) : code;
        done = code == ERR_OK && taken == ERR_OK && same_names(&before, &after);
        const struct buf swap = before;
        before = after;
        after = swap;
    }
    if (code == ERR_OK && !done) {
        code = err_set(err, ERR_IO, "%s changes faster than it can be read", dir);
    }
    buf_release(&before);
    buf_release(&after);
    return code;
}

static enum err_code take(const struct freeze *f, const char *path, int depth, struct err *err) {
    struct vfs_stat stat;
    enum err_code code = vfs_stat(f->vfs, path, &stat, err);
    code = code == ERR_OK ? vfs_scratch_add(f->to, path, err) : code;
    if (code == ERR_OK && f->is_log && !stat.is_dir) {
        return vfs_scratch_end(f->to, path, err);
    }
    return code == ERR_OK && stat.is_dir && depth > 0 ? take_folder(f, path, depth, err) : code;
}

enum err_code frozen_take(struct vfs *vfs, const char *path, struct vfs_scratch **out,
                          struct err *err) {
    struct vfs_scratch *scratch = vfs_scratch_new(vfs, FROZEN_CHANGES_BYTES_MAX);
    char *part = mem_alloc(PATH_BYTES);
    struct vfs_stat stat;
    enum err_code code = vfs_stat(vfs, path, &stat, err);
    if (code == ERR_OK && !stat.is_dir) {
        code = err_set(err, ERR_NOT_FOUND, "%s is no folder", path);
    }
    code = code == ERR_OK ? vfs_scratch_add(scratch, path, err) : code;
    for (size_t i = 0; i < COUNT_OF(parts) && code == ERR_OK; i++) {
        const struct freeze freeze = {vfs, scratch, parts[i].is_log};
        code = join(part, path, parts[i].name, err);
        code = code == ERR_OK ? take(&freeze, part, DEPTH_MAX, err) : code;
        if (code == ERR_NOT_FOUND) { /* nothing was deleted yet, or a folder was lost */
            code = ERR_OK;
        }
    }
    mem_free(part);
    if (code != ERR_OK) {
        vfs_scratch_free(scratch);
        return err_wrap(err, "reading %s", path);
    }
    *out = scratch;
    return ERR_OK;
}
