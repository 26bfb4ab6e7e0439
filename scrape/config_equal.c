#include "scrape/config_equal.h"

/* ---- discovery ---- */

static bool groups_equal(const struct sd_config *a, const struct sd_config *b) {
    if (a->group_count != b->group_count) {
        return false;
    }
    for (size_t i = 0; i < a->group_count; i++) {
        const struct sd_static_group *const x = &a->groups[i];
        const struct sd_static_group *const y = &b->groups[i];
        if (!str_list_eq(x->targets, x->target_count, y->targets, y->target_count) ||
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
            !str_list_eq(x->values, x->value_count, y->values, y->value_count)) {
            return false;
        }
    }
    return true;
}

bool sd_config_equal(const struct sd_config *a, const struct sd_config *b) {
    return a->kind == b->kind && a->refresh_interval_ms == b->refresh_interval_ms &&
           groups_equal(a, b) && str_list_eq(a->files, a->file_count, b->files, b->file_count) &&
           str_eq(a->host, b->host) && a->port == b->port &&
           str_eq(a->host_networking_host, b->host_networking_host) &&
           a->match_first_network == b->match_first_network && filters_equal(a, b) &&
           http_config_equal(&a->http, &b->http);
}

/* ---- scraping ---- */

static bool params_equal(const struct scrape_config *a, const struct scrape_config *b) {
    if (a->param_count != b->param_count) {
        return false;
    }
    for (size_t i = 0; i < a->param_count; i++) {
        const struct scrape_param *const x = &a->params[i];
        const struct scrape_param *const y = &b->params[i];
        if (!str_eq(x->name, y->name) ||
            !str_list_eq(x->values, x->value_count, y->values, y->value_count)) {
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
           relabel_rules_equal(&a->relabel, &b->relabel) &&
           relabel_rules_equal(&a->metric_relabel, &b->metric_relabel);
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
