/* Table of PromQL functions: signature for the type checker, kernel for the engine. Adding a
 * function is one row in function.c and its kernel in a func_*.c (CONTRIBUTING.md). */
#ifndef QUERY_FUNCTION_H
#define QUERY_FUNCTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "query/ast.h"

enum { FUNCTION_ARGS_MAX = 5 };

struct function {
    const char *name;
    enum value_type args[FUNCTION_ARGS_MAX];
    int arg_count;
    int variadic; /* 0: exact; n > 0: the last n of args are optional; -1: the last repeats, 0 or more times */
    enum value_type returns;
    bool experimental;
    bool at_unsafe; /* not step-invariant even with @ (spec section 3) */
    int id;         /* enum function_id; the engine's tables are indexed by it */
};

/* NULL when there is none. */
const struct function *function_find(struct str name);

#endif
