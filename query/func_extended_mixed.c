/* Anchored and smoothed ranges that hold histograms (spec/promql.md section 15); the same steps as
 * func_extended.c takes for floats. */
#include <math.h>

#include "base/histogram_sum.h"
#include "query/bits.h"
#include "query/eval_call.h"
#include "query/histogram_note.h"

struct span {
    const int64_t *ts;
    const double *v;
    const struct histogram *const *h;
    size_t n;
    size_t first, last;
    int64_t start, end;
};

struct extending {
    const struct range_call *call;
    const struct plan_selector *selector;
    struct str name;
    bool counter, smoothed;
};

static size_t first_from(const int64_t *ts, size_t n, int64_t limit) {
    size_t i = 0;
    while (i < n && ts[i] < limit) {
        i++;
    }
    return i;
}

static struct span span_at(const struct extending *x, const struct range_series *series,
                           size_t step) {
    const struct window_bounds *b = series->bounds;
    const size_t low = b->low[step];
    struct span s = {.ts = b->ts + low,
                     .v = series->values + low,
                     .h = series->histograms + low,
                     .n = b->high[step] - low};
    s.end = time_sub(window_end(x->call->spec, step), x->selector->after_ms);
    s.start = time_sub(s.end, x->selector->inner_range_ms);
    const size_t behind = first_from(s.ts, s.n - 1, time_add(s.start, 1));
    s.first = behind > 0 ? behind - 1 : 0;
    s.last = x->smoothed ? first_from(s.ts, s.n - 1, s.end) : s.n - 1;
    return s;
}

static bool check_samples(const struct extending *x, const struct span *s) {
    struct eval *ev = x->call->ev;
    bool same_kind = true;
    for (size_t i = s->first; i <= s->last && same_kind; i++) {
        if (x->counter && s->h[i]->hint == HINT_GAUGE) {
            note_not_counter(ev, x->call->pos, x->name);
        }
        same_kind = histogram_same_kind(s->h[s->first], s->h[i]);
    }
    if (!same_kind) {
        note_mixed_buckets(ev, x->call->pos, x->name);
    }
    return same_kind;
}

static enum err_code border(const struct extending *x, const struct span *s, size_t at,
                            int64_t at_ms, const struct histogram **out, struct err *err) {
    const struct interpolation between = {
        .ts = s->ts + at, .h = s->h + at, .at_ms = at_ms, .counter = x->counter};
    return interpolate_histograms(x->call->ev, x->call->pos, x->call->scratch, &between, out, err);
}

/* What a counter lost at resets: one histogram, which the result gets at once. */
struct lost {
    struct histogram_sum sum;
    bool any;
};

static bool lost_add(struct lost *l, struct arena *arena, const struct histogram *h) {
    if (l->any) {
        return histogram_sum_add(&l->sum, h);
    }
    l->any = true;
    return histogram_sum_init(&l->sum, arena, h, false);
}

/* False: no memory. */
static bool find_resets(const struct extending *x, const struct span *s,
                        const struct histogram *left, const struct histogram *right,
                        struct lost *lost) {
    struct arena *arena = &x->call->scratch->arena;
    const struct histogram *before = left;
    size_t from = s->first + 1;
    if (x->smoothed && s->ts[s->first] < s->start && s->first + 1 < s->n &&
        histogram_detect_reset(s->h[s->first + 1], s->h[s->first])) {
        before = s->h[s->first + 1];
        from++;
    }
    if (from > s->last) {
        return true;
    }
    for (size_t i = from; i < s->last; i++) {
        if (histogram_detect_reset(s->h[i], before) && !lost_add(lost, arena, before)) {
            return false;
        }
        before = s->h[i];
    }
    return !histogram_detect_reset(right, before) || lost_add(lost, arena, before);
}

static bool add_resets(const struct extending *x, const struct span *s,
                       const struct histogram *left, const struct histogram *right,
                       struct histogram_sum *sum) {
    struct lost lost = {.any = false};
    if (!find_resets(x, s, left, right, &lost)) {
        return false;
    }
    if (!lost.any) {
        return true;
    }
    const struct histogram *h = histogram_sum_finish(&lost.sum, &x->call->scratch->arena);
    sum->reconciled = sum->reconciled || lost.sum.reconciled;
    return h != NULL && histogram_sum_add(sum, h);
}

