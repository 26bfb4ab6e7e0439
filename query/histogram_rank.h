/* Quantiles, fractions and moments of one native histogram (spec/promql.md section 17). Pure. */
#ifndef QUERY_HISTOGRAM_RANK_H
#define QUERY_HISTOGRAM_RANK_H

#include "base/histogram.h"

/* Observations that were NaN are in no bucket. */
enum nan_effect { NAN_NONE, NAN_RESULT_IS_NAN, NAN_SKEWS_HIGHER, NAN_EXCLUDED };

double histogram_quantile_of(double phi, const struct histogram *h, enum nan_effect *effect);
double histogram_fraction_of(double lower, double upper, const struct histogram *h,
                             enum nan_effect *effect);
double histogram_variance_of(const struct histogram *h);

#endif
