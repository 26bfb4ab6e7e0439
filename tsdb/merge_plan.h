/* Which partitions to merge next, by the rules of Prometheus' planner (spec: compaction), so that
 * the layout on disk is the one that operators know. Pure. */
#ifndef TSDB_MERGE_PLAN_H
#define TSDB_MERGE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MERGE_RANGES_MAX = 10 };

struct merge_item {
    uint32_t number;
    int64_t start_ms;
    int64_t end_ms; /* [start, end) */
    uint64_t series;
    uint64_t tombstones;
    bool failed; /* a merge of it failed; not tried again until something changes */
};

struct merge_ranges { /* ascending; each a multiple of the one before */
    int64_t ms[MERGE_RANGES_MAX];
    size_t count;
};

/* Spans from min_ms on, each three times the one before, up to max_ms (at least min_ms itself). */
struct merge_ranges merge_ranges_of(int64_t min_ms, int64_t max_ms);

/* Longest span of a merged partition: a tenth of the retention (0 = unlimited), at most 31 days, or
 * the configured one (0 = none). */
int64_t merge_span_max_ms(int64_t configured_ms, int64_t retention_ms);

/* Sorts items by start and writes the numbers of those to be merged (or, one alone, rewritten without
 * what is deleted) to out, which has room for n. Returns how many; 0 = nothing to do. */
size_t merge_plan(const struct merge_ranges *ranges, struct merge_item *items, size_t n,
                  uint32_t *out);

#endif
