/* Pages that are not read line by line: protobuf, histograms to convert, start timestamps of
 * OpenMetrics. Private to ingest*.c. */
#ifndef SCRAPE_INGEST_ENTRIES_H
#define SCRAPE_INGEST_ENTRIES_H

#include <stddef.h>

#include "base/attr.h"
#include "base/err.h"
#include "scrape/expo.h"
#include "scrape/page_reader.h"

/* Owner: a call of page_read_entries. */
struct entries {
    struct page_reader *r;
    size_t comment_at; /* in the scratch's comments: what no sample stands behind yet */
    int max_schema;    /* of native histograms */
};

/* Hands a sample on, with the comments since the last one; labels as page_labels_fn says. A
 * histogram is brought within the target's limits and checked. */
MUST_CHECK enum err_code entries_take(struct entries *e, struct expo_entry *sample,
                                      page_labels_fn *labels, void *ctx, struct err *err);

/* Reads a page of lines (ingest_collate.c). */
MUST_CHECK enum err_code entries_read_lines(struct entries *e, struct err *err);

#endif
