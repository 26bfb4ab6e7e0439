#include "query/profile.h"

#include <stdlib.h>

#include "query/bits.h"
#include "query/expect.h"
#include "query/function.h"
#include "query/parse.h"

/* ---- the tree ---- */

enum { CHILDREN_MAX = 2 }; /* of all but calls */

struct maker {
    struct query_profile *profile;
    size_t capacity;
};

static struct str what_of(const struct plan_node *node) {
    switch (node->type) {
    case PLAN_CALL:
        return str_of(node->call.function->name);
    case PLAN_AGGREGATE:
        return str_of(aggregate_op_text(node->aggregate.ast->op));
    case PLAN_BINARY:
        return str_of(binary_op_text(node->binary.ast->op));
    case PLAN_UNARY:
        return STR("-");
    case PLAN_NUMBER:
    case PLAN_STRING:
    case PLAN_SELECTOR:
    case PLAN_RANGE:
    case PLAN_SUBQUERY:
        break;
    }
    return STR("");
}

/* The operands of all but calls; how many. */
static size_t operands(const struct plan_node *node, struct plan_node *out[CHILDREN_MAX]) {
    switch (node->type) {
    case PLAN_SUBQUERY:
        out[0] = node->subquery.expr;
        return 1;
    case PLAN_AGGREGATE:
        out[0] = node->aggregate.expr;
        out[1] = node->aggregate.param;
        return node->aggregate.param != NULL ? 2 : 1;
    case PLAN_BINARY:
        out[0] = node->binary.lhs;
        out[1] = node->binary.rhs;
        return 2;
    case PLAN_UNARY:
        out[0] = node->negated;
        return 1;
    case PLAN_CALL:
    case PLAN_NUMBER:
    case PLAN_STRING:
    case PLAN_SELECTOR:
    case PLAN_RANGE:
        break;
    }
    return 0;
}

static bool remember(struct maker *m, struct profile_node *node) {
    struct query_profile *p = m->profile;
    if (p->count == m->capacity) {
        const size_t capacity = m->capacity == 0 ? 32 : 2 * m->capacity;
        struct profile_node **grown = arena_try_alloc(p->arena, capacity, sizeof(*grown));
        if (grown == NULL) {
            return false;
        }
        if (p->count > 0) {
            memcpy(grown, p->by_plan, p->count * sizeof(*grown));
        }
        p->by_plan = grown;
        m->capacity = capacity;
    }
    p->by_plan[p->count++] = node;
    return true;
}

static struct profile_node *make_node(struct maker *m, const struct plan_node *plan) {
    struct arena *arena = m->profile->arena;
    struct plan_node *few[CHILDREN_MAX];
    struct plan_node **children = few;
    size_t count = operands(plan, few);
    if (plan->type == PLAN_CALL) {
        children = plan->call.args;
        count = plan->call.arg_count;
    }
    const bool info = plan->type == PLAN_CALL && plan->call.info != NULL;
    struct profile_node *node = arena_try_alloc(arena, 1, sizeof(*node));
    struct profile_node **list = arena_try_alloc(arena, count + 1, sizeof(struct profile_node *));
    if (node == NULL || list == NULL) {
        return NULL;
    }
    *node = (struct profile_node){.plan = plan,
                                  .type = plan->type,
                                  .pos = plan->pos,
                                  .what = what_of(plan),
                                  .invariant = plan->invariant,
                                  .share = plan->share,
                                  .children = list};
    for (size_t i = 0; i < count + info; i++) {
        struct profile_node *child =
            make_node(m, i < count ? children[i] : plan->call.info->series);
        if (child == NULL) {
            return NULL;
        }
        list[node->child_count++] = child;
    }
    return remember(m, node) ? node : NULL;
}

static int by_address(const void *left, const void *right) {
    const uintptr_t a = (uintptr_t)(*(struct profile_node *const *)left)->plan;
    const uintptr_t b = (uintptr_t)(*(struct profile_node *const *)right)->plan;
    return a < b ? -1 : a > b;
}

