/* Damage to one file of the newest manifest, between any two steps of deletions, cuts, merges and
 * cleaning: nothing is lost and nothing comes back, `verify` names it, opening writes the file anew. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "compact_world.h"
#include "tests/support/check_err.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/mem_vfs.h"
#include "tests/support/thread_check.h"
#include "tsdb/compactor.h"
#include "tsdb/head.h"
#include "tsdb/manifest_file.h"
#include "tsdb/verify.h"

enum { S = COMPACT_BASE_MS, W = COMPACT_WINDOW_MS, PATH_BYTES = 128 };

#define FOLDER "db/partitions"

static void append(struct world *w, const char *labels, int64_t ts_ms, double value) {
    struct storage_appender *a;
    struct err err;
    assert_ok(storage_appender_begin(w->st, &a, &err), &err);
    assert_int_equal(world_append(w, a, labels, ts_ms, value), ERR_OK);
    assert_ok(storage_appender_commit(w->st, a, &err), &err);
}

static void delete_in(struct world *w, const char *matchers, int64_t mint, int64_t maxt) {
    struct matcher m[4];
    struct err err;
    const size_t n = world_matchers(w, matchers, m, 4);
    assert_ok(storage_delete_series(w->st, m, n, mint, maxt, &err), &err);
}

static void compact(struct world *w) {
    struct err err;
    assert_ok(tsdb_compact(w->db, true, &err), &err);
}

static void clean(struct world *w) {
    struct err err;
    assert_ok(storage_clean_tombstones(w->st, &err), &err);
}

static void open_on(struct world *w, struct mem_vfs *disk) {
    compact_world_init(w);
    w->options.vfs = mem_vfs_base(disk);
    w->options.path = "db";
    world_open(w);
}

/* ---- steps ---- */

enum { STEPS_MAX = 16 };

struct steps {
    const char *texts[STEPS_MAX]; /* what is there behind each */
    size_t ops[STEPS_MAX];
    size_t count;
};

static void note(struct steps *s, struct world *w, struct mem_vfs *disk) {
    assert_true(s->count < STEPS_MAX);
    s->texts[s->count] = compact_dump(w);
    s->ops[s->count++] = mem_vfs_op_count(disk);
}

static void fill(struct world *w, int first, int windows) {
    for (int i = first * 8; i < (first + windows) * 8; i++) {
        append(w, "a job=j", S + i * (W / 8), i);
        append(w, "b job=j", S + i * (W / 8), 100 + i);
    }
}

static void play(struct world *w, struct mem_vfs *disk, struct steps *s) {
    fill(w, 0, 3);
    compact(w);
    note(s, w, disk);
    delete_in(w, "__name__=a", S, S + W);
    clean(w); /* a partition in the place of another, and its tombstone goes */
    note(s, w, disk);
    compact(w);
    note(s, w, disk);
    fill(w, 3, 2);
    delete_in(w, "__name__=b", S + 3 * W, S + 4 * W);
    compact(w); /* a cut that leaves out what is deleted */
    note(s, w, disk);
    delete_in(w, "__name__=~.+", S + 3 * W, S + 6 * W);
    clean(w); /* nothing is left of partitions */
    note(s, w, disk);
    compact(w);
    note(s, w, disk);
    fill(w, 6, 1);
    delete_in(w, "__name__=a", S + 6 * W, S + 7 * W);
    compact(w);
    note(s, w, disk);
}

/* ---- damage ---- */

struct newest {
    char name[PATH_BYTES];
    size_t files;
};

static bool note_newest(void *ctx, const char *name) {
    struct newest *n = ctx;
    if (strncmp(name, "MANIFEST-", 9) == 0 && strstr(name, ".tmp") == NULL) {
        const int order = strncmp(name, n->name, strlen("MANIFEST-00000000"));
        if (order > 0) {
            (void)snprintf(n->name, sizeof(n->name), "%.17s", name);
        }
        n->files = order > 0 ? 1 : n->files + (order == 0);
    }
    return true;
}

static struct newest newest_of(struct mem_vfs *disk) {
    struct newest n = {.files = 0};
    assert_int_equal(vfs_list(mem_vfs_base(disk), FOLDER, note_newest, &n, NULL), ERR_OK);
    return n;
}

enum damage { FLIP, CUT, GONE, ZEROS, DAMAGES };

static void damage(struct mem_vfs *disk, const char *path, enum damage kind) {
    struct vfs *vfs = mem_vfs_base(disk);
    struct vfs_file *f = NULL;
    uint8_t bytes[64];
    if (kind == GONE) {
        assert_int_equal(vfs_unlink(vfs, path, NULL), ERR_OK);
        return;
    }
    assert_int_equal(vfs_open(vfs, path, VFS_WRITE, &f, NULL), ERR_OK);
    assert_int_equal(vfs_file_pread(f, bytes, sizeof(bytes), 0, NULL, NULL), ERR_OK);
    bytes[50] ^= 4;
    if (kind == ZEROS) {
        memset(bytes, 0, sizeof(bytes));
    }
    if (kind == CUT) {
        assert_int_equal(vfs_file_truncate(f, 60, NULL), ERR_OK);
    } else {
        assert_int_equal(vfs_file_pwrite(f, bytes, sizeof(bytes), 0, NULL), ERR_OK);
    }
    vfs_file_close(f);
}

struct named {
    const char *path;
    size_t count;
};

static void note_finding(void *ctx, const struct verify_finding *finding) {
    struct named *n = ctx;
    n->count += strstr(finding->text, n->path) != NULL;
}

