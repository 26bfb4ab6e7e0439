#include "scrape/scrape_metrics.h"

#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/duration.h"

static const double seconds_bounds[] = {0.01, 0.1, 1, 10};
static const double quantiles[] = {0.01, 0.05, 0.5, 0.9, 0.99};

void scrape_metrics_init(struct scrape_metrics *m, struct metric_registry *registry) {
    static const struct {
        size_t offset;
        const char *name, *help;
    } counters[] = {
        {offsetof(struct scrape_metrics, pools_total), "prometheus_target_scrape_pools_total",
         "Total number of scrape pool creation attempts."},
        {offsetof(struct scrape_metrics, pools_failed_total),
         "prometheus_target_scrape_pools_failed_total",
         "Total number of scrape pool creations that failed."},
        {offsetof(struct scrape_metrics, pool_reloads_total),
         "prometheus_target_scrape_pool_reloads_total", "Total number of scrape pool reloads."},
        {offsetof(struct scrape_metrics, pool_reloads_failed_total),
         "prometheus_target_scrape_pool_reloads_failed_total",
         "Total number of failed scrape pool reloads."},
        {offsetof(struct scrape_metrics, pool_exceeded_target_limit_total),
         "prometheus_target_scrape_pool_exceeded_target_limit_total",
         "Total number of times scrape pools hit the target limit, during sync or config reload."},
        {offsetof(struct scrape_metrics, pool_exceeded_label_limits_total),
         "prometheus_target_scrape_pool_exceeded_label_limits_total",
         "Total number of times scrape pools hit the label limits, during sync or config reload."},
        {offsetof(struct scrape_metrics, exceeded_body_size_limit_total),
         "prometheus_target_scrapes_exceeded_body_size_limit_total",
         "Total number of scrapes that hit the body size limit."},
        {offsetof(struct scrape_metrics, exceeded_sample_limit_total),
         "prometheus_target_scrapes_exceeded_sample_limit_total",
         "Total number of scrapes that hit the sample limit and were rejected."},
        {offsetof(struct scrape_metrics, exceeded_bucket_limit_total),
         "prometheus_target_scrapes_exceeded_native_histogram_bucket_limit_total",
         "Total number of scrapes that hit the native histogram bucket limit and were rejected."},
        {offsetof(struct scrape_metrics, exemplar_out_of_order_total),
         "prometheus_target_scrapes_exemplar_out_of_order_total",
         "Total number of exemplar rejected due to not being out of the expected order."},
        {offsetof(struct scrape_metrics, duplicate_timestamp_total),
         "prometheus_target_scrapes_sample_duplicate_timestamp_total",
         "Total number of samples rejected due to duplicate timestamps but different values."},
        {offsetof(struct scrape_metrics, out_of_order_total),
         "prometheus_target_scrapes_sample_out_of_order_total",
         "Total number of samples rejected due to not being out of the expected order."},
        {offsetof(struct scrape_metrics, out_of_bounds_total),
         "prometheus_target_scrapes_sample_out_of_bounds_total",
         "Total number of samples rejected due to timestamp falling outside of the time bounds."},
        {offsetof(struct scrape_metrics, cache_flush_forced_total),
         "prometheus_target_scrapes_cache_flush_forced_total",
         "How many times a scrape cache was flushed due to getting big while scrapes are failing."},
    };
    m->registry = registry;
    for (size_t i = 0; i < COUNT_OF(counters); i++) {
        struct metric **const field = (struct metric **)(void *)((char *)m + counters[i].offset);
        *field = metric_counter(registry, counters[i].name, counters[i].help, NULL, 0);
    }
    m->scrape_duration = metric_histogram(registry, "prometheus_target_scrape_duration_seconds",
                                          "Histogram of scrape durations.", NULL, 0, NULL, 0);
}

