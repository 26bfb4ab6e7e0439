/* Reading pages. FORMAT.md section 10.4. */
#include "tsdb/partition_page.h"

#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "base/compress.h"

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

struct taking { /* series of a page, one behind the other */
    const struct partition *p;
    const struct page_place *place;
    struct cursor from;
    uint32_t block_bytes; /* at most, unpacked */
    uint64_t block_at;    /* of the series that comes next */
    struct arena *arena;  /* NULL: nothing is kept, it is a check */
    bool no_memory;
};

/* Most are one byte. */
static inline uint64_t take_uvarint(struct cursor *c) {
    return LIKELY(c->at < c->end && *c->at < 0x80) ? *c->at++ : cursor_uvarint(c);
}

static void *take_memory(struct taking *t, size_t count, size_t bytes) {
    void *memory = arena_try_alloc(t->arena, count, bytes);
    t->no_memory = memory == NULL;
    return memory;
}

/* Keys ascend, so no series can name a column twice. */
static bool take_keys(struct taking *t, struct page_series *series) {
    struct cursor *c = &t->from;
    const uint64_t n = cursor_uvarint(c);
    if (c->failed || n == 0 || n > cursor_left(c)) {
        return false;
    }
    struct column_key *keys = t->arena != NULL ? take_memory(t, (size_t)n, sizeof(*keys)) : NULL;
    if (t->no_memory) {
        return false;
    }
    struct column_key before = {0};
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t word = cursor_uvarint(c);
        const bool same = (word & KEY_SAME_LAYOUT) != 0;
        struct column_key key = {.kind = (uint8_t)(word & (KEY_SAME_LAYOUT - 1))};
        const uint64_t layout = same ? before.layout : cursor_uvarint(c);
        if (word >= KEY_SAME_LAYOUT * 2 || layout > t->p->info.layout_count) {
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
        if (keys != NULL) {
            keys[i] = key;
        }
        before = key;
    }
    series->keys = keys;
    series->column_count = (uint32_t)n;
    return true;
}

static bool take_entries(struct taking *t, struct page_series *series) {
    struct cursor *c = &t->from;
    const size_t n = (size_t)series->block_count * series->column_count;
    if (n > cursor_left(c)) {
        return false;
    }
    uint32_t *entries = t->arena != NULL ? take_memory(t, n * 2 + 1, sizeof(*entries)) : NULL;
    if (t->no_memory) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const uint64_t entry = take_uvarint(c);
        if (c->failed || entry > (uint64_t)t->block_bytes + ENTRY_BLOCKS) {
            return false;
        }
        if (entries != NULL) {
            entries[i] = (uint32_t)entry;
            entries[n + i] = (uint32_t)t->block_at;
        }
        t->block_at += entry > ENTRY_BLOCKS ? entry - ENTRY_BLOCKS : 0;
        if (t->block_at > t->block_bytes) {
            return false;
        }
    }
    if (entries != NULL) {
        entries[2 * n] = (uint32_t)t->block_at;
        series->entries = entries;
        series->offsets = entries + n;
    }
    return true;
}

static bool take_series(struct taking *t, uint32_t first_column, struct page_series *out) {
    const uint64_t word = take_uvarint(&t->from);
    const uint64_t first = (word & WORD_FIRST_BLOCK) != 0 ? take_uvarint(&t->from) : 0;
    const uint64_t count = word >> WORD_BITS;
    if (t->from.failed || count == 0 || count > cursor_left(&t->from) ||
        first > UINT32_MAX - count) {
        return false;
    }
    *out = (struct page_series){.first_block = (uint32_t)first,
                                .block_count = (uint32_t)count,
                                .column_count = 1,
                                .first_column = first_column};
    return ((word & WORD_COLUMNS) == 0 || take_keys(t, out)) && take_entries(t, out);
}

static bool take_piece(struct taking *t, bool packed, struct page_piece *out) {
    const uint64_t stored = cursor_uvarint(&t->from);
    const uint32_t crc = cursor_u32(&t->from);
    const uint64_t size = packed ? cursor_uvarint(&t->from) : 0;
    *out = (struct page_piece){.stored_bytes = (uint32_t)stored, .crc = crc};
    out->size = size != 0 ? (uint32_t)size : out->stored_bytes;
    return !t->from.failed && stored != 0 && stored <= t->place->size &&
           (size == 0 || (size > stored && size <= PACKED_BYTES_MAX));
}

