/* FORMAT. Little endian.
 *
 *     file header   0 magic[8]  8 version u8  9 zero[3]  12 shard u32  16 number u32  20 zero[8]
 *                   28 crc32c of bytes 0..27
 *     record        0 type u8, size u24  4 number u32  8 header crc32c of bytes 0..7, seeded
 *                   12 payload crc32c, seeded with the header crc  16 payload[size]
 *
 * The seed is the crc32c of magic, shard and number as the caller knows them from the file's name.
 * Type 0 does not exist, so a header never starts with a zero byte. */
#include "tsdb/record_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

enum { MAGIC_BYTES = 8, VERSION = 4, NAME_DIGITS = 8, PATH_BYTES_MAX = 4096 };

uint32_t record_file_seed(const struct record_file_id *id) {
    uint8_t bytes[MAGIC_BYTES + 8];
    memcpy(bytes, id->magic, MAGIC_BYTES);
    put_u32(put_u32(bytes + MAGIC_BYTES, id->shard), id->number);
    return hash_crc32c(0, bytes, sizeof(bytes));
}

void record_file_header(uint8_t *to, const struct record_file_id *id) {
    memset(to, 0, RECORD_FILE_HEADER_BYTES);
    memcpy(to, id->magic, MAGIC_BYTES);
    to[8] = VERSION;
    put_u32(to + 12, id->shard);
    put_u32(to + 16, id->number);
    put_u32(to + 28, hash_crc32c(0, to, 28));
}

enum err_code record_file_header_check(const uint8_t *bytes, size_t n,
                                       const struct record_file_id *id, struct err *err) {
    if (n < RECORD_FILE_HEADER_BYTES) {
        return err_set(err, ERR_CORRUPT, "file header is cut short");
    }
    if (load_u32(bytes + 28) != hash_crc32c(0, bytes, 28)) {
        return err_set(err, ERR_CORRUPT, "file header has a wrong checksum");
    }
    if (memcmp(bytes, id->magic, MAGIC_BYTES) != 0) {
        return err_set(err, ERR_CORRUPT, "file is of another kind");
    }
    if (bytes[8] != VERSION) {
        return err_set(err, ERR_UNSUPPORTED, "file has format version %u, this program reads %u",
                       bytes[8], VERSION);
    }
    if (load_u32(bytes + 12) != id->shard || load_u32(bytes + 16) != id->number) {
        return err_set(err, ERR_CORRUPT, "file belongs to shard %" PRIu32 " and is number %" PRIu32,
                       load_u32(bytes + 12), load_u32(bytes + 16));
    }
    return ERR_OK;
}

uint8_t *record_write(uint8_t *to, uint32_t seed, uint8_t type, uint32_t number,
                      const void *payload, uint32_t size) {
    ASSERT(type != 0 && size <= RECORD_SIZE_MAX);
    put_u32(to, type | size << 8);
    put_u32(to + 4, number);
    const uint32_t header_crc = hash_crc32c(seed, to, 8);
    put_u32(to + 8, header_crc);
    put_u32(to + 12, hash_crc32c(header_crc, payload, size));
    if (size > 0 && payload != to + RECORD_HEADER_BYTES) {
        memcpy(to + RECORD_HEADER_BYTES, payload, size);
    }
    return to + RECORD_HEADER_BYTES + size;
}

/* The header alone; false when it is not one. */
static bool parse_header(const uint8_t *bytes, uint32_t seed, struct record_view *out) {
    out->type = bytes[0];
    out->size = load_u32(bytes) >> 8;
    out->number = load_u32(bytes + 4);
    return out->type != 0 && load_u32(bytes + 8) == hash_crc32c(seed, bytes, 8);
}

static bool payload_intact(const uint8_t *header, uint32_t size) {
    return load_u32(header + 12) ==
           hash_crc32c(load_u32(header + 8), header + RECORD_HEADER_BYTES, size);
}

enum err_code record_check(const uint8_t *bytes, size_t n, uint32_t seed, struct record_view *out,
                           struct err *err) {
    struct record_view view = {0};
    if (n < RECORD_HEADER_BYTES || !parse_header(bytes, seed, &view)) {
        return err_set(err, ERR_CORRUPT, "record header is damaged");
    }
    if (view.size > n - RECORD_HEADER_BYTES) {
        return err_set(err, ERR_CORRUPT, "record is cut short");
    }
    if (!payload_intact(bytes, view.size)) {
        return err_set(err, ERR_CORRUPT, "record has a wrong checksum");
    }
    view.payload = bytes + RECORD_HEADER_BYTES;
    *out = view;
    return ERR_OK;
}

