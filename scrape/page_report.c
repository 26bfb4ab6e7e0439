#include "scrape/page_report.h"

#include <string.h>

#include "base/check.h"
#include "base/compress.h"
#include "base/mem.h"
#include "scrape/content_type.h"
#include "scrape/expo.h"
#include "scrape/expo_proto.h"
#include "scrape/sample_labels.h"
#include "scrape/target.h"

enum { ACCEPT_BYTES_MAX = 64 * 1024, COMMENT_BYTES_MAX = 1024 * 1024 };

struct reading {
    const struct scrape_config *config;
    struct labels target;
    struct arena *arena;
    struct arena scratch; /* of one sample */
    struct page_report *report;
    size_t changed_count; /* of report->series, in front */
};

const char *page_type_name(size_t i) {
    ASSERT(i < PAGE_TYPES);
    return i == PAGE_TYPES - 1 ? "untyped" : expo_type_name((enum expo_type)i);
}

/* ---- the target ---- */

enum err_code page_target_discovered(const struct scrape_config *config, struct labels given,
                                     struct arena *arena, struct labels *out, struct err *err) {
    return target_discovered(config, given, arena, out, err);
}

enum err_code page_target_make(const struct scrape_config *config, struct labels discovered,
                               struct arena *arena, struct page_target *out, struct err *err) {
    struct target *target = NULL;
    struct arena scratch;
    arena_init(&scratch, 0);
    bool dropped = false;
    const enum err_code code =
        target_new(config, discovered, (struct labels){NULL, 0}, &scratch, &target, &dropped, err);
    if (code == ERR_OK) {
        *out = (struct page_target){.discovered = labels_copy(arena, target->discovered),
                                    .all = labels_copy(arena, target->all),
                                    .labels = labels_copy(arena, target->labels),
                                    .url = arena_str(arena, target->url),
                                    .dropped = dropped};
        target_unref(target);
    }
    arena_release(&scratch);
    return code;
}

void page_request_lines(const struct scrape_config *config, struct arena *arena,
                        struct str out[2]) {
    struct buf line;
    buf_init(&line, ACCEPT_BYTES_MAX);
    buf_append_cstr(&line, "Accept: ");
    accept_header_append(&line, config, 0);
    out[0] = arena_str(arena, buf_str(&line));
    out[1] = config->enable_compression ? STR("Accept-Encoding: gzip, zstd;q=0.5")
                                        : STR("Accept-Encoding: identity");
    buf_release(&line);
}

enum err_code page_uncompress(struct str encoding, struct str body, size_t max_bytes,
                              struct arena *arena, struct str *out, struct err *err) {
    const bool gzip = str_eq(encoding, STR("gzip"));
    if ((!gzip && !str_eq(encoding, STR("zstd"))) || body.len == 0) {
        *out = body;
        return ERR_OK;
    }
    struct inflater *const inflater = inflater_new();
    struct buf plain;
    buf_init(&plain, max_bytes);
    const enum err_code code = gzip ? inflate_gzip(inflater, body, &plain, err)
                                    : inflate_zstd(inflater, body, &plain, err);
    if (code == ERR_OK) {
        *out = arena_str(arena, buf_str(&plain));
    }
    buf_release(&plain);
    inflater_free(inflater);
    return code;
}

/* ---- series ---- */

/* Puts a series that relabelling changed behind the other such ones, in front of the rest. */
static void keep_series(struct reading *r, const struct page_series *series) {
    struct page_report *const report = r->report;
    if (!series->relabelled && series->error.len == 0) {
        if (report->series_count < PAGE_SERIES_MAX) {
            report->series[report->series_count++] = *series;
        }
        return;
    }
    if (r->changed_count == PAGE_SERIES_MAX) {
        return;
    }
    report->series_count += report->series_count < PAGE_SERIES_MAX;
    const size_t rest = report->series_count - 1 - r->changed_count;
    memmove(&report->series[r->changed_count + 1], &report->series[r->changed_count],
            rest * sizeof(report->series[0]));
    report->series[r->changed_count++] = *series;
}

