/* PromQL text to a checked tree (spec/promql.md sections 1 and 2).
 *
 * Errors are Prometheus' texts with position, "1:8: parse error: unexpected end of input"
 * (ERR_INVALID). Depth of an expression is at most PARSE_DEPTH_MAX; a text longer than
 * PARSE_TEXT_MAX bytes or a tree beyond the arena's budget is ERR_LIMIT. Results live in the
 * arena and do not need the text. Pure; threads are free to parse at once, each into its arena. */
#ifndef QUERY_PARSE_H
#define QUERY_PARSE_H

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "query/ast.h"

enum { PARSE_DEPTH_MAX = 250, PARSE_TEXT_MAX = 64 * 1024 };

struct parse_options {
    bool experimental_functions;
    bool extended_range_selectors; /* anchored, smoothed */
    bool binop_fill_modifiers;
};

MUST_CHECK enum err_code parse_expr(struct arena *arena, struct str text,
                                    const struct parse_options *options, struct node **out,
                                    struct err *err);
/* A selector for match[]: metric name and matchers only ("1:1: parse error: ..."). That one
 * matcher refuses the empty string is the caller's to check, who has a text of its own for it. */
MUST_CHECK enum err_code parse_metric_selector(struct arena *arena, struct str text,
                                               struct matcher **out, size_t *out_count,
                                               struct err *err);
/* metric{a="b"} to labels: series lines of test files. */
MUST_CHECK enum err_code parse_metric(struct arena *arena, struct str text, struct labels *out,
                                      struct err *err);

/* Canonical text (section 23) and pretty-printed form (format_query). */
void print_expr(struct buf *to, const struct node *node);
void print_pretty(struct buf *to, const struct node *node);
/* "scalar", "instant vector", "range vector", "string", "none" */
const char *value_type_name(enum value_type type);
const char *binary_op_text(enum binary_op op);
const char *aggregate_op_text(enum aggregate_op op);
/* "line:column", 1-based, of a byte offset */
void print_position(struct buf *to, struct str text, uint32_t offset);

#endif
