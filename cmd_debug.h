/* brasa debug scrape URL: one scrape for people. What was received, what was parsed and where it is
 * wrong, and what a job's relabelling makes of target and series. Exit code 1 if the scrape would
 * fail. Output fits 80 columns but for long names. */
#ifndef CMD_DEBUG_H
#define CMD_DEBUG_H

#include "tools.h"

tool_run_fn cmd_debug_scrape;

#endif
