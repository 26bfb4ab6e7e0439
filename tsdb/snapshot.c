/* Snapshots.
 *
 *     <path>/snapshots/<name>/partitions/   links, and a manifest           compactor_snapshot.c
 *     <path>/snapshots/<name>/series/       definitions
 *                            /l0/<shard>/   sealed runs
 *                            /wal/<shard>/  empty: the folder says that there is such a shard
 *                            /notes/        exemplars and metadata, written anew
 *                            /tombstones*   as they are
 *
 * The open rows of all groups are sealed first, so that runs and definitions are all there is to
 * keep. Of a folder of append-only files, all but the newest are linked; the newest, which goes on
 * growing, is copied up to where it was while its writer was held back. Runs are taken before
 * definitions, which can only be more than the runs need.
 *
 * The copy grows in <name>.tmp and gets its name when it is whole and synced.
 *
 * WHY NOT the write-ahead log as it is: it keeps whole segments of rows that are sealed long ago. */
#include "tsdb/snapshot.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/duration.h"
#include "base/mem.h"
#include "tsdb/compactor.h"
#include "tsdb/head.h"
#include "tsdb/head_recover.h"
#include "tsdb/record_file.h"
#include "tsdb/tombstone_file.h"

enum { COPY_BYTES = 1 << 20, PATHS_BYTES_MAX = 4 << 20 };

struct folder { /* of record files, half taken */
    const char *from;
    const char *to;
    uint32_t *numbers; /* ascending; all but the last are linked */
    size_t count;
    struct vfs_file *newest; /* to be copied up to size */
    uint64_t size;
};

struct snapshot {
    struct tsdb *db;
    struct vfs *vfs;
    struct arena arena; /* of paths */
    const char *root;   /* with .tmp */
    const char *to;     /* without */
};

void snapshot_name(int64_t unix_s, uint64_t random, char *to, size_t to_bytes) {
    const struct civil t = civil_of_unix(unix_s);
    (void)snprintf(to, to_bytes, "%04" PRId64 "%02d%02dT%02d%02d%02dZ-%016" PRIx64, (int64_t)t.year,
                   t.month, t.day, t.hour, t.minute, t.second, random);
}

static const char *join(struct snapshot *s, const char *a, const char *b) {
    return arena_printf(&s->arena, "%s/%s", a, b).ptr;
}

/* ---- sealing ---- */

static enum err_code seal_group(struct head_group *g, struct err *err) {
    mutex_lock(&g->shard->mu);
    enum err_code code = head_replay_locked(g, err);
    if (code == ERR_OK && g->rows != 0) {
        code = head_seal(g, err);
    }
    mutex_unlock(&g->shard->mu);
    return code;
}

static enum err_code seal_all(struct tsdb *db, struct err *err) {
    mutex_lock(&db->index.mu);
    const uint32_t count = db->group_count;
    mutex_unlock(&db->index.mu);
    enum err_code code = ERR_OK;
    for (uint32_t id = 1; id < count && code == ERR_OK; id++) {
        struct head_group *g = head_group_get(db, id);
        code = g != NULL ? seal_group(g, err) : ERR_OK;
    }
    return code != ERR_OK ? err_wrap(err, "sealing open rows") : ERR_OK;
}

/* ---- a folder ---- */

/* Links what is finished and opens what is not; the writer of the folder is held back. */
static enum err_code take_folder(struct snapshot *s, struct folder *f, struct err *err) {
    enum err_code code = vfs_mkdir(s->vfs, f->to, err);
    code = code != ERR_OK ? code : record_file_list(s->vfs, f->from, &f->numbers, &f->count, err);
    for (size_t i = 0; i + 1 < f->count && code == ERR_OK; i++) {
        char *from = record_file_path(f->from, f->numbers[i]);
        char *to = record_file_path(f->to, f->numbers[i]);
        code = vfs_link(s->vfs, from, to, err);
        mem_free(from);
        mem_free(to);
    }
    if (code == ERR_OK && f->count != 0) {
        char *from = record_file_path(f->from, f->numbers[f->count - 1]);
        code = vfs_open(s->vfs, from, VFS_READ, &f->newest, err);
        mem_free(from);
    }
    return code == ERR_OK && f->newest != NULL ? vfs_file_size(f->newest, &f->size, err) : code;
}

