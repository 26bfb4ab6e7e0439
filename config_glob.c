#include "config_glob.h"

#include <fnmatch.h>
#include <stdlib.h>

#include "base/mem.h"

struct glob_walk {
    struct arena *arena;
    struct str dir; /* with its slash, or empty */
    const char *name_pattern;
    struct str *found;
    size_t count, capacity;
    bool full;
};

static bool collect(void *ctx, const char *name) {
    struct glob_walk *walk = ctx;
    if (fnmatch(walk->name_pattern, name, FNM_NOESCAPE) != 0) {
        return true;
    }
    if (walk->count == CONFIG_GLOB_MAX) {
        walk->full = true;
        return false;
    }
    if (walk->count == walk->capacity) {
        walk->capacity = mem_grow(walk->capacity, walk->count + 1);
        walk->found = mem_resize(walk->found, walk->capacity, sizeof(struct str));
    }
    walk->found[walk->count++] = arena_printf(walk->arena, "%.*s%s", STR_ARG(walk->dir), name);
    return true;
}

static int path_cmp(const void *a, const void *b) {
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static bool has_meta(struct str s) {
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '*' || s.ptr[i] == '?' || s.ptr[i] == '[') {
            return true;
        }
    }
    return false;
}

static enum err_code one_path(struct vfs *vfs, struct arena *arena, struct str path,
                              struct str **out, size_t *out_count) {
    struct vfs_stat st;
    *out = arena_alloc(arena, sizeof(struct str));
    (*out)[0] = arena_str(arena, path);
    *out_count = vfs_stat(vfs, (*out)[0].ptr, &st, NULL) == ERR_OK ? 1 : 0;
    return ERR_OK;
}

enum err_code config_glob(struct vfs *vfs, struct arena *arena, struct str pattern,
                          struct str **out, size_t *out_count, struct err *err) {
    const ptrdiff_t slash = str_rfind_char(pattern, '/');
    const struct str name = str_from(pattern, (size_t)(slash + 1));
    if (!has_meta(name)) {
        return one_path(vfs, arena, pattern, out, out_count);
    }
    struct glob_walk walk = {
        .arena = arena,
        .dir = str_sub(pattern, 0, (size_t)(slash + 1)),
        .name_pattern = arena_cstr(arena, name),
    };
    const char *dir = slash < 0 ? "." : arena_cstr(arena, walk.dir);
    /* a folder that is not there has no files: as filepath.Glob */
    const enum err_code listed = vfs_list(vfs, dir, collect, &walk, NULL);
    (void)listed;
    if (walk.count > 1) {
        qsort(walk.found, walk.count, sizeof(struct str), path_cmp);
    }
    *out = arena_alloc(arena, (walk.count + 1) * sizeof(struct str));
    if (walk.count != 0) {
        memcpy(*out, walk.found, walk.count * sizeof(struct str));
    }
    *out_count = walk.count;
    mem_free(walk.found);
    return walk.full ? err_set(err, ERR_LIMIT, "pattern %.*s matches more than %d files",
                               STR_ARG(pattern), CONFIG_GLOB_MAX)
                     : ERR_OK;
}
