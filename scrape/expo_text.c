/* The lexer skips blanks before every token; the parser is a recursive-descent one over its
 * tokens. */
#include "scrape/expo_text.h"

#include "base/check.h"
#include "base/number.h"
#include "base/utf8.h"
#include "scrape/expo_lex.h"

/* ---- lexer ---- */

static void skip_blanks(struct expo_parser *p) {
    int c = lex_peek(p);
    while (is_blank(c)) {
        c = lex_advance(p);
    }
}

static enum token lex_comment_rest(struct expo_parser *p) {
    for (int c = lex_peek(p);; c = lex_advance(p)) {
        if (c == '\0' || c == END_OF_INPUT) {
            return TOKEN_EOF;
        }
        if (c == '\n') {
            p->state = IN_LINE_START;
            return TOKEN_COMMENT;
        }
    }
}

/* After "#": HELP or TYPE with a blank behind it, else a comment. */
static enum token lex_hash(struct expo_parser *p) {
    if (!is_blank(lex_advance(p))) {
        return lex_comment_rest(p);
    }
    skip_blanks(p);
    p->state = IN_COMMENT;
    const int first = lex_peek(p);
    if (first != 'H' && first != 'T') {
        return lex_comment_rest(p);
    }
    const char *const word = first == 'H' ? "ELP" : "YPE";
    for (size_t i = 0; i < 3; i++) {
        if (lex_advance(p) != word[i]) {
            return lex_comment_rest(p);
        }
    }
    if (!is_blank(lex_advance(p))) {
        return lex_comment_rest(p);
    }
    skip_blanks(p);
    p->state = IN_META_NAME;
    return first == 'H' ? TOKEN_HELP : TOKEN_TYPE;
}

static enum token lex_line_start(struct expo_parser *p, int c) {
    switch (c) {
    case '\0':
        return lex_take_one(p, TOKEN_EOF);
    case '\n':
        return lex_take_one(p, TOKEN_LINEBREAK);
    case '#':
        return lex_hash(p);
    case '{': {
        const enum token token = lex_take_one(p, TOKEN_BOPEN);
        p->state = IN_LABELS;
        return token;
    }
    default:
        if (!is_name_start(c)) {
            return TOKEN_INVALID;
        }
        lex_take_name(p, true);
        p->state = IN_VALUE;
        return TOKEN_MNAME;
    }
}

/* The rest of the line; a rest of nothing but blanks was skipped before and leaves it empty. */
static enum token lex_meta_text(struct expo_parser *p, int c) {
    while (c != '\n' && c != '\0' && c != END_OF_INPUT) {
        c = lex_advance(p);
    }
    p->state = IN_LINE_START;
    return TOKEN_TEXT;
}

static enum token lex_value(struct expo_parser *p, int c) {
    if (c == '{') {
        const enum token token = lex_take_one(p, TOKEN_BOPEN);
        p->state = IN_LABELS;
        return token;
    }
    if (c == '\n' || c == '\0' || c == END_OF_INPUT) {
        return TOKEN_INVALID;
    }
    while (!is_blank(c) && c != '{' && c != '\n' && c != '\0' && c != END_OF_INPUT) {
        c = lex_advance(p);
    }
    p->state = IN_TIMESTAMP;
    return TOKEN_VALUE;
}

static enum token lex_timestamp(struct expo_parser *p, int c) {
    if (c == '\n') {
        const enum token token = lex_take_one(p, TOKEN_LINEBREAK);
        p->state = IN_LINE_START;
        return token;
    }
    if (!is_digit(c)) {
        return TOKEN_INVALID;
    }
    while (is_digit(c)) {
        c = lex_advance(p);
    }
    return TOKEN_TIMESTAMP;
}

/* In metadata, blanks belong to the text unless nothing follows them. */
static bool blanks_are_text(const struct expo_parser *p) {
    size_t i = p->at;
    while (i < p->body.len && (is_blank(p->body.ptr[i]) || (i > p->at && p->body.ptr[i] == '\0'))) {
        i++;
    }
    return i < p->body.len && p->body.ptr[i] != '\n';
}