/* pieces: n of them, as the head says; they are all there is behind it. */
static bool take_pieces(struct taking *t, bool packed, struct page_piece *pieces, uint32_t n) {
    uint64_t stored = 0;
    uint64_t offset = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!take_piece(t, packed, &pieces[i])) {
            return false;
        }
        pieces[i].stored_at = (uint32_t)stored;
        pieces[i].offset = (uint32_t)offset;
        stored += pieces[i].stored_bytes;
        offset += pieces[i].size;
        if (stored > t->place->size || offset > PARTITION_PAGE_MAX) {
            return false;
        }
    }
    return stored == t->place->size - t->place->head_bytes && offset == t->block_at &&
           cursor_left(&t->from) == 0;
}

/* What most series are in short partitions: a float of one block. False: something else, or bad. */
static inline bool take_plain(struct taking *t) {
    struct cursor *c = &t->from;
    if (cursor_left(c) < 2 || c->at[0] != 1 << WORD_BITS || c->at[1] >= 0x80) {
        return false;
    }
    const uint32_t entry = c->at[1];
    const uint64_t end = t->block_at + (entry > ENTRY_BLOCKS ? entry - ENTRY_BLOCKS : 0);
    if (end > t->block_bytes) {
        return false;
    }
    c->at += 2;
    t->block_at = end;
    return true;
}

/* The head has at least two bytes per series. */
static bool check_series(struct taking *t, struct page_mark *marks) {
    uint32_t column = 0;
    for (uint32_t i = 0; i < t->place->series_count; i++) {
        struct page_series series;
        marks[i] =
            (struct page_mark){(uint32_t)cursor_offset(&t->from), (uint32_t)t->block_at, column};
        if (take_plain(t)) {
            column++;
            continue;
        }
        if (!take_series(t, column, &series)) {
            return false;
        }
        column += series.column_count;
    }
    marks[t->place->series_count] =
        (struct page_mark){(uint32_t)cursor_offset(&t->from), (uint32_t)t->block_at, column};
    return true;
}

/* ---- reading it ---- */

static struct page_key page_key_of(const struct partition_page *page, uint32_t piece) {
    return (struct page_key){page->p->cache_owner, (uint64_t)page->number << 32 | piece};
}

static enum err_code read_data(struct partition_page *page, uint64_t offset, size_t n, uint8_t *to,
                               struct err *err) {
    size_t got = 0;
    const enum err_code code = vfs_file_pread(page->p->data, to, n, offset, &got, err);
    if (code != ERR_OK) {
        return err_wrap(err, "reading partition file %s", page->p->data_path);
    }
    return got == n ? ERR_OK : damaged(page->p, offset, "page is cut short", err);
}

/* The head, read and checked, in the arena. */
static enum err_code load_head(struct partition_page *page, const uint8_t **io_head,
                               struct err *err) {
    const struct page_place *place = &page->place;
    if (*io_head == NULL) {
        uint8_t *bytes = arena_try_alloc(page->arena, place->head_bytes, 1);
        if (bytes == NULL) {
            return no_memory(err);
        }
        const enum err_code code = read_data(page, place->offset, place->head_bytes, bytes, err);
        if (code != ERR_OK) {
            return code;
        }
        *io_head = bytes;
    }
    return hash_crc32c(partition_crc_seed(page->p->info.number, place->first_series), *io_head,
                       place->head_bytes) == place->crc
               ? ERR_OK
               : damaged(page->p, place->offset, "page with a wrong checksum", err);
}

/* ---- unpacking ---- */

static enum err_code unpack(struct partition *p, const uint8_t *from, size_t n, uint8_t *to,
                            size_t size, uint64_t offset, struct err *err) {
    struct err why;
    const enum err_code code = partition_unpack(p, from, n, to, size, &why);
    return code == ERR_OK
               ? ERR_OK
               : err_set(err, code, "partition file %s: bad page at offset %" PRIu64 ": %s",
                         p->data_path, offset, why.text);
}

