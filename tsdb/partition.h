/* An immutable part of the database: all samples of a window of time, sorted for reading.
 *
 * A folder with the files "index" (label sets, dictionaries, postings, timelines, which series has
 * what) and "data" (blocks in pages). It knows everything by itself. Series are numbered from 0 in
 * the order of metric name, then labels_cmp: pages hold neighbours, and the series of one metric
 * name are one run of numbers. Labels are a target set and a metric set, without a name in common,
 * as in the head; postings name sets (index.h says why). The rows of a group are a timeline: its
 * times are stored once, cut into blocks of rows, and each column of each series has one block of
 * values per block of rows. Format: FORMAT.md section 10.
 *
 * DAMAGE. Everything is checked by checksums before its first use and by bounds at each: damaged
 * bytes cost what they hold and never give a wrong value. It is reported once per place.
 *
 * THREADS. All calls on an open partition from any number of threads; a cursor is one thread's. */
#ifndef TSDB_PARTITION_H
#define TSDB_PARTITION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/cancel.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/matcher.h"
#include "base/str.h"
#include "base/value.h"
#include "base/vfs.h"
#include "tsdb/column.h"
#include "tsdb/storage.h"

struct hist_layout;
struct page_cache;
struct partition;

enum {
    PARTITION_BLOCK_ROWS = 512, /* rows of a timeline block, unless the writer says otherwise */
    PARTITION_PAGE_BYTES = 4096,
    PARTITION_PIECE_BYTES = 64 << 10, /* of the index, with a checksum each */
    PARTITION_PARENTS_MAX = 1 << 10,
    PARTITION_COLUMNS_MAX = 1 << 20, /* of one series */
    PARTITION_NAME_MAX = 24,
};

struct partition_info {
    uint32_t number;
    uint8_t level;     /* 1 = cut from the head */
    bool out_of_order; /* holds late samples: in-order ones of other places win */
    int64_t start_ms;  /* the window: [start, end) */
    int64_t end_ms;
    int64_t min_ts_ms; /* of the samples; INT64_MAX / INT64_MIN when there are none */
    int64_t max_ts_ms;
    uint32_t series_count;
    uint32_t timeline_count;
    uint32_t target_count; /* sets, with the empty one */
    uint32_t metric_count;
    uint32_t name_count; /* label names */
    uint32_t layout_count;
    uint64_t sample_count; /* rows with a sample, summed over the series */
    uint64_t pair_count;   /* label names and values */
    uint64_t index_bytes;
    uint64_t data_bytes;
    const uint32_t *parents; /* partitions that this one replaces, ascending */
    uint32_t parent_count;
};

/* Called once per damaged place; err names file and offset. Any thread. */
typedef void partition_damage_fn(void *ctx, const struct err *err);

struct partition_options {
    struct vfs *vfs;
    const char *dir;             /* the partition's own folder */
    struct page_cache *cache;    /* for queries; may be NULL; outlives the partition */
    partition_damage_fn *damage; /* may be NULL */
    void *damage_ctx;
};

/* "00000012", or with ".tmp" behind it. */
void partition_name(char to[PARTITION_NAME_MAX], uint32_t number, bool temporary);

/* Reads the index's frame: header, table of sections, checksums. ERR_CORRUPT names file and offset,
 * ERR_UNSUPPORTED: another version. */
MUST_CHECK enum err_code partition_open(const struct partition_options *options,
                                        struct partition **out, struct err *err);
void partition_close(struct partition *p); /* NULL is fine */
/* Lives as long as the partition. */
const struct partition_info *partition_info(const struct partition *p);

/* ---- finding series ---- */

struct partition_hit {
    uint32_t series;
    uint32_t target_set;
    uint32_t metric_set;
    bool repeat; /* same labels as the series before it (another place of it) */
};

/* Series with all matchers true whose timeline has a row in [mint, maxt], ascending. Errors as
 * index_select, and ERR_CORRUPT. */
MUST_CHECK enum err_code partition_select(struct partition *p, const struct matcher *matchers,
                                          size_t n, int64_t mint, int64_t maxt, struct arena *arena,
                                          const struct cancel *cancel, struct partition_hit **out,
                                          size_t *out_count, struct err *err);

enum partition_space { PARTITION_TARGETS, PARTITION_METRICS };
/* Number 0 is the empty set. The blob is copied to arena. */
MUST_CHECK enum err_code partition_set_labels(struct partition *p, enum partition_space space,
                                              uint32_t set, struct arena *arena, struct labels *out,
                                              struct err *err);

/* For whoever numbers sets of several partitions: a number that is remembered for the set, 0 at first;
 * in memory only. The caller sees to it that what is stored stays true. */
_Atomic uint64_t *partition_known_set(struct partition *p, enum partition_space space,
                                      uint32_t set);

