/* What the lexers and parsers of the two text formats share: bytes, tokens, the leaves of the
 * grammar and the error texts. Private to expo*.c.
 *
 * A lexer is a small state machine over bytes. The states matter: which bytes form a token, and
 * whether a NUL byte is data, depend on what came before (quirks in spec/scrape.md 5.1, 5.2).
 *
 * In the text format one newline is taken to stand behind the body: offset body.len reads as
 * '\n'. What follows, and in OpenMetrics the end itself, reads as END_OF_INPUT. */
#ifndef SCRAPE_EXPO_LEX_H
#define SCRAPE_EXPO_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "base/number.h"
#include "base/str.h"
#include "scrape/expo.h"

enum { END_OF_INPUT = -1 };

enum lex_state {
    IN_LINE_START,
    IN_COMMENT,
    IN_META_NAME,
    IN_META_TEXT,
    IN_LABELS,
    IN_LABEL_VALUE,
    IN_VALUE,
    IN_TIMESTAMP,
    IN_EXEMPLAR, /* from here on OpenMetrics only */
    IN_EXEMPLAR_VALUE,
    IN_EXEMPLAR_TIMESTAMP,
};

enum token {
    TOKEN_INVALID,
    TOKEN_EOF,
    TOKEN_LINEBREAK,
    TOKEN_WHITESPACE,
    TOKEN_HELP,
    TOKEN_TYPE,
    TOKEN_UNIT,
    TOKEN_EOFWORD,
    TOKEN_TEXT,
    TOKEN_COMMENT,
    TOKEN_MNAME,
    TOKEN_QSTRING,
    TOKEN_BOPEN,
    TOKEN_BCLOSE,
    TOKEN_LNAME,
    TOKEN_LVALUE,
    TOKEN_COMMA,
    TOKEN_EQUAL,
    TOKEN_TIMESTAMP,
    TOKEN_VALUE,
};

/* ---- bytes ---- */

static inline bool is_blank(int c) {
    return c == ' ' || c == '\t';
}

static inline bool is_digit(int c) {
    return c >= '0' && c <= '9';
}

static inline bool is_label_start(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static inline bool is_name_start(int c) {
    return is_label_start(c) || c == ':';
}

/* The offset that reads as END_OF_INPUT. */
static inline size_t lex_end(const struct expo_parser *p) {
    return p->body.len + (p->format == EXPO_FORMAT_TEXT);
}

static inline int lex_peek(const struct expo_parser *p) {
    if (p->at < p->body.len) {
        return (unsigned char)p->body.ptr[p->at];
    }
    return p->at < lex_end(p) ? '\n' : END_OF_INPUT;
}

/* Steps to the next byte. Where NUL is data it is passed over, so that no token ends at it. */
static inline int lex_advance(struct expo_parser *p) {
    p->at++;
    if (p->state == IN_LABEL_VALUE || p->state == IN_META_TEXT || p->state == IN_COMMENT) {
        while (p->at < p->body.len && p->body.ptr[p->at] == '\0') {
            p->at++;
        }
    }
    return lex_peek(p);
}

static inline struct str lex_slice(const struct expo_parser *p, size_t from, size_t to) {
    DCHECK(from <= to);
    const size_t end = to < p->body.len ? to : p->body.len;
    return (struct str){p->body.ptr + from, end > from ? end - from : 0};
}

static inline struct str lex_token(const struct expo_parser *p) {
    return lex_slice(p, p->token_at, p->at);
}

/* ---- leaves of the grammar ---- */

/* Each starts on the first byte of what it takes. */
void lex_take_name(struct expo_parser *p, bool colon_allowed);
/* A quoted string from its opening quote to behind the closing one; false at what may not be in
 * it. */
MUST_CHECK bool lex_take_quoted(struct expo_parser *p, bool newline_allowed);
enum token lex_take_one(struct expo_parser *p, enum token token);
/* The name behind HELP, TYPE or UNIT. */
enum token lex_meta_name(struct expo_parser *p, int c);
/* Between braces, of a series or of an exemplar. */
enum token lex_braces(struct expo_parser *p, int c);

struct str lex_unquoted(struct str s);
/* Adds name and the token, its quoted value, to the sample. */
MUST_CHECK enum err_code lex_add_label(struct expo_parser *p, struct str name, struct err *err);
/* Prometheus refuses a value that is not UTF-8 by its token. */
MUST_CHECK enum err_code lex_check_label_value(const struct expo_parser *p, struct err *err);

/* ---- errors ---- */

/* "<expected>, got <text> (<token>) while parsing: <line so far>" */
enum err_code lex_fail_token(const struct expo_parser *p, const char *expected, enum token got,
                             struct err *err);
/* "<what> while parsing: <line so far>" */
enum err_code lex_fail_line(const struct expo_parser *p, const char *what, struct err *err);
/* "<before><text quoted><after>" */
enum err_code lex_fail_quoted(const char *before, struct str text, const char *after,
                              struct err *err);
/* For a float or integer that did not parse. function: "ParseFloat", "ParseInt". */
enum err_code lex_fail_float(const struct expo_parser *p, struct str text,
                             enum number_result result, struct err *err);
enum err_code lex_fail_number(const struct expo_parser *p, const char *function, struct str text,
                              enum number_result result, struct err *err);

#endif
