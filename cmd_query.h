/* brasa query instant|range|series|labels: asks a server and prints the answer as promtool does
 * (spec/promtool.md section 3). */
#ifndef CMD_QUERY_H
#define CMD_QUERY_H

#include "tools.h"

tool_run_fn cmd_query_instant;
tool_run_fn cmd_query_range;
tool_run_fn cmd_query_series;
tool_run_fn cmd_query_labels;

#endif