static struct labels exposed_labels(struct arena *arena, const struct label *labels, size_t n) {
    struct labels_builder b;
    labels_builder_init(&b, arena);
    for (size_t i = 0; i < n; i++) {
        labels_builder_set(&b, labels[i].name, labels[i].value);
    }
    struct labels out = {NULL, 0};
    const enum err_code code = labels_builder_finish(&b, &out, NULL);
    ASSERT(code == ERR_OK); /* a line is shorter than the longest label */
    return out;
}

/* What would be stored without metric_relabel_configs, to see what they did. */
static bool is_relabelled(const struct reading *r, const struct label *labels, size_t n,
                          struct labels stored, bool keep, struct arena *arena) {
    struct scrape_config plain = *r->config;
    struct labels without = {NULL, 0};
    bool kept = false;
    struct err ignored;
    if (r->config->metric_relabel.count == 0) {
        return false;
    }
    plain.metric_relabel = (struct relabel_rules){0};
    const enum err_code code =
        sample_labels_make(&plain, r->target, labels, n, arena, &without, &kept, &ignored);
    return code != ERR_OK || kept != keep || !labels_eq(without, stored);
}

static void add_series(struct reading *r, const struct label *labels, size_t n) {
    struct page_report *const report = r->report;
    struct labels stored = {NULL, 0};
    struct err err;
    bool keep = false;
    const enum err_code code =
        sample_labels_make(r->config, r->target, labels, n, &r->scratch, &stored, &keep, &err);
    report->refused += code != ERR_OK;
    report->kept += code == ERR_OK && keep;
    report->dropped += code == ERR_OK && !keep;
    stored = code == ERR_OK && keep ? stored : (struct labels){NULL, 0};
    const bool relabelled =
        code == ERR_OK && is_relabelled(r, labels, n, stored, keep, &r->scratch);
    if (report->series_count == PAGE_SERIES_MAX &&
        (r->changed_count == PAGE_SERIES_MAX || (!relabelled && code == ERR_OK))) {
        return;
    }
    const struct page_series series = {
        .exposed = exposed_labels(r->arena, labels, n),
        .stored = labels_copy(r->arena, stored),
        .error = code != ERR_OK ? arena_str(r->arena, str_of(err.text)) : STR(""),
        .kept = code == ERR_OK && keep,
        .relabelled = relabelled};
    keep_series(r, &series);
}

/* ---- text ---- */

static void add_error(struct reading *r, struct str body, size_t at, const struct err *err) {
    struct page_error *const error = &r->report->errors[r->report->error_count++];
    size_t line = 1;
    size_t begin = 0;
    for (size_t i = 0; i < at && i < body.len; i++) {
        if (body.ptr[i] == '\n') {
            line++;
            begin = i + 1;
        }
    }
    *error = (struct page_error){.line = line,
                                 .column = (at < body.len ? at : body.len) - begin + 1,
                                 .text = arena_str(r->arena, str_of(err->text))};
}

static void add_type(struct reading *r, struct str text) {
    size_t type = PAGE_TYPES - 1;
    for (size_t i = 0; i + 1 < PAGE_TYPES; i++) {
        type = str_eq(text, str_of(page_type_name(i))) ? i : type;
    }
    r->report->types++;
    r->report->by_type[type]++;
}

static void add_text_entry(struct reading *r, const struct expo_parser *p,
                           const struct expo_entry *entry) {
    struct page_report *const report = r->report;
    size_t n = 0;
    const struct label *labels = NULL;
    switch (entry->kind) {
    case EXPO_SAMPLE:
        report->samples++;
        report->timestamps += entry->has_timestamp;
        report->exemplars += p->exemplar.present;
        labels = expo_labels(p, &r->scratch, &n);
        add_series(r, labels, n);
        arena_reset(&r->scratch);
        return;
    case EXPO_HELP:
        report->helps++;
        return;
    case EXPO_TYPE:
        add_type(r, entry->text);
        return;
    case EXPO_UNIT:
        report->units++;
        return;
    case EXPO_COMMENT:
        report->comments++;
        return;
    case EXPO_END:
        return;
    }
}

