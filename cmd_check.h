/* brasa check config|rules: promtool's checks with its output and exit codes (spec/promtool.md
 * section 2). cmd_check_rules.c alone needs the alert module. */
#ifndef CMD_CHECK_H
#define CMD_CHECK_H

#include <stdbool.h>
#include <stdio.h>

#include "base/vfs.h"

enum check_exit { CHECK_OK = 0, CHECK_FAILED = 1, CHECK_LINT = 3 };

/* Where a check reads and writes; tests pass streams of their own. */
struct check_io {
    struct vfs *vfs;
    FILE *out, *err;
};

/* Checks one rule file and prints the result; true if it is good. */
typedef bool check_rule_file_fn(const struct check_io *io, const char *path);

/* The arguments behind "check". Returns the exit code. */
int cmd_check(int argc, char *const *argv);

/* The arguments behind "check config": files and --syntax-only. rules checks the rule files that a
 * configuration names; NULL leaves them out. */
int check_config(const struct check_io *io, int argc, char *const *argv, check_rule_file_fn *rules);
/* The arguments behind "check rules": files. */
int check_rules(const struct check_io *io, int argc, char *const *argv);
bool check_rule_file(const struct check_io *io, const char *path);

/* Parses what both commands take. Flags are moved out: *argc and argv keep the files, of which
 * each must exist. false: a message was printed. */
bool check_arguments(const struct check_io *io, int *argc, char **argv, bool *out_syntax_only);

#endif
