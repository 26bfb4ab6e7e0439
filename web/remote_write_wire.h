/* Bytes of prometheus.WriteRequest as nearly all are: each string shorter than 128 bytes, then one sample.
 *
 *     0a n  0a n name 12 n value   ... one per label
 *     12 n  09 value(8) 10 timestamp
 *
 * What is refused here is not wrong; it is left to the general decoder. Private to remote_write_usual.c and
 * remote_write_forms.c. Callers see to it that WIRE_SLACK_BYTES behind all that is compared can be read. */
#ifndef WEB_REMOTE_WRITE_WIRE_H
#define WEB_REMOTE_WRITE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/attr.h"
#include "base/bytes.h"

enum {
    WIRE_SLACK_BYTES = 16,
    WIRE_SHORT_MAX = 0x7F,
    WIRE_TAG_FIRST = 0x0A,  /* field 1, bytes */
    WIRE_TAG_SECOND = 0x12, /* field 2, bytes */
    WIRE_TAG_DOUBLE = 0x09, /* field 1, fixed 64 */
    WIRE_TAG_VARINT = 0x10, /* field 2, varint */
    WIRE_VALUE_AT = 3,      /* in a sample, with its tag */
    WIRE_TIME_AT = 12,
};

#define WIRE_HIGH_BITS UINT64_C(0x8080808080808080)

/* Name and value of a label, each with its length first; both are inside the series. */
struct wire_label {
    const uint8_t *name;
    const uint8_t *value;
};

static inline bool wire_is_label(const uint8_t *at, const uint8_t *end) {
    return end - at > 6 && *at == WIRE_TAG_FIRST;
}

/* The label at a position where wire_is_label; returns what is behind it, or NULL. */
static inline const uint8_t *wire_take_label(const uint8_t *at, const uint8_t *end,
                                             struct wire_label *out) {
    const size_t all = at[1];
    const size_t name_len = at[3];
    if (all > WIRE_SHORT_MAX || (size_t)(end - at) < all + 2 || at[2] != WIRE_TAG_FIRST ||
        name_len == 0 || name_len + 5 > all || at[4 + name_len] != WIRE_TAG_SECOND) {
        return NULL;
    }
    out->name = at + 3;
    out->value = at + 5 + name_len;
    return *out->value != 0 && *out->value + name_len + 4 == all ? at + all + 2 : NULL;
}

#if defined(__SSE2__)

static ALWAYS_INLINE unsigned wire_same_bits(const uint8_t *a, const uint8_t *b) {
    return (unsigned)_mm_movemask_epi8(
        _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)a), _mm_loadu_si128((const __m128i *)b)));
}

#else

/* A bit for each of 16 bytes that are equal. */
static ALWAYS_INLINE unsigned wire_same_bits(const uint8_t *a, const uint8_t *b) {
    unsigned bits = 0;
    for (size_t i = 0; i < WIRE_SLACK_BYTES; i++) {
        bits |= (a[i] == b[i] ? 1U : 0U) << i;
    }
    return bits;
}

#endif

/* Most strings are one step, whatever their length. */
static ALWAYS_INLINE bool wire_same_bytes(const uint8_t *a, const uint8_t *b, size_t n) {
    enum { ALL = (1 << WIRE_SLACK_BYTES) - 1 };
    for (; n > WIRE_SLACK_BYTES;
         a += WIRE_SLACK_BYTES, b += WIRE_SLACK_BYTES, n -= WIRE_SLACK_BYTES) {
        if (wire_same_bits(a, b) != ALL) {
            return false;
        }
    }
    return (~wire_same_bits(a, b) & ((1U << n) - 1)) == 0;
}

/* A varint that is the n bytes of word: seven bits of each, put together pairwise. False: it is longer
 * or shorter. */
static inline bool wire_read_varint(uint64_t word, size_t n, uint64_t *out) {
    const uint64_t bytes = n < 8 ? word & ~(UINT64_MAX << (8 * n)) : word;
    if ((bytes & WIRE_HIGH_BITS) != (WIRE_HIGH_BITS & ~(UINT64_MAX << (8 * n - 8)))) {
        return false;
    }
    uint64_t v = bytes & ~WIRE_HIGH_BITS;
    v = (v & UINT64_C(0x007F007F007F007F)) | (v & UINT64_C(0x7F007F007F007F00)) >> 1;
    v = (v & UINT64_C(0x00003FFF00003FFF)) | (v & UINT64_C(0x3FFF00003FFF0000)) >> 2;
    *out = (v & UINT64_C(0x0FFFFFFF)) | (v & UINT64_C(0x0FFFFFFF00000000)) >> 4;
    return true;
}

/* One sample and nothing else. */
static inline bool wire_take_sample(const uint8_t *at, const uint8_t *end, double *out_value,
                                    int64_t *out_ts_ms) {
    const size_t ts_bytes = (size_t)(end - at) - WIRE_TIME_AT;
    if (end - at <= WIRE_TIME_AT || at[0] != WIRE_TAG_SECOND || at[1] != end - at - 2 ||
        at[2] != WIRE_TAG_DOUBLE || at[WIRE_TIME_AT - 1] != WIRE_TAG_VARINT || ts_bytes > 8) {
        return false;
    }
    uint64_t ts;
    memcpy(out_value, at + WIRE_VALUE_AT, sizeof(*out_value));
    const bool ok = wire_read_varint(load_u64(at + WIRE_TIME_AT), ts_bytes, &ts);
    *out_ts_ms = ok ? (int64_t)ts : 0;
    return ok;
}

#endif
