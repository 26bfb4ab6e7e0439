/* http_client: requests against a small real server on loopback, for what a peer can do to a
 * client: answer, redirect, refuse, hang, send garbage, too much or too little.
 *
 * The server is a thread that accepts, and a thread a connection; the path of a request says what
 * to answer. It counts connections and keeps nothing else, so that each test has its own. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "base/transport.h"
#include "tests/support/check_err.h"

enum { CONNECTIONS_MAX = 400 };

struct server {
    int listen_fd;
    unsigned port;
    atomic_int connection_count;
    atomic_int token_count;
    atomic_bool stopping;
    struct thread acceptor;
    struct thread threads[CONNECTIONS_MAX];
    struct connection {
        struct server *server;
        int fd;
    } connections[CONNECTIONS_MAX];
};

static void send_all(int fd, const char *bytes, size_t n) {
    while (n > 0) {
        const ssize_t put = send(fd, bytes, n, MSG_NOSIGNAL);
        if (put <= 0) {
            return;
        }
        bytes += put;
        n -= (size_t)put;
    }
}

static void send_text(int fd, const char *text) {
    send_all(fd, text, strlen(text));
}

static void send_page(int fd, const char *status, const char *extra, struct str body) {
    struct buf page;
    buf_init(&page, 1 << 20);
    buf_printf(&page, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n%s\r\n", status, body.len, extra);
    buf_append_str(&page, body);
    send_all(fd, page.ptr, page.len);
    buf_release(&page);
}

/* Sends until the peer closes, at most 1 GiB. */
static void send_flood(const struct connection *c) {
    static const char zeros[65536];
    send_text(c->fd, "HTTP/1.1 200 OK\r\n\r\n");
    for (int i = 0; i < 16384 && !atomic_load(&c->server->stopping); i++) {
        if (send(c->fd, zeros, sizeof(zeros), MSG_NOSIGNAL) <= 0) {
            return;
        }
    }
}

static void hang(const struct connection *c) {
    struct pollfd watch = {.fd = c->fd, .events = POLLRDHUP};
    while (!atomic_load(&c->server->stopping) && poll(&watch, 1, 20) == 0) {
    }
}

/* False closes the connection. */
static bool answer(const struct connection *c, struct str path, struct str head) {
    char extra[512];
    const int fd = c->fd;
    if (str_eq(path, STR("/ok"))) {
        send_page(fd, "200 OK", "Content-Type: text/plain; version=0.0.4\r\n", STR("up 1\n"));
    } else if (str_eq(path, STR("/echo"))) {
        send_page(fd, "200 OK", "", head);
    } else if (str_eq(path, STR("/token"))) { /* takes the secret in a header, RFC 6749 2.3.1 */
        const bool known = str_find(head, STR("Authorization: Basic bWU6cyUyRjE=\r\n")) >= 0;
        (void)snprintf(extra, sizeof(extra), "{\"access_token\":\"t%d\",\"expires_in\":3600}",
                       atomic_fetch_add(&c->server->token_count, 1) + 1);
        send_page(fd, known ? "200 OK" : "401 Unauthorized", "Content-Type: application/json\r\n",
                  known ? str_of(extra) : STR("{\"error\":\"invalid_client\"}"));
    } else if (str_eq(path, STR("/token-form"))) { /* takes it in the form, and lives 10 s only */
        const bool known = str_find(head, STR("client_id=me&client_secret=s%2F1")) >= 0;
        (void)atomic_fetch_add(&c->server->token_count, 1);
        send_page(fd, known ? "200 OK" : "400 Bad Request", "Content-Type: text/plain\r\n",
                  known ? STR("access_token=form&expires_in=10") : STR("use the form"));
    } else if (str_eq(path, STR("/gzip"))) {
        send_page(fd, "200 OK", "content-encoding: gzip\r\nApi-Version: 1.41\r\n",
                  STR("\x1f\x8bnot really"));
    } else if (str_eq(path, STR("/busy"))) {
        send_page(fd, "503 Service Unavailable", "Retry-After: 7\r\n", STR("busy"));
    } else if (str_eq(path, STR("/chunked"))) {
        send_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "3\r\nabc\r\n4\r\ndefg\r\n0\r\nRetry-After: 99\r\n\r\n");
    } else if (str_starts(path, STR("/to/"))) {
        (void)snprintf(extra, sizeof(extra), "Location: %.*s\r\n", STR_ARG(str_from(path, 4)));
        send_page(fd, "302 Found", extra, STR("moved"));
    } else if (str_starts(path, STR("/keep/"))) {
        (void)snprintf(extra, sizeof(extra), "Location: %.*s\r\n", STR_ARG(str_from(path, 6)));
        send_page(fd, "307 Temporary Redirect", extra, STR("moved"));
    } else if (str_eq(path, STR("/loop"))) {
        send_page(fd, "301 Moved Permanently", "Location: /loop\r\n", STR(""));
    } else if (str_eq(path, STR("/garbage"))) {
        send_text(fd, "this is not HTTP\n");
        return false;
    } else if (str_eq(path, STR("/continue"))) {
        send_text(fd, "HTTP/1.1 100 Continue\r\n\r\n");
        send_page(fd, "200 OK", "", STR("at last"));
    } else if (str_eq(path, STR("/old"))) {
        send_text(fd, "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold");
        return false;
    } else if (str_eq(path, STR("/until-close"))) {
        send_text(fd, "HTTP/1.1 200 OK\r\n\r\nthat is all");
        return false;
    } else if (str_eq(path, STR("/last"))) {
        send_page(fd, "200 OK", "Connection: close\r\n", STR("bye"));
        return false;
    } else if (str_eq(path, STR("/excess"))) {
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
                      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse");
    } else if (str_eq(path, STR("/silent"))) {
        return false;
    } else if (str_eq(path, STR("/hang"))) {
        hang(c);
        return false;
    } else if (str_eq(path, STR("/half"))) {
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
        hang(c);
        return false;
    } else if (str_eq(path, STR("/cut"))) {
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc");
        return false;
    } else if (str_eq(path, STR("/huge"))) {
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\nabc");
        return false;
    } else if (str_eq(path, STR("/flood"))) {
        send_flood(c);
        return false;
    } else if (str_eq(path, STR("/head-flood"))) {
        send_text(fd, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 2000; i++) {
            send_text(fd, "X-Filler: 0123456789012345678901234567890123456789012345\r\n");
        }
        return false;
    } else {
        send_page(fd, "404 Not Found", "", STR("no"));
    }
    return true;
}

