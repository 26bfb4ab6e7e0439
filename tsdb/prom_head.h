/* What Prometheus' write-ahead log says about series: the samples that are in no block yet.
 *
 * Opening walks the log once for series and deletions. Samples are then loaded by ranges of time and
 * series, as many as PROM_LOAD_MAX allows, by walking those segments again that have some; so the
 * memory is bounded by the number of series and not by the size of the log. One thread at a time.
 *
 * A damaged segment is read as far as it goes and counted; the others are read. */
#ifndef TSDB_PROM_HEAD_H
#define TSDB_PROM_HEAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/log.h"
#include "base/vfs.h"
#include "tsdb/prom_chunk.h"
#include "tsdb/storage.h"

enum { PROM_LOAD_MAX = 4 << 20 }; /* samples in memory at once */

struct prom_head;

struct prom_head_stats {
    uint64_t segments;
    uint64_t damaged_segments;
    uint64_t torn_bytes;
    uint64_t samples;
    uint64_t unknown_series; /* samples whose series record is lost */
    int64_t min_ms;          /* of all samples; INT64_MAX and INT64_MIN without any */
    int64_t max_ms;
};

/* dir: the data directory. In-order samples before min_valid_ms are in blocks and are left out. log
 * (may be NULL) is told of damage. */
MUST_CHECK enum err_code prom_head_open(struct vfs *vfs, const char *dir, int64_t min_valid_ms,
                                        struct log *log, struct prom_head **out, struct err *err);
void prom_head_close(struct prom_head *head);
const struct prom_head_stats *prom_head_stats(const struct prom_head *head);

/* Loads at most so many samples at once; 0: PROM_LOAD_MAX. */
void prom_head_limit(struct prom_head *head, size_t samples);

/* Series are numbered from 0; no two have equal labels. */
uint32_t prom_head_series_count(const struct prom_head *head);
struct labels prom_head_labels(const struct prom_head *head, uint32_t series);

/* Loads the samples in [mint, maxt] of the series whose place (one number for each series) is in
 * [first, last), instead of what was loaded before. *out_next_ms: the time of the first sample behind
 * maxt, or earlier. ERR_LIMIT: too many, nothing is loaded. */
MUST_CHECK enum err_code prom_head_load(struct prom_head *head, const uint32_t *places,
                                        uint32_t first, uint32_t last, int64_t mint, int64_t maxt,
                                        int64_t *out_next_ms, struct err *err);
/* Gives back the memory of what is loaded. */
void prom_head_unload(struct prom_head *head);
/* The loaded samples of the series at a place, in the order of the log. */
const struct prom_sample *prom_head_loaded(const struct prom_head *head, uint32_t place,
                                           size_t *out_count);

/* What the log has beside samples, borrowed for the call; a failure ends the reading and is its
 * result. */
struct prom_head_notes {
    enum err_code (*exemplar)(void *ctx, struct labels series, const struct storage_exemplar *e,
                              struct err *err);
    enum err_code (*metadata)(void *ctx, struct labels series, const struct storage_metadata *m,
                              struct err *err);
};
/* Walks the log once more and hands out its exemplars and metadata in its order, those of series
 * that are gone left out. */
MUST_CHECK enum err_code prom_head_read_notes(struct prom_head *head,
                                              const struct prom_head_notes *notes, void *ctx,
                                              struct err *err);

#endif
