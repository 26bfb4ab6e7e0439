/* The global section and scrape_configs as they are written in the file (spec/config.md sections 3
 * and 4), and their inheritance. Lives in the binder's arena. */
#ifndef CONFIG_SCRAPE_H
#define CONFIG_SCRAPE_H

#include "config_bind.h"
#include "config_http.h"
#include "config_relabel.h"
#include "config_sd.h"
#include "scrape/scrape.h"

/* metric_name_validation_scheme */
enum scheme_option { SCHEME_UNSET, SCHEME_UTF8, SCHEME_LEGACY };

struct protocol_list {
    const struct str *names;
    size_t count;
    bool set; /* [] is set, null is not */
};

/* What a scrape config inherits when it says nothing of its own. */
struct scrape_limits {
    int64_t body_size_limit;
    uint64_t sample_limit, target_limit, label_limit, label_name_length_limit,
        label_value_length_limit, keep_dropped_targets;
};

struct global_options {
    int64_t scrape_interval_ms, scrape_timeout_ms, evaluation_interval_ms, rule_query_offset_ms;
    struct protocol_list protocols;
    struct str query_log_file, failure_log_file;
    struct label_options external_labels;
    struct scrape_limits limits;
    enum scheme_option validation;
    struct str escaping;
    enum tristate native_histograms, extra_metrics;
    bool default_extra_metrics; /* nobody chose them */
    bool convert_classic_to_nhcb, always_classic_histograms;
};

struct scrape_options_list {
    struct scrape_file_options *items;
    size_t count;
};

struct scrape_file_options {
    bool is_null;
    struct str job_name;
    bool honor_labels, honor_timestamps, track_timestamps_staleness, enable_compression;
    struct param_lists {
        struct scrape_param *items;
        size_t count;
    } params;
    int64_t scrape_interval_ms, scrape_timeout_ms;
    struct protocol_list protocols;
    bool default_protocols, default_extra_metrics; /* nobody chose them */
    struct str fallback_protocol;
    enum tristate native_histograms, always_classic_histograms, convert_classic_to_nhcb,
        extra_metrics;
    struct str failure_log_file, metrics_path, scheme;
    struct scrape_limits limits;
    uint64_t native_histogram_bucket_limit;
    double native_histogram_min_bucket_factor;
    enum scheme_option validation;
    struct str escaping;
    struct http_options http;
    struct relabel_list relabel, metric_relabel;
    struct discovery_options sd;
    /* made by scrape_options_inherit */
    struct relabel_rules rules, metric_rules;
};

extern const struct bind_table global_options_table;
extern const struct bind_table scrape_options_table;

void global_options_defaults(struct global_options *global);
enum name_scheme name_scheme_of(enum scheme_option option);

/* Fills in what is inherited, then checks what needs all of it. */
MUST_CHECK enum err_code scrape_options_inherit(struct binder *b,
                                                const struct global_options *global,
                                                struct scrape_file_options *scrape,
                                                struct err *err);
/* To the form that scraping uses; after scrape_options_inherit and bind_join. */
MUST_CHECK enum err_code scrape_options_convert(struct binder *b,
                                                const struct scrape_file_options *scrape,
                                                struct scrape_config *out, struct err *err);

#endif
