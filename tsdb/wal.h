/* Write-ahead log of one shard: rows that are not yet sealed.
 *
 * It lies in one folder, <dir>/<8 digits>, segments of bounded size that are never written again
 * once a later one exists. Payloads are opaque here; the head gives them a meaning. Format:
 * FORMAT.md sections 1 and 2; recovery: record_file.h and the top of wal.c.
 *
 * DURABILITY. After wal_append the record survives a crash of the process; after a wal_sync that
 * began later and returned ERR_OK, a crash of the machine.
 *
 * THREADS. The shard's thread (the writer) calls everything but what is named here. wal_sync may
 * be called by one other thread at any time between wal_open and wal_close, also while the writer
 * appends, cuts, drops or rotates. wal_read, wal_state_get, wal_stats_get may be called by any
 * thread at any time; a wal_read of a segment that is dropped meanwhile gives ERR_NOT_FOUND.
 *
 * FAILURE. The first failed write, sync or allocation (also a full disk) takes the log to
 * WAL_FAILED: the segment is poisoned, nothing is ever written to or synced through it again, and
 * all appends and syncs return ERR_UNAVAILABLE. Memory is then the authority. The writer calls
 * wal_rotate_after_failure, now or every few seconds, which writes all records that are still
 * needed to a fresh file. */
#ifndef TSDB_WAL_H
#define TSDB_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/vfs.h"
#include "tsdb/record_file.h"

enum {
    WAL_RECORD_MAX = RECORD_SIZE_MAX, /* bytes of a payload */
    WAL_SEGMENT_BYTES_DEFAULT = 16 << 20,
    WAL_ALLOCATE_BYTES_DEFAULT = 1 << 20,
};

struct wal;

/* Where a record is: segment number and offset of its header. Ordered as the log is. Segment
 * numbers start at 1: {0, 0} is "nowhere". */
struct wal_position {
    uint32_t segment;
    uint32_t offset;
};

static inline bool wal_position_before(struct wal_position a, struct wal_position b) {
    return a.segment != b.segment ? a.segment < b.segment : a.offset < b.offset;
}

struct wal_options {
    struct vfs *vfs;
    const char *dir; /* made if missing; its parent must exist */
    uint32_t shard;
    uint32_t segment_bytes;     /* 0 = default; a larger batch gets a segment of its own */
    uint32_t first_segment;     /* new segments have at least this number */
    uint32_t allocate_bytes;    /* space is taken in steps of this; 0 = default */
    const char *quarantine_dir; /* damaged bytes are copied there; made if missing; may be NULL */
    record_damage_fn *damage;   /* may be NULL; called during wal_open only */
    void *damage_ctx;
};

struct wal_record {
    uint8_t type; /* the head's, not 0 */
    uint32_t size;
    const uint8_t *payload;
    uint64_t sequence; /* segment << 32 | number in the segment: ascending, gaps where bytes were
                        * lost or a segment ended */
    struct wal_position at;
};

/* Once per intact record, oldest first; the record is borrowed. An error ends wal_open with it.
 *
 * A payload may come twice: a crash between rotating after a failure and dropping the old segments
 * leaves both copies. Whoever replays must know its rows by their numbers. */
typedef enum err_code wal_replay_fn(void *ctx, const struct wal_record *record, struct err *err);

struct wal_replay_stats {
    struct record_scan_stats scan;
    uint32_t segments;
};

/* Opens or creates the log: replays what is there, cuts a torn tail off, and begins a fresh segment
 * at the first append (so opening works on a full disk). Damage is reported and skipped. ERR_IO,
 * ERR_UNSUPPORTED (a newer version), or the callback's error. */
MUST_CHECK enum err_code wal_open(const struct wal_options *options, wal_replay_fn *replay,
                                  void *ctx, struct wal **out, struct wal_replay_stats *out_stats,
                                  struct err *err);
/* Closes without syncing (call wal_sync before). No other thread may be inside. NULL is fine. */
void wal_close(struct wal *wal);

