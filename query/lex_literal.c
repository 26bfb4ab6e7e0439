/* Literals: strings, numbers, durations. What they spell is computed in parse_literal.c. */
#include "query/lex_scan.h"

/* ---- strings ---- */

/* U+0071 'q', with the rune as it is; only U+000A when it is not printable. */
static void fail_rune(struct lexer *lex, struct token *out, const char *before, int32_t rune,
                      const char *after) {
    char escaped[QUOTED_RUNE_MAX];
    (void)lex_quote_rune(rune, escaped);
    if (escaped[1] == '\\' && rune != '\\' && rune != '\'') {
        lex_fail(lex, out, "%s U+%04X%s", before, (unsigned)rune, after);
        return;
    }
    char bytes[4];
    const size_t n = utf8_encode((uint32_t)rune, bytes);
    lex_fail(lex, out, "%s U+%04X '%.*s'%s", before, (unsigned)rune, (int)n, bytes, after);
}

static int digit_value(int32_t r) {
    if (rune_is_digit(r)) {
        return r - '0';
    }
    r = rune_lower(r);
    return r >= 'a' && r <= 'f' ? r - 'a' + 10 : 16;
}

/* Behind the backslash. False: *out is the error. */
static bool take_escape(struct lexer *lex, struct token *out, char quote) {
    int32_t r = scan_rune(lex);
    int digits = 0;
    int base = 16;
    uint32_t max = 0x10FFFF;
    if (r == quote || (r > 0 && r < 0x80 && strchr("abfnrtv\\", (char)r) != NULL)) {
        return true;
    }
    if (r >= '0' && r <= '7') {
        digits = 3;
        base = 8;
        max = 255;
    } else if (r == 'x' || r == 'u' || r == 'U') {
        digits = r == 'x' ? 2 : r == 'u' ? 4 : 8;
        r = scan_rune(lex);
    } else if (r == RUNE_EOF) {
        lex_fail(lex, out, "escape sequence not terminated");
        return false;
    } else {
        fail_rune(lex, out, "unknown escape sequence", r, "");
        return false;
    }
    uint32_t value = 0;
    for (int i = 0; i < digits; i++) {
        if (i > 0) {
            r = scan_rune(lex);
        }
        const int digit = digit_value(r);
        if (digit >= base) {
            if (r == RUNE_EOF) {
                lex_fail(lex, out, "escape sequence not terminated");
            } else {
                fail_rune(lex, out, "illegal character", r, " in escape sequence");
            }
            return false;
        }
        value = value * (uint32_t)base + (uint32_t)digit;
    }
    if (value > max || (value >= 0xD800 && value < 0xE000)) {
        lex_fail(lex, out, "escape sequence is an invalid Unicode code point");
        return false;
    }
    return true;
}

void lex_string(struct lexer *lex, struct token *out, char quote) {
    for (;;) {
        const int32_t r = scan_rune(lex);
        if (r == '\\') {
            if (!take_escape(lex, out, quote)) {
                return;
            }
        } else if (r == RUNE_INVALID) {
            lex_fail(lex, out, "invalid UTF-8 rune");
            return;
        } else if (r == RUNE_EOF || r == '\n') {
            lex_fail(lex, out, "unterminated quoted string");
            return;
        } else if (r == quote) {
            lex_emit(lex, out, TOKEN_STRING);
            return;
        }
    }
}

void lex_raw_string(struct lexer *lex, struct token *out) {
    for (;;) {
        const int32_t r = scan_rune(lex);
        if (r == RUNE_INVALID || r == RUNE_EOF) {
            lex_fail(lex, out, r == RUNE_EOF ? "unterminated raw string" : "invalid UTF-8 rune");
            return;
        }
        if (r == '`') {
            lex_emit(lex, out, TOKEN_STRING);
            return;
        }
    }
}

/* ---- numbers and durations ---- */

/* Takes what looks like a number: [.]digits with '.', '_', exponent. False when it is none, or
 * when it runs into a letter; pos then stands behind the offending part, which the error shows. */
static bool take_number(struct lexer *lex) {
    const char *digits = "0123456789";
    bool hex = false;
    bool dot = false;
    bool exponent = false;
    if (scan_in(lex, "0") && scan_in(lex, "xX")) {
        (void)scan_in(lex, "_");
        digits = "0123456789abcdefABCDEF";
        hex = true;
    }
    (void)scan_in(lex, ".");
    (void)scan_in(lex, digits);
    for (;;) {
        if (scan_peek_in(lex, ".")) {
            lex->pos++;
            /* A second dot, a fraction of a hexadecimal number, "1._" and "1..". */
            if (dot || scan_in(lex, "_.") || hex) {
                return false;
            }
            dot = true;
        } else if (scan_peek_in(lex, "eE")) {
            lex->pos++;
            if (exponent) {
                return false;
            }
            exponent = true;
            (void)scan_in(lex, "+-");
            if (scan_in(lex, "._eE") || lex->pos >= lex->input.len) {
                return false;
            }
        } else if (scan_in(lex, "_")) {
            if (scan_in(lex, "._eE") || lex->pos >= lex->input.len) {
                return false;
            }
        } else if (scan_peek_in(lex, digits)) {
            while (scan_in(lex, digits)) {
            }
        } else {
            return !rune_is_alnum(scan_peek(lex));
        }
    }
}

/* The rest of a duration whose first number is taken. Units out of order are left to the parser. */
static bool take_duration_rest(struct lexer *lex) {
    if (!scan_in(lex, "smhdwy")) {
        return false;
    }
    (void)scan_in(lex, "s"); /* "ms", but also "hs", which the parser refuses by name */
    while (scan_in(lex, "0123456789")) {
        while (scan_in(lex, "0123456789")) {
        }
        if (!scan_in(lex, "smhdw")) {
            return false;
        }
        (void)scan_in(lex, "s");
    }
    if (rune_is_alnum(scan_peek(lex))) {
        lex->pos++; /* shown in the error */
        return false;
    }
    return true;
}

void lex_number_or_duration(struct lexer *lex, struct token *out) {
    if (take_number(lex)) {
        lex_emit(lex, out, TOKEN_NUMBER);
        return;
    }
    if (take_duration_rest(lex)) {
        lex_emit(lex, out, TOKEN_DURATION);
        return;
    }
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_MAX);
    utf8_quote(&quoted, str_sub(lex->input, lex->start,
                                lex->pos - lex->start < 512 ? lex->pos - lex->start : 512));
    lex_fail(lex, out, "bad number or duration syntax: %.*s", STR_ARG(buf_str(&quoted)));
    buf_release(&quoted);
}
