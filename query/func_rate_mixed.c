/* rate and its kin over histograms, over ranges that mix them with floats, and over samples with
 * start timestamps (spec/promql.md sections 15 and 16). Floats alone are func_rate.c's. */
#include <math.h>

#include "base/histogram_sum.h"
#include "query/bits.h"
#include "query/eval_call.h"
#include "query/histogram_note.h"

struct window {
    const int64_t *ts;
    const double *v;
    const struct histogram *const *h; /* or NULL */
    const int64_t *st;                /* or NULL */
    size_t n;
    size_t natives;
};

static bool window_at(const struct range_series *series, size_t step, struct window *out) {
    const size_t low = series->bounds->low[step];
    *out = (struct window){.ts = series->bounds->ts + low,
                           .v = series->values + low,
                           .h = series->histograms != NULL ? series->histograms + low : NULL,
                           .st = series->start_ts != NULL ? series->start_ts + low : NULL,
                           .n = series->bounds->high[step] - low};
    for (size_t i = 0; i < out->n && out->h != NULL; i++) {
        out->natives += out->h[i] != NULL;
    }
    return out->n > 0;
}

static int64_t start_of(const struct window *w, size_t i) {
    return w->st != NULL ? w->st[i] : 0;
}

/* Whether the counter started anew between sample i - 1 and i, by their start timestamps. */
static bool started_anew(const struct window *w, size_t i) {
    const int64_t st = start_of(w, i);
    const int64_t before = w->ts[i - 1];
    if (st == 0 || st >= w->ts[i] || st < before) {
        return false;
    }
    if (st > before) {
        return true;
    }
    const int64_t st_before = start_of(w, i - 1);
    return st_before != 0 && st_before < before;
}

static void note_overlaps(const struct range_call *call, const struct window *w, struct str name) {
    for (size_t i = 1; i < w->n && w->st != NULL; i++) {
        if (w->st[i] != 0 && w->st[i] < w->ts[i - 1] && w->st[i] != w->st[i - 1]) {
            annotations_add_overlap(&call->ev->notes, call->pos, name);
            return;
        }
    }
}

/* ---- extrapolation ---- */

enum rate_kind { KIND_DELTA, KIND_INCREASE, KIND_RATE };

struct rating {
    const struct range_call *call;
    const struct range_series *series;
    struct row *out;
    enum rate_kind kind;
    struct str name;
};

static double seconds(int64_t later, int64_t earlier) {
    return (double)time_sub(later, earlier) / 1000;
}

/* The counter started inside the window, before its first sample. */
static bool starts_inside(const struct rating *r, const struct window *w, int64_t start_ms) {
    const int64_t st = start_of(w, 0);
    return r->kind != KIND_DELTA && st != 0 && start_ms < st && st < w->ts[0];
}

/* From the first value and the change, which are of floats or counts. */
static double factor_of(const struct rating *r, const struct window *w, size_t step, double first,
                        double change, bool started) {
    const struct window_spec *spec = r->call->spec;
    const int64_t end_ms = window_end(spec, step);
    double to_start = seconds(w->ts[0], time_sub(end_ms, spec->range_ms));
    double to_end = seconds(end_ms, w->ts[w->n - 1]);
    double sampled = seconds(w->ts[w->n - 1], w->ts[0]);
    const double average = w->n > 1 ? sampled / (double)(w->n - 1) : 0;
    if (started) {
        to_start = 0;
        sampled = seconds(w->ts[w->n - 1], w->st[0]);
    } else {
        if (to_start >= average * 1.1) {
            to_start = average / 2;
        }
        if (r->kind != KIND_DELTA && change > 0 && first >= 0) {
            to_start = fmin(to_start, sampled * (first / change));
        }
    }
    if (to_end >= average * 1.1) {
        to_end = average / 2;
    }
    double factor = sampled != 0 ? (sampled + to_start + to_end) / sampled : 1;
    if (r->kind == KIND_RATE) {
        factor /= (double)spec->range_ms / 1000;
    }
    return factor;
}

