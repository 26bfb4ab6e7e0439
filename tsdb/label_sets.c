/* Interned label sets.
 *
 * A blob reference is page << 14 | offset / 4. Pages are 64 KiB; a blob that does not fit in one gets a
 * page of its own size, with the same numbering. When there are many, pages are cut from huge ones. The
 * hash is keyed with a random seed: strangers choose labels. 32 bits of it are kept per set, so that
 * growing the table touches no blob and a probe compares bytes only for what is very likely the set. */
#include "tsdb/label_sets.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

enum { PAGE_BYTES = 64 * 1024, HUGE_FROM_BYTES = 8 * MEM_HUGE_BYTES };
enum { PAGE_BITS = 14, BLOB_ALIGN = 4, SETS_MAX = INT32_MAX };

/* Marks an id without a set. */
#define HASH_HOLE UINT32_MAX

static uint32_t hash_of(const struct label_sets *sets, struct labels labels) {
    const uint64_t h = hash_keyed(labels.data, labels.size, sets->seed);
    const uint32_t folded = (uint32_t)(h ^ h >> 32);
    return folded == HASH_HOLE ? 0 : folded;
}

static void add_empty_set(struct label_sets *sets) {
    const uint32_t id = label_sets_intern(sets, (struct labels){(const uint8_t *)"", 0});
    ASSERT(id == 0);
}

void label_sets_init(struct label_sets *sets, uint64_t seed) {
    *sets = (struct label_sets){.seed = seed, .slot_mask = 255};
    sets->slots = mem_zalloc((sets->slot_mask + (size_t)1) * sizeof(*sets->slots));
    add_empty_set(sets);
}

void label_sets_release(struct label_sets *sets) {
    for (uint32_t i = 0; i < sets->block_count; i++) {
        mem_free(sets->blocks[i]);
    }
    mem_free(sets->blocks);
    mem_free(sets->pages);
    mem_free(sets->refs);
    mem_free(sets->hashes);
    mem_free(sets->slots);
    *sets = (struct label_sets){0};
}

struct labels label_sets_get(const struct label_sets *sets, uint32_t id) {
    ASSERT(id < sets->count);
    const uint32_t ref = sets->refs[id];
    const uint8_t *at =
        sets->pages[ref >> PAGE_BITS] + (size_t)(ref & ((1U << PAGE_BITS) - 1)) * BLOB_ALIGN;
    return (struct labels){at + sizeof(uint32_t), load_u32(at)};
}

static uint32_t find_slot(const struct label_sets *sets, struct labels labels, uint32_t hash) {
    ASSERT(!sets->deferred);
    uint32_t at = hash & sets->slot_mask;
    while (sets->slots[at] != 0) {
        const uint32_t id = sets->slots[at] - 1;
        if (sets->hashes[id] == hash && labels_eq(label_sets_get(sets, id), labels)) {
            return at;
        }
        at = (at + 1) & sets->slot_mask;
    }
    return at;
}

uint32_t label_sets_find(const struct label_sets *sets, struct labels labels) {
    const uint32_t at = find_slot(sets, labels, hash_of(sets, labels));
    return sets->slots[at] == 0 ? LABEL_SET_NONE : sets->slots[at] - 1;
}

static void grow_slots(struct label_sets *sets) {
    const uint32_t mask = sets->slot_mask * 2 + 1;
    uint32_t *slots = mem_zalloc((mask + (size_t)1) * sizeof(*slots));
    for (uint32_t id = 0; id < sets->count; id++) {
        if (sets->hashes[id] == HASH_HOLE) {
            continue;
        }
        uint32_t at = sets->hashes[id] & mask;
        while (slots[at] != 0) {
            at = (at + 1) & mask;
        }
        slots[at] = id + 1;
    }
    mem_free(sets->slots);
    sets->slots = slots;
    sets->slot_mask = mask;
}

static void *new_block(struct label_sets *sets, void *block) {
    if (sets->block_count == sets->block_capacity) {
        sets->block_capacity = (uint32_t)mem_grow(sets->block_capacity, sets->block_count + 1);
        sets->blocks = mem_resize(sets->blocks, sets->block_capacity, sizeof(*sets->blocks));
    }
    sets->blocks[sets->block_count++] = block;
    return block;
}

static uint8_t *new_page(struct label_sets *sets, size_t bytes) {
    sets->blob_bytes += bytes;
    if (bytes != PAGE_BYTES || sets->blob_bytes < HUGE_FROM_BYTES) {
        return new_block(sets, mem_alloc(bytes));
    }
    if (sets->spare_bytes == 0) {
        sets->spare = new_block(sets, mem_alloc_huge());
        sets->spare_bytes = MEM_HUGE_BYTES;
    }
    uint8_t *page = sets->spare;
    sets->spare += PAGE_BYTES;
    sets->spare_bytes -= PAGE_BYTES;
    return page;
}