/* ---- scanning ---- */

struct scanner {
    struct vfs_file *f;
    const struct record_scan_options *options;
    struct record_scan_stats *stats;
    uint32_t seed;
    uint64_t file_size;
    uint8_t *bytes; /* the window: window_size bytes from window_at */
    size_t capacity;
    uint64_t window_at;
    size_t window_size;
    uint32_t next;     /* the number that the next record should have */
    uint64_t end;      /* behind the last intact record */
    uint64_t bad_from; /* first unusable byte since then, or NOTHING_BAD */
};

#define NOTHING_BAD UINT64_MAX

/* Brings need bytes at offset into memory; they are known to be in the file. */
static enum err_code window(struct scanner *s, uint64_t offset, size_t need, const uint8_t **out,
                            struct err *err) {
    if (offset < s->window_at || offset + need > s->window_at + s->window_size) {
        const uint64_t left = s->file_size - offset;
        size_t want = need > s->options->read_ahead_bytes ? need : s->options->read_ahead_bytes;
        want = want < left ? want : (size_t)left;
        if (want > s->capacity) {
            s->bytes = mem_resize(s->bytes, want, 1);
            s->capacity = want;
        }
        size_t got = 0;
        s->window_size = 0;
        const enum err_code code = vfs_file_pread(s->f, s->bytes, want, offset, &got, err);
        if (code != ERR_OK) {
            return err_wrap(err, "reading %s at offset %" PRIu64, s->options->path, offset);
        }
        if (got < need) {
            return err_set(err, ERR_IO, "%s became shorter while it was read", s->options->path);
        }
        s->window_at = offset;
        s->window_size = got;
    }
    *out = s->bytes + (offset - s->window_at);
    return ERR_OK;
}

/* Best effort: what a person needs to look at the damage later. */
static void quarantine(const struct scanner *s, uint64_t from, uint64_t to) {
    const struct record_scan_options *o = s->options;
    struct vfs_file *copy = NULL;
    char path[PATH_BYTES_MAX];
    if (o->quarantine_dir == NULL || o->vfs == NULL) {
        return;
    }
    const int n = snprintf(path, sizeof(path), "%s/%.8s-%" PRIu32 "-%08" PRIu32 "-%" PRIu64,
                           o->quarantine_dir, o->id.magic, o->id.shard, o->id.number, from);
    if (n < 0 || (size_t)n >= sizeof(path) ||
        vfs_mkdir(o->vfs, o->quarantine_dir, NULL) != ERR_OK ||
        vfs_open(o->vfs, path, VFS_WRITE | VFS_CREATE | VFS_EXCLUSIVE, &copy, NULL) != ERR_OK) {
        return; /* or it was kept when the file was opened the last time */
    }
    const size_t size =
        to - from < RECORD_QUARANTINE_MAX ? (size_t)(to - from) : (size_t)RECORD_QUARANTINE_MAX;
    uint8_t *bytes = mem_alloc(size + 1);
    size_t got = 0;
    enum err_code code = vfs_file_pread(s->f, bytes, size, from, &got, NULL);
    if (code == ERR_OK) {
        code = vfs_file_pwrite(copy, bytes, got, 0, NULL);
    }
    vfs_file_close(copy);
    if (code != ERR_OK) {
        (void)!vfs_unlink(o->vfs, path, NULL);
    }
    mem_free(bytes);
}

static void report(struct scanner *s, uint64_t from, uint64_t to, bool torn, const char *reason) {
    const struct record_damage damage = {.path = s->options->path,
                                         .offset = from,
                                         .size = to - from,
                                         .torn = torn,
                                         .reason = reason};
    if (torn) {
        s->stats->torn_bytes += to - from;
    } else {
        s->stats->damaged_records++;
        s->stats->damaged_bytes += to - from;
        quarantine(s, from, to);
    }
    if (s->options->damage != NULL) {
        s->options->damage(s->options->damage_ctx, &damage);
    }
}

static void note_bad(struct scanner *s, uint64_t offset) {
    if (s->bad_from == NOTHING_BAD) {
        s->bad_from = offset;
    }
}

