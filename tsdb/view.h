/* What queries see of the data on disk: the live partitions, and which sealed runs they replace.
 *
 * A view never changes. The compactor publishes a new one when partitions come or go; a querier
 * takes the newest and keeps it to its end, so that it reads each sample either from the runs or
 * from the partition that was made of them, never from both nor from none. What only older views
 * need (cut runs in the groups' directories, L0 files) is removed when view_is_oldest says that
 * none of them is held any more.
 *
 * Threads: any. A partition's reader is closed with the last view that has it. Private to tsdb/. */
#ifndef TSDB_VIEW_H
#define TSDB_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mutex.h"
#include "tsdb/manifest.h"
#include "tsdb/segment.h"

struct partition; /* partition.h */

struct view_partition {
    _Atomic uint32_t refs; /* of views */
    struct partition *reader;
    struct manifest_partition info; /* parents not kept */
    /* the compactor's: */
    bool merge_failed;
    uint64_t clean_of;   /* nothing in it is hidden by deletions up to this one; 0: unknown */
    uint64_t tombstones; /* intervals that hide something in it, when they were counted last */
};

struct view_list;

struct view {
    struct view_list *list;
    struct view *newer;
    uint32_t refs; /* list->mu */
    uint64_t number;
    struct view_partition **partitions; /* by number, ascending */
    size_t partition_count;
    struct manifest_mark *marks; /* by window, then shard */
    size_t mark_count;
};

struct view_list {
    struct mutex mu;
    struct view *oldest; /* guarded by mu */
    struct view *newest;
    uint64_t next_number;
};

/* A list whose newest view is empty. */
void view_list_init(struct view_list *list);
/* Nobody holds a view any more. */
void view_list_release(struct view_list *list);

/* The newest view, until view_unref. */
struct view *view_ref_newest(struct view_list *list);
void view_unref(struct view *view);

/* Is the run in a partition of the view? min_ts_ms is the time of its first row. */
bool view_covers_run(const struct view *view, uint32_t shard, int64_t min_ts_ms,
                     struct segment_location at);

/* ---- for the compactor, one thread at a time ---- */

/* A partition with one reference; reader is taken. */
struct view_partition *view_partition_new(struct partition *reader,
                                          const struct manifest_partition *info);
struct view_partition *view_partition_ref(struct view_partition *p);
void view_partition_unref(struct view_partition *p); /* NULL is fine */

/* Makes this the newest view. partitions (an array and a reference of each) is taken, marks are
 * copied. Returns its number. */
uint64_t view_publish(struct view_list *list, struct view_partition **partitions,
                      size_t partition_count, const struct manifest_mark *marks, size_t mark_count);
/* No view with a smaller number is held. */
bool view_is_oldest(struct view_list *list, uint64_t number);

#endif
