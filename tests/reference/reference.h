/* A second PromQL evaluator, to judge the engine by: as slow and as plain as the specification
 * reads (spec/promql.md, sections 3 to 8, 16 to 20). Every step by itself, every series by itself,
 * nothing shared or kept. Of query/ it knows the tree that the parser makes and nothing else; the
 * arithmetic is its own.
 *
 * What it does not know (duration expressions, info, anchored, smoothed, start timestamps) is
 * told by ref.unsupported. Names are dropped at once. Everything lives in the arena; one thread. */
#ifndef TESTS_REFERENCE_REFERENCE_H
#define TESTS_REFERENCE_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/labels.h"
#include "query/ast.h"
#include "query/function.h"

/* Exponential buckets that are not empty, by index; positive ones alone. */
struct ref_histogram {
    int schema;
    bool gauge;
    double count, sum, zero_threshold, zero_count;
    int *index;
    double *counts;
    size_t n;
};

struct ref_point {
    int64_t t;
    double v;
    const struct ref_histogram *h; /* NULL: v */
};

/* Also what a range selector gives: the samples of its window, without stale markers. */
struct ref_series {
    struct labels labels;
    struct ref_point *points; /* by time */
    size_t count;
    int64_t from, to; /* of a window: (from, to] */
};

struct ref_sample {
    struct labels labels;
    double v;
    const struct ref_histogram *h; /* NULL: v */
    int64_t own_t;                 /* of the sample that a selector found */
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

struct ref {
    struct arena *arena;
    const struct ref_series *series; /* by labels */
    size_t series_count;
    int64_t start_ms, end_ms, step_ms, lookback_ms, default_step_ms;
    const char *error; /* the query fails; a part of its text */
    bool unsupported;
};

/* The value of a tree at one step. */
struct ref_value ref_eval(struct ref *r, const struct node *n, int64_t t);

/* ---- parts, one file each ---- */

struct ref_value ref_call(struct ref *r, const struct node *n, int64_t t);
/* A function of a range: false when the window has no value. */
bool ref_over_time(struct ref *r, const struct node *call, const struct ref_series *window,
                   const double *params, int64_t t, struct ref_sample *out);
bool ref_is_over_time(enum function_id id);
struct ref_value ref_aggregate(struct ref *r, const struct node *n, int64_t t);
struct ref_value ref_binary(struct ref *r, const struct node *n, int64_t t);
struct ref_value ref_histogram_quantile(struct ref *r, double phi, const struct ref_vector *v);

/* ---- small things ---- */

void ref_fail(struct ref *r, const char *error);
void ref_push(struct ref *r, struct ref_vector *v, struct ref_sample sample);
/* Without __name__, __type__ and __unit__. */
struct labels ref_drop_name(struct ref *r, struct labels labels);
/* No two samples with the same labels. */
void ref_check_unique(struct ref *r, const struct ref_vector *v);
double ref_quantile(struct ref *r, double phi, const double *values, size_t n);
double ref_binary_number(enum binary_op op, double a, double b, bool *keep);

/* Neumaier's sum. */
struct ref_sum {
    double s, c;
};
void ref_sum_add(struct ref_sum *k, double x);
double ref_mean(const double *values, size_t n);

/* ---- histograms ---- */

struct ref_histogram *ref_histogram_add(struct ref *r, const struct ref_histogram *a,
                                        const struct ref_histogram *b, double sign);
struct ref_histogram *ref_histogram_scale(struct ref *r, const struct ref_histogram *a,
                                          double factor, bool divide);
bool ref_histogram_reset(const struct ref_histogram *h, const struct ref_histogram *before);
bool ref_histogram_same(const struct ref_histogram *a, const struct ref_histogram *b);
double ref_native_quantile(double phi, const struct ref_histogram *h);

#endif
