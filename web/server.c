/* libmicrohttpd: one daemon a listener, each with its own epoll thread.
 *
 * STATES of a request
 *     reading ──body whole──▶ dispatched ──cheap or brief──▶ answered
 *                                  └──ROUTE_WORKER──▶ suspended ──worker──▶ resumed ──▶ answered
 * A large answer is made while it is sent: whenever the client has taken a piece the request is
 * suspended again and a worker makes the next, so that neither a slow client holds a worker nor a
 * large answer the listener's thread.
 *
 * FILES. This one has the listeners and how a request is read, brief.c which of them their thread
 * answers, workers.c the threads beside them, reply.c answers, connections.c who may connect and for
 * how long without a request.
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
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/http_framing.h"
#include "base/mem.h"
#include "base/number.h"
#include "web/exchange.h"
#include "web/listen.h"

enum {
    BODY_CUT_FACTOR = 4,
    CONNECTION_MEMORY_BYTES = HTTP_URL_MAX + 32 * 1024,
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

/* ---- connections ---- */

static struct connection *connection_of(struct MHD_Connection *connection) {
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info->socket_context;
}

static enum MHD_Result admit(void *ctx, const struct sockaddr *address, socklen_t size) {
    (void)size;
    struct http_server *server = ctx;
    const bool fine = connections_admit(server->connections, address);
    if (!fine) {
        metric_inc(
            metric_counter(server->web->options.registry, "brasa_http_connections_refused_total",
                           "Connections closed at once, as their client has too many.", NULL, 0));
    }
    return fine ? MHD_YES : MHD_NO;
}

static void follow_connection(void *ctx, struct MHD_Connection *connection, void **socket_context,
                              enum MHD_ConnectionNotificationCode what) {
    struct http_server *server = ctx;
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) { /* the library closes the descriptor after this */
        connection_close(server->connections, *socket_context);
        *socket_context = NULL;
        return;
    }
    const int fd =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    const struct sockaddr *address =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    *socket_context =
        connection_open(server->connections, fd, address, clock_mono_ns(clock_system()));
    if (connections_count(server->connections) == 1) {
        workers_notice_connections(server);
    }
}

/* ---- requests ---- */

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
    r->on = connection_of(connection);
    connection_reads(server->connections, r->on, clock_mono_ns(clock_system()));
    return r;
}

static void end_request(void *ctx, struct MHD_Connection *connection, void **con_cls,
                        enum MHD_RequestTerminationCode why) {
    (void)connection;
    (void)why;
    const struct http_server *server = ctx;
    struct request *r = *con_cls;
    if (r == NULL) {
        return;
    }
    *con_cls = NULL;
    connection_reads(server->connections, r->on, clock_mono_ns(clock_system()));
    gzip_stream_free(r->gzip);
    buf_release(&r->packed);
    buf_release(&r->in.body);
    buf_release(&r->out.body);
    arena_release(&r->in.arena);
    mem_free(r);
}

/* ---- the library's callback ---- */

/* Framing headers that appear twice, or say what the library reads in its own way, are how requests
 * are smuggled past a proxy. */
struct framing_seen {
    struct http_framing framing;
    unsigned host_count;
};

static enum MHD_Result see_framing(void *ctx, enum MHD_ValueKind kind, const char *key,
                                   const char *value) {
    (void)kind;
    struct framing_seen *seen = ctx;
    seen->host_count += strcasecmp(key, "Host") == 0;
    (void)http_framing_field(&seen->framing, str_of(key), str_of(value != NULL ? value : ""));
    return MHD_YES;
}

