/* Slab allocator for many small byte runs that grow in steps: open chunks.
 *
 * Pages of 64 KiB are cut into pieces of one size class each; a piece is named by a 32-bit
 * reference instead of a pointer, which halves what a series pays for it. A page never moves
 * and is never given back before slab_release, so memory stays at the peak of what was live.
 *
 * Owner: one shard. alloc and free under the shard's lock; slab_at also by readers who got the
 * reference through a lock that the allocating thread released after it. */
#ifndef TSDB_SLAB_H
#define TSDB_SLAB_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

enum {
    SLAB_PAGE_BYTES = 64 * 1024,
    SLAB_UNIT_BYTES = 16,
    SLAB_CLASS_COUNT = 20,
    SLAB_FANOUT = 1024, /* pages per leaf, and leaves */
};

struct slab {
    uint8_t **leaves[SLAB_FANOUT];
    uint32_t page_count;
    uint32_t free_refs[SLAB_CLASS_COUNT]; /* head of a list through the free pieces; 0 = none */
    uint64_t live_bytes;
    uint64_t live_count;
};

void slab_init(struct slab *slab);
void slab_release(struct slab *slab);

/* The smallest class of at least so many bytes; bytes <= SLAB_PAGE_BYTES. */
unsigned slab_class(size_t bytes);
size_t slab_class_bytes(unsigned size_class);

/* Never 0. 0 = all 2^20 pages (64 GiB) are in use. */
MUST_CHECK uint32_t slab_alloc(struct slab *slab, unsigned size_class);
void slab_free(struct slab *slab, uint32_t ref, unsigned size_class);

static inline uint8_t *slab_at(const struct slab *slab, uint32_t ref) {
    enum { UNITS_PER_PAGE = SLAB_PAGE_BYTES / SLAB_UNIT_BYTES };
    const uint32_t page = ref / UNITS_PER_PAGE;
    return slab->leaves[page / SLAB_FANOUT][page % SLAB_FANOUT] +
           (size_t)(ref % UNITS_PER_PAGE) * SLAB_UNIT_BYTES;
}

#endif
