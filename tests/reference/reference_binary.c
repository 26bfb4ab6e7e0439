/* Operators: numbers, sets, matching of vectors (spec section 5). */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/attr.h"
#include "tests/reference/reference.h"

double ref_binary_number(enum binary_op op, double a, double b, bool *keep) {
    *keep = true;
    switch (op) {
    case OP_ADD:
        return a + b;
    case OP_SUB:
        return a - b;
    case OP_MUL:
        return a * b;
    case OP_DIV:
        return a / b;
    case OP_MOD:
        return fmod(a, b);
    case OP_POW:
        return pow(a, b);
    case OP_ATAN2:
        return atan2(a, b);
    case OP_EQL:
        *keep = a == b;
        return a;
    case OP_NEQ:
        *keep = a != b;
        return a;
    case OP_GTR:
        *keep = a > b;
        return a;
    case OP_LSS:
        *keep = a < b;
        return a;
    case OP_GTE:
        *keep = a >= b;
        return a;
    case OP_LTE:
        *keep = a <= b;
        return a;
    case OP_AND:
    case OP_OR:
    case OP_UNLESS:
    case OP_TRIM_UPPER:
    case OP_TRIM_LOWER:
        break;
    }
    *keep = false;
    return NAN;
}

static bool is_comparison(enum binary_op op) {
    return op >= OP_EQL && op <= OP_LTE;
}

static const char *text_of(enum binary_op op) {
    static const char *const TEXTS[] = {
        [OP_ADD] = "+",       [OP_SUB] = "-",         [OP_MUL] = "*",
        [OP_DIV] = "/",       [OP_MOD] = "%",         [OP_POW] = "^",
        [OP_EQL] = "==",      [OP_NEQ] = "!=",        [OP_GTR] = ">",
        [OP_LSS] = "<",       [OP_GTE] = ">=",        [OP_LTE] = "<=",
        [OP_AND] = "and",     [OP_OR] = "or",         [OP_UNLESS] = "unless",
        [OP_ATAN2] = "atan2", [OP_TRIM_UPPER] = "</", [OP_TRIM_LOWER] = ">/",
    };
    return TEXTS[op];
}

static bool is_trim(enum binary_op op) {
    return op == OP_TRIM_UPPER || op == OP_TRIM_LOWER;
}

/* What a pair is warned about; two vectors: the last of a step's pairs is heard. */
struct pair_note {
    bool warning;
    char text[160]; /* "": nothing */
};

PRINTF_LIKE(4, 5)
static void put_note(struct ref *r, struct pair_note *note, bool warning, const char *fmt, ...) {
    char text[sizeof(note->text)];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    r->notes_open |= note->text[0] != '\0' && strcmp(note->text, text) != 0; /* order of pairs */
    memcpy(note->text, text, sizeof(text));
    note->warning = warning;
}

static void say_note(struct ref *r, const struct node *n, const struct pair_note *note) {
    if (note->text[0] == '\0') {
        return;
    }
    if (note->warning) {
        ref_warn(r, n->pos.start, "%s", note->text);
    } else {
        ref_inform(r, n->pos.start, "%s", note->text);
    }
}

static bool add_histograms(struct ref *r, const struct node *n, const struct ref_histogram *a,
                           const struct ref_histogram *b, struct ref_sample *out,
                           struct pair_note *note) {
    const bool add = n->binary.op == OP_ADD;
    const char *operation = add ? "addition" : "subtraction";
    struct ref_added added = {0};
    const struct ref_histogram *sum =
        ref_histogram_add(r, a, b, add ? REF_ADD : REF_SUBTRACT, &added);
    if (sum == NULL) {
        put_note(r, note, true, "incompatible bucket layout encountered for binary operator %s",
                 text_of(n->binary.op));
        return false;
    }
    if (added.conflict) {
        put_note(r, note, true, "conflicting counter resets during histogram %s", operation);
        return false;
    }
    if (added.reconciled) {
        put_note(r, note, false, "mismatched custom buckets were reconciled during %s", operation);
    }
    struct ref_histogram *compact = ref_histogram_compact(r, sum);
    compact->hint = add ? sum->hint : REF_GAUGE;
    out->h = compact;
    return true;
}

