#include "tsdb/chunk/bitpack.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "tsdb/chunk/column_kernels.h"

void bit_write(struct bit_writer *w, uint64_t v, unsigned width) {
    DCHECK(width <= 64 && (v & ~bit_mask(width)) == 0);
    w->pending |= v << w->count;
    const unsigned had = w->count;
    w->count += width;
    if (w->count >= 64) {
        w->to = put_u64(w->to, w->pending);
        w->pending = had == 0 ? 0 : v >> (64 - had);
        w->count -= 64;
    }
    while (w->count >= 8) {
        *w->to++ = (uint8_t)w->pending;
        w->pending >>= 8;
        w->count -= 8;
    }
}

uint8_t *bit_writer_finish(struct bit_writer *w) {
    if (w->count > 0) {
        *w->to++ = (uint8_t)w->pending;
        w->pending = 0;
        w->count = 0;
    }
    return w->to;
}

/* As the kernels, for 58 to 64 bits: a value may lie in 9 bytes. */
static void read_wide(const uint8_t *from, size_t size, size_t bit, unsigned width, size_t n,
                      uint64_t *out) {
    const uint64_t mask = bit_mask(width);
    for (size_t i = 0; i < n; i++, bit += width) {
        uint8_t bytes[16] = {0};
        const size_t left = size - (bit >> 3);
        memcpy(bytes, from + (bit >> 3), left < 9 ? left : 9);
        const unsigned skip = (unsigned)(bit & 7);
        uint64_t v = load_u64(bytes) >> skip;
        if (skip > 0) {
            v |= (uint64_t)bytes[8] << (64 - skip);
        }
        out[i] = v & mask;
    }
}

void bitpack_read(const uint8_t *from, size_t size, size_t first_bit, unsigned width, size_t n,
                  uint64_t *out) {
    DCHECK(width <= 64 && first_bit + n * width <= size * 8);
    if (width == 0) {
        memset(out, 0, n * sizeof(*out));
    } else if (width <= KERNEL_WIDTH_MAX) {
        column_kernels_best()->unpack(from, size, first_bit, width, n, out);
    } else {
        read_wide(from, size, first_bit, width, n, out);
    }
}
