/* Timers come out earliest first, whatever was set, moved and removed before. */
#include "tests/support/check_err.h"

#include "base/rng.h"
#include "base/timer_heap.h"

enum { COUNT = 200, STEPS = 20000 };

static struct timer *earliest(struct timer *timers) {
    struct timer *first = NULL;
    for (size_t i = 0; i < COUNT; i++) {
        if (timers[i].position != 0 &&
            (first == NULL || timers[i].due_mono_ns < first->due_mono_ns)) {
            first = &timers[i];
        }
    }
    return first;
}

static void the_first_is_the_earliest_after_any_change(void **state) {
    (void)state;
    struct timer_heap heap = {0};
    struct timer timers[COUNT] = {0};
    struct rng rng = rng_seeded(7);
    for (int step = 0; step < STEPS; step++) {
        struct timer *const t = &timers[rng_u64(&rng) % COUNT];
        const struct timer *const first = timer_heap_first(&heap);
        const int64_t base = first != NULL ? first->due_mono_ns : 0;
        if (rng_u64(&rng) % 4 == 0) {
            timer_heap_remove(&heap, t);
            assert_int_equal(t->position, 0);
        } else {
            timer_heap_set(&heap, t, base - 20 + (int64_t)(rng_u64(&rng) % 100));
        }
        const struct timer *const want = earliest(timers);
        const struct timer *const got = timer_heap_first(&heap);
        assert_true((got == NULL) == (want == NULL));
        if (got != NULL) {
            assert_int_equal(got->due_mono_ns, want->due_mono_ns);
        }
    }
    int64_t last = INT64_MIN;
    for (struct timer *t = timer_heap_first(&heap); t != NULL; t = timer_heap_first(&heap)) {
        assert_true(t->due_mono_ns >= last);
        last = t->due_mono_ns;
        timer_heap_remove(&heap, t);
    }
    assert_int_equal(heap.count, 0);
    timer_heap_release(&heap);
}

static void removing_what_is_not_in_it_is_fine(void **state) {
    (void)state;
    struct timer_heap heap = {0};
    struct timer t = {0};
    timer_heap_remove(&heap, &t);
    assert_null(timer_heap_first(&heap));
    timer_heap_set(&heap, &t, 5);
    assert_ptr_equal(timer_heap_first(&heap), &t);
    timer_heap_remove(&heap, &t);
    timer_heap_remove(&heap, &t);
    assert_null(timer_heap_first(&heap));
    timer_heap_release(&heap);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_the_earliest_after_any_change),
        cmocka_unit_test(removing_what_is_not_in_it_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
