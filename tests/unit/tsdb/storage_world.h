/* A database in a temporary folder with a clock that tests set, and short ways to write and read. */
#ifndef TESTS_UNIT_TSDB_STORAGE_WORLD_H
#define TESTS_UNIT_TSDB_STORAGE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/histogram.h"
#include "base/labels.h"
#include "base/matcher.h"
#include "tests/support/fake_clock.h"
#include "tsdb/storage.h"
#include "tsdb/tsdb.h"

struct world {
    char dir[64];
    struct fake_clock clock;
    struct tsdb_options options;
    struct tsdb *db;
    struct storage *st;
    struct tsdb_replay_stats replayed;
    struct arena arena; /* of the test: labels and results */
};

/* One shard, no background thread, time 1,000,000 s. */
void world_init(struct world *w);
void world_open(struct world *w);
void world_close(struct world *w);
/* Ends the database without anything that a clean end does: as if the process had been killed. The
 * folder of a copy is opened instead, so that the old one may be closed. */
void world_crash(struct world *w);
/* The closed folder of from, again, for to. */
void world_copy(struct world *to, const struct world *from);
void world_release(struct world *w); /* removes the folder */

/* "name{a=b,c=d}" in a compact notation: world_labels(w, "up a=b c=d"). */
struct labels world_labels(struct world *w, const char *text);
struct storage_group *world_group(struct world *w, const char *target);
uint32_t world_slot(struct world *w, struct storage_group *g, const char *labels);
/* NAN-coded: ABSENT leaves the slot out, the stale NaN is SLOT_STALE. */
#define ABSENT (-1e300)
struct storage_row_result world_row(struct world *w, struct storage_group *g, int64_t ts_ms,
                                    const double *values, uint32_t n);
enum err_code world_append(struct world *w, struct storage_appender *a, const char *labels,
                           int64_t ts_ms, double value);
/* One matcher per "name=value", "name!=value", "name=~value", "name!~value", separated by blanks. */
size_t world_matchers(struct world *w, const char *text, struct matcher *out, size_t max);

/* Series that match and have samples, sorted, as text: one line a series, "up{a="b"} 1000:1 2000:2 ...". The
 * stale NaN prints as "stale", a histogram with all its buckets and its hint (same: no reset), a start
 * timestamp behind an @. */
const char *world_dump(struct world *w, const char *matchers, int64_t mint, int64_t maxt);
void world_dump_histogram(struct buf *to, const struct histogram *h);

#endif
