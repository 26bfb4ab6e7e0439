/* The HTTP server on a loopback port, driven by raw sockets: framing, limits, compression, cancelled
 * queries, many connections, and stopping while requests run. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/compress.h"
#include "base/mutex.h"
#include "tests/support/check_err.h"
#include "tests/unit/web/raw_client.h"
#include "tests/unit/web/web_world.h"

static struct web_world world; /* for its storage, engine and stand-ins */

struct server {
    struct web *web;
    uint16_t port;
    struct err err;
};

/* ---- reads that block until the test says so, or until they are cancelled ---- */

static struct {
    atomic_int waiting; /* reads that wait now */
    atomic_int cancelled;
    atomic_bool block, released;
    struct mutex mu;
    const struct storage_ops *real;
    struct storage_ops ops;
} gate;

/* The storage of tests is for one thread: it notes each querier's range. */
static enum err_code real_open(struct storage *st, int64_t mint, int64_t maxt, struct arena *arena,
                               const struct cancel *cancel, struct storage_querier **out,
                               struct err *err) {
    mutex_lock(&gate.mu);
    const enum err_code code = gate.real->querier_open(st, mint, maxt, arena, cancel, out, err);
    mutex_unlock(&gate.mu);
    return code;
}

static enum err_code gated_open(struct storage *st, int64_t mint, int64_t maxt, struct arena *arena,
                                const struct cancel *cancel, struct storage_querier **out,
                                struct err *err) {
    if (!atomic_load(&gate.block)) {
        return real_open(st, mint, maxt, arena, cancel, out, err);
    }
    atomic_fetch_add(&gate.waiting, 1);
    enum err_code code = ERR_OK;
    while (!atomic_load(&gate.released) && code == ERR_OK) {
        code = cancel_check(cancel);
        const struct timespec pause = {.tv_nsec = 1000 * 1000};
        (void)nanosleep(&pause, NULL);
    }
    atomic_fetch_add(&gate.waiting, -1);
    if (code != ERR_OK) {
        atomic_fetch_add(&gate.cancelled, 1);
        return err_set(err, code, "stopped");
    }
    return real_open(st, mint, maxt, arena, cancel, out, err);
}

static void wait_for(atomic_int *counter, int want) {
    for (int i = 0; i < RAW_TIMEOUT_MS && atomic_load(counter) != want; i++) {
        const struct timespec pause = {.tv_nsec = 1000 * 1000};
        (void)nanosleep(&pause, NULL);
    }
    assert_int_equal(atomic_load(counter), want);
}

/* ---- a server ---- */

static struct server server;

static enum err_code start(const char *listen, uint16_t *out_port) {
    static struct str addresses[1];
    addresses[0] = str_of(listen);
    struct web_options options = world.web.options;
    options.listen = addresses;
    options.listen_count = 1;
    options.route_prefix = STR("/");
    options.max_connections = 256;
    options.read_timeout_ms = 3000;
    options.worker_count = 4;
    options.clock = clock_system();
    const enum err_code code = web_start(&options, &server.web, &server.err);
    if (code == ERR_OK) {
        web_set_ready(server.web, true, false);
        *out_port = web_port(server.web, 0);
    }
    return code;
}

static int setup(void **state) {
    web_world_init(&world);
    fake_storage_load(world.fs, 10000, "m", "1 2 3");
    struct storage *st = fake_storage_as_storage(world.fs);
    memset(&gate, 0, sizeof(gate));
    mutex_init(&gate.mu);
    gate.real = st->ops;
    gate.ops = *st->ops;
    gate.ops.querier_open = gated_open;
    st->ops = &gate.ops;
    assert_ok(start("127.0.0.1:0", &server.port), &server.err);
    *state = &server;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    atomic_store(&gate.released, true);
    web_stop(server.web);
    server.web = NULL;
    web_world_release(&world);
    mutex_release(&gate.mu);
    return 0;
}

