/* Value sequences of the PromQL test language (spec/promql.md section 12): "1 2 _ 3+1x4 stale" is
 * one value for each step. Pure. */
#ifndef SERIES_VALUES_H
#define SERIES_VALUES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/str.h"

/* Of one sequence: a hostile "1x999999999" must not cost memory. */
enum { SERIES_VALUES_MAX = 1000000 };

struct series_value {
    bool present;
    double value; /* the stale NaN for "stale" */
};

struct series_values {
    struct series_value *items;
    size_t count, capacity;
};

/* Appends to out, which lives in arena.
 * ERR_INVALID names the item; ERR_UNSUPPORTED for histograms; ERR_LIMIT beyond the maximum. */
MUST_CHECK enum err_code series_values_parse(struct arena *arena, struct str text,
                                             struct series_values *out, struct err *err);

#endif
