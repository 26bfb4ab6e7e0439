/* Reading decimal text, correctly rounded.
 *
 * The first 19 digits w and the power of ten q give the double in three steps, each falling
 * through when it cannot be sure:
 *   1. w < 2^53 and |q| <= 22: one exact IEEE operation (Clinger, "How to read floating point
 *      numbers accurately", 1990).
 *   2. w times a 128-bit 10^q (after Lemire, "Number parsing at a gigabyte per second", 2021).
 *      The table is rounded down, so the true product lies in [U, U + 2) for the upper 128 bits
 *      U of the computed one; unless a rounding border lies in between, the result is certain.
 *   3. The digits of the text against all the digits of the border. */
#include <string.h>

#include "base/attr.h"
#include "base/bytes.h"
#include "base/number_decimal.h"
#include "base/number_table.h"
#include "base/value.h"

enum {
    DIGITS_MAX = 19, /* that always fit 64 bits */
    FRACTION_BITS = 52,
    EXPONENT_BIAS = 1023,
    EXPONENT_INFINITE = 2047,
};

/* Far beyond any double and any length of text; keeps sums from overflowing. */
#define EXPONENT_CAP (INT64_C(1) << 50)

/* scanning */

static bool is_digit(char c) {
    return (unsigned)(c - '0') < 10;
}

struct scan {
    const char *at;
    const char *end;
    uint64_t mantissa;
    int64_t exponent;
    const char *first; /* first significant digit */
    const char *last;  /* behind the last digit */
    int count;
    bool any;
    bool cut;
};

/* A run of digits; place is -1 behind the point, where each digit taken lowers the exponent. */
static void scan_digits(struct scan *s, int place) {
    for (; s->at < s->end && is_digit(*s->at); s->at++) {
        const unsigned digit = (unsigned)(*s->at - '0');
        s->any = true;
        if (s->count == 0 && digit == 0) {
            s->exponent += place;
            continue;
        }
        if (s->count == 0) {
            s->first = s->at;
        }
        if (s->count < DIGITS_MAX) {
            s->mantissa = s->mantissa * 10 + digit;
            s->count++;
            s->exponent += place;
        } else {
            s->cut |= digit != 0;
            s->exponent += place + 1;
        }
        s->last = s->at + 1;
    }
}

static bool scan_exponent(struct scan *s) {
    if (s->at == s->end || (*s->at | 0x20) != 'e') {
        return true;
    }
    s->at++;
    bool negative = false;
    if (s->at < s->end && (*s->at == '+' || *s->at == '-')) {
        negative = *s->at++ == '-';
    }
    if (s->at == s->end || !is_digit(*s->at)) {
        return false;
    }
    int64_t value = 0;
    for (; s->at < s->end && is_digit(*s->at); s->at++) {
        if (value < EXPONENT_CAP) {
            value = value * 10 + (*s->at - '0');
        }
    }
    s->exponent += negative ? -value : value;
    return true;
}

bool decimal_scan(struct str text, struct decimal_text *out) {
    if (text.len == 0) {
        return false;
    }
    struct scan s = {.at = text.ptr, .end = text.ptr + text.len};
    const bool negative = *s.at == '-';
    if (negative || *s.at == '+') {
        s.at++;
    }
    scan_digits(&s, 0);
    if (s.at < s.end && *s.at == '.') {
        s.at++;
        scan_digits(&s, -1);
    }
    if (!s.any || !scan_exponent(&s) || s.at != s.end) {
        return false;
    }
    *out = (struct decimal_text){
        .negative = negative,
        .cut = s.cut,
        .mantissa = s.mantissa,
        .exponent = s.exponent,
        .digit_count = s.count,
        .digits = {s.first != NULL ? s.first : "", s.count > 0 ? (size_t)(s.last - s.first) : 0},
    };
    return true;
}

/* rounding */

/* A double of its mantissa, hidden bit included, and biased exponent (1 for subnormals). */
static double assemble(uint64_t mantissa, int biased) {
    if (mantissa == UINT64_C(1) << (FRACTION_BITS + 1)) {
        mantissa >>= 1;
        biased++;
    }
    if (biased >= EXPONENT_INFINITE) {
        return f64_of_bits((uint64_t)EXPONENT_INFINITE << FRACTION_BITS);
    }
    if (mantissa < UINT64_C(1) << FRACTION_BITS) {
        return f64_of_bits(mantissa); /* subnormal or zero */
    }
    const uint64_t fraction = mantissa & ((UINT64_C(1) << FRACTION_BITS) - 1);
    return f64_of_bits(fraction | (uint64_t)biased << FRACTION_BITS);
}

/* Step 2. False when the rounding is in doubt; *out is then one of the two candidates. */
static bool round_product(uint64_t w, int q, double *out) {
    const int zeros = __builtin_clzll(w);
    const uint64_t wide = w << zeros;
    const struct u128 *power = number_power(q);
    const unsigned __int128 low = (unsigned __int128)wide * power->lo;
    const unsigned __int128 u = (unsigned __int128)wide * power->hi + (uint64_t)(low >> 64);

    /* u is 127 or 128 bits long; w * 10^q is u * 2^(floor(log2(10^q)) - 63 - zeros). */
    const int length = 127 + (int)(u >> 127);
    const int top = number_log2_of_power10(q) - 64 - zeros + length; /* of the top bit */
    int biased = top + EXPONENT_BIAS;
    int keep = FRACTION_BITS + 1;
    if (biased <= 0) {
        keep += biased - 1;
        biased = 1;
    }
    if (keep < 0) {
        *out = 0;
        return true;
    }
    const int drop = length - keep; /* 74 .. 128 */
    const uint64_t kept = drop == 128 ? 0 : (uint64_t)(u >> drop);
    const unsigned __int128 half = (unsigned __int128)1 << (drop - 1);
    const unsigned __int128 rest = drop == 128 ? u : u & (half * 2 - 1);
    bool up = rest > half;
    bool sure = rest > half || rest + 2 <= half;
    if (q >= 0 && q <= NUMBER_POWER_EXACT_MAX) {
        up = rest > half || (rest == half && ((uint64_t)low != 0 || (kept & 1) != 0));
        sure = true;
    }
    *out = assemble(kept + (up ? 1 : 0), biased);
    return sure;
}

