/* The parts of a querier. Private to querier*.c. */
#ifndef TSDB_QUERIER_IMPL_H
#define TSDB_QUERIER_IMPL_H

#include "tsdb/head.h"
#include "tsdb/partition.h"

struct storage_querier {
    struct tsdb *db;
    int64_t min_ts_ms;
    int64_t max_ts_ms;
    struct arena *arena;
    struct arena *scratch; /* while series are selected: for what ends with that */
    const struct cancel *cancel;
    struct view *view;
    struct index_tables *tables;   /* of the head's index, pinned */
    struct tombstones *tombstones; /* NULL: nothing is deleted */
    struct label_sets foreign;     /* sets of partitions that the head does not know */
    bool has_foreign;
};

/* Where places come from, by precedence: of samples of equal time that of the lower kind stays, then
 * that of the lower source, then that of the lower slot. */
enum place_kind {
    PLACE_PARTITION = 0, /* source: index in the view, slot: series */
    PLACE_HEAD = 1,      /* source: group */
    PLACE_HEAD_LATE = 2, /* the same, a late group */
    PLACE_LATE = 3,      /* a partition with late samples */
};

struct place {
    uint32_t source;
    uint32_t slot;
    uint8_t kind; /* enum place_kind */
};

struct storage_selection {
    struct storage_series *series;
    uint32_t *first_place; /* count + 1 numbers into places; NULL: one place each */
    struct place *places;
    size_t count;
    const struct tombstone **deleted; /* by series; NULL: nothing of any of them */
};

/* ---- querier_sets.c: set numbers that callers see ----
 *
 * target set * 2, metric set * 2 + 1, 0 for either empty set; for a set that the head does not have,
 * QUERIER_FOREIGN and a number of the querier's own, whichever of the two it is. */
#define QUERIER_FOREIGN 0x80000000U

static inline uint32_t querier_target(uint32_t set) {
    return set * 2;
}
static inline uint32_t querier_metric(uint32_t set) {
    return set == 0 ? 0 : set * 2 + 1;
}
/* The number of a partition's set. ERR_CORRUPT, ERR_LIMIT. */
MUST_CHECK enum err_code querier_partition_set(struct storage_querier *q, struct partition *p,
                                               enum partition_space space, uint32_t set,
                                               uint32_t *out, struct err *err);

/* What may be taken beside what the query has; its end gives it back to the system. */
void querier_begin_scratch(const struct storage_querier *q, struct arena *scratch);
/* What is done between two looks whether the query was ended: some 0.2 ms. */
enum { QUERIER_HITS_BETWEEN_CHECKS = 4096 };
MUST_CHECK enum err_code querier_stopped(const struct storage_querier *q, struct err *err);

/* ---- querier_hits.c ---- */

struct querier_hit {
    uint32_t target; /* as callers see them */
    uint32_t metric;
    struct place place;
};

struct querier_hits {
    struct querier_hit *items; /* by precedence */
    size_t count;
    size_t capacity;
    bool repeats;      /* places of one series in one partition */
    size_t partitions; /* with hits */
};

/* All places of series with all matchers true that may have samples in the range; in the querier's
 * scratch. */
MUST_CHECK enum err_code querier_find_hits(struct storage_querier *q,
                                           const struct matcher *matchers, size_t n,
                                           struct querier_hits *out, struct err *err);

/* ---- querier_equal.c ---- */

/* Do all target sets have the same names? Then equal labels are split in the same way, and equal
 * series have equal pairs of sets. */
bool querier_split_alike(struct storage_querier *q, const struct querier_hits *hits);
/* Hits of one source each series of which is there once, when the sets are split alike: groups with
 * target sets of their own, or one partition without repeats. */
MUST_CHECK enum err_code querier_each_once(struct storage_querier *q,
                                           const struct querier_hits *hits, bool *out,
                                           struct err *err);
/* series_of[i] becomes the number of the series that hit i belongs to, in order of first hit. alike:
 * equal labels have equal pairs of sets. */
MUST_CHECK enum err_code querier_group_equal(struct storage_querier *q,
                                             const struct querier_hits *hits, bool alike,
                                             uint32_t *series_of, size_t *out_count,
                                             struct err *err);

/* ---- querier_merge.c ---- */

/* What series of one read share when their places are joined. Zeroed at first. */
struct querier_joins {
    bool unfit; /* set: condensed samples cannot be joined, read them as they are */
    struct querier_join *table[256];
    const struct cancel *cancel; /* may be NULL */
};
/* Samples of one series from its places, by precedence. */
MUST_CHECK enum err_code querier_join(struct querier_joins *joins, struct arena *arena,
                                      struct storage_samples *parts, size_t n,
                                      struct storage_samples *out, struct err *err);

static inline enum err_code querier_over_budget(struct err *err) {
    return err_set(err, ERR_LIMIT, "query needs more memory than its budget to select series");
}

static inline struct partition *querier_partition(const struct storage_querier *q, uint32_t i) {
    return q->view->partitions[i]->reader;
}
/* Has the partition samples in the querier's range? */
static inline bool querier_wants(const struct storage_querier *q, uint32_t i) {
    const struct partition_info *info = partition_info(querier_partition(q, i));
    return info->max_ts_ms >= q->min_ts_ms && info->min_ts_ms <= q->max_ts_ms;
}

#endif
