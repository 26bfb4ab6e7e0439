/* Copies of definitions: which are due, and finding them when they are needed. */
#include "tsdb/series_log_copy.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"

enum { ENTRY_HEAD_BYTES = 16, READ_BYTES = 256 << 10 };

/* ---- waiting ---- */

struct waiting {
    uint32_t number;
    uint64_t end;
    uint32_t size;
    const uint8_t *payload;
};

void series_copy_queue_init(struct series_copy_queue *q) {
    *q = (struct series_copy_queue){0};
    buf_init(&q->entries, (size_t)4 << 30);
}

void series_copy_queue_release(struct series_copy_queue *q) {
    buf_release(&q->entries);
}

void series_copy_queue_clear(struct series_copy_queue *q) {
    buf_release(&q->entries); /* after a burst it is large */
    series_copy_queue_init(q);
}

bool series_copy_queue_empty(const struct series_copy_queue *q) {
    return q->head == q->entries.len;
}

static struct waiting first_of(const struct series_copy_queue *q) {
    const uint8_t *at = (const uint8_t *)q->entries.ptr + q->head;
    return (struct waiting){.number = load_u32(at),
                            .end = load_u64(at + 4),
                            .size = load_u32(at + 12),
                            .payload = at + ENTRY_HEAD_BYTES};
}

static void drop_first(struct series_copy_queue *q) {
    q->head += ENTRY_HEAD_BYTES + first_of(q).size;
    if (series_copy_queue_empty(q)) {
        series_copy_queue_clear(q);
    }
}

void series_copy_queue_add(struct series_copy_queue *q, uint32_t number, uint64_t end,
                           const void *payload, uint32_t size) {
    uint8_t head[ENTRY_HEAD_BYTES];
    if (q->head > q->entries.len / 2) {
        memmove(q->entries.ptr, q->entries.ptr + q->head, q->entries.len - q->head);
        q->entries.len -= q->head;
        q->head = 0;
    }
    q->last_end = end;
    put_u32(put_u64(put_u32(head, number), end), size);
    buf_append(&q->entries, head, sizeof(head));
    if (size > 0) {
        buf_append(&q->entries, payload, size);
    }
    ASSERT(buf_ok(&q->entries)); /* a batch and what is not durable are far smaller */
}

void series_copy_queue_follow(struct series_copy_queue *q, const struct record_view *record) {
    struct series_definitions d;
    if (series_definitions_of(record, &d)) {
        series_copy_queue_add(q, record->number,
                              record->offset + RECORD_HEADER_BYTES + record->size, d.payload,
                              d.size);
    } else if (record->type == SERIES_RECORD_COPY && record->size >= SERIES_COPY_HEAD_BYTES) {
        const uint32_t number = load_u32(record->payload);
        while (!series_copy_queue_empty(q) && first_of(q).number <= number) {
            drop_first(q);
        }
    }
    while (q->entries.len - q->head > SERIES_COPY_WAITING_MAX) {
        drop_first(q);
    }
}

/* ---- writing ---- */

static void frame(struct series_framer *to, uint8_t type, const uint8_t *head, size_t head_bytes,
                  const uint8_t *payload, size_t size) {
    const size_t total = head_bytes + size;
    uint8_t *at = (uint8_t *)buf_reserve(to->to, RECORD_HEADER_BYTES + total);
    if (at == NULL) {
        return; /* the caller asks buf_ok */
    }
    if (head_bytes > 0) {
        memcpy(at + RECORD_HEADER_BYTES, head, head_bytes);
    }
    if (payload != NULL) {
        memcpy(at + RECORD_HEADER_BYTES + head_bytes, payload, size);
    } else {
        memset(at + RECORD_HEADER_BYTES + head_bytes, 0, size);
    }
    record_write(at, to->seed, type, to->number++, at + RECORD_HEADER_BYTES, (uint32_t)total);
    to->to->len += RECORD_HEADER_BYTES + total;
}

uint64_t series_copy_filler(const struct series_copy_queue *q, uint64_t position) {
    const uint64_t from = q->last_end + SERIES_COPY_DISTANCE;
    return !series_copy_queue_empty(q) && from > position ? from - position : 0;
}

void series_copy_frame(struct series_copy_queue *q, struct series_framer *to, bool all) {
    while (!series_copy_queue_empty(q) && buf_ok(to->to)) {
        const struct waiting w = first_of(q);
        const uint64_t position = to->base + to->to->len;
        if (w.end + SERIES_COPY_DISTANCE > position) {
            if (!all) {
                return;
            }
            const uint64_t missing = w.end + SERIES_COPY_DISTANCE - position;
            frame(to, SERIES_RECORD_FILLER, NULL, 0, NULL,
                  missing > RECORD_HEADER_BYTES ? (size_t)missing - RECORD_HEADER_BYTES : 0);
            continue;
        }
        uint8_t number[SERIES_COPY_HEAD_BYTES];
        put_u32(number, w.number);
        frame(to, SERIES_RECORD_COPY, number, sizeof(number), w.payload, w.size);
        drop_first(q);
    }
}

