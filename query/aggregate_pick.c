#include "query/aggregate_pick.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/histogram_text.h"
#include "base/number.h"
#include "base/utf8.h"
#include "base/value.h"
#include "query/bits.h"
#include "query/histogram_note.h"
#include "query/quantile.h"

/* The input, its groups, and the parameter. */
struct pick {
    struct eval *ev;
    const struct plan_node *node;
    const struct grid *grid;
    enum aggregate_op op;
    struct work *tmp;
    struct scalar_column param;
    struct matrix rows;
    struct label_groups groups;
    uint32_t *group_of; /* by row */
};

static double param_max(const struct pick *p) {
    double max = -INFINITY;
    for (size_t i = 0; i < p->grid->count; i++) {
        const double v = scalar_at(&p->param, i);
        max = v > max ? v : max;
    }
    return max;
}

static double param_min(const struct pick *p) {
    double min = INFINITY;
    for (size_t i = 0; i < p->grid->count; i++) {
        const double v = scalar_at(&p->param, i);
        min = v < min ? v : min;
    }
    return min;
}

static bool param_has_nan(const struct pick *p) {
    for (size_t i = 0; i < p->grid->count; i++) {
        if (isnan(scalar_at(&p->param, i))) {
            return true;
        }
    }
    return false;
}

/* What finding a row's group costs, in samples of a sum. */
enum { GROUPING = 256 };

static enum err_code group_rows(struct pick *p, struct err *err) {
    const struct aggregate *ast = p->node->aggregate.ast;
    enum err_code code = label_groups_init(&p->groups, p->tmp, ast->grouping, ast->grouping_count,
                                           ast->without ? GROUP_WITHOUT : GROUP_BY, err);
    if (code != ERR_OK) {
        return code;
    }
    p->group_of = work_alloc(p->tmp, p->rows.count + 1, sizeof(*p->group_of), err);
    if (p->group_of == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < p->rows.count && code == ERR_OK; i++) {
        code = label_groups_of(&p->groups, &p->rows.rows[i], &p->group_of[i], err);
        if (code == ERR_OK) {
            code = eval_worked(p->ev, GROUPING, err);
        }
    }
    return code;
}

/* Row numbers by group: members[first[g]] .. members[first[g + 1] - 1], in input order. */
struct members {
    uint32_t *first;
    uint32_t *rows;
};

static enum err_code list_members(struct pick *p, struct members *out, struct err *err) {
    const size_t groups = p->groups.keys.count;
    uint32_t *first = work_zalloc(p->tmp, groups + 2, sizeof(*first), err);
    uint32_t *rows =
        first != NULL ? work_alloc(p->tmp, p->rows.count + 1, sizeof(*rows), err) : NULL;
    if (rows == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < p->rows.count; i++) {
        first[p->group_of[i] + 2]++;
    }
    for (size_t g = 2; g < groups + 2; g++) {
        first[g] += first[g - 1];
    }
    for (size_t i = 0; i < p->rows.count; i++) {
        rows[first[p->group_of[i] + 1]++] = (uint32_t)i;
    }
    *out = (struct members){.first = first, .rows = rows};
    return ERR_OK;
}

/* ---- topk, bottomk, limitk: a binary heap with the element to lose first on top ---- */

struct heap_item {
    double value;
    uint32_t row;
    const struct histogram *histogram; /* limitk: or NULL */
};

struct heap {
    struct heap_item *items;
    size_t count;
    bool largest_first; /* bottomk */
};

static bool heap_less(const struct heap *h, size_t i, size_t j) {
    const double a = h->items[i].value;
    const double b = h->items[j].value;
    if (isnan(a)) {
        return true;
    }
    return h->largest_first ? a > b : a < b;
}

static void heap_swap(struct heap *h, size_t i, size_t j) {
    const struct heap_item item = h->items[i];
    h->items[i] = h->items[j];
    h->items[j] = item;
}

static void heap_push(struct heap *h, struct heap_item item) {
    size_t at = h->count++;
    h->items[at] = item;
    while (at > 0) {
        const size_t parent = (at - 1) / 2;
        if (!heap_less(h, at, parent)) {
            return;
        }
        heap_swap(h, at, parent);
        at = parent;
    }
}

static void heap_replace_top(struct heap *h, struct heap_item item) {
    h->items[0] = item;
    size_t at = 0;
    for (size_t child = 1; child < h->count; child = 2 * at + 1) {
        if (child + 1 < h->count && heap_less(h, child + 1, child)) {
            child++;
        }
        if (!heap_less(h, child, at)) {
            return;
        }
        heap_swap(h, at, child);
        at = child;
    }
}

