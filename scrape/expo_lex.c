#include "scrape/expo_lex.h"

#include <string.h>

#include "base/utf8.h"

/* Longest piece of the page that an error text quotes. */
enum { QUOTE_MAX = 400 };

static const char *const token_names[] = {
    [TOKEN_INVALID] = "INVALID",     [TOKEN_EOF] = "EOF",
    [TOKEN_LINEBREAK] = "LINEBREAK", [TOKEN_WHITESPACE] = "WHITESPACE",
    [TOKEN_HELP] = "HELP",           [TOKEN_TYPE] = "TYPE",
    [TOKEN_UNIT] = "UNIT",           [TOKEN_EOFWORD] = "EOFWORD",
    [TOKEN_TEXT] = "TEXT",           [TOKEN_COMMENT] = "COMMENT",
    [TOKEN_MNAME] = "MNAME",         [TOKEN_QSTRING] = "QSTRING",
    [TOKEN_BOPEN] = "BOPEN",         [TOKEN_BCLOSE] = "BCLOSE",
    [TOKEN_LNAME] = "LNAME",         [TOKEN_LVALUE] = "LVALUE",
    [TOKEN_COMMA] = "COMMA",         [TOKEN_EQUAL] = "EQUAL",
    [TOKEN_TIMESTAMP] = "TIMESTAMP", [TOKEN_VALUE] = "VALUE",
};

/* ---- leaves of the grammar ---- */

void lex_take_name(struct expo_parser *p, bool colon_allowed) {
    int c = lex_advance(p);
    while (is_label_start(c) || is_digit(c) || (colon_allowed && c == ':')) {
        c = lex_advance(p);
    }
}

bool lex_take_quoted(struct expo_parser *p, bool newline_allowed) {
    int c = lex_advance(p);
    while (c != '"') {
        if (c == '\\') {
            c = lex_advance(p);
            if (c == '\n' || c == '\0' || c == END_OF_INPUT) {
                return false;
            }
        } else if (c == '\0' || c == END_OF_INPUT || (c == '\n' && !newline_allowed)) {
            return false;
        }
        c = lex_advance(p);
    }
    (void)lex_advance(p);
    return true;
}

enum token lex_take_one(struct expo_parser *p, enum token token) {
    (void)lex_advance(p);
    return token;
}

enum token lex_meta_name(struct expo_parser *p, int c) {
    if (c == '"') {
        if (!lex_take_quoted(p, true)) {
            return TOKEN_INVALID;
        }
    } else if (is_name_start(c)) {
        lex_take_name(p, true);
    } else {
        return TOKEN_INVALID;
    }
    p->state = IN_META_TEXT;
    return TOKEN_MNAME;
}

enum token lex_braces(struct expo_parser *p, int c) {
    const bool exemplar = p->state == IN_EXEMPLAR;
    switch (c) {
    case '"':
        return lex_take_quoted(p, !exemplar) ? TOKEN_QSTRING : TOKEN_INVALID;
    case '}': {
        const enum token token = lex_take_one(p, TOKEN_BCLOSE);
        p->state = exemplar ? IN_EXEMPLAR_VALUE : IN_VALUE;
        return token;
    }
    case '=': {
        const enum token token = lex_take_one(p, TOKEN_EQUAL);
        p->state = exemplar ? IN_EXEMPLAR_VALUE : IN_LABEL_VALUE;
        return token;
    }
    case ',':
        return lex_take_one(p, TOKEN_COMMA);
    default:
        if (!is_label_start(c)) {
            return TOKEN_INVALID;
        }
        lex_take_name(p, false);
        return TOKEN_LNAME;
    }
}

struct str lex_unquoted(struct str s) {
    if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"') {
        return (struct str){s.ptr + 1, s.len - 2};
    }
    return s;
}

enum err_code lex_check_label_value(const struct expo_parser *p, struct err *err) {
    const struct str value = lex_token(p);
    return utf8_valid(value) ? ERR_OK
                             : lex_fail_quoted("invalid UTF-8 label value: ", value, "", err);
}

