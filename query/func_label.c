/* Functions that work on labels and on which series there are: label_replace, label_join, the
 * sorts, absent (spec/promql.md sections 7 and 20). */
#include <math.h>
#include <string.h>

#include "base/number.h"
#include "base/regex.h"
#include "query/bits.h"
#include "query/eval_call.h"

/* ---- new labels for each row ---- */

enum { LABEL_TEXT_MAX = LABEL_STRING_MAX, SCRATCH_KEEP_BYTES = 64 * 1024 };

struct relabel {
    struct row_map map;
    struct work scratch;
    struct str dst;
    struct buf value; /* of the row at hand */
    /* label_replace */
    struct regex *regex;
    struct str replacement;
    struct str src;
    /* label_join */
    const struct plan_call *call;
    struct str separator;
};

static enum err_code set_label(struct relabel *r, struct eval *ev, struct row *row,
                               struct err *err) {
    struct labels_builder b;
    labels_builder_init(&b, &r->scratch.arena);
    labels_builder_reset(&b, row->labels);
    labels_builder_set(&b, r->dst, buf_str(&r->value));
    struct labels labels;
    const enum err_code code = labels_builder_finish(&b, &labels, err);
    if (code != ERR_OK) {
        return code;
    }
    row->labels = labels_copy(&ev->base.arena, labels);
    if (str_eq(r->dst, LABEL_NAME)) {
        row->drop_name = false;
    }
    if (r->scratch.arena.used_bytes > SCRATCH_KEEP_BYTES) {
        work_reset(&r->scratch);
    }
    return work_check(&ev->base, err);
}

static enum err_code too_long(struct err *err) {
    return err_set(err, ERR_LIMIT, "label value is longer than %d bytes", LABEL_TEXT_MAX);
}

/* Of a byte that a regexp looks at, in samples of a sum. */
enum { REGEX_COST = 16 };

static enum err_code apply_replace(struct row_map *map, struct eval *ev, const struct grid *grid,
                                   struct row *row, struct err *err) {
    (void)grid;
    struct relabel *r = (struct relabel *)map;
    row_spell(row, &ev->base.arena);
    bool matched = false;
    buf_clear(&r->value);
    const struct str src = labels_get(row->labels, r->src);
    enum err_code code =
        regex_expand_until(r->regex, src, r->replacement, ev->cancel, &r->value, &matched, err);
    if (code == ERR_TIMEOUT || code == ERR_CANCELED) {
        return eval_check_cancel(ev->cancel, "expression evaluation", err);
    }
    if (code == ERR_OK) {
        code = eval_worked(ev, REGEX_COST * src.len + row->labels.size, err);
    }
    if (code != ERR_OK || !matched) {
        return code;
    }
    return buf_ok(&r->value) ? set_label(r, ev, row, err) : too_long(err);
}

static enum err_code apply_join(struct row_map *map, struct eval *ev, const struct grid *grid,
                                struct row *row, struct err *err) {
    (void)grid;
    struct relabel *r = (struct relabel *)map;
    row_spell(row, &ev->base.arena);
    buf_clear(&r->value);
    for (size_t i = 3; i < r->call->arg_count; i++) {
        if (i > 3) {
            buf_append_str(&r->value, r->separator);
        }
        buf_append_str(&r->value, labels_get(row->labels, r->call->args[i]->string));
    }
    const enum err_code code = eval_worked(ev, row->labels.size + r->value.len, err);
    if (code != ERR_OK) {
        return code;
    }
    return buf_ok(&r->value) ? set_label(r, ev, row, err) : too_long(err);
}

static enum err_code relabel_rows(struct eval *ev, const struct plan_node *node,
                                  const struct grid *grid, struct relabel *r, struct row_sink *sink,
                                  struct err *err) {
    buf_init(&r->value, LABEL_TEXT_MAX);
    work_begin(&r->scratch, &ev->budget);
    const enum err_code code = eval_map_rows(ev, node->call.args[0], grid, &r->map, sink, err);
    work_end(&r->scratch);
    buf_release(&r->value);
    return code;
}

static enum err_code bad_label(struct err *err, const char *what, const char *function,
                               struct str text) {
    return err_set(err, ERR_EXECUTION, "invalid %s in %s(): %.*s", what, function, STR_ARG(text));
}

