/* What a partition tells of the blocks of a float series, so that windows over whole blocks need not
 * decode them: which have a value in each row, which never fall, their smallest and largest value
 * and their sum. FORMAT.md section 10.5.
 *
 * A summary is never larger than SUMMARY_PER_MILLE of the blocks that it is about: what does not fit is
 * left out, sums first. Everything is exact, or left out.
 *
 * Owner: a builder is the writer's; a summary lives in the arena that it was read to. One thread. */
#ifndef TSDB_SERIES_SUMMARY_H
#define TSDB_SERIES_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/value.h"

enum { SUMMARY_PER_MILLE = 15, SUMMARY_BLOCKS_LEAST = 4 };

struct block_summary {
    bool plain;      /* a value in each row, and none is NaN */
    bool rises;      /* plain, as the block before; no value is less than the one before, also the
                      * first not less than the last of the block before (of the first block: no
                      * such) */
    bool has_range;  /* plain; the following are known */
    bool has_sum;    /* integers (scale 0) */
    uint8_t scale;   /* values are m / 10^scale */
    int64_t min;     /* as m */
    int64_t max;     /* as m */
    uint64_t excess; /* sum of all (m - min) */
};

/* Of one series. */
struct series_summary {
    struct block_summary *blocks;
    uint32_t count;
    bool steady; /* all are plain and have one and the same value, which stands in none of them */
};

/* ---- writing ---- */

struct series_summary_builder;
struct series_summary_builder *series_summary_builder_new(void);
void series_summary_builder_free(struct series_summary_builder *b);
/* The next block is the first of a series. */
void series_summary_begin(struct series_summary_builder *b);
/* The next block, from its bytes; a block that refers to another one counts as not plain. */
void series_summary_add_block(struct series_summary_builder *b, const uint8_t *bytes, size_t n,
                              uint32_t rows);
/* The same from values and states (enum slot_state) of its rows; it has so many bytes. */
void series_summary_add_values(struct series_summary_builder *b, const struct num *values,
                               const uint8_t *states, uint32_t rows, size_t block_bytes);
/* Appends the summary of all blocks since series_summary_begin; of any series one byte at least. */
void series_summary_write(struct series_summary_builder *b, struct buf *to);
/* What is known of them before the encoding, borrowed. For tests and verification. */
void series_summary_built(const struct series_summary_builder *b, struct series_summary *out);

/* ---- reading ---- */

/* Steps over a summary. False: bytes that no writer writes. */
MUST_CHECK bool series_summary_skip(struct cursor *from);
/* Reads that of a series of count blocks to arena; out->blocks is NULL when nothing is known. ERR_CORRUPT,
 * ERR_LIMIT, without a text. */
MUST_CHECK enum err_code series_summary_read(struct cursor *from, uint32_t count,
                                             struct arena *arena, struct series_summary *out);

#endif
