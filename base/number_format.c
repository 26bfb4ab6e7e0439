/* Printing numbers as Go's strconv does. */
#include <string.h>

#include "base/check.h"
#include "base/number_decimal.h"

enum { PRECISION_MAX = 300 };

/* Copies of a fixed size are two moves; that many bytes can be read behind any digit, and written
 * behind any text that is shorter than NUMBER_TEXT_MAX by as much. */
enum { MOVED = 20, DIGITS_ROOM = 2 * MOVED };

/* 0.d0 d1 d2 ... * 10^point; no digits for zero. */
struct digits {
    const char *text;
    int count;
    int point;
};

static char *put_text(char *to, const char *text, size_t n) {
    if (LIKELY(n <= MOVED)) {
        memcpy(to, text, MOVED);
    } else {
        memcpy(to, text, n);
    }
    return to + n;
}

static char *put_zeros(char *to, int n) {
    enum { FEW = 8 };
    if (n <= 0) {
        return to;
    }
    if (n <= FEW) {
        memcpy(to, "00000000", FEW);
    } else {
        memset(to, '0', (size_t)n);
    }
    return to + n;
}

/* floor(log10(v)) + 1, from the binary logarithm; 1 for 0. */
static size_t decimal_length(uint64_t v) {
    v |= 1; /* powers but 1 are even: this lifts no length but that of 0 */
    const unsigned bits = 64 - (unsigned)__builtin_clzll(v);
    const unsigned guess = bits * 1233 >> 12;
    return guess + (v >= decimal_power[guess] ? 1 : 0);
}

size_t number_format_u64(uint64_t v, char out[20]) {
    static const char pairs[201] = "00010203040506070809101112131415161718192021222324"
                                   "25262728293031323334353637383940414243444546474849"
                                   "50515253545556575859606162636465666768697071727374"
                                   "75767778798081828384858687888990919293949596979899";
    const size_t n = decimal_length(v);
    char *at = out + n;
    while (v >= 100) {
        at -= 2;
        memcpy(at, pairs + 2 * (v % 100), 2);
        v /= 100;
    }
    if (v >= 10) {
        memcpy(at - 2, pairs + 2 * v, 2);
    } else {
        at[-1] = (char)('0' + v);
    }
    return n;
}

size_t number_format_i64(int64_t v, char out[20]) {
    if (v >= 0) {
        return number_format_u64((uint64_t)v, out);
    }
    char digits[20];
    const size_t n = number_format_u64(0 - (uint64_t)v, digits);
    out[0] = '-';
    memcpy(out + 1, digits, n);
    return n + 1;
}

/* Digits d with the value d * 10^e. */
static struct digits digits_of(uint64_t d, int e, char text[DIGITS_ROOM]) {
    const int count = (int)number_format_u64(d, text);
    return (struct digits){text, count, count + e};
}

static struct digits shortest_digits(double magnitude, char text[DIGITS_ROOM]) {
    if (magnitude == 0) {
        return (struct digits){text, 0, 0};
    }
    const struct decimal_short shortest = decimal_shortest(magnitude);
    return digits_of(shortest.d, shortest.e, text);
}

static char *put_fixed(char *to, struct digits d) {
    if (d.point <= 0) {
        *to++ = '0';
        if (d.count == 0) {
            return to;
        }
        *to++ = '.';
        to = put_zeros(to, -d.point);
        return put_text(to, d.text, (size_t)d.count);
    }
    if (d.point >= d.count) {
        to = put_text(to, d.text, (size_t)d.count);
        return put_zeros(to, d.point - d.count);
    }
    to = put_text(to, d.text, (size_t)d.point);
    *to++ = '.';
    return put_text(to, d.text + d.point, (size_t)(d.count - d.point));
}

static char *put_exponent(char *to, struct digits d) {
    *to++ = d.count > 0 ? d.text[0] : '0';
    if (d.count > 1) {
        *to++ = '.';
        to = put_text(to, d.text + 1, (size_t)(d.count - 1));
    }
    int exponent = d.count > 0 ? d.point - 1 : 0;
    *to++ = 'e';
    *to++ = exponent < 0 ? '-' : '+';
    exponent = exponent < 0 ? -exponent : exponent;
    if (exponent >= 100) {
        *to++ = (char)('0' + exponent / 100);
    }
    *to++ = (char)('0' + exponent / 10 % 10);
    *to++ = (char)('0' + exponent % 10);
    return to;
}

/* NaN and infinities; 0 for a finite v. */
static size_t put_special(double v, char *out) {
    if (LIKELY(__builtin_isfinite(v))) {
        return 0;
    }
    const char *text = __builtin_isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf";
    const size_t n = strlen(text);
    memcpy(out, text, n);
    return n;
}

