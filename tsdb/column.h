/* What the values of a slot are: a series is one or more columns on the rows of its group.
 *
 * A plain float series is exactly one column, COLUMN_FLOAT, in the slot that has its labels. All
 * else that a series may have is a column of its own in a hidden slot of the same group: without
 * labels, owned by the series' slot. So a native histogram is a bundle of columns of numbers, and
 * everything that works for numbers (operations in the log, open chunks, sealed blocks that refer
 * to each other) works for it.
 *
 * In a row the series has either its float or the columns of one histogram. COLUMN_COUNT says
 * which: it is there in each row that has a histogram of its layout, and it alone carries the end
 * of a series whose newest sample was a histogram (SLOT_STALE). A bucket's column is there in the
 * rows in whose spans the bucket is, also with count 0. Pure. */
#ifndef TSDB_COLUMN_H
#define TSDB_COLUMN_H

#include <stdbool.h>
#include <stdint.h>

/* On disk, never renumber. */
enum column_kind {
    COLUMN_FLOAT = 0,
    COLUMN_START = 1, /* start timestamp, an integer in ms; absent: unknown */
    COLUMN_COUNT = 2, /* of a histogram: number of observations */
    COLUMN_ZERO = 3,  /* of the zero bucket; never with custom bounds */
    COLUMN_SUM = 4,
    COLUMN_POSITIVE = 5, /* count of the bucket, not cumulative */
    COLUMN_NEGATIVE = 6,
    COLUMN_HINT = 7, /* enum histogram_hint that a reader gets; never for a gauge */
    COLUMN_KINDS = 8,
};

/* Columns of one series have different keys; in ascending order they are as below. */
struct column_key {
    uint32_t layout; /* number of a struct hist_layout; 0 for COLUMN_FLOAT and COLUMN_START */
    int32_t bucket;  /* of COLUMN_POSITIVE and COLUMN_NEGATIVE; else 0 */
    uint8_t kind;    /* enum column_kind */
};

static inline bool column_is_bucket(uint8_t kind) {
    return kind == COLUMN_POSITIVE || kind == COLUMN_NEGATIVE;
}

/* By layout, kind, bucket. */
static inline int column_key_cmp(struct column_key a, struct column_key b) {
    if (a.layout != b.layout) {
        return a.layout < b.layout ? -1 : 1;
    }
    if (a.kind != b.kind) {
        return a.kind < b.kind ? -1 : 1;
    }
    return (a.bucket > b.bucket) - (a.bucket < b.bucket);
}

/* Could a series have such a column? For what comes from files. */
static inline bool column_key_valid(struct column_key key) {
    return key.kind < COLUMN_KINDS && (key.layout != 0) == (key.kind >= COLUMN_COUNT) &&
           (column_is_bucket(key.kind) || key.bucket == 0);
}

#endif
