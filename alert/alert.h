/* Rules and alerts: rule files, groups on their schedule, alert states, notifications to
 * Alertmanagers (spec/rules-alerts.md).
 *
 * Owner: main. Threads: one for the schedule and evaluations, one for sending. Snapshot
 * functions may be called from any thread. */
#ifndef ALERT_ALERT_H
#define ALERT_ALERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/generation.h"
#include "base/http_config.h"
#include "base/labels.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/relabel.h"
#include "base/transport.h"
#include "base/vfs.h"
#include "query/query.h"
#include "scrape/sd.h"
#include "tsdb/storage.h"

/* ---- configuration; lives in a generation ---- */

struct alertmanager_config {
    struct str scheme, path_prefix;
    int64_t timeout_ms;
    struct http_config http;
    struct relabel_rules relabel, alert_relabel;
    struct sd_config_set sd; /* named config-<index> */
};

struct alerting_config {
    struct relabel_rules alert_relabel;
    const struct alertmanager_config *alertmanagers;
    size_t alertmanager_count;
};

struct rules_config {
    const struct str *files; /* globs, absolute */
    size_t file_count;
    int64_t evaluation_interval_ms;
    int64_t query_offset_ms;
    struct labels external_labels;
    struct str external_url;
};

/* ---- notifier ---- */

struct notifier;

struct notifier_options {
    struct transport *transport; /* taken */
    struct clock *clock;
    struct log *log;
    struct metric_registry *registry;
    size_t queue_capacity; /* 10000 */
    size_t batch_size;     /* 256 */
    bool drain_on_shutdown;
};

struct alert_message {
    struct labels labels, annotations;
    int64_t starts_at_ms, ends_at_ms;
    struct str generator_url;
};

struct notifier *notifier_new(const struct notifier_options *options);
void notifier_start(struct notifier *n);
MUST_CHECK enum err_code notifier_apply(struct notifier *n, struct generation *g,
                                        const struct alerting_config *config,
                                        struct labels external_labels, struct err *err);
/* Fits sd_options.on_update. */
void notifier_update(void *notifier, struct sd_update *update);
/* Copies the alerts to the queues; never blocks. */
void notifier_send(struct notifier *n, const struct alert_message *alerts, size_t count);
void notifier_free(struct notifier *n);
/* URLs of active and dropped Alertmanagers. */
void notifier_alertmanagers(struct notifier *n, struct arena *arena, struct str **active,
                            size_t *active_count, struct str **dropped, size_t *dropped_count);

/* ---- rules ---- */

struct rule_manager;

struct rule_options {
    struct storage *storage;
    struct query_engine *engine;
    struct notifier *notifier;
    struct vfs *vfs;
    struct clock *clock;
    struct log *log;
    struct metric_registry *registry;
    int64_t outage_tolerance_ms; /* 1 h */
    int64_t grace_period_ms;     /* 10 m */
    int64_t resend_delay_ms;     /* 1 m */
    bool no_threads;             /* tests drive rule_manager_step */
};

struct rule_manager *rule_manager_new(const struct rule_options *options);
void rule_manager_start(struct rule_manager *m);
/* Loads all files; on any error the old groups keep running and the error names the file. */
MUST_CHECK enum err_code rule_manager_apply(struct rule_manager *m,
                                            const struct rules_config *config, struct err *err);
void rule_manager_free(struct rule_manager *m);
int64_t rule_manager_step(struct rule_manager *m); /* no_threads; returns the next due unix ns */

/* Checks rule files as the loader does, in the language of engine (NULL: without experimental
 * features). Every error goes to on_error as one line of text; *out_rules
 * counts the rules found. False if there was an error. */
bool rule_files_check(struct vfs *vfs, struct query_engine *engine, const char *path,
                      void (*on_error)(void *ctx, struct str text), void *ctx, size_t *out_rules);

/* The same with all that a check may ask for. */
struct rule_checking {
    struct query_engine *engine; /* as above */
    struct vfs *vfs;
    const char *path; /* NULL: text is checked */
    struct str text;  /* errors name no file then; outlives the result */
    bool any_fields;  /* fields that are not known are passed over */
};

