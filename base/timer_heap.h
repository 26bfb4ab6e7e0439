/* Binary heap of timers, earliest first. A timer is embedded in what it wakes and sits in at most
 * one heap. One thread. */
#ifndef BASE_TIMER_HEAP_H
#define BASE_TIMER_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct timer {
    int64_t due_mono_ns;
    size_t position; /* 1-based; 0 = not in a heap */
};

struct timer_heap {
    struct timer **items;
    size_t count;
    size_t capacity;
};

void timer_heap_release(struct timer_heap *h);
/* Adds the timer, or moves it if it is in the heap. */
void timer_heap_set(struct timer_heap *h, struct timer *t, int64_t due_mono_ns);
void timer_heap_remove(struct timer_heap *h, struct timer *t); /* fine if it is not in it */
struct timer *timer_heap_first(const struct timer_heap *h);    /* NULL when empty */

#endif
