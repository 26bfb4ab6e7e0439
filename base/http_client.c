/* HTTP client on libcurl's multi interface: the real struct transport.
 *
 * STRUCTURE. A client has multi handles of its own, and so connection caches, DNS caches and a
 * set of TLS settings of its own. libcurl decides by comparing options whether a connection may be
 * reused, and that comparison has been wrong for client certificates, proxy credentials and
 * Negotiate. With own multis there is nothing to compare: a connection made with one set of
 * credentials is never seen by another. The price is a few KB a client.
 *
 * A client begins with one multi and spreads its hosts over four times as many whenever it has
 * more than SHARD_CONNECTIONS connections in each: libcurl walks the whole connection cache at the
 * end of each transfer, which for 4000 targets in one multi was most of the CPU of a request. A
 * multi in use takes some 35 KB. The hosts connect anew when the number changes, which happens at
 * most three times.
 *
 * All multis report their sockets to one epoll instance and are driven by
 * curl_multi_socket_action, so that the cost of a poll follows the sockets that are ready and not
 * the number of targets. An easy handle (with its receive buffer) exists for a running request
 * only; between scrapes a target costs an idle connection in the cache and nothing else. Finished
 * requests go to a short list of idle ones with their easy handle and body buffer, newest first,
 * so that ten thousand targets that are scraped one after the other share a handful.
 *
 * REDIRECTS are followed here and not by libcurl: it would send configured headers to every host.
 * Credentials and configured headers go to the first host and its subdomains, never from https to
 * http, and once they were left out they stay out for the rest of the chain. As in Go's client
 * the eleventh request is refused.
 *
 * CONCURRENCY. One thread, but for transport_wake. Requests that finish are put on the ready list
 * and their callbacks run at the end of poll, so that a callback may start, cancel and free
 * anything. A client lives on, as memory, until the last of its requests was released. */
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/http_auth.h"
#include "base/http_plain.h"
#include "base/http_reply.h"
#include "base/mem.h"
#include "base/timer_heap.h"
#include "base/transport.h"
#include "base/url.h"
#include "base/vfs.h"

enum {
    REQUEST_COUNT_MAX = 10, /* of one redirect chain */
    BODY_BYTES_MAX = 1024 * 1024 * 1024,
    BODY_FIRST_MAX = 4 * 1024 * 1024,      /* most that is reserved on a peer's word */
    IDLE_BODY_BYTES_MAX = 2 * 1024 * 1024, /* largest body buffer kept between requests */
    IDLE_REQUEST_COUNT_MAX = 8,            /* a client */
    RECEIVE_BUFFER_BYTES = 64 * 1024,
    CONNECTION_COUNT_MAX = 20000, /* idle ones, as Prometheus keeps */
    IDLE_CONNECTION_S = 300,
    DNS_CACHE_S = 5,
    EPOLL_BATCH = 256,
    SHARD_COUNT_MAX = 64,
    SHARD_GROWTH = 4,
    SHARD_CONNECTIONS = 128,
    ADDRESS_TEXT_MAX = 128,
    OPENED_MAX = 4,
    REQUEST_TEXT_MAX = 256 * 1024
};

struct curl_transport {
    struct transport base;
    struct str user_agent;
    int epoll_fd;
    int wake_fd;
    struct shard **shards; /* by id; NULL = free */
    size_t shard_count;
    size_t client_count;
    struct plain_table plain;
    struct timer_heap deadlines; /* of requests on plain connections */
    int *parted;                 /* sockets that libcurl is done with, to be kept or closed */
    size_t parted_count;
    struct buf request_text;
    struct shard *armed;                   /* those whose timer runs */
    struct transport_request *ready_first; /* finished, callback not run yet */
    struct transport_request *ready_last;
};

/* One multi handle of a client. */
struct shard {
    struct curl_transport *t;
    CURLM *multi;
    uint32_t id;
    int64_t timer_mono_ns; /* when libcurl wants to be called; -1 = not, and not in the list */
    size_t running_count;
    struct shard *armed_next;
    struct shard *armed_prev;
    struct shard *retired_next;
};

struct transport_client {
    struct curl_transport *t;
    size_t ref_count;     /* one for the owner, one for each request not on the idle list */
    size_t running_count; /* requests whose callback has not run yet */
    struct shard *shards[SHARD_COUNT_MAX]; /* NULL = not needed yet */
    size_t shard_count;
    struct shard *retired;            /* replaced, but with requests that run */
    size_t connection_count;          /* open, idle ones included */
    const struct http_config *config; /* NULL = defaults */
    struct generation *generation;
    struct arena arena;
    struct http_lines fixed_lines; /* when no secret file is involved */
    bool reads_files;
    struct plain_pool *plain; /* NULL: this client's requests are not for it */
    struct curl_slist *proxy_headers;
    char *no_proxy;
    int ca_fd, cert_fd, key_fd; /* inline PEM as an anonymous file; -1 = none */
    size_t expected_body_bytes; /* length of the last body */
    struct transport_request *idle;
    size_t idle_count;
};

struct transport_request {
    struct timer deadline; /* first: the heap hands it back; on a plain connection only */
    struct transport_client *client;
    struct shard *shard;            /* of the current hop */
    struct transport_request *next; /* in the idle or ready list */
    CURL *easy;                     /* NULL until one is needed */
    struct plain_conn *plain;       /* the connection that it runs on, else libcurl has it */
    struct str authority;           /* of the URL; "" = nothing for a plain connection */
    struct str target;
    int opened[OPENED_MAX]; /* sockets that libcurl opened for it: the last few */
    unsigned opened_count;
    http_done_fn *done; /* NULL: cancelled while on the ready list */
    void *ctx;
    struct arena arena; /* of everything below that is text */
    const char *method;
    struct str url;       /* of the current hop */
    struct str first_url; /* of the first */
    struct str unix_socket;
    struct str *headers;
    size_t header_count;
    struct str body_out;
    struct http_lines config_lines;
    int64_t deadline_mono_ns; /* INT64_MAX = none */
    size_t max_body_bytes;
    unsigned request_count; /* of this redirect chain */
    bool credentials_dropped;
    bool running; /* added to the multi */
    bool body_started;
    /* the hop's answer */
    struct curl_slist *header_list;
    struct curl_slist *connect_to;
    struct http_reply reply;
    struct buf body;
    bool body_too_large;
    bool head_too_large;
    bool head_done; /* the empty line behind the final head was seen */
    CURLcode result;
    struct err err; /* of the whole request, once it is on the ready list */
    enum err_code code;
    char peer[ADDRESS_TEXT_MAX]; /* last address tried: "tcp 127.0.0.1:80", "unix /path" */
    char detail[CURL_ERROR_SIZE];
};

static struct curl_transport *transport_of(struct transport *t) {
    return (struct curl_transport *)t;
}

static int64_t now_ns(void) {
    return clock_mono_ns(clock_system());
}

/* Options and calls that fail only for lack of memory or by our mistake. */
static void must(CURLcode rc) {
    ASSERT(rc == CURLE_OK);
}

static void must_multi(CURLMcode rc) {
    ASSERT(rc == CURLM_OK);
}

static void append_line(struct curl_slist **list, const char *line) {
    struct curl_slist *grown = curl_slist_append(*list, line);
    ASSERT(grown != NULL);
    *list = grown;
}

/* ---- callbacks of libcurl ---- */

