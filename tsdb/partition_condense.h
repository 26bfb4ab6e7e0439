/* Samples of a series for windows of time, without those that a summary stands for: series_summary.h,
 * storage_samples in storage.h. Private to partition*.c. */
#ifndef TSDB_PARTITION_CONDENSE_H
#define TSDB_PARTITION_CONDENSE_H

#include "tsdb/partition_samples.h"

/* Of one reader. */
struct condenser {
    const struct storage_windows *windows; /* NULL: nothing is condensed */
    int64_t min_ts_ms;
    int64_t max_ts_ms;
    struct arena *arena;  /* for what is read */
    struct arena scratch; /* of the series that is read */
};

/* windows may be NULL; they are used when their partition has summaries, and when all of their edges are
 * times that can be reckoned with. */
void condenser_init(struct condenser *c, const struct storage_windows *windows, int64_t min_ts_ms,
                    int64_t max_ts_ms, struct arena *arena);
void condenser_release(struct condenser *c);
/* Reads series number, of the page and on rows. *out_done is false, and nothing is read, when no block can be
 * left out. */
MUST_CHECK enum err_code condenser_read(struct condenser *c, struct sample_rows *rows,
                                        struct partition_page *page,
                                        const struct page_series *series, uint32_t number,
                                        struct storage_samples *out, bool *out_done,
                                        struct err *err);

#endif
