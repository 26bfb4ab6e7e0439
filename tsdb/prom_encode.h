/* Samples to Prometheus' chunks (layouts: Prometheus' tsdb/docs/format/chunks.md): floats as XOR,
 * native histograms as integer or float ones. The counterpart of prom_chunk.h and prom_histogram.h.
 *
 * A chunk holds samples of one kind; histograms of one chunk have one layout, and a counter's never
 * fall, so that no bucket has to be added and a reader's hints come out as they went in. Pure. */
#ifndef TSDB_PROM_ENCODE_H
#define TSDB_PROM_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "tsdb/prom_chunk.h"

enum { PROM_CHUNK_SAMPLES = 120 };

/* The sample before the chunk's first one, for the hint that its head carries. */
struct prom_encoder {
    const struct histogram *before; /* borrowed; NULL: none, or a float */
};

/* Appends the data of one chunk that holds the first samples of the list, at least one, n >= 1;
 * *out_taken says how many. Times ascend. */
enum prom_encoding prom_chunk_encode(struct prom_encoder *encoder,
                                     const struct prom_sample *samples, size_t n, struct buf *to,
                                     size_t *out_taken);

#endif
