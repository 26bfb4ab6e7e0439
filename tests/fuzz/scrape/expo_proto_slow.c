#include "expo_proto_slow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"
#include "base/utf8.h"
#include "base/value.h"

/* ---- what is written ---- */

static void put_text(struct buf *to, struct str text) {
    buf_printf(to, "%zu:", text.len);
    buf_append_str(to, text);
    buf_append_char(to, ' ');
}

static int by_name_and_value(const void *a, const void *b) {
    const struct label *const x = a;
    const struct label *const y = b;
    const int names = str_cmp(x->name, y->name);
    return names != 0 ? names : str_cmp(x->value, y->value);
}

void slow_proto_family(struct buf *to, struct str name, struct str help, struct str unit,
                       uint32_t kind) {
    buf_printf(to, "family %u ", kind);
    put_text(to, name);
    put_text(to, help);
    put_text(to, unit);
    buf_append_char(to, '\n');
}

void slow_proto_sample(struct buf *to, double value, int64_t ts_ms, int64_t start_ts_ms,
                       struct label *labels, size_t label_count) {
    buf_printf(to, "sample %016llx %lld %lld ", (unsigned long long)f64_bits(value),
               (long long)ts_ms, (long long)start_ts_ms);
    qsort(labels, label_count, sizeof(labels[0]), by_name_and_value);
    for (size_t i = 0; i < label_count; i++) {
        put_text(to, labels[i].name);
        put_text(to, labels[i].value);
    }
    buf_append_char(to, '\n');
}

/* ---- the wire ---- */

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct field {
    uint64_t number, wire, value;
    struct str bytes;
};

struct message {
    struct field *fields;
    size_t count;
    bool bad;
};

/* At most ten bytes and 64 bits. */
static bool take_varint(struct str *rest, uint64_t *out) {
    *out = 0;
    for (unsigned i = 0; i < 10 && i < rest->len; i++) {
        const uint64_t byte = (uint8_t)rest->ptr[i];
        if (i == 9 && byte > 1) {
            return false;
        }
        *out += (byte & 127) << 7 * i;
        if (byte < 128) {
            *rest = str_from(*rest, i + 1);
            return true;
        }
    }
    return false;
}

static bool take_fixed(struct str *rest, unsigned n, uint64_t *out) {
    *out = 0;
    for (unsigned i = 0; i < n && i < rest->len; i++) {
        *out += (uint64_t)(uint8_t)rest->ptr[i] << 8 * i;
    }
    const bool good = rest->len >= n;
    *rest = str_from(*rest, n);
    return good;
}

static bool take_field(struct str *rest, struct field *f) {
    uint64_t tag = 0;
    *f = (struct field){.bytes = STR("")};
    if (!take_varint(rest, &tag)) {
        return false;
    }
    f->number = tag / 8;
    f->wire = tag % 8;
    if (f->number == 0 || f->number >= 1 << 29) {
        return false;
    }
    switch (f->wire) {
    case VARINT:
        return take_varint(rest, &f->value);
    case FIXED64:
        return take_fixed(rest, 8, &f->value);
    case FIXED32:
        return take_fixed(rest, 4, &f->value);
    case BYTES:
        if (!take_varint(rest, &f->value) || f->value > rest->len) {
            return false;
        }
        f->bytes = str_sub(*rest, 0, (size_t)f->value);
        *rest = str_from(*rest, (size_t)f->value);
        return true;
    default:
        return false;
    }
}

static struct message read_message(struct str bytes) {
    struct message m = {.fields = malloc((bytes.len + 1) * sizeof(struct field))};
    while (bytes.len > 0 && !m.bad) {
        m.bad = !take_field(&bytes, &m.fields[m.count]);
        m.count += !m.bad;
    }
    return m;
}

/* The last field of the number; NULL if there is none. One of another wire type is bad. */
static const struct field *get(struct message *m, unsigned number, unsigned wire) {
    const struct field *found = NULL;
    for (size_t i = 0; i < m->count; i++) {
        if (m->fields[i].number == number) {
            found = &m->fields[i];
            m->bad = m->bad || found->wire != wire;
        }
    }
    return found;
}

