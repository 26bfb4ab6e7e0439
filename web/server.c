/* libmicrohttpd: one daemon a listener, each with its own epoll thread.
 *
 * STATES of a request
 *     reading ──body whole──▶ dispatched ──cheap──▶ answered
 *                                  └──ROUTE_WORKER──▶ suspended ──worker──▶ resumed ──▶ answered
 * A large answer is made while it is sent: whenever the client has taken a piece the request is
 * suspended again and a worker makes the next, so that neither a slow client holds a worker nor a
 * large answer the listener's thread.
 *
 * CONCURRENCY. A request is touched by its listener's thread, except between suspend and resume,
 * when it belongs to the one worker that popped it from the queue. The list of suspended
 * requests (mu) serves the watcher, which raises the cancel flag of a request whose client went
 * away, and the stop, which raises all.
 *
 * WHY NOT a thread per connection: 512 idle dashboards would be 512 stacks. WHY NOT the
 * library's form parser: it has had overflows; http.c decodes forms itself. */
#include "web/server.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/compress.h"
#include "base/gzip_stream.h"
#include "base/mem.h"
#include "base/number.h"
#include "web/listen.h"
#include "web/router.h"

enum {
    LISTENERS_MAX = 16,
    WORKERS_MAX = 256,
    WATCH_MAX = 1024,
    WATCH_INTERVAL_MS = 100,
    COMPRESS_MIN_BYTES = 1024,
    STREAM_BLOCK_BYTES = 32 * 1024,
    BODY_CUT_FACTOR = 4,
    CONNECTION_MEMORY_BYTES = HTTP_URL_MAX + 32 * 1024,
    BRIEF_BODY_MAX = 256 * 1024,
};
#define BRIEF_NS (3 * NS_PER_MS)
#define BRIEF_PAUSE_NS (100 * NS_PER_MS)

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
    struct request *next, **previous; /* suspended list, under server->mu */
};

struct listener {
    struct MHD_Daemon *daemon;
    uint16_t port;
};

struct http_server {
    struct web *web;
    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
    struct queue *jobs;
    struct thread workers[WORKERS_MAX];
    size_t worker_count;        /* under mu; grows while none is idle, to WORKERS_MAX */
    _Atomic int64_t idle_count; /* workers that wait, minus jobs that wait for them */
    struct thread watcher;
    struct mutex mu;
    struct cond appeared; /* the first suspended request, for the watcher; or the stop */
    struct cond changed;  /* while stopping */
    /* under mu */
    struct request *suspended;
    size_t resuming_count; /* workers between taking a request off the list and resuming it */
    bool stopping;

    _Atomic int64_t brief_after_ns; /* monotonic: until then brief routes run on workers, too */
};

static struct str header(struct MHD_Connection *c, struct arena *arena, const char *name) {
    const char *value = MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
    return value != NULL ? arena_str(arena, str_of(value)) : STR("");
}

static enum http_method method_of(const char *method) {
    static const struct {
        const char *name;
        enum http_method method;
    } known[] = {{"GET", HTTP_GET},
                 {"HEAD", HTTP_HEAD},
                 {"POST", HTTP_POST},
                 {"PUT", HTTP_PUT},
                 {"OPTIONS", HTTP_OPTIONS}};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (strcmp(method, known[i].name) == 0) {
            return known[i].method;
        }
    }
    return HTTP_OTHER;
}

/* First sight of a request: the raw target is only to be had here. */
static void *begin_request(void *ctx, const char *target, struct MHD_Connection *connection) {
    struct http_server *server = ctx;
    struct request *r = mem_zalloc(sizeof(*r));
    r->server = server;
    r->connection = connection;
    r->fd = -1;
    arena_init(&r->in.arena, HTTP_REQUEST_MEMORY_MAX);
    buf_init(&r->in.body, HTTP_BODY_MAX);
    buf_init(&r->out.body, HTTP_RESPONSE_MAX);
    buf_init(&r->packed, HTTP_RESPONSE_MAX);
    if (server->web->options.engine != NULL) {
        struct budget *memory = query_engine_memory(server->web->options.engine);
        r->in.arena.pool = memory;
        r->out.body.pool = memory;
        r->packed.pool = memory;
    }
    cancel_init(&r->in.cancel, server->web->options.clock, 0);
    r->in.target = arena_str(&r->in.arena, str_of(target));
    r->start_mono_ns = clock_mono_ns(server->web->options.clock);
    return r;
}