static size_t on_header(char *bytes, size_t size, size_t count, void *ctx) {
    struct transport_request *r = ctx;
    const struct str line = {bytes, size * count};
    if (r->head_done) { /* a trailer: nobody asked for it */
        return line.len;
    }
    if (!http_reply_line(&r->reply, line)) {
        r->head_too_large = true;
        return 0;
    }
    r->head_done = r->reply.status >= 200 && str_trim(line).len == 0;
    return line.len;
}

/* Room for the whole body at once when its length is known or was seen before. */
static void reserve_body(struct transport_request *r) {
    curl_off_t announced = -1;
    must(curl_easy_getinfo(r->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced));
    size_t want = announced > 0 ? (size_t)announced : r->client->expected_body_bytes;
    if (want > BODY_FIRST_MAX) {
        want = BODY_FIRST_MAX;
    }
    if (want > r->max_body_bytes) {
        want = r->max_body_bytes;
    }
    if (want > 0) {
        char *room = buf_reserve(&r->body, want);
        ASSERT(room != NULL);
    }
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx) {
    struct transport_request *r = ctx;
    const size_t n = size * count;
    if (!r->body_started) {
        r->body_started = true;
        reserve_body(r);
    }
    if (n > r->max_body_bytes - r->body.len) {
        r->body_too_large = true;
        return 0; /* libcurl gives up and closes the connection */
    }
    buf_append(&r->body, bytes, n);
    return n;
}

/* Notes the address for error texts: libcurl tells the peer of a connection only once it stands. */
static void note_peer(struct transport_request *r, const struct sockaddr *address) {
    char text[INET6_ADDRSTRLEN];
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof(in));
        (void)inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text));
        (void)snprintf(r->peer, sizeof(r->peer), "tcp %s:%u", text, ntohs(in.sin_port));
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof(in6));
        (void)inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof(text));
        (void)snprintf(r->peer, sizeof(r->peer), "tcp [%s]:%u", text, ntohs(in6.sin6_port));
    } else if (address->sa_family == AF_UNIX) {
        (void)snprintf(r->peer, sizeof(r->peer), "unix %.*s", STR_ARG(r->unix_socket));
    }
}

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *to) {
    (void)purpose;
    struct transport_request *r = ctx;
    note_peer(r, &to->addr);
    const int fd = socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    if (fd < 0) {
        return CURL_SOCKET_BAD;
    }
    r->client->connection_count++;
    r->opened[r->opened_count++ % OPENED_MAX] = fd;
    return fd;
}

static int on_close_socket(void *ctx, curl_socket_t fd) {
    struct transport_client *client = ctx;
    client->connection_count--;
    return close(fd);
}

/* As above, but the connection may go on without libcurl: see keep_connection. */
static int on_part_socket(void *ctx, curl_socket_t fd) {
    struct transport_client *client = ctx;
    struct curl_transport *t = client->t;
    client->connection_count--;
    t->parted = mem_resize(t->parted, t->parted_count + 1, sizeof(int));
    t->parted[t->parted_count++] = fd;
    return 0;
}

/* One epoll registration a socket; the tag finds the shard again, or finds it gone. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx) {
    (void)easy;
    struct shard *shard = ctx;
    const int epoll_fd = shard->t->epoll_fd;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL); /* gone already when it was closed */
        return 0;
    }
    struct epoll_event event = {.events = 0};
    event.events |= what != CURL_POLL_OUT ? (uint32_t)EPOLLIN : 0;
    event.events |= what != CURL_POLL_IN ? (uint32_t)EPOLLOUT : 0;
    event.data.u64 = (uint64_t)shard->id << 32 | (uint32_t)fd;
    const int op = socket_ctx != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(epoll_fd, op, fd, &event) != 0) {
        const int other = op == EPOLL_CTL_ADD ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
        if (epoll_ctl(epoll_fd, other, fd, &event) != 0) {
            return -1;
        }
    }
    must_multi(curl_multi_assign(shard->multi, fd, shard));
    return 0;
}

static void disarm(struct shard *shard) {
    if (shard->timer_mono_ns < 0) {
        return;
    }
    shard->timer_mono_ns = -1;
    if (shard->armed_prev != NULL) {
        shard->armed_prev->armed_next = shard->armed_next;
    } else {
        shard->t->armed = shard->armed_next;
    }
    if (shard->armed_next != NULL) {
        shard->armed_next->armed_prev = shard->armed_prev;
    }
}

static void arm(struct shard *shard, int64_t mono_ns) {
    if (shard->timer_mono_ns < 0) {
        shard->armed_prev = NULL;
        shard->armed_next = shard->t->armed;
        if (shard->armed_next != NULL) {
            shard->armed_next->armed_prev = shard;
        }
        shard->t->armed = shard;
    }
    shard->timer_mono_ns = mono_ns;
}

static int on_timer(CURLM *multi, long timeout_ms, void *ctx) {
    (void)multi;
    if (timeout_ms < 0) {
        disarm(ctx);
    } else {
        arm(ctx, now_ns() + timeout_ms * NS_PER_MS);
    }
    return 0;
}

/* ---- shards ---- */

static uint32_t take_shard_id(struct curl_transport *t) {
    for (size_t i = 0; i < t->shard_count; i++) {
        if (t->shards[i] == NULL) {
            return (uint32_t)i;
        }
    }
    t->shards = mem_resize(t->shards, t->shard_count + 1, sizeof(struct shard *));
    return (uint32_t)t->shard_count++;
}

static struct shard *shard_new(struct curl_transport *t) {
    struct shard *shard = mem_zalloc(sizeof(*shard));
    shard->t = t;
    shard->timer_mono_ns = -1;
    shard->multi = curl_multi_init();
    ASSERT(shard->multi != NULL);
    must_multi(curl_multi_setopt(shard->multi, CURLMOPT_SOCKETFUNCTION, on_socket));
    must_multi(curl_multi_setopt(shard->multi, CURLMOPT_SOCKETDATA, shard));
    must_multi(curl_multi_setopt(shard->multi, CURLMOPT_TIMERFUNCTION, on_timer));
    must_multi(curl_multi_setopt(shard->multi, CURLMOPT_TIMERDATA, shard));
    must_multi(curl_multi_setopt(shard->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTION_COUNT_MAX));
    shard->id = take_shard_id(t);
    t->shards[shard->id] = shard;
    return shard;
}

static void shard_free(struct shard *shard) {
    if (shard != NULL) {
        (void)curl_multi_cleanup(shard->multi);
        disarm(shard);
        shard->t->shards[shard->id] = NULL;
        mem_free(shard);
    }
}

/* More shards, all of them new. The old ones are freed later, not from here: one of them may be
 * what libcurl's messages are being read from. */
static void grow_shards(struct transport_client *client) {
    for (size_t i = 0; i < client->shard_count; i++) {
        struct shard *shard = client->shards[i];
        if (shard != NULL) {
            shard->retired_next = client->retired;
            client->retired = shard;
            client->shards[i] = NULL;
        }
    }
    client->shard_count *= SHARD_GROWTH;
}

static void free_retired(struct transport_client *client) {
    struct shard **at = &client->retired;
    while (*at != NULL) {
        struct shard *shard = *at;
        if (shard->running_count == 0) {
            *at = shard->retired_next;
            shard_free(shard);
        } else {
            at = &shard->retired_next;
        }
    }
}

