/* What the aggregations that must see all values of a group share: their input as a matrix, its rows
 * by group, and the parameter. Private to aggregate_pick.c and pick_*.c.
 *
 * Owner: aggregate_pick; memory is tmp's, one thread. */
#ifndef QUERY_PICK_H
#define QUERY_PICK_H

#include "query/eval.h"

struct pick {
    struct eval *ev;
    const struct plan_node *node;
    const struct grid *grid;
    enum aggregate_op op;
    struct work *tmp;
    struct scalar_column param;
    struct matrix rows;
    struct label_groups groups;
    uint32_t *group_of; /* by row */
};

double pick_param_max(const struct pick *p);
double pick_param_min(const struct pick *p);
bool pick_param_has_nan(const struct pick *p);

/* Row numbers by group: rows[first[g]] .. rows[first[g + 1] - 1], in input order. */
struct pick_members {
    uint32_t *first;
    uint32_t *rows;
};
MUST_CHECK enum err_code pick_members_list(struct pick *p, struct pick_members *out,
                                           struct err *err);

/* topk, bottomk, limitk */
MUST_CHECK enum err_code pick_top(struct pick *p, struct row_sink *sink, struct err *err);
MUST_CHECK enum err_code pick_quantile(struct pick *p, struct row_sink *sink, struct err *err);
MUST_CHECK enum err_code pick_count_values(struct pick *p, struct row_sink *sink, struct err *err);

#endif
