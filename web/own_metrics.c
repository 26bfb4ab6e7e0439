/* /metrics: the server's own metrics, readable at any time. */
#include "web/handlers.h"

void own_metrics(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    (void)in;
    out->status = 200;
    out->content_type = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    out->compress = true;
    metric_render(web->options.registry, &out->body);
}
