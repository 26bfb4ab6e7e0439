#include "query/lex.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "base/utf8.h"

enum { RUNE_EOF = -1, RUNE_INVALID = 0xFFFD };

void lex_init(struct lexer *lex, struct str input) {
    memset(lex, 0, sizeof(*lex));
    lex->input = input;
}

/* ---- runes ---- */

/* The rune at byte offset at, and its width; RUNE_EOF with width 0 at the end. */
static int32_t rune_at(const struct lexer *lex, uint32_t at, uint32_t *out_width) {
    if (at >= lex->input.len) {
        *out_width = 0;
        return RUNE_EOF;
    }
    const unsigned char first = (unsigned char)lex->input.ptr[at];
    if (first < 0x80) {
        *out_width = 1;
        return first;
    }
    size_t width = 0;
    const uint32_t rune = utf8_rune(str_from(lex->input, at), &width);
    *out_width = (uint32_t)width;
    return (int32_t)rune;
}

static int32_t take_rune(struct lexer *lex) {
    uint32_t width = 0;
    const int32_t rune = rune_at(lex, lex->pos, &width);
    lex->pos += width;
    return rune;
}

static int32_t peek_rune(const struct lexer *lex) {
    uint32_t width = 0;
    return rune_at(lex, lex->pos, &width);
}

static bool is_space(int32_t r) {
    return r == ' ' || r == '\t' || r == '\n' || r == '\r';
}

static bool is_digit(int32_t r) {
    return r >= '0' && r <= '9';
}

static bool is_alpha(int32_t r) {
    return r == '_' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z');
}

static bool is_alnum(int32_t r) {
    return is_alpha(r) || is_digit(r);
}

static int32_t to_lower(int32_t r) {
    return r >= 'A' && r <= 'Z' ? r + ('a' - 'A') : r;
}

/* set holds ASCII only, so a byte that is not ASCII never matches. */
static bool peek_in(const struct lexer *lex, const char *set) {
    if (lex->pos >= lex->input.len) {
        return false;
    }
    const char c = lex->input.ptr[lex->pos];
    return c != '\0' && strchr(set, c) != NULL;
}

static bool take_in(struct lexer *lex, const char *set) {
    const bool found = peek_in(lex, set);
    lex->pos += found ? 1 : 0;
    return found;
}

/* ---- results ---- */

static void emit(struct lexer *lex, struct token *out, enum token_type type) {
    *out = (struct token){type, lex->start, str_sub(lex->input, lex->start, lex->pos - lex->start)};
    lex->start = lex->pos;
}

PRINTF_LIKE(3, 4) static void fail(struct lexer *lex, struct token *out, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(lex->message, sizeof(lex->message), fmt, args);
    va_end(args);
    *out = (struct token){TOKEN_ERROR, lex->start, {"", 0}};
}

enum { QUOTED_RUNE_MAX = 16 };

/* A rune in single quotes as Go prints it: 'x', '\n', '\u00a0'; the end of input as U+FFFD. */
static const char *quote_rune(int32_t rune, char out[QUOTED_RUNE_MAX]) {
    char bytes[4];
    const size_t n = utf8_encode(rune == RUNE_EOF ? RUNE_INVALID : (uint32_t)rune, bytes);
    struct buf quoted;
    buf_init(&quoted, QUOTED_RUNE_MAX);
    utf8_quote(&quoted, (struct str){bytes, n});
    /* The two forms escape their own quote only. */
    const struct str text = buf_str(&quoted);
    const struct str body = rune == '\''  ? STR("\\'")
                            : rune == '"' ? STR("\"")
                                          : str_sub(text, 1, text.len - 2);
    (void)snprintf(out, QUOTED_RUNE_MAX, "'%.*s'", STR_ARG(body));
    buf_release(&quoted);
    return out;
}

/* U+0071 'q', with the rune as it is; only U+000A when it is not printable. */
static void fail_rune(struct lexer *lex, struct token *out, const char *before, int32_t rune,
                      const char *after) {
    char escaped[QUOTED_RUNE_MAX];
    (void)quote_rune(rune, escaped);
    if (escaped[1] == '\\' && rune != '\\' && rune != '\'') {
        fail(lex, out, "%s U+%04X%s", before, (unsigned)rune, after);
        return;
    }
    char bytes[4];
    const size_t n = utf8_encode((uint32_t)rune, bytes);
    fail(lex, out, "%s U+%04X '%.*s'%s", before, (unsigned)rune, (int)n, bytes, after);
}

