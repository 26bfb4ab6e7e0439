/* What a series of a remote write may have beside floats: native histograms, exemplars, metadata.
 * Histograms become the storage's form in the arena of the request's scratch memory. */
#include <string.h>

#include "base/histogram_tidy.h"
#include "web/remote_write.h"

enum { SCHEMA_REDUCIBLE_MAX = 52 };

/* ---- histograms ---- */

enum histogram_field {
    COUNT_INT = 1,
    COUNT_FLOAT = 2,
    SUM = 3,
    SCHEMA = 4,
    ZERO_THRESHOLD = 5,
    ZERO_COUNT_INT = 6,
    ZERO_COUNT_FLOAT = 7,
    NEGATIVE_SPANS = 8, /* then deltas, counts */
    POSITIVE_SPANS = 11,
    RESET_HINT = 14,
    TIMESTAMP = 15,
    CUSTOM_BOUNDS = 16,
    START_TIMESTAMP = 17,
};
enum { SPANS = 0, DELTAS = 1, COUNTS = 2 }; /* behind the field of a side's spans */

/* Doubles of a repeated field, packed or not. */
struct numbers {
    double *items;
    uint32_t count;
    uint32_t capacity;
    int64_t last; /* of deltas */
};

struct side {
    struct histogram_span *spans;
    uint32_t span_count;
    uint32_t span_capacity;
    struct numbers deltas;
    struct numbers counts;
};

struct reader {
    struct arena *arena;
    struct proto p;
    struct histogram h;
    struct side positive;
    struct side negative;
    struct numbers bounds;
    bool is_float;
    int64_t ts_ms;
    int64_t start_ms;
};

/* Room for one more item of an array in the arena; the old one stays behind. */
static void *grow(struct reader *r, void *items, uint32_t count, uint32_t *io_capacity,
                  size_t item_bytes) {
    if (count < *io_capacity) {
        return items;
    }
    const uint32_t capacity = *io_capacity == 0 ? 16 : *io_capacity * 2;
    void *bigger =
        count < HISTOGRAM_BUCKETS_MAX ? arena_try_alloc(r->arena, capacity, item_bytes) : NULL;
    if (bigger == NULL) {
        (void)proto_fail(&r->p, "a histogram has too many buckets");
        return NULL;
    }
    if (count != 0) {
        memcpy(bigger, items, count * item_bytes);
    }
    *io_capacity = capacity;
    return bigger;
}

static bool add_number(struct reader *r, struct numbers *n, double v) {
    double *items = grow(r, n->items, n->count, &n->capacity, sizeof(*items));
    if (items == NULL) {
        return false;
    }
    n->items = items;
    n->items[n->count++] = v;
    return true;
}

static bool add_delta(struct reader *r, struct numbers *n, uint64_t zigzag) {
    if (__builtin_add_overflow(n->last, zigzag_decode(zigzag), &n->last)) {
        return proto_fail(&r->p, "a histogram has a bucket count that is too large");
    }
    return add_number(r, n, (double)n->last);
}

static void read_doubles(struct reader *r, const struct proto_field *f, struct numbers *to) {
    if (f->wire == PROTO_FIXED64) {
        (void)add_number(r, to, proto_double(f));
        return;
    }
    if (!proto_want(&r->p, f, PROTO_BYTES)) {
        return;
    }
    if (f->bytes.len % sizeof(double) != 0) {
        (void)proto_fail(&r->p, "unexpected EOF");
        return;
    }
    for (size_t at = 0; at < f->bytes.len; at += sizeof(double)) {
        double v;
        memcpy(&v, f->bytes.ptr + at, sizeof(v));
        if (!add_number(r, to, v)) {
            return;
        }
    }
}

static void read_deltas(struct reader *r, const struct proto_field *f, struct numbers *to) {
    if (f->wire == PROTO_VARINT) {
        (void)add_delta(r, to, f->value);
        return;
    }
    if (!proto_want(&r->p, f, PROTO_BYTES)) {
        return;
    }
    struct proto packed = proto_of(f->bytes);
    while (packed.at < packed.end) {
        uint64_t v;
        if (!proto_varint(&packed, &v)) {
            (void)proto_fail(&r->p, packed.error);
            return;
        }
        if (!add_delta(r, to, v)) {
            return;
        }
    }
}

