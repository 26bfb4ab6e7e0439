/* Metric selectors: name{label="value", ...}, and metrics as labels. */
#include "base/labels.h"
#include "query/parser.h"

static const struct parse_context WANT_NAME = {"label matching", "identifier or \"}\""};
static const struct parse_context WANT_OPERATOR = {"label matching", "label matching operator"};
static const struct parse_context WANT_STRING = {"label matching", "string"};
static const struct parse_context WANT_COMMA = {"label matching", "\",\" or \"}\""};

struct matcher_list {
    struct matcher *items;
    size_t count, capacity;
};

static bool add_matcher(struct parser *p, struct matcher_list *list, uint32_t offset,
                        enum matcher_type type, struct str name, struct str value) {
    struct matcher *items =
        parse_grow(p, list->items, list->count, &list->capacity, sizeof(struct matcher));
    if (items == NULL) {
        return false;
    }
    list->items = items;
    struct err err;
    const enum err_code code = matcher_init(p->arena, type, name, value, &items[list->count], &err);
    if (code == ERR_INVALID) {
        return parse_fail(p, offset, "%s", err.text);
    }
    if (code != ERR_OK) {
        p->code = err_set(p->err, code, "%s", err.text);
        return false;
    }
    list->count++;
    return true;
}

static bool matcher_type_of(enum token_type token, enum matcher_type *out) {
    switch ((int)token) {
    case TOKEN_EQL:
        *out = MATCH_EQUAL;
        return true;
    case TOKEN_NEQ:
        *out = MATCH_NOT_EQUAL;
        return true;
    case TOKEN_EQL_REGEX:
        *out = MATCH_REGEX;
        return true;
    case TOKEN_NEQ_REGEX:
        *out = MATCH_NOT_REGEX;
        return true;
    default:
        return false;
    }
}

/* label op "value", "quoted label" op "value", or "quoted metric name" alone. */
static bool parse_matcher(struct parser *p, struct matcher_list *list) {
    const enum token_type first = parse_peek(p);
    if (first != TOKEN_IDENTIFIER && first != TOKEN_STRING) {
        return parse_unexpected_in(p, WANT_NAME);
    }
    const struct token label = parse_take(p);
    struct str name = label.text;
    if (first == TOKEN_STRING && !parse_string(p, label, &name)) {
        return false;
    }
    enum matcher_type type = MATCH_EQUAL;
    if (!matcher_type_of(parse_peek(p), &type)) {
        return first == TOKEN_STRING ? add_matcher(p, list, label.start, type, LABEL_NAME, name)
                                     : parse_unexpected_in(p, WANT_OPERATOR);
    }
    (void)parse_take(p);
    if (parse_peek(p) != TOKEN_STRING) {
        return parse_unexpected_in(p, WANT_STRING);
    }
    struct str value = {NULL, 0};
    return parse_string(p, parse_take(p), &value) &&
           add_matcher(p, list, label.start, type, name, value);
}

/* The braces, the left one being the lookahead. */
static bool parse_braces(struct parser *p, struct matcher_list *list) {
    (void)parse_take(p);
    if (parse_accept(p, TOKEN_RIGHT_BRACE)) {
        return true;
    }
    do {
        if (!parse_matcher(p, list)) {
            return false;
        }
        if (parse_accept(p, TOKEN_RIGHT_BRACE)) {
            return true;
        }
        if (!parse_accept(p, TOKEN_COMMA)) {
            return parse_unexpected_in(p, WANT_COMMA);
        }
    } while (!parse_accept(p, TOKEN_RIGHT_BRACE)); /* behind a trailing comma */
    return true;
}

struct node *parse_selector(struct parser *p, const struct token *name) {
    const enum token_type next = parse_peek(p);
    if (next == TOKEN_ERROR) {
        return NULL;
    }
    struct matcher_list list = {NULL, 0, 0};
    const uint32_t start = name != NULL ? name->start : p->token.start;
    if (next == TOKEN_LEFT_BRACE && !parse_braces(p, &list)) {
        return NULL;
    }
    /* The name comes last: checks and absent() go by the order. */
    if (name != NULL && !add_matcher(p, &list, start, MATCH_EQUAL, LABEL_NAME, name->text)) {
        return NULL;
    }
    struct node *node =
        parse_node(p, NODE_VECTOR_SELECTOR, VALUE_VECTOR, (struct pos_range){start, p->last_end});
    if (node == NULL) {
        return NULL;
    }
    node->vector.matchers = list.items;
    node->vector.matcher_count = list.count;
    if (name != NULL) {
        node->vector.name = list.items[list.count - 1].value;
    } else {
        node->vector.name = STR("");
    }
    return node;
}

/* ---- metrics as labels ---- */

static bool parse_label(struct parser *p, struct labels_builder *builder) {
    const enum token_type first = parse_peek(p);
    if (first != TOKEN_IDENTIFIER && first != TOKEN_STRING) {
        return parse_unexpected_in(p, (struct parse_context){"label set", "identifier or \"}\""});
    }
    const struct token label = parse_take(p);
    struct str name = label.text;
    if (first == TOKEN_STRING && !parse_string(p, label, &name)) {
        return false;
    }
    if (!parse_accept(p, TOKEN_EQL)) {
        if (first == TOKEN_STRING && p->code == ERR_OK) {
            labels_builder_set(builder, LABEL_NAME, name);
            return true;
        }
        return parse_unexpected_in(p, (struct parse_context){"label set", "\"=\""});
    }
    if (parse_peek(p) != TOKEN_STRING) {
        return parse_unexpected_in(p, (struct parse_context){"label set", "string"});
    }
    struct str value = {NULL, 0};
    if (!parse_string(p, parse_take(p), &value)) {
        return false;
    }
    labels_builder_set(builder, name, value);
    return true;
}

static bool parse_label_set(struct parser *p, struct labels_builder *builder) {
    if (!parse_accept(p, TOKEN_LEFT_BRACE)) {
        return p->code == ERR_OK;
    }
    if (parse_accept(p, TOKEN_RIGHT_BRACE)) {
        return true;
    }
    do {
        if (!parse_label(p, builder)) {
            return false;
        }
        if (parse_accept(p, TOKEN_RIGHT_BRACE)) {
            return true;
        }
        if (!parse_accept(p, TOKEN_COMMA)) {
            return parse_unexpected_in(p, (struct parse_context){"label set", "\",\" or \"}\""});
        }
    } while (!parse_accept(p, TOKEN_RIGHT_BRACE)); /* behind a trailing comma */
    return true;
}

enum err_code parse_metric(struct arena *arena, struct str text, struct labels *out,
                           struct err *err) {
    static const struct parse_options OPTIONS = {false, false, false};
    if (text.len > PARSE_TEXT_MAX) {
        return err_set(err, ERR_LIMIT, "metric of %zu bytes is longer than %d", text.len,
                       PARSE_TEXT_MAX);
    }
    struct parser p;
    parser_init(&p, arena, text, &OPTIONS, err);
    struct labels_builder builder;
    labels_builder_init(&builder, arena);
    const bool has_name = token_is_metric_name(parse_peek(&p));
    const struct str name = has_name ? parse_take(&p).text : STR("");
    if (!parse_label_set(&p, &builder) || !parse_expect(&p, TOKEN_EOF)) {
        return p.code;
    }
    if (has_name) {
        labels_builder_set(&builder, LABEL_NAME, name);
    }
    return labels_builder_finish(&builder, out, err);
}
