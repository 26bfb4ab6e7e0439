/* What the files of the compactor share. Private to compactor*.c. */
#ifndef TSDB_COMPACTOR_IMPL_H
#define TSDB_COMPACTOR_IMPL_H

#include <stdatomic.h>

#include "base/cancel.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "tsdb/compactor.h"
#include "tsdb/head.h"
#include "tsdb/manifest_file.h"
#include "tsdb/partition_writer.h"
#include "tsdb/view.h"

enum { COMPACTOR_SHARDS_MAX = HEAD_SHARDS_MAX };

struct compactor_metrics {
    struct metric *compactions;
    struct metric *failed;
    struct metric *triggered;
    struct metric *skipped;
    struct metric *vertical;
    struct metric_histogram *duration_s;
    struct metric_histogram *cleanup_s;
    struct metric_histogram *chunk_range_ms; /* of the first cut, as the two below */
    struct metric_histogram *chunk_bytes;
    struct metric_histogram *chunk_samples;
    struct metric *populating;
    struct metric *blocks_loaded;
    struct metric *blocks_bytes;
    struct metric *size_retentions;
    struct metric *time_retentions;
    struct metric *limit_bytes;
    struct metric *limit_s;
    struct metric *limit_percent;
    struct metric *reloads;
    struct metric *reloads_failed;
    struct metric *truncations;
    struct metric *truncations_failed;
    struct metric *lowest_ms;
    struct metric *lowest_s;
};

struct compactor {
    struct tsdb *db;
    struct vfs *vfs;
    char *dir;
    size_t memory_bytes; /* of a slice of a cut; 0: by the number of series */
    struct cancel cancel;
    struct compactor_metrics metrics;
    _Atomic uint64_t disk_bytes;
    _Atomic size_t memory_peak;

    struct mutex mu; /* a round, or a snapshot; what is below, but while the database is opened: */
    struct manifest manifest;
    uint32_t manifest_number;
    bool in_doubt;                /* a restart may find a manifest that was not acknowledged */
    bool manifest_is_single;      /* one of its two files could not be written at opening */
    struct view_partition **live; /* by number; a reference of each */
    size_t live_count;
    bool head_is_full;     /* of runs that are in partitions */
    uint64_t cleanup_view; /* they go when this view is the oldest */
    bool has_garbage;      /* a folder that was replaced could not be removed */
    struct compactor_survey {
        uint64_t number; /* of the set of tombstones */
        uint64_t view;
        int64_t head_oldest_ms;
    } surveyed; /* when tombstones were last compared with what is stored */
    int64_t first_round_unix_ms;

    struct mutex limits_mu;
    struct retention_limits limits; /* limits_mu */

    struct mutex wake_mu;
    struct cond wake;
    bool stopping; /* wake_mu */
    bool has_thread;
    struct thread thread;
};

/* ---- compactor_folders.c: paths are owned by the caller (mem_free) ---- */

char *compactor_path(const char *dir, const char *name);
char *compactor_folder(const struct compactor *c, uint32_t number, bool temporary);
/* With all its files; what cannot be removed now is removed at the next opening. */
void compactor_remove_folder(struct compactor *c, uint32_t number, bool temporary);

struct compactor_folders { /* found at opening */
    uint32_t *numbers;
    bool *temporary;
    size_t count;
    size_t capacity;
};

bool compactor_note_folder(void *ctx, const char *name); /* ctx: struct compactor_folders */

/* ---- compactor_load.c, compactor_metrics.c ---- */

MUST_CHECK enum err_code compactor_load(struct compactor *c, struct err *err);
void compactor_metrics_init(struct compactor *c);

/* ---- compactor.c ---- */

/* ERR_CANCELED when the database is being closed; pauses a while after busy_ns of work when it is in
 * its own thread, so that it never takes a whole core. */
MUST_CHECK enum err_code compactor_breathe(struct compactor *c, int64_t *io_since_ns,
                                           struct err *err);
void compactor_note_memory(struct compactor *c, size_t bytes);
int64_t compactor_retention_ms(struct compactor *c);

/* ---- compactor_change.c ---- */

MUST_CHECK enum err_code compactor_open_partition(struct compactor *c, uint32_t number,
                                                  struct partition **out, struct err *err);
/* What the manifest says of a partition; parents are borrowed. */
struct manifest_partition compactor_item(const struct partition_info *info);
/* Takes p. */
void compactor_add_live(struct compactor *c, struct view_partition *p);
/* What is live and what the manifest says become visible. */
void compactor_publish(struct compactor *c);
/* A folder has this number: none that is made gets it. A number far above all that are known is a name
 * that somebody else gave, and is not believed: after it there would soon be none. */
void compactor_note_number(struct compactor *c, uint32_t number);
/* Begins a partition in its temporary folder. ERR_NO_SPACE: also when no number is left. */
MUST_CHECK enum err_code compactor_begin(struct compactor *c,
                                         struct partition_writer_options *options,
                                         struct partition_writer **out, struct err *err);
/* Finishes it, takes the place of replaced (count partitions), sets marks (with a shard below
 * mark_count each that has an l0_file), publishes. On failure the old state stays. */
struct compactor_change {
    struct partition_writer *writer; /* NULL: nothing comes; ended in any case */
    const struct partition_writer_options *options;
    const uint32_t *replaced;
    size_t replaced_count;
    const struct manifest_mark *marks;
    size_t mark_count;
    uint64_t clean_of; /* of the new partition: number of the tombstones that it was made with */
};
MUST_CHECK enum err_code compactor_commit(struct compactor *c,
                                          const struct compactor_change *change, struct err *err);

/* ---- compactor_window.c ---- */

uint32_t compactor_count_groups(struct tsdb *db);
/* The earliest window that is to be cut; false = none. late: also windows with a partition. */
bool compactor_find_window(struct compactor *c, enum compactor_extent extent, bool late,
                           int64_t *out_start_ms) REQUIRES(c->mu);

/* ---- compactor_cut.c, compactor_clean.c ---- */

MUST_CHECK enum err_code compactor_cut(struct compactor *c, int64_t start_ms, struct err *err)
    REQUIRES(c->mu);
/* Removes what is in partitions from the head. */
void compactor_clean_head(struct compactor *c) REQUIRES(c->mu);

/* ---- compactor_merge.c ---- */

/* Merges what the planner says; *out_merged is false when there was nothing. */
MUST_CHECK enum err_code compactor_merge(struct compactor *c, bool *out_merged, struct err *err)
    REQUIRES(c->mu);

/* Writes partitions (count numbers, ascending) as one. rewrite: only if something of them is
 * deleted. */
MUST_CHECK enum err_code compactor_merge_numbers(struct compactor *c, const uint32_t *numbers,
                                                 size_t count, bool rewrite, struct err *err)
    REQUIRES(c->mu);

/* ---- compactor_tombstones.c ---- */

/* Counts what is deleted in each partition, and forgets intervals that hide nothing any more. */
MUST_CHECK enum err_code compactor_survey(struct compactor *c, struct err *err) REQUIRES(c->mu);
/* Writes all partitions anew in which something is deleted. */
MUST_CHECK enum err_code compactor_clean_partitions(struct compactor *c, struct err *err)
    REQUIRES(c->mu);

#endif
