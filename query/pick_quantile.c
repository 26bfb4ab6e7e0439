/* quantile: of eight steps at a time the values are put together, so that a row's are read in whole
 * lines. */
#include <math.h>

#include "query/bits.h"
#include "query/pick.h"
#include "query/quantile.h"
#include "query/value_rank.h"

static void note_quantiles(const struct pick *p) {
    const struct pos_range pos = p->node->aggregate.param->pos;
    if (pick_param_has_nan(p)) {
        eval_note_quantile(p->ev, pos, NAN);
    }
    if (pick_param_max(p) > 1) {
        eval_note_quantile(p->ev, pos, pick_param_max(p));
    }
    if (pick_param_min(p) < 0) {
        eval_note_quantile(p->ev, pos, pick_param_min(p));
    }
}

/* What a value costs in samples of a sum: one that is sorted, and one that is put beside others. */
enum { SORTED = 32, PUT = 2 };

/* Rows lie far from one another: so many ahead a line is asked for. */
enum { TILE_STEPS = 8, PREFETCH = 16 };

/* The values of a group at some steps. */
struct tile {
    double *columns; /* [step][stride] */
    size_t stride;
    size_t from;
    size_t steps;
    size_t there[TILE_STEPS];
};

static enum err_code tile_init(struct tile *t, const struct pick *p, struct err *err) {
    const size_t steps = p->grid->count < TILE_STEPS ? p->grid->count : TILE_STEPS;
    t->stride = p->rows.count + TILE_STEPS; /* columns end up in different lines of a cache */
    t->columns = work_alloc(p->tmp, steps * t->stride, sizeof(*t->columns), err);
    return t->columns != NULL ? ERR_OK : ERR_LIMIT;
}

static void tile_add(struct tile *t, const struct row *row) {
    const double *v = row->values + t->from;
    const uint64_t there = row->present[t->from / 64] >> (t->from % 64);
    if (t->steps == TILE_STEPS && (there & 0xFF) == 0xFF) {
        for (size_t s = 0; s < TILE_STEPS; s++) {
            t->columns[s * t->stride + t->there[s]++] = v[s];
        }
        return;
    }
    for (size_t s = 0; s < t->steps; s++) {
        if ((there >> s & 1) != 0) {
            t->columns[s * t->stride + t->there[s]++] = v[s];
        }
    }
}

static enum err_code tile_fill(struct tile *t, const struct pick *p, const uint32_t *rows, size_t n,
                               size_t from, struct err *err) {
    enum err_code code = ERR_OK;
    t->from = from;
    t->steps = p->grid->count - from < TILE_STEPS ? p->grid->count - from : TILE_STEPS;
    for (size_t s = 0; s < t->steps; s++) {
        t->there[s] = 0;
    }
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        if (i + PREFETCH < n) {
            __builtin_prefetch(p->rows.rows[rows[i + PREFETCH]].values + from);
        }
        tile_add(t, &p->rows.rows[rows[i]]);
        code = eval_worked(p->ev, PUT * t->steps, err);
    }
    return code;
}

/* The quantiles of a tile. */
static enum err_code tile_quantiles(const struct tile *t, const struct pick *p, struct row *out,
                                    struct err *err) {
    enum err_code code = ERR_OK;
    for (size_t s = 0; s < t->steps && code == ERR_OK; s++) {
        const size_t step = t->from + s;
        const size_t n = t->there[s];
        if (n == 0) {
            continue;
        }
        code = eval_worked(p->ev, SORTED * (n < VALUE_RANK_SLICE ? n : VALUE_RANK_SLICE), err);
        if (code == ERR_OK) {
            code = quantile_of_many(scalar_at(&p->param, step), t->columns + s * t->stride, n,
                                    p->tmp, p->ev->cancel, &out->values[step], err);
        }
        bits_set(out->present, step);
    }
    return code;
}

static enum err_code quantile_of_group(struct pick *p, struct tile *t, const uint32_t *rows,
                                       size_t n, struct row *out, struct err *err) {
    for (size_t i = 0; i < n && !out->drop_name; i++) {
        out->drop_name = p->rows.rows[rows[i]].drop_name;
    }
    enum err_code code = ERR_OK;
    for (size_t from = 0; from < p->grid->count && code == ERR_OK; from += TILE_STEPS) {
        code = tile_fill(t, p, rows, n, from, err);
        if (code == ERR_OK) {
            code = tile_quantiles(t, p, out, err);
        }
    }
    return code;
}

enum err_code pick_quantile(struct pick *p, struct row_sink *sink, struct err *err) {
    note_quantiles(p);
    struct pick_members members;
    struct tile tile;
    enum err_code code = pick_members_list(p, &members, err);
    if (code == ERR_OK) {
        code = tile_init(&tile, p, err);
    }
    for (uint32_t g = 0; g < p->groups.keys.count && code == ERR_OK; g++) {
        struct row *out = sink->begin(sink, err);
        if (out == NULL) {
            return ERR_LIMIT;
        }
        out->labels = p->groups.keys.sets[g];
        code = quantile_of_group(p, &tile, members.rows + members.first[g],
                                 members.first[g + 1] - members.first[g], out, err);
        if (code == ERR_OK && bits_any(out->present, p->grid->count)) {
            code = sink->end(sink, out, err);
        }
    }
    return code;
}
