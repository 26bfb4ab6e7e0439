/* The samples of Prometheus' log by series, encoded: what prom_storage keeps of it in memory. The start
 * times, which the chunks have no place for, are kept where they change.
 *
 * Filled once, series by series; after that constant, for any number of threads. */
#ifndef TSDB_PROM_HEAD_CHUNKS_H
#define TSDB_PROM_HEAD_CHUNKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "tsdb/prom_chunk.h"

struct prom_head_chunk;

struct prom_head_chunks {
    struct prom_head_chunk **series; /* of each one its chunks, by time; NULL: none */
    uint32_t series_count;
    uint64_t chunk_count;
    size_t max_bytes;
    struct arena arena;
    struct buf data; /* of the chunk that is made */
};

void prom_head_chunks_init(struct prom_head_chunks *c, uint32_t series_count, size_t max_bytes);
void prom_head_chunks_release(struct prom_head_chunks *c); /* a zeroed one is fine */

/* Samples of a series, by time and later than those it has. ERR_LIMIT: all together need more than
 * max_bytes. */
MUST_CHECK enum err_code prom_head_chunks_add(struct prom_head_chunks *c, uint32_t series,
                                              const struct prom_samples *samples, struct err *err);

bool prom_head_chunks_overlap(const struct prom_head_chunks *c, uint32_t series, int64_t mint,
                              int64_t maxt);
/* Appends those with mint <= time <= maxt; errors as prom_chunk_read. */
MUST_CHECK enum err_code prom_head_chunks_read(const struct prom_head_chunks *c, uint32_t series,
                                               int64_t mint, int64_t maxt, struct prom_samples *to,
                                               struct err *err);

#endif
