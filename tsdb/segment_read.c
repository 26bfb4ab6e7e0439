/* L0 segments: reading runs. The format stands at the top of segment.c. */
#include "tsdb/segment.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"
#include "tsdb/chunk/ts_column.h"
#include "tsdb/segment_file.h"
#include "tsdb/segment_page.h"

enum {
    FIRST_READ_BYTES = 1024,   /* most fronts fit */
    WHOLE_RUN_BYTES = 8 << 10, /* a run up to this is read at once */
};

struct front_page {
    uint32_t first_slot;
    uint32_t slots;
    uint32_t offset; /* in the run */
    uint32_t size;
    uint32_t crc;
};

/* What a run's front says: one piece of memory, of the arena or an item of the cache. */
struct run_front {
    struct segment_run_info info;
    uint32_t page_count;
    int64_t *ts;
    struct front_page *pages;
};

struct run_page {
    const struct segment_page *page; /* NULL until it is read and checked */
    const uint8_t *raw;              /* its bytes, if they are in memory already */
    bool pinned;                     /* page is an item of the cache */
};

struct segment_run {
    struct segment_store *store;
    struct segment_file *file;
    struct page_cache *cache; /* NULL: all is in the arena */
    struct arena *arena;
    struct segment_run_info info;
    const struct run_front *front;
    bool front_pinned;
    struct run_page *pages;
    uint32_t last_page;          /* where the last look-up ended */
    struct segment_page_at at;   /* and where in it */
    struct block_ints reference; /* the slot that others were read against last */
    uint32_t reference_slot;
    bool has_reference;
};

enum err_code segment_front_parse(const uint8_t *payload, uint32_t size,
                                  struct segment_front *out) {
    struct cursor c = cursor_of(payload, size);
    out->pages_bytes = cursor_u32(&c);
    const uint64_t group = cursor_uvarint(&c);
    out->first_row = cursor_uvarint(&c);
    const uint64_t rows = cursor_uvarint(&c);
    const uint64_t slots = cursor_uvarint(&c);
    const uint64_t pages = cursor_uvarint(&c);
    out->min_ts_ms = cursor_varint(&c);
    const uint64_t span = cursor_uvarint(&c);
    const uint64_t ts_size = cursor_uvarint(&c);
    if (c.failed || group > UINT32_MAX || out->first_row >= SEGMENT_ROW_END || rows == 0 ||
        rows > BLOCK_ROWS_MAX || slots > SEGMENT_SLOTS_MAX || pages > slots ||
        ts_size > cursor_left(&c) || out->pages_bytes >= SEGMENT_RUN_BYTES_MAX ||
        span > (uint64_t)INT64_MAX - (uint64_t)out->min_ts_ms) {
        return ERR_CORRUPT;
    }
    out->group = (uint32_t)group;
    out->rows = (uint32_t)rows;
    out->slot_count = (uint32_t)slots;
    out->page_count = (uint32_t)pages;
    out->max_ts_ms = (int64_t)((uint64_t)out->min_ts_ms + span);
    out->ts_size = (size_t)ts_size;
    out->ts_bytes = cursor_bytes(&c, out->ts_size);
    out->page_table = c;
    return ERR_OK;
}

static enum err_code corrupt(const struct segment_run *run, uint64_t offset, const char *what,
                             struct err *err) {
    return err_set(err, ERR_CORRUPT, "segment %s: %s at offset %" PRIu64, run->file->path, what,
                   run->info.at.offset + offset);
}

static enum err_code no_memory(struct err *err) {
    return err_set(err, ERR_LIMIT, "reading a segment would take more memory than the query may");
}

static enum err_code read_run_to(struct segment_run *run, uint32_t offset, size_t n, uint8_t *to,
                                 struct err *err) {
    size_t got = 0;
    const enum err_code code =
        vfs_file_pread(run->file->f, to, n, (uint64_t)run->info.at.offset + offset, &got, err);
    if (code != ERR_OK) {
        return err_wrap(err, "reading segment %s", run->file->path);
    }
    return got < n ? corrupt(run, offset, "run is cut short", err) : ERR_OK;
}

/* Reads n bytes of the run into the arena. */
static enum err_code read_run(struct segment_run *run, uint32_t offset, size_t n, uint8_t **out,
                              struct err *err) {
    uint8_t *bytes = arena_try_alloc(run->arena, n, 1);
    if (bytes == NULL) {
        return no_memory(err);
    }
    const enum err_code code = read_run_to(run, offset, n, bytes, err);
    if (code == ERR_OK) {
        *out = bytes;
    }
    return code;
}

