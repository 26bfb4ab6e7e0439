/* Scraping: target groups in, rows into the storage (spec/scrape.md).
 *
 * Owner: main. Threads: one io thread (transport, timers, target clocks) and one worker per
 * shard (inflate, parse, relabel, commit); a target belongs to one shard for life. The snapshot
 * functions may be called from any thread. */
#ifndef SCRAPE_SCRAPE_H
#define SCRAPE_SCRAPE_H

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
#include "scrape/sd.h"
#include "tsdb/storage.h"

enum scrape_protocol {
    PROTOCOL_NONE,
    PROTOCOL_PROMETHEUS_PROTO,
    PROTOCOL_TEXT_0_0_4,
    PROTOCOL_TEXT_1_0_0,
    PROTOCOL_OPENMETRICS_0_0_1,
    PROTOCOL_OPENMETRICS_1_0_0,
};

struct scrape_param {
    struct str name;
    const struct str *values;
    size_t value_count;
};

/* One scrape_configs element with all defaults and globals filled in; lives in a generation. */
struct scrape_config {
    struct str job_name;
    int64_t interval_ms, timeout_ms;
    bool honor_labels, honor_timestamps, track_timestamps_staleness;
    bool enable_compression;
    struct str metrics_path, scheme;
    const struct scrape_param *params; /* sorted by name */
    size_t param_count;
    const enum scrape_protocol *protocols; /* resolved, in order of preference */
    size_t protocol_count;
    bool default_protocols; /* nobody chose them */
    enum scrape_protocol fallback_protocol;
    bool native_histograms, always_classic_histograms, convert_classic_to_nhcb, extra_metrics;
    bool default_extra_metrics; /* nobody chose: the feature decides */
    uint64_t body_size_limit;
    uint64_t sample_limit, target_limit, label_limit, label_name_length_limit,
        label_value_length_limit;
    uint64_t keep_dropped_targets;
    uint64_t native_histogram_bucket_limit;    /* 0 = none */
    double native_histogram_min_bucket_factor; /* 0 = none */
    struct str failure_log_file;               /* empty = none */
    enum name_scheme name_scheme;
    struct str escaping_scheme; /* allow-utf-8, underscores, dots, values */
    struct http_config http;
    struct relabel_rules relabel, metric_relabel;
    struct sd_config_set sd;
    struct str yaml; /* this element as /scrape_pools/config prints it; may be empty */
};

/* Which forms of histograms a target's page gives. */
struct scrape_histograms {
    bool native;      /* native ones as such, not their classic form */
    bool classic_too; /* the classic form of what is native or converted, too */
    bool convert;     /* classic ones to native ones with custom bounds */
};

/* Features that are off unless asked for (--enable-feature). */
enum {
    SCRAPE_EXEMPLARS = 1 << 0,     /* exemplar-storage */
    SCRAPE_START_ZERO = 1 << 1,    /* created-timestamp-zero-ingestion */
    SCRAPE_START_STORE = 1 << 2,   /* st-storage */
    SCRAPE_START_MAKE = 1 << 3,    /* st-synthesis */
    SCRAPE_META_LABELS = 1 << 4,   /* type-and-unit-labels */
    SCRAPE_REASONS = 1 << 5,       /* scrape_failure_reason: --scrape.failure-reason-series */
    SCRAPE_EXTRA_METRICS = 1 << 6, /* extra-scrape-metrics */
};

struct scrape_manager;

struct scrape_options {
    struct storage *storage;
    struct transport *transport; /* taken */
    struct clock *clock;
    struct log *log;
    struct metric_registry *registry;
    struct str fqdn;                /* seeds the scrape offsets */
    bool adjust_timestamps;         /* default true */
    int64_t timestamp_tolerance_ns; /* default 2 ms */
    uint64_t max_body_bytes;        /* --scrape.max-body-size, default 256 MiB */
    unsigned features;              /* SCRAPE_* bits */
    bool deny_link_local;           /* --scrape.deny-link-local */
    struct str failure_log_file;    /* of jobs that name none; "" = none */
    struct vfs *vfs;                /* of failure logs; NULL = the system's */
    bool no_threads;                /* tests drive scrape_manager_step */
};

