/* What the files of a merge share (compactor_merge.c, merge_input.c, merge_chain.c, merge_places.c).
 * Private to them. */
#ifndef TSDB_COMPACTOR_MERGE_H
#define TSDB_COMPACTOR_MERGE_H

#include "base/arena.h"
#include "tsdb/compactor_impl.h"
#include "tsdb/partition.h"

enum { MERGE_NONE = UINT32_MAX, KNOWN_TIMELINES = 16 };

struct merge_input {
    struct partition *p;
    const struct partition_info *info;
    struct partition_cursor *cursor;
    struct partition_series series; /* the next one */
    bool has;
    uint32_t *layouts;  /* the output's numbers of its layouts; 0 = not asked yet */
    uint32_t *chain_of; /* by timeline: the newest chain that has it, or MERGE_NONE */
};

struct merge_block { /* of a chain */
    uint32_t row;
    uint32_t rows;
    uint32_t input;
    uint32_t first; /* blocks of the input's timeline: one is copied, several are joined */
    uint32_t count;
};

struct merge_chain {
    uint32_t number;     /* of the output's timeline */
    uint32_t *timelines; /* by input, or MERGE_NONE */
    struct merge_block *blocks;
    uint32_t block_count;
    uint32_t rows;
};

struct merge_timelines { /* of overlapping ones */
    int64_t *ts[KNOWN_TIMELINES];
    uint32_t rows[KNOWN_TIMELINES];
    uint32_t numbers[KNOWN_TIMELINES];
    uint32_t next;
};

struct merge {
    struct compactor *c;
    struct partition_writer *writer;
    struct partition_writer_options options;
    struct merge_input *inputs; /* in a row: by time; overlapping: by rank */
    uint32_t count;
    bool overlapping;
    struct tombstones *tombstones; /* NULL: nothing is deleted */
    uint64_t deleted;              /* rows that were left out */
    struct merge_chain *chains;
    uint32_t chain_count;
    uint32_t chain_capacity;
    struct merge_timelines known;
    struct arena arena; /* of the series that is written */
    int64_t since_ns;
    uint64_t damaged;
};
struct column_list {
    struct column_key *keys; /* ascending */
    uint32_t count;
};

struct row_column { /* being put together */
    struct num *values;
    uint8_t *states;
    struct partition_block *blocks;
};

/* Says so in log and metrics; the merge goes on. */
void merge_report(struct merge *m, const struct err *err);

/* ---- merge_input.c ---- */

MUST_CHECK enum err_code merge_open_inputs(struct merge *m, const uint32_t *numbers, uint32_t n,
                                           struct err *err);
void merge_close_inputs(struct merge *m);
/* The input's next series. */
MUST_CHECK enum err_code merge_step(struct merge *m, struct merge_input *in, struct err *err);
/* The inputs whose next series is the first of all; 0: the end. */
uint32_t merge_first_series(struct merge *m, uint32_t *out);
/* Appends the output's keys of an input's columns. */
void merge_add_keys(struct merge *m, struct merge_input *in, const struct column_key *keys,
                    uint32_t n, struct column_list *list);
/* Sorts; how many are left. */
uint32_t merge_unique_keys(struct column_key *keys, uint32_t n);
/* Number of the key in the list; MERGE_NONE when its layout is lost. */
uint32_t merge_column_of(struct merge *m, struct merge_input *in, struct column_key key,
                         const struct column_list *list);
/* Room for values and states of all rows, absent at first. */
MUST_CHECK enum err_code merge_start_column(struct merge *m, struct row_column *to, uint32_t rows,
                                            struct err *err);
MUST_CHECK enum err_code merge_write_columns(struct merge *m, const struct partition_series *labels,
                                             uint32_t timeline, const struct column_list *list,
                                             const struct row_column *columns, struct err *err);

/* ---- merge_chain.c, merge_places.c: the first series of all, from these n inputs ---- */

MUST_CHECK enum err_code merge_in_row(struct merge *m, const uint32_t *which, uint32_t n,
                                      struct err *err);
MUST_CHECK enum err_code merge_overlapping(struct merge *m, const uint32_t *which, uint32_t n,
                                           struct err *err);

#endif
