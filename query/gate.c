#include "query/gate.h"

#include <unistd.h>

#include "base/check.h"
#include "query/eval.h"

/* A raised flag wakes nobody: who waits looks at it this often. */
enum { LOOK_AGAIN_MS = 20 };
/* Fast places, how long one may be held and any query run without a turn, and how long a turn is.
 * Dashboards' queries of up to some ten thousand series are done in a moment. */
enum { FAST_MAX = 8, MOMENT_MS = 5, TURN_MS = 20 };
/* A moment of a thread that gets no processor, or waits for a disk. */
enum { MOMENT_WALL_MAX_MS = 100 };

void query_gate_init(struct query_gate *gate, uint32_t max, uint32_t processors) {
    const long found = processors > 0 ? (long)processors : sysconf(_SC_NPROCESSORS_ONLN);
    *gate = (struct query_gate){.max = max, .turns_free = found > 0 ? (uint32_t)found : 1};
    atomic_init(&gate->turns_wanted, 0);
    mutex_init(&gate->mu);
    cond_init(&gate->freed);
}

void query_gate_release(struct query_gate *gate) {
    ASSERT(gate->running == 0 && gate->fast == 0 && gate->parked == 0 && gate->first == NULL);
    cond_release(&gate->freed);
    mutex_release(&gate->mu);
}

static enum err_code wait_locked(struct query_gate *gate, struct cond *cond,
                                 const struct cancel *cancel, struct clock *clock,
                                 const char *where, struct err *err) REQUIRES(gate->mu) {
    const enum err_code code = eval_check_cancel(cancel, where, err);
    if (code == ERR_OK) {
        (void)cond_wait_until(cond, &gate->mu, clock_mono_ns(clock) + LOOK_AGAIN_MS * NS_PER_MS);
    }
    return code;
}

/* ---- places ---- */

static bool full_place_locked(const struct query_gate *gate) REQUIRES(gate->mu) {
    return gate->max == 0 || gate->running < gate->max;
}

enum err_code query_gate_enter(struct query_gate *gate, const struct cancel *cancel,
                               struct clock *clock, struct gate_pass *out, struct err *err) {
    enum err_code code = ERR_OK;
    *out = (struct gate_pass){.gate = gate, .clock = clock};
    cond_init(&out->turn);
    mutex_lock(&gate->mu);
    while (out->place == PLACE_NONE && code == ERR_OK) {
        if (full_place_locked(gate) && gate->parked == 0) {
            out->place = PLACE_FULL;
            gate->running++;
        } else if (gate->fast < FAST_MAX && gate->max > 1) {
            out->place = PLACE_FAST;
            gate->fast++;
        } else {
            code = wait_locked(gate, &gate->freed, cancel, clock, "query queue", err);
        }
    }
    mutex_unlock(&gate->mu);
    out->start_ns = clock_mono_ns(clock);
    out->start_cpu_ns = clock_thread_cpu_ns(clock);
    out->until_ns = out->start_ns + MOMENT_MS * NS_PER_MS;
    return code;
}

/* From a fast place to a full one. */
static enum err_code park_locked(struct query_gate *gate, struct gate_pass *pass,
                                 const struct cancel *cancel, struct err *err) REQUIRES(gate->mu) {
    enum err_code code = ERR_OK;
    ASSERT(gate->fast > 0);
    gate->fast--;
    gate->parked++;
    pass->place = PLACE_NONE;
    cond_broadcast(&gate->freed); /* a newcomer may use the fast place */
    while (!full_place_locked(gate) && code == ERR_OK) {
        code = wait_locked(gate, &gate->freed, cancel, pass->clock, "expression evaluation", err);
    }
    gate->parked--;
    if (code == ERR_OK) {
        pass->place = PLACE_FULL;
        gate->running++;
    }
    return code;
}

static void leave_place_locked(struct query_gate *gate, struct gate_pass *pass) REQUIRES(gate->mu) {
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
}

/* ---- turns ---- */