static enum err_code change_at(const struct extending *x, const struct span *s, size_t step,
                               struct row *out, struct err *err) {
    const struct range_call *call = x->call;
    const struct histogram *left = s->h[s->first];
    const struct histogram *right = s->h[s->last];
    enum err_code code = ERR_OK;
    if (!check_samples(x, s)) {
        return ERR_OK;
    }
    if (x->smoothed && s->ts[s->first] < s->start && s->first + 1 < s->n) {
        code = border(x, s, s->first, s->start, &left, err);
    }
    if (code == ERR_OK && x->smoothed && s->last > 0 && s->ts[s->last] > s->end) {
        code = border(x, s, s->last - 1, s->end, &right, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (!x->counter && !(left->hint == HINT_GAUGE && right->hint == HINT_GAUGE)) {
        note_not_gauge(call->ev, call->pos, x->name);
    }
    struct histogram_sum sum;
    work_grant(call->scratch);
    if (!histogram_sum_init(&sum, &call->scratch->arena, right, false) ||
        !histogram_sum_subtract(&sum, left)) {
        return work_over(call->scratch, err);
    }
    if (sum.reconciled) {
        note_reconciled(call->ev, call->pos, "subtraction");
        sum.reconciled = false;
    }
    if (x->counter && !add_resets(x, s, left, right, &sum)) {
        return work_over(call->scratch, err);
    }
    if (sum.reconciled) {
        note_reconciled(call->ev, call->pos, "addition");
    }
    if (call->node->call.function->id == FN_RATE) {
        histogram_sum_divide(&sum, (double)x->selector->inner_range_ms / 1000);
    }
    sum.hint = HINT_GAUGE;
    work_grant(call->results);
    struct histogram *h = histogram_sum_finish(&sum, &call->scratch->arena);
    h = h != NULL ? histogram_compact(&call->results->arena, h) : NULL;
    return range_put(call, out, step, h, err);
}

/* Neighbours that differ, or resets, behind the newest sample at or before the start. */
static void count_at(const struct span *s, bool changes, size_t step, struct row *out) {
    if (s->ts[s->n - 1] <= s->start) {
        return;
    }
    const size_t behind = first_from(s->ts, s->n, time_add(s->start, 1));
    double count = 0;
    for (size_t i = behind > 0 ? behind : 1; i < s->n; i++) {
        const struct histogram *now = s->h[i];
        const struct histogram *before = s->h[i - 1];
        if ((now == NULL) != (before == NULL)) {
            count += 1;
        } else if (now != NULL) {
            count += changes ? !histogram_equal(now, before) : histogram_detect_reset(now, before);
        } else {
            const bool numbers = !isnan(s->v[i]) || !isnan(s->v[i - 1]);
            count += changes ? numbers && s->v[i] != s->v[i - 1] : s->v[i] < s->v[i - 1];
        }
    }
    out->values[step] = count;
    bits_set(out->present, step);
}

static enum err_code value_at(const struct extending *x, const struct range_series *series,
                              size_t step, struct row *out, struct err *err) {
    const int id = x->call->node->call.function->id;
    const struct span s = span_at(x, series, step);
    if (id == FN_CHANGES || id == FN_RESETS) {
        count_at(&s, id == FN_CHANGES, step, out);
        return ERR_OK;
    }
    size_t natives = 0;
    for (size_t i = 0; i < s.n; i++) {
        natives += s.h[i] != NULL;
    }
    if (natives > 0 && natives < s.n) {
        note_mixed_samples(x->call->ev, x->call->pos, x->name);
        return ERR_OK;
    }
    if (natives == 0) {
        extended_value(x->call, series, step, out);
        return ERR_OK;
    }
    if (s.ts[s.last] <= s.start || (x->smoothed && s.ts[s.first] > s.end)) {
        return ERR_OK;
    }
    return change_at(x, &s, step, out, err);
}

/* Of looking at one, in samples of floats. */
enum { HISTOGRAM_COST = 256 };

enum err_code mixed_extended(const struct range_call *call, const struct range_series *series,
                             struct row *out, struct err *err) {
    const int id = call->node->call.function->id;
    const struct plan_selector *selector = &call->node->call.args[0]->selector;
    const struct extending x = {.call = call,
                                .selector = selector,
                                .name = row_name(&series->labels),
                                .counter = id == FN_RATE || id == FN_INCREASE,
                                .smoothed = selector->border == BORDER_SMOOTHED};
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < call->grid->count && code == ERR_OK; i++) {
        work_reset(call->scratch);
        const size_t n = series->bounds->high[i] - series->bounds->low[i];
        if (n > 0) {
            code = value_at(&x, series, i, out, err);
        }
        if (code == ERR_OK) {
            code = eval_worked(call->ev, n * HISTOGRAM_COST, err);
        }
    }
    return code;
}
