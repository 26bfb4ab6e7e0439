/* histogram_count and its kin: one number of each native histogram, nothing of floats. */
#include <math.h>

#include "query/bits.h"
#include "query/eval_call.h"
#include "query/histogram_rank.h"

typedef double histogram_value(const struct histogram *h);

static double count_of(const struct histogram *h) {
    return h->count;
}

static double sum_of(const struct histogram *h) {
    return h->sum;
}

static double avg_of(const struct histogram *h) {
    return h->sum / h->count;
}

static double stddev_of(const struct histogram *h) {
    return sqrt(histogram_variance_of(h));
}

struct value_map {
    struct row_map map;
    histogram_value *fn;
};

static enum err_code apply(struct row_map *map, struct eval *ev, const struct grid *grid,
                           struct row *row, struct err *err) {
    (void)ev;
    (void)err;
    const struct value_map *m = (const struct value_map *)map;
    for (size_t i = bits_next(row->present, grid->count, 0); i < grid->count;
         i = bits_next(row->present, grid->count, i + 1)) {
        const struct histogram *h = row_histogram(row, i);
        if (h == NULL) {
            bits_clear(row->present, i);
        } else {
            row->values[i] = m->fn(h);
        }
    }
    row->histograms = NULL;
    return ERR_OK;
}

static enum err_code map_values(struct eval *ev, const struct plan_node *node,
                                const struct grid *grid, struct row_sink *sink, histogram_value *fn,
                                struct err *err) {
    struct value_map m = {.map = {.apply = apply, .drops_name = true, .histograms = true},
                          .fn = fn};
    return eval_map_rows(ev, node->call.args[0], grid, &m.map, sink, err);
}

enum err_code call_histogram_count(struct eval *ev, const struct plan_node *node,
                                   const struct grid *grid, struct row_sink *sink,
                                   struct err *err) {
    return map_values(ev, node, grid, sink, count_of, err);
}

enum err_code call_histogram_sum(struct eval *ev, const struct plan_node *node,
                                 const struct grid *grid, struct row_sink *sink, struct err *err) {
    return map_values(ev, node, grid, sink, sum_of, err);
}

enum err_code call_histogram_avg(struct eval *ev, const struct plan_node *node,
                                 const struct grid *grid, struct row_sink *sink, struct err *err) {
    return map_values(ev, node, grid, sink, avg_of, err);
}

enum err_code call_histogram_stddev(struct eval *ev, const struct plan_node *node,
                                    const struct grid *grid, struct row_sink *sink,
                                    struct err *err) {
    return map_values(ev, node, grid, sink, stddev_of, err);
}

enum err_code call_histogram_stdvar(struct eval *ev, const struct plan_node *node,
                                    const struct grid *grid, struct row_sink *sink,
                                    struct err *err) {
    return map_values(ev, node, grid, sink, histogram_variance_of, err);
}
