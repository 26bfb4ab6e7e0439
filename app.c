/* START: configuration, listening sockets (a start that fails for a taken port changes no data),
 * data folder, notifier, rules, scraping, discovery, web server; then the configuration is applied
 * and threads start. STOP is the reverse, but the web server goes first: nobody may ask modules that
 * are being freed.
 *
 * CONCURRENCY. reload_mu serialises reloads (signal, POST /-/reload). status_mu guards what the
 * status pages show. Lock order: reload_mu, then the modules' own, then status_mu. */
#include "app.h"

#include <glob.h>
#include <signal.h>
#include <unistd.h>

#include "base/check.h"
#include "base/duration.h"
#include "base/mem.h"
#include "base/mutex.h"
#include "base/transport.h"
#include "config.h"
#include "config_size.h"
#include "memory_limit.h"
#include "process_metrics.h"
#include "tsdb/prom_storage.h"
#include "tsdb/tsdb.h"
#include "web/web.h"

#define USER_AGENT STR("Prometheus/3.14.0")

#define RETENTION_DEFAULT_MS (INT64_C(15) * 24 * 3600 * 1000)

enum { WEB_WORKERS = 8 };

struct app {
    const struct flags *flags;
    struct arena *arena;
    struct log *log;
    struct clock *clock;
    struct metric_registry *registry;
    struct process_metrics *process;
    struct metric *reload_successful, *reload_seconds;
    struct tsdb *db;
    struct prom_storage *prom; /* instead of db: a folder of Prometheus that is only read */
    struct query_engine *engine;
    struct notifier *notifier;
    struct rule_manager *rules;
    struct scrape_manager *scrapes;
    struct sd_manager *scrape_sd, *notify_sd;
    struct web_sockets *sockets; /* until web has them */
    struct web *web;
    struct str external_url;
    const char *config_path;
    int64_t start_unix_ns;
    struct mutex reload_mu;
    struct mutex status_mu;
    /* under status_mu */
    struct config *config;
    bool reload_ok;
    int64_t config_unix_ns;
};

static void init_locks(struct app *app) {
    mutex_init(&app->reload_mu);
    mutex_init(&app->status_mu);
}

/* One series in so much memory: about a hundred times what it needs, which leaves room for queries and
 * for series that ended but are not cut yet. */
enum { SERIES_BUDGET_BYTES = 8 << 10 };

/* ---- configuration ---- */

struct rule_check {
    struct app *app;
    bool failed;
};

static void on_rule_error(void *ctx, struct str text) {
    struct rule_check *check = ctx;
    check->failed = true;
    log_error(check->app->log, "main", "loading groups failed", log_str("err", text));
}

/* All rule files, before anything starts: a typo must not be found an hour later. */
static bool rules_are_good(struct app *app, const struct config *config) {
    struct rule_check check = {.app = app};
    for (size_t i = 0; i < config->rules.file_count; i++) {
        glob_t found = {.gl_pathc = 0};
        const char *pattern = arena_cstr(app->arena, config->rules.files[i]);
        if (glob(pattern, 0, NULL, &found) == 0) {
            for (size_t k = 0; k < found.gl_pathc; k++) {
                size_t rule_count = 0;
                (void)rule_files_check(vfs_system(), app->engine, found.gl_pathv[k], on_rule_error,
                                       &check, &rule_count);
            }
        }
        globfree(&found);
    }
    return !check.failed;
}

static enum err_code load_config(struct app *app, struct config **out, struct err *err) {
    const struct flags *f = app->flags;
    const bool none = f->storage_retention_ms == 0 && f->storage_retention_bytes == 0;
    const struct config_defaults defaults = {
        .retention = {.time_ms = none ? RETENTION_DEFAULT_MS : f->storage_retention_ms,
                      .size_bytes = f->storage_retention_bytes}};
    return config_load_with(vfs_system(), app->config_path, &defaults, app->log, out, err);
}

static bool has_feature(const struct flags *f, struct str name) {
    for (size_t i = 0; i < f->features.count; i++) {
        if (str_eq(f->features.items[i], name)) {
            return true;
        }
    }
    return false;
}

