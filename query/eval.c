#include "query/eval.h"

#include <string.h>

#include "base/check.h"
#include "base/histogram.h"
#include "base/number.h"
#include "query/bits.h"
#include "query/eval_call.h"
#include "query/gate.h"
#include "query/profile.h"
#include "query/running.h"
#include "query/shared_rows.h"
#include "query/step_stats.h"

/* ---- accounting ---- */

static enum err_code too_many(struct err *err) {
    return err_set(err, ERR_LIMIT,
                   "query processing would load too many samples into memory in query execution");
}

enum err_code eval_hold_briefly(struct eval *ev, uint64_t n, struct err *err) {
    const uint64_t total = ev->samples_now + n;
    if (total > ev->samples_peak) {
        ev->samples_peak = total;
    }
    return ev->samples_max != 0 && total > ev->samples_max ? too_many(err) : ERR_OK;
}

enum err_code eval_hold(struct eval *ev, uint64_t n, struct err *err) {
    const enum err_code code = eval_hold_briefly(ev, n, err);
    ev->samples_now += n;
    return code;
}

enum err_code eval_check_cancel(const struct cancel *cancel, const char *where, struct err *err) {
    const enum err_code code = cancel_check(cancel);
    if (code == ERR_TIMEOUT) {
        return err_set(err, code, "query timed out in %s", where);
    }
    if (code != ERR_OK) {
        return err_set(err, code, "query was canceled in %s", where);
    }
    return ERR_OK;
}

enum err_code eval_worked(struct eval *ev, uint64_t n, struct err *err) {
    return work_did(&ev->budget, n, err);
}

enum err_code eval_pause_of(void *ctx, struct err *err) {
    return eval_pause(ctx, err);
}

enum err_code eval_pause(struct eval *ev, struct err *err) {
    if (ev->running != NULL) {
        running_progress(ev->running, ev->samples_fetched, work_used_bytes(&ev->base));
    }
    const enum err_code code = eval_check_cancel(ev->cancel, "expression evaluation", err);
    return code == ERR_OK ? gate_pass_check(ev->pass, ev->cancel, err) : code;
}

void eval_note_quantile(struct eval *ev, struct pos_range pos, double phi) {
    char text[NUMBER_TEXT_MAX];
    const size_t n = number_format_g(phi, text);
    annotations_add(&ev->notes, ANNOTATION_WARNING, pos,
                    "quantile value should be between 0 and 1, got %.*s", (int)n, text);
}

/* ---- rows through a function ---- */

struct map_sink {
    struct row_sink sink;
    struct row_sink *down;
    struct eval *ev;
    const struct grid *grid;
    struct row_map *map;
    uint64_t samples_in;
    uint64_t samples_out;
};

static struct row *map_begin(struct row_sink *sink, struct err *err) {
    struct map_sink *m = (struct map_sink *)sink;
    return m->down->begin(m->down, err);
}

static enum err_code map_end(struct row_sink *sink, struct row *row, struct err *err) {
    struct map_sink *m = (struct map_sink *)sink;
    m->samples_in += bits_count(row->present, m->grid->count);
    if (!m->map->histograms) {
        row_drop_histograms(row, m->grid->count);
    }
    enum err_code code = m->map->apply(m->map, m->ev, m->grid, row, err);
    if (code != ERR_OK) {
        return code;
    }
    if (m->map->drops_name) {
        row_drop_name(row, m->ev->delayed_names, &m->ev->base.arena);
        code = work_check(&m->ev->base, err);
    }
    const uint64_t n = row_weight(row, m->grid->count);
    if (code == ERR_OK) {
        code = eval_hold(m->ev, n, err);
    }
    if (code == ERR_OK) {
        code = eval_worked(m->ev, m->grid->count + WORK_ROW, err);
    }
    m->samples_out += n;
    return code != ERR_OK || n == 0 ? code : m->down->end(m->down, row, err);
}

static enum err_code selector_part(struct eval *ev, const struct plan_node *node,
                                   const struct grid *grid, enum sample_part part,
                                   struct row_sink *sink, struct err *err) {
    if (ev->profile == NULL) {
        return eval_selector(ev, node, grid, part, sink, err);
    }
    struct profile_sink counted;
    profile_sink_init(&counted, ev, node, grid->count, sink);
    const enum err_code code = eval_selector(ev, node, grid, part, &counted.sink, err);
    profile_end(&counted.span);
    return code;
}

