/* The narrow waist between storage and everything else: scrape and rules write through it, PromQL
 * and the API read through it. The database (tsdb/tsdb.h), a remote store and a small one
 * in memory (query/script) implement it. Users call the functions; implementers fill the ops.
 *
 * WRITING. Two ways:
 *   groups     All series of one scrape target: one timestamp for the whole row, slots instead
 *              of series look-ups, atomic visibility, one WAL record. For scrapes.
 *   appender   Any series at any time, in a transaction. For rules, pushed data, imports.
 *
 * READING. A querier is a consistent view of [mint, maxt]. Select finds series, read decodes the
 * samples of a batch of them to columns. Series that were written as one group share one
 * timestamp column: readers compare the ts pointers and do per-time work once per column, not
 * once per series.
 *
 * Timestamps are Unix milliseconds, ranges are closed at both ends. */
#ifndef TSDB_STORAGE_H
#define TSDB_STORAGE_H

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

struct histogram; /* native histograms: base/histogram.h */

struct storage {
    const struct storage_ops *ops;
};

/* ---- writing by group ---- */

struct storage_group; /* handle; owned by the thread that works for its shard */

enum slot_state {
    SLOT_ABSENT = 0, /* no sample in this row */
    SLOT_VALUE = 1,
    SLOT_STALE = 2,     /* the series ends here: reads back as the stale NaN at the row's time */
    SLOT_HISTOGRAM = 3, /* a native histogram of integer counts */
    SLOT_FLOAT_HISTOGRAM = 4, /* one of float counts */
};

struct storage_exemplar {
    struct labels labels; /* borrowed */
    double value;
    int64_t ts_ms;
};

/* An exemplar of a row's slot. */
struct storage_row_exemplar {
    uint32_t slot;
    struct storage_exemplar exemplar;
};

/* A sample of a group's series with a timestamp of its own. */
struct storage_own_time {
    uint32_t slot;
    uint8_t state; /* anything but SLOT_ABSENT */
    int64_t ts_ms;
    struct num value;
    const struct histogram *histogram; /* of a histogram state; borrowed */
    int64_t start_ts_ms;               /* 0 = unknown */
};

/* One scrape of one group. Arrays are indexed by slot and borrowed for the call. Slots at or
 * beyond slot_count are SLOT_ABSENT. */
struct storage_row {
    int64_t ts_ms;
    uint32_t slot_count;
    const struct num *values; /* where states[slot] == SLOT_VALUE */
    const uint8_t *states;    /* enum slot_state */
    const struct storage_own_time *own_times;
    size_t own_time_count;
    const struct histogram *const
        *histograms;            /* where the state is a histogram; NULL: there is none */
    const int64_t *start_ts_ms; /* of each slot, 0 = unknown; NULL: all unknown */
    const struct storage_row_exemplar *exemplars;
    size_t exemplar_count;
    uint8_t *rejects; /* NULL, or slot_count bytes: gets enum err_code of each slot, ERR_OK when it
                         was stored or absent */
};

struct storage_row_result {
    uint32_t accepted;
    uint32_t out_of_order;
    uint32_t duplicate; /* same timestamp, other value */
    uint32_t too_old;
    uint32_t out_of_bounds;
    uint32_t exemplars_out_of_order; /* samples all of whose exemplars were */
};

/* ---- writing by transaction ---- */

struct storage_appender;

/* A sample of a transaction: a float, or a histogram when there is one. */
struct storage_sample {
    int64_t ts_ms;
    double value;
    const struct histogram *histogram; /* NULL: value; borrowed */
    bool float_histogram;
    int64_t start_ts_ms; /* 0 = unknown */
};

/* What is known of a metric family. */
struct storage_metadata {
    struct str
        type; /* counter, gauge, histogram, gaugehistogram, summary, info, stateset, unknown */
    struct str help;
    struct str unit;
};

/* ---- reading ---- */

struct storage_querier;
struct storage_selection;

struct storage_series {
    uint32_t target_set; /* labels = union of two interned sets; 0 is the empty set. Equal ids */
    uint32_t metric_set; /* mean equal sets within one querier: group by pairs of ids */
    uint64_t ref;        /* the storage's own */
};

