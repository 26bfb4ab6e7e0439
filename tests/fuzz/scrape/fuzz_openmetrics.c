/* Any bytes as an OpenMetrics page: no crash, progress at every entry, slices inside the page, and
 * the value of every accepted sample is the double of its text, bit for bit. And: the bytes as a
 * recipe for samples, which are written in both text formats and must read back alike. And a slow
 * reader of the grammar finds the same entries up to the same end or error. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/number.h"
#include "expo_om_slow.h"
#include "scrape/expo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- any bytes ---- */

static void check_inside(struct str body, struct str s) {
    ASSERT(s.len == 0 || (s.ptr >= body.ptr && s.ptr + s.len <= body.ptr + body.len));
}

/* The value as it stands behind the series and one space. */
static void check_value(struct str body, const struct expo_entry *entry) {
    struct str rest = str_from(body, (size_t)(entry->series.ptr + entry->series.len - body.ptr));
    ASSERT(rest.len > 1 && rest.ptr[0] == ' ');
    rest = str_from(rest, 1);
    size_t n = 0;
    while (n < rest.len && rest.ptr[n] != ' ' && rest.ptr[n] != '\n') {
        n++;
    }
    double want = 0;
    const enum number_result result = number_parse_double(str_sub(rest, 0, n), &want);
    ASSERT(result == NUMBER_OK);
    if (want != want) { /* NaN */
        want = f64_of_bits(NORMAL_NAN_BITS);
    }
    ASSERT(f64_same_bits(num_double(entry->value), want));
}

static void check_labels(const struct expo_parser *p) {
    struct arena arena;
    size_t n = 0;
    arena_init(&arena, 0);
    const struct label *const labels = expo_labels(p, &arena, &n);
    ASSERT(n == p->label_count + 1);
    for (size_t i = 0; i < n; i++) {
        ASSERT(i == 0 || str_cmp(labels[i - 1].name, labels[i].name) <= 0);
    }
    arena_release(&arena);
}

static void read_any(struct expo_parser *p, const uint8_t *data, size_t size) {
    char *const page = malloc(size + (size == 0)); /* of exact size */
    memcpy(page, data, size);
    const struct str body = {page, size};
    struct expo_entry entry;
    struct err err;
    size_t last = 0;
    expo_init(p, EXPO_FORMAT_OPENMETRICS, body);
    while (expo_next(p, &entry, &err) == ERR_OK && entry.kind != EXPO_END) {
        ASSERT(p->at > last && p->at <= size);
        last = p->at;
        check_inside(body, entry.series);
        check_inside(body, entry.family);
        check_inside(body, entry.text);
        if (entry.kind == EXPO_SAMPLE) {
            check_value(body, &entry);
            check_labels(p);
        }
    }
    free(page);
}

/* ---- the slow reader ---- */

static bool same_labels(const struct expo_label *a, const struct om_slow_label *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!str_eq(a[i].name, b[i].name) || !str_eq(a[i].value, b[i].value)) {
            return false;
        }
    }
    return true;
}

static bool same_number(double a, double b) {
    return a != a ? b != b : f64_same_bits(a, b);
}

static void check_same_exemplar(const struct expo_exemplar *a, const struct om_slow *b) {
    const size_t most = EXPO_EXEMPLAR_LABELS_MAX;
    ASSERT(a->present == b->has_exemplar);
    if (!a->present) {
        return;
    }
    ASSERT(same_number(a->value, b->exemplar_value));
    ASSERT(a->ts_ms == (b->exemplar_has_timestamp ? b->exemplar_ms : EXPO_NO_TIME));
    ASSERT(a->label_count == (b->exemplar_label_count < most ? b->exemplar_label_count : most));
    ASSERT(same_labels(a->labels, b->exemplar_labels, a->label_count));
}