#define HOST "Host: b\r\n"
#define QUERY "GET /api/v1/query?query=m&time=10 HTTP/1.1\r\n" HOST
#define RESULT                                                                                     \
    "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{"        \
    "\"__name__\":\"m\"},\"value\":[10,\"2\"]}]}}"

/* ---- tests ---- */

static void requests_of_one_connection_are_answered_in_order(void **state) {
    (void)state;
    const int fd = raw_dial(server.port);
    struct buf rest;
    buf_init(&rest, 1024 * 1024);
    /* keep-alive, then three at once */
    raw_send(fd, QUERY "\r\n");
    struct raw_answer a;
    assert_true(raw_read(fd, &rest, false, &a));
    assert_str(a.body, RESULT);
    assert_str(raw_header(&a, "Content-Type:"), "application/json");
    assert_str(raw_header(&a, "X-Content-Type-Options:"), "nosniff");
    buf_release(&a.raw);
    raw_send(fd, QUERY "\r\nGET /-/healthy HTTP/1.1\r\n" HOST "\r\n" QUERY "\r\n");
    static const char *const want[] = {RESULT, "Prometheus Server is Healthy.\n", RESULT};
    for (size_t i = 0; i < 3; i++) {
        assert_true(raw_read(fd, &rest, false, &a));
        assert_str(a.body, want[i]);
        buf_release(&a.raw);
    }
    buf_release(&rest);
    (void)close(fd);
}