/* The page table. */
static enum err_code take_page_table(struct segment_run *run, struct segment_front *front,
                                     uint32_t pages_at, struct run_front *to, struct err *err) {
    struct cursor *c = &front->page_table;
    uint64_t slot = 0;
    uint64_t offset = 0;
    for (uint32_t i = 0; i < front->page_count; i++) {
        const uint64_t slots = cursor_uvarint(c);
        const uint64_t size = cursor_uvarint(c);
        const uint32_t crc = cursor_u32(c);
        if (c->failed || slots == 0 || slots > size || slots > front->slot_count - slot ||
            size > front->pages_bytes - offset) {
            return corrupt(run, 0, "bad page table", err);
        }
        to->pages[i] = (struct front_page){.first_slot = (uint32_t)slot,
                                           .slots = (uint32_t)slots,
                                           .offset = pages_at + (uint32_t)offset,
                                           .size = (uint32_t)size,
                                           .crc = crc};
        slot += slots;
        offset += size;
    }
    if (cursor_left(c) != 0 || slot != front->slot_count || offset != front->pages_bytes) {
        return corrupt(run, 0, "bad page table", err);
    }
    return ERR_OK;
}

/* Record header and front are in memory, and the pages too if the run is small. */
static enum err_code read_front_bytes(struct segment_run *run, uint8_t **out_bytes, size_t *out_n,
                                      struct err *err) {
    const uint32_t bytes = run->info.at.bytes;
    size_t n = bytes <= WHOLE_RUN_BYTES ? bytes : FIRST_READ_BYTES;
    enum err_code code = read_run(run, 0, n, out_bytes, err);
    if (code != ERR_OK) {
        return code;
    }
    const size_t front =
        n < RECORD_HEADER_BYTES ? 0 : RECORD_HEADER_BYTES + (load_u32(*out_bytes) >> 8);
    if (front > n) {
        if (front > bytes) {
            return corrupt(run, 0, "damaged run header", err);
        }
        n = front;
        code = read_run(run, 0, n, out_bytes, err);
    }
    *out_n = n;
    return code;
}

static enum err_code take_ts(struct segment_run *run, const struct segment_front *front,
                             struct run_front *to, struct err *err) {
    if (ts_column_decode(front->ts_bytes, front->ts_size, front->rows, to->ts) != ERR_OK ||
        to->ts[0] != front->min_ts_ms || to->ts[front->rows - 1] != front->max_ts_ms) {
        return corrupt(run, 0, "bad timestamps of the run", err);
    }
    return ERR_OK;
}

static struct page_key key_at(const struct segment_run *run, uint32_t offset) {
    return (struct page_key){run->file->cache_owner, (uint64_t)run->info.at.offset + offset};
}

/* Memory for an item of the cache, or of the arena when there is no room. */
static void *item_alloc(struct segment_run *run, uint32_t offset, size_t bytes, bool *out_cached) {
    void *item = page_cache_begin(run->cache, key_at(run, offset), bytes);
    *out_cached = item != NULL;
    return item != NULL ? item : arena_try_alloc(run->arena, bytes, 1);
}

static enum err_code take_front(struct segment_run *run, struct segment_front *front,
                                uint32_t pages_at, struct err *err) {
    /* Each entry has at least 6 bytes: what a file may ask for is bounded by what it holds. */
    if (front->page_count > cursor_left(&front->page_table) / 6) {
        return corrupt(run, 0, "bad page table", err);
    }
    const size_t ts_bytes = ((front->rows + 7U) & ~7U) * sizeof(int64_t);
    const size_t page_bytes = (size_t)front->page_count * sizeof(struct front_page);
    struct run_front *to =
        item_alloc(run, 0, sizeof(*to) + ts_bytes + page_bytes, &run->front_pinned);
    if (to == NULL) {
        return no_memory(err);
    }
    *to = (struct run_front){.info = {.group = front->group,
                                      .first_row = front->first_row,
                                      .rows = front->rows,
                                      .slot_count = front->slot_count,
                                      .min_ts_ms = front->min_ts_ms,
                                      .max_ts_ms = front->max_ts_ms,
                                      .at = run->info.at},
                             .page_count = front->page_count};
    to->ts = (int64_t *)(to + 1);
    to->pages = (struct front_page *)((char *)(to + 1) + ts_bytes);
    enum err_code code = take_ts(run, front, to, err);
    code = code == ERR_OK ? take_page_table(run, front, pages_at, to, err) : code;
    if (!run->front_pinned) {
        run->front = to;
    } else if (code == ERR_OK) {
        run->front = page_cache_publish(run->cache, to);
    } else {
        page_cache_abandon(run->cache, to);
        run->front_pinned = false;
    }
    return code;
}

