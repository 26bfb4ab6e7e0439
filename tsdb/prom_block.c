/* FORMAT of a chunk file: magic u32 BE, version u8, three zero bytes; then chunks: uvarint length,
 * encoding u8, data, CRC of encoding and data. Tombstones: magic u32 BE, version u8, entries
 * {uvarint series, varint mint, varint maxt}, CRC of the entries; an empty file has no entries. */
#include "tsdb/prom_block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "base/json_in.h"
#include "base/mem.h"
#include "base/number.h"
#include "tsdb/prom_histogram.h"

enum {
    CHUNKS_MAGIC = (int)0x85BD40DDU,
    TOMBSTONES_MAGIC = 0x0130BA30,
    FILE_HEADER_BYTES = 8,
    TOMBSTONE_HEADER_BYTES = 5,
    META_BYTES_MAX = 64 << 20,
    TOMBSTONE_BYTES_MAX = 256 << 20,
    CHUNK_BYTES_MAX = 16 << 20,
    CHUNK_GUESS_BYTES = 1536, /* most chunks fit: one read */
    CHUNK_FILES_MAX = 1 << 20,
    PATH_BYTES_MAX = 4096,
};

struct tombstone {
    uint64_t ref;
    int64_t mint; /* closed at both ends */
    int64_t maxt;
};

struct prom_block {
    struct vfs *vfs;
    char *dir;
    struct prom_index *index;
    struct tombstone *tombstones; /* by ref, then mint */
    size_t tombstone_count;
    struct vfs_file **files; /* chunk files, opened when first used */
    uint64_t *file_sizes;
    size_t file_count;
    uint8_t *chunk; /* scratch */
    size_t chunk_capacity;
};