struct storage_select_hints {
    bool sorted;      /* series in the order of labels_cmp */
    bool series_only; /* no samples will be read */
    size_t limit;     /* stop after so many series, 0 = all */
};

/* What a reader looks at in windows of time, so that a storage need not give all between. */
enum storage_want {
    STORAGE_WANT_ALL = 0,
    STORAGE_WANT_ENDS,  /* of each window the first and the last sample, and how many there are */
    STORAGE_WANT_RISES, /* these, and each value that is less than the one before, with that */
    STORAGE_WANT_MIN,   /* of each window the smallest value (NaN when there is nothing else) */
    STORAGE_WANT_MAX,
    STORAGE_WANT_SUM, /* the compensated sum of values, in order */
};

/* The windows (end - range, end] with count ends, step apart. */
struct storage_windows {
    int64_t first_end_ms;
    int64_t step_ms; /* > 0 */
    uint64_t count;  /* > 0 */
    int64_t range_ms;
    enum storage_want want;
};

/* Samples of one series in time order. Everything lives in the arena given to the read.
 *
 * CONDENSED. With a rank (of a read of windows only) an element may stand for several samples that
 * follow each other, at the time of the last of them: rank[i] samples are before element i,
 * rank[count] in all. No window begins or ends within them. What is wanted comes out of the elements
 * as out of the samples, bit for bit. ENDS, RISES: neither the first nor the last sample of a window
 * is one of them, and the elements fall where the samples do. MIN, MAX, SUM: the element has the
 * value of them all; for SUM all elements but stale ones are integers, whose magnitudes add up to at
 * most 2^53, as those of the samples do. */
struct storage_samples {
    const int64_t *ts;    /* equal pointer and count for series with the same rows of one group */
    const double *values; /* stale markers included, as the stale NaN, of histograms too */
    size_t count;
    bool has_stale;
    const struct histogram *const *histograms; /* NULL: floats only; else [i] is NULL for a float;
                                                  a marker behind one may have the stale NaN as sum */
    const int64_t *start_ts;                   /* NULL: unknown for all */
    const uint32_t *rank; /* count + 1 numbers, equal for equal ts; NULL: an element is a sample */
};

struct storage_stats {
    uint64_t series_count; /* of the head */
    uint64_t chunk_count;
    int64_t min_time_ms; /* INT64_MAX / INT64_MIN when empty */
    int64_t max_time_ms;
    uint64_t disk_bytes;
    bool is_failing; /* the disk refuses writes: new rows are in memory only */
    uint64_t fault_count;
    int64_t last_fault_unix_ms;
    char last_fault[ERR_TEXT_MAX];
    uint64_t damage_count; /* places with bytes that could not be used */
};

struct storage_count {
    struct str name;
    struct str value; /* empty: not of a pair */
    uint64_t count;
};

struct storage_top { /* largest first; of equal counts the first by name and value */
    struct storage_count *items;
    size_t count;
};

/* What makes the head large. */
struct storage_cardinality {
    uint64_t pair_count;
    struct storage_top series_by_metric; /* name: the metric's */
    struct storage_top values_by_name;
    struct storage_top bytes_by_name; /* of the labels of all series, as Prometheus keeps them */
    struct storage_top series_by_pair;
};

struct storage_family {
    struct str name;
    struct storage_metadata metadata;
};

/* Exemplars of one series by time. */
struct storage_exemplar_series {
    struct labels labels;
    const struct storage_exemplar *exemplars;
    size_t count;
};

/* The series that an appender would look at first: storage_expect. 16 bytes behind the labels can be
 * read too. */
struct storage_expected {
    struct labels target; /* of all of them; together with metrics[i] the labels of a series */
    const struct labels *metrics; /* data == NULL: of none. NULL: storage_expect tells them */
    /* Numbers of the metrics, below 2^31: an equal number means equal labels while the storage is open.
     * STORAGE_SET_NONE: of none. NULL: this storage has no numbers. */
    const uint32_t *sets;
    size_t count;
};

#define STORAGE_SET_NONE UINT32_MAX

struct storage_ops {
    uint32_t (*shard_count)(struct storage *st);
    enum err_code (*group_open)(struct storage *st, uint32_t shard, struct labels target,
                                struct storage_group **out, struct err *err);
    enum err_code (*group_series)(struct storage_group *g, struct labels labels, uint32_t *out_slot,
                                  struct err *err);
    uint32_t (*group_slot_count)(const struct storage_group *g);
    enum err_code (*group_commit)(struct storage_group *g, const struct storage_row *row,
                                  struct storage_row_result *out, struct err *err);
    void (*group_close)(struct storage_group *g);