/* The page as it was before it was packed; in the arena. */
static enum err_code unpack_page(struct partition_page *page, struct page_content *io,
                                 struct err *err) {
    const struct page_place *place = &page->place;
    struct cursor from = cursor_of(io->head, place->head_bytes);
    (void)cursor_u8(&from);
    const uint64_t size = cursor_uvarint(&from);
    const size_t packed = cursor_left(&from);
    if (from.failed || size > PACKED_BYTES_MAX || size <= packed) {
        return damaged(page->p, place->offset, "bad page", err);
    }
    uint8_t *bytes = arena_try_alloc(page->arena, (size_t)size + 1, 1);
    if (bytes == NULL) {
        return no_memory(err);
    }
    bytes[0] = 0; /* flags */
    io->head = bytes;
    io->head_bytes = (uint32_t)size + 1;
    return unpack(page->p, from.at, packed, bytes + 1, (size_t)size, place->offset, err);
}

/* ---- checking it ---- */

static enum err_code check_pieces(struct partition_page *page, struct taking *t, bool packed,
                                  struct page_content *io, struct err *err) {
    const uint64_t n = cursor_uvarint(&t->from);
    if (t->from.failed || n == 0 || n > cursor_left(&t->from) / 5) {
        return damaged(page->p, page->place.offset, "bad page", err);
    }
    struct page_piece *pieces = arena_try_alloc(page->arena, (size_t)n, sizeof(*pieces));
    if (pieces == NULL) {
        return no_memory(err);
    }
    io->pieces = pieces;
    io->piece_count = (uint32_t)n;
    io->blocks_at = page->place.head_bytes;
    return take_pieces(t, packed, pieces, (uint32_t)n)
               ? ERR_OK
               : damaged(page->p, page->place.offset, "bad page", err);
}

/* Checks the series of the head; what is known then, in the arena. */
static enum err_code check_head(struct partition_page *page, const uint8_t *head,
                                struct page_content *out, struct err *err) {
    const struct page_place *place = &page->place;
    const uint8_t flags = head[0];
    const bool packed = (flags & PAGE_PACKED) != 0;
    const bool has_pieces = (flags & PAGE_PIECES) != 0;
    *out = (struct page_content){.head = head, .head_bytes = place->head_bytes};
    enum err_code code = ERR_OK;
    if (flags > (PAGE_PIECES | PAGE_PACKED) ||
        (packed && page->p->version < PARTITION_VERSION_PACKED_PAGES) ||
        has_pieces == (place->head_bytes == place->size)) {
        code = damaged(page->p, place->offset, "bad page", err);
    } else if (packed && !has_pieces) {
        code = unpack_page(page, out, err);
    }
    if (code == ERR_OK && place->series_count > out->head_bytes / 2) {
        code = damaged(page->p, place->offset, "bad page", err);
    }
    if (code != ERR_OK) {
        return code;
    }
    struct taking t = {.p = page->p,
                       .place = place,
                       .from = cursor_of(out->head, out->head_bytes),
                       .block_bytes = has_pieces ? PARTITION_PAGE_MAX : out->head_bytes};
    struct page_mark *marks =
        arena_try_alloc(page->arena, (size_t)place->series_count + 1, sizeof(*marks));
    if (marks == NULL) {
        return no_memory(err);
    }
    (void)cursor_u8(&t.from);
    const bool good = check_series(&t, marks);
    out->marks = marks;
    out->blocks_at = (uint32_t)cursor_offset(&t.from);
    if (good && has_pieces) {
        return check_pieces(page, &t, packed, out, err);
    }
    return good && cursor_left(&t.from) == t.block_at
               ? ERR_OK
               : damaged(page->p, place->offset, "bad page", err);
}

/* Moves it to the cache, if there is room. */
static void keep_content(struct partition_page *page, const struct page_content *c) {
    const size_t marks = ((size_t)page->place.series_count + 1) * sizeof(*c->marks);
    const size_t pieces = c->piece_count * sizeof(*c->pieces);
    struct page_content *item = page_cache_begin(page->cache, page_key_of(page, 0),
                                                 sizeof(*item) + marks + pieces + c->head_bytes);
    if (item == NULL) {
        return;
    }
    uint8_t *to = (uint8_t *)(item + 1);
    *item = *c;
    item->marks = memcpy(to, c->marks, marks);
    if (pieces != 0) {
        item->pieces = memcpy(to + marks, c->pieces, pieces);
    }
    item->head = memcpy(to + marks + pieces, c->head, c->head_bytes);
    page->content = page_cache_publish(page->cache, item);
    page->pinned = true;
}

