/* One operand of an operator between vectors: its rows, and which have equal matching labels. */
#ifndef QUERY_EVAL_MATCH_H
#define QUERY_EVAL_MATCH_H

#include "query/eval.h"

struct match_side {
    struct matrix rows;
    struct label_index index; /* the matching labels */
    uint32_t *signature;      /* by row: its number in index */
    uint32_t *first;          /* by number: members[first[s]] .. members[first[s + 1] - 1] */
    uint32_t *members;        /* row numbers, in input order */
    const struct str *on;     /* sorted; NULL: ignoring */
    size_t on_count;
    const struct str *ignored; /* sorted, without __name__ */
    size_t ignored_count;
};

/* Evaluates node and indexes its rows; all lives in tmp. */
MUST_CHECK enum err_code match_side_eval(struct match_side *side, struct eval *ev,
                                         const struct plan_node *node, const struct grid *grid,
                                         const struct vector_matching *matching, struct work *tmp,
                                         struct err *err);
/* What one-to-one matching leaves of labels: the on labels, or all but the ignored. */
struct labels match_one_to_one_labels(const struct match_side *side, struct labels labels,
                                      struct arena *arena);

/* and, or, unless: eval_set.c */
MUST_CHECK enum err_code eval_set(struct eval *ev, const struct plan_node *node,
                                  const struct grid *grid, struct row_sink *sink, struct err *err);

#endif
