/* Records of Prometheus' write-ahead log: a type byte, then entries to the end. Fixed integers are
 * big endian, floats their bits.
 *
 *     1  series     {u64 ref, uvarint n, n x (string name, string value)}
 *     2  samples    u64 base ref, i64 base time, {varint ref - base, varint time - base, f64}
 *     3  deletions  {u64 ref, varint mint, varint maxt}
 *     4  exemplars  base as in 2, then labels as in 1 behind each value
 *     6  metadata   {uvarint ref, u8 type, uvarint n, n x (string name, string value)}
 *     7-10          native histograms, base as in 2; 12, 13 as in 11
 *     11 samples    {varint ref, varint time, varint start time, f64}, then {varint ref - ref
 *                   before, varint time - first time, start marker, f64}; marker 0 none, 1 that of
 *                   the entry before, 2 {varint start time - first start time}
 *
 * Other types are passed over. */
#include "base/bytes.h"
#include "base/cursor.h"
#include "base/value.h"
#include "tsdb/prom_histogram.h"
#include "tsdb/prom_labels.h"
#include "tsdb/prom_wal.h"

enum record_type {
    RECORD_SERIES = 1,
    RECORD_SAMPLES = 2,
    RECORD_TOMBSTONES = 3,
    RECORD_EXEMPLARS = 4,
    RECORD_METADATA = 6,
    RECORD_HISTOGRAMS = 7,
    RECORD_FLOAT_HISTOGRAMS = 8,
    RECORD_CUSTOM_HISTOGRAMS = 9,
    RECORD_CUSTOM_FLOAT_HISTOGRAMS = 10,
    RECORD_SAMPLES_V2 = 11,
    RECORD_HISTOGRAMS_V2 = 12,
    RECORD_FLOAT_HISTOGRAMS_V2 = 13,
};

enum {
    START_MARKER_NONE = 0,
    START_MARKER_SAME = 1,
    START_MARKER_VALUE = 2,
    HISTOGRAM_BYTES_MAX = 256 << 20
};

static enum err_code cut_off(const struct cursor *c, struct err *err) {
    return err_set(err, ERR_CORRUPT, "record cut off behind byte %zu", cursor_offset(c));
}

static double take_f64(struct cursor *c) {
    return f64_of_bits(cursor_u64be(c));
}

static enum err_code take_labels(struct cursor *c, struct buf *blob, struct err *err) {
    const uint64_t count = cursor_uvarint(c);
    struct str before = {0};
    buf_clear(blob);
    for (uint64_t i = 0; i < count && !c->failed; i++) {
        const struct str name = cursor_str(c);
        const struct str value = cursor_str(c);
        if (!c->failed && prom_labels_add(blob, &before, name, value, err) != ERR_OK) {
            return ERR_CORRUPT;
        }
    }
    return c->failed ? cut_off(c, err) : ERR_OK;
}

