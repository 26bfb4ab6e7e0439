/* One target's way into the storage: a body becomes a row (spec/scrape.md section 6).
 *
 * Owner: a loop; worked on by the worker of its shard only, one call at a time. The exception is
 * ingest_copy_comments, which any thread may call. What a scrape needs only while it runs lives
 * in a struct ingest_scratch, one per worker: a target keeps its template, a slot per line and a
 * bit per series, nothing of body size.
 *
 * Order of calls for a scrape: ingest_begin, ingest_page (left out when there is no body), then
 * ingest_commit, which takes care of staleness and of the report series. */
#ifndef SCRAPE_INGEST_H
#define SCRAPE_INGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/str.h"
#include "scrape/blob_store.h"
#include "scrape/expo.h"
#include "scrape/scrape.h"
#include "tsdb/storage.h"

struct ingest;
struct ingest_scratch;

/* How lines that are known are read; all ways give the same. */
enum line_kernel {
    LINE_KERNEL_PLAIN,
    LINE_KERNEL_BASE, /* what every machine of its kind has */
    LINE_KERNEL_AVX2,
    LINE_KERNEL_AVX512,
    LINE_KERNEL_COUNT
};

struct ingest_scratch *ingest_scratch_new(void);
/* Another kernel than the fastest one, for tests and measurements; false: the machine does not have
 * it. */
bool ingest_scratch_use(struct ingest_scratch *s, enum line_kernel kernel);
void ingest_scratch_free(struct ingest_scratch *s);

/* The group is opened by the first scrape. */
struct ingest *ingest_new(struct storage *storage, uint32_t shard);
/* From now on what it knows of pages is shared with all others that use the store, which must
 * outlive it. Before the first scrape. */
void ingest_use_blobs(struct ingest *ig, struct blob_store *blobs);
/* Closes the group: on the worker of the shard, or when no worker runs. */
void ingest_free(struct ingest *ig);
/* Forgets the known lines, as a changed configuration demands; the next scrape resolves every
 * series anew. Group and staleness tracking stay, so series that vanish by it end properly. */
void ingest_forget_lines(struct ingest *ig);

/* One scrape: what is given, and what came of it. */
struct ingest_scrape {
    const struct scrape_config *config;
    struct labels target; /* labels attached to samples */
    struct clock *clock;
    enum expo_format format;  /* of the page */
    int64_t ts_ms;            /* of the row */
    int64_t now_ms;           /* samples beyond ten minutes from here are out of bounds */
    int64_t deadline_mono_ns; /* for work on new series; 0 = none */
    int64_t timeout_ms;       /* of the target, for the report */
    struct scrape_histograms histograms;
    unsigned features; /* SCRAPE_* bits */

    uint64_t scraped, added, series_added;
    uint64_t duplicates, out_of_order, out_of_bounds;
    uint64_t refused; /* new series that the storage has no room for */
    uint64_t exemplars_out_of_order;
    /* as they are after ingest_page */
    bool sample_limit_hit, bucket_limit_hit, label_limit_hit, flush_forced;
};

struct ingest_report {
    bool up;
    enum scrape_failure failure; /* of a target that is not up */
    int64_t duration_ns;
    int64_t body_bytes; /* -1: size limit hit */
};

void ingest_begin(struct ingest *ig, struct ingest_scratch *s);

/* Reads the page. readable_bytes: how many bytes may be read behind body.ptr + body.len (what
 * they hold does not matter). On an error the samples are rolled back as the spec says; the text
 * is the target's lastError. The storage opens the group here or in commit: ERR_* of it. */
MUST_CHECK enum err_code ingest_page(struct ingest *ig, struct ingest_scratch *s,
                                     struct ingest_scrape *scrape, struct str body,
                                     size_t readable_bytes, struct err *err);

/* Adds stale markers and the report series and hands the row to the storage. ERR_NO_SPACE and
 * ERR_IO: stored in memory, not durable yet. */
MUST_CHECK enum err_code ingest_commit(struct ingest *ig, struct ingest_scratch *s,
                                       struct ingest_scrape *scrape,
                                       const struct ingest_report *report, struct err *err);

/* Markers for all tracked and all report series: the target is gone. */
MUST_CHECK enum err_code ingest_end(struct ingest *ig, struct ingest_scratch *s, int64_t ts_ms,
                                    struct err *err);

/* Appends the page's comments (HELP, TYPE and UNIT lines) as they stood last, and returns the
 * format they are in. Any thread. */
enum expo_format ingest_copy_comments(struct ingest *ig, struct buf *to);

/* Families that the known lines describe, and the bytes of their comments. */
struct ingest_metadata {
    uint32_t families;
    uint32_t bytes;
};
struct ingest_metadata ingest_metadata(const struct ingest *ig);

size_t ingest_line_count(const struct ingest *ig);
/* All memory of this target here, and its part of what is shared; for tests and measurements. */
size_t ingest_memory_bytes(const struct ingest *ig);

#endif
