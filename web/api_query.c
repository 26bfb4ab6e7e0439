/* /query, /query_range, /format_query, /parse_query (spec/http-api.md section 2). */
#include <math.h>

#include "base/duration.h"
#include "base/histogram.h"
#include "base/number.h"
#include "web/api.h"
#include "web/handlers.h"

enum { MAX_STEPS = 11000 };

static void write_point(struct json_out *j, int64_t ts_ms, double value) {
    json_array_begin(j);
    json_timestamp_ms(j, ts_ms);
    json_sample_value(j, value);
    json_array_end(j);
}

static void write_bucket(struct json_out *j, const struct histogram_bucket *b) {
    enum { OPEN_LOWER = 0, OPEN_UPPER = 1, OPEN = 2, CLOSED = 3 };
    json_array_begin(j);
    if (b->lower_inclusive) {
        json_i64(j, b->upper_inclusive ? CLOSED : OPEN_UPPER);
    } else {
        json_i64(j, b->upper_inclusive ? OPEN_LOWER : OPEN);
    }
    json_sample_value(j, b->lower);
    json_sample_value(j, b->upper);
    json_sample_value(j, b->count);
    json_array_end(j);
}

/* Populated buckets by ascending bounds. */
static void write_histogram(struct json_out *j, int64_t ts_ms, const struct histogram *h) {
    json_array_begin(j);
    json_timestamp_ms(j, ts_ms);
    json_object_begin(j);
    json_key(j, "count");
    json_sample_value(j, h->count);
    json_key(j, "sum");
    json_sample_value(j, h->sum);
    struct histogram_walk walk = histogram_walk_up(h);
    struct histogram_bucket b;
    bool any = false;
    while (histogram_walk_next(&walk, &b)) {
        if (b.count == 0) {
            continue;
        }
        if (!any) {
            json_key(j, "buckets");
            json_array_begin(j);
            any = true;
        }
        write_bucket(j, &b);
    }
    if (any) {
        json_array_end(j);
    }
    json_object_end(j);
    json_array_end(j);
}

static const struct histogram *histogram_at(const struct result_series *s, size_t i) {
    return s->histograms != NULL ? s->histograms[i] : NULL;
}

static void write_vector(struct json_out *j, const struct query_result *result, size_t count) {
    json_array_begin(j);
    for (size_t i = 0; i < count; i++) {
        const struct result_series *s = &result->series[i];
        json_object_begin(j);
        json_key(j, "metric");
        json_labels(j, s->labels);
        if (histogram_at(s, 0) != NULL) {
            json_key(j, "histogram");
            write_histogram(j, s->ts[0], histogram_at(s, 0));
        } else {
            json_key(j, "value");
            write_point(j, s->ts[0], s->values[0]);
        }
        json_object_end(j);
    }
    json_array_end(j);
}

/* The floats or the histograms of a series under key; nothing when there are none of them. */
static void write_points(struct json_out *j, const struct result_series *s, const char *key,
                         bool histograms) {
    bool any = false;
    for (size_t k = 0; k < s->count; k++) {
        const struct histogram *h = histogram_at(s, k);
        if ((h != NULL) != histograms) {
            continue;
        }
        if (!any) {
            json_key(j, key);
            json_array_begin(j);
            any = true;
        }
        if (h != NULL) {
            write_histogram(j, s->ts[k], h);
        } else {
            write_point(j, s->ts[k], s->values[k]);
        }
    }
    if (any) {
        json_array_end(j);
    }
}

static void write_matrix(struct json_out *j, const struct query_result *result, size_t count) {
    json_array_begin(j);
    for (size_t i = 0; i < count; i++) {
        const struct result_series *s = &result->series[i];
        json_object_begin(j);
        json_key(j, "metric");
        json_labels(j, s->labels);
        write_points(j, s, "values", false);
        if (s->histograms != NULL) {
            write_points(j, s, "histograms", true);
        }
        json_object_end(j);
    }
    json_array_end(j);
}

/* Scalars print with 'f' always and with the time as a plain number. */
static void write_scalar(struct json_out *j, const struct query_result *result) {
    json_array_begin(j);
    json_f64(j, (double)result->ts_ms / 1000.0);
    char text[NUMBER_TEXT_MAX];
    json_str(j, (struct str){text, number_format_f(result->scalar, text)});
    json_array_end(j);
}

static void write_string(struct json_out *j, const struct query_result *result) {
    json_array_begin(j);
    json_f64(j, (double)result->ts_ms / 1000.0);
    json_str(j, result->string);
    json_array_end(j);
}

static void write_timing(struct json_out *j, const char *key, int64_t ns) {
    json_key(j, key);
    json_f64(j, (double)ns / 1e9);
}

static void write_stats(struct json_out *j, const struct query_stats *stats) {
    json_key(j, "stats");
    json_object_begin(j);
    json_key(j, "timings");
    json_object_begin(j);
    write_timing(j, "evalTotalTime", stats->eval_ns);
    write_timing(j, "resultSortTime", stats->sort_ns);
    write_timing(j, "queryPreparationTime", stats->prepare_ns);
    write_timing(j, "innerEvalTime", stats->inner_eval_ns);
    write_timing(j, "execQueueTime", stats->queue_ns);
    write_timing(j, "execTotalTime", stats->total_ns);
    json_object_end(j);
    json_key(j, "samples");
    json_object_begin(j);
    json_key(j, "totalQueryableSamples");
    json_u64(j, stats->samples_read);
    json_key(j, "samplesRead");
    json_u64(j, stats->samples_read);
    json_key(j, "peakSamples");
    json_u64(j, stats->peak_samples);
    json_object_end(j);
    json_object_end(j);
}

