#include "query/expect.h"

#include "query/function.h"

/* So many series are read to see how often they have samples, so much of each. */
enum { PROBES = 4, PROBE_MS = 15 * 60 * 1000 };

static uint64_t times(uint64_t a, uint64_t b) {
    uint64_t product = 0;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

static uint64_t plus(uint64_t a, uint64_t b) {
    return a + b < a ? UINT64_MAX : a + b;
}

/* ---- selectors ---- */

/* Samples a series has in a millisecond around the end of what the selector reads. */
static enum err_code density(struct eval *ev, const struct plan_selector *s, uint64_t series,
                             int64_t end_ms, double *out, struct err *err) {
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    const int64_t start_ms = time_add(time_sub(end_ms, PROBE_MS), 1);
    uint64_t found = 0;
    uint64_t probed = 0;
    enum err_code code = ERR_OK;
    for (uint64_t i = 0; i < PROBES && i < series && code == ERR_OK; i++) {
        struct storage_samples samples;
        code =
            eval_selector_probe(ev, s, (size_t)(i * series / (PROBES < series ? PROBES : series)),
                                start_ms, end_ms, &tmp, &samples, err);
        found += code == ERR_OK ? samples.count : 0;
        probed++;
    }
    work_end(&tmp);
    *out = probed > 0 ? (double)found / (double)probed / PROBE_MS : 0;
    return code;
}

static enum err_code expect_selector(struct eval *ev, struct profile_node *node,
                                     const struct grid *grid, struct err *err) {
    const struct plan_selector *s = &node->plan->selector;
    size_t series = 0;
    const enum err_code code = eval_selector_count(ev, s, &series, err);
    node->max_series = series;
    if (code != ERR_OK || series == 0) {
        return code;
    }
    if (node->type == PLAN_SELECTOR) {
        node->expected_samples = times(series, grid->count);
        return ERR_OK;
    }
    const int64_t last_ms = s->time.has_at ? s->time.at_ms : grid_last(grid);
    double per_ms = 0;
    const enum err_code probed =
        density(ev, s, series, time_sub(last_ms, s->time.offset_ms), &per_ms, err);
    const double per_window = per_ms * (double)s->range_ms;
    const double all = per_window * (double)series * (double)grid->count;
    node->expected_samples = all < 0x1p63 ? (uint64_t)all : UINT64_MAX;
    return probed;
}

/* ---- everything else, from what its operands give ---- */

static bool is_vector(const struct profile_node *node) {
    return node->plan->value_type == VALUE_VECTOR || node->plan->value_type == VALUE_MATRIX;
}

static uint64_t of_binary(const struct profile_node *node) {
    const struct profile_node *l = node->children[0];
    const struct profile_node *r = node->children[1];
    if (!is_vector(l) || !is_vector(r)) {
        return is_vector(l) ? l->max_series : is_vector(r) ? r->max_series : 0;
    }
    const struct vector_matching *m = node->plan->binary.ast->matching;
    const enum binary_op op = node->plan->binary.ast->op;
    if (op == OP_OR || (m != NULL && (m->has_fill_left || m->has_fill_right))) {
        return plus(l->max_series, r->max_series);
    }
    if (op == OP_AND || op == OP_UNLESS || (m != NULL && m->card == CARD_MANY_TO_ONE)) {
        return l->max_series;
    }
    if (m != NULL && m->card == CARD_ONE_TO_MANY) {
        return r->max_series;
    }
    return l->max_series < r->max_series ? l->max_series : r->max_series;
}

static uint64_t of_aggregate(const struct profile_node *node) {
    const struct aggregate *a = node->plan->aggregate.ast;
    const uint64_t from = node->children[0]->max_series;
    const bool picks = a->op == AGG_TOPK || a->op == AGG_BOTTOMK || a->op == AGG_LIMITK ||
                       a->op == AGG_LIMIT_RATIO || a->op == AGG_COUNT_VALUES;
    const bool one_group = !a->without && a->grouping_count == 0 && !picks;
    return one_group && from > 1 ? 1 : from;
}

static uint64_t of_call(const struct profile_node *node) {
    for (size_t i = 0; i < node->child_count; i++) {
        if (is_vector(node->children[i])) {
            return node->plan->value_type == VALUE_VECTOR ? node->children[i]->max_series : 0;
        }
    }
    return node->plan->value_type == VALUE_VECTOR ? 1 : 0;
}

static uint64_t of_operands(const struct profile_node *node) {
    switch (node->type) {
    case PLAN_CALL:
        return of_call(node);
    case PLAN_AGGREGATE:
        return of_aggregate(node);
    case PLAN_BINARY:
        return of_binary(node);
    case PLAN_UNARY:
    case PLAN_SUBQUERY:
        return node->children[0]->max_series;
    case PLAN_NUMBER:
    case PLAN_STRING:
    case PLAN_SELECTOR:
    case PLAN_RANGE:
        break;
    }
    return 0;
}

enum err_code expect_costs(struct eval *ev, struct profile_node *node, const struct grid *grid,
                           struct err *err) {
    struct grid inner = *grid;
    if (node->type == PLAN_SUBQUERY) {
        inner = plan_subquery_grid(&node->plan->subquery, grid);
    } else if (node->invariant && grid->count > 1) {
        inner = (struct grid){.start_ms = grid->start_ms, .count = 1};
    }
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < node->child_count && code == ERR_OK; i++) {
        code = expect_costs(ev, node->children[i], &inner, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (node->type == PLAN_SELECTOR || node->type == PLAN_RANGE) {
        return expect_selector(ev, node, &inner, err);
    }
    node->max_series = of_operands(node);
    return eval_pause(ev, err);
}
