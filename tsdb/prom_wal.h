/* Prometheus' write-ahead log: the newest checkpoint, the segments behind it, and the log of late
 * samples (layout: Prometheus' tsdb/docs/format/wal.md).
 *
 * Read only. Records never cross a segment, so that each can be read for itself, in any order and
 * as often as needed. One thread at a time. Memory: one record, PROM_RECORD_BYTES_MAX. */
#ifndef TSDB_PROM_WAL_H
#define TSDB_PROM_WAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/histogram.h"
#include "base/labels.h"
#include "base/vfs.h"
#include "tsdb/storage.h"

enum { PROM_RECORD_BYTES_MAX = 256 << 20 };

struct prom_wal;

/* Labels are borrowed for the call. A failure ends the reading and is its result. Any may be NULL. */
struct prom_wal_handler {
    enum err_code (*series)(void *ctx, uint64_t ref, struct labels labels, struct err *err);
    /* start_ms: 0 = unknown */
    enum err_code (*sample)(void *ctx, uint64_t ref, int64_t ts_ms, int64_t start_ms, double value,
                            struct err *err);
    /* [INT64_MIN, INT64_MAX]: the series is gone with all that came before */
    enum err_code (*deleted)(void *ctx, uint64_t ref, int64_t mint, int64_t maxt, struct err *err);
    /* h is borrowed for the call */
    enum err_code (*histogram)(void *ctx, uint64_t ref, int64_t ts_ms, int64_t start_ms,
                               const struct histogram *h, bool floats, struct err *err);
    /* e and m are borrowed for the call */
    enum err_code (*exemplar)(void *ctx, uint64_t ref, const struct storage_exemplar *e,
                              struct err *err);
    enum err_code (*metadata)(void *ctx, uint64_t ref, const struct storage_metadata *m,
                              struct err *err);
};

/* Finds the files of a Prometheus data directory; ERR_OK without segments if it has no log.
 * ERR_CORRUPT: segments are missing in between. */
MUST_CHECK enum err_code prom_wal_open(struct vfs *vfs, const char *dir, struct prom_wal **out,
                                       struct err *err);
void prom_wal_close(struct prom_wal *wal);

/* In the order of writing; those of late samples come last. */
size_t prom_wal_segment_count(const struct prom_wal *wal);
const char *prom_wal_segment_path(const struct prom_wal *wal, size_t i);
uint64_t prom_wal_segment_bytes(const struct prom_wal *wal, size_t i);
bool prom_wal_segment_is_late(const struct prom_wal *wal, size_t i);

/* Calls the handler for all records. ERR_CORRUPT with file and offset: what came before has been
 * handed out, the rest of the segment is lost. A record that the end of the file cuts off is what
 * a crash leaves behind: ERR_OK, its bytes are added to *out_torn_bytes. */
MUST_CHECK enum err_code prom_wal_read(struct prom_wal *wal, size_t i,
                                       const struct prom_wal_handler *handler, void *ctx,
                                       uint64_t *out_torn_bytes, struct err *err);

/* One record, as it is behind framing and compression. ERR_CORRUPT if it is cut off. */
MUST_CHECK enum err_code prom_wal_decode(struct str record, struct buf *labels,
                                         const struct prom_wal_handler *handler, void *ctx,
                                         struct err *err);

#endif
