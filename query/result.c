#include "query/result.h"

#include <string.h>

#include "base/histogram.h"
#include "query/bits.h"
#include "query/eval_call.h"

struct making {
    struct eval *ev;
    const struct plan *plan;
    bool instant;
    struct arena *arena;
    struct query_result *out;
};

static enum err_code no_room(const struct making *m, struct err *err) {
    if (m->arena->pool_refused) {
        return work_over(&m->ev->base, err);
    }
    return err_set(err, ERR_LIMIT, "result of the query does not fit into its memory limit");
}

/* The names that delayed removal left, at the very end. */
static enum err_code drop_names(struct making *m, struct matrix *rows, struct err *err) {
    bool any = false;
    for (size_t i = 0; i < rows->count; i++) {
        struct row *row = &rows->rows[i];
        if (row->drop_name) {
            row->labels = labels_plain(work_lasting(rows->work), row->labels);
            any = true;
        }
    }
    return any && m->ev->delayed_names ? matrix_merge(rows, MERGE_DISJOINT, err) : ERR_OK;
}

/* The times of all steps, shared by all rows without gaps. */
static int64_t *step_times(struct arena *arena, const struct grid *grid) {
    int64_t *times = arena_try_alloc(arena, grid->count, sizeof(*times));
    for (size_t i = 0; times != NULL && i < grid->count; i++) {
        times[i] = grid_time(grid, i);
    }
    return times;
}

/* The histograms of the row's samples, copied; false: no room. */
static bool copy_histograms(struct arena *arena, const struct row *row, size_t steps, size_t n,
                            struct result_series *out) {
    const struct histogram **column = arena_try_alloc(arena, n, sizeof(struct histogram *));
    if (column == NULL) {
        return false;
    }
    size_t to = 0;
    for (size_t i = bits_next(row->present, steps, 0); i < steps;
         i = bits_next(row->present, steps, i + 1)) {
        const struct histogram *h = row->histograms[i];
        column[to] = h != NULL ? histogram_copy(arena, h) : NULL;
        if (h != NULL && column[to] == NULL) {
            return false;
        }
        to++;
    }
    out->histograms = column;
    return true;
}

static bool copy_row(struct arena *arena, const struct row *row, const int64_t *times, size_t steps,
                     struct result_series *out) {
    const size_t n = bits_count(row->present, steps);
    double *values = arena_try_alloc(arena, n, sizeof(*values));
    int64_t *ts = NULL;
    if (values == NULL) {
        return false;
    }
    *out = (struct result_series){.ts = times, .values = values, .count = n};
    if (n == steps) {
        memcpy(values, row->values, n * sizeof(*values));
    } else {
        ts = arena_try_alloc(arena, n, sizeof(*ts));
        if (ts == NULL) {
            return false;
        }
        size_t to = 0;
        for (size_t i = bits_next(row->present, steps, 0); i < steps;
             i = bits_next(row->present, steps, i + 1)) {
            ts[to] = times[i];
            values[to++] = row->values[i];
        }
        out->ts = ts;
    }
    if (row->histograms != NULL && !copy_histograms(arena, row, steps, n, out)) {
        return false;
    }
    uint8_t *labels = arena_try_alloc(arena, row->labels.size + 1, 1);
    if (labels == NULL) {
        return false;
    }
    if (row->labels.size > 0) {
        memcpy(labels, row->labels.data, row->labels.size);
    }
    out->labels = (struct labels){labels, row->labels.size};
    return true;
}

static enum err_code copy_rows(struct making *m, const struct matrix *rows, const struct grid *grid,
                               struct err *err) {
    struct result_series *series = arena_try_alloc(m->arena, rows->count + 1, sizeof(*series));
    const int64_t *times = rows->count > 0 ? step_times(m->arena, grid) : NULL;
    if (series == NULL || (rows->count > 0 && times == NULL)) {
        return no_room(m, err);
    }
    for (size_t i = 0; i < rows->count; i++) {
        if (!copy_row(m->arena, &rows->rows[i], times, grid->count, &series[i])) {
            return no_room(m, err);
        }
        const uint64_t samples =
            rows->rows[i].histograms != NULL ? row_weight(&rows->rows[i], grid->count) * 8 : 0;
        enum err_code code = eval_worked(m->ev, samples + 2 * series[i].count + WORK_ROW, err);
        if (code == ERR_OK) {
            code = work_check(rows->work, err);
        }
        if (code != ERR_OK) {
            return code;
        }
    }
    m->out->series = series;
    m->out->series_count = rows->count;
    return ERR_OK;
}