bool prom_is_ulid(struct str name) {
    if (name.len != PROM_ULID_LENGTH || name.ptr[0] < '0' || name.ptr[0] > '7') {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (strchr("0123456789ABCDEFGHJKMNPQRSTVWXYZ", name.ptr[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static enum err_code path_in(const char *dir, const char *name, char out[PATH_BYTES_MAX],
                             struct err *err) {
    const int n = snprintf(out, PATH_BYTES_MAX, "%s/%s", dir, name);
    return n < 0 || n >= PATH_BYTES_MAX ? err_set(err, ERR_LIMIT, "path too long: %s", dir)
                                        : ERR_OK;
}

/* A whole file of at most max bytes. */
static enum err_code read_whole(struct vfs *vfs, const char *path, size_t max, struct buf *to,
                                struct err *err) {
    struct vfs_file *file = NULL;
    uint64_t size = 0;
    enum err_code code = vfs_open(vfs, path, VFS_READ, &file, err);
    if (code != ERR_OK) {
        return code;
    }
    buf_init(to, max + 1);
    code = vfs_file_size(file, &size, err);
    char *room = code == ERR_OK && size <= max ? buf_reserve(to, (size_t)size) : NULL;
    if (code == ERR_OK && room == NULL) {
        code = err_set(err, ERR_LIMIT, "%s: file of %llu bytes", path, (unsigned long long)size);
    }
    if (code == ERR_OK) {
        code = vfs_file_pread(file, room, (size_t)size, 0, NULL, err);
        to->len += (size_t)size;
    }
    vfs_file_close(file);
    if (code != ERR_OK) {
        buf_release(to);
    }
    return code;
}

/* ---- meta.json ---- */

static bool copy_ulid(struct str from, char to[PROM_ULID_LENGTH + 1]) {
    if (!prom_is_ulid(from)) {
        return false;
    }
    memcpy(to, from.ptr, PROM_ULID_LENGTH);
    to[PROM_ULID_LENGTH] = '\0';
    return true;
}

static uint64_t count_of(const struct json *stats, const char *key) {
    const int64_t n = json_int(json_get(stats, key), 0);
    return n > 0 ? (uint64_t)n : 0;
}

static enum err_code take_meta(const struct json *root, const char *path,
                               struct prom_block_meta *out, struct err *err) {
    const struct json *stats = json_get(root, "stats");
    const struct json *compaction = json_get(root, "compaction");
    const int64_t version = json_int(json_get(root, "version"), 0);
    if (version != 1) {
        return err_set(err, ERR_CORRUPT, "%s: unexpected meta file version %lld", path,
                       (long long)version);
    }
    *out = (struct prom_block_meta){
        .mint = json_int(json_get(root, "minTime"), 0),
        .maxt = json_int(json_get(root, "maxTime"), 0),
        .sample_count = count_of(stats, "numSamples"),
        .series_count = count_of(stats, "numSeries"),
        .chunk_count = count_of(stats, "numChunks"),
    };
    if (!copy_ulid(json_string(json_get(root, "ulid")), out->ulid) || out->mint > out->maxt) {
        return err_set(err, ERR_CORRUPT, "%s: no ULID, or times out of order", path);
    }
    const struct json *hints = json_get(compaction, "hints");
    for (size_t i = 0; i < json_length(hints); i++) {
        out->out_of_order =
            out->out_of_order || str_eq(json_string(json_at(hints, i)), STR("from-out-of-order"));
    }
    const struct json *parents = json_get(compaction, "parents");
    out->parents = mem_array(json_length(parents) + 1, sizeof(*out->parents));
    for (size_t i = 0; i < json_length(parents); i++) {
        if (copy_ulid(json_string(json_get(json_at(parents, i), "ulid")),
                      out->parents[out->parent_count])) {
            out->parent_count++;
        }
    }
    return ERR_OK;
}

enum err_code prom_block_meta_read(struct vfs *vfs, const char *dir, struct prom_block_meta *out,
                                   struct err *err) {
    char path[PATH_BYTES_MAX];
    struct buf text;
    struct json_doc *doc = NULL;
    enum err_code code = path_in(dir, "meta.json", path, err);
    if (code == ERR_OK) {
        code = read_whole(vfs, path, META_BYTES_MAX, &text, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    code = json_parse(buf_str(&text), &doc, err);
    if (code != ERR_OK) {
        (void)err_wrap(err, "%s", path);
    } else {
        code = take_meta(json_root(doc), path, out, err);
        json_doc_free(doc);
    }
    buf_release(&text);
    return code;
}

void prom_block_meta_release(struct prom_block_meta *meta) {
    mem_free(meta->parents);
    meta->parents = NULL;
    meta->parent_count = 0;
}

struct sizing {
    struct vfs *vfs;
    const char *dir;
    uint64_t bytes;
    bool deeper;
    enum err_code code;
    struct err *err;
};

static bool add_size(void *ctx, const char *name) {
    struct sizing *s = ctx;
    char path[PATH_BYTES_MAX];
    struct vfs_stat st;
    s->code = path_in(s->dir, name, path, s->err);
    if (s->code == ERR_OK) {
        s->code = vfs_stat(s->vfs, path, &st, s->err);
    }
    if (s->code == ERR_OK && !st.is_dir) {
        s->bytes += st.size_bytes;
    } else if (s->code == ERR_OK && s->deeper) {
        struct sizing inner = {.vfs = s->vfs, .dir = path, .err = s->err};
        s->code = vfs_list(s->vfs, path, add_size, &inner, s->err);
        s->code = s->code == ERR_OK ? inner.code : s->code;
        s->bytes += inner.bytes;
    }
    return s->code == ERR_OK;
}

enum err_code prom_block_size(struct vfs *vfs, const char *dir, uint64_t *out, struct err *err) {
    struct sizing s = {.vfs = vfs, .dir = dir, .deeper = true, .err = err};
    enum err_code code = vfs_list(vfs, dir, add_size, &s, err);
    code = code == ERR_OK ? s.code : code;
    if (code == ERR_OK) {
        *out = s.bytes;
    }
    return code;
}

/* ---- tombstones ---- */

static int by_ref(const void *a, const void *b) {
    const struct tombstone *x = a;
    const struct tombstone *y = b;
    if (x->ref != y->ref) {
        return x->ref < y->ref ? -1 : 1;
    }
    return (x->mint > y->mint) - (x->mint < y->mint);
}

static enum err_code parse_tombstones(struct prom_block *block, struct str text, const char *path,
                                      struct err *err) {
    const uint8_t *p = (const uint8_t *)text.ptr;
    if (text.len < TOMBSTONE_HEADER_BYTES + 4 || load_u32be(p) != TOMBSTONES_MAGIC || p[4] != 1) {
        return err_set(err, ERR_CORRUPT, "%s: no tombstone file of version 1", path);
    }
    const size_t size = text.len - TOMBSTONE_HEADER_BYTES - 4;
    p += TOMBSTONE_HEADER_BYTES;
    if (load_u32be(p + size) != hash_crc32c(0, p, size)) {
        return err_set(err, ERR_CORRUPT, "%s: checksum does not match", path);
    }
    struct cursor c = cursor_of(p, size);
    size_t capacity = 0;
    while (cursor_left(&c) != 0) {
        struct tombstone t = {.ref = cursor_uvarint(&c)};
        t.mint = cursor_varint(&c);
        t.maxt = cursor_varint(&c);
        if (c.failed) {
            return err_set(err, ERR_CORRUPT, "%s: entry cut off at offset %zu", path,
                           cursor_offset(&c) + TOMBSTONE_HEADER_BYTES);
        }
        if (block->tombstone_count == capacity) {
            capacity = mem_grow(capacity, capacity + 1);
            block->tombstones = mem_resize(block->tombstones, capacity, sizeof(t));
        }
        block->tombstones[block->tombstone_count++] = t;
    }
    if (block->tombstone_count != 0) {
        qsort(block->tombstones, block->tombstone_count, sizeof(*block->tombstones), by_ref);
    }
    return ERR_OK;
}

static enum err_code load_tombstones(struct prom_block *block, struct err *err) {
    char path[PATH_BYTES_MAX];
    struct buf text;
    enum err_code code = path_in(block->dir, "tombstones", path, err);
    if (code == ERR_OK) {
        code = read_whole(block->vfs, path, TOMBSTONE_BYTES_MAX, &text, err);
        if (code == ERR_NOT_FOUND) {
            return ERR_OK;
        }
    }
    if (code == ERR_OK) {
        code = parse_tombstones(block, buf_str(&text), path, err);
        buf_release(&text);
    }
    return code;
}

static size_t first_tombstone(const struct prom_block *block, uint64_t ref) {
    size_t low = 0;
    size_t high = block->tombstone_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (block->tombstones[middle].ref < ref) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void drop_deleted(const struct prom_block *block, uint64_t ref, struct prom_samples *list,
                         size_t from) {
    for (size_t i = first_tombstone(block, ref);
         i < block->tombstone_count && block->tombstones[i].ref == ref; i++) {
        const struct tombstone *t = &block->tombstones[i];
        size_t kept = from;
        for (size_t k = from; k < list->count; k++) {
            if (list->items[k].ts_ms < t->mint || list->items[k].ts_ms > t->maxt) {
                list->items[kept++] = list->items[k];
            }
        }
        list->count = kept;
    }
}

/* ---- the block ---- */

static bool count_file(void *ctx, const char *name) {
    size_t *count = ctx;
    uint64_t number;
    if (number_parse_u64(str_of(name), &number) == NUMBER_OK && number > *count &&
        number <= CHUNK_FILES_MAX) {
        *count = (size_t)number;
    }
    return true;
}

static enum err_code find_files(struct prom_block *block, struct err *err) {
    char path[PATH_BYTES_MAX];
    enum err_code code = path_in(block->dir, "chunks", path, err);
    if (code == ERR_OK) {
        code = vfs_list(block->vfs, path, count_file, &block->file_count, err);
    }
    block->files = mem_zalloc((block->file_count + 1) * sizeof(struct vfs_file *));
    block->file_sizes = mem_zalloc((block->file_count + 1) * sizeof(uint64_t));
    return code;
}

enum err_code prom_block_open(struct vfs *vfs, const char *dir, struct prom_block **out,
                              struct err *err) {
    struct prom_block *block = mem_zalloc(sizeof(*block));
    char path[PATH_BYTES_MAX];
    block->vfs = vfs;
    block->dir = mem_strdup(dir);
    enum err_code code = path_in(dir, "index", path, err);
    if (code == ERR_OK) {
        code = prom_index_open(vfs, path, &block->index, err);
    }
    if (code == ERR_OK) {
        code = load_tombstones(block, err);
    }
    if (code == ERR_OK) {
        code = find_files(block, err);
    }
    if (code != ERR_OK) {
        prom_block_close(block);
        return code;
    }
    *out = block;
    return ERR_OK;
}

void prom_block_close(struct prom_block *block) {
    if (block == NULL) {
        return;
    }
    prom_index_close(block->index);
    for (size_t i = 0; block->files != NULL && i < block->file_count; i++) {
        vfs_file_close(block->files[i]);
    }
    mem_free(block->files);
    mem_free(block->file_sizes);
    mem_free(block->tombstones);
    mem_free(block->chunk);
    mem_free(block->dir);
    mem_free(block);
}

struct prom_index *prom_block_index(struct prom_block *block) {
    return block->index;
}

/* ---- chunks ---- */

static enum err_code open_file(struct prom_block *block, size_t number, struct err *err) {
    char name[32];
    char path[PATH_BYTES_MAX];
    uint8_t header[FILE_HEADER_BYTES];
    struct vfs_file *file = NULL;
    (void)snprintf(name, sizeof(name), "chunks/%06zu", number + 1);
    enum err_code code = path_in(block->dir, name, path, err);
    if (code == ERR_OK) {
        code = vfs_open(block->vfs, path, VFS_READ, &file, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    code = vfs_file_size(file, &block->file_sizes[number], err);
    if (code == ERR_OK) {
        code = vfs_file_pread(file, header, sizeof(header), 0, NULL, err);
    }
    if (code == ERR_OK && (load_u32be(header) != (uint32_t)CHUNKS_MAGIC || header[4] != 1)) {
        code = err_set(err, ERR_CORRUPT, "%s: no chunk file of version 1", path);
    }
    if (code != ERR_OK) {
        vfs_file_close(file);
        return code;
    }
    block->files[number] = file;
    return ERR_OK;
}

static enum err_code bad_chunk(const struct prom_block *block, uint64_t ref, const char *what,
                               struct err *err) {
    return err_set(err, ERR_CORRUPT, "%s/chunks/%06llu: %s at offset %llu", block->dir,
                   (unsigned long long)(ref >> 32) + 1, what,
                   (unsigned long long)(ref & UINT32_MAX));
}

static enum err_code fill(struct prom_block *block, uint64_t ref, size_t n, struct err *err) {
    if (n > block->chunk_capacity) {
        mem_free(block->chunk);
        block->chunk_capacity = n;
        block->chunk = mem_alloc(n);
    }
    const enum err_code code =
        vfs_file_pread(block->files[ref >> 32], block->chunk, n, ref & UINT32_MAX, NULL, err);
    return code == ERR_OK ? ERR_OK : err_wrap(err, "%s: reading a chunk", block->dir);
}

static enum err_code load_chunk(struct prom_block *block, uint64_t ref, uint8_t *out_encoding,
                                struct str *out, struct err *err) {
    const uint64_t number = ref >> 32;
    const uint64_t at = ref & UINT32_MAX;
    if (number >= block->file_count) {
        return bad_chunk(block, ref, "no such file for the chunk", err);
    }
    enum err_code code =
        block->files[number] != NULL ? ERR_OK : open_file(block, (size_t)number, err);
    if (code != ERR_OK) {
        return code;
    }
    const uint64_t size = block->file_sizes[number];
    if (at < FILE_HEADER_BYTES || at >= size) {
        return bad_chunk(block, ref, "no chunk", err);
    }
    const size_t guess =
        size - at < CHUNK_GUESS_BYTES ? (size_t)(size - at) : (size_t)CHUNK_GUESS_BYTES;
    code = fill(block, ref, guess, err);
    if (code != ERR_OK) {
        return code;
    }
    struct cursor c = cursor_of(block->chunk, guess);
    const uint64_t length = cursor_uvarint(&c);
    const size_t head = cursor_offset(&c);
    if (c.failed || length > CHUNK_BYTES_MAX || length + 5 > size - at - head) {
        return bad_chunk(block, ref, "wrong length of the chunk", err);
    }
    const size_t total = head + (size_t)length + 5;
    code = total > guess ? fill(block, ref, total, err) : ERR_OK;
    if (code != ERR_OK) {
        return code;
    }
    const uint8_t *body = block->chunk + head;
    if (load_u32be(body + 1 + length) != hash_crc32c(0, body, (size_t)length + 1)) {
        return bad_chunk(block, ref, "checksum does not match for the chunk", err);
    }
    *out_encoding = body[0];
    *out = (struct str){(const char *)body + 1, (size_t)length};
    return ERR_OK;
}

enum err_code prom_block_chunk(struct prom_block *block, const struct prom_chunk_meta *chunk,
                               uint8_t *out_encoding, struct str *out, struct err *err) {
    return load_chunk(block, chunk->ref, out_encoding, out, err);
}

static enum err_code read_chunk(struct prom_block *block, const struct prom_chunk_meta *meta,
                                int64_t mint, int64_t maxt, struct prom_samples *to,
                                struct prom_read_result *result, struct err *err) {
    uint8_t encoding = 0;
    struct str data = {0};
    enum err_code code = load_chunk(block, meta->ref, &encoding, &data, err);
    if (code != ERR_OK) {
        return code;
    }
    const bool is_histogram = prom_chunk_is_histogram(encoding);
    if (is_histogram && to->arena == NULL) {
        const bool begins_here = meta->mint >= mint;
        result->histogram_samples += begins_here ? prom_chunk_count(encoding, data) : 0;
        return ERR_OK;
    }
    if (!prom_chunk_is_float(encoding) && !is_histogram) {
        return bad_chunk(block, meta->ref, "unknown encoding of the chunk", err);
    }
    code = is_histogram ? prom_histogram_chunk_read(encoding, data, mint, maxt, to, err)
                        : prom_chunk_read(encoding, data, mint, maxt, to, err);
    return code == ERR_OK ? ERR_OK
                          : err_wrap(err, "%s/chunks/%06llu, offset %llu", block->dir,
                                     (unsigned long long)(meta->ref >> 32) + 1,
                                     (unsigned long long)(meta->ref & UINT32_MAX));
}

enum err_code prom_block_read(struct prom_block *block, const struct prom_series *series,
                              int64_t mint, int64_t maxt, struct prom_samples *to,
                              struct prom_read_result *result, struct err *err) {
    const size_t from = to->count;
    for (size_t i = 0; i < series->chunk_count; i++) {
        const struct prom_chunk_meta *meta = &series->chunks[i];
        if (meta->maxt < mint) {
            continue;
        }
        if (meta->maxt > maxt) {
            const int64_t next = meta->mint > maxt ? meta->mint : maxt + 1;
            result->next_ms = next < result->next_ms ? next : result->next_ms;
        }
        if (meta->mint > maxt) {
            break;
        }
        const enum err_code code = read_chunk(block, meta, mint, maxt, to, result, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    drop_deleted(block, series->ref, to, from);
    return ERR_OK;
}
