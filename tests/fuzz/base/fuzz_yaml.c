/* Any text parses or fails within the limits; what parses and is written parses again, and the
 * second writing equals the first. */
#include <stdint.h>
#include <stdlib.h>

#include "base/yaml_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct yaml_node *parse(struct arena *arena, struct str text) {
    struct err err;
    struct yaml_node *node = NULL;
    return yaml_parse(arena, text, &node, NULL, &err) == ERR_OK ? node : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena arena;
    struct buf first;
    struct buf second;
    struct err err;
    arena_init(&arena, 64 * 1024 * 1024);
    buf_init(&first, 4 * 1024 * 1024);
    buf_init(&second, 4 * 1024 * 1024);
    const struct yaml_node *node = parse(&arena, (struct str){(const char *)data, size});
    if (node != NULL && node->kind != YAML_SCALAR && yaml_format(&first, node, &err) == ERR_OK) {
        const struct yaml_node *again = parse(&arena, buf_str(&first));
        if (again != NULL && yaml_format(&second, again, &err) == ERR_OK &&
            !str_eq(buf_str(&first), buf_str(&second))) {
            abort();
        }
    }
    if (arena.used_bytes > 65 * 1024 * 1024) {
        abort();
    }
    buf_release(&first);
    buf_release(&second);
    arena_release(&arena);
    return 0;
}
