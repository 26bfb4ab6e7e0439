/* Self-metrics: counters, gauges and histograms that a module makes at construction and hands to
 * a registry, which renders /metrics. No globals: two databases can live in one test.
 *
 * Names and help texts are those of spec/metrics.md so that existing dashboards work. Updates
 * are relaxed atomics and may come from any thread; registering and rendering take a lock. A
 * metric lives until its registry is freed; metric_remove takes one series away (a scrape pool
 * that ended). */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/labels.h"
#include "base/str.h"

struct metric_registry;

struct metric {            /* one series: a counter or gauge */
    _Atomic uint64_t bits; /* of a double */
};

struct metric_histogram;

struct metric_registry *metric_registry_new(void);
void metric_registry_free(struct metric_registry *registry);

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
void metric_remove(struct metric_registry *r, struct metric *m);
/* Called at each rendering, to set gauges that cost something to know. */
void metric_on_collect(struct metric_registry *r, void (*collect)(void *ctx), void *ctx);

void metric_add(struct metric *m, double v);
static inline void metric_inc(struct metric *m) {
    metric_add(m, 1);
}
void metric_set(struct metric *m, double v);
double metric_get(const struct metric *m);
void metric_observe(struct metric_histogram *h, double v);

/* Text format 0.0.4, families sorted by name; process_* and build info are registered by main. */
void metric_render(struct metric_registry *r, struct buf *to);

#endif
