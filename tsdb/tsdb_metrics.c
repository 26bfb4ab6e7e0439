/* The database's own metrics, by Prometheus' names (prometheus_tsdb_*). Gauges that cost something to
 * know are set once a maintenance round. */
#include <stddef.h>

#include "tsdb/head.h"
#include "tsdb/page_cache.h"
#include "tsdb/tsdb_ops.h"

static const struct label type_float[] = {{STR_INIT("type"), STR_INIT("float")}};
static const struct label type_histogram[] = {{STR_INIT("type"), STR_INIT("histogram")}};

/* Of samples behind the newest one, by type; and how far behind they are. */
static void init_late(struct tsdb *db) {
    static const double bounds_s[] = {600, 1800, 3600, 7200, 10800, 21600, 43200};
    struct metric_registry *r = db->options.registry;
    struct tsdb_metrics *m = &db->metrics;
    const struct {
        struct metric **floats;
        struct metric **histograms;
        const char *name;
        const char *help;
    } all[] = {
        {&m->out_of_order, &m->out_of_order_histograms,
         "prometheus_tsdb_out_of_order_samples_total",
         "Total number of out of order samples ingestion failed attempts due to out of order being "
         "disabled."},
        {&m->late_floats, &m->late_histograms,
         "prometheus_tsdb_head_out_of_order_samples_appended_total",
         "Total number of appended out of order samples."},
    };
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        *all[i].floats = metric_counter(r, all[i].name, all[i].help, type_float, 1);
        *all[i].histograms = metric_counter(r, all[i].name, all[i].help, type_histogram, 1);
    }
    m->late_delta_s =
        metric_histogram(r, "prometheus_tsdb_sample_ooo_delta",
                         "Delta in seconds by which a sample is considered out of order (reported "
                         "regardless of OOO time window and whether sample is accepted or not).",
                         NULL, 0, bounds_s, COUNT_OF(bounds_s));
}

static void init_summaries(struct tsdb *db) {
    static const double quantiles[] = {0.5, 0.9, 0.99};
    struct metric_registry *r = db->options.registry;
    struct tsdb_metrics *m = &db->metrics;
    m->wal_fsync_s =
        metric_summary(r, "prometheus_tsdb_wal_fsync_duration_seconds",
                       "Duration of write log fsync.", NULL, 0, quantiles, COUNT_OF(quantiles));
    m->wal_truncate_s = metric_summary(r, "prometheus_tsdb_wal_truncate_duration_seconds",
                                       "Duration of WAL truncation.", NULL, 0, NULL, 0);
    m->gc_s = metric_summary(r, "prometheus_tsdb_head_gc_duration_seconds",
                             "Runtime of garbage collection in the head block.", NULL, 0, NULL, 0);
}

