/* The files of scrape_failure_log_file: a JSON line for each page that could not be fetched
 * (spec/scrape.md section 7). Jobs that name the same file share it.
 *
 * Owner: the manager; io thread only. A file that cannot be opened or written is reported once and
 * tried again with the next reload; scraping goes on. A line is one write at the file's end. */
#ifndef SCRAPE_FAILURE_LOG_H
#define SCRAPE_FAILURE_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/str.h"
#include "base/vfs.h"

struct failure_log;

struct failure_log *failure_log_new(struct vfs *vfs, struct log *log);
void failure_log_free(struct failure_log *fl); /* NULL is fine */
/* A reload: what is open is closed, and opened again when there is something to write. */
void failure_log_reopen(struct failure_log *fl);
void failure_log_write(struct failure_log *fl, struct str path, int64_t unix_ns, struct str job,
                       struct str url, struct str error);

#endif
