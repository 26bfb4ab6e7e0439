#include "tests/support/mem_tree.h"

#include <string.h>

#include "base/mem.h"

size_t mem_tree_add(struct mem_tree *t, bool is_dir) {
    if (t->count == t->capacity) {
        t->capacity = mem_grow(t->capacity, t->count + 1);
        t->nodes = mem_resize(t->nodes, t->capacity, sizeof(*t->nodes));
    }
    t->nodes[t->count] = (struct mem_node){.is_dir = is_dir};
    return t->count++;
}

void mem_tree_release(struct mem_tree *t) {
    for (size_t i = 0; i < t->count; i++) {
        struct mem_node *node = &t->nodes[i];
        for (size_t k = 0; k < node->entry_count; k++) {
            mem_free(node->entries[k].name);
        }
        mem_free(node->entries);
        mem_free(node->bytes);
    }
    mem_free(t->nodes);
    *t = (struct mem_tree){0};
}

static ptrdiff_t find_entry(const struct mem_node *dir, struct str name) {
    for (size_t i = 0; i < dir->entry_count; i++) {
        if (str_eq(str_of(dir->entries[i].name), name)) {
            return (ptrdiff_t)i;
        }
    }
    return MEM_NOWHERE;
}

static void remove_entry(struct mem_node *dir, struct str name) {
    const ptrdiff_t at = find_entry(dir, name);
    if (at >= 0) {
        mem_free(dir->entries[at].name);
        dir->entries[at] = dir->entries[--dir->entry_count];
    }
}

static void set_entry(struct mem_node *dir, struct str name, size_t node) {
    remove_entry(dir, name);
    dir->entries = mem_resize(dir->entries, dir->entry_count + 1, sizeof(*dir->entries));
    dir->entries[dir->entry_count++] = (struct mem_entry){mem_strndup(name.ptr, name.len), node};
}

static void set_size(struct mem_node *node, size_t size) {
    if (size > node->capacity) {
        node->capacity = mem_grow(node->capacity, size);
        node->bytes = mem_resize(node->bytes, node->capacity, 1);
    }
    if (size > node->size) {
        memset(node->bytes + node->size, 0, size - node->size);
    }
    node->size = size;
}

void mem_node_write(struct mem_node *node, uint64_t offset, const char *bytes, size_t n) {
    if (n == 0) {
        return;
    }
    if (offset + n > node->size) {
        set_size(node, (size_t)(offset + n));
    }
    memcpy(node->bytes + offset, bytes, n);
}

struct mem_tree mem_tree_copy(const struct mem_tree *t) {
    struct mem_tree copy = {0};
    for (size_t i = 0; i < t->count; i++) {
        const struct mem_node *from = &t->nodes[i];
        const size_t id = mem_tree_add(&copy, from->is_dir);
        struct mem_node *to = &copy.nodes[id];
        to->mtime_ns = from->mtime_ns;
        mem_node_write(to, 0, from->bytes, from->size);
        for (size_t k = 0; k < from->entry_count; k++) {
            set_entry(to, str_of(from->entries[k].name), from->entries[k].node);
        }
    }
    return copy;
}

ptrdiff_t mem_tree_walk(const struct mem_tree *t, const char *path, ptrdiff_t *out_dir,
                        struct str *out_name) {
    ptrdiff_t at = MEM_ROOT;
    ptrdiff_t dir = MEM_NOWHERE;
    struct str name = STR("");
    struct str rest = str_of(path);
    while (rest.len > 0) {
        const ptrdiff_t slash = str_find_char(rest, '/');
        const struct str part = slash < 0 ? rest : str_sub(rest, 0, (size_t)slash);
        rest = slash < 0 ? STR("") : str_from(rest, (size_t)slash + 1);
        if (part.len == 0 || str_eq(part, STR("."))) {
            continue;
        }
        dir = at >= 0 && t->nodes[at].is_dir ? at : MEM_NOWHERE;
        name = part;
        const ptrdiff_t found = dir >= 0 ? find_entry(&t->nodes[dir], part) : MEM_NOWHERE;
        at = found >= 0 ? (ptrdiff_t)t->nodes[dir].entries[found].node : MEM_NOWHERE;
    }
    if (out_dir != NULL) {
        *out_dir = dir;
        *out_name = name;
    }
    return at;
}

void mem_tree_apply(struct mem_tree *t, const struct mem_op *op, size_t time) {
    switch (op->kind) {
    case OP_CREATE:
    case OP_MKDIR:
    case OP_LINK:
        set_entry(&t->nodes[op->dir], str_of(op->name), op->node);
        break;
    case OP_UNLINK:
        remove_entry(&t->nodes[op->dir], str_of(op->name));
        break;
    case OP_RENAME:
        remove_entry(&t->nodes[op->dir], str_of(op->name));
        set_entry(&t->nodes[op->dir2], str_of(op->name2), op->node);
        break;
    case OP_WRITE:
        mem_node_write(&t->nodes[op->node], op->offset, op->bytes, op->size);
        break;
    case OP_TRUNCATE:
        set_size(&t->nodes[op->node], (size_t)op->offset);
        break;
    case OP_ALLOCATE:
        if (op->offset > t->nodes[op->node].size) {
            set_size(&t->nodes[op->node], (size_t)op->offset);
        }
        break;
    case OP_SYNC:
    case OP_SYNC_DIR:
        return;
    }
    t->nodes[op->node].mtime_ns = (int64_t)time;
}

bool mem_op_is_name(const struct mem_op *op) {
    return op->kind <= OP_RENAME;
}

bool mem_op_is_data(const struct mem_op *op) {
    return op->kind == OP_WRITE || op->kind == OP_TRUNCATE || op->kind == OP_ALLOCATE;
}
