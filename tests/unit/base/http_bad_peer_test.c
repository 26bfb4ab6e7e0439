/* http_client: peers that refuse, hang, send garbage, too much or too little. Each is a clear error
 * within its bounds, and the next request goes on. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "tests/support/check_err.h"
#include "tests/unit/base/http_world.h"

static void a_refused_connection_says_who_refused(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
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
    http_world_run(w, (struct http_request){.url = str_of(url)}, &seen);
    http_seen_assert_err(&seen, ERR_NETWORK, want);
    mem_free(seen.body);
    (void)close(fd);
}

enum { FILLER_COUNT = 4 };

/* A port that takes no further connection: as many wait for it as may. */
struct full_port {
    int listener;
    int fillers[FILLER_COUNT];
    char url[64];
};

static void full_port_open(struct full_port *port) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    port->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(port->listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(port->listener, 0), 0);
    assert_int_equal(getsockname(port->listener, (struct sockaddr *)&at, &size), 0);
    for (int i = 0; i < FILLER_COUNT; i++) {
        port->fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(port->fillers[i], (struct sockaddr *)&at, sizeof(at));
    }
    (void)snprintf(port->url, sizeof(port->url), "http://127.0.0.1:%u/metrics", ntohs(at.sin_port));
}

static void full_port_close(struct full_port *port) {
    for (int i = 0; i < FILLER_COUNT; i++) {
        (void)close(port->fillers[i]);
    }
    (void)close(port->listener);
}

static void a_connection_that_does_not_come_about_is_given_up_in_time(void **state) {
    struct http_world *w = *state;
    struct full_port port;
    struct http_seen seen;
    char want[256];
    full_port_open(&port);
    http_world_open(w, &http_plain_config);
    (void)snprintf(want, sizeof(want), "Get \"%s\": context deadline exceeded", port.url);
    for (int by_libcurl = 0; by_libcurl <= 1; by_libcurl++) {
        http_world_run(w,
                       (struct http_request){
                           .url = str_of(port.url), .timeout_ms = 150, .trace = by_libcurl != 0},
                       &seen);
        http_seen_assert_err(&seen, ERR_TIMEOUT, want);
        mem_free(seen.body);
    }
    full_port_close(&port);
}

static void a_request_is_cancelled_while_it_connects(void **state) {
    struct http_world *w = *state;
    struct full_port port;
    struct http_seen seen = {0};
    struct transport_request *r = NULL;
    struct err err;
    full_port_open(&port);
    http_world_open(w, &http_plain_config);
    const struct http_request request = {
        .method = "GET", .url = str_of(port.url), .timeout_ms = 10000};
    assert_ok(transport_start(w->t, w->client, &request, http_seen_keep, &seen, &r, &err), &err);
    transport_poll(w->t, 0);
    transport_cancel(w->t, r);
    transport_poll(w->t, 0);
    assert_int_equal(seen.calls, 0);
    full_port_close(&port);
}

static void a_server_that_hangs_is_given_up_in_time(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    char want[512];
    http_world_open(w, &http_plain_config);
    const int64_t start = clock_mono_ns(clock_system());
    http_world_run(w, (struct http_request){.url = http_world_url(w, "/hang"), .timeout_ms = 150},
                   &seen);
    const int64_t took_ms = (clock_mono_ns(clock_system()) - start) / NS_PER_MS;
    assert_in_range(took_ms, 140, 2000);
    (void)snprintf(want, sizeof(want), "Get \"%s\": context deadline exceeded", w->url);
    http_seen_assert_err(&seen, ERR_TIMEOUT, want);
    mem_free(seen.body);
}

static void a_body_that_hangs_is_a_timeout_without_url(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
    http_world_run(w, (struct http_request){.url = http_world_url(w, "/half"), .timeout_ms = 150},
                   &seen);
    http_seen_assert_err(&seen, ERR_TIMEOUT, "context deadline exceeded");
    mem_free(seen.body);
}

static void broken_answers_are_network_errors(void **state) {
    struct http_world *w = *state;
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
    http_world_open(w, &http_plain_config);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_seen seen;
        char want[512];
        http_world_get(w, cases[i].path, &seen);
        (void)snprintf(want, sizeof(want), "Get \"%s\": %s", w->url, cases[i].text);
        http_seen_assert_err(&seen, ERR_NETWORK, cases[i].with_url ? want : cases[i].text);
        mem_free(seen.body);
    }
}

static void a_body_beyond_its_limit_stops_and_closes(void **state) {
    struct http_world *w = *state;
    static const char *const paths[] = {"/flood", "/huge"};
    http_world_open(w, &http_plain_config);
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct http_seen seen;
        http_world_run(w,
                       (struct http_request){.url = http_world_url(w, paths[i]),
                                             .max_body_bytes = i == 0 ? 100000 : 2},
                       &seen);
        http_seen_assert_err(&seen, ERR_LIMIT, "body size limit exceeded");
        assert_true(seen.too_large);
        assert_true(seen.body_len <= 100000);
        mem_free(seen.body);
    }
    struct http_seen seen;
    http_world_get(w, "/ok", &seen);
    mem_free(seen.body);
    assert_int_equal(atomic_load(&w->peer.connection_count), 3);
}

