/* The head: groups of series with their open rows, spread over shards. Private to tsdb/.
 *
 * A group has a column of row times and, per slot, a value state and maybe an open chunk (a
 * "window" of rows since the group was last sealed). Each row is in the shard's WAL before it is
 * in memory. Every 64 rows the window is sealed: encoded to a run of the shard's L0 segments.
 * There are two kinds: in a scraped group a row says something about every slot, and what does
 * not change costs nothing; in a pushed group a slot that is not named in a row is absent there.
 *
 * LOCKS, in this order; a thread takes only downwards:
 *   compactor.mu    a round of the compactor, a snapshot
 *   db->delete_mu   who deletes
 *   db->walk_mu     maintenance goes through the groups; a collection of dead ones
 *   db->open_mu     who opens a scraped group
 *   shard->mu       who writes to the shard: its WAL, L0 store, slab, scratch memory
 *   db->define_mu   who appends to the series log
 *   index.mu        the index, the table of groups, the list of pending definitions
 *   group->mu       the group's open rows and run directory, for publication to readers
 * State marked (S+G) is written with shard->mu and group->mu both held and therefore may be read
 * with either. index.mu and group->mu are leaves: nothing is locked and no I/O done under them;
 * so is db->tombstones_mu. A writer's row costs one shard->mu and one group->mu, both uncontended unless a reader copies
 * that very group. Readers take index.mu and group->mu only, so a disk that hangs stops no query
 * (but for a group that was not replayed yet). */
#ifndef TSDB_HEAD_H
#define TSDB_HEAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/metric.h"
#include "base/mutex.h"
#include "base/value.h"
#include "tsdb/chunk/value_op.h"
#include "tsdb/group_columns.h"
#include "tsdb/hist_columns.h"
#include "tsdb/index.h"
#include "tsdb/notes.h"
#include "tsdb/segment.h"
#include "tsdb/series_log.h"
#include "tsdb/slab.h"
#include "tsdb/storage.h"
#include "tsdb/tombstones.h"
#include "tsdb/tsdb.h"
#include "tsdb/view.h"
#include "tsdb/wal.h"

struct head_row_header; /* head_row.h */

enum {
    HEAD_SEAL_ROWS = 64,
    /* Rows a group keeps in memory at most, when sealing keeps failing. */
    HEAD_ROWS_MAX = BLOCK_ROWS_MAX,
    HEAD_SHARDS_MAX = 64,
};
/* A sample may be so far ahead of the wall clock, and so far behind the newest one. */
#define HEAD_FUTURE_MS (INT64_C(10) * 60 * 1000)
#define HEAD_PAST_MS (INT64_C(60) * 60 * 1000)

enum head_group_kind { GROUP_UNDECIDED = 0, GROUP_SCRAPED, GROUP_PUSHED };

struct head_chunk { /* open chunk of a slot; len = 0: none */
    uint32_t ref;
    uint16_t len;
    uint16_t end_row; /* row after the last token */
};

struct head_run { /* a sealed run */
    int64_t min_ts_ms;
    int64_t max_ts_ms;
    uint64_t first_row;
    uint32_t rows;
    struct segment_location at;
};

struct head_side {  /* where a scraped series' samples with own timestamps go */
    uint32_t group; /* 0 = nowhere yet */
    uint32_t slot;
};

/* How long slots live (head_collect.c). A slot that no writer holds and that the window does not
 * have is idle; when no row from before it got idle is left, its series is dead, and when no older
 * querier is open, the slot is free. */
enum head_slot_life { SLOT_HELD = 1, SLOT_IDLE = 2, SLOT_DEAD = 4, SLOT_FREE = 8 };

struct head_idle {
    uint32_t slot;
    uint64_t row;       /* rows before may have it */
    uint32_t segment;   /* of the log: it and older ones may have such rows */
    int64_t last_ts_ms; /* pushed: when it got idle */
};

