/* Do series keep different labels when their names go? Told by the numbers of their sets, without
 * putting labels together, where all targets split off the same names. */
#ifndef QUERY_PLAIN_SETS_H
#define QUERY_PLAIN_SETS_H

#include "query/eval.h"

enum plain_sets {
    PLAIN_SETS_UNLIKE, /* labels are split in several ways: the numbers do not tell */
    PLAIN_SETS_DIFFER,
    PLAIN_SETS_REPEAT, /* two series are equal without their names */
};

/* Sets that are not in ev->sets yet are taken for unlike. Errors of eval_worked, ERR_LIMIT. */
MUST_CHECK enum err_code plain_sets_compare(struct eval *ev, const struct storage_series *series,
                                            size_t count, enum plain_sets *out, struct err *err);

#endif
