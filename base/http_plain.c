#include "base/http_plain.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/http_dial.h"
#include "base/mem.h"

enum {
    IDLE_COUNT_MAX = 20000, /* a pool, as Prometheus keeps */
    IDLE_S = 300,
    SURPRISE_S = 24 * 3600,           /* how long a peer that surprised is left to libcurl */
    BODY_FIRST_MAX = 4 * 1024 * 1024, /* most that is reserved on a peer's word */
    RECEIVE_BYTES_MIN = 16 * 1024,
    BUCKETS_MIN = 16
};

/* A host and port that connections lead to. */
struct plain_peer {
    struct plain_peer *next; /* in its bucket */
    uint64_t hash;
    size_t conn_count;
    struct plain_conn *idle;   /* latest first */
    int64_t surprised_mono_ns; /* 0 = never */
    size_t authority_len;
    char authority[];
};

struct plain_conn {
    struct plain_pool *pool;
    struct plain_peer *peer;
    struct plain_conn *next_idle;     /* of the peer */
    struct plain_conn *older, *newer; /* among the idle ones of the pool */
    int64_t idle_mono_ns;
    int fd;
    void *owner; /* NULL = idle */
    struct buf *body;
    size_t first_bytes; /* to reserve when the answer begins */
    bool fresh;         /* this exchange is its first, on a connection that was made here */
    int dial_errno;     /* why connecting failed at once */
    char *unsent;       /* the request, while it connects; owned */
    size_t unsent_len;
    struct http_reader reader;
};

struct plain_pool {
    struct plain_table *table;
    struct plain_peer **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t peer_count;
    struct plain_conn *oldest, *newest; /* idle */
    size_t idle_count;
};

/* ---- by descriptor ---- */

void plain_table_release(struct plain_table *table) {
    mem_free(table->by_fd);
    *table = (struct plain_table){.epoll_fd = -1};
}

struct plain_conn *plain_table_find(const struct plain_table *table, uint32_t fd) {
    return fd < table->capacity ? table->by_fd[fd] : NULL;
}

static void table_set(struct plain_table *table, int fd, struct plain_conn *conn) {
    const size_t at = (size_t)fd;
    if (at >= table->capacity) {
        const size_t capacity = mem_grow(table->capacity, at + 1);
        table->by_fd = mem_resize(table->by_fd, capacity, sizeof(table->by_fd[0]));
        memset(table->by_fd + table->capacity, 0,
               (capacity - table->capacity) * sizeof(table->by_fd[0]));
        table->capacity = capacity;
    }
    table->by_fd[at] = conn;
}

/* ---- URLs ---- */

static bool is_host_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

/* "host", "host:port", "1.2.3.4:port"; port 80 goes without saying and is left to libcurl. */
static bool is_plain_authority(struct str text) {
    const ptrdiff_t colon = str_find_char(text, ':');
    const size_t host_len = colon < 0 ? text.len : (size_t)colon;
    for (size_t i = 0; i < host_len; i++) {
        if (!is_host_char(text.ptr[i])) {
            return false;
        }
    }
    if (colon < 0) {
        return host_len > 0;
    }
    const struct str port = str_from(text, host_len + 1);
    for (size_t i = 0; i < port.len; i++) {
        if (port.ptr[i] < '0' || port.ptr[i] > '9') {
            return false;
        }
    }
    return host_len > 0 && port.len > 0 && port.len <= 5 && port.ptr[0] != '0' &&
           !str_eq(port, STR("80"));
}

static bool is_plain_target(struct str text) {
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c <= ' ' || c >= 0x7f || c == '#' || c == '"' || c == '<' || c == '>' || c == '\\' ||
            c == '^' || c == '`' || c == '{' || c == '|' || c == '}') {
            return false;
        }
    }
    return text.len > 0 && str_find(text, STR("/.")) < 0;
}

bool plain_url_split(struct str url, struct str *out_authority, struct str *out_target) {
    const struct str scheme = STR("http://");
    if (!str_starts(url, scheme)) {
        return false;
    }
    const struct str rest = str_from(url, scheme.len);
    const ptrdiff_t slash = str_find_char(rest, '/');
    if (slash < 0) {
        return false;
    }
    *out_authority = str_sub(rest, 0, (size_t)slash);
    *out_target = str_from(rest, (size_t)slash);
    return is_plain_authority(*out_authority) && is_plain_target(*out_target);
}

/* ---- peers ---- */

/* Neither a connection leads to it nor is there a surprise to remember. */
static bool peer_is_void(const struct plain_peer *peer, int64_t now_mono_ns) {
    return peer->conn_count == 0 && (peer->surprised_mono_ns == 0 ||
                                     now_mono_ns - peer->surprised_mono_ns > SURPRISE_S * NS_PER_S);
}

