/* Partitions in a snapshot: hard links of their files, which are never changed, and a manifest of its
 * own with the marks, so that the snapshot's runs are read once, too. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tsdb/compactor_impl.h"

enum { FILES_MAX = 64, PATH_BYTES = 4096 };

struct file_names {
    char items[FILES_MAX][PARTITION_NAME_MAX];
    size_t count;
    bool too_many;
};

static bool note_file(void *ctx, const char *name) {
    struct file_names *files = ctx;
    files->too_many |= files->count == FILES_MAX || strlen(name) >= PARTITION_NAME_MAX;
    if (!files->too_many) {
        memcpy(files->items[files->count++], name, strlen(name) + 1);
    }
    return !files->too_many;
}

static enum err_code join(char to[PATH_BYTES], const char *a, const char *b, struct err *err) {
    const int n = snprintf(to, PATH_BYTES, "%s/%s", a, b);
    return n > 0 && n < PATH_BYTES ? ERR_OK : err_set(err, ERR_INVALID, "path %s is too long", a);
}

static enum err_code link_files(struct vfs *vfs, const char *from, const char *to,
                                struct err *err) {
    struct file_names files = {.count = 0};
    enum err_code code = vfs_list(vfs, from, note_file, &files, err);
    if (code == ERR_OK && files.too_many) {
        code = err_set(err, ERR_UNSUPPORTED, "unknown files in %s", from);
    }
    code = code != ERR_OK ? code : vfs_mkdir(vfs, to, err);
    for (size_t i = 0; i < files.count && code == ERR_OK; i++) {
        char source[PATH_BYTES];
        char link[PATH_BYTES];
        code = join(source, from, files.items[i], err);
        code = code != ERR_OK ? code : join(link, to, files.items[i], err);
        code = code != ERR_OK ? code : vfs_link(vfs, source, link, err);
    }
    return code != ERR_OK ? code : vfs_sync_dir(vfs, to, err);
}

enum err_code compactor_copy(struct compactor *c, const char *dir, struct err *err) {
    enum err_code code = vfs_mkdir(c->vfs, dir, err);
    for (size_t i = 0; i < c->manifest.partition_count && code == ERR_OK; i++) {
        char name[PARTITION_NAME_MAX];
        char from[PATH_BYTES];
        char to[PATH_BYTES];
        partition_name(name, c->manifest.partitions[i].number, false);
        code = join(from, c->dir, name, err);
        code = code != ERR_OK ? code : join(to, dir, name, err);
        code = code != ERR_OK ? code : link_files(c->vfs, from, to, err);
    }
    bool in_doubt;
    return code != ERR_OK ? code : manifest_store(c->vfs, dir, &c->manifest, 1, &in_doubt, err);
}

static void remove_files(struct vfs *vfs, const char *dir) {
    struct file_names files = {.count = 0};
    (void)!vfs_list(vfs, dir, note_file, &files, NULL);
    for (size_t i = 0; i < files.count; i++) {
        char path[PATH_BYTES];
        if (join(path, dir, files.items[i], NULL) == ERR_OK) {
            (void)!vfs_unlink(vfs, path, NULL);
        }
    }
    (void)!vfs_rmdir(vfs, dir, NULL);
}

void compactor_remove_copy(struct compactor *c, const char *dir) {
    for (size_t i = 0; i < c->manifest.partition_count; i++) {
        char name[PARTITION_NAME_MAX];
        char path[PATH_BYTES];
        partition_name(name, c->manifest.partitions[i].number, false);
        if (join(path, dir, name, NULL) == ERR_OK) {
            remove_files(c->vfs, path);
        }
    }
    remove_files(c->vfs, dir);
}
