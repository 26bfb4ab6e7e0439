/* FRAMING. A segment is a run of pages of 32 KiB; a page is a run of fragments and then zeros:
 *
 *     head u8 | length u16 BE | CRC of data u32 BE | data[length]
 *     head: bits 0-2: 0 rest of the page is empty, 1 whole record, 2 first, 3 middle, 4 last
 *           bit 3: the record is packed with snappy, bit 4: with zstd
 *
 * The records themselves: prom_record.c. */
#include "tsdb/prom_wal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/compress.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/snappy.h"

enum {
    PAGE_BYTES = 32 << 10,
    FRAGMENT_HEAD_BYTES = 7,
    KIND_MASK = 7,
    PACKED_SNAPPY = 8,
    PACKED_ZSTD = 16,
    LABELS_BYTES_MAX = 64 << 20,
    SEGMENTS_MAX = 1 << 20,
    PATH_BYTES_MAX = 4096,
};

enum kind { KIND_EMPTY = 0, KIND_FULL = 1, KIND_FIRST = 2, KIND_MIDDLE = 3, KIND_LAST = 4 };

struct wal_segment {
    char *path;
    uint64_t bytes;
    uint64_t number;
    bool late;
};

struct prom_wal {
    struct vfs *vfs;
    struct wal_segment *segments;
    size_t count;
    size_t capacity;
    struct inflater *inflater;
    struct buf record;
    struct buf unpacked;
    struct buf labels;
};

/* ---- files ---- */

struct listing {
    uint64_t *numbers;
    size_t count;
    size_t capacity;
    uint64_t checkpoint;
    bool has_checkpoint;
};

static bool note_name(void *ctx, const char *name) {
    struct listing *l = ctx;
    struct str s = str_of(name);
    const bool checkpoint = str_starts(s, STR("checkpoint."));
    uint64_t number;
    if (checkpoint) {
        s = str_from(s, sizeof("checkpoint.") - 1);
    }
    if (s.len == 0 || s.ptr[0] == '+' || number_parse_u64(s, &number) != NUMBER_OK) {
        return true;
    }
    if (checkpoint) {
        l->checkpoint = !l->has_checkpoint || number > l->checkpoint ? number : l->checkpoint;
        l->has_checkpoint = true;
        return true;
    }
    if (l->count == l->capacity) {
        l->capacity = mem_grow(l->capacity, l->count + 1);
        l->numbers = mem_resize(l->numbers, l->capacity, sizeof(*l->numbers));
    }
    l->numbers[l->count++] = number;
    return l->count < SEGMENTS_MAX;
}

