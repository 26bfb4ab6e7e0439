/* What the files of the HTTP server share: requests under way, the server's objects, and
 * libmicrohttpd, which no other file sees. server.c tells the life of a request and who may touch
 * it when. */
#ifndef WEB_EXCHANGE_H
#define WEB_EXCHANGE_H

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/gzip_stream.h"
#include "base/mutex.h"
#include "base/queue.h"
#include "web/brief.h"
#include "web/connections.h"
#include "web/http.h"
#include "web/listen.h"
#include "web/router.h"
#include "web/server.h"

enum { HTTP_WORKERS_MAX = 256 };

struct request {
    struct http_server *server;
    struct http_incoming in;
    struct http_outgoing out;
    const struct route *route;
    struct MHD_Connection *connection;
    int64_t start_mono_ns;
    bool parsed_headers, done;
    size_t received_bytes; /* of the body, also what was thrown away */
    /* Of an answer with a source: the piece at hand is out.body or, compressed, packed. */
    bool streams;
    struct gzip_stream *gzip; /* NULL: not compressed */
    struct buf packed;
    size_t sent_bytes; /* of the piece */
    int fd;
    struct connection *on;            /* of the listener's connections */
    uint64_t brief_key;               /* with ROUTE_TRIED */
    struct request *next, **previous; /* suspended list, under server->mu */
};

struct listener {
    struct MHD_Daemon *daemon;
    uint16_t port;
};

struct http_server {
    struct web *web;
    struct listener listeners[LISTEN_MAX];
    size_t listener_count;
    struct queue *jobs;
    struct thread workers[HTTP_WORKERS_MAX];
    size_t worker_count;        /* under mu; grows while none is idle, to HTTP_WORKERS_MAX */
    _Atomic int64_t idle_count; /* workers that wait, minus jobs that wait for them */
    struct connections *connections;
    struct thread watcher;
    struct mutex mu;
    struct cond appeared; /* the first suspended request or connection, for the watcher; the stop */
    struct cond changed;  /* while stopping */
    /* under mu */
    struct request *suspended;
    size_t resuming_count; /* workers between taking a request off the list and resuming it */
    bool stopping;

    struct brief brief;
};

/* ---- reply.c ---- */

/* Queues the answer of a request that is done. */
enum MHD_Result reply_send(struct request *r);
/* The next piece of an answer that is made while it is sent. */
void reply_make_piece(struct request *r);

/* ---- workers.c ---- */

void workers_start(struct http_server *server);
/* Ends the watcher, and cancels what is suspended. Nothing is suspended from then on. */
void workers_begin_stop(struct http_server *server);
/* Waits until nothing is suspended or being resumed. */
void workers_drain(struct http_server *server);
/* Joins the workers, once no listener is left that gives them jobs. */
void workers_end(struct http_server *server);
/* False when too many wait. */
MUST_CHECK bool workers_push(struct http_server *server, struct request *r);
/* The request is the caller's until it is resumed. False while the server stops: then nothing may
 * be suspended any more. */
MUST_CHECK bool request_suspend(struct request *r);
void request_resume(struct request *r);
/* Connections have appeared where there were none: the watcher looks at them. */
void workers_notice_connections(struct http_server *server);

#endif
