#include "tsdb/chunk/bitpack.h"

#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

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

/* Each value by one load of 8 bytes; from has 8 readable bytes behind each value's first byte.
 * A value of up to 57 bits fits into such a load whatever bit it starts at. */
static void read_narrow(const uint8_t *from, size_t bit, unsigned width, size_t n, uint64_t *out) {
    const uint64_t mask = bit_mask(width);
    for (size_t i = 0; i < n; i++, bit += width) {
        out[i] = (load_u64(from + (bit >> 3)) >> (bit & 7)) & mask;
    }
}

/* As read_narrow with 9 readable bytes, for 58 to 64 bits. */
static void read_wide(const uint8_t *from, size_t bit, unsigned width, size_t n, uint64_t *out) {
    const uint64_t mask = bit_mask(width);
    for (size_t i = 0; i < n; i++, bit += width) {
        const uint8_t *p = from + (bit >> 3);
        const unsigned skip = (unsigned)(bit & 7);
        uint64_t v = load_u64(p) >> skip;
        if (skip > 0) {
            v |= (uint64_t)p[8] << (64 - skip);
        }
        out[i] = v & mask;
    }
}

static inline void read_some(const uint8_t *from, size_t bit, unsigned width, size_t n,
                             uint64_t *out) {
    if (width <= 57) {
        read_narrow(from, bit, width, n, out);
    } else {
        read_wide(from, bit, width, n, out);
    }
}

void bitpack_read(const uint8_t *from, size_t size, size_t first_bit, unsigned width, size_t n,
                  uint64_t *out) {
    DCHECK(width <= 64 && first_bit + n * width <= size * 8);
    if (width == 0) {
        memset(out, 0, n * sizeof(*out));
        return;
    }
    /* Values whose first byte has 8 more behind it are read in place; the others start within the
     * last 9 bytes and are read from a padded copy of these. */
    size_t direct = 0;
    if (size >= 9 && (size - 9) * 8 + 7 >= first_bit) {
        direct = ((size - 9) * 8 + 7 - first_bit) / width + 1;
        direct = direct < n ? direct : n;
        read_some(from, first_bit, width, direct, out);
    }
    if (direct < n) {
        const size_t bit = first_bit + direct * width;
        uint8_t tail[24] = {0};
        DCHECK(size - (bit >> 3) <= 9);
        memcpy(tail, from + (bit >> 3), size - (bit >> 3));
        read_some(tail, bit & 7, width, n - direct, out + direct);
    }
}
