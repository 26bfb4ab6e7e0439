/* Databases whose windows are short, filled by chance, and all their samples as text. */
#ifndef TESTS_UNIT_TSDB_COMPACT_WORLD_H
#define TESTS_UNIT_TSDB_COMPACT_WORLD_H

#include "base/rng.h"
#include "storage_world.h"

enum { COMPACT_WINDOW_MS = 20000, COMPACT_BASE_MS = 1000000000 };

enum { COMPACT_GROUPS = 3 };

struct compact_play {
    struct world *w;
    struct rng rng;
    struct storage_group *groups[COMPACT_GROUPS];
    int64_t now_ms;
    uint64_t step_ms; /* between two commits, at most; begin sets 200 */
};

/* Options for short windows; then world_open. */
void compact_world_init(struct world *w);

void compact_play_begin(struct compact_play *p, struct world *w, uint64_t seed);
/* Rows of scraped groups (two of which have series with equal labels), with gaps, ends, any doubles;
 * transactions, also late ones; up to so many milliseconds later. What is done depends on the seed
 * alone. */
void compact_play_for(struct compact_play *p, int64_t ms);
void compact_play_end(struct compact_play *p);

/* All samples as queries see them, each series a line. In the world's arena. */
const char *compact_dump(struct world *w);
/* Of the partitions alone, and how many there are. */
const char *compact_dump_partitions(struct world *w, size_t *out_count);
/* Fails where two of them differ, and shows that place. */
void compact_assert_same(const char *got, const char *want);

#endif
