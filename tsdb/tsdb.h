/* The database: opens a data directory and implements the storage interface on it.
 *
 * Owner: main. One process per directory (lock file). Threads: open and close from one thread;
 * tsdb_storage may be used by all, by the rules of storage.h. Background work (WAL sync, sealing
 * leftovers, lazy replay) runs on the database's own maintenance thread. */
#ifndef TSDB_TSDB_H
#define TSDB_TSDB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/rng.h"
#include "base/vfs.h"
#include "tsdb/retention.h"
#include "tsdb/storage.h"

struct tsdb;

struct tsdb_options {
    const char *path;
    struct vfs *vfs;
    struct clock *clock;
    struct rng rng;
    struct log *log;                  /* may be NULL */
    struct metric_registry *registry; /* may be NULL */
    uint32_t shard_count;             /* 0 = number of cores, at most 64 */
    int64_t wal_sync_interval_ns;     /* default 1 s; 0 = sync at each commit */
    uint64_t max_series;              /* 0 = no limit */
    size_t max_exemplars;             /* 0, the default: none are kept */
    int64_t late_window_ms;           /* see tsdb_set_late_window */
    int64_t partition_ms;             /* what the smallest partitions span; default 2 h */
    uint32_t wal_segment_bytes;       /* 0 = default, also of the next two; see wal.h, segment.h */
    uint32_t wal_allocate_bytes;
    uint32_t segment_file_bytes;
    int64_t partition_max_ms; /* and merged ones; 0 = by the retention, at most 31 d */
    struct retention_limits retention;
    size_t compact_memory_bytes; /* for samples that are cut; 0 = 1 to 8 MiB */
    size_t page_cache_bytes;     /* for pages that queries read; 0 = 8 MiB */
    size_t fault_memory_bytes;   /* for rows while the disk fails; 0 = 256 MiB */
    bool no_compaction;          /* but for tsdb_compact */
    bool no_lock_file;
    bool no_background; /* tests: nothing runs by itself, see tsdb_maintain */
};

void tsdb_options_default(struct tsdb_options *options);

struct tsdb_replay_stats {
    uint64_t series;
    uint64_t wal_records;
    uint64_t wal_bytes;
    uint64_t torn_bytes;      /* dropped from WAL tails: writes the last run never finished */
    uint64_t damaged_records; /* skipped in the middle */
    int64_t duration_ns;
};

/* Opens or creates the directory. ERR_EXISTS: another process holds it. ERR_CORRUPT only when
 * nothing can be read at all; lesser damage is logged, counted and skipped. Returns before the
 * WAL's rows are decoded (they are replayed when first needed). */
MUST_CHECK enum err_code tsdb_open(const struct tsdb_options *options, struct tsdb **out,
                                   struct tsdb_replay_stats *stats, struct err *err);
/* Seals nothing, syncs the WAL, frees. All groups, appenders and queriers must have ended. */
void tsdb_close(struct tsdb *db);

struct storage *tsdb_storage(struct tsdb *db);

/* Another limit; the newest exemplars stay. Any thread. */
void tsdb_set_max_exemplars(struct tsdb *db, size_t max);

/* Samples older than the newest of their series are taken when they are at most so much older than the
 * newest of all; 0, the default: they are refused. Applies to transactions and scrapes that begin from
 * now on; late samples that are stored stay. Any thread. */
void tsdb_set_late_window(struct tsdb *db, int64_t window_ms);

enum { TSDB_SNAPSHOT_NAME_MAX = 64 };

/* Makes <path>/snapshots/<name>, a data directory with all that was committed before the call (of
 * each group; what is committed meanwhile may be in it), or without rows that are not sealed
 * (skip_head). Files that are never written again are hard links. Any thread; writers wait while
 * their group's open rows are sealed. On failure nothing is left behind. name is
 * 20060102T150405Z-<16 hex digits>, NUL-terminated. */
MUST_CHECK enum err_code tsdb_snapshot(struct tsdb *db, bool skip_head,
                                       char name[TSDB_SNAPSHOT_NAME_MAX], struct err *err);

/* One round of background work; for no_background. */
void tsdb_maintain(struct tsdb *db);
/* Any thread; obeyed within a minute. */
void tsdb_set_retention(struct tsdb *db, const struct retention_limits *limits);
/* For tools, when nobody writes: makes partitions of the windows that are over by the clock, or of
 * all that is stored; merges and removes what is due. */
MUST_CHECK enum err_code tsdb_compact(struct tsdb *db, bool all, struct err *err);

#endif
