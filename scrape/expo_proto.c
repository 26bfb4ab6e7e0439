#include "scrape/expo_proto.h"

#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "scrape/expo_proto_native.h"

/* Numbers of the fields that are read. */
enum { FAMILY_NAME = 1, FAMILY_HELP = 2, FAMILY_TYPE = 3, FAMILY_METRIC = 4, FAMILY_UNIT = 5 };
enum {
    METRIC_LABEL = 1,
    METRIC_GAUGE = 2,
    METRIC_COUNTER = 3,
    METRIC_SUMMARY = 4,
    METRIC_UNTYPED = 5,
    METRIC_TIMESTAMP_MS = 6,
    METRIC_HISTOGRAM = 7,
};
enum { NUMBER_VALUE = 1, COUNTER_EXEMPLAR = 2, COUNTER_CREATED = 3 };
enum { SUMMARY_COUNT = 1, SUMMARY_SUM = 2, SUMMARY_QUANTILE = 3, SUMMARY_CREATED = 4 };
enum { QUANTILE_RANK = 1, QUANTILE_VALUE = 2 };

/* Room for what tells a metric's samples apart at the end of their keys. */
enum { KEY_TAIL_MAX = 16 };

/* A length in front of a family takes no more bytes than this. */
enum { LENGTH_BYTES_MAX = 5 };

static COLD enum err_code fail_wire(const struct proto *p, struct err *err) {
    return err_set(err, ERR_INVALID, "%s", p->error);
}

void expo_proto_init(struct expo_proto *p, struct str body, struct scrape_histograms histograms,
                     bool exemplars, bool starts, struct arena *arena) {
    *p = (struct expo_proto){.body = body,
                             .histograms = histograms,
                             .exemplars = exemplars,
                             .starts = starts,
                             .arena = arena,
                             .metrics = proto_of(STR("")),
                             .part = PART_DONE};
    buf_init(&p->key, 2 * EXPO_LINE_MAX);
}

void expo_proto_release(struct expo_proto *p) {
    buf_release(&p->key);
    classic_release(&p->classic);
}

/* ---- families ---- */

static enum err_code check_family(const struct expo_proto *p, struct err *err) {
    enum { SHOWN_MAX = 200 };
    struct buf name;
    enum err_code code = ERR_OK;
    if (p->name.len == 0 || !utf8_valid(p->name)) {
        return err_set(err, ERR_INVALID, "invalid metric name: %.*s",
                       STR_ARG(str_sub(p->name, 0, SHOWN_MAX)));
    }
    buf_init(&name, 8 * SHOWN_MAX);
    if (!utf8_valid(p->help)) {
        utf8_quote(&name, str_sub(p->name, 0, SHOWN_MAX));
        code = err_set(err, ERR_INVALID, "invalid help for metric %.*s: %.*s",
                       STR_ARG(buf_str(&name)), STR_ARG(str_sub(p->help, 0, SHOWN_MAX)));
    } else if (p->kind >= KIND_COUNT) {
        utf8_quote(&name, str_sub(p->name, 0, SHOWN_MAX));
        code = err_set(err, ERR_INVALID, "unknown metric type for metric %.*s: %d",
                       STR_ARG(buf_str(&name)), (int)(int32_t)p->kind);
    }
    buf_release(&name);
    return code;
}

/* All but the metrics, which may stand before what is said of them. *out_empty: it has none. */
static enum err_code open_family(struct expo_proto *p, struct str bytes, bool *out_empty,
                                 struct err *err) {
    struct proto family = proto_of(bytes);
    struct proto_field f;
    p->name = STR("");
    p->help = STR("");
    p->unit = STR("");
    p->kind = KIND_COUNTER;
    *out_empty = true;
    while (proto_next(&family, &f)) {
        switch (f.number) {
        case FAMILY_NAME:
        case FAMILY_HELP:
        case FAMILY_UNIT:
            if (proto_want(&family, &f, PROTO_BYTES)) {
                *(f.number == FAMILY_NAME   ? &p->name
                  : f.number == FAMILY_HELP ? &p->help
                                            : &p->unit) = f.bytes;
            }
            break;
        case FAMILY_TYPE:
            if (proto_want(&family, &f, PROTO_VARINT)) {
                p->kind = (uint32_t)f.value;
            }
            break;
        case FAMILY_METRIC:
            *out_empty = !proto_want(&family, &f, PROTO_BYTES);
            break;
        default:
            break;
        }
    }
    if (!proto_ok(&family)) {
        return fail_wire(&family, err);
    }
    p->metrics = proto_of(bytes);
    return *out_empty ? ERR_OK : check_family(p, err);
}

