/* The table of tsdb list: one row a block, of Prometheus' directories or of our own. Pure. */
#ifndef TSDB_BLOCK_TABLE_H
#define TSDB_BLOCK_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum { BLOCK_TABLE_COLUMNS = 8, BLOCK_TABLE_NAME_MAX = 32 };

struct block_table_row {
    char name[BLOCK_TABLE_NAME_MAX];
    int64_t start_ms;
    int64_t end_ms;
    uint64_t counts[3];
    uint64_t size_bytes;
};

/* human: times as dates, sizes with units. */
void block_table_print(const char *const titles[BLOCK_TABLE_COLUMNS],
                       const struct block_table_row *rows, size_t count, bool human,
                       struct buf *to);

#endif
