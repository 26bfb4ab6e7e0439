/* Slab allocator.
 *
 * A reference is page * 4096 + offset / 16. Reference 0 would be the first piece of page 0, so
 * that piece is given away to nobody: 0 can mean "none" everywhere.
 *
 * WHY NOT malloc: its header and rounding cost 8 to 24 bytes a piece, a pointer 4 more than a
 * reference, and freeing a whole window of chunks in one go would walk the heap. */
#include "tsdb/slab.h"

#include <stdbool.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/mem.h"

enum { SMALL_UNITS = 32 };

static const uint32_t class_bytes[SLAB_CLASS_COUNT] = {
    16,  32,   48,   64,   96,   128,  192,  256,   384,   512,
    768, 1024, 1536, 2048, 3072, 4096, 8192, 16384, 32768, 65536,
};

_Static_assert(SLAB_PAGE_BYTES % SLAB_UNIT_BYTES == 0, "pages are whole units");

void slab_init(struct slab *slab) {
    *slab = (struct slab){0};
}

void slab_release(struct slab *slab) {
    for (uint32_t i = 0; i < slab->page_count; i++) {
        mem_free(slab->leaves[i / SLAB_FANOUT][i % SLAB_FANOUT]);
    }
    for (uint32_t i = 0; i * SLAB_FANOUT < slab->page_count; i++) {
        mem_free(slab->leaves[i]);
    }
    *slab = (struct slab){0};
}

/* Class by number of units, for what is small. */
static const uint8_t small_class[SMALL_UNITS + 1] = {
    0, 0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7,
    8, 8, 8, 8, 8, 8, 8, 8, 9, 9, 9, 9, 9, 9, 9, 9,
};

unsigned slab_class(size_t bytes) {
    const size_t units = (bytes + SLAB_UNIT_BYTES - 1) / SLAB_UNIT_BYTES;
    if (LIKELY(units <= SMALL_UNITS)) {
        return small_class[units];
    }
    ASSERT(bytes <= SLAB_PAGE_BYTES);
    unsigned c = small_class[SMALL_UNITS];
    while (class_bytes[c] < bytes) {
        c++;
    }
    return c;
}

size_t slab_class_bytes(unsigned size_class) {
    ASSERT(size_class < SLAB_CLASS_COUNT);
    return class_bytes[size_class];
}

static void push_free(struct slab *slab, uint32_t ref, unsigned size_class) {
    put_u32(slab_at(slab, ref), slab->free_refs[size_class]);
    slab->free_refs[size_class] = ref;
}

/* Takes a page and cuts it into pieces; the list hands out low addresses first. */
static bool add_page(struct slab *slab, unsigned size_class) {
    if (slab->page_count == (uint32_t)SLAB_FANOUT * SLAB_FANOUT) {
        return false;
    }
    const uint32_t page = slab->page_count;
    if (page % SLAB_FANOUT == 0) {
        slab->leaves[page / SLAB_FANOUT] = mem_array(SLAB_FANOUT, sizeof(uint8_t *));
    }
    slab->leaves[page / SLAB_FANOUT][page % SLAB_FANOUT] = mem_alloc(SLAB_PAGE_BYTES);
    slab->page_count++;
    const uint32_t first = page * (SLAB_PAGE_BYTES / SLAB_UNIT_BYTES);
    const uint32_t bytes = class_bytes[size_class];
    for (uint32_t i = SLAB_PAGE_BYTES / bytes; i-- > 0;) {
        const uint32_t ref = first + i * (bytes / SLAB_UNIT_BYTES);
        if (ref != 0) {
            push_free(slab, ref, size_class);
        }
    }
    return true;
}

uint32_t slab_alloc(struct slab *slab, unsigned size_class) {
    ASSERT(size_class < SLAB_CLASS_COUNT);
    while (slab->free_refs[size_class] == 0) { /* page 0 may hold no piece of the largest class */
        if (!add_page(slab, size_class)) {
            return 0;
        }
    }
    const uint32_t ref = slab->free_refs[size_class];
    slab->free_refs[size_class] = load_u32(slab_at(slab, ref));
    slab->live_bytes += class_bytes[size_class];
    slab->live_count++;
    return ref;
}

void slab_free(struct slab *slab, uint32_t ref, unsigned size_class) {
    if (ref == 0) {
        return;
    }
    ASSERT(size_class < SLAB_CLASS_COUNT);
    slab->live_bytes -= class_bytes[size_class];
    slab->live_count--;
    push_free(slab, ref, size_class);
}
