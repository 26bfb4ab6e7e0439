/* Pages of files that never change, checked and taken apart, kept for all readers.
 *
 * A cache holds items: bytes of any size under a key, which is an owner (a number for a file) and a
 * place in it. What an item means is its users' business; nobody changes one that is published.
 * Together items take at most what the cache was made for: when there is no room, those that nobody
 * asked for lately go (the clock algorithm), and when all are in use the answer is "no room" and
 * the caller uses memory of its own. So pinned items never take more than the cache may hold.
 *
 * Owner: the database; it outlives all users. Any thread; its locks are leaves. Functions accept a
 * cache that is NULL: it keeps nothing. */
#ifndef TSDB_PAGE_CACHE_H
#define TSDB_PAGE_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

struct page_cache;

struct page_key {
    uint64_t owner;
    uint64_t place;
};

/* max_bytes: all items with what they cost the cache itself. */
struct page_cache *page_cache_new(size_t max_bytes);
/* Nothing may be pinned. */
void page_cache_free(struct page_cache *cache);

/* A number that no other owner has or had. */
uint64_t page_cache_owner(struct page_cache *cache);

/* The item, pinned, or NULL. */
MUST_CHECK const void *page_cache_get(struct page_cache *cache, struct page_key key);
/* Memory for a new item, 16-byte aligned; NULL: no room. Ends with page_cache_publish or
 * page_cache_abandon. */
MUST_CHECK void *page_cache_begin(struct page_cache *cache, struct page_key key, size_t bytes);
/* The item is for all from now on; it is pinned. When another thread was faster, the result is its
 * item and the given one is gone. */
MUST_CHECK const void *page_cache_publish(struct page_cache *cache, void *item);
void page_cache_abandon(struct page_cache *cache, void *item);
/* Ends a pin. */
void page_cache_unpin(struct page_cache *cache, const void *item);

/* The owner is gone: its items go, pinned ones when they are let go and room is needed. */
void page_cache_drop(struct page_cache *cache, uint64_t owner);
/* To be called now and then: items that nobody asked for since the call before go. */
void page_cache_age(struct page_cache *cache);

struct page_cache_stats {
    uint64_t hits;
    uint64_t misses;
    uint64_t refused; /* no room: all was pinned, or the item too large */
    uint64_t items;
    uint64_t bytes;
    uint64_t max_bytes;
};
void page_cache_stats_get(struct page_cache *cache, struct page_cache_stats *out);

#endif