static void check_same_entry(const struct expo_parser *p, const struct expo_entry *a,
                             const struct om_slow *b) {
    ASSERT(str_eq(a->series, b->series) && str_eq(a->family, b->family) &&
           str_eq(a->text, b->text));
    if (a->kind != EXPO_SAMPLE) {
        return;
    }
    ASSERT(str_eq(p->name, b->name) && p->label_count == b->label_count);
    ASSERT(same_labels(p->labels, b->labels, p->label_count));
    ASSERT(same_number(num_double(a->value), b->value));
    ASSERT(a->has_timestamp == b->has_timestamp);
    ASSERT(!a->has_timestamp || a->timestamp_ms == b->timestamp_ms);
    check_same_exemplar(&p->exemplar, b);
}

static enum om_slow_result kind_of(enum expo_kind kind) {
    switch (kind) {
    case EXPO_SAMPLE:
        return OM_SLOW_SAMPLE;
    case EXPO_HELP:
        return OM_SLOW_HELP;
    case EXPO_TYPE:
        return OM_SLOW_TYPE;
    case EXPO_UNIT:
        return OM_SLOW_UNIT;
    case EXPO_END:
        return OM_SLOW_END;
    case EXPO_COMMENT:
        break;
    }
    return OM_SLOW_BAD;
}

static void compare_with_slow(struct expo_parser *p, const uint8_t *data, size_t size) {
    enum { COMPARED_MAX = 4096 };
    if (size > COMPARED_MAX || memchr(data, '\0', size) != NULL) {
        return;
    }
    struct om_slow *const slow = malloc(sizeof(*slow));
    char *const text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    enum om_slow_result want = OM_SLOW_SAMPLE;
    struct expo_entry entry;
    struct err err;
    expo_init(p, EXPO_FORMAT_OPENMETRICS, (struct str){text, size});
    om_slow_init(slow, text);
    do {
        want = om_slow_next(slow);
        const enum err_code code = expo_next(p, &entry, &err);
        const enum om_slow_result got = code == ERR_OK ? kind_of(entry.kind) : OM_SLOW_BAD;
        ASSERT(got == want);
        if (got != OM_SLOW_BAD) {
            check_same_entry(p, &entry, slow);
        }
    } while (want != OM_SLOW_END && want != OM_SLOW_BAD);
    free(text);
    free(slow);
}

/* ---- both formats ---- */

struct recipe {
    const uint8_t *at, *end;
};

static unsigned take(struct recipe *r, unsigned below) {
    return r->at < r->end ? *r->at++ % below : 0;
}

static void write_quoted(struct recipe *r, struct buf *to) {
    static const char *const parts[] = {"a",        "1", "0.5", "\\\"", "\\\\", "\\n", "\\t",
                                        "\xc3\xa9", "{", "}",   ",",    "#",    " ",   "+Inf"};
    buf_append_char(to, '"');
    for (unsigned n = take(r, 6); n > 0; n--) {
        buf_append_cstr(to, parts[take(r, COUNT_OF(parts))]);
    }
    buf_append_char(to, '"');
}

/* Name, labels and value in the way that both formats allow. */
static void write_series(struct recipe *r, struct buf *to) {
    static const char *const names[] = {"a", "a_total", "a_bucket", "a_created", "x:y"};
    static const char *const labels[] = {"le", "quantile", "b", "\"q.d\""};
    static const char *const values[] = {"0",    "1",   "-1.5",     "1e-7", "NaN",
                                         "+Inf", "17.", "4.9e-324", "0.1",  "12345678901234567890"};
    buf_append_cstr(to, names[take(r, COUNT_OF(names))]);
    buf_append_char(to, '{');
    for (unsigned n = take(r, 4); n > 0; n--) {
        buf_printf(to, "%s=", labels[take(r, COUNT_OF(labels))]);
        write_quoted(r, to);
        if (n > 1) {
            buf_append_char(to, ',');
        }
    }
    buf_printf(to, "} %s", values[take(r, COUNT_OF(values))]);
}

