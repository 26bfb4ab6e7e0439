/* frozen: what is read while the owner of a data directory goes on has all that was committed before,
 * whatever is sealed, cut, merged or collected between two calls of the reader; and nothing else. */
#include "tsdb/frozen.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/support/check_err.h"
#include "tests/unit/tsdb/compact_world.h"
#include "tsdb/compactor.h"
#include "tsdb/head.h"
#include "tsdb/verify.h"

/* ---- a disk on which something happens at the n-th look ---- */

struct busy_vfs {
    struct vfs base;
    struct vfs *inner;
    int countdown; /* calls until then; 0: never */
    void (*work)(void *ctx);
    void *ctx;
};

static struct vfs *look(struct vfs *vfs) {
    struct busy_vfs *busy = (struct busy_vfs *)vfs;
    if (busy->countdown > 0 && --busy->countdown == 0) {
        busy->work(busy->ctx);
    }
    return busy->inner;
}

static enum err_code busy_open(struct vfs *vfs, const char *path, unsigned flags,
                               struct vfs_file **out, struct err *err) {
    assert_int_equal(flags, VFS_READ);
    return vfs_open(look(vfs), path, flags, out, err);
}

static enum err_code busy_stat(struct vfs *vfs, const char *path, struct vfs_stat *out,
                               struct err *err) {
    return vfs_stat(look(vfs), path, out, err);
}

static enum err_code busy_list(struct vfs *vfs, const char *path, vfs_list_fn *fn, void *ctx,
                               struct err *err) {
    return vfs_list(look(vfs), path, fn, ctx, err);
}

/* It has no other calls: one that changes something is a crash. */
static const struct vfs_ops busy_ops = {.open = busy_open, .stat = busy_stat, .list = busy_list};

/* ---- reading ---- */

static void open_frozen(struct vfs *vfs, const struct world *of, struct vfs_scratch **folder,
                        struct world *out) {
    struct err err;
    assert_ok(frozen_take(vfs, of->dir, folder, &err), &err);
    *out = *of;
    arena_init(&out->arena, 0);
    out->options.vfs = vfs_scratch_base(*folder);
    out->options.no_lock_file = true;
    out->options.no_compaction = true;
    out->options.registry = NULL;
    world_open(out);
}

static void close_frozen(struct world *w, struct vfs_scratch *folder) {
    world_close(w);
    arena_release(&w->arena);
    vfs_scratch_free(folder);
}

/* One past the labels of a line, and one past the line. */
static const char *name_end(const char *line) {
    const char *end = strstr(line, "} ");
    return end != NULL ? end + 1 : line + strcspn(line, " \n");
}

static const char *next_line(const char *line) {
    line += strcspn(line, "\n");
    return *line == '\n' ? line + 1 : line;
}

/* Every sample of the first dump is in the second; both are sorted. */
static void assert_all_in(const char *some, const char *all) {
    for (; *some != '\0'; some = next_line(some)) {
        const size_t name_len = (size_t)(name_end(some) - some);
        while (*all != '\0' &&
               ((size_t)(name_end(all) - all) != name_len || memcmp(all, some, name_len) != 0)) {
            all = next_line(all);
        }
        const char *s = some + name_len;
        const char *a = all + (*all != '\0' ? name_len : 0);
        while (*s == ' ') {
            const size_t len = 1 + strcspn(s + 1, " \n");
            while (*a == ' ' && (1 + strcspn(a + 1, " \n") != len || memcmp(a, s, len) != 0)) {
                a += 1 + strcspn(a + 1, " \n");
            }
            if (*a != ' ') {
                print_message("missing: %.*s%.*s\n", (int)name_len, some, (int)len, s);
                fail();
            }
            s += len;
        }
    }
}

/* ---- tests ---- */

struct play {
    struct world w;
    struct compact_play p;
    int round;
    bool worked;
};

/* What a server does in a few seconds, and in hours: rows, a sync, sealing, a cut with all that is
 * open or what is over, merging. */
static void go_on(void *ctx) {
    struct play *play = ctx;
    struct err err;
    compact_play_for(&play->p, 1000);
    fake_clock_set_unix_ns(&play->w.clock, play->p.now_ms * 1000000);
    tsdb_maintain(play->w.db);
    if (play->round % 3 != 2) {
        assert_ok(compactor_round(play->w.db->compactor, play->round % 3 == 1, &err), &err);
    }
    compact_play_for(&play->p, 200);
    tsdb_maintain(play->w.db);
    play->worked = true;
}

static void what_was_committed_before_is_read_whatever_happens_meanwhile(void **state) {
    (void)state;
    struct play *play = mem_zalloc(sizeof(*play));
    struct busy_vfs busy = {{&busy_ops}, vfs_system(), 0, go_on, play};
    struct err err;
    compact_world_init(&play->w);
    play->w.options.wal_segment_bytes = 4096; /* they come and go */
    play->w.options.segment_file_bytes = 4096;
    world_open(&play->w);
    compact_play_begin(&play->p, &play->w, 5);
    compact_play_for(&play->p, 70000);
    assert_ok(compactor_round(play->w.db->compactor, false, &err), &err);
    for (play->round = 0;; play->round++) {
        struct world frozen;
        struct vfs_scratch *folder;
        const char *before = compact_dump(&play->w);
        busy.countdown = 1 + play->round;
        play->worked = false;
        open_frozen(&busy.base, &play->w, &folder, &frozen);
        const char *got = compact_dump(&frozen);
        if (play->worked) {
            assert_all_in(before, got);
            assert_all_in(got, compact_dump(&play->w));
        } else {
            compact_assert_same(got, before);
        }
        close_frozen(&frozen, folder);
        arena_reset(&play->w.arena);
        if (!play->worked) {
            break;
        }
    }
    assert_true(play->round > 30);
    compact_play_end(&play->p);
    world_release(&play->w);
    mem_free(play);
}