struct head_lives {  /* shard->mu */
    uint8_t *states; /* enum head_slot_life, by slot */
    uint32_t capacity;
    struct head_idle *idle;
    uint32_t idle_count;
    uint32_t idle_capacity;
    uint32_t *free; /* the last one is taken first */
    uint32_t free_count;
    uint32_t dead_count;
};

struct head_rows { /* numbers: [begin, end) */
    uint64_t begin;
    uint64_t end;
};

struct head_group {
    struct mutex mu;
    struct head_shard *shard;
    struct head_shard *cut_shard; /* at opening: where rows were that are in partitions */
    uint32_t id;
    uint32_t target_set;
    struct labels target;
    _Atomic uint8_t kind; /* enum head_group_kind; changed with shard->mu and mu held */
    bool late;          /* pushed, with rows in the order of arrival: late_group.h; never changes */
    bool open;          /* a scraper has the handle; index.mu */
    uint32_t next_slot; /* group_series: where the next look-up probably hits; shard->mu */
    atomic_bool replayed; /* the WAL's rows are in memory */

    /* (S+G) */
    uint32_t slot_count;
    uint32_t slot_capacity;
    int64_t *m;
    struct head_chunk *chunks;
    uint8_t *forms;
    uint16_t *confirmed; /* pushed: rows of the window that are known for the slot */
    int64_t *last_ts_ms; /* pushed: time of the newest sample; INT64_MIN = none */
    int64_t *row_ts_ms;
    uint32_t rows;
    uint32_t row_capacity;
    struct group_columns *columns; /* hidden slots; NULL: plain floats only */
    uint32_t *lost_slots;          /* that may have been columns: head_lost.c */
    uint32_t lost_count;
    uint64_t first_row;   /* number of row 0 of the window */
    uint64_t covered_row; /* replay: rows of the window before this one are in runs too */
    struct head_run *runs;
    uint32_t run_count;
    uint32_t run_capacity;
    _Atomic int64_t min_ts_ms; /* of all rows; INT64_MAX / INT64_MIN when there are none */
    _Atomic int64_t max_ts_ms;

    /* shard->mu */
    uint32_t seal_at;            /* rows */
    uint32_t wal_segment;        /* of the oldest record that is still needed; 0 = none */
    uint32_t rewritten_segment;  /* of the rotation under way: where the window was written to */
    bool wal_gap;                /* rows are in memory that the WAL does not have */
    uint32_t synced_runs;        /* runs before this are durable */
    uint32_t synced_upto;        /* runs that were there when the newest sync began */
    uint32_t unsynced_wal;       /* oldest WAL segment of runs that are not; 0 = none */
    int64_t last_commit_ns;      /* monotonic */
    struct wal_position *replay; /* records found at opening, until they are replayed */
    uint32_t replay_count;
    uint32_t replay_capacity;
    uint64_t replay_first_row; /* smallest row number in them */
    struct head_rows *cut;     /* and the rows that are in partitions */
    uint32_t cut_count;
    uint32_t cut_capacity;
    uint32_t found_segment;  /* the newest one with a record that was found at opening; 0 = none */
    struct head_side *sides; /* by slot, or NULL */
    uint32_t side_capacity;
    int64_t sides_newest_ms; /* no sample of sides is newer; INT64_MAX = not looked up yet */
    struct head_lives lives;
    bool dead; /* not in the index any more; nobody looks at it but older queriers */
    bool busy; /* in shard->busy */
};

struct head_change { /* what a row does to a slot */
    uint32_t slot;
    struct value_op op;
};

struct head_cell { /* value of a slot in a row */
    uint32_t slot;
    uint8_t state; /* SLOT_VALUE or SLOT_STALE */
    struct num value;
};

struct head_cells {
    struct head_cell *items;
    size_t count;
    size_t capacity;
};

