/* What the evaluator remembers of a selector: its series are found once per query, however often
 * it is evaluated (subqueries, step-invariant parts). Private to eval_selector.c and engine.c. */
#ifndef QUERY_SELECTOR_STATE_H
#define QUERY_SELECTOR_STATE_H

#include <stdbool.h>
#include <stddef.h>

#include "tsdb/storage.h"

struct selector_state {
    bool selected;
    struct storage_selection *selection;
    const struct storage_series *series;
    size_t count;
    bool unique_known;
    bool unique; /* still no two equal without __name__, __type__, __unit__ */
};

#endif
