/* Bounded queue of pointers between threads; many producers, many consumers, FIFO. */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"

struct queue;

struct queue *queue_new(size_t capacity);
void queue_free(struct queue *q); /* must be empty or its items owned elsewhere */
/* Waits for room; false once closed. */
MUST_CHECK bool queue_push(struct queue *q, void *item);
/* False when full or closed. */
MUST_CHECK bool queue_try_push(struct queue *q, void *item);
/* Waits for an item; NULL once closed and empty. */
void *queue_pop(struct queue *q);
void *queue_try_pop(struct queue *q);
void queue_close(struct queue *q); /* wakes everybody; items left can still be popped */
size_t queue_length(struct queue *q);

#endif
