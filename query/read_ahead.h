/* The samples of a selection, batch by batch in the order of its series. While the query works on
 * one batch, the engine's crew reads those behind it; a query that reads little never asks for
 * help. What is computed from a batch is computed by the query's own thread, in order: results do
 * not depend on how many threads there are.
 *
 * Owner: one scan of a selector. Batches live in arenas that are kept warm from query to query,
 * at most two batches more than there are threads. What a batch takes counts against the query's
 * budget from the moment it is handed out; read ahead it is bounded by a share of what is left. */
#ifndef QUERY_READ_AHEAD_H
#define QUERY_READ_AHEAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/mutex.h"
#include "query/crew.h"
#include "query/eval.h"
#include "tsdb/storage.h"

enum { READ_BATCH_MAX = 256, READ_SLOTS_MAX = CREW_MAX + 2, SHELF_MAX = 4 };

/* Empty arenas with some memory, for the next query. Any thread. */
struct read_shelf {
    struct mutex mu;
    struct arena arenas[SHELF_MAX]; /* guarded by mu, as count */
    size_t count;
};

void read_shelf_init(struct read_shelf *shelf);
void read_shelf_release(struct read_shelf *shelf);

struct read_batch {
    size_t first, count; /* of the selection's series */
    struct arena arena;  /* for whatever lives as long as the samples */
    struct storage_samples samples[READ_BATCH_MAX];
    /* private */
    struct read_ahead *of;
    struct crew_task task;
    enum err_code code;
    struct err err;
};

struct read_source {
    const struct storage_selection *selection;
    const struct storage_series *series;
    size_t count;
    int64_t mint, maxt;
    struct storage_windows windows; /* all that is looked at, unless STORAGE_WANT_ALL */
};

struct read_ahead {
    struct eval *ev;
    struct work *work; /* of the slots */
    struct read_source from;
    struct read_batch *slots[READ_SLOTS_MAX]; /* a ring: the one handed out, then those ahead */
    size_t head;
    size_t used;        /* slots of the ring that hold or get a batch */
    bool handed_out;    /* the first of them */
    size_t next_series; /* to be read by nobody yet */
    size_t batch_size;
    bool helped; /* there is enough left to ask the crew */
    bool alone;  /* memory is too short for help */
};

/* work must outlive it and holds little. */
void read_ahead_begin(struct read_ahead *r, struct eval *ev, struct work *work,
                      const struct read_source *from);
/* The next batch, or NULL behind the last; the one before is gone, and working on it took
 * more_bytes besides its arena. */
MUST_CHECK enum err_code read_ahead_next(struct read_ahead *r, size_t more_bytes,
                                         struct read_batch **out, struct err *err);
/* Waits for whoever still reads. */
void read_ahead_end(struct read_ahead *r);

#endif
