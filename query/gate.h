/* Lets at most so many queries be evaluated at once, and a short one in beside them.
 *
 * A query that comes when all places are taken is tried for a moment in one of a few fast places;
 * if it is not done by then it gives that up and waits, holding what it has, for a full place. So
 * queries that take minutes keep one of microseconds waiting for milliseconds only.
 *
 * Owner: the engine; a pass belongs to the thread of its query. */
#ifndef QUERY_GATE_H
#define QUERY_GATE_H

#include <stdint.h>

#include "base/attr.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mutex.h"

enum gate_place { PLACE_NONE, PLACE_FULL, PLACE_FAST };

struct query_gate {
    struct mutex mu;
    struct cond freed;
    uint32_t max; /* guarded by mu, as the rest; 0 = no limit */
    uint32_t running;
    uint32_t fast;
    uint32_t parked; /* were fast and wait for a full place: before all others */
};

struct gate_pass {
    struct query_gate *gate;
    struct clock *clock;
    enum gate_place place;
    int64_t fast_until_ns; /* of PLACE_FAST */
};

void query_gate_init(struct query_gate *gate, uint32_t max);
void query_gate_release(struct query_gate *gate);

/* ERR_TIMEOUT, ERR_CANCELED while it waits: "query timed out in query queue". */
MUST_CHECK enum err_code query_gate_enter(struct query_gate *gate, const struct cancel *cancel,
                                          struct clock *clock, struct gate_pass *out,
                                          struct err *err);
void query_gate_leave(struct gate_pass *pass);

MUST_CHECK enum err_code gate_pass_slow(struct gate_pass *pass, const struct cancel *cancel,
                                        struct err *err);
/* Call it every millisecond: one whose fast time is over waits here for a full place. */
MUST_CHECK static inline enum err_code
gate_pass_check(struct gate_pass *pass, const struct cancel *cancel, struct err *err) {
    if (pass == NULL || pass->place != PLACE_FAST ||
        clock_mono_ns(pass->clock) < pass->fast_until_ns) {
        return ERR_OK;
    }
    return gate_pass_slow(pass, cancel, err);
}

#endif
