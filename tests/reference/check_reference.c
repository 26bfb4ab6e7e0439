#include "tests/reference/check_reference.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/histogram.h"
#include "base/histogram_text.h"
#include "base/value.h"
#include "query/query.h"
#include "tests/reference/reference_open.h"

/* The point for these labels at this time, or none. */
static bool find(const struct query_result *got, struct labels labels, int64_t t,
                 const struct result_series **series, size_t *at) {
    for (size_t i = 0; i < got->series_count; i++) {
        for (size_t k = 0; k < got->series[i].count; k++) {
            if (got->series[i].ts[k] == t && labels_eq(got->series[i].labels, labels)) {
                *series = &got->series[i];
                *at = k;
                return true;
            }
        }
    }
    return false;
}

/* loose: the order of sums is open, so that their last bits are. */
static bool same_number(double a, double b, bool loose) {
    if (f64_same_bits(a, b) || (isnan(a) && isnan(b))) {
        return true;
    }
    if (!loose || isfinite(a) != isfinite(b)) { /* one that overflowed, or nearly */
        return loose && (fabs(a) < (double)INFINITY ? fabs(a) : fabs(b)) > 1e300;
    }
    return !isfinite(a) || fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b)) + 1e-12;
}

static bool same_cells(const struct ref_cells *want, const struct histogram_side *got, bool loose) {
    struct histogram_cursor at = histogram_cursor_of(got);
    int32_t index = 0;
    double count = 0;
    size_t n = 0;
    while (histogram_cursor_next(&at, &index, &count)) {
        while (n < want->count && want->items[n].n.s == 0) {
            n++;
        }
        if (count == 0) {
            continue;
        }
        if (n == want->count || want->items[n].index != index ||
            !same_number(want->items[n].n.s, count, loose)) {
            return false;
        }
        n++;
    }
    while (n < want->count && want->items[n].n.s == 0) {
        n++;
    }
    return n == want->count;
}

static bool same_histogram(const struct ref_histogram *want, const struct histogram *got,
                           bool loose) {
    bool bounds = want->bound_count == got->bound_count;
    for (size_t i = 0; bounds && i < want->bound_count; i++) {
        bounds = want->bounds[i] == got->bounds[i];
    }
    return bounds && want->schema == got->schema &&
           (want->schema == REF_CUSTOM || want->zero_threshold == got->zero_threshold) &&
           same_number(want->count.s, got->count, loose) &&
           same_number(want->sum.s, got->sum, loose) &&
           (want->schema == REF_CUSTOM || want->zero.s == got->zero_count ||
            same_number(want->zero.s, got->zero_count, loose)) &&
           same_cells(&want->positive, &got->positive, loose) &&
           same_cells(&want->negative, &got->negative, loose);
}

struct comparison {
    struct ref *r;
    const struct node *tree;
    struct str text;
    const struct reference_times *times;
    const struct query_result *got;
    bool loose; /* last bits may differ */
    bool ordered;
    bool quiet; /* so may what is chosen: a difference is none */
    size_t values;
};

static void tell(const struct comparison *c, const char *what, struct labels labels, int64_t t,
                 const struct ref_point *want, const struct ref_point *got,
                 const struct histogram *got_native) {
    struct buf shown;
    if (c->quiet) {
        return;
    }
    buf_init(&shown, 65536);
    labels_format(&shown, labels);
    buf_printf(&shown, " want %.17g ", want->v);
    if (want->h != NULL) {
        ref_histogram_text(&shown, want->h);
    }
    buf_printf(&shown, " got %.17g ", got->v);
    if (got_native != NULL) {
        histogram_format(&shown, got_native);
    }
    (void)fprintf(stderr, "%s: %.*s\n  %lld..%lld step %lld, at %lld %.*s\n", what,
                  STR_ARG(c->text), (long long)c->times->start_ms, (long long)c->times->end_ms,
                  (long long)c->times->step_ms, (long long)t, STR_ARG(buf_str(&shown)));
    buf_release(&shown);
}

static void tell_numbers(const struct comparison *c, const char *what, int64_t t, double want,
                         double got) {
    const struct ref_point w = {.v = want};
    const struct ref_point g = {.v = got};
    tell(c, what, (struct labels){0}, t, &w, &g, NULL);
}

static bool in_order(const struct query_result *got, const struct ref_vector *want) {
    for (size_t i = 0; i < want->count && i < got->series_count; i++) {
        if (isnan(want->items[i].v)) { /* among those any order is one */
            return true;
        }
        if (!labels_eq(got->series[i].labels, want->items[i].labels)) {
            return false;
        }
    }
    return true;
}