enum err_code profile_make(struct query_profile *profile, struct eval *ev, const struct plan *plan,
                           struct err *err) {
    struct maker m = {.profile = profile};
    profile->step_count = plan->grid.count;
    profile->root = make_node(&m, plan->root);
    if (profile->root == NULL) {
        return err_set(err, ERR_LIMIT, "the plan does not fit into the memory of its answer");
    }
    qsort(profile->by_plan, profile->count, sizeof(struct profile_node *), by_address);
    return expect_costs(ev, profile->root, &plan->grid, err);
}

/* ---- counting ---- */

static struct profile_node *find(const struct eval *ev, const struct plan_node *plan) {
    const struct query_profile *p = ev->profile;
    if (p == NULL) {
        return NULL;
    }
    const struct profile_node key = {.plan = plan};
    const struct profile_node *pkey = &key;
    struct profile_node **found =
        bsearch(&pkey, p->by_plan, p->count, sizeof(struct profile_node *), by_address);
    return found != NULL ? *found : NULL;
}

static void note_bytes(struct profile_span *span) {
    const size_t bytes = work_used_bytes(&span->ev->base);
    if (bytes > span->node->peak_bytes) {
        span->node->peak_bytes = bytes;
    }
}

void profile_note(struct eval *ev, const struct plan_node *plan, uint64_t series, uint64_t samples,
                  int64_t ns) {
    struct profile_node *node = find(ev, plan);
    if (node != NULL) {
        node->calls++;
        node->series += series;
        node->samples += samples;
        node->ns += ns;
    }
}

struct profile_span profile_begin(struct eval *ev, const struct plan_node *plan) {
    struct profile_span span = {.node = find(ev, plan), .ev = ev};
    if (span.node != NULL) {
        span.start_ns = clock_mono_ns(ev->clock);
    }
    return span;
}

void profile_end(struct profile_span *span) {
    if (span->node != NULL) {
        span->node->calls++;
        span->node->ns += clock_mono_ns(span->ev->clock) - span->start_ns - span->elsewhere_ns;
        note_bytes(span);
    }
}

static struct row *sink_begin(struct row_sink *sink, struct err *err) {
    struct profile_sink *s = (struct profile_sink *)sink;
    return s->down->begin(s->down, err);
}

static enum err_code sink_end(struct row_sink *sink, struct row *row, struct err *err) {
    struct profile_sink *s = (struct profile_sink *)sink;
    struct profile_span *span = &s->span;
    span->node->series++;
    span->node->samples += bits_count(row->present, s->steps);
    note_bytes(span);
    const int64_t before_ns = clock_mono_ns(span->ev->clock);
    const enum err_code code = s->down->end(s->down, row, err);
    span->elsewhere_ns += clock_mono_ns(span->ev->clock) - before_ns;
    return code;
}

void profile_sink_init(struct profile_sink *s, struct eval *ev, const struct plan_node *node,
                       size_t steps, struct row_sink *down) {
    *s = (struct profile_sink){.sink = {.begin = sink_begin, .end = sink_end},
                               .down = down,
                               .span = profile_begin(ev, node),
                               .steps = steps};
}

static enum err_code visit(struct range_visitor *visitor, const struct range_series *series,
                           struct err *err) {
    struct profile_visitor *v = (struct profile_visitor *)visitor;
    struct profile_span *span = &v->span;
    span->node->series++;
    span->node->samples += series->bounds->total;
    note_bytes(span);
    const int64_t before_ns = clock_mono_ns(span->ev->clock);
    v->down->spec = v->visitor.spec; /* the source has set them by now */
    v->down->of_subquery = v->visitor.of_subquery;
    const enum err_code code = v->down->visit(v->down, series, err);
    span->elsewhere_ns += clock_mono_ns(span->ev->clock) - before_ns;
    return code;
}

void profile_visitor_init(struct profile_visitor *v, struct eval *ev, const struct plan_node *node,
                          struct range_visitor *down) {
    *v = (struct profile_visitor){.visitor = {.spec = down->spec,
                                              .whole = down->whole,
                                              .wants_shape = down->wants_shape,
                                              .want = down->want,
                                              .visit = visit},
                                  .down = down,
                                  .span = profile_begin(ev, node)};
}
