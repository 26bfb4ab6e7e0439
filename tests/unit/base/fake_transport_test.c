/* fake_transport: answers come at their time and in their order, on a clock that only polling
 * moves, and a test can hold it. */
#include <string.h>

#include "base/mutex.h"
#include "tests/support/check_err.h"
#include "tests/support/fake_transport.h"

struct seen {
    char order[32]; /* one letter a callback */
    struct fake_clock *clock;
    int64_t last_mono_ns;
    enum err_code code;
    struct err err;
};

struct call {
    struct seen *seen;
    char letter;
};

static void remember(void *ctx, struct http_response *response) {
    struct call *call = ctx;
    struct seen *seen = call->seen;
    const size_t n = strlen(seen->order);
    assert_true(n + 1 < sizeof(seen->order));
    seen->order[n] = call->letter;
    seen->last_mono_ns = clock_mono_ns(&seen->clock->clock);
    seen->code = response->code;
    seen->err = response->err;
}

struct fixture {
    struct fake_clock clock;
    struct fake_transport *ft;
    struct transport *t;
    struct transport_client *client;
    struct seen seen;
};

static void open_fixture(struct fixture *f) {
    memset(f, 0, sizeof(*f));
    fake_clock_init(&f->clock, 1700000000 * NS_PER_S);
    f->ft = fake_transport_new(&f->clock);
    f->t = fake_transport_base(f->ft);
    f->seen.clock = &f->clock;
    assert_ok(transport_client_new(f->t, NULL, NULL, &f->client, NULL), NULL);
}

static void close_fixture(struct fixture *f) {
    transport_client_free(f->t, f->client);
    fake_transport_free(f->ft);
}

static struct transport_request *start(struct fixture *f, const char *url, int64_t timeout_ms,
                                       struct call *call) {
    const struct str header = STR("Accept: text/plain");
    const struct http_request request = {.method = "GET",
                                         .url = str_of(url),
                                         .timeout_ms = timeout_ms,
                                         .headers = &header,
                                         .header_count = 1};
    struct transport_request *r = NULL;
    struct err err;
    assert_ok(transport_start(f->t, f->client, &request, remember, call, &r, &err), &err);
    return r;
}

static void answers_come_by_time_then_by_start(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f);
    fake_transport_answer(f.ft,
                          &(struct fake_answer){.url = "http://slow/", .delay_ns = 3 * NS_PER_S});
    fake_transport_answer(f.ft, &(struct fake_answer){.url = "http://fast/", .delay_ns = NS_PER_S});
    struct call calls[] = {{&f.seen, 'a'}, {&f.seen, 'b'}, {&f.seen, 'c'}};
    (void)start(&f, "http://slow/", 10000, &calls[0]);
    (void)start(&f, "http://fast/", 10000, &calls[1]);
    (void)start(&f, "http://fast/", 10000, &calls[2]);
    const int64_t begin = clock_mono_ns(&f.clock.clock);
    transport_poll(f.t, NS_PER_S / 2);
    assert_string_equal(f.seen.order, "");
    assert_int_equal(clock_mono_ns(&f.clock.clock) - begin, NS_PER_S / 2);
    transport_poll(f.t, -1);
    assert_string_equal(f.seen.order, "bc");
    transport_poll(f.t, 100 * NS_PER_S);
    assert_string_equal(f.seen.order, "bca");
    assert_int_equal(f.seen.last_mono_ns - begin, 3 * NS_PER_S);
    assert_int_equal(fake_transport_request_count(f.ft), 3);
    assert_string_equal(fake_transport_request(f.ft, 0).url, "http://slow/");
    assert_string_equal(fake_transport_request(f.ft, 0).headers, "Accept: text/plain\n");
    close_fixture(&f);
}

