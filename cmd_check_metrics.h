/* brasa check metrics: promtool's style checks of a page on standard input, with its output and exit
 * codes (spec/promtool.md 2.3). */
#ifndef CMD_CHECK_METRICS_H
#define CMD_CHECK_METRICS_H

#include "tools.h"

int cmd_check_metrics(struct tool_call *call);

#endif