static bool framing_ok(struct MHD_Connection *connection, const char *version) {
    struct framing_seen seen = {0};
    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, see_framing, &seen);
    return seen.host_count <= 1 && seen.framing.fault == HTTP_FRAMING_SOUND &&
           !seen.framing.repeated &&
           (!seen.framing.chunked || strcmp(version, MHD_HTTP_VERSION_1_1) == 0);
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
static bool refuse_early(struct request *r, const char *version, enum MHD_Result *out_result) {
    if (!framing_ok(r->connection, version)) {
        http_text(&r->out, 400, "ambiguous request framing\n");
    } else if (announces_too_much(r) && r->in.body.max_bytes == HTTP_BODY_MAX) {
        http_text(&r->out, 413, "request body too large\n");
    } else {
        return false;
    }
    *out_result = reply_send(r);
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
    connection_answers(r->on);
    if (r->in.body_too_large && r->in.body.max_bytes == HTTP_BODY_MAX) {
        http_text(&r->out, 413, "request body too large\n");
        return reply_send(r);
    }
    if (http_incoming_parse(&r->in, &err) != ERR_OK) {
        http_text(&r->out, 400, err.text);
        buf_append_char(&r->out.body, '\n');
        return reply_send(r);
    }
    r->route = router_find(r->server->web, &r->in, &r->out);
    if (r->route == NULL) {
        return reply_send(r);
    }
    if ((r->route->flags & ROUTE_WORKER) == 0) {
        r->route->handler(r->server->web, &r->in, &r->out);
        return reply_send(r);
    }
    r->in.client = client_of(r);
    if (brief_run(r)) {
        return reply_send(r);
    }
    if (!request_suspend(r)) {
        http_text(&r->out, 503, "Service Unavailable");
        r->out.stopping_header = r->out.stopping = true;
        return reply_send(r);
    }
    if (!workers_push(r->server, r)) {
        http_text(&r->out, 503, "too many requests are waiting\n");
        request_resume(r);
    }
    return MHD_YES;
}

static enum MHD_Result on_access(void *ctx, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **con_cls) {
    (void)ctx;
    (void)url;
    struct request *r = *con_cls;
    ASSERT(r != NULL);
    if (!r->parsed_headers) {
        r->connection = connection;
        read_headers(r, method);
        enum MHD_Result result = MHD_YES;
        (void)refuse_early(r, version, &result);
        return result;
    }
    if (r->done) {
        return reply_send(r);
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

/* The socket is the library's from then on. */
static enum err_code start_listener(struct http_server *server, struct web_sockets *sockets,
                                    struct err *err) {
    const struct web_options *o = &server->web->options;
    const size_t i = server->listener_count;
    struct listener *l = &server->listeners[i];
    const int fd = sockets->items[i].fd;
    l->port = sockets->items[i].port;
    l->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | MHD_USE_ITC,
        0, admit, server, on_access, server, MHD_OPTION_EXTERNAL_LOGGER, log_library, server,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK, begin_request, server,
        MHD_OPTION_NOTIFY_COMPLETED, end_request, server, MHD_OPTION_NOTIFY_CONNECTION,
        follow_connection, server, MHD_OPTION_CONNECTION_LIMIT, (unsigned)o->max_connections,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)((o->read_timeout_ms + 999) / 1000),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    if (l->daemon == NULL) {
        return err_set(err, ERR_IO, "listen tcp %.*s: the HTTP library could not start",
                       STR_ARG(o->listen[i]));
    }
    sockets->items[i].fd = -1;
    server->listener_count++;
    return ERR_OK;
}

enum err_code http_server_start(struct web *web, struct http_server **out, struct err *err) {
    const struct web_options *o = &web->options;
    struct web_sockets *own = NULL;
    if (o->sockets == NULL) {
        const enum err_code code = web_bind(o->listen, o->listen_count, &own, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    struct web_sockets *sockets = own != NULL ? own : o->sockets;
    struct http_server *server = mem_zalloc(sizeof(*server));
    server->web = web;
    server->jobs = queue_new(o->max_connections * o->listen_count);
    /* with one listener the library leaves those beyond the limit in its queue */
    server->connections =
        connections_new(o->listen_count > 1 ? o->max_connections : 0, o->max_client_connections,
                        o->read_timeout_ms * NS_PER_MS);
    mutex_init(&server->mu);
    cond_init(&server->appeared);
    cond_init(&server->changed);
    workers_start(server);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < sockets->count && code == ERR_OK; i++) {
        code = start_listener(server, sockets, err);
    }
    web_sockets_close(own);
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
    workers_begin_stop(server);
    int fds[LISTEN_MAX];
    for (size_t i = 0; i < server->listener_count; i++) {
        fds[i] = MHD_quiesce_daemon(server->listeners[i].daemon);
    }
    /* nothing is suspended from now on; workers answer, cancelled, what was */
    workers_drain(server);
    for (size_t i = 0; i < server->listener_count; i++) {
        MHD_stop_daemon(server->listeners[i].daemon);
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    workers_end(server);
    queue_free(server->jobs);
    connections_free(server->connections);
    cond_release(&server->appeared);
    cond_release(&server->changed);
    mutex_release(&server->mu);
    mem_free(server);
}
