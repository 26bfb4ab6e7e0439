#include "scrape/expo_proto_native.h"

#include <math.h>

#include "base/utf8.h"

enum {
    HISTOGRAM_COUNT = 1,
    HISTOGRAM_SUM = 2,
    HISTOGRAM_BUCKET = 3,
    HISTOGRAM_COUNT_FLOAT = 4,
    HISTOGRAM_SCHEMA = 5,
    HISTOGRAM_ZERO_THRESHOLD = 6,
    HISTOGRAM_ZERO_COUNT = 7,
    HISTOGRAM_ZERO_COUNT_FLOAT = 8,
    HISTOGRAM_NEGATIVE_SPAN = 9,
    HISTOGRAM_NEGATIVE_DELTA = 10,
    HISTOGRAM_NEGATIVE_COUNT = 11,
    HISTOGRAM_POSITIVE_SPAN = 12,
    HISTOGRAM_POSITIVE_DELTA = 13,
    HISTOGRAM_POSITIVE_COUNT = 14,
    HISTOGRAM_CREATED = 15,
    HISTOGRAM_EXEMPLAR = 16,
};
enum { BUCKET_COUNT = 1, BUCKET_UPPER = 2, BUCKET_EXEMPLAR = 3, BUCKET_COUNT_FLOAT = 4 };
enum { SPAN_OFFSET = 1, SPAN_LENGTH = 2 };
enum { EXEMPLAR_LABEL = 1, EXEMPLAR_VALUE = 2, EXEMPLAR_TIMESTAMP = 3 };
enum { PAIR_NAME = 1, PAIR_VALUE = 2 };
enum { TIMESTAMP_SECONDS = 1, TIMESTAMP_NANOS = 2 };

