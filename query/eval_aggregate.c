/* Aggregations that need one row at a time: sum, avg, count, group, min, max, stddev, stdvar. Rows
 * are added to the accumulators of their group as they come and are forgotten, so memory is
 * groups x steps however many series there are. The others are in aggregate_pick.c. */
#include <math.h>
#include <string.h>

#include "base/check.h"
#include "query/aggregate_pick.h"
#include "query/bits.h"
#include "query/eval.h"
#include "query/eval_aggregate_native.h"
#include "query/histogram_note.h"
#include "query/kahan.h"
#include "query/lanes.h"

struct accumulator {
    uint64_t *present;
    double *a;                    /* sum, mean, extreme or count */
    double *b;                    /* compensation, or squared distances */
    double *n;                    /* values so far: avg, stddev, stdvar */
    uint64_t *switched;           /* avg: incremental from here on */
    struct native_column *native; /* sum, avg: NULL until the first histogram */
    bool drop_name;
};

struct aggregate_sink {
    struct row_sink sink;
    struct eval *ev;
    enum aggregate_op op;
    struct pos_range pos; /* of the aggregated expression */
    size_t steps;
    struct work tmp;
    struct row row; /* the one that is filled */
    struct label_groups groups;
    struct accumulator *groups_of; /* by group number */
    size_t capacity;
};

/* ---- accumulators ---- */

static enum err_code accumulator_init(struct aggregate_sink *s, struct accumulator *acc,
                                      struct err *err) {
    const size_t words = bits_words(s->steps);
    double *block = work_alloc(&s->tmp, 3 * s->steps + 2 * words, sizeof(*block), err);
    if (block == NULL) {
        return ERR_LIMIT;
    }
    uint64_t *bits = (uint64_t *)(void *)(block + 3 * s->steps);
    *acc = (struct accumulator){.present = bits,
                                .a = block,
                                .b = block + s->steps,
                                .n = block + 2 * s->steps,
                                .switched = bits + words};
    memset(bits, 0, 2 * words * sizeof(*bits));
    return ERR_OK;
}

static void add_sum(struct accumulator *acc, size_t i, double x) {
    struct kahan k = {.sum = acc->a[i], .c = acc->b[i]};
    kahan_add(&k, x);
    acc->a[i] = k.sum;
    acc->b[i] = k.c;
}

static void add_mean(struct accumulator *acc, size_t i, double x) {
    struct kahan_mean m = {.k = {.sum = acc->a[i], .c = acc->b[i]},
                           .n = acc->n[i],
                           .incremental = bits_get(acc->switched, i)};
    kahan_mean_add(&m, x);
    acc->a[i] = m.k.sum;
    acc->b[i] = m.k.c;
    acc->n[i] = m.n;
    if (m.incremental) {
        bits_set(acc->switched, i);
    }
}

static void add_variance(struct accumulator *acc, size_t i, double x) {
    acc->n[i] += 1;
    const double delta = x - acc->a[i];
    acc->a[i] += delta / acc->n[i];
    acc->b[i] += delta * (x - acc->a[i]);
}

static void add_first(enum aggregate_op op, struct accumulator *acc, size_t i, double x) {
    bits_set(acc->present, i);
    acc->a[i] = op == AGG_COUNT || op == AGG_GROUP ? 1 : x;
    acc->b[i] = 0;
    acc->n[i] = 1;
    if ((op == AGG_STDDEV || op == AGG_STDVAR) && !isfinite(x)) {
        acc->b[i] = NAN;
    }
}

static ALWAYS_INLINE void add_next(enum aggregate_op op, struct accumulator *acc, size_t i,
                                   double x) {
    switch (op) {
    case AGG_SUM:
        add_sum(acc, i, x);
        break;
    case AGG_AVG:
        add_mean(acc, i, x);
        break;
    case AGG_COUNT:
        acc->a[i] += 1;
        break;
    case AGG_GROUP:
        break;
    case AGG_MIN:
        if (x < acc->a[i] || isnan(acc->a[i])) {
            acc->a[i] = x;
        }
        break;
    case AGG_MAX:
        if (x > acc->a[i] || isnan(acc->a[i])) {
            acc->a[i] = x;
        }
        break;
    case AGG_STDDEV:
    case AGG_STDVAR:
        add_variance(acc, i, x);
        break;
    case AGG_TOPK:
    case AGG_BOTTOMK:
    case AGG_COUNT_VALUES:
    case AGG_QUANTILE:
    case AGG_LIMITK:
    case AGG_LIMIT_RATIO:
        UNREACHABLE("not row by row");
    }
}

/* The means of LANES steps that all have values; false: one of them leaves the plain sum. */
static bool add_means(struct accumulator *acc, size_t i, const double *values) {
    double sum[LANES];
    double c[LANES];
    memcpy(sum, acc->a + i, sizeof(sum));
    memcpy(c, acc->b + i, sizeof(c));
    lane_kernels_best()->add(sum, c, values, LANES);
    for (size_t l = 0; l < LANES; l++) {
        if (isinf(sum[l]) || bits_get(acc->switched, i + l)) {
            return false;
        }
    }
    for (size_t l = 0; l < LANES; l++) {
        acc->n[i + l] += 1;
    }
    memcpy(acc->a + i, sum, sizeof(sum));
    memcpy(acc->b + i, c, sizeof(c));
    return true;
}

