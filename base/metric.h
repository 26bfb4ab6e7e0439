/* Self-metrics: counters, gauges, histograms and summaries that a module makes at construction and
 * hands to a registry, which renders /metrics. No globals: two databases can live in one test.
 *
 * Names and help texts are those of spec/metrics.md so that existing dashboards work. Updates
 * are relaxed atomics (a summary's take a lock of its own) and may come from any thread; registering
 * and rendering take a lock. A
 * metric lives until its registry is freed; metric_remove takes one series away (a scrape pool
 * that ended). */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/labels.h"
#include "base/str.h"

struct metric_registry;

struct metric {            /* one series: a counter or gauge */
    _Atomic uint64_t bits; /* of a double */
};

struct metric_histogram;
struct metric_summary;

struct metric_registry *metric_registry_new(void);
void metric_registry_free(struct metric_registry *registry);
/* What the windows of summaries go by; the system's clock unless said. Before the first summary. */
void metric_registry_use_clock(struct metric_registry *registry, struct clock *clock);

/* name, help and labels are copied. The same name and labels give the same object back. labels
 * is pairs of name, value. NULL registry gives a working metric that nobody renders (it leaks
 * nothing: it is a static sink). */
struct metric *metric_counter(struct metric_registry *r, const char *name, const char *help,
                              const struct label *labels, size_t n);
struct metric *metric_gauge(struct metric_registry *r, const char *name, const char *help,
                            const struct label *labels, size_t n);
struct metric_histogram *metric_histogram(struct metric_registry *r, const char *name,
                                          const char *help, const struct label *labels, size_t n,
                                          const double *bounds, size_t bound_count);
/* quantiles (ascending, at most SUMMARY_QUANTILES_MAX) are those of the last ten minutes, NaN when
 * nothing was observed in them; count and sum are of all. Bounded memory: base/summary.h. */
struct metric_summary *metric_summary(struct metric_registry *r, const char *name, const char *help,
                                      const struct label *labels, size_t n, const double *quantiles,
                                      size_t quantile_count);
/* For series that several owners register, each on its own: each calls it once with what it got,
 * and the series goes with the last one's removal. */
void metric_hold(struct metric_registry *r, const void *what);
void metric_remove(struct metric_registry *r, struct metric *m);
void metric_remove_histogram(struct metric_registry *r, struct metric_histogram *h);
void metric_remove_summary(struct metric_registry *r, struct metric_summary *s);
/* Called at each rendering, to set gauges that cost something to know. */
void metric_on_collect(struct metric_registry *r, void (*collect)(void *ctx), void *ctx);

void metric_add(struct metric *m, double v);
static inline void metric_inc(struct metric *m) {
    metric_add(m, 1);
}
void metric_set(struct metric *m, double v);
double metric_get(const struct metric *m);
void metric_observe(struct metric_histogram *h, double v);
void metric_summarize(struct metric_summary *s, double v);

/* Text format 0.0.4, families sorted by name; process_* and build info are registered by main. */
void metric_render(struct metric_registry *r, struct buf *to);

#endif
