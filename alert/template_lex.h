/* Tokens of a template: text between actions, and what stands inside {{ }}. Private to
 * alert/template*. */
#ifndef ALERT_TEMPLATE_LEX_H
#define ALERT_TEMPLATE_LEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum template_token_type {
    TOKEN_TEXT,
    TOKEN_EOF,
    TOKEN_LEFT,  /* {{ */
    TOKEN_RIGHT, /* }} */
    TOKEN_SPACE,
    TOKEN_PIPE,
    TOKEN_DECLARE, /* := */
    TOKEN_ASSIGN,
    TOKEN_COMMA,
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_DOT,
    TOKEN_FIELD,    /* .Name */
    TOKEN_VARIABLE, /* $name or $ */
    TOKEN_IDENTIFIER,
    TOKEN_KEYWORD, /* if else end range with define template block break continue nil true false */
    TOKEN_NUMBER,
    TOKEN_CHAR,
    TOKEN_STRING,
    TOKEN_RAW_STRING,
    TOKEN_UNKNOWN, /* any other character */
};

struct template_token {
    enum template_token_type type;
    struct str text; /* source text; for TOKEN_TEXT after trimming */
    size_t pos;
};

struct template_lexer {
    struct str text;
    size_t at;
    bool in_action;
    bool trim_next; /* the text token that follows a -}} */
    unsigned parens;
};

/* Next token; ERR_INVALID with the message alone (no name, no line). */
MUST_CHECK enum err_code template_lex(struct template_lexer *lexer, struct template_token *out,
                                      struct err *err);
size_t template_line(struct str text, size_t pos);

#endif