static void serve(void *ctx) {
    const struct connection *c = ctx;
    char bytes[65536];
    size_t have = 0;
    for (;;) {
        const ssize_t got = recv(c->fd, bytes + have, sizeof(bytes) - have, 0);
        if (got <= 0) {
            break;
        }
        have += (size_t)got;
        const ptrdiff_t end = str_find((struct str){bytes, have}, STR("\r\n\r\n"));
        if (end < 0) {
            continue;
        }
        const struct str head = {bytes, have}; /* the body of a POST is in it: they are small */
        const ptrdiff_t path_at = str_find_char(head, ' ');
        const struct str rest = str_from(head, (size_t)path_at + 1);
        const struct str path = str_sub(rest, 0, (size_t)str_find_char(rest, ' '));
        if (!answer(c, path, head)) {
            break;
        }
        have = 0;
    }
    (void)shutdown(c->fd, SHUT_RDWR);
}

static void accept_all(void *ctx) {
    struct server *s = ctx;
    for (;;) {
        const int fd = accept(s->listen_fd, NULL, NULL);
        if (fd < 0 || atomic_load(&s->stopping)) {
            if (fd >= 0) {
                (void)close(fd);
            }
            return;
        }
        const int i = atomic_load(&s->connection_count);
        assert_true(i < CONNECTIONS_MAX);
        s->connections[i] = (struct connection){s, fd};
        thread_start(&s->threads[i], "connection", serve, &s->connections[i]);
        atomic_store(&s->connection_count, i + 1);
    }
}

static void server_start(struct server *s, const char *unix_path) {
    memset(s, 0, sizeof(*s));
    if (unix_path != NULL) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", unix_path);
        s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(s->listen_fd, (struct sockaddr *)&at, sizeof(at)), 0);
    } else {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof(at);
        s->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(s->listen_fd, (struct sockaddr *)&at, sizeof(at)), 0);
        assert_int_equal(getsockname(s->listen_fd, (struct sockaddr *)&at, &size), 0);
        s->port = ntohs(at.sin_port);
    }
    assert_int_equal(listen(s->listen_fd, 512), 0);
    thread_start(&s->acceptor, "acceptor", accept_all, s);
}

static void server_stop(struct server *s) {
    atomic_store(&s->stopping, true);
    (void)shutdown(s->listen_fd, SHUT_RDWR);
    thread_join(&s->acceptor);
    for (int i = 0; i < atomic_load(&s->connection_count); i++) {
        (void)shutdown(s->connections[i].fd, SHUT_RDWR);
        thread_join(&s->threads[i]);
        (void)close(s->connections[i].fd);
    }
    (void)close(s->listen_fd);
}

/* ---- the client side of a test ---- */

struct fixture {
    struct server server;
    struct transport *t;
    struct transport_client *client;
    char url[320];
};

/* What a callback saw. */
struct seen {
    int calls;
    enum err_code code;
    struct err err;
    int status;
    bool too_large;
    char reason[64], type[64], encoding[64], api_version[64], retry_after[64];
    char *body;
    size_t body_len;
};

static void copy_text(char *to, size_t size, struct str s) {
    (void)snprintf(to, size, "%.*s", STR_ARG(s));
}

static void remember(void *ctx, struct http_response *response) {
    struct seen *seen = ctx;
    seen->calls++;
    seen->code = response->code;
    seen->err = response->err;
    seen->status = response->status;
    seen->too_large = response->body_too_large;
    copy_text(seen->reason, sizeof(seen->reason), response->reason);
    copy_text(seen->type, sizeof(seen->type), response->content_type);
    copy_text(seen->encoding, sizeof(seen->encoding), response->content_encoding);
    copy_text(seen->api_version, sizeof(seen->api_version), response->api_version);
    copy_text(seen->retry_after, sizeof(seen->retry_after), response->retry_after);
    mem_free(seen->body);
    seen->body = buf_take(response->body, &seen->body_len);
}

static const struct http_config plain = {.follow_redirects = true, .enable_http2 = true};

static void open_client(struct fixture *f, const struct http_config *config) {
    struct err err;
    assert_ok(transport_client_new(f->t, config, NULL, &f->client, &err), &err);
}

static int setup(void **state) {
    struct fixture *f = mem_zalloc(sizeof(*f));
    server_start(&f->server, NULL);
    f->t = transport_curl_new(STR("Brasa-test/1"));
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    transport_client_free(f->t, f->client);
    transport_free(f->t);
    server_stop(&f->server);
    mem_free(f);
    return 0;
}

/* A URL of the server under a host name of choice. */
static struct str url_at(struct fixture *f, const char *host, const char *path) {
    (void)snprintf(f->url, sizeof(f->url), "http://%s:%u%s", host, f->server.port, path);
    return str_of(f->url);
}

static struct str url_of(struct fixture *f, const char *path) {
    return url_at(f, "127.0.0.1", path);
}

static void wait_for(struct fixture *f, const struct seen *seen) {
    for (int i = 0; i < 1000 && seen->calls == 0; i++) {
        transport_poll(f->t, NS_PER_S);
    }
    assert_int_equal(seen->calls, 1);
}

static void run(struct fixture *f, struct http_request request, struct seen *seen) {
    struct transport_request *r = NULL;
    struct err err;
    memset(seen, 0, sizeof(*seen));
    if (request.method == NULL) {
        request.method = "GET";
    }
    if (request.timeout_ms == 0) {
        request.timeout_ms = 10000;
    }
    assert_ok(transport_start(f->t, f->client, &request, remember, seen, &r, &err), &err);
    assert_int_equal(seen->calls, 0);
    wait_for(f, seen);
}

