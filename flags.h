/* The server's command line: Prometheus' flags (spec/config.md section 13) and Brasa's own, from
 * one table (flags_table.c).
 *
 * The syntax is that of kingpin: --name=value, --name value, --switch, --no-switch, repeated flags
 * where the table says so, @file for one argument a line, -- ends the flags. Strings of a struct
 * flags live in the arena given to flags_parse. One thread. */
#ifndef FLAGS_H
#define FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/vfs.h"

struct str_list {
    const struct str *items;
    size_t count;
};

/* Durations in ms, sizes in bytes. What is 0 or "" by default means "not given" or, where the
 * help text says so, "automatic". */
struct flags {
    struct str config_file;
    bool config_auto_reload;
    int64_t config_auto_reload_interval_ms;

    struct str_list web_listen_address;
    struct str web_config_file;
    int64_t web_read_timeout_ms;
    int64_t web_max_connections, web_max_client_connections;
    int64_t web_max_notifications_subscribers;
    struct str web_external_url, web_route_prefix, web_user_assets;
    bool web_enable_lifecycle, web_enable_admin_api;
    bool web_enable_remote_write_receiver, web_enable_otlp_receiver;
    struct str_list web_accepted_protobuf_messages;
    struct str web_console_templates, web_console_libraries;
    struct str web_page_title;
    struct str web_cors_origin;
    int64_t web_search_max_limit;

    struct str storage_path;
    int64_t storage_min_block_ms, storage_max_block_ms, storage_block_reload_interval_ms;
    int64_t storage_max_chunk_segment_bytes, storage_wal_segment_bytes;
    int64_t storage_retention_ms, storage_retention_bytes;
    bool storage_prometheus_read_only;
    bool storage_no_lockfile, storage_allow_overlapping_compaction, storage_wal_compression;
    struct str storage_wal_compression_type;
    int64_t storage_head_chunks_write_queue_size, storage_samples_per_chunk;
    int64_t storage_compaction_delay_percent;
    struct str storage_delay_compact_file;
    int64_t storage_wal_sync_interval_ms; /* 0: every commit */
    int64_t storage_max_series;           /* 0: from the memory limit */

    struct str agent_path, agent_wal_compression_type;
    int64_t agent_wal_segment_bytes, agent_wal_truncate_ms;
    int64_t agent_retention_min_ms, agent_retention_max_ms;
    int64_t agent_checkpoint_batch_size;
    bool agent_wal_compression, agent_checkpoint_from_memory, agent_no_lockfile;

    int64_t remote_flush_deadline_ms;
    int64_t remote_read_sample_limit, remote_read_concurrent_limit, remote_read_frame_bytes;

    int64_t rules_outage_tolerance_ms, rules_grace_period_ms, rules_resend_delay_ms;
    int64_t rules_max_concurrent_evals;

    bool scrape_adjust_timestamps;
    int64_t scrape_timestamp_tolerance_ns;
    int64_t scrape_discovery_reload_interval_ms;
    int64_t scrape_max_body_bytes;
    bool scrape_deny_link_local;
    struct str scrape_failure_log_file;
    bool scrape_failure_reason_series;

    int64_t alertmanager_queue_capacity, alertmanager_batch_size;
    bool alertmanager_drain_on_shutdown;

    int64_t query_lookback_ms, query_timeout_ms;
    int64_t query_max_concurrency, query_max_samples;
    int64_t query_max_memory_bytes; /* 0: a quarter of the memory limit */

    int64_t memory_limit_bytes; /* 0: from the control group */
    bool auto_gomaxprocs, auto_gomemlimit;
    double auto_gomemlimit_ratio;
    int64_t auto_gomemlimit_refresh_ms;

    struct str_list features; /* split at commas; names are not checked */
    bool agent;
    enum log_level log_level;
    enum log_format log_format;

    /* Flags that were given and have no effect in this version, as "--name": worth a warning. */
    struct str_list without_effect;
};

enum flags_wish { FLAGS_RUN, FLAGS_HELP, FLAGS_VERSION };

/* Parses the arguments after the program's name. ERR_INVALID with kingpin's texts ("unknown long
 * flag '--x'"); ERR_UNSUPPORTED for a flag that cannot be ignored safely. @file is read through
 * vfs. --help and --version win over everything behind them. */
MUST_CHECK enum err_code flags_parse(struct arena *arena, struct vfs *vfs, int argc,
                                     char *const *argv, struct flags *out,
                                     enum flags_wish *out_wish, struct err *err);

/* The help text. */
void flags_usage(struct buf *to);

struct flag_value {
    struct str name, value;
};

/* Every flag and its value as /status/flags shows it, sorted by name; in the arena. */
const struct flag_value *flags_list(const struct flags *flags, struct arena *arena,
                                    size_t *out_count);

#endif
