/* Windows of a range selector (or the lookback of an instant one): for each step the samples in
 * (t - range, t] of a timestamp column. They depend on the column alone, so series that share
 * one share the bounds, and everything of rate's extrapolation that does not look at values.
 *
 * Owner: the evaluation of one selector; memory is the batch's scratch, emptied with it. Where targets
 * come again in each batch, columns with equal times are known again by their content: their bounds
 * stay in memory that lasts, up to 1 MiB. */
#ifndef QUERY_WINDOW_H
#define QUERY_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"
#include "query/grid.h"
#include "query/work.h"

struct window_spec {
    const struct grid *grid;
    int64_t range_ms;
    int64_t offset_ms;
    bool fixed;       /* @: the window ends at fixed_ms at every step */
    int64_t fixed_ms; /* the @ time minus offset */
};

static inline int64_t window_end(const struct window_spec *spec, size_t step) {
    return spec->fixed ? spec->fixed_ms : time_sub(grid_time(spec->grid, step), spec->offset_ms);
}

/* What extrapolation (spec section 16) needs besides the values; per step with >= 2 samples. */
struct window_shape {
    double *to_start; /* s, after the cut at 1.1 average intervals */
    double *to_end;
    double *sampled;    /* s between first and last sample */
    double *factor;     /* (sampled + to_start + to_end) / sampled */
    double *per_second; /* factor / range in seconds */
};

/* Sums over the times of a window's samples, in seconds from reference_ms, compensated. */
struct window_times {
    int64_t *reference_ms;
    double *x;
    double *x2;
};

struct window_bounds {
    const int64_t *ts;
    size_t count;
    const uint32_t *rank;      /* of condensed samples (storage.h), else NULL */
    uint32_t *low;             /* per step: first index inside */
    uint32_t *high;            /* first index behind */
    uint32_t *fewest;          /* per eight steps: elements of the shortest of their windows */
    uint64_t *present;         /* a bit per step whose window holds a sample */
    uint32_t widest;           /* in samples, as total */
    uint64_t total;            /* samples in all windows */
    struct window_shape shape; /* made by window_shape_of, else NULLs */
    struct window_times times; /* made by window_times_of, else NULLs */
    struct work *work;         /* where they lie */
};

/* Samples of a step's window. */
static inline uint32_t window_samples(const struct window_bounds *b, size_t step) {
    return b->rank == NULL ? b->high[step] - b->low[step]
                           : b->rank[b->high[step]] - b->rank[b->low[step]];
}

/* Whether the eight windows from step on (there are so many) hold n samples or more. */
static inline bool window_all_hold(const struct window_bounds *b, uint32_t n, size_t step,
                                   size_t steps) {
    if (steps - step < 8) {
        return false;
    }
    uint32_t fewest = step % 8 == 0 ? b->fewest[step / 8] : UINT32_MAX;
    for (size_t i = step; step % 8 != 0 && i < step + 8; i++) {
        const uint32_t samples = b->high[i] - b->low[i];
        fewest = samples < fewest ? samples : fewest;
    }
    return fewest >= n;
}

enum { WINDOW_CACHE_SLOTS = 1024, WINDOW_CACHE_KEPT = 256 };

struct window_slot { /* a column of the batch */
    const int64_t *ts;
    size_t count;
    const uint32_t *rank;
    struct window_bounds *bounds; /* NULL: free */
};

struct window_cache {
    struct work *scratch;
    struct work *kept_work; /* NULL: nothing outlives the batch */
    struct window_spec spec;
    struct window_slot slots[WINDOW_CACHE_SLOTS];  /* by hash of the ts pointer */
    struct window_bounds *kept[WINDOW_CACHE_KEPT]; /* by hash of their times */
    bool keeps;                                    /* a batch went by */
};

void window_cache_init(struct window_cache *cache, struct work *scratch,
                       const struct window_spec *spec);
/* Bounds may stay in work, whose owner ends it after the cache's last use. */
void window_cache_keep(struct window_cache *cache, struct work *work);
/* After the scratch was reset. */
void window_cache_clear(struct window_cache *cache);
/* NULL with *err set. ts is ascending, count < 2^32, and stays as it is until the next clear. */
MUST_CHECK struct window_bounds *window_cache_get(struct window_cache *cache, const int64_t *ts,
                                                  size_t count, struct err *err);
/* The same for condensed samples; rank may be NULL. */
MUST_CHECK struct window_bounds *window_cache_get_ranked(struct window_cache *cache,
                                                         const int64_t *ts, size_t count,
                                                         const uint32_t *rank, struct err *err);
/* Fills bounds->shape at the first call. */
MUST_CHECK enum err_code window_shape_of(struct window_cache *cache, struct window_bounds *bounds,
                                         struct err *err);
/* Fills bounds->times at the first call: relative to the steps, or to the windows' first samples. */
MUST_CHECK enum err_code window_times_of(struct window_cache *cache, struct window_bounds *bounds,
                                         bool to_steps, struct err *err);

#endif
