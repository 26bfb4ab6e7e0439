/* The two copies of the tombstones, one of them or both edited: opening never fails, answers stay
 * within what was deleted, one damaged copy costs nothing, and what was read is written and read
 * again the same. */
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tests/fuzz/tsdb/edited_file.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/tombstone_file.h"

enum { SERIES = 6, INTERVALS = 5 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Interval k of series i is [k * 100 + i, k * 100 + i + 10]. */
static struct tombstones *deleted(struct arena *arena) {
    struct tombstone_addition more[SERIES * INTERVALS];
    struct tombstones *t = NULL;
    for (int64_t i = 0; i < SERIES; i++) {
        const struct label label = {STR_INIT("__name__"), arena_printf(arena, "m%d", (int)i)};
        for (int64_t k = 0; k < INTERVALS; k++) {
            more[i * INTERVALS + k] = (struct tombstone_addition){labels_of(arena, &label, 1),
                                                                  {k * 100 + i, k * 100 + i + 10}};
        }
    }
    ASSERT(tombstones_with(NULL, more, SERIES * INTERVALS, &t, NULL) == ERR_OK);
    return t;
}

static struct tombstones *load(struct vfs *vfs, struct tombstone_file_found *found) {
    struct tombstones *t = NULL;
    const struct tombstone_file_options options = {.vfs = vfs, .dir = "db"};
    ASSERT(tombstone_file_load(&options, &t, found, NULL) != ERR_IO);
    return t;
}

static bool same(const struct tombstones *a, const struct tombstones *b) {
    bool equal = tombstones_count(a) == tombstones_count(b);
    for (size_t i = 0; i < tombstones_count(a) && equal; i++) {
        const struct tombstone *x = tombstones_at(a, i);
        const struct tombstone *y = tombstones_at(b, i);
        equal = labels_eq(x->labels, y->labels) && x->count == y->count &&
                memcmp(x->intervals, y->intervals, x->count * sizeof(*x->intervals)) == 0;
    }
    return equal;
}

static void check_within(const struct tombstones *t, const struct tombstones *all) {
    for (size_t i = 0; i < tombstones_count(t); i++) {
        const struct tombstone *x = tombstones_at(t, i);
        const struct tombstone *y = tombstones_find(all, x->labels);
        ASSERT(y != NULL && x->count <= y->count);
        for (uint32_t k = 0; k < x->count; k++) {
            ASSERT(tombstone_covers(y, x->intervals[k].min_ts_ms));
            ASSERT(tombstone_covers(y, x->intervals[k].max_ts_ms));
        }
    }
}

/* Whole bytes of a file, whatever their checksums say: they decode, or are reported. */
static void load_raw(const uint8_t *data, size_t size) {
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct tombstone_file_found found;
    ASSERT(vfs_mkdir(vfs, "db", NULL) == ERR_OK);
    put_file(vfs, "db/" TOMBSTONE_FILE_NAME, data, size);
    struct tombstones *t = load(vfs, &found);
    if (t != NULL) {
        struct tombstones *again;
        ASSERT(tombstone_file_store(vfs, "db", t, found.serial + 1, NULL) == ERR_OK);
        again = load(vfs, &found);
        ASSERT(found.damaged == 0 && same(t, again));
        tombstones_unref(again);
    }
    tombstones_unref(t);
    mem_vfs_free(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    if (data[0] == 0xff) {
        load_raw(data + 1, size - 1);
        return 0;
    }
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct tombstone_file_found found;
    struct arena arena;
    arena_init(&arena, 0);
    struct tombstones *all = deleted(&arena);
    ASSERT(vfs_mkdir(vfs, "db", NULL) == ERR_OK);
    ASSERT(tombstone_file_store(vfs, "db", all, 7, NULL) == ERR_OK);
    const size_t half = data[0] % 3 == 2 ? (size - 1) / 2 : size - 1;
    if (data[0] % 3 != 1) {
        edit_file(vfs, "db/" TOMBSTONE_FILE_NAME, data + 1, half);
    }
    if (data[0] % 3 != 0) {
        edit_file(vfs, "db/" TOMBSTONE_COPY_NAME, data + size - half, half);
    }
    struct tombstones *t = load(vfs, &found);
    check_within(t, all);
    ASSERT(data[0] % 3 == 2 || found.serial == 0 || same(t, all));
    tombstones_unref(t);
    tombstones_unref(all);
    arena_release(&arena);
    mem_vfs_free(disk);
    return 0;
}
