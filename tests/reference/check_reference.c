#include "tests/reference/check_reference.h"

#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "base/histogram.h"
#include "base/histogram_text.h"
#include "base/value.h"
#include "query/expr.h"
#include "query/function.h"
#include "query/query.h"

struct times {
    int64_t start_ms, end_ms, step_ms;
};

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
    return loose && (a == b || !isfinite(a) || !isfinite(b) ||
                     fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b)) + 1e-12);
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
    const struct times *times;
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

/* Nobody promises in which order elements come out of an aggregation, a set or a sort when there are
 * several steps, or out of a subquery (spec sections 6 and 8). */
static bool order_is_open(const struct node *n, bool steps) {
    switch (n->type) {
    case NODE_SUBQUERY:
        return true;
    case NODE_AGGREGATE:
        return steps || n->aggregate.op == AGG_LIMIT_RATIO || n->aggregate.op == AGG_COUNT_VALUES ||
               order_is_open(n->aggregate.expr, steps);
    case NODE_BINARY:
        return (steps && n->binary.op == OP_OR) || order_is_open(n->binary.lhs, steps) ||
               order_is_open(n->binary.rhs, steps);
    case NODE_CALL:
        for (size_t i = 0; i < n->call.arg_count; i++) {
            if (order_is_open(n->call.args[i], steps)) {
                return true;
            }
        }
        return (steps && strncmp(n->call.function->name, "sort", 4) == 0) ||
               strncmp(n->call.function->name, "histogram_quant", 15) == 0 ||
               strncmp(n->call.function->name, "histogram_frac", 14) == 0 ||
               strncmp(n->call.function->name, "label_", 6) == 0 ||
               strcmp(n->call.function->name, "info") == 0;
    case NODE_UNARY:
        return order_is_open(n->unary.expr, steps);
    case NODE_PAREN:
        return order_is_open(n->paren, steps);
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_VECTOR_SELECTOR:
    case NODE_MATRIX_SELECTOR:
    case NODE_DURATION:
        break;
    }
    return false;
}

/* Whether the value may depend on that order: sums in their last bits, choices in what they take. */
static bool depends_on_open_order(const struct node *n, bool steps) {
    bool depends = false;
    switch (n->type) {
    case NODE_SUBQUERY:
        return depends_on_open_order(n->subquery.expr, true);
    case NODE_AGGREGATE:
        depends = n->aggregate.op == AGG_SUM || n->aggregate.op == AGG_AVG ||
                  n->aggregate.op == AGG_STDDEV || n->aggregate.op == AGG_STDVAR ||
                  n->aggregate.op == AGG_TOPK || n->aggregate.op == AGG_BOTTOMK ||
                  n->aggregate.op == AGG_LIMITK;
        return (depends && order_is_open(n->aggregate.expr, steps)) ||
               depends_on_open_order(n->aggregate.expr, steps);
    case NODE_BINARY:
        return depends_on_open_order(n->binary.lhs, steps) ||
               depends_on_open_order(n->binary.rhs, steps);
    case NODE_CALL:
        for (size_t i = 0; i < n->call.arg_count; i++) {
            depends |= depends_on_open_order(n->call.args[i], steps);
        }
        return depends;
    case NODE_UNARY:
        return depends_on_open_order(n->unary.expr, steps);
    case NODE_PAREN:
        return depends_on_open_order(n->paren, steps);
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_VECTOR_SELECTOR:
    case NODE_MATRIX_SELECTOR:
    case NODE_DURATION:
        break;
    }
    return false;
}

/* Only a range query sees that two series of one label set come from different steps. */
static bool may_only_the_engine_fail(const struct times *at, const struct err *err) {
    return at->step_ms != 0 && str_find(str_of(err->text), STR("same labelset")) >= 0;
}

