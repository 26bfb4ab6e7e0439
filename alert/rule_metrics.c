#include "alert/rule_metrics.h"

#include <stdio.h>

#include "base/mem.h"

static const struct {
    const char *name, *help;
    bool counter;
} table[GROUP_METRIC_COUNT] = {
    [GROUP_ITERATIONS] = {"prometheus_rule_group_iterations_total",
                          "The total number of scheduled rule group evaluations, whether executed "
                          "or missed.",
                          true},
    [GROUP_MISSED] = {"prometheus_rule_group_iterations_missed_total",
                      "The total number of rule group evaluations missed due to slow rule group "
                      "evaluation.",
                      true},
    [GROUP_EVALUATIONS] = {"prometheus_rule_evaluations_total",
                           "The total number of rule evaluations.", true},
    [GROUP_FAILURES] = {"prometheus_rule_evaluation_failures_total",
                        "The total number of rule evaluation failures.", true},
    [GROUP_INTERVAL_SECONDS] = {"prometheus_rule_group_interval_seconds",
                                "The interval of a rule group.", false},
    [GROUP_RULES] = {"prometheus_rule_group_rules", "The number of rules.", false},
    [GROUP_LAST_EVALUATION_SECONDS] = {"prometheus_rule_group_last_evaluation_timestamp_seconds",
                                       "The timestamp of the last rule group evaluation in "
                                       "seconds.",
                                       false},
    [GROUP_LAST_DURATION_SECONDS] = {"prometheus_rule_group_last_duration_seconds",
                                     "The duration of the last rule group evaluation.", false},
    [GROUP_LAST_RULES_SECONDS] = {"prometheus_rule_group_last_rule_duration_sum_seconds",
                                  "The sum of time in seconds it took to evaluate each rule in the "
                                  "group.",
                                  false},
    [GROUP_LAST_SAMPLES] = {"prometheus_rule_group_last_evaluation_samples",
                            "The number of samples returned during the last rule group "
                            "evaluation.",
                            false},
};

void rule_group_metrics_init(struct rule_group_metrics *m, struct metric_registry *registry,
                             struct str file, struct str name) {
    const size_t size = file.len + name.len + 2;
    m->registry = registry;
    m->key = mem_alloc(size);
    (void)snprintf(m->key, size, "%.*s;%.*s", STR_ARG(file), STR_ARG(name));
    const struct label label = {STR("rule_group"), str_of(m->key)};
    for (size_t i = 0; i < GROUP_METRIC_COUNT; i++) {
        m->items[i] = table[i].counter
                          ? metric_counter(registry, table[i].name, table[i].help, &label, 1)
                          : metric_gauge(registry, table[i].name, table[i].help, &label, 1);
    }
}

void rule_group_metrics_restored(struct rule_group_metrics *m, int64_t took_ns) {
    const struct label label = {STR("rule_group"), str_of(m->key)};
    m->restore_seconds =
        metric_gauge(m->registry, "prometheus_rule_group_last_restore_duration_seconds",
                     "The duration of the last alert rules alerts restoration using the "
                     "ALERTS_FOR_STATE series.",
                     &label, 1);
    metric_set(m->restore_seconds, (double)took_ns / 1e9);
}

void rule_group_metrics_release(struct rule_group_metrics *m, bool removed) {
    for (size_t i = 0; i < GROUP_METRIC_COUNT && removed && m->key != NULL; i++) {
        metric_remove(m->registry, m->items[i]);
    }
    if (removed && m->restore_seconds != NULL) {
        metric_remove(m->registry, m->restore_seconds);
    }
    mem_free(m->key);
    *m = (struct rule_group_metrics){.key = NULL};
}
