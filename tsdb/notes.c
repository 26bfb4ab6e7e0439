#include "tsdb/notes.h"

#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "base/value.h"
#include "tsdb/exemplar_gather.h"
#include "tsdb/wal.h"

enum {
    NOTE_EXEMPLARS = 1,
    NOTE_FAMILY = 2,
    SEGMENT_BYTES = 4 << 20,
    ALLOCATE_BYTES = 64 << 10,
    PAYLOAD_BYTES_MAX = 8 << 20,
    COPY_BYTES_MAX = 1 << 30,
};

struct notes {
    struct mutex mu; /* the log and the scratch */
    struct wal *wal;
    struct log *log;
    struct exemplars *exemplars;
    struct exemplar_gather *gather; /* while the log is read, else NULL */
    struct metadata_map *metadata;
    struct buf payload;
    bool failed; /* it was said already */
};

/* ---- bytes ---- */

static void put_text(struct buf *to, const void *bytes, size_t n) {
    uint8_t size[UVARINT_MAX];
    buf_append(to, size, (size_t)(put_uvarint(size, n) - size));
    if (n != 0) {
        buf_append(to, bytes, n);
    }
}

static void put_exemplar(struct buf *to, struct labels series, const struct storage_exemplar *e) {
    uint8_t bytes[UVARINT_MAX + 8];
    put_text(to, series.data, series.size);
    uint8_t *at = put_varint(bytes, e->ts_ms);
    at = put_u64(at, f64_bits(e->value));
    buf_append(to, bytes, (size_t)(at - bytes));
    put_text(to, e->labels.data, e->labels.size);
}

static struct labels take_labels(struct cursor *from) {
    const struct str text = cursor_str(from);
    if (from->failed || labels_check((const uint8_t *)text.ptr, text.len, NULL) != ERR_OK) {
        from->failed = true;
        return (struct labels){0};
    }
    return (struct labels){(const uint8_t *)text.ptr, text.len};
}

/* gather NULL: only read */
static void load_exemplars(struct exemplar_gather *gather, struct cursor *from, uint32_t segment) {
    while (!from->failed && cursor_left(from) != 0) {
        const struct labels series = take_labels(from);
        const int64_t ts_ms = cursor_varint(from);
        const double value = f64_of_bits(cursor_u64(from));
        const struct storage_exemplar e = {
            .labels = take_labels(from), .ts_ms = ts_ms, .value = value};
        if (!from->failed && gather != NULL) {
            exemplar_gather_add(gather, series, &e, segment);
        }
    }
}

static void load_family(struct notes *notes, struct cursor *from, uint32_t segment) {
    const struct str name = cursor_str(from);
    struct storage_metadata m;
    m.type = cursor_str(from);
    m.help = cursor_str(from);
    m.unit = cursor_str(from);
    if (!from->failed && notes != NULL) {
        (void)metadata_map_put(notes->metadata, name, &m, segment);
    }
}

static enum err_code load_record(void *ctx, const struct wal_record *record, struct err *err) {
    (void)err;
    struct notes *notes = ctx;
    struct cursor from = cursor_of(record->payload, record->size);
    if (record->type == NOTE_EXEMPLARS) {
        load_exemplars(notes->gather, &from, record->at.segment);
    } else if (record->type == NOTE_FAMILY) {
        load_family(notes, &from, record->at.segment);
    }
    return ERR_OK;
}

bool notes_record_good(const struct wal_record *record) {
    struct cursor from = cursor_of(record->payload, record->size);
    if (record->type == NOTE_EXEMPLARS) {
        load_exemplars(NULL, &from, 0);
    } else if (record->type == NOTE_FAMILY) {
        load_family(NULL, &from, 0);
    } else {
        return true; /* a later version may have more kinds */
    }
    return !from.failed;
}

/* ---- opening ---- */

