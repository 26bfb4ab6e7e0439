/* The steps at which an expression is evaluated, and time arithmetic that saturates instead of
 * overflowing: times and ranges come from users. Pure. */
#ifndef QUERY_GRID_H
#define QUERY_GRID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct grid {
    int64_t start_ms;
    int64_t step_ms; /* > 0 when count > 1 */
    size_t count;
};

/* Far beyond what any budget holds, and sizes computed from it do not overflow. */
#define GRID_COUNT_MAX (SIZE_MAX / 256)

static inline int64_t time_add(int64_t a, int64_t b) {
    int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) {
        return b > 0 ? INT64_MAX : INT64_MIN;
    }
    return sum;
}

static inline int64_t time_sub(int64_t a, int64_t b) {
    int64_t difference = 0;
    if (__builtin_sub_overflow(a, b, &difference)) {
        return b < 0 ? INT64_MAX : INT64_MIN;
    }
    return difference;
}

static inline int64_t grid_time(const struct grid *grid, size_t i) {
    /* start and step may be far apart although the sum is in range */
    return (int64_t)((uint64_t)grid->start_ms + (uint64_t)i * (uint64_t)grid->step_ms);
}

static inline int64_t grid_last(const struct grid *grid) {
    return grid->count == 0 ? grid->start_ms : grid_time(grid, grid->count - 1);
}

/* Steps start, start + step, ... up to end; none when end is before start. A step of 0 gives the
 * one step at start. */
static inline struct grid grid_of(int64_t start_ms, int64_t end_ms, int64_t step_ms) {
    struct grid grid = {.start_ms = start_ms, .step_ms = step_ms, .count = 1};
    if (end_ms < start_ms) {
        grid.count = 0;
    } else if (step_ms > 0) {
        const uint64_t more = ((uint64_t)end_ms - (uint64_t)start_ms) / (uint64_t)step_ms;
        grid.count = more < GRID_COUNT_MAX ? (size_t)more + 1 : GRID_COUNT_MAX;
    }
    return grid;
}

#endif
