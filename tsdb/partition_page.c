/* Reading pages. FORMAT.md section 10.4. */
#include "tsdb/partition_page.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"

/* ---- the directory ---- */

static enum err_code directory_entry(struct partition *p, uint32_t page, const uint8_t **out,
                                     struct err *err) {
    return partition_bytes(p, SECTION_PAGES, (uint64_t)page * PARTITION_PAGE_ENTRY_BYTES,
                           PARTITION_PAGE_ENTRY_BYTES, out, err);
}

enum err_code partition_page_of(struct partition *p, uint32_t series, uint32_t *out,
                                struct err *err) {
    uint32_t low = 0;
    uint32_t high = p->page_count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        const uint8_t *entry;
        const enum err_code code = directory_entry(p, middle, &entry, err);
        if (code != ERR_OK) {
            return code;
        }
        if (load_u32(entry + 8) <= series) {
            low = middle;
        } else {
            high = middle;
        }
    }
    *out = low;
    return high != 0 ? ERR_OK : partition_bad_index(p, SECTION_PAGES, 0, err);
}

enum err_code partition_page_place(struct partition *p, uint32_t page, struct page_place *out,
                                   struct err *err) {
    const bool last = page + 1 == p->page_count;
    const uint8_t *entry;
    ASSERT(page < p->page_count);
    const enum err_code code =
        partition_bytes(p, SECTION_PAGES, (uint64_t)page * PARTITION_PAGE_ENTRY_BYTES,
                        (last ? 1 : 2) * (uint64_t)PARTITION_PAGE_ENTRY_BYTES, &entry, err);
    if (code != ERR_OK) {
        return code;
    }
    const uint8_t *next = entry + PARTITION_PAGE_ENTRY_BYTES;
    const uint64_t end = last ? p->info.data_bytes : load_u64(next);
    const uint32_t end_series = last ? p->info.series_count : load_u32(next + 8);
    *out = (struct page_place){.number = page};
    out->offset = load_u64(entry);
    out->first_series = load_u32(entry + 8);
    out->head_bytes = load_u32(entry + 12);
    out->crc = load_u32(entry + 16);
    if (end > p->info.data_bytes || out->offset < PARTITION_DATA_HEADER_BYTES ||
        out->offset >= end || end - out->offset > PARTITION_PAGE_MAX || out->head_bytes < 2 ||
        out->head_bytes > end - out->offset || end_series > p->info.series_count ||
        out->first_series >= end_series || (page == 0 && out->first_series != 0)) {
        return partition_bad_index(p, SECTION_PAGES, (uint64_t)page * PARTITION_PAGE_ENTRY_BYTES,
                                   err);
    }
    out->size = (uint32_t)(end - out->offset);
    out->series_count = end_series - out->first_series;
    return ERR_OK;
}

/* ---- taking a page apart ---- */

static enum err_code damaged(const struct partition *p, uint64_t offset, const char *what,
                             struct err *err) {
    return err_set(err, ERR_CORRUPT, "partition file %s: %s at offset %" PRIu64, p->data_path, what,
                   offset);
}

static enum err_code no_memory(struct err *err) {
    return err_set(err, ERR_LIMIT, "query needs more memory than its budget to read a page");
}

void partition_page_report(struct partition *p, uint32_t number, const struct err *err) {
    const uint64_t bit = UINT64_C(1) << number % 64;
    if ((atomic_fetch_or(&p->damaged_pages[number / 64], bit) & bit) == 0) {
        partition_report(p, err);
    }
}

/* Keys ascend, so no series can name a column twice. */
static bool take_keys(struct partition_page *page, struct cursor *c, struct page_series *series,
                      bool *out_memory) {
    const uint64_t n = cursor_uvarint(c);
    if (c->failed || n == 0 || n > cursor_left(c)) {
        return false;
    }
    struct column_key *keys = arena_try_alloc(page->arena, (size_t)n, sizeof(*keys));
    if (keys == NULL) {
        *out_memory = false;
        return false;
    }
    struct column_key before = {0};
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t word = cursor_uvarint(c);
        const bool same = (word & KEY_SAME_LAYOUT) != 0;
        struct column_key key = {.kind = (uint8_t)(word & (KEY_SAME_LAYOUT - 1))};
        const uint64_t layout = same ? before.layout : cursor_uvarint(c);
        if (word >= KEY_SAME_LAYOUT * 2 || layout > page->p->info.layout_count) {
            return false;
        }
        key.layout = (uint32_t)layout;
        if (column_is_bucket(key.kind)) {
            const int64_t from = same && key.kind == before.kind ? before.bucket : 0;
            const int64_t step = cursor_varint(c);
            if (step > UINT32_MAX || step < -(int64_t)UINT32_MAX || from + step > INT32_MAX ||
                from + step < INT32_MIN) {
                return false;
            }
            key.bucket = (int32_t)(from + step);
        }
        if (c->failed || !column_key_valid(key) || (i != 0 && column_key_cmp(before, key) >= 0)) {
            return false;
        }
        keys[i] = key;
        before = key;
    }
    series->keys = keys;
    series->column_count = (uint32_t)n;
    return true;
}

