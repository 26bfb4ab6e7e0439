/* Cancellation token: a flag anybody may raise and a deadline, checked by whoever works. One with a
 * parent ends when the parent does as well. */
#ifndef BASE_CANCEL_H
#define BASE_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"

struct cancel {
    atomic_bool raised;
    struct clock *clock;
    int64_t deadline_mono_ns;    /* 0 = none */
    const struct cancel *parent; /* may be NULL; outlives this one */
};

static inline void cancel_init(struct cancel *c, struct clock *clock, int64_t deadline_mono_ns) {
    atomic_init(&c->raised, false);
    c->clock = clock;
    c->deadline_mono_ns = deadline_mono_ns;
    c->parent = NULL;
}

static inline void cancel_raise(struct cancel *c) {
    atomic_store_explicit(&c->raised, true, memory_order_relaxed);
}

/* ERR_OK, ERR_CANCELED or ERR_TIMEOUT. Reads the clock: call it every few microseconds of work,
 * not per sample. NULL is never cancelled. */
static inline enum err_code cancel_check(const struct cancel *c) {
    for (; c != NULL; c = c->parent) {
        if (atomic_load_explicit(&c->raised, memory_order_relaxed)) {
            return ERR_CANCELED;
        }
        if (c->deadline_mono_ns != 0 && clock_mono_ns(c->clock) >= c->deadline_mono_ns) {
            return ERR_TIMEOUT;
        }
    }
    return ERR_OK;
}

#endif
