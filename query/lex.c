#include "query/lex.h"

#include <stdarg.h>
#include <stdio.h>

#include "query/lex_scan.h"

void lex_init(struct lexer *lex, struct str input) {
    memset(lex, 0, sizeof(*lex));
    lex->input = input;
}

/* ---- results ---- */

void lex_emit(struct lexer *lex, struct token *out, enum token_type type) {
    *out = (struct token){type, lex->start, str_sub(lex->input, lex->start, lex->pos - lex->start)};
    lex->start = lex->pos;
}

void lex_fail(struct lexer *lex, struct token *out, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(lex->message, sizeof(lex->message), fmt, args);
    va_end(args);
    *out = (struct token){TOKEN_ERROR, lex->start, {"", 0}};
}

const char *lex_quote_rune(int32_t rune, char out[QUOTED_RUNE_MAX]) {
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

void lex_fail_char(struct lexer *lex, struct token *out, const char *before, int32_t rune) {
    char quoted[QUOTED_RUNE_MAX];
    lex_fail(lex, out, "%s%s", before, lex_quote_rune(rune, quoted));
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
    while (at < lex->input.len && rune_is_space(lex->input.ptr[at])) {
        at++;
    }
    return at < lex->input.len && lex->input.ptr[at] == '(';
}

static void take_word(struct lexer *lex, struct token *out) {
    bool colon = lex->input.ptr[lex->start] == ':';
    while (lex->pos < lex->input.len) {
        const char c = lex->input.ptr[lex->pos];
        if (!rune_is_alnum(c) && c != ':') {
            break;
        }
        colon = colon || c == ':';
        lex->pos++;
    }
    if (colon) {
        lex_emit(lex, out, TOKEN_METRIC_IDENTIFIER);
        return;
    }
    enum token_type type = keyword_find(str_sub(lex->input, lex->start, lex->pos - lex->start));
    if ((type == TOKEN_FILL || type == TOKEN_FILL_LEFT || type == TOKEN_FILL_RIGHT) &&
        !paren_follows(lex)) {
        type = TOKEN_IDENTIFIER;
    }
    lex_emit(lex, out, type);
}

/* step, range, min_of or max_of, whose first letter is taken. Digits end the word here. */
static bool take_duration_word(struct lexer *lex, struct token *out) {
    while (rune_is_alpha(scan_peek(lex))) {
        lex->pos++;
    }
    const enum token_type type =
        keyword_find(str_sub(lex->input, lex->start, lex->pos - lex->start));
    if (type != TOKEN_STEP && type != TOKEN_RANGE && type != TOKEN_MAX_OF && type != TOKEN_MIN_OF) {
        return false;
    }
    lex_emit(lex, out, type);
    return true;
}

static bool starts_duration_word(int32_t r) {
    r = rune_lower(r);
    return r == 's' || r == 'r' || r == 'm';
}

/* ---- the three places ---- */

static void skip_spaces(struct lexer *lex) {
    while (lex->pos < lex->input.len && rune_is_space(lex->input.ptr[lex->pos])) {
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
    lex_emit(lex, out, TOKEN_RIGHT_PAREN);
    lex->paren_depth--;
    if (lex->paren_depth < 0) {
        lex_fail(lex, out, "unexpected right parenthesis ')'");
    }
}

static void take_in_braces(struct lexer *lex, struct token *out) {
    const int32_t r = scan_rune(lex);
    switch (r) {
    case RUNE_EOF:
        lex_fail(lex, out, "unexpected end of input inside braces");
        return;
    case ',':
        lex_emit(lex, out, TOKEN_COMMA);
        return;
    case '"':
    case '\'':
        lex_string(lex, out, (char)r);
        return;
    case '`':
        lex_raw_string(lex, out);
        return;
    case '=':
        lex_emit(lex, out, scan_in(lex, "~") ? TOKEN_EQL_REGEX : TOKEN_EQL);
        return;
    case '!':
        if (scan_peek_in(lex, "~=")) {
            lex_emit(lex, out, scan_rune(lex) == '~' ? TOKEN_NEQ_REGEX : TOKEN_NEQ);
        } else {
            lex_fail_char(lex, out,
                          "unexpected character after '!' inside braces: ", scan_peek(lex));
        }
        return;
    case '{':
        lex_fail(lex, out, "unexpected left brace '{'");
        return;
    case '}':
        lex_emit(lex, out, TOKEN_RIGHT_BRACE);
        lex->place = LEX_ORDINARY;
        return;
    default:
        break;
    }
    if (!rune_is_alpha(r)) {
        lex_fail_char(lex, out, "unexpected character inside braces: ", r);
        return;
    }
    while (rune_is_alnum(scan_peek(lex))) {
        lex->pos++;
    }
    lex_emit(lex, out, TOKEN_IDENTIFIER);
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
    const int32_t r = scan_rune(lex);
    const enum token_type arithmetic = arithmetic_type(r);
    if (arithmetic != TOKEN_ERROR) {
        lex_emit(lex, out, arithmetic);
    } else if (r == RUNE_EOF) {
        lex_fail(lex, out, "unexpected end of input in duration expression");
    } else if (r == ']') {
        lex_emit(lex, out, TOKEN_RIGHT_BRACKET);
        lex->bracket_open = false;
        lex->place = LEX_ORDINARY;
    } else if (r == ':') {
        lex_emit(lex, out, TOKEN_COLON);
        if (!lex->got_duration) {
            lex_fail(lex, out, "unexpected colon before duration in duration expression");
        } else if (lex->got_colon) {
            lex_fail(lex, out, "unexpected repeated colon in duration expression");
        }
        lex->got_colon = true;
    } else if (r == '(') {
        lex_emit(lex, out, TOKEN_LEFT_PAREN);
        lex->paren_depth++;
    } else if (r == ')') {
        close_paren(lex, out);
    } else if (starts_duration_word(r)) {
        if (!take_duration_word(lex, out)) {
            lex_fail_char(lex, out, "unexpected character in duration expression: ", r);
        }
    } else if (rune_is_digit(r) || (r == '.' && rune_is_digit(scan_peek(lex)))) {
        lex->pos--;
        lex->got_duration = true;
        lex->place = LEX_ORDINARY;
        lex_number_or_duration(lex, out);
    } else {
        lex_fail_char(lex, out, "unexpected character in duration expression: ", r);
    }
}

static void take_comparison(struct lexer *lex, struct token *out, int32_t r) {
    const bool less = r == '<';
    if (scan_in(lex, "=")) {
        lex_emit(lex, out, less ? TOKEN_LTE : TOKEN_GTE);
    } else if (scan_in(lex, "/")) {
        lex_emit(lex, out, less ? TOKEN_TRIM_UPPER : TOKEN_TRIM_LOWER);
    } else {
        lex_emit(lex, out, less ? TOKEN_LSS : TOKEN_GTR);
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
            lex_fail(lex, out, "unexpected colon ':'");
            return;
        }
        lex_emit(lex, out, TOKEN_COLON);
        lex->got_colon = true;
        return;
    }
    if (!starts_duration_word(r) || !take_duration_word(lex, out)) {
        char quoted[QUOTED_RUNE_MAX];
        lex_fail(lex, out, "unexpected character: %s, expected ':'", lex_quote_rune(r, quoted));
    }
}

static void take_end(struct lexer *lex, struct token *out) {
    if (lex->paren_depth != 0) {
        lex_fail(lex, out, "unclosed left parenthesis");
    } else if (lex->bracket_open) {
        lex_fail(lex, out, "unclosed left bracket");
    } else {
        lex_emit(lex, out, TOKEN_EOF);
    }
}

static void open_bracket(struct lexer *lex, struct token *out) {
    if (lex->bracket_open) {
        lex_fail(lex, out, "unexpected left bracket '['");
        return;
    }
    lex_emit(lex, out, TOKEN_LEFT_BRACKET);
    skip_spaces(lex);
    lex->bracket_open = true;
    lex->got_colon = false;
    lex->place = LEX_BRACKET;
}

static void take_ordinary(struct lexer *lex, struct token *out) {
    const int32_t r = scan_rune(lex);
    const enum token_type arithmetic = arithmetic_type(r);
    if (arithmetic != TOKEN_ERROR) {
        lex_emit(lex, out, arithmetic);
        return;
    }
    if (rune_is_digit(r) || (r == '.' && rune_is_digit(scan_peek(lex)))) {
        lex->pos--;
        lex_number_or_duration(lex, out);
        return;
    }
    if (rune_is_alpha(r) || r == ':') {
        take_word_or_colon(lex, out, r);
        return;
    }
    switch (r) {
    case RUNE_EOF:
        take_end(lex, out);
        break;
    case '=':
        if (scan_peek_in(lex, "~")) {
            lex_fail(lex, out, "unexpected character after '=': '~'");
        } else {
            lex_emit(lex, out, scan_in(lex, "=") ? TOKEN_EQLC : TOKEN_EQL);
        }
        break;
    case '!':
        if (scan_in(lex, "=")) {
            lex_emit(lex, out, TOKEN_NEQ);
        } else {
            lex_fail_char(lex, out, "unexpected character after '!': ", scan_peek(lex));
        }
        break;
    case '<':
    case '>':
        take_comparison(lex, out, r);
        break;
    case '"':
    case '\'':
        lex_string(lex, out, (char)r);
        break;
    case '`':
        lex_raw_string(lex, out);
        break;
    case '(':
        lex_emit(lex, out, TOKEN_LEFT_PAREN);
        lex->paren_depth++;
        break;
    case ')':
        close_paren(lex, out);
        break;
    case '{':
        lex_emit(lex, out, TOKEN_LEFT_BRACE);
        lex->place = LEX_BRACES;
        break;
    case '[':
        open_bracket(lex, out);
        break;
    case ']':
        if (!lex->bracket_open) {
            lex_fail(lex, out, "unexpected right bracket ']'");
        } else {
            lex_emit(lex, out, TOKEN_RIGHT_BRACKET);
            lex->bracket_open = false;
        }
        break;
    case '@':
        lex_emit(lex, out, TOKEN_AT);
        break;
    default:
        lex_fail_char(lex, out, "unexpected character: ", r);
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
