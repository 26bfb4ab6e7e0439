/* The open connections of all listeners: how many one client may have, and until when a request
 * must be there.
 *
 * libmicrohttpd ends a connection on which nothing moves. A client that sends a byte now and then
 * would keep it for ever; as in Go's server a request, head and body, has to arrive within the read
 * timeout from its first line, and that line within the same from when the last answer was done.
 *
 * A connection is told about by its listener's thread; the deadlines are read by the watcher. */
#ifndef WEB_CONNECTIONS_H
#define WEB_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sockaddr;
struct connections;
struct connection;

/* client_max: of one address at once; total_max: of all. 0 = no limit. */
struct connections *connections_new(size_t total_max, size_t client_max, int64_t read_timeout_ns);
void connections_free(struct connections *all); /* NULL is fine; none may be open */

/* Whether another one from this address is fine. */
bool connections_admit(struct connections *all, const struct sockaddr *address);
/* fd and address are the library's; fd stays open until connection_close has returned. */
struct connection *connection_open(struct connections *all, int fd, const struct sockaddr *address,
                                   int64_t now_mono_ns);
void connection_close(struct connections *all, struct connection *c);
size_t connections_count(struct connections *all);

/* A request is awaited, or its first line has come: the clock starts. */
void connection_reads(const struct connections *all, struct connection *c, int64_t now_mono_ns);
/* The request is there, or will not be read: the clock stops. */
void connection_answers(struct connection *c);

/* Shuts those down whose request is late; their thread then closes them. */
void connections_cut_late(struct connections *all, int64_t now_mono_ns);

#endif
