/* Selectors: series are found once per query, read in batches into scratch memory, and handed on
 * one by one. A batch is as large as keeps the scratch at a few MiB, so memory does not grow with
 * the number of series (read_ahead.h); window bounds are shared by the series of a batch that share a timestamp
 * column. */
#include <string.h>

#include "base/histogram.h"
#include "base/value.h"
#include "query/bits.h"
#include "query/eval.h"
#include "query/histogram_note.h"
#include "query/histogram_stats.h"
#include "query/interpolate.h"
#include "query/kept_samples.h"
#include "query/plain_sets.h"
#include "query/read_ahead.h"
#include "query/selector_state.h"

static enum err_code select_series(struct eval *ev, const struct plan_selector *selector,
                                   struct selector_state **out, struct err *err) {
    struct selector_state *state = &ev->selectors[selector->number];
    *out = state;
    if (state->selected || ev->querier == NULL) {
        return ERR_OK;
    }
    const struct storage_select_hints hints = {.sorted = ev->sorted_select};
    work_grant(&ev->base);
    enum err_code code = storage_select(ev->storage, ev->querier, selector->matchers,
                                        selector->matcher_count, &hints, &state->selection, err);
    if (code != ERR_OK) {
        return code;
    }
    state->series = storage_selection_series(ev->storage, state->selection, &state->count);
    state->selected = true;
    return work_check(&ev->base, err);
}

/* ---- do the series stay different without their names? ---- */

static bool name_is_pinned(const struct plan_selector *selector) {
    for (size_t i = 0; i < selector->matcher_count; i++) {
        const struct matcher *m = &selector->matchers[i];
        if (m->type == MATCH_EQUAL && m->value.len != 0 && str_eq(m->name, LABEL_NAME)) {
            return true;
        }
    }
    return false;
}