static struct storage *storage_of(const struct app *app) {
    return app->prom != NULL ? prom_storage_as_storage(app->prom) : tsdb_storage(app->db);
}

static size_t max_exemplars(const struct app *app, const struct config *config) {
    const bool keeps = has_feature(app->flags, STR("exemplar-storage"));
    return keeps && config->max_exemplars > 0 ? (size_t)config->max_exemplars : 0;
}

static struct retention_limits retention_of(const struct config *config) {
    return (struct retention_limits){.time_ms = config->retention.time_ms,
                                     .size_bytes = config->retention.size_bytes,
                                     .percent = config->retention.percent};
}

/* As the status page has it: "15d", "15d or 1GiB". */
static struct str retention_text(struct arena *arena, const struct config *config) {
    struct buf text;
    buf_init(&text, 256);
    if (config->retention.time_ms != 0) {
        duration_format_ms(&text, config->retention.time_ms);
    }
    if (config->retention.size_bytes != 0) {
        buf_append_cstr(&text, text.len != 0 ? " or " : "");
        size_format(&text, config->retention.size_bytes);
    }
    if (config->retention.percent != 0) {
        buf_append_cstr(&text, text.len != 0 ? " or " : "");
        buf_append_number_g(&text, config->retention.percent);
        buf_append_cstr(&text, "%");
    }
    const struct str out = arena_str(arena, buf_str(&text));
    buf_release(&text);
    return out;
}

static enum err_code apply_to_queries(struct app *app, const struct config *config,
                                      struct err *err) {
    struct arena scratch;
    arena_init(&scratch, 0);
    query_engine_set_default_step(app->engine, config->evaluation_interval_ms);
    const enum err_code code =
        query_engine_set_log(app->engine, arena_cstr(&scratch, config->query_log_file), err);
    arena_release(&scratch);
    if (code != ERR_OK) {
        log_error(app->log, "main", "Failed to apply configuration", log_err(err));
    }
    return code;
}

/* Every part is tried, as in Prometheus; the first error is returned. Where nothing is written there
 * is nothing to scrape and no rule to evaluate. */
static enum err_code apply(struct app *app, struct config *config, struct err *err) {
    struct err part;
    enum err_code code = apply_to_queries(app, config, err);
    if (app->prom != NULL) {
        return code;
    }
    tsdb_set_max_exemplars(app->db, max_exemplars(app, config));
    const struct retention_limits retention = retention_of(config);
    tsdb_set_retention(app->db, &retention);
    tsdb_set_late_window(app->db, config->out_of_order_window_ms);

    enum err_code done = scrape_manager_apply(app->scrapes, config->generation, config->scrapes,
                                              config->scrape_count, config->external_labels, &part);
    if (done != ERR_OK) {
        log_error(app->log, "main", "Failed to apply configuration", log_err(&part));
        code = err_set(err, done, "%s", part.text);
    }
    struct sd_config_set *sets = mem_array(config->scrape_count + 1, sizeof(*sets));
    for (size_t i = 0; i < config->scrape_count; i++) {
        sets[i] = config->scrapes[i].sd;
    }
    sd_manager_apply(app->scrape_sd, config->generation, sets, config->scrape_count);
    mem_free(sets);

    done = notifier_apply(app->notifier, config->generation, &config->alerting,
                          config->external_labels, &part);
    if (done != ERR_OK) {
        log_error(app->log, "main", "Failed to apply configuration", log_err(&part));
        code = code != ERR_OK ? code : err_set(err, done, "%s", part.text);
    }
    sets = mem_array(config->alerting.alertmanager_count + 1, sizeof(*sets));
    for (size_t i = 0; i < config->alerting.alertmanager_count; i++) {
        sets[i] = config->alerting.alertmanagers[i].sd;
    }
    sd_manager_apply(app->notify_sd, config->generation, sets, config->alerting.alertmanager_count);
    mem_free(sets);

