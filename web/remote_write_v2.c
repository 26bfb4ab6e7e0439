/* io.prometheus.write.v2.Request: strings are numbers in a table of symbols, which a first pass
 * over the request collects. Bad series and samples are left out and named in the answer. */
#include "base/mem.h"
#include "base/proto.h"
#include "web/remote_write.h"

enum { REQUEST_SYMBOLS = 4, REQUEST_TIMESERIES = 5 };
enum {
    SERIES_LABEL_REFS = 1,
    SERIES_SAMPLES = 2,
    SERIES_HISTOGRAMS = 3,
    SERIES_EXEMPLARS = 4,
    SERIES_METADATA = 5,
};
enum { EXEMPLAR_LABEL_REFS = 1, EXEMPLAR_VALUE = 2, EXEMPLAR_TIMESTAMP = 3 };
enum { METADATA_TYPE = 1, METADATA_HELP = 3, METADATA_UNIT = 4 };

/* One series while it is read. */
struct series {
    struct proto body; /* all of it, for the passes after the first */
    uint64_t ref_count;
    uint64_t samples;
    uint64_t histograms;
    bool has_metadata;
    bool has_exemplars;
    uint64_t type;
    struct str help;
    struct str unit;
    uint64_t bad_name, bad_value; /* first pair of references outside of the table */
    bool bad_refs;
    uint64_t bad_metadata_ref;
    const char *bad_metadata; /* NULL, or which one is outside */
};

static bool add_symbol(struct write_scratch *s, struct proto *p, struct str text) {
    if (s->symbol_count >= WRITE_SYMBOLS_MAX) {
        return proto_fail(p, "too many symbols in one request");
    }
    if (s->symbol_count == s->symbol_capacity) {
        s->symbol_capacity = mem_grow(s->symbol_capacity, s->symbol_count + 256);
        s->symbols = mem_resize(s->symbols, s->symbol_capacity, sizeof(*s->symbols));
    }
    s->symbols[s->symbol_count++] = (struct write_symbol){text.ptr, (uint32_t)text.len};
    return true;
}

static void read_symbols(struct write_scratch *s, struct proto p, struct proto *outer) {
    struct proto_field f;
    s->symbol_count = 0;
    while (proto_next(&p, &f)) {
        if (f.number == REQUEST_SYMBOLS && proto_want(&p, &f, PROTO_BYTES)) {
            (void)add_symbol(s, &p, f.bytes);
        }
    }
    outer->error = p.error;
}

static struct str symbol(const struct write_scratch *s, uint64_t ref) {
    return (struct str){s->symbols[ref].ptr, s->symbols[ref].len};
}

/* Walks the references of a repeated field, packed or not: the next one, false at the end. */
struct refs {
    struct proto outer;
    struct proto packed;
};

static bool next_ref(struct refs *refs, uint64_t *out) {
    struct proto_field f;
    for (;;) {
        if (refs->packed.at < refs->packed.end) {
            if (!proto_varint(&refs->packed, out)) {
                return proto_fail(&refs->outer, refs->packed.error);
            }
            *out = (uint32_t)*out;
            return true;
        }
        if (!proto_next(&refs->outer, &f)) {
            return false;
        }
        if (f.number != SERIES_LABEL_REFS) {
            continue;
        }
        if (f.wire == PROTO_VARINT) {
            *out = (uint32_t)f.value;
            return true;
        }
        if (proto_want(&refs->outer, &f, PROTO_BYTES)) {
            refs->packed = proto_of(f.bytes);
        }
    }
}

/* Pairs of references to labels; what is wrong with them is noted in series. */
static void read_labels(struct write_scratch *s, struct series *series, struct proto *outer) {
    struct refs refs = {.outer = series->body};
    uint64_t ref;
    uint64_t name = 0;
    write_labels_clear(s);
    while (next_ref(&refs, &ref)) {
        if (series->ref_count++ % 2 == 0) {
            name = ref;
            continue;
        }
        if (UNLIKELY(name >= s->symbol_count || ref >= s->symbol_count)) {
            if (!series->bad_refs) {
                series->bad_refs = true;
                series->bad_name = name;
                series->bad_value = ref;
            }
            continue;
        }
        if (!write_labels_add(s, (struct label){symbol(s, name), symbol(s, ref)})) {
            (void)proto_fail(&refs.outer, "the labels of the request are too large");
            break;
        }
    }
    if (!proto_ok(&refs.outer)) {
        (void)proto_fail(outer, refs.outer.error);
    }
}

