#include "base/transport.h"

void transport_free(struct transport *t) {
    if (t != NULL) {
        t->ops->free(t);
    }
}

enum err_code transport_client_new(struct transport *t, const struct http_config *config,
                                   struct generation *g, struct transport_client **out,
                                   struct err *err) {
    return t->ops->client_new(t, config, g, out, err);
}

void transport_client_free(struct transport *t, struct transport_client *client) {
    if (client != NULL) {
        t->ops->client_free(t, client);
    }
}

enum err_code transport_start(struct transport *t, struct transport_client *client,
                              const struct http_request *request, http_done_fn *done, void *ctx,
                              struct transport_request **out, struct err *err) {
    return t->ops->start(t, client, request, done, ctx, out, err);
}

void transport_cancel(struct transport *t, struct transport_request *request) {
    if (request != NULL) {
        t->ops->cancel(t, request);
    }
}

void transport_poll(struct transport *t, int64_t timeout_ns) {
    t->ops->poll(t, timeout_ns);
}

void transport_wake(struct transport *t) {
    t->ops->wake(t);
}
