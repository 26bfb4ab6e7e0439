#include "config_scrape.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/utf8.h"

enum { MINUTE_MS = 60 * 1000, DEFAULT_TIMEOUT_MS = 10 * 1000 };

/* ---- scrape protocols ---- */

static const struct {
    const char *name;
    enum scrape_protocol protocol;
} protocols[] = {
    /* sorted: the order of error texts */
    {"OpenMetricsText0.0.1", PROTOCOL_OPENMETRICS_0_0_1},
    {"OpenMetricsText1.0.0", PROTOCOL_OPENMETRICS_1_0_0},
    {"PrometheusProto", PROTOCOL_PROMETHEUS_PROTO},
    {"PrometheusText0.0.4", PROTOCOL_TEXT_0_0_4},
    {"PrometheusText1.0.0", PROTOCOL_TEXT_1_0_0},
};

/* The protobuf format comes first where native histograms are wanted. */
static const struct str default_protocols[] = {
    STR_INIT("PrometheusProto"),      STR_INIT("OpenMetricsText1.0.0"),
    STR_INIT("OpenMetricsText0.0.1"), STR_INIT("PrometheusText1.0.0"),
    STR_INIT("PrometheusText0.0.4"),
};

static enum err_code protocols_bind(struct binder *b, const struct yaml_node *node, void *field,
                                    struct err *err) {
    struct protocol_list *list = field;
    *list = (struct protocol_list){.set = !yaml_is_null(node)};
    return bind_strings(b, node, "[]config.ScrapeProtocol", "config.ScrapeProtocol", &list->names,
                        &list->count, err);
}

static struct yaml_node *protocols_print(struct arena *arena, const void *field) {
    const struct protocol_list *list = field;
    return list->count == 0 ? NULL : print_strs(arena, list->names, list->count);
}

static const struct bind_custom protocols_custom = {.bind = protocols_bind,
                                                    .print = protocols_print};

static enum err_code protocol_bind(struct binder *b, const struct yaml_node *node, void *field,
                                   struct err *err) {
    struct str text;
    bool ok = false;
    const enum err_code code = bind_string(b, node, "config.ScrapeProtocol", &text, &ok, err);
    if (code == ERR_OK && ok) {
        *(struct str *)field = text;
    }
    return code;
}

static struct yaml_node *protocol_print(struct arena *arena, const void *field) {
    const struct str *name = field;
    return name->len == 0 ? NULL : print_str(arena, *name);
}

static const struct bind_custom protocol_custom = {.bind = protocol_bind, .print = protocol_print};

static enum err_code protocol_find(struct str name, enum scrape_protocol *out, struct err *err) {
    for (size_t i = 0; i < COUNT_OF(protocols); i++) {
        if (str_eq(name, str_of(protocols[i].name))) {
            *out = protocols[i].protocol;
            return ERR_OK;
        }
    }
    return err_set(err, ERR_INVALID, "unknown scrape protocol %.*s, supported: [%s %s %s %s %s]",
                   STR_ARG(name), protocols[0].name, protocols[1].name, protocols[2].name,
                   protocols[3].name, protocols[4].name);
}

static enum err_code duplicated_protocol(const struct protocol_list *list, struct err *err) {
    struct buf names;
    buf_init(&names, ERR_TEXT_MAX);
    for (size_t i = 0; i < list->count && buf_ok(&names); i++) {
        buf_append_cstr(&names, i == 0 ? "" : " ");
        buf_append_str(&names, list->names[i]);
    }
    (void)err_set(err, ERR_INVALID, "duplicated protocol in scrape_protocols, got [%.*s]",
                  STR_ARG(buf_str(&names)));
    buf_release(&names);
    return ERR_INVALID;
}

