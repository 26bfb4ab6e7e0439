/* Subqueries: the inner expression is evaluated once over all inner steps; each of its rows is then
 * a series of samples like a stored one. */
#include <string.h>

#include "base/histogram.h"
#include "query/bits.h"
#include "query/eval.h"
#include "query/step_stats.h"

static enum err_code grid_times(const struct grid *grid, struct work *work, int64_t **out,
                                struct err *err) {
    int64_t *ts = work_alloc(work, grid->count, sizeof(*ts), err);
    enum err_code code = ts != NULL ? ERR_OK : ERR_LIMIT;
    for (size_t i = 0, end = 0; i < grid->count && code == ERR_OK; i = end) {
        end = work_slice_end(i, grid->count);
        for (size_t k = i; k < end; k++) {
            ts[k] = grid_time(grid, k);
        }
        code = work_did(work->budget, end - i, err);
    }
    *out = ts;
    return code;
}

/* The samples of a row; a row without gaps uses the shared column, and with it shared windows. */
static enum err_code row_samples(const struct row *row, const int64_t *times, size_t steps,
                                 struct work *scratch, struct storage_samples *out,
                                 struct err *err) {
    const size_t n = bits_count(row->present, steps);
    *out = (struct storage_samples){
        .ts = times, .values = row->values, .count = n, .histograms = row->histograms};
    if (n == steps) {
        return ERR_OK;
    }
    int64_t *ts = work_alloc(scratch, n, sizeof(*ts) + sizeof(double), err);
    if (ts == NULL) {
        return ERR_LIMIT;
    }
    double *values = (double *)(void *)(ts + n);
    const struct histogram **histograms = NULL;
    if (row->histograms != NULL) {
        histograms = work_alloc(scratch, n, sizeof(struct histogram *), err);
        if (histograms == NULL) {
            return ERR_LIMIT;
        }
    }
    size_t to = 0;
    for (size_t i = bits_next(row->present, steps, 0); i < steps;
         i = bits_next(row->present, steps, i + 1)) {
        if (histograms != NULL) {
            histograms[to] = row->histograms[i];
        }
        ts[to] = times[i];
        values[to++] = row->values[i];
    }
    out->ts = ts;
    out->values = values;
    out->histograms = histograms;
    return ERR_OK;
}

/* What a hint says about the sample before is not true of the one a step before. */
static enum err_code forget_resets(struct matrix *rows, struct err *err) {
    for (size_t r = 0; r < rows->count; r++) {
        struct row *row = &rows->rows[r];
        for (size_t i = bits_next(row->present, rows->steps, 0);
             i < rows->steps && row->histograms != NULL;
             i = bits_next(row->present, rows->steps, i + 1)) {
            const struct histogram *h = row->histograms[i];
            if (h == NULL || (h->hint != HINT_RESET && h->hint != HINT_NOT_RESET)) {
                continue;
            }
            struct histogram *changed = work_alloc(rows->work, 1, sizeof(*changed), err);
            if (changed == NULL) {
                return ERR_LIMIT;
            }
            *changed = *h;
            changed->hint = HINT_UNKNOWN;
            row->histograms[i] = changed;
        }
    }
    return ERR_OK;
}

static enum err_code visit_rows(struct eval *ev, const struct matrix *rows, const int64_t *times,
                                struct range_visitor *visitor, struct err *err) {
    struct work scratch;
    work_begin(&scratch, &ev->budget);
    struct window_cache cache;
    window_cache_init(&cache, &scratch, &visitor->spec);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < rows->count && code == ERR_OK; i++) {
        struct storage_samples samples;
        code = row_samples(&rows->rows[i], times, rows->steps, &scratch, &samples, err);
        if (code == ERR_OK) {
            code = eval_worked(ev, samples.count + visitor->spec.grid->count, err);
        }
        if (code == ERR_OK) {
            code = eval_visit_samples(ev, &cache, &samples, &rows->rows[i], visitor, err);
        }
        if (samples.ts != times || samples.histograms != NULL) {
            work_reset(&scratch);
            window_cache_clear(&cache);
        }
    }
    work_end(&scratch);
    return code;
}

enum err_code eval_subquery_ranges(struct eval *ev, const struct plan_subquery *sub,
                                   const struct grid *grid, struct range_visitor *visitor,
                                   struct err *err) {
    visitor->spec = (struct window_spec){
        .grid = grid,
        .range_ms = sub->range_ms,
        .offset_ms = sub->time.offset_ms,
        .fixed = sub->time.has_at,
        .fixed_ms = time_sub(sub->time.at_ms, sub->time.offset_ms),
    };
    visitor->of_subquery = true;
    const struct grid inner = plan_subquery_grid(sub, grid);
    if (inner.count == 0) {
        return ERR_OK;
    }
    const struct subquery_use use = {.inner = &inner,
                                     .outer = grid,
                                     .offset_ms = sub->time.offset_ms,
                                     .range_ms = sub->range_ms,
                                     .whole = visitor->whole};
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    struct matrix rows;
    int64_t *times = NULL;
    struct step_stats *by_step = NULL;
    enum err_code code = ev->steps != NULL || subquery_use_has_gaps(&use)
                             ? step_stats_new(ev, inner.count, &by_step, err)
                             : ERR_OK;
    if (code == ERR_OK) {
        const struct step_scope scope = step_scope_begin(ev, by_step);
        code = eval_matrix(ev, sub->expr, &inner, &tmp, &rows, err);
        step_scope_end_subquery(ev, &scope, &use);
    }
    if (code == ERR_OK) {
        code = forget_resets(&rows, err);
    }
    if (code == ERR_OK && rows.count > 0) {
        code = grid_times(&inner, &tmp, &times, err);
    }
    if (code == ERR_OK && rows.count > 0) {
        code = visit_rows(ev, &rows, times, visitor, err);
    }
    work_end(&tmp);
    return code;
}