static void heap_offer(struct heap *h, size_t k, struct heap_item item) {
    if (h->count < k) {
        heap_push(h, item);
        return;
    }
    const double top = h->items[0].value;
    const bool better = h->largest_first ? top > item.value : top < item.value;
    if (better || (isnan(top) && !isnan(item.value))) {
        heap_replace_top(h, item);
    }
}

static int best_first(double a, double b, bool smallest) {
    if (isnan(a) || isnan(b)) {
        return (isnan(a) != 0) - (isnan(b) != 0);
    }
    const int order = (a < b) - (a > b);
    return smallest ? -order : order;
}

static int largest_first(const void *left, const void *right) {
    return best_first(((const struct heap_item *)left)->value,
                      ((const struct heap_item *)right)->value, false);
}

static int smallest_first(const void *left, const void *right) {
    return best_first(((const struct heap_item *)left)->value,
                      ((const struct heap_item *)right)->value, true);
}

/* Up to 12 elements equal ones keep their place in the heap, and those that are no numbers turn round,
 * as in the reference. */
static void heap_sort(struct heap *h) {
    int (*const order)(const void *, const void *) =
        h->largest_first ? smallest_first : largest_first;
    if (h->count > 12) {
        qsort(h->items, h->count, sizeof(*h->items), order);
        return;
    }
    for (size_t i = 1; i < h->count; i++) {
        for (size_t j = i; j > 0 && heap_less(h, j - 1, j); j--) {
            heap_swap(h, j, j - 1);
        }
    }
}

static enum err_code check_k(const struct pick *p, bool *out_empty, struct err *err) {
    char text[NUMBER_TEXT_MAX];
    const bool nan = param_has_nan(p);
    const double max = param_max(p);
    const double min = param_min(p);
    *out_empty = !nan && max < 1;
    if (*out_empty) {
        return ERR_OK;
    }
    if (nan) {
        return err_set(err, ERR_EXECUTION, "Parameter value is NaN");
    }
    if (min <= -9223372036854775808.0) {
        const size_t n = number_format_g(min, text);
        return err_set(err, ERR_EXECUTION, "Scalar value %.*s underflows int64", (int)n, text);
    }
    if (max >= 9223372036854774784.0) {
        const size_t n = number_format_g(max, text);
        return err_set(err, ERR_EXECUTION, "Scalar value %.*s overflows int64", (int)n, text);
    }
    return ERR_OK;
}

/* The chosen of one group at one step, in heap order. */
static void choose(const struct pick *p, const uint32_t *rows, size_t n, size_t step,
                   struct heap *h) {
    h->count = 0;
    const int64_t wanted = (int64_t)scalar_at(&p->param, step);
    const size_t k = wanted < 0 ? 0 : ((uint64_t)wanted < n ? (size_t)wanted : n);
    for (size_t i = 0; i < n && k > 0; i++) {
        const struct row *row = &p->rows.rows[rows[i]];
        if (!bits_get(row->present, step)) {
            continue;
        }
        const struct histogram *histogram = row_histogram(row, step);
        const struct heap_item item = {histogram != NULL ? 0 : row->values[step], rows[i],
                                       histogram};
        if (p->op != AGG_LIMITK) {
            heap_offer(h, k, item);
        } else if (h->count < k) {
            heap_push(h, item);
        }
    }
}

/* Rows in the order given, at one step. */
static enum err_code emit_items(const struct pick *p, const struct heap *h, struct row_sink *sink,
                                struct err *err) {
    enum err_code code = ERR_OK;
    for (size_t i = 0; i < h->count && code == ERR_OK; i++) {
        struct row *row = sink->begin(sink, err);
        if (row == NULL) {
            return ERR_LIMIT;
        }
        row->labels = p->rows.rows[h->items[i].row].labels;
        row->drop_name = p->rows.rows[h->items[i].row].drop_name;
        row->values[0] = h->items[i].value;
        if (h->items[i].histogram != NULL) {
            if (row_add_histograms(row, p->tmp, 1, err) != ERR_OK) {
                return ERR_LIMIT;
            }
            row->histograms[0] = h->items[i].histogram;
        }
        bits_set(row->present, 0);
        code = sink->end(sink, row, err);
    }
    return code;
}

