/* Interned label sets: each distinct set is kept once and named by a dense u32 id.
 *
 * A series is two of them: the target set that all series of a scrape share and the metric set
 * that all targets of one shape share. Id 0 is the empty set. Sets are never forgotten while
 * the database is open, so a struct labels handed out stays valid, without any lock, until
 * label_sets_release. The table itself is guarded by its owner's lock (the index). */
#ifndef TSDB_LABEL_SETS_H
#define TSDB_LABEL_SETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/labels.h"

struct label_sets {
    uint32_t *refs;   /* by id: where the blob is, in units of 4 bytes */
    uint32_t *hashes; /* by id */
    uint32_t count;
    uint32_t capacity;
    uint32_t *slots; /* open addressing, id + 1, 0 = free */
    uint32_t slot_mask;
    uint8_t **pages; /* each blob is a u32 size and the bytes; pages never move */
    uint32_t page_count;
    uint32_t page_capacity;
    uint32_t page_used_bytes; /* of the last page */
    void **blocks;            /* what was allocated: a page, or many in one */
    uint32_t block_count;
    uint32_t block_capacity;
    uint8_t *spare; /* the rest of a block, for more pages */
    uint32_t spare_bytes;
    uint64_t blob_bytes;
    uint64_t seed;
    bool deferred; /* slots are made by label_sets_finish */
};

enum { LABEL_SET_NONE = UINT32_MAX, LABEL_SETS_SLACK = 16 };

void label_sets_init(struct label_sets *sets, uint64_t seed);
void label_sets_release(struct label_sets *sets);

/* The id, or LABEL_SET_NONE. */
uint32_t label_sets_find(const struct label_sets *sets, struct labels labels);
/* The id, made if it is new; LABEL_SET_NONE when 2^31 sets or 16 GiB are reached. */
uint32_t label_sets_intern(struct label_sets *sets, struct labels labels);
/* Gives the set the number id, which is not below the count; numbers left out stay without a set
 * (they read as empty and are never found). False as above, or when the set has another id. */
MUST_CHECK bool label_sets_define(struct label_sets *sets, uint32_t id, struct labels labels);
/* From now on nothing can be found or interned, and a set that has another id already is taken all the
 * same; until label_sets_finish. For filling a large table at once. */
void label_sets_defer(struct label_sets *sets);
/* Returns how many sets have more than one id; the smallest one is found. */
uint32_t label_sets_finish(struct label_sets *sets);
/* Leaves out the numbers below. */
void label_sets_skip(struct label_sets *sets, uint32_t next);
/* LABEL_SETS_SLACK bytes behind it can be read too. */
struct labels label_sets_get(const struct label_sets *sets, uint32_t id);
/* The same set by its data, for those who keep many: the size is in front. No lock. */
static inline struct labels label_sets_at(const uint8_t *data) {
    return (struct labels){data, load_u32(data - sizeof(uint32_t))};
}

#endif