    enum err_code (*appender_begin)(struct storage *st, struct storage_appender **out,
                                    struct err *err);
    enum err_code (*append)(struct storage_appender *a, struct labels labels, int64_t ts_ms,
                            double value);
    enum err_code (*appender_commit)(struct storage_appender *a, struct err *err);
    void (*appender_rollback)(struct storage_appender *a);

    enum err_code (*querier_open)(struct storage *st, int64_t mint, int64_t maxt,
                                  struct arena *arena, const struct cancel *cancel,
                                  struct storage_querier **out, struct err *err);
    enum err_code (*select)(struct storage_querier *q, const struct matcher *matchers, size_t n,
                            const struct storage_select_hints *hints,
                            struct storage_selection **out, struct err *err);
    const struct storage_series *(*selection_series)(const struct storage_selection *sel,
                                                     size_t *out_count);
    struct labels (*set_labels)(struct storage_querier *q, uint32_t set);
    enum err_code (*read)(struct storage_querier *q, const struct storage_selection *sel,
                          size_t first, size_t count, int64_t mint, int64_t maxt,
                          struct arena *scratch, struct storage_samples *out, struct err *err);
    enum err_code (*label_names)(struct storage_querier *q, const struct matcher *matchers,
                                 size_t n, size_t limit, struct str **out, size_t *out_count,
                                 struct err *err);
    enum err_code (*label_values)(struct storage_querier *q, struct str name,
                                  const struct matcher *matchers, size_t n, size_t limit,
                                  struct str **out, size_t *out_count, struct err *err);
    void (*stats)(struct storage *st, struct storage_stats *out);

    /* May be NULL: the storage keeps no such thing. */
    enum err_code (*read_windows)(struct storage_querier *q, const struct storage_selection *sel,
                                  size_t first, size_t count, int64_t mint, int64_t maxt,
                                  const struct storage_windows *windows, struct arena *scratch,
                                  struct storage_samples *out, struct err *err);
    void (*group_release)(struct storage_group *g, uint32_t slot);
    enum err_code (*append_sample)(struct storage_appender *a, struct labels labels,
                                   const struct storage_sample *sample);
    enum err_code (*append_exemplar)(struct storage_appender *a, struct labels labels,
                                     const struct storage_exemplar *exemplar);
    void (*metadata_put)(struct storage *st, struct str family, const struct storage_metadata *m);
    enum err_code (*metadata_list)(struct storage *st, struct arena *arena,
                                   struct storage_family **out, size_t *out_count);
    enum err_code (*exemplars)(struct storage_querier *q, const struct matcher *matchers, size_t n,
                               struct storage_exemplar_series **out, size_t *out_count,
                               struct err *err);
    enum err_code (*delete_series)(struct storage *st, const struct matcher *matchers, size_t n,
                                   int64_t mint, int64_t maxt, struct err *err);
    enum err_code (*clean_tombstones)(struct storage *st, struct err *err);
    void (*appender_in_order_only)(struct storage_appender *a);
    bool (*expect)(struct storage_appender *a, struct storage_expected *out);
    enum err_code (*append_expected)(struct storage_appender *a, size_t i, int64_t ts_ms,
                                     double value);
    bool (*expect_sets)(struct storage_appender *a, struct storage_expected *out);
    size_t (*append_expected_row)(struct storage_appender *a, size_t i, int64_t ts_ms,
                                  const double *values, size_t n);
    enum err_code (*cardinality)(struct storage_querier *q, size_t limit,
                                 struct storage_cardinality *out, struct err *err);
};

/* Number of independent writers. A group belongs to one shard; calls on groups of one shard must
 * come from one thread at a time, calls for different shards may run at once. */
static inline uint32_t storage_shard_count(struct storage *st) {
    return st->ops->shard_count(st);
}

/* The group of a target by its label set (all labels that the target attaches), made if it is
 * new, found again after a restart. ERR_EXISTS when it is open already (two targets with equal
 * labels): pass a set with one more label to tell them apart, it is only an identity and a hint
 * for interning. */
