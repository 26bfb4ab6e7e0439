/* FORMAT. First byte: the form. Then varint first timestamp, then
 *
 *     TS_GRID   varint interval, varint base, pfor of n - 1 values: ts[i] = first + i * interval + base
 *               + value[i - 1]; base is there only when n > 1
 *     TS_DELTA2 varint first difference, pfor of n - 2 zigzag differences of differences
 *     TS_EVEN   varint interval, nothing more: ts[i] = first + i * interval
 *
 * A column of one row is TS_EVEN with interval 0. Arithmetic is modulo 2^64. */
#include "tsdb/chunk/ts_column.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/cursor.h"
#include "tsdb/chunk/column_kernels.h"
#include "tsdb/chunk/pfor.h"

enum ts_form { TS_EVEN = 0, TS_GRID = 1, TS_DELTA2 = 2 };

static int64_t minus(int64_t a, int64_t b) {
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

/* The mean step, rounded. */
static int64_t grid_interval(const int64_t *ts, uint32_t count) {
    const uint64_t span = (uint64_t)ts[count - 1] - (uint64_t)ts[0];
    const uint64_t steps = count - 1;
    return (int64_t)(span / steps + (span % steps * 2 >= steps));
}

/* Distances from the grid less their least; returns the least. */
static int64_t fill_grid(const int64_t *ts, uint32_t count, int64_t interval, uint64_t *out) {
    int64_t base = INT64_MAX;
    for (uint32_t i = 1; i < count; i++) {
        out[i - 1] = (uint64_t)ts[i] - (uint64_t)ts[0] - (uint64_t)interval * i;
        base = (int64_t)out[i - 1] < base ? (int64_t)out[i - 1] : base;
    }
    for (uint32_t i = 1; i < count; i++) {
        out[i - 1] -= (uint64_t)base;
    }
    return base;
}

static void fill_delta2(const int64_t *ts, uint32_t count, uint64_t *out) {
    for (uint32_t i = 2; i < count; i++) {
        const int64_t before = minus(ts[i - 1], ts[i - 2]);
        out[i - 2] = zigzag_encode(minus(minus(ts[i], ts[i - 1]), before));
    }
}

size_t ts_column_encode(const int64_t *ts, uint32_t count, uint8_t *to) {
    uint64_t packed[TS_COLUMN_ROWS_MAX];
    uint8_t *const begin = to;
    ASSERT(count >= 1 && count <= TS_COLUMN_ROWS_MAX);
    for (uint32_t i = 1; i < count; i++) {
        ASSERT(ts[i] > ts[i - 1]);
    }
    if (count == 1) {
        *to++ = TS_EVEN;
        to = put_varint(to, ts[0]);
        return (size_t)(put_varint(to, 0) - begin);
    }

    const int64_t interval = grid_interval(ts, count);
    fill_delta2(ts, count, packed);
    const struct pfor_plan delta2 = pfor_plan(packed, count - 2);
    const int64_t base = fill_grid(ts, count, interval, packed);
    const struct pfor_plan grid = pfor_plan(packed, count - 1);
    if (base == 0 && grid.width == 0 && grid.patch_count == 0) {
        *to++ = TS_EVEN;
        to = put_varint(to, ts[0]);
        to = put_varint(to, interval);
    } else if (grid.bytes <= delta2.bytes) {
        *to++ = TS_GRID;
        to = put_varint(to, ts[0]);
        to = put_varint(to, interval);
        to = put_varint(to, base);
        to = pfor_write(to, packed, count - 1, grid);
    } else {
        fill_delta2(ts, count, packed);
        *to++ = TS_DELTA2;
        to = put_varint(to, ts[0]);
        to = put_varint(to, minus(ts[1], ts[0]));
        to = pfor_write(to, packed, count - 2, delta2);
    }
    ASSERT((size_t)(to - begin) <= ts_column_bytes_max(count));
    return (size_t)(to - begin);
}

static enum err_code read_packed(struct cursor *c, uint32_t n, uint64_t *out) {
    size_t used = 0;
    if (pfor_read(c->at, cursor_left(c), n, out, &used) != ERR_OK) {
        return ERR_CORRUPT;
    }
    (void)cursor_bytes(c, used);
    return ERR_OK;
}

static enum err_code read_form(struct cursor *c, uint8_t form, uint32_t count, uint64_t *ts) {
    const uint64_t first = (uint64_t)cursor_varint(c);
    const uint64_t step = (uint64_t)cursor_varint(c);
    ts[0] = first;
    switch (form) {
    case TS_EVEN:
        column_kernels_best()->fill(ts, count, 0);
        column_kernels_best()->ramp(ts, count, first, step);
        return ERR_OK;
    case TS_GRID: {
        const uint64_t base = (uint64_t)cursor_varint(c);
        if (count < 2 || read_packed(c, count - 1, ts + 1) != ERR_OK) {
            return ERR_CORRUPT;
        }
        column_kernels_best()->ramp(ts + 1, count - 1, first + step + base, step);
        return ERR_OK;
    }
    case TS_DELTA2: {
        if (count < 2 || read_packed(c, count - 2, ts + 2) != ERR_OK) {
            return ERR_CORRUPT;
        }
        ts[1] = first + step;
        column_kernels_best()->sum(ts + 2, count - 2, true, 0, step);
        column_kernels_best()->sum(ts + 2, count - 2, false, 0, ts[1]);
        return ERR_OK;
    }
    default:
        return ERR_UNSUPPORTED;
    }
}

enum err_code ts_column_decode(const uint8_t *bytes, size_t n, uint32_t count, int64_t *ts) {
    ASSERT(count >= 1 && count <= TS_COLUMN_ROWS_MAX);
    struct cursor c = cursor_of(bytes, n);
    const uint8_t form = cursor_u8(&c);
    const enum err_code code = read_form(&c, form, count, (uint64_t *)ts);
    if (code != ERR_OK) {
        return code;
    }
    if (c.failed || cursor_left(&c) != 0) {
        return ERR_CORRUPT;
    }
    return column_kernels_best()->ascends(ts, count) ? ERR_OK : ERR_CORRUPT;
}
