/* L0 segments of one shard: append-only files of sealed runs.
 *
 * A run is what one group sealed at once: a timestamp column and one block per slot, for rows
 * first_row .. first_row + rows - 1. Blocks lie in pages of about 4 KiB with a checksum each, so
 * one series costs two small reads. Format: FORMAT.md sections 1 and 3.
 *
 * DURABILITY. After segment_commit a run survives a crash of the process; after a later
 * segment_sync with ERR_OK, a crash of the machine. Only then may the WAL drop its rows. Loss of
 * power can leave the frame of a run and lose its pages: what was not synced must pass segment_verify
 * before it is believed. How far the files were synced is in them (segment_mark.h).
 *
 * THREADS. The shard's thread (the writer) opens, builds, commits and drops. segment_sync may be
 * called by one other thread at any time. Reads may be made by any thread at any time; a file that
 * is dropped meanwhile stays readable for those who have a run of it open.
 *
 * FAILURE. A failed write or sync poisons the newest file: it is never written or synced again,
 * the runs in it stay readable as far as the disk allows, the next commit begins a new file. Runs
 * of the poisoned file that were not durable (segment_is_durable) stay in doubt: the caller keeps
 * their rows in the WAL until it has sealed them again (a later run with the same rows replaces an
 * earlier one). */
#ifndef TSDB_SEGMENT_H
#define TSDB_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/value.h"
#include "base/vfs.h"
#include "tsdb/chunk/block.h"
#include "tsdb/record_file.h"

enum {
    SEGMENT_FILE_BYTES_DEFAULT = 64 << 20,
    SEGMENT_PAGE_BYTES = 4096, /* a page ends after the block that reaches this */
    SEGMENT_RUN_BYTES_MAX = 1 << 30,
    SEGMENT_SLOTS_MAX = 1 << 24,
};

/* Rows of a group, in runs and in the log, have numbers below this: the number behind a row fits. */
#define SEGMENT_ROW_END (UINT64_MAX / 2)

struct page_cache;
struct segment_store;

/* Where a run is; files are numbered from 1. */
struct segment_location {
    uint32_t file;
    uint32_t offset;
    uint32_t bytes; /* whole run */
};

static inline bool segment_location_before(struct segment_location a, struct segment_location b) {
    return a.file != b.file ? a.file < b.file : a.offset < b.offset;
}

struct segment_run_info {
    uint32_t group;
    uint64_t first_row;
    uint32_t rows; /* 1 .. BLOCK_ROWS_MAX */
    uint32_t slot_count;
    int64_t min_ts_ms; /* of the first and the last row */
    int64_t max_ts_ms;
    struct segment_location at;
};

/* Once per run found at opening, in file order, when all are found; borrowed. An error ends segment_store_open. */
typedef enum err_code segment_found_fn(void *ctx, const struct segment_run_info *run,
                                       struct err *err);

struct segment_options {
    struct vfs *vfs;
    const char *dir; /* made if missing; its parent must exist */
    uint32_t shard;
    uint32_t file_bytes;        /* 0 = default; a larger run gets a file of its own */
    uint32_t first_file;        /* new runs are in files with at least this number */
    bool check_unsynced;        /* runs that may not be durable must pass segment_verify, else they
                                 * are reported and do not count, now and at later openings */
    const char *quarantine_dir; /* may be NULL */
    struct page_cache *cache;   /* may be NULL; outlives the store */
    record_damage_fn *damage;   /* may be NULL; called during segment_store_open only */
    void *damage_ctx;
};

/* Opens or creates: reads the frames of all runs, and the pages of those that are checked. Damaged ones
 * are reported and skipped, a torn tail is cut off. Writes nothing else. */
MUST_CHECK enum err_code segment_store_open(const struct segment_options *options,
                                            segment_found_fn *found, void *ctx,
                                            struct segment_store **out,
                                            struct record_scan_stats *out_stats, struct err *err);
/* Closes without syncing. All runs must be closed. NULL is fine. */
void segment_store_close(struct segment_store *store);

/* ---- writing: begin, one call per slot in order, commit ---- */

/* Starts to build a run in memory; forgets one that was not committed. ts_ms are strictly
 * ascending, rows of them; copied. */
void segment_begin(struct segment_store *store, uint32_t group, uint64_t first_row,
                   const int64_t *ts_ms, uint32_t rows);
/* Encodes and adds the next slot; values and states have the run's rows (see block_encode).
 * A slot that is absent throughout costs one byte, and nothing at the end of the run. */
void segment_add_column(struct segment_store *store, const struct num *values,
                        const uint8_t *states);
/* The same for a slot that has a value in every row: one and the same, or that of like with m[row] as
 * its integer. */