static enum err_code pick_k(struct pick *p, struct row_sink *sink, struct err *err) {
    bool empty = false;
    struct members members;
    enum err_code code = check_k(p, &empty, err);
    if (code != ERR_OK || empty) {
        return code;
    }
    code = list_members(p, &members, err);
    if (code != ERR_OK) {
        return code;
    }
    struct heap heap = {.largest_first = p->op == AGG_BOTTOMK};
    heap.items = work_alloc(p->tmp, p->rows.count + 1, sizeof(*heap.items), err);
    const size_t words = bits_words(p->grid->count);
    uint64_t *chosen = heap.items != NULL
                           ? work_zalloc(p->tmp, p->rows.count * words + 1, sizeof(*chosen), err)
                           : NULL;
    if (chosen == NULL) {
        return ERR_LIMIT;
    }
    const bool one_step = p->grid->count == 1;
    for (uint32_t g = 0; g < p->groups.keys.count && code == ERR_OK; g++) {
        const uint32_t *rows = members.rows + members.first[g];
        const size_t n = members.first[g + 1] - members.first[g];
        for (size_t step = 0; step < p->grid->count && code == ERR_OK; step++) {
            choose(p, rows, n, step, &heap);
            for (size_t i = 0; i < heap.count; i++) {
                bits_set(chosen + heap.items[i].row * words, step);
            }
            code = eval_worked(p->ev, n, err);
        }
        if (one_step && code == ERR_OK) {
            if (p->op != AGG_LIMITK) {
                heap_sort(&heap);
            }
            code = emit_items(p, &heap, sink, err);
        }
    }
    if (code != ERR_OK || one_step) {
        return code;
    }
    for (size_t i = 0; i < p->rows.count; i++) {
        memcpy(p->rows.rows[i].present, chosen + i * words, words * sizeof(*chosen));
    }
    return matrix_replay(&p->rows, sink, err);
}

/* ---- limit_ratio ---- */

static void note_ratio(const struct pick *p, double ratio, double capped) {
    char text[NUMBER_TEXT_MAX];
    const size_t n = number_format_g(ratio, text);
    annotations_add(&p->ev->notes, ANNOTATION_WARNING, p->node->aggregate.param->pos,
                    "ratio value should be between -1 and 1, got %.*s, capping to %s", (int)n, text,
                    capped > 0 ? "1" : "-1");
}

