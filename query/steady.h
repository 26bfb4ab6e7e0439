/* Stretches of a column in which the value keeps its bits: many series hardly ever change, and what a
 * window of one value gives is known without going through it. Pure. */
#ifndef QUERY_STEADY_H
#define QUERY_STEADY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/value.h"

struct steady {
    const double *v;
    size_t until; /* from the last low on values are the same up to here */
};

static inline struct steady steady_of(const double *v) {
    return (struct steady){.v = v};
}

/* Whether v[low] .. v[high - 1] are the same; low never goes back, low < high. */
static inline bool steady_within(struct steady *s, size_t low, size_t high) {
    if (!f64_same_bits(s->v[low], s->v[high - 1])) {
        return false;
    }
    if (low >= s->until) {
        s->until = low + 1;
    }
    while (s->until < high && f64_same_bits(s->v[s->until], s->v[s->until - 1])) {
        s->until++;
    }
    return s->until >= high;
}

#endif