static void rate_floats(const struct rating *r, const struct window *w, size_t step, bool started) {
    double change = w->n > 1 ? w->v[w->n - 1] - w->v[0] : 0; /* Inf - Inf is none */
    for (size_t i = 1; i < w->n && r->kind != KIND_DELTA; i++) {
        if (w->v[i] < w->v[i - 1] || started_anew(w, i)) {
            change += w->v[i - 1];
        }
    }
    if (started) {
        change += w->v[0];
    }
    const double factor = factor_of(r, w, step, w->v[0], change, started);
    r->out->values[step] = change * factor;
    bits_set(r->out->present, step);
}

/* The sample that the others are seen against: of the first, when the second is a reset, nothing is
 * wanted but that it fits. */
static struct histogram baseline(const struct window *w, bool counter) {
    if (counter && w->n > 1 && (started_anew(w, 1) || histogram_detect_reset(w->h[1], w->h[0]))) {
        return (struct histogram){.schema = w->h[1]->schema,
                                  .bounds = w->h[1]->bounds,
                                  .bound_count = w->h[1]->bound_count};
    }
    return *w->h[0];
}

/* Hints and kinds of buckets; false when there is no result. */
static bool fits_together(const struct rating *r, const struct window *w,
                          const struct histogram *first, int32_t *schema) {
    struct eval *ev = r->call->ev;
    const struct pos_range pos = r->call->pos;
    const bool counter = r->kind != KIND_DELTA;
    const struct histogram *last = w->h[w->n - 1];
    const bool gauge_first = w->h[0]->hint == HINT_GAUGE;
    const bool gauge_last = last->hint == HINT_GAUGE;
    if (counter && (gauge_first || gauge_last)) {
        note_not_counter(ev, pos, r->name);
    }
    if (!counter && !(gauge_first && gauge_last)) {
        note_not_gauge(ev, pos, r->name);
    }
    bool same_kind = histogram_same_kind(first, last);
    *schema = first->schema < last->schema ? first->schema : last->schema;
    for (size_t i = 1; i + 1 < w->n && counter && same_kind; i++) {
        if (w->h[i]->hint == HINT_GAUGE) {
            note_not_counter(ev, pos, r->name);
        }
        *schema = w->h[i]->schema < *schema ? w->h[i]->schema : *schema;
        same_kind = histogram_same_kind(first, w->h[i]);
    }
    if (!same_kind) {
        note_mixed_buckets(ev, pos, r->name);
    }
    return same_kind;
}

/* The change over the window, not extrapolated; NULL: no memory. */
static struct histogram *change_of(const struct rating *r, const struct window *w,
                                   const struct histogram *first, int32_t schema,
                                   struct arena *arena) {
    struct eval *ev = r->call->ev;
    struct histogram_sum sum;
    const struct histogram *last = w->h[w->n - 1];
    if (schema < last->schema) {
        last = histogram_reduce(arena, last, schema);
    }
    if (last == NULL || !histogram_sum_init(&sum, arena, last, false) ||
        !histogram_sum_subtract(&sum, first)) {
        return NULL;
    }
    if (sum.reconciled) {
        note_reconciled(ev, r->call->pos, "subtraction");
        sum.reconciled = false;
    }
    const struct histogram *before = first;
    for (size_t i = 1; i < w->n && r->kind != KIND_DELTA; i++) {
        if ((started_anew(w, i) || histogram_detect_reset(w->h[i], before)) &&
            !histogram_sum_add(&sum, before)) {
            return NULL;
        }
        before = w->h[i];
    }
    if (sum.reconciled) {
        note_reconciled(ev, r->call->pos, "addition");
    }
    sum.hint = HINT_GAUGE;
    struct histogram *change = histogram_sum_finish(&sum, arena);
    return change != NULL ? histogram_compact(arena, change) : NULL;
}