enum err_code call_label_replace(struct eval *ev, const struct plan_node *node,
                                 const struct grid *grid, struct row_sink *sink, struct err *err) {
    struct plan_node *const *args = node->call.args;
    struct relabel r = {.map = {.apply = apply_replace, .relabels = true, .histograms = true},
                        .dst = args[1]->string,
                        .replacement = args[2]->string,
                        .src = args[3]->string};
    struct err ignored;
    if (regex_new(args[4]->string, REGEX_ANCHORED, &r.regex, &ignored) != ERR_OK) {
        return bad_label(err, "regular expression", "label_replace", args[4]->string);
    }
    enum err_code code = ERR_OK;
    if (!label_name_valid(r.dst, NAMES_UTF8)) {
        code = bad_label(err, "destination label name", "label_replace", r.dst);
    } else {
        code = relabel_rows(ev, node, grid, &r, sink, err);
    }
    regex_free(r.regex);
    return code;
}

enum err_code call_label_join(struct eval *ev, const struct plan_node *node,
                              const struct grid *grid, struct row_sink *sink, struct err *err) {
    const struct plan_call *call = &node->call;
    for (size_t i = 3; i < call->arg_count; i++) {
        if (!label_name_valid(call->args[i]->string, NAMES_UTF8)) {
            return bad_label(err, "source label name", "label_join", call->args[i]->string);
        }
    }
    struct relabel r = {.map = {.apply = apply_join, .relabels = true, .histograms = true},
                        .dst = call->args[1]->string,
                        .separator = call->args[2]->string,
                        .call = call};
    if (!label_name_valid(r.dst, NAMES_UTF8)) {
        return bad_label(err, "destination label name", "label_join", r.dst);
    }
    return relabel_rows(ev, node, grid, &r, sink, err);
}

/* ---- sorting ---- */

struct sort_item {
    const struct row *row;
    size_t index; /* among equals the input order */
    const struct plan_call *call;
};

typedef int item_order(const void *left, const void *right);

static int by_index(const struct sort_item *a, const struct sort_item *b) {
    return (a->index > b->index) - (a->index < b->index);
}

static int by_value(double a, double b, bool descending) {
    if (isnan(a) || isnan(b)) {
        return (isnan(a) != 0) - (isnan(b) != 0);
    }
    const int order = (a > b) - (a < b);
    return descending ? -order : order;
}

static int ascending(const void *left, const void *right) {
    const struct sort_item *a = left;
    const struct sort_item *b = right;
    const int order = by_value(a->row->values[0], b->row->values[0], false);
    return order != 0 ? order : by_index(a, b);
}

