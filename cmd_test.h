/* brasa test promql|rules: scripts of PromQL tests (spec/promql.md section 12), unit tests of rules
 * (spec/rules-alerts.md section 6). */
#ifndef CMD_TEST_H
#define CMD_TEST_H

#include "tools.h"

/* Failures go to stderr, each with file:line and reason; the last line of stdout counts. With
 * --storage=tsdb the scripts run against a database (script_storage.h). */
tool_run_fn cmd_test_promql;
/* Per file SUCCESS, or FAILED and what differs; output is promtool's. */
tool_run_fn cmd_test_rules;

#endif
