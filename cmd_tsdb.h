/* brasa tsdb list|dump|dump-openmetrics|import|verify (spec/promtool.md section 7). list and dumps read
 * data folders of Prometheus and of Brasa; the latter no server may have open meanwhile. */
#ifndef CMD_TSDB_H
#define CMD_TSDB_H

#include "tools.h"

tool_run_fn cmd_tsdb_list;
tool_run_fn cmd_tsdb_dump;
tool_run_fn cmd_tsdb_dump_openmetrics;
tool_run_fn cmd_tsdb_import;
tool_run_fn cmd_tsdb_verify;

#endif
