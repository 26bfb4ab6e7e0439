/* Rows of equal parts of a plan (plan_share.h): the first evaluation keeps a copy of what it hands
 * on, the others replay it. What is counted is counted each time, as the reference evaluates each.
 *
 * Not kept, and so evaluated again: what gave a warning, whose position is the last one's; what
 * takes more than an eighth of the query's memory; another grid (inside subqueries).
 *
 * Owner: one query, its thread. Private to query/. */
#ifndef QUERY_SHARED_ROWS_H
#define QUERY_SHARED_ROWS_H

#include "query/eval.h"

/* Begins works that stay open until shared_rows_close: first of all of the evaluation's. */
MUST_CHECK enum err_code shared_rows_open(struct eval *ev, const struct plan *plan,
                                          struct err *err);
void shared_rows_close(struct eval *ev);

typedef enum err_code rows_source(struct eval *ev, const struct plan_node *node,
                                  const struct grid *grid, struct row_sink *sink, struct err *err);
/* The rows of a node with a share, kept or from source. */
MUST_CHECK enum err_code shared_rows_eval(struct eval *ev, const struct plan_node *node,
                                          const struct grid *grid, rows_source *source,
                                          struct row_sink *sink, struct err *err);

#endif