static uint64_t get_uint(struct message *m, unsigned number) {
    const struct field *const f = get(m, number, VARINT);
    return f != NULL ? f->value : 0;
}

static double get_double(struct message *m, unsigned number) {
    const struct field *const f = get(m, number, FIXED64);
    return f != NULL ? f64_of_bits(f->value) : 0;
}

static struct str get_bytes(struct message *m, unsigned number) {
    const struct field *const f = get(m, number, BYTES);
    return f != NULL ? f->bytes : STR("");
}

/* A google.protobuf.Timestamp. Every one of the number must be good. */
static int64_t get_time(struct message *m, unsigned number) {
    int64_t ms = 0;
    (void)get(m, number, BYTES);
    for (size_t i = 0; i < m->count && !m->bad; i++) {
        if (m->fields[i].number == number) {
            struct message time = read_message(m->fields[i].bytes);
            const uint64_t seconds = get_uint(&time, 1);
            const int32_t nanos = (int32_t)(uint32_t)get_uint(&time, 2);
            ms = (int64_t)(seconds * 1000 + (uint64_t)(int64_t)(nanos / 1000000));
            m->bad = time.bad;
            free(time.fields);
        }
    }
    return ms;
}

/* ---- the page ---- */

enum { COUNTER, GAUGE, SUMMARY, UNTYPED, HISTOGRAM, GAUGE_HISTOGRAM, KIND_COUNT };

struct metric {
    struct buf *to;
    struct str name;
    uint32_t kind;
    struct message fields;
    int64_t ts_ms, start_ts_ms;
};

/* False when a label is no good. */
static bool put_sample(const struct metric *m, const char *suffix, const char *bound_name,
                       double bound, double value) {
    struct label *const labels = malloc((m->fields.count + 2) * sizeof(*labels));
    struct buf name;
    char text[NUMBER_TEXT_MAX];
    size_t n = 0;
    bool good = true;
    buf_init(&name, 1 << 24);
    buf_append_str(&name, m->name);
    buf_append_cstr(&name, suffix);
    labels[n++] = (struct label){STR("__name__"), buf_str(&name)};
    for (size_t i = 0; i < m->fields.count && good; i++) {
        if (m->fields.fields[i].number == 1) {
            struct message pair = read_message(m->fields.fields[i].bytes);
            labels[n] = (struct label){get_bytes(&pair, 1), get_bytes(&pair, 2)};
            good = !pair.bad && labels[n].name.len > 0 && utf8_valid(labels[n].name) &&
                   utf8_valid(labels[n].value);
            n++;
            free(pair.fields);
        }
    }
    if (bound_name != NULL) {
        const size_t len = number_format_openmetrics(bound, text);
        labels[n++] = (struct label){str_of(bound_name), {text, len}};
    }
    if (good) {
        slow_proto_sample(m->to, value, m->ts_ms, m->start_ts_ms, labels, n);
    }
    buf_release(&name);
    free(labels);
    return good;
}

static bool read_quantiles(const struct metric *m, const struct message *value) {
    for (size_t i = 0; i < value->count; i++) {
        if (value->fields[i].number != 3) {
            continue;
        }
        struct message quantile = read_message(value->fields[i].bytes);
        const double rank = get_double(&quantile, 1);
        const double v = get_double(&quantile, 2);
        const bool bad = value->fields[i].wire != BYTES || quantile.bad;
        free(quantile.fields);
        if (bad || !put_sample(m, "", "quantile", rank, v)) {
            return false;
        }
    }
    return true;
}

/* Up to the one of +Inf, which is made if it is missing. */
static bool read_buckets(const struct metric *m, const struct message *value, double count) {
    for (size_t i = 0; i < value->count; i++) {
        if (value->fields[i].number != 3) {
            continue;
        }
        struct message bucket = read_message(value->fields[i].bytes);
        const double floats = get_double(&bucket, 4);
        const double v = floats != 0 ? floats : (double)get_uint(&bucket, 1);
        const double upper = get_double(&bucket, 2);
        (void)get_bytes(&bucket, 3);
        const bool bad = bucket.bad;
        free(bucket.fields);
        if (bad || !put_sample(m, "_bucket", "le", upper, v)) {
            return false;
        }
        if (upper == INFINITY) {
            return true;
        }
    }
    return put_sample(m, "_bucket", "le", INFINITY, count);
}

