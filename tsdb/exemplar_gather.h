/* Exemplars of a log on their way to the ring.
 *
 * A log may hold an exemplar twice, and an old one behind newer ones of its series: after a failure all
 * is written once more (notes.h), and of the segments before that any may come back with a loss of
 * power, each for itself. The ring refuses what is older than the newest of its series, so everything
 * is gathered first: of what comes twice the last counts, of each series the exemplars take its places
 * in the order of their times. Who needs a segment is told by the tags: they ascend, none is above the
 * exemplar's own.
 *
 * Owner: the notes, while they open. Memory: the bytes of twice the newest max exemplars, and some. One
 * thread. */
#ifndef TSDB_EXEMPLAR_GATHER_H
#define TSDB_EXEMPLAR_GATHER_H

#include <stddef.h>
#include <stdint.h>

#include "base/labels.h"
#include "tsdb/exemplars.h"
#include "tsdb/storage.h"

struct exemplar_gather;

/* max: more than that many need not come out. 0: none. */
struct exemplar_gather *exemplar_gather_new(size_t max);
/* NULL is fine. */
void exemplar_gather_free(struct exemplar_gather *g);

/* Copies the exemplar, which was read from the place that the tag stands for. */
void exemplar_gather_add(struct exemplar_gather *g, struct labels series,
                         const struct storage_exemplar *exemplar, uint32_t tag);
/* Adds all to the ring, which is empty; afterwards nothing is gathered. */
void exemplar_gather_pour(struct exemplar_gather *g, struct exemplars *ring);

#endif