static void a_script_runs_through_its_answers(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f);
    struct call call = {&f.seen, '.'};
    fake_transport_answer(f.ft, &(struct fake_answer){.url = "http://h/", .times = 1});
    fake_transport_answer(
        f.ft, &(struct fake_answer){.url = "http://h/", .error = "connection reset", .times = 1});
    fake_transport_answer(f.ft, &(struct fake_answer){.url = "http://h/", .hang = true});
    static const struct {
        enum err_code code;
        const char *text;
    } want[] = {
        {ERR_OK, ""},
        {ERR_NETWORK, "Get \"http://h/\": connection reset"},
        {ERR_TIMEOUT, "Get \"http://h/\": context deadline exceeded"},
        {ERR_TIMEOUT, "Get \"http://h/\": context deadline exceeded"},
    };
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        (void)start(&f, "http://h/", 1000, &call);
        transport_poll(f.t, 10 * NS_PER_S);
        assert_int_equal(f.seen.code, want[i].code);
        assert_string_equal(f.seen.err.text, want[i].text);
    }
    fake_transport_forget(f.ft, "http://h/");
    (void)start(&f, "http://h/", 1000, &call);
    transport_poll(f.t, 0);
    assert_err(f.seen.code, ERR_NETWORK, "connection refused", &f.seen.err);
    close_fixture(&f);
}

static void a_cancelled_request_is_gone(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f);
    struct call call = {&f.seen, '.'};
    fake_transport_answer(f.ft, &(struct fake_answer){.url = "http://h/", .hang = true});
    transport_cancel(f.t, start(&f, "http://h/", 1000, &call));
    transport_poll(f.t, 10 * NS_PER_S);
    assert_string_equal(f.seen.order, "");
    close_fixture(&f);
}

struct loop {
    struct fixture *f;
    struct call call;
    atomic_bool stop;
};

/* Asks once a second of fake time. */
static void run_loop(void *ctx) {
    struct loop *loop = ctx;
    struct fixture *f = loop->f;
    int64_t next = clock_mono_ns(&f->clock.clock);
    while (!atomic_load(&loop->stop)) {
        const int64_t now = clock_mono_ns(&f->clock.clock);
        if (now >= next) {
            (void)start(f, "http://h/", 500, &loop->call);
            next += NS_PER_S;
        }
        transport_poll(f->t, next - now);
    }
}

static void a_test_holds_the_time_of_a_loop(void **state) {
    (void)state;
    struct fixture f;
    open_fixture(&f);
    struct loop loop = {.f = &f, .call = {&f.seen, '.'}};
    fake_transport_answer(f.ft, &(struct fake_answer){.url = "http://h/", .delay_ns = NS_PER_MS});
    const int64_t begin = clock_mono_ns(&f.clock.clock);
    fake_transport_set_limit(f.ft, begin);
    struct thread thread;
    thread_start(&thread, "loop", run_loop, &loop);
    fake_transport_run_to(f.ft, begin + 10 * NS_PER_S + NS_PER_S / 2);
    assert_int_equal(fake_transport_request_count(f.ft), 11);
    assert_int_equal(clock_mono_ns(&f.clock.clock) - begin, 10 * NS_PER_S + NS_PER_S / 2);
    atomic_store(&loop.stop, true);
    transport_wake(f.t);
    thread_join(&thread);
    assert_string_equal(f.seen.order, "...........");
    close_fixture(&f);
}

static void the_wall_clock_jumps_alone(void **state) {
    (void)state;
    struct fake_clock c;
    fake_clock_init(&c, 5 * NS_PER_S);
    const int64_t mono = clock_mono_ns(&c.clock);
    fake_clock_set_unix_ns(&c, NS_PER_S);
    fake_clock_advance_ns(&c, 2 * NS_PER_MS);
    assert_int_equal(clock_unix_ms(&c.clock), 1002);
    assert_int_equal(clock_mono_ns(&c.clock), mono + 2 * NS_PER_MS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_by_time_then_by_start),
        cmocka_unit_test(a_script_runs_through_its_answers),
        cmocka_unit_test(a_cancelled_request_is_gone),
        cmocka_unit_test(a_test_holds_the_time_of_a_loop),
        cmocka_unit_test(the_wall_clock_jumps_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
