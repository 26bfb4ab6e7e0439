/* /status/... (spec/http-api.md section 4). */
#include <limits.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/number.h"
#include "web/api.h"
#include "web/handlers.h"

enum { TSDB_LIMIT_MAX = 10000 };

static void pair(struct json_out *j, const char *key, struct str value) {
    json_key(j, key);
    json_str(j, value);
}

void api_status_buildinfo(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    api_begin(&api);
    json_object_begin(&api.json);
    /* Clients choose features by this number: it is the Prometheus version we answer like.
     * There must be no "features" member: Grafana takes its owner for Mimir. */
    pair(&api.json, "version", STR("3.14.0"));
    pair(&api.json, "revision", STR("brasa-" BRASA_VERSION));
    pair(&api.json, "branch", STR("HEAD"));
    pair(&api.json, "buildUser", STR(""));
    pair(&api.json, "buildDate", STR(""));
    pair(&api.json, "goVersion", STR("none (C17, gcc " __VERSION__ ")"));
    json_object_end(&api.json);
    api_end(&api);
}

void api_status_config(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    struct web_status status = {.config_yaml = STR("")};
    web->options.status(web->options.ctx, &in->arena, &status);
    api_begin(&api);
    json_object_begin(&api.json);
    pair(&api.json, "yaml", status.config_yaml);
    json_object_end(&api.json);
    api_end(&api);
}

void api_status_flags(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    api_begin(&api);
    json_object_begin(&api.json);
    for (size_t i = 0; i < web->options.flag_count; i++) {
        json_key_str(&api.json, web->options.flags[i].name);
        json_str(&api.json, web->options.flags[i].value);
    }
    json_object_end(&api.json);
    api_end(&api);
}

static void time_pair(struct json_out *j, const char *key, int64_t unix_ns) {
    struct buf text;
    buf_init(&text, 64);
    time_format_rfc3339_ns(&text, unix_ns);
    pair(j, key, buf_str(&text));
    buf_release(&text);
}

void api_status_runtimeinfo(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    struct web_status status = {.reload_ok = false};
    web->options.status(web->options.ctx, &in->arena, &status);
    char folder[PATH_MAX] = "";
    if (getcwd(folder, sizeof(folder)) == NULL) {
        folder[0] = '\0';
    }
    char host[256] = "";
    (void)gethostname(host, sizeof(host) - 1);
    struct storage_stats stats = {0};
    if (web->options.storage->ops->stats != NULL) {
        storage_stats(web->options.storage, &stats);
    }
    api_begin(&api);
    struct json_out *j = &api.json;
    json_object_begin(j);
    time_pair(j, "startTime", status.start_unix_ns);
    pair(j, "CWD", str_of(folder));
    pair(j, "hostname", str_of(host));
    time_pair(j, "serverTime", clock_unix_ns(web->options.clock));
    json_key(j, "reloadConfigSuccess");
    json_bool(j, status.reload_ok);
    time_pair(j, "lastConfigTime", status.last_config_unix_ns);
    json_key(j, "corruptionCount");
    json_u64(j, stats.damage_count);
    json_key(j, "storageReadOnly");
    json_bool(j, status.storage_read_only);
    json_key(j, "storageFailing");
    json_bool(j, stats.is_failing);
    json_key(j, "storageFaultCount");
    json_u64(j, stats.fault_count);
    pair(j, "storageLastFault", str_of(stats.last_fault));
    if (stats.fault_count != 0) {
        time_pair(j, "storageLastFaultTime", stats.last_fault_unix_ms * NS_PER_MS);
    }
    json_key(j, "goroutineCount");
    json_u64(j, 0);
    json_key(j, "GOMAXPROCS");
    json_i64(j, sysconf(_SC_NPROCESSORS_ONLN));
    json_key(j, "GOMEMLIMIT");
    json_i64(j, INT64_MAX);
    pair(j, "GOGC", STR(""));
    pair(j, "GODEBUG", STR(""));
    pair(j, "storageRetention", status.storage_retention);
    json_object_end(j);
    api_end(&api);
}

static void top(struct json_out *j, const char *key, const struct storage_top *top) {
    struct buf name;
    buf_init(&name, SIZE_MAX); /* the labels are in memory already */
    json_key(j, key);
    json_array_begin(j);
    for (size_t i = 0; i < top->count; i++) {
        const struct storage_count *item = &top->items[i];
        buf_clear(&name);
        buf_append(&name, item->name.ptr, item->name.len);
        if (item->value.len != 0) {
            buf_append(&name, "=", 1);
            buf_append(&name, item->value.ptr, item->value.len);
        }
        json_object_begin(j);
        pair(j, "name", buf_str(&name));
        json_key(j, "value");
        json_u64(j, item->count);
        json_object_end(j);
    }
    json_array_end(j);
    buf_release(&name);
}

void api_status_tsdb(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    const struct str limit = http_param(in, "limit");
    int64_t entries = 10;
    if (limit.len != 0 && (number_parse_i64(limit, &entries) != NUMBER_OK || entries < 1)) {
        api_fail(&api, API_BAD_DATA, "limit must be a positive number");
        return;
    }
    if (entries > TSDB_LIMIT_MAX) {
        api_fail(&api, API_BAD_DATA, "limit must not exceed %d", TSDB_LIMIT_MAX);
        return;
    }
    struct storage_stats stats;
    struct storage_cardinality counts = {0};
    struct storage_querier *q = NULL;
    struct err err;
    struct storage *st = web->options.storage;
    storage_stats(st, &stats);
    enum err_code code = storage_querier_open(st, API_MIN_TIME_MS, API_MAX_TIME_MS, &in->arena,
                                              &in->cancel, &q, &err);
    code = code == ERR_OK ? storage_cardinality(st, q, (size_t)entries, &counts, &err) : code;
    if (code != ERR_OK) {
        api_fail_err(&api, code, &err);
        return;
    }
    api_begin(&api);
    struct json_out *j = &api.json;
    json_object_begin(j);
    json_key(j, "headStats");
    json_object_begin(j);
    json_key(j, "numSeries");
    json_u64(j, stats.series_count);
    json_key(j, "numLabelPairs");
    json_u64(j, counts.pair_count);
    json_key(j, "chunkCount");
    json_u64(j, stats.chunk_count);
    json_key(j, "minTime");
    json_i64(j, stats.min_time_ms);
    json_key(j, "maxTime");
    json_i64(j, stats.max_time_ms);
    json_object_end(j);
    top(j, "seriesCountByMetricName", &counts.series_by_metric);
    top(j, "labelValueCountByLabelName", &counts.values_by_name);
    top(j, "memoryInBytesByLabelName", &counts.bytes_by_name);
    top(j, "seriesCountByLabelValuePair", &counts.series_by_pair);
    json_object_end(j);
    api_end(&api);
}
