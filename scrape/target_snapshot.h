/* The targets of all pools as the API shows them: what was discovered, how their scrapes went, what
 * was dropped.
 *
 * Any thread; each pool's mu is taken in turn. */
#ifndef SCRAPE_TARGET_SNAPSHOT_H
#define SCRAPE_TARGET_SNAPSHOT_H

#include <stddef.h>

#include "base/arena.h"
#include "scrape/pool.h"
#include "scrape/scrape.h"

/* All of out lives in arena; pools are sorted by job. The caller holds the lock that keeps the list
 * and its pools as they are. */
void target_snapshot_take(struct pool *const *pools, size_t count, struct arena *arena,
                          struct targets_snapshot *out);

#endif
