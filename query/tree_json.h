/* Expression trees as JSON, for /api/v1/parse_query. Private to query/. */
#ifndef QUERY_TREE_JSON_H
#define QUERY_TREE_JSON_H

#include "base/json_out.h"
#include "query/ast.h"

/* One JSON object. Nesting is at most twice the tree's depth and five levels more. */
void tree_json(struct json_out *j, const struct node *node);

#endif
