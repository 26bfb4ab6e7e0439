/* process_* and build information among the own metrics (spec/metrics.md section 1). */
#ifndef PROCESS_METRICS_H
#define PROCESS_METRICS_H

#include "base/metric.h"

struct process_metrics;

/* Registers; values are read from /proc when the metrics are rendered. Freed after the registry. */
struct process_metrics *process_metrics_new(struct metric_registry *registry,
                                            int64_t start_unix_ns);
void process_metrics_free(struct process_metrics *p);

#endif