static void fail_char(struct lexer *lex, struct token *out, const char *before, int32_t rune) {
    char quoted[QUOTED_RUNE_MAX];
    fail(lex, out, "%s%s", before, quote_rune(rune, quoted));
}

/* ---- strings ---- */

static int digit_value(int32_t r) {
    if (is_digit(r)) {
        return r - '0';
    }
    r = to_lower(r);
    return r >= 'a' && r <= 'f' ? r - 'a' + 10 : 16;
}

/* Behind the backslash. False: *out is the error. */
static bool take_escape(struct lexer *lex, struct token *out, char quote) {
    int32_t r = take_rune(lex);
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
        r = take_rune(lex);
    } else if (r == RUNE_EOF) {
        fail(lex, out, "escape sequence not terminated");
        return false;
    } else {
        fail_rune(lex, out, "unknown escape sequence", r, "");
        return false;
    }
    uint32_t value = 0;
    for (int i = 0; i < digits; i++) {
        if (i > 0) {
            r = take_rune(lex);
        }
        const int digit = digit_value(r);
        if (digit >= base) {
            if (r == RUNE_EOF) {
                fail(lex, out, "escape sequence not terminated");
            } else {
                fail_rune(lex, out, "illegal character", r, " in escape sequence");
            }
            return false;
        }
        value = value * (uint32_t)base + (uint32_t)digit;
    }
    if (value > max || (value >= 0xD800 && value < 0xE000)) {
        fail(lex, out, "escape sequence is an invalid Unicode code point");
        return false;
    }
    return true;
}

static void take_string(struct lexer *lex, struct token *out, char quote) {
    for (;;) {
        const int32_t r = take_rune(lex);
        if (r == '\\') {
            if (!take_escape(lex, out, quote)) {
                return;
            }
        } else if (r == RUNE_INVALID) {
            fail(lex, out, "invalid UTF-8 rune");
            return;
        } else if (r == RUNE_EOF || r == '\n') {
            fail(lex, out, "unterminated quoted string");
            return;
        } else if (r == quote) {
            emit(lex, out, TOKEN_STRING);
            return;
        }
    }
}

