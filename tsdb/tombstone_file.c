/* INVARIANTS
 *   T1  "tombstones" is replaced first, then its copy, each as a whole: at any time one of the two is a
 *       complete state, and the file is never older than the copy.
 *   T2  A copy that says how many records it has, and has them all, is whole. */
#include "tsdb/tombstone_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cursor.h"
#include "base/hash.h"
#include "base/mem.h"

#define TOMBSTONE_MAGIC "BRASATMB"

enum {
    RECORD_HEAD = 1,
    RECORD_SERIES = 2,
    RECORD_BYTES = 64 << 10, /* a record is full when it has so many */
    SERIES_INTERVALS = 4096, /* of one entry; a series with more has several */
    COPIES = 2,
    PATH_BYTES = 4096,
    READ_AHEAD_BYTES = 1 << 20,
    VERSION_1 = 1, /* the whole file under one checksum, no copy */
    VERSION_1_HEAD = 12,
    CRC_BYTES = 4,
};

static const char *const names[COPIES] = {TOMBSTONE_FILE_NAME, TOMBSTONE_COPY_NAME};

static struct record_file_id id_of(int copy) {
    return (struct record_file_id){.magic = TOMBSTONE_MAGIC, .number = (uint32_t)copy + 1};
}

static enum err_code path_of(const char *dir, int copy, char to[PATH_BYTES], struct err *err) {
    const int n = snprintf(to, PATH_BYTES, "%s/%s", dir, names[copy]);
    return n > 0 && n < PATH_BYTES ? ERR_OK : err_set(err, ERR_INVALID, "path %s is too long", dir);
}

/* ---- writing ---- */

struct record_writer {
    struct buf *to;
    struct buf payload;
    uint32_t seed;
    uint32_t next;
};

static void put_varints(struct buf *to, const uint64_t *v, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint8_t bytes[UVARINT_MAX];
        buf_append(to, bytes, (size_t)(put_uvarint(bytes, v[i]) - bytes));
    }
}

static void end_record(struct record_writer *w, uint8_t type) {
    uint8_t *bytes = mem_alloc(RECORD_HEADER_BYTES + w->payload.len);
    const uint8_t *end =
        record_write(bytes, w->seed, type, w->next++, w->payload.ptr, (uint32_t)w->payload.len);
    buf_append(w->to, bytes, (size_t)(end - bytes));
    mem_free(bytes);
    buf_clear(&w->payload);
}

/* Intervals of a series, count of them from first on. */
static void put_series(struct buf *to, const struct tombstone *s, uint32_t first, uint32_t count) {
    put_varints(to, (const uint64_t[]){s->labels.size}, 1);
    buf_append(to, s->labels.data, s->labels.size);
    put_varints(to, (const uint64_t[]){count}, 1);
    for (uint32_t k = first; k < first + count; k++) {
        const struct tombstone_interval *v = &s->intervals[k];
        const uint64_t pair[2] = {zigzag_encode(v->min_ts_ms),
                                  (uint64_t)v->max_ts_ms - (uint64_t)v->min_ts_ms};
        put_varints(to, pair, 2);
    }
}

/* All series records; how many. */
static uint32_t put_records(struct record_writer *w, const struct tombstones *t) {
    const uint32_t first = w->next;
    for (size_t i = 0; i < tombstones_count(t); i++) {
        const struct tombstone *s = tombstones_at(t, i);
        for (uint32_t k = 0; k < s->count; k += SERIES_INTERVALS) {
            const uint32_t left = s->count - k;
            put_series(&w->payload, s, k, left < SERIES_INTERVALS ? left : SERIES_INTERVALS);
            if (w->payload.len >= RECORD_BYTES) {
                end_record(w, RECORD_SERIES);
            }
        }
    }
    if (w->payload.len != 0) {
        end_record(w, RECORD_SERIES);
    }
    return w->next - first;
}