    struct rules_config rules = config->rules;
    rules.external_url = app->external_url;
    done = rule_manager_apply(app->rules, &rules, &part);
    if (done != ERR_OK) {
        log_error(app->log, "main", "Failed to apply configuration", log_err(&part));
        code = code != ERR_OK ? code : err_set(err, done, "%s", part.text);
    }
    return code;
}

static void note_reload(struct app *app, bool ok, struct config *config) {
    mutex_lock(&app->status_mu);
    app->reload_ok = ok;
    struct config *old = NULL;
    if (config != NULL) {
        old = app->config;
        app->config = config;
    }
    if (ok) {
        app->config_unix_ns = clock_unix_ns(app->clock);
        metric_set(app->reload_seconds, (double)app->config_unix_ns / 1e9);
    }
    mutex_unlock(&app->status_mu);
    metric_set(app->reload_successful, ok ? 1 : 0);
    config_unref(old);
}

enum err_code app_reload(struct app *app, struct err *err) {
    mutex_lock(&app->reload_mu);
    log_info(app->log, "main", "Loading configuration file",
             log_str("filename", app->flags->config_file));
    struct config *config = NULL;
    enum err_code code = load_config(app, &config, err);
    if (code != ERR_OK) {
        (void)err_wrap(err, "couldn't load configuration (--config.file=\"%.*s\")",
                       STR_ARG(app->flags->config_file));
    } else {
        code = apply(app, config, err);
        if (code != ERR_OK) {
            (void)err_wrap(err,
                           "one or more errors occurred while applying the new configuration "
                           "(--config.file=\"%.*s\")",
                           STR_ARG(app->flags->config_file));
        }
    }
    note_reload(app, code == ERR_OK, config);
    if (code == ERR_OK) {
        log_info(app->log, "main", "Completed loading of configuration file",
                 log_str("filename", app->flags->config_file));
    } else {
        log_error(app->log, "main", "Error reloading config", log_err(err));
    }
    mutex_unlock(&app->reload_mu);
    return code;
}

/* ---- what the status pages ask ---- */

static void on_status(void *ctx, struct arena *arena, struct web_status *out) {
    struct app *app = ctx;
    mutex_lock(&app->status_mu);
    *out = (struct web_status){
        .config_yaml = app->config != NULL ? arena_str(arena, app->config->text) : STR(""),
        .reload_ok = app->reload_ok,
        .last_config_unix_ns = app->config_unix_ns,
        .start_unix_ns = app->start_unix_ns,
        .storage_retention = app->config != NULL ? retention_text(arena, app->config) : STR(""),
        .storage_read_only = app->prom != NULL,
    };
    mutex_unlock(&app->status_mu);
}

static enum err_code on_reload(void *ctx, struct err *err) {
    return app_reload(ctx, err);
}

static void on_quit(void *ctx) {
    (void)ctx;
    (void)kill(getpid(), SIGTERM);
}

static enum err_code on_snapshot(void *ctx, bool skip_head, char name[WEB_SNAPSHOT_NAME_MAX],
                                 struct err *err) {
    const struct app *app = ctx;
    if (app->prom != NULL) {
        return err_set(err, ERR_UNSUPPORTED, "the data of Prometheus is opened for reading only");
    }
    return tsdb_snapshot(app->db, skip_head, name, err);
}

/* ---- making the parts ---- */

static enum err_code open_prometheus(struct app *app, const char *path, struct err *err) {
    struct storage_stats stats;
    const struct prom_storage_options options = {
        .vfs = vfs_system(),
        .path = path,
        .log = app->log,
        .log_bytes_max = memory_limit_bytes(app->flags, vfs_system()) / 2, /* the rest: queries */
    };
    const enum err_code code = prom_storage_open(&options, &app->prom, err);
    if (code == ERR_OK) {
        storage_stats(storage_of(app), &stats);
        log_info(app->log, "tsdb", "Data of Prometheus opened for reading only",
                 log_u64("series", stats.series_count), log_u64("chunks", stats.chunk_count));
        log_warn(app->log, "tsdb", "Nothing is scraped and no rule is evaluated");
    }
    return code;
}

