#include "query/eval_call.h"

#include <math.h>

#include "base/check.h"
#include "base/utf8.h"
#include "query/bits.h"
#include "query/float_pick.h"

enum call_kind {
    CALL_NONE = 0, /* not in this version */
    CALL_RANGE,    /* one range vector (and scalars) to a vector */
    CALL_MATH,     /* element by element */
    CALL_DATE,     /* the same, its argument may be missing */
    CALL_ROW,      /* element by element, with scalars */
    CALL_SCALAR,   /* gives a scalar */
    CALL_FOLDED,   /* replaced by the planner */
    CALL_OTHER,
};

struct call_entry {
    enum call_kind kind;
    bool keeps_name; /* CALL_RANGE */
    bool wants_shape;
    range_kernel *mixed;    /* CALL_RANGE with histograms; NULL: it sees the floats alone */
    bool any_sample;        /* CALL_RANGE: range looks at no value */
    bool start_times;       /* CALL_RANGE: mixed also takes start timestamps */
    enum storage_want want; /* CALL_RANGE: range takes condensed samples for that */
    union {
        range_kernel *range;
        math_kernel *math;
        row_kernel *row;
        call_kernel *other;
    };
};

static call_kernel call_vector, call_timestamp, call_start_timestamp;

static const struct call_entry ENTRIES[FN_COUNT] = {
    [FN_RATE] = {.kind = CALL_RANGE,
                 .wants_shape = true,
                 .range = range_rate,
                 .mixed = mixed_rate,
                 .want = STORAGE_WANT_RISES,
                 .start_times = true},
    [FN_INCREASE] = {.kind = CALL_RANGE,
                     .wants_shape = true,
                     .range = range_increase,
                     .mixed = mixed_increase,
                     .want = STORAGE_WANT_RISES,
                     .start_times = true},
    [FN_DELTA] = {.kind = CALL_RANGE,
                  .wants_shape = true,
                  .range = range_delta,
                  .mixed = mixed_delta,
                  .want = STORAGE_WANT_ENDS},
    [FN_IRATE] = {.kind = CALL_RANGE,
                  .range = range_irate,
                  .mixed = mixed_irate,
                  .start_times = true},
    [FN_IDELTA] = {.kind = CALL_RANGE, .range = range_idelta, .mixed = mixed_idelta},
    [FN_DERIV] = {.kind = CALL_RANGE, .range = range_deriv},
    [FN_PREDICT_LINEAR] = {.kind = CALL_RANGE, .range = range_predict_linear},
    [FN_CHANGES] = {.kind = CALL_RANGE, .range = range_changes, .mixed = mixed_changes},
    [FN_RESETS] = {.kind = CALL_RANGE,
                   .range = range_resets,
                   .mixed = mixed_resets,
                   .start_times = true},
    [FN_DOUBLE_EXPONENTIAL_SMOOTHING] = {.kind = CALL_RANGE,
                                         .range = range_double_exponential_smoothing,
                                         .mixed = mixed_double_exponential_smoothing},
    [FN_AVG_OVER_TIME] = {.kind = CALL_RANGE,
                          .range = range_avg,
                          .mixed = mixed_avg,
                          .want = STORAGE_WANT_SUM},
    [FN_SUM_OVER_TIME] = {.kind = CALL_RANGE,
                          .range = range_sum,
                          .mixed = mixed_sum,
                          .want = STORAGE_WANT_SUM},
    [FN_MIN_OVER_TIME] = {.kind = CALL_RANGE, .range = range_min, .want = STORAGE_WANT_MIN},
    [FN_MAX_OVER_TIME] = {.kind = CALL_RANGE, .range = range_max, .want = STORAGE_WANT_MAX},
    [FN_COUNT_OVER_TIME] = {.kind = CALL_RANGE,
                            .range = range_count,
                            .any_sample = true,
                            .want = STORAGE_WANT_ENDS},
    [FN_LAST_OVER_TIME] = {.kind = CALL_RANGE,
                           .keeps_name = true,
                           .range = range_last,
                           .mixed = mixed_last,
                           .want = STORAGE_WANT_ENDS},
    [FN_FIRST_OVER_TIME] = {.kind = CALL_RANGE,
                            .keeps_name = true,
                            .range = range_first,
                            .mixed = mixed_first,
                            .want = STORAGE_WANT_ENDS},
    [FN_PRESENT_OVER_TIME] = {.kind = CALL_RANGE,
                              .range = range_present,
                              .any_sample = true,
                              .want = STORAGE_WANT_ENDS},
    [FN_STDDEV_OVER_TIME] = {.kind = CALL_RANGE, .range = range_stddev},
    [FN_STDVAR_OVER_TIME] = {.kind = CALL_RANGE, .range = range_stdvar},
    [FN_QUANTILE_OVER_TIME] = {.kind = CALL_RANGE, .range = range_quantile},
    [FN_MAD_OVER_TIME] = {.kind = CALL_RANGE, .range = range_mad},
    [FN_TS_OF_FIRST_OVER_TIME] = {.kind = CALL_RANGE,
                                  .range = range_ts_of_first,
                                  .any_sample = true},
    [FN_TS_OF_LAST_OVER_TIME] = {.kind = CALL_RANGE, .range = range_ts_of_last, .any_sample = true},
    [FN_TS_OF_MIN_OVER_TIME] = {.kind = CALL_RANGE, .range = range_ts_of_min},
    [FN_TS_OF_MAX_OVER_TIME] = {.kind = CALL_RANGE, .range = range_ts_of_max},

    [FN_ABS] = {.kind = CALL_MATH, .math = fabs},
    [FN_ACOS] = {.kind = CALL_MATH, .math = acos},
    [FN_ACOSH] = {.kind = CALL_MATH, .math = acosh},
    [FN_ASIN] = {.kind = CALL_MATH, .math = asin},
    [FN_ASINH] = {.kind = CALL_MATH, .math = asinh},
    [FN_ATAN] = {.kind = CALL_MATH, .math = atan},
    [FN_ATANH] = {.kind = CALL_MATH, .math = atanh},
    [FN_CEIL] = {.kind = CALL_MATH, .math = ceil},
    [FN_COS] = {.kind = CALL_MATH, .math = cos},
    [FN_COSH] = {.kind = CALL_MATH, .math = cosh},
    [FN_DEG] = {.kind = CALL_MATH, .math = math_deg},
    [FN_EXP] = {.kind = CALL_MATH, .math = exp},
    [FN_FLOOR] = {.kind = CALL_MATH, .math = floor},
    [FN_LN] = {.kind = CALL_MATH, .math = log},
    [FN_LOG10] = {.kind = CALL_MATH, .math = log10},
    [FN_LOG2] = {.kind = CALL_MATH, .math = log2},
    [FN_RAD] = {.kind = CALL_MATH, .math = math_rad},
    [FN_SGN] = {.kind = CALL_MATH, .math = math_sgn},
    [FN_SIN] = {.kind = CALL_MATH, .math = sin},
    [FN_SINH] = {.kind = CALL_MATH, .math = sinh},
    [FN_SQRT] = {.kind = CALL_MATH, .math = sqrt},
    [FN_TAN] = {.kind = CALL_MATH, .math = tan},
    [FN_TANH] = {.kind = CALL_MATH, .math = tanh},

    [FN_MINUTE] = {.kind = CALL_DATE, .math = time_minute},
    [FN_HOUR] = {.kind = CALL_DATE, .math = time_hour},
    [FN_DAY_OF_WEEK] = {.kind = CALL_DATE, .math = time_day_of_week},
    [FN_DAY_OF_MONTH] = {.kind = CALL_DATE, .math = time_day_of_month},
    [FN_DAY_OF_YEAR] = {.kind = CALL_DATE, .math = time_day_of_year},
    [FN_DAYS_IN_MONTH] = {.kind = CALL_DATE, .math = time_days_in_month},
    [FN_MONTH] = {.kind = CALL_DATE, .math = time_month},
    [FN_YEAR] = {.kind = CALL_DATE, .math = time_year},

    [FN_ROUND] = {.kind = CALL_ROW, .row = row_round},
    [FN_CLAMP] = {.kind = CALL_ROW, .row = row_clamp},
    [FN_CLAMP_MIN] = {.kind = CALL_ROW, .row = row_clamp_min},
    [FN_CLAMP_MAX] = {.kind = CALL_ROW, .row = row_clamp_max},

    [FN_PI] = {.kind = CALL_SCALAR},
    [FN_TIME] = {.kind = CALL_SCALAR},
    [FN_SCALAR] = {.kind = CALL_SCALAR},
    [FN_MAX_OF] = {.kind = CALL_SCALAR},
    [FN_MIN_OF] = {.kind = CALL_SCALAR},

    [FN_START] = {.kind = CALL_FOLDED},
    [FN_END] = {.kind = CALL_FOLDED},
    [FN_RANGE] = {.kind = CALL_FOLDED},
    [FN_STEP] = {.kind = CALL_FOLDED},

    [FN_VECTOR] = {.kind = CALL_OTHER, .other = call_vector},
    [FN_START_TIMESTAMP] = {.kind = CALL_OTHER, .other = call_start_timestamp},
    [FN_TIMESTAMP] = {.kind = CALL_OTHER, .other = call_timestamp},
    [FN_ABSENT] = {.kind = CALL_OTHER, .other = call_absent},
    [FN_ABSENT_OVER_TIME] = {.kind = CALL_OTHER, .other = call_absent_over_time},
    [FN_INFO] = {.kind = CALL_OTHER, .other = call_info},
    [FN_LABEL_REPLACE] = {.kind = CALL_OTHER, .other = call_label_replace},
    [FN_LABEL_JOIN] = {.kind = CALL_OTHER, .other = call_label_join},
    [FN_SORT] = {.kind = CALL_OTHER, .other = call_sort},
    [FN_SORT_DESC] = {.kind = CALL_OTHER, .other = call_sort_desc},
    [FN_SORT_BY_LABEL] = {.kind = CALL_OTHER, .other = call_sort_by_label},
    [FN_SORT_BY_LABEL_DESC] = {.kind = CALL_OTHER, .other = call_sort_by_label_desc},
    [FN_HISTOGRAM_QUANTILE] = {.kind = CALL_OTHER, .other = call_histogram_quantile},
    [FN_HISTOGRAM_QUANTILES] = {.kind = CALL_OTHER, .other = call_histogram_quantiles},
    [FN_HISTOGRAM_FRACTION] = {.kind = CALL_OTHER, .other = call_histogram_fraction},
    [FN_HISTOGRAM_AVG] = {.kind = CALL_OTHER, .other = call_histogram_avg},
    [FN_HISTOGRAM_COUNT] = {.kind = CALL_OTHER, .other = call_histogram_count},
    [FN_HISTOGRAM_STDDEV] = {.kind = CALL_OTHER, .other = call_histogram_stddev},
    [FN_HISTOGRAM_STDVAR] = {.kind = CALL_OTHER, .other = call_histogram_stdvar},
    [FN_HISTOGRAM_SUM] = {.kind = CALL_OTHER, .other = call_histogram_sum},
};

