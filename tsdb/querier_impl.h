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

/* ---- querier_merge.c ---- */

/* What series of one read share when their places are joined. Zeroed at first. */
struct querier_joins {
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