static enum err_code read_front(struct segment_run *run, const uint8_t **out_whole,
                                struct err *err) {
    uint8_t *bytes = NULL;
    size_t n = 0;
    struct record_view view;
    struct segment_front front;
    const enum err_code code = read_front_bytes(run, &bytes, &n, err);
    if (code != ERR_OK) {
        return code;
    }
    if (record_check(bytes, n, run->file->seed, &view, NULL) != ERR_OK ||
        view.type != SEGMENT_RECORD_RUN ||
        segment_front_parse(view.payload, view.size, &front) != ERR_OK ||
        RECORD_HEADER_BYTES + (uint64_t)view.size + front.pages_bytes != run->info.at.bytes) {
        return corrupt(run, 0, "damaged run header", err);
    }
    *out_whole = n == run->info.at.bytes ? bytes : NULL;
    return take_front(run, &front, RECORD_HEADER_BYTES + view.size, err);
}

static enum err_code find_front(struct segment_run *run, struct err *err) {
    const uint8_t *whole = NULL;
    enum err_code code = ERR_OK;
    run->front = page_cache_get(run->cache, key_at(run, 0));
    run->front_pinned = run->front != NULL;
    if (run->front == NULL && (code = read_front(run, &whole, err)) != ERR_OK) {
        return code;
    }
    run->info = run->front->info;
    run->pages =
        arena_try_alloc(run->arena, (size_t)run->front->page_count + 1, sizeof(*run->pages));
    if (run->pages == NULL) {
        return no_memory(err);
    }
    for (uint32_t i = 0; i < run->front->page_count; i++) {
        run->pages[i] =
            (struct run_page){.raw = whole != NULL ? whole + run->front->pages[i].offset : NULL};
    }
    return ERR_OK;
}

static enum err_code open_run(struct segment_store *store, struct segment_location at,
                              struct page_cache *cache, struct arena *arena,
                              struct segment_run **out, struct err *err) {
    struct segment_file *file = segment_file_ref(store, at.file);
    if (file == NULL) {
        return err_set(err, ERR_NOT_FOUND, "segment %" PRIu32 " of %s is gone", at.file,
                       segment_store_dir(store));
    }
    struct segment_run *run = arena_zalloc(arena, sizeof(*run));
    run->store = store;
    run->file = file;
    run->cache = cache;
    run->arena = arena;
    run->info.at = at;
    const enum err_code code = find_front(run, err);
    if (code != ERR_OK) {
        segment_run_close(run);
        return code;
    }
    *out = run;
    return ERR_OK;
}

enum err_code segment_run_open(struct segment_store *store, struct segment_location at,
                               struct arena *arena, struct segment_run **out, struct err *err) {
    return open_run(store, at, NULL, arena, out, err);
}

enum err_code segment_run_open_cached(struct segment_store *store, struct segment_location at,
                                      struct arena *arena, struct segment_run **out,
                                      struct err *err) {
    return open_run(store, at, segment_store_cache(store), arena, out, err);
}

static void unpin_all(struct segment_run *run) {
    for (uint32_t i = 0; run->pages != NULL && i < run->front->page_count; i++) {
        if (run->pages[i].pinned) {
            page_cache_unpin(run->cache, run->pages[i].page);
        }
    }
    if (run->front_pinned) {
        page_cache_unpin(run->cache, run->front);
    }
}

void segment_run_close(struct segment_run *run) {
    if (run != NULL) {
        if (run->cache != NULL) {
            unpin_all(run);
        }
        segment_file_unref(run->store, run->file);
        run->file = NULL;
    }
}

const struct segment_run_info *segment_run_info(const struct segment_run *run) {
    return &run->info;
}

const int64_t *segment_run_ts(const struct segment_run *run) {
    return run->front->ts;
}

