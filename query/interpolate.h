/* The value between two samples. Pure. */
#ifndef QUERY_INTERPOLATE_H
#define QUERY_INTERPOLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "query/grid.h"

/* At at_ms on the line from ts[0], v[0] to ts[1], v[1]; a counter that fell starts from 0. */
static inline double interpolate(const int64_t *ts, const double *v, int64_t at_ms, bool counter) {
    const double from = counter && v[1] < v[0] ? 0 : v[0];
    const double part_ms = (double)time_sub(at_ms, ts[0]);
    return from + (v[1] - from) * part_ms / (double)time_sub(ts[1], ts[0]);
}

#endif