static enum err_code copy_bytes(struct vfs_file *from, struct vfs_file *to, uint64_t size,
                                struct err *err) {
    uint8_t *bytes = mem_alloc(COPY_BYTES);
    enum err_code code = ERR_OK;
    for (uint64_t at = 0; at < size && code == ERR_OK;) {
        const size_t n = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES;
        code = vfs_file_pread(from, bytes, n, at, NULL, err);
        code = code != ERR_OK ? code : vfs_file_pwrite(to, bytes, n, at, err);
        at += n;
    }
    mem_free(bytes);
    return code;
}

static enum err_code copy_newest(struct snapshot *s, const struct folder *f, const char *path,
                                 struct err *err) {
    struct vfs_file *to = NULL;
    enum err_code code = vfs_open(s->vfs, path, VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &to, err);
    code = code != ERR_OK ? code : copy_bytes(f->newest, to, f->size, err);
    code = code != ERR_OK ? code : vfs_file_sync(to, err);
    vfs_file_close(to);
    return code;
}

/* A link's content may not be on disk yet: its writer syncs it in its own time. */
static enum err_code sync_link(struct snapshot *s, const char *path, struct err *err) {
    struct vfs_file *f = NULL;
    enum err_code code = vfs_open(s->vfs, path, VFS_READ, &f, err);
    code = code != ERR_OK ? code : vfs_file_sync(f, err);
    vfs_file_close(f);
    return code;
}

/* The slow part, without any lock. */
static enum err_code finish_folder(struct snapshot *s, const struct folder *f, struct err *err) {
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < f->count && code == ERR_OK; i++) {
        char *path = record_file_path(f->to, f->numbers[i]);
        code = i + 1 < f->count ? sync_link(s, path, err) : copy_newest(s, f, path, err);
        mem_free(path);
    }
    return code != ERR_OK ? code : vfs_sync_dir(s->vfs, f->to, err);
}

static void release_folder(struct folder *f) {
    vfs_file_close(f->newest);
    mem_free(f->numbers);
}

/* ---- the whole ---- */

static enum err_code copy_shard(struct snapshot *s, struct head_shard *shard, struct err *err) {
    char number[16];
    (void)snprintf(number, sizeof(number), "%02u", shard->number);
    const char *l0 = join(s, s->root, "l0");
    struct folder f = {.from = join(s, join(s, s->db->options.path, "l0"), number),
                       .to = join(s, l0, number)};
    mutex_lock(&shard->mu);
    enum err_code code = take_folder(s, &f, err);
    mutex_unlock(&shard->mu);
    code = code != ERR_OK ? code : finish_folder(s, &f, err);
    release_folder(&f);
    return code != ERR_OK ? code : vfs_mkdir(s->vfs, join(s, join(s, s->root, "wal"), number), err);
}

static enum err_code copy_definitions(struct snapshot *s, struct err *err) {
    struct folder f = {.from = join(s, s->db->options.path, "series"),
                       .to = join(s, s->root, "series")};
    mutex_lock(&s->db->define_mu);
    enum err_code code = take_folder(s, &f, err);
    mutex_unlock(&s->db->define_mu);
    code = code != ERR_OK ? code : finish_folder(s, &f, err);
    release_folder(&f);
    return code;
}

static enum err_code make_folders(struct snapshot *s, const char *parent, struct err *err) {
    enum err_code code = vfs_mkdir(s->vfs, parent, err);
    code = code != ERR_OK ? code : vfs_sync_dir(s->vfs, s->db->options.path, err);
    code = code != ERR_OK ? code : vfs_mkdir(s->vfs, s->root, err);
    code = code != ERR_OK ? code : vfs_mkdir(s->vfs, join(s, s->root, "l0"), err);
    return code != ERR_OK ? code : vfs_mkdir(s->vfs, join(s, s->root, "wal"), err);
}

