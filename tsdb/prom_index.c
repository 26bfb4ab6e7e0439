/* FORMAT, as far as it is read; integers are big endian.
 *
 *     magic u32 | version u8 | symbols | series | ... | TOC 52 bytes
 *     TOC       u64 symbols, series, label indices, label index table, postings, postings table,
 *               then the CRC of those
 *     symbols   u32 length | u32 count | count strings | CRC of all behind length
 *     series    uvarint length | body | CRC of body; from version 2 on at multiples of 16
 *
 * A symbol is named by its ordinal, in version 1 by its offset in the file. The series end where
 * the label indices, or without those the postings, begin. */
#include "tsdb/prom_index.h"

#include <string.h>

#include "base/bytes.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tsdb/prom_labels.h"

enum {
    INDEX_MAGIC = (int)0xBAAAD700U,
    HEADER_BYTES = 5,
    TOC_BYTES = 52,
    SERIES_ALIGNMENT = 16,
    SEQUENTIAL_BYTES = 256 << 10, /* read ahead when walking */
    RANDOM_BYTES = 1 << 10,
    LABELS_BYTES_MAX = 64 << 20,
};

struct prom_index {
    struct vfs_file *file;
    char *path;
    unsigned version;
    uint64_t size;
    uint64_t symbols_at;
    uint64_t series_at;
    uint64_t series_end;
    uint8_t *symbols; /* the section from its count on */
    size_t symbols_size;
    uint32_t *symbol_offsets; /* in symbols; version 2 and later */
    uint32_t symbol_count;
    uint8_t *window;
    size_t window_capacity;
    uint64_t window_at;
    size_t window_size;
};

void prom_series_init(struct prom_series *series) {
    *series = (struct prom_series){0};
    buf_init(&series->blob, LABELS_BYTES_MAX);
}

void prom_series_release(struct prom_series *series) {
    buf_release(&series->blob);
    mem_free(series->chunks);
    *series = (struct prom_series){0};
}

static enum err_code corrupt(const struct prom_index *index, uint64_t offset, const char *what,
                             struct err *err) {
    return err_set(err, ERR_CORRUPT, "%s: %s at offset %llu", index->path, what,
                   (unsigned long long)offset);
}

/* ---- table of contents and symbols ---- */

static enum err_code read_toc(struct prom_index *index, struct err *err) {
    uint8_t header[HEADER_BYTES];
    uint8_t toc[TOC_BYTES];
    if (index->size < HEADER_BYTES + TOC_BYTES) {
        return corrupt(index, index->size, "file too short", err);
    }
    const uint64_t toc_at = index->size - TOC_BYTES;
    enum err_code code = vfs_file_pread(index->file, header, sizeof(header), 0, NULL, err);
    if (code == ERR_OK) {
        code = vfs_file_pread(index->file, toc, sizeof(toc), toc_at, NULL, err);
    }
    if (code != ERR_OK) {
        return err_wrap(err, "reading %s", index->path);
    }
    if (load_u32be(header) != (uint32_t)INDEX_MAGIC) {
        return corrupt(index, 0, "no index file: wrong magic number", err);
    }
    index->version = header[4];
    if (index->version < 1 || index->version > 3) {
        return err_set(err, ERR_UNSUPPORTED, "%s: unknown index file version %u", index->path,
                       index->version);
    }
    if (load_u32be(toc + 48) != hash_crc32c(0, toc, 48)) {
        return corrupt(index, toc_at, "checksum of the table of contents does not match", err);
    }
    const uint64_t label_indices = load_u64be(toc + 16);
    const uint64_t postings = load_u64be(toc + 32);
    index->symbols_at = load_u64be(toc);
    index->series_at = load_u64be(toc + 8);
    index->series_end = label_indices != 0 ? label_indices : postings;
    if (index->symbols_at < HEADER_BYTES || index->series_at < index->symbols_at ||
        index->series_end < index->series_at || index->series_end > toc_at) {
        return corrupt(index, toc_at, "sections out of order", err);
    }
    return ERR_OK;
}

static enum err_code load_symbols(struct prom_index *index, struct err *err) {
    uint8_t head[4];
    const uint64_t room = index->series_at - index->symbols_at;
    if (room < 12) {
        return corrupt(index, index->symbols_at, "symbol table too short", err);
    }
    enum err_code code =
        vfs_file_pread(index->file, head, sizeof(head), index->symbols_at, NULL, err);
    if (code != ERR_OK) {
        return err_wrap(err, "reading %s", index->path);
    }
    const uint64_t size = load_u32be(head);
    if (size < 4 || size > room - 8) {
        return corrupt(index, index->symbols_at, "wrong length of the symbol table", err);
    }
    if (size > PROM_SYMBOLS_BYTES_MAX) {
        return err_set(err, ERR_LIMIT, "%s: %llu bytes of symbols", index->path,
                       (unsigned long long)size);
    }
    index->symbols = mem_alloc((size_t)size + 4); /* not more than the file has */
    index->symbols_size = (size_t)size;
    code = vfs_file_pread(index->file, index->symbols, index->symbols_size + 4,
                          index->symbols_at + 4, NULL, err);
    if (code != ERR_OK) {
        return err_wrap(err, "reading %s", index->path);
    }
    if (load_u32be(index->symbols + size) != hash_crc32c(0, index->symbols, index->symbols_size)) {
        return corrupt(index, index->symbols_at, "checksum of the symbol table does not match",
                       err);
    }
    return ERR_OK;
}

