/* A vfs for reading files that others own, with code that would repair them: what was added is there
 * as it was then, and every change stays in memory.
 *
 *     scratch = vfs_scratch_new(vfs_system(), 64 << 20)
 *     vfs_scratch_add(scratch, "data")
 *     vfs_scratch_add(scratch, "data/a")     held open: renamed, removed below, it stays here
 *
 * Nothing below is written, made, locked or removed, so no right to write is needed. Of a changed
 * file the bytes before the first change come from below, all others are kept. Names are those that
 * were added or made here, no others.
 *
 * Thread-safe as every vfs. Files must be closed before vfs_scratch_free. */
#ifndef BASE_VFS_SCRATCH_H
#define BASE_VFS_SCRATCH_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/vfs.h"

struct vfs_scratch;

/* max_bytes: of all changes; beyond, writes are ERR_NO_SPACE. inner must outlive it. */
struct vfs_scratch *vfs_scratch_new(struct vfs *inner, size_t max_bytes);
void vfs_scratch_free(struct vfs_scratch *v); /* NULL is fine */
struct vfs *vfs_scratch_base(struct vfs_scratch *v);

/* Takes a file of inner over, with its name, as long as it is now; or a folder, without what is in it.
 * ERR_NOT_FOUND, ERR_IO. */
MUST_CHECK enum err_code vfs_scratch_add(struct vfs_scratch *v, const char *path, struct err *err);
/* Of a file that was added: the zeros at its end are space that its owner took ahead, and stay zeros
 * when he fills it. */
MUST_CHECK enum err_code vfs_scratch_end(struct vfs_scratch *v, const char *path, struct err *err);
/* Forgets the files and folders in a folder, not the folder. */
void vfs_scratch_forget(struct vfs_scratch *v, const char *dir);

#endif