struct rule_duplicate { /* several rules have this name and these labels */
    struct str name;    /* record or alert */
    struct labels labels;
};

struct rule_check_result {
    size_t rule_count;
    struct rule_duplicate *duplicates; /* by name, then labels */
    size_t duplicate_count;
};

/* What it finds lives in arena; *out is as good as empty after an error. */
bool rule_check_run(const struct rule_checking *check, struct arena *arena,
                    void (*on_error)(void *ctx, struct str text), void *ctx,
                    struct rule_check_result *out);

/* ---- rules under test (alert/rule_unit.c): evaluated when the caller says so ---- */

struct rule_session;

struct rule_session_options { /* all borrowed while the session lives */
    struct storage *storage;
    struct query_engine *engine;
    struct vfs *vfs;
    struct clock *clock;
    struct labels external_labels;
    struct str external_url;
    int64_t interval_ms; /* of groups that name none */
};

typedef void rule_session_error_fn(void *ctx, struct str rule, struct str text);
struct alert_info;

struct rule_session *rule_session_new(const struct rule_session_options *options);
void rule_session_free(struct rule_session *s);
/* Adds the groups of a file; errors as rule_files_check. */
bool rule_session_load(struct rule_session *s, const char *path,
                       void (*on_error)(void *ctx, struct str text), void *ctx);
/* Evaluation order: by place in names, groups that are not there as the first; else as loaded. */
void rule_session_order(struct rule_session *s, const struct str *names, size_t count);
/* Evaluates every group once; calls on_error for each rule that failed. */
void rule_session_evaluate(struct rule_session *s, int64_t ts_ms, rule_session_error_fn *on_error,
                           void *ctx);
/* The firing alerts of this name, as of the last evaluation. */
void rule_session_firing(const struct rule_session *s, struct str alertname, struct arena *arena,
                         struct alert_info **out, size_t *out_count);

/* ---- rules over the past (alert/rule_history.c): asked of a server, not evaluated here ---- */

struct rule_history {
    struct str name, expr;
    struct labels labels; /* as written, over those of the result */
    int64_t interval_ns;
    int64_t offset_ns; /* evaluations are at multiples of the interval plus this */
};

/* The rules of a file, in its order, alerting ones included; all in arena. interval_ms: of groups
 * that name none. Errors as rule_files_check; the result is NULL then. */
struct rule_history *rule_history_load(struct arena *arena, struct vfs *vfs,
                                       struct query_engine *engine, const char *path,
                                       int64_t interval_ms,
                                       void (*on_error)(void *ctx, struct str text), void *ctx,
                                       size_t *out_count);

/* ---- what the API shows ---- */

enum alert_state { ALERT_UNKNOWN, ALERT_INACTIVE, ALERT_PENDING, ALERT_FIRING };
enum rule_health { RULE_UNKNOWN, RULE_OK, RULE_ERR };

struct alert_info {
    struct labels labels, annotations;
    enum alert_state state;
    int64_t active_at_ms;
    int64_t keep_firing_since_ms; /* 0 = not */
    double value;
};

struct rule_info {
    bool alerting;
    struct str name, query;
    struct labels labels, annotations;
    int64_t for_ms, keep_firing_for_ms;
    enum alert_state state; /* alerting rules */
    enum rule_health health;
    struct str last_error;
    int64_t evaluation_ns;
    int64_t last_evaluation_unix_ns; /* 0 = never */
    struct alert_info *alerts;
    size_t alert_count;
};

struct rule_group_info {
    struct str name, file;
    int64_t interval_ms;
    int64_t limit;
    int64_t evaluation_ns;
    int64_t last_evaluation_unix_ns;
    struct rule_info *rules;
    size_t rule_count;
};

/* Sorted by file, then name. */
void rule_groups(struct rule_manager *m, struct arena *arena, struct rule_group_info **out,
                 size_t *out_count);

#endif
