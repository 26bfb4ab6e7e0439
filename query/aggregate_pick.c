#include "query/aggregate_pick.h"

#include <math.h>

#include "base/check.h"
#include "base/number.h"
#include "base/utf8.h"
#include "query/bits.h"
#include "query/histogram_note.h"
#include "query/pick.h"

double pick_param_max(const struct pick *p) {
    double max = -INFINITY;
    for (size_t i = 0; i < p->grid->count; i++) {
        const double v = scalar_at(&p->param, i);
        max = v > max ? v : max;
    }
    return max;
}

double pick_param_min(const struct pick *p) {
    double min = INFINITY;
    for (size_t i = 0; i < p->grid->count; i++) {
        const double v = scalar_at(&p->param, i);
        min = v < min ? v : min;
    }
    return min;
}

bool pick_param_has_nan(const struct pick *p) {
    for (size_t i = 0; i < p->grid->count; i++) {
        if (isnan(scalar_at(&p->param, i))) {
            return true;
        }
    }
    return false;
}

/* What finding a row's group costs, in samples of a sum. */
enum { GROUPING = 256 };

static enum err_code group_rows(struct pick *p, struct err *err) {
    const struct aggregate *ast = p->node->aggregate.ast;
    enum err_code code = label_groups_init(&p->groups, p->tmp, ast->grouping, ast->grouping_count,
                                           ast->without ? GROUP_WITHOUT : GROUP_BY, err);
    if (code != ERR_OK) {
        return code;
    }
    p->group_of = work_alloc(p->tmp, p->rows.count + 1, sizeof(*p->group_of), err);
    if (p->group_of == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < p->rows.count && code == ERR_OK; i++) {
        code = label_groups_of(&p->groups, &p->rows.rows[i], &p->group_of[i], err);
        if (code == ERR_OK) {
            code = eval_worked(p->ev, GROUPING, err);
        }
    }
    return code;
}

enum err_code pick_members_list(struct pick *p, struct pick_members *out, struct err *err) {
    const size_t groups = p->groups.keys.count;
    uint32_t *first = work_zalloc(p->tmp, groups + 2, sizeof(*first), err);
    uint32_t *rows =
        first != NULL ? work_alloc(p->tmp, p->rows.count + 1, sizeof(*rows), err) : NULL;
    if (rows == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < p->rows.count; i++) {
        first[p->group_of[i] + 2]++;
    }
    for (size_t g = 2; g < groups + 2; g++) {
        first[g] += first[g - 1];
    }
    for (size_t i = 0; i < p->rows.count; i++) {
        rows[first[p->group_of[i] + 1]++] = (uint32_t)i;
    }
    *out = (struct pick_members){.first = first, .rows = rows};
    return ERR_OK;
}

/* ---- limit_ratio ---- */

static void note_ratio(const struct pick *p, double ratio, double capped) {
    char text[NUMBER_TEXT_MAX];
    const size_t n = number_format_g(ratio, text);
    annotations_add(&p->ev->notes, ANNOTATION_WARNING, p->node->aggregate.param->pos,
                    "ratio value should be between -1 and 1, got %.*s, capping to %s", (int)n, text,
                    capped > 0 ? "1" : "-1");
}