/* LANES steps that all have a value already; false: they are to be added one by one. */
static ALWAYS_INLINE bool add_lanes(enum aggregate_op op, struct accumulator *acc, size_t i,
                                    const double *values) {
    if (op == AGG_SUM) {
        lane_kernels_best()->add(acc->a + i, acc->b + i, values, LANES);
        return true;
    }
    if (op == AGG_AVG) {
        return add_means(acc, i, values);
    }
    if (op == AGG_COUNT) {
        for (size_t l = 0; l < LANES; l++) {
            acc->a[i + l] += 1;
        }
        return true;
    }
    return op == AGG_GROUP;
}

static void add_row(enum aggregate_op op, struct accumulator *acc, const struct row *row,
                    size_t steps) {
    for (size_t w = 0; w < bits_words(steps); w++) {
        uint64_t word = row->present[w];
        const uint64_t both = word & acc->present[w];
        const size_t from = w * 64;
        if (both == UINT64_MAX && op == AGG_SUM) {
            lane_kernels_best()->add(acc->a + from, acc->b + from, row->values + from, 64);
            continue;
        }
        for (size_t byte = 0; byte < 64 && (both >> byte) != 0; byte += LANES) {
            if ((both >> byte & 0xFF) == 0xFF &&
                add_lanes(op, acc, from + byte, row->values + from + byte)) {
                word &= ~(UINT64_C(0xFF) << byte);
            }
        }
        for (; word != 0; word &= word - 1) {
            const size_t i = from + (size_t)__builtin_ctzll(word);
            if (bits_get(acc->present, i)) {
                add_next(op, acc, i, row->values[i]);
            } else {
                add_first(op, acc, i, row->values[i]);
            }
        }
    }
}

static double result_of(enum aggregate_op op, const struct accumulator *acc, size_t i) {
    switch (op) {
    case AGG_SUM:
        return acc->a[i] + acc->b[i];
    case AGG_AVG: {
        const struct kahan_mean m = {.k = {.sum = acc->a[i], .c = acc->b[i]},
                                     .n = acc->n[i],
                                     .incremental = bits_get(acc->switched, i)};
        return kahan_mean_value(&m);
    }
    case AGG_STDVAR:
        return acc->b[i] / acc->n[i];
    case AGG_STDDEV:
        return sqrt(acc->b[i] / acc->n[i]);
    case AGG_COUNT:
    case AGG_GROUP:
    case AGG_MIN:
    case AGG_MAX:
        return acc->a[i];
    case AGG_TOPK:
    case AGG_BOTTOMK:
    case AGG_COUNT_VALUES:
    case AGG_QUANTILE:
    case AGG_LIMITK:
    case AGG_LIMIT_RATIO:
        break;
    }
    UNREACHABLE("not row by row");
}

/* ---- the sink ---- */

static struct row *aggregate_begin(struct row_sink *sink, struct err *err) {
    (void)err;
    struct aggregate_sink *s = (struct aggregate_sink *)sink;
    s->row = (struct row){.values = s->row.values, .present = s->row.present};
    bits_zero(s->row.present, s->steps);
    return &s->row;
}

static enum err_code accumulator_of(struct aggregate_sink *s, const struct row *row,
                                    struct accumulator **out, struct err *err) {
    uint32_t group = 0;
    const uint32_t before = s->groups.keys.count;
    enum err_code code = label_groups_of(&s->groups, row, &group, err);
    if (code != ERR_OK) {
        return code;
    }
    if (group >= s->capacity) {
        const size_t capacity = ((size_t)group + 1) * 2;
        struct accumulator *grown = work_alloc(&s->tmp, capacity, sizeof(*grown), err);
        if (grown == NULL) {
            return ERR_LIMIT;
        }
        if (before > 0) {
            memcpy(grown, s->groups_of, before * sizeof(*grown));
        }
        s->groups_of = grown;
        s->capacity = capacity;
    }
    if (group == before) {
        code = accumulator_init(s, &s->groups_of[group], err);
    }
    *out = &s->groups_of[group];
    return code;
}

static const char *ignoring_op_name(enum aggregate_op op) {
    switch (op) {
    case AGG_MIN:
        return "min";
    case AGG_MAX:
        return "max";
    case AGG_STDDEV:
        return "stddev";
    case AGG_STDVAR:
        return "stdvar";
    case AGG_SUM:
    case AGG_AVG:
    case AGG_COUNT:
    case AGG_GROUP:
    case AGG_TOPK:
    case AGG_BOTTOMK:
    case AGG_COUNT_VALUES:
    case AGG_QUANTILE:
    case AGG_LIMITK:
    case AGG_LIMIT_RATIO:
        break;
    }
    UNREACHABLE("takes histograms");
}

static bool takes_histograms(enum aggregate_op op) {
    return op == AGG_SUM || op == AGG_AVG || op == AGG_COUNT || op == AGG_GROUP;
}