static enum err_code make_vector(struct making *m, struct work *tmp, struct err *err) {
    struct matrix rows;
    const struct grid *grid = &m->plan->grid;
    m->out->type = m->instant ? RESULT_VECTOR : RESULT_MATRIX;
    enum err_code code = eval_matrix(m->ev, m->plan->root, grid, tmp, &rows, err);
    if (code == ERR_OK) {
        code = drop_names(m, &rows, err);
    }
    if (code == ERR_OK && !m->instant) {
        const int64_t before_ns = clock_mono_ns(m->ev->clock);
        code = matrix_sort(&rows, m->ev->cancel, err);
        m->out->stats.sort_ns = clock_mono_ns(m->ev->clock) - before_ns;
    }
    return code == ERR_OK ? copy_rows(m, &rows, grid, err) : code;
}

/* A scalar in a range query: one series without labels. */
static enum err_code make_scalar(struct making *m, struct work *tmp, struct err *err) {
    struct scalar_column column;
    const struct grid *grid = &m->plan->grid;
    if (grid->count == 0) {
        m->out->type = RESULT_MATRIX;
        return ERR_OK;
    }
    enum err_code code = eval_scalar(m->ev, m->plan->root, grid, tmp, &column, err);
    if (code != ERR_OK) {
        return code;
    }
    if (m->instant) {
        m->out->type = RESULT_SCALAR;
        m->out->scalar = scalar_at(&column, 0);
        return ERR_OK;
    }
    m->out->type = RESULT_MATRIX;
    struct matrix rows;
    matrix_init(&rows, tmp, grid->count);
    struct row *row = matrix_reserve(&rows, err);
    if (row == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < grid->count; i++) {
        row->values[i] = scalar_at(&column, i);
    }
    bits_fill(row->present, grid->count);
    rows.count = 1;
    code = eval_hold(m->ev, grid->count, err);
    return code == ERR_OK ? copy_rows(m, &rows, grid, err) : code;
}

/* ---- range vectors ---- */

struct raw_visitor {
    struct range_visitor visitor;
    struct making *m;
    struct result_series *series;
    size_t count;
    size_t capacity;
};

static bool grow_series(struct raw_visitor *v) {
    if (v->count < v->capacity) {
        return true;
    }
    const size_t capacity = v->capacity == 0 ? 16 : v->capacity * 2;
    struct result_series *grown = arena_try_alloc(v->m->arena, capacity, sizeof(*grown));
    if (grown == NULL) {
        return false;
    }
    if (v->count > 0) {
        memcpy(grown, v->series, v->count * sizeof(*grown));
    }
    v->series = grown;
    v->capacity = capacity;
    return true;
}

static bool copy_window(struct arena *arena, const struct histogram *const *from, size_t n,
                        const struct histogram *const **out) {
    const struct histogram **column = arena_try_alloc(arena, n + 1, sizeof(struct histogram *));
    for (size_t i = 0; column != NULL && i < n; i++) {
        column[i] = from[i] != NULL ? histogram_copy(arena, from[i]) : NULL;
        if (from[i] != NULL && column[i] == NULL) {
            return false;
        }
    }
    *out = column;
    return column != NULL;
}

static bool any_histogram(const struct histogram *const *h, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (h[i] != NULL) {
            return true;
        }
    }
    return false;
}

