/* Pages in memory.
 *
 * STRUCTURE. Keys are spread over shards; each has a lock, a table of chains and a ring of its items.
 * The clock's hand walks the ring: an item that was asked for again since the last visit is passed over
 * once, a pinned one always. A query that reads everything once therefore costs only its like.
 *
 * INVARIANTS
 *   C1  Items are freed only from the ring, under the lock, without pins; and pins are only taken
 *       under the lock. So an unpin needs none: it is the last thing its caller does with the item.
 *   C2  A shard's bytes are those of its items and of those that are being made.
 *   C3  An item without a chain (listed == false) is found by nobody; it waits in the ring for its
 *       pins to end.
 *
 * WHY NOT the kernel's page cache alone: what costs is copying, checking and taking apart again,
 * four fifths of a long query over L0. WHY NOT decoded samples: they are 15 times as large, and
 * decoding takes 0.3-0.6 ns each. */
#include "tsdb/page_cache.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/mutex.h"

enum {
    SHARDS = 8,
    BYTES_PER_BUCKET = 2048,
    ITEM_SHARE = 4, /* an item takes at most this part of a shard */
};

struct item {
    struct page_key key;
    struct item *chain;
    struct item *next; /* ring */
    struct item *prev;
    uint32_t bytes; /* with this header */
    _Atomic uint32_t pins;
    bool used;  /* since the hand was here */
    bool young; /* since the last page_cache_age */
    bool listed;
    _Alignas(16) uint8_t content[];
};

struct cache_shard {
    struct mutex mu;
    /* guarded by mu: */
    struct item **buckets;
    struct item *hand; /* NULL: the ring is empty */
    size_t bytes;
    uint64_t items;
    uint64_t hits;
    uint64_t misses;
    uint64_t refused;
};

struct page_cache {
    size_t shard_bytes;
    uint32_t bucket_mask;
    _Atomic uint64_t next_owner;
    struct cache_shard shards[SHARDS];
};