/* Copies the blob to the last page; false when reference space is used up. */
static bool store_blob(struct label_sets *sets, struct labels labels, uint32_t *out_ref) {
    const size_t need =
        (sizeof(uint32_t) + labels.size + BLOB_ALIGN - 1) & ~(size_t)(BLOB_ALIGN - 1);
    const size_t room = need + LABEL_SETS_SLACK;
    if (sets->page_count == 0 || sets->page_used_bytes + room > PAGE_BYTES) {
        if (sets->page_count >= 1U << (32 - PAGE_BITS)) {
            return false;
        }
        if (sets->page_count == sets->page_capacity) {
            sets->page_capacity = (uint32_t)mem_grow(sets->page_capacity, sets->page_count + 1);
            sets->pages = mem_resize(sets->pages, sets->page_capacity, sizeof(*sets->pages));
        }
        sets->pages[sets->page_count++] = new_page(sets, room > PAGE_BYTES ? room : PAGE_BYTES);
        sets->page_used_bytes = 0;
    }
    uint8_t *to = sets->pages[sets->page_count - 1] + sets->page_used_bytes;
    *out_ref = (sets->page_count - 1) << PAGE_BITS | sets->page_used_bytes / BLOB_ALIGN;
    to = put_u32(to, (uint32_t)labels.size);
    if (labels.size != 0) {
        memcpy(to, labels.data, labels.size);
    }
    sets->page_used_bytes += (uint32_t)need;
    return true;
}

static void append_id(struct label_sets *sets, uint32_t ref, uint32_t hash) {
    if (sets->count == sets->capacity) {
        sets->capacity = (uint32_t)mem_grow(sets->capacity, sets->count + (size_t)1);
        sets->refs = mem_resize(sets->refs, sets->capacity, sizeof(*sets->refs));
        sets->hashes = mem_resize(sets->hashes, sets->capacity, sizeof(*sets->hashes));
    }
    sets->refs[sets->count] = ref;
    sets->hashes[sets->count] = hash;
    sets->count++;
}

uint32_t label_sets_intern(struct label_sets *sets, struct labels labels) {
    const uint32_t hash = hash_of(sets, labels);
    const uint32_t at = find_slot(sets, labels, hash);
    if (sets->slots[at] != 0) {
        return sets->slots[at] - 1;
    }
    uint32_t ref;
    if (sets->count >= SETS_MAX || labels.size > UINT32_MAX - PAGE_BYTES ||
        !store_blob(sets, labels, &ref)) {
        return LABEL_SET_NONE;
    }
    const uint32_t id = sets->count;
    append_id(sets, ref, hash);
    sets->slots[at] = id + 1;
    if (sets->count > sets->slot_mask / 4 * 3) {
        grow_slots(sets);
    }
    return id;
}

void label_sets_skip(struct label_sets *sets, uint32_t next) {
    while (sets->count < next && sets->count < SETS_MAX) {
        append_id(sets, sets->refs[0], HASH_HOLE);
    }
}

bool label_sets_define(struct label_sets *sets, uint32_t id, struct labels labels) {
    if (id < sets->count || id >= SETS_MAX ||
        (!sets->deferred && label_sets_find(sets, labels) != LABEL_SET_NONE)) {
        return false;
    }
    label_sets_skip(sets, id);
    if (!sets->deferred) {
        return label_sets_intern(sets, labels) == id;
    }
    uint32_t ref;
    if (labels.size > UINT32_MAX - PAGE_BYTES || !store_blob(sets, labels, &ref)) {
        return false;
    }
    append_id(sets, ref, hash_of(sets, labels));
    return true;
}

void label_sets_defer(struct label_sets *sets) {
    sets->deferred = true;
}

/* Where the set id belongs: a free slot, or that of an equal set. */
static uint32_t slot_for(const struct label_sets *sets, uint32_t id) {
    const uint32_t hash = sets->hashes[id];
    uint32_t at = hash & sets->slot_mask;
    for (; sets->slots[at] != 0; at = (at + 1) & sets->slot_mask) {
        const uint32_t other = sets->slots[at] - 1;
        if (sets->hashes[other] == hash &&
            labels_eq(label_sets_get(sets, other), label_sets_get(sets, id))) {
            break;
        }
    }
    return at;
}

/* A slot is a cache miss, and so is the hash of the set that has it; the ones of the next ids are on their
 * way while one is filled. */
uint32_t label_sets_finish(struct label_sets *sets) {
    enum { SLOT_AHEAD = 32, HASH_AHEAD = 16 };
    uint32_t twice = 0;
    sets->deferred = false;
    while (sets->count > sets->slot_mask / 4 * 3) {
        sets->slot_mask = sets->slot_mask * 2 + 1;
    }
    mem_free(sets->slots);
    sets->slots = mem_zalloc((sets->slot_mask + (size_t)1) * sizeof(*sets->slots));
    for (uint32_t id = 0; id < sets->count; id++) {
        if (id + SLOT_AHEAD < sets->count) {
            __builtin_prefetch(&sets->slots[sets->hashes[id + SLOT_AHEAD] & sets->slot_mask], 1);
            const uint32_t taken = sets->slots[sets->hashes[id + HASH_AHEAD] & sets->slot_mask];
            __builtin_prefetch(&sets->hashes[taken - (taken != 0)]);
        }
        if (sets->hashes[id] != HASH_HOLE) {
            const uint32_t at = slot_for(sets, id);
            twice += sets->slots[at] != 0;
            sets->slots[at] = sets->slots[at] != 0 ? sets->slots[at] : id + 1;
        }
    }
    return twice;
}
