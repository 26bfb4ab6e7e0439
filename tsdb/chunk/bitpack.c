#include "tsdb/chunk/bitpack.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "tsdb/chunk/column_kernels.h"

uint8_t *bit_writer_finish(struct bit_writer *w) {
    for (unsigned done = 0; done < w->count; done += 8) {
        *w->to++ = (uint8_t)(w->pending >> done);
    }
    w->pending = 0;
    w->count = 0;
    return w->to;
}

uint64_t bit_read(const uint8_t *from, size_t size, size_t bit, unsigned width) {
    if (width == 0) {
        return 0;
    }
    const size_t at = bit >> 3;
    const unsigned skip = (unsigned)(bit & 7);
    if (size - at >= 9) {
        const uint64_t v = load_u64(from + at) >> skip;
        return (skip + width <= 64 ? v : v | (uint64_t)from[at + 8] << (64 - skip)) &
               bit_mask(width);
    }
    if (size >= 8) { /* lies in the last 8 bytes */
        return load_u64(from + size - 8) >> (bit - (size - 8) * 8) & bit_mask(width);
    }
    uint8_t padded[8] = {0};
    memcpy(padded, from, size);
    return load_u64(padded) >> bit & bit_mask(width);
}

void bitpack_read(const uint8_t *from, size_t size, size_t first_bit, unsigned width, size_t n,
                  uint64_t *out) {
    DCHECK(width <= 64 && first_bit + n * width <= size * 8);
    enum { FEW = 4 }; /* not worth the patterns of the loops */
    if (width == 0) {
        memset(out, 0, n * sizeof(*out));
    } else if (width <= KERNEL_WIDTH_MAX && n > FEW) {
        column_kernels_best()->unpack(from, size, first_bit, width, n, out);
    } else {
        for (size_t i = 0; i < n; i++) {
            out[i] = bit_read(from, size, first_bit + i * width, width);
        }
    }
}
