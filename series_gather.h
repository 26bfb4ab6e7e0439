/* Samples gathered series by series, in any order, to become one block of Prometheus. One thread.
 * Memory: the samples, 24 bytes each, and the labels. */
#ifndef SERIES_GATHER_H
#define SERIES_GATHER_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "tsdb/prom_block_writer.h"

struct gathered_series {
    struct labels labels;
    uint64_t hash;
    struct prom_samples samples;
};

struct series_gather {
    struct arena arena; /* labels */
    struct gathered_series *series;
    uint32_t count;
    uint32_t capacity;
    uint32_t *table; /* series + 1 */
    size_t mask;
};

void series_gather_init(struct series_gather *g);
void series_gather_release(struct series_gather *g);

/* The samples of the series with these labels, which are copied. Valid until the next call. */
struct prom_samples *series_gather_samples(struct series_gather *g, struct labels labels);

/* Writes the samples, which are in order, as one block. The series are sorted by that: nothing may
 * be added any more. *out_written is false when there is no sample and so no block. */
MUST_CHECK enum err_code series_gather_write(struct series_gather *g,
                                             const struct prom_block_writer_options *options,
                                             bool *out_written, struct err *err);

#endif