static int64_t zigzag(uint64_t v) {
    return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

int64_t proto_timestamp_ms(struct proto *outer, struct str bytes) {
    struct proto p = proto_of(bytes);
    struct proto_field f;
    uint64_t seconds = 0;
    int32_t nanos = 0;
    while (proto_next(&p, &f)) {
        if ((f.number == TIMESTAMP_SECONDS || f.number == TIMESTAMP_NANOS) &&
            proto_want(&p, &f, PROTO_VARINT)) {
            seconds = f.number == TIMESTAMP_SECONDS ? f.value : seconds;
            nanos = f.number == TIMESTAMP_NANOS ? (int32_t)(uint32_t)f.value : nanos;
        }
    }
    if (!proto_ok(&p)) {
        (void)proto_fail(outer, p.error);
    }
    /* As in Go what does not fit wraps around. */
    return (int64_t)(seconds * 1000 + (uint64_t)(int64_t)(nanos / 1000000));
}

/* ---- fields ---- */

static void read_scalar(struct proto_value *v, struct proto *p, const struct proto_field *f) {
    const bool is_varint = f->number == HISTOGRAM_COUNT || f->number == HISTOGRAM_ZERO_COUNT ||
                           f->number == HISTOGRAM_SCHEMA;
    if (!proto_want(p, f, is_varint ? PROTO_VARINT : PROTO_FIXED64)) {
        return;
    }
    switch (f->number) {
    case HISTOGRAM_COUNT:
        v->int_count = (double)f->value;
        break;
    case HISTOGRAM_COUNT_FLOAT:
        v->float_count = proto_double(f);
        break;
    case HISTOGRAM_SUM:
        v->sum = proto_double(f);
        break;
    case HISTOGRAM_SCHEMA:
        v->schema = (int32_t)zigzag((uint32_t)f->value);
        break;
    case HISTOGRAM_ZERO_THRESHOLD:
        v->zero_threshold = proto_double(f);
        break;
    case HISTOGRAM_ZERO_COUNT:
        v->int_zero = (double)f->value;
        break;
    default:
        v->float_zero = proto_double(f);
        break;
    }
}

void proto_histogram_field(struct proto_value *v, struct proto *p, const struct proto_field *f) {
    switch (f->number) {
    case HISTOGRAM_COUNT:
    case HISTOGRAM_COUNT_FLOAT:
    case HISTOGRAM_SUM:
    case HISTOGRAM_SCHEMA:
    case HISTOGRAM_ZERO_THRESHOLD:
    case HISTOGRAM_ZERO_COUNT:
    case HISTOGRAM_ZERO_COUNT_FLOAT:
        read_scalar(v, p, f);
        break;
    case HISTOGRAM_POSITIVE_SPAN:
    case HISTOGRAM_NEGATIVE_SPAN:
        v->has_spans = proto_want(p, f, PROTO_BYTES);
        *(f->number == HISTOGRAM_POSITIVE_SPAN ? &v->positive_spans : &v->negative_spans) += 1;
        break;
    case HISTOGRAM_BUCKET:
        v->has_buckets = proto_want(p, f, PROTO_BYTES);
        break;
    case HISTOGRAM_EXEMPLAR:
        v->has_exemplars = proto_want(p, f, PROTO_BYTES);
        break;
    case HISTOGRAM_CREATED:
        if (proto_want(p, f, PROTO_BYTES)) {
            v->start_ts_ms = proto_timestamp_ms(p, f->bytes);
        }
        break;
    default:
        break;
    }
}

bool proto_is_native(const struct proto_value *v) {
    return v->has_spans || v->zero_threshold > 0 || v->int_zero > 0;
}

bool proto_next_bucket(struct proto *p, struct proto_bucket *out) {
    struct proto_field f;
    do {
        if (!proto_next(p, &f)) {
            return false;
        }
    } while (f.number != HISTOGRAM_BUCKET);
    if (!proto_want(p, &f, PROTO_BYTES)) {
        return false;
    }
    struct proto bucket = proto_of(f.bytes);
    struct proto_field b;
    double floats = 0;
    *out = (struct proto_bucket){0};
    while (proto_next(&bucket, &b)) {
        if (b.number == BUCKET_COUNT && proto_want(&bucket, &b, PROTO_VARINT)) {
            out->count = (double)b.value;
        } else if (b.number == BUCKET_UPPER && proto_want(&bucket, &b, PROTO_FIXED64)) {
            out->upper = proto_double(&b);
        } else if (b.number == BUCKET_COUNT_FLOAT && proto_want(&bucket, &b, PROTO_FIXED64)) {
            floats = proto_double(&b);
        } else if (b.number == BUCKET_EXEMPLAR && proto_want(&bucket, &b, PROTO_BYTES)) {
            out->exemplar = b.bytes;
            out->has_exemplar = true;
        }
    }
    out->count = floats != 0 ? floats : out->count;
    return proto_ok(&bucket) || proto_fail(p, bucket.error);
}

/* ---- exemplars ---- */

static bool add_label(struct labels_builder *b, struct str bytes) {
    struct proto pair = proto_of(bytes);
    struct proto_field f;
    struct label label = {STR(""), STR("")};
    while (proto_next(&pair, &f)) {
        if ((f.number == PAIR_NAME || f.number == PAIR_VALUE) &&
            proto_want(&pair, &f, PROTO_BYTES)) {
            *(f.number == PAIR_NAME ? &label.name : &label.value) = f.bytes;
        }
    }
    if (!proto_ok(&pair) || label.name.len == 0 || !utf8_valid(label.name) ||
        !utf8_valid(label.value)) {
        return false;
    }
    labels_builder_set(b, label.name, label.value);
    return true;
}

bool proto_exemplar(struct str bytes, struct arena *arena, struct storage_exemplar *out) {
    struct proto p = proto_of(bytes);
    struct proto_field f;
    struct labels_builder b;
    bool good = true;
    /* What is longer than this the storage would refuse for its labels. */
    const size_t most = 4096;
    *out = (struct storage_exemplar){.ts_ms = EXPO_NO_TIME};
    labels_builder_init(&b, arena);
    while (bytes.len <= most && proto_next(&p, &f)) {
        if (f.number == EXEMPLAR_LABEL && proto_want(&p, &f, PROTO_BYTES)) {
            good = add_label(&b, f.bytes) && good;
        } else if (f.number == EXEMPLAR_VALUE && proto_want(&p, &f, PROTO_FIXED64)) {
            out->value = proto_double(&f);
        } else if (f.number == EXEMPLAR_TIMESTAMP && proto_want(&p, &f, PROTO_BYTES)) {
            out->ts_ms = proto_timestamp_ms(&p, f.bytes);
        }
    }
    return bytes.len <= most && good && proto_ok(&p) &&
           labels_builder_finish(&b, &out->labels, NULL) == ERR_OK;
}

static bool keep_exemplar(struct proto_native *to, struct str bytes, size_t capacity) {
    struct storage_exemplar exemplar;
    if (to->found == NULL) {
        to->found = arena_try_alloc(to->arena, capacity, sizeof(to->found[0]));
    }
    if (to->found != NULL && to->found_count < capacity &&
        proto_exemplar(bytes, to->arena, &exemplar) && exemplar.ts_ms != EXPO_NO_TIME) {
        to->found[to->found_count++] = exemplar;
    }
    return to->found != NULL;
}

/* Those of the histogram, or else those of its classic buckets; with timestamps only. */
static void find_exemplars(const struct proto_value *v, struct proto_native *to) {
    enum { KEPT_MAX = 1024 };
    struct proto p = proto_of(v->body);
    struct proto_field f;
    struct proto_bucket bucket;
    bool go_on = to->exemplars;
    if (v->has_exemplars) {
        while (go_on && proto_next(&p, &f)) {
            if (f.number == HISTOGRAM_EXEMPLAR) {
                go_on = keep_exemplar(to, f.bytes, KEPT_MAX);
            }
        }
        return;
    }
    while (go_on && v->has_buckets && proto_next_bucket(&p, &bucket)) {
        if (bucket.has_exemplar) {
            go_on = keep_exemplar(to, bucket.exemplar, KEPT_MAX);
        }
    }
}

/* ---- native histograms ---- */

static COLD enum err_code too_large(struct err *err) {
    return err_set(err, ERR_LIMIT, "the histograms of the page are too large");
}

/* Spans, and the sum of their lengths. */
static enum err_code read_spans(const struct proto_value *v, uint32_t number, uint32_t count,
                                struct arena *arena, struct histogram_side *side, uint64_t *out_sum,
                                struct err *err) {
    struct proto p = proto_of(v->body);
    struct proto_field f;
    *out_sum = 0;
    side->span_count = 0;
    side->spans = count > 0 ? arena_try_alloc(arena, count, sizeof(side->spans[0])) : NULL;
    if (count > 0 && side->spans == NULL) {
        return too_large(err);
    }
    while (proto_next(&p, &f)) {
        if (f.number != number) {
            continue;
        }
        struct proto span = proto_of(f.bytes);
        struct proto_field s;
        struct histogram_span *const to = &side->spans[side->span_count++];
        *to = (struct histogram_span){0};
        while (proto_next(&span, &s)) {
            if (s.number == SPAN_OFFSET && proto_want(&span, &s, PROTO_VARINT)) {
                to->offset = (int32_t)zigzag((uint32_t)s.value);
            } else if (s.number == SPAN_LENGTH && proto_want(&span, &s, PROTO_VARINT)) {
                to->length = (uint32_t)s.value;
            }
        }
        *out_sum += to->length;
        if (!proto_ok(&span)) {
            return err_set(err, ERR_INVALID, "%s", span.error);
        }
        if (side->span_count > 1 && to->offset < 0) {
            return err_set(err, ERR_INVALID,
                           "span number %u with offset %d: histogram has a span "
                           "whose offset is negative",
                           side->span_count, to->offset);
        }
    }
    return ERR_OK;
}

/* Walks the values of a repeated field, packed or not. */
struct numbers {
    struct proto outer, packed;
    uint32_t field;
    enum proto_wire wire;
};

static bool next_number(struct numbers *n, struct proto_field *out) {
    while (n->packed.at >= n->packed.end) {
        if (!proto_next(&n->outer, out)) {
            return false;
        }
        if (out->number != n->field) {
            continue;
        }
        if (out->wire == n->wire) {
            return true;
        }
        if (!proto_want(&n->outer, out, PROTO_BYTES)) {
            return false;
        }
        n->packed = proto_of(out->bytes);
    }
    if (n->wire == PROTO_VARINT) {
        return proto_varint(&n->packed, &out->value) || proto_fail(&n->outer, n->packed.error);
    }
    out->wire = n->wire;
    return proto_scalar(&n->packed, out) || proto_fail(&n->outer, n->packed.error);
}

static enum err_code count_numbers(struct numbers walk, uint64_t *out, struct err *err) {
    struct proto_field f;
    *out = 0;
    while (next_number(&walk, &f)) {
        (*out)++;
    }
    return proto_ok(&walk.outer) ? ERR_OK : err_set(err, ERR_INVALID, "%s", walk.outer.error);
}

static COLD enum err_code fail_spans(const struct proto_native *to, bool positive, uint64_t need,
                                     uint64_t have, struct err *err) {
    struct buf name;
    buf_init(&name, 4096);
    utf8_quote(&name, str_sub(to->name, 0, 128));
    const enum err_code code =
        err_set(err, ERR_INVALID, "histogram %.*s: %s side: spans require %llu buckets, have %llu",
                STR_ARG(buf_str(&name)), positive ? "positive" : "negative",
                (unsigned long long)need, (unsigned long long)have);
    buf_release(&name);
    return code;
}

/* One side's spans and counts: of an integer histogram from differences. */
static enum err_code read_side(const struct proto_value *v, const struct proto_native *to,
                               bool positive, struct histogram_side *side, struct err *err) {
    uint64_t need = 0;
    uint64_t have = 0;
    enum err_code code = positive ? read_spans(v, HISTOGRAM_POSITIVE_SPAN, v->positive_spans,
                                               to->arena, side, &need, err)
                                  : read_spans(v, HISTOGRAM_NEGATIVE_SPAN, v->negative_spans,
                                               to->arena, side, &need, err);
    struct numbers walk = {.outer = proto_of(v->body), .packed = proto_of(STR(""))};
    if (to->floats) {
        walk.field = positive ? HISTOGRAM_POSITIVE_COUNT : HISTOGRAM_NEGATIVE_COUNT;
        walk.wire = PROTO_FIXED64;
    } else {
        walk.field = positive ? HISTOGRAM_POSITIVE_DELTA : HISTOGRAM_NEGATIVE_DELTA;
        walk.wire = PROTO_VARINT;
    }
    code = code == ERR_OK ? count_numbers(walk, &have, err) : code;
    if (code != ERR_OK) {
        return code;
    }
    if (need != have) {
        return fail_spans(to, positive, need, have, err);
    }
    if (have > HISTOGRAM_BUCKETS_MAX) {
        return err_set(err, ERR_LIMIT, "histogram has more than %d buckets",
                       (int)HISTOGRAM_BUCKETS_MAX);
    }
    side->counts = have > 0 ? arena_try_alloc(to->arena, (size_t)have, sizeof(double)) : NULL;
    if (have > 0 && side->counts == NULL) {
        return too_large(err);
    }
    struct proto_field f;
    uint64_t sum = 0; /* wraps around as Go's int64 does */
    while (next_number(&walk, &f)) {
        sum += (uint64_t)zigzag(f.value);
        side->counts[side->count++] = to->floats ? proto_double(&f) : (double)(int64_t)sum;
    }
    return ERR_OK;
}

enum err_code proto_native_make(const struct proto_value *v, struct proto_native *to,
                                struct err *err) {
    to->floats = v->float_count > 0 || v->float_zero > 0;
    struct histogram h = {
        .schema = v->schema,
        .hint = to->gauge ? HINT_GAUGE : HINT_UNKNOWN,
        .zero_threshold = v->zero_threshold,
        .zero_count = to->floats ? v->float_zero : v->int_zero,
        .count = to->floats ? v->float_count : v->int_count,
        .sum = v->sum,
    };
    struct histogram *tidy = NULL;
    enum err_code code = read_side(v, to, true, &h.positive, err);
    code = code == ERR_OK ? read_side(v, to, false, &h.negative, err) : code;
    code = code == ERR_OK ? histogram_tidy(to->arena, &h, 0, 0, &tidy, err) : code;
    if (code == ERR_OK) {
        to->histogram = tidy;
        find_exemplars(v, to);
    }
    return code;
}

enum err_code proto_native_convert(const struct proto_value *v, struct classic_histogram *classic,
                                   struct proto_native *to, struct err *err) {
    struct proto p = proto_of(v->body);
    struct proto_bucket bucket;
    struct histogram *h = NULL;
    classic_reset(classic);
    classic_count(classic, v->count);
    classic_sum(classic, v->sum);
    while (proto_next_bucket(&p, &bucket)) {
        classic_bucket(classic, bucket.upper, bucket.count);
    }
    if (!proto_ok(&p)) {
        return err_set(err, ERR_INVALID, "%s", p.error);
    }
    const enum err_code code = classic_convert(classic, to->arena, &h, &to->floats, err);
    if (code == ERR_OK) {
        h->hint = to->gauge ? HINT_GAUGE : HINT_UNKNOWN;
        to->histogram = h;
        find_exemplars(v, to);
    }
    return code;
}