static void take_raw_string(struct lexer *lex, struct token *out) {
    for (;;) {
        const int32_t r = take_rune(lex);
        if (r == RUNE_INVALID || r == RUNE_EOF) {
            fail(lex, out, r == RUNE_EOF ? "unterminated raw string" : "invalid UTF-8 rune");
            return;
        }
        if (r == '`') {
            emit(lex, out, TOKEN_STRING);
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
    if (take_in(lex, "0") && take_in(lex, "xX")) {
        (void)take_in(lex, "_");
        digits = "0123456789abcdefABCDEF";
        hex = true;
    }
    (void)take_in(lex, ".");
    (void)take_in(lex, digits);
    for (;;) {
        if (peek_in(lex, ".")) {
            lex->pos++;
            /* A second dot, a fraction of a hexadecimal number, "1._" and "1..". */
            if (dot || take_in(lex, "_.") || hex) {
                return false;
            }
            dot = true;
        } else if (peek_in(lex, "eE")) {
            lex->pos++;
            if (exponent) {
                return false;
            }
            exponent = true;
            (void)take_in(lex, "+-");
            if (take_in(lex, "._eE") || lex->pos >= lex->input.len) {
                return false;
            }
        } else if (take_in(lex, "_")) {
            if (take_in(lex, "._eE") || lex->pos >= lex->input.len) {
                return false;
            }
        } else if (peek_in(lex, digits)) {
            while (take_in(lex, digits)) {
            }
        } else {
            return !is_alnum(peek_rune(lex));
        }
    }
}

/* The rest of a duration whose first number is taken. Units out of order are left to the parser. */
static bool take_duration_rest(struct lexer *lex) {
    if (!take_in(lex, "smhdwy")) {
        return false;
    }
    (void)take_in(lex, "s"); /* "ms", but also "hs", which the parser refuses by name */
    while (take_in(lex, "0123456789")) {
        while (take_in(lex, "0123456789")) {
        }
        if (!take_in(lex, "smhdw")) {
            return false;
        }
        (void)take_in(lex, "s");
    }
    if (is_alnum(peek_rune(lex))) {
        lex->pos++; /* shown in the error */
        return false;
    }
    return true;
}

static void take_number_or_duration(struct lexer *lex, struct token *out) {
    if (take_number(lex)) {
        emit(lex, out, TOKEN_NUMBER);
        return;
    }
    if (take_duration_rest(lex)) {
        emit(lex, out, TOKEN_DURATION);
        return;
    }
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_MAX);
    utf8_quote(&quoted, str_sub(lex->input, lex->start,
                                lex->pos - lex->start < 512 ? lex->pos - lex->start : 512));
    fail(lex, out, "bad number or duration syntax: %.*s", STR_ARG(buf_str(&quoted)));
    buf_release(&quoted);
}

/* ---- words ---- */

struct keyword {
    const char *word;
    enum token_type type;
};

static const struct keyword KEYWORDS[] = {
    {"and", TOKEN_AND},
    {"or", TOKEN_OR},
    {"unless", TOKEN_UNLESS},
    {"atan2", TOKEN_ATAN2},
    {"sum", TOKEN_SUM},
    {"avg", TOKEN_AVG},
    {"count", TOKEN_COUNT},
    {"min", TOKEN_MIN},
    {"max", TOKEN_MAX},
    {"group", TOKEN_GROUP},
    {"stddev", TOKEN_STDDEV},
    {"stdvar", TOKEN_STDVAR},
    {"topk", TOKEN_TOPK},
    {"bottomk", TOKEN_BOTTOMK},
    {"count_values", TOKEN_COUNT_VALUES},
    {"quantile", TOKEN_QUANTILE},
    {"limitk", TOKEN_LIMITK},
    {"limit_ratio", TOKEN_LIMIT_RATIO},
    {"offset", TOKEN_OFFSET},
    {"smoothed", TOKEN_SMOOTHED},
    {"anchored", TOKEN_ANCHORED},
    {"by", TOKEN_BY},
    {"without", TOKEN_WITHOUT},
    {"on", TOKEN_ON},
    {"ignoring", TOKEN_IGNORING},
    {"group_left", TOKEN_GROUP_LEFT},
    {"group_right", TOKEN_GROUP_RIGHT},
    {"fill", TOKEN_FILL},
    {"fill_left", TOKEN_FILL_LEFT},
    {"fill_right", TOKEN_FILL_RIGHT},
    {"bool", TOKEN_BOOL},
    {"start", TOKEN_START},
    {"end", TOKEN_END},
    {"step", TOKEN_STEP},
    {"range", TOKEN_RANGE},
    {"max_of", TOKEN_MAX_OF},
    {"min_of", TOKEN_MIN_OF},
    {"inf", TOKEN_NUMBER},
    {"nan", TOKEN_NUMBER},
};

enum { KEYWORD_LEN_MAX = 12 };

static enum token_type keyword_find(struct str word) {
    if (word.len > KEYWORD_LEN_MAX) {
        return TOKEN_IDENTIFIER;
    }
    for (size_t i = 0; i < COUNT_OF(KEYWORDS); i++) {
        if (str_eq_nocase(word, str_of(KEYWORDS[i].word))) {
            return KEYWORDS[i].type;
        }
    }
    return TOKEN_IDENTIFIER;
}

/* fill and its kin are keywords only before a parenthesis, so that metrics of that name live on. */
static bool paren_follows(const struct lexer *lex) {
    uint32_t at = lex->pos;
    while (at < lex->input.len && is_space(lex->input.ptr[at])) {
        at++;
    }
    return at < lex->input.len && lex->input.ptr[at] == '(';
}

static void take_word(struct lexer *lex, struct token *out) {
    bool colon = lex->input.ptr[lex->start] == ':';
    while (lex->pos < lex->input.len) {
        const char c = lex->input.ptr[lex->pos];
        if (!is_alnum(c) && c != ':') {
            break;
        }
        colon = colon || c == ':';
        lex->pos++;
    }
    if (colon) {
        emit(lex, out, TOKEN_METRIC_IDENTIFIER);
        return;
    }
    enum token_type type = keyword_find(str_sub(lex->input, lex->start, lex->pos - lex->start));
    if ((type == TOKEN_FILL || type == TOKEN_FILL_LEFT || type == TOKEN_FILL_RIGHT) &&
        !paren_follows(lex)) {
        type = TOKEN_IDENTIFIER;
    }
    emit(lex, out, type);
}

/* step, range, min_of or max_of, whose first letter is taken. Digits end the word here. */
static bool take_duration_word(struct lexer *lex, struct token *out) {
    while (is_alpha(peek_rune(lex))) {
        lex->pos++;
    }
    const enum token_type type =
        keyword_find(str_sub(lex->input, lex->start, lex->pos - lex->start));
    if (type != TOKEN_STEP && type != TOKEN_RANGE && type != TOKEN_MAX_OF && type != TOKEN_MIN_OF) {
        return false;
    }
    emit(lex, out, type);
    return true;
}

static bool starts_duration_word(int32_t r) {
    r = to_lower(r);
    return r == 's' || r == 'r' || r == 'm';
}

/* ---- the three places ---- */

static void skip_spaces(struct lexer *lex) {
    while (lex->pos < lex->input.len && is_space(lex->input.ptr[lex->pos])) {
        lex->pos++;
    }
    lex->start = lex->pos;
}

static void skip_spaces_and_comments(struct lexer *lex) {
    for (;;) {
        skip_spaces(lex);
        if (lex->pos >= lex->input.len || lex->input.ptr[lex->pos] != '#') {
            return;
        }
        while (lex->pos < lex->input.len && lex->input.ptr[lex->pos] != '\n' &&
               lex->input.ptr[lex->pos] != '\r') {
            lex->pos++;
        }
    }
}

static void close_paren(struct lexer *lex, struct token *out) {
    emit(lex, out, TOKEN_RIGHT_PAREN);
    lex->paren_depth--;
    if (lex->paren_depth < 0) {
        fail(lex, out, "unexpected right parenthesis ')'");
    }
}

static void take_in_braces(struct lexer *lex, struct token *out) {
    const int32_t r = take_rune(lex);
    switch (r) {
    case RUNE_EOF:
        fail(lex, out, "unexpected end of input inside braces");
        return;
    case ',':
        emit(lex, out, TOKEN_COMMA);
        return;
    case '"':
    case '\'':
        take_string(lex, out, (char)r);
        return;
    case '`':
        take_raw_string(lex, out);
        return;
    case '=':
        emit(lex, out, take_in(lex, "~") ? TOKEN_EQL_REGEX : TOKEN_EQL);
        return;
    case '!':
        if (peek_in(lex, "~=")) {
            emit(lex, out, take_rune(lex) == '~' ? TOKEN_NEQ_REGEX : TOKEN_NEQ);
        } else {
            fail_char(lex, out, "unexpected character after '!' inside braces: ", peek_rune(lex));
        }
        return;
    case '{':
        fail(lex, out, "unexpected left brace '{'");
        return;
    case '}':
        emit(lex, out, TOKEN_RIGHT_BRACE);
        lex->place = LEX_ORDINARY;
        return;
    default:
        break;
    }
    if (!is_alpha(r)) {
        fail_char(lex, out, "unexpected character inside braces: ", r);
        return;
    }
    while (is_alnum(peek_rune(lex))) {
        lex->pos++;
    }
    emit(lex, out, TOKEN_IDENTIFIER);
}

static enum token_type arithmetic_type(int32_t r) {
    switch (r) {
    case '+':
        return TOKEN_ADD;
    case '-':
        return TOKEN_SUB;
    case '*':
        return TOKEN_MUL;
    case '/':
        return TOKEN_DIV;
    case '%':
        return TOKEN_MOD;
    case '^':
        return TOKEN_POW;
    case ',':
        return TOKEN_COMMA;
    default:
        return TOKEN_ERROR;
    }
}

/* Behind '[' until the first number, from which on ordinary rules (and error texts) apply. */
static void take_in_bracket(struct lexer *lex, struct token *out) {
    const int32_t r = take_rune(lex);
    const enum token_type arithmetic = arithmetic_type(r);
    if (arithmetic != TOKEN_ERROR) {
        emit(lex, out, arithmetic);
    } else if (r == RUNE_EOF) {
        fail(lex, out, "unexpected end of input in duration expression");
    } else if (r == ']') {
        emit(lex, out, TOKEN_RIGHT_BRACKET);
        lex->bracket_open = false;
        lex->place = LEX_ORDINARY;
    } else if (r == ':') {
        emit(lex, out, TOKEN_COLON);
        if (!lex->got_duration) {
            fail(lex, out, "unexpected colon before duration in duration expression");
        } else if (lex->got_colon) {
            fail(lex, out, "unexpected repeated colon in duration expression");
        }
        lex->got_colon = true;
    } else if (r == '(') {
        emit(lex, out, TOKEN_LEFT_PAREN);
        lex->paren_depth++;
    } else if (r == ')') {
        close_paren(lex, out);
    } else if (starts_duration_word(r)) {
        if (!take_duration_word(lex, out)) {
            fail_char(lex, out, "unexpected character in duration expression: ", r);
        }
    } else if (is_digit(r) || (r == '.' && is_digit(peek_rune(lex)))) {
        lex->pos--;
        lex->got_duration = true;
        lex->place = LEX_ORDINARY;
        take_number_or_duration(lex, out);
    } else {
        fail_char(lex, out, "unexpected character in duration expression: ", r);
    }
}

static void take_comparison(struct lexer *lex, struct token *out, int32_t r) {
    const bool less = r == '<';
    if (take_in(lex, "=")) {
        emit(lex, out, less ? TOKEN_LTE : TOKEN_GTE);
    } else if (take_in(lex, "/")) {
        emit(lex, out, less ? TOKEN_TRIM_UPPER : TOKEN_TRIM_LOWER);
    } else {
        emit(lex, out, less ? TOKEN_LSS : TOKEN_GTR);
    }
}

/* A letter or colon. Inside a bracket only the words of duration expressions are known. */
static void take_word_or_colon(struct lexer *lex, struct token *out, int32_t r) {
    if (!lex->bracket_open) {
        take_word(lex, out);
        return;
    }
    if (r == ':') {
        if (lex->got_colon) {
            fail(lex, out, "unexpected colon ':'");
            return;
        }
        emit(lex, out, TOKEN_COLON);
        lex->got_colon = true;
        return;
    }
    if (!starts_duration_word(r) || !take_duration_word(lex, out)) {
        char quoted[QUOTED_RUNE_MAX];
        fail(lex, out, "unexpected character: %s, expected ':'", quote_rune(r, quoted));
    }
}

static void take_end(struct lexer *lex, struct token *out) {
    if (lex->paren_depth != 0) {
        fail(lex, out, "unclosed left parenthesis");
    } else if (lex->bracket_open) {
        fail(lex, out, "unclosed left bracket");
    } else {
        emit(lex, out, TOKEN_EOF);
    }
}

static void open_bracket(struct lexer *lex, struct token *out) {
    if (lex->bracket_open) {
        fail(lex, out, "unexpected left bracket '['");
        return;
    }
    emit(lex, out, TOKEN_LEFT_BRACKET);
    skip_spaces(lex);
    lex->bracket_open = true;
    lex->got_colon = false;
    lex->place = LEX_BRACKET;
}

static void take_ordinary(struct lexer *lex, struct token *out) {
    const int32_t r = take_rune(lex);
    const enum token_type arithmetic = arithmetic_type(r);
    if (arithmetic != TOKEN_ERROR) {
        emit(lex, out, arithmetic);
        return;
    }
    if (is_digit(r) || (r == '.' && is_digit(peek_rune(lex)))) {
        lex->pos--;
        take_number_or_duration(lex, out);
        return;
    }
    if (is_alpha(r) || r == ':') {
        take_word_or_colon(lex, out, r);
        return;
    }
    switch (r) {
    case RUNE_EOF:
        take_end(lex, out);
        break;
    case '=':
        if (peek_in(lex, "~")) {
            fail(lex, out, "unexpected character after '=': '~'");
        } else {
            emit(lex, out, take_in(lex, "=") ? TOKEN_EQLC : TOKEN_EQL);
        }
        break;
    case '!':
        if (take_in(lex, "=")) {
            emit(lex, out, TOKEN_NEQ);
        } else {
            fail_char(lex, out, "unexpected character after '!': ", peek_rune(lex));
        }
        break;
    case '<':
    case '>':
        take_comparison(lex, out, r);
        break;
    case '"':
    case '\'':
        take_string(lex, out, (char)r);
        break;
    case '`':
        take_raw_string(lex, out);
        break;
    case '(':
        emit(lex, out, TOKEN_LEFT_PAREN);
        lex->paren_depth++;
        break;
    case ')':
        close_paren(lex, out);
        break;
    case '{':
        emit(lex, out, TOKEN_LEFT_BRACE);
        lex->place = LEX_BRACES;
        break;
    case '[':
        open_bracket(lex, out);
        break;
    case ']':
        if (!lex->bracket_open) {
            fail(lex, out, "unexpected right bracket ']'");
        } else {
            emit(lex, out, TOKEN_RIGHT_BRACKET);
            lex->bracket_open = false;
        }
        break;
    case '@':
        emit(lex, out, TOKEN_AT);
        break;
    default:
        fail_char(lex, out, "unexpected character: ", r);
        break;
    }
}

void lex_next(struct lexer *lex, struct token *out) {
    switch (lex->place) {
    case LEX_BRACKET: /* a comment is not known here */
        skip_spaces(lex);
        take_in_bracket(lex, out);
        break;
    case LEX_BRACES:
        skip_spaces_and_comments(lex);
        take_in_braces(lex, out);
        break;
    case LEX_ORDINARY:
        skip_spaces_and_comments(lex);
        take_ordinary(lex, out);
        break;
    }
}
