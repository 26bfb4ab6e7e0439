#include "query/window.h"

#include <string.h>

#include "query/bits.h"
#include "query/kahan.h"
#include "query/window_edge.h"

void window_cache_init(struct window_cache *cache, struct work *scratch,
                       const struct window_spec *spec) {
    memset(cache, 0, sizeof(*cache));
    cache->scratch = scratch;
    cache->spec = *spec;
}

void window_cache_keep(struct window_cache *cache, struct work *work) {
    cache->kept_work = work;
}

void window_cache_clear(struct window_cache *cache) {
    memset(cache->slots, 0, sizeof(cache->slots));
    cache->keeps = cache->kept_work != NULL;
}

/* Steps; a query of so many has few series. A multiple of 64. */
enum { BOUNDS_BETWEEN_PAUSES = 16384 };

/* Whether no edge of a window saturates. */
static bool edges_are_plain(const struct window_spec *spec) {
    const int64_t ends[] = {spec->grid->start_ms, grid_last(spec->grid)};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        int64_t end;
        int64_t begin;
        if (__builtin_sub_overflow(ends[i], spec->offset_ms, &end) ||
            __builtin_sub_overflow(end, spec->range_ms, &begin)) {
            return false;
        }
    }
    return true;
}

static void search_edges(const struct window_spec *spec, size_t from, size_t to,
                         struct window_bounds *b) {
    for (size_t i = from; i < to; i++) {
        if (spec->fixed && i > from) {
            b->low[i] = b->low[from];
            b->high[i] = b->high[from];
            continue;
        }
        const int64_t end = window_end(spec, i);
        b->low[i] = (uint32_t)window_edge_at(b->ts, b->count, time_sub(end, spec->range_ms));
        b->high[i] = (uint32_t)window_edge_at(b->ts, b->count, end);
    }
}

/* What is known of eight windows, or of fewer at the end. */
struct some_windows {
    uint32_t fewest, widest;
    uint64_t total;
    uint64_t present;
};

static ALWAYS_INLINE struct some_windows look_at(const struct window_bounds *b, size_t from,
                                                 size_t to) {
    struct some_windows w = {.fewest = UINT32_MAX};
    for (size_t i = from; i < to; i++) {
        const uint32_t n = b->high[i] - b->low[i];
        w.fewest = n < w.fewest ? n : w.fewest;
        w.widest = n > w.widest ? n : w.widest;
        w.total += n;
        w.present |= (uint64_t)(n > 0) << (i - from);
    }
    return w;
}

/* Elements stand for samples; each for one or more, so that presence and fewest stay. */
static void weigh(const struct window_bounds *b, size_t from, size_t to, struct some_windows *w) {
    w->widest = 0;
    w->total = 0;
    for (size_t i = from; i < to; i++) {
        const uint32_t samples = window_samples(b, i);
        w->widest = samples > w->widest ? samples : w->widest;
        w->total += samples;
    }
}

static void note_windows(struct window_bounds *b, size_t from, size_t to) {
    for (size_t i = from; i < to; i += 8) {
        const bool eight = to - i >= 8; /* what is left is done one by one */
        struct some_windows w = eight ? look_at(b, i, i + 8) : look_at(b, i, to);
        if (eight) {
            b->fewest[i / 8] = w.fewest;
        }
        if (b->rank != NULL) {
            weigh(b, i, eight ? i + 8 : to, &w);
        }
        b->widest = w.widest > b->widest ? w.widest : b->widest;
        b->total += w.total;
        b->present[i / 64] |= w.present << (i % 64);
    }
}

