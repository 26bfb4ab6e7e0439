/* Sealed blocks and timestamp columns from hostile bytes: whatever decodes also encodes again, to
 * the same values. Byte 0 picks the decoder, bytes 1-2 the rows; in
 * one form byte 3 is the length of a block that the other may refer to. */
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "tsdb/chunk/block.h"
#include "tsdb/chunk/ts_column.h"
#include "tsdb/storage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct rows {
    double values[BLOCK_ROWS_MAX + 8];
    uint16_t at[BLOCK_ROWS_MAX + 8];
};

static void decode(const uint8_t *bytes, size_t n, uint32_t rows,
                   const struct block_ints *reference, struct rows *r, struct block_column *out) {
    *out = (struct block_column){.values = r->values, .rows = r->at};
    const enum err_code code = block_decode(bytes, n, rows, reference, out);
    ASSERT(code == ERR_OK);
}

/* rows -> nums and states; doubles come in as they are, decimals where they are such. */
static void block_again(const uint8_t *bytes, size_t n, uint32_t rows,
                        const struct block_ints *reference) {
    static struct rows first;
    static struct rows second;
    static struct num values[BLOCK_ROWS_MAX];
    static uint8_t states[BLOCK_ROWS_MAX];
    static uint8_t encoded[BLOCK_BYTES_FIXED_MAX + BLOCK_ROWS_MAX * BLOCK_BYTES_PER_ROW_MAX];
    struct block_column a;
    struct block_column b;
    decode(bytes, n, rows, reference, &first, &a);
    ASSERT(a.count <= rows);
    memset(states, SLOT_ABSENT, sizeof(states));
    for (uint32_t i = 0; i < a.count; i++) {
        const uint32_t row = a.dense ? i : first.at[i];
        ASSERT(row < rows && (i == 0 || a.dense || row > first.at[i - 1]));
        states[row] = SLOT_VALUE;
        values[row] = num_of_double(first.values[i]);
    }
    struct block_encoder *e = block_encoder_new();
    const size_t size = block_encode(e, values, states, rows, encoded);
    block_encoder_free(e);
    decode(encoded, size, rows, NULL, &second, &b);
    ASSERT(b.count == a.count);
    for (uint32_t i = 0; i < a.count; i++) {
        ASSERT(f64_same_bits(first.values[i], second.values[i]));
        ASSERT((a.dense ? i : first.at[i]) == (b.dense ? i : second.at[i]));
    }
}

/* Another slot of the run, or NULL: the block before a length in the input. */
static const struct block_ints *read_reference(const uint8_t **bytes, size_t *n, uint32_t rows) {
    static int64_t m[BLOCK_ROWS_MAX + 8];
    static uint8_t stale[BLOCK_ROWS_MAX + 8];
    static uint16_t at[BLOCK_ROWS_MAX + 8];
    static struct block_ints ints;
    if (*n == 0) {
        return NULL;
    }
    const size_t size = (*bytes)[0] < *n ? (*bytes)[0] : *n - 1;
    const uint8_t *block = *bytes + 1;
    *bytes += 1 + size;
    *n -= 1 + size;
    ints = (struct block_ints){.m = m, .stale = stale, .rows = at};
    return block_decode_ints(block, size, rows, NULL, &ints) == ERR_OK ? &ints : NULL;
}

static void try_block(const uint8_t *bytes, size_t n, uint32_t rows,
                      const struct block_ints *reference) {
    static struct rows r;
    static int64_t m[BLOCK_ROWS_MAX + 8];
    static uint8_t stale[BLOCK_ROWS_MAX + 8];
    struct block_column column = {.values = r.values, .rows = r.at};
    struct block_ints ints = {.m = m, .stale = stale, .rows = r.at};
    const enum err_code code = block_decode(bytes, n, rows, reference, &column);
    ASSERT(code == ERR_OK || code == ERR_CORRUPT || code == ERR_UNSUPPORTED);
    ASSERT(block_decode_ints(bytes, n, rows, reference, &ints) == code);
    if (code == ERR_OK) {
        ASSERT(ints.count == column.count);
        block_again(bytes, n, rows, reference);
    }
}

static void try_ts_column(const uint8_t *bytes, size_t n, uint32_t rows) {
    static int64_t ts[TS_COLUMN_ROWS_MAX + 8];
    static int64_t again[TS_COLUMN_ROWS_MAX + 8];
    static uint8_t encoded[64 + TS_COLUMN_ROWS_MAX * 12];
    if (ts_column_decode(bytes, n, rows, ts) == ERR_OK) {
        const size_t size = ts_column_encode(ts, rows, encoded);
        const enum err_code code = ts_column_decode(encoded, size, rows, again);
        ASSERT(code == ERR_OK && memcmp(ts, again, rows * sizeof(*ts)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) {
        return 0;
    }
    const uint32_t rows = 1 + load_u16(data + 1) % BLOCK_ROWS_MAX;
    if (data[0] % 4 == 0) {
        try_ts_column(data + 3, size - 3, rows);
    } else {
        const uint8_t *bytes = data + 3;
        size_t n = size - 3;
        const struct block_ints *reference =
            data[0] % 4 == 1 ? read_reference(&bytes, &n, rows) : NULL;
        try_block(bytes, n, rows, reference);
    }
    return 0;
}
