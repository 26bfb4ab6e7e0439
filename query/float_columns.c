#include "query/float_columns.h"

#include <string.h>

#include "base/check.h"
#include "query/bits.h"
#include "query/eval.h"

enum { WORD = 64 };

/* The four operators of most joins; false: another one. */
static bool compute_word(enum binary_op op, const double *left, const double *right, double *out) {
    switch ((int)op) {
    case OP_ADD:
        for (size_t i = 0; i < WORD; i++) {
            out[i] = left[i] + right[i];
        }
        return true;
    case OP_SUB:
        for (size_t i = 0; i < WORD; i++) {
            out[i] = left[i] - right[i];
        }
        return true;
    case OP_MUL:
        for (size_t i = 0; i < WORD; i++) {
            out[i] = left[i] * right[i];
        }
        return true;
    case OP_DIV:
        for (size_t i = 0; i < WORD; i++) {
            out[i] = left[i] / right[i];
        }
        return true;
    default:
        return false;
    }
}

static ALWAYS_INLINE bool holds(enum binary_op op, double left, double right) {
    switch ((int)op) {
    case OP_EQL:
        return left == right;
    case OP_NEQ:
        return left != right;
    case OP_GTR:
        return left > right;
    case OP_LSS:
        return left < right;
    case OP_GTE:
        return left >= right;
    case OP_LTE:
        return left <= right;
    default:
        UNREACHABLE("no comparison");
    }
}

static ALWAYS_INLINE uint64_t holds_at(enum binary_op op, const double *left, const double *right) {
    uint64_t at = 0;
    for (size_t i = 0; i < WORD; i++) {
        at |= (uint64_t)holds(op, left[i], right[i]) << i;
    }
    return at;
}

/* At which of the steps of a word a comparison holds; the operator is a constant in each loop. */
static uint64_t compare_word(enum binary_op op, const double *left, const double *right) {
    switch ((int)op) {
    case OP_EQL:
        return holds_at(OP_EQL, left, right);
    case OP_NEQ:
        return holds_at(OP_NEQ, left, right);
    case OP_GTR:
        return holds_at(OP_GTR, left, right);
    case OP_LSS:
        return holds_at(OP_LSS, left, right);
    case OP_GTE:
        return holds_at(OP_GTE, left, right);
    case OP_LTE:
        return holds_at(OP_LTE, left, right);
    default:
        UNREACHABLE("no comparison");
    }
}

static void join_step(enum binary_op op, bool filter, double left, double right, size_t step,
                      struct row *out) {
    const double v = eval_arithmetic(op, left, right);
    if (!filter) {
        out->values[step] = v;
    } else if (v != 0) {
        out->values[step] = left;
    } else {
        bits_clear(out->present, step);
    }
}

void float_columns_join(enum binary_op op, bool filter, const double *left, const double *right,
                        size_t steps, struct row *out) {
    for (size_t i = bits_next(out->present, steps, 0); i < steps;
         i = bits_next(out->present, steps, i + 1)) {
        const bool whole = i % WORD == 0 && out->present[i / WORD] == UINT64_MAX;
        if (whole && filter) {
            out->present[i / WORD] = compare_word(op, left + i, right + i);
            if (out->present[i / WORD] != 0 && out->values != left) {
                memcpy(out->values + i, left + i, WORD * sizeof(*left));
            }
            i += WORD - 1;
        } else if (whole && compute_word(op, left + i, right + i, out->values + i)) {
            i += WORD - 1;
        } else {
            join_step(op, filter, left[i], right[i], i, out);
        }
    }
}