bool eval_call_supported(int function_id) {
    ASSERT(function_id >= 0 && function_id < FN_COUNT);
    return ENTRIES[function_id].kind != CALL_NONE;
}

enum { SCALARS_MAX = FUNCTION_ARGS_MAX };

/* The scalar arguments in order; the others are skipped. */
static enum err_code scalar_args(struct eval *ev, const struct plan_call *call,
                                 const struct grid *grid, struct work *to,
                                 struct scalar_column out[SCALARS_MAX], size_t *out_count,
                                 struct err *err) {
    size_t n = 0;
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < call->arg_count && code == ERR_OK && n < SCALARS_MAX; i++) {
        if (call->args[i]->value_type == VALUE_SCALAR) {
            code = eval_scalar(ev, call->args[i], grid, to, &out[n++], err);
        }
    }
    *out_count = n;
    return code;
}

/* ---- range functions ---- */

struct range_eval {
    struct range_visitor visitor;
    struct range_call call;
    const struct call_entry *entry;
    range_kernel *kernel;
    struct row_sink *sink;
    bool extended;
    bool name_must_end; /* rate, increase */
    bool checked_name;
    struct str last_name;
    uint64_t samples_out;
};

static bool counter_name(struct str name) {
    return str_ends(name, STR("_total")) || str_ends(name, STR("_sum")) ||
           str_ends(name, STR("_count")) || str_ends(name, STR("_bucket"));
}