MUST_CHECK static inline enum err_code storage_group_open(struct storage *st, uint32_t shard,
                                                          struct labels target,
                                                          struct storage_group **out,
                                                          struct err *err) {
    return st->ops->group_open(st, shard, target, out, err);
}

/* The slot of a series with these complete labels, made if it is new. Slots are dense, given in
 * the order of first use and stable while the group is open. ERR_LIMIT when the storage refuses
 * new series (budget), ERR_INVALID for labels that no series may have. */
MUST_CHECK static inline enum err_code storage_group_series(struct storage *st,
                                                            struct storage_group *g,
                                                            struct labels labels,
                                                            uint32_t *out_slot, struct err *err) {
    return st->ops->group_series(g, labels, out_slot, err);
}

static inline uint32_t storage_group_slot_count(struct storage *st, const struct storage_group *g) {
    return st->ops->group_slot_count(g);
}

/* Stores the row: after ERR_OK it survives a crash of the process, and queries see all of it or
 * nothing. Rejected samples are counted in *out and are no error. A row whose time is not after
 * the group's newest is rejected sample by sample by Prometheus' rules. ERR_NO_SPACE, ERR_IO:
 * kept in memory and readable, but not durable yet (the storage reports and repairs that). */
MUST_CHECK static inline enum err_code
storage_group_commit(struct storage *st, struct storage_group *g, const struct storage_row *row,
                     struct storage_row_result *out, struct err *err) {
    return st->ops->group_commit(g, row, out, err);
}

/* The writer will not use the slot again, unless group_series gives it again: what is stored of its
 * series stays, but its place may be given to another one some time after it ended. */
static inline void storage_group_release(struct storage *st, struct storage_group *g,
                                         uint32_t slot) {
    if (st->ops->group_release)
        st->ops->group_release(g, slot);
}

/* Ends the handle and releases all slots; writes nothing. */
static inline void storage_group_close(struct storage *st, struct storage_group *g) {
    st->ops->group_close(g);
}

/* Transactions of one thread; several may be open at once in different threads. */
MUST_CHECK static inline enum err_code
storage_appender_begin(struct storage *st, struct storage_appender **out, struct err *err) {
    return st->ops->appender_begin(st, out, err);
}

/* Samples that are appended from here on are refused when they are out of order, also those that the
 * storage would take late: for results of rules and markers of ended series. */
static inline void storage_appender_in_order_only(struct storage *st, struct storage_appender *a) {
    if (st->ops->appender_in_order_only)
        st->ops->appender_in_order_only(a);
}

/* ERR_OK, ERR_OUT_OF_ORDER, ERR_DUPLICATE, ERR_TOO_OLD, ERR_OUT_OF_BOUNDS (this sample is left out,
 * the transaction goes on), ERR_LIMIT, ERR_INVALID. The same value again at the same time is ERR_OK
 * and stores nothing. The stale NaN ends the series. A storage may take samples that are late (tsdb.h,
 * late_window_ms): those are ERR_OK too, and what is stored for their time already stays. labels are
 * borrowed. */
MUST_CHECK static inline enum err_code storage_append(struct storage *st,
                                                      struct storage_appender *a,
                                                      struct labels labels, int64_t ts_ms,
                                                      double value) {
    return st->ops->append(a, labels, ts_ms, value);
}

/* The series that probably come next, as senders keep their order: who has labels in another form can
 * compare them there and need not pack them. False: none is known. *out is valid until the next call
 * of this appender other than storage_append_expected. */
MUST_CHECK static inline bool storage_expect(struct storage *st, struct storage_appender *a,
                                             struct storage_expected *out) {
    return st->ops->expect != NULL && st->ops->expect(a, out);
}

/* The same, sets in the place of metrics: for who remembers what labels a number stands for. False also
 * when the storage has no numbers. storage_expect behind it tells the same series with their labels. */
MUST_CHECK static inline bool storage_expect_sets(struct storage *st, struct storage_appender *a,
                                                  struct storage_expected *out) {
    return st->ops->expect_sets != NULL && st->ops->expect_sets(a, out);
}

