/* A data directory as it is at one moment, for tools that read: nothing in it is written, removed or
 * locked, a server may go on working on it, and no right to write is needed. Of a running server's
 * data all that it has written before is there, sealed or not.
 *
 *     frozen_take(vfs, path, &scratch)
 *     tsdb_open with vfs_scratch_base(scratch), no_lock_file, no_background
 *
 * What opening repairs and writes stays in memory, FROZEN_CHANGES_BYTES_MAX at most. Costs one open
 * file for each one in the directory. Any thread. */
#ifndef TSDB_FROZEN_H
#define TSDB_FROZEN_H

#include "base/attr.h"
#include "base/err.h"
#include "base/vfs.h"
#include "base/vfs_scratch.h"

enum { FROZEN_CHANGES_BYTES_MAX = 256 << 20 };

/* ERR_NOT_FOUND: no such folder. ERR_IO: a file cannot be read, or the folder changes faster than it can
 * be listed. The caller owns *out and ends it with vfs_scratch_free. */
MUST_CHECK enum err_code frozen_take(struct vfs *vfs, const char *path, struct vfs_scratch **out,
                                     struct err *err);

#endif