static void get(struct fixture *f, const char *path, struct seen *seen) {
    run(f, (struct http_request){.url = url_of(f, path)}, seen);
}

static void assert_seen_err(const struct seen *seen, enum err_code code, const char *want) {
    assert_int_equal(seen->code, code);
    assert_string_equal(seen->err.text, want);
}

static bool body_has(const struct seen *seen, const char *text) {
    return str_find((struct str){seen->body, seen->body_len}, str_of(text)) >= 0;
}

static void an_answer_arrives_whole_with_its_head(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    open_client(f, &plain);
    get(f, "/ok", &seen);
    assert_int_equal(seen.code, ERR_OK);
    assert_int_equal(seen.status, 200);
    assert_string_equal(seen.reason, "OK");
    assert_string_equal(seen.type, "text/plain; version=0.0.4");
    assert_string_equal(seen.encoding, "");
    assert_string_equal(seen.body, "up 1\n");
    mem_free(seen.body);
}

static void any_status_is_an_answer(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    open_client(f, &plain);
    get(f, "/busy", &seen);
    assert_int_equal(seen.code, ERR_OK);
    assert_int_equal(seen.status, 503);
    assert_string_equal(seen.reason, "Service Unavailable");
    assert_string_equal(seen.retry_after, "7");
    assert_string_equal(seen.body, "busy");
    mem_free(seen.body);
}

static void bodies_are_not_decoded(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    open_client(f, &plain);
    get(f, "/gzip", &seen);
    assert_string_equal(seen.encoding, "gzip");
    assert_string_equal(seen.api_version, "1.41");
    assert_str(((struct str){seen.body, seen.body_len}), "\x1f\x8bnot really");
    mem_free(seen.body);
}

static void chunks_are_joined_and_trailers_ignored(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    open_client(f, &plain);
    get(f, "/chunked", &seen);
    assert_int_equal(seen.code, ERR_OK);
    assert_string_equal(seen.body, "abcdefg");
    assert_string_equal(seen.retry_after, "");
    mem_free(seen.body);
}

static void connections_are_kept_and_used_again(void **state) {
    struct fixture *f = *state;
    open_client(f, &plain);
    for (int i = 0; i < 20; i++) {
        struct seen seen;
        get(f, i % 2 == 0 ? "/ok" : "/busy", &seen);
        assert_int_equal(seen.code, ERR_OK);
        mem_free(seen.body);
    }
    assert_int_equal(atomic_load(&f->server.connection_count), 1);
}

static void clients_do_not_share_connections(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    open_client(f, &plain);
    get(f, "/ok", &seen);
    mem_free(seen.body);
    struct transport_client *first = f->client;
    open_client(f, &plain);
    get(f, "/ok", &seen);
    mem_free(seen.body);
    transport_client_free(f->t, first);
    assert_int_equal(atomic_load(&f->server.connection_count), 2);
}

/* The first request of a client goes through libcurl, later ones on the connection that it left:
 * nobody can tell. */
static void a_kept_connection_gives_the_same_answers(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *path;
        int64_t timeout_ms;
        size_t max_body_bytes;
    } cases[] = {
        {"/ok", 0, 0},       {"/ok", 0, 5},       {"/ok", 0, 4},           {"/busy", 0, 0},
        {"/none", 0, 0},     {"/chunked", 0, 0},  {"/chunked", 0, 7},      {"/chunked", 0, 6},
        {"/gzip", 0, 0},     {"/to//ok", 0, 0},   {"/to//to//echo", 0, 0}, {"/loop", 0, 0},
        {"/echo", 0, 0},     {"/garbage", 0, 0},  {"/silent", 0, 0},       {"/cut", 0, 0},
        {"/half", 150, 0},   {"/hang", 150, 0},   {"/huge", 0, 2},         {"/head-flood", 0, 0},
        {"/flood", 0, 1000}, {"/continue", 0, 0}, {"/old", 0, 0},          {"/until-close", 0, 0},
        {"/last", 0, 0},     {"/excess", 0, 0},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char url[320];
        copy_text(url, sizeof(url), url_of(f, cases[i].path));
        const struct http_request request = {.url = str_of(url),
                                             .timeout_ms = cases[i].timeout_ms,
                                             .max_body_bytes = cases[i].max_body_bytes};
        struct seen first;
        struct seen seen;
        open_client(f, &plain);
        run(f, request, &first);
        for (int k = 0; k < 3; k++) { /* a surprise leaves no connection, its memory a mark */
            get(f, "/ok", &seen);
            assert_string_equal(seen.body, "up 1\n");
            mem_free(seen.body);
            run(f, request, &seen);
            assert_int_equal(seen.code, first.code);
            assert_int_equal(seen.status, first.status);
            assert_int_equal(seen.too_large, first.too_large);
            assert_string_equal(seen.reason, first.reason);
            assert_string_equal(seen.type, first.type);
            assert_string_equal(seen.encoding, first.encoding);
            assert_string_equal(seen.retry_after, first.retry_after);
            if (first.code != ERR_OK) {
                assert_string_equal(seen.err.text, first.err.text);
            } else {
                assert_true(str_eq((struct str){seen.body, seen.body_len},
                                   (struct str){first.body, first.body_len}));
            }
            mem_free(seen.body);
        }
        mem_free(first.body);
        transport_client_free(f->t, f->client);
        f->client = NULL;
    }
}

static void a_connection_that_the_server_closed_is_made_anew(void **state) {
    struct fixture *f = *state;
    open_client(f, &plain);
    for (int i = 0; i < 6; i++) {
        struct seen seen;
        get(f, i % 2 == 0 ? "/last" : "/ok", &seen);
        assert_int_equal(seen.code, ERR_OK);
        mem_free(seen.body);
        transport_poll(f->t, i < 3 ? 20 * NS_PER_MS : 0); /* seen while idle, or only when used */
    }
    assert_int_equal(atomic_load(&f->server.connection_count), 4);
}

