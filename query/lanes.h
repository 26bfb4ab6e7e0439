/* The inner loops of windows and sums, eight at a time: a lane is one window (or one step), and
 * does what the plain loop does with the same operations in the same order, so that every result
 * has the plain loop's bits. Compensated sums cannot be slid from a window to the next, each
 * depends on where it began; eight that run side by side hide one another's latency instead.
 *
 * Every set gives the same bits; the portable one is what the compiler makes of the same source.
 * Pure; the sets are constants. */
#ifndef QUERY_LANES_H
#define QUERY_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 8 };

/* Windows of one column, eight or more: lane l sees v[low[l]] .. v[high[l] - 1], at least one value. */
struct lane_windows {
    const double *v;
    const uint32_t *low, *high;
};

/* Ends of compensated sums (kahan.h); overflowed: one of the sums on the way was infinite. */
struct lane_sums {
    double sum[LANES];
    double c[LANES];
    bool overflowed;
};

/* What a straight line needs of the values; times are relative to reference_ms[l]. */
struct lane_line {
    double y[LANES];
    double xy[LANES];
    bool varies[LANES]; /* some value differs from the first */
};

/* Steps of an extrapolated difference, eight by eight; columns begin at the first of them. */
struct lane_rate {
    const double *sampled, *to_start, *factor;
    bool counter;
};

struct lane_kernels {
    const char *name;
    /* from_first: the first value is the sum to begin with, else 0 is. */
    void (*sum)(const struct lane_windows *w, bool from_first, struct lane_sums *out);
    /* Squared distance from the mean by Welford, compensated, over the count. */
    void (*variance)(const struct lane_windows *w, double out[LANES]);
    void (*line)(const struct lane_windows *w, const int64_t *ts, const int64_t reference_ms[LANES],
                 struct lane_line *out);
    /* Last minus first value, times the factor, of eights times eight windows. How many eights from
     * the first on it did: in the next, a counter might start below zero, which asks for another
     * factor; out is undefined from there on. Each window has two values or more, no resets. */
    size_t (*rate)(const struct lane_windows *w, const struct lane_rate *rate, size_t eights,
                   double *out);
    /* The first i in [from, count) whose successor, below count, is smaller; or count. */
    size_t (*next_drop)(const double *v, size_t count, size_t from);
    /* Adds x[i] to the compensated sums sum[i], c[i], i < n; n is a multiple of LANES. */
    void (*add)(double *sum, double *c, const double *x, size_t n);
};

/* The fastest set of this machine. */
const struct lane_kernels *lane_kernels_best(void);
/* For tests: the i-th set that this machine can run, NULL behind the last. */
const struct lane_kernels *lane_kernels_at(size_t i);

#endif
