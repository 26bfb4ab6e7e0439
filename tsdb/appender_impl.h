/* The parts of a transaction over arbitrary series. Private to appender.c and appender_expect.c. */
#ifndef TSDB_APPENDER_IMPL_H
#define TSDB_APPENDER_IMPL_H

#include "tsdb/head.h"

struct last_sample { /* newest sample of a series in this transaction */
    uint32_t group;  /* 0 = free */
    uint32_t slot;
    int64_t ts_ms;
    struct num value;
    uint8_t state;
    uint32_t extra;
};

struct cohort { /* group that new series with a target set join */
    uint32_t target_set;
    uint32_t group;
};

enum { EXPECTED_MAX = 64 };

/* The series behind the newest one in its group. Labels stay where they are while a transaction is
 * open; the times may be older than what is stored by now. */
struct expected {
    struct head_group *group; /* NULL: nothing is expected */
    uint32_t slot;            /* of the first */
    uint32_t at;              /* the next one */
    uint32_t given;           /* to the caller: those from here on; UINT32_MAX: no more */
    uint32_t count;
    uint32_t more;               /* so many are looked up next */
    uint32_t sets[EXPECTED_MAX]; /* STORAGE_SET_NONE: no series that can be expected */
    bool has_metrics;
    struct labels metrics[EXPECTED_MAX]; /* if has_metrics; data == NULL: as above */
    int64_t newest_ms[EXPECTED_MAX];
};

struct storage_appender {
    struct tsdb *db;
    struct head_bounds bounds;
    bool in_order_only;
    struct push_sample *samples;
    size_t count;
    size_t capacity;
    bool is_row; /* they are of one group and time, in the order of slots, plain floats */
    struct push_sample *late; /* in the order of arrival */
    size_t late_count;
    size_t late_capacity;
    struct push_extra *extras;
    size_t extra_count;
    size_t extra_capacity;
    struct arena copies; /* of histograms and exemplars */
    struct series_exemplar *exemplars;
    size_t exemplar_count;
    size_t exemplar_capacity;
    struct last_sample *table; /* NULL while the samples' places ascend */
    size_t table_mask;
    size_t table_count;
    struct cohort *cohorts;
    size_t cohort_count;
    size_t cohort_capacity;
    struct buf target; /* scratch */
    struct buf metric;
    struct expected expected;
};

/* The target set of a pushed series is its job and instance. */
static inline bool appender_is_target_label(struct str name) {
    return name.len == 8   ? memcmp(name.ptr, "instance", 8) == 0
           : name.len == 3 ? memcmp(name.ptr, "job", 3) == 0
                           : false;
}

/* ---- appender_expect.c ---- */

/* The newest sample went there. */
void expected_follow(struct storage_appender *a, struct head_group *g, uint32_t slot);
/* Sees to it that something is expected, when anything is known; false: it is not. */
bool expected_look(struct storage_appender *a);
/* Fills in the metrics of what is expected. */
void expected_want_metrics(struct storage_appender *a);
/* Is the series one of the next few that are expected? Then that is the next one. */
bool expected_find(struct storage_appender *a, struct labels labels);
/* Is it that of the newest sample? False when that is not known. */
bool expected_was(struct storage_appender *a, struct labels labels);

#endif
