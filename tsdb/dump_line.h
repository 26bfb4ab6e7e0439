/* The lines of a dump of samples. Private to tsdb/. Pure. */
#ifndef TSDB_DUMP_LINE_H
#define TSDB_DUMP_LINE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/histogram.h"
#include "base/labels.h"
#include "tsdb/prom_dump.h"

/* What each line of a series begins with; of PROM_DUMP_SERIES_JSON all of it. */
void dump_line_labels(struct buf *to, struct labels labels, enum prom_dump_format format);
/* histogram NULL: value. Not for a histogram in OpenMetrics, nor for series without samples. */
void dump_line_append(struct buf *to, struct str labels, const struct histogram *histogram,
                      double value, int64_t ts_ms, enum prom_dump_format format);

#endif
