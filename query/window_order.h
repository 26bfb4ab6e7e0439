/* Windows in order of value, slid from one to the next instead of sorted anew: what has left is
 * taken out, what has come is put in. Equal values stay in the order of time, as a stable sort
 * leaves them: what comes is newer than all there, so it goes behind its equals, and what leaves
 * is the oldest, so it is the first of its equals. Zeros of both signs and NaNs therefore stand
 * where the sort of a copy puts them.
 *
 * Owner: one kernel; memory is the work's. */
#ifndef QUERY_WINDOW_ORDER_H
#define QUERY_WINDOW_ORDER_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "query/work.h"

struct window_order {
    const double *column;
    double *sorted;   /* NaN first, then ascending */
    size_t low, high; /* of column, what is sorted */
};

/* widest: the most samples in one window. */
MUST_CHECK enum err_code window_order_init(struct window_order *order, struct work *work,
                                           const double *column, size_t widest, struct err *err);
/* Bounds never go back. Returns the sorted high - low values. */
const double *window_order_slide(struct window_order *order, size_t low, size_t high);

#endif