struct head_shard {
    struct mutex mu;
    struct tsdb *db;
    uint32_t number;
    struct wal *wal;
    struct segment_store *store;
    int64_t l0_window_ms; /* start of the newest window that was sealed since opening */
    struct slab slab;
    struct head_change *changes; /* scratch of a row */
    size_t change_capacity;
    struct head_cells cells; /* scratch: of samples that are more than floats */
    struct hist_cell *split; /* scratch: of one histogram */
    uint32_t *split_slots;
    size_t split_capacity;
    struct num *wide_values; /* scratch: a row with its hidden slots */
    uint8_t *wide_states;
    size_t wide_capacity;
    struct buf payload;
    struct buf labels; /* scratch: a metric set */
    struct num seal_values[HEAD_ROWS_MAX];
    int64_t seal_integers[HEAD_ROWS_MAX];
    uint8_t seal_states[HEAD_ROWS_MAX];
    uint64_t chunks_created; /* since opening */
    bool is_failing;         /* head_fault.c */
    uint64_t bytes_before;   /* of open chunks, when that began */
    uint32_t *busy;          /* groups with something to do in the background: head_note_busy */
    size_t busy_count;
    size_t busy_capacity;
    uint32_t needed_before; /* oldest WAL segment that was needed when the newest sync began */
    _Atomic uint32_t gone_before; /* WAL segments below are removed for good */
    bool seal_failed;             /* wait for the maintenance round before trying again */
    uint8_t *read_bytes;
    size_t read_capacity;
};

struct tsdb_metrics {
    struct metric *samples_appended;
    struct metric *series;
    struct metric *chunks;
    struct metric *chunk_bytes;
    struct metric *series_created;
    struct metric *series_removed;
    struct metric *collections;
    struct metric *collections_failed;
    struct metric *collection_s;
    struct metric *min_time;
    struct metric *max_time;
    struct metric *min_time_s;
    struct metric *max_time_s;
    struct metric *out_of_order;
    struct metric *out_of_order_histograms;
    struct metric *late_floats;
    struct metric *late_histograms;
    struct metric_histogram *late_delta_s;
    struct metric *out_of_bounds;
    struct metric *too_old;
    struct metric *active_appenders;
    struct metric *appenders_created;
    struct metric *wal_writes_failed;
    struct metric *wal_corruptions;
    struct metric *wal_truncations_failed;
    struct metric *wal_segment;
    struct metric *wal_bytes;
    struct metric *replay_s;
    struct metric *faults;
    struct metric *failing;
    struct metric *refused_rows;
    struct metric *refused_memory;
    struct metric *refused_series;
    struct metric *wal_truncations;
    struct metric *chunks_created;
    struct metric *chunks_removed;
    struct metric *series_not_found;
    struct metric *exemplars_appended;
    struct metric *exemplars_out_of_order;
    struct metric *exemplars;
    struct metric *exemplar_series;
    struct metric *exemplar_oldest_s;
    struct metric *exemplars_max;
    struct metric_summary *wal_fsync_s;
    struct metric_summary *wal_truncate_s;
    struct metric_summary *gc_s;
    struct metric *clean_start;
    struct metric *cache_hits;
    struct metric *cache_misses;
    struct metric *cache_refused;
    struct metric *cache_bytes;
    struct metric *cache_max_bytes;
};

struct pending_definitions { /* made in the index, not yet in the series log; index.mu */
    struct series_run *runs;
    size_t run_count;
    size_t run_capacity;
    uint32_t logged_targets; /* numbers below are in the log */
    uint32_t logged_metrics;
    uint32_t logged_groups;
    uint32_t logged_layouts;
    uint32_t next_series;
    struct series_column *columns;
    size_t column_count;
    size_t column_capacity;
    struct series_group *again; /* groups with a number of one that is gone */
    size_t again_count;
    size_t again_capacity;
};

/* A number that can be given to another group. Its rows go on where those of the group before ended:
 * files of that one may still be there, so no row may have the number of one of them. */
struct head_number {
    uint32_t group;
    uint64_t first_row;
    const struct head_shard *shard; /* whose log may have rows of the group before */
    uint32_t segment;               /* in this segment, and older ones */
};

/* Transactions under way; a collection lets none begin and waits for them. */
struct head_gate {
    struct mutex mu;
    struct cond changed;
    uint32_t open;
    bool closed;
};