static enum err_code rate_histograms(const struct rating *r, const struct window *w, size_t step,
                                     bool started, struct err *err) {
    struct work *scratch = r->call->scratch;
    work_reset(scratch);
    work_grant(scratch);
    struct arena *arena = &scratch->arena;
    struct histogram *change = NULL;
    if (w->n == 1) {
        change = histogram_copy(arena, w->h[0]);
    } else {
        const struct histogram first = baseline(w, r->kind != KIND_DELTA);
        int32_t schema = 0;
        if (!fits_together(r, w, &first, &schema)) {
            return ERR_OK;
        }
        change = change_of(r, w, &first, schema, arena);
        if (change != NULL && started) {
            struct histogram_flags flags = {.reconciled = false};
            if (!histogram_same_kind(change, w->h[0])) {
                note_mixed_buckets(r->call->ev, r->call->pos, r->name);
                return ERR_OK;
            }
            change = histogram_add(arena, change, w->h[0], &flags);
        }
    }
    if (change == NULL) {
        return work_over(scratch, err);
    }
    change->hint = HINT_GAUGE;
    const double factor = factor_of(r, w, step, w->h[0]->count, change->count, started);
    return range_put(r->call, r->out, step,
                     histogram_multiply(&r->call->results->arena, change, factor), err);
}

/* Of looking at one, in samples of floats. */
enum { HISTOGRAM_COST = 256 };

static enum err_code rate_all(const struct range_call *call, const struct range_series *series,
                              struct row *out, enum rate_kind kind, struct err *err) {
    const struct rating r = {.call = call,
                             .series = series,
                             .out = out,
                             .kind = kind,
                             .name = row_name(&series->labels)};
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < call->grid->count && code == ERR_OK; i++) {
        struct window w;
        if (!window_at(series, i, &w)) {
            continue;
        }
        code = eval_worked(call->ev, w.n + w.natives * HISTOGRAM_COST, err);
        if (code != ERR_OK) {
            break;
        }
        const int64_t start_ms = time_sub(window_end(call->spec, i), call->spec->range_ms);
        const bool started = starts_inside(&r, &w, start_ms);
        if (w.n == 1 && !started) {
            continue;
        }
        if (w.natives > 0 && w.natives < w.n) {
            note_mixed_samples(call->ev, call->pos, r.name);
            continue;
        }
        if (kind != KIND_DELTA) {
            note_overlaps(call, &w, r.name);
        }
        if (w.natives > 0) {
            code = rate_histograms(&r, &w, i, started, err);
        } else {
            rate_floats(&r, &w, i, started);
        }
    }
    return code == ERR_OK ? eval_worked(call->ev, series->bounds->total, err) : code;
}

enum err_code mixed_rate(const struct range_call *call, const struct range_series *series,
                         struct row *out, struct err *err) {
    return rate_all(call, series, out, KIND_RATE, err);
}

enum err_code mixed_increase(const struct range_call *call, const struct range_series *series,
                             struct row *out, struct err *err) {
    return rate_all(call, series, out, KIND_INCREASE, err);
}

enum err_code mixed_delta(const struct range_call *call, const struct range_series *series,
                          struct row *out, struct err *err) {
    return rate_all(call, series, out, KIND_DELTA, err);
}

/* ---- the last two samples ---- */

static enum err_code histogram_step(const struct range_call *call, const struct window *w,
                                    struct str name, bool rate, double per_s, size_t step,
                                    struct row *out, struct err *err) {
    struct eval *ev = call->ev;
    const struct histogram *last = w->h[w->n - 1];
    const struct histogram *before = w->h[w->n - 2];
    const bool gauge_last = last->hint == HINT_GAUGE;
    const bool gauge_before = before->hint == HINT_GAUGE;
    if (rate && (gauge_last || gauge_before)) {
        note_not_counter(ev, call->pos, name);
    }
    if (!rate && !(gauge_last && gauge_before)) {
        note_not_gauge(ev, call->pos, name);
    }
    struct arena *arena = &call->results->arena;
    work_grant(call->results);
    struct histogram *h = NULL;
    if (rate && (started_anew(w, w->n - 1) || histogram_detect_reset(last, before))) {
        h = histogram_compact(arena, last);
    } else {
        if (!histogram_same_kind(last, before)) {
            note_mixed_buckets(ev, call->pos, name);
            return ERR_OK;
        }
        struct histogram_flags flags = {.reconciled = false};
        h = histogram_subtract(arena, last, before, &flags);
        if (flags.reconciled) {
            note_reconciled(ev, call->pos, "subtraction");
        }
        h = h != NULL ? histogram_compact(arena, h) : NULL;
    }
    if (h != NULL) {
        h->hint = HINT_GAUGE;
        h = rate ? histogram_divide(arena, h, per_s) : h;
    }
    return range_put(call, out, step, h, err);
}

