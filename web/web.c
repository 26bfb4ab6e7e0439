/* Life cycle of the web module: options to state, server up, phases, down. */
#include "web/web.h"

#include "base/mem.h"
#include "web/remote_write.h"
#include "web/server.h"

static struct str normal_prefix(struct str prefix) {
    while (prefix.len > 0 && prefix.ptr[prefix.len - 1] == '/') {
        prefix.len--;
    }
    return prefix;
}

enum err_code web_start(const struct web_options *options, struct web **out, struct err *err) {
    struct web *web = mem_zalloc(sizeof(*web));
    web->options = *options;
    web->prefix = normal_prefix(options->route_prefix);
    web->remote_write = remote_write_new(options->registry);
    atomic_init(&web->phase, WEB_STARTING);
    enum err_code code = ERR_OK;
    if (options->cors_origin.len != 0) {
        code = regex_new(options->cors_origin, REGEX_ANCHORED, &web->cors, err);
    }
    if (code == ERR_OK) {
        code = http_server_start(web, &web->server, err);
    }
    if (code != ERR_OK) {
        remote_write_free(web->remote_write);
        regex_free(web->cors);
        mem_free(web);
        return code;
    }
    *out = web;
    return ERR_OK;
}

void web_set_ready(struct web *web, bool ready, bool stopping) {
    atomic_store(&web->phase, stopping ? WEB_STOPPING : ready ? WEB_READY : WEB_STARTING);
    metric_set(
        metric_gauge(web->options.registry, "prometheus_ready",
                     "Whether Prometheus startup was fully completed and the server is ready "
                     "for normal operation.",
                     NULL, 0),
        ready);
}

uint16_t web_port(const struct web *web, size_t listener) {
    return http_server_port(web->server, listener);
}

void web_stop(struct web *web) {
    if (web == NULL) {
        return;
    }
    web_set_ready(web, false, true);
    http_server_stop(web->server);
    remote_write_free(web->remote_write);
    regex_free(web->cors);
    mem_free(web);
}