/* The next token that is not blank. At the end, and for an invalid byte, p->at stays on it. */
static enum token lex(struct expo_parser *p) {
    if (p->at > p->body.len) {
        return TOKEN_EOF;
    }
    p->token_at = p->at;
    int c = lex_peek(p);
    if (is_blank(c) && !(p->state == IN_META_TEXT && blanks_are_text(p))) {
        skip_blanks(p);
        p->token_at = p->at;
        c = lex_peek(p);
    }
    switch ((enum lex_state)p->state) {
    case IN_LINE_START:
        return lex_line_start(p, c);
    case IN_META_NAME:
        return lex_meta_name(p, c);
    case IN_META_TEXT:
        return lex_meta_text(p, c);
    case IN_LABELS:
        return lex_braces(p, c);
    case IN_LABEL_VALUE:
        if (c != '"' || !lex_take_quoted(p, true)) {
            return TOKEN_INVALID;
        }
        p->state = IN_LABELS;
        return TOKEN_LVALUE;
    case IN_VALUE:
        return lex_value(p, c);
    case IN_TIMESTAMP:
        return lex_timestamp(p, c);
    case IN_COMMENT:
    case IN_EXEMPLAR:
    case IN_EXEMPLAR_VALUE:
    case IN_EXEMPLAR_TIMESTAMP:
        break;
    }
    UNREACHABLE("a comment is one token, and there are no exemplars");
}

/* ---- parser ---- */

static bool type_parse(struct str text, enum expo_type *out) {
    static const struct {
        struct str name;
        enum expo_type type;
    } types[] = {
        {STR_INIT("counter"), EXPO_COUNTER},     {STR_INIT("gauge"), EXPO_GAUGE},
        {STR_INIT("histogram"), EXPO_HISTOGRAM}, {STR_INIT("summary"), EXPO_SUMMARY},
        {STR_INIT("untyped"), EXPO_UNKNOWN},
    };
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (str_eq(text, types[i].name)) {
            *out = types[i].type;
            return true;
        }
    }
    return false;
}

static enum err_code parse_meta(struct expo_parser *p, enum token word, struct expo_entry *out,
                                struct err *err) {
    const bool is_type = word == TOKEN_TYPE;
    enum token token = lex(p);
    if (token != TOKEN_MNAME) {
        return lex_fail_token(
            p, is_type ? "expected metric name after TYPE" : "expected metric name after HELP",
            token, err);
    }
    out->family = lex_unquoted(lex_token(p));
    token = lex(p);
    DCHECK(token == TOKEN_TEXT);
    /* One byte is the separator, whichever it is: the name token ended at it. */
    out->text = str_from(lex_token(p), 1);
    if (is_type) {
        enum expo_type type = EXPO_UNKNOWN;
        if (!type_parse(out->text, &type)) {
            return lex_fail_quoted("invalid metric type ", out->text, "", err);
        }
        p->type = type;
    } else if (!utf8_valid(out->text)) {
        return lex_fail_quoted("help text ", out->text, " is not a valid utf8 string", err);
    }
    token = lex(p);
    if (token != TOKEN_LINEBREAK) {
        return lex_fail_token(p, "linebreak expected after metadata", token, err);
    }
    out->kind = is_type ? EXPO_TYPE : EXPO_HELP;
    return ERR_OK;
}

/* What stands in braces, behind the opening one. */
static enum err_code parse_braces(struct expo_parser *p, struct err *err) {
    enum token token = lex(p);
    while (token != TOKEN_BCLOSE) {
        if (token != TOKEN_LNAME && token != TOKEN_QSTRING) {
            return lex_fail_token(p, "expected label name", token, err);
        }
        const bool quoted = token == TOKEN_QSTRING;
        const struct str name = lex_unquoted(lex_token(p));
        token = lex(p);
        if (quoted && (token == TOKEN_COMMA || token == TOKEN_BCLOSE)) {
            if (p->has_name) {
                return lex_fail_line(p, "metric name already set", err);
            }
            p->has_name = true;
            p->name = name;
            token = token == TOKEN_COMMA ? lex(p) : token;
            continue;
        }
        if (token != TOKEN_EQUAL) {
            return lex_fail_token(p, "expected equal", token, err);
        }
        token = lex(p);
        if (token != TOKEN_LVALUE) {
            return lex_fail_token(p, "expected label value", token, err);
        }
        const enum err_code code = lex_add_label(p, name, err);
        if (code != ERR_OK) {
            return code;
        }
        token = lex(p);
        token = token == TOKEN_COMMA ? lex(p) : token;
    }
    return ERR_OK;
}

