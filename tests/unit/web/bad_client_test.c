/* The HTTP server and clients that mean harm: requests that never end, garbage, framing that two
 * readers could understand in two ways, more connections than one address may have. After each of
 * them the next client is answered.
 *
 * Deadlines are checked by what a client could send until it was cut off, not by the clock. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "tests/support/check_err.h"
#include "tests/unit/web/raw_client.h"
#include "tests/unit/web/web_world.h"

enum { CLIENT_MAX = 6, READ_TIMEOUT_MS = 1000, LONG_READ_TIMEOUT_MS = 4000 };

#define HOST "Host: b\r\n"
#define HEALTHY "GET /-/healthy HTTP/1.1\r\n" HOST "\r\n"

static struct web_world world; /* for its storage, engine and stand-ins */
static struct web *web;
static uint16_t port;

static void start(size_t client_max, int64_t read_timeout_ms) {
    struct str address = STR("127.0.0.1:0");
    struct err err;
    web_world_init(&world);
    struct web_options options = world.web.options;
    options.listen = &address;
    options.listen_count = 1;
    options.route_prefix = STR("/");
    options.max_connections = 64;
    options.max_client_connections = client_max;
    options.read_timeout_ms = read_timeout_ms;
    options.worker_count = 2;
    options.clock = clock_system();
    assert_ok(web_start(&options, &web, &err), &err);
    web_set_ready(web, true, false);
    port = web_port(web, 0);
}

static int setup(void **state) {
    (void)state;
    start(0, READ_TIMEOUT_MS);
    return 0;
}

static int setup_patient(void **state) {
    (void)state;
    start(0, LONG_READ_TIMEOUT_MS);
    return 0;
}

static int setup_limited(void **state) {
    (void)state;
    start(CLIENT_MAX, 20 * LONG_READ_TIMEOUT_MS);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    web_stop(web);
    web_world_release(&world);
    return 0;
}

static void pause_ms(long ms) {
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000 * 1000};
    (void)nanosleep(&pause, NULL);
}

/* Whether the server has hung up; what it sent is thrown away. */
static bool is_closed(int fd) {
    char bytes[4096];
    const ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return n == 0 || (poll(&p, 1, 0) == 1 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0);
}

/* A connection on which all of the request was sent, and nothing more will be. */
static int send_whole(struct str request) {
    const int fd = raw_dial(port);
    while (request.len > 0) {
        const ssize_t sent = send(fd, request.ptr, request.len, MSG_NOSIGNAL);
        if (sent <= 0) {
            break;
        }
        request = str_from(request, (size_t)sent);
    }
    (void)shutdown(fd, SHUT_WR);
    return fd;
}

/* Everything until the server closes. */
static struct buf read_whole(int fd) {
    struct buf all;
    buf_init(&all, 1 << 20);
    while (raw_receive(fd, &all)) {
    }
    (void)close(fd);
    return all;
}

static size_t count_of(struct str all, struct str text) {
    size_t count = 0;
    for (ptrdiff_t at = 0; (at = str_find(all, text)) >= 0; count++) {
        all = str_from(all, (size_t)at + text.len);
    }
    return count;
}

static size_t answer_count(struct str all) {
    return count_of(all, STR("HTTP/1.1 "));
}

static size_t error_count(struct str all) {
    return count_of(all, STR("HTTP/1.1 4"));
}

/* ---- requests that never end ---- */

/* Each piece comes long before the server tires of an idle connection. */
static void drip(const char *begin, const char *piece) {
    enum { PIECES_MAX = 400 }; /* 40 s */
    const int fd = raw_dial(port);
    raw_send(fd, begin);
    int sent = 0;
    while (sent < PIECES_MAX && !is_closed(fd)) {
        raw_send(fd, piece);
        sent++;
        pause_ms(READ_TIMEOUT_MS / 10);
    }
    assert_true(sent < PIECES_MAX);
    (void)close(fd);
    raw_check_status(port, HEALTHY, 200);
}

static void a_request_line_that_drips_is_cut_off(void **state) {
    (void)state;
    drip("GET /-/healthy?", "a");
}

static void a_head_that_drips_is_cut_off(void **state) {
    (void)state;
    drip("GET /-/healthy HTTP/1.1\r\n" HOST, "X-A: b\r\n");
}

static void a_body_that_drips_is_cut_off(void **state) {
    (void)state;
    drip("POST /api/v1/query HTTP/1.1\r\n" HOST
         "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000000\r\n\r\n",
         "q");
}

static void chunks_that_drip_are_cut_off(void **state) {
    (void)state;
    drip("POST /api/v1/query HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n");
}