static int descending(const void *left, const void *right) {
    const struct sort_item *a = left;
    const struct sort_item *b = right;
    const int order = by_value(a->row->values[0], b->row->values[0], true);
    return order != 0 ? order : by_index(a, b);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* The maximal run of digits or of non-digits at the start of s, which is not empty. */
static struct str first_run(struct str s) {
    size_t n = 1;
    while (n < s.len && is_digit(s.ptr[n]) == is_digit(s.ptr[0])) {
        n++;
    }
    return str_sub(s, 0, n);
}

/* Whether a stands before b in natural order (spec section 20). */
static bool naturally_before(struct str a, struct str b) {
    while (a.len > 0) {
        if (b.len == 0) {
            return false;
        }
        const struct str run_a = first_run(a);
        const struct str run_b = first_run(b);
        a = str_from(a, run_a.len);
        b = str_from(b, run_b.len);
        int64_t number_a = 0;
        int64_t number_b = 0;
        int order = 0;
        if (number_parse_i64(run_a, &number_a) == NUMBER_OK &&
            number_parse_i64(run_b, &number_b) == NUMBER_OK) {
            order = (number_a > number_b) - (number_a < number_b);
        } else {
            order = str_cmp(run_a, run_b);
        }
        if (order != 0) {
            return order < 0;
        }
        if (a.len == 0) {
            return true;
        }
    }
    return false;
}

static int by_label(const struct sort_item *a, const struct sort_item *b) {
    for (size_t i = 1; i < a->call->arg_count; i++) {
        const struct str name = a->call->args[i]->string;
        const struct str value_a = labels_get(a->row->labels, name);
        const struct str value_b = labels_get(b->row->labels, name);
        if (str_eq(value_a, value_b)) {
            continue;
        }
        if (value_a.len == 0 || value_b.len == 0) {
            return by_index(a, b);
        }
        return naturally_before(value_a, value_b) ? -1 : 1;
    }
    return labels_cmp(a->row->labels, b->row->labels);
}

static int label_ascending(const void *left, const void *right) {
    return by_label(left, right);
}

static int label_descending(const void *left, const void *right) {
    return by_label(right, left);
}

static enum err_code emit_sorted(struct eval *ev, const struct plan_node *node,
                                 const struct grid *grid, item_order *order, struct work *tmp,
                                 struct row_sink *sink, struct err *err) {
    struct matrix rows;
    enum err_code code = eval_matrix(ev, node->call.args[0], grid, tmp, &rows, err);
    if (code != ERR_OK) {
        return code;
    }
    struct sort_item *items = work_alloc(tmp, rows.count + 1, sizeof(*items), err);
    struct row *sorted =
        items != NULL ? work_alloc(tmp, rows.count + 1, sizeof(*sorted), err) : NULL;
    if (sorted == NULL) {
        return ERR_LIMIT;
    }
    const bool floats_only = order == ascending || order == descending;
    size_t n = 0;
    for (size_t i = 0; i < rows.count && code == ERR_OK; i++) {
        code = eval_worked(ev, WORK_ROW / 8, err);
        if (floats_only && row_histogram(&rows.rows[i], 0) != NULL) {
            continue; /* has no place among numbers */
        }
        items[n++] = (struct sort_item){.row = &rows.rows[i], .index = i, .call = &node->call};
    }
    if (code == ERR_OK) {
        code = work_sort(tmp, items, n, sizeof(*items), order, ev->cancel, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i] = *items[i].row;
    }
    rows.rows = sorted;
    rows.count = n;
    return matrix_replay(&rows, sink, err);
}

/* A range keeps its order, but numbers are sorted by value: what is none goes here as well. */
struct floats_sink {
    struct row_sink base;
    struct row_sink *to;
    size_t steps;
};

static struct row *floats_begin(struct row_sink *sink, struct err *err) {
    struct row_sink *to = ((struct floats_sink *)sink)->to;
    return to->begin(to, err);
}

static enum err_code floats_end(struct row_sink *sink, struct row *row, struct err *err) {
    struct floats_sink *s = (struct floats_sink *)sink;
    row_drop_histograms(row, s->steps);
    return bits_any(row->present, s->steps) ? s->to->end(s->to, row, err) : ERR_OK;
}

static enum err_code sort_rows(struct eval *ev, const struct plan_node *node,
                               const struct grid *grid, item_order *order, struct row_sink *sink,
                               struct err *err) {
    if (grid->count > 1) {
        annotations_add(&ev->notes, ANNOTATION_WARNING, node->pos,
                        "sort is ineffective for range queries since results are always ordered "
                        "by labels");
        struct floats_sink floats = {{floats_begin, floats_end}, sink, grid->count};
        const bool by_value = order == ascending || order == descending;
        return eval_rows(ev, node->call.args[0], grid, by_value ? &floats.base : sink, err);
    }
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    const enum err_code code = emit_sorted(ev, node, grid, order, &tmp, sink, err);
    work_end(&tmp);
    return code;
}

enum err_code call_sort(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                        struct row_sink *sink, struct err *err) {
    return sort_rows(ev, node, grid, ascending, sink, err);
}

enum err_code call_sort_desc(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                             struct row_sink *sink, struct err *err) {
    return sort_rows(ev, node, grid, descending, sink, err);
}

enum err_code call_sort_by_label(struct eval *ev, const struct plan_node *node,
                                 const struct grid *grid, struct row_sink *sink, struct err *err) {
    return sort_rows(ev, node, grid, label_ascending, sink, err);
}

enum err_code call_sort_by_label_desc(struct eval *ev, const struct plan_node *node,
                                      const struct grid *grid, struct row_sink *sink,
                                      struct err *err) {
    return sort_rows(ev, node, grid, label_descending, sink, err);
}

/* ---- absent ---- */

/* Remembers only at which steps there was anything. */
struct seen_sink {
    struct row_sink sink;
    struct row row;
    size_t steps;
    uint64_t *seen;
};

static struct row *seen_begin(struct row_sink *sink, struct err *err) {
    (void)err;
    struct seen_sink *s = (struct seen_sink *)sink;
    s->row = (struct row){.values = s->row.values, .present = s->row.present};
    bits_zero(s->row.present, s->steps);
    return &s->row;
}

static enum err_code seen_end(struct row_sink *sink, struct row *row, struct err *err) {
    (void)err;
    struct seen_sink *s = (struct seen_sink *)sink;
    for (size_t w = 0; w < bits_words(s->steps); w++) {
        s->seen[w] |= row->present[w];
    }
    return ERR_OK;
}

/* An equality matcher whose name had none before sets the label, any other deletes it. */
static enum err_code labels_of_matchers(struct eval *ev, const struct plan_selector *selector,
                                        struct labels *out, struct err *err) {
    struct labels_builder b;
    labels_builder_init(&b, &ev->base.arena);
    labels_builder_reset(&b, (struct labels){0});
    const struct matcher *m = selector->matchers;
    for (size_t i = 0; i < selector->matcher_count; i++) {
        if (str_eq(m[i].name, LABEL_NAME)) {
            continue;
        }
        bool first = m[i].type == MATCH_EQUAL;
        for (size_t before = 0; before < i && first; before++) {
            first = m[before].type != MATCH_EQUAL || !str_eq(m[before].name, m[i].name);
        }
        if (first) {
            labels_builder_set(&b, m[i].name, m[i].value);
        } else {
            labels_builder_del(&b, m[i].name);
        }
    }
    return labels_builder_finish(&b, out, err);
}

/* 1 at the steps without anything. */
static enum err_code emit_absent(struct eval *ev, const struct plan_node *arg,
                                 const struct grid *grid, const uint64_t *seen,
                                 struct row_sink *sink, struct err *err) {
    struct labels labels = {0};
    if (arg->type == PLAN_SELECTOR || arg->type == PLAN_RANGE) {
        const enum err_code code = labels_of_matchers(ev, &arg->selector, &labels, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    struct row *row = sink->begin(sink, err);
    if (row == NULL) {
        return ERR_LIMIT;
    }
    row->labels = labels;
    size_t n = 0;
    for (size_t i = 0; i < grid->count; i++) {
        if (!bits_get(seen, i)) {
            row->values[i] = 1;
            bits_set(row->present, i);
            n++;
        }
    }
    const enum err_code code = eval_hold(ev, n, err);
    return code == ERR_OK && n > 0 ? sink->end(sink, row, err) : code;
}

enum err_code call_absent(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                          struct row_sink *sink, struct err *err) {
    const struct plan_node *arg = node->call.args[0];
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    const size_t words = bits_words(grid->count);
    double *values = work_zalloc(&tmp, grid->count + 2 * words, sizeof(*values), err);
    enum err_code code = values != NULL ? ERR_OK : ERR_LIMIT;
    if (code == ERR_OK) {
        uint64_t *bits = (uint64_t *)(void *)(values + grid->count);
        struct seen_sink seen = {.sink = {.begin = seen_begin, .end = seen_end},
                                 .row = {.values = values, .present = bits},
                                 .steps = grid->count,
                                 .seen = bits + words};
        const uint64_t before = ev->samples_now;
        code = eval_rows(ev, arg, grid, &seen.sink, err);
        ev->samples_now = before;
        if (code == ERR_OK) {
            code = emit_absent(ev, arg, grid, seen.seen, sink, err);
        }
    }
    work_end(&tmp);
    return code;
}

struct seen_visitor {
    struct range_visitor visitor;
    uint64_t *seen;
};

static enum err_code seen_visit(struct range_visitor *v, const struct range_series *series,
                                struct err *err) {
    (void)err;
    struct seen_visitor *s = (struct seen_visitor *)v;
    for (size_t i = 0; i < v->spec.grid->count; i++) {
        if (series->bounds->high[i] > series->bounds->low[i]) {
            bits_set(s->seen, i);
        }
    }
    return ERR_OK;
}

enum err_code call_absent_over_time(struct eval *ev, const struct plan_node *node,
                                    const struct grid *grid, struct row_sink *sink,
                                    struct err *err) {
    const struct plan_node *arg = node->call.args[0];
    struct work tmp;
    work_begin(&tmp, &ev->budget);
    struct seen_visitor seen = {.visitor = {.visit = seen_visit}};
    seen.seen = work_zalloc(&tmp, bits_words(grid->count), sizeof(*seen.seen), err);
    enum err_code code = seen.seen != NULL ? ERR_OK : ERR_LIMIT;
    if (code == ERR_OK) {
        const uint64_t before = ev->samples_now;
        code = eval_range_series(ev, arg, grid, &seen.visitor, err);
        ev->samples_now = before;
    }
    if (code == ERR_OK) {
        code = emit_absent(ev, arg, grid, seen.seen, sink, err);
    }
    work_end(&tmp);
    return code;
}
