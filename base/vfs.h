/* Files. Storage reaches the disk only through a struct vfs, so that tests swap it:
 *   vfs_system()            the real disk                          (base/vfs_system.c)
 *   tests/support/mem_vfs   in memory, with crash states           (unsynced data lost, kept, torn)
 *   tests/support/fault_vfs fails the n-th call with EIO, ENOSPC, short writes
 *
 * Durability: a write is in the page cache when it returns; it survives power loss once a later
 * sync of the same file returned ERR_OK and, for a new name, sync_dir of its folder. A failed
 * sync must never be retried: the caller abandons the file. Paths are NUL-terminated.
 * vfs objects are thread-safe; one vfs_file may be read by many threads and written by one. */
#ifndef BASE_VFS_H
#define BASE_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

struct vfs {
    const struct vfs_ops *ops;
};

struct vfs_file {
    const struct vfs_file_ops *ops;
};

enum vfs_flags {
    VFS_READ = 0,
    VFS_WRITE = 1 << 0,     /* read and write */
    VFS_CREATE = 1 << 1,    /* create if missing */
    VFS_EXCLUSIVE = 1 << 2, /* with CREATE: ERR_EXISTS if it is there */
    VFS_TRUNCATE = 1 << 3,
};

struct vfs_stat {
    uint64_t size_bytes;
    int64_t mtime_ns;
    bool is_dir;
};

/* Called per entry, in no order, "." and ".." left out; false stops. */
typedef bool vfs_list_fn(void *ctx, const char *name);

struct vfs_ops {
    enum err_code (*open)(struct vfs *vfs, const char *path, unsigned flags, struct vfs_file **out,
                          struct err *err);
    enum err_code (*stat)(struct vfs *vfs, const char *path, struct vfs_stat *out, struct err *err);
    enum err_code (*list)(struct vfs *vfs, const char *path, vfs_list_fn *fn, void *ctx,
                          struct err *err);
    enum err_code (*mkdir)(struct vfs *vfs, const char *path,
                           struct err *err); /* ERR_OK if it exists */
    enum err_code (*rename)(struct vfs *vfs, const char *from, const char *to, struct err *err);
    enum err_code (*unlink)(struct vfs *vfs, const char *path, struct err *err);
    enum err_code (*rmdir)(struct vfs *vfs, const char *path, struct err *err);
    enum err_code (*link)(struct vfs *vfs, const char *from, const char *to, struct err *err);
    enum err_code (*sync_dir)(struct vfs *vfs, const char *path, struct err *err);
    /* Exclusive lock held until the file is closed or the process ends; ERR_EXISTS if taken, and
     * by which process where that is known. */
    enum err_code (*lock)(struct vfs *vfs, const char *path, struct vfs_file **out,
                          struct err *err);
    /* Bytes free for us on the file system of path. */
    enum err_code (*free_bytes)(struct vfs *vfs, const char *path, uint64_t *out, struct err *err);
    /* Size of the file system of path. NULL: unknown. */
    enum err_code (*total_bytes)(struct vfs *vfs, const char *path, uint64_t *out, struct err *err);
};

struct vfs_file_ops {
    /* Reads n bytes; *out_read tells a short count at the end of the file, which is ERR_OK with
     * fewer bytes. */
    enum err_code (*pread)(struct vfs_file *f, void *to, size_t n, uint64_t offset,
                           size_t *out_read, struct err *err);
    /* Writes all n bytes or fails (what was written before a failure is undefined). */
    enum err_code (*pwrite)(struct vfs_file *f, const void *from, size_t n, uint64_t offset,
                            struct err *err);
    enum err_code (*sync)(struct vfs_file *f, struct err *err); /* fdatasync */
    enum err_code (*truncate)(struct vfs_file *f, uint64_t size, struct err *err);
    enum err_code (*allocate)(struct vfs_file *f, uint64_t size,
                              struct err *err); /* posix_fallocate-like; may grow the file */
    enum err_code (*size)(struct vfs_file *f, uint64_t *out, struct err *err);
    void (*drop_cache)(struct vfs_file *f, uint64_t offset, uint64_t n); /* advice */
    void (*close)(struct vfs_file *f);
    /* The first n bytes of a file that is never changed or cut again, to be read; NULL: they cannot
     * be mapped. Both may be NULL. */
    const uint8_t *(*map)(struct vfs_file *f, size_t n);
    void (*unmap)(const uint8_t *mapped, size_t n);
};