static enum err_code decode_series(struct cursor *c, struct buf *blob,
                                   const struct prom_wal_handler *handler, void *ctx,
                                   struct err *err) {
    while (cursor_left(c) != 0) {
        const uint64_t ref = cursor_u64be(c);
        enum err_code code = take_labels(c, blob, err);
        if (code == ERR_OK && blob->len != 0 && handler->series != NULL) {
            const struct labels labels = {(const uint8_t *)buf_str(blob).ptr, blob->len};
            code = handler->series(ctx, ref, labels, err);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code decode_samples(struct cursor *c, const struct prom_wal_handler *handler,
                                    void *ctx, struct err *err) {
    if (handler->sample == NULL || cursor_left(c) == 0) {
        return ERR_OK;
    }
    const uint64_t base_ref = cursor_u64be(c);
    const uint64_t base_time = cursor_u64be(c);
    while (cursor_left(c) != 0 && !c->failed) {
        const uint64_t ref = base_ref + (uint64_t)cursor_varint(c);
        const uint64_t time = base_time + (uint64_t)cursor_varint(c);
        const double value = take_f64(c);
        if (c->failed) {
            break;
        }
        const enum err_code code = handler->sample(ctx, ref, (int64_t)time, 0, value, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return c->failed ? cut_off(c, err) : ERR_OK;
}

/* Ref and time of an entry with a start time; the state lives over one record. */
struct entry {
    bool first;
    uint64_t ref;
    uint64_t first_time;
    uint64_t time;
    int64_t first_start;
    int64_t start; /* 0 = unknown */
};

static void next_entry(struct cursor *c, struct entry *e) {
    if (e->first) {
        e->ref = (uint64_t)cursor_varint(c);
        e->time = e->first_time = (uint64_t)cursor_varint(c);
        e->start = e->first_start = cursor_varint(c);
        e->first = false;
        return;
    }
    e->ref += (uint64_t)cursor_varint(c);
    e->time = e->first_time + (uint64_t)cursor_varint(c);
    switch (cursor_u8(c)) {
    case START_MARKER_SAME:
        break;
    case START_MARKER_VALUE:
        e->start = (int64_t)((uint64_t)e->first_start + (uint64_t)cursor_varint(c));
        break;
    case START_MARKER_NONE:
    default:
        e->start = 0;
    }
}

static enum err_code decode_samples_v2(struct cursor *c, const struct prom_wal_handler *handler,
                                       void *ctx, struct err *err) {
    struct entry e = {.first = true};
    while (handler->sample != NULL && cursor_left(c) != 0) {
        next_entry(c, &e);
        const double value = take_f64(c);
        if (c->failed) {
            return cut_off(c, err);
        }
        const enum err_code code =
            handler->sample(ctx, e.ref, (int64_t)e.time, e.start, value, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code decode_tombstones(struct cursor *c, const struct prom_wal_handler *handler,
                                       void *ctx, struct err *err) {
    while (handler->deleted != NULL && cursor_left(c) != 0) {
        const uint64_t ref = cursor_u64be(c);
        const int64_t mint = cursor_varint(c);
        const int64_t maxt = cursor_varint(c);
        if (c->failed) {
            return cut_off(c, err);
        }
        const enum err_code code = handler->deleted(ctx, ref, mint, maxt, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* ---- exemplars and metadata ---- */

/* Labels that no exemplar may have make *out_good false; the cursor goes on behind them. */
static void take_exemplar_labels(struct cursor *c, struct buf *blob, bool *out_good) {
    const uint64_t count = cursor_uvarint(c);
    struct str before = {0};
    *out_good = true;
    buf_clear(blob);
    for (uint64_t i = 0; i < count && !c->failed; i++) {
        const struct str name = cursor_str(c);
        const struct str value = cursor_str(c);
        *out_good =
            *out_good && !c->failed && prom_labels_add(blob, &before, name, value, NULL) == ERR_OK;
    }
}

static enum err_code decode_exemplars(struct cursor *c, struct buf *blob,
                                      const struct prom_wal_handler *handler, void *ctx,
                                      struct err *err) {
    if (handler->exemplar == NULL || cursor_left(c) == 0) {
        return ERR_OK;
    }
    const uint64_t base_ref = cursor_u64be(c);
    const uint64_t base_time = cursor_u64be(c);
    while (cursor_left(c) != 0 && !c->failed) {
        bool good = false;
        const uint64_t ref = base_ref + (uint64_t)cursor_varint(c);
        struct storage_exemplar e = {.ts_ms = (int64_t)(base_time + (uint64_t)cursor_varint(c))};
        e.value = take_f64(c);
        take_exemplar_labels(c, blob, &good);
        if (c->failed) {
            break;
        }
        e.labels = (struct labels){(const uint8_t *)buf_str(blob).ptr, blob->len};
        const enum err_code code = good ? handler->exemplar(ctx, ref, &e, err) : ERR_OK;
        if (code != ERR_OK) {
            return code;
        }
    }
    return c->failed ? cut_off(c, err) : ERR_OK;
}

static struct str metadata_type(uint8_t type) {
    static const struct str names[] = {
        STR_INIT("unknown"),        STR_INIT("counter"), STR_INIT("gauge"), STR_INIT("histogram"),
        STR_INIT("gaugehistogram"), STR_INIT("summary"), STR_INIT("info"),  STR_INIT("stateset")};
    return names[type < COUNT_OF(names) ? type : 0];
}

static enum err_code decode_metadata(struct cursor *c, const struct prom_wal_handler *handler,
                                     void *ctx, struct err *err) {
    while (handler->metadata != NULL && cursor_left(c) != 0) {
        const uint64_t ref = cursor_uvarint(c);
        struct storage_metadata m = {.type = metadata_type(cursor_u8(c))};
        const uint64_t field_count = cursor_uvarint(c);
        for (uint64_t i = 0; i < field_count && !c->failed; i++) {
            const struct str name = cursor_str(c);
            const struct str value = cursor_str(c);
            m.unit = str_eq(name, STR("UNIT")) ? value : m.unit;
            m.help = str_eq(name, STR("HELP")) ? value : m.help;
        }
        if (c->failed) {
            return cut_off(c, err);
        }
        const enum err_code code = handler->metadata(ctx, ref, &m, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

/* ---- native histograms ---- */

static enum err_code decode_histograms(struct cursor *c, bool floats, bool with_start,
                                       const struct prom_wal_handler *handler, void *ctx,
                                       struct err *err) {
    struct entry e = {.first = true};
    struct arena arena;
    struct histogram h;
    enum err_code code = ERR_OK;
    if (handler->histogram == NULL || cursor_left(c) == 0) {
        return ERR_OK;
    }
    arena_init(&arena, HISTOGRAM_BYTES_MAX);
    const uint64_t base_ref = with_start ? 0 : cursor_u64be(c);
    const uint64_t base_time = with_start ? 0 : cursor_u64be(c);
    while (cursor_left(c) != 0 && code == ERR_OK) {
        arena_reset(&arena);
        if (with_start) {
            next_entry(c, &e);
        } else {
            e.ref = base_ref + (uint64_t)cursor_varint(c);
            e.time = base_time + (uint64_t)cursor_varint(c);
        }
        const enum err_code taken = prom_histogram_take(c, floats, &arena, &h);
        if (taken == ERR_OK) {
            code = handler->histogram(ctx, e.ref, (int64_t)e.time, e.start, &h, floats, err);
        } else if (taken == ERR_LIMIT) {
            code = err_set(err, ERR_CORRUPT, "a histogram is too large");
        } else if (taken == ERR_CORRUPT) {
            code = cut_off(c, err);
        } /* else it is of a kind that is not known: passed over */
    }
    arena_release(&arena);
    return code;
}

enum err_code prom_wal_decode(struct str record, struct buf *labels,
                              const struct prom_wal_handler *handler, void *ctx, struct err *err) {
    struct cursor c = cursor_of(record.ptr, record.len);
    const uint8_t type = cursor_u8(&c);
    switch (type) {
    case RECORD_SERIES:
        return decode_series(&c, labels, handler, ctx, err);
    case RECORD_SAMPLES:
        return decode_samples(&c, handler, ctx, err);
    case RECORD_SAMPLES_V2:
        return decode_samples_v2(&c, handler, ctx, err);
    case RECORD_TOMBSTONES:
        return decode_tombstones(&c, handler, ctx, err);
    case RECORD_EXEMPLARS:
        return decode_exemplars(&c, labels, handler, ctx, err);
    case RECORD_METADATA:
        return decode_metadata(&c, handler, ctx, err);
    case RECORD_HISTOGRAMS:
    case RECORD_FLOAT_HISTOGRAMS:
    case RECORD_CUSTOM_HISTOGRAMS:
    case RECORD_CUSTOM_FLOAT_HISTOGRAMS:
    case RECORD_HISTOGRAMS_V2:
    case RECORD_FLOAT_HISTOGRAMS_V2: {
        const bool floats = type == RECORD_FLOAT_HISTOGRAMS ||
                            type == RECORD_CUSTOM_FLOAT_HISTOGRAMS ||
                            type == RECORD_FLOAT_HISTOGRAMS_V2;
        return decode_histograms(&c, floats, type >= RECORD_HISTOGRAMS_V2, handler, ctx, err);
    }
    default:
        return ERR_OK;
    }
}
