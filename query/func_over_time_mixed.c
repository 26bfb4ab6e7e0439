/* *_over_time over histograms and over ranges that mix them with floats (spec/promql.md sections 13
 * and 19). */
#include <string.h>

#include "base/histogram_sum.h"
#include "query/bits.h"
#include "query/eval_call.h"
#include "query/histogram_note.h"
#include "query/native_sum.h"

/* ---- sum and mean ---- */

static enum err_code sum_window(const struct range_call *call, const struct histogram *const *h,
                                size_t n, struct str name, bool mean, size_t step, struct row *out,
                                struct err *err) {
    struct eval *ev = call->ev;
    struct native_sum sum;
    work_reset(call->scratch);
    enum err_code code = native_sum_init(&sum, call->scratch, h[0], mean, err);
    for (size_t i = 1; i < n && code == ERR_OK; i++) {
        if (!native_sum_fits(&sum, h[i])) {
            note_mixed_buckets(ev, call->pos, name);
            return ERR_OK;
        }
        code = native_sum_add(&sum, h[i], err);
    }
    if (code != ERR_OK) {
        return code;
    }
    native_sum_note(&sum, ev, call->pos);
    work_grant(call->results);
    return range_put(call, out, step, native_sum_finish(&sum, &call->results->arena), err);
}

/* Of adding one, in samples of a sum of floats. */
enum { HISTOGRAM_COST = 256 };

static enum err_code sum_all(const struct range_call *call, const struct range_series *series,
                             struct row *out, range_kernel *floats, bool mean, struct err *err) {
    const struct window_bounds *b = series->bounds;
    const struct str name = row_name(&series->labels);
    enum err_code code = floats(call, series, out, err);
    for (size_t i = 0; i < call->grid->count && code == ERR_OK; i++) {
        const struct histogram *const *h = series->histograms + b->low[i];
        const size_t n = b->high[i] - b->low[i];
        size_t natives = 0;
        for (size_t k = 0; k < n; k++) {
            natives += h[k] != NULL;
        }
        code = eval_worked(call->ev, n + natives * HISTOGRAM_COST, err);
        if (code != ERR_OK || natives == 0) {
            continue;
        }
        bits_clear(out->present, i);
        if (natives < n) {
            note_mixed_samples(call->ev, call->pos, name);
        } else {
            code = sum_window(call, h, n, name, mean, i, out, err);
        }
    }
    return code;
}

enum err_code mixed_sum(const struct range_call *call, const struct range_series *series,
                        struct row *out, struct err *err) {
    return sum_all(call, series, out, range_sum, false, err);
}

enum err_code mixed_avg(const struct range_call *call, const struct range_series *series,
                        struct row *out, struct err *err) {
    return sum_all(call, series, out, range_avg, true, err);
}

/* ---- one of the samples ---- */

static enum err_code pick(const struct range_call *call, const struct range_series *series,
                          struct row *out, bool last, struct err *err) {
    const struct window_bounds *b = series->bounds;
    const enum err_code code = row_add_histograms(out, call->results, call->grid->count, err);
    for (size_t i = 0; i < call->grid->count && code == ERR_OK; i++) {
        if (b->high[i] > b->low[i]) {
            const size_t at = last ? b->high[i] - 1 : b->low[i];
            out->values[i] = series->values[at];
            out->histograms[i] = series->histograms[at];
            bits_set(out->present, i);
        }
    }
    return code;
}

enum err_code mixed_last(const struct range_call *call, const struct range_series *series,
                         struct row *out, struct err *err) {
    return pick(call, series, out, true, err);
}

enum err_code mixed_first(const struct range_call *call, const struct range_series *series,
                          struct row *out, struct err *err) {
    return pick(call, series, out, false, err);
}

/* ---- functions of floats alone ---- */

static enum err_code float_column(struct work *work, const struct range_series *series,
                                  struct range_series *out, struct err *err) {
    const struct window_bounds *b = series->bounds;
    int64_t *ts = work_alloc(work, b->count, sizeof(*ts), err);
    double *values = ts != NULL ? work_alloc(work, b->count, sizeof(*values), err) : NULL;
    if (values == NULL) {
        return ERR_LIMIT;
    }
    size_t n = 0;
    for (size_t i = 0; i < b->count; i++) {
        if (series->histograms[i] == NULL) {
            ts[n] = b->ts[i];
            values[n++] = series->values[i];
        }
    }
    *out =
        (struct range_series){.labels = series->labels, .values = values, .cache = series->cache};
    out->bounds = window_cache_get(series->cache, ts, n, err);
    return out->bounds != NULL ? ERR_OK : err->code;
}

enum err_code range_floats_only(const struct range_call *call, const struct range_series *series,
                                range_kernel *kernel, struct row *out, struct err *err) {
    struct range_series floats;
    /* lives as long as the bounds in the cache, which know the column by its place */
    const enum err_code code = float_column(series->cache->scratch, series, &floats, err);
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; i < call->grid->count; i++) {
        const size_t all = series->bounds->high[i] - series->bounds->low[i];
        const size_t n = floats.bounds->high[i] - floats.bounds->low[i];
        if (n > 0 && n < all) {
            note_ignored_in_range(call->ev, call->pos, row_name(&series->labels));
            break;
        }
    }
    return floats.bounds->total > 0 ? kernel(call, &floats, out, err) : ERR_OK;
}
