/* Aggregations that must see the values of all series of a group at a step: topk, bottomk, limitk,
 * limit_ratio, quantile, count_values. They keep their input as a matrix. */
#ifndef QUERY_AGGREGATE_PICK_H
#define QUERY_AGGREGATE_PICK_H

#include "query/eval.h"

bool aggregate_picks(enum aggregate_op op);
MUST_CHECK enum err_code aggregate_pick(struct eval *ev, const struct plan_node *node,
                                        const struct grid *grid, struct row_sink *sink,
                                        struct err *err);

#endif