void segment_add_constant(struct segment_store *store, struct num value);
void segment_add_integers(struct segment_store *store, const int64_t *m, struct num like);
/* Adds the next slot as a block that is encoded already; n = 0: absent in all rows. A block that
 * refers to another slot needs that one at the same distance. */
void segment_add_block(struct segment_store *store, const uint8_t *bytes, size_t n);
/* Writes the run with one write. ERR_LIMIT: larger than SEGMENT_RUN_BYTES_MAX. ERR_NO_SPACE, ERR_IO:
 * nothing is stored, a later commit tries a new file. The built run is kept until the next
 * segment_begin, so that commit may be called again. */
MUST_CHECK enum err_code segment_commit(struct segment_store *store, struct segment_run_info *out,
                                        struct err *err);

/* Makes all runs that were committed before this call durable. Each failure is returned once: the
 * file is poisoned and the next call has nothing to do with it. */
MUST_CHECK enum err_code segment_sync(struct segment_store *store, struct err *err);

/* Is this run known to be durable? True for runs before the last good sync; false for ever for
 * those that were not synced when their file was poisoned. Runs found at opening count as not
 * durable until the first good segment_sync (they may be in the page cache only). */
bool segment_is_durable(struct segment_store *store, struct segment_location at);

/* ---- reading ---- */

/* An open run: its frame decoded, its pages not yet read. Lives in the arena given to
 * segment_run_open and must be closed (arena_link does it for a query). */
struct segment_run;

/* Reads the frame. ERR_CORRUPT names file and offset; ERR_NOT_FOUND: the file was dropped;
 * ERR_LIMIT: the arena's budget. Many threads may open the same location; one open run is used by
 * one thread. */
MUST_CHECK enum err_code segment_run_open(struct segment_store *store, struct segment_location at,
                                          struct arena *arena, struct segment_run **out,
                                          struct err *err);
/* As segment_run_open, but what is read and checked is kept in the store's cache, and taken from there.
 * For queries: who reads each run once has no use for it. */
MUST_CHECK enum err_code segment_run_open_cached(struct segment_store *store,
                                                 struct segment_location at, struct arena *arena,
                                                 struct segment_run **out, struct err *err);
void segment_run_close(struct segment_run *run); /* NULL is fine */

const struct segment_run_info *segment_run_info(const struct segment_run *run);
/* info.rows timestamps. */
const int64_t *segment_run_ts(const struct segment_run *run);
/* The bytes of a slot's block, its page read and checked; *out_n = 0 when the slot is absent in all
 * rows or beyond slot_count. Borrowed until the run is closed (pages stay in the arena or the
 * cache; slots that are asked for in ascending order are found faster). ERR_CORRUPT names file and offset; other pages
 * stay readable. */
MUST_CHECK enum err_code segment_run_block(struct segment_run *run, uint32_t slot,
                                           const uint8_t **out_bytes, size_t *out_n,
                                           struct err *err);
/* Decodes a slot's block into the caller's arrays, with the slot that it refers to, if any, which
 * is decoded once for slots in a row. Errors as above, and ERR_CORRUPT for a damaged block. */
MUST_CHECK enum err_code segment_run_column(struct segment_run *run, uint32_t slot,
                                            struct block_column *out, struct err *err);
MUST_CHECK enum err_code segment_run_ints(struct segment_run *run, uint32_t slot,
                                          struct block_ints *out, struct err *err);
/* Reads the pages of slots [first, first + count) with one read, so that segment_run_block finds
 * them in memory. Optional. */
MUST_CHECK enum err_code segment_run_load(struct segment_run *run, uint32_t first, uint32_t count,
                                          struct err *err);

/* Reads the whole run and checks every byte. */
MUST_CHECK enum err_code segment_verify(struct segment_store *store, struct segment_location at,
                                        struct err *err);

/* ---- files ---- */

/* Ends the newest file: runs that are committed from now on are in files with at least the number
 * that is returned, all others in files below. */
uint32_t segment_cut(struct segment_store *store);

/* Numbers of all files, ascending; the caller ends *out with mem_free. Returns how many. */
size_t segment_files(struct segment_store *store, uint32_t **out);

/* Removes a file and all its runs (retention, compaction). ERR_NOT_FOUND if there is none. If it
 * is the newest, the next commit begins a new one. */
MUST_CHECK enum err_code segment_drop_file(struct segment_store *store, uint32_t file,
                                           struct err *err);
/* What was removed so far cannot come back after this. Any thread. */
MUST_CHECK enum err_code segment_sync_removals(struct segment_store *store, struct err *err);

struct segment_stats {
    uint64_t files;
    uint64_t disk_bytes;
    uint64_t runs_written;
    uint64_t bytes_written;
    uint64_t writes_failed;
    uint64_t syncs_failed;
};
void segment_stats_get(struct segment_store *store, struct segment_stats *out);

#endif
