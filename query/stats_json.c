/* Statistics of a query in the order and with the names of Prometheus' API (spec/http-api.md
 * section 2). */
#include "query/query.h"

static void timing(struct json_out *j, const char *key, int64_t ns) {
    json_key(j, key);
    json_f64(j, (double)ns / 1e9);
}

static void count(struct json_out *j, const char *key, uint64_t n) {
    json_key(j, key);
    json_u64(j, n);
}

static void by_step(struct json_out *j, const char *key, const struct query_stats *stats,
                    const uint64_t *counts) {
    if (counts == NULL || stats->step_count == 0) {
        return;
    }
    json_key(j, key);
    json_array_begin(j);
    for (size_t i = 0; i < stats->step_count; i++) {
        const uint64_t ts = (uint64_t)stats->step_start_ms + i * (uint64_t)stats->step_ms;
        json_array_begin(j);
        json_f64(j, (double)(int64_t)ts / 1000);
        json_u64(j, counts[i]);
        json_array_end(j);
    }
    json_array_end(j);
}

void query_stats_json(struct json_out *j, const struct query_stats *stats) {
    json_object_begin(j);
    json_key(j, "timings");
    json_object_begin(j);
    timing(j, "evalTotalTime", stats->eval_ns);
    timing(j, "resultSortTime", stats->sort_ns);
    timing(j, "queryPreparationTime", stats->prepare_ns);
    timing(j, "innerEvalTime", stats->inner_eval_ns);
    timing(j, "execQueueTime", stats->queue_ns);
    timing(j, "execTotalTime", stats->total_ns);
    json_object_end(j);
    json_key(j, "samples");
    json_object_begin(j);
    by_step(j, "totalQueryableSamplesPerStep", stats, stats->step_samples);
    count(j, "totalQueryableSamples", stats->samples_read);
    by_step(j, "samplesReadPerStep", stats, stats->step_fetched);
    count(j, "samplesRead", stats->samples_fetched);
    count(j, "peakSamples", stats->peak_samples);
    json_object_end(j);
    json_object_end(j);
}
