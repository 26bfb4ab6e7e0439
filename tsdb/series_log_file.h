/* The files of the series log, and the log's state. Private to series_log*.c; format and invariants: the
 * top of series_log.c. */
#ifndef TSDB_SERIES_LOG_FILE_H
#define TSDB_SERIES_LOG_FILE_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/mutex.h"
#include "tsdb/series_log.h"
#include "tsdb/series_log_copy.h"

#define SERIES_MAGIC "BRASASER"

enum {
    CONTINUE_BYTES = SERIES_CARRIED_HEAD_BYTES,
    CLAIM_BYTES = 12, /* in the record of type 2, behind that */
    CLAIMS_MAX = 64,  /* the newest; more files than that are left by failures only */
    SCAN_READ_BYTES = 256 << 10,
    UNSYNCED_SOON_BYTES = 32 << 20, /* an append that passes this syncs by itself */
    BATCH_BYTES_MAX = 512 << 20,
    SYNC_ATTEMPTS = 3,
    FILLER_SHARE = 64, /* filler takes at most this part of a file, but may once */
};

struct log_file {
    struct log_file *older;
    uint32_t number;
    uint32_t seed;
    char *path;
    struct vfs_file *f;
    uint64_t end;               /* L1 */
    uint32_t next;              /* record number */
    uint32_t continued_file;    /* what it says of an older one; 0 = nothing */
    uint32_t continued_records; /* of that one that count */
    uint32_t synced;            /* records known to be durable */
    uint64_t synced_end;
    bool name_synced;
    bool is_image;
};

struct series_log {
    struct vfs *vfs;
    char *dir;

    struct mutex mu;
    /* guarded by mu: */
    struct log_file *file; /* newest; NULL: none yet */
    uint32_t next_file;
    uint32_t syncs_running; /* without mu: their file stays open */
    bool failed;            /* file is poisoned, or none can be made */
    bool fresh;             /* the next append begins a file, nothing failed */
    struct series_log_next next;
    struct series_copy_queue copies; /* of records in file */
    uint64_t filler_bytes;           /* in file */
    struct buf unsynced;             /* u32 size, payload ... (L2) */
    uint64_t unsynced_position;      /* of its first byte in the sequence of all payloads */
    struct buf frame;                /* scratch */
    struct series_log_stats stats;
};

/* ---- series_log_file.c ---- */

struct log_file *series_log_file_new(const struct series_log *log, uint32_t number);
/* Closes it; NULL is fine. */
void series_log_file_free(struct log_file *file);
/* Frames the payloads of a list (u32 size, bytes, ...), which then wait for their copies; with copies
 * those that are due between them. */
void series_log_frame(struct series_copy_queue *waiting, struct series_framer *to,
                      const uint8_t *list, size_t list_bytes, bool copies);
/* The same for what is carried over from an older file, without copies; head: payload of the record of
 * type 2. */
void series_log_frame_carried(struct series_copy_queue *waiting, struct series_framer *to,
                              const uint8_t head[CONTINUE_BYTES], const uint8_t *list,
                              size_t list_bytes);
/* What was before an image goes when its name is durable. */
void series_log_drop_older(struct series_log *log) REQUIRES(&log->mu);

#endif
