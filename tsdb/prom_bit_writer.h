/* Bit streams of Prometheus' chunks, written: the counterpart of prom_bits.h. Bits fill each byte
 * from the most significant one on. Private to prom_*.c. Pure. */
#ifndef TSDB_PROM_BIT_WRITER_H
#define TSDB_PROM_BIT_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/bytes.h"

struct bit_writer {
    struct buf *to;
    uint64_t window; /* right-aligned, not yet written */
    unsigned held;   /* valid bits of window, below 8 between calls */
};

/* The low n bits of v, n up to 56. */
static inline void give_short(struct bit_writer *w, uint64_t v, unsigned n) {
    w->window = w->window << n | (v & ((UINT64_C(1) << n) - 1));
    w->held += n;
    while (w->held >= 8) {
        w->held -= 8;
        buf_append_char(w->to, (char)(uint8_t)(w->window >> w->held));
    }
    w->window &= (UINT64_C(1) << w->held) - 1;
}

static inline void give(struct bit_writer *w, uint64_t v, unsigned n) {
    if (n > 32) {
        give_short(w, v >> 32, n - 32);
        n = 32;
    }
    give_short(w, v, n);
}

/* The last byte's other bits become 0. */
static inline void give_end(struct bit_writer *w) {
    if (w->held != 0) {
        give_short(w, 0, 8 - w->held);
    }
}

static inline void give_uvarint(struct bit_writer *w, uint64_t v) {
    uint8_t bytes[UVARINT_MAX];
    const uint8_t *end = put_uvarint(bytes, v);
    for (const uint8_t *p = bytes; p < end; p++) {
        give_short(w, *p, 8);
    }
}

static inline void give_varint(struct bit_writer *w, int64_t v) {
    give_uvarint(w, zigzag_encode(v));
}

/* Does v fit the field of n bits for -(2^(n-1)-1) .. 2^(n-1)? */
static inline bool fits_signed(int64_t v, unsigned n) {
    return v >= -((INT64_C(1) << (n - 1)) - 1) && v <= INT64_C(1) << (n - 1);
}

/* n ones, and a zero unless they are all that there can be. */
static inline void give_ones(struct bit_writer *w, unsigned n, unsigned max) {
    give_short(w, ((UINT64_C(1) << n) - 1) << (n < max ? 1 : 0), n + (n < max ? 1 : 0));
}

static inline void give_varbit(struct bit_writer *w, int64_t v) {
    static const uint8_t width[] = {0, 3, 6, 9, 12, 18, 25, 56, 64};
    unsigned k = 0;
    if (v != 0) {
        for (k = 1; k < 8 && !fits_signed(v, width[k]);) {
            k++;
        }
    }
    give_ones(w, k, 8);
    if (k != 0) {
        give(w, (uint64_t)v, width[k]);
    }
}

static inline void give_uvarbit(struct bit_writer *w, uint64_t v) {
    static const uint8_t width[] = {0, 3, 6, 9, 12, 18, 25, 56, 64};
    unsigned k = 0;
    if (v != 0) {
        for (k = 1; k < 8 && v >> width[k] != 0;) {
            k++;
        }
    }
    give_ones(w, k, 8);
    if (k != 0) {
        give(w, v, width[k]);
    }
}

/* ---- values ---- */

struct xor_state {
    uint64_t bits;
    unsigned leading;
    unsigned trailing;
    bool has_window;
};

static inline void give_xor(struct bit_writer *w, struct xor_state *s, uint64_t bits) {
    enum { LEADING_MAX = 31 };
    const uint64_t x = bits ^ s->bits;
    s->bits = bits;
    if (x == 0) {
        give_short(w, 0, 1);
        return;
    }
    unsigned leading = (unsigned)__builtin_clzll(x);
    const unsigned trailing = (unsigned)__builtin_ctzll(x);
    leading = leading > LEADING_MAX ? LEADING_MAX : leading;
    if (s->has_window && leading >= s->leading && trailing >= s->trailing) {
        give_short(w, 2, 2);
    } else {
        s->has_window = true;
        s->leading = leading;
        s->trailing = trailing;
        give_short(w, 3, 2);
        give_short(w, leading, 5);
        give_short(w, (64 - leading - trailing) & 63, 6);
    }
    give(w, x >> s->trailing, 64 - s->leading - s->trailing);
}

#endif
