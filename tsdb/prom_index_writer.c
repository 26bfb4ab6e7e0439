/* SYMBOLS get a number in the order in which they come, and an ordinal at the end. PAIRS of a label
 * name and value get a number likewise; a series is kept as the numbers of its pairs, so that the
 * postings of a pair are counted as the series come and filled without sorting. */
#include "tsdb/prom_index_writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tsdb/file_appender.h"

enum {
    INDEX_MAGIC = (int)0xBAAAD700U,
    INDEX_VERSION = 2,
    SERIES_ALIGNMENT = 16,
    POSTINGS_ALIGNMENT = 4,
    TABLE_START = 1024,
    POSTINGS_OFFSET_KEYS = 2, /* of an entry of the offset table */
};

#define SYMBOL_BYTES_MAX ((size_t)2 << 30)
#define SPOOL_BYTES_MAX ((size_t)8 << 30)
#define SECTION_BYTES_MAX UINT64_C(0xFFFFFFFF)

struct symbol {
    struct str text;
    uint32_t ordinal;
};

struct pair {
    uint32_t name; /* symbols */
    uint32_t value;
    uint32_t count;  /* of series */
    uint64_t first;  /* place of its first posting */
    uint64_t offset; /* of its list in the file */
};

struct table { /* hash table of numbers + 1 */
    uint32_t *slots;
    size_t mask;
};

struct prom_index_writer {
    struct arena arena; /* symbols */
    struct symbol *symbols;
    uint32_t symbol_count;
    uint32_t symbol_capacity;
    struct table symbol_table;
    struct pair *pairs;
    uint32_t pair_count;
    uint32_t pair_capacity;
    struct table pair_table;
    struct buf spool; /* of each series: pairs and chunks */
    uint32_t series_count;
    uint64_t posting_count;

    /* while the file is written */
    struct file_appender file;
    uint32_t *refs;    /* of the series */
    uint32_t *entries; /* postings of all pairs */
};

struct prom_index_writer *prom_index_writer_new(void) {
    struct prom_index_writer *w = mem_zalloc(sizeof(*w));
    arena_init(&w->arena, SYMBOL_BYTES_MAX);
    buf_init(&w->spool, SPOOL_BYTES_MAX);
    w->symbol_table.mask = TABLE_START - 1;
    w->symbol_table.slots = mem_zalloc(TABLE_START * sizeof(uint32_t));
    w->pair_table.mask = TABLE_START - 1;
    w->pair_table.slots = mem_zalloc(TABLE_START * sizeof(uint32_t));
    return w;
}

void prom_index_writer_free(struct prom_index_writer *w) {
    if (w == NULL) {
        return;
    }
    arena_release(&w->arena);
    buf_release(&w->spool);
    mem_free(w->symbols);
    mem_free(w->symbol_table.slots);
    mem_free(w->pairs);
    mem_free(w->pair_table.slots);
    mem_free(w->refs);
    mem_free(w->entries);
    mem_free(w);
}

/* ---- numbers ---- */

static uint32_t *symbol_at(const struct prom_index_writer *w, const struct table *t,
                           struct str text) {
    size_t at = (size_t)hash_xxh64(text.ptr, text.len) & t->mask;
    while (t->slots[at] != 0 && !str_eq(w->symbols[t->slots[at] - 1].text, text)) {
        at = (at + 1) & t->mask;
    }
    return &t->slots[at];
}

static uint32_t *pair_at(const struct prom_index_writer *w, const struct table *t, uint32_t name,
                         uint32_t value) {
    const uint64_t key = (uint64_t)name << 32 | value;
    size_t at = (size_t)(key * 0x9E3779B97F4A7C15ULL >> 24) & t->mask;
    while (t->slots[at] != 0) {
        const struct pair *p = &w->pairs[t->slots[at] - 1];
        if (p->name == name && p->value == value) {
            break;
        }
        at = (at + 1) & t->mask;
    }
    return &t->slots[at];
}

