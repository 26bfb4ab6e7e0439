#include "web/brief.h"

#include "base/check.h"
#include "base/hash.h"
#include "web/exchange.h"

enum {
    BODY_MAX = 256 * 1024,
    EXPECT_MAX_US = 500,
    COST_BITS = 24,
    COST_MAX_US = (1 << COST_BITS) - 1,
};
#define NS_PER_US INT64_C(1000)
#define TRY_NS (2 * NS_PER_MS)
#define LONG_NS (3 * NS_PER_MS)
#define PAUSE_NS (100 * NS_PER_MS)
/* A request of another connection that comes so soon after the last answer has waited for it. */
#define WAITED_NS (NS_PER_MS / 20)

/* ---- what is remembered ---- */

/* A slot is the upper bits of a key and a cost; the lower bits of the key are its place. */
static uint64_t tag_of(uint64_t key) {
    return key >> COST_BITS << COST_BITS;
}

uint64_t brief_key(const struct route *route, const struct http_incoming *in) {
    const uintptr_t at = (uintptr_t)route;
    uint64_t key = hash_keyed(in->path.ptr, in->path.len, at);
    for (size_t i = 0; i < in->param_count; i++) {
        const struct http_param *p = &in->params[i];
        if (!str_eq(p->name, STR("start")) && !str_eq(p->name, STR("end")) &&
            !str_eq(p->name, STR("time"))) {
            key = hash_keyed(p->name.ptr, p->name.len, key);
            key = hash_keyed(p->value.ptr, p->value.len, key);
        }
    }
    return key;
}

uint32_t brief_cost_us(const struct brief *brief, uint64_t key) {
    const uint64_t slot =
        atomic_load_explicit(&brief->costs[key % BRIEF_SLOTS], memory_order_relaxed);
    const bool known = slot != 0 && tag_of(slot) == tag_of(key);
    return known ? (uint32_t)(slot & COST_MAX_US) : UINT32_MAX;
}

void brief_remember(struct brief *brief, uint64_t key, int64_t took_ns) {
    const uint32_t before = brief_cost_us(brief, key);
    uint64_t us = took_ns > 0 ? (uint64_t)(took_ns / NS_PER_US) : 0;
    if (before != UINT32_MAX && us < before / 2) {
        us = before / 2;
    }
    us = us < 1 ? 1 : us > COST_MAX_US ? COST_MAX_US : us;
    atomic_store_explicit(&brief->costs[key % BRIEF_SLOTS], tag_of(key) | us, memory_order_relaxed);
}

void brief_learn(struct request *r, int64_t took_ns) {
    if ((r->route->flags & ROUTE_TRIED) != 0) {
        brief_remember(&r->server->brief, r->brief_key, took_ns);
    }
}

/* ---- running ---- */

static bool runs_always(struct request *r, int64_t now_ns) {
    const struct brief *brief = &r->server->brief;
    return (r->route->flags & ROUTE_BRIEF) != 0 && r->in.body.len <= BODY_MAX &&
           now_ns >= atomic_load_explicit(&brief->paused_until_ns, memory_order_relaxed);
}

static bool others_wait(const struct request *r, int64_t now_ns) {
    const struct brief *brief = &r->server->brief;
    return now_ns - atomic_load_explicit(&brief->ended_ns, memory_order_relaxed) < WAITED_NS &&
           atomic_load_explicit(&brief->ended_on, memory_order_relaxed) != (uintptr_t)r->on;
}

static bool is_worth_a_try(struct request *r, int64_t now_ns) {
    if ((r->route->flags & ROUTE_TRIED) == 0) {
        return false;
    }
    r->brief_key = brief_key(r->route, &r->in);
    return brief_cost_us(&r->server->brief, r->brief_key) <= EXPECT_MAX_US &&
           !others_wait(r, now_ns);
}

/* False: it took too long, and is as if it had not begun. */
static bool run_in_time(struct request *r, int64_t now_ns) {
    struct clock *clock = r->server->web->options.clock;
    const struct http_outgoing before = r->out;
    ASSERT(before.body.len == 0);
    cancel_init(&r->in.cancel, clock, now_ns + TRY_NS);
    r->in.tentative = true;
    r->route->handler(r->server->web, &r->in, &r->out);
    r->in.tentative = false;
    cancel_init(&r->in.cancel, clock, 0);
    if (r->in.timed_out) {
        buf_release(&r->out.body);
        r->out = before;
        buf_init(&r->out.body, before.body.max_bytes);
        r->out.body.pool = before.body.pool;
    }
    return !r->in.timed_out;
}

static void note_end(struct request *r, int64_t begin_ns, int64_t end_ns) {
    struct brief *brief = &r->server->brief;
    atomic_store_explicit(&brief->ended_ns, end_ns, memory_order_relaxed);
    atomic_store_explicit(&brief->ended_on, (uintptr_t)r->on, memory_order_relaxed);
    if ((r->route->flags & ROUTE_BRIEF) != 0 && end_ns - begin_ns > LONG_NS) {
        atomic_store_explicit(&brief->paused_until_ns, end_ns + PAUSE_NS, memory_order_relaxed);
    }
    brief_learn(r, end_ns - begin_ns);
}

bool brief_run(struct request *r) {
    struct clock *clock = r->server->web->options.clock;
    const int64_t begin_ns = clock_mono_ns(clock);
    bool done = true;
    if (runs_always(r, begin_ns)) {
        r->route->handler(r->server->web, &r->in, &r->out);
    } else if (is_worth_a_try(r, begin_ns)) {
        done = run_in_time(r, begin_ns);
    } else {
        return false;
    }
    note_end(r, begin_ns, clock_mono_ns(clock));
    return done;
}
