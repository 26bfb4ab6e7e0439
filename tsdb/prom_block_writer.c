#include "tsdb/prom_block_writer.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/mem.h"
#include "tsdb/file_appender.h"
#include "tsdb/prom_encode.h"
#include "tsdb/prom_index_writer.h"

enum {
    CHUNKS_MAGIC = (int)0x85BD40DDU,
    CHUNKS_VERSION = 1,
    FILE_HEADER_BYTES = 8,
    CHUNK_FRAME_BYTES = 1 + 5 + 4, /* at most, around the data */
    CHUNK_BYTES_MAX = 16 << 20,
    PATH_BYTES_MAX = 4096,
    META_BYTES_MAX = 4096,
};

#define SEGMENT_BYTES_DEFAULT (UINT64_C(512) << 20)
#define BUILDING ".tmp-for-creation"

struct prom_block_writer {
    struct prom_block_writer_options options;
    struct prom_block_meta meta;
    uint64_t float_count;
    char building[PATH_BYTES_MAX]; /* the folder until it is complete; "" then */
    struct prom_index_writer *index;
    struct file_appender segment;
    uint32_t segment_count;
    struct buf data; /* of a chunk */
    struct prom_chunk_meta *chunks;
    size_t chunk_capacity;
    struct arena arena;
    struct labels last;
};

/* ---- names ---- */

/* 48 bits of time, 80 of chance, in Crockford's base 32 (github.com/ulid/spec). */
static void make_ulid(struct clock *clock, struct rng *rng, char to[PROM_ULID_LENGTH + 1]) {
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    enum { TIME_DIGITS = 10, CHANCE_DIGITS = 8 };
    uint64_t v = (uint64_t)(clock_unix_ns(clock) / NS_PER_MS) & ((UINT64_C(1) << 48) - 1);
    for (int i = TIME_DIGITS - 1; i >= 0; i--, v >>= 5) {
        to[i] = digits[v & 31];
    }
    for (int half = 0; half < 2; half++) {
        v = rng_u64(rng);
        for (int i = 0; i < CHANCE_DIGITS; i++, v >>= 5) {
            to[TIME_DIGITS + half * CHANCE_DIGITS + i] = digits[v & 31];
        }
    }
    to[PROM_ULID_LENGTH] = '\0';
}

static enum err_code path_of(const struct prom_block_writer *w, const char *name,
                             char to[PATH_BYTES_MAX], struct err *err) {
    const int n = snprintf(to, PATH_BYTES_MAX, "%s/%s", w->building, name);
    return n > 0 && n < PATH_BYTES_MAX ? ERR_OK : err_set(err, ERR_INVALID, "path is too long");
}

static enum err_code make_folders(struct prom_block_writer *w, struct err *err) {
    char path[PATH_BYTES_MAX];
    const int n =
        snprintf(w->building, sizeof(w->building), "%s/%s" BUILDING, w->options.path, w->meta.ulid);
    if (n < 0 || (size_t)n >= sizeof(w->building)) {
        w->building[0] = '\0';
        return err_set(err, ERR_INVALID, "path %s is too long", w->options.path);
    }
    enum err_code code = vfs_mkdir(w->options.vfs, w->options.path, err);
    code = code == ERR_OK ? vfs_mkdir(w->options.vfs, w->building, err) : code;
    code = code == ERR_OK ? path_of(w, "chunks", path, err) : code;
    return code == ERR_OK ? vfs_mkdir(w->options.vfs, path, err) : code;
}

enum err_code prom_block_writer_new(const struct prom_block_writer_options *options,
                                    struct prom_block_writer **out, struct err *err) {
    struct prom_block_writer *w = mem_zalloc(sizeof(*w));
    w->options = *options;
    if (w->options.segment_bytes_max == 0) {
        w->options.segment_bytes_max = SEGMENT_BYTES_DEFAULT;
    }
    w->meta.mint = INT64_MAX;
    w->meta.maxt = INT64_MIN;
    make_ulid(options->clock, options->rng, w->meta.ulid);
    arena_init(&w->arena, 0);
    buf_init(&w->data, CHUNK_BYTES_MAX);
    w->index = prom_index_writer_new();
    const enum err_code code = make_folders(w, err);
    if (code != ERR_OK) {
        prom_block_writer_free(w);
        return err_wrap(err, "making a block in %s", options->path);
    }
    *out = w;
    return ERR_OK;
}

/* ---- removing ---- */

static void remove_file(struct prom_block_writer *w, const char *name) {
    char path[PATH_BYTES_MAX];
    if (path_of(w, name, path, NULL) == ERR_OK) {
        const enum err_code ignored = vfs_unlink(w->options.vfs, path, NULL);
        (void)ignored; /* it may never have been made */
    }
}

