/* The payload of a series log record: a batch of definitions to bytes and back. Format: FORMAT.md
 * section 6. Private to series_log.c and its tests. Pure. */
#ifndef TSDB_SERIES_BATCH_H
#define TSDB_SERIES_BATCH_H

#include "base/buf.h"
#include "tsdb/series_log.h"

/* Appends to out, for each record that the batch needs, u32 size and that many bytes of payload.
 * A record ends after the entry that brings it to SERIES_BATCH_RECORD_BYTES. ERR_LIMIT. */
enum { SERIES_BATCH_RECORD_BYTES = 1 << 20 };
MUST_CHECK enum err_code series_batch_encode(const struct series_log_batch *batch, struct buf *out,
                                             struct err *err);

/* Hands one payload to the handler and raises *next to the first numbers not used by it. ERR_CORRUPT
 * (without a place) for bytes that no encoder writes; what came before them was handed out. */
MUST_CHECK enum err_code series_batch_decode(const uint8_t *payload, size_t size,
                                             const struct series_log_handler *handler, void *ctx,
                                             struct series_log_next *next, struct err *err);

#endif
