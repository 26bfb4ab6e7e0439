/* What ingest.c and ingest_page.c share: a target's state and a worker's scratch memory. */
#ifndef SCRAPE_INGEST_ROW_H
#define SCRAPE_INGEST_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mutex.h"
#include "scrape/expo.h"
#include "scrape/ingest.h"
#include "scrape/line_template.h"
#include "scrape/start_synthesis.h"

/* What a line means to a target, where it is not the number of a slot. */
#define LINE_DROPPED UINT32_MAX          /* relabelling drops it */
#define LINE_UNRESOLVED (UINT32_MAX - 1) /* not in the cache: must be resolved as if it were new */
#define LINE_SLOT_MAX (UINT32_MAX - 2)

/* Samples with timestamps of their own in one scrape: 40 bytes of scratch each. */
enum { OWN_TIMES_MAX = 4 * 1024 * 1024 };

/* Marks of a line in the current scrape: it had a sample that was not refused; it is in order. */
enum { SEEN = 1, NOTED = 2 };

enum report_series {
    REPORT_UP,
    REPORT_DURATION,
    REPORT_SCRAPED,
    REPORT_ADDED,
    REPORT_SERIES_ADDED,
    REPORT_TIMEOUT, /* the rest only with extra_scrape_metrics */
    REPORT_SAMPLE_LIMIT,
    REPORT_BODY_BYTES,
    REPORT_COUNT
};

struct ingest {
    struct storage *storage;
    struct storage_group *group; /* NULL until the first scrape */
    uint32_t shard;
    bool has_reports, has_extra_reports;
    uint32_t report_slots[REPORT_COUNT];
    uint32_t reason_slot;       /* of scrape_failure_reason, while there is a reason */
    enum scrape_failure reason; /* of the last scrape; FAILURE_NONE: nothing is at reason_slot */

    /* The mutex guards lines against readers of the comments; slots are the worker's alone. */
    struct mutex mu;
    struct line_template lines;
    enum expo_format format;   /* of the page that lines are of */
    bool mixed;                /* lines may hold comments of the other format, too */
    bool slots_shared;         /* slots is a blob, read-only */
    bool restless;             /* the last page changed the template */
    struct blob_store *blobs;  /* where lines and slots are shared; NULL = nowhere */
    uint32_t *slots;           /* one per line: a slot or LINE_*; written by ingest_set_slot only */
    uint32_t slots_capacity;   /* 0 while shared */
    uint32_t unresolved;       /* lines with LINE_UNRESOLVED */
    uint32_t count_at_success; /* lines at the last flush */
    uint32_t deviations;       /* pages since the template was built that lacked lines */
    uint32_t counted_lines;    /* of the template that metadata was counted from */
    struct ingest_metadata metadata;

    /* A bit per slot: the series had a sample in the previous scrape and wants a stale marker
     * when it is missing from this one. */
    uint64_t *tracked;
    uint32_t tracked_words;

    /* SCRAPE_START_ZERO: by slot, the start timestamp whose zero was written last. */
    int64_t *zero_starts;
    uint32_t zero_starts_count;
    struct start_synthesis synthesis; /* SCRAPE_START_MAKE */
};

struct page_reader;

struct ingest_scratch {
    void (*known_lines)(struct page_reader *r); /* of the kernel */
    /* the row, by slot */
    struct num *values;
    uint8_t *states;
    uint32_t slot_capacity;
    uint32_t slot_count;
    struct storage_own_time *own;
    size_t own_count, own_capacity;
    const struct histogram **histograms; /* by slot, where the state is one; NULL: none ever was */
    uint32_t histograms_capacity;
    int64_t *starts; /* by slot; zeroed as far as they go */
    uint32_t starts_capacity;
    bool has_starts;
    struct storage_own_time *zeros; /* at start timestamps, before the row */
    size_t zero_count, zero_capacity;
    struct storage_row_exemplar *exemplars;
    size_t exemplar_count, exemplar_capacity;
    uint8_t *rejects;
    uint32_t rejects_capacity;
    struct arena row_arena; /* histograms and exemplars, until the row is committed */
    uint64_t *own_tracked;  /* bits by slot: own_times that are tracked */
    uint32_t own_tracked_words;

    /* the page, by line */
    uint8_t *seen;
    uint32_t seen_capacity;
    uint32_t seen_count;
    struct line_seen *order; /* from the first deviation on */
    size_t order_count, order_capacity;
    bool deviates; /* order is being recorded */
    bool changed;  /* the template should be rebuilt */
    bool indexed;
    struct line_index index;
    struct str tail;
    struct buf comments; /* of a page that is not read by lines */

    bool page_ok, page_failed;
    struct arena arena; /* labels of one new series */
    struct expo_parser parser;
};

/* Opens the group if that was not done yet. */
MUST_CHECK enum err_code ingest_open_group(struct ingest *ig, struct labels target,
                                           struct err *err);
/* Makes slot usable in the scratch row. */
void ingest_scratch_reach(struct ingest_scratch *s, uint32_t slot);
/* Room for the line's mark. */
void ingest_scratch_reach_line(struct ingest_scratch *s, uint32_t line);
/* Appends a line that means slot. */
MUST_CHECK enum err_code ingest_add_line(struct ingest *ig, struct ingest_scratch *s,
                                         struct str comment, struct str key, uint32_t type,
                                         uint32_t slot, uint32_t *out_line, struct err *err);

/* Changes what a line means. */
void ingest_set_slot(struct ingest *ig, uint32_t line, uint32_t slot);

/* After a page that was read to its end (or one that failed, when its lines must be bounded):
 * lines that it does not have leave the cache, a changed template is rebuilt. */
void ingest_flush(struct ingest *ig, struct ingest_scratch *s, struct str body);
bool ingest_must_flush(const struct ingest *ig);

#endif
