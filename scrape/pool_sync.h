/* Bringing a pool's targets to what a discovery update says, in slices: while 100,000 targets change, the
 * others are scraped on time.
 *
 *     index the loops there are -> make the targets -> keep what is kept -> stop what is gone
 *     -> start what is new -> let go of what was dropped before
 *
 * Until targets that are new have started, the pool shows those that were kept. The pool's
 * configuration must not change meanwhile, and only one sync of a pool runs: the manager sees to it.
 *
 * Runs on the io thread. */
#ifndef SCRAPE_POOL_SYNC_H
#define SCRAPE_POOL_SYNC_H

#include <stdbool.h>
#include <stddef.h>

#include "scrape/pool.h"

struct pool_sync;

/* The complete groups of the pool's set; update is borrowed. */
struct pool_sync *pool_sync_new(struct pool *pool, struct sd_update *update);
/* Goes on for about *io_units targets or loops, and takes from it what it did, at least one; false when
 * all is in place. */
bool pool_sync_step(struct pool_sync *sync, size_t *io_units);
/* One that is not done leaves the pool to be freed, and may be left only then: no worker runs any more. */
void pool_sync_free(struct pool_sync *sync);

#endif
