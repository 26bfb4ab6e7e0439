/* A reference history on a disk in memory: scraped and pushed rows with values that can be told from
 * their place, sealed runs, dropped log segments. For tests that crash or damage the disk. */
#ifndef TESTS_CRASH_CRASH_WORLD_H
#define TESTS_CRASH_CRASH_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/fake_clock.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/tsdb.h"

enum { CRASH_ROWS = 150, CRASH_SLOTS = 5, CRASH_PUSHED = 3 };
enum { CRASH_SERIES = CRASH_SLOTS + CRASH_PUSHED, CRASH_SAMPLES = CRASH_ROWS * CRASH_SERIES };

struct crash_world {
    struct mem_vfs *disk;
    struct fake_clock clock;
    /* Changes that the disk had seen when the row was acknowledged, and when it was synced. */
    size_t acked_at[CRASH_ROWS];
    size_t durable_at[CRASH_ROWS];
};

double crash_value(int series, int64_t row);
/* Writes the whole history to an empty disk and closes the database. */
void crash_world_write(struct crash_world *w);
void crash_world_release(struct crash_world *w);

/* Options for the same clock on another disk. */
struct tsdb_options crash_options(struct crash_world *w, struct vfs *vfs);

struct crash_found {
    size_t samples;
    size_t unreadable; /* series of which a read failed with ERR_CORRUPT */
    bool rows[CRASH_SERIES][CRASH_ROWS];
};

/* Reads everything; a sample that was not written or has another value fails the test, and so does
 * any error but ERR_CORRUPT. */
void crash_read(struct tsdb *db, struct crash_found *out);
/* Opens the disk's database, reads, maintains, reads again; the latter must give the same. */
void crash_open_and_read(struct crash_world *w, struct vfs *vfs, struct crash_found *out,
                         struct tsdb_replay_stats *stats);

#endif
