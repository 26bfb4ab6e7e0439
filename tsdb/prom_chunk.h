/* Prometheus' chunks (layouts: Prometheus' tsdb/docs/format/chunks.md): floats, XOR and XOR2, here;
 * native histograms in prom_histogram.c.
 *
 * The bytes come from files that others wrote: every read is bounded, and whatever the bits say a
 * chunk yields at most 65535 samples. Pure. */
#ifndef TSDB_PROM_CHUNK_H
#define TSDB_PROM_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/histogram.h"
#include "base/str.h"

enum prom_encoding {
    PROM_CHUNK_NONE = 0,
    PROM_CHUNK_XOR = 1,
    PROM_CHUNK_HISTOGRAM = 2,
    PROM_CHUNK_FLOAT_HISTOGRAM = 3,
    PROM_CHUNK_XOR2 = 4,
    PROM_CHUNK_HISTOGRAM_ST = 5,
    PROM_CHUNK_FLOAT_HISTOGRAM_ST = 6,
};

struct prom_sample {
    int64_t ts_ms;
    double value; /* the stale NaN included; of a histogram 1 for float counts, else 0 */
    const struct histogram *histogram; /* NULL: value */
    int64_t start_ms;                  /* 0 = unknown */
};

/* Growing list, owned by the caller. max_count bounds what files can make it take. */
struct prom_samples {
    struct prom_sample *items;
    size_t count;
    size_t capacity;
    size_t max_count;
    struct arena *arena; /* of histograms; NULL: they are left out */
};

void prom_samples_init(struct prom_samples *list, size_t max_count);
void prom_samples_release(struct prom_samples *list);
/* ERR_LIMIT beyond max_count. */
MUST_CHECK enum err_code prom_samples_add(struct prom_samples *list, int64_t ts_ms, double value);
MUST_CHECK enum err_code prom_samples_add_sample(struct prom_samples *list,
                                                 const struct prom_sample *s);
/* Orders by time where needed; of equal times the one that was added first stays. */
void prom_samples_order(struct prom_samples *list);

/* Encodings that hold floats, and those that hold native histograms. */
bool prom_chunk_is_float(uint8_t encoding);
bool prom_chunk_is_histogram(uint8_t encoding);
/* The number of samples that the chunk's head declares; 0 for unknown encodings. */
uint32_t prom_chunk_count(uint8_t encoding, struct str data);

/* Appends the samples of a float chunk with mint <= time <= maxt. ERR_CORRUPT: the bits end early or
 * the times do not ascend; ERR_LIMIT: the list is full; ERR_UNSUPPORTED: another encoding. What was
 * appended before a failure stays. */
MUST_CHECK enum err_code prom_chunk_read(uint8_t encoding, struct str data, int64_t mint,
                                         int64_t maxt, struct prom_samples *to, struct err *err);

#endif