static struct native_context native_context_of(struct aggregate_sink *s) {
    return (struct native_context){
        .ev = s->ev, .work = &s->tmp, .steps = s->steps, .pos = s->pos, .mean = s->op == AGG_AVG};
}

/* The histograms of the row, and its floats where the group has histograms. */
static enum err_code add_natives(struct aggregate_sink *s, struct accumulator *acc, struct row *row,
                                 struct err *err) {
    const struct native_context c = native_context_of(s);
    if (acc->native == NULL) {
        acc->native = work_alloc(&s->tmp, 1, sizeof(*acc->native), err);
        if (acc->native == NULL || native_column_init(&c, acc->native, err) != ERR_OK) {
            return ERR_LIMIT;
        }
    }
    return native_column_add(&c, acc->native, acc->present, row, err);
}

static enum err_code aggregate_end(struct row_sink *sink, struct row *row, struct err *err) {
    struct aggregate_sink *s = (struct aggregate_sink *)sink;
    struct accumulator *acc = NULL;
    if (row->histograms != NULL && !takes_histograms(s->op)) {
        const size_t before = bits_count(row->present, s->steps);
        row_drop_histograms(row, s->steps);
        if (bits_count(row->present, s->steps) < before) {
            note_ignored_in_aggregation(s->ev, s->pos, ignoring_op_name(s->op));
        }
    }
    enum err_code code = accumulator_of(s, row, &acc, err);
    if (code != ERR_OK) {
        return code;
    }
    acc->drop_name = acc->drop_name || row->drop_name;
    if ((row->histograms != NULL || acc->native != NULL) &&
        (s->op == AGG_SUM || s->op == AGG_AVG)) {
        code = add_natives(s, acc, row, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    add_row(s->op, acc, row, s->steps);
    return eval_worked(s->ev, s->steps + WORK_ROW, err);
}

static enum err_code emit_groups(struct aggregate_sink *s, struct row_sink *to, struct err *err) {
    enum err_code code = ERR_OK;
    for (uint32_t g = 0; g < s->groups.keys.count && code == ERR_OK; g++) {
        const struct accumulator *acc = &s->groups_of[g];
        if (acc->native == NULL && !bits_any(acc->present, s->steps)) {
            continue; /* all its members were ignored; its place among the groups is theirs */
        }
        struct row *row = to->begin(to, err);
        if (row == NULL) {
            return ERR_LIMIT;
        }
        row->labels = s->groups.keys.sets[g];
        row->drop_name = acc->drop_name;
        memcpy(row->present, acc->present, bits_words(s->steps) * sizeof(*row->present));
        for (size_t i = bits_next(acc->present, s->steps, 0); i < s->steps;
             i = bits_next(acc->present, s->steps, i + 1)) {
            row->values[i] = result_of(s->op, acc, i);
        }
        if (acc->native != NULL) {
            const struct native_context c = native_context_of(s);
            code = native_column_emit(&c, acc->native, row, err);
            if (code != ERR_OK || !bits_any(row->present, s->steps)) {
                continue;
            }
        }
        code = eval_hold(s->ev, row_weight(row, s->steps), err);
        if (code == ERR_OK) {
            code = eval_worked(s->ev, s->steps + WORK_ROW, err);
        }
        if (code == ERR_OK) {
            code = to->end(to, row, err);
        }
    }
    return code;
}

static enum err_code run(struct aggregate_sink *s, const struct plan_aggregate *agg,
                         const struct grid *grid, struct row_sink *sink, struct err *err) {
    const struct aggregate *ast = agg->ast;
    const size_t words = bits_words(grid->count);
    double *values = work_alloc(&s->tmp, grid->count + words, sizeof(*values), err);
    if (values == NULL) {
        return ERR_LIMIT;
    }
    s->row.values = values;
    s->row.present = (uint64_t *)(void *)(values + grid->count);
    enum err_code code = label_groups_init(&s->groups, &s->tmp, ast->grouping, ast->grouping_count,
                                           ast->without ? GROUP_WITHOUT : GROUP_BY, err);
    const uint64_t before = s->ev->samples_now;
    if (code == ERR_OK) {
        code = eval_rows(s->ev, agg->expr, grid, &s->sink, err);
    }
    s->ev->samples_now = before;
    return code == ERR_OK ? emit_groups(s, sink, err) : code;
}

enum err_code eval_aggregate(struct eval *ev, const struct plan_node *node, const struct grid *grid,
                             struct row_sink *sink, struct err *err) {
    const enum aggregate_op op = node->aggregate.ast->op;
    if (aggregate_picks(op)) {
        return aggregate_pick(ev, node, grid, sink, err);
    }
    struct aggregate_sink s = {.sink = {.begin = aggregate_begin, .end = aggregate_end},
                               .ev = ev,
                               .op = op,
                               .pos = node->aggregate.expr->pos,
                               .steps = grid->count};
    work_begin(&s.tmp, &ev->budget);
    const enum err_code code = run(&s, &node->aggregate, grid, sink, err);
    work_end(&s.tmp);
    return code;
}
