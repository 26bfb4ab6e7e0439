/* /query, /query_range, /format_query, /parse_query (spec/http-api.md section 2). */
#include "web/api.h"
#include "web/handlers.h"
#include "web/query_params.h"
#include "web/query_writer.h"

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

static void run(struct api *api, struct query *query, uint64_t limit) {
    const struct query_origin origin = query_params_origin(api->in);
    query->origin = &origin;
    query->tentative = api->in->tentative;
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
    if (api_limit(&api, "limit", &limit) && query_params_instant(&api, &query)) {
        run(&api, &query, limit);
    }
}

void api_query_range(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    struct query query = {.step_ms = 0};
    uint64_t limit = 0;
    if (api_limit(&api, "limit", &limit) && query_params_range(&api, &query)) {
        run(&api, &query, limit);
    }
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
