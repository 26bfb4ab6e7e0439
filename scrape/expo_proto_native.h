/* The histograms of a page in protobuf: fields of the message, native ones, conversion of classic
 * ones, exemplars. Private to expo_proto*.c. */
#ifndef SCRAPE_EXPO_PROTO_NATIVE_H
#define SCRAPE_EXPO_PROTO_NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/proto.h"
#include "scrape/expo_proto.h"

/* MetricType */
enum {
    KIND_COUNTER,
    KIND_GAUGE,
    KIND_SUMMARY,
    KIND_UNTYPED,
    KIND_HISTOGRAM,
    KIND_GAUGE_HISTOGRAM,
    KIND_COUNT
};

static inline bool proto_is_histogram(const struct expo_proto *p) {
    return p->kind == KIND_HISTOGRAM || p->kind == KIND_GAUGE_HISTOGRAM;
}

/* google.protobuf.Timestamp; errors go to outer. */
int64_t proto_timestamp_ms(struct proto *outer, struct str bytes);

/* Takes a field of a Histogram message. */
void proto_histogram_field(struct proto_value *v, struct proto *p, const struct proto_field *f);
bool proto_is_native(const struct proto_value *v);

struct proto_bucket {
    double upper, count;
    struct str exemplar;
    bool has_exemplar;
};

/* The next bucket of the Histogram message that p walks. */
MUST_CHECK bool proto_next_bucket(struct proto *p, struct proto_bucket *out);

/* False when the exemplar's bytes or labels are no good: it is left out. */
MUST_CHECK bool proto_exemplar(struct str bytes, struct arena *arena, struct storage_exemplar *out);

struct proto_native {
    struct arena *arena;
    struct str name; /* of the family, for error texts */
    bool gauge;
    bool exemplars; /* wanted */
    /* results */
    const struct histogram *histogram;
    bool floats;
    struct storage_exemplar *found;
    size_t found_count;
};

/* The native histogram of the message. */
MUST_CHECK enum err_code proto_native_make(const struct proto_value *v, struct proto_native *to,
                                           struct err *err);
/* One with custom bounds, of its classic buckets. */
MUST_CHECK enum err_code proto_native_convert(const struct proto_value *v,
                                              struct classic_histogram *classic,
                                              struct proto_native *to, struct err *err);

#endif
