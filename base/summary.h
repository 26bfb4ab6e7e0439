/* Quantiles over the last minutes, and count and sum of all: a summary as Prometheus' clients
 * have it.
 *
 * The window of ten minutes slides in steps of two: a ring of SUMMARY_PERIODS digests, of which the
 * newest takes what is observed and the oldest is cleared when its time is over. Quantiles are
 * those of all digests together, so of the last eight to ten minutes. A digest is 5 KiB at most.
 *
 * Any thread may observe and read. */
#ifndef BASE_SUMMARY_H
#define BASE_SUMMARY_H

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/quantile_digest.h"

enum { SUMMARY_PERIODS = 5, SUMMARY_QUANTILES_MAX = 8 };
#define SUMMARY_PERIOD_NS (120 * NS_PER_S)

struct summary {
    struct mutex mu; /* guards what follows */
    struct quantile_digest periods[SUMMARY_PERIODS];
    int64_t period; /* of the newest digest, counted from the clock's start; -1 = none yet */
    uint64_t count;
    double sum;
};

struct summary_view {
    double quantiles[SUMMARY_QUANTILES_MAX]; /* NaN: nothing within the window */
    uint64_t count;
    double sum;
};

void summary_init(struct summary *s);
void summary_release(struct summary *s);
void summary_observe(struct summary *s, int64_t mono_ns, double value);
/* The quantiles that are asked for, at most SUMMARY_QUANTILES_MAX. */
void summary_read(struct summary *s, int64_t mono_ns, const double *quantiles, size_t n,
                  struct summary_view *out);

#endif
