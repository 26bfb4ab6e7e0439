/* Windows in order of value. A segment of the column, a few windows long, is ranked once by a radix
 * sort; a window is then a set of ranks, one bit each, so that a sample comes or leaves with one
 * bit and the value of a rank in the window is found by counting bits. Equal values are in the
 * order of time, as a stable sort leaves them: zeros of both signs and NaNs stand where the sort
 * of a copy puts them.
 *
 * Owner: one kernel; memory is the work's, and does not grow with the column. */
#ifndef QUERY_WINDOW_ORDER_H
#define QUERY_WINDOW_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/cancel.h"
#include "base/err.h"
#include "query/work.h"

struct rank_entry {
    uint64_t key; /* in the order of values */
    uint32_t at;  /* in the segment */
};

struct window_order {
    const double *column;
    size_t count;
    size_t low, high;  /* the window */
    size_t first, end; /* the segment */
    size_t reach;      /* of a segment */
    struct rank_entry *ranked, *spare;
    uint32_t *rank_of; /* by place in the segment */
    uint64_t *in;      /* a bit per rank: in the window */
    uint8_t *in_word;  /* how many of each word */
    const struct cancel *cancel;
};

/* widest: the most samples in one window. cancel may be NULL. */
MUST_CHECK enum err_code window_order_init(struct window_order *order, struct work *work,
                                           const double *column, size_t count, size_t widest,
                                           const struct cancel *cancel, struct err *err);
/* Bounds never go back. ERR_CANCELED or ERR_TIMEOUT from cancel, without a message. */
MUST_CHECK enum err_code window_order_slide(struct window_order *order, size_t low, size_t high);
/* The value of a rank, 0 for the least (NaNs are less than all), and of the next if there is one,
 * else that value again. The window holds more than rank samples. */
void window_order_at(const struct window_order *order, size_t rank, double out[2]);

#endif