static bool take_entries(struct partition_page *page, struct cursor *c, struct page_series *series,
                         uint64_t *io_offset, bool *out_memory) {
    const size_t n = (size_t)series->block_count * series->column_count;
    if (n > cursor_left(c)) {
        return false;
    }
    uint32_t *entries = arena_try_alloc(page->arena, n * 2 + 1, sizeof(*entries));
    if (entries == NULL) {
        *out_memory = false;
        return false;
    }
    uint32_t *offsets = entries + n;
    for (size_t i = 0; i < n; i++) {
        const uint64_t entry = cursor_uvarint(c);
        if (c->failed || entry > (uint64_t)page->place.size + ENTRY_BLOCKS) {
            return false;
        }
        entries[i] = (uint32_t)entry;
        offsets[i] = (uint32_t)*io_offset;
        *io_offset += entry > ENTRY_BLOCKS ? entry - ENTRY_BLOCKS : 0;
        if (*io_offset > page->place.size) {
            return false;
        }
    }
    offsets[n] = (uint32_t)*io_offset;
    series->entries = entries;
    series->offsets = offsets;
    return true;
}

static bool take_series(struct partition_page *page, struct cursor *c, struct page_series *series,
                        uint64_t *io_offset, bool *out_memory) {
    const uint64_t word = cursor_uvarint(c);
    const uint64_t first = (word & WORD_FIRST_BLOCK) != 0 ? cursor_uvarint(c) : 0;
    const uint64_t count = word >> WORD_BITS;
    if (c->failed || count == 0 || count > cursor_left(c) || first > UINT32_MAX - count) {
        return false;
    }
    *series = (struct page_series){.first_block = (uint32_t)first,
                                   .block_count = (uint32_t)count,
                                   .column_count = 1,
                                   .first_column = page->column_count};
    if ((word & WORD_COLUMNS) != 0 && !take_keys(page, c, series, out_memory)) {
        return false;
    }
    page->column_count += series->column_count;
    return take_entries(page, c, series, io_offset, out_memory);
}

static bool take_pieces(struct partition_page *page, struct cursor *c, uint64_t blocks_bytes,
                        bool *out_memory) {
    const uint64_t n = cursor_uvarint(c);
    if (c->failed || n == 0 || n > cursor_left(c) / 5) {
        return false;
    }
    page->pieces = arena_try_alloc(page->arena, (size_t)n, sizeof(*page->pieces));
    if (page->pieces == NULL) {
        *out_memory = false;
        return false;
    }
    uint64_t offset = 0;
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t size = cursor_uvarint(c);
        const uint32_t crc = cursor_u32(c);
        if (c->failed || size == 0 || size > blocks_bytes - offset) {
            return false;
        }
        page->pieces[i] =
            (struct page_piece){.offset = (uint32_t)offset, .size = (uint32_t)size, .crc = crc};
        offset += size;
    }
    page->piece_count = (uint32_t)n;
    return offset == blocks_bytes;
}

static bool map_columns(struct partition_page *page) {
    page->column_series =
        arena_try_alloc(page->arena, page->column_count, sizeof(*page->column_series));
    for (uint32_t s = 0; page->column_series != NULL && s < page->place.series_count; s++) {
        for (uint32_t c = 0; c < page->series[s].column_count; c++) {
            page->column_series[page->series[s].first_column + c] = s;
        }
    }
    return page->column_series != NULL;
}

static bool parse(struct partition_page *page, bool *out_memory) {
    const struct page_place *place = &page->place;
    struct cursor c = cursor_of(page->head, place->head_bytes);
    const uint8_t flags = cursor_u8(&c);
    const bool pieces = (flags & PAGE_PIECES) != 0;
    uint64_t offset = 0;
    if (flags > PAGE_PIECES || place->series_count > place->head_bytes / 2 ||
        pieces == (place->head_bytes == place->size)) {
        return false;
    }
    page->series = arena_try_alloc(page->arena, place->series_count, sizeof(*page->series));
    *out_memory = page->series != NULL;
    for (uint32_t i = 0; i < place->series_count && *out_memory; i++) {
        if (!take_series(page, &c, &page->series[i], &offset, out_memory)) {
            return false;
        }
    }
    if (*out_memory && pieces) {
        if (!take_pieces(page, &c, offset, out_memory)) {
            return false;
        }
        page->blocks_at = place->head_bytes;
        return cursor_left(&c) == 0 && offset == place->size - place->head_bytes;
    }
    page->blocks_at = (uint32_t)cursor_offset(&c);
    return *out_memory && cursor_left(&c) == offset;
}