static void read_metadata(const struct write_scratch *s, struct series *series, struct proto *outer,
                          struct str bytes) {
    struct proto p = proto_of(bytes);
    struct proto_field f;
    while (proto_next(&p, &f)) {
        if ((f.number != METADATA_TYPE && f.number != METADATA_HELP && f.number != METADATA_UNIT) ||
            !proto_want(&p, &f, PROTO_VARINT)) {
            continue;
        }
        if (f.number == METADATA_TYPE) {
            series->has_metadata = series->has_metadata || f.value != 0;
            series->type = f.value;
        } else if (f.value >= s->symbol_count && f.value != 0) {
            series->bad_metadata = f.number == METADATA_HELP ? "help" : "unit";
            series->bad_metadata_ref = f.value;
        } else if (f.value < s->symbol_count && s->symbols[f.value].len != 0) {
            series->has_metadata = true;
            *(f.number == METADATA_HELP ? &series->help : &series->unit) = symbol(s, f.value);
        }
    }
    if (!proto_ok(&p)) {
        (void)proto_fail(outer, p.error);
    }
}

/* What the series has beside labels. */
static void count_fields(const struct write_scratch *s, struct series *series,
                         struct proto *outer) {
    struct proto p = series->body;
    struct proto_field f;
    while (proto_next(&p, &f)) {
        series->has_exemplars = series->has_exemplars || f.number == SERIES_EXEMPLARS;
        if (f.number != SERIES_SAMPLES && f.number != SERIES_HISTOGRAMS &&
            f.number != SERIES_METADATA) {
            continue;
        }
        if (proto_want(&p, &f, PROTO_BYTES)) {
            series->samples += f.number == SERIES_SAMPLES;
            series->histograms += f.number == SERIES_HISTOGRAMS;
            if (f.number == SERIES_METADATA) {
                read_metadata(s, series, &p, f.bytes);
            }
        }
    }
    if (!proto_ok(&p)) {
        (void)proto_fail(outer, p.error);
    }
}

/* "parsing labels for series [1 2 3]: " and the reason */
static COLD void report_refs(struct write_batch *b, const struct series *series, const char *what,
                             struct str reason) {
    enum { SHOWN_MAX = 64 };
    if (write_errors_full(b)) {
        b->more_errors++;
        return;
    }
    struct buf text;
    buf_init(&text, 4096);
    buf_printf(&text, "parsing %s for series [", what);
    struct refs refs = {.outer = series->body};
    uint64_t ref;
    size_t n = 0;
    for (; n < SHOWN_MAX && next_ref(&refs, &ref); n++) {
        buf_printf(&text, n == 0 ? "%u" : " %u", (unsigned)ref);
    }
    buf_append_cstr(&text, n == SHOWN_MAX && series->ref_count > n ? " ...]: " : "]: ");
    buf_append_char(&text, '\0');
    write_error(b, buf_str(&text).ptr, false, reason);
    buf_release(&text);
}

/* The references name strings that are there; else the error is noted. */
static bool refs_valid(struct write_batch *b, const struct series *series) {
    const size_t symbols = b->scratch->symbol_count;
    struct buf reason;
    buf_init(&reason, 256);
    const char *what = "labels";
    if (series->ref_count % 2 != 0) {
        buf_printf(&reason, "invalid labelRefs length %llu", (unsigned long long)series->ref_count);
    } else if (series->bad_refs) {
        buf_printf(
            &reason, "labelRefs %llu (name) = %llu (value) outside of symbols table (size %zu)",
            (unsigned long long)series->bad_name, (unsigned long long)series->bad_value, symbols);
    } else if (series->bad_metadata != NULL) {
        what = "metadata";
        buf_printf(&reason, "%s reference %llu outside of symbols table (size %zu)",
                   series->bad_metadata, (unsigned long long)series->bad_metadata_ref, symbols);
    }
    const bool valid = reason.len == 0;
    if (!valid) {
        report_refs(b, series, what, buf_str(&reason));
    }
    buf_release(&reason);
    return valid;
}

static COLD void report_duplicate(struct write_batch *b, struct str name) {
    struct buf behind;
    buf_init(&behind, 512);
    buf_printf(&behind, ", duplicated label %.*s", STR_ARG(str_sub(name, 0, 256)));
    write_error(b, "invalid labels for series, labels ", true, buf_str(&behind));
    buf_release(&behind);
}

/* True: *out are the labels of a series; else the error is noted. */
static bool labels_valid(struct write_batch *b, const struct series *series, struct labels *out) {
    struct str duplicate = STR("");
    if (!refs_valid(b, series)) {
        return false;
    }
    switch (write_labels_pack(b->scratch, out, &duplicate)) {
    case WRITE_LABELS_INVALID:
        write_error(b, "invalid metric name or labels, got ", true, STR(""));
        return false;
    case WRITE_LABELS_DUPLICATE:
        report_duplicate(b, duplicate);
        return false;
    case WRITE_LABELS_OK:
        break;
    }
    return true;
}