static void grow_symbols(struct prom_index_writer *w) {
    struct table larger = {.mask = w->symbol_table.mask * 2 + 1};
    larger.slots = mem_zalloc((larger.mask + 1) * sizeof(uint32_t));
    for (uint32_t i = 0; i < w->symbol_count; i++) {
        *symbol_at(w, &larger, w->symbols[i].text) = i + 1;
    }
    mem_free(w->symbol_table.slots);
    w->symbol_table = larger;
}

static void grow_pairs(struct prom_index_writer *w) {
    struct table larger = {.mask = w->pair_table.mask * 2 + 1};
    larger.slots = mem_zalloc((larger.mask + 1) * sizeof(uint32_t));
    for (uint32_t i = 0; i < w->pair_count; i++) {
        *pair_at(w, &larger, w->pairs[i].name, w->pairs[i].value) = i + 1;
    }
    mem_free(w->pair_table.slots);
    w->pair_table = larger;
}

static bool find_symbol(struct prom_index_writer *w, struct str text, uint32_t *out) {
    if (w->symbol_count > w->symbol_table.mask / 2) {
        grow_symbols(w);
    }
    uint32_t *at = symbol_at(w, &w->symbol_table, text);
    if (*at == 0) {
        char *copy = arena_try_alloc(&w->arena, text.len + 1, 1);
        if (copy == NULL) {
            return false;
        }
        memcpy(copy, text.ptr, text.len);
        if (w->symbol_count == w->symbol_capacity) {
            w->symbol_capacity = (uint32_t)mem_grow(w->symbol_capacity, w->symbol_count + 1);
            w->symbols = mem_resize(w->symbols, w->symbol_capacity, sizeof(*w->symbols));
        }
        w->symbols[w->symbol_count++] = (struct symbol){.text = {copy, text.len}};
        *at = w->symbol_count;
    }
    *out = *at - 1;
    return true;
}

static uint32_t find_pair(struct prom_index_writer *w, uint32_t name, uint32_t value) {
    if (w->pair_count > w->pair_table.mask / 2) {
        grow_pairs(w);
    }
    uint32_t *at = pair_at(w, &w->pair_table, name, value);
    if (*at == 0) {
        if (w->pair_count == w->pair_capacity) {
            w->pair_capacity = (uint32_t)mem_grow(w->pair_capacity, w->pair_count + 1);
            w->pairs = mem_resize(w->pairs, w->pair_capacity, sizeof(*w->pairs));
        }
        w->pairs[w->pair_count++] = (struct pair){.name = name, .value = value};
        *at = w->pair_count;
    }
    return *at - 1;
}

/* ---- taking series ---- */

static void put_uvarint_to(struct buf *to, uint64_t v) {
    uint8_t bytes[UVARINT_MAX];
    buf_append(to, bytes, (size_t)(put_uvarint(bytes, v) - bytes));
}

static void put_varint_to(struct buf *to, int64_t v) {
    put_uvarint_to(to, zigzag_encode(v));
}

static void put_u32be_to(struct buf *to, uint32_t v) {
    const uint32_t swapped = __builtin_bswap32(v);
    buf_append(to, &swapped, sizeof(swapped));
}

static void put_u64be_to(struct buf *to, uint64_t v) {
    const uint64_t swapped = __builtin_bswap64(v);
    buf_append(to, &swapped, sizeof(swapped));
}

static void put_str_to(struct buf *to, struct str s) {
    put_uvarint_to(to, s.len);
    buf_append_str(to, s);
}

static void put_chunks(struct buf *to, const struct prom_chunk_meta *chunks, size_t n) {
    put_uvarint_to(to, n);
    for (size_t i = 0; i < n; i++) {
        const struct prom_chunk_meta *c = &chunks[i];
        if (i == 0) {
            put_varint_to(to, c->mint);
        } else {
            put_uvarint_to(to, (uint64_t)c->mint - (uint64_t)chunks[i - 1].maxt);
        }
        put_uvarint_to(to, (uint64_t)c->maxt - (uint64_t)c->mint);
        if (i == 0) {
            put_uvarint_to(to, c->ref);
        } else {
            put_varint_to(to, (int64_t)(c->ref - chunks[i - 1].ref));
        }
    }
}

