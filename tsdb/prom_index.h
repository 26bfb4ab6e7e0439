/* The index file of a Prometheus block, versions 1 to 3 (layout: Prometheus'
 * tsdb/docs/format/index.md). Read only, forward only: symbols and series; postings and label
 * indices are not needed to walk all series and are not read.
 *
 * One thread at a time. Memory: the symbols, up to PROM_SYMBOLS_BYTES_MAX, and a window of the
 * series. Damage is ERR_CORRUPT with the file's path and the offset. */
#ifndef TSDB_PROM_INDEX_H
#define TSDB_PROM_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/vfs.h"

#define PROM_SYMBOLS_BYTES_MAX (UINT64_C(2) << 30)
enum { PROM_SERIES_BYTES_MAX = 64 << 20 };

struct prom_index;

struct prom_chunk_meta {
    int64_t mint; /* closed at both ends */
    int64_t maxt;
    uint64_t ref; /* file number - 1 in the upper half, offset in the file in the lower */
};

/* One entry, reused from call to call. */
struct prom_series {
    uint64_t ref;    /* as tombstones name it */
    uint64_t offset; /* of the entry in the file, for prom_index_read */
    struct buf blob; /* packed labels */
    struct prom_chunk_meta *chunks;
    size_t chunk_count;
    size_t chunk_capacity;
};

void prom_series_init(struct prom_series *series);
void prom_series_release(struct prom_series *series);
static inline struct labels prom_series_labels(const struct prom_series *series) {
    return (struct labels){(const uint8_t *)buf_str(&series->blob).ptr, series->blob.len};
}

/* path is borrowed. ERR_CORRUPT, ERR_LIMIT (symbols), ERR_UNSUPPORTED (version). */
MUST_CHECK enum err_code prom_index_open(struct vfs *vfs, const char *path, struct prom_index **out,
                                         struct err *err);
void prom_index_close(struct prom_index *index);

/* Offset of the first entry. */
uint64_t prom_index_first(const struct prom_index *index);
/* The entry at *offset, which moves behind it; ERR_NOT_FOUND without a text at the end. */
MUST_CHECK enum err_code prom_index_next(struct prom_index *index, uint64_t *offset,
                                         struct prom_series *out, struct err *err);
/* The entry at an offset that prom_index_next gave. */
MUST_CHECK enum err_code prom_index_read(struct prom_index *index, uint64_t offset,
                                         struct prom_series *out, struct err *err);

#endif
