/* Which requests the thread that read them answers: what is remembered, and over the network with a
 * clock that stands still, so that what is quick does not depend on the machine. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mutex.h"
#include "tests/support/check_err.h"
#include "tests/unit/web/raw_client.h"
#include "tests/unit/web/web_world.h"
#include "web/brief.h"
#include "web/router.h"

static struct web_world world;

/* ---- a storage that notes which thread asks it ---- */

static struct {
    struct mutex mu;
    const struct storage_ops *real;
    struct storage_ops ops;
    atomic_int workers, listeners; /* queries that ran there */
    atomic_bool slow;              /* those of listeners outlast any deadline */
    atomic_bool refuses;           /* they do, and fail for a reason of their own */
} seen;

static bool on_worker(void) {
    char name[16] = "";
    assert_int_equal(pthread_getname_np(pthread_self(), name, sizeof(name)), 0);
    return strcmp(name, "web-worker") == 0;
}

static enum err_code noting_open(struct storage *st, int64_t mint, int64_t maxt,
                                 struct arena *arena, const struct cancel *cancel,
                                 struct storage_querier **out, struct err *err) {
    const bool worker = on_worker();
    atomic_fetch_add(worker ? &seen.workers : &seen.listeners, 1);
    if (!worker && atomic_load(&seen.slow)) {
        fake_clock_advance_ns(&world.clock, NS_PER_S);
        const enum err_code code = cancel_check(cancel);
        assert_int_equal(code, ERR_TIMEOUT);
        return atomic_load(&seen.refuses) ? err_set(err, ERR_LIMIT, "too many series")
                                          : err_set(err, code, "stopped");
    }
    mutex_lock(&seen.mu);
    const enum err_code code = seen.real->querier_open(st, mint, maxt, arena, cancel, out, err);
    mutex_unlock(&seen.mu);
    return code;
}

/* ---- a server ---- */

struct server {
    struct web *web;
    uint16_t port;
    char log[40]; /* of queries */
    struct err err;
};
static struct server server;

static int setup(void **state) {
    (void)state;
    static struct str addresses[1] = {STR_INIT("127.0.0.1:0")};
    web_world_init(&world);
    fake_storage_load(world.fs, 10000, "m", "1 2 3");
    struct storage *st = fake_storage_as_storage(world.fs);
    memset(&seen, 0, sizeof(seen));
    mutex_init(&seen.mu);
    seen.real = st->ops;
    seen.ops = *st->ops;
    seen.ops.querier_open = noting_open;
    st->ops = &seen.ops;
    (void)snprintf(server.log, sizeof(server.log), "%s/brief_test_XXXXXX", P_tmpdir);
    const int fd = mkstemp(server.log);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_ok(query_engine_set_log(world.engine, server.log, &server.err), &server.err);
    struct web_options options = world.web.options;
    options.listen = addresses;
    options.listen_count = 1;
    options.route_prefix = STR("/");
    options.max_connections = 16;
    options.read_timeout_ms = 3000;
    options.worker_count = 2;
    options.clock = &world.clock.clock;
    assert_ok(web_start(&options, &server.web, &server.err), &server.err);
    web_set_ready(server.web, true, false);
    server.port = web_port(server.web, 0);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    web_stop(server.web);
    assert_ok(query_engine_set_log(world.engine, NULL, &server.err), &server.err);
    web_world_release(&world);
    mutex_release(&seen.mu);
    (void)unlink(server.log);
    return 0;
}

#define ASK(text) "GET /api/v1/query?" text " HTTP/1.1\r\nHost: b\r\n\r\n"
#define RESULT                                                                                     \
    "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[{\"metric\":{"        \
    "\"__name__\":\"m\"},\"value\":[10,\"2\"]}]}}"

static void ask_for(int fd, const char *request, int status, const char *want) {
    struct buf rest;
    buf_init(&rest, 1024 * 1024);
    struct raw_answer a;
    raw_send(fd, request);
    assert_true(raw_read(fd, &rest, false, &a));
    assert_int_equal(a.status, status);
    assert_str(a.body, want);
    buf_release(&a.raw);
    buf_release(&rest);
}

static void ask(int fd, const char *request, const char *want) {
    ask_for(fd, request, 200, want);
}

static void check_runs(int workers, int listeners) {
    assert_int_equal(atomic_load(&seen.workers), workers);
    assert_int_equal(atomic_load(&seen.listeners), listeners);
}

static void check_log(size_t want_lines, size_t want_errors) {
    char text[8192];
    FILE *f = fopen(server.log, "r");
    assert_non_null(f);
    struct str rest = {text, fread(text, 1, sizeof(text), f)};
    (void)fclose(f);
    size_t lines = 0;
    size_t errors = 0;
    for (ptrdiff_t at; (at = str_find(rest, STR("\n"))) >= 0;
         rest = str_from(rest, (size_t)at + 1)) {
        lines++;
        errors += str_find(str_sub(rest, 0, (size_t)at), STR("\"error\"")) >= 0;
    }
    assert_int_equal(lines, want_lines);
    assert_int_equal(errors, want_errors);
}

