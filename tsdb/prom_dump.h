/* The samples of a Prometheus data directory as text, as promtool tsdb dump prints them. */
#ifndef TSDB_PROM_DUMP_H
#define TSDB_PROM_DUMP_H

#include <stdint.h>
#include <stdio.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/log.h"
#include "base/matcher.h"
#include "base/vfs.h"

struct prom_selector { /* series that all matchers match */
    const struct matcher *matchers;
    size_t count;
};

enum prom_dump_format {
    PROM_DUMP_LINES,       /* {labels} value milliseconds */
    PROM_DUMP_OPENMETRICS, /* name{labels} value seconds; a series ends at its first histogram */
    PROM_DUMP_SERIES_JSON, /* a JSON object of labels for each series that has samples */
};

struct prom_dump_options {
    enum prom_dump_format format;
    int64_t mint; /* closed at both ends */
    int64_t maxt;
    const struct prom_selector *selectors; /* series of any of them; none: all series */
    size_t selector_count;
    size_t log_samples_max; /* in memory at once; 0: PROM_LOAD_MAX */
    struct log *log;        /* told of damage that is passed over; may be NULL */
};

struct prom_dump_result {
    uint64_t samples;
    uint64_t histograms; /* of the samples */
};

/* Blocks and log, series in the order of their labels. ERR_IO: to cannot be written. */
MUST_CHECK enum err_code prom_dump(struct vfs *vfs, const char *path,
                                   const struct prom_dump_options *options, FILE *to,
                                   struct prom_dump_result *out, struct err *err);

#endif