struct scrape_manager *scrape_manager_new(const struct scrape_options *options);
void scrape_manager_start(struct scrape_manager *m);
/* A new configuration: pools whose config is equal go on, changed ones restart as spec/scrape.md
 * section 6 says, missing ones stop. external_labels seed the offsets. */
MUST_CHECK enum err_code scrape_manager_apply(struct scrape_manager *m, struct generation *g,
                                              const struct scrape_config *configs, size_t n,
                                              struct labels external_labels, struct err *err);
/* Fits sd_options.on_update: the set's name is the job. */
void scrape_manager_update(void *manager, struct sd_update *update);
/* Stops loops (no end-of-run markers at shutdown), joins threads, frees. */
void scrape_manager_free(struct scrape_manager *m);
/* no_threads: runs what is due now and returns the monotonic time of the next thing to do. */
int64_t scrape_manager_step(struct scrape_manager *m);

/* ---- what the API shows ---- */

enum target_health { TARGET_UNKNOWN, TARGET_UP, TARGET_DOWN };

/* Why a scrape failed: a few values that do not change with the text of the error. */
enum scrape_failure {
    FAILURE_NONE,
    FAILURE_TIMEOUT,
    FAILURE_LOOKUP,
    FAILURE_CONNECT,
    FAILURE_TLS,
    FAILURE_HTTP, /* connected, but no proper answer */
    FAILURE_TOKEN,
    FAILURE_REDIRECT,
    FAILURE_REQUEST, /* could not be made: a secret's file, a URL */
    FAILURE_STATUS,
    FAILURE_BODY_SIZE,
    FAILURE_ENCODING,
    FAILURE_CONTENT_TYPE,
    FAILURE_PARSE,
    FAILURE_SAMPLE_LIMIT,
    FAILURE_LABEL_LIMIT,
    FAILURE_BUCKET_LIMIT,
    FAILURE_TARGET_LIMIT,
    FAILURE_OVERLOAD, /* too many scraped bytes wait, or new series took too long */
    FAILURE_STORAGE,
    FAILURE_COUNT
};

/* "timeout", "body_size", ...; "" for none. */
struct str scrape_failure_name(enum scrape_failure failure);

/* What the last scrape read. */
struct scrape_counts {
    int64_t body_bytes; /* uncompressed; -1 = the limit was hit */
    uint64_t samples, samples_kept, series_added;
};

/* Equal errors in a row. */
struct target_error {
    struct str reason, text;
    int64_t first_unix_ns, last_unix_ns;
    uint64_t count;
};

struct target_info {
    struct str pool;
    struct labels discovered; /* before relabelling */
    struct labels labels;     /* public ones; empty for dropped targets */
    struct str url;
    struct str last_error;
    int64_t last_scrape_unix_ns; /* 0 = never */
    int64_t last_duration_ns;
    enum target_health health;
    int64_t interval_ms, timeout_ms;
    /* beyond what Prometheus shows */
    enum scrape_failure failure;
    struct str failure_reason; /* its name */
    int64_t since_unix_ns;     /* health and failure are as they are; 0 = never scraped */
    struct scrape_counts counts;
    uint64_t sample_limit;             /* 0 = none */
    uint64_t body_limit_bytes;         /* always one */
    const struct target_error *errors; /* newest first, a few */
    size_t error_count;
};

struct targets_snapshot {
    struct target_info *active; /* by pool, in a stable order */
    size_t active_count;
    struct target_info *dropped; /* limited by keep_dropped_targets */
    size_t dropped_count;
    struct str *pools; /* sorted; with dropped_counts */
    uint64_t *dropped_counts;
    size_t pool_count;
};

void scrape_targets(struct scrape_manager *m, struct arena *arena, struct targets_snapshot *out);

/* Metadata of a family as some target exposes it. */
struct metric_metadata {
    struct str family, type, unit, help;
    struct labels target; /* of the target it was seen on */
};

/* Calls fn for every active target's metadata (of one family, or of all with family.len == 0)
 * until it returns false. Strings are borrowed for the call. */
void scrape_each_metadata(struct scrape_manager *m, struct str family,
                          bool (*fn)(void *ctx, const struct metric_metadata *md), void *ctx);

#endif
