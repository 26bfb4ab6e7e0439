#include "alert/template_lex.h"

#include "base/utf8.h"

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_alnum(char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (unsigned char)c >= 0x80;
}

size_t template_line(struct str text, size_t pos) {
    size_t line = 1;
    for (size_t i = 0; i < pos && i < text.len; i++) {
        line += text.ptr[i] == '\n';
    }
    return line;
}

static char at(const struct template_lexer *l, size_t offset) {
    return l->at + offset < l->text.len ? l->text.ptr[l->at + offset] : '\0';
}

static bool looking_at(const struct template_lexer *l, const char *text) {
    return str_starts(str_from(l->text, l->at), str_of(text));
}

static struct str trim_left(struct str s) {
    while (s.len > 0 && is_space(s.ptr[0])) {
        s = str_from(s, 1);
    }
    return s;
}

static struct str trim_right(struct str s) {
    while (s.len > 0 && is_space(s.ptr[s.len - 1])) {
        s.len--;
    }
    return s;
}

/* "{{- " asks to trim the text before it */
static bool trims_left(struct str rest) {
    return rest.len >= 4 && rest.ptr[2] == '-' && is_space(rest.ptr[3]);
}

static enum err_code lex_text(struct template_lexer *l, struct template_token *out) {
    const struct str rest = str_from(l->text, l->at);
    const ptrdiff_t left = str_find(rest, STR("{{"));
    struct str text = left < 0 ? rest : str_sub(rest, 0, (size_t)left);
    *out = (struct template_token){TOKEN_TEXT, text, l->at};
    l->at += text.len;
    if (left >= 0 && trims_left(str_from(l->text, l->at))) {
        out->text = trim_right(out->text);
    }
    if (l->trim_next) {
        out->text = trim_left(out->text);
        l->trim_next = false;
    }
    return ERR_OK;
}

static enum err_code lex_comment(struct template_lexer *l, struct err *err) {
    const struct str rest = str_from(l->text, l->at);
    const ptrdiff_t end = str_find(rest, STR("*/"));
    if (end < 0) {
        return err_set(err, ERR_INVALID, "unclosed comment");
    }
    l->at += (size_t)end + 2;
    if (is_space(at(l, 0)) && at(l, 1) == '-' && at(l, 2) == '}' && at(l, 3) == '}') {
        l->at += 4;
        l->trim_next = true;
        return ERR_OK;
    }
    if (!looking_at(l, "}}")) {
        return err_set(err, ERR_INVALID, "comment ends before closing delimiter");
    }
    l->at += 2;
    return ERR_OK;
}

static enum err_code lex_quoted(struct template_lexer *l, char quote, struct template_token *out,
                                struct err *err) {
    const size_t start = l->at++;
    for (;;) {
        const char c = at(l, 0);
        if (l->at >= l->text.len || (c == '\n' && quote != '`')) {
            return err_set(err, ERR_INVALID, "%s",
                           quote == '`'    ? "unterminated raw quoted string"
                           : quote == '\'' ? "unterminated character constant"
                                           : "unterminated quoted string");
        }
        l->at += c == '\\' && quote != '`' ? 2 : 1;
        if (c == quote) {
            break;
        }
    }
    out->type = quote == '`' ? TOKEN_RAW_STRING : quote == '\'' ? TOKEN_CHAR : TOKEN_STRING;
    out->text = str_sub(l->text, start, l->at - start);
    return ERR_OK;
}

static bool one_of(char c, const char *set) {
    return c != '\0' && strchr(set, c) != NULL;
}

static void accept_run(struct template_lexer *l, const char *set) {
    while (one_of(at(l, 0), set)) {
        l->at++;
    }
}

static bool accept(struct template_lexer *l, const char *set) {
    const bool is = one_of(at(l, 0), set);
    l->at += is;
    return is;
}

/* Go's scan: what may follow is decided by the base; that the digits make a number by the parser. */
static enum err_code lex_number(struct template_lexer *l, struct template_token *out,
                                struct err *err) {
    static const char decimal[] = "0123456789_";
    static const char hex[] = "0123456789abcdefABCDEF_";
    const size_t start = l->at;
    const char *digits = decimal;
    (void)accept(l, "+-");
    if (accept(l, "0")) {
        digits = accept(l, "xX")   ? hex
                 : accept(l, "oO") ? "01234567_"
                 : accept(l, "bB") ? "01_"
                                   : decimal;
    }
    accept_run(l, digits);
    if (accept(l, ".")) {
        accept_run(l, digits);
    }
    if ((digits == decimal && accept(l, "eE")) || (digits == hex && accept(l, "pP"))) {
        (void)accept(l, "+-");
        accept_run(l, decimal);
    }
    const bool bad = is_alnum(at(l, 0)) || one_of(at(l, 0), "+-");
    l->at += bad;
    out->type = TOKEN_NUMBER;
    out->text = str_sub(l->text, start, l->at - start);
    return bad ? err_set(err, ERR_INVALID, "bad number syntax: \"%.*s\"", STR_ARG(out->text))
               : ERR_OK;
}

/* What may stand behind a name. */
static bool at_terminator(const struct template_lexer *l) {
    const char c = at(l, 0);
    return l->at >= l->text.len || is_space(c) || one_of(c, ".,|:()") || looking_at(l, "}}");
}

