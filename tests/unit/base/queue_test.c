/* queue, mutex and thread: items come out once and in order, whoever waits is woken, and signals
 * stay with main. */
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/queue.h"
#include "tests/support/check_err.h"

enum { ITEM_COUNT = 3000, PRODUCER_COUNT = 3 };

static void items_come_out_in_order_up_to_the_capacity(void **state) {
    (void)state;
    int items[4];
    struct queue *q = queue_new(3);
    assert_null(queue_try_pop(q));
    for (int round = 0; round < 5; round++) { /* the ring wraps */
        assert_true(queue_push(q, &items[0]));
        assert_true(queue_try_push(q, &items[1]));
        assert_true(queue_try_push(q, &items[2]));
        assert_false(queue_try_push(q, &items[3]));
        assert_int_equal(queue_length(q), 3);
        assert_ptr_equal(queue_pop(q), &items[0]);
        assert_ptr_equal(queue_try_pop(q), &items[1]);
        assert_ptr_equal(queue_pop(q), &items[2]);
    }
    queue_free(q);
    queue_free(NULL);
}

static void a_closed_queue_gives_what_is_left(void **state) {
    (void)state;
    int item = 0;
    struct queue *q = queue_new(2);
    assert_true(queue_push(q, &item));
    queue_close(q);
    assert_false(queue_push(q, &item));
    assert_false(queue_try_push(q, &item));
    assert_ptr_equal(queue_pop(q), &item);
    assert_null(queue_pop(q));
    queue_free(q);
}

struct work {
    struct queue *q;
    char *items;
    atomic_int sum;
};

static void produce(void *ctx) {
    struct work *w = ctx;
    for (size_t i = 0; i < ITEM_COUNT; i++) {
        assert_true(queue_push(w->q, &w->items[i]));
    }
}

static void consume(void *ctx) {
    struct work *w = ctx;
    while (queue_pop(w->q) != NULL) {
        (void)atomic_fetch_add(&w->sum, 1);
    }
}

static void nothing_is_lost_between_threads(void **state) {
    (void)state;
    static char items[ITEM_COUNT];
    struct work w = {.q = queue_new(7), .items = items};
    struct thread producers[PRODUCER_COUNT];
    struct thread consumers[2];
    for (size_t i = 0; i < COUNT_OF(consumers); i++) {
        thread_start(&consumers[i], "consumer", consume, &w);
    }
    for (size_t i = 0; i < COUNT_OF(producers); i++) {
        thread_start(&producers[i], "producer", produce, &w);
    }
    for (size_t i = 0; i < COUNT_OF(producers); i++) {
        thread_join(&producers[i]);
    }
    queue_close(w.q);
    for (size_t i = 0; i < COUNT_OF(consumers); i++) {
        thread_join(&consumers[i]);
    }
    assert_int_equal(atomic_load(&w.sum), ITEM_COUNT * PRODUCER_COUNT);
    queue_free(w.q);
}

static void a_wait_ends_at_its_deadline(void **state) {
    (void)state;
    struct mutex mu;
    struct cond c;
    mutex_init(&mu);
    cond_init(&c);
    const int64_t deadline = clock_mono_ns(clock_system()) + 20 * NS_PER_MS;
    mutex_lock(&mu);
    while (cond_wait_until(&c, &mu, deadline)) {
    }
    assert_true(clock_mono_ns(clock_system()) >= deadline);
    assert_false(cond_wait_until(&c, &mu, 0));
    assert_false(cond_wait_until(&c, &mu, -1));
    mutex_unlock(&mu);
    cond_release(&c);
    mutex_release(&mu);
}

struct thread_facts {
    char name[32];
    bool term_blocked;
};

static void look_around(void *ctx) {
    struct thread_facts *facts = ctx;
    sigset_t mask;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    facts->term_blocked = sigismember(&mask, SIGTERM) == 1;
    assert_int_equal(pthread_getname_np(pthread_self(), facts->name, sizeof(facts->name)), 0);
}

static void a_thread_has_its_name_and_no_signals(void **state) {
    (void)state;
    struct thread t;
    struct thread_facts facts;
    memset(&facts, 0, sizeof(facts));
    thread_start(&t, "a-name-of-more-than-15", look_around, &facts);
    thread_join(&t);
    assert_string_equal(facts.name, "a-name-of-more-");
    assert_true(facts.term_blocked);
    sigset_t mask;
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    assert_int_equal(sigismember(&mask, SIGTERM), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_in_order_up_to_the_capacity),
        cmocka_unit_test(a_closed_queue_gives_what_is_left),
        cmocka_unit_test(nothing_is_lost_between_threads),
        cmocka_unit_test(a_wait_ends_at_its_deadline),
        cmocka_unit_test(a_thread_has_its_name_and_no_signals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