static bool same_step(struct comparison *c, const struct ref_vector *want, int64_t t) {
    const struct query_result *got = c->got;
    size_t count = 0;
    for (size_t i = 0; i < got->series_count; i++) {
        for (size_t k = 0; k < got->series[i].count; k++) {
            count += got->series[i].ts[k] == t;
        }
    }
    c->values += want->count;
    for (size_t i = 0; i < want->count; i++) {
        const struct ref_sample *s = &want->items[i];
        const struct result_series *series = NULL;
        size_t at = 0;
        if (!find(got, s->labels, t, &series, &at)) {
            const struct ref_point w = {.v = s->v, .h = s->h};
            const struct ref_point g = {.v = NAN};
            tell(c, "missing", s->labels, t, &w, &g, NULL);
            return false;
        }
        const struct histogram *h = series->histograms != NULL ? series->histograms[at] : NULL;
        if ((h != NULL) != (s->h != NULL) ||
            (h != NULL ? !same_histogram(s->h, h, c->loose)
                       : !same_number(s->v, series->values[at], c->loose))) {
            const struct ref_point w = {.v = s->v, .h = s->h};
            const struct ref_point g = {.v = series->values[at]};
            tell(c, "value", s->labels, t, &w, &g, h);
            return false;
        }
    }
    if (c->ordered && !in_order(got, want)) {
        tell_numbers(c, "order", t, 0, 0);
        return false;
    }
    if (count != want->count) {
        tell_numbers(c, "number of samples", t, (double)want->count, (double)count);
        return false;
    }
    return true;
}

/* A range selector or a subquery alone: all points of its series. */
static bool same_matrix(struct comparison *c, const struct ref_matrix *want) {
    const struct query_result *got = c->got;
    if (got->series_count != want->count) {
        tell_numbers(c, "number of series", 0, (double)want->count, (double)got->series_count);
        return false;
    }
    for (size_t i = 0; i < want->count; i++) {
        const struct ref_series *w = &want->items[i];
        for (size_t k = 0; k < w->count; k++) {
            const struct result_series *series = NULL;
            size_t at = 0;
            const struct ref_point *p = &w->points[k];
            const bool found = find(got, w->labels, p->t, &series, &at);
            const struct histogram *h =
                found && series->histograms != NULL ? series->histograms[at] : NULL;
            if (!found || (h != NULL) != (p->h != NULL) || series->count != w->count ||
                (h != NULL ? !same_histogram(p->h, h, c->loose)
                           : !same_number(p->v, series->values[at], c->loose))) {
                const struct ref_point g = {.v = found ? series->values[at] : (double)NAN};
                tell(c, "point", w->labels, p->t, p, &g, h);
                return false;
            }
            c->values++;
        }
    }
    return true;
}

/* ---- warnings and infos ---- */

static bool among(struct str text, const struct str *all, size_t n, bool prefix) {
    for (size_t i = 0; i < n; i++) {
        if (prefix ? str_starts(all[i], text) : str_eq(all[i], text)) {
            return true;
        }
    }
    return false;
}

/* Each text once; where several places said it, the engine names one of them. */
static bool same_notes(struct comparison *c) {
    const struct query_result *got = c->got;
    struct ref *r = c->r;
    for (size_t i = 0; i < r->note_count; i++) {
        const struct str text = ref_note_text(r, &r->notes[i], false);
        const bool warning = r->notes[i].warning;
        if (!among(text, warning ? got->warnings : got->infos,
                   warning ? got->warning_count : got->info_count, true)) {
            if (!c->quiet) {
                (void)fprintf(stderr, "not noted: %.*s\n  in %.*s\n", STR_ARG(text),
                              STR_ARG(c->text));
            }
            return false;
        }
    }
    for (size_t i = 0; i < got->warning_count + got->info_count; i++) {
        const struct str text =
            i < got->warning_count ? got->warnings[i] : got->infos[i - got->warning_count];
        bool found = false;
        for (size_t k = 0; k < r->note_count && !found; k++) {
            found = str_eq(ref_note_text(r, &r->notes[k], true), text);
        }
        if (!found) {
            if (!c->quiet) {
                (void)fprintf(stderr, "noted: %.*s\n  in %.*s\n  %lld..%lld step %lld\n",
                              STR_ARG(text), STR_ARG(c->text), (long long)c->times->start_ms,
                              (long long)c->times->end_ms, (long long)c->times->step_ms);
            }
            return false;
        }
    }
    return true;
}

/* Only a range query sees that two series of one label set come from different steps. */
static bool may_only_the_engine_fail(const struct reference_times *at, const struct err *err) {
    return at->step_ms != 0 && str_find(str_of(err->text), STR("same labelset")) >= 0;
}