/* Moves *offset to the next byte at which a believable record header stands, or to the end. Records
 * that are missing before it cannot be more than fit into the bytes between. */
static enum err_code search(struct scanner *s, uint64_t *offset, struct err *err) {
    uint64_t at = *offset;
    while (s->file_size - at >= RECORD_HEADER_BYTES) {
        const uint8_t *p = NULL;
        const enum err_code code = window(s, at, RECORD_HEADER_BYTES, &p, err);
        if (code != ERR_OK) {
            return code;
        }
        const size_t usable = s->window_size - (size_t)(at - s->window_at);
        for (size_t i = 0; i + RECORD_HEADER_BYTES <= usable; i++, at++) {
            struct record_view view;
            const uint32_t missing = load_u32(p + i + 4) - s->next;
            if (p[i] != 0 && missing <= (at - s->bad_from) / RECORD_HEADER_BYTES + 1 &&
                (load_u32(p + i) >> 8) <= s->file_size - at - RECORD_HEADER_BYTES &&
                parse_header(p + i, s->seed, &view)) {
                *offset = at;
                return ERR_OK;
            }
        }
    }
    *offset = s->file_size;
    return ERR_OK;
}

/* One record at *offset, which moves behind it, or to where the search goes on. */
static enum err_code scan_one(struct scanner *s, uint64_t *offset, record_scan_fn *fn, void *ctx,
                              struct err *err) {
    struct record_view view = {.offset = *offset};
    const uint8_t *p = NULL;
    enum err_code code = window(s, *offset, RECORD_HEADER_BYTES, &p, err);
    if (code != ERR_OK) {
        return code;
    }
    const uint64_t space = s->file_size - *offset - RECORD_HEADER_BYTES;
    if (!parse_header(p, s->seed, &view) || view.number < s->next || view.size > space) {
        note_bad(s, *offset);
        ++*offset;
        return search(s, offset, err);
    }
    code = window(s, *offset, RECORD_HEADER_BYTES + (size_t)view.size, &p, err);
    if (code != ERR_OK) {
        return code;
    }
    if (!payload_intact(p, view.size)) {
        note_bad(s, *offset);
        *offset += RECORD_HEADER_BYTES + view.size;
        return ERR_OK;
    }
    view.payload = p + RECORD_HEADER_BYTES;
    view.left = space - view.size;
    if (s->bad_from != NOTHING_BAD) {
        report(s, s->bad_from, *offset, false, "damaged record");
        s->bad_from = NOTHING_BAD;
    }
    uint64_t extra = 0;
    code = fn(ctx, &view, &extra, err);
    if (code != ERR_OK) {
        return code;
    }
    if (extra > view.left) {
        note_bad(s, *offset);
        ++*offset;
        return search(s, offset, err);
    }
    *offset += RECORD_HEADER_BYTES + view.size + extra;
    s->end = *offset;
    s->next = view.number + 1;
    s->stats->records++;
    s->stats->record_bytes += RECORD_HEADER_BYTES + view.size + extra;
    return ERR_OK;
}

/* Preallocated zeros at the end are not part of a torn write. */
static enum err_code find_last_nonzero(struct scanner *s, uint64_t from, uint64_t *out_end,
                                       struct err *err) {
    uint64_t last = from;
    for (uint64_t at = from; at < s->file_size;) {
        const uint8_t *p = NULL;
        const enum err_code code = window(s, at, 1, &p, err);
        if (code != ERR_OK) {
            return code;
        }
        const size_t usable = s->window_size - (size_t)(at - s->window_at);
        for (size_t i = 0; i < usable; i++) {
            last = p[i] != 0 ? at + i + 1 : last;
        }
        at += usable;
    }
    *out_end = last;
    return ERR_OK;
}

