#include "query/gate.h"

#include "base/check.h"
#include "query/eval.h"

/* A raised flag wakes nobody: who waits looks at it this often. */
enum { LOOK_AGAIN_MS = 20 };
/* Fast places, and how long one may be held. Dashboards' queries of up to some ten thousand series
 * are done by then. */
enum { FAST_MAX = 8, FAST_MS = 10 };

void query_gate_init(struct query_gate *gate, uint32_t max) {
    *gate = (struct query_gate){.max = max};
    mutex_init(&gate->mu);
    cond_init(&gate->freed);
}

void query_gate_release(struct query_gate *gate) {
    ASSERT(gate->running == 0 && gate->fast == 0 && gate->parked == 0);
    cond_release(&gate->freed);
    mutex_release(&gate->mu);
}

static bool full_place_locked(const struct query_gate *gate) REQUIRES(gate->mu) {
    return gate->max == 0 || gate->running < gate->max;
}

static enum err_code wait_locked(struct query_gate *gate, const struct cancel *cancel,
                                 struct clock *clock, const char *where, struct err *err)
    REQUIRES(gate->mu) {
    const enum err_code code = eval_check_cancel(cancel, where, err);
    if (code == ERR_OK) {
        (void)cond_wait_until(&gate->freed, &gate->mu,
                              clock_mono_ns(clock) + LOOK_AGAIN_MS * NS_PER_MS);
    }
    return code;
}

enum err_code query_gate_enter(struct query_gate *gate, const struct cancel *cancel,
                               struct clock *clock, struct gate_pass *out, struct err *err) {
    enum err_code code = ERR_OK;
    *out = (struct gate_pass){.gate = gate, .clock = clock};
    mutex_lock(&gate->mu);
    while (out->place == PLACE_NONE && code == ERR_OK) {
        if (full_place_locked(gate) && gate->parked == 0) {
            out->place = PLACE_FULL;
            gate->running++;
        } else if (gate->fast < FAST_MAX && gate->max > 1) {
            out->place = PLACE_FAST;
            out->fast_until_ns = clock_mono_ns(clock) + FAST_MS * NS_PER_MS;
            gate->fast++;
        } else {
            code = wait_locked(gate, cancel, clock, "query queue", err);
        }
    }
    mutex_unlock(&gate->mu);
    return code;
}

enum err_code gate_pass_slow(struct gate_pass *pass, const struct cancel *cancel, struct err *err) {
    struct query_gate *gate = pass->gate;
    enum err_code code = ERR_OK;
    mutex_lock(&gate->mu);
    ASSERT(gate->fast > 0);
    gate->fast--;
    gate->parked++;
    pass->place = PLACE_NONE;
    cond_broadcast(&gate->freed); /* a newcomer may use the fast place */
    while (!full_place_locked(gate) && code == ERR_OK) {
        code = wait_locked(gate, cancel, pass->clock, "expression evaluation", err);
    }
    gate->parked--;
    if (code == ERR_OK) {
        pass->place = PLACE_FULL;
        gate->running++;
    }
    mutex_unlock(&gate->mu);
    return code;
}

void query_gate_leave(struct gate_pass *pass) {
    struct query_gate *gate = pass->gate;
    mutex_lock(&gate->mu);
    if (pass->place == PLACE_FULL) {
        ASSERT(gate->running > 0);
        gate->running--;
    } else if (pass->place == PLACE_FAST) {
        ASSERT(gate->fast > 0);
        gate->fast--;
    }
    pass->place = PLACE_NONE;
    if (gate->parked > 0) {
        cond_broadcast(&gate->freed); /* a newcomer that woke instead would go back to sleep */
    } else {
        cond_signal(&gate->freed);
    }
    mutex_unlock(&gate->mu);
}
