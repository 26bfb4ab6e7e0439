/* The tree, and what belongs to no other file of the reference evaluator. */
#include <math.h>

#include "tests/reference/reference.h"

void ref_fail(struct ref *r, const char *error) {
    if (r->error == NULL) {
        r->error = error;
    }
}

void ref_beyond(struct ref *r, bool so, const char *what) {
    if (so && r->beyond == NULL) {
        r->beyond = what;
    }
}

bool ref_over(const struct ref *r) {
    return r->error != NULL || r->beyond != NULL;
}

void ref_push(struct ref *r, struct ref_vector *v, struct ref_sample sample) {
    if (v->count == v->capacity) {
        struct ref_sample *grown =
            arena_alloc(r->arena, (2 * v->capacity + 8) * sizeof(struct ref_sample));
        if (v->count > 0) {
            memcpy(grown, v->items, v->count * sizeof(*grown));
        }
        v->items = grown;
        v->capacity = 2 * v->capacity + 8;
    }
    v->items[v->count++] = sample;
}

void ref_push_window(struct ref *r, struct ref_matrix *m, struct ref_series series) {
    if (m->count == m->capacity) {
        struct ref_series *grown =
            arena_alloc(r->arena, (2 * m->capacity + 8) * sizeof(struct ref_series));
        if (m->count > 0) {
            memcpy(grown, m->items, m->count * sizeof(*grown));
        }
        m->items = grown;
        m->capacity = 2 * m->capacity + 8;
    }
    m->items[m->count++] = series;
}

struct labels ref_without_name(struct ref *r, struct labels labels) {
    const struct str names[] = {STR("__name__"), STR("__type__"), STR("__unit__")};
    return labels_drop(r->arena, labels, names, 3);
}

void ref_drop_name(struct ref *r, struct ref_sample *s) {
    if (r->delayed_names) {
        s->drops_name = true;
    } else {
        s->labels = ref_without_name(r, s->labels);
    }
}

/* Whether a name goes belongs to a series: where that changes from step to step, what the engine
 * makes of it is its own matter. */
void ref_drop_final_names(struct ref *r, struct ref_vector *v) {
    for (size_t i = 0; i < v->count; i++) {
        struct ref_sample *s = &v->items[i];
        size_t at = 0;
        while (at < r->finals.count && !labels_eq(r->finals.items[at].labels, s->labels)) {
            at++;
        }
        if (at == r->finals.count) {
            ref_push(r, &r->finals, *s);
        }
        ref_beyond(r, r->finals.items[at].drops_name != s->drops_name,
                   "a name to be removed at some steps");
        if (s->drops_name) {
            s->labels = ref_without_name(r, s->labels);
        }
    }
    ref_check_unique(r, v);
}

struct labels ref_set_label(struct ref *r, struct labels labels, struct str name,
                            struct str value) {
    struct labels_builder b;
    struct labels out = labels;
    struct err err;
    labels_builder_init(&b, r->arena);
    labels_builder_reset(&b, labels);
    labels_builder_set(&b, name, value);
    ref_beyond(r, labels_builder_finish(&b, &out, &err) != ERR_OK, "labels");
    return out;
}

void ref_check_unique(struct ref *r, const struct ref_vector *v) {
    for (size_t i = 0; i < v->count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (labels_eq(v->items[i].labels, v->items[k].labels)) {
                ref_fail(r, "vector cannot contain metrics with the same labelset");
            }
        }
    }
}

const struct node *ref_bare(const struct node *n) {
    while (n->type == NODE_PAREN) {
        n = n->paren;
    }
    return n;
}

/* ---- sums, used by several files ---- */

void ref_sum_add(struct ref_sum *k, double x) {
    const double t = k->s + x;
    if (isinf(t)) {
        k->c = 0;
    } else if (fabs(k->s) >= fabs(x)) {
        k->c += (k->s - t) + x;
    } else {
        k->c += (x - t) + k->s;
    }
    k->s = t;
}

/* Section 19: a sum, and a running mean from where that would overflow. */
double ref_mean(const double *values, size_t n) {
    struct ref_sum k = {values[0], 0};
    bool running = false;
    for (size_t i = 1; i < n; i++) {
        const double count = (double)i + 1;
        if (!running) {
            struct ref_sum next = k;
            ref_sum_add(&next, values[i]);
            if (!isinf(next.s)) {
                k = next;
                continue;
            }
            running = true;
            k.s = k.s / (count - 1);
            k.c = k.c / (count - 1);
        }
        const double q = (count - 1) / count;
        k.s = k.s * q;
        k.c = k.c * q;
        ref_sum_add(&k, values[i] / count);
    }
    return running ? k.s + k.c : k.s / (double)n + k.c / (double)n;
}

/* ---- the tree ---- */

static struct ref_value negate(struct ref *r, const struct unary *u, int64_t t) {
    struct ref_value v = ref_eval(r, u->expr, t);
    struct ref_value out = {.type = v.type, .scalar = u->negative ? -v.scalar : v.scalar};
    if (!u->negative) {
        return v;
    }
    for (size_t i = 0; i < v.vector.count; i++) {
        struct ref_sample s = v.vector.items[i];
        ref_drop_name(r, &s);
        s.v = -s.v;
        s.h = s.h != NULL ? ref_histogram_scale(r, s.h, -1, false) : NULL;
        ref_push(r, &out.vector, s);
    }
    ref_check_unique(r, &out.vector);
    return out;
}

struct ref_value ref_eval(struct ref *r, const struct node *n, int64_t t) {
    if (ref_over(r)) {
        return (struct ref_value){.type = VALUE_NONE};
    }
    switch (n->type) {
    case NODE_NUMBER:
        return (struct ref_value){.type = VALUE_SCALAR, .scalar = n->number.value};
    case NODE_STRING:
        return (struct ref_value){.type = VALUE_STRING, .string = n->string};
    case NODE_PAREN:
        return ref_eval(r, n->paren, t);
    case NODE_VECTOR_SELECTOR:
        return ref_vector_selector(r, n, t);
    case NODE_MATRIX_SELECTOR:
        return ref_matrix_selector(r, n, t);
    case NODE_SUBQUERY:
        return ref_subquery(r, n, t);
    case NODE_CALL:
    case NODE_AGGREGATE:
    case NODE_BINARY:
    case NODE_UNARY:
        break;
    case NODE_DURATION:
        ref_beyond(r, true, "a duration alone");
        return (struct ref_value){.type = VALUE_NONE};
    }
    if (r->grid.start_ms != r->grid.end_ms && !r->in_param && ref_invariant(n)) {
        return ref_keep_invariant(r, n);
    }
    return n->type == NODE_CALL        ? ref_call(r, n, t)
           : n->type == NODE_AGGREGATE ? ref_aggregate(r, n, t)
           : n->type == NODE_BINARY    ? ref_binary(r, n, t)
                                       : negate(r, &n->unary, t);
}
