/* Parts of the canonical text that the pretty printer shares. Private to query/. */
#ifndef QUERY_PRINT_H
#define QUERY_PRINT_H

#include "base/buf.h"
#include "query/ast.h"

/* "sum by (a) ", before the parenthesis */
void print_aggregate_head(struct buf *to, const struct aggregate *aggregate);
/* "== bool on (a) group_left ()", without spaces around */
void print_operator(struct buf *to, const struct binary *binary);
/* "[5m:1m] @ 1.000 offset 1m" */
void print_subquery_suffix(struct buf *to, const struct subquery *subquery);

#endif
