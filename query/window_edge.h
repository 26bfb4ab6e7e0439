/* Where the edges of windows lie in a column of times: for step after step, how many times are at or
 * before the edge. Samples mostly come at even distances, where the edge of the next step follows from
 * the last one; only gaps and jitter ask for a search. Pure. */
#ifndef QUERY_WINDOW_EDGE_H
#define QUERY_WINDOW_EDGE_H

#include <stddef.h>
#include <stdint.h>

/* Times [from, last] of a column are known to come at one distance; edges that share it look once. */
struct even_times {
    size_t from, last;
};

/* Edges at first_ms, first_ms + step_ms, ... */
struct window_edge {
    int64_t first_ms;
    int64_t step_ms;         /* > 0; no edge that is asked for overflows */
    size_t at;               /* times at or before the last edge found; begins as 0 */
    size_t went;             /* from the one before */
    struct even_times *even; /* of the column */
};

/* The number of times at or before limit. */
size_t window_edge_at(const int64_t *ts, size_t count, int64_t limit);
/* The same for edges [from, to) into out[from] .. out[to - 1]; ts is ascending, count < 2^32. Edges are
 * found in order: from is the last call's to, at first 0. */
void window_edge_find(struct window_edge *edge, const int64_t *ts, size_t count, size_t from,
                      size_t to, uint32_t *out);

#endif