/* What readers need beside the content. */
static enum err_code begin_reading(struct partition_page *page, struct err *err) {
    const size_t n = page->place.series_count;
    const size_t pieces = page->content->piece_count;
    page->series = arena_try_alloc(page->arena, n, sizeof(struct page_series *));
    page->pieces = arena_try_alloc(page->arena, pieces + 1, sizeof(*page->pieces));
    if (page->series == NULL || page->pieces == NULL) {
        page->pieces = NULL;
        return no_memory(err);
    }
    memset(page->series, 0, n * sizeof(struct page_series *));
    memset(page->pieces, 0, (pieces + 1) * sizeof(*page->pieces));
    return ERR_OK;
}

static enum err_code load(struct partition_page *page, const uint8_t *head, struct err *err) {
    struct page_content *content = arena_try_alloc(page->arena, 1, sizeof(*content));
    enum err_code code = content != NULL ? load_head(page, &head, err) : no_memory(err);
    code = code == ERR_OK ? check_head(page, head, content, err) : code;
    if (code != ERR_OK) {
        return code;
    }
    page->content = content;
    keep_content(page, content);
    return begin_reading(page, err);
}

enum err_code partition_page_load(struct partition *p, uint32_t number, const uint8_t *bytes,
                                  struct page_cache *cache, struct arena *arena,
                                  struct partition_page *out, struct err *err) {
    *out = (struct partition_page){.p = p, .cache = cache, .arena = arena, .number = number};
    enum err_code code = partition_page_place(p, number, &out->place, err);
    if (code != ERR_OK) {
        return code;
    }
    code = load(out, bytes, err);
    if (code == ERR_CORRUPT) {
        partition_page_report(p, number, err);
    }
    return code;
}

enum err_code partition_page_find(struct partition *p, uint32_t number, struct page_cache *cache,
                                  struct arena *arena, struct partition_page *out, bool *out_found,
                                  struct err *err) {
    *out = (struct partition_page){.p = p, .cache = cache, .arena = arena, .number = number};
    out->content = page_cache_get(cache, page_key_of(out, 0));
    out->pinned = out->content != NULL;
    *out_found = out->pinned;
    if (!out->pinned) {
        return ERR_OK;
    }
    const enum err_code code = partition_page_place(p, number, &out->place, err);
    return code == ERR_OK ? begin_reading(out, err) : code;
}

void partition_page_close(struct partition_page *page) {
    if (page->content != NULL && page->pieces != NULL) {
        for (uint32_t i = 0; i < page->content->piece_count; i++) {
            if (page->pieces[i].pinned) {
                page_cache_unpin(page->cache, page->pieces[i].bytes);
            }
        }
    }
    if (page->pinned) {
        page_cache_unpin(page->cache, page->content);
    }
    page->content = NULL;
    page->pinned = false;
}

enum err_code partition_page_series(struct partition_page *page, uint32_t i,
                                    const struct page_series **out, struct err *err) {
    ASSERT(i < page->place.series_count);
    if (page->series[i] == NULL) {
        const struct page_content *content = page->content;
        const struct page_mark *mark = &content->marks[i];
        struct taking t = {.p = page->p,
                           .place = &page->place,
                           .from = cursor_of(content->head + mark->head_at,
                                             content->marks[i + 1].head_at - mark->head_at),
                           .block_bytes = PARTITION_PAGE_MAX, /* it is checked */
                           .block_at = mark->block_at,
                           .arena = page->arena};
        struct page_series *series = arena_try_alloc(page->arena, 1, sizeof(*series));
        if (series == NULL || !take_series(&t, mark->first_column, series)) {
            ASSERT(series == NULL || t.no_memory); /* it is checked */
            return no_memory(err);
        }
        page->series[i] = series;
    }
    *out = page->series[i];
    return ERR_OK;
}

/* ---- blocks ---- */