static void concurrent_requests_each_get_their_answer(void **state) {
    struct fixture *f = *state;
    struct seen seen[8];
    memset(seen, 0, sizeof(seen));
    open_client(f, &plain);
    for (size_t i = 0; i < COUNT_OF(seen); i++) {
        const struct http_request request = {.method = "GET",
                                             .url = url_of(f, i % 2 == 0 ? "/ok" : "/chunked"),
                                             .timeout_ms = 10000};
        struct transport_request *r = NULL;
        struct err err;
        assert_ok(transport_start(f->t, f->client, &request, remember, &seen[i], &r, &err), &err);
    }
    for (size_t i = 0; i < COUNT_OF(seen); i++) {
        wait_for(f, &seen[i]);
        assert_string_equal(seen[i].body, i % 2 == 0 ? "up 1\n" : "abcdefg");
        mem_free(seen[i].body);
    }
}

static void headers_and_user_agent_are_sent(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    open_client(f, &plain);
    const struct str headers[] = {STR("Accept: text/plain"), STR("X-Empty: ")};
    run(f, (struct http_request){.url = url_of(f, "/echo"), .headers = headers, .header_count = 2},
        &seen);
    assert_true(body_has(&seen, "\r\nAccept: text/plain\r\n"));
    assert_true(body_has(&seen, "\r\nX-Empty:\r\n"));
    assert_true(body_has(&seen, "\r\nUser-Agent: Brasa-test/1\r\n"));
    assert_false(body_has(&seen, "Accept-Encoding"));
    mem_free(seen.body);
}

static void a_header_that_ends_its_line_is_refused(void **state) {
    struct fixture *f = *state;
    open_client(f, &plain);
    const struct str header = STR("X-A: b\r\nX-Injected: c");
    const struct http_request request = {
        .method = "GET", .url = url_of(f, "/echo"), .headers = &header, .header_count = 1};
    struct transport_request *r = NULL;
    struct err err;
    assert_err(transport_start(f->t, f->client, &request, remember, NULL, &r, &err), ERR_INVALID,
               "invalid header", &err);
}

static void a_post_carries_its_body(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    open_client(f, &plain);
    const struct str header = STR("Content-Type: application/json");
    run(f,
        (struct http_request){.method = "POST",
                              .url = url_of(f, "/echo"),
                              .headers = &header,
                              .header_count = 1,
                              .body = STR("[1,2]")},
        &seen);
    assert_true(body_has(&seen, "POST /echo HTTP/1.1\r\n"));
    assert_true(body_has(&seen, "\r\nContent-Type: application/json\r\n"));
    assert_true(body_has(&seen, "\r\n\r\n[1,2]"));
    assert_false(body_has(&seen, "Expect:"));
    mem_free(seen.body);
}

static void basic_auth_and_configured_headers_are_sent(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    const struct str value = STR("tenant-1");
    const struct http_header header = {.name = STR("X-Scope"), .values = &value, .value_count = 1};
    const struct http_config config = {.follow_redirects = true,
                                       .has_basic_auth = true,
                                       .username = STR("Aladdin"),
                                       .password = {STR("open sesame")},
                                       .headers = &header,
                                       .header_count = 1};
    open_client(f, &config);
    get(f, "/echo", &seen);
    assert_true(body_has(&seen, "\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"));
    assert_true(body_has(&seen, "\r\nX-Scope: tenant-1\r\n"));
    mem_free(seen.body);

    const struct str own = STR("Authorization: Own x");
    run(f, (struct http_request){.url = url_of(f, "/echo"), .headers = &own, .header_count = 1},
        &seen);
    assert_true(body_has(&seen, "\r\nAuthorization: Own x\r\n"));
    assert_false(body_has(&seen, "Basic"));
    mem_free(seen.body);
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
}

static void secret_files_are_read_at_each_request(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    char path[] = P_tmpdir "/brasa-secret-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    const struct http_config config = {.has_authorization = true,
                                       .authorization_type = STR("Bearer"),
                                       .credentials_file = str_of(path)};
    open_client(f, &config);
    write_file(path, "  first\n");
    get(f, "/echo", &seen);
    assert_true(body_has(&seen, "\r\nAuthorization: Bearer first\r\n"));
    mem_free(seen.body);
    write_file(path, "second\n");
    get(f, "/echo", &seen);
    assert_true(body_has(&seen, "\r\nAuthorization: Bearer second\r\n"));
    mem_free(seen.body);

    const struct http_request request = {.method = "GET", .url = url_of(f, "/echo")};
    struct transport_request *r = NULL;
    struct err err;
    write_file(path, "a\nX-Injected: b");
    assert_err(transport_start(f->t, f->client, &request, remember, NULL, &r, &err), ERR_INVALID,
               "invalid header field value for \"Authorization\"", &err);
    assert_int_equal(unlink(path), 0);
    assert_err(transport_start(f->t, f->client, &request, remember, NULL, &r, &err), ERR_NOT_FOUND,
               "unable to read authorization credentials: unable to read file", &err);
}

static void a_redirect_keeps_credentials_on_its_host(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    const struct http_config config = {
        .follow_redirects = true, .has_authorization = true, .credentials = {STR("s3cret")}};
    open_client(f, &config);
    get(f, "/to//echo", &seen);
    assert_int_equal(seen.status, 200);
    assert_true(body_has(&seen, "GET /echo HTTP/1.1\r\n"));
    assert_true(body_has(&seen, "s3cret"));
    mem_free(seen.body);
}

