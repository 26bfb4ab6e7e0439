/* A second PromQL evaluator, to judge the engine by: as slow and as plain as the specification
 * reads (spec/promql.md, sections 3 to 9 and 13 to 22). Every step by itself, every series by
 * itself, nothing shared but what the specification says is evaluated once (parts that do not
 * depend on the step, and the steps of a subquery). Of query/ it knows the tree that the parser
 * makes and nothing else; the arithmetic is its own.
 *
 * What it does not know is told by ref.beyond. Everything lives in the arena; one thread. */
#ifndef TESTS_REFERENCE_REFERENCE_H
#define TESTS_REFERENCE_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/labels.h"
#include "query/ast.h"
#include "query/function.h"
#include "tests/reference/reference_histogram.h"

struct ref_point {
    int64_t t;
    double v;
    const struct ref_histogram *h; /* NULL: v */
    int64_t start;                 /* timestamp; 0: not known */
};

/* Also what a range selector gives: the samples of its window, without stale markers. */
struct ref_series {
    struct labels labels;
    bool drops_name;          /* at the end of the query */
    struct ref_point *points; /* by time */
    size_t count;
    int64_t from,
        to; /* of a window: (from, to]; its points may lie around it when it is extended */
};

struct ref_sample {
    struct labels labels;
    double v;
    const struct ref_histogram *h; /* NULL: v */
    int64_t own_t, own_start;      /* of the sample that a selector found */
    bool drops_name;               /* at the end of the query */
};

struct ref_vector {
    struct ref_sample *items;
    size_t count, capacity;
};

struct ref_matrix {
    struct ref_series *items;
    size_t count, capacity;
};

struct ref_value {
    enum value_type type;
    double scalar;
    struct str string;
    struct ref_vector vector;
    struct ref_matrix matrix;
};

/* The steps for which a part of the tree is evaluated: the query's or a subquery's. */
struct ref_grid {
    int64_t start_ms, end_ms, step_ms;
};

struct ref_note {
    bool warning;
    uint32_t pos;
    struct str text;
    bool forced; /* histogram_quantile's repairs, merged */
    double min_bucket, max_bucket, max_diff;
    uint64_t count;
    int64_t first_ms, last_ms;
};

struct ref_kept; /* what is evaluated once */

struct ref {
    struct arena *arena;
    const struct ref_series *series; /* by labels */
    size_t series_count;
    int64_t start_ms, end_ms, step_ms, lookback_ms, default_step_ms;
    bool start_timestamps; /* samples' start timestamps count */
    bool delayed_names;    /* removed at the end of the query (section 4) */
    bool in_database;      /* what the engine reads is, tests/support/tsdb_mirror.h */
    const char *error;     /* the query fails; a part of its text */
    const char *beyond;    /* what the reference evaluator does not know; NULL: it does */
    bool inexact;          /* the specification leaves last bits of sums open */
    bool notes_open;       /* and whether some warnings are given */
    bool order_open;       /* and what comes out, since it depends on the order of the store */
    struct ref_grid grid;
    unsigned statistics, buckets; /* depth of calls that want either of a histogram (section 22) */
    bool in_param;
    unsigned subqueries;      /* around, within the parameter */
    struct ref_vector finals; /* label sets of the result, when names go at the end */
    struct ref_note *notes;
    size_t note_count, note_capacity;
    struct ref_kept *kept;
};

/* The value of a tree at one step. */
struct ref_value ref_eval(struct ref *r, const struct node *n, int64_t t);

/* ---- parts, one file each ---- */

struct ref_value ref_vector_selector(struct ref *r, const struct node *n, int64_t t);
struct ref_value ref_matrix_selector(struct ref *r, const struct node *n, int64_t t);
/* Of a bare selector, without a function. */
struct ref_value ref_extended_points(struct ref *r, const struct node *n, int64_t t);
struct ref_value ref_subquery(struct ref *r, const struct node *n, int64_t t);
/* Where it reads: @ and offset applied. */
int64_t ref_time_of(struct ref *r, const struct time_modifiers *m, int64_t t);
/* Milliseconds of a duration that may be an expression; positive: it must be. */
int64_t ref_duration_ms(struct ref *r, int64_t ns, const struct node *expr, bool positive);
bool ref_selected(struct ref *r, const struct vector_selector *s, struct labels labels);
/* Whether the value is the same at all steps, and what it is evaluated once. */
bool ref_invariant(const struct node *n);
struct ref_value ref_keep_invariant(struct ref *r, const struct node *n);
/* A call's first argument at all steps of the grid. */
const struct ref_value *ref_keep_steps(struct ref *r, const struct node *call, size_t *out_count);
/* An aggregation's number at all steps. */
const struct ref_series *ref_keep_param(struct ref *r, const struct node *param);