static void count_request(const struct request *r) {
    const struct web_options *o = &r->server->web->options;
    char code[20];
    const size_t code_len = number_format_i64(r->out.status, code);
    const struct label labels[] = {{STR("handler"), str_of(route_label(r->route))},
                                   {STR("code"), {code, code_len}}};
    metric_inc(metric_counter(o->registry, "prometheus_http_requests_total",
                              "Counter of HTTP requests.", labels, 2));
    static const double bounds[] = {.1, .2, .4, 1, 3, 8, 20, 60, 120};
    struct metric_histogram *seconds = metric_histogram(
        o->registry, "prometheus_http_request_duration_seconds",
        "Histogram of latencies for HTTP requests.", labels, 1, bounds, COUNT_OF(bounds));
    metric_observe(seconds, (double)(clock_mono_ns(o->clock) - r->start_mono_ns) / 1e9);
}

static void end_request(void *ctx, struct MHD_Connection *connection, void **con_cls,
                        enum MHD_RequestTerminationCode why) {
    (void)ctx;
    (void)connection;
    (void)why;
    struct request *r = *con_cls;
    if (r == NULL) {
        return;
    }
    *con_cls = NULL;
    gzip_stream_free(r->gzip);
    buf_release(&r->packed);
    buf_release(&r->in.body);
    buf_release(&r->out.body);
    arena_release(&r->in.arena);
    mem_free(r);
}

/* ---- answering ---- */

static void add(struct MHD_Response *response, const char *name, const char *value) {
    if (value != NULL && value[0] != '\0') {
        (void)MHD_add_response_header(response, name, value);
    }
}

