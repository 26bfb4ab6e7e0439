/* prom_index: a good index file with edits, its checksums made right again or not. What comes out is well
 * formed, and a second walk gives the same. */
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "tests/fuzz/tsdb/edited_file.h"
#include "tests/support/mem_vfs.h"
#include "tests/support/prom_files.h"
#include "tsdb/prom_index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct prom_chunk_meta chunks[] = {{-5, 90, 8}, {91, 99, 70}, {100, 100, 900}};
static const struct prom_write_series series[] = {{{"__name__", "a", "x", "1", NULL}, chunks, 3},
                                                  {{"__name__", "b", NULL}, chunks + 1, 2}};

enum { EDIT_BYTES = 4, TOC_BYTES = 52, SERIES_MAX = 1000 };

static void put_be(char *to, uint32_t v) {
    for (unsigned i = 0; i < 4; i++) {
        to[i] = (char)(v >> (24 - 8 * i));
    }
}

static void sign(struct buf *file, size_t from, size_t n) {
    if (from + n + 4 <= file->len) {
        put_be(file->ptr + from + n, hash_crc32c(0, file->ptr + from, n));
    }
}

/* Makes the checksums of the sections right, wherever the writer has put them. */
static void sign_all(struct buf *file, const uint64_t *refs) {
    sign(file, 9, load_u32be(file->ptr + 5));
    for (size_t i = 0; i < COUNT_OF(series); i++) {
        const size_t at = (size_t)refs[i] * 16;
        sign(file, at + 1, (uint8_t)file->ptr[at]);
    }
    sign(file, file->len - TOC_BYTES, TOC_BYTES - 4);
}

static uint64_t walk(struct vfs *vfs) {
    struct prom_index *index = NULL;
    struct prom_series s;
    struct err err;
    uint64_t hash = 1;
    if (prom_index_open(vfs, "/index", &index, &err) != ERR_OK) {
        return 0;
    }
    prom_series_init(&s);
    uint64_t offset = prom_index_first(index);
    for (size_t n = 0; prom_index_next(index, &offset, &s, &err) == ERR_OK; n++) {
        const struct labels labels = prom_series_labels(&s);
        ASSERT(n < SERIES_MAX);
        ASSERT(labels_check(labels.data, labels.size, &err) == ERR_OK);
        hash = hash * 31 + labels_hash(labels);
        for (size_t i = 0; i < s.chunk_count; i++) {
            ASSERT(s.chunks[i].mint <= s.chunks[i].maxt);
            ASSERT(i == 0 || s.chunks[i].mint > s.chunks[i - 1].maxt);
        }
        ASSERT(prom_index_read(index, s.offset, &s, &err) == ERR_OK);
    }
    prom_series_release(&s);
    prom_index_close(index);
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    const unsigned version = 1 + data[0] % 3;
    uint64_t refs[COUNT_OF(series)] = {0};
    struct mem_vfs *disk = mem_vfs_new();
    struct vfs *vfs = mem_vfs_base(disk);
    struct buf file;
    buf_init(&file, 1 << 20);
    prom_write_index(&file, version, series, COUNT_OF(series), refs);
    if ((data[0] & 0x80) != 0 && version != 1) { /* reaches what is behind the checksums */
        for (size_t i = 1; i + EDIT_BYTES <= size; i += EDIT_BYTES) {
            file.ptr[load_u16(data + i) % file.len] = (char)data[i + 3];
        }
        sign_all(&file, refs);
        put_file(vfs, "/index", (const uint8_t *)file.ptr, file.len);
    } else {
        put_file(vfs, "/index", (const uint8_t *)file.ptr, file.len);
        edit_file(vfs, "/index", data + 1, size - 1);
    }
    ASSERT(walk(vfs) == walk(vfs));
    buf_release(&file);
    mem_vfs_free(disk);
    return 0;
}