/* What fails whatever the data. */
void ref_check_tree(struct ref *r, const struct node *n);
struct ref_value ref_call(struct ref *r, const struct node *n, int64_t t);
/* A function of a range: false when the window has no value. */
bool ref_over_time(struct ref *r, const struct node *call, const struct ref_series *window,
                   const double *params, int64_t t, struct ref_sample *out);
bool ref_is_over_time(enum function_id id);
bool ref_rate(struct ref *r, const struct node *call, const struct ref_series *w,
              struct ref_sample *out);
bool ref_instant_rate(struct ref *r, const struct node *call, const struct ref_series *w,
                      struct ref_sample *out);
bool ref_extended_rate(struct ref *r, const struct node *call, const struct ref_series *w,
                       bool smoothed, struct ref_sample *out);
bool ref_start_reset(const struct ref *r, const struct ref_point *p, const struct ref_point *c);
struct ref_value ref_aggregate(struct ref *r, const struct node *n, int64_t t);
struct ref_value ref_binary(struct ref *r, const struct node *n, int64_t t);
void ref_check_label_replace(struct ref *r, const struct call *c);
struct ref_value ref_label_replace(struct ref *r, const struct ref_value *args);
struct ref_value ref_label_join(struct ref *r, const struct ref_value *args, size_t n);
struct ref_value ref_sort_by_label(struct ref *r, const struct node *call,
                                   const struct ref_value *args, bool descending);
struct ref_value ref_info(struct ref *r, const struct node *call, int64_t t);
/* label: of histogram_quantiles, else empty. */
void ref_histogram_quantile(struct ref *r, double phi, const struct ref_vector *v, uint32_t pos,
                            struct str label, int64_t t, struct ref_vector *out);
struct ref_value ref_histogram_fraction(struct ref *r, double lower, double upper,
                                        const struct ref_vector *v, uint32_t pos);

/* ---- small things ---- */

void ref_fail(struct ref *r, const char *error);
/* If so, the query is beyond the reference evaluator. */
void ref_beyond(struct ref *r, bool so, const char *what);
/* Nothing of a value is needed any more. */
bool ref_over(const struct ref *r);
void ref_push(struct ref *r, struct ref_vector *v, struct ref_sample sample);
void ref_push_window(struct ref *r, struct ref_matrix *m, struct ref_series series);
/* Without __name__, __type__ and __unit__. */
struct labels ref_without_name(struct ref *r, struct labels labels);
/* So now, or at the end of the query. */
void ref_drop_name(struct ref *r, struct ref_sample *s);
/* The names that are to go at the end of the query. */
void ref_drop_final_names(struct ref *r, struct ref_vector *v);
struct labels ref_set_label(struct ref *r, struct labels labels, struct str name, struct str value);
/* No two samples with the same labels. */
void ref_check_unique(struct ref *r, const struct ref_vector *v);
double ref_quantile(struct ref *r, double phi, const double *values, size_t n);
double ref_binary_number(enum binary_op op, double a, double b, bool *keep);
double ref_mean(const double *values, size_t n);
const struct node *ref_bare(const struct node *n);

/* ---- warnings and infos ---- */

void ref_warn(struct ref *r, uint32_t pos, const char *fmt, ...) PRINTF_LIKE(3, 4);
void ref_inform(struct ref *r, uint32_t pos, const char *fmt, ...) PRINTF_LIKE(3, 4);
void ref_note_forced(struct ref *r, const struct ref_note *forced);
/* Where warnings about a range argument point: to the beginning when it is a subquery. */
uint32_t ref_range_pos(const struct node *range);
/* The metric's name in quotes; " for metric name "x"" or nothing, also when names are dropped at
 * once. */
const char *ref_name(struct ref *r, struct labels labels);
const char *ref_for_name(struct ref *r, struct labels labels);
const char *ref_g(struct ref *r, double v);
void ref_warn_mixed_buckets(struct ref *r, uint32_t pos, struct labels labels);
void ref_warn_mixed_samples(struct ref *r, uint32_t pos, struct labels labels);
void ref_warn_phi(struct ref *r, uint32_t pos, double phi);
/* As query results show it: "PromQL warning: text (1:5)". */
struct str ref_note_text(struct ref *r, const struct ref_note *note, bool with_pos);

#endif
