/* The metric families of a text page, as a client of the format sees them: the series of a histogram
 * or a summary belong to one metric. For checks of whole pages; scraping does without families.
 *
 * Everything lives in the arena; texts are slices of the page where they need no unescaping. One
 * thread; pure. */
#ifndef SCRAPE_METRIC_FAMILY_H
#define SCRAPE_METRIC_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/str.h"
#include "scrape/expo.h"

struct metric_item {
    struct label
        *labels; /* by name; without __name__, le of histograms and quantile of summaries */
    size_t label_count;
    uint64_t parts; /* buckets of a histogram, quantiles of a summary */
    struct metric_item *next;
};

struct metric_family {
    struct str name;
    enum expo_type type; /* EXPO_UNKNOWN: untyped */
    bool has_help;
    struct metric_item *first; /* in the order of the page; NULL: only comments */
    struct metric_item *last;
    size_t item_count;
    struct metric_family *next;
};

/* All families in the order of the page. ERR_INVALID with the line's number. */
MUST_CHECK enum err_code metric_families(struct str page, struct arena *arena,
                                         struct metric_family **out, struct err *err);

#endif