/* Requests to one host and port share a multi, and so its connections. */
static struct shard *shard_of(struct transport_client *client, const struct url *url) {
    if (client->connection_count > client->shard_count * SHARD_CONNECTIONS &&
        client->shard_count < SHARD_COUNT_MAX && client->retired == NULL) {
        grow_shards(client);
    }
    uint64_t hash = hash_fnv1a64(FNV1A64_INIT, url->host.ptr, url->host.len);
    hash = hash_fnv1a64(hash, url->port.ptr, url->port.len);
    struct shard **at = &client->shards[(hash ^ hash >> 32) % client->shard_count];
    if (*at == NULL) {
        *at = shard_new(client->t);
    }
    return *at;
}

/* ---- clients ---- */

/* The same text, another reaction. */
static enum err_code recode(struct err *err, enum err_code code) {
    if (err != NULL) {
        err->code = code;
    }
    return code;
}

static enum err_code readable(struct str path, const char *what, struct err *err) {
    char *name = mem_strndup(path.ptr, path.len);
    struct vfs_file *file = NULL;
    const enum err_code code = vfs_open(vfs_system(), name, VFS_READ, &file, err);
    mem_free(name);
    if (code != ERR_OK) {
        (void)err_wrap(err, "unable to read %s: unable to read file %.*s", what, STR_ARG(path));
        return recode(err, ERR_INVALID);
    }
    vfs_file_close(file);
    return ERR_OK;
}

/* The GnuTLS backend takes files only: inline PEM gets a name without touching the disk. */
static enum err_code pem_file(struct str pem, int *out_fd, struct err *err) {
    const int fd = memfd_create("brasa-pem", MFD_CLOEXEC);
    if (fd < 0) {
        return err_set_errno(err, errno, "memfd_create");
    }
    size_t done = 0;
    while (done < pem.len) {
        const ssize_t put = write(fd, pem.ptr + done, pem.len - done);
        if (put < 0 && errno != EINTR) {
            (void)close(fd);
            return err_set_errno(err, errno, "write of an anonymous file");
        }
        done += put > 0 ? (size_t)put : 0;
    }
    *out_fd = fd;
    return ERR_OK;
}

/* Inline text into an anonymous file, or a look whether the file can be read. */
static enum err_code check_pem(struct str pem, struct str path, const char *what, int *out_fd,
                               struct err *err) {
    if (pem.len > 0) {
        return pem_file(pem, out_fd, err);
    }
    return path.len > 0 ? readable(path, what, err) : ERR_OK;
}

static enum err_code check_tls(struct transport_client *client, const struct tls_config *tls,
                               struct err *err) {
    if (tls->min_version != TLS_DEFAULT && tls->max_version != TLS_DEFAULT &&
        tls->max_version < tls->min_version) {
        return err_set(err, ERR_INVALID,
                       "tls_config.max_version must be greater than or equal to "
                       "tls_config.min_version if both are specified");
    }
    enum err_code code = check_pem(tls->ca, tls->ca_file, "CA cert", &client->ca_fd, err);
    if (code == ERR_OK) {
        code = check_pem(tls->cert, tls->cert_file, "client cert", &client->cert_fd, err);
    }
    if (code == ERR_OK) {
        code = check_pem(tls->key.reveal, tls->key_file, "client key", &client->key_fd, err);
    }
    return code;
}

static enum err_code check_config(struct transport_client *client, struct err *err) {
    const struct http_config *config = client->config;
    if (config == NULL) {
        return ERR_OK;
    }
    if (config->oauth2.set) {
        return err_set(err, ERR_UNSUPPORTED, "oauth2 is not supported by this version");
    }
    enum err_code code = config->has_tls ? check_tls(client, &config->tls, err) : ERR_OK;
    for (size_t i = 0; i < config->proxy_connect_header_count && code == ERR_OK; i++) {
        struct http_config only = {.headers = &config->proxy_connect_headers[i], .header_count = 1};
        struct http_lines lines = {0};
        code = http_auth_lines(&only, vfs_system(), &client->arena, &lines, err);
        for (size_t k = 0; code == ERR_OK && k < lines.count; k++) {
            append_line(&client->proxy_headers, lines.lines[k].ptr);
        }
    }
    client->reads_files = http_auth_uses_files(config);
    if (code == ERR_OK && !client->reads_files) {
        code = http_auth_lines(config, vfs_system(), &client->arena, &client->fixed_lines, err);
    }
    /* As Go: whoever lists exceptions also excepts this machine. "" keeps the environment out. */
    if (config->no_proxy.len > 0) {
        client->no_proxy = arena_cstr(&client->arena,
                                      arena_printf(&client->arena, "%.*s,localhost,127.0.0.0/8,::1",
                                                   STR_ARG(config->no_proxy)));
    } else if (!config->proxy_from_environment) {
        client->no_proxy = arena_cstr(&client->arena, STR(""));
    }
    return code;
}

static void close_fd(int fd) {
    if (fd >= 0) {
        (void)close(fd);
    }
}

static void request_free(struct transport_request *r) {
    ASSERT(r->plain == NULL);
    curl_easy_cleanup(r->easy); /* NULL is fine */
    curl_slist_free_all(r->header_list);
    curl_slist_free_all(r->connect_to);
    http_reply_release(&r->reply);
    buf_release(&r->body);
    arena_release(&r->arena);
    mem_free(r);
}

static void client_unref(struct transport_client *client) {
    if (--client->ref_count > 0) {
        return;
    }
    while (client->idle != NULL) {
        struct transport_request *r = client->idle;
        client->idle = r->next;
        request_free(r);
    }
    free_retired(client);
    plain_pool_free(client->plain);
    for (size_t i = 0; i < client->shard_count; i++) {
        shard_free(client->shards[i]);
    }
    client->t->client_count--;
    curl_slist_free_all(client->proxy_headers);
    close_fd(client->ca_fd);
    close_fd(client->cert_fd);
    close_fd(client->key_fd);
    arena_release(&client->arena);
    generation_unref(client->generation);
    mem_free(client);
}

static enum err_code curl_client_new(struct transport *base, const struct http_config *config,
                                     struct generation *g, struct transport_client **out,
                                     struct err *err) {
    struct curl_transport *t = transport_of(base);
    struct transport_client *client = mem_zalloc(sizeof(*client));
    client->t = t;
    client->ref_count = 1;
    client->shard_count = 1;
    t->client_count++;
    client->config = config;
    client->generation = g != NULL ? generation_ref(g) : NULL;
    client->ca_fd = -1;
    client->cert_fd = -1;
    client->key_fd = -1;
    arena_init(&client->arena, 0);
    const enum err_code code = check_config(client, err);
    if (code != ERR_OK) {
        client_unref(client);
        return code;
    }
    if (config == NULL || (config->proxy_url.len == 0 && !config->proxy_from_environment)) {
        client->plain = plain_pool_new(&t->plain);
    }
    *out = client;
    return ERR_OK;
}

static void curl_client_free(struct transport *base, struct transport_client *client) {
    (void)base;
    ASSERT(client->running_count == 0);
    client_unref(client);
}

/* ---- options of an easy handle ---- */

static long tls_versions(const struct tls_config *tls) {
    static const long lowest[] = {
        [TLS_DEFAULT] = CURL_SSLVERSION_TLSv1_2, [TLS10] = CURL_SSLVERSION_TLSv1_0,
        [TLS11] = CURL_SSLVERSION_TLSv1_1,       [TLS12] = CURL_SSLVERSION_TLSv1_2,
        [TLS13] = CURL_SSLVERSION_TLSv1_3,
    };
    static const long highest[] = {
        [TLS_DEFAULT] = CURL_SSLVERSION_MAX_DEFAULT, [TLS10] = CURL_SSLVERSION_MAX_TLSv1_0,
        [TLS11] = CURL_SSLVERSION_MAX_TLSv1_1,       [TLS12] = CURL_SSLVERSION_MAX_TLSv1_2,
        [TLS13] = CURL_SSLVERSION_MAX_TLSv1_3,
    };
    return lowest[tls->min_version] | highest[tls->max_version];
}

