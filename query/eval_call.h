/* Function calls: the table from function to kernel. Kernels are in func_*.c by family. */
#ifndef QUERY_EVAL_CALL_H
#define QUERY_EVAL_CALL_H

#include <stdbool.h>

#include "query/eval.h"
#include "query/function.h"

/* False: this version has no kernel for it. */
bool eval_call_supported(int function_id);
MUST_CHECK enum err_code eval_call_scalar(struct eval *ev, const struct plan_node *node,
                                          const struct grid *grid, struct work *to,
                                          struct scalar_column *out, struct err *err);
MUST_CHECK enum err_code eval_call_unique(struct eval *ev, const struct plan_node *node, bool *out,
                                          struct err *err);

/* ---- kernels ---- */

/* A range function on one series: fills out where it has a value. */
struct range_call {
    struct eval *ev;
    const struct plan_node *node;
    const struct grid *grid;
    const struct window_spec *spec;
    const struct scalar_column *params; /* the scalar arguments, in order */
    struct pos_range pos;               /* of the range argument */
    struct work *results;               /* histograms of the row at hand */
    struct work *scratch;               /* of one step, a kernel's to reset */
};
/* Sets a histogram made in call->results; NULL is no memory. */
MUST_CHECK enum err_code range_put(const struct range_call *call, struct row *out, size_t step,
                                   const struct histogram *h, struct err *err);
typedef enum err_code range_kernel(const struct range_call *call, const struct range_series *series,
                                   struct row *out, struct err *err);
/* A function of one value. */
typedef double math_kernel(double v);
/* A function of one row and scalars. */
typedef void row_kernel(const struct grid *grid, const struct scalar_column *params,
                        size_t param_count, struct row *row);
/* All the rest. */
typedef enum err_code call_kernel(struct eval *ev, const struct plan_node *node,
                                  const struct grid *grid, struct row_sink *sink, struct err *err);

/* func_rate.c */
range_kernel range_rate, range_increase, range_delta, range_irate, range_idelta, range_deriv,
    range_predict_linear, range_changes, range_resets, range_double_exponential_smoothing;
/* func_rate_mixed.c: with histograms or start timestamps */
range_kernel mixed_rate, mixed_increase, mixed_delta, mixed_irate, mixed_idelta, mixed_changes,
    mixed_resets;
/* func_extended.c: the same functions of anchored and smoothed ranges; which one is in call */
range_kernel range_extended, mixed_extended;
void extended_value(const struct range_call *call, const struct range_series *series, size_t step,
                    struct row *out);
/* The points of a bare anchored or smoothed range, at the first step: at most the window's samples
 * and two. Returns how many. */
size_t extended_points(const struct plan_selector *selector, const struct window_spec *spec,
                       const struct range_series *series, int64_t *ts, double *values);
/* func_over_time.c */
range_kernel range_avg, range_sum, range_min, range_max, range_count, range_last, range_first,
    range_present, range_stddev, range_stdvar, range_quantile, range_mad, range_ts_of_first,
    range_ts_of_last, range_ts_of_min, range_ts_of_max;
/* func_over_time_mixed.c: with histograms */
range_kernel mixed_sum, mixed_avg, mixed_last, mixed_first, mixed_double_exponential_smoothing;
/* The floats of a series through a kernel that knows no others. */
MUST_CHECK enum err_code range_floats_only(const struct range_call *call,
                                           const struct range_series *series, range_kernel *kernel,
                                           struct row *out, struct err *err);
/* func_math.c */
math_kernel math_sgn, math_deg, math_rad;
row_kernel row_round, row_clamp, row_clamp_min, row_clamp_max;
/* func_time.c */
math_kernel time_minute, time_hour, time_day_of_week, time_day_of_month, time_day_of_year,
    time_days_in_month, time_month, time_year;
/* func_label.c */
call_kernel call_label_replace, call_label_join, call_sort, call_sort_desc, call_sort_by_label,
    call_sort_by_label_desc, call_absent, call_absent_over_time;
/* func_info.c */
call_kernel call_info;
/* func_histogram_value.c */
call_kernel call_histogram_count, call_histogram_sum, call_histogram_avg, call_histogram_stddev,
    call_histogram_stdvar;
/* func_histogram.c */
call_kernel call_histogram_quantile, call_histogram_quantiles, call_histogram_fraction;

#endif
