/* The real disk: POSIX calls, one descriptor a file, each call resumed after a signal.
 *
 * Error texts are "<call> <path>: <reason>". A file keeps its path for them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/number.h"
#include "base/vfs.h"

/* The umask narrows these, as it does for every server that does not know better. */
enum { FILE_MODE = 0666, FOLDER_MODE = 0777 };

struct system_file {
    struct vfs_file base;
    int fd;
    char path[]; /* NUL-terminated */
};

static COLD enum err_code failed(struct err *err, int sys_errno, const char *call,
                                 const char *path) {
    enum err_code code = err_set_errno(err, sys_errno, "%s %s", call, path);
    if (sys_errno == ENOSPC || sys_errno == EDQUOT) {
        code = ERR_NO_SPACE;
    } else if (sys_errno == ENOENT) {
        code = ERR_NOT_FOUND;
    } else if (sys_errno == EEXIST || sys_errno == ENOTEMPTY) {
        code = ERR_EXISTS;
    } else {
        code = ERR_IO;
    }
    if (err != NULL) {
        err->code = code;
    }
    return code;
}

static struct system_file *file_of(struct vfs_file *f) {
    return (struct system_file *)f;
}

static enum err_code file_pread(struct vfs_file *f, void *to, size_t n, uint64_t offset,
                                size_t *out_read, struct err *err) {
    const struct system_file *file = file_of(f);
    size_t done = 0;
    while (done < n) {
        const ssize_t got = pread(file->fd, (char *)to + done, n - done, (off_t)(offset + done));
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            return failed(err, errno, "read", file->path);
        }
        if (got == 0) {
            break;
        }
        done += (size_t)got;
    }
    if (out_read != NULL) {
        *out_read = done;
    }
    return ERR_OK;
}

static enum err_code file_pwrite(struct vfs_file *f, const void *from, size_t n, uint64_t offset,
                                 struct err *err) {
    const struct system_file *file = file_of(f);
    size_t done = 0;
    while (done < n) {
        const ssize_t put =
            pwrite(file->fd, (const char *)from + done, n - done, (off_t)(offset + done));
        if (put < 0) {
            if (errno == EINTR) {
                continue;
            }
            return failed(err, errno, "write", file->path);
        }
        if (put == 0) {
            return failed(err, EIO, "write", file->path);
        }
        done += (size_t)put;
    }
    return ERR_OK;
}

/* No retry, not even after EINTR: a second fdatasync can report success for pages that the first
 * one failed to write and dropped. */
static enum err_code file_sync(struct vfs_file *f, struct err *err) {
    const struct system_file *file = file_of(f);
    return fdatasync(file->fd) == 0 ? ERR_OK : failed(err, errno, "sync", file->path);
}

static enum err_code file_truncate(struct vfs_file *f, uint64_t size, struct err *err) {
    const struct system_file *file = file_of(f);
    int rc = 0;
    do {
        rc = ftruncate(file->fd, (off_t)size);
    } while (rc != 0 && errno == EINTR);
    return rc == 0 ? ERR_OK : failed(err, errno, "truncate", file->path);
}

/* glibc writes to each block where the file system has no fallocate of its own. */
static enum err_code file_allocate(struct vfs_file *f, uint64_t size, struct err *err) {
    const struct system_file *file = file_of(f);
    if (size == 0) {
        return ERR_OK;
    }
    int rc = 0;
    do {
        rc = posix_fallocate(file->fd, 0, (off_t)size);
    } while (rc == EINTR);
    return rc == 0 ? ERR_OK : failed(err, rc, "allocate", file->path);
}

static enum err_code file_size(struct vfs_file *f, uint64_t *out, struct err *err) {
    const struct system_file *file = file_of(f);
    struct stat st;
    if (fstat(file->fd, &st) != 0) {
        return failed(err, errno, "stat", file->path);
    }
    *out = (uint64_t)st.st_size;
    return ERR_OK;
}

static void file_drop_cache(struct vfs_file *f, uint64_t offset, uint64_t n) {
    (void)posix_fadvise(file_of(f)->fd, (off_t)offset, (off_t)n, POSIX_FADV_DONTNEED);
}

