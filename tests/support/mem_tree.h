/* The names and bytes of a disk in memory, and the operations that change them: what mem_vfs.h logs
 * and what is left of it after a crash.
 *
 * Plain data of one owner; no locks. Nodes are numbered as they are made and never go away: an open file
 * outlives its name, and operations refer to numbers. */
#ifndef TESTS_SUPPORT_MEM_TREE_H
#define TESTS_SUPPORT_MEM_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { MEM_ROOT = 0, MEM_NOWHERE = -1 };

struct mem_entry {
    char *name;
    size_t node;
};

/* A file or folder. */
struct mem_node {
    bool is_dir;
    bool locked;
    int64_t mtime_ns;
    char *bytes;
    size_t size;
    size_t capacity;
    struct mem_entry *entries;
    size_t entry_count;
};

enum mem_op_kind {
    OP_CREATE, /* file node at dir/name */
    OP_MKDIR,
    OP_LINK,
    OP_UNLINK, /* also rmdir */
    OP_RENAME, /* dir/name to dir2/name2 */
    OP_WRITE,
    OP_TRUNCATE,
    OP_ALLOCATE,
    OP_SYNC,
    OP_SYNC_DIR
};

struct mem_op {
    enum mem_op_kind kind;
    size_t node;
    size_t dir;
    char *name;
    size_t dir2;
    char *name2;
    uint64_t offset; /* or the new size */
    char *bytes;
    size_t size;
};

struct mem_tree {
    struct mem_node *nodes;
    size_t count;
    size_t capacity;
};

/* Names, not data. */
bool mem_op_is_name(const struct mem_op *op);
bool mem_op_is_data(const struct mem_op *op);

/* The number of a new node, still without a name. */
size_t mem_tree_add(struct mem_tree *t, bool is_dir);
void mem_tree_release(struct mem_tree *t);
struct mem_tree mem_tree_copy(const struct mem_tree *t);
/* The node at path, or MEM_NOWHERE. out_dir and out_name (both or none) get the folder that the last
 * part is in, MEM_NOWHERE if there is none. */
ptrdiff_t mem_tree_walk(const struct mem_tree *t, const char *path, ptrdiff_t *out_dir,
                        struct str *out_name);
/* time becomes the node's time of change. A sync changes nothing. */
void mem_tree_apply(struct mem_tree *t, const struct mem_op *op, size_t time);
void mem_node_write(struct mem_node *node, uint64_t offset, const char *bytes, size_t n);

#endif
