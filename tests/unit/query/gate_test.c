/* The gate's turns: who gets the next one, and when a query needs one at all. */
#include "tests/support/check_err.h"

#include <stdatomic.h>
#include <time.h>

#include "base/mutex.h"
#include "query/gate.h"
#include "tests/support/fake_clock.h"

struct fixture {
    struct fake_clock clock;
    struct query_gate gate;
    _Atomic int finished;
};

static int setup(void **state) {
    static struct fixture f;
    fake_clock_init(&f.clock, 0);
    query_gate_init(&f.gate, 20, 1);
    atomic_init(&f.finished, 0);
    *state = &f;
    return 0;
}

static int teardown(void **state) {
    query_gate_release(&((struct fixture *)*state)->gate);
    return 0;
}

static void enter(struct fixture *f, struct gate_pass *pass) {
    struct err err;
    assert_ok(query_gate_enter(&f->gate, NULL, &f->clock.clock, pass, &err), &err);
}

static void check(struct gate_pass *pass) {
    struct err err;
    assert_ok(gate_pass_check(pass, NULL, &err), &err);
}

static void await_waiters(struct fixture *f, uint32_t count) {
    while (atomic_load(&f->gate.turns_wanted) != count) {
        const struct timespec pause = {.tv_nsec = 1000 * 1000};
        (void)nanosleep(&pause, NULL);
    }
}

struct waiter {
    struct fixture *f;
    struct gate_pass pass;
    struct thread thread;
    int place; /* among those that got a turn */
};

/* Waits for a turn in a thread of its own and gives it back at once. */
static void take_turn(void *ctx) {
    struct waiter *w = ctx;
    struct err err;
    if (gate_pass_check(&w->pass, NULL, &err) == ERR_OK) {
        w->place = atomic_fetch_add(&w->f->finished, 1);
    }
    query_gate_leave(&w->pass);
}

static void begin_waiter(struct fixture *f, struct waiter *w, bool had_turn, uint32_t waiters) {
    *w = (struct waiter){.f = f, .place = -1};
    enter(f, &w->pass);
    w->pass.had_turn = had_turn;
    fake_clock_advance_ns(&f->clock, 6 * NS_PER_MS);
    thread_start(&w->thread, "waiter", take_turn, w);
    await_waiters(f, waiters);
}

static void the_first_moment_needs_no_turn(void **state) {
    struct fixture *f = *state;
    struct gate_pass long_one;
    struct gate_pass short_one;
    enter(f, &long_one);
    fake_clock_advance_ns(&f->clock, 6 * NS_PER_MS);
    check(&long_one);
    assert_true(long_one.has_turn);
    enter(f, &short_one);
    fake_clock_advance_ns(&f->clock, 4 * NS_PER_MS);
    check(&short_one); /* would wait for ever */
    assert_false(short_one.has_turn);
    query_gate_leave(&short_one);
    query_gate_leave(&long_one);
}

static void time_without_a_processor_does_not_count_for_the_moment(void **state) {
    struct fixture *f = *state;
    struct gate_pass pass;
    enter(f, &pass);
    fake_clock_advance_ns(&f->clock, 50 * NS_PER_MS);
    pass.start_cpu_ns += 49 * NS_PER_MS; /* it had 1 ms of these */
    check(&pass);
    assert_false(pass.has_turn);
    fake_clock_advance_ns(&f->clock, 4 * NS_PER_MS);
    check(&pass);
    assert_true(pass.has_turn);
    query_gate_leave(&pass);
}

static void a_first_turn_and_another_one_alternate(void **state) {
    struct fixture *f = *state;
    struct gate_pass running;
    struct waiter others[2];
    struct waiter firsts[2];
    enter(f, &running);
    fake_clock_advance_ns(&f->clock, 6 * NS_PER_MS);
    check(&running);
    begin_waiter(f, &others[0], true, 1);
    begin_waiter(f, &others[1], true, 2);
    begin_waiter(f, &firsts[0], false, 3);
    begin_waiter(f, &firsts[1], false, 4);
    query_gate_leave(&running);
    for (int i = 0; i < 2; i++) {
        thread_join(&firsts[i].thread);
        thread_join(&others[i].thread);
    }
    assert_int_equal(firsts[0].place, 0);
    assert_int_equal(others[0].place, 1);
    assert_int_equal(firsts[1].place, 2);
    assert_int_equal(others[1].place, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_moment_needs_no_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(time_without_a_processor_does_not_count_for_the_moment,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_first_turn_and_another_one_alternate, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
