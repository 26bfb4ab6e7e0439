#include "base/timer_heap.h"

#include "base/check.h"
#include "base/mem.h"

void timer_heap_release(struct timer_heap *h) {
    mem_free(h->items);
    *h = (struct timer_heap){0};
}

static void place(struct timer_heap *h, size_t at, struct timer *t) {
    h->items[at] = t;
    t->position = at + 1;
}

static void sift_up(struct timer_heap *h, size_t at, struct timer *t) {
    while (at > 0) {
        struct timer *const parent = h->items[(at - 1) / 2];
        if (parent->due_mono_ns <= t->due_mono_ns) {
            break;
        }
        place(h, at, parent);
        at = (at - 1) / 2;
    }
    place(h, at, t);
}

static void sift_down(struct timer_heap *h, size_t at, struct timer *t) {
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= h->count) {
            break;
        }
        if (child + 1 < h->count &&
            h->items[child + 1]->due_mono_ns < h->items[child]->due_mono_ns) {
            child++;
        }
        if (t->due_mono_ns <= h->items[child]->due_mono_ns) {
            break;
        }
        place(h, at, h->items[child]);
        at = child;
    }
    place(h, at, t);
}

void timer_heap_set(struct timer_heap *h, struct timer *t, int64_t due_mono_ns) {
    timer_heap_remove(h, t);
    t->due_mono_ns = due_mono_ns;
    if (h->count == h->capacity) {
        h->capacity = mem_grow(h->capacity, h->count + 1);
        h->items = mem_resize(h->items, h->capacity, sizeof(struct timer *));
    }
    sift_up(h, h->count++, t);
}

void timer_heap_remove(struct timer_heap *h, struct timer *t) {
    if (t->position == 0) {
        return;
    }
    const size_t at = t->position - 1;
    ASSERT(at < h->count && h->items[at] == t);
    t->position = 0;
    struct timer *const last = h->items[--h->count];
    if (last != t) {
        sift_down(h, at, last);
        sift_up(h, last->position - 1, last);
    }
}

struct timer *timer_heap_first(const struct timer_heap *h) {
    return h->count > 0 ? h->items[0] : NULL;
}
