/* rate, increase, delta, changes and resets of anchored and smoothed ranges (spec/promql.md
 * section 15): values at the very borders of the range instead of extrapolation. */
#include <math.h>

#include "query/bits.h"
#include "query/eval_call.h"
#include "query/interpolate.h"

/* The part of a window that counts, and the values at the borders. */
struct span {
    const int64_t *ts;
    const double *v;
    size_t first, last; /* indices */
    int64_t start, end; /* of the range */
    double left, right;
};

/* First index in [0, n) whose time is at or behind limit, or n. */
static size_t first_from(const int64_t *ts, size_t n, int64_t limit) {
    size_t low = 0;
    size_t high = n;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (ts[mid] < limit) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static void find_span(const struct plan_selector *s, const struct window_spec *spec,
                      const struct range_series *series, size_t step, bool counter,
                      struct span *out) {
    const struct window_bounds *b = series->bounds;
    const size_t low = b->low[step];
    const size_t n = b->high[step] - low - 1; /* index of the last sample */
    const bool smoothed = s->border == BORDER_SMOOTHED;
    struct span span = {.ts = b->ts + low, .v = series->values + low};
    span.end = time_sub(window_end(spec, step), s->after_ms);
    span.start = time_sub(span.end, s->inner_range_ms);
    const size_t behind = first_from(span.ts, n, time_add(span.start, 1));
    span.first = behind > 0 ? behind - 1 : 0;
    span.last = smoothed ? first_from(span.ts, n, span.end) : n;
    span.left = span.v[span.first];
    span.right = span.v[span.last];
    if (smoothed && span.ts[span.first] < span.start && span.first < n) {
        span.left = interpolate(span.ts + span.first, span.v + span.first, span.start, counter);
    }
    if (smoothed && span.last > 0 && span.ts[span.last] > span.end) {
        span.right =
            interpolate(span.ts + span.last - 1, span.v + span.last - 1, span.end, counter);
    }
    *out = span;
}

static bool rate_of(const struct span *s, bool smoothed, bool counter, double *out) {
    if (s->ts[s->last] <= s->start || (smoothed && s->ts[s->first] > s->end)) {
        return false;
    }
    double value = s->right - s->left;
    if (counter) {
        const size_t from = s->ts[s->first] <= s->start ? s->first + 1 : s->first;
        const size_t to = s->ts[s->last] >= s->end ? s->last : s->last + 1;
        double before = s->left;
        for (size_t i = from; i < to; i++) {
            if (s->v[i] < before) {
                value += before;
            }
            before = s->v[i];
        }
        if (s->right < before) {
            value += before;
        }
    }
    *out = value;
    return true;
}

/* Changes or resets against the newest sample at or before the start; none without a later one. */
static bool count_of(const struct span *s, size_t n, bool changes, double *out) {
    if (s->ts[n - 1] <= s->start) {
        return false;
    }
    const size_t behind = first_from(s->ts, n, time_add(s->start, 1));
    double count = 0;
    for (size_t i = behind > 0 ? behind : 1; i < n; i++) {
        const double before = s->v[i - 1];
        const bool differs = s->v[i] != before && !(isnan(s->v[i]) && isnan(before));
        count += changes ? differs : s->v[i] < before;
    }
    *out = count;
    return true;
}

static bool value_of(const struct range_call *call, const struct range_series *series, size_t step,
                     double *out) {
    const struct plan_selector *s = &call->node->call.args[0]->selector;
    const int id = call->node->call.function->id;
    const bool counter = id == FN_RATE || id == FN_INCREASE;
    struct span span;
    find_span(s, call->spec, series, step, counter, &span);
    if (id == FN_CHANGES || id == FN_RESETS) {
        const size_t n = series->bounds->high[step] - series->bounds->low[step];
        return count_of(&span, n, id == FN_CHANGES, out);
    }
    if (!rate_of(&span, s->border == BORDER_SMOOTHED, counter, out)) {
        return false;
    }
    if (id == FN_RATE) {
        *out /= (double)s->inner_range_ms / 1000;
    }
    return true;
}

void extended_value(const struct range_call *call, const struct range_series *series, size_t step,
                    struct row *out) {
    if (value_of(call, series, step, &out->values[step])) {
        bits_set(out->present, step);
    }
}

enum err_code range_extended(const struct range_call *call, const struct range_series *series,
                             struct row *out, struct err *err) {
    const struct window_bounds *b = series->bounds;
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < call->grid->count && code == ERR_OK; i++) {
        if (b->high[i] > b->low[i]) {
            extended_value(call, series, i, out);
            code = eval_worked(call->ev, b->high[i] - b->low[i], err);
        }
    }
    return code;
}

size_t extended_points(const struct plan_selector *selector, const struct window_spec *spec,
                       const struct range_series *series, int64_t *ts, double *values) {
    struct span s;
    find_span(selector, spec, series, 0, false, &s);
    if (s.ts[s.last] <= s.start) {
        return 0;
    }
    size_t n = 0;
    ts[n] = s.start;
    values[n++] = s.left;
    for (size_t i = s.first; i <= s.last; i++) {
        if (s.ts[i] > s.start && s.ts[i] < s.end) {
            ts[n] = s.ts[i];
            values[n++] = s.v[i];
        }
    }
    ts[n] = s.end;
    values[n++] = s.right;
    return n;
}
