#include "tsdb/partition_series_table.h"

#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "tsdb/partition_numbers.h"

void series_table_init(struct series_table *table) {
    memset(table, 0, sizeof(*table));
    buf_init(&table->bytes, UINT32_MAX);
}

void series_table_release(struct series_table *table) {
    mem_free(table->ends);
    buf_release(&table->bytes);
}

static void end_block(struct series_table *table) {
    int64_t v[PARTITION_SERIES_GROUP];
    for (size_t column = 0; column < SERIES_COLUMNS; column++) {
        for (size_t i = 0; i < table->open_count; i++) {
            const int64_t from = column == SERIES_TIMELINE ? table->open[SERIES_TARGET][i] : 0;
            v[i] = table->open[column][i] - from;
        }
        partition_numbers_append(&table->bytes, v, table->open_count);
    }
    if (table->block_count == table->block_capacity) {
        table->block_capacity = mem_grow(table->block_capacity, table->block_count + 1);
        table->ends = mem_resize(table->ends, table->block_capacity, sizeof(*table->ends));
    }
    table->ends[table->block_count++] = (uint32_t)table->bytes.len;
    table->open_count = 0;
}

void series_table_add(struct series_table *table, uint32_t target, uint32_t metric,
                      uint32_t timeline) {
    const size_t at = table->open_count++;
    table->open[SERIES_TARGET][at] = target;
    table->open[SERIES_METRIC][at] = metric;
    table->open[SERIES_TIMELINE][at] = timeline;
    if (table->open_count == PARTITION_SERIES_GROUP) {
        end_block(table);
    }
}

void series_table_finish(struct series_table *table) {
    table->last_count = table->open_count;
    if (table->open_count != 0) {
        end_block(table);
    }
}

size_t series_table_sets(const struct series_table *table, size_t block, enum series_column column,
                         uint32_t out[PARTITION_SERIES_GROUP]) {
    ASSERT(block < table->block_count && column != SERIES_TIMELINE);
    const bool is_short = block + 1 == table->block_count && table->last_count != 0;
    const size_t n = is_short ? table->last_count : PARTITION_SERIES_GROUP;
    const size_t begin = block == 0 ? 0 : table->ends[block - 1];
    struct cursor c = cursor_of(table->bytes.ptr + begin, table->ends[block] - begin);
    int64_t v[PARTITION_SERIES_GROUP];
    bool ok = partition_numbers_take(&c, n, v);
    if (column == SERIES_METRIC) {
        ok = ok && partition_numbers_take(&c, n, v);
    }
    ASSERT(ok); /* we wrote them */
    for (size_t i = 0; i < n; i++) {
        out[i] = (uint32_t)v[i];
    }
    return n;
}
