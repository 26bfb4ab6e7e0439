/* The summary of a series in an open partition: series_summary.h. Private to partition*.c. */
#ifndef TSDB_PARTITION_SUMMARY_H
#define TSDB_PARTITION_SUMMARY_H

#include "tsdb/partition_index.h"
#include "tsdb/series_summary.h"

/* Reads that of the series, whose timeline has so many blocks, to arena; out->blocks is NULL when
 * nothing is known, as always in partitions without. ERR_CORRUPT; ERR_LIMIT. */
MUST_CHECK enum err_code partition_summary(struct partition *p, uint32_t series,
                                           uint32_t block_count, struct arena *arena,
                                           struct series_summary *out, struct err *err);

#endif