static void add_warning(struct api *api, struct str text) {
    struct str *grown = arena_alloc(&api->in->arena, (api->warning_count + 1) * sizeof(*grown));
    if (api->warning_count > 0) {
        memcpy(grown, api->warnings, api->warning_count * sizeof(*grown));
    }
    grown[api->warning_count++] = text;
    api->warnings = grown;
}

static void write_result(struct api *api, const struct query_result *result, uint64_t limit) {
    static const char *const types[] = {[RESULT_VECTOR] = "vector",
                                        [RESULT_MATRIX] = "matrix",
                                        [RESULT_SCALAR] = "scalar",
                                        [RESULT_STRING] = "string"};
    size_t count = result->series_count;
    api->warnings = result->warnings;
    api->warning_count = result->warning_count;
    api->infos = result->infos;
    api->info_count = result->info_count;
    if (limit != 0 && count > limit) {
        count = limit;
        add_warning(api, STR("results truncated due to limit"));
    }
    const struct str stats = http_param(api->in, "stats");
    if (stats.len != 0 && !str_eq(stats, STR("true")) && !str_eq(stats, STR("all"))) {
        add_warning(api, arena_printf(&api->in->arena,
                                      "value \"%.*s\" for parameter \"stats\" is deprecated and "
                                      "will be rejected in the next "
                                      "major release, use \"true\" or \"all\"",
                                      STR_ARG(stats)));
    }

    api_begin(api);
    struct json_out *j = &api->json;
    json_object_begin(j);
    json_key(j, "resultType");
    json_str(j, str_of(types[result->type]));
    json_key(j, "result");
    switch (result->type) {
    case RESULT_VECTOR:
        write_vector(j, result, count);
        break;
    case RESULT_MATRIX:
        write_matrix(j, result, count);
        break;
    case RESULT_SCALAR:
        write_scalar(j, result);
        break;
    case RESULT_STRING:
        write_string(j, result);
        break;
    }
    if (stats.len != 0) {
        write_stats(j, &result->stats);
    }
    json_object_end(j);
    api_end(api);
}

/* timeout and lookback_delta; on false the error is written */
static bool read_limits(struct api *api, struct query *query) {
    struct err err;
    const struct str timeout = http_param(api->in, "timeout");
    if (timeout.len != 0 && duration_parse_api_ms(timeout, &query->timeout_ms, &err) != ERR_OK) {
        api_bad_param(api, "timeout", err.text);
        return false;
    }
    const struct str lookback = http_param(api->in, "lookback_delta");
    if (lookback.len != 0 && duration_parse_api_ms(lookback, &query->lookback_ms, &err) != ERR_OK) {
        api_fail(api, API_BAD_DATA, "error parsing lookback delta duration: %s", err.text);
        return false;
    }
    return true;
}

static void run(struct api *api, struct query *query, uint64_t limit) {
    query->text = http_param(api->in, "query");
    query->cancel = &api->in->cancel;
    struct query_result result;
    struct err err;
    const struct web_options *o = &api->web->options;
    const enum err_code code =
        query_run(o->engine, o->storage, query, &api->in->arena, &result, &err);
    if (code != ERR_OK) {
        api_fail_err(api, code, &err);
        return;
    }
    write_result(api, &result, limit);
}

void api_query(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    struct query query = {.step_ms = 0};
    uint64_t limit = 0;
    if (!api_limit(&api, "limit", &limit) ||
        !api_time(&api, "time", false, clock_unix_ms(web->options.clock), &query.start_ms) ||
        !read_limits(&api, &query)) {
        return;
    }
    query.end_ms = query.start_ms;
    run(&api, &query, limit);
}

void api_query_range(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    struct query query = {.step_ms = 0};
    uint64_t limit = 0;
    if (!api_limit(&api, "limit", &limit) || !api_time(&api, "start", true, 0, &query.start_ms) ||
        !api_time(&api, "end", true, 0, &query.end_ms)) {
        return;
    }
    if (query.end_ms < query.start_ms) {
        api_bad_param(&api, "end", "end timestamp must not be before start time");
        return;
    }
    struct err err;
    if (duration_parse_api_ms(http_param(in, "step"), &query.step_ms, &err) != ERR_OK) {
        api_bad_param(&api, "step", err.text);
        return;
    }
    if (query.step_ms <= 0) {
        api_bad_param(&api, "step",
                      "zero or negative query resolution step widths are not accepted. Try a "
                      "positive integer");
        return;
    }
    /* unsigned: start and end may be the two ends of the time axis */
    if (((uint64_t)query.end_ms - (uint64_t)query.start_ms) / (uint64_t)query.step_ms > MAX_STEPS) {
        api_fail(&api, API_BAD_DATA,
                 "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the "
                 "query resolution (?step=XX)");
        return;
    }
    if (!read_limits(&api, &query)) {
        return;
    }
    run(&api, &query, limit);
}

static bool parse_param(struct api *api, struct query_expr **out) {
    struct err err;
    if (query_parse(api->web->options.engine, &api->in->arena, http_param(api->in, "query"), out,
                    &err) != ERR_OK) {
        api_bad_param(api, "query", err.text);
        return false;
    }
    return true;
}

void api_format_query(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    struct query_expr *expr = NULL;
    if (parse_param(&api, &expr)) {
        api_begin(&api);
        json_str(&api.json, query_format(&in->arena, expr));
        api_end(&api);
    }
}

void api_parse_query(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    struct query_expr *expr = NULL;
    if (parse_param(&api, &expr)) {
        api_begin(&api);
        query_tree_json(&api.json, expr);
        api_end(&api);
    }
}