static enum err_code check_file_header(struct scanner *s, struct err *err) {
    const uint8_t *p = NULL;
    const size_t n = s->file_size < RECORD_FILE_HEADER_BYTES ? (size_t)s->file_size
                                                             : (size_t)RECORD_FILE_HEADER_BYTES;
    enum err_code code = window(s, 0, n, &p, err);
    if (code != ERR_OK) {
        return code;
    }
    struct err reason;
    code = record_file_header_check(p, n, &s->options->id, &reason);
    if (code == ERR_UNSUPPORTED) {
        return err_set(err, code, "%s: %s", s->options->path, reason.text);
    }
    if (code != ERR_OK) {
        uint64_t used = 0;
        code = find_last_nonzero(s, 0, &used, err);
        if (code != ERR_OK) {
            return code;
        }
        if (used > 0) { /* else a file whose creation never reached the disk */
            report(s, 0, n, s->file_size <= RECORD_FILE_HEADER_BYTES && !s->options->closed,
                   reason.text);
        }
    }
    return ERR_OK;
}

static enum err_code scan_all(struct scanner *s, record_scan_fn *fn, void *ctx, struct err *err) {
    enum err_code code = check_file_header(s, err);
    uint64_t offset = RECORD_FILE_HEADER_BYTES;
    while (code == ERR_OK && offset < s->file_size &&
           s->file_size - offset >= RECORD_HEADER_BYTES) {
        code = scan_one(s, &offset, fn, ctx, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    const uint64_t rest = s->end < s->file_size ? s->end : s->file_size;
    uint64_t used = rest;
    code = find_last_nonzero(s, rest, &used, err);
    if (code == ERR_OK && used > rest) {
        report(s, rest, used, !s->options->closed,
               s->options->closed ? "damaged end of file" : "unfinished write");
    }
    return code;
}

enum err_code record_scan(struct vfs_file *f, const struct record_scan_options *options,
                          record_scan_fn *fn, void *ctx, uint64_t *out_end, uint32_t *out_next,
                          struct record_scan_stats *stats, struct err *err) {
    struct scanner s = {.f = f,
                        .options = options,
                        .stats = stats,
                        .seed = record_file_seed(&options->id),
                        .end = RECORD_FILE_HEADER_BYTES,
                        .bad_from = NOTHING_BAD};
    enum err_code code = vfs_file_size(f, &s.file_size, err);
    if (code == ERR_OK && s.file_size > 0) {
        code = scan_all(&s, fn, ctx, err);
    }
    if (code == ERR_OK) {
        *out_end = s.end < s.file_size ? s.end : s.file_size;
        *out_next = s.next;
    }
    mem_free(s.bytes);
    return code;
}

/* ---- names ---- */

struct number_list {
    uint32_t *items;
    size_t count;
    size_t capacity;
};

static bool note_name(void *ctx, const char *name) {
    struct number_list *list = ctx;
    uint64_t number = 0;
    size_t digits = 0;
    for (; name[digits] >= '0' && name[digits] <= '9' && number <= UINT32_MAX; digits++) {
        number = number * 10 + (uint64_t)(name[digits] - '0');
    }
    const bool padded = digits == NAME_DIGITS || (digits > NAME_DIGITS && name[0] != '0');
    if (name[digits] == '\0' && padded && number > 0 && number <= UINT32_MAX) {
        if (list->count == list->capacity) {
            list->capacity = mem_grow(list->capacity, list->count + 1);
            list->items = mem_resize(list->items, list->capacity, sizeof(*list->items));
        }
        list->items[list->count++] = (uint32_t)number;
    }
    return true;
}

static int by_number(const void *a, const void *b) {
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

enum err_code record_file_list(struct vfs *vfs, const char *dir, uint32_t **out, size_t *out_count,
                               struct err *err) {
    struct number_list list = {0};
    const enum err_code code = vfs_list(vfs, dir, note_name, &list, err);
    if (code != ERR_OK) {
        mem_free(list.items);
        return err_wrap(err, "listing %s", dir);
    }
    if (list.count > 1) {
        qsort(list.items, list.count, sizeof(*list.items), by_number);
    }
    *out = list.items;
    *out_count = list.count;
    return ERR_OK;
}

enum err_code record_file_take_number(uint32_t *io_next, const char *dir, uint32_t *out_number,
                                      struct err *err) {
    if (*io_next == UINT32_MAX) {
        return err_set(err, ERR_NO_SPACE, "%s: no number is left for a file", dir);
    }
    *out_number = (*io_next)++;
    return ERR_OK;
}

char *record_file_path(const char *dir, uint32_t number) {
    const size_t bytes = strlen(dir) + sizeof("/4294967295");
    char *path = mem_alloc(bytes);
    (void)snprintf(path, bytes, "%s/%08" PRIu32, dir, number);
    return path;
}
