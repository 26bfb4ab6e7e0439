#include "base/value.h"

#include "base/number_decimal.h"

const double num_power_of_ten[NUM_SCALE_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

enum { INTEGER_SCALE_MAX = 15 }; /* 10^16 passes the mantissa's limit */

static const int64_t integer_powers[INTEGER_SCALE_MAX + 1] = {
    1,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    10000000000,
    100000000000,
    1000000000000,
    10000000000000,
    100000000000000,
    1000000000000000,
};

/* mantissa * 10^exponent as a decimal, if it is one; zeros at the end of the mantissa are kept
 * (1.50 stays 150 / 100, so that a series with two digits keeps one scale) unless it must shrink
 * to fit. */
static bool make_decimal(bool negative, uint64_t mantissa, int64_t exponent, struct num *out) {
    while ((mantissa >= (uint64_t)NUM_MANTISSA_LIMIT || exponent < -NUM_SCALE_MAX) &&
           mantissa % 10 == 0 && mantissa != 0 && exponent < 0) {
        mantissa /= 10;
        exponent++;
    }
    if (exponent > 0) {
        if (exponent > INTEGER_SCALE_MAX ||
            mantissa > (uint64_t)(NUM_MANTISSA_LIMIT / integer_powers[exponent])) {
            return false;
        }
        mantissa *= (uint64_t)integer_powers[exponent];
        exponent = 0;
    }
    if (mantissa >= (uint64_t)NUM_MANTISSA_LIMIT || exponent < -NUM_SCALE_MAX) {
        return false;
    }
    *out = (struct num){
        .m = negative ? -(int64_t)mantissa : (int64_t)mantissa,
        .scale = (uint8_t)-exponent,
        .kind = NUM_DECIMAL,
    };
    return true;
}

struct num num_of_double(double v) {
    const double limit = (double)NUM_MANTISSA_LIMIT;
    if (LIKELY(v > -limit && v < limit)) {
        const int64_t whole = (int64_t)v;
        if (f64_same_bits((double)whole, v)) {
            return num_of_i64(whole);
        }
        if (v != 0) {
            const struct decimal_short shortest = decimal_shortest(__builtin_fabs(v));
            struct num n;
            if (make_decimal(v < 0, shortest.d, shortest.e, &n)) {
                return n;
            }
        }
    }
    return num_raw(v);
}

static COLD enum number_result parse_special(struct str text, struct num *out) {
    double v = 0;
    if (!decimal_special(text, &v)) {
        return NUMBER_SYNTAX;
    }
    *out = num_raw(v);
    return NUMBER_OK;
}

static COLD enum number_result parse_rounded(const struct decimal_text *decimal, struct num *out) {
    const double v = decimal_round(decimal);
    if (__builtin_isinf(v)) {
        return NUMBER_RANGE;
    }
    *out = num_of_double(v);
    return NUMBER_OK;
}

enum number_result num_parse(struct str text, struct num *out) {
    struct decimal_text decimal;
    if (UNLIKELY(!decimal_scan(text, &decimal))) {
        return parse_special(text, out);
    }
    if (decimal.mantissa == 0) {
        *out = decimal.negative ? num_raw(-0.0) : num_of_i64(0);
        return NUMBER_OK;
    }
    if (LIKELY(!decimal.cut) &&
        make_decimal(decimal.negative, decimal.mantissa, decimal.exponent, out)) {
        return NUMBER_OK;
    }
    return parse_rounded(&decimal, out);
}
