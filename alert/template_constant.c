#include "alert/template_constant.h"

#include <math.h>
#include <string.h>

#include "base/number.h"
#include "base/utf8.h"

enum { NOT_A_DIGIT = 99 };

static int digit_of(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : NOT_A_DIGIT;
}

static size_t unescape_digits(struct str s, size_t at, size_t count, int base, uint32_t *out) {
    uint32_t value = 0;
    for (size_t i = 0; i < count; i++) {
        if (at + i >= s.len || digit_of(s.ptr[at + i]) >= base) {
            return 0;
        }
        value = value * (uint32_t)base + (uint32_t)digit_of(s.ptr[at + i]);
    }
    *out = value;
    return count;
}

bool template_unescape(struct arena *arena, struct str s, struct str *out) {
    static const char from[] = "abfnrtv\\'\"";
    static const char to[] = "\a\b\f\n\r\t\v\\'\"";
    char *text = arena_alloc(arena, 4 * s.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len;) {
        if (s.ptr[i] != '\\') {
            text[n++] = s.ptr[i++];
            continue;
        }
        if (i + 1 >= s.len) {
            return false;
        }
        const char c = s.ptr[i + 1];
        const char *known = memchr(from, c, sizeof(from) - 1);
        uint32_t value = 0;
        size_t used = 0;
        if (known != NULL) {
            text[n++] = to[known - from];
            i += 2;
            continue;
        }
        if (c == 'x') {
            used = unescape_digits(s, i + 2, 2, 16, &value);
        } else if (c == 'u' || c == 'U') {
            used = unescape_digits(s, i + 2, c == 'u' ? 4 : 8, 16, &value);
        } else if (c >= '0' && c <= '7') {
            used = unescape_digits(s, i + 1, 3, 8, &value);
            i -= used != 0;
        }
        const bool rune = c == 'u' || c == 'U';
        if (used == 0 || value > (rune ? 0x10FFFF : 0xFF) ||
            (rune && value >= 0xD800 && value < 0xE000)) {
            return false;
        }
        if (rune) {
            n += utf8_encode(value, text + n);
        } else {
            text[n++] = (char)value;
        }
        i += 2 + used;
    }
    *out = (struct str){text, n};
    return true;
}

/* An underscore stands between two digits, or between the prefix of a base and a digit. */
static bool underscores_ok(struct str digits, bool prefixed) {
    bool digit_before = prefixed;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] == '_' && (!digit_before || i + 1 == digits.len)) {
            return false;
        }
        digit_before = digits.ptr[i] != '_';
    }
    return true;
}

enum template_integer template_integer_parse(struct str text, int64_t *out) {
    const bool negative = text.len > 0 && text.ptr[0] == '-';
    const bool sign = negative || (text.len > 0 && text.ptr[0] == '+');
    text = str_from(text, sign);
    int base = 10;
    if (text.len > 1 && text.ptr[0] == '0') {
        const char c = (char)(text.ptr[1] | 0x20);
        base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
        text = str_from(text, c == 'x' || c == 'b' || c == 'o' ? 2 : 1);
    }
    if (text.len == 0 || !underscores_ok(text, base != 10)) {
        return TEMPLATE_INTEGER_NONE;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        const int digit = text.ptr[i] == '_' ? 0 : digit_of(text.ptr[i]);
        const uint64_t scale = text.ptr[i] == '_' ? 1 : (uint64_t)base;
        if (digit >= base || __builtin_mul_overflow(value, scale, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value)) {
            return TEMPLATE_INTEGER_NONE;
        }
    }
    if (value > (uint64_t)INT64_MAX + negative) {
        return sign ? TEMPLATE_INTEGER_NONE : TEMPLATE_INTEGER_UNSIGNED;
    }
    *out = negative ? (int64_t)(0 - value) : (int64_t)value;
    return TEMPLATE_INTEGER_OK;
}

/* 0x1.8p3: exact, because both parts are */
static bool parse_hex_float(struct str text, double *out) {
    const bool negative = text.ptr[0] == '-';
    text = str_from(text, negative || text.ptr[0] == '+');
    const ptrdiff_t p =
        str_find_char(text, 'p') >= 0 ? str_find_char(text, 'p') : str_find_char(text, 'P');
    if (text.len < 3 || (text.ptr[1] | 0x20) != 'x' || p < 0) {
        return false;
    }
    int64_t exponent = 0;
    if (number_parse_i64(str_from(text, (size_t)p + 1), &exponent) != NUMBER_OK ||
        exponent < -2000 || exponent > 2000) {
        return false;
    }
    double value = 0;
    bool fraction = false;
    for (size_t i = 2; i < (size_t)p; i++) {
        if (text.ptr[i] == '.') {
            fraction = true;
        } else if (text.ptr[i] != '_') {
            value = value * 16 + digit_of(text.ptr[i]);
            exponent -= fraction ? 4 : 0;
        }
    }
    value = ldexp(value, (int)exponent);
    *out = negative ? -value : value;
    return isfinite(value);
}

bool template_float_parse(struct arena *arena, struct str text, double *out) {
    char *plain = arena_alloc(arena, text.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '_') {
            plain[n++] = text.ptr[i];
        } else if (i == 0 || i + 1 == text.len || digit_of(text.ptr[i - 1]) == NOT_A_DIGIT ||
                   digit_of(text.ptr[i + 1]) == NOT_A_DIGIT) {
            return false;
        }
    }
    return number_parse_double((struct str){plain, n}, out) == NUMBER_OK ||
           parse_hex_float(text, out);
}
