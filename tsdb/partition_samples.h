/* Columns of one series to samples. Private to partition*.c. */
#ifndef TSDB_PARTITION_SAMPLES_H
#define TSDB_PARTITION_SAMPLES_H

#include "tsdb/partition_page.h"
#include "tsdb/sample_room.h"

struct row_pattern { /* series with these rows present share this column */
    const uint64_t *present;
    const int64_t *ts;
    struct row_pattern *next;
};

/* Rows of a timeline that a read needs: whole blocks around the range. */
struct sample_rows {
    bool known;
    uint32_t timeline;
    uint32_t block_count; /* of the timeline */
    uint32_t first_block;
    uint32_t part_count; /* blocks from there */
    uint32_t *part_rows; /* of each */
    uint32_t rows;       /* in sum */
    uint32_t from;       /* those in the range: [from, to) */
    uint32_t to;
    const int64_t *ts;
    struct row_pattern *patterns;
    struct condensed_rows *condensed;        /* partition_condense.c; NULL: none yet */
    const struct partition_ts_block *blocks; /* parts, of a read of windows; ts may be NULL then */
};

/* Memory of one reader. Zeroed at first; all in its arena. */
struct sample_scratch {
    struct block_column column;
    uint64_t *present; /* bits of the rows of one column */
    size_t words;
};

/* Elements of a sample_room that a float's column needs: a block decodes up to 7 behind its rows. */
static inline size_t sample_rows_room(const struct sample_rows *rows) {
    return rows->rows + (size_t)8;
}

/* Samples of a series of the page in the range; all in arena, floats in room unless it is NULL. */
MUST_CHECK enum err_code sample_rows_read(struct sample_rows *rows, struct partition_page *page,
                                          const struct page_series *series,
                                          struct sample_scratch *scratch, struct arena *arena,
                                          struct sample_room *room, struct storage_samples *out,
                                          struct err *err);

#endif