static enum err_code raw_visit(struct range_visitor *visitor, const struct range_series *series,
                               struct err *err) {
    struct raw_visitor *v = (struct raw_visitor *)visitor;
    struct making *m = v->m;
    const struct plan_node *root = m->plan->root;
    const size_t low = series->bounds->low[0];
    size_t n = series->bounds->high[0] - low;
    int64_t *ts = arena_try_alloc(m->arena, n + 2, sizeof(*ts));
    double *values = arena_try_alloc(m->arena, n + 2, sizeof(*values));
    if (ts == NULL || values == NULL || !grow_series(v)) {
        return no_room(m, err);
    }
    const bool native = series->histograms != NULL && any_histogram(series->histograms + low, n);
    const struct histogram *const *histograms = NULL;
    if (root->type == PLAN_RANGE && root->selector.border != BORDER_PLAIN) {
        if (native) {
            return err_set(err, ERR_EXECUTION, "%s modifier is not supported with histograms",
                           root->selector.border == BORDER_ANCHORED ? "anchored" : "smoothed");
        }
        n = extended_points(&root->selector, &visitor->spec, series, ts, values);
    } else {
        memcpy(ts, series->bounds->ts + low, n * sizeof(*ts));
        memcpy(values, series->values + low, n * sizeof(*values));
        if (native && !copy_window(m->arena, series->histograms + low, n, &histograms)) {
            return no_room(m, err);
        }
    }
    if (n == 0) {
        return ERR_OK;
    }
    struct row row = series->labels;
    struct arena *lasting = work_lasting(&m->ev->base);
    row_spell(&row, lasting);
    if (row.drop_name) {
        row.labels = labels_plain(lasting, row.labels);
    }
    v->series[v->count++] = (struct result_series){
        .labels = labels_copy(m->arena, row.labels),
        .ts = ts,
        .values = values,
        .count = n,
        .histograms = histograms,
    };
    uint64_t weight = n;
    for (size_t i = 0; i < n && histograms != NULL; i++) {
        weight += histograms[i] != NULL ? histogram_size_bytes(histograms[i]) / 16 : 0;
    }
    const enum err_code code = eval_hold(m->ev, weight, err);
    return code == ERR_OK ? work_check(&m->ev->base, err) : code;
}

static int by_labels(const void *left, const void *right) {
    return labels_cmp(((const struct result_series *)left)->labels,
                      ((const struct result_series *)right)->labels);
}

static enum err_code make_ranges(struct making *m, struct err *err) {
    struct raw_visitor v = {.visitor = {.whole = true, .visit = raw_visit}, .m = m};
    m->out->type = RESULT_MATRIX;
    enum err_code code = eval_range_series(m->ev, m->plan->root, &m->plan->grid, &v.visitor, err);
    if (code == ERR_OK && v.count > 0) {
        code = work_sort(&m->ev->base, v.series, v.count, sizeof(*v.series), by_labels,
                         m->ev->cancel, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 1; i < v.count; i++) {
        if (labels_eq(v.series[i - 1].labels, v.series[i].labels)) {
            return err_set(err, ERR_EXECUTION,
                           "vector cannot contain metrics with the same labelset");
        }
    }
    m->out->series = v.series;
    m->out->series_count = v.count;
    return ERR_OK;
}

enum err_code result_make(struct eval *ev, const struct plan *plan, bool instant,
                          struct arena *arena, struct query_result *out, struct err *err) {
    struct making m = {.ev = ev, .plan = plan, .instant = instant, .arena = arena, .out = out};
    out->ts_ms = plan->grid.start_ms;
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    enum err_code code = ERR_OK;
    switch (plan->root->value_type) {
    case VALUE_VECTOR:
        code = make_vector(&m, &tmp, err);
        break;
    case VALUE_SCALAR:
        code = make_scalar(&m, &tmp, err);
        break;
    case VALUE_MATRIX:
        code = make_ranges(&m, err);
        break;
    case VALUE_STRING: {
        out->type = RESULT_STRING;
        out->string = arena_str(arena, plan->root->string);
        break;
    }
    case VALUE_NONE:
        code = err_set(err, ERR_EXECUTION, "expression has no value");
        break;
    }
    work_end(&tmp);
    return code;
}
