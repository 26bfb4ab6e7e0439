#include "tests/support/fake_transport.h"

#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/mutex.h"

enum { BODY_MAX_BYTES = 1024 * 1024 * 1024 };

struct answer {
    struct answer *next;
    struct fake_answer say; /* its strings are ours */
    size_t used;
};

struct transport_client {
    struct generation *generation;
};

struct transport_request {
    struct transport_request *next; /* by due time, then by start */
    int64_t due_mono_ns;            /* INT64_MAX = never */
    bool timed_out;
    const struct answer *answer; /* NULL = refused */
    size_t max_body_bytes;
    char *op_url; /* Get "http://..." */
    http_done_fn *done;
    void *ctx;
};

struct fake_transport {
    struct transport base;
    struct fake_clock *clock;
    struct mutex mu;
    struct cond changed;
    /* guarded by mu */
    struct answer *answers; /* in order */
    struct answer *retired; /* forgotten, but perhaps on their way */
    struct transport_request *running;
    struct fake_request *seen;
    size_t seen_count;
    size_t seen_capacity;
    int64_t limit_mono_ns;
    bool woken;
    bool waiting; /* the loop waits at the limit */
};

static struct fake_transport *fake_of(struct transport *t) {
    return (struct fake_transport *)t;
}

static int64_t now_ns(struct fake_transport *ft) {
    return clock_mono_ns(&ft->clock->clock);
}

static char *copy(const char *text) {
    return text != NULL ? mem_strdup(text) : NULL;
}

/* ---- scripts ---- */

static void answer_free(struct answer *a) {
    mem_free((char *)a->say.url);
    mem_free((char *)a->say.error);
    mem_free((char *)a->say.reason);
    mem_free((char *)a->say.content_type);
    mem_free((char *)a->say.content_encoding);
    mem_free((char *)a->say.api_version);
    mem_free((char *)a->say.retry_after);
    mem_free((char *)a->say.body.ptr);
    mem_free(a);
}

void fake_transport_answer(struct fake_transport *ft, const struct fake_answer *answer) {
    struct answer *a = mem_zalloc(sizeof(*a));
    a->say = *answer;
    a->say.url = copy(answer->url);
    a->say.error = copy(answer->error);
    a->say.reason = copy(answer->reason);
    a->say.content_type = copy(answer->content_type);
    a->say.content_encoding = copy(answer->content_encoding);
    a->say.api_version = copy(answer->api_version);
    a->say.retry_after = copy(answer->retry_after);
    a->say.body.ptr = mem_strndup(answer->body.ptr, answer->body.len);
    mutex_lock(&ft->mu);
    struct answer **at = &ft->answers;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = a;
    mutex_unlock(&ft->mu);
}

void fake_transport_forget(struct fake_transport *ft, const char *url) {
    mutex_lock(&ft->mu);
    struct answer **at = &ft->answers;
    while (*at != NULL) {
        struct answer *a = *at;
        if (strcmp(a->say.url, url) == 0) {
            *at = a->next;
            a->next = ft->retired;
            ft->retired = a;
        } else {
            at = &a->next;
        }
    }
    mutex_unlock(&ft->mu);
}

static struct answer *find_answer_locked(struct fake_transport *ft, struct str url)
    REQUIRES(ft->mu) {
    for (struct answer *a = ft->answers; a != NULL; a = a->next) {
        if (str_eq(str_of(a->say.url), url) && (a->say.times == 0 || a->used < a->say.times)) {
            a->used++;
            return a;
        }
    }
    return NULL;
}

/* ---- the transport ---- */

static enum err_code fake_client_new(struct transport *t, const struct http_config *config,
                                     struct generation *g, struct transport_client **out,
                                     struct err *err) {
    (void)t;
    (void)config;
    (void)err;
    struct transport_client *client = mem_zalloc(sizeof(*client));
    client->generation = g != NULL ? generation_ref(g) : NULL;
    *out = client;
    return ERR_OK;
}

static void fake_client_free(struct transport *t, struct transport_client *client) {
    (void)t;
    generation_unref(client->generation);
    mem_free(client);
}

static void remember_locked(struct fake_transport *ft, const struct http_request *request)
    REQUIRES(ft->mu) {
    struct buf headers;
    buf_init(&headers, 1 << 20);
    for (size_t i = 0; i < request->header_count; i++) {
        buf_append_str(&headers, request->headers[i]);
        buf_append_char(&headers, '\n');
    }
    if (ft->seen_count == ft->seen_capacity) {
        ft->seen_capacity = mem_grow(ft->seen_capacity, ft->seen_count + 1);
        ft->seen = mem_resize(ft->seen, ft->seen_capacity, sizeof(*ft->seen));
    }
    ft->seen[ft->seen_count++] = (struct fake_request){
        .method = mem_strdup(request->method),
        .url = mem_strndup(request->url.ptr, request->url.len),
        .headers = buf_take(&headers, NULL),
        .unix_socket = mem_strndup(request->unix_socket.ptr, request->unix_socket.len),
        .body = {mem_strndup(request->body.ptr, request->body.len), request->body.len},
        .start_mono_ns = now_ns(ft),
        .timeout_ms = request->timeout_ms,
    };
}

