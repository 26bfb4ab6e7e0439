/* Integers of a fixed number of bits, back to back, lowest bit first: value i of width w occupies
 * bits [first + i * w, first + (i + 1) * w) of a little-endian bit string. Pure. */
#ifndef TSDB_CHUNK_BITPACK_H
#define TSDB_CHUNK_BITPACK_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* Appends bits to memory that the caller sized. */
struct bit_writer {
    uint8_t *to;
    uint64_t pending; /* bits not yet written, low ones first */
    unsigned count;   /* of them: 0 .. 63 */
};

static inline struct bit_writer bit_writer_at(uint8_t *to) {
    return (struct bit_writer){to, 0, 0};
}

/* width 0 .. 64; bits of v above it must be 0. */
static inline void bit_write(struct bit_writer *w, uint64_t v, unsigned width) {
    const unsigned had = w->count;
    w->pending |= v << had;
    w->count += width;
    if (w->count >= 64) {
        w->to = put_u64(w->to, w->pending);
        w->pending = had == 0 ? 0 : v >> (64 - had);
        w->count -= 64;
    }
}
/* Pads with zeros to a whole byte; returns the byte behind. */
uint8_t *bit_writer_finish(struct bit_writer *w);

static inline unsigned bit_length(uint64_t v) {
    return v == 0 ? 0 : 64U - (unsigned)__builtin_clzll(v);
}

static inline uint64_t bit_mask(unsigned width) {
    return width >= 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
}

/* One value of width bits (0 .. 64) from bit on, which ends within size bytes. */
uint64_t bit_read(const uint8_t *from, size_t size, size_t bit, unsigned width);

/* Unpacks n values of width bits (0 .. 64) that start at bit first_bit. The caller has checked that
 * they end within size bytes; not a byte beyond is read. */
void bitpack_read(const uint8_t *from, size_t size, size_t first_bit, unsigned width, size_t n,
                  uint64_t *out);

#endif
