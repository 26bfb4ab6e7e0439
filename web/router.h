/* Routes: which handler answers which path and method, where it runs and what surrounds it
 * (readiness, CORS, compression). Adding an endpoint is one row in router.c and its handler. */
#ifndef WEB_ROUTER_H
#define WEB_ROUTER_H

#include <stdbool.h>

#include "web/http.h"
#include "web/state.h"

typedef void http_handler(struct web *web, struct http_incoming *in, struct http_outgoing *out);

enum route_flags {
    ROUTE_WORKER = 1 << 0,  /* may take long: runs on a worker, its connection waits suspended */
    ROUTE_READY = 1 << 1,   /* 503 until the server is ready */
    ROUTE_API = 1 << 2,     /* CORS headers and OPTIONS */
    ROUTE_PREFIX = 1 << 3,  /* matches everything below path */
    ROUTE_CHANGES = 1 << 4, /* changes state: refuses requests that a foreign page sent */
    ROUTE_DATA = 1 << 5,    /* body up to HTTP_DATA_MAX; the handler sees to body_too_large */
    ROUTE_BRIEF = 1 << 6, /* with ROUTE_WORKER: a small body takes less time than waking a worker */
    ROUTE_TRIED =
        1 << 7, /* with ROUTE_WORKER: reads only; may run on the listener first (brief.h) */
};

struct route {
    const char *path; /* below the route prefix; "*" stands for one segment */
    unsigned methods; /* enum http_method, or-ed */
    unsigned flags;
    http_handler *handler;
};

/* How large the body of a request to this target may be; known before it is read. */
size_t router_body_max(const struct web *web, struct str target);

/* The route of the request, or NULL after writing the answer (404, 405, 503, 204 for OPTIONS,
 * redirect to the prefix). */
const struct route *router_find(struct web *web, struct http_incoming *in,
                                struct http_outgoing *out);

/* Label for prometheus_http_requests_total: the route's path, or "/" for unknown ones. */
const char *route_label(const struct route *route);

#endif
