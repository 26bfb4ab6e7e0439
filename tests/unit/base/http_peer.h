/* A small real HTTP server on loopback for tests of the client: what a peer can do to it is answer,
 * redirect, refuse, hang, send garbage, too much or too little.
 *
 * A thread accepts, and each connection has one; the path of a request says what to answer (see the
 * table in http_peer.c). It counts, and keeps nothing else, so that each test has its own. */
#ifndef TESTS_UNIT_BASE_HTTP_PEER_H
#define TESTS_UNIT_BASE_HTTP_PEER_H

#include <stdatomic.h>

#include "base/mutex.h"
#include "base/str.h"

enum { HTTP_PEER_CONNECTIONS_MAX = 400 };

struct http_peer {
    int listen_fd;
    unsigned port;
    struct str raw; /* what "/raw" answers, byte for byte */
    bool raw_stays; /* open behind it, else closed */
    atomic_int connection_count;
    atomic_int request_count;
    atomic_int token_count;
    atomic_bool stopping;
    struct thread acceptor;
    struct thread threads[HTTP_PEER_CONNECTIONS_MAX];
    struct http_peer_connection {
        struct http_peer *peer;
        int fd;
    } connections[HTTP_PEER_CONNECTIONS_MAX];
};

/* On a port of 127.0.0.1 that is free, or at a path. */
void http_peer_start(struct http_peer *peer, const char *unix_path);
void http_peer_stop(struct http_peer *peer);

#endif
