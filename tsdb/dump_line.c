#include "tsdb/dump_line.h"

#include "base/histogram_text.h"
#include "base/json_out.h"
#include "base/number.h"

static void put_quoted(struct buf *to, struct str s) {
    buf_append_char(to, '"');
    for (size_t i = 0; i < s.len; i++) {
        const char c = s.ptr[i];
        if (c == '\n') {
            buf_append_cstr(to, "\\n");
            continue;
        }
        if (c == '"' || c == '\\') {
            buf_append_char(to, '\\');
        }
        buf_append_char(to, c);
    }
    buf_append_char(to, '"');
}

/* name{a="b",c="d"}, with braces in any case; a name that needs quotes stands inside them. */
static void openmetrics_labels(struct buf *to, struct labels labels) {
    const struct str name = labels_get(labels, LABEL_NAME);
    const bool plain = metric_name_legacy(name);
    struct labels_iter it = labels_begin(labels);
    struct label pair;
    bool comma = false;
    if (plain) {
        buf_append_str(to, name);
    }
    buf_append_char(to, '{');
    if (!plain && name.len != 0) {
        put_quoted(to, name);
        comma = true;
    }
    while (labels_next(&it, &pair)) {
        if (str_eq(pair.name, LABEL_NAME)) {
            continue;
        }
        buf_append_cstr(to, comma ? "," : "");
        comma = true;
        if (label_name_legacy(pair.name)) {
            buf_append_str(to, pair.name);
        } else {
            put_quoted(to, pair.name);
        }
        buf_append_char(to, '=');
        put_quoted(to, pair.value);
    }
    buf_append_char(to, '}');
}

/* With < > & escaped, as Go's encoder does. */
static void series_json(struct buf *to, struct labels labels) {
    struct json_out j;
    struct labels_iter it = labels_begin(labels);
    struct label pair;
    json_out_init(&j, to);
    json_object_begin(&j);
    while (labels_next(&it, &pair)) {
        json_key_str(&j, pair.name);
        json_str(&j, pair.value);
    }
    json_object_end(&j);
    buf_append_char(to, '\n');
}

void dump_line_labels(struct buf *to, struct labels labels, enum prom_dump_format format) {
    switch (format) {
    case PROM_DUMP_LINES:
        labels_format(to, labels);
        break;
    case PROM_DUMP_OPENMETRICS:
        openmetrics_labels(to, labels);
        break;
    case PROM_DUMP_SERIES_JSON:
        series_json(to, labels);
        break;
    }
}

/* "%.3f" of the seconds. */
static void put_seconds(struct buf *to, int64_t ts_ms) {
    enum { MS_PER_S = 1000 };
    const uint64_t ms = ts_ms < 0 ? 0 - (uint64_t)ts_ms : (uint64_t)ts_ms;
    buf_append_cstr(to, ts_ms < 0 ? "-" : "");
    buf_append_u64(to, ms / MS_PER_S);
    buf_printf(to, ".%03u", (unsigned)(ms % MS_PER_S));
}

void dump_line_append(struct buf *to, struct str labels, const struct histogram *histogram,
                      double value, int64_t ts_ms, enum prom_dump_format format) {
    buf_append_str(to, labels);
    buf_append_char(to, ' ');
    if (histogram != NULL) {
        histogram_format(to, histogram);
    } else {
        buf_append_number_g(to, value);
    }
    buf_append_char(to, ' ');
    if (format == PROM_DUMP_OPENMETRICS) {
        put_seconds(to, ts_ms);
    } else {
        buf_append_i64(to, ts_ms);
    }
    buf_append_char(to, '\n');
}