static enum err_code next_family(struct expo_proto *p, bool *out_end, struct err *err) {
    bool empty = true;
    while (empty) {
        struct proto rest = proto_of(str_from(p->body, p->at));
        const uint8_t *const begin = rest.at;
        uint64_t length = 0;
        if (p->at == p->body.len) {
            *out_end = true;
            return ERR_OK;
        }
        if (!proto_varint(&rest, &length) || rest.at - begin > LENGTH_BYTES_MAX) {
            return err_set(err, ERR_INVALID, "clientpb: invalid varint encountered");
        }
        const size_t header = (size_t)(rest.at - begin);
        const size_t left = (size_t)(rest.end - rest.at);
        if (length > left) {
            return err_set(err, ERR_INVALID,
                           "clientpb: insufficient length of buffer, expected at least %llu bytes, "
                           "got %zu bytes",
                           (unsigned long long)length + header, left + header);
        }
        const enum err_code code =
            open_family(p, str_sub(p->body, p->at + header, (size_t)length), &empty, err);
        if (code != ERR_OK) {
            return code;
        }
        p->at += header + (size_t)length;
    }
    return ERR_OK;
}

/* ---- metrics ---- */

static void read_number(struct proto_value *v, struct proto *p, const struct proto_field *f,
                        bool counter) {
    if (f->number == NUMBER_VALUE && proto_want(p, f, PROTO_FIXED64)) {
        v->value = proto_double(f);
    } else if (counter && f->number == COUNTER_EXEMPLAR && proto_want(p, f, PROTO_BYTES)) {
        v->exemplar = f->bytes;
        v->has_exemplar = true;
    } else if (counter && f->number == COUNTER_CREATED && proto_want(p, f, PROTO_BYTES)) {
        v->start_ts_ms = proto_timestamp_ms(p, f->bytes);
    }
}

static void read_summary(struct proto_value *v, struct proto *p, const struct proto_field *f) {
    switch (f->number) {
    case SUMMARY_COUNT:
        if (proto_want(p, f, PROTO_VARINT)) {
            v->count = (double)f->value;
        }
        break;
    case SUMMARY_SUM:
        if (proto_want(p, f, PROTO_FIXED64)) {
            v->sum = proto_double(f);
        }
        break;
    case SUMMARY_CREATED:
        if (proto_want(p, f, PROTO_BYTES)) {
            v->start_ts_ms = proto_timestamp_ms(p, f->bytes);
        }
        break;
    default:
        break;
    }
}

static enum err_code read_value(struct expo_proto *p, struct str bytes, struct err *err) {
    struct proto value = proto_of(bytes);
    struct proto_field f;
    p->value = (struct proto_value){.body = bytes};
    while (proto_next(&value, &f)) {
        if (proto_is_histogram(p)) {
            proto_histogram_field(&p->value, &value, &f);
        } else if (p->kind == KIND_SUMMARY) {
            read_summary(&p->value, &value, &f);
        } else {
            read_number(&p->value, &value, &f, p->kind == KIND_COUNTER);
        }
    }
    if (proto_is_histogram(p)) {
        p->value.count = p->value.float_count != 0 ? p->value.float_count : p->value.int_count;
    }
    return proto_ok(&value) ? ERR_OK : fail_wire(&value, err);
}

/* What all samples of the metric share of their keys. */
static void begin_key(struct expo_proto *p) {
    buf_clear(&p->key);
    buf_append_str(&p->key, p->name);
    buf_append_char(&p->key, (char)0xFF);
    if (p->meta_labels) { /* a family of another type or unit is one of other series */
        buf_append_char(&p->key, (char)('0' + p->kind));
        buf_append_str(&p->key, p->unit);
        buf_append_char(&p->key, (char)0xFF);
    }
}

static void add_to_key(struct expo_proto *p, struct str label) {
    char length[10];
    size_t n = 0;
    uint64_t v = label.len;
    for (; v >= 0x80; v >>= 7) {
        length[n++] = (char)(v | 0x80);
    }
    length[n++] = (char)v;
    buf_append(&p->key, length, n);
    buf_append_str(&p->key, label);
}

/* The field of struct Metric that a family of this kind has its value in. */
static uint32_t value_field(const struct expo_proto *p) {
    static const uint32_t fields[KIND_COUNT] = {
        [KIND_COUNTER] = METRIC_COUNTER,     [KIND_GAUGE] = METRIC_GAUGE,
        [KIND_SUMMARY] = METRIC_SUMMARY,     [KIND_UNTYPED] = METRIC_UNTYPED,
        [KIND_HISTOGRAM] = METRIC_HISTOGRAM, [KIND_GAUGE_HISTOGRAM] = METRIC_HISTOGRAM,
    };
    return fields[p->kind];
}