/* Once per name in a row: neighbours mostly share it. */
static void note_no_counter(struct range_eval *r, struct str name) {
    if (name.len == 0 || (r->checked_name && str_eq(name, r->last_name))) {
        return;
    }
    r->checked_name = true;
    r->last_name = name;
    if (counter_name(name)) {
        return;
    }
    struct buf quoted;
    buf_init(&quoted, 1024);
    utf8_quote(&quoted, name);
    annotations_add(&r->call.ev->notes, ANNOTATION_INFO, r->call.pos,
                    "metric might not be a counter, name does not end in "
                    "_total/_sum/_count/_bucket: %.*s",
                    STR_ARG(buf_str(&quoted)));
    buf_release(&quoted);
}

enum err_code range_put(const struct range_call *call, struct row *out, size_t step,
                        const struct histogram *h, struct err *err) {
    if (h == NULL) {
        return work_over(call->results, err);
    }
    const enum err_code code = row_add_histograms(out, call->results, call->grid->count, err);
    if (code == ERR_OK) {
        out->histograms[step] = h;
        bits_set(out->present, step);
    }
    return code;
}

static enum err_code run_kernel(const struct range_eval *r, const struct range_series *series,
                                struct row *row, struct err *err) {
    const struct call_entry *entry = r->entry;
    const bool native = series->histograms != NULL;
    if (!native && (series->start_ts == NULL || !entry->start_times || r->extended)) {
        return r->kernel(&r->call, series, row, err);
    }
    work_reset(r->call.results);
    if (r->extended) {
        return mixed_extended(&r->call, series, row, err);
    }
    if (entry->mixed != NULL) {
        return entry->mixed(&r->call, series, row, err);
    }
    return entry->any_sample ? r->kernel(&r->call, series, row, err)
                             : range_floats_only(&r->call, series, r->kernel, row, err);
}