static enum err_code bad_character(const struct template_lexer *l, struct err *err) {
    size_t bytes = 0;
    const struct str rest = str_from(l->text, l->at);
    const uint32_t rune = utf8_rune(rest, &bytes);
    if (!utf8_rune_prints(rune)) {
        return err_set(err, ERR_INVALID, "bad character U+%04X", rune);
    }
    return err_set(err, ERR_INVALID, "bad character U+%04X '%.*s'", rune, (int)bytes, rest.ptr);
}

static enum err_code lex_word(struct template_lexer *l, struct template_token *out,
                              struct err *err) {
    static const char *const keywords[] = {"if",     "else",     "end",   "range", "with",
                                           "define", "template", "block", "break", "continue",
                                           "nil",    "true",     "false"};
    const size_t start = l->at;
    const char first = at(l, 0);
    l->at++;
    while (is_alnum(at(l, 0))) {
        l->at++;
    }
    if (!at_terminator(l)) {
        return bad_character(l, err);
    }
    out->text = str_sub(l->text, start, l->at - start);
    out->type = first == '.' ? TOKEN_FIELD : first == '$' ? TOKEN_VARIABLE : TOKEN_IDENTIFIER;
    for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]) && out->type == TOKEN_IDENTIFIER;
         i++) {
        if (str_eq(out->text, str_of(keywords[i]))) {
            out->type = TOKEN_KEYWORD;
        }
    }
    return ERR_OK;
}

static enum err_code punctuation(struct template_lexer *l, enum template_token_type type, size_t n,
                                 struct template_token *out) {
    out->type = type;
    out->text = str_sub(l->text, l->at, n);
    l->at += n;
    return ERR_OK;
}

static enum err_code lex_right(struct template_lexer *l, size_t n, struct template_token *out,
                               struct err *err) {
    if (l->parens > 0) {
        return err_set(err, ERR_INVALID, "unclosed left paren");
    }
    l->in_action = false;
    return punctuation(l, TOKEN_RIGHT, n, out);
}

static enum err_code lex_space(struct template_lexer *l, struct template_token *out,
                               struct err *err) {
    const size_t start = l->at;
    while (is_space(at(l, 0))) {
        l->at++;
    }
    /* the space before -}} belongs to it */
    if (at(l, 0) == '-' && at(l, 1) == '}' && at(l, 2) == '}') {
        l->trim_next = true;
        return lex_right(l, 3, out, err);
    }
    out->type = TOKEN_SPACE;
    out->text = str_sub(l->text, start, l->at - start);
    return ERR_OK;
}

static enum err_code lex_symbol(struct template_lexer *l, struct template_token *out,
                                struct err *err) {
    switch (at(l, 0)) {
    case '|':
        return punctuation(l, TOKEN_PIPE, 1, out);
    case ',':
        return punctuation(l, TOKEN_COMMA, 1, out);
    case '=':
        return punctuation(l, TOKEN_ASSIGN, 1, out);
    case ':':
        if (at(l, 1) == '=') {
            return punctuation(l, TOKEN_DECLARE, 2, out);
        }
        return err_set(err, ERR_INVALID, "expected :=");
    case '(':
        l->parens++;
        return punctuation(l, TOKEN_OPEN, 1, out);
    case ')':
        if (l->parens == 0) {
            return err_set(err, ERR_INVALID, "unexpected right paren");
        }
        l->parens--;
        return punctuation(l, TOKEN_CLOSE, 1, out);
    default:
        return punctuation(l, TOKEN_UNKNOWN, 1, out);
    }
}

static enum err_code lex_action(struct template_lexer *l, struct template_token *out,
                                struct err *err) {
    *out = (struct template_token){.pos = l->at};
    if (l->at >= l->text.len) {
        return err_set(err, ERR_INVALID, "unclosed action");
    }
    if (looking_at(l, "}}")) {
        return lex_right(l, 2, out, err);
    }
    const char c = at(l, 0);
    const char next = at(l, 1);
    if (is_space(c)) {
        return lex_space(l, out, err);
    }
    if (c == '"' || c == '`' || c == '\'') {
        return lex_quoted(l, c, out, err);
    }
    if ((c >= '0' && c <= '9') || c == '+' || c == '-' ||
        (c == '.' && next >= '0' && next <= '9')) {
        return lex_number(l, out, err);
    }
    if (c == '.' && !is_alnum(next)) {
        return punctuation(l, TOKEN_DOT, 1, out);
    }
    if (c == '.' || c == '$' || is_alnum(c)) {
        return lex_word(l, out, err);
    }
    return lex_symbol(l, out, err);
}

enum err_code template_lex(struct template_lexer *l, struct template_token *out, struct err *err) {
    if (l->in_action) {
        return lex_action(l, out, err);
    }
    if (l->at >= l->text.len) {
        *out = (struct template_token){TOKEN_EOF, STR("EOF"), l->at};
        return ERR_OK;
    }
    if (!looking_at(l, "{{")) {
        return lex_text(l, out);
    }
    const size_t start = l->at;
    l->at += trims_left(str_from(l->text, l->at)) ? 3 : 2;
    /* a comment stands right behind {{ or behind "{{- " */
    const size_t before = l->at;
    if (l->at == start + 3) {
        while (is_space(at(l, 0))) {
            l->at++;
        }
    }
    if (looking_at(l, "/*")) {
        const enum err_code code = lex_comment(l, err);
        *out = (struct template_token){TOKEN_TEXT, STR(""), start};
        return code;
    }
    l->at = before;
    l->in_action = true;
    l->parens = 0;
    *out = (struct template_token){TOKEN_LEFT, str_sub(l->text, start, l->at - start), start};
    return ERR_OK;
}
