#include "alert/alert_config_equal.h"

static bool rule_equal(const struct relabel_rule *a, const struct relabel_rule *b) {
    if (a->source_count != b->source_count) {
        return false;
    }
    for (size_t i = 0; i < a->source_count; i++) {
        if (!str_eq(a->source_labels[i], b->source_labels[i])) {
            return false;
        }
    }
    return a->action == b->action && str_eq(a->separator, b->separator) &&
           str_eq(regex_pattern(a->regex), regex_pattern(b->regex)) && a->modulus == b->modulus &&
           str_eq(a->target_label, b->target_label) && str_eq(a->replacement, b->replacement) &&
           a->scheme == b->scheme;
}

static bool rules_equal(const struct relabel_rules *a, const struct relabel_rules *b) {
    if (a->count != b->count) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        if (!rule_equal(&a->rules[i], &b->rules[i])) {
            return false;
        }
    }
    return true;
}

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
           rules_equal(&a->relabel, &b->relabel) &&
           rules_equal(&a->alert_relabel, &b->alert_relabel) && discovery_equal(&a->sd, &b->sd);
}