/* ---- pages ---- */

static uint32_t find_page(struct segment_run *run, uint32_t slot) {
    const struct front_page *pages = run->front->pages;
    const struct front_page *last = &pages[run->last_page];
    if (slot >= last->first_slot && slot - last->first_slot < last->slots) {
        return run->last_page;
    }
    uint32_t low = 0;
    uint32_t high = run->front->page_count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (pages[middle].first_slot <= slot) {
            low = middle;
        } else {
            high = middle;
        }
    }
    run->last_page = low;
    return low;
}

/* Reads pages first .. last with one read, unless they are in memory. */
static enum err_code read_pages(struct segment_run *run, uint32_t first, uint32_t last,
                                struct err *err) {
    const struct front_page *pages = run->front->pages;
    while (first <= last && run->pages[first].raw != NULL) {
        first++;
    }
    if (first > last) {
        return ERR_OK;
    }
    const uint32_t from = pages[first].offset;
    const uint32_t to = pages[last].offset + pages[last].size;
    uint8_t *bytes = NULL;
    const enum err_code code = read_run(run, from, to - from, &bytes, err);
    for (uint32_t i = first; i <= last && code == ERR_OK; i++) {
        if (run->pages[i].raw == NULL) {
            run->pages[i].raw = bytes + (pages[i].offset - from);
        }
    }
    return code;
}

/* The bytes of a page that goes to the cache: read right there. */
static enum err_code fill_item(struct segment_run *run, uint32_t index, uint8_t *to,
                               struct err *err) {
    const struct front_page *p = &run->front->pages[index];
    if (run->pages[index].raw != NULL) {
        memcpy(to, run->pages[index].raw, p->size);
        return ERR_OK;
    }
    return read_run_to(run, p->offset, p->size, to, err);
}

/* Reads a page and checks it. */
static enum err_code make_page(struct segment_run *run, uint32_t index, struct err *err) {
    const struct front_page *p = &run->front->pages[index];
    struct run_page *to = &run->pages[index];
    const size_t marks = segment_page_mark_count(p->slots) * sizeof(struct segment_page_mark);
    const size_t head = sizeof(struct segment_page) + marks;
    struct segment_page *page =
        page_cache_begin(run->cache, key_at(run, p->offset), head + p->size);
    const bool cached = page != NULL;
    enum err_code code = ERR_OK;
    if (cached) {
        code = fill_item(run, index, (uint8_t *)page + head, err);
    } else {
        code = read_pages(run, index, index, err);
        page = arena_try_alloc(run->arena, head, 1);
        code = code == ERR_OK && page == NULL ? no_memory(err) : code;
    }
    const char *what;
    if (code == ERR_OK &&
        segment_page_check(cached ? (uint8_t *)page + head : to->raw, p->size, p->crc, p->slots,
                           (struct segment_page_mark *)(page + 1), page, &what) != ERR_OK) {
        code = corrupt(run, p->offset, what, err);
    }
    if (cached && code != ERR_OK) {
        page_cache_abandon(run->cache, page);
    } else if (code == ERR_OK) {
        to->page = cached ? page_cache_publish(run->cache, page) : page;
        to->pinned = cached;
    }
    return code;
}

static enum err_code need_page(struct segment_run *run, uint32_t index, struct err *err) {
    struct run_page *to = &run->pages[index];
    if (to->page != NULL) {
        return ERR_OK;
    }
    to->page = page_cache_get(run->cache, key_at(run, run->front->pages[index].offset));
    to->pinned = to->page != NULL;
    return to->pinned ? ERR_OK : make_page(run, index, err);
}

enum err_code segment_run_block(struct segment_run *run, uint32_t slot, const uint8_t **out_bytes,
                                size_t *out_n, struct err *err) {
    if (slot >= run->info.slot_count) {
        *out_bytes = NULL;
        *out_n = 0;
        return ERR_OK;
    }
    const uint32_t index = find_page(run, slot);
    const enum err_code code = need_page(run, index, err);
    if (code == ERR_OK) {
        segment_page_block(run->pages[index].page, slot - run->front->pages[index].first_slot,
                           &run->at, out_bytes, out_n);
    }
    return code;
}