/* Three-way comparison of the text's digits with 0.<digits> * 10^point, both without sign. */
static int compare_digits(const struct decimal_text *text, const struct decimal_digits *border) {
    const int64_t text_point = text->exponent + text->digit_count;
    if (text_point != border->point) {
        return text_point < border->point ? -1 : 1;
    }
    int at = 0;
    for (size_t i = 0; i < text->digits.len; i++) {
        const char c = text->digits.ptr[i];
        if (c == '.') {
            continue;
        }
        const char want = at < border->count ? border->digits[at] : '0';
        if (c != want) {
            return c < want ? -1 : 1;
        }
        at++;
    }
    return at < border->count ? -1 : 0;
}

/* Compares the text with the middle between the non-negative double of bits and the next one. */
static int compare_with_middle(const struct decimal_text *text, uint64_t bits) {
    const struct binary b = binary_of(f64_of_bits(bits));
    struct decimal_digits middle;
    decimal_exact(2 * b.m + 1, b.e - 1, &middle);
    return compare_digits(text, &middle);
}

/* Step 3: from a candidate at most a few steps away. */
static COLD double round_exactly(const struct decimal_text *text, double candidate) {
    const uint64_t infinite = (uint64_t)EXPONENT_INFINITE << FRACTION_BITS;
    uint64_t bits = f64_bits(candidate);
    if (bits == infinite) {
        bits--;
    }
    for (;;) {
        const int above = compare_with_middle(text, bits);
        if (above > 0 || (above == 0 && (bits & 1) != 0)) {
            bits++;
            if (bits == infinite) {
                break;
            }
            continue;
        }
        if (bits == 0) {
            break;
        }
        const int below = compare_with_middle(text, bits - 1);
        if (below > 0 || (below == 0 && (bits & 1) == 0)) {
            break;
        }
        bits--;
    }
    return f64_of_bits(bits);
}

static double round_magnitude(const struct decimal_text *text) {
    const uint64_t w = text->mantissa;
    const int64_t q = text->exponent;
    if (w == 0 || q < NUMBER_POWER_MIN) {
        return 0; /* below 10^19 * 10^-343, less than half the smallest double */
    }
    if (q > 308) {
        return f64_of_bits((uint64_t)EXPONENT_INFINITE << FRACTION_BITS);
    }
    if (!text->cut && w < (UINT64_C(1) << 53) && q >= -NUM_SCALE_MAX && q <= NUM_SCALE_MAX) {
        return q < 0 ? (double)w / num_power_of_ten[-q] : (double)w * num_power_of_ten[q];
    }
    double result = 0;
    bool sure = round_product(w, (int)q, &result);
    if (text->cut) {
        double above = 0;
        sure = sure && round_product(w + 1, (int)q, &above) && f64_same_bits(result, above);
    }
    return LIKELY(sure) ? result : round_exactly(text, result);
}

double decimal_round(const struct decimal_text *text) {
    const double magnitude = round_magnitude(text);
    return text->negative ? -magnitude : magnitude;
}

bool decimal_special(struct str text, double *out) {
    if (str_eq_nocase(text, STR("nan"))) {
        *out = f64_of_bits(NORMAL_NAN_BITS);
        return true;
    }
    const bool negative = str_starts(text, STR("-"));
    if (negative || str_starts(text, STR("+"))) {
        text = str_from(text, 1);
    }
    if (str_eq_nocase(text, STR("inf")) || str_eq_nocase(text, STR("infinity"))) {
        *out = negative ? -__builtin_inf() : __builtin_inf();
        return true;
    }
    return false;
}

enum number_result number_parse_double(struct str text, double *out) {
    struct decimal_text decimal;
    if (UNLIKELY(!decimal_scan(text, &decimal))) {
        return decimal_special(text, out) ? NUMBER_OK : NUMBER_SYNTAX;
    }
    const double v = decimal_round(&decimal);
    if (UNLIKELY(__builtin_isinf(v))) {
        return NUMBER_RANGE;
    }
    *out = v;
    return NUMBER_OK;
}

/* integers */

enum number_result number_parse_u64(struct str text, uint64_t *out) {
    uint64_t v = 0;
    bool overflow = false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i])) {
            return NUMBER_SYNTAX;
        }
        overflow |= __builtin_mul_overflow(v, 10, &v);
        overflow |= __builtin_add_overflow(v, (uint64_t)(text.ptr[i] - '0'), &v);
    }
    if (text.len == 0) {
        return NUMBER_SYNTAX;
    }
    if (overflow) {
        return NUMBER_RANGE;
    }
    *out = v;
    return NUMBER_OK;
}

enum number_result number_parse_i64(struct str text, int64_t *out) {
    const bool negative = str_starts(text, STR("-"));
    if (negative || str_starts(text, STR("+"))) {
        text = str_from(text, 1);
    }
    uint64_t magnitude = 0;
    const enum number_result result = number_parse_u64(text, &magnitude);
    if (result != NUMBER_OK) {
        return result;
    }
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
        return NUMBER_RANGE;
    }
    *out = (int64_t)(negative ? 0 - magnitude : magnitude);
    return NUMBER_OK;
}
