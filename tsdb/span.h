/* Windows of time of one length, aligned to it: [k * length, (k + 1) * length) for any integer k.
 * What would lie beyond the first or the last time is cut off there. */
#ifndef TSDB_SPAN_H
#define TSDB_SPAN_H

#include <stdint.h>

/* Where the window that ts_ms is in begins. */
static inline int64_t span_start(int64_t length_ms, int64_t ts_ms) {
    const int64_t rest = ts_ms % length_ms;
    const int64_t into = rest < 0 ? rest + length_ms : rest;
    return ts_ms < INT64_MIN + into ? INT64_MIN : ts_ms - into;
}

/* The time behind the window that begins at start_ms. */
static inline int64_t span_end(int64_t length_ms, int64_t start_ms) {
    if (start_ms == INT64_MIN) { /* it may have been cut off */
        const int64_t rest = INT64_MIN % length_ms;
        return INT64_MIN + (rest == 0 ? length_ms : -rest);
    }
    return start_ms > INT64_MAX - length_ms ? INT64_MAX : start_ms + length_ms;
}

#endif