enum err_code notes_open(const struct notes_options *options, struct notes **out, struct err *err) {
    struct notes *notes = mem_zalloc(sizeof(*notes));
    mutex_init(&notes->mu);
    notes->log = options->log;
    notes->exemplars = exemplars_new(options->max_exemplars);
    notes->gather = exemplar_gather_new(options->max_exemplars);
    notes->metadata = metadata_map_new();
    buf_init(&notes->payload, PAYLOAD_BYTES_MAX);
    struct wal_replay_stats stats;
    const enum err_code code = wal_open(
        &(struct wal_options){
            .vfs = options->vfs,
            .dir = options->dir,
            .shard = NOTES_SHARD,
            .segment_bytes = SEGMENT_BYTES,
            .allocate_bytes = ALLOCATE_BYTES,
            .quarantine_dir = options->quarantine_dir,
            .damage = options->damage,
            .damage_ctx = options->damage_ctx,
        },
        load_record, notes, &notes->wal, &stats, err);
    if (code != ERR_OK) {
        notes_close(notes);
        return code;
    }
    exemplar_gather_pour(notes->gather, notes->exemplars);
    exemplar_gather_free(notes->gather);
    notes->gather = NULL;
    *out = notes;
    return ERR_OK;
}

void notes_close(struct notes *notes) {
    if (notes == NULL) {
        return;
    }
    wal_close(notes->wal);
    exemplar_gather_free(notes->gather);
    exemplars_free(notes->exemplars);
    metadata_map_free(notes->metadata);
    buf_release(&notes->payload);
    mutex_release(&notes->mu);
    mem_free(notes);
}

struct exemplars *notes_exemplars(struct notes *notes) {
    return notes->exemplars;
}

struct metadata_map *notes_metadata(struct notes *notes) {
    return notes->metadata;
}

/* ---- adding ---- */

static void report(struct notes *notes, const char *what, const struct err *err)
    REQUIRES(notes->mu) {
    if (!notes->failed) {
        log_error(notes->log, "tsdb", what, log_err(err));
    }
    notes->failed = true;
}

/* Writes the payload; the segment it went to, or the present one when that failed. */
static uint32_t write_payload(struct notes *notes, uint8_t type) REQUIRES(notes->mu) {
    struct wal_position at = {.segment = wal_current_segment(notes->wal)};
    struct err err;
    enum err_code code = ERR_OK;
    if (!buf_ok(&notes->payload)) {
        code = err_set(&err, ERR_LIMIT, "they are too large for a record");
    } else if (notes->payload.len != 0) {
        code =
            wal_append(notes->wal,
                       (struct wal_payload){
                           .type = type, .bytes = notes->payload.ptr, .size = notes->payload.len},
                       &at, &err);
    }
    if (code != ERR_OK && code != ERR_UNAVAILABLE) {
        report(notes, "exemplars and metadata are in memory only", &err);
    }
    return at.segment;
}

/* To memory first: the log holds nothing that the ring refuses. The tag is that of the segment before the
 * write, which may begin another. */
void notes_add_exemplars(struct notes *notes, const struct series_exemplar *items, size_t n) {
    mutex_lock(&notes->mu);
    const uint32_t segment = wal_current_segment(notes->wal);
    buf_clear(&notes->payload);
    for (size_t i = 0; i < n; i++) {
        if (items[i].series.size <= EXEMPLAR_LABELS_MAX &&
            exemplars_add(notes->exemplars, items[i].series, &items[i].exemplar, segment) ==
                ERR_OK) {
            put_exemplar(&notes->payload, items[i].series, &items[i].exemplar);
        }
        if (notes->payload.len > PAYLOAD_BYTES_MAX / 2) {
            (void)write_payload(notes, NOTE_EXEMPLARS);
            buf_clear(&notes->payload);
        }
    }
    if (notes->payload.len != 0) {
        (void)write_payload(notes, NOTE_EXEMPLARS);
    }
    mutex_unlock(&notes->mu);
}

static void put_family(struct buf *to, const struct storage_family *f) {
    const struct str texts[4] = {f->name, f->metadata.type, f->metadata.help, f->metadata.unit};
    for (int i = 0; i < 4; i++) {
        put_text(to, texts[i].ptr, texts[i].len);
    }
}

