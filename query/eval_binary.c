/* Binary operators (spec/promql.md section 5). A vector and a scalar go row by row. Two vectors
 * are matched once per pair of rows with equal matching labels, then computed over all steps; the
 * errors that depend on which samples are there are found per step, and the earliest one wins, as
 * if steps were evaluated one after the other. Set operators are in eval_set.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "query/bits.h"
#include "query/eval.h"
#include "query/eval_binary_native.h"
#include "query/eval_match.h"
#include "query/float_columns.h"
#include "query/parse.h"

double eval_arithmetic(enum binary_op op, double a, double b) {
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
        return a == b;
    case OP_NEQ:
        return a != b;
    case OP_GTR:
        return a > b;
    case OP_LSS:
        return a < b;
    case OP_GTE:
        return a >= b;
    case OP_LTE:
        return a <= b;
    case OP_AND:
    case OP_OR:
    case OP_UNLESS:
    case OP_TRIM_UPPER:
    case OP_TRIM_LOWER:
        break;
    }
    UNREACHABLE("no operator of two numbers");
}

static bool is_comparison(enum binary_op op) {
    return op >= OP_EQL && op <= OP_LTE;
}

static bool is_trim(enum binary_op op) {
    return op == OP_TRIM_UPPER || op == OP_TRIM_LOWER;
}

/* ---- vector and scalar ---- */

struct scalar_map {
    struct row_map map;
    const struct plan_node *node;
    enum binary_op op;
    bool vector_left;
    bool filter; /* comparison without bool */
    struct scalar_column scalar;
    struct work histograms; /* of the row at hand */
};

static struct element element_of(const struct row *row, size_t i) {
    return (struct element){row_histogram(row, i), row->values[i]};
}

static void put_element(struct row *row, size_t i, const struct native_result *r) {
    if (r->kind == ELEMENT_NONE || r->kind == ELEMENT_REFUSED) {
        bits_clear(row->present, i);
        return;
    }
    row->histograms[i] = r->element.h;
    if (r->kind == ELEMENT_FLOAT) {
        row->values[i] = r->element.v;
    }
}

/* One step after the other: for trims, and rows with histograms. */
static enum err_code apply_elements(struct scalar_map *m, struct eval *ev, const struct grid *grid,
                                    struct row *row, struct err *err) {
    work_reset(&m->histograms);
    enum err_code code = row_add_histograms(row, &m->histograms, grid->count, err);
    for (size_t i = bits_next(row->present, grid->count, 0); i < grid->count && code == ERR_OK;
         i = bits_next(row->present, grid->count, i + 1)) {
        const struct element vector = element_of(row, i);
        const struct element scalar = {NULL, scalar_at(&m->scalar, i)};
        const struct element left = m->vector_left ? vector : scalar;
        const struct element right = m->vector_left ? scalar : vector;
        if (vector.h == NULL && !is_trim(m->op)) {
            const double v = eval_arithmetic(m->op, left.v, right.v);
            if (!m->filter) {
                row->values[i] = v;
            } else if (v == 0) {
                bits_clear(row->present, i);
            }
            continue;
        }
        struct native_result result;
        code = native_binary(m->node, &m->histograms, left, right, &result, err);
        native_note_add(ev, m->node, result.note);
        put_element(row, i, &result);
    }
    return code;
}

static ALWAYS_INLINE void combine_all(enum binary_op op, const struct scalar_map *m, size_t steps,
                                      double *values) {
    for (size_t i = 0; i < steps; i++) {
        const double s = scalar_at(&m->scalar, i);
        values[i] =
            m->vector_left ? eval_arithmetic(op, values[i], s) : eval_arithmetic(op, s, values[i]);
    }
}

