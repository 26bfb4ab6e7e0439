#include "query/step_stats.h"

#include "base/histogram.h"
#include "query/bits.h"

enum err_code step_stats_new(struct eval *ev, size_t steps, struct step_stats **out,
                             struct err *err) {
    struct step_stats *s = work_alloc(&ev->base, 1, sizeof(*s), err);
    uint64_t *counts = work_zalloc(&ev->base, steps, 2 * sizeof(*counts), err);
    if (s == NULL || counts == NULL) {
        return ERR_LIMIT;
    }
    *s = (struct step_stats){.samples = counts, .fetched = counts + steps, .count = steps};
    *out = s;
    return ERR_OK;
}

/* ---- counting ---- */

static uint64_t sample_weight(const struct histogram *h) {
    return h != NULL ? (histogram_size_bytes(h) + 8) / 16 : 1;
}

void eval_count_row(struct eval *ev, const struct row *row, size_t steps, uint64_t weight) {
    ev->samples_read += weight;
    ev->samples_fetched += weight;
    if (ev->steps == NULL) {
        return;
    }
    for (size_t i = bits_next(row->present, steps, 0); i < steps;
         i = bits_next(row->present, steps, i + 1)) {
        const struct histogram *h = row_histogram(row, i);
        const uint64_t n = h != NULL ? 1 + histogram_size_bytes(h) / 16 : 1;
        ev->steps->samples[i] += n;
        ev->steps->fetched[i] += n;
    }
}

/* Samples of a window that the one before did not hold. */
static size_t new_from(const struct window_bounds *b, size_t step) {
    return step > 0 && b->high[step - 1] > b->low[step] ? b->high[step - 1] : b->low[step];
}

/* sums: of the weights of all samples before each; NULL: each weighs one. */
static uint64_t between(const struct window_bounds *b, const uint64_t *sums, size_t from,
                        size_t to) {
    if (to <= from) {
        return 0;
    }
    if (sums != NULL) {
        return sums[to] - sums[from];
    }
    return b->rank != NULL ? b->rank[to] - b->rank[from] : to - from;
}

static void count_each(struct eval *ev, const struct window_bounds *b, const uint64_t *sums,
                       size_t steps, bool fetches) {
    for (size_t i = 0; i < steps; i++) {
        const uint64_t all = between(b, sums, b->low[i], b->high[i]);
        const uint64_t fresh = fetches ? between(b, sums, new_from(b, i), b->high[i]) : 0;
        ev->samples_read += all;
        ev->samples_fetched += fresh;
        if (ev->steps != NULL) {
            ev->steps->samples[i] += all;
            ev->steps->fetched[i] += fresh;
        }
    }
}

/* Floats: windows that touch hold what the first and the last one span, others share nothing. */
static uint64_t distinct(const struct window_bounds *b, size_t steps) {
    const uint32_t low = b->low[0];
    const uint32_t high = b->high[steps - 1];
    const uint64_t span = b->rank != NULL ? b->rank[high] - b->rank[low] : high - low;
    return span < b->total ? span : b->total;
}

enum err_code eval_count_windows(struct eval *ev, const struct window_bounds *b,
                                 const struct histogram *const *histograms, size_t sample_count,
                                 size_t steps, bool fetches, struct err *err) {
    if (histograms == NULL && ev->steps == NULL && steps > 0) {
        ev->samples_read += b->total;
        ev->samples_fetched += fetches ? distinct(b, steps) : 0;
        return ERR_OK;
    }
    if (histograms == NULL) {
        count_each(ev, b, NULL, steps, fetches);
        return ERR_OK;
    }
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    uint64_t *sums = work_alloc(&tmp, sample_count + 1, sizeof(*sums), err);
    if (sums != NULL) {
        sums[0] = 0;
        for (size_t i = 0; i < sample_count; i++) {
            sums[i + 1] = sums[i] + sample_weight(histograms[i]);
        }
        count_each(ev, b, sums, steps, fetches);
    }
    work_end(&tmp);
    return sums != NULL ? ERR_OK : ERR_LIMIT;
}

/* ---- parts on grids of their own ---- */

struct step_scope step_scope_begin(struct eval *ev, struct step_stats *inner) {
    const struct step_scope scope = {.outer = ev->steps,
                                     .samples_before = ev->samples_read,
                                     .fetched_before = ev->samples_fetched};
    ev->steps = inner;
    return scope;
}

void step_scope_end_invariant(struct eval *ev, const struct step_scope *scope, size_t steps) {
    const uint64_t samples = ev->samples_read - scope->samples_before;
    ev->samples_read = scope->samples_before + samples * steps;
    ev->steps = scope->outer;
    if (ev->steps == NULL) {
        return;
    }
    for (size_t i = 0; i < steps; i++) {
        ev->steps->samples[i] += samples;
    }
    ev->steps->fetched[0] += ev->samples_fetched - scope->fetched_before;
}

/* The first step of grid at or after ts; the last one when there is none. */
static size_t step_at(const struct grid *grid, int64_t ts) {
    if (grid->count <= 1 || ts <= grid->start_ms) {
        return 0;
    }
    const uint64_t gap = (uint64_t)ts - (uint64_t)grid->start_ms;
    const uint64_t step = (gap + (uint64_t)grid->step_ms - 1) / (uint64_t)grid->step_ms;
    return step < grid->count ? (size_t)step : grid->count - 1;
}

bool subquery_use_has_gaps(const struct subquery_use *use) {
    return !use->whole && use->outer->count > 1 && use->outer->step_ms > use->range_ms;
}

/* What of counted falls to outer's steps; to is NULL when only the sum is wanted. */
static uint64_t share_fetched(const struct subquery_use *use, const struct step_stats *counted,
                              struct step_stats *to) {
    const bool gaps = subquery_use_has_gaps(use);
    uint64_t sum = 0;
    for (size_t i = 0; i < use->inner->count; i++) {
        const int64_t used_ms = time_add(grid_time(use->inner, i), use->offset_ms);
        const size_t step = step_at(use->outer, used_ms);
        if (gaps && used_ms <= time_sub(grid_time(use->outer, step), use->range_ms)) {
            continue;
        }
        sum += counted->fetched[i];
        if (to != NULL) {
            to->fetched[step] += counted->fetched[i];
        }
    }
    return sum;
}

void step_scope_end_subquery(struct eval *ev, const struct step_scope *scope,
                             const struct subquery_use *use) {
    const struct step_stats *counted = ev->steps;
    ev->steps = scope->outer;
    if (counted != NULL) {
        ev->samples_fetched = scope->fetched_before + share_fetched(use, counted, ev->steps);
    }
    if (!use->whole) {
        ev->samples_read = scope->samples_before;
    } else if (ev->steps != NULL) {
        ev->steps->samples[use->outer->count - 1] += ev->samples_read - scope->samples_before;
    }
}
