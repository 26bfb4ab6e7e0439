#include "query/plan.h"

#include <math.h>

#include "base/check.h"
#include "query/eval_call.h"
#include "query/float_pick.h"
#include "query/function.h"
#include "query/parse.h"
#include "query/plan_share.h"

/* How much of histograms is used (spec section 22). Where a part needs all of them, everything in
 * it does. */
enum need { NEED_UNDECIDED, NEED_STATISTICS, NEED_ALL };

enum { KNOWN_MAX = 16 };

struct planner {
    struct arena *arena;
    const struct plan_options *options;
    struct err *err;
    uint32_t selector_count;
    const struct plan_selector *known[KNOWN_MAX]; /* by number, the first of them */
    enum need need;                               /* of the selectors at hand, by what is around */
    /* Inside the parameter of an aggregation: the reference does not preprocess it, so that
     * @ start() and @ end() are ignored and @ T moves along with the step (spec section 3). */
    bool raw_times;
    struct grid grid; /* the steps at hand: the query's or a subquery's */
};

static enum err_code build(struct planner *p, struct node *ast, struct plan_node **out);

/* ---- durations ---- */

static enum err_code duration_error(struct planner *p, const struct node *at, const char *text) {
    return err_set(p->err, ERR_INVALID, "%u:%u: %s", at->pos.start, at->pos.end, text);
}

/* Max and Min with Go's rules for NaN, infinities and signed zeros (spec section 7). */
static double pick(enum duration_op op, double a, double b) {
    return op == DUR_MAX_OF ? float_max(a, b) : float_min(a, b);
}

static double step_seconds(const struct plan_options *o) {
    return (double)o->step_ms / 1000;
}

static double range_seconds(const struct plan_options *o) {
    return (double)time_sub(o->end_ms, o->start_ms) / 1000;
}

static enum err_code duration_value(struct planner *p, const struct node *node, double *out) {
    ASSERT(node->type == NODE_DURATION);
    const struct duration_expr *d = &node->duration;
    double a = 0;
    double b = 0;
    enum err_code code = ERR_OK;
    if (d->lhs != NULL) {
        code = duration_value(p, d->lhs, &a);
    }
    if (code == ERR_OK && d->rhs != NULL) {
        code = duration_value(p, d->rhs, &b);
    }
    if (code != ERR_OK) {
        return code;
    }
    switch (d->op) {
    case DUR_LITERAL:
        *out = d->seconds;
        break;
    case DUR_ADD:
        *out = a + b;
        break;
    case DUR_SUB:
        *out = a - b;
        break;
    case DUR_MUL:
        *out = a * b;
        break;
    case DUR_DIV:
        if (b == 0) {
            return duration_error(p, node, "division by zero");
        }
        *out = a / b;
        break;
    case DUR_MOD:
        if (b == 0) {
            return duration_error(p, node, "modulo by zero");
        }
        *out = fmod(a, b);
        break;
    case DUR_POW:
        *out = pow(a, b);
        break;
    case DUR_STEP:
        *out = step_seconds(p->options);
        break;
    case DUR_RANGE:
        *out = range_seconds(p->options);
        break;
    case DUR_MIN_OF:
    case DUR_MAX_OF:
        *out = pick(d->op, a, b);
        break;
    case DUR_NEGATE:
        *out = -(d->lhs != NULL ? a : b);
        break;
    }
    return ERR_OK;
}

/* A literal's ns, or a duration expression, as whole ms. */
static enum err_code resolve_ms(struct planner *p, const struct node *expr, int64_t literal_ns,
                                bool may_be_negative, int64_t *out) {
    if (expr == NULL) {
        *out = literal_ns / 1000000;
        return ERR_OK;
    }
    double seconds = 0;
    const enum err_code code = duration_value(p, expr, &seconds);
    if (code != ERR_OK) {
        return code;
    }
    if (!may_be_negative && seconds <= 0) {
        return duration_error(p, expr, "duration must be greater than 0");
    }
    if (!isfinite(seconds)) {
        return duration_error(p, expr, "duration is NaN or infinite");
    }
    if (fabs(seconds) > 9223372036.854775807) {
        return duration_error(p, expr, "duration is out of range");
    }
    *out = (int64_t)(seconds * 1000);
    return ERR_OK;
}

