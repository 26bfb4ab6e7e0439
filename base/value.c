#include "base/value.h"

#include "base/number_decimal.h"

const double num_power_of_ten[NUM_SCALE_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

const uint64_t decimal_power[DECIMAL_POWER_MAX + 1] = {
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
    10000000000000000,
    100000000000000000,
    1000000000000000000,
    UINT64_C(10000000000000000000),
};

enum { INTEGER_SCALE_MAX = 15 }; /* 10^16 passes the mantissa's limit */

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
            mantissa > (uint64_t)NUM_MANTISSA_LIMIT / decimal_power[exponent]) {
            return false;
        }
        mantissa *= decimal_power[exponent];
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

enum { SHORT_TEXT_MAX = 19 }; /* so many digits always fit 64 bits */

/* The usual texts, "123", "-1.25", "1.073741824e+09", in one pass. False leaves the text to the
 * full scanner: anything longer, odd or wrong. */
static bool parse_short(struct str text, struct num *out) {
    const char *at = text.ptr;
    const char *end = at + text.len;
    const bool negative = *at == '-';
    at += negative;
    uint64_t mantissa = 0;
    int64_t exponent = 0;
    const char *start = at;
    const char *point = NULL;
    for (; at < end; at++) {
        const unsigned digit = (unsigned)*at - '0';
        if (digit < 10) {
            mantissa = mantissa * 10 + digit;
        } else if (*at == '.' && point == NULL) {
            point = at;
        } else {
            break;
        }
    }
    const ptrdiff_t digits = at - start - (point != NULL ? 1 : 0);
    if (point != NULL) {
        exponent = -(at - point - 1);
    }
    if (at < end) {
        if ((*at | 0x20) != 'e' || end - at < 3 || end - at > 5 || (at[1] != '+' && at[1] != '-')) {
            return false;
        }
        int64_t power = 0;
        for (const char *c = at + 2; c < end; c++) {
            const unsigned digit = (unsigned)*c - '0';
            if (digit >= 10) {
                return false;
            }
            power = power * 10 + digit;
        }
        exponent += at[1] == '-' ? -power : power;
    }
    if (digits > 0 && mantissa == 0) {
        *out = negative ? num_raw(-0.0) : num_of_i64(0);
        return true;
    }
    return digits > 0 && make_decimal(negative, mantissa, exponent, out);
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
    if (LIKELY(text.len - 1 < SHORT_TEXT_MAX) && LIKELY(parse_short(text, out))) {
        return NUMBER_OK;
    }
    if (UNLIKELY(!decimal_scan(text, &decimal))) {
        return parse_special(text, out);
    }
    if (decimal.mantissa == 0) {
        *out = decimal.negative ? num_raw(-0.0) : num_of_i64(0);
        return NUMBER_OK;
    }
    if (!decimal.cut && make_decimal(decimal.negative, decimal.mantissa, decimal.exponent, out)) {
        return NUMBER_OK;
    }
    return parse_rounded(&decimal, out);
}
