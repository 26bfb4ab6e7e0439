#include "scrape/ending_set.h"

#include "base/check.h"
#include "base/mem.h"
#include "scrape/loop.h"

enum { BUCKETS_MIN = 16 };

void ending_set_release(struct ending_set *set) {
    mem_free(set->items);
    mem_free(set->buckets);
    *set = (struct ending_set){0};
}

static struct loop **bucket_of(const struct ending_set *set, uint64_t hash) {
    return &set->buckets[(size_t)(hash ^ hash >> 32) & (set->bucket_count - 1)];
}

static void chain(struct ending_set *set, struct loop *loop) {
    struct loop **const bucket = bucket_of(set, loop->ending.hash);
    loop->ending.next = *bucket;
    *bucket = loop;
}

static void unchain(struct ending_set *set, struct loop *loop) {
    struct loop **at = bucket_of(set, loop->ending.hash);
    while (*at != loop) {
        at = &(*at)->ending.next;
    }
    *at = loop->ending.next;
}

static void grow(struct ending_set *set) {
    mem_free(set->buckets);
    set->bucket_count = set->bucket_count > 0 ? set->bucket_count * 2 : BUCKETS_MIN;
    set->buckets = mem_zalloc(set->bucket_count * sizeof(set->buckets[0]));
    for (size_t i = 0; i < set->count; i++) {
        chain(set, set->items[i]);
    }
}

void ending_set_add(struct ending_set *set, struct loop *loop) {
    if (set->count == set->bucket_count) {
        grow(set);
    }
    if (set->count == set->capacity) {
        set->capacity = mem_grow(set->capacity, set->count + 1);
        set->items = mem_resize(set->items, set->capacity, sizeof(set->items[0]));
    }
    loop->ending.hash = labels_hash(loop->target->labels);
    loop->ending.place = set->count;
    set->items[set->count++] = loop;
    chain(set, loop);
}

void ending_set_remove(struct ending_set *set, struct loop *loop) {
    const size_t place = loop->ending.place;
    ASSERT(place < set->count);
    ASSERT(set->items[place] == loop);
    unchain(set, loop);
    set->items[place] = set->items[--set->count];
    set->items[place]->ending.place = place;
}

struct loop *ending_set_take(struct ending_set *set, struct labels labels) {
    if (set->count == 0) {
        return NULL;
    }
    const uint64_t hash = labels_hash(labels);
    for (struct loop *loop = *bucket_of(set, hash); loop != NULL; loop = loop->ending.next) {
        if (loop->ending.hash == hash && loop->state == LOOP_ENDING && loop->scraped &&
            labels_eq(loop->target->labels, labels)) {
            ending_set_remove(set, loop);
            return loop;
        }
    }
    return NULL;
}
