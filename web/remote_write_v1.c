/* prometheus.WriteRequest: one timeseries message a series, its labels spelled out. A series is
 * gone through twice, first for its labels, then for its samples: fields may come in any order,
 * and all labels must be known before the first sample is stored. */
#include "base/proto.h"
#include "web/remote_write.h"

enum { REQUEST_TIMESERIES = 1, REQUEST_METADATA = 3 };
enum { SERIES_LABELS = 1, SERIES_SAMPLES = 2, SERIES_EXEMPLARS = 3, SERIES_HISTOGRAMS = 4 };
enum { EXEMPLAR_LABELS = 1, EXEMPLAR_VALUE = 2, EXEMPLAR_TIMESTAMP = 3 };
enum { METADATA_TYPE = 1, METADATA_FAMILY = 2, METADATA_HELP = 4, METADATA_UNIT = 5 };
enum { LABEL_NAME_FIELD = 1, LABEL_VALUE_FIELD = 2 };
enum { ROW_MAX = 64 }; /* series that are taken at once */

static bool read_label(struct proto *outer, struct str bytes, struct label *out) {
    struct proto p = proto_of(bytes);
    struct proto_field f;
    *out = (struct label){STR(""), STR("")};
    while (proto_next(&p, &f)) {
        if (f.number != LABEL_NAME_FIELD && f.number != LABEL_VALUE_FIELD) {
            continue;
        }
        if (proto_want(&p, &f, PROTO_BYTES)) {
            *(f.number == LABEL_NAME_FIELD ? &out->name : &out->value) = f.bytes;
        }
    }
    return proto_ok(&p) || proto_fail(outer, p.error);
}

/* Fills the scratch's labels; *out_rest is where fields other than labels begin. */
static bool read_labels(struct write_batch *b, struct proto *outer, struct str bytes,
                        struct proto *out_rest) {
    struct proto p = proto_of(bytes);
    struct proto_field f;
    bool only_labels = true;
    *out_rest = p;
    write_labels_clear(b->scratch);
    while (proto_next(&p, &f)) {
        if (f.number == SERIES_LABELS) {
            struct label label;
            if (proto_want(&p, &f, PROTO_BYTES) && read_label(&p, f.bytes, &label) &&
                !write_labels_add(b->scratch, label)) {
                (void)proto_fail(&p, "the labels of the request are too large");
            }
            if (only_labels) {
                out_rest->at = p.at;
            }
            continue;
        }
        only_labels = false;
        if (f.number == SERIES_HISTOGRAMS && proto_want(&p, &f, PROTO_BYTES)) {
            b->unsupported += write_takes_histograms(b) ? 0 : 1;
        }
    }
    return proto_ok(&p) || proto_fail(outer, p.error);
}

/* Errors of an exemplar cost only itself. */
static void read_exemplar(struct write_batch *b, struct labels series, struct str bytes) {
    struct storage_exemplar e = {.ts_ms = 0};
    struct labels_builder labels;
    struct proto p = proto_of(bytes);
    struct proto_field f;
    struct err err;
    arena_reset(&b->scratch->arena);
    labels_builder_init(&labels, &b->scratch->arena);
    while (proto_next(&p, &f)) {
        struct label label;
        if (f.number == EXEMPLAR_LABELS && proto_want(&p, &f, PROTO_BYTES) &&
            read_label(&p, f.bytes, &label)) {
            labels_builder_set(&labels, label.name, label.value);
        } else if (f.number == EXEMPLAR_VALUE && proto_want(&p, &f, PROTO_FIXED64)) {
            e.value = proto_double(&f);
        } else if (f.number == EXEMPLAR_TIMESTAMP && proto_want(&p, &f, PROTO_VARINT)) {
            e.ts_ms = (int64_t)f.value;
        }
    }
    if (proto_ok(&p) && labels_builder_finish(&labels, &e.labels, &err) == ERR_OK) {
        write_exemplar(b, series, &e);
    }
}

static bool read_metadata(struct write_batch *b, struct proto *outer, struct str bytes) {
    struct proto p = proto_of(bytes);
    struct proto_field f;
    uint64_t type = 0;
    struct str texts[METADATA_UNIT + 1] = {{0}};
    while (proto_next(&p, &f)) {
        if (f.number == METADATA_TYPE && proto_want(&p, &f, PROTO_VARINT)) {
            type = f.value;
        } else if ((f.number == METADATA_FAMILY || f.number == METADATA_HELP ||
                    f.number == METADATA_UNIT) &&
                   proto_want(&p, &f, PROTO_BYTES)) {
            texts[f.number] = f.bytes;
        }
    }
    if (!proto_ok(&p)) {
        return proto_fail(outer, p.error);
    }
    write_metadata(b, texts[METADATA_FAMILY], type, texts[METADATA_HELP], texts[METADATA_UNIT]);
    return true;
}