static void read_span(struct reader *r, const struct proto_field *f, struct side *side) {
    enum { OFFSET = 1, LENGTH = 2 };
    struct histogram_span span = {0};
    struct proto_field part;
    if (!proto_want(&r->p, f, PROTO_BYTES)) {
        return;
    }
    struct proto p = proto_of(f->bytes);
    while (proto_next(&p, &part)) {
        if (part.number == OFFSET && proto_want(&p, &part, PROTO_VARINT)) {
            span.offset = (int32_t)zigzag_decode((uint32_t)part.value);
        } else if (part.number == LENGTH && proto_want(&p, &part, PROTO_VARINT)) {
            span.length = (uint32_t)part.value;
        }
    }
    if (!proto_ok(&p)) {
        (void)proto_fail(&r->p, p.error);
        return;
    }
    struct histogram_span *spans =
        grow(r, side->spans, side->span_count, &side->span_capacity, sizeof(*spans));
    if (spans != NULL) {
        side->spans = spans;
        side->spans[side->span_count++] = span;
    }
}

static void read_side(struct reader *r, const struct proto_field *f, uint32_t part,
                      struct side *side) {
    if (part == SPANS) {
        read_span(r, f, side);
    } else if (part == DELTAS) {
        read_deltas(r, f, &side->deltas);
    } else {
        read_doubles(r, f, &side->counts);
    }
}

static void read_double(struct reader *r, const struct proto_field *f, double *to) {
    if (proto_want(&r->p, f, PROTO_FIXED64)) {
        *to = proto_double(f);
    }
}

static void read_count(struct reader *r, const struct proto_field *f, double *to) {
    if (proto_want(&r->p, f, PROTO_VARINT)) {
        *to = (double)f->value;
    }
}

static void read_integer(struct reader *r, const struct proto_field *f) {
    static const enum histogram_hint hints[] = {HINT_UNKNOWN, HINT_RESET, HINT_NOT_RESET,
                                                HINT_GAUGE};
    if (!proto_want(&r->p, f, PROTO_VARINT)) {
        return;
    }
    if (f->number == SCHEMA) {
        r->h.schema = (int32_t)zigzag_decode((uint32_t)f->value);
    } else if (f->number == RESET_HINT) {
        r->h.hint = f->value < COUNT_OF(hints) ? hints[f->value] : HINT_UNKNOWN;
    } else if (f->number == TIMESTAMP) {
        r->ts_ms = (int64_t)f->value;
    } else {
        r->start_ms = (int64_t)f->value;
    }
}

static void read_field(struct reader *r, const struct proto_field *f) {
    switch (f->number) {
    case COUNT_INT:
        read_count(r, f, &r->h.count);
        break;
    case COUNT_FLOAT:
        r->is_float = true;
        read_double(r, f, &r->h.count);
        break;
    case SUM:
        read_double(r, f, &r->h.sum);
        break;
    case ZERO_THRESHOLD:
        read_double(r, f, &r->h.zero_threshold);
        break;
    case ZERO_COUNT_INT:
        read_count(r, f, &r->h.zero_count);
        break;
    case ZERO_COUNT_FLOAT:
        read_double(r, f, &r->h.zero_count);
        break;
    case CUSTOM_BOUNDS:
        read_doubles(r, f, &r->bounds);
        break;
    case SCHEMA:
    case RESET_HINT:
    case TIMESTAMP:
    case START_TIMESTAMP:
        read_integer(r, f);
        break;
    default:
        if (f->number >= NEGATIVE_SPANS && f->number < POSITIVE_SPANS) {
            read_side(r, f, f->number - NEGATIVE_SPANS, &r->negative);
        } else if (f->number >= POSITIVE_SPANS && f->number < RESET_HINT) {
            read_side(r, f, f->number - POSITIVE_SPANS, &r->positive);
        }
        break;
    }
}

static void set_side(const struct reader *r, const struct side *from, struct histogram_side *to) {
    const struct numbers *counts = r->is_float ? &from->counts : &from->deltas;
    *to = (struct histogram_side){.spans = from->spans,
                                  .span_count = from->span_count,
                                  .counts = counts->items,
                                  .count = counts->count};
}

/* Spans that name as many buckets as there are counts; histogram_tidy relies on that. */
static bool spans_fit(const struct histogram_side *side) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < side->span_count; i++) {
        total += side->spans[i].length;
    }
    return total == side->count;
}