static enum err_code find_bounds(const struct window_spec *spec, struct work_budget *budget,
                                 struct window_bounds *b, struct err *err) {
    const size_t steps = spec->grid->count;
    const bool plain = !spec->fixed && edges_are_plain(spec);
    const int64_t end_ms = window_end(spec, 0);
    struct even_times even = {0};
    struct window_edge low = {.first_ms = time_sub(end_ms, spec->range_ms),
                              .step_ms = spec->grid->step_ms,
                              .even = &even};
    struct window_edge high = {.first_ms = end_ms, .step_ms = spec->grid->step_ms, .even = &even};
    for (size_t from = 0; from < steps; from += BOUNDS_BETWEEN_PAUSES) {
        const size_t most = from + BOUNDS_BETWEEN_PAUSES;
        const size_t to = most < steps ? most : steps;
        const enum err_code code = from > 0 ? work_pause(budget, err) : ERR_OK;
        if (code != ERR_OK) {
            return code;
        }
        if (plain) {
            window_edge_find(&high, b->ts, b->count, from, to, b->high);
            window_edge_find(&low, b->ts, b->count, from, to, b->low);
        } else {
            search_edges(spec, from, to, b);
        }
        note_windows(b, from, to);
    }
    return ERR_OK;
}

static struct window_bounds *make_bounds(const struct window_cache *cache, struct work *work,
                                         const int64_t *ts, size_t count, const uint32_t *rank,
                                         struct err *err) {
    const size_t steps = cache->spec.grid->count;
    struct window_bounds *b = work_alloc(work, 1, sizeof(*b), err);
    const size_t eights = steps / 8; /* what is left of the last is done one by one */
    uint32_t *columns =
        b != NULL ? work_alloc(work, 2 * steps + eights, sizeof(*columns), err) : NULL;
    uint64_t *present =
        columns != NULL ? work_zalloc(work, bits_words(steps), sizeof(*present), err) : NULL;
    if (present == NULL) {
        return NULL;
    }
    *b = (struct window_bounds){.ts = ts,
                                .count = count,
                                .rank = rank,
                                .low = columns,
                                .high = columns + steps,
                                .fewest = columns + 2 * steps,
                                .present = present,
                                .work = work};
    if (find_bounds(&cache->spec, work->budget, b, err) != ERR_OK) {
        return NULL;
    }
    return b;
}

/* ---- columns known by their times ---- */

enum { KEPT_BYTES_MAX = 1 << 20 };

static size_t kept_slot(const int64_t *ts, size_t count) {
    const uint64_t mix = ((uint64_t)ts[0] * 31 + (uint64_t)ts[count / 2]) * 31 +
                         (uint64_t)ts[count - 1] + (uint64_t)count;
    return (size_t)(mix * UINT64_C(0x9E3779B97F4A7C15) >> 32) % WINDOW_CACHE_KEPT;
}

/* A small budget keeps little. */
static bool may_keep(const struct window_cache *cache, size_t bytes) {
    const struct work *work = cache->kept_work;
    const size_t share = work->budget->max_bytes / 16;
    const size_t max = share != 0 && share < KEPT_BYTES_MAX ? share : KEPT_BYTES_MAX;
    return work->arena.used_bytes + bytes <= max;
}

static struct window_bounds *make_kept(struct window_cache *cache, const int64_t *ts, size_t count,
                                       struct err *err) {
    const size_t bytes = count * sizeof(*ts) + cache->spec.grid->count * 6 * sizeof(double);
    int64_t *copy =
        may_keep(cache, bytes) ? work_alloc(cache->kept_work, count, sizeof(*copy), err) : NULL;
    if (copy == NULL) {
        return NULL;
    }
    memcpy(copy, ts, count * sizeof(*copy));
    return make_bounds(cache, cache->kept_work, copy, count, NULL, err);
}

/* The first of two columns with one slot has it. Those of condensed samples are few and not kept: with
 * equal times they may stand for other numbers of samples. */
static struct window_bounds *bounds_of(struct window_cache *cache, const int64_t *ts, size_t count,
                                       const uint32_t *rank, struct err *err) {
    struct window_bounds *b = NULL;
    if (cache->keeps && count != 0 && rank == NULL) {
        struct window_bounds **slot = &cache->kept[kept_slot(ts, count)];
        if (*slot == NULL) {
            *slot = b = make_kept(cache, ts, count, err);
        } else if ((*slot)->count == count && memcmp((*slot)->ts, ts, count * sizeof(*ts)) == 0) {
            b = *slot;
        }
    }
    return b != NULL ? b : make_bounds(cache, cache->scratch, ts, count, rank, err);
}

