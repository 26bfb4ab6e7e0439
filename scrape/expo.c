#include "scrape/expo.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/number.h"
#include "base/utf8.h"
#include "scrape/expo_lex.h"
#include "scrape/expo_openmetrics.h"
#include "scrape/expo_text.h"

static const char *const type_names[] = {
    [EXPO_UNKNOWN] = "unknown", [EXPO_COUNTER] = "counter",
    [EXPO_GAUGE] = "gauge",     [EXPO_HISTOGRAM] = "histogram",
    [EXPO_SUMMARY] = "summary", [EXPO_GAUGEHISTOGRAM] = "gaugehistogram",
    [EXPO_INFO] = "info",       [EXPO_STATESET] = "stateset",
};

const char *expo_type_name(enum expo_type type) {
    return type_names[type];
}

void expo_init(struct expo_parser *p, enum expo_format format, struct str body) {
    p->format = format;
    p->body = body;
    p->unit = STR("");
    p->meta_labels = false;
    expo_seek(p, 0, EXPO_UNKNOWN);
}

void expo_seek(struct expo_parser *p, size_t offset, enum expo_type type) {
    ASSERT(offset <= lex_end(p));
    p->at = offset;
    p->token_at = offset;
    p->line_at = offset;
    p->state = IN_LINE_START;
    p->type = type;
    p->label_count = 0;
    p->has_name = false;
    p->exemplar.present = false;
}

static enum err_code next(struct expo_parser *p, struct expo_entry *out, struct err *err) {
    switch (p->format) {
    case EXPO_FORMAT_TEXT:
        return expo_text_next(p, out, err);
    case EXPO_FORMAT_OPENMETRICS:
    case EXPO_FORMAT_PROTOBUF:
        return expo_openmetrics_next(p, out, err);
    }
    UNREACHABLE("a page of no format");
}

enum err_code expo_next(struct expo_parser *p, struct expo_entry *out, struct err *err) {
    const enum err_code code = next(p, out, err);
    if (code == ERR_OK && p->at - p->line_at > EXPO_LINE_MAX) {
        return err_set(err, ERR_LIMIT, "line of %zu bytes exceeds the limit of %d bytes",
                       p->at - p->line_at, EXPO_LINE_MAX);
    }
    return code;
}

int64_t expo_seconds_to_ms(double seconds) {
    const double ms = seconds * 1000;
    const double limit = 9223372036854775808.0; /* 2^63 */
    return ms >= -limit && ms < limit ? (int64_t)ms : INT64_MIN;
}

/* ---- labels ---- */

/* \\, \" (with quotes) and \n; every other backslash stays. */
static struct str unescape(struct arena *arena, struct str s, bool quotes) {
    if (s.len == 0 || memchr(s.ptr, '\\', s.len) == NULL) {
        return s;
    }
    char *const to = arena_alloc(arena, s.len);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        const char next = i + 1 < s.len ? s.ptr[i + 1] : '\0';
        if (c == '\\' && (next == '\\' || next == 'n' || (quotes && next == '"'))) {
            c = next == 'n' ? '\n' : next;
            i++;
        }
        to[n++] = c;
    }
    return (struct str){to, n};
}

struct str expo_help_unescape(struct arena *arena, enum expo_format format, struct str text) {
    return unescape(arena, text, format != EXPO_FORMAT_TEXT);
}

/* Bucket bounds and quantiles are written one way, so that 1 and 1.0 are one series. */
static struct str normalise(const struct expo_parser *p, struct arena *arena, struct label label) {
    const bool wanted = (p->type == EXPO_SUMMARY && str_eq(label.name, STR("quantile"))) ||
                        (p->type == EXPO_HISTOGRAM && str_eq(label.name, STR("le")));
    double v = 0;
    if (!wanted || number_parse_double(label.value, &v) != NUMBER_OK) {
        return label.value;
    }
    char text[NUMBER_TEXT_MAX];
    const size_t n = number_format_openmetrics(v, text);
    return arena_str(arena, (struct str){text, n});
}

static int by_name(const void *a, const void *b) {
    const struct label *const x = a;
    const struct label *const y = b;
    return str_cmp(x->name, y->name);
}

/* Most series expose a handful of labels in order already. */
void expo_sort_labels(struct label *labels, size_t n) {
    for (size_t i = 1; i < n && n <= 16; i++) {
        const struct label label = labels[i];
        size_t at = i;
        for (; at > 0 && str_cmp(labels[at - 1].name, label.name) > 0; at--) {
            labels[at] = labels[at - 1];
        }
        labels[at] = label;
    }
    if (n > 16) {
        qsort(labels, n, sizeof(labels[0]), by_name);
    }
}

struct expo_meta_labels expo_meta_labels(enum expo_type type, struct str unit) {
    struct expo_meta_labels meta = {.count = 0};
    if (type != EXPO_UNKNOWN) {
        meta.items[meta.count++] = (struct label){STR("__type__"), str_of(type_names[type])};
    }
    if (unit.len > 0) {
        meta.items[meta.count++] = (struct label){STR("__unit__"), unit};
    }
    return meta;
}

bool expo_meta_overrides(const struct expo_meta_labels *meta, struct str name) {
    for (size_t i = 0; i < meta->count; i++) {
        if (str_eq(meta->items[i].name, name)) {
            return true;
        }
    }
    return str_eq(name, LABEL_NAME);
}

struct label *expo_labels(const struct expo_parser *p, struct arena *arena, size_t *out_count) {
    ASSERT(p->has_name);
    struct label *const labels = arena_alloc(arena, (p->label_count + 3) * sizeof(labels[0]));
    struct expo_meta_labels meta = {.count = 0};
    size_t n = 0;
    labels[n++] = (struct label){LABEL_NAME, unescape(arena, p->name, true)};
    if (p->meta_labels) {
        meta = expo_meta_labels(p->type, p->unit);
    }
    for (size_t i = 0; i < meta.count; i++) {
        labels[n++] = meta.items[i];
    }
    for (size_t i = 0; i < p->label_count; i++) {
        struct label label = {.name = unescape(arena, p->labels[i].name, true)};
        if (p->meta_labels && expo_meta_overrides(&meta, label.name)) {
            continue;
        }
        label.value = unescape(arena, p->labels[i].value, true);
        label.value = normalise(p, arena, label);
        labels[n++] = label;
    }
    expo_sort_labels(labels, n);
    *out_count = n;
    return labels;
}

bool expo_exemplar_labels(const struct expo_label *raw, size_t n, struct arena *arena,
                          struct labels *out) {
    struct labels_builder b;
    labels_builder_init(&b, arena);
    for (size_t i = 0; i < n; i++) {
        if (!utf8_valid(raw[i].name) || raw[i].name.len == 0) {
            return false;
        }
        labels_builder_set(&b, raw[i].name, raw[i].value);
    }
    return labels_builder_finish(&b, out, NULL) == ERR_OK;
}