static bool any_float(const struct row *row, size_t steps) {
    for (size_t i = bits_next(row->present, steps, 0); i < steps;
         i = bits_next(row->present, steps, i + 1)) {
        if (row_histogram(row, i) == NULL) {
            return true;
        }
    }
    return false;
}

static enum err_code range_visit(struct range_visitor *v, const struct range_series *series,
                                 struct err *err) {
    struct range_eval *r = (struct range_eval *)v;
    struct eval *ev = r->call.ev;
    struct row *row = r->sink->begin(r->sink, err);
    if (row == NULL) {
        return ERR_LIMIT;
    }
    row->labels = series->labels.labels;
    row->target = series->labels.target;
    row->metric = series->labels.metric;
    row->drop_name = series->labels.drop_name;
    enum err_code code = run_kernel(r, series, row, err);
    if (code != ERR_OK || !bits_any(row->present, r->call.grid->count)) {
        return code;
    }
    const uint64_t n = row_weight(row, r->call.grid->count);
    if (r->name_must_end && any_float(row, r->call.grid->count)) {
        note_no_counter(r, row_name(row));
    }
    if (!r->entry->keeps_name) {
        row_drop_name(row, ev->delayed_names, &ev->base.arena);
    }
    r->samples_out += n;
    code = eval_hold(ev, n, err);
    return code == ERR_OK ? r->sink->end(r->sink, row, err) : code;
}

static const struct plan_node *range_arg(const struct plan_call *call) {
    for (size_t i = 0; i < call->arg_count; i++) {
        if (call->args[i]->value_type == VALUE_MATRIX) {
            return call->args[i];
        }
    }
    UNREACHABLE("a range function has a range argument");
}

static enum err_code range_into(struct eval *ev, const struct plan_node *node,
                                const struct grid *grid, struct row_sink *sink, struct err *err) {
    struct scalar_column params[SCALARS_MAX];
    size_t param_count = 0;
    const int id = node->call.function->id;
    const struct plan_node *range = range_arg(&node->call);
    const bool extended = range->type == PLAN_RANGE && range->selector.border != BORDER_PLAIN;
    struct work tmp;
    struct work results;
    struct work scratch;
    work_begin(&tmp, &ev->budget);
    work_begin(&results, &ev->budget);
    work_begin(&scratch, &ev->budget);
    struct range_eval r = {
        .visitor = {.visit = range_visit,
                    .wants_shape = ENTRIES[id].wants_shape && !extended,
                    .want = extended ? STORAGE_WANT_ALL : ENTRIES[id].want},
        .call = {.ev = ev,
                 .node = node,
                 .grid = grid,
                 .params = params,
                 /* a subquery's results are no part of the text */
                 .pos = range->type == PLAN_SUBQUERY ? (struct pos_range){0} : range->pos,
                 .results = &results,
                 .scratch = &scratch},
        .entry = &ENTRIES[id],
        .kernel = extended ? range_extended : ENTRIES[id].range,
        .sink = sink,
        .extended = extended,
        .name_must_end = id == FN_RATE || id == FN_INCREASE,
    };
    r.call.spec = &r.visitor.spec;
    const uint64_t before = ev->samples_now;
    enum err_code code = scalar_args(ev, &node->call, grid, &tmp, params, &param_count, err);
    if (code == ERR_OK) {
        code = eval_range_series(ev, range, grid, &r.visitor, err);
    }
    ev->samples_now = before + r.samples_out;
    work_end(&scratch);
    work_end(&results);
    work_end(&tmp);
    return code;
}

