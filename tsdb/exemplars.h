/* The newest exemplars of all series, in a ring of bounded size (spec/tsdb.md section 10).
 *
 * What is too much pushes the oldest out. Of each series the exemplars ascend by time. A table of
 * its own knows the series by their labels, so that the ring depends on nothing else.
 *
 * Ownership: everything is copied in, and copied out to the arena of a query. Threads: any; one
 * lock, held for short steps and for a selection. */
#ifndef TSDB_EXEMPLARS_H
#define TSDB_EXEMPLARS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/labels.h"
#include "base/matcher.h"
#include "tsdb/storage.h"

enum {
    EXEMPLARS_MAX = 1 << 26,
    EXEMPLAR_RUNES_MAX = 128,      /* of all names and values together */
    EXEMPLAR_LABELS_MAX = 1 << 20, /* bytes of a series' labels */
};

struct exemplars;

/* max = 0: keeps none. */
struct exemplars *exemplars_new(size_t max);
void exemplars_free(struct exemplars *ring);
/* Another maximum, at most EXEMPLARS_MAX; the newest stay. */
void exemplars_resize(struct exemplars *ring, size_t max);

/* Would exemplars_add take it? ERR_UNSUPPORTED: the ring keeps none. ERR_INVALID: its labels are too
 * long. ERR_DUPLICATE: it is the series' newest. ERR_OUT_OF_ORDER: it is older than that; at the
 * same time its value is smaller; or with the same value too, its labels' hash. */
MUST_CHECK enum err_code exemplars_check(struct exemplars *ring, struct labels series,
                                         const struct storage_exemplar *exemplar);
/* As above. tag is the caller's: where it keeps the exemplar. */
MUST_CHECK enum err_code exemplars_add(struct exemplars *ring, struct labels series,
                                       const struct storage_exemplar *exemplar, uint32_t tag);

/* The tag of the oldest exemplar; UINT32_MAX when there is none. */
uint32_t exemplars_oldest_tag(struct exemplars *ring);
/* All, oldest first; what the callback is given is borrowed, and its tag becomes *io_tag. Ends with
 * the callback's error. The callback must not use the ring. */
typedef enum err_code exemplars_visit_fn(void *ctx, struct labels series,
                                         const struct storage_exemplar *exemplar, uint32_t *io_tag,
                                         struct err *err);
MUST_CHECK enum err_code exemplars_visit(struct exemplars *ring, exemplars_visit_fn *visit,
                                         void *ctx, struct err *err);

/* Those of the closed range, of series with all matchers true, sorted by labels. ERR_LIMIT: the
 * arena's budget. */
MUST_CHECK enum err_code exemplars_select(struct exemplars *ring, const struct matcher *matchers,
                                          size_t n, int64_t min_ts_ms, int64_t max_ts_ms,
                                          struct arena *arena, struct storage_exemplar_series **out,
                                          size_t *out_count, struct err *err);

struct exemplar_stats {
    uint64_t count;
    uint64_t series;
    uint64_t max;
    int64_t oldest_ts_ms;  /* 0: none */
    uint64_t added;        /* since opening, those of the log included */
    uint64_t out_of_order; /* refused */
};
void exemplars_stats_get(struct exemplars *ring, struct exemplar_stats *out);

#endif
