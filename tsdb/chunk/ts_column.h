/* Timestamps of a run: one column that all series of a group share.
 *
 * Either distances from an even grid (first + row * interval), which is what a scraper with small
 * jitter gives, or differences of differences, whichever is smaller; both patched and bit-packed.
 * An even column costs about 10 bytes, whatever its length. Format: FORMAT.md section 4. Pure. */
#ifndef TSDB_CHUNK_TS_COLUMN_H
#define TSDB_CHUNK_TS_COLUMN_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

enum { TS_COLUMN_ROWS_MAX = 2048 };

static inline size_t ts_column_bytes_max(uint32_t rows) {
    return 64 + (size_t)rows * 12;
}

/* Encodes count timestamps (1 .. TS_COLUMN_ROWS_MAX), strictly ascending (the caller's duty, checked
 * by an assertion), into at most ts_column_bytes_max bytes; returns how many. */
size_t ts_column_encode(const int64_t *ts, uint32_t count, uint8_t *to);

/* Decodes exactly count timestamps from exactly n bytes. ts has room for count rounded up to 8.
 * ERR_CORRUPT, without a text, for anything that is not strictly ascending or not whole. */
MUST_CHECK enum err_code ts_column_decode(const uint8_t *bytes, size_t n, uint32_t count,
                                          int64_t *ts);

#endif