static void a_query_like_one_that_was_quick_runs_where_it_was_read(void **state) {
    (void)state;
    const int fd = raw_dial(server.port);
    ask(fd, ASK("query=m&time=10"), RESULT);
    check_runs(1, 0);
    ask(fd, ASK("query=m&time=10"), RESULT);
    ask(fd, ASK("query=m&time=10.000"), RESULT);
    check_runs(1, 2);
    ask(fd, ASK("query=m%20&time=10"), RESULT);
    check_runs(2, 2);
    (void)close(fd);
}

static void a_try_that_takes_too_long_is_answered_by_a_worker_and_told_to_nobody(void **state) {
    (void)state;
    const int fd = raw_dial(server.port);
    ask(fd, ASK("query=m&time=10"), RESULT);
    atomic_store(&seen.slow, true);
    ask(fd, ASK("query=m&time=10"), RESULT);
    check_runs(2, 1);
    ask(fd, ASK("query=m&time=10"), RESULT); /* its like was slow: not tried */
    check_runs(3, 1);
    (void)close(fd);
    check_log(3, 0);
}

/* Whether it is repeated is asked once: else one that fails as its time ends could be logged twice. */
static void a_try_that_fails_for_a_reason_of_its_own_is_not_repeated_however_late(void **state) {
    (void)state;
    const int fd = raw_dial(server.port);
    ask(fd, ASK("query=m&time=10"), RESULT);
    atomic_store(&seen.slow, true);
    atomic_store(&seen.refuses, true);
    ask_for(fd, ASK("query=m&time=10"), 422,
            "{\"status\":\"error\",\"errorType\":\"execution\",\"error\":\"too many series\"}");
    check_runs(1, 1);
    (void)close(fd);
    check_log(2, 1);
}

/* No time passes between the answer to one connection and the request of the other. */
static void who_waited_for_another_connection_is_given_to_a_worker(void **state) {
    (void)state;
    const int first = raw_dial(server.port);
    const int second = raw_dial(server.port);
    ask(first, ASK("query=m&time=10"), RESULT);
    ask(first, ASK("query=m&time=10"), RESULT);
    check_runs(1, 1);
    ask(second, ASK("query=m&time=10"), RESULT);
    check_runs(2, 1);
    fake_clock_advance_ns(&world.clock, NS_PER_MS);
    ask(second, ASK("query=m&time=10"), RESULT);
    check_runs(2, 2);
    (void)close(first);
    (void)close(second);
}

/* ---- what is remembered ---- */

static struct route route = {.path = "/x"};

static uint64_t key_of(const char *name, const char *value) {
    struct http_param params[2] = {{STR("query"), STR("up")}, {str_of(name), str_of(value)}};
    const struct http_incoming in = {.path = STR("/x"), .params = params, .param_count = 2};
    return brief_key(&route, &in);
}

static void what_is_asked_is_told_apart_but_not_when(void **state) {
    (void)state;
    assert_true(key_of("start", "1") == key_of("start", "2"));
    assert_true(key_of("end", "1") == key_of("time", "2"));
    assert_true(key_of("step", "1") != key_of("step", "2"));
    assert_true(key_of("step", "1") != key_of("limit", "1"));
    static struct route other = {.path = "/y"};
    const struct http_incoming in = {.path = STR("/x")};
    assert_true(brief_key(&route, &in) != brief_key(&other, &in));
}

static void costs_rise_at_once_and_fall_by_halves(void **state) {
    (void)state;
    static struct brief brief;
    const uint64_t key = key_of("step", "1");
    assert_int_equal(brief_cost_us(&brief, key), UINT32_MAX);
    brief_remember(&brief, key, 100 * 1000);
    assert_int_equal(brief_cost_us(&brief, key), 100);
    brief_remember(&brief, key, 8000 * 1000);
    assert_int_equal(brief_cost_us(&brief, key), 8000);
    brief_remember(&brief, key, 100 * 1000);
    assert_int_equal(brief_cost_us(&brief, key), 4000);
    brief_remember(&brief, key, INT64_MAX);
    assert_int_equal(brief_cost_us(&brief, key), (1 << 24) - 1);
    brief_remember(&brief, key + BRIEF_SLOTS * ((uint64_t)1 << 20), 1000);
    assert_int_equal(brief_cost_us(&brief, key), UINT32_MAX); /* another one has the slot */
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_query_like_one_that_was_quick_runs_where_it_was_read),
        T(a_try_that_takes_too_long_is_answered_by_a_worker_and_told_to_nobody),
        T(a_try_that_fails_for_a_reason_of_its_own_is_not_repeated_however_late),
        T(who_waited_for_another_connection_is_given_to_a_worker),
        cmocka_unit_test(what_is_asked_is_told_apart_but_not_when),
        cmocka_unit_test(costs_rise_at_once_and_fall_by_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
