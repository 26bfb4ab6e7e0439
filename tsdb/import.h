/* Takes the data of Prometheus over into a storage.
 *
 * The storage wants time to go forward: blocks are worked on oldest first, in windows of at most an
 * hour over all series, and inside a window target by target, so that series that were scraped
 * together are stored together. What is stored already with the same value is passed over, so that
 * an interrupted import can be run again.
 *
 * One thread. Memory: the labels of the series of overlapping blocks and of the log, and the
 * samples of one window of one series, one transaction and PROM_LOAD_MAX samples of the log. */
#ifndef TSDB_IMPORT_H
#define TSDB_IMPORT_H

#include <stdint.h>

#include "base/attr.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/vfs.h"
#include "tsdb/storage.h"

struct import_options {
    struct vfs *vfs;
    struct log *log;             /* damage that is passed over; may be NULL */
    const struct cancel *cancel; /* may be NULL */
    struct progress *progress;   /* begun by the caller; may be NULL */
    size_t log_samples_max;      /* in memory at once; 0: PROM_LOAD_MAX */
    const char *path;            /* Prometheus' data directory */
};

struct import_result {
    uint64_t blocks;
    uint64_t samples;          /* written */
    uint64_t present;          /* were there already */
    uint64_t conflicts;        /* other value at the same time: the stored one stays */
    uint64_t future;           /* refused: too far ahead of the clock */
    uint64_t histograms;       /* of the samples written: native histograms */
    uint64_t start_times;      /* of the samples written: with a start time */
    uint64_t damaged_segments; /* of the log, read up to the damage */
    uint64_t torn_bytes;       /* of the log's end: a write that was never finished */
    uint64_t unknown_series;   /* samples of the log whose series is lost */
    uint64_t exemplars;        /* of the log, written */
    uint64_t metadata;         /* of the log: series whose family's type, help or unit was taken */
};

/* ERR_EXISTS: the storage has newer samples than the source, or lacks some that are too old for it
 * now. ERR_CORRUPT: a block is damaged. What was written before a failure stays. *out is filled as
 * far as the work went, also on failure. */
MUST_CHECK enum err_code import_prometheus(struct storage *st, const struct import_options *options,
                                           struct import_result *out, struct err *err);

#endif