/* So many findings, all of this path. */
static void assert_findings(struct mem_vfs *disk, const char *path, size_t count) {
    struct named n = {.path = path};
    struct verify_result result;
    struct err err;
    assert_ok(verify_database(mem_vfs_base(disk), "db", note_finding, &n, &result, &err), &err);
    assert_int_equal(result.findings, count);
    assert_int_equal(n.count, count);
}

static void check_damage(struct mem_vfs *disk, size_t op, int file, enum damage kind,
                         const char *want) {
    struct mem_vfs *copy = mem_vfs_after_crash(disk, op, MEM_CRASH_KEEP, op);
    const struct newest newest = newest_of(copy);
    struct world after;
    char path[2 * PATH_BYTES];
    assert_int_equal(newest.files, 2);
    (void)snprintf(path, sizeof(path), FOLDER "/%s%s", newest.name, file == 0 ? "" : ".copy");
    damage(copy, path, kind);
    assert_findings(copy, path, kind != GONE);
    open_on(&after, copy);
    const char *got = compact_dump(&after);
    if (strcmp(got, want) != 0) {
        print_message("behind %zu operations, %s, damage %d\n", op, path, (int)kind);
    }
    compact_assert_same(got, want);
    assert_int_equal(newest_of(copy).files, 2);
    assert_findings(copy, "", 0);
    compact(&after);
    compact_assert_same(compact_dump(&after), want);
    clean(&after);
    compact_assert_same(compact_dump(&after), want);
    world_close(&after);
    assert_findings(copy, "", 0);
    world_release(&after);
    mem_vfs_free(copy);
}

static void damage_to_one_file_loses_nothing_and_brings_nothing_back(void **state) {
    (void)state;
    struct world w;
    struct steps s = {.count = 0};
    struct mem_vfs *disk = mem_vfs_new();
    open_on(&w, disk);
    play(&w, disk, &s);
    for (size_t i = 0; i < s.count; i++) {
        for (int k = 0; k < MANIFEST_FILES * DAMAGES; k += THREAD_CHECK ? 3 : 1) {
            check_damage(disk, s.ops[i], k % MANIFEST_FILES, (enum damage)(k / MANIFEST_FILES),
                         s.texts[i]);
        }
    }
    world_close(&w);
    world_release(&w);
    mem_vfs_free(disk);
}

static bool remove_copy(void *ctx, const char *name) {
    struct vfs *vfs = ctx;
    char path[2 * PATH_BYTES];
    (void)snprintf(path, sizeof(path), FOLDER "/%.100s", name);
    if (strstr(name, ".copy") != NULL) {
        assert_int_equal(vfs_unlink(vfs, path, NULL), ERR_OK);
    }
    return true;
}

static void a_folder_of_manifests_without_copies_is_opened_and_gets_one(void **state) {
    (void)state;
    struct world w;
    struct steps s = {.count = 0};
    struct mem_vfs *disk = mem_vfs_new();
    open_on(&w, disk);
    play(&w, disk, &s);
    world_close(&w);
    assert_int_equal(vfs_list(mem_vfs_base(disk), FOLDER, remove_copy, mem_vfs_base(disk), NULL),
                     ERR_OK);
    assert_int_equal(newest_of(disk).files, 1);
    assert_findings(disk, "", 0);
    world_open(&w);
    assert_int_equal(atomic_load(&w.db->damage_count), 0);
    compact_assert_same(compact_dump(&w), s.texts[s.count - 1]);
    assert_int_equal(newest_of(disk).files, 2);
    world_close(&w);
    world_release(&w);
    mem_vfs_free(disk);
}

/* Opening needs no space; the next round that has some writes the manifest to two files. */
static void what_opening_cannot_write_is_written_by_a_round(void **state) {
    (void)state;
    struct world w;
    struct steps s = {.count = 0};
    struct mem_vfs *disk = mem_vfs_new();
    open_on(&w, disk);
    play(&w, disk, &s);
    world_close(&w);
    char path[2 * PATH_BYTES];
    (void)snprintf(path, sizeof(path), FOLDER "/%s", newest_of(disk).name);
    damage(disk, path, CUT);
    struct fault_vfs *faults = fault_vfs_new(mem_vfs_base(disk));
    w.options.vfs = fault_vfs_base(faults);
    fault_vfs_plan(faults,
                   (struct fault_plan){.ops = FAULT_WRITE, .sys_errno = ENOSPC, .sticky = true});
    world_open(&w);
    assert_int_equal(atomic_load(&w.db->damage_count), 1);
    compact_assert_same(compact_dump(&w), s.texts[s.count - 1]);
    assert_findings(disk, path, 1);
    fault_vfs_plan(faults, (struct fault_plan){0});
    compact(&w);
    assert_int_equal(newest_of(disk).files, 2);
    compact_assert_same(compact_dump(&w), s.texts[s.count - 1]);
    world_close(&w);
    const struct newest newest = newest_of(disk);
    assert_int_equal(newest.files, 2);
    (void)snprintf(path, sizeof(path), FOLDER "/%s", newest.name);
    damage(disk, path, GONE); /* of the one that was written then, either file will do */
    world_open(&w);
    compact_assert_same(compact_dump(&w), s.texts[s.count - 1]);
    assert_findings(disk, "-", 0);
    world_close(&w);
    world_release(&w);
    fault_vfs_free(faults);
    mem_vfs_free(disk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_to_one_file_loses_nothing_and_brings_nothing_back),
        cmocka_unit_test(a_folder_of_manifests_without_copies_is_opened_and_gets_one),
        cmocka_unit_test(what_opening_cannot_write_is_written_by_a_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