/* The clock starts anew with each request: together they take longer than one may. */
static void a_connection_in_use_is_kept(void **state) {
    (void)state;
    const int fd = raw_dial(port);
    struct buf rest;
    buf_init(&rest, 1 << 20);
    for (int i = 0; i < 6; i++) {
        struct raw_answer a;
        raw_send(fd, HEALTHY);
        assert_true(raw_read(fd, &rest, false, &a));
        assert_int_equal(a.status, 200);
        buf_release(&a.raw);
        pause_ms(LONG_READ_TIMEOUT_MS / 5);
    }
    buf_release(&rest);
    (void)close(fd);
}

static void an_idle_connection_is_closed(void **state) {
    (void)state;
    const int silent = raw_dial(port);
    const int idle = raw_dial(port);
    raw_send(idle, HEALTHY);
    struct buf rest;
    buf_init(&rest, 1 << 20);
    while (raw_receive(idle, &rest)) {
    }
    assert_int_equal(answer_count(buf_str(&rest)), 1);
    assert_false(raw_receive(silent, &rest));
    buf_release(&rest);
    (void)close(silent);
    (void)close(idle);
}

static void send_until_closed(const char *begin, const char *block, size_t most_bytes) {
    const int fd = raw_dial(port);
    const size_t n = strlen(block);
    size_t sent = 0;
    raw_send(fd, begin);
    while (sent < most_bytes && !is_closed(fd) && send(fd, block, n, MSG_NOSIGNAL) > 0) {
        sent += n;
    }
    if (sent >= most_bytes) {
        fail_msg("%.60s: goes on after %zu bytes", begin, sent);
    }
    (void)close(fd);
    raw_check_status(port, HEALTHY, 200);
}

/* Bounds: 96 KiB of head, and what the kernel holds for both sides on the way. */
static void what_has_no_end_is_given_up(void **state) {
    (void)state;
    char block[4096];
    memset(block, 'a', sizeof(block) - 1);
    block[sizeof(block) - 1] = '\0';
    send_until_closed("GET /", block, 64 << 20);
    send_until_closed("GET /-/healthy HTTP/1.1\r\n" HOST "X-Long: ", block, 64 << 20);
    send_until_closed("GET /-/healthy HTTP/1.1\r\n" HOST, "X-A: b\r\nX-C: d\r\nX-E: f\r\n",
                      64 << 20);
    send_until_closed(block, block, 64 << 20);
    send_until_closed("POST /api/v1/query HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
                      "8\r\nabcdefgh\r\n8\r\nabcdefgh\r\n8\r\nabcdefgh\r\n8\r\nabcdefgh\r\n",
                      256 << 20);
}

/* ---- framing and garbage ---- */

/* A request, and behind it one that a reader who understood the first in another way would find.
 * Nothing but errors may come, and then the end. */
static void what_could_be_read_in_two_ways_is_refused(void **state) {
    (void)state;
    static const char *const heads[] = {
        "Content-Length: 0\r\nContent-Length: 0\r\n",
        "Content-Length: 0\r\nContent-Length: 35\r\n",
        "Content-Length: 0\r\ncontent-length: 0\r\n",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: \r\n",
        "Content-Length: +0\r\n",
        "Content-Length: -0\r\n",
        "Content-Length: 0, 0\r\n",
        "Content-Length: 0x0\r\n",
        "Content-Length: 0 0\r\n",
        "Content-Length: \r\n",
        "Content-Length: 9223372036854775808\r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Content-Length: 99999999999999999999999999\r\n",
        HOST,
    };
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        char request[512];
        const int n = snprintf(request, sizeof(request),
                               "POST /-/healthy HTTP/1.1\r\n" HOST "%s\r\n" HEALTHY, heads[i]);
        struct buf all = read_whole(send_whole((struct str){request, (size_t)n}));
        const struct str got = buf_str(&all);
        if (answer_count(got) != error_count(got)) {
            fail_msg("%s: %.200s", heads[i], got.len > 0 ? all.ptr : "");
        }
        buf_release(&all);
    }
    raw_check_status(port, HEALTHY, 200);
}

