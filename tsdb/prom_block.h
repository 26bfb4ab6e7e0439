/* A block of Prometheus: meta.json, index, chunk files and tombstones as series with samples.
 *
 * Read only; nothing is written into the block. One thread at a time. Damage is ERR_CORRUPT with
 * the file and the offset. Samples under a tombstone are left out. Native histograms are counted
 * and left out: the storage does not keep them yet. */
#ifndef TSDB_PROM_BLOCK_H
#define TSDB_PROM_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/vfs.h"
#include "tsdb/prom_chunk.h"
#include "tsdb/prom_index.h"

enum { PROM_ULID_LENGTH = 26 };

struct prom_block_meta {
    char ulid[PROM_ULID_LENGTH + 1];
    int64_t mint; /* closed */
    int64_t maxt; /* open */
    uint64_t sample_count;
    uint64_t series_count;
    uint64_t chunk_count;
    bool out_of_order; /* made from late samples: other blocks may overlap it */
    char (*parents)[PROM_ULID_LENGTH + 1];
    size_t parent_count;
};

struct prom_block;

/* A folder whose name is one holds a block. */
bool prom_is_ulid(struct str name);

/* meta.json alone. dir is borrowed. The caller ends *out with prom_block_meta_release. */
MUST_CHECK enum err_code prom_block_meta_read(struct vfs *vfs, const char *dir,
                                              struct prom_block_meta *out, struct err *err);
void prom_block_meta_release(struct prom_block_meta *meta);
/* Bytes of the block's files. */
MUST_CHECK enum err_code prom_block_size(struct vfs *vfs, const char *dir, uint64_t *out,
                                         struct err *err);

MUST_CHECK enum err_code prom_block_open(struct vfs *vfs, const char *dir, struct prom_block **out,
                                         struct err *err);
void prom_block_close(struct prom_block *block);
struct prom_index *prom_block_index(struct prom_block *block);

/* The bytes of a chunk; they stay until the next call of the block. ERR_CORRUPT, ERR_IO. */
MUST_CHECK enum err_code prom_block_chunk(struct prom_block *block,
                                          const struct prom_chunk_meta *chunk,
                                          uint8_t *out_encoding, struct str *out, struct err *err);

struct prom_read_result {
    uint64_t
        histogram_samples; /* left out for lack of an arena; of chunks that begin in the range */
    int64_t next_ms;       /* no sample between maxt and this; INT64_MAX: none behind maxt */
};

/* Appends the samples of a series that prom_index_next or prom_index_read has filled, in [mint,
 * maxt], and adds to *result (next_ms is lowered). ERR_CORRUPT, ERR_LIMIT (the list is full),
 * ERR_IO. */
MUST_CHECK enum err_code prom_block_read(struct prom_block *block, const struct prom_series *series,
                                         int64_t mint, int64_t maxt, struct prom_samples *to,
                                         struct prom_read_result *result, struct err *err);

#endif
