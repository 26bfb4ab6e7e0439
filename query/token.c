/* What kinds of token there are and how error texts call them. */
#include "base/utf8.h"
#include "query/lex.h"

bool token_is_metric_name(enum token_type type) {
    if (token_is_aggregator(type)) {
        return true;
    }
    switch ((int)type) {
    case TOKEN_IDENTIFIER:
    case TOKEN_METRIC_IDENTIFIER:
    case TOKEN_AND:
    case TOKEN_OR:
    case TOKEN_UNLESS:
    case TOKEN_BY:
    case TOKEN_WITHOUT:
    case TOKEN_OFFSET:
    case TOKEN_FILL:
    case TOKEN_FILL_LEFT:
    case TOKEN_FILL_RIGHT:
    case TOKEN_ANCHORED:
    case TOKEN_SMOOTHED:
    case TOKEN_START:
    case TOKEN_END:
    case TOKEN_STEP:
    case TOKEN_RANGE:
    case TOKEN_MAX_OF:
    case TOKEN_MIN_OF:
        return true;
    default:
        return false;
    }
}

bool token_is_grouping_label(enum token_type type) {
    switch ((int)type) {
    case TOKEN_WITHOUT:
        return false;
    case TOKEN_BOOL:
    case TOKEN_GROUP_LEFT:
    case TOKEN_GROUP_RIGHT:
    case TOKEN_IGNORING:
    case TOKEN_ON:
    case TOKEN_ATAN2:
        return true;
    default:
        return token_is_metric_name(type);
    }
}

bool token_starts_expression(enum token_type type) {
    return token_is_metric_name(type) || type == TOKEN_NUMBER || type == TOKEN_DURATION ||
           type == TOKEN_STRING || type == TOKEN_LEFT_PAREN || type == TOKEN_LEFT_BRACE ||
           type == TOKEN_ADD || type == TOKEN_SUB;
}

/* The first ten runes, Go-quoted, with dots behind when there are more than ten bytes. */
static void describe_short(struct buf *to, struct str text) {
    enum { SHORT_MAX = 10 };
    size_t end = 0;
    for (int runes = 0; runes < SHORT_MAX && end < text.len; runes++) {
        size_t width = 0;
        (void)utf8_rune(str_from(text, end), &width);
        end += width;
    }
    utf8_quote(to, str_sub(text, 0, end));
    if (text.len > SHORT_MAX) {
        buf_append_cstr(to, "...");
    }
}

static const char *kind_text(enum token_type type) {
    switch ((int)type) {
    case TOKEN_IDENTIFIER:
        return "identifier ";
    case TOKEN_METRIC_IDENTIFIER:
        return "metric identifier ";
    case TOKEN_NUMBER:
        return "number ";
    case TOKEN_DURATION:
        return "duration ";
    case TOKEN_STRING:
        return "string ";
    default:
        return "";
    }
}

void token_describe(struct buf *to, const struct token *token) {
    if (token->type == TOKEN_EOF) {
        buf_append_cstr(to, "end of input");
    } else if (token_is_keyword(token->type)) {
        buf_printf(to, "<%.*s>", STR_ARG(token->text));
    } else if (token_is_operator(token->type)) {
        buf_printf(to, "<op:%.*s>", STR_ARG(token->text));
    } else if (token_is_aggregator(token->type)) {
        buf_printf(to, "<aggr:%.*s>", STR_ARG(token->text));
    } else {
        buf_append_cstr(to, kind_text(token->type));
        if (token->type == TOKEN_IDENTIFIER || token->type == TOKEN_METRIC_IDENTIFIER) {
            utf8_quote(to, token->text);
        } else {
            describe_short(to, token->text);
        }
    }
}
