#include "query/plan_share.h"

#include "base/check.h"
#include "base/hash.h"
#include "query/function.h"

/* ---- hashes, of all children before their parent ---- */

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t mix_text(uint64_t hash, struct str text) {
    return hash_keyed(text.ptr, text.len, hash);
}

static uint64_t mix_texts(uint64_t hash, const struct str *texts, size_t count) {
    for (size_t i = 0; i < count; i++) {
        hash = mix_text(hash, texts[i]);
    }
    return mix(hash, count);
}

static uint64_t mix_selector(uint64_t hash, const struct plan_selector *s) {
    hash = mix(hash, s->number);
    hash = mix(hash, (uint64_t)s->range_ms);
    return mix(hash, (uint64_t)s->time.offset_ms);
}

struct finder {
    struct plan *plan;
    struct plan_node **slots; /* by hash; the first of its like */
    size_t slot_count;        /* a power of two, more than twice the nodes */
    size_t node_count;
    size_t selector_count;
    struct plan_selector *readers[PLAN_SHARES_MAX]; /* the first that reads something */
    size_t reader_count;
};

static void hash_all(struct finder *f, struct plan_node *node) {
    uint64_t hash = mix(node->type, node->value_type);
    f->node_count++;
    switch (node->type) {
    case PLAN_NUMBER:
        hash = hash_keyed(&node->number, sizeof(node->number), hash);
        break;
    case PLAN_STRING:
        hash = mix_text(hash, node->string);
        break;
    case PLAN_SELECTOR:
    case PLAN_RANGE:
        f->selector_count++;
        hash = mix_selector(hash, &node->selector);
        break;
    case PLAN_SUBQUERY:
        hash_all(f, node->subquery.expr);
        hash = mix(hash, node->subquery.expr->hash);
        hash = mix(hash, (uint64_t)node->subquery.range_ms);
        break;
    case PLAN_CALL:
        hash = mix(hash, (uint64_t)node->call.function->id);
        for (size_t i = 0; i < node->call.arg_count; i++) {
            hash_all(f, node->call.args[i]);
            hash = mix(hash, node->call.args[i]->hash);
        }
        break;
    case PLAN_AGGREGATE: {
        const struct aggregate *ast = node->aggregate.ast;
        hash_all(f, node->aggregate.expr);
        hash = mix(mix(hash, ast->op), node->aggregate.expr->hash);
        hash = mix_texts(hash, ast->grouping, ast->grouping_count);
        if (node->aggregate.param != NULL) {
            hash_all(f, node->aggregate.param);
            hash = mix(hash, node->aggregate.param->hash);
        }
        break;
    }
    case PLAN_BINARY:
        hash_all(f, node->binary.lhs);
        hash_all(f, node->binary.rhs);
        hash = mix(mix(hash, node->binary.ast->op), node->binary.lhs->hash);
        hash = mix(hash, node->binary.rhs->hash);
        break;
    case PLAN_UNARY:
        hash_all(f, node->negated);
        hash = mix(hash, node->negated->hash);
        break;
    }
    node->hash = hash;
}

/* ---- equality ---- */

static bool same_texts(const struct str *a, size_t a_count, const struct str *b, size_t b_count) {
    bool same = a_count == b_count;
    for (size_t i = 0; i < a_count && same; i++) {
        same = str_eq(a[i], b[i]);
    }
    return same;
}

