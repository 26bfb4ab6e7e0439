#include "base/timer_heap.h"

#include <stdbool.h>

#include "base/check.h"
#include "base/mem.h"

enum { CHILDREN = 4 };

void timer_heap_release(struct timer_heap *h) {
    mem_free(h->items);
    *h = (struct timer_heap){0};
}

static void place(struct timer_heap *h, size_t at, struct timer_heap_item item) {
    h->items[at] = item;
    item.timer->position = at + 1;
}

static void sift_up(struct timer_heap *h, size_t at, struct timer_heap_item item) {
    while (at > 0 && item.due_mono_ns < h->items[(at - 1) / CHILDREN].due_mono_ns) {
        place(h, at, h->items[(at - 1) / CHILDREN]);
        at = (at - 1) / CHILDREN;
    }
    place(h, at, item);
}

static void sift_down(struct timer_heap *h, size_t at, struct timer_heap_item item) {
    for (;;) {
        const size_t first = at * CHILDREN + 1;
        const size_t end = first + CHILDREN < h->count ? first + CHILDREN : h->count;
        size_t least = at;
        int64_t least_ns = item.due_mono_ns;
        for (size_t child = first; child < end; child++) {
            if (h->items[child].due_mono_ns < least_ns) {
                least = child;
                least_ns = h->items[child].due_mono_ns;
            }
        }
        if (least == at) {
            break;
        }
        place(h, at, h->items[least]);
        at = least;
    }
    place(h, at, item);
}

void timer_heap_set(struct timer_heap *h, struct timer *t, int64_t due_mono_ns) {
    const bool later = due_mono_ns > t->due_mono_ns;
    const struct timer_heap_item item = {due_mono_ns, t};
    t->due_mono_ns = due_mono_ns;
    if (t->position == 0) {
        if (h->count == h->capacity) {
            h->capacity = mem_grow(h->capacity, h->count + 1);
            h->items = mem_resize(h->items, h->capacity, sizeof(h->items[0]));
        }
        sift_up(h, h->count++, item);
        return;
    }
    ASSERT(t->position <= h->count && h->items[t->position - 1].timer == t);
    if (later) {
        sift_down(h, t->position - 1, item);
    } else {
        sift_up(h, t->position - 1, item);
    }
}

void timer_heap_remove(struct timer_heap *h, struct timer *t) {
    if (t->position == 0) {
        return;
    }
    const size_t at = t->position - 1;
    ASSERT(at < h->count && h->items[at].timer == t);
    t->position = 0;
    const struct timer_heap_item last = h->items[--h->count];
    if (last.timer != t) {
        sift_down(h, at, last);
        sift_up(h, last.timer->position - 1, last);
    }
}

struct timer *timer_heap_first(const struct timer_heap *h) {
    return h->count > 0 ? h->items[0].timer : NULL;
}
