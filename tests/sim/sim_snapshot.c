/* Snapshots: taken while the database lives, opened on a copy of the disk after a loss of power, and
 * compared with the model. And what `verify` says of a sound disk. */
#include <stdio.h>

#include "sim_life.h"
#include "tsdb/verify.h"

enum { SNAPSHOTS_MAX = 4, PATH_MAX_BYTES = 160 };

/* ---- verify ---- */

struct findings {
    size_t count;
    char first[256];
};

static void on_finding(void *ctx, const struct verify_finding *f) {
    struct findings *all = ctx;
    if (all->count++ == 0) {
        (void)snprintf(all->first, sizeof(all->first), "%s at %llu: %s", f->path,
                       (unsigned long long)f->offset, f->text);
    }
}

void sim_expect_no_findings(struct sim *p, struct mem_vfs *disk, const char *path) {
    struct findings all = {.count = 0};
    struct verify_result result;
    struct err err;
    const enum err_code code =
        verify_database(mem_vfs_base(disk), path, on_finding, &all, &result, &err);
    if (code != ERR_OK) {
        sim_fail(p, "verify of %s: %s", path, err.text);
    } else if (all.count != 0) {
        sim_fail(p, "verify of %s has %zu findings: %s", path, all.count, all.first);
    }
}

/* ---- snapshots ---- */

/* Stands in for the database that lives, on a disk that works. */
static void compare_snapshot(struct sim *p, struct mem_vfs *disk, const char *path) {
    struct tsdb *const db = p->db;
    const bool fails = p->fails;
    const bool disk_full = p->disk_full;
    struct tsdb_options options = p->options;
    struct err err;
    options.path = path;
    options.vfs = mem_vfs_base(disk);
    options.shard_count = 1 + (uint32_t)rng_below(&p->rng, 2);
    p->fails = false;
    p->disk_full = false;
    const enum err_code code = tsdb_open(&options, &p->db, NULL, &err);
    if (code != ERR_OK) {
        sim_fail(p, "opening a snapshot: %s", err.text);
    } else {
        const struct sim_reading r = {
            .mint = INT64_MIN, .maxt = INT64_MAX, .promise = SIM_IN_MEMORY};
        p->st = tsdb_storage(p->db);
        sim_read_all(p, &r);
        tsdb_close(p->db);
    }
    p->db = db;
    p->st = tsdb_storage(db);
    p->fails = fails;
    p->disk_full = disk_full;
}

void sim_step_snapshot(struct sim *p) {
    char name[TSDB_SNAPSHOT_NAME_MAX];
    char path[PATH_MAX_BYTES];
    struct err err;
    if (p->snapshots >= SNAPSHOTS_MAX) {
        return;
    }
    const enum err_code code = tsdb_snapshot(p->db, false, name, &err);
    sim_note_failures(p);
    sim_say(p, "snapshot: code %d", code);
    if (code != ERR_OK) {
        if (!p->dirty && !p->dying) {
            sim_fail(p, "a snapshot failed on a good disk: %s", err.text);
        }
        return;
    }
    p->snapshots++;
    p->totals->snapshots++;
    const enum mem_crash how = (enum mem_crash)rng_below(&p->rng, MEM_CRASH_COUNT);
    struct mem_vfs *disk =
        mem_vfs_after_crash(p->disk, mem_vfs_op_count(p->disk), how, rng_u64(&p->rng));
    (void)snprintf(path, sizeof(path), "db/snapshots/%s", name);
    if (!p->torn_bytes && !p->was_cut) { /* else damage may have come along */
        sim_expect_no_findings(p, disk, path);
    }
    if (!p->failed) {
        compare_snapshot(p, disk, path);
    }
    mem_vfs_free(disk);
}