/* Counters and gauges with one value each. */
static const struct {
    size_t offset; /* in struct tsdb_metrics */
    const char *name;
    const char *help;
    bool is_counter;
    bool is_float;
} METRICS[] = {
    {offsetof(struct tsdb_metrics, samples_appended), "prometheus_tsdb_head_samples_appended_total",
     "Total number of appended samples.", true, true},
    {offsetof(struct tsdb_metrics, series), "prometheus_tsdb_head_series",
     "Total number of series in the head block.", false, false},
    {offsetof(struct tsdb_metrics, chunks), "prometheus_tsdb_head_chunks",
     "Total number of chunks in the head block.", false, false},
    {offsetof(struct tsdb_metrics, chunk_bytes), "prometheus_tsdb_head_chunks_storage_size_bytes",
     "Size of the open chunks in memory.", false, false},
    {offsetof(struct tsdb_metrics, series_created), "prometheus_tsdb_head_series_created_total",
     "Total number of series created in the head", true, false},
    {offsetof(struct tsdb_metrics, series_removed), "prometheus_tsdb_head_series_removed_total",
     "Total number of series removed in the head", true, false},
    {offsetof(struct tsdb_metrics, collections), "brasa_tsdb_head_collections_total",
     "Number of times that series that ended were removed from the head.", true, false},
    {offsetof(struct tsdb_metrics, collections_failed), "brasa_tsdb_head_collections_failed_total",
     "Number of times that this failed.", true, false},
    {offsetof(struct tsdb_metrics, collection_s), "brasa_tsdb_head_collections_seconds_total",
     "Seconds that this took, in which nothing was written.", true, false},
    {offsetof(struct tsdb_metrics, min_time), "prometheus_tsdb_head_min_time",
     "Minimum time bound of the head block. The unit is decided by the library consumer.", false,
     false},
    {offsetof(struct tsdb_metrics, max_time), "prometheus_tsdb_head_max_time",
     "Maximum timestamp of the head block. The unit is decided by the library consumer.", false,
     false},
    {offsetof(struct tsdb_metrics, min_time_s), "prometheus_tsdb_head_min_time_seconds",
     "Minimum time bound of the head block.", false, false},
    {offsetof(struct tsdb_metrics, max_time_s), "prometheus_tsdb_head_max_time_seconds",
     "Maximum timestamp of the head block.", false, false},
    {offsetof(struct tsdb_metrics, out_of_bounds), "prometheus_tsdb_out_of_bound_samples_total",
     "Total number of out of bound samples ingestion failed attempts with out of order support "
     "disabled.",
     true, true},
    {offsetof(struct tsdb_metrics, too_old), "prometheus_tsdb_too_old_samples_total",
     "Total number of out of order samples ingestion failed attempts with out of support "
     "enabled, but sample outside of time window.",
     true, true},
    {offsetof(struct tsdb_metrics, active_appenders), "prometheus_tsdb_head_active_appenders",
     "Number of currently active appender transactions", false, false},
    {offsetof(struct tsdb_metrics, appenders_created),
     "prometheus_tsdb_head_appenders_created_total", "Total number of appenders created.", true,
     false},
    {offsetof(struct tsdb_metrics, wal_writes_failed), "prometheus_tsdb_wal_writes_failed_total",
     "Total number of write log writes that failed.", true, false},
    {offsetof(struct tsdb_metrics, wal_corruptions), "prometheus_tsdb_wal_corruptions_total",
     "Total number of WAL corruptions.", true, false},
    {offsetof(struct tsdb_metrics, wal_truncations_failed),
     "prometheus_tsdb_wal_truncations_failed_total",
     "Total number of write log truncations that failed.", true, false},
    {offsetof(struct tsdb_metrics, wal_segment), "prometheus_tsdb_wal_segment_current",
     "Write log segment index that TSDB is currently writing to.", false, false},
    {offsetof(struct tsdb_metrics, wal_bytes), "prometheus_tsdb_wal_storage_size_bytes",
     "Size of the write log directory.", false, false},
    {offsetof(struct tsdb_metrics, replay_s), "prometheus_tsdb_data_replay_duration_seconds",
     "Time taken to replay the data on disk.", false, false},
    {offsetof(struct tsdb_metrics, faults), "brasa_tsdb_disk_faults_total",
     "Number of writes and syncs of the head's files that failed.", true, false},
    {offsetof(struct tsdb_metrics, failing), "brasa_tsdb_disk_failing",
     "1 while the disk refuses writes and new rows are in memory only.", false, false},
    {offsetof(struct tsdb_metrics, wal_truncations), "prometheus_tsdb_wal_truncations_total",
     "Total number of write log truncations attempted.", true, false},
    {offsetof(struct tsdb_metrics, chunks_created), "prometheus_tsdb_head_chunks_created_total",
     "Total number of chunks created in the head", true, false},
    {offsetof(struct tsdb_metrics, chunks_removed), "prometheus_tsdb_head_chunks_removed_total",
     "Total number of chunks removed in the head", true, false},
    {offsetof(struct tsdb_metrics, series_not_found), "prometheus_tsdb_head_series_not_found_total",
     "Total number of requests for series that were not found.", true, false},
    {offsetof(struct tsdb_metrics, exemplars_appended),
     "prometheus_tsdb_exemplar_exemplars_appended_total", "Total number of appended exemplars.",
     true, false},
    {offsetof(struct tsdb_metrics, exemplars_out_of_order),
     "prometheus_tsdb_exemplar_out_of_order_exemplars_total",
     "Total number of out of order exemplar ingestion failed attempts.", true, false},
    {offsetof(struct tsdb_metrics, exemplars), "prometheus_tsdb_exemplar_exemplars_in_storage",
     "Number of exemplars currently in circular storage.", false, false},
    {offsetof(struct tsdb_metrics, exemplar_series),
     "prometheus_tsdb_exemplar_series_with_exemplars_in_storage",
     "Number of series with exemplars currently in circular storage.", false, false},
    {offsetof(struct tsdb_metrics, exemplar_oldest_s),
     "prometheus_tsdb_exemplar_last_exemplars_timestamp_seconds",
     "The timestamp of the oldest exemplar stored in circular storage. Useful to check for "
     "what "
     "time range the current exemplar buffer limit allows.",
     false, false},
    {offsetof(struct tsdb_metrics, exemplars_max), "prometheus_tsdb_exemplar_max_exemplars",
     "Total number of exemplars the exemplar storage can store, resizeable.", false, false},
    {offsetof(struct tsdb_metrics, clean_start), "prometheus_tsdb_clean_start",
     "-1: lockfile is disabled. 0: a lockfile from a previous execution was replaced. 1: "
     "lockfile creation was clean",
     false, false},
    {offsetof(struct tsdb_metrics, cache_hits), "brasa_tsdb_page_cache_hits_total",
     "Number of pages of segments and partitions that were in memory when a query wanted them.",
     true, false},
    {offsetof(struct tsdb_metrics, cache_misses), "brasa_tsdb_page_cache_misses_total",
     "Number of pages that had to be read and checked.", true, false},
    {offsetof(struct tsdb_metrics, cache_refused), "brasa_tsdb_page_cache_refused_total",
     "Number of pages that found no room, because running queries used all of it.", true, false},
    {offsetof(struct tsdb_metrics, cache_bytes), "brasa_tsdb_page_cache_bytes",
     "Memory of the pages that are kept.", false, false},
    {offsetof(struct tsdb_metrics, cache_max_bytes), "brasa_tsdb_page_cache_max_bytes",
     "Memory that pages may take.", false, false},
};

