/* Presence of a row's samples: one bit per step. A value's own bits cannot say "absent", every
 * NaN is a legitimate value. Bits beyond the last step are zero. Pure. */
#ifndef QUERY_BITS_H
#define QUERY_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline size_t bits_words(size_t count) {
    return (count + 63) / 64;
}

static inline bool bits_get(const uint64_t *bits, size_t i) {
    return (bits[i / 64] >> (i % 64) & 1) != 0;
}

static inline void bits_set(uint64_t *bits, size_t i) {
    bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static inline void bits_clear(uint64_t *bits, size_t i) {
    bits[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

/* Eight at once; i is a multiple of eight or anything else. */
static inline void bits_set_lanes(uint64_t *bits, size_t i) {
    bits[i / 64] |= UINT64_C(0xFF) << (i % 64);
    if (i % 64 > 56) {
        bits[i / 64 + 1] |= UINT64_C(0xFF) >> (64 - i % 64);
    }
}

static inline void bits_zero(uint64_t *bits, size_t count) {
    memset(bits, 0, bits_words(count) * sizeof(*bits));
}

/* Sets the first count bits. */
static inline void bits_fill(uint64_t *bits, size_t count) {
    const size_t whole = count / 64;
    memset(bits, 0xFF, whole * sizeof(*bits));
    if (count % 64 != 0) {
        bits[whole] = (UINT64_C(1) << (count % 64)) - 1;
    }
}

static inline bool bits_any(const uint64_t *bits, size_t count) {
    uint64_t seen = 0;
    for (size_t w = 0; w < bits_words(count); w++) {
        seen |= bits[w];
    }
    return seen != 0;
}

static inline size_t bits_count(const uint64_t *bits, size_t count) {
    size_t n = 0;
    for (size_t w = 0; w < bits_words(count); w++) {
        n += (size_t)__builtin_popcountll(bits[w]);
    }
    return n;
}

/* The first set bit at or behind from, or count. for (i = bits_next(b, n, 0); i < n;
 * i = bits_next(b, n, i + 1)) visits all. */
static inline size_t bits_next(const uint64_t *bits, size_t count, size_t from) {
    if (from >= count) {
        return count;
    }
    size_t w = from / 64;
    uint64_t word = bits[w] >> (from % 64) << (from % 64);
    while (word == 0) {
        if (++w == bits_words(count)) {
            return count;
        }
        word = bits[w];
    }
    return w * 64 + (size_t)__builtin_ctzll(word);
}

#endif
