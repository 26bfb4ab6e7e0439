/* What rules would have recorded becomes blocks of Prometheus (promtool tsdb create-blocks-from
 * rules, spec/promtool.md section 7).
 *
 * A server is asked each rule over each window of a block's length, at the times at which the group
 * would have been evaluated. One thread. Memory: the samples of one window and one answer.
 *
 * A window in which a rule has no time is passed over. promtool ends there, and so makes nothing of a range
 * that begins behind the last such time of a block. */
#ifndef BACKFILL_RULES_H
#define BACKFILL_RULES_H

#include <stddef.h>
#include <stdint.h>

#include "alert/alert.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/progress.h"
#include "base/rng.h"
#include "base/vfs.h"
#include "query_answer.h"

/* The matrix that a server answers: expr from start_ms to end_ms, both included. *out lives until
 * the next call. */
typedef enum err_code backfill_range_fn(void *ctx, struct str expr, int64_t start_ms,
                                        int64_t end_ms, int64_t step_ns, struct answer *out,
                                        struct err *err);

struct backfill_rules_options {
    struct vfs *vfs;
    struct clock *clock;
    struct rng *rng;
    struct progress *progress; /* begun by the caller, counts questions; may be NULL */
    const char *path;          /* where the blocks go */
    int64_t block_ms;
    int64_t start_ms, end_ms; /* whole seconds */
    backfill_range_fn *ask;
    void *ask_ctx;
};

/* Of two rules that make the same sample, the first one's stays; histograms are left out. *out_blocks
 * is set also on failure: blocks that were completed stay. ERR_INVALID: not a matrix. */
MUST_CHECK enum err_code backfill_rules(const struct rule_history *rules, size_t rule_count,
                                        const struct backfill_rules_options *options,
                                        uint64_t *out_blocks, struct err *err);

#endif