static void a_body_of_exactly_the_limit_is_whole(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
    http_world_run(w, (struct http_request){.url = http_world_url(w, "/ok"), .max_body_bytes = 5},
                   &seen);
    assert_int_equal(seen.code, ERR_OK);
    assert_string_equal(seen.body, "up 1\n");
    mem_free(seen.body);
    http_world_run(w, (struct http_request){.url = http_world_url(w, "/ok"), .max_body_bytes = 4},
                   &seen);
    assert_int_equal(seen.code, ERR_LIMIT);
    mem_free(seen.body);
}

/* How an answer comes: a traced request is libcurl's. */
enum route { BY_LIBCURL, BY_NEW_CONNECTION, BY_KEPT_CONNECTION, ROUTE_COUNT };

static void get_by(struct http_world *w, enum route route, const char *path,
                   struct http_seen *seen) {
    if (route == BY_KEPT_CONNECTION) {
        http_world_get(w, "/ok", seen);
        mem_free(seen->body);
    }
    http_world_run(
        w, (struct http_request){.url = http_world_url(w, path), .trace = route == BY_LIBCURL},
        seen);
}

static void assert_given_up(struct http_world *w, const char *path, const char *text) {
    for (enum route route = BY_LIBCURL; route < ROUTE_COUNT; route++) {
        struct http_seen seen;
        http_world_open(w, &http_plain_config);
        get_by(w, route, path, &seen);
        assert_int_equal(seen.code, ERR_LIMIT);
        assert_non_null(strstr(seen.err.text, text));
        mem_free(seen.body);
        transport_client_free(w->t, w->client);
        w->client = NULL;
    }
}

static void an_endless_head_is_given_up(void **state) {
    assert_given_up(*state, "/head-flood", "response headers are larger than 65536 bytes");
    assert_given_up(*state, "/interim-flood", "response headers are larger than 65536 bytes");
}

static void an_endless_trailer_is_given_up(void **state) {
    assert_given_up(*state, "/trailer-flood", "suspiciously long trailer after chunked body");
}

static void endless_chunks_stop_at_the_limit(void **state) {
    struct http_world *w = *state;
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
    for (int i = 0; i < 3; i++) { /* through libcurl, and over new and kept connections */
        http_world_run(w,
                       (struct http_request){.url = http_world_url(w, "/chunk-flood"),
                                             .max_body_bytes = 5000,
                                             .trace = i == 0},
                       &seen);
        http_seen_assert_err(&seen, ERR_LIMIT, "body size limit exceeded");
        mem_free(seen.body);
        if (i > 0) {
            http_world_get(w, "/ok", &seen);
            mem_free(seen.body);
        }
    }
}

/* Fetches "/raw" on every route. */
static void assert_raw(struct http_world *w, struct str raw, const char *want_err,
                       const char *want_body) {
    for (enum route route = BY_LIBCURL; route < ROUTE_COUNT; route++) {
        struct http_seen seen;
        http_world_open(w, &http_plain_config);
        w->peer.raw = raw;
        get_by(w, route, "/raw", &seen);
        if (want_err != NULL) {
            assert_int_equal(seen.code, ERR_NETWORK);
            if (strstr(seen.err.text, want_err) == NULL) {
                fail_msg("%.*s: %s, want %s", STR_ARG(raw), seen.err.text, want_err);
            }
        } else {
            assert_int_equal(seen.code, ERR_OK);
            assert_string_equal(seen.body, want_body);
        }
        mem_free(seen.body);
        transport_client_free(w->t, w->client);
        w->client = NULL;
    }
}

#define BROKEN "/raw\": net/http: HTTP/1.x transport connection broken: "