static enum err_code protocols_check(const struct protocol_list *list, struct err *err) {
    if (list->count == 0) {
        return err_set(err, ERR_INVALID, "scrape_protocols cannot be empty");
    }
    for (size_t i = 0; i < list->count; i++) {
        enum scrape_protocol protocol = PROTOCOL_NONE;
        /* every name before this one is valid and unique: at most as many as there are */
        for (size_t k = 0; k < i; k++) {
            if (str_eq_nocase(list->names[i], list->names[k])) {
                return duplicated_protocol(list, err);
            }
        }
        if (protocol_find(list->names[i], &protocol, err) != ERR_OK) {
            return err_wrap(err, "scrape_protocols");
        }
    }
    return ERR_OK;
}

/* ---- name schemes ---- */

static enum err_code scheme_bind(struct binder *b, const struct yaml_node *node, void *field,
                                 struct err *err) {
    struct str text;
    bool ok = false;
    const enum err_code code = bind_string(b, node, "string", &text, &ok, err);
    if (code != ERR_OK || !ok) {
        return code;
    }
    if (text.len == 0) {
        *(enum scheme_option *)field = SCHEME_UNSET;
    } else if (str_eq(text, STR("utf8"))) {
        *(enum scheme_option *)field = SCHEME_UTF8;
    } else if (str_eq(text, STR("legacy"))) {
        *(enum scheme_option *)field = SCHEME_LEGACY;
    } else {
        return err_set(err, ERR_INVALID, "unrecognized ValidationScheme: %s",
                       bind_quote(b->arena, text));
    }
    return ERR_OK;
}

static struct yaml_node *scheme_print(struct arena *arena, const void *field) {
    switch (*(const enum scheme_option *)field) {
    case SCHEME_UTF8:
        return print_str(arena, STR("utf8"));
    case SCHEME_LEGACY:
        return print_str(arena, STR("legacy"));
    case SCHEME_UNSET:
        break;
    }
    return NULL;
}

static const struct bind_custom scheme_custom = {.bind = scheme_bind, .print = scheme_print};

enum name_scheme name_scheme_of(enum scheme_option option) {
    return option == SCHEME_LEGACY ? NAMES_LEGACY : NAMES_UTF8;
}

static bool escaping_known(struct str escaping) {
    return str_eq(escaping, STR("allow-utf-8")) || str_eq(escaping, STR("underscores")) ||
           str_eq(escaping, STR("dots")) || str_eq(escaping, STR("values"));
}

static enum err_code unknown_escaping(struct binder *b, const char *whose, struct str escaping,
                                      struct err *err) {
    return err_set(err, ERR_INVALID,
                   "unknown %s name escaping method specified, must be one of 'allow-utf-8', "
                   "'underscores', 'dots', or 'values', got %s",
                   whose, bind_quote(b->arena, escaping));
}

static struct str default_escaping(enum scheme_option validation) {
    return validation == SCHEME_LEGACY ? STR("underscores") : STR("allow-utf-8");
}

/* ---- global ---- */

#define LIMIT_FIELDS(struct_)                                                                      \
    BIND_AT(BIND_SIZE, "body_size_limit", struct_, limits.body_size_limit),                        \
        BIND_AT(BIND_UINT, "sample_limit", struct_, limits.sample_limit),                          \
        BIND_AT(BIND_UINT, "target_limit", struct_, limits.target_limit),                          \
        BIND_AT(BIND_UINT, "label_limit", struct_, limits.label_limit),                            \
        BIND_AT(BIND_UINT, "label_name_length_limit", struct_, limits.label_name_length_limit),    \
        BIND_AT(BIND_UINT, "label_value_length_limit", struct_, limits.label_value_length_limit)

