/* Bytes of a row in the write-ahead log; FORMAT.md section 8. */
#ifndef TSDB_HEAD_ROW_H
#define TSDB_HEAD_ROW_H

#include "tsdb/head.h"

enum { HEAD_RECORD_ROW = 1, HEAD_RECORD_WINDOW = 2 };
enum head_row_flags {
    ROW_FULL = 1,   /* slots not named are absent, named ones do not refer to what was before */
    ROW_PUSHED = 2, /* slots not named are absent */
};

struct head_row_header {
    uint32_t group;
    uint64_t row;
    uint8_t flags;
    int64_t ts_ms;
};

/* Appends to to; changes ascend by slot. A repeat is made of neighbouring OP_DELTA 0. */
void head_row_encode(struct buf *to, const struct head_row_header *header,
                     const struct head_change *changes, size_t n);
/* ERR_CORRUPT for bytes that head_row_encode never writes. */
MUST_CHECK enum err_code head_row_decode_header(struct cursor *from, struct head_row_header *out);
/* The changes; *io_changes is an array of *io_capacity that grows (mem_free). Slots are below
 * slot_limit, else ERR_CORRUPT. */
MUST_CHECK enum err_code head_row_decode_changes(struct cursor *from, uint32_t slot_limit,
                                                 struct head_change **io_changes,
                                                 size_t *io_capacity, size_t *out_count);

#endif
