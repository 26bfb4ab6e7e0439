/* HTTP client on libcurl's multi interface: the real struct transport.
 *
 * STRUCTURE. A client has multi handles of its own, and so connection caches, DNS caches and a
 * set of TLS settings of its own. libcurl decides by comparing options whether a connection may be
 * reused, and that comparison has been wrong for client certificates, proxy credentials and
 * Negotiate. With own multis there is nothing to compare: a connection made with one set of
 * credentials is never seen by another. The price is a few KB a client.
 *
 * All multis report their sockets to one epoll instance and are driven by
 * curl_multi_socket_action, so that the cost of a poll follows the sockets that are ready and not
 * the number of targets. An easy handle (with its receive buffer) exists for a running request
 * only; between scrapes a target costs an idle connection in the cache and nothing else. Finished
 * requests go to a short list of idle ones with their easy handle, newest first, so that ten
 * thousand targets that are scraped one after the other share a handful. A body buffer is taken
 * when an answer begins to arrive, from a short list as well.
 *
 * libcurl is loaded by the first request that needs it (need_curl in http_hop.c).
 *
 * FILES. http_shard.c has the multis, http_easy.c an easy handle's options, http_settings.c what is
 * checked when a client is made, http_hop.c redirects, http_failure.c error texts, http_kept.c the
 * requests that need no libcurl. This file has the lives of clients and requests, and the loop.
 *
 * CONCURRENCY. One thread, but for transport_wake. Requests that finish are put on the ready list
 * and their callbacks run between two events of poll, so that a callback may start, cancel and free
 * anything. A client lives on, as memory, until the last of its requests was released. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/http_curl.h"
#include "base/mem.h"
#include "base/vfs.h"

enum {
    BODY_BYTES_MAX = 1024 * 1024 * 1024,
    SPARE_BODY_BYTES_MAX = 1024 * 1024, /* body buffers kept between requests, but for one */
    SPARE_BODY_BYTES_ONE = 2 * 1024 * 1024,
    IDLE_REQUEST_COUNT_MAX = 8, /* a client */
    REQUEST_TEXT_MAX = 256 * 1024,
    TRACE_BYTES_MAX = 1024 * 1024,
    EPOLL_BATCH = 256
};

static struct curl_transport *transport_of(struct transport *t) {
    return (struct curl_transport *)t;
}

static void trace_free(struct transport_request *r) {
    if (r->trace != NULL) {
        buf_release(&r->trace->head);
        mem_free(r->trace);
        r->trace = NULL;
    }
}

