/* Sealed blocks, round trip: any column of samples comes back bit for bit. The input is a run of
 * samples, each a control byte and up to 8 bytes of value. */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/cursor.h"
#include "base/mem.h"
#include "tsdb/chunk/block.h"
#include "tsdb/storage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Control: bits 0-1 form, 2-3 state, 4-7 bytes or scale. */
static struct num read_value(struct cursor *c, uint8_t control, struct num before) {
    switch (control & 3) {
    case 0:
        return before;
    case 1: { /* a small step from the value before */
        struct num v = before;
        const int8_t step = (int8_t)cursor_u8(c);
        v.m += v.kind == NUM_DECIMAL ? step : 0;
        return v.m < NUM_MANTISSA_LIMIT && v.m > -NUM_MANTISSA_LIMIT ? v : before;
    }
    case 2: {
        const int64_t m = (int64_t)cursor_u64(c) >> (11 + (control >> 4) * 3 % 50);
        return (struct num){.m = m % NUM_MANTISSA_LIMIT,
                            .scale = (uint8_t)((control >> 4) % (NUM_SCALE_MAX + 1)),
                            .kind = NUM_DECIMAL};
    }
    default:
        return num_raw(f64_of_bits(cursor_u64(c)));
    }
}

/* One slot of a run, against the integers that it refers to or NULL. */
static void check_slot(const uint8_t *bytes, size_t n, const struct block_ints *reference,
                       const struct num *values, const uint8_t *states, uint32_t rows) {
    static double decoded[BLOCK_ROWS_MAX + 8];
    static uint16_t rows_at[BLOCK_ROWS_MAX + 8];
    uint8_t *exact = mem_alloc(n + 1);
    memcpy(exact, bytes, n);
    struct block_column column = {.values = decoded, .rows = rows_at};
    const enum err_code code = block_decode(exact, n, rows, reference, &column);
    ASSERT(code == ERR_OK);
    uint32_t at = 0;
    for (uint32_t row = 0; row < rows; row++) {
        if (states[row] == SLOT_ABSENT) {
            continue;
        }
        ASSERT(at < column.count && (column.dense ? at : rows_at[at]) == row);
        ASSERT(f64_bits(decoded[at]) ==
               (states[row] == SLOT_STALE ? STALE_NAN_BITS : f64_bits(num_double(values[row]))));
        at++;
    }
    ASSERT(at == column.count);
    mem_free(exact);
}

/* All of the column, and again as two slots of half its rows, the second of which may refer to the
 * first. */
static void check_slots(const struct num *values, const uint8_t *states, uint32_t rows) {
    static int64_t m[BLOCK_ROWS_MAX + 8];
    static uint8_t stale[BLOCK_ROWS_MAX + 8];
    static uint16_t at[BLOCK_ROWS_MAX + 8];
    struct block_encoder *e = block_encoder_new();
    uint8_t *first = mem_alloc(block_bytes_max(rows));
    uint8_t *second = mem_alloc(block_bytes_max(rows));
    size_t n = block_encode(e, values, states, rows, first);
    check_slot(first, n, NULL, values, states, rows);
    const uint32_t half = rows / 2;
    if (half > 0) {
        struct block_ints ints = {.m = m, .stale = stale, .rows = at};
        block_encoder_begin(e);
        n = block_encode(e, values, states, half, first);
        const enum err_code code = block_decode_ints(first, n, half, NULL, &ints);
        ASSERT(code == ERR_OK);
        n = block_encode(e, values + half, states + half, half, second);
        check_slot(second, n, block_reference(second, n) != 0 ? &ints : NULL, values + half,
                   states + half, half);
    }
    mem_free(first);
    mem_free(second);
    block_encoder_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct num values[BLOCK_ROWS_MAX];
    static uint8_t states[BLOCK_ROWS_MAX];
    struct cursor c = cursor_of(data, size);
    struct num before = num_of_i64(0);
    uint32_t rows = 0;
    while (cursor_left(&c) > 0 && rows < BLOCK_ROWS_MAX) {
        const uint8_t control = cursor_u8(&c);
        before = read_value(&c, control, before);
        values[rows] = before;
        states[rows++] = (uint8_t)((control >> 2 & 3) % 3 == 0   ? SLOT_VALUE
                                   : (control >> 2 & 3) % 3 == 1 ? SLOT_ABSENT
                                                                 : SLOT_STALE);
    }
    if (rows == 0) {
        return 0;
    }
    check_slots(values, states, rows);
    return 0;
}
