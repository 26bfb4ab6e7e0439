/* How full the chunks of a block of Prometheus are, as text (promtool tsdb analyze --extended,
 * spec/promtool.md section 7). Private to tsdb/. One thread. Memory: 8 bytes a number, three numbers
 * for each chunk at most, and the samples of one chunk of histograms. */
#ifndef TSDB_CHUNK_ANALYSIS_H
#define TSDB_CHUNK_ANALYSIS_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "tsdb/prom_block.h"

struct chunk_numbers {
    uint64_t *items;
    size_t count;
    size_t capacity;
};

struct chunk_analysis {
    struct chunk_numbers float_samples, float_bytes;
    struct chunk_numbers histogram_samples, histogram_bytes, histogram_buckets;
    size_t chunk_count;
    struct prom_samples samples; /* scratch */
    struct arena histograms;
};

void chunk_analysis_init(struct chunk_analysis *a);
void chunk_analysis_release(struct chunk_analysis *a);
/* ERR_CORRUPT, ERR_IO: a chunk cannot be read. */
MUST_CHECK enum err_code chunk_analysis_add(struct chunk_analysis *a, struct prom_block *block,
                                            const struct prom_chunk_meta *chunk, struct err *err);
void chunk_analysis_print(struct chunk_analysis *a, struct buf *to);

#endif
