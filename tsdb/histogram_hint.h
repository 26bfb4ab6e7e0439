/* Hints of histograms whose neighbours changed. Private to tsdb/. Pure. */
#ifndef TSDB_HISTOGRAM_HINT_H
#define TSDB_HISTOGRAM_HINT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/histogram.h"

/* What comes before *io in time is another sample now: "no reset since" is not known any more. *io
 * (may be NULL) becomes a copy where that is said. false: the arena is full. */
static inline bool histogram_forget_neighbour(struct arena *arena, const struct histogram **io) {
    if (*io == NULL || (*io)->hint != HINT_NOT_RESET) {
        return true;
    }
    struct histogram *copy = arena_try_alloc(arena, 1, sizeof(*copy));
    if (copy == NULL) {
        return false;
    }
    *copy = **io;
    copy->hint = HINT_UNKNOWN;
    *io = copy;
    return true;
}

#endif
