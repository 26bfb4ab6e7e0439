/* brasa tsdb create-blocks-from openmetrics FILE [DIR] and rules FILE...: history from a page with
 * times, or of what rules would have recorded, into a data folder of ours or, with
 * --prometheus-blocks, as blocks of Prometheus. */
#ifndef CMD_TSDB_BACKFILL_H
#define CMD_TSDB_BACKFILL_H

#include "tools.h"

tool_run_fn cmd_tsdb_create_blocks;
tool_run_fn cmd_tsdb_create_blocks_from_rules;

#endif