/* One pair of operands. False: no sample. *refused: the two do not go together. */
static bool combine(struct ref *r, const struct node *n, const struct ref_sample *lhs,
                    const struct ref_sample *rhs, struct ref_sample *out, bool *refused,
                    struct pair_note *note) {
    const struct binary *b = &n->binary;
    bool keep = true;
    *refused = false;
    if (lhs->h == NULL && rhs->h == NULL && !is_trim(b->op)) {
        out->v = ref_binary_number(b->op, lhs->v, rhs->v, &keep);
    } else if (lhs->h != NULL && rhs->h != NULL && (b->op == OP_ADD || b->op == OP_SUB)) {
        *refused = !add_histograms(r, n, lhs->h, rhs->h, out, note);
    } else if (lhs->h != NULL && rhs->h != NULL && (b->op == OP_EQL || b->op == OP_NEQ)) {
        keep = ref_histogram_same(lhs->h, rhs->h) == (b->op == OP_EQL);
        out->h = lhs->h;
    } else if (b->op == OP_MUL && (lhs->h == NULL) != (rhs->h == NULL)) {
        out->h = lhs->h != NULL ? ref_histogram_scale(r, lhs->h, rhs->v, false)
                                : ref_histogram_scale(r, rhs->h, lhs->v, false);
        out->h = ref_histogram_compact(r, out->h);
    } else if (b->op == OP_DIV && lhs->h != NULL && rhs->h == NULL) {
        out->h = ref_histogram_compact(r, ref_histogram_scale(r, lhs->h, rhs->v, true));
    } else if (is_trim(b->op) && lhs->h != NULL && rhs->h == NULL) {
        out->h = ref_histogram_trim(r, lhs->h, rhs->v, b->op == OP_TRIM_UPPER);
    } else {
        put_note(r, note, false,
                 "incompatible sample types encountered for binary operator \"%s\": %s %s %s",
                 text_of(b->op), lhs->h != NULL ? "histogram" : "float", text_of(b->op),
                 rhs->h != NULL ? "histogram" : "float");
        *refused = true;
    }
    if (*refused) {
        return false;
    }
    if (b->return_bool) {
        out->v = keep;
        out->h = NULL;
        return true;
    }
    return keep;
}

static struct ref_value with_scalar(struct ref *r, const struct node *n, struct ref_value *lhs,
                                    struct ref_value *rhs) {
    const struct binary *b = &n->binary;
    struct ref_value out = {.type = VALUE_VECTOR};
    const bool left = lhs->type == VALUE_SCALAR;
    const struct ref_vector *v = left ? &rhs->vector : &lhs->vector;
    for (size_t i = 0; i < v->count; i++) {
        const struct ref_sample number = {.v = left ? lhs->scalar : rhs->scalar};
        const struct ref_sample *item = &v->items[i];
        struct ref_sample s = {.labels = item->labels, .drops_name = item->drops_name};
        bool refused = false;
        struct pair_note note = {.warning = false};
        const bool keep =
            combine(r, n, left ? &number : item, left ? item : &number, &s, &refused, &note);
        say_note(r, n, &note);
        if (!keep) {
            continue;
        }
        if (is_comparison(b->op) && !b->return_bool) {
            s.v = item->v;
            s.h = item->h;
        } else if (is_comparison(b->op) || b->op <= OP_ATAN2) {
            ref_drop_name(r, &s);
        }
        ref_push(r, &out.vector, s);
    }
    ref_check_unique(r, &out.vector);
    return out;
}

/* ---- matching ---- */

