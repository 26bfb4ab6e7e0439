/* A page in protobuf (length-delimited io.prometheus.client.MetricFamily, spec/scrape.md 5.3) as
 * the entries of scrape/expo.h: a TYPE entry per family, then its samples in Prometheus' order.
 *
 * Owner: whoever ingests a body; one thread at a time. Slices point into the body, which must
 * outlive the reader; histograms and exemplars live in the arena given at init. Memory is bounded
 * by that arena's budget, time by the page: nothing is read more than a few times.
 *
 * A sample's series (its cache key) is the family's name, 0xFF, the bytes of the label pairs as
 * they are on the wire, each behind its length, and one byte for what the sample is of the metric,
 * with the eight bytes of the bound behind it for buckets and quantiles. So a known series costs
 * no work on its labels; labels are checked when a key is new. */
#ifndef SCRAPE_EXPO_PROTO_H
#define SCRAPE_EXPO_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/histogram.h"
#include "base/proto.h"
#include "scrape/expo.h"
#include "scrape/histogram_make.h"
#include "scrape/scrape.h"

/* What of a metric is given next. */
enum proto_part {
    PART_NATIVE,
    PART_COUNT,
    PART_SUM,
    PART_BOUNDS, /* buckets or quantiles */
    PART_VALUE,
    PART_DONE
};

/* The scalars of a metric's value, whichever it is. */
struct proto_value {
    struct str body; /* of the value's message; lists are read from it */
    double value;
    double count, sum; /* the float count if it is not 0, else the integer one */
    double int_count, float_count;
    double zero_threshold, int_zero, float_zero;
    int32_t schema;
    bool has_spans, has_buckets, has_exemplars;
    uint32_t positive_spans, negative_spans;
    struct str exemplar; /* of a counter */
    bool has_exemplar;
    int64_t start_ts_ms;
};

struct expo_proto {
    struct str body;
    size_t at; /* of the next family */
    struct scrape_histograms histograms;
    bool exemplars, starts; /* wanted */
    bool meta_labels;       /* expo_proto_labels adds __type__ and __unit__ */
    struct arena *arena;
    struct classic_histogram classic;

    /* the family at hand */
    struct str name, help, unit;
    uint32_t kind; /* MetricType on the wire */
    struct proto metrics;

    /* the metric at hand */
    enum proto_part part;
    struct str metric;
    bool has_timestamp;
    int64_t timestamp_ms;
    struct proto_value value;
    bool native;    /* and not as its classic form */
    bool converted; /* from its classic form, behind which it comes if that is wanted */
    struct proto bounds;
    bool infinite; /* the +Inf bucket was given */

    /* the sample at hand */
    struct buf key;
    size_t key_base; /* bytes of the key that the metric's samples share */
    enum proto_part given;
    double bound;
};

void expo_proto_init(struct expo_proto *p, struct str body, struct scrape_histograms histograms,
                     bool exemplars, bool starts, struct arena *arena);
void expo_proto_release(struct expo_proto *p);

/* EXPO_TYPE (a family begins), EXPO_SAMPLE or EXPO_END. ERR_INVALID with Prometheus' text,
 * ERR_LIMIT; the reader must not be used after either. */
MUST_CHECK enum err_code expo_proto_next(struct expo_proto *p, struct expo_entry *out,
                                         struct err *err);

/* The labels of the last sample, as expo_labels gives them. ERR_INVALID for names and values that
 * are not UTF-8 (or no names), ERR_LIMIT beyond EXPO_LABELS_MAX. */
MUST_CHECK enum err_code expo_proto_labels(const struct expo_proto *p, struct arena *arena,
                                           const struct label **out, size_t *out_count,
                                           struct err *err);

/* The type of the family at hand. */
enum expo_type expo_proto_type(const struct expo_proto *p);

/* The family's metadata as comments, which a parser of EXPO_FORMAT_PROTOBUF reads. */
void expo_proto_comment(const struct expo_proto *p, struct buf *to);

#endif
