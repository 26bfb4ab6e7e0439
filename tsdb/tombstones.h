/* What was deleted: closed intervals of time per series. On disk: tombstone_file.h.
 *
 * A set is immutable and counted: a querier keeps the one it began with, a deletion makes the next.
 * Intervals end with the newest sample that was deleted, so samples that come later show. Nothing
 * is paid while nothing is deleted: the set is then NULL.
 *
 * Threads: any, once it is made. */
#ifndef TSDB_TOMBSTONES_H
#define TSDB_TOMBSTONES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"

struct tombstones;
struct storage_samples;

struct tombstone_interval { /* milliseconds, both ends included */
    int64_t min_ts_ms;
    int64_t max_ts_ms;
};

struct tombstone { /* of one series */
    struct labels labels;
    const struct tombstone_interval *intervals; /* ascending; neither overlapping nor adjacent */
    uint32_t count;
};

struct tombstone_addition {
    struct labels labels; /* borrowed */
    struct tombstone_interval interval;
};

enum { TOMBSTONES_BYTES_MAX = 256 << 20 };

/* old (may be NULL) and more; the caller has the one reference. ERR_LIMIT: the file would be larger
 * than TOMBSTONES_BYTES_MAX. */
MUST_CHECK enum err_code tombstones_with(const struct tombstones *old,
                                         const struct tombstone_addition *more, size_t n,
                                         struct tombstones **out, struct err *err);
struct tombstones *tombstones_ref(struct tombstones *t); /* NULL is fine in both */
void tombstones_unref(struct tombstones *t);
size_t tombstones_count(const struct tombstones *t); /* series; NULL is fine */
/* Series i, in the order of XXH64 of the labels, then of the labels. */
const struct tombstone *tombstones_at(const struct tombstones *t, size_t i);
size_t tombstones_index(const struct tombstones *t, const struct tombstone *series);
/* Deletions up to this one are in the set: what a partition was made without (view.h). 0: unknown. */
uint64_t tombstones_number(const struct tombstones *t);
void tombstones_set_number(struct tombstones *t, uint64_t number); /* before it is shared */
/* NULL when nothing of the series is deleted; t may be NULL. */
const struct tombstone *tombstones_find(const struct tombstones *t, struct labels labels);
/* The same for a series whose labels are those of two disjoint sets; scratch is used and given back
 * by the caller. */
const struct tombstone *tombstones_find_pair(const struct tombstones *t, struct labels a,
                                             struct labels b, struct arena *scratch);
bool tombstone_covers(const struct tombstone *t, int64_t ts_ms);
/* Has it an interval with a time in [min, max]? */
bool tombstone_overlaps(const struct tombstone *t, int64_t min_ts_ms, int64_t max_ts_ms);
/* Takes what is deleted out of samples; columns that change are made anew in the arena. ERR_LIMIT:
 * its budget. */
MUST_CHECK enum err_code tombstone_filter(const struct tombstone *t, struct arena *arena,
                                          struct storage_samples *io, struct err *err);

#endif
