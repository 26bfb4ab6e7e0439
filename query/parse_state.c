/* Lookahead, errors and memory of a parse. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/utf8.h"
#include "query/parser.h"

void parser_init(struct parser *p, struct arena *arena, struct str text,
                 const struct parse_options *options, struct err *err) {
    memset(p, 0, sizeof(*p));
    lex_init(&p->lex, text);
    p->arena = arena;
    p->options = options;
    p->err = err;
}

/* ---- tokens ---- */

enum token_type parse_peek(struct parser *p) {
    if (p->code != ERR_OK) {
        return TOKEN_ERROR;
    }
    if (!p->has_token) {
        lex_next(&p->lex, &p->token);
        p->has_token = true;
        if (p->token.type == TOKEN_ERROR) {
            (void)parse_fail(p, p->token.start, "%s", p->lex.message);
        }
    }
    return p->token.type;
}

struct token parse_take(struct parser *p) {
    ASSERT(p->has_token);
    p->has_token = false;
    p->last_end = p->token.start + (uint32_t)p->token.text.len;
    return p->token;
}

bool parse_accept(struct parser *p, enum token_type type) {
    if (parse_peek(p) != type) {
        return false;
    }
    (void)parse_take(p);
    return true;
}

bool parse_expect(struct parser *p, enum token_type type) {
    return parse_accept(p, type) || parse_unexpected(p);
}

/* ---- errors ---- */

void print_position(struct buf *to, struct str text, uint32_t offset) {
    if (text.len == 0) {
        buf_append_cstr(to, "unknown position");
        return;
    }
    if (offset > text.len) {
        buf_append_cstr(to, "invalid position");
        return;
    }
    unsigned line = 1;
    uint32_t line_start = 0;
    for (uint32_t i = 0; i < offset; i++) {
        if (text.ptr[i] == '\n') {
            line++;
            line_start = i + 1;
        }
    }
    buf_printf(to, "%u:%u", line, offset - line_start + 1);
}

static bool fail_text(struct parser *p, uint32_t offset, struct str message) {
    if (p->code != ERR_OK) {
        return false; /* the first one counts */
    }
    struct buf position;
    buf_init(&position, 64);
    print_position(&position, p->lex.input, offset);
    p->code = err_set(p->err, ERR_INVALID, "%.*s: parse error: %.*s", STR_ARG(buf_str(&position)),
                      STR_ARG(message));
    buf_release(&position);
    return false;
}

bool parse_fail(struct parser *p, uint32_t offset, const char *fmt, ...) {
    char message[ERR_TEXT_MAX];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    return fail_text(p, offset, str_of(message));
}

/* What is longer than an error can show is cut by err_set. */
enum { MESSAGE_MAX = 8 * PARSE_TEXT_MAX };

bool parse_fail_quoted(struct parser *p, uint32_t offset, const char *before, struct str text,
                       const char *after) {
    struct buf message;
    buf_init(&message, MESSAGE_MAX);
    buf_append_cstr(&message, before);
    utf8_quote(&message, text);
    buf_append_cstr(&message, after);
    (void)fail_text(p, offset, buf_str(&message));
    buf_release(&message);
    return false;
}

bool parse_fail_memory(struct parser *p) {
    if (p->code == ERR_OK) {
        p->code = err_set(p->err, ERR_LIMIT, "query needs more memory than it may use");
    }
    return false;
}

bool parse_unexpected_in(struct parser *p, struct parse_context context) {
    if (parse_peek(p) == TOKEN_ERROR) {
        return false; /* reported when it was read */
    }
    struct buf message;
    buf_init(&message, MESSAGE_MAX);
    buf_append_cstr(&message, "unexpected ");
    token_describe(&message, &p->token);
    if (context.where != NULL) {
        buf_printf(&message, " in %s", context.where);
    }
    if (context.expected != NULL) {
        buf_printf(&message, ", expected %s", context.expected);
    }
    (void)fail_text(p, p->token.start, buf_str(&message));
    buf_release(&message);
    return false;
}

bool parse_unexpected(struct parser *p) {
    return parse_unexpected_in(p, p->context);
}

/* ---- memory ---- */

struct node *parse_node(struct parser *p, enum node_type type, enum value_type value_type,
                        struct pos_range pos) {
    struct node *node = arena_try_alloc(p->arena, 1, sizeof(*node));
    if (node == NULL) {
        (void)parse_fail_memory(p);
        return NULL;
    }
    memset(node, 0, sizeof(*node));
    node->type = type;
    node->value_type = value_type;
    node->pos = pos;
    node->depth = 1;
    return node;
}

static bool fail_depth(struct parser *p, uint32_t offset) {
    return parse_fail(p, offset, "expression is nested deeper than %d levels", PARSE_DEPTH_MAX);
}

bool parse_link(struct parser *p, struct node *node, const struct node *a, const struct node *b) {
    const unsigned depth_a = a != NULL ? a->depth : 0;
    const unsigned depth_b = b != NULL ? b->depth : 0;
    const unsigned depth = 1 + (depth_a > depth_b ? depth_a : depth_b);
    if (depth > node->depth) {
        node->depth = (uint16_t)depth;
    }
    return depth <= PARSE_DEPTH_MAX || fail_depth(p, node->pos.start);
}

bool parse_copy(struct parser *p, struct str text, struct str *out) {
    char *copy = arena_try_alloc(p->arena, text.len + 1, 1);
    if (copy == NULL) {
        return parse_fail_memory(p);
    }
    if (text.len > 0) {
        memcpy(copy, text.ptr, text.len);
    }
    copy[text.len] = '\0';
    *out = (struct str){copy, text.len};
    return true;
}

void *parse_grow(struct parser *p, void *items, size_t count, size_t *capacity, size_t item_bytes) {
    if (count < *capacity) {
        return items;
    }
    const size_t grown_capacity = *capacity == 0 ? 4 : 2 * *capacity;
    void *grown = arena_try_alloc(p->arena, grown_capacity, item_bytes);
    if (grown == NULL) {
        (void)parse_fail_memory(p);
        return NULL;
    }
    if (count > 0) {
        memcpy(grown, items, count * item_bytes);
    }
    *capacity = grown_capacity;
    return grown;
}

bool parse_list_add(struct parser *p, struct str_list *list, struct str text) {
    struct str *items =
        parse_grow(p, list->items, list->count, &list->capacity, sizeof(*list->items));
    if (items == NULL || !parse_copy(p, text, &items[list->count])) {
        return false;
    }
    list->items = items;
    list->count++;
    return true;
}

bool parse_enter(struct parser *p) {
    p->nesting++;
    return p->nesting <= PARSE_DEPTH_MAX ||
           fail_depth(p, p->has_token ? p->token.start : p->last_end);
}

void parse_leave(struct parser *p) {
    p->nesting--;
}
