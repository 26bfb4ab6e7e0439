/* A directory with files of every kind that a server leaves: rows of the log, runs, the series log, notes,
 * partitions that were merged, condensed and packed, tombstones, a snapshot, what is in quarantine, queries
 * that were running. 28 hours of scraped and pushed samples, late ones and histograms among them, all of
 * which can be told from their place. For tests that damage it. */
#ifndef TESTS_CRASH_DAMAGE_WORLD_H
#define TESTS_CRASH_DAMAGE_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/fake_clock.h"
#include "tests/support/mem_vfs.h"
#include "tsdb/tsdb.h"

enum { DAMAGE_ROWS = 560, DAMAGE_SCRAPED = 8, DAMAGE_PUSHED = 3, DAMAGE_FAMILIES = 3 };
enum { DAMAGE_SERIES = DAMAGE_SCRAPED + DAMAGE_PUSHED };
enum { DAMAGE_EXEMPLARS = DAMAGE_ROWS / 20 };

struct damage_world {
    struct mem_vfs *disk; /* the database "db" was closed */
    struct fake_clock clock;
    char snapshot[128]; /* its path, a database of the same samples */
};

void damage_world_write(struct damage_world *w);
void damage_world_release(struct damage_world *w);

/* The time of a row. */
int64_t damage_row_ms(int row);

struct damage_found {
    size_t samples;
    size_t exemplars;
    size_t families;
    bool rows[DAMAGE_SERIES][DAMAGE_ROWS];
};

/* All that was written and not deleted. */
void damage_expected(struct damage_found *out);

/* Opens the database and reads all there is; read_only: as tools do, without a change to the disk. What was not
 * written, was deleted, has another value or comes twice fails the test, so does an error other than
 * ERR_CORRUPT. False: opening gave ERR_UNSUPPORTED, a version that was damaged. */
bool damage_read(struct damage_world *w, struct vfs *vfs, const char *root, bool read_only,
                 struct damage_found *out);

#endif
