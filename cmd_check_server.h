/* brasa check healthy|ready: asks a server (spec/promtool.md section 2.5). */
#ifndef CMD_CHECK_SERVER_H
#define CMD_CHECK_SERVER_H

#include "tools.h"

tool_run_fn cmd_check_healthy;
tool_run_fn cmd_check_ready;

#endif