/* ---- reading ---- */

bool series_definitions_of(const struct record_view *record, struct series_definitions *out) {
    const bool carried =
        record->type == SERIES_RECORD_CARRIED && record->size >= SERIES_CARRIED_HEAD_BYTES;
    const uint32_t skip = carried ? SERIES_CARRIED_HEAD_BYTES : 0;
    *out = (struct series_definitions){record->payload + skip, record->size - skip};
    return carried || record->type == SERIES_RECORD_BATCH;
}

struct copy_place {
    uint32_t number; /* of the record */
    uint32_t size;   /* of its payload */
    uint64_t offset; /* of that in the copy */
};

struct copy_scan {
    struct vfs_file *f;
    const struct record_scan_options *options;
    record_scan_fn *fn;
    void *ctx;
    uint32_t next;  /* number of the record that comes next */
    bool is_listed; /* the copies of the file */
    struct copy_place *places;
    size_t count;
    size_t capacity;
};

static enum err_code note_copy(void *ctx, const struct record_view *record, uint64_t *out_extra,
                               struct err *err) {
    struct copy_scan *scan = ctx;
    (void)out_extra;
    (void)err;
    if (record->type != SERIES_RECORD_COPY || record->size < SERIES_COPY_HEAD_BYTES) {
        return ERR_OK;
    }
    const uint32_t number = load_u32(record->payload);
    if (number >= record->number ||
        (scan->count != 0 && number <= scan->places[scan->count - 1].number)) {
        return ERR_OK; /* none that was ever written: they ascend */
    }
    if (scan->count == scan->capacity) {
        scan->capacity = mem_grow(scan->capacity, scan->count + 1);
        scan->places = mem_resize(scan->places, scan->capacity, sizeof(*scan->places));
    }
    scan->places[scan->count++] = (struct copy_place){
        .number = number,
        .size = record->size - SERIES_COPY_HEAD_BYTES,
        .offset = record->offset + RECORD_HEADER_BYTES + SERIES_COPY_HEAD_BYTES,
    };
    return ERR_OK;
}

/* Once a file, and only of one that is damaged. */
static enum err_code list_copies(struct copy_scan *scan, struct err *err) {
    struct record_scan_options options = *scan->options;
    struct record_scan_stats stats = {0};
    uint64_t end = 0;
    uint32_t next = 0;
    options.damage = NULL;
    options.quarantine_dir = NULL;
    options.read_ahead_bytes = READ_BYTES;
    scan->is_listed = true;
    return record_scan(scan->f, &options, note_copy, scan, &end, &next, &stats, err);
}

static enum err_code give_copy(const struct copy_scan *scan, const struct copy_place *place,
                               uint64_t left, struct err *err) {
    uint8_t *bytes = mem_alloc((size_t)place->size + 1);
    size_t got = 0;
    uint64_t extra = 0;
    enum err_code code = vfs_file_pread(scan->f, bytes, place->size, place->offset, &got, err);
    if (code == ERR_OK && got == place->size) {
        const struct record_view view = {.type = SERIES_RECORD_BATCH,
                                         .number = place->number,
                                         .size = place->size,
                                         .payload = bytes,
                                         .offset = place->offset,
                                         .left = left};
        code = scan->fn(scan->ctx, &view, &extra, err); /* nonsense in it was in the record too */
    }
    mem_free(bytes);
    return code;
}

/* Records with numbers in [scan->next, end) are damaged. */
static enum err_code give_copies(struct copy_scan *scan, uint32_t end, uint64_t left,
                                 struct err *err) {
    enum err_code code = scan->is_listed ? ERR_OK : list_copies(scan, err);
    size_t at = 0;
    for (size_t n = scan->count; n > 0;) { /* the first one that is not below */
        const size_t half = n / 2;
        const bool below = scan->places[at + half].number < scan->next;
        at += below ? half + 1 : 0;
        n = below ? n - half - 1 : half;
    }
    for (; code == ERR_OK && at < scan->count && scan->places[at].number < end; at++) {
        code = give_copy(scan, &scan->places[at], left, err);
    }
    return code;
}

static enum err_code on_record(void *ctx, const struct record_view *record, uint64_t *out_extra,
                               struct err *err) {
    struct copy_scan *scan = ctx;
    enum err_code code = ERR_OK;
    if (record->number > scan->next) {
        code = give_copies(scan, record->number, record->left, err);
    }
    scan->next = record->number + 1;
    return code == ERR_OK ? scan->fn(scan->ctx, record, out_extra, err) : code;
}

enum err_code series_copy_scan(struct vfs_file *f, const struct record_scan_options *options,
                               record_scan_fn *fn, void *ctx, uint64_t *out_end, uint32_t *out_next,
                               struct record_scan_stats *stats, struct err *err) {
    struct copy_scan scan = {.f = f, .options = options, .fn = fn, .ctx = ctx};
    const enum err_code code =
        record_scan(f, options, on_record, &scan, out_end, out_next, stats, err);
    mem_free(scan.places);
    return code;
}
