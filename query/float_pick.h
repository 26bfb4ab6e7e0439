/* Max and Min of two doubles as Go's math package defines them (spec/promql.md section 7): an
 * infinity on the winning side beats NaN, otherwise NaN wins; +0 is above -0. Pure. */
#ifndef QUERY_FLOAT_PICK_H
#define QUERY_FLOAT_PICK_H

#include <math.h>

static inline double float_max(double a, double b) {
    if ((isinf(a) && a > 0) || (isinf(b) && b > 0)) {
        return INFINITY;
    }
    if (isnan(a) || isnan(b)) {
        return NAN;
    }
    if (a == 0 && a == b) {
        return signbit(a) ? b : a;
    }
    return a > b ? a : b;
}

static inline double float_min(double a, double b) {
    if ((isinf(a) && a < 0) || (isinf(b) && b < 0)) {
        return -INFINITY;
    }
    if (isnan(a) || isnan(b)) {
        return NAN;
    }
    if (a == 0 && a == b) {
        return signbit(a) ? a : b;
    }
    return a < b ? a : b;
}

#endif
