/* Sample values: the decimal model of the storage (ARCHITECTURE.md, "Decimal values").
 *
 * A value is an integer mantissa and a decimal scale, m / 10^scale with |m| < 2^53 and
 * 0 <= scale <= 22, so that the double is one correctly rounded IEEE division and bit-identical
 * to strtod of the text. What is not such a decimal (-0, NaN payloads, infinities, 17-digit
 * doubles, huge exponents) keeps its 64 bits. Values keep their bits everywhere: compare with
 * f64_same_bits, never ==. Pure. */
#ifndef BASE_VALUE_H
#define BASE_VALUE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/attr.h"
#include "base/number.h"
#include "base/str.h"

#define STALE_NAN_BITS 0x7ff0000000000002ULL
#define NORMAL_NAN_BITS 0x7ff8000000000001ULL

enum { NUM_SCALE_MAX = 22 };
#define NUM_MANTISSA_LIMIT (INT64_C(1) << 53)

enum num_kind { NUM_DECIMAL = 0, NUM_RAW = 1 };

struct num {
    int64_t m;     /* mantissa, or for NUM_RAW the double's bits */
    uint8_t scale; /* 0 for NUM_RAW */
    uint8_t kind;  /* enum num_kind */
};

static inline uint64_t f64_bits(double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static inline double f64_of_bits(uint64_t bits) {
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static inline bool f64_same_bits(double a, double b) {
    return f64_bits(a) == f64_bits(b);
}

static inline bool f64_is_stale(double v) {
    return f64_bits(v) == STALE_NAN_BITS;
}

static inline double f64_stale(void) {
    return f64_of_bits(STALE_NAN_BITS);
}

extern const double num_power_of_ten[NUM_SCALE_MAX + 1];

/* The double it stands for, bit-exact. */
static inline double num_double(struct num n) {
    if (UNLIKELY(n.kind == NUM_RAW)) {
        return f64_of_bits((uint64_t)n.m);
    }
    return (double)n.m / num_power_of_ten[n.scale];
}

static inline struct num num_of_i64(int64_t m) {
    return (struct num){.m = m, .scale = 0, .kind = NUM_DECIMAL};
}

static inline struct num num_raw(double v) {
    return (struct num){.m = (int64_t)f64_bits(v), .scale = 0, .kind = NUM_RAW};
}

/* The decimal form when v has one whose double is v bit for bit (the shortest decimal of v, if
 * it fits), else raw. Integers below 2^53 take a fast path. */
struct num num_of_double(double v);

/* Text of an exposition page (spec/scrape.md 5.1 VALUE) to a num without going through a double
 * where possible; plain, fraction and exponent forms are the fast path. Every NaN becomes
 * NORMAL_NAN_BITS. Hex floats and underscores are NUMBER_SYNTAX. */
MUST_CHECK enum number_result num_parse(struct str text, struct num *out);

#endif
