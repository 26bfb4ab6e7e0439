/* A page of an L0 run: checked once, and where its slots' blocks are. Private to segment*.c.
 *
 * The directory is not taken apart to an array, which would be larger than the page: every 16th
 * slot has a mark, a look-up goes on from there, or from where the last one ended. */
#ifndef TSDB_SEGMENT_PAGE_H
#define TSDB_SEGMENT_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

enum { SEGMENT_PAGE_MARK_SLOTS = 16 };

struct segment_page_mark {
    uint32_t entry; /* of the slot, in the page */
    uint32_t block; /* where its block is, behind blocks_at */
};

struct segment_page {
    const uint8_t *bytes;
    const struct segment_page_mark *marks;
    uint32_t blocks_at; /* start of the first block */
};

/* Where a look-up ended. Zeroed: nowhere. */
struct segment_page_at {
    const struct segment_page *page;
    uint32_t slot; /* that comes next */
    struct segment_page_mark mark;
};

static inline uint32_t segment_page_mark_count(uint32_t slots) {
    return (slots + SEGMENT_PAGE_MARK_SLOTS - 1) / SEGMENT_PAGE_MARK_SLOTS;
}

/* Checks checksum and directory and fills marks, segment_page_mark_count(slots) of them. bytes and
 * marks are borrowed by *out. ERR_CORRUPT without a message; *out_what says why. */
MUST_CHECK enum err_code segment_page_check(const uint8_t *bytes, uint32_t size, uint32_t crc,
                                            uint32_t slots, struct segment_page_mark *marks,
                                            struct segment_page *out, const char **out_what);

/* The block of a slot of the page, counted from its first; *out_n = 0: absent. */
void segment_page_block(const struct segment_page *page, uint32_t slot, struct segment_page_at *at,
                        const uint8_t **out_bytes, size_t *out_n);

#endif
