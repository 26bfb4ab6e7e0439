/* What a plan will cost, told from the index and from a few series before anything is evaluated.
 * Private to query/. */
#ifndef QUERY_EXPECT_H
#define QUERY_EXPECT_H

#include "query/profile.h"

/* Fills max_series and expected_samples of the tree on its grid. */
MUST_CHECK enum err_code expect_costs(struct eval *ev, struct profile_node *root,
                                      const struct grid *grid, struct err *err);

#endif
