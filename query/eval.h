/* Evaluation of a plan, series-major: rows (one series over all steps) flow from selectors through
 * functions to aggregations, one at a time; only what must see all series at once keeps them in a
 * matrix. One file per kind of node: eval_selector, eval_call, eval_aggregate, eval_binary,
 * eval_subquery; eval.c dispatches.
 *
 * Owner: query_run; one struct eval per query, one thread. */
#ifndef QUERY_EVAL_H
#define QUERY_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/cancel.h"
#include "base/err.h"
#include "query/annotation.h"
#include "query/grid.h"
#include "query/label_ops.h"
#include "query/matrix.h"
#include "query/plan.h"
#include "query/window.h"
#include "query/work.h"
#include "tsdb/storage.h"

struct crew;
struct gate_pass;
struct query_profile;
struct read_shelf;
struct running;
struct selector_state; /* eval_selector.c */
struct kept_samples;
struct shared_rows;
struct step_stats;

struct eval {
    struct storage *storage;
    struct storage_querier *querier; /* NULL when the plan selects nothing */
    const struct cancel *cancel;
    struct clock *clock;
    struct crew *crew;        /* may be NULL: the query's own thread does it all */
    struct read_shelf *shelf; /* may be NULL */
    struct work_budget budget;
    struct work base; /* lives to the end of the query */
    struct annotations notes;
    struct label_space sets;
    struct selector_state *selectors; /* by plan_selector.number */
    struct shared_rows *shared;       /* by plan_node.share - 1 */
    uint32_t shared_count;
    struct kept_samples *kept; /* by plan_selector.read - 1 */
    uint32_t kept_count;
    bool delayed_names;
    bool use_start_timestamps;
    bool sorted_select;   /* instant queries show the order of labels */
    uint64_t samples_now; /* held at once, as Prometheus counts it */
    uint64_t samples_peak;
    uint64_t samples_read;         /* totalQueryableSamples */
    uint64_t samples_fetched;      /* samplesRead */
    struct step_stats *steps;      /* NULL: nobody wants them, or the grid is not the query's */
    struct running *running;       /* where progress shows; may be NULL */
    struct query_profile *profile; /* NULL: nobody explains this query */
    struct gate_pass *pass;        /* of the engine's gate; may be NULL */
    uint64_t samples_max;
};

/* Vectors: rows in the order of the instant result. */
MUST_CHECK enum err_code eval_rows(struct eval *ev, const struct plan_node *node,
                                   const struct grid *grid, struct row_sink *sink, struct err *err);
/* The same, kept; rows are spelled out. samples_now grows by the result. */
MUST_CHECK enum err_code eval_matrix(struct eval *ev, const struct plan_node *node,
                                     const struct grid *grid, struct work *to, struct matrix *out,
                                     struct err *err);
MUST_CHECK enum err_code eval_scalar(struct eval *ev, const struct plan_node *node,
                                     const struct grid *grid, struct work *to,
                                     struct scalar_column *out, struct err *err);
/* Whether the rows of node stay different when the name goes (then nobody needs to compare). */
MUST_CHECK enum err_code eval_rows_unique(struct eval *ev, const struct plan_node *node, bool *out,
                                          struct err *err);

/* The selector's series; a few samples of one of them. For estimates. */
MUST_CHECK enum err_code eval_selector_count(struct eval *ev, const struct plan_selector *selector,
                                             size_t *out, struct err *err);
MUST_CHECK enum err_code eval_selector_probe(struct eval *ev, const struct plan_selector *selector,
                                             size_t series, int64_t mint, int64_t maxt,
                                             struct work *scratch, struct storage_samples *out,
                                             struct err *err);

/* ---- accounting ---- */

/* n more samples are held: ERR_LIMIT "query processing would load too many samples ...". */
MUST_CHECK enum err_code eval_hold(struct eval *ev, uint64_t n, struct err *err);
/* ERR_LIMIT if n more, for a moment, were too many. */
MUST_CHECK enum err_code eval_hold_briefly(struct eval *ev, uint64_t n, struct err *err);
/* After n samples of work: looks at cancel now and then. */
MUST_CHECK enum err_code eval_worked(struct eval *ev, uint64_t n, struct err *err);
/* Looks at cancel and shows progress; every millisecond of work at least. */
MUST_CHECK enum err_code eval_pause(struct eval *ev, struct err *err);
/* The same for struct work_budget; ctx is the eval. */
MUST_CHECK enum err_code eval_pause_of(void *ctx, struct err *err);
/* ERR_TIMEOUT "query timed out in <where>", ERR_CANCELED "query was canceled in <where>". */
MUST_CHECK enum err_code eval_check_cancel(const struct cancel *cancel, const char *where,
                                           struct err *err);

