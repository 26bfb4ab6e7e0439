#include "query/quantile.h"

#include <math.h>
#include <stdlib.h>

static int nan_first(const void *left, const void *right) {
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    if (isnan(a) || isnan(b)) {
        return (isnan(b) != 0) - (isnan(a) != 0);
    }
    return (a > b) - (a < b);
}

double quantile_of(double phi, double *values, size_t n) {
    if (n == 0 || isnan(phi)) {
        return NAN;
    }
    if (phi < 0) {
        return -INFINITY;
    }
    if (phi > 1) {
        return INFINITY;
    }
    qsort(values, n, sizeof(*values), nan_first);
    const double rank = phi * (double)(n - 1);
    const double floor_rank = floor(rank);
    const size_t low = (size_t)fmax(0, floor_rank);
    const size_t high = low + 1 < n ? low + 1 : n - 1;
    const double weight = rank - floor_rank;
    return values[low] * (1 - weight) + values[high] * weight;
}
