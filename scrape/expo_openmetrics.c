/* One space is the separator, and it belongs to the token behind it; nothing is skipped. So the
 * lexer is one state machine from byte to byte, and the parser names what it expected. */
#include "scrape/expo_openmetrics.h"

#include <math.h>

#include "base/check.h"
#include "base/number.h"
#include "base/utf8.h"
#include "scrape/expo_lex.h"

/* ---- lexer ---- */

static bool take_word(struct expo_parser *p, const char *word) {
    for (; *word != '\0'; word++) {
        if (lex_peek(p) != *word) {
            return false;
        }
        (void)lex_advance(p);
    }
    return true;
}

/* After "#": one of four words, or nothing that is known. */
static enum token lex_hash(struct expo_parser *p) {
    if (lex_advance(p) != ' ') {
        return TOKEN_INVALID;
    }
    (void)lex_advance(p);
    p->state = IN_COMMENT;
    enum token token = TOKEN_INVALID;
    switch (lex_peek(p)) {
    case 'E':
        if (!take_word(p, "EOF")) {
            return TOKEN_INVALID;
        }
        (void)take_word(p, "\n");
        p->state = IN_LINE_START;
        return TOKEN_EOFWORD;
    case 'H':
        token = take_word(p, "HELP ") ? TOKEN_HELP : TOKEN_INVALID;
        break;
    case 'T':
        token = take_word(p, "TYPE ") ? TOKEN_TYPE : TOKEN_INVALID;
        break;
    case 'U':
        token = take_word(p, "UNIT ") ? TOKEN_UNIT : TOKEN_INVALID;
        break;
    default:
        break;
    }
    p->state = token != TOKEN_INVALID ? IN_META_NAME : IN_COMMENT;
    return token;
}

static enum token lex_line_start(struct expo_parser *p, int c) {
    if (c == '#') {
        return lex_hash(p);
    }
    if (c == '{') {
        const enum token token = lex_take_one(p, TOKEN_BOPEN);
        p->state = IN_LABELS;
        return token;
    }
    if (!is_name_start(c)) {
        return TOKEN_INVALID;
    }
    lex_take_name(p, true);
    p->state = IN_VALUE;
    return TOKEN_MNAME;
}

/* A space and the rest of the line. NULs that open the next line are taken for text, too. */
static enum token lex_meta_text(struct expo_parser *p, int c) {
    if (c != ' ') {
        return TOKEN_INVALID;
    }
    while (c != '\n') {
        c = lex_advance(p);
        if (c == END_OF_INPUT) {
            return TOKEN_INVALID;
        }
    }
    (void)lex_advance(p);
    p->state = IN_LINE_START;
    return TOKEN_TEXT;
}

static bool ends_word(int c) {
    return c == ' ' || c == '\n' || c == '\0' || c == END_OF_INPUT;
}

/* At a space: it and the word behind it. */
static bool take_spaced_word(struct expo_parser *p) {
    int c = lex_advance(p);
    if (ends_word(c)) {
        return false;
    }
    while (!ends_word(c)) {
        c = lex_advance(p);
    }
    return true;
}

static enum token lex_linebreak(struct expo_parser *p) {
    const enum token token = lex_take_one(p, TOKEN_LINEBREAK);
    p->state = IN_LINE_START;
    return token;
}

static enum token lex_value(struct expo_parser *p, int c, enum lex_state next) {
    if (c != ' ' || !take_spaced_word(p)) {
        return TOKEN_INVALID;
    }
    p->state = (int)next;
    return TOKEN_VALUE;
}

/* Behind a sample's value: a timestamp, an exemplar, or the end of the line. */
static enum token lex_timestamp(struct expo_parser *p, int c) {
    if (c == '\n') {
        return lex_linebreak(p);
    }
    if (c != ' ' || !take_spaced_word(p)) {
        return TOKEN_INVALID;
    }
    if (!str_eq(lex_token(p), STR(" #")) || lex_peek(p) != ' ') {
        return TOKEN_TIMESTAMP;
    }
    if (lex_advance(p) != '{') {
        return TOKEN_INVALID;
    }
    (void)lex_advance(p);
    p->state = IN_EXEMPLAR;
    return TOKEN_COMMENT;
}

static enum token lex_exemplar_timestamp(struct expo_parser *p, int c) {
    if (c == '\n') {
        return lex_linebreak(p);
    }
    return c == ' ' && take_spaced_word(p) ? TOKEN_TIMESTAMP : TOKEN_INVALID;
}

