/* Numbers of a block of series, as the series table of a partition has them. FORMAT.md section 10.3.
 *
 * For the writer and the reader of the index; no state, any thread. */
#ifndef TSDB_PARTITION_NUMBERS_H
#define TSDB_PARTITION_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct cursor;

/* Appends n numbers, 1 to PARTITION_SERIES_GROUP. */
void partition_numbers_append(struct buf *to, const int64_t *v, size_t n);
/* False: the bytes are not n numbers. */
bool partition_numbers_take(struct cursor *from, size_t n, int64_t *out);

#endif