static void add_cors(struct request *r, struct MHD_Response *response) {
    add(response, "Vary", r->out.vary_origin ? "Origin" : NULL);
    if (!r->out.cors) {
        return;
    }
    add(response, "Access-Control-Allow-Headers", "Accept, Authorization, Content-Type, Origin");
    add(response, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    add(response, "Access-Control-Expose-Headers", "Date");
    if (r->out.allow_origin.len != 0) {
        add(response, "Access-Control-Allow-Origin", arena_cstr(&r->in.arena, r->out.allow_origin));
    }
}

static void add_headers(struct request *r, struct MHD_Response *response) {
    struct http_outgoing *out = &r->out;
    add(response, "Content-Type", out->status != 204 ? out->content_type : NULL);
    add(response, "X-Content-Type-Options", "nosniff");
    add(response, "Allow", out->allow);
    add(response, "ETag", out->etag);
    add(response, "Cache-Control", out->cache_control);
    if (out->location.len != 0) {
        add(response, "Location", arena_cstr(&r->in.arena, out->location));
    }
    if (out->stopping_header) {
        add(response, "X-Prometheus-Stopping", out->stopping ? "true" : "false");
    }
    for (size_t i = 0; i < out->header_count; i++) {
        add(response, out->headers[i].name, arena_cstr(&r->in.arena, out->headers[i].value));
    }
    if (out->compress || out->body_is_gzip) {
        add(response, "Vary", "Accept-Encoding");
    }
    if (out->page) {
        add(response, "Content-Security-Policy",
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src "
            "'self'; img-src 'self' data:; "
            "base-uri 'none'; form-action 'self'; frame-ancestors 'self'; "
            "require-trusted-types-for 'script'");
        add(response, "Referrer-Policy", "no-referrer");
    }
    add_cors(r, response);
}

/* Compresses a body worth it; leaves it alone if that fails. */
static bool compress_body(struct request *r) {
    if (!r->out.compress || r->out.body.len < COMPRESS_MIN_BYTES ||
        !http_accepts_gzip(r->in.accept_encoding)) {
        return false;
    }
    struct buf packed;
    buf_init(&packed, HTTP_RESPONSE_MAX);
    if (deflate_gzip(buf_str(&r->out.body), 1, &packed, NULL) != ERR_OK) {
        buf_release(&packed);
        return false;
    }
    buf_release(&r->out.body);
    r->out.body = packed;
    return true;
}

/* Assets are stored compressed; the rare client without gzip gets them inflated. */
static bool inflate_asset(struct request *r) {
    if (!r->out.body_is_gzip || http_accepts_gzip(r->in.accept_encoding)) {
        return false;
    }
    struct inflater *inflater = inflater_new();
    buf_clear(&r->out.body);
    const bool ok = inflate_gzip(inflater, r->out.static_body, &r->out.body, NULL) == ERR_OK;
    inflater_free(inflater);
    r->out.static_body = STR("");
    return ok;
}

/* ---- jobs ---- */

static void work(void *ctx);

/* Queries may wait for each other: one that needs microseconds must find a worker while all others
 * are busy for minutes. */
static void add_worker(struct http_server *server) {
    mutex_lock(&server->mu);
    if (!server->stopping && server->worker_count < WORKERS_MAX) {
        atomic_fetch_add_explicit(&server->idle_count, 1, memory_order_relaxed);
        thread_start(&server->workers[server->worker_count++], "web-worker", work, server);
    }
    mutex_unlock(&server->mu);
}

static bool push_job(struct http_server *server, struct request *r) {
    if (atomic_fetch_sub_explicit(&server->idle_count, 1, memory_order_relaxed) <= 0) {
        add_worker(server);
    }
    if (queue_try_push(server->jobs, r)) {
        return true;
    }
    atomic_fetch_add_explicit(&server->idle_count, 1, memory_order_relaxed);
    return false;
}

/* ---- answers in pieces ---- */

static struct buf *piece_of(struct request *r) {
    return r->gzip != NULL ? &r->packed : &r->out.body;
}

static void pack_piece(struct request *r) {
    if (r->gzip != NULL) {
        buf_clear(&r->packed);
        gzip_stream_write(r->gzip, buf_str(&r->out.body), r->out.source == NULL, &r->packed);
    }
}

static void make_piece(struct request *r) {
    buf_clear(&r->out.body);
    if (!r->out.source->more(r->out.source, &r->out.body)) {
        r->out.source = NULL;
    }
    pack_piece(r);
    r->sent_bytes = 0;
}

static bool suspend_request(struct request *r);
static void resume_request(struct request *r);

static ssize_t read_piece(void *ctx, uint64_t offset, char *to, size_t max) {
    (void)offset;
    struct request *r = ctx;
    const struct buf *piece = piece_of(r);
    if (!buf_ok(piece) || !buf_ok(&r->out.body)) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (r->sent_bytes < piece->len) {
        const size_t left = piece->len - r->sent_bytes;
        const size_t n = left < max ? left : max;
        memcpy(to, piece->ptr + r->sent_bytes, n);
        r->sent_bytes += n;
        return (ssize_t)n;
    }
    if (r->out.source == NULL) {
        return MHD_CONTENT_READER_END_OF_STREAM;
    }
    if (!suspend_request(r)) {
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (!push_job(r->server, r)) {
        make_piece(r);
        resume_request(r);
    }
    return 0;
}

static struct MHD_Response *make_streamed(struct request *r) {
    r->streams = true;
    if (r->out.compress && http_accepts_gzip(r->in.accept_encoding)) {
        r->gzip = gzip_stream_new(1);
    }
    pack_piece(r);
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, read_piece, r, NULL);
    if (response != NULL && r->gzip != NULL) {
        add(response, "Content-Encoding", "gzip");
    }
    return response;
}

static struct MHD_Response *make_response(struct request *r) {
    if (r->out.source != NULL) {
        return make_streamed(r);
    }
    const bool inflated = inflate_asset(r);
    const bool packed = compress_body(r);
    struct MHD_Response *response = NULL;
    if (r->out.static_body.len != 0) {
        response = MHD_create_response_from_buffer(r->out.static_body.len,
                                                   (void *)(uintptr_t)r->out.static_body.ptr,
                                                   MHD_RESPMEM_PERSISTENT);
    } else {
        size_t size = 0;
        char *body = buf_take(&r->out.body, &size);
        response = MHD_create_response_from_buffer(size, body, MHD_RESPMEM_MUST_FREE);
        if (response == NULL) {
            mem_free(body);
        }
    }
    if (response != NULL && (packed || (r->out.body_is_gzip && !inflated))) {
        add(response, "Content-Encoding", "gzip");
    }
    return response;
}

static enum MHD_Result answer(struct request *r) {
    if (!buf_ok(&r->out.body)) {
        buf_clear(&r->out.body);
        http_text(&r->out, 500, "the answer is too large\n");
    }
    if (r->out.etag != NULL && r->out.status == 200) {
        const char *known =
            MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "If-None-Match");
        if (known != NULL && strcmp(known, r->out.etag) == 0) {
            r->out.status = 304;
            r->out.static_body = STR("");
            r->out.body_is_gzip = false;
        }
    }
    count_request(r);
    struct MHD_Response *response = make_response(r);
    if (response == NULL) {
        return MHD_NO;
    }
    add_headers(r, response);
    if (r->out.status >= 400 && r->out.status != 404) {
        /* what led to a bad request may also have garbled the framing: no second one on this connection */
        add(response, "Connection", "close");
    }
    const enum MHD_Result result =
        MHD_queue_response(r->connection, (unsigned)r->out.status, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- workers ---- */

static void unlink_locked(struct request *r) {
    if (r->next != NULL) {
        r->next->previous = r->previous;
    }
    *r->previous = r->next;
}

/* False while the server stops: then nothing may be suspended any more. */
static bool suspend_request(struct request *r) {
    struct http_server *server = r->server;
    mutex_lock(&server->mu);
    if (server->stopping) {
        mutex_unlock(&server->mu);
        return false;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    r->fd = info != NULL ? info->connect_fd : -1;
    MHD_suspend_connection(r->connection);
    r->next = server->suspended;
    r->previous = &server->suspended;
    if (r->next != NULL) {
        r->next->previous = &r->next;
    }
    server->suspended = r;
    if (r->next == NULL) {
        cond_signal(&server->appeared);
    }
    mutex_unlock(&server->mu);
    return true;
}

static void resume_request(struct request *r) {
    struct http_server *server = r->server;
    mutex_lock(&server->mu);
    unlink_locked(r);
    r->done = true;
    server->resuming_count++;
    struct MHD_Connection *connection = r->connection;
    mutex_unlock(&server->mu);
    MHD_resume_connection(connection);
    /* r may be gone by now */
    mutex_lock(&server->mu);
    server->resuming_count--;
    if (server->stopping) {
        cond_broadcast(&server->changed);
    }
    mutex_unlock(&server->mu);
}

static void work(void *ctx) {
    struct http_server *server = ctx;
    struct request *r = NULL;
    while ((r = queue_pop(server->jobs)) != NULL) {
        if (r->streams) {
            make_piece(r);
        } else {
            r->route->handler(server->web, &r->in, &r->out);
        }
        resume_request(r);
        atomic_fetch_add_explicit(&server->idle_count, 1, memory_order_relaxed);
    }
}

static void cancel_abandoned_locked(struct http_server *server, struct pollfd *fds)
    REQUIRES(server->mu) {
    nfds_t count = 0;
    for (struct request *r = server->suspended; r != NULL && count < WATCH_MAX; r = r->next) {
        fds[count++] = (struct pollfd){.fd = r->fd, .events = POLLRDHUP};
    }
    (void)poll(fds, count, 0);
    nfds_t i = 0;
    for (struct request *r = server->suspended; r != NULL && i < count; r = r->next, i++) {
        if ((fds[i].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) {
            cancel_raise(&r->in.cancel);
        }
    }
}

/* A client that went away cancels its query. Looks ten times a second while there is somebody to look
 * at, so that short requests wake it no more often than that. */
static void watch(void *ctx) {
    struct http_server *server = ctx;
    struct pollfd *fds = mem_array(WATCH_MAX, sizeof(*fds));
    mutex_lock(&server->mu);
    while (!server->stopping) {
        if (server->suspended == NULL) {
            cond_wait(&server->appeared, &server->mu);
        }
        const int64_t until = clock_mono_ns(clock_system()) + WATCH_INTERVAL_MS * NS_PER_MS;
        while (!server->stopping && clock_mono_ns(clock_system()) < until) {
            (void)cond_wait_until(&server->changed, &server->mu, until);
        }
        cancel_abandoned_locked(server, fds);
    }
    mutex_unlock(&server->mu);
    mem_free(fds);
}

/* ---- the library's callback ---- */

/* Framing headers that appear twice are how requests are smuggled past a proxy. */
static enum MHD_Result count_framing(void *ctx, enum MHD_ValueKind kind, const char *key,
                                     const char *value) {
    (void)kind;
    (void)value;
    unsigned *counts = ctx;
    counts[0] += strcasecmp(key, "Host") == 0;
    counts[1] += strcasecmp(key, "Content-Length") == 0;
    counts[2] += strcasecmp(key, "Transfer-Encoding") == 0;
    return MHD_YES;
}

static bool framing_ok(struct MHD_Connection *connection) {
    unsigned counts[3] = {0, 0, 0};
    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, count_framing, counts);
    return counts[0] <= 1 && counts[1] <= 1 && counts[2] <= 1 && counts[1] + counts[2] <= 1;
}

static void read_headers(struct request *r, const char *method) {
    struct http_incoming *in = &r->in;
    in->method = method_of(method);
    in->content_type = header(r->connection, &in->arena, "Content-Type");
    in->content_encoding = header(r->connection, &in->arena, "Content-Encoding");
    in->accept_encoding = header(r->connection, &in->arena, "Accept-Encoding");
    in->origin = header(r->connection, &in->arena, "Origin");
    in->host = header(r->connection, &in->arena, "Host");
    in->fetch_site = header(r->connection, &in->arena, "Sec-Fetch-Site");
    in->body.max_bytes = router_body_max(r->server->web, in->target);
    r->parsed_headers = true;
}

static bool announces_too_much(struct request *r) {
    const char *text =
        MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Content-Length");
    uint64_t length = 0;
    return text != NULL &&
           (number_parse_u64(str_of(text), &length) != NUMBER_OK || length > r->in.body.max_bytes);
}

/* What the head alone tells: such a request's body is not read. True when it is answered. */
static bool refuse_early(struct request *r, enum MHD_Result *out_result) {
    if (!framing_ok(r->connection)) {
        http_text(&r->out, 400, "ambiguous request framing\n");
    } else if (announces_too_much(r) && r->in.body.max_bytes == HTTP_BODY_MAX) {
        http_text(&r->out, 413, "request body too large\n");
    } else {
        return false;
    }
    *out_result = answer(r);
    return true;
}

/* A brief route on the listener's thread: waking a worker and being woken by it would cost more than
 * the work. One that took long, because of the disk or a lock, sends the next ones to workers. */
static bool run_brief(struct request *r) {
    struct http_server *server = r->server;
    const int64_t begin_ns = clock_mono_ns(server->web->options.clock);
    if ((r->route->flags & ROUTE_BRIEF) == 0 || r->in.body.len > BRIEF_BODY_MAX ||
        begin_ns < atomic_load_explicit(&server->brief_after_ns, memory_order_relaxed)) {
        return false;
    }
    r->route->handler(server->web, &r->in, &r->out);
    const int64_t end_ns = clock_mono_ns(server->web->options.clock);
    if (end_ns - begin_ns > BRIEF_NS) {
        atomic_store_explicit(&server->brief_after_ns, end_ns + BRIEF_PAUSE_NS,
                              memory_order_relaxed);
    }
    return true;
}

static struct str client_of(struct request *r) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    char text[INET6_ADDRSTRLEN] = "";
    if (info == NULL || info->client_addr == NULL) {
        return STR("");
    }
    const struct sockaddr *address = info->client_addr;
    const void *ip = NULL;
    if (address->sa_family == AF_INET) {
        ip = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    } else if (address->sa_family == AF_INET6) {
        ip = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    }
    if (ip == NULL || inet_ntop(address->sa_family, ip, text, sizeof(text)) == NULL) {
        return STR("");
    }
    return arena_str(&r->in.arena, str_of(text));
}

static enum MHD_Result dispatch(struct request *r) {
    struct err err;
    if (r->in.body_too_large && r->in.body.max_bytes == HTTP_BODY_MAX) {
        http_text(&r->out, 413, "request body too large\n");
        return answer(r);
    }
    if (http_incoming_parse(&r->in, &err) != ERR_OK) {
        http_text(&r->out, 400, err.text);
        buf_append_char(&r->out.body, '\n');
        return answer(r);
    }
    r->route = router_find(r->server->web, &r->in, &r->out);
    if (r->route == NULL) {
        return answer(r);
    }
    if ((r->route->flags & ROUTE_WORKER) == 0) {
        r->route->handler(r->server->web, &r->in, &r->out);
        return answer(r);
    }
    if (run_brief(r)) {
        return answer(r);
    }
    r->in.client = client_of(r);
    if (!suspend_request(r)) {
        http_text(&r->out, 503, "Service Unavailable");
        r->out.stopping_header = r->out.stopping = true;
        return answer(r);
    }
    if (!push_job(r->server, r)) {
        http_text(&r->out, 503, "too many requests are waiting\n");
        resume_request(r);
    }
    return MHD_YES;
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **con_cls) {
    (void)ctx;
    (void)url;
    (void)version;
    struct request *r = *con_cls;
    ASSERT(r != NULL);
    if (!r->parsed_headers) {
        r->connection = connection;
        read_headers(r, method);
        enum MHD_Result result = MHD_YES;
        (void)refuse_early(r, &result);
        return result;
    }
    if (r->done) {
        return answer(r);
    }
    if (*upload_size > 0) {
        r->received_bytes += *upload_size;
        if (r->received_bytes > BODY_CUT_FACTOR * r->in.body.max_bytes) {
            return MHD_NO; /* closes: who sends that much does not wait for an answer */
        }
        if (!r->in.body_too_large) {
            buf_append(&r->in.body, upload, *upload_size);
            r->in.body_too_large = !buf_ok(&r->in.body);
        }
        *upload_size = 0;
        return MHD_YES;
    }
    return dispatch(r);
}

static PRINTF_LIKE(2, 0) void log_library(void *ctx, const char *fmt, va_list args) {
    struct http_server *server = ctx;
    char text[512];
    (void)vsnprintf(text, sizeof(text), fmt, args);
    log_debug(server->web->options.log, "web", "http library",
              log_str("text", str_trim(str_of(text))));
}

/* ---- life ---- */

static enum err_code start_listener(struct http_server *server, struct str listen,
                                    struct err *err) {
    const struct web_options *o = &server->web->options;
    struct listener *l = &server->listeners[server->listener_count];
    int fd = -1;
    const enum err_code code = listen_bind(listen, &fd, &l->port, err);
    if (code != ERR_OK) {
        return code;
    }
    l->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_ITC,
        0, NULL, NULL, on_access, server, MHD_OPTION_EXTERNAL_LOGGER, log_library, server,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK, begin_request, server,
        MHD_OPTION_NOTIFY_COMPLETED, end_request, server, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)o->max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)((o->read_timeout_ms + 999) / 1000), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (l->daemon == NULL) {
        (void)close(fd);
        return err_set(err, ERR_IO, "listen tcp %.*s: the HTTP library could not start",
                       STR_ARG(listen));
    }
    server->listener_count++;
    return ERR_OK;
}

