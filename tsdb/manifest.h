/* The manifest: which partitions are live, and what of the head they replace.
 *
 * What the newest one names is the truth: a folder of a partition that it does not name was never
 * finished or is merged away. Its files: manifest_file.h.
 *
 * MARKS. A cut takes all runs of a window that are sealed then. Its mark says so, per shard: runs of
 * the window in L0 files below l0_file are in partitions, and so are rows of the window in WAL
 * segments below wal_segment. What comes later (late samples) is in higher ones, for both begin a
 * new file at the cut. The floors keep these numbers from being given out again when a folder
 * was emptied.
 *
 * Bytes: FORMAT.md section 12. Threads: of its owner, the compactor. Private to tsdb/. */
#ifndef TSDB_MANIFEST_H
#define TSDB_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

enum {
    MANIFEST_PARTITIONS_MAX = 1 << 16,
    MANIFEST_PARENTS_MAX = 1 << 10, /* of one partition */
    MANIFEST_MARKS_MAX = 1 << 20,
    MANIFEST_SHARDS_MAX = 64,
    MANIFEST_BYTES_MAX = 15 << 20,
};

struct manifest_partition {
    uint32_t number; /* its folder's name; from 1 */
    uint8_t level;   /* 1 = cut from the head */
    int64_t start_ms;
    int64_t end_ms; /* its window is [start, end) */
    int64_t min_ts_ms;
    int64_t max_ts_ms; /* of its samples */
    uint64_t series;
    uint64_t samples;
    uint64_t bytes;
    uint32_t *parents; /* numbers, ascending; owned by the manifest */
    uint32_t parent_count;
};

struct manifest_mark {
    int64_t start_ms;
    int64_t end_ms;
    uint32_t shard;
    uint32_t l0_file;
    uint32_t wal_segment;
};

struct manifest_floor { /* numbers that new files of a shard have at least */
    uint32_t l0_file;
    uint32_t wal_segment;
};

struct manifest {
    struct manifest_partition *partitions; /* ascending numbers */
    size_t partition_count;
    struct manifest_mark *marks; /* by window, then shard; one per pair */
    size_t mark_count;
    struct manifest_floor floors[MANIFEST_SHARDS_MAX];
    uint32_t next_partition; /* above all numbers that were ever used */
};

void manifest_init(struct manifest *m);
void manifest_release(struct manifest *m);
void manifest_copy(struct manifest *to, const struct manifest *from); /* to is new */

/* Adds a partition (parents are copied); its number is next_partition or above. */
void manifest_add(struct manifest *m, const struct manifest_partition *p);
/* NULL when there is none with the number. */
const struct manifest_partition *manifest_find(const struct manifest *m, uint32_t number);
void manifest_remove(struct manifest *m, uint32_t number);
/* Sets or raises the mark of its window and shard, and the shard's floor. */
void manifest_set_mark(struct manifest *m, const struct manifest_mark *mark);
/* The mark of the window that ts_ms is in; NULL when nothing of it was cut. */
const struct manifest_mark *manifest_mark_at(const struct manifest_mark *marks, size_t count,
                                             uint32_t shard, int64_t ts_ms);

/* ---- bytes ---- */

/* The payload of the record: FORMAT.md section 12. */
void manifest_encode(const struct manifest *m, struct buf *to);
/* Fills out, which is empty and stays so after ERR_CORRUPT: bytes that manifest_encode never
 * writes. */
MUST_CHECK enum err_code manifest_decode(const uint8_t *bytes, size_t n, struct manifest *out,
                                         struct err *err);

#endif
