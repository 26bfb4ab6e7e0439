#include "tsdb/merge_plan.h"

#include <stdlib.h>

#include "base/check.h"
#include "tsdb/span.h"

#define DAY_MS (INT64_C(24) * 60 * 60 * 1000)

enum { RANGE_FACTOR = 3, RETENTION_PARTS = 10, SPAN_MAX_DAYS = 31, TOMBSTONE_PARTS = 20 };

struct merge_ranges merge_ranges_of(int64_t min_ms, int64_t max_ms) {
    struct merge_ranges ranges = {.ms = {min_ms}, .count = 1};
    int64_t last = min_ms;
    while (ranges.count < MERGE_RANGES_MAX && last <= INT64_MAX / RANGE_FACTOR &&
           last * RANGE_FACTOR <= max_ms) {
        last *= RANGE_FACTOR;
        ranges.ms[ranges.count++] = last;
    }
    return ranges;
}

int64_t merge_span_max_ms(int64_t configured_ms, int64_t retention_ms) {
    if (configured_ms != 0) {
        return configured_ms;
    }
    const int64_t part = retention_ms / RETENTION_PARTS;
    return retention_ms != 0 && part < SPAN_MAX_DAYS * DAY_MS ? part : SPAN_MAX_DAYS * DAY_MS;
}

static int by_start(const void *a, const void *b) {
    const struct merge_item *x = a;
    const struct merge_item *y = b;
    if (x->start_ms != y->start_ms) {
        return x->start_ms < y->start_ms ? -1 : 1;
    }
    return (x->number > y->number) - (x->number < y->number);
}

static size_t take(const struct merge_item *items, size_t n, uint32_t *out) {
    for (size_t i = 0; i < n; i++) {
        out[i] = items[i].number;
    }
    return n;
}

/* The first items in a row of which each begins before all earlier ones have ended. */
static size_t plan_overlapping(const struct merge_item *items, size_t n, uint32_t *out) {
    size_t first = 0;
    int64_t end_ms = n != 0 ? items[0].end_ms : 0;
    for (size_t i = 1; i < n; i++) {
        if (items[i].start_ms >= end_ms) {
            if (i - first > 1) {
                return take(items + first, i - first, out);
            }
            first = i;
        }
        end_ms = items[i].end_ms > end_ms ? items[i].end_ms : end_ms;
    }
    return n - first > 1 ? take(items + first, n - first, out) : 0;
}

/* Items from first on that lie in one window of the range; 0 when the first does not. */
static size_t window_items(const struct merge_item *items, size_t n, int64_t range_ms) {
    const int64_t end_ms = span_end(range_ms, span_start(range_ms, items[0].start_ms));
    size_t count = 0;
    while (count < n && items[count].end_ms <= end_ms) {
        count++;
    }
    return count;
}

static bool any_failed(const struct merge_item *items, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (items[i].failed) {
            return true;
        }
    }
    return false;
}

/* A window that is full, or that nothing will come to any more. */
static size_t plan_range(const struct merge_item *items, size_t n, int64_t range_ms,
                         uint32_t *out) {
    for (size_t i = 0; i < n;) {
        const size_t count = window_items(items + i, n - i, range_ms);
        if (count >= 2 && !any_failed(items + i, count)) {
            const int64_t end_ms = items[i + count - 1].end_ms;
            if ((uint64_t)end_ms - (uint64_t)items[i].start_ms == (uint64_t)range_ms ||
                end_ms <= items[n - 1].start_ms) {
                return take(items + i, count, out);
            }
        }
        i += count == 0 ? 1 : count;
    }
    return 0;
}

/* Much of it is deleted. */
static size_t plan_rewrite(const struct merge_ranges *ranges, const struct merge_item *items,
                           size_t n, uint32_t *out) {
    for (size_t i = n; i-- > 0;) {
        const struct merge_item *item = &items[i];
        if ((uint64_t)item->end_ms - (uint64_t)item->start_ms <
            (uint64_t)ranges->ms[ranges->count / 2]) {
            return item->tombstones > 0 && item->tombstones >= item->series ? take(item, 1, out)
                                                                            : 0;
        }
        if ((double)item->tombstones / ((double)item->series + 1) > 1.0 / TOMBSTONE_PARTS) {
            return take(item, 1, out);
        }
    }
    return 0;
}

size_t merge_plan(const struct merge_ranges *ranges, struct merge_item *items, size_t n,
                  uint32_t *out) {
    ASSERT(ranges->count >= 1);
    if (n == 0) {
        return 0;
    }
    qsort(items, n, sizeof(*items), by_start);
    size_t count = plan_overlapping(items, n, out);
    n--; /* the newest one stays as it is for a while: it may be copied, and late data may come */
    for (size_t i = 1; i < ranges->count && count == 0 && n != 0; i++) {
        count = plan_range(items, n, ranges->ms[i], out);
    }
    return count != 0 ? count : plan_rewrite(ranges, items, n, out);
}
