/* Values of an expression over all steps: rows (one series each) of a column of doubles and a
 * presence bitmap, and a column of histograms in the rows that have any. Rows flow from a source to a sink one at a time (row_sink), so that what
 * aggregates them never holds more than one; matrix_collect is the sink that keeps them.
 *
 * Owner: the evaluator; memory comes from a struct work. One thread at a time. */
#ifndef QUERY_MATRIX_H
#define QUERY_MATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/labels.h"
#include "query/grid.h"
#include "query/work.h"

struct histogram;
struct label_set; /* query/label_ops.h */

struct row {
    /* Either labels, or (target != NULL) the union of two interned sets not yet spelled out. */
    struct labels labels;
    const struct label_set *target;
    const struct label_set *metric;
    bool plain;     /* of the interned sets: without __name__, __type__ and __unit__ */
    bool drop_name; /* delayed removal: these three go at the end of the query */
    double *values; /* undefined where absent or a histogram */
    uint64_t *present;
    /* NULL: floats only; else NULL where there is a float, undefined where absent */
    const struct histogram **histograms;
};

static inline const struct histogram *row_histogram(const struct row *row, size_t i) {
    return row->histograms != NULL ? row->histograms[i] : NULL;
}

/* begin gives a row with empty presence to fill; end hands it on if anything is present. A row
 * that was not ended is given again by the next begin. begin returns NULL with *err set. */
struct row_sink {
    struct row *(*begin)(struct row_sink *sink, struct err *err);
    enum err_code (*end)(struct row_sink *sink, struct row *row, struct err *err);
};

struct matrix {
    struct work *work;
    struct row *rows;
    size_t count;
    size_t capacity;
    size_t steps;
};

void matrix_init(struct matrix *m, struct work *work, size_t steps);
/* A row with empty presence behind the last, not counted yet; NULL with *err set. */
MUST_CHECK struct row *matrix_reserve(struct matrix *m, struct err *err);
/* The same in the columns of another row of as many steps, which live as long as the matrix and whose
 * owner is done with them; presence stays as it is. */
MUST_CHECK struct row *matrix_reserve_in(struct matrix *m, const struct row *columns,
                                         struct err *err);
/* Counts the row that was reserved last; its histograms are copied. */
MUST_CHECK enum err_code matrix_keep(struct matrix *m, struct row *row, struct err *err);
/* A column of histograms for a row without one, all NULL; memory is work's. */
MUST_CHECK enum err_code row_add_histograms(struct row *row, struct work *work, size_t steps,
                                            struct err *err);
/* Makes histograms absent; the column goes. */
void row_drop_histograms(struct row *row, size_t steps);
/* Samples as the limit counts them: a histogram is several. */
uint64_t row_weight(const struct row *row, size_t steps);
/* Number of samples, as the limit counts them. */
MUST_CHECK enum err_code matrix_samples(const struct matrix *m, uint64_t *out, struct err *err);
/* By labels, all rows spelled out. Errors as those of work_sort. */
MUST_CHECK enum err_code matrix_sort(struct matrix *m, const struct cancel *cancel,
                                     struct err *err);

/* What to do with rows of equal labels. */
enum merge_rule {
    MERGE_DISJOINT, /* one row when they have no step in common, else the error */
    MERGE_NEVER,    /* always the error */
};
/* ERR_EXECUTION "vector cannot contain metrics with the same labelset". Rows are spelled out. */
MUST_CHECK enum err_code matrix_merge(struct matrix *m, enum merge_rule rule, struct err *err);

/* Sink that spells the labels out and keeps every row in out. */
struct matrix_collect {
    struct row_sink sink;
    struct matrix *out;
};
void matrix_collect_init(struct matrix_collect *c, struct matrix *out);
/* Hands the rows of m on, copied. */
MUST_CHECK enum err_code matrix_replay(const struct matrix *m, struct row_sink *to,
                                       struct err *err);

/* One value per step, always there. */
struct scalar_column {
    double constant;
    const double *steps; /* NULL: constant */
};

static inline double scalar_at(const struct scalar_column *s, size_t i) {
    return s->steps != NULL ? s->steps[i] : s->constant;
}

#endif
