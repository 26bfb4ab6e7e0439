/* brasa promql format|label-matchers: expressions printed prettily and edited (spec/promtool.md
 * section 8). */
#ifndef CMD_PROMQL_H
#define CMD_PROMQL_H

#include "tools.h"

tool_run_fn cmd_promql_format;
tool_run_fn cmd_promql_matcher_set;
tool_run_fn cmd_promql_matcher_delete;

#endif
