/* The metrics of one rule group (spec/metrics.md section 6): there from the moment the group is, gone
 * with it. Private to alert/. */
#ifndef ALERT_RULE_METRICS_H
#define ALERT_RULE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"
#include "base/str.h"

enum rule_group_metric {
    GROUP_ITERATIONS,
    GROUP_MISSED,
    GROUP_EVALUATIONS,
    GROUP_FAILURES,
    GROUP_INTERVAL_SECONDS,
    GROUP_RULES,
    GROUP_LAST_EVALUATION_SECONDS,
    GROUP_LAST_DURATION_SECONDS,
    GROUP_LAST_RULES_SECONDS,
    GROUP_LAST_SAMPLES,
    GROUP_METRIC_COUNT
};

struct rule_group_metrics {
    struct metric_registry *registry;
    struct metric *items[GROUP_METRIC_COUNT]; /* of the registry */
    struct metric *restore_seconds;           /* NULL until there was a restore */
    char *key;                                /* <file>;<group> */
};

/* A group of the same file and name that had metrics goes on counting in them. */
void rule_group_metrics_init(struct rule_group_metrics *m, struct metric_registry *registry,
                             struct str file, struct str name);
void rule_group_metrics_restored(struct rule_group_metrics *m, int64_t took_ns);
/* Forgets the metrics; removed takes them out of the registry, too. Fine on a zeroed struct. */
void rule_group_metrics_release(struct rule_group_metrics *m, bool removed);

#endif
