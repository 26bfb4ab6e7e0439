/* The exact decimal digits of a double, and the scanned parts of a decimal text: what the
 * reading and the printing of numbers share. Private to number_*.c and value.c. */
#ifndef BASE_NUMBER_DECIMAL_H
#define BASE_NUMBER_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/number.h"
#include "base/str.h"
#include "base/value.h"

/* 10^i: all that 64 bits hold. */
enum { DECIMAL_POWER_MAX = 19 };
extern const uint64_t decimal_power[DECIMAL_POWER_MAX + 1];

/* A decimal text as it was scanned: sign, the first 19 significant digits as an integer, and
 * the power of ten they are to be scaled by. */
struct decimal_text {
    bool negative;
    bool cut;          /* digits behind the 19th were not all zero */
    uint64_t mantissa; /* < 10^19 */
    int64_t exponent;
    int digit_count;   /* significant digits in mantissa */
    struct str digits; /* from the first significant digit to the last; may hold a '.' */
};

/* Finite forms only. False on a syntax error. */
bool decimal_scan(struct str text, struct decimal_text *out);
/* The correctly rounded double of a scanned text (sign included); infinite on overflow. */
double decimal_round(const struct decimal_text *text);
/* Inf, infinity, NaN with Go's rules for signs; false when it is none of them. */
bool decimal_special(struct str text, double *out);

/* The magnitude of a finite double as m * 2^e with e >= -1074. */
struct binary {
    uint64_t m;
    int e;
};

static inline struct binary binary_of(double v) {
    const uint64_t bits = f64_bits(v);
    const uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    const int biased = (int)(bits >> 52 & 2047);
    return biased == 0 ? (struct binary){fraction, -1074}
                       : (struct binary){fraction | UINT64_C(1) << 52, biased - 1075};
}

/* m * 2^e, m > 0, has at most this many significant decimal digits. */
enum { DECIMAL_DIGITS_MAX = 800 };

struct decimal_digits {
    int count;
    int point; /* value is 0.d0 d1 d2 ... * 10^point */
    char digits[DECIMAL_DIGITS_MAX];
};

/* All digits of m * 2^e (trailing zeros cut); m > 0, -1076 <= e <= 1023. */
void decimal_exact(uint64_t m, int e, struct decimal_digits *out);

/* The shortest decimal d * 10^e that reads back as v, nearest to v among the shortest. v is
 * finite and > 0. d has no trailing zero. */
struct decimal_short {
    uint64_t d;
    int e;
};
struct decimal_short decimal_shortest(double v);

#endif