void tsdb_metrics_init(struct tsdb *db) {
    struct metric_registry *r = db->options.registry;
    struct tsdb_metrics *m = &db->metrics;
    init_late(db);
    for (size_t i = 0; i < COUNT_OF(METRICS); i++) {
        struct metric **const field = (struct metric **)(void *)((char *)m + METRICS[i].offset);
        const size_t labels = METRICS[i].is_float ? COUNT_OF(type_float) : 0;
        *field = METRICS[i].is_counter
                     ? metric_counter(r, METRICS[i].name, METRICS[i].help, type_float, labels)
                     : metric_gauge(r, METRICS[i].name, METRICS[i].help, type_float, labels);
    }
    const struct label rows = {STR("reason"), STR("rows")};
    const struct label memory = {STR("reason"), STR("memory")};
    m->refused_rows =
        metric_counter(r, "brasa_tsdb_refused_rows_total",
                       "Number of rows that were refused while the disk failed.", &rows, 1);
    m->refused_memory =
        metric_counter(r, "brasa_tsdb_refused_rows_total",
                       "Number of rows that were refused while the disk failed.", &memory, 1);
    const struct label limit = {STR("reason"), STR("limit")};
    m->refused_series = metric_counter(
        r, "brasa_tsdb_refused_series_total",
        "Number of samples of new series that were refused: the limit is reached.", &limit, 1);
    init_summaries(db);
}

static double time_or_zero(int64_t ts_ms, int64_t none) {
    return ts_ms == none ? 0 : (double)ts_ms;
}

static void update_exemplars(struct tsdb *db) {
    struct tsdb_metrics *m = &db->metrics;
    struct exemplar_stats stats;
    exemplars_stats_get(notes_exemplars(db->notes), &stats);
    metric_set(m->exemplars_appended, (double)stats.added);
    metric_set(m->exemplars_out_of_order, (double)stats.out_of_order);
    metric_set(m->exemplars, (double)stats.count);
    metric_set(m->exemplar_series, (double)stats.series);
    metric_set(m->exemplar_oldest_s, (double)stats.oldest_ts_ms / 1000);
    metric_set(m->exemplars_max, (double)stats.max);
}

static void update_page_cache(struct tsdb *db) {
    struct tsdb_metrics *m = &db->metrics;
    struct page_cache_stats stats;
    page_cache_stats_get(db->page_cache, &stats);
    metric_set(m->cache_hits, (double)stats.hits);
    metric_set(m->cache_misses, (double)stats.misses);
    metric_set(m->cache_refused, (double)stats.refused);
    metric_set(m->cache_bytes, (double)stats.bytes);
    metric_set(m->cache_max_bytes, (double)stats.max_bytes);
}

void tsdb_metrics_update(struct tsdb *db) {
    struct tsdb_metrics *m = &db->metrics;
    struct wal_stats wal;
    double wal_bytes = 0;
    double wal_segment = 0;
    double chunks = 0;
    double chunk_bytes = 0;
    double chunks_created = 0;
    for (uint32_t i = 0; i < db->shard_count; i++) {
        struct head_shard *shard = db->shards[i];
        wal_stats_get(shard->wal, &wal);
        wal_bytes += (double)wal.disk_bytes;
        mutex_lock(&shard->mu);
        const double segment = wal_current_segment(shard->wal);
        wal_segment = segment > wal_segment ? segment : wal_segment;
        chunks += (double)shard->slab.live_count;
        chunk_bytes += (double)shard->slab.live_bytes;
        chunks_created += (double)shard->chunks_created;
        mutex_unlock(&shard->mu);
    }
    metric_set(m->wal_bytes, wal_bytes);
    metric_set(m->wal_segment, wal_segment);
    metric_set(m->chunks, chunks);
    metric_set(m->chunks_created, chunks_created);
    metric_set(m->chunks_removed, chunks_created - chunks);
    update_exemplars(db);
    update_page_cache(db);
    metric_set(m->chunk_bytes, chunk_bytes);
    metric_set(m->series, (double)atomic_load(&db->series_count));
    const double min_time = time_or_zero(atomic_load(&db->min_ts_ms), INT64_MAX);
    const double max_time = time_or_zero(atomic_load(&db->max_ts_ms), INT64_MIN);
    metric_set(m->min_time, min_time);
    metric_set(m->max_time, max_time);
    metric_set(m->min_time_s, min_time / 1000);
    metric_set(m->max_time_s, max_time / 1000);
}
