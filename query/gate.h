/* Lets at most so many queries be evaluated at once, and short ones beside long ones.
 *
 * PLACES. At most max queries have a full place. One that comes when all are taken is tried for a
 * moment in one of a few fast places; if it is not done by then it gives that up and waits, holding
 * what it has, for a full place.
 * TURNS. Every query may run at once when it comes; after that moment, of its own processor time, it
 * needs one of as many turns as there are processors, which long queries pass around; every other
 * one goes to a query that had none yet. So those that take minutes keep one of microseconds waiting
 * for neither a place nor a processor, and one of milliseconds for a turn or two.
 *
 * Owner: the engine; a pass belongs to the thread of its query. */
#ifndef QUERY_GATE_H
#define QUERY_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/mutex.h"

enum gate_place { PLACE_NONE, PLACE_FULL, PLACE_FAST };

struct query_gate {
    struct mutex mu;
    struct cond freed; /* a place */
    uint32_t max;      /* guarded by mu, as the rest; 0 = no limit */
    uint32_t running;
    uint32_t fast;
    uint32_t parked; /* were fast and wait for a full place: before all others */
    uint32_t turns_free;
    struct gate_pass *first, *last; /* who waits for a turn */
    bool gave_first_turn;           /* the last turn that was passed on was somebody's first */
    _Atomic uint32_t turns_wanted;  /* how many; read without mu */
};

struct gate_pass {
    struct query_gate *gate;
    struct clock *clock;
    enum gate_place place;
    bool has_turn; /* under the gate's mu, as the next two */
    struct gate_pass *next;
    struct cond turn;
    bool had_turn;
    int64_t until_ns; /* of the moment without a turn, or of the turn */
    int64_t start_ns, start_cpu_ns;
};

/* processors: 0 = what the machine has. */
void query_gate_init(struct query_gate *gate, uint32_t max, uint32_t processors);
void query_gate_release(struct query_gate *gate);

/* ERR_TIMEOUT, ERR_CANCELED while it waits: "query timed out in query queue". Ended with
 * query_gate_leave in any case. */
MUST_CHECK enum err_code query_gate_enter(struct query_gate *gate, const struct cancel *cancel,
                                          struct clock *clock, struct gate_pass *out,
                                          struct err *err);
void query_gate_leave(struct gate_pass *pass);

MUST_CHECK enum err_code gate_pass_slow(struct gate_pass *pass, const struct cancel *cancel,
                                        struct err *err);
/* Call it every millisecond: waits when somebody else's turn has come. */
MUST_CHECK static inline enum err_code
gate_pass_check(struct gate_pass *pass, const struct cancel *cancel, struct err *err) {
    if (pass == NULL || clock_mono_ns(pass->clock) < pass->until_ns) {
        return ERR_OK;
    }
    return gate_pass_slow(pass, cancel, err);
}

#endif
