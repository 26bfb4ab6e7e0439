/* What the lexer's files share: reading runes, making tokens. Private to lex*.c. */
#ifndef QUERY_LEX_SCAN_H
#define QUERY_LEX_SCAN_H

#include <string.h>

#include "base/attr.h"
#include "base/utf8.h"
#include "query/lex.h"

enum { RUNE_EOF = -1, RUNE_INVALID = 0xFFFD };

/* The rune at byte offset at, and its width; RUNE_EOF with width 0 at the end. */
static inline int32_t rune_at(const struct lexer *lex, uint32_t at, uint32_t *out_width) {
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

static inline int32_t scan_rune(struct lexer *lex) {
    uint32_t width = 0;
    const int32_t rune = rune_at(lex, lex->pos, &width);
    lex->pos += width;
    return rune;
}

static inline int32_t scan_peek(const struct lexer *lex) {
    uint32_t width = 0;
    return rune_at(lex, lex->pos, &width);
}

static inline bool rune_is_space(int32_t r) {
    return r == ' ' || r == '\t' || r == '\n' || r == '\r';
}

static inline bool rune_is_digit(int32_t r) {
    return r >= '0' && r <= '9';
}

static inline bool rune_is_alpha(int32_t r) {
    return r == '_' || (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z');
}

static inline bool rune_is_alnum(int32_t r) {
    return rune_is_alpha(r) || rune_is_digit(r);
}

static inline int32_t rune_lower(int32_t r) {
    return r >= 'A' && r <= 'Z' ? r + ('a' - 'A') : r;
}

/* set holds ASCII only, so a byte that is not ASCII never matches. */
static inline bool scan_peek_in(const struct lexer *lex, const char *set) {
    if (lex->pos >= lex->input.len) {
        return false;
    }
    const char c = lex->input.ptr[lex->pos];
    return c != '\0' && strchr(set, c) != NULL;
}

static inline bool scan_in(struct lexer *lex, const char *set) {
    const bool found = scan_peek_in(lex, set);
    lex->pos += found ? 1 : 0;
    return found;
}

/* The token from start to pos; the next one starts there. */
void lex_emit(struct lexer *lex, struct token *out, enum token_type type);
void lex_fail(struct lexer *lex, struct token *out, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* before and the rune in quotes */
void lex_fail_char(struct lexer *lex, struct token *out, const char *before, int32_t rune);

enum { QUOTED_RUNE_MAX = 16 };

/* A rune in single quotes as Go prints it: 'x', '\n', '\u00a0'; the end of input as U+FFFD. */
const char *lex_quote_rune(int32_t rune, char out[QUOTED_RUNE_MAX]);

/* Behind the opening quote. */
void lex_string(struct lexer *lex, struct token *out, char quote);
void lex_raw_string(struct lexer *lex, struct token *out);
/* From the first digit or dot on. */
void lex_number_or_duration(struct lexer *lex, struct token *out);

#endif
