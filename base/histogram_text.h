/* Texts of histograms: as PromQL shows them, and as the test language writes them. Pure. */
#ifndef BASE_HISTOGRAM_TEXT_H
#define BASE_HISTOGRAM_TEXT_H

#include "base/buf.h"
#include "base/histogram.h"

/* {count:2, sum:3.5, [-2,-1):1, (0.5,1]:1}: populated buckets, ascending. */
void histogram_format(struct buf *to, const struct histogram *h);
/* {{schema:1 count:3 sum:2.5 buckets:[1 0 2]}} */
void histogram_format_expression(struct buf *to, const struct histogram *h);

#endif