static enum token lex_quoted_value(struct expo_parser *p, int c, enum lex_state next) {
    if (c != '"' || !lex_take_quoted(p, false)) {
        return TOKEN_INVALID;
    }
    p->state = (int)next;
    return TOKEN_LVALUE;
}

/* The next token. For an invalid byte p->at stays on it; at the end token_at stays on the token
 * before, which is what error texts quote. */
static enum token lex(struct expo_parser *p) {
    if (p->at >= p->body.len) {
        return TOKEN_EOF;
    }
    p->token_at = p->at;
    const int c = lex_peek(p);
    switch ((enum lex_state)p->state) {
    case IN_LINE_START:
        return lex_line_start(p, c);
    case IN_META_NAME:
        return lex_meta_name(p, c);
    case IN_META_TEXT:
        return lex_meta_text(p, c);
    case IN_LABELS:
    case IN_EXEMPLAR:
        return lex_braces(p, c);
    case IN_LABEL_VALUE:
        return lex_quoted_value(p, c, IN_LABELS);
    case IN_VALUE:
        if (c == '{') {
            const enum token token = lex_take_one(p, TOKEN_BOPEN);
            p->state = IN_LABELS;
            return token;
        }
        return lex_value(p, c, IN_TIMESTAMP);
    case IN_TIMESTAMP:
        return lex_timestamp(p, c);
    case IN_EXEMPLAR_VALUE:
        return c == '"' ? lex_quoted_value(p, c, IN_EXEMPLAR)
                        : lex_value(p, c, IN_EXEMPLAR_TIMESTAMP);
    case IN_EXEMPLAR_TIMESTAMP:
        return lex_exemplar_timestamp(p, c);
    case IN_COMMENT:
        break;
    }
    UNREACHABLE("an unknown comment ends the page");
}

/* ---- parser ---- */

static enum err_code fail_end(struct err *err) {
    return err_set(err, ERR_INVALID, "data does not end with # EOF");
}

static bool type_parse(struct str text, enum expo_type *out) {
    static const enum expo_type types[] = {EXPO_COUNTER,  EXPO_GAUGE,          EXPO_HISTOGRAM,
                                           EXPO_SUMMARY,  EXPO_GAUGEHISTOGRAM, EXPO_INFO,
                                           EXPO_STATESET, EXPO_UNKNOWN};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (str_eq(text, str_of(expo_type_name(types[i])))) {
            *out = types[i];
            return true;
        }
    }
    return false;
}

static enum err_code check_unit(enum expo_format format, struct str unit, struct str family,
                                struct err *err) {
    const bool is_suffix = str_ends(family, unit) && family.len > unit.len &&
                           family.ptr[family.len - unit.len - 1] == '_';
    if (unit.len == 0 || is_suffix || format == EXPO_FORMAT_PROTOBUF) {
        return ERR_OK;
    }
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_MAX * 8);
    utf8_quote(&quoted, str_sub(unit, 0, ERR_TEXT_MAX));
    buf_append_cstr(&quoted, " not a suffix of metric ");
    utf8_quote(&quoted, str_sub(family, 0, ERR_TEXT_MAX));
    const enum err_code code = err_set(err, ERR_INVALID, "unit %.*s", STR_ARG(buf_str(&quoted)));
    buf_release(&quoted);
    return code;
}

/* which: TOKEN_HELP, TOKEN_TYPE or TOKEN_UNIT */
static enum err_code parse_meta(struct expo_parser *p, enum token which, struct expo_entry *out,
                                struct err *err) {
    static const struct {
        const char *name_expected, *text_expected;
        enum expo_kind kind;
    } words[] = {
        {"expected metric name after HELP", "expected text in HELP", EXPO_HELP},
        {"expected metric name after TYPE", "expected text in TYPE", EXPO_TYPE},
        {"expected metric name after UNIT", "expected text in UNIT", EXPO_UNIT},
    };
    const size_t word = (size_t)which - TOKEN_HELP;
    ASSERT(word < COUNT_OF(words));
    const enum token token = lex(p);
    if (token != TOKEN_MNAME) {
        return lex_fail_token(p, words[word].name_expected, token, err);
    }
    out->family = lex_unquoted(lex_token(p));
    if (lex(p) != TOKEN_TEXT) {
        return err_set(err, ERR_INVALID, "%s", words[word].text_expected);
    }
    const struct str text = lex_token(p);
    out->text = str_sub(text, 1, text.len - 2);
    out->kind = words[word].kind;
    if (out->kind == EXPO_UNIT) {
        p->unit = out->text;
        return check_unit(p->format, out->text, out->family, err);
    }
    if (out->kind == EXPO_HELP) {
        return utf8_valid(out->text)
                   ? ERR_OK
                   : lex_fail_quoted("help text ", out->text, " is not a valid utf8 string", err);
    }
    return type_parse(out->text, &p->type)
               ? ERR_OK
               : lex_fail_quoted("invalid metric type ", out->text, "", err);
}