static void remove_folder(struct prom_block_writer *w) {
    char path[PATH_BYTES_MAX];
    for (uint32_t i = 1; i <= w->segment_count; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "chunks/%06u", i);
        remove_file(w, name);
    }
    remove_file(w, "index");
    remove_file(w, "tombstones");
    remove_file(w, "meta.json");
    if (path_of(w, "chunks", path, NULL) == ERR_OK) {
        const enum err_code ignored = vfs_rmdir(w->options.vfs, path, NULL);
        (void)ignored;
    }
    const enum err_code ignored = vfs_rmdir(w->options.vfs, w->building, NULL);
    (void)ignored; /* Prometheus removes it as well */
}

void prom_block_writer_free(struct prom_block_writer *w) {
    if (w == NULL) {
        return;
    }
    file_appender_end(&w->segment);
    if (w->building[0] != '\0') {
        remove_folder(w);
    }
    prom_index_writer_free(w->index);
    buf_release(&w->data);
    arena_release(&w->arena);
    mem_free(w->chunks);
    mem_free(w);
}

/* ---- chunks ---- */

static enum err_code end_segment(struct prom_block_writer *w, struct err *err) {
    const enum err_code code =
        w->segment.file != NULL ? file_appender_sync(&w->segment, err) : ERR_OK;
    file_appender_end(&w->segment);
    return code;
}

static enum err_code begin_segment(struct prom_block_writer *w, struct err *err) {
    char name[32];
    char path[PATH_BYTES_MAX];
    enum err_code code = end_segment(w, err);
    (void)snprintf(name, sizeof(name), "chunks/%06u", ++w->segment_count);
    code = code == ERR_OK ? path_of(w, name, path, err) : code;
    code = code == ERR_OK ? file_appender_begin(&w->segment, w->options.vfs, path, err) : code;
    if (code == ERR_OK) {
        const uint32_t magic = __builtin_bswap32((uint32_t)CHUNKS_MAGIC);
        const uint8_t rest[FILE_HEADER_BYTES - sizeof(magic)] = {CHUNKS_VERSION};
        buf_append(&w->segment.pending, &magic, sizeof(magic));
        buf_append(&w->segment.pending, rest, sizeof(rest));
    }
    return code;
}

