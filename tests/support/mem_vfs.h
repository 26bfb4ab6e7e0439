/* A file system in memory that records what is done to it and can be crashed.
 *
 * Every change is an operation in a log, syncs included. mem_vfs_after_crash builds the disk as
 * it may look when the power fails behind the first n operations: what was synced is there, and
 * of the rest whatever the crash says. One run of a workload thus yields all of its crash states:
 *
 *   for (n = 0; n <= mem_vfs_op_count(v); n++)
 *       for each crash: disk = mem_vfs_after_crash(v, n, crash, seed); open it, check it
 *
 * The disk after a crash is a mem_vfs of its own, so that recovery can be crashed too.
 *
 * The model is what POSIX promises and no more: data is durable by a sync of its file; a name by
 * a sync of its folder, not by one of the file; a rename is atomic and durable by a sync of
 * either folder. Unsynced operations may be lost independently of each other; a write is lost by
 * sectors of 512 bytes, which come whole or not at all.
 *
 * Thread-safe. Files must be closed before mem_vfs_free. */
#ifndef TESTS_SUPPORT_MEM_VFS_H
#define TESTS_SUPPORT_MEM_VFS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/vfs.h"

enum { MEM_VFS_SECTOR_BYTES = 512 };

enum mem_crash {
    MEM_CRASH_LOSE,       /* nothing unsynced survives */
    MEM_CRASH_KEEP,       /* everything does: kill -9 */
    MEM_CRASH_KEEP_NAMES, /* names survive, data does not: files that were renamed too early */
    MEM_CRASH_KEEP_DATA,  /* the other way round */
    MEM_CRASH_TORN,       /* all survives but the second half of the last write, in sectors */
    MEM_CRASH_RANDOM,     /* each operation and sector by the seed */
    MEM_CRASH_COUNT
};

struct mem_vfs;

struct mem_vfs *mem_vfs_new(void);
void mem_vfs_free(struct mem_vfs *v);
struct vfs *mem_vfs_base(struct mem_vfs *v);

/* Bytes that all files together may hold; beyond, writes are ERR_NO_SPACE. Default 1 TiB. */
void mem_vfs_set_capacity(struct mem_vfs *v, uint64_t bytes);

size_t mem_vfs_op_count(struct mem_vfs *v);
/* One operation as a line of text, for the message of a failed test. */
void mem_vfs_describe_op(struct mem_vfs *v, size_t op, struct buf *to);
struct mem_vfs *mem_vfs_after_crash(struct mem_vfs *v, size_t op_count, enum mem_crash crash,
                                    uint64_t seed);

#endif
