/* brasa query instant|range|series|labels|analyze|explain: asks a server and prints the answer as
 * promtool does (spec/promtool.md section 3). */
#ifndef CMD_QUERY_H
#define CMD_QUERY_H

#include "tools.h"

tool_run_fn cmd_query_instant;
tool_run_fn cmd_query_range;
tool_run_fn cmd_query_series;
tool_run_fn cmd_query_labels;
/* How many buckets histograms fill (bucket_stats.h). */
tool_run_fn cmd_query_analyze;
/* Ours: the plan of a query as a tree with its costs, one node a line. */
tool_run_fn cmd_query_explain;

#endif
