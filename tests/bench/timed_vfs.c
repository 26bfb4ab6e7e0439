#include "tests/bench/timed_vfs.h"

#include <stddef.h>
#include <time.h>

#include "base/clock.h"

int64_t timed_cpu_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static enum err_code timed_pwrite(struct vfs_file *f, const void *from, size_t n, uint64_t offset,
                                  struct err *err) {
    struct timed_vfs *const timed =
        (void *)((char *)(uintptr_t)f->ops - offsetof(struct timed_vfs, file_ops));
    const int64_t start_ns = timed_cpu_ns();
    const enum err_code code = timed->system_file_ops->pwrite(f, from, n, offset, err);
    timed->write_ns += timed_cpu_ns() - start_ns;
    return code;
}

/* Files are those of the system, with another table. */
static enum err_code timed_open(struct vfs *vfs, const char *path, unsigned flags,
                                struct vfs_file **out, struct err *err) {
    struct timed_vfs *const timed = (struct timed_vfs *)vfs;
    const enum err_code code = vfs_open(vfs_system(), path, flags, out, err);
    if (code == ERR_OK) {
        timed->system_file_ops = (*out)->ops;
        timed->file_ops = *(*out)->ops;
        timed->file_ops.pwrite = timed_pwrite;
        (*out)->ops = &timed->file_ops;
    }
    return code;
}

void timed_vfs_init(struct timed_vfs *timed) {
    *timed = (struct timed_vfs){.ops = *vfs_system()->ops};
    timed->ops.open = timed_open;
    timed->vfs.ops = &timed->ops;
}