static size_t bucket_of(const struct plain_pool *pool, uint64_t hash) {
    return (size_t)(hash ^ hash >> 32) & (pool->bucket_count - 1);
}

/* Twice the buckets, once those peers are gone that are no more. */
static void grow(struct plain_pool *pool, int64_t now_mono_ns) {
    struct plain_peer **const old = pool->buckets;
    const size_t old_count = pool->bucket_count;
    pool->bucket_count = old_count > 0 ? old_count * 2 : BUCKETS_MIN;
    pool->buckets = mem_array(pool->bucket_count, sizeof(pool->buckets[0]));
    for (size_t i = 0; i < pool->bucket_count; i++) {
        pool->buckets[i] = NULL;
    }
    for (size_t i = 0; i < old_count; i++) {
        for (struct plain_peer *peer = old[i]; peer != NULL;) {
            struct plain_peer *const next = peer->next;
            struct plain_peer **const bucket = &pool->buckets[bucket_of(pool, peer->hash)];
            if (peer_is_void(peer, now_mono_ns)) {
                pool->peer_count--;
                mem_free(peer);
            } else {
                peer->next = *bucket;
                *bucket = peer;
            }
            peer = next;
        }
    }
    mem_free(old);
}

static uint64_t hash_of(struct str authority) {
    return hash_fnv1a64(FNV1A64_INIT, authority.ptr, authority.len);
}

static struct plain_peer *find_peer(const struct plain_pool *pool, struct str authority) {
    const uint64_t hash = hash_of(authority);
    struct plain_peer *peer = pool->bucket_count > 0 ? pool->buckets[bucket_of(pool, hash)] : NULL;
    while (peer != NULL &&
           (peer->hash != hash ||
            !str_eq((struct str){peer->authority, peer->authority_len}, authority))) {
        peer = peer->next;
    }
    return peer;
}

static struct plain_peer *make_peer(struct plain_pool *pool, struct str authority,
                                    int64_t now_mono_ns) {
    struct plain_peer *peer = find_peer(pool, authority);
    if (peer != NULL) {
        return peer;
    }
    if (pool->peer_count >= pool->bucket_count) {
        grow(pool, now_mono_ns);
    }
    peer = mem_zalloc(sizeof(*peer) + authority.len);
    peer->hash = hash_of(authority);
    peer->authority_len = authority.len;
    memcpy(peer->authority, authority.ptr, authority.len);
    struct plain_peer **const bucket = &pool->buckets[bucket_of(pool, peer->hash)];
    peer->next = *bucket;
    *bucket = peer;
    pool->peer_count++;
    return peer;
}

bool plain_pool_wants(const struct plain_pool *pool, struct str authority, int64_t now_mono_ns) {
    const struct plain_peer *const peer = find_peer(pool, authority);
    return peer == NULL || peer->surprised_mono_ns == 0 ||
           now_mono_ns - peer->surprised_mono_ns > SURPRISE_S * NS_PER_S;
}

/* ---- connections ---- */

static void make_idle(struct plain_conn *conn, int64_t now_mono_ns) {
    struct plain_pool *const pool = conn->pool;
    conn->owner = NULL;
    conn->fresh = false;
    conn->idle_mono_ns = now_mono_ns;
    conn->next_idle = conn->peer->idle;
    conn->peer->idle = conn;
    conn->newer = NULL;
    conn->older = pool->newest;
    if (pool->newest != NULL) {
        pool->newest->newer = conn;
    } else {
        pool->oldest = conn;
    }
    pool->newest = conn;
    pool->idle_count++;
}

static void leave_idle(struct plain_conn *conn) {
    struct plain_pool *const pool = conn->pool;
    struct plain_conn **at = &conn->peer->idle;
    while (*at != conn) {
        at = &(*at)->next_idle;
    }
    *at = conn->next_idle;
    if (conn->older != NULL) {
        conn->older->newer = conn->newer;
    } else {
        pool->oldest = conn->newer;
    }
    if (conn->newer != NULL) {
        conn->newer->older = conn->older;
    } else {
        pool->newest = conn->older;
    }
    pool->idle_count--;
}

/* Of a connection that is not in the idle lists. */
static void conn_close(struct plain_conn *conn) {
    struct plain_table *const table = conn->pool->table;
    table->by_fd[conn->fd] = NULL;
    (void)close(conn->fd); /* leaves the epoll set with it */
    conn->peer->conn_count--;
    mem_free(conn->unsent);
    mem_free(conn);
}

