/* Series log: the definitions that give the numbers in WAL and segments a meaning. One log for the
 * whole database, because label sets are interned across shards.
 *
 * Five kinds of things, each numbered densely from 1: target label sets, metric label sets (two
 * number spaces), groups (each with a target set), series (each a slot of a group with a target
 * set and a metric set; number 0 of a set is the empty set) and histogram layouts. And columns,
 * which have no numbers: hidden slots of a group (column.h). Append only; a definition never
 * changes, but the number of a group or a slot that ended may be given again. When much of the log is
 * about what ended, series_log_replace puts an image of what lives in its place. Format: FORMAT.md
 * sections 1 and 6.
 *
 * ORDER. A definition is appended before any WAL record that uses it, and series_log_sync returns
 * ERR_OK before a wal_sync of such records counts as durable: sync this log first, then the WALs.
 *
 * THREADS. series_log_append: one thread at a time (the head's index lock, which also gives out the
 * numbers). series_log_sync and the rest may be called by any threads at any time, also at once.
 *
 * FAILURE. A failed write or sync poisons the file; the log keeps every record since the last good
 * sync in memory and writes them to a fresh file at the next append or sync.
 * Until that worked, series_log_append fails and nothing is defined. */
#ifndef TSDB_SERIES_LOG_H
#define TSDB_SERIES_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/vfs.h"
#include "tsdb/column.h"
#include "tsdb/hist_columns.h"
#include "tsdb/record_file.h"

enum { SERIES_LOG_LABELS_MAX = 1 << 20 }; /* bytes of one label set */

/* In the target set of a group: its rows are in the order of arrival (late_group.h). */
#define SERIES_GROUP_LATE 0x80000000U

struct series_log;

/* A run of series: series first_series + i is slot first_slot + i of the group and has metric set
 * first_metric_set + i; all share the target set. */
struct series_run {
    uint32_t first_series;
    uint32_t group;
    uint32_t first_slot;
    uint32_t target_set;
    uint32_t first_metric_set;
    uint32_t count;
};

/* Slot of the group is the column key of the series with the slot owner. */
struct series_column {
    uint32_t group;
    uint32_t slot;
    uint32_t owner;
    struct column_key key;
};

/* A group whose number had another meaning before. */
struct series_group {
    uint32_t group;
    uint32_t target_set; /* maybe with SERIES_GROUP_LATE */
};

/* What is new, in one append. Numbers are dense: target set first_target_set + i has labels
 * target_sets[i], and so on; the firsts must be what follows the last append (an assertion), and are
 * ignored where the count is 0. All borrowed. */
struct series_log_batch {
    uint32_t first_target_set;
    const struct labels *target_sets;
    size_t target_set_count;
    uint32_t first_metric_set;
    const struct labels *metric_sets;
    size_t metric_set_count;
    uint32_t first_group;
    const uint32_t *
        group_target_sets; /* group first_group + i has this target set, maybe with SERIES_GROUP_LATE */
    size_t group_count;
    const struct series_run *series; /* dense and in order from one run to the next */
    size_t series_run_count;
    uint32_t first_layout;
    const struct hist_layout *const *layouts;
    size_t layout_count;
    const struct series_column *columns;
    size_t column_count;
    const struct series_group *again; /* groups with numbers that were in use before */
    size_t again_count;
};

/* Replay, in the order of definition: a set before its group, a group before its series, a series
 * and a layout before its columns. labels are borrowed and checked (labels_check), so are the
 * bounds of layouts; a column's key is valid (column_key_valid). The same definition may come twice with the same content
 * (after a failure); a number may be missing where bytes were damaged. Of groups, and of slots, the
 * last definition counts: a group that comes again has none of the slots from before. An error ends
 * series_log_open with it. */
struct series_log_handler {
    enum err_code (*target_set)(void *ctx, uint32_t set, struct labels labels, struct err *err);
    enum err_code (*metric_set)(void *ctx, uint32_t set, struct labels labels, struct err *err);
    enum err_code (*group)(void *ctx, uint32_t group, uint32_t target_set, struct err *err);
    /* NULL: as group */
    enum err_code (*group_again)(void *ctx, uint32_t group, uint32_t target_set, struct err *err);
    enum err_code (*series)(void *ctx, const struct series_run *run, struct err *err);
    enum err_code (*layout)(void *ctx, uint32_t number, const struct hist_layout *layout,
                            struct err *err);
    enum err_code (*column)(void *ctx, const struct series_column *column, struct err *err);
};

struct series_log_options {
    struct vfs *vfs;
    const char *dir; /* made if missing; its parent must exist */
    const char *quarantine_dir;
    record_damage_fn *damage; /* may be NULL; called during series_log_open only */
    void *damage_ctx;
};

/* Opens or creates, replays, cuts a torn tail off, syncs what is there. Appends go to the end of the
 * newest file, to a fresh one if it was damaged or could not be synced. */
MUST_CHECK enum err_code series_log_open(const struct series_log_options *options,
                                         const struct series_log_handler *handler, void *ctx,
                                         struct series_log **out,
                                         struct record_scan_stats *out_stats, struct err *err);
void series_log_close(struct series_log *log); /* without syncing; NULL is fine */

/* The numbers that come next. A record at the very end of the log that rotted looks like a write
 * that never finished, so its numbers would be given again: whoever finds greater ones in use (in
 * WAL or segments) says so with series_log_skip_to before the first append. */
struct series_log_next {
    uint32_t target_set;
    uint32_t metric_set;
    uint32_t group;
    uint32_t series;
    uint32_t layout;
};
struct series_log_next series_log_next(struct series_log *log);
/* Numbers below these are not given any more; smaller than the present ones is no change. */
void series_log_skip_to(struct series_log *log, struct series_log_next at_least);

/* One write for the whole batch (several records when it is larger than one may be). ERR_LIMIT: a
 * number space is full or a label set too large; nothing changed. ERR_IO, ERR_NO_SPACE: nothing is
 * defined; the same batch may be tried again. An empty batch does nothing. */
MUST_CHECK enum err_code series_log_append(struct series_log *log,
                                           const struct series_log_batch *batch, struct err *err);
/* Makes all that was appended before this call durable; repairs first where needed. */
MUST_CHECK enum err_code series_log_sync(struct series_log *log, struct err *err);

/* An image of all that counts takes the place of the log; from now on the numbers are those of next.
 * The batches' firsts may be any. On failure all is as it was. Memory: that of the image. Nobody
 * appends or syncs at the same time. */
MUST_CHECK enum err_code series_log_replace(struct series_log *log,
                                            const struct series_log_batch *batches, size_t n,
                                            struct series_log_next next, struct err *err);

struct series_log_stats {
    uint64_t disk_bytes;
    uint64_t unsynced_bytes;
    uint64_t writes_failed;
    uint64_t syncs_failed;
    bool failed;
};
void series_log_stats_get(struct series_log *log, struct series_log_stats *out);

#endif
