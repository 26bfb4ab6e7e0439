#include "scrape/blob_store.h"

#include <stdbool.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "base/rng.h"

enum { TABLE_MIN = 64 };

struct blob {
    struct blob *next; /* in its bucket */
    uint64_t hash;
    uint32_t refs;
    uint32_t bytes;
    _Alignas(16) char data[];
};

struct blob_store {
    uint64_t seed;
    struct mutex mu; /* guards what follows, and the references of the blobs */
    struct blob **buckets;
    size_t bucket_count; /* a power of two */
    size_t count;
};

struct blob_store *blob_store_new(void) {
    struct blob_store *const store = mem_zalloc(sizeof(*store));
    struct rng rng = rng_system();
    store->seed = rng_u64(&rng);
    store->bucket_count = TABLE_MIN;
    store->buckets = mem_zalloc(TABLE_MIN * sizeof(struct blob *));
    mutex_init(&store->mu);
    return store;
}

void blob_store_free(struct blob_store *store) {
    if (store != NULL) {
        ASSERT(store->count == 0);
        mutex_release(&store->mu);
        mem_free(store->buckets);
        mem_free(store);
    }
}

static struct blob *blob_of(const void *data) {
    return (struct blob *)(void *)((uintptr_t)data - offsetof(struct blob, data));
}

static struct blob **bucket_of(const struct blob_store *store, uint64_t hash) {
    return &store->buckets[hash & (store->bucket_count - 1)];
}

/* Buckets for about one blob each. */
static void resize(struct blob_store *store, size_t bucket_count) {
    struct blob **const old = store->buckets;
    const size_t old_count = store->bucket_count;
    store->bucket_count = bucket_count;
    store->buckets = mem_zalloc(bucket_count * sizeof(struct blob *));
    for (size_t i = 0; i < old_count; i++) {
        for (struct blob *blob = old[i]; blob != NULL;) {
            struct blob *const next = blob->next;
            struct blob **const bucket = bucket_of(store, blob->hash);
            blob->next = *bucket;
            *bucket = blob;
            blob = next;
        }
    }
    mem_free(old);
}

static struct blob *find(const struct blob_store *store, uint64_t hash, const void *bytes,
                         size_t n) {
    struct blob *blob = *bucket_of(store, hash);
    while (blob != NULL && (blob->hash != hash || blob->bytes != n ||
                            (n > 0 && memcmp(blob->data, bytes, n) != 0))) {
        blob = blob->next;
    }
    return blob;
}

static struct blob *add(struct blob_store *store, uint64_t hash, const void *bytes, size_t n) {
    if (store->count == store->bucket_count) {
        resize(store, store->bucket_count * 2);
    }
    struct blob *const blob = mem_alloc(sizeof(*blob) + n);
    struct blob **const bucket = bucket_of(store, hash);
    *blob = (struct blob){.next = *bucket, .hash = hash, .bytes = (uint32_t)n};
    if (n > 0) {
        memcpy(blob->data, bytes, n);
    }
    *bucket = blob;
    store->count++;
    return blob;
}

const void *blob_intern(struct blob_store *store, const void *bytes, size_t n) {
    ASSERT(n <= UINT32_MAX);
    const uint64_t hash = hash_keyed(bytes, n, store->seed);
    mutex_lock(&store->mu);
    struct blob *blob = find(store, hash, bytes, n);
    if (blob == NULL) {
        blob = add(store, hash, bytes, n);
    }
    blob->refs++;
    mutex_unlock(&store->mu);
    return blob->data;
}

void blob_unref(struct blob_store *store, const void *data) {
    if (data == NULL) {
        return;
    }
    struct blob *const blob = blob_of(data);
    mutex_lock(&store->mu);
    ASSERT(blob->refs > 0);
    const bool last = --blob->refs == 0;
    if (last) {
        struct blob **at = bucket_of(store, blob->hash);
        while (*at != blob) {
            at = &(*at)->next;
        }
        *at = blob->next;
        store->count--;
    }
    mutex_unlock(&store->mu);
    if (last) {
        mem_free(blob);
    }
}

size_t blob_share_bytes(struct blob_store *store, const void *data) {
    if (data == NULL) {
        return 0;
    }
    const struct blob *const blob = blob_of(data);
    mutex_lock(&store->mu);
    const size_t bytes = (sizeof(*blob) + blob->bytes) / blob->refs;
    mutex_unlock(&store->mu);
    return bytes;
}

size_t blob_store_count(struct blob_store *store) {
    mutex_lock(&store->mu);
    const size_t count = store->count;
    mutex_unlock(&store->mu);
    return count;
}
