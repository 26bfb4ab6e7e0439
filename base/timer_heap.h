/* Heap of timers, earliest first. A timer is embedded in what it wakes and sits in at most one heap.
 * The heap has four children to a node and the times in its own memory: with ten thousand targets
 * each look at a timer would be a cache miss. One thread. */
#ifndef BASE_TIMER_HEAP_H
#define BASE_TIMER_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct timer {
    int64_t due_mono_ns;
    size_t position; /* 1-based; 0 = not in a heap */
};

struct timer_heap_item {
    int64_t due_mono_ns;
    struct timer *timer;
};

struct timer_heap {
    struct timer_heap_item *items;
    size_t count;
    size_t capacity;
};

void timer_heap_release(struct timer_heap *h);
/* Adds the timer, or moves it if it is in the heap. */
void timer_heap_set(struct timer_heap *h, struct timer *t, int64_t due_mono_ns);
void timer_heap_remove(struct timer_heap *h, struct timer *t); /* fine if it is not in it */
struct timer *timer_heap_first(const struct timer_heap *h);    /* NULL when empty */

#endif
