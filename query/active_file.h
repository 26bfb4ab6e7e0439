/* queries.active: which queries are being evaluated, in a file that a crash leaves behind, so that
 * the next start can say which one may have caused it (spec/promql.md section 10).
 *
 * FORMAT. "[", then slots of ACTIVE_SLOT_BYTES, each {"query":"...","timestamp_sec":N} and zeros,
 * with "," as the slot's last byte; a slot that is not in use is zero. Nothing is synced: the page
 * cache outlives the process.
 *
 * Owner: the engine. Any thread; mu is a leaf and held for one small write. */
#ifndef QUERY_ACTIVE_FILE_H
#define QUERY_ACTIVE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/vfs.h"

struct active_file;

enum { ACTIVE_SLOT_BYTES = 1000, ACTIVE_SLOTS_MAX = 10000 };

/* Logs what an earlier process left and starts the file anew. */
MUST_CHECK enum err_code active_file_open(struct vfs *vfs, const char *path, uint32_t slots,
                                          struct log *log, struct active_file **out,
                                          struct err *err);
/* An orderly end: nothing is left for the next start. NULL is fine. */
void active_file_close(struct active_file *file);

/* A slot for active_file_end; -1 when all are in use or file is NULL. */
int active_file_begin(struct active_file *file, struct str text, int64_t unix_s);
void active_file_end(struct active_file *file, int slot);

#endif
