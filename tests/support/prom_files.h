/* Writes what Prometheus would: chunks, chunk files, index files, log segments. An independent
 * statement of the formats for the tests of their readers; nothing here is checked or bounded. */
#ifndef TESTS_SUPPORT_PROM_FILES_H
#define TESTS_SUPPORT_PROM_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "tsdb/prom_chunk.h"

/* The data of a chunk; times ascend, n <= 65535. */
void prom_write_xor(struct buf *to, const struct prom_sample *samples, size_t n);
/* The same as XOR2. st_from: index from which on samples have a start time of their own, 0 for none;
 * first_st: sample 0 has one too. */
void prom_write_xor2(struct buf *to, const struct prom_sample *samples, size_t n, unsigned st_from,
                     bool first_st);

/* A chunk of integer or float histograms, all with the layout of the first; a stale one may end it.
 * encoding: PROM_CHUNK_HISTOGRAM and so on; some have start times. */
void prom_write_histograms(struct buf *to, uint8_t encoding, const struct prom_sample *samples,
                           size_t n);

/* Adds a chunk to the content of a chunk file (which is begun if empty); returns its offset. */
uint64_t prom_write_chunk(struct buf *file, uint8_t encoding, struct str data);

struct prom_write_series {
    const char *labels[9]; /* name, value, ... NULL; ascending */
    const struct prom_chunk_meta *chunks;
    size_t chunk_count;
};
/* The content of an index file of version 1, 2 or 3. refs (may be NULL): what tombstones call each. */
void prom_write_index(struct buf *to, unsigned version, const struct prom_write_series *series,
                      size_t n, uint64_t *refs);

/* Records of the log. labels: of each exemplar; name, value, ... NULL. */
void prom_write_series_record(struct buf *to, uint64_t ref, const char *const *labels);
struct prom_write_sample {
    uint64_t ref;
    struct prom_sample sample;
};
void prom_write_samples_record(struct buf *to, const struct prom_write_sample *samples, size_t n);
void prom_write_samples_v2_record(struct buf *to, const struct prom_write_sample *samples,
                                  size_t n);
void prom_write_exemplar_record(struct buf *to, const struct prom_write_sample *exemplars, size_t n,
                                const char *const *labels);
/* type: Prometheus' number. */
void prom_write_metadata_record(struct buf *to, uint64_t ref, unsigned type, const char *unit,
                                const char *help);
void prom_write_deletion_record(struct buf *to, uint64_t ref, int64_t mint, int64_t maxt);
enum prom_packing { PROM_PLAIN = 0, PROM_SNAPPY = 8, PROM_ZSTD = 16 };
/* Adds a record to the content of a segment, cut into fragments at the pages' ends. zstd: as one
 * raw block. */
void prom_write_record(struct buf *segment, struct str record, enum prom_packing packing);

#endif