/* Without names the rows may be equal, which is an error even when they share no step. */
static enum err_code range_checked(struct eval *ev, const struct plan_node *node,
                                   const struct grid *grid, struct row_sink *sink,
                                   struct err *err) {
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    struct matrix rows;
    matrix_init(&rows, &tmp, grid->count);
    struct matrix_collect collect;
    matrix_collect_init(&collect, &rows);
    enum err_code code = range_into(ev, node, grid, &collect.sink, err);
    if (code == ERR_OK) {
        code = matrix_merge(&rows, MERGE_NEVER, err);
    }
    if (code == ERR_OK) {
        code = matrix_replay(&rows, sink, err);
    }
    work_end(&tmp);
    return code;
}

static enum err_code eval_range_call(struct eval *ev, const struct plan_node *node,
                                     const struct grid *grid, struct row_sink *sink,
                                     struct err *err) {
    bool unique = ENTRIES[node->call.function->id].keeps_name || ev->delayed_names;
    const struct plan_node *range = range_arg(&node->call);
    if (!unique && range->type == PLAN_RANGE) {
        const enum err_code code = eval_selector_unique(ev, &range->selector, &unique, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return unique ? range_into(ev, node, grid, sink, err)
                  : range_checked(ev, node, grid, sink, err);
}

/* ---- element by element ---- */

struct math_map {
    struct row_map map;
    math_kernel *fn;
};

static enum err_code apply_math(struct row_map *map, struct eval *ev, const struct grid *grid,
                                struct row *row, struct err *err) {
    const struct math_map *m = (const struct math_map *)map;
    enum err_code code = ERR_OK;
    for (size_t at = 0, end = 0; at < grid->count && code == ERR_OK; at = end) {
        end = work_slice_end(at, grid->count);
        for (size_t i = bits_next(row->present, end, at); i < end;
             i = bits_next(row->present, end, i + 1)) {
            row->values[i] = m->fn(row->values[i]);
        }
        code = eval_worked(ev, end - at, err);
    }
    return code;
}

struct scalars_map {
    struct row_map map;
    row_kernel *fn;
    struct scalar_column params[SCALARS_MAX];
    size_t param_count;
};

static enum err_code apply_row(struct row_map *map, struct eval *ev, const struct grid *grid,
                               struct row *row, struct err *err) {
    (void)ev;
    (void)err;
    const struct scalars_map *m = (const struct scalars_map *)map;
    m->fn(grid, m->params, m->param_count, row);
    return ERR_OK;
}

static enum err_code eval_row_call(struct eval *ev, const struct plan_node *node,
                                   const struct grid *grid, struct row_sink *sink,
                                   struct err *err) {
    struct scalars_map m = {.map = {.apply = apply_row, .drops_name = true},
                            .fn = ENTRIES[node->call.function->id].row};
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    enum err_code code = scalar_args(ev, &node->call, grid, &tmp, m.params, &m.param_count, err);
    if (code == ERR_OK) {
        code = eval_map_rows(ev, node->call.args[0], grid, &m.map, sink, err);
    }
    work_end(&tmp);
    return code;
}

/* ---- vectors out of nothing ---- */

/* One row without labels. */
static enum err_code emit_column(struct eval *ev, const struct grid *grid, struct row_sink *sink,
                                 const struct scalar_column *values, math_kernel *fn,
                                 struct err *err) {
    struct row *row = sink->begin(sink, err);
    if (row == NULL) {
        return ERR_LIMIT;
    }
    enum err_code code = eval_hold(ev, grid->count, err);
    for (size_t i = 0, end = 0; i < grid->count && code == ERR_OK; i = end) {
        end = work_slice_end(i, grid->count);
        for (size_t k = i; k < end; k++) {
            const double v = scalar_at(values, k);
            row->values[k] = fn != NULL ? fn(v) : v;
        }
        code = eval_worked(ev, end - i, err);
    }
    bits_fill(row->present, grid->count);
    return code == ERR_OK ? sink->end(sink, row, err) : code;
}

static enum err_code call_vector(struct eval *ev, const struct plan_node *node,
                                 const struct grid *grid, struct row_sink *sink, struct err *err) {
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    struct scalar_column values;
    enum err_code code = eval_scalar(ev, node->call.args[0], grid, &tmp, &values, err);
    if (code == ERR_OK) {
        code = emit_column(ev, grid, sink, &values, NULL, err);
    }
    work_end(&tmp);
    return code;
}

static enum err_code time_column(const struct grid *grid, struct work *to,
                                 struct scalar_column *out, struct err *err) {
    double *steps = work_alloc(to, grid->count, sizeof(*steps), err);
    enum err_code code = steps != NULL ? ERR_OK : ERR_LIMIT;
    for (size_t i = 0, end = 0; i < grid->count && code == ERR_OK; i = end) {
        end = work_slice_end(i, grid->count);
        for (size_t k = i; k < end; k++) {
            steps[k] = (double)grid_time(grid, k) / 1000;
        }
        code = work_did(to->budget, end - i, err);
    }
    *out = (struct scalar_column){.steps = steps};
    return code;
}

static enum err_code eval_date_call(struct eval *ev, const struct plan_node *node,
                                    const struct grid *grid, struct row_sink *sink,
                                    struct err *err) {
    math_kernel *fn = ENTRIES[node->call.function->id].math;
    if (node->call.arg_count > 0) {
        struct math_map m = {.map = {.apply = apply_math, .drops_name = true}, .fn = fn};
        return eval_map_rows(ev, node->call.args[0], grid, &m.map, sink, err);
    }
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    struct scalar_column times;
    enum err_code code = time_column(grid, &tmp, &times, err);
    if (code == ERR_OK) {
        code = emit_column(ev, grid, sink, &times, fn, err);
    }
    work_end(&tmp);
    return code;
}

/* ---- timestamp ---- */

static enum err_code keep_times(struct row_map *map, struct eval *ev, const struct grid *grid,
                                struct row *row, struct err *err) {
    (void)map;
    (void)ev;
    (void)grid;
    (void)err;
    row->histograms = NULL; /* their times are floats */
    return ERR_OK;
}

static enum err_code step_times(struct row_map *map, struct eval *ev, const struct grid *grid,
                                struct row *row, struct err *err) {
    (void)map;
    (void)ev;
    (void)err;
    for (size_t i = 0; i < grid->count; i++) {
        row->values[i] = (double)grid_time(grid, i) / 1000;
    }
    row->histograms = NULL;
    return ERR_OK;
}

/* Of a selector the samples' own times: its rows come from eval_selector with timestamps. */
static enum err_code call_timestamp(struct eval *ev, const struct plan_node *node,
                                    const struct grid *grid, struct row_sink *sink,
                                    struct err *err) {
    const struct plan_node *arg = node->call.args[0];
    if (arg->type != PLAN_SELECTOR) {
        struct row_map map = {.apply = step_times, .drops_name = true, .histograms = true};
        return eval_map_rows(ev, arg, grid, &map, sink, err);
    }
    struct row_map map = {
        .apply = keep_times, .drops_name = true, .histograms = true, .part = SAMPLE_TIME};
    return eval_map_rows(ev, arg, grid, &map, sink, err);
}

static enum err_code no_times(struct row_map *map, struct eval *ev, const struct grid *grid,
                              struct row *row, struct err *err) {
    (void)map;
    (void)ev;
    (void)err;
    memset(row->present, 0, bits_words(grid->count) * sizeof(*row->present));
    row->histograms = NULL;
    return ERR_OK;
}

/* Of a selector the samples' start timestamps; nothing else has any, but may fail and warn. */
static enum err_code call_start_timestamp(struct eval *ev, const struct plan_node *node,
                                          const struct grid *grid, struct row_sink *sink,
                                          struct err *err) {
    const struct plan_node *arg = node->call.args[0];
    if (arg->type == PLAN_SELECTOR && !ev->use_start_timestamps) {
        return ERR_OK;
    }
    if (arg->type != PLAN_SELECTOR) {
        struct row_map none = {.apply = no_times, .histograms = true};
        return eval_map_rows(ev, arg, grid, &none, sink, err);
    }
    struct row_map map = {
        .apply = keep_times, .drops_name = true, .histograms = true, .part = SAMPLE_START_TIME};
    return eval_map_rows(ev, arg, grid, &map, sink, err);
}

/* ---- dispatch ---- */

enum err_code eval_call(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                        struct row_sink *sink, struct err *err) {
    const struct call_entry *entry = &ENTRIES[node->call.function->id];
    switch (entry->kind) {
    case CALL_RANGE:
        return eval_range_call(ev, node, grid, sink, err);
    case CALL_MATH: {
        struct math_map m = {.map = {.apply = apply_math, .drops_name = true}, .fn = entry->math};
        return eval_map_rows(ev, node->call.args[0], grid, &m.map, sink, err);
    }
    case CALL_DATE:
        return eval_date_call(ev, node, grid, sink, err);
    case CALL_ROW:
        return eval_row_call(ev, node, grid, sink, err);
    case CALL_OTHER:
        return entry->other(ev, node, grid, sink, err);
    case CALL_NONE:
    case CALL_SCALAR:
    case CALL_FOLDED:
        break;
    }
    UNREACHABLE("a call that gives a vector");
}

enum err_code eval_call_unique(struct eval *ev, const struct plan_node *node, bool *out,
                               struct err *err) {
    const struct call_entry *entry = &ENTRIES[node->call.function->id];
    *out = false;
    if (entry->kind == CALL_RANGE && entry->keeps_name) {
        const struct plan_node *range = range_arg(&node->call);
        return range->type == PLAN_RANGE ? eval_selector_unique(ev, &range->selector, out, err)
                                         : ERR_OK;
    }
    *out = !ev->delayed_names && entry->kind != CALL_OTHER;
    return ERR_OK;
}

/* scalar(v): the value of the only element, NaN with none or several. */
static enum err_code only_element(struct eval *ev, const struct plan_node *arg,
                                  const struct grid *grid, struct work *to,
                                  struct scalar_column *out, struct err *err) {
    double *steps = work_alloc(to, grid->count, sizeof(*steps), err);
    if (steps == NULL) {
        return ERR_LIMIT;
    }
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    const uint64_t before = ev->samples_now;
    struct matrix rows;
    const enum err_code code = eval_matrix(ev, arg, grid, &tmp, &rows, err);
    for (size_t i = 0; i < grid->count && code == ERR_OK; i++) {
        size_t n = 0;
        for (size_t r = 0; r < rows.count && n < 2; r++) {
            if (bits_get(rows.rows[r].present, i) && row_histogram(&rows.rows[r], i) == NULL) {
                steps[i] = rows.rows[r].values[i];
                n++;
            }
        }
        if (n != 1) {
            steps[i] = NAN;
        }
    }
    ev->samples_now = before;
    work_end(&tmp);
    *out = (struct scalar_column){.steps = steps};
    return code;
}

static enum err_code pick_of(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                             struct work *to, struct scalar_column *out, struct err *err) {
    struct scalar_column args[SCALARS_MAX];
    size_t n = 0;
    const enum err_code code = scalar_args(ev, &node->call, grid, to, args, &n, err);
    double *steps = code == ERR_OK ? work_alloc(to, grid->count, sizeof(*steps), err) : NULL;
    if (steps == NULL) {
        return code != ERR_OK ? code : ERR_LIMIT;
    }
    const bool max = node->call.function->id == FN_MAX_OF;
    for (size_t i = 0; i < grid->count; i++) {
        const double a = scalar_at(&args[0], i);
        const double b = scalar_at(&args[1], i);
        steps[i] = max ? float_max(a, b) : float_min(a, b);
    }
    *out = (struct scalar_column){.steps = steps};
    return ERR_OK;
}

enum err_code eval_call_scalar(struct eval *ev, const struct plan_node *node,
                               const struct grid *grid, struct work *to, struct scalar_column *out,
                               struct err *err) {
    const struct plan_call *call = &node->call;
    switch (call->function->id) {
    case FN_PI:
        *out = (struct scalar_column){.constant = M_PI};
        return ERR_OK;
    case FN_TIME:
        return time_column(grid, to, out, err);
    case FN_SCALAR:
        return only_element(ev, call->args[0], grid, to, out, err);
    case FN_MAX_OF:
    case FN_MIN_OF:
        return pick_of(ev, node, grid, to, out, err);
    default:
        break;
    }
    UNREACHABLE("a call that gives a scalar");
}