static enum err_code any_type_or_unit(struct eval *ev, const struct selector_state *state,
                                      bool *out, struct err *err) {
    *out = false;
    for (size_t i = 0; i < state->count && !*out; i++) {
        const struct label_set *a = label_space_get(&ev->sets, state->series[i].target_set, err);
        const struct label_set *b =
            a != NULL ? label_space_get(&ev->sets, state->series[i].metric_set, err) : NULL;
        if (b == NULL) {
            return ERR_LIMIT;
        }
        *out = a->has_type_or_unit || b->has_type_or_unit;
        const enum err_code code = eval_worked(ev, WORK_ROW, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return ERR_OK;
}

static enum err_code compare_plain(struct eval *ev, const struct selector_state *state, bool *out,
                                   struct err *err) {
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    struct label_groups groups;
    enum err_code code = label_groups_init(&groups, &tmp, NULL, 0, GROUP_DROP, err);
    *out = true;
    for (size_t i = 0; i < state->count && code == ERR_OK && *out; i++) {
        struct row row = {.plain = true};
        row.target = label_space_get(&ev->sets, state->series[i].target_set, err);
        row.metric = row.target != NULL
                         ? label_space_get(&ev->sets, state->series[i].metric_set, err)
                         : NULL;
        uint32_t group = 0;
        code = row.metric != NULL ? label_groups_of(&groups, &row, &group, err) : ERR_LIMIT;
        *out = code == ERR_OK && group == i;
    }
    work_end(&tmp);
    return code;
}

static enum err_code compare_sets(struct eval *ev, const struct selector_state *state, bool *out,
                                  struct err *err) {
    enum plain_sets sets = PLAIN_SETS_UNLIKE;
    const enum err_code code = plain_sets_compare(ev, state->series, state->count, &sets, err);
    if (code == ERR_OK && sets == PLAIN_SETS_UNLIKE) {
        return compare_plain(ev, state, out, err);
    }
    *out = sets == PLAIN_SETS_DIFFER;
    return code;
}

enum err_code eval_selector_unique(struct eval *ev, const struct plan_selector *selector, bool *out,
                                   struct err *err) {
    struct selector_state *state = NULL;
    enum err_code code = select_series(ev, selector, &state, err);
    if (code == ERR_OK && !state->unique_known) {
        bool others = false;
        code = any_type_or_unit(ev, state, &others, err);
        state->unique = true;
        if (code == ERR_OK && (others || !name_is_pinned(selector))) {
            code = compare_sets(ev, state, &state->unique, err);
        }
        state->unique_known = code == ERR_OK;
    }
    *out = state->unique;
    return code;
}

enum err_code eval_selector_count(struct eval *ev, const struct plan_selector *selector,
                                  size_t *out, struct err *err) {
    struct selector_state *state = NULL;
    const enum err_code code = select_series(ev, selector, &state, err);
    *out = state->count;
    return code;
}

enum err_code eval_selector_probe(struct eval *ev, const struct plan_selector *selector,
                                  size_t series, int64_t mint, int64_t maxt, struct work *scratch,
                                  struct storage_samples *out, struct err *err) {
    const struct selector_state *state = &ev->selectors[selector->number];
    work_grant(scratch);
    const enum err_code code = storage_read(ev->storage, ev->querier, state->selection, series, 1,
                                            mint, maxt, &scratch->arena, out, err);
    return code == ERR_LIMIT ? work_over(scratch, err) : code;
}

/* ---- reading ---- */

struct scan {
    struct eval *ev;
    const struct plan_selector *selector;
    struct pos_range pos;
    struct window_spec spec;
    enum storage_want want;
    struct work kept; /* bounds that outlive a batch */
    struct work scratch;
    struct window_cache cache;
    /* One series with samples in the range; labels hold the two sets. */
    enum err_code (*series)(struct scan *scan, const struct storage_samples *samples,
                            const struct row *labels, struct err *err);
    void *ctx;
};

static struct window_spec spec_of(const struct plan_selector *s, const struct grid *grid) {
    return (struct window_spec){
        .grid = grid,
        .range_ms = s->range_ms,
        .offset_ms = s->time.offset_ms,
        .fixed = s->time.has_at,
        .fixed_ms = time_sub(s->time.at_ms, s->time.offset_ms),
    };
}

static enum err_code scan_one(struct scan *scan, const struct storage_series *series,
                              const struct storage_samples *samples, struct err *err) {
    if (samples->count == 0) {
        return ERR_OK;
    }
    struct storage_samples statistics;
    if (samples->histograms != NULL && scan->selector->statistics_only) {
        if (histogram_statistics(&scan->scratch, samples, &scan->spec, &statistics, err) !=
            ERR_OK) {
            return ERR_LIMIT;
        }
        samples = &statistics;
    }
    struct label_space *sets = &scan->ev->sets;
    struct row row = {.target = label_space_get(sets, series->target_set, err)};
    row.metric = row.target != NULL ? label_space_get(sets, series->metric_set, err) : NULL;
    if (row.metric == NULL) {
        return ERR_LIMIT;
    }
    const enum err_code code =
        eval_worked(scan->ev, samples->count + scan->spec.grid->count + WORK_ROW, err);
    return code == ERR_OK ? scan->series(scan, samples, &row, err) : code;
}

/* No block of a storage lies whole in shorter windows, or few do. */
#define CONDENSED_RANGE_MIN_MS (30 * INT64_C(60000))

/* The windows of the scan, when less than all samples is wanted of them. */
static struct storage_windows windows_of(const struct scan *scan) {
    const struct window_spec *spec = &scan->spec;
    const bool few = spec->fixed || spec->grid->count == 1;
    return (struct storage_windows){.first_end_ms = window_end(spec, 0),
                                    .step_ms = few ? 1 : spec->grid->step_ms,
                                    .count = few ? 1 : spec->grid->count,
                                    .range_ms = spec->range_ms,
                                    .want = scan->want};
}

static void begin_windows(struct scan *scan) {
    work_begin(&scan->kept, &scan->ev->budget);
    work_begin(&scan->scratch, &scan->ev->budget);
    window_cache_init(&scan->cache, &scan->scratch, &scan->spec);
    window_cache_keep(&scan->cache, &scan->kept);
}

static void end_windows(struct scan *scan) {
    work_end(&scan->scratch);
    work_end(&scan->kept);
}

static struct read_source source_of(const struct scan *scan, const struct selector_state *state) {
    const struct window_spec *spec = &scan->spec;
    /* hints of statistics look at the sample on the excluded edge as well (spec section 22) */
    return (struct read_source){.selection = state->selection,
                                .series = state->series,
                                .count = state->count,
                                .mint = time_add(time_sub(window_end(spec, 0), spec->range_ms),
                                                 scan->selector->statistics_only ? 0 : 1),
                                .maxt = window_end(spec, spec->grid->count - 1),
                                .windows = windows_of(scan)};
}

static enum err_code scan_batch(struct scan *scan, const struct selector_state *state,
                                const struct read_batch *batch, struct kept_samples *keep,
                                struct err *err) {
    enum err_code code = eval_pause(scan->ev, err);
    kept_samples_next_batch(keep);
    for (size_t i = 0; i < batch->count && code == ERR_OK; i++) {
        kept_samples_add(keep, &batch->samples[i]);
        code = scan_one(scan, &state->series[batch->first + i], &batch->samples[i], err);
    }
    return code;
}

/* The same without reading. */
static enum err_code scan_kept(struct scan *scan, const struct selector_state *state,
                               const struct kept_samples *kept, struct err *err) {
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < kept->count && code == ERR_OK; i++) {
        if (i % READ_BATCH_MAX == 0) {
            work_reset(&scan->scratch);
            window_cache_clear(&scan->cache);
            code = eval_pause(scan->ev, err);
        }
        if (code == ERR_OK) {
            code = scan_one(scan, &state->series[i], &kept->samples[i], err);
        }
    }
    return code;
}

static enum err_code scan_read(struct scan *scan, const struct selector_state *state,
                               const struct read_source *source, struct kept_samples *keep,
                               struct err *err) {
    struct work slots;
    struct read_ahead reader;
    struct read_batch *batch = NULL;
    enum err_code code = ERR_OK;
    work_begin(&slots, &scan->ev->budget);
    begin_windows(scan);
    read_ahead_begin(&reader, scan->ev, &slots, source);
    kept_samples_begin(keep, source->count, source->mint, source->maxt);
    do {
        const size_t scratch_bytes = scan->scratch.arena.used_bytes;
        work_reset(&scan->scratch);
        window_cache_clear(&scan->cache);
        code = read_ahead_next(&reader, scratch_bytes, &batch, err);
        if (code == ERR_OK && batch != NULL) {
            code = scan_batch(scan, state, batch, keep, err);
        }
    } while (code == ERR_OK && batch != NULL);
    kept_samples_end(keep, code == ERR_OK);
    read_ahead_end(&reader);
    end_windows(scan);
    work_end(&slots);
    return code;
}

static enum err_code scan_run(struct scan *scan, struct err *err) {
    struct selector_state *state = NULL;
    struct eval *ev = scan->ev;
    enum err_code code = select_series(ev, scan->selector, &state, err);
    if (code != ERR_OK || scan->spec.range_ms <= 0 || state->count == 0) {
        return code;
    }
    const struct read_source source = source_of(scan, state);
    struct kept_samples *kept = kept_samples_of(ev, scan->selector);
    if (!kept_samples_have(kept, source.mint, source.maxt)) {
        /* what is condensed is read in less time than it takes to copy */
        return scan_read(scan, state, &source, scan->want == STORAGE_WANT_ALL ? kept : NULL, err);
    }
    begin_windows(scan);
    code = scan_kept(scan, state, kept, err);
    end_windows(scan);
    return code;
}

/* ---- instant selectors ---- */

struct instant {
    struct row_sink *sink;
    enum sample_part part;
};

/* The newest sample of each window, unless that is a stale marker. */
static ALWAYS_INLINE void fill_newest(const struct window_bounds *b,
                                      const struct storage_samples *samples, size_t steps,
                                      enum sample_part part, struct row *row) {
    for (size_t i = 0; i < steps; i++) {
        if (b->high[i] == b->low[i]) {
            continue;
        }
        const size_t at = b->high[i] - 1;
        const double v = samples->values[at];
        if (samples->has_stale && f64_is_stale(v)) {
            continue;
        }
        if (row->histograms != NULL) {
            row->histograms[i] = samples->histograms[at];
        }
        if (part == SAMPLE_VALUE) {
            row->values[i] = v;
        } else if (part == SAMPLE_TIME) {
            row->values[i] = (double)samples->ts[at] / 1000;
        } else {
            row->values[i] = samples->start_ts != NULL ? (double)samples->start_ts[at] / 1000 : 0;
        }
        bits_set(row->present, i);
    }
}

/* The line between the neighbours of each step, or the older one alone. */
static void fill_smoothed(const struct window_bounds *b, const double *values,
                          const struct window_spec *spec, int64_t after_ms, struct row *row) {
    for (size_t i = 0; i < spec->grid->count; i++) {
        const int64_t at_ms = time_sub(window_end(spec, i), after_ms);
        size_t next = b->low[i];
        while (next < b->high[i] && b->ts[next] < at_ms) {
            next++;
        }
        if (next < b->high[i] && b->ts[next] == at_ms) {
            row->values[i] = values[next];
        } else if (next == b->low[i]) {
            continue;
        } else if (next < b->high[i]) {
            row->values[i] = interpolate(b->ts + next - 1, values + next - 1, at_ms, false);
        } else {
            row->values[i] = values[next - 1];
        }
        bits_set(row->present, i);
    }
}

/* Histograms between their neighbours, as counters unless both are gauges; mixed windows give
 * nothing (spec section 15). */
static enum err_code smooth_histograms(struct scan *scan, const struct window_bounds *b,
                                       const struct storage_samples *samples, struct row *row,
                                       struct err *err) {
    const struct window_spec *spec = &scan->spec;
    struct eval *ev = scan->ev;
    if (row_add_histograms(row, &scan->scratch, spec->grid->count, err) != ERR_OK) {
        return ERR_LIMIT;
    }
    fill_smoothed(b, samples->values, spec, scan->selector->after_ms, row);
    for (size_t i = 0; i < spec->grid->count; i++) {
        const struct histogram *const *h = samples->histograms + b->low[i];
        const size_t n = b->high[i] - b->low[i];
        size_t native = 0;
        for (size_t k = 0; k < n; k++) {
            native += h[k] != NULL;
        }
        if (native == 0) {
            continue;
        }
        if (native < n) {
            note_mixed_samples(ev, scan->pos, row_name(row));
            bits_clear(row->present, i);
            continue;
        }
        const int64_t *ts = b->ts + b->low[i];
        const int64_t at_ms = time_sub(window_end(spec, i), scan->selector->after_ms);
        size_t next = 0;
        while (next < n && ts[next] < at_ms) {
            next++;
        }
        struct histogram *made = NULL;
        if (next < n && ts[next] == at_ms) {
            row->histograms[i] = h[next];
        } else if (next == n) {
            work_grant(&scan->scratch);
            made = histogram_copy(&scan->scratch.arena, h[n - 1]);
            if (made == NULL) {
                return work_over(&scan->scratch, err);
            }
            made->hint = HINT_UNKNOWN;
            row->histograms[i] = made;
        } else if (next > 0) {
            if (!histogram_same_kind(h[next - 1], h[next])) {
                note_mixed_buckets(ev, scan->pos, row_name(row));
                bits_clear(row->present, i);
                continue;
            }
            const bool gauge = h[next - 1]->hint == HINT_GAUGE && h[next]->hint == HINT_GAUGE;
            const struct interpolation between = {
                .ts = ts + next - 1, .h = h + next - 1, .at_ms = at_ms, .counter = !gauge};
            const enum err_code code = interpolate_histograms(ev, scan->pos, &scan->scratch,
                                                              &between, &row->histograms[i], err);
            if (code != ERR_OK) {
                return code;
            }
        }
    }
    return ERR_OK;
}

static void copy_without_stale(const struct storage_samples *from, int64_t *ts, double *values,
                               const struct histogram **histograms, int64_t *start_ts,
                               uint32_t *rank, struct storage_samples *out) {
    size_t n = 0;
    uint32_t stale = 0;
    for (size_t i = 0; i < from->count; i++) {
        if (f64_is_stale(from->values[i])) {
            stale++;
            continue;
        }
        if (rank != NULL) {
            rank[n] = from->rank[i] - stale;
        }
        ts[n] = from->ts[i];
        values[n] = from->values[i];
        if (histograms != NULL) {
            histograms[n] = from->histograms[i];
        }
        if (start_ts != NULL) {
            start_ts[n] = from->start_ts[i];
        }
        n++;
    }
    if (rank != NULL) {
        rank[n] = from->rank[from->count] - stale;
    }
    *out = (struct storage_samples){.ts = ts,
                                    .values = values,
                                    .count = n,
                                    .histograms = histograms,
                                    .start_ts = start_ts,
                                    .rank = rank};
}

/* The column without its stale markers: then it is the series' own. */
static enum err_code without_stale(struct work *scratch, const struct storage_samples *samples,
                                   struct storage_samples *out, struct err *err) {
    *out = *samples;
    if (!samples->has_stale) {
        return ERR_OK;
    }
    const size_t count = samples->count;
    int64_t *ts = work_alloc(scratch, count, sizeof(*ts), err);
    double *values = work_alloc(scratch, count, sizeof(*values), err);
    const struct histogram **histograms = NULL;
    int64_t *start_ts = NULL;
    uint32_t *rank = NULL;
    if (samples->rank != NULL) {
        rank = work_alloc(scratch, count + 1, sizeof(*rank), err);
    }
    if (samples->histograms != NULL) {
        histograms = work_alloc(scratch, count, sizeof(struct histogram *), err);
    }
    if (samples->start_ts != NULL) {
        start_ts = work_alloc(scratch, count, sizeof(*start_ts), err);
    }
    if (ts == NULL || values == NULL || (samples->histograms != NULL && histograms == NULL) ||
        (samples->start_ts != NULL && start_ts == NULL) ||
        (samples->rank != NULL && rank == NULL)) {
        return ERR_LIMIT;
    }
    copy_without_stale(samples, ts, values, histograms, start_ts, rank, out);
    return ERR_OK;
}

/* The same for values without stale markers: what is present is a matter of the column. */
static void fill_values(const struct window_bounds *b, const double *values, size_t steps,
                        struct row *row) {
    for (size_t i = 0; i < steps; i++) {
        if (b->high[i] > b->low[i]) {
            row->values[i] = values[b->high[i] - 1];
        }
    }
    memcpy(row->present, b->present, bits_words(steps) * sizeof(*row->present));
}

static enum err_code fill_row(struct scan *scan, const struct window_bounds *b,
                              const struct storage_samples *samples, struct row *row,
                              struct err *err) {
    const struct instant *in = scan->ctx;
    const size_t steps = scan->spec.grid->count;
    const bool native = samples->histograms != NULL;
    if (scan->selector->border == BORDER_SMOOTHED && in->part == SAMPLE_VALUE) {
        if (native) {
            return smooth_histograms(scan, b, samples, row, err);
        }
        fill_smoothed(b, samples->values, &scan->spec, scan->selector->after_ms, row);
        return ERR_OK;
    }
    if (native && row_add_histograms(row, &scan->scratch, steps, err) != ERR_OK) {
        return ERR_LIMIT;
    }
    if (in->part == SAMPLE_VALUE && !native && !samples->has_stale) {
        fill_values(b, samples->values, steps, row);
    } else if (in->part == SAMPLE_VALUE && !native) { /* constants for the compiler */
        fill_newest(b, samples, steps, SAMPLE_VALUE, row);
    } else {
        fill_newest(b, samples, steps, in->part, row);
    }
    return ERR_OK;
}

static enum err_code instant_series(struct scan *scan, const struct storage_samples *samples,
                                    const struct row *labels, struct err *err) {
    struct instant *in = scan->ctx;
    struct eval *ev = scan->ev;
    const size_t steps = scan->spec.grid->count;
    const bool smoothed = scan->selector->border == BORDER_SMOOTHED && in->part == SAMPLE_VALUE;
    struct storage_samples clean = *samples;
    if (smoothed && without_stale(&scan->scratch, samples, &clean, err) != ERR_OK) {
        return ERR_LIMIT;
    }
    const struct window_bounds *b = window_cache_get(&scan->cache, clean.ts, clean.count, err);
    struct row *row = b != NULL && b->total > 0 ? in->sink->begin(in->sink, err) : NULL;
    if (row == NULL) {
        return b != NULL && b->total == 0 ? ERR_OK : err->code;
    }
    row->target = labels->target;
    row->metric = labels->metric;
    enum err_code code = fill_row(scan, b, &clean, row, err);
    if (code != ERR_OK || !bits_any(row->present, steps)) {
        return code;
    }
    const uint64_t n = row_weight(row, steps);
    eval_count_row(ev, row, steps, n);
    code = eval_hold(ev, n, err);
    return code == ERR_OK ? in->sink->end(in->sink, row, err) : code;
}

enum err_code eval_selector(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                            enum sample_part part, struct row_sink *sink, struct err *err) {
    struct instant in = {.sink = sink, .part = part};
    struct scan scan = {.ev = ev,
                        .selector = &node->selector,
                        .pos = node->pos,
                        .spec = spec_of(&node->selector, grid),
                        .series = instant_series,
                        .ctx = &in};
    if (part != SAMPLE_VALUE) {
        /* smoothed has no meaning for the time of a sample */
        scan.spec.range_ms = node->selector.inner_range_ms;
        scan.spec.offset_ms = time_add(scan.spec.offset_ms, node->selector.after_ms);
        scan.spec.fixed_ms = time_sub(scan.spec.fixed_ms, node->selector.after_ms);
    }
    return scan_run(&scan, err);
}

/* ---- range selectors ---- */

/* The largest of a window's samples, as the limit counts them. */
static uint64_t widest_weight(const struct window_bounds *b,
                              const struct storage_samples *samples) {
    if (samples->histograms == NULL) {
        return b->widest;
    }
    size_t largest = 8;
    for (size_t i = 0; i < samples->count; i++) {
        const struct histogram *h = samples->histograms[i];
        const size_t bytes = h != NULL ? histogram_size_bytes(h) : 0;
        largest = bytes > largest ? bytes : largest;
    }
    return (uint64_t)b->widest * ((largest + 8) / 16);
}

enum err_code eval_visit_samples(struct eval *ev, struct window_cache *cache,
                                 const struct storage_samples *samples, const struct row *labels,
                                 struct range_visitor *visitor, struct err *err) {
    struct window_bounds *b =
        window_cache_get_ranked(cache, samples->ts, samples->count, samples->rank, err);
    if (b == NULL) {
        return err->code;
    }
    if (b->total == 0) {
        return ERR_OK;
    }
    enum err_code code = visitor->wants_shape ? window_shape_of(cache, b, err) : ERR_OK;
    if (code == ERR_OK && !(visitor->of_subquery && visitor->whole)) {
        code = eval_count_windows(ev, b, samples->histograms, samples->count,
                                  visitor->spec.grid->count, !visitor->of_subquery, err);
    }
    if (code == ERR_OK) {
        code = eval_hold_briefly(ev, widest_weight(b, samples), err);
    }
    if (code == ERR_OK) {
        const struct range_series series = {
            .labels = *labels,
            .bounds = b,
            .values = samples->values,
            .histograms = samples->histograms,
            .start_ts = ev->use_start_timestamps ? samples->start_ts : NULL,
            .cache = cache,
        };
        code = visitor->visit(visitor, &series, err);
    }
    return code;
}

static enum err_code range_series(struct scan *scan, const struct storage_samples *samples,
                                  const struct row *labels, struct err *err) {
    struct storage_samples clean;
    const enum err_code code = without_stale(&scan->scratch, samples, &clean, err);
    if (code != ERR_OK || clean.count == 0) {
        return code;
    }
    return eval_visit_samples(scan->ev, &scan->cache, &clean, labels, scan->ctx, err);
}

enum err_code eval_selector_ranges(struct eval *ev, const struct plan_selector *selector,
                                   const struct grid *grid, struct range_visitor *visitor,
                                   struct err *err) {
    visitor->spec = spec_of(selector, grid);
    struct scan scan = {.ev = ev,
                        .selector = selector,
                        .spec = visitor->spec,
                        .want = visitor->spec.range_ms >= CONDENSED_RANGE_MIN_MS ? visitor->want
                                                                                 : STORAGE_WANT_ALL,
                        .series = range_series,
                        .ctx = visitor};
    return scan_run(&scan, err);
}
