/* The value of a rank among many values, without sorting them: a few of them, sorted, tell between
 * which two it most likely lies; what lies outside is counted and dropped, again and again (after
 * Floyd and Rivest, "Expected time bounds for selection", 1975). Pure but for the look at cancel. */
#ifndef QUERY_VALUE_RANK_H
#define QUERY_VALUE_RANK_H

#include <stddef.h>

#include "base/attr.h"
#include "base/cancel.h"
#include "base/err.h"

/* So many values are gone through between two looks at cancel. */
enum { VALUE_RANK_SLICE = 65536 };

enum value_rank_result {
    VALUE_RANK_FOUND,
    /* The bits would depend on the order in which equal values came, or the rank is that of a NaN, or
     * the values are such that sorting them is faster. They are rearranged, none is lost. */
    VALUE_RANK_SORT,
    VALUE_RANK_STOPPED, /* by cancel */
};

/* The value of a rank, 0 for the least (NaNs are less than all), and of the next if there is one,
 * else that value again: the bits that a stable sort would give. rank < n. cancel may be NULL.
 * FOUND: of values is left what it took. */
MUST_CHECK enum value_rank_result value_rank_find(double *values, size_t n, size_t rank,
                                                  const struct cancel *cancel, double out[2]);

#endif
