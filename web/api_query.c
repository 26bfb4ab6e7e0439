/* /query, /query_range, /format_query, /parse_query (spec/http-api.md section 2). */
#include "base/duration.h"
#include "web/api.h"
#include "web/handlers.h"
#include "web/query_writer.h"

enum { MAX_STEPS = 11000 };

static void add_warning(struct api *api, struct str text) {
    struct str *grown = arena_alloc(&api->in->arena, (api->warning_count + 1) * sizeof(*grown));
    if (api->warning_count > 0) {
        memcpy(grown, api->warnings, api->warning_count * sizeof(*grown));
    }
    grown[api->warning_count++] = text;
    api->warnings = grown;
}

static void write_result(struct api *api, const struct query_result *result, uint64_t limit) {
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
    query_writer_start(api, result, count, stats.len != 0);
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

static struct query_origin origin_of(const struct http_incoming *in) {
    return (struct query_origin){
        .client = in->client, .method = http_method_name(in->method), .path = in->path};
}

static void run(struct api *api, struct query *query, uint64_t limit) {
    const struct query_origin origin = origin_of(api->in);
    query->text = http_param(api->in, "query");
    query->cancel = &api->in->cancel;
    query->origin = &origin;
    query->per_step_stats = str_eq(http_param(api->in, "stats"), STR("all"));
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
