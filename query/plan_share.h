/* Equal parts of a plan: a / (a + b) reads a once. Nodes that give rows and are equal but for where
 * they stand in the text get one number; what is inside the second of them is not looked at, it is
 * never evaluated. What differs in time (offset, @, window) is not equal.
 *
 * Private to query/; plan_build calls it. Linear in the plan but for comparing what is equal. */
#ifndef QUERY_PLAN_SHARE_H
#define QUERY_PLAN_SHARE_H

#include "base/arena.h"
#include "query/plan.h"

/* Groups beyond this are evaluated where they stand. */
enum { PLAN_SHARES_MAX = 32 };

/* Fills node->share of the plan's nodes, plan->share_count and plan->share_uses; and the same for
 * what is left: selectors that read the same samples under different functions, selector->read and
 * plan->read_count. */
void plan_share(struct arena *arena, struct plan *plan);

#endif
