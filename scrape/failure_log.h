/* The files of scrape_failure_log_file: a JSON line for each page that could not be fetched
 * (spec/scrape.md section 7). Jobs that name the same file share it.
 *
 * Owner: the manager; called on the io thread, which never waits for a disk: a thread of its own
 * opens, writes and closes. What it has not written yet is bounded, lines beyond that are dropped
 * and counted. A file that cannot be opened or written is reported once and tried again with the
 * next reload; scraping goes on. A line is one write at the file's end. */
#ifndef SCRAPE_FAILURE_LOG_H
#define SCRAPE_FAILURE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/metric.h"
#include "base/str.h"
#include "base/vfs.h"

struct failure_log;

/* Lines that wait for the disk, and their bytes. */
enum { FAILURE_LOG_LINES_MAX = 4096, FAILURE_LOG_BYTES_MAX = 4 * 1024 * 1024 };

/* threaded = false: lines are written at once, for tests without threads. */
struct failure_log *failure_log_new(struct vfs *vfs, struct log *log,
                                    struct metric_registry *registry, bool threaded);
/* What waits is written first. NULL is fine. */
void failure_log_free(struct failure_log *fl);
/* A reload: what is open is closed, and opened again when there is something to write. */
void failure_log_reopen(struct failure_log *fl);
void failure_log_write(struct failure_log *fl, struct str path, int64_t unix_ns, struct str job,
                       struct str url, struct str error);

#endif