static void unlink_locked(struct query_gate *gate, struct gate_pass *pass) REQUIRES(gate->mu) {
    struct gate_pass **at = &gate->first;
    struct gate_pass *before = NULL;
    while (*at != pass) {
        ASSERT(*at != NULL);
        before = *at;
        at = &(*at)->next;
    }
    *at = pass->next;
    if (gate->last == pass) {
        gate->last = before;
    }
    atomic_fetch_sub_explicit(&gate->turns_wanted, 1, memory_order_relaxed);
}

/* The one that has waited longest of those who had no turn yet, or of the others, in turns. */
static struct gate_pass *next_locked(struct query_gate *gate) REQUIRES(gate->mu) {
    struct gate_pass *next = gate->first;
    while (next != NULL && next->had_turn != gate->gave_first_turn) {
        next = next->next;
    }
    return next != NULL ? next : gate->first;
}

static void give_turn_locked(struct query_gate *gate, struct gate_pass *pass) REQUIRES(gate->mu) {
    struct gate_pass *next = next_locked(gate);
    if (!pass->has_turn) {
        return;
    }
    pass->has_turn = false;
    if (next == NULL) {
        gate->turns_free++;
        return;
    }
    unlink_locked(gate, next);
    gate->gave_first_turn = !next->had_turn;
    next->has_turn = true;
    next->had_turn = true;
    cond_signal(&next->turn);
}

static enum err_code take_turn_locked(struct query_gate *gate, struct gate_pass *pass,
                                      const struct cancel *cancel, struct err *err)
    REQUIRES(gate->mu) {
    enum err_code code = ERR_OK;
    if (gate->turns_free > 0) {
        gate->turns_free--;
        pass->has_turn = true;
        pass->had_turn = true;
        return ERR_OK;
    }
    pass->next = NULL;
    if (gate->first == NULL) {
        gate->first = pass;
    } else {
        gate->last->next = pass;
    }
    gate->last = pass;
    atomic_fetch_add_explicit(&gate->turns_wanted, 1, memory_order_relaxed);
    while (!pass->has_turn && code == ERR_OK) {
        code = wait_locked(gate, &pass->turn, cancel, pass->clock, "expression evaluation", err);
    }
    if (!pass->has_turn) {
        unlink_locked(gate, pass);
    }
    return code;
}

/* The rest of its first moment, when others had the processor meanwhile. */
static bool moment_goes_on(struct gate_pass *pass) {
    enum { LEAST_NS = 100 * 1000 };
    const int64_t now_ns = clock_mono_ns(pass->clock);
    const int64_t used_ns = clock_thread_cpu_ns(pass->clock) - pass->start_cpu_ns;
    const int64_t left_ns = MOMENT_MS * NS_PER_MS - used_ns;
    if (pass->had_turn || left_ns < LEAST_NS ||
        now_ns - pass->start_ns > MOMENT_WALL_MAX_MS * NS_PER_MS) {
        return false;
    }
    pass->until_ns = now_ns + left_ns;
    return true;
}

enum err_code gate_pass_slow(struct gate_pass *pass, const struct cancel *cancel, struct err *err) {
    struct query_gate *gate = pass->gate;
    if (moment_goes_on(pass)) {
        return ERR_OK;
    }
    enum err_code code = ERR_OK;
    const bool keeps =
        pass->has_turn && atomic_load_explicit(&gate->turns_wanted, memory_order_relaxed) == 0;
    if (!keeps) {
        mutex_lock(&gate->mu);
        give_turn_locked(gate, pass);
        if (pass->place == PLACE_FAST) {
            code = park_locked(gate, pass, cancel, err);
        }
        if (code == ERR_OK) {
            code = take_turn_locked(gate, pass, cancel, err);
        }
        mutex_unlock(&gate->mu);
    }
    pass->until_ns = clock_mono_ns(pass->clock) + TURN_MS * NS_PER_MS;
    return code;
}

void query_gate_leave(struct gate_pass *pass) {
    struct query_gate *gate = pass->gate;
    mutex_lock(&gate->mu);
    give_turn_locked(gate, pass);
    leave_place_locked(gate, pass);
    mutex_unlock(&gate->mu);
    cond_release(&pass->turn);
}
