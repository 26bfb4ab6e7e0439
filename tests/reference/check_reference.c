#include "tests/reference/check_reference.h"

#include <math.h>
#include <stdio.h>

#include "base/histogram.h"
#include "base/value.h"
#include "query/expr.h"
#include "query/function.h"
#include "query/query.h"

struct times {
    int64_t start_ms, end_ms, step_ms;
};

static void tell(struct str text, const struct times *at, const char *what, struct labels labels,
                 int64_t t, double want, double got) {
    struct buf shown;
    buf_init(&shown, 65536);
    labels_format(&shown, labels);
    (void)fprintf(stderr, "%s: %.*s\n  %lld..%lld step %lld, at %lld %.*s want %.17g got %.17g\n",
                  what, STR_ARG(text), (long long)at->start_ms, (long long)at->end_ms,
                  (long long)at->step_ms, (long long)t, STR_ARG(buf_str(&shown)), want, got);
    buf_release(&shown);
}

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

static bool same_number(double a, double b) {
    return f64_same_bits(a, b) || (isnan(a) && isnan(b));
}

static bool same_histogram(const struct ref_histogram *want, const struct histogram *got) {
    struct histogram_cursor at = histogram_cursor_of(&got->positive);
    int32_t index = 0;
    double count = 0;
    size_t n = 0;
    while (histogram_cursor_next(&at, &index, &count)) {
        if (count == 0) {
            continue;
        }
        if (n == want->n || want->index[n] != index || !same_number(want->counts[n], count)) {
            return false;
        }
        n++;
    }
    return n == want->n && want->schema == got->schema && same_number(want->count, got->count) &&
           same_number(want->sum, got->sum) && same_number(want->zero_count, got->zero_count) &&
           got->negative.count == 0;
}

static bool same_step(struct str text, const struct times *times, const struct query_result *got,
                      const struct ref_vector *want, int64_t t) {
    size_t count = 0;
    for (size_t i = 0; i < got->series_count; i++) {
        for (size_t k = 0; k < got->series[i].count; k++) {
            count += got->series[i].ts[k] == t;
        }
    }
    for (size_t i = 0; i < want->count; i++) {
        const struct ref_sample *s = &want->items[i];
        const struct result_series *series = NULL;
        size_t at = 0;
        if (!find(got, s->labels, t, &series, &at)) {
            tell(text, times, "missing", s->labels, t, s->v, NAN);
            return false;
        }
        const struct histogram *h = series->histograms != NULL ? series->histograms[at] : NULL;
        if ((h != NULL) != (s->h != NULL) ||
            (h != NULL ? !same_histogram(s->h, h) : !same_number(s->v, series->values[at]))) {
            tell(text, times, h != NULL ? "histogram" : "value", s->labels, t,
                 s->h != NULL ? s->h->count : s->v, h != NULL ? h->count : series->values[at]);
            return false;
        }
    }
    if (count != want->count) {
        tell(text, times, "number of samples", (struct labels){0}, t, (double)want->count,
             (double)count);
        return false;
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
        return steps || order_is_open(n->aggregate.expr, steps);
    case NODE_BINARY:
        return (steps && n->binary.op == OP_OR) || order_is_open(n->binary.lhs, steps) ||
               order_is_open(n->binary.rhs, steps);
    case NODE_CALL:
        for (size_t i = 0; i < n->call.arg_count; i++) {
            if (order_is_open(n->call.args[i], steps)) {
                return true;
            }
        }
        return steps && strncmp(n->call.function->name, "sort", 4) == 0;
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

static enum reference_outcome compare(struct ref *r, const struct node *tree, struct str text,
                                      const struct times *times, enum err_code code,
                                      const struct query_result *got, const struct err *err) {
    size_t values = 0;
    bool different = false;
    const int64_t step = times->step_ms != 0 ? times->step_ms : 1;
    for (int64_t t = times->start_ms; t <= times->end_ms; t += step) {
        struct ref_value v = ref_eval(r, tree, t);
        if (r->unsupported || v.type == VALUE_MATRIX || v.type == VALUE_STRING) {
            return REFERENCE_SKIPPED;
        }
        if (r->error != NULL || code != ERR_OK) {
            continue;
        }
        if (v.type == VALUE_SCALAR && got->type == RESULT_SCALAR) {
            different |= !same_number(v.scalar, got->scalar);
            if (different) {
                tell(text, times, "scalar", (struct labels){0}, t, v.scalar, got->scalar);
            }
            values++;
            continue;
        }
        if (v.type == VALUE_SCALAR) {
            ref_push(r, &v.vector, (struct ref_sample){.v = v.scalar});
        }
        values += v.vector.count;
        if (!different && !same_step(text, times, got, &v.vector, t)) {
            different = true;
        }
    }
    if (r->error != NULL || code != ERR_OK) {
        if ((r->error != NULL) == (code != ERR_OK) || may_only_the_engine_fail(times, err)) {
            return REFERENCE_ERROR;
        }
        (void)fprintf(stderr, "error: %.*s\n  want %s got %s\n", STR_ARG(text),
                      r->error != NULL ? r->error : "none", code != ERR_OK ? err->text : "none");
        return REFERENCE_DIFFERENT;
    }
    if (different && depends_on_open_order(tree, times->step_ms != 0)) {
        return REFERENCE_SKIPPED;
    }
    return different ? REFERENCE_DIFFERENT : values > 0 ? REFERENCE_SAME : REFERENCE_EMPTY;
}

static struct query_engine *engine_new(void) {
    struct query_options options;
    query_options_default(&options);
    options.experimental_functions = true;
    options.binop_fill_modifiers = true;
    options.workers = 0;
    return query_engine_new(&options);
}

enum reference_outcome reference_check(struct choices *c) {
    enum reference_outcome outcome = REFERENCE_SKIPPED;
    struct fake_storage *fs = fake_storage_new();
    struct query_engine *engine = engine_new();
    struct arena arena;
    struct query_expr *expr = NULL;
    struct query_result got;
    struct buf made;
    struct err err;
    struct ref r = {.arena = &arena, .lookback_ms = 300000, .default_step_ms = 60000};
    arena_init(&arena, 0);
    buf_init(&made, 65536);
    r.series = make_data(c, &arena, fs, &r.series_count);
    make_query(c, &made);
    const struct str text = buf_str(&made);
    struct times at = {.start_ms = DATA_START_MS + (int64_t)choose_one(c, 40) * DATA_STEP_MS +
                                   (int64_t)choose_one(c, 3) * 5000 - 1000};
    at.end_ms = at.start_ms;
    if (choose_one(c, 2) == 0) {
        at.step_ms = 7000 + (int64_t)choose_one(c, 3) * 8000;
        at.end_ms += at.step_ms * choose_one(c, 12);
    }
    r.start_ms = at.start_ms;
    r.end_ms = at.end_ms;
    r.step_ms = at.step_ms;
    if (query_parse(engine, &arena, text, &expr, &err) == ERR_OK) {
        const struct query q = {
            .text = text, .start_ms = at.start_ms, .end_ms = at.end_ms, .step_ms = at.step_ms};
        const enum err_code code =
            query_run(engine, fake_storage_as_storage(fs), &q, &arena, &got, &err);
        outcome = compare(&r, expr->node, text, &at, code, &got, &err);
    }
    arena_release(&arena);
    buf_release(&made);
    fake_storage_free(fs);
    query_engine_free(engine);
    return outcome;
}