/* Pages that queries read are kept in a thousandth of the memory, within bounds; they go when nobody asked
 * for them for ten minutes. */
static size_t page_cache_bytes(uint64_t limit) {
    enum { SHARE = 1024, LEAST_SHARE = 16 };
    const uint64_t least = UINT64_C(8) << 20;
    const uint64_t most = UINT64_C(256) << 20;
    const uint64_t bytes = limit / SHARE < least ? least : limit / SHARE;
    const uint64_t bounded = bytes > most ? most : bytes;
    return limit != 0 && bounded > limit / LEAST_SHARE ? (size_t)(limit / LEAST_SHARE) + 1
                                                       : (size_t)bounded;
}

static enum err_code open_database(struct app *app, const struct config *config, struct err *err) {
    const struct flags *f = app->flags;
    struct tsdb_options options;
    tsdb_options_default(&options);
    options.path = arena_cstr(app->arena, f->storage_path);
    if (f->storage_prometheus_read_only) {
        return open_prometheus(app, options.path, err);
    }
    if (prom_storage_is_there(vfs_system(), options.path)) {
        return err_set(err, ERR_EXISTS,
                       "%s holds data of Prometheus: take it over into another folder with brasa "
                       "tsdb import, or serve it with --storage.prometheus-read-only",
                       options.path);
    }
    options.vfs = vfs_system();
    options.clock = app->clock;
    options.rng = rng_system();
    options.log = app->log;
    options.registry = app->registry;
    options.wal_sync_interval_ns = f->storage_wal_sync_interval_ms * NS_PER_MS;
    options.page_cache_bytes = page_cache_bytes(memory_limit_bytes(f, vfs_system()));
    options.max_series = f->storage_max_series != 0
                             ? (uint64_t)f->storage_max_series
                             : memory_limit_bytes(f, vfs_system()) / SERIES_BUDGET_BYTES;
    options.no_lock_file = f->storage_no_lockfile;
    options.max_exemplars = max_exemplars(app, config);
    options.late_window_ms = config->out_of_order_window_ms;
    options.partition_ms = f->storage_min_block_ms;
    options.partition_max_ms = f->storage_max_block_ms;
    struct tsdb_replay_stats stats = {.series = 0};
    const enum err_code code = tsdb_open(&options, &app->db, &stats, err);
    if (code != ERR_OK) {
        return code;
    }
    log_info(app->log, "tsdb", "TSDB started", log_u64("series", stats.series),
             log_u64("wal_records", stats.wal_records), log_u64("wal_bytes", stats.wal_bytes),
             log_u64("torn_bytes", stats.torn_bytes),
             log_u64("damaged_records", stats.damaged_records),
             log_duration_ns("duration", stats.duration_ns));
    return ERR_OK;
}

/* All queries together may use half of the memory, the other half is the database's and the
 * scrapes'; one query a quarter. */
static void set_query_memory(const struct flags *f, struct query_options *options) {
    const uint64_t limit = memory_limit_bytes(f, vfs_system());
    if (limit > 0) {
        options->max_memory_bytes = limit / 4;
        options->max_total_memory_bytes = limit / 2;
    }
    if (f->query_max_memory_bytes > 0) {
        options->max_memory_bytes = (uint64_t)f->query_max_memory_bytes;
    }
}

static void make_engine(struct app *app) {
    const struct flags *f = app->flags;
    struct query_options options;
    query_options_default(&options);
    options.clock = app->clock;
    options.log = app->log;
    options.registry = app->registry;
    options.lookback_ms = f->query_lookback_ms;
    options.timeout_ms = f->query_timeout_ms;
    options.max_samples = (uint64_t)f->query_max_samples;
    options.max_concurrency = (uint32_t)f->query_max_concurrency;
    set_query_memory(f, &options);
    options.experimental_functions = has_feature(f, STR("promql-experimental-functions"));
    options.extended_range_selectors = has_feature(f, STR("promql-extended-range-selectors"));
    options.binop_fill_modifiers = has_feature(f, STR("promql-binop-fill-modifiers"));
    options.delayed_name_removal = has_feature(f, STR("promql-delayed-name-removal"));
    options.per_step_stats = has_feature(f, STR("promql-per-step-stats"));
    options.vfs = vfs_system();
    options.use_start_timestamps = has_feature(f, STR("use-start-timestamps"));
    app->engine = query_engine_new(&options);
}

