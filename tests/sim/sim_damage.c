/* Damage to one file of a sound disk: bits flip, an end is cut off, a page becomes zeros or one of
 * another file, the file goes. `verify` must speak of what the database does not read as it was
 * (FORMAT.md), the database must open, and whatever it gives must have been written. Damage to one file
 * of a manifest, which has two, costs nothing and brings nothing back. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "sim_life.h"
#include "tsdb/verify.h"

enum { FILES_MAX = 512, PATH_BYTES_MAX = 160, PAGE_BYTES = 4096 };

struct disk_files {
    struct vfs *vfs;
    bool manifests; /* they alone; else all others */
    char paths[FILES_MAX][PATH_BYTES_MAX];
    size_t count;
    char dir[PATH_BYTES_MAX];
};

static bool take(void *ctx, const char *name) {
    struct disk_files *all = ctx;
    struct vfs_stat st;
    char path[2 * PATH_BYTES_MAX];
    (void)snprintf(path, sizeof(path), "%s/%s", all->dir, name);
    if (strcmp(name, "snapshots") == 0 || strcmp(name, "quarantine") == 0 ||
        strstr(name, ".tmp") != NULL || vfs_stat(all->vfs, path, &st, NULL) != ERR_OK ||
        (!st.is_dir && (strncmp(name, "MANIFEST", 8) == 0) != all->manifests)) {
        return true;
    }
    if (st.is_dir) {
        char dir[PATH_BYTES_MAX];
        memcpy(dir, all->dir, sizeof(dir));
        (void)snprintf(all->dir, sizeof(all->dir), "%.150s", path);
        (void)!vfs_list(all->vfs, path, take, all, NULL);
        memcpy(all->dir, dir, sizeof(dir));
    } else if (st.size_bytes != 0 && all->count < FILES_MAX) {
        (void)snprintf(all->paths[all->count++], PATH_BYTES_MAX, "%.150s", path);
    }
    return true;
}

/* ---- damage ---- */

enum damage { DAMAGE_BIT, DAMAGE_CUT, DAMAGE_ZEROS, DAMAGE_PAGE, DAMAGE_GONE, DAMAGE_COUNT };

static const char *const damage_names[] = {"bit", "cut", "zeros", "page of another", "gone"};

static size_t used_of(const char *bytes, size_t size) {
    while (size > 0 && bytes[size - 1] == 0) {
        size--;
    }
    return size;
}

static enum err_code put(struct vfs *vfs, const char *path, uint64_t offset, const void *bytes,
                         size_t n, struct err *err) {
    struct vfs_file *f = NULL;
    enum err_code code = vfs_open(vfs, path, VFS_WRITE, &f, err);
    if (code == ERR_OK) {
        code = vfs_file_pwrite(f, bytes, n, offset, err);
        vfs_file_close(f);
    }
    return code;
}

static enum err_code cut(struct vfs *vfs, const char *path, uint64_t size, struct err *err) {
    struct vfs_file *f = NULL;
    enum err_code code = vfs_open(vfs, path, VFS_WRITE, &f, err);
    if (code == ERR_OK) {
        code = vfs_file_truncate(f, size, err);
        vfs_file_close(f);
    }
    return code;
}

/* Writes over bytes of the file; false when that would change nothing. */
static bool overwrite(struct sim *p, struct disk_files *all, const char *path, size_t at,
                      const char *old, size_t room, enum damage kind, struct err *err) {
    char page[PAGE_BYTES] = {0};
    size_t n = room < PAGE_BYTES ? room : PAGE_BYTES;
    if (kind == DAMAGE_BIT) {
        n = 1;
        page[0] = (char)(old[0] ^ (1 << rng_below(&p->rng, 8)));
    } else if (kind == DAMAGE_PAGE) {
        char *other = NULL;
        size_t size = 0;
        const char *from = all->paths[rng_below(&p->rng, all->count)];
        if (vfs_read_file(all->vfs, from, 1 << 24, &other, &size, NULL) == ERR_OK) {
            memcpy(page, other, size < n ? size : n);
        }
        mem_free(other);
    }
    return memcmp(page, old, n) != 0 && put(all->vfs, path, at, page, n, err) == ERR_OK;
}