enum err_code lex_add_label(struct expo_parser *p, struct str name, struct err *err) {
    const enum err_code code = lex_check_label_value(p, err);
    if (code != ERR_OK) {
        return code;
    }
    if (p->label_count == EXPO_LABELS_MAX) {
        return err_set(err, ERR_LIMIT, "series has more than %d labels", EXPO_LABELS_MAX);
    }
    /* The first and the last byte go: the quotes, if no NUL stands behind the closing one. */
    const struct str token = lex_token(p);
    DCHECK(token.len >= 2);
    p->labels[p->label_count++] = (struct expo_label){name, str_sub(token, 1, token.len - 2)};
    return ERR_OK;
}

/* ---- errors ---- */

/* Bytes [from, to) as a Go string literal; the appended newline counts. */
static void quote_span(const struct expo_parser *p, size_t from, size_t to, struct buf *out) {
    char copy[QUOTE_MAX + 1];
    size_t n = lex_slice(p, from, to).len;
    const bool newline = to > p->body.len && n < QUOTE_MAX;
    n = n < QUOTE_MAX ? n : QUOTE_MAX;
    if (n > 0) {
        memcpy(copy, p->body.ptr + from, n);
    }
    if (newline) {
        copy[n++] = '\n';
    }
    utf8_quote(out, (struct str){copy, n});
}

enum err_code lex_fail_token(const struct expo_parser *p, const char *expected, enum token got,
                             struct err *err) {
    struct buf got_text;
    struct buf line;
    const size_t end = p->at + 1 <= lex_end(p) ? p->at + 1 : lex_end(p);
    buf_init(&got_text, ERR_TEXT_MAX * 4);
    buf_init(&line, ERR_TEXT_MAX * 4);
    quote_span(p, p->token_at, end, &got_text);
    quote_span(p, p->line_at, end, &line);
    const enum err_code code =
        err_set(err, ERR_INVALID, "%s, got %.*s (\"%s\") while parsing: %.*s", expected,
                STR_ARG(buf_str(&got_text)), token_names[got], STR_ARG(buf_str(&line)));
    buf_release(&line);
    buf_release(&got_text);
    return code;
}

enum err_code lex_fail_line(const struct expo_parser *p, const char *what, struct err *err) {
    struct buf line;
    buf_init(&line, ERR_TEXT_MAX * 4);
    quote_span(p, p->line_at, p->at, &line);
    const enum err_code code =
        err_set(err, ERR_INVALID, "%s while parsing: %.*s", what, STR_ARG(buf_str(&line)));
    buf_release(&line);
    return code;
}

enum err_code lex_fail_quoted(const char *before, struct str text, const char *after,
                              struct err *err) {
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_MAX * 4);
    utf8_quote(&quoted, str_sub(text, 0, QUOTE_MAX));
    const enum err_code code =
        err_set(err, ERR_INVALID, "%s%.*s%s", before, STR_ARG(buf_str(&quoted)), after);
    buf_release(&quoted);
    return code;
}

enum err_code lex_fail_number(const struct expo_parser *p, const char *function, struct str text,
                              enum number_result result, struct err *err) {
    struct buf what;
    buf_init(&what, ERR_TEXT_MAX * 8);
    buf_printf(&what, "strconv.%s: parsing ", function);
    utf8_quote(&what, str_sub(text, 0, QUOTE_MAX));
    buf_append_cstr(&what, result == NUMBER_RANGE ? ": value out of range" : ": invalid syntax");
    const enum err_code code = lex_fail_line(p, what.ptr, err);
    buf_release(&what);
    return code;
}

enum err_code lex_fail_float(const struct expo_parser *p, struct str text,
                             enum number_result result, struct err *err) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == 'p' || text.ptr[i] == 'P' || text.ptr[i] == '_') {
            return lex_fail_line(p, "unsupported character in float", err);
        }
    }
    return lex_fail_number(p, "ParseFloat", text, result, err);
}