/* Without the file the server works as well: what it is for is rare. */
static void record_active_queries(struct app *app) {
    if (app->prom != NULL) {
        return; /* not into a folder that is only read */
    }
    const struct str path =
        arena_printf(app->arena, "%.*s/queries.active", STR_ARG(app->flags->storage_path));
    struct err err;
    if (query_engine_record_active(app->engine, path.ptr, &err) != ERR_OK) {
        log_error(app->log, "main", "Running queries are not recorded", log_err(&err));
    }
}

static void make_alerting(struct app *app) {
    const struct flags *f = app->flags;
    app->notifier = notifier_new(&(struct notifier_options){
        .transport = transport_curl_new(USER_AGENT),
        .clock = app->clock,
        .log = app->log,
        .registry = app->registry,
        .queue_capacity = (size_t)f->alertmanager_queue_capacity,
        .batch_size = (size_t)f->alertmanager_batch_size,
        .drain_on_shutdown = f->alertmanager_drain_on_shutdown,
    });
    app->rules = rule_manager_new(&(struct rule_options){
        .storage = storage_of(app),
        .engine = app->engine,
        .notifier = app->notifier,
        .vfs = vfs_system(),
        .clock = app->clock,
        .log = app->log,
        .registry = app->registry,
        .outage_tolerance_ms = f->rules_outage_tolerance_ms,
        .grace_period_ms = f->rules_grace_period_ms,
        .resend_delay_ms = f->rules_resend_delay_ms,
    });
}

static struct str host_name(struct app *app) {
    char name[256] = "";
    if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0') {
        return STR("localhost");
    }
    return arena_str(app->arena, str_of(name));
}

static unsigned scrape_features(const struct flags *f) {
    unsigned features = 0;
    features |= has_feature(f, STR("exemplar-storage")) ? SCRAPE_EXEMPLARS : 0U;
    features |= has_feature(f, STR("created-timestamp-zero-ingestion")) ? SCRAPE_START_ZERO : 0U;
    features |= has_feature(f, STR("st-storage")) ? SCRAPE_START_STORE : 0U;
    features |= has_feature(f, STR("st-synthesis")) ? SCRAPE_START_MAKE : 0U;
    features |= has_feature(f, STR("type-and-unit-labels")) ? SCRAPE_META_LABELS : 0U;
    features |= has_feature(f, STR("extra-scrape-metrics")) ? SCRAPE_EXTRA_METRICS : 0U;
    features |= f->scrape_failure_reason_series ? SCRAPE_REASONS : 0U;
    return features;
}

static void make_scraping(struct app *app) {
    const struct flags *f = app->flags;
    app->scrapes = scrape_manager_new(&(struct scrape_options){
        .storage = storage_of(app),
        .transport = transport_curl_new(USER_AGENT),
        .clock = app->clock,
        .log = app->log,
        .registry = app->registry,
        .fqdn = host_name(app),
        .adjust_timestamps = f->scrape_adjust_timestamps,
        .timestamp_tolerance_ns = f->scrape_timestamp_tolerance_ns,
        .max_body_bytes = (uint64_t)f->scrape_max_body_bytes,
        .deny_link_local = f->scrape_deny_link_local,
        .failure_log_file = f->scrape_failure_log_file,
        .features = scrape_features(f),
    });
    app->scrape_sd = sd_manager_new(&(struct sd_options){
        .name = "scrape",
        .vfs = vfs_system(),
        .clock = app->clock,
        .transport = transport_curl_new(USER_AGENT),
        .log = app->log,
        .registry = app->registry,
        .on_update = scrape_manager_update,
        .ctx = app->scrapes,
        .update_interval_ns = f->scrape_discovery_reload_interval_ms * NS_PER_MS,
    });
    app->notify_sd = sd_manager_new(&(struct sd_options){
        .name = "notify",
        .vfs = vfs_system(),
        .clock = app->clock,
        .transport = transport_curl_new(USER_AGENT),
        .log = app->log,
        .registry = app->registry,
        .on_update = notifier_update,
        .ctx = app->notifier,
    });
}