static bool read_summary(struct metric *m, struct message *value) {
    const double count = (double)get_uint(value, 1);
    const double sum = get_double(value, 2);
    m->start_ts_ms = get_time(value, 4);
    return !value->bad && put_sample(m, "_count", NULL, 0, count) &&
           put_sample(m, "_sum", NULL, 0, sum) && read_quantiles(m, value);
}

static bool read_histogram(struct metric *m, struct message *value) {
    static const unsigned messages[] = {3, 9, 12, 16};
    static const unsigned doubles[] = {6, 8};
    static const unsigned integers[] = {5, 7};
    const double floats = get_double(value, 4);
    const double count = floats != 0 ? floats : (double)get_uint(value, 1);
    const double sum = get_double(value, 2);
    (void)get_uint(value, 1);
    m->start_ts_ms = get_time(value, 15);
    for (size_t i = 0; i < 4; i++) {
        (void)get_bytes(value, messages[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        (void)get_double(value, doubles[i]);
        (void)get_uint(value, integers[i]);
    }
    return !value->bad && put_sample(m, "_count", NULL, 0, count) &&
           put_sample(m, "_sum", NULL, 0, sum) && read_buckets(m, value, count);
}

static bool read_number(struct metric *m, struct message *value) {
    const double v = get_double(value, 1);
    if (m->kind == COUNTER) {
        (void)get_bytes(value, 2);
        m->start_ts_ms = get_time(value, 3);
    }
    return !value->bad && put_sample(m, "", NULL, 0, v);
}

static bool read_metric(struct buf *to, struct str name, uint32_t kind, struct str bytes) {
    static const unsigned value_fields[KIND_COUNT] = {3, 2, 4, 5, 7, 7};
    struct metric m = {.to = to, .name = name, .kind = kind, .fields = read_message(bytes)};
    (void)get_bytes(&m.fields, 1);
    m.ts_ms = (int64_t)get_uint(&m.fields, 6);
    struct message value = read_message(get_bytes(&m.fields, value_fields[kind]));
    bool good = !m.fields.bad;
    if (good && kind == SUMMARY) {
        good = read_summary(&m, &value);
    } else if (good && kind >= HISTOGRAM) {
        good = read_histogram(&m, &value);
    } else if (good) {
        good = read_number(&m, &value);
    }
    free(value.fields);
    free(m.fields.fields);
    return good;
}

static bool read_family(struct str bytes, struct buf *to) {
    struct message family = read_message(bytes);
    const struct str name = get_bytes(&family, 1);
    const struct str help = get_bytes(&family, 2);
    const struct str unit = get_bytes(&family, 5);
    const struct field *const type = get(&family, 3, VARINT);
    const uint32_t kind = type != NULL ? (uint32_t)type->value : COUNTER;
    const bool empty = get(&family, 4, BYTES) == NULL;
    bool good = !family.bad;
    if (good && !empty) {
        good = name.len > 0 && utf8_valid(name) && utf8_valid(help) && kind < KIND_COUNT;
    }
    if (good && !empty) {
        slow_proto_family(to, name, help, unit, kind);
    }
    for (size_t i = 0; i < family.count && good; i++) {
        if (family.fields[i].number == 4) {
            good = read_metric(to, name, kind, family.fields[i].bytes);
        }
    }
    free(family.fields);
    return good;
}

void slow_proto_read(struct str page, struct buf *to) {
    bool good = true;
    while (page.len > 0 && good) {
        const size_t before = page.len;
        uint64_t length = 0;
        good = take_varint(&page, &length) && before - page.len <= 5 && length <= page.len;
        if (good) {
            good = read_family(str_sub(page, 0, (size_t)length), to);
            page = str_from(page, (size_t)length);
        }
    }
    buf_append_cstr(to, good ? "end\n" : "bad\n");
}