static void request_free(struct transport_request *r) {
    ASSERT(r->plain == NULL && r->trace == NULL);
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
    http_shard_free_retired(client);
    plain_pool_free(client->plain);
    for (size_t i = 0; i < client->shard_count; i++) {
        http_shard_free(client->shards[i]);
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
    const enum err_code code = http_settings_check(client, err);
    if (code != ERR_OK) {
        client_unref(client);
        return code;
    }
    if (config != NULL && config->oauth2.set) {
        const enum err_code failed = http_oauth2_new(base, config, g, &client->oauth2, err);
        if (failed != ERR_OK) {
            client_unref(client);
            return failed;
        }
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
    http_oauth2_free(client->oauth2);
    client->oauth2 = NULL;
    client_unref(client);
}

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

void http_body_begin(struct transport_request *r) {
    struct curl_transport *t = r->client->t;
    if (r->body.ptr != NULL || t->spare_body_count == 0) {
        return;
    }
    const struct buf *spare = &t->spare_bodies[--t->spare_body_count];
    t->spare_body_bytes -= spare->capacity;
    r->body.ptr = spare->ptr;
    r->body.capacity = spare->capacity;
}

/* The buffer that was used last is still in the caches, so it is the next one. */
static void body_end(struct transport_request *r) {
    struct curl_transport *t = r->client->t;
    const size_t limit = t->spare_body_count == 0 ? SPARE_BODY_BYTES_ONE : SPARE_BODY_BYTES_MAX;
    if (r->body.ptr != NULL && t->spare_body_count < SPARE_BODY_COUNT &&
        t->spare_body_bytes + r->body.capacity <= limit) {
        t->spare_bodies[t->spare_body_count++] = r->body;
        t->spare_body_bytes += r->body.capacity;
        buf_init(&r->body, 0);
    }
    buf_release(&r->body);
}

/* Back to the idle list. */
static void request_release(struct transport_request *r) {
    struct transport_client *client = r->client;
    arena_reset(&r->arena);
    trace_free(r);
    body_end(r);
    if (client->idle_count < IDLE_REQUEST_COUNT_MAX) {
        r->next = client->idle;
        client->idle = r;
        client->idle_count++;
    } else {
        request_free(r);
    }
    http_shard_free_retired(client);
    client_unref(client);
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
        request->timeout_ms > 0 ? http_now_ns() + request->timeout_ms * NS_PER_MS : INT64_MAX;
    r->max_body_bytes = request->max_body_bytes > 0 && request->max_body_bytes < BODY_BYTES_MAX
                            ? request->max_body_bytes
                            : BODY_BYTES_MAX;
    r->body.max_bytes = r->max_body_bytes;
    r->request_count = 0;
    r->credentials_dropped = false;
    r->deny_link_local = request->deny_link_local;
    if (request->trace) {
        r->trace = mem_zalloc(sizeof(*r->trace));
        buf_init(&r->trace->head, TRACE_BYTES_MAX);
    }
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

static enum err_code start_first_hop(struct transport_request *r, struct err *err) {
    if (http_settings_files_changed(r->client)) {
        http_shard_retire_all(r->client);
    }
    http_kept_choose(r);
    return http_kept_start(r, false) ? ERR_OK : http_hop_start(r, err);
}

void http_request_resume(struct transport_request *r) {
    struct err err;
    if (start_first_hop(r, &err) != ERR_OK) {
        http_request_fail(r, HTTP_FAILURE_EXCHANGE, &err);
    }
}

void http_request_fail(struct transport_request *r, enum http_failure failure,
                       const struct err *why) {
    r->failure = failure;
    r->err = *why;
    r->code = why->code;
    (void)http_failure_wrap(r, &r->err);
    make_ready(r);
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
    bool waits = false;
    if (code == ERR_OK && client->oauth2 != NULL) {
        code = http_oauth2_authorize(client->oauth2, r, &waits, err);
    }
    if (code == ERR_OK && !waits) {
        code = start_first_hop(r, err);
    }
    if (code != ERR_OK) {
        (void)http_failure_wrap(r, err);
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
    if (r->running || r->plain != NULL || r->waits_for_token) {
        http_hop_stop(r);
        request_release(r);
    } /* else it is on the ready list, and released when its turn comes */
}

static enum err_code body_error(struct err *err) {
    return err_set(err, ERR_LIMIT, "body size limit exceeded");
}

/* A hop ended: the next one, or the ready list. */
static void finish_hop(struct transport_request *r, CURLcode result) {
    r->result = result;
    if (r->trace != NULL && r->running) {
        http_hop_trace(r);
    }
    http_hop_stop(r);
    if (result == CURLE_OK && r->authority.len > 0 && !r->reply.closes) {
        http_kept_adopt(r);
    }
    if (http_hop_is_redirect(r)) {
        r->code = http_hop_follow(r, &r->err);
        if (r->code == ERR_OK) {
            return;
        }
        r->failure = HTTP_FAILURE_REDIRECT;
        (void)http_failure_wrap(r, &r->err);
    } else if (r->body_too_large) {
        r->failure = HTTP_FAILURE_TOO_LARGE;
        r->code = body_error(&r->err);
    } else if (result != CURLE_OK) {
        r->failure = http_failure_kind(r);
        r->code = http_failure_of(r, &r->err);
    } else {
        r->failure = HTTP_FAILURE_NONE;
        r->code = ERR_OK;
        r->client->expected_body_bytes = r->body.len;
    }
    make_ready(r);
}

static void collect(struct http_shard *shard) {
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
        .trace = r->trace != NULL ? &r->trace->seen : NULL,
        .body = &r->body,
        .body_too_large = r->body_too_large,
    };
    if (r->code != ERR_OK) {
        response.err = r->err;
        response.failure = r->failure;
    }
    if (r->trace != NULL) {
        r->trace->seen.head = buf_str(&r->trace->head);
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

static int64_t wait_ns(const struct curl_transport *t, int64_t timeout_ns) {
    if (t->ready_first != NULL) {
        return 0;
    }
    const struct timer *late = timer_heap_first(&t->deadlines);
    if (late == NULL && t->armed == NULL) {
        return timeout_ns;
    }
    const int64_t now = http_now_ns();
    if (late != NULL) {
        const int64_t left = late->due_mono_ns > now ? late->due_mono_ns - now : 0;
        timeout_ns = timeout_ns < 0 || left < timeout_ns ? left : timeout_ns;
    }
    for (const struct http_shard *shard = t->armed; shard != NULL; shard = shard->armed_next) {
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

static void act(struct http_shard *shard, curl_socket_t fd, int what) {
    int running = 0;
    must_multi(curl_multi_socket_action(shard->multi, fd, what, &running));
    collect(shard);
}

/* The exchange ended without an answer that can be used: the request is made again, on a new connection
 * if only the kept one was at fault, else by libcurl. */
static void start_again(struct transport_request *r, bool stale) {
    r->request_count = 0;
    if (stale && http_kept_start(r, true)) {
        return;
    }
    r->code = http_hop_start(r, &r->err);
    if (r->code != ERR_OK) {
        r->failure = HTTP_FAILURE_EXCHANGE;
        (void)http_failure_wrap(r, &r->err);
        make_ready(r);
    }
}

static void handle_plain_event(struct curl_transport *t, uint32_t fd) {
    struct plain_conn *conn = plain_table_find(&t->plain, fd);
    if (conn == NULL) {
        return;
    }
    struct transport_request *r = plain_owner(conn);
    const int64_t now = http_now_ns();
    int dial_errno = 0;
    if (r != NULL) {
        r->head_done = plain_has_head(conn);
        http_body_begin(r);
    }
    const enum plain_result result = plain_on_event(conn, now, &dial_errno);
    if (result == PLAIN_WAIT) {
        return;
    }
    http_kept_leave(r);
    r->head_done = result != PLAIN_SILENT && result != PLAIN_REFUSED;
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
    case PLAIN_SILENT:
        finish_hop(r, CURLE_GOT_NOTHING);
        return;
    case PLAIN_REFUSED:
        r->dial_errno = dial_errno;
        finish_hop(r, CURLE_COULDNT_CONNECT);
        return;
    case PLAIN_STALE:
    case PLAIN_AGAIN:
        start_again(r, result == PLAIN_STALE);
        return;
    }
}

static void end_late(struct curl_transport *t, int64_t now_mono_ns) {
    for (struct timer *due = timer_heap_first(&t->deadlines);
         due != NULL && due->due_mono_ns <= now_mono_ns; due = timer_heap_first(&t->deadlines)) {
        struct transport_request *r = (struct transport_request *)(void *)due;
        r->head_done = r->plain != NULL && plain_has_head(r->plain);
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
    http_kept_close_parted(t); /* of requests that were cancelled since */
    const int n = wait_events(t, wait_ns(t, timeout_ns), events);
    for (int i = 0; i < n; i++) {
        handle_event(t, &events[i]);
        run_ready(t); /* while what has come is in the caches, and its buffer serves the next */
    }
    const int64_t now = http_now_ns();
    /* libcurl sets the next timer from within the call. A redirect may arm another shard meanwhile,
     * which goes to the front; none is disarmed but the one that acts, and none is freed. */
    struct http_shard *shard = t->armed;
    while (shard != NULL) {
        struct http_shard *next = shard->armed_next;
        if (shard->timer_mono_ns <= now) {
            http_shard_disarm(shard);
            act(shard, CURL_SOCKET_TIMEOUT, 0);
        }
        shard = next;
    }
    end_late(t, now);
    run_ready(t);
    http_kept_close_parted(t);
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
    http_kept_close_parted(t);
    mem_free(t->parted);
    plain_table_release(&t->plain);
    timer_heap_release(&t->deadlines);
    buf_release(&t->request_text);
    while (t->spare_body_count > 0) {
        buf_release(&t->spare_bodies[--t->spare_body_count]);
    }
    mem_free(t->shards);
    close_fd(t->epoll_fd);
    close_fd(t->wake_fd);
    mem_free((char *)t->user_agent.ptr);
    if (t->has_curl) {
        curl_global_cleanup();
    }
    mem_free(t);
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
