#include "query/window.h"

#include <string.h>

#include "query/bits.h"
#include "query/kahan.h"

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

/* First index in [from, count] behind which all ts are > limit. Samples mostly come in step: guess,
 * in the same range, is mostly right. */
static size_t first_behind(const int64_t *ts, size_t count, size_t from, size_t guess,
                           int64_t limit) {
    size_t low = from;
    if (guess == from || ts[guess - 1] <= limit) {
        if (guess == count || ts[guess] > limit) {
            return guess;
        }
        low = guess;
    }
    size_t jump = 1;
    while (low + jump < count && ts[low + jump] <= limit) {
        low += jump;
        jump *= 2;
    }
    size_t high = low + jump < count ? low + jump : count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (ts[mid] <= limit) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static void note(struct window_bounds *b, size_t step, size_t low, size_t high) {
    b->low[step] = (uint32_t)low;
    b->high[step] = (uint32_t)high;
    const uint32_t width = window_samples(b, step);
    b->widest = width > b->widest ? width : b->widest;
    b->total += width;
    b->present[step / 64] |= (uint64_t)(width > 0) << (step % 64);
}

/* One edge of the windows, and how far it went last. */
struct edge {
    size_t at;
    size_t went;
};

static void edge_move(struct edge *edge, const struct window_bounds *b, size_t from,
                      int64_t limit) {
    const size_t guess = edge->at + edge->went < b->count ? edge->at + edge->went : b->count;
    const size_t to = first_behind(b->ts, b->count, from, guess < from ? from : guess, limit);
    edge->went = to - edge->at;
    edge->at = to;
}

/* Steps; a query of so many has few series. */
enum { BOUNDS_BETWEEN_PAUSES = 16384 };

static enum err_code find_bounds(const struct window_spec *spec, struct work_budget *budget,
                                 struct window_bounds *b, struct err *err) {
    enum err_code code = ERR_OK;
    struct edge low = {0};
    struct edge high = {0};
    for (size_t i = 0; i < spec->grid->count && code == ERR_OK; i++) {
        const int64_t end = window_end(spec, i);
        if (i % BOUNDS_BETWEEN_PAUSES == BOUNDS_BETWEEN_PAUSES - 1) {
            code = work_pause(budget, err);
        }
        edge_move(&low, b, low.at, time_sub(end, spec->range_ms));
        edge_move(&high, b, high.at > low.at ? high.at : low.at, end);
        note(b, i, low.at, high.at);
        if (spec->fixed) {
            for (size_t rest = i + 1; rest < spec->grid->count; rest++) {
                note(b, rest, low.at, high.at);
            }
            break;
        }
    }
    return code;
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
    for (size_t i = 0; i < eights * 8; i++) {
        const uint32_t n = b->high[i] - b->low[i];
        uint32_t *fewest = &b->fewest[i / 8];
        *fewest = i % 8 == 0 || n < *fewest ? n : *fewest;
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
