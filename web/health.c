/* /-/healthy, /-/ready, /-/reload, /-/quit, /version (spec/http-api.md section 6). */
#include "base/json_out.h"
#include "web/handlers.h"

void health_healthy(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    (void)web;
    (void)in;
    http_text(out, 200, "Prometheus Server is Healthy.\n");
}

void health_ready(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    (void)in;
    const int phase = atomic_load(&web->phase);
    if (phase == WEB_READY) {
        http_text(out, 200, "Prometheus Server is Ready.\n");
        return;
    }
    http_text(out, 503, "Service Unavailable");
    out->stopping_header = true;
    out->stopping = phase == WEB_STOPPING;
}

void health_reload(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    (void)in;
    if (!web->options.enable_lifecycle) {
        http_text(out, 403, "Lifecycle API is not enabled.");
        return;
    }
    struct err err;
    if (web->options.reload(web->options.ctx, &err) == ERR_OK) {
        http_text(out, 200, "");
        return;
    }
    http_text(out, 500, "failed to reload config: ");
    buf_append_cstr(&out->body, err.text);
    buf_append_char(&out->body, '\n');
}

void health_quit(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    (void)in;
    if (!web->options.enable_lifecycle) {
        http_text(out, 403, "Lifecycle API is not enabled.");
        return;
    }
    if (atomic_load(&web->phase) == WEB_STOPPING) {
        http_text(out, 200, "Termination already in progress.");
        return;
    }
    http_text(out, 200, "Requesting termination... Goodbye!");
    web->options.quit(web->options.ctx);
}

void health_version(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    (void)web;
    (void)in;
    out->status = 200;
    out->content_type = "application/json";
    struct json_out j;
    json_out_init(&j, &out->body);
    json_object_begin(&j);
    json_key(&j, "version");
    json_str(&j, STR("3.14.0"));
    json_key(&j, "revision");
    json_str(&j, STR("brasa-" BRASA_VERSION));
    json_object_end(&j);
}
