/* Connections to plain HTTP/1.1 peers, which are kept, and one exchange on each at a time.
 *
 * WHY beside libcurl: a scrape every few milliseconds is the hottest path of the server, and
 * libcurl spends 150 us and more on a request (options, a URL parser, header lists, timers,
 * several polls), ten times what reading the page costs. Here a request is one send, and mostly
 * one wait and one recv. The price is this file and http_reader.c, kept small by what they leave
 * to libcurl: names, TLS, proxies, and every answer that is not quite as expected. A connection to
 * an IPv4 address is made here, so that a fleet of such targets needs no libcurl at all; others begin as
 * libcurl's and are handed over after their first exchange (http_kept.c). Whatever surprises here
 * closes the connection, and the request is made again by libcurl.
 *
 * A pool belongs to one client, so that connections are never shared between sets of credentials.
 * One thread. Connections are watched by the owner's epoll instance all the time, tagged
 * PLAIN_TAG << 32 | fd. */
#ifndef BASE_HTTP_PLAIN_H
#define BASE_HTTP_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/http_reader.h"
#include "base/str.h"

#define PLAIN_TAG (UINT32_MAX - 1)

struct sockaddr_in;
struct plain_pool;
struct plain_conn;

/* Connections by descriptor, of all pools that share an epoll instance. */
struct plain_table {
    int epoll_fd;
    struct plain_conn **by_fd;
    size_t capacity;
};

enum plain_result {
    PLAIN_WAIT,      /* for more bytes */
    PLAIN_DONE,      /* the body is whole */
    PLAIN_TOO_LARGE, /* the body is larger than allowed */
    PLAIN_CUT,       /* the peer closed in the middle of the body */
    PLAIN_STALE,     /* the peer closed a kept connection instead of an answer */
    PLAIN_SILENT,    /* the peer closed a new connection and said nothing */
    PLAIN_REFUSED,   /* no connection came about: the errno is beside it */
    PLAIN_AGAIN,     /* nothing to be told: the request must be made by other means */
};

void plain_table_release(struct plain_table *table);
/* The connection; NULL if there is none (any more). */
struct plain_conn *plain_table_find(const struct plain_table *table, uint32_t fd);

/* Parts of "http://authority/path?query" when nothing in it needs care: no user, no fragment, no
 * dot segments, no bytes to escape. False for all other URLs. */
bool plain_url_split(struct str url, struct str *out_authority, struct str *out_target);

struct plain_pool *plain_pool_new(struct plain_table *table);
/* Closes all; no exchange may run. */
void plain_pool_free(struct plain_pool *pool); /* NULL is fine */

/* Whether answers of the peer have not surprised of late. */
bool plain_pool_wants(const struct plain_pool *pool, struct str authority, int64_t now_mono_ns);
/* Takes over the descriptor of an idle connection; closes it if it is not in order. */
void plain_pool_adopt(struct plain_pool *pool, struct str authority, int fd, int64_t now_mono_ns);

/* One exchange. reply and body are borrowed until it ends, body is emptied and may grow beyond
 * max_body_bytes by the size of a head. */
struct plain_exchange {
    void *owner;
    struct str request; /* borrowed for the call */
    struct http_reply *reply;
    struct buf *body;
    size_t max_body_bytes;
    size_t room; /* how much to expect */
};

/* Sends the request on an idle connection. NULL if there is none that takes it. */
MUST_CHECK struct plain_conn *plain_start(struct plain_pool *pool, struct str authority,
                                          const struct plain_exchange *exchange);
/* The same on a new connection to the address, which the authority is. NULL: no socket is left. */
MUST_CHECK struct plain_conn *plain_connect(struct plain_pool *pool, struct str authority,
                                            const struct sockaddr_in *to,
                                            const struct plain_exchange *exchange,
                                            int64_t now_mono_ns);
/* Whose exchange it is; NULL = idle. */
void *plain_owner(const struct plain_conn *conn);
/* Whether the peer's head has come. */
bool plain_has_head(const struct plain_conn *conn);
/* Something happened on the socket. Any result but PLAIN_WAIT ends the exchange; the connection is
 * then idle or gone. Of an idle connection the result is always PLAIN_WAIT, and it is gone.
 * *out_errno is set with PLAIN_REFUSED. */
MUST_CHECK enum plain_result plain_on_event(struct plain_conn *conn, int64_t now_mono_ns,
                                            int *out_errno);
/* Gives an exchange up and closes. */
void plain_stop(struct plain_conn *conn);

#endif