static enum err_code apply_scalar(struct row_map *map, struct eval *ev, const struct grid *grid,
                                  struct row *row, struct err *err) {
    const struct scalar_map *m = (const struct scalar_map *)map;
    if (is_trim(m->op) || row->histograms != NULL) {
        return apply_elements((struct scalar_map *)map, ev, grid, row, err);
    }
    if (m->filter) {
        for (size_t i = bits_next(row->present, grid->count, 0); i < grid->count;
             i = bits_next(row->present, grid->count, i + 1)) {
            const double v = row->values[i];
            const double s = scalar_at(&m->scalar, i);
            const double keep =
                m->vector_left ? eval_arithmetic(m->op, v, s) : eval_arithmetic(m->op, s, v);
            if (keep == 0) {
                bits_clear(row->present, i);
            }
        }
        return ERR_OK;
    }
    /* the operator is a constant in the loops of the common ones */
    if (m->op == OP_MUL) {
        combine_all(OP_MUL, m, grid->count, row->values);
    } else if (m->op == OP_DIV) {
        combine_all(OP_DIV, m, grid->count, row->values);
    } else if (m->op == OP_ADD) {
        combine_all(OP_ADD, m, grid->count, row->values);
    } else if (m->op == OP_SUB) {
        combine_all(OP_SUB, m, grid->count, row->values);
    } else {
        combine_all(m->op, m, grid->count, row->values);
    }
    return ERR_OK;
}

static enum err_code vector_scalar(struct eval *ev, const struct plan_node *node,
                                   const struct grid *grid, struct row_sink *sink,
                                   struct err *err) {
    const struct plan_binary *b = &node->binary;
    const bool vector_left = b->lhs->value_type == VALUE_VECTOR;
    const struct plan_node *vector = vector_left ? b->lhs : b->rhs;
    const struct plan_node *scalar = vector_left ? b->rhs : b->lhs;
    const bool filter = is_comparison(b->ast->op) && !b->ast->return_bool;
    struct scalar_map m = {
        .map = {.apply = apply_scalar,
                .drops_name = !filter && !is_trim(b->ast->op),
                .histograms = true},
        .node = node,
        .op = b->ast->op,
        .vector_left = vector_left,
        .filter = filter,
    };
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    enum err_code code = eval_scalar(ev, scalar, grid, &tmp, &m.scalar, err);
    work_begin(&m.histograms, &ev->budget);
    if (code == ERR_OK) {
        code = eval_map_rows(ev, vector, grid, &m.map, sink, err);
    }
    work_end(&m.histograms);
    work_end(&tmp);
    return code;
}

/* ---- vector and vector ---- */

/* The earliest error by step; at a step the duplicate on the one side comes first. */
struct first_error {
    size_t step; /* steps: none */
    bool duplicate;
    uint32_t a, b; /* rows of the one side, a was there first */
    bool grouping; /* the many side: grouping labels, else one-to-one */
};

struct join {
    struct eval *ev;
    const struct plan_node *node;
    const struct grid *grid;
    struct work *tmp;
    const struct vector_matching *matching;
    bool swapped; /* group_right: the one side is on the left */
    struct match_side many;
    struct match_side one;
    uint64_t *matches; /* of the pair at hand: its steps */
    uint64_t *matched; /* by row of the one side: steps of its pairs; NULL: nobody asks */
    uint64_t *active;  /* steps at which there is anything to compute */
    struct row filled; /* stands in for what is missing */
    struct native_notes notes;
    struct first_error error;
    struct matrix out;
};

static void note_error(struct join *j, struct first_error e) {
    if (e.step < j->error.step || (e.step == j->error.step && e.duplicate && !j->error.duplicate)) {
        j->error = e;
    }
}

static enum err_code find_active(struct join *j, struct err *err) {
    const struct vector_matching *matching = j->matching;
    const size_t words = bits_words(j->grid->count);
    uint64_t *any = work_zalloc(j->tmp, words, 2 * sizeof(*any), err);
    if (any == NULL) {
        return ERR_LIMIT;
    }
    for (size_t w = 0; w < words; w++) {
        for (size_t i = 0; i < j->many.rows.count; i++) {
            any[w] |= j->many.rows.rows[i].present[w];
        }
        for (size_t i = 0; i < j->one.rows.count; i++) {
            any[words + w] |= j->one.rows.rows[i].present[w];
        }
        const uint64_t many = any[w];
        const uint64_t one = any[words + w];
        any[w] = (many & one) | (matching->has_fill_left ? one : 0) |
                 (matching->has_fill_right ? many : 0);
    }
    j->active = any;
    return ERR_OK;
}

