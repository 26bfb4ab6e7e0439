/* A page of samples, entry by entry over one body: the text format 0.0.4 and 1.0.0 (expo_text) or
 * OpenMetrics 0.0.1 and 1.0.0 (expo_openmetrics). Pages in protobuf have a reader of their own
 * (expo_proto) that gives the same entries.
 *
 * Owner: whoever ingests a body; one thread at a time. Nothing is copied: every slice points into
 * the body, which must outlive the parser. The grammars, their quirks and their error texts are
 * those of Prometheus, down to the byte (spec/scrape.md 5.1 and 5.2). A parser may be placed at
 * the start of any line (expo_seek), which is how template matching skips the lines it knows. */
#ifndef SCRAPE_EXPO_H
#define SCRAPE_EXPO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/str.h"
#include "base/value.h"
#include "tsdb/storage.h"

/* A parser of EXPO_FORMAT_PROTOBUF reads the comments that stand for the metadata of such a page
 * (expo_proto_comment): OpenMetrics, but any unit goes with any name. */
enum expo_format { EXPO_FORMAT_TEXT, EXPO_FORMAT_OPENMETRICS, EXPO_FORMAT_PROTOBUF };

/* Longest entry (a line; a quoted string may hold raw newlines), and most labels of a series:
 * what a hostile page can cost per entry. */
enum { EXPO_LINE_MAX = 1024 * 1024, EXPO_LABELS_MAX = 1024 };

/* Labels of an exemplar that are kept. The storage takes 128 characters, names and values
 * together, so that one with more is refused there anyway. */
enum { EXPO_EXEMPLAR_LABELS_MAX = 129 };

enum expo_type {
    EXPO_UNKNOWN,
    EXPO_COUNTER,
    EXPO_GAUGE,
    EXPO_HISTOGRAM,
    EXPO_SUMMARY,
    EXPO_GAUGEHISTOGRAM, /* from here on OpenMetrics only */
    EXPO_INFO,
    EXPO_STATESET,
};

/* "counter"; EXPO_UNKNOWN is "unknown" as the API says it. */
const char *expo_type_name(enum expo_type type);

/* The time of an exemplar that has none. */
#define EXPO_NO_TIME INT64_MIN

enum expo_kind { EXPO_END, EXPO_SAMPLE, EXPO_HELP, EXPO_TYPE, EXPO_UNIT, EXPO_COMMENT };

struct expo_entry {
    enum expo_kind kind;
    size_t begin; /* offset of the line in the body, leading blanks included */
    /* EXPO_SAMPLE */
    struct str series; /* the raw text before the value: what caches are keyed by */
    struct num value;
    bool has_timestamp;
    int64_t timestamp_ms;
    const struct histogram *histogram; /* instead of the value; NULL: there is none */
    bool float_histogram;
    bool over_bucket_limit;    /* it has more buckets than the target may have */
    const struct err *invalid; /* NULL, or why the storage would refuse the histogram */
    int64_t start_ts_ms;       /* 0 = unknown */
    bool cumulative;           /* of a family of counters, as its metadata says */
    const struct storage_exemplar *exemplars; /* EXPO_NO_TIME: without a time of their own */
    size_t exemplar_count;
    /* EXPO_HELP, EXPO_TYPE, EXPO_UNIT; texts are raw, see expo_help_unescape */
    struct str family;
    struct str text;
};

struct expo_label {
    struct str name, value; /* raw, without quotes */
};

/* The exemplar of a sample as it stands on its line. */
struct expo_exemplar {
    bool present;
    double value;
    int64_t ts_ms; /* EXPO_NO_TIME: none */
    size_t label_count;
    struct expo_label labels[EXPO_EXEMPLAR_LABELS_MAX];
};

struct expo_parser {
    enum expo_format format;
    struct str body;
    size_t at; /* of the next byte */
    size_t token_at;
    size_t line_at;
    int state;           /* enum lex_state */
    enum expo_type type; /* of the last TYPE line, of whatever family */
    struct str unit;     /* of the last UNIT line; raw */
    bool meta_labels;    /* expo_labels adds __type__ and __unit__ */
    /* of the last sample */
    bool has_name;
    struct str name; /* raw */
    size_t label_count;
    struct expo_label labels[EXPO_LABELS_MAX];
    struct expo_exemplar exemplar;
};

void expo_init(struct expo_parser *p, enum expo_format format, struct str body);
/* Continues at offset, which must be the start of a line, as if the last TYPE had been type. */
void expo_seek(struct expo_parser *p, size_t offset, enum expo_type type);

/* The next entry; EXPO_END at the end. ERR_INVALID for what the grammar refuses, ERR_LIMIT beyond
 * the maxima above; the parser must not be used after either. */
MUST_CHECK enum err_code expo_next(struct expo_parser *p, struct expo_entry *out, struct err *err);

/* Labels that tell type and unit of a family (--enable-feature=type-and-unit-labels). They take the
 * place of exposed ones of the same names, and of __name__. */
struct expo_meta_labels {
    struct label items[2];
    size_t count;
};
struct expo_meta_labels expo_meta_labels(enum expo_type type, struct str unit);
/* Whether an exposed label gives way to them. */
bool expo_meta_overrides(const struct expo_meta_labels *meta, struct str name);

/* The labels of the last sample as exposed: unescaped, le and quantile normalised, sorted by
 * name, empty values kept; with meta_labels type and unit, too. Strings without escapes are slices
 * of the body, the rest lives in arena. At most EXPO_LABELS_MAX + 3. */
struct label *expo_labels(const struct expo_parser *p, struct arena *arena, size_t *out_count);

/* By name; equal ones stay in no special order. */
void expo_sort_labels(struct label *labels, size_t n);

/* Packs the labels of an exemplar, raw as they stand; what cannot be a label set gives false. */
MUST_CHECK bool expo_exemplar_labels(const struct expo_label *raw, size_t n, struct arena *arena,
                                     struct labels *out);

/* HELP text with its escapes resolved (two in text, three in OpenMetrics); text itself when it
 * has none. */
struct str expo_help_unescape(struct arena *arena, enum expo_format format, struct str text);

/* A sample's timestamp in OpenMetrics seconds as milliseconds, cut towards zero; what does not fit
 * is INT64_MIN. seconds is finite. */
int64_t expo_seconds_to_ms(double seconds);

#endif
