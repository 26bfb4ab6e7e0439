#include "scrape/config_equal.h"

static bool strs_equal(const struct str *a, size_t a_count, const struct str *b, size_t b_count) {
    if (a_count != b_count) {
        return false;
    }
    for (size_t i = 0; i < a_count; i++) {
        if (!str_eq(a[i], b[i])) {
            return false;
        }
    }
    return true;
}

static bool header_equal(const struct http_header *a, const struct http_header *b) {
    if (!str_eq(a->name, b->name) ||
        !strs_equal(a->values, a->value_count, b->values, b->value_count) ||
        !strs_equal(a->files, a->file_count, b->files, b->file_count) ||
        a->secret_count != b->secret_count) {
        return false;
    }
    for (size_t i = 0; i < a->secret_count; i++) {
        if (!str_eq(a->secrets[i].reveal, b->secrets[i].reveal)) {
            return false;
        }
    }
    return true;
}

static bool headers_equal(const struct http_header *a, size_t a_count, const struct http_header *b,
                          size_t b_count) {
    if (a_count != b_count) {
        return false;
    }
    for (size_t i = 0; i < a_count; i++) {
        if (!header_equal(&a[i], &b[i])) {
            return false;
        }
    }
    return true;
}

static bool tls_equal(const struct tls_config *a, const struct tls_config *b) {
    return str_eq(a->ca, b->ca) && str_eq(a->ca_file, b->ca_file) && str_eq(a->cert, b->cert) &&
           str_eq(a->cert_file, b->cert_file) && str_eq(a->key_file, b->key_file) &&
           str_eq(a->server_name, b->server_name) && str_eq(a->key.reveal, b->key.reveal) &&
           a->insecure_skip_verify == b->insecure_skip_verify && a->min_version == b->min_version &&
           a->max_version == b->max_version;
}

static bool oauth2_equal(const struct oauth2_config *a, const struct oauth2_config *b) {
    return a->set == b->set && str_eq(a->client_id, b->client_id) &&
           str_eq(a->client_secret_file, b->client_secret_file) &&
           str_eq(a->token_url, b->token_url) &&
           str_eq(a->client_secret.reveal, b->client_secret.reveal) &&
           strs_equal(a->scopes, a->scope_count, b->scopes, b->scope_count) &&
           strs_equal(a->endpoint_params, a->endpoint_param_count, b->endpoint_params,
                      b->endpoint_param_count) &&
           tls_equal(&a->tls, &b->tls) && str_eq(a->proxy_url, b->proxy_url) &&
           str_eq(a->no_proxy, b->no_proxy) &&
           a->proxy_from_environment == b->proxy_from_environment &&
           headers_equal(a->proxy_connect_headers, a->proxy_connect_header_count,
                         b->proxy_connect_headers, b->proxy_connect_header_count);
}

static bool credentials_equal(const struct http_config *a, const struct http_config *b) {
    return a->has_basic_auth == b->has_basic_auth && str_eq(a->username, b->username) &&
           str_eq(a->username_file, b->username_file) &&
           str_eq(a->password_file, b->password_file) &&
           str_eq(a->password.reveal, b->password.reveal) &&
           a->has_authorization == b->has_authorization &&
           str_eq(a->authorization_type, b->authorization_type) &&
           str_eq(a->credentials.reveal, b->credentials.reveal) &&
           str_eq(a->credentials_file, b->credentials_file) && oauth2_equal(&a->oauth2, &b->oauth2);
}

bool http_config_equal(const struct http_config *a, const struct http_config *b) {
    return credentials_equal(a, b) && a->has_tls == b->has_tls && tls_equal(&a->tls, &b->tls) &&
           a->follow_redirects == b->follow_redirects && a->enable_http2 == b->enable_http2 &&
           str_eq(a->proxy_url, b->proxy_url) && str_eq(a->no_proxy, b->no_proxy) &&
           a->proxy_from_environment == b->proxy_from_environment &&
           headers_equal(a->proxy_connect_headers, a->proxy_connect_header_count,
                         b->proxy_connect_headers, b->proxy_connect_header_count) &&
           headers_equal(a->headers, a->header_count, b->headers, b->header_count);
}

/* ---- discovery ---- */

static bool groups_equal(const struct sd_config *a, const struct sd_config *b) {
    if (a->group_count != b->group_count) {
        return false;
    }
    for (size_t i = 0; i < a->group_count; i++) {
        const struct sd_static_group *const x = &a->groups[i];
        const struct sd_static_group *const y = &b->groups[i];
        if (!strs_equal(x->targets, x->target_count, y->targets, y->target_count) ||
            !labels_eq(x->labels, y->labels)) {
            return false;
        }
    }
    return true;
}

