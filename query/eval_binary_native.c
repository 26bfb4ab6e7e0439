#include "query/eval_binary_native.h"

#include "base/histogram_sum.h"
#include "query/histogram_note.h"
#include "query/parse.h"

struct native_op {
    const struct plan_node *node;
    struct work *work;
    enum element_result kind;
    enum native_note note;
    const struct histogram *h;
    double v;
};

static enum native_note note_of_types(struct element left, struct element right) {
    return NATIVE_NOTE_FLOAT_FLOAT + (left.h != NULL ? 2U : 0U) + (right.h != NULL ? 1U : 0U);
}

static enum err_code give(struct native_op *o, const struct histogram *h, struct err *err) {
    if (h == NULL) {
        return work_over(o->work, err);
    }
    o->kind = ELEMENT_HISTOGRAM;
    o->h = h;
    return ERR_OK;
}

static enum err_code combine(struct native_op *o, const struct histogram *a,
                             const struct histogram *b, struct err *err) {
    const bool add = o->node->binary.ast->op == OP_ADD;
    if (!histogram_same_kind(a, b)) {
        o->note = NATIVE_NOTE_LAYOUT;
        o->kind = ELEMENT_REFUSED;
        return ERR_OK;
    }
    struct histogram_flags flags = {.reconciled = false};
    struct arena *arena = &o->work->arena;
    struct histogram *h =
        add ? histogram_add(arena, a, b, &flags) : histogram_subtract(arena, a, b, &flags);
    if (flags.reconciled) {
        o->note = NATIVE_NOTE_RECONCILED;
    }
    if (flags.hint_conflict) {
        o->note = NATIVE_NOTE_HINTS;
        o->kind = ELEMENT_REFUSED;
        return ERR_OK;
    }
    if (h != NULL && !add) {
        h->hint = HINT_GAUGE;
    }
    return give(o, h != NULL ? histogram_compact(arena, h) : NULL, err);
}

static enum err_code scale(struct native_op *o, const struct histogram *h, double factor,
                           bool divide, struct err *err) {
    struct arena *arena = &o->work->arena;
    const struct histogram *scaled =
        divide ? histogram_divide(arena, h, factor) : histogram_multiply(arena, h, factor);
    return give(o, scaled != NULL ? histogram_compact(arena, scaled) : NULL, err);
}

static enum err_code compare(struct native_op *o, const struct histogram *a,
                             const struct histogram *b, struct err *err) {
    const struct binary *ast = o->node->binary.ast;
    const bool holds = histogram_equal(a, b) == (ast->op == OP_EQL);
    if (ast->return_bool) {
        o->kind = ELEMENT_FLOAT;
        o->v = holds;
        return ERR_OK;
    }
    return holds ? give(o, a, err) : ERR_OK;
}

static enum err_code apply(struct native_op *o, struct element left, struct element right,
                           struct err *err) {
    const enum binary_op op = o->node->binary.ast->op;
    if (left.h != NULL && right.h != NULL) {
        if (op == OP_ADD || op == OP_SUB) {
            return combine(o, left.h, right.h, err);
        }
        if (op == OP_EQL || op == OP_NEQ) {
            return compare(o, left.h, right.h, err);
        }
    } else if (left.h != NULL) {
        if (op == OP_MUL || op == OP_DIV) {
            return scale(o, left.h, right.v, op == OP_DIV, err);
        }
        if (op == OP_TRIM_UPPER || op == OP_TRIM_LOWER) {
            return give(o, histogram_trim(&o->work->arena, left.h, right.v, op == OP_TRIM_UPPER),
                        err);
        }
    } else if (right.h != NULL && op == OP_MUL) {
        return scale(o, right.h, left.v, false, err);
    }
    o->note = note_of_types(left, right);
    o->kind = ELEMENT_REFUSED;
    return ERR_OK;
}

enum err_code native_binary(const struct plan_node *node, struct work *work, struct element left,
                            struct element right, struct native_result *out, struct err *err) {
    struct native_op o = {.node = node, .work = work};
    work_grant(work);
    const enum err_code code = apply(&o, left, right, err);
    *out = (struct native_result){.kind = o.kind, .note = o.note, .element = {o.h, o.v}};
    return code;
}

void native_note_add(struct eval *ev, const struct plan_node *node, enum native_note note) {
    const char *op = binary_op_text(node->binary.ast->op);
    const char *operation = node->binary.ast->op == OP_ADD ? "addition" : "subtraction";
    switch (note) {
    case NATIVE_NOTE_NONE:
    case NATIVE_NOTE_COUNT:
        break;
    case NATIVE_NOTE_LAYOUT:
        annotations_add(&ev->notes, ANNOTATION_WARNING, node->pos,
                        "incompatible bucket layout encountered for binary operator %s", op);
        break;
    case NATIVE_NOTE_HINTS:
        note_hint_conflict(ev, node->pos, operation);
        break;
    case NATIVE_NOTE_RECONCILED:
        note_reconciled(ev, node->pos, operation);
        break;
    case NATIVE_NOTE_FLOAT_FLOAT:
    case NATIVE_NOTE_FLOAT_HISTOGRAM:
    case NATIVE_NOTE_HISTOGRAM_FLOAT:
    case NATIVE_NOTE_HISTOGRAM_HISTOGRAM:
        annotations_add(&ev->notes, ANNOTATION_INFO, node->pos,
                        "incompatible sample types encountered for binary operator \"%s\": %s %s "
                        "%s",
                        op, note >= NATIVE_NOTE_HISTOGRAM_FLOAT ? "histogram" : "float", op,
                        (note - NATIVE_NOTE_FLOAT_FLOAT) % 2 == 1 ? "histogram" : "float");
        break;
    }
}

enum err_code native_notes_put(struct native_notes *n, struct work *work, size_t step,
                               enum native_note note, struct err *err) {
    if (n->by_step == NULL) {
        n->by_step = work_zalloc(work, n->step_count, sizeof(*n->by_step), err);
    }
    if (n->by_step == NULL) {
        return ERR_LIMIT;
    }
    n->by_step[step] = (uint8_t)note;
    return ERR_OK;
}

void native_notes_add(const struct native_notes *n, struct eval *ev, const struct plan_node *node) {
    bool added[NATIVE_NOTE_COUNT] = {false};
    for (size_t i = 0; n->by_step != NULL && i < n->step_count; i++) {
        if (!added[n->by_step[i]]) {
            added[n->by_step[i]] = true;
            native_note_add(ev, node, (enum native_note)n->by_step[i]);
        }
    }
}