static void file_close(struct vfs_file *f) {
    (void)close(file_of(f)->fd); /* data was synced or does not matter */
    mem_free(f);
}

/* The file must be that long: a touch behind its end would be a signal. */
static const uint8_t *file_map(struct vfs_file *f, size_t n) {
    struct stat st;
    const int fd = file_of(f)->fd;
    if (fstat(fd, &st) != 0 || (uint64_t)st.st_size < n) {
        return NULL;
    }
    void *mapped = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0);
    return mapped != MAP_FAILED ? mapped : NULL;
}

static void file_unmap(const uint8_t *mapped, size_t n) {
    (void)munmap((void *)(uintptr_t)mapped, n);
}

static const struct vfs_file_ops file_ops = {
    .pread = file_pread,
    .pwrite = file_pwrite,
    .sync = file_sync,
    .truncate = file_truncate,
    .allocate = file_allocate,
    .size = file_size,
    .drop_cache = file_drop_cache,
    .close = file_close,
    .map = file_map,
    .unmap = file_unmap,
};

static int open_fd(const char *path, int flags) {
    int fd = -1;
    do {
        fd = open(path, flags | O_CLOEXEC, FILE_MODE);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static struct vfs_file *file_new(int fd, const char *path) {
    const size_t path_bytes = strlen(path) + 1;
    struct system_file *file = mem_alloc(sizeof(*file) + path_bytes);
    file->base.ops = &file_ops;
    file->fd = fd;
    memcpy(file->path, path, path_bytes);
    return &file->base;
}

static enum err_code system_open(struct vfs *vfs, const char *path, unsigned flags,
                                 struct vfs_file **out, struct err *err) {
    (void)vfs;
    int mode = (flags & VFS_WRITE) != 0 ? O_RDWR : O_RDONLY;
    mode |= (flags & VFS_CREATE) != 0 ? O_CREAT : 0;
    mode |= (flags & VFS_EXCLUSIVE) != 0 ? O_EXCL : 0;
    mode |= (flags & VFS_TRUNCATE) != 0 ? O_TRUNC : 0;
    const int fd = open_fd(path, mode);
    if (fd < 0) {
        return failed(err, errno, "open", path);
    }
    *out = file_new(fd, path);
    return ERR_OK;
}

static enum err_code system_stat(struct vfs *vfs, const char *path, struct vfs_stat *out,
                                 struct err *err) {
    (void)vfs;
    struct stat st;
    if (stat(path, &st) != 0) {
        return failed(err, errno, "stat", path);
    }
    *out = (struct vfs_stat){
        .size_bytes = (uint64_t)st.st_size,
        .mtime_ns = (int64_t)st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec,
        .is_dir = S_ISDIR(st.st_mode),
    };
    return ERR_OK;
}

static enum err_code system_list(struct vfs *vfs, const char *path, vfs_list_fn *fn, void *ctx,
                                 struct err *err) {
    (void)vfs;
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return failed(err, errno, "open", path);
    }
    bool more = true;
    int sys_errno = 0;
    while (more) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            sys_errno = errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            more = fn(ctx, entry->d_name);
        }
    }
    (void)closedir(dir);
    return sys_errno == 0 ? ERR_OK : failed(err, sys_errno, "list", path);
}

static enum err_code system_mkdir(struct vfs *vfs, const char *path, struct err *err) {
    (void)vfs;
    if (mkdir(path, FOLDER_MODE) == 0) {
        return ERR_OK;
    }
    const int sys_errno = errno;
    struct stat st;
    if (sys_errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        return ERR_OK;
    }
    return failed(err, sys_errno, "mkdir", path);
}

static enum err_code system_rename(struct vfs *vfs, const char *from, const char *to,
                                   struct err *err) {
    (void)vfs;
    return rename(from, to) == 0 ? ERR_OK : failed(err, errno, "rename", from);
}

static enum err_code system_unlink(struct vfs *vfs, const char *path, struct err *err) {
    (void)vfs;
    return unlink(path) == 0 ? ERR_OK : failed(err, errno, "unlink", path);
}

static enum err_code system_rmdir(struct vfs *vfs, const char *path, struct err *err) {
    (void)vfs;
    return rmdir(path) == 0 ? ERR_OK : failed(err, errno, "rmdir", path);
}