/* storage_append to the series i of the newest storage_expect or storage_expect_sets. */
MUST_CHECK static inline enum err_code storage_append_expected(struct storage *st,
                                                               struct storage_appender *a, size_t i,
                                                               int64_t ts_ms, double value) {
    return st->ops->append_expected(a, i, ts_ms, value);
}

/* The same for n series from i on, as far as nothing is to be said about their samples: returns how many
 * were taken, which may be 0. */
MUST_CHECK static inline size_t storage_append_expected_row(struct storage *st,
                                                            struct storage_appender *a, size_t i,
                                                            int64_t ts_ms, const double *values,
                                                            size_t n) {
    return st->ops->append_expected_row != NULL
               ? st->ops->append_expected_row(a, i, ts_ms, values, n)
               : 0;
}

/* As storage_append, with all that a sample may have. ERR_UNSUPPORTED when the storage keeps floats
 * only. A histogram passed histogram_check. */
MUST_CHECK static inline enum err_code storage_append_sample(struct storage *st,
                                                             struct storage_appender *a,
                                                             struct labels labels,
                                                             const struct storage_sample *sample) {
    return st->ops->append_sample ? st->ops->append_sample(a, labels, sample) : ERR_UNSUPPORTED;
}

/* An exemplar of a series that has a sample, in this transaction or before (else ERR_NOT_FOUND).
 * ERR_OUT_OF_ORDER: older than the series' newest; ERR_DUPLICATE: that very one; ERR_INVALID: its
 * labels are longer than 128 code points together. In all cases the transaction goes on. */
MUST_CHECK static inline enum err_code
storage_append_exemplar(struct storage *st, struct storage_appender *a, struct labels labels,
                        const struct storage_exemplar *exemplar) {
    return st->ops->append_exemplar ? st->ops->append_exemplar(a, labels, exemplar)
                                    : ERR_UNSUPPORTED;
}

/* Remembers what is known of a metric family, from pushed data; the last one counts. Bounded: what
 * does not fit any more is forgotten. Any thread. */
static inline void storage_metadata_put(struct storage *st, struct str family,
                                        const struct storage_metadata *m) {
    if (st->ops->metadata_put)
        st->ops->metadata_put(st, family, m);
}

/* All of it by name, copied to arena. ERR_LIMIT: the arena's budget. */
MUST_CHECK static inline enum err_code storage_metadata_list(struct storage *st,
                                                             struct arena *arena,
                                                             struct storage_family **out,
                                                             size_t *out_count) {
    *out = NULL;
    *out_count = 0;
    return st->ops->metadata_list ? st->ops->metadata_list(st, arena, out, out_count) : ERR_OK;
}

/* Deletes what is stored of the series that match, in [mint, maxt]: gone for readers at once, and
 * for good after a crash once this returned ERR_OK; the bytes go with the next merge or
 * storage_clean_tombstones. Any thread. */
MUST_CHECK static inline enum err_code storage_delete_series(struct storage *st,
                                                             const struct matcher *matchers,
                                                             size_t n, int64_t mint, int64_t maxt,
                                                             struct err *err) {
    return st->ops->delete_series ? st->ops->delete_series(st, matchers, n, mint, maxt, err)
                                  : err_set(err, ERR_UNSUPPORTED, "this storage cannot delete");
}

MUST_CHECK static inline enum err_code storage_clean_tombstones(struct storage *st,
                                                                struct err *err) {
    return st->ops->clean_tombstones ? st->ops->clean_tombstones(st, err)
                                     : err_set(err, ERR_UNSUPPORTED, "this storage cannot delete");
}

/* Either ends the appender. After commit's ERR_OK the samples survive a crash of the process. */
MUST_CHECK static inline enum err_code
storage_appender_commit(struct storage *st, struct storage_appender *a, struct err *err) {
    return st->ops->appender_commit(a, err);
}

static inline void storage_appender_rollback(struct storage *st, struct storage_appender *a) {
    st->ops->appender_rollback(a);
}

/* A view of [mint, maxt]; it and all it hands out live in arena and end with it (the querier
 * links its release there). ERR_LIMIT when the arena's budget is passed, ERR_CANCELED and
 * ERR_TIMEOUT by cancel (may be NULL). */
MUST_CHECK static inline enum err_code
storage_querier_open(struct storage *st, int64_t mint, int64_t maxt, struct arena *arena,
                     const struct cancel *cancel, struct storage_querier **out, struct err *err) {
    return st->ops->querier_open(st, mint, maxt, arena, cancel, out, err);
}