/* The head comes last: it says how many records there are. */
static void encode(const struct tombstones *t, uint64_t serial, int copy, struct buf *to) {
    const struct record_file_id id = id_of(copy);
    struct record_writer w = {.to = to, .seed = record_file_seed(&id)};
    uint8_t header[RECORD_FILE_HEADER_BYTES];
    record_file_header(header, &id);
    buf_append(to, header, sizeof(header));
    buf_init(&w.payload, RECORD_SIZE_MAX);
    const uint64_t records = put_records(&w, t);
    put_varints(&w.payload, (const uint64_t[]){serial, records}, 2);
    end_record(&w, RECORD_HEAD);
    buf_release(&w.payload);
}

enum err_code tombstone_file_store(struct vfs *vfs, const char *dir, const struct tombstones *t,
                                   uint64_t serial, struct err *err) {
    enum err_code code = ERR_OK;
    for (int copy = 0; copy < COPIES && code == ERR_OK; copy++) { /* T1 */
        char path[PATH_BYTES];
        struct buf bytes;
        buf_init(&bytes, TOMBSTONES_BYTES_MAX);
        encode(t, serial, copy, &bytes);
        code = path_of(dir, copy, path, err);
        if (code == ERR_OK && !buf_ok(&bytes)) {
            code = err_set(err, ERR_LIMIT, "too many deleted series, clean the tombstones first");
        }
        code = code != ERR_OK ? code : vfs_replace_file(vfs, path, bytes.ptr, bytes.len, err);
        buf_release(&bytes);
    }
    return code;
}

/* ---- reading ---- */

struct copy { /* as it was found */
    bool exists;
    bool unreadable; /* by an I/O error */
    bool has_head;
    bool is_old; /* version 1 */
    uint64_t damaged;
    uint64_t serial;
    uint64_t want_records;
    uint64_t records;
    struct tombstone_addition *items;
    size_t count;
    size_t capacity;
    struct err failure;
};

struct loader {
    const struct tombstone_file_options *options;
    struct arena arena; /* labels */
    struct copy copies[COPIES];
    struct copy *copy; /* that is being read */
    char path[PATH_BYTES];
};

static void report(struct loader *l, const struct record_damage *damage) {
    l->copy->damaged++;
    if (l->options->damage != NULL) {
        l->options->damage(l->options->damage_ctx, damage);
    }
}

static void on_damage(void *ctx, const struct record_damage *damage) {
    report(ctx, damage);
}

static void report_at(struct loader *l, uint64_t offset, uint64_t size, const char *reason) {
    report(l, &(struct record_damage){
                  .path = l->path, .offset = offset, .size = size, .reason = reason});
}

static void add(struct copy *c, struct labels labels, struct tombstone_interval interval) {
    if (c->count == c->capacity) {
        c->capacity = mem_grow(c->capacity, c->count + 1);
        c->items = mem_resize(c->items, c->capacity, sizeof(*c->items));
    }
    c->items[c->count++] = (struct tombstone_addition){labels, interval};
}

/* One entry: labels and its intervals, which ascend with gaps between. */
static bool take_series(struct loader *l, struct cursor *from) {
    const struct str text = cursor_str(from);
    const uint64_t n = cursor_uvarint(from);
    if (from->failed || n == 0 || n > cursor_left(from) / 2 || text.len == 0 ||
        labels_check((const uint8_t *)text.ptr, text.len, NULL) != ERR_OK) {
        return false;
    }
    const struct labels labels =
        labels_copy(&l->arena, (struct labels){(const uint8_t *)text.ptr, text.len});
    int64_t before = 0;
    for (uint64_t i = 0; i < n; i++) {
        const int64_t min = cursor_varint(from);
        const uint64_t span = cursor_uvarint(from);
        if (from->failed || span > (uint64_t)INT64_MAX - (uint64_t)min ||
            (i != 0 && (before >= INT64_MAX - 1 || min <= before + 1))) {
            return false;
        }
        before = (int64_t)((uint64_t)min + span);
        add(l->copy, labels, (struct tombstone_interval){min, before});
    }
    return true;
}

