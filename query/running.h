/* The queries that run or wait at the gate: who asks what, since when, with what progress; and how
 * to end one. Private to query/; query.h has the public calls.
 *
 * Owner: the engine. An entry lives on the stack of its query_run, which alone writes its progress;
 * lists are made by any thread. mu is a leaf. */
#ifndef QUERY_RUNNING_H
#define QUERY_RUNNING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/mutex.h"
#include "query/query.h"

struct running {
    struct running *next; /* under the list's mu, as the next four */
    struct running *previous;
    uint64_t id;
    bool killed;
    const struct query *query;
    struct cancel *cancel;
    int64_t start_unix_ms, start_mono_ns;
    atomic_bool evaluating;
    _Atomic uint64_t samples;
    _Atomic size_t bytes;
};

struct running_list {
    struct mutex mu;
    struct running *newest;
    uint64_t last_id;
};

void running_list_init(struct running_list *list);
void running_list_release(struct running_list *list);

/* r->query and r->cancel are set; both must outlive running_end. */
void running_begin(struct running_list *list, struct running *r, struct clock *clock);
/* Whether it was killed. */
bool running_end(struct running_list *list, struct running *r);

static inline void running_progress(struct running *r, uint64_t samples, size_t bytes) {
    atomic_store_explicit(&r->samples, samples, memory_order_relaxed);
    atomic_store_explicit(&r->bytes, bytes, memory_order_relaxed);
}

/* Oldest first, in arena. */
void running_list_copy(struct running_list *list, struct clock *clock, struct arena *arena,
                       struct query_running **out, size_t *out_count);
/* False: there is no such query (any more). */
bool running_list_kill(struct running_list *list, uint64_t id);

#endif
