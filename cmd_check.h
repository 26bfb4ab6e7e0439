/* brasa check config|rules: promtool's checks with its output and exit codes (spec/promtool.md
 * section 2). cmd_check_rules.c alone needs the alert module, and has the commands. */
#ifndef CMD_CHECK_H
#define CMD_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "tools.h"

/* By weight. */
enum check_result { CHECK_OK, CHECK_LINT, CHECK_FAILED };

struct check_options {
    bool syntax_only; /* look at no file that the configuration names */
    bool agent;       /* what an agent may not have is an error */
    bool lint_duplicates;
    bool lint_intervals;
    bool lint_fatal;
    bool any_fields; /* fields of rule files that are not known are passed over */
    int64_t lookback_ms;
    struct query_engine *engine; /* language of rules; may be NULL */
};

/* Checks one rule file and prints the result. */
typedef enum check_result check_rule_file_fn(const struct tool_io *io,
                                             const struct check_options *options, const char *path);

/* Checks configurations. rules checks the rule files that they name; NULL leaves them out. Returns
 * the exit code. */
int check_config(const struct tool_io *io, const struct check_options *options,
                 const char *const *files, size_t count, check_rule_file_fn *rules);
/* TOOL_OK, TOOL_FAILED or, if options say so, TOOL_LINT. */
int check_exit_code(const struct check_options *options, enum check_result result);

check_rule_file_fn check_rule_file;
tool_run_fn cmd_check_config;
/* No file: standard input. */
tool_run_fn cmd_check_rules;

#endif
