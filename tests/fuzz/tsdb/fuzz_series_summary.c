/* Summaries of blocks. The input's first byte says which of two:
 *
 * Bytes that are read as a summary: bounds hold, and what is read makes sense (what rises is plain, a
 * smallest value is not above the largest).
 *
 * Samples that a summary is written of: what is read back is what the samples have, computed here
 * sample by sample, or is not there; and it is not larger than it may be. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "tsdb/chunk/block.h"
#include "tsdb/series_summary.h"
#include "tsdb/storage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROWS = 16, BLOCKS_MAX = 40, BUDGET_BYTES = 1 << 20 };

struct column {
    struct num values[BLOCKS_MAX][ROWS];
    uint8_t states[BLOCKS_MAX][ROWS];
    uint32_t count;
};

static void check_read(const uint8_t *data, size_t size) {
    struct arena arena;
    struct series_summary s;
    if (size < 2) {
        return;
    }
    struct cursor skipped = cursor_of(data + 2, size - 2);
    struct cursor c = skipped;
    const bool whole = series_summary_skip(&skipped);
    arena_init(&arena, BUDGET_BYTES);
    const enum err_code code = series_summary_read(&c, data[0] + 256U * (data[1] % 20), &arena, &s);
    ASSERT(whole || code != ERR_OK);
    if (code == ERR_OK) {
        ASSERT(c.at == skipped.at);
    }
    for (uint32_t i = 0; code == ERR_OK && s.blocks != NULL && i < s.count; i++) {
        const struct block_summary *b = &s.blocks[i];
        ASSERT(b->plain || (!b->rises && !b->has_range && !s.steady));
        ASSERT(!b->has_range || (b->min <= b->max && b->min > -NUM_MANTISSA_LIMIT));
        ASSERT(!b->has_sum || (b->has_range && b->scale == 0));
    }
    arena_release(&arena);
}

/* Control: bits 0-1 kind of step, 2-3 size, 4-6 scale, 7 rare. */
static void make_column(struct cursor *c, struct column *to) {
    struct num v = {.m = 0, .kind = NUM_DECIMAL};
    for (to->count = 0; to->count < BLOCKS_MAX && cursor_left(c) != 0; to->count++) {
        const uint8_t control = cursor_u8(c);
        for (uint32_t row = 0; row < ROWS; row++) {
            const int64_t step = cursor_left(c) != 0 ? (int8_t)cursor_u8(c) : 0;
            to->states[to->count][row] = SLOT_VALUE;
            v.scale = control >> 4 & 3;
            v.m = (control & 3) == 0   ? v.m + step * (INT64_C(1) << (control >> 2 & 3) * 13)
                  : (control & 3) == 1 ? v.m + (step & 127)
                  : (control & 3) == 2 ? step
                                       : v.m;
            if (v.m <= -NUM_MANTISSA_LIMIT || v.m >= NUM_MANTISSA_LIMIT) {
                v.m = 0;
            }
            to->values[to->count][row] = v;
            if (control >= 0xC0 && step < -100) {
                static const double odd[] = {NAN, -0.0, INFINITY, 1.0 / 3};
                to->values[to->count][row] = num_raw(odd[(uint8_t)step % COUNT_OF(odd)]);
            } else if (control >= 0xC0 && step > 120) {
                to->states[to->count][row] = step % 2 == 0 ? SLOT_ABSENT : SLOT_STALE;
            }
        }
    }
}

static double at(const struct column *col, uint32_t block, uint32_t row) {
    return num_double(col->values[block][row]);
}

static bool is_plain(const struct column *col, uint32_t block) {
    bool plain = true;
    for (uint32_t row = 0; row < ROWS && plain; row++) {
        plain = col->states[block][row] == SLOT_VALUE && !isnan(at(col, block, row));
    }
    return plain;
}

static void check_block(const struct column *col, uint32_t block, const struct block_summary *s) {
    double low = at(col, block, 0);
    double high = low;
    __int128 sum = 0;
    ASSERT(!s->plain || is_plain(col, block));
    for (uint32_t row = 0; row < ROWS && s->plain; row++) {
        const double v = at(col, block, row);
        low = v < low ? v : low;
        high = v > high ? v : high;
        sum += s->has_sum ? (__int128)v : 0;
        if (s->rises && (row != 0 || block != 0)) {
            ASSERT(v >= (row != 0 ? at(col, block, row - 1) : at(col, block - 1, ROWS - 1)));
        }
    }
    if (s->has_range) {
        const struct num min = {.m = s->min, .scale = s->scale, .kind = NUM_DECIMAL};
        const struct num max = {.m = s->max, .scale = s->scale, .kind = NUM_DECIMAL};
        ASSERT(f64_same_bits(num_double(min), low) && f64_same_bits(num_double(max), high));
    }
    if (s->has_sum) {
        ASSERT(sum == (__int128)s->min * ROWS + (__int128)s->excess);
    }
}

static void check_round_trip(const uint8_t *data, size_t size) {
    struct cursor c = cursor_of(data, size);
    struct column *col = mem_zalloc(sizeof(*col));
    struct series_summary_builder *b = series_summary_builder_new();
    struct block_encoder *encoder = block_encoder_new();
    struct series_summary s;
    struct arena arena;
    struct buf out;
    size_t block_bytes = 0;
    make_column(&c, col);
    series_summary_begin(b);
    for (uint32_t i = 0; i < col->count; i++) {
        uint8_t bytes[BLOCK_BYTES_FIXED_MAX + ROWS * BLOCK_BYTES_PER_ROW_MAX];
        block_encoder_begin(encoder);
        const size_t n = block_encode(encoder, col->values[i], col->states[i], ROWS, bytes);
        const size_t as_if = n * 100; /* so that all of it fits at times */
        if (size % 2 == 0) {
            series_summary_add_block(b, bytes, n, ROWS);
            block_bytes += n;
        } else {
            series_summary_add_values(b, col->values[i], col->states[i], ROWS, as_if);
            block_bytes += as_if;
        }
    }
    buf_init(&out, BUDGET_BYTES);
    series_summary_write(b, &out);
    ASSERT(buf_ok(&out) && out.len <= 4 + block_bytes * SUMMARY_PER_MILLE / 1000);
    arena_init(&arena, BUDGET_BYTES);
    struct cursor in = cursor_of(out.ptr, out.len);
    ASSERT(series_summary_read(&in, col->count, &arena, &s) == ERR_OK && cursor_left(&in) == 0);
    for (uint32_t i = 0; s.blocks != NULL && i < s.count; i++) {
        check_block(col, i, &s.blocks[i]);
        for (uint32_t row = 0; row < ROWS && s.steady; row++) {
            ASSERT(f64_same_bits(at(col, i, row), at(col, 0, 0)));
        }
    }
    arena_release(&arena);
    buf_release(&out);
    block_encoder_free(encoder);
    series_summary_builder_free(b);
    mem_free(col);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > 4096) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        check_read(data + 1, size - 1);
    } else {
        check_round_trip(data + 1, size - 1);
    }
    return 0;
}
