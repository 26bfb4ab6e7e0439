/* Native histograms of Prometheus' chunks and log records (layouts: Prometheus'
 * tsdb/docs/format/chunks.md and wal.md), whatever the bytes say within bounds. Pure. */
#ifndef TSDB_PROM_HISTOGRAM_H
#define TSDB_PROM_HISTOGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/cursor.h"
#include "base/err.h"
#include "base/histogram.h"
#include "base/str.h"
#include "tsdb/prom_chunk.h"

/* Appends the samples of a histogram chunk with mint <= time <= maxt; histograms go to the list's
 * arena, which must be there. ERR_CORRUPT: the bits end early, the times do not ascend or a
 * histogram cannot be; ERR_LIMIT: the list or the arena is full. What was appended before a failure
 * stays. */
MUST_CHECK enum err_code prom_histogram_chunk_read(uint8_t encoding, struct str data, int64_t mint,
                                                   int64_t maxt, struct prom_samples *to,
                                                   struct err *err);

/* A histogram of a log record. ERR_CORRUPT: it is cut off; ERR_LIMIT: the arena is full; ERR_INVALID:
 * it can be passed over, but is none that a storage keeps. */
MUST_CHECK enum err_code prom_histogram_take(struct cursor *c, bool floats, struct arena *arena,
                                             struct histogram *out);

#endif