/* Two rows of the one side with equal matching labels and a common step. */
static enum err_code find_duplicates(struct join *j, struct err *err) {
    const size_t words = bits_words(j->grid->count);
    uint64_t *seen = work_alloc(j->tmp, words, sizeof(*seen), err);
    if (seen == NULL) {
        return ERR_LIMIT;
    }
    for (uint32_t s = 0; s < j->one.index.count; s++) {
        const uint32_t first = j->one.first[s];
        const uint32_t end = j->one.first[s + 1];
        if (end - first < 2) {
            continue;
        }
        memset(seen, 0, words * sizeof(*seen));
        for (uint32_t i = first; i < end; i++) {
            const uint32_t row = j->one.members[i];
            const uint64_t *present = j->one.rows.rows[row].present;
            for (size_t w = 0; w < words; w++) {
                const uint64_t both = seen[w] & present[w] & j->active[w];
                if (both == 0) {
                    seen[w] |= present[w];
                    continue;
                }
                const size_t step = w * 64 + (size_t)__builtin_ctzll(both);
                uint32_t before = first;
                while (!bits_get(j->one.rows.rows[j->one.members[before]].present, step)) {
                    before++;
                }
                note_error(
                    j, (struct first_error){
                           .step = step, .duplicate = true, .a = j->one.members[before], .b = row});
                break;
            }
        }
    }
    return ERR_OK;
}