static void a_redirect_to_another_host_loses_credentials_for_good(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    const struct str value = STR("tenant-1");
    const struct http_header header = {.name = STR("X-Scope"), .values = &value, .value_count = 1};
    const struct http_config config = {.follow_redirects = true,
                                       .has_authorization = true,
                                       .credentials = {STR("s3cret")},
                                       .headers = &header,
                                       .header_count = 1};
    open_client(f, &config);
    char path[256];
    const struct str own[] = {STR("Cookie: c=1"), STR("Accept: a/b")};
    for (int back = 0; back <= 1; back++) { /* there, and there and back again */
        struct buf route;
        buf_init(&route, sizeof(path) - 1);
        buf_printf(&route, "/to/http://localhost:%u", f->server.port);
        if (back != 0) {
            buf_printf(&route, "/to/http://127.0.0.1:%u", f->server.port);
        }
        buf_append_cstr(&route, "/echo");
        copy_text(path, sizeof(path), buf_str(&route));
        buf_release(&route);
        run(f, (struct http_request){.url = url_of(f, path), .headers = own, .header_count = 2},
            &seen);
        assert_int_equal(seen.status, 200);
        assert_false(body_has(&seen, "s3cret"));
        assert_false(body_has(&seen, "tenant-1"));
        assert_false(body_has(&seen, "Cookie"));
        assert_true(body_has(&seen, "\r\nAccept: a/b\r\n"));
        mem_free(seen.body);
    }
}

static void a_redirect_to_a_file_is_refused(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    open_client(f, &plain);
    get(f, "/to/file:///etc/passwd", &seen);
    assert_seen_err(&seen, ERR_NETWORK,
                    "Get \"file:///etc/passwd\": unsupported protocol scheme \"file\"");
    mem_free(seen.body);
}

static void a_redirect_loop_ends(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    char want[512];
    open_client(f, &plain);
    get(f, "/loop", &seen);
    (void)snprintf(want, sizeof(want), "Get \"%s\": stopped after 10 redirects", f->url);
    assert_seen_err(&seen, ERR_NETWORK, want);
    mem_free(seen.body);
}

static void redirects_are_left_to_the_caller_when_switched_off(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    const struct http_config config = {.follow_redirects = false};
    open_client(f, &config);
    get(f, "/to//ok", &seen);
    assert_int_equal(seen.code, ERR_OK);
    assert_int_equal(seen.status, 302);
    mem_free(seen.body);
}

static void a_post_becomes_a_get_at_302_but_not_at_307(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    open_client(f, &plain);
    run(f,
        (struct http_request){
            .method = "POST", .url = url_of(f, "/to//echo"), .body = STR("payload")},
        &seen);
    assert_true(body_has(&seen, "GET /echo"));
    assert_false(body_has(&seen, "payload"));
    mem_free(seen.body);
    run(f,
        (struct http_request){
            .method = "POST", .url = url_of(f, "/keep//echo"), .body = STR("payload")},
        &seen);
    assert_true(body_has(&seen, "POST /echo"));
    assert_true(body_has(&seen, "payload"));
    mem_free(seen.body);
}

static void a_refused_connection_says_who_refused(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    open_client(f, &plain);
    /* A port that was just free: bound, not listening, so that nobody takes it. */
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    char url[128];
    char want[512];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/metrics", ntohs(at.sin_port));
    (void)snprintf(want, sizeof(want),
                   "Get \"%s\": dial tcp 127.0.0.1:%u: connect: connection refused", url,
                   ntohs(at.sin_port));
    run(f, (struct http_request){.url = str_of(url)}, &seen);
    assert_seen_err(&seen, ERR_NETWORK, want);
    mem_free(seen.body);
    (void)close(fd);
}

static void a_server_that_hangs_is_given_up_in_time(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    char want[512];
    open_client(f, &plain);
    const int64_t start = clock_mono_ns(clock_system());
    run(f, (struct http_request){.url = url_of(f, "/hang"), .timeout_ms = 150}, &seen);
    const int64_t took_ms = (clock_mono_ns(clock_system()) - start) / NS_PER_MS;
    assert_in_range(took_ms, 140, 2000);
    (void)snprintf(want, sizeof(want), "Get \"%s\": context deadline exceeded", f->url);
    assert_seen_err(&seen, ERR_TIMEOUT, want);
    mem_free(seen.body);
}

static void a_body_that_hangs_is_a_timeout_without_url(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    open_client(f, &plain);
    run(f, (struct http_request){.url = url_of(f, "/half"), .timeout_ms = 150}, &seen);
    assert_seen_err(&seen, ERR_TIMEOUT, "context deadline exceeded");
    mem_free(seen.body);
}

static void broken_answers_are_network_errors(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *path;
        const char *text;
        bool with_url;
    } cases[] = {
        {"/garbage", "net/http: HTTP/1.x transport connection broken: malformed HTTP response",
         true},
        {"/silent", "EOF", true},
        {"/cut", "unexpected EOF", false},
    };
    open_client(f, &plain);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct seen seen;
        char want[512];
        get(f, cases[i].path, &seen);
        (void)snprintf(want, sizeof(want), "Get \"%s\": %s", f->url, cases[i].text);
        assert_seen_err(&seen, ERR_NETWORK, cases[i].with_url ? want : cases[i].text);
        mem_free(seen.body);
    }
}

static void a_body_beyond_its_limit_stops_and_closes(void **state) {
    struct fixture *f = *state;
    static const char *const paths[] = {"/flood", "/huge"};
    open_client(f, &plain);
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct seen seen;
        run(f,
            (struct http_request){.url = url_of(f, paths[i]),
                                  .max_body_bytes = i == 0 ? 100000 : 2},
            &seen);
        assert_seen_err(&seen, ERR_LIMIT, "body size limit exceeded");
        assert_true(seen.too_large);
        assert_true(seen.body_len <= 100000);
        mem_free(seen.body);
    }
    struct seen seen;
    get(f, "/ok", &seen);
    mem_free(seen.body);
    assert_int_equal(atomic_load(&f->server.connection_count), 3);
}

static void a_body_of_exactly_the_limit_is_whole(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    open_client(f, &plain);
    run(f, (struct http_request){.url = url_of(f, "/ok"), .max_body_bytes = 5}, &seen);
    assert_int_equal(seen.code, ERR_OK);
    assert_string_equal(seen.body, "up 1\n");
    mem_free(seen.body);
    run(f, (struct http_request){.url = url_of(f, "/ok"), .max_body_bytes = 4}, &seen);
    assert_int_equal(seen.code, ERR_LIMIT);
    mem_free(seen.body);
}

static void an_endless_head_is_given_up(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    open_client(f, &plain);
    get(f, "/head-flood", &seen);
    assert_int_equal(seen.code, ERR_LIMIT);
    mem_free(seen.body);
}