/* An item that is not a label: the quoted name of the metric. An exemplar has none. */
static enum err_code parse_brace_name(struct expo_parser *p, bool exemplar, struct str name,
                                      enum token behind, struct err *err) {
    if (exemplar) {
        return lex_fail_token(p, "expected label name", behind, err);
    }
    if (p->has_name) {
        return lex_fail_line(p, "metric name already set", err);
    }
    p->has_name = true;
    p->name = name;
    return ERR_OK;
}

/* Labels beyond the maximum are counted, so that the exemplar is known to have too many. */
static enum err_code add_exemplar_label(struct expo_parser *p, struct str name, struct err *err) {
    const enum err_code code = lex_check_label_value(p, err);
    if (code == ERR_OK && p->exemplar.label_count < EXPO_EXEMPLAR_LABELS_MAX) {
        const struct str token = lex_token(p);
        p->exemplar.labels[p->exemplar.label_count++] =
            (struct expo_label){name, str_sub(token, 1, token.len - 2)};
    }
    return code;
}

/* What stands in braces, behind the opening one. */
static enum err_code parse_braces(struct expo_parser *p, bool exemplar, struct err *err) {
    enum token token = lex(p);
    while (token != TOKEN_BCLOSE) {
        if (token != TOKEN_LNAME && token != TOKEN_QSTRING) {
            return lex_fail_token(p, "expected label name", token, err);
        }
        const bool quoted = token == TOKEN_QSTRING;
        const struct str name = lex_unquoted(lex_token(p));
        enum err_code code = ERR_OK;
        token = lex(p);
        if ((token == TOKEN_COMMA || token == TOKEN_BCLOSE) && (quoted || exemplar)) {
            code = parse_brace_name(p, exemplar, name, token, err);
        } else if (token != TOKEN_EQUAL) {
            return lex_fail_token(p, "expected equal", token, err);
        } else {
            token = lex(p);
            if (token != TOKEN_LVALUE) {
                return lex_fail_token(p, "expected label value", token, err);
            }
            code = exemplar ? add_exemplar_label(p, name, err) : lex_add_label(p, name, err);
            token = code == ERR_OK ? lex(p) : token;
        }
        if (code != ERR_OK) {
            return code;
        }
        if (token == TOKEN_COMMA) {
            token = lex(p);
        } else if (token != TOKEN_BCLOSE) {
            return lex_fail_token(p, "expected comma or brace close", token, err);
        }
    }
    return ERR_OK;
}

/* The token without the space before it. */
static struct str spaced_word(const struct expo_parser *p) {
    return str_from(lex_token(p), 1);
}

/* what: "timestamp" or "exemplar timestamp" */
static enum err_code parse_seconds(const struct expo_parser *p, const char *what, int64_t *out_ms,
                                   struct err *err) {
    double seconds = 0;
    const enum number_result result = number_parse_double(spaced_word(p), &seconds);
    if (result != NUMBER_OK) {
        return lex_fail_float(p, spaced_word(p), result, err);
    }
    if (isnan(seconds) || isinf(seconds)) {
        return err_set(err, ERR_INVALID, "invalid %s %s", what,
                       isnan(seconds) ? "NaN" : (seconds > 0 ? "+Inf" : "-Inf"));
    }
    *out_ms = expo_seconds_to_ms(seconds);
    return ERR_OK;
}

static enum err_code parse_value(struct expo_parser *p, enum token token, const char *expected,
                                 struct num *out, struct err *err) {
    if (token != TOKEN_VALUE) {
        return lex_fail_token(p, expected, token, err);
    }
    const enum number_result result = num_parse(spaced_word(p), out);
    return result == NUMBER_OK ? ERR_OK : lex_fail_float(p, spaced_word(p), result, err);
}

