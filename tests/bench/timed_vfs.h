/* The disk, with a clock on writes: how long this thread was in them. For a benchmark with one thread. */
#ifndef TESTS_BENCH_TIMED_VFS_H
#define TESTS_BENCH_TIMED_VFS_H

#include <stdint.h>

#include "base/vfs.h"

struct timed_vfs {
    struct vfs vfs; /* first */
    struct vfs_ops ops;
    struct vfs_file_ops file_ops;
    const struct vfs_file_ops *system_file_ops;
    int64_t write_ns; /* so far, CPU time of the thread */
};

void timed_vfs_init(struct timed_vfs *timed);
/* CPU time of the calling thread, the kernel's work for it included. */
int64_t timed_cpu_ns(void);

#endif
