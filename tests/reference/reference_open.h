/* What the language leaves open, so that two right answers may differ. */
#ifndef TESTS_REFERENCE_REFERENCE_OPEN_H
#define TESTS_REFERENCE_REFERENCE_OPEN_H

#include <stdbool.h>

struct node;

/* Nobody promises in which order elements come out of an aggregation, a set or a sort when there are
 * several steps, or out of a subquery (spec sections 6 and 8). */
bool order_is_open(const struct node *n, bool steps);
/* Whether the value may depend on that order: sums in their last bits, choices in what they take. */
bool depends_on_open_order(const struct node *n, bool steps);
/* Nothing beside the way to the leaf can fail first: which error it is is no matter of order. */
bool single_path(const struct node *n);

#endif
