/* The compactor's own metrics, by Prometheus' names. */
#include "base/check.h"
#include "tsdb/compactor_impl.h"

/* A histogram with bounds that grow by a factor. */
static struct metric_histogram *growing(struct metric_registry *r, const char *name,
                                        const char *help, double first, double factor,
                                        size_t count) {
    enum { BOUNDS_MAX = 16 };
    double bounds[BOUNDS_MAX];
    ASSERT(count <= BOUNDS_MAX);
    for (size_t i = 0; i < count; i++) {
        bounds[i] = first;
        first *= factor;
    }
    return metric_histogram(r, name, help, NULL, 0, bounds, count);
}

void compactor_metrics_init(struct compactor *c) {
    struct metric_registry *r = c->db->options.registry;
    struct compactor_metrics *m = &c->metrics;
    const struct {
        struct metric **to;
        const char *name;
        const char *help;
        bool is_counter;
    } all[] = {
        {&m->compactions, "prometheus_tsdb_compactions_total",
         "Total number of compactions that were executed for the partition.", true},
        {&m->failed, "prometheus_tsdb_compactions_failed_total",
         "Total number of compactions that failed for the partition.", true},
        {&m->triggered, "prometheus_tsdb_compactions_triggered_total",
         "Total number of triggered compactions for the partition.", true},
        {&m->skipped, "prometheus_tsdb_compactions_skipped_total",
         "Total number of skipped compactions due to disabled auto compaction.", true},
        {&m->vertical, "prometheus_tsdb_vertical_compactions_total",
         "Total number of compactions done on overlapping blocks.", true},
        {&m->populating, "prometheus_tsdb_compaction_populating_block",
         "Set to 1 when a block is currently being written to the disk.", false},
        {&m->blocks_loaded, "prometheus_tsdb_blocks_loaded",
         "Number of currently loaded data blocks", false},
        {&m->blocks_bytes, "prometheus_tsdb_storage_blocks_bytes",
         "The number of bytes that are currently used for local storage by all blocks.", false},
        {&m->size_retentions, "prometheus_tsdb_size_retentions_total",
         "The number of times that blocks were deleted because the maximum number of bytes was "
         "exceeded.",
         true},
        {&m->time_retentions, "prometheus_tsdb_time_retentions_total",
         "The number of times that blocks were deleted because the maximum time limit was "
         "exceeded.",
         true},
        {&m->limit_bytes, "prometheus_tsdb_retention_limit_bytes",
         "Max number of bytes to be retained in the tsdb blocks, configured 0 means disabled",
         false},
        {&m->limit_s, "prometheus_tsdb_retention_limit_seconds",
         "How long to retain samples in storage.", false},
        {&m->limit_percent, "prometheus_tsdb_retention_limit_percentage",
         "Max percentage of total storage space to be retained in the tsdb blocks, configured 0 "
         "means disabled",
         false},
        {&m->reloads, "prometheus_tsdb_reloads_total",
         "Number of times the database reloaded block data from disk.", true},
        {&m->reloads_failed, "prometheus_tsdb_reloads_failures_total",
         "Number of times the database failed to reloadBlocks block data from disk.", true},
        {&m->truncations, "prometheus_tsdb_head_truncations_total",
         "Total number of head truncations attempted.", true},
        {&m->truncations_failed, "prometheus_tsdb_head_truncations_failed_total",
         "Total number of head truncations that failed.", true},
        {&m->lowest_ms, "prometheus_tsdb_lowest_timestamp",
         "Lowest timestamp value stored in the database. The unit is decided by the library "
         "consumer.",
         false},
        {&m->lowest_s, "prometheus_tsdb_lowest_timestamp_seconds",
         "Lowest timestamp value stored in the database.", false},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        *all[i].to = all[i].is_counter ? metric_counter(r, all[i].name, all[i].help, NULL, 0)
                                       : metric_gauge(r, all[i].name, all[i].help, NULL, 0);
    }
    static const double seconds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192};
    static const double cleanup[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
    m->cleanup_s = metric_histogram(r, "prometheus_tsdb_tombstone_cleanup_seconds",
                                    "The time taken to recompact blocks to remove tombstones.",
                                    NULL, 0, cleanup, COUNT_OF(cleanup));
    m->duration_s =
        metric_histogram(r, "prometheus_tsdb_compaction_duration_seconds",
                         "Duration of compaction runs", NULL, 0, seconds, COUNT_OF(seconds));
    m->chunk_range_ms = growing(r, "prometheus_tsdb_compaction_chunk_range_seconds",
                                "Final time range of chunks on their first compaction", 100, 4, 10);
    m->chunk_bytes = growing(r, "prometheus_tsdb_compaction_chunk_size_bytes",
                             "Final size of chunks on their first compaction", 32, 1.5, 12);
    m->chunk_samples = growing(r, "prometheus_tsdb_compaction_chunk_samples",
                               "Final number of samples on their first compaction", 4, 1.5, 12);
}