static char *put_sign(char *to, double v) {
    if (__builtin_signbit(v)) {
        *to++ = '-';
    }
    return to;
}

size_t number_format_f(double v, char out[NUMBER_TEXT_MAX]) {
    const size_t special = put_special(v, out);
    if (special != 0) {
        return special;
    }
    char text[DIGITS_ROOM] = {0};
    const struct digits d = shortest_digits(__builtin_fabs(v), text);
    return (size_t)(put_fixed(put_sign(out, v), d) - out);
}

size_t number_format_e(double v, char out[NUMBER_TEXT_MAX]) {
    const size_t special = put_special(v, out);
    if (special != 0) {
        return special;
    }
    char text[DIGITS_ROOM] = {0};
    const struct digits d = shortest_digits(__builtin_fabs(v), text);
    return (size_t)(put_exponent(put_sign(out, v), d) - out);
}

static char *put_general(char *to, struct digits d, int threshold) {
    const int exponent = d.point - 1;
    const bool scientific = exponent < -4 || exponent >= threshold;
    return scientific ? put_exponent(to, d) : put_fixed(to, d);
}

size_t number_format_g(double v, char out[NUMBER_TEXT_MAX]) {
    const size_t special = put_special(v, out);
    if (special != 0) {
        return special;
    }
    char text[DIGITS_ROOM] = {0};
    const struct digits d = shortest_digits(__builtin_fabs(v), text);
    return (size_t)(put_general(put_sign(out, v), d, 6) - out);
}

size_t number_format_json(double v, char out[NUMBER_TEXT_MAX]) {
    const double magnitude = __builtin_fabs(v);
    const uint64_t whole = magnitude < 9007199254740992.0 ? (uint64_t)magnitude : 0; /* 2^53 */
    if ((double)whole == magnitude) {
        char *const to = put_sign(out, v);
        return (size_t)(to - out) + number_format_u64(whole, to);
    }
    if (magnitude < 1e-6 || magnitude >= 1e21) {
        return number_format_e(v, out);
    }
    return number_format_f(v, out);
}

size_t number_format_openmetrics(double v, char out[NUMBER_TEXT_MAX]) {
    size_t n = number_format_g(v == 0 ? 0 : v, out);
    if (__builtin_isfinite(v) && memchr(out, '.', n) == NULL && memchr(out, 'e', n) == NULL) {
        memcpy(out + n, ".0", 2);
        n += 2;
    }
    return n;
}

/* Rounds half to even on the exact digits. */
static void round_digits(struct decimal_digits *d, int keep) {
    if (d->count <= keep) {
        return;
    }
    const bool more = d->count > keep + 1; /* the last digit is not zero */
    const char next = d->digits[keep];
    const bool odd = ((d->digits[keep - 1] - '0') & 1) != 0;
    const bool up = next > '5' || (next == '5' && (more || odd));
    d->count = keep;
    if (up) {
        int at = keep - 1;
        while (at >= 0 && d->digits[at] == '9') {
            at--;
        }
        if (at < 0) {
            d->digits[0] = '1';
            d->count = 1;
            d->point++;
            return;
        }
        d->digits[at]++;
        d->count = at + 1;
    }
    while (d->count > 0 && d->digits[d->count - 1] == '0') {
        d->count--;
    }
}

size_t number_format_g_prec(double v, int precision, char out[NUMBER_TEXT_MAX]) {
    const size_t special = put_special(v, out);
    if (special != 0) {
        return special;
    }
    precision = precision < 1 ? 1 : precision > PRECISION_MAX ? PRECISION_MAX : precision;
    struct decimal_digits exact = {.count = 0};
    if (v != 0) {
        const struct binary b = binary_of(v);
        decimal_exact(b.m, b.e, &exact);
        round_digits(&exact, precision);
    }
    const struct digits d = {exact.digits, exact.count, exact.point};
    int threshold = precision;
    if (threshold > d.count && d.count >= d.point) {
        threshold = d.count;
    }
    return (size_t)(put_general(put_sign(out, v), d, threshold) - out);
}

static void append_double(struct buf *to, double v, size_t (*format)(double, char *)) {
    char text[NUMBER_TEXT_MAX];
    buf_append(to, text, format(v, text));
}

void buf_append_number_f(struct buf *to, double v) {
    append_double(to, v, number_format_f);
}

void buf_append_number_g(struct buf *to, double v) {
    append_double(to, v, number_format_g);
}

void buf_append_number_json(struct buf *to, double v) {
    append_double(to, v, number_format_json);
}

void buf_append_u64(struct buf *to, uint64_t v) {
    char text[20];
    buf_append(to, text, number_format_u64(v, text));
}

void buf_append_i64(struct buf *to, int64_t v) {
    char text[20];
    buf_append(to, text, number_format_i64(v, text));
}
