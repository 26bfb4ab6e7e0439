/* Any text parses or fails within the limits; what parses and is written parses again to a tree
 * with the same texts. */
#include <stdint.h>
#include <stdlib.h>

#include "base/yaml_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct yaml_node *parse(struct arena *arena, struct str text) {
    struct err err;
    struct yaml_node *node = NULL;
    return yaml_parse(arena, text, &node, NULL, &err) == ERR_OK ? node : NULL;
}

/* Depth and size of the trees are bounded by yaml_parse. */
static bool same_tree(const struct yaml_node *a, const struct yaml_node *b) {
    if (a->kind != b->kind || a->count != b->count) {
        return false;
    }
    if (a->kind == YAML_SCALAR) {
        const bool null = a->plain && a->text.len == 0;
        return str_eq(null ? STR("null") : a->text, b->text);
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!same_tree(a->items[i], b->items[i])) {
            return false;
        }
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct buf text;
    struct err err;
    arena_init(&arena, 64 * 1024 * 1024);
    buf_init(&text, 4 * 1024 * 1024);
    const struct yaml_node *node = parse(&arena, (struct str){(const char *)data, size});
    if (node != NULL && node->kind != YAML_SCALAR && yaml_format(&text, node, &err) == ERR_OK) {
        const struct yaml_node *again = parse(&arena, buf_str(&text));
        if (again == NULL || !same_tree(node, again)) {
            abort();
        }
    }
    if (arena.used_bytes > 65 * 1024 * 1024) {
        abort();
    }
    buf_release(&text);
    arena_release(&arena);
    return 0;
}
