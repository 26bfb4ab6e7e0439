/* L0 segments of a damaged file: runs that are found and slots that can be read hold what was
 * written; everything else is ERR_CORRUPT. Byte 0 picks edits of a good file or raw bytes. */
#include <string.h>

#include "base/check.h"
#include "tests/fuzz/tsdb/edited_file.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/page_cache.h"
#include "tsdb/segment.h"
#include "tsdb/storage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RUNS = 3, ROWS = 8, SLOTS = 400, FOUND_MAX = 64 };

struct found {
    struct segment_run_info runs[FOUND_MAX];
    size_t count;
};

static enum err_code note_run(void *ctx, const struct segment_run_info *run, struct err *err) {
    struct found *found = ctx;
    (void)err;
    if (found->count < FOUND_MAX) {
        found->runs[found->count++] = *run;
    }
    return ERR_OK;
}

static struct segment_store *open_store(struct vfs *vfs, struct page_cache *cache, bool check,
                                        struct found *found) {
    struct segment_store *store = NULL;
    const struct segment_options options = {
        .vfs = vfs, .dir = "/s", .cache = cache, .check_unsynced = check};
    found->count = 0;
    const enum err_code code = segment_store_open(&options, note_run, found, &store, NULL, NULL);
    ASSERT(code == ERR_OK || code == ERR_UNSUPPORTED);
    return store;
}

static struct num value_of(uint32_t group, uint32_t row, uint32_t slot) {
    return num_of_i64(slot % 3 == 0 ? slot : (int64_t)group * 7 + row * 13 + slot * row % 31);
}

static void write_runs(struct segment_store *store) {
    for (uint32_t group = 0; group < RUNS; group++) {
        int64_t ts[ROWS];
        struct segment_run_info info;
        for (uint32_t row = 0; row < ROWS; row++) {
            ts[row] = 1000 + row * 15 + row % 2;
        }
        segment_begin(store, group, group, ts, ROWS);
        for (uint32_t slot = 0; slot < (group == 1 ? SLOTS : 5); slot++) {
            struct num values[ROWS];
            uint8_t states[ROWS];
            for (uint32_t row = 0; row < ROWS; row++) {
                values[row] = value_of(group, row, slot);
                states[row] = SLOT_VALUE;
            }
            segment_add_column(store, values, states);
        }
        ASSERT(segment_commit(store, &info, NULL) == ERR_OK);
    }
}

static void check_slot(struct segment_run *run, uint32_t slot) {
    const struct segment_run_info *info = segment_run_info(run);
    double values[BLOCK_ROWS_MAX + 8];
    uint16_t rows[BLOCK_ROWS_MAX + 8];
    struct block_column column = {.values = values, .rows = rows};
    ASSERT(segment_run_column(run, slot, &column, NULL) == ERR_OK);
    ASSERT(column.count == ROWS && info->rows == ROWS && info->group < RUNS);
    for (uint32_t row = 0; row < ROWS; row++) {
        ASSERT(f64_same_bits(values[row], num_double(value_of(info->group, row, slot))));
    }
}

/* cached: through the cache, where what was read before may be. How many slots can be read. */
static uint32_t read_run(struct segment_store *store, const struct segment_run_info *info,
                         bool edited, bool cached) {
    struct arena arena;
    struct segment_run *run = NULL;
    bool whole = true;
    uint32_t good = 0;
    arena_init(&arena, 16 << 20);
    enum err_code code = cached ? segment_run_open_cached(store, info->at, &arena, &run, NULL)
                                : segment_run_open(store, info->at, &arena, &run, NULL);
    ASSERT(code == ERR_OK || code == ERR_CORRUPT || code == ERR_LIMIT);
    for (uint32_t slot = 0; code == ERR_OK && slot < info->slot_count && slot < 2 * SLOTS; slot++) {
        const uint8_t *bytes = NULL;
        size_t n = 0;
        const enum err_code read = segment_run_block(run, slot, &bytes, &n, NULL);
        ASSERT(read == ERR_OK || read == ERR_CORRUPT || read == ERR_LIMIT);
        whole = whole && read == ERR_OK;
        good += read == ERR_OK ? 1 : 0;
        if (read == ERR_OK && edited) {
            check_slot(run, slot);
        }
    }
    if (edited) {
        ASSERT((segment_verify(store, info->at, NULL) == ERR_OK) == (code == ERR_OK && whole));
    }
    segment_run_close(run);
    arena_release(&arena);
    return good;
}

/* Who checks runs has those that are whole; in bytes of any kind a mark may say what counts. */
static void check_believed(struct vfs *vfs, struct segment_store *store, bool edited,
                           const struct found *all) {
    static struct found believed;
    struct segment_store *checked = open_store(vfs, NULL, true, &believed);
    size_t at = 0;
    ASSERT(checked != NULL);
    for (size_t i = 0; i < all->count; i++) {
        const bool counts =
            at < believed.count && !segment_location_before(all->runs[i].at, believed.runs[at].at);
        const bool whole = segment_verify(store, all->runs[i].at, NULL) == ERR_OK;
        at += counts ? 1 : 0;
        ASSERT(!edited || counts == whole);
    }
    ASSERT(at == believed.count || all->count == FOUND_MAX);
    segment_store_close(checked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct found found;
    if (size < 1) {
        return 0;
    }
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct page_cache *cache = page_cache_new(64 << 10);
    const bool edited = data[0] % 2 == 0;
    struct segment_store *store = open_store(vfs, cache, false, &found);
    if (edited) {
        write_runs(store);
    }
    segment_store_close(store);
    if (edited) {
        edit_file(vfs, "/s/00000001", data + 1, size - 1);
    } else {
        put_file(vfs, "/s/00000001", data + 1, size - 1);
    }
    store = open_store(vfs, cache, false, &found);
    for (size_t i = 0; i < found.count; i++) {
        const uint32_t good = read_run(store, &found.runs[i], edited, false);
        ASSERT(read_run(store, &found.runs[i], edited, true) == good);
        ASSERT(read_run(store, &found.runs[i], edited, true) == good);
    }
    if (store != NULL) {
        check_believed(vfs, store, edited, &found);
        /* and it goes on */
        const size_t before = found.count;
        write_runs(store);
        segment_store_close(store);
        segment_store_close(open_store(vfs, cache, false, &found));
        ASSERT(found.count == (before + RUNS < FOUND_MAX ? before + RUNS : FOUND_MAX));
    }
    page_cache_free(cache);
    mem_vfs_free(disk);
    return 0;
}
