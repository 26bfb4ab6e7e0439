#include "tsdb/block_table.h"

#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/mem.h"
#include "base/number.h"

enum { COLUMNS = BLOCK_TABLE_COLUMNS, CELL_BYTES = 64, CELL_MIN_WIDTH = 13, CELL_PADDING = 2 };

static void format_time(char out[CELL_BYTES], int64_t ms, bool human) {
    if (!human) {
        (void)snprintf(out, CELL_BYTES, "%lld", (long long)ms);
        return;
    }
    const struct civil c = civil_of_unix(ms / 1000); /* towards zero */
    (void)snprintf(out, CELL_BYTES, "%04lld-%02d-%02d %02d:%02d:%02d +0000 UTC", (long long)c.year,
                   c.month, c.day, c.hour, c.minute, c.second);
}

/* 1MiB12KiB114B: as many of each unit as fit. */
static void format_size(char out[CELL_BYTES], uint64_t bytes, bool human) {
    static const char *const units[] = {"EiB", "PiB", "TiB", "GiB", "MiB", "KiB", "B"};
    size_t length = 0;
    if (!human) {
        (void)snprintf(out, CELL_BYTES, "%llu", (unsigned long long)bytes);
        return;
    }
    for (unsigned i = 0; i < COUNT_OF(units); i++) {
        const uint64_t n = bytes >> (60 - 10 * i) & (i == 0 ? UINT64_MAX : 1023);
        if (n != 0 || (i + 1 == COUNT_OF(units) && length == 0)) {
            length += (size_t)snprintf(out + length, CELL_BYTES - length, "%llu%s",
                                       (unsigned long long)n, units[i]);
        }
    }
}

static void format_duration(char out[CELL_BYTES], int64_t ms) {
    struct buf text;
    buf_init(&text, CELL_BYTES);
    duration_format_go_ns(&text, ms > INT64_MAX / 1000000 ? INT64_MAX : ms * 1000000);
    (void)snprintf(out, CELL_BYTES, "%.*s", STR_ARG(buf_str(&text)));
    buf_release(&text);
}

typedef char table_row[COLUMNS][CELL_BYTES];

static void fill_row(const struct block_table_row *from, bool human, table_row row) {
    int64_t length;
    if (__builtin_sub_overflow(from->end_ms, from->start_ms, &length)) {
        length = INT64_MAX;
    }
    (void)snprintf(row[0], CELL_BYTES, "%s", from->name);
    format_time(row[1], from->start_ms, human);
    format_time(row[2], from->end_ms, human);
    format_duration(row[3], length);
    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(row[4 + i], CELL_BYTES, "%llu", (unsigned long long)from->counts[i]);
    }
    format_size(row[7], from->size_bytes, human);
}

static void print_rows(table_row *rows, size_t count, struct buf *to) {
    size_t width[COLUMNS];
    for (size_t k = 0; k < COLUMNS; k++) {
        width[k] = CELL_MIN_WIDTH;
        for (size_t i = 0; i < count; i++) {
            const size_t need = strlen(rows[i][k]) + CELL_PADDING;
            width[k] = need > width[k] ? need : width[k];
        }
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k + 1 < COLUMNS; k++) {
            buf_printf(to, "%-*s", (int)width[k], rows[i][k]);
        }
        buf_printf(to, "%s\n", rows[i][COLUMNS - 1]);
    }
}

void block_table_print(const char *const titles[BLOCK_TABLE_COLUMNS],
                       const struct block_table_row *from, size_t count, bool human,
                       struct buf *to) {
    table_row *rows = mem_array(count + 1, sizeof(*rows));
    for (size_t k = 0; k < COLUMNS; k++) {
        (void)snprintf(rows[0][k], CELL_BYTES, "%s", titles[k]);
    }
    for (size_t i = 0; i < count; i++) {
        fill_row(&from[i], human, rows[i + 1]);
    }
    print_rows(rows, count + 1, to);
    mem_free(rows);
}