static enum err_code pick_ratio(struct pick *p, struct row_sink *sink, struct err *err) {
    const double max = pick_param_max(p);
    const double min = pick_param_min(p);
    if (pick_param_has_nan(p)) {
        return err_set(err, ERR_EXECUTION, "Ratio value is NaN");
    }
    if (max == 0 && min == 0) {
        return ERR_OK;
    }
    if (max > 1) {
        note_ratio(p, max, 1);
    }
    if (min < -1) {
        note_ratio(p, min, -1);
    }
    for (size_t i = 0; i < p->rows.count; i++) {
        struct row *row = &p->rows.rows[i];
        const double place = (double)labels_hash(row->labels) / 18446744073709551616.0;
        for (size_t step = 0; step < p->grid->count; step++) {
            const double ratio = fmax(-1, fmin(1, scalar_at(&p->param, step)));
            const bool kept = ratio != 0 && (ratio > 0 ? place < ratio : place >= 1.0 + ratio);
            if (!kept) {
                bits_clear(row->present, step);
            }
        }
        const enum err_code code = eval_worked(p->ev, p->grid->count, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return matrix_replay(&p->rows, sink, err);
}

/* ---- all ---- */

bool aggregate_picks(enum aggregate_op op) {
    return op >= AGG_TOPK;
}

static enum err_code check_label(const struct plan_node *param, struct err *err) {
    if (label_name_valid(param->string, NAMES_UTF8)) {
        return ERR_OK;
    }
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_MAX);
    utf8_quote(&quoted, param->string);
    const enum err_code code =
        err_set(err, ERR_EXECUTION, "invalid label name %.*s", STR_ARG(buf_str(&quoted)));
    buf_release(&quoted);
    return code;
}

/* Whether a histogram is at a step at which anything is chosen. */
static bool passes_over(const struct pick *p, const struct row *row) {
    for (size_t i = bits_next(row->present, p->grid->count, 0); i < p->grid->count;
         i = bits_next(row->present, p->grid->count, i + 1)) {
        if (row_histogram(row, i) != NULL &&
            (p->op == AGG_QUANTILE || scalar_at(&p->param, i) >= 1)) {
            return true;
        }
    }
    return false;
}

/* topk, bottomk and quantile see the floats alone. A row without any stays: its group's place among
 * the groups is where it is. */
static void ignore_histograms(struct pick *p) {
    const bool quantile = p->op == AGG_QUANTILE;
    const char *name = quantile ? "quantile" : (p->op == AGG_TOPK ? "topk" : "bottomk");
    bool any = false;
    for (size_t i = 0; i < p->rows.count; i++) {
        struct row *row = &p->rows.rows[i];
        if (row->histograms != NULL) {
            any = any || passes_over(p, row);
            row_drop_histograms(row, p->grid->count);
        }
    }
    if (any) {
        note_ignored_in_aggregation(p->ev, quantile ? p->node->aggregate.expr->pos : p->node->pos,
                                    name);
    }
}

static enum err_code run(struct pick *p, struct row_sink *sink, struct err *err) {
    const struct plan_aggregate *agg = &p->node->aggregate;
    enum err_code code = p->op == AGG_COUNT_VALUES
                             ? check_label(agg->param, err)
                             : eval_scalar(p->ev, agg->param, p->grid, p->tmp, &p->param, err);
    if (code == ERR_OK) {
        code = eval_matrix(p->ev, agg->expr, p->grid, p->tmp, &p->rows, err);
    }
    if (code == ERR_OK && (p->op == AGG_TOPK || p->op == AGG_BOTTOMK || p->op == AGG_QUANTILE)) {
        ignore_histograms(p);
    }
    if (code == ERR_OK) {
        code = group_rows(p, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    switch (p->op) {
    case AGG_TOPK:
    case AGG_BOTTOMK:
    case AGG_LIMITK:
        return pick_top(p, sink, err);
    case AGG_LIMIT_RATIO:
        return pick_ratio(p, sink, err);
    case AGG_QUANTILE:
        return pick_quantile(p, sink, err);
    case AGG_COUNT_VALUES:
        return pick_count_values(p, sink, err);
    case AGG_SUM:
    case AGG_AVG:
    case AGG_COUNT:
    case AGG_MIN:
    case AGG_MAX:
    case AGG_GROUP:
    case AGG_STDDEV:
    case AGG_STDVAR:
        break;
    }
    UNREACHABLE("kind of aggregation");
}

enum err_code aggregate_pick(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                             struct row_sink *sink, struct err *err) {
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    struct pick p = {
        .ev = ev, .node = node, .grid = grid, .op = node->aggregate.ast->op, .tmp = &tmp};
    const enum err_code code = run(&p, sink, err);
    work_end(&tmp);
    return code;
}