/* One entry to both pages. Eighths of a second are exact in either format. */
static void write_entry(struct recipe *r, struct buf *text, struct buf *openmetrics) {
    static const char *const types[] = {"counter", "gauge", "histogram", "summary"};
    struct buf line;
    buf_init(&line, 1 << 12);
    const unsigned kind = take(r, 4);
    if (kind == 0) {
        buf_printf(&line, "# TYPE a %s\n", types[take(r, COUNT_OF(types))]);
    } else if (kind == 1) {
        buf_append_cstr(&line, "# HELP a some \\\\ help\\n\n");
    } else {
        write_series(r, &line);
    }
    buf_append_str(text, buf_str(&line));
    buf_append_str(openmetrics, buf_str(&line));
    if (kind == 2) {
        const unsigned eighths = take(r, 256) * 1000 + take(r, 256);
        buf_printf(text, " %u\n", eighths * 125);
        buf_printf(openmetrics, " %u.%03u", eighths / 8, eighths % 8 * 125);
    } else if (kind == 3) {
        buf_append_char(text, '\n');
    }
    if (kind >= 2) {
        buf_append_cstr(openmetrics, take(r, 2) != 0 ? " # {id=\"x\"} 1 2.5\n" : "\n");
    }
    buf_release(&line);
}

static void next_entry(struct expo_parser *p, struct expo_entry *out) {
    struct err err;
    const enum err_code code = expo_next(p, out, &err);
    ASSERT(code == ERR_OK);
}

static void check_same_labels(const struct expo_parser *a, const struct expo_parser *b) {
    struct arena arena;
    size_t na = 0;
    size_t nb = 0;
    arena_init(&arena, 0);
    const struct label *const x = expo_labels(a, &arena, &na);
    const struct label *const y = expo_labels(b, &arena, &nb);
    ASSERT(na == nb);
    for (size_t i = 0; i < na; i++) {
        ASSERT(str_eq(x[i].name, y[i].name) && str_eq(x[i].value, y[i].value));
    }
    arena_release(&arena);
}

static void check_same(struct expo_parser *a, struct expo_parser *b) {
    for (;;) {
        struct expo_entry x;
        struct expo_entry y;
        next_entry(a, &x);
        next_entry(b, &y);
        ASSERT(x.kind == y.kind);
        if (x.kind == EXPO_END) {
            return;
        }
        ASSERT(a->type == b->type);
        ASSERT(str_eq(x.series, y.series) && str_eq(x.family, y.family) && str_eq(x.text, y.text));
        if (x.kind == EXPO_SAMPLE) {
            ASSERT(f64_same_bits(num_double(x.value), num_double(y.value)));
            ASSERT(x.has_timestamp == y.has_timestamp && x.timestamp_ms == y.timestamp_ms);
            check_same_labels(a, b);
        }
    }
}

static void write_and_compare(struct expo_parser *p, const uint8_t *data, size_t size) {
    struct recipe recipe = {data, data + size};
    struct buf text;
    struct buf openmetrics;
    buf_init(&text, 1 << 20);
    buf_init(&openmetrics, 1 << 20);
    while (recipe.at < recipe.end && text.len < 1 << 15) {
        write_entry(&recipe, &text, &openmetrics);
    }
    buf_append_cstr(&openmetrics, "# EOF\n");
    struct expo_parser *const other = malloc(sizeof(*other));
    expo_init(p, EXPO_FORMAT_TEXT, buf_str(&text));
    expo_init(other, EXPO_FORMAT_OPENMETRICS, buf_str(&openmetrics));
    check_same(p, other);
    free(other);
    buf_release(&openmetrics);
    buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct expo_parser *const p = malloc(sizeof(*p));
    read_any(p, data, size);
    compare_with_slow(p, data, size);
    write_and_compare(p, data, size);
    free(p);
    return 0;
}