static enum err_code map_into(struct eval *ev, const struct plan_node *child,
                              const struct grid *grid, struct row_map *map, struct row_sink *down,
                              struct err *err) {
    struct map_sink m = {.sink = {.begin = map_begin, .end = map_end},
                         .down = down,
                         .ev = ev,
                         .grid = grid,
                         .map = map};
    const uint64_t before = ev->samples_now;
    enum err_code code = map->part != SAMPLE_VALUE
                             ? selector_part(ev, child, grid, map->part, &m.sink, err)
                             : eval_rows(ev, child, grid, &m.sink, err);
    if (code == ERR_OK && grid->count > 0) {
        /* the reference copies the inputs of one step at a time */
        code = eval_hold_briefly(ev, m.samples_in / grid->count, err);
    }
    ev->samples_now = before + m.samples_out;
    return code;
}

enum err_code eval_map_rows(struct eval *ev, const struct plan_node *child, const struct grid *grid,
                            struct row_map *map, struct row_sink *sink, struct err *err) {
    bool unique = !map->relabels && (!map->drops_name || ev->delayed_names);
    if (!unique && !map->relabels) {
        const enum err_code code = eval_rows_unique(ev, child, &unique, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    if (unique) {
        return map_into(ev, child, grid, map, sink, err);
    }
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    struct matrix mapped;
    matrix_init(&mapped, &tmp, grid->count);
    struct matrix_collect collect;
    matrix_collect_init(&collect, &mapped);
    enum err_code code = map_into(ev, child, grid, map, &collect.sink, err);
    if (code == ERR_OK) {
        code = matrix_merge(&mapped, MERGE_DISJOINT, err);
    }
    if (code == ERR_OK) {
        code = matrix_replay(&mapped, sink, err);
    }
    work_end(&tmp);
    return code;
}

enum err_code eval_rows_unique(struct eval *ev, const struct plan_node *node, bool *out,
                               struct err *err) {
    *out = false;
    switch (node->type) {
    case PLAN_SELECTOR:
        return eval_selector_unique(ev, &node->selector, out, err);
    case PLAN_UNARY:
        *out = !ev->delayed_names;
        return ERR_OK;
    case PLAN_CALL:
        return eval_call_unique(ev, node, out, err);
    case PLAN_BINARY: {
        const struct plan_binary *b = &node->binary;
        const bool left = b->lhs->value_type == VALUE_VECTOR;
        if (left && b->rhs->value_type == VALUE_VECTOR) {
            return ERR_OK;
        }
        const bool trims = b->ast->op == OP_TRIM_UPPER || b->ast->op == OP_TRIM_LOWER;
        const bool compares = b->ast->op >= OP_EQL && b->ast->op <= OP_LTE;
        if (!trims && (!compares || b->ast->return_bool)) {
            *out = !ev->delayed_names;
            return ERR_OK;
        }
        return eval_rows_unique(ev, left ? b->lhs : b->rhs, out, err);
    }
    case PLAN_NUMBER:
    case PLAN_STRING:
    case PLAN_RANGE:
    case PLAN_SUBQUERY:
    case PLAN_AGGREGATE:
        return ERR_OK;
    }
    UNREACHABLE("kind of node");
}

struct negate_map {
    struct row_map map;
    struct work histograms; /* of the row at hand */
};

static enum err_code negate(struct row_map *map, struct eval *ev, const struct grid *grid,
                            struct row *row, struct err *err) {
    (void)ev;
    for (size_t i = 0; i < grid->count; i++) {
        row->values[i] = -row->values[i];
    }
    if (row->histograms == NULL) {
        return ERR_OK;
    }
    struct work *work = &((struct negate_map *)map)->histograms;
    work_reset(work);
    for (size_t i = bits_next(row->present, grid->count, 0); i < grid->count;
         i = bits_next(row->present, grid->count, i + 1)) {
        if (row->histograms[i] != NULL) {
            work_grant(work);
            row->histograms[i] = histogram_multiply(&work->arena, row->histograms[i], -1);
            if (row->histograms[i] == NULL) {
                return work_over(work, err);
            }
        }
    }
    return ERR_OK;
}

static enum err_code eval_negated(struct eval *ev, const struct plan_node *child,
                                  const struct grid *grid, struct row_sink *sink, struct err *err) {
    struct negate_map m = {.map = {.apply = negate, .drops_name = true, .histograms = true}};
    work_begin(&m.histograms, &ev->budget);
    const enum err_code code = eval_map_rows(ev, child, grid, &m.map, sink, err);
    work_end(&m.histograms);
    return code;
}

/* ---- vectors ---- */

static enum err_code rows_of_kind(struct eval *ev, const struct plan_node *node,
                                  const struct grid *grid, struct row_sink *sink, struct err *err) {
    switch (node->type) {
    case PLAN_SELECTOR:
        return eval_selector(ev, node, grid, SAMPLE_VALUE, sink, err);
    case PLAN_CALL:
        return eval_call(ev, node, grid, sink, err);
    case PLAN_AGGREGATE:
        return eval_aggregate(ev, node, grid, sink, err);
    case PLAN_BINARY:
        return eval_binary(ev, node, grid, sink, err);
    case PLAN_UNARY:
        return eval_negated(ev, node->negated, grid, sink, err);
    case PLAN_NUMBER:
    case PLAN_STRING:
    case PLAN_RANGE:
    case PLAN_SUBQUERY:
        break;
    }
    UNREACHABLE("not an instant vector");
}

/* The value of the first step at all steps. */
static enum err_code repeat_first(struct eval *ev, const struct matrix *first,
                                  const struct grid *grid, struct row_sink *sink, struct err *err) {
    enum err_code code = ERR_OK;
    const struct histogram **column = NULL; /* of all rows, one after the other */
    for (size_t r = 0; r < first->count && code == ERR_OK; r++) {
        struct row *row = sink->begin(sink, err);
        if (row == NULL) {
            return ERR_LIMIT;
        }
        row->labels = first->rows[r].labels;
        row->drop_name = first->rows[r].drop_name;
        for (size_t i = 0; i < grid->count; i++) {
            row->values[i] = first->rows[r].values[0];
        }
        bits_fill(row->present, grid->count);
        const struct histogram *h = row_histogram(&first->rows[r], 0);
        if (h != NULL) {
            row->histograms = column;
            if (row_add_histograms(row, first->work, grid->count, err) != ERR_OK) {
                return ERR_LIMIT;
            }
            column = row->histograms;
            for (size_t i = 0; i < grid->count; i++) {
                column[i] = h;
            }
        }
        code = eval_hold(ev, row_weight(row, grid->count), err);
        if (code == ERR_OK) {
            code = eval_worked(ev, grid->count, err);
        }
        if (code == ERR_OK) {
            code = sink->end(sink, row, err);
        }
    }
    return code;
}

static enum err_code invariant_rows(struct eval *ev, const struct plan_node *node,
                                    const struct grid *grid, struct row_sink *sink,
                                    struct err *err) {
    const struct grid once = {.start_ms = grid->start_ms, .count = 1};
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    struct matrix first;
    matrix_init(&first, &tmp, 1);
    struct matrix_collect collect;
    matrix_collect_init(&collect, &first);
    const uint64_t before = ev->samples_now;
    const struct step_scope scope = step_scope_begin(ev, NULL);
    enum err_code code = rows_of_kind(ev, node, &once, &collect.sink, err);
    step_scope_end_invariant(ev, &scope, grid->count);
    if (code == ERR_OK) {
        ev->samples_now = before;
        code = repeat_first(ev, &first, grid, sink, err);
    }
    work_end(&tmp);
    return code;
}

static enum err_code rows_anew(struct eval *ev, const struct plan_node *node,
                               const struct grid *grid, struct row_sink *sink, struct err *err) {
    if (node->invariant && grid->count > 1) {
        return invariant_rows(ev, node, grid, sink, err);
    }
    return rows_of_kind(ev, node, grid, sink, err);
}

static enum err_code rows_on_grid(struct eval *ev, const struct plan_node *node,
                                  const struct grid *grid, struct row_sink *sink, struct err *err) {
    return node->share != 0 ? shared_rows_eval(ev, node, grid, rows_anew, sink, err)
                            : rows_anew(ev, node, grid, sink, err);
}

enum err_code eval_rows(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                        struct row_sink *sink, struct err *err) {
    if (grid->count == 0) {
        return ERR_OK;
    }
    if (ev->profile == NULL) {
        return rows_on_grid(ev, node, grid, sink, err);
    }
    struct profile_sink counted;
    profile_sink_init(&counted, ev, node, grid->count, sink);
    const enum err_code code = rows_on_grid(ev, node, grid, &counted.sink, err);
    profile_end(&counted.span);
    return code;
}

enum err_code eval_matrix(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                          struct work *to, struct matrix *out, struct err *err) {
    matrix_init(out, to, grid->count);
    struct matrix_collect collect;
    matrix_collect_init(&collect, out);
    const uint64_t before = ev->samples_now;
    enum err_code code = eval_rows(ev, node, grid, &collect.sink, err);
    if (code == ERR_OK && !ev->sorted_select) {
        code = matrix_sort(out, ev->cancel, err);
    }
    if (code == ERR_OK) {
        uint64_t samples = 0;
        code = matrix_samples(out, &samples, err);
        ev->samples_now = before + samples;
    }
    return code;
}

/* ---- scalars ---- */

static enum err_code scalar_binary(struct eval *ev, const struct plan_node *node,
                                   const struct grid *grid, struct work *to,
                                   struct scalar_column *out, struct err *err) {
    struct scalar_column a;
    struct scalar_column b;
    const struct plan_binary *binary = &node->binary;
    const enum binary_op op = binary->ast->op;
    if (op == OP_TRIM_UPPER || op == OP_TRIM_LOWER) {
        return err_set(err, ERR_EXECUTION, "operator \"%s\" not allowed for Scalar operations",
                       op == OP_TRIM_UPPER ? "</" : ">/");
    }
    enum err_code code = eval_scalar(ev, binary->lhs, grid, to, &a, err);
    if (code == ERR_OK) {
        code = eval_scalar(ev, binary->rhs, grid, to, &b, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (a.steps == NULL && b.steps == NULL) {
        *out = (struct scalar_column){.constant = eval_arithmetic(op, a.constant, b.constant)};
        return ERR_OK;
    }
    double *steps = work_alloc(to, grid->count, sizeof(*steps), err);
    if (steps == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0, end = 0; i < grid->count && code == ERR_OK; i = end) {
        end = work_slice_end(i, grid->count);
        for (size_t k = i; k < end; k++) {
            steps[k] = eval_arithmetic(op, scalar_at(&a, k), scalar_at(&b, k));
        }
        code = eval_worked(ev, end - i, err);
    }
    *out = (struct scalar_column){.steps = steps};
    return code;
}

static enum err_code scalar_negated(struct eval *ev, const struct plan_node *node,
                                    const struct grid *grid, struct work *to,
                                    struct scalar_column *out, struct err *err) {
    struct scalar_column a;
    const enum err_code code = eval_scalar(ev, node->negated, grid, to, &a, err);
    if (code != ERR_OK) {
        return code;
    }
    if (a.steps == NULL) {
        *out = (struct scalar_column){.constant = -a.constant};
        return ERR_OK;
    }
    double *steps = work_alloc(to, grid->count, sizeof(*steps), err);
    if (steps == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < grid->count; i++) {
        steps[i] = -a.steps[i];
    }
    *out = (struct scalar_column){.steps = steps};
    return eval_worked(ev, grid->count, err);
}

static enum err_code scalar_of_kind(struct eval *ev, const struct plan_node *node,
                                    const struct grid *grid, struct work *to,
                                    struct scalar_column *out, struct err *err) {
    switch (node->type) {
    case PLAN_NUMBER:
        *out = (struct scalar_column){.constant = node->number};
        return ERR_OK;
    case PLAN_CALL:
        return eval_call_scalar(ev, node, grid, to, out, err);
    case PLAN_BINARY:
        return scalar_binary(ev, node, grid, to, out, err);
    case PLAN_UNARY:
        return scalar_negated(ev, node, grid, to, out, err);
    case PLAN_STRING:
    case PLAN_SELECTOR:
    case PLAN_RANGE:
    case PLAN_SUBQUERY:
    case PLAN_AGGREGATE:
        break;
    }
    UNREACHABLE("not a scalar");
}

static enum err_code scalar_on_grid(struct eval *ev, const struct plan_node *node,
                                    const struct grid *grid, struct work *to,
                                    struct scalar_column *out, struct err *err) {
    if (grid->count > 1 && node->invariant) {
        const struct grid once = {.start_ms = grid->start_ms, .count = 1};
        struct scalar_column first;
        const struct step_scope scope = step_scope_begin(ev, NULL);
        const enum err_code code = scalar_of_kind(ev, node, &once, to, &first, err);
        step_scope_end_invariant(ev, &scope, grid->count);
        if (code == ERR_OK) {
            *out = (struct scalar_column){.constant = scalar_at(&first, 0)};
        }
        return code;
    }
    return scalar_of_kind(ev, node, grid, to, out, err);
}

enum err_code eval_scalar(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                          struct work *to, struct scalar_column *out, struct err *err) {
    struct profile_span span = profile_begin(ev, node);
    const enum err_code code = scalar_on_grid(ev, node, grid, to, out, err);
    profile_end(&span);
    return code;
}

static enum err_code ranges_of_kind(struct eval *ev, const struct plan_node *node,
                                    const struct grid *grid, struct range_visitor *visitor,
                                    struct err *err) {
    if (node->type == PLAN_RANGE) {
        return eval_selector_ranges(ev, &node->selector, grid, visitor, err);
    }
    ASSERT(node->type == PLAN_SUBQUERY);
    return eval_subquery_ranges(ev, &node->subquery, grid, visitor, err);
}

enum err_code eval_range_series(struct eval *ev, const struct plan_node *node,
                                const struct grid *grid, struct range_visitor *visitor,
                                struct err *err) {
    if (grid->count == 0) {
        return ERR_OK;
    }
    if (ev->profile == NULL) {
        return ranges_of_kind(ev, node, grid, visitor, err);
    }
    struct profile_visitor counted;
    profile_visitor_init(&counted, ev, node, visitor);
    const enum err_code code = ranges_of_kind(ev, node, grid, &counted.visitor, err);
    profile_end(&counted.span);
    return code;
}