static enum err_code pick_ratio(struct pick *p, struct row_sink *sink, struct err *err) {
    const double max = param_max(p);
    const double min = param_min(p);
    if (param_has_nan(p)) {
        return err_set(err, ERR_EXECUTION, "Ratio value is NaN");
    }
    if (max == 0 && min == 0) {
        return ERR_OK;
    }
    if (max > 1) {
        note_ratio(p, max, 1);
    }
    if (min < -1) {
        note_ratio(p, min, -1);
    }
    for (size_t i = 0; i < p->rows.count; i++) {
        struct row *row = &p->rows.rows[i];
        const double place = (double)labels_hash(row->labels) / 18446744073709551616.0;
        for (size_t step = 0; step < p->grid->count; step++) {
            const double ratio = fmax(-1, fmin(1, scalar_at(&p->param, step)));
            const bool kept = ratio != 0 && (ratio > 0 ? place < ratio : place >= 1.0 + ratio);
            if (!kept) {
                bits_clear(row->present, step);
            }
        }
        const enum err_code code = eval_worked(p->ev, p->grid->count, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    return matrix_replay(&p->rows, sink, err);
}

/* ---- quantile ---- */

static void note_quantiles(const struct pick *p) {
    const struct pos_range pos = p->node->aggregate.param->pos;
    if (param_has_nan(p)) {
        eval_note_quantile(p->ev, pos, NAN);
    }
    if (param_max(p) > 1) {
        eval_note_quantile(p->ev, pos, param_max(p));
    }
    if (param_min(p) < 0) {
        eval_note_quantile(p->ev, pos, param_min(p));
    }
}

/* What a sorted value costs in samples of a sum. */
enum { SORTED = 32 };

static enum err_code pick_quantile(struct pick *p, struct row_sink *sink, struct err *err) {
    note_quantiles(p);
    struct members members;
    enum err_code code = list_members(p, &members, err);
    double *sorted =
        code == ERR_OK ? work_alloc(p->tmp, p->rows.count + 1, sizeof(*sorted), err) : NULL;
    if (sorted == NULL) {
        return ERR_LIMIT;
    }
    for (uint32_t g = 0; g < p->groups.keys.count && code == ERR_OK; g++) {
        const uint32_t *rows = members.rows + members.first[g];
        const size_t n = members.first[g + 1] - members.first[g];
        struct row *out = sink->begin(sink, err);
        if (out == NULL) {
            return ERR_LIMIT;
        }
        out->labels = p->groups.keys.sets[g];
        for (size_t i = 0; i < n; i++) {
            out->drop_name = out->drop_name || p->rows.rows[rows[i]].drop_name;
        }
        for (size_t step = 0; step < p->grid->count && code == ERR_OK; step++) {
            size_t there = 0;
            for (size_t i = 0; i < n; i++) {
                if (bits_get(p->rows.rows[rows[i]].present, step)) {
                    sorted[there++] = p->rows.rows[rows[i]].values[step];
                }
            }
            if (there > 0) {
                code = eval_worked(p->ev, SORTED * there, err);
                if (code == ERR_OK) {
                    code = quantile_of_many(scalar_at(&p->param, step), sorted, there, p->tmp,
                                            p->ev->cancel, &out->values[step], err);
                }
                bits_set(out->present, step);
            }
        }
        if (code == ERR_OK) {
            code = eval_worked(p->ev, n * p->grid->count, err);
        }
        if (code == ERR_OK && bits_any(out->present, p->grid->count)) {
            code = sink->end(sink, out, err);
        }
    }
    return code;
}

/* ---- count_values ---- */

struct counting {
    struct pick *p;
    struct matrix out;
    struct label_index index; /* of out's rows */
    struct str label;
    struct buf text;
    bool label_dropped; /* without (label) removes it again */
};

/* The text of a value, in c->text. */
static enum err_code spell_value(struct counting *c, const struct row *row, size_t step,
                                 struct err *err) {
    const struct histogram *h = row_histogram(row, step);
    buf_clear(&c->text);
    if (h != NULL) {
        histogram_format(&c->text, h);
    } else {
        buf_append_number_f(&c->text, row->values[step]);
    }
    return buf_ok(&c->text)
               ? ERR_OK
               : err_set(err, ERR_LIMIT, "label value is longer than %d bytes", LABEL_STRING_MAX);
}

static enum err_code row_of_value(struct counting *c, uint32_t group, uint32_t *out,
                                  struct err *err) {
    struct pick *p = c->p;
    struct arena *arena = work_lasting(p->tmp);
    struct labels labels = p->groups.keys.sets[group];
    if (!c->label_dropped) {
        struct labels_builder b;
        labels_builder_init(&b, arena);
        labels_builder_reset(&b, labels);
        labels_builder_set(&b, c->label, buf_str(&c->text));
        const enum err_code code = labels_builder_finish(&b, &labels, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    enum err_code code = label_index_find_or_add(&c->index, labels, out, err);
    if (code == ERR_OK && *out == c->out.count) {
        struct row *row = matrix_reserve(&c->out, err);
        if (row == NULL) {
            return ERR_LIMIT;
        }
        row->labels = labels;
        c->out.count++;
    }
    return code == ERR_OK ? work_check(p->tmp, err) : code;
}

static enum err_code count_row(struct counting *c, size_t index, struct err *err) {
    struct pick *p = c->p;
    const struct row *row = &p->rows.rows[index];
    uint32_t at = 0;
    uint64_t last_bits = 0;
    bool any = false;
    enum err_code code = ERR_OK;
    for (size_t step = bits_next(row->present, p->grid->count, 0); step < p->grid->count;
         step = bits_next(row->present, p->grid->count, step + 1)) {
        const bool native = row_histogram(row, step) != NULL;
        if (native || !any || f64_bits(row->values[step]) != last_bits) {
            code = spell_value(c, row, step, err);
            if (code == ERR_OK) {
                code = row_of_value(c, p->group_of[index], &at, err);
            }
            if (code == ERR_OK) {
                code = eval_worked(p->ev, WORK_ROW, err);
            }
            if (code != ERR_OK) {
                return code;
            }
            any = !native;
            last_bits = native ? 0 : f64_bits(row->values[step]);
        }
        struct row *to = &c->out.rows[at];
        to->drop_name = to->drop_name || row->drop_name;
        to->values[step] = bits_get(to->present, step) ? to->values[step] + 1 : 1;
        bits_set(to->present, step);
    }
    return eval_worked(p->ev, p->grid->count, err);
}

static enum err_code pick_count_values(struct pick *p, struct row_sink *sink, struct err *err) {
    struct counting c = {.p = p, .label = p->node->aggregate.param->string};
    const struct aggregate *ast = p->node->aggregate.ast;
    for (size_t i = 0; i < ast->grouping_count && ast->without; i++) {
        c.label_dropped = c.label_dropped || str_eq(ast->grouping[i], c.label);
    }
    c.label_dropped = c.label_dropped || (ast->without && str_eq(c.label, LABEL_NAME));
    matrix_init(&c.out, p->tmp, p->grid->count);
    buf_init(&c.text, LABEL_STRING_MAX);
    enum err_code code = label_index_init(&c.index, p->tmp, 16, err);
    for (size_t i = 0; i < p->rows.count && code == ERR_OK; i++) {
        code = count_row(&c, i, err);
    }
    buf_release(&c.text);
    return code == ERR_OK ? matrix_replay(&c.out, sink, err) : code;
}

/* ---- all ---- */

bool aggregate_picks(enum aggregate_op op) {
    return op >= AGG_TOPK;
}

static enum err_code check_label(const struct plan_node *param, struct err *err) {
    if (label_name_valid(param->string, NAMES_UTF8)) {
        return ERR_OK;
    }
    struct buf quoted;
    buf_init(&quoted, ERR_TEXT_MAX);
    utf8_quote(&quoted, param->string);
    const enum err_code code =
        err_set(err, ERR_EXECUTION, "invalid label name %.*s", STR_ARG(buf_str(&quoted)));
    buf_release(&quoted);
    return code;
}

/* Whether a histogram is at a step at which anything is chosen. */
static bool passes_over(const struct pick *p, const struct row *row) {
    for (size_t i = bits_next(row->present, p->grid->count, 0); i < p->grid->count;
         i = bits_next(row->present, p->grid->count, i + 1)) {
        if (row_histogram(row, i) != NULL &&
            (p->op == AGG_QUANTILE || scalar_at(&p->param, i) >= 1)) {
            return true;
        }
    }
    return false;
}

/* topk, bottomk and quantile see the floats alone. A row without any stays: its group's place among
 * the groups is where it is. */
static void ignore_histograms(struct pick *p) {
    const bool quantile = p->op == AGG_QUANTILE;
    const char *name = quantile ? "quantile" : (p->op == AGG_TOPK ? "topk" : "bottomk");
    bool any = false;
    for (size_t i = 0; i < p->rows.count; i++) {
        struct row *row = &p->rows.rows[i];
        if (row->histograms != NULL) {
            any = any || passes_over(p, row);
            row_drop_histograms(row, p->grid->count);
        }
    }
    if (any) {
        note_ignored_in_aggregation(p->ev, quantile ? p->node->aggregate.expr->pos : p->node->pos,
                                    name);
    }
}

static enum err_code run(struct pick *p, struct row_sink *sink, struct err *err) {
    const struct plan_aggregate *agg = &p->node->aggregate;
    enum err_code code = p->op == AGG_COUNT_VALUES
                             ? check_label(agg->param, err)
                             : eval_scalar(p->ev, agg->param, p->grid, p->tmp, &p->param, err);
    if (code == ERR_OK) {
        code = eval_matrix(p->ev, agg->expr, p->grid, p->tmp, &p->rows, err);
    }
    if (code == ERR_OK && (p->op == AGG_TOPK || p->op == AGG_BOTTOMK || p->op == AGG_QUANTILE)) {
        ignore_histograms(p);
    }
    if (code == ERR_OK) {
        code = group_rows(p, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    switch (p->op) {
    case AGG_TOPK:
    case AGG_BOTTOMK:
    case AGG_LIMITK:
        return pick_k(p, sink, err);
    case AGG_LIMIT_RATIO:
        return pick_ratio(p, sink, err);
    case AGG_QUANTILE:
        return pick_quantile(p, sink, err);
    case AGG_COUNT_VALUES:
        return pick_count_values(p, sink, err);
    case AGG_SUM:
    case AGG_AVG:
    case AGG_COUNT:
    case AGG_MIN:
    case AGG_MAX:
    case AGG_GROUP:
    case AGG_STDDEV:
    case AGG_STDVAR:
        break;
    }
    UNREACHABLE("kind of aggregation");
}

enum err_code aggregate_pick(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                             struct row_sink *sink, struct err *err) {
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    struct pick p = {
        .ev = ev, .node = node, .grid = grid, .op = node->aggregate.ast->op, .tmp = &tmp};
    const enum err_code code = run(&p, sink, err);
    work_end(&tmp);
    return code;
}
