/* Binary operators with a histogram on at least one side (spec/promql.md section 5). */
#ifndef QUERY_EVAL_BINARY_NATIVE_H
#define QUERY_EVAL_BINARY_NATIVE_H

#include "query/eval.h"

/* A float, or, when h is not NULL, a histogram. */
struct element {
    const struct histogram *h;
    double v;
};

/* Refused: the two do not go together, which was noted; such a pair is no match either. */
enum element_result { ELEMENT_NONE, ELEMENT_REFUSED, ELEMENT_FLOAT, ELEMENT_HISTOGRAM };

/* What left op right is; warnings go to ev at node's place, made histograms to work. Floats on both
 * sides of a trim have no result either; any other operator of two floats is not for here. */
MUST_CHECK enum err_code native_binary(struct eval *ev, const struct plan_node *node,
                                       struct work *work, struct element left, struct element right,
                                       enum element_result *out_kind, struct element *out,
                                       struct err *err);

#endif