/* What the disk did: head_fault.c. A leaf. */
struct head_fault {
    struct mutex mu;
    bool failing;
    uint64_t count;
    int64_t last_unix_ms;
    char last[ERR_TEXT_MAX];
};

struct tsdb {
    struct storage storage; /* first: the handle that callers have */
    struct tsdb_options options;
    struct vfs_file *lock_file;
    struct index index;
    struct head_group **groups; /* by number; index.mu */
    uint32_t group_count;
    uint32_t group_capacity;
    struct mutex walk_mu;            /* who goes through all groups without a lock of theirs */
    bool all_replayed;               /* and known to their shards as busy or not; walk_mu */
    struct head_number *free_groups; /* of groups that are gone; index.mu */
    uint32_t free_group_count;
    uint32_t free_group_capacity;
    struct head_gate gate;
    struct mutex open_mu;
    struct mutex define_mu;
    struct series_log *series_log;
    struct hist_layouts *layouts;
    struct notes *notes;
    struct pending_definitions pending;
    atomic_bool has_pending;
    struct view_list views;
    struct page_cache *page_cache; /* of segments and partitions, for queries */
    struct mutex delete_mu;        /* who deletes; above all others but the compactor's */
    struct mutex tombstones_mu;    /* a leaf */
    struct tombstones *tombstones; /* changed with both held; NULL: nothing is deleted */
    uint64_t tombstones_serial;    /* of the files; delete_mu */
    bool tombstones_unwritten;     /* the files may say something else; delete_mu */
    uint64_t deletions;            /* so far, 1 at opening if there are tombstones; delete_mu */
    struct compactor *compactor;
    struct head_shard **shards;
    uint32_t shard_count;      /* WALs that exist */
    uint32_t writer_count;     /* what callers are told */
    _Atomic int64_t max_ts_ms; /* newest sample of all; INT64_MIN when empty */
    _Atomic int64_t min_ts_ms;
    _Atomic uint64_t series_count; /* without the places of late samples */
    _Atomic int64_t
        late_window_ms;   /* so far behind the newest sample late ones are taken; 0: none */
    atomic_bool has_late; /* there may be late groups */
    _Atomic uint64_t damage_count;
    struct tsdb_metrics metrics;
    struct head_fault fault;

    struct mutex wake_mu;
    struct cond wake;
    bool stopping; /* wake_mu */
    bool has_thread;
    struct thread maintenance;
    int64_t last_sync_ns; /* maintenance thread only */
    int64_t last_age_ns;  /* of the page cache; maintenance thread only */
    int64_t last_tidy_ns; /* of memory; maintenance thread only */
};

/* For the analysis of locks, where two names are one shard. */
#ifdef __clang__
static inline void head_shard_held(const struct head_shard *shard)
    __attribute__((assert_capability(shard->mu))) {
    (void)shard;
}
#else
static inline void head_shard_held(const struct head_shard *shard) {
    (void)shard;
}
#endif

/* ---- head_group.c ---- */

/* Pushed, for late samples. */
struct head_group *head_group_new_late(struct tsdb *db, struct head_shard *shard,
                                       uint32_t target_set) REQUIRES(shard->mu);
/* A group that the index does not have yet, or one that it got by replay. */
struct head_group *head_group_new(struct tsdb *db, struct head_shard *shard, uint32_t target_set,
                                  enum head_group_kind kind) REQUIRES(shard->mu);
/* Enters the group with this number in the table (replay; the shard is decided later). */
struct head_group *head_group_adopt(struct tsdb *db, uint32_t id);
void head_group_free(struct head_group *g);
/* NULL when there is none with the number. */
struct head_group *head_group_get(struct tsdb *db, uint32_t id);
/* Time of the oldest row in the window; INT64_MAX: it is empty. */
int64_t head_oldest_row_ms(const struct head_group *g) REQUIRES(g->mu);
/* State arrays for so many slots. */
void head_group_reserve(struct head_group *g, uint32_t slot_count) REQUIRES(g->mu);
/* State for the slots that the index has. */
void head_group_restore_slots(struct head_group *g) REQUIRES(g->shard->mu);
void head_group_make_pushed(struct head_group *g) REQUIRES(g->mu);
/* The slot of a series, made if it is new. */
MUST_CHECK enum err_code head_group_slot(struct head_group *g, struct labels labels,
                                         uint32_t *out_slot, struct err *err)
    REQUIRES(g->shard->mu);
