#include "tsdb/partition_numbers.h"

#include "base/buf.h"
#include "base/bytes.h"
#include "base/cursor.h"
#include "tsdb/chunk/pfor.h"
#include "tsdb/partition_format.h"

void partition_numbers_append(struct buf *to, const int64_t *v, size_t n) {
    uint64_t offsets[PARTITION_SERIES_GROUP];
    uint64_t steps[PARTITION_SERIES_GROUP];
    uint8_t bytes[1 + 2 * UVARINT_MAX + 16 + PARTITION_SERIES_GROUP * 12];
    int64_t low = v[0];
    int64_t step = INT64_MAX;
    for (size_t i = 1; i < n; i++) {
        low = v[i] < low ? v[i] : low;
        step = v[i] - v[i - 1] < step ? v[i] - v[i - 1] : step;
    }
    step = n > 1 ? step : 0;
    for (size_t i = 0; i < n; i++) {
        offsets[i] = (uint64_t)(v[i] - low);
        steps[i] = i == 0 ? 0 : (uint64_t)(v[i] - v[i - 1] - step);
    }
    const struct pfor_plan base_plan = pfor_plan(offsets, n);
    const struct pfor_plan step_plan = pfor_plan(steps + 1, n - 1);
    uint8_t *end = bytes;
    if (step_plan.bytes + 1 < base_plan.bytes) {
        end = put_u8(end, NUMBERS_BY_STEPS);
        end = put_varint(end, v[0]);
        end = put_varint(end, step);
        end = pfor_write(end, steps + 1, n - 1, step_plan);
    } else {
        end = put_u8(end, NUMBERS_FROM_BASE);
        end = put_varint(end, low);
        end = pfor_write(end, offsets, n, base_plan);
    }
    buf_append(to, bytes, (size_t)(end - bytes));
}

bool partition_numbers_take(struct cursor *from, size_t n, int64_t *out) {
    uint64_t v[PARTITION_SERIES_GROUP];
    const uint8_t form = cursor_u8(from);
    const uint64_t first = (uint64_t)cursor_varint(from);
    const bool steps = form == NUMBERS_BY_STEPS;
    const uint64_t base = steps ? (uint64_t)cursor_varint(from) : first;
    size_t used = 0;
    const size_t packed = steps ? n - 1 : n;
    if (from->failed || form > NUMBERS_BY_STEPS ||
        pfor_read(from->at, cursor_left(from), packed, v, &used) != ERR_OK) {
        return false;
    }
    from->at += used;
    if (!steps) {
        for (size_t i = 0; i < n; i++) {
            out[i] = (int64_t)(base + v[i]);
        }
        return true;
    }
    uint64_t sum = first;
    out[0] = (int64_t)sum;
    for (size_t i = 1; i < n; i++) {
        sum += base + v[i - 1];
        out[i] = (int64_t)sum;
    }
    return true;
}