static void set_pem(CURL *easy, CURLoption option, int fd, struct str path) {
    char name[64];
    if (fd >= 0) {
        (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
        must(curl_easy_setopt(easy, option, name));
    } else if (path.len > 0) {
        char *text = mem_strndup(path.ptr, path.len);
        must(curl_easy_setopt(easy, option, text));
        mem_free(text);
    }
}

static void set_tls(CURL *easy, const struct transport_client *client) {
    const struct tls_config *tls = &client->config->tls;
    set_pem(easy, CURLOPT_CAINFO, client->ca_fd, tls->ca_file);
    set_pem(easy, CURLOPT_SSLCERT, client->cert_fd, tls->cert_file);
    set_pem(easy, CURLOPT_SSLKEY, client->key_fd, tls->key_file);
    must(curl_easy_setopt(easy, CURLOPT_SSLVERSION, tls_versions(tls)));
    if (tls->insecure_skip_verify) {
        must(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L));
        must(curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L));
    }
}

static void set_proxy(CURL *easy, const struct transport_client *client) {
    const struct http_config *config = client->config;
    const bool from_environment = config != NULL && config->proxy_from_environment;
    if (!from_environment) {
        char *url = config != NULL ? mem_strndup(config->proxy_url.ptr, config->proxy_url.len)
                                   : mem_strdup("");
        must(curl_easy_setopt(easy, CURLOPT_PROXY, url)); /* "" also keeps the environment out */
        mem_free(url);
    }
    if (client->no_proxy != NULL) {
        must(curl_easy_setopt(easy, CURLOPT_NOPROXY, client->no_proxy));
    }
}

/* What stays for all requests of the client. */
static void set_client_options(struct transport_request *r) {
    CURL *easy = r->easy;
    const struct transport_client *client = r->client;
    const bool http2 = client->config == NULL || client->config->enable_http2;
    must(curl_easy_setopt(easy, CURLOPT_PRIVATE, r));
    must(curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, r->detail));
    must(curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L));
    must(curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https"));
    must(curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L));
    must(curl_easy_setopt(easy, CURLOPT_UNRESTRICTED_AUTH, 0L));
    must(curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED));
    must(curl_easy_setopt(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L));
    must(curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L));
    must(curl_easy_setopt(easy, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE));
    must(curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                          (long)(http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1)));
    must(curl_easy_setopt(easy, CURLOPT_USERAGENT, client->t->user_agent.ptr));
    must(curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)RECEIVE_BUFFER_BYTES));
    must(curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L));
    must(curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L));
    must(curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)IDLE_CONNECTION_S));
    must(curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, (long)DNS_CACHE_S));
    must(curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header));
    must(curl_easy_setopt(easy, CURLOPT_HEADERDATA, r));
    must(curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body));
    must(curl_easy_setopt(easy, CURLOPT_WRITEDATA, r));
    must(curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket));
    must(curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, r));
    must(curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, client));
    set_proxy(easy, client);
    if (client->config != NULL && client->config->has_tls) {
        set_tls(easy, client);
    } else {
        must(curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2));
    }
}

static void set_method(struct transport_request *r) {
    CURL *easy = r->easy;
    must(curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, NULL));
    if (strcmp(r->method, "HEAD") == 0) {
        must(curl_easy_setopt(easy, CURLOPT_NOBODY, 1L));
        return;
    }
    must(curl_easy_setopt(easy, CURLOPT_NOBODY, 0L));
    if (strcmp(r->method, "POST") == 0 || r->body_out.len > 0) {
        must(curl_easy_setopt(easy, CURLOPT_POST, 1L));
        must(curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_out.len));
        must(curl_easy_setopt(easy, CURLOPT_POSTFIELDS, r->body_out.ptr));
    } else {
        must(curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L));
    }
    if (strcmp(r->method, "GET") != 0 && strcmp(r->method, "POST") != 0) {
        must(curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method));
    }
}

static bool line_has_name(struct str line, struct str name) {
    return line.len > name.len && line.ptr[name.len] == ':' &&
           str_eq_nocase(str_sub(line, 0, name.len), name);
}

static bool line_is_credential(struct str line) {
    static const struct str names[] = {STR_INIT("Authorization"), STR_INIT("Cookie"),
                                       STR_INIT("Cookie2"), STR_INIT("Proxy-Authorization"),
                                       STR_INIT("Www-Authenticate")};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (line_has_name(line, names[i])) {
            return true;
        }
    }
    return false;
}

/* libcurl reads "Name:" as "send none" and wants "Name;" for an empty value. */
static void append_header(struct transport_request *r, struct str line) {
    const ptrdiff_t colon = str_find_char(line, ':');
    if (colon > 0 && str_trim(str_from(line, (size_t)colon + 1)).len == 0) {
        line = arena_printf(&r->arena, "%.*s;", (int)colon, line.ptr);
    }
    append_line(&r->header_list, line.ptr);
}

static void set_headers(struct transport_request *r) {
    curl_slist_free_all(r->header_list);
    r->header_list = NULL;
    bool own_authorization = false;
    bool content_type = false;
    for (size_t i = 0; i < r->header_count; i++) {
        own_authorization = own_authorization || line_has_name(r->headers[i], STR("Authorization"));
        content_type = content_type || line_has_name(r->headers[i], STR("Content-Type"));
        if (!r->credentials_dropped || !line_is_credential(r->headers[i])) {
            append_header(r, r->headers[i]);
        }
    }
    const size_t skip = r->config_lines.has_authorization && own_authorization ? 1 : 0;
    for (size_t i = skip; i < r->config_lines.count && !r->credentials_dropped; i++) {
        append_header(r, r->config_lines.lines[i]);
    }
    if (r->body_out.len > 0) {
        append_line(&r->header_list, "Expect:"); /* no round trip to ask whether to send it */
        if (!content_type) {
            append_line(&r->header_list, "Content-Type:");
        }
    }
}

/* server_name is the name to ask for and to verify: it becomes the URL's host, the connection goes
 * to the real one, and the Host header names the real one too. */
static enum err_code set_server_name(struct transport_request *r, const struct url *url,
                                     struct str server_name, struct str *out_url, struct err *err) {
    const enum err_code code = url_with_host(&r->arena, r->url, server_name, out_url, err);
    if (code != ERR_OK) {
        return code;
    }
    const struct str port = url->port;
    append_line(&r->connect_to,
                arena_printf(&r->arena, "::%.*s:%.*s", STR_ARG(url->host), STR_ARG(port)).ptr);
    append_line(&r->header_list, arena_printf(&r->arena, "Host: %.*s%s%.*s", STR_ARG(url->host),
                                              port.len > 0 ? ":" : "", STR_ARG(port))
                                     .ptr);
    return ERR_OK;
}

static void clear_answer(struct transport_request *r) {
    http_reply_clear(&r->reply);
    buf_clear(&r->body);
    r->body_started = false;
    r->head_done = false;
    r->body_too_large = false;
    r->head_too_large = false;
    r->detail[0] = '\0';
    r->peer[0] = '\0';
    r->opened_count = 0;
}

