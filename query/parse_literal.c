/* Numbers, durations and strings: from token to value. */
#include <math.h>

#include "base/check.h"
#include "base/duration.h"
#include "base/number.h"
#include "base/utf8.h"
#include "query/parser.h"

static int digit_of(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
}

/* Go's rule: an underscore stands between digits, or between 0x and a digit. */
static bool underscores_fit(struct str text, bool hex) {
    bool after_digit = hex;
    for (size_t i = hex ? 2 : 0; i < text.len; i++) {
        const char c = text.ptr[i];
        if (c == '_') {
            if (!after_digit || i + 1 == text.len || digit_of(text.ptr[i + 1]) >= (hex ? 16 : 10)) {
                return false;
            }
            after_digit = false;
        } else {
            after_digit = digit_of(c) < (hex ? 16 : 10);
        }
    }
    return true;
}

/* Integer of the base from byte at on, underscores skipped. False: no such, or beyond int64. */
static bool parse_integer(struct str text, size_t at, int base, double *out) {
    uint64_t value = 0;
    bool any = false;
    for (size_t i = at; i < text.len; i++) {
        if (text.ptr[i] == '_') {
            continue;
        }
        const int digit = digit_of(text.ptr[i]);
        if (digit >= base || value > ((uint64_t)INT64_MAX - (uint64_t)digit) / (uint64_t)base) {
            return false;
        }
        value = value * (uint64_t)base + (uint64_t)digit;
        any = true;
    }
    *out = (double)value;
    return any;
}

static enum number_result parse_decimal(struct parser *p, struct str text, double *out) {
    if (str_find_char(text, '_') < 0) {
        return number_parse_double(text, out);
    }
    char *digits = arena_try_alloc(p->arena, text.len, 1);
    if (digits == NULL) {
        (void)parse_fail_memory(p);
        return NUMBER_SYNTAX;
    }
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] != '_') {
            digits[n++] = text.ptr[i];
        }
    }
    return number_parse_double((struct str){digits, n}, out);
}

/* An integer with 0x or a leading zero (octal) first, then a decimal number: so 010 is 8, but
 * 08 is 8 too. */
static bool parse_plain_number(struct parser *p, struct token token, double *out) {
    const struct str text = token.text;
    const bool zero = text.len > 1 && text.ptr[0] == '0';
    const bool hex = zero && (text.ptr[1] == 'x' || text.ptr[1] == 'X');
    enum number_result result = NUMBER_SYNTAX;
    if (underscores_fit(text, hex)) {
        if (zero && parse_integer(text, hex ? 2 : 1, hex ? 16 : 8, out)) {
            return true;
        }
        if (!hex) {
            result = parse_decimal(p, text, out);
        }
    }
    if (result == NUMBER_OK) {
        return true;
    }
    return parse_fail_quoted(p, token.start, "error parsing number: strconv.ParseFloat: parsing ",
                             text,
                             result == NUMBER_RANGE ? ": value out of range" : ": invalid syntax");
}

bool parse_number(struct parser *p, struct token token, double *out) {
    enum { NS_PER_S = 1000000000 };
    if (token.type == TOKEN_NUMBER) {
        return parse_plain_number(p, token, out);
    }
    int64_t ns = 0;
    struct err err;
    if (duration_parse_ns(token.text, &ns, &err) != ERR_OK) {
        return parse_fail(p, token.start, "%s", err.text);
    }
    *out = (double)(ns / NS_PER_S) + (double)(ns % NS_PER_S) / NS_PER_S;
    return true;
}

/* ---- strings ---- */

static size_t copy_escape(struct str body, size_t at, char *out, size_t *out_bytes) {
    static const char NAMES[] = "abfnrtv";
    static const char VALUES[] = "\a\b\f\n\r\t\v";
    const char c = body.ptr[at];
    const char *name = strchr(NAMES, c);
    if (name != NULL) {
        out[0] = VALUES[name - NAMES];
        *out_bytes = 1;
        return 1;
    }
    const bool octal = c >= '0' && c <= '7';
    const size_t digits = octal ? 3 : c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) { /* the quote or the backslash itself */
        out[0] = c;
        *out_bytes = 1;
        return 1;
    }
    const size_t first = octal ? at : at + 1;
    uint32_t value = 0;
    for (size_t i = first; i < first + digits; i++) {
        value = value * (octal ? 8 : 16) + (uint32_t)digit_of(body.ptr[i]);
    }
    if (octal || c == 'x') { /* a byte, not a rune */
        out[0] = (char)(unsigned char)value;
        *out_bytes = 1;
    } else {
        *out_bytes = utf8_encode(value, out);
    }
    return first + digits - at;
}

/* The lexer has checked every escape, so none is checked again. An escape is never shorter than
 * the bytes that it stands for. */
bool parse_string(struct parser *p, struct token token, struct str *out) {
    ASSERT(token.text.len >= 2);
    const struct str body = str_sub(token.text, 1, token.text.len - 2);
    if (token.text.ptr[0] == '`' || str_find_char(body, '\\') < 0) {
        return parse_copy(p, body, out);
    }
    char *text = arena_try_alloc(p->arena, body.len + 1, 1);
    if (text == NULL) {
        return parse_fail_memory(p);
    }
    size_t n = 0;
    for (size_t at = 0; at < body.len;) {
        if (body.ptr[at] != '\\') {
            text[n++] = body.ptr[at++];
            continue;
        }
        size_t bytes = 0;
        at += 1 + copy_escape(body, at + 1, text + n, &bytes);
        n += bytes;
    }
    text[n] = '\0';
    *out = (struct str){text, n};
    return true;
}