static char *op_and_url(const struct http_request *request) {
    struct buf text;
    buf_init(&text, 1 << 20);
    for (const char *c = request->method; *c != '\0'; c++) {
        const bool first = c == request->method;
        buf_append_char(&text, !first && *c >= 'A' && *c <= 'Z' ? (char)(*c + ('a' - 'A')) : *c);
    }
    buf_printf(&text, " \"%.*s\"", STR_ARG(request->url));
    return buf_take(&text, NULL);
}

static enum err_code fake_start(struct transport *t, struct transport_client *client,
                                const struct http_request *request, http_done_fn *done, void *ctx,
                                struct transport_request **out, struct err *err) {
    (void)client;
    (void)err;
    struct fake_transport *ft = fake_of(t);
    struct transport_request *r = mem_zalloc(sizeof(*r));
    r->max_body_bytes = request->max_body_bytes > 0 ? request->max_body_bytes : BODY_MAX_BYTES;
    r->op_url = op_and_url(request);
    r->done = done;
    r->ctx = ctx;

    mutex_lock(&ft->mu);
    remember_locked(ft, request);
    const int64_t now = now_ns(ft);
    r->answer = find_answer_locked(ft, request->url);
    r->due_mono_ns = now;
    if (r->answer != NULL) {
        r->due_mono_ns = r->answer->say.hang ? INT64_MAX : now + r->answer->say.delay_ns;
    }
    if (request->timeout_ms > 0 && r->due_mono_ns > now + request->timeout_ms * NS_PER_MS) {
        r->due_mono_ns = now + request->timeout_ms * NS_PER_MS;
        r->timed_out = true;
    }
    struct transport_request **at = &ft->running;
    while (*at != NULL && (*at)->due_mono_ns <= r->due_mono_ns) {
        at = &(*at)->next;
    }
    r->next = *at;
    *at = r;
    mutex_unlock(&ft->mu);
    *out = r;
    return ERR_OK;
}

static void request_free(struct transport_request *r) {
    mem_free(r->op_url);
    mem_free(r);
}

static void fake_cancel(struct transport *t, struct transport_request *r) {
    struct fake_transport *ft = fake_of(t);
    mutex_lock(&ft->mu);
    struct transport_request **at = &ft->running;
    while (*at != NULL && *at != r) {
        at = &(*at)->next;
    }
    ASSERT(*at == r); /* else it was answered or cancelled before */
    *at = r->next;
    mutex_unlock(&ft->mu);
    request_free(r);
}

static void fill_response(const struct transport_request *r, struct http_response *response) {
    const struct fake_answer *say = r->answer != NULL ? &r->answer->say : NULL;
    if (r->timed_out) {
        response->failure = HTTP_FAILURE_TIMEOUT;
        response->code =
            err_set(&response->err, ERR_TIMEOUT, "%s: context deadline exceeded", r->op_url);
    } else if (say == NULL) {
        response->failure = HTTP_FAILURE_CONNECT;
        response->code = err_set(&response->err, ERR_NETWORK,
                                 "%s: dial tcp: connect: connection refused", r->op_url);
    } else if (say->error != NULL) {
        response->failure = HTTP_FAILURE_EXCHANGE;
        response->code = err_set(&response->err, ERR_NETWORK, "%s: %s", r->op_url, say->error);
    } else {
        response->status = say->status != 0 ? say->status : 200;
        response->reason = str_of(say->reason);
        if (say->reason == NULL && response->status == 200) {
            response->reason = STR("OK");
        }
        response->content_type = str_of(say->content_type);
        response->content_encoding = str_of(say->content_encoding);
        response->api_version = str_of(say->api_version);
        response->retry_after = str_of(say->retry_after);
        buf_append_str(response->body, str_sub(say->body, 0, r->max_body_bytes));
        if (say->body.len > r->max_body_bytes) {
            response->body_too_large = true;
            response->failure = HTTP_FAILURE_TOO_LARGE;
            response->code = err_set(&response->err, ERR_LIMIT, "body size limit exceeded");
        }
    }
}

static void run_due(struct fake_transport *ft) {
    for (;;) {
        mutex_lock(&ft->mu);
        struct transport_request *r = ft->running;
        if (r == NULL || r->due_mono_ns > now_ns(ft)) {
            mutex_unlock(&ft->mu);
            return;
        }
        ft->running = r->next;
        mutex_unlock(&ft->mu);

        struct buf body;
        buf_init(&body, BODY_MAX_BYTES);
        struct http_response response = {.body = &body,
                                         .reason = STR(""),
                                         .content_type = STR(""),
                                         .content_encoding = STR(""),
                                         .api_version = STR(""),
                                         .retry_after = STR("")};
        fill_response(r, &response);
        r->done(r->ctx, &response);
        buf_release(&body);
        request_free(r);
    }
}