static enum err_code sync_folders(struct snapshot *s, struct err *err) {
    enum err_code code = vfs_sync_dir(s->vfs, join(s, s->root, "l0"), err);
    code = code != ERR_OK ? code : vfs_sync_dir(s->vfs, join(s, s->root, "wal"), err);
    return code != ERR_OK ? code : vfs_sync_dir(s->vfs, s->root, err);
}

static enum err_code copy_all(struct snapshot *s, const char *parent, struct err *err) {
    enum err_code code = make_folders(s, parent, err);
    for (uint32_t i = 0; i < s->db->shard_count && code == ERR_OK; i++) {
        code = copy_shard(s, s->db->shards[i], err);
    }
    code = code != ERR_OK ? code : copy_definitions(s, err);
    code = code != ERR_OK ? code
                          : compactor_copy(s->db->compactor, join(s, s->root, "partitions"), err);
    code = code != ERR_OK ? code : notes_copy(s->db->notes, s->vfs, join(s, s->root, "notes"), err);
    if (code == ERR_OK) {
        struct tombstones *t = tsdb_tombstones(s->db);
        code = t != NULL ? tombstone_file_store(s->vfs, s->root, t, 1, err) : ERR_OK;
        tombstones_unref(t);
    }
    code = code != ERR_OK ? code : sync_folders(s, err);
    code = code != ERR_OK ? code : vfs_rename(s->vfs, s->root, s->to, err);
    return code != ERR_OK ? code : vfs_sync_dir(s->vfs, parent, err);
}

/* Removes record files and the folder; what cannot be removed stays and harms nobody. */
static void remove_folder(struct snapshot *s, const char *dir) {
    uint32_t *numbers = NULL;
    size_t count = 0;
    if (record_file_list(s->vfs, dir, &numbers, &count, NULL) != ERR_OK) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        char *path = record_file_path(dir, numbers[i]);
        const enum err_code code = vfs_unlink(s->vfs, path, NULL);
        (void)code;
        mem_free(path);
    }
    mem_free(numbers);
    const enum err_code code = vfs_rmdir(s->vfs, dir, NULL);
    (void)code;
}

static void remove_all(struct snapshot *s) {
    for (uint32_t i = 0; i < s->db->shard_count; i++) {
        char number[16];
        (void)snprintf(number, sizeof(number), "%02u", i);
        remove_folder(s, join(s, join(s, s->root, "l0"), number));
        remove_folder(s, join(s, join(s, s->root, "wal"), number));
    }
    remove_folder(s, join(s, s->root, "l0"));
    remove_folder(s, join(s, s->root, "wal"));
    remove_folder(s, join(s, s->root, "series"));
    remove_folder(s, join(s, s->root, "notes"));
    compactor_remove_copy(s->db->compactor, join(s, s->root, "partitions"));
    (void)!vfs_unlink(s->vfs, join(s, s->root, TOMBSTONE_FILE_NAME), NULL);
    (void)!vfs_unlink(s->vfs, join(s, s->root, TOMBSTONE_COPY_NAME), NULL);
    remove_folder(s, s->root);
}

enum err_code tsdb_snapshot(struct tsdb *db, bool skip_head, char name[TSDB_SNAPSHOT_NAME_MAX],
                            struct err *err) {
    mutex_lock(&db->open_mu);
    const uint64_t random = rng_u64(&db->options.rng);
    mutex_unlock(&db->open_mu);
    snapshot_name(clock_unix_ms(db->options.clock) / 1000, random, name, TSDB_SNAPSHOT_NAME_MAX);
    struct snapshot s = {.db = db, .vfs = db->options.vfs};
    arena_init(&s.arena, PATHS_BYTES_MAX);
    const char *parent = join(&s, db->options.path, "snapshots");
    s.to = join(&s, parent, name);
    s.root = arena_printf(&s.arena, "%s.tmp", s.to).ptr;
    compactor_hold(db->compactor); /* runs and partitions of one moment */
    enum err_code code = skip_head ? ERR_OK : seal_all(db, err);
    if (code == ERR_OK) {
        code = copy_all(&s, parent, err);
        if (code != ERR_OK) {
            remove_all(&s);
        }
    }
    compactor_let_go(db->compactor);
    arena_release(&s.arena);
    return code != ERR_OK ? err_wrap(err, "create snapshot") : ERR_OK;
}