enum err_code prom_index_writer_add(struct prom_index_writer *w, struct labels labels,
                                    const struct prom_chunk_meta *chunks, size_t n,
                                    struct err *err) {
    struct labels_iter it = labels_begin(labels);
    struct label label;
    struct buf packed;
    buf_init(&packed, SPOOL_BYTES_MAX);
    put_uvarint_to(&w->spool, labels_count(labels));
    bool room = w->series_count < UINT32_MAX - 1;
    while (room && labels_next(&it, &label)) {
        uint32_t name = 0;
        uint32_t value = 0;
        room = find_symbol(w, label.name, &name) && find_symbol(w, label.value, &value);
        if (room) {
            const uint32_t pair = find_pair(w, name, value);
            w->pairs[pair].count++;
            w->posting_count++;
            put_uvarint_to(&w->spool, pair);
        }
    }
    put_chunks(&packed, chunks, n);
    put_str_to(&w->spool, buf_str(&packed));
    room = room && buf_ok(&packed) && buf_ok(&w->spool);
    buf_release(&packed);
    w->series_count++;
    return room ? ERR_OK : err_set(err, ERR_LIMIT, "too many series for one block");
}

/* ---- the file ---- */

static void align(struct prom_index_writer *w, unsigned to) {
    while (file_appender_offset(&w->file) % to != 0) {
        buf_append_char(&w->file.pending, '\0');
    }
}

static int by_text(const void *a, const void *b) {
    const struct symbol *const *x = a;
    const struct symbol *const *y = b;
    return str_cmp((*x)->text, (*y)->text);
}

/* A section whose length is known before: u32 length, content in pieces, CRC of the content. */
struct section {
    uint32_t crc;
    uint64_t bytes;
};

static enum err_code section_piece(struct prom_index_writer *w, struct section *s,
                                   struct buf *piece, struct err *err) {
    const struct str text = buf_str(piece);
    if (!buf_ok(piece)) {
        return err_set(err, ERR_LIMIT, "an entry of the index is too large");
    }
    s->crc = hash_crc32c(s->crc, text.ptr, text.len);
    s->bytes += text.len;
    buf_append_str(&w->file.pending, text);
    buf_clear(piece);
    return file_appender_flow(&w->file, err);
}

static enum err_code check_section(uint64_t bytes, const char *what, struct err *err) {
    return bytes <= SECTION_BYTES_MAX
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "the %s of the block pass 4 GiB", what);
}

static size_t uvarint_length(uint64_t v) {
    uint8_t bytes[UVARINT_MAX];
    return (size_t)(put_uvarint(bytes, v) - bytes);
}

static enum err_code write_symbols(struct prom_index_writer *w, struct buf *piece,
                                   struct err *err) {
    struct symbol **sorted = mem_array((size_t)w->symbol_count + 1, sizeof(*sorted));
    uint64_t bytes = 4;
    for (uint32_t i = 0; i < w->symbol_count; i++) {
        sorted[i] = &w->symbols[i];
        bytes += uvarint_length(w->symbols[i].text.len) + w->symbols[i].text.len;
    }
    qsort(sorted, w->symbol_count, sizeof(struct symbol *), by_text);
    struct section section = {0};
    enum err_code code = check_section(bytes, "symbols", err);
    put_u32be_to(&w->file.pending, (uint32_t)bytes);
    put_u32be_to(piece, w->symbol_count);
    for (uint32_t i = 0; i < w->symbol_count && code == ERR_OK; i++) {
        sorted[i]->ordinal = i;
        put_str_to(piece, sorted[i]->text);
        code = section_piece(w, &section, piece, err);
    }
    put_u32be_to(&w->file.pending, section.crc);
    mem_free(sorted);
    return code;
}

static void place_postings(struct prom_index_writer *w) {
    uint64_t at = 0;
    for (uint32_t i = 0; i < w->pair_count; i++) {
        w->pairs[i].first = at;
        at += w->pairs[i].count;
        w->pairs[i].count = 0;
    }
    w->refs = mem_array((size_t)w->series_count + 1, sizeof(*w->refs));
    w->entries = mem_array(w->posting_count + 1, sizeof(*w->entries));
}

