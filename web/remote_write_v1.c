/* prometheus.WriteRequest: one timeseries message a series, its labels spelled out. A series is
 * gone through twice, first for its labels, then for its samples: fields may come in any order,
 * and all labels must be known before the first sample is stored. */
#include "base/proto.h"
#include "web/remote_write.h"

enum { REQUEST_TIMESERIES = 1 };
enum { SERIES_LABELS = 1, SERIES_SAMPLES = 2, SERIES_HISTOGRAMS = 4 };
enum { LABEL_NAME_FIELD = 1, LABEL_VALUE_FIELD = 2 };

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
            b->histograms++;
        }
    }
    return proto_ok(&p) || proto_fail(outer, p.error);
}

static bool read_series(struct write_batch *b, struct proto *outer, struct str bytes) {
    struct proto p;
    struct labels labels;
    double value;
    int64_t ts_ms;
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
    struct proto_field f;
    while (proto_next(&p, &f)) {
        if (f.number == SERIES_SAMPLES && proto_want(&p, &f, PROTO_BYTES) &&
            write_read_sample(&p, f.bytes, &value, &ts_ms) && valid) {
            (void)write_sample(b, labels, ts_ms, value);
        }
    }
    return proto_ok(&p) || proto_fail(outer, p.error);
}

enum err_code write_decode_v1(struct write_batch *b, struct err *err) {
    struct proto p = proto_of(buf_str(&b->scratch->plain));
    struct proto_field f;
    while (proto_next(&p, &f)) {
        if (f.number == REQUEST_TIMESERIES && proto_want(&p, &f, PROTO_BYTES)) {
            (void)read_series(b, &p, f.bytes);
        }
    }
    return proto_ok(&p) ? ERR_OK : err_set(err, ERR_INVALID, "%s", p.error);
}