static enum err_code finish_histogram(struct reader *r, struct histogram **out, struct err *err) {
    set_side(r, &r->positive, &r->h.positive);
    set_side(r, &r->negative, &r->h.negative);
    r->h.bounds = r->bounds.items;
    r->h.bound_count = r->bounds.count;
    if (histogram_is_custom(&r->h)) {
        r->h.zero_threshold = 0;
    }
    *out = &r->h;
    enum err_code code = ERR_OK;
    if (r->h.schema > HISTOGRAM_SCHEMA_MAX && r->h.schema <= SCHEMA_REDUCIBLE_MAX &&
        spans_fit(&r->h.positive) && spans_fit(&r->h.negative)) {
        code = histogram_tidy(r->arena, &r->h, r->h.schema - HISTOGRAM_SCHEMA_MAX, 0, out, err);
    }
    return code == ERR_OK ? histogram_validate(*out, r->is_float, err) : code;
}

bool write_histogram(struct write_batch *b, struct labels labels, struct proto *outer,
                     struct str bytes) {
    struct arena *arena = &b->scratch->arena;
    arena_reset(arena);
    struct reader r = {.arena = arena, .p = proto_of(bytes)};
    struct proto_field f;
    while (proto_next(&r.p, &f)) {
        read_field(&r, &f);
    }
    if (!proto_ok(&r.p)) {
        return proto_fail(outer, r.p.error);
    }
    struct histogram *h;
    struct err err;
    if (finish_histogram(&r, &h, &err) != ERR_OK) {
        write_refuse(b, ERR_INVALID, err.text);
        return true;
    }
    write_whole_sample(b, labels,
                       &(struct storage_sample){.ts_ms = r.ts_ms,
                                                .histogram = h,
                                                .float_histogram = r.is_float,
                                                .start_ts_ms = b->keep_start ? r.start_ms : 0});
    return true;
}

/* ---- exemplars ---- */

void write_exemplar(struct write_batch *b, struct labels series,
                    const struct storage_exemplar *exemplar) {
    if (b->failure != ERR_OK) {
        return;
    }
    const enum err_code code = storage_append_exemplar(b->storage, b->appender, series, exemplar);
    if (code == ERR_OK) {
        b->exemplars++;
    } else if (code == ERR_OUT_OF_ORDER && b->partial) {
        write_error(b, "out of order exemplar for series ", true, STR(""));
    } /* all else is passed over, as Prometheus does */
}

/* ---- metadata ---- */

static struct str type_text(uint64_t type) {
    static const char *const types[] = {"unknown",        "counter", "gauge", "histogram",
                                        "gaugehistogram", "summary", "info",  "stateset"};
    return str_of(type < COUNT_OF(types) ? types[type] : types[0]);
}

bool write_labels_add_metadata(struct write_scratch *scratch, uint64_t type, struct str unit) {
    const struct str text = type_text(type);
    const bool known = !str_eq(text, type_text(0));
    if (!known && unit.len == 0) {
        return true;
    }
    size_t kept = 0;
    for (size_t i = 0; i < scratch->label_count; i++) {
        const struct label *const l = &scratch->labels[i];
        if (!str_eq(l->name, STR("__type__")) && !str_eq(l->name, STR("__unit__"))) {
            scratch->labels[kept++] = *l;
        }
    }
    scratch->label_count = kept;
    return (!known || write_labels_add(scratch, (struct label){STR("__type__"), text})) &&
           (unit.len == 0 || write_labels_add(scratch, (struct label){STR("__unit__"), unit}));
}

/* Series of histograms and summaries have the family's name and a suffix. */
static struct str family_of(struct str name, uint64_t type) {
    enum { HISTOGRAM = 3, GAUGE_HISTOGRAM = 4, SUMMARY = 5 };
    static const char *const suffixes[] = {"_bucket", "_count", "_sum"};
    if (type != HISTOGRAM && type != GAUGE_HISTOGRAM && type != SUMMARY) {
        return name;
    }
    for (size_t i = 0; i < COUNT_OF(suffixes); i++) {
        const struct str suffix = str_of(suffixes[i]);
        if (name.len > suffix.len && str_eq(str_from(name, name.len - suffix.len), suffix)) {
            return str_sub(name, 0, name.len - suffix.len);
        }
    }
    return name;
}

void write_metadata(struct write_batch *b, struct str name, uint64_t type, struct str help,
                    struct str unit) {
    if (b->failure == ERR_OK && name.len != 0) {
        storage_metadata_put(
            b->storage, family_of(name, type),
            &(struct storage_metadata){.type = type_text(type), .help = help, .unit = unit});
    }
}
