/* A node is a file or a folder; the table has those with a name, sorted by path. A node lives as long as
 * it has a name or is open.
 *
 * CONCURRENCY. mu guards table and nodes. A file below is read without it: it stays until its node
 * goes, and a reader has the node open. Private to vfs_scratch. */
#ifndef BASE_VFS_SCRATCH_IMPL_H
#define BASE_VFS_SCRATCH_IMPL_H

#include "base/mutex.h"
#include "base/vfs_scratch.h"

struct scratch_node {
    char *path; /* NULL: removed, still open */
    bool is_dir;
    bool is_locked;
    uint32_t open_count;
    struct vfs_file *below; /* NULL: made here */
    int64_t mtime_ns;
    uint64_t below_end;
    uint64_t size;
    uint8_t *bytes;
    size_t len;
    size_t capacity;
};

struct vfs_scratch {
    struct vfs base;
    struct vfs *inner;
    struct vfs_file_ops file_ops;
    struct mutex mu;
    /* under mu */
    struct scratch_node **nodes;
    size_t count;
    size_t capacity;
    size_t max_bytes;
    size_t used_bytes;
};

struct scratch_file {
    struct vfs_file base;
    struct vfs_scratch *v;
    struct scratch_node *node;
    bool may_write;
    bool is_lock;
};

/* Bytes of nodes, with mu held; unmap is the files' below. */
extern const struct vfs_file_ops vfs_scratch_file_ops;
struct vfs_file *vfs_scratch_open_node(struct vfs_scratch *v, struct scratch_node *node,
                                       bool may_write) REQUIRES(v->mu);
void vfs_scratch_cut(struct scratch_node *node, uint64_t size);
/* Frees it unless it has a name or is open. */
void vfs_scratch_unused_locked(struct vfs_scratch *v, struct scratch_node *node) REQUIRES(v->mu);

#endif
