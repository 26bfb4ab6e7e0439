#include "query/eval_binary_native.h"

#include "base/histogram_sum.h"
#include "query/histogram_note.h"
#include "query/parse.h"

struct native_op {
    struct eval *ev;
    const struct plan_node *node;
    struct work *work;
    enum element_result kind;
    const struct histogram *h;
    double v;
};

static void note_incompatible_types(const struct native_op *o, struct element left,
                                    struct element right) {
    const char *op = binary_op_text(o->node->binary.ast->op);
    annotations_add(&o->ev->notes, ANNOTATION_INFO, o->node->pos,
                    "incompatible sample types encountered for binary operator \"%s\": %s %s %s",
                    op, left.h != NULL ? "histogram" : "float", op,
                    right.h != NULL ? "histogram" : "float");
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
    const char *operation = add ? "addition" : "subtraction";
    if (!histogram_same_kind(a, b)) {
        annotations_add(&o->ev->notes, ANNOTATION_WARNING, o->node->pos,
                        "incompatible bucket layout encountered for binary operator %s",
                        binary_op_text(o->node->binary.ast->op));
        o->kind = ELEMENT_REFUSED;
        return ERR_OK;
    }
    struct histogram_flags flags = {.reconciled = false};
    struct arena *arena = &o->work->arena;
    struct histogram *h =
        add ? histogram_add(arena, a, b, &flags) : histogram_subtract(arena, a, b, &flags);
    if (flags.reconciled) {
        note_reconciled(o->ev, o->node->pos, operation);
    }
    if (flags.hint_conflict) {
        note_hint_conflict(o->ev, o->node->pos, operation);
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
    note_incompatible_types(o, left, right);
    o->kind = ELEMENT_REFUSED;
    return ERR_OK;
}

enum err_code native_binary(struct eval *ev, const struct plan_node *node, struct work *work,
                            struct element left, struct element right,
                            enum element_result *out_kind, struct element *out, struct err *err) {
    struct native_op o = {.ev = ev, .node = node, .work = work};
    work_grant(work);
    const enum err_code code = apply(&o, left, right, err);
    *out_kind = o.kind;
    *out = (struct element){o.h, o.v};
    return code;
}
