/* What reading a group's floats and reading its histograms share. Private to head_read*.c. */
#ifndef TSDB_HEAD_READ_H
#define TSDB_HEAD_READ_H

#include "tsdb/head.h"
#include "tsdb/sample_room.h"

struct read_part {           /* rows [from, to) of a run or of the window, at column offset at */
    struct segment_run *run; /* NULL: the window */
    const int64_t *ts;
    uint32_t rows; /* of the whole run */
    uint32_t from;
    uint32_t to;
    size_t at;
    uint64_t *doubted; /* rows from from on whose histograms may lack a part; NULL: not looked up */
};

struct open_slot { /* copy of a slot's open rows */
    struct value_state last;
    const uint8_t *bytes;
    uint32_t len;
    uint32_t rows;
};

struct read_pattern { /* series with these rows present share this column */
    const uint64_t *present;
    const int64_t *ts;
    struct read_pattern *next;
};

struct read_bundle { /* hidden columns of a wanted slot: numbers into columns */
    uint32_t first;
    uint32_t count;
};

struct read_buffer { /* a decoded column, reused */
    double *values;
    uint32_t *rows;
};

struct group_read {
    const struct head_read *read;
    struct head_group *group;
    struct err *err;
    struct read_part *parts;
    size_t part_count;
    struct open_slot *open; /* of the wanted slots, the hidden ones in columns, the lost ones */
    const int64_t *ts;      /* the column */
    size_t rows;
    uint32_t rows_max;          /* of a part */
    struct block_column column; /* scratch of a decode */
    uint64_t *present;          /* scratch of a slot */
    struct read_pattern *patterns;

    struct read_bundle *bundles; /* of each wanted slot; NULL: there is none in the group */
    struct group_column *columns;
    size_t column_count;
    const uint32_t *lost; /* slots that may have been columns: head_lost.c */
    size_t lost_count;
    struct read_buffer *buffers; /* scratch: as many as the largest bundle has columns, and one */
    struct hist_column *hist;    /* scratch: likewise */
};

enum err_code read_over_budget(struct group_read *r);
/* The wanted slots, from all parts, which follow each other in time. */
MUST_CHECK enum err_code read_slots(struct group_read *r, const uint32_t *slots, size_t n,
                                    struct storage_samples *out);
static inline void read_mark(struct group_read *r, size_t row) {
    r->present[row / 64] |= UINT64_C(1) << row % 64;
}
static inline void read_mark_rows(struct group_read *r, size_t from, size_t to) {
    while (from < to) {
        const size_t end = (from | 63) + 1 < to ? (from | 63) + 1 : to;
        r->present[from / 64] |= (UINT64_MAX >> (64 - (end - from))) << from % 64;
        from = end;
    }
}
/* The times of the rows that are marked, shared with series that have the same ones. */
MUST_CHECK enum err_code read_choose_column(struct group_read *r, struct storage_samples *out);
/* A series with hidden columns: wanted is its number. */
MUST_CHECK enum err_code read_bundle(struct group_read *r, uint32_t slot, size_t wanted,
                                     size_t wanted_count, struct storage_samples *out);

/* ---- late_read.c ---- */

/* Brings a copy of a late group's window into the order of time: rows and n slots. */
MUST_CHECK enum err_code read_sort_window(struct group_read *r, struct read_part *window, size_t n);
/* read_slots for parts that overlap; earlier ones count. */
MUST_CHECK enum err_code read_late_slots(struct group_read *r, const uint32_t *slots, size_t n,
                                         struct storage_samples *out);

#endif