/* The part of labels that target has not, to to; false when labels lack a pair of the target (to is
 * then undefined and the series is whole). */
bool head_split_labels(struct labels labels, struct labels target, struct buf *to);
MUST_CHECK enum err_code head_new_series(struct head_group *g, uint32_t metric_set,
                                         uint32_t *out_slot, struct err *err)
    REQUIRES(g->shard->mu);
/* One more place for a series that has one: the limit of series does not count. */
MUST_CHECK enum err_code head_place_series(struct head_group *g, uint32_t metric_set,
                                           uint32_t *out_slot, struct err *err)
    REQUIRES(g->shard->mu);

/* ---- head_define.c ---- */

/* Writes all definitions that are not in the log yet. */
MUST_CHECK enum err_code head_flush_definitions(struct tsdb *db, struct err *err);
void head_note_series_locked(struct tsdb *db, uint32_t group, uint32_t slot, uint32_t target_set,
                             uint32_t metric_set) REQUIRES(db->index.mu);
void head_note_group_locked(struct tsdb *db, uint32_t group, uint32_t target_set)
    REQUIRES(db->index.mu);
void head_note_column_locked(struct tsdb *db, const struct series_column *column)
    REQUIRES(db->index.mu);
extern const struct series_log_handler head_series_log_handler; /* ctx: struct tsdb */
/* For numbers in use whose definition was lost: they are never given again. False when the number
 * is too far from those that are known to be believed. */
enum { HEAD_LOST_AT_ONCE_MAX = 1 << 20 };
MUST_CHECK bool head_reserve_group(struct tsdb *db, uint32_t id);
MUST_CHECK bool head_reserve_slots(struct head_group *g, uint32_t slot_count);
/* After replay: numbers go on where the log's do. */
void head_definitions_opened(struct tsdb *db, struct series_log_next next);

/* ---- head_append.c ---- */

MUST_CHECK enum err_code head_group_commit(struct head_group *g, const struct storage_row *row,
                                           struct storage_row_result *out, struct err *err);
/* Makes changes part of the window at row (an index in the window; rows = a new one). The changes
 * are as in the WAL: for a pushed group also those that repeat a value. ERR_CORRUPT when they do not
 * fit the state (replay). */
MUST_CHECK enum err_code head_apply_row(struct head_group *g, uint32_t row, int64_t ts_ms,
                                        uint8_t flags, const struct head_change *changes, size_t n)
    REQUIRES(g->shard->mu);
/* Writes the row's record; a failure is noted in the group and returned. */
MUST_CHECK enum err_code head_log_row(struct head_group *g, const struct head_row_header *header,
                                      const struct head_change *changes, size_t n, struct err *err)
    REQUIRES(g->shard->mu);
/* Writes the whole window as one record (or some), so that the WAL has no gap; see FORMAT.md 9. */
MUST_CHECK enum err_code head_log_window(struct head_group *g, struct err *err)
    REQUIRES(g->shard->mu);
struct head_change *head_changes(struct head_shard *shard, size_t n) REQUIRES(shard->mu);
static inline struct value_state head_slot_state(const struct head_group *g, uint32_t slot) {
    return (struct value_state){.m = g->m[slot], .form = g->forms[slot]};
}
/* Newest row time below which, and wall time beyond which, samples are refused. */
struct head_bounds {
    int64_t min_ms;
    int64_t max_ms;
    int64_t newest_ms; /* of all samples; INT64_MIN when there is none */
    int64_t window_ms; /* late samples are taken so far behind; 0: not at all */
};
struct head_bounds head_bounds(struct tsdb *db);
/* What becomes of a sample that cannot be the newest of its series for this reason (ERR_OUT_OF_ORDER, or
 * ERR_OUT_OF_BOUNDS as it is too old): ERR_OK when it is to be stored as a late one, else the refusal. Notes
 * how late it is. */