enum err_code http_server_start(struct web *web, struct http_server **out, struct err *err) {
    const struct web_options *o = &web->options;
    if (o->listen_count == 0 || o->listen_count > LISTENERS_MAX) {
        return err_set(err, ERR_INVALID, "between 1 and %d listen addresses are needed, got %zu",
                       LISTENERS_MAX, o->listen_count);
    }
    struct http_server *server = mem_zalloc(sizeof(*server));
    server->web = web;
    server->jobs = queue_new(o->max_connections * o->listen_count);
    mutex_init(&server->mu);
    cond_init(&server->appeared);
    cond_init(&server->changed);
    const size_t first_workers = o->worker_count == 0            ? 4
                                 : o->worker_count > WORKERS_MAX ? WORKERS_MAX
                                                                 : o->worker_count;
    for (size_t i = 0; i < first_workers; i++) {
        add_worker(server);
    }
    thread_start(&server->watcher, "web-watch", watch, server);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < o->listen_count && code == ERR_OK; i++) {
        code = start_listener(server, o->listen[i], err);
    }
    if (code != ERR_OK) {
        http_server_stop(server);
        return code;
    }
    *out = server;
    return ERR_OK;
}

uint16_t http_server_port(const struct http_server *server, size_t listener) {
    return listener < server->listener_count ? server->listeners[listener].port : 0;
}

