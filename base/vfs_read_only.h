/* A vfs around another that changes nothing: files are opened for reading, whatever is asked for, and
 * every change of a name or a size fails. For looking at a directory that somebody else uses, with
 * code that would repair it. The inner vfs must outlive it. */
#ifndef BASE_VFS_READ_ONLY_H
#define BASE_VFS_READ_ONLY_H

#include "base/vfs.h"

struct vfs_read_only {
    struct vfs base; /* hand out &x.base */
    struct vfs *inner;
};

void vfs_read_only_init(struct vfs_read_only *v, struct vfs *inner);

#endif
