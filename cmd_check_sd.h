/* brasa check service-discovery: what a job's discovery finds and what relabelling makes of it, with
 * promtool's output (spec/promtool.md section 2.6). */
#ifndef CMD_CHECK_SD_H
#define CMD_CHECK_SD_H

#include "tools.h"

/* Discovers until --timeout is over; a job of static targets alone is done at once. Prints a JSON
 * array; why a target cannot be made stands on the error stream, as the array says only that. */
tool_run_fn cmd_check_service_discovery;

#endif
