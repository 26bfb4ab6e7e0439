/* Sealed blocks: the values of one series over the rows of one run, as integers, differences and
 * patched bit-packing.
 *
 * A block holds for each of rows rows: absent, a value, or stale. It does not know its row count
 * nor its timestamps; the run around it does. The form (constant, line, frame of reference,
 * differences, second differences, few changes) is chosen by exact cost; so is whether the integers
 * stand as differences to those of a slot shortly before (buckets of a histogram). Values come back bit for
 * bit: decimals through one division by a power of ten, everything else by its 64 bits.
 * Format: FORMAT.md section 5. Sources: Zukowski et al., "Super-Scalar RAM-CPU Cache Compression"
 * (ICDE 2006) for patched frames of reference; Lemire and Boytsov (2012) for choosing the width.
 *
 * Threads: functions are pure; an encoder is scratch memory of one thread. */
#ifndef TSDB_CHUNK_BLOCK_H
#define TSDB_CHUNK_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/value.h"

enum {
    BLOCK_ROWS_MAX = 2048,
    /* Bound of an encoded block of rows rows: header, presence, values raw. */
    BLOCK_BYTES_FIXED_MAX = 64,
    BLOCK_BYTES_PER_ROW_MAX = 12,
    BLOCK_BACK_MAX = 8, /* how many slots back a reference may lie */
};

static inline size_t block_bytes_max(uint32_t rows) {
    return BLOCK_BYTES_FIXED_MAX + (size_t)rows * BLOCK_BYTES_PER_ROW_MAX;
}

/* How the values of a block are written; on disk, never renumber. */
enum block_kind {
    BLOCK_NONE = 0,        /* no row has a value */
    BLOCK_CONST = 1,       /* all equal */
    BLOCK_DELTA_CONST = 2, /* first + i * delta */
    BLOCK_FOR = 3,         /* offsets from one base */
    BLOCK_DELTA = 4,       /* differences */
    BLOCK_DELTA2 = 5,      /* differences of differences */
    BLOCK_SPARSE = 6,      /* equal to the value before, but for a few rows */
    BLOCK_EXTENDED = 7,    /* decimals and small corrections of their doubles (sums of decimals) */
};

/* Scratch of about 300 KiB, most of it touched by long runs only; reuse it. Remembers the last
 * BLOCK_BACK_MAX slots of the run, as references. */
struct block_encoder;
struct block_encoder *block_encoder_new(void);
void block_encoder_free(struct block_encoder *e);
/* The next block is the first of a run. */
void block_encoder_begin(struct block_encoder *e);
/* The next slot of the run is not encoded here. */
void block_encoder_skip(struct block_encoder *e);

/* Encodes the next slot of a run of rows rows (1 .. BLOCK_ROWS_MAX). states[i] is an enum slot_state; values[i] counts only
 * where it is SLOT_VALUE. Writes at most block_bytes_max(rows) bytes to to and returns how many:
 * 0 when all rows are absent (the block then needs no byte at all). A decimal must obey the rules
 * of base/value.h, else it is a bug of the caller. */
size_t block_encode(struct block_encoder *e, const struct num *values, const uint8_t *states,
                    uint32_t rows, uint8_t *to);
/* The same block, of a column that has this value in every row. */
size_t block_encode_constant(struct block_encoder *e, struct num value, uint32_t rows, uint8_t *to);
/* The same block, of a column whose row i has the value of like with m[i] as its integer. */
size_t block_encode_integers(struct block_encoder *e, const int64_t *m, struct num like,
                             uint32_t rows, uint8_t *to);

/* Room that a decode needs in every array: all rows, rounded up for whole-vector stores. */
static inline uint32_t block_decode_capacity(uint32_t rows) {
    return (rows + 7U) & ~7U;
}

/* Where a decode writes, and what it found. The caller sets the pointers, each to
 * block_decode_capacity(rows) elements; elements at and beyond count are undefined after. */
struct block_column {
    double *values; /* of the present rows, in row order; a stale row is the stale NaN */
    uint16_t *rows; /* [i] is the row of values[i]; filled only when !dense */
    uint32_t count; /* present rows: values and stale markers */
    bool dense;     /* rows 0 .. count - 1 are present and no other ever is in this run */
    bool has_stale;
};

/* The same as integers, for exact sums and for re-encoding. decimal: value = m[i] / 10^scale;
 * else m[i] are the bits of doubles. Stale rows stand apart: stale[i] != 0, m[i] is 0. */
struct block_ints {
    int64_t *m;
    uint8_t *stale; /* filled only when has_stale */
    uint16_t *rows; /* filled only when !dense */
    uint32_t count;
    uint8_t scale;
    bool decimal;
    bool dense;
    bool has_stale;
};

/* The usual constants 0 .. BLOCK_ONE_BYTE_VALUES - 1 are blocks of one byte, which a run may keep
 * elsewhere. */
enum { BLOCK_ONE_BYTE_VALUES = 16 };
bool block_is_one_byte(const uint8_t *bytes, size_t n);
unsigned block_one_byte_value(const uint8_t *bytes);
/* The block of that constant, borrowed for ever. */
const uint8_t *block_one_byte(unsigned value);

/* Slots back to the one whose block a decode of this one needs (1 .. BLOCK_BACK_MAX); 0 = none. */
unsigned block_reference(const uint8_t *bytes, size_t n);

/* Decodes a block of a run of rows rows; n = 0 is the block that is absent in all rows. reference:
 * the integers of the slot that block_reference names, else NULL; it needs none itself. Never
 * reads or writes outside the given memory, whatever the bytes are. ERR_CORRUPT for bytes that no
 * encoder writes or a reference that does not fit, ERR_UNSUPPORTED for reserved forms; *column's
 * arrays are then undefined and the counts unset. No text: the caller knows what and where. */
MUST_CHECK enum err_code block_decode(const uint8_t *bytes, size_t n, uint32_t rows,
                                      const struct block_ints *reference,
                                      struct block_column *column);
MUST_CHECK enum err_code block_decode_ints(const uint8_t *bytes, size_t n, uint32_t rows,
                                           const struct block_ints *reference,
                                           struct block_ints *out);

/* For statistics: the form of a block; BLOCK_NONE for n = 0. */
struct block_info {
    enum block_kind kind;
    bool raw;
    bool has_presence;
    uint8_t scale; /* with a reference: by how much it is finer than that */
    uint8_t shift;
    uint8_t back; /* slots back to the reference; 0 = none */
};
MUST_CHECK enum err_code block_inspect(const uint8_t *bytes, size_t n, uint32_t rows,
                                       struct block_info *out);

#endif
