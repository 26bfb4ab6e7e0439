/* Open chunk: what one series did since its group was last sealed, as change-only tokens.
 *
 * A series that never changes has no chunk: its last value stands for every row. Otherwise the
 * bytes are the value state before row 0 (one byte form, then the mantissa when FORM_KNOWN is set)
 * and value operations whose gap is the number of rows skipped. A row without an operation has the
 * value of the row before; after stale comes absent. Format: FORMAT.md section 7.
 *
 * The head owns the memory and grows it; these functions are pure. */
#ifndef TSDB_CHUNK_OPEN_CHUNK_H
#define TSDB_CHUNK_OPEN_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/cursor.h"
#include "base/err.h"
#include "tsdb/chunk/value_op.h"

enum { OPEN_CHUNK_BASE_MAX = 1 + UVARINT_MAX };

/* Writes the state before row 0; returns the byte behind. */
uint8_t *open_chunk_put_base(uint8_t *to, struct value_state base);

/* The column of a chunk whose series has a value of one scale, or raw bits, in each of rows rows, as most
 * have: its integers, and in *out_form their form. False: it has not, or its bytes are not ours; m
 * is then undefined, and open_chunk_begin tells. At least one byte. */
bool open_chunk_integers(const uint8_t *bytes, size_t n, uint32_t rows, int64_t *m,
                         uint8_t *out_form);

/* Rows [begin, end) that are equal: state is an enum slot_state. */
struct open_chunk_span {
    uint32_t begin;
    uint32_t end;
    uint8_t state;
    struct num value; /* where state is SLOT_VALUE */
};

struct open_chunk_iter {
    struct cursor from;
    struct value_state state;
    struct value_op next;
    uint32_t row;       /* first row not yet handed out */
    uint32_t next_row;  /* of next; rows when there is none */
    uint32_t token_end; /* row after the last token that was read */
    uint32_t rows;
};

/* Bytes of a chunk and the number of rows to cover; tokens at or beyond rows are not read. n = 0:
 * the series has no chunk and last is its state in all rows. ERR_CORRUPT as below. */
MUST_CHECK enum err_code open_chunk_begin(struct open_chunk_iter *it, const uint8_t *bytes,
                                          size_t n, struct value_state last, uint32_t rows);
/* The next span, spans follow each other without gaps from row 0 to rows; *out_more is false at the
 * end. ERR_CORRUPT for bytes that were not written by us. */
MUST_CHECK enum err_code open_chunk_next(struct open_chunk_iter *it, struct open_chunk_span *out,
                                         bool *out_more);

#endif
