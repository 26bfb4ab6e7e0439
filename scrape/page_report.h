/* A page looked at for people (brasa debug scrape): what it holds, what is wrong with it and where,
 * and what a job would store of it. A good page is read exactly as a scrape reads it; a bad one is
 * read on behind each bad line, so that more than its first error can be shown.
 *
 * Everything lives in the arena; pure. */
#ifndef SCRAPE_PAGE_REPORT_H
#define SCRAPE_PAGE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/str.h"
#include "scrape/scrape.h"

enum { PAGE_ERRORS_MAX = 5, PAGE_SERIES_MAX = 100, PAGE_TYPES = 9 };

struct page_error {
    size_t line, column; /* from 1; 0 where the format has no lines */
    struct str text;
};

struct page_series {
    struct labels exposed;
    struct labels stored; /* empty when dropped */
    struct str error;     /* why it cannot be stored; "" = it can */
    bool kept;
    bool relabelled; /* metric_relabel_configs changed it, or dropped it */
};

struct page_report {
    struct str format; /* "text", "OpenMetrics", "protobuf" */
    uint64_t samples, helps, types, units, comments;
    uint64_t histograms, exemplars, timestamps; /* samples with one */
    uint64_t by_type[PAGE_TYPES];               /* TYPE lines, in the order of page_type_name */
    struct page_error errors[PAGE_ERRORS_MAX];
    size_t error_count; /* as many as are shown; the page may have more */
    uint64_t kept, dropped, refused;
    struct page_series series[PAGE_SERIES_MAX]; /* the first ones, those that relabelling changed
                                                   before the others */
    size_t series_count;
};

const char *page_type_name(size_t i);

struct page_target {
    struct labels discovered, all, labels; /* before and after relabelling; attached to samples */
    struct str url;
    bool dropped;
};
/* What relabelling would begin with, also for a target that cannot be made. */
MUST_CHECK enum err_code page_target_discovered(const struct scrape_config *config,
                                                struct labels given, struct arena *arena,
                                                struct labels *out, struct err *err);
/* What target would be made of a discovered label set by the job. */
MUST_CHECK enum err_code page_target_make(const struct scrape_config *config,
                                          struct labels discovered, struct arena *arena,
                                          struct page_target *out, struct err *err);

/* The request's header lines: Accept and Accept-Encoding. */
void page_request_lines(const struct scrape_config *config, struct arena *arena, struct str out[2]);

/* Undoes Content-Encoding with the limits of a scrape. */
MUST_CHECK enum err_code page_uncompress(struct str encoding, struct str body, size_t max_bytes,
                                         struct arena *arena, struct str *out, struct err *err);

/* body is uncompressed. ERR_INVALID when the content type leads to no format; errors of the page
 * itself are in the report. */
MUST_CHECK enum err_code page_report_make(const struct scrape_config *config, struct labels target,
                                          struct str content_type, struct str body,
                                          struct arena *arena, struct page_report *out,
                                          struct err *err);

#endif
