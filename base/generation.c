#include "base/generation.h"

#include <stdatomic.h>

#include "base/check.h"
#include "base/mem.h"

struct generation {
    atomic_size_t ref_count;
    struct arena arena;
};

struct generation *generation_new(size_t budget_bytes) {
    struct generation *g = mem_alloc(sizeof(*g));
    atomic_init(&g->ref_count, 1);
    arena_init(&g->arena, budget_bytes);
    return g;
}

struct arena *generation_arena(struct generation *g) {
    return &g->arena;
}

struct generation *generation_ref(struct generation *g) {
    const size_t before = atomic_fetch_add_explicit(&g->ref_count, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return g;
}

void generation_unref(struct generation *g) {
    if (g == NULL) {
        return;
    }
    /* Release our writes to whoever frees it; acquire everybody's before freeing. */
    const size_t before = atomic_fetch_sub_explicit(&g->ref_count, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1) {
        arena_release(&g->arena);
        mem_free(g);
    }
}
