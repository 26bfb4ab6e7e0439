/* A bound on the memory that several owners hold together: all running queries, all requests.
 *
 * Arenas and buffers that point at a budget take from it what they take from the system and give
 * it back when they let go. Owner: whoever makes the users; it must outlive them. Any thread. */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct budget {
    _Atomic size_t used_bytes;
    _Atomic size_t refused_count;
    size_t max_bytes; /* 0 = no limit */
};

static inline void budget_init(struct budget *b, size_t max_bytes) {
    atomic_init(&b->used_bytes, 0);
    atomic_init(&b->refused_count, 0);
    b->max_bytes = max_bytes;
}

/* Passes the limit rather than fail: for what cannot be refused. */
static inline void budget_force(struct budget *b, size_t bytes) {
    atomic_fetch_add_explicit(&b->used_bytes, bytes, memory_order_relaxed);
}

static inline void budget_give(struct budget *b, size_t bytes) {
    atomic_fetch_sub_explicit(&b->used_bytes, bytes, memory_order_relaxed);
}

/* False, and nothing taken, when the limit would be passed. */
MUST_CHECK static inline bool budget_take(struct budget *b, size_t bytes) {
    const size_t before = atomic_fetch_add_explicit(&b->used_bytes, bytes, memory_order_relaxed);
    if (b->max_bytes == 0 || (bytes <= b->max_bytes && before <= b->max_bytes - bytes)) {
        return true;
    }
    budget_give(b, bytes);
    atomic_fetch_add_explicit(&b->refused_count, 1, memory_order_relaxed);
    return false;
}

static inline size_t budget_used(const struct budget *b) {
    return atomic_load_explicit(&b->used_bytes, memory_order_relaxed);
}

#endif