/* ---- on plain connections ---- */

/* Header lines that libcurl would not send as they are, or would leave something out for. */
static bool line_is_special(struct str line) {
    static const struct str names[] = {STR_INIT("Host"),       STR_INIT("User-Agent"),
                                       STR_INIT("Connection"), STR_INIT("Content-Length"),
                                       STR_INIT("TE"),         STR_INIT("Transfer-Encoding"),
                                       STR_INIT("Upgrade"),    STR_INIT("Expect")};
    bool special = str_find_char(line, ':') <= 0;
    for (size_t i = 0; i < COUNT_OF(names) && !special; i++) {
        special = line_has_name(line, names[i]);
    }
    return special;
}

/* A GET of a simple URL, the first of its chain, whose headers say nothing about connections. */
static bool is_plain(const struct transport_request *r) {
    if (r->client->plain == NULL || r->unix_socket.len > 0 || r->body_out.len > 0 ||
        strcmp(r->method, "GET") != 0) {
        return false;
    }
    for (size_t i = 0; i < r->header_count; i++) {
        if (line_is_special(r->headers[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < r->config_lines.count; i++) {
        if (line_is_special(r->config_lines.lines[i])) {
            return false;
        }
    }
    return true;
}

/* Decides once a request whether plain connections are for it. */
static void choose_plain(struct transport_request *r) {
    struct str authority;
    struct str target;
    r->authority = STR("");
    if (is_plain(r) && plain_url_split(r->url, &authority, &target) &&
        plain_pool_wants(r->client->plain, authority, now_ns())) {
        r->authority = authority;
        r->target = target;
    }
}

static void append_request_line(struct buf *to, struct str line, bool *accept) {
    *accept = *accept || line_has_name(line, STR("Accept"));
    buf_append_str(to, line);
    buf_append_cstr(to, "\r\n");
}

static void write_request(const struct transport_request *r, struct buf *to) {
    bool own_authorization = false;
    bool accept = false;
    buf_clear(to);
    buf_append_cstr(to, "GET ");
    buf_append_str(to, r->target);
    buf_append_cstr(to, " HTTP/1.1\r\nHost: ");
    buf_append_str(to, r->authority);
    buf_append_cstr(to, "\r\nUser-Agent: ");
    buf_append_str(to, r->client->t->user_agent);
    buf_append_cstr(to, "\r\n");
    for (size_t i = 0; i < r->header_count; i++) {
        own_authorization = own_authorization || line_has_name(r->headers[i], STR("Authorization"));
        append_request_line(to, r->headers[i], &accept);
    }
    const size_t skip = r->config_lines.has_authorization && own_authorization ? 1 : 0;
    for (size_t i = skip; i < r->config_lines.count; i++) {
        append_request_line(to, r->config_lines.lines[i], &accept);
    }
    buf_append_cstr(to, accept ? "\r\n" : "Accept: */*\r\n\r\n");
}

/* False when there is no connection, or none that works: then it is for libcurl. */
static bool start_plain(struct transport_request *r) {
    struct curl_transport *t = r->client->t;
    if (r->authority.len == 0) {
        return false;
    }
    write_request(r, &t->request_text);
    if (!buf_ok(&t->request_text)) {
        return false;
    }
    clear_answer(r);
    r->plain = plain_start(r->client->plain, r->authority, buf_str(&t->request_text), &r->reply,
                           &r->body, r->max_body_bytes, r->client->expected_body_bytes, r);
    if (r->plain != NULL && r->deadline_mono_ns != INT64_MAX) {
        timer_heap_set(&t->deadlines, &r->deadline, r->deadline_mono_ns);
    }
    r->request_count = r->plain != NULL;
    return r->plain != NULL;
}

static void leave_plain(struct transport_request *r) {
    timer_heap_remove(&r->client->t->deadlines, &r->deadline);
    r->plain = NULL;
}

/* The socket that libcurl used for a request that went well serves the next ones. */
static void keep_connection(struct transport_request *r) {
    struct curl_transport *t = r->client->t;
    for (size_t i = t->parted_count; i-- > 0;) {
        for (unsigned k = 0; k < r->opened_count && k < OPENED_MAX; k++) {
            if (t->parted[i] == r->opened[k]) {
                plain_pool_adopt(r->client->plain, r->authority, t->parted[i], now_ns());
                t->parted[i] = t->parted[--t->parted_count];
                return;
            }
        }
    }
}

static void close_parted(struct curl_transport *t) {
    while (t->parted_count > 0) {
        (void)close(t->parted[--t->parted_count]);
    }
}

/* ---- hops ---- */

/* Sets up the easy handle for r->url and hands it to the multi. */
static enum err_code start_hop(struct transport_request *r, struct err *err) {
    struct url url;
    enum err_code code = url_parse(&r->arena, r->url, &url, err);
    if (code != ERR_OK) {
        return code;
    }
    const bool https = str_eq(url.scheme, STR("https"));
    if (!https && !str_eq(url.scheme, STR("http"))) {
        return err_set(err, ERR_INVALID, "unsupported protocol scheme \"%.*s\"",
                       STR_ARG(url.scheme));
    }
    clear_answer(r);
    r->request_count++;
    curl_slist_free_all(r->connect_to);
    r->connect_to = NULL;
    set_headers(r);

    const struct http_config *config = r->client->config;
    struct str target = r->url;
    if (https && config != NULL && config->has_tls && config->tls.server_name.len > 0) {
        code = set_server_name(r, &url, config->tls.server_name, &target, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    long timeout_ms = 0;
    if (r->deadline_mono_ns != INT64_MAX) {
        const int64_t left_ms = (r->deadline_mono_ns - now_ns()) / NS_PER_MS;
        timeout_ms = left_ms > 0 ? (long)left_ms : 1;
    }
    if (r->easy == NULL) {
        r->easy = curl_easy_init();
        ASSERT(r->easy != NULL);
        set_client_options(r);
    }
    CURL *easy = r->easy;
    const bool parts = r->authority.len > 0;
    must(curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, parts ? 1L : 0L));
    must(curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION,
                          parts ? on_part_socket : on_close_socket));
    must(curl_easy_setopt(easy, CURLOPT_URL, target.ptr));
    must(curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH,
                          r->unix_socket.len > 0 ? r->unix_socket.ptr : NULL));
    must(curl_easy_setopt(easy, CURLOPT_CONNECT_TO, r->connect_to));
    must(curl_easy_setopt(easy, CURLOPT_PROXYHEADER, https ? r->client->proxy_headers : NULL));
    must(curl_easy_setopt(easy, CURLOPT_HTTPHEADER, r->header_list));
    must(curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms));
    must(curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms));
    set_method(r);
    r->shard = shard_of(r->client, &url);
    must_multi(curl_multi_add_handle(r->shard->multi, easy));
    r->shard->running_count++;
    r->running = true;
    return ERR_OK;
}

/* ---- requests ---- */

static struct transport_request *request_take(struct transport_client *client) {
    struct transport_request *r = client->idle;
    if (r != NULL) {
        client->idle = r->next;
        client->idle_count--;
    } else {
        r = mem_zalloc(sizeof(*r));
        r->client = client;
        arena_init(&r->arena, 0);
        http_reply_init(&r->reply);
        buf_init(&r->body, 0);
    }
    r->next = NULL;
    client->ref_count++;
    return r;
}