static uint64_t hash_key(struct page_key key) {
    uint64_t h = (key.owner * UINT64_C(0x9e3779b97f4a7c15)) ^ key.place;
    h = (h ^ (h >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    return h ^ (h >> 32);
}

static struct cache_shard *shard_of(struct page_cache *cache, uint64_t hash) {
    return &cache->shards[hash % SHARDS];
}

static struct item **bucket_of(const struct page_cache *cache, struct cache_shard *shard,
                               uint64_t hash) REQUIRES(shard->mu) {
    return &shard->buckets[(hash / SHARDS) & cache->bucket_mask];
}

static struct item *item_of(const void *content) {
    return (struct item *)((uintptr_t)content - offsetof(struct item, content));
}

struct page_cache *page_cache_new(size_t max_bytes) {
    struct page_cache *cache = mem_zalloc(sizeof(*cache));
    uint32_t buckets = 1;
    cache->shard_bytes = max_bytes / SHARDS;
    while ((size_t)buckets * BYTES_PER_BUCKET < cache->shard_bytes && buckets < 1U << 20) {
        buckets *= 2;
    }
    cache->bucket_mask = buckets - 1;
    atomic_init(&cache->next_owner, 1);
    for (size_t i = 0; i < SHARDS; i++) {
        struct cache_shard *shard = &cache->shards[i];
        mutex_init(&shard->mu);
        shard->buckets = mem_array(buckets, sizeof(*shard->buckets));
        memset(shard->buckets, 0, buckets * sizeof(*shard->buckets));
    }
    return cache;
}

uint64_t page_cache_owner(struct page_cache *cache) {
    return cache == NULL ? 0 : atomic_fetch_add(&cache->next_owner, 1);
}

/* ---- ring and chains ---- */

static void ring_add(struct cache_shard *shard, struct item *item) REQUIRES(shard->mu) {
    if (shard->hand == NULL) {
        item->next = item->prev = item;
        shard->hand = item;
    } else { /* behind the hand: it is visited last */
        item->next = shard->hand;
        item->prev = shard->hand->prev;
        item->prev->next = item;
        item->next->prev = item;
    }
    shard->items++;
}

/* The hand goes on to the next one. */
static void ring_remove(struct cache_shard *shard, struct item *item) REQUIRES(shard->mu) {
    if (shard->hand == item) {
        shard->hand = item->next != item ? item->next : NULL;
    }
    item->prev->next = item->next;
    item->next->prev = item->prev;
    shard->items--;
}

static struct item *find(const struct page_cache *cache, struct cache_shard *shard, uint64_t hash,
                         struct page_key key) REQUIRES(shard->mu) {
    struct item *item = *bucket_of(cache, shard, hash);
    while (item != NULL && (item->key.owner != key.owner || item->key.place != key.place)) {
        item = item->chain;
    }
    return item;
}

static void unlist(const struct page_cache *cache, struct cache_shard *shard, struct item *item)
    REQUIRES(shard->mu) {
    if (item->listed) {
        struct item **at = bucket_of(cache, shard, hash_key(item->key));
        while (*at != item) {
            at = &(*at)->chain;
        }
        *at = item->chain;
        item->listed = false;
    }
}

/* Invariant C1: what unpinned it has read it to the end. */
static bool is_pinned(struct item *item) {
    return atomic_load_explicit(&item->pins, memory_order_acquire) != 0;
}

/* Takes the item out; the caller frees it. */
static void evict(const struct page_cache *cache, struct cache_shard *shard, struct item *item)
    REQUIRES(shard->mu) {
    unlist(cache, shard, item);
    ring_remove(shard, item);
    shard->bytes -= item->bytes;
}

static void free_chain(struct item *victims) {
    while (victims != NULL) {
        struct item *next = victims->next;
        mem_free(victims);
        victims = next;
    }
}

/* Two rounds at most: the first one may only take the marks away. False: there is no room. */
static bool make_room(const struct page_cache *cache, struct cache_shard *shard, size_t bytes,
                      struct item **victims) REQUIRES(shard->mu) {
    uint64_t visits = shard->items * 2;
    while (shard->bytes + bytes > cache->shard_bytes && visits-- != 0 && shard->hand != NULL) {
        struct item *item = shard->hand;
        if (is_pinned(item) || (item->listed && item->used)) {
            item->used = false;
            shard->hand = item->next;
            continue;
        }
        evict(cache, shard, item);
        item->next = *victims;
        *victims = item;
    }
    return shard->bytes + bytes <= cache->shard_bytes;
}

/* ---- items ---- */

const void *page_cache_get(struct page_cache *cache, struct page_key key) {
    if (cache == NULL) {
        return NULL;
    }
    const uint64_t hash = hash_key(key);
    struct cache_shard *shard = shard_of(cache, hash);
    mutex_lock(&shard->mu);
    struct item *item = find(cache, shard, hash, key);
    if (item != NULL) {
        item->used = true;
        item->young = true;
        atomic_fetch_add_explicit(&item->pins, 1, memory_order_relaxed);
        shard->hits++;
    } else {
        shard->misses++;
    }
    mutex_unlock(&shard->mu);
    return item != NULL ? item->content : NULL;
}

void *page_cache_begin(struct page_cache *cache, struct page_key key, size_t bytes) {
    if (cache == NULL) {
        return NULL;
    }
    struct cache_shard *shard = shard_of(cache, hash_key(key));
    struct item *victims = NULL;
    const bool fits = bytes < cache->shard_bytes / ITEM_SHARE && bytes < UINT32_MAX / 2;
    const size_t total = bytes + sizeof(struct item);
    mutex_lock(&shard->mu);
    const bool room = fits && make_room(cache, shard, total, &victims);
    shard->bytes += room ? total : 0;
    shard->refused += room ? 0 : 1;
    mutex_unlock(&shard->mu);
    free_chain(victims);
    if (!room) {
        return NULL;
    }
    struct item *item = mem_alloc(total);
    *item = (struct item){.key = key, .bytes = (uint32_t)total};
    return item->content;
}

const void *page_cache_publish(struct page_cache *cache, void *content) {
    struct item *item = item_of(content);
    const uint64_t hash = hash_key(item->key);
    struct cache_shard *shard = shard_of(cache, hash);
    mutex_lock(&shard->mu);
    struct item *first = find(cache, shard, hash, item->key);
    if (first == NULL) {
        struct item **bucket = bucket_of(cache, shard, hash);
        item->chain = *bucket;
        *bucket = item;
        item->listed = true;
        item->young = true;
        ring_add(shard, item);
        first = item;
    } else {
        shard->bytes -= item->bytes;
    }
    atomic_fetch_add_explicit(&first->pins, 1, memory_order_relaxed);
    mutex_unlock(&shard->mu);
    if (first != item) {
        mem_free(item);
    }
    return first->content;
}

void page_cache_abandon(struct page_cache *cache, void *content) {
    struct item *item = item_of(content);
    struct cache_shard *shard = shard_of(cache, hash_key(item->key));
    mutex_lock(&shard->mu);
    shard->bytes -= item->bytes;
    mutex_unlock(&shard->mu);
    mem_free(item);
}

void page_cache_unpin(struct page_cache *cache, const void *content) {
    if (cache != NULL && content != NULL) {
        const uint32_t before =
            atomic_fetch_sub_explicit(&item_of(content)->pins, 1, memory_order_release);
        ASSERT(before != 0);
    }
}

/* ---- all of them ---- */

/* Frees each item without pins that is one of owner (0: of anybody, unless it is young). */
static void sweep(struct page_cache *cache, struct cache_shard *shard, uint64_t owner) {
    struct item *victims = NULL;
    mutex_lock(&shard->mu);
    for (uint64_t left = shard->items; left != 0; left--) {
        struct item *item = shard->hand;
        const bool goes = owner != 0 ? item->key.owner == owner : !(item->listed && item->young);
        if (owner == 0) {
            item->young = false;
        } else if (goes) {
            unlist(cache, shard, item);
        }
        shard->hand = item->next;
        if (goes && !is_pinned(item)) {
            evict(cache, shard, item);
            item->next = victims;
            victims = item;
        }
    }
    mutex_unlock(&shard->mu);
    free_chain(victims);
}

void page_cache_drop(struct page_cache *cache, uint64_t owner) {
    for (size_t i = 0; cache != NULL && i < SHARDS && owner != 0; i++) {
        sweep(cache, &cache->shards[i], owner);
    }
}

void page_cache_age(struct page_cache *cache) {
    for (size_t i = 0; cache != NULL && i < SHARDS; i++) {
        sweep(cache, &cache->shards[i], 0);
    }
}

void page_cache_stats_get(struct page_cache *cache, struct page_cache_stats *out) {
    *out = (struct page_cache_stats){.max_bytes = cache != NULL ? cache->shard_bytes * SHARDS : 0};
    for (size_t i = 0; cache != NULL && i < SHARDS; i++) {
        struct cache_shard *shard = &cache->shards[i];
        mutex_lock(&shard->mu);
        out->hits += shard->hits;
        out->misses += shard->misses;
        out->refused += shard->refused;
        out->items += shard->items;
        out->bytes += shard->bytes;
        mutex_unlock(&shard->mu);
    }
}

void page_cache_free(struct page_cache *cache) {
    if (cache == NULL) {
        return;
    }
    for (size_t i = 0; i < SHARDS; i++) {
        struct cache_shard *shard = &cache->shards[i];
        mutex_lock(&shard->mu);
        while (shard->hand != NULL) {
            struct item *item = shard->hand;
            ASSERT(!is_pinned(item));
            ring_remove(shard, item);
            mem_free(item);
        }
        mutex_unlock(&shard->mu);
        mem_free(shard->buckets);
        mutex_release(&shard->mu);
    }
    mem_free(cache);
}