static void a_length_that_cannot_be_believed_is_an_error(void **state) {
    struct http_world *w = *state;
    static const struct {
        struct str raw;
        const char *want;
    } cases[] = {
#define PAGE(head) STR_INIT("HTTP/1.1 200 OK\r\n" head "\r\n\r\na 1\nb 2\n")
        {PAGE("Content-Length: 9223372036854775808"),
         BROKEN "bad Content-Length \"9223372036854775808\""},
        {PAGE("Content-Length: 99999999999999999999999999"),
         BROKEN "bad Content-Length \"99999999999999999999999999\""},
        {PAGE("Content-Length: 8,8"), BROKEN "bad Content-Length \"8,8\""},
        {PAGE("Content-Length: 0x8"), BROKEN "bad Content-Length \"0x8\""},
        {PAGE("Content-Length: -1"), BROKEN},
        {PAGE("Content-Length: +8"), BROKEN},
        {PAGE("Content-Length: 8 8"), BROKEN},
        {PAGE("Content-Length:"), BROKEN},
        {PAGE("Content-Length: 4\r\nContent-Length: 8"),
         BROKEN "http: message cannot contain multiple Content-Length headers; got \"8\""},
        {PAGE("Content-Length: 8\r\nCONTENT-LENGTH: 4"),
         BROKEN "http: message cannot contain multiple Content-Length headers; got \"4\""},
        {PAGE("Transfer-Encoding: gzip"), BROKEN "unsupported transfer encoding: \"gzip\""},
        {PAGE("Transfer-Encoding: gzip, chunked"),
         BROKEN "unsupported transfer encoding: \"gzip, chunked\""},
        {PAGE("Transfer-Encoding: xchunked"), BROKEN "unsupported transfer encoding: \"xchunked\""},
        {PAGE("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
         BROKEN "too many transfer encodings"},
        {PAGE("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
         BROKEN "too many transfer encodings"},
#undef PAGE
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_raw(w, cases[i].raw, cases[i].want, NULL);
    }
}

static void what_is_said_twice_in_one_way_is_believed_once(void **state) {
    struct http_world *w = *state;
    assert_raw(w,
               STR("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\na 1\nb 2\n"),
               NULL, "a 1\n");
    assert_raw(w,
               STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "4\r\na 1\n\r\n0\r\n\r\n"),
               NULL, "a 1\n");
}

static void an_answer_framed_twice_ends_its_connection(void **state) {
    struct http_world *w = *state;
    http_world_open(w, &http_plain_config);
    w->peer.raw_stays = true;
    w->peer.raw = STR("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\na 1\n");
    for (int i = 0; i < 3; i++) {
        struct http_seen seen;
        http_world_get(w, "/raw", &seen);
        assert_string_equal(seen.body, "a 1\n");
        mem_free(seen.body);
        /* The first is a surprise, and asked for again. */
        assert_int_equal(atomic_load(&w->peer.connection_count), i + 2);
    }
}

static void chunks_that_lie_are_errors(void **state) {
    struct http_world *w = *state;
    static const struct str raws[] = {
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        STR_INIT(CHUNKED "ffffffffffffffff1\r\na 1\n\r\n0\r\n\r\n"),
        STR_INIT(CHUNKED "10000000000000004\r\na 1\n\r\n0\r\n\r\n"),
        STR_INIT(CHUNKED "-4\r\na 1\n\r\n0\r\n\r\n"),
        STR_INIT(CHUNKED "0x4\r\na 1\n\r\n0\r\n\r\n"),
        STR_INIT(CHUNKED "g\r\na 1\n\r\n0\r\n\r\n"),
        STR_INIT(CHUNKED "\r\na 1\n\r\n0\r\n\r\n"),
        STR_INIT(CHUNKED "4\r\na 1\nb 2\n\r\n0\r\n\r\n"), /* more than announced */
        STR_INIT(CHUNKED "9\r\na 1\n\r\n"),               /* less */
        STR_INIT(CHUNKED "4\r\na 1\n\r\n"),               /* no last one */
#undef CHUNKED
    };
    for (size_t i = 0; i < COUNT_OF(raws); i++) {
        assert_raw(w, raws[i], "", NULL);
    }
}

static void an_answer_without_a_body_is_asked_for_once(void **state) {
    struct http_world *w = *state;
    static const char *const paths[] = {"/empty", "/unchanged"};
    http_world_open(w, &http_plain_config);
    for (int i = 0; i < 6; i++) {
        struct http_seen seen;
        http_world_get(w, paths[i % 2], &seen);
        assert_int_equal(seen.code, ERR_OK);
        assert_int_equal(seen.status, i % 2 == 0 ? 204 : 304);
        assert_int_equal(seen.body_len, 0);
        assert_int_equal(atomic_load(&w->peer.request_count), i + 1);
        mem_free(seen.body);
    }
    assert_int_equal(atomic_load(&w->peer.connection_count), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, http_world_setup, http_world_teardown)
        CASE(a_refused_connection_says_who_refused),
        CASE(a_connection_that_does_not_come_about_is_given_up_in_time),
        CASE(a_request_is_cancelled_while_it_connects),
        CASE(a_server_that_hangs_is_given_up_in_time),
        CASE(a_body_that_hangs_is_a_timeout_without_url),
        CASE(broken_answers_are_network_errors),
        CASE(a_body_beyond_its_limit_stops_and_closes),
        CASE(a_body_of_exactly_the_limit_is_whole),
        CASE(an_endless_head_is_given_up),
        CASE(an_endless_trailer_is_given_up),
        CASE(endless_chunks_stop_at_the_limit),
        CASE(a_length_that_cannot_be_believed_is_an_error),
        CASE(what_is_said_twice_in_one_way_is_believed_once),
        CASE(an_answer_framed_twice_ends_its_connection),
        CASE(chunks_that_lie_are_errors),
        CASE(an_answer_without_a_body_is_asked_for_once),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
