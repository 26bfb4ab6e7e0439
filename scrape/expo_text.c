/* The lexer is a small state machine over bytes, the parser a recursive-descent one over its
 * tokens with blanks skipped. The states matter: which bytes form a token, and whether a NUL
 * byte is data, depend on what came before (quirks in spec/scrape.md 5.1).
 *
 * One newline is taken to stand behind the body: offset body.len reads as '\n', what follows
 * reads as END_OF_INPUT. */
#include "scrape/expo_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/number.h"
#include "base/utf8.h"

enum { END_OF_INPUT = -1 };

/* Longest piece of the page that an error text quotes. */
enum { QUOTE_MAX = 400 };

enum lex_state {
    IN_LINE_START,
    IN_COMMENT,
    IN_META_NAME,
    IN_META_TEXT,
    IN_LABELS,
    IN_LABEL_VALUE,
    IN_VALUE,
    IN_TIMESTAMP,
};

enum token {
    TOKEN_INVALID,
    TOKEN_EOF,
    TOKEN_LINEBREAK,
    TOKEN_WHITESPACE,
    TOKEN_HELP,
    TOKEN_TYPE,
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

static const char *const token_names[] = {
    [TOKEN_INVALID] = "INVALID",     [TOKEN_EOF] = "EOF",
    [TOKEN_LINEBREAK] = "LINEBREAK", [TOKEN_WHITESPACE] = "WHITESPACE",
    [TOKEN_HELP] = "HELP",           [TOKEN_TYPE] = "TYPE",
    [TOKEN_TEXT] = "TEXT",           [TOKEN_COMMENT] = "COMMENT",
    [TOKEN_MNAME] = "MNAME",         [TOKEN_QSTRING] = "QSTRING",
    [TOKEN_BOPEN] = "BOPEN",         [TOKEN_BCLOSE] = "BCLOSE",
    [TOKEN_LNAME] = "LNAME",         [TOKEN_LVALUE] = "LVALUE",
    [TOKEN_COMMA] = "COMMA",         [TOKEN_EQUAL] = "EQUAL",
    [TOKEN_TIMESTAMP] = "TIMESTAMP", [TOKEN_VALUE] = "VALUE",
};

static const char *const type_names[] = {
    [EXPO_UNKNOWN] = "unknown",     [EXPO_COUNTER] = "counter", [EXPO_GAUGE] = "gauge",
    [EXPO_HISTOGRAM] = "histogram", [EXPO_SUMMARY] = "summary",
};

const char *expo_type_name(enum expo_type type) {
    return type_names[type];
}

/* ---- bytes ---- */

static bool is_blank(int c) {
    return c == ' ' || c == '\t';
}

static bool is_digit(int c) {
    return c >= '0' && c <= '9';
}

static bool is_label_start(int c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_name_start(int c) {
    return is_label_start(c) || c == ':';
}

static int peek(const struct expo_text *p) {
    if (p->at < p->body.len) {
        return (unsigned char)p->body.ptr[p->at];
    }
    return p->at == p->body.len ? '\n' : END_OF_INPUT;
}

/* Steps to the next byte. Where NUL is data it is passed over, so that no token ends at it. */
static int advance(struct expo_text *p) {
    p->at++;
    if (p->state == IN_LABEL_VALUE || p->state == IN_META_TEXT || p->state == IN_COMMENT) {
        while (p->at < p->body.len && p->body.ptr[p->at] == '\0') {
            p->at++;
        }
    }
    return peek(p);
}

static struct str slice(const struct expo_text *p, size_t from, size_t to) {
    DCHECK(from <= to);
    const size_t end = to < p->body.len ? to : p->body.len;
    return (struct str){p->body.ptr + from, end > from ? end - from : 0};
}

static struct str token_text(const struct expo_text *p) {
    return slice(p, p->token_at, p->at);
}

/* ---- lexer ---- */

static void skip_blanks(struct expo_text *p) {
    int c = peek(p);
    while (is_blank(c)) {
        c = advance(p);
    }
}

static enum token lex_comment_rest(struct expo_text *p) {
    for (int c = peek(p);; c = advance(p)) {
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
static enum token lex_hash(struct expo_text *p) {
    if (!is_blank(advance(p))) {
        return lex_comment_rest(p);
    }
    skip_blanks(p);
    p->state = IN_COMMENT;
    const int first = peek(p);
    if (first != 'H' && first != 'T') {
        return lex_comment_rest(p);
    }
    const char *const word = first == 'H' ? "ELP" : "YPE";
    for (size_t i = 0; i < 3; i++) {
        if (advance(p) != word[i]) {
            return lex_comment_rest(p);
        }
    }
    if (!is_blank(advance(p))) {
        return lex_comment_rest(p);
    }
    skip_blanks(p);
    p->state = IN_META_NAME;
    return first == 'H' ? TOKEN_HELP : TOKEN_TYPE;
}

static void take_name(struct expo_text *p, bool colon_allowed) {
    int c = advance(p);
    while (is_label_start(c) || is_digit(c) || (colon_allowed && c == ':')) {
        c = advance(p);
    }
}

/* A quoted string from its opening quote to behind the closing one. */
static bool take_quoted(struct expo_text *p) {
    int c = advance(p);
    while (c != '"') {
        if (c == '\\') {
            c = advance(p);
            if (c == '\n' || c == '\0' || c == END_OF_INPUT) {
                return false;
            }
        } else if (c == '\0' || c == END_OF_INPUT) {
            return false;
        }
        c = advance(p);
    }
    (void)advance(p);
    return true;
}

static enum token take_one(struct expo_text *p, enum token token) {
    (void)advance(p);
    return token;
}

static enum token lex_line_start(struct expo_text *p, int c) {
    switch (c) {
    case '\0':
        return take_one(p, TOKEN_EOF);
    case '\n':
        return take_one(p, TOKEN_LINEBREAK);
    case '#':
        return lex_hash(p);
    case '{': {
        const enum token token = take_one(p, TOKEN_BOPEN);
        p->state = IN_LABELS;
        return token;
    }
    default:
        if (!is_name_start(c)) {
            return TOKEN_INVALID;
        }
        take_name(p, true);
        p->state = IN_VALUE;
        return TOKEN_MNAME;
    }
}

static enum token lex_meta_name(struct expo_text *p, int c) {
    if (c == '"') {
        if (!take_quoted(p)) {
            return TOKEN_INVALID;
        }
    } else if (is_name_start(c)) {
        take_name(p, true);
    } else {
        return TOKEN_INVALID;
    }
    p->state = IN_META_TEXT;
    return TOKEN_MNAME;
}

/* The rest of the line; a rest of nothing but blanks was skipped before and leaves it empty. */
static enum token lex_meta_text(struct expo_text *p, int c) {
    while (c != '\n' && c != '\0' && c != END_OF_INPUT) {
        c = advance(p);
    }
    p->state = IN_LINE_START;
    return TOKEN_TEXT;
}

static enum token lex_labels(struct expo_text *p, int c) {
    switch (c) {
    case '"':
        return take_quoted(p) ? TOKEN_QSTRING : TOKEN_INVALID;
    case '}': {
        const enum token token = take_one(p, TOKEN_BCLOSE);
        p->state = IN_VALUE;
        return token;
    }
    case '=': {
        const enum token token = take_one(p, TOKEN_EQUAL);
        p->state = IN_LABEL_VALUE;
        return token;
    }
    case ',':
        return take_one(p, TOKEN_COMMA);
    default:
        if (!is_label_start(c)) {
            return TOKEN_INVALID;
        }
        take_name(p, false);
        return TOKEN_LNAME;
    }
}

static enum token lex_value(struct expo_text *p, int c) {
    if (c == '{') {
        const enum token token = take_one(p, TOKEN_BOPEN);
        p->state = IN_LABELS;
        return token;
    }
    if (c == '\n' || c == '\0' || c == END_OF_INPUT) {
        return TOKEN_INVALID;
    }
    while (!is_blank(c) && c != '{' && c != '\n' && c != '\0' && c != END_OF_INPUT) {
        c = advance(p);
    }
    p->state = IN_TIMESTAMP;
    return TOKEN_VALUE;
}

static enum token lex_timestamp(struct expo_text *p, int c) {
    if (c == '\n') {
        const enum token token = take_one(p, TOKEN_LINEBREAK);
        p->state = IN_LINE_START;
        return token;
    }
    if (!is_digit(c)) {
        return TOKEN_INVALID;
    }
    while (is_digit(c)) {
        c = advance(p);
    }
    return TOKEN_TIMESTAMP;
}

/* In metadata, blanks belong to the text unless nothing follows them. */
static bool blanks_are_text(const struct expo_text *p) {
    size_t i = p->at;
    while (i < p->body.len && (is_blank(p->body.ptr[i]) || (i > p->at && p->body.ptr[i] == '\0'))) {
        i++;
    }
    return i < p->body.len && p->body.ptr[i] != '\n';
}

/* The next token that is not blank. At the end, and for an invalid byte, p->at stays on it. */
static enum token lex(struct expo_text *p) {
    if (p->at > p->body.len) {
        return TOKEN_EOF;
    }
    p->token_at = p->at;
    int c = peek(p);
    if (is_blank(c) && !(p->state == IN_META_TEXT && blanks_are_text(p))) {
        skip_blanks(p);
        p->token_at = p->at;
        c = peek(p);
    }
    switch ((enum lex_state)p->state) {
    case IN_LINE_START:
        return lex_line_start(p, c);
    case IN_META_NAME:
        return lex_meta_name(p, c);
    case IN_META_TEXT:
        return lex_meta_text(p, c);
    case IN_LABELS:
        return lex_labels(p, c);
    case IN_LABEL_VALUE:
        if (c != '"' || !take_quoted(p)) {
            return TOKEN_INVALID;
        }
        p->state = IN_LABELS;
        return TOKEN_LVALUE;
    case IN_VALUE:
        return lex_value(p, c);
    case IN_TIMESTAMP:
        return lex_timestamp(p, c);
    case IN_COMMENT:
        break;
    }
    UNREACHABLE("a comment is one token");
}

/* ---- errors ---- */

/* Bytes [from, to) as a Go string literal; the appended newline counts. */
static void quote_span(const struct expo_text *p, size_t from, size_t to, struct buf *out) {
    char copy[QUOTE_MAX + 1];
    size_t n = slice(p, from, to).len;
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

static enum err_code fail_token(const struct expo_text *p, const char *expected, enum token got,
                                struct err *err) {
    struct buf got_text;
    struct buf line;
    const size_t end = p->at + 1 <= p->body.len + 1 ? p->at + 1 : p->body.len + 1;
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

/* "<what> while parsing: <line so far>" */
static enum err_code fail_line(const struct expo_text *p, const char *what, struct err *err) {
    struct buf line;
    buf_init(&line, ERR_TEXT_MAX * 4);
    quote_span(p, p->line_at, p->at, &line);
    const enum err_code code =
        err_set(err, ERR_INVALID, "%s while parsing: %.*s", what, STR_ARG(buf_str(&line)));
    buf_release(&line);
    return code;
}

/* "<before><text quoted><after>" */
static enum err_code fail_quoted(const char *before, struct str text, const char *after,
                                 struct err *err) {
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_MAX * 4);
    utf8_quote(&quoted, str_sub(text, 0, QUOTE_MAX));
    const enum err_code code =
        err_set(err, ERR_INVALID, "%s%.*s%s", before, STR_ARG(buf_str(&quoted)), after);
    buf_release(&quoted);
    return code;
}

static enum err_code fail_number(const struct expo_text *p, const char *function,
                                 enum number_result result, struct err *err) {
    struct buf what;
    buf_init(&what, ERR_TEXT_MAX * 8);
    buf_printf(&what, "strconv.%s: parsing ", function);
    utf8_quote(&what, str_sub(token_text(p), 0, QUOTE_MAX));
    buf_append_cstr(&what, result == NUMBER_RANGE ? ": value out of range" : ": invalid syntax");
    const enum err_code code = fail_line(p, what.ptr, err);
    buf_release(&what);
    return code;
}

/* ---- parser ---- */

static struct str unquoted(struct str s) {
    if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"') {
        return (struct str){s.ptr + 1, s.len - 2};
    }
    return s;
}

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

static enum err_code parse_meta(struct expo_text *p, enum token word, struct expo_entry *out,
                                struct err *err) {
    const bool is_type = word == TOKEN_TYPE;
    enum token token = lex(p);
    if (token != TOKEN_MNAME) {
        return fail_token(
            p, is_type ? "expected metric name after TYPE" : "expected metric name after HELP",
            token, err);
    }
    out->family = unquoted(token_text(p));
    token = lex(p);
    DCHECK(token == TOKEN_TEXT);
    /* One byte is the separator, whichever it is: the name token ended at it. */
    out->text = str_from(token_text(p), 1);
    if (is_type) {
        enum expo_type type = EXPO_UNKNOWN;
        if (!type_parse(out->text, &type)) {
            return fail_quoted("invalid metric type ", out->text, "", err);
        }
        p->type = type;
    } else if (!utf8_valid(out->text)) {
        return fail_quoted("help text ", out->text, " is not a valid utf8 string", err);
    }
    token = lex(p);
    if (token != TOKEN_LINEBREAK) {
        return fail_token(p, "linebreak expected after metadata", token, err);
    }
    out->kind = is_type ? EXPO_TYPE : EXPO_HELP;
    return ERR_OK;
}

static enum err_code add_label(struct expo_text *p, struct str name, struct err *err) {
    const struct str value = token_text(p);
    if (!utf8_valid(value)) {
        return fail_quoted("invalid UTF-8 label value: ", value, "", err);
    }
    if (p->label_count == EXPO_LABELS_MAX) {
        return err_set(err, ERR_LIMIT, "series has more than %d labels", EXPO_LABELS_MAX);
    }
    p->labels[p->label_count++] = (struct expo_label){name, unquoted(value)};
    return ERR_OK;
}

/* What stands in braces, behind the opening one. */
static enum err_code parse_braces(struct expo_text *p, struct err *err) {
    enum token token = lex(p);
    while (token != TOKEN_BCLOSE) {
        if (token != TOKEN_LNAME && token != TOKEN_QSTRING) {
            return fail_token(p, "expected label name", token, err);
        }
        const bool quoted = token == TOKEN_QSTRING;
        const struct str name = unquoted(token_text(p));
        token = lex(p);
        if (quoted && (token == TOKEN_COMMA || token == TOKEN_BCLOSE)) {
            if (p->has_name) {
                return fail_line(p, "metric name already set", err);
            }
            p->has_name = true;
            p->name = name;
            token = token == TOKEN_COMMA ? lex(p) : token;
            continue;
        }
        if (token != TOKEN_EQUAL) {
            return fail_token(p, "expected equal", token, err);
        }
        token = lex(p);
        if (token != TOKEN_LVALUE) {
            return fail_token(p, "expected label value", token, err);
        }
        const enum err_code code = add_label(p, name, err);
        if (code != ERR_OK) {
            return code;
        }
        token = lex(p);
        token = token == TOKEN_COMMA ? lex(p) : token;
    }
    return ERR_OK;
}

static enum err_code parse_value(struct expo_text *p, struct expo_entry *out, struct err *err) {
    const struct str text = token_text(p);
    const enum number_result result = num_parse(text, &out->value);
    if (result == NUMBER_OK) {
        return ERR_OK;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == 'p' || text.ptr[i] == 'P' || text.ptr[i] == '_') {
            return fail_line(p, "unsupported character in float", err);
        }
    }
    return fail_number(p, "ParseFloat", result, err);
}

/* Value and timestamp; token is the one behind the series. */
static enum err_code parse_sample_rest(struct expo_text *p, enum token token,
                                       struct expo_entry *out, struct err *err) {
    if (!p->has_name) {
        return fail_line(p, "metric name not set", err);
    }
    if (token != TOKEN_VALUE) {
        return fail_token(p, "expected value after metric", token, err);
    }
    const enum err_code code = parse_value(p, out, err);
    if (code != ERR_OK) {
        return code;
    }
    token = lex(p);
    if (token == TOKEN_TIMESTAMP) {
        const enum number_result result = number_parse_i64(token_text(p), &out->timestamp_ms);
        if (result != NUMBER_OK) {
            return fail_number(p, "ParseInt", result, err);
        }
        out->has_timestamp = true;
        token = lex(p);
        if (token != TOKEN_LINEBREAK) {
            return fail_token(p, "expected next entry after timestamp", token, err);
        }
    } else if (token != TOKEN_LINEBREAK) {
        return fail_token(p, "expected timestamp or new record", token, err);
    }
    out->kind = EXPO_SAMPLE;
    return ERR_OK;
}

static enum err_code parse_sample(struct expo_text *p, enum token token, struct expo_entry *out,
                                  struct err *err) {
    p->label_count = 0;
    p->has_name = token == TOKEN_MNAME;
    if (p->has_name) {
        /* Blanks before the name are part of it. */
        p->name = slice(p, p->line_at, p->at);
        out->series = p->name;
        token = lex(p);
    }
    if (token == TOKEN_BOPEN) {
        const enum err_code code = parse_braces(p, err);
        if (code != ERR_OK) {
            return code;
        }
        out->series = slice(p, p->line_at, p->at);
        token = lex(p);
    }
    return parse_sample_rest(p, token, out, err);
}

static enum err_code parse_entry(struct expo_text *p, enum token token, struct expo_entry *out,
                                 struct err *err) {
    switch (token) {
    case TOKEN_EOF:
        out->kind = EXPO_END;
        return ERR_OK;
    case TOKEN_HELP:
    case TOKEN_TYPE:
        return parse_meta(p, token, out, err);
    case TOKEN_COMMENT:
        out->text = token_text(p);
        token = lex(p);
        if (token != TOKEN_LINEBREAK) {
            return fail_token(p, "linebreak expected after comment", token, err);
        }
        out->kind = EXPO_COMMENT;
        return ERR_OK;
    case TOKEN_BOPEN:
    case TOKEN_MNAME:
        return parse_sample(p, token, out, err);
    case TOKEN_INVALID:
    case TOKEN_LINEBREAK:
    case TOKEN_WHITESPACE:
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
    return fail_token(p, "expected a valid start token", token, err);
}

void expo_text_init(struct expo_text *p, struct str body) {
    p->body = body;
    expo_text_seek(p, 0, EXPO_UNKNOWN);
}

void expo_text_seek(struct expo_text *p, size_t offset, enum expo_type type) {
    ASSERT(offset <= p->body.len + 1);
    p->at = offset;
    p->token_at = offset;
    p->line_at = offset;
    p->state = IN_LINE_START;
    p->type = type;
    p->label_count = 0;
    p->has_name = false;
}

enum err_code expo_text_next(struct expo_text *p, struct expo_entry *out, struct err *err) {
    enum token token = TOKEN_LINEBREAK;
    do { /* blank lines */
        p->line_at = p->at;
        token = lex(p);
    } while (token == TOKEN_LINEBREAK);
    *out = (struct expo_entry){.begin = p->line_at};
    const enum err_code code = parse_entry(p, token, out, err);
    if (code == ERR_OK && p->at - p->line_at > EXPO_LINE_MAX) {
        return err_set(err, ERR_LIMIT, "line of %zu bytes exceeds the limit of %d bytes",
                       p->at - p->line_at, EXPO_LINE_MAX);
    }
    return code;
}

/* ---- labels ---- */

/* \\, \" (with quotes) and \n; every other backslash stays. */
static struct str unescape(struct arena *arena, struct str s, bool quotes) {
    if (s.len == 0 || memchr(s.ptr, '\\', s.len) == NULL) {
        return s;
    }
    char *const to = arena_alloc(arena, s.len);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        const char next = i + 1 < s.len ? s.ptr[i + 1] : '\0';
        if (c == '\\' && (next == '\\' || next == 'n' || (quotes && next == '"'))) {
            c = next == 'n' ? '\n' : next;
            i++;
        }
        to[n++] = c;
    }
    return (struct str){to, n};
}

struct str expo_help_unescape(struct arena *arena, struct str text) {
    return unescape(arena, text, false);
}

/* Bucket bounds and quantiles are written one way, so that 1 and 1.0 are one series. */
static struct str normalise(const struct expo_text *p, struct arena *arena, struct label label) {
    const bool wanted = (p->type == EXPO_SUMMARY && str_eq(label.name, STR("quantile"))) ||
                        (p->type == EXPO_HISTOGRAM && str_eq(label.name, STR("le")));
    double v = 0;
    if (!wanted || number_parse_double(label.value, &v) != NUMBER_OK) {
        return label.value;
    }
    char text[NUMBER_TEXT_MAX];
    const size_t n = number_format_openmetrics(v, text);
    return arena_str(arena, (struct str){text, n});
}

static int by_name(const void *a, const void *b) {
    const struct label *const x = a;
    const struct label *const y = b;
    return str_cmp(x->name, y->name);
}

/* Most series expose a handful of labels in order already. */
static void sort_by_name(struct label *labels, size_t n) {
    for (size_t i = 1; i < n && n <= 16; i++) {
        const struct label label = labels[i];
        size_t at = i;
        for (; at > 0 && str_cmp(labels[at - 1].name, label.name) > 0; at--) {
            labels[at] = labels[at - 1];
        }
        labels[at] = label;
    }
    if (n > 16) {
        qsort(labels, n, sizeof(labels[0]), by_name);
    }
}

struct label *expo_text_labels(const struct expo_text *p, struct arena *arena, size_t *out_count) {
    ASSERT(p->has_name);
    struct label *const labels = arena_alloc(arena, (p->label_count + 1) * sizeof(labels[0]));
    labels[0] = (struct label){LABEL_NAME, unescape(arena, p->name, true)};
    for (size_t i = 0; i < p->label_count; i++) {
        struct label *const label = &labels[i + 1];
        label->name = unescape(arena, p->labels[i].name, true);
        label->value = unescape(arena, p->labels[i].value, true);
        label->value = normalise(p, arena, *label);
    }
    sort_by_name(labels, p->label_count + 1);
    *out_count = p->label_count + 1;
    return labels;
}
