/* HTTP server: Prometheus' API, own metrics, health, and the embedded UI (spec/http-api.md).
 *
 * Owner: main. libmicrohttpd's thread answers cheap calls; queries suspend their connection and
 * run on workers, so /-/healthy never waits behind a query. */
#ifndef WEB_WEB_H
#define WEB_WEB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "alert/alert.h"
#include "base/attr.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/metric.h"
#include "query/query.h"
#include "scrape/scrape.h"
#include "tsdb/storage.h"

struct web;
struct web_sockets;

enum { WEB_SNAPSHOT_NAME_MAX = 64 };

/* Facts that main knows; called from web threads, results borrowed until the next call's arena ends. */
struct web_status {
    struct str config_yaml;
    bool reload_ok;
    int64_t last_config_unix_ns;
    int64_t start_unix_ns;
    struct str storage_retention;
    bool storage_read_only; /* by a flag: samples have no place to go */
    uint64_t corruption_count;
};

struct web_flag {
    struct str name, value;
};

struct web_options {
    const struct str *listen; /* host:port */
    size_t listen_count;
    struct web_sockets *sockets; /* of these addresses; NULL: web_start binds them */
    struct str external_url, route_prefix;
    size_t max_connections;        /* 512, of all listeners */
    size_t max_client_connections; /* of one address; 0 = no limit */
    int64_t read_timeout_ms;       /* 5 m: for a whole request, and of an idle connection */
    struct str cors_origin;        /* regex; empty = no CORS */
    bool enable_lifecycle, enable_admin_api, enable_remote_write;
    bool keep_start_timestamps; /* of remote writes */
    bool type_and_unit_labels;  /* those of v2 become labels of the series */
    struct str page_title;
    const struct web_flag *flags; /* as /status/flags shows them, sorted */
    size_t flag_count;
    uint32_t worker_count;
    struct vfs *vfs;
    struct clock *clock;
    struct log *log;
    struct metric_registry *registry;
    struct storage *storage;
    struct query_engine *engine;
    struct scrape_manager *scrapes;
    struct rule_manager *rules;
    struct notifier *notifier;
    void *ctx; /* for the callbacks */
    void (*status)(void *ctx, struct arena *arena, struct web_status *out);
    /* Reloads the configuration; blocks until done. */
    enum err_code (*reload)(void *ctx, struct err *err);
    void (*quit)(void *ctx);
    /* Makes a copy of the database; its name, NUL-terminated, to name. */
    enum err_code (*snapshot)(void *ctx, bool skip_head, char name[WEB_SNAPSHOT_NAME_MAX],
                              struct err *err);
};

/* Listens at all addresses, so that a taken port is known before anything else is opened: ERR_EXISTS
 * names it. Who connects waits for web_start. The caller owns *out and ends it with
 * web_sockets_close, behind web_start too. */
MUST_CHECK enum err_code web_bind(const struct str *listen, size_t count, struct web_sockets **out,
                                  struct err *err);
void web_sockets_close(struct web_sockets *sockets); /* NULL is fine */

/* Binds and listens (so that a taken port is an error here) and answers from now on; all but the
 * unconditional endpoints say 503 until web_set_ready. */
MUST_CHECK enum err_code web_start(const struct web_options *options, struct web **out,
                                   struct err *err);
void web_set_ready(struct web *web, bool ready, bool stopping);
/* The port that was bound, for :0. */
uint16_t web_port(const struct web *web, size_t listener);
void web_stop(struct web *web);

#endif
