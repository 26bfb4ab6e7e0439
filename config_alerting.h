/* The alerting section as it is written in the file (spec/config.md section 11). Lives in the
 * binder's arena. */
#ifndef CONFIG_ALERTING_H
#define CONFIG_ALERTING_H

#include "alert/alert.h"
#include "config_bind.h"
#include "config_http.h"
#include "config_relabel.h"
#include "config_sd.h"

struct alertmanager_options {
    bool is_null;
    struct http_options http;
    struct str scheme, path_prefix, api_version;
    int64_t timeout_ms;
    struct relabel_list relabel, alert_relabel;
    struct discovery_options sd;
    /* made by alerting_options_check */
    struct relabel_rules rules, alert_rules;
};

struct alerting_options {
    struct relabel_list alert_relabel;
    struct alertmanager_options *alertmanagers;
    size_t alertmanager_count;
    /* made by alerting_options_check */
    struct relabel_rules alert_rules;
};

extern const struct bind_table alerting_options_table;

/* Checks all relabel rules with the scheme and makes them. */
MUST_CHECK enum err_code alerting_options_check(struct binder *b, struct alerting_options *alerting,
                                                enum name_scheme scheme, struct err *err);
/* After alerting_options_check and bind_join. */
MUST_CHECK enum err_code alerting_options_convert(struct binder *b,
                                                  const struct alerting_options *alerting,
                                                  struct alerting_config *out, struct err *err);

#endif
