/* /metrics: the server's own metrics, readable at any time. */
#include "web/handlers.h"

/* Of these pages; the series of a code that never came are there, too. */
static struct metric *request_count(struct metric_registry *registry, const char *code) {
    const struct label label = {STR("code"), str_of(code)};
    return metric_counter(registry, "promhttp_metric_handler_requests_total",
                          "Total number of scrapes by HTTP status code.", &label, 1);
}

void own_metrics(struct web *web, struct http_incoming *in, struct http_outgoing *out) {
    struct metric_registry *const registry = web->options.registry;
    struct metric *const in_flight =
        metric_gauge(registry, "promhttp_metric_handler_requests_in_flight",
                     "Current number of scrapes being served.", NULL, 0);
    struct metric *const served = request_count(registry, "200");
    (void)in;
    (void)request_count(registry, "500");
    (void)request_count(registry, "503");
    metric_add(in_flight, 1);
    out->status = 200;
    out->content_type = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    out->compress = true;
    metric_render(registry, &out->body);
    metric_add(in_flight, -1);
    metric_inc(served);
}