static void begin_parts(struct expo_proto *p) {
    p->bounds = proto_of(p->value.body);
    p->infinite = false;
    p->native = false;
    p->converted = false;
    p->part = PART_VALUE;
    if (p->kind == KIND_SUMMARY) {
        p->part = PART_COUNT;
    } else if (proto_is_histogram(p)) {
        p->native = p->histograms.native && proto_is_native(&p->value);
        p->converted = !p->native && p->histograms.convert;
        p->part =
            p->native || (p->converted && !p->histograms.classic_too) ? PART_NATIVE : PART_COUNT;
    }
}

static enum err_code open_metric(struct expo_proto *p, struct str bytes, struct err *err) {
    struct proto metric = proto_of(bytes);
    struct proto_field f;
    struct str value = STR("");
    p->metric = bytes;
    p->timestamp_ms = 0;
    begin_key(p);
    while (proto_next(&metric, &f)) {
        if (f.number == METRIC_LABEL && proto_want(&metric, &f, PROTO_BYTES)) {
            add_to_key(p, f.bytes);
        } else if (f.number == METRIC_TIMESTAMP_MS && proto_want(&metric, &f, PROTO_VARINT)) {
            p->timestamp_ms = (int64_t)f.value;
        } else if (f.number == value_field(p) && proto_want(&metric, &f, PROTO_BYTES)) {
            value = f.bytes;
        }
    }
    if (!proto_ok(&metric)) {
        return fail_wire(&metric, err);
    }
    if (buf_reserve(&p->key, KEY_TAIL_MAX) == NULL || p->key.len > EXPO_LINE_MAX - KEY_TAIL_MAX) {
        return err_set(err, ERR_LIMIT, "series of more than %d bytes",
                       EXPO_LINE_MAX - KEY_TAIL_MAX);
    }
    p->key_base = p->key.len;
    const enum err_code code = read_value(p, value, err);
    if (code == ERR_OK) {
        begin_parts(p);
    }
    return code;
}

/* ---- samples ---- */

static void finish_sample(struct expo_proto *p, struct expo_entry *out, enum proto_part part,
                          double bound) {
    static const char marks[] = {[PART_NATIVE] = 'v', [PART_VALUE] = 'v',  [PART_COUNT] = 'c',
                                 [PART_SUM] = 's',    [PART_BOUNDS] = 'b', [PART_DONE] = 0};
    p->given = part;
    p->bound = bound;
    char *const tail = p->key.ptr + p->key_base; /* open_metric made the room */
    tail[0] = marks[part];
    p->key.len = p->key_base + 1;
    if (part == PART_BOUNDS) {
        memcpy(tail + 1, &bound, sizeof(bound));
        p->key.len += sizeof(bound);
    }
    out->kind = EXPO_SAMPLE;
    out->series = buf_str(&p->key);
    out->has_timestamp = p->timestamp_ms != 0;
    out->timestamp_ms = p->timestamp_ms;
    out->start_ts_ms = p->starts ? p->value.start_ts_ms : 0;
}

/* One exemplar of a float sample. */
static void put_exemplar(struct expo_proto *p, struct expo_entry *out, struct str bytes) {
    struct storage_exemplar exemplar;
    if (!p->exemplars || !proto_exemplar(bytes, p->arena, &exemplar)) {
        return;
    }
    struct storage_exemplar *const kept = arena_try_alloc(p->arena, 1, sizeof(*kept));
    if (kept != NULL) {
        *kept = exemplar;
        out->exemplars = kept;
        out->exemplar_count = 1;
    }
}

static enum err_code give_native(struct expo_proto *p, struct expo_entry *out, struct err *err) {
    struct proto_native to = {.arena = p->arena,
                              .name = p->name,
                              .gauge = p->kind == KIND_GAUGE_HISTOGRAM,
                              .exemplars = p->exemplars};
    const enum err_code code = p->native ? proto_native_make(&p->value, &to, err)
                                         : proto_native_convert(&p->value, &p->classic, &to, err);
    if (code != ERR_OK) {
        return code;
    }
    out->histogram = to.histogram;
    out->float_histogram = to.floats;
    out->exemplars = to.found;
    out->exemplar_count = to.found_count;
    finish_sample(p, out, PART_NATIVE, 0);
    p->part =
        p->native && p->histograms.classic_too && p->value.has_buckets ? PART_COUNT : PART_DONE;
    return ERR_OK;
}

