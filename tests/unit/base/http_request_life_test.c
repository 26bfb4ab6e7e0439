/* http_client: requests that are cancelled, callbacks that start, cancel and free, many connections
 * at once, and the wake. */
#include <stdatomic.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "tests/support/check_err.h"
#include "tests/unit/base/http_world.h"

static void a_cancelled_request_never_calls_back(void **state) {
    struct http_world *w = *state;
    struct http_seen hanging = {0};
    struct http_seen seen;
    http_world_open(w, &http_plain_config);
    const struct http_request request = {
        .method = "GET", .url = http_world_url(w, "/hang"), .timeout_ms = 10000};
    struct transport_request *r = NULL;
    struct err err;
    assert_ok(transport_start(w->t, w->client, &request, http_seen_keep, &hanging, &r, &err), &err);
    transport_poll(w->t, 0);
    transport_cancel(w->t, r);
    http_world_get(w, "/ok", &seen);
    mem_free(seen.body);
    assert_int_equal(hanging.calls, 0);
}

/* Cancels another request, starts one and frees nothing: what callbacks are allowed to do. */
struct chain {
    struct http_world *world;
    struct transport_request *victim;
    struct http_seen *next;
};

static void cancel_and_start(void *ctx, struct http_response *response) {
    struct chain *chain = ctx;
    struct transport_request *r = NULL;
    struct err err;
    assert_int_equal(response->code, ERR_OK);
    transport_cancel(chain->world->t, chain->victim);
    const struct http_request request = {
        .method = "GET", .url = http_world_url(chain->world, "/ok"), .timeout_ms = 10000};
    assert_ok(transport_start(chain->world->t, chain->world->client, &request, http_seen_keep,
                              chain->next, &r, &err),
              &err);
}

static void a_callback_may_cancel_and_start(void **state) {
    struct http_world *w = *state;
    struct http_seen victim = {0};
    struct http_seen next = {0};
    struct chain chain = {.world = w, .next = &next};
    http_world_open(w, &http_plain_config);
    struct http_request request = {
        .method = "GET", .url = http_world_url(w, "/hang"), .timeout_ms = 10000};
    struct transport_request *r = NULL;
    struct err err;
    assert_ok(
        transport_start(w->t, w->client, &request, http_seen_keep, &victim, &chain.victim, &err),
        &err);
    request.url = http_world_url(w, "/ok");
    assert_ok(transport_start(w->t, w->client, &request, cancel_and_start, &chain, &r, &err), &err);
    http_world_wait(w, &next);
    assert_int_equal(victim.calls, 0);
    mem_free(next.body);
}

static void free_client(void *ctx, struct http_response *response) {
    struct http_world *w = ctx;
    assert_int_equal(response->code, ERR_OK);
    transport_client_free(w->t, w->client);
    w->client = NULL;
}

static void a_callback_may_free_its_client(void **state) {
    struct http_world *w = *state;
    http_world_open(w, &http_plain_config);
    const struct http_request request = {
        .method = "GET", .url = http_world_url(w, "/ok"), .timeout_ms = 10000};
    struct transport_request *r = NULL;
    struct err err;
    assert_ok(transport_start(w->t, w->client, &request, free_client, w, &r, &err), &err);
    for (int i = 0; i < 1000 && w->client != NULL; i++) {
        transport_poll(w->t, NS_PER_S);
    }
    assert_null(w->client);
}

/* More connections than one multi handle is given: later requests go to new ones, and those that
 * run stay where they are until they end. */
static void a_client_with_many_connections_goes_on(void **state) {
    enum { HANGING_COUNT = 140 };
    struct http_world *w = *state;
    struct transport_request *hanging[HANGING_COUNT];
    struct http_seen nothing = {0};
    struct http_seen slow = {0};
    struct http_seen seen;
    struct err err;
    http_world_open(w, &http_plain_config);
    struct http_request request = {
        .method = "GET", .url = http_world_url(w, "/hang"), .timeout_ms = 60000};
    for (size_t i = 0; i < HANGING_COUNT; i++) {
        assert_ok(
            transport_start(w->t, w->client, &request, http_seen_keep, &nothing, &hanging[i], &err),
            &err);
    }
    struct transport_request *r = NULL;
    request.timeout_ms = 3000; /* ends after later requests went elsewhere */
    assert_ok(transport_start(w->t, w->client, &request, http_seen_keep, &slow, &r, &err), &err);
    while (atomic_load(&w->peer.connection_count) <= HANGING_COUNT && slow.calls == 0) {
        transport_poll(w->t, 10 * NS_PER_MS);
    }
    for (int i = 0; i < 3; i++) {
        http_world_get(w, "/ok", &seen);
        assert_string_equal(seen.body, "up 1\n");
        mem_free(seen.body);
    }
    assert_int_equal(atomic_load(&w->peer.connection_count), HANGING_COUNT + 2);
    http_world_wait(w, &slow);
    assert_int_equal(slow.code, ERR_TIMEOUT);
    mem_free(slow.body);
    for (size_t i = 0; i < HANGING_COUNT; i++) {
        transport_cancel(w->t, hanging[i]);
    }
    http_world_get(w, "/ok", &seen);
    mem_free(seen.body);
    assert_int_equal(nothing.calls, 0);
}

static void wake_later(void *ctx) {
    (void)usleep(50000);
    transport_wake(ctx);
}

static void a_wake_ends_a_poll(void **state) {
    struct http_world *w = *state;
    struct thread waker;
    thread_start(&waker, "waker", wake_later, w->t);
    transport_poll(w->t, -1); /* for ever, were it not for the wake */
    thread_join(&waker);
    transport_wake(w->t); /* and before the poll it counts too */
    transport_wake(w->t);
    transport_poll(w->t, -1);
    const int64_t start = clock_mono_ns(clock_system());
    transport_poll(w->t, 20 * NS_PER_MS); /* both wakes were taken by one poll */
    assert_true(clock_mono_ns(clock_system()) - start >= 15 * NS_PER_MS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, http_world_setup, http_world_teardown)
        CASE(a_cancelled_request_never_calls_back),
        CASE(a_callback_may_cancel_and_start),
        CASE(a_callback_may_free_its_client),
        CASE(a_client_with_many_connections_goes_on),
        CASE(a_wake_ends_a_poll),
#undef CASE
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