static uint32_t find_piece(struct partition_page *page, uint32_t offset) {
    const struct page_piece *pieces = page->content->pieces;
    const struct page_piece *last = &pieces[page->last_piece];
    if (offset >= last->offset && offset - last->offset < last->size) {
        return page->last_piece;
    }
    uint32_t low = 0;
    uint32_t high = page->content->piece_count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (pieces[middle].offset <= offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    page->last_piece = low;
    return low;
}

/* Reads the piece, which is checked then, to to. */
static enum err_code load_piece(struct partition_page *page, uint32_t index, uint8_t *to,
                                struct err *err) {
    const struct page_piece *piece = &page->content->pieces[index];
    const uint64_t offset = page->place.offset + page->content->blocks_at + piece->stored_at;
    const bool packed = piece->stored_bytes != piece->size;
    uint8_t *bytes = packed ? arena_try_alloc(page->arena, piece->stored_bytes, 1) : to;
    if (bytes == NULL) {
        return no_memory(err);
    }
    const enum err_code code = read_data(page, offset, piece->stored_bytes, bytes, err);
    if (code != ERR_OK) {
        return code;
    }
    if (partition_piece_crc(page->p->info.number, page->place.first_series, index, bytes,
                            piece->stored_bytes) != piece->crc) {
        return damaged(page->p, offset, "piece with a wrong checksum", err);
    }
    return packed ? unpack(page->p, bytes, piece->stored_bytes, to, piece->size, offset, err)
                  : ERR_OK;
}

static enum err_code read_piece(struct partition_page *page, uint32_t index, struct err *err) {
    const struct page_piece *piece = &page->content->pieces[index];
    const struct page_key key = page_key_of(page, index + 1);
    struct page_piece_state *state = &page->pieces[index];
    state->bytes = page_cache_get(page->cache, key);
    state->pinned = state->bytes != NULL;
    if (state->pinned) {
        return ERR_OK;
    }
    uint8_t *bytes = page_cache_begin(page->cache, key, piece->size);
    const bool cached = bytes != NULL;
    bytes = cached ? bytes : arena_try_alloc(page->arena, piece->size, 1);
    if (bytes == NULL) {
        return no_memory(err);
    }
    const enum err_code code = load_piece(page, index, bytes, err);
    if (code == ERR_OK) {
        state->bytes = cached ? page_cache_publish(page->cache, bytes) : bytes;
        state->pinned = cached;
    } else if (cached) {
        page_cache_abandon(page->cache, bytes);
    }
    return code;
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
    if (page->content->piece_count == 0) {
        *out = page->content->head + page->content->blocks_at + offset;
        return ERR_OK;
    }
    const uint32_t index = find_piece(page, offset);
    const struct page_piece *piece = &page->content->pieces[index];
    if (offset - piece->offset > piece->size || size > piece->size - (offset - piece->offset)) {
        return damaged(page->p, page->place.offset, "block across pieces", err);
    }
    const enum err_code code =
        page->pieces[index].bytes == NULL ? read_piece(page, index, err) : ERR_OK;
    if (code == ERR_OK) {
        *out = page->pieces[index].bytes + (offset - piece->offset);
    } else if (code == ERR_CORRUPT) {
        partition_page_report(page->p, page->number, err);
    }
    return code;
}

/* Which series of the page has the column. */
static uint32_t series_of_column(const struct partition_page *page, uint32_t column) {
    const struct page_mark *marks = page->content->marks;
    uint32_t low = 0;
    uint32_t high = page->place.series_count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (marks[middle].first_column <= column) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static enum err_code damaged_block(struct partition_page *page, const struct page_series *series,
                                   uint32_t column, uint32_t block, struct err *err) {
    struct err report;
    (void)err_set(&report, ERR_CORRUPT,
                  "partition file %s: damaged block %" PRIu32 " of series %" PRIu32
                  ", column %" PRIu32 ", page at offset %" PRIu64,
                  page->p->data_path, block,
                  page->place.first_series + series_of_column(page, series->first_column), column,
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
    const struct page_series *other;
    enum err_code code = partition_page_series(page, series_of_column(page, wanted), &other, err);
    if (code != ERR_OK) {
        return code;
    }
    code = partition_page_block(page, other, wanted - other->first_column, block, &bytes, &n, err);
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
