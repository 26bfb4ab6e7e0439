/* Start timestamps for series whose target gives none (--enable-feature=st-synthesis; spec/scrape.md
 * section 6, "Start timestamps").
 *
 * The first sample of a counter is not stored: it says where counting starts for us. Later ones are
 * stored as what was added since, with the time of the first as start timestamp. A value that fell is
 * a reset: from then on values stand for themselves and started a millisecond before it.
 *
 * Owner: struct ingest; on the worker of its shard. 40 bytes for each slot of the group, and two
 * copies of the histogram for each that has one. */
#ifndef SCRAPE_START_SYNTHESIS_H
#define SCRAPE_START_SYNTHESIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "scrape/expo.h"

struct start_state;

struct start_synthesis {
    struct start_state *states; /* by slot */
    uint32_t count;
};

void start_synthesis_release(struct start_synthesis *synthesis);

/* Changes a sample that came without a start timestamp, if it is of a family of counters or its
 * series was one before; histograms live in arena. True: it must not be stored. */
bool start_synthesis_apply(struct start_synthesis *synthesis, uint32_t slot, int64_t ts_ms,
                           struct arena *arena, struct expo_entry *sample);
/* The series ended, or a sample of it was refused: the next one is a first one. */
void start_synthesis_forget(struct start_synthesis *synthesis, uint32_t slot);
/* Whether the series has a state, so that its end must be noticed. */
bool start_synthesis_has(const struct start_synthesis *synthesis, uint32_t slot);

/* Whether a series of this name belongs to the family and, by its type, counts: what the last line
 * of metadata says of the lines behind it. */
bool start_synthesis_wants(struct str name, struct str family, enum expo_type type);

size_t start_synthesis_memory_bytes(const struct start_synthesis *synthesis);

#endif
