/* Bounded queue: a ring under one mutex with a condition for each side. */
#include "base/queue.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/mutex.h"

struct queue {
    struct mutex mu;
    /* guarded by mu */
    struct cond not_empty;
    struct cond not_full;
    bool closed;
    size_t head; /* of the oldest item */
    size_t length;
    /* constant */
    size_t capacity;
    void *items[];
};

struct queue *queue_new(size_t capacity) {
    ASSERT(capacity > 0);
    struct queue *q = mem_zalloc(sizeof(*q) + capacity * sizeof(q->items[0]));
    mutex_init(&q->mu);
    cond_init(&q->not_empty);
    cond_init(&q->not_full);
    q->capacity = capacity;
    return q;
}

void queue_free(struct queue *q) {
    if (q == NULL) {
        return;
    }
    cond_release(&q->not_full);
    cond_release(&q->not_empty);
    mutex_release(&q->mu);
    mem_free(q);
}

static bool push_locked(struct queue *q, void *item) REQUIRES(q->mu) {
    if (q->closed || q->length == q->capacity) {
        return false;
    }
    q->items[(q->head + q->length) % q->capacity] = item;
    q->length++;
    cond_signal(&q->not_empty);
    return true;
}

static void *pop_locked(struct queue *q) REQUIRES(q->mu) {
    if (q->length == 0) {
        return NULL;
    }
    void *item = q->items[q->head];
    q->head = (q->head + 1) % q->capacity;
    q->length--;
    cond_signal(&q->not_full);
    return item;
}

bool queue_push(struct queue *q, void *item) {
    ASSERT(item != NULL);
    mutex_lock(&q->mu);
    while (!q->closed && q->length == q->capacity) {
        cond_wait(&q->not_full, &q->mu);
    }
    const bool pushed = push_locked(q, item);
    mutex_unlock(&q->mu);
    return pushed;
}

bool queue_try_push(struct queue *q, void *item) {
    ASSERT(item != NULL);
    mutex_lock(&q->mu);
    const bool pushed = push_locked(q, item);
    mutex_unlock(&q->mu);
    return pushed;
}

void *queue_pop(struct queue *q) {
    mutex_lock(&q->mu);
    while (!q->closed && q->length == 0) {
        cond_wait(&q->not_empty, &q->mu);
    }
    void *item = pop_locked(q);
    mutex_unlock(&q->mu);
    return item;
}

void *queue_try_pop(struct queue *q) {
    mutex_lock(&q->mu);
    void *item = pop_locked(q);
    mutex_unlock(&q->mu);
    return item;
}

void queue_close(struct queue *q) {
    mutex_lock(&q->mu);
    q->closed = true;
    cond_broadcast(&q->not_empty);
    cond_broadcast(&q->not_full);
    mutex_unlock(&q->mu);
}

size_t queue_length(struct queue *q) {
    mutex_lock(&q->mu);
    const size_t length = q->length;
    mutex_unlock(&q->mu);
    return length;
}