static bool says(const struct err *err, const char *part) {
    return str_find(str_of(err->text), str_of(part)) >= 0;
}

static bool same_scalar(struct comparison *c, double want, int64_t t) {
    c->values++;
    if (!same_number(want, c->got->scalar, c->loose)) {
        tell_numbers(c, "scalar", t, want, c->got->scalar);
        return false;
    }
    return true;
}

static struct ref_value value_at(struct comparison *c, int64_t t) {
    struct ref *r = c->r;
    struct ref_value v = {.type = VALUE_NONE};
    const struct node *bare = ref_bare(c->tree);
    const struct vector_selector *s =
        bare->type == NODE_MATRIX_SELECTOR ? &bare->matrix.selector->vector : NULL;
    if (s != NULL && (s->anchored || s->smoothed)) {
        v = ref_extended_points(r, bare, t);
    } else {
        v = ref_eval(r, c->tree, t);
    }
    if (v.type == VALUE_VECTOR && r->delayed_names) {
        ref_drop_final_names(r, &v.vector);
    }
    return v;
}

/* The value at one step; false: different. */
static bool same_at(struct comparison *c, struct ref_value *v, int64_t t) {
    switch (v->type) {
    case VALUE_SCALAR:
        if (c->got->type == RESULT_SCALAR) {
            return same_scalar(c, v->scalar, t);
        }
        ref_push(c->r, &v->vector, (struct ref_sample){.v = v->scalar});
        return same_step(c, &v->vector, t);
    case VALUE_STRING:
        c->values++;
        return str_eq(v->string, c->got->string);
    case VALUE_MATRIX:
        return same_matrix(c, &v->matrix);
    case VALUE_VECTOR:
    case VALUE_NONE:
        break;
    }
    return same_step(c, &v->vector, t);
}

static const char OPEN[] = "a difference that the order of elements makes, which is open";

static enum reference_outcome compare(struct comparison *c, enum err_code code,
                                      const struct err *err) {
    struct ref *r = c->r;
    bool same = true;
    const bool steps = c->times->step_ms != 0;
    const int64_t step_ms = steps ? c->times->step_ms : 1;
    const size_t count = (size_t)((c->times->end_ms - c->times->start_ms) / step_ms) + 1;
    struct ref_value *values = arena_zalloc(r->arena, count * sizeof(*values));
    ref_check_tree(r, c->tree);
    for (size_t i = 0; i < count; i++) {
        values[i] = value_at(c, c->times->start_ms + (int64_t)i * step_ms);
    }
    c->loose |= r->inexact;
    c->quiet |= r->order_open;
    if (r->beyond != NULL || code == ERR_LIMIT) {
        return REFERENCE_SKIPPED;
    }
    if (r->error != NULL || code != ERR_OK) {
        if ((r->error != NULL && code != ERR_OK &&
             (steps || !single_path(c->tree) || says(err, r->error))) ||
            may_only_the_engine_fail(c->times, err)) {
            return REFERENCE_ERROR;
        }
        if (c->quiet) {
            ref_beyond(r, true, OPEN);
            return REFERENCE_SKIPPED;
        }
        (void)fprintf(stderr, "error: %.*s\n  want %s got %s\n", STR_ARG(c->text),
                      r->error != NULL ? r->error : "none", code != ERR_OK ? err->text : "none");
        return REFERENCE_DIFFERENT;
    }
    for (size_t i = 0; i < count && same; i++) {
        same = same_at(c, &values[i], c->times->start_ms + (int64_t)i * step_ms);
    }
    same = same && (r->notes_open || same_notes(c));
    if (!same) {
        ref_beyond(r, c->quiet, OPEN);
        return c->quiet ? REFERENCE_SKIPPED : REFERENCE_DIFFERENT;
    }
    return c->values > 0 ? REFERENCE_SAME : REFERENCE_EMPTY;
}

enum reference_outcome reference_compare(struct ref *r, const struct reference_question *q,
                                         const struct query_result *got, enum err_code code,
                                         const struct err *err) {
    const bool steps = q->times.step_ms != 0;
    const bool open = depends_on_open_order(q->tree, steps);
    struct comparison c = {.r = r,
                           .tree = q->tree,
                           .text = q->text,
                           .times = &q->times,
                           .got = code == ERR_OK ? got : NULL,
                           .loose = open,
                           .quiet = open};
    c.ordered = !steps && ref_bare(q->tree)->type != NODE_BINARY && !order_is_open(q->tree, false);
    return compare(&c, code, err);
}