static enum err_code find_symbols(struct prom_index *index, struct err *err) {
    struct cursor c = cursor_of(index->symbols, index->symbols_size);
    const uint32_t count = cursor_u32be(&c);
    if (count > cursor_left(&c)) { /* each has a byte at least */
        return corrupt(index, index->symbols_at + 4, "wrong number of symbols", err);
    }
    index->symbol_count = count;
    index->symbol_offsets = mem_array((size_t)count + 1, sizeof(uint32_t));
    for (uint32_t i = 0; i < count; i++) {
        index->symbol_offsets[i] = (uint32_t)cursor_offset(&c);
        (void)cursor_str(&c);
        if (c.failed) {
            return corrupt(index, index->symbols_at + 4 + cursor_offset(&c), "symbol cut off", err);
        }
    }
    return ERR_OK;
}

static bool symbol(const struct prom_index *index, uint64_t ref, struct str *out) {
    uint64_t at = 0;
    if (index->version == 1) {
        const uint64_t base = index->symbols_at + 4;
        if (ref < base + 4 || ref - base >= index->symbols_size) {
            return false;
        }
        at = ref - base;
    } else {
        if (ref >= index->symbol_count) {
            return false;
        }
        at = index->symbol_offsets[ref];
    }
    struct cursor c = cursor_of(index->symbols + at, index->symbols_size - at);
    *out = cursor_str(&c);
    return !c.failed;
}

enum err_code prom_index_open(struct vfs *vfs, const char *path, struct prom_index **out,
                              struct err *err) {
    struct prom_index *index = mem_zalloc(sizeof(*index));
    index->path = mem_strdup(path);
    enum err_code code = vfs_open(vfs, path, VFS_READ, &index->file, err);
    if (code == ERR_OK) {
        code = vfs_file_size(index->file, &index->size, err);
    }
    if (code == ERR_OK) {
        code = read_toc(index, err);
    }
    if (code == ERR_OK) {
        code = load_symbols(index, err);
    }
    if (code == ERR_OK && index->version != 1) {
        code = find_symbols(index, err);
    }
    if (code != ERR_OK) {
        prom_index_close(index);
        return code;
    }
    *out = index;
    return ERR_OK;
}

void prom_index_close(struct prom_index *index) {
    if (index == NULL) {
        return;
    }
    vfs_file_close(index->file);
    mem_free(index->path);
    mem_free(index->symbols);
    mem_free(index->symbol_offsets);
    mem_free(index->window);
    mem_free(index);
}

/* ---- series ---- */

/* Makes [offset, offset + n) of the series section available; false if it is not all there. */
static enum err_code window(struct prom_index *index, uint64_t offset, size_t n, size_t ahead,
                            const uint8_t **out, struct err *err) {
    if (offset >= index->window_at && offset - index->window_at <= index->window_size &&
        n <= index->window_size - (size_t)(offset - index->window_at)) {
        *out = index->window + (offset - index->window_at);
        return ERR_OK;
    }
    const uint64_t left = index->series_end - offset;
    size_t want = n > ahead ? n : ahead;
    want = want > left ? (size_t)left : want;
    if (want > index->window_capacity) {
        mem_free(index->window);
        index->window_capacity = want;
        index->window = mem_alloc(want);
    }
    index->window_size = 0;
    const enum err_code code = vfs_file_pread(index->file, index->window, want, offset, NULL, err);
    if (code != ERR_OK) {
        return err_wrap(err, "reading %s", index->path);
    }
    index->window_at = offset;
    index->window_size = want;
    *out = index->window;
    return ERR_OK;
}

static enum err_code parse_labels(const struct prom_index *index, struct cursor *c,
                                  struct prom_series *out, struct err *err) {
    const uint64_t count = cursor_uvarint(c);
    struct str before = {0};
    buf_clear(&out->blob);
    for (uint64_t i = 0; i < count && !c->failed; i++) {
        struct str name;
        struct str value;
        const uint64_t name_ref = cursor_uvarint(c);
        const uint64_t value_ref = cursor_uvarint(c);
        if (c->failed || !symbol(index, name_ref, &name) || !symbol(index, value_ref, &value)) {
            return corrupt(index, out->offset, "label without symbol in the series", err);
        }
        if (prom_labels_add(&out->blob, &before, name, value, err) != ERR_OK) {
            return err_wrap(err, "%s: series at offset %llu", index->path,
                            (unsigned long long)out->offset);
        }
    }
    return c->failed || out->blob.len == 0
               ? corrupt(index, out->offset, "no labels in the series", err)
               : ERR_OK;
}

