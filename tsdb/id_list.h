/* Ascending u32 numbers at rest: as runs, bit-packed differences, a bitmap, or a single one,
 * whichever is smallest. For the immutable index of a partition. Format: FORMAT.md section 10.2.
 * Pure; decoding checks everything. */
#ifndef TSDB_ID_LIST_H
#define TSDB_ID_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/cursor.h"

enum { ID_LIST_PACK = 128 };

/* ids are strictly ascending. */
void id_list_encode(struct buf *to, const uint32_t *ids, size_t n);

struct id_list_iter {
    struct cursor from; /* failed: the bytes are no list */
    uint8_t form;
    uint32_t left;  /* runs or ids */
    uint64_t next;  /* the next id is not below */
    uint32_t limit; /* all ids are below */
    uint32_t at;    /* of the batch; of the bitmap: bit */
    uint32_t batch_count;
    uint32_t batch[ID_LIST_PACK];
};

/* Starts with the list at from, which moves behind it. An id at or above limit is a failure. */
void id_list_begin(struct cursor *from, uint32_t limit, struct id_list_iter *out);
/* The next ids [*out_start, *out_end), ascending; false at the end or when it->from.failed. */
bool id_list_next(struct id_list_iter *it, uint32_t *out_start, uint32_t *out_end);
/* Moves from behind the list. */
void id_list_skip(struct cursor *from);

#endif
