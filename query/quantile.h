/* Quantiles of plain values (spec/promql.md section 17). Pure. */
#ifndef QUERY_QUANTILE_H
#define QUERY_QUANTILE_H

#include <stddef.h>

/* Sorts the n values ascending, NaN first, in place. NaN for n = 0 or phi NaN, -Inf for phi < 0,
 * +Inf for phi > 1, else linear between the neighbours of rank phi * (n - 1). */
double quantile_of(double phi, double *values, size_t n);

#endif