/* Behind a bad line it goes on with the next one. */
static void read_text(struct reading *r, enum expo_format format, struct str body) {
    struct expo_parser *const p = mem_alloc(sizeof(*p));
    struct expo_entry entry = {.kind = EXPO_COMMENT};
    expo_init(p, format, body);
    while (entry.kind != EXPO_END && r->report->error_count < PAGE_ERRORS_MAX) {
        struct err err;
        if (expo_next(p, &entry, &err) == ERR_OK) {
            add_text_entry(r, p, &entry);
            continue;
        }
        const enum expo_type type = p->type;
        const size_t from = p->token_at < body.len ? p->token_at : body.len;
        const ptrdiff_t end = str_find_char(str_from(body, from), '\n');
        add_error(r, body, from, &err);
        if (end < 0 || p->at >= body.len) {
            break;
        }
        expo_init(p, format, body);
        expo_seek(p, from + (size_t)end + 1, type);
        entry.kind = EXPO_COMMENT;
    }
    mem_free(p);
}

/* ---- protobuf ---- */

static void add_proto_entry(struct reading *r, const struct expo_proto *p,
                            const struct expo_entry *entry, struct err *err) {
    struct page_report *const report = r->report;
    const struct label *labels = NULL;
    size_t n = 0;
    report->samples++;
    report->histograms += entry->histogram != NULL;
    report->timestamps += entry->has_timestamp;
    report->exemplars += entry->exemplar_count > 0;
    if (expo_proto_labels(p, &r->scratch, &labels, &n, err) == ERR_OK) {
        add_series(r, labels, n);
    } else {
        report->refused++;
    }
}

static void read_proto(struct reading *r, struct str body) {
    const struct scrape_histograms histograms = {.native = r->config->native_histograms,
                                                 .classic_too =
                                                     r->config->always_classic_histograms,
                                                 .convert = r->config->convert_classic_to_nhcb};
    struct expo_proto p;
    struct expo_entry entry = {.kind = EXPO_COMMENT};
    struct arena arena;
    struct err err;
    arena_init(&arena, 0);
    expo_proto_init(&p, body, histograms, true, false, &arena);
    enum err_code code = ERR_OK;
    while (entry.kind != EXPO_END && code == ERR_OK) {
        code = expo_proto_next(&p, &entry, &err);
        if (code == ERR_OK && entry.kind == EXPO_TYPE) {
            static const enum expo_type kinds[] = {EXPO_COUNTER,   EXPO_GAUGE,
                                                   EXPO_SUMMARY,   EXPO_UNKNOWN,
                                                   EXPO_HISTOGRAM, EXPO_GAUGEHISTOGRAM};
            r->report->types++;
            r->report->by_type[p.kind < COUNT_OF(kinds) ? (size_t)kinds[p.kind] : 0]++;
        } else if (code == ERR_OK && entry.kind == EXPO_SAMPLE) {
            add_proto_entry(r, &p, &entry, &err);
            arena_reset(&r->scratch);
        }
    }
    if (code != ERR_OK) {
        r->report->errors[r->report->error_count++] =
            (struct page_error){.text = arena_str(r->arena, str_of(err.text))};
    }
    expo_proto_release(&p);
    arena_release(&arena);
}

enum err_code page_report_make(const struct scrape_config *config, struct labels target,
                               struct str content_type, struct str body, struct arena *arena,
                               struct page_report *out, struct err *err) {
    static const struct str names[] = {[EXPO_FORMAT_TEXT] = STR_INIT("text"),
                                       [EXPO_FORMAT_OPENMETRICS] = STR_INIT("OpenMetrics"),
                                       [EXPO_FORMAT_PROTOBUF] = STR_INIT("protobuf")};
    enum expo_format format = EXPO_FORMAT_TEXT;
    *out = (struct page_report){.format = STR("")};
    if (body.len == 0) {
        return ERR_OK;
    }
    const enum err_code code =
        content_type_select(content_type, config->fallback_protocol, &format, err);
    if (code != ERR_OK) {
        return code;
    }
    struct reading r = {.config = config, .target = target, .arena = arena, .report = out};
    arena_init(&r.scratch, 0);
    out->format = names[format];
    if (format == EXPO_FORMAT_PROTOBUF) {
        read_proto(&r, body);
    } else {
        read_text(&r, format, body);
    }
    arena_release(&r.scratch);
    return ERR_OK;
}
