/* prometheus_target_* (spec/metrics.md section 3), made once per manager. Series with labels are
 * made where their label is known. Any thread may count. */
#ifndef SCRAPE_SCRAPE_METRICS_H
#define SCRAPE_SCRAPE_METRICS_H

#include "base/metric.h"
#include "base/str.h"
#include "scrape/scrape.h"

struct scrape_metrics {
    struct metric_registry *registry;
    struct metric *pools_total, *pools_failed_total;
    struct metric *pool_reloads_total, *pool_reloads_failed_total;
    struct metric *pool_exceeded_target_limit_total, *pool_exceeded_label_limits_total;
    struct metric *exceeded_body_size_limit_total, *exceeded_sample_limit_total;
    struct metric *duplicate_timestamp_total, *out_of_order_total, *out_of_bounds_total;
    struct metric *exceeded_bucket_limit_total, *exemplar_out_of_order_total;
    struct metric *cache_flush_forced_total;
    struct metric_histogram *scrape_duration;
};

/* One pool's. */
struct pool_metrics {
    struct metric *sync_total, *sync_failed_total, *targets, *target_limit;
    struct metric *metadata_entries, *metadata_bytes;
    struct metric *failures[FAILURE_COUNT]; /* NULL: none of the kind yet */
    struct metric_summary *sync_length;
    struct metric_histogram *sync_histogram;
    /* of the configured interval; jobs with the same one share them */
    struct metric_summary *interval_length, *reload_length;
    struct metric_histogram *interval_histogram;
};

void scrape_metrics_init(struct scrape_metrics *m, struct metric_registry *registry);
void pool_metrics_init(struct pool_metrics *m, struct metric_registry *registry, struct str job,
                       int64_t interval_ms);
/* After a reload: the job's interval may be another one. */
void pool_metrics_interval(struct pool_metrics *m, struct metric_registry *registry,
                           int64_t interval_ms);
/* brasa_target_scrape_failures_total of the job and reason: at most FAILURE_COUNT series a job. */
struct metric *pool_metrics_failures(struct pool_metrics *m, struct metric_registry *registry,
                                     struct str job, enum scrape_failure failure);
/* Takes away what carries the job's name: the pool ended. */
void pool_metrics_release(struct pool_metrics *m, struct metric_registry *registry);

#endif
