#include "config_alerting.h"

/* ---- alertmanagers ---- */

static enum err_code api_version_bind(struct binder *b, const struct yaml_node *node, void *field,
                                      struct err *err) {
    struct str text;
    bool ok = false;
    const enum err_code code = bind_string(b, node, "config.plain", &text, &ok, err);
    if (code != ERR_OK || !ok) {
        return code;
    }
    *(struct str *)field = text;
    if (!yaml_is_null(node) && !str_eq(text, STR("v2"))) {
        return err_set(err, ERR_INVALID,
                       "expected Alertmanager api version to be one of [v2] but got %.*s",
                       STR_ARG(text));
    }
    return ERR_OK;
}

static struct yaml_node *api_version_print(struct arena *arena, const void *field) {
    return print_str(arena, *(const struct str *)field);
}

static const struct bind_custom api_version_custom = {.bind = api_version_bind,
                                                      .print = api_version_print};

static const struct bind_field alertmanager_fields[] = {
    BIND_TABLE(BIND_INLINE, "", alertmanager_options, http, http, &http_options_table),
    BIND_REFUSE("sigv4"),
    BIND_AT(BIND_STR, "scheme", alertmanager_options, scheme),
    BIND_AT(BIND_STR, "path_prefix", alertmanager_options, path_prefix),
    BIND_AT(BIND_DURATION, "timeout", alertmanager_options, timeout_ms),
    BIND_OWN("api_version", alertmanager_options, api_version, &api_version_custom),
    BIND_TABLE(BIND_LIST, "relabel_configs", alertmanager_options, relabel.items, relabel.count,
               &relabel_options_table),
    BIND_TABLE(BIND_LIST, "alert_relabel_configs", alertmanager_options, alert_relabel.items,
               alert_relabel.count, &relabel_options_table),
    BIND_TABLE(BIND_INLINE, "", alertmanager_options, sd, sd, &discovery_options_table),
};

static void alertmanager_defaults(void *self) {
    struct alertmanager_options *am = self;
    *am = (struct alertmanager_options){
        .scheme = STR("http"),
        .api_version = STR("v2"),
        .timeout_ms = 10 * 1000,
    };
    http_options_defaults(&am->http);
}

static enum err_code alertmanager_check(struct binder *b, void *self, struct err *err) {
    struct alertmanager_options *am = self;
    enum err_code code = discovery_check(&am->sd, err);
    if (code == ERR_OK) {
        code = http_options_check(b, &am->http, err);
    }
    if (code == ERR_OK && am->relabel.count == 0) {
        code = discovery_check_targets(b, &am->sd, err);
    }
    if (code == ERR_OK) {
        code = relabel_list_check_null(&am->relabel,
                                       "empty or null Alertmanager target relabeling rule", err);
    }
    if (code == ERR_OK) {
        code = relabel_list_check_null(&am->alert_relabel,
                                       "empty or null Alertmanager alert relabeling rule", err);
    }
    return code;
}

static const struct bind_table alertmanager_table = {
    .type_name = "config.AlertmanagerConfig",
    .list_name = "config.AlertmanagerConfigs",
    .size = sizeof(struct alertmanager_options),
    .fields = alertmanager_fields,
    .field_count = COUNT_OF(alertmanager_fields),
    .null_offset = offsetof(struct alertmanager_options, is_null),
    .defaults = alertmanager_defaults,
    .check = alertmanager_check,
};

/* ---- alerting ---- */

static const struct bind_field alerting_fields[] = {
    BIND_TABLE(BIND_LIST, "alert_relabel_configs", alerting_options, alert_relabel.items,
               alert_relabel.count, &relabel_options_table),
    BIND_TABLE(BIND_LIST, "alertmanagers", alerting_options, alertmanagers, alertmanager_count,
               &alertmanager_table),
};

static enum err_code alerting_check(struct binder *b, void *self, struct err *err) {
    const struct alerting_options *alerting = self;
    (void)b;
    for (size_t i = 0; i < alerting->alertmanager_count; i++) {
        if (alerting->alertmanagers[i].is_null) {
            return err_set(err, ERR_INVALID, "empty or null Alertmanager config section");
        }
    }
    return relabel_list_check_null(&alerting->alert_relabel, "empty or null alert relabeling rule",
                                   err);
}

const struct bind_table alerting_options_table = {
    .type_name = "config.plain",
    .size = sizeof(struct alerting_options),
    .fields = alerting_fields,
    .field_count = COUNT_OF(alerting_fields),
    .check = alerting_check,
};

enum err_code alerting_options_check(struct binder *b, struct alerting_options *alerting,
                                     enum name_scheme scheme, struct err *err) {
    enum err_code code =
        relabel_list_convert(b, &alerting->alert_relabel, scheme, &alerting->alert_rules, err);
    for (size_t i = 0; code == ERR_OK && i < alerting->alertmanager_count; i++) {
        struct alertmanager_options *am = &alerting->alertmanagers[i];
        code = relabel_list_convert(b, &am->alert_relabel, scheme, &am->alert_rules, err);
        if (code == ERR_OK) {
            code = relabel_list_convert(b, &am->relabel, scheme, &am->rules, err);
        }
    }
    return code;
}

enum err_code alerting_options_convert(struct binder *b, const struct alerting_options *alerting,
                                       struct alerting_config *out, struct err *err) {
    const size_t count = alerting->alertmanager_count;
    struct alertmanager_config *configs = bind_alloc(b, count, sizeof(*configs), err);
    if (configs == NULL) {
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        const struct alertmanager_options *am = &alerting->alertmanagers[i];
        configs[i] = (struct alertmanager_config){
            .scheme = am->scheme,
            .path_prefix = am->path_prefix,
            .timeout_ms = am->timeout_ms,
            .relabel = am->rules,
            .alert_relabel = am->alert_rules,
        };
        http_options_convert(&am->http, &configs[i].http);
        const enum err_code code = discovery_convert(
            b, &am->sd, arena_printf(b->arena, "config-%zu", i), &configs[i].sd, err);
        if (code != ERR_OK) {
            return code;
        }
    }
    *out = (struct alerting_config){
        .alert_relabel = alerting->alert_rules,
        .alertmanagers = configs,
        .alertmanager_count = count,
    };
    return ERR_OK;
}