static void a_cancelled_request_never_calls_back(void **state) {
    struct fixture *f = *state;
    struct seen hanging = {0};
    struct seen seen;
    open_client(f, &plain);
    const struct http_request request = {
        .method = "GET", .url = url_of(f, "/hang"), .timeout_ms = 10000};
    struct transport_request *r = NULL;
    struct err err;
    assert_ok(transport_start(f->t, f->client, &request, remember, &hanging, &r, &err), &err);
    transport_poll(f->t, 0);
    transport_cancel(f->t, r);
    get(f, "/ok", &seen);
    mem_free(seen.body);
    assert_int_equal(hanging.calls, 0);
}

/* Cancels another request, starts one and frees nothing: what callbacks are allowed to do. */
struct chain {
    struct fixture *f;
    struct transport_request *victim;
    struct seen *next;
};

static void cancel_and_start(void *ctx, struct http_response *response) {
    struct chain *chain = ctx;
    struct transport_request *r = NULL;
    struct err err;
    assert_int_equal(response->code, ERR_OK);
    transport_cancel(chain->f->t, chain->victim);
    const struct http_request request = {
        .method = "GET", .url = url_of(chain->f, "/ok"), .timeout_ms = 10000};
    assert_ok(
        transport_start(chain->f->t, chain->f->client, &request, remember, chain->next, &r, &err),
        &err);
}

static void a_callback_may_cancel_and_start(void **state) {
    struct fixture *f = *state;
    struct seen victim = {0};
    struct seen next = {0};
    struct chain chain = {.f = f, .next = &next};
    open_client(f, &plain);
    struct http_request request = {.method = "GET", .url = url_of(f, "/hang"), .timeout_ms = 10000};
    struct transport_request *r = NULL;
    struct err err;
    assert_ok(transport_start(f->t, f->client, &request, remember, &victim, &chain.victim, &err),
              &err);
    request.url = url_of(f, "/ok");
    assert_ok(transport_start(f->t, f->client, &request, cancel_and_start, &chain, &r, &err), &err);
    wait_for(f, &next);
    assert_int_equal(victim.calls, 0);
    mem_free(next.body);
}

static void free_client(void *ctx, struct http_response *response) {
    struct fixture *f = ctx;
    assert_int_equal(response->code, ERR_OK);
    transport_client_free(f->t, f->client);
    f->client = NULL;
}

static void a_callback_may_free_its_client(void **state) {
    struct fixture *f = *state;
    open_client(f, &plain);
    const struct http_request request = {
        .method = "GET", .url = url_of(f, "/ok"), .timeout_ms = 10000};
    struct transport_request *r = NULL;
    struct err err;
    assert_ok(transport_start(f->t, f->client, &request, free_client, f, &r, &err), &err);
    for (int i = 0; i < 1000 && f->client != NULL; i++) {
        transport_poll(f->t, NS_PER_S);
    }
    assert_null(f->client);
}

/* More connections than one multi handle is given: later requests go to new ones, and those that
 * run stay where they are until they end. */
static void a_client_with_many_connections_goes_on(void **state) {
    enum { HANGING_COUNT = 140 };
    struct fixture *f = *state;
    struct transport_request *hanging[HANGING_COUNT];
    struct seen nothing = {0};
    struct seen slow = {0};
    struct seen seen;
    struct err err;
    open_client(f, &plain);
    struct http_request request = {.method = "GET", .url = url_of(f, "/hang"), .timeout_ms = 60000};
    for (size_t i = 0; i < HANGING_COUNT; i++) {
        assert_ok(transport_start(f->t, f->client, &request, remember, &nothing, &hanging[i], &err),
                  &err);
    }
    struct transport_request *r = NULL;
    request.timeout_ms = 3000; /* ends after later requests went elsewhere */
    assert_ok(transport_start(f->t, f->client, &request, remember, &slow, &r, &err), &err);
    while (atomic_load(&f->server.connection_count) <= HANGING_COUNT && slow.calls == 0) {
        transport_poll(f->t, 10 * NS_PER_MS);
    }
    for (int i = 0; i < 3; i++) {
        get(f, "/ok", &seen);
        assert_string_equal(seen.body, "up 1\n");
        mem_free(seen.body);
    }
    assert_int_equal(atomic_load(&f->server.connection_count), HANGING_COUNT + 2);
    wait_for(f, &slow);
    assert_int_equal(slow.code, ERR_TIMEOUT);
    mem_free(slow.body);
    for (size_t i = 0; i < HANGING_COUNT; i++) {
        transport_cancel(f->t, hanging[i]);
    }
    get(f, "/ok", &seen);
    mem_free(seen.body);
    assert_int_equal(nothing.calls, 0);
}

static void wake_later(void *ctx) {
    (void)usleep(50000);
    transport_wake(ctx);
}

static void a_wake_ends_a_poll(void **state) {
    struct fixture *f = *state;
    struct thread waker;
    thread_start(&waker, "waker", wake_later, f->t);
    transport_poll(f->t, -1); /* for ever, were it not for the wake */
    thread_join(&waker);
    transport_wake(f->t); /* and before the poll it counts too */
    transport_wake(f->t);
    transport_poll(f->t, -1);
    const int64_t start = clock_mono_ns(clock_system());
    transport_poll(f->t, 20 * NS_PER_MS); /* both wakes were taken by one poll */
    assert_true(clock_mono_ns(clock_system()) - start >= 15 * NS_PER_MS);
}

static void a_unix_socket_is_reached_by_its_path(void **state) {
    struct fixture *f = *state;
    struct server server;
    struct seen seen;
    char path[64];
    (void)snprintf(path, sizeof(path), P_tmpdir "/brasa-test-%d.sock", (int)getpid());
    (void)unlink(path);
    open_client(f, &plain);
    run(f, (struct http_request){.url = STR("http://docker/ok"), .unix_socket = str_of(path)},
        &seen);
    char want[512];
    (void)snprintf(want, sizeof(want),
                   "Get \"http://docker/ok\": dial unix %s: connect: no such file or directory",
                   path);
    assert_seen_err(&seen, ERR_NETWORK, want);
    mem_free(seen.body);

    server_start(&server, path);
    run(f, (struct http_request){.url = STR("http://docker/ok"), .unix_socket = str_of(path)},
        &seen);
    assert_string_equal(seen.body, "up 1\n");
    mem_free(seen.body);
    server_stop(&server);
    assert_int_equal(unlink(path), 0);
}

