/* A parsed, checked expression: what query_parse hands out. Private to query/; the engine runs it
 * from here. Immutable, lives in the arena that it was parsed into. */
#ifndef QUERY_EXPR_H
#define QUERY_EXPR_H

#include "base/arena.h"
#include "base/str.h"
#include "query/ast.h"
#include "query/query.h"

struct query_expr {
    struct node *node;
    struct arena *arena;
    struct str text; /* a copy of what was parsed: positions count in it */
};

#endif
