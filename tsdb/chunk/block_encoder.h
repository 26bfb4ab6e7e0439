/* Scratch of one who encodes blocks, and bringing values to integers. Private to block_encode.c and
 * block_integers.c. */
#ifndef TSDB_CHUNK_BLOCK_ENCODER_H
#define TSDB_CHUNK_BLOCK_ENCODER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/value.h"
#include "tsdb/chunk/block.h"

/* A slot before the one that is encoded. */
struct earlier_slot {
    bool usable; /* holds a value in each row, and refers to nothing itself */
    bool raw;
    uint8_t scale;
    int64_t m[BLOCK_ROWS_MAX];
};

struct block_encoder {
    uint32_t count; /* values */
    bool raw;
    uint8_t scale;
    uint8_t shift;
    uint8_t back;  /* the reference; 0 = none */
    uint8_t finer; /* by how much the scale is finer than the reference's */
    uint32_t slot; /* in the run, modulo 2^32 */
    struct earlier_slot earlier[BLOCK_BACK_MAX]; /* slot s at s % BLOCK_BACK_MAX */
    uint32_t rows;
    uint32_t presence_bytes;
    int64_t m[BLOCK_ROWS_MAX];           /* the integers */
    int64_t by_order[3][BLOCK_ROWS_MAX]; /* [0] relative to m[0], shifted; [1] its differences, [2]
                                        * theirs: [k] counts from row k on */
    uint64_t u[BLOCK_ROWS_MAX];          /* what a candidate packs */
    uint8_t presence[BLOCK_ROWS_MAX * 2 + 8];
    uint8_t corrected[2 + UVARINT_MAX +
                      2 * (BLOCK_BYTES_FIXED_MAX + BLOCK_ROWS_MAX * BLOCK_BYTES_PER_ROW_MAX)];
};

/* Fills m, count of them, from the rows that are SLOT_VALUE: decimals of one scale where they have one
 * that fits 53 bits, else the bits of their doubles. Sets raw and scale. */
void block_integers_take(struct block_encoder *e, const struct num *values, const uint8_t *states);
/* Drops the zeros that all decimals end with ("15.0"), as far as the scale allows. */
void block_integers_strip(struct block_encoder *e);

#endif
