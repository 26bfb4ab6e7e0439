/* Where in a column of times a range begins or ends. Private to tsdb/. Pure. */
#ifndef TSDB_TIME_BOUND_H
#define TSDB_TIME_BOUND_H

#include <stdint.h>

/* The first of n ascending times that is not below t, or n. */
static inline uint32_t time_lower_bound(const int64_t *ts, uint32_t n, int64_t t) {
    uint32_t low = 0;
    while (n != 0) {
        const uint32_t half = n / 2;
        if (ts[low + half] < t) {
            low += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return low;
}

#endif
