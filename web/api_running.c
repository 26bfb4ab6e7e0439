/* The queries that run, and killing one: behind --web.enable-admin-api, because texts of queries may
 * hold what not everybody should see. */
#include "base/budget.h"
#include "base/number.h"
#include "web/api.h"
#include "web/handlers.h"

static bool allowed(struct api *api) {
    if (!api->web->options.enable_admin_api) {
        api_fail(api, API_UNAVAILABLE, "admin APIs disabled");
    }
    return api->web->options.enable_admin_api;
}

static void write_seconds(struct json_out *j, const char *key, int64_t ms) {
    json_key(j, key);
    json_timestamp_ms(j, ms);
}

static void write_query(struct json_out *j, const struct query_running *q) {
    json_object_begin(j);
    json_key(j, "id");
    json_u64(j, q->id);
    json_key(j, "query");
    json_str(j, q->text);
    json_key(j, "state");
    json_str(j, q->killed ? STR("killed") : q->evaluating ? STR("running") : STR("waiting"));
    write_seconds(j, "since", q->since_unix_ms);
    json_key(j, "ageSeconds");
    json_f64(j, (double)q->age_ns / 1e9);
    json_key(j, "samplesRead");
    json_u64(j, q->samples);
    json_key(j, "memoryBytes");
    json_u64(j, q->bytes);
    write_seconds(j, "start", q->start_ms);
    write_seconds(j, "end", q->step_ms == 0 ? q->start_ms : q->end_ms);
    write_seconds(j, "step", q->step_ms);
    json_key(j, q->rule_group.len != 0 ? "ruleGroup" : "client");
    json_str(j, q->rule_group.len != 0 ? q->rule_group : q->client);
    json_object_end(j);
}

void api_queries(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    if (!allowed(&api)) {
        return;
    }
    struct query_running *list = NULL;
    size_t count = 0;
    query_list_running(web->options.engine, &in->arena, &list, &count);
    const struct budget *memory = query_engine_memory(web->options.engine);
    api_begin(&api);
    struct json_out *j = &api.json;
    json_object_begin(j);
    json_key(j, "queries");
    json_array_begin(j);
    for (size_t i = 0; i < count; i++) {
        write_query(j, &list[i]);
    }
    json_array_end(j);
    json_key(j, "memory");
    json_object_begin(j);
    json_key(j, "usedBytes");
    json_u64(j, budget_used(memory));
    json_key(j, "limitBytes");
    json_u64(j, memory->max_bytes);
    json_object_end(j);
    json_object_end(j);
    api_end(&api);
}

void api_query_kill(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    uint64_t id = 0;
    api_init(&api, web, in, out);
    if (!allowed(&api)) {
        return;
    }
    const struct str text = http_param(in, "id");
    if (text.len == 0) {
        api_fail(&api, API_BAD_DATA, "no id parameter provided");
    } else if (number_parse_u64(text, &id) != NUMBER_OK) {
        api_bad_param(&api, "id", "not a number");
    } else if (!query_kill(web->options.engine, id)) {
        api_fail(&api, API_NOT_FOUND, "no query with id %llu is running", (unsigned long long)id);
    } else {
        out->status = 204;
    }
}