static struct str *sorted_names(struct ref *r, const struct str *in, size_t n, size_t *out_count,
                                bool and_name) {
    struct str *out = arena_alloc(r->arena, (n + 1) * sizeof(*out));
    size_t count = 0;
    for (size_t i = 0; i < n + (and_name ? 1 : 0); i++) {
        const struct str name = i < n ? in[i] : LABEL_NAME;
        size_t at = 0;
        while (at < count && str_cmp(out[at], name) < 0) {
            at++;
        }
        if (at < count && str_eq(out[at], name)) {
            continue;
        }
        memmove(&out[at + 1], &out[at], (count - at) * sizeof(*out));
        out[at] = name;
        count++;
    }
    *out_count = count;
    return out;
}

static struct labels signature(struct ref *r, const struct vector_matching *m,
                               struct labels labels) {
    size_t n = 0;
    const struct str *names = sorted_names(r, m->labels, m->label_count, &n, !m->on);
    return m->on ? labels_keep(r->arena, labels, names, n)
                 : labels_drop(r->arena, labels, names, n);
}

static bool has_signature(struct ref *r, const struct vector_matching *m,
                          const struct ref_vector *v, struct labels sig) {
    for (size_t i = 0; i < v->count; i++) {
        if (labels_eq(signature(r, m, v->items[i].labels), sig)) {
            return true;
        }
    }
    return false;
}

static struct ref_value sets(struct ref *r, const struct binary *b, const struct ref_vector *lhs,
                             const struct ref_vector *rhs) {
    struct ref_value out = {.type = VALUE_VECTOR};
    for (size_t i = 0; i < lhs->count; i++) {
        const bool found =
            has_signature(r, b->matching, rhs, signature(r, b->matching, lhs->items[i].labels));
        if (b->op == OP_OR || (b->op == OP_AND) == found) {
            ref_push(r, &out.vector, lhs->items[i]);
        }
    }
    for (size_t i = 0; b->op == OP_OR && i < rhs->count; i++) {
        if (!has_signature(r, b->matching, lhs, signature(r, b->matching, rhs->items[i].labels))) {
            ref_push(r, &out.vector, rhs->items[i]);
        }
    }
    return out;
}

static struct labels result_labels(struct ref *r, const struct binary *b, struct labels many,
                                   struct labels one) {
    const struct vector_matching *m = b->matching;
    if (!is_comparison(b->op) ? !is_trim(b->op) : b->return_bool && !r->delayed_names) {
        many = ref_without_name(r, many);
    }
    size_t n = 0;
    if (m->card == CARD_ONE_TO_ONE) {
        const struct str *names = sorted_names(r, m->labels, m->label_count, &n, false);
        return m->on ? labels_keep(r->arena, many, names, n)
                     : labels_drop(r->arena, many, names, n);
    }
    for (size_t i = 0; i < m->include_count; i++) {
        many = ref_set_label(r, many, m->include[i], labels_get(one, m->include[i]));
    }
    return many;
}

struct ref_join {
    const struct node *node;
    const struct binary *b;
    bool swapped; /* the many side is the right one */
    struct ref_vector out;
    struct ref_vector matched; /* result labels, per signature, of pairs that were combined */
    struct ref_vector signatures;
    struct pair_note note;
};

/* False: the two do not go together. */
static bool join_pair(struct ref *r, struct ref_join *j, const struct ref_sample *many,
                      const struct ref_sample *one, struct labels sig) {
    struct ref_sample s = {.labels = {0}};
    bool refused = false;
    const bool keep = combine(r, j->node, j->swapped ? one : many, j->swapped ? many : one, &s,
                              &refused, &j->note);
    if (keep && is_comparison(j->b->op) && !j->b->return_bool) {
        const struct ref_sample *left = j->swapped ? one : many;
        s.v = left->v;
        s.h = left->h;
    }
    s.labels = result_labels(r, j->b, many->labels, one->labels);
    s.drops_name = r->delayed_names && j->b->return_bool;
    for (size_t i = 0; !refused && i < j->matched.count; i++) {
        if (!labels_eq(j->signatures.items[i].labels, sig)) {
            continue;
        }
        if (j->b->matching->card == CARD_ONE_TO_ONE) {
            ref_fail(r, "multiple matches for labels: many-to-one");
        } else if (labels_eq(j->matched.items[i].labels, s.labels)) {
            ref_fail(r, "multiple matches for labels: grouping");
        }
    }
    if (!refused) {
        ref_push(r, &j->matched, s);
        ref_push(r, &j->signatures, (struct ref_sample){.labels = sig});
    }
    if (keep) {
        ref_push(r, &j->out, s);
    }
    return !refused;
}