static bool same_bits(double a, double b) {
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static bool same_time(const struct plan_time *a, const struct plan_time *b) {
    return a->has_at == b->has_at && (!a->has_at || a->at_ms == b->at_ms) &&
           a->offset_ms == b->offset_ms;
}

static bool same_selector(const struct plan_selector *a, const struct plan_selector *b) {
    return a->number == b->number && same_time(&a->time, &b->time) && a->range_ms == b->range_ms &&
           a->border == b->border && a->inner_range_ms == b->inner_range_ms &&
           a->after_ms == b->after_ms && a->statistics_only == b->statistics_only;
}

static bool same_matching(const struct vector_matching *a, const struct vector_matching *b) {
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return a->card == b->card && a->on == b->on &&
           same_texts(a->labels, a->label_count, b->labels, b->label_count) &&
           same_texts(a->include, a->include_count, b->include, b->include_count) &&
           a->has_fill_left == b->has_fill_left && a->has_fill_right == b->has_fill_right &&
           same_bits(a->fill_left, b->fill_left) && same_bits(a->fill_right, b->fill_right);
}

static bool same_node(const struct plan_node *a, const struct plan_node *b);

static bool same_call(const struct plan_call *a, const struct plan_call *b) {
    bool same = a->function == b->function && a->arg_count == b->arg_count && a->info == NULL &&
                b->info == NULL;
    for (size_t i = 0; i < a->arg_count && same; i++) {
        same = same_node(a->args[i], b->args[i]);
    }
    return same;
}

static bool same_aggregate(const struct plan_aggregate *a, const struct plan_aggregate *b) {
    const bool params =
        a->param != NULL && b->param != NULL ? same_node(a->param, b->param) : a->param == b->param;
    return params && a->ast->op == b->ast->op && a->ast->without == b->ast->without &&
           same_texts(a->ast->grouping, a->ast->grouping_count, b->ast->grouping,
                      b->ast->grouping_count) &&
           same_node(a->expr, b->expr);
}

static bool same_binary(const struct plan_binary *a, const struct plan_binary *b) {
    return a->ast->op == b->ast->op && a->ast->return_bool == b->ast->return_bool &&
           same_matching(a->ast->matching, b->ast->matching) && same_node(a->lhs, b->lhs) &&
           same_node(a->rhs, b->rhs);
}

static bool same_subquery(const struct plan_subquery *a, const struct plan_subquery *b) {
    return same_time(&a->time, &b->time) && a->range_ms == b->range_ms &&
           a->step_ms == b->step_ms && same_node(a->expr, b->expr);
}

static bool same_node(const struct plan_node *a, const struct plan_node *b) {
    if (a->hash != b->hash || a->type != b->type || a->value_type != b->value_type) {
        return false;
    }
    switch (a->type) {
    case PLAN_NUMBER:
        return same_bits(a->number, b->number);
    case PLAN_STRING:
        return str_eq(a->string, b->string);
    case PLAN_SELECTOR:
    case PLAN_RANGE:
        return same_selector(&a->selector, &b->selector);
    case PLAN_SUBQUERY:
        return same_subquery(&a->subquery, &b->subquery);
    case PLAN_CALL:
        return same_call(&a->call, &b->call);
    case PLAN_AGGREGATE:
        return same_aggregate(&a->aggregate, &b->aggregate);
    case PLAN_BINARY:
        return same_binary(&a->binary, &b->binary);
    case PLAN_UNARY:
        return same_node(a->negated, b->negated);
    }
    UNREACHABLE("kind of node");
}

/* ---- groups ---- */

static void join_reads(struct finder *f, struct plan_selector *s) {
    for (size_t i = 0; i < f->reader_count; i++) {
        struct plan_selector *first = f->readers[i];
        if (same_selector(first, s)) {
            first->read = first->read != 0 ? first->read : ++f->plan->read_count;
            s->read = first->read;
            return;
        }
    }
    if (f->reader_count < PLAN_SHARES_MAX) {
        f->readers[f->reader_count++] = s;
    }
}

/* True: an equal one was there, and they are in a group. */
static bool join(struct finder *f, struct plan_node *node) {
    struct plan *plan = f->plan;
    size_t at = node->hash & (f->slot_count - 1);
    while (f->slots[at] != NULL && !same_node(f->slots[at], node)) {
        at = (at + 1) & (f->slot_count - 1);
    }
    struct plan_node *first = f->slots[at];
    if (first == NULL) {
        f->slots[at] = node;
        return false;
    }
    if (first->share == 0 && plan->share_count < PLAN_SHARES_MAX) {
        first->share = ++plan->share_count;
        plan->share_uses[first->share - 1] = 1;
    }
    node->share = first->share;
    if (node->share == 0) {
        return false;
    }
    plan->share_uses[node->share - 1]++;
    return true;
}

/* Parents first, so that of two equal parts the largest are found. */
static void find(struct finder *f, struct plan_node *node) {
    if (node->value_type == VALUE_VECTOR && join(f, node)) {
        return;
    }
    switch (node->type) {
    case PLAN_NUMBER:
    case PLAN_STRING:
        break;
    case PLAN_SELECTOR:
    case PLAN_RANGE:
        join_reads(f, &node->selector);
        break;
    case PLAN_SUBQUERY:
        find(f, node->subquery.expr);
        break;
    case PLAN_CALL:
        for (size_t i = 0; i < node->call.arg_count; i++) {
            find(f, node->call.args[i]);
        }
        break;
    case PLAN_AGGREGATE:
        find(f, node->aggregate.expr);
        if (node->aggregate.param != NULL) {
            find(f, node->aggregate.param);
        }
        break;
    case PLAN_BINARY:
        find(f, node->binary.lhs);
        find(f, node->binary.rhs);
        break;
    case PLAN_UNARY:
        find(f, node->negated);
        break;
    }
}

void plan_share(struct arena *arena, struct plan *plan) {
    struct finder f = {.plan = plan, .slot_count = 8};
    plan->share_count = 0;
    plan->share_uses = NULL;
    plan->read_count = 0;
    hash_all(&f, plan->root);
    if (f.selector_count < 2) {
        return;
    }
    while (f.slot_count < 2 * f.node_count) {
        f.slot_count *= 2;
    }
    f.slots = arena_zalloc(arena, f.slot_count * sizeof(struct plan_node *));
    plan->share_uses = arena_zalloc(arena, PLAN_SHARES_MAX * sizeof(*plan->share_uses));
    find(&f, plan->root);
}
