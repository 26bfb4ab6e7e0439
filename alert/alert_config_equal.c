#include "alert/alert_config_equal.h"

/* The name is only the place in the list, which may change. */
static bool discovery_equal(const struct sd_config_set *a, const struct sd_config_set *b) {
    if (a->config_count != b->config_count) {
        return false;
    }
    for (size_t i = 0; i < a->config_count; i++) {
        if (!sd_config_equal(&a->configs[i], &b->configs[i])) {
            return false;
        }
    }
    return true;
}

bool alertmanager_config_equal(const struct alertmanager_config *a,
                               const struct alertmanager_config *b) {
    return str_eq(a->scheme, b->scheme) && str_eq(a->path_prefix, b->path_prefix) &&
           a->timeout_ms == b->timeout_ms && http_config_equal(&a->http, &b->http) &&
           relabel_rules_equal(&a->relabel, &b->relabel) &&
           relabel_rules_equal(&a->alert_relabel, &b->alert_relabel) &&
           discovery_equal(&a->sd, &b->sd);
}