static enum err_code system_link(struct vfs *vfs, const char *from, const char *to,
                                 struct err *err) {
    (void)vfs;
    return link(from, to) == 0 ? ERR_OK : failed(err, errno, "link", to);
}

static enum err_code system_sync_dir(struct vfs *vfs, const char *path, struct err *err) {
    (void)vfs;
    const int fd = open_fd(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) {
        return failed(err, errno, "open", path);
    }
    const int sys_errno = fsync(fd) == 0 ? 0 : errno;
    (void)close(fd);
    /* EINVAL: this file system cannot sync a folder, names are safe by its own means or not at
     * all. Nothing that a caller could do would change that. */
    return sys_errno == 0 || sys_errno == EINVAL ? ERR_OK : failed(err, sys_errno, "sync", path);
}

enum { HOLDER_BYTES = 24 };

/* For the message of whoever finds the lock taken; on a full disk it names nobody. */
static void note_holder(int fd) {
    char text[HOLDER_BYTES];
    const int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        (void)(ftruncate(fd, 0) == 0); /* a part of a number would be another process */
    }
}

/* The process that the file names; 0 when it names none. Others may have written it. */
static uint64_t read_holder(int fd) {
    char text[HOLDER_BYTES];
    uint64_t holder = 0;
    const ssize_t n = pread(fd, text, sizeof(text), 0);
    if (n < 2 || text[n - 1] != '\n' ||
        number_parse_u64((struct str){text, (size_t)n - 1}, &holder) != NUMBER_OK) {
        return 0;
    }
    return holder;
}

static enum err_code held_by_other(int fd, const char *path, struct err *err) {
    const uint64_t holder = read_holder(fd);
    return holder == 0
               ? err_set(err, ERR_EXISTS, "lock %s: held by another process", path)
               : err_set(err, ERR_EXISTS, "lock %s: held by process %" PRIu64, path, holder);
}

/* flock belongs to the open file, so that it also keeps two databases of one process apart, and
 * the kernel drops it with the process. */
static enum err_code system_lock(struct vfs *vfs, const char *path, struct vfs_file **out,
                                 struct err *err) {
    (void)vfs;
    const int fd = open_fd(path, O_RDWR | O_CREAT);
    if (fd < 0) {
        return failed(err, errno, "open", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const int sys_errno = errno;
        const enum err_code code = sys_errno == EWOULDBLOCK ? held_by_other(fd, path, err)
                                                            : failed(err, sys_errno, "lock", path);
        (void)close(fd);
        return code;
    }
    note_holder(fd);
    *out = file_new(fd, path);
    return ERR_OK;
}

static enum err_code file_system_of(const char *path, struct statvfs *out, struct err *err) {
    int rc = 0;
    do {
        rc = statvfs(path, out);
    } while (rc != 0 && errno == EINTR);
    return rc != 0 ? failed(err, errno, "statvfs", path) : ERR_OK;
}

static enum err_code system_free_bytes(struct vfs *vfs, const char *path, uint64_t *out,
                                       struct err *err) {
    (void)vfs;
    struct statvfs st;
    const enum err_code code = file_system_of(path, &st, err);
    if (code == ERR_OK) {
        *out = (uint64_t)st.f_bavail * st.f_frsize;
    }
    return code;
}

static enum err_code system_total_bytes(struct vfs *vfs, const char *path, uint64_t *out,
                                        struct err *err) {
    (void)vfs;
    struct statvfs st;
    const enum err_code code = file_system_of(path, &st, err);
    if (code == ERR_OK) {
        *out = (uint64_t)st.f_blocks * st.f_frsize;
    }
    return code;
}

struct vfs *vfs_system(void) {
    static const struct vfs_ops ops = {
        .open = system_open,
        .stat = system_stat,
        .list = system_list,
        .mkdir = system_mkdir,
        .rename = system_rename,
        .unlink = system_unlink,
        .rmdir = system_rmdir,
        .link = system_link,
        .sync_dir = system_sync_dir,
        .lock = system_lock,
        .free_bytes = system_free_bytes,
        .total_bytes = system_total_bytes,
    };
    static struct vfs system_vfs = {&ops};
    return &system_vfs;
}
