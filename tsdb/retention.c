#include "tsdb/retention.h"

#include <stdlib.h>

#include "base/mem.h"
#include "tsdb/manifest.h"

struct aged {
    int64_t end_ms;
    size_t at;
};

static int newest_first(const void *a, const void *b) {
    const struct aged *x = a;
    const struct aged *y = b;
    if (x->end_ms != y->end_ms) {
        return x->end_ms > y->end_ms ? -1 : 1;
    }
    return (x->at > y->at) - (x->at < y->at);
}

/* The first that is so much older than the newest; n = none. */
static size_t first_too_old(const struct retention_limits *limits, const struct aged *order,
                            size_t n) {
    size_t i = 1;
    while (i < n &&
           (uint64_t)order[0].end_ms - (uint64_t)order[i].end_ms < (uint64_t)limits->time_ms) {
        i++;
    }
    return limits->time_ms > 0 ? i : n;
}

static uint64_t size_limit(const struct retention_limits *limits,
                           const struct retention_disk *disk) {
    if (limits->percent > 0 && disk->total_bytes != 0) {
        return (uint64_t)((double)disk->total_bytes * limits->percent / 100);
    }
    return limits->size_bytes > 0 ? (uint64_t)limits->size_bytes : UINT64_MAX;
}

/* The first with which all newer ones and the head are too much. */
static size_t first_too_much(uint64_t limit, const struct retention_disk *disk,
                             const struct manifest_partition *partitions, const struct aged *order,
                             size_t n) {
    uint64_t sum = disk->head_bytes;
    for (size_t i = 0; i < n; i++) {
        const uint64_t bytes = partitions[order[i].at].bytes;
        sum = bytes > UINT64_MAX - sum ? UINT64_MAX : sum + bytes;
        if (sum > limit) {
            return i;
        }
    }
    return n;
}

size_t retention_plan(const struct retention_limits *limits, const struct retention_disk *disk,
                      const struct manifest_partition *partitions, size_t n,
                      enum retention_reason *reasons) {
    if (n == 0) {
        return 0;
    }
    struct aged *order = mem_array(n, sizeof(*order));
    for (size_t i = 0; i < n; i++) {
        order[i] = (struct aged){partitions[i].end_ms, i};
        reasons[i] = RETENTION_KEEP;
    }
    qsort(order, n, sizeof(*order), newest_first);
    const size_t by_time = first_too_old(limits, order, n);
    const size_t by_size = first_too_much(size_limit(limits, disk), disk, partitions, order, n);
    size_t removed = 0;
    for (size_t i = 0; i < n; i++) {
        if (i >= by_time || i >= by_size) {
            reasons[order[i].at] = i >= by_time ? RETENTION_TIME : RETENTION_SIZE;
            removed++;
        }
    }
    mem_free(order);
    return removed;
}