struct window_bounds *window_cache_get_ranked(struct window_cache *cache, const int64_t *ts,
                                              size_t count, const uint32_t *rank, struct err *err) {
    const uint64_t hash = ((uint64_t)(uintptr_t)ts >> 4) * UINT64_C(0x9E3779B97F4A7C15);
    const size_t home = (size_t)(hash >> 32) % WINDOW_CACHE_SLOTS;
    /* A few neighbours, then the home slot is taken over: losing bounds costs time only. */
    for (size_t i = 0; i < 8; i++) {
        struct window_slot *slot = &cache->slots[(home + i) % WINDOW_CACHE_SLOTS];
        if (slot->bounds == NULL) {
            *slot = (struct window_slot){ts, count, rank, bounds_of(cache, ts, count, rank, err)};
            return slot->bounds;
        }
        if (slot->ts == ts && slot->count == count && slot->rank == rank) {
            return slot->bounds;
        }
    }
    struct window_bounds *b = bounds_of(cache, ts, count, rank, err);
    if (b != NULL) {
        cache->slots[home] = (struct window_slot){ts, count, rank, b};
    }
    return b;
}

struct window_bounds *window_cache_get(struct window_cache *cache, const int64_t *ts, size_t count,
                                       struct err *err) {
    return window_cache_get_ranked(cache, ts, count, NULL, err);
}

/* A difference of times in seconds, in doubles as the reference does it. */
static double seconds(int64_t later, int64_t earlier) {
    return (double)time_sub(later, earlier) / 1000;
}

/* A step's windows: where samples begin and end in it; what the shape depends on. */
struct window_place {
    int64_t to_start_ms, to_end_ms, sampled_ms;
    uint32_t n;
};

static struct window_place place_of(const struct window_spec *spec, const struct window_bounds *b,
                                    size_t i) {
    const int64_t end = window_end(spec, i);
    const int64_t first = b->ts[b->low[i]];
    const int64_t last = b->ts[b->high[i] - 1];
    return (struct window_place){.to_start_ms = time_sub(first, time_sub(end, spec->range_ms)),
                                 .to_end_ms = time_sub(end, last),
                                 .sampled_ms = time_sub(last, first),
                                 .n = window_samples(b, i)};
}

static void fill_shape(const struct window_place *at, double range_s,
                       const struct window_shape *shape, size_t i) {
    shape->sampled[i] = (double)at->sampled_ms / 1000;
    shape->to_start[i] = (double)at->to_start_ms / 1000;
    shape->to_end[i] = (double)at->to_end_ms / 1000;
    const double average = shape->sampled[i] / (double)(at->n - 1);
    const double threshold = average * 1.1;
    if (shape->to_start[i] >= threshold) {
        shape->to_start[i] = average / 2;
    }
    if (shape->to_end[i] >= threshold) {
        shape->to_end[i] = average / 2;
    }
    const double covered = shape->sampled[i] + shape->to_start[i] + shape->to_end[i];
    shape->factor[i] = shape->sampled[i] != 0 ? covered / shape->sampled[i] : 1;
    shape->per_second[i] = shape->factor[i] / range_s;
}

static void copy_shape(const struct window_shape *shape, size_t to, size_t from) {
    shape->sampled[to] = shape->sampled[from];
    shape->to_start[to] = shape->to_start[from];
    shape->to_end[to] = shape->to_end[from];
    shape->factor[to] = shape->factor[from];
    shape->per_second[to] = shape->per_second[from];
}

enum err_code window_shape_of(struct window_cache *cache, struct window_bounds *bounds,
                              struct err *err) {
    if (bounds->shape.sampled != NULL) {
        return ERR_OK;
    }
    const struct window_spec *spec = &cache->spec;
    const size_t steps = spec->grid->count;
    double *columns = work_alloc(bounds->work, steps, 5 * sizeof(*columns), err);
    if (columns == NULL) {
        return ERR_LIMIT;
    }
    const struct window_shape shape = {.to_start = columns,
                                       .to_end = columns + steps,
                                       .sampled = columns + 2 * steps,
                                       .factor = columns + 3 * steps,
                                       .per_second = columns + 4 * steps};
    const double range_s = (double)spec->range_ms / 1000;
    struct window_place last = {.n = 0};
    size_t like = 0; /* the step of last: samples in step with the query lie alike in all windows */
    for (size_t i = 0; i < steps; i++) {
        if (bounds->high[i] - bounds->low[i] < 2) {
            continue;
        }
        const struct window_place at = place_of(spec, bounds, i);
        if (at.n == last.n && at.to_start_ms == last.to_start_ms &&
            at.to_end_ms == last.to_end_ms && at.sampled_ms == last.sampled_ms) {
            copy_shape(&shape, i, like);
            continue;
        }
        fill_shape(&at, range_s, &shape, i);
        last = at;
        like = i;
    }
    bounds->shape = shape;
    return ERR_OK;
}

