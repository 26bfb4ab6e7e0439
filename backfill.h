/* Pages with a time at each sample become blocks of Prometheus (promtool tsdb create-blocks-from
 * openmetrics, spec/promtool.md section 7).
 *
 * The page is gone through once for its times and then once for each window of time that has samples.
 * One thread. Memory: the samples of one window, 24 bytes each, and the labels of its series. */
#ifndef BACKFILL_H
#define BACKFILL_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/progress.h"
#include "base/rng.h"
#include "base/str.h"
#include "base/vfs.h"

struct backfill_options {
    struct vfs *vfs;
    struct clock *clock;
    struct rng *rng;
    struct progress *progress; /* begun by the caller, counts samples; may be NULL */
    const char *path;          /* where the blocks go */
    int64_t block_ms;
    const struct label *labels; /* of every series; they win */
    size_t label_count;
};

struct backfill_result {
    uint64_t samples; /* of the page; exemplars and metadata are passed over */
    uint64_t blocks;
};

/* ERR_INVALID: no OpenMetrics, a sample without a time, times of a series that do not ascend. Blocks
 * that were completed before a failure stay. */
MUST_CHECK enum err_code backfill_openmetrics(struct str page,
                                              const struct backfill_options *options,
                                              struct backfill_result *out, struct err *err);

#endif