static void store_samples(struct write_batch *b, const struct series *series, bool valid,
                          struct labels labels, struct proto *outer) {
    struct proto p = series->body;
    struct proto_field f;
    const uint64_t before = b->samples + b->histograms;
    while (proto_next(&p, &f)) {
        if (f.number == SERIES_SAMPLES) {
            struct storage_sample s = {.ts_ms = 0};
            if (!write_read_sample(&p, f.bytes, &s.value, &s.ts_ms, &s.start_ts_ms) || !valid) {
                continue;
            }
            if (LIKELY(s.start_ts_ms == 0 || !b->keep_start || !write_takes_histograms(b))) {
                (void)write_sample(b, labels, s.ts_ms, s.value);
            } else {
                (void)write_whole_sample(b, labels, &s);
            }
        } else if (f.number == SERIES_HISTOGRAMS && valid && write_takes_histograms(b)) {
            (void)!write_histogram(b, labels, &p, f.bytes);
        }
    }
    if (!series->has_metadata) {
        b->without_metadata += b->samples + b->histograms - before;
    }
    if (!proto_ok(&p)) {
        (void)proto_fail(outer, p.error);
    }
}

/* Errors of an exemplar's message cost only itself. */
static void read_exemplar(struct write_batch *b, struct labels series, struct str bytes) {
    const struct write_scratch *s = b->scratch;
    struct storage_exemplar e = {.ts_ms = 0};
    struct labels_builder labels;
    struct proto_field f;
    struct err err;
    uint64_t name = UINT64_MAX;
    uint64_t ref;
    arena_reset(&b->scratch->arena);
    labels_builder_init(&labels, &b->scratch->arena);
    _Static_assert((int)EXEMPLAR_LABEL_REFS == (int)SERIES_LABEL_REFS, "next_ref reads both");
    struct refs refs = {.outer = proto_of(bytes)};
    while (next_ref(&refs, &ref)) {
        if (ref >= s->symbol_count) {
            return;
        }
        if (name == UINT64_MAX) {
            name = ref;
        } else {
            labels_builder_set(&labels, symbol(s, name), symbol(s, ref));
            name = UINT64_MAX;
        }
    }
    struct proto p = proto_of(bytes);
    while (proto_next(&p, &f)) {
        if (f.number == EXEMPLAR_VALUE && proto_want(&p, &f, PROTO_FIXED64)) {
            e.value = proto_double(&f);
        } else if (f.number == EXEMPLAR_TIMESTAMP && proto_want(&p, &f, PROTO_VARINT)) {
            e.ts_ms = (int64_t)f.value;
        }
    }
    if (proto_ok(&p) && proto_ok(&refs.outer) && name == UINT64_MAX &&
        labels_builder_finish(&labels, &e.labels, &err) == ERR_OK) {
        write_exemplar(b, series, &e);
    }
}

static void read_exemplars(struct write_batch *b, const struct series *series,
                           struct labels labels) {
    struct proto p = series->body;
    struct proto_field f;
    while (proto_next(&p, &f)) {
        if (f.number == SERIES_EXEMPLARS && f.wire == PROTO_BYTES) {
            read_exemplar(b, labels, f.bytes);
        }
    }
}

static void read_series(struct write_batch *b, struct proto *outer, struct str bytes) {
    struct series series = {.body = proto_of(bytes)};
    count_fields(b->scratch, &series, outer);
    if (proto_ok(outer)) {
        read_labels(b->scratch, &series, outer);
    }
    if (proto_ok(outer) && b->meta_labels &&
        !write_labels_add_metadata(b->scratch, series.type, series.unit)) {
        (void)proto_fail(outer, "the labels of the request are too large");
    }
    if (!proto_ok(outer)) {
        return;
    }
    struct labels labels = {0};
    bool valid = labels_valid(b, &series, &labels);
    b->invalid += valid ? 0 : series.samples + series.histograms;
    if (valid && series.samples == 0 && series.histograms == 0) {
        write_error(b, "TimeSeries must contain at least one sample or histogram for series ", true,
                    STR(""));
        valid = false;
    }
    store_samples(b, &series, valid, labels, outer);
    if (valid && series.has_exemplars && proto_ok(outer)) {
        read_exemplars(b, &series, labels);
    }
    if (valid && series.has_metadata) {
        write_metadata(b, labels_get(labels, LABEL_NAME), series.type, series.help, series.unit);
    }
    const bool unsupported = series.histograms != 0 && !write_takes_histograms(b);
    b->unsupported += unsupported ? series.histograms : 0;
    if (valid && unsupported) {
        write_error(b, WRITE_NO_HISTOGRAMS " for series ", true, STR(""));
    }
}

enum err_code write_decode_v2(struct write_batch *b, struct err *err) {
    struct proto p = proto_of(buf_str(&b->scratch->plain));
    struct proto_field f;
    read_symbols(b->scratch, p, &p);
    while (proto_next(&p, &f)) {
        if (f.number == REQUEST_TIMESERIES && proto_want(&p, &f, PROTO_BYTES)) {
            read_series(b, &p, f.bytes);
        }
    }
    return proto_ok(&p) ? ERR_OK : err_set(err, ERR_INVALID, "%s", p.error);
}