static enum err_code parse_value(struct expo_parser *p, struct expo_entry *out, struct err *err) {
    const enum number_result result = num_parse(lex_token(p), &out->value);
    return result == NUMBER_OK ? ERR_OK : lex_fail_float(p, lex_token(p), result, err);
}

/* Value and timestamp; token is the one behind the series. */
static enum err_code parse_sample_rest(struct expo_parser *p, enum token token,
                                       struct expo_entry *out, struct err *err) {
    if (!p->has_name) {
        return lex_fail_line(p, "metric name not set", err);
    }
    if (token != TOKEN_VALUE) {
        return lex_fail_token(p, "expected value after metric", token, err);
    }
    const enum err_code code = parse_value(p, out, err);
    if (code != ERR_OK) {
        return code;
    }
    token = lex(p);
    if (token == TOKEN_TIMESTAMP) {
        const enum number_result result = number_parse_i64(lex_token(p), &out->timestamp_ms);
        if (result != NUMBER_OK) {
            return lex_fail_number(p, "ParseInt", lex_token(p), result, err);
        }
        out->has_timestamp = true;
        token = lex(p);
        if (token != TOKEN_LINEBREAK) {
            return lex_fail_token(p, "expected next entry after timestamp", token, err);
        }
    } else if (token != TOKEN_LINEBREAK) {
        return lex_fail_token(p, "expected timestamp or new record", token, err);
    }
    out->kind = EXPO_SAMPLE;
    return ERR_OK;
}

static enum err_code parse_sample(struct expo_parser *p, enum token token, struct expo_entry *out,
                                  struct err *err) {
    p->label_count = 0;
    p->has_name = token == TOKEN_MNAME;
    if (p->has_name) {
        /* Blanks before the name are part of it. */
        p->name = lex_slice(p, p->line_at, p->at);
        out->series = p->name;
        token = lex(p);
    }
    if (token == TOKEN_BOPEN) {
        const enum err_code code = parse_braces(p, err);
        if (code != ERR_OK) {
            return code;
        }
        out->series = lex_slice(p, p->line_at, p->at);
        token = lex(p);
    }
    return parse_sample_rest(p, token, out, err);
}

static enum err_code parse_entry(struct expo_parser *p, enum token token, struct expo_entry *out,
                                 struct err *err) {
    switch (token) {
    case TOKEN_EOF:
        out->kind = EXPO_END;
        return ERR_OK;
    case TOKEN_HELP:
    case TOKEN_TYPE:
        return parse_meta(p, token, out, err);
    case TOKEN_COMMENT:
        out->text = lex_token(p);
        token = lex(p);
        if (token != TOKEN_LINEBREAK) {
            return lex_fail_token(p, "linebreak expected after comment", token, err);
        }
        out->kind = EXPO_COMMENT;
        return ERR_OK;
    case TOKEN_BOPEN:
    case TOKEN_MNAME:
        return parse_sample(p, token, out, err);
    case TOKEN_INVALID:
    case TOKEN_LINEBREAK:
    case TOKEN_WHITESPACE:
    case TOKEN_UNIT:
    case TOKEN_EOFWORD:
    case TOKEN_TEXT:
    case TOKEN_QSTRING:
    case TOKEN_BCLOSE:
    case TOKEN_LNAME:
    case TOKEN_LVALUE:
    case TOKEN_COMMA:
    case TOKEN_EQUAL:
    case TOKEN_TIMESTAMP:
    case TOKEN_VALUE:
        break;
    }
    return lex_fail_token(p, "expected a valid start token", token, err);
}

enum err_code expo_text_next(struct expo_parser *p, struct expo_entry *out, struct err *err) {
    enum token token = TOKEN_LINEBREAK;
    do { /* blank lines */
        p->line_at = p->at;
        token = lex(p);
    } while (token == TOKEN_LINEBREAK);
    *out = (struct expo_entry){.begin = p->line_at};
    return parse_entry(p, token, out, err);
}