void notes_put_metadata(struct notes *notes, struct str family, const struct storage_metadata *m) {
    if (!metadata_map_is_news(notes->metadata, family, m)) {
        return;
    }
    const struct storage_family f = {.name = family, .metadata = *m};
    mutex_lock(&notes->mu);
    buf_clear(&notes->payload);
    put_family(&notes->payload, &f);
    const uint32_t segment = write_payload(notes, NOTE_FAMILY);
    (void)metadata_map_put(notes->metadata, family, m, segment);
    mutex_unlock(&notes->mu);
}

/* ---- copying ---- */

enum { COPY_HEAD_BYTES = 5 }; /* type u8, size u32 */

struct copy {
    struct buf records; /* each behind its type and size */
    struct buf payload;
};

static enum err_code copy_record(struct copy *c, uint8_t type, struct err *err) {
    uint8_t head[COPY_HEAD_BYTES] = {type};
    (void)put_u32(head + 1, (uint32_t)c->payload.len);
    buf_append(&c->records, head, sizeof(head));
    buf_append(&c->records, c->payload.ptr, c->payload.len);
    buf_clear(&c->payload);
    return buf_ok(&c->records) && buf_ok(&c->payload)
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "exemplars and metadata are too large to be copied");
}

static enum err_code copy_exemplar(void *ctx, struct labels series,
                                   const struct storage_exemplar *e, uint32_t *io_tag,
                                   struct err *err) {
    struct copy *c = ctx;
    (void)io_tag;
    put_exemplar(&c->payload, series, e);
    return copy_record(c, NOTE_EXEMPLARS, err);
}

static enum err_code copy_family(void *ctx, const struct storage_family *f, uint32_t *io_tag,
                                 struct err *err) {
    struct copy *c = ctx;
    (void)io_tag;
    put_family(&c->payload, f);
    return copy_record(c, NOTE_FAMILY, err);
}

static enum err_code ignore_record(void *ctx, const struct wal_record *record, struct err *err) {
    (void)ctx;
    (void)record;
    (void)err;
    return ERR_OK;
}

static enum err_code write_copy(const struct copy *c, struct vfs *vfs, const char *dir,
                                struct err *err) {
    struct wal *wal = NULL;
    enum err_code code = wal_open(&(struct wal_options){.vfs = vfs,
                                                        .dir = dir,
                                                        .shard = NOTES_SHARD,
                                                        .segment_bytes = SEGMENT_BYTES,
                                                        .allocate_bytes = ALLOCATE_BYTES},
                                  ignore_record, NULL, &wal, NULL, err);
    if (code != ERR_OK) {
        return code;
    }
    const uint8_t *at = (const uint8_t *)c->records.ptr;
    for (size_t left = c->records.len; left != 0 && code == ERR_OK;) {
        struct wal_position position;
        const struct wal_payload payload = {
            .type = at[0], .bytes = at + COPY_HEAD_BYTES, .size = load_u32(at + 1)};
        code = wal_append(wal, payload, &position, err);
        at += COPY_HEAD_BYTES + payload.size;
        left -= COPY_HEAD_BYTES + payload.size;
    }
    code = code != ERR_OK ? code : wal_sync(wal, err);
    wal_close(wal);
    return code;
}

enum err_code notes_copy(struct notes *notes, struct vfs *vfs, const char *dir, struct err *err) {
    struct copy c;
    buf_init(&c.records, COPY_BYTES_MAX);
    buf_init(&c.payload, PAYLOAD_BYTES_MAX);
    mutex_lock(&notes->mu);
    enum err_code code = exemplars_visit(notes->exemplars, copy_exemplar, &c, err);
    code = code != ERR_OK ? code : metadata_map_visit(notes->metadata, copy_family, &c, err);
    mutex_unlock(&notes->mu);
    code = code != ERR_OK ? code : vfs_mkdir(vfs, dir, err);
    code = code != ERR_OK ? code : write_copy(&c, vfs, dir, err);
    buf_release(&c.records);
    buf_release(&c.payload);
    return code;
}

