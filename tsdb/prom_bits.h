/* Bit streams of Prometheus' chunks: bits are read from the most significant one of each byte on.
 * Private to prom_*.c. Pure. */
#ifndef TSDB_PROM_BITS_H
#define TSDB_PROM_BITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct bits {
    const uint8_t *at;
    const uint8_t *end;
    uint64_t window; /* left-aligned */
    unsigned held;   /* valid bits of window */
    bool failed;     /* read past the end; all later reads give 0 */
};

/* Up to 56 bits. */
static inline uint64_t take_short(struct bits *b, unsigned n) {
    while (b->held < n) {
        if (b->at == b->end) {
            b->failed = true;
            return 0;
        }
        b->window |= (uint64_t)*b->at++ << (56 - b->held);
        b->held += 8;
    }
    if (n == 0) {
        return 0;
    }
    const uint64_t v = b->window >> (64 - n);
    b->window <<= n;
    b->held -= n;
    return v;
}

static inline uint64_t take(struct bits *b, unsigned n) {
    if (n <= 32) {
        return take_short(b, n);
    }
    const uint64_t high = take_short(b, n - 32);
    return high << 32 | take_short(b, 32);
}

static inline uint64_t take_uvarint(struct bits *b) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        const uint64_t byte = take_short(b, 8);
        if (shift == 63 && byte > 1) {
            break;
        }
        v |= (byte & 0x7F) << shift;
        if (byte < 0x80) {
            return v;
        }
    }
    b->failed = true;
    return 0;
}

static inline int64_t take_varint(struct bits *b) {
    return zigzag_decode(take_uvarint(b));
}

/* n bits that stand for -(2^(n-1)-1) .. 2^(n-1): only fields above the middle are negative. */
static inline uint64_t take_signed(struct bits *b, unsigned n) {
    const uint64_t v = take(b, n);
    return n != 0 && n < 64 && v > UINT64_C(1) << (n - 1) ? v - (UINT64_C(1) << n) : v;
}

static inline uint64_t take_complement(struct bits *b, unsigned n) {
    const uint64_t v = take(b, n);
    return n != 0 && n < 64 && (v >> (n - 1)) != 0 ? v - (UINT64_C(1) << n) : v;
}

/* Number of ones before the zero, at most max. */
static inline unsigned take_ones(struct bits *b, unsigned max) {
    unsigned n = 0;
    while (n < max && take_short(b, 1) == 1) {
        n++;
    }
    return n;
}

static inline uint64_t take_varbit(struct bits *b) {
    static const uint8_t width[] = {0, 3, 6, 9, 12, 18, 25, 56, 64};
    return take_signed(b, width[take_ones(b, 8)]);
}

static inline uint64_t take_uvarbit(struct bits *b) {
    static const uint8_t width[] = {0, 3, 6, 9, 12, 18, 25, 56, 64};
    return take(b, width[take_ones(b, 8)]);
}

/* ---- values ---- */

struct xor_value {
    uint64_t bits;
    unsigned leading;
    unsigned trailing;
};

static inline void xor_in_window(struct bits *b, struct xor_value *v) {
    v->bits ^= take(b, 64 - v->leading - v->trailing) << v->trailing;
}

static inline void xor_new_window(struct bits *b, struct xor_value *v) {
    const unsigned leading = (unsigned)take_short(b, 5);
    const unsigned field = (unsigned)take_short(b, 6);
    const unsigned significant = field == 0 ? 64 : field;
    if (leading + significant > 64) {
        b->failed = true;
        return;
    }
    v->leading = leading;
    v->trailing = 64 - leading - significant;
    xor_in_window(b, v);
}

static inline void xor_next(struct bits *b, struct xor_value *v) {
    if (take_short(b, 1) == 0) {
        return;
    }
    if (take_short(b, 1) == 0) {
        xor_in_window(b, v);
    } else {
        xor_new_window(b, v);
    }
}

/* ---- start times ---- */

/* The start time of a chunk's sample, 0 = unknown: kept until it changes, and then told for each
 * sample by its distance from the time of the sample before, as a difference to that of the one
 * before. Modulo 2^64, as times are. */
struct start_time {
    int64_t ms;
    uint64_t distance;
};

static inline void start_first(struct start_time *s, uint64_t ts_ms, int64_t distance) {
    s->ms = (int64_t)(ts_ms - (uint64_t)distance);
}

static inline void start_later(struct start_time *s, uint64_t ts_before_ms, int64_t difference) {
    s->distance += (uint64_t)difference;
    s->ms = (int64_t)(ts_before_ms - s->distance);
}

#endif