static enum err_code write_chunk(struct prom_block_writer *w, enum prom_encoding encoding,
                                 uint64_t *out_ref, struct err *err) {
    const struct str data = buf_str(&w->data);
    enum err_code code = ERR_OK;
    if (!buf_ok(&w->data)) {
        return err_set(err, ERR_LIMIT, "a chunk passes 16 MiB");
    }
    if (w->segment.file == NULL ||
        file_appender_offset(&w->segment) + data.len + CHUNK_FRAME_BYTES >
            w->options.segment_bytes_max) {
        code = begin_segment(w, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    *out_ref = (uint64_t)(w->segment_count - 1) << 32 | file_appender_offset(&w->segment);
    const uint8_t kind = (uint8_t)encoding;
    const uint32_t crc =
        __builtin_bswap32(hash_crc32c(hash_crc32c(0, &kind, 1), data.ptr, data.len));
    uint8_t length[UVARINT_MAX];
    struct buf *to = &w->segment.pending;
    buf_append(to, length, (size_t)(put_uvarint(length, data.len) - length));
    buf_append_char(to, (char)kind);
    buf_append_str(to, data);
    buf_append(to, &crc, sizeof(crc));
    return file_appender_flow(&w->segment, err);
}

static enum err_code write_chunks(struct prom_block_writer *w, const struct prom_sample *samples,
                                  size_t n, size_t *out_count, struct err *err) {
    struct prom_encoder encoder = {0};
    size_t count = 0;
    for (size_t at = 0; at < n;) {
        size_t taken;
        struct prom_chunk_meta chunk = {.mint = samples[at].ts_ms};
        buf_clear(&w->data);
        const enum prom_encoding encoding =
            prom_chunk_encode(&encoder, samples + at, n - at, &w->data, &taken);
        const enum err_code code = write_chunk(w, encoding, &chunk.ref, err);
        if (code != ERR_OK) {
            return code;
        }
        at += taken;
        chunk.maxt = samples[at - 1].ts_ms;
        w->float_count += encoding == PROM_CHUNK_XOR ? taken : 0;
        if (count == w->chunk_capacity) {
            w->chunk_capacity = mem_grow(w->chunk_capacity, count + 1);
            w->chunks = mem_resize(w->chunks, w->chunk_capacity, sizeof(*w->chunks));
        }
        w->chunks[count++] = chunk;
    }
    *out_count = count;
    return ERR_OK;
}

enum err_code prom_block_writer_add(struct prom_block_writer *w, struct labels labels,
                                    const struct prom_sample *samples, size_t n, struct err *err) {
    size_t chunk_count = 0;
    if (n == 0) {
        return ERR_OK;
    }
    if (w->meta.series_count != 0 && labels_cmp(w->last, labels) >= 0) {
        return err_set(err, ERR_INVALID, "series of a block are not in order");
    }
    arena_reset(&w->arena);
    w->last = labels_copy(&w->arena, labels);
    enum err_code code = write_chunks(w, samples, n, &chunk_count, err);
    if (code == ERR_OK) {
        code = prom_index_writer_add(w->index, labels, w->chunks, chunk_count, err);
    }
    struct prom_block_meta *m = &w->meta;
    m->series_count++;
    m->chunk_count += chunk_count;
    m->sample_count += n;
    m->mint = samples[0].ts_ms < m->mint ? samples[0].ts_ms : m->mint;
    m->maxt = samples[n - 1].ts_ms > m->maxt ? samples[n - 1].ts_ms : m->maxt;
    return code;
}

/* ---- completing ---- */

static void put_count(struct buf *to, const char *name, uint64_t n, bool *comma) {
    if (n != 0) {
        buf_printf(to, "%s\n\t\t\"%s\": %llu", *comma ? "," : "", name, (unsigned long long)n);
        *comma = true;
    }
}

static enum err_code write_meta(struct prom_block_writer *w, struct err *err) {
    const struct prom_block_meta *m = &w->meta;
    char path[PATH_BYTES_MAX];
    struct buf text;
    bool comma = false;
    buf_init(&text, META_BYTES_MAX);
    buf_printf(&text, "{\n\t\"ulid\": \"%s\",\n\t\"minTime\": %lld,\n\t\"maxTime\": %lld,\n",
               m->ulid, (long long)m->mint, (long long)m->maxt);
    buf_append_cstr(&text, "\t\"stats\": {");
    put_count(&text, "numSamples", m->sample_count, &comma);
    put_count(&text, "numFloatSamples", w->float_count, &comma);
    put_count(&text, "numHistogramSamples", m->sample_count - w->float_count, &comma);
    put_count(&text, "numSeries", m->series_count, &comma);
    put_count(&text, "numChunks", m->chunk_count, &comma);
    buf_printf(&text,
               "\n\t},\n\t\"compaction\": {\n\t\t\"level\": 1,\n\t\t\"sources\": [\n\t\t\t\"%s\""
               "\n\t\t]\n\t},\n\t\"version\": 1\n}",
               m->ulid);
    enum err_code code = path_of(w, "meta.json", path, err);
    code = code == ERR_OK ? vfs_replace_file(w->options.vfs, path, text.ptr, text.len, err) : code;
    buf_release(&text);
    return code;
}

static enum err_code write_tombstones(struct prom_block_writer *w, struct err *err) {
    static const uint8_t empty[] = {0x01, 0x30, 0xBA, 0x30, 1, 0, 0, 0, 0};
    char path[PATH_BYTES_MAX];
    const enum err_code code = path_of(w, "tombstones", path, err);
    return code == ERR_OK ? vfs_replace_file(w->options.vfs, path, empty, sizeof(empty), err)
                          : code;
}

static enum err_code put_in_place(struct prom_block_writer *w, struct err *err) {
    char path[PATH_BYTES_MAX];
    struct vfs *vfs = w->options.vfs;
    enum err_code code = path_of(w, "chunks", path, err);
    code = code == ERR_OK ? vfs_sync_dir(vfs, path, err) : code;
    code = code == ERR_OK ? vfs_sync_dir(vfs, w->building, err) : code;
    if (code == ERR_OK) {
        memcpy(path, w->building, sizeof(path));
        path[strlen(path) - strlen(BUILDING)] = '\0';
        code = vfs_rename(vfs, w->building, path, err);
    }
    if (code == ERR_OK) {
        w->building[0] = '\0';
        code = vfs_sync_dir(vfs, w->options.path, err);
    }
    return code;
}

enum err_code prom_block_writer_finish(struct prom_block_writer *w, struct prom_block_meta *out,
                                       struct err *err) {
    char path[PATH_BYTES_MAX];
    *out = (struct prom_block_meta){0};
    if (w->meta.series_count == 0) {
        return ERR_OK;
    }
    if (w->meta.maxt != INT64_MAX) {
        w->meta.maxt++; /* meta's range is open at its end */
    }
    enum err_code code = end_segment(w, err);
    code = code == ERR_OK ? path_of(w, "index", path, err) : code;
    code = code == ERR_OK ? prom_index_writer_finish(w->index, w->options.vfs, path, err) : code;
    code = code == ERR_OK ? write_tombstones(w, err) : code;
    code = code == ERR_OK ? write_meta(w, err) : code;
    code = code == ERR_OK ? put_in_place(w, err) : code;
    if (code == ERR_OK) {
        *out = w->meta;
    }
    return code;
}