enum err_code head_late_verdict(struct tsdb *db, const struct head_bounds *bounds, int64_t ts_ms,
                                enum err_code reason);
void head_note_time(struct head_group *g, int64_t ts_ms);
/* Pushed, late: puts a value, or OP_STALE, into a row before those that the slot has. ERR_CORRUPT for other
 * operations. */
MUST_CHECK enum err_code head_insert_cell(struct head_group *g, uint32_t row,
                                          const struct head_change *change) REQUIRES(g->mu)
    REQUIRES(g->shard->mu);

/* ---- head_late.c ---- */

/* Samples of a scraped group with times of their own; row is told of those that are refused. bounds: from
 * before the row. */
MUST_CHECK enum err_code
head_commit_own_times(struct head_group *g, const struct head_bounds *bounds,
                      const struct storage_own_time *own, size_t n, const struct storage_row *row,
                      struct storage_row_result *out, struct err *err) REQUIRES(g->shard->mu);
/* A row whose time is not after the newest: each sample for itself. */
MUST_CHECK enum err_code
head_commit_late_row(struct head_group *g, const struct head_bounds *bounds,
                     const struct storage_row *row, struct storage_row_result *out, struct err *err)
    REQUIRES(g->shard->mu);
void head_count_result(struct storage_row_result *out, enum err_code code);
/* Slots of a row that is the group's newest, but not newer than what their series have at the side: *io_row
 * is then a copy without them, on the heap: *out_states is to be freed. They become late samples or are
 * refused. */
MUST_CHECK enum err_code head_commit_overtaken(struct head_group *g,
                                               const struct head_bounds *bounds,
                                               struct storage_row *io_row, uint8_t **out_states,
                                               struct storage_row_result *out, struct err *err)
    REQUIRES(g->shard->mu);

/* ---- head_notes.c ---- */

/* Exemplars of the row's series; what the rules refuse is left out. */
void head_commit_exemplars(struct head_group *g, const struct storage_row *row);
void head_push_exemplars(struct tsdb *db, const struct series_exemplar *items, size_t n);
void tsdb_metadata_put(struct storage *st, struct str family, const struct storage_metadata *m);
enum err_code tsdb_metadata_list(struct storage *st, struct arena *arena,
                                 struct storage_family **out, size_t *out_count);

/* ---- head_columns.c ---- */

struct head_sample { /* of the series with this slot */
    uint32_t slot;
    uint8_t state; /* enum slot_state, not SLOT_ABSENT */
    struct num value;
    const struct histogram *histogram; /* of a histogram state */
    int64_t start_ts_ms;
};

/* Appends the cells of a sample, in no order; makes columns that the series does not have yet. The
 * stale NaN behind a histogram ends the histogram. ERR_LIMIT: nothing is appended. */
MUST_CHECK enum err_code head_sample_cells(struct head_group *g, const struct head_sample *s,
                                           struct head_cells *out, struct err *err)
    REQUIRES(g->shard->mu);
struct head_cell *head_cells_room(struct head_cells *cells, size_t more);
/* The slot with the count of the series' newest sample; UINT32_MAX when that is a float. */
uint32_t head_newest_count(const struct head_group *g, uint32_t owner) REQUIRES(g->shard->mu);
/* Is h the newest sample, whose count is in count_slot? */
bool head_same_histogram(struct head_group *g, uint32_t owner, uint32_t count_slot,
                         const struct histogram *h, bool float_counts) REQUIRES(g->shard->mu);
/* Could the series get the columns that h, and a start timestamp, need? */
bool head_columns_room(struct head_group *g, uint32_t owner, const struct histogram *h,
                       bool float_counts, bool has_start) REQUIRES(g->shard->mu);
/* Pushed: the newest sample of the series is h, of this time, and no row of the window has one. Columns that
 * the series does not have are left out. */
