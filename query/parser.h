/* State of one parse, shared by the parse_*.c files; private to them.
 *
 * The grammar is that of spec/promql.md section 2, read by recursive descent with precedence
 * climbing. Prometheus reports the first error that its LALR parser meets, so three habits of
 * such a parser are kept:
 *   P1  A token is read only when a decision needs it: an error found while a part is completed
 *       goes before a lexical error behind that part, unless the part's end depended on it.
 *   P2  A part is completed, and its errors are reported, before the token behind it is judged.
 *   P3  An unexpected token is reported in the innermost part that has a context text; parts
 *       without one (calls, parentheses, operators) leave it to the part around them.
 *
 * A function that returns NULL or false has reported; nothing is parsed after the first error. */
#ifndef QUERY_PARSER_H
#define QUERY_PARSER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "query/lex.h"
#include "query/parse.h"

/* "unexpected <token> in <where>, expected <what>"; NULL parts are left out. */
struct parse_context {
    const char *where;
    const char *expected;
};

struct parser {
    struct lexer lex;
    struct arena *arena;
    const struct parse_options *options;
    struct token token; /* lookahead, when has_token */
    bool has_token;
    uint32_t last_end; /* of the token taken last */
    unsigned nesting;  /* recursion of parse_operators and the duration parser */
    struct parse_context context;
    enum err_code code; /* of the error, once there is one */
    struct err *err;
};

struct str_list {
    struct str *items;
    size_t count, capacity;
};

void parser_init(struct parser *p, struct arena *arena, struct str text,
                 const struct parse_options *options, struct err *err);

/* ---- tokens ---- */

/* Type of the lookahead, which is read if need be; TOKEN_ERROR once the parse has failed. */
enum token_type parse_peek(struct parser *p);
/* Takes the lookahead, which must have been read. */
struct token parse_take(struct parser *p);
/* Takes the lookahead if it is of the type. */
bool parse_accept(struct parser *p, enum token_type type);
/* As parse_accept, else reports it as unexpected in the current context. */
MUST_CHECK bool parse_expect(struct parser *p, enum token_type type);

/* ---- errors; all return false ---- */

bool parse_fail(struct parser *p, uint32_t offset, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* "<before><Go-quoted text><after>" */
bool parse_fail_quoted(struct parser *p, uint32_t offset, const char *before, struct str text,
                       const char *after);
bool parse_fail_memory(struct parser *p);
/* The lookahead in the given, or the current, context. */
bool parse_unexpected_in(struct parser *p, struct parse_context context);
bool parse_unexpected(struct parser *p);

/* ---- memory: NULL or false (reported) beyond the arena's budget ---- */

struct node *parse_node(struct parser *p, enum node_type type, enum value_type value_type,
                        struct pos_range pos);
/* Sets the node's depth from its children's; false when it is too deep. Children may be NULL. */
MUST_CHECK bool parse_link(struct parser *p, struct node *node, const struct node *a,
                           const struct node *b);
MUST_CHECK bool parse_copy(struct parser *p, struct str text, struct str *out);
MUST_CHECK bool parse_list_add(struct parser *p, struct str_list *list, struct str text);
/* items grown to hold one more than count; capacity is updated. */
MUST_CHECK void *parse_grow(struct parser *p, void *items, size_t count, size_t *capacity,
                            size_t item_bytes);
MUST_CHECK bool parse_enter(struct parser *p);
void parse_leave(struct parser *p);

/* ---- parse.c ---- */

struct node *parse_operators(struct parser *p, int min_precedence);
/* by (...), on (...): the list in parentheses. */
MUST_CHECK bool parse_grouping(struct parser *p, struct str_list *out);

/* ---- parse_call.c: from '(' or the modifier behind the name ---- */

struct node *parse_call(struct parser *p, struct token name);
struct node *parse_aggregate(struct parser *p, struct token op);

/* ---- parse_matching.c: bool, on, group_left, fill behind a binary operator ---- */

MUST_CHECK bool parse_matching(struct parser *p, bool *out_bool, struct vector_matching **out);

/* ---- parse_selector.c ---- */

/* name is NULL when the selector starts with a brace. */
struct node *parse_selector(struct parser *p, const struct token *name);

/* ---- parse_modifier.c: what stands behind an expression ---- */

/* While the lookahead is [, offset, @, anchored or smoothed, applies it. */
struct node *parse_modifiers(struct parser *p, struct node *node);

/* ---- parse_duration.c ---- */

/* A duration expression in a bracket; one with a literal value must be positive. */
struct node *parse_duration_positive(struct parser *p);
struct node *parse_duration_offset(struct parser *p);
/* A literal's ns (rounded), or 0 with *out_expr set when the expression must be evaluated. */
int64_t parse_duration_ns(struct node *duration, struct node **out_expr);

/* ---- parse_literal.c ---- */

/* A number or duration token in seconds. */
MUST_CHECK bool parse_number(struct parser *p, struct token token, double *out);
/* The string that a token spells. */
MUST_CHECK bool parse_string(struct parser *p, struct token token, struct str *out);

/* ---- parse_check.c ---- */

/* Types and arguments of the whole tree; drops the matching of operators that need none. */
MUST_CHECK bool parse_check(struct parser *p, struct node *node);

#endif