static struct str port_of(struct str listen) {
    const ptrdiff_t colon = str_rfind_char(listen, ':');
    return colon < 0 ? STR("9090") : str_from(listen, (size_t)colon + 1);
}

/* With the port that was bound: the one asked for may be 0, any that is free. */
static struct str bound_address(const struct app *app, size_t listener) {
    const struct str asked = app->flags->web_listen_address.items[listener];
    const ptrdiff_t colon = str_rfind_char(asked, ':');
    ASSERT(colon >= 0); /* else it could not be bound */
    return arena_printf(app->arena, "%.*s:%u", (int)colon, asked.ptr, web_port(app->web, listener));
}

static bool is_loopback(struct str listen) {
    return str_starts(listen, STR("127.")) || str_starts(listen, STR("localhost:")) ||
           str_starts(listen, STR("[::1]:"));
}

static enum err_code start_web(struct app *app, struct err *err) {
    const struct flags *f = app->flags;
    size_t flag_count = 0;
    const struct flag_value *list = flags_list(f, app->arena, &flag_count);
    struct web_flag *shown = arena_alloc(app->arena, (flag_count + 1) * sizeof(*shown));
    for (size_t i = 0; i < flag_count; i++) {
        shown[i] = (struct web_flag){list[i].name, list[i].value};
    }
    const struct web_options options = {
        .listen = f->web_listen_address.items,
        .listen_count = f->web_listen_address.count,
        .sockets = app->sockets,
        .external_url = app->external_url,
        .route_prefix = f->web_route_prefix,
        .max_connections = (size_t)f->web_max_connections,
        .max_client_connections = (size_t)f->web_max_client_connections,
        .read_timeout_ms = f->web_read_timeout_ms,
        .cors_origin = f->web_cors_origin,
        .enable_lifecycle = f->web_enable_lifecycle,
        .enable_admin_api = f->web_enable_admin_api,
        .enable_remote_write = f->web_enable_remote_write_receiver,
        .keep_start_timestamps = has_feature(f, STR("st-storage")),
        .type_and_unit_labels = has_feature(f, STR("type-and-unit-labels")),
        .page_title = f->web_page_title,
        .flags = shown,
        .flag_count = flag_count,
        .worker_count = WEB_WORKERS,
        .vfs = vfs_system(),
        .clock = app->clock,
        .log = app->log,
        .registry = app->registry,
        .storage = storage_of(app),
        .engine = app->engine,
        .scrapes = app->scrapes,
        .rules = app->rules,
        .notifier = app->notifier,
        .ctx = app,
        .status = on_status,
        .reload = on_reload,
        .quit = on_quit,
        .snapshot = on_snapshot,
    };
    const enum err_code code = web_start(&options, &app->web, err);
    web_sockets_close(app->sockets);
    app->sockets = NULL;
    for (size_t i = 0; i < f->web_listen_address.count && code == ERR_OK; i++) {
        const struct str listen = bound_address(app, i);
        log_info(app->log, "web", "Start listening for connections", log_str("address", listen));
        if (!is_loopback(listen)) {
            log_warn(app->log, "web", "This address is open to the network without authentication",
                     log_str("address", listen));
        }
    }
    return code;
}

static void warn_about_flags(struct app *app) {
    for (size_t i = 0; i < app->flags->without_effect.count; i++) {
        log_warn(app->log, "main", "This flag has no effect in this version",
                 log_str("flag", app->flags->without_effect.items[i]));
    }
}