void head_columns_restore_newest(struct head_group *g, uint32_t owner, const struct histogram *h,
                                 int64_t ts_ms) REQUIRES(g->mu);
/* Pushed: the newest sample of a series may be a histogram. After replay. */
void head_columns_restore_times(struct head_group *g) REQUIRES(g->mu);

/* ---- head_push.c ---- */

struct push_sample {
    uint32_t group;
    uint32_t slot;
    int64_t ts_ms;
    struct num value;
    uint8_t state;  /* enum slot_state */
    uint32_t extra; /* number + 1 of a struct push_extra; 0: none */
};

struct push_extra { /* what only few samples have */
    const struct histogram *histogram;
    int64_t start_ts_ms;
};

/* Where samples of a series are pushed to: the newest pushed place of the pair of sets. ERR_NOT_FOUND:
 * there is none; ERR_IO as head_replay_locked. */
MUST_CHECK enum err_code head_push_find(struct head_shard *shard, uint32_t target_set,
                                        uint32_t metric_set, struct head_side *out, struct err *err)
    REQUIRES(shard->mu);
/* ERR_OK: newer than all; ERR_EXISTS: same time and value; or the storage's refusal. */
MUST_CHECK enum err_code head_push_check(struct head_group *g, const struct push_sample *s,
                                         const struct push_extra *extras) REQUIRES(g->shard->mu);
/* Makes samples of one time, in the order of slots, part of a row: a number in the window, the next one for
 * a new row. */
MUST_CHECK enum err_code head_push_row(struct head_group *g, uint32_t row,
                                       const struct push_sample *samples, size_t n,
                                       const struct push_extra *extras, struct err *err)
    REQUIRES(g->shard->mu);
/* Stores samples of one time, plain floats in the order of slots, if they are a new row at the end of the
 * group; *out is then head_push's. False: they are not, nothing is done. */
MUST_CHECK bool head_push_next_row(struct head_group *g, const struct push_sample *samples,
                                   size_t n, enum err_code *out, struct err *err)
    REQUIRES(g->shard->mu);
/* Stores samples, any order; each is newer than its series' newest. Sorts the array, and changes
 * the place of samples that need another group. */
MUST_CHECK enum err_code head_push(struct head_shard *shard, struct push_sample *samples, size_t n,
                                   const struct push_extra *extras, struct err *err)
    REQUIRES(shard->mu);

/* ---- head_seal.c ---- */

/* Seals the window to a run; without rows nothing happens. */
MUST_CHECK enum err_code head_seal(struct head_group *g, struct err *err) REQUIRES(g->shard->mu);
/* Seals the first rows of the window (at least one) and forgets those behind them: for replay, which
 * finds them again. */
MUST_CHECK enum err_code head_seal_rows(struct head_group *g, uint32_t rows, struct err *err)
    REQUIRES(g->shard->mu);
/* Drops the window's rows that runs have too: they were read for the sake of those behind them. */
void head_drop_covered(struct head_group *g) REQUIRES(g->shard->mu);
/* Empties the window; the next one begins behind its rows. */
void head_forget_window(struct head_group *g) REQUIRES(g->mu);
/* Seals when it is time; a failure is logged, the rows stay in memory. */
void head_seal_if_due(struct head_group *g) REQUIRES(g->shard->mu);
/* Writes a run again whose file failed before it was durable. */
MUST_CHECK enum err_code head_reseal(struct head_group *g, uint32_t run, struct err *err)
    REQUIRES(g->shard->mu);
/* Values and states of a slot over the window's rows. */
MUST_CHECK enum err_code head_slot_column(const struct head_group *g, uint32_t slot,
                                          struct num *values, uint8_t *states)
    REQUIRES(g->shard->mu);

/* ---- head_read.c ---- */

struct head_read {
    struct tsdb *db;
    int64_t min_ts_ms;
    int64_t max_ts_ms;
    struct arena *arena; /* results and scratch */
    const struct cancel *cancel;
    const struct view *view; /* runs that its partitions have are left out; NULL: none are */
};
/* Drops hits whose series certainly have no sample in the range; all are of one group. Returns how
 * many are left, moved to the front. */
