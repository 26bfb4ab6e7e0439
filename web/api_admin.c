/* Endpoints that change the database (spec/http-api.md section 5). */
#include "web/api.h"
#include "web/handlers.h"

static bool allowed(struct api *api) {
    if (!api->web->options.enable_admin_api) {
        api_fail(api, API_UNAVAILABLE, "admin APIs disabled");
    }
    return api->web->options.enable_admin_api;
}

void api_delete_series(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    size_t count = 0;
    struct api_matchers *sets = NULL;
    int64_t start_ms;
    int64_t end_ms;
    if (!allowed(&api)) {
        return;
    }
    (void)http_param_all(in, "match[]", &count);
    if (count == 0) {
        api_fail(&api, API_BAD_DATA, "no match[] parameter provided");
        return;
    }
    if (!api_time(&api, "start", false, API_MIN_TIME_MS, &start_ms) ||
        !api_time(&api, "end", false, API_MAX_TIME_MS, &end_ms) ||
        !api_match_sets(&api, false, true, &sets, &count)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct err err;
        if (storage_delete_series(web->options.storage, sets[i].matchers, sets[i].count, start_ms,
                                  end_ms, &err) != ERR_OK) {
            api_fail(&api, API_INTERNAL, "%s", err.text);
            return;
        }
    }
    http_text(out, 204, "");
}

void api_clean_tombstones(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    struct err err;
    if (!allowed(&api)) {
        return;
    }
    if (storage_clean_tombstones(web->options.storage, &err) != ERR_OK) {
        api_fail(&api, API_INTERNAL, "%s", err.text);
        return;
    }
    http_text(out, 204, "");
}

void api_snapshot(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    if (!allowed(&api)) {
        return;
    }
    bool skip_head = false;
    if (!api_bool(&api, "skip_head", &skip_head)) {
        return;
    }
    char name[WEB_SNAPSHOT_NAME_MAX];
    struct err err;
    if (web->options.snapshot(web->options.ctx, skip_head, name, &err) != ERR_OK) {
        api_fail(&api, API_INTERNAL, "%s", err.text);
        return;
    }
    api_begin(&api);
    json_object_begin(&api.json);
    json_key(&api.json, "name");
    json_str(&api.json, str_of(name));
    json_object_end(&api.json);
    api_end(&api);
}
