/* Service discovery: from configured mechanisms to groups of targets (spec/discovery.md).
 *
 * Used by scraping and by the notifier (Alertmanagers). One sd_manager runs all providers on
 * one thread of its own with its own transport; it hands every change to the subscriber as the
 * complete set of groups of one config set ("scrape pool", "alertmanager config-0"). On errors
 * the last targets are kept. */
#ifndef SCRAPE_SD_H
#define SCRAPE_SD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/generation.h"
#include "base/http_config.h"
#include "base/labels.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/transport.h"
#include "base/vfs.h"

/* ---- configuration; lives in a generation ---- */

enum sd_kind { SD_STATIC, SD_FILE, SD_DOCKER, SD_KIND_COUNT };

struct sd_static_group {
    const struct str *targets; /* addresses */
    size_t target_count;
    struct labels labels;
};

struct sd_filter {
    struct str name;
    const struct str *values;
    size_t value_count;
};

struct sd_config {
    enum sd_kind kind;
    int64_t refresh_interval_ms;
    /* SD_STATIC: all static_configs of one list */
    const struct sd_static_group *groups;
    size_t group_count;
    /* SD_FILE */
    const struct str *files; /* globs, absolute */
    size_t file_count;
    /* SD_DOCKER */
    struct str host;
    uint16_t port;                   /* default 80 */
    struct str host_networking_host; /* default localhost */
    bool match_first_network;        /* default true */
    const struct sd_filter *filters;
    size_t filter_count;
    struct http_config http;
};

struct sd_config_set {
    struct str name; /* job name, or config-<index> of Alertmanagers */
    const struct sd_config *configs;
    size_t config_count;
};

/* "docker" for the metric label mechanism */
const char *sd_kind_name(enum sd_kind kind);

/* Do two configurations mean the same? Values are compared, secrets included. Pure. */
bool sd_config_equal(const struct sd_config *a, const struct sd_config *b);

/* ---- running ---- */

struct sd_group {
    struct str source;            /* unique within its provider: "0", "/etc/x.json:0", "Docker" */
    const struct labels *targets; /* each holds __address__ at least */
    size_t target_count;
    struct labels labels; /* of the group; a target's own labels win */
};

/* One set's groups; immutable, shared by reference count. */
struct sd_update;
struct str sd_update_set_name(const struct sd_update *u);
const struct sd_group *sd_update_groups(const struct sd_update *u, size_t *out_count);
struct sd_update *sd_update_ref(struct sd_update *u);
void sd_update_unref(struct sd_update *u);

/* Called on the discovery thread, at most every update interval (5 s; the first at once) per set
 * and once after each apply; must not block for long. update is borrowed. */
typedef void sd_update_fn(void *ctx, struct sd_update *update);

struct sd_manager;

struct sd_options {
    const char *name; /* "scrape" or "notify": metric label and thread name */
    struct vfs *vfs;
    struct clock *clock;
    struct transport *transport; /* taken */
    struct log *log;
    struct metric_registry *registry;
    sd_update_fn *on_update;
    void *ctx;
    int64_t update_interval_ns; /* 0 = 5 s */
};

struct sd_manager *sd_manager_new(const struct sd_options *options);
void sd_manager_start(struct sd_manager *m);
/* Replaces all sets; providers whose config did not change go on with their targets. g is
 * referenced while its configs are in use. */
void sd_manager_apply(struct sd_manager *m, struct generation *g, const struct sd_config_set *sets,
                      size_t n);
/* Stops the thread and frees. */
void sd_manager_free(struct sd_manager *m);

#endif