static struct ref_value join(struct ref *r, const struct node *n, const struct ref_vector *lhs,
                             const struct ref_vector *rhs) {
    const struct binary *b = &n->binary;
    const struct vector_matching *m = b->matching;
    struct ref_join j = {.node = n, .b = b, .swapped = m->card == CARD_ONE_TO_MANY};
    const struct ref_vector *many = j.swapped ? rhs : lhs;
    const struct ref_vector *one = j.swapped ? lhs : rhs;
    /* Fills are named by the sides of many-to-one, whatever the order of the operands. */
    const bool fill_one = m->has_fill_right;
    const bool fill_many = m->has_fill_left;
    if ((many->count == 0 && !fill_many) || (one->count == 0 && !fill_one)) {
        return (struct ref_value){.type = VALUE_VECTOR};
    }
    for (size_t i = 0; i < one->count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (labels_eq(signature(r, m, one->items[i].labels),
                          signature(r, m, one->items[k].labels))) {
                ref_fail(r, "found duplicate series for the match group");
            }
        }
    }
    bool *used = arena_zalloc(r->arena, one->count + 1);
    for (size_t i = 0; i < many->count; i++) {
        const struct labels sig = signature(r, m, many->items[i].labels);
        bool found = false;
        for (size_t k = 0; k < one->count && !found; k++) {
            if (labels_eq(signature(r, m, one->items[k].labels), sig)) {
                found = true;
                used[k] |= join_pair(r, &j, &many->items[i], &one->items[k], sig);
            }
        }
        if (!found && fill_one) {
            const struct ref_sample filled = {.labels = sig, .v = m->fill_right};
            (void)join_pair(r, &j, &many->items[i], &filled, sig);
        }
    }
    for (size_t k = 0; fill_many && k < one->count; k++) {
        const struct labels sig = signature(r, m, one->items[k].labels);
        const struct ref_sample filled = {.labels = sig, .v = m->fill_left};
        if (!used[k]) {
            (void)join_pair(r, &j, &filled, &one->items[k], sig);
        }
    }
    say_note(r, n, &j.note);
    return (struct ref_value){.type = VALUE_VECTOR, .vector = j.out};
}

struct ref_value ref_binary(struct ref *r, const struct node *n, int64_t t) {
    const struct binary *b = &n->binary;
    r->buckets += is_trim(b->op);
    struct ref_value lhs = ref_eval(r, b->lhs, t);
    struct ref_value rhs = ref_eval(r, b->rhs, t);
    r->buckets -= is_trim(b->op);
    if (ref_over(r)) {
        return (struct ref_value){.type = VALUE_VECTOR};
    }
    if (lhs.type == VALUE_SCALAR && rhs.type == VALUE_SCALAR && is_trim(b->op)) {
        ref_fail(r, "not allowed for Scalar operations");
    }
    if (lhs.type == VALUE_SCALAR && rhs.type == VALUE_SCALAR) {
        bool keep = true;
        double v = ref_binary_number(b->op, lhs.scalar, rhs.scalar, &keep);
        v = b->return_bool ? (double)keep : v;
        return (struct ref_value){.type = VALUE_SCALAR, .scalar = v};
    }
    if (lhs.type == VALUE_SCALAR || rhs.type == VALUE_SCALAR) {
        return with_scalar(r, n, &lhs, &rhs);
    }
    if (b->op == OP_AND || b->op == OP_OR || b->op == OP_UNLESS) {
        return sets(r, b, &lhs.vector, &rhs.vector);
    }
    struct ref_value out = join(r, n, &lhs.vector, &rhs.vector);
    ref_check_unique(r, &out.vector);
    return out;
}