static void close_stale(struct plain_pool *pool, int64_t now_mono_ns) {
    while (pool->oldest != NULL && (pool->idle_count > IDLE_COUNT_MAX ||
                                    now_mono_ns - pool->oldest->idle_mono_ns > IDLE_S * NS_PER_S)) {
        struct plain_conn *const conn = pool->oldest;
        leave_idle(conn);
        conn_close(conn);
    }
}

/* Neither the end nor bytes that nobody asked for have come. */
static bool is_quiet(int fd) {
    char byte = 0;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* Not one of those that libcurl tried in vain. */
static bool is_connected(int fd) {
    struct sockaddr_storage peer;
    socklen_t size = sizeof(peer);
    return getpeername(fd, (struct sockaddr *)&peer, &size) == 0;
}

static bool watch(const struct plain_table *table, int fd, uint32_t events) {
    struct epoll_event event = {.events = events,
                                .data.u64 = (uint64_t)PLAIN_TAG << 32 | (uint32_t)fd};
    return epoll_ctl(table->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ||
           (errno == EEXIST && epoll_ctl(table->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0);
}

static struct plain_conn *conn_new(struct plain_pool *pool, struct str authority, int fd,
                                   int64_t now_mono_ns) {
    struct plain_conn *const conn = mem_zalloc(sizeof(*conn));
    conn->pool = pool;
    conn->peer = make_peer(pool, authority, now_mono_ns);
    conn->peer->conn_count++;
    conn->fd = fd;
    table_set(pool->table, fd, conn);
    return conn;
}

void plain_pool_adopt(struct plain_pool *pool, struct str authority, int fd, int64_t now_mono_ns) {
    if (!is_connected(fd) || !is_quiet(fd) || !watch(pool->table, fd, EPOLLIN)) {
        (void)close(fd);
        return;
    }
    make_idle(conn_new(pool, authority, fd, now_mono_ns), now_mono_ns);
    close_stale(pool, now_mono_ns);
}

struct plain_pool *plain_pool_new(struct plain_table *table) {
    struct plain_pool *const pool = mem_zalloc(sizeof(*pool));
    pool->table = table;
    return pool;
}

void plain_pool_free(struct plain_pool *pool) {
    if (pool == NULL) {
        return;
    }
    while (pool->oldest != NULL) {
        struct plain_conn *const conn = pool->oldest;
        leave_idle(conn);
        conn_close(conn);
    }
    for (size_t i = 0; i < pool->bucket_count; i++) {
        for (struct plain_peer *peer = pool->buckets[i]; peer != NULL;) {
            struct plain_peer *const next = peer->next;
            ASSERT(peer->conn_count == 0);
            mem_free(peer);
            peer = next;
        }
    }
    mem_free(pool->buckets);
    mem_free(pool);
}

/* ---- exchanges ---- */

static bool send_whole(int fd, struct str request) {
    return send(fd, request.ptr, request.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)request.len;
}

static void begin(struct plain_conn *conn, const struct plain_exchange *exchange) {
    const size_t room = exchange->room;
    http_reader_init(&conn->reader, exchange->reply, exchange->max_body_bytes);
    buf_clear(exchange->body);
    exchange->body->max_bytes = exchange->max_body_bytes + 2 * HTTP_HEAD_BYTES_MAX;
    conn->first_bytes = room < BODY_FIRST_MAX && room <= exchange->max_body_bytes ? room : 0;
    conn->body = exchange->body;
    conn->owner = exchange->owner;
}

struct plain_conn *plain_start(struct plain_pool *pool, struct str authority,
                               const struct plain_exchange *exchange) {
    struct plain_peer *const peer = find_peer(pool, authority);
    struct plain_conn *const conn = peer != NULL ? peer->idle : NULL;
    if (conn == NULL) {
        return NULL;
    }
    leave_idle(conn);
    if (!send_whole(conn->fd, exchange->request)) { /* the peer has closed it, mostly */
        conn_close(conn);
        return NULL;
    }
    begin(conn, exchange);
    return conn;
}

struct plain_conn *plain_connect(struct plain_pool *pool, struct str authority,
                                 const struct sockaddr_in *to,
                                 const struct plain_exchange *exchange, int64_t now_mono_ns) {
    int dial_errno = 0;
    const int fd = dial_start(to, &dial_errno);
    if (fd < 0) {
        return NULL;
    }
    if (!watch(pool->table, fd, EPOLLOUT)) {
        (void)close(fd);
        return NULL;
    }
    struct plain_conn *const conn = conn_new(pool, authority, fd, now_mono_ns);
    conn->fresh = true;
    conn->dial_errno = dial_errno;
    conn->unsent = mem_strndup(exchange->request.ptr, exchange->request.len);
    conn->unsent_len = exchange->request.len;
    begin(conn, exchange);
    return conn;
}

void *plain_owner(const struct plain_conn *conn) {
    return conn->owner;
}

bool plain_has_head(const struct plain_conn *conn) {
    return http_reader_has_head(&conn->reader);
}

void plain_stop(struct plain_conn *conn) {
    ASSERT(conn->owner != NULL);
    conn_close(conn);
}

static enum plain_result surprise(struct plain_conn *conn, int64_t now_mono_ns) {
    conn->peer->surprised_mono_ns = now_mono_ns;
    conn_close(conn);
    return PLAIN_AGAIN;
}

/* Nothing more comes: that may be how the body ends. Before the head that happens to kept connections, and the request may simply
 * not have been read, while on a new one it is the answer; a reset in the middle is told best by
 * libcurl. */
static enum plain_result end_of_stream(struct plain_conn *conn, ssize_t got) {
    enum plain_result result = PLAIN_AGAIN;
    if (got == 0 && http_reader_may_end(&conn->reader)) {
        result = PLAIN_DONE;
    } else if (http_reader_has_head(&conn->reader)) {
        result = got == 0 ? PLAIN_CUT : PLAIN_AGAIN;
    } else if (conn->body->len == 0) {
        result = !conn->fresh ? PLAIN_STALE : got == 0 ? PLAIN_SILENT : PLAIN_AGAIN;
    }
    conn_close(conn);
    return result;
}

/* One recv; at is how much room there was. */
static ssize_t receive(struct plain_conn *conn, size_t *out_room) {
    struct buf *const body = conn->body;
    size_t want = http_reader_missing(&conn->reader);
    want = want < RECEIVE_BYTES_MIN ? RECEIVE_BYTES_MIN : want;
    want = want > BODY_FIRST_MAX ? BODY_FIRST_MAX : want;
    want += body->len == 0 ? conn->first_bytes : 0;
    if (body->capacity - body->len <= want && buf_reserve(body, want) == NULL) {
        *out_room = 0;
        return -1;
    }
    *out_room = body->capacity - body->len - 1;
    const ssize_t got = recv(conn->fd, body->ptr + body->len, *out_room, MSG_DONTWAIT);
    body->len += got > 0 ? (size_t)got : 0;
    return got;
}

static enum plain_result read_on(struct plain_conn *conn, int64_t now_mono_ns) {
    for (;;) {
        size_t room = 0;
        const ssize_t got = receive(conn, &room);
        if (got < 0 && (errno == EAGAIN || errno == EINTR) && room > 0) {
            return PLAIN_WAIT;
        }
        if (got <= 0) {
            return room > 0 ? end_of_stream(conn, got) : surprise(conn, now_mono_ns);
        }
        switch (http_reader_feed(&conn->reader, conn->body)) {
        case HTTP_READ_MORE:
            if ((size_t)got < room) {
                return PLAIN_WAIT;
            }
            break;
        case HTTP_READ_SURPRISE:
            return surprise(conn, now_mono_ns);
        case HTTP_READ_TOO_LARGE:
            conn_close(conn);
            return PLAIN_TOO_LARGE;
        case HTTP_READ_DONE:
            if (conn->reader.reply->closes || conn->reader.excess) {
                conn_close(conn);
            } else {
                make_idle(conn, now_mono_ns);
                close_stale(conn->pool, now_mono_ns);
            }
            return PLAIN_DONE;
        }
    }
}

/* It is connected, or will not be. */
static enum plain_result end_connect(struct plain_conn *conn, int *out_errno) {
    const int fault = conn->dial_errno != 0 ? conn->dial_errno : dial_end(conn->fd);
    if (fault != 0) {
        conn_close(conn);
        *out_errno = fault;
        return PLAIN_REFUSED;
    }
    const struct str request = {conn->unsent, conn->unsent_len};
    if (!watch(conn->pool->table, conn->fd, EPOLLIN) || !send_whole(conn->fd, request)) {
        conn_close(conn);
        return PLAIN_AGAIN;
    }
    mem_free(conn->unsent);
    conn->unsent = NULL;
    return PLAIN_WAIT;
}

enum plain_result plain_on_event(struct plain_conn *conn, int64_t now_mono_ns, int *out_errno) {
    if (conn->unsent != NULL) {
        return end_connect(conn, out_errno);
    }
    if (conn->owner != NULL) {
        return read_on(conn, now_mono_ns);
    }
    if (!is_quiet(conn->fd)) { /* closed by the peer, or a peer that talks out of turn */
        leave_idle(conn);
        conn_close(conn);
    }
    return PLAIN_WAIT;
}
