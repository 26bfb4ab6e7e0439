/* What the files of a cut share (compactor_cut.c, cut_slice.c). Private to them. */
#ifndef TSDB_COMPACTOR_CUT_H
#define TSDB_COMPACTOR_CUT_H

#include "tsdb/compactor_impl.h"

struct cut_run {
    struct segment_store *store;
    struct segment_location at;
    uint32_t rows;
    int64_t min_ts_ms;
    int64_t max_ts_ms;
};

struct cut_timeline { /* runs of one group */
    uint32_t group;
    uint32_t shard;
    size_t first_run;
    uint32_t run_count;
    uint32_t rows;
    uint32_t slot_count;  /* at most */
    uint32_t slot_bytes;  /* of all runs, on the average */
    uint32_t number;      /* in the partition */
    struct labels target; /* set of the index, as those of series: they stay where they are */
    int64_t *ts;          /* all rows; NULL until a series with deleted samples needs it */
    int64_t *spans_ms;    /* of each block in the partition, from its first row to its last */
    uint32_t *lost;       /* slots that may have been columns: head_lost.c; NULL: none */
    uint32_t lost_count;
    uint32_t judged_runs; /* so many were looked through for them */
    uint32_t judged_rows;
    uint64_t *doubted; /* rows whose histograms may lack a part */
    bool is_reported;  /* that there are such */
};

struct cut_series {         /* there are as many at once as the head has: small */
    const uint8_t *metric;  /* label_sets_at */
    uint32_t timeline_bits; /* timeline * 2 + 1 with an extra */
    uint32_t place;         /* number of that, which has slot_bits; else slot_bits itself */
};

struct cut_extra {         /* what few series have */
    uint32_t slot_bits;    /* slot * 2 + 1 when metric has all labels */
    uint32_t first_column; /* hidden ones beside the slot */
    uint32_t column_count;
    const struct tombstone *deleted; /* NULL: nothing */
};

struct cut {
    struct compactor *c;
    struct tsdb *db;
    struct partition_writer *writer;
    struct partition_writer_options options;
    int64_t start_ms;
    int64_t end_ms;
    size_t memory_bytes; /* of a slice */
    struct manifest_mark marks[COMPACTOR_SHARDS_MAX];
    size_t mark_count;
    struct cut_run *runs; /* by timeline */
    size_t run_count;
    size_t run_capacity;
    struct cut_timeline *timelines; /* by group */
    size_t timeline_count;
    size_t timeline_capacity;
    struct cut_series *series; /* reserved memory: those that are written go back to the system */
    size_t series_count;
    size_t series_bytes;   /* that were reserved */
    size_t released_bytes; /* of these, from the front */
    struct cut_extra *extras;
    size_t extra_count;
    size_t extra_capacity;
    struct group_column *columns;
    size_t column_count;
    size_t column_capacity;
    const struct cut_timeline *writing; /* whose series is being written */
    struct tombstones *tombstones;      /* NULL: nothing is deleted */
    uint64_t damaged;
    int64_t since_ns;
};

static inline uint32_t cut_timeline_of(const struct cut_series *s) {
    return s->timeline_bits >> 1;
}

static inline const struct cut_extra *cut_extra_of(const struct cut *cut,
                                                   const struct cut_series *s) {
    static const struct cut_extra none = {0};
    return (s->timeline_bits & 1) != 0 ? &cut->extras[s->place] : &none;
}

static inline uint32_t cut_slot_bits(const struct cut *cut, const struct cut_series *s) {
    return (s->timeline_bits & 1) != 0 ? cut->extras[s->place].slot_bits : s->place;
}

static inline uint32_t cut_slot(const struct cut *cut, const struct cut_series *s) {
    return cut_slot_bits(cut, s) >> 1;
}

static inline struct labels cut_metric(const struct cut_series *s) {
    return label_sets_at(s->metric);
}

static inline struct labels cut_target(const struct cut *cut, const struct cut_series *s) {
    return (cut_slot_bits(cut, s) & 1) != 0 ? (struct labels){(const uint8_t *)"", 0}
                                            : cut->timelines[cut_timeline_of(s)].target;
}

/* Says so in log and metrics; the cut goes on. */
void cut_report(struct cut *cut, const struct err *err);
bool cut_is_damage(enum err_code code);
/* Reads t->ts, if that is not done. */
MUST_CHECK enum err_code cut_load_times(struct cut *cut, struct cut_timeline *t, struct err *err);

/* The first count series are not needed any more: their memory goes, as far as it is whole pages. */
void cut_release_series(struct cut *cut, size_t count);

/* ---- cut_slice.c ---- */

/* Writes all of cut->series, which are in the partition's order, and releases them. */
MUST_CHECK enum err_code cut_write_series(struct cut *cut, struct err *err);

#endif