static const struct bind_field global_fields[] = {
    BIND_AT(BIND_DURATION, "scrape_interval", global_options, scrape_interval_ms),
    BIND_AT(BIND_DURATION, "scrape_timeout", global_options, scrape_timeout_ms),
    BIND_OWN("scrape_protocols", global_options, protocols, &protocols_custom),
    BIND_AT(BIND_DURATION, "evaluation_interval", global_options, evaluation_interval_ms),
    BIND_AT(BIND_DURATION, "rule_query_offset", global_options, rule_query_offset_ms),
    BIND_AT(BIND_PATH, "query_log_file", global_options, query_log_file),
    BIND_AT(BIND_PATH, "scrape_failure_log_file", global_options, failure_log_file),
    BIND_OWN("external_labels", global_options, external_labels, &labels_custom),
    LIMIT_FIELDS(global_options),
    BIND_AT(BIND_UINT, "keep_dropped_targets", global_options, limits.keep_dropped_targets),
    BIND_OWN("metric_name_validation_scheme", global_options, validation, &scheme_custom),
    BIND_AT(BIND_STR, "metric_name_escaping_scheme", global_options, escaping),
    BIND_AT(BIND_TRISTATE, "scrape_native_histograms", global_options, native_histograms),
    BIND_AT(BIND_BOOL, "convert_classic_histograms_to_nhcb", global_options,
            convert_classic_to_nhcb),
    BIND_AT(BIND_BOOL, "always_scrape_classic_histograms", global_options,
            always_classic_histograms),
    BIND_AT(BIND_TRISTATE, "extra_scrape_metrics", global_options, extra_metrics),
};

void global_options_defaults(struct global_options *global) {
    *global = (struct global_options){
        .scrape_interval_ms = MINUTE_MS,
        .scrape_timeout_ms = DEFAULT_TIMEOUT_MS,
        .evaluation_interval_ms = MINUTE_MS,
        .validation = SCHEME_UTF8,
        .escaping = STR("allow-utf-8"),
        .native_histograms = TRI_FALSE,
        .extra_metrics = TRI_FALSE,
        .default_extra_metrics = true,
    };
}

