/* and, or, unless: many to many, by which samples are there; values pass through. */
#include <string.h>

#include "query/bits.h"
#include "query/eval_match.h"

/* Steps at which any row of these matching labels has a sample; NULL set for all absent. */
static enum err_code steps_by_signature(const struct match_side *side, size_t steps,
                                        struct work *tmp, uint64_t **out, struct err *err) {
    const size_t words = bits_words(steps);
    uint64_t *any = work_zalloc(tmp, (size_t)side->index.count + 1, words * sizeof(*any), err);
    if (any == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < side->rows.count; i++) {
        uint64_t *to = any + side->signature[i] * words;
        for (size_t w = 0; w < words; w++) {
            to[w] |= side->rows.rows[i].present[w];
        }
    }
    *out = any;
    return ERR_OK;
}

/* Keeps of side's rows the steps that the other side has (or has not). */
static enum err_code mask_rows(struct eval *ev, struct match_side *side,
                               const struct match_side *other, const uint64_t *other_any,
                               size_t steps, bool keep_matched, struct err *err) {
    const size_t words = bits_words(steps);
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < side->rows.count && code == ERR_OK; i++) {
        uint64_t *present = side->rows.rows[i].present;
        uint32_t at = 0;
        code = eval_worked(ev, words + WORK_ROW, err);
        if (!label_index_find(&other->index, side->index.sets[side->signature[i]], &at)) {
            if (keep_matched) {
                bits_zero(present, steps);
            }
            continue;
        }
        const uint64_t *mask = other_any + at * words;
        for (size_t w = 0; w < words; w++) {
            present[w] &= keep_matched ? mask[w] : ~mask[w];
        }
    }
    return code;
}

/* Both after each other; rows with equal labels have no step in common by then, or are an error. */
static enum err_code unite(struct eval *ev, struct match_side *lhs, struct match_side *rhs,
                           const struct grid *grid, struct work *tmp, struct row_sink *sink,
                           struct err *err) {
    struct matrix all;
    struct matrix_collect collect;
    matrix_init(&all, tmp, grid->count);
    matrix_collect_init(&collect, &all);
    enum err_code code = matrix_replay(&lhs->rows, &collect.sink, err);
    if (code == ERR_OK) {
        code = matrix_replay(&rhs->rows, &collect.sink, err);
    }
    if (code == ERR_OK) {
        code = matrix_merge(&all, MERGE_DISJOINT, err);
    }
    if (code == ERR_OK) {
        code = eval_worked(ev, all.count * grid->count, err);
    }
    return code == ERR_OK ? matrix_replay(&all, sink, err) : code;
}

static enum err_code combine(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                             struct work *tmp, struct row_sink *sink, struct err *err) {
    const struct plan_binary *b = &node->binary;
    struct match_side lhs;
    struct match_side rhs;
    uint64_t *any = NULL;
    enum err_code code = match_side_eval(&lhs, ev, b->lhs, grid, b->ast->matching, tmp, err);
    if (code == ERR_OK) {
        code = match_side_eval(&rhs, ev, b->rhs, grid, b->ast->matching, tmp, err);
    }
    const bool is_or = b->ast->op == OP_OR;
    if (code == ERR_OK) {
        code = steps_by_signature(is_or ? &lhs : &rhs, grid->count, tmp, &any, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    if (is_or) {
        code = mask_rows(ev, &rhs, &lhs, any, grid->count, false, err);
        return code == ERR_OK ? unite(ev, &lhs, &rhs, grid, tmp, sink, err) : code;
    }
    code = mask_rows(ev, &lhs, &rhs, any, grid->count, b->ast->op == OP_AND, err);
    return code == ERR_OK ? matrix_replay(&lhs.rows, sink, err) : code;
}

enum err_code eval_set(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                       struct row_sink *sink, struct err *err) {
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    const uint64_t before = ev->samples_now;
    const enum err_code code = combine(ev, node, grid, &tmp, sink, err);
    ev->samples_now = before;
    work_end(&tmp);
    return code;
}