void pool_metrics_init(struct pool_metrics *m, struct metric_registry *registry, struct str job,
                       int64_t interval_ms) {
    const struct label by_job = {STR("scrape_job"), job};
    m->sync_total =
        metric_counter(registry, "prometheus_target_scrape_pool_sync_total",
                       "Total number of syncs that were executed on a scrape pool.", &by_job, 1);
    m->sync_failed_total = metric_counter(registry, "prometheus_target_sync_failed_total",
                                          "Total number of target sync failures.", &by_job, 1);
    m->targets = metric_gauge(registry, "prometheus_target_scrape_pool_targets",
                              "Current number of targets in this scrape pool.", &by_job, 1);
    m->target_limit =
        metric_gauge(registry, "prometheus_target_scrape_pool_target_limit",
                     "Maximum number of targets allowed in this scrape pool.", &by_job, 1);
    m->metadata_entries =
        metric_gauge(registry, "prometheus_target_metadata_cache_entries",
                     "Total number of metric metadata entries in the cache.", &by_job, 1);
    m->metadata_bytes = metric_gauge(
        registry, "prometheus_target_metadata_cache_bytes",
        "The number of bytes that are currently used for storing metric metadata in the cache.",
        &by_job, 1);
    m->sync_length = metric_summary(registry, "prometheus_target_sync_length_seconds",
                                    "Actual interval to sync the scrape pool.", &by_job, 1,
                                    quantiles, COUNT_OF(quantiles));
    m->sync_histogram =
        metric_histogram(registry, "prometheus_target_sync_length_histogram_seconds",
                         "Actual interval to sync the scrape pool as a histogram.", &by_job, 1,
                         seconds_bounds, COUNT_OF(seconds_bounds));
    pool_metrics_interval(m, registry, interval_ms);
}

void pool_metrics_interval(struct pool_metrics *m, struct metric_registry *registry,
                           int64_t interval_ms) {
    struct buf interval;
    buf_init(&interval, 64);
    duration_format_go_ns(&interval, interval_ms * INT64_C(1000000));
    const struct label by_interval = {STR("interval"), buf_str(&interval)};
    m->interval_length = metric_summary(registry, "prometheus_target_interval_length_seconds",
                                        "Actual intervals between scrapes.", &by_interval, 1,
                                        quantiles, COUNT_OF(quantiles));
    m->interval_histogram =
        metric_histogram(registry, "prometheus_target_interval_length_histogram_seconds",
                         "Actual intervals between scrapes as a histogram.", &by_interval, 1,
                         seconds_bounds, COUNT_OF(seconds_bounds));
    m->reload_length =
        metric_summary(registry, "prometheus_target_reload_length_seconds",
                       "Actual interval to reload the scrape pool with a given configuration.",
                       &by_interval, 1, quantiles, COUNT_OF(quantiles));
    buf_release(&interval);
}

struct metric *pool_metrics_failures(struct pool_metrics *m, struct metric_registry *registry,
                                     struct str job, enum scrape_failure failure) {
    if (m->failures[failure] == NULL) {
        const struct label labels[] = {{STR("reason"), scrape_failure_name(failure)},
                                       {STR("scrape_job"), job}};
        m->failures[failure] =
            metric_counter(registry, "brasa_target_scrape_failures_total",
                           "Scrapes that failed, by the reason that targets show.", labels, 2);
    }
    return m->failures[failure];
}

void pool_metrics_release(struct pool_metrics *m, struct metric_registry *registry) {
    metric_remove(registry, m->sync_total);
    metric_remove(registry, m->sync_failed_total);
    metric_remove(registry, m->targets);
    metric_remove(registry, m->target_limit);
    metric_remove(registry, m->metadata_entries);
    metric_remove(registry, m->metadata_bytes);
    metric_remove_summary(registry, m->sync_length);
    metric_remove_histogram(registry, m->sync_histogram);
    for (size_t i = 0; i < FAILURE_COUNT; i++) {
        if (m->failures[i] != NULL) {
            metric_remove(registry, m->failures[i]);
        }
    }
}
