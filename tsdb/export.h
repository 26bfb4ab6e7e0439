/* Writes what a storage has as blocks of Prometheus, which its tools and server read as their own.
 *
 * One block for each aligned window of time that has samples, oldest first; series with any of the
 * selectors. Samples, stale markers and native histograms (integer and float counts) come out as they
 * went in; exemplars, metadata and start timestamps have no place in a block.
 *
 * One thread. Memory: the samples of EXPORT_BATCH series in one window, and see
 * prom_block_writer.h. */
#ifndef TSDB_EXPORT_H
#define TSDB_EXPORT_H

#include <stdint.h>

#include "base/attr.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/progress.h"
#include "base/rng.h"
#include "base/vfs.h"
#include "tsdb/prom_block.h"
#include "tsdb/prom_dump.h"
#include "tsdb/storage.h"

enum { EXPORT_BATCH = 64 };
#define EXPORT_BLOCK_MS (INT64_C(2) * 3600 * 1000)

/* Once per block, when it is in place. */
typedef void export_block_fn(void *ctx, const struct prom_block_meta *meta);

struct export_options {
    struct vfs *vfs;
    struct clock *clock;
    struct rng *rng;
    const struct cancel *cancel; /* may be NULL */
    struct progress *progress;   /* begun by the caller, counts seconds of data; may be NULL */
    const char *path;            /* where to */
    int64_t block_ms;            /* 0: EXPORT_BLOCK_MS */
    int64_t mint;                /* closed at both ends */
    int64_t maxt;
    const struct prom_selector *selectors; /* series of any of them; none: all series */
    size_t selector_count;
    export_block_fn *on_block; /* may be NULL */
    void *ctx;
};

struct export_result {
    uint64_t blocks;
    uint64_t samples;
    uint64_t series; /* summed over the blocks */
};

/* The longest block of 2 h, 6 h, 18 h ... that is no longer than max_ms. */
int64_t export_block_length(int64_t max_ms);

/* What was completed before a failure stays; *out is filled as far as the work went. */
MUST_CHECK enum err_code export_storage(struct storage *st, const struct export_options *options,
                                        struct export_result *out, struct err *err);

#endif