static void chunks_of_http_1_0_are_refused(void **state) {
    (void)state;
    raw_check_status(
        port, "POST /api/v1/query HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}

static void chunks_that_lie_end_their_connection(void **state) {
    (void)state;
    static const char *const sizes[] = {
        "ffffffffffffffff1", "10000000000000000", "-1", "0x1", "g", "1 1", "", "1\n"};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char request[512];
        const int n = snprintf(request, sizeof(request),
                               "POST /api/v1/query HTTP/1.1\r\n" HOST
                               "Transfer-Encoding: chunked\r\n\r\n%s\r\nx\r\n0\r\n\r\n" HEALTHY,
                               sizes[i]);
        struct buf all = read_whole(send_whole((struct str){request, (size_t)n}));
        const struct str got = buf_str(&all);
        if (str_find(got, STR("Healthy")) >= 0) {
            fail_msg("chunk of %s: %.200s", sizes[i], all.ptr);
        }
        buf_release(&all);
    }
    raw_check_status(port, HEALTHY, 200);
}

static void garbage_is_refused_or_hung_up_on(void **state) {
    (void)state;
    static const struct str requests[] = {
        STR_INIT("\r\n\r\n\r\n\r\n"),
        STR_INIT("\0\0\0\0\r\n\r\n"),
        STR_INIT("GET\r\n\r\n"),
        STR_INIT("GET /-/healthy\r\n\r\n"),
        STR_INIT("GET /-/healthy HTTP/9.9\r\n" HOST "\r\n"),
        STR_INIT("GET /-/healthy HTTP/1.1\r\n\r\n"), /* no Host */
        STR_INIT("GET /-/healthy\0 HTTP/1.1\r\n" HOST "\r\n"),
        STR_INIT("GET /a\0b HTTP/1.1\r\n" HOST "X: \0\r\n\r\n"),
        STR_INIT("GET /-/healthy HTTP/1.1\r\n" HOST "no colon\r\n\r\n"),
        STR_INIT("GET /-/healthy HTTP/1.1\r\n" HOST ": no name\r\n\r\n"),
        STR_INIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        STR_INIT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a hello of TLS \r\n\r\n"),
        STR_INIT("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"),
        STR_INIT("CONNECT b:443 HTTP/1.1\r\n" HOST "\r\n"),
    };
    int fds[COUNT_OF(requests)];
    for (size_t i = 0; i < COUNT_OF(requests); i++) { /* at once, as some wait for the timeout */
        fds[i] = send_whole(requests[i]);
    }
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        struct buf all = read_whole(fds[i]);
        if (str_find(buf_str(&all), STR("HTTP/1.1 5")) >= 0 &&
            str_find(buf_str(&all), STR("HTTP/1.1 505")) < 0) {
            fail_msg("request %zu: %.200s", i, all.ptr);
        }
        buf_release(&all);
    }
    raw_check_status(port, HEALTHY, 200);
}

/* The same bytes each time. */
static void noise_is_survived(void **state) {
    (void)state;
    struct rng rng = rng_seeded(1);
    for (int i = 0; i < 200; i++) {
        char bytes[2048];
        const size_t n = 1 + rng_below(&rng, sizeof(bytes) - 1);
        static const char start[] = "GET /api/v1/query?query=";
        for (size_t k = 0; k < n; k++) {
            bytes[k] = (char)rng_below(&rng, 256);
        }
        if (i % 2 == 0 && n > sizeof(start)) {
            memcpy(bytes, start, sizeof(start) - 1);
        }
        (void)close(send_whole((struct str){bytes, n}));
    }
    raw_check_status(port, HEALTHY, 200);
}

/* ---- connections ---- */

static bool is_served(int fd) {
    struct buf rest;
    struct raw_answer a = {.status = 0};
    buf_init(&rest, 1 << 20);
    raw_send(fd, HEALTHY);
    const bool served = raw_read(fd, &rest, false, &a) && a.status == 200;
    if (a.status != 0) {
        buf_release(&a.raw);
    }
    buf_release(&rest);
    return served;
}

static void one_address_has_so_many_connections_and_no_more(void **state) {
    (void)state;
    int fds[CLIENT_MAX];
    for (int i = 0; i < CLIENT_MAX; i++) {
        fds[i] = raw_dial(port);
        assert_true(is_served(fds[i]));
    }
    for (int i = 0; i < 3; i++) {
        const int fd = raw_dial(port);
        assert_false(is_served(fd));
        (void)close(fd);
        assert_true(is_served(fds[i])); /* those who were there stay */
    }
    (void)close(fds[0]);
    bool served = false;
    for (int i = 0; i < 200 && !served; i++) { /* until the server has seen that */
        fds[0] = raw_dial(port);
        served = is_served(fds[0]);
        if (!served) {
            (void)close(fds[0]);
            pause_ms(10);
            for (int k = 1; k < CLIENT_MAX; k++) {
                assert_true(is_served(fds[k])); /* and they do not tire */
            }
        }
    }
    assert_true(served);
    for (int i = 0; i < CLIENT_MAX; i++) {
        (void)close(fds[i]);
    }
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_request_line_that_drips_is_cut_off),
        T(a_head_that_drips_is_cut_off),
        T(a_body_that_drips_is_cut_off),
        T(chunks_that_drip_are_cut_off),
        cmocka_unit_test_setup_teardown(a_connection_in_use_is_kept, setup_patient, teardown),
        T(an_idle_connection_is_closed),
        T(what_has_no_end_is_given_up),
        T(what_could_be_read_in_two_ways_is_refused),
        T(chunks_of_http_1_0_are_refused),
        T(chunks_that_lie_end_their_connection),
        T(garbage_is_refused_or_hung_up_on),
        T(noise_is_survived),
        cmocka_unit_test_setup_teardown(one_address_has_so_many_connections_and_no_more,
                                        setup_limited, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
