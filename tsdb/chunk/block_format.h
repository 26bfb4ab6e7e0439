/* Bytes of a block that encoder and decoder share; see FORMAT.md section 5. Private to block_*.c. */
#ifndef TSDB_CHUNK_BLOCK_FORMAT_H
#define TSDB_CHUNK_BLOCK_FORMAT_H

#include "tsdb/chunk/block.h"

/* First byte of a block: the kind in the low bits, then flags. */
enum {
    BLOCK_KIND_MASK = 0x07,
    BLOCK_RAW = 0x08,      /* integers are the bits of doubles */
    BLOCK_PRESENCE = 0x10, /* not every row is a value: presence runs follow */
    BLOCK_MODE = 0x20,     /* FOR, DELTA, DELTA2: offsets from a base, not zigzag; SPARSE: bitmap */
    BLOCK_SCALED = 0x40,   /* a byte with scale and shift flag follows */
    BLOCK_REFERENCE = 0x80, /* difference to an earlier slot of the run: a byte that says which
                             * follows; not with SCALED nor PRESENCE */
};

/* The byte behind a first byte that is BLOCK_EXTENDED and nothing else. */
enum {
    BLOCK_CORRECTED = 0, /* uvarint size and a block of decimals; a block of what is added to the
                          * bits of their doubles. Both cover all rows and refer to nothing */
};

/* A first byte with kind NONE and without PRESENCE is the whole block: all rows hold the integer in
 * the other bits. */
enum { BLOCK_TINY_MAX = 15 };

static inline bool block_is_tiny(uint8_t first) {
    return (first & (BLOCK_KIND_MASK | BLOCK_PRESENCE)) == 0;
}

static inline uint8_t block_tiny_value(uint8_t first) {
    return (uint8_t)((first >> 3 & 1) | (first >> 4 & 0x0E));
}

static inline uint8_t block_tiny(uint8_t value) {
    return (uint8_t)((value & 1) << 3 | (value & 0x0E) << 4);
}

/* The byte of BLOCK_SCALED: the scale in the low bits. */
enum {
    BLOCK_SCALE_MASK = 0x1F,
    BLOCK_SHIFTED = 0x20, /* the shift stands in the next byte */
};

/* The byte of BLOCK_REFERENCE: slots back - 1, and above, by how much the scale is finer than the
 * reference's. */
enum {
    BLOCK_BACK_MASK = 0x07,
    BLOCK_REFERENCE_SHIFTED = 0x08, /* the shift stands in the next byte */
    BLOCK_FINER_SHIFT = 4,
};

/* A presence run is uvarint(length << PRESENCE_STATE_BITS | enum slot_state); 3 is reserved. */
enum { PRESENCE_STATE_BITS = 2 };

#endif
