/* Writes a block of Prometheus: chunk files, index (version 2), an empty tombstones file, meta.json
 * (layouts: Prometheus' tsdb/docs/format/). The counterpart of prom_block.h.
 *
 * Series come in the order of their labels, each with its samples in time order; chunks go to disk at
 * once. The block appears under its ULID when it is complete; until then its folder ends in
 * ".tmp-for-creation", which Prometheus removes at its start.
 *
 * One thread. Memory: label strings, and about 30 bytes and 8 for each label of each series. */
#ifndef TSDB_PROM_BLOCK_WRITER_H
#define TSDB_PROM_BLOCK_WRITER_H

#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/rng.h"
#include "base/vfs.h"
#include "tsdb/prom_block.h"
#include "tsdb/prom_chunk.h"

struct prom_block_writer;

struct prom_block_writer_options {
    struct vfs *vfs;
    struct clock *clock;
    struct rng *rng;
    const char *path;           /* the data directory; made if it is missing */
    uint64_t segment_bytes_max; /* of a chunk file; 0: 512 MiB */
};

MUST_CHECK enum err_code prom_block_writer_new(const struct prom_block_writer_options *options,
                                               struct prom_block_writer **out, struct err *err);
/* Removes what is not finished. NULL is fine. */
void prom_block_writer_free(struct prom_block_writer *w);

/* A series without samples is left out. ERR_INVALID: not behind the one before. */
MUST_CHECK enum err_code prom_block_writer_add(struct prom_block_writer *w, struct labels labels,
                                               const struct prom_sample *samples, size_t n,
                                               struct err *err);

/* Completes the block; without any series there is none, and out->ulid is empty. Counts and times
 * of the block's own samples; out owns nothing. */
MUST_CHECK enum err_code prom_block_writer_finish(struct prom_block_writer *w,
                                                  struct prom_block_meta *out, struct err *err);

#endif