/* Back to the idle list, with a body buffer only if it is of a usual size. */
static void request_release(struct transport_request *r) {
    struct transport_client *client = r->client;
    arena_reset(&r->arena);
    if (client->idle_count < IDLE_REQUEST_COUNT_MAX) {
        if (r->body.capacity > IDLE_BODY_BYTES_MAX) {
            buf_release(&r->body);
        }
        r->next = client->idle;
        client->idle = r;
        client->idle_count++;
    } else {
        request_free(r);
    }
    free_retired(client);
    client_unref(client);
}

static void stop_hop(struct transport_request *r) {
    if (r->plain != NULL) {
        plain_stop(r->plain);
        leave_plain(r);
    }
    if (r->running) {
        must_multi(curl_multi_remove_handle(r->shard->multi, r->easy));
        r->shard->running_count--;
        r->running = false;
    }
}

static void make_ready(struct transport_request *r) {
    struct curl_transport *t = r->client->t;
    r->next = NULL;
    if (t->ready_last != NULL) {
        t->ready_last->next = r;
    } else {
        t->ready_first = r;
    }
    t->ready_last = r;
}

/* "Get" of "GET", as Go begins its error texts. */
static enum err_code wrap_op(const struct transport_request *r, struct err *err) {
    char op[16];
    size_t n = 0;
    for (; r->method[n] != '\0' && n + 1 < sizeof(op); n++) {
        const char c = r->method[n];
        op[n] = n > 0 && c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    op[n] = '\0';
    struct buf url;
    buf_init(&url, 2 * r->url.len + 16);
    url_redact(&url, str_sub(r->url, 0, ERR_TEXT_MAX / 2));
    const enum err_code code = err_wrap(err, "%s \"%.*s\"", op, STR_ARG(buf_str(&url)));
    buf_release(&url);
    return code;
}

static void copy_request(struct transport_request *r, const struct http_request *request) {
    struct arena *arena = &r->arena;
    r->method = arena_cstr(arena, str_of(request->method));
    r->url = arena_str(arena, request->url);
    r->first_url = r->url;
    r->unix_socket = arena_str(arena, request->unix_socket);
    r->body_out = arena_str(arena, request->body);
    r->header_count = request->header_count;
    r->headers = arena_alloc(arena, (request->header_count + 1) * sizeof(struct str));
    for (size_t i = 0; i < request->header_count; i++) {
        r->headers[i] = arena_str(arena, request->headers[i]);
    }
    r->deadline_mono_ns =
        request->timeout_ms > 0 ? now_ns() + request->timeout_ms * NS_PER_MS : INT64_MAX;
    r->max_body_bytes = request->max_body_bytes > 0 && request->max_body_bytes < BODY_BYTES_MAX
                            ? request->max_body_bytes
                            : BODY_BYTES_MAX;
    r->body.max_bytes = r->max_body_bytes;
    r->request_count = 0;
    r->credentials_dropped = false;
    r->config_lines = (struct http_lines){0};
}

static enum err_code check_request(const struct http_request *request, struct err *err) {
    for (size_t i = 0; i < request->header_count; i++) {
        if (!http_line_safe(request->headers[i])) {
            return err_set(err, ERR_INVALID, "net/http: invalid header field value");
        }
    }
    if (!http_line_safe(request->unix_socket) ||
        request->unix_socket.len >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
        return err_set(err, ERR_INVALID, "path of unix socket is too long");
    }
    return ERR_OK;
}

static enum err_code curl_start(struct transport *base, struct transport_client *client,
                                const struct http_request *request, http_done_fn *done, void *ctx,
                                struct transport_request **out, struct err *err) {
    (void)base;
    enum err_code code = check_request(request, err);
    if (code != ERR_OK) {
        return code;
    }
    struct transport_request *r = request_take(client);
    copy_request(r, request);
    r->done = done;
    r->ctx = ctx;
    if (client->reads_files) {
        code = http_auth_lines(client->config, vfs_system(), &r->arena, &r->config_lines, err);
    } else {
        r->config_lines = client->fixed_lines;
    }
    if (code == ERR_OK) {
        choose_plain(r);
        code = start_plain(r) ? ERR_OK : start_hop(r, err);
    }
    if (code != ERR_OK) {
        (void)wrap_op(r, err);
        request_release(r);
        return code;
    }
    client->running_count++;
    *out = r;
    return ERR_OK;
}

static void curl_cancel(struct transport *base, struct transport_request *r) {
    (void)base;
    ASSERT(r->done != NULL);
    r->client->running_count--;
    r->done = NULL;
    if (r->running || r->plain != NULL) {
        stop_hop(r);
        request_release(r);
    } /* else it is on the ready list, and released when its turn comes */
}

/* ---- redirects ---- */

static bool is_redirect(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Whether credentials for the first URL may go to the next one. */
static bool may_keep_credentials(const struct url *first, const struct url *next) {
    if (str_eq(first->scheme, STR("https")) && !str_eq(next->scheme, STR("https"))) {
        return false;
    }
    if (str_eq_nocase(first->host, next->host)) {
        return true;
    }
    const bool is_address = str_find_char(next->host, ':') >= 0;
    return !is_address && next->host.len > first->host.len &&
           next->host.ptr[next->host.len - first->host.len - 1] == '.' &&
           str_eq_nocase(str_from(next->host, next->host.len - first->host.len), first->host);
}

/* Starts the next hop. Any error is the end of the request. */
static enum err_code follow(struct transport_request *r, struct err *err) {
    if (r->request_count >= REQUEST_COUNT_MAX) {
        return err_set(err, ERR_NETWORK, "stopped after 10 redirects");
    }
    const int status = r->reply.status;
    struct str next = STR("");
    struct url first_url;
    struct url next_url;
    enum err_code code =
        url_resolve(&r->arena, r->url, http_reply_get(&r->reply, REPLY_LOCATION), &next, err);
    if (code == ERR_OK) {
        code = url_parse(&r->arena, r->first_url, &first_url, err);
    }
    if (code == ERR_OK) {
        code = url_parse(&r->arena, next, &next_url, err);
    }
    if (code != ERR_OK) {
        (void)err_wrap(err, "failed to parse Location header");
        return recode(err, ERR_NETWORK);
    }
    if (!may_keep_credentials(&first_url, &next_url)) {
        r->credentials_dropped = true;
    }
    if (status <= 303 && strcmp(r->method, "GET") != 0 && strcmp(r->method, "HEAD") != 0) {
        r->method = "GET";
        r->body_out = STR("");
    }
    r->url = next;
    r->authority = STR("");
    code = start_hop(r, err);
    return code == ERR_OK ? code : recode(err, ERR_NETWORK);
}

static bool wants_redirect(const struct transport_request *r) {
    const bool follows = r->client->config == NULL || r->client->config->follow_redirects;
    return r->result == CURLE_OK && follows && is_redirect(r->reply.status) &&
           http_reply_get(&r->reply, REPLY_LOCATION).len > 0;
}

/* ---- the end of a request ---- */

/* "connection refused": strerror's text with Go's small letter. */
static const char *errno_text(int sys_errno, char *to, size_t size) {
    char reason[128];
    (void)snprintf(to, size, "%s", strerror_r(sys_errno, reason, sizeof(reason)));
    if (to[0] >= 'A' && to[0] <= 'Z' && to[1] >= 'a' && to[1] <= 'z') {
        to[0] = (char)(to[0] + ('a' - 'A'));
    }
    return to;
}

static enum err_code connect_error(const struct transport_request *r, struct err *err) {
    long sys_errno = 0;
    must(curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &sys_errno));
    char reason[128];
    if (sys_errno == 0 || r->peer[0] == '\0') {
        return err_set(err, ERR_NETWORK, "dial %s: %s", r->peer[0] != '\0' ? r->peer : "tcp",
                       r->detail);
    }
    return err_set(err, ERR_NETWORK, "dial %s: connect: %s", r->peer,
                   errno_text((int)sys_errno, reason, sizeof(reason)));
}

static enum err_code stream_error(const struct transport_request *r, const char *op,
                                  struct err *err) {
    const char *local_ip = NULL;
    const char *peer_ip = NULL;
    long local_port = 0;
    long peer_port = 0;
    long sys_errno = 0;
    must(curl_easy_getinfo(r->easy, CURLINFO_LOCAL_IP, &local_ip));
    must(curl_easy_getinfo(r->easy, CURLINFO_LOCAL_PORT, &local_port));
    must(curl_easy_getinfo(r->easy, CURLINFO_PRIMARY_IP, &peer_ip));
    must(curl_easy_getinfo(r->easy, CURLINFO_PRIMARY_PORT, &peer_port));
    must(curl_easy_getinfo(r->easy, CURLINFO_OS_ERRNO, &sys_errno));
    if (sys_errno == 0) {
        return err_set(err, ERR_NETWORK, "%s", r->detail[0] != '\0' ? r->detail : "EOF");
    }
    char reason[128];
    return err_set(err, ERR_NETWORK, "%s tcp %s:%ld->%s:%ld: %s: %s", op,
                   local_ip != NULL ? local_ip : "", local_port, peer_ip != NULL ? peer_ip : "",
                   peer_port, op, errno_text((int)sys_errno, reason, sizeof(reason)));
}

static enum err_code lookup_error(const struct transport_request *r, struct err *err) {
    struct arena scratch;
    arena_init(&scratch, 0);
    struct url url;
    if (url_parse(&scratch, r->url, &url, NULL) != ERR_OK) {
        url.host = STR("");
    }
    const enum err_code code =
        err_set(err, ERR_NETWORK, "dial tcp: lookup %.*s: no such host", STR_ARG(url.host));
    arena_release(&scratch);
    return code;
}

/* The text without the operation and URL: Go's words where it has some, else libcurl's. */
static enum err_code result_error(const struct transport_request *r, struct err *err) {
    static const struct {
        CURLcode result;
        const char *text;
    } fixed[] = {
        {CURLE_GOT_NOTHING, "EOF"},
        {CURLE_PARTIAL_FILE, "unexpected EOF"},
        {CURLE_WEIRD_SERVER_REPLY,
         "net/http: HTTP/1.x transport connection broken: malformed HTTP response"},
        {CURLE_UNSUPPORTED_PROTOCOL, /* HTTP/0.9, that is: no status line */
         "net/http: HTTP/1.x transport connection broken: malformed HTTP response"},
    };
    if (r->head_too_large) {
        return err_set(err, ERR_LIMIT, "response headers are larger than %d bytes",
                       HTTP_HEAD_BYTES_MAX);
    }
    if (r->result == CURLE_OPERATION_TIMEDOUT) {
        return err_set(err, ERR_TIMEOUT, "context deadline exceeded");
    }
    if (r->result == CURLE_COULDNT_CONNECT) {
        return connect_error(r, err);
    }
    if (r->result == CURLE_COULDNT_RESOLVE_HOST) {
        return lookup_error(r, err);
    }
    if (r->result == CURLE_RECV_ERROR || r->result == CURLE_SEND_ERROR) {
        return stream_error(r, r->result == CURLE_RECV_ERROR ? "read" : "write", err);
    }
    for (size_t i = 0; i < COUNT_OF(fixed); i++) {
        if (fixed[i].result == r->result) {
            return err_set(err, ERR_NETWORK, "%s", fixed[i].text);
        }
    }
    const bool verify = r->result == CURLE_PEER_FAILED_VERIFICATION;
    return err_set(err, ERR_NETWORK, "%s%s", verify ? "tls: failed to verify certificate: " : "",
                   r->detail[0] != '\0' ? r->detail : curl_easy_strerror(r->result));
}

/* Once the head is there, Go's client has answered and an error of the body stands alone. */
static enum err_code request_error(const struct transport_request *r, struct err *err) {
    const enum err_code code = result_error(r, err);
    if (!r->head_done) {
        (void)wrap_op(r, err);
    }
    return code;
}

static enum err_code body_error(struct err *err) {
    return err_set(err, ERR_LIMIT, "body size limit exceeded");
}

/* A hop ended: the next one, or the ready list. */
static void finish_hop(struct transport_request *r, CURLcode result) {
    r->result = result;
    stop_hop(r);
    if (result == CURLE_OK && r->authority.len > 0 && !r->reply.closes) {
        keep_connection(r);
    }
    if (wants_redirect(r)) {
        r->code = follow(r, &r->err);
        if (r->code == ERR_OK) {
            return;
        }
        (void)wrap_op(r, &r->err);
    } else if (r->body_too_large) {
        r->code = body_error(&r->err);
    } else if (result != CURLE_OK) {
        r->code = request_error(r, &r->err);
    } else {
        r->code = ERR_OK;
        r->client->expected_body_bytes = r->body.len;
    }
    make_ready(r);
}

static void collect(struct shard *shard) {
    int left = 0;
    CURLMsg *message = NULL;
    while ((message = curl_multi_info_read(shard->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE) {
            continue;
        }
        const CURLcode result = message->data.result;
        struct transport_request *r = NULL;
        must(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&r));
        finish_hop(r, result);
    }
}

static void run_done(struct transport_request *r) {
    struct http_response response = {
        .code = r->code,
        .status = r->reply.status,
        .reason = http_reply_get(&r->reply, REPLY_REASON),
        .content_type = http_reply_get(&r->reply, REPLY_CONTENT_TYPE),
        .content_encoding = http_reply_get(&r->reply, REPLY_CONTENT_ENCODING),
        .api_version = http_reply_get(&r->reply, REPLY_API_VERSION),
        .retry_after = http_reply_get(&r->reply, REPLY_RETRY_AFTER),
        .body = &r->body,
        .body_too_large = r->body_too_large,
    };
    if (r->code != ERR_OK) {
        response.err = r->err;
    }
    http_done_fn *done = r->done;
    r->done = NULL;
    r->client->running_count--;
    done(r->ctx, &response);
}

/* Callbacks add nothing to this list: what they start ends in a later poll. */
static void run_ready(struct curl_transport *t) {
    struct transport_request *r = t->ready_first;
    while (r != NULL) {
        t->ready_first = r->next;
        if (t->ready_first == NULL) {
            t->ready_last = NULL;
        }
        if (r->done != NULL) {
            run_done(r);
        }
        request_release(r);
        r = t->ready_first;
    }
}

/* ---- the loop ---- */

static int64_t wait_ns(const struct curl_transport *t, int64_t timeout_ns) {
    if (t->ready_first != NULL) {
        return 0;
    }
    const struct timer *late = timer_heap_first(&t->deadlines);
    if (late == NULL && t->armed == NULL) {
        return timeout_ns;
    }
    const int64_t now = now_ns();
    if (late != NULL) {
        const int64_t left = late->due_mono_ns > now ? late->due_mono_ns - now : 0;
        timeout_ns = timeout_ns < 0 || left < timeout_ns ? left : timeout_ns;
    }
    for (const struct shard *shard = t->armed; shard != NULL; shard = shard->armed_next) {
        const int64_t left = shard->timer_mono_ns > now ? shard->timer_mono_ns - now : 0;
        timeout_ns = timeout_ns < 0 || left < timeout_ns ? left : timeout_ns;
    }
    return timeout_ns;
}

static int wait_events(const struct curl_transport *t, int64_t timeout_ns,
                       struct epoll_event *events) {
    const struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NS_PER_S),
                                     .tv_nsec = (long)(timeout_ns % NS_PER_S)};
    int n = epoll_pwait2(t->epoll_fd, events, EPOLL_BATCH, timeout_ns >= 0 ? &timeout : NULL, NULL);
    if (n < 0 && errno == ENOSYS) { /* Linux before 5.11 */
        const int64_t ms = timeout_ns < 0 ? -1 : (timeout_ns + NS_PER_MS - 1) / NS_PER_MS;
        n = epoll_wait(t->epoll_fd, events, EPOLL_BATCH, ms < INT32_MAX ? (int)ms : INT32_MAX);
    }
    ASSERT(n >= 0 || errno == EINTR);
    return n > 0 ? n : 0;
}

