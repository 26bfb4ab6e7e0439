/* Loops of a pool that were stopped and are not freed yet: one comes out in constant time, by itself or
 * by the labels of a target that came back. A service discovery that changes every target has as many
 * ending loops as new ones.
 *
 * Owner: a pool; the io thread only. Loops are borrowed. */
#ifndef SCRAPE_ENDING_SET_H
#define SCRAPE_ENDING_SET_H

#include <stddef.h>

#include "base/labels.h"

struct loop;

struct ending_set { /* empty when zeroed */
    struct loop **items;
    size_t count, capacity;
    struct loop **buckets; /* by the hash of the target's labels */
    size_t bucket_count;   /* a power of two, or 0 */
};

void ending_set_release(struct ending_set *set);
void ending_set_add(struct ending_set *set, struct loop *loop);
/* The loop is in it. */
void ending_set_remove(struct ending_set *set, struct loop *loop);
/* Takes a loop out whose samples carry these labels and which can be revived; NULL: there is none. */
struct loop *ending_set_take(struct ending_set *set, struct labels labels);

#endif