static enum err_code resolve_time(struct planner *p, const struct time_modifiers *t,
                                  struct plan_time *out) {
    const enum err_code code = resolve_ms(p, t->offset_expr, t->offset_ns, true, &out->offset_ms);
    if (code != ERR_OK) {
        return code;
    }
    const struct plan_options *o = p->options;
    if (p->raw_times) {
        if (t->at == AT_TIME) {
            out->offset_ms = time_add(out->offset_ms, time_sub(p->grid.start_ms, t->at_ms));
        }
        return ERR_OK;
    }
    switch (t->at) {
    case AT_NONE:
        break;
    case AT_TIME:
        out->at_ms = t->at_ms;
        break;
    case AT_START:
        out->at_ms = o->start_ms;
        break;
    case AT_END:
        out->at_ms = o->end_ms;
        break;
    }
    out->has_at = t->at != AT_NONE;
    return ERR_OK;
}

/* ---- nodes ---- */

/* anchored and smoothed widen the window; an instant selector is widened by smoothed alone. */
static void widen_window(const struct planner *p, const struct vector_selector *ast, bool range,
                         struct plan_selector *s) {
    const int64_t lookback_ms = p->options->lookback_ms;
    s->inner_range_ms = s->range_ms;
    if (ast->smoothed) {
        s->border = BORDER_SMOOTHED;
        s->after_ms = lookback_ms;
        s->time.offset_ms = time_sub(s->time.offset_ms, lookback_ms);
        s->range_ms = time_add(s->range_ms, lookback_ms);
    } else if (ast->anchored && range) {
        s->border = BORDER_ANCHORED;
    } else {
        return;
    }
    if (range) {
        s->range_ms = time_add(s->range_ms, lookback_ms);
    }
}

static bool same_matchers(const struct plan_selector *a, const struct plan_selector *b) {
    bool same = a->matcher_count == b->matcher_count;
    for (size_t i = 0; i < a->matcher_count && same; i++) {
        same = a->matchers[i].type == b->matchers[i].type &&
               str_eq(a->matchers[i].name, b->matchers[i].name) &&
               str_eq(a->matchers[i].value, b->matchers[i].value);
    }
    return same;
}

/* Selectors with the same matchers have one number: their series are found once. */
static uint32_t number_of(struct planner *p, const struct plan_selector *s) {
    for (uint32_t i = 0; i < p->selector_count && i < KNOWN_MAX; i++) {
        if (p->known[i] != NULL && same_matchers(p->known[i], s)) {
            return i;
        }
    }
    if (p->selector_count < KNOWN_MAX) {
        p->known[p->selector_count] = s;
    }
    return p->selector_count++;
}

static enum err_code build_selector(struct planner *p, const struct vector_selector *ast,
                                    bool range, int64_t range_ms, struct plan_node *out) {
    out->selector = (struct plan_selector){.matchers = ast->matchers,
                                           .matcher_count = ast->matcher_count,
                                           .range_ms = range_ms,
                                           .statistics_only = p->need == NEED_STATISTICS};
    out->selector.number = number_of(p, &out->selector);
    const enum err_code code = resolve_time(p, &ast->time, &out->selector.time);
    widen_window(p, ast, range, &out->selector);
    out->invariant = out->selector.time.has_at;
    return code;
}

static enum err_code build_range(struct planner *p, const struct matrix_selector *ast,
                                 struct plan_node *out) {
    int64_t range_ms = 0;
    const enum err_code code = resolve_ms(p, ast->range_expr, ast->range_ns, false, &range_ms);
    if (code != ERR_OK) {
        return code;
    }
    return build_selector(p, &ast->selector->vector, true, range_ms, out);
}