/* ---- background ---- */

struct rewrite {
    struct notes *notes;
    struct wal_rewriter *to; /* NULL: appends to the log */
    uint32_t below;          /* only what is in older segments */
};

static enum err_code write_again(struct rewrite *r, uint8_t type, uint32_t *io_tag,
                                 struct err *err) {
    const struct buf *payload = &r->notes->payload;
    const struct wal_payload note = {.type = type, .bytes = payload->ptr, .size = payload->len};
    struct wal_position at;
    const enum err_code code = r->to != NULL ? wal_rewrite(r->to, note, &at, err)
                                             : wal_append(r->notes->wal, note, &at, err);
    if (code == ERR_OK) {
        *io_tag = at.segment;
    }
    return code;
}

static enum err_code rewrite_exemplar(void *ctx, struct labels series,
                                      const struct storage_exemplar *e, uint32_t *io_tag,
                                      struct err *err) {
    struct rewrite *r = ctx;
    buf_clear(&r->notes->payload);
    put_exemplar(&r->notes->payload, series, e);
    return write_again(r, NOTE_EXEMPLARS, io_tag, err);
}

static enum err_code rewrite_family(void *ctx, const struct storage_family *f, uint32_t *io_tag,
                                    struct err *err) {
    struct rewrite *r = ctx;
    if (*io_tag >= r->below) {
        return ERR_OK;
    }
    buf_clear(&r->notes->payload);
    put_family(&r->notes->payload, f);
    return write_again(r, NOTE_FAMILY, io_tag, err);
}

static enum err_code rewrite_all(void *ctx, struct wal_rewriter *to, struct err *err) {
    struct rewrite r = {.notes = ctx, .to = to, .below = UINT32_MAX};
    const enum err_code code = exemplars_visit(r.notes->exemplars, rewrite_exemplar, &r, err);
    return code == ERR_OK ? metadata_map_visit(r.notes->metadata, rewrite_family, &r, err) : code;
}

/* Segments behind the oldest exemplar: what they say of families is written again, durably. */
static enum err_code drop_segments(struct notes *notes, struct err *err) REQUIRES(notes->mu) {
    const uint32_t current = wal_current_segment(notes->wal);
    const uint32_t oldest = exemplars_oldest_tag(notes->exemplars);
    const uint32_t needed = oldest < current ? oldest : current;
    struct wal_stats stats;
    wal_stats_get(notes->wal, &stats);
    if (stats.segments < 2 || needed < 2) {
        return ERR_OK;
    }
    struct rewrite r = {.notes = notes, .below = needed};
    enum err_code code = metadata_map_visit(notes->metadata, rewrite_family, &r, err);
    if (code == ERR_OK) {
        code = wal_sync(notes->wal, err);
    }
    return code == ERR_OK ? wal_drop_before(notes->wal, needed, err) : code;
}

enum err_code notes_sync(struct notes *notes, struct err *err) {
    mutex_lock(&notes->mu);
    const enum err_code code =
        wal_state_get(notes->wal) == WAL_OK ? wal_sync(notes->wal, err) : ERR_OK;
    mutex_unlock(&notes->mu);
    return code;
}

void notes_maintain(struct notes *notes) {
    struct err err;
    mutex_lock(&notes->mu);
    enum err_code code = ERR_OK;
    if (wal_state_get(notes->wal) == WAL_FAILED) {
        code = wal_rotate_after_failure(notes->wal, rewrite_all, notes, &err);
        notes->failed = notes->failed && code != ERR_OK;
    }
    if (code == ERR_OK) {
        code = wal_sync(notes->wal, &err);
    }
    if (code == ERR_OK) {
        code = drop_segments(notes, &err);
    }
    if (code != ERR_OK) {
        report(notes, "the log of exemplars and metadata fails", &err);
    }
    mutex_unlock(&notes->mu);
}