static enum err_code take_record(void *ctx, const struct record_view *record, uint64_t *out_extra,
                                 struct err *err) {
    struct loader *l = ctx;
    struct copy *c = l->copy;
    struct cursor from = cursor_of(record->payload, record->size);
    bool good = true;
    (void)out_extra;
    (void)err;
    if (record->type == RECORD_HEAD) {
        c->serial = cursor_uvarint(&from);
        c->want_records = cursor_uvarint(&from);
        good = !from.failed && cursor_left(&from) == 0;
        c->has_head = good;
    } else if (record->type == RECORD_SERIES) {
        const size_t count = c->count;
        while (good && cursor_left(&from) != 0) {
            good = take_series(l, &from);
        }
        c->count = good ? c->count : count;
        c->records += good;
    }
    if (!good) {
        report_at(l, record->offset, record->size, "a record makes no sense");
    }
    return ERR_OK;
}

/* A file of version 1; false: it is not one, or damaged. */
static bool take_old(struct loader *l, struct vfs_file *f, uint64_t size) {
    uint8_t head[VERSION_1_HEAD];
    size_t got = 0;
    if (size < VERSION_1_HEAD + 1 + CRC_BYTES || size > TOMBSTONES_BYTES_MAX ||
        vfs_file_pread(f, head, sizeof(head), 0, &got, NULL) != ERR_OK || got != sizeof(head) ||
        memcmp(head, TOMBSTONE_MAGIC, 8) != 0 || load_u32(head + 8) != VERSION_1) {
        return false;
    }
    uint8_t *bytes = mem_alloc((size_t)size);
    bool good =
        vfs_file_pread(f, bytes, (size_t)size, 0, &got, NULL) == ERR_OK && got == size &&
        load_u32(bytes + size - CRC_BYTES) == hash_crc32c(0, bytes, (size_t)size - CRC_BYTES);
    struct cursor from =
        cursor_of(bytes + VERSION_1_HEAD, (size_t)size - VERSION_1_HEAD - CRC_BYTES);
    uint64_t count = good ? cursor_uvarint(&from) : 0;
    for (; count != 0 && good; count--) {
        good = take_series(l, &from);
    }
    good = good && !from.failed && cursor_left(&from) == 0;
    l->copy->is_old = good;
    l->copy->count = good ? l->copy->count : 0;
    mem_free(bytes);
    return good;
}

static enum err_code scan(struct loader *l, int copy, struct vfs_file *f, struct err *err) {
    struct copy *c = l->copy;
    struct record_scan_stats stats = {0};
    uint64_t size = 0;
    uint64_t end = 0;
    uint32_t next = 0;
    enum err_code code = vfs_file_size(f, &size, err);
    if (code != ERR_OK || take_old(l, f, size)) {
        return code;
    }
    if (size > TOMBSTONES_BYTES_MAX) {
        report_at(l, 0, size, "the file is larger than any that was written");
        return ERR_OK;
    }
    code = record_scan(f,
                       &(struct record_scan_options){.id = id_of(copy),
                                                     .path = l->path,
                                                     .quarantine_dir = l->options->quarantine_dir,
                                                     .vfs = l->options->vfs,
                                                     .read_ahead_bytes = READ_AHEAD_BYTES,
                                                     .closed = true,
                                                     .damage = on_damage,
                                                     .damage_ctx = l},
                       take_record, l, &end, &next, &stats, err);
    if (code == ERR_OK && c->damaged == 0 && (!c->has_head || c->records != c->want_records)) {
        report_at(l, end, 0, "records are missing"); /* T2 */
    }
    return code;
}

