/* Which sets and which timeline each series of a partition has, while the partition is written: as few bytes
 * as the file will have, for there may be millions of series.
 *
 * Owner: struct partition_writer. One thread. */
#ifndef TSDB_PARTITION_SERIES_TABLE_H
#define TSDB_PARTITION_SERIES_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "tsdb/partition_format.h"

enum series_column { SERIES_TARGET, SERIES_METRIC, SERIES_TIMELINE, SERIES_COLUMNS };

struct series_table {
    uint32_t *ends; /* of blocks in bytes, both as the section has them */
    size_t block_count;
    size_t block_capacity;
    struct buf bytes;
    uint32_t open[SERIES_COLUMNS][PARTITION_SERIES_GROUP]; /* of the block that is not complete */
    size_t open_count;
    size_t last_count; /* of series in the last block, when that is not full */
};

void series_table_init(struct series_table *table);
void series_table_release(struct series_table *table);
void series_table_add(struct series_table *table, uint32_t target, uint32_t metric,
                      uint32_t timeline);
/* No more series come; before anything is read. bytes.failed: it is too large. */
void series_table_finish(struct series_table *table);
/* A column (of sets) of all series of a block; returns their number. */
size_t series_table_sets(const struct series_table *table, size_t block, enum series_column column,
                         uint32_t out[PARTITION_SERIES_GROUP]);

#endif
