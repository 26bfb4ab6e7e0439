/* brasa tsdb create-blocks-from openmetrics FILE [DIR]: history from a page with times, into a data
 * folder of ours or, with --prometheus-blocks, as blocks of Prometheus. */
#ifndef CMD_TSDB_BACKFILL_H
#define CMD_TSDB_BACKFILL_H

#include "tools.h"

tool_run_fn cmd_tsdb_create_blocks;

#endif
