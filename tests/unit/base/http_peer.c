#include "tests/unit/base/http_peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "tests/support/check_err.h"

enum { REQUEST_BYTES_MAX = 64 * 1024 };

static void send_all(int fd, struct str bytes) {
    while (bytes.len > 0) {
        const ssize_t put = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        if (put <= 0) {
            return;
        }
        bytes = str_from(bytes, (size_t)put);
    }
}

static void send_page(int fd, const char *status, const char *extra, struct str body) {
    struct buf page;
    buf_init(&page, 1 << 20);
    buf_printf(&page, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n", status, body.len, extra);
    buf_append_str(&page, body);
    send_all(fd, buf_str(&page));
    buf_release(&page);
}

/* ---- answers that are always the same ---- */

static const struct fixed_answer {
    struct str path, bytes;
    bool stays; /* the connection; else it is closed */
} fixed[] = {
#define HEAD "HTTP/1.1 200 OK\r\n"
    {STR_INIT("/ok"),
     STR_INIT(HEAD "Content-Type: text/plain; version=0.0.4\r\nContent-Length: 5\r\n\r\nup 1\n"),
     true},
    {STR_INIT("/gzip"),
     STR_INIT(HEAD "Content-Length: 12\r\ncontent-encoding: gzip\r\nApi-Version: 1.41\r\n\r\n"
                   "\x1f\x8bnot really"),
     true},
    {STR_INIT("/busy"),
     STR_INIT("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\nRetry-After: 7\r\n\r\n"
              "busy"),
     true},
    {STR_INIT("/chunked"),
     STR_INIT(HEAD "Transfer-Encoding: chunked\r\n\r\n"
                   "3\r\nabc\r\n4\r\ndefg\r\n0\r\nRetry-After: 99\r\n\r\n"),
     true},
    {STR_INIT("/loop"),
     STR_INIT("HTTP/1.1 301 Moved Permanently\r\nContent-Length: 0\r\nLocation: /loop\r\n\r\n"),
     true},
    {STR_INIT("/empty"), STR_INIT("HTTP/1.1 204 No Content\r\n\r\n"), true},
    {STR_INIT("/unchanged"), STR_INIT("HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"), true},
    {STR_INIT("/garbage"), STR_INIT("this is not HTTP\n"), false},
    {STR_INIT("/continue"),
     STR_INIT("HTTP/1.1 100 Continue\r\n\r\n" HEAD "Content-Length: 7\r\n\r\nat last"), true},
    {STR_INIT("/old"), STR_INIT("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold"), false},
    {STR_INIT("/until-close"), STR_INIT(HEAD "\r\nthat is all"), false},
    {STR_INIT("/last"), STR_INIT(HEAD "Content-Length: 3\r\nConnection: close\r\n\r\nbye"), false},
    {STR_INIT("/excess"),
     STR_INIT(HEAD "Content-Length: 4\r\n\r\nbody" HEAD "Content-Length: 5\r\n\r\nfalse"), true},
    {STR_INIT("/silent"), STR_INIT(""), false},
    {STR_INIT("/cut"), STR_INIT(HEAD "Content-Length: 100\r\n\r\nabc"), false},
    {STR_INIT("/huge"), STR_INIT(HEAD "Content-Length: 99999999999999\r\n\r\nabc"), false},
#undef HEAD
};

static const struct fixed_answer *find_fixed(struct str path) {
    for (size_t i = 0; i < COUNT_OF(fixed); i++) {
        if (str_eq(path, fixed[i].path)) {
            return &fixed[i];
        }
    }
    return NULL;
}

/* ---- answers that are made ---- */

/* Sends the block until the client closes, at most 1 GiB. */
static void flood(const struct http_peer_connection *c, struct str block) {
    for (size_t sent = 0; sent < (size_t)1 << 30; sent += block.len) {
        if (atomic_load(&c->peer->stopping) ||
            send(c->fd, block.ptr, block.len, MSG_NOSIGNAL) <= 0) {
            return;
        }
    }
}

static void hang(const struct http_peer_connection *c) {
    struct pollfd watch = {.fd = c->fd, .events = POLLRDHUP};
    while (!atomic_load(&c->peer->stopping) && poll(&watch, 1, 20) == 0) {
    }
}

static void redirect(int fd, const char *status, struct str where) {
    char extra[512];
    (void)snprintf(extra, sizeof(extra), "Location: %.*s\r\n", STR_ARG(where));
    send_page(fd, status, extra, STR("moved"));
}

/* Takes the secret "s/1" of "me" in a header (RFC 6749, 2.3.1). */
static void give_token(const struct http_peer_connection *c, struct str head) {
    const bool known = str_find(head, STR("Authorization: Basic bWU6cyUyRjE=\r\n")) >= 0;
    char token[64];
    (void)snprintf(token, sizeof(token), "{\"access_token\":\"t%d\",\"expires_in\":3600}",
                   atomic_fetch_add(&c->peer->token_count, 1) + 1);
    send_page(c->fd, known ? "200 OK" : "401 Unauthorized", "Content-Type: application/json\r\n",
              known ? str_of(token) : STR("{\"error\":\"invalid_client\"}"));
}

/* Takes it in the form; the token lives 10 s only. */
static void give_form_token(const struct http_peer_connection *c, struct str head) {
    const bool known = str_find(head, STR("client_id=me&client_secret=s%2F1")) >= 0;
    (void)atomic_fetch_add(&c->peer->token_count, 1);
    send_page(c->fd, known ? "200 OK" : "400 Bad Request", "Content-Type: text/plain\r\n",
              known ? STR("access_token=form&expires_in=10") : STR("use the form"));
}

/* Bad ones, which end with the connection. False if path is none of them. */
static bool answer_badly(const struct http_peer_connection *c, struct str path) {
    static const char zeros[65536];
    if (str_eq(path, STR("/hang"))) {
        hang(c);
    } else if (str_eq(path, STR("/half"))) {
        send_all(c->fd, STR("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"));
        hang(c);
    } else if (str_eq(path, STR("/flood"))) {
        send_all(c->fd, STR("HTTP/1.1 200 OK\r\n\r\n"));
        flood(c, (struct str){zeros, sizeof(zeros)});
    } else if (str_eq(path, STR("/head-flood"))) {
        send_all(c->fd, STR("HTTP/1.1 200 OK\r\n"));
        flood(c, STR("X-Filler: 0123456789012345678901234567890123456789012345\r\n"));
    } else if (str_eq(path, STR("/interim-flood"))) {
        flood(c, STR("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"));
    } else if (str_eq(path, STR("/chunk-flood"))) {
        send_all(c->fd, STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
        flood(c, STR("1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n1\r\nx\r\n"));
    } else if (str_eq(path, STR("/trailer-flood"))) {
        send_all(c->fd, STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"));
        flood(c, STR("X-Filler: 0123456789012345678901234567890123456789012345\r\n"));
    } else {
        return false;
    }
    return true;
}

/* False closes the connection. */
static bool answer(const struct http_peer_connection *c, struct str path, struct str head) {
    const struct fixed_answer *const same = find_fixed(path);
    if (same != NULL) {
        send_all(c->fd, same->bytes);
        return same->stays;
    }
    if (answer_badly(c, path)) {
        return false;
    }
    if (str_eq(path, STR("/raw"))) {
        send_all(c->fd, c->peer->raw);
        return c->peer->raw_stays;
    }
    if (str_eq(path, STR("/echo"))) {
        send_page(c->fd, "200 OK", "", head);
    } else if (str_eq(path, STR("/token"))) {
        give_token(c, head);
    } else if (str_eq(path, STR("/token-form"))) {
        give_form_token(c, head);
    } else if (str_starts(path, STR("/to/"))) {
        redirect(c->fd, "302 Found", str_from(path, 4));
    } else if (str_starts(path, STR("/keep/"))) {
        redirect(c->fd, "307 Temporary Redirect", str_from(path, 6));
    } else {
        send_page(c->fd, "404 Not Found", "", STR("no"));
    }
    return true;
}

/* ---- connections ---- */

static void serve(void *ctx) {
    const struct http_peer_connection *c = ctx;
    char bytes[REQUEST_BYTES_MAX];
    size_t have = 0;
    for (;;) {
        const ssize_t got = recv(c->fd, bytes + have, sizeof(bytes) - have, 0);
        if (got <= 0) {
            break;
        }
        have += (size_t)got;
        const struct str head = {bytes, have}; /* the body of a POST is in it: they are small */
        if (str_find(head, STR("\r\n\r\n")) < 0) {
            continue;
        }
        const struct str rest = str_from(head, (size_t)str_find_char(head, ' ') + 1);
        const struct str path = str_sub(rest, 0, (size_t)str_find_char(rest, ' '));
        (void)atomic_fetch_add(&c->peer->request_count, 1);
        if (!answer(c, path, head)) {
            break;
        }
        have = 0;
    }
    (void)shutdown(c->fd, SHUT_RDWR);
}

static void accept_all(void *ctx) {
    struct http_peer *peer = ctx;
    for (;;) {
        const int fd = accept(peer->listen_fd, NULL, NULL);
        if (fd < 0 || atomic_load(&peer->stopping)) {
            if (fd >= 0) {
                (void)close(fd);
            }
            return;
        }
        const int i = atomic_load(&peer->connection_count);
        ASSERT(i < HTTP_PEER_CONNECTIONS_MAX);
        peer->connections[i] = (struct http_peer_connection){peer, fd};
        atomic_store(&peer->connection_count,
                     i + 1); /* before it is served, so that tests may count */
        thread_start(&peer->threads[i], "connection", serve, &peer->connections[i]);
    }
}

void http_peer_start(struct http_peer *peer, const char *unix_path) {
    memset(peer, 0, sizeof(*peer));
    if (unix_path != NULL) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", unix_path);
        peer->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(peer->listen_fd, (struct sockaddr *)&at, sizeof(at)), 0);
    } else {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof(at);
        peer->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(peer->listen_fd, (struct sockaddr *)&at, sizeof(at)), 0);
        assert_int_equal(getsockname(peer->listen_fd, (struct sockaddr *)&at, &size), 0);
        peer->port = ntohs(at.sin_port);
    }
    assert_int_equal(listen(peer->listen_fd, 512), 0);
    thread_start(&peer->acceptor, "acceptor", accept_all, peer);
}

void http_peer_stop(struct http_peer *peer) {
    atomic_store(&peer->stopping, true);
    (void)shutdown(peer->listen_fd, SHUT_RDWR);
    thread_join(&peer->acceptor);
    for (int i = 0; i < atomic_load(&peer->connection_count); i++) {
        (void)shutdown(peer->connections[i].fd, SHUT_RDWR);
        thread_join(&peer->threads[i]);
        (void)close(peer->connections[i].fd);
    }
    (void)close(peer->listen_fd);
}
