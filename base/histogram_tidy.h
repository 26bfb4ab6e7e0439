/* Native histograms from outside: their layout put in order, their counts checked (spec/scrape.md
 * 5.3). Results live in the arena given. Pure. */
#ifndef BASE_HISTOGRAM_TIDY_H
#define BASE_HISTOGRAM_TIDY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/err.h"
#include "base/histogram.h"

/* h with its schema lowered by shift, without empty buckets but for gaps of up to max_gap. Spans
 * and counts of h must agree in number. ERR_INVALID for indices out of range, ERR_LIMIT for the
 * arena's budget. */
MUST_CHECK enum err_code histogram_tidy(struct arena *arena, const struct histogram *h, int shift,
                                        uint32_t max_gap, struct histogram **out, struct err *err);

/* What the storage demands: histogram_check, no negative counts, and of integer counts that they
 * add up (with a NaN sum: to at most the count). */
MUST_CHECK enum err_code histogram_validate(const struct histogram *h, bool floats,
                                            struct err *err);

#endif
