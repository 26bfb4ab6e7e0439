/* What the tools of databases share: opening one, selectors and numbers of the command line. One
 * thread. */
#ifndef TSDB_TOOL_H
#define TSDB_TOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/vfs_scratch.h"
#include "tools.h"
#include "tsdb/prom_dump.h"
#include "tsdb/tsdb.h"

/* Warnings to standard error. */
struct log *tsdb_tool_log(void);
/* A database of ours to be written to, which no server may have open meanwhile. log must outlive it. */
MUST_CHECK enum err_code tsdb_tool_open(const char *path, struct log *log, struct tsdb **out,
                                        struct err *err);

/* The folder of a database of ours as it is now, whether or not a server has it: see tsdb/frozen.h. The
 * caller ends it with vfs_scratch_free. */
MUST_CHECK enum err_code tsdb_tool_freeze(struct tool_call *call, const char *path,
                                          struct vfs_scratch **out, struct err *err);

/* A database that is only read. */
struct tsdb_reader {
    struct vfs_scratch *folder;
    struct tsdb *db;
};
MUST_CHECK enum err_code tsdb_reader_open(struct tool_call *call, const char *path, struct log *log,
                                          struct tsdb_reader *out, struct err *err);
void tsdb_reader_close(struct tsdb_reader *reader);
/* Makes partitions of all that is in the head, in the frozen folder only. */
MUST_CHECK enum err_code tsdb_tool_cut(struct vfs_scratch *folder, const char *path,
                                       struct log *log, struct err *err);

/* The selectors of --match, in the call's arena. */
MUST_CHECK enum err_code tsdb_tool_selectors(struct tool_call *call, struct prom_selector **out,
                                             size_t *out_count, struct err *err);
/* The milliseconds of a flag; missing when it is not given. */
MUST_CHECK enum err_code tsdb_tool_time(const struct tool_call *call, const char *flag,
                                        int64_t missing, int64_t *out, struct err *err);
/* Prints the error and gives the exit code. */
int tsdb_tool_fail(const struct tool_call *call, const struct err *err);
/* To standard error, unless --quiet. */
void tsdb_tool_progress(const struct tool_call *call, const char *phase, const char *unit,
                        struct progress *out);

#endif
