/* Where backfilled samples go: a data folder of ours or, with --prometheus-blocks, blocks of
 * Prometheus. One thread. */
#ifndef BACKFILL_TARGET_H
#define BACKFILL_TARGET_H

#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "tools.h"

/* Makes blocks of Prometheus in a folder and counts them. */
typedef enum err_code backfill_make_fn(void *ctx, const char *path, uint64_t *out_blocks,
                                       struct err *err);

/* Makes the blocks and puts them to their place, path. The command has the flags prometheus-blocks,
 * quiet and human-readable. */
MUST_CHECK enum err_code backfill_into(struct tool_call *call, const char *path,
                                       backfill_make_fn *make, void *ctx, struct err *err);

#endif