/* Waits, in fake time, until something is due, the timeout passed or a wake came. */
static void pass_time(struct fake_transport *ft, int64_t timeout_ns) {
    const int64_t start = now_ns(ft);
    int64_t until =
        timeout_ns < 0 || start > INT64_MAX - timeout_ns ? INT64_MAX : start + timeout_ns;
    mutex_lock(&ft->mu);
    for (;;) {
        if (ft->running != NULL && ft->running->due_mono_ns < until) {
            until = ft->running->due_mono_ns;
        }
        if (ft->woken || (until <= ft->limit_mono_ns && until != INT64_MAX)) {
            break;
        }
        /* Nothing may happen before the limit: go there and wait for the test. */
        if (ft->limit_mono_ns != INT64_MAX) {
            fake_clock_advance_to_ns(ft->clock, ft->limit_mono_ns);
        }
        ft->waiting = true;
        cond_broadcast(&ft->changed);
        cond_wait(&ft->changed, &ft->mu);
        ft->waiting = false;
    }
    if (!ft->woken) {
        fake_clock_advance_to_ns(ft->clock, until);
    }
    ft->woken = false;
    mutex_unlock(&ft->mu);
}

static void fake_poll(struct transport *t, int64_t timeout_ns) {
    struct fake_transport *ft = fake_of(t);
    pass_time(ft, timeout_ns);
    run_due(ft);
}

static void fake_wake(struct transport *t) {
    struct fake_transport *ft = fake_of(t);
    mutex_lock(&ft->mu);
    ft->woken = true;
    cond_broadcast(&ft->changed);
    mutex_unlock(&ft->mu);
}

/* The user is done; the test still looks at what was asked, and calls fake_transport_free. */
static void fake_leave(struct transport *t) {
    (void)t;
}

/* ---- the test's side ---- */

void fake_transport_set_limit(struct fake_transport *ft, int64_t mono_ns) {
    mutex_lock(&ft->mu);
    ft->limit_mono_ns = mono_ns;
    cond_broadcast(&ft->changed);
    mutex_unlock(&ft->mu);
}

void fake_transport_run_to(struct fake_transport *ft, int64_t mono_ns) {
    mutex_lock(&ft->mu);
    ft->limit_mono_ns = mono_ns;
    ft->waiting = false;
    cond_broadcast(&ft->changed);
    while (!ft->waiting || ft->woken || now_ns(ft) < mono_ns) {
        cond_wait(&ft->changed, &ft->mu);
    }
    mutex_unlock(&ft->mu);
}

size_t fake_transport_request_count(struct fake_transport *ft) {
    mutex_lock(&ft->mu);
    const size_t count = ft->seen_count;
    mutex_unlock(&ft->mu);
    return count;
}

struct fake_request fake_transport_request(struct fake_transport *ft, size_t i) {
    mutex_lock(&ft->mu);
    ASSERT(i < ft->seen_count);
    const struct fake_request request = ft->seen[i];
    mutex_unlock(&ft->mu);
    return request;
}

struct fake_transport *fake_transport_new(struct fake_clock *clock) {
    static const struct transport_ops ops = {
        .client_new = fake_client_new,
        .client_free = fake_client_free,
        .start = fake_start,
        .cancel = fake_cancel,
        .poll = fake_poll,
        .wake = fake_wake,
        .free = fake_leave,
    };
    struct fake_transport *ft = mem_zalloc(sizeof(*ft));
    ft->base.ops = &ops;
    ft->clock = clock;
    ft->limit_mono_ns = INT64_MAX;
    mutex_init(&ft->mu);
    cond_init(&ft->changed);
    return ft;
}

struct transport *fake_transport_base(struct fake_transport *ft) {
    return &ft->base;
}

static void answers_free(struct answer *a) {
    while (a != NULL) {
        struct answer *next = a->next;
        answer_free(a);
        a = next;
    }
}

void fake_transport_free(struct fake_transport *ft) {
    if (ft == NULL) {
        return;
    }
    ASSERT(ft->running == NULL);
    answers_free(ft->answers);
    answers_free(ft->retired);
    for (size_t i = 0; i < ft->seen_count; i++) {
        mem_free((char *)ft->seen[i].method);
        mem_free((char *)ft->seen[i].url);
        mem_free((char *)ft->seen[i].headers);
        mem_free((char *)ft->seen[i].unix_socket);
        mem_free((char *)ft->seen[i].body.ptr);
    }
    mem_free(ft->seen);
    cond_release(&ft->changed);
    mutex_release(&ft->mu);
    mem_free(ft);
}