static void add_chunk(struct prom_series *s, struct prom_chunk_meta meta) {
    if (s->chunk_count == s->chunk_capacity) {
        s->chunk_capacity = mem_grow(s->chunk_capacity, s->chunk_count + 1);
        s->chunks = mem_resize(s->chunks, s->chunk_capacity, sizeof(*s->chunks));
    }
    s->chunks[s->chunk_count++] = meta;
}

/* Every chunk takes three bytes at least: the entry bounds how many there are. */
static enum err_code parse_chunks(const struct prom_index *index, struct cursor *c,
                                  struct prom_series *out, struct err *err) {
    const uint64_t count = cursor_uvarint(c);
    uint64_t maxt = 0;
    uint64_t ref = 0;
    out->chunk_count = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t mint = i == 0 ? (uint64_t)cursor_varint(c) : maxt + cursor_uvarint(c);
        const int64_t before = (int64_t)maxt;
        maxt = mint + cursor_uvarint(c);
        ref = i == 0 ? cursor_uvarint(c) : ref + (uint64_t)cursor_varint(c);
        if (c->failed) {
            return corrupt(index, out->offset, "chunks cut off in the series", err);
        }
        if ((int64_t)maxt < (int64_t)mint || (i != 0 && (int64_t)mint <= before)) {
            return corrupt(index, out->offset, "chunks out of order in the series", err);
        }
        add_chunk(out, (struct prom_chunk_meta){(int64_t)mint, (int64_t)maxt, ref});
    }
    return c->failed ? corrupt(index, out->offset, "series cut off", err) : ERR_OK;
}

/* The bytes of the entry's body, and where the entry ends. */
static enum err_code find_body(struct prom_index *index, uint64_t offset, size_t ahead,
                               struct str *out, uint64_t *out_end, struct err *err) {
    const uint64_t left = index->series_end - offset;
    const uint8_t *p;
    enum err_code code =
        window(index, offset, left < UVARINT_MAX ? (size_t)left : UVARINT_MAX, ahead, &p, err);
    if (code != ERR_OK) {
        return code;
    }
    struct cursor c = cursor_of(p, left < UVARINT_MAX ? (size_t)left : UVARINT_MAX);
    const uint64_t size = cursor_uvarint(&c);
    const uint64_t head = cursor_offset(&c);
    if (c.failed || size == 0 || size > left - head || left - head - size < 4) {
        return corrupt(index, offset, "wrong length of the series", err);
    }
    if (size > PROM_SERIES_BYTES_MAX) {
        return err_set(err, ERR_LIMIT, "%s: series of %llu bytes at offset %llu", index->path,
                       (unsigned long long)size, (unsigned long long)offset);
    }
    const size_t total = (size_t)(head + size + 4);
    code = window(index, offset, total, ahead, &p, err);
    if (code != ERR_OK) {
        return code;
    }
    if (load_u32be(p + head + size) != hash_crc32c(0, p + head, (size_t)size)) {
        return corrupt(index, offset, "checksum of the series does not match", err);
    }
    *out = (struct str){(const char *)p + head, (size_t)size};
    *out_end = offset + total;
    return ERR_OK;
}

static enum err_code read_entry(struct prom_index *index, uint64_t offset, size_t ahead,
                                struct prom_series *out, uint64_t *out_end, struct err *err) {
    struct str body = {0};
    enum err_code code = find_body(index, offset, ahead, &body, out_end, err);
    if (code != ERR_OK) {
        return code;
    }
    struct cursor c = cursor_of(body.ptr, body.len);
    out->offset = offset;
    out->ref = index->version == 1 ? offset : offset / SERIES_ALIGNMENT;
    code = parse_labels(index, &c, out, err);
    return code == ERR_OK ? parse_chunks(index, &c, out, err) : code;
}

static uint64_t aligned(const struct prom_index *index, uint64_t offset) {
    return index->version == 1
               ? offset
               : (offset + SERIES_ALIGNMENT - 1) / SERIES_ALIGNMENT * SERIES_ALIGNMENT;
}

uint64_t prom_index_first(const struct prom_index *index) {
    return aligned(index, index->series_at);
}

/* In version 1 up to three zero bytes may separate the series from the next section. */
static bool only_padding(struct prom_index *index, uint64_t offset) {
    const uint8_t *p;
    const uint64_t left = index->series_end - offset;
    if (left > 3 || window(index, offset, (size_t)left, 0, &p, NULL) != ERR_OK) {
        return false;
    }
    for (uint64_t i = 0; i < left; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

enum err_code prom_index_next(struct prom_index *index, uint64_t *offset, struct prom_series *out,
                              struct err *err) {
    if (*offset >= index->series_end || only_padding(index, *offset)) {
        return ERR_NOT_FOUND;
    }
    uint64_t end;
    const enum err_code code = read_entry(index, *offset, SEQUENTIAL_BYTES, out, &end, err);
    if (code == ERR_OK) {
        *offset = aligned(index, end);
    }
    return code;
}

enum err_code prom_index_read(struct prom_index *index, uint64_t offset, struct prom_series *out,
                              struct err *err) {
    uint64_t end;
    if (offset < index->series_at || offset >= index->series_end) {
        return corrupt(index, offset, "no series", err);
    }
    return read_entry(index, offset, RANDOM_BYTES, out, &end, err);
}