/* Labels of a result from the many and the one side's row. */
static enum err_code result_labels(struct join *j, const struct row *many, const struct row *one,
                                   struct labels *out, struct err *err) {
    const struct vector_matching *matching = j->matching;
    const enum binary_op op = j->node->binary.ast->op;
    struct arena *arena = work_lasting(j->tmp);
    struct labels labels = many->labels;
    if ((!is_comparison(op) && !is_trim(op)) ||
        (j->node->binary.ast->return_bool && !j->ev->delayed_names)) {
        labels = labels_plain(arena, labels);
    }
    if (matching->card == CARD_ONE_TO_ONE && matching->label_count + matching->on > 0) {
        labels = match_one_to_one_labels(&j->many, labels, arena);
    }
    if (matching->include_count > 0) {
        struct labels_builder b;
        labels_builder_init(&b, arena);
        labels_builder_reset(&b, labels);
        for (size_t i = 0; i < matching->include_count; i++) {
            labels_builder_set(&b, matching->include[i],
                               labels_get(one->labels, matching->include[i]));
        }
        const enum err_code code = labels_builder_finish(&b, &labels, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    *out = labels;
    const enum err_code code = work_did(j->tmp->budget, WORK_ROW + labels.size / 16, err);
    return code == ERR_OK ? work_check(j->tmp, err) : code;
}

/* The same where one of the two may be a histogram. matches: the steps of pairs that go together. */
static enum err_code compute_elements(struct join *j, const struct row *many, const struct row *one,
                                      struct row *out, uint64_t *matches, struct err *err) {
    const struct binary *ast = j->node->binary.ast;
    const bool filter = is_comparison(ast->op) && !ast->return_bool;
    enum err_code code = row_add_histograms(out, j->tmp, j->grid->count, err);
    for (size_t i = bits_next(out->present, j->grid->count, 0);
         i < j->grid->count && code == ERR_OK; i = bits_next(out->present, j->grid->count, i + 1)) {
        const struct element left = element_of(j->swapped ? one : many, i);
        const struct element right = element_of(j->swapped ? many : one, i);
        struct native_result result = {.kind = ELEMENT_FLOAT, .element = {NULL, left.v}};
        if (left.h != NULL || right.h != NULL || is_trim(ast->op)) {
            code = native_binary(j->node, j->tmp, left, right, &result, err);
        } else {
            const double v = eval_arithmetic(ast->op, left.v, right.v);
            result.element.v = filter ? left.v : v;
            result.kind = filter && v == 0 ? ELEMENT_NONE : ELEMENT_FLOAT;
        }
        if (result.note != NATIVE_NOTE_NONE && code == ERR_OK) {
            code = native_notes_put(&j->notes, j->tmp, i, result.note, err);
        }
        if (result.kind == ELEMENT_REFUSED) {
            bits_clear(matches, i);
        }
        put_element(out, i, &result);
        if (code == ERR_OK) {
            code = eval_worked(j->ev, WORK_ROW, err);
        }
    }
    return code;
}

/* For the errors about several matches: which steps already have a result with these labels (one
 * to one: with any labels) among the rows with the same matching labels. */
struct taken {
    struct label_index index;
    uint64_t **bits; /* by number */
    size_t capacity;
};

static enum err_code take_steps(struct join *j, struct taken *taken, struct labels labels,
                                const uint64_t *matches, struct err *err) {
    const bool one_to_one = j->matching->card == CARD_ONE_TO_ONE;
    const size_t words = bits_words(j->grid->count);
    uint32_t at = 0;
    const enum err_code code =
        label_index_find_or_add(&taken->index, one_to_one ? (struct labels){0} : labels, &at, err);
    if (code != ERR_OK) {
        return code;
    }
    if (at >= taken->capacity) {
        const size_t capacity = ((size_t)at + 4) * 2;
        uint64_t **grown = work_zalloc(taken->index.work, capacity, sizeof(*grown), err);
        if (grown == NULL) {
            return ERR_LIMIT;
        }
        if (taken->capacity > 0) {
            memcpy(grown, taken->bits, taken->capacity * sizeof(*grown));
        }
        taken->bits = grown;
        taken->capacity = capacity;
    }
    if (taken->bits[at] == NULL) {
        taken->bits[at] = work_zalloc(taken->index.work, words, sizeof(uint64_t), err);
        if (taken->bits[at] == NULL) {
            return ERR_LIMIT;
        }
    }
    for (size_t w = 0; w < words; w++) {
        const uint64_t both = taken->bits[at][w] & matches[w];
        if (both != 0) {
            note_error(j, (struct first_error){.step = w * 64 + (size_t)__builtin_ctzll(both),
                                               .grouping = !one_to_one});
            break;
        }
        taken->bits[at][w] |= matches[w];
    }
    return ERR_OK;
}

/* last: nobody looks at the many side's row after this. */
static enum err_code join_pair(struct join *j, const struct row *many, const struct row *one,
                               struct taken *taken, bool last, uint64_t *matched, struct err *err) {
    const struct binary *ast = j->node->binary.ast;
    struct row *out = last ? matrix_reserve_in(&j->out, many, err) : matrix_reserve(&j->out, err);
    if (out == NULL) {
        return ERR_LIMIT;
    }
    uint64_t any = 0;
    for (size_t w = 0; w < bits_words(j->grid->count); w++) {
        out->present[w] = many->present[w] & one->present[w];
        any |= out->present[w];
    }
    if (any == 0) {
        return eval_worked(j->ev, bits_words(j->grid->count) + 1, err);
    }
    struct labels labels;
    enum err_code code = result_labels(j, many, one, &labels, err);
    if (code != ERR_OK) {
        return code;
    }
    out->labels = labels;
    out->drop_name = j->ev->delayed_names && ast->return_bool;
    memcpy(j->matches, out->present, bits_words(j->grid->count) * sizeof(*j->matches));
    if (many->histograms != NULL || one->histograms != NULL || is_trim(ast->op)) {
        code = compute_elements(j, many, one, out, j->matches, err);
    } else {
        float_columns_join(ast->op, is_comparison(ast->op) && !ast->return_bool,
                           (j->swapped ? one : many)->values, (j->swapped ? many : one)->values,
                           j->grid->count, out);
    }
    if (code == ERR_OK &&
        taken != NULL) { /* matches are checked even where a comparison is false */
        code = take_steps(j, taken, labels, j->matches, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    for (size_t w = 0; matched != NULL && w < bits_words(j->grid->count); w++) {
        matched[w] |= j->matches[w];
    }
    if (bits_any(out->present, j->grid->count)) {
        j->out.count++;
    }
    return eval_worked(j->ev, j->grid->count, err);
}

static void stand_in(struct join *j, struct labels signature, double value) {
    struct row *filled = &j->filled;
    for (size_t i = 0; i < j->grid->count; i++) {
        filled->values[i] = value;
    }
    if (bits_any(filled->present, j->grid->count)) {
        filled->labels = labels_copy(work_lasting(j->tmp), signature);
    }
}

/* The filled row for a row of the many side: where the one side has nothing. */
static void stand_in_for_one(struct join *j, const struct row *many, struct labels signature) {
    const size_t words = bits_words(j->grid->count);
    uint64_t *to = j->filled.present;
    memcpy(to, many->present, words * sizeof(*to));
    uint32_t at = 0;
    if (label_index_find(&j->one.index, signature, &at)) {
        for (uint32_t k = j->one.first[at]; k < j->one.first[at + 1]; k++) {
            const uint64_t *present = j->one.rows.rows[j->one.members[k]].present;
            for (size_t w = 0; w < words; w++) {
                to[w] &= ~present[w];
            }
        }
    }
    stand_in(j, signature, j->matching->fill_right);
}

static uint64_t *matched_of(const struct join *j, size_t one) {
    return j->matched != NULL ? j->matched + one * bits_words(j->grid->count) : NULL;
}

/* The filled row for a row of the one side: where it has no pair, or only refused ones. */
static void stand_in_for_many(struct join *j, size_t one) {
    const uint64_t *present = j->one.rows.rows[one].present;
    const uint64_t *matched = matched_of(j, one);
    for (size_t w = 0; w < bits_words(j->grid->count); w++) {
        j->filled.present[w] = present[w] & ~matched[w];
    }
    stand_in(j, j->one.index.sets[j->one.signature[one]], j->matching->fill_left);
}

static enum err_code filled_init(struct join *j, struct err *err) {
    const size_t words = bits_words(j->grid->count);
    double *values = work_alloc(j->tmp, j->grid->count + words, sizeof(*values), err);
    const size_t asked = j->matching->has_fill_left ? j->one.rows.count : 0;
    j->matches = work_zalloc(j->tmp, (asked + 1) * words, sizeof(*j->matches), err);
    if (values == NULL || j->matches == NULL) {
        return ERR_LIMIT;
    }
    j->matched = asked > 0 ? j->matches + words : NULL;
    j->filled =
        (struct row){.values = values, .present = (uint64_t *)(void *)(values + j->grid->count)};
    return ERR_OK;
}

/* All results of one row of the many side. */
static enum err_code join_many(struct join *j, size_t i, struct taken *taken, struct err *err) {
    const struct row *many = &j->many.rows.rows[i];
    const struct labels signature = j->many.index.sets[j->many.signature[i]];
    const bool filled = j->matching->has_fill_left || j->matching->has_fill_right;
    enum err_code code = eval_worked(j->ev, WORK_ROW, err);
    uint32_t at = 0;
    if (label_index_find(&j->one.index, signature, &at)) {
        const uint32_t end = j->one.first[at + 1];
        for (uint32_t k = j->one.first[at]; k < end && code == ERR_OK; k++) {
            const uint32_t member = j->one.members[k];
            code = join_pair(j, many, &j->one.rows.rows[member], taken, k + 1 == end && !filled,
                             matched_of(j, member), err);
        }
    }
    if (code == ERR_OK && j->matching->has_fill_right) {
        stand_in_for_one(j, many, signature);
        code = join_pair(j, many, &j->filled, taken, false, NULL, err);
    }
    return code;
}

/* Results come in the order of the many side; the check for several matches needs them by
 * matching labels, so its memory is kept per set of matching labels. Then come the rows of the one
 * side that found nothing, if that is to be filled. */
static enum err_code join_rows(struct join *j, struct err *err) {
    struct taken **taken =
        work_zalloc(j->tmp, (size_t)j->many.index.count + 1, sizeof(*taken), err);
    enum err_code code = taken != NULL ? filled_init(j, err) : ERR_LIMIT;
    for (size_t i = 0; i < j->many.rows.count && code == ERR_OK; i++) {
        const uint32_t s = j->many.signature[i];
        const bool alone = j->many.first[s + 1] - j->many.first[s] == 1;
        if (!alone && taken[s] == NULL) {
            taken[s] = work_zalloc(j->tmp, 1, sizeof(**taken), err);
            code =
                taken[s] != NULL ? label_index_init(&taken[s]->index, j->tmp, 4, err) : ERR_LIMIT;
        }
        if (code == ERR_OK) {
            code = join_many(j, i, alone ? NULL : taken[s], err);
        }
    }
    for (size_t i = 0; i < j->one.rows.count && code == ERR_OK && j->matching->has_fill_left; i++) {
        stand_in_for_many(j, i);
        code = join_pair(j, &j->filled, &j->one.rows.rows[i], NULL, false, NULL, err);
    }
    return code;
}

static int text_order(const void *left, const void *right) {
    return str_cmp(*(const struct str *)left, *(const struct str *)right);
}

static enum err_code duplicate_error(const struct join *j, struct err *err) {
    struct buf texts[3];
    const struct labels sets[3] = {j->one.rows.rows[j->error.a].labels,
                                   j->one.rows.rows[j->error.b].labels,
                                   j->one.index.sets[j->one.signature[j->error.a]]};
    for (size_t i = 0; i < 3; i++) {
        buf_init(&texts[i], ERR_TEXT_MAX);
        labels_format(&texts[i], sets[i]);
    }
    struct str pair[2] = {buf_str(&texts[0]), buf_str(&texts[1])};
    qsort(pair, 2, sizeof(*pair), text_order);
    const enum err_code code =
        err_set(err, ERR_EXECUTION,
                "found duplicate series for the match group %.*s on the %s hand-side of the "
                "operation: [%.*s, %.*s];many-to-many matching not allowed: matching labels must "
                "be unique on one side",
                STR_ARG(buf_str(&texts[2])), j->swapped ? "left" : "right", STR_ARG(pair[0]),
                STR_ARG(pair[1]));
    for (size_t i = 0; i < 3; i++) {
        buf_release(&texts[i]);
    }
    return code;
}

static enum err_code join_error(const struct join *j, struct err *err) {
    if (j->error.duplicate) {
        return duplicate_error(j, err);
    }
    return err_set(err, ERR_EXECUTION,
                   j->error.grouping
                       ? "multiple matches for labels: grouping labels must ensure unique matches"
                       : "multiple matches for labels: many-to-one matching must be explicit "
                         "(group_left/group_right)");
}

static enum err_code join_vectors(struct join *j, struct err *err) {
    const struct plan_binary *b = &j->node->binary;
    struct match_side *left = j->swapped ? &j->one : &j->many;
    struct match_side *right = j->swapped ? &j->many : &j->one;
    enum err_code code = match_side_eval(left, j->ev, b->lhs, j->grid, j->matching, j->tmp, err);
    if (code == ERR_OK) {
        code = match_side_eval(right, j->ev, b->rhs, j->grid, j->matching, j->tmp, err);
    }
    if (code == ERR_OK) {
        code = find_active(j, err);
    }
    if (code == ERR_OK) {
        code = find_duplicates(j, err);
    }
    if (code == ERR_OK) {
        matrix_init(&j->out, j->tmp, j->grid->count);
        code = join_rows(j, err);
        native_notes_add(&j->notes, j->ev, j->node);
    }
    if (code == ERR_OK && j->error.step < j->grid->count) {
        code = join_error(j, err);
    }
    return code == ERR_OK ? matrix_merge(&j->out, MERGE_DISJOINT, err) : code;
}

static enum err_code vector_vector(struct eval *ev, const struct plan_node *node,
                                   const struct grid *grid, struct row_sink *sink,
                                   struct err *err) {
    const struct vector_matching *matching = node->binary.ast->matching;
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    struct join j = {.ev = ev,
                     .node = node,
                     .grid = grid,
                     .tmp = &tmp,
                     .matching = matching,
                     .swapped = matching->card == CARD_ONE_TO_MANY,
                     .notes = {.step_count = grid->count},
                     .error = {.step = grid->count}};
    const uint64_t before = ev->samples_now;
    enum err_code code = join_vectors(&j, err);
    if (code == ERR_OK) {
        uint64_t n = 0;
        code = matrix_samples(&j.out, &n, err);
        if (code == ERR_OK) {
            code = eval_hold(ev, n, err);
        }
        ev->samples_now = before + n;
    }
    if (code == ERR_OK) {
        code = matrix_replay(&j.out, sink, err);
    }
    work_end(&tmp);
    return code;
}

enum err_code eval_binary(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                          struct row_sink *sink, struct err *err) {
    const struct plan_binary *b = &node->binary;
    if (b->lhs->value_type != VALUE_VECTOR || b->rhs->value_type != VALUE_VECTOR) {
        return vector_scalar(ev, node, grid, sink, err);
    }
    const enum binary_op op = b->ast->op;
    if (op == OP_AND || op == OP_OR || op == OP_UNLESS) {
        return eval_set(ev, node, grid, sink, err);
    }
    return vector_vector(ev, node, grid, sink, err);
}
