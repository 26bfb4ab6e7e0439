/* Histograms in sum and avg: one compensated sum per group and step, made when the first histogram
 * comes. A step of a group that gets both floats and histograms, or both kinds of buckets, has no
 * result. Private to eval_aggregate.c. */
#ifndef QUERY_EVAL_AGGREGATE_NATIVE_H
#define QUERY_EVAL_AGGREGATE_NATIVE_H

#include "query/eval.h"
#include "query/native_sum.h"

struct native_column {
    struct native_sum **sums; /* by step; NULL: none yet */
    uint64_t *dropped;
};

struct native_context {
    struct eval *ev;
    struct work *work;
    size_t steps;
    struct pos_range pos;
    bool mean;
};

MUST_CHECK enum err_code native_column_init(const struct native_context *c,
                                            struct native_column *column, struct err *err);
/* Takes the row's samples that meet a histogram of theirs or of the group; they become absent in the
 * row. floats: the steps at which the group has floats. */
MUST_CHECK enum err_code native_column_add(const struct native_context *c,
                                           struct native_column *column, const uint64_t *floats,
                                           struct row *row, struct err *err);
/* Puts the sums into row and takes out what is dropped. */
MUST_CHECK enum err_code native_column_emit(const struct native_context *c,
                                            const struct native_column *column, struct row *row,
                                            struct err *err);

#endif
