/* brasa tsdb analyze [DIR] [BLOCK]: cardinality, churn and bytes of a block or a partition. */
#ifndef CMD_TSDB_ANALYZE_H
#define CMD_TSDB_ANALYZE_H

#include "tools.h"

tool_run_fn cmd_tsdb_analyze;

#endif
