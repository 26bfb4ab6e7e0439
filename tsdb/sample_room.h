/* Memory for the values of one series that come from several places: each place writes behind the one
 * before, so that nothing is copied when they are joined. A place that cannot takes memory of its own.
 * Pure. */
#ifndef TSDB_SAMPLE_ROOM_H
#define TSDB_SAMPLE_ROOM_H

#include <stddef.h>

#include "base/arena.h"

struct sample_room { /* zeroed at first */
    double *at;      /* behind the samples that are there; NULL: none yet */
    double *end;
    size_t behind; /* elements that the places to come may need */
};

/* Room for need elements, taken only when sample_room_end says so. room may be NULL: memory of the
 * caller's own. NULL: the arena's budget is spent. */
MUST_CHECK static inline double *sample_room_begin(struct sample_room *room, struct arena *arena,
                                                   size_t need) {
    if (room == NULL) {
        return arena_try_alloc(arena, need, sizeof(double));
    }
    if (room->at == NULL || (size_t)(room->end - room->at) < need) {
        room->at = arena_try_alloc(arena, need + room->behind, sizeof(double));
        room->end = room->at != NULL ? room->at + need + room->behind : NULL;
        room->behind = 0;
    }
    return room->at;
}

/* at: behind the samples that stay. */
static inline void sample_room_end(struct sample_room *room, double *at) {
    if (room != NULL) {
        room->at = at;
    }
}

#endif
