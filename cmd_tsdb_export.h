/* brasa tsdb export DIR OUT: the data of a database of ours as blocks of Prometheus. */
#ifndef CMD_TSDB_EXPORT_H
#define CMD_TSDB_EXPORT_H

#include "tools.h"

tool_run_fn cmd_tsdb_export;

#endif
