/* What a summary says of the blocks of a series, held against their samples. For verification: a
 * wrong summary gives wrong answers without any samples being wrong.
 *
 * Owner: the caller. One thread. */
#ifndef TSDB_SUMMARY_CHECK_H
#define TSDB_SUMMARY_CHECK_H

#include "tsdb/series_summary.h"

struct summary_check {
    const struct series_summary *summary; /* borrowed */
    uint32_t next;                        /* block */
    bool joins;                           /* the block before is plain, and ended with last */
    double last;
    struct num first; /* of the series */
};

void summary_check_begin(struct summary_check *c, const struct series_summary *summary);
/* The next block, its rows' values and states (enum slot_state). NULL: it is as the summary says, which may
 * be nothing; else what is not, in a word or two. */
const char *summary_check_block(struct summary_check *c, const struct num *values,
                                const uint8_t *states, uint32_t rows);

#endif