/* Behind " # {", to the end of the line. */
static enum err_code parse_exemplar(struct expo_parser *p, struct err *err) {
    struct num value;
    p->exemplar.label_count = 0;
    p->exemplar.ts_ms = EXPO_NO_TIME;
    enum err_code code = parse_braces(p, true, err);
    if (code == ERR_OK) {
        const enum token behind = lex(p);
        code = parse_value(p, behind, "expected value after exemplar labels", &value, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    p->exemplar.present = true;
    p->exemplar.value = num_double(value);
    enum token token = lex(p);
    if (token == TOKEN_EOF) {
        return fail_end(err);
    }
    if (token == TOKEN_LINEBREAK) {
        return ERR_OK;
    }
    if (token != TOKEN_TIMESTAMP) {
        return lex_fail_token(p, "expected timestamp or comment", token, err);
    }
    code = parse_seconds(p, "exemplar timestamp", &p->exemplar.ts_ms, err);
    token = code == ERR_OK ? lex(p) : token;
    if (code == ERR_OK && token != TOKEN_LINEBREAK) {
        return lex_fail_token(p, "expected next entry after exemplar timestamp", token, err);
    }
    return code;
}

/* What is no token behind a value ends the sample, says Prometheus, and the next entry starts in
 * the middle of the line, where it cannot: its error is the page's. */
static enum err_code fail_line_rest(struct expo_parser *p, struct err *err) {
    p->line_at = p->at;
    const enum token token = lex(p);
    return token == TOKEN_EOF ? fail_end(err)
                              : lex_fail_token(p, "expected a valid start token", token, err);
}

/* Behind the value: timestamp and exemplar. */
static enum err_code parse_line_rest(struct expo_parser *p, struct expo_entry *out,
                                     struct err *err) {
    out->has_timestamp = false;
    p->exemplar.present = false;
    enum token token = lex(p);
    if (token == TOKEN_TIMESTAMP) {
        const enum err_code code = parse_seconds(p, "timestamp", &out->timestamp_ms, err);
        if (code != ERR_OK) {
            return code;
        }
        out->has_timestamp = true;
        token = lex(p);
        if (token != TOKEN_LINEBREAK && token != TOKEN_COMMENT) {
            return lex_fail_token(p, "expected next entry after timestamp", token, err);
        }
    }
    if (token == TOKEN_COMMENT) {
        return parse_exemplar(p, err);
    }
    if (token == TOKEN_EOF) {
        return fail_end(err);
    }
    return token == TOKEN_LINEBREAK ? ERR_OK : fail_line_rest(p, err);
}

bool expo_openmetrics_rest(struct expo_parser *p, size_t line_at, size_t value_end,
                           struct expo_entry *out) {
    DCHECK(line_at < value_end && value_end <= p->body.len);
    p->line_at = line_at;
    p->at = value_end;
    p->state = IN_TIMESTAMP;
    return parse_line_rest(p, out, NULL) == ERR_OK && p->at - line_at <= EXPO_LINE_MAX;
}

/* From the value on; token is the one behind the series. */
static enum err_code parse_sample_rest(struct expo_parser *p, enum token token,
                                       struct expo_entry *out, struct err *err) {
    if (!p->has_name) {
        return lex_fail_line(p, "metric name not set", err);
    }
    const enum err_code code =
        parse_value(p, token, "expected value after metric", &out->value, err);
    if (code != ERR_OK) {
        return code;
    }
    out->kind = EXPO_SAMPLE;
    return parse_line_rest(p, out, err);
}

static enum err_code parse_sample(struct expo_parser *p, enum token token, struct expo_entry *out,
                                  struct err *err) {
    p->label_count = 0;
    p->has_name = token == TOKEN_MNAME;
    if (p->has_name) {
        p->name = lex_token(p);
        out->series = p->name;
        token = lex(p);
    }
    if (token == TOKEN_BOPEN) {
        const enum err_code code = parse_braces(p, false, err);
        if (code != ERR_OK) {
            return code;
        }
        out->series = lex_slice(p, p->line_at, p->at);
        token = lex(p);
    }
    return parse_sample_rest(p, token, out, err);
}

enum err_code expo_openmetrics_next(struct expo_parser *p, struct expo_entry *out,
                                    struct err *err) {
    p->line_at = p->at;
    *out = (struct expo_entry){.begin = p->at};
    const enum token token = lex(p);
    if (token == TOKEN_MNAME || token == TOKEN_BOPEN) {
        return parse_sample(p, token, out, err);
    }
    if (token == TOKEN_HELP || token == TOKEN_TYPE || token == TOKEN_UNIT) {
        return parse_meta(p, token, out, err);
    }
    if (token == TOKEN_EOF) {
        return fail_end(err);
    }
    if (token != TOKEN_EOFWORD) {
        return lex_fail_token(p, "expected a valid start token", token, err);
    }
    if (lex(p) != TOKEN_EOF) {
        return err_set(err, ERR_INVALID, "unexpected data after # EOF");
    }
    out->kind = EXPO_END;
    return ERR_OK;
}