static void drain_wake(const struct curl_transport *t) {
    uint64_t count = 0;
    const ssize_t n = read(t->wake_fd, &count, sizeof(count));
    ASSERT(n == (ssize_t)sizeof(count) || errno == EAGAIN || errno == EINTR);
}

static void act(struct shard *shard, curl_socket_t fd, int what) {
    int running = 0;
    must_multi(curl_multi_socket_action(shard->multi, fd, what, &running));
    collect(shard);
}

/* The exchange ended without an answer that can be used: libcurl makes the request again. */
static void start_again(struct transport_request *r) {
    r->request_count = 0;
    r->code = start_hop(r, &r->err);
    if (r->code != ERR_OK) {
        (void)wrap_op(r, &r->err);
        make_ready(r);
    }
}

static void handle_plain_event(struct curl_transport *t, uint32_t fd) {
    struct plain_conn *conn = plain_table_find(&t->plain, fd);
    if (conn == NULL) {
        return;
    }
    struct transport_request *r = plain_owner(conn);
    const int64_t now = now_ns();
    if (r != NULL) {
        r->head_done = plain_has_head(conn);
    }
    const enum plain_result result = plain_on_event(conn, now);
    if (result == PLAIN_WAIT) {
        return;
    }
    leave_plain(r);
    r->head_done = true;
    switch (result) {
    case PLAIN_WAIT:
        return;
    case PLAIN_DONE:
        finish_hop(r, CURLE_OK);
        return;
    case PLAIN_TOO_LARGE:
        r->body_too_large = true;
        finish_hop(r, CURLE_WRITE_ERROR);
        return;
    case PLAIN_CUT:
        finish_hop(r, CURLE_PARTIAL_FILE);
        return;
    case PLAIN_AGAIN:
        start_again(r);
        return;
    }
}