static void bad_urls_are_refused_at_once(void **state) {
    struct fixture *f = *state;
    static const char *const urls[] = {"ftp://127.0.0.1/", "file:///etc/passwd", "http://",
                                       "http://a b/", ""};
    open_client(f, &plain);
    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        const struct http_request request = {.method = "GET", .url = str_of(urls[i])};
        struct transport_request *r = NULL;
        struct err err;
        assert_err(transport_start(f->t, f->client, &request, remember, NULL, &r, &err),
                   ERR_INVALID, "Get \"", &err);
    }
}

static void settings_that_cannot_work_are_found_at_construction(void **state) {
    struct fixture *f = *state;
    struct err err;
    const struct http_config versions = {.has_tls = true,
                                         .tls = {.min_version = TLS13, .max_version = TLS12}};
    assert_err(transport_client_new(f->t, &versions, NULL, &f->client, &err), ERR_INVALID,
               "tls_config.max_version must be greater than or equal to", &err);
    const struct http_config ca = {.has_tls = true, .tls = {.ca_file = STR("/no/such/ca.pem")}};
    assert_err(transport_client_new(f->t, &ca, NULL, &f->client, &err), ERR_INVALID,
               "/no/such/ca.pem", &err);
    const struct http_config oauth2 = {
        .oauth2 = {.set = true, .tls = {.ca_file = STR("/no/such/token-ca.pem")}}};
    assert_err(transport_client_new(f->t, &oauth2, NULL, &f->client, &err), ERR_INVALID,
               "oauth2: unable to read CA cert: unable to read file /no/such/token-ca.pem", &err);
}

/* ---- oauth2 ---- */

static void token_config(struct fixture *f, const char *path, struct http_config *out) {
    static char url[320];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", f->server.port, path);
    *out = plain;
    out->oauth2 = (struct oauth2_config){.set = true,
                                         .client_id = STR("me"),
                                         .client_secret = {STR("s/1")},
                                         .token_url = str_of(url)};
}

static void one_token_serves_all_requests(void **state) {
    struct fixture *f = *state;
    struct http_config config;
    struct seen seen[8];
    memset(seen, 0, sizeof(seen));
    token_config(f, "/token", &config);
    open_client(f, &config);
    const struct http_request request = {
        .method = "GET", .url = url_of(f, "/echo"), .timeout_ms = 10000};
    for (size_t i = 0; i < COUNT_OF(seen); i++) {
        struct transport_request *r = NULL;
        struct err err;
        assert_ok(transport_start(f->t, f->client, &request, remember, &seen[i], &r, &err), &err);
    }
    for (size_t i = 0; i < COUNT_OF(seen); i++) {
        wait_for(f, &seen[i]);
        assert_true(body_has(&seen[i], "\r\nAuthorization: Bearer t1\r\n"));
        mem_free(seen[i].body);
    }
    for (int i = 0; i < 3; i++) { /* over kept connections too */
        get(f, "/echo", &seen[0]);
        assert_true(body_has(&seen[0], "\r\nAuthorization: Bearer t1\r\n"));
        mem_free(seen[0].body);
    }
    assert_int_equal(atomic_load(&f->server.token_count), 1);
}

static void a_token_is_asked_for_in_the_way_that_its_server_wants(void **state) {
    struct fixture *f = *state;
    struct http_config config;
    struct seen seen;
    token_config(f, "/token-form", &config);
    open_client(f, &config);
    get(f, "/echo", &seen);
    assert_true(body_has(&seen, "\r\nAuthorization: Bearer form\r\n"));
    mem_free(seen.body);
    assert_int_equal(atomic_load(&f->server.token_count), 2); /* header, then form */
    get(f, "/echo", &seen); /* ten seconds before its end a token is expired */
    mem_free(seen.body);
    assert_int_equal(atomic_load(&f->server.token_count), 3); /* the form at once */
}

static void a_token_never_goes_to_another_host(void **state) {
    struct fixture *f = *state;
    struct http_config config;
    struct seen seen;
    char path[400];
    token_config(f, "/token", &config);
    open_client(f, &config);
    (void)snprintf(path, sizeof(path), "/to/http://localhost:%u/echo", f->server.port);
    get(f, path, &seen);
    assert_int_equal(seen.status, 200);
    assert_false(body_has(&seen, "Authorization"));
    mem_free(seen.body);
}

static void a_refused_token_is_the_error_of_the_request(void **state) {
    struct fixture *f = *state;
    struct http_config config;
    struct seen seen;
    char want[512];
    token_config(f, "/token", &config);
    config.oauth2.client_secret.reveal = STR("wrong");
    open_client(f, &config);
    get(f, "/ok", &seen);
    (void)snprintf(want, sizeof(want), "Get \"http://127.0.0.1:%u/ok\": oauth2: \"invalid_client\"",
                   f->server.port);
    assert_seen_err(&seen, ERR_NETWORK, want);
    mem_free(seen.body);
    assert_int_equal(atomic_load(&f->server.token_count), 2);
    get(f, "/ok", &seen); /* every request tries again */
    assert_seen_err(&seen, ERR_NETWORK, want);
    mem_free(seen.body);
}

static void a_token_server_that_is_not_there_is_named(void **state) {
    struct fixture *f = *state;
    struct http_config config = plain;
    struct seen seen;
    char want[512];
    config.oauth2 = (struct oauth2_config){
        .set = true, .client_id = STR("me"), .token_url = STR("http://127.0.0.1:1/token")};
    open_client(f, &config);
    get(f, "/ok", &seen);
    (void)snprintf(want, sizeof(want),
                   "Get \"http://127.0.0.1:%u/ok\": Post \"http://127.0.0.1:1/token\": dial tcp "
                   "127.0.0.1:1: connect: connection refused",
                   f->server.port);
    assert_seen_err(&seen, ERR_NETWORK, want);
    mem_free(seen.body);
}

