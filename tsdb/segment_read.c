/* L0 segments: reading runs. The format stands at the top of segment.c. */
#include "tsdb/segment.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tsdb/chunk/ts_column.h"
#include "tsdb/segment_file.h"

enum {
    FIRST_READ_BYTES = 1024,   /* most fronts fit */
    WHOLE_RUN_BYTES = 8 << 10, /* a run up to this is read at once */
};

struct run_page {
    uint32_t first_slot;
    uint32_t slots;
    uint32_t offset; /* in the run */
    uint32_t size;
    uint32_t crc;
    const uint8_t *bytes;     /* NULL until read */
    const uint32_t *ends;     /* NULL until checked: [i] is the end of block i behind blocks_at */
    const uint8_t *constants; /* [i] is SEGMENT_ENTRY_CONSTANTS + value, or 0: see ends */
    uint32_t blocks_at;       /* start of the first block */
};

struct segment_run {
    struct segment_store *store;
    struct segment_file *file;
    struct arena *arena;
    struct segment_run_info info;
    int64_t *ts;
    struct run_page *pages;
    uint32_t page_count;
    uint32_t last_page;          /* where the last look-up ended */
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
    if (c.failed || group > UINT32_MAX || rows == 0 || rows > BLOCK_ROWS_MAX ||
        slots > SEGMENT_SLOTS_MAX || pages > slots || ts_size > cursor_left(&c) ||
        out->pages_bytes >= SEGMENT_RUN_BYTES_MAX ||
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

/* Reads n bytes of the run into the arena. */
static enum err_code read_run(struct segment_run *run, uint32_t offset, size_t n, uint8_t **out,
                              struct err *err) {
    size_t got = 0;
    uint8_t *bytes = arena_try_alloc(run->arena, n, 1);
    if (bytes == NULL) {
        return no_memory(err);
    }
    const enum err_code code =
        vfs_file_pread(run->file->f, bytes, n, (uint64_t)run->info.at.offset + offset, &got, err);
    if (code != ERR_OK) {
        return err_wrap(err, "reading segment %s", run->file->path);
    }
    if (got < n) {
        return corrupt(run, offset, "run is cut short", err);
    }
    *out = bytes;
    return ERR_OK;
}

/* The page table; bytes is NULL or the whole run. */
static enum err_code read_page_table(struct segment_run *run, struct segment_front *front,
                                     uint32_t pages_at, const uint8_t *bytes, struct err *err) {
    struct cursor *c = &front->page_table;
    uint64_t slot = 0;
    uint64_t offset = 0;
    /* Each entry has at least 6 bytes: what a file may ask for is bounded by what it holds. */
    if (front->page_count > cursor_left(c) / 6) {
        return corrupt(run, 0, "bad page table", err);
    }
    run->pages = arena_try_alloc(run->arena, (size_t)front->page_count + 1, sizeof(*run->pages));
    if (run->pages == NULL) {
        return no_memory(err);
    }
    for (uint32_t i = 0; i < front->page_count; i++) {
        const uint64_t slots = cursor_uvarint(c);
        const uint64_t size = cursor_uvarint(c);
        const uint32_t crc = cursor_u32(c);
        if (c->failed || slots == 0 || slots > size || slots > front->slot_count - slot ||
            size > front->pages_bytes - offset) {
            return corrupt(run, 0, "bad page table", err);
        }
        run->pages[i] = (struct run_page){.first_slot = (uint32_t)slot,
                                          .slots = (uint32_t)slots,
                                          .offset = pages_at + (uint32_t)offset,
                                          .size = (uint32_t)size,
                                          .crc = crc};
        if (bytes != NULL) {
            run->pages[i].bytes = bytes + run->pages[i].offset;
        }
        slot += slots;
        offset += size;
    }
    run->page_count = front->page_count;
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

static enum err_code read_ts(struct segment_run *run, const struct segment_front *front,
                             struct err *err) {
    const size_t capacity = (front->rows + 7U) & ~7U;
    run->ts = arena_try_alloc(run->arena, capacity, sizeof(*run->ts));
    if (run->ts == NULL) {
        return no_memory(err);
    }
    if (ts_column_decode(front->ts_bytes, front->ts_size, front->rows, run->ts) != ERR_OK ||
        run->ts[0] != front->min_ts_ms || run->ts[front->rows - 1] != front->max_ts_ms) {
        return corrupt(run, 0, "bad timestamps of the run", err);
    }
    return ERR_OK;
}

static enum err_code read_front(struct segment_run *run, struct err *err) {
    uint8_t *bytes = NULL;
    size_t n = 0;
    struct record_view view;
    struct segment_front front;
    enum err_code code = read_front_bytes(run, &bytes, &n, err);
    if (code != ERR_OK) {
        return code;
    }
    if (record_check(bytes, n, run->file->seed, &view, NULL) != ERR_OK ||
        view.type != SEGMENT_RECORD_RUN ||
        segment_front_parse(view.payload, view.size, &front) != ERR_OK ||
        RECORD_HEADER_BYTES + (uint64_t)view.size + front.pages_bytes != run->info.at.bytes) {
        return corrupt(run, 0, "damaged run header", err);
    }
    const struct segment_location at = run->info.at;
    run->info = (struct segment_run_info){.group = front.group,
                                          .first_row = front.first_row,
                                          .rows = front.rows,
                                          .slot_count = front.slot_count,
                                          .min_ts_ms = front.min_ts_ms,
                                          .max_ts_ms = front.max_ts_ms,
                                          .at = at};
    code = read_ts(run, &front, err);
    if (code != ERR_OK) {
        return code;
    }
    return read_page_table(run, &front, RECORD_HEADER_BYTES + view.size,
                           n == at.bytes ? bytes : NULL, err);
}

enum err_code segment_run_open(struct segment_store *store, struct segment_location at,
                               struct arena *arena, struct segment_run **out, struct err *err) {
    struct segment_file *file = segment_file_ref(store, at.file);
    if (file == NULL) {
        return err_set(err, ERR_NOT_FOUND, "segment %" PRIu32 " of %s is gone", at.file,
                       segment_store_dir(store));
    }
    struct segment_run *run = arena_zalloc(arena, sizeof(*run));
    run->store = store;
    run->file = file;
    run->arena = arena;
    run->info.at = at;
    const enum err_code code = read_front(run, err);
    if (code != ERR_OK) {
        segment_file_unref(store, file);
        return code;
    }
    *out = run;
    return ERR_OK;
}

void segment_run_close(struct segment_run *run) {
    if (run != NULL) {
        segment_file_unref(run->store, run->file);
        run->file = NULL;
    }
}

const struct segment_run_info *segment_run_info(const struct segment_run *run) {
    return &run->info;
}

const int64_t *segment_run_ts(const struct segment_run *run) {
    return run->ts;
}

/* ---- pages ---- */

static uint32_t find_page(struct segment_run *run, uint32_t slot) {
    const struct run_page *last = &run->pages[run->last_page];
    if (slot >= last->first_slot && slot - last->first_slot < last->slots) {
        return run->last_page;
    }
    uint32_t low = 0;
    uint32_t high = run->page_count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (run->pages[middle].first_slot <= slot) {
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
    while (first <= last && run->pages[first].bytes != NULL) {
        first++;
    }
    if (first > last) {
        return ERR_OK;
    }
    const uint32_t from = run->pages[first].offset;
    const uint32_t to = run->pages[last].offset + run->pages[last].size;
    uint8_t *bytes = NULL;
    const enum err_code code = read_run(run, from, to - from, &bytes, err);
    for (uint32_t i = first; i <= last && code == ERR_OK; i++) {
        if (run->pages[i].bytes == NULL) {
            run->pages[i].bytes = bytes + (run->pages[i].offset - from);
        }
    }
    return code;
}

/* Checks a page that is in memory and takes its directory apart. */
static enum err_code check_page(struct segment_run *run, struct run_page *page, struct err *err) {
    if (hash_crc32c(0, page->bytes, page->size) != page->crc) {
        return corrupt(run, page->offset, "page with a wrong checksum", err);
    }
    uint32_t *ends = arena_try_alloc(run->arena, page->slots, sizeof(*ends));
    uint8_t *constants = arena_try_alloc(run->arena, page->slots, sizeof(*constants));
    if (ends == NULL || constants == NULL) {
        return no_memory(err);
    }
    struct cursor c = cursor_of(page->bytes, page->size);
    uint64_t end = 0;
    for (uint32_t i = 0; i < page->slots; i++) {
        const bool one_byte = c.at < c.end && *c.at < 0x80; /* as most are */
        const uint64_t entry = one_byte ? *c.at++ : cursor_uvarint(&c);
        const bool stored = entry > SEGMENT_ENTRY_BLOCKS;
        end += stored ? entry - SEGMENT_ENTRY_BLOCKS : 0;
        if (c.failed || entry > (uint64_t)page->size + SEGMENT_ENTRY_BLOCKS || end > page->size) {
            return corrupt(run, page->offset, "bad page directory", err);
        }
        ends[i] = (uint32_t)end;
        constants[i] = stored ? 0 : (uint8_t)entry;
    }
    if (cursor_left(&c) != end) {
        return corrupt(run, page->offset, "bad page directory", err);
    }
    page->blocks_at = (uint32_t)cursor_offset(&c);
    page->ends = ends;
    page->constants = constants;
    return ERR_OK;
}

enum err_code segment_run_block(struct segment_run *run, uint32_t slot, const uint8_t **out_bytes,
                                size_t *out_n, struct err *err) {
    if (slot >= run->info.slot_count) {
        *out_bytes = NULL;
        *out_n = 0;
        return ERR_OK;
    }
    const uint32_t index = find_page(run, slot);
    struct run_page *page = &run->pages[index];
    enum err_code code = read_pages(run, index, index, err);
    if (code == ERR_OK && page->ends == NULL) {
        code = check_page(run, page, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    const uint32_t i = slot - page->first_slot;
    if (page->constants[i] != 0) {
        *out_bytes = block_one_byte((unsigned)page->constants[i] - SEGMENT_ENTRY_CONSTANTS);
        *out_n = 1;
        return ERR_OK;
    }
    const uint32_t begin = i == 0 ? 0 : page->ends[i - 1];
    *out_n = page->ends[i] - begin;
    *out_bytes = *out_n > 0 ? page->bytes + page->blocks_at + begin : NULL;
    return ERR_OK;
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
        for (uint32_t i = 0; i < run->page_count && code == ERR_OK; i++) {
            code = check_page(run, &run->pages[i], err);
        }
    }
    segment_run_close(run);
    arena_release(&arena);
    return code;
}