static int label_cmp(const void *a, const void *b) {
    return str_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

static enum err_code external_labels_check(struct binder *b, struct global_options *global,
                                           struct err *err) {
    struct label_options *labels = &global->external_labels;
    if (labels->count > 1) {
        qsort(labels->items, labels->count, sizeof(*labels->items), label_cmp);
    }
    for (size_t i = 0; i < labels->count; i++) {
        if (!label_name_valid(labels->items[i].name, name_scheme_of(global->validation))) {
            return err_set(err, ERR_INVALID, "%s is not a valid label name",
                           bind_quote(b->arena, labels->items[i].name));
        }
        if (!utf8_valid(labels->items[i].value)) {
            return err_set(err, ERR_INVALID, "%s is not a valid label value",
                           bind_quote(b->arena, labels->items[i].value));
        }
    }
    return ERR_OK;
}

static int64_t min_ms(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static enum err_code global_check(struct binder *b, void *self, struct err *err) {
    struct global_options *global = self;
    if (global->validation == SCHEME_UNSET) {
        global->validation = SCHEME_UTF8;
    }
    enum err_code code = external_labels_check(b, global, err);
    if (code != ERR_OK) {
        return code;
    }
    if (global->scrape_interval_ms == 0) {
        global->scrape_interval_ms = MINUTE_MS;
    }
    if (global->scrape_timeout_ms > global->scrape_interval_ms) {
        return err_set(err, ERR_INVALID, "global scrape timeout greater than scrape interval");
    }
    if (global->scrape_timeout_ms == 0) {
        global->scrape_timeout_ms = min_ms(DEFAULT_TIMEOUT_MS, global->scrape_interval_ms);
    }
    if (global->evaluation_interval_ms == 0) {
        global->evaluation_interval_ms = MINUTE_MS;
    }
    if (global->native_histograms == TRI_UNSET) {
        global->native_histograms = TRI_FALSE;
    }
    if (global->extra_metrics == TRI_UNSET) {
        global->extra_metrics = TRI_FALSE;
        global->default_extra_metrics = true;
    }
    if (global->protocols.set) {
        code = protocols_check(&global->protocols, err);
        if (code != ERR_OK && err != NULL) {
            struct err inner = *err;
            code = err_set(err, ERR_INVALID, "%s for global config", inner.text);
        }
    }
    return code;
}

const struct bind_table global_options_table = {
    .type_name = "config.plain",
    .size = sizeof(struct global_options),
    .fields = global_fields,
    .field_count = COUNT_OF(global_fields),
    .check = global_check,
};

/* ---- params ---- */

static enum err_code param_pair(struct binder *b, void *ctx, struct str name,
                                const struct yaml_node *value, struct err *err) {
    struct param_lists *params = ctx;
    struct scrape_param param = {.name = name};
    const enum err_code code =
        bind_strings(b, value, "[]string", "string", &param.values, &param.value_count, err);
    if (code != ERR_OK) {
        return code;
    }
    if ((params->count & (params->count - 1)) == 0) { /* full: twice the room */
        struct scrape_param *items =
            bind_alloc(b, params->count != 0 ? 2 * params->count : 1, sizeof(*items), err);
        if (items == NULL) {
            return ERR_LIMIT;
        }
        if (params->count != 0) {
            memcpy(items, params->items, params->count * sizeof(*items));
        }
        params->items = items;
    }
    params->items[params->count++] = param;
    return ERR_OK;
}

static int param_cmp(const void *a, const void *b) {
    return str_cmp(((const struct scrape_param *)a)->name, ((const struct scrape_param *)b)->name);
}

static enum err_code params_bind(struct binder *b, const struct yaml_node *node, void *field,
                                 struct err *err) {
    struct param_lists *params = field;
    *params = (struct param_lists){0};
    const enum err_code code = bind_pairs(b, node, "url.Values", param_pair, params, err);
    if (code == ERR_OK && params->count > 1) {
        qsort(params->items, params->count, sizeof(*params->items), param_cmp);
    }
    return code;
}

static struct yaml_node *params_print(struct arena *arena, const void *field) {
    const struct param_lists *params = field;
    if (params->count == 0) {
        return NULL;
    }
    struct yaml_node *mapping = print_mapping(arena, params->count);
    for (size_t i = 0; i < params->count; i++) {
        print_pair(mapping, print_str(arena, params->items[i].name),
                   print_strs(arena, params->items[i].values, params->items[i].value_count));
    }
    print_sort(mapping);
    return mapping;
}

static const struct bind_custom params_custom = {.bind = params_bind, .print = params_print};

/* ---- scrape_configs ---- */

static const struct bind_field scrape_fields[] = {
    BIND_ALWAYS(BIND_STR, "job_name", scrape_file_options, job_name),
    BIND_AT(BIND_BOOL, "honor_labels", scrape_file_options, honor_labels),
    BIND_ALWAYS(BIND_BOOL, "honor_timestamps", scrape_file_options, honor_timestamps),
    BIND_ALWAYS(BIND_BOOL, "track_timestamps_staleness", scrape_file_options,
                track_timestamps_staleness),
    BIND_OWN("params", scrape_file_options, params, &params_custom),
    BIND_AT(BIND_DURATION, "scrape_interval", scrape_file_options, scrape_interval_ms),
    BIND_AT(BIND_DURATION, "scrape_timeout", scrape_file_options, scrape_timeout_ms),
    BIND_OWN("scrape_protocols", scrape_file_options, protocols, &protocols_custom),
    BIND_OWN("fallback_scrape_protocol", scrape_file_options, fallback_protocol, &protocol_custom),
    BIND_AT(BIND_TRISTATE, "scrape_native_histograms", scrape_file_options, native_histograms),
    BIND_AT(BIND_TRISTATE, "always_scrape_classic_histograms", scrape_file_options,
            always_classic_histograms),
    BIND_AT(BIND_TRISTATE, "convert_classic_histograms_to_nhcb", scrape_file_options,
            convert_classic_to_nhcb),
    BIND_AT(BIND_PATH, "scrape_failure_log_file", scrape_file_options, failure_log_file),
    BIND_AT(BIND_STR, "metrics_path", scrape_file_options, metrics_path),
    BIND_AT(BIND_STR, "scheme", scrape_file_options, scheme),
    BIND_ALWAYS(BIND_BOOL, "enable_compression", scrape_file_options, enable_compression),
    LIMIT_FIELDS(scrape_file_options),
    BIND_AT(BIND_UINT, "native_histogram_bucket_limit", scrape_file_options,
            native_histogram_bucket_limit),
    BIND_AT(BIND_FLOAT, "native_histogram_min_bucket_factor", scrape_file_options,
            native_histogram_min_bucket_factor),
    BIND_AT(BIND_UINT, "keep_dropped_targets", scrape_file_options, limits.keep_dropped_targets),
    BIND_OWN("metric_name_validation_scheme", scrape_file_options, validation, &scheme_custom),
    BIND_AT(BIND_STR, "metric_name_escaping_scheme", scrape_file_options, escaping),
    BIND_AT(BIND_TRISTATE, "extra_scrape_metrics", scrape_file_options, extra_metrics),
    BIND_TABLE(BIND_INLINE, "", scrape_file_options, http, http, &http_options_table),
    BIND_TABLE(BIND_LIST, "relabel_configs", scrape_file_options, relabel.items, relabel.count,
               &relabel_options_table),
    BIND_TABLE(BIND_LIST, "metric_relabel_configs", scrape_file_options, metric_relabel.items,
               metric_relabel.count, &relabel_options_table),
    BIND_TABLE(BIND_INLINE, "", scrape_file_options, sd, sd, &discovery_options_table),
};

static void scrape_defaults(void *self) {
    struct scrape_file_options *scrape = self;
    *scrape = (struct scrape_file_options){
        .metrics_path = STR("/metrics"),
        .scheme = STR("http"),
        .honor_timestamps = true,
        .enable_compression = true,
    };
    http_options_defaults(&scrape->http);
}

static enum err_code scrape_check(struct binder *b, void *self, struct err *err) {
    struct scrape_file_options *scrape = self;
    enum err_code code = discovery_check(&scrape->sd, err);
    if (code != ERR_OK) {
        return code;
    }
    if (scrape->job_name.len == 0) {
        return err_set(err, ERR_INVALID, "job_name is empty");
    }
    code = http_options_check(b, &scrape->http, err);
    if (code == ERR_OK && scrape->relabel.count == 0) {
        code = discovery_check_targets(b, &scrape->sd, err);
    }
    if (code == ERR_OK) {
        code = relabel_list_check_null(
            &scrape->relabel, "empty or null target relabeling rule in scrape config", err);
    }
    if (code == ERR_OK) {
        code = relabel_list_check_null(
            &scrape->metric_relabel, "empty or null metric relabeling rule in scrape config", err);
    }
    return code;
}

const struct bind_table scrape_options_table = {
    .type_name = "config.ScrapeConfig",
    .list_name = "[]*config.ScrapeConfig",
    .size = sizeof(struct scrape_file_options),
    .fields = scrape_fields,
    .field_count = COUNT_OF(scrape_fields),
    .null_offset = offsetof(struct scrape_file_options, is_null),
    .defaults = scrape_defaults,
    .check = scrape_check,
};

/* ---- inheritance ---- */

static void limits_inherit(struct scrape_limits *own, const struct scrape_limits *global) {
    uint64_t *const values[] = {
        &own->sample_limit,
        &own->target_limit,
        &own->label_limit,
        &own->label_name_length_limit,
        &own->label_value_length_limit,
        &own->keep_dropped_targets,
    };
    const uint64_t inherited[] = {
        global->sample_limit,
        global->target_limit,
        global->label_limit,
        global->label_name_length_limit,
        global->label_value_length_limit,
        global->keep_dropped_targets,
    };
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        if (*values[i] == 0) {
            *values[i] = inherited[i];
        }
    }
    if (own->body_size_limit == 0) {
        own->body_size_limit = global->body_size_limit;
    }
}

static enum err_code times_inherit(struct binder *b, struct scrape_file_options *scrape,
                                   const struct global_options *global, struct err *err) {
    if (scrape->scrape_interval_ms == 0) {
        scrape->scrape_interval_ms = global->scrape_interval_ms;
    }
    if (scrape->scrape_timeout_ms > scrape->scrape_interval_ms) {
        return err_set(err, ERR_INVALID,
                       "scrape timeout greater than scrape interval for scrape config with job "
                       "name %s",
                       bind_quote(b->arena, scrape->job_name));
    }
    if (scrape->scrape_timeout_ms == 0) {
        scrape->scrape_timeout_ms = min_ms(global->scrape_timeout_ms, scrape->scrape_interval_ms);
    }
    return ERR_OK;
}

static enum err_code protocols_inherit(struct binder *b, struct scrape_file_options *scrape,
                                       const struct global_options *global, struct err *err) {
    scrape->default_protocols = !scrape->protocols.set && !global->protocols.set;
    if (!scrape->protocols.set) {
        const size_t skip = scrape->native_histograms == TRI_TRUE ? 0 : 1;
        scrape->protocols = global->protocols.set ? global->protocols
                                                  : (struct protocol_list){
                                                        .names = default_protocols + skip,
                                                        .count = COUNT_OF(default_protocols) - skip,
                                                        .set = true,
                                                    };
    }
    const char *job = bind_quote(b->arena, scrape->job_name);
    struct err inner = {.text = ""};
    enum scrape_protocol fallback = PROTOCOL_NONE;
    if (protocols_check(&scrape->protocols, &inner) != ERR_OK) {
        return err_set(err, ERR_INVALID, "%s for scrape config with job name %s", inner.text, job);
    }
    if (scrape->fallback_protocol.len != 0 &&
        protocol_find(scrape->fallback_protocol, &fallback, &inner) != ERR_OK) {
        return err_set(err, ERR_INVALID,
                       "invalid fallback_scrape_protocol for scrape config with job name %s: %s",
                       job, inner.text);
    }
    return ERR_OK;
}

/* A config that sets only its validation does not inherit an escaping that contradicts it. */
static enum err_code names_inherit(struct binder *b, struct scrape_file_options *scrape,
                                   const struct global_options *global, struct err *err) {
    const bool validation_unset = scrape->validation == SCHEME_UNSET;
    const struct str global_escaping =
        global->escaping.len != 0 ? global->escaping : default_escaping(global->validation);
    if (!escaping_known(global_escaping)) {
        return unknown_escaping(b, "global", global_escaping, err);
    }
    if (validation_unset) {
        scrape->validation = global->validation;
    }
    if (scrape->escaping.len == 0) {
        scrape->escaping =
            validation_unset ? global_escaping : default_escaping(scrape->validation);
    }
    if (!escaping_known(scrape->escaping)) {
        return unknown_escaping(b, "scrape config", scrape->escaping, err);
    }
    if (str_eq(scrape->escaping, STR("allow-utf-8")) && scrape->validation != SCHEME_UTF8) {
        return err_set(err, ERR_INVALID,
                       "utf8 metric names requested but validation scheme is not set to UTF8");
    }
    return ERR_OK;
}

static enum tristate tri(enum tristate own, bool inherited) {
    return own != TRI_UNSET ? own : (inherited ? TRI_TRUE : TRI_FALSE);
}

enum err_code scrape_options_inherit(struct binder *b, const struct global_options *global,
                                     struct scrape_file_options *scrape, struct err *err) {
    if (scrape->is_null) {
        return err_set(err, ERR_INVALID, "empty or null scrape config section");
    }
    enum err_code code = times_inherit(b, scrape, global, err);
    if (code != ERR_OK) {
        return code;
    }
    limits_inherit(&scrape->limits, &global->limits);
    if (scrape->failure_log_file.len == 0) {
        scrape->failure_log_file = global->failure_log_file;
    }
    scrape->native_histograms =
        tri(scrape->native_histograms, global->native_histograms == TRI_TRUE);
    scrape->default_extra_metrics =
        scrape->extra_metrics == TRI_UNSET && global->default_extra_metrics;
    scrape->extra_metrics = tri(scrape->extra_metrics, global->extra_metrics == TRI_TRUE);
    scrape->convert_classic_to_nhcb =
        tri(scrape->convert_classic_to_nhcb, global->convert_classic_to_nhcb);
    scrape->always_classic_histograms =
        tri(scrape->always_classic_histograms, global->always_classic_histograms);
    code = protocols_inherit(b, scrape, global, err);
    if (code == ERR_OK) {
        code = names_inherit(b, scrape, global, err);
    }
    const enum name_scheme scheme = name_scheme_of(scrape->validation);
    if (code == ERR_OK) {
        code = relabel_list_convert(b, &scrape->relabel, scheme, &scrape->rules, err);
    }
    if (code == ERR_OK) {
        code = relabel_list_convert(b, &scrape->metric_relabel, scheme, &scrape->metric_rules, err);
    }
    return code;
}

enum err_code scrape_options_convert(struct binder *b, const struct scrape_file_options *scrape,
                                     struct scrape_config *out, struct err *err) {
    enum scrape_protocol *accepted = bind_alloc(b, scrape->protocols.count, sizeof(*accepted), err);
    enum scrape_protocol fallback = PROTOCOL_NONE;
    enum err_code code = accepted != NULL ? ERR_OK : ERR_LIMIT;
    for (size_t i = 0; code == ERR_OK && i < scrape->protocols.count; i++) {
        code = protocol_find(scrape->protocols.names[i], &accepted[i], err);
    }
    if (code == ERR_OK && scrape->fallback_protocol.len != 0) {
        code = protocol_find(scrape->fallback_protocol, &fallback, err);
    }
    if (code != ERR_OK) {
        return code;
    }
    const struct scrape_limits *limits = &scrape->limits;
    *out = (struct scrape_config){
        .job_name = scrape->job_name,
        .interval_ms = scrape->scrape_interval_ms,
        .timeout_ms = scrape->scrape_timeout_ms,
        .honor_labels = scrape->honor_labels,
        .honor_timestamps = scrape->honor_timestamps,
        .track_timestamps_staleness = scrape->track_timestamps_staleness,
        .enable_compression = scrape->enable_compression,
        .metrics_path = scrape->metrics_path,
        .scheme = scrape->scheme,
        .params = scrape->params.items,
        .param_count = scrape->params.count,
        .protocols = accepted,
        .protocol_count = scrape->protocols.count,
        .default_protocols = scrape->default_protocols,
        .fallback_protocol = fallback,
        .native_histograms = scrape->native_histograms == TRI_TRUE,
        .always_classic_histograms = scrape->always_classic_histograms == TRI_TRUE,
        .convert_classic_to_nhcb = scrape->convert_classic_to_nhcb == TRI_TRUE,
        .extra_metrics = scrape->extra_metrics == TRI_TRUE,
        .default_extra_metrics = scrape->default_extra_metrics,
        .body_size_limit = limits->body_size_limit > 0 ? (uint64_t)limits->body_size_limit : 0,
        .sample_limit = limits->sample_limit,
        .target_limit = limits->target_limit,
        .label_limit = limits->label_limit,
        .label_name_length_limit = limits->label_name_length_limit,
        .label_value_length_limit = limits->label_value_length_limit,
        .keep_dropped_targets = limits->keep_dropped_targets,
        .native_histogram_bucket_limit = scrape->native_histogram_bucket_limit,
        .native_histogram_min_bucket_factor = scrape->native_histogram_min_bucket_factor,
        .failure_log_file = scrape->failure_log_file,
        .name_scheme = name_scheme_of(scrape->validation),
        .escaping_scheme = scrape->escaping,
        .relabel = scrape->rules,
        .metric_relabel = scrape->metric_rules,
    };
    http_options_convert(&scrape->http, &out->http);
    return discovery_convert(b, &scrape->sd, scrape->job_name, &out->sd, err);
}