static void a_request_waits_for_its_token_within_its_own_timeout(void **state) {
    struct fixture *f = *state;
    struct http_config config;
    struct seen seen;
    struct seen cancelled = {0};
    struct transport_request *r = NULL;
    struct err err;
    char want[512];
    token_config(f, "/hang", &config);
    open_client(f, &config);
    const struct http_request request = {
        .method = "GET", .url = url_of(f, "/ok"), .timeout_ms = 10000};
    assert_ok(transport_start(f->t, f->client, &request, remember, &cancelled, &r, &err), &err);
    run(f, (struct http_request){.url = url_of(f, "/ok"), .timeout_ms = 100}, &seen);
    (void)snprintf(want, sizeof(want), "Get \"http://127.0.0.1:%u/ok\": context deadline exceeded",
                   f->server.port);
    assert_seen_err(&seen, ERR_TIMEOUT, want);
    mem_free(seen.body);
    transport_cancel(f->t, r);
    transport_poll(f->t, 0);
    assert_int_equal(cancelled.calls, 0);
}

static void a_rotated_client_secret_gets_another_token(void **state) {
    struct fixture *f = *state;
    struct http_config config;
    struct seen seen;
    char path[] = "/tmp/brasa-client-secret-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, " s/1\n", 5), 5);
    token_config(f, "/token", &config);
    config.oauth2.client_secret.reveal = STR("");
    config.oauth2.client_secret_file = str_of(path);
    open_client(f, &config);
    get(f, "/ok", &seen);
    assert_string_equal(seen.body, "up 1\n");
    mem_free(seen.body);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, "old", 3, 0), 3);
    get(f, "/ok", &seen);
    assert_int_equal(seen.code, ERR_NETWORK);
    assert_non_null(strstr(seen.err.text, "oauth2: \"invalid_client\""));
    mem_free(seen.body);
    assert_int_equal(unlink(path), 0);
    (void)close(fd);
    const struct http_request request = {.method = "GET", .url = url_of(f, "/ok")};
    struct transport_request *r = NULL;
    struct err err;
    assert_err(transport_start(f->t, f->client, &request, remember, NULL, &r, &err), ERR_NOT_FOUND,
               "unable to read oauth2 client secret: unable to read file", &err);
}

static void a_link_local_address_is_refused_when_it_is_denied(void **state) {
    struct fixture *f = *state;
    struct seen seen;
    open_client(f, &plain);
    run(f,
        (struct http_request){.url = STR("http://169.254.169.254/latest"), .deny_link_local = true},
        &seen);
    assert_seen_err(&seen, ERR_NETWORK,
                    "Get \"http://169.254.169.254/latest\": dial tcp 169.254.169.254:80: "
                    "link-local addresses are refused (--scrape.deny-link-local)");
    mem_free(seen.body);
    run(f,
        (struct http_request){.url = url_of(f, "/to/http://[::ffff:169.254.169.254]:81/"),
                              .deny_link_local = true},
        &seen);
    assert_int_equal(seen.code, ERR_NETWORK);
    assert_non_null(strstr(seen.err.text, "link-local addresses are refused"));
    mem_free(seen.body);
    run(f, (struct http_request){.url = url_of(f, "/ok"), .deny_link_local = true}, &seen);
    assert_string_equal(seen.body, "up 1\n");
    mem_free(seen.body);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(an_answer_arrives_whole_with_its_head),
        CASE(any_status_is_an_answer),
        CASE(bodies_are_not_decoded),
        CASE(chunks_are_joined_and_trailers_ignored),
        CASE(connections_are_kept_and_used_again),
        CASE(a_kept_connection_gives_the_same_answers),
        CASE(a_connection_that_the_server_closed_is_made_anew),
        CASE(clients_do_not_share_connections),
        CASE(concurrent_requests_each_get_their_answer),
        CASE(headers_and_user_agent_are_sent),
        CASE(a_header_that_ends_its_line_is_refused),
        CASE(a_post_carries_its_body),
        CASE(basic_auth_and_configured_headers_are_sent),
        CASE(secret_files_are_read_at_each_request),
        CASE(a_redirect_keeps_credentials_on_its_host),
        CASE(a_redirect_to_another_host_loses_credentials_for_good),
        CASE(a_redirect_to_a_file_is_refused),
        CASE(a_redirect_loop_ends),
        CASE(redirects_are_left_to_the_caller_when_switched_off),
        CASE(a_post_becomes_a_get_at_302_but_not_at_307),
        CASE(a_refused_connection_says_who_refused),
        CASE(a_server_that_hangs_is_given_up_in_time),
        CASE(a_body_that_hangs_is_a_timeout_without_url),
        CASE(broken_answers_are_network_errors),
        CASE(a_body_beyond_its_limit_stops_and_closes),
        CASE(a_body_of_exactly_the_limit_is_whole),
        CASE(an_endless_head_is_given_up),
        CASE(a_cancelled_request_never_calls_back),
        CASE(a_callback_may_cancel_and_start),
        CASE(a_callback_may_free_its_client),
        CASE(a_client_with_many_connections_goes_on),
        CASE(a_wake_ends_a_poll),
        CASE(a_unix_socket_is_reached_by_its_path),
        CASE(bad_urls_are_refused_at_once),
        CASE(settings_that_cannot_work_are_found_at_construction),
        CASE(one_token_serves_all_requests),
        CASE(a_token_is_asked_for_in_the_way_that_its_server_wants),
        CASE(a_token_never_goes_to_another_host),
        CASE(a_refused_token_is_the_error_of_the_request),
        CASE(a_token_server_that_is_not_there_is_named),
        CASE(a_request_waits_for_its_token_within_its_own_timeout),
        CASE(a_rotated_client_secret_gets_another_token),
        CASE(a_link_local_address_is_refused_when_it_is_denied),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