/* Nothing beside the way to the leaf can fail first. */
static bool single_path(const struct node *n) {
    size_t parts = 0;
    n = ref_bare(n);
    switch (n->type) {
    case NODE_CALL:
        for (size_t i = 0; i < n->call.arg_count; i++) {
            const enum node_type type = ref_bare(n->call.args[i])->type;
            parts += type != NODE_NUMBER && type != NODE_STRING;
            if (!single_path(n->call.args[i])) {
                return false;
            }
        }
        return parts < 2;
    case NODE_AGGREGATE:
        return (n->aggregate.param == NULL || n->aggregate.param->type == NODE_NUMBER ||
                n->aggregate.param->type == NODE_STRING) &&
               single_path(n->aggregate.expr);
    case NODE_UNARY:
        return single_path(n->unary.expr);
    case NODE_SUBQUERY:
    case NODE_BINARY:
        return false;
    case NODE_NUMBER:
    case NODE_STRING:
    case NODE_VECTOR_SELECTOR:
    case NODE_MATRIX_SELECTOR:
    case NODE_PAREN:
    case NODE_DURATION:
        break;
    }
    return true;
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

/* The value at one step; false: different. */
static bool same_at(struct comparison *c, int64_t t) {
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
    c->loose |= r->inexact;
    if (r->unsupported || r->error != NULL || c->got == NULL) {
        return true;
    }
    switch (v.type) {
    case VALUE_SCALAR:
        if (c->got->type == RESULT_SCALAR) {
            return same_scalar(c, v.scalar, t);
        }
        ref_push(r, &v.vector, (struct ref_sample){.v = v.scalar});
        return same_step(c, &v.vector, t);
    case VALUE_STRING:
        c->values++;
        return str_eq(v.string, c->got->string);
    case VALUE_MATRIX:
        return same_matrix(c, &v.matrix);
    case VALUE_VECTOR:
    case VALUE_NONE:
        break;
    }
    return same_step(c, &v.vector, t);
}

static enum reference_outcome compare(struct comparison *c, enum err_code code,
                                      const struct err *err) {
    struct ref *r = c->r;
    bool same = true;
    const bool steps = c->times->step_ms != 0;
    const bool open = depends_on_open_order(c->tree, steps);
    c->loose = open;
    c->quiet = open;
    c->ordered = !steps && ref_bare(c->tree)->type != NODE_BINARY && !order_is_open(c->tree, false);
    ref_check_tree(r, c->tree);
    for (int64_t t = c->times->start_ms; same && t <= c->times->end_ms;
         t += steps ? c->times->step_ms : 1) {
        same = same_at(c, t);
    }
    if (r->unsupported || code == ERR_LIMIT) {
        return REFERENCE_SKIPPED;
    }
    if (r->error != NULL || code != ERR_OK) {
        if ((r->error != NULL && code != ERR_OK &&
             (steps || !single_path(c->tree) || says(err, r->error))) ||
            may_only_the_engine_fail(c->times, err)) {
            return REFERENCE_ERROR;
        }
        if (open) {
            return REFERENCE_SKIPPED;
        }
        (void)fprintf(stderr, "error: %.*s\n  want %s got %s\n", STR_ARG(c->text),
                      r->error != NULL ? r->error : "none", code != ERR_OK ? err->text : "none");
        return REFERENCE_DIFFERENT;
    }
    same = same && (r->notes_open || same_notes(c));
    if (!same) {
        return open ? REFERENCE_SKIPPED : REFERENCE_DIFFERENT;
    }
    return c->values > 0 ? REFERENCE_SAME : REFERENCE_EMPTY;
}

/* ---- one set of data ---- */

static struct query_engine *engine_new(bool start_timestamps) {
    struct query_options options;
    query_options_default(&options);
    options.experimental_functions = true;
    options.extended_range_selectors = true;
    options.binop_fill_modifiers = true;
    options.use_start_timestamps = start_timestamps;
    options.workers = 0;
    return query_engine_new(&options);
}

static struct times make_times(struct choices *c) {
    struct times at = {.start_ms = DATA_START_MS + (int64_t)choose_one(c, 42) * DATA_STEP_MS +
                                   (int64_t)choose_one(c, 3) * 5000 - 1000};
    at.end_ms = at.start_ms;
    if (choose_one(c, 2) == 0) {
        at.step_ms = 7000 + (int64_t)choose_one(c, 4) * 8000;
        at.end_ms += at.step_ms * choose_one(c, 12) + choose_one(c, 2) * 3000;
    }
    return at;
}

/* The query has a part of which README.md says that findings are open. */
static bool has_open_kind(struct str text) {
    static const char *const PARTS[] = {
        "histogram_", "sort", "info", "topk", "bottomk", "limit",  "Inf",          "NaN",
        "odd",        "ng",   "nm",   "-(",   "stddev",  "stdvar", "count_values", "e308"};
    for (size_t i = 0; i < COUNT_OF(PARTS); i++) {
        if (str_find(text, str_of(PARTS[i])) >= 0) {
            return true;
        }
    }
    return false;
}

static enum reference_outcome check_one(struct choices *c, struct query_engine *engine,
                                        struct storage *storage, struct ref *r) {
    enum reference_outcome outcome = REFERENCE_SKIPPED;
    struct query_expr *expr = NULL;
    struct query_result got;
    struct buf made;
    struct err err;
    buf_init(&made, 65536);
    make_query(c, &made);
    const struct times at = make_times(c);
    r->start_ms = at.start_ms;
    r->end_ms = at.end_ms;
    r->step_ms = at.step_ms;
    r->grid = (struct ref_grid){at.start_ms, at.end_ms, at.step_ms};
    if (at.step_ms != 0) {
        r->grid.end_ms = at.start_ms + (at.end_ms - at.start_ms) / at.step_ms * at.step_ms;
    }
    if (query_parse(engine, r->arena, buf_str(&made), &expr, &err) == ERR_OK) {
        const enum value_type type = expr->node->value_type;
        const struct query q = {.text = buf_str(&made),
                                .start_ms = at.start_ms,
                                .end_ms = at.end_ms,
                                .step_ms = at.step_ms,
                                .lookback_ms = r->lookback_ms};
        const enum err_code code = query_run(engine, storage, &q, r->arena, &got, &err);
        struct comparison with = {.r = r,
                                  .tree = expr->node,
                                  .text = buf_str(&made),
                                  .times = &at,
                                  .got = code == ERR_OK ? &got : NULL};
        if (at.step_ms == 0 || type == VALUE_VECTOR || type == VALUE_SCALAR) {
            outcome = compare(&with, code, &err);
        }
        if (outcome == REFERENCE_DIFFERENT && c->forgiving && has_open_kind(buf_str(&made))) {
            outcome = REFERENCE_SKIPPED;
        }
    }
    buf_release(&made);
    return outcome;
}

void reference_check(struct choices *c, unsigned queries, struct reference_counts *counts) {
    struct fake_storage *fs = fake_storage_new();
    struct arena data;
    struct arena arena;
    struct ref base = {.default_step_ms = 60000};
    base.start_timestamps = choose_one(c, 3) == 0;
    base.lookback_ms = choose_one(c, 4) == 0 ? 45000 : 300000;
    struct query_engine *engine = engine_new(base.start_timestamps);
    arena_init(&data, 0);
    arena_init(&arena, 0);
    base.series = make_data(c, &data, fs, &base.series_count);
    if (c->late > 0) {
        c->bytes = c->late_bytes;
        c->left = c->late;
    }
    for (unsigned i = 0; i < queries; i++) {
        struct ref r = base;
        r.arena = &arena;
        counts->outcomes[check_one(c, engine, fake_storage_as_storage(fs), &r)]++;
        arena_reset(&arena);
    }
    arena_release(&arena);
    arena_release(&data);
    fake_storage_free(fs);
    query_engine_free(engine);
}