static enum err_code damaged_block(struct segment_run *run, uint32_t slot, enum err_code code,
                                   struct err *err) {
    return err_set(err, code,
                   "segment %s: damaged block of slot %" PRIu32 ", group %" PRIu32
                   ", run at offset %" PRIu32,
                   run->file->path, slot, run->info.group, run->info.at.offset);
}

static enum err_code allocate_reference(struct segment_run *run, struct err *err) {
    const uint32_t capacity = block_decode_capacity(run->info.rows);
    struct block_ints *ints = &run->reference;
    ints->m = arena_try_alloc(run->arena, capacity, sizeof(*ints->m));
    ints->stale = arena_try_alloc(run->arena, capacity, sizeof(*ints->stale));
    ints->rows = arena_try_alloc(run->arena, capacity, sizeof(*ints->rows));
    return ints->m == NULL || ints->stale == NULL || ints->rows == NULL ? no_memory(err) : ERR_OK;
}

/* The integers that the block of slot builds on. */
static enum err_code load_reference(struct segment_run *run, uint32_t slot, unsigned back,
                                    struct err *err) {
    if (back > slot) {
        return damaged_block(run, slot, ERR_CORRUPT, err);
    }
    const uint32_t wanted = slot - back;
    if (run->has_reference && run->reference_slot == wanted) {
        return ERR_OK;
    }
    const uint8_t *bytes = NULL;
    size_t n = 0;
    run->has_reference = false;
    enum err_code code = run->reference.rows == NULL ? allocate_reference(run, err) : ERR_OK;
    if (code == ERR_OK) {
        code = segment_run_block(run, wanted, &bytes, &n, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    code = block_decode_ints(bytes, n, run->info.rows, NULL, &run->reference);
    if (code != ERR_OK) {
        return damaged_block(run, wanted, code, err);
    }
    run->reference_slot = wanted;
    run->has_reference = true;
    return ERR_OK;
}

/* A block, and what it builds on or NULL. */
static enum err_code find_block(struct segment_run *run, uint32_t slot, const uint8_t **out_bytes,
                                size_t *out_n, const struct block_ints **out_reference,
                                struct err *err) {
    enum err_code code = segment_run_block(run, slot, out_bytes, out_n, err);
    const unsigned back = code == ERR_OK ? block_reference(*out_bytes, *out_n) : 0;
    *out_reference = NULL;
    if (back != 0) {
        code = load_reference(run, slot, back, err);
        *out_reference = &run->reference;
    }
    return code;
}

enum err_code segment_run_column(struct segment_run *run, uint32_t slot, struct block_column *out,
                                 struct err *err) {
    const uint8_t *bytes;
    size_t n;
    const struct block_ints *reference;
    enum err_code code = find_block(run, slot, &bytes, &n, &reference, err);
    if (code != ERR_OK) {
        return code;
    }
    code = block_decode(bytes, n, run->info.rows, reference, out);
    return code != ERR_OK ? damaged_block(run, slot, code, err) : ERR_OK;
}

enum err_code segment_run_ints(struct segment_run *run, uint32_t slot, struct block_ints *out,
                               struct err *err) {
    const uint8_t *bytes;
    size_t n;
    const struct block_ints *reference;
    enum err_code code = find_block(run, slot, &bytes, &n, &reference, err);
    if (code != ERR_OK) {
        return code;
    }
    code = block_decode_ints(bytes, n, run->info.rows, reference, out);
    return code != ERR_OK ? damaged_block(run, slot, code, err) : ERR_OK;
}

enum err_code segment_run_load(struct segment_run *run, uint32_t first, uint32_t count,
                               struct err *err) {
    if (count == 0 || first >= run->info.slot_count) {
        return ERR_OK;
    }
    const uint32_t left = run->info.slot_count - first;
    const uint32_t last = first + (count < left ? count : left) - 1;
    return read_pages(run, find_page(run, first), find_page(run, last), err);
}

enum err_code segment_verify(struct segment_store *store, struct segment_location at,
                             struct err *err) {
    struct arena arena;
    struct segment_run *run = NULL;
    arena_init(&arena, 0);
    enum err_code code = segment_run_open(store, at, &arena, &run, err);
    if (code == ERR_OK) {
        code = segment_run_load(run, 0, run->info.slot_count, err);
        for (uint32_t i = 0; i < run->front->page_count && code == ERR_OK; i++) {
            code = need_page(run, i, err);
        }
    }
    segment_run_close(run);
    arena_release(&arena);
    return code;
}
