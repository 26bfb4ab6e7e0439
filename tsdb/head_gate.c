/* The gate of transactions: a collection lets none begin and waits for those under way. */
#include "base/clock.h"
#include "tsdb/head.h"

enum { GATE_WAIT_MS = 500 };

void head_gate_enter(struct head_gate *gate) {
    mutex_lock(&gate->mu);
    while (gate->closed) {
        cond_wait(&gate->changed, &gate->mu);
    }
    gate->open++;
    mutex_unlock(&gate->mu);
}

void head_gate_leave(struct head_gate *gate) {
    mutex_lock(&gate->mu);
    gate->open--;
    if (gate->closed) {
        cond_broadcast(&gate->changed);
    }
    mutex_unlock(&gate->mu);
}

void head_gate_reopen(struct head_gate *gate) {
    mutex_lock(&gate->mu);
    gate->closed = false;
    cond_broadcast(&gate->changed);
    mutex_unlock(&gate->mu);
}

bool head_gate_close(struct head_gate *gate) {
    const int64_t deadline_ns =
        clock_mono_ns(clock_system()) + GATE_WAIT_MS * INT64_C(1000) * INT64_C(1000);
    mutex_lock(&gate->mu);
    gate->closed = true;
    while (gate->open != 0 && cond_wait_until(&gate->changed, &gate->mu, deadline_ns)) {
    }
    const bool empty = gate->open == 0;
    mutex_unlock(&gate->mu);
    if (!empty) {
        head_gate_reopen(gate);
    }
    return empty;
}