static bool do_damage(struct sim *p, struct disk_files *all, const char *path, enum damage kind) {
    char *bytes = NULL;
    size_t size = 0;
    struct err err;
    if (vfs_read_file(all->vfs, path, 1 << 24, &bytes, &size, &err) != ERR_OK) {
        sim_fail(p, "reading %s: %s", path, err.text);
        return false;
    }
    const size_t used = used_of(bytes, size);
    const size_t at = used != 0 ? rng_below(&p->rng, used) : 0;
    bool done = used != 0;
    if (kind == DAMAGE_GONE) {
        done = vfs_unlink(all->vfs, path, &err) == ERR_OK;
    } else if (kind == DAMAGE_CUT) {
        done = done && cut(all->vfs, path, at, &err) == ERR_OK;
    } else {
        done = done && overwrite(p, all, path, at, bytes + at, used - at, kind, &err);
    }
    mem_free(bytes);
    sim_say(p, "damage: %s of %s at %zu of %zu%s", damage_names[kind], path, at, used,
            done ? "" : ", which changes nothing");
    return done;
}

/* ---- what comes of it ---- */

struct spoken {
    const char *path;
    bool named;
};

static void on_finding(void *ctx, const struct verify_finding *f) {
    struct spoken *s = ctx;
    s->named |= strstr(f->path, s->path) != NULL || strstr(f->text, s->path) != NULL;
}

/* A cut at the end of a newest file is a write that was never finished; a file that is gone may have
 * been one that nothing needs. So may be a file with a bit that flipped, of the series log or of partitions,
 * of which verify has no word: then (false) nothing must be missing. */
static bool is_spoken_of(struct sim *p, struct mem_vfs *disk, const char *path, enum damage kind) {
    struct spoken spoken = {.path = path};
    struct verify_result result;
    struct err err;
    const enum err_code code =
        verify_database(mem_vfs_base(disk), "db", on_finding, &spoken, &result, &err);
    const bool refused = code == ERR_UNSUPPORTED; /* another format version */
    const bool may_be_idle =
        strstr(path, "/series/") != NULL ||
        (strstr(path, "/partitions/") != NULL && strstr(path, "MANIFEST") == NULL);
    const bool silent = kind == DAMAGE_BIT && !refused && !spoken.named;
    if (code != ERR_OK && !refused) {
        sim_fail(p, "verify of a damaged disk: %s", err.text);
    } else if (silent && result.unfinished_bytes == 0 && !may_be_idle) {
        sim_fail(p, "verify has no word of damage to %s", path);
    }
    return !silent || result.unfinished_bytes != 0;
}

static void read_damaged(struct sim *p, struct mem_vfs *disk, bool spoken) {
    struct tsdb_options options = p->options;
    struct err err;
    options.vfs = mem_vfs_base(disk);
    const enum err_code code = tsdb_open(&options, &p->db, NULL, &err);
    if (code == ERR_UNSUPPORTED) {
        p->db = NULL;
        return;
    }
    if (code != ERR_OK) {
        p->db = NULL;
        sim_fail(p, "opening a damaged disk: %s", err.text);
        return;
    }
    const struct sim_reading r = {.mint = INT64_MIN,
                                  .maxt = INT64_MAX,
                                  .promise = spoken ? SIM_UNDAMAGED : SIM_ACKED,
                                  .damaged = spoken};
    p->st = tsdb_storage(p->db);
    sim_read_all(p, &r);
    tsdb_maintain(p->db);
    sim_read_all(p, &r);
    tsdb_close(p->db);
    p->db = NULL;
}

static void damage_one(struct sim *p, bool manifests) {
    struct mem_vfs *disk =
        mem_vfs_after_crash(p->disk, mem_vfs_op_count(p->disk), MEM_CRASH_KEEP, 0);
    struct disk_files *all = mem_zalloc(sizeof(*all));
    struct err err;
    all->vfs = mem_vfs_base(disk);
    all->manifests = manifests;
    (void)snprintf(all->dir, sizeof(all->dir), "db");
    if (vfs_list(all->vfs, "db", take, all, &err) != ERR_OK) {
        sim_fail(p, "no files: %s", err.text);
    } else if (all->count != 0) {
        const char *path = all->paths[rng_below(&p->rng, all->count)];
        const enum damage kind =
            sim_chance(p, 2) ? DAMAGE_BIT : (enum damage)rng_below(&p->rng, DAMAGE_COUNT);
        if (do_damage(p, all, path, kind)) {
            p->totals->damages++;
            const bool spoken = is_spoken_of(p, disk, path, kind);
            if (!p->failed) {
                read_damaged(p, disk, spoken && !manifests);
            }
        }
    }
    mem_free(all);
    mem_vfs_free(disk);
}

void sim_damage_copy(struct sim *p) {
    damage_one(p, false);
    if (!p->failed) {
        damage_one(p, true);
    }
}