static int by_number(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static enum err_code list_folder(struct vfs *vfs, const char *dir, struct listing *out,
                                 struct err *err) {
    *out = (struct listing){0};
    const enum err_code code = vfs_list(vfs, dir, note_name, out, err);
    if (code != ERR_OK) {
        mem_free(out->numbers);
        *out = (struct listing){0};
    } else if (out->count != 0) {
        qsort(out->numbers, out->count, sizeof(*out->numbers), by_number);
    }
    return code;
}

static enum err_code add_segment(struct prom_wal *wal, const char *dir, uint64_t number, bool late,
                                 struct err *err) {
    char path[PATH_BYTES_MAX];
    struct vfs_stat st;
    const int n = snprintf(path, sizeof(path), "%s/%08llu", dir, (unsigned long long)number);
    if (n < 0 || n >= PATH_BYTES_MAX) {
        return err_set(err, ERR_LIMIT, "path too long: %s", dir);
    }
    const enum err_code code = vfs_stat(wal->vfs, path, &st, err);
    if (code != ERR_OK) {
        return code;
    }
    if (wal->count == wal->capacity) {
        wal->capacity = mem_grow(wal->capacity, wal->count + 1);
        wal->segments = mem_resize(wal->segments, wal->capacity, sizeof(*wal->segments));
    }
    wal->segments[wal->count++] =
        (struct wal_segment){mem_strdup(path), st.size_bytes, number, late};
    return ERR_OK;
}

/* The segments of a folder from a number on, which must follow each other. */
static enum err_code add_segments(struct prom_wal *wal, const char *dir, const struct listing *l,
                                  uint64_t from, bool late, struct err *err) {
    const uint64_t *before = NULL;
    for (size_t i = 0; i < l->count; i++) {
        if (l->numbers[i] < from) {
            continue;
        }
        if (before != NULL && l->numbers[i] != *before + 1) {
            return err_set(err, ERR_CORRUPT, "%s: segments are not sequential: %llu is missing",
                           dir, (unsigned long long)*before + 1);
        }
        before = &l->numbers[i];
        const enum err_code code = add_segment(wal, dir, *before, late, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code add_checkpoint(struct prom_wal *wal, const char *dir, uint64_t number,
                                    struct err *err) {
    char path[PATH_BYTES_MAX];
    struct listing l;
    const int n =
        snprintf(path, sizeof(path), "%s/checkpoint.%08llu", dir, (unsigned long long)number);
    if (n < 0 || n >= PATH_BYTES_MAX) {
        return err_set(err, ERR_LIMIT, "path too long: %s", dir);
    }
    enum err_code code = list_folder(wal->vfs, path, &l, err);
    if (code == ERR_OK) {
        code = add_segments(wal, path, &l, 0, false, err);
        mem_free(l.numbers);
    }
    return code;
}

static enum err_code add_log(struct prom_wal *wal, const char *data, const char *name, bool late,
                             struct err *err) {
    char dir[PATH_BYTES_MAX];
    struct listing l;
    const int n = snprintf(dir, sizeof(dir), "%s/%s", data, name);
    if (n < 0 || n >= PATH_BYTES_MAX) {
        return err_set(err, ERR_LIMIT, "path too long: %s", data);
    }
    enum err_code code = list_folder(wal->vfs, dir, &l, err);
    if (code == ERR_NOT_FOUND) {
        return ERR_OK;
    }
    if (code == ERR_OK && l.has_checkpoint) {
        code = add_checkpoint(wal, dir, l.checkpoint, err);
    }
    if (code == ERR_OK) {
        code = add_segments(wal, dir, &l, l.has_checkpoint ? l.checkpoint + 1 : 0, late, err);
    }
    mem_free(l.numbers);
    return code;
}

enum err_code prom_wal_open(struct vfs *vfs, const char *dir, struct prom_wal **out,
                            struct err *err) {
    struct prom_wal *wal = mem_zalloc(sizeof(*wal));
    wal->vfs = vfs;
    wal->inflater = inflater_new();
    buf_init(&wal->record, PROM_RECORD_BYTES_MAX);
    buf_init(&wal->unpacked, PROM_RECORD_BYTES_MAX);
    buf_init(&wal->labels, LABELS_BYTES_MAX);
    enum err_code code = add_log(wal, dir, "wal", false, err);
    if (code == ERR_OK) {
        code = add_log(wal, dir, "wbl", true, err);
    }
    if (code != ERR_OK) {
        prom_wal_close(wal);
        return code;
    }
    *out = wal;
    return ERR_OK;
}

void prom_wal_close(struct prom_wal *wal) {
    if (wal == NULL) {
        return;
    }
    for (size_t i = 0; i < wal->count; i++) {
        mem_free(wal->segments[i].path);
    }
    mem_free(wal->segments);
    inflater_free(wal->inflater);
    buf_release(&wal->record);
    buf_release(&wal->unpacked);
    buf_release(&wal->labels);
    mem_free(wal);
}

size_t prom_wal_segment_count(const struct prom_wal *wal) {
    return wal->count;
}

const char *prom_wal_segment_path(const struct prom_wal *wal, size_t i) {
    return wal->segments[i].path;
}

uint64_t prom_wal_segment_bytes(const struct prom_wal *wal, size_t i) {
    return wal->segments[i].bytes;
}

bool prom_wal_segment_is_late(const struct prom_wal *wal, size_t i) {
    return wal->segments[i].late;
}

/* ---- framing ---- */

struct reading {
    struct prom_wal *wal;
    const struct prom_wal_handler *handler;
    void *ctx;
    const char *path;
    uint64_t page_at;
    uint64_t record_at; /* where the record under construction began */
    bool open;          /* a first fragment waits for its last one */
};

static enum err_code bad(const struct reading *r, uint64_t offset, const char *what,
                         struct err *err) {
    return err_set(err, ERR_CORRUPT, "%s: %s at offset %llu", r->path, what,
                   (unsigned long long)offset);
}

static enum err_code finish_record(struct reading *r, uint8_t head, struct err *err) {
    struct prom_wal *wal = r->wal;
    struct str record = buf_str(&wal->record);
    enum err_code code = ERR_OK;
    buf_clear(&wal->unpacked);
    if ((head & PACKED_SNAPPY) != 0) {
        code = snappy_unpack(record, &wal->unpacked, err);
        record = buf_str(&wal->unpacked);
    } else if ((head & PACKED_ZSTD) != 0) {
        code = inflate_zstd(wal->inflater, record, &wal->unpacked, err);
        record = buf_str(&wal->unpacked);
    }
    if (code != ERR_OK) {
        (void)err_wrap(err, "%s: record at offset %llu", r->path, (unsigned long long)r->record_at);
        return ERR_CORRUPT;
    }
    r->open = false;
    code = prom_wal_decode(record, &wal->labels, r->handler, r->ctx, err);
    return code == ERR_CORRUPT ? err_wrap(err, "%s: record at offset %llu", r->path,
                                          (unsigned long long)r->record_at)
                               : code;
}

static enum err_code take_fragment(struct reading *r, uint64_t at, uint8_t head, struct str data,
                                   struct err *err) {
    const unsigned kind = head & KIND_MASK;
    const bool begins = kind == KIND_FULL || kind == KIND_FIRST;
    if (kind > KIND_LAST || begins == r->open) {
        return bad(r, at, "unexpected kind of fragment", err);
    }
    if (begins) {
        buf_clear(&r->wal->record);
        r->record_at = at;
        r->open = true;
    }
    buf_append_str(&r->wal->record, data);
    if (!buf_ok(&r->wal->record)) {
        return bad(r, r->record_at, "record too large", err);
    }
    return kind == KIND_FULL || kind == KIND_LAST ? finish_record(r, head, err) : ERR_OK;
}

static bool all_zero(const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

/* n < PAGE_BYTES: the file ends in this page. *out_torn: where what is left begins. */
static enum err_code read_page(struct reading *r, const uint8_t *page, size_t n, size_t *out_torn,
                               struct err *err) {
    size_t at = 0;
    *out_torn = n;
    while (at < n) {
        const uint8_t head = page[at];
        const uint64_t offset = r->page_at + at;
        if ((head & KIND_MASK) == KIND_EMPTY) {
            return all_zero(page + at, n - at)
                       ? ERR_OK
                       : bad(r, offset, "unexpected non-zero byte in padded page", err);
        }
        if (n - at < FRAGMENT_HEAD_BYTES) {
            break;
        }
        const size_t length = (size_t)page[at + 1] << 8 | page[at + 2];
        const size_t body = at + FRAGMENT_HEAD_BYTES;
        if (length > PAGE_BYTES - body) {
            return bad(r, offset, "invalid record size", err);
        }
        if (length > n - body) {
            break;
        }
        if (load_u32be(page + at + 3) != hash_crc32c(0, page + body, length)) {
            return bad(r, offset, "checksum does not match", err);
        }
        const enum err_code code =
            take_fragment(r, offset, head, (struct str){(const char *)page + body, length}, err);
        if (code != ERR_OK) {
            return code;
        }
        at = body + length;
    }
    *out_torn = at < n ? at : n;
    return at < n && n == PAGE_BYTES ? bad(r, r->page_at + at, "fragment cut off", err) : ERR_OK;
}

static enum err_code read_pages(struct reading *r, struct vfs_file *file, uint8_t *page,
                                uint64_t *out_torn_bytes, struct err *err) {
    for (;;) {
        size_t n = 0;
        size_t torn;
        enum err_code code = vfs_file_pread(file, page, PAGE_BYTES, r->page_at, &n, err);
        if (code != ERR_OK) {
            return err_wrap(err, "%s", r->path);
        }
        code = read_page(r, page, n, &torn, err);
        if (code != ERR_OK) {
            return code;
        }
        if (n < PAGE_BYTES) {
            const uint64_t lost_from = r->open ? r->record_at : r->page_at + torn;
            *out_torn_bytes += r->page_at + n - lost_from;
            return ERR_OK;
        }
        r->page_at += PAGE_BYTES;
    }
}

enum err_code prom_wal_read(struct prom_wal *wal, size_t i, const struct prom_wal_handler *handler,
                            void *ctx, uint64_t *out_torn_bytes, struct err *err) {
    struct reading r = {.wal = wal, .handler = handler, .ctx = ctx, .path = wal->segments[i].path};
    struct vfs_file *file = NULL;
    enum err_code code = vfs_open(wal->vfs, r.path, VFS_READ, &file, err);
    if (code != ERR_OK) {
        return code;
    }
    uint8_t *page = mem_alloc(PAGE_BYTES);
    code = read_pages(&r, file, page, out_torn_bytes, err);
    mem_free(page);
    vfs_file_close(file);
    return code;
}