/* The next quantile; false when there is none (or the wire is broken: p->bounds says so). */
static bool give_quantile(struct expo_proto *p, struct expo_entry *out) {
    struct proto_field f;
    while (proto_next(&p->bounds, &f)) {
        if (f.number != SUMMARY_QUANTILE || !proto_want(&p->bounds, &f, PROTO_BYTES)) {
            continue;
        }
        struct proto quantile = proto_of(f.bytes);
        struct proto_field q;
        double rank = 0;
        double value = 0;
        while (proto_next(&quantile, &q)) {
            if ((q.number == QUANTILE_RANK || q.number == QUANTILE_VALUE) &&
                proto_want(&quantile, &q, PROTO_FIXED64)) {
                *(q.number == QUANTILE_RANK ? &rank : &value) = proto_double(&q);
            }
        }
        if (!proto_ok(&quantile)) {
            return proto_fail(&p->bounds, quantile.error);
        }
        out->value = num_of_double(value);
        finish_sample(p, out, PART_BOUNDS, rank);
        return true;
    }
    return false;
}

/* The next bucket, or the +Inf one that the page left out. */
static bool give_bucket(struct expo_proto *p, struct expo_entry *out) {
    struct proto_bucket bucket;
    if (p->infinite) {
        return false;
    }
    if (!proto_next_bucket(&p->bounds, &bucket)) {
        if (!proto_ok(&p->bounds)) {
            return false;
        }
        bucket = (struct proto_bucket){.upper = INFINITY, .count = p->value.count};
    }
    p->infinite = bucket.upper == INFINITY;
    out->value = num_of_double(bucket.count);
    if (bucket.has_exemplar) {
        put_exemplar(p, out, bucket.exemplar);
    }
    finish_sample(p, out, PART_BOUNDS, bucket.upper);
    return true;
}

/* The next sample of the metric at hand; *out_given is false when it has no more. */
static enum err_code next_sample(struct expo_proto *p, struct expo_entry *out, bool *out_given,
                                 struct err *err) {
    *out_given = true;
    switch (p->part) {
    case PART_NATIVE:
        return give_native(p, out, err);
    case PART_COUNT:
        out->value = num_of_double(p->value.count);
        finish_sample(p, out, PART_COUNT, 0);
        p->part = PART_SUM;
        return ERR_OK;
    case PART_SUM:
        out->value = num_of_double(p->value.sum);
        finish_sample(p, out, PART_SUM, 0);
        p->part = PART_BOUNDS;
        return ERR_OK;
    case PART_BOUNDS:
        *out_given = p->kind == KIND_SUMMARY ? give_quantile(p, out) : give_bucket(p, out);
        if (!proto_ok(&p->bounds)) {
            return fail_wire(&p->bounds, err);
        }
        if (!*out_given && p->converted) {
            *out_given = true;
            return give_native(p, out, err);
        }
        p->part = *out_given ? PART_BOUNDS : PART_DONE;
        return ERR_OK;
    case PART_VALUE:
        out->value = num_of_double(p->value.value);
        if (p->value.has_exemplar) {
            put_exemplar(p, out, p->value.exemplar);
        }
        finish_sample(p, out, PART_VALUE, 0);
        p->part = PART_DONE;
        return ERR_OK;
    case PART_DONE:
        break;
    }
    *out_given = false;
    return ERR_OK;
}

/* Places the reader on the family's next metric. */
static enum err_code next_metric(struct expo_proto *p, bool *out_found, struct err *err) {
    struct proto_field f;
    *out_found = false;
    while (!*out_found && proto_next(&p->metrics, &f)) {
        *out_found = f.number == FAMILY_METRIC && proto_want(&p->metrics, &f, PROTO_BYTES);
    }
    if (!proto_ok(&p->metrics)) {
        return fail_wire(&p->metrics, err);
    }
    return *out_found ? open_metric(p, f.bytes, err) : ERR_OK;
}

enum err_code expo_proto_next(struct expo_proto *p, struct expo_entry *out, struct err *err) {
    *out = (struct expo_entry){.kind = EXPO_END};
    for (;;) {
        bool found = false;
        enum err_code code = next_sample(p, out, &found, err);
        if (code != ERR_OK || found) {
            return code;
        }
        code = next_metric(p, &found, err);
        if (code != ERR_OK) {
            return code;
        }
        if (found) {
            continue;
        }
        bool end = false;
        code = next_family(p, &end, err);
        if (code == ERR_OK && !end) {
            out->kind = EXPO_TYPE;
            out->family = p->name;
        }
        return code;
    }
}