struct vfs *vfs_system(void);

/* Thin calls, so that users read vfs_open(...), not ops->. All MUST_CHECK. */
MUST_CHECK enum err_code vfs_open(struct vfs *vfs, const char *path, unsigned flags,
                                  struct vfs_file **out, struct err *err);
MUST_CHECK enum err_code vfs_stat(struct vfs *vfs, const char *path, struct vfs_stat *out,
                                  struct err *err);
MUST_CHECK enum err_code vfs_list(struct vfs *vfs, const char *path, vfs_list_fn *fn, void *ctx,
                                  struct err *err);
MUST_CHECK enum err_code vfs_mkdir(struct vfs *vfs, const char *path, struct err *err);
MUST_CHECK enum err_code vfs_rename(struct vfs *vfs, const char *from, const char *to,
                                    struct err *err);
MUST_CHECK enum err_code vfs_unlink(struct vfs *vfs, const char *path, struct err *err);
MUST_CHECK enum err_code vfs_rmdir(struct vfs *vfs, const char *path, struct err *err);
MUST_CHECK enum err_code vfs_link(struct vfs *vfs, const char *from, const char *to,
                                  struct err *err);
MUST_CHECK enum err_code vfs_sync_dir(struct vfs *vfs, const char *path, struct err *err);
MUST_CHECK enum err_code vfs_lock(struct vfs *vfs, const char *path, struct vfs_file **out,
                                  struct err *err);
MUST_CHECK enum err_code vfs_free_bytes(struct vfs *vfs, const char *path, uint64_t *out,
                                        struct err *err);
/* ERR_UNSUPPORTED when it is unknown. */
MUST_CHECK enum err_code vfs_total_bytes(struct vfs *vfs, const char *path, uint64_t *out,
                                         struct err *err);

/* With out_read NULL a short count is an error: ERR_CORRUPT. */
MUST_CHECK enum err_code vfs_file_pread(struct vfs_file *f, void *to, size_t n, uint64_t offset,
                                        size_t *out_read, struct err *err);
MUST_CHECK enum err_code vfs_file_pwrite(struct vfs_file *f, const void *from, size_t n,
                                         uint64_t offset, struct err *err);
MUST_CHECK enum err_code vfs_file_sync(struct vfs_file *f, struct err *err);
MUST_CHECK enum err_code vfs_file_truncate(struct vfs_file *f, uint64_t size, struct err *err);
MUST_CHECK enum err_code vfs_file_allocate(struct vfs_file *f, uint64_t size, struct err *err);
MUST_CHECK enum err_code vfs_file_size(struct vfs_file *f, uint64_t *out, struct err *err);
void vfs_file_drop_cache(struct vfs_file *f, uint64_t offset, uint64_t n);
void vfs_file_close(struct vfs_file *f); /* NULL is fine */

/* The first n bytes of an immutable file: mapped where the vfs can, else copied to the heap. Stays
 * when the file is closed. */
struct vfs_view {
    const uint8_t *bytes;
    size_t n;
    void (*unmap)(const uint8_t *mapped, size_t n); /* NULL: heap */
};
MUST_CHECK enum err_code vfs_view_open(struct vfs_file *f, size_t n, struct vfs_view *out,
                                       struct err *err);
void vfs_view_close(struct vfs_view *view); /* an empty one is fine */
/* Makes the folder if it is missing, and makes its name durable and what was done to the names in it:
 * an earlier run may not have come that far. */
MUST_CHECK enum err_code vfs_make_dir(struct vfs *vfs, const char *path, struct err *err);

/* Whole small files (configuration, secrets, rules); ERR_LIMIT beyond max_bytes. The caller owns
 * *out and ends it with mem_free; a NUL follows the content. */
MUST_CHECK enum err_code vfs_read_file(struct vfs *vfs, const char *path, size_t max_bytes,
                                       char **out, size_t *out_len, struct err *err);
/* Temporary file, sync, rename, sync of the folder. */
MUST_CHECK enum err_code vfs_replace_file(struct vfs *vfs, const char *path, const void *bytes,
                                          size_t n, struct err *err);

#endif