static bool filters_equal(const struct sd_config *a, const struct sd_config *b) {
    if (a->filter_count != b->filter_count) {
        return false;
    }
    for (size_t i = 0; i < a->filter_count; i++) {
        const struct sd_filter *const x = &a->filters[i];
        const struct sd_filter *const y = &b->filters[i];
        if (!str_eq(x->name, y->name) ||
            !strs_equal(x->values, x->value_count, y->values, y->value_count)) {
            return false;
        }
    }
    return true;
}

bool sd_config_equal(const struct sd_config *a, const struct sd_config *b) {
    return a->kind == b->kind && a->refresh_interval_ms == b->refresh_interval_ms &&
           groups_equal(a, b) && strs_equal(a->files, a->file_count, b->files, b->file_count) &&
           str_eq(a->host, b->host) && a->port == b->port &&
           str_eq(a->host_networking_host, b->host_networking_host) &&
           a->match_first_network == b->match_first_network && filters_equal(a, b) &&
           http_config_equal(&a->http, &b->http);
}

/* ---- scraping ---- */

static bool rule_equal(const struct relabel_rule *a, const struct relabel_rule *b) {
    return a->action == b->action &&
           strs_equal(a->source_labels, a->source_count, b->source_labels, b->source_count) &&
           str_eq(a->separator, b->separator) &&
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

static bool params_equal(const struct scrape_config *a, const struct scrape_config *b) {
    if (a->param_count != b->param_count) {
        return false;
    }
    for (size_t i = 0; i < a->param_count; i++) {
        const struct scrape_param *const x = &a->params[i];
        const struct scrape_param *const y = &b->params[i];
        if (!str_eq(x->name, y->name) ||
            !strs_equal(x->values, x->value_count, y->values, y->value_count)) {
            return false;
        }
    }
    return true;
}

static bool protocols_equal(const struct scrape_config *a, const struct scrape_config *b) {
    if (a->protocol_count != b->protocol_count) {
        return false;
    }
    for (size_t i = 0; i < a->protocol_count; i++) {
        if (a->protocols[i] != b->protocols[i]) {
            return false;
        }
    }
    return a->fallback_protocol == b->fallback_protocol &&
           a->default_protocols == b->default_protocols;
}

static bool limits_equal(const struct scrape_config *a, const struct scrape_config *b) {
    return a->body_size_limit == b->body_size_limit && a->target_limit == b->target_limit &&
           a->label_limit == b->label_limit &&
           a->label_name_length_limit == b->label_name_length_limit &&
           a->label_value_length_limit == b->label_value_length_limit &&
           a->keep_dropped_targets == b->keep_dropped_targets;
}

static bool series_equal(const struct scrape_config *a, const struct scrape_config *b) {
    return str_eq(a->job_name, b->job_name) && a->honor_labels == b->honor_labels &&
           a->honor_timestamps == b->honor_timestamps &&
           a->track_timestamps_staleness == b->track_timestamps_staleness &&
           a->enable_compression == b->enable_compression &&
           str_eq(a->metrics_path, b->metrics_path) && str_eq(a->scheme, b->scheme) &&
           params_equal(a, b) && protocols_equal(a, b) &&
           a->native_histograms == b->native_histograms &&
           a->always_classic_histograms == b->always_classic_histograms &&
           a->convert_classic_to_nhcb == b->convert_classic_to_nhcb &&
           a->extra_metrics == b->extra_metrics &&
           a->default_extra_metrics == b->default_extra_metrics && limits_equal(a, b) &&
           a->name_scheme == b->name_scheme && str_eq(a->escaping_scheme, b->escaping_scheme) &&
           rules_equal(&a->relabel, &b->relabel) &&
           rules_equal(&a->metric_relabel, &b->metric_relabel);
}

enum config_difference scrape_config_compare(const struct scrape_config *a,
                                             const struct scrape_config *b) {
    if (!series_equal(a, b)) {
        return CONFIG_OTHER;
    }
    const bool same = a->interval_ms == b->interval_ms && a->timeout_ms == b->timeout_ms &&
                      a->sample_limit == b->sample_limit && http_config_equal(&a->http, &b->http);
    return same ? CONFIG_SAME : CONFIG_SAME_SERIES;
}