/* n samples of a step were looked at; windows: each step's (fetches: which were read for that, and
 * not computed). See step_stats.h. */
void eval_count_row(struct eval *ev, const struct row *row, size_t steps, uint64_t weight);
MUST_CHECK enum err_code eval_count_windows(struct eval *ev, const struct window_bounds *b,
                                            const struct histogram *const *histograms,
                                            size_t sample_count, size_t steps, bool fetches,
                                            struct err *err);

/* "quantile value should be between 0 and 1, got X" */
void eval_note_quantile(struct eval *ev, struct pos_range pos, double phi);

/* What of its samples an instant selector gives as the value; histograms come along. */
enum sample_part {
    SAMPLE_VALUE = 0,
    SAMPLE_TIME,       /* in seconds */
    SAMPLE_START_TIME, /* in seconds, 0 when not known */
};

/* ---- rows through a function of one row ---- */

/* Changes row in place: values, presence, labels. */
struct row_map {
    enum err_code (*apply)(struct row_map *map, struct eval *ev, const struct grid *grid,
                           struct row *row, struct err *err);
    bool drops_name;
    bool relabels;         /* apply may make labels equal by other means */
    bool histograms;       /* apply takes them; else they are absent for it */
    enum sample_part part; /* the child is a selector: map this of its samples */
};
/* Sends the rows of child through map to sink; equal labels are merged or refused by the rules of
 * spec section 4. */
MUST_CHECK enum err_code eval_map_rows(struct eval *ev, const struct plan_node *child,
                                       const struct grid *grid, struct row_map *map,
                                       struct row_sink *sink, struct err *err);

/* ---- samples for range functions ---- */

/* One series' samples without stale markers, and their windows. */
struct range_series {
    struct row labels;            /* only its labels */
    struct window_bounds *bounds; /* kernels may have them completed */
    const double *values;
    const struct histogram *const *histograms; /* NULL: floats only; else [i] NULL: a float */
    const int64_t *start_ts;                   /* NULL: not known */
    struct window_cache *cache;                /* for other bounds of the same source */
};
struct range_visitor {
    struct window_spec spec; /* of the source */
    bool of_subquery;        /* of the source: samples are results */
    bool whole;              /* the samples are the query's result */
    bool wants_shape;
    enum storage_want
        want; /* what visit looks at; of a range selector samples may come condensed */
    enum err_code (*visit)(struct range_visitor *v, const struct range_series *series,
                           struct err *err);
};
/* Calls visit for each series of a range selector or subquery that has samples in a window. */
MUST_CHECK enum err_code eval_range_series(struct eval *ev, const struct plan_node *node,
                                           const struct grid *grid, struct range_visitor *visitor,
                                           struct err *err);

/* For the sources: looks the windows up, accounts for them, visits. */
MUST_CHECK enum err_code eval_visit_samples(struct eval *ev, struct window_cache *cache,
                                            const struct storage_samples *samples,
                                            const struct row *labels, struct range_visitor *visitor,
                                            struct err *err);

/* ---- node kinds ---- */

MUST_CHECK enum err_code eval_selector(struct eval *ev, const struct plan_node *node,
                                       const struct grid *grid, enum sample_part part,
                                       struct row_sink *sink, struct err *err);
MUST_CHECK enum err_code eval_selector_unique(struct eval *ev, const struct plan_selector *selector,
                                              bool *out, struct err *err);
MUST_CHECK enum err_code eval_selector_ranges(struct eval *ev, const struct plan_selector *selector,
                                              const struct grid *grid,
                                              struct range_visitor *visitor, struct err *err);
MUST_CHECK enum err_code eval_subquery_ranges(struct eval *ev, const struct plan_subquery *sub,
                                              const struct grid *grid,
                                              struct range_visitor *visitor, struct err *err);
MUST_CHECK enum err_code eval_call(struct eval *ev, const struct plan_node *node,
                                   const struct grid *grid, struct row_sink *sink, struct err *err);
MUST_CHECK enum err_code eval_aggregate(struct eval *ev, const struct plan_node *node,
                                        const struct grid *grid, struct row_sink *sink,
                                        struct err *err);
MUST_CHECK enum err_code eval_binary(struct eval *ev, const struct plan_node *node,
                                     const struct grid *grid, struct row_sink *sink,
                                     struct err *err);
/* scalar op scalar */
double eval_arithmetic(enum binary_op op, double a, double b);

#endif