static enum err_code start_parts(struct app *app, struct config *config, struct err *err) {
    const struct flags *f = app->flags;
    enum err_code code =
        web_bind(f->web_listen_address.items, f->web_listen_address.count, &app->sockets, err);
    code = code == ERR_OK ? open_database(app, config, err) : code;
    if (code != ERR_OK) {
        return code;
    }
    record_active_queries(app);
    make_alerting(app);
    make_scraping(app);
    code = start_web(app, err);
    if (code != ERR_OK) {
        return code;
    }
    notifier_start(app->notifier);
    scrape_manager_start(app->scrapes);
    sd_manager_start(app->scrape_sd);
    sd_manager_start(app->notify_sd);
    code = apply(app, config, err);
    rule_manager_start(app->rules);
    return code;
}

static enum err_code load_first(struct app *app, struct config **out) {
    struct err err;
    const enum err_code code = load_config(app, out, &err);
    if (code != ERR_OK) {
        log_error(app->log, "main", "Error loading config",
                  log_str("config.file", app->flags->config_file), log_err(&err));
        return code;
    }
    if (!rules_are_good(app, *out)) {
        log_error(app->log, "main", "Error loading rule file patterns from config",
                  log_str("config.file", app->flags->config_file));
        return ERR_INVALID;
    }
    return ERR_OK;
}

enum err_code app_start(const struct flags *flags, struct arena *arena, struct log *log,
                        struct app **out, enum app_failure *out_failure) {
    struct app *app = mem_zalloc(sizeof(*app));
    app->flags = flags;
    app->arena = arena;
    app->log = log;
    app->config_path = arena_cstr(arena, flags->config_file);
    app->clock = clock_system();
    app->start_unix_ns = clock_unix_ns(app->clock);
    init_locks(app);
    log_info(log, "main", "Starting Brasa", log_text("version", BRASA_VERSION));
    warn_about_flags(app);

    app->registry = metric_registry_new();
    make_engine(app); /* rule files are checked by its language */
    struct config *config = NULL;
    enum err_code code = load_first(app, &config);
    if (code != ERR_OK) {
        config_unref(config);
        *out_failure = APP_FAILED_CONFIG;
        app_stop(app);
        return code;
    }
    app->process = process_metrics_new(app->registry, app->start_unix_ns);
    app->reload_successful =
        metric_gauge(app->registry, "prometheus_config_last_reload_successful",
                     "Whether the last configuration reload attempt was successful.", NULL, 0);
    app->reload_seconds =
        metric_gauge(app->registry, "prometheus_config_last_reload_success_timestamp_seconds",
                     "Timestamp of the last successful configuration reload.", NULL, 0);
    app->external_url = flags->web_external_url.len != 0
                            ? flags->web_external_url
                            : arena_printf(arena, "http://%.*s:%.*s", STR_ARG(host_name(app)),
                                           STR_ARG(port_of(flags->web_listen_address.items[0])));
    struct err err;
    code = start_parts(app, config, &err);
    note_reload(app, code == ERR_OK, config);
    if (code != ERR_OK) {
        log_error(log, "main", "Brasa could not start", log_err(&err));
        *out_failure = APP_FAILED_RUNTIME;
        app_stop(app);
        return code;
    }
    log_info(log, "main", "Completed loading of configuration file",
             log_str("filename", flags->config_file));
    web_set_ready(app->web, true, false);
    log_info(log, "main", "Server is ready to receive web requests.");
    *out = app;
    return ERR_OK;
}

void app_stop(struct app *app) {
    web_stop(app->web);
    web_sockets_close(app->sockets);
    if (app->scrape_sd != NULL) {
        sd_manager_free(app->scrape_sd);
        sd_manager_free(app->notify_sd);
        scrape_manager_free(app->scrapes);
        rule_manager_free(app->rules);
        notifier_free(app->notifier);
    }
    query_engine_free(app->engine);
    tsdb_close(app->db);
    prom_storage_close(app->prom);
    config_unref(app->config);
    if (app->registry != NULL) {
        metric_registry_free(app->registry);
    }
    process_metrics_free(app->process);
    mutex_release(&app->reload_mu);
    mutex_release(&app->status_mu);
    mem_free(app);
}
