/* Open chunks from any bytes: the iterator gives spans that follow each other without a gap up to
 * the number of rows, or ERR_CORRUPT; reading fewer rows gives a prefix of the same, and reading them
 * as integers the same values. */
#include "base/check.h"
#include "tsdb/chunk/open_chunk.h"
#include "tsdb/storage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS_MAX = 256 };

static bool read_rows(const uint8_t *data, size_t size, uint32_t rows, struct num *values,
                      uint8_t *states) {
    struct open_chunk_iter it;
    struct open_chunk_span span;
    bool more;
    uint32_t next = 0;
    if (open_chunk_begin(&it, data, size, (struct value_state){0}, rows) != ERR_OK) {
        return false;
    }
    for (;;) {
        if (open_chunk_next(&it, &span, &more) != ERR_OK) {
            return false;
        }
        if (!more) {
            ASSERT(next == rows);
            return true;
        }
        ASSERT(span.begin == next && span.end > span.begin && span.end <= rows);
        ASSERT(span.state <= SLOT_STALE);
        ASSERT(span.value.kind == NUM_RAW ||
               (span.value.m < NUM_MANTISSA_LIMIT && span.value.m > -NUM_MANTISSA_LIMIT &&
                span.value.scale <= NUM_SCALE_MAX));
        for (; next < span.end; next++) {
            states[next] = span.state;
            values[next] = span.value;
        }
    }
}

static void same_as_integers(const uint8_t *data, size_t size, uint32_t rows,
                             const struct num *values, const uint8_t *states) {
    int64_t m[ROWS_MAX];
    uint8_t form = 0;
    if (!open_chunk_integers(data, size, rows, m, &form)) {
        return;
    }
    for (uint32_t i = 0; i < rows; i++) {
        const struct num v = value_state_num((struct value_state){.m = m[i], .form = form});
        ASSERT(states[i] == SLOT_VALUE);
        ASSERT(v.kind == values[i].kind && v.scale == values[i].scale && v.m == values[i].m);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct num values[2][ROWS_MAX];
    uint8_t states[2][ROWS_MAX];
    if (size < 2) {
        return 0;
    }
    const uint32_t rows = data[0] + 1U;
    if (!read_rows(data + 1, size - 1, rows, values[0], states[0])) {
        return 0;
    }
    same_as_integers(data + 1, size - 1, rows, values[0], states[0]);
    const uint32_t fewer = rows / 2;
    ASSERT(read_rows(data + 1, size - 1, fewer, values[1], states[1]));
    for (uint32_t i = 0; i < fewer; i++) {
        ASSERT(states[0][i] == states[1][i]);
        ASSERT(states[0][i] != SLOT_VALUE ||
               f64_same_bits(num_double(values[0][i]), num_double(values[1][i])));
    }
    return 0;
}