size_t head_filter_hits(struct head_group *g, int64_t min_ts_ms, int64_t max_ts_ms,
                        struct index_hit *hits, size_t n);

/* ---- head_collect.c ---- */

/* The compactor's thread. Is enough dead for a collection (all: is anything)? What became dead in
 * the one before is freed. */
bool head_collect_due(struct tsdb *db, bool all);
/* Removes what is dead from memory and from the series log. When it cannot be done now, because a
 * query or a transaction takes long, nothing happens. */
MUST_CHECK enum err_code head_collect(struct tsdb *db, struct err *err);
/* The writer has the slot; it is not idle. */
void head_hold_slot(struct head_group *g, uint32_t slot) REQUIRES(g->shard->mu);
void head_release_slot(struct head_group *g, uint32_t slot) REQUIRES(g->shard->mu);
void head_release_slots(struct head_group *g) REQUIRES(g->shard->mu);
/* A slot that can be given to another series, or UINT32_MAX. */
uint32_t head_take_free_slot(struct head_group *g) REQUIRES(g->shard->mu);

/* ---- head_gate.c ---- */

/* A transaction begins and ends. */
void head_gate_enter(struct head_gate *gate);
void head_gate_leave(struct head_gate *gate);
/* Lets none begin; false (and open) when some are still under way after a while. */
bool head_gate_close(struct head_gate *gate);
void head_gate_reopen(struct head_gate *gate);

/* ---- head_fault.c ---- */

/* A write or a sync failed: counts, says so. */
void head_fault_note(struct tsdb *db, const struct err *err);
/* The same of a shard, which fails from now on; err NULL: it was said. */
void head_shard_failed(struct head_shard *shard, const struct err *err) REQUIRES(shard->mu);
/* After a round: does any shard still fail? */
void head_fault_settle(struct tsdb *db, bool failing);
void head_fault_get(struct tsdb *db, struct storage_stats *to);
/* Before a row is added (is_full: to a window of HEAD_ROWS_MAX): seals, or says why none is taken now. */
MUST_CHECK enum err_code head_make_room(struct head_group *g, bool is_full, struct err *err)
    REQUIRES(g->shard->mu);

/* ---- head_maintain.c ---- */

/* The group has open rows, rows that the log lacks, or runs that are not durable, or will have at once:
 * background work looks at it until it has none. */
void head_note_busy(struct head_group *g) REQUIRES(g->shard->mu);

void head_maintain(struct tsdb *db);
/* Writes what memory has and the shard's log lacks after a failure, if that can be done now. */
void head_repair_shard(struct head_shard *shard);
/* Series log first, then the shard's WAL. */
MUST_CHECK enum err_code head_sync_shard(struct head_shard *shard, struct err *err);

/* ---- delete.c ---- */

/* A reference of the newest set; to be taken before a view, so that what a merge took out of a
 * partition is not missed in either. NULL: nothing is deleted. */
struct tombstones *tsdb_tombstones(struct tsdb *db);
/* Reads the files of the data directory; damage is reported and repaired. */
MUST_CHECK enum err_code tsdb_tombstones_open(struct tsdb *db, const char *quarantine_dir,
                                              struct err *err);
/* After a failure: both files get what readers see. A deletion that failed half-way is undone. */
MUST_CHECK enum err_code tsdb_tombstones_repair(struct tsdb *db, struct err *err);
/* Forgets the intervals of known that are not used (one flag each, by series), unless the set was
 * changed meanwhile. */
MUST_CHECK enum err_code tsdb_tombstones_retire(struct tsdb *db, const struct tombstones *known,
                                                const bool *used, size_t *out_count,
                                                struct err *err);
enum err_code tsdb_delete_series(struct storage *st, const struct matcher *matchers, size_t n,
                                 int64_t mint, int64_t maxt, struct err *err);
enum err_code tsdb_clean_tombstones(struct storage *st, struct err *err);

#endif
