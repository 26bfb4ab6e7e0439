/* A blob that passes labels_check is what the builder makes of its own pairs; merging with itself
 * or nothing changes nothing; keep and drop part it in two that merge back. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/labels.h"

static struct labels rebuilt(struct arena *arena, struct labels labels) {
    struct labels_builder b;
    struct labels out = {NULL, 0};
    struct label items[64];
    size_t n = 0;
    struct label label;
    for (struct labels_iter it = labels_begin(labels); n < 64 && labels_next(&it, &label);) {
        items[n++] = label;
    }
    labels_builder_init(&b, arena);
    while (n > 0) { /* last one first: the builder sorts */
        n--;
        labels_builder_set(&b, items[n].name, items[n].value);
    }
    ASSERT(labels_builder_finish(&b, &out, NULL) == ERR_OK);
    return out;
}

static void check_parts(struct arena *arena, struct labels labels) {
    struct str names[32];
    size_t n = 0;
    struct label label;
    bool take = true;
    for (struct labels_iter it = labels_begin(labels); n < 32 && labels_next(&it, &label);) {
        if (take) {
            names[n++] = label.name;
        }
        take = !take;
    }
    const struct labels kept = labels_keep(arena, labels, names, n);
    const struct labels rest = labels_drop(arena, labels, names, n);
    ASSERT(labels_count(kept) == n);
    ASSERT(labels_eq(labels_merge(arena, kept, rest), labels));
    ASSERT(labels_eq(labels_merge(arena, rest, kept), labels));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (labels_check(data, size, NULL) != ERR_OK) {
        return 0;
    }
    const struct labels labels = {data, size};
    const struct labels none = {NULL, 0};
    struct arena arena;
    arena_init(&arena, 0);
    if (labels_count(labels) <= 64) {
        const struct labels again = rebuilt(&arena, labels);
        ASSERT(labels_eq(again, labels));
        ASSERT(labels_hash(again) == labels_hash(labels));
        ASSERT(labels_cmp(again, labels) == 0);
        check_parts(&arena, labels);
    }
    ASSERT(labels_eq(labels_merge(&arena, labels, labels), labels));
    ASSERT(labels_eq(labels_merge(&arena, labels, none), labels));
    ASSERT(labels_eq(labels_merge(&arena, none, labels), labels));
    struct buf text;
    buf_init(&text, 1 << 24);
    labels_format(&text, labels);
    labels_format_metric(&text, labels);
    buf_release(&text);
    arena_release(&arena);
    return 0;
}
