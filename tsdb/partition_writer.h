/* Writes a partition: timelines, then series in order, then the index. partition.h has the model.
 *
 * MEMORY. Pages go to disk as they fill; held until the end are what the index needs: each label
 * set once (its blob and 12 bytes), 12 bytes per series, the times of the timelines as encoded, 16
 * bytes per page. While the index is made, dictionaries and postings of one label name at a time.
 *
 * DURABILITY. After a good finish both files and the folder are synced; renaming the folder to its
 * final name is the caller's. Without finish nothing counts: partition_writer_free removes the
 * files and the folder.
 *
 * ERRORS. Once a call failed, all later ones return the same error. One thread at a time. */
#ifndef TSDB_PARTITION_WRITER_H
#define TSDB_PARTITION_WRITER_H

#include "tsdb/partition.h"

struct partition_writer;

/* The index of a partition with less data a series than this is packed: else it is a hundredth of the
 * data or less, and read as it lies in the file. That of two hours of a series each quarter of a minute
 * is packed. */
enum { PARTITION_PACK_INDEX_BELOW = 512 };

/* What one block of a timeline has of a series. */
struct partition_written {
    uint32_t block;   /* of the timeline */
    uint32_t samples; /* not 0 */
    size_t bytes;     /* of all columns */
};

typedef void partition_written_fn(void *ctx, const struct partition_written *written);

struct partition_writer_options {
    struct vfs *vfs;
    const char *dir; /* made; must not exist, its parent must */
    uint32_t number;
    uint8_t level;
    bool out_of_order;
    bool pack;                 /* pages that zstd makes a tenth smaller: for what is seldom read */
    uint32_t pack_index_below; /* bytes of data a series; 0: PARTITION_PACK_INDEX_BELOW */
    bool summaries; /* what series_summary.h has: for what windows of days are read from */
    int64_t start_ms;
    int64_t end_ms;
    const uint32_t *parents; /* ascending; copied */
    uint32_t parent_count;
    uint64_t hash_seed;               /* random: labels are chosen by strangers */
    partition_written_fn *on_written; /* told while a series is written; may be NULL */
    void *on_written_ctx;
};

/* One block of a column. */
struct partition_block {
    bool encode; /* from the column's values and states; else these bytes: */
    const uint8_t
        *bytes; /* n = 0: absent in all rows. A block that refers to another column refers */
    size_t n;   /* to one of this call at the same distance, as partition_series has it */
};

struct partition_column {
    struct column_key key;
    const struct num *values; /* all rows of the timeline; NULL when no block is encoded */
    const uint8_t *states;    /* SLOT_ABSENT, SLOT_VALUE, SLOT_STALE */
    const struct partition_block *blocks; /* one per block of the timeline; NULL: encode all */
};

MUST_CHECK enum err_code partition_writer_begin(const struct partition_writer_options *options,
                                                struct partition_writer **out, struct err *err);

/* The partition's number of a layout, for column keys; 0 when there are too many. Numbers come in
 * the order of first use: a series' columns ascend by them. */
uint32_t partition_writer_layout(struct partition_writer *w, const struct hist_layout *layout);

/* A timeline of rows strictly ascending times, cut into block_count blocks of block_rows rows (1 ..
 * BLOCK_ROWS_MAX each, rows in sum); block_rows NULL: balanced blocks of at most
 * PARTITION_BLOCK_ROWS. May come at any time before the series that uses it. */
MUST_CHECK enum err_code partition_writer_timeline(struct partition_writer *w, const int64_t *ts,
                                                   uint32_t rows, const uint32_t *block_rows,
                                                   uint32_t block_count, uint32_t *out_timeline,
                                                   struct err *err);
/* How partition_writer_timeline balances: block i of n begins at this row. */
static inline uint32_t partition_balanced_blocks(uint32_t rows) {
    return (rows + PARTITION_BLOCK_ROWS - 1) / PARTITION_BLOCK_ROWS;
}
static inline uint32_t partition_balanced_row(uint32_t rows, uint32_t n, uint32_t i) {
    return (uint32_t)((uint64_t)rows * i / n);
}

/* The next series: by metric name, then labels_cmp of both sets together; equal labels may come
 * again (another timeline), the earlier one wins at equal times. No name is in both sets. Columns
 * ascend by key. A series without any block is left out. Everything is borrowed. ERR_LIMIT,
 * ERR_NO_SPACE, ERR_IO; ERR_INVALID: out of order. */
MUST_CHECK enum err_code partition_writer_series(struct partition_writer *w, struct labels target,
                                                 struct labels metric, uint32_t timeline,
                                                 const struct partition_column *columns,
                                                 uint32_t column_count, struct err *err);
/* Order of series; also what a merge compares by. */
int partition_series_cmp(struct labels target_a, struct labels metric_a, struct labels target_b,
                         struct labels metric_b);

/* Writes and syncs all. info->parents is not set. */
MUST_CHECK enum err_code partition_writer_finish(struct partition_writer *w,
                                                 struct partition_info *info, struct err *err);
/* After finish, or instead of it. NULL is fine. */
void partition_writer_free(struct partition_writer *w);

#endif