/* Samples [from, reaches) of a column whose distances are all the same. */
struct even_run {
    size_t from, reaches;
    uint64_t distance;
};

/* The run that ends at high, or begins at low when it was interrupted. */
static void even_run_extend(struct even_run *run, const int64_t *ts, size_t low, size_t high) {
    if (run->reaches <= low) {
        *run = (struct even_run){.from = low, .reaches = low + 1};
    }
    for (size_t k = run->reaches; k < high; k++) {
        const uint64_t distance = (uint64_t)ts[k] - (uint64_t)ts[k - 1];
        if (k == run->from + 1) {
            run->distance = distance;
        } else if (distance != run->distance) {
            run->from = k - 1;
            run->distance = distance;
        }
    }
    run->reaches = high > run->reaches ? high : run->reaches;
}

/* As many samples, and the first as far from the reference. */
static bool lie_alike(const struct window_bounds *b, const int64_t *reference_ms, size_t i,
                      size_t k) {
    const int64_t first = b->ts[b->low[i]];
    const int64_t other = b->ts[b->low[k]];
    return b->high[i] - b->low[i] == b->high[k] - b->low[k] &&
           (first < reference_ms[i]) == (other < reference_ms[k]) &&
           (uint64_t)first - (uint64_t)reference_ms[i] ==
               (uint64_t)other - (uint64_t)reference_ms[k];
}

static void add_times(const struct window_bounds *b, size_t step,
                      const struct window_times *times) {
    struct kahan x = {0};
    struct kahan x2 = {0};
    for (size_t k = b->low[step]; k < b->high[step]; k++) {
        const double at = seconds(b->ts[k], times->reference_ms[step]);
        kahan_add(&x, at);
        kahan_add(&x2, at * at);
    }
    times->x[step] = x.sum + x.c;
    times->x2[step] = x2.sum + x2.c;
}

/* The sums of a window are those of the one before when its samples lie the same way: in one even
 * run with it, as many, as far from their reference. */
enum err_code window_times_of(struct window_cache *cache, struct window_bounds *bounds,
                              bool to_steps, struct err *err) {
    if (bounds->times.x != NULL) {
        return ERR_OK;
    }
    const size_t steps = cache->spec.grid->count;
    int64_t *reference_ms = work_alloc(bounds->work, steps, sizeof(*reference_ms), err);
    double *columns =
        reference_ms != NULL ? work_alloc(bounds->work, steps, 2 * sizeof(*columns), err) : NULL;
    if (columns == NULL) {
        return ERR_LIMIT;
    }
    const struct window_times times = {reference_ms, columns, columns + steps};
    struct even_run run = {.reaches = 0};
    size_t like = steps; /* the last window in an even run */
    for (size_t i = 0; i < steps; i++) {
        const size_t low = bounds->low[i];
        const size_t high = bounds->high[i];
        if (high == low) {
            continue;
        }
        reference_ms[i] = to_steps ? grid_time(cache->spec.grid, i) : bounds->ts[low];
        even_run_extend(&run, bounds->ts, low, high);
        const bool even = run.from <= low;
        if (even && like < steps && run.from <= bounds->low[like] &&
            lie_alike(bounds, reference_ms, i, like)) {
            times.x[i] = times.x[like];
            times.x2[i] = times.x2[like];
            continue;
        }
        add_times(bounds, i, &times);
        like = even ? i : steps;
    }
    bounds->times = times;
    return ERR_OK;
}