static enum err_code read_head(struct partition_page *page, struct err *err) {
    size_t got = 0;
    uint8_t *bytes = arena_try_alloc(page->arena, page->place.head_bytes, 1);
    if (bytes == NULL) {
        return no_memory(err);
    }
    const enum err_code code =
        vfs_file_pread(page->p->data, bytes, page->place.head_bytes, page->place.offset, &got, err);
    if (code != ERR_OK) {
        return err_wrap(err, "reading partition file %s", page->p->data_path);
    }
    page->head = bytes;
    return got == page->place.head_bytes
               ? ERR_OK
               : damaged(page->p, page->place.offset, "page is cut short", err);
}

static enum err_code load(struct partition_page *page, struct err *err) {
    const struct page_place *place = &page->place;
    if (page->head == NULL) {
        const enum err_code code = read_head(page, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    bool memory = true;
    if (hash_crc32c(partition_crc_seed(page->p->info.number, place->first_series), page->head,
                    place->head_bytes) != place->crc) {
        return damaged(page->p, place->offset, "page with a wrong checksum", err);
    }
    if (!parse(page, &memory)) {
        return memory ? damaged(page->p, place->offset, "bad page", err) : no_memory(err);
    }
    return map_columns(page) ? ERR_OK : no_memory(err);
}

enum err_code partition_page_load(struct partition *p, uint32_t number, const uint8_t *bytes,
                                  struct arena *arena, struct partition_page *out,
                                  struct err *err) {
    *out = (struct partition_page){.p = p, .arena = arena, .number = number, .head = bytes};
    enum err_code code = partition_page_place(p, number, &out->place, err);
    if (code != ERR_OK) {
        return code;
    }
    code = load(out, err);
    if (code == ERR_CORRUPT) {
        partition_page_report(p, number, err);
    }
    return code;
}

/* ---- blocks ---- */

static struct page_piece *find_piece(struct partition_page *page, uint32_t offset) {
    struct page_piece *last = &page->pieces[page->last_piece];
    if (offset >= last->offset && offset - last->offset < last->size) {
        return last;
    }
    uint32_t low = 0;
    uint32_t high = page->piece_count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (page->pieces[middle].offset <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    page->last_piece = low;
    return &page->pieces[low];
}

static enum err_code read_piece(struct partition_page *page, struct page_piece *piece,
                                struct err *err) {
    size_t got = 0;
    const uint64_t offset = page->place.offset + page->blocks_at + piece->offset;
    uint8_t *bytes = arena_try_alloc(page->arena, piece->size, 1);
    if (bytes == NULL) {
        return no_memory(err);
    }
    const enum err_code code = vfs_file_pread(page->p->data, bytes, piece->size, offset, &got, err);
    if (code != ERR_OK) {
        return err_wrap(err, "reading partition file %s", page->p->data_path);
    }
    if (got != piece->size ||
        partition_piece_crc(page->p->info.number, page->place.first_series,
                            (uint32_t)(piece - page->pieces), bytes, piece->size) != piece->crc) {
        return damaged(page->p, offset, "piece with a wrong checksum", err);
    }
    piece->bytes = bytes;
    return ERR_OK;
}

enum err_code partition_page_block(struct partition_page *page, const struct page_series *series,
                                   uint32_t column, uint32_t block, const uint8_t **out,
                                   size_t *out_n, struct err *err) {
    *out = NULL;
    *out_n = 0;
    if (block < series->first_block || block - series->first_block >= series->block_count) {
        return ERR_OK;
    }
    const size_t i = (size_t)(block - series->first_block) * series->column_count + column;
    const uint32_t entry = series->entries[i];
    if (entry <= ENTRY_BLOCKS) {
        if (entry != ENTRY_ABSENT) {
            *out = block_one_byte(entry - ENTRY_CONSTANTS);
            *out_n = 1;
        }
        return ERR_OK;
    }
    const uint32_t offset = series->offsets[i];
    const uint32_t size = entry - ENTRY_BLOCKS;
    *out_n = size;
    if (page->pieces == NULL) {
        *out = page->head + page->blocks_at + offset;
        return ERR_OK;
    }
    struct page_piece *piece = find_piece(page, offset);
    if (offset - piece->offset > piece->size || size > piece->size - (offset - piece->offset)) {
        return damaged(page->p, page->place.offset, "block across pieces", err);
    }
    const enum err_code code = piece->bytes == NULL ? read_piece(page, piece, err) : ERR_OK;
    if (code == ERR_OK) {
        *out = piece->bytes + (offset - piece->offset);
    } else if (code == ERR_CORRUPT) {
        partition_page_report(page->p, page->number, err);
    }
    return code;
}

static enum err_code damaged_block(struct partition_page *page, const struct page_series *series,
                                   uint32_t column, uint32_t block, struct err *err) {
    struct err report;
    (void)err_set(&report, ERR_CORRUPT,
                  "partition file %s: damaged block %" PRIu32 " of series %" PRIu32
                  ", column %" PRIu32 ", page at offset %" PRIu64,
                  page->p->data_path, block,
                  page->place.first_series + (uint32_t)(series - page->series), column,
                  page->place.offset);
    partition_page_report(page->p, page->number, &report);
    if (err != NULL) {
        *err = report;
    }
    return ERR_CORRUPT;
}

static bool reference_memory(struct partition_page *page) {
    struct block_ints *ints = &page->reference;
    const uint32_t capacity = block_decode_capacity(BLOCK_ROWS_MAX);
    if (ints->rows != NULL) {
        return true;
    }
    ints->m = arena_try_alloc(page->arena, capacity, sizeof(*ints->m));
    ints->stale = arena_try_alloc(page->arena, capacity, sizeof(*ints->stale));
    uint16_t *rows = arena_try_alloc(page->arena, capacity, sizeof(*rows));
    if (ints->m == NULL || ints->stale == NULL || rows == NULL) {
        return false;
    }
    ints->rows = rows;
    return true;
}

/* The integers that a block builds on; *out is NULL when it needs none. */
static enum err_code load_reference(struct partition_page *page, const struct page_series *series,
                                    uint32_t column, uint32_t block, uint32_t rows,
                                    const uint8_t *bytes, size_t n, const struct block_ints **out,
                                    struct err *err) {
    const unsigned back = block_reference(bytes, n);
    const uint32_t own = series->first_column + column;
    *out = NULL;
    if (back == 0) {
        return ERR_OK;
    }
    if (back > own) {
        return damaged_block(page, series, column, block, err);
    }
    const uint32_t wanted = own - back;
    *out = &page->reference;
    if (page->has_reference && page->reference_column == wanted && page->reference_block == block) {
        return ERR_OK;
    }
    page->has_reference = false;
    if (!reference_memory(page)) {
        return no_memory(err);
    }
    const struct page_series *other = &page->series[page->column_series[wanted]];
    const enum err_code code =
        partition_page_block(page, other, wanted - other->first_column, block, &bytes, &n, err);
    if (code != ERR_OK) {
        return code;
    }
    if (block_reference(bytes, n) != 0 ||
        block_decode_ints(bytes, n, rows, NULL, &page->reference) != ERR_OK) {
        return damaged_block(page, series, column, block, err);
    }
    page->has_reference = true;
    page->reference_column = wanted;
    page->reference_block = block;
    return ERR_OK;
}

struct loaded_block {
    const uint8_t *bytes;
    size_t size;
    const struct block_ints *reference; /* NULL: it has none */
};

/* A block and the one that it refers to. */
static enum err_code load_block(struct partition_page *page, const struct page_series *series,
                                uint32_t column, uint32_t block, uint32_t rows,
                                struct loaded_block *out, struct err *err) {
    *out = (struct loaded_block){0};
    const enum err_code code =
        partition_page_block(page, series, column, block, &out->bytes, &out->size, err);
    return code == ERR_OK ? load_reference(page, series, column, block, rows, out->bytes, out->size,
                                           &out->reference, err)
                          : code;
}

enum err_code partition_page_column(struct partition_page *page, const struct page_series *series,
                                    uint32_t column, uint32_t block, uint32_t rows,
                                    struct block_column *out, struct err *err) {
    struct loaded_block b;
    const enum err_code code = load_block(page, series, column, block, rows, &b, err);
    if (code != ERR_OK) {
        return code;
    }
    return block_decode(b.bytes, b.size, rows, b.reference, out) == ERR_OK
               ? ERR_OK
               : damaged_block(page, series, column, block, err);
}

enum err_code partition_page_ints(struct partition_page *page, const struct page_series *series,
                                  uint32_t column, uint32_t block, uint32_t rows,
                                  struct block_ints *out, struct err *err) {
    struct loaded_block b;
    const enum err_code code = load_block(page, series, column, block, rows, &b, err);
    if (code != ERR_OK) {
        return code;
    }
    return block_decode_ints(b.bytes, b.size, rows, b.reference, out) == ERR_OK
               ? ERR_OK
               : damaged_block(page, series, column, block, err);
}