static void end_late(struct curl_transport *t, int64_t now_mono_ns) {
    for (struct timer *due = timer_heap_first(&t->deadlines);
         due != NULL && due->due_mono_ns <= now_mono_ns; due = timer_heap_first(&t->deadlines)) {
        struct transport_request *r = (struct transport_request *)(void *)due;
        r->head_done = plain_has_head(r->plain);
        finish_hop(r, CURLE_OPERATION_TIMEDOUT);
    }
}

/* The tag of an event may be of a socket or shard that ended earlier in the same batch. A shard
 * that is gone is NULL; a socket that a multi does not know is ignored by it, and one that was
 * opened since under the same number sees an event too many, which is harmless. */
static void handle_event(struct curl_transport *t, const struct epoll_event *event) {
    const uint32_t id = (uint32_t)(event->data.u64 >> 32);
    if (id == UINT32_MAX) {
        drain_wake(t);
        return;
    }
    if (id == PLAIN_TAG) {
        handle_plain_event(t, (uint32_t)(event->data.u64 & UINT32_MAX));
        return;
    }
    if (id >= t->shard_count || t->shards[id] == NULL) {
        return;
    }
    int what = 0;
    what |= (event->events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0;
    what |= (event->events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0;
    what |= (event->events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0;
    act(t->shards[id], (curl_socket_t)(event->data.u64 & UINT32_MAX), what);
}

static void curl_poll(struct transport *base, int64_t timeout_ns) {
    struct curl_transport *t = transport_of(base);
    struct epoll_event events[EPOLL_BATCH];
    close_parted(t); /* of requests that were cancelled since */
    const int n = wait_events(t, wait_ns(t, timeout_ns), events);
    for (int i = 0; i < n; i++) {
        handle_event(t, &events[i]);
    }
    const int64_t now = now_ns();
    /* libcurl sets the next timer from within the call. A redirect may arm another shard meanwhile,
     * which goes to the front; none is disarmed but the one that acts, and none is freed. */
    struct shard *shard = t->armed;
    while (shard != NULL) {
        struct shard *next = shard->armed_next;
        if (shard->timer_mono_ns <= now) {
            disarm(shard);
            act(shard, CURL_SOCKET_TIMEOUT, 0);
        }
        shard = next;
    }
    end_late(t, now);
    run_ready(t);
    close_parted(t);
}

static void curl_wake(struct transport *base) {
    const uint64_t one = 1;
    const ssize_t n = write(transport_of(base)->wake_fd, &one, sizeof(one));
    ASSERT(n == (ssize_t)sizeof(one) || errno == EAGAIN); /* full: it is awake */
}

static void curl_free_transport(struct transport *base) {
    struct curl_transport *t = transport_of(base);
    while (t->ready_first != NULL) {
        struct transport_request *r = t->ready_first;
        ASSERT(r->done == NULL);
        t->ready_first = r->next;
        request_release(r);
    }
    ASSERT(t->client_count == 0);
    close_parted(t);
    mem_free(t->parted);
    plain_table_release(&t->plain);
    timer_heap_release(&t->deadlines);
    buf_release(&t->request_text);
    mem_free(t->shards);
    close_fd(t->epoll_fd);
    close_fd(t->wake_fd);
    mem_free((char *)t->user_agent.ptr);
    mem_free(t);
    curl_global_cleanup();
}

struct transport *transport_curl_new(struct str user_agent) {
    static const struct transport_ops ops = {
        .client_new = curl_client_new,
        .client_free = curl_client_free,
        .start = curl_start,
        .cancel = curl_cancel,
        .poll = curl_poll,
        .wake = curl_wake,
        .free = curl_free_transport,
    };
    must(curl_global_init(CURL_GLOBAL_DEFAULT)); /* counted, and thread-safe since 7.84 */
    struct curl_transport *t = mem_zalloc(sizeof(*t));
    t->base.ops = &ops;
    t->user_agent = (struct str){mem_strndup(user_agent.ptr, user_agent.len), user_agent.len};
    t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    ASSERT(t->epoll_fd >= 0);
    t->plain.epoll_fd = t->epoll_fd;
    buf_init(&t->request_text, REQUEST_TEXT_MAX);
    t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ASSERT(t->wake_fd >= 0);
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)UINT32_MAX << 32};
    const int rc = epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, t->wake_fd, &event);
    ASSERT(rc == 0);
    return &t->base;
}