/* Sorted and unique, at most limit (0 = all), copied to arena. */
MUST_CHECK enum err_code partition_label_names(struct partition *p, const struct matcher *matchers,
                                               size_t n, size_t limit, struct arena *arena,
                                               const struct cancel *cancel, struct str **out,
                                               size_t *out_count, struct err *err);
MUST_CHECK enum err_code partition_label_values(struct partition *p, struct str name,
                                                const struct matcher *matchers, size_t n,
                                                size_t limit, struct arena *arena,
                                                const struct cancel *cancel, struct str **out,
                                                size_t *out_count, struct err *err);

/* ---- reading samples ---- */

/* Samples of n series (ascending numbers) in [mint, maxt] to out[0 .. n - 1], all in arena. Series
 * with the same rows of one timeline share the ts array. What is damaged is reported and left
 * out. ERR_LIMIT, ERR_CANCELED, ERR_TIMEOUT, ERR_IO. */
MUST_CHECK enum err_code partition_read(struct partition *p, const uint32_t *series, size_t n,
                                        int64_t mint, int64_t maxt, struct arena *arena,
                                        const struct cancel *cancel, struct storage_samples *out,
                                        struct err *err);

/* The same for storage_read_windows. Whether samples of SUM are integers is the caller's to check.
 * windows NULL: all samples. */
MUST_CHECK enum err_code partition_read_windows(struct partition *p, const uint32_t *series,
                                                size_t n, int64_t mint, int64_t maxt,
                                                const struct storage_windows *windows,
                                                struct arena *arena, const struct cancel *cancel,
                                                struct storage_samples *out, struct err *err);
/* The same one by one. What is given is borrowed until the close, as err is. */
struct partition_read {
    struct partition *partition;
    const uint32_t *series; /* ascending */
    size_t count;
    int64_t min_ts_ms;
    int64_t max_ts_ms;
    const struct storage_windows *windows; /* as of partition_read_windows */
    struct arena *arena;
};
struct partition_reader;
struct sample_room;
MUST_CHECK enum err_code partition_reader_open(const struct partition_read *read,
                                               struct partition_reader **out, struct err *err);
void partition_reader_close(struct partition_reader *r);
/* Elements of a sample_room that the floats of series[i] may need. */
size_t partition_reader_room(struct partition_reader *r, size_t i);
/* Samples of series[i], best with i ascending. room may be NULL. */
MUST_CHECK enum err_code partition_reader_read(struct partition_reader *r, size_t i,
                                               struct sample_room *room,
                                               struct storage_samples *out);

/* ---- all of it, in order: merging, verifying ---- */

struct partition_timeline {
    const uint32_t *block_rows;
    const int64_t *ts; /* all rows, block after block */
    uint32_t block_count;
    uint32_t rows;
};

/* In arena. */
MUST_CHECK enum err_code partition_timeline(struct partition *p, uint32_t timeline,
                                            struct arena *arena, struct partition_timeline *out,
                                            struct err *err);
/* Layout 1 .. layout_count; lives as long as the partition. */
MUST_CHECK enum err_code partition_layout(struct partition *p, uint32_t layout,
                                          const struct hist_layout **out, struct err *err);

struct partition_bytes { /* n = 0: absent in all rows */
    const uint8_t *ptr;
    size_t n;
};

struct partition_series { /* borrowed until the cursor's next step */
    uint32_t series;
    uint32_t target_set;
    uint32_t metric_set;
    uint32_t timeline;
    bool repeat;
    uint32_t column_count;
    const struct column_key *keys;        /* ascending */
    uint32_t block_count;                 /* of the timeline */
    const struct partition_bytes *blocks; /* [column * block_count + block] */
    struct labels target;
    struct labels metric;
};

struct partition_cursor;
struct partition_cursor *partition_cursor_new(struct partition *p);
void partition_cursor_free(struct partition_cursor *c);
/* The next series; *out_more is false at the end. ERR_CORRUPT: a page is damaged; its series (from
 * *out_skipped on, so many: see skipped) are passed over and the next call goes on behind them. */
struct partition_skipped {
    uint32_t first;
    uint32_t count;
};
MUST_CHECK enum err_code partition_cursor_next(struct partition_cursor *c,
                                               struct partition_series *out, bool *out_more,
                                               struct partition_skipped *out_skipped,
                                               struct err *err);
/* How many rows a block of the current series has. */
uint32_t partition_cursor_rows(const struct partition_cursor *c, uint32_t block);
/* Values and states (enum slot_state: absent, value, stale) of a block of the current series, for
 * all its rows. */
MUST_CHECK enum err_code partition_cursor_decode(struct partition_cursor *c, uint32_t column,
                                                 uint32_t block, struct num *values,
                                                 uint8_t *states, struct err *err);

/* Reads and decodes everything, and holds summaries against samples; damage goes to the callback, and is
 * counted. */
MUST_CHECK enum err_code partition_verify(struct partition *p, const struct cancel *cancel,
                                          uint64_t *out_damaged, struct err *err);

#endif