static enum err_code last_two(const struct range_call *call, const struct range_series *series,
                              struct row *out, bool rate, struct err *err) {
    const struct str name = row_name(&series->labels);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < call->grid->count && code == ERR_OK; i++) {
        struct window w;
        if (!window_at(series, i, &w) || w.n < 2) {
            continue;
        }
        const size_t at = w.n - 1;
        const int64_t gap_ms = time_sub(w.ts[at], w.ts[at - 1]);
        if (gap_ms == 0) {
            continue;
        }
        const bool native = w.h != NULL && w.h[at] != NULL;
        if (native != (w.h != NULL && w.h[at - 1] != NULL)) {
            note_mixed_samples(call->ev, call->pos, name);
        } else if (native) {
            code = histogram_step(call, &w, name, rate, (double)gap_ms / 1000, i, out, err);
        } else {
            const bool reset = rate && (w.v[at] < w.v[at - 1] || started_anew(&w, at));
            const double value = reset ? w.v[at] : w.v[at] - w.v[at - 1];
            out->values[i] = rate ? value / ((double)gap_ms / 1000) : value;
            bits_set(out->present, i);
        }
    }
    return code;
}

enum err_code mixed_irate(const struct range_call *call, const struct range_series *series,
                          struct row *out, struct err *err) {
    return last_two(call, series, out, true, err);
}

enum err_code mixed_idelta(const struct range_call *call, const struct range_series *series,
                           struct row *out, struct err *err) {
    return last_two(call, series, out, false, err);
}

/* ---- counting ---- */

static bool is_reset(const struct window *all, size_t i) {
    if (started_anew(all, i)) {
        return true;
    }
    const struct histogram *now = all->h != NULL ? all->h[i] : NULL;
    const struct histogram *before = all->h != NULL ? all->h[i - 1] : NULL;
    if (now != NULL && before != NULL) {
        return histogram_detect_reset(now, before);
    }
    return now != before || all->v[i] < all->v[i - 1];
}

static bool is_change(const struct window *all, size_t i) {
    const struct histogram *now = all->h != NULL ? all->h[i] : NULL;
    const struct histogram *before = all->h != NULL ? all->h[i - 1] : NULL;
    if (now != NULL && before != NULL) {
        return !histogram_equal(now, before);
    }
    const double a = all->v[i - 1];
    const double b = all->v[i];
    return now != before || (a != b && !(isnan(a) && isnan(b)));
}

static enum err_code count_pairs(const struct range_call *call, const struct range_series *series,
                                 bool (*counts)(const struct window *all, size_t i),
                                 struct row *out, struct err *err) {
    const struct window_bounds *b = series->bounds;
    const struct window all = {.ts = b->ts,
                               .v = series->values,
                               .h = series->histograms,
                               .st = series->start_ts,
                               .n = b->count};
    work_reset(call->scratch);
    uint32_t *before = work_alloc(call->scratch, b->count, sizeof(*before), err);
    if (before == NULL) {
        return ERR_LIMIT;
    }
    before[0] = 0;
    for (size_t i = 1; i < b->count; i++) {
        before[i] = before[i - 1] + (counts(&all, i) ? 1 : 0);
    }
    for (size_t i = 0; i < call->grid->count; i++) {
        if (b->high[i] > b->low[i]) {
            out->values[i] = before[b->high[i] - 1] - before[b->low[i]];
            bits_set(out->present, i);
        }
    }
    return ERR_OK;
}

enum err_code mixed_changes(const struct range_call *call, const struct range_series *series,
                            struct row *out, struct err *err) {
    return count_pairs(call, series, is_change, out, err);
}

enum err_code mixed_resets(const struct range_call *call, const struct range_series *series,
                           struct row *out, struct err *err) {
    return count_pairs(call, series, is_reset, out, err);
}
