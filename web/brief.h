/* Requests that are answered on the thread that read them: handing one to a worker and being woken
 * by it costs about 0.1 ms of two processors, more than most label and dashboard queries take.
 *
 * Routes of ROUTE_BRIEF run here always, but for a while after one took long. Those of ROUTE_TRIED
 * read only, and their cost depends on what is asked: one runs here when the last request like it
 * was quick, under a deadline of its own. A try that does not make it leaves no trace and is run
 * again by a worker, so the listener's other clients wait 2 ms at most, whatever is asked.
 * Nor does it run here while others wait for this thread: workers take theirs meanwhile.
 *
 * Owner: struct http_server. Any listener and worker, without locks: what is remembered is a guess. */
#ifndef WEB_BRIEF_H
#define WEB_BRIEF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "web/http.h"

struct request;
struct route;

enum { BRIEF_SLOTS = 1024 };

struct brief {
    _Atomic int64_t paused_until_ns;     /* monotonic; ROUTE_BRIEF */
    _Atomic int64_t ended_ns;            /* of the last request that ran on a listener, */
    _Atomic uintptr_t ended_on;          /* and its connection */
    _Atomic uint64_t costs[BRIEF_SLOTS]; /* see brief.c; 0: nothing known */
};

/* True: r->out holds the answer. */
bool brief_run(struct request *r);
/* A worker has run the request's handler in so long. */
void brief_learn(struct request *r, int64_t took_ns);

/* ---- what is remembered ---- */

/* What stays the same when a dashboard asks again: everything but start, end and time. */
uint64_t brief_key(const struct route *route, const struct http_incoming *in);
/* In microseconds; UINT32_MAX: not known. */
uint32_t brief_cost_us(const struct brief *brief, uint64_t key);
/* What is remembered falls by half at most, so that a key that stands for quick and slow requests
 * is not tried at each quick one. */
void brief_remember(struct brief *brief, uint64_t key, int64_t took_ns);

#endif