/* Once the samples are stored. */
static void read_exemplars(struct write_batch *b, struct labels labels, struct proto p) {
    struct proto_field f;
    while (proto_next(&p, &f)) {
        if (f.number == SERIES_EXEMPLARS && f.wire == PROTO_BYTES) {
            read_exemplar(b, labels, f.bytes);
        }
    }
}

/* Has the storage tell what it expects from here on; only_sets: numbers will do. False: it does not know,
 * nothing is expected. */
static bool look_ahead(struct write_batch *b, bool only_sets) {
    const uint8_t *target = b->expected.target.data;
    b->expected_at = 0;
    if (!(only_sets ? storage_expect_sets(b->storage, b->appender, &b->expected)
                    : storage_expect(b->storage, b->appender, &b->expected))) {
        b->expected.count = 0;
        return false;
    }
    if (b->expected.target.data != target) {
        b->target_run = STR("");
    }
    return true;
}

/* Series that came before as they come now, from where p is. */
static void take_rows(struct write_batch *b, struct proto *p) {
    double values[ROW_MAX];
    int64_t ts_ms = 0;
    size_t n;
    do {
        if (b->expected_at >= b->expected.count && !look_ahead(b, true)) {
            return;
        }
        const struct storage_expected *e = &b->expected;
        if (e->sets == NULL || (b->target_run.len == 0 && e->target.size != 0)) {
            return;
        }
        n = e->count - b->expected_at;
        n = write_forms_take(&b->scratch->forms, p, e->sets + b->expected_at,
                             n < ROW_MAX ? n : ROW_MAX, b->target_run, &ts_ms, values);
        write_expected_row(b, ts_ms, values, n);
    } while (n != 0);
}

/* Is it a series that the storage expects? Then its sample is stored, or refused. */
static bool read_expected(struct write_batch *b, struct str bytes) {
    double value;
    int64_t ts_ms;
    if ((b->expected_at >= b->expected.count || b->expected.metrics == NULL) &&
        !look_ahead(b, false)) {
        return false;
    }
    if (UNLIKELY(!write_read_expected(b->scratch, bytes, &b->expected, &b->expected_at,
                                      &b->target_run, &value, &ts_ms))) {
        b->expected.count = 0; /* what comes now changes what is expected */
        return false;
    }
    if (b->expected.sets != NULL && (b->target_run.len != 0 || b->expected.target.size == 0)) {
        write_forms_learn(&b->scratch->forms, b->expected.sets[b->expected_at], bytes,
                          b->target_run);
    }
    (void)write_expected_sample(b, ts_ms, value);
    return true;
}

static bool read_series(struct write_batch *b, struct proto *outer, struct str bytes) {
    if (LIKELY(read_expected(b, bytes))) {
        return true;
    }
    struct proto p;
    struct labels labels;
    double value;
    int64_t ts_ms;
    int64_t start_ms;
    if (LIKELY(write_read_usual(b->scratch, bytes, &labels, &value, &ts_ms))) {
        (void)write_sample(b, labels, ts_ms, value);
        return true;
    }
    if (!read_labels(b, outer, bytes, &p)) {
        return false;
    }
    struct str duplicate;
    const bool valid = write_labels_pack(b->scratch, &labels, &duplicate) == WRITE_LABELS_OK;
    b->invalid += valid ? 0 : 1;
    const struct proto rest = p;
    struct proto_field f;
    bool has_exemplars = false;
    while (proto_next(&p, &f)) {
        if (f.number == SERIES_SAMPLES && proto_want(&p, &f, PROTO_BYTES) &&
            write_read_sample(&p, f.bytes, &value, &ts_ms, &start_ms) && valid) {
            (void)write_sample(b, labels, ts_ms, value);
        } else if (f.number == SERIES_HISTOGRAMS && proto_want(&p, &f, PROTO_BYTES) && valid &&
                   write_takes_histograms(b)) {
            (void)!write_histogram(b, labels, &p, f.bytes);
        }
        has_exemplars = has_exemplars || f.number == SERIES_EXEMPLARS;
    }
    if (has_exemplars && valid && proto_ok(&p)) {
        read_exemplars(b, labels, rest);
    }
    return proto_ok(&p) || proto_fail(outer, p.error);
}

enum err_code write_decode_v1(struct write_batch *b, struct err *err) {
    struct proto p = proto_of(buf_str(&b->scratch->plain));
    struct proto_field f;
    while (take_rows(b, &p), proto_next(&p, &f)) {
        if (f.number == REQUEST_TIMESERIES && proto_want(&p, &f, PROTO_BYTES)) {
            (void)read_series(b, &p, f.bytes);
        } else if (f.number == REQUEST_METADATA && b->storage->ops->metadata_put != NULL &&
                   proto_want(&p, &f, PROTO_BYTES)) {
            (void)read_metadata(b, &p, f.bytes);
        }
    }
    return proto_ok(&p) ? ERR_OK : err_set(err, ERR_INVALID, "%s", p.error);
}