static void no_finding(void *ctx, const struct verify_finding *f) {
    (void)ctx;
    print_message("%s at %llu: %s\n", f->path, (unsigned long long)f->offset, f->text);
    fail();
}

static void a_directory_in_use_is_verified_without_findings(void **state) {
    (void)state;
    struct play *play = mem_zalloc(sizeof(*play));
    struct busy_vfs busy = {{&busy_ops}, vfs_system(), 0, go_on, play};
    struct err err;
    compact_world_init(&play->w);
    world_open(&play->w);
    compact_play_begin(&play->p, &play->w, 6);
    compact_play_for(&play->p, 70000);
    for (play->round = 0; play->round < 30; play->round++) {
        struct vfs_scratch *folder;
        struct verify_result r;
        busy.countdown = 1 + play->round;
        assert_ok(frozen_take(&busy.base, play->w.dir, &folder, &err), &err);
        assert_ok(
            verify_database(vfs_scratch_base(folder), play->w.dir, no_finding, NULL, &r, &err),
            &err);
        assert_int_equal(r.findings, 0);
        assert_true(r.series > 0);
        vfs_scratch_free(folder);
    }
    compact_play_end(&play->p);
    world_release(&play->w);
    mem_free(play);
}

static void what_is_done_with_it_stays_in_memory(void **state) {
    (void)state;
    struct world w;
    struct world frozen;
    struct compact_play p;
    struct vfs_scratch *folder;
    struct err err;
    compact_world_init(&w);
    world_open(&w);
    compact_play_begin(&p, &w, 7);
    compact_play_for(&p, 30000);
    compact_play_end(&p);
    const char *before = compact_dump(&w);
    open_frozen(vfs_system(), &w, &folder, &frozen);
    compact_play_begin(&p, &frozen, 8);
    p.now_ms += 30000;
    compact_play_for(&p, 50000);
    compact_play_end(&p);
    assert_ok(tsdb_compact(frozen.db, true, &err), &err);
    assert_int_not_equal(strlen(compact_dump(&frozen)), strlen(before));
    close_frozen(&frozen, folder);
    compact_assert_same(compact_dump(&w), before);
    world_close(&w);
    world_open(&w);
    compact_assert_same(compact_dump(&w), before);
    world_release(&w);
}

static bool name_first(void *ctx, const char *name) {
    (void)snprintf(ctx, 64, "%s", name);
    return false;
}

/* Each listing has another name. */
static enum err_code restless_list(struct vfs *vfs, const char *path, vfs_list_fn *fn, void *ctx,
                                   struct err *err) {
    struct busy_vfs *busy = (struct busy_vfs *)vfs;
    char name[32];
    (void)snprintf(name, sizeof(name), "%d", busy->countdown++);
    (void)fn(ctx, name);
    return vfs_list(busy->inner, path, fn, ctx, err);
}

static void what_cannot_be_read_is_an_error_that_names_it(void **state) {
    (void)state;
    struct world w;
    struct vfs_scratch *folder = NULL;
    struct err err;
    char path[128];
    compact_world_init(&w);
    world_open(&w);
    assert_err(frozen_take(vfs_system(), "/nowhere/at/all", &folder, &err), ERR_NOT_FOUND,
               "/nowhere/at/all", &err);
    (void)snprintf(path, sizeof(path), "%s/lock", w.dir);
    assert_err(frozen_take(vfs_system(), path, &folder, &err), ERR_NOT_FOUND, "no folder", &err);
    struct vfs_ops ops = busy_ops;
    ops.list = restless_list;
    struct busy_vfs restless = {.base = {&ops}, .inner = vfs_system(), .countdown = -1000000};
    assert_err(frozen_take(&restless.base, w.dir, &folder, &err), ERR_IO, "faster", &err);
    assert_null(folder);
    char other[64] = "";
    assert_ok(frozen_take(vfs_system(), w.dir, &folder, &err), &err);
    (void)snprintf(path, sizeof(path), "%s/lock", w.dir);
    struct vfs_stat st;
    assert_err(vfs_stat(vfs_scratch_base(folder), path, &st, &err), ERR_NOT_FOUND, "lock", &err);
    assert_ok(vfs_list(vfs_scratch_base(folder), w.dir, name_first, other, &err), &err);
    assert_string_not_equal(other, "");
    vfs_scratch_free(folder);
    world_release(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_committed_before_is_read_whatever_happens_meanwhile),
        cmocka_unit_test(a_directory_in_use_is_verified_without_findings),
        cmocka_unit_test(what_is_done_with_it_stays_in_memory),
        cmocka_unit_test(what_cannot_be_read_is_an_error_that_names_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