/* Only what says that nothing may be opened is an error. */
static enum err_code load_copy(struct loader *l, int copy, struct err *err) {
    struct vfs_file *f = NULL;
    struct copy *c = &l->copies[copy];
    l->copy = c;
    enum err_code code = path_of(l->options->dir, copy, l->path, err);
    if (code != ERR_OK) {
        return code;
    }
    code = vfs_open(l->options->vfs, l->path, VFS_READ, &f, &c->failure);
    c->exists = code != ERR_NOT_FOUND;
    code = code != ERR_OK ? code : scan(l, copy, f, &c->failure);
    vfs_file_close(f);
    if (code == ERR_UNSUPPORTED) {
        *err = c->failure;
        return code;
    }
    c->unreadable = code != ERR_OK && c->exists;
    if (c->unreadable) {
        c->count = 0;
        report_at(l, 0, 0, c->failure.text);
    }
    return ERR_OK;
}

static bool is_whole(const struct copy *c) {
    return c->exists && !c->unreadable && c->damaged == 0;
}

/* The newest state that is whole, and with it what damaged copies still have of another one: they may
 * be newer, and an interval too many hides nothing that is not deleted. */
static enum err_code combine(struct loader *l, struct tombstones **out,
                             struct tombstone_file_found *found, struct err *err) {
    const struct copy *whole = NULL;
    struct tombstone_addition *items = NULL;
    size_t count = 0;
    for (int i = 0; i < COPIES; i++) {
        const struct copy *c = &l->copies[i];
        found->serial = c->serial > found->serial ? c->serial : found->serial;
        found->damaged += c->damaged;
        if (is_whole(c) && (whole == NULL || c->serial > whole->serial)) {
            whole = c;
        }
    }
    for (int i = 0; i < COPIES; i++) {
        const struct copy *c = &l->copies[i];
        const bool says_more =
            !is_whole(c) && (whole == NULL || !c->has_head || c->serial > whole->serial);
        if ((c == whole || says_more) && c->count != 0) {
            items = mem_resize(items, count + c->count, sizeof(*items));
            memcpy(items + count, c->items, c->count * sizeof(*items));
            count += c->count;
        }
    }
    const enum err_code code = count != 0 ? tombstones_with(NULL, items, count, out, err) : ERR_OK;
    mem_free(items);
    const struct copy *a = &l->copies[0];
    const struct copy *b = &l->copies[1];
    found->wants_writing = (a->exists || b->exists) &&
                           (!is_whole(a) || !is_whole(b) || a->serial != b->serial || a->is_old);
    return code;
}

enum err_code tombstone_file_load(const struct tombstone_file_options *options,
                                  struct tombstones **out, struct tombstone_file_found *found,
                                  struct err *err) {
    struct loader *l = mem_zalloc(sizeof(*l));
    l->options = options;
    arena_init(&l->arena, 0);
    *out = NULL;
    *found = (struct tombstone_file_found){0};
    enum err_code code = ERR_OK;
    for (int copy = 0; copy < COPIES && code == ERR_OK; copy++) {
        code = load_copy(l, copy, err);
    }
    if (code == ERR_OK && !l->copies[0].exists && l->copies[1].exists) { /* T1 */
        l->copy = &l->copies[0];
        if (path_of(options->dir, 0, l->path, NULL) == ERR_OK) {
            report_at(l, 0, 0, "the file is missing, its copy is there");
        }
    }
    if (code == ERR_OK && !is_whole(&l->copies[0]) && !is_whole(&l->copies[1]) &&
        (l->copies[0].unreadable || l->copies[1].unreadable)) {
        /* Without them, what was deleted would come back. */
        const struct copy *c = &l->copies[l->copies[0].unreadable ? 0 : 1];
        code = err_set(err, c->failure.code, "%s", c->failure.text);
    }
    code = code != ERR_OK ? code : combine(l, out, found, err);
    mem_free(l->copies[0].items);
    mem_free(l->copies[1].items);
    arena_release(&l->arena);
    mem_free(l);
    return code;
}
