/* count_values. */
#include <string.h>

#include "base/histogram_text.h"
#include "base/number.h"
#include "base/value.h"
#include "query/bits.h"
#include "query/pick.h"

/* A value was there at the steps [from, to) of a row. */
struct stretch {
    struct stretch *next;
    size_t from, to;
};

/* A row of the result, before it is one: most values are there at few steps. */
struct value_row {
    struct stretch *stretches;
    bool drop_name;
};

struct counting {
    struct pick *p;
    struct value_row *rows; /* by number in the index */
    size_t capacity;
    struct label_index index; /* of the result's rows */
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

/* Room for the index's newest. */
static enum err_code add_row(struct counting *c, struct err *err) {
    const size_t count = c->index.count;
    if (count > c->capacity) {
        const size_t capacity = count < 8 ? 16 : 2 * count;
        struct value_row *grown = work_alloc(c->p->tmp, capacity, sizeof(*grown), err);
        if (grown == NULL) {
            return ERR_LIMIT;
        }
        if (count > 1) {
            memcpy(grown, c->rows, (count - 1) * sizeof(*grown));
        }
        c->rows = grown;
        c->capacity = capacity;
    }
    c->rows[count - 1] = (struct value_row){.stretches = NULL};
    return ERR_OK;
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
    const uint32_t before = c->index.count;
    enum err_code code = label_index_find_or_add(&c->index, labels, out, err);
    if (code == ERR_OK && *out == before) {
        code = add_row(c, err);
    }
    return code == ERR_OK ? work_check(p->tmp, err) : code;
}

static enum err_code begin_stretch(struct counting *c, uint32_t row, size_t step,
                                   struct stretch **out, struct err *err) {
    struct stretch *stretch = work_alloc(c->p->tmp, 1, sizeof(*stretch), err);
    if (stretch == NULL) {
        return ERR_LIMIT;
    }
    *stretch = (struct stretch){.next = c->rows[row].stretches, .from = step, .to = step};
    c->rows[row].stretches = stretch;
    *out = stretch;
    return ERR_OK;
}

/* Adds what is at a step. stretch: of the last step before it that has anything, or NULL; at: its
 * row of the result. */
static enum err_code count_step(struct counting *c, size_t index, size_t step,
                                struct stretch **stretch, uint32_t *at, struct err *err) {
    const struct row *row = &c->p->rows.rows[index];
    enum err_code code = ERR_OK;
    const size_t last = *stretch != NULL ? (*stretch)->to - 1 : 0;
    const bool same = *stretch != NULL && row_histogram(row, step) == NULL &&
                      row_histogram(row, last) == NULL &&
                      f64_same_bits(row->values[step], row->values[last]);
    if (!same) {
        code = spell_value(c, row, step, err);
        if (code == ERR_OK) {
            code = row_of_value(c, c->p->group_of[index], at, err);
        }
        if (code == ERR_OK) {
            code = eval_worked(c->p->ev, WORK_ROW, err);
        }
    }
    if (code == ERR_OK && (!same || last + 1 != step)) {
        code = begin_stretch(c, *at, step, stretch, err);
    }
    if (code == ERR_OK) {
        (*stretch)->to = step + 1;
        c->rows[*at].drop_name = c->rows[*at].drop_name || row->drop_name;
    }
    return code;
}

static enum err_code count_row(struct counting *c, size_t index, struct err *err) {
    const size_t steps = c->p->grid->count;
    const struct row *row = &c->p->rows.rows[index];
    struct stretch *stretch = NULL;
    uint32_t at = 0;
    enum err_code code = ERR_OK;
    for (size_t step = bits_next(row->present, steps, 0); step < steps && code == ERR_OK;
         step = bits_next(row->present, steps, step + 1)) {
        code = count_step(c, index, step, &stretch, &at, err);
    }
    return code == ERR_OK ? eval_worked(c->p->ev, steps, err) : code;
}

static enum err_code emit_counts(struct counting *c, struct row_sink *sink, struct err *err) {
    enum err_code code = ERR_OK;
    for (uint32_t i = 0; i < c->index.count && code == ERR_OK; i++) {
        struct row *row = sink->begin(sink, err);
        if (row == NULL) {
            return ERR_LIMIT;
        }
        row->labels = c->index.sets[i];
        row->drop_name = c->rows[i].drop_name;
        for (const struct stretch *s = c->rows[i].stretches; s != NULL && code == ERR_OK;
             s = s->next) {
            for (size_t step = s->from; step < s->to; step++) {
                row->values[step] = bits_get(row->present, step) ? row->values[step] + 1 : 1;
                bits_set(row->present, step);
            }
            code = eval_worked(c->p->ev, s->to - s->from, err);
        }
        if (code == ERR_OK) {
            code = sink->end(sink, row, err);
        }
        if (code == ERR_OK) {
            code = eval_worked(c->p->ev, WORK_ROW, err);
        }
    }
    return code;
}

enum err_code pick_count_values(struct pick *p, struct row_sink *sink, struct err *err) {
    struct counting c = {.p = p, .label = p->node->aggregate.param->string};
    const struct aggregate *ast = p->node->aggregate.ast;
    for (size_t i = 0; i < ast->grouping_count && ast->without; i++) {
        c.label_dropped = c.label_dropped || str_eq(ast->grouping[i], c.label);
    }
    c.label_dropped = c.label_dropped || (ast->without && str_eq(c.label, LABEL_NAME));
    buf_init(&c.text, LABEL_STRING_MAX);
    enum err_code code = label_index_init(&c.index, p->tmp, 16, err);
    for (size_t i = 0; i < p->rows.count && code == ERR_OK; i++) {
        code = count_row(&c, i, err);
    }
    buf_release(&c.text);
    return code == ERR_OK ? emit_counts(&c, sink, err) : code;
}
