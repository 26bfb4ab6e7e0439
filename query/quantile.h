/* Quantiles of plain values (spec/promql.md section 17). Pure. */
#ifndef QUERY_QUANTILE_H
#define QUERY_QUANTILE_H

#include <stdbool.h>
#include <stddef.h>

#include "query/work.h"

/* NaN first, then ascending; equal ones stay in their order. */
void quantile_sort(double *values, size_t n);
/* Of values in that order. NaN for n = 0 or phi NaN, -Inf for phi < 0, +Inf for phi > 1, else
 * linear between the neighbours of rank phi * (n - 1). */
double quantile_of_sorted(double phi, const double *sorted, size_t n);
/* Where it lies: between the values of rank low and of the next (or again low, the last), weight of
 * the way. False: *out is the quantile, whatever the values. n > 0. */
struct quantile_place {
    size_t low;
    double weight;
};
bool quantile_find(double phi, size_t n, struct quantile_place *place, double *out);
/* Sorts the values in place when it needs them. */
double quantile_of(double phi, double *values, size_t n);
/* The same for so many values that sorting them takes memory and time: errors as those of
 * work_sort. */
MUST_CHECK enum err_code quantile_of_many(double phi, double *values, size_t n, struct work *work,
                                          const struct cancel *cancel, double *out,
                                          struct err *err);

#endif