void http_server_stop(struct http_server *server) {
    mutex_lock(&server->mu);
    server->stopping = true;
    for (struct request *r = server->suspended; r != NULL; r = r->next) {
        cancel_raise(&r->in.cancel);
    }
    cond_broadcast(&server->appeared);
    cond_broadcast(&server->changed);
    mutex_unlock(&server->mu);
    thread_join(&server->watcher);

    int fds[LISTENERS_MAX];
    for (size_t i = 0; i < server->listener_count; i++) {
        fds[i] = MHD_quiesce_daemon(server->listeners[i].daemon);
    }
    /* nothing is suspended from now on; workers answer, cancelled, what was */
    mutex_lock(&server->mu);
    while (server->suspended != NULL || server->resuming_count != 0) {
        cond_wait(&server->changed, &server->mu);
    }
    mutex_unlock(&server->mu);
    for (size_t i = 0; i < server->listener_count; i++) {
        MHD_stop_daemon(server->listeners[i].daemon);
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    queue_close(server->jobs);
    for (size_t i = 0; i < server->worker_count; i++) {
        thread_join(&server->workers[i]);
    }
    queue_free(server->jobs);
    cond_release(&server->appeared);
    cond_release(&server->changed);
    mutex_release(&server->mu);
    mem_free(server);
}
