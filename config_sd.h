/* Service discovery sections as they are written in the file (spec/discovery.md): static, file and
 * Docker; the other kinds that Prometheus knows are refused by name. Lives in the binder's arena. */
#ifndef CONFIG_SD_H
#define CONFIG_SD_H

#include "base/labels.h"
#include "base/vfs.h"
#include "config_bind.h"
#include "config_http.h"
#include "scrape/sd.h"

/* A map of labels, in the file's order; print sorts. */
struct label_options {
    struct label *items;
    size_t count;
};

struct static_options {
    bool is_null;
    const struct str *targets;
    size_t target_count;
    struct label_options labels;
};

struct file_options {
    bool is_null;
    const struct str *files;
    size_t file_count;
    int64_t refresh_interval_ms;
};

struct filter_options {
    bool is_null;
    struct str name;
    const struct str *values;
    size_t value_count;
};

struct docker_options {
    bool is_null;
    struct http_options http;
    struct str host, host_networking_host;
    int64_t port, refresh_interval_ms;
    struct filter_options *filters;
    size_t filter_count;
    bool match_first_network;
};

struct discovery_options {
    struct docker_options *dockers;
    size_t docker_count;
    struct file_options *files;
    size_t file_count;
    struct static_options *statics;
    size_t static_count;
};

/* For BIND_INLINE. */
extern const struct bind_table discovery_options_table;
/* map[string]string as struct label_options: names are not checked. */
extern const struct bind_custom labels_custom;

/* No null sections: empty or null section in static_configs. */
MUST_CHECK enum err_code discovery_check(const struct discovery_options *sd, struct err *err);
/* Static targets are hosts, not URLs: "http://bad" is not a valid hostname. */
MUST_CHECK enum err_code
discovery_check_targets(struct binder *b, const struct discovery_options *sd, struct err *err);
MUST_CHECK enum err_code discovery_convert(struct binder *b, const struct discovery_options *sd,
                                           struct str set_name, struct sd_config_set *out,
                                           struct err *err);
/* Checks a file of file_sd_configs: a strict list of groups, no element of which is null. */
MUST_CHECK enum err_code discovery_check_file(struct vfs *vfs, const char *path, struct err *err);
/* Labels with empty values are left out. */
MUST_CHECK enum err_code labels_convert(struct binder *b, const struct label_options *options,
                                        struct labels *out, struct err *err);

#endif
