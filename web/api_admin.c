/* Endpoints that change the database (spec/http-api.md section 5). */
#include "web/api.h"
#include "web/handlers.h"

void api_snapshot(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct api api;
    api_init(&api, web, in, out);
    if (!web->options.enable_admin_api) {
        api_fail(&api, API_UNAVAILABLE, "admin APIs disabled");
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
