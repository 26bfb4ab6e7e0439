/* Native histograms as columns of numbers, and back.
 *
 * A histogram is its layout (what all histograms of a time have in common) and one number per
 * column (column.h). Layouts are interned: a series names them by number, custom bounds exist once
 * for all series that have them. The tables here are those of one place that numbers layouts: the
 * head, or a partition.
 *
 * Ownership: a layout in a table stays where it is until the table is released; histograms that
 * were assembled point to its bounds. Threads: a table guards itself; the rest is pure. */
#ifndef TSDB_HIST_COLUMNS_H
#define TSDB_HIST_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/histogram.h"
#include "base/value.h"
#include "tsdb/column.h"

enum {
    HIST_LAYOUTS_MAX = 1 << 20,
    HIST_BOUNDS_MAX = 1 << 16,         /* custom bounds of one layout */
    HIST_LAYOUT_BYTES_MAX = 256 << 20, /* of one table */
};

struct hist_layout {
    const double *bounds; /* custom; else NULL */
    uint32_t bound_count;
    int32_t schema;
    double zero_threshold;
    bool float_counts;
    bool gauge;
};

/* The layout of a histogram; borrows its bounds. */
struct hist_layout hist_layout_of(const struct histogram *h, bool float_counts);
bool hist_layout_equal(const struct hist_layout *a, const struct hist_layout *b);

/* ---- bytes (FORMAT.md, "Histogram layout"): the same in the series log and in partitions ---- */

void hist_layout_encode(struct buf *to, const struct hist_layout *layout);
/* bounds to arena. ERR_CORRUPT for what hist_layout_encode never writes; ERR_LIMIT: the arena. */
MUST_CHECK enum err_code hist_layout_decode(struct cursor *from, struct arena *arena,
                                            struct hist_layout *out);

/* ---- numbers ---- */

/* Numbers from 1, dense, in the order of first use. */
struct hist_layouts;
struct hist_layouts *hist_layouts_new(void);
void hist_layouts_free(struct hist_layouts *layouts);
/* The number of a layout, made if it is new (copied); 0 when the table is full. */
uint32_t hist_layouts_intern(struct hist_layouts *layouts, const struct hist_layout *layout);
/* For replay: gives the layout the number, which is not below the count + 1; numbers left out stay
 * without one. False when the table is full or the layout has another number. */
MUST_CHECK bool hist_layouts_define(struct hist_layouts *layouts, uint32_t number,
                                    const struct hist_layout *layout);
/* Numbers below next are given to nobody any more. */
void hist_layouts_skip(struct hist_layouts *layouts, uint32_t next);
/* NULL when there is none with the number. */
const struct hist_layout *hist_layouts_get(struct hist_layouts *layouts, uint32_t number);
/* The highest number. */
uint32_t hist_layouts_count(struct hist_layouts *layouts);

/* ---- taking apart ---- */

struct hist_cell { /* what one column of a series has in a row */
    struct column_key key;
    struct num value;
};

/* At most so many cells has h. */
static inline size_t hist_cell_count_max(const struct histogram *h) {
    return 4 + (size_t)h->positive.count + h->negative.count;
}

/* The cells of h by ascending key; hint is what COLUMN_HINT gets, which a gauge has not. out has
 * room for hist_cell_count_max(h). Not for a stale histogram: that is SLOT_STALE in COLUMN_COUNT. */
size_t hist_split(const struct histogram *h, uint32_t layout, enum histogram_hint hint,
                  struct hist_cell *out);

/* Does h end its series? */
static inline bool hist_is_stale(const struct histogram *h) {
    return f64_is_stale(h->sum);
}

/* ---- putting together ---- */

/* A decoded column over rows 0 .. row_count - 1 of something. */
struct hist_column {
    struct column_key key;
    const struct hist_layout *layout; /* NULL for COLUMN_FLOAT and COLUMN_START */
    const double *values; /* of the rows that have the column; a stale row has the stale NaN */
    const uint32_t *rows; /* ascending: values[i] is of rows[i]; NULL: of row i */
    uint32_t count;
};

/* The histograms of a series: out[row] for each row, NULL where there is none. Columns ascend by
 * key; those of floats and start timestamps do not matter. A row that is stale gives a histogram
 * without buckets whose sum is the stale NaN. ERR_CORRUPT when columns do not fit together,
 * ERR_LIMIT when the arena's budget is passed. */
MUST_CHECK enum err_code hist_assemble(struct arena *arena, const struct hist_column *columns,
                                       size_t n, uint32_t row_count, struct histogram **out,
                                       struct err *err);

#endif