static void head_has_the_head_of_get_and_no_body(void **state) {
    (void)state;
    struct raw_answer a = raw_ask(server.port, "HEAD /-/ready HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(a.status, 200);
    assert_str(raw_header(&a, "Content-Length:"), "28");
    assert_int_equal(a.body.len, 0);
    buf_release(&a.raw);
}

static void forms_are_posted(void **state) {
    (void)state;
    struct raw_answer a = raw_ask(server.port, "POST /api/v1/query HTTP/1.1\r\n" HOST
                                               "Content-Type: application/x-www-form-urlencoded\r\n"
                                               "Content-Length: 15\r\n\r\nquery=m&time=10");
    assert_int_equal(a.status, 200);
    assert_str(a.body, RESULT);
    buf_release(&a.raw);
    a = raw_ask(server.port,
                "POST /api/v1/query HTTP/1.1\r\n" HOST
                "Content-Type: application/x-www-form-urlencoded\r\n"
                "Transfer-Encoding: chunked\r\n\r\n8\r\nquery=m&\r\n7\r\ntime=10\r\n0\r\n\r\n");
    assert_str(a.body, RESULT);
    buf_release(&a.raw);
}

static void large_answers_are_compressed_for_who_takes_that(void **state) {
    (void)state;
    for (int i = 0; i < 200; i++) {
        char name[40];
        (void)snprintf(name, sizeof(name), "big{number=\"%d\"}", i);
        fake_storage_load(world.fs, 1000, name, "1");
    }
    struct raw_answer plain =
        raw_ask(server.port, "GET /api/v1/query?query=big&time=1 HTTP/1.1\r\n" HOST "\r\n");
    assert_str(raw_header(&plain, "Content-Encoding:"), "");
    assert_str(raw_header(&plain, "Vary:"), "Accept-Encoding");
    struct raw_answer packed =
        raw_ask(server.port, "GET /api/v1/query?query=big&time=1 HTTP/1.1\r\n" HOST
                             "Accept-Encoding: br, gzip\r\n\r\n");
    assert_str(raw_header(&packed, "Content-Encoding:"), "gzip");
    assert_true(packed.body.len < plain.body.len / 2);
    struct inflater *inflater = inflater_new();
    struct buf out;
    struct err err;
    buf_init(&out, 1024 * 1024);
    assert_ok(inflate_gzip(inflater, packed.body, &out, &err), &err);
    assert_true(str_eq(buf_str(&out), plain.body));
    inflater_free(inflater);
    buf_release(&out);
    buf_release(&plain.raw);
    buf_release(&packed.raw);
}

/* Chunks to their content; false when the last one is missing. */
static bool unchunk(struct str from, struct buf *to) {
    for (;;) {
        const ptrdiff_t end = str_find(from, STR("\r\n"));
        if (end < 0) {
            return false;
        }
        const size_t n = (size_t)strtoull(from.ptr, NULL, 16);
        from = str_from(from, (size_t)end + 2);
        if (n == 0) {
            return true;
        }
        if (from.len < n + 2) {
            return false;
        }
        buf_append(to, from.ptr, n);
        from = str_from(from, n + 2);
    }
}

#define BIG_QUERY "GET /api/v1/query_range?query=big&start=0&end=290&step=0.1 HTTP/1.1\r\n" HOST

static void load_big(void) {
    for (int i = 0; i < 50; i++) {
        char name[40];
        (void)snprintf(name, sizeof(name), "big{number=\"%d\"}", i);
        fake_storage_load(world.fs, 1000, name, "1");
    }
}

/* Everything until the server closes, in steps of which the client rests between. */
static struct raw_answer ask_for_chunks(const char *request, bool slowly, struct buf *body) {
    const int fd = raw_dial(server.port);
    struct raw_answer a = {.status = 0};
    buf_init(&a.raw, 64 * 1024 * 1024);
    buf_init(body, 64 * 1024 * 1024);
    raw_send(fd, request);
    for (int reads = 0; raw_receive(fd, &a.raw); reads++) {
        const struct timespec pause = {.tv_nsec = 1000 * 1000};
        if (slowly && reads % 4 == 0) {
            (void)nanosleep(&pause, NULL);
        }
    }
    (void)close(fd);
    const ptrdiff_t end = str_find(buf_str(&a.raw), STR("\r\n\r\n"));
    assert_true(end > 0);
    a.head = str_sub(buf_str(&a.raw), 0, (size_t)end + 2);
    assert_str(raw_header(&a, "Transfer-Encoding:"), "chunked");
    assert_true(unchunk(str_from(buf_str(&a.raw), (size_t)end + 4), body));
    return a;
}

static void a_large_answer_is_sent_while_it_is_made(void **state) {
    (void)state;
    load_big();
    struct buf plain;
    struct buf packed;
    struct raw_answer a = ask_for_chunks(BIG_QUERY "Connection: close\r\n\r\n", false, &plain);
    assert_true(plain.len > 1024 * 1024);
    assert_true(str_ends(buf_str(&plain), STR("\"1\"]]}]}}")));
    buf_release(&a.raw);

    a = ask_for_chunks(BIG_QUERY "Connection: close\r\nAccept-Encoding: gzip\r\n\r\n", true,
                       &packed);
    assert_str(raw_header(&a, "Content-Encoding:"), "gzip");
    assert_true(packed.len < plain.len / 4);
    struct inflater *inflater = inflater_new();
    struct buf out;
    struct err err;
    buf_init(&out, 64 * 1024 * 1024);
    assert_ok(inflate_gzip(inflater, buf_str(&packed), &out, &err), &err);
    assert_true(str_eq(buf_str(&out), buf_str(&plain)));
    inflater_free(inflater);
    buf_release(&out);
    buf_release(&a.raw);
    buf_release(&packed);
    buf_release(&plain);
}

static void a_client_that_leaves_in_the_middle_of_an_answer_costs_nothing(void **state) {
    (void)state;
    load_big();
    for (int i = 0; i < 8; i++) {
        const int fd = raw_dial(server.port);
        struct buf some;
        buf_init(&some, 64 * 1024 * 1024);
        raw_send(fd, BIG_QUERY "\r\n");
        while (some.len < 300 * 1024 && raw_receive(fd, &some)) {
        }
        (void)close(fd);
        buf_release(&some);
    }
    raw_check_status(server.port, "GET /-/healthy HTTP/1.1\r\n" HOST "\r\n", 200);
}

static void a_busy_server_still_answers(void **state) {
    (void)state;
    enum { STUCK = 30 };
    int fds[STUCK];
    atomic_store(&gate.block, true);
    for (int i = 0; i < STUCK; i++) {
        fds[i] = raw_dial(server.port);
        raw_send(fds[i], "GET /api/v1/query?query=m HTTP/1.1\r\n" HOST "\r\n");
    }
    wait_for(&gate.waiting, 20 + 8); /* all places of the engine are taken */
    raw_check_status(server.port, "GET /api/v1/targets HTTP/1.1\r\n" HOST "\r\n", 200);
    atomic_store(&gate.released, true);
    for (int i = 0; i < STUCK; i++) {
        struct buf rest;
        struct raw_answer a;
        buf_init(&rest, 64 * 1024);
        assert_true(raw_read(fds[i], &rest, false, &a));
        assert_int_equal(a.status, 200);
        buf_release(&a.raw);
        buf_release(&rest);
        (void)close(fds[i]);
    }
}

static void ambiguous_framing_is_refused_and_the_connection_closed(void **state) {
    (void)state;
    raw_check_status(server.port,
                     "POST /api/v1/query HTTP/1.1\r\n" HOST
                     "Content-Length: 3\r\nContent-Length: 3\r\n"
                     "\r\na=b",
                     400);
    raw_check_status(server.port,
                     "POST /api/v1/query HTTP/1.1\r\n" HOST
                     "Content-Length: 3\r\nTransfer-Encoding: "
                     "chunked\r\n\r\n0\r\n\r\n",
                     400);
    raw_check_status(server.port, "GET /-/healthy HTTP/1.1\r\n" HOST HOST "\r\n", 400);
    struct raw_answer a = raw_ask(server.port, "GET /-/healthy HTTP/1.1\r\n" HOST HOST "\r\n");
    assert_str(raw_header(&a, "Connection:"), "close");
    buf_release(&a.raw);
}

static void bad_paths_are_refused(void **state) {
    (void)state;
    raw_check_status(server.port, "GET /%2e%2e/etc HTTP/1.1\r\n" HOST "\r\n", 400);
    raw_check_status(server.port, "GET /a%2fb HTTP/1.1\r\n" HOST "\r\n", 400);
    raw_check_status(server.port, "GET /nothing HTTP/1.1\r\n" HOST "\r\n", 404);
}

static void what_is_too_large_is_refused(void **state) {
    (void)state;
    raw_check_status(server.port,
                     "POST /api/v1/query HTTP/1.1\r\n" HOST
                     "Content-Type: application/x-www-form-urlencoded\r\n"
                     "Content-Length: 10485761\r\n\r\n",
                     413);
    raw_check_status(server.port,
                     "POST /api/v1/query HTTP/1.1\r\n" HOST
                     "Content-Length: 99999999999999999999999\r\n\r\n",
                     413);
    struct buf request;
    buf_init(&request, 1024 * 1024);
    buf_append_cstr(&request, "GET /?");
    for (int i = 0; i < 200 * 1024; i++) {
        buf_append_char(&request, 'a');
    }
    buf_append_cstr(&request, " HTTP/1.1\r\n" HOST "\r\n");
    struct raw_answer a = raw_ask(server.port, request.ptr);
    assert_true(a.status == 414 || a.status == 0);
    buf_release(&a.raw);
    buf_clear(&request);
    buf_append_cstr(&request, "GET /-/healthy HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 4000; i++) {
        buf_printf(&request, "X-%d: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", i);
    }
    buf_append_cstr(&request, "\r\n");
    a = raw_ask(server.port, request.ptr);
    assert_true(a.status == 431 || a.status == 413 || a.status == 0);
    buf_release(&a.raw);
    buf_release(&request);
    raw_check_status(server.port, "GET /-/healthy HTTP/1.1\r\n" HOST "\r\n", 200);
}

/* read_timeout is 3 s here */
static void a_client_that_is_too_slow_is_cut_off(void **state) {
    (void)state;
    const int fd = raw_dial(server.port);
    raw_send(fd, "GET /-/heal");
    struct buf rest;
    buf_init(&rest, 4096);
    while (raw_receive(fd, &rest)) {
    }
    buf_release(&rest);
    (void)close(fd);
}

static void a_running_query_does_not_hold_up_others(void **state) {
    (void)state;
    atomic_store(&gate.block, true);
    const int fd = raw_dial(server.port);
    raw_send(fd, QUERY "\r\n");
    wait_for(&gate.waiting, 1);
    raw_check_status(server.port, "GET /-/healthy HTTP/1.1\r\n" HOST "\r\n", 200);
    raw_check_status(server.port, "GET /metrics HTTP/1.1\r\n" HOST "\r\n", 200);
    atomic_store(&gate.released, true);
    struct buf rest;
    buf_init(&rest, 1024 * 1024);
    struct raw_answer a;
    assert_true(raw_read(fd, &rest, false, &a));
    assert_str(a.body, RESULT);
    buf_release(&a.raw);
    buf_release(&rest);
    (void)close(fd);
}

static void an_answer_may_take_longer_than_a_request(void **state) {
    (void)state;
    atomic_store(&gate.block, true);
    const int fd = raw_dial(server.port);
    raw_send(fd, QUERY "\r\n");
    wait_for(&gate.waiting, 1);
    const struct timespec pause = {.tv_sec = 4};
    (void)nanosleep(&pause, NULL);
    atomic_store(&gate.released, true);
    struct buf rest;
    buf_init(&rest, 1024 * 1024);
    struct raw_answer a;
    assert_true(raw_read(fd, &rest, false, &a));
    assert_str(a.body, RESULT);
    buf_release(&a.raw);
    buf_release(&rest);
    (void)close(fd);
}

static void a_client_that_leaves_cancels_its_query(void **state) {
    (void)state;
    atomic_store(&gate.block, true);
    const int fd = raw_dial(server.port);
    raw_send(fd, QUERY "\r\n");
    wait_for(&gate.waiting, 1);
    (void)close(fd);
    wait_for(&gate.cancelled, 1);
    atomic_store(&gate.block, false);
    raw_check_status(server.port, QUERY "\r\n", 200);
}

static void two_hundred_connections_are_all_answered(void **state) {
    (void)state;
    enum { COUNT = 200, ROUNDS = 3 };
    int fds[COUNT];
    struct buf rests[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fds[i] = raw_dial(server.port);
        buf_init(&rests[i], 1024 * 1024);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < COUNT; i++) {
            raw_send(fds[i], i % 3 == 0 ? "GET /-/healthy HTTP/1.1\r\n" HOST "\r\n" : QUERY "\r\n");
        }
        for (int i = 0; i < COUNT; i++) {
            struct raw_answer a;
            assert_true(raw_read(fds[i], &rests[i], false, &a));
            assert_int_equal(a.status, 200);
            assert_str(a.body, i % 3 == 0 ? "Prometheus Server is Healthy.\n" : RESULT);
            buf_release(&a.raw);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        (void)close(fds[i]);
        buf_release(&rests[i]);
    }
}

/* More queries than workers run and wait while the server stops: each is cancelled. */
static void stopping_cancels_what_runs(void **state) {
    (void)state;
    enum { COUNT = 12 };
    atomic_store(&gate.block, true);
    int fds[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fds[i] = raw_dial(server.port);
        raw_send(fds[i], QUERY "\r\n");
    }
    wait_for(&gate.waiting, COUNT);
    web_stop(server.web);
    server.web = NULL;
    assert_int_equal(atomic_load(&gate.waiting), 0);
    for (int i = 0; i < COUNT; i++) {
        (void)close(fds[i]);
    }
}

static void stopping_with_busy_connections_ends(void **state) {
    (void)state;
    enum { COUNT = 50 };
    int fds[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fds[i] = raw_dial(server.port);
        raw_send(fds[i], QUERY "\r\n" QUERY "\r\n" QUERY "\r\n" QUERY "\r\n");
    }
    web_stop(server.web);
    server.web = NULL;
    for (int i = 0; i < COUNT; i++) {
        (void)close(fds[i]);
    }
}

static void a_taken_port_is_an_error_that_names_it(void **state) {
    (void)state;
    char address[40];
    char want[120];
    (void)snprintf(address, sizeof(address), "127.0.0.1:%d", server.port);
    (void)snprintf(want, sizeof(want), "listen tcp %s: bind: ", address);
    struct web *first = server.web;
    uint16_t port = 0;
    assert_err(start(address, &port), ERR_EXISTS, want, &server.err);
    assert_non_null(strstr(server.err.text, "ddress already in use"));
    server.web = first;
    raw_check_status(server.port, "GET /-/healthy HTTP/1.1\r\n" HOST "\r\n", 200);
}

static void addresses_are_bound_before_there_is_a_server(void **state) {
    (void)state;
    struct err err;
    char taken[32];
    struct web_sockets *sockets = NULL;
    (void)snprintf(taken, sizeof(taken), "127.0.0.1:%u", server.port);
    const struct str addresses[] = {STR_INIT("127.0.0.1:0"), STR_INIT("127.0.0.1:0"),
                                    str_of(taken)};
    assert_err(web_bind(addresses, 3, &sockets, &err), ERR_EXISTS, taken, &err);
    assert_err(web_bind(addresses, 0, &sockets, &err), ERR_INVALID, "between 1 and 16", &err);
    assert_ok(web_bind(addresses, 2, &sockets, &err), &err);

    struct web_options options = world.web.options;
    options.listen = addresses;
    options.listen_count = 2;
    options.sockets = sockets;
    options.max_connections = 8;
    options.read_timeout_ms = 3000;
    options.worker_count = 1;
    options.registry = NULL;
    struct web *second = NULL;
    web_stop(server.web); /* its counters have the names of the second one's */
    assert_ok(web_start(&options, &second, &err), &err);
    server.web = second;
    web_sockets_close(sockets);
    web_set_ready(second, true, false);
    assert_int_not_equal(web_port(second, 0), web_port(second, 1));
    raw_check_status(web_port(second, 0), QUERY "\r\n", 200);
    raw_check_status(web_port(second, 1), QUERY "\r\n", 200);
}

static void requests_are_counted_by_route_and_code(void **state) {
    (void)state;
    raw_check_status(server.port, QUERY "\r\n", 200);
    raw_check_status(server.port, "GET /nothing HTTP/1.1\r\n" HOST "\r\n", 404);
    struct raw_answer a = raw_ask(server.port, "GET /metrics HTTP/1.1\r\n" HOST "\r\n");
    assert_true(
        str_find(a.body, STR("prometheus_http_requests_total{handler=\"/api/v1/query\","
                             "code=\"200\"} 1\n")) >= 0 ||
        str_find(a.body, STR("prometheus_http_requests_total{code=\"200\",handler=\"/api/v1/"
                             "query\"} 1\n")) >= 0);
    assert_true(str_find(a.body, STR("code=\"404\"")) >= 0);
    buf_release(&a.raw);
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(requests_of_one_connection_are_answered_in_order),
        T(head_has_the_head_of_get_and_no_body),
        T(forms_are_posted),
        T(large_answers_are_compressed_for_who_takes_that),
        T(a_large_answer_is_sent_while_it_is_made),
        T(a_client_that_leaves_in_the_middle_of_an_answer_costs_nothing),
        T(a_busy_server_still_answers),
        T(ambiguous_framing_is_refused_and_the_connection_closed),
        T(bad_paths_are_refused),
        T(what_is_too_large_is_refused),
        T(a_client_that_is_too_slow_is_cut_off),
        T(a_running_query_does_not_hold_up_others),
        T(an_answer_may_take_longer_than_a_request),
        T(a_client_that_leaves_cancels_its_query),
        T(two_hundred_connections_are_all_answered),
        T(stopping_cancels_what_runs),
        T(stopping_with_busy_connections_ends),
        T(a_taken_port_is_an_error_that_names_it),
        T(addresses_are_bound_before_there_is_a_server),
        T(requests_are_counted_by_route_and_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
