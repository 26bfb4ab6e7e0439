/* A vfs around another that fails the n-th call of the kinds a test asks for.
 *
 *   for (n = 0;; n++) {
 *       fault_vfs_plan(f, (struct fault_plan){.ops = FAULT_WRITE, .after = n, .sys_errno = EIO});
 *       run the scenario and check it;
 *       if (fault_vfs_failures(f) == 0) break;   every call has been failed once
 *   }
 *
 * It also counts syncs of a file whose sync has failed before: nobody may do that. Thread-safe.
 * The inner vfs must outlive it; files must be closed before fault_vfs_free. */
#ifndef TESTS_SUPPORT_FAULT_VFS_H
#define TESTS_SUPPORT_FAULT_VFS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/vfs.h"

enum fault_op {
    FAULT_OPEN = 1 << 0,
    FAULT_STAT = 1 << 1,
    FAULT_LIST = 1 << 2,
    FAULT_MKDIR = 1 << 3,
    FAULT_RENAME = 1 << 4,
    FAULT_UNLINK = 1 << 5,
    FAULT_RMDIR = 1 << 6,
    FAULT_LINK = 1 << 7,
    FAULT_SYNC_DIR = 1 << 8,
    FAULT_LOCK = 1 << 9,
    FAULT_FREE_BYTES = 1 << 10,
    FAULT_READ = 1 << 11,
    FAULT_WRITE = 1 << 12,
    FAULT_SYNC = 1 << 13,
    FAULT_TRUNCATE = 1 << 14,
    FAULT_ALLOCATE = 1 << 15,
    FAULT_SIZE = 1 << 16,
    FAULT_CHANGES = FAULT_MKDIR | FAULT_RENAME | FAULT_UNLINK | FAULT_RMDIR | FAULT_LINK |
                    FAULT_SYNC_DIR | FAULT_WRITE | FAULT_SYNC | FAULT_TRUNCATE | FAULT_ALLOCATE,
    FAULT_ANY = (1 << 17) - 1
};

struct fault_plan {
    unsigned ops;     /* kinds that count; 0 = nothing fails */
    size_t after;     /* so many of them succeed first */
    int sys_errno;    /* EIO, ENOSPC, ... */
    bool sticky;      /* all later ones fail too, not only one */
    bool short_write; /* a failing write puts its first half to the file */
};

struct fault_vfs;

struct fault_vfs *fault_vfs_new(struct vfs *inner);
void fault_vfs_free(struct fault_vfs *f);
struct vfs *fault_vfs_base(struct fault_vfs *f);
/* Starts to count anew. */
void fault_vfs_plan(struct fault_vfs *f, struct fault_plan plan);
size_t fault_vfs_calls(struct fault_vfs *f);    /* of the planned kinds */
size_t fault_vfs_failures(struct fault_vfs *f); /* made by the plan */
size_t fault_vfs_repeated_syncs(struct fault_vfs *f);

#endif