struct wal_payload {
    uint8_t type; /* 1 .. 255 */
    const void *bytes;
    size_t size; /* at most WAL_RECORD_MAX */
};

/* Appends one record with one write. ERR_LIMIT: payload too large (state unchanged). ERR_NO_SPACE,
 * ERR_IO: the log is now WAL_FAILED and the record is not stored. ERR_UNAVAILABLE: it was before.
 * out_at may be NULL. */
MUST_CHECK enum err_code wal_append(struct wal *wal, struct wal_payload payload,
                                    struct wal_position *out_at, struct err *err);
/* Several records with one write; all or none is reported, but a crash may keep a prefix.
 * out_at: NULL or count positions. */
MUST_CHECK enum err_code wal_append_batch(struct wal *wal, const struct wal_payload *payloads,
                                          size_t count, struct wal_position *out_at,
                                          struct err *err);

/* Makes all records whose append returned before this call durable. Returns at once when there is
 * nothing new. ERR_IO, ERR_NO_SPACE: the log is now WAL_FAILED. One caller at a time. */
MUST_CHECK enum err_code wal_sync(struct wal *wal, struct err *err);

/* Ends the current segment; the next append begins a new one. */
void wal_cut(struct wal *wal);

/* The segment that is being written, or after a cut the one that will be. Records appended from now
 * on are at or after {this, 0}. */
uint32_t wal_current_segment(const struct wal *wal);

/* The lowest number of a segment that is there; that of the current one when there is none. */
uint32_t wal_oldest_segment(struct wal *wal);

/* Removes all segments with a number below first_needed, but never the one being written. What the
 * records in them say must be durable elsewhere. A failed unlink is returned; the rest is still
 * tried, and the next call tries again. */
MUST_CHECK enum err_code wal_drop_before(struct wal *wal, uint32_t first_needed, struct err *err);

/* What was removed so far cannot come back after this. Any thread. */
MUST_CHECK enum err_code wal_sync_removals(struct wal *wal, struct err *err);

/* Reads one record back, checked. *io_bytes is a buffer of *io_capacity bytes that grows as
 * needed; the caller ends it with mem_free; record->payload points into it. ERR_NOT_FOUND: the
 * segment is gone. ERR_CORRUPT names file and offset. */
MUST_CHECK enum err_code wal_read(struct wal *wal, struct wal_position at, uint8_t **io_bytes,
                                  size_t *io_capacity, struct wal_record *record, struct err *err);

enum wal_state {
    WAL_OK = 0,
    WAL_FAILED, /* waits for wal_rotate_after_failure */
};

enum wal_state wal_state_get(struct wal *wal);

/* Inside the callback of wal_rotate_after_failure: writes one record to the fresh segments. */
struct wal_rewriter;
MUST_CHECK enum err_code wal_rewrite(struct wal_rewriter *to, struct wal_payload payload,
                                     struct wal_position *out_at, struct err *err);

/* Calls wal_rewrite for each record that is still needed, old order within a group. May wal_read
 * old records. An error ends the rotation with it. */
typedef enum err_code wal_rewrite_fn(void *ctx, struct wal_rewriter *to, struct err *err);

/* After WAL_FAILED: writes what rewrite gives to a fresh file, syncs it and its folder, and returns to
 * WAL_OK. The older segments stay, for what was not rewritten, until wal_drop_before. On failure the log stays WAL_FAILED, the fresh file is
 * removed if possible and never used again, positions given out by this rotation are void (the old
 * ones still hold), and the call may be made again. In WAL_OK it does nothing. */
MUST_CHECK enum err_code wal_rotate_after_failure(struct wal *wal, wal_rewrite_fn *rewrite,
                                                  void *ctx, struct err *err);

struct wal_stats {
    uint64_t appended_records;
    uint64_t appended_bytes;
    uint64_t synced_sequence; /* every record with a sequence up to this is durable */
    uint64_t writes_failed;
    uint64_t syncs;
    uint64_t syncs_failed;
    uint64_t segments; /* files now */
    uint64_t disk_bytes;
};
void wal_stats_get(struct wal *wal, struct wal_stats *out);

#endif