static enum err_code build_subquery(struct planner *p, const struct subquery *ast,
                                    struct plan_node *out) {
    struct plan_subquery *sub = &out->subquery;
    enum err_code code = resolve_ms(p, ast->range_expr, ast->range_ns, false, &sub->range_ms);
    if (code == ERR_OK) {
        code = resolve_ms(p, ast->step_expr, ast->step_ns, false, &sub->step_ms);
    }
    if (code == ERR_OK) {
        code = resolve_time(p, &ast->time, &sub->time);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (ast->step_expr == NULL && ast->step_ns == 0) {
        sub->step_ms = p->options->default_step_ms;
    }
    if (sub->step_ms <= 0) {
        return err_set(p->err, ERR_INVALID, "subquery step must be at least 1ms");
    }
    const enum need outer = p->need;
    const struct grid around = p->grid;
    p->need = NEED_ALL;
    p->grid = plan_subquery_grid(sub, &around);
    code = build(p, ast->expr, &sub->expr);
    p->need = outer;
    p->grid = around;
    out->invariant = sub->time.has_at;
    return code;
}

static void fold_number(struct plan_node *out, double value) {
    out->type = PLAN_NUMBER;
    out->number = value;
    out->invariant = true;
}

static bool fold_call(const struct planner *p, int id, struct plan_node *out) {
    const struct plan_options *o = p->options;
    switch (id) {
    case FN_START:
        fold_number(out, (double)o->start_ms / 1000);
        return true;
    case FN_END:
        fold_number(out, (double)o->end_ms / 1000);
        return true;
    case FN_RANGE:
        fold_number(out, range_seconds(o));
        return true;
    case FN_STEP:
        fold_number(out, o->start_ms == o->end_ms ? 0 : step_seconds(o));
        return true;
    default:
        return false;
    }
}

/* timestamp(selector @ T) is invariant although timestamp is not (spec section 3). */
static bool invariant_timestamp(const struct plan_call *call) {
    return call->function->id == FN_TIMESTAMP && call->arg_count == 1 &&
           call->args[0]->type == PLAN_SELECTOR;
}

static enum err_code check_border(struct planner *p, const struct plan_call *call) {
    const int id = call->function->id;
    for (size_t i = 0; i < call->arg_count; i++) {
        const struct plan_node *arg = call->args[i];
        const enum plan_border border =
            arg->type == PLAN_RANGE ? arg->selector.border : BORDER_PLAIN;
        const bool rates = id == FN_RATE || id == FN_INCREASE || id == FN_DELTA;
        if (border == BORDER_ANCHORED && !rates && id != FN_CHANGES && id != FN_RESETS) {
            return err_set(p->err, ERR_EXECUTION,
                           "anchored modifier can only be used with: changes, delta, increase, "
                           "rate, resets - not with %s",
                           call->function->name);
        }
        if (border == BORDER_SMOOTHED && !rates) {
            return err_set(p->err, ERR_EXECUTION,
                           "smoothed modifier can only be used with: delta, increase, rate - not "
                           "with %s",
                           call->function->name);
        }
    }
    return ERR_OK;
}

/* The time at which the first selector in node reads: its @ and offset; without @ the offsets of
 * the subqueries around it are added until one has an @. */
static bool first_time(const struct plan_node *node, struct plan_time *out) {
    switch (node->type) {
    case PLAN_NUMBER:
    case PLAN_STRING:
        return false;
    case PLAN_SELECTOR:
    case PLAN_RANGE:
        *out = node->selector.time;
        out->offset_ms = time_add(out->offset_ms, node->selector.after_ms);
        return true;
    case PLAN_SUBQUERY: {
        const struct plan_time *time = &node->subquery.time;
        if (!first_time(node->subquery.expr, out)) {
            return false;
        }
        if (!out->has_at) {
            out->offset_ms = time_add(out->offset_ms, time->offset_ms);
            out->has_at = time->has_at;
            out->at_ms = time->at_ms;
        }
        return true;
    }
    case PLAN_CALL:
        for (size_t i = 0; i < node->call.arg_count; i++) {
            if (first_time(node->call.args[i], out)) {
                return true;
            }
        }
        return false;
    case PLAN_AGGREGATE:
        return first_time(node->aggregate.expr, out);
    case PLAN_BINARY:
        return first_time(node->binary.lhs, out) || first_time(node->binary.rhs, out);
    case PLAN_UNARY:
        return first_time(node->negated, out);
    }
    UNREACHABLE("kind of node");
}

/* Names first, then data; the default name when none is asked for, and "_info" at the end when
 * names are only ruled out. */
static enum err_code info_matchers(struct planner *p, const struct plan_selector *given,
                                   struct plan_info *info, struct plan_selector *out) {
    const size_t count = given != NULL ? given->matcher_count : 0;
    struct matcher *all = arena_alloc(p->arena, (count + 1) * sizeof(*all));
    size_t n = 0;
    bool positive = false;
    for (size_t i = 0; i < count; i++) {
        if (str_eq(given->matchers[i].name, LABEL_NAME)) {
            all[n++] = given->matchers[i];
            positive = positive || given->matchers[i].type == MATCH_EQUAL ||
                       given->matchers[i].type == MATCH_REGEX;
        }
    }
    if (!positive) {
        const enum err_code code = n == 0 ? matcher_init(p->arena, MATCH_EQUAL, LABEL_NAME,
                                                         STR("target_info"), &all[n], p->err)
                                          : matcher_init(p->arena, MATCH_REGEX, LABEL_NAME,
                                                         STR(".+_info"), &all[n], p->err);
        if (code != ERR_OK) {
            return code;
        }
        n++;
    }
    *info = (struct plan_info){.names = all, .name_count = n, .data = all + n};
    for (size_t i = 0; i < count; i++) {
        if (!str_eq(given->matchers[i].name, LABEL_NAME)) {
            all[n++] = given->matchers[i];
            info->data_count++;
        }
    }
    out->matchers = all;
    out->matcher_count = n;
    return ERR_OK;
}

static enum err_code build_info(struct planner *p, struct plan_node *out) {
    struct plan_call *call = &out->call;
    struct plan_node *given = call->arg_count > 1 ? call->args[1] : NULL;
    struct plan_node *series = arena_zalloc(p->arena, sizeof(*series));
    *series = (struct plan_node){
        .type = PLAN_SELECTOR,
        .value_type = VALUE_VECTOR,
        .pos = given != NULL ? given->pos : out->pos,
        .selector = {.range_ms = p->options->lookback_ms,
                     .inner_range_ms = p->options->lookback_ms,
                     .number = p->selector_count++},
    };
    (void)first_time(call->args[0], &series->selector.time);
    call->info = arena_zalloc(p->arena, sizeof(*call->info));
    const enum err_code code =
        info_matchers(p, given != NULL ? &given->selector : NULL, call->info, &series->selector);
    call->info->series = series;
    call->arg_count = 1;
    out->invariant = out->invariant && given == NULL; /* the second one has no time of its own */
    return code;
}

static enum need need_of(int function_id, enum need outer) {
    switch (function_id) {
    case FN_HISTOGRAM_COUNT:
    case FN_HISTOGRAM_SUM:
    case FN_HISTOGRAM_AVG:
        return outer == NEED_ALL ? NEED_ALL : NEED_STATISTICS;
    case FN_HISTOGRAM_QUANTILE:
    case FN_HISTOGRAM_QUANTILES:
    case FN_HISTOGRAM_FRACTION:
        return NEED_ALL;
    default:
        return outer;
    }
}

static enum err_code build_call(struct planner *p, const struct call *ast, struct plan_node *out) {
    if (fold_call(p, ast->function->id, out)) {
        return ERR_OK;
    }
    if (!eval_call_supported(ast->function->id)) {
        return err_set(p->err, ERR_UNSUPPORTED,
                       "function %s() is not supported by this version of Brasa",
                       ast->function->name);
    }
    struct plan_call *call = &out->call;
    call->function = ast->function;
    call->arg_count = ast->arg_count;
    call->args = arena_zalloc(p->arena, (ast->arg_count + 1) * sizeof(struct plan_node *));
    bool invariant = true;
    const enum need outer = p->need;
    p->need = need_of(ast->function->id, outer);
    for (size_t i = 0; i < ast->arg_count; i++) {
        const enum err_code code = build(p, ast->args[i], &call->args[i]);
        if (code != ERR_OK) {
            return code;
        }
        invariant = invariant && call->args[i]->invariant;
    }
    p->need = outer;
    const enum err_code code = check_border(p, call);
    if (code != ERR_OK) {
        return code;
    }
    /* Without arguments an at_unsafe function depends on the step all the same. */
    out->invariant =
        invariant && !p->raw_times && (!ast->function->at_unsafe || invariant_timestamp(call));
    return ast->function->id == FN_INFO ? build_info(p, out) : ERR_OK;
}

static enum err_code build_aggregate(struct planner *p, const struct aggregate *ast,
                                     struct plan_node *out) {
    out->aggregate.ast = ast;
    enum err_code code = build(p, ast->expr, &out->aggregate.expr);
    if (code == ERR_OK && ast->param != NULL) {
        const bool outer = p->raw_times;
        p->raw_times = true;
        code = build(p, ast->param, &out->aggregate.param);
        p->raw_times = outer;
    }
    if (code == ERR_OK) {
        out->invariant = out->aggregate.expr->invariant;
    }
    return code;
}

static enum err_code build_binary(struct planner *p, const struct binary *ast,
                                  struct plan_node *out) {
    out->binary.ast = ast;
    const enum need outer = p->need;
    p->need = ast->op == OP_TRIM_UPPER || ast->op == OP_TRIM_LOWER ? NEED_ALL : outer;
    enum err_code code = build(p, ast->lhs, &out->binary.lhs);
    if (code == ERR_OK) {
        code = build(p, ast->rhs, &out->binary.rhs);
    }
    p->need = outer;
    if (code == ERR_OK) {
        out->invariant = out->binary.lhs->invariant && out->binary.rhs->invariant;
    }
    return code;
}

static enum err_code build_unary(struct planner *p, struct node *ast, struct plan_node **out) {
    if (!ast->unary.negative) {
        return build(p, ast->unary.expr, out);
    }
    struct plan_node *node = *out;
    const enum err_code code = build(p, ast->unary.expr, &node->negated);
    if (code == ERR_OK) {
        node->invariant = node->negated->invariant;
    }
    return code;
}

static enum plan_type plan_type_of(enum node_type type) {
    switch (type) {
    case NODE_NUMBER:
        return PLAN_NUMBER;
    case NODE_STRING:
        return PLAN_STRING;
    case NODE_VECTOR_SELECTOR:
        return PLAN_SELECTOR;
    case NODE_MATRIX_SELECTOR:
        return PLAN_RANGE;
    case NODE_SUBQUERY:
        return PLAN_SUBQUERY;
    case NODE_CALL:
        return PLAN_CALL;
    case NODE_AGGREGATE:
        return PLAN_AGGREGATE;
    case NODE_BINARY:
        return PLAN_BINARY;
    case NODE_UNARY:
        return PLAN_UNARY;
    case NODE_PAREN:
    case NODE_DURATION:
        break;
    }
    UNREACHABLE("no plan for this node");
}

static enum err_code build(struct planner *p, struct node *ast, struct plan_node **out) {
    while (ast->type == NODE_PAREN) {
        ast = ast->paren;
    }
    struct plan_node *node = arena_zalloc(p->arena, sizeof(*node));
    node->type = plan_type_of(ast->type);
    node->value_type = ast->value_type;
    node->pos = ast->pos;
    *out = node;
    switch (ast->type) {
    case NODE_NUMBER:
        fold_number(node, ast->number.value);
        return ERR_OK;
    case NODE_STRING:
        node->string = ast->string;
        node->invariant = true;
        return ERR_OK;
    case NODE_VECTOR_SELECTOR:
        return build_selector(p, &ast->vector, false, p->options->lookback_ms, node);
    case NODE_MATRIX_SELECTOR:
        return build_range(p, &ast->matrix, node);
    case NODE_SUBQUERY:
        return build_subquery(p, &ast->subquery, node);
    case NODE_CALL:
        return build_call(p, &ast->call, node);
    case NODE_AGGREGATE:
        return build_aggregate(p, &ast->aggregate, node);
    case NODE_BINARY:
        return build_binary(p, &ast->binary, node);
    case NODE_UNARY:
        return build_unary(p, ast, out);
    case NODE_PAREN:
    case NODE_DURATION:
        break;
    }
    UNREACHABLE("no plan for this node");
}

/* ---- time ranges ---- */

struct grid plan_subquery_grid(const struct plan_subquery *sub, const struct grid *outer) {
    if (outer->count == 0) {
        return (struct grid){.start_ms = outer->start_ms};
    }
    const int64_t first = sub->time.has_at ? sub->time.at_ms : outer->start_ms;
    const int64_t last = sub->time.has_at ? sub->time.at_ms : grid_last(outer);
    const int64_t end = time_sub(last, sub->time.offset_ms);
    const int64_t limit = time_sub(time_sub(first, sub->time.offset_ms), sub->range_ms);
    int64_t start = sub->step_ms * (limit / sub->step_ms);
    if (start <= limit) {
        start = time_add(start, sub->step_ms);
    }
    return grid_of(start, end, sub->step_ms);
}

static void widen(struct plan *plan, const struct plan_selector *s, const struct grid *grid) {
    if (grid->count == 0) {
        return;
    }
    const int64_t first = s->time.has_at ? s->time.at_ms : grid->start_ms;
    const int64_t last = s->time.has_at ? s->time.at_ms : grid_last(grid);
    const int64_t mint = time_add(time_sub(time_sub(first, s->time.offset_ms), s->range_ms),
                                  s->statistics_only ? 0 : 1);
    const int64_t maxt = time_sub(last, s->time.offset_ms);
    plan->mint = mint < plan->mint ? mint : plan->mint;
    plan->maxt = maxt > plan->maxt ? maxt : plan->maxt;
}

static void find_range(struct plan *plan, const struct plan_node *node, const struct grid *grid) {
    switch (node->type) {
    case PLAN_NUMBER:
    case PLAN_STRING:
        break;
    case PLAN_SELECTOR:
    case PLAN_RANGE:
        widen(plan, &node->selector, grid);
        break;
    case PLAN_SUBQUERY: {
        const struct grid inner = plan_subquery_grid(&node->subquery, grid);
        find_range(plan, node->subquery.expr, &inner);
        break;
    }
    case PLAN_CALL:
        for (size_t i = 0; i < node->call.arg_count; i++) {
            find_range(plan, node->call.args[i], grid);
        }
        break;
    case PLAN_AGGREGATE:
        find_range(plan, node->aggregate.expr, grid);
        if (node->aggregate.param != NULL) {
            find_range(plan, node->aggregate.param, grid);
        }
        break;
    case PLAN_BINARY:
        find_range(plan, node->binary.lhs, grid);
        find_range(plan, node->binary.rhs, grid);
        break;
    case PLAN_UNARY:
        find_range(plan, node->negated, grid);
        break;
    }
}

enum err_code plan_build(struct arena *arena, struct node *ast, const struct plan_options *options,
                         struct plan *out, struct err *err) {
    if (options->step_ms != 0 && ast->value_type != VALUE_SCALAR &&
        ast->value_type != VALUE_VECTOR) {
        return err_set(err, ERR_INVALID,
                       "invalid expression type \"%s\" for range query, must be Scalar or "
                       "instant Vector",
                       value_type_name(ast->value_type));
    }
    struct planner p = {.arena = arena, .options = options, .err = err};
    struct plan plan = {.mint = INT64_MAX, .maxt = INT64_MIN};
    plan.grid = grid_of(options->start_ms, options->end_ms, options->step_ms);
    p.grid = plan.grid;
    const enum err_code code = build(&p, ast, &plan.root);
    if (code != ERR_OK) {
        return code;
    }
    plan.selector_count = p.selector_count;
    find_range(&plan, plan.root, &plan.grid);
    plan_share(arena, &plan);
    *out = plan;
    return ERR_OK;
}
