/* Answers of the HTTP API to queries, read and printed as promtool prints them (spec/promtool.md
 * section 3). What is read lives in the arena given. One thread. */
#ifndef QUERY_ANSWER_H
#define QUERY_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/json_in.h"
#include "base/json_out.h"
#include "base/labels.h"

enum answer_type { ANSWER_VECTOR, ANSWER_MATRIX, ANSWER_SCALAR, ANSWER_STRING };

/* boundaries: 0 (lo,hi], 1 [lo,hi), 2 (lo,hi), 3 [lo,hi] */
struct answer_bucket {
    int boundaries;
    double lower, upper, count;
};

struct answer_histogram {
    double count, sum;
    struct answer_bucket *buckets;
    size_t bucket_count;
};

struct answer_point {
    int64_t ts_ms;
    double value;
    const struct answer_histogram *histogram; /* NULL: a float */
};

struct answer_series {
    struct labels metric;
    struct answer_point *points; /* floats, then histograms */
    size_t count;
};

struct answer {
    enum answer_type type;
    struct answer_series *series; /* vector, matrix */
    size_t series_count;
    struct answer_point scalar; /* scalar; string: its time */
    struct str string;
};

/* data of /query and /query_range. ERR_INVALID names what is not as the API says. */
MUST_CHECK enum err_code answer_read(struct arena *arena, const struct json *data,
                                     struct answer *out, struct err *err);
/* An object of strings. */
MUST_CHECK enum err_code answer_read_labels(struct arena *arena, const struct json *object,
                                            struct labels *out, struct err *err);

/* Each ends its text with a line end; answer_print sorts a matrix. The arena is for a while. */
void answer_print(struct arena *arena, struct buf *to, struct answer *answer);
void answer_print_json(struct buf *to, const struct answer *answer);
/* {__name__="foo", a="b"}, names as they are. */
void answer_print_labels(struct arena *arena, struct buf *to, struct labels labels);
/* With < > & escaped, as Go's encoder does. */
void answer_print_labels_json(struct json_out *j, struct labels labels);

#endif