/* Series with all matchers true that may have samples in the querier's range. hints may be NULL.
 * No two series of a selection have equal labels. One thread at a time. */
MUST_CHECK static inline enum err_code storage_select(struct storage *st, struct storage_querier *q,
                                                      const struct matcher *matchers, size_t n,
                                                      const struct storage_select_hints *hints,
                                                      struct storage_selection **out,
                                                      struct err *err) {
    return st->ops->select(q, matchers, n, hints, out, err);
}

static inline const struct storage_series *
storage_selection_series(struct storage *st, const struct storage_selection *sel,
                         size_t *out_count) {
    return st->ops->selection_series(sel, out_count);
}

/* Labels of one interned set; the series' labels are labels_merge of its two (disjoint) sets. */
static inline struct labels storage_set_labels(struct storage *st, struct storage_querier *q,
                                               uint32_t set) {
    return st->ops->set_labels(q, set);
}

/* Decodes series first .. first + count - 1 in [mint, maxt] (inside the querier's range) into
 * out[0 .. count - 1]. Several threads may read at once, each with its own scratch arena. */
MUST_CHECK static inline enum err_code storage_read(struct storage *st, struct storage_querier *q,
                                                    const struct storage_selection *sel,
                                                    size_t first, size_t count, int64_t mint,
                                                    int64_t maxt, struct arena *scratch,
                                                    struct storage_samples *out, struct err *err) {
    return st->ops->read(q, sel, first, count, mint, maxt, scratch, out, err);
}

/* The same for who looks at it through windows only: samples may come condensed. All windows lie in
 * [mint, maxt]. */
MUST_CHECK static inline enum err_code
storage_read_windows(struct storage *st, struct storage_querier *q,
                     const struct storage_selection *sel, size_t first, size_t count, int64_t mint,
                     int64_t maxt, const struct storage_windows *windows, struct arena *scratch,
                     struct storage_samples *out, struct err *err) {
    return st->ops->read_windows != NULL && windows->want != STORAGE_WANT_ALL
               ? st->ops->read_windows(q, sel, first, count, mint, maxt, windows, scratch, out, err)
               : st->ops->read(q, sel, first, count, mint, maxt, scratch, out, err);
}

/* Sorted, unique; n = 0 matchers means all series; limit 0 = all (pass limit + 1 to notice a cut). */
MUST_CHECK static inline enum err_code
storage_label_names(struct storage *st, struct storage_querier *q, const struct matcher *matchers,
                    size_t n, size_t limit, struct str **out, size_t *out_count, struct err *err) {
    return st->ops->label_names(q, matchers, n, limit, out, out_count, err);
}

MUST_CHECK static inline enum err_code
storage_label_values(struct storage *st, struct storage_querier *q, struct str name,
                     const struct matcher *matchers, size_t n, size_t limit, struct str **out,
                     size_t *out_count, struct err *err) {
    return st->ops->label_values(q, name, matchers, n, limit, out, out_count, err);
}

/* Exemplars of the querier's range, of series with all matchers true; sorted by labels; in the
 * querier's arena. */
MUST_CHECK static inline enum err_code storage_exemplars(struct storage *st,
                                                         struct storage_querier *q,
                                                         const struct matcher *matchers, size_t n,
                                                         struct storage_exemplar_series **out,
                                                         size_t *out_count, struct err *err) {
    *out = NULL;
    *out_count = 0;
    return st->ops->exemplars ? st->ops->exemplars(q, matchers, n, out, out_count, err) : ERR_OK;
}

/* At most limit (>= 1) entries of each kind, of the head as it is now, whatever the querier's range;
 * in the querier's arena. Empty when the storage does not count. */
MUST_CHECK static inline enum err_code storage_cardinality(struct storage *st,
                                                           struct storage_querier *q, size_t limit,
                                                           struct storage_cardinality *out,
                                                           struct err *err) {
    *out = (struct storage_cardinality){0};
    return st->ops->cardinality ? st->ops->cardinality(q, limit, out, err) : ERR_OK;
}

static inline void storage_stats(struct storage *st, struct storage_stats *out) {
    st->ops->stats(st, out);
}

#endif
