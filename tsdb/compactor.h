/* The compactor: turns sealed runs into partitions, merges partitions, removes old ones.
 *
 * CUT. When the newest sample is an eighth of a window behind its end (15 min of two hours), all that
 * is stored of the window becomes a partition: groups with open rows in it are sealed, the store and
 * the log begin new files (the mark), and the runs are read in slices of the series' order, decoded
 * and encoded again into blocks of up to 512 rows. When nothing was written for a quarter of an hour,
 * or for a tool, the wall clock counts instead of the newest sample. What comes for the window after
 * that, in order (up to half a window late) or out of it, stays in runs behind the mark and goes to
 * another partition of the window with the next cut. Waiting for it, as Prometheus does, would keep
 * three hours in short runs instead of two and a quarter.
 *
 * PUBLICATION. A finished partition is renamed to its place, then the manifest names it, then
 * queriers see it (view.h). What it replaces is removed when no older querier is left. A crash at
 * any point leaves the old state or the new one, and a folder to be removed at the next opening.
 *
 * Threads: one of its own, at low priority, unless the database has no background work; then
 * compactor_round is called. Snapshots hold it back. Memory: memory_bytes, or 1 to 8 MiB, for samples
 * of a slice, and about 40 bytes per series of the window. Private to tsdb/. */
#ifndef TSDB_COMPACTOR_H
#define TSDB_COMPACTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "tsdb/manifest.h"
#include "tsdb/retention.h"

struct compactor;
struct tsdb;

/* Reads the manifest, removes what it does not name, opens the partitions and publishes them to
 * db->views. Before the shards are opened, for they ask what is cut. */
MUST_CHECK enum err_code compactor_open(struct tsdb *db, struct compactor **out, struct err *err);
void compactor_start(struct compactor *c);
/* Gives up what is under way; ends the thread. */
void compactor_stop(struct compactor *c);
void compactor_free(struct compactor *c); /* NULL is fine */

/* For opening the shards. Is a run, or a row of the log, in a partition? */
struct manifest_floor compactor_floor(const struct compactor *c, uint32_t shard);
bool compactor_has_run(const struct compactor *c, uint32_t shard, int64_t min_ts_ms,
                       uint32_t l0_file);
bool compactor_has_row(const struct compactor *c, uint32_t shard, int64_t ts_ms,
                       uint32_t wal_segment);

enum compactor_extent {
    COMPACT_DUE, /* windows that get nothing any more, by the newest sample */
    COMPACT_OLD, /* by the wall clock: nobody writes (tools) */
    COMPACT_ALL, /* all that is stored */
};

/* One round: cut, merge, remove. Errors are logged, counted and returned; what failed is tried
 * again. */
enum err_code compactor_round(struct compactor *c, enum compactor_extent extent, struct err *err);

/* Writes partitions anew that have deleted samples, without them. Any thread. */
MUST_CHECK enum err_code compactor_clean_tombstones(struct compactor *c, struct err *err);

/* Any thread; the next round obeys. */
void compactor_set_retention(struct compactor *c, const struct retention_limits *limits);

/* Between these two no partition comes or goes. */
void compactor_hold(struct compactor *c);
void compactor_let_go(struct compactor *c);
/* While held: links all partitions to the folder dir, which is made, with a manifest of its own; or
 * removes what such a call has left half. */
MUST_CHECK enum err_code compactor_copy(struct compactor *c, const char *dir, struct err *err);
void compactor_remove_copy(struct compactor *c, const char *dir);

/* Bytes of all partitions. Any thread. */
uint64_t compactor_disk_bytes(const struct compactor *c);
/* The most memory that cuts and merges held at once since the opening, for tests and benches. */
size_t compactor_memory_peak(const struct compactor *c);

#endif