/* One entry; the pairs' postings get it. */
static void write_entry(struct prom_index_writer *w, struct cursor *from, uint32_t ref,
                        struct buf *body) {
    const uint64_t label_count = cursor_uvarint(from);
    put_uvarint_to(body, label_count);
    for (uint64_t i = 0; i < label_count; i++) {
        struct pair *p = &w->pairs[cursor_uvarint(from)];
        put_uvarint_to(body, w->symbols[p->name].ordinal);
        put_uvarint_to(body, w->symbols[p->value].ordinal);
        w->entries[p->first + p->count++] = ref;
    }
    buf_append_str(body, cursor_str(from));
}

static enum err_code write_series(struct prom_index_writer *w, struct buf *body, struct err *err) {
    struct cursor from = cursor_of(buf_str(&w->spool).ptr, w->spool.len);
    place_postings(w);
    for (uint32_t i = 0; i < w->series_count; i++) {
        align(w, SERIES_ALIGNMENT);
        const uint64_t ref = file_appender_offset(&w->file) / SERIES_ALIGNMENT;
        if (ref > UINT32_MAX) {
            return err_set(err, ERR_LIMIT, "the index of the block passes 64 GiB");
        }
        w->refs[i] = (uint32_t)ref;
        write_entry(w, &from, (uint32_t)ref, body);
        const struct str text = buf_str(body);
        struct buf *to = &w->file.pending;
        put_str_to(to, text);
        put_u32be_to(to, hash_crc32c(0, text.ptr, text.len));
        if (!buf_ok(body)) {
            return err_set(err, ERR_LIMIT, "a series' entry of the index is too large");
        }
        buf_clear(body);
        const enum err_code code = file_appender_flow(&w->file, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code write_list(struct prom_index_writer *w, const uint32_t *refs, uint32_t n,
                                struct buf *piece, uint64_t *out_offset, struct err *err) {
    enum { PIECE_REFS = 1 << 16 };
    struct section section = {0};
    align(w, POSTINGS_ALIGNMENT);
    *out_offset = file_appender_offset(&w->file);
    const uint64_t bytes = 4 + (uint64_t)n * 4;
    enum err_code code = check_section(bytes, "postings", err);
    put_u32be_to(&w->file.pending, (uint32_t)bytes);
    put_u32be_to(piece, n);
    for (uint32_t i = 0; i < n && code == ERR_OK; i++) {
        put_u32be_to(piece, refs[i]);
        if (i % PIECE_REFS == PIECE_REFS - 1) {
            code = section_piece(w, &section, piece, err);
        }
    }
    code = code == ERR_OK ? section_piece(w, &section, piece, err) : code;
    put_u32be_to(&w->file.pending, section.crc);
    return code;
}

struct ordered_pair {
    uint32_t name; /* ordinals */
    uint32_t value;
    struct pair *pair;
};

static int by_ordinals(const void *a, const void *b) {
    const struct ordered_pair *x = a;
    const struct ordered_pair *y = b;
    if (x->name != y->name) {
        return x->name < y->name ? -1 : 1;
    }
    return (x->value > y->value) - (x->value < y->value);
}

static enum err_code write_postings(struct prom_index_writer *w, const struct ordered_pair *pairs,
                                    struct buf *piece, uint64_t *out_all, struct err *err) {
    enum err_code code = write_list(w, w->refs, w->series_count, piece, out_all, err);
    for (uint32_t i = 0; i < w->pair_count && code == ERR_OK; i++) {
        struct pair *p = pairs[i].pair;
        code = write_list(w, w->entries + p->first, p->count, piece, &p->offset, err);
    }
    return code;
}

static void put_table_entry(struct buf *to, struct str name, struct str value, uint64_t offset) {
    put_uvarint_to(to, POSTINGS_OFFSET_KEYS);
    put_str_to(to, name);
    put_str_to(to, value);
    put_uvarint_to(to, offset);
}

static uint64_t table_bytes(const struct prom_index_writer *w, uint64_t all_offset) {
    uint64_t bytes = 4 + 3 + uvarint_length(all_offset);
    for (uint32_t i = 0; i < w->pair_count; i++) {
        const struct pair *p = &w->pairs[i];
        const size_t name = w->symbols[p->name].text.len;
        const size_t value = w->symbols[p->value].text.len;
        bytes += 1 + uvarint_length(name) + name + uvarint_length(value) + value +
                 uvarint_length(p->offset);
    }
    return bytes;
}

static enum err_code write_table(struct prom_index_writer *w, const struct ordered_pair *pairs,
                                 uint64_t all_offset, struct buf *piece, struct err *err) {
    struct section section = {0};
    const uint64_t bytes = table_bytes(w, all_offset);
    enum err_code code = check_section(bytes, "label pairs", err);
    put_u32be_to(&w->file.pending, (uint32_t)bytes);
    put_u32be_to(piece, w->pair_count + 1);
    put_table_entry(piece, STR(""), STR(""), all_offset);
    for (uint32_t i = 0; i < w->pair_count && code == ERR_OK; i++) {
        const struct pair *p = pairs[i].pair;
        put_table_entry(piece, w->symbols[p->name].text, w->symbols[p->value].text, p->offset);
        code = section_piece(w, &section, piece, err);
    }
    code = code == ERR_OK ? section_piece(w, &section, piece, err) : code;
    put_u32be_to(&w->file.pending, section.crc);
    return code;
}

static struct ordered_pair *order_pairs(struct prom_index_writer *w) {
    struct ordered_pair *pairs = mem_array((size_t)w->pair_count + 1, sizeof(*pairs));
    for (uint32_t i = 0; i < w->pair_count; i++) {
        struct pair *p = &w->pairs[i];
        pairs[i] =
            (struct ordered_pair){w->symbols[p->name].ordinal, w->symbols[p->value].ordinal, p};
    }
    if (w->pair_count != 0) {
        qsort(pairs, w->pair_count, sizeof(*pairs), by_ordinals);
    }
    return pairs;
}

struct contents { /* offsets of the sections */
    uint64_t symbols, series, label_indices, postings, table;
};

static void write_contents(struct prom_index_writer *w, const struct contents *c,
                           struct buf *piece) {
    put_u64be_to(piece, c->symbols);
    put_u64be_to(piece, c->series);
    put_u64be_to(piece, c->label_indices);
    put_u64be_to(piece, c->table);
    put_u64be_to(piece, c->postings);
    put_u64be_to(piece, c->table);
    const struct str text = buf_str(piece);
    buf_append_str(&w->file.pending, text);
    put_u32be_to(&w->file.pending, hash_crc32c(0, text.ptr, text.len));
}

static enum err_code write_all(struct prom_index_writer *w, struct buf *piece, struct err *err) {
    struct contents c = {0};
    uint64_t all_offset = 0;
    uint32_t empty;
    if (!find_symbol(w, STR(""), &empty)) {
        return err_set(err, ERR_LIMIT, "too many label strings for one block");
    }
    put_u32be_to(&w->file.pending, (uint32_t)INDEX_MAGIC);
    buf_append_char(&w->file.pending, INDEX_VERSION);
    c.symbols = file_appender_offset(&w->file);
    enum err_code code = write_symbols(w, piece, err);
    c.series = file_appender_offset(&w->file);
    code = code == ERR_OK ? write_series(w, piece, err) : code;
    if (code != ERR_OK) {
        return code;
    }
    c.label_indices = file_appender_offset(&w->file);
    c.postings = c.label_indices;
    struct ordered_pair *pairs = order_pairs(w);
    code = write_postings(w, pairs, piece, &all_offset, err);
    if (code == ERR_OK) {
        c.table = file_appender_offset(&w->file);
        code = write_table(w, pairs, all_offset, piece, err);
    }
    mem_free(pairs);
    if (code == ERR_OK) {
        write_contents(w, &c, piece);
        code = file_appender_sync(&w->file, err);
    }
    return code;
}

enum err_code prom_index_writer_finish(struct prom_index_writer *w, struct vfs *vfs,
                                       const char *path, struct err *err) {
    enum { PIECE_BYTES_MAX = 64 << 20 };
    struct buf piece;
    enum err_code code = file_appender_begin(&w->file, vfs, path, err);
    if (code == ERR_OK) {
        buf_init(&piece, PIECE_BYTES_MAX);
        code = write_all(w, &piece, err);
        buf_release(&piece);
    }
    file_appender_end(&w->file);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "writing %s", path);
}
