/* Labels of a sample and metadata of a family in a page in protobuf. */
#include "base/number.h"
#include "base/utf8.h"
#include "scrape/expo_proto.h"
#include "scrape/expo_proto_native.h"

enum { METRIC_LABEL = 1 };
enum { LABEL_PAIR_NAME = 1, LABEL_PAIR_VALUE = 2 };

/* ---- labels ---- */

/* The name of the sample's series: the family's, with the suffix of the part. */
static struct str sample_name(const struct expo_proto *p, struct arena *arena) {
    const char *suffix = "";
    if (p->given == PART_COUNT) {
        suffix = "_count";
    } else if (p->given == PART_SUM) {
        suffix = "_sum";
    } else if (p->given == PART_BOUNDS && proto_is_histogram(p)) {
        suffix = "_bucket";
    }
    return suffix[0] == '\0' ? p->name : arena_printf(arena, "%.*s%s", STR_ARG(p->name), suffix);
}

static enum err_code read_label(struct str bytes, struct label *out, struct err *err) {
    enum { SHOWN_MAX = 200 };
    struct proto pair = proto_of(bytes);
    struct proto_field f;
    *out = (struct label){STR(""), STR("")};
    while (proto_next(&pair, &f)) {
        if ((f.number == LABEL_PAIR_NAME || f.number == LABEL_PAIR_VALUE) &&
            proto_want(&pair, &f, PROTO_BYTES)) {
            *(f.number == LABEL_PAIR_NAME ? &out->name : &out->value) = f.bytes;
        }
    }
    if (!proto_ok(&pair)) {
        return err_set(err, ERR_INVALID, "%s", pair.error);
    }
    if (out->name.len == 0 || !utf8_valid(out->name)) {
        return err_set(err, ERR_INVALID, "invalid label name: %.*s",
                       STR_ARG(str_sub(out->name, 0, SHOWN_MAX)));
    }
    if (!utf8_valid(out->value)) {
        return err_set(err, ERR_INVALID, "invalid label value: %.*s",
                       STR_ARG(str_sub(out->value, 0, SHOWN_MAX)));
    }
    return ERR_OK;
}

static struct label bound_label(const struct expo_proto *p, struct arena *arena) {
    char text[NUMBER_TEXT_MAX];
    const size_t n = number_format_openmetrics(p->bound, text);
    return (struct label){proto_is_histogram(p) ? STR("le") : STR("quantile"),
                          arena_str(arena, (struct str){text, n})};
}

enum err_code expo_proto_labels(const struct expo_proto *p, struct arena *arena,
                                const struct label **out, size_t *out_count, struct err *err) {
    struct proto metric = proto_of(p->metric);
    struct proto_field f;
    size_t count = 0;
    while (proto_next(&metric, &f)) {
        count += f.number == METRIC_LABEL;
    }
    if (count > EXPO_LABELS_MAX) {
        return err_set(err, ERR_LIMIT, "series has more than %d labels", EXPO_LABELS_MAX);
    }
    struct label *const labels = arena_alloc(arena, (count + 4) * sizeof(labels[0]));
    struct expo_meta_labels meta = {.count = 0};
    size_t n = 0;
    labels[n++] = (struct label){LABEL_NAME, sample_name(p, arena)};
    if (p->meta_labels) {
        meta = expo_meta_labels(expo_proto_type(p), p->unit);
    }
    for (size_t i = 0; i < meta.count; i++) {
        labels[n++] = meta.items[i];
    }
    metric = proto_of(p->metric);
    while (proto_next(&metric, &f)) {
        if (f.number == METRIC_LABEL) {
            const enum err_code code = read_label(f.bytes, &labels[n], err);
            if (code != ERR_OK) {
                return code;
            }
            n += !p->meta_labels || !expo_meta_overrides(&meta, labels[n].name);
        }
    }
    if (p->given == PART_BOUNDS) {
        labels[n++] = bound_label(p, arena);
    }
    expo_sort_labels(labels, n);
    *out = labels;
    *out_count = n;
    return ERR_OK;
}

/* ---- metadata ---- */

/* text with escapes for what would end it. */
static void append_escaped(struct buf *to, struct str text, bool quotes) {
    size_t from = 0;
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c == '\\' || c == '\n' || (quotes && c == '"')) {
            buf_append_str(to, str_sub(text, from, i - from));
            buf_append_char(to, '\\');
            buf_append_char(to, (char)(c == '\n' ? 'n' : c));
            from = i + 1;
        }
    }
    buf_append_str(to, str_from(text, from));
}

static void append_line(const struct expo_proto *p, struct buf *to, const char *word, bool bare,
                        struct str text) {
    buf_append_cstr(to, word);
    if (bare) {
        buf_append_str(to, p->name);
    } else {
        buf_append_char(to, '"');
        append_escaped(to, p->name, true);
        buf_append_char(to, '"');
    }
    buf_append_char(to, ' ');
    append_escaped(to, text, false);
    buf_append_char(to, '\n');
}

enum expo_type expo_proto_type(const struct expo_proto *p) {
    static const enum expo_type types[KIND_COUNT] = {
        [KIND_COUNTER] = EXPO_COUNTER,     [KIND_GAUGE] = EXPO_GAUGE,
        [KIND_SUMMARY] = EXPO_SUMMARY,     [KIND_UNTYPED] = EXPO_UNKNOWN,
        [KIND_HISTOGRAM] = EXPO_HISTOGRAM, [KIND_GAUGE_HISTOGRAM] = EXPO_GAUGEHISTOGRAM,
    };
    return types[p->kind];
}

void expo_proto_comment(const struct expo_proto *p, struct buf *to) {
    const bool bare = metric_name_legacy(p->name);
    append_line(p, to, "# HELP ", bare, p->help);
    if (p->unit.len > 0) {
        append_line(p, to, "# UNIT ", bare, p->unit);
    }
    append_line(p, to, "# TYPE ", bare, str_of(expo_type_name(expo_proto_type(p))));
}
